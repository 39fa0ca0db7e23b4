package customerui

import (
	"errors"
	"net/http"
	"strings"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// factView is one field of the profile on the page: as it is, or while it is
// being edited in place.
type factView struct {
	Home   string // address of the customer
	Field  string // in addresses: /customers/7/fields/uscc
	Name   string // of the control
	Label  string // locale key
	Own    string // name of one of the company's own fields, instead of a key
	Text   string // as shown; "" is empty
	Href   string // where the value leads
	Copy   bool   // worth copying
	Masked *valueView
	Edit   bool

	// While it is edited.
	Form    *web.Form   // nil: it is not
	Control string      // text, choose, area, date, address
	Typed   *ui.Control // of the company's own fields
	Options []ui.Option
	Empty   string // locale key of the choice of nothing
	Max     string // maxlength=…
	Reason  bool   // why is asked
	Twin    bool   // why there may be a second one is asked
}

// Slot is the id of its place on the page.
func (f factView) Slot() string { return "fact-" + strings.ReplaceAll(f.Field, ".", "-") }

// fields of the profile that are edited in place, as they stand on the page.
// Company only ones are left out for persons.
var fieldsInPlace = []struct {
	field, name, label, control string
	max                         string
	company, reason             bool
}{
	{"name", "name", "customer.field.name", "text", "maxlength=120", false, true},
	{"uscc", "uscc", "customer.field.uscc", "text", "maxlength=24", true, true},
	{"industry", "industry", "customer.field.industry", "choose", "", true, false},
	{"level", "level", "customer.field.level", "choose", "", false, true},
	{"owner", "owner_id", "customer.field.owner", "choose", "", false, true},
	{"department", "department_id", "customer.field.department", "choose", "", false, false},
	{"source", "source", "customer.field.source", "choose", "", false, false},
	{"region", "region", "customer.field.region", "text", "maxlength=60", false, false},
	{"address", "address", "customer.field.address", "address", "maxlength=200", false, false},
	{"website", "website", "customer.field.website", "text", "maxlength=200", false, false},
	{"first_contact", "first_contact", "customer.field.first_contact_at", "date", "", false, false},
	{"remark", "remark", "customer.field.remark", "area", "maxlength=2000", false, false},
}

// facts lists the fields of the profile as they are.
func (p *pages) facts(r *web.Request, v showView) ([]factView, error) {
	ask, err := p.Customers.RevealNeedsReason(r.Context())
	if err != nil {
		return nil, err
	}
	c := v.C
	var out []factView
	for _, d := range fieldsInPlace {
		if d.company && c.Type == customer.Person && !(d.field == "uscc" && c.USCC != "") {
			continue
		}
		f := factView{Home: v.Home(), Field: d.field, Name: d.name, Label: d.label, Control: d.control, Max: d.max, Reason: d.reason, Edit: v.CanEdit}
		switch d.field {
		case "name":
			f.Text = c.Name
			f.Label = "customer.field.name." + string(c.Type)
		case "uscc":
			f.Text, f.Copy = c.USCC, c.USCC != ""
		case "industry":
			f.Text = industryName(c.Industry)
		case "level":
			f.Text = r.T("customer.level." + string(c.Level))
		case "owner":
			f.Text = c.OwnerName
		case "department":
			f.Text = c.DepartmentName
		case "source":
			if c.Source != "" {
				f.Text = r.T("customer.source." + c.Source)
			}
		case "region":
			f.Text = c.Region
		case "address":
			if c.Address != "" {
				f.Masked = &valueView{Key: "v-address", Customer: c.ID, Field: customer.Address, Masked: c.Address, Ask: ask, Can: v.CanReveal}
			}
		case "website":
			f.Text, f.Href = c.Website, c.Website
		case "first_contact":
			if !c.FirstContactAt.IsZero() {
				f.Text = c.FirstContactAt.In(r.Location()).Format("2006-01-02")
			}
		case "remark":
			f.Text = c.Remark
		}
		out = append(out, f)
	}
	return out, nil
}

// ownFacts lists the company's own fields as they are, those that are empty too
// for who may fill them in.
func (p *pages) ownFacts(r *web.Request, v *showView) error {
	own, _, err := p.fieldDefs(r)
	if err != nil || len(own) == 0 {
		return err
	}
	if v.C, err = p.Customers.WithFields(r.Context(), v.C); err != nil {
		return err
	}
	for _, d := range own {
		x := v.C.Fields[d.ID]
		if !d.Applies(string(v.C.Type)) || x.Empty() && !v.CanEdit {
			continue
		}
		f := factView{Home: v.Home(), Field: d.Name(), Name: d.Name(), Own: d.Label, Text: x.Text(r.Lang), Edit: v.CanEdit}
		if d.Kind == field.Link {
			f.Href = x.Str
		}
		v.Own = append(v.Own, f)
	}
	return nil
}

// editOwn opens one of the company's own fields.
func (p *pages) editOwn(r *web.Request, v *showView, name string, f *web.Form) error {
	own, _, err := p.fieldDefs(r)
	if err != nil {
		return err
	}
	for _, c := range fieldui.Inputs(r, own, "", string(v.C.Type), "", v.C.Fields) {
		for i := range v.Own {
			x := &v.Own[i]
			if x.Field != name || c.Name != name || !x.Edit {
				continue
			}
			if !f.Has("version") { // nothing was typed yet
				fieldui.Fill(f, own, "", v.C.Fields)
				f.Set("version", v.C.Version)
			}
			c.Bare = true
			x.Form, x.Typed = f, &c
			v.Open = *x
			return nil
		}
	}
	return fault.New(fault.NotFound, "ui.error.not_found")
}

// edit opens one of facts with what the form holds.
func (p *pages) edit(r *web.Request, v *showView, name string, f *web.Form) error {
	if strings.HasPrefix(name, field.Prefix) {
		return p.editOwn(r, v, name, f)
	}
	for i := range v.Facts {
		x := &v.Facts[i]
		if x.Field != name || !x.Edit {
			continue
		}
		x.Form = f
		switch name {
		case "industry":
			x.Options, x.Empty = industries(r, false), "ui.form.choose"
		case "level":
			x.Options = options(r, "customer.level.", customer.Levels)
		case "source":
			x.Options, x.Empty = options(r, "customer.source.", customer.Sources), "ui.form.choose"
		case "owner":
			owners, err := p.owners(r)
			if err != nil {
				return err
			}
			if v.C.OwnerID != 0 && !has(owners, id(v.C.OwnerID)) { // he has left, or may no longer see customers
				owners = append(owners, ui.Option{Value: id(v.C.OwnerID), Label: v.C.OwnerName})
			}
			x.Options, x.Empty = owners, "customer.owner.none"
		case "department":
			deps, err := p.departments(r)
			if err != nil {
				return err
			}
			x.Options = deps
		}
		v.Open = *x
		return nil
	}
	return fault.New(fault.NotFound, "ui.error.not_found")
}

// field loads the page with one field of the profile.
func (p *pages) field(r *web.Request, n int64) (showView, error) {
	v, err := p.core(r, n, tabTimeline)
	if err == nil {
		v.Facts, err = p.facts(r, v)
	}
	if err == nil && strings.HasPrefix(r.PathValue("field"), field.Prefix) {
		err = p.ownFacts(r, &v)
	}
	return v, err
}

// showField answers with a field's form in place of its value; ?cancel with the
// value again. Without a script it is the whole page with that form open.
func (p *pages) showField(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	name := r.PathValue("field")
	whole := !r.IsFragment()
	var v showView
	if whole {
		v, err = p.page(r, n, tabTimeline)
	} else {
		v, err = p.field(r, n)
	}
	if err != nil {
		return err
	}
	f := stored(r, v.C)
	if strings.HasPrefix(name, field.Prefix) {
		f = r.Blank()
	}
	if err := p.edit(r, &v, name, f); err != nil {
		return err
	}
	if whole {
		return showPage.Render(w, r, p.home(r, v), v)
	}
	if r.URL.Query().Has("cancel") {
		v.Open.Form = nil
	}
	return showPage.Fragment(w, r, "open", v)
}

// saveField stores one field of the profile; the rest stays as it is.
func (p *pages) saveField(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	name := r.PathValue("field")
	v, err := p.field(r, n)
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.edit(r, &v, name, f); err != nil {
		return err
	}
	c := v.C
	in := customer.InputOf(c)
	in.DuplicateReason = f.String("duplicate_reason")
	switch name {
	case "name":
		in.Name = f.String("name")
	case "uscc":
		in.USCC = f.String("uscc")
	case "industry":
		in.Industry = f.String("industry")
	case "level":
		in.Level = customer.Level(f.Get("level"))
	case "owner":
		in.OwnerID = f.ID("owner_id")
	case "department":
		in.DepartmentID = f.ID("department_id")
	case "source":
		in.Source = f.Get("source")
	case "region":
		in.Region = f.String("region")
	case "address":
		in.Address = f.String("address")
		in.ClearAddress = in.Address == "" && f.Bool("clear_address")
	case "website":
		in.Website = f.String("website")
	case "first_contact":
		if d := f.Date("first_contact"); d.IsZero() || d.In(r.Location()).Format("2006-01-02") != c.FirstContactAt.In(r.Location()).Format("2006-01-02") {
			in.FirstContactAt = d
		}
	case "remark":
		in.Remark = f.Text("remark")
	default:
		if in.Fields, err = p.typed(r, f, name); err != nil {
			return err
		}
	}
	version := f.Int64("version")
	var saved customer.Customer
	if err = f.Err(); err == nil {
		saved, err = p.Customers.Update(r.Context(), r.Actor, n, version, in, f.String("reason"))
	}
	if err != nil {
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict && k != fault.Limited {
			return err
		}
		var dup *customer.DuplicateError
		if errors.As(err, &dup) {
			v.Open.Twin = true
		}
		if e, ok := fault.As(err); ok && e.Key == "customer.stale" {
			f.Set("version", c.Version) // shown both; saving again is deliberate
		}
		if r.IsFragment() {
			return showPage.InvalidFragment(w, r, err, f, "open", v)
		}
		return p.again(w, r, n, tabTimeline, err, f, func(v *showView) {
			if err := p.edit(r, v, name, f); err == nil && dup != nil {
				for i := range v.Facts {
					v.Facts[i].Twin = v.Facts[i].Field == name
				}
			}
		})
	}
	if !r.IsFragment() || name == "level" { // a change of level may wait for consent: the whole page says so
		if saved.Level != in.Level {
			r.Flash(w, "amber", "customer.level.asked")
		} else {
			r.Flash(w, "green", "customer.edit.done")
		}
		return r.SeeOther(w, "/customers/%d", n)
	}
	if v, err = p.core(r, n, tabTimeline); err != nil {
		return err
	}
	if err = p.side(r, &v); err != nil {
		return err
	}
	for _, x := range append(v.Facts, v.Own...) {
		if x.Field == name {
			v.Open = x
		}
	}
	return showPage.Fragment(w, r, "open", v, ui.Into("head", "#chead", "innerMorph"))
}

// typed is what was typed for one of the company's own fields.
func (p *pages) typed(r *web.Request, f *web.Form, name string) (field.Input, error) {
	own, _, err := p.fieldDefs(r)
	for _, d := range own {
		if d.Name() == name {
			return fieldui.Read(f, []field.Def{d}, ""), err
		}
	}
	return nil, err
}
