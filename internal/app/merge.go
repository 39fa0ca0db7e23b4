package app

import (
	"context"
	"fmt"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// pageNotes is what is said on top of a customer's page: what waits for consent,
// and who may be the same customer.
func (a *App) pageNotes(ctx context.Context, actor authz.Actor, lang i18n.Lang, c customer.Customer) ([]customerui.Note, error) {
	out, err := a.customerNotes(ctx, actor, lang, c)
	if err != nil || !actor.Can(customer.PermMerge) {
		return out, err
	}
	pairs, err := a.Customers.PairsOf(ctx, actor, c.ID, 3)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		o := p.A
		if o.ID == c.ID {
			o = p.B
		}
		out = append(out, customerui.Note{Text: i18n.T(lang, "merge.note", o.Name, o.Number, i18n.Key("merge.by."+p.Reasons[0])), Href: fmt.Sprintf("/customers/merge?keep=%d&drop=%d", c.ID, o.ID)})
	}
	return out, nil
}

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
