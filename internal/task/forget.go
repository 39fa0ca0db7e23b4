package task

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
)

// Forget takes away what tasks say of customers that are erased: those about them
// go, those about their tickets stay without words.
func Forget(ctx context.Context, a *action.Action, customers, tickets []int64) error {
	if err := RemoveOf(ctx, a, "customer", customers); err != nil {
		return err
	}
	return db.EachIn(tickets, func(in string, args []any) error {
		if _, err := a.Exec(ctx, `UPDATE tasks SET title = '—', details = '', reason = '' WHERE subject_type = 'ticket' AND subject_id > 0 AND subject_id IN (`+in+`)`, args...); err != nil {
			return fmt.Errorf("task: forget: %w", err)
		}
		return nil
	})
}

// RemoveOf deletes the tasks about subjects that are deleted themselves.
func RemoveOf(ctx context.Context, a *action.Action, typ string, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		if _, err := a.Exec(ctx, `DELETE FROM tasks WHERE subject_type = '`+typ+`' AND subject_id > 0 AND subject_id IN (`+in+`)`, args...); err != nil {
			return fmt.Errorf("task: remove: %w", err)
		}
		return nil
	})
}
