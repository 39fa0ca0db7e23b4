package app

import (
	"context"
	"fmt"

	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// What rooms beside the customers' keep about a customer moves with him when two
// profiles are merged. A test finds tables that are missing here.
func init() {
	customer.Holds(
		customer.Holding{Table: "approvals", Customer: "subject_id", Where: "subject_type = 'customer'"},
		customer.Holding{Table: "deletions", Customer: "customer_id"},
		customer.Holding{Table: "disclosure_customers", Customer: "customer_id", Key: []string{"disclosure_id", "customer_id"}, Unique: []string{"disclosure_id"}},
		customer.Holding{Table: "restrictions", Customer: "customer_id", Key: []string{"customer_id", "kind"}, Unique: []string{"kind"}},
	)
	// What somebody is asked to agree to must not change under his hands.
	customer.VetoMerge(func(ctx context.Context, q db.Querier, keep, drop int64) error {
		var n int
		err := q.QueryRow(ctx, `SELECT COUNT(*) FROM approvals WHERE subject_type = 'customer' AND subject_id IN ($1, $2) AND state = 'pending'`, keep, drop).Scan(&n)
		if err != nil {
			return fmt.Errorf("app: approvals of customers: %w", err)
		}
		if n > 0 {
			return fault.New(fault.Conflict, "merge.approval")
		}
		return nil
	})
}
