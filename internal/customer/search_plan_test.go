package customer_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
)

// populate writes n customers with a contact each: 王伟 is the name of all, and
// 6789 the end of every number.
func populate(w *world, n int) {
	w.t.Helper()
	first := w.create(w.agent, customer.Input{Type: customer.Person, Name: "王伟", Contacts: []customer.ContactInput{{Name: "王伟", Phone: "13800006789", Primary: true}}})
	w.write(func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(`
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO customers (id, number, type, name, name_key, pinyin, initials, owner_id, department_id, created_at, updated_at, activity_at)
			SELECT 1000 + i, 'P' || CAST(i AS TEXT), 'person', '王伟', '王伟', 'wangwei', 'ww', 1 + i %% 7, 1 + i %% 2, i, i, i FROM n`, n))
		if err == nil {
			_, err = tx.Exec(ctx, `
				INSERT INTO contacts (customer_id, name, initials, is_primary, created_at, updated_at, phone4_index)
				SELECT c.id, '王伟', 'ww', 1, 0, 0, (SELECT x.phone4_index FROM contacts x WHERE x.customer_id = $1) FROM customers c WHERE c.id > 1000`, first.ID)
		}
		for id := int64(1001); err == nil && id <= int64(1000+n); id++ {
			err = customer.Reindex(w.s, ctx, tx, id)
		}
		return err
	})
	if err := w.d.Analyze(w.ctx, "customers", "contacts", "departments"); err != nil {
		w.t.Fatal(err)
	}
}

// wide finds what no statement of a search may do: read a table, or sort what was
// found before the first ten are known.
var wide = regexp.MustCompile(`SCAN (?:c|x|p|customers|contacts)\b|TEMP B-TREE|MULTI-INDEX OR`)

// A search for what thousands have in common reads indexes alone until it knows
// the ten it shows.
func TestSearchReadsWhatItShows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		populate(w, 3000)
		for _, actor := range []authz.Actor{w.agent, w.auditor, w.sales} {
			for _, text := range []string{"王伟", "6789", "ww", "wangw", "13800006789"} {
				list, err := customer.SearchStatements(w.s, w.ctx, customer.View(actor), text)
				if err != nil {
					t.Fatal(err)
				}
				if w.d.Dialect() == db.Postgres {
					list = nil // its planner reads all of a table as small as this one
				}
				for _, st := range list {
					if strings.Contains(st.Query, "customer_tags") { // of those that are shown
						continue
					}
					plan := w.plan(st.Query, st.Args)
					if m := wide.FindString(plan); m != "" {
						t.Errorf("%s: %s\n%s\n%s", text, m, st.Query, plan)
					}
					// Who may see whom is known before a row is read.
					if of := strings.Contains(st.Query, "x.phone4_index = ") || strings.Contains(st.Query, "c.name_key = ") || strings.Contains(st.Query, "c.initials "); of && !strings.Contains(plan, "COVERING INDEX") {
						t.Errorf("%s: rows are read\n%s\n%s", text, st.Query, plan)
					}
				}
				found, err := w.s.Search(w.ctx, customer.View(actor), text, 10)
				if err != nil || len(found) != 10 && text != "13800006789" {
					t.Errorf("%s: %d found, %v", text, len(found), err)
				}
			}
		}
	})
}

// The copies by which contacts are found follow the customer, whoever writes.
func TestContactsFollowTheirCustomer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		check := func(what string) {
			t.Helper()
			var n int
			if err := w.d.Read().QueryRow(w.ctx, `SELECT COUNT(*) FROM contacts x JOIN customers c ON c.id = x.customer_id
				WHERE x.of_department <> c.department_id OR x.of_owner <> c.owner_id OR x.of_creator <> c.created_by OR x.of_department = 0`).Scan(&n); err != nil || n > 0 {
				t.Errorf("%s: %d contacts go astray, %v", what, n, err)
			}
			if w.d.Dialect() == db.Postgres {
				if err := w.d.Read().QueryRow(w.ctx, `SELECT COUNT(*) FROM (SELECT w AS pair, s.id FROM search_customer s, search_pairs(s.doc) w) a
					FULL JOIN search_customer_pair b ON b.pair = a.pair AND b.id = a.id WHERE a.id IS NULL OR b.id IS NULL`).Scan(&n); err != nil || n > 0 {
					t.Errorf("%s: %d pairs go astray, %v", what, n, err)
				}
			}
		}
		found := func(actor authz.Actor, text string, want int) {
			t.Helper()
			if got, err := w.s.Search(w.ctx, customer.View(actor), text, 10); err != nil || len(got) != want {
				t.Errorf("%s: %d found, want %d (%v)", text, len(got), want, err)
			}
		}
		a := w.create(w.agent, customer.Input{Type: customer.Company, Name: "南岳影像", Contacts: []customer.ContactInput{{Name: "李冰", Phone: "13800004321", Primary: true}, {Name: "赵云", Phone: "13900004321"}}})
		b := w.create(w.agent, customer.Input{Type: customer.Person, Name: "欧阳锋", Contacts: []customer.ContactInput{{Name: "欧阳锋", Phone: "13700001111", Primary: true}}})
		check("created")
		found(w.agent, "4321", 1)
		found(w.agent, "赵云", 1)
		w.exec(`UPDATE customers SET department_id = 2, owner_id = 9, created_by = 9 WHERE id = $1`, a.ID)
		check("given away")
		found(w.agent, "4321", 0)
		found(w.agent, "赵云", 0)
		w.exec(`UPDATE contacts SET customer_id = $1, is_primary = 0 WHERE customer_id = $2`, b.ID, a.ID)
		check("moved")
		found(w.agent, "4321", 1)
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for _, id := range []int64{a.ID, b.ID} {
				if err := customer.Reindex(w.s, ctx, tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		check("indexed anew")
		found(w.agent, "赵云", 1)
		// What an index says is never all: the row decides.
		w.exec(`UPDATE contacts SET of_department = 1, of_owner = 1, of_creator = 1`)
		w.exec(`UPDATE customers SET gone = 1 WHERE id = $1`, b.ID)
		found(w.agent, "4321", 0)
	})
}
