package approval

import (
	"context"
	"fmt"

	"bihuan/internal/action"
)

// RemoveDemo deletes the requests that came with the sample data.
func RemoveDemo(ctx context.Context, a *action.Action) error {
	const demo = `(SELECT id FROM approvals WHERE demo = 1)`
	for _, q := range []string{
		`DELETE FROM notifications WHERE event_seq IN (SELECT seq FROM events WHERE subject_type = 'approval' AND subject_id IN ` + demo + `)`,
		`DELETE FROM approval_waiting WHERE approval_id IN ` + demo,
		`DELETE FROM approval_history WHERE approval_id IN ` + demo,
		`DELETE FROM approvals WHERE demo = 1`,
	} {
		if _, err := a.Exec(ctx, q); err != nil {
			return fmt.Errorf("approval: sample data: %w", err)
		}
	}
	return nil
}
