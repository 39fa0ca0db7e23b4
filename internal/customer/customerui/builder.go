package customerui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// The builder of conditions is a form that comes back from the server with each
// step: two levels, groups of conditions. What is typed is in its fields, the
// list it came from in its hidden ones.

// builderView is the page of conditions.
type builderView struct {
	Form    *web.Form
	Groups  []queryGroup
	Modes   []ui.Option
	Hidden  [][2]string
	Count   string
	Problem string
	Deep    bool // the conditions are nested deeper than the page can show
	For     string
	Back    string
	Action  string
	Fit     string // locale key of how many fit
}

type queryGroup struct {
	N     int
	Mode  string // name of the field of its mode
	Conds []condView
	Only  bool // the one group there is
}

// condView is a condition being built.
type condView struct {
	Path    string // "0.1"
	What    string // names of its fields
	How     string
	Value   string
	Add     string
	Fields  []ui.Option
	Ops     []ui.Option
	Input   string // none, text, number, days, date, numbers, dates, one, many, customer
	First   string
	Second  string
	Shown   string // the name of a customer
	Options []ui.Option
	Chosen  []ui.Option
	Error   string
}

var builderPage = ui.NewPage[builderView](files, "builder.html").Sample(builderView{Modes: []ui.Option{{Value: "all", Label: "x"}}, Hidden: [][2]string{{"view", "all"}}, Count: "9", Fit: "customer.query.fit", Action: "/x", Problem: "x", Back: "/x",
	Groups: []queryGroup{{0, "b.m.0", sampleConds(), false}, {1, "b.m.1", nil, false}}}, builderView{Deep: true, For: "segment"})

func sampleConds() (out []condView) {
	for i, in := range []string{"none", "text", "number", "days", "date", "numbers", "dates", "one", "many", "customer", ""} {
		path := "0." + strconv.Itoa(i)
		out = append(out, condView{Path: path, What: "b.f." + path, How: "b.o." + path, Value: "b.v." + path, Add: "b.w." + path, Input: in, First: "1", Second: "2", Error: "x", Options: []ui.Option{{Value: "1", Label: "x"}}, Chosen: []ui.Option{{Value: "2", Label: "y"}}})
	}
	return out
}

// kept are the fields of a list's address that the builder hands on.
var kept = append([]string{"view", "q", "sort", "rows", "for", "segment", "name", "note"}, quick...)

// Builder is the page on which conditions on one kind of record are put
// together. Customers have theirs at /customers/filter.
type Builder struct {
	Action string // its address
	Fit    string // locale key of how many records fit
	Kept   []string
	Groups []string // of attributes, in their order
	Group  string   // prefix of the locale keys of the groups

	Attrs   func(r *web.Request) ([]customer.Attr, error)
	Begin   func(r *web.Request, f *web.Form) (customer.Query, error) // what is changed
	Check   func(r *web.Request, q customer.Query) error
	Count   func(r *web.Request, q customer.Query) (string, error)
	Names   func(r *web.Request) (func(kind customer.AttrKind, value string) string, error)
	Options func(r *web.Request, a customer.Attr) ([]ui.Option, error) // nil: those of the attribute
	Back    func(f *web.Form, q *customer.Query) string                // where it leads; nil: as it came
	Chrome  func(r *web.Request) ui.Chrome
}

func (p *pages) build(w http.ResponseWriter, r *web.Request) error {
	return Builder{Action: "/customers/filter", Fit: "customer.query.fit", Kept: kept, Groups: []string{"profile", "contact", "time", "business", "custom"}, Group: "customer.attr.group.",
		Attrs: func(r *web.Request) ([]customer.Attr, error) { return p.Customers.Attrs(r.Context(), r.Lang) },
		Begin: func(r *web.Request, f *web.Form) (customer.Query, error) {
			st, err := p.listState(r, f)
			return st.query, err
		},
		Check: func(r *web.Request, q customer.Query) error { return p.Customers.CheckQuery(r.Context(), r.Actor, q) },
		Count: func(r *web.Request, q customer.Query) (string, error) {
			counts, err := p.Customers.Counts(r.Context(), r.Actor, []customer.Filter{{Query: q}})
			if err != nil {
				return "", err
			}
			return counted(counts[0]), nil
		},
		Names: p.names, Options: p.optionsOf, Back: p.backOf, Chrome: func(r *web.Request) ui.Chrome { return listChrome(r, r.T("customer.query.title")) },
	}.Serve(w, r)
}

// Serve answers with the page after the step the form asks for.
func (b Builder) Serve(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	var node customer.Node
	deep := false
	if f.Has("b.m") {
		node = built(f)
	} else {
		q, err := b.Begin(r, f)
		if err != nil && !fault.Is(err, fault.Invalid) {
			return err
		}
		if node, deep = flat(q.Node); deep && f.Get("do") != "anew" {
			return builderPage.Render(w, r, b.Chrome(r), builderView{Form: f, Deep: true, Hidden: b.hidden(f), For: f.String("for"), Back: b.Back(f, nil), Action: b.Action, Fit: b.Fit})
		}
	}
	do := f.Get("do")
	node = edited(node, do)
	query := customer.AllOf(trimmed(node))
	if do == "apply" {
		if err := b.Check(r, query); err == nil {
			return r.SeeOther(w, "%s", b.Back(f, &query))
		} else if !fault.Is(err, fault.Invalid) {
			return err
		}
	}
	v, err := b.view(r, f, node)
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "builder" {
		return builderPage.Fragment(w, r, "builder", v)
	}
	return builderPage.Render(w, r, b.Chrome(r), v)
}

// backOf is where the builder leads: with a query, to what it is for.
func (p *pages) backOf(f *web.Form, q *customer.Query) string {
	if f.String("for") == "segment" {
		v := url.Values{}
		for _, k := range []string{"name", "note"} {
			if f.Has(k) && f.String(k) != "" {
				v.Set(k, f.String(k))
			}
		}
		if q != nil {
			v.Set("filter", filterText(*q))
		}
		to := "/customer-segments/new"
		if n := number(f.String("segment")); n > 0 {
			to = "/customer-segments/" + id(n)
		}
		return to + "?" + v.Encode()
	}
	v := url.Values{}
	for _, k := range append([]string{"view", "q", "sort", "rows"}, quick...) {
		if s := f.String(k); s != "" {
			v.Set(k, s)
		}
	}
	if q != nil {
		v.Set("filter", filterText(*q))
	} else if s := f.String("filter"); s != "" {
		v.Set("filter", s)
	}
	return "/customers?" + v.Encode()
}

func (b Builder) hidden(f *web.Form) (out [][2]string) {
	for _, k := range b.Kept {
		if s := f.String(k); s != "" {
			out = append(out, [2]string{k, s})
		}
	}
	return out
}

// flat makes a query two levels of groups; deep reports that it has more.
func flat(n customer.Node) (out customer.Node, deep bool) {
	group := func(x customer.Node) bool { return x.Field == "" }
	// A group of one member is that member.
	for n.Field == "" && len(n.All)+len(n.Any) == 1 {
		only := append(slices.Clone(n.All), n.Any...)[0]
		if !group(only) || !slices.ContainsFunc(append(slices.Clone(only.All), only.Any...), group) && n.Any == nil && only.Any != nil {
			break
		}
		n = only
	}
	if n.Field != "" {
		return customer.Node{All: []customer.Node{{All: []customer.Node{n}}}}, false
	}
	members, any := n.All, false
	if n.Any != nil {
		members, any = n.Any, true
	}
	if len(members) == 0 {
		return customer.Node{All: []customer.Node{{All: []customer.Node{{}}}}}, false
	}
	var groups []customer.Node
	loose := customer.Node{}
	for _, m := range members {
		if !group(m) {
			if any {
				loose.Any = append(loose.Any, m)
			} else {
				loose.All = append(loose.All, m)
			}
			continue
		}
		if slices.ContainsFunc(append(slices.Clone(m.All), m.Any...), group) {
			return out, true
		}
		groups = append(groups, m)
	}
	if len(loose.All)+len(loose.Any) > 0 {
		groups = append([]customer.Node{loose}, groups...)
	}
	if any {
		return customer.Node{Any: groups}, false
	}
	return customer.Node{All: groups}, false
}

// built reads the form into a tree of two levels, unfinished conditions
// included.
func built(f *web.Form) customer.Node {
	type at struct{ i, j int }
	var places []at
	groups := map[int]bool{}
	for name := range f.Values {
		if rest, ok := strings.CutPrefix(name, "b.m."); ok {
			if i, err := strconv.Atoi(rest); err == nil && i >= 0 && i < 50 {
				groups[i] = true
			}
		}
		if rest, ok := strings.CutPrefix(name, "b.f."); ok {
			a, b, _ := strings.Cut(rest, ".")
			i, err1 := strconv.Atoi(a)
			j, err2 := strconv.Atoi(b)
			if err1 == nil && err2 == nil && i >= 0 && i < 50 && j >= 0 && j < 50 {
				places, groups[i] = append(places, at{i, j}), true
			}
		}
	}
	sort.Slice(places, func(a, b int) bool {
		return places[a].i < places[b].i || places[a].i == places[b].i && places[a].j < places[b].j
	})
	var order []int
	for i := range groups {
		order = append(order, i)
	}
	slices.Sort(order)
	var list []customer.Node
	for _, i := range order {
		var conds []customer.Node
		for _, pl := range places {
			if pl.i != i {
				continue
			}
			path := fmt.Sprintf("%d.%d", pl.i, pl.j)
			n := customer.Node{Field: f.String("b.f." + path), Op: customer.Op(f.String("b.o." + path))}
			for _, v := range append(f.Strings("b.v."+path), f.String("b.w."+path)) {
				if v = strings.TrimSpace(v); v != "" && (!slices.Contains(n.Values, v) || n.Op == customer.OpBetween) {
					n.Values = append(n.Values, v)
				}
			}
			conds = append(conds, n)
		}
		if f.String(fmt.Sprintf("b.m.%d", i)) == "any" {
			list = append(list, customer.Node{Any: conds})
		} else {
			list = append(list, customer.Node{All: conds})
		}
	}
	if f.String("b.m") == "any" {
		return customer.Node{Any: list}
	}
	return customer.Node{All: list}
}

// edited does a step of the form: add.<group>, del.<group>.<condition>, group,
// ungroup.<group>.
func edited(n customer.Node, do string) customer.Node {
	groups := append(slices.Clone(n.All), n.Any...)
	word, rest, _ := strings.Cut(do, ".")
	a, b, _ := strings.Cut(rest, ".")
	i, erri := strconv.Atoi(a)
	j, errj := strconv.Atoi(b)
	in := erri == nil && i >= 0 && i < len(groups)
	members := func(g *customer.Node) *[]customer.Node {
		if g.Any != nil {
			return &g.Any
		}
		return &g.All
	}
	switch {
	case word == "add" && in:
		m := members(&groups[i])
		*m = append(slices.Clone(*m), customer.Node{})
	case word == "del" && in && errj == nil:
		if m := members(&groups[i]); j >= 0 && j < len(*m) {
			*m = slices.Delete(slices.Clone(*m), j, j+1)
		}
	case word == "group":
		groups = append(groups, customer.Node{All: []customer.Node{{}}})
	case word == "ungroup" && in:
		groups = slices.Delete(groups, i, i+1)
	}
	if len(groups) == 0 {
		groups = []customer.Node{{All: []customer.Node{{}}}}
	}
	if n.Any != nil {
		return customer.Node{Any: groups}
	}
	return customer.Node{All: groups}
}

// trimmed leaves out conditions nothing was chosen for, and groups of one.
func trimmed(n customer.Node) customer.Node {
	var groups []customer.Node
	for _, g := range append(slices.Clone(n.All), n.Any...) {
		keep := slices.DeleteFunc(append(slices.Clone(g.All), g.Any...), func(c customer.Node) bool { return c.Field == "" })
		switch {
		case len(keep) == 0:
		case len(keep) == 1:
			groups = append(groups, keep[0])
		case g.Any != nil:
			groups = append(groups, customer.Node{Any: keep})
		default:
			groups = append(groups, customer.Node{All: keep})
		}
	}
	switch {
	case len(groups) == 0:
		return customer.Node{}
	case len(groups) == 1:
		return groups[0]
	case n.Any != nil:
		return customer.Node{Any: groups}
	}
	return customer.Node{All: groups}
}

func (b Builder) view(r *web.Request, f *web.Form, n customer.Node) (v builderView, err error) {
	attrs, err := b.Attrs(r)
	if err != nil {
		return v, err
	}
	form := r.Blank()
	v = builderView{Form: form, Hidden: b.hidden(f), For: f.String("for"), Back: b.Back(f, nil), Action: b.Action, Fit: b.Fit,
		Modes: []ui.Option{{Value: "all", Label: r.T("customer.query.all")}, {Value: "any", Label: r.T("customer.query.any")}}}
	var fields []ui.Option
	for _, a := range attrs {
		if a.Kind == customer.KindSegment && v.For == "segment" {
			continue
		}
		fields = append(fields, ui.Option{Value: a.Code, Label: a.Label, Group: r.T(b.Group + a.Group)})
	}
	// Options with one group stand together.
	order := func(label string) int {
		return slices.IndexFunc(b.Groups, func(g string) bool { return r.T(b.Group+g) == label })
	}
	sort.SliceStable(fields, func(i, j int) bool { return order(fields[i].Group) < order(fields[j].Group) })
	mode := func(name string, n customer.Node) {
		if n.Any != nil {
			form.Set(name, "any")
		} else {
			form.Set(name, "all")
		}
	}
	mode("b.m", n)
	groups := append(slices.Clone(n.All), n.Any...)
	names, err := b.Names(r)
	if err != nil {
		return v, err
	}
	finished := true
	for i, g := range groups {
		gv := queryGroup{N: i, Mode: fmt.Sprintf("b.m.%d", i), Only: len(groups) == 1}
		mode(gv.Mode, g)
		for j, c := range append(slices.Clone(g.All), g.Any...) {
			path := fmt.Sprintf("%d.%d", i, j)
			cv := condView{Path: path, What: "b.f." + path, How: "b.o." + path, Value: "b.v." + path, Add: "b.w." + path, Fields: fields}
			form.Set(cv.What, c.Field)
			if k := slices.IndexFunc(attrs, func(a customer.Attr) bool { return a.Code == c.Field }); k >= 0 {
				a := attrs[k]
				if !slices.Contains(a.Ops(), c.Op) {
					c.Op, c.Values = a.Ops()[0], nil
				}
				form.Set(cv.How, string(c.Op))
				for _, o := range a.Ops() {
					cv.Ops = append(cv.Ops, ui.Option{Value: string(o), Label: r.T(o.Words(a.Kind))})
				}
				if err := b.inputOf(r, &cv, a, c, names); err != nil {
					return v, err
				}
				if err := b.Check(r, customer.AllOf(c)); err != nil {
					finished = false
					if e := r.Explain(err); f.Get("do") == "apply" && len(e.Fields) > 0 {
						cv.Error = e.Fields[0].Message
						v.Problem = r.T("customer.query.invalid")
					}
				}
			}
			gv.Conds = append(gv.Conds, cv)
		}
		v.Groups = append(v.Groups, gv)
	}
	if q := customer.AllOf(trimmed(n)); finished {
		if err := b.Check(r, q); err != nil {
			if e := r.Explain(err); len(e.Fields) > 0 {
				v.Problem = e.Fields[0].Message
			}
			return v, nil
		}
		if v.Count, err = b.Count(r, q); err != nil {
			return v, err
		}
	}
	return v, nil
}

// inputOf says how the value of a condition is asked for.
func (b Builder) inputOf(r *web.Request, cv *condView, a customer.Attr, c customer.Node, names func(customer.AttrKind, string) string) error {
	if len(c.Values) > 0 {
		cv.First = c.Values[0]
	}
	if len(c.Values) > 1 {
		cv.Second = c.Values[1]
	}
	pair := c.Op == customer.OpBetween
	switch {
	case slices.Contains([]customer.Op{customer.OpEmpty, customer.OpSet, customer.OpYes, customer.OpNo}, c.Op):
		cv.Input = "none"
		return nil
	case c.Op.Days():
		cv.Input = "days"
		return nil
	case c.Op == customer.OpWithin:
		cv.Input = "one"
		for _, x := range customer.Periods {
			cv.Options = append(cv.Options, ui.Option{Value: x, Label: r.T("customer.period." + x)})
		}
		return nil
	}
	switch a.Kind {
	case customer.KindDate:
		if cv.Input = "date"; pair {
			cv.Input = "dates"
		}
		return nil
	case customer.KindNumber, customer.KindMoney:
		if cv.Input = "number"; pair {
			cv.Input = "numbers"
		}
		return nil
	case customer.KindText:
		cv.Input = "text"
		if c.Op == customer.OpIs || c.Op == customer.OpNot {
			for _, v := range c.Values[min(1, len(c.Values)):] {
				cv.Chosen = append(cv.Chosen, ui.Option{Value: v, Label: v})
			}
		}
		return nil
	case customer.KindCustomer:
		cv.Input = "customer"
		if cv.Shown = names(a.Kind, cv.First); cv.Shown == "" {
			cv.Shown = cv.First
		}
		return nil
	}
	cv.Input = "many"
	var err error
	if cv.Options, err = b.Options(r, a); err != nil {
		return err
	}
	if cv.Options == nil {
		for _, o := range a.Options {
			cv.Options = append(cv.Options, ui.Option{Value: o.Value, Label: o.Label})
		}
	}
	for _, v := range c.Values {
		label := v
		if k := slices.IndexFunc(cv.Options, func(o ui.Option) bool { return o.Value == v }); k >= 0 {
			label = cv.Options[k].Label
		} else if n := names(a.Kind, v); n != "" {
			label = n
		}
		cv.Chosen = append(cv.Chosen, ui.Option{Value: v, Label: label})
	}
	cv.Options = slices.DeleteFunc(cv.Options, func(o ui.Option) bool { return slices.Contains(c.Values, o.Value) })
	return nil
}

// optionsOf are the values that conditions on customers offer.
func (p *pages) optionsOf(r *web.Request, a customer.Attr) (out []ui.Option, err error) {
	switch a.Kind {
	case customer.KindUser:
		if out, err = p.owners(r); err != nil {
			return nil, err
		}
		return append([]ui.Option{{Value: customer.Me, Label: r.T("customer.query.me")}}, out...), nil
	case customer.KindDepartment:
		return p.departments(r)
	case customer.KindTag:
		return p.tagOptions(r)
	case customer.KindSegment:
		list, err := p.Customers.Segments(r.Context())
		for _, g := range list {
			out = append(out, ui.Option{Value: id(g.ID), Label: g.Name})
		}
		return out, err
	}
	return nil, nil
}
