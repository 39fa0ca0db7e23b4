package customer

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// Query is a condition on customers as it is stored in views and segments and
// sent with addresses: a tree of groups, all or any of whose members must hold.
// The zero Query holds for everybody. Its JSON form is versioned:
//
//	{"v":1,"all":[{"field":"level","op":"is","values":["vip"]},
//	              {"any":[{"field":"owner","op":"empty"},{"field":"activity","op":"older","values":["90"]}]}]}
type Query struct {
	V int `json:"v"`
	Node
}

// Node is a group (All or Any is set) or one condition (Field is set).
type Node struct {
	All    []Node   `json:"all,omitempty"`
	Any    []Node   `json:"any,omitempty"`
	Field  string   `json:"field,omitempty"`
	Op     Op       `json:"op,omitempty"`
	Values []string `json:"values,omitempty"`
}

// queryVersion is written into every stored Query.
const queryVersion = 1

// Bounds of a Query: more than anybody reads, less than hurts.
const (
	maxQueryDepth  = 5
	maxConditions  = 40
	maxQueryValues = 60
	maxQueryValue  = 100
	maxQueryBytes  = 16 << 10
)

// AllOf returns the Query that holds where all nodes hold.
func AllOf(nodes ...Node) Query {
	q := Query{V: queryVersion}
	if len(nodes) == 1 && nodes[0].Field == "" { // a group is a Query already
		q.Node = nodes[0]
		return q
	}
	for _, n := range nodes {
		if !n.blank() {
			q.All = append(q.All, n)
		}
	}
	return q
}

// Is returns the condition that a field has one of values.
func Is(field string, values ...string) Node { return Node{Field: field, Op: OpIs, Values: values} }

func (n Node) blank() bool { return n.Field == "" && len(n.All)+len(n.Any) == 0 }

// Empty reports whether q holds for everybody.
func (q Query) Empty() bool { return q.blank() }

// And returns the Query that holds where q and o hold.
func (q Query) And(o Query) Query {
	switch {
	case o.Empty():
		return q
	case q.Empty():
		return o
	}
	return AllOf(q.Node, o.Node)
}

// String is the JSON form, "" when q holds for everybody.
func (q Query) String() string {
	if q.Empty() {
		return ""
	}
	q.V = queryVersion
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(q) != nil { // strings only: cannot happen
		return ""
	}
	return strings.TrimSpace(b.String())
}

// ParseQuery reads the JSON form; "" is the zero Query. What it means is
// checked by [Service.CheckQuery] and by every list.
func ParseQuery(s string) (q Query, err error) {
	bad := func() error {
		return fault.Invalidf("customer.query.invalid").Field("filter", "customer.query.unreadable")
	}
	if s = strings.TrimSpace(s); s == "" || s == "{}" {
		return Query{}, nil
	}
	if len(s) > maxQueryBytes || !utf8.ValidString(s) {
		return Query{}, bad()
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return Query{}, bad()
	}
	if _, err := d.Token(); err != io.EOF {
		return Query{}, bad()
	}
	if q.V != queryVersion && q.V != 0 {
		return Query{}, fault.Invalidf("customer.query.invalid").Field("filter", "customer.query.version", q.V)
	}
	q.V = queryVersion
	return q, nil
}

// walk calls f with every condition of n and where it stands ("0.1").
func (n Node) walk(path string, f func(path string, c Node)) {
	if n.Field != "" {
		f(path, n)
	}
	for i, x := range append(slices.Clone(n.All), n.Any...) {
		p := strconv.Itoa(i)
		if path != "" {
			p = path + "." + p
		}
		x.walk(p, f)
	}
}

// plan is a Query made ready for one reader at one time: its attributes are
// looked up and everything in it has been checked.
type plan struct {
	s     *Service
	root  Node
	user  int64 // whom "me" means
	now   time.Time
	attrs map[string]*Attr
	segs  map[int64]Node
	count int
	id    string // expression of the record's id, for its added fields
}

// ready looks up and checks what query names. user is whom "me" means.
func (s *Service) ready(ctx context.Context, q db.Querier, user int64, query Query) (*plan, error) {
	p := &plan{s: s, root: query.Node, user: user, now: s.db().Clock().Now(), segs: map[int64]Node{}, id: "c.id"}
	if query.Empty() {
		return p, nil
	}
	if query.V != queryVersion && query.V != 0 {
		return nil, fault.Invalidf("customer.query.invalid").Field("filter", "customer.query.version", query.V)
	}
	attrs, err := s.attrs(ctx, q, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	p.attrs = attrs
	if err := p.segments(ctx, q, query.Node); err != nil {
		return nil, err
	}
	// A segment may have lost a field it asks about since it was saved.
	for id, seg := range p.segs {
		broken := fault.Invalidf("customer.query.invalid")
		if p.check(broken, seg, "", 1); broken.OrNil() != nil {
			delete(p.segs, id)
		}
	}
	p.count = 0
	e := fault.Invalidf("customer.query.invalid")
	p.check(e, p.root, "", 1)
	if p.count > maxConditions {
		e.Field("filter", "customer.query.many", maxConditions)
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return p, nil
}

// CheckQuery reports what is wrong with q: a fault whose fields are "filter" and
// where in it, like filter.0.1, and whose messages name the condition.
func (s *Service) CheckQuery(ctx context.Context, actor authz.Actor, q Query) error {
	_, err := s.ready(ctx, s.db().Read(), actor.ID, q)
	return err
}

// segments loads the segments that n names; they do not name others.
func (p *plan) segments(ctx context.Context, q db.Querier, n Node) error {
	var err error
	n.walk("", func(_ string, c Node) {
		if c.Field != attrSegment || err != nil {
			return
		}
		for _, v := range c.Values {
			id, perr := strconv.ParseInt(v, 10, 64)
			if perr != nil || p.segs[id].Field != "" || len(p.segs) > 20 {
				continue
			}
			seg, serr := p.s.segment(ctx, q, id)
			if fault.Is(serr, fault.NotFound) {
				continue // check says so
			}
			if serr != nil {
				err = serr
				return
			}
			p.segs[id] = seg.Query.Node
		}
	})
	return err
}

func (p *plan) check(e *fault.Error, n Node, path string, depth int) {
	at := "filter"
	if path != "" {
		at += "." + path
	}
	if depth > maxQueryDepth {
		e.Field(at, "customer.query.deep", maxQueryDepth)
		return
	}
	sorts := 0
	for _, is := range []bool{n.Field != "", n.All != nil, n.Any != nil} {
		if is {
			sorts++
		}
	}
	if sorts != 1 && !(depth == 1 && sorts == 0) {
		e.Field(at, "customer.query.shape")
		return
	}
	for i, x := range append(slices.Clone(n.All), n.Any...) {
		sub := strconv.Itoa(i)
		if path != "" {
			sub = path + "." + sub
		}
		p.check(e, x, sub, depth+1)
	}
	if n.Field == "" {
		return
	}
	p.count++
	a := p.attrs[n.Field]
	if a == nil {
		e.Field(at, "customer.query.field", n.Field)
		return
	}
	if !slices.Contains(a.Ops(), n.Op) {
		e.Field(at, "customer.query.op", a.name(), string(n.Op))
		return
	}
	lo, hi := n.Op.values(a)
	switch {
	case len(n.Values) < lo:
		e.Field(at, "customer.query.value.missing", a.name())
		return
	case len(n.Values) > min(hi, maxQueryValues):
		e.Field(at, "customer.query.value.many", a.name(), min(hi, maxQueryValues))
		return
	}
	for _, v := range n.Values {
		if utf8.RuneCountInString(v) > maxQueryValue || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			e.Field(at, "customer.query.value.long", a.name(), maxQueryValue)
			return
		}
		if key := p.checkValue(a, n.Op, v); key != "" {
			e.Field(at, key, a.name(), v)
			return
		}
	}
	if n.Op == OpBetween && after(a, n.Values[0], n.Values[1]) {
		e.Field(at, "customer.query.value.order", a.name())
	}
}

// checkValue returns the locale key of what is wrong with v, "" when nothing is.
func (p *plan) checkValue(a *Attr, op Op, v string) string {
	switch {
	case op == OpLast || op == OpOlder || op == OpNext:
		if n, err := strconv.Atoi(v); err != nil || n < 0 || n > 36500 {
			return "customer.query.value.days"
		}
		return ""
	case op == OpWithin:
		if !slices.Contains(Periods, v) {
			return "customer.query.value.period"
		}
		return ""
	}
	switch a.Kind {
	case KindText:
		if strings.TrimSpace(v) == "" {
			return "customer.query.value.missing"
		}
	case KindChoice, KindMulti:
		if !slices.ContainsFunc(a.Options, func(o Choice) bool { return o.Value == v }) && !(a.accepts != nil && a.accepts(v)) {
			return "customer.query.value.choice"
		}
	case KindUser:
		if v == Me {
			return ""
		}
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "customer.query.value.choice"
		}
	case KindDepartment, KindTag, KindCustomer:
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "customer.query.value.choice"
		}
	case KindSegment:
		id, err := strconv.ParseInt(v, 10, 64)
		if _, ok := p.segs[id]; err != nil || !ok {
			return "customer.query.value.segment"
		}
	case KindDate:
		if _, err := parseDay(v); err != nil {
			return "customer.query.value.date"
		}
	case KindNumber, KindMoney:
		if _, err := strconv.ParseFloat(v, 64); err != nil || len(v) > 18 || strings.ContainsAny(v, "eExXnNiI_pP+") {
			return "customer.query.value.number"
		}
	}
	return ""
}

func after(a *Attr, lo, hi string) bool {
	if a.Kind == KindDate {
		return lo > hi
	}
	x, _ := strconv.ParseFloat(lo, 64)
	y, _ := strconv.ParseFloat(hi, 64)
	return x > y
}

func parseDay(v string) (time.Time, error) {
	return time.ParseInLocation(time.DateOnly, v, number.Zone)
}

// Op is how a condition compares.
type Op string

// The ways of comparing.
const (
	OpIs      Op = "is"      // one of the values
	OpNot     Op = "not"     // none of the values; what is empty is none of them
	OpHas     Op = "has"     // contains the text
	OpHasNot  Op = "has_not" // does not contain it
	OpEmpty   Op = "empty"
	OpSet     Op = "set"
	OpUnder   Op = "under" // in the department, or below it
	OpYes     Op = "yes"
	OpNo      Op = "no"
	OpMin     Op = "min"     // at least; of dates: that day or later
	OpMax     Op = "max"     // at most; of dates: that day or earlier
	OpBetween Op = "between" // both ends belong to it
	OpLast    Op = "last"    // within so many days until today
	OpOlder   Op = "older"   // longer ago than so many days, or never where that is meant
	OpNext    Op = "next"    // within so many days from today
	OpWithin  Op = "within"  // in a period by name
)

// values returns how few and how many values an op takes.
func (o Op) values(a *Attr) (lo, hi int) {
	switch o {
	case OpEmpty, OpSet, OpYes, OpNo:
		return 0, 0
	case OpIs, OpNot:
		if a.Kind == KindDate || a.Kind == KindNumber || a.Kind == KindMoney {
			return 1, 1
		}
		return 1, maxQueryValues
	case OpUnder:
		return 1, maxQueryValues
	case OpBetween:
		return 2, 2
	}
	return 1, 1
}

// Periods are the spans of time that have a name, customer.period.<code>.
var Periods = []string{"today", "yesterday", "this_week", "last_week", "next_week", "this_month", "last_month", "next_month", "this_quarter", "this_year", "last_year", "past", "future"}

// period returns the span [from, to) of a name; a zero end is open.
func period(name string, now time.Time) (from, to time.Time) {
	day := startOfDay(now)
	week := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	month := time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, number.Zone)
	year := time.Date(day.Year(), 1, 1, 0, 0, 0, 0, number.Zone)
	switch name {
	case "today":
		return day, day.AddDate(0, 0, 1)
	case "yesterday":
		return day.AddDate(0, 0, -1), day
	case "this_week":
		return week, week.AddDate(0, 0, 7)
	case "last_week":
		return week.AddDate(0, 0, -7), week
	case "next_week":
		return week.AddDate(0, 0, 7), week.AddDate(0, 0, 14)
	case "this_month":
		return month, month.AddDate(0, 1, 0)
	case "last_month":
		return month.AddDate(0, -1, 0), month
	case "next_month":
		return month.AddDate(0, 1, 0), month.AddDate(0, 2, 0)
	case "this_quarter":
		q := time.Date(day.Year(), (day.Month()-1)/3*3+1, 1, 0, 0, 0, 0, number.Zone)
		return q, q.AddDate(0, 3, 0)
	case "this_year":
		return year, year.AddDate(1, 0, 0)
	case "last_year":
		return year.AddDate(-1, 0, 0), year
	case "past":
		return time.Time{}, now
	}
	return now, time.Time{}
}

func startOfDay(t time.Time) time.Time {
	y, m, d := t.In(number.Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, number.Zone)
}

// span returns the time [from, to) that a condition on a date means; a zero end
// is open.
func (n Node) span(now time.Time) (from, to time.Time) {
	day := startOfDay(now)
	at := func(i int) time.Time { t, _ := parseDay(n.Values[i]); return t }
	days := func() int { d, _ := strconv.Atoi(n.Values[0]); return d }
	switch n.Op {
	case OpIs:
		return at(0), at(0).AddDate(0, 0, 1)
	case OpMin:
		return at(0), time.Time{}
	case OpMax:
		return time.Time{}, at(0).AddDate(0, 0, 1)
	case OpBetween:
		return at(0), at(1).AddDate(0, 0, 1)
	case OpLast:
		return day.AddDate(0, 0, -days()), day.AddDate(0, 0, 1)
	case OpOlder:
		return time.Time{}, day.AddDate(0, 0, -days())
	case OpNext:
		return day, day.AddDate(0, 0, days()+1)
	}
	return period(n.Values[0], now)
}

// name is how messages and sentences call the attribute: a locale key that is
// said in the reader's language, or the words of who defined the field.
func (a *Attr) name() any {
	if a.def != nil {
		return a.def.Label
	}
	return i18n.Key(a.key)
}

// Words says a Query in l. names says who or what an id is; it may be nil.
func (s *Service) Words(ctx context.Context, l i18n.Lang, q Query, names func(kind AttrKind, value string) string) (string, error) {
	attrs, err := s.attrs(ctx, s.db().Read(), l)
	if err != nil {
		return "", err
	}
	return wordsOf(l, attrs, q, names), nil
}

func wordsOf(l i18n.Lang, attrs map[string]*Attr, q Query, names func(kind AttrKind, value string) string) string {
	var say func(n Node, top bool) string
	say = func(n Node, top bool) string {
		if n.Field != "" {
			a := attrs[n.Field]
			if a == nil {
				return n.Field
			}
			var vs []string
			for _, v := range n.Values {
				vs = append(vs, a.said(l, n.Op, v, names))
			}
			text := a.Label + " " + i18n.T(l, n.Op.Words(a.Kind))
			if len(vs) > 0 {
				text += " " + strings.Join(vs, i18n.T(l, "customer.query.comma"))
			}
			if u := n.Op.unit(); u != "" {
				text += i18n.T(l, u)
			}
			return text
		}
		var parts []string
		for _, x := range append(slices.Clone(n.All), n.Any...) {
			if t := say(x, false); t != "" {
				parts = append(parts, t)
			}
		}
		join := "customer.query.and"
		if n.Any != nil {
			join = "customer.query.or"
		}
		text := strings.Join(parts, i18n.T(l, join))
		if !top && len(parts) > 1 {
			text = i18n.T(l, "customer.query.group", text)
		}
		return text
	}
	return say(q.Node, true)
}
