package ticket

import (
	"context"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/search"
	"bihuan/internal/sla"
)

// isDemo selects the tickets of the sample data, with the sub-tickets that were
// made of them since.
const isDemo = `demo = 1 OR parent_id IN (SELECT p.id FROM tickets p WHERE p.demo = 1)`

// MarkDemoTag says that a tag belongs to the sample data.
func MarkDemoTag(ctx context.Context, a *action.Action, id int64) error {
	if _, err := a.Exec(ctx, `UPDATE ticket_tags SET demo = 1 WHERE id = $1`, id); err != nil {
		return fmt.Errorf("ticket: sample data: %w", err)
	}
	return nil
}

// DemoTickets returns how many tickets of the sample data there are.
func DemoTickets(ctx context.Context, q db.Querier) (n int, err error) {
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE `+isDemo).Scan(&n); err != nil {
		return 0, fmt.Errorf("ticket: sample data: %w", err)
	}
	return n, nil
}

// RemoveDemo deletes the tickets of the sample data with all that hangs on
// them, and returns how many. The audit trail keeps what was done with them.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action) (int, error) {
	ids, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE `+isDemo+` ORDER BY id DESC`) // parts before their main ticket
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if err := s.fields().Remove(ctx, a.Tx, field.Ticket, ids...); err != nil {
		return 0, err
	}
	for _, id := range ids {
		files, err := s.files.Of(ctx, a, subjectType, id)
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if err := s.files.Remove(ctx, a, f); err != nil {
				return 0, err
			}
		}
		if err := search.Tickets.Delete(ctx, a.Tx, id); err != nil {
			return 0, err
		}
		place := fmt.Sprintf("ticket:%d:", id)
		if _, err := a.Exec(ctx, `DELETE FROM drafts WHERE place >= $1 AND place < $2`, place, place+"\uffff"); err != nil {
			return 0, fmt.Errorf("ticket: remove drafts: %w", err)
		}
	}
	if err := forgetUnsent(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	if err := sla.Remove(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	if err := journal.RemoveOfTickets(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	var customers []int64
	err = db.EachIn(ids, func(in string, args []any) error {
		some, err := idsOf(ctx, a, `SELECT DISTINCT customer_id FROM tickets WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		customers = append(customers, some...)
		for _, q := range []string{
			`DELETE FROM deliveries WHERE ticket_id IN (`,
			`DELETE FROM ratings WHERE ticket_id IN (`,
			`DELETE FROM ticket_watchers WHERE ticket_id IN (`,
			`DELETE FROM ticket_tagged WHERE ticket_id IN (`,
			`DELETE FROM ticket_tabs WHERE ticket_id IN (`,
			`DELETE FROM ticket_snoozes WHERE ticket_id IN (`,
			`DELETE FROM ticket_checks WHERE ticket_id IN (`,
			`DELETE FROM ticket_relations WHERE ticket_id IN (`,
			`DELETE FROM ticket_relations WHERE other_id IN (`,
			`DELETE FROM deferrals WHERE ticket_id IN (`,
			`DELETE FROM ticket_merges WHERE merged_id IN (`,
			`DELETE FROM ticket_merges WHERE survivor_id IN (`,
			`DELETE FROM conference_people WHERE conference_id IN (SELECT c.id FROM conferences c WHERE c.ticket_id IN (`,
			`DELETE FROM conferences WHERE ticket_id IN (`,
			`DELETE FROM notifications WHERE ticket_id IN (`,
			`UPDATE tickets SET parent_id = NULL WHERE id IN (`,
		} {
			if _, err := a.Exec(ctx, q+in+strings.Repeat(")", strings.Count(q, "(")-strings.Count(q, ")")), args...); err != nil {
				return fmt.Errorf("ticket: remove sample data: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = db.EachIn(ids, func(in string, args []any) error {
		_, err := a.Exec(ctx, `DELETE FROM tickets WHERE id IN (`+in+`)`, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ticket: remove sample data: %w", err)
	}
	// Tags that real tickets have come to have are the company's by now.
	if _, err := a.Exec(ctx, `DELETE FROM ticket_tags WHERE demo = 1 AND NOT EXISTS (SELECT 1 FROM ticket_tagged g WHERE g.tag_id = ticket_tags.id)`); err != nil {
		return 0, fmt.Errorf("ticket: remove sample data: tags: %w", err)
	}
	a.Drop(tagsKey{})
	// What was counted while the tickets came and went is counted anew.
	if _, err := a.Exec(ctx, `
		UPDATE ticket_load SET open = (SELECT COUNT(*) FROM tickets t WHERE t.assignee_id = ticket_load.user_id AND t.is_open = 1)`); err != nil {
		return 0, fmt.Errorf("ticket: remove sample data: load: %w", err)
	}
	err = db.EachIn(customers, func(in string, args []any) error {
		_, err := a.Exec(ctx, `
			UPDATE customers SET
				open_tickets  = (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = customers.id AND t.parent_id IS NULL AND t.is_open = 1),
				total_tickets = (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = customers.id AND t.parent_id IS NULL),
				ratings       = (SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = customers.id AND t.parent_id IS NULL AND r.stars > 0),
				rating_sum    = (SELECT COALESCE(SUM(r.stars), 0) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = customers.id AND t.parent_id IS NULL)
			WHERE id IN (`+in+`)`, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ticket: remove sample data: customers: %w", err)
	}
	return len(ids), nil
}
