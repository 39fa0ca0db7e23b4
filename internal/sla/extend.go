package sla

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/db"
)

// Extend moves the deadline of the open clock of kind k from old to due while it
// runs, and by the working time between them while it is paused. The time used is kept. Steps whose time
// under the new deadline is still to come fire again at that time, and a promise
// that can now be kept is no longer missed. ok is false when no such clock is
// open.
func Extend(ctx context.Context, a *action.Action, ticketID int64, k Kind, old, due time.Time) (ok bool, err error) {
	cs, err := Open(ctx, a, ticketID)
	if err != nil {
		return false, err
	}
	defer forget(a, ticketID)
	for _, c := range cs {
		if c.Kind != k {
			continue
		}
		if c.State == Running {
			old = c.DueAt
		}
		if !due.After(old) {
			return true, nil // pauses have moved it further already
		}
		if c.FirstTarget == 0 {
			c.FirstTarget = c.Target
		}
		used := c.UsedAt(a.Now)
		c.Target += c.hours.Elapsed(old, due)
		if c.State == Running {
			c.DueAt = due // exactly, be it on a day off
		}
		c.rewind(used)
		dueAt, next := int64(0), int64(0)
		if c.State == Running {
			dueAt, next = db.Micros(c.DueAt), db.Micros(c.next())
		}
		if _, err := a.Exec(ctx, `UPDATE clocks SET target = $1, first_target = $2, due_at = $3, next_at = $4, step = $5, repeats = $6, known_at = $7, missed = $8 WHERE id = $9`,
			c.Target.Microseconds(), c.FirstTarget.Microseconds(), dueAt, next, c.Step, c.Repeats, db.Micros(c.KnownAt), db.Bool(used > c.Target), c.ID); err != nil {
			return false, fmt.Errorf("sla: extend clock %d: %w", c.ID, err)
		}
		if err := uncount(ctx, a, c.ID); err != nil {
			return false, err
		}
		return true, nil
	}
	return false, nil
}

// Fix gives the open clock of kind k the deadline people agreed on; a clock that
// its policy does not measure is started for it.
func Fix(ctx context.Context, a *action.Action, ticketID int64, k Kind, round int, due time.Time, why string) error {
	is := func(c Clock) bool { return c.Kind == k }
	b, err := known(ctx, a, ticketID, is)
	if err != nil {
		return err
	}
	for i, c := range b.clocks {
		if !is(c) {
			continue
		}
		used := c.UsedAt(a.Now)
		p := Promise{used + c.hours.Elapsed(a.Now, due), c.Calendar, c.Policy, c.PolicyID, c.PolicyVersion}
		b.clocks[i], err = change(ctx, a, c, p, c.hours, used, due, why)
		return err
	}
	return Arm(ctx, a, ticketID, k, round, Promise{Target: due.Sub(a.Now)}, why)
}

// Restore gives back the clocks that were stopped for the reason ended: those
// that ran run on from where they stood, those that were paused stay paused. The
// time in between is not counted.
func Restore(ctx context.Context, a *action.Action, ticketID int64, ended, why string) error {
	cs, err := list(ctx, a, "ticket_id = $1 AND state = 'stopped' AND end_reason = $2 ORDER BY id", ticketID, ended)
	if err != nil {
		return err
	}
	defer forget(a, ticketID)
	for _, c := range cs {
		var ran int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM clock_segments WHERE clock_id = $1 AND ended_at = $2 AND end_reason = $3`, c.ID, db.Micros(c.EndedAt), ended).Scan(&ran); err != nil {
			return fmt.Errorf("sla: restore clock %d: %w", c.ID, err)
		}
		state, segment, due, next := Paused, int64(0), int64(0), int64(0)
		if ran > 0 {
			c.start(a.Now)
			state, segment, due, next = Running, a.NowMicros(), db.Micros(c.DueAt), db.Micros(c.NextAt)
			if _, err := a.Exec(ctx, `INSERT INTO clock_segments (clock_id, started_at, start_reason) VALUES ($1, $2, $3)`, c.ID, a.NowMicros(), why); err != nil {
				return fmt.Errorf("sla: restore clock %d: %w", c.ID, err)
			}
		}
		if _, err := a.Exec(ctx, `UPDATE clocks SET state = $1, segment_at = $2, due_at = $3, next_at = $4, ended_at = 0, end_reason = '' WHERE id = $5`,
			string(state), segment, due, next, c.ID); err != nil {
			return fmt.Errorf("sla: restore clock %d: %w", c.ID, err)
		}
		if err := uncount(ctx, a, c.ID); err != nil {
			return err
		}
	}
	return nil
}
