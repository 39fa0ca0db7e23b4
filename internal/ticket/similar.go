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

// ByNumberLike returns tickets within sc whose number begins with what was
// typed: all of it, or without the letters before the digits, or without the
// year too ("1119001" for TASK20261119001).
func (s *Service) ByNumberLike(ctx context.Context, sc authz.Scope, typed string, limit int) ([]Brief, error) {
	typed = strings.ToUpper(strings.TrimSpace(typed))
	if typed == "" || len(typed) > 32 || sc.Empty() || strings.ContainsFunc(typed, func(r rune) bool { return r > unicode.MaxASCII }) || !strings.ContainsAny(typed, "0123456789") {
		return nil, nil
	}
	begins := []string{typed}
	if strings.Trim(typed, "0123456789") == "" {
		cfg, err := s.Config(ctx)
		if err != nil {
			return nil, err
		}
		letters, _, _ := strings.Cut(cfg.NumberTemplate, "{")
		begins = append(begins, letters+typed, letters+s.DB().Clock().Now().Format("2006")+typed)
	}
	var out []Brief
	for _, b := range begins {
		var a db.Args
		where := "t.number >= " + a.Add(b) + " AND t.number < " + a.Add(b+"\uffff") + " AND " + sc.Where(&a, scopeColumns)
		rows, err := s.DB().Read().Query(ctx, "SELECT t.id, t.number, t.title, t.state, t.activity_at FROM tickets t WHERE "+where+" ORDER BY t.number DESC LIMIT "+lit(limit), a.Values...)
		if err != nil {
			return nil, fmt.Errorf("ticket: by number: %w", err)
		}
		for rows.Next() {
			var x Brief
			var at int64
			if err := rows.Scan(&x.ID, &x.Number, &x.Title, (*string)(&x.State), &at); err != nil {
				rows.Close()
				return nil, fmt.Errorf("ticket: by number: %w", err)
			}
			x.ActivityAt = db.FromMicros(at)
			if !slices.ContainsFunc(out, func(o Brief) bool { return o.ID == x.ID }) && len(out) < limit {
				out = append(out, x)
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("ticket: by number: %w", err)
		}
	}
	return out, nil
}

// maxPhrases bounds how many pieces of a title are looked for.
const maxPhrases = 8

// phrases are pieces of a title that say what it is about: three characters of
// Chinese at a time, words of others.
func phrases(title string) (out []string) {
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, run := range strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		var han []rune
		flush := func() {
			switch n := len(han); {
			case n == 2 || n == 3:
				add(string(han))
			case n > 3:
				for i := 0; i+3 <= n; i += 2 {
					add(string(han[i : i+3]))
				}
				add(string(han[n-3:]))
			}
			han = nil
		}
		var word []rune
		for _, r := range run {
			if unicode.Is(unicode.Han, r) {
				han = append(han, r)
				continue
			}
			flush()
			word = append(word, r)
		}
		flush()
		if len(word) >= 3 {
			add(string(word))
		}
	}
	if len(out) > maxPhrases { // spread over the whole title
		step, few := float64(len(out))/maxPhrases, []string(nil)
		for i := range maxPhrases {
			few = append(few, out[int(float64(i)*step)])
		}
		out = few
	}
	return out
}

// Similar returns tickets within sc that speak of the same thing as t, the
// nearest first: those that share most pieces of its title. Each piece costs one
// short read of the search index.
func (s *Service) Similar(ctx context.Context, sc authz.Scope, t Ticket, limit int) ([]Brief, error) {
	type hit struct {
		Brief
		score int
	}
	by := map[int64]*hit{}
	for _, p := range phrases(t.Title) {
		page, err := s.List(ctx, sc, Filter{Text: p, Limit: 20})
		if err != nil {
			return nil, err
		}
		for _, r := range page.Rows {
			if r.ID == t.ID {
				continue
			}
			if by[r.ID] == nil {
				by[r.ID] = &hit{Brief: Brief{ID: r.ID, Number: r.Number, Title: r.Title, State: r.State, ActivityAt: r.ActivityAt}}
				if r.Type == t.Type {
					by[r.ID].score++
				}
			}
			by[r.ID].score += 2
		}
	}
	var hits []*hit
	for _, h := range by {
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b *hit) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.ID, a.ID)) })
	var out []Brief
	for _, h := range hits[:min(limit, len(hits))] {
		out = append(out, h.Brief)
	}
	return out, nil
}
