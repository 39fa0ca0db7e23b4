package complaint

import (
	"context"
	"fmt"

	"bihuan/internal/action"
)

// RemoveDemo deletes what belongs to the tickets of the sample data; before they
// go themselves.
func RemoveDemo(ctx context.Context, a *action.Action) error {
	for _, table := range []string{"complaint_records", "complaints"} {
		if _, err := a.Exec(ctx, `DELETE FROM `+table+` WHERE ticket_id IN (SELECT id FROM tickets WHERE demo = 1)`); err != nil {
			return fmt.Errorf("complaint: remove sample data: %w", err)
		}
	}
	return nil
}
