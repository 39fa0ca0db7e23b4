package customerui

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// formView is the form of a new customer, and of one being edited.
type formView struct {
	Form     *web.Form
	Customer customer.Customer // zero for a new one
	Rows     []contactRow
	Dup      dupView
	Fields   []ui.Control // the company's own

	Types, Levels, Sources, Industries, Genders, Owners, Departments, Urgencies, Tags []ui.Option
}

// contactRow is one contact of the form; Field names its fields.
type contactRow struct {
	Form    *web.Form
	N       int
	Contact customer.Contact // as stored, masked; zero for a new one
	Genders []ui.Option
	Roles   []ui.Option
	Removed bool
	Fields  []ui.Control
}

// Field is the name of a field of this row.
func (c contactRow) Field(name string) string { return fmt.Sprintf("contacts.%d.%s", c.N, name) }

// ID is the element id of a field of this row.
func (c contactRow) ID(name string) string { return fmt.Sprintf("id=c%d-%s", c.N, name) }

// Required marks the telephone of the first row, which is the primary contact's
// unless another is chosen.
func (c contactRow) Required() string {
	if c.N == 0 && c.Contact.Phone == "" {
		return "required"
	}
	return ""
}

// Was shows the stored value where the field is empty because it cannot.
func (c contactRow) Was(masked string) string {
	if masked == "" {
		return ""
	}
	return "placeholder==" + masked
}

// dupView is what the form says while one types.
type dupView struct {
	Form        *web.Form
	Matches     []customer.Match
	Sure        bool
	USCCMessage string
	USCCFine    bool
}

var formPage = ui.NewPage[formView](files, "form.html").Sample(
	formView{Rows: []contactRow{{}}},
	formView{Customer: sample.Customer, Rows: []contactRow{{N: 0, Contact: sample.Contacts[0]}, {N: 1, Contact: sample.Contacts[0], Removed: true}, {N: 2}},
		Dup: dupView{USCCMessage: "x", Sure: true, Matches: []customer.Match{
			{Customer: customer.Ref{ID: 1, Number: "C1", Name: "x", Type: customer.Company, Level: customer.VIP}, Department: "x", Matched: []string{"uscc", "phone"}, Sure: true},
			{Department: "x", Matched: []string{"name"}}}}},
	formView{Rows: []contactRow{{Form: &web.Form{}, Fields: sampleControls}}, Dup: dupView{USCCFine: true}, Fields: sampleControls})

var sampleControls = []ui.Control{{Name: "fields.x", Label: "x", Kind: "date", Required: true, When: "type=company"}}

// maxRows bounds the rows of contacts a form draws.
const maxRows = 50

func (p *pages) formChrome(r *web.Request, c customer.Customer) ui.Chrome {
	if c.ID == 0 {
		return chrome(r, r.T("customer.new.title"))
	}
	return chrome(r, r.T("customer.edit.title"), ui.Crumb{Label: c.Name, Href: "/customers/" + id(c.ID)})
}

// view completes the form for c (zero: a new customer).
func (p *pages) view(r *web.Request, f *web.Form, c customer.Customer) (formView, error) {
	v := formView{Form: f, Customer: c}
	v.Types = options(r, "customer.type.", customer.Types)
	v.Levels = options(r, "customer.level.", customer.Levels)
	v.Sources = options(r, "customer.source.", customer.Sources)
	v.Industries = industries(r, false)
	v.Genders = options(r, "customer.gender.", customer.Genders)
	v.Urgencies = options(r, "customer.urgency.", customer.Urgencies)
	var err error
	if v.Owners, err = p.owners(r); err != nil {
		return v, err
	}
	if c.OwnerID != 0 && !has(v.Owners, id(c.OwnerID)) { // he has left, or may no longer see customers
		v.Owners = append(v.Owners, ui.Option{Value: id(c.OwnerID), Label: c.OwnerName})
	}
	if v.Departments, err = p.departments(r); err != nil {
		return v, err
	}
	if v.Tags, err = p.tagOptions(r); err != nil {
		return v, err
	}
	own, people, err := p.fieldDefs(r)
	if err != nil {
		return v, err
	}
	if c, err = p.Customers.WithFields(r.Context(), c); err != nil {
		return v, err
	}
	typeField := "type" // of a new one it can still be chosen
	if c.ID != 0 {
		typeField = ""
	}
	v.Fields = fieldui.Inputs(r, own, "", string(c.Type), typeField, c.Fields)
	v.Rows = rows(f, c, v.Genders)
	for i := range v.Rows {
		v.Rows[i].Roles = roleOptions(r)
	}
	for i := range v.Rows {
		row := &v.Rows[i]
		row.Fields = fieldui.Inputs(r, people, row.Field(""), string(c.Type), typeField, fieldsOf(c, row.Contact.ID))
	}
	v.Dup.Form = f
	return v, nil
}

func has(os []ui.Option, value string) bool {
	for _, o := range os {
		if o.Value == value {
			return true
		}
	}
	return false
}

func rows(f *web.Form, c customer.Customer, genders []ui.Option) []contactRow {
	n := min(max(int(number(f.Get("contacts"))), len(c.Contacts), 1), maxRows)
	out := make([]contactRow, n)
	for i := range out {
		out[i] = contactRow{Form: f, N: i, Genders: genders}
		stored := number(f.Get(out[i].Field("id")))
		for _, k := range c.Contacts {
			if k.ID == stored {
				out[i].Contact = k
			}
		}
		out[i].Removed = f.Bool(out[i].Field("remove"))
	}
	return out
}

// fieldDefs are the company's own fields of profiles and of contacts.
func (p *pages) fieldDefs(r *web.Request) (own, people []field.Def, err error) {
	if own, err = p.Customers.Fields().Defs(r.Context(), r.Lang, field.Customer); err == nil {
		people, err = p.Customers.Fields().Defs(r.Context(), r.Lang, field.Contact)
	}
	return own, people, err
}

func fieldsOf(c customer.Customer, contactID int64) map[int64]field.Value {
	for _, k := range c.Contacts {
		if k.ID == contactID {
			return k.Fields
		}
	}
	return nil
}

// readOwn is read with the company's own fields.
func (p *pages) readOwn(r *web.Request, f *web.Form) (customer.Input, error) {
	in := read(f)
	own, people, err := p.fieldDefs(r)
	if err != nil {
		return in, err
	}
	in.Fields = fieldui.Read(f, own, "")
	for i := range in.Contacts {
		in.Contacts[i].Fields = fieldui.Read(f, people, contactRow{N: i}.Field(""))
		if k := in.Contacts[i]; k.ID == 0 && k.Name+k.Phone+k.Email+k.Wechat+k.Position == "" && fieldui.Untouched(people, k.Fields) {
			in.Contacts[i].Fields = nil // an empty row with nothing but defaults
		}
	}
	return in, nil
}

// read turns the form into an Input. What is wrong with a value is said by the
// service; here only what is no date or number at all.
func read(f *web.Form) customer.Input {
	in := customer.Input{
		Type: customer.Type(f.Get("type")), Name: f.String("name"), USCC: f.String("uscc"), Industry: f.String("industry"),
		Level: customer.Level(f.Get("level")), Source: f.Get("source"), Region: f.String("region"), Address: f.String("address"),
		ClearAddress: f.Bool("clear_address"), Website: f.String("website"), Remark: f.Text("remark"),
		OwnerID: f.ID("owner_id"), DepartmentID: f.ID("department_id"), FirstContactAt: f.Date("first_contact"),
		TagIDs: f.IDs("tags"), DuplicateReason: f.String("duplicate_reason"),
		Need: customer.NeedInput{Product: f.String("need.product"), Description: f.Text("need.description"), Period: f.String("need.period"),
			Budget: f.String("need.budget"), Delivery: f.String("need.delivery"), Special: f.Text("need.special"), Urgency: f.Get("need.urgency")},
	}
	for i := range min(max(int(number(f.Get("contacts"))), 1), maxRows) {
		field := func(name string) string { return fmt.Sprintf("contacts.%d.%s", i, name) }
		in.Contacts = append(in.Contacts, customer.ContactInput{
			ID: f.ID(field("id")), Name: f.String(field("name")), Gender: f.Get(field("gender")), Position: f.String(field("position")), Role: f.Get(field("role")),
			Phone: f.String(field("phone")), Email: f.String(field("email")), Wechat: f.String(field("wechat")),
			Primary: f.Get("primary") == fmt.Sprint(i), Remove: f.Bool(field("remove")),
			ClearEmail: f.Bool(field("clear_email")), ClearWechat: f.Bool(field("clear_wechat"))})
	}
	return in
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	q := r.Input()
	kind := string(customer.Company)
	if q.Get("type") == string(customer.Person) {
		kind = string(customer.Person)
	}
	f := r.Blank("type", kind, "level", "normal", "source", q.Get("source"), "name", q.String("name"), "contacts.0.phone", q.String("phone"), "primary", "0",
		"department_id", id(r.Actor.DepartmentID), "first_contact", r.Now().In(r.Location()).Format("2006-01-02"))
	own, people, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	fieldui.Begin(f, own, "")
	fieldui.Begin(f, people, contactRow{}.Field(""))
	v, err := p.view(r, f, customer.Customer{})
	if err != nil {
		return err
	}
	return formPage.Render(w, r, p.formChrome(r, v.Customer), v)
}

// invalid shows the form again; a suspected duplicate with its candidates.
func (p *pages) invalid(w http.ResponseWriter, r *web.Request, cause error, f *web.Form, c customer.Customer) error {
	v, err := p.view(r, f, c)
	if err != nil {
		return err
	}
	var dup *customer.DuplicateError
	if errors.As(cause, &dup) {
		v.Dup.Matches, v.Dup.Sure = dup.Matches, true
	}
	return formPage.Invalid(w, r, cause, f, p.formChrome(r, c), v)
}

func (p *pages) create(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in, err := p.readOwn(r, f)
	if err != nil {
		return err
	}
	err = f.Err()
	var c customer.Customer
	if err == nil {
		c, err = p.Customers.Create(r.Context(), r.Actor, in)
	}
	if err != nil {
		return p.invalid(w, r, err, f, customer.Customer{})
	}
	r.Flash(w, "green", "customer.new.done", c.Name, c.Number)
	if p.NewTicket != "" && f.Get("then") == "ticket" {
		return r.SeeOther(w, "%s?customer=%d", p.NewTicket, c.ID)
	}
	return r.SeeOther(w, "/customers/%d", c.ID)
}

func (p *pages) showEdit(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
	if err != nil {
		return err
	}
	if c, err = p.Customers.WithFields(r.Context(), c); err != nil {
		return err
	}
	own, people, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	f := stored(r, c)
	fieldui.Fill(f, own, "", c.Fields)
	for i, k := range c.Contacts {
		fieldui.Fill(f, people, contactRow{N: i}.Field(""), k.Fields)
	}
	v, err := p.view(r, f, c)
	if err != nil {
		return err
	}
	return formPage.Render(w, r, p.formChrome(r, c), v)
}

// stored is the form of a profile as it is stored. Sensitive fields are empty:
// empty means as it was.
func stored(r *web.Request, c customer.Customer) *web.Form {
	f := r.Blank("type", string(c.Type), "name", c.Name, "uscc", c.USCC, "industry", c.Industry, "level", string(c.Level), "source", c.Source,
		"region", c.Region, "website", c.Website, "remark", c.Remark, "department_id", id(c.DepartmentID), "version", id(c.Version),
		"contacts", fmt.Sprint(len(c.Contacts)))
	if c.OwnerID != 0 {
		f.Set("owner_id", c.OwnerID)
	}
	if !c.FirstContactAt.IsZero() {
		f.Set("first_contact", c.FirstContactAt.In(r.Location()).Format("2006-01-02"))
	}
	for i, k := range c.Contacts {
		field := contactRow{N: i}.Field
		f.Set(field("id"), k.ID).Set(field("name"), k.Name).Set(field("gender"), k.Gender).Set(field("position"), k.Position).Set(field("role"), k.Role)
		if k.Primary {
			f.Set("primary", i)
		}
	}
	return f
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	in, err := p.readOwn(r, f)
	if err != nil {
		return err
	}
	version := f.Int64("version")
	var saved customer.Customer
	if err = f.Err(); err == nil {
		if first := in.FirstContactAt; !first.IsZero() {
			// The form knows the day only; an unchanged day keeps its hour.
			if old, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n); err == nil &&
				old.FirstContactAt.In(r.Location()).Format("2006-01-02") == first.In(r.Location()).Format("2006-01-02") {
				in.FirstContactAt = old.FirstContactAt
			}
		}
		saved, err = p.Customers.Update(r.Context(), r.Actor, n, version, in, f.String("reason"))
	}
	if err != nil {
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict {
			return err
		}
		c, loadErr := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
		if loadErr != nil {
			return loadErr
		}
		if e, ok := fault.As(err); ok && e.Key == "customer.stale" {
			f.Set("version", c.Version) // shown both; saving again is deliberate
		}
		return p.invalid(w, r, err, f, c)
	}
	if saved.Level != in.Level && in.Level != "" {
		r.Flash(w, "amber", "customer.level.asked")
	} else {
		r.Flash(w, "green", "customer.edit.done")
	}
	return r.SeeOther(w, "/customers/%d", n)
}

// moreContacts draws one more row of contacts: the fragment of rows with a
// script, the whole form as it was typed without.
func (p *pages) moreContacts(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	var c customer.Customer
	if n := number(f.Get("customer")); n != 0 {
		var err error
		if c, err = p.Customers.Get(r.Context(), customer.View(r.Actor), n); err != nil {
			return err
		}
	}
	_, people, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	n := max(int(number(f.Get("contacts"))), 1)
	f.Set("contacts", n+1)
	fieldui.Begin(f, people, contactRow{N: n}.Field(""))
	v, err := p.view(r, f, c)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return formPage.Fragment(w, r, "contacts", v)
	}
	return formPage.Render(w, r, p.formChrome(r, c), v)
}

// check says what the duplicate check and the check digit say, while one types.
func (p *pages) check(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := read(f)
	v := dupView{Form: f}
	if key, args := customer.CheckUSCC(in.USCC); key != "" {
		v.USCCMessage = r.T(key, args...)
	} else {
		v.USCCFine = strings.TrimSpace(in.USCC) != ""
	}
	c := customer.Candidate{ID: number(f.Get("customer")), Type: in.Type, Name: in.Name, USCC: in.USCC}
	for _, k := range in.Contacts {
		if !k.Remove {
			c.Phones, c.Emails = append(c.Phones, k.Phone), append(c.Emails, k.Email)
		}
	}
	ms, err := p.Customers.Duplicates(r.Context(), r.Actor, c)
	if err != nil {
		return err
	}
	v.Matches = ms
	for _, m := range ms {
		v.Sure = v.Sure || m.Sure
	}
	return formPage.Fragment(w, r, "dup", formView{Form: f, Dup: v})
}
