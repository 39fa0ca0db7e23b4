package customerui

import (
	"fmt"
	"net/http"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// verificationsView is the list of profiles to be confirmed.
type verificationsView struct {
	Tabs  []workTab
	Rows  []verificationRow
	Pager ui.Pager
	Team  bool
}

type workTab struct {
	Key, Href string
	Count     int
	More      bool
	Current   bool
}

type verificationRow struct {
	customer.Row
	Overdue bool
	Days    int // overdue since, or left
}

var verificationsPage = ui.NewPage[verificationsView](files, "verifications.html").Sample(
	verificationsView{Tabs: []workTab{{Key: "mine", Href: "/x", Count: 3, Current: true}, {Key: "team", Href: "/y", Count: 99, More: true}},
		Rows: []verificationRow{{sample.Row, true, 3}, {sample.Row, false, 3}, {sample.Row, false, 0}}, Pager: ui.Pager{Next: "/x"}},
	verificationsView{Team: true})

const countMost = 99

func (p *pages) verifications(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	f := r.Input()
	// Whoever looks after more than his own sees what his people are behind with.
	leads := authz.For(r.Actor, customer.PermEdit).Level() > authz.Own
	v := verificationsView{Team: f.String("of") == "team" && leads}
	mine := customer.VerificationFilter{Mine: true}
	team := customer.VerificationFilter{Overdue: true}
	tab := func(key, href string, flt customer.VerificationFilter, current bool) error {
		n, err := p.Customers.VerificationsWaiting(ctx, r.Actor, flt, countMost+1)
		v.Tabs = append(v.Tabs, workTab{key, href, min(n, countMost), n > countMost, current})
		return err
	}
	if err := tab("mine", "/customers/verifications", mine, !v.Team); err != nil {
		return err
	}
	if leads {
		if err := tab("team", "/customers/verifications?of=team", team, v.Team); err != nil {
			return err
		}
	}
	flt, base := mine, ""
	if v.Team {
		flt, base = team, "team"
	}
	flt.After = f.String("after")
	rows, next, err := p.Customers.Verifications(ctx, r.Actor, flt)
	if err != nil {
		return err
	}
	now := r.Now()
	for _, x := range rows {
		left := x.VerifyAt.Sub(now)
		row := verificationRow{Row: x, Overdue: left < 0, Days: int(left.Abs() / (24 * time.Hour))}
		v.Rows = append(v.Rows, row)
	}
	if next != "" {
		v.Pager.Next = pageHref("/customers/verifications", "of", base, "after", next)
	}
	if flt.After != "" {
		v.Pager.Prev = pageHref("/customers/verifications", "of", base)
	}
	return verificationsPage.Render(w, r, workChrome(r, "customer.verify.list", "verifications"), v)
}

// verifyView is the page on which a profile is gone through.
type verifyView struct {
	C          customer.Customer
	Form       *web.Form
	Sections   []verifySection
	Answers    []ui.Option
	Industries []ui.Option
	Overdue    bool
	Duplicate  bool // a corrected value belongs to somebody else too
}

type verifySection struct {
	Contact customer.Contact // zero: the profile itself
	Fields  []verifyField
}

type verifyField struct {
	customer.VerifyField
	Label  string // locale key
	Shown  string
	Masked valueView // of sensitive fields with a value
	Form   *web.Form
	Opts   []ui.Option // industries
	Ways   []ui.Option
	Length string
}

// Answer is the name of the choice.
func (f verifyField) Answer() string { return "a." + f.Input }

// When shows the new value once it is to be corrected.
func (f verifyField) When() string { return f.Answer() + "=" + customer.Corrected }

var verifyPage = ui.NewPage[verifyView](files, "verify.html").Sample(
	verifyView{C: sample.Customer, Overdue: true, Duplicate: true, Answers: []ui.Option{{Value: "confirmed", Label: "x"}}, Sections: []verifySection{
		{Fields: []verifyField{{VerifyField: customer.VerifyField{Key: "name", Input: "name", Name: "name", Value: "x"}, Label: "customer.field.name", Shown: "x"},
			{VerifyField: customer.VerifyField{Input: "industry", Name: "industry"}, Label: "customer.field.industry", Opts: []ui.Option{{Value: "C", Label: "x"}}}}},
		{Contact: sample.Contacts[0], Fields: []verifyField{{VerifyField: customer.VerifyField{Input: "contacts.0.phone", Name: "phone", Sensitive: true, Value: "138****5678"},
			Label: "customer.contact.phone", Masked: valueView{Key: "v", Field: customer.Phone, Masked: "138****5678", Can: true, Ask: true}}}}}})

func (p *pages) showVerification(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Blank()
	v, err := p.verifyOf(r, n, f)
	if err != nil {
		return err
	}
	f.Set("version", v.C.Version)
	return verifyPage.Render(w, r, verifyChrome(r, v.C), v)
}

func verifyChrome(r *web.Request, c customer.Customer) ui.Chrome {
	x := chrome(r, r.T("customer.verify.title"), ui.Crumb{Label: c.Name, Href: "/customers/" + id(c.ID)})
	x.Nav, x.Assets = "verifications", append(x.Assets, "care.css")
	return x
}

func (p *pages) verifyOf(r *web.Request, n int64, f *web.Form) (verifyView, error) {
	ctx := r.Context()
	c, err := p.Customers.Get(ctx, customer.View(r.Actor), n)
	if err != nil {
		return verifyView{}, err
	}
	ask, err := p.Customers.RevealNeedsReason(ctx)
	if err != nil {
		return verifyView{}, err
	}
	v := verifyView{C: c, Form: f, Answers: options(r, "customer.verify.", customer.Answers), Overdue: !c.VerifyAt.IsZero() && c.VerifyAt.Before(r.Now()),
		Duplicate: f.Error("duplicate_reason") != "" || f.Get("duplicate_reason") != ""}
	can := r.Actor.Can(customer.PermReveal)
	for _, x := range customer.VerifyFields(c) {
		if len(v.Sections) == 0 || v.Sections[len(v.Sections)-1].Contact.ID != x.Contact.ID {
			v.Sections = append(v.Sections, verifySection{Contact: x.Contact})
		}
		y := verifyField{VerifyField: x, Label: "customer.field." + x.Name, Shown: x.Value, Form: f, Ways: v.Answers, Length: "maxlength=200"}
		if x.Contact.ID != 0 {
			y.Label, y.Length = "customer.contact."+x.Name, "maxlength=60"
		}
		switch {
		case x.Name == "industry":
			y.Shown, y.Opts = industryName(x.Value), industries(r, false)
		case x.Sensitive && x.Value != "":
			y.Masked = valueView{Key: "v" + id(x.Contact.ID) + "-" + x.Name, Customer: n, Contact: x.Contact.ID, Field: customer.Field(x.Name), Masked: x.Value, Ask: ask, Can: can}
		}
		s := &v.Sections[len(v.Sections)-1]
		s.Fields = append(s.Fields, y)
	}
	return v, nil
}

func (p *pages) verify(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
	if err != nil {
		return err
	}
	in := customer.VerifyInput{Version: f.Int64("version"), Answers: map[string]string{}, Values: map[string]string{}, Note: f.String("note"), DuplicateReason: f.String("duplicate_reason")}
	rest := f.Bool("rest")
	for _, x := range customer.VerifyFields(c) {
		answer := f.Get("a." + x.Input)
		if answer == "" && rest {
			answer = customer.Confirmed
		}
		in.Answers[x.Input] = answer
		in.Values[x.Input] = f.String(x.Input)
	}
	var result string
	if err = f.Err(); err == nil {
		result, err = p.Customers.Verify(r.Context(), r.Actor, n, in)
	}
	if err != nil {
		if e, ok := fault.As(err); ok && e.Key == "customer.stale" {
			f.Set("version", c.Version)
		}
		f.Explain(err)
		v, viewErr := p.verifyOf(r, n, f)
		if viewErr != nil {
			return viewErr
		}
		return verifyPage.Invalid(w, r, err, f, verifyChrome(r, c), v)
	}
	r.Flash(w, "green", "customer.verify.done."+result, c.Name)
	if f.Get("do") == "next" {
		rows, _, err := p.Customers.Verifications(r.Context(), r.Actor, customer.VerificationFilter{Mine: true, Limit: 1})
		if err == nil && len(rows) > 0 {
			return r.SeeOther(w, "/customers/%d/verification", rows[0].ID)
		}
		return r.SeeOther(w, "/customers/verifications")
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), fmt.Sprintf("/customers/%d", n)))
}
