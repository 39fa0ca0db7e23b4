package customer

import (
	"context"
	"fmt"

	"bihuan/internal/db"
)

// Numbers returns the numbers of the customers ids: what others write beside a
// name they show anyway. It knows no scope.
func Numbers(ctx context.Context, q db.Querier, ids []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT id, number FROM customers WHERE id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: numbers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var n string
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("customer: numbers: %w", err)
		}
		out[id] = n
	}
	return out, rows.Err()
}

// IDOf returns the id behind a customer's number, 0 when there is none. It
// knows no scope: it serves filters, whose results have one.
func IDOf(ctx context.Context, q db.Querier, number string) (id int64, err error) {
	if err := q.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM customers WHERE number = $1`, line(number)).Scan(&id); err != nil {
		return 0, fmt.Errorf("customer: by number: %w", err)
	}
	if id == 0 { // the number of a merged profile leads to the one it lives on in
		return byOldNumber(ctx, q, line(number))
	}
	return id, nil
}
