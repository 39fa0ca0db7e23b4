// Package node knows the processes that serve on one store: each says every few
// seconds that it is there, and an administrator sees them side by side.
//
// What always holds: nothing depends on it. Who may do what is settled by leases
// and locked rows; a node that is believed dead and lives does no harm.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

const (
	beat   = 5 * time.Second
	silent = 4 * beat       // without a sign for so long a node is taken for dead
	forget = 24 * time.Hour // and its row removed
)

// Node is one process.
type Node struct {
	Name      string // host/process/chance, as the holder of leases
	Version   string
	Address   string // where it listens
	Ahead     time.Duration
	StartedAt time.Time
	SeenAt    time.Time
	Alive     bool
	Self      bool     // the one that answers
	Apart     bool     // its folder of attachments is not this node's
	Leases    []string // what it holds
}

// Host is the machine's name.
func (n Node) Host() string { host, _, _ := strings.Cut(n.Name, "/"); return host }

// Skewed reports whether the node's clock is too far from the store's.
func (n Node) Skewed() bool { return n.Ahead.Abs() > db.ClocksApart }

// Keeper is this process among them.
type Keeper struct {
	d       *db.DB
	me      Node
	folder  string // where a file of each node lies: who sees it shares the folder
	warned  atomic.Bool
	started atomic.Bool
}

// New returns this process, called name, that keeps files below data.
func New(d *db.DB, name, version, data string) *Keeper {
	return &Keeper{d: d, me: Node{Name: name, Version: version, StartedAt: d.Clock().Now(), Self: true, Alive: true}, folder: filepath.Join(data, "nodes")}
}

// Listens says where the process can be reached; before Run.
func (k *Keeper) Listens(address string) { k.me.Address = address }

func (k *Keeper) mark(name string) string {
	return filepath.Join(k.folder, strings.NewReplacer("/", "_", "\\", "_", ":", "_").Replace(name))
}

// Run says that this process is there until ctx ends. With the embedded database
// there is only one.
func (k *Keeper) Run(ctx context.Context) {
	if k.d.Dialect() == db.SQLite {
		<-ctx.Done()
		return
	}
	if err := os.MkdirAll(k.folder, 0o700); err == nil {
		err = os.WriteFile(k.mark(k.me.Name), nil, 0o600)
		if err != nil {
			slog.Warn("node: mark of the folder", "err", err)
		}
	}
	for ctx.Err() == nil {
		if err := k.Beat(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			slog.Error("node: sign of life", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-k.d.Clock().After(beat):
		}
	}
	os.Remove(k.mark(k.me.Name))
	_ = k.d.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM nodes WHERE name = $1`, k.me.Name)
		return err
	})
}

// Beat writes down that this process is there.
func (k *Keeper) Beat(ctx context.Context) error {
	err := k.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO nodes (name, version, address, ahead, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (name) DO UPDATE SET ahead = excluded.ahead, seen_at = excluded.seen_at`,
			k.me.Name, k.me.Version, k.me.Address, k.d.Ahead().Microseconds(), db.Micros(k.me.StartedAt), tx.NowMicros())
		if err == nil && !k.started.Load() {
			_, err = tx.Exec(ctx, `DELETE FROM nodes WHERE seen_at < $1`, db.Micros(tx.Now.Add(-forget)))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("node: sign of life: %w", err)
	}
	k.started.Store(true)
	if k.warned.Load() {
		return nil
	}
	ns, err := k.List(ctx)
	if err != nil {
		return err
	}
	for _, n := range ns {
		if n.Apart && n.Alive && k.d.Clock().Now().Sub(n.StartedAt) > silent && k.warned.CompareAndSwap(false, true) {
			slog.Error("node: the folders of attachments differ; give all nodes the same --data", "other", n.Name)
		}
	}
	return nil
}

// List returns the processes, this one first, then the last seen first.
func (k *Keeper) List(ctx context.Context) ([]Node, error) {
	now := k.d.Clock().Now()
	holds, err := k.leases(ctx, now)
	if err != nil {
		return nil, err
	}
	me := k.me
	me.SeenAt, me.Ahead, me.Leases = now, k.d.Ahead(), holds[me.Name]
	out := []Node{me}
	if k.d.Dialect() == db.SQLite {
		return out, nil
	}
	rows, err := k.d.Read().Query(ctx, `SELECT name, version, address, ahead, started_at, seen_at FROM nodes WHERE name <> $1 ORDER BY seen_at DESC, name LIMIT 100`, me.Name)
	if err != nil {
		return nil, fmt.Errorf("node: list: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n Node
		var ahead, started, seen int64
		if err := rows.Scan(&n.Name, &n.Version, &n.Address, &ahead, &started, &seen); err != nil {
			return nil, fmt.Errorf("node: list: %w", err)
		}
		n.Ahead, n.StartedAt, n.SeenAt = time.Duration(ahead)*time.Microsecond, db.FromMicros(started), db.FromMicros(seen)
		n.Alive, n.Leases = now.Sub(n.SeenAt) < silent, holds[n.Name]
		if n.Alive {
			_, err := os.Stat(k.mark(n.Name))
			n.Apart = os.IsNotExist(err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// leases returns what each node holds.
func (k *Keeper) leases(ctx context.Context, now time.Time) (map[string][]string, error) {
	rows, err := k.d.Read().Query(ctx, `SELECT name, holder FROM leases WHERE expires_at > $1 AND holder <> '' ORDER BY name LIMIT 100`, db.Micros(now))
	if err != nil {
		return nil, fmt.Errorf("node: leases: %w", err)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var name, holder string
		if err := rows.Scan(&name, &holder); err != nil {
			return nil, fmt.Errorf("node: leases: %w", err)
		}
		out[holder] = append(out[holder], name)
	}
	return out, rows.Err()
}
