package customer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/db"
)

// Holding is a table whose rows belong to a customer or a contact, here or in a
// room above: a merge moves them.
type Holding struct {
	Table    string
	Customer string   // column with the id of a customer; "" none
	Contact  string   // column with the id of a contact; "" none
	Where    string   // which rows are meant; "" all
	Key      []string // the columns that name a row; nil: id
	// Unique are columns whose values a customer has once: of two rows that of the
	// profile that stays is kept. Not nil but empty: he has one row.
	Unique []string
	// Name and Level are columns that copy those of the customer.
	Name, Level string
	// Since is the column with the time a row was made: what came after a merge is
	// counted before it is undone, and speaks to a contact of the survivor then.
	Since string
}

// Moved says which profiles a merge has made one, or given back.
type Moved struct {
	Merge, Keep, Drop int64
	Undone            bool
	Rows              map[string][]int64 // ids of the rows that have moved, by table
}

var (
	holdings []Holding
	movers   []func(ctx context.Context, a *action.Action, m Moved) error
	vetoes   []func(ctx context.Context, q db.Querier, keep, drop int64) error
)

// Holds registers tables that refer to customers or contacts; at start.
func Holds(hs ...Holding) {
	for _, h := range hs {
		if h.Key == nil {
			h.Key = []string{"id"}
		}
		holdings = append(holdings, h)
	}
}

// Holdings lists what was registered, for the tests.
func Holdings() []Holding { return slices.Clone(holdings) }

// OnMerge registers what is to be put right when rows have moved, in the same
// transaction: counts and search texts. Call it at start.
func OnMerge(f func(ctx context.Context, a *action.Action, m Moved) error) {
	movers = append(movers, f)
}

// VetoMerge registers a reason not to merge two customers now; it returns a
// fault that says what to do first. Call it at start.
func VetoMerge(f func(ctx context.Context, q db.Querier, keep, drop int64) error) {
	vetoes = append(vetoes, f)
}

func init() {
	Holds(
		Holding{Table: "needs", Customer: "customer_id", Since: "created_at"},
		Holding{Table: "entries", Customer: "customer_id", Where: "customer_id > 0", Since: "created_at"},
		Holding{Table: "customer_tags", Customer: "customer_id", Key: []string{"customer_id", "tag_id"}, Unique: []string{"tag_id"}},
		Holding{Table: "field_values", Customer: "record_id", Where: "object = 'customer'", Key: fieldKey},
		Holding{Table: "field_values", Contact: "record_id", Where: "object = 'contact'", Key: fieldKey, Unique: []string{"field_id"}},
		Holding{Table: "contacts", Contact: "moved_to", Where: "moved_to > 0"},
		Holding{Table: "files", Customer: "owner_id", Where: "owner_type = 'customer'", Since: "created_at"},
		Holding{Table: "files", Contact: "owner_id", Where: "owner_type = 'contact'"},
		Holding{Table: "customer_stages", Customer: "customer_id"},
		Holding{Table: "verifications", Customer: "customer_id"},
		Holding{Table: "grade_suggestions", Customer: "customer_id", Key: []string{"customer_id"}, Unique: []string{}},
		Holding{Table: "customer_relations", Customer: "from_id", Unique: []string{"to_id", "kind"}},
		Holding{Table: "customer_relations", Customer: "to_id", Unique: []string{"from_id", "kind"}},
		Holding{Table: "contact_moves", Customer: "customer_id", Contact: "contact_id"},
		Holding{Table: "contact_moves", Customer: "customer_id", Contact: "other_contact_id", Where: "other_customer_id = 0"},
		Holding{Table: "contact_moves", Customer: "other_customer_id", Contact: "other_contact_id", Where: "other_customer_id > 0"},
		Holding{Table: "contact_unreachable", Contact: "contact_id", Key: []string{"contact_id", "field"}, Unique: []string{"field"}},
	)
}

func (h Holding) where(cond string) string {
	if h.Where != "" {
		return h.Where + " AND " + cond
	}
	return cond
}

func (h Holding) hasID() bool { return len(h.Key) == 1 && h.Key[0] == "id" }

// move gives the rows of drop to keep.
func (h Holding) move(ctx context.Context, l *ledger, keep, drop int64, profile cells) error {
	to := cells{h.Customer: keep}
	if h.Name != "" {
		to[h.Name] = profile["name"]
	}
	if h.Level != "" {
		if to[h.Level] = profile["level"]; to[h.Level] == nil {
			var level string
			if err := l.tx.QueryRow(ctx, `SELECT level FROM customers WHERE id = $1`, keep).Scan(&level); err != nil {
				return err
			}
			to[h.Level] = level
		}
	}
	return h.give(ctx, l, h.Customer, keep, drop, to)
}

// moveContact gives the rows of the contact drop to keep. Rows of a customer name
// his own contacts only.
func (h Holding) moveContact(ctx context.Context, l *ledger, customer, keep, drop int64) error {
	if h.Customer != "" {
		_, err := l.set(h.Table, h.where(h.Customer+` = $1 AND `+h.Contact+` = $2`), []any{customer, drop}, cells{h.Contact: keep})
		return err
	}
	return h.give(ctx, l, h.Contact, keep, drop, cells{h.Contact: keep})
}

func (h Holding) give(ctx context.Context, l *ledger, column string, keep, drop int64, to cells) error {
	if h.hasID() && h.Unique == nil {
		n, err := l.set(h.Table, h.where(column+` = $1`), []any{drop}, to)
		if n > 0 {
			l.moved[h.Table] += n
		}
		return err
	}
	rows, err := wholeRows(ctx, l.tx, h.Table, h.where(column+` IN ($1, $2)`)+` ORDER BY `+strings.Join(h.Key, ", "), keep, drop)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Table, err)
	}
	sign := func(r cells) string {
		var b strings.Builder
		for _, c := range h.Unique {
			fmt.Fprintf(&b, "%v\x00", r[c])
		}
		return b.String()
	}
	kept := map[string]bool{}
	for _, r := range rows {
		if r.int(column) == keep && h.Unique != nil {
			kept[sign(r)] = true
		}
	}
	for _, r := range rows {
		switch {
		case r.int(column) != drop:
		case h.Unique != nil && kept[sign(r)]:
			err = l.delete(h.Table, []cells{r}, h.Key...)
		case h.hasID():
			_, err = l.set(h.Table, "id = $1", []any{r.id()}, to)
			l.moved[h.Table]++
		default:
			err = l.change(h.Table, r, to, h.Key...)
			l.moved[h.Table]++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) afterMerge(ctx context.Context, a *action.Action, m Moved) error {
	for _, f := range movers {
		if err := f(ctx, a, m); err != nil {
			return fmt.Errorf("customer: after merge %d: %w", m.Merge, err)
		}
	}
	return nil
}

// SetBusiness sets the counts of a customer's tickets and ratings to what they
// are, after his tickets have moved.
func SetBusiness(ctx context.Context, tx *db.Tx, b Business) error {
	_, err := tx.Exec(ctx, `UPDATE customers SET open_tickets = $1, total_tickets = $2, ratings = $3, rating_sum = $4 WHERE id = $5`, b.Open, b.Total, b.Ratings, b.RatingSum, b.ID)
	if err != nil {
		return fmt.Errorf("customer: business of %d: %w", b.ID, err)
	}
	return nil
}
