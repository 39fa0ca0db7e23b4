package customer

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/journal"
	"bihuan/internal/search"
)

// DemoCustomers returns how many customers of the sample data there are.
func DemoCustomers(ctx context.Context, q db.Querier) (n int, err error) {
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM customers WHERE demo = 1`).Scan(&n); err != nil {
		return 0, fmt.Errorf("customer: sample data: %w", err)
	}
	return n, nil
}

// RemoveDemo deletes the customers of the sample data and returns how many. One
// for whom somebody has registered a ticket of his own stays, as a customer like
// any other. Tags that nobody has any more go too if demoTags names them.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action, demoTags []string) (int, error) {
	if _, err := a.Exec(ctx, `UPDATE customers SET demo = 0 WHERE demo = 1 AND EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = customers.id)`); err != nil {
		return 0, fmt.Errorf("customer: keep: %w", err)
	}
	if err := removeListsOf(ctx, a); err != nil {
		return 0, err
	}
	rows, err := a.Query(ctx, `SELECT id FROM customers WHERE demo = 1 ORDER BY id`)
	if err != nil {
		return 0, fmt.Errorf("customer: remove sample data: %w", err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return 0, fmt.Errorf("customer: remove sample data: %w", err)
		}
		ids = append(ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("customer: remove sample data: %w", err)
	}
	for _, id := range ids {
		if err := search.Customers.Delete(ctx, a.Tx, id); err != nil {
			return 0, err
		}
	}
	if err := journal.RemoveOfCustomers(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	if err := PurgeMerges(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	if err := s.removeFields(ctx, a.Tx, ids); err != nil {
		return 0, err
	}
	err = db.EachIn(ids, func(in string, args []any) error {
		for _, q := range []string{`DELETE FROM grade_suggestions WHERE customer_id IN (`, `DELETE FROM customer_stages WHERE customer_id IN (`,
			`DELETE FROM verifications WHERE customer_id IN (`, `DELETE FROM customer_relations WHERE from_id IN (`, `DELETE FROM customer_relations WHERE to_id IN (`,
			`DELETE FROM contact_moves WHERE customer_id IN (`, `UPDATE customers SET parent_id = 0 WHERE parent_id IN (`, `DELETE FROM customer_tags WHERE customer_id IN (`, `DELETE FROM needs WHERE customer_id IN (`,
			`DELETE FROM contacts WHERE customer_id IN (`, `DELETE FROM customers WHERE id IN (`} {
			if _, err := a.Exec(ctx, q+in+`)`, args...); err != nil {
				return fmt.Errorf("customer: remove sample data: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(ids), db.EachIn(demoTags, func(in string, args []any) error {
		_, err := a.Exec(ctx, `DELETE FROM tags WHERE name IN (`+in+`) AND NOT EXISTS (SELECT 1 FROM customer_tags x WHERE x.tag_id = tags.id)`, args...)
		return err
	})
}
