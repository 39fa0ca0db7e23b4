package ticket

import (
	"context"
	"fmt"

	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
)

// OfCustomers returns the ids of all tickets of customers, oldest first. It knows
// no scope: whoever erases or exports a person has to find all there is.
func OfCustomers(ctx context.Context, q db.Querier, customers []int64) (ids []int64, err error) {
	err = db.EachIn(customers, func(in string, args []any) error {
		some, err := idsOf(ctx, q, `SELECT id FROM tickets WHERE customer_id IN (`+in+`) ORDER BY id`, args...)
		ids = append(ids, some...)
		return err
	})
	return ids, err
}

// OpenOf returns how many open tickets customers have, and the numbers of the
// first few.
func OpenOf(ctx context.Context, q db.Querier, customers []int64) (n int, numbers []string, err error) {
	err = db.EachIn(customers, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT number FROM tickets WHERE customer_id IN (`+in+`) AND is_open = 1 ORDER BY id`, args...)
		if err != nil {
			return fmt.Errorf("ticket: open of customers: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var number string
			if err := rows.Scan(&number); err != nil {
				return fmt.Errorf("ticket: open of customers: %w", err)
			}
			if n++; len(numbers) < 5 {
				numbers = append(numbers, number)
			}
		}
		return rows.Err()
	})
	return n, numbers, err
}

// Forget takes the name of customers who are gone off their tickets, whose links
// and unsent drafts go with them.
func Forget(ctx context.Context, tx *db.Tx, customers []int64) error {
	ids, err := OfCustomers(ctx, tx, customers)
	if err != nil {
		return err
	}
	if err := forgetUnsent(ctx, tx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := tx.Exec(ctx, `UPDATE tickets SET customer_name = $1, link_key = $2 WHERE id = $3`, customer.Tombstone, crypt.Token(9), id); err != nil {
			return fmt.Errorf("ticket: forget the customer of %d: %w", id, err)
		}
		place := fmt.Sprintf("ticket:%d:", id)
		if _, err := tx.Exec(ctx, `DELETE FROM drafts WHERE place >= $1 AND place < $2`, place, place+"\uffff"); err != nil {
			return fmt.Errorf("ticket: remove drafts of %d: %w", id, err)
		}
	}
	return nil
}

// Retired returns at most limit tickets that ended before and still hold personal
// data, oldest first.
func Retired(ctx context.Context, q db.Querier, before int64, limit int) ([]int64, error) {
	return idsOf(ctx, q, fmt.Sprintf(`
		SELECT id FROM tickets WHERE activity_at < $1 AND is_open = 0 AND anonymised_at = 0 AND state IN ('closed', 'cancelled')
		ORDER BY activity_at, id LIMIT %d`, limit), before)
}

// Anonymised notes that the personal data of tickets has been taken out.
func Anonymised(ctx context.Context, tx *db.Tx, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		a := db.Args{Values: args}
		if _, err := tx.Exec(ctx, `UPDATE tickets SET anonymised_at = `+a.Add(tx.NowMicros())+`, contact_id = 0, link_key = '' WHERE id IN (`+in+`)`, a.Values...); err != nil {
			return fmt.Errorf("ticket: anonymised: %w", err)
		}
		return nil
	})
}

// OfContact returns the ids of the tickets somebody is the contact of.
func OfContact(ctx context.Context, q db.Querier, contact int64) ([]int64, error) {
	return idsOf(ctx, q, `SELECT t.id FROM tickets t JOIN contacts x ON x.customer_id = t.customer_id WHERE x.id = $1 AND t.contact_id = $2 ORDER BY t.id`, contact, contact)
}
