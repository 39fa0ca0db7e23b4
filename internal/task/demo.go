package task

import (
	"context"
	"fmt"

	"bihuan/internal/action"
)

// MarkDemo says that a task belongs to the sample data.
func MarkDemo(ctx context.Context, a *action.Action, id int64) error {
	if _, err := a.Exec(ctx, `UPDATE tasks SET demo = 1 WHERE id = $1`, id); err != nil {
		return fmt.Errorf("task: sample data: %w", err)
	}
	return nil
}

// RemoveDemo deletes the tasks of the sample data: what was made as such, what is
// about sample tickets and customers, and what sample staff had written down.
// Call it before those go.
func RemoveDemo(ctx context.Context, a *action.Action) error {
	const which = `SELECT t.id FROM tasks t WHERE t.demo = 1
		OR t.subject_type = 'ticket' AND t.subject_id IN (SELECT id FROM tickets WHERE demo = 1 OR parent_id IN (SELECT p.id FROM tickets p WHERE p.demo = 1))
		OR t.subject_type = 'customer' AND t.subject_id IN (SELECT id FROM customers WHERE demo = 1)
		OR t.subject_id = 0 AND t.owner_id IN (SELECT id FROM users WHERE demo = 1) AND t.created_by IN (SELECT id FROM users WHERE demo = 1)`
	for _, q := range []string{
		`DELETE FROM notifications WHERE event_seq IN (SELECT seq FROM events WHERE subject_type = 'task' AND subject_id IN (` + which + `))`,
		`UPDATE tickets SET open_tasks = 0 WHERE open_tasks > 0 AND demo = 1`,
		`DELETE FROM tasks WHERE id IN (` + which + `)`,
		`DELETE FROM day_checks WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM task_feeds WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
	} {
		if _, err := a.Exec(ctx, q); err != nil {
			return fmt.Errorf("task: sample data: %w", err)
		}
	}
	return nil
}
