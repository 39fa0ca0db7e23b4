package field_test

import (
	"context"
	"slices"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/field"
	"bihuan/internal/job"
)

// A change that matters to search reaches exactly the records with a value.
func TestSearchFollowsDefinitions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		q := job.New(d, job.Config{})
		var got []int64
		w.s.KeepSearch(q, map[field.Object]field.Reindexer{field.Customer: func(_ context.Context, _ *db.Tx, ids []int64) error { got = append(got, ids...); return nil }})
		def := w.add(field.Field{Code: "a", Kind: field.Multi, Options: options})
		other := w.add(field.Field{Code: "b", Kind: field.Text})
		w.put(def, "gold,silver", "", "gold")
		w.put(other, "", "x")
		stored := func() field.Field {
			fs, err := w.s.Fields(w.ctx, field.Customer)
			if err != nil {
				t.Fatal(err)
			}
			return fs[0]
		}
		save := func(change func(f *field.Field)) {
			t.Helper()
			f := stored()
			change(&f)
			if _, err := w.s.Save(w.ctx, admin, f); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name string
			do   func()
			want []int64
		}{
			{"of no concern", func() { save(func(f *field.Field) { f.Help.Zh = "x" }) }, nil},
			{"made searchable", func() { save(func(f *field.Field) { f.Searchable = true }) }, []int64{1, 3}},
			{"option renamed", func() { save(func(f *field.Field) { f.Options[0].Zh = "黄金" }) }, []int64{1, 3}},
			{"switched off", func() {
				if err := w.s.SetActive(w.ctx, admin, def.ID, false); err != nil {
					t.Fatal(err)
				}
			}, []int64{1, 3}},
		} {
			got = nil
			c.do()
			if _, err := q.RunDue(w.ctx); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	})
}
