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

// similarMost is how many names one part of a name brings up to be compared.
const similarMost = 150

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
	return p.find(text)
}

func (p *prober) find(text string) ([]Found, error) {
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
	return p.result(text)
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
	return p.result("")
}

// found is a candidate: the best way it was found by.
type found struct {
	id    int64
	by    string
	score int
}

// prober collects candidates; after an error it does nothing more. Each way of
// looking brings up as many as are shown, from an index that also says who may
// see them: hundreds that match cost no more than ten, and what is shown is read
// once, at the end.
type prober struct {
	s    *Service
	ctx  context.Context
	q    db.Querier
	sc   authz.Scope
	hits map[int64]found
	err  error

	limit int // how many are shown

	narrow func(a *db.Args) (string, error)

	whole string // what names found by a part of it must hold; "" they need not
}

func (p *prober) add(f found) {
	if h := p.hits[f.id]; h.score < f.score {
		p.hits[f.id] = f
	}
}

// beyondIndexes are the columns of a scope, written so that no engine walks an
// index of them: who is looked for stands in another one, and a department has
// many more customers than any search finds. ofContact are their copies.
var (
	beyondIndexes = authz.Columns{Owners: []string{"+c.owner_id", "+c.created_by"}, Department: "+c.department_id"}
	ofContact     = authz.Columns{Owners: []string{"x.of_owner", "x.of_creator"}, Department: "x.of_department"}
)

// enough reports whether as many as are shown were found in a better way than
// best, the score that result may give what this way finds.
func (p *prober) enough(best int) bool {
	better := 0
	for _, f := range p.hits {
		if f.score > best {
			better++
		}
	}
	return p.err != nil || better >= p.limit
}

// found reports whether somebody was found in this way.
func (p *prober) found(by string) bool {
	for _, f := range p.hits {
		if f.by == by {
			return true
		}
	}
	return false
}

// look adds the customers in scope that fulfil cond; make adds its arguments.
func (p *prober) look(by string, score int, cond func(a *db.Args) string) {
	if p.enough(score) {
		return
	}
	var a db.Args
	p.collect(by, score, &a, `SELECT c.id FROM customers c WHERE `+cond(&a), "")
}

// lookContacts adds the customers in scope of whom a contact has value in column;
// where many have the same one, the newest.
func (p *prober) lookContacts(by string, score int, column string, value any) {
	if p.enough(score) {
		return
	}
	var a db.Args
	order := ""
	if column == "phone4_index" || column == "initials" { // whose indexes go on with the customer
		order = ` ORDER BY x.customer_id DESC`
	}
	cond := ` WHERE x.active = 1 AND x.` + column + ` = ` + a.Add(value) + ` AND (` + p.sc.Where(&a, ofContact) + `)`
	if p.narrow != nil {
		p.collect(by, score, &a, `SELECT c.id FROM contacts x CROSS JOIN customers c`+cond+` AND c.id = x.customer_id`, order)
		return
	}
	p.gather(by, score, `SELECT x.customer_id FROM contacts x`+cond+order+` LIMIT `+a.Add(p.limit), a.Values)
}

// collect adds what query selects of customers c as far as they are in scope.
func (p *prober) collect(by string, score int, a *db.Args, query, order string) {
	query += ` AND (` + p.sc.Where(a, beyondIndexes) + `) AND c.gone = 0`
	if p.narrow != nil {
		more, err := p.narrow(a)
		if err != nil {
			p.err = err
			return
		}
		query += ` AND ` + more
	}
	p.gather(by, score, query+order+` LIMIT `+a.Add(p.limit), a.Values)
}

func (p *prober) gather(by string, score int, query string, args []any) {
	ids, err := queryIDs(p.ctx, p.q, query, args...)
	if err != nil {
		p.err = fmt.Errorf("customer: search by %s: %w", by, err)
		return
	}
	for _, id := range ids {
		p.add(found{id, by, score})
	}
}

func (p *prober) column(by string, score int, column string, v any) {
	p.look(by, score, func(a *db.Args) string { return "c." + column + " = " + a.Add(v) })
}

func (p *prober) index(by string, score int, column, field, value string) {
	for _, x := range p.s.keys.Indexes(field, value) {
		p.lookContacts(by, score, column, x)
	}
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
	name := nameKey(Company, text)
	p.column(ByName, 95, "name_key", name)
	if k := nameKey(Person, text); k != name {
		p.column(ByName, 95, "name_key", k)
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
	if p.enough(62) {
		return
	}
	// What every company's name ends with stands in hundreds of thousands of them:
	// looked for with the rest it costs a hundred times as much as the rest.
	if core := nameKey(Company, text); utf8.RuneCountInString(core) >= 3 && len(core) < len(text) && strings.Contains(text, core) {
		if p.s.db().Dialect() == db.SQLite && p.found(ByName) {
			// A company by its whole name. Its pairs of characters stand in tens of
			// thousands of names each, and this engine walks all their lists: who
			// bears the name with something behind it, a branch, is its neighbour.
			p.look(ByName, 61, func(a *db.Args) string {
				return "c.name_key > " + a.Add(core) + " AND c.name_key < " + a.Add(core+"\U0010FFFF")
			})
			return
		}
		text, p.whole = core, text
	}
	// The newest first, and no further than it takes: in this order of tables the
	// index is read as the rows are wanted.
	var a db.Args
	sub, _ := search.Customers.MatchSQL(&a, p.s.db().Dialect(), text)
	customers := "customers c"
	if p.narrow == nil && p.s.db().Dialect() == db.SQLite {
		customers += " INDEXED BY customers_reach" // a tenth of the table
	}
	p.collect(ByContact, 50, &a, `SELECT c.id FROM (`+sub+`) m CROSS JOIN `+customers+` WHERE c.id = m.id`, "")
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
	p.lookContacts(ByContact, 48, "initials", key)
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
		p.add(found{f.ID, BySimilarName, 30 + f.score/10})
	}
}

// result loads the candidates and refines how likely they are by what the text
// index has matched in them.
func (p *prober) result(text string) ([]Found, error) {
	hits := make([]found, 0, len(p.hits))
	for _, f := range p.hits {
		hits = append(hits, f)
	}
	slices.SortFunc(hits, func(a, b found) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.id, a.id)) })
	ids := make([]int64, 0, len(hits))
	for i, f := range hits {
		if i < p.limit || f.by == ByContact && i < 2*p.limit { // what was found by words may yet rise
			ids = append(ids, f.id)
		}
	}
	// The indexes say what the customers' own rows say; the rows decide.
	rows, err := p.s.rowsWithin(p.ctx, p.q, &p.sc, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Found, 0, len(rows))
	for _, r := range rows {
		f := Found{Row: r, By: p.hits[r.ID].by, score: p.hits[r.ID].score}
		if f.By == ByContact && text != "" {
			switch {
			case p.whole != "" && !search.Verify(r.Name, p.whole):
				continue
			case strings.HasPrefix(strings.ToLower(r.Name), strings.ToLower(text)):
				f.By, f.score = ByName, 62
			case search.Verify(r.Name, text):
				f.By, f.score = ByName, 60
			case search.Verify(r.Number, text):
				f.By, f.score = ByNumber, 58
			case line(r.Primary().Name) == text:
				f.score = 55
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.score, a.score), b.ActivityAt.Compare(a.ActivityAt), cmp.Compare(b.ID, a.ID))
	})
	if len(out) > p.limit {
		out = out[:p.limit]
	}
	return out, p.own(out, text)
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
			` LIMIT `+a.Add(similarMost), a.Values...)
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
