package customer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/search"
)

// AttrKind is what values of an attribute are.
type AttrKind string

// The kinds of attributes.
const (
	KindText       AttrKind = "text"
	KindChoice     AttrKind = "choice"
	KindMulti      AttrKind = "multi" // any of several choices
	KindUser       AttrKind = "user"  // id, or Me
	KindDepartment AttrKind = "department"
	KindTag        AttrKind = "tag"
	KindCustomer   AttrKind = "customer"
	KindSegment    AttrKind = "segment"
	KindDate       AttrKind = "date" // 2006-01-02
	KindNumber     AttrKind = "number"
	KindMoney      AttrKind = "money" // 元
	KindBool       AttrKind = "bool"
)

// Me is the value of a user that means who reads the list.
const Me = "me"

const attrSegment = "segment"

// Choice is a value an attribute may have, and its name.
type Choice struct{ Value, Label string }

// Attr is something of a customer that conditions compare.
type Attr struct {
	Code    string // "level", "fields.<code>", "contact.fields.<code>"
	Group   string // profile, contact, time, business, custom: customer.attr.group.<group>
	Kind    AttrKind
	Label   string // in the reader's language
	Options []Choice
	Blank   bool // it may be empty

	key     string // locale key of Label
	prefix  string // of the locale keys of the options
	accepts func(v string) bool
	expr    string // column of customers c
	contact string // column of contacts x instead; any contact that is spoken to counts
	never   bool   // a date that never was is long ago
	def     *field.Def
	exact   string // an expression that an index answers for OpIs
}

// Ops are the comparisons the attribute knows, in the order they are offered.
func (a *Attr) Ops() []Op {
	blank := func(ops ...Op) []Op {
		if a.Blank {
			ops = append(ops, OpSet, OpEmpty)
		}
		return ops
	}
	switch a.Kind {
	case KindText:
		return blank(OpHas, OpHasNot, OpIs, OpNot)
	case KindDate:
		return blank(OpLast, OpOlder, OpNext, OpWithin, OpIs, OpMin, OpMax, OpBetween)
	case KindNumber, KindMoney:
		return blank(OpMin, OpMax, OpBetween, OpIs, OpNot)
	case KindBool:
		return []Op{OpYes, OpNo}
	case KindDepartment:
		return blank(OpUnder, OpIs, OpNot)
	case KindSegment:
		return []Op{OpIs, OpNot}
	}
	return blank(OpIs, OpNot)
}

// of is the op by which its words are looked up: dates have words of their own.
func (o Op) of(k AttrKind) Op {
	if k == KindDate {
		switch o {
		case OpIs, OpMin, OpMax:
			return "date_" + o
		}
	}
	return o
}

// Words is the locale key that says o for the kind.
func (o Op) Words(k AttrKind) string { return "customer.op." + string(o.of(k)) }

// Days reports whether the value of o is a number of days.
func (o Op) Days() bool { return o == OpLast || o == OpOlder || o == OpNext }

func (o Op) unit() string {
	if o.Days() {
		return "customer.query.days"
	}
	return ""
}

// said is a value in words.
func (a *Attr) said(l i18n.Lang, op Op, v string, names func(AttrKind, string) string) string {
	switch {
	case op.Days():
		return v
	case op == OpWithin:
		return i18n.T(l, "customer.period."+v)
	}
	switch a.Kind {
	case KindText:
		return v
	case KindChoice, KindMulti:
		for _, o := range a.Options {
			if o.Value == v {
				return o.Label
			}
		}
		return v
	case KindUser:
		if v == Me {
			return i18n.T(l, "customer.query.me")
		}
	}
	if names != nil && slices.Contains([]AttrKind{KindUser, KindDepartment, KindTag, KindCustomer, KindSegment}, a.Kind) {
		if n := names(a.Kind, v); n != "" {
			return n
		}
	}
	return v
}

func choices(l i18n.Lang, prefix string, codes []string) []Choice {
	out := make([]Choice, len(codes))
	for i, c := range codes {
		out[i] = Choice{c, i18n.T(l, prefix+c)}
	}
	return out
}

func codesOf[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// builtIn are the attributes every customer has, in the order they are offered.
func builtIn(l i18n.Lang) []Attr {
	list := []Attr{
		{Code: "name", Group: "profile", Kind: KindText, key: "customer.field.name", expr: "c.name"},
		{Code: "number", Group: "profile", Kind: KindText, key: "customer.field.number", expr: "c.number", exact: "number"},
		{Code: "type", Group: "profile", Kind: KindChoice, key: "customer.field.type", prefix: "customer.type.", Options: choices(l, "customer.type.", codesOf(Types)), expr: "c.type"},
		{Code: "level", Group: "profile", Kind: KindChoice, key: "customer.field.level", Options: choices(l, "customer.level.", codesOf(Levels)), expr: "c.level"},
		{Code: "grade", Group: "profile", Kind: KindChoice, key: "customer.grade", Options: choices(l, "customer.grade.", Grades), expr: "c.grade", Blank: true},
		{Code: "stage", Group: "profile", Kind: KindChoice, key: "customer.stage", Options: choices(l, "customer.stage.", Stages), expr: "c.stage"},
		{Code: "tag", Group: "profile", Kind: KindTag, key: "customer.tag", Blank: true},
		{Code: "owner", Group: "profile", Kind: KindUser, key: "customer.field.owner", expr: "c.owner_id", Blank: true},
		{Code: "department", Group: "profile", Kind: KindDepartment, key: "customer.field.department", expr: "c.department_id"},
		{Code: "source", Group: "profile", Kind: KindChoice, key: "customer.field.source", Options: choices(l, "customer.source.", Sources), expr: "c.source", Blank: true},
		{Code: "industry", Group: "profile", Kind: KindChoice, key: "customer.field.industry", Options: industryChoices(l), accepts: knownIndustry, expr: "c.industry", Blank: true},
		{Code: "region", Group: "profile", Kind: KindText, key: "customer.field.region", expr: "c.region", Blank: true},
		{Code: "uscc", Group: "profile", Kind: KindText, key: "customer.field.uscc", expr: "COALESCE(c.uscc, '')", exact: "uscc", Blank: true},
		{Code: "website", Group: "profile", Kind: KindText, key: "customer.field.website", expr: "c.website", Blank: true},
		{Code: "remark", Group: "profile", Kind: KindText, key: "customer.field.remark", expr: "c.remark", Blank: true},
		{Code: "parent", Group: "profile", Kind: KindCustomer, key: "customer.field.parent", expr: "c.parent_id", Blank: true},
		{Code: "created_by", Group: "profile", Kind: KindUser, key: "customer.attr.created_by", expr: "c.created_by", Blank: true},
		{Code: "contact", Group: "contact", Kind: KindText, key: "customer.contact.name", contact: "name"},
		{Code: "contact_role", Group: "contact", Kind: KindMulti, key: "customer.role", Options: choices(l, "customer.role.", Roles), contact: "role"},
		{Code: "position", Group: "contact", Kind: KindText, key: "customer.contact.position", contact: "position"},
		{Code: "has_phone", Group: "contact", Kind: KindBool, key: "customer.attr.has_phone", contact: "phone_sealed"},
		{Code: "has_email", Group: "contact", Kind: KindBool, key: "customer.attr.has_email", contact: "email_sealed"},
		{Code: "has_wechat", Group: "contact", Kind: KindBool, key: "customer.attr.has_wechat", contact: "wechat_sealed"},
		{Code: "has_address", Group: "contact", Kind: KindBool, key: "customer.attr.has_address", expr: "c.address_sealed"},
		{Code: "activity", Group: "time", Kind: KindDate, key: "customer.field.activity", expr: "c.activity_at"},
		{Code: "created", Group: "time", Kind: KindDate, key: "customer.attr.created", expr: "c.created_at"},
		{Code: "updated", Group: "time", Kind: KindDate, key: "customer.attr.updated", expr: "c.updated_at"},
		{Code: "first_contact", Group: "time", Kind: KindDate, key: "customer.field.first_contact_at", expr: "c.first_contact_at", Blank: true},
		{Code: "stage_at", Group: "time", Kind: KindDate, key: "customer.attr.stage_at", expr: "c.stage_at", Blank: true},
		{Code: "planned", Group: "time", Kind: KindDate, key: "customer.attr.planned", expr: "c.planned_at", Blank: true},
		{Code: "verified", Group: "time", Kind: KindDate, key: "customer.attr.verified", expr: "c.verified_at", Blank: true, never: true},
		{Code: "verify", Group: "time", Kind: KindDate, key: "customer.attr.verify", expr: "c.verify_at", Blank: true},
		{Code: "open_tickets", Group: "business", Kind: KindNumber, key: "customer.attr.open_tickets", expr: "c.open_tickets"},
		{Code: "tickets", Group: "business", Kind: KindNumber, key: "customer.attr.tickets", expr: "c.total_tickets"},
		{Code: "rating", Group: "business", Kind: KindNumber, key: "customer.attr.rating", Blank: true},
		{Code: attrSegment, Group: "business", Kind: KindSegment, key: "customer.segment"},
	}
	for i := range list {
		list[i].Label = i18n.T(l, list[i].key)
	}
	return list
}

func industryChoices(l i18n.Lang) []Choice {
	var out []Choice
	for _, i := range cnid.Industries() {
		name := i.Name
		if l == i18n.En && i.English != "" {
			name = i.English
		}
		out = append(out, Choice{i.Code, i.Code + " " + name})
	}
	return out
}

func knownIndustry(v string) bool { _, ok := cnid.IndustryByCode(v); return ok }

// Attrs returns everything conditions can compare, in l and in the order it is
// offered: what every customer has, then the fields an administrator has added.
func (s *Service) Attrs(ctx context.Context, l i18n.Lang) ([]Attr, error) {
	return s.attrsIn(ctx, s.db().Read(), l)
}

func (s *Service) attrsIn(ctx context.Context, q db.Querier, l i18n.Lang) ([]Attr, error) {
	list := builtIn(l)
	for _, obj := range []field.Object{field.Customer, field.Contact} {
		defs, err := s.fields.DefsIn(ctx, q, l, obj)
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			if a, ok := customAttr(d); ok {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

var customKinds = map[field.Kind]AttrKind{field.Text: KindText, field.Link: KindText, field.Number: KindNumber, field.Money: KindMoney, field.Date: KindDate,
	field.Choice: KindChoice, field.Multi: KindMulti, field.User: KindUser, field.Bool: KindBool}

func customAttr(d field.Def) (Attr, bool) {
	if !d.Filterable {
		return Attr{}, false
	}
	a := Attr{Code: d.Name(), Group: "custom", Kind: customKinds[d.Kind], Label: d.Label, Blank: d.Kind != field.Bool, def: &d}
	for _, o := range d.Options {
		a.Options = append(a.Options, Choice{o.Code, o.Label})
	}
	if d.Object == field.Contact {
		a.Code, a.Group, a.contact = "contact."+a.Code, "contact", "id"
	}
	return a, a.Kind != ""
}

func (s *Service) attrs(ctx context.Context, q db.Querier, l i18n.Lang) (map[string]*Attr, error) {
	list, err := s.attrsIn(ctx, q, l)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*Attr, len(list))
	for i := range list {
		out[list[i].Code] = &list[i]
	}
	return out, nil
}

// where is the condition as SQL on customers c. It may be asked for more than
// once: each time its values are added to a.
func (p *plan) where(a *db.Args) (string, error) { return p.node(a, p.root, "c") }

func (p *plan) node(a *db.Args, n Node, c string) (string, error) {
	if n.Field != "" {
		return p.condition(a, p.attrs[n.Field], n)
	}
	group, join := n.All, " AND "
	if n.Any != nil {
		group, join = n.Any, " OR "
	}
	if len(group) == 0 {
		return "1 = 1", nil
	}
	parts := make([]string, len(group))
	for i, x := range group {
		var err error
		if parts[i], err = p.node(a, x, c); err != nil {
			return "", err
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return "(" + strings.Join(parts, join) + ")", nil
}

func texts(a *db.Args, values []string) string {
	in := make([]string, len(values))
	for i, v := range values {
		in[i] = a.Add(v)
	}
	return strings.Join(in, ", ")
}

// numbers are the values of a condition as ids; "me" is who asks.
func (p *plan) numbers(values []string) []int64 {
	out := make([]int64, 0, len(values))
	for _, v := range values {
		if v == Me {
			out = append(out, p.user)
		} else if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func (p *plan) condition(a *db.Args, at *Attr, n Node) (string, error) {
	not := func(cond string, yes bool) string {
		if yes {
			return "NOT " + cond
		}
		return cond
	}
	switch {
	case at.def != nil:
		return p.custom(a, at, n)
	case at.Kind == KindSegment:
		var or []string
		for _, id := range p.numbers(n.Values) {
			cond, err := p.node(a, p.segs[id], "c")
			if err != nil {
				return "", err
			}
			or = append(or, cond)
		}
		return not("("+strings.Join(or, " OR ")+")", n.Op == OpNot), nil
	case at.Kind == KindTag:
		which := ""
		if n.Op == OpIs || n.Op == OpNot {
			which = " AND t.tag_id IN (" + a.AddInts(p.numbers(n.Values)) + ")"
		}
		if at.expr != "" { // of other records, in a table of their own
			which = strings.Replace(which, "t.tag_id", "g.tag_id", 1)
			return not("EXISTS (SELECT 1 FROM "+at.expr+" g WHERE g.ticket_id = "+p.id+which+")", n.Op == OpNot || n.Op == OpEmpty), nil
		}
		return not("EXISTS (SELECT 1 FROM customer_tags t WHERE t.customer_id = c.id"+which+")", n.Op == OpNot || n.Op == OpEmpty), nil
	case at.contact != "":
		return p.ofContacts(a, at, n), nil
	case at.Code == "rating":
		return ratingCondition(a, n), nil
	}
	col := at.expr
	switch at.Kind {
	case KindBool:
		if n.Op == OpYes {
			return col + " IS NOT NULL", nil
		}
		return col + " IS NULL", nil
	case KindText:
		return textCondition(a, col, n), nil
	case KindChoice:
		switch n.Op {
		case OpEmpty:
			return col + " = ''", nil
		case OpSet:
			return col + " <> ''", nil
		}
		cond := ""
		if at.Code == "industry" {
			cond = industryCondition(a, col, n.Values)
		} else {
			cond = col + " IN (" + texts(a, n.Values) + ")"
		}
		if n.Op == OpNot {
			return "NOT (" + cond + ")", nil
		}
		return cond, nil
	case KindUser, KindCustomer, KindDepartment:
		switch n.Op {
		case OpEmpty:
			return col + " = 0", nil
		case OpSet:
			return col + " <> 0", nil
		case OpUnder:
			return col + " IN (WITH RECURSIVE under(id) AS (SELECT id FROM departments WHERE id IN (" + a.AddInts(p.numbers(n.Values)) +
				") UNION SELECT d.id FROM departments d JOIN under u ON d.parent_id = u.id) SELECT id FROM under)", nil
		case OpNot:
			return col + " NOT IN (" + a.AddInts(p.numbers(n.Values)) + ")", nil
		}
		if ids := p.numbers(n.Values); len(ids) == 1 {
			return col + " = " + a.Add(ids[0]), nil
		} else {
			return col + " IN (" + a.AddInts(ids) + ")", nil
		}
	case KindDate:
		return p.dateCondition(a, at, n), nil
	}
	return numberCondition(a, col, n), nil
}

var likeEscape = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// lower folds what both engines fold: ASCII.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func pattern(a *db.Args, v string) string {
	return a.Add("%"+likeEscape.Replace(lower(strings.TrimSpace(v)))+"%") + ` ESCAPE '\'`
}

func textCondition(a *db.Args, col string, n Node) string {
	switch n.Op {
	case OpEmpty:
		return col + " = ''"
	case OpSet:
		return col + " <> ''"
	case OpHas:
		return "LOWER(" + col + ") LIKE " + pattern(a, n.Values[0])
	case OpHasNot:
		return "LOWER(" + col + ") NOT LIKE " + pattern(a, n.Values[0])
	case OpNot:
		return col + " NOT IN (" + texts(a, n.Values) + ")"
	}
	if len(n.Values) == 1 {
		return col + " = " + a.Add(n.Values[0])
	}
	return col + " IN (" + texts(a, n.Values) + ")"
}

// industryCondition: a section (one letter) holds its divisions too.
func industryCondition(a *db.Args, col string, codes []string) string {
	var exact, sections []string
	for _, c := range codes {
		if len(c) == 1 {
			sections = append(sections, c)
		} else {
			exact = append(exact, c)
		}
	}
	var or []string
	if len(exact) > 0 {
		or = append(or, col+" IN ("+texts(a, exact)+")")
	}
	if len(sections) > 0 {
		or = append(or, "SUBSTR("+col+", 1, 1) IN ("+texts(a, sections)+")")
	}
	if len(or) == 1 {
		return or[0]
	}
	return "(" + strings.Join(or, " OR ") + ")"
}

// ofContacts compares contacts that are spoken to: one that fits is enough, and
// a denial means that none fits.
func (p *plan) ofContacts(a *db.Args, at *Attr, n Node) string {
	exists := func(cond string) string {
		return "EXISTS (SELECT 1 FROM contacts x WHERE x.customer_id = c.id AND x.active = 1 AND " + cond + ")"
	}
	col := "x." + at.contact
	switch {
	case n.Op == OpYes:
		return exists(col + " IS NOT NULL")
	case n.Op == OpNo:
		return "NOT " + exists(col+" IS NOT NULL")
	case n.Op == OpHasNot:
		return "NOT " + exists(textCondition(a, col, Node{Op: OpHas, Values: n.Values}))
	case n.Op == OpNot:
		return "NOT " + exists(col+" IN ("+texts(a, n.Values)+")")
	case at.Kind == KindMulti:
		return exists(col + " IN (" + texts(a, n.Values) + ")")
	}
	return exists(textCondition(a, col, n))
}

func numberCondition(a *db.Args, col string, n Node) string {
	f := func(i int) string {
		v, _ := strconv.ParseFloat(n.Values[i], 64)
		return "CAST(" + a.Add(v) + " AS DOUBLE PRECISION)"
	}
	switch n.Op {
	case OpMin:
		return col + " >= " + f(0)
	case OpMax:
		return col + " <= " + f(0)
	case OpBetween:
		return "(" + col + " >= " + f(0) + " AND " + col + " <= " + f(1) + ")"
	case OpNot:
		return col + " <> " + f(0)
	}
	return col + " = " + f(0)
}

// ratingCondition compares the mean of all ratings, to one decimal as it is
// shown; who was never rated fits only what asks for that, and denials.
func ratingCondition(a *db.Args, n Node) string {
	tenths := "(c.rating_sum * 20 + c.ratings) / (c.ratings * 2)"
	switch n.Op {
	case OpEmpty:
		return "c.ratings = 0"
	case OpSet:
		return "c.ratings > 0"
	}
	scaled := Node{Op: n.Op, Values: make([]string, len(n.Values))}
	for i, v := range n.Values {
		x, _ := strconv.ParseFloat(v, 64)
		scaled.Values[i] = strconv.FormatFloat(float64(int64(x*10+0.5)), 'f', 0, 64)
	}
	never := "FALSE"
	if n.Op == OpNot {
		never = "TRUE"
	}
	return "CASE WHEN c.ratings = 0 THEN " + never + " ELSE " + numberCondition(a, tenths, scaled) + " END"
}

func (p *plan) dateCondition(a *db.Args, at *Attr, n Node) string {
	col := at.expr
	switch n.Op {
	case OpEmpty:
		return col + " = 0"
	case OpSet:
		return col + " > 0"
	}
	from, to := n.span(p.now)
	var and []string
	switch {
	case !from.IsZero():
		and = append(and, col+" >= "+a.Add(db.Micros(from)))
	case at.Blank && !(n.Op == OpOlder && at.never):
		and = append(and, col+" > 0")
	}
	if !to.IsZero() {
		and = append(and, col+" < "+a.Add(db.Micros(to)))
	}
	return "(" + strings.Join(and, " AND ") + ")"
}

// comparison says n in the words of the room of added fields, one for each call
// that has to be made; any of them must hold, with deny none of them.
func (p *plan) comparison(d *field.Def, n Node) (op field.Op, values []string, deny bool) {
	switch n.Op {
	case OpEmpty:
		return field.Empty, []string{""}, false
	case OpSet:
		return field.Set, []string{""}, false
	case OpYes, OpNo:
		return field.Is, []string{"1"}, n.Op == OpNo
	case OpHas, OpHasNot:
		return field.Has, n.Values, n.Op == OpHasNot
	}
	deny = n.Op == OpNot
	switch d.Kind {
	case field.Text, field.Link:
		return field.Is, n.Values, deny
	case field.Multi:
		return field.Has, []string{strings.Join(n.Values, ",")}, deny
	case field.Choice:
		return field.Is, []string{strings.Join(n.Values, ",")}, deny
	case field.User:
		var ids []string
		for _, id := range p.numbers(n.Values) {
			ids = append(ids, strconv.FormatInt(id, 10))
		}
		return field.Is, []string{strings.Join(ids, ",")}, deny
	case field.Date:
		from, to := n.span(p.now)
		if n.Op == OpWithin && n.Values[0] == "past" { // a day is past when it is over
			to = startOfDay(p.now)
		} else if n.Op == OpWithin && n.Values[0] == "future" {
			from = startOfDay(p.now).AddDate(0, 0, 1)
		}
		span := ""
		if !from.IsZero() {
			span = day(from)
		}
		span += ".."
		if !to.IsZero() {
			span += day(to.AddDate(0, 0, -1))
		}
		return field.Between, []string{span}, false
	}
	switch n.Op {
	case OpMin:
		return field.Between, []string{n.Values[0] + ".."}, false
	case OpMax:
		return field.Between, []string{".." + n.Values[0]}, false
	case OpBetween:
		return field.Between, []string{n.Values[0] + ".." + n.Values[1]}, false
	}
	return field.Is, n.Values, deny
}

func (p *plan) custom(a *db.Args, at *Attr, n Node) (string, error) {
	op, values, deny := p.comparison(at.def, n)
	expr, contact := p.id, at.contact != ""
	if contact {
		expr = "x.id"
		if op == field.Empty {
			op, deny = field.Set, true
		}
	}
	var or []string
	for _, v := range values {
		cond, err := field.Where(a, *at.def, expr, op, v)
		if err != nil {
			return "", fmt.Errorf("customer: condition on %s: %w", at.Code, err)
		}
		or = append(or, cond)
	}
	cond := "(" + strings.Join(or, " OR ") + ")"
	if contact {
		cond = "EXISTS (SELECT 1 FROM contacts x WHERE x.customer_id = c.id AND x.active = 1 AND " + cond + ")"
	}
	if deny {
		cond = "NOT " + cond
	}
	return cond, nil
}

// finder is a way to have the customers of one condition from an index, in no
// order. cap is how many it can yield at most; 0 all.
type finder struct {
	ids func(a *db.Args) (string, error)
	cap int
}

// finders are those of the conditions that all must hold.
func (p *plan) finders(n Node) []finder {
	if n.Field == "" {
		var out []finder
		if n.Any == nil || len(n.Any) == 1 {
			for _, x := range append(slices.Clone(n.All), n.Any...) {
				out = append(out, p.finders(x)...)
			}
		}
		return out
	}
	at := p.attrs[n.Field]
	sql := func(f func(a *db.Args) string) []finder {
		return []finder{{ids: func(a *db.Args) (string, error) { return f(a), nil }}}
	}
	switch {
	case at.Kind == KindSegment && n.Op == OpIs && len(n.Values) == 1:
		return p.finders(p.segs[p.numbers(n.Values)[0]])
	case at.def != nil:
		if at.contact != "" {
			return nil
		}
		op, values, deny := p.comparison(at.def, n)
		var a db.Args
		if deny || op == field.Empty || len(values) != 1 {
			return nil
		}
		if _, ok, err := field.Match(&a, *at.def, op, values[0]); !ok || err != nil {
			return nil
		}
		return []finder{{ids: func(a *db.Args) (string, error) {
			sub, _, err := field.Match(a, *at.def, op, values[0])
			return `SELECT record_id AS id FROM (` + sub + `) v`, err
		}}}
	case at.Kind == KindTag && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			return `SELECT customer_id AS id FROM customer_tags WHERE tag_id IN (` + a.AddInts(p.numbers(n.Values)) + `)`
		})
	case at.Code == "parent" && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			return `SELECT id FROM customers WHERE parent_id > 0 AND parent_id IN (` + a.AddInts(p.numbers(n.Values)) + `)`
		})
	case at.Code == "level" && n.Op == OpIs && !slices.Contains(n.Values, string(Normal)):
		return sql(func(a *db.Args) string {
			return `SELECT id FROM customers WHERE level <> 'normal' AND level IN (` + texts(a, n.Values) + `)`
		})
	case (at.Code == "stage" || at.Code == "grade") && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			return `SELECT id FROM customers WHERE ` + at.Code + ` IN (` + texts(a, n.Values) + `)`
		})
	case (at.Code == "owner" || at.Code == "created_by") && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			return `SELECT id FROM customers WHERE ` + strings.TrimPrefix(at.expr, "c.") + ` IN (` + a.AddInts(p.numbers(n.Values)) + `)`
		})
	case at.exact != "" && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			return `SELECT id FROM customers WHERE ` + at.exact + ` IS NOT NULL AND ` + at.exact + ` IN (` + texts(a, n.Values) + `)`
		})
	case at.Code == "name" && n.Op == OpIs:
		return sql(func(a *db.Args) string {
			var keys []string
			for _, v := range n.Values {
				keys = append(keys, nameKey(Company, v), nameKey(Person, v))
			}
			return `SELECT id FROM customers WHERE name_key IN (` + texts(a, keys) + `)`
		})
	case (at.Code == "name" || at.Code == "contact") && n.Op == OpHas && indexed(n.Values[0]):
		return []finder{{cap: search.MaxHits, ids: func(a *db.Args) (string, error) {
			sub, _ := search.Customers.MatchSQL(a, p.s.db().Dialect(), n.Values[0])
			return `SELECT id FROM (` + sub + `) w`, nil
		}}}
	case at.Kind == KindDate && slices.Contains([]string{"created", "verify", "planned"}, at.Code) && n.Op != OpEmpty && n.Op != OpSet:
		return sql(func(a *db.Args) string {
			col := strings.TrimPrefix(at.expr, "c.")
			from, to := n.span(p.now)
			q := `SELECT id FROM customers WHERE ` + col + ` > 0`
			if !from.IsZero() {
				q += ` AND ` + col + ` >= ` + a.Add(db.Micros(from))
			}
			if !to.IsZero() {
				q += ` AND ` + col + ` < ` + a.Add(db.Micros(to))
			}
			return q
		})
	}
	return nil
}

// indexed reports whether the text index finds everything that contains s:
// Chinese of two characters and more is indexed by its pairs.
func indexed(s string) bool {
	s = strings.TrimSpace(s)
	return utf8.RuneCountInString(s) >= 2 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.Is(unicode.Han, r) })
}
