package ticketui

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// workspace is the whole page.
type workspace struct {
	Groups    []viewGroup
	Queue     queue
	Form      *web.Form // search and filter, as they were typed
	Pane      *pane     // the ticket that is open; nil: none
	Tabs      tabsView  // the tickets he has open
	Bulk      bool      // he may do something with many at once
	Drag      bool      // and give them to somebody by dragging
	CanCreate bool
	Outbox    []ticket.Unsent // the reader's messages on their way, when no ticket is open
	untouched bool            // nothing in the filter is set

	Types, Classes, Categories, Priorities, Urgencies, Channels, Levels, Departments, People, Shares, Stages, Tags []ui.Option
}

// sidebar is the list of views.
type sidebar struct{ Groups []viewGroup }

// Sidebar is what stands on the left.
func (w workspace) Sidebar() sidebar { return sidebar{w.Groups} }

// Key makes the list be drawn anew only when something in it has changed.
func (s sidebar) Key() any {
	var b strings.Builder
	for _, g := range s.Groups {
		b.WriteString(g.Title)
		b.WriteString(g.Keep)
		for _, v := range g.Views {
			fmt.Fprint(&b, "\x00", v.Href, "\x00", v.Name, "\x00", v.Count, v.Alert, v.Current)
		}
	}
	return b.String()
}

// panel is the filter of the queue.
type panel struct {
	Form *web.Form

	Types, Classes, Categories, Priorities, Urgencies, Channels, Levels, Departments, People, Shares, Stages, Tags []ui.Option

	key any
}

// Key makes an empty panel be drawn once for all who are offered the same.
func (p panel) Key() any { return p.key }

// Panel is the filter as it was filled in.
func (w workspace) Panel() panel {
	p := panel{Form: w.Form, Types: w.Types, Classes: w.Classes, Categories: w.Categories, Priorities: w.Priorities, Urgencies: w.Urgencies, Channels: w.Channels,
		Levels: w.Levels, Departments: w.Departments, People: w.People, Shares: w.Shares, Stages: w.Stages, Tags: w.Tags}
	if w.untouched {
		p.key = offered(w.Categories, w.Departments, w.People, w.Shares, w.Stages, w.Tags)
	}
	return p
}

// offered names what lists of options hold.
func offered(lists ...[]ui.Option) string {
	var b strings.Builder
	for _, l := range lists {
		for _, o := range l {
			b.WriteString(o.Value)
			b.WriteByte(0)
			b.WriteString(o.Label)
			b.WriteByte(0)
			b.WriteString(o.Group)
			b.WriteByte(1)
		}
		b.WriteByte(2)
	}
	return b.String()
}

type viewGroup struct {
	Title string
	Keep  string // address where its views are kept; "" nowhere
	Views []viewLink
}

type viewLink struct {
	Href, Icon, Name, Count string
	Alert, Current          bool
	Saved                   int64 // id of an own view; 0: built in
	Kept                    bool  // somebody has saved it
}

type queue struct {
	View, Saved string // what the form sends along
	Title       string
	Count       string
	Narrowed    bool   // by search or filter
	Self        string // address of this list
	Clear       string // address without search and filter
	Next        string // address of what follows; "" at the end
	Sort        ticket.Sort
	Sorts       []sortLink
	Keeps       string   // name of the view whose order can be kept as the reader's own; "" it is kept
	Says        []string // the conditions in words
	ToFilter    string   // address where they are changed
	ToExport    string   // address of its export; "" he may not
	ToColumns   string   // address where its columns are chosen
	Fields      string   // the filter panel as it has to look, as a query
	Again       string   // name of the reader's own view the conditions may be saved into; "" none
	Filter      string   // the conditions as the form sends them along; "" those of the view
	Rows        []row
	Heads       []heading // of the columns the reader has chosen; nil: the product's rows
	Lines       []lineRow // Rows with those columns
	Wide        bool      // many columns
}

type sortLink struct {
	Name, Href string
	Current    bool
	Sort       ticket.Sort
}

type row struct {
	ticket.Row
	Href    string
	Current bool
	Over    bool   // he had put it off, and it is back
	Until   int64  // he has put it off until then, µs
	Labels  string // its tags: colour and name of each, with zero bytes between; a row is compared as a whole
}

// Chips are the tags of the row, at most three.
func (r row) Chips() (out []ticket.Tag) {
	parts := strings.Split(r.Labels, "\x00")
	for i := 0; i+1 < len(parts) && len(out) < shownTags; i += 2 {
		out = append(out, ticket.Tag{Colour: parts[i], Name: parts[i+1]})
	}
	return out
}

// MoreTags is how many tags more there are.
func (r row) MoreTags() int { return max(0, strings.Count(r.Labels, "\x00")/2-shownTags) }

// shownTags is how many a row shows.
const shownTags = 3

// PutOff is until when the ticket is put off.
func (r row) PutOff() time.Time { return db.FromMicros(r.Until) }

// selection is what the address says about the queue.
type selection struct {
	filter   ticket.Filter
	form     *web.Form
	saved    []ticket.SavedView // all own views; nil until somebody asks for them
	view     string
	own      int64 // id of the own view shown; 0: none
	name     string
	keep     url.Values // what links carry along
	narrow   bool
	arranged map[string]ticket.Arrangement // what the reader has chosen
	columns  []string                      // codes; nil the product's rows
}

// orderKey names the view whose order is meant.
func orderKey(s selection) string {
	if s.own != 0 {
		return id(s.own)
	}
	return s.view
}

// narrowing are the fields of the filter panel.
var narrowing = []string{"type", "class", "category", "priority", "urgency", "channel", "level", "department", "assignee", "stage", "tag", "from", "to"}

// standard is the view somebody begins with.
func standard(r *web.Request) string {
	switch {
	case r.Actor.Can(ticket.PermHandle):
		return "mine"
	case r.Actor.Can(ticket.PermCreate):
		return "created"
	}
	return "all"
}

// selected reads the address. What it does not understand it leaves out: a
// queue is shown in any case.
func (p *pages) selected(r *web.Request) (selection, error) {
	f := r.Blank()
	f.Values = r.URL.Query()
	return p.selection(r, f)
}

func (p *pages) selection(r *web.Request, f *web.Form) (s selection, err error) {
	s.form, s.keep = f, url.Values{}
	typed := f.Has("type") // the panel was sent, even if all of it is empty
	s.view = f.String("view")
	if !slices.ContainsFunc(ticket.BuiltIns, func(v ticket.BuiltIn) bool {
		return v.Key == s.view && (v.Perm == "" || r.Actor.Can(v.Perm))
	}) {
		s.view = standard(r)
	}
	if own, _ := strconv.ParseInt(f.String("saved"), 10, 64); own > 0 {
		if s.saved, err = p.Tickets.SavedViews(r.Context(), r.Actor); err != nil {
			return s, err
		}
		for _, v := range s.saved {
			if v.ID != own {
				continue
			}
			s.own, s.name, s.view = v.ID, v.Name, v.Filter.View
			s.filter = v.Filter
			if !typed { // shown as it was saved
				fill(f, v.Filter, r)
			}
		}
	}
	if s.name == "" {
		s.name = r.T("ticket.view." + s.view)
	}
	code := func(name string, codes []string) string {
		if v := f.String(name); slices.Contains(codes, v) {
			return v
		}
		return ""
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(f.String(name), 10, 64); return max(n, 0) }
	from, to := f.Date("from"), f.Date("to")
	if !to.IsZero() {
		to = to.AddDate(0, 0, 1)
	}
	s.filter = ticket.Filter{View: s.view, Type: code("type", ticket.Types), Class: code("class", ticket.Classes), Category: number("category"),
		Priority: code("priority", ticket.Priorities), Urgency: code("urgency", ticket.Urgencies), Channel: code("channel", ticket.Channels),
		Level: code("level", ticket.Levels), Department: number("department"), Assignee: number("assignee"), Tag: number("tag"),
		From: db.Micros(from), To: db.Micros(to), Text: f.String("q"), Sort: ticket.Sort(f.String("sort")), After: f.String("after"),
		States: s.filter.States, Open: s.filter.Open, Query: s.filter.Query, Columns: s.filter.Columns}
	// The board leads here with the hour of a figure.
	s.filter.DueFrom, s.filter.DueTo, s.filter.Ours = number("due_from")*1e6, number("due_to")*1e6, f.String("ours") != ""
	process, stage, _ := strings.Cut(f.String("stage"), ".") // "12" a process, "12.s3" a stage of it
	s.filter.Process, _ = strconv.ParseInt(process, 10, 64)
	s.filter.Stage = stage
	if s.filter.Query, err = p.conditions(r, f, s); err != nil {
		return s, err
	}
	if r := []rune(s.filter.Text); len(r) > 100 {
		s.filter.Text = string(r[:100])
	}
	if !slices.Contains(ticket.Sorts, s.filter.Sort) {
		s.filter.Sort = ""
	}
	for _, n := range append([]string{"q", "due_from", "due_to", "ours"}, narrowing...) {
		if v := f.String(n); v != "" {
			s.narrow = true
			if s.own == 0 || typed {
				s.keep.Set(n, v)
			}
		}
	}
	if f.Has("filter") {
		s.keep.Set("filter", filterText(s.filter.Query))
		s.narrow = s.narrow || !s.filter.Query.Empty()
	}
	if s.own != 0 {
		s.keep.Set("saved", id(s.own))
		if typed && !s.keep.Has("type") {
			s.keep.Set("type", "")
		}
	} else if s.view != standard(r) {
		s.keep.Set("view", s.view)
	}
	if s.filter.Sort != "" {
		s.keep.Set("sort", string(s.filter.Sort))
	}
	if s.arranged, err = p.Tickets.Arrangements(r.Context(), r.Actor); err != nil {
		return s, err
	}
	if s.filter.Sort == "" && s.filter.Text == "" {
		s.filter.Sort = s.arranged[orderKey(s)].Sort
	}
	s.columns = columnsOf(s)
	if err := f.Err(); err != nil {
		f.Explain(err)
	}
	return s, nil
}

// fill puts a saved filter into the fields of the panel.
func fill(f *web.Form, v ticket.Filter, r *web.Request) {
	set := func(name, value string) {
		if value != "" && value != "0" {
			f.Values.Set(name, value)
		}
	}
	set("type", v.Type)
	set("class", v.Class)
	set("category", id(v.Category))
	set("priority", v.Priority)
	set("urgency", v.Urgency)
	set("channel", v.Channel)
	set("level", v.Level)
	set("department", id(v.Department))
	set("assignee", id(v.Assignee))
	set("tag", id(v.Tag))
	if v.Process != 0 {
		set("stage", strings.TrimSuffix(id(v.Process)+"."+v.Stage, "."))
	}
	if !f.Has("q") {
		set("q", v.Text)
	}
	if !f.Has("sort") {
		set("sort", string(v.Sort))
	}
	if v.From != 0 {
		set("from", db.FromMicros(v.From).In(r.Location()).Format("2006-01-02"))
	}
	if v.To != 0 {
		set("to", db.FromMicros(v.To).In(r.Location()).AddDate(0, 0, -1).Format("2006-01-02"))
	}
}

// queueOf loads the list that s selects; open is the ticket shown beside it.
func (p *pages) queueOf(r *web.Request, s selection, open string) (queue, error) {
	page, err := p.Tickets.List(r.Context(), ticket.View(r.Actor), s.filter)
	if fault.Is(err, fault.Invalid) && s.filter.After != "" {
		s.filter.After = "" // an old bookmark: from the start
		page, err = p.Tickets.List(r.Context(), ticket.View(r.Actor), s.filter)
	}
	if err != nil {
		return queue{}, err
	}
	q := queue{View: s.view, Title: s.name, Narrowed: s.narrow, Self: address("/tickets", s.keep), Sort: s.filter.Sort}
	base := url.Values{}
	if s.own != 0 {
		q.Saved = id(s.own)
		base.Set("saved", q.Saved)
	} else if s.view != standard(r) {
		base.Set("view", s.view)
	}
	q.Clear = address("/tickets", base)
	if q.Sort == "" {
		if q.Sort = ticket.FindView(s.view).Filter.Sort; q.Sort == "" {
			q.Sort = ticket.ByDue
		}
	}
	for _, o := range ticket.Sorts {
		k := maps.Clone(s.keep)
		k.Set("sort", string(o))
		q.Sorts = append(q.Sorts, sortLink{r.T("ticket.sort." + string(o)), address("/tickets", k), o == q.Sort, o})
	}
	if page.Next != "" {
		k := maps.Clone(s.keep)
		k.Set("after", page.Next)
		q.Next = address("/tickets", k)
	}
	tail := address("", s.keep)
	q.Rows = make([]row, len(page.Rows))
	for i, x := range page.Rows {
		if x.Stage != "" && p.StageName != nil {
			if n := p.StageName(r.Context(), r.Lang, x.ProcessVersion, x.Stage); n != "" {
				x.StageName = n
			}
		}
		labels, err := p.labels(r, x.Tags)
		if err != nil {
			return q, err
		}
		q.Rows[i] = row{Labels: labels, Row: x, Href: "/tickets/" + x.Number + tail, Current: x.Number == open}
	}
	if q.Says, err = p.says(r, s.filter.Query); err != nil {
		return q, err
	}
	q.ToFilter = address("/tickets/filter", s.keep)
	if s.keep.Has("filter") {
		q.Filter = s.keep.Get("filter")
	}
	if r.Actor.Can(ticket.PermExport) {
		q.ToExport = address("/tickets/export", s.keep)
	}
	if key := orderKey(s); s.filter.Sort != "" && s.arranged[key].Sort != s.filter.Sort {
		q.Keeps = key
	}
	q.ToColumns = address("/tickets/columns", s.keep)
	if s.mine(r) && (s.keep.Has("filter") || s.keep.Has("type") || s.keep.Has("sort")) {
		q.Again = s.name
	}
	fields := url.Values{}
	for _, n := range append([]string{"q"}, narrowing...) {
		if v := s.form.Get(n); v != "" {
			fields.Set(n, v)
		}
	}
	q.Fields = fields.Encode()
	if err := p.snoozed(r, q.Rows); err != nil {
		return q, err
	}
	return q, p.columned(r, s, &q)
}

// groups are the views with their live counts, and the count of the list shown;
// held lets counts of a moment ago do.
func (p *pages) groups(r *web.Request, s selection, held bool) (gs []viewGroup, shown string, err error) {
	var fs []ticket.Filter
	var counted []bool // by view, in their order
	add := func(title string, l viewLink, f ticket.Filter, count bool) {
		if len(gs) == 0 || gs[len(gs)-1].Title != title {
			g := viewGroup{Title: title}
			if l.Kept {
				g.Keep = "/views"
			}
			gs = append(gs, g)
		}
		g := &gs[len(gs)-1]
		g.Views = append(g.Views, l)
		if counted = append(counted, count); count {
			fs = append(fs, f)
		}
	}
	for _, v := range ticket.BuiltIns {
		if v.Perm != "" && !r.Actor.Can(v.Perm) || v.Hidden && v.Key != s.view {
			continue
		}
		k := url.Values{}
		if v.Key != standard(r) {
			k.Set("view", v.Key)
		}
		add(r.T("ticket.view.group."+v.Group), viewLink{Href: address("/tickets", k), Icon: v.Icon, Name: r.T("ticket.view." + v.Key), Alert: v.Alert,
			Current: s.own == 0 && v.Key == s.view}, ticket.Filter{View: v.Key}, !v.Unbounded)
	}
	if s.saved == nil {
		if s.saved, err = p.Tickets.SavedViews(r.Context(), r.Actor); err != nil {
			return nil, "", err
		}
	}
	for _, v := range s.saved {
		group, icon, own := r.T("ticket.view.group.saved"), "star", v.ID
		if v.Shared != ticket.SharedNobody {
			icon = "users"
		}
		if v.Owner != r.Actor.ID {
			group, own = r.T("ticket.view.group.shared"), 0
		}
		// Conditions over all tickets there ever were have no cheap count.
		add(group, viewLink{Href: "/tickets?saved=" + id(v.ID), Icon: icon, Name: v.Name, Current: v.ID == s.own, Saved: own, Kept: true}, v.Filter, v.Filter.Query.Empty() || v.Filter.Confined())
	}
	var links []*viewLink
	n := 0
	for i := range gs {
		for j := range gs[i].Views {
			if counted[n] {
				links = append(links, &gs[i].Views[j])
			}
			n++
		}
	}
	counting := s.narrow && s.filter.Text == "" && (s.filter.Query.Empty() || s.filter.Confined())
	if counting {
		fs = append(fs, s.filter)
	}
	key := keyOf(r, s.saved)
	counts, ok := p.counts.get(r, key)
	if !ok || !held || counting {
		if counts, err = p.Tickets.Counts(r.Context(), ticket.View(r.Actor), fs); err != nil {
			return nil, "", err
		}
		p.counts.put(r, key, counts[:len(links)])
	}
	for i, l := range links {
		l.Count = bounded(counts[i])
		l.Alert = l.Alert && counts[i] > 0
		if l.Current {
			shown = l.Count
		}
	}
	if counting {
		shown = bounded(counts[len(links)])
	} else if s.narrow {
		shown = ""
	}
	return gs, shown, nil
}

// countOf is how many tickets the list holds. What stands on one page needs no
// counting; of a search that goes on nobody wants to know by how much, and it
// would be searched a second time.
func (p *pages) countOf(r *web.Request, s selection, q queue) (string, error) {
	if first := s.filter.After == ""; first && q.Next == "" {
		return strconv.Itoa(len(q.Rows)), nil
	} else if first && (s.filter.Text != "" || !s.filter.Query.Empty() && !s.filter.Confined()) {
		return strconv.Itoa(len(q.Rows)) + "+", nil
	}
	n, err := p.Tickets.Counts(r.Context(), ticket.View(r.Actor), []ticket.Filter{s.filter})
	if err != nil {
		return "", err
	}
	return bounded(n[0]), nil
}

func bounded(n int) string {
	if n > ticket.MaxCount {
		return strconv.Itoa(ticket.MaxCount) + "+"
	}
	return strconv.Itoa(n)
}

// lists loads everything but the ticket.
func (p *pages) lists(r *web.Request, open string, whole bool) (ws workspace, s selection, err error) {
	if s, err = p.selected(r); err != nil {
		return ws, s, err
	}
	ws.Form, ws.CanCreate = s.form, r.Actor.Can(ticket.PermCreate)
	ws.Bulk, ws.Drag = len(p.Tickets.BulkKinds(r.Actor)) > 0, r.Actor.Can(ticket.PermAssign)
	if ws.Queue, err = p.queueOf(r, s, open); err != nil {
		return ws, s, err
	}
	var count string
	if ws.Groups, count, err = p.groups(r, s, whole); err != nil {
		return ws, s, err
	}
	if ws.Queue.Count = count; count == "" || s.filter.After == "" && ws.Queue.Next == "" { // a search, or all of it is here
		if ws.Queue.Count, err = p.countOf(r, s, ws.Queue); err != nil {
			return ws, s, err
		}
	}
	if !whole {
		return ws, s, nil
	}
	if ws.Tabs, err = p.tabsOf(r, open, s.keep); err != nil {
		return ws, s, err
	}
	ws.untouched = !s.narrow && s.own == 0 && len(s.form.Errors) == 0
	ws.Types, ws.Classes = options(r, "ticket.type.", ticket.Types), options(r, "ticket.class.", ticket.Classes)
	ws.Priorities, ws.Urgencies = options(r, "ticket.priority.", ticket.Priorities), options(r, "ticket.urgency.", ticket.Urgencies)
	ws.Channels, ws.Levels = options(r, "ticket.channel.", ticket.Channels), options(r, "ticket.level.", ticket.Levels)
	if ws.Tags, err = p.tagOptions(r); err != nil {
		return ws, s, err
	}
	if ws.Categories, err = p.categories(r); err != nil {
		return ws, s, err
	}
	ws.Shares = p.shares(r)
	if ws.Departments, err = p.departments(r, id); err != nil {
		return ws, s, err
	}
	if r.Actor.Can(ticket.PermView) {
		ws.People, err = p.people(r, r.Actor.DepartmentID, "")
	}
	return ws, s, err
}

// shown is the number of the ticket that the browser shows, "" for none.
func shown(r *web.Request) string {
	if u := r.CurrentURL(); u != nil {
		if n, ok := strings.CutPrefix(u.Path, "/tickets/"); ok && !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	if r.IsFragment() && r.Target() != "main" {
		if r.Target() == "more" {
			s, err := p.selected(r)
			if err != nil {
				return err
			}
			q, err := p.queueOf(r, s, shown(r))
			if err != nil {
				return err
			}
			return workspacePage.Fragment(w, r, "rows", workspace{Queue: q})
		}
		if r.Target() == "qlive" { // something has happened: the counts may differ
			ws, _, err := p.lists(r, shown(r), false)
			if err != nil {
				return err
			}
			return workspacePage.Fragment(w, r, "qlive", ws, ui.Into("views", "#views", "innerMorph"))
		}
		s, err := p.selected(r)
		if err != nil {
			return err
		}
		q, err := p.queueOf(r, s, shown(r))
		if err != nil {
			return err
		}
		if q.Count, err = p.countOf(r, s, q); err != nil {
			return err
		}
		w.Header().Set("HX-Push-Url", q.Self) // without the fields that were left empty
		return workspacePage.Fragment(w, r, "queue", workspace{Queue: q, Form: s.form}, ui.Into("keep", "#qkeep", ""))
	}
	ws, s, err := p.lists(r, "", true)
	if err != nil {
		return err
	}
	if ws.Outbox, err = p.Tickets.UnsentOf(r.Context(), r.Actor, 0); err != nil {
		return err
	}
	return workspacePage.Render(w, r, chrome(r, s.name, false), ws)
}

// saveView keeps search and filter under a name of the person's own.
func (p *pages) saveView(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	name := f.String("name")
	s, err := p.selection(r, f)
	if err != nil {
		return err
	}
	s.filter.Columns = s.columns // as it is seen now
	n, err := p.Tickets.SaveView(r.Context(), r.Actor, name, s.filter, f.Int64("shared"))
	if err != nil {
		f.Explain(err)
		if r.IsFragment() {
			return workspacePage.InvalidFragment(w, r, err, f, "saveview", workspace{Form: f})
		}
		ws, _, lerr := p.lists(r, "", true)
		if lerr != nil {
			return lerr
		}
		ws.Form = f
		return workspacePage.Invalid(w, r, err, f, chrome(r, r.T("ticket.nav"), false), ws)
	}
	r.Flash(w, "green", "ticket.view.saved", name)
	return r.SeeOther(w, "/tickets?saved=%d", n)
}

func (p *pages) deleteView(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Tickets.DeleteView(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.view.deleted")
	return r.SeeOther(w, "%s", web.SafeNext(r.Input().Get("next"), "/tickets"))
}
