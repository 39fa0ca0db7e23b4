package task

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// May reports whether actor may change t: his own, those he has given, and
// within the scope of PermManage those of others.
func (s *Service) May(ctx context.Context, q db.Querier, actor authz.Actor, t Task) (bool, error) {
	if actor.Kind == authz.Worker {
		return true, nil
	}
	if actor.Kind != authz.User {
		return false, nil
	}
	if (t.OwnerID == actor.ID || t.CreatedBy == actor.ID) && actor.Can(PermUse) {
		return true, nil
	}
	sc := authz.For(actor, PermManage)
	if sc.Empty() {
		return false, nil
	}
	p, _, err := s.org.Person(ctx, q, t.OwnerID)
	if err != nil {
		return false, err
	}
	return sc.Everything() || sc.Matches(nil, p.DepartmentID), nil
}

// change loads a task in the actor's view, checks that he may, and lets fn
// change it.
func (s *Service) change(ctx context.Context, actor authz.Actor, id, version int64, name string, fn func(ctx context.Context, a *action.Action, old Task, t *Task) error) (t Task, err error) {
	err = s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		old, err := get(ctx, a, View(actor), id, a.ForUpdate())
		if err != nil {
			return err
		}
		if ok, err := s.May(ctx, a, actor, old); err != nil {
			return err
		} else if !ok {
			return authz.Denied(PermManage)
		}
		if version != 0 && version != old.Version {
			return changedMeanwhile()
		}
		t = old
		return fn(ctx, a, old, &t)
	})
	if err != nil {
		return Task{}, err
	}
	return s.Get(ctx, authz.For(authz.System("task"), PermView), id)
}

func open(t Task) error {
	if t.State != Open {
		return fault.New(fault.Conflict, "task.closed_already")
	}
	return nil
}

func because(reason string, needed bool) (string, error) {
	reason = line(reason)
	if needed && utf8.RuneCountInString(reason) < 2 {
		return "", fault.Invalidf("task.need_reason").Field("reason", "task.need_reason")
	}
	if utf8.RuneCountInString(reason) > MaxReason {
		return "", fault.Invalidf("task.reason_long", MaxReason).Field("reason", "task.reason_long", MaxReason)
	}
	return reason, nil
}

// Complete says that the task is done. One that is done already stays so.
func (s *Service) Complete(ctx context.Context, actor authz.Actor, id, version int64) (Task, error) {
	return s.change(ctx, actor, id, 0, "task.complete", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if old.State == Done {
			a.Nothing()
			return nil
		}
		if err := open(old); err != nil {
			return err
		}
		if version != 0 && version != old.Version {
			return changedMeanwhile()
		}
		if old.Owed() {
			return fault.New(fault.Conflict, "task.owed")
		}
		return finish(ctx, a, old, *t, Done, "")
	})
}

// Cancel ends the task undone, with the reason.
func (s *Service) Cancel(ctx context.Context, actor authz.Actor, id, version int64, reason string) (Task, error) {
	reason, err := because(reason, true)
	if err != nil {
		return Task{}, err
	}
	return s.change(ctx, actor, id, version, "task.cancel", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if err := open(old); err != nil {
			return err
		}
		if old.Owed() {
			return fault.New(fault.Conflict, "task.owed")
		}
		return finish(ctx, a, old, *t, Cancelled, reason)
	})
}

// Reopen takes the end of a task back.
func (s *Service) Reopen(ctx context.Context, actor authz.Actor, id, version int64, reason string) (Task, error) {
	reason, err := because(reason, false)
	if err != nil {
		return Task{}, err
	}
	return s.change(ctx, actor, id, version, "task.reopen", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if old.State == Open {
			a.Nothing()
			return nil
		}
		if old.Owed() {
			return fault.New(fault.Conflict, "task.owed")
		}
		if err := s.mayOwn(ctx, a, t.OwnerID, t.Subject); err != nil {
			return err
		}
		set, err := readSettings(ctx, a)
		if err != nil {
			return err
		}
		t.State, t.Reason, t.ClosedAt, t.ClosedBy, t.ClosedByName = Open, reason, time.Time{}, 0, ""
		t.wind(a.Now, set, s.zone)
		if err := save(ctx, a, old, t); err != nil {
			return err
		}
		a.Record(note(ReopenedKind, *t, reason, others(a, t.OwnerID), nil))
		return nil
	})
}

// Edit changes what describes an open task.
func (s *Service) Edit(ctx context.Context, actor authz.Actor, id, version int64, n New) (Task, error) {
	if err := n.check(s.Now(), s.zone); err != nil {
		return Task{}, err
	}
	return s.change(ctx, actor, id, version, "task.edit", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if err := open(old); err != nil {
			return err
		}
		if n.OwnerID != 0 && n.OwnerID != old.OwnerID {
			if err := s.mayOwn(ctx, a, n.OwnerID, old.Subject); err != nil {
				return err
			}
			t.OwnerID = n.OwnerID
		}
		t.Title, t.Details, t.DueAt, t.AllDay, t.Remind = n.Title, n.Details, n.DueAt, n.AllDay, n.Remind
		if old.Owed() { // when it is owed is a promise, not a wish
			t.DueAt, t.AllDay = old.DueAt, old.AllDay
		}
		if *t == old {
			a.Nothing()
			return nil
		}
		return rewind(ctx, a, old, t)
	})
}

// Move gives an open task another day, at the same time of it, or another time.
func (s *Service) Move(ctx context.Context, actor authz.Actor, id, version int64, to time.Time, allDay bool) (Task, error) {
	if to.IsZero() || to.Year() > s.Now().Year()+20 {
		return Task{}, fault.Invalidf("task.due_bad").Field("due", "task.due_bad")
	}
	return s.change(ctx, actor, id, version, "task.move", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if err := open(old); err != nil {
			return err
		}
		if old.Owed() {
			return fault.New(fault.Conflict, "task.owed_when")
		}
		if t.DueAt, t.AllDay = to, allDay; allDay {
			t.DueAt = EndOf(to.In(s.zone))
		}
		if t.DueAt.Equal(old.DueAt) && t.AllDay == old.AllDay {
			a.Nothing()
			return nil
		}
		return rewind(ctx, a, old, t)
	})
}

// MoveDay moves an open task to another day of the calendar; its time of the day
// stays. One without a date lasts that day.
func (s *Service) MoveDay(ctx context.Context, actor authz.Actor, id, version int64, day time.Time) (Task, error) {
	t, err := s.Get(ctx, View(actor), id)
	if err != nil {
		return t, err
	}
	y, m, d := day.In(s.zone).Date()
	if t.AllDay || t.DueAt.IsZero() {
		return s.Move(ctx, actor, id, version, time.Date(y, m, d, 12, 0, 0, 0, s.zone), true)
	}
	at := t.DueAt.In(s.zone)
	return s.Move(ctx, actor, id, version, time.Date(y, m, d, at.Hour(), at.Minute(), at.Second(), 0, s.zone), false)
}

// Reassign gives an open task to somebody else, with the reason.
func (s *Service) Reassign(ctx context.Context, actor authz.Actor, id, version, owner int64, reason string) (Task, error) {
	reason, err := because(reason, true)
	if err != nil {
		return Task{}, err
	}
	return s.change(ctx, actor, id, version, "task.reassign", func(ctx context.Context, a *action.Action, old Task, t *Task) error {
		if err := open(old); err != nil {
			return err
		}
		if owner == old.OwnerID {
			a.Nothing()
			return nil
		}
		if err := s.mayOwn(ctx, a, owner, old.Subject); err != nil {
			return err
		}
		t.OwnerID, t.Reason = owner, reason
		return rewind(ctx, a, old, t)
	})
}

// Work is what of this room a person leaves behind (ORG-7).
func (s *Service) Work() org.Work {
	return org.Work{
		Name: "task.open_work",
		OfUser: func(ctx context.Context, q db.Querier, user int64) (n int, err error) {
			err = q.QueryRow(ctx, `SELECT COUNT(*) FROM tasks WHERE owner_id = $1 AND state = 'open'`, user).Scan(&n)
			return n, err
		},
		HandOver: func(ctx context.Context, a *action.Action, from, to int64) (int, error) {
			res, err := a.Exec(ctx, `UPDATE tasks SET owner_id = $1, updated_at = $2, version = version + 1 WHERE owner_id = $3 AND state = 'open'`, to, a.NowMicros(), from)
			if err != nil {
				return 0, fmt.Errorf("task: hand over: %w", err)
			}
			n, err := res.RowsAffected()
			if err != nil || n == 0 {
				return 0, err
			}
			if _, err := a.Exec(ctx, `DELETE FROM task_feeds WHERE user_id = $1`, from); err != nil {
				return 0, fmt.Errorf("task: hand over: %w", err)
			}
			a.Record(handedOver(from, to, n))
			return int(n), nil
		},
	}
}

// likeEscape makes what somebody looks for a part of a pattern.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
