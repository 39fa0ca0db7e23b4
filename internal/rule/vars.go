package rule

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"

	"github.com/expr-lang/expr/types"
)

// VarKind is what values of a variable are.
type VarKind string

const (
	KText   VarKind = "text"   // string
	KChoice VarKind = "choice" // a code; string
	KNumber VarKind = "number" // float64, NaN: not set
	KBool   VarKind = "bool"
	KUser   VarKind = "user" // id; int, 0: nobody
	KPick   VarKind = "pick" // one of some numbers; int
	KIDs    VarKind = "ids"  // several ids; []int
	KCodes  VarKind = "codes"
	KDate   VarKind = "date" // "2026-11-22", "": not set
)

var typeOf = map[VarKind]types.Type{KText: types.String, KChoice: types.String, KNumber: types.Float64, KBool: types.Bool, KUser: types.Int, KPick: types.Int,
	KIDs: types.TypeOf([]int{}), KCodes: types.TypeOf([]string{}), KDate: types.String}

// Var is something conditions compare.
type Var struct {
	Code    string // as it is written in an expression: priority, fields.site
	Group   string // ticket, time, event, customer, custom: rule.group.<group>
	Kind    VarKind
	Label   string // in the reader's language
	Options []Option
	Pick    string // options that are records: user, department, category, tag
	Blank   bool   // it may be empty
}

// Option is a value a variable may have, and its name.
type Option struct{ Value, Label string }

// need says what has to be loaded for a variable.
type need int

const (
	needCustomer need = 1 << iota
	needMessage
	needPlaces // departments above, categories above
	needTags   // of the customer; with needCustomer
)

// builtin is a variable of the product.
type builtin struct {
	code, group string
	kind        VarKind
	prefix      string // of the locale keys of its options
	codes       []string
	pick        string
	blank       bool
	need        need
	get         func(m *moment) any
}

func hours(d time.Duration) float64 { return d.Hours() }

// since is how long ago, in hours; NaN when it never was.
func (m *moment) since(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return hours(m.now.Sub(t))
}

func clockCodes() (out []string) {
	for _, k := range sla.Kinds {
		out = append(out, string(k))
	}
	return out
}

func stateCodes() (out []string) {
	for _, s := range ticket.States {
		out = append(out, string(s))
	}
	return out
}

// builtins in the order they are offered.
var builtins = []builtin{
	{code: "words", group: "ticket", kind: KText, need: needMessage, get: func(m *moment) any { return m.t.Title + "\n" + m.t.Description + "\n" + m.message }},
	{code: "title", group: "ticket", kind: KText, get: func(m *moment) any { return m.t.Title }},
	{code: "description", group: "ticket", kind: KText, blank: true, get: func(m *moment) any { return m.t.Description }},
	{code: "type", group: "ticket", kind: KChoice, prefix: "ticket.type.", codes: ticket.Types, get: func(m *moment) any { return m.t.Type }},
	{code: "class", group: "ticket", kind: KChoice, prefix: "ticket.class.", codes: ticket.Classes, blank: true, get: func(m *moment) any { return m.t.Class }},
	{code: "categories", group: "ticket", kind: KIDs, pick: "category", blank: true, need: needPlaces, get: func(m *moment) any { return m.categories }},
	{code: "state", group: "ticket", kind: KChoice, prefix: "ticket.state.", codes: stateCodes(), get: func(m *moment) any { return string(m.t.State) }},
	{code: "urgency", group: "ticket", kind: KChoice, prefix: "ticket.urgency.", codes: ticket.Urgencies, get: func(m *moment) any { return m.t.Urgency }},
	{code: "priority", group: "ticket", kind: KChoice, prefix: "ticket.priority.", codes: ticket.Priorities, get: func(m *moment) any { return m.t.Priority }},
	{code: "channel", group: "ticket", kind: KChoice, prefix: "ticket.channel.", codes: ticket.Channels, get: func(m *moment) any { return m.t.Channel }},
	{code: "departments", group: "ticket", kind: KIDs, pick: "department", need: needPlaces, get: func(m *moment) any { return m.departments }},
	{code: "assignee", group: "ticket", kind: KUser, pick: "user", blank: true, get: func(m *moment) any { return int(m.t.AssigneeID) }},
	{code: "second", group: "ticket", kind: KBool, get: func(m *moment) any { return m.t.Round > 1 }},
	{code: "round", group: "ticket", kind: KNumber, get: func(m *moment) any { return float64(m.t.Round) }},
	{code: "overdue", group: "ticket", kind: KBool, get: func(m *moment) any { return m.t.Overdue || !m.t.DueAt.IsZero() && m.t.DueAt.Before(m.now) }},
	{code: "escalation", group: "ticket", kind: KNumber, get: func(m *moment) any { return float64(m.t.Escalation) }},
	{code: "rating", group: "ticket", kind: KNumber, blank: true, get: func(m *moment) any {
		switch {
		case m.fact.Stars > 0:
			return float64(m.fact.Stars)
		case m.t.Rating > 0:
			return float64(m.t.Rating)
		}
		return math.NaN()
	}},
	{code: "sub_ticket", group: "ticket", kind: KBool, get: func(m *moment) any { return m.t.ParentID != 0 }},
	{code: "open_children", group: "ticket", kind: KNumber, get: func(m *moment) any { return float64(m.t.OpenChildren) }},
	{code: "unanswered", group: "ticket", kind: KBool, get: func(m *moment) any { return !m.t.CustomerAt.IsZero() }},

	{code: "tags", group: "ticket", kind: KIDs, pick: "ticket_tag", blank: true, get: func(m *moment) any {
		out := []int{}
		for _, id := range m.t.Tags.IDs() {
			out = append(out, int(id))
		}
		return out
	}},

	{code: "age_hours", group: "time", kind: KNumber, get: func(m *moment) any { return m.since(m.t.CreatedAt) }},
	{code: "idle_hours", group: "time", kind: KNumber, get: func(m *moment) any { return m.since(m.t.ActivityAt) }},
	{code: "waiting_hours", group: "time", kind: KNumber, blank: true, get: func(m *moment) any { return m.since(m.t.CustomerAt) }},
	{code: "state_hours", group: "time", kind: KNumber, get: func(m *moment) any { return m.since(m.t.StateAt) }},
	{code: "due_hours", group: "time", kind: KNumber, blank: true, get: func(m *moment) any { return -m.since(m.t.DueAt) }},
	{code: "hour", group: "time", kind: KNumber, get: func(m *moment) any { return float64(m.now.In(web.Shanghai).Hour()) }},
	{code: "weekday", group: "time", kind: KPick, prefix: "rule.weekday.", codes: []string{"1", "2", "3", "4", "5", "6", "7"}, get: func(m *moment) any { return weekday(m.now) }},
	{code: "office_hours", group: "time", kind: KBool, get: func(m *moment) any { return m.office.Open(m.now) }},

	{code: "message", group: "event", kind: KText, blank: true, need: needMessage, get: func(m *moment) any { return m.message }},
	{code: "by", group: "event", kind: KChoice, prefix: "rule.by.", codes: []string{string(authz.User), string(authz.Customer), string(authz.Worker)}, blank: true, get: func(m *moment) any { return string(m.e.ActorKind) }},
	{code: "by_user", group: "event", kind: KUser, pick: "user", blank: true, get: func(m *moment) any {
		if m.e.ActorKind == authz.User {
			return int(m.e.ActorID)
		}
		return 0
	}},
	{code: "changed", group: "event", kind: KCodes, prefix: "rule.changed.", codes: []string{"title", "type", "class", "category", "urgency", "priority", "custom"}, blank: true, get: func(m *moment) any { return m.changed() }},
	{code: "clock", group: "event", kind: KChoice, prefix: "sla.clock.", codes: clockCodes(), blank: true, get: func(m *moment) any { return string(m.fact.Clock) }},

	{code: "customer_level", group: "customer", kind: KChoice, prefix: "ticket.level.", codes: ticket.Levels, get: func(m *moment) any { return m.t.CustomerLevel }},
	{code: "customer_name", group: "customer", kind: KText, get: func(m *moment) any { return m.t.CustomerName }},
	{code: "customer_type", group: "customer", kind: KChoice, prefix: "customer.type.", codes: []string{"company", "person"}, need: needCustomer, get: func(m *moment) any { return string(m.c.Type) }},
	{code: "customer_grade", group: "customer", kind: KChoice, prefix: "customer.grade.", codes: customer.Grades, blank: true, need: needCustomer, get: func(m *moment) any { return m.c.Grade }},
	{code: "customer_stage", group: "customer", kind: KChoice, prefix: "customer.stage.", codes: customer.Stages, need: needCustomer, get: func(m *moment) any { return m.c.Stage }},
	{code: "customer_tags", group: "customer", kind: KIDs, pick: "tag", blank: true, need: needCustomer | needTags, get: func(m *moment) any {
		out := make([]int, len(m.c.Tags))
		for i, id := range m.c.Tags {
			out[i] = int(id)
		}
		return out
	}},
	{code: "customer_region", group: "customer", kind: KText, blank: true, need: needCustomer, get: func(m *moment) any { return m.c.Region }},
	{code: "customer_open_tickets", group: "customer", kind: KNumber, need: needCustomer, get: func(m *moment) any { return float64(m.c.OpenTickets) }},
	{code: "customer_tickets", group: "customer", kind: KNumber, need: needCustomer, get: func(m *moment) any { return float64(m.c.TotalTickets) }},
}

// builtinChanges are the fields of a ticket that Changes name as they are called here.
var builtinChanges = []string{"title", "type", "class", "category", "urgency", "priority"}

// weekday is 1 for Monday to 7.
func weekday(t time.Time) int {
	if d := int(t.In(web.Shanghai).Weekday()); d != 0 {
		return d
	}
	return 7
}

// changed lists what the event changed.
func (m *moment) changed() []string {
	out := []string{}
	for _, c := range m.fact.Changes {
		code := c.Field
		if !slices.Contains(builtinChanges, code) {
			code = "custom"
		}
		if !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	return out
}

// Names of the two maps of custom fields in expressions.
const (
	ticketFields   = "fields"
	customerFields = "customer_fields"
)

var customObjects = []struct {
	name string
	obj  field.Object
}{{ticketFields, field.Ticket}, {customerFields, field.Customer}}

// kindOf says how values of a custom field are compared.
func kindOf(k field.Kind) VarKind {
	switch k {
	case field.Number, field.Money:
		return KNumber
	case field.Date:
		return KDate
	case field.Choice:
		return KChoice
	case field.Multi:
		return KCodes
	case field.User:
		return KUser
	case field.Bool:
		return KBool
	}
	return KText
}

// zero is the value of an empty custom field.
func zero(k VarKind) any {
	switch k {
	case KNumber:
		return math.NaN()
	case KCodes:
		return []string{}
	case KUser:
		return 0
	case KBool:
		return false
	}
	return ""
}

// valueOf is a custom field as expressions see it.
func valueOf(v field.Value) any {
	k := kindOf(v.Kind)
	if v.Empty() {
		return zero(k)
	}
	switch v.Kind {
	case field.Number:
		return float64(v.Num) / 10_000
	case field.Money:
		return float64(v.Num) / 100
	case field.Multi:
		return v.Codes
	case field.User:
		return int(v.Num)
	case field.Bool:
		return v.Num != 0
	}
	return v.Raw()
}

// Vars returns everything conditions may compare, in language l.
func (s *Service) Vars(ctx context.Context, q db.Querier, l i18n.Lang) ([]Var, error) {
	out := make([]Var, 0, len(builtins))
	for _, b := range builtins {
		v := Var{Code: b.code, Group: b.group, Kind: b.kind, Label: i18n.T(l, "rule.var."+b.code), Pick: b.pick, Blank: b.blank}
		for _, c := range b.codes {
			v.Options = append(v.Options, Option{c, i18n.T(l, b.prefix+c)})
		}
		out = append(out, v)
	}
	for _, o := range customObjects {
		defs, err := s.cust.Fields().DefsIn(ctx, q, l, o.obj)
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			v := Var{Code: o.name + "." + d.Code, Group: "custom", Kind: kindOf(d.Kind), Label: d.Label, Blank: d.Kind != field.Bool}
			if o.obj == field.Customer {
				v.Label = i18n.T(l, "rule.var.of_customer", d.Label)
			}
			if d.Kind == field.User {
				v.Pick = "user"
			}
			for _, x := range d.Options {
				v.Options = append(v.Options, Option{x.Code, x.Label})
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// find returns the variable code of vs.
func find(vs []Var, code string) (Var, bool) {
	for _, v := range vs {
		if v.Code == code {
			return v, true
		}
	}
	return Var{}, false
}

// moment is what a rule looks at: a ticket, and what has just happened to it.
type moment struct {
	now     time.Time
	t       ticket.Ticket
	e       event.Stored
	fact    ticket.Fact
	message string
	c       customer.Traits
	office  Office

	ofTicket, ofCustomer map[string]any // the company's own fields that were asked for, by code

	departments, categories []int

	vars map[string]bool // what the rules that are asked read
	have need            // what has been loaded of it; fields of the company's own: what the maps have
	env  map[string]any
}

// wants is what the conditions of some rules read.
type wants struct {
	need need
	vars map[string]bool
	own  map[field.Object][]fieldRef
}

func (w *wants) add(o wants) {
	w.need |= o.need
	if w.vars == nil {
		w.vars, w.own = map[string]bool{}, map[field.Object][]fieldRef{}
	}
	for v := range o.vars {
		w.vars[v] = true
	}
	for obj, refs := range o.own {
		for _, r := range refs {
			if !slices.Contains(w.own[obj], r) {
				w.own[obj] = append(w.own[obj], r)
			}
		}
	}
}

// load fills m with what w asks for beside the ticket itself and m has not yet,
// with one query for each kind of thing.
func (s *Service) load(ctx context.Context, q db.Querier, m *moment, w wants) error {
	err := s.db().Together(ctx,
		func(ctx context.Context) error { return m.loadCustomer(ctx, q, w) },
		func(ctx context.Context) error { return m.loadMessage(ctx, q, w) },
		func(ctx context.Context) error { return s.loadPlaces(ctx, q, m, w) },
		func(ctx context.Context) error { return s.loadOwn(ctx, q, m, w, field.Ticket) },
		func(ctx context.Context) error { return s.loadOwn(ctx, q, m, w, field.Customer) })
	if err != nil {
		return err
	}
	m.have |= w.need
	if m.vars == nil {
		m.vars = w.vars
	}
	m.env = m.build(m.vars)
	return nil
}

// changedFrom forgets what an action may have touched that has changed the ticket
// from old: it is loaded again when a rule asks for it. own says that it may have
// filled in fields of the company's own.
func (m *moment) changedFrom(old ticket.Ticket, own bool) {
	if old.State != m.t.State || old.CustomerID != m.t.CustomerID {
		m.have &^= needCustomer | needTags
	}
	if old.CustomerID != m.t.CustomerID {
		m.ofCustomer = nil
	}
	if old.DepartmentID != m.t.DepartmentID || old.CategoryID != m.t.CategoryID {
		m.have &^= needPlaces
	}
	if own {
		m.ofTicket = nil
	}
	m.env = m.build(m.vars)
}

func (m *moment) loadCustomer(ctx context.Context, q db.Querier, w wants) (err error) {
	if w.need&^m.have&(needCustomer|needTags) != 0 {
		m.c, err = customer.TraitsOf(ctx, q, m.t.CustomerID, w.need&needTags != 0)
	}
	return err
}

func (m *moment) loadMessage(ctx context.Context, q db.Querier, w wants) (err error) {
	if w.need&^m.have&needMessage != 0 && m.fact.Entry > 0 && m.message == "" {
		m.message, err = journal.Body(ctx, q, m.fact.Entry)
	}
	return err
}

func (s *Service) loadPlaces(ctx context.Context, q db.Querier, m *moment, w wants) error {
	if w.need&^m.have&needPlaces == 0 {
		return nil
	}
	m.departments, m.categories = []int{}, []int{}
	for id := m.t.DepartmentID; id != 0 && len(m.departments) < 20; {
		m.departments = append(m.departments, int(id))
		d, ok, err := s.org.Department(ctx, q, id)
		if err != nil {
			return err
		}
		if id = 0; ok {
			id = d.ParentID
		}
	}
	if m.t.CategoryID != 0 {
		m.categories = append(m.categories, int(m.t.CategoryID))
		parent, err := ticket.ParentCategory(ctx, q, m.t.CategoryID)
		if err != nil {
			return err
		}
		if parent != 0 {
			m.categories = append(m.categories, int(parent))
		}
	}
	return nil
}

// loadOwn reads the company's own fields of obj that w asks for.
func (s *Service) loadOwn(ctx context.Context, q db.Querier, m *moment, w wants, obj field.Object) error {
	record, have := m.t.ID, &m.ofTicket
	if obj == field.Customer {
		record, have = m.t.CustomerID, &m.ofCustomer
	}
	var refs []fieldRef
	var ids []int64
	for _, r := range w.own[obj] {
		if _, ok := (*have)[r.code]; !ok {
			refs, ids = append(refs, r), append(ids, r.id)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	values, err := s.cust.Fields().Values(ctx, q, obj, []int64{record}, ids)
	if err != nil {
		return err
	}
	own := make(map[string]any, len(refs))
	for _, r := range refs {
		if v, ok := values[record][r.id]; ok {
			own[r.code] = valueOf(v)
		} else {
			own[r.code] = zero(r.kind)
		}
	}
	*have = with(*have, own)
	return nil
}

// build makes the variables an expression reads, as far as they are loaded.
func (m *moment) build(vars map[string]bool) map[string]any {
	env := make(map[string]any, len(vars)+8)
	for _, b := range builtins {
		if vars[b.code] && b.need&^m.have == 0 {
			env[b.code] = b.get(m)
		}
	}
	env[ticketFields], env[customerFields] = m.ofTicket, m.ofCustomer
	today := m.now.In(web.Shanghai).Format(time.DateOnly)
	env["last_days"] = func(d string, n int) bool { return d != "" && d <= today && d >= shift(today, -n) }
	env["next_days"] = func(d string, n int) bool { return d != "" && d >= today && d <= shift(today, n) }
	return env
}

func shift(day string, n int) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ""
	}
	return t.AddDate(0, 0, max(min(n, 36500), -36500)).Format(time.DateOnly)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
