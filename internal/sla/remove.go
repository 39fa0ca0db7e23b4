package sla

import (
	"context"
	"fmt"

	"bihuan/internal/db"
)

// Remove deletes the clocks of tickets that are deleted themselves.
func Remove(ctx context.Context, tx *db.Tx, tickets []int64) error {
	return db.EachIn(tickets, func(in string, args []any) error {
		if err := dropResults(ctx, tx, "ticket_id IN ("+in+")", args...); err != nil {
			return err
		}
		for _, q := range []string{
			`DELETE FROM clock_firings WHERE clock_id IN (SELECT id FROM clocks WHERE ticket_id IN (` + in + `))`,
			`DELETE FROM clock_segments WHERE clock_id IN (SELECT id FROM clocks WHERE ticket_id IN (` + in + `))`,
			`DELETE FROM clocks WHERE ticket_id IN (` + in + `)`,
		} {
			if _, err := tx.Exec(ctx, q, args...); err != nil {
				return fmt.Errorf("sla: remove: %w", err)
			}
		}
		return nil
	})
}
