package ticket

import (
	"context"
	"fmt"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// MaxTabs is how many tickets somebody has open; the one not looked at for
// longest makes room.
const MaxTabs = 12

// Tab is a ticket somebody has open.
type Tab struct {
	Brief
	Priority string
	Fresh    bool // something has happened since he looked
}

// Tabs returns the tickets the actor has open, in the order he opened them.
func (s *Service) Tabs(ctx context.Context, actor authz.Actor) ([]Tab, error) {
	var a db.Args
	user := a.Add(actor.ID)
	rows, err := s.DB().Read().Query(ctx, `
		SELECT   t.id, t.number, t.title, t.state, t.priority, t.activity_at, b.seen_at
		FROM     ticket_tabs b JOIN tickets t ON t.id = b.ticket_id
		WHERE    b.user_id = `+user+` AND `+View(actor).Where(&a, scopeColumns)+`
		ORDER BY b.opened_at, t.id LIMIT `+lit(MaxTabs), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: tabs: %w", err)
	}
	defer rows.Close()
	var out []Tab
	for rows.Next() {
		var x Tab
		var active, seen int64
		if err := rows.Scan(&x.ID, &x.Number, &x.Title, (*string)(&x.State), &x.Priority, &active, &seen); err != nil {
			return nil, fmt.Errorf("ticket: tabs: %w", err)
		}
		x.ActivityAt, x.Fresh = db.FromMicros(active), active > seen
		out = append(out, x)
	}
	return out, rows.Err()
}

// OpenTab says that the actor looks at ticket id, and no longer at left (0:
// nothing). What he had put off and is back is looked at now.
func (s *Service) OpenTab(ctx context.Context, actor authz.Actor, id, left int64) error {
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := get(ctx, tx, View(actor), "t.id", id, "")
		if err != nil {
			return err
		}
		now := tx.NowMicros()
		if _, err := tx.Exec(ctx, `INSERT INTO ticket_tabs (user_id, ticket_id, opened_at, seen_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id, ticket_id) DO UPDATE SET seen_at = excluded.seen_at`, actor.ID, id, now, now); err != nil {
			return fmt.Errorf("ticket: open tab: %w", err)
		}
		if left != 0 && left != id {
			if _, err := tx.Exec(ctx, `UPDATE ticket_tabs SET seen_at = $1 WHERE user_id = $2 AND ticket_id = $3`, now, actor.ID, left); err != nil {
				return fmt.Errorf("ticket: open tab: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM ticket_snoozes WHERE user_id = $1 AND ticket_id = $2 AND (until_at <= $3 OR set_at < $4)`, actor.ID, id, now, db.Micros(t.CustomerAt)); err != nil {
			return fmt.Errorf("ticket: open tab: %w", err)
		}
		old, err := idsOf(ctx, tx, `SELECT ticket_id FROM ticket_tabs WHERE user_id = $1 ORDER BY seen_at DESC, opened_at DESC, ticket_id LIMIT 100 OFFSET `+lit(MaxTabs), actor.ID)
		if err != nil || len(old) == 0 {
			return err
		}
		args := db.Args{}
		_, err = tx.Exec(ctx, `DELETE FROM ticket_tabs WHERE user_id = `+args.Add(actor.ID)+` AND ticket_id IN (`+args.AddInts(old)+`)`, args.Values...)
		return err
	})
}

// CloseTab closes a tab of the actor's; id 0 closes all.
func (s *Service) CloseTab(ctx context.Context, actor authz.Actor, id int64) error {
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM ticket_tabs WHERE user_id = $1 AND (ticket_id = $2 OR $3 = 0)`, actor.ID, id, id)
		if err != nil {
			return fmt.Errorf("ticket: close tab: %w", err)
		}
		return nil
	})
}
