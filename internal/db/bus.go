package db

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Nodes that share a PostgreSQL tell each other by its NOTIFY what is worth a
// look: that there are new events, that something held in memory has changed.
// These are hints. Whoever misses one finds out a moment later by himself, so
// nothing that must be known may depend on them; they are sent after the commit
// and cost the transaction nothing.

const (
	channel    = "bihuan"
	hintsMost  = 1024                  // that wait to be sent; more are dropped
	gatherFor  = 15 * time.Millisecond // hints of a moment travel together
	noteMost   = 7000                  // bytes; PostgreSQL takes 8000
	hearAgain  = time.Second           // after the connection was lost
	sendWithin = 5 * time.Second
)

// hint is one thing the others may want to know.
type hint struct {
	Kind string `json:"k"`
	Text string `json:"t,omitempty"`
}

type bus struct {
	self string
	out  chan hint
	mu   sync.Mutex
	ears map[string][]func(text string)
}

func newBus() *bus {
	return &bus{self: rand.Text()[:10], out: make(chan hint, hintsMost), ears: map[string][]func(string){}}
}

// Hear calls f with the text of every hint of the kind that another node tells,
// and with "" when hints may have been missed. f must be quick and safe for use
// beside others. On SQLite there are no others.
func (d *DB) Hear(kind string, f func(text string)) {
	if d.bus == nil {
		return
	}
	d.bus.mu.Lock()
	defer d.bus.mu.Unlock()
	d.bus.ears[kind] = append(d.bus.ears[kind], f)
}

// Tell gives the other nodes a hint, if they can be reached. It never waits.
func (d *DB) Tell(kind, text string) {
	if d.bus == nil || len(text) > noteMost/2 {
		return
	}
	select {
	case d.bus.out <- hint{kind, text}:
	default:
	}
}

// note is what travels: who says it, and the hints.
type note struct {
	From  string `json:"f"`
	Hints []hint `json:"h"`
}

// Talk sends and hears hints until ctx ends.
func (d *DB) Talk(ctx context.Context) {
	if d.bus == nil {
		<-ctx.Done()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.sendHints(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := d.hearHints(ctx); err != nil && ctx.Err() == nil && d.gone() == nil {
				slog.Warn("db: hints of other nodes", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-d.clock.After(hearAgain):
			}
		}
	})
	wg.Wait()
}

func (d *DB) sendHints(ctx context.Context) {
	for {
		var h hint
		select {
		case <-ctx.Done():
			return
		case h = <-d.bus.out:
		}
		select {
		case <-ctx.Done():
			return
		case <-d.clock.After(gatherFor):
		}
		n, size := note{From: d.bus.self}, 0
		known := map[hint]bool{}
		add := func(h hint) {
			if !known[h] {
				known[h] = true
				n.Hints = append(n.Hints, h)
				size += 2*len(h.Text) + len(h.Kind) + 20 // quotes are escaped
			}
		}
		add(h)
		for more := true; more && size < noteMost/2; {
			select {
			case h := <-d.bus.out:
				add(h)
			default:
				more = false
			}
		}
		for part := n.Hints; len(part) > 0; {
			take := 1
			raw, err := json.Marshal(note{n.From, part[:take]})
			for err == nil && take < len(part) {
				longer, lerr := json.Marshal(note{n.From, part[:take+1]})
				if lerr != nil || len(longer) > noteMost {
					break
				}
				raw, take = longer, take+1
			}
			part = part[take:]
			if err != nil || len(raw) > noteMost || d.gone() != nil {
				continue // the others find out by themselves
			}
			sctx, cancel := context.WithTimeout(ctx, sendWithin)
			if _, err := d.pg.Exec(sctx, `SELECT pg_notify($1, $2)`, channel, string(raw)); err != nil && ctx.Err() == nil {
				slog.Debug("db: tell other nodes", "err", err)
			}
			cancel()
		}
	}
}

// hearHints listens on a connection of its own until it breaks.
func (d *DB) hearHints(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, d.pg.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(end)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	d.bus.missed()
	for {
		m, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var n note
		if json.Unmarshal([]byte(m.Payload), &n) != nil || n.From == d.bus.self {
			continue
		}
		for _, h := range n.Hints {
			d.bus.tell(h.Kind, h.Text)
		}
	}
}

// missed makes everybody look: what was said while nobody listened is not said
// again.
func (b *bus) missed() {
	b.mu.Lock()
	kinds := make([]string, 0, len(b.ears))
	for k := range b.ears {
		kinds = append(kinds, k)
	}
	b.mu.Unlock()
	for _, k := range kinds {
		b.tell(k, "")
	}
}

func (b *bus) tell(kind, text string) {
	b.mu.Lock()
	ears := b.ears[kind]
	b.mu.Unlock()
	for _, f := range ears {
		func() {
			defer func() {
				if p := recover(); p != nil {
					slog.Error("db: panic at a hint", "kind", kind, "panic", p, "stack", stack())
				}
			}()
			f(text)
		}()
	}
}
