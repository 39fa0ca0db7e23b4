package ticket

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Alike is an open ticket that may be about the same thing.
type Alike struct {
	Row
	Same    bool // of the same customer
	Percent int  // how much of the words they share
}

// Alike finds the open tickets within sc that may be about what somebody is
// writing down: first those of the same customer, then what the search index
// finds elsewhere, the likeliest first. except is left out.
func (s *Service) Alike(ctx context.Context, sc authz.Scope, customer, except int64, title, description string, limit int) ([]Alike, error) {
	title = strings.TrimSpace(title)
	if len([]rune(title)) < 2 || sc.Empty() {
		return nil, nil
	}
	words := pairsOf(title + " " + description)
	var rows []Row
	if customer != 0 {
		p, err := s.List(ctx, sc, Filter{Customer: customer, Open: yes(), Sort: ByNewest, Limit: 50})
		if err != nil {
			return nil, err
		}
		rows = p.Rows
	}
	seen := func(id int64) bool { return slices.ContainsFunc(rows, func(r Row) bool { return r.ID == id }) }
	for _, text := range probes(title) {
		p, err := s.List(ctx, sc, Filter{Text: text, Open: yes(), Sort: ByNewest, Limit: 10})
		if err != nil {
			return nil, err
		}
		for _, r := range p.Rows {
			if !seen(r.ID) {
				rows = append(rows, r)
			}
		}
		if len(p.Rows) >= 5 {
			break
		}
	}
	texts, err := descriptions(ctx, s.DB().Read(), rows)
	if err != nil {
		return nil, err
	}
	var out []Alike
	for _, r := range rows {
		if r.ID == except || r.ParentID != 0 {
			continue
		}
		a := Alike{Row: r, Same: customer != 0 && r.CustomerID == customer}
		a.Percent = max(shared(pairsOf(title), pairsOf(r.Title)), shared(words, pairsOf(r.Title+" "+texts[r.ID])))
		least := 40
		if a.Same {
			least = 20
		}
		if a.Percent >= least {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b Alike) int {
		if a.Same != b.Same {
			if a.Same {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Percent, a.Percent)
	})
	return out[:min(len(out), limit)], nil
}

// probes are what the index is asked for: the title, then the longest stretch of
// it without marks, then the halves of that.
func probes(title string) []string {
	longest := []rune{}
	for _, f := range strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if r := []rune(f); len(r) > len(longest) {
			longest = r
		}
	}
	out := []string{title}
	if s := string(longest); s != title && len(longest) > 1 {
		out = append(out, s)
	}
	if n := len(longest); n >= 6 {
		out = append(out, string(longest[:n/2]), string(longest[n/2:]))
	}
	return out
}

func descriptions(ctx context.Context, q db.Querier, rows []Row) (map[int64]string, error) {
	out := make(map[int64]string, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	var a db.Args
	found, err := q.Query(ctx, `SELECT id, substr(description, 1, 400) FROM tickets WHERE id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: descriptions: %w", err)
	}
	defer found.Close()
	for found.Next() {
		var id int64
		var text string
		if err := found.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("ticket: descriptions: %w", err)
		}
		out[id] = text
	}
	return out, found.Err()
}

// pairsOf are the pairs of neighbouring letters of a text, which is how alike
// two short Chinese texts are judged without knowing their words.
func pairsOf(text string) map[[2]rune]bool {
	out := map[[2]rune]bool{}
	last := rune(0)
	for _, r := range strings.ToLower(text) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			last = 0
			continue
		}
		if last != 0 {
			out[[2]rune{last, r}] = true
		}
		last = r
	}
	return out
}

// shared is how much two sets have in common, in percent of the smaller one,
// which must not be tiny.
func shared(a, b map[[2]rune]bool) int {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 2 {
		return 0
	}
	n := 0
	for p := range a {
		if b[p] {
			n++
		}
	}
	return 100 * n / len(a)
}
