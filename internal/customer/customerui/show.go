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
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// showView is a customer's page.
type showView struct {
	C          customer.Customer
	Industry   string
	Contacts   []contactView
	Address    valueView
	Lines      []lineView
	Filters    []filterView
	Filter     string
	Next       string // address of older lines
	Tickets    []TicketRow
	HasTickets bool
	NewTicket  string
	Tags       []ui.Option
	TagForm    *web.Form

	FollowUp  *web.Form
	Methods   []ui.Option
	Need      *web.Form
	Urgencies []ui.Option

	CanEdit, CanReveal, CanTag, CanFollowUp, CanTickets bool
}

type contactView struct {
	customer.Contact
	Values []valueView
}

// valueView is a masked value with the way to its clear one.
type valueView struct {
	Key      string // element id
	Customer int64
	Contact  int64
	Field    customer.Field
	Masked   string
	Ask      bool // a reason is wanted
	Can      bool
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
}

type changeView struct{ Field, Of, Old, New string }

var showPage = ui.NewPage[showView](files, "show.html").Sample(
	showView{C: sample.Customer, CanEdit: true, CanReveal: true, CanTag: true, CanFollowUp: true, CanTickets: true, HasTickets: true, NewTicket: "/x",
		Contacts: []contactView{{sample.Contacts[0], []valueView{{Key: "v3-phone", Field: customer.Phone, Masked: "138****5678", Can: true, Ask: true}, {Key: "v3-email", Field: customer.Email, Masked: "x", Can: true}}}},
		Address:  valueView{Field: customer.Address, Masked: "x", Can: true},
		Tickets:  []TicketRow{{Href: "/t", Number: "T1", Title: "x", State: "x", StateTone: "blue"}},
		Filters:  []filterView{{Code: "", Current: true}, {Code: "change"}}, Next: "/x", Tags: []ui.Option{{Value: "1", Label: "x"}},
		Lines: []lineView{{ID: "e1", Class: "followup", Who: "x", Kind: "x", Body: "x", Next: true, Record: journal.Record{Method: "phone", Contact: "x", Reaction: "x", Agreement: "x", NextPlan: "x"}},
			{ID: "f1", Who: "x", Kind: "x", Reason: "x", Facts: []changeView{{"x", "x", "x", "x"}}}, {ID: "e2", Class: "reply", Ticket: customer.TicketRef{ID: 1, Number: "T1"}}}},
	showView{C: customer.Customer{ID: 1, Type: customer.Person, Needs: []customer.Need{{Product: "x", Description: "x", Urgency: "urgent", Period: "x", Budget: "x", Delivery: "x", Special: "x"}}}})

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := p.page(r, n)
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "timeline" {
		return showPage.Fragment(w, r, "timeline", v)
	}
	if r.IsFragment() && strings.HasPrefix(r.Target(), "older") {
		return showPage.Fragment(w, r, "lines", v)
	}
	return showPage.Render(w, r, chrome(r, v.C.Name), v)
}

// page gathers a customer's page for the reader.
func (p *pages) page(r *web.Request, n int64) (showView, error) {
	ctx, a := r.Context(), r.Actor
	q := r.URL.Query()
	c, err := p.Customers.Get(ctx, customer.View(a), n)
	if err != nil {
		return showView{}, err
	}
	v := showView{C: c, Industry: industryName(c.Industry), Filter: q.Get("show"),
		CanEdit: a.Can(customer.PermEdit), CanReveal: a.Can(customer.PermReveal), CanTag: a.Can(customer.PermTag), CanFollowUp: a.Can(customer.PermFollowUp)}
	ask, err := p.Customers.RevealNeedsReason(ctx)
	if err != nil {
		return v, err
	}
	for _, k := range c.Contacts {
		x := contactView{Contact: k}
		for _, f := range customer.ContactFields {
			masked := map[customer.Field]string{customer.Phone: k.Phone, customer.Email: k.Email, customer.Wechat: k.Wechat}[f]
			if masked != "" {
				x.Values = append(x.Values, valueView{Key: "v" + id(k.ID) + "-" + string(f), Customer: n, Contact: k.ID, Field: f, Masked: masked, Ask: ask, Can: v.CanReveal})
			}
		}
		v.Contacts = append(v.Contacts, x)
	}
	if c.Address != "" {
		v.Address = valueView{Key: "v-address", Customer: n, Field: customer.Address, Masked: c.Address, Ask: ask, Can: v.CanReveal}
	}
	items, next, err := p.Customers.Timeline(ctx, a, n, q.Get("before"), v.Filter, 30)
	if err != nil {
		return v, err
	}
	for _, i := range items {
		v.Lines = append(v.Lines, line(r, i))
	}
	base := "/customers/" + id(n)
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
	if p.Tickets != nil {
		v.HasTickets = true
		if v.Tickets, err = p.Tickets.OfCustomer(ctx, a, r.Lang, n, 8); err != nil {
			return v, err
		}
	}
	if p.NewTicket != "" && a.Can(p.PermNew) {
		v.NewTicket = p.NewTicket + "?customer=" + id(n)
	}
	if v.CanTag {
		if v.Tags, err = p.tagOptions(r); err != nil {
			return v, err
		}
		v.TagForm = r.Blank()
		for _, t := range c.Tags {
			v.TagForm.Values.Add("tags", id(t.ID))
		}
	}
	for _, m := range journal.Methods {
		if m != "system" {
			v.Methods = append(v.Methods, ui.Option{Value: m, Label: r.T("journal.method." + m)})
		}
	}
	v.Urgencies = options(r, "customer.urgency.", customer.Urgencies)
	contact := ""
	if k := c.Primary(); k.ID != 0 {
		contact = k.Name
	}
	v.FollowUp = r.Blank("method", "phone", "contact", contact)
	v.Need = r.Blank()
	return v, nil
}

// line turns an item of the timeline into words.
func line(r *web.Request, i customer.Item) lineView {
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
	l := lineView{ID: "f" + id(e.ID), Who: e.ActorName, Kind: r.T("event." + e.Kind), Reason: e.Reason, At: i, Icon: ui.Icon("history")}
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
	case customer.Changed:
		l.Icon = ui.Icon("edit")
		for _, c := range i.Changes() {
			l.Facts = append(l.Facts, changeView{Field: r.T("customer.field." + c.Field), Of: c.Of, Old: say(r, c.Change, c.Old), New: say(r, c.Change, c.New)})
		}
	}
	return l
}

// say translates the codes a change may hold.
func say(r *web.Request, c event.Change, v string) string {
	prefix := map[string]string{"level": "customer.level.", "source": "customer.source.", "contact.gender": "customer.gender.", "contact.primary": "customer.value."}[c.Field]
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
func (p *pages) again(w http.ResponseWriter, r *web.Request, n int64, cause error, f *web.Form, put func(v *showView)) error {
	if k := fault.KindOf(cause); k != fault.Invalid && k != fault.Conflict {
		return cause
	}
	v, err := p.page(r, n)
	if err != nil {
		return err
	}
	put(&v)
	return showPage.Invalid(w, r, cause, f, chrome(r, v.C.Name), v)
}

func (p *pages) addFollowUp(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	body := f.Text("body")
	rec := journal.Record{At: f.DateTime("at"), Method: f.Get("method"), Contact: f.Limited("contact", 60), Reaction: f.Limited("reaction", 500),
		Agreement: f.Limited("agreement", 500), NextPlan: f.Limited("next_plan", 500), NextAt: f.DateTime("next_at"), Done: f.Bool("done")}
	if err = f.Err(); err == nil {
		_, err = p.Customers.AddFollowUp(r.Context(), r.Actor, n, body, rec)
	}
	if err != nil {
		return p.again(w, r, n, err, f, func(v *showView) { v.FollowUp = f })
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
		return p.again(w, r, n, err, f, func(v *showView) { v.Need = f })
	}
	r.Flash(w, "green", "customer.need.done")
	return r.SeeOther(w, "/customers/%d", n)
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
