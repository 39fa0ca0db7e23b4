package web

import (
	"net/netip"
	"sync"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/fault"
)

// Limiter lets each key do something burst times at once and then once per
// interval: sign-in attempts by address and by account, portal submissions.
//
// Its memory is bounded: it keeps at most about 2*max keys in two generations
// and forgets the older one. Whoever floods it with new keys can therefore wash
// out an old key; limit by a second, coarser key where that matters.
type Limiter struct {
	clock clock.Clock
	burst float64
	every time.Duration
	max   int

	mu       sync.Mutex
	now, old map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewLimiter returns a limiter that refills one token per interval up to burst.
func NewLimiter(c clock.Clock, burst int, every time.Duration, maxKeys int) *Limiter {
	return &Limiter{clock: c, burst: float64(burst), every: every, max: max(maxKeys/2, 1), now: map[string]bucket{}}
}

// Allow takes a token of key. It reports false, and how long to wait, when
// there is none.
func (l *Limiter) Allow(key string) (ok bool, wait time.Duration) {
	t := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, found := l.now[key]
	if !found {
		if b, found = l.old[key]; !found {
			b = bucket{tokens: l.burst, at: t}
		}
	}
	b.tokens = min(l.burst, b.tokens+float64(t.Sub(b.at))/float64(l.every))
	b.at = t
	if ok = b.tokens >= 1; ok {
		b.tokens--
	} else {
		wait = time.Duration((1 - b.tokens) * float64(l.every))
	}
	l.now[key] = b
	if len(l.now) > l.max {
		l.old, l.now = l.now, map[string]bucket{}
	}
	return ok, wait
}

// Check is Allow as a fault that tells the person how long to wait.
func (l *Limiter) Check(key string) error {
	ok, wait := l.Allow(key)
	if ok {
		return nil
	}
	return fault.New(fault.Limited, "ui.error.limited", wait.Round(time.Minute))
}

// Reset gives key all its tokens back, after a sign-in that succeeded.
func (l *Limiter) Reset(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.now, key)
	delete(l.old, key)
}

// Network is what is limited instead of one address: whoever has an IPv6 address
// has 2^64 of them. What is no address is returned as it is.
func Network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
