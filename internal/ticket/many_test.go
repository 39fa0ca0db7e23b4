package ticket_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/sla"
	"bihuan/internal/ticket/tickettest"
)

// SLA-7: deadlines that fall due together fire together, each once, and at a
// cost that lets a hundred thousand be fired within a minute.
func TestManyDeadlines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		const n = 1000
		first := h.Register()
		h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			ids, err := a.ReserveIDs(ctx, "tickets", n)
			if err != nil {
				return err
			}
			for i, id := range ids {
				if _, err := a.Exec(ctx, `INSERT INTO tickets (id, number, title, type, urgency, priority, channel, customer_id, department_id, assignee_id, state, created_at, updated_at, activity_at)
					SELECT $1, number || $2, title, type, urgency, priority, channel, customer_id, department_id, assignee_id, state, created_at, updated_at, activity_at FROM tickets WHERE id = $3`, id, fmt.Sprintf("-%d", i), first.ID); err != nil {
					return err
				}
			}
			starts := make([]sla.Start, n)
			for i, id := range ids {
				starts[i] = sla.Start{TicketID: id, Kind: sla.FirstResponse, Promise: sla.Promise{Policy: "test"}, From: a.Now, Due: a.Now.Add(100 * time.Hour), Why: "registered"}
			}
			return sla.ArmMany(ctx, a.Tx, starts)
		}))
		h.Clock.Advance(81 * time.Hour) // the warning of each
		var before, after syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &before)
		fired := h.Sweep()
		syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		t.Logf("%d fired, %.0f µs of CPU each", fired, (time.Duration(after.Utime.Nano()-before.Utime.Nano()+after.Stime.Nano()-before.Stime.Nano())).Seconds()*1e6/float64(fired))
		if again := h.Sweep(); fired < n || again != 0 {
			t.Errorf("%d fired, then %d", fired, again)
		}
		for what, q := range map[string]string{
			"clocks that did not fire once": `SELECT COUNT(*) FROM clocks c WHERE c.kind = 'first_response' AND c.policy = 'test' AND (c.fired <> 1 OR c.step <> 1 OR (SELECT COUNT(*) FROM clock_firings f WHERE f.clock_id = c.id) <> 1)`,
			"tickets without one fact":      `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'test' AND (SELECT COUNT(*) FROM events e WHERE e.subject_type = 'ticket' AND e.subject_id = c.ticket_id AND e.kind = 'ticket.clock_warned') <> 1`,
			"tickets without one line":      `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'test' AND (SELECT COUNT(*) FROM entries e WHERE e.ticket_id = c.ticket_id) <> 1`,
		} {
			var bad int
			h.OK(h.D.Read().QueryRow(h.Ctx, q).Scan(&bad))
			if bad != 0 {
				t.Errorf("%s: %d", what, bad)
			}
		}
	})
}
