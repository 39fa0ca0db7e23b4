package knowledge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/search"
)

// Found is an article that fits what was asked, with the words lit.
type Found struct {
	Article
	Title   []search.Piece
	Snippet []search.Piece
	Covers  float64
}

type corpusKey struct{}

func corpus(ctx context.Context, q db.Querier) (search.Corpus, error) {
	return db.Held(ctx, q, corpusKey{}, func() (c search.Corpus, err error) {
		var sum int64
		err = q.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(live_length), 0) FROM articles WHERE live_version > 0`).Scan(&c.Texts, &sum)
		if err != nil {
			return c, fmt.Errorf("knowledge: corpus: %w", err)
		}
		c.Length = float64(sum) / float64(max(c.Texts, 1))
		return c, nil
	})
}

// Any reports whether there is an article at all; it asks the store seldom.
func (s *Service) Any(ctx context.Context) bool {
	c, err := corpus(ctx, s.DB().Read())
	return err == nil && c.Texts > 0
}

// Search is what somebody looks for.
type Search struct {
	Text       string
	CategoryID int64 // 0: all
	Limit      int
	// Loose keeps what speaks of little of a long text: suggestions for a ticket.
	Loose bool
	For   []Audience // only what these may read; nil: whatever the reader may
}

// enough is how much of what was asked an article must speak of.
const (
	enough      = 0.08
	enoughLoose = 0.05
	answered    = 0.25 // below it, somebody who searched has hardly found what he wanted
)

// Find returns the published articles that fit best; it counts nothing.
func (s *Service) Find(ctx context.Context, actor authz.Actor, in Search) (out []Found, q search.Question, err error) {
	text := in.Text
	if rs := []rune(text); len(rs) > 600 {
		text = string(rs[:600])
	}
	syn, err := synonyms(ctx, s.DB().Read())
	if err != nil {
		return nil, q, err
	}
	q = search.Ask(text, syn)
	r, err := s.reach(ctx, actor)
	if err != nil || q.Empty() {
		return nil, q, err
	}
	if len(in.For) > 0 {
		r.audiences = slices.DeleteFunc(slices.Clone(r.audiences), func(a Audience) bool { return !slices.Contains(in.For, a) })
		r.depts, r.roles = nil, nil
		if len(r.audiences) == 0 {
			return nil, q, nil
		}
	}
	c, err := corpus(ctx, s.DB().Read())
	if err != nil || c.Texts == 0 {
		return nil, q, err
	}
	var a db.Args
	where := r.live(&a, "t")
	if in.CategoryID != 0 {
		cs, err := categories(ctx, s.DB().Read())
		if err != nil {
			return nil, q, err
		}
		where += " AND t.category_id IN (" + a.AddInts(below(cs, in.CategoryID)) + ")"
	}
	hits, err := index.Find(ctx, s.DB().Read(), q, c, &a, "JOIN articles t ON t.id = x.article_id", "live_length", "t.views + 10 * t.uses + 5 * t.helpful", where)
	if err != nil {
		return nil, q, err
	}
	least := enough
	if in.Loose {
		least = enoughLoose
	}
	if in.Limit <= 0 || in.Limit > 100 {
		in.Limit = 20
	}
	var ids []int64
	best := 0.0
	covers := map[int64]float64{}
	for _, h := range hits {
		best = max(best, h.Score)
		if h.Covers >= least && h.Score >= best*0.12 && len(ids) < in.Limit {
			ids = append(ids, h.ID)
			covers[h.ID] = h.Covers
		}
	}
	if len(ids) == 0 {
		return nil, q, nil
	}
	a = db.Args{}
	rows, err := s.some(ctx, "t.id IN ("+a.AddInts(ids)+") AND "+r.live(&a, "t"), a.Values...)
	if err != nil {
		return nil, q, err
	}
	slices.SortFunc(rows, func(x, y Article) int { return slices.Index(ids, x.ID) - slices.Index(ids, y.ID) })
	for _, x := range rows {
		x.MayEdit, x.Text = r.edits(&x), x.Live.Text
		out = append(out, Found{x, q.Light(x.Title), q.Snippet(Plain(x.Body), 110), covers[x.ID]})
	}
	return out, q, nil
}

// Answers is how many of what was found speak of what was asked.
func Answers(found []Found) (n int) {
	for _, x := range found {
		if x.Covers >= answered {
			n++
		}
	}
	return n
}

// Quick is Find for what is typed a letter at a time: what begins like it, also in
// pinyin and its first letters, fills up what was found.
func (s *Service) Quick(ctx context.Context, actor authz.Actor, text string, limit int) ([]Found, error) {
	text = strings.TrimSpace(text)
	r, err := s.reach(ctx, actor)
	if err != nil {
		return nil, err
	}
	var out []Found
	var q search.Question
	if text != "" {
		if out, q, err = s.Find(ctx, actor, Search{Text: text, Limit: limit}); err != nil || len(out) >= limit {
			return out, err
		}
	}
	var a db.Args
	where := r.live(&a, "t")
	if text != "" {
		where += ` AND t.lookup LIKE ` + a.Add("%"+likeEscape.Replace(strings.ToLower(text))+"%") + ` ESCAPE '\'`
	}
	rows, err := s.some(ctx, where+" ORDER BY t.uses DESC, t.views DESC, t.id DESC LIMIT "+a.Add(limit), a.Values...)
	if err != nil {
		return nil, err
	}
	for _, x := range rows {
		if len(out) >= limit || slices.ContainsFunc(out, func(f Found) bool { return f.ID == x.ID }) {
			continue
		}
		x.MayEdit, x.Text = r.edits(&x), x.Live.Text
		out = append(out, Found{Article: x, Title: q.Light(x.Title), Snippet: q.Snippet(Plain(x.Body), 80)})
	}
	return out, nil
}

// Filter narrows a list; zero fields do not.
type Filter struct {
	Text       string
	State      State // what the reader may change, in that state
	Pending    bool  // published, with a newer text that is not
	CategoryID int64
	OwnerID    int64
	FAQ        bool
	Due        bool   // to be looked at again
	Popular    bool   // most read first; without further pages
	After      Cursor // the last row of the page before
	Limit      int
}

// Cursor is a place in the list, which is ordered by the last change.
type Cursor struct {
	At int64 // µs
	ID int64
}

// List returns articles that actor may see, the last changed first. Without State,
// Pending or Due it lists what is published.
func (s *Service) List(ctx context.Context, actor authz.Actor, f Filter) (out []Article, more bool, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 50
	}
	r, err := s.reach(ctx, actor)
	if err != nil {
		return nil, false, err
	}
	var a db.Args
	var where []string
	switch {
	case f.State == "" && !f.Pending && !f.Due:
		where = append(where, r.live(&a, "t"))
	default:
		where = append(where, r.edit.Where(&a, columns("t")))
	}
	if f.State != "" {
		where = append(where, "t.state = "+a.Add(string(f.State)))
	}
	if f.Pending {
		where = append(where, "t.live_version > 0 AND t.live_version <> t.version")
	}
	if f.Due {
		where = append(where, "t.live_version > 0 AND t.review_at > 0 AND t.review_at <= "+a.Add(db.Micros(s.DB().Clock().Now())))
	}
	if f.CategoryID != 0 {
		cs, err := categories(ctx, s.DB().Read())
		if err != nil {
			return nil, false, err
		}
		where = append(where, "t.category_id IN ("+a.AddInts(below(cs, f.CategoryID))+")")
	}
	if f.OwnerID != 0 {
		where = append(where, "t.owner_id = "+a.Add(f.OwnerID))
	}
	if f.FAQ {
		where = append(where, "t.faq = 1")
	}
	if q := strings.ToLower(strings.TrimSpace(f.Text)); q != "" {
		where = append(where, `t.lookup LIKE `+a.Add("%"+likeEscape.Replace(q)+"%")+` ESCAPE '\'`)
	}
	order := "t.updated_at DESC, t.id DESC"
	if f.Popular {
		order = "t.views DESC, t.id DESC"
	} else if f.After.ID != 0 {
		where = append(where, "(t.updated_at, t.id) < ("+a.Add(f.After.At)+", "+a.Add(f.After.ID)+")")
	}
	out, err = s.some(ctx, strings.Join(where, " AND ")+" ORDER BY "+order+" LIMIT "+a.Add(f.Limit+1), a.Values...)
	for i := range out {
		// A page goes on where the row stands, whatever of it is shown.
		at := out[i].UpdatedAt
		if out[i] = r.shown(out[i]); f.State == "" && !f.Pending && !f.Due {
			out[i].Text = out[i].Live.Text
		}
		out[i].UpdatedAt = at
	}
	if len(out) > f.Limit {
		return out[:f.Limit], true, err
	}
	return out, false, err
}

// Waiting is how many articles wait for review that actor may publish, at most 100.
func (s *Service) Waiting(ctx context.Context, actor authz.Actor) (n int) {
	sc := authz.For(actor, PermPublish)
	if sc.Empty() {
		return 0
	}
	var a db.Args
	where := sc.Where(&a, columns("t"))
	if err := s.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM articles t WHERE t.state = 'review' AND `+where+` LIMIT 100) w`, a.Values...).Scan(&n); err != nil {
		return 0
	}
	return n
}

type synonymsKey struct{}

func synonyms(ctx context.Context, q db.Querier) ([][]string, error) {
	gs, err := synonymGroups(ctx, q)
	out := make([][]string, len(gs))
	for i, g := range gs {
		out[i] = g.Words
	}
	return out, err
}

// Synonyms is a group of words that mean the same.
type Synonyms struct {
	ID    int64
	Words []string
}

func synonymGroups(ctx context.Context, q db.Querier) ([]Synonyms, error) {
	return db.Held(ctx, q, synonymsKey{}, func() (out []Synonyms, err error) {
		rows, err := q.Query(ctx, `SELECT id, words FROM article_synonyms ORDER BY id LIMIT 2000`)
		if err != nil {
			return nil, fmt.Errorf("knowledge: synonyms: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var g Synonyms
			var words string
			if err := rows.Scan(&g.ID, &words); err != nil {
				return nil, fmt.Errorf("knowledge: synonyms: %w", err)
			}
			g.Words = strings.Fields(words)
			out = append(out, g)
		}
		return out, rows.Err()
	})
}

// SynonymGroups returns what an administrator wrote down.
func (s *Service) SynonymGroups(ctx context.Context) ([]Synonyms, error) {
	return synonymGroups(ctx, s.DB().Read())
}

// SaveSynonyms adds a group (id 0), changes one, or removes one without words.
func (s *Service) SaveSynonyms(ctx context.Context, actor authz.Actor, id int64, text string) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	var words []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,，、;；/=＝　", r) }) {
		if w = strings.ToLower(w); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	bad := fault.Invalidf("knowledge.invalid")
	if len(words) == 1 || len(words) == 0 && id == 0 {
		bad.Field("words", "knowledge.need_synonyms")
	}
	for _, w := range words {
		if n := len([]rune(w)); n < 2 || n > 20 {
			bad.Field("words", "knowledge.synonym_length", w)
		}
	}
	if len(words) > 20 {
		bad.Field("words", "knowledge.many_synonyms", 20)
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.synonyms", func(ctx context.Context, a *action.Action) error {
		old, err := synonymGroups(ctx, a)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(old, func(g Synonyms) bool { return g.ID == id })
		was := ""
		if id != 0 {
			if at < 0 {
				return notFound()
			}
			was = strings.Join(old[at].Words, " ")
		}
		now := strings.Join(words, " ")
		for _, g := range old {
			for _, w := range words {
				if g.ID != id && slices.Contains(g.Words, w) {
					return fault.Invalidf("knowledge.invalid").Field("words", "knowledge.synonym_twice", w, strings.Join(g.Words, " "))
				}
			}
		}
		switch {
		case now == was:
			a.Nothing()
			return nil
		case id == 0:
			_, err = a.Exec(ctx, `INSERT INTO article_synonyms (words, at) VALUES ($1, $2)`, now, a.NowMicros())
		case now == "":
			_, err = a.Exec(ctx, `DELETE FROM article_synonyms WHERE id = $1`, id)
		default:
			_, err = a.Exec(ctx, `UPDATE article_synonyms SET words = $1, at = $2 WHERE id = $3`, now, a.NowMicros(), id)
		}
		if err != nil {
			return fmt.Errorf("knowledge: synonyms: %w", err)
		}
		a.Drop(synonymsKey{})
		a.Record(event.Event{Kind: EventSynonyms, Subject: event.Subject{Type: "knowledge"}, Data: Fact{Changes: changed(nil, "synonyms", was, now)}})
		return nil
	})
}

func id10(n int64) string { return strconv.FormatInt(n, 10) }

// Open reports whether customers have help pages with something on them.
func (s *Service) Open(ctx context.Context) bool {
	st, err := s.Settings(ctx)
	return err == nil && !st.Closed && s.Any(ctx)
}
