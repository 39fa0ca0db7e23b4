package ticket

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/journal"
)

func init() {
	customer.Holds(customer.Holding{Table: "tickets", Customer: "customer_id", Contact: "contact_id", Name: "customer_name", Level: "customer_level", Since: "created_at"})
	customer.OnMerge(customersMerged)
}

// customersMerged counts the tickets and ratings of merged profiles anew, and
// puts the names under which their tickets are found right. When a merge is taken
// back, what was said meanwhile on the tickets that go back goes with them, and so
// do their sub-tickets; tickets registered meanwhile stay with the survivor.
func customersMerged(ctx context.Context, a *action.Action, m customer.Moved) error {
	ids := slices.Clone(m.Rows["tickets"])
	slices.Sort(ids)
	ids = slices.Compact(ids)
	whose := []int64{m.Keep}
	if m.Undone {
		whose = append(whose, m.Drop)
		err := db.EachIn(ids, func(in string, args []any) error {
			b := db.Args{Values: slices.Clone(args)}
			_, err := a.Exec(ctx, `
				UPDATE tickets SET customer_id = `+b.Add(m.Drop)+`, contact_id = 0,
					customer_name = (SELECT name FROM customers WHERE id = `+b.Add(m.Drop)+`), customer_level = (SELECT level FROM customers WHERE id = `+b.Add(m.Drop)+`)
				WHERE  customer_id = `+b.Add(m.Keep)+` AND parent_id IN (SELECT p.id FROM tickets p WHERE p.id IN (`+in+`) AND p.customer_id = `+b.Add(m.Drop)+`)`, b.Values...)
			if err != nil {
				return err
			}
			gone, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE customer_id = $1 AND parent_id IS NOT NULL ORDER BY id`, m.Drop)
			if err != nil {
				return err
			}
			b = db.Args{Values: slices.Clone(args)}
			back, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE id IN (`+in+`) AND customer_id = `+b.Add(m.Drop), b.Values...)
			if err != nil {
				return err
			}
			return journal.FollowTickets(ctx, a.Tx, append(back, gone...), m.Keep, m.Drop)
		})
		if err != nil {
			return fmt.Errorf("ticket: merged customers: %w", err)
		}
	}
	for _, id := range whose {
		var n customer.Business
		err := a.QueryRow(ctx, `
			SELECT (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = $1 AND t.parent_id IS NULL AND t.is_open = 1),
			       (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = $2 AND t.parent_id IS NULL),
			       (SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = $3 AND t.parent_id IS NULL AND r.stars > 0),
			       (SELECT COALESCE(SUM(r.stars), 0) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = $4 AND t.parent_id IS NULL)`,
			id, id, id, id).Scan(&n.Open, &n.Total, &n.Ratings, &n.RatingSum)
		if err == nil {
			n.ID = id
			err = customer.SetBusiness(ctx, a.Tx, n)
		}
		if err != nil {
			return fmt.Errorf("ticket: merged customers: %w", err)
		}
	}
	return Reindex(ctx, a.Tx, ids)
}
