package ticketui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

var _, _, _, _ = ui.SetTone("bulk.running", "blue"), ui.SetTone("bulk.paused", "amber"), ui.SetTone("bulk.finished", "green"), ui.SetTone("bulk.failed", "red")
var _, _, _, _ = ui.SetTone("bulk.cancelled", "gray"), ui.SetTone("bulk.forbidden", "amber"), ui.SetTone("bulk.hidden", "gray"), ui.SetTone("bulk.line.failed", "red")

// newBulkView is the form of a change of many tickets.
type newBulkView struct {
	Form   *web.Form
	Dialog bool
	IDs    []int64
	All    bool   // all of the list From
	From   string // address of the list
	Count  string
	Back   string
	Others []otherBulk

	Kinds, People, Departments, Priorities, Urgencies, Categories, Codes, Watchers, Tags []ui.Option
}

// otherBulk is a change that another room brings along.
type otherBulk struct {
	Kind    string
	Choices []ui.Option
}

type bulkView struct {
	ticket.Bulk
	Lang  i18n.Lang
	Says  string
	Lines []ticket.BulkLine
	More  string
	Back  string
}

// Say is why a line was refused.
func (v bulkView) Say(l ticket.BulkLine) string { return l.Say(v.Lang) }

type bulksView struct{ Rows []bulkRow }

type bulkRow struct {
	ticket.Bulk
	Says string
}

// targetsView is what a row can be dropped on.
type targetsView struct{ Departments, People []ui.Option }

func sampleBulk(state string) ticket.Bulk {
	return ticket.Bulk{ID: 3, State: state, Total: 9, Done: 4, Changed: 2, Same: 1, Refused: 1, CreatedAt: sampleTime, Change: ticket.BulkChange{Kind: ticket.BulkAssign, Reason: "x"}}
}

var (
	newBulkPage = ui.NewPage[newBulkView](files, "newbulk.html").Sample(newBulkView{IDs: []int64{1, 2}, Count: "2", Dialog: true, Others: []otherBulk{{"macro", []ui.Option{{Value: "1", Label: "x"}}}}, Kinds: []ui.Option{{Value: "assign", Label: "x"}, {Value: "cancel", Label: "y"}}}, newBulkView{All: true, Count: "99"})
	bulkPage    = ui.NewPage[bulkView](files, "bulk.html").Sample(bulkView{Bulk: sampleBulk("running"), Says: "x"}, bulkView{Bulk: sampleBulk("paused"), Says: "x"}, bulkView{Bulk: sampleBulk("finished"), More: "/x", Back: "/x",
		Lines: []ticket.BulkLine{{N: 1, Number: "T1", Title: "x", Outcome: ticket.OutcomeForbidden}, {N: 2, Outcome: ticket.OutcomeHidden}, {N: 3, Number: "T3", Title: "x", Outcome: ticket.OutcomeFailed}}}, bulkView{Bulk: sampleBulk("failed")}, bulkView{Bulk: sampleBulk("cancelled")})
	bulksPage   = ui.NewPage[bulksView](files, "bulks.html").Sample(bulksView{Rows: []bulkRow{{sampleBulk("running"), "x"}, {sampleBulk("finished"), "y"}}}, bulksView{})
	targetsPage = ui.NewPage[targetsView](files, "targets.html").Sample(targetsView{Departments: []ui.Option{{Value: "1", Label: "x"}}, People: []ui.Option{{Value: "1", Label: "x", Group: "y", Disabled: true}}})
)

// listed is the list of an address.
func (p *pages) listed(r *web.Request, from string) (ticket.Filter, error) {
	u, err := url.Parse(from)
	if err != nil {
		return ticket.Filter{}, fault.Invalidf("ticket.bulk.none")
	}
	f := r.Blank()
	f.Values = u.Query()
	s, err := p.selection(r, f)
	s.filter.After = ""
	return s.filter, err
}

func (p *pages) bulkForm(r *web.Request, f *web.Form) (v newBulkView, err error) {
	v = newBulkView{Form: f, Dialog: r.IsFragment(), All: f.Bool("all"), From: web.SafeNext(f.Get("from"), "/tickets"), Back: web.SafeNext(f.Get("back"), "/tickets")}
	if !f.Has("back") {
		if v.Back = v.From; r.CurrentURL() != nil {
			v.Back = r.CurrentURL().RequestURI()
		}
	}
	if v.All {
		filter, err := p.listed(r, v.From)
		if err != nil {
			return v, err
		}
		ids, more, err := p.Tickets.Select(r.Context(), ticket.View(r.Actor), filter)
		if err != nil {
			return v, err
		}
		v.IDs, v.Count = ids, strconv.Itoa(len(ids))
		if more {
			v.Count = r.T("ticket.bulk.first", len(ids))
		}
	} else {
		v.IDs = slices.Compact(slices.Sorted(slices.Values(f.IDs("id"))))
		v.Count = strconv.Itoa(len(v.IDs))
	}
	for _, o := range p.Tickets.OtherBulks(r.Actor) {
		cs, err := o.Choices(r.Context(), r.Actor)
		if err != nil {
			return v, err
		}
		x := otherBulk{Kind: o.Kind}
		for _, c := range cs {
			x.Choices = append(x.Choices, ui.Option{Value: c.Value, Label: c.Label})
		}
		v.Others = append(v.Others, x)
	}
	for _, k := range p.Tickets.BulkKinds(r.Actor) {
		v.Kinds = append(v.Kinds, ui.Option{Value: k, Label: r.T("ticket.bulk.kind." + k)})
	}
	if len(v.Kinds) == 0 {
		return v, r.Actor.Check(ticket.PermAssign)
	}
	if !slices.ContainsFunc(v.Kinds, func(o ui.Option) bool { return o.Value == f.String("kind") }) {
		f.Set("kind", v.Kinds[0].Value)
	}
	v.Priorities, v.Urgencies = options(r, "ticket.priority.", ticket.Priorities), options(r, "ticket.urgency.", ticket.Urgencies)
	v.Codes = options(r, "ticket.cancel.", slices.DeleteFunc(slices.Clone(ticket.CancelReasons), func(c string) bool { return c == "duplicate" }))
	if v.Tags, err = p.tagOptions(r); err != nil {
		return v, err
	}
	if v.Categories, err = p.categories(r); err != nil {
		return v, err
	}
	if v.Departments, err = p.departments(r, id); err != nil {
		return v, err
	}
	if v.Watchers, err = p.people(r, r.Actor.DepartmentID, ""); err != nil {
		return v, err
	}
	v.People, err = p.people(r, r.Actor.DepartmentID, ticket.PermHandle)
	return v, err
}

func (p *pages) newBulk(w http.ResponseWriter, r *web.Request) error {
	v, err := p.bulkForm(r, r.Input())
	if err != nil {
		return err
	}
	if len(v.IDs) == 0 {
		return fault.Invalidf("ticket.bulk.none")
	}
	if r.IsFragment() {
		return newBulkPage.Fragment(w, r, "dialog", v)
	}
	return newBulkPage.Render(w, r, sheet(r, r.T("ticket.bulk.title")), v)
}

func (p *pages) startBulk(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, err := p.bulkForm(r, f)
	if err != nil {
		return err
	}
	c := ticket.BulkChange{Kind: f.String("kind"), Reason: f.Limited("reason", 1000)}
	switch c.Kind {
	case ticket.BulkAssign:
		c.Assignee, c.Department = f.ID("assignee"), f.ID("department")
	case ticket.BulkWatcher:
		c.Assignee = f.ID("watcher")
	case ticket.BulkPriority:
		c.Priority = f.String("priority")
	case ticket.BulkUrgency:
		c.Urgency = f.String("urgency")
	case ticket.BulkCategory:
		c.Category = f.ID("category")
	case ticket.BulkTag, ticket.BulkUntag:
		c.Tag = f.ID("tag")
	case ticket.BulkCancel:
		c.Code = f.String("code")
	}
	if slices.ContainsFunc(v.Others, func(o otherBulk) bool { return o.Kind == c.Kind }) {
		c.Of = f.ID("of_" + c.Kind)
	}
	var b ticket.Bulk
	if err = f.Err(); err == nil {
		b, err = p.Tickets.ChangeMany(r.Context(), r.Actor, v.IDs, c)
	}
	if err != nil {
		if c.Kind == ticket.BulkWatcher {
			err = moveField(err, "assignee", "watcher")
		}
		err = moveField(err, "of", "of_"+c.Kind)
		if r.IsFragment() {
			return newBulkPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return newBulkPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.bulk.title")), v)
	}
	if b.State == "finished" && b.Refused == 0 {
		r.Flash(w, "green", "ticket.bulk.done", b.Changed)
		return r.SeeOther(w, "%s", v.Back)
	}
	return r.SeeOther(w, "/ticket-bulks/%d?%s", b.ID, url.Values{"back": {v.Back}}.Encode())
}

// sayBulk is a bulk change in words.
func (p *pages) sayBulk(r *web.Request, c ticket.BulkChange) string {
	ctx, what := r.Context(), ""
	switch c.Kind {
	case ticket.BulkAssign:
		if c.Assignee != 0 {
			what = p.Org.Name(ctx, c.Assignee)
		} else {
			what = p.Org.DepartmentName(ctx, c.Department)
		}
	case ticket.BulkWatcher:
		what = p.Org.Name(ctx, c.Assignee)
	case ticket.BulkPriority:
		if what = r.T("ticket.priority.auto"); c.Priority != "" {
			what = r.T("ticket.priority." + c.Priority)
		}
	case ticket.BulkUrgency:
		what = r.T("ticket.urgency." + c.Urgency)
	case ticket.BulkCategory:
		if what, _ = p.categoryName(r, c.Category); what == "" {
			what = r.T("ticket.none")
		}
	case ticket.BulkTag, ticket.BulkUntag:
		if tags, _ := p.chips(ctx, ticket.Tags("").With([]int64{c.Tag}, nil)); len(tags) > 0 {
			what = tags[0].Name
		}
	case ticket.BulkCancel:
		what = r.T("ticket.cancel." + c.Code)
	default:
		for _, o := range p.Tickets.OtherBulks(r.Actor) {
			if o.Kind == c.Kind {
				what = o.Name(ctx, r.Actor, c.Of)
			}
		}
		if what == "" {
			return r.T("ticket.bulk.kind." + c.Kind)
		}
	}
	return r.T("ticket.bulk.says", r.T("ticket.bulk.kind."+c.Kind), what)
}

const bulkPageLines = 50

func (p *pages) bulk(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	b, err := p.Tickets.Bulk(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	f := r.Blank()
	f.Values = r.URL.Query()
	v := bulkView{Bulk: b, Lang: r.Lang, Says: p.sayBulk(r, b.Change), Back: web.SafeNext(f.Get("back"), "/tickets")}
	after, _ := strconv.ParseInt(f.String("after"), 10, 64)
	if b.Refused > 0 {
		if v.Lines, err = p.Tickets.BulkLines(r.Context(), r.Actor, n, after, bulkPageLines+1); err != nil {
			return err
		}
		if len(v.Lines) > bulkPageLines {
			v.Lines = v.Lines[:bulkPageLines]
			v.More = fmt.Sprintf("/ticket-bulks/%d?%s", n, url.Values{"back": {v.Back}, "after": {id(v.Lines[bulkPageLines-1].N)}}.Encode())
		}
	}
	if r.IsFragment() && r.Target() == "bulk" {
		return bulkPage.Fragment(w, r, "state", v)
	}
	return bulkPage.Render(w, r, sheet(r, r.T("ticket.bulk.title"), ui.Crumb{Label: r.T("ticket.bulks"), Href: "/ticket-bulks"}), v)
}

func (p *pages) turnBulk(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, turn := r.Input(), p.Tickets.CancelBulk
	switch f.String("do") {
	case "pause":
		turn = p.Tickets.PauseBulk
	case "resume":
		turn = p.Tickets.ResumeBulk
	}
	if err := turn(r.Context(), r.Actor, n); err != nil && !fault.Is(err, fault.Conflict) { // it has ended meanwhile: its page says so
		return err
	}
	return r.SeeOther(w, "/ticket-bulks/%d?%s", n, url.Values{"back": {web.SafeNext(f.Get("back"), "/tickets")}}.Encode())
}

func (p *pages) bulks(w http.ResponseWriter, r *web.Request) error {
	bs, err := p.Tickets.Bulks(r.Context(), r.Actor, 50)
	if err != nil {
		return err
	}
	var v bulksView
	for _, b := range bs {
		v.Rows = append(v.Rows, bulkRow{b, p.sayBulk(r, b.Change)})
	}
	return bulksPage.Render(w, r, sheet(r, r.T("ticket.bulks")), v)
}

// targets are the people and departments a row can be dropped on.
func (p *pages) targets(w http.ResponseWriter, r *web.Request) (err error) {
	var v targetsView
	if v.Departments, err = p.departments(r, id); err != nil {
		return err
	}
	if v.People, err = p.people(r, r.Actor.DepartmentID, ticket.PermHandle); err != nil {
		return err
	}
	if r.IsFragment() {
		return targetsPage.Fragment(w, r, "targets", v)
	}
	return targetsPage.Render(w, r, sheet(r, r.T("ticket.bulk.targets")), v)
}
