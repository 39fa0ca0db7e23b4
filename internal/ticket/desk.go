package ticket

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// SoonMinutes is how near a deadline has to be for a supervisor to look at it.
const SoonMinutes = 240

// Workload is what a person has before him; each count stops at MaxCount+1.
type Workload struct {
	Open    int64 // all of it, exactly
	Overdue int
	Soon    int // within SoonMinutes
	Waiting int // for the customer
}

// Workloads returns what each of users has before him. A count costs as many
// index rows as it says, and a hundred at most.
func (s *Service) Workloads(ctx context.Context, users []int64) (map[int64]Workload, error) {
	out := map[int64]Workload{}
	now := s.DB().Clock().Now()
	for len(users) > 0 {
		part := users[:min(len(users), 200)]
		users = users[len(part):]
		var a db.Args
		count := func(cond string) string {
			return "(SELECT COUNT(*) FROM (SELECT 1 FROM tickets t WHERE t.assignee_id = u.user_id AND t.is_open = 1 AND " + cond + " LIMIT " + lit(MaxCount+1) + ") x)"
		}
		overdue := count("t.due_at > 0 AND t.due_at < " + a.Add(db.Micros(now)))
		soon := count("t.due_at >= " + a.Add(db.Micros(now)) + " AND t.due_at < " + a.Add(db.Micros(now.Add(SoonMinutes*time.Minute))))
		waiting := count("t.state = " + a.Add(string(WaitingCustomer)))
		rows, err := s.DB().Read().Query(ctx, "SELECT u.user_id, u.open, "+
			overdue+", "+soon+", "+waiting+" FROM ticket_load u WHERE u.user_id IN ("+a.AddInts(part)+")", a.Values...)
		if err != nil {
			return nil, fmt.Errorf("ticket: workloads: %w", err)
		}
		for rows.Next() {
			var id int64
			var w Workload
			if err := rows.Scan(&id, &w.Open, &w.Overdue, &w.Soon, &w.Waiting); err != nil {
				rows.Close()
				return nil, fmt.Errorf("ticket: workloads: %w", err)
			}
			out[id] = w
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("ticket: workloads: %w", err)
		}
	}
	return out, nil
}

// Give hands a ticket to somebody, whatever its state: what is pending is
// assigned, what is worked on is reassigned and has to be acknowledged anew;
// what waits for the customer goes on waiting, in other hands. AssigneeID 0
// leaves it to the routing of its department.
func (s *Service) Give(ctx context.Context, actor authz.Actor, id int64, in Input) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.give", func(ctx context.Context, a *action.Action) error {
		old, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if blank(in.Reason) {
			return fault.Invalidf("ticket.need_reason").Field("reason", "ticket.need_reason")
		}
		if old.AssigneeID != 0 && old.AssigneeID == in.AssigneeID {
			return fault.New(fault.Conflict, "ticket.give.has_it", old.AssigneeName)
		}
		if in.AssigneeID == 0 && in.DepartmentID == 0 {
			in.DepartmentID = old.DepartmentID
		}
		switch old.State {
		case Pending:
			t, err = s.DoIn(ctx, a, id, Assign, in)
			return err
		case InProgress:
			t, err = s.DoIn(ctx, a, id, Reassign, in)
			return err
		case WaitingCustomer, AwaitingConfirmation:
			t, err = s.passOn(ctx, a, old, in)
			return err
		}
		return fault.New(fault.Conflict, "ticket.refused", i18n.Key("ticket.state."+string(old.State)), i18n.Key("ticket.verb.reassign"))
	})
	return t, err
}

// passOn changes the assignee of a ticket that waits and nothing else.
func (s *Service) passOn(ctx context.Context, a *action.Action, old Ticket, in Input) (Ticket, error) {
	if !old.InScope(authz.For(a.Actor, PermAssign)) {
		return Ticket{}, fault.New(fault.Forbidden, "ticket.only_supervisor")
	}
	if in.Version != 0 && in.Version != old.Version {
		return Ticket{}, changedMeanwhile()
	}
	t := old
	var way *Decision
	if in.AssigneeID != 0 {
		p, err := s.fit(ctx, a, in.AssigneeID, 0, old.DepartmentID)
		if err != nil {
			return Ticket{}, err
		}
		t.AssigneeID, t.AssigneeName, t.DepartmentID = p.ID, p.Name, p.department
	} else {
		tb, err := s.table(ctx, a)
		if err != nil {
			return Ticket{}, err
		}
		way = &Decision{Department: old.DepartmentID, Given: true}
		who, err := s.pick(ctx, a, tb, way, old.AssigneeID, requestOf(&old))
		if err != nil {
			return Ticket{}, err
		}
		if who.ID == 0 { // somebody has to hear the customer's answer
			return Ticket{}, fault.New(fault.Conflict, "ticket.give.nobody")
		}
		t.AssigneeID, t.AssigneeName = who.ID, who.Name
	}
	t.AssignedAt, t.ActivityAt = a.Now, a.Now
	if err := s.save(ctx, a, old, &t); err != nil {
		return Ticket{}, err
	}
	f := fact(old, t)
	f.Args, f.Tell, f.Route = []string{old.AssigneeName, t.AssigneeName}, tell(t.AssigneeID), way
	return t, s.note(ctx, a, EventHandedOver, t, f, strings.TrimSpace(in.Reason))
}

// Facts beside the moves.
const (
	EventHandedOver = "ticket.handed_over"
	EventNudged     = "ticket.nudged"
)

// nudgeEvery is how often somebody may be reminded of one ticket by hand.
const nudgeEvery = time.Hour

// Nudge reminds the assignee of a ticket on a supervisor's word (催办): at most
// once an hour, recorded with the ticket.
func (s *Service) Nudge(ctx context.Context, actor authz.Actor, id int64, words string) error {
	words = strings.TrimSpace(words)
	if len([]rune(words)) > 500 {
		return fault.Invalidf("ticket.too_long", 500).Field("words", "ticket.too_long", 500)
	}
	return s.run.Do(ctx, actor, "ticket.nudge", func(ctx context.Context, a *action.Action) error {
		t, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if !s.mayNudge(actor, &t) {
			return fault.New(fault.Forbidden, "ticket.only_supervisor")
		}
		if !t.State.Open() || t.AssigneeID == 0 {
			return fault.New(fault.Conflict, "ticket.nudge.nobody")
		}
		res, err := a.Exec(ctx, `UPDATE tickets SET nudged_at = $1 WHERE id = $2 AND nudged_at <= $3`, a.NowMicros(), id, db.Micros(a.Now.Add(-nudgeEvery)))
		if err != nil {
			return fmt.Errorf("ticket: nudge %d: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.New(fault.Limited, "ticket.nudge.often")
		}
		f := fact(t, t)
		f.From, f.Args, f.Tell, f.Urgent = "", []string{t.AssigneeName}, tell(t.AssigneeID), true
		return s.note(ctx, a, EventNudged, t, f, words)
	})
}

// mayNudge reports whether actor supervises the ticket or gives out its work.
func (s *Service) mayNudge(actor authz.Actor, t *Ticket) bool {
	return t.InScope(authz.For(actor, PermSupervise)) || t.InScope(authz.For(actor, PermAssign))
}

// CanNudge reports whether a nudge may be offered to actor; it does not know
// when the last one was.
func (s *Service) CanNudge(actor authz.Actor, t *Ticket) bool {
	return t.State.Open() && t.AssigneeID != 0 && t.AssigneeID != actor.ID && s.mayNudge(actor, t)
}
