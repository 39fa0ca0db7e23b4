package job

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Leases lets one node among many do what must not be done twice at a time.
type Leases struct {
	d      *db.DB
	holder string

	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	fence int64
	until time.Time
}

// NewLeases returns the leases of this process.
func NewLeases(d *db.DB) *Leases {
	host, _ := os.Hostname()
	return &Leases{d: d, holder: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8]), held: map[string]lease{}}
}

// Holder is the name of this process.
func (l *Leases) Holder() string { return l.holder }

// Hold takes the lease name for ttl, or extends it; ok is false while another
// process holds it. A lease with more than half of its time left costs nothing.
// fence grows with every new holder: see Check.
func (l *Leases) Hold(ctx context.Context, name string, ttl time.Duration) (fence int64, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.d.Clock().Now()
	if h, mine := l.held[name]; mine && h.until.Sub(now) > ttl/2 {
		return h.fence, true, nil
	}
	var holder string
	var until int64
	err = l.d.Read().QueryRow(ctx, `SELECT holder, expires_at FROM leases WHERE name = $1`, name).Scan(&holder, &until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, false, fmt.Errorf("job: lease %s: %w", name, err)
	}
	if err == nil && holder != l.holder && until > db.Micros(now) {
		delete(l.held, name)
		return 0, false, nil
	}
	var got lease
	err = l.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		got = lease{until: tx.Now.Add(ttl)}
		err := tx.QueryRow(ctx, `
			INSERT INTO leases (name, holder, fence, expires_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET
				fence = leases.fence + CASE WHEN leases.holder = excluded.holder AND leases.expires_at > $4 THEN 0 ELSE 1 END,
				holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $5
			RETURNING fence`, name, l.holder, db.Micros(got.until), tx.NowMicros(), tx.NowMicros()).Scan(&got.fence)
		if errors.Is(err, sql.ErrNoRows) {
			got.fence = 0
			return nil
		}
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("job: lease %s: %w", name, err)
	}
	if got.fence == 0 {
		delete(l.held, name)
		return 0, false, nil
	}
	l.held[name] = got
	return got.fence, true, nil
}

// Check fails unless fence is still that of the newest holder of name; inside
// the transaction that must not be made by a former one.
func (l *Leases) Check(ctx context.Context, tx *db.Tx, name string, fence int64) error {
	var now int64
	if err := tx.QueryRow(ctx, `SELECT fence FROM leases WHERE name = $1`+tx.ForShare(), name).Scan(&now); err != nil {
		return fmt.Errorf("job: lease %s: %w", name, err)
	}
	if now != fence {
		return ErrLost
	}
	return nil
}

// Release gives the lease back at once; nothing when it is not ours.
func (l *Leases) Release(ctx context.Context, name string) error {
	l.mu.Lock()
	delete(l.held, name)
	l.mu.Unlock()
	return l.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE leases SET expires_at = 0 WHERE name = $1 AND holder = $2`, name, l.holder)
		return err
	})
}

// Duties are done again and again, on one node of all. A duty must not mind
// being done once too often: after a start each is done at once.
type Duties struct {
	d      *db.DB
	leases *Leases
	list   []*duty
}

type duty struct {
	name  string
	every time.Duration
	do    func(ctx context.Context) error
	next  time.Time
}

// One lease covers all duties, so that an idle node writes one row in a quarter
// of a minute and not one per duty. A node that dies is followed by another
// within dutyTTL and a quarter of it.
const (
	dutyLease = "duties"
	dutyTTL   = 30 * time.Second
	// dutyAgain is how soon a duty is tried again that found the store away.
	dutyAgain = 10 * time.Second
)

// NewDuties returns an empty list of duties.
func NewDuties(d *db.DB, l *Leases) *Duties { return &Duties{d: d, leases: l} }

// Every adds a duty; before Run.
func (u *Duties) Every(name string, interval time.Duration, do func(ctx context.Context) error) {
	for _, o := range u.list {
		if o.name == name {
			panic("job: duty " + name + " twice")
		}
	}
	u.list = append(u.list, &duty{name: name, every: interval, do: do})
}

// Run does the duties until ctx ends, while this node holds the lease.
func (u *Duties) Run(ctx context.Context) {
	for ctx.Err() == nil {
		fence, ok, err := u.leases.Hold(ctx, dutyLease, dutyTTL)
		if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			slog.Error("job: duties", "err", err)
		}
		if ok {
			u.lead(ctx, fence)
			continue
		}
		select {
		case <-ctx.Done():
		case <-u.d.Clock().After(dutyTTL / 4):
		}
	}
	if err := u.leases.Release(context.WithoutCancel(ctx), dutyLease); err != nil {
		slog.Warn("job: release duties", "err", err)
	}
}

// lead runs each duty on its own, so that a long one does not hold up the
// others, until the lease is lost or ctx ends. Nothing they write is stored once
// another node has the lease.
func (u *Duties) lead(ctx context.Context, fence int64) {
	ctx, stop := context.WithCancel(ctx)
	work := u.fenced(ctx, fence)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for _, y := range u.list {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				wait := y.every
				err := u.once(work, y)
				switch {
				case err == nil || ctx.Err() != nil || errors.Is(err, ErrLost):
				case fault.Is(err, fault.Unavailable):
					wait = min(wait, dutyAgain)
				default:
					slog.Error("job: duty", "name", y.name, "err", err)
				}
				select {
				case <-ctx.Done():
				case <-u.d.Clock().After(wait):
				}
			}
		}()
	}
	sure := u.d.Clock().Now().Add(dutyTTL)
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.d.Clock().After(dutyTTL / 4):
		}
		now := u.d.Clock().Now()
		mine, ok, err := u.leases.Hold(ctx, dutyLease, dutyTTL)
		switch {
		case err != nil && now.Before(sure.Add(-dutyTTL/4)):
			if !fault.Is(err, fault.Unavailable) {
				slog.Error("job: duties", "err", err) // the lease still stands
			}
		case err != nil || !ok || mine != fence:
			return
		default:
			u.leases.mu.Lock()
			sure = u.leases.held[dutyLease].until
			u.leases.mu.Unlock()
		}
	}
}

// fenced is ctx for what is done under the lease.
func (u *Duties) fenced(ctx context.Context, fence int64) context.Context {
	return db.Fenced(ctx, func(ctx context.Context, tx *db.Tx) error { return u.leases.Check(ctx, tx, dutyLease, fence) })
}

func (u *Duties) once(ctx context.Context, y *duty) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return y.do(ctx)
}

// Tick does the duties whose time has come by the clock, in order, if this
// node may: tests call it in place of Run.
func (u *Duties) Tick(ctx context.Context) error {
	fence, ok, err := u.leases.Hold(ctx, dutyLease, dutyTTL)
	if err != nil || !ok {
		return err
	}
	ctx = u.fenced(ctx, fence)
	var errs error
	now := u.d.Clock().Now()
	for _, y := range u.list {
		if y.next.After(now) {
			continue
		}
		y.next = now.Add(y.every)
		if err := u.once(ctx, y); err != nil {
			errs = errors.Join(errs, fmt.Errorf("job: duty %s: %w", y.name, err))
		}
	}
	return errs
}
