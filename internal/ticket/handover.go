package ticket

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/sla"
)

// Handover is somebody's open tickets given to others in one step: to a
// colleague, or spread by routing (ToID 0).
type Handover struct {
	ID         int64
	FromID     int64
	ToID       int64
	Reason     string
	Done       bool
	Total      int // open when it was asked for
	Moved      int
	Unassigned int           // of those, for which nobody was free: with the supervisor
	Receivers  map[int64]int // how many each got
	ByID       int64
	CreatedAt  time.Time
	FinishedAt time.Time
	last       int64
}

// The facts of a handover; their subject is the handover.
const (
	EventHandoverStarted  = "ticket.handover_started"
	EventHandoverFinished = "ticket.handover_finished"
	EventHandoverReceived = "ticket.handover_received" // one for each receiver
	EventHandoverGiven    = "ticket.handover_given"    // for whom it left
)

const (
	handoverSubject = "handover"
	handoverJob     = "handover"
)

// HandoverInput asks for a handover.
type HandoverInput struct {
	FromID  int64
	ToID    int64 // 0: spread by routing
	Reason  string
	OffDuty bool // and set him offline, so that nothing new comes
}

// MayHandOver reports whether actor may hand over the work of somebody who works
// in the department: his own, if he may pass tickets on, or that of his people.
func MayHandOver(actor authz.Actor, user, department int64) bool {
	if actor.Kind == authz.User && actor.ID == user {
		return actor.Can(PermPassOn)
	}
	return actor.Can(PermAssign) && authz.For(actor, PermAssign).Matches(nil, department)
}

// StartHandover begins to hand over all open tickets of a person. From here on
// nothing new is given to him until it is done; the work itself goes on in the
// background, ticket by ticket.
func (s *Service) StartHandover(ctx context.Context, actor authz.Actor, in HandoverInput) (id int64, err error) {
	err = s.run.Do(ctx, actor, "ticket.hand_over", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.StartHandoverIn(ctx, a, in)
		return err
	})
	return id, err
}

// StartHandoverIn is StartHandover within an action.
func (s *Service) StartHandoverIn(ctx context.Context, a *action.Action, in HandoverInput) (id int64, err error) {
	in.Reason = strings.TrimSpace(in.Reason)
	// First: who is just giving him a ticket has given it before we look, or
	// sees that he is leaving.
	if err := s.touchRouting(ctx, a); err != nil {
		return 0, err
	}
	from, ok, err := s.org.Person(ctx, a, in.FromID)
	if err != nil {
		return 0, err
	}
	if !ok || !MayHandOver(a.Actor, from.ID, from.DepartmentID) {
		return 0, fault.New(fault.Forbidden, "handover.not_yours")
	}
	e := fault.Invalidf("ticket.invalid")
	if in.Reason == "" {
		e.Field("reason", "ticket.need_reason")
	} else if len([]rune(in.Reason)) > 500 {
		e.Field("reason", "ticket.too_long", 500)
	}
	to := ""
	if in.ToID != 0 {
		p, ok, err := s.org.Person(ctx, a, in.ToID)
		if err != nil {
			return 0, err
		}
		can, err := s.org.CanBeGiven(ctx, a, in.ToID, 0, PermHandle)
		if err != nil {
			return 0, err
		}
		switch {
		case !ok || !p.Active:
			e.Field("to", "ticket.assignee.unknown")
		case in.ToID == in.FromID:
			e.Field("to", "handover.same")
		case !can:
			e.Field("to", "ticket.assignee.no_right", p.Name)
		case p.Away:
			e.Field("to", "handover.away", p.Name)
		}
		to = p.Name
	}
	if err := e.OrNil(); err != nil {
		return 0, err
	}
	var running int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM handovers WHERE state = 'running' AND from_id IN ($1, $2)`, in.FromID, in.ToID).Scan(&running); err != nil {
		return 0, fmt.Errorf("ticket: handover: %w", err)
	}
	if running > 0 {
		return 0, fault.New(fault.Conflict, "handover.running")
	}
	var total int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE assignee_id = $1 AND is_open = 1`, in.FromID).Scan(&total); err != nil {
		return 0, fmt.Errorf("ticket: handover: %w", err)
	}
	if total == 0 {
		return 0, fault.New(fault.Conflict, "handover.nothing", from.Name)
	}
	if err := a.QueryRow(ctx, `INSERT INTO handovers (from_id, to_id, reason, total, by_id, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		in.FromID, in.ToID, in.Reason, total, a.Actor.ID, a.NowMicros()).Scan(&id); err != nil {
		return 0, fmt.Errorf("ticket: handover: %w", err)
	}
	if in.OffDuty {
		if err := s.org.OffDuty(ctx, a, in.FromID); err != nil {
			return 0, err
		}
	}
	if _, err := s.jobs.Enqueue(ctx, a.Tx, handoverJob, handoverArgs{id}, job.Opts{UniqueKey: "handover:" + strconv.FormatInt(id, 10), By: a.Actor.ID}); err != nil {
		return 0, err
	}
	args := []string{from.Name, strconv.Itoa(total), to}
	if to == "" {
		args[2] = "@" + "handover.by_routing"
	}
	a.Record(event.Event{Kind: EventHandoverStarted, Subject: event.Subject{Type: handoverSubject, ID: id}, Reason: in.Reason, Data: map[string]any{"args": args}})
	return id, nil
}

type handoverArgs struct {
	ID int64 `json:"id"`
}

// HandoverOf returns a handover the actor may see: he asked for it, or it is
// about him or one of his people. NotFound otherwise.
func (s *Service) HandoverOf(ctx context.Context, actor authz.Actor, id int64) (Handover, error) {
	h, err := loadHandover(ctx, s.DB().Read(), id, "")
	if err != nil {
		return h, err
	}
	p, _, err := s.org.Person(ctx, nil, h.FromID)
	if err != nil {
		return h, err
	}
	if h.ByID != actor.ID && h.FromID != actor.ID && h.ToID != actor.ID && !MayHandOver(actor, p.ID, p.DepartmentID) {
		return Handover{}, notFound()
	}
	return h, nil
}

func loadHandover(ctx context.Context, q db.Querier, id int64, lock string) (h Handover, err error) {
	var state, receivers string
	var created, finished int64
	err = q.QueryRow(ctx, `SELECT id, from_id, to_id, reason, state, total, moved, unassigned, last_id, receivers, by_id, created_at, finished_at FROM handovers WHERE id = $1`+lock, id).
		Scan(&h.ID, &h.FromID, &h.ToID, &h.Reason, &state, &h.Total, &h.Moved, &h.Unassigned, &h.last, &receivers, &h.ByID, &created, &finished)
	if errors.Is(err, sql.ErrNoRows) {
		return h, notFound()
	}
	if err != nil {
		return h, fmt.Errorf("ticket: handover %d: %w", id, err)
	}
	h.Done, h.CreatedAt, h.FinishedAt = state == "done", db.FromMicros(created), db.FromMicros(finished)
	return h, json.Unmarshal([]byte(receivers), &h.Receivers)
}

// handOver does a handover. Each ticket is a step of its own that also says how
// far the whole is, so that a program that stops goes on where it was. It ends
// when, with nobody giving out work at that moment, nothing is left.
func (s *Service) handOver(ctx context.Context, j *job.Job) error {
	var args handoverArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	h, err := loadHandover(ctx, s.DB().Read(), args.ID, "")
	if err != nil || h.Done {
		return err
	}
	actor, err := s.org.Actor(ctx, h.ByID)
	if err != nil { // he has left; what he asked for is done all the same
		actor = authz.System("handover")
	}
	for {
		ids, err := idsOf(ctx, s.DB().Read(), `SELECT id FROM tickets WHERE assignee_id = $1 AND is_open = 1 AND id > $2 ORDER BY id LIMIT 50`, h.FromID, h.last)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.handOverOne(ctx, actor, h, id); err != nil {
				return fmt.Errorf("ticket: handover %d: ticket %d: %w", h.ID, id, err)
			}
			h.last = id
		}
		if len(ids) > 0 {
			continue
		}
		done, err := s.finishHandover(ctx, h.ID)
		if err != nil || done {
			return err
		}
		h.last = 0 // one came meanwhile, from somebody who did not know yet
	}
}

func (s *Service) handOverOne(ctx context.Context, actor authz.Actor, h Handover, id int64) error {
	return s.run.Do(ctx, actor, "ticket.hand_over", func(ctx context.Context, a *action.Action) error {
		old, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, lockOf(a))
		if fault.Is(err, fault.NotFound) {
			a.Nothing()
			return nil
		}
		if err != nil {
			return err
		}
		if old.AssigneeID != h.FromID || !old.State.Open() { // somebody was faster
			a.Nothing()
			return nil
		}
		t := old
		var way *Decision
		unassigned := 0
		if h.ToID != 0 {
			t.AssigneeID, t.AssigneeName = h.ToID, s.org.Name(ctx, h.ToID)
		} else {
			tb, err := s.table(ctx, a)
			if err != nil {
				return err
			}
			way = &Decision{Department: t.DepartmentID, Given: true}
			who, err := s.pick(ctx, a, tb, way, h.FromID, requestOf(&old))
			if err != nil {
				return err
			}
			t.AssigneeID, t.AssigneeName = who.ID, who.Name
			if who.ID == 0 {
				unassigned = 1
				if err := s.leftOver(ctx, a, &t, h, way); err != nil {
					return err
				}
			}
		}
		t.ActivityAt, t.AssignedAt = a.Now, a.Now
		if t.AssigneeID == 0 {
			t.AssignedAt = time.Time{}
		}
		if t.State == Pending { // who gets it has the whole time to take it up
			p, err := sla.Pick(ctx, a, t.Case())
			if err != nil {
				return err
			}
			if err := sla.Arm(ctx, a, t.ID, sla.Acknowledge, t.Round, p.For(sla.Acknowledge), "handed_over"); err != nil {
				return err
			}
		}
		if err := s.save(ctx, a, old, &t); err != nil {
			return err
		}
		now, err := loadHandover(ctx, a, h.ID, a.ForUpdate())
		if err != nil {
			return err
		}
		if now.Receivers == nil {
			now.Receivers = map[int64]int{}
		}
		if t.AssigneeID != 0 {
			now.Receivers[t.AssigneeID]++
		}
		raw, err := json.Marshal(now.Receivers)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE handovers SET moved = moved + 1, unassigned = unassigned + $1, last_id = $2, receivers = $3 WHERE id = $4`, unassigned, id, string(raw), h.ID); err != nil {
			return fmt.Errorf("ticket: handover: %w", err)
		}
		f := fact(old, t)
		f.Args, f.Route = []string{old.AssigneeName, t.AssigneeName}, way
		if t.AssigneeID == 0 {
			f.Args[1] = s.org.DepartmentName(ctx, t.DepartmentID)
		}
		return s.note(ctx, a, EventHandedOver, t, f, h.Reason)
	})
}

// leftOver finds who answers for a ticket nobody is free for: a pending one lies
// in the queue on the supervisor's desk; one under way becomes the supervisor's,
// for somebody has to hear the customer's answer.
func (s *Service) leftOver(ctx context.Context, a *action.Action, t *Ticket, h Handover, way *Decision) error {
	sup, err := s.supervisor(ctx, a, t.DepartmentID)
	if err != nil {
		return err
	}
	if sup == h.FromID {
		if sup, err = s.org.HeadOf(ctx, a, t.DepartmentID); err != nil {
			return err
		}
	}
	if sup == 0 || sup == h.FromID {
		sup = h.ByID
	}
	way.Supervisor = sup
	if t.State == Pending {
		t.SupervisorID = sup
		return nil
	}
	if sup == h.FromID { // there is nobody else in the whole company
		return fault.New(fault.Conflict, "ticket.give.nobody")
	}
	t.AssigneeID, t.AssigneeName = sup, s.org.Name(ctx, sup)
	return nil
}

// finishHandover ends a handover when nothing is left, and tells everybody once.
func (s *Service) finishHandover(ctx context.Context, id int64) (done bool, err error) {
	err = s.run.Do(ctx, authz.System("handover"), "ticket.finish_handover", func(ctx context.Context, a *action.Action) error {
		done = false
		if err := s.touchRouting(ctx, a); err != nil { // nobody is giving out work now
			return err
		}
		h, err := loadHandover(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		left, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE assignee_id = $1 AND is_open = 1 LIMIT 1`, h.FromID)
		if err != nil || len(left) > 0 || h.Done {
			done = h.Done
			a.Nothing()
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE handovers SET state = 'done', finished_at = $1 WHERE id = $2`, a.NowMicros(), id); err != nil {
			return fmt.Errorf("ticket: handover: %w", err)
		}
		done = true
		from := s.org.Name(ctx, h.FromID)
		page := "/desk/handovers/" + strconv.FormatInt(id, 10)
		say := func(kind, link string, tell []int64, args ...string) {
			a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: handoverSubject, ID: id}, Data: map[string]any{"args": args, "title": from, "link": link, "tell": tell}})
		}
		say(EventHandoverFinished, page, tell(h.ByID), from, strconv.Itoa(h.Moved), strconv.Itoa(h.Unassigned))
		if h.FromID != h.ByID {
			say(EventHandoverGiven, page, tell(h.FromID), strconv.Itoa(h.Moved))
		}
		for _, user := range sorted(h.Receivers) {
			if user != h.ByID {
				say(EventHandoverReceived, "/tickets?view=mine", tell(user), from, strconv.Itoa(h.Receivers[user]))
			}
		}
		return nil
	})
	return done, err
}

// OpenByState counts the open tickets of a person by state.
func (s *Service) OpenByState(ctx context.Context, user int64) (map[State]int, error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT state, COUNT(*) FROM tickets WHERE assignee_id = $1 AND is_open = 1 GROUP BY state`, user)
	if err != nil {
		return nil, fmt.Errorf("ticket: open of %d: %w", user, err)
	}
	defer rows.Close()
	out := map[State]int{}
	for rows.Next() {
		var st State
		var n int
		if err := rows.Scan((*string)(&st), &n); err != nil {
			return nil, fmt.Errorf("ticket: open of %d: %w", user, err)
		}
		out[st] = n
	}
	return out, rows.Err()
}
