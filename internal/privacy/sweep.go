package privacy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/db"
	"bihuan/internal/ticket"
)

// Place is where something of a person is, or was.
type Place struct {
	Name      string  `json:"name"` // a table, "files" or "events"
	Rows      int     `json:"rows"`
	Tickets   []int64 `json:"tickets,omitempty"`   // the first few
	Customers []int64 `json:"customers,omitempty"` // likewise
}

// maxRefs is how many records a Place names.
const maxRefs = 20

func (p *Place) refer(tickets, customers []int64) {
	p.Rows++
	for _, id := range tickets {
		if id > 0 && len(p.Tickets) < maxRefs && !slices.Contains(p.Tickets, id) {
			p.Tickets = append(p.Tickets, id)
		}
	}
	for _, id := range customers {
		if id > 0 && len(p.Customers) < maxRefs && !slices.Contains(p.Customers, id) {
			p.Customers = append(p.Customers, id)
		}
	}
}

// notOfPersons are tables that hold no customer's data, each with its reason.
// Any other table is looked through, also one that is made tomorrow.
var notOfPersons = map[string]string{
	"events":                  "the trail has a way of its own, so that it can still be verified",
	"users":                   "the staff",
	"user_roles":              "the staff",
	"user_teams":              "the staff",
	"user_sessions":           "the staff",
	"api_tokens":              "the staff",
	"roles":                   "the company's own words",
	"role_permissions":        "codes",
	"departments":             "the company's own words",
	"categories":              "the company's own words",
	"tags":                    "the company's own words",
	"priority_matrix":         "codes",
	"routing_rules":           "the company's own words",
	"routing_chains":          "codes",
	"routing_turns":           "codes",
	"routing_skills":          "codes",
	"skills":                  "the company's own words",
	"user_skills":             "the staff",
	"service_policies":        "the company's own words",
	"service_policy_versions": "the company's own words",
	"calendars":               "the company's own words",
	"calendar_days":           "the company's own words",
	"holiday_years":           "public holidays, and which colleague imported them",
	"settings":                "the company's own words",
	"counters":                "codes",
	"leases":                  "codes",
	"listener_cursors":        "codes",
}

// passing are tables whose rows vanish by themselves; nobody works with their
// texts, so a person's name goes from all of them.
var passing = []string{"idempotency_keys", "import_lines", "jobs"}

// staffNames are columns with names of colleagues, who may be called like a
// customer.
func staffName(column string) bool {
	return strings.HasSuffix(column, "by_name") || slices.Contains([]string{"assignee_name", "for_name", "names", "decided_by", "ordered_by"}, column)
}

// telling are the columns that say whose a row is.
var telling = []string{"id", "customer_id", "ticket_id", "contact_id", "owner_type", "owner_id", "subject_type", "subject_id", "object", "record_id", "survivor_id", "merged_id",
	"other_id", "parent_id", "author_kind", "place"}

// sweepRows are read, and written, at a time.
const sweepRows = 500

// swept is what a sweep has come to.
type swept struct {
	places    []Place
	rows      int64 // looked at
	tickets   map[int64]bool
	customers map[int64]bool
}

func (s *swept) found() (n int) {
	for _, p := range s.places {
		n += p.Rows
	}
	return n
}

// texts looks through every text of every table for p, and takes what it finds
// out when rewrite is set.
func (s *Service) texts(ctx context.Context, p *person, rewrite bool) (*swept, error) {
	tables, err := s.db().Tables(ctx)
	if err != nil {
		return nil, err
	}
	out := &swept{tickets: map[int64]bool{}, customers: map[int64]bool{}}
	for _, t := range tables {
		if notOfPersons[t.Name] != "" || len(t.Texts) == 0 {
			continue
		}
		if len(t.Key) == 0 {
			return nil, fmt.Errorf("privacy: table %s has no key", t.Name)
		}
		place := Place{Name: t.Name}
		if err := s.table(ctx, t, p, rewrite, "", nil, &place, out); err != nil {
			return nil, err
		}
		if place.Rows > 0 {
			out.places = append(out.places, place)
		}
	}
	return out, nil
}

// row is one row of any table.
type row struct {
	t      db.Table
	cols   []string
	values []any
}

func (r row) at(column string) any {
	if i := slices.Index(r.cols, column); i >= 0 {
		return r.values[i]
	}
	return nil
}

func (r row) text(column string) string {
	switch v := r.at(column).(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func (r row) id(column string) int64 {
	n, _ := r.at(column).(int64)
	return n
}

// table looks through one table; where narrows it.
func (s *Service) table(ctx context.Context, t db.Table, p *person, rewrite bool, where string, args []any, place *Place, out *swept) error {
	cols := slices.Clone(t.Key)
	for _, c := range append(slices.Clone(telling), t.Texts...) {
		if t.Has(c) && !slices.Contains(cols, c) {
			cols = append(cols, c)
		}
	}
	key := strings.Join(t.Key, ", ")
	var after []any
	for {
		a := db.Args{Values: slices.Clone(args)}
		cond := "1 = 1"
		if where != "" {
			cond = where
		}
		if after != nil {
			marks := make([]string, len(after))
			for i, v := range after {
				marks[i] = a.Add(v)
			}
			cond += " AND (" + key + ") > (" + strings.Join(marks, ", ") + ")"
		}
		rows, err := s.db().Read().Query(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+t.Name+" WHERE "+cond+" ORDER BY "+key+" LIMIT "+strconv.Itoa(sweepRows), a.Values...)
		if err != nil {
			return fmt.Errorf("privacy: look through %s: %w", t.Name, err)
		}
		var hits []change
		n := 0
		for rows.Next() {
			r := row{t, cols, make([]any, len(cols))}
			ptrs := make([]any, len(cols))
			for i := range ptrs {
				ptrs[i] = &r.values[i]
			}
			if err := rows.Scan(ptrs...); err != nil {
				rows.Close()
				return fmt.Errorf("privacy: look through %s: %w", t.Name, err)
			}
			n++
			after = r.values[:len(t.Key):len(t.Key)]
			if c := p.judge(r); len(c.set) > 0 {
				hits = append(hits, c)
				place.refer(r.tickets(), r.customers())
				for _, id := range r.tickets() {
					out.tickets[id] = true
				}
				for _, id := range r.customers() {
					out.customers[id] = true
				}
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("privacy: look through %s: %w", t.Name, err)
		}
		out.rows += int64(n)
		if rewrite && len(hits) > 0 {
			if err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				for _, c := range hits {
					if err := c.write(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if n < sweepRows {
			return nil
		}
	}
}

// tickets and customers are whom a row is about.
func (r row) tickets() []int64 {
	out := []int64{r.id("ticket_id")}
	if r.t.Name == "tickets" {
		out = append(out, r.id("id"))
	}
	for _, x := range [][2]string{{"owner_type", "owner_id"}, {"subject_type", "subject_id"}, {"object", "record_id"}} {
		if r.text(x[0]) == "ticket" {
			out = append(out, r.id(x[1]))
		}
	}
	if rest, ok := strings.CutPrefix(r.text("place"), "ticket:"); ok {
		number, _, _ := strings.Cut(rest, ":")
		id, _ := strconv.ParseInt(number, 10, 64)
		out = append(out, id)
	}
	return slices.DeleteFunc(out, func(id int64) bool { return id <= 0 })
}

func (r row) customers() []int64 {
	out := []int64{r.id("customer_id")}
	switch {
	case r.t.Name == "customers":
		out = append(out, r.id("id"))
	case strings.HasPrefix(r.t.Name, "customer_"):
		out = append(out, r.id("survivor_id"), r.id("merged_id"), r.id("other_id"), r.id("parent_id"))
	}
	for _, x := range [][2]string{{"owner_type", "owner_id"}, {"subject_type", "subject_id"}, {"object", "record_id"}} {
		if r.text(x[0]) == "customer" {
			out = append(out, r.id(x[1]))
		}
	}
	return slices.DeleteFunc(out, func(id int64) bool { return id <= 0 })
}

// owns reports whether a row is p's own.
func (p *person) owns(r row) bool {
	if slices.Contains(passing, r.t.Name) {
		return true
	}
	for _, id := range r.tickets() {
		if p.tickets[id] {
			return true
		}
	}
	for _, id := range r.customers() {
		if p.customers[id] {
			return true
		}
	}
	return p.contacts[r.id("contact_id")] || r.text("object") == "contact" && p.contacts[r.id("record_id")]
}

// change is what a row is to become.
type change struct {
	row
	set map[string][2]string // column -> before, after
}

// judge says what of r has to change, so that nothing of p is in it.
func (p *person) judge(r row) change {
	c := change{row: r}
	own := p.owns(r)
	for _, col := range r.t.Texts {
		was := r.text(col)
		if len(was) < 2 {
			continue
		}
		w := p.others
		if own && !staffName(col) && !(col == "author_name" && r.text("author_kind") == "user") {
			w = p.own
		}
		if now, n := w.blacken(was); n > 0 {
			if c.set == nil {
				c.set = map[string][2]string{}
			}
			c.set[col] = [2]string{was, now}
		}
	}
	return c
}

// write changes the row unless somebody has changed it meanwhile; the next round
// finds it then.
func (c change) write(ctx context.Context, tx *db.Tx) error {
	var a db.Args
	var set, where []string
	for _, col := range c.t.Texts {
		if v, ok := c.set[col]; ok {
			set = append(set, col+" = "+a.Add(v[1]))
		}
	}
	for i, k := range c.t.Key {
		where = append(where, k+" = "+a.Add(c.values[i]))
	}
	for _, col := range c.t.Texts {
		if v, ok := c.set[col]; ok {
			where = append(where, col+" = "+a.Add(v[0]))
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE "+c.t.Name+" SET "+strings.Join(set, ", ")+" WHERE "+strings.Join(where, " AND "), a.Values...); err != nil {
		return fmt.Errorf("privacy: rewrite %s: %w", c.t.Name, err)
	}
	return nil
}

// reindex brings the search index in line with what the records say now.
func (s *Service) reindex(ctx context.Context, tickets, customers map[int64]bool) error {
	ids := func(m map[int64]bool) (out []int64) {
		for id := range m {
			out = append(out, id)
		}
		slices.Sort(out)
		return out
	}
	var errs []error
	for part := range slices.Chunk(ids(tickets), 200) {
		errs = append(errs, s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error { return ticket.Reindex(ctx, tx, part) }))
	}
	for part := range slices.Chunk(ids(customers), 200) {
		errs = append(errs, s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error { return s.Rooms.Customers.Reindex(ctx, tx, part) }))
	}
	return errors.Join(errs...)
}
