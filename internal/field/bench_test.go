package field_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// many defines n number fields and fills all of them for the records 1 to records.
func many(w *world, n, records int) []field.Def {
	w.Helper()
	for i := range n {
		if _, err := w.s.Save(w.ctx, admin, field.Field{Object: field.Customer, Code: fmt.Sprintf("f%d", i), Kind: field.Number, Label: field.Words{Zh: fmt.Sprint("字段", i)}, Filterable: true}); err != nil {
			w.Fatal(err)
		}
	}
	defs, err := w.s.Defs(w.ctx, i18n.ZhCN, field.Customer)
	if err != nil {
		w.Fatal(err)
	}
	for from := 0; from < records; from += 100 {
		values := map[int64][]field.Value{}
		for id := from + 1; id <= min(from+100, records); id++ {
			in := field.Input{}
			for i, d := range defs {
				in[d.ID] = []string{fmt.Sprint((id*7919 + i) % 1000)}
			}
			vs, err := w.s.Check(w.ctx, w.d.Read(), defs, "", in, field.Mode{New: true})
			if err != nil {
				w.Fatal(err)
			}
			values[int64(id)] = vs
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { return w.s.SetNew(ctx, tx, field.Customer, values) })
	}
	if err := w.d.Tidy(w.ctx); err != nil {
		w.Fatal(err)
	}
	return defs
}

// The fields a list shows are found by the key of the values, filters by the
// index over them; neither reads what it does not need.
func TestPlans(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		defs := many(w, 20, 1000)
		plan := func(query string, args []any) string {
			word := "EXPLAIN "
			if d.Dialect() == db.SQLite {
				word = "EXPLAIN QUERY PLAN "
			}
			rows, err := d.Read().Query(w.ctx, word+query, args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var b strings.Builder
			for rows.Next() {
				var line string
				if d.Dialect() == db.SQLite {
					var x int
					err = rows.Scan(&x, &x, &x, &line)
				} else {
					err = rows.Scan(&line)
				}
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString(line + "\n")
			}
			return b.String()
		}
		var a db.Args
		query, _, err := field.Match(&a, defs[3], field.Is, "77")
		if err != nil {
			t.Fatal(err)
		}
		if p := plan(query, a.Values); !strings.Contains(p, "field_values_num") {
			t.Errorf("a match does not use its index:\n%s", p)
		}
		a = db.Args{}
		cond, err := field.Where(&a, defs[3], "c.id", field.Greater, "500")
		if err != nil {
			t.Fatal(err)
		}
		p := plan(`SELECT c.id FROM users c WHERE `+cond+` ORDER BY c.id LIMIT 50`, a.Values)
		if strings.Contains(p, "field_values_num") || !strings.Contains(p, "autoindex_field_values") && !strings.Contains(p, "field_values_pkey") {
			t.Errorf("a condition does not probe the key:\n%s", p)
		}
	})
}

// BenchmarkPage loads the fields of the 50 rows of a list: four columns of 5 and of
// 200 fields should cost the same.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{5, 200} {
		d, _ := dbtest.New(b)
		w := newWorld(b, d)
		defs := many(w, n, 2000)
		ids := make([]int64, 50)
		for i := range ids {
			ids[i] = int64(1 + i*37)
		}
		columns := []int64{defs[0].ID, defs[1].ID, defs[3].ID, defs[4].ID}
		b.Run(fmt.Sprintf("4 columns of %d fields", n), func(b *testing.B) {
			for b.Loop() {
				m, err := w.s.Values(w.ctx, d.Read(), field.Customer, ids, columns)
				if err != nil || len(m) != 50 || len(m[1]) != 4 {
					b.Fatal(len(m), err)
				}
			}
		})
	}
}
