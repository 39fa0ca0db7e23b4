package approval

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
)

// RemoveDemo deletes the requests that came with the sample data.
func RemoveDemo(ctx context.Context, a *action.Action) error {
	return remove(ctx, a, `SELECT id FROM approvals WHERE demo = 1`)
}

// Remove deletes requests with all that hangs on them, for a room whose sample
// data they belong to.
func Remove(ctx context.Context, a *action.Action, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error { return remove(ctx, a, in, args...) })
}

func remove(ctx context.Context, a *action.Action, which string, args ...any) error {
	for _, q := range []string{
		`DELETE FROM notifications WHERE event_seq IN (SELECT seq FROM events WHERE subject_type = 'approval' AND subject_id IN (` + which + `))`,
		`DELETE FROM approval_waiting WHERE approval_id IN (` + which + `)`,
		`DELETE FROM approval_history WHERE approval_id IN (` + which + `)`,
		`DELETE FROM approvals WHERE id IN (` + which + `)`,
	} {
		if _, err := a.Exec(ctx, q, args...); err != nil {
			return fmt.Errorf("approval: sample data: %w", err)
		}
	}
	return nil
}
