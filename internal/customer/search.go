package customer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/search"
)

// Further reasons a customer was found, beside those of a Match; locale keys
// customer.match.<what>.
const (
	ByNumber    = "number"
	ByLastFour  = "last_four"
	ByLastEight = "last_eight"
	ByWechat    = "wechat"
	ByContact   = "contact"
	ByInitials  = "initials"
	ByPinyin    = "pinyin"
	BySound     = "sound"
	ByOwn       = "own" // a field of the company's own
)

// Found is a search result.
type Found struct {
	Row
	By    string // what of the customer matched, the likeliest reason
	score int
}

func (f Found) match() Match {
	return Match{Customer: Ref{f.ID, f.Number, f.Name, f.Type, f.Level}, Department: f.DepartmentName, Matched: []string{BySimilarName}}
}

// maxSearch bounds the characters of a search that are looked at.
const maxSearch = 100

// probe is how many customers one way of looking brings up.
const probe = 30

// Search finds customers in the reader's scope by whatever he typed: number,
// credit code, telephone number in any spelling or its last four digits, e-mail
// or WeChat address, name of customer or contact, pinyin or its initials, and
// names with a slip or a character of the same sound. The likeliest come first
// (CUS-9).
func (s *Service) Search(ctx context.Context, sc authz.Scope, text string, limit int) ([]Found, error) {
	return s.search(ctx, sc, text, limit, nil)
}

// search is Search among those who fulfil narrow, which may be nil.
func (s *Service) search(ctx context.Context, sc authz.Scope, text string, limit int, narrow func(a *db.Args) (string, error)) ([]Found, error) {
	text = line(text)
	if r := []rune(text); len(r) > maxSearch {
		text = string(r[:maxSearch])
	}
	if text == "" || sc.Empty() {
		return nil, nil
	}
	if limit <= 0 || limit > 200 {
		limit = 20
	}
	p := prober{s: s, ctx: ctx, q: s.db().Read(), sc: sc, hits: map[int64]found{}, narrow: narrow, limit: limit}
	p.exact(text) // from the likeliest on: what cannot be among those shown is not looked for
	key := latin(text)
	p.latin(key)
	p.words(text)
	p.contacts(key)
	if p.err == nil && len(p.hits) == 0 {
		p.guess(text)
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.result(text, limit)
}

// ByPhone returns the customers in scope with exactly this number, for a caller
// whose number is shown.
func (s *Service) ByPhone(ctx context.Context, sc authz.Scope, phone string) ([]Found, error) {
	if sc.Empty() {
		return nil, nil
	}
	p := prober{s: s, ctx: ctx, q: s.db().Read(), sc: sc, hits: map[int64]found{}, limit: 20}
	p.phone(phone)
	if p.err != nil {
		return nil, p.err
	}
	return p.result("", 20)
}

// found is a candidate with what it is ranked by; of those that are not among the
// likeliest nothing more is loaded.
type found struct {
	id           int64
	by           string
	score        int
	name, number string
	activity     int64
}

// prober collects candidates; after an error it does nothing more.
type prober struct {
	s    *Service
	ctx  context.Context
	q    db.Querier
	sc   authz.Scope
	hits map[int64]found
	err  error

	limit int // how many are shown

	narrow func(a *db.Args) (string, error)
}

func (p *prober) add(f found) {
	if h := p.hits[f.id]; h.score < f.score {
		p.hits[f.id] = f
	}
}

// beyondIndexes are the columns of a scope, written so that no engine walks an
// index of them: who is looked for stands in another one, and a department has
// many more customers than any search finds.
var beyondIndexes = authz.Columns{Owners: []string{"+c.owner_id", "+c.created_by"}, Department: "+c.department_id"}

// look adds the customers in scope that fulfil cond; make adds its arguments.
func (p *prober) look(by string, score int, cond func(a *db.Args) string) {
	p.lookIn(by, score, score, func(a *db.Args) string { return "customers c WHERE " + cond(a) })
}

// lookIn is look with the tables to look in. best is the score that result may
// give what is found: when as many as are shown have a better one, nothing is
// looked for.
func (p *prober) lookIn(by string, score, best int, from func(a *db.Args) string) {
	better := 0
	for _, f := range p.hits {
		if f.score > best {
			better++
		}
	}
	if p.err != nil || better >= p.limit {
		return
	}
	var a db.Args
	query := `SELECT c.id, c.name, c.number, c.activity_at FROM ` + from(&a) + ` AND (` + p.sc.Where(&a, beyondIndexes) + `) AND c.gone = 0`
	if p.narrow != nil {
		more, err := p.narrow(&a)
		if err != nil {
			p.err = err
			return
		}
		query += ` AND ` + more
	}
	query += ` LIMIT ` + a.Add(probe)
	rows, err := p.q.Query(p.ctx, query, a.Values...)
	if err != nil {
		p.err = fmt.Errorf("customer: search by %s: %w", by, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		f := found{by: by, score: score}
		if p.err = rows.Scan(&f.id, &f.name, &f.number, &f.activity); p.err != nil {
			return
		}
		p.add(f)
	}
	p.err = rows.Err()
}

func (p *prober) column(by string, score int, column string, v any) {
	p.look(by, score, func(a *db.Args) string { return "c." + column + " = " + a.Add(v) })
}

func (p *prober) index(by string, score int, column, field, value string) {
	xs := p.s.keys.Indexes(field, value)
	if len(xs) == 0 {
		return
	}
	p.look(by, score, func(a *db.Args) string {
		var in []string
		for _, x := range xs {
			in = append(in, a.Add(x))
		}
		return "c.id IN (SELECT customer_id FROM contacts WHERE active = 1 AND " + column + " IN (" + strings.Join(in, ",") + "))"
	})
}

// exact looks for what identifies.
func (p *prober) exact(text string) {
	p.column(ByNumber, 100, "number", text)
	if up := strings.ToUpper(text); up != text {
		p.column(ByNumber, 100, "number", up)
	}
	p.look(ByNumber, 99, func(a *db.Args) string {
		return "c.id IN (SELECT m.leads_to FROM customer_merges m WHERE m.leads_to > 0 AND m.merged_number = " + a.Add(strings.ToUpper(text)) + ")"
	})
	if code := cnid.NormalizeUSCC(text); utf8.RuneCountInString(code) == 18 {
		p.column(ByUSCC, 99, "uscc", code)
	}
	if strings.ContainsAny(text, "@＠") && cnid.CheckEmail(text) == nil {
		p.index(ByEmail, 97, "email_index", indexEmail, cnid.EmailKey(text))
	}
	p.phone(text)
	if d := digits(text); len(d) == 4 && len(d) == utf8.RuneCountInString(text) {
		p.index(ByLastFour, 80, "phone4_index", indexPhone4, d)
	} else if len(d) == 8 && len(d) == utf8.RuneCountInString(text) {
		p.index(ByLastEight, 85, "phone8_index", indexPhone8, d)
	}
	if !strings.Contains(text, " ") && len(text) >= 5 && ascii(text) {
		p.index(ByWechat, 90, "wechat_index", indexWechat, strings.ToLower(text))
	}
	for _, t := range Types {
		p.column(ByName, 95, "name_key", nameKey(t, text))
	}
}

func (p *prober) phone(text string) {
	n, err := cnid.ParsePhone(text)
	if err == nil && n.Kind != cnid.Short {
		before := len(p.hits)
		p.index(ByPhone, 98, "phone_index", indexPhone, n.Key())
		if len(p.hits) == before && p.err == nil {
			p.index(ByLastEight, 70, "phone8_index", indexPhone8, cnid.LastEight(n))
		}
	}
}

// words looks in the text index: parts of numbers, names and contacts' names.
func (p *prober) words(text string) {
	if p.err != nil {
		return
	}
	if _, ok := search.Customers.MatchSQL(&db.Args{}, p.s.db().Dialect(), text); !ok {
		return
	}
	// The newest first, and no further than it takes: in this order of tables the
	// index is read as the rows are wanted.
	p.lookIn(ByContact, 50, 62, func(a *db.Args) string {
		sub, _ := search.Customers.MatchSQL(a, p.s.db().Dialect(), text)
		return "(" + sub + ") m CROSS JOIN customers c WHERE c.id = m.id"
	})
}

// latin returns text as pinyin is stored, "" when it cannot be pinyin.
func latin(text string) string {
	key := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '\'' || r == ' ' {
			return -1
		}
		return r
	}, text))
	if len(key) < 2 || !pinyinKey(key) {
		return ""
	}
	return key
}

// latin looks for pinyin: initials (gznyyl), full (guangzhounanyue).
func (p *prober) latin(key string) {
	if key == "" {
		return
	}
	p.column(ByInitials, 75, "initials", key)
	if len(key) >= 3 {
		p.prefix(ByPinyin, 68, "c.pinyin", key)
	}
	p.prefix(ByInitials, 65, "c.initials", key)
}

// contacts looks for the initials of contacts.
func (p *prober) contacts(key string) {
	if key == "" {
		return
	}
	p.look(ByContact, 48, func(a *db.Args) string {
		return "c.id IN (SELECT customer_id FROM contacts WHERE active = 1 AND initials = " + a.Add(key) + ")"
	})
}

// only keeps those who fulfil narrow.
func (p *prober) only(list []Found) ([]Found, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(list))
	for i, f := range list {
		ids[i] = f.ID
	}
	var a db.Args
	query := `SELECT c.id FROM customers c WHERE c.id IN (` + a.AddInts(ids) + `)`
	more, err := p.narrow(&a)
	if err != nil {
		return nil, err
	}
	keep, err := queryIDs(p.ctx, p.q, query+` AND `+more, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: search: %w", err)
	}
	return slices.DeleteFunc(list, func(f Found) bool { return !slices.Contains(keep, f.ID) }), nil
}

// prefix looks for column values that begin with key. The range over letters
// and digits means the same in every collation and needs no pattern index.
func (p *prober) prefix(by string, score int, column, key string) {
	p.look(by, score, func(a *db.Args) string {
		cond := column + " >= " + a.Add(key)
		if end, ok := successor(key); ok {
			cond += " AND " + column + " < " + a.Add(end)
		}
		return cond
	})
}

// successor returns the least key of [0-9a-z] behind all that begin with key;
// ok is false when there is none (zzz).
func successor(key string) (string, bool) {
	b := []byte(key)
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case 'z':
			continue
		case '9':
			b[i] = 'a'
		default:
			b[i]++
		}
		return string(b[:i+1]), true
	}
	return "", false
}

// guess is for a name nothing was found for: the same sound written with other
// characters, or one slip in it.
func (p *prober) guess(text string) {
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return
	}
	if py := cnid.Pinyin(text); utf8.RuneCountInString(text) >= 2 && pinyinKey(py) {
		p.prefix(BySound, 40, "c.pinyin", py)
	}
	near, err := p.s.similar(p.ctx, p.q, p.sc, text)
	if err != nil {
		p.err = err
	}
	if p.narrow != nil {
		if near, err = p.only(near); err != nil {
			p.err = err
		}
	}
	for _, f := range near {
		p.add(found{f.ID, BySimilarName, 30 + f.score/10, f.Name, f.Number, db.Micros(f.ActivityAt)})
	}
}

// result refines how likely the candidates are by what the text index has
// matched, and loads the likeliest.
func (p *prober) result(text string, limit int) ([]Found, error) {
	hits := make([]found, 0, len(p.hits))
	var people []int64
	for _, f := range p.hits {
		if f.by == ByContact && text != "" {
			switch {
			case strings.HasPrefix(strings.ToLower(f.name), strings.ToLower(text)):
				f.by, f.score = ByName, 62
			case search.Verify(f.name, text):
				f.by, f.score = ByName, 60
			case search.Verify(f.number, text):
				f.by, f.score = ByNumber, 58
			case !strings.ContainsAny(text, "0123456789"):
				people = append(people, f.id)
			}
		}
		hits = append(hits, f)
	}
	primary, err := p.primaries(people)
	if err != nil {
		return nil, err
	}
	for i := range hits {
		if primary[hits[i].id] == text && text != "" {
			hits[i].score = 55
		}
	}
	slices.SortFunc(hits, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.activity, a.activity), cmp.Compare(b.id, a.id))
	})
	if len(hits) > limit {
		hits = hits[:limit]
	}
	ids := make([]int64, len(hits))
	for i, f := range hits {
		ids[i] = f.id
	}
	rows, err := p.s.rows(p.ctx, p.q, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Found, 0, len(rows))
	for _, r := range rows {
		i := slices.Index(ids, r.ID)
		out = append(out, Found{Row: r, By: hits[i].by, score: hits[i].score})
	}
	return out, p.own(out, text)
}

// primaries returns the names of the first contacts of customers.
func (p *prober) primaries(ids []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(ids))
	slices.Sort(ids)
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := p.q.Query(p.ctx, `SELECT customer_id, name FROM contacts WHERE active = 1 AND is_primary = 1 AND customer_id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var name string
			if err := rows.Scan(&id, &name); err != nil {
				return err
			}
			out[id] = line(name)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("customer: search: %w", err)
	}
	return out, nil
}

// likeness a name must have to count as similar, in percent of common pairs.
const likeness = 55

// similar returns customers in scope whose names have most of their pairs of
// characters in common with name; score is the likeness in percent.
func (s *Service) similar(ctx context.Context, q db.Querier, sc authz.Scope, name string) ([]Found, error) {
	key := nameKey(Company, name)
	runes := []rune(key)
	if len(runes) < 2 || sc.Empty() {
		return nil, nil
	}
	parts := []string{key}
	if n := len(runes); n >= 4 { // one slip leaves one half whole
		parts = append(parts, string(runes[:n/2]), string(runes[n-n/2:]))
	}
	score := map[int64]int{}
	for _, part := range parts {
		var a db.Args
		sub, ok := search.Customers.MatchSQL(&a, s.db().Dialect(), part)
		if !ok {
			continue
		}
		rows, err := q.Query(ctx, `SELECT c.id, c.name_key FROM customers c WHERE c.id IN (SELECT id FROM (`+sub+`) m) AND `+within(sc, &a)+
			` LIMIT `+a.Add(5*probe), a.Values...)
		if err != nil {
			return nil, fmt.Errorf("customer: similar names: %w", err)
		}
		for rows.Next() {
			var id int64
			var k string
			if err = rows.Scan(&id, &k); err != nil {
				break
			}
			if l := alike(key, k); l >= likeness {
				score[id] = max(score[id], l)
			}
		}
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("customer: similar names: %w", err)
		}
	}
	ids := make([]int64, 0, len(score))
	for id := range score {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b int64) int {
		if score[a] != score[b] {
			return score[b] - score[a]
		}
		return int(b - a)
	})
	if len(ids) > 5 {
		ids = ids[:5]
	}
	rows, err := s.rows(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Found, len(rows))
	for i, r := range rows {
		out[i] = Found{Row: r, By: BySimilarName, score: score[r.ID]}
	}
	return out, nil
}

// alike returns how much two names have in common: twice the common pairs of
// neighbours by all pairs, in percent (Dice).
func alike(a, b string) int {
	pairs := func(s string) map[[2]rune]bool {
		m, r := map[[2]rune]bool{}, []rune(s)
		for i := range len(r) - 1 {
			m[[2]rune{r[i], r[i+1]}] = true
		}
		return m
	}
	x, y := pairs(a), pairs(b)
	common := 0
	for k := range x {
		if y[k] {
			common++
		}
	}
	if len(x)+len(y) == 0 {
		return 0
	}
	return 200 * common / (len(x) + len(y))
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return r
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		}
		return -1
	}, s)
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func pinyinKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) &&
		strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' })
}
