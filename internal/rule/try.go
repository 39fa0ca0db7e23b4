package rule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Limits of a test run.
const (
	MaxTryDays   = 90
	MaxTryEvents = 2000
)

// Hit is a ticket a rule would have fired on.
type Hit struct {
	Ticket ticket.Ticket
	Kind   string // of the event; since.<code>
	At     time.Time
	By     string
	Held   []Cond
	Would  []Would
}

// Would is what an action would have done.
type Would struct {
	Act  Act
	How  string // would, same
	Text string // what a text would have said
}

// Trial is the outcome of a test run.
type Trial struct {
	Looked  int  // at so many events, or tickets
	More    bool // there were more than are looked at
	Hits    []Hit
	Failed  int // evaluations that ended in an error
	Tickets int // different ones among the hits
}

// Try lets a rule, saved or not, look at what happened in the last days, and
// tells on which tickets it would have fired; of time, on which it would now.
// Tickets are looked at as they are today, with the event as it was. Nothing is
// written, and only tickets the reader may see are told of.
func (s *Service) Try(ctx context.Context, actor authz.Actor, r Rule, days int) (out Trial, err error) {
	if err := actor.Check(PermManage); err != nil {
		return out, err
	}
	days = max(1, min(days, MaxTryDays))
	q := s.db().Read()
	if err := s.checkIf(ctx, q, &r); err != nil {
		return out, err
	}
	vs, err := s.Vars(ctx, q, i18n.ZhCN)
	if err != nil {
		return out, err
	}
	p, err := Compile(r.Expr, vs)
	if err != nil {
		return out, err
	}
	refs, err := s.fieldRefs(ctx, q)
	if err != nil {
		return out, err
	}
	c := &compiled{Rule: r, prog: p, want: p.needs(refs)}
	reply, err := readReply(ctx, q)
	if err != nil {
		return out, err
	}
	o := &snapshot{vars: vs, office: reply.Office}
	sc := ticket.View(actor)
	seen := map[int64]bool{}
	var vm machine
	judge := func(m *moment, kind string, at time.Time, by string) error {
		ok, err := vm.holds(&c.prog, m.env)
		if err != nil {
			out.Failed++
			return nil
		}
		if !ok {
			return nil
		}
		if _, err := s.tick.Get(ctx, sc, m.t.ID); fault.Is(err, fault.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		h := Hit{Ticket: m.t, Kind: kind, At: at, By: by, Held: s.held(&vm, c, o, m)}
		for _, act := range r.Then {
			w := Would{Act: act, How: "would"}
			if act.Do == DoReply || act.Do == DoNote || act.Do == DoNotify {
				if w.Text, err = s.fill(ctx, q, act.Get("text"), m.t, i18n.ZhCN); err != nil {
					return err
				}
			}
			if act.Do == DoSet && already(m.t, act) {
				w.How = "same"
			}
			if o, ok := s.Other(act.Do); ok {
				if err := wouldOther(ctx, q, o, m.t, &w); err != nil {
					return err
				}
			}
			h.Would = append(h.Would, w)
		}
		if !seen[m.t.ID] {
			seen[m.t.ID] = true
			out.Tickets++
		}
		out.Hits = append(out.Hits, h)
		return nil
	}
	if r.When.Time != nil {
		return out, s.tryTime(ctx, o, c, &out, judge)
	}
	evs, err := s.past(ctx, q, r.When.kinds(), s.db().Clock().Now().AddDate(0, 0, -days))
	if err != nil {
		return out, err
	}
	if len(evs) > MaxTryEvents {
		evs, out.More = evs[:MaxTryEvents], true
	}
	for _, e := range evs {
		out.Looked++
		m := &moment{e: e, office: o.office, now: db.FromMicros(e.At)}
		if err := e.Decode(&m.fact); err != nil {
			continue
		}
		if m.t, err = s.tick.In(ctx, q, e.Subject.ID, false); fault.Is(err, fault.NotFound) {
			continue
		} else if err != nil {
			return out, err
		}
		if err := s.load(ctx, q, m, c.want); err != nil {
			if fault.Is(err, fault.NotFound) {
				continue
			}
			return out, err
		}
		if err := judge(m, e.Kind, db.FromMicros(e.At), e.ActorName); err != nil {
			return out, err
		}
	}
	return out, nil
}

// already reports whether the ticket has what the action sets.
func already(t ticket.Ticket, a Act) bool {
	v := a.Get("value")
	switch a.Get("field") {
	case "priority":
		return t.Priority == v
	case "urgency":
		return t.Urgency == v
	case "type":
		return t.Type == v
	case "class":
		return t.Class == v
	case "category":
		return itoa(t.CategoryID) == v
	}
	return false
}

// past returns the newest events of the kinds since then, one more than is looked
// at.
func (s *Service) past(ctx context.Context, q db.Querier, kinds []string, since time.Time) ([]event.Stored, error) {
	var all []event.Stored
	for _, k := range kinds {
		var before int64
		for n := 0; n <= MaxTryEvents; {
			evs, err := event.List(ctx, q, event.Filter{Kind: k, From: db.Micros(since), BeforeID: before, Limit: 500})
			if err != nil {
				return nil, err
			}
			for _, e := range evs {
				if e.Subject.Type == "ticket" {
					all = append(all, e)
				}
				n++
				before = e.ID
			}
			if len(evs) < 500 {
				break
			}
		}
	}
	return newest(all), nil
}

func newest(evs []event.Stored) []event.Stored {
	sortEvents(evs)
	return evs[:min(len(evs), MaxTryEvents+1)]
}

// tryTime looks at the tickets whose time has passed now.
func (s *Service) tryTime(ctx context.Context, o *snapshot, c *compiled, out *Trial, judge func(m *moment, kind string, at time.Time, by string) error) error {
	now := s.db().Clock().Now()
	until := db.Micros(now.Add(-c.When.Time.Length()))
	if c.When.Time.Minutes < 1 {
		return fault.Invalidf("rule.invalid").Field("amount", "rule.when.length")
	}
	var p pass
	for out.Looked < MaxTryEvents {
		ids, last, err := s.candidates(ctx, c, p, until)
		if err != nil {
			return err
		}
		for _, id := range ids {
			out.Looked++
			m, err := s.timed(ctx, s.db().Read(), o, c, id, false)
			if err != nil {
				return fmt.Errorf("rule: try on ticket %s: %w", strconv.FormatInt(id, 10), err)
			}
			if m == nil {
				continue
			}
			if err := judge(m, "since."+c.When.Time.Since, c.When.Time.from(m.t).Add(c.When.Time.Length()), ""); err != nil {
				return err
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
		p = last
	}
	out.More = true
	return nil
}

// sortEvents puts the newest first.
func sortEvents(evs []event.Stored) {
	slices.SortFunc(evs, func(a, b event.Stored) int { return cmp.Compare(b.ID, a.ID) })
}
