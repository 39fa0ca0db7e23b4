package customerui

import (
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// The tabs of a customer's page. The first is what his bare address shows; the
// others have addresses of their own: /customers/7/files.
const (
	tabTimeline  = "timeline"
	tabTickets   = "tickets"
	tabContacts  = "contacts"
	tabNeeds     = "needs"
	tabFiles     = "files"
	tabRelations = "relations"
	tabCare      = "standing"
	tabChanges   = "changes"
)

var tabs = []string{tabTimeline, tabTickets, tabContacts, tabNeeds, tabFiles, tabRelations, tabCare, tabChanges}

// PageAction is one more thing to do with a customer, offered in the menu of his
// page. Other rooms have the pages; the program hands the actions in.
type PageAction struct {
	Href     string // "{id}" becomes the customer's id
	Icon     string
	LabelKey string
	Perm     authz.Permission
	Danger   bool
}

// Note is something the page of a customer says on top: a request that waits for
// consent.
type Note struct {
	Text string // in the reader's language
	Href string
}

// showView is a customer's page, or what a fragment of it shows.
type showView struct {
	C     customer.Customer
	Tab   string
	Tabs  []pageTab
	Flaws []flawView
	Notes []Note

	Actions   []PageAction
	NewTicket string

	// The column at the side.
	Facts    []factView
	Open     factView // the one field a fragment is about
	Contacts []contactView
	More     []string // names of contacts beyond the first
	Tags     []ui.Option
	TagForm  *web.Form

	// The tabs; only the one that is shown is filled.
	Lines      []lineView
	Filters    []filterView
	Filter     string
	Next       string // address of what follows: older lines, more rows
	Writing    bool
	FollowUp   *web.Form
	Correcting int64 // the record the form corrects; 0: a new one
	Methods    []ui.Option
	Tickets    []TicketRow
	People     peopleView
	Need       *web.Form
	Urgencies  []ui.Option
	Files      filesView
	Changes    changesView
	Inner      template.HTML // of the tabs that are pages of their own too
	Own        []factView    // the fields of the company's own
	Panels     []template.HTML

	CanEdit, CanReveal, CanTag, CanFollowUp, HasTickets bool
	PlanLate, VerifyLate                                bool
}

// Home is the address of the customer's page.
func (v showView) Home() string { return "/customers/" + id(v.C.ID) }

// Tagged is the customer's page with the form of his tags open.
func (v showView) Tagged() bool { return v.TagForm != nil && len(v.TagForm.Errors) > 0 }

type pageTab struct {
	Code, Href string
	Count      string // "" is not said
	Current    bool
}

type contactView struct {
	customer.Contact
	Values []valueView
	Own    []ui.Fact // the company's own fields
}

// valueView is a masked value with the way to its clear one.
type valueView struct {
	Key      string // element id
	Customer int64
	Contact  int64
	Field    customer.Field
	Masked   string
	Ask      bool   // a reason is wanted
	Can      bool   // he may see it in clear
	Bad      string // why nobody is reached there; "" as far as is known he is
	Mark     bool   // he may say so
}

type filterView struct {
	Code, Href string
	Current    bool
}

// lineView is one line of the timeline.
type lineView struct {
	ID     string
	Class  string // of the line: customer, reply, note, followup; "" is a fact
	Icon   template.HTML
	Who    string
	Kind   string
	Body   string
	Reason string
	At     customer.Item
	Ticket customer.TicketRef
	Facts  []changeView
	Record journal.Record
	Next   bool

	Corrects, CorrectedBy int64  // ids of entries; 0 none
	Correct               string // where the reader adds a correction; "" he may not
}

type changeView struct{ Field, Of, Old, New string }

func sampleShow(tab string, put func(v *showView)) showView {
	v := showView{C: sample.Customer, Tab: tab, CanEdit: true, CanReveal: true, CanTag: true, CanFollowUp: true, HasTickets: true, NewTicket: "/x",
		Tabs: []pageTab{{Code: tabTimeline, Href: "/x", Current: true}, {Code: tabFiles, Href: "/y", Count: "3"}}, Flaws: []flawView{{"no_uscc", "/x"}}, Notes: []Note{{"x", "/x"}, {"x", ""}},
		Actions: []PageAction{{"/x", "merge", "customer.nav", "", true}}, More: []string{"x"}, Panels: []template.HTML{"x"}, Tags: []ui.Option{{Value: "1", Label: "x"}},
		Facts: []factView{{Field: "uscc", Label: "customer.field.uscc", Text: "x", Edit: true, Copy: true}, {Field: "website", Label: "customer.field.website", Text: "x", Href: "https://x"},
			{Field: "address", Label: "customer.field.address", Masked: &valueView{Field: customer.Address, Masked: "x", Can: true}, Edit: true}, {Field: "region", Label: "customer.field.region", Edit: true}},
		Contacts: []contactView{{Contact: sample.Contacts[0], Values: []valueView{{Key: "v3-phone", Contact: 3, Field: customer.Phone, Masked: "138****5678", Can: true, Ask: true, Mark: true, Bad: "bounced"}, {Key: "v3-email", Contact: 3, Field: customer.Email, Masked: "x", Can: true, Mark: true}}}},
	}
	put(&v)
	return v
}

var showPage = ui.NewPage[showView](files, "show.html", "showtabs.html").Sample(
	sampleShow(tabTimeline, func(v *showView) {
		v.Filters, v.Next = []filterView{{Code: "", Current: true}, {Code: "change"}}, "/x"
		v.Writing, v.Correcting = true, 3
		v.Lines = []lineView{{ID: "e3", Class: "followup", Body: "x", CorrectedBy: 4}, {ID: "e4", Class: "followup", Body: "x", Corrects: 3, Correct: "/x"}, {ID: "e1", Class: "followup", Who: "x", Kind: "x", Body: "x", Next: true, Record: journal.Record{Method: "phone", Contact: "x", Reaction: "x", Agreement: "x", NextPlan: "x"}},
			{ID: "f1", Who: "x", Kind: "x", Reason: "x", Facts: []changeView{{"x", "x", "x", "x"}}}, {ID: "e2", Class: "reply", Ticket: customer.TicketRef{ID: 1, Number: "T1"}}}
	}),
	sampleShow(tabTickets, func(v *showView) {
		v.Tickets, v.Next = []TicketRow{{Href: "/t", Number: "T1", Title: "x", State: "x", StateTone: "blue", Type: "x", Owner: "x", Open: true}}, "/x"
	}),
	sampleShow(tabContacts, func(v *showView) { v.People = samplePeople }),
	sampleShow(tabNeeds, func(v *showView) {
		v.C.Needs = []customer.Need{{Product: "x", Description: "x", Urgency: "urgent", Period: "x", Budget: "x", Delivery: "x", Special: "x"}}
	}),
	sampleShow(tabFiles, func(v *showView) { v.Files = sampleFiles }),
	sampleShow(tabFiles, func(v *showView) {
		v.Files = filesView{Shown: &previewView{File: sampleFiles.Rows[0], Text: "x", Cut: true}}
	}),
	sampleShow(tabChanges, func(v *showView) { v.Changes = sampleChanges }),
	sampleShow(tabRelations, func(v *showView) { v.Inner = "<p>x</p>" }),
	sampleShow(tabTimeline, func(v *showView) {
		for _, c := range []string{"text", "choose", "area", "date", "address"} {
			v.Facts = append(v.Facts, factView{Field: c, Name: c, Label: "customer.field.region", Control: c, Form: &web.Form{}, Reason: true, Twin: true, Masked: &valueView{Masked: "x"}})
		}
	}),
	showView{C: customer.Customer{ID: 1, Type: customer.Person}})

// show answers with the page, or the tab of it the address names.
func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	return p.showTab(w, r, tabTimeline)
}

// tab returns the handler of one tab.
func (p *pages) tab(code string) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error { return p.showTab(w, r, code) }
}

func (p *pages) showTab(w http.ResponseWriter, r *web.Request, tab string) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	part := ""
	if r.IsFragment() {
		switch t := r.Target(); {
		case t == "tab":
			part = "tab"
		case t == "timeline":
			part = "timeline"
		case strings.HasPrefix(t, "older"):
			part = "lines"
		case strings.HasPrefix(t, "more"):
			part = tab + "-rows"
		}
	}
	v, err := p.core(r, n, tab)
	if err != nil {
		return p.moved(w, r, n, err)
	}
	if part == "" {
		err = p.side(r, &v)
	}
	if err == nil {
		err = p.fillTab(r, &v)
	}
	if err != nil {
		return err
	}
	if part != "" {
		return showPage.Fragment(w, r, part, v)
	}
	return showPage.Render(w, r, p.home(r, v), v)
}

// home is the frame of the page: it fills the window, and its columns scroll.
func (p *pages) home(r *web.Request, v showView) ui.Chrome {
	c := chrome(r, v.C.Name)
	c.Class, c.Assets = "page c360", append(c.Assets, "care.css")
	return c
}

// page gathers the whole page for the reader.
func (p *pages) page(r *web.Request, n int64, tab string) (showView, error) {
	v, err := p.core(r, n, tab)
	if err == nil {
		err = p.side(r, &v)
	}
	if err == nil {
		err = p.fillTab(r, &v)
	}
	return v, err
}

// core loads the customer and what every fragment needs.
func (p *pages) core(r *web.Request, n int64, tab string) (showView, error) {
	a := r.Actor
	c, err := p.Customers.Get(r.Context(), customer.View(a), n)
	if err != nil {
		return showView{}, err
	}
	v := showView{C: c, Tab: tab, HasTickets: p.Tickets != nil,
		CanEdit: a.Can(customer.PermEdit), CanReveal: a.Can(customer.PermReveal), CanTag: a.Can(customer.PermTag), CanFollowUp: a.Can(customer.PermFollowUp)}
	v.PlanLate = !c.PlannedAt.IsZero() && c.PlannedAt.Before(r.Now())
	v.VerifyLate = !c.VerifyAt.IsZero() && c.VerifyAt.Before(r.Now())
	for _, t := range tabs {
		if t == tabTickets && !v.HasTickets || t == tabFiles && p.Files == nil {
			continue
		}
		x := pageTab{Code: t, Href: v.Home() + "/" + t, Current: t == tab}
		switch t {
		case tabTimeline:
			x.Href = v.Home()
		case tabTickets:
			x.Count = countText(c.TotalTickets)
		case tabContacts:
			x.Count = countText(int64(len(c.Contacts)))
		case tabNeeds:
			x.Count = countText(int64(len(c.Needs)))
		}
		v.Tabs = append(v.Tabs, x)
	}
	return v, nil
}

func countText(n int64) string {
	if n == 0 {
		return ""
	}
	return id(n)
}

// side gathers what stands around the tabs.
func (p *pages) side(r *web.Request, v *showView) error {
	ctx, a := r.Context(), r.Actor
	var err error
	if v.Facts, err = p.facts(r, *v); err != nil {
		return err
	}
	if err := p.ownFacts(r, v); err != nil {
		return err
	}
	if v.Contacts, err = p.contactViews(r, *v, v.C.Contacts[:min(len(v.C.Contacts), 1)]); err != nil {
		return err
	}
	for _, k := range v.C.Contacts[len(v.Contacts):min(len(v.C.Contacts), 5)] {
		v.More = append(v.More, k.Name)
	}
	if v.CanTag {
		if v.Tags, err = p.tagOptions(r); err != nil {
			return err
		}
		v.TagForm = r.Blank()
		for _, t := range v.C.Tags {
			v.TagForm.Values.Add("tags", id(t.ID))
		}
	}
	ms, err := p.Customers.Flaws(ctx, v.C.ID)
	if err != nil {
		return err
	}
	v.Flaws = flawViews(v.C.ID, ms, v.CanEdit)
	if p.Notes != nil {
		if v.Notes, err = p.Notes(ctx, a, r.Lang, v.C); err != nil {
			return err
		}
	}
	for _, x := range p.Actions {
		if a.Can(x.Perm) {
			x.Href = strings.ReplaceAll(x.Href, "{id}", id(v.C.ID))
			v.Actions = append(v.Actions, x)
		}
	}
	for _, panel := range p.Panels {
		html, err := panel(r, v.C)
		if err != nil {
			return err
		}
		if html != "" {
			v.Panels = append(v.Panels, html)
		}
	}
	if p.NewTicket != "" && a.Can(p.PermNew) {
		v.NewTicket = p.NewTicket + "?customer=" + id(v.C.ID)
	}
	return nil
}

// contactViews adds to contacts the ways to reach them.
func (p *pages) contactViews(r *web.Request, v showView, ks []customer.Contact) ([]contactView, error) {
	ask, err := p.Customers.RevealNeedsReason(r.Context())
	if err != nil {
		return nil, err
	}
	bad, err := p.Customers.UnreachableOf(r.Context(), v.C.ID)
	if err != nil {
		return nil, err
	}
	_, people, err := p.fieldDefs(r)
	if err != nil {
		return nil, err
	}
	c := v.C
	if len(people) > 0 {
		if c, err = p.Customers.WithFields(r.Context(), c); err != nil {
			return nil, err
		}
	}
	var out []contactView
	for _, k := range ks {
		x := contactView{Contact: k, Own: fieldui.Facts(r.Lang, people, fieldsOf(c, k.ID))}
		for _, f := range customer.ContactFields {
			masked := map[customer.Field]string{customer.Phone: k.Phone, customer.Email: k.Email, customer.Wechat: k.Wechat}[f]
			if masked != "" {
				x.Values = append(x.Values, valueView{Key: "v" + id(k.ID) + "-" + string(f), Customer: v.C.ID, Contact: k.ID, Field: f, Masked: masked,
					Ask: ask, Can: v.CanReveal, Bad: bad[k.ID][f], Mark: v.CanFollowUp && k.Active})
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// fill gathers the tab.
func (p *pages) fillTab(r *web.Request, v *showView) error {
	switch v.Tab {
	case tabTickets:
		return p.fillTickets(r, v)
	case tabContacts:
		return p.fillPeople(r, v)
	case tabNeeds:
		v.Urgencies = options(r, "customer.urgency.", customer.Urgencies)
		v.Need = r.Blank()
		return nil
	case tabFiles:
		return p.fillFiles(r, v)
	case tabRelations:
		x, err := p.networkOf(r, v.C.ID)
		if err != nil {
			return err
		}
		return v.inner(networkPage.String(r, "network.html", x))
	case tabCare:
		x, err := p.careOf(r, v.C.ID)
		if err != nil {
			return err
		}
		return v.inner(carePage.String(r, "care.html", x))
	case tabChanges:
		return p.fillChanges(r, v)
	}
	return p.fillTimeline(r, v)
}

func (v *showView) inner(drawn string, err error) error {
	v.Inner = template.HTML(drawn) // by a template of ours
	return err
}

func (p *pages) fillTimeline(r *web.Request, v *showView) error {
	q := r.URL.Query()
	v.Filter, v.Writing = q.Get("show"), q.Get("write") != ""
	items, next, err := p.Customers.Timeline(r.Context(), r.Actor, v.C.ID, q.Get("before"), v.Filter, 30)
	if err != nil {
		return err
	}
	var asked []int64
	for _, i := range items {
		if i.Entry != nil && i.Entry.Kind == journal.FollowUp {
			asked = append(asked, i.Entry.ID)
		}
	}
	by, err := p.Customers.CorrectedBy(r.Context(), asked)
	if err != nil {
		return err
	}
	for _, i := range items {
		l := p.line(r, i)
		if e := i.Entry; e != nil {
			l.Corrects, l.CorrectedBy = e.CorrectsID, by[e.ID]
			if l.CorrectedBy == 0 && v.CanFollowUp && e.TicketID == 0 && e.Kind == journal.FollowUp && e.Correctable(r.Actor) {
				l.Correct = v.Home() + "?write=1&correct=" + id(e.ID) + "#write"
			}
		}
		v.Lines = append(v.Lines, l)
	}
	base := v.Home()
	if next != "" {
		v.Next = base + "?before=" + next
		if v.Filter != "" {
			v.Next += "&show=" + v.Filter
		}
	}
	for _, f := range customer.TimelineFilters {
		x := filterView{Code: f, Href: base, Current: f == v.Filter}
		if f != "" {
			x.Href += "?show=" + f
		}
		v.Filters = append(v.Filters, x)
	}
	for _, m := range journal.Methods {
		if m != "system" {
			v.Methods = append(v.Methods, ui.Option{Value: m, Label: r.T("journal.method." + m)})
		}
	}
	contact := ""
	if k := v.C.Primary(); k.ID != 0 {
		contact = k.Name
	}
	v.FollowUp = r.Blank("method", "phone", "contact", contact)
	if n := number(q.Get("correct")); n != 0 && v.Writing {
		return p.fillCorrection(r, v, n)
	}
	return nil
}

// ticketRows is how many tickets a stretch of the list has.
const ticketRows = 30

func (p *pages) fillTickets(r *web.Request, v *showView) error {
	before := number(r.URL.Query().Get("before"))
	rows, err := p.Tickets.OfCustomer(r.Context(), r.Actor, r.Lang, v.C.ID, before, ticketRows+1)
	if err != nil {
		return err
	}
	if len(rows) > ticketRows {
		rows = rows[:ticketRows]
		v.Next = v.Home() + "/tickets?before=" + id(rows[ticketRows-1].ID)
	}
	v.Tickets = rows
	return nil
}

// line turns an item of the timeline into words.
func (p *pages) line(r *web.Request, i customer.Item) lineView {
	if e := i.Entry; e != nil {
		l := lineView{ID: "e" + id(e.ID), Who: e.AuthorName, Body: e.Body, At: i, Ticket: i.Ticket}
		if e.AuthorKind == authz.Worker {
			l.Who = authz.SystemName(r.Lang, e.AuthorName)
		}
		switch e.Kind {
		case journal.Move, journal.System:
			m := e.Moved()
			l.Kind, l.Reason, l.Icon = m.Say(r.Lang), m.Reason, ui.Icon("ticket")
			return l
		case journal.FollowUp:
			l.Class, l.Record = "followup", e.Record()
			l.Next = l.Record.NextPlan != ""
		case journal.Question:
			l.Class = "reply"
		default:
			l.Class = string(e.Kind)
		}
		l.Kind = r.T("journal.kind." + string(e.Kind))
		return l
	}
	e := i.Event
	l := lineView{ID: "f" + id(e.ID), Who: e.ActorName, Kind: e.Sentence(r.Lang), Reason: e.Reason, At: i, Icon: ui.Icon("history")}
	if e.ActorKind == authz.Worker {
		l.Who = authz.SystemName(r.Lang, e.ActorName)
	}
	switch e.Kind {
	case customer.Created:
		l.Icon = ui.Icon("user")
	case customer.FieldRevealed:
		d := i.Revealed()
		l.Icon = ui.Icon("eye")
		l.Facts = []changeView{{Field: r.T("customer.contact." + d.Field), New: d.Masked}}
	case customer.TagsChanged:
		d := i.Tags()
		l.Icon = ui.Icon("tag")
		l.Facts = []changeView{{Field: r.T("customer.tag"), Old: strings.Join(d.Removed, r.T("customer.comma")), New: strings.Join(d.Added, r.T("customer.comma"))}}
	case customer.VerifiedKind, customer.RelationMade, customer.RelationEnded:
		l.Icon, l.Facts = careFacts(r, e)
	case customer.Changed, customer.StageChanged:
		l.Icon = ui.Icon("edit")
		if e.Kind == customer.StageChanged && l.Reason == "" {
			l.Reason = stageCause(r, e)
		}
		for _, c := range i.Changes() {
			l.Facts = append(l.Facts, changeView{Field: p.fieldLabel(r, c), Of: c.Of, Old: say(r, c.Change, c.Old), New: say(r, c.Change, c.New)})
		}
	}
	return l
}

// say translates the codes a change may hold.
func say(r *web.Request, c event.Change, v string) string {
	prefix := map[string]string{"level": "customer.level.", "source": "customer.source.", "contact.gender": "customer.gender.", "contact.role": "customer.role.", "grade": "customer.grade.", "stage": "customer.stage.", "contact.primary": "customer.value."}[c.Field]
	switch {
	case v == "":
		return ""
	case c.Field == "industry":
		return industryName(v)
	case prefix != "" && i18n.Has(prefix+v):
		return r.T(prefix + v)
	}
	return v
}

// again shows the page with a form that failed.
func (p *pages) again(w http.ResponseWriter, r *web.Request, n int64, tab string, cause error, f *web.Form, put func(v *showView)) error {
	if k := fault.KindOf(cause); k != fault.Invalid && k != fault.Conflict {
		return cause
	}
	v, err := p.page(r, n, tab)
	if err != nil {
		return err
	}
	put(&v)
	return showPage.Invalid(w, r, cause, f, p.home(r, v), v)
}

func (p *pages) addFollowUp(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	body, rec := recordOf(f)
	if err = f.Err(); err == nil {
		_, err = p.Customers.AddFollowUp(r.Context(), r.Actor, n, body, rec)
	}
	if err != nil {
		return p.again(w, r, n, tabTimeline, err, f, func(v *showView) { v.FollowUp, v.Writing = f, true })
	}
	if lacks := journal.Vague(body); len(lacks) > 0 {
		words := make([]string, len(lacks))
		for i, k := range lacks {
			words[i] = r.T(k)
		}
		r.Flash(w, "amber", "journal.vague.warn", strings.Join(words, r.T("customer.semicolon")))
	} else {
		r.Flash(w, "green", "customer.follow_up.done")
	}
	return r.SeeOther(w, "/customers/%d", n)
}

func (p *pages) addNeed(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	in := read(f)
	if err = f.Err(); err == nil {
		err = p.Customers.AddNeed(r.Context(), r.Actor, n, in.Need)
	}
	if err != nil {
		return p.again(w, r, n, tabNeeds, err, f, func(v *showView) { v.Need = f })
	}
	r.Flash(w, "green", "customer.need.done")
	return r.SeeOther(w, "/customers/%d/needs", n)
}

// setTags makes the ticked tags the customer's tags.
func (p *pages) setTags(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	want := map[int64]bool{}
	for _, t := range f.IDs("tags") {
		want[t] = true
	}
	if err := f.Err(); err != nil {
		return err
	}
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
	if err != nil {
		return err
	}
	var add, remove []int64
	for _, t := range c.Tags {
		if !want[t.ID] {
			remove = append(remove, t.ID)
		}
		delete(want, t.ID)
	}
	for t := range want {
		add = append(add, t)
	}
	if len(add)+len(remove) > 0 {
		if _, err := p.Customers.SetTags(r.Context(), r.Actor, []int64{n}, add, remove); err != nil {
			return err
		}
	}
	r.Flash(w, "green", "customer.tag.done")
	return r.SeeOther(w, "/customers/%d", n)
}

// clearView is a revealed value.
type clearView struct {
	Customer int64
	Contact  int64
	Field    customer.Field
	Value    string
	Tel      string // what a telephone dials; "" for other fields
	Form     *web.Form
}

var clearPage = ui.NewPage[clearView](files, "clear.html").Sample(clearView{Customer: 1, Field: customer.Phone, Value: "x", Tel: "+86"})

// reveal answers with one clear value: in place with a script, as a page of its
// own without. A missing reason is asked for on that page.
func (p *pages) reveal(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	v := clearView{Customer: n, Contact: f.ID("contact"), Field: customer.Field(f.Get("field")), Form: f}
	if err := f.Err(); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if v.Contact == 0 {
		v.Value, err = p.Customers.RevealAddress(r.Context(), r.Actor, n, f.String("reason"))
	} else {
		v.Value, err = p.Customers.Reveal(r.Context(), r.Actor, v.Contact, v.Field, f.String("reason"))
	}
	title := r.T("customer.reveal.title")
	if err != nil {
		if r.IsFragment() {
			return clearPage.InvalidFragment(w, r, err, f, "ask", v)
		}
		return clearPage.Invalid(w, r, err, f, chrome(r, title, ui.Crumb{Label: strconv.FormatInt(n, 10), Href: "/customers/" + id(n)}), v)
	}
	if v.Field == customer.Phone {
		number, ext, _ := strings.Cut(v.Value, "转")
		v.Tel = strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c == '+' {
				return c
			}
			return -1
		}, number)
		if ext != "" {
			v.Tel += "," + ext
		}
	}
	if r.IsFragment() {
		return clearPage.Fragment(w, r, "value", v)
	}
	return clearPage.Render(w, r, chrome(r, title, ui.Crumb{Label: r.T("customer.page"), Href: "/customers/" + id(n)}), v)
}
