package ticket

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/db"
)

// TicketsSince returns how many tickets each of the customers had since then,
// sub-tickets not counted: what the value of a customer is judged by. It knows
// no scope.
func (s *Service) TicketsSince(ctx context.Context, q db.Querier, customers []int64, since time.Time) (map[int64]int, error) {
	out := map[int64]int{}
	err := db.EachIn(customers, func(in string, args []any) error {
		a := db.Args{Values: args}
		rows, err := q.Query(ctx, `SELECT customer_id, COUNT(*) FROM tickets WHERE customer_id IN (`+in+`) AND parent_id IS NULL AND created_at >= `+a.Add(db.Micros(since))+` GROUP BY customer_id`, a.Values...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var n int
			if err := rows.Scan(&id, &n); err != nil {
				return err
			}
			out[id] = n
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("ticket: count of customers: %w", err)
	}
	return out, nil
}
