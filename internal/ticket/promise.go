package ticket

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/job"
	"bihuan/internal/sla"
)

// Case is what of the ticket decides which times are promised for it.
func (t *Ticket) Case() sla.Case {
	return sla.Case{Type: t.Type, Class: t.Class, Urgency: t.Urgency, Priority: t.Priority, Level: t.CustomerLevel, Channel: t.Channel, Customer: t.CustomerID, Department: t.DepartmentID}
}

// repromised are the clocks that follow the ticket's policy when it becomes
// another; those that wait for the customer go on as they began.
var repromised = []sla.Kind{sla.FirstResponse, sla.Acknowledge, sla.Urgent, sla.Resolution, sla.Update}

// repolicy gives the open clocks of t the promises of the policy it has now, if
// that is another than before; the time used is kept (SLA-4).
func (s *Service) repolicy(ctx context.Context, a *action.Action, old Ticket, t *Ticket, why string) error {
	before, now := old.Case(), t.Case()
	if before == now {
		return nil
	}
	ps, err := sla.Held(ctx, a)
	if err != nil {
		return err
	}
	p := sla.Chosen(ps, now)
	if was := sla.Chosen(ps, before); was.ID == p.ID && was.Name == p.Name {
		return nil
	}
	if err := s.promise(ctx, a, t, p, why); err != nil {
		return err
	}
	if t.Urgency == "urgent" && old.Urgency != "urgent" && t.State == Pending && t.ParentID == 0 {
		return sla.Arm(ctx, a, t.ID, sla.Urgent, t.Round, p.For(sla.Urgent), why)
	}
	return nil
}

func (s *Service) promise(ctx context.Context, a *action.Action, t *Ticket, p sla.Policy, why string) error {
	for _, k := range repromised {
		if k == sla.Resolution && t.DueFixed {
			continue // people agreed on it
		}
		if err := sla.Retarget(ctx, a, t.ID, k, p.For(k), why); err != nil {
			return err
		}
	}
	return nil
}

// Recount is a change of calendars or policies that deadlines under way follow.
type Recount struct {
	Policies  bool                    `json:"policies,omitempty"`  // each open ticket gets the promises of its policy as it is now
	Calendars []int64                 `json:"calendars,omitempty"` // deadlines counted in these
	Weeks     map[int64]calendar.Week `json:"weeks,omitempty"`     // of a calendar, as it was until the change
}

const (
	recountJob   = "ticket_recount"
	recountBatch = 100
	// eventRecounted says that a deadline was counted anew.
	eventRecounted = "ticket.recounted"
)

// AskRecount has deadlines under way counted anew, in the background, in the
// transaction of the change.
func (s *Service) AskRecount(ctx context.Context, a *action.Action, r Recount) error {
	if s.jobs == nil {
		return nil
	}
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	_, err := s.jobs.Enqueue(ctx, a.Tx, recountJob, r, job.Opts{By: by})
	return err
}

// FollowCalendar is asked at each change of a calendar.
func (s *Service) FollowCalendar(ctx context.Context, a *action.Action, c calendar.Change) error {
	if !c.Apply {
		return nil
	}
	r := Recount{Calendars: c.Calendars}
	b, err := calendar.Load(ctx, a)
	if err != nil {
		return err
	}
	if len(r.Calendars) == 0 { // holidays
		for _, x := range b.All() {
			if x.Holidays {
				r.Calendars = append(r.Calendars, x.ID)
			}
		}
	}
	if c.Before != nil {
		r.Weeks = map[int64]calendar.Week{c.Calendars[0]: *c.Before}
	}
	return s.AskRecount(ctx, a, r)
}

// recount does it, a hundred tickets in each transaction.
func (s *Service) recount(ctx context.Context, j *job.Job) error {
	var r Recount
	if err := j.Decode(&r); err != nil {
		return job.Discard(err)
	}
	b, err := calendar.Load(ctx, s.DB().Read())
	if err != nil {
		return err
	}
	past := map[int64]*calendar.Times{}
	for _, id := range r.Calendars {
		if past[id] = b.Of(id); len(r.Weeks) > 0 {
			if w, ok := r.Weeks[id]; ok {
				past[id] = b.With(id, w)
			}
		}
	}
	for last, done := int64(0), 0; ; {
		ids, err := s.recountable(ctx, r, last)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := s.run.Do(ctx, authz.System("deadline recount"), "ticket.recount", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			if err := lockAll(ctx, a, ids); err != nil {
				return err
			}
			for _, id := range ids {
				if err := s.recountOne(ctx, a, id, r, past); err != nil {
					return fmt.Errorf("ticket: recount %d: %w", id, err)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		last, done = ids[len(ids)-1], done+len(ids)
		if err := j.SetProgress(ctx, strconv.Itoa(done)); err != nil {
			return err
		}
	}
}

func (s *Service) recountable(ctx context.Context, r Recount, after int64) ([]int64, error) {
	var a db.Args
	if r.Policies {
		return idsOf(ctx, s.DB().Read(), `SELECT id FROM tickets WHERE is_open = 1 AND id > `+a.Add(after)+` ORDER BY id LIMIT `+strconv.Itoa(recountBatch), a.Values...)
	}
	if len(r.Calendars) == 0 {
		return nil, nil
	}
	return idsOf(ctx, s.DB().Read(), `SELECT DISTINCT ticket_id FROM clocks WHERE state = 'running' AND ticket_id > `+a.Add(after)+` AND calendar_id IN (`+a.AddInts(r.Calendars)+`) ORDER BY ticket_id LIMIT `+strconv.Itoa(recountBatch), a.Values...)
}

func (s *Service) recountOne(ctx context.Context, a *action.Action, id int64, r Recount, past map[int64]*calendar.Times) error {
	old, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, "")
	if err != nil || !old.State.Open() {
		return err
	}
	t := old
	before, err := sla.Open(ctx, a, id)
	if err != nil {
		return err
	}
	if r.Policies {
		p, err := sla.Pick(ctx, a, t.Case())
		if err != nil {
			return err
		}
		if err := s.promise(ctx, a, &t, p, "policy"); err != nil {
			return err
		}
	} else {
		var fixed []sla.Kind
		if t.DueFixed {
			fixed = []sla.Kind{sla.Resolution}
		}
		if _, err := sla.Recount(ctx, a, id, past, "calendar", fixed...); err != nil {
			return err
		}
	}
	after, err := sla.Open(ctx, a, id)
	if err != nil {
		return err
	}
	was := map[int64]time.Time{}
	for _, c := range before {
		was[c.ID] = c.DueAt
	}
	moved := len(before) != len(after)
	for _, c := range after {
		moved = moved || !was[c.ID].Equal(c.DueAt)
	}
	if !moved {
		return nil
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return err
	}
	f := fact(old, t)
	f.From = "" // no move
	why := "sla.recounted.calendar"
	if r.Policies {
		why = "sla.recounted.policy"
	}
	f.Args = []string{"@" + why}
	return s.note(ctx, a, eventRecounted, t, f, "")
}
