package customerui

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

var _ = ui.AddAssets(files, "list.css")

// listRoutes are the pages of lists: the list itself, its conditions, columns
// and views, segments, bulk changes and exports.
func (p *pages) listRoutes(rt *web.Router) {
	rt.Handle("GET /customers", customer.PermView, p.list)
	rt.Handle("GET /customers/counts", customer.PermView, p.counts)
	rt.Handle("GET /customers/filter", customer.PermView, p.build)
	rt.Handle("GET /customers/columns", customer.PermView, p.columns)
	rt.Handle("POST /customers/columns", customer.PermView, p.setColumns)
	rt.Handle("POST /customers/tags", customer.PermTag, p.bulkTag)
	rt.Handle("GET /customer-views", customer.PermView, p.views)
	rt.Handle("GET /customer-views/new", customer.PermView, p.newView)
	rt.Handle("POST /customer-views", customer.PermView, p.saveView)
	rt.Handle("POST /customer-views/first", customer.PermView, p.firstView)
	rt.Handle("POST /customer-views/{id}/deletion", customer.PermView, p.deleteView)
	rt.Handle("GET /customer-segments", customer.PermView, p.segments)
	rt.Handle("GET /customer-segments/new", customer.PermSegments, p.newSegment)
	rt.Handle("POST /customer-segments", customer.PermSegments, p.saveSegment)
	rt.Handle("GET /customer-segments/{id}", customer.PermSegments, p.editSegment)
	rt.Handle("POST /customer-segments/{id}", customer.PermSegments, p.saveSegment)
	rt.Handle("POST /customer-segments/{id}/deletion", customer.PermSegments, p.deleteSegment)
	rt.Handle("GET /customer-bulks/new", customer.PermTag, p.newBulk)
	rt.Handle("POST /customer-bulks", customer.PermTag, p.startBulk)
	rt.Handle("GET /customer-bulks/{id}", customer.PermView, p.bulk)
	rt.Handle("POST /customer-bulks/{id}/cancellation", customer.PermView, p.cancelBulk)
	rt.Handle("GET /customer-level-changes/{id}", approval.PermUse, p.levels)
	rt.Handle("GET /customer-exports", customer.PermExport, p.exports)
	rt.Handle("GET /customer-exports/new", customer.PermExport, p.newExport)
	rt.Handle("POST /customer-exports", customer.PermExport, p.startExport)
	rt.Handle("GET /customer-exports/{id}", customer.PermExport, p.export)
	rt.Handle("POST /customer-exports/{id}/cancellation", customer.PermExport, p.cancelExport)
	rt.Handle("GET /customer-exports/{id}/file", customer.PermExport, p.exportFile, web.Slow(30*time.Minute))
}

// quick are the simple filters of the list, each a field of its address.
var quick = []string{"type", "level", "stage", "source", "industry", "tag", "owner", "department"}

// state is what a list shows, as its address says it.
type state struct {
	r       *web.Request
	f       *web.Form
	view    customer.SavedView
	query   customer.Query // of the view, or what was built in its place
	own     bool           // query is not that of the view
	columns []string
	filter  customer.Filter
}

// listState takes the state from the address. A filter nobody can make selects
// nothing more.
func (p *pages) listState(r *web.Request, f *web.Form) (st state, err error) {
	st = state{r: r, f: f}
	prefs, err := p.Customers.PrefsOf(r.Context(), r.Actor.ID)
	if err != nil {
		return st, err
	}
	key := f.String("view")
	if key == "" && !f.Has("filter") && r.URL.Path == "/customers" {
		key = prefs.View
	}
	if key == "" {
		key = "all"
	}
	st.view, err = p.Customers.View(r.Context(), r.Actor, key)
	if fault.Is(err, fault.NotFound) {
		st.view, err = p.Customers.View(r.Context(), r.Actor, "all")
	}
	if err != nil {
		return st, err
	}
	st.query = st.view.Query
	if f.Has("filter") {
		st.own = true
		if st.query, err = customer.ParseQuery(f.String("filter")); err != nil {
			return st, err
		}
	}
	st.columns = st.view.Columns
	if st.columns == nil {
		st.columns = prefs.Columns
	}
	st.filter = customer.Filter{Sort: f.String("sort"), After: f.String("after"), Before: f.String("before"), Limit: 25}
	if !slices.Contains(customer.Sorts, st.filter.Sort) {
		st.filter.Sort = st.view.Sort
	}
	switch f.String("rows") {
	case "50", "100", "200":
		st.filter.Limit, _ = strconv.Atoi(f.String("rows"))
	}
	var more []customer.Node
	for _, name := range quick {
		v := f.String(name)
		switch {
		case v == "":
		case name == "owner" && v == "-1":
			more = append(more, customer.Node{Field: name, Op: customer.OpEmpty})
		case (name == "owner" || name == "tag" || name == "department") && number(v) <= 0:
		default:
			more = append(more, customer.Is(name, v))
		}
	}
	simple := customer.AllOf(more...)
	if p.Customers.CheckQuery(r.Context(), r.Actor, simple) != nil {
		simple = customer.Query{}
	}
	st.filter.Query = st.query.And(simple)
	return st, nil
}

// values are the address of the list, without its page; set changes pairs of
// it, "" takes one away.
func (st state) values(set ...string) url.Values {
	q := url.Values{}
	if st.view.Key() != "all" || st.r.URL.Path == "/customers" && st.f.Has("view") {
		q.Set("view", st.view.Key())
	}
	if st.own {
		v := st.query.String()
		if v == "" {
			v = "{}"
		}
		q.Set("filter", v)
	}
	for _, k := range append([]string{"q", "sort", "rows"}, quick...) {
		if s := st.f.String(k); s != "" {
			q.Set(k, s)
		}
	}
	for i := 0; i+1 < len(set); i += 2 {
		if q.Del(set[i]); set[i+1] != "" {
			q.Set(set[i], set[i+1])
		}
	}
	return q
}

func (st state) href(path string, set ...string) string {
	if q := st.values(set...).Encode(); q != "" {
		return path + "?" + q
	}
	return path
}

// narrowed reports whether more than the view is asked for.
func (st state) narrowed() bool {
	return st.own || st.f.String("q") != "" || slices.ContainsFunc(quick, func(k string) bool { return st.f.String(k) != "" })
}

// cell is one column of a customer.
type cell struct {
	Code  string // tells how it is drawn; "" text
	Label string // for screens without a heading
	Text  string
	At    time.Time
	Right bool
	Href  string
}

// drawn are the columns that have a look of their own.
var drawn = []string{"name", "contact", "level", "grade", "stage", "tags", "owner", "open_tickets", "verify", "planned"}

type listRow struct {
	customer.Found
	Cells []cell
	Tick  bool // it can be chosen for what is done with many
}

// Key makes a row be drawn anew only when something shown in it has changed.
func (r listRow) Key() any {
	var b []byte
	add := func(ss ...string) {
		for _, s := range ss {
			b = append(append(b, s...), 0)
		}
	}
	num := func(ns ...int64) {
		for _, n := range ns {
			b = append(strconv.AppendInt(b, n, 36), 0)
		}
	}
	p := r.Primary()
	num(r.ID, p.ID, r.OpenTickets, r.TotalTickets, int64(db.Bool(r.Tick)))
	add(r.Name, r.By, r.Number, string(r.Type), r.Source, p.Name, p.Gender, p.Phone, string(r.Level), r.Grade, string(r.Stage), r.OwnerName, r.DepartmentName)
	for _, t := range r.Tags {
		add(t.Colour, t.Name)
	}
	for _, c := range r.Cells {
		add(c.Code, c.Label, c.Text, c.Href)
		num(db.Micros(c.At), int64(db.Bool(c.Right)))
	}
	return string(b)
}

type tab struct {
	Key, Name, Href string
	Count           string
	Current         bool
}

// listView is the page of all customers.
type listView struct {
	Rows     []listRow
	Headings []customer.Column
	Tabs     []tab
	Lazy     string // address that answers the tabs with their counts; "" they have them
	Searched bool
	Named    string // address of all whose name holds what was searched for; "": all that was found is shown
	Filtered bool
	Filter   *web.Form
	Bulk     *web.Form // of the choice of a tag; always empty
	Back     string    // where the list comes back to after a bulk change
	Pager    ui.Pager
	Further  string // where a search that has passed enough goes on; "" it is finished
	Count    string
	Many     bool     // there are more than this page shows
	Says     []string // the conditions in words
	Problem  string   // the filter cannot be used
	HasQuery bool     // the view or the address has conditions of their own
	View     customer.SavedView
	Own      string // the filter in the address; "" that of the view
	CanNew   bool
	CanTag   bool
	Together []PageAction
	CanEdit  bool
	CanMove  bool   // export
	Twins    string // how many suspected duplicates wait for the reader; "" none
	// Addresses with the same state.
	ToFilter, ToColumns, ToView, ToExport, ToAll, ToClear string

	Types, Levels, Stages, Sources, Industries, Tags, Owners, Departments, Sorts []ui.Option
}

// Reach is how many customers a page passes while it looks.
func (listView) Reach() int { return customer.Reach }

var sampleRow = listRow{Tick: true, Found: sample, Cells: []cell{{Code: "name", Text: "x"}, {Code: "contact"}, {Code: "level"}, {Code: "grade"}, {Code: "stage"}, {Code: "tags"}, {Code: "owner"}, {Code: "open_tickets", Right: true},
	{Code: "time", At: time.Unix(1.7e9, 0), Label: "x"}, {Code: "verify", At: time.Unix(1.7e9, 0), Label: "x"}, {Text: "x", Label: "x"}, {Text: "x", Href: "https://a.cn", Label: "x"}}}

var listPage = ui.NewPage[listView](files, "list.html").Sample(
	listView{Rows: []listRow{sampleRow}, Headings: []customer.Column{{Code: "name", Label: "x"}, {Code: "tickets", Label: "y", Right: true}}, CanNew: true, CanTag: true, CanEdit: true, CanMove: true, Together: []PageAction{{"/x", "external", "customer.nav", "", false}}, Twins: "3", Tags: []ui.Option{{Value: "1", Label: "x"}},
		Pager: ui.Pager{Next: "/x"}, Tabs: []tab{{"all", "x", "/x", "9", true}, {"2", "y", "/y", "", false}}, Lazy: "/x", Count: "999+", Many: true, Says: []string{"a", "b"}, Own: "{}", ToAll: "/x", HasQuery: true},
	listView{Rows: []listRow{sampleRow}, Searched: true, Named: "/x"},
	listView{Searched: true, CanNew: true}, listView{Filtered: true}, listView{Filtered: true, Further: "/x"}, listView{Problem: "x"})

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st, err := p.listState(r, f)
	v := listView{Filter: f, CanNew: r.Actor.Can(customer.PermCreate), CanTag: r.Actor.Can(customer.PermTag), CanEdit: r.Actor.Can(customer.PermEdit), CanMove: r.Actor.Can(customer.PermExport)}
	for _, x := range p.Together {
		if r.Actor.Can(x.Perm) {
			v.Together = append(v.Together, x)
		}
	}
	if err == nil {
		err = p.fill(r, st, &v)
	}
	if e, ok := fault.As(err); ok && e.Kind == fault.Invalid {
		x := r.Explain(err)
		v.Problem = x.Message
		if len(x.Fields) > 0 {
			v.Problem = x.Fields[0].Message
		}
	} else if err != nil {
		return err
	}
	if v.Tags, err = p.tagOptions(r); err != nil {
		return err
	}
	v.View, v.Back = st.view, r.URL.RequestURI()
	v.ToFilter, v.ToColumns, v.ToView, v.ToExport = st.href("/customers/filter"), st.href("/customers/columns"), st.href("/customer-views/new"), st.href("/customer-exports/new")
	v.ToClear = "/customers?view=" + st.view.Key()
	if r.IsFragment() && r.Target() == "rows" {
		return listPage.Fragment(w, r, "rows", v)
	}
	if st.own {
		v.Own = st.values().Get("filter")
	}
	if v.Tabs, err = p.tabs(r, st, false); err != nil {
		return err
	}
	v.Lazy = st.href("/customers/counts")
	if v.Twins, err = p.suspicions(r); err != nil {
		return err
	}
	v.Types = options(r, "customer.type.", customer.Types)
	v.Levels = options(r, "customer.level.", customer.Levels)
	v.Stages = options(r, "customer.stage.", customer.Stages)
	v.Sources = options(r, "customer.source.", customer.Sources)
	v.Industries = industries(r, true)
	v.Sorts = options(r, "customer.sort.", customer.Sorts)
	if f.String("sort") == "" && st.view.Sort != "" {
		f.Set("sort", st.view.Sort)
	}
	if v.Owners, err = p.owners(r); err != nil {
		return err
	}
	v.Owners = append([]ui.Option{{Value: "-1", Label: r.T("customer.owner.none")}}, v.Owners...)
	if v.Departments, err = p.departments(r); err != nil {
		return err
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("customer.list.title"), Nav: "customers", Assets: []string{"customer.css", "list.css"}}, v)
}

// likeliest is how many a search shows while it is typed; who wants all of a
// name goes on to a list that can be paged.
const likeliest = 10

// fill loads the rows of the list.
func (p *pages) fill(r *web.Request, st state, v *listView) error {
	ctx, sc := r.Context(), customer.View(r.Actor)
	columns, err := p.Customers.Chosen(ctx, r.Lang, st.columns)
	if err != nil {
		return err
	}
	v.Headings = columns
	v.Filtered, v.HasQuery = st.narrowed() || !st.query.Empty(), !st.query.Empty()
	if v.Says, err = p.says(r, st.query); err != nil {
		return err
	}
	var found []customer.Found
	if q := st.f.String("q"); q != "" {
		v.Searched = true
		if found, err = p.Customers.Find(ctx, sc, q, likeliest+1, st.filter); err != nil {
			return err
		}
		if len(found) > likeliest {
			found = found[:likeliest]
			named := customer.Node{Any: []customer.Node{{Field: "name", Op: customer.OpHas, Values: []string{q}}, {Field: "contact", Op: customer.OpHas, Values: []string{q}}}}
			v.Named = "/customers?" + url.Values{"filter": {filterText(st.filter.Whole().And(customer.AllOf(named)))}}.Encode()
		}
	} else {
		page, err := p.Customers.List(ctx, sc, st.filter)
		if err != nil {
			return err
		}
		for _, x := range page.Rows {
			found = append(found, customer.Found{Row: x})
		}
		if page.Prev != "" {
			v.Pager.Prev = st.href("/customers", "before", page.Prev)
		}
		if page.Next != "" {
			v.Pager.Next = st.href("/customers", "after", page.Next)
		}
		if page.Unfinished {
			v.Further = v.Pager.Next
			if st.filter.Before != "" {
				v.Further = v.Pager.Prev
			}
		} else { // counting would take as long as finishing
			n, err := p.Customers.Counts(ctx, r.Actor, []customer.Filter{st.filter})
			if err != nil {
				return err
			}
			v.Count = counted(n[0])
		}
		if v.Many = page.Prev != "" || page.Next != ""; v.Many {
			v.ToAll = "/customer-bulks/new?" + url.Values{"all": {"1"}, "filter": {filterText(st.filter.Whole())}, "back": {r.URL.RequestURI()}}.Encode()
		}
	}
	rows := make([]customer.Row, len(found))
	for i, x := range found {
		rows[i] = x.Row
	}
	lines, err := p.Customers.Lines(ctx, sc, r.Lang, rows, columns)
	if err != nil {
		return err
	}
	for i, x := range found {
		v.Rows = append(v.Rows, listRow{x, cells(columns, &lines[i]), v.CanTag || v.CanEdit})
	}
	return nil
}

func filterText(q customer.Query) string {
	if s := q.String(); s != "" {
		return s
	}
	return "{}"
}

func cells(columns []customer.Column, l *customer.Line) []cell {
	out := make([]cell, len(columns))
	for i, c := range columns {
		x := cell{Label: c.Label, Right: c.Right}
		switch v := c.Value(l).(type) {
		case string:
			x.Text = v
		case int64:
			x.Text = strconv.FormatInt(v, 10)
		case float64:
			x.Text = strconv.FormatFloat(v, 'f', -1, 64)
		case time.Time:
			x.Code, x.At = "time", v
		}
		switch {
		case c.Custom():
			if x.Text = c.Text(l); c.Link() && x.Text != "" {
				x.Href = x.Text
			}
		case c.Link():
			x.Href = x.Text
		case slices.Contains(drawn, c.Code):
			x.Code = c.Code
			switch c.Code {
			case "verify":
				x.At = l.VerifyAt
			case "planned":
				x.At = l.PlannedAt
			}
		}
		out[i] = x
	}
	return out
}

// counted is a count as it is shown: those that reach the limit say so.
func counted(n int) string {
	switch {
	case n < 0:
		return ""
	case n >= 1000:
		return "999+"
	}
	return strconv.Itoa(n)
}

// tabs are the views the reader has; with counts they cost some queries.
func (p *pages) tabs(r *web.Request, st state, counts bool) ([]tab, error) {
	saved, err := p.Customers.Views(r.Context(), r.Actor)
	if err != nil {
		return nil, err
	}
	all := append(slices.Clone(customer.Offered), saved...)
	out := make([]tab, len(all))
	fs := make([]customer.Filter, len(all))
	for i, v := range all {
		name := v.Name
		if v.Code != "" {
			name = r.T("customer.view." + v.Code)
		}
		out[i] = tab{Key: v.Key(), Name: name, Href: "/customers?view=" + v.Key(), Current: v.Key() == st.view.Key()}
		fs[i] = customer.Filter{Query: v.Query, Sort: v.Sort}
	}
	if !counts {
		return out, nil
	}
	ns, err := p.Customers.Counts(r.Context(), r.Actor, fs)
	if err != nil {
		return nil, err
	}
	for i, n := range ns {
		out[i].Count = counted(n)
	}
	return out, nil
}

// counts answers the tabs with their counts, which the page does not wait for.
func (p *pages) counts(w http.ResponseWriter, r *web.Request) error {
	st, err := p.listState(r, r.Input())
	if err != nil && !fault.Is(err, fault.Invalid) {
		return err
	}
	v := listView{Filter: st.f}
	if v.Tabs, err = p.tabs(r, st, true); err != nil {
		return err
	}
	return listPage.Fragment(w, r, "tabs", v)
}

// says are the conditions of a query in words, one for each member of the first
// group.
func (p *pages) says(r *web.Request, q customer.Query) ([]string, error) {
	if q.Empty() {
		return nil, nil
	}
	names, err := p.names(r)
	if err != nil {
		return nil, err
	}
	members := q.All
	if members == nil {
		members = []customer.Node{q.Node}
	}
	var out []string
	for _, m := range members {
		s, err := p.Customers.Words(r.Context(), r.Lang, customer.AllOf(m), names)
		if err != nil {
			return nil, err
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

// names says who and what is meant by the ids in conditions.
func (p *pages) names(r *web.Request) (func(kind customer.AttrKind, v string) string, error) {
	user, department, err := p.Org.Names(r.Context())
	if err != nil {
		return nil, err
	}
	return func(kind customer.AttrKind, v string) string {
		n := number(v)
		switch kind {
		case customer.KindUser:
			return user(n)
		case customer.KindDepartment:
			return department(n)
		case customer.KindCustomer:
			if c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n); err == nil {
				return c.Name
			}
		case customer.KindSegment:
			if g, err := p.Customers.Segment(r.Context(), n); err == nil {
				return g.Name
			}
		case customer.KindTag:
			tags, _ := p.Customers.TagList(r.Context())
			for _, t := range tags {
				if t.ID == n {
					return t.Name
				}
			}
		}
		return ""
	}, nil
}

func (p *pages) bulkTag(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	ids, tag := f.IDs("id"), f.ID("tag")
	if err := f.Err(); err != nil {
		return err
	}
	var tags []int64
	if tag != 0 {
		tags = []int64{tag}
	}
	add, remove := tags, []int64(nil)
	if f.Get("do") == "remove" {
		add, remove = nil, tags
	}
	n, err := p.Customers.SetTags(r.Context(), r.Actor, ids, add, remove)
	if err != nil {
		e := r.Explain(err)
		if e.Status >= 500 {
			return err
		}
		r.Flash(w, "red", "customer.flash.sentence", e.Message)
	} else {
		r.Flash(w, "green", "customer.tag.bulk.done", n)
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/customers"))
}

func listChrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	c := chrome(r, title, crumbs...)
	c.Assets = append(c.Assets, "list.css")
	return c
}

// columns is where the columns of the list are chosen.
func (p *pages) columns(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st, err := p.listState(r, f)
	if err != nil {
		return err
	}
	codes := st.columns
	if f.Has("cols") {
		codes = strings.Split(f.String("cols"), ",")
	}
	chosen, err := p.Customers.Chosen(r.Context(), r.Lang, codes)
	if err != nil {
		return err
	}
	all, err := p.Customers.Columns(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	c := ColumnChooser{Action: "/customers/columns", Back: st.href("/customers"), Group: "customer.attr.group.", Says: r.T("customer.columns.mine"),
		To: func(codes []string) string { return st.href("/customers/columns", "cols", strings.Join(codes, ",")) }}
	if st.view.MayChange(r.Actor) {
		c.Says = r.T("customer.columns.of_view", st.view.Name)
	}
	for _, x := range chosen {
		c.Codes = append(c.Codes, x.Code)
	}
	for _, x := range all {
		c.All = append(c.All, ColumnOption{x.Code, x.Label, x.Group})
	}
	return c.Render(w, r, listChrome(r, r.T("customer.columns")))
}

// setColumns keeps the columns: with the view when it is the reader's to change,
// else as what he likes everywhere.
func (p *pages) setColumns(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	back := web.SafeNext(f.Get("back"), "/customers")
	var codes []string
	if f.Get("do") != "reset" {
		codes = strings.Split(f.String("cols"), ",")
	}
	to, err := url.Parse(back)
	if err != nil {
		return err
	}
	if key := to.Query().Get("view"); key != "" {
		v, err := p.Customers.View(r.Context(), r.Actor, key)
		if err == nil && v.MayChange(r.Actor) {
			v.Columns = codes
			if _, err := p.Customers.SaveView(r.Context(), r.Actor, v); err != nil {
				return err
			}
			return r.SeeOther(w, "%s", back)
		}
	}
	prefs, err := p.Customers.PrefsOf(r.Context(), r.Actor.ID)
	if err != nil {
		return err
	}
	prefs.Columns = codes
	if err := p.Customers.SetPrefs(r.Context(), r.Actor, prefs); err != nil {
		return err
	}
	return r.SeeOther(w, "%s", back)
}

// The views.

type viewsView struct {
	Rows []viewRow
	Form *web.Form
}

type viewRow struct {
	customer.SavedView
	Says   string
	Href   string
	Delete bool
	First  bool
}

type viewView struct {
	Form     *web.Form
	Says     []string
	Filter   string
	Sort     string
	Columns  string
	Changes  customer.SavedView // the view that may be changed instead; ID 0 none
	CanShare bool
	CanKeep  bool // as a segment
	Segment  string
	Back     string
}

var (
	viewsPage = ui.NewPage[viewsView](files, "views.html").Sample(viewsView{Rows: []viewRow{{customer.SavedView{Code: "all", Name: "x"}, "", "/x", false, true},
		{customer.SavedView{ID: 3, Name: "x", Owner: "y", Shared: true}, "x", "/x", true, false}}}, viewsView{})
	viewPage = ui.NewPage[viewView](files, "view.html").Sample(viewView{Says: []string{"x"}, Changes: customer.SavedView{ID: 3, Name: "x"}, CanShare: true, CanKeep: true, Segment: "/x"}, viewView{})
)

func (p *pages) views(w http.ResponseWriter, r *web.Request) error {
	prefs, err := p.Customers.PrefsOf(r.Context(), r.Actor.ID)
	if err != nil {
		return err
	}
	saved, err := p.Customers.Views(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v := viewsView{Form: r.Blank()}
	for _, x := range append(slices.Clone(customer.Offered), saved...) {
		if x.Code != "" {
			x.Name = r.T("customer.view." + x.Code)
		}
		row := viewRow{SavedView: x, Href: "/customers?view=" + x.Key(), Delete: x.MayChange(r.Actor), First: x.Key() == prefs.View || prefs.View == "" && x.Key() == "all"}
		says, err := p.says(r, x.Query)
		if err != nil {
			return err
		}
		row.Says = strings.Join(says, r.T("customer.query.and"))
		v.Rows = append(v.Rows, row)
	}
	return viewsPage.Render(w, r, listChrome(r, r.T("customer.views")), v)
}

func (p *pages) viewForm(r *web.Request, f *web.Form, st state) (v viewView, err error) {
	v = viewView{Form: f, Filter: filterText(st.filter.Query), Sort: st.filter.Sort, Columns: strings.Join(st.columns, ","), CanShare: r.Actor.Can(customer.PermShareViews),
		CanKeep: r.Actor.Can(customer.PermSegments) && !st.filter.Query.Empty(), Back: st.href("/customers")}
	v.Segment = "/customer-segments/new?" + url.Values{"filter": {v.Filter}}.Encode()
	if st.view.MayChange(r.Actor) && st.narrowed() {
		v.Changes = st.view
	}
	v.Says, err = p.says(r, st.filter.Query)
	return v, err
}

func (p *pages) newView(w http.ResponseWriter, r *web.Request) error {
	st, err := p.listState(r, r.Input())
	if err != nil {
		return err
	}
	v, err := p.viewForm(r, r.Blank(), st)
	if err != nil {
		return err
	}
	return viewPage.Render(w, r, listChrome(r, r.T("customer.view.save")), v)
}

func (p *pages) saveView(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st, err := p.listState(r, f)
	if err != nil {
		return err
	}
	v := customer.SavedView{Name: f.String("name"), Query: st.query, Sort: f.String("keep_sort"), Shared: f.Bool("shared")}
	if c := f.String("columns"); c != "" {
		v.Columns = strings.Split(c, ",")
	}
	if f.Get("do") == "change" {
		old, err := p.Customers.View(r.Context(), r.Actor, f.String("changes"))
		if err != nil {
			return err
		}
		v.ID, v.Version, v.Name, v.Shared = old.ID, old.Version, old.Name, old.Shared
	}
	id, err := p.Customers.SaveView(r.Context(), r.Actor, v)
	if err != nil {
		form, ferr := p.viewForm(r, f, st)
		if ferr != nil {
			return ferr
		}
		return viewPage.Invalid(w, r, err, f, listChrome(r, r.T("customer.view.save")), form)
	}
	key := strconv.FormatInt(id, 10)
	if f.Bool("first") {
		prefs, err := p.Customers.PrefsOf(r.Context(), r.Actor.ID)
		if err != nil {
			return err
		}
		prefs.View = key
		if err := p.Customers.SetPrefs(r.Context(), r.Actor, prefs); err != nil {
			return err
		}
	}
	r.Flash(w, "green", "customer.view.saved", v.Name)
	return r.SeeOther(w, "/customers?view=%s", key)
}

func (p *pages) firstView(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	prefs, err := p.Customers.PrefsOf(r.Context(), r.Actor.ID)
	if err != nil {
		return err
	}
	prefs.View = f.String("view")
	if err := p.Customers.SetPrefs(r.Context(), r.Actor, prefs); err != nil {
		return err
	}
	return r.SeeOther(w, "/customer-views")
}

func (p *pages) deleteView(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.DeleteView(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "customer.view.deleted")
	return r.SeeOther(w, "/customer-views")
}

// The segments.

type segmentsView struct {
	Rows    []segmentRow
	CanEdit bool
}

type segmentRow struct {
	customer.Segment
	Says  string
	Count string
	Href  string
}

type segmentView struct {
	Form    *web.Form
	ID      int64
	Says    []string
	Filter  string
	Problem string
	Build   string // address of the page of its conditions
}

var (
	segmentsPage = ui.NewPage[segmentsView](files, "segments.html").Sample(segmentsView{Rows: []segmentRow{{customer.Segment{ID: 1, Name: "x", Note: "y", CreatedByName: "z", UpdatedAt: time.Unix(1.7e9, 0)}, "x", "3", "/x"}}, CanEdit: true}, segmentsView{CanEdit: true}, segmentsView{})
	segmentPage  = ui.NewPage[segmentView](files, "segment.html").Sample(segmentView{Says: []string{"x"}, ID: 3, Build: "/x"}, segmentView{Problem: "x"})
)

func (p *pages) segments(w http.ResponseWriter, r *web.Request) error {
	list, err := p.Customers.Segments(r.Context())
	if err != nil {
		return err
	}
	fs := make([]customer.Filter, len(list))
	for i, g := range list {
		fs[i] = customer.Filter{SegmentID: g.ID}
	}
	counts, err := p.Customers.Counts(r.Context(), r.Actor, fs)
	if err != nil {
		return err
	}
	v := segmentsView{CanEdit: r.Actor.Can(customer.PermSegments)}
	for i, g := range list {
		says, err := p.says(r, g.Query)
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, segmentRow{g, strings.Join(says, r.T("customer.query.and")), counted(counts[i]),
			"/customers?" + url.Values{"filter": {customer.AllOf(customer.Is("segment", id(g.ID))).String()}}.Encode()})
	}
	return segmentsPage.Render(w, r, listChrome(r, r.T("customer.segments")), v)
}

func (p *pages) segmentForm(r *web.Request, f *web.Form, n int64, q customer.Query) (segmentView, error) {
	v := segmentView{Form: f, ID: n, Filter: filterText(q), Build: "/customers/filter?" + url.Values{"filter": {filterText(q)}, "for": {"segment"}, "segment": {id(n)}, "name": {f.String("name")}, "note": {f.String("note")}}.Encode()}
	var err error
	v.Says, err = p.says(r, q)
	v.Problem = f.Error("filter")
	return v, err
}

func (p *pages) newSegment(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q, err := customer.ParseQuery(f.String("filter"))
	if err != nil {
		return err
	}
	v, err := p.segmentForm(r, f, 0, q)
	if err != nil {
		return err
	}
	return segmentPage.Render(w, r, segmentChrome(r, r.T("customer.segment.new")), v)
}

func segmentChrome(r *web.Request, title string) ui.Chrome {
	return listChrome(r, title, ui.Crumb{Label: r.T("customer.segments"), Href: "/customer-segments"})
}

func (p *pages) editSegment(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	g, err := p.Customers.Segment(r.Context(), n)
	if err != nil {
		return err
	}
	f := r.Input()
	if f.Has("filter") {
		if g.Query, err = customer.ParseQuery(f.String("filter")); err != nil {
			return err
		}
	}
	for k, v := range map[string]string{"name": g.Name, "note": g.Note} {
		if !f.Has(k) {
			f.Set(k, v)
		}
	}
	f.Set("version", g.Version)
	v, err := p.segmentForm(r, f, n, g.Query)
	if err != nil {
		return err
	}
	return segmentPage.Render(w, r, segmentChrome(r, g.Name), v)
}

func (p *pages) saveSegment(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	g := customer.Segment{Name: f.String("name"), Note: f.String("note"), Version: f.Int64("version")}
	if r.PathValue("id") != "" {
		n, err := r.PathID("id")
		if err != nil {
			return err
		}
		g.ID = n
	}
	var err error
	if g.Query, err = customer.ParseQuery(f.String("filter")); err == nil {
		_, err = p.Customers.SaveSegment(r.Context(), r.Actor, g)
	}
	if err != nil {
		v, ferr := p.segmentForm(r, f, g.ID, g.Query)
		if ferr != nil {
			return ferr
		}
		if e := r.Explain(err); len(e.Fields) > 0 && strings.HasPrefix(e.Fields[0].Field, "filter") {
			v.Problem = e.Fields[0].Message
		}
		return segmentPage.Invalid(w, r, err, f, segmentChrome(r, r.T("customer.segments")), v)
	}
	r.Flash(w, "green", "customer.segment.saved", g.Name)
	return r.SeeOther(w, "/customer-segments")
}

func (p *pages) deleteSegment(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.DeleteSegment(r.Context(), r.Actor, n); err != nil {
		e := r.Explain(err)
		if e.Status >= 500 {
			return err
		}
		r.Flash(w, "red", "customer.flash.sentence", e.Message)
	} else {
		r.Flash(w, "green", "customer.segment.deleted")
	}
	return r.SeeOther(w, "/customer-segments")
}
