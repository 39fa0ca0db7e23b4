package ticket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/search"
	"bihuan/internal/sla"
)

// Row is a ticket as lists show it; everything stands in the tickets table, so
// that a page of 25 costs 25 rows.
type Row struct {
	ID             int64
	Number         string
	ParentID       int64
	Title          string
	Type           string
	Priority       string
	Urgency        string
	Channel        string
	CustomerID     int64
	CustomerName   string
	CustomerLevel  string
	DepartmentID   int64
	AssigneeID     int64
	AssigneeName   string
	SupervisorID   int64
	State          State
	Round          int
	Escalation     int
	Overdue        bool
	Rating         int
	DueAt          time.Time
	DueClock       sla.Kind
	DueTotal       time.Duration
	CreatedAt      time.Time
	ActivityAt     time.Time
	CustomerAt     time.Time
	AssignedAt     time.Time
	ProcessID      int64 // 0: it follows none
	ProcessVersion int64
	Stage          string
	StageName      string
	Version        int64
	DeferralID     int64 // as of a Ticket
	DeferredFrom   time.Time
	Tags           Tags
}

const rowColumns = `t.id, t.number, COALESCE(t.parent_id, 0), t.title, t.type, t.priority, t.urgency, t.channel, t.customer_id, t.customer_name, t.customer_level, t.department_id,
	t.assignee_id, t.assignee_name, t.supervisor_id, t.state, t.round, t.escalation, t.overdue, t.rating, t.due_at, t.due_clock, t.due_total, t.created_at, t.activity_at, t.customer_at, t.process_id, t.process_version, t.stage, t.stage_name, t.version, t.deferral_id, t.deferred_from, t.assigned_at, t.tags`

func scanRow(row interface{ Scan(...any) error }) (r Row, err error) {
	var overdue int
	var due, total, created, activity, customer, deferred, assigned int64
	err = row.Scan(&r.ID, &r.Number, &r.ParentID, &r.Title, &r.Type, &r.Priority, &r.Urgency, &r.Channel, &r.CustomerID, &r.CustomerName, &r.CustomerLevel, &r.DepartmentID,
		&r.AssigneeID, &r.AssigneeName, &r.SupervisorID, (*string)(&r.State), &r.Round, &r.Escalation, &overdue, &r.Rating, &due, (*string)(&r.DueClock), &total, &created, &activity, &customer, &r.ProcessID, &r.ProcessVersion, &r.Stage, &r.StageName, &r.Version, &r.DeferralID, &deferred, &assigned, (*string)(&r.Tags))
	r.Overdue, r.DueTotal = overdue == 1, time.Duration(total)*time.Second
	r.DeferredFrom = db.FromMicros(deferred)
	r.DueAt, r.CreatedAt, r.ActivityAt, r.CustomerAt = db.FromMicros(due), db.FromMicros(created), db.FromMicros(activity), db.FromMicros(customer)
	r.AssignedAt = db.FromMicros(assigned)
	return r, err
}

// Sort is the order of a list; each is served by an index.
type Sort string

const (
	ByDue      Sort = "due"      // nearest deadline first: the default of open views
	ByActivity Sort = "activity" // newest activity first
	ByWaiting  Sort = "waiting"  // longest without activity first
	ByNewest   Sort = "newest"   // registered last first: the default of a search
)

// Sorts in the order they are offered; ticket.sort.<sort>.
var Sorts = []Sort{ByDue, ByActivity, ByWaiting, ByNewest}

func (s Sort) order() (column string, desc bool) {
	switch s {
	case ByActivity:
		return "t.activity_at", true
	case ByWaiting:
		return "t.activity_at", false
	case ByNewest:
		return "t.id", true
	}
	return "t.due_at", false
}

// Filter selects tickets; zero fields select all. It is also what a saved view
// stores.
type Filter struct {
	View       string         `json:"view,omitempty"` // key of a built-in view the rest narrows
	States     []State        `json:"states,omitempty"`
	Open       *bool          `json:"open,omitempty"`
	Mine       bool           `json:"mine,omitempty"` // assigned to the reader
	Assignee   int64          `json:"assignee,omitempty"`
	Unassigned bool           `json:"unassigned,omitempty"`
	Department int64          `json:"department,omitempty"`
	Desk       bool           `json:"desk,omitempty"` // on the reader's desk as supervisor
	Created    bool           `json:"created,omitempty"`
	Watched    bool           `json:"watched,omitempty"`
	Type       string         `json:"type,omitempty"`
	Class      string         `json:"class,omitempty"`
	Category   int64          `json:"category,omitempty"`
	Priority   string         `json:"priority,omitempty"`
	Urgency    string         `json:"urgency,omitempty"`
	Channel    string         `json:"channel,omitempty"`
	Level      string         `json:"level,omitempty"`
	Customer   int64          `json:"customer,omitempty"`
	Process    int64          `json:"process,omitempty"`
	Stage      string         `json:"stage,omitempty"` // of Process
	Tag        int64          `json:"tag,omitempty"`
	Overdue    bool           `json:"overdue,omitempty"`    // a deadline has passed
	DueWithin  int            `json:"due_within,omitempty"` // minutes
	Second     bool           `json:"second,omitempty"`     // second handling
	Unanswered bool           `json:"unanswered,omitempty"` // the customer waits for a word
	Snoozed    bool           `json:"snoozed,omitempty"`    // put off by the reader
	From       int64          `json:"from,omitempty"`       // created, µs
	To         int64          `json:"to,omitempty"`
	Text       string         `json:"text,omitempty"`
	Query      customer.Query `json:"query,omitzero"` // further conditions: see Attrs
	Sort       Sort           `json:"sort,omitempty"`
	Columns    []string       `json:"columns,omitempty"` // codes of what a list shows; nil: what it shows to everybody
	Limit      int            `json:"-"`                 // 0: 25
	After      string         `json:"-"`                 // cursor of the page before

	Escalated      bool `json:"escalated,omitempty"`      // a supervisor was called
	Unacknowledged bool `json:"unacknowledged,omitempty"` // assigned, and not taken up

	DueFrom int64 `json:"due_from,omitempty"` // nearest deadline, µs
	DueTo   int64 `json:"due_to,omitempty"`
	Ours    bool  `json:"ours,omitempty"` // the nearest deadline binds us, not the customer

	customers []int64              // found by what was typed as Text
	conds     *customer.Conditions // Query, made ready
	awake     bool                 // the reader has put nothing off
	back      bool                 // against the order: what stands before After
	rare      bool                 // few tickets have Tag
}

// BuiltIn is a view everybody has.
type BuiltIn struct {
	Key   string
	Group string // mine, team
	Icon  string
	Alert bool // its count is shown as a warning
	// Unbounded views grow with the company; their count would be 99+ for ever and
	// costs more than those of all others, so none is shown.
	Unbounded bool
	Filter    Filter
	Perm      authz.Permission // who is offered it; "" everybody who sees tickets
	// Hidden views are led to from elsewhere and not offered by themselves.
	Hidden bool
}

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

// BuiltIns are the views everybody has (TKT-18); names are ticket.view.<key>.
var BuiltIns = []BuiltIn{
	{Key: "mine", Group: "mine", Icon: "user", Filter: Filter{Mine: true, Open: yes()}},
	{Key: "mine_soon", Group: "mine", Icon: "clock", Filter: Filter{Mine: true, Open: yes(), DueWithin: 120}},
	{Key: "mine_overdue", Group: "mine", Icon: "alert", Alert: true, Filter: Filter{Mine: true, Open: yes(), Overdue: true}},
	{Key: "mine_waiting", Group: "mine", Icon: "message", Filter: Filter{Mine: true, States: []State{WaitingCustomer}}},
	{Key: "mine_confirm", Group: "mine", Icon: "check", Filter: Filter{Mine: true, States: []State{AwaitingConfirmation}}},
	{Key: "snoozed", Group: "mine", Icon: "moon", Filter: Filter{Snoozed: true, Open: yes()}},
	{Key: "created", Unbounded: true, Group: "mine", Icon: "edit", Filter: Filter{Created: true, Sort: ByActivity}},
	{Key: "watched", Group: "mine", Icon: "eye", Filter: Filter{Watched: true, Sort: ByActivity}},
	{Key: "desk", Group: "team", Icon: "flag", Alert: true, Filter: Filter{Desk: true, Open: yes()}, Perm: PermSupervise},
	{Key: "unassigned", Group: "team", Icon: "inbox", Filter: Filter{Unassigned: true, Open: yes(), Sort: ByWaiting}},
	{Key: "open", Group: "team", Icon: "list", Filter: Filter{Open: yes()}},
	{Key: "overdue", Group: "team", Icon: "alert", Alert: true, Filter: Filter{Open: yes(), Overdue: true}},
	{Key: "second", Group: "team", Icon: "refresh", Filter: Filter{Open: yes(), Second: true}},
	{Key: "complaints", Group: "team", Icon: "flag", Filter: Filter{Open: yes(), Type: "complaint"}},
	{Key: "escalated", Hidden: true, Group: "team", Icon: "flag", Filter: Filter{Open: yes(), Escalated: true}},
	{Key: "unacknowledged", Hidden: true, Group: "team", Icon: "hourglass", Filter: Filter{Open: yes(), Unacknowledged: true}},
	{Key: "soon", Hidden: true, Group: "team", Icon: "clock", Filter: Filter{Open: yes(), DueWithin: SoonMinutes}},
	{Key: "waiting", Hidden: true, Group: "team", Icon: "message", Filter: Filter{States: []State{WaitingCustomer}}},
	{Key: "finished", Unbounded: true, Group: "team", Icon: "archive", Filter: Filter{Open: no(), Sort: ByActivity}},
	{Key: "all", Unbounded: true, Group: "team", Icon: "ticket", Filter: Filter{Sort: ByActivity}},
}

// FindView returns the built-in view key, else "mine".
func FindView(key string) BuiltIn {
	for _, v := range BuiltIns {
		if v.Key == key {
			return v
		}
	}
	return BuiltIns[0]
}

// merge lays the narrowing fields of f over the view's.
func (f Filter) merge() Filter {
	if f.Sort == "" && f.Text != "" {
		// The index of words yields the newest first: the first page of a frequent
		// word costs its 25 rows and not all that contain it.
		f.Sort = ByNewest
	}
	if f.View == "" {
		return f
	}
	v := FindView(f.View).Filter
	out := f
	if len(out.States) == 0 {
		out.States = v.States
	}
	if out.Open == nil {
		out.Open = v.Open
	}
	for _, b := range []struct{ dst, src *bool }{{&out.Mine, &v.Mine}, {&out.Unassigned, &v.Unassigned}, {&out.Desk, &v.Desk}, {&out.Created, &v.Created},
		{&out.Watched, &v.Watched}, {&out.Overdue, &v.Overdue}, {&out.Second, &v.Second}, {&out.Escalated, &v.Escalated}, {&out.Unacknowledged, &v.Unacknowledged}, {&out.Snoozed, &v.Snoozed}} {
		*b.dst = *b.dst || *b.src
	}
	if out.Type == "" {
		out.Type = v.Type
	}
	if out.DueWithin == 0 {
		out.DueWithin = v.DueWithin
	}
	if out.Sort == "" {
		out.Sort = v.Sort
	}
	return out
}

// where builds the conditions of f; open reports whether it is confined to
// open tickets, which the partial indexes serve.
func (f Filter) where(a *db.Args, user int64, now time.Time) (conds []string) {
	and := func(c string) { conds = append(conds, c) }
	eq := func(col, v string) {
		if v != "" {
			and(col + " = " + a.Add(v))
		}
	}
	onlyOpen := len(f.States) > 0
	for _, s := range f.States {
		onlyOpen = onlyOpen && s.Open()
	}
	switch {
	case f.Open != nil && *f.Open || f.Overdue || f.DueWithin > 0 || f.DueFrom > 0 || f.DueTo > 0 || f.Desk || f.Escalated || f.Unacknowledged || onlyOpen:
		and("t.is_open = 1")
	case f.Open != nil:
		and("t.is_open = 0")
	}
	if len(f.States) > 0 {
		ph := make([]string, len(f.States))
		for i, s := range f.States {
			ph[i] = a.Add(string(s))
		}
		and("t.state IN (" + strings.Join(ph, ",") + ")")
	}
	if f.Mine {
		and("t.assignee_id = " + a.Add(user))
	}
	if f.Assignee != 0 {
		and("t.assignee_id = " + a.Add(f.Assignee))
	}
	if f.Unassigned {
		and("t.assignee_id = 0")
	}
	if f.Department != 0 {
		and("t.department_id = " + a.Add(f.Department))
	}
	if f.Desk {
		and("t.supervisor_id > 0 AND t.supervisor_id = " + a.Add(user))
	}
	if f.Created {
		and("t.created_by = " + a.Add(user))
	}
	if f.Watched {
		and("t.id IN (SELECT w.ticket_id FROM ticket_watchers w WHERE w.user_id = " + a.Add(user) + ")")
	}
	eq("t.type", f.Type)
	eq("t.class", f.Class)
	eq("t.priority", f.Priority)
	eq("t.urgency", f.Urgency)
	eq("t.channel", f.Channel)
	eq("t.customer_level", f.Level)
	if f.Category != 0 {
		id := a.Add(f.Category)
		and("t.category_id IN (SELECT c.id FROM categories c WHERE c.id = " + id + " OR c.parent_id = " + a.Add(f.Category) + ")")
	}
	if f.Customer != 0 {
		and("t.customer_id = " + a.Add(f.Customer))
	}
	if f.Process != 0 {
		and("t.process_id > 0 AND t.process_id = " + a.Add(f.Process))
		eq("t.stage", f.Stage)
	}
	switch {
	case f.Tag != 0 && f.rare:
		and("t.id IN (SELECT g.ticket_id FROM ticket_tagged g WHERE g.tag_id = " + a.Add(f.Tag) + ")")
	case f.Tag != 0: // asked for each row, while the order is walked
		and(a.Add(f.Tag) + " IN (SELECT g.tag_id FROM ticket_tagged g WHERE g.ticket_id = t.id)")
	}
	if len(f.customers) > 0 {
		and("t.customer_id IN (" + a.AddInts(f.customers) + ")")
	}
	if f.Overdue {
		and("t.due_at > 0 AND t.due_at < " + a.Add(db.Micros(now)))
	} else if f.DueWithin > 0 {
		and("t.due_at >= " + a.Add(db.Micros(now)))
		and("t.due_at < " + a.Add(db.Micros(now.Add(time.Duration(f.DueWithin)*time.Minute))))
	}
	if f.DueFrom > 0 || f.DueTo > 0 {
		and("t.due_at >= " + a.Add(max(f.DueFrom, 1)))
	}
	if f.DueTo > 0 {
		and("t.due_at < " + a.Add(f.DueTo))
	}
	if f.Ours {
		and("t.due_clock NOT IN " + theirs)
	}
	switch {
	case f.Snoozed:
		and("t.id IN (SELECT z.ticket_id FROM ticket_snoozes z WHERE z.user_id = " + a.Add(user) + ")")
		and(asleep(a, user, now))
	case f.Mine && f.View != "" && !f.awake:
		and("NOT " + asleep(a, user, now))
	}
	if f.Second {
		and("t.round > 1")
	}
	if f.Unanswered {
		and("t.customer_at > 0")
	}
	if f.Escalated {
		and("t.escalation > 0")
	}
	if f.Unacknowledged {
		and("t.state = 'pending' AND t.assigned_at > 0")
	}
	if f.From != 0 {
		and("t.created_at >= " + a.Add(f.From))
	}
	if f.To != 0 {
		and("t.created_at < " + a.Add(f.To))
	}
	return conds
}

// implied reports whether everything f selects is in sc by itself, so that the
// scope need not be asked for each row.
func implied(sc authz.Scope, f Filter) bool {
	return sc.Everything() || f.Mine || f.Desk || f.Created || f.Watched || f.Assignee != 0 && f.Assignee == sc.User() ||
		f.Department != 0 && slices.Contains(sc.Departments(), f.Department)
}

// branch is one way to be concerned by a ticket t.
type branch struct {
	from  string // what stands before the tickets; "" nothing
	where func(a *db.Args) string
}

// branches splits a scope into parts that an index serves in order each: the
// departments, then one owner column each. nil when the filter itself names the
// index. An OR over all of them would make the engine read every ticket of the
// company to find a reader's own.
func branches(sc authz.Scope, f Filter) (departments, others []branch) {
	if implied(sc, f) || sc.Empty() || f.Snoozed || f.Customer != 0 || len(f.customers) > 0 || f.Assignee != 0 || f.Text != "" || f.Tag != 0 && f.rare {
		return nil, nil
	}
	for _, d := range sc.Departments() {
		departments = append(departments, branch{where: func(a *db.Args) string { return "t.department_id = " + a.Add(d) }})
	}
	user := func(cond string) func(a *db.Args) string {
		return func(a *db.Args) string { return cond + a.Add(sc.User()) }
	}
	if !f.Unassigned {
		others = append(others, branch{where: user("t.assignee_id = ")})
	}
	others = append(others,
		branch{where: user("t.created_by = ")},
		branch{where: user("t.supervisor_id > 0 AND t.is_open = 1 AND t.supervisor_id = ")},
		// CROSS JOIN keeps SQLite from beginning with the tickets.
		branch{"ticket_watchers w CROSS JOIN ", user("t.id = w.ticket_id AND w.user_id = ")},
		branch{"tickets p CROSS JOIN ", user("t.parent_id = p.id AND p.open_children > 0 AND p.is_open = 1 AND p.assignee_id = ")},
	)
	return departments, others
}

// Page is a stretch of a list.
type Page struct {
	Rows []Row
	Next string // cursor of the page behind; "" at the end
}

// cursor is "<sort value>.<id>" of the last row.
func cursor(r Row, s Sort) string {
	v := db.Micros(r.DueAt)
	switch s {
	case ByActivity, ByWaiting:
		v = db.Micros(r.ActivityAt)
	case ByNewest:
		v = r.ID
	}
	return strconv.FormatInt(v, 36) + "." + strconv.FormatInt(r.ID, 36)
}

func parseCursor(s string) (v, id int64, err error) {
	l, r, ok := strings.Cut(s, ".")
	if ok {
		if v, err = strconv.ParseInt(l, 36, 64); err == nil {
			id, err = strconv.ParseInt(r, 36, 64)
		}
	}
	if !ok || err != nil {
		return 0, 0, fault.Invalidf("ticket.cursor")
	}
	return v, id, nil
}

// byContact turns a telephone number or e-mail address typed into the search
// into the customers who have it: numbers are encrypted and never in the text
// index. What is known to nobody is searched as text.
func (s *Service) byContact(ctx context.Context, f *Filter) error {
	digits := 0
	for _, r := range f.Text {
		switch {
		case r >= '0' && r <= '9' || r >= '０' && r <= '９':
			digits++
		case r == '@' || r == '＠':
			digits = 99
		case unicode.IsLetter(r) && digits < 99 && !strings.ContainsAny(f.Text, "@＠"):
			return nil
		}
	}
	if digits < 7 {
		return nil
	}
	cs, err := s.customers.FindContacts(ctx, s.DB().Read(), f.Text, f.Text)
	if err != nil || len(cs) == 0 {
		return err
	}
	f.Text = ""
	for _, c := range cs {
		f.customers = append(f.customers, c.CustomerID)
	}
	return nil
}

// List returns the tickets that sc lets its reader see and f selects.
func (s *Service) List(ctx context.Context, sc authz.Scope, f Filter) (Page, error) {
	f = f.merge()
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	if f.Sort == "" {
		f.Sort = ByDue
	}
	if !slices.Contains(Sorts, f.Sort) {
		return Page{}, fault.Invalidf("ticket.need_choice").Field("sort", "ticket.need_choice")
	}
	if err := s.byContact(ctx, &f); err != nil {
		return Page{}, err
	}
	f, err := s.prepared(ctx, sc.User(), f)
	if err != nil {
		return Page{}, err
	}
	if f.conds != nil {
		ctx = db.Planned(ctx)
	}
	var a db.Args
	query, err := s.query(&a, sc, f, f.Limit+1)
	if err != nil || query == "" {
		return Page{}, err
	}
	rows, err := s.DB().Read().Query(ctx, query, a.Values...)
	if err != nil {
		return Page{}, fmt.Errorf("ticket: list: %w", err)
	}
	defer rows.Close()
	var p Page
	p.Rows = make([]Row, 0, f.Limit+1)
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return Page{}, fmt.Errorf("ticket: list: %w", err)
		}
		p.Rows = append(p.Rows, r)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("ticket: list: %w", err)
	}
	if len(p.Rows) > f.Limit {
		p.Rows = p.Rows[:f.Limit]
		p.Next = cursor(p.Rows[f.Limit-1], f.Sort)
	}
	return p, nil
}

// lit writes a limit into the statement itself: SQLite looks at the value of a
// bound limit while it plans, and so plans again at every execution (a third of
// the time of these short reads). Limits are few, so statements stay few.
func lit(limit int) string { return strconv.Itoa(limit) }

// source is where rows of f come from: all tickets, or those a text is found in.
// On SQLite the index of words is walked from the newest on, and the walk ends
// with the page.
func (s *Service) source(a *db.Args, f Filter) (from string, ok bool) {
	if f.Text == "" {
		return "tickets t", true
	}
	if s.DB().Dialect() == db.SQLite {
		match, ok := search.Tickets.Expression(f.Text)
		if !ok {
			return "", false
		}
		return search.Tickets.Table + " CROSS JOIN tickets t ON t.id = " + search.Tickets.Table + ".rowid AND " + search.Tickets.Table + " MATCH " + a.Add(match), true
	}
	match, ok := search.Tickets.MatchSQL(a, db.Postgres, f.Text)
	// OFFSET 0 keeps the planner from walking through all tickets to meet the hits.
	return "(SELECT id FROM (" + match + ") m ORDER BY id DESC) hits CROSS JOIN LATERAL (SELECT * FROM tickets x WHERE x.id = hits.id OFFSET 0) t", ok
}

// conditions are those of f, the reader's part of the scope and the place in
// the list.
func (s *Service) conditions(a *db.Args, sc authz.Scope, f Filter, scope func(a *db.Args) string) (string, error) {
	var conds []string
	if scope != nil {
		conds = append(conds, scope(a))
	}
	conds = append(conds, f.where(a, sc.User(), s.DB().Clock().Now())...)
	if q, err := f.queried(a); err != nil {
		return "", err
	} else if q != "" {
		conds = append(conds, q)
	}
	if f.After != "" {
		v, id, err := parseCursor(f.After)
		if err != nil {
			return "", err
		}
		col, desc := f.Sort.order()
		cmp := ">"
		if desc != f.back {
			cmp = "<"
		}
		if f.Sort == ByNewest {
			conds = append(conds, "t.id "+cmp+" "+a.Add(id))
		} else {
			conds = append(conds, "("+col+", t.id) "+cmp+" ("+a.Add(v)+", "+a.Add(id)+")")
		}
	}
	if len(conds) == 0 {
		return "1 = 1", nil
	}
	return strings.Join(conds, " AND "), nil
}

// whole is the scope as one condition, nil when f needs none.
func whole(sc authz.Scope, f Filter) func(a *db.Args) string {
	if implied(sc, f) {
		return nil
	}
	return func(a *db.Args) string { return sc.Where(a, scopeColumns) }
}

// query puts the statement of a list together; "" when it can match nothing.
func (s *Service) query(a *db.Args, sc authz.Scope, f Filter, limit int) (string, error) {
	if sc.Empty() {
		return "", nil
	}
	col, desc := f.Sort.order()
	order := col + ", t.id"
	switch {
	case f.back && f.Text != "":
		return "", nil // a search is walked one way only
	case f.back && desc && f.Sort == ByNewest:
		order = "t.id"
	case f.back && desc:
	case f.back:
		order = col + " DESC, t.id DESC"
	case f.Sort == ByNewest && f.Text != "" && s.DB().Dialect() == db.SQLite:
		order = search.Tickets.Table + ".rowid DESC"
	case f.Sort == ByNewest && f.Text != "":
		order = "hits.id DESC"
	case f.Sort == ByNewest:
		order = "t.id DESC"
	case desc:
		order = col + " DESC, t.id DESC"
	}
	departments, others := branches(sc, f)
	if len(others) == 0 {
		from, ok := s.source(a, f)
		if !ok {
			return "", nil
		}
		where, err := s.conditions(a, sc, f, whole(sc, f))
		if err != nil {
			return "", err
		}
		return "SELECT " + rowColumns + " FROM " + from + " WHERE " + where + " ORDER BY " + order + " LIMIT " + lit(limit), nil
	}
	var ids []string
	for _, b := range append(departments, others...) {
		where, err := s.conditions(a, sc, f, b.where)
		if err != nil {
			return "", err
		}
		ids = append(ids, "SELECT id FROM (SELECT t.id FROM "+b.from+"tickets t WHERE "+where+" ORDER BY "+order+" LIMIT "+lit(limit)+") b")
	}
	return "SELECT " + rowColumns + " FROM tickets t WHERE t.id IN (" + strings.Join(ids, " UNION ") + ") ORDER BY " + order + " LIMIT " + lit(limit), nil
}

// MaxCount is where live counts stop: "99+" costs a hundred index rows however
// many there are.
const MaxCount = 99

// count is an expression for how many tickets sc shows of f, at most MaxCount+1.
// Most of what a person sees is his department's: only when that is not enough
// to fill the count are the other ways to be concerned looked at.
func (s *Service) count(a *db.Args, sc authz.Scope, f Filter) (string, error) {
	limit := lit(MaxCount + 1)
	departments, others := branches(sc, f)
	if len(others) == 0 {
		from, ok := s.source(a, f)
		if !ok {
			return "0", nil
		}
		where, err := s.conditions(a, sc, f, whole(sc, f))
		return "(SELECT COUNT(*) FROM (SELECT 1 FROM " + from + " WHERE " + where + " LIMIT " + limit + ") c)", err
	}
	each := func(bs []branch) (parts []string, err error) {
		for _, b := range bs {
			where, err := s.conditions(a, sc, f, b.where)
			if err != nil {
				return nil, err
			}
			parts = append(parts, "SELECT id FROM (SELECT t.id FROM "+b.from+"tickets t WHERE "+where+" LIMIT "+limit+") b")
		}
		return parts, nil
	}
	// An id stands in one department only.
	first, err := each(departments)
	if err != nil {
		return "", err
	}
	all, err := each(append(slices.Clip(departments), others...))
	if err != nil {
		return "", err
	}
	union := "(SELECT COUNT(*) FROM (SELECT id FROM (" + strings.Join(all, " UNION ") + ") u LIMIT " + limit + ") c)"
	if len(first) == 0 {
		return union, nil
	}
	return "CASE WHEN (SELECT COUNT(*) FROM (SELECT id FROM (" + strings.Join(first, " UNION ALL ") + ") u LIMIT " + limit + ") c) = " + limit + " THEN " + limit + " ELSE " + union + " END", nil
}

// Counts returns, for each filter, how many tickets sc shows of it, at most
// MaxCount+1. One statement for all.
func (s *Service) Counts(ctx context.Context, sc authz.Scope, fs []Filter) ([]int, error) {
	if len(fs) == 0 || sc.Empty() {
		return make([]int, len(fs)), nil
	}
	var a db.Args
	var parts []string
	for _, f := range fs {
		f, err := s.prepared(ctx, sc.User(), f.merge())
		if err != nil {
			return nil, err
		}
		f.After = ""
		q, err := s.count(&a, sc, f)
		if err != nil {
			return nil, err
		}
		parts = append(parts, q)
	}
	out := make([]int, len(fs))
	dst := make([]any, len(fs))
	for i := range out {
		dst[i] = &out[i]
	}
	if err := s.DB().Read().QueryRow(ctx, "SELECT "+strings.Join(parts, ", "), a.Values...).Scan(dst...); err != nil {
		return nil, fmt.Errorf("ticket: counts: %w", err)
	}
	return out, nil
}

// Some returns those of the tickets ids that sc reaches, by id.
func (s *Service) Some(ctx context.Context, sc authz.Scope, ids []int64) ([]Ticket, error) {
	var a db.Args
	rows, err := s.DB().Read().Query(ctx, "SELECT "+ticketColumns+" FROM tickets t WHERE t.id IN ("+a.AddInts(ids)+") AND "+sc.Where(&a, scopeColumns)+" ORDER BY t.id", a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: some: %w", err)
	}
	defer rows.Close()
	var out []Ticket
	for rows.Next() {
		t, err := scanTicket(rows)
		if err != nil {
			return nil, fmt.Errorf("ticket: some: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Beside returns the numbers of the tickets before and behind t in the list of
// f, wherever in it t stands; "" where there is none. It costs two rows.
func (s *Service) Beside(ctx context.Context, sc authz.Scope, f Filter, t Ticket) (prev, next string, err error) {
	f = f.merge()
	if f.Sort == "" {
		f.Sort = ByDue
	}
	f.Limit, f.After = 1, cursor(Row{ID: t.ID, DueAt: t.DueAt, ActivityAt: t.ActivityAt}, f.Sort)
	one := func(back bool) (string, error) {
		f.back = back
		p, err := s.List(ctx, sc, f)
		if err != nil || len(p.Rows) == 0 {
			return "", err
		}
		return p.Rows[0].Number, nil
	}
	if prev, err = one(true); err == nil {
		next, err = one(false)
	}
	return prev, next, err
}

// Brief is what is said of a ticket in passing.
type Brief struct {
	ID         int64
	Number     string
	Title      string
	State      State
	ActivityAt time.Time
}

// OfCustomer returns a customer's newest tickets within sc.
func (s *Service) OfCustomer(ctx context.Context, sc authz.Scope, customer int64, limit int) ([]Brief, error) {
	var a db.Args
	where := "t.customer_id = " + a.Add(customer) + " AND " + sc.Where(&a, scopeColumns)
	rows, err := s.DB().Read().Query(ctx, "SELECT t.id, t.number, t.title, t.state, t.activity_at FROM tickets t WHERE "+where+" ORDER BY t.id DESC LIMIT "+lit(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: of customer %d: %w", customer, err)
	}
	defer rows.Close()
	var out []Brief
	for rows.Next() {
		var b Brief
		var at int64
		if err := rows.Scan(&b.ID, &b.Number, &b.Title, (*string)(&b.State), &at); err != nil {
			return nil, fmt.Errorf("ticket: of customer %d: %w", customer, err)
		}
		b.ActivityAt = db.FromMicros(at)
		out = append(out, b)
	}
	return out, rows.Err()
}

// Children returns the sub-tickets of a ticket the caller may see: whoever sees
// the main ticket sees how far its parts are.
func (s *Service) Children(ctx context.Context, parent int64) ([]Row, error) {
	return s.rows(ctx, authz.For(authz.System(""), PermView), "t.parent_id IS NOT NULL AND t.parent_id = ", parent, "t.id", 100)
}

func (s *Service) rows(ctx context.Context, sc authz.Scope, cond string, arg any, order string, limit int) ([]Row, error) {
	var a db.Args
	where := cond + a.Add(arg) + " AND " + sc.Where(&a, scopeColumns)
	rows, err := s.DB().Read().Query(ctx, "SELECT "+rowColumns+" FROM tickets t WHERE "+where+" ORDER BY "+order+" LIMIT "+lit(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: rows: %w", err)
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return nil, fmt.Errorf("ticket: rows: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Link is a relation of a ticket to another.
type Link struct {
	Kind    string // one of LinkKinds, follow_up or split
	Forward bool   // from this ticket to the other
	Row
}

// Links returns the relations of a ticket to others within sc.
func (s *Service) Links(ctx context.Context, sc authz.Scope, id int64) ([]Link, error) {
	var a db.Args
	one, two, three := a.Add(id), a.Add(id), a.Add(id)
	q := `SELECT l.kind, CASE WHEN l.ticket_id = ` + one + ` THEN 1 ELSE 0 END, ` + rowColumns + `
		FROM ticket_relations l JOIN tickets t ON t.id = (CASE WHEN l.ticket_id = ` + two + ` THEN l.other_id ELSE l.ticket_id END)
		WHERE (l.ticket_id = ` + three + ` OR l.other_id = ` + a.Add(id) + `) AND ` + sc.Where(&a, scopeColumns) + ` ORDER BY l.created_at LIMIT 50`
	rows, err := s.DB().Read().Query(ctx, q, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: links: %w", err)
	}
	defer rows.Close()
	var out []Link
	for rows.Next() {
		var l Link
		var forward int
		r, err := scanRow(prefixed{rows, []any{&l.Kind, &forward}})
		if err != nil {
			return nil, fmt.Errorf("ticket: links: %w", err)
		}
		l.Row, l.Forward = r, forward == 1
		out = append(out, l)
	}
	return out, rows.Err()
}

type prefixed struct {
	row   interface{ Scan(...any) error }
	first []any
}

func (p prefixed) Scan(dst ...any) error { return p.row.Scan(append(p.first, dst...)...) }

// Category is a node of the category tree (product, module, issue).
type Category struct {
	ID, ParentID int64
	Name         string
}

// Categories returns the active categories, parents before children.
func Categories(ctx context.Context, q db.Querier) ([]Category, error) {
	rows, err := q.Query(ctx, `SELECT c.id, COALESCE(c.parent_id, 0), c.name FROM categories c LEFT JOIN categories p ON p.id = c.parent_id
		WHERE c.active = 1 ORDER BY COALESCE(p.position, c.position), COALESCE(c.parent_id, c.id), CASE WHEN c.parent_id IS NULL THEN 0 ELSE 1 END, c.position, c.id`)
	if err != nil {
		return nil, fmt.Errorf("ticket: categories: %w", err)
	}
	defer rows.Close()
	var out []Category
	for rows.Next() {
		var c Category
		if err := rows.Scan(&c.ID, &c.ParentID, &c.Name); err != nil {
			return nil, fmt.Errorf("ticket: categories: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
