package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/i18n"
)

// When five hundred deadlines pass in one minute, nobody reads five hundred
// notices. The first of a kind come one by one; those that follow hard upon them
// are gathered in one more, which counts them and leads to the list of tickets.
// Nothing is lost by it: the facts stand at the tickets, and who is told is in
// them.
const (
	crowdAfter = 20          // notices of a kind that a person gets one by one
	crowdPause = time.Minute // without any of that kind it begins anew
)

// gathers reports whether notices of the kind are gathered: those of the clocks.
func gathers(kind string) bool { return strings.HasPrefix(kind, "ticket.clock_") }

type crowdKey struct {
	user  int64
	kind  string
	class Class
}

// crowd is how many notices of a kind a person got of late. It is kept in memory:
// after a restart the next ones come one by one again.
type crowd struct {
	last   time.Time
	n      int
	notice int64 // in which they are gathered; 0: none yet
	many   int   // how many are in it
}

// crowds are the crowds as a transaction leaves them.
type crowds struct {
	s       *Service
	now     time.Time
	each    bool // nothing is gathered
	changed map[crowdKey]crowd
	grown   map[crowdKey]bool // whose gathering notice counts more now
}

func (s *Service) crowded(tx *db.Tx, cs []Channel) *crowds {
	// Who sets up a webhook wants to hear of everything.
	each := slices.ContainsFunc(cs, func(c Channel) bool { return c.Kind == Webhook })
	c := &crowds{s: s, now: tx.Now, each: each, changed: map[crowdKey]crowd{}, grown: map[crowdKey]bool{}}
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, x := range c.changed {
			s.crowds[k] = x
		}
		if len(s.crowds) > crowdsMost {
			for k, x := range s.crowds {
				if c.now.Sub(x.last) > crowdPause {
					delete(s.crowds, k)
				}
			}
		}
	})
	return c
}

// crowdsMost is when those that are over are forgotten.
const crowdsMost = 2000

// add counts one more notice and returns the crowd; alone reports whether the
// person gets it as a notice of its own.
func (c *crowds) add(k crowdKey) (x crowd, alone bool) {
	if c.each || !gathers(k.kind) {
		return x, true
	}
	x, ok := c.changed[k]
	if !ok {
		c.s.mu.Lock()
		x = c.s.crowds[k]
		c.s.mu.Unlock()
		if c.now.Sub(x.last) > crowdPause {
			x = crowd{}
		}
	}
	x.last = c.now
	x.n++
	if alone = x.n <= crowdAfter; !alone {
		x.many++
		c.grown[k] = true
	}
	c.changed[k] = x
	return x, alone
}

// gathered is what is stored of a notice that stands for many.
func gathered(kind string, many int) (string, error) {
	link := "/tickets?view=mine"
	if kind == "ticket.clock_missed" || kind == "ticket.clock_escalated" {
		link = "/tickets?view=overdue"
	}
	raw, err := json.Marshal(stored{Link: link, Many: many})
	return string(raw), err
}

// write brings the gathering notices up to date. begin makes one for a person who
// has none, or has read his; it returns 0 for whom nothing is to be told.
func (c *crowds) write(ctx context.Context, tx *db.Tx, begin func(k crowdKey, args string) (int64, error)) error {
	keys := slices.SortedFunc(maps.Keys(c.grown), func(x, y crowdKey) int {
		return cmp.Or(cmp.Compare(x.user, y.user), strings.Compare(x.kind, y.kind), strings.Compare(string(x.class), string(y.class)))
	})
	for _, k := range keys {
		x := c.changed[k]
		args, err := gathered(k.kind, x.many)
		if err != nil {
			return fmt.Errorf("notify: %w", err)
		}
		if x.notice != 0 {
			res, err := tx.Exec(ctx, `UPDATE notifications SET args = $1 WHERE id = $2 AND user_id = $3 AND read_at = 0`, args, x.notice, k.user)
			if err != nil {
				return fmt.Errorf("notify: gather for %d: %w", k.user, err)
			}
			if n, err := res.RowsAffected(); err != nil {
				return fmt.Errorf("notify: gather for %d: %w", k.user, err)
			} else if n > 0 {
				continue
			}
			x.many -= c.before(k) // those he has read are told
			if args, err = gathered(k.kind, x.many); err != nil {
				return fmt.Errorf("notify: %w", err)
			}
		}
		if x.notice, err = begin(k, args); err != nil {
			return err
		}
		c.changed[k] = x
	}
	return nil
}

// before is how many a person's gathering notice counted before this transaction.
func (c *crowds) before(k crowdKey) int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.crowds[k].many
}

// Heading is what the notice is about: the title of the ticket, or how many it
// stands for.
func (n Notice) Heading(l i18n.Lang) string { return heading(l, n.Kind, n.Title, n.Many) }

func heading(l i18n.Lang, kind, title string, many int) string {
	if many == 0 {
		return title
	}
	return i18n.T(l, "notify.many", many, i18n.T(l, "notify.event."+occasion(kind).Kind))
}
