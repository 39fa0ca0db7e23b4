package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/ticket"
)

// sweepBatch is how many tickets a rule looks at in one go.
const sweepBatch = 200

// sweepReach is how far back what has just become due is looked for; what is
// older is found by the rolling look.
const sweepReach = 15 * time.Minute

// pass is how far the rolling look of a rule is: conditions may come to hold long
// after the time has passed.
type pass struct {
	at, id int64
}

// column is what the time of a rule is counted from.
func (t Timing) column() string {
	switch t.Since {
	case "activity":
		return "t.activity_at"
	case "customer":
		return "t.customer_at"
	case "state":
		return "t.state_at"
	}
	return "t.created_at"
}

// occasion is what makes one firing on the ticket differ from the next.
func (t Timing) occasion(x ticket.Ticket) int64 {
	switch t.Once {
	case "ticket":
		return 0
	case "each":
		return db.Micros(t.from(x))
	}
	return db.Micros(x.StateAt)
}

// from is when the time of the ticket began; zero: it does not run.
func (t Timing) from(x ticket.Ticket) time.Time {
	switch t.Since {
	case "activity":
		return x.ActivityAt
	case "customer":
		return x.CustomerAt
	case "state":
		if x.State != t.State {
			return time.Time{}
		}
		return x.StateAt
	}
	return x.CreatedAt
}

// due reports whether the time has passed.
func (t Timing) due(x ticket.Ticket, now time.Time) bool {
	from := t.from(x)
	return !from.IsZero() && !now.Before(from.Add(t.Length())) && (t.Since == "state" || x.State.Open())
}

// Sweep lets the rules that are a matter of time fire, and returns how often they
// did.
func (s *Service) Sweep(ctx context.Context) (fired int, err error) {
	s.sweep.Lock()
	defer s.sweep.Unlock()
	o, err := s.current(ctx, s.db().Read())
	if err != nil || len(o.timed) == 0 {
		return 0, err
	}
	var errs []error
	for _, c := range o.timed {
		n, err := s.sweepOne(ctx, o, c)
		if fired += n; err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", c.ID, err)) // one does not hold up the others
		}
	}
	return fired, errors.Join(errs...)
}

func (s *Service) sweepOne(ctx context.Context, o *snapshot, c *compiled) (fired int, err error) {
	now := s.db().Clock().Now()
	until := db.Micros(now.Add(-c.When.Time.Length()))
	fresh, _, err := s.candidates(ctx, c, pass{at: db.Micros(now.Add(-c.When.Time.Length() - sweepReach))}, until)
	if err != nil {
		return 0, err
	}
	from := s.passes[c.ID]
	older, last, err := s.candidates(ctx, c, from, until)
	if err != nil {
		return 0, err
	}
	if len(older) < sweepBatch {
		last = pass{}
	}
	s.passes[c.ID] = last
	seen := map[int64]bool{}
	var vm machine
	for _, id := range append(fresh, older...) {
		if seen[id] {
			continue
		}
		seen[id] = true
		m, err := s.timed(ctx, s.db().Read(), o, c, id, false)
		if err != nil {
			return fired, err
		}
		if m == nil {
			continue
		}
		if ok, err := vm.holds(&c.prog, m.env); err == nil && !ok {
			continue
		}
		did := false
		err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			did = false
			m, err := s.timed(ctx, tx, o, c, id, true)
			if err != nil || m == nil {
				return err
			}
			// The occasion is taken with the firing, or not at all: what does not hold
			// yet may hold later.
			if ok, err := vm.holds(&c.prog, m.env); err == nil && !ok {
				return nil
			}
			if first, err := once(ctx, tx, c.ID, id, c.When.Time.occasion(m.t)); err != nil || !first {
				return err
			}
			did, err = s.ask(ctx, tx, o, &vm, c, m, nil, "since."+c.When.Time.Since)
			return err
		})
		if err != nil {
			slog.Error("rule: a matter of time", "rule", c.ID, "ticket", id, "err", err)
			continue
		}
		if did {
			fired++
		}
		if now, err := get(ctx, s.db().Read(), c.ID, ""); err != nil || !now.Enabled {
			return fired, nil // switched off by what it did
		}
	}
	return fired, nil
}

// candidates returns the tickets behind p whose time has passed until then and
// that have not had their occasion, in the order of an index.
func (s *Service) candidates(ctx context.Context, c *compiled, p pass, until int64) (ids []int64, last pass, err error) {
	t := *c.When.Time
	var a db.Args
	col := t.column()
	cond := "t.is_open = 1"
	if t.Since == "state" {
		cond = "t.state = " + a.Add(string(t.State))
	}
	if t.Since == "customer" {
		cond += " AND t.customer_at > 0"
	}
	occasion := "0"
	switch t.Once {
	case "each":
		occasion = col
	case "state":
		occasion = "t.state_at"
	}
	rows, err := s.db().Read().Query(ctx, `
		SELECT t.id, `+col+` FROM tickets t
		WHERE  `+cond+` AND (`+col+`, t.id) > (`+a.Add(p.at)+`, `+a.Add(p.id)+`) AND `+col+` <= `+a.Add(until)+` AND `+col+` > 0
		  AND  NOT EXISTS (SELECT 1 FROM rule_occasions o WHERE o.rule_id = `+a.Add(c.ID)+` AND o.ticket_id = t.id AND o.occasion = `+occasion+`)
		ORDER BY `+col+`, t.id LIMIT `+strconv.Itoa(sweepBatch), a.Values...)
	if err != nil {
		return nil, p, fmt.Errorf("rule: matters of time: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&last.id, &last.at); err != nil {
			return nil, p, fmt.Errorf("rule: matters of time: %w", err)
		}
		ids = append(ids, last.id)
	}
	return ids, last, rows.Err()
}

// timed loads what a rule looks at when time has passed; nil when it has not.
func (s *Service) timed(ctx context.Context, q db.Querier, o *snapshot, c *compiled, id int64, lock bool) (*moment, error) {
	m := &moment{now: s.db().Clock().Now(), office: o.office}
	var err error
	if m.t, err = s.tick.In(ctx, q, id, lock); err != nil {
		return nil, err
	}
	if !c.When.Time.due(m.t, m.now) {
		return nil, nil
	}
	return m, s.load(ctx, q, m, c.want)
}
