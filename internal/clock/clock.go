// Package clock is where the time comes from. The program takes a Clock, never
// time.Now, so that tests and simulations turn it by hand.
package clock

import (
	"sort"
	"sync"
	"time"
)

// Clock tells the time and wakes sleepers.
type Clock interface {
	// Now returns the present in UTC.
	Now() time.Time
	// After delivers once when d has passed; at once when d <= 0.
	After(d time.Duration) <-chan time.Time
}

type real struct{}

// Real returns the machine's clock.
func Real() Clock { return real{} }

func (real) Now() time.Time                         { return time.Now().UTC() }
func (real) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Fake is a clock that stands still until it is turned. The zero value is not
// usable; see NewFake.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	waiters []waiter
}

type waiter struct {
	at time.Time
	ch chan time.Time
}

// NewFake returns a clock that stands at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC()} }

// Now returns the instant the clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// After delivers when the clock has been turned past d from now.
func (f *Fake) After(d time.Duration) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- f.now
		return ch
	}
	f.waiters = append(f.waiters, waiter{f.now.Add(d), ch})
	return ch
}

// Advance turns the clock by d and wakes whoever waited for it, in order.
func (f *Fake) Advance(d time.Duration) { f.Set(f.Now().Add(d)) }

// Set turns the clock to t, also backwards.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC()
	sort.SliceStable(f.waiters, func(i, j int) bool { return f.waiters[i].at.Before(f.waiters[j].at) })
	n := 0
	for n < len(f.waiters) && !f.waiters[n].at.After(f.now) {
		f.waiters[n].ch <- f.now
		n++
	}
	f.waiters = append([]waiter(nil), f.waiters[n:]...)
}
