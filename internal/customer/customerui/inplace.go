package customerui

import (
	"errors"
	"net/http"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
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
	Text   string // as shown; "" is empty
	Href   string // where the value leads
	Copy   bool   // worth copying
	Masked *valueView
	Edit   bool

	// While it is edited.
	Form    *web.Form // nil: it is not
	Control string    // text, choose, area, date, address
	Options []ui.Option
	Empty   string // locale key of the choice of nothing
	Max     string // maxlength=…
	Reason  bool   // why is asked
	Twin    bool   // why there may be a second one is asked
}

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

// edit opens one of facts with what the form holds.
func (p *pages) edit(r *web.Request, v *showView, field string, f *web.Form) error {
	for i := range v.Facts {
		x := &v.Facts[i]
		if x.Field != field || !x.Edit {
			continue
		}
		x.Form = f
		switch field {
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
	return v, err
}

// showField answers with a field's form in place of its value; ?cancel with the
// value again. Without a script it is the whole page with that form open.
func (p *pages) showField(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	field := r.PathValue("field")
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
	if err := p.edit(r, &v, field, stored(r, v.C)); err != nil {
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
	field := r.PathValue("field")
	v, err := p.field(r, n)
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.edit(r, &v, field, f); err != nil {
		return err
	}
	c := v.C
	in := customer.InputOf(c)
	in.DuplicateReason = f.String("duplicate_reason")
	switch field {
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
			if err := p.edit(r, v, field, f); err == nil && dup != nil {
				for i := range v.Facts {
					v.Facts[i].Twin = v.Facts[i].Field == field
				}
			}
		})
	}
	if !r.IsFragment() || field == "level" { // a change of level may wait for consent: the whole page says so
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
	for _, x := range v.Facts {
		if x.Field == field {
			v.Open = x
		}
	}
	return showPage.Fragment(w, r, "open", v, ui.Into("head", "#chead", "innerMorph"))
}
