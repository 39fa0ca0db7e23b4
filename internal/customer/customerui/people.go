package customerui

import (
	"net/http"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// peopleView is the tab of the contacts.
type peopleView struct {
	Rows    []contactView
	Former  []customer.Former
	Form    *web.Form // of the contact that is being edited, or of a new one
	Editing int64     // its id
	New     bool
	Open    contactView // the one a fragment is about
	Genders []ui.Option
	Roles   []ui.Option
	Own     []ui.Control // the company's own fields of the one that is edited

	inputs func(contact int64) []ui.Control
}

var samplePeople = peopleView{Rows: []contactView{{Contact: customer.Contact{ID: 3, Name: "x", Gender: "female", Position: "x", Role: "decision", Primary: true, Active: true},
	Own: []ui.Fact{{Label: "x", Text: "x"}}, Values: []valueView{{Key: "p3-phone", Contact: 3, Field: customer.Phone, Masked: "x", Can: true, Mark: true}}}, {Contact: customer.Contact{ID: 4, Name: "y"}}},
	Former: []customer.Former{{Contact: customer.Contact{ID: 5, Name: "z", Position: "x"}, LeftAt: time.Unix(1.7e9, 0), Reason: "x", To: customer.Ref{ID: 2, Name: "x"}}, {}}, Editing: 4, Form: &web.Form{}, New: true, Own: sampleControls}

func (p *pages) fillPeople(r *web.Request, v *showView) error {
	var err error
	if v.People.Rows, err = p.contactViews(r, *v, v.C.Contacts); err != nil {
		return err
	}
	_, people, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	if len(people) > 0 {
		c, err := p.Customers.WithFields(r.Context(), v.C)
		if err != nil {
			return err
		}
		v.People.inputs = func(k int64) []ui.Control {
			return fieldui.Inputs(r, people, "contacts.0.", string(c.Type), "", fieldsOf(c, k))
		}
	}
	v.People.Former, err = p.Customers.FormerContacts(r.Context(), customer.View(r.Actor), v.C.ID)
	v.People.Genders = options(r, "customer.gender.", customer.Genders)
	v.People.Roles = options(r, "customer.role.", customer.Roles)
	return err
}

// showContact answers with the form of one contact, id 0 of a new one: in place
// with a script, on the page without.
func (p *pages) showContact(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	k := number(r.PathValue("contact"))
	v, err := p.page(r, n, tabContacts)
	if err != nil {
		return err
	}
	f := r.Blank("version", id(v.C.Version))
	if err := v.People.edit(k, f); err != nil {
		return err
	}
	if k != 0 {
		c := v.People.Open
		f.Set("contacts.0.name", c.Name).Set("contacts.0.gender", c.Gender).Set("contacts.0.position", c.Position).Set("contacts.0.role", c.Role)
		if c.Primary {
			f.Set("primary", "0")
		}
	}
	if err := p.fillOwn(r, v.C, k, f); err != nil {
		return err
	}
	if !r.IsFragment() {
		return showPage.Render(w, r, p.home(r, v), v)
	}
	if r.URL.Query().Has("cancel") {
		v.People.Editing, v.People.New = 0, false
	}
	return showPage.Fragment(w, r, "contacts", v)
}

// fillOwn puts the company's own fields of a contact into its form.
func (p *pages) fillOwn(r *web.Request, c customer.Customer, k int64, f *web.Form) error {
	_, people, err := p.fieldDefs(r)
	if err != nil || len(people) == 0 {
		return err
	}
	if k == 0 {
		fieldui.Begin(f, people, "contacts.0.")
		return nil
	}
	if c, err = p.Customers.WithFields(r.Context(), c); err != nil {
		return err
	}
	fieldui.Fill(f, people, "contacts.0.", fieldsOf(c, k))
	return nil
}

func (v *peopleView) edit(k int64, f *web.Form) error {
	v.Form = f
	if v.inputs != nil {
		v.Own = v.inputs(k)
	}
	if k == 0 {
		v.New = true
		return nil
	}
	for _, c := range v.Rows {
		if c.ID == k {
			v.Editing, v.Open = k, c
			return nil
		}
	}
	return fault.New(fault.NotFound, "customer.contact.unknown")
}

// saveContact stores one contact; the profile and the others stay as they are.
func (p *pages) saveContact(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	k := number(r.PathValue("contact"))
	v, err := p.core(r, n, tabContacts)
	if err != nil {
		return err
	}
	f := r.Input()
	c := v.C
	in := customer.InputOf(c)
	in.DuplicateReason = f.String("duplicate_reason")
	x := customer.ContactInput{ID: k, Name: f.String("contacts.0.name"), Gender: f.Get("contacts.0.gender"), Position: f.String("contacts.0.position"), Role: f.Get("contacts.0.role"),
		Phone: f.String("contacts.0.phone"), Email: f.String("contacts.0.email"), Wechat: f.String("contacts.0.wechat"), Primary: f.Get("primary") == "0",
		ClearEmail: f.Bool("contacts.0.clear_email"), ClearWechat: f.Bool("contacts.0.clear_wechat")}
	if x.Role == "" {
		x.Role = customer.RoleNone
	}
	_, people, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	x.Fields = fieldui.Read(f, people, "contacts.0.")
	in.Contacts = []customer.ContactInput{x}
	version := f.Int64("version")
	if err = f.Err(); err == nil && k == 0 && x.Name == "" && x.Phone == "" {
		err = fault.Invalidf("customer.invalid").Field("contacts.0.name", "customer.contact.name.required")
	}
	if err == nil {
		_, err = p.Customers.Update(r.Context(), r.Actor, n, version, in, f.String("reason"))
	}
	if err != nil {
		if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.Conflict && kind != fault.Limited {
			return err
		}
		if err := p.fillPeople(r, &v); err != nil {
			return err
		}
		if err := v.People.edit(k, f); err != nil {
			return err
		}
		if e, ok := fault.As(err); ok && e.Key == "customer.stale" {
			f.Set("version", c.Version)
		}
		if r.IsFragment() {
			return showPage.InvalidFragment(w, r, err, f, "contacts", v)
		}
		return p.again(w, r, n, tabContacts, err, f, func(v *showView) { _ = v.People.edit(k, f) })
	}
	r.Flash(w, "green", "customer.edit.done")
	return r.SeeOther(w, "/customers/%d/contacts", n)
}

// markContact notes that a number or address of a contact does not work.
func (p *pages) markContact(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	k, err := r.PathID("contact")
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.Customers.MarkUnreachable(r.Context(), r.Actor, n, k, customer.Field(f.Get("field")), f.Get("why")); err != nil {
		return err
	}
	r.Flash(w, "green", "customer.edit.done")
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/customers/"+id(n)+"/contacts"))
}
