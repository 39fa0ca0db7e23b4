package ticket

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// Facts of the ladders.
const (
	EventReminded = "ticket.clock_again" // a step was said again
	EventKnown    = "ticket.clock_known" // somebody knows of it
)

var firedKinds = map[string]string{"warn": "ticket.clock_warned", "remind": "ticket.clock_reminded", "miss": "ticket.clock_missed", "escalate": "ticket.clock_escalated", "decide": "ticket.clock_waited"}

// FiringEvent is the fact a firing is recorded as, which says how people are told.
func FiringEvent(f sla.Foreseen) string {
	if f.Again > 0 {
		return EventReminded
	}
	return firedKinds[f.Step.Name]
}

// spoken is the fact of a firing, with the line of the journal that goes with it.
type spoken struct {
	t    Ticket
	kind string
	f    Fact
	args []string

	was     int64 // version
	changed difference
}

// fired does what the steps of the clocks say, inside the transaction of the
// firing. All tickets are read, and all lines and facts written, together: a
// hundred thousand deadlines may fall due in one minute.
func (s *Service) fired(ctx context.Context, a *action.Action, fs []*sla.Fired) error {
	ids := make([]int64, len(fs))
	for i, f := range fs {
		ids[i] = f.Clock.TicketID
	}
	tickets := make(map[int64]Ticket, len(fs))
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := a.Query(ctx, "SELECT "+ticketColumns+" FROM tickets t WHERE t.id IN ("+in+")"+lockOf(a), args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t, err := scanTicket(rows)
			if err != nil {
				return err
			}
			tickets[t.ID] = t
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("ticket: fired: %w", err)
	}
	var said []spoken
	for _, f := range fs {
		t, ok := tickets[f.Clock.TicketID]
		if !ok {
			return fmt.Errorf("ticket: clock %d without ticket: %w", f.Clock.ID, notFound())
		}
		x, err := s.firedOne(ctx, a, t, f)
		if err != nil {
			return err
		}
		if x.kind != "" {
			said = append(said, x)
		}
	}
	var rows []changed
	for _, x := range said {
		if len(x.changed.columns) > 0 {
			rows = append(rows, changed{x.t.ID, x.was, x.changed})
		}
	}
	if err := saveRows(ctx, a, rows); err != nil {
		return err
	}
	var lines []journal.Entry
	var moves []journal.Moved
	for _, x := range said {
		if x.kind != EventReminded { // what is said again every few minutes would bury the rest
			lines = append(lines, journal.Entry{TicketID: x.t.ID, CustomerID: x.t.CustomerID})
			moves = append(moves, journal.Moved{Event: x.kind, Args: x.args})
		}
	}
	entries, err := journal.AddMoves(ctx, a, lines, moves)
	if err != nil {
		return err
	}
	for _, x := range said {
		if x.kind != EventReminded {
			x.f.Entry, entries = entries[0], entries[1:]
		}
		x.f.Args = x.args
		a.Record(event.Event{Kind: x.kind, Subject: Subject(x.t.ID), Data: x.f})
	}
	return nil
}

// firedOne does what one step says, and returns what is to be recorded of it.
func (s *Service) firedOne(ctx context.Context, a *action.Action, old Ticket, fi *sla.Fired) (x spoken, err error) {
	c, step := fi.Clock, fi.Step
	if step.Name == "lapse" {
		_, err := s.DoIn(ctx, a, old.ID, Lapse, Input{})
		return x, err
	}
	t := old
	fi.Told.Class = step.Class
	for _, w := range step.Tell {
		if w == sla.TheClient && t.ParentID == 0 {
			if err := deliver(ctx, a, t, 0, "reminder"); err != nil {
				return x, err
			}
			fi.Told.Client = true
			continue
		}
		people, err := s.whom(ctx, a, t, w)
		if err != nil {
			return x, err
		}
		for _, id := range people {
			if err := s.present(ctx, a, t, id, &fi.Told); err != nil {
				return x, err
			}
		}
	}
	args := []string{"@sla.clock." + string(c.Kind)}
	kind := firedKinds[step.Name]
	if fi.Again {
		kind, args = EventReminded, append(args, strconv.Itoa(c.Repeats+1))
	} else {
		if step.Name == "miss" && c.Kind.Promise() {
			t.Overdue = true
		}
		if step.Desk {
			t.Escalation++
			if t.SupervisorID, err = s.supervisor(ctx, a, t.DepartmentID); err != nil {
				return x, err
			}
			fi.Told.Desk = t.SupervisorID
		}
		if err := s.askFollowUp(ctx, a, t, c, step); err != nil {
			return x, err
		}
		// Nothing but the clock may have changed: then whoever has the ticket open
		// need not hear that it is another one.
		if x.changed, err = differ(ctx, a, old, &t); err != nil {
			return x, err
		}
		if len(x.changed.columns) > 0 {
			t.Version++
		}
	}
	f := fact(old, t)
	f.From, f.Tell, f.Clock, f.Step, f.Class = "", fi.Told.Users, c.Kind, step.Name, step.Class
	f.Urgent = f.Urgent || step.Class != sla.Normal
	return spoken{t, kind, f, args, old.Version, x.changed}, nil
}

// whom returns who is meant by w for t, as the organisation is now; nobody when
// there is nobody.
func (s *Service) whom(ctx context.Context, q db.Querier, t Ticket, w sla.Who) ([]int64, error) {
	one := func(id int64, err error) ([]int64, error) {
		if err != nil || id == 0 {
			return nil, err
		}
		return []int64{id}, nil
	}
	switch w {
	case sla.Assignee:
		if t.AssigneeID == 0 {
			return one(t.SupervisorID, nil)
		}
		return one(t.AssigneeID, nil)
	case sla.Supervisor:
		return one(s.supervisor(ctx, q, t.DepartmentID))
	case sla.Head:
		return one(s.org.HeadOf(ctx, q, t.DepartmentID))
	case sla.Duty:
		ids, err := s.org.OnDutyTurn(ctx, q, t.DepartmentID)
		if err != nil || len(ids) > 0 {
			return ids, err
		}
		return one(s.supervisor(ctx, q, t.DepartmentID)) // an empty roster leaves nobody untold
	case sla.TheClient: // of a sub-ticket
		return one(leadOwner(ctx, q, t.ParentID))
	}
	switch what, id, _ := w.Named(); what {
	case "user":
		p, ok, err := s.org.Person(ctx, q, id)
		if err != nil || !ok || !p.Active {
			return nil, err
		}
		return one(id, nil)
	case "role":
		return s.org.HoldersOfRole(ctx, q, id, t.DepartmentID)
	}
	return nil, nil
}

// present adds somebody to those told. Who is away is passed over for his
// delegate; without one, for the supervisor of the ticket's department (ORG-5).
func (s *Service) present(ctx context.Context, q db.Querier, t Ticket, id int64, told *sla.Told) error {
	by, err := s.org.StandIn(ctx, q, id)
	if err != nil {
		return err
	}
	p, ok, err := s.org.Person(ctx, q, by)
	if err != nil || !ok {
		return err
	}
	if p.Away {
		boss, err := s.supervisor(ctx, q, t.DepartmentID)
		if err != nil {
			return err
		}
		if boss, err = s.org.StandIn(ctx, q, boss); err != nil {
			return err
		}
		if b, ok, err := s.org.Person(ctx, q, boss); err != nil {
			return err
		} else if ok && !b.Away {
			by = boss
		}
	}
	if by != id {
		told.Instead = append(told.Instead, sla.Swap{Away: id, By: by})
	}
	if !slices.Contains(told.Users, by) {
		told.Users = append(told.Users, by)
	}
	return nil
}

// Know notes that the actor knows of what the ticket's clocks go on saying:
// nothing of it is said again.
func (s *Service) Know(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "ticket.know", func(ctx context.Context, a *action.Action) error {
		t, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if !t.InScope(authz.For(actor, PermView)) || !actor.Can(PermNote) {
			return authz.Denied(PermNote)
		}
		cs, err := sla.Silence(ctx, a, id)
		if err != nil {
			return err
		}
		if len(cs) == 0 {
			return fault.New(fault.Conflict, "ticket.nothing_insists")
		}
		for _, c := range cs {
			f := fact(t, t)
			f.From, f.Args, f.Clock = "", []string{"@sla.clock." + string(c.Kind)}, c.Kind
			if err := s.note(ctx, a, EventKnown, t, f, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// answerable tells the reports on promises who answers for tickets.
func answerable(ctx context.Context, q db.Querier, tickets []int64) (map[int64]sla.Answerable, error) {
	out := make(map[int64]sla.Answerable, len(tickets))
	err := db.EachIn(tickets, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id, department_id, assignee_id, channel FROM tickets WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var x sla.Answerable
			if err := rows.Scan(&id, &x.Department, &x.Assignee, &x.Channel); err != nil {
				return err
			}
			out[id] = x
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("ticket: who answers: %w", err)
	}
	return out, nil
}
