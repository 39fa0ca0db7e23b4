package ticketui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// newView is the form that registers a request, of a customer who is known or
// of one who is typed in with it (TKT-1, CHN-9).
type newView struct {
	Form    *web.Form
	Known   *customer.Customer // the one chosen; nil: none yet
	Open    []ticket.Brief     // his open tickets: perhaps he asks for news
	Matches []customer.Match
	Follows string // number of the archived ticket this one continues
	Uploads []uploaded
	CanNew  bool
	CanFind bool
	Fields  []ui.Control    // the company's own
	Parts   []template.HTML // of other rooms

	Types, Classes, Categories, Urgencies, Priorities, Channels, Departments, People, Contacts, Kinds, Levels, Sources, Genders, Who []ui.Option
}

func (p *pages) newView(r *web.Request, f *web.Form) (v newView, err error) {
	v = newView{Form: f, CanNew: r.Actor.Can(customer.PermCreate), CanFind: r.Actor.Can(customer.PermView), Uploads: p.waiting(r, f), Follows: f.String("follows"),
		Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes), Urgencies: options(r, "ticket.urgency.", ticket.Urgencies),
		Priorities: options(r, "ticket.priority.", ticket.Priorities), Channels: options(r, "ticket.channel.", ticket.Channels),
		Kinds: options(r, "customer.type.", customer.Types), Levels: options(r, "customer.level.", customer.Levels),
		Sources: options(r, "customer.source.", customer.Sources), Genders: options(r, "customer.gender.", customer.Genders)}
	if v.CanFind {
		v.Who = append(v.Who, ui.Option{Value: "known", Label: r.T("ticket.new.known")})
	}
	if v.CanNew {
		v.Who = append(v.Who, ui.Option{Value: "new", Label: r.T("ticket.new.unknown")})
	}
	if v.Categories, err = p.categories(r); err != nil {
		return v, err
	}
	if v.Departments, err = p.departments(r, id); err != nil {
		return v, err
	}
	if v.People, err = p.people(r, r.Actor.DepartmentID, ticket.PermHandle); err != nil {
		return v, err
	}
	defs, _, err := p.fields(r, 0)
	if err != nil {
		return v, err
	}
	v.Fields = fieldui.Inputs(r, defs, "", "", "type", nil)
	for _, n := range p.New {
		part, err := n.Draw(r, f)
		if err != nil {
			return v, err
		}
		v.Parts = append(v.Parts, part)
	}
	return v, p.knownCustomer(r, &v)
}

// knownCustomer loads the customer chosen, if he is in the reader's scope.
func (p *pages) knownCustomer(r *web.Request, v *newView) error {
	n := v.Form.ID("customer")
	if n == 0 || v.Form.Get("who") == "new" {
		return nil
	}
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	v.Known = &c
	for _, x := range c.Contacts {
		v.Contacts = append(v.Contacts, ui.Option{Value: id(x.ID), Label: x.Name + " " + x.Phone})
	}
	rows, err := p.Tickets.OfCustomer(r.Context(), ticket.View(r.Actor), c.ID, 10)
	if err != nil {
		return err
	}
	for _, x := range rows {
		if x.State.Open() && len(v.Open) < 4 {
			v.Open = append(v.Open, x)
		}
	}
	return nil
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	q := r.Blank()
	q.Values = r.URL.Query()
	f := r.Blank("who", "known", "kind", string(customer.Company), "type", "consultation", "urgency", "normal", "channel", "phone", "level", string(customer.Normal))
	if !r.Actor.Can(customer.PermView) {
		f.Set("who", "new")
	}
	if n := q.ID("customer"); n != 0 {
		f.Set("customer", n)
	}
	if number := q.String("follows"); number != "" {
		t, err := p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), number)
		if err != nil {
			return err
		}
		f.Set("follows", t.Number).Set("customer", t.CustomerID).Set("title", t.Title).Set("type", t.Type).Set("class", t.Class)
	}
	defs, _, err := p.fields(r, 0)
	if err != nil {
		return err
	}
	fieldui.Begin(f, defs, "")
	v, err := p.newView(r, f)
	if err != nil {
		return err
	}
	return newPage.Render(w, r, sheet(r, r.T("ticket.new.title")), v)
}

// newCustomer answers with what is known of the customer just chosen.
func (p *pages) newCustomer(w http.ResponseWriter, r *web.Request) error {
	f := r.Blank()
	f.Values = r.URL.Query()
	v := newView{Form: f}
	if err := p.knownCustomer(r, &v); err != nil {
		return err
	}
	return newPage.Fragment(w, r, "known", v)
}

// duplicates answers with the customers who may be the one that is being typed.
func (p *pages) duplicates(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v := newView{Form: f}
	in := newCustomerInput(f)
	c := customer.Candidate{Type: in.Type, Name: in.Name, USCC: in.USCC}
	for _, x := range in.Contacts {
		c.Phones, c.Emails = append(c.Phones, x.Phone), append(c.Emails, x.Email)
	}
	var err error
	if v.Matches, err = p.Customers.Duplicates(r.Context(), r.Actor, c); err != nil {
		return err
	}
	return newPage.Fragment(w, r, "matches", v)
}

func newCustomerInput(f *web.Form) customer.Input {
	return customer.Input{Type: customer.Type(f.String("kind")), Name: f.String("name"), USCC: f.String("uscc"), Level: customer.Level(f.String("level")), Source: f.String("source"),
		Region: f.String("region"), DuplicateReason: f.String("duplicate_reason"),
		Contacts: []customer.ContactInput{{Name: f.String("contacts.0.name"), Gender: f.String("contacts.0.gender"), Position: f.String("contacts.0.position"),
			Phone: f.String("contacts.0.phone"), Email: f.String("contacts.0.email"), Primary: true}}}
}

// register makes the ticket, and the customer with it.
func (p *pages) register(w http.ResponseWriter, r *web.Request) error {
	ctx, f := r.Context(), r.Input()
	in := ticket.RegisterInput{Title: f.String("title"), Type: f.String("type"), Class: f.String("class"), CategoryID: f.ID("category"), Urgency: f.String("urgency"),
		Priority: f.String("priority"), PriorityReason: f.Limited("priority_reason", 500), Channel: f.String("channel"), Description: f.Limited("description", journal.MaxBody),
		DepartmentID: f.ID("department"), AssigneeID: f.ID("assignee")}
	defs, _, err := p.fields(r, 0)
	if err != nil {
		return err
	}
	in.Fields = fieldui.Read(f, defs, "")
	who := f.Choice("who", "known", "new")
	if number := f.String("follows"); number != "" {
		t, err := p.Tickets.ByNumber(ctx, ticket.View(r.Actor), number)
		if err != nil {
			return err
		}
		in.FollowsID = t.ID
	}
	switch who {
	case "known":
		if in.CustomerID = f.ID("customer"); in.CustomerID != 0 {
			c, err := p.Customers.Get(ctx, customer.View(r.Actor), in.CustomerID)
			switch {
			case fault.Is(err, fault.NotFound):
				f.Fail("customer", "ticket.need_customer")
			case err != nil:
				return err
			}
			if in.ContactID = f.ID("contact"); in.ContactID != 0 && !slices.ContainsFunc(c.Contacts, func(x customer.Contact) bool { return x.ID == in.ContactID }) {
				in.ContactID = 0 // chosen before the customer was changed
			}
		}
	case "new":
		if err := r.Actor.Check(customer.PermCreate); err != nil {
			return err
		}
		c := newCustomerInput(f)
		in.NewCustomer = func(ctx context.Context, a *action.Action) (int64, error) {
			made, err := p.Customers.CreateIn(ctx, a, c)
			return made.ID, err
		}
	}
	in.Then = p.more(f)
	if in.Files, err = p.received(r, f); err == nil {
		err = f.Err()
	}
	var t ticket.Ticket
	if err == nil {
		t, err = p.Tickets.Register(ctx, r.Actor, in)
	}
	if err != nil {
		v, verr := p.newView(r, f)
		if verr != nil {
			return verr
		}
		var dup *customer.DuplicateError
		if errors.As(err, &dup) {
			v.Matches = dup.Matches
		}
		return newPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.new.title")), v)
	}
	r.Flash(w, "green", "ticket.new.done", t.Number)
	if _, err := p.Tickets.Get(ctx, ticket.View(r.Actor), t.ID); fault.Is(err, fault.NotFound) {
		return r.SeeOther(w, "/tickets")
	}
	return r.SeeOther(w, "/tickets/%s?new=1", t.Number)
}

// more joins what other rooms do with a new ticket; nil: nothing.
func (p *pages) more(f *web.Form) func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
	var all []func(ctx context.Context, a *action.Action, t *ticket.Ticket) error
	for _, n := range p.New {
		if do := n.Read(f); do != nil {
			all = append(all, do)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
		for _, do := range all {
			if err := do(ctx, a, t); err != nil {
				return err
			}
		}
		return nil
	}
}
