package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/org"

	"golang.org/x/text/unicode/norm"
)

// Request is what routing looks at.
type Request struct {
	Type, Class string
	CategoryID  int64
	Channel     string
	Level       string // of the customer; "" when he is not known yet
	Text        string // title and description
	CustomerID  int64
	OwnerID     int64 // of the customer
	ticket      int64 // itself, once it is there
}

func requestOf(t *Ticket) Request {
	return Request{Type: t.Type, Class: t.Class, CategoryID: t.CategoryID, Channel: t.Channel, Level: t.CustomerLevel,
		Text: t.Title + "\n" + t.Description, CustomerID: t.CustomerID, ticket: t.ID}
}

// Conditions are what a request must meet, all of them; an empty one is met by
// every request, and of a list one entry is enough.
type Conditions struct {
	Types      []string `json:"types,omitempty"`
	Classes    []string `json:"classes,omitempty"`
	Categories []int64  `json:"categories,omitempty"` // with those below them
	Channels   []string `json:"channels,omitempty"`
	Levels     []string `json:"levels,omitempty"`
	Keywords   []string `json:"keywords,omitempty"` // part of title or description, in whatever width and case
}

// Empty reports whether every request meets c.
func (c Conditions) Empty() bool {
	return len(c.Types)+len(c.Classes)+len(c.Categories)+len(c.Channels)+len(c.Levels)+len(c.Keywords) == 0
}

// Rule sends the requests that meet its conditions to a department (TKT-5).
type Rule struct {
	ID           int64
	Name         string // "": its conditions say enough
	Conditions   Conditions
	DepartmentID int64
	Active       bool
	Version      int64
}

// Rest reports whether the rule is the last one, which takes what no other does.
func (r Rule) Rest() bool { return r.Conditions.Empty() }

// Strategy is a way to find the person for a ticket of a department;
// routing.strategy.<strategy>.
type Strategy string

const (
	Pull        Strategy = "pull"         // nobody is chosen: the people of the department take from its queue
	RoundRobin  Strategy = "round_robin"  // in turn
	LeastLoaded Strategy = "least_loaded" // who has the fewest open tickets
	BySkill     Strategy = "skill"        // who has most of the skills the request asks for
	LastHandler Strategy = "last_handler" // who had the newest ticket of this customer
	ByOwner     Strategy = "owner"        // the owner of the customer
)

// Strategies in the order they are offered.
var Strategies = []Strategy{Pull, RoundRobin, LeastLoaded, BySkill, LastHandler, ByOwner}

// ends reports whether the strategy finds somebody, or leaves it to the people,
// whenever anybody is free: what stands behind it in a chain is never asked.
func (s Strategy) ends() bool { return s == Pull || s == RoundRobin || s == LeastLoaded }

// defaultChain is that of a department nobody has set one for.
var defaultChain = []Strategy{LeastLoaded}

// Skill is what people are good at, with the requests that ask for it: of one of
// its types and one of its categories; an empty list is any. One with neither is
// asked for by no request.
type Skill struct {
	ID         int64
	Name       string
	People     int
	Types      []string
	Categories []int64 // with those below them
}

// version is that of the table and of the organisation it names: a department
// may have been closed.
type version struct{ routing, org int64 }

// table is all that routing follows, as it was at a version. It is never changed
// once made.
type table struct {
	version version
	rules   []Rule // in order, the one for the rest last
	chains  map[int64][]Strategy
	serves  map[int64]Skill // by id, without names
	parents map[int64]int64 // of categories
	leaving map[int64]bool  // whose tickets are being handed over
}

// routingVersion is the counter that grows with every change of the table.
// Whoever gives out work holds its row until he has done so, and whoever changes
// it waits: after a change nobody still works by what was before.
const routingVersion = "ticket.routing"

func (s *Service) touchRouting(ctx context.Context, a *action.Action) error {
	if _, err := a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = $1`, routingVersion); err != nil {
		return fmt.Errorf("ticket: routing: %w", err)
	}
	return nil
}

// table returns the routing in force; a is the action that gives out work by it.
func (s *Service) table(ctx context.Context, a *action.Action) (*table, error) {
	lock := ""
	if a.Dialect() == db.Postgres {
		lock = " FOR SHARE"
	}
	tb, err := s.tableOf(ctx, a, lock)
	if err == nil && tb != s.routes.Load() {
		a.AfterCommit(func() { s.routes.Store(tb) })
	}
	return tb, err
}

func (s *Service) tableOf(ctx context.Context, q db.Querier, lock string) (*table, error) {
	now, err := routingNow(ctx, q, lock)
	if err != nil {
		return nil, err
	}
	if tb := s.routes.Load(); tb != nil && tb.version == now {
		return tb, nil
	}
	return loadTable(ctx, q, now)
}

func routingNow(ctx context.Context, q db.Querier, lock string) (v version, err error) {
	rows, err := q.Query(ctx, `SELECT name, n FROM counters WHERE name IN ($1, $2)`+lock, routingVersion, org.GenerationCounter)
	if err != nil {
		return v, fmt.Errorf("ticket: routing: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return v, fmt.Errorf("ticket: routing: %w", err)
		}
		if name == routingVersion {
			v.routing = n
		} else {
			v.org = n
		}
	}
	return v, rows.Err()
}

func loadTable(ctx context.Context, q db.Querier, now version) (*table, error) {
	tb := &table{version: now, chains: map[int64][]Strategy{}, serves: map[int64]Skill{}, parents: map[int64]int64{}, leaving: map[int64]bool{}}
	each := func(query string, f func(rows db.Rows) error) error {
		rows, err := q.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("ticket: routing: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := f(rows); err != nil {
				return fmt.Errorf("ticket: routing: %w", err)
			}
		}
		return rows.Err()
	}
	err := errors.Join(
		each(`SELECT r.id, r.name, r.conditions, r.department_id, CASE WHEN d.active = 1 THEN r.active ELSE 0 END, r.version
			FROM routing_rules r JOIN departments d ON d.id = r.department_id ORDER BY r.position, r.id`, func(rows db.Rows) error {
			var r Rule
			var raw string
			var active int
			if err := rows.Scan(&r.ID, &r.Name, &raw, &r.DepartmentID, &active, &r.Version); err != nil {
				return err
			}
			r.Active = active == 1
			tb.rules = append(tb.rules, r)
			return json.Unmarshal([]byte(raw), &tb.rules[len(tb.rules)-1].Conditions)
		}),
		each(`SELECT department_id, chain FROM routing_chains`, func(rows db.Rows) error {
			var d int64
			var chain string
			err := rows.Scan(&d, &chain)
			for x := range strings.SplitSeq(chain, ",") {
				tb.chains[d] = append(tb.chains[d], Strategy(x))
			}
			return err
		}),
		each(`SELECT skill_id, types, categories FROM routing_skills`, func(rows db.Rows) error {
			var k Skill
			var types, categories string
			err := rows.Scan(&k.ID, &types, &categories)
			k.Types, k.Categories = splitWords(types), splitIDs(categories)
			tb.serves[k.ID] = k
			return err
		}),
		each(`SELECT id, COALESCE(parent_id, 0) FROM categories`, func(rows db.Rows) error {
			var id, parent int64
			err := rows.Scan(&id, &parent)
			tb.parents[id] = parent
			return err
		}),
		each(`SELECT from_id FROM handovers WHERE state = 'running'`, func(rows db.Rows) error {
			var id int64
			err := rows.Scan(&id)
			tb.leaving[id] = true
			return err
		}),
	)
	slices.SortStableFunc(tb.rules, func(a, b Rule) int { return int(db.Bool(a.Rest()) - db.Bool(b.Rest())) })
	return tb, err
}

func splitWords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func splitIDs(s string) (out []int64) {
	for _, w := range splitWords(s) {
		if n, err := strconv.ParseInt(w, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func joinIDs(ids []int64) string {
	var w []string
	for _, id := range ids {
		w = append(w, strconv.FormatInt(id, 10))
	}
	return strings.Join(w, ",")
}

func (tb *table) chain(department int64) []Strategy {
	if c := tb.chains[department]; len(c) > 0 {
		return c
	}
	return defaultChain
}

// plain is text as keywords are compared: full-width letters, capitals and
// blanks in a row make no difference.
func plain(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

// Hit is a condition of a rule and what of the request met it, or did not.
type Hit struct {
	Field string `json:"f"`           // type, class, category, channel, level, keyword
	Value string `json:"v,omitempty"` // code, id of a category, word
}

// meets checks c for a request, whose text is plain; missed is the first
// condition it does not meet.
func (tb *table) meets(c Conditions, r Request, text string) (hits []Hit, missed string) {
	for _, f := range []struct {
		field string
		of    []string
		value string
	}{{"type", c.Types, r.Type}, {"class", c.Classes, r.Class}, {"channel", c.Channels, r.Channel}, {"level", c.Levels, r.Level}} {
		if len(f.of) == 0 {
			continue
		}
		if !slices.Contains(f.of, f.value) {
			return nil, f.field
		}
		hits = append(hits, Hit{f.field, f.value})
	}
	if len(c.Categories) > 0 {
		if !tb.under(r.CategoryID, c.Categories) {
			return nil, "category"
		}
		hits = append(hits, Hit{"category", strconv.FormatInt(r.CategoryID, 10)})
	}
	if len(c.Keywords) > 0 {
		i := slices.IndexFunc(c.Keywords, func(w string) bool { w = plain(w); return w != "" && strings.Contains(text, w) })
		if i < 0 {
			return nil, "keyword"
		}
		hits = append(hits, Hit{"keyword", c.Keywords[i]})
	}
	return hits, ""
}

// under reports whether a category is one of those, or below one.
func (tb *table) under(category int64, of []int64) bool {
	for id := category; id != 0; id = tb.parents[id] {
		if slices.Contains(of, id) {
			return true
		}
	}
	return false
}

// Checked is a rule with what it says to a request.
type Checked struct {
	Rule
	Missed string // first condition that is not met; "" when all are
}

// match returns the department of a request with the reason; ok is false when no
// rule takes it. trace, if not nil, gets the rules that were looked at.
func (tb *table) match(r Request, trace *[]Checked) (d Decision, ok bool) {
	text := plain(r.Text)
	for _, rule := range tb.rules {
		if !rule.Active {
			continue
		}
		hits, missed := tb.meets(rule.Conditions, r, text)
		if trace != nil {
			*trace = append(*trace, Checked{rule, missed})
		}
		if missed == "" {
			return Decision{Department: rule.DepartmentID, Rule: rule.ID, Name: rule.Name, Hits: hits}, true
		}
	}
	return Decision{}, false
}

// destination is the department a request goes to; without any rule the first
// active one.
func (s *Service) destination(ctx context.Context, q db.Querier, tb *table, r Request) (Decision, error) {
	d, ok := tb.match(r, nil)
	if ok {
		return d, nil
	}
	return firstDepartment(ctx, q)
}

func firstDepartment(ctx context.Context, q db.Querier) (d Decision, err error) {
	err = q.QueryRow(ctx, `SELECT id FROM departments WHERE active = 1 ORDER BY (CASE WHEN parent_id IS NULL THEN 1 ELSE 0 END), position, id LIMIT 1`).Scan(&d.Department)
	if err != nil {
		return d, fmt.Errorf("ticket: route: %w", err)
	}
	return d, nil
}

// DepartmentFor returns the department a request goes to.
func (s *Service) DepartmentFor(ctx context.Context, a *action.Action, r Request) (int64, error) {
	tb, err := s.table(ctx, a)
	if err != nil {
		return 0, err
	}
	d, err := s.destination(ctx, a, tb, r)
	return d.Department, err
}

// wanted are the skills a request asks for.
func (tb *table) wanted(r Request) (out []int64) {
	for id, k := range tb.serves {
		if len(k.Types)+len(k.Categories) == 0 || len(k.Types) > 0 && !slices.Contains(k.Types, r.Type) || len(k.Categories) > 0 && !tb.under(r.CategoryID, k.Categories) {
			continue
		}
		out = append(out, id)
	}
	return out
}
