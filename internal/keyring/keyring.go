// Package keyring changes the keys that sensitive values are sealed with, while
// the product runs: on one machine or on many, beside readers, writers and
// imports.
//
// A change goes its way in five steps, each of which all processes have reached
// before the next begins: a new key is announced (all can read what it makes),
// promoted (all make new values with it), every value is sealed and indexed again
// in short transactions, it is counted that nothing is left of the old key, and
// the old key is retired. What was cut short goes on where it was when it is
// started again.
//
// What always holds: a value is found under its index and opens, before, during
// and after the change; no program works on data one of whose keys it does not
// have; a key is retired only when no value needs it, and its file is kept for
// the backups made before.
package keyring

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bihuan/internal/crypt"
	"bihuan/internal/db"
)

const (
	look  = time.Second      // how often a process looks whether the key file was changed
	beat  = 20 * time.Second // how often it says that it is there
	alive = 3 * beat         // and how long that is believed
	old   = 24 * time.Hour   // when the row of a process that died is removed
)

// needed is the setting that names the keys the data needs, in plain words.
const needed = "crypt.fingerprint"

// Ring is this process among those that work on the data.
type Ring struct {
	Keys *crypt.Keeper

	d       *db.DB
	process string

	mu   sync.Mutex
	said string    // marks last written down
	at   time.Time // when
}

// Open loads the keys with load and makes sure that they are those the data was
// sealed with: with others every sealed value would be lost without a word. fresh
// tells load that no key has been used yet. The process is written down before
// the keys are read, so that no change of keys can overlook it. Close the ring.
func Open(ctx context.Context, d *db.DB, load func(fresh bool) (*crypt.Keeper, error)) (_ *Ring, err error) {
	host, _ := os.Hostname()
	r := &Ring{d: d, process: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])}
	if err := r.say(ctx, ""); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close(ctx)
		}
	}()
	want, err := Needed(ctx, d.Read())
	if err != nil {
		return nil, err
	}
	if r.Keys, err = load(len(want) == 0); err != nil {
		return nil, fmt.Errorf("encryption keys: %w", err)
	}
	if missing := lacking(r.Keys.Marks(), want); missing != "" {
		return nil, r.foreign(missing)
	}
	if len(want) == 0 {
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`, needed, r.Keys.Fingerprint(), tx.NowMicros())
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("keyring: note the key: %w", err)
		}
	}
	return r, r.say(ctx, strings.Join(r.Keys.Marks(), " "))
}

// Needed returns the marks of the keys the data needs; none in a fresh store.
func Needed(ctx context.Context, q db.Querier) ([]string, error) {
	var s string
	err := q.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, needed).Scan(&s)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("keyring: keys of the data: %w", err)
	}
	return strings.Fields(s), nil
}

func need(ctx context.Context, tx *db.Tx, marks ...string) error {
	_, err := tx.Exec(ctx, `UPDATE settings SET value = $1, updated_at = $2 WHERE name = $3`, strings.Join(marks, " "), tx.NowMicros(), needed)
	if err != nil {
		return fmt.Errorf("keyring: keys of the data: %w", err)
	}
	return nil
}

func lacking(have, want []string) string {
	for _, m := range want {
		if !slices.Contains(have, m) {
			return m
		}
	}
	return ""
}

// foreign says what is missing and, when a file kept aside has it, where.
func (r *Ring) foreign(missing string) error {
	path := r.Keys.Path()
	if path == "" {
		return fmt.Errorf("the keys given to this program do not belong to this data (they have the mark %s, the data needs %s): give it the right ones", strings.Join(r.Keys.Marks(), ", "), missing)
	}
	remedy := "put the right key file back"
	kept, _ := filepath.Glob(path + retiredSuffix + "*")
	for _, f := range kept {
		if k, err := crypt.Load(f); err == nil && slices.Contains(k.Marks(), missing) {
			remedy = fmt.Sprintf("it is in %s; put that file in place of the key file", f)
		}
	}
	return fmt.Errorf("the key file %s does not belong to this data (its mark is %s, the data needs %s): %s", path, strings.Join(r.Keys.Marks(), ", "), missing, remedy)
}

// say writes down that this process is there and what it knows.
func (r *Ring) say(ctx context.Context, marks string) error {
	err := r.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO key_holders (process, marks, seen_at) VALUES ($1, $2, $3)
			ON CONFLICT (process) DO UPDATE SET marks = excluded.marks, seen_at = excluded.seen_at`, r.process, marks, tx.NowMicros())
		if err == nil && r.said == "" {
			_, err = tx.Exec(ctx, `DELETE FROM key_holders WHERE seen_at < $1`, db.Micros(tx.Now.Add(-old)))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: say which keys are known: %w", err)
	}
	r.said, r.at = marks, r.d.Clock().Now()
	return nil
}

// Follow takes up new keys as the key file changes, and says so to the others,
// until ctx ends.
func (r *Ring) Follow(ctx context.Context) {
	complained := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.d.Clock().After(look):
		}
		why := ""
		if err := r.Tick(ctx); err != nil {
			why = err.Error()
		}
		if why != complained && ctx.Err() == nil && why != "" {
			slog.Error("keys", "err", why)
		}
		complained = why
	}
}

// Tick takes up the keys of the file if it was changed, and says which are known:
// tests call it in place of Follow.
func (r *Ring) Tick(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed, err := r.Keys.Refresh()
	if changed {
		slog.Info("keys changed", "known", len(r.Keys.Marks()))
	}
	marks := strings.Join(r.Keys.Marks(), " ")
	if marks != r.said || r.d.Clock().Now().Sub(r.at) >= beat {
		err = errors.Join(err, r.say(ctx, marks))
	}
	return err
}

// Close says that this process is gone.
func (r *Ring) Close(ctx context.Context) {
	err := r.d.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM key_holders WHERE process = $1`, r.process)
		return err
	})
	if err != nil {
		slog.Debug("keyring: close", "err", err) // the row grows old by itself
	}
}

// Holder is a process and the keys it knows, the one in use first.
type Holder struct {
	Process string
	Marks   []string
	SeenAt  time.Time
}

// Holders returns the processes that are there.
func (r *Ring) Holders(ctx context.Context) ([]Holder, error) {
	rows, err := r.d.Read().Query(ctx, `SELECT process, marks, seen_at FROM key_holders WHERE seen_at > $1 ORDER BY process`, db.Micros(r.d.Clock().Now().Add(-alive)))
	if err != nil {
		return nil, fmt.Errorf("keyring: processes: %w", err)
	}
	defer rows.Close()
	var out []Holder
	for rows.Next() {
		var h Holder
		var marks string
		var at int64
		if err := rows.Scan(&h.Process, &marks, &at); err != nil {
			return nil, fmt.Errorf("keyring: processes: %w", err)
		}
		h.Marks, h.SeenAt = strings.Fields(marks), db.FromMicros(at)
		out = append(out, h)
	}
	return out, rows.Err()
}
