package customer_test

import (
	"slices"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
)

// A list by conditions that no index answers passes so many customers and no
// more; going on from there, forwards and back, meets everybody once.
func TestListPassesSoMany(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		populate(w, 60)
		w.exec(`UPDATE customers SET type = 'company' WHERE id IN (1003, 1004, 1040, 1041, 1059)`)
		customer.SetReaches(w.s, 4, 9)
		f := customer.Filter{Query: customer.Query{Node: customer.Is("type", "company")}, Limit: 2}
		for _, actor := range []authz.Actor{w.agent, w.auditor, w.sales} {
			sc := customer.View(actor)
			var want []int64
			all := f
			all.Limit = 200
			customer.SetReaches(w.s, 1000)
			p, err := w.s.List(w.ctx, sc, all)
			if err != nil || p.Unfinished || p.Next != "" {
				t.Fatalf("%+v %v", p, err)
			}
			for _, r := range p.Rows {
				want = append(want, r.ID)
			}
			customer.SetReaches(w.s, 4, 9)
			walk := func(from customer.Filter, back bool) (got []int64, at customer.Filter, unfinished int) {
				for at = from; ; {
					p, err := w.s.List(w.ctx, sc, at)
					if err != nil {
						t.Fatal(err)
					}
					if p.Unfinished {
						unfinished++
					}
					for _, r := range p.Rows {
						got = append(got, r.ID)
					}
					next := f
					if next.After = p.Next; back {
						next.After, next.Before = "", p.Prev
					}
					if next.After+next.Before == "" || len(got) > 100 {
						return got, at, unfinished
					}
					at = next
				}
			}
			got, last, unfinished := walk(f, false)
			if !slices.Equal(got, want) || actor.Name == w.auditor.Name && unfinished == 0 {
				t.Errorf("%s: %v (%d cut short), want %v", actor.Name, got, unfinished, want)
			}
			// Back from the last page, whose own rows come first.
			got, _, _ = walk(last, true)
			slices.Sort(got)
			rest := slices.Clone(want)
			slices.Sort(rest)
			if got = slices.Compact(got); !slices.Equal(got, rest) {
				t.Errorf("%s: back %v, want %v", actor.Name, got, rest)
			}
		}
	})
}
