package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// timer is who reminds, escalates and lets lapse.
var timer = authz.System("approval timer")

const sweepBatch = 200

// Sweep does what is due: reminders, escalations, lapses. It returns how many
// requests it touched. Each due time is written down with what was done at it,
// so that it is done once on one node or many.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	q := s.run.DB().Read()
	done := 0
	var errs error
	for {
		ids, err := idsOf(ctx, q, `SELECT id FROM approvals WHERE state = 'pending' AND due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2`, db.Micros(s.run.DB().Clock().Now()), sweepBatch)
		if err != nil {
			return done, errors.Join(errs, err)
		}
		for _, id := range ids {
			err := s.run.Do(ctx, timer, "approval.timer", func(ctx context.Context, a *action.Action) error { return s.due(ctx, a, id) })
			if err != nil {
				// What cannot end now must not hold up the others, nor be tried every minute.
				errs = errors.Join(errs, fmt.Errorf("approval: timer of %d: %w", id, err), s.later(ctx, id))
			}
			done++
		}
		if len(ids) < sweepBatch {
			return done, errs
		}
	}
}

// due does what has come due of one request.
func (s *Service) due(ctx context.Context, a *action.Action, id int64) error {
	a.Nothing()
	r, err := load(ctx, a, id, a.ForUpdate())
	if err != nil || r.State != Pending {
		return err
	}
	passed := func(t time.Time) bool { return !t.IsZero() && !t.After(a.Now) }
	if passed(r.LapseAt) {
		if err := note(ctx, a, r, Entry{What: DidLapse, Took: a.Now.Sub(r.ArrivedAt)}); err != nil {
			return err
		}
		a.Record(s.fact(LapsedKind, r, append([]int64{r.RequestedBy}, r.told...)))
		return s.end(ctx, a, &r, Lapsed)
	}
	if passed(r.EscalateAt) {
		before, err := s.candidates(ctx, a, r)
		if err != nil {
			return err
		}
		r.Level++
		now, err := s.candidates(ctx, a, r)
		if err != nil {
			return err
		}
		r.EscalateAt = after(a.Now, r.Rule.EscalateHours)
		r.RemindAt = after(a.Now, r.Rule.RemindHours) // asking somebody new reminds nobody a minute later
		if len(now) <= len(before) {                  // nobody is further up: it stays where it is
			r.Level--
			r.EscalateAt = time.Time{}
			if len(now) > 0 {
				return s.remind(ctx, a, &r)
			}
		}
		return s.turn(ctx, a, &r, Escalated, DidEscalate)
	}
	if passed(r.RemindAt) {
		r.RemindAt = after(a.Now, r.Rule.RemindHours)
		return s.remind(ctx, a, &r)
	}
	return nil
}

// remind tells all whose turn it is; who is to be asked is found out anew, since
// people have gone away or come back without anybody saying so.
func (s *Service) remind(ctx context.Context, a *action.Action, r *Request) error {
	r.told = nil
	return s.turn(ctx, a, r, Reminded, DidRemind)
}

// later puts a request that failed off by an hour.
func (s *Service) later(ctx context.Context, id int64) error {
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE approvals SET due_at = $1 WHERE id = $2 AND state = 'pending'`, db.Micros(tx.Now.Add(time.Hour)), id)
		return err
	})
}

func idsOf(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// changesTurns are the facts after which somebody else may have to decide.
var changesTurns = []string{org.UserCreated, org.UserChanged, org.UserRolesChanged, org.UserDeactivated, org.UserReactivated, org.AvailabilityChanged,
	org.DepartmentLeadChanged, org.DepartmentMoved, org.DepartmentDeactivated, org.RoleChanged, org.RoleDeleted}

// changesTurn reports whether the fact may change whose turn it is. People are
// busy and online again all day; that alone changes nothing.
func changesTurn(e event.Stored) bool {
	var f org.Facts
	if e.Kind != org.AvailabilityChanged || e.Decode(&f) != nil {
		return true
	}
	return slices.ContainsFunc(f.Changes, func(c event.Change) bool { return c.Field != "availability" })
}

// Listener finds out anew whose turn it is when the organisation has changed.
func (s *Service) Listener() event.Listener {
	return event.Listener{Name: "approval", Kinds: changesTurns, Wants: changesTurn, Handle: func(ctx context.Context, tx *db.Tx, _ []event.Stored) error {
		ids, err := idsOf(ctx, tx, `SELECT id FROM approvals WHERE state = 'pending' ORDER BY id`)
		if err != nil {
			return err
		}
		return action.Within(ctx, tx, authz.System("approval desk"), "approval.reassign", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			for _, id := range ids {
				if err := s.reassign(ctx, a, id); err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
			}
			return nil
		})
	}}
}

// reassign brings whose turn it is up to date.
func (s *Service) reassign(ctx context.Context, a *action.Action, id int64) error {
	r, err := load(ctx, a, id, a.ForUpdate())
	if err != nil || r.State != Pending {
		return err
	}
	before, err := stored(ctx, a, id)
	if err != nil {
		return err
	}
	now, err := s.candidates(ctx, a, r)
	if err != nil {
		return err
	}
	ws, err := s.describe(ctx, a, r, now)
	if err != nil {
		return err
	}
	if same(before, now) && subset(audience(ws), r.told) {
		return nil
	}
	return s.turn(ctx, a, &r, Reassigned, DidReassign)
}

// same reports whether both hold the same ids; before is sorted.
func same(before, now []int64) bool {
	return len(before) == len(now) && subset(now, before)
}

func subset(some, all []int64) bool {
	for _, id := range some {
		found := false
		for _, o := range all {
			found = found || o == id
		}
		if !found {
			return false
		}
	}
	return true
}
