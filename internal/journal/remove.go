package journal

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/db"
)

// RemoveOfTickets deletes the journals of tickets that are deleted themselves.
func RemoveOfTickets(ctx context.Context, tx *db.Tx, ids []int64) error {
	return remove(ctx, tx, `DELETE FROM entries WHERE ticket_id > 0 AND ticket_id IN (`, ids)
}

// RemoveOfCustomers deletes the journals of customers that are deleted
// themselves; they have no tickets any more.
func RemoveOfCustomers(ctx context.Context, tx *db.Tx, ids []int64) error {
	return remove(ctx, tx, `DELETE FROM entries WHERE customer_id > 0 AND customer_id IN (`, ids)
}

func remove(ctx context.Context, tx *db.Tx, query string, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		if _, err := tx.Exec(ctx, query+in+`)`, args...); err != nil {
			return fmt.Errorf("journal: remove: %w", err)
		}
		return nil
	})
}

// RemoveAbout deletes what was written about customers apart from any ticket:
// they are deleted themselves, and their tickets stay.
func RemoveAbout(ctx context.Context, tx *db.Tx, customers []int64) error {
	return remove(ctx, tx, `DELETE FROM entries WHERE ticket_id = 0 AND customer_id > 0 AND customer_id IN (`, customers)
}

// FollowTickets gives what was said on tickets from one customer to another whose
// they are now.
func FollowTickets(ctx context.Context, tx *db.Tx, tickets []int64, from, to int64) error {
	return db.EachIn(tickets, func(in string, args []any) error {
		a := db.Args{Values: slices.Clone(args)}
		query := `UPDATE entries SET customer_id = ` + a.Add(to) + ` WHERE ticket_id > 0 AND customer_id = ` + a.Add(from) + ` AND ticket_id IN (` + in + `)`
		if _, err := tx.Exec(ctx, query, a.Values...); err != nil {
			return fmt.Errorf("journal: follow tickets: %w", err)
		}
		return nil
	})
}
