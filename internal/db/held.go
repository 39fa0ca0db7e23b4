package db

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// trust is how long what is held is believed without asking whether another node
// has changed it.
const trust = 5 * time.Second

// held is what was read from tables that are small and hardly change: settings,
// policies, the priority matrix. Every action needs some of them.
type held struct {
	mu sync.Mutex
	m  map[any]heldValue
	// epoch grows with every Drop: a value read before is not kept after it.
	epoch int64
}

type heldValue struct {
	v  any
	at time.Time
}

// based are the queriers that know their store.
type based interface{ base() *DB }

func (p *prepared) base() *DB  { return p.db }
func (p pgPool) base() *DB     { return p.db }
func (r strictRead) base() *DB { b, _ := r.q.(based); return b.base() }
func (t *Tx) base() *DB        { return t.db }

type droppedKey struct{ key any }

// Held returns what load returned for key not long ago: at once after a [Drop]
// in this process, a moment later after one on another node, and should that node
// not be heard, five seconds late at most. What
// it returns is shared and must not be changed. key is a value of a type of the
// caller's own.
func Held[T any](ctx context.Context, q Querier, key any, load func() (T, error)) (T, error) {
	b, ok := q.(based)
	if !ok || b.base() == nil {
		return load()
	}
	d := b.base()
	if tx, ok := q.(interface{ Kept(any) any }); ok && tx.Kept(droppedKey{key}) != nil {
		return load() // changed by this transaction, which may yet fail
	}
	now := d.clock.Now()
	d.held.mu.Lock()
	h, ok := d.held.m[key]
	epoch := d.held.epoch
	d.held.mu.Unlock()
	if age := now.Sub(h.at); ok && age >= 0 && age < trust {
		return h.v.(T), nil
	}
	v, err := load()
	if err != nil {
		return v, err
	}
	d.held.mu.Lock()
	defer d.held.mu.Unlock()
	if d.held.epoch == epoch {
		if d.held.m == nil || len(d.held.m) >= maxHeld {
			d.held.m = map[any]heldValue{}
		}
		d.held.m[key] = heldValue{v, now}
	}
	return v, nil
}

const maxHeld = 500

// Drop makes Held read key anew: within tx from now on, elsewhere after its
// commit. Whoever writes what is held calls it.
func (t *Tx) Drop(key any) {
	t.Keep(droppedKey{key}, true)
	t.AfterCommit(func() {
		t.db.held.mu.Lock()
		t.db.held.epoch++
		delete(t.db.held.m, key)
		t.db.held.mu.Unlock()
		if t.db.bus != nil {
			t.db.Tell(heldHints, keyText(key))
		}
	})
}

// heldHints tell the other nodes what was dropped here.
const heldHints = "held"

func keyText(key any) string { return fmt.Sprintf("%T %v", key, key) }

// dropHeld drops what another node has changed; "" means that hints were missed.
func (d *DB) dropHeld(text string) {
	d.held.mu.Lock()
	defer d.held.mu.Unlock()
	d.held.epoch++
	for key := range d.held.m {
		if text == "" || keyText(key) == text {
			delete(d.held.m, key)
		}
	}
}
