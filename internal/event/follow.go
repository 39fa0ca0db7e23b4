package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Listener follows the chain of facts. Handle sees each event at least once,
// in order, in a transaction that also moves the listener's cursor: what it
// does to the database happens exactly once. It must not call the network.
type Listener struct {
	Name   string
	Kinds  []string            // nil: all
	Wants  func(s Stored) bool // whether an event of Kinds matters; nil: all do
	Batch  int                 // how many events that matter Handle gets at most; 0: as many as there are
	Handle func(ctx context.Context, tx *db.Tx, evs []Stored) error
}

// Tail sees events of this node's own time, without memory: for what only
// matters to those who are looking now.
type Tail func(ctx context.Context, evs []Stored)

// Follower brings sealed events to listeners and tails.
type Follower struct {
	d         *db.DB
	listeners []Listener
	tails     []Tail
	tailSeq   int64
	wake      chan struct{}
	mu        sync.Mutex       // one round at a time
	at        map[string]int64 // how far each listener is, ahead of its cursor by what did not matter
	written   map[string]int64 // its cursor

	fresh []Stored   // events this process has sealed and not all have seen, without gaps
	feed  sync.Mutex // guards fresh
}

// pollEvery is how soon events of another process are noticed that did not say
// so; own ones wake the follower at once, those of other nodes by their hint.
const pollEvery = 2 * time.Second

// sealedHint tells other nodes that there are new events.
const sealedHint = "events"

const followBatch = 256

// rest is the least time between the beginnings of two rounds: the first change
// is followed at once, those of a busy moment together. A round costs a
// transaction for each listener that is concerned.
const rest = 25 * time.Millisecond

// NewFollower makes the follower of d and, on SQLite, lets every batch of
// writes seal its events.
func NewFollower(d *db.DB) *Follower {
	f := &Follower{d: d, wake: make(chan struct{}, 1), tailSeq: -1, at: map[string]int64{}, written: map[string]int64{}}
	d.Hear(sealedHint, func(string) { f.Wake() })
	d.OnBack(f.Wake)
	if d.Dialect() == db.SQLite {
		d.BeforeCommit(func(ctx context.Context, tx *db.Tx) error {
			for {
				evs, err := Seal(ctx, tx)
				if len(evs) > 0 {
					tx.AfterCommit(func() { f.know(evs); f.Wake() })
				}
				if err != nil || len(evs) < sealBatch { // all of them: nobody may write again for hours
					return err
				}
			}
		})
	}
	return f
}

// Listen adds a listener; before Run.
func (f *Follower) Listen(l Listener) {
	if slices.ContainsFunc(f.listeners, func(o Listener) bool { return o.Name == l.Name }) {
		panic("event: listener " + l.Name + " twice")
	}
	f.listeners = append(f.listeners, l)
}

// Listeners returns what was added, for the guard tests.
func (f *Follower) Listeners() []Listener { return f.listeners }

// Tail adds a tail; before Run.
func (f *Follower) Tail(t Tail) { f.tails = append(f.tails, t) }

// Wake makes Run look for new events now.
func (f *Follower) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for {
		begun := f.d.Clock().Now()
		if err := f.Drain(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			slog.Error("event: follow", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-f.d.Clock().After(pollEvery):
		}
		if wait := rest - f.d.Clock().Now().Sub(begun); wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-f.d.Clock().After(wait):
			}
		}
	}
}

// maxFresh bounds the memory of what is sealed faster than it is delivered;
// beyond it events are read back.
const maxFresh = 2 * sealBatch

// know remembers events that were just sealed, so that nobody has to read them
// back: each of a dozen listeners would.
func (f *Follower) know(evs []Stored) {
	f.feed.Lock()
	defer f.feed.Unlock()
	if n := len(f.fresh); n > 0 && (f.fresh[n-1].Seq+1 != evs[0].Seq || n+len(evs) > maxFresh) {
		f.fresh = nil
	}
	f.fresh = append(f.fresh, evs...)
}

// forget drops the events up to seq: everybody has seen them.
func (f *Follower) forget(seq int64) {
	f.feed.Lock()
	defer f.feed.Unlock()
	i := 0
	for i < len(f.fresh) && f.fresh[i].Seq <= seq {
		i++
	}
	if f.fresh = f.fresh[i:]; len(f.fresh) == 0 {
		f.fresh = nil
	}
}

// after is After, from memory where that is possible. The events are the
// caller's.
func (f *Follower) after(ctx context.Context, seq int64) ([]Stored, error) {
	f.feed.Lock()
	if n := len(f.fresh); n > 0 && f.fresh[0].Seq <= seq+1 && seq < f.fresh[n-1].Seq {
		i := seq + 1 - f.fresh[0].Seq
		evs := slices.Clone(f.fresh[i:min(int64(n), i+followBatch)])
		f.feed.Unlock()
		return evs, nil
	}
	f.feed.Unlock()
	return After(ctx, f.d.Read(), seq, followBatch)
}

// Drain seals and delivers everything there is, and returns. Tests call it in
// place of Run. The error of one listener does not hold up the others; the
// first is returned.
func (f *Follower) Drain(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	head, open, err := heads(ctx, f.d.Read())
	if err != nil {
		return err
	}
	var first error
	for {
		if open && f.d.Dialect() == db.Postgres {
			if err := f.seal(ctx, &head); err != nil {
				return err
			}
		}
		if err := f.tail(ctx, head); err != nil {
			return err
		}
		for _, l := range f.listeners {
			if err := f.deliver(ctx, l, head); err != nil && first == nil {
				first = fmt.Errorf("event: listener %s: %w", l.Name, err)
			}
		}
		seen := head
		if head, open, err = heads(ctx, f.d.Read()); err != nil {
			return err
		}
		if first == nil {
			f.forget(seen)
		}
		if first != nil || head == seen && (!open || f.d.Dialect() == db.SQLite) {
			return first
		}
	}
}

// seal seals what waits, on PostgreSQL, and moves head.
func (f *Follower) seal(ctx context.Context, head *int64) error {
	for {
		var evs []Stored
		if err := f.d.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) { evs, err = Seal(ctx, tx); return err }); err != nil {
			return err
		}
		if len(evs) > 0 {
			f.know(evs)
			f.d.Tell(sealedHint, "")
			*head = evs[len(evs)-1].Seq
		}
		if len(evs) < sealBatch {
			return nil
		}
	}
}

func (f *Follower) tail(ctx context.Context, head int64) error {
	if f.tailSeq < 0 || len(f.tails) == 0 {
		f.tailSeq = head
		return nil
	}
	for f.tailSeq < head {
		evs, err := f.after(ctx, f.tailSeq)
		if err != nil || len(evs) == 0 {
			return err
		}
		f.tailSeq = evs[len(evs)-1].Seq
		for _, t := range f.tails {
			t(ctx, evs)
		}
	}
	return nil
}

// StartTail makes tails see everything from now on; without it they begin with
// the first Drain.
func (f *Follower) StartTail(ctx context.Context) (err error) {
	f.tailSeq, err = Head(ctx, f.d.Read())
	return err
}

// cursorLag is how many events that did not matter a cursor may be behind: they
// are looked at again after a restart. Writing it at each would make every change
// cost two commits.
const cursorLag = 2000

func (f *Follower) deliver(ctx context.Context, l Listener, head int64) error {
	at, known := f.at[l.Name]
	if !known {
		err := f.d.Read().QueryRow(ctx, `SELECT seq FROM listener_cursors WHERE name = $1`, l.Name).Scan(&at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		f.at[l.Name], f.written[l.Name] = at, at
	}
	for at < head {
		evs, err := f.after(ctx, at)
		if err != nil || len(evs) == 0 {
			return err
		}
		to := evs[len(evs)-1].Seq
		evs = slices.DeleteFunc(evs, func(s Stored) bool {
			return l.Kinds != nil && !slices.Contains(l.Kinds, s.Kind) || l.Wants != nil && !l.Wants(s)
		})
		if len(evs) == 0 && to-f.written[l.Name] < cursorLag {
			at = to // nothing of interest: the cursor is written with the next batch that matters
			f.at[l.Name] = at
			continue
		}
		if l.Batch > 0 && len(evs) > l.Batch {
			evs = evs[:l.Batch]
			to = evs[l.Batch-1].Seq
		}
		moved := int64(0)
		err = f.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			// The row lock keeps a second node out; where it has got further, its place is taken over.
			var cur int64
			err := tx.QueryRow(ctx, `
				INSERT INTO listener_cursors (name, seq) VALUES ($1, 0)
				ON CONFLICT (name) DO UPDATE SET seq = listener_cursors.seq
				RETURNING seq`, l.Name).Scan(&cur)
			if err != nil {
				return err
			}
			mine := evs
			for len(mine) > 0 && mine[0].Seq <= cur {
				mine = mine[1:]
			}
			if moved = max(cur, to); cur >= to {
				return nil
			}
			if len(mine) > 0 {
				if err := l.Handle(ctx, tx, mine); err != nil {
					return err
				}
			}
			return tx.Later(ctx, `UPDATE listener_cursors SET seq = $1 WHERE name = $2`, to, l.Name)
		})
		if err != nil {
			return err
		}
		at = moved
		f.at[l.Name], f.written[l.Name] = at, at
	}
	return nil
}
