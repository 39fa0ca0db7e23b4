package ticket

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/org"
)

// Decision is how a ticket came to its department and person. It is kept with
// the fact of the move, so that it says for good what was true then; people and
// departments by id.
type Decision struct {
	Department int64        `json:"department,omitempty"`
	Rule       int64        `json:"rule,omitempty"` // that took it; 0: none, the department was given or is the first
	Name       string       `json:"name,omitempty"` // of the rule
	Hits       []Hit        `json:"hits,omitempty"` // what of the request met it; none of the rule for the rest
	Given      bool         `json:"given,omitempty"`
	Tried      []Try        `json:"tried,omitempty"`
	People     []Considered `json:"people,omitempty"` // who was looked at: the chosen, the free, the others
	Of         int          `json:"of,omitempty"`     // how many, when People are only the first of them
	Chosen     int64        `json:"chosen,omitempty"` // 0: the supervisor, or whoever takes it
	Supervisor int64        `json:"supervisor,omitempty"`
}

// pulled reports whether the ticket was left to whoever takes it.
func (d *Decision) pulled() bool {
	return len(d.Tried) > 0 && d.Tried[len(d.Tried)-1].Result == triedQueue
}

// Try is a strategy that was asked, with what came of it:
// routing.result.<result>.
type Try struct {
	Strategy Strategy `json:"s"`
	Result   string   `json:"r"`
	User     int64    `json:"u,omitempty"` // last handler, owner
}

// What came of a strategy.
const (
	triedChosen  = "chosen"
	triedQueue   = "queue"    // left to whoever takes it
	triedEmpty   = "empty"    // nobody is free
	triedUnknown = "unknown"  // there is no owner, no earlier ticket
	triedNotFree = "not_free" // he cannot be given it now; People says why
	triedOutside = "outside"  // he does not work in the department
	triedNoSkill = "no_skill" // the request asks for no skill, or nobody free has it
)

// Considered is somebody who was looked at.
type Considered struct {
	User     int64  `json:"u"`
	Open     int64  `json:"o"`
	Capacity int64  `json:"c"`
	Skills   int    `json:"k,omitempty"` // of those the request asks for
	Why      string `json:"w,omitempty"` // routing.why.<why>; "" he could have been chosen
}

// Why somebody cannot be given work now, in the order it is looked at.
const (
	whyRight   = "no_right"
	whyBefore  = "before" // has it, or has just given it back
	whyLeaving = "leaving"
	whyAway    = "away"
	whyOffline = "offline"
	whyBusy    = "busy"
	whyOff     = "off" // outside his working hours
	whyFull    = "full"
)

// maxConsidered bounds the people kept with a decision.
const maxConsidered = 40

type free struct {
	org.Member
	open int64
	hits int
}

// choose finds the person for a request in department by its chain. Everybody
// is asked for right, duty, leave and capacity first; when nobody passes, it is
// nobody, and the supervisor decides. turn tells who had the last turn, and is
// asked only when people take turns. except has the ticket, or has just given
// it back.
func (s *Service) choose(ctx context.Context, q db.Querier, tb *table, d *Decision, except int64, r Request, turn func() (int64, error)) (assignee, error) {
	members, err := s.org.Members(ctx, q, d.Department, PermHandle)
	if err != nil {
		return assignee{}, err
	}
	chain := tb.chain(d.Department)
	if chain[0] == Pull {
		d.Tried = []Try{{Strategy: Pull, Result: triedQueue}}
		return assignee{}, nil
	}
	ids := make([]int64, 0, len(members))
	for _, m := range members {
		if m.Allowed {
			ids = append(ids, m.ID)
		}
	}
	load := map[int64]int64{}
	if len(ids) > 0 {
		if load, err = Load(ctx, q, ids); err != nil {
			return assignee{}, err
		}
	}
	var wanted []int64
	if slices.Contains(chain, BySkill) {
		wanted = tb.wanted(r)
	}
	var pool []free
	people := make([]Considered, 0, len(members))
	for _, m := range members {
		c := Considered{User: m.ID, Open: load[m.ID], Capacity: m.Capacity}
		for _, k := range wanted {
			c.Skills += int(db.Bool(slices.Contains(m.Skills, k)))
		}
		switch {
		case !m.Allowed:
			c.Why = whyRight
		case m.ID == except:
			c.Why = whyBefore
		case tb.leaving[m.ID]:
			c.Why = whyLeaving
		case m.Away:
			c.Why = whyAway
		case m.Availability == org.Offline:
			c.Why = whyOffline
		case m.Availability != org.Online:
			c.Why = whyBusy
		case m.Off:
			c.Why = whyOff
		case c.Open >= m.Capacity:
			c.Why = whyFull
		default:
			pool = append(pool, free{m, c.Open, c.Skills})
		}
		people = append(people, c)
	}
	who, err := s.ask(ctx, q, chain, d, pool, people, r, len(wanted) > 0, turn)
	if err != nil {
		return assignee{}, err
	}
	d.Chosen = who.ID
	rank := func(c Considered) int {
		switch {
		case c.User == who.ID:
			return 0
		case c.Why == "":
			return 1
		case c.Why == whyRight:
			return 3
		}
		return 2
	}
	slices.SortStableFunc(people, func(a, b Considered) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Open, b.Open)) })
	if d.People = people; len(people) > maxConsidered {
		d.People, d.Of = people[:maxConsidered], len(people)
	}
	return who, nil
}

// ask goes through the chain until a strategy has an answer.
func (s *Service) ask(ctx context.Context, q db.Querier, chain []Strategy, d *Decision, pool []free, people []Considered, r Request, skilled bool, turn func() (int64, error)) (assignee, error) {
	least := func(of []free) assignee {
		best := slices.MinFunc(of, func(a, b free) int { return cmp.Or(cmp.Compare(a.open, b.open), cmp.Compare(a.ID, b.ID)) })
		return assignee{best.ID, best.Name}
	}
	for _, st := range chain {
		try := Try{Strategy: st, Result: triedEmpty}
		var who assignee
		switch {
		case st == Pull:
			try.Result = triedQueue
		case len(pool) == 0 && st != LastHandler && st != ByOwner: // of those two it is said who it would be
		case st == LeastLoaded:
			who = least(pool)
		case st == RoundRobin:
			last, err := turn()
			if err != nil {
				return who, err
			}
			next := pool[0] // by id; who comes behind the last one is next
			if i := slices.IndexFunc(pool, func(f free) bool { return f.ID > last }); i >= 0 {
				next = pool[i]
			}
			who = assignee{next.ID, next.Name}
		case st == BySkill:
			most := slices.MaxFunc(pool, func(a, b free) int { return cmp.Compare(a.hits, b.hits) }).hits
			if !skilled || most == 0 {
				try.Result = triedNoSkill
				break
			}
			who = least(slices.DeleteFunc(slices.Clone(pool), func(f free) bool { return f.hits < most }))
		case st == LastHandler, st == ByOwner:
			user, err := s.familiar(ctx, q, st, &r)
			if err != nil {
				return who, err
			}
			try.User = user
			if user != 0 { // who is away has chosen who acts for him
				if by, err := s.org.StandIn(ctx, q, user); err != nil {
					return who, err
				} else if slices.ContainsFunc(pool, func(f free) bool { return f.ID == by }) {
					user = by
				}
			}
			switch i := slices.IndexFunc(pool, func(f free) bool { return f.ID == user }); {
			case user == 0:
				try.Result = triedUnknown
			case i >= 0:
				who = assignee{pool[i].ID, pool[i].Name}
			case slices.ContainsFunc(people, func(c Considered) bool { return c.User == user }):
				try.Result = triedNotFree
			default:
				try.Result = triedOutside
			}
		}
		if who.ID != 0 {
			try.Result = triedChosen
		}
		d.Tried = append(d.Tried, try)
		if who.ID != 0 || st == Pull {
			return who, nil
		}
	}
	return assignee{}, nil
}

// familiar is who knows the customer: 0 when there is nobody.
func (s *Service) familiar(ctx context.Context, q db.Querier, st Strategy, r *Request) (int64, error) {
	if r.CustomerID == 0 {
		return 0, nil
	}
	if st == ByOwner {
		if r.OwnerID == 0 && r.ticket != 0 {
			b, err := s.customers.Brief(ctx, q, r.CustomerID, 0)
			if err != nil {
				return 0, err
			}
			r.OwnerID = b.OwnerID
		}
		return r.OwnerID, nil
	}
	var user int64
	err := q.QueryRow(ctx, `
		SELECT x.assignee_id FROM (SELECT t.id, t.assignee_id FROM tickets t WHERE t.customer_id = $1 AND t.id <> $2 ORDER BY t.id DESC LIMIT 50) x
		WHERE x.assignee_id > 0 ORDER BY x.id DESC LIMIT 1`, r.CustomerID, r.ticket).Scan(&user)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("ticket: last handler: %w", err)
	}
	return user, nil
}

// pick gives a ticket to somebody of d's department, or to nobody. The turn of
// a department is given out one after another: its row stays locked until the
// ticket is stored, so that nobody is passed over and nobody gets two.
func (s *Service) pick(ctx context.Context, a *action.Action, tb *table, d *Decision, except int64, r Request) (assignee, error) {
	asked := false
	who, err := s.choose(ctx, a, tb, d, except, r, func() (last int64, err error) {
		asked = true
		err = a.QueryRow(ctx, `INSERT INTO routing_turns (department_id, given) VALUES ($1, 1)
			ON CONFLICT (department_id) DO UPDATE SET given = routing_turns.given + 1 RETURNING last_user`, d.Department).Scan(&last)
		if err != nil {
			err = fmt.Errorf("ticket: turn in %d: %w", d.Department, err)
		}
		return last, err
	})
	if err != nil || !asked || who.ID == 0 {
		return who, err
	}
	if _, err := a.Exec(ctx, `UPDATE routing_turns SET last_user = $1 WHERE department_id = $2`, who.ID, d.Department); err != nil {
		return who, fmt.Errorf("ticket: turn in %d: %w", d.Department, err)
	}
	return who, nil
}

// Trial is what routing would do with a request now.
type Trial struct {
	Decision
	Rules []Checked // that were looked at, in order
	Chain []Strategy
}

// TryRouting says what would become of a request, without registering it.
func (s *Service) TryRouting(ctx context.Context, r Request) (t Trial, err error) {
	q := s.DB().Read()
	tb, err := s.tableOf(ctx, q, "")
	if err != nil {
		return t, err
	}
	d, ok := tb.match(r, &t.Rules)
	if !ok {
		if d, err = firstDepartment(ctx, q); err != nil {
			return t, err
		}
	}
	_, err = s.choose(ctx, q, tb, &d, 0, r, func() (last int64, err error) {
		err = q.QueryRow(ctx, `SELECT last_user FROM routing_turns WHERE department_id = $1`, d.Department).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return last, err
	})
	if err != nil {
		return t, err
	}
	if d.Chosen == 0 {
		if d.Supervisor, err = s.supervisor(ctx, q, d.Department); err != nil {
			return t, err
		}
	}
	t.Decision, t.Chain = d, tb.chain(d.Department)
	return t, nil
}
