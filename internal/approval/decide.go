package approval

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
)

// Decision is what somebody says to a request.
type Decision struct {
	Approve bool
	Comment string // required when refusing
	// Version is the request's as the decider saw it; 0: whatever it is. With it
	// nobody agrees to a step he has not seen.
	Version int64
}

// Approve agrees to the step the request is at.
func (s *Service) Approve(ctx context.Context, actor authz.Actor, id int64, comment string) (Request, error) {
	return s.Decide(ctx, actor, id, Decision{Approve: true, Comment: comment})
}

// Refuse ends the request; comment says why.
func (s *Service) Refuse(ctx context.Context, actor authz.Actor, id int64, comment string) (Request, error) {
	return s.Decide(ctx, actor, id, Decision{Comment: comment})
}

// Decide records the actor's decision on the step the request is at. When it is
// the last one the kind's Decided runs in the same transaction. Who came second
// gets a Conflict that says who was first.
func (s *Service) Decide(ctx context.Context, actor authz.Actor, id int64, d Decision) (r Request, err error) {
	if !person(actor) {
		return r, fault.New(fault.Forbidden, "approval.staff_only")
	}
	if err := actor.Check(PermUse); err != nil {
		return r, err
	}
	d.Comment = strings.TrimSpace(d.Comment)
	name := "approval.refuse"
	if d.Approve {
		name = "approval.approve"
	}
	err = s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		r, err = s.decide(ctx, a, id, d)
		return err
	})
	return r, err
}

func (s *Service) decide(ctx context.Context, a *action.Action, id int64, d Decision) (Request, error) {
	r, err := load(ctx, a, id, a.ForUpdate())
	if err != nil {
		return r, err
	}
	known, err := s.concerned(ctx, a, a.Actor, r)
	if err != nil {
		return r, err
	}
	if !known && r.State != Pending {
		return r, notFound()
	}
	if r.RequestedBy == a.Actor.ID {
		return r, fault.New(fault.Forbidden, "approval.own_request")
	}
	if r.State != Pending {
		return r, s.over(ctx, a, r)
	}
	// By the organisation as it is now, which what is written down may lag behind.
	forID, forName, err := s.entitled(ctx, a, r)
	if err != nil && !known {
		return r, notFound()
	}
	if err != nil {
		return r, err
	}
	if d.Version != 0 && d.Version != r.Version {
		return r, fault.New(fault.Conflict, "approval.changed_meanwhile")
	}
	if n := utf8.RuneCountInString(d.Comment); n > maxComment {
		return r, fault.Invalidf("approval.invalid").Field("comment", "approval.too_long", maxComment, n)
	} else if !d.Approve && n < 2 {
		return r, fault.Invalidf("approval.invalid").Field("comment", "approval.comment_required")
	}
	e := Entry{What: DidRefuse, ByID: a.Actor.ID, ByName: a.Actor.Name, ForID: forID, ForName: forName, Comment: d.Comment, Took: a.Now.Sub(r.ArrivedAt)}
	if d.Approve {
		e.What = DidApprove
	}
	if err := note(ctx, a, r, e); err != nil {
		return r, err
	}
	record := func(kind string, tell ...int64) {
		if forID != 0 {
			tell = append(tell, forID) // he learns what was done in his name
		}
		f := s.fact(kind, r, tell, a.Actor.Name)
		facts := f.Data.(Facts)
		facts.For, facts.Waiting = forID, nil
		f.Data = facts
		a.Record(f)
	}
	switch {
	case !d.Approve:
		record(RefusedKind, r.RequestedBy)
		return r, s.end(ctx, a, &r, Refused)
	case r.Step+1 < len(r.Rule.Steps):
		record(StepApproved, r.RequestedBy)
		r.Step++
		return r, s.arrive(ctx, a, &r)
	}
	record(ApprovedKind, r.RequestedBy)
	return r, s.end(ctx, a, &r, Approved)
}

// entitled returns for whom the actor may decide r's step: 0 for himself.
func (s *Service) entitled(ctx context.Context, a *action.Action, r Request) (forID int64, forName string, err error) {
	ids, err := s.turns(ctx, a, r)
	if err != nil {
		return 0, "", err
	}
	if slices.Contains(ids, a.Actor.ID) {
		return 0, "", nil
	}
	ws, err := s.describe(ctx, a, r, ids)
	if err != nil {
		return 0, "", err
	}
	for _, w := range ws {
		if w.StandIn == a.Actor.ID {
			return w.UserID, w.Name, nil
		}
	}
	h, err := history(ctx, a, r.ID)
	if err != nil {
		return 0, "", err
	}
	asked := false
	for _, e := range slices.Backward(h) {
		if e.What != DidApprove {
			continue
		}
		if e.ByID == a.Actor.ID || e.ForID == a.Actor.ID {
			return 0, "", fault.New(fault.Conflict, "approval.decided_before")
		}
		if !asked && e.Step == r.Step-1 { // perhaps he was asked too, and was slower
			return 0, "", fault.New(fault.Conflict, "approval.step_decided", e.ByName)
		}
		asked = true
	}
	return 0, "", fault.New(fault.Forbidden, "approval.not_your_turn", names(ws))
}

// over is the refusal to decide what has ended, and says by whom.
func (s *Service) over(ctx context.Context, a *action.Action, r Request) error {
	h, err := history(ctx, a, r.ID)
	if err != nil {
		return err
	}
	by := ""
	if len(h) > 0 {
		by = h[len(h)-1].ByName
	}
	return fault.New(fault.Conflict, "approval.over."+string(r.State), by)
}

// end closes r and lets the room that asked follow, in the same transaction.
func (s *Service) end(ctx context.Context, a *action.Action, r *Request, state State) error {
	r.State, r.DecidedAt, r.RemindAt, r.EscalateAt, r.Waiting = state, a.Now, time.Time{}, time.Time{}, nil
	if err := setWaiting(ctx, a, r.ID, nil); err != nil {
		return err
	}
	if err := save(ctx, a, r); err != nil {
		return err
	}
	var err error
	if r.History, err = history(ctx, a, r.ID); err != nil {
		return err
	}
	if d, ok := s.kinds[r.Kind]; ok && d.Decided != nil {
		if err := d.Decided(ctx, a, *r); err != nil {
			if _, isFault := fault.As(err); isFault {
				return err
			}
			return fmt.Errorf("approval: %s after %s: %w", r.Kind, state, err)
		}
	}
	return nil
}

// Withdraw ends the actor's own request.
func (s *Service) Withdraw(ctx context.Context, actor authz.Actor, id int64, comment string) (r Request, err error) {
	if !person(actor) {
		return r, fault.New(fault.Forbidden, "approval.staff_only")
	}
	err = s.run.Do(ctx, actor, "approval.withdraw", func(ctx context.Context, a *action.Action) error {
		if r, err = load(ctx, a, id, a.ForUpdate()); err != nil {
			return err
		}
		if r.RequestedBy != actor.ID {
			if ok, err := s.concerned(ctx, a, actor, r); err != nil || !ok {
				return notFound()
			}
			return fault.New(fault.Forbidden, "approval.not_yours")
		}
		if r.State != Pending {
			return s.over(ctx, a, r)
		}
		comment = strings.TrimSpace(comment)
		if n := utf8.RuneCountInString(comment); n > maxComment {
			return fault.Invalidf("approval.invalid").Field("comment", "approval.too_long", maxComment, n)
		}
		told := r.told
		if err := note(ctx, a, r, Entry{What: DidWithdraw, ByID: actor.ID, ByName: actor.Name, Comment: comment, Took: a.Now.Sub(r.ArrivedAt)}); err != nil {
			return err
		}
		a.Record(s.fact(WithdrawnAt, r, told, actor.Name))
		return s.end(ctx, a, &r, Withdrawn)
	})
	return r, err
}
