package tickettest

import (
	"encoding/json"

	"bihuan/internal/event"
	"bihuan/internal/ticket"
)

// Invariants checks what the package comment of ticket promises of every moment.
func (h *House) Invariants() {
	t := h.T
	t.Helper()
	ctx := h.Ctx
	h.OK(h.Follower.Drain(ctx))
	zero := func(what, query string) {
		t.Helper()
		var n int
		if err := h.D.Read().QueryRow(ctx, query).Scan(&n); err != nil {
			t.Errorf("%s: %v", what, err)
		} else if n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	zero("open tickets without a running clock", `SELECT COUNT(*) FROM tickets t WHERE is_open = 1 AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`)
	zero("ended tickets with a clock", `SELECT COUNT(*) FROM tickets t WHERE is_open = 0 AND EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state IN ('running', 'paused'))`)
	zero("unassigned tickets without a supervisor", `SELECT COUNT(*) FROM tickets WHERE is_open = 1 AND assignee_id = 0 AND supervisor_id = 0`)
	zero("messages without a delivery", `SELECT COUNT(*) FROM entries e JOIN tickets t ON t.id = e.ticket_id WHERE t.parent_id IS NULL AND e.kind IN ('reply', 'question') AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.entry_id = e.id)`)
	zero("completed tickets without an outcome", `SELECT COUNT(*) FROM tickets WHERE state IN ('completed', 'closed') AND outcome = ''`)
	zero("main tickets further than their sub-tickets", `SELECT COUNT(*) FROM tickets c JOIN tickets p ON p.id = c.parent_id WHERE c.is_open = 1 AND p.state NOT IN ('pending', 'in_progress', 'waiting_customer')`)
	zero("wrong counts of open sub-tickets", `SELECT COUNT(*) FROM tickets p WHERE p.open_children <> (SELECT COUNT(*) FROM tickets c WHERE c.parent_id = p.id AND c.is_open = 1)`)
	zero("wrong loads", `SELECT COUNT(*) FROM ticket_load l WHERE l.open <> (SELECT COUNT(*) FROM tickets t WHERE t.assignee_id = l.user_id AND t.is_open = 1)`)
	zero("wrong counts of a customer's tickets", `SELECT COUNT(*) FROM customers c WHERE c.open_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.is_open = 1 AND t.parent_id IS NULL)
		OR c.total_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.parent_id IS NULL)`)
	zero("wrong deadlines in the list", `SELECT COUNT(*) FROM tickets t WHERE is_open = 1 AND due_at <> (SELECT MIN(due_at) FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`)
	zero("bad ratings without second handling", `SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE (r.stars BETWEEN 1 AND 3 OR r.solved = 0) AND t.round <= r.round`)
	zero("bad ratings without a task for the supervisor", `SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.parent_id IS NULL AND (r.stars BETWEEN 1 AND 3 OR r.solved = 0)
		AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.kind = 'follow_up' AND c.round > r.round)`)
	zero("people with tickets and no load", `SELECT COUNT(*) FROM tickets t WHERE t.is_open = 1 AND t.assignee_id <> 0 AND NOT EXISTS (SELECT 1 FROM ticket_load l WHERE l.user_id = t.assignee_id)`)
	zero("wrong sums of a customer's ratings", `SELECT COUNT(*) FROM customers c WHERE c.ratings <> (SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = c.id AND t.parent_id IS NULL AND r.stars > 0)
		OR c.rating_sum <> (SELECT COALESCE(SUM(r.stars), 0) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = c.id AND t.parent_id IS NULL)`)
	zero("cancelled tickets without a reason", `SELECT COUNT(*) FROM tickets WHERE state = 'cancelled' AND cancel_reason = ''`)
	zero("questions without a reminder", `SELECT COUNT(*) FROM tickets t WHERE state = 'waiting_customer' AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.kind = 'customer_reply' AND c.state = 'running')`)
	zero("answers without an end of silence", `SELECT COUNT(*) FROM tickets t WHERE state = 'awaiting_confirmation' AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.kind = 'confirmation' AND c.state = 'running')`)
	zero("clocks of one kind beside each other", `SELECT COUNT(*) FROM (SELECT 1 FROM clocks WHERE state IN ('running', 'paused') GROUP BY ticket_id, kind HAVING COUNT(*) > 1) x`)
	zero("clocks whose segments do not fit", `SELECT COUNT(*) FROM clocks c WHERE (SELECT COUNT(*) FROM clock_segments s WHERE s.clock_id = c.id AND s.ended_at = 0) <> CASE WHEN c.state = 'running' THEN 1 ELSE 0 END
		OR c.used <> (SELECT COALESCE(SUM(s.used), 0) FROM clock_segments s WHERE s.clock_id = c.id AND s.ended_at > 0)`)
	zero("clocks whose firings do not fit", `SELECT COUNT(*) FROM clocks c WHERE c.fired <> (SELECT COUNT(*) FROM clock_firings f WHERE f.clock_id = c.id)`)
	zero("clocks that stand still and are due", `SELECT COUNT(*) FROM clocks WHERE state <> 'running' AND next_at <> 0 OR state = 'paused' AND due_at <> 0 OR state = 'running' AND calendar_id = 0 AND due_at <> segment_at + target - used`)
	// Replayed, the events give the stored state.
	rows, err := h.D.Read().Query(ctx, `SELECT id, state, round, assignee_id FROM tickets`)
	h.OK(err)
	type st struct {
		State    ticket.State
		Round    int
		Assignee int64
	}
	stored, replayed := map[int64]st{}, map[int64]st{}
	for rows.Next() {
		var id int64
		var s st
		h.OK(rows.Scan(&id, (*string)(&s.State), &s.Round, &s.Assignee))
		stored[id] = s
	}
	rows.Close()
	for seq := int64(0); ; {
		evs, err := event.After(ctx, h.D.Read(), seq, 500)
		h.OK(err)
		if len(evs) == 0 {
			break
		}
		for _, e := range evs {
			seq = e.Seq
			if e.Subject.Type != "ticket" {
				continue
			}
			var f ticket.Fact
			h.OK(json.Unmarshal(e.Data, &f))
			replayed[e.Subject.ID] = st{f.To, f.Round, f.Assignee}
		}
	}
	for id, s := range stored {
		if replayed[id] != s {
			t.Errorf("ticket %d is %+v, its events say %+v", id, s, replayed[id])
		}
	}
	r, err := event.Verify(ctx, h.D.Read())
	h.OK(err)
	if r.BrokenAt != 0 || r.Unsealed != 0 {
		t.Errorf("audit chain: %+v", r)
	}
}
