package sla

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/db"
)

// Start is a clock to be started on a ticket that comes from elsewhere.
type Start struct {
	TicketID int64
	Kind     Kind
	Round    int
	Promise  Promise   // Target 0: Due - From
	From     time.Time // when it began to run
	Due      time.Time // when it is due; may be past
	Paused   bool      // it stands still: Due is ignored
	Why      string
}

// ArmMany starts the clocks as they would stand now if they had run here all
// along, except that steps whose time is past do not fire: whoever imports a
// thousand late tickets must not send a thousand alarms. A clock past its due
// time is marked as missed; it runs on, so that the ticket stays in the lists
// of what is late.
func ArmMany(ctx context.Context, tx *db.Tx, starts []Start) error {
	if len(starts) == 0 {
		return nil
	}
	ids, err := tx.ReserveIDs(ctx, "clocks", len(starts))
	if err != nil {
		return err
	}
	l, err := held(ctx, tx)
	if err != nil {
		return err
	}
	const width = 22
	clocks := make([]any, 0, len(starts)*width)
	segments := make([]any, 0, len(starts)*6)
	for i, s := range starts {
		if !s.From.Before(s.Due) && !s.Paused {
			s.From = s.Due.Add(-time.Minute)
		}
		c := Clock{Kind: s.Kind, State: Running, SegmentAt: s.From, DueAt: s.Due}
		hours, err := hoursOf(ctx, tx, s.Promise.Calendar)
		if err != nil {
			return err
		}
		if c.promise(s.Promise, hours); c.Target == 0 {
			c.Target = max(hours.Elapsed(s.From, s.Due), time.Minute)
		}
		ladder := l.of(s.Kind, c.Policy)
		c.Ladder, c.rungs = ladder.ID, ladder.Steps
		var due, segment, next int64
		if s.Paused {
			c.State = Paused
			c.Used = max(0, min(hours.Elapsed(s.From, tx.Now), c.Target-time.Minute))
		} else {
			due, segment = db.Micros(s.Due), db.Micros(s.From)
			c.Missed = !tx.Now.Before(s.Due)
			for c.Step < len(c.rungs) && !c.at(c.rung(c.Step)).After(tx.Now) {
				c.Step++
			}
			c.Repeats = maxRepeats // nothing of the past is said again
			next = db.Micros(c.next())
		}
		clocks = append(clocks, ids[i], s.TicketID, string(s.Kind), max(s.Round, 1), string(c.State), c.Policy, c.Target.Microseconds(), db.Micros(s.From),
			due, c.Used.Microseconds(), segment, c.Step, next, db.Bool(c.Missed), 0, "", c.Ladder, c.Repeats, db.Bool(c.Missed), c.PolicyID, c.PolicyVersion, c.Calendar)
		ended, endWhy := int64(0), ""
		if s.Paused {
			ended, endWhy = tx.NowMicros(), s.Why
		}
		segments = append(segments, ids[i], db.Micros(s.From), ended, s.Why, endWhy, c.Used.Microseconds())
	}
	if err := tx.InsertMany(ctx, `INSERT INTO clocks (id, ticket_id, kind, round, state, policy, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, end_reason, ladder_id, repeats, counted, policy_id, policy_version, calendar_id)`, "", width, clocks); err != nil {
		return fmt.Errorf("sla: arm %d clocks: %w", len(starts), err)
	}
	if err := tx.InsertMany(ctx, `INSERT INTO clock_segments (clock_id, started_at, ended_at, start_reason, end_reason, used)`, "", 6, segments); err != nil {
		return fmt.Errorf("sla: arm %d clocks: %w", len(starts), err)
	}
	return nil
}
