package customer

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Sorts of a list.
const (
	ByActivity = "activity" // last business first; the default
	ByIdle     = "idle"     // longest without business first
	ByCreated  = "created"  // last registered first
	ByOldest   = "oldest"   // first registered first
	SortName   = "name"     // by the sound of the name
	ByVerify   = "verify"   // who is to be verified next; only those with a date
	ByPlanned  = "planned"  // whose follow-up comes next; only those with a plan
)

// Sorts in the order they are offered, named customer.sort.<code>.
var Sorts = []string{ByActivity, ByIdle, ByCreated, ByOldest, SortName, ByVerify, ByPlanned}

// order is how a list is sorted: each has an index of its own, so that a page
// costs what its rows cost. Ties go by id.
type order struct {
	key  string
	desc bool
	only string // whom the order leaves out, as the index says it
	text bool   // key is no number
}

func orderOf(sort string) order {
	switch sort {
	case ByIdle:
		return order{key: "c.activity_at"}
	case ByCreated:
		return order{key: "c.created_at", desc: true}
	case ByOldest:
		return order{key: "c.created_at"}
	case SortName:
		return order{key: "c.pinyin", text: true}
	case ByVerify:
		return order{key: "c.verify_at", only: " AND c.verify_at > 0"}
	case ByPlanned:
		return order{key: "c.planned_at", only: " AND c.planned_at > 0"}
	}
	return order{key: "c.activity_at", desc: true}
}

// Filter selects customers for a list; the zero Filter selects all. Everything
// it says must hold.
type Filter struct {
	Type         Type
	Level        Level
	Source       string
	Industry     string // a section selects its divisions too
	TagID        int64
	OwnerID      int64 // -1: those without an owner
	DepartmentID int64
	Query        Query
	SegmentID    int64

	Sort   string
	After  string // keyset cursors of a Page
	Before string
	Limit  int // 0: 25
}

// Whole is everything f selects by as one Query.
func (f Filter) Whole() Query {
	var all []Node
	if f.Type != "" {
		all = append(all, Is("type", string(f.Type)))
	}
	if f.Level != "" {
		all = append(all, Is("level", string(f.Level)))
	}
	if f.Source != "" {
		all = append(all, Is("source", f.Source))
	}
	if f.Industry != "" {
		all = append(all, Is("industry", f.Industry))
	}
	if f.TagID != 0 {
		all = append(all, Is("tag", strconv.FormatInt(f.TagID, 10)))
	}
	switch {
	case f.OwnerID < 0:
		all = append(all, Node{Field: "owner", Op: OpEmpty})
	case f.OwnerID > 0:
		all = append(all, Is("owner", strconv.FormatInt(f.OwnerID, 10)))
	}
	if f.DepartmentID != 0 {
		all = append(all, Is("department", strconv.FormatInt(f.DepartmentID, 10)))
	}
	if f.SegmentID != 0 {
		all = append(all, Is(attrSegment, strconv.FormatInt(f.SegmentID, 10)))
	}
	switch f.Sort { // these orders leave out who has no such date
	case ByVerify:
		all = append(all, Node{Field: "verify", Op: OpSet})
	case ByPlanned:
		all = append(all, Node{Field: "planned", Op: OpSet})
	}
	switch {
	case len(all) == 0:
		return f.Query
	case f.Query.Any == nil && f.Query.Field == "":
		return AllOf(append(all, f.Query.All...)...)
	}
	return AllOf(append(all, f.Query.Node)...)
}

// Page is a stretch of a list. Next and Prev are "" at its ends.
type Page struct {
	Rows       []Row
	Next, Prev string
	// Unfinished reports that the search ended before the page was full, after it
	// had passed so many customers: it goes on at Next, or at Prev where it went
	// backwards.
	Unfinished bool
}

// reaches are how many customers are passed while those are looked for who
// fulfil conditions that no index answers: a few at first, and when they do not
// fill the page, Reach. Without an end, a condition nobody fulfils would read
// all customers there are for every page.
var reaches = []int{Reach / 10, Reach}

// Reach is how many customers a page of a list passes at most.
const Reach = 20_000

// walked is scopeColumns for a walk in another order: the plus keeps SQLite from
// collecting whole departments by their own indexes and sorting them.
var walked = authz.Columns{Owners: []string{"+c.owner_id", "+c.created_by"}, Department: "+c.department_id"}

// onWalk is the condition that sc covers the customer. Whoever sees only what he
// is concerned with himself has so few that his own indexes are the way.
func onWalk(sc authz.Scope, a *db.Args) string {
	if len(sc.Departments()) == 0 {
		return "(" + sc.Where(a, scopeColumns) + ")"
	}
	return "(" + sc.Where(a, walked) + ")"
}

// maxBranches is how many arms a list over a scope may have; beyond it one scan
// of the whole order is no dearer.
const maxBranches = 12

// maxLimit is how many rows a page may have.
const maxLimit = 200

// List returns a stretch of the customers sc lets the reader see. It costs what
// its rows cost: a condition that few customers fulfil and an index answers
// drives it; else each way of being concerned (department, owner, registered
// by) walks its own index for as many rows as are shown.
func (s *Service) List(ctx context.Context, sc authz.Scope, f Filter) (Page, error) {
	q := s.db().Read()
	if sc.Empty() {
		return Page{}, s.nothing(ctx, sc, f)
	}
	if f.Limit <= 0 || f.Limit > maxLimit {
		f.Limit = 25
	}
	p, err := s.ready(ctx, q, sc.User(), f.Whole())
	if err != nil {
		return Page{}, err
	}
	drive, err := p.driver(ctx, q)
	if err != nil {
		return Page{}, err
	}
	passes := []int{0}
	if drive == nil && !f.Whole().Empty() {
		if passes = reaches; s.lists.reaches != nil {
			passes = s.lists.reaches
		}
	}
	if !f.Whole().Empty() {
		ctx = db.Planned(ctx)
	}
	var w window
	var ids []int64
	var keys []string
	for _, reach := range passes {
		if w, err = p.window(ctx, q, sc, f, drive, reach); err != nil {
			return Page{}, err
		}
		if ids, keys, err = w.read(ctx, q); err != nil {
			return Page{}, err
		}
		if len(ids) > f.Limit || w.end == "" {
			break
		}
	}
	more := len(ids) > f.Limit
	if more {
		ids, keys = ids[:f.Limit], keys[:f.Limit]
	}
	if w.back {
		slices.Reverse(ids)
		slices.Reverse(keys)
	}
	page := Page{Unfinished: !more && w.end != ""}
	if page.Rows, err = s.rows(ctx, q, ids); err != nil {
		return Page{}, err
	}
	if n := len(ids); n > 0 {
		if more || w.back {
			page.Next = w.order.cursor(keys[n-1], ids[n-1])
		}
		if w.paged && (!w.back || more) {
			page.Prev = w.order.cursor(keys[0], ids[0])
		}
	}
	if page.Unfinished {
		if w.back {
			page.Prev = w.end
		} else {
			page.Next = w.end
		}
	}
	if len(ids) == 0 && w.back {
		page.Next = w.order.including(f.Before, w.order.desc)
	} else if len(ids) == 0 && w.paged {
		page.Prev = w.order.including(f.After, !w.order.desc)
	}
	return page, nil
}

// read returns the customers of the window and their keys.
func (w window) read(ctx context.Context, q db.Querier) (ids []int64, keys []string, err error) {
	rows, err := q.Query(ctx, w.query, w.args...)
	if err != nil {
		return nil, nil, fmt.Errorf("customer: list: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var k string
		if err := rows.Scan(&id, &k); err != nil {
			return nil, nil, fmt.Errorf("customer: list: %w", err)
		}
		ids, keys = append(ids, id), append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("customer: list: %w", err)
	}
	return ids, keys, nil
}

// nothing still says what is wrong with a filter.
func (s *Service) nothing(ctx context.Context, sc authz.Scope, f Filter) error {
	_, err := s.ready(ctx, s.db().Read(), sc.User(), f.Whole())
	return err
}

// window is the query of a stretch of a list.
type window struct {
	query string
	args  []any
	order order
	back  bool // rows come in the opposite order
	paged bool
	end   string // where the walk ends before it has passed all; "" it does not
}

// window returns the query of a page. reach bounds the customers that are passed
// on the way; 0 does not.
func (p *plan) window(ctx context.Context, q db.Querier, sc authz.Scope, f Filter, drive *finder, reach int) (w window, err error) {
	o := orderOf(f.Sort)
	w.order = o
	cursor := f.After
	if f.Before != "" {
		cursor = f.Before
	}
	at, id, paged := o.parse(cursor)
	w.paged, w.back = paged, paged && f.Before != ""
	dir, cmp := "ASC", ">"
	if o.desc != w.back {
		dir, cmp = "DESC", "<"
	}
	var a db.Args
	limit := strconv.Itoa(f.Limit + 1)
	var endKey any
	var endID int64
	// bound finds where a walk has passed reach customers; of several walks the
	// one that is there first ends all.
	bound := func(of string, args ...any) error {
		if reach == 0 {
			return nil
		}
		b := db.Args{Values: args}
		query := `SELECT ` + o.key + `, c.id FROM customers c WHERE ` + of + o.only
		if paged {
			query += " AND (" + o.key + ", c.id) " + cmp + " (" + b.Add(at) + ", " + b.Add(id) + ")"
		}
		var k string
		var n int64
		err := q.QueryRow(ctx, query+` ORDER BY `+o.key+` `+dir+`, c.id `+dir+` LIMIT 1 OFFSET `+strconv.Itoa(reach), b.Values...).Scan(&k, &n)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("customer: list: %w", err)
		}
		end := o.cursor(k, n)
		key, _, _ := o.parse(end)
		if was, ok := endKey.(int64); w.end != "" && ok {
			c := cmpPair(key.(int64), n, was, endID)
			if (dir == "DESC") != (c > 0) {
				return nil
			}
		}
		w.end, endKey, endID = end, key, n
		return nil
	}
	arm := func(from, of string) (string, error) {
		cond, err := p.where(&a)
		if err != nil {
			return "", err
		}
		where := of + " AND c.gone = 0" + o.only + " AND " + cond
		if paged {
			where += " AND (" + o.key + ", c.id) " + cmp + " (" + a.Add(at) + ", " + a.Add(id) + ")"
		}
		if w.end != "" {
			within := " >= ("
			if dir == "ASC" {
				within = " <= ("
			}
			where += " AND (" + o.key + ", c.id)" + within + a.Add(endKey) + ", " + a.Add(endID) + ")"
		}
		return `SELECT c.id AS id, ` + o.key + ` AS k FROM ` + from + ` WHERE ` + where +
			` ORDER BY ` + o.key + ` ` + dir + `, c.id ` + dir + ` LIMIT ` + limit, nil
	}
	finish := func() (window, error) { w.args = a.Values; return w, nil }

	if drive != nil {
		few, err := drive.ids(&a)
		if err != nil {
			return w, err
		}
		// CROSS JOIN keeps SQLite to this order.
		body, err := arm("few CROSS JOIN customers c", "c.id = few.id AND "+onWalk(sc, &a))
		if err != nil {
			return w, err
		}
		w.query = `WITH few AS MATERIALIZED (SELECT DISTINCT id FROM (` + few + `) x) ` + body
		return finish()
	}
	arms := len(sc.Departments()) + 2
	if sc.Everything() || o.key != "c.activity_at" || arms > maxBranches {
		if sc.Everything() || len(sc.Departments()) > 0 { // else his own few are sorted
			if err := bound("1 = 1"); err != nil {
				return w, err
			}
		}
		if w.query, err = arm("customers c", onWalk(sc, &a)); err != nil {
			return w, err
		}
		return finish()
	}
	type walk struct {
		col string
		v   int64
	}
	walks := []walk{{"c.owner_id = ", sc.User()}, {"c.created_by = ", sc.User()}}
	for _, d := range sc.Departments() {
		walks = append(walks, walk{"c.department_id = ", d})
	}
	for _, x := range walks {
		if err := bound(x.col+"$1", x.v); err != nil {
			return w, err
		}
	}
	var parts []string
	for i, x := range walks {
		body, err := arm("customers c", x.col+a.Add(x.v))
		if err != nil {
			return w, err
		}
		parts = append(parts, `SELECT id, k FROM (`+body+`) b`+strconv.Itoa(i))
	}
	w.query = `SELECT id, k FROM (` + strings.Join(parts, ` UNION `) + `) u ORDER BY k ` + dir + `, id ` + dir + ` LIMIT ` + limit
	return finish()
}

// cmpPair compares two places of a list by key, then id.
func cmpPair(k1, id1, k2, id2 int64) int { return cmp.Or(cmp.Compare(k1, k2), cmp.Compare(id1, id2)) }

// fewCustomers is how many customers of one condition are sorted rather than
// met on a walk through all.
const fewCustomers = 4000

// driver returns the condition that the fewest customers fulfil, nil when none
// is rare enough to begin with.
func (p *plan) driver(ctx context.Context, q db.Querier) (*finder, error) {
	least := fewCustomers + 1
	var best *finder
	for _, f := range p.finders(p.root) {
		var a db.Args
		ids, err := f.ids(&a)
		if err != nil {
			return nil, err
		}
		var n int
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM (`+ids+`) x LIMIT `+strconv.Itoa(least)+`) n`, a.Values...).Scan(&n); err != nil {
			return nil, fmt.Errorf("customer: list: %w", err)
		}
		if n < least && (f.cap == 0 || n < f.cap) {
			least, best = n, &f
		}
		if least == 0 {
			break
		}
	}
	return best, nil
}

// Cursors hold the key of a row and its id; a text is told from a number by the
// mark in front.
func (o order) cursor(k string, id int64) string {
	if o.text {
		return "~" + base64.RawURLEncoding.EncodeToString([]byte(k)) + "." + strconv.FormatInt(id, 36)
	}
	n, _ := strconv.ParseInt(k, 10, 64)
	return cursorOf(n, id)
}

// including returns a cursor behind that place, so that reading from there in the
// other direction meets its customer too; up says which side that is.
func (o order) including(cursor string, up bool) string {
	k, id, ok := o.parse(cursor)
	if !ok {
		return ""
	}
	if id--; up {
		id += 2
	}
	return o.cursor(fmt.Sprint(k), id)
}

// parse returns ok false for anything cursor has not made for such an order: that
// list begins at its beginning.
func (o order) parse(s string) (k any, id int64, ok bool) {
	a, b, found := strings.Cut(s, ".")
	id, err := strconv.ParseInt(b, 36, 64)
	if !found || err != nil {
		return nil, 0, false
	}
	if rest, isText := strings.CutPrefix(a, "~"); isText || o.text {
		raw, err := base64.RawURLEncoding.DecodeString(rest)
		return string(raw), id, err == nil && isText && o.text && !strings.ContainsRune(string(raw), 0)
	}
	n, err := strconv.ParseInt(a, 36, 64)
	return n, id, err == nil
}

// Count returns how many customers f selects in scope, at most max: a count
// that reaches it means "that many and more".
func (s *Service) Count(ctx context.Context, sc authz.Scope, f Filter, max int) (int, error) {
	q := s.db().Read()
	p, err := s.ready(ctx, q, sc.User(), f.Whole())
	if err != nil || sc.Empty() {
		return 0, err
	}
	return p.countIn(db.Planned(ctx), q, []authz.Scope{sc}, max)
}

func (p *plan) countIn(ctx context.Context, q db.Querier, scs []authz.Scope, max int) (n int, err error) {
	var a db.Args
	from, with := "customers c", ""
	drive, err := p.driver(ctx, q)
	if err != nil {
		return 0, err
	}
	if drive != nil {
		few, err := drive.ids(&a)
		if err != nil {
			return 0, err
		}
		from, with = "few CROSS JOIN customers c", `WITH few AS MATERIALIZED (SELECT DISTINCT id FROM (`+few+`) x) `
	}
	where := covered(&a, scs)
	if drive != nil {
		where += " AND c.id = few.id"
	}
	cond, err := p.where(&a)
	if err != nil {
		return 0, err
	}
	err = q.QueryRow(ctx, with+`SELECT COUNT(*) FROM (SELECT 1 FROM `+from+` WHERE `+where+` AND c.gone = 0 AND `+cond+` LIMIT `+strconv.Itoa(max)+`) n`, a.Values...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("customer: count: %w", err)
	}
	return n, nil
}

// covered is the condition that every scope covers the customer.
func covered(a *db.Args, scs []authz.Scope) string {
	parts := make([]string, len(scs))
	for i, sc := range scs {
		parts[i] = "(" + sc.Where(a, scopeColumns) + ")"
	}
	return strings.Join(parts, " AND ")
}

// batch returns the next customers of the plan behind id after, by id, with
// whether a further scope covers each: what goes through all of them, export and
// bulk changes, and never meets one twice. top bounds the ids; 0 none.
func (p *plan) batch(ctx context.Context, q db.Querier, scs []authz.Scope, also authz.Scope, after, top int64, limit int) (ids []int64, yes map[int64]bool, err error) {
	var a db.Args
	yes = map[int64]bool{}
	from, with, where := "customers c", "", ""
	drive, err := p.driver(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if drive != nil {
		few, err := drive.ids(&a)
		if err != nil {
			return nil, nil, err
		}
		from, with, where = "few CROSS JOIN customers c", `WITH few AS MATERIALIZED (SELECT DISTINCT id FROM (`+few+`) x) `, "c.id = few.id AND "
	}
	second := "CASE WHEN " + also.Where(&a, scopeColumns) + " THEN 1 ELSE 0 END"
	for _, sc := range scs {
		where += onWalk(sc, &a) + " AND "
	}
	where += "c.gone = 0 AND c.id > " + a.Add(after)
	if top > 0 {
		where += " AND c.id <= " + a.Add(top)
	}
	cond, err := p.where(&a)
	if err != nil {
		return nil, nil, err
	}
	rows, err := q.Query(ctx, with+`SELECT c.id, `+second+` FROM `+from+` WHERE `+where+` AND `+cond+` ORDER BY c.id LIMIT `+strconv.Itoa(limit), a.Values...)
	if err != nil {
		return nil, nil, fmt.Errorf("customer: batch: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var in int
		if err := rows.Scan(&id, &in); err != nil {
			return nil, nil, fmt.Errorf("customer: batch: %w", err)
		}
		ids, yes[id] = append(ids, id), in == 1
	}
	return ids, yes, rows.Err()
}

// Contains reports whether the customer fulfils query, whatever anybody's scope:
// "me" in it is nobody.
func (s *Service) Contains(ctx context.Context, q db.Querier, query Query, id int64) (bool, error) {
	p, err := s.ready(ctx, q, 0, query)
	if err != nil {
		return false, err
	}
	var a db.Args
	cond, err := p.where(&a)
	if err != nil {
		return false, err
	}
	var one int
	err = q.QueryRow(ctx, `SELECT 1 FROM customers c WHERE c.id = `+a.Add(id)+` AND c.gone = 0 AND `+cond, a.Values...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("customer: contains %d: %w", id, err)
	}
	return true, nil
}

// Find is Search among those f selects.
func (s *Service) Find(ctx context.Context, sc authz.Scope, text string, limit int, f Filter) ([]Found, error) {
	p, err := s.ready(ctx, s.db().Read(), sc.User(), f.Whole())
	if err != nil {
		return nil, err
	}
	if p.root.blank() {
		return s.search(ctx, sc, text, limit, nil)
	}
	return s.search(ctx, sc, text, limit, p.where)
}

// cursorOf and parseCursor are cursors of lists in the order of a number, then
// of the id.
func cursorOf(k, id int64) string { return strconv.FormatInt(k, 36) + "." + strconv.FormatInt(id, 36) }

func parseCursor(s string) (k, id int64, ok bool) {
	v, id, ok := order{}.parse(s)
	k, _ = v.(int64)
	return k, id, ok
}
