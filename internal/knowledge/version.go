package knowledge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
)

var errNone = sql.ErrNoRows

// Version is an article as it was saved.
type Version struct {
	Text
	N           int64 // its number
	Note        string
	UserID      int64
	At          time.Time
	PublishedBy int64
	PublishedAt time.Time
}

const versionColumns = `version, title, body, keywords, audience, departments, roles, files, note, user_id, at, published_by, published_at`

func scanVersion(row interface{ Scan(...any) error }) (v Version, err error) {
	var deps, roles, files string
	var at, published int64
	err = row.Scan(&v.N, &v.Title, &v.Body, &v.Keywords, (*string)(&v.Audience), &deps, &roles, &files, &v.Note, &v.UserID, &at, &v.PublishedBy, &published)
	v.Departments, v.Roles, v.Files, v.At, v.PublishedAt = unset(deps), unset(roles), unset(files), db.FromMicros(at), db.FromMicros(published)
	return v, err
}

// Versions of an article, the newest first; before 0: from the newest on. Only
// whoever may change the article sees them.
func (s *Service) Versions(ctx context.Context, actor authz.Actor, id, before int64, limit int) (out []Version, err error) {
	x, err := s.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if !x.MayEdit {
		return nil, authz.Denied(PermWrite)
	}
	if before == 0 {
		before = 1 << 60
	}
	rows, err := s.DB().Read().Query(ctx, `SELECT `+versionColumns+` FROM article_versions WHERE article_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3`, id, before, limit)
	if err != nil {
		return nil, fmt.Errorf("knowledge: versions of %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scanVersion(rows)
		if err != nil {
			return nil, fmt.Errorf("knowledge: versions of %d: %w", id, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func version(ctx context.Context, q db.Querier, id, n int64) (Version, error) {
	v, err := scanVersion(q.QueryRow(ctx, `SELECT `+versionColumns+` FROM article_versions WHERE article_id = $1 AND version = $2`, id, n))
	if errors.Is(err, errNone) {
		return v, notFound()
	}
	if err != nil {
		err = fmt.Errorf("knowledge: version %d of %d: %w", n, id, err)
	}
	return v, err
}

// Compare returns two versions of an article.
func (s *Service) Compare(ctx context.Context, actor authz.Actor, id, a, b int64) (old, now Version, err error) {
	x, err := s.Get(ctx, actor, id)
	if err != nil {
		return old, now, err
	}
	if !x.MayEdit {
		return old, now, authz.Denied(PermWrite)
	}
	if old, err = version(ctx, s.DB().Read(), id, a); err != nil {
		return old, now, err
	}
	now, err = version(ctx, s.DB().Read(), id, b)
	return old, now, err
}

// Restore makes the text of an earlier version a new one. Readers see it when it
// is published.
func (s *Service) Restore(ctx context.Context, actor authz.Actor, id, n int64) error {
	return s.run.Do(ctx, actor, "knowledge.restore", func(ctx context.Context, a *action.Action) error {
		x, err := s.load(ctx, a, id, PermWrite)
		if err != nil {
			return err
		}
		v, err := version(ctx, a, id, n)
		if err != nil {
			return err
		}
		return s.edit(ctx, a, x, Input{CategoryID: x.CategoryID, Text: v.Text, FAQ: x.FAQ, OwnerID: x.OwnerID, ReviewAt: x.ReviewAt, ExpiresAt: x.ExpiresAt, Note: fmt.Sprintf("v%d → v%d", n, x.Version+1)})
	})
}

// Op says what became of a piece of text.
type Op byte

const (
	Same Op = iota
	Gone
	Added
)

// Piece is a stretch of text in a difference.
type Piece struct {
	Op   Op
	Text string
}

// Deleted reports whether the piece is only in the old text.
func (p Piece) Deleted() bool { return p.Op == Gone }

// Inserted reports whether the piece is only in the new text.
func (p Piece) Inserted() bool { return p.Op == Added }

// Row is a line of two texts beside each other; nil: there is none on that side.
type Row struct {
	Old, New []Piece
	Same     bool
}

// Diff returns two texts line by line beside each other; within a changed line,
// Chinese is compared by characters and other writing by words.
func Diff(old, now string) (rows []Row) {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	var gone, added []string
	flush := func() {
		for i := range max(len(gone), len(added)) {
			switch {
			case i >= len(added):
				rows = append(rows, Row{Old: []Piece{{Gone, gone[i]}}})
			case i >= len(gone):
				rows = append(rows, Row{New: []Piece{{Added, added[i]}}})
			default:
				var r Row
				for _, p := range Inline(gone[i], added[i]) {
					if p.Op != Added {
						r.Old = append(r.Old, p)
					}
					if p.Op != Gone {
						r.New = append(r.New, p)
					}
				}
				rows = append(rows, r)
			}
		}
		gone, added = nil, nil
	}
	for _, e := range edits(a, b) {
		switch e.op {
		case Gone:
			gone = append(gone, a[e.i])
		case Added:
			added = append(added, b[e.j])
		default:
			flush()
			p := []Piece{{Same, a[e.i]}}
			rows = append(rows, Row{Old: p, New: p, Same: true})
		}
	}
	flush()
	return rows
}

// Together makes of rows beside each other one text that shows both.
func Together(rows []Row) (out [][]Piece) {
	join := func(ps []Piece) (s string) {
		for _, p := range ps {
			s += p.Text
		}
		return s
	}
	for _, r := range rows {
		switch {
		case r.Same, r.New == nil:
			out = append(out, r.Old)
		case r.Old == nil:
			out = append(out, r.New)
		default:
			out = append(out, Inline(join(r.Old), join(r.New)))
		}
	}
	return out
}

// Inline returns one text that shows both.
func Inline(old, now string) (out []Piece) {
	a, b := words(old), words(now)
	put := func(op Op, t string) {
		if n := len(out); n > 0 && out[n-1].Op == op {
			out[n-1].Text += t
			return
		}
		out = append(out, Piece{op, t})
	}
	es := edits(a, b)
	// A lone character that stayed between two changes is not worth its marks.
	for i := 0; i < len(es); {
		if es[i].op != Same {
			i++
			continue
		}
		j := i
		n := 0
		for j < len(es) && es[j].op == Same {
			n += len([]rune(a[es[j].i]))
			j++
		}
		if i > 0 && j < len(es) && n < 2 {
			for k := i; k < j; k++ {
				es[k].both = true
			}
		}
		i = j
	}
	var gone, added string
	flush := func() {
		if gone != "" {
			put(Gone, gone)
		}
		if added != "" {
			put(Added, added)
		}
		gone, added = "", ""
	}
	for _, e := range es {
		switch {
		case e.both:
			gone, added = gone+a[e.i], added+b[e.j]
		case e.op == Gone:
			gone += a[e.i]
		case e.op == Added:
			added += b[e.j]
		default:
			flush()
			put(Same, a[e.i])
		}
	}
	flush()
	return out
}

// words cuts a text into Chinese characters, words and what stands between.
func words(s string) (out []string) {
	var run []rune
	flush := func() {
		if len(run) > 0 {
			out = append(out, string(run))
			run = run[:0]
		}
	}
	for _, r := range s {
		if (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			run = append(run, r)
			continue
		}
		flush()
		out = append(out, string(r))
	}
	flush()
	return out
}

type edit struct {
	op   Op
	both bool // shown as changed though it is the same
	i, j int
}

// maxCells bounds the table of a comparison: beyond it, what is between the equal
// beginning and end counts as changed.
const maxCells = 4_000_000

// edits returns how a becomes b, by the longest common subsequence.
func edits(a, b []string) (out []edit) {
	from, ea, eb := 0, len(a), len(b)
	for from < ea && from < eb && a[from] == b[from] {
		out = append(out, edit{Same, false, from, from})
		from++
	}
	for ea > from && eb > from && a[ea-1] == b[eb-1] {
		ea--
		eb--
	}
	n, m := ea-from, eb-from
	if n*m > maxCells {
		for i := from; i < ea; i++ {
			out = append(out, edit{Gone, false, i, 0})
		}
		for j := from; j < eb; j++ {
			out = append(out, edit{Added, false, 0, j})
		}
	} else {
		t := make([][]int32, n+1)
		for i := range t {
			t[i] = make([]int32, m+1)
		}
		for i := n - 1; i >= 0; i-- {
			for j := m - 1; j >= 0; j-- {
				if a[from+i] == b[from+j] {
					t[i][j] = t[i+1][j+1] + 1
				} else {
					t[i][j] = max(t[i+1][j], t[i][j+1])
				}
			}
		}
		for i, j := 0, 0; i < n || j < m; {
			switch {
			case i < n && j < m && a[from+i] == b[from+j]:
				out = append(out, edit{Same, false, from + i, from + j})
				i++
				j++
			case i < n && (j == m || t[i+1][j] >= t[i][j+1]):
				out = append(out, edit{Gone, false, from + i, 0})
				i++
			default:
				out = append(out, edit{Added, false, 0, from + j})
				j++
			}
		}
	}
	for k := 0; ea+k < len(a); k++ {
		out = append(out, edit{Same, false, ea + k, eb + k})
	}
	return out
}
