package db

import (
	"context"
	"sync"
	"time"
)

// Behind marks work nobody waits for: timers, listeners, duties, jobs. Its
// transactions let those pass that somebody waits for, see [DB.Attend]: a
// hundred thousand deadlines of one minute must not be felt on any page.
func Behind(ctx context.Context) context.Context { return context.WithValue(ctx, isBehind{}, true) }

type isBehind struct{}

const (
	// giveWay bounds how long work behind waits for those in front before each of
	// its transactions: on a machine that is never idle it must get on too.
	giveWay = 15 * time.Millisecond
	// patience is how many batches of those in front SQLite's writer takes in a row
	// while somebody behind waits.
	patience = 8
	// together is how long a batch of work behind takes up more of it, so that it
	// shares a sync: whoever comes meanwhile waits for all of it.
	together = 4 * time.Millisecond
)

// front counts those somebody waits for.
type front struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n becomes 0
}

// Attend says that somebody waits for an answer until done is called.
func (d *DB) Attend() (done func()) {
	f := &d.front
	f.mu.Lock()
	if f.n++; f.n == 1 {
		f.empty = make(chan struct{})
	}
	f.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.n--; f.n == 0 {
			close(f.empty)
		}
	})
}

// GiveWay lets work that was marked with [Behind] wait while anybody waits for an
// answer, for a moment at most; other work goes on at once.
func (d *DB) GiveWay(ctx context.Context) {
	if ctx.Value(isBehind{}) == nil {
		return
	}
	f := &d.front
	f.mu.Lock()
	n, empty := f.n, f.empty
	f.mu.Unlock()
	if n == 0 {
		return
	}
	t := time.NewTimer(giveWay) // of the machine, not of the business
	defer t.Stop()
	select {
	case <-empty:
	case <-t.C:
	case <-ctx.Done():
	}
}

// Waiting is how many transactions wait for SQLite's writer.
func (d *DB) Waiting() int { return len(d.queue) + len(d.behind) }
