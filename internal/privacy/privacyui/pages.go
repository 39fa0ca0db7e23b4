// Package privacyui shows what the company answers for: requests of persons
// about their own data, deletions and disclosures with their way through
// approval, the proofs of erasure, and how long data is kept.
package privacyui

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/privacy"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "privacy.css")
	_ = []struct{}{
		ui.SetTone("privacy.waiting", "amber"), ui.SetTone("privacy.running", "blue"), ui.SetTone("privacy.done", "gray"), ui.SetTone("privacy.ready", "green"), ui.SetTone("privacy.expired", "gray"),
		ui.SetTone("privacy.refused", "red"), ui.SetTone("privacy.withdrawn", "gray"), ui.SetTone("privacy.lapsed", "gray"), ui.SetTone("privacy.failed", "red"), ui.SetTone("privacy.open", "blue"),
	}
)

const pageSize = 30

type pages struct {
	s *privacy.Service
	c *customer.Service
}

// Nav are the entries of the navigation; they share one place.
func Nav() []ui.Nav {
	const group = "privacy.group"
	return []ui.Nav{
		{Key: "person-requests", Href: "/privacy/requests", Icon: "eye-off", LabelKey: "privacy.request.nav", Perm: privacy.PermView, Menu: true, Group: group},
		{Key: "deletions", Href: "/privacy/deletions", Icon: "trash", LabelKey: "privacy.deletion.nav", Perm: privacy.PermView, Menu: true, Group: group},
		{Key: "disclosures", Href: "/privacy/disclosures", Icon: "external", LabelKey: "privacy.disclosure.nav", Perm: privacy.PermView, Menu: true, Group: group},
		{Key: "retention", Href: "/privacy/retention", Icon: "hourglass", LabelKey: "privacy.retention.nav", Perm: privacy.PermManage, Menu: true, Group: group},
	}
}

// Routes adds the pages.
func Routes(rt *web.Router, s *privacy.Service, c *customer.Service) {
	p := &pages{s, c}
	rt.Handle("GET  /privacy/requests", privacy.PermView, p.requests)
	rt.Handle("GET  /privacy/requests/new", privacy.PermRegister, p.newRequest)
	rt.Handle("POST /privacy/requests", privacy.PermRegister, p.register)
	rt.Handle("GET  /privacy/requests/{id}", privacy.PermView, p.request)
	rt.Handle("POST /privacy/requests/{id}/identity", privacy.PermRegister, p.identify)
	rt.Handle("POST /privacy/requests/{id}/search", privacy.PermManage, p.search)
	rt.Handle("POST /privacy/requests/{id}/copy", privacy.PermManage, p.export)
	rt.Handle("GET  /privacy/requests/{id}/copy", privacy.PermManage, p.fetchRequest)
	rt.Handle("POST /privacy/requests/{id}/erasure", privacy.PermManage, p.erase)
	rt.Handle("POST /privacy/requests/{id}/restriction", privacy.PermManage, p.restrict)
	rt.Handle("POST /privacy/requests/{id}/outcome", privacy.PermManage, p.close)
	rt.Handle("POST /privacy/requests/{id}/refusal", privacy.PermManage, p.refuse)
	rt.Handle("POST /privacy/restrictions/lifted", privacy.PermManage, p.lift)
	rt.Handle("GET  /privacy/erasures/{id}", privacy.PermView, p.proof)
	rt.Handle("GET  /privacy/erasures/{id}/proof", privacy.PermView, p.proofJSON)
	rt.Handle("GET  /privacy/deletions", privacy.PermView, p.deletions)
	rt.Handle("GET  /privacy/deletions/{id}", privacy.PermView, p.deletion)
	rt.Handle("GET  /customers/{id}/deletion", privacy.PermDelete, p.newDeletion)
	rt.Handle("POST /customers/{id}/deletion", privacy.PermDelete, p.askDeletion)
	rt.Handle("GET  /privacy/disclosures", privacy.PermView, p.disclosures)
	rt.Handle("GET  /privacy/disclosures/new", privacy.PermDisclose, p.newDisclosure)
	// The list of customers posts the ticked ones; a form with many does not fit an address.
	rt.Handle("POST /privacy/disclosures/new", privacy.PermDisclose, p.newDisclosure)
	rt.Handle("POST /privacy/disclosures", privacy.PermDisclose, p.askDisclosure)
	rt.Handle("GET  /privacy/disclosures/{id}", privacy.PermView, p.disclosure)
	rt.Handle("GET  /privacy/disclosures/{id}/file", privacy.PermView, p.fetchDisclosure)
	rt.Handle("GET  /privacy/retention", privacy.PermManage, p.retention)
	rt.Handle("POST /privacy/retention", privacy.PermManage, p.setRetention)
}

func chrome(r *web.Request, key, title string) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: key, Assets: []string{"privacy.css"}}
	for _, n := range Nav() {
		if n.Key == key {
			if title == "" {
				c.Title = r.T(n.LabelKey)
			} else {
				c.Crumbs = []ui.Crumb{{Label: r.T(n.LabelKey), Href: n.Href}, {Label: title}}
			}
		}
	}
	return c
}

func options(r *web.Request, prefix string, codes []string) []ui.Option {
	out := make([]ui.Option, len(codes))
	for i, c := range codes {
		out[i] = ui.Option{Value: c, Label: r.T(prefix + c)}
	}
	return out
}

// turn is how a list is read on, and the state it is narrowed to.
func turn(r *web.Request, path string, states []string) (state string, before int64, pager ui.Pager) {
	q := r.URL.Query()
	if s := q.Get("state"); slices.Contains(states, s) {
		state = s
	}
	before, _ = strconv.ParseInt(q.Get("before"), 10, 64)
	if before > 0 {
		pager.Prev = address(path, state, 0)
	}
	return state, before, pager
}

func address(path, state string, before int64) string {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Deletions.

type deletionsView struct {
	Rows   []privacy.Deletion
	Filter *web.Form
	States []ui.Option
	Pager  ui.Pager
}

type deletionView struct {
	D        privacy.Deletion
	Erasure  *privacy.Erasure
	Genuine  bool
	Form     *web.Form
	Customer customer.Customer
	Blocked  string
}

var aDeletion = privacy.Deletion{ID: 1, Number: "C1", Name: "张*", Reason: "r", State: "waiting", Tickets: 2, ApprovalID: 3, AskedByName: "n", AskedAt: time.Unix(1, 0)}

var (
	deletionsPage = ui.NewPage[deletionsView](files, "deletions.html").Sample(
		deletionsView{Rows: []privacy.Deletion{aDeletion, {ID: 2, State: "done", ExecutedAt: time.Unix(2, 0), DecidedBy: "d"}}, Filter: &web.Form{}, Pager: ui.Pager{Next: "/x"}})
	deletionPage = ui.NewPage[deletionView](files, "deletion.html").Sample(
		deletionView{D: aDeletion}, deletionView{D: privacy.Deletion{State: "done", Type: customer.Person, DecidedBy: "x", DecidedAt: time.Unix(1, 0), ExecutedAt: time.Unix(2, 0), ErasureID: 4}, Erasure: &privacy.Erasure{Hash: "h"}, Genuine: true})
	newDeletionPage = ui.NewPage[deletionView](files, "deletion_new.html").Sample(
		deletionView{Form: &web.Form{}, Customer: customer.Customer{ID: 1, Name: "n", Number: "C1", Type: customer.Person}}, deletionView{Form: &web.Form{}, Blocked: "b"})
)

func (p *pages) deletions(w http.ResponseWriter, r *web.Request) error {
	state, before, pager := turn(r, "/privacy/deletions", privacy.DeletionStates)
	rows, err := p.s.Deletions(r.Context(), r.Actor, state, before, pageSize+1)
	if err != nil {
		return err
	}
	if len(rows) > pageSize {
		rows = rows[:pageSize]
		pager.Next = address("/privacy/deletions", state, rows[pageSize-1].ID)
	}
	v := deletionsView{rows, r.Blank("state", state), options(r, "privacy.deletion.state.", privacy.DeletionStates), pager}
	if r.IsFragment() && r.Target() == "rows" {
		return deletionsPage.Fragment(w, r, "rows", v)
	}
	return deletionsPage.Render(w, r, chrome(r, "deletions", ""), v)
}

func (p *pages) deletion(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	d, err := p.s.Deletion(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v := deletionView{D: d}
	if d.ErasureID != 0 {
		e, err := p.s.Erasure(r.Context(), d.ErasureID)
		if err != nil {
			return err
		}
		v.Erasure, v.Genuine = &e, p.s.Genuine(e)
	}
	return deletionPage.Render(w, r, chrome(r, "deletions", d.Number), v)
}

func (p *pages) newDeletion(w http.ResponseWriter, r *web.Request) error {
	v, err := p.deletionForm(r, r.Blank())
	if err != nil {
		return err
	}
	return newDeletionPage.Render(w, r, customerChrome(r, v.Customer, "privacy.deletion.new"), v)
}

func customerChrome(r *web.Request, c customer.Customer, title string) ui.Chrome {
	return ui.Chrome{Title: r.T(title), Nav: "customers", Assets: []string{"privacy.css"},
		Crumbs: []ui.Crumb{{Label: r.T("customer.nav"), Href: "/customers"}, {Label: c.Name, Href: "/customers/" + strconv.FormatInt(c.ID, 10)}, {Label: r.T(title)}}}
}

func (p *pages) deletionForm(r *web.Request, f *web.Form) (v deletionView, err error) {
	id, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	c, err := p.c.Get(r.Context(), customer.View(r.Actor), id)
	if err != nil {
		return v, err
	}
	v = deletionView{Form: f, Customer: c}
	d, ok, err := p.s.DeletionOf(r.Context(), id)
	if err != nil {
		return v, err
	}
	if ok && (d.State == "waiting" || d.State == "running") {
		v.Blocked = r.T("privacy.deletion.pending")
	} else if n, list, err := p.s.Blocking(r.Context(), id); err != nil {
		return v, err
	} else if n > 0 {
		v.Blocked = r.T("privacy.open_tickets", n, strings.Join(list, r.T("privacy.comma")))
	}
	return v, nil
}

func (p *pages) askDeletion(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	reason := f.String("reason")
	if _, err := p.s.AskDeletion(r.Context(), r.Actor, id, reason); err != nil {
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict {
			return err
		}
		v, verr := p.deletionForm(r, f)
		if verr != nil {
			return verr
		}
		return newDeletionPage.Invalid(w, r, err, f, customerChrome(r, v.Customer, "privacy.deletion.new"), v)
	}
	r.Flash(w, "green", "privacy.deletion.asked")
	return r.SeeOther(w, "/customers/%d", id)
}

// Disclosures.

type disclosuresView struct {
	Rows   []privacy.Disclosure
	Filter *web.Form
	States []ui.Option
	Pager  ui.Pager
	CanNew bool
}

type disclosureView struct {
	D         privacy.Disclosure
	Fields    string
	Downloads []privacy.Download
	CanFetch  bool
}

type newDisclosureView struct {
	Form   *web.Form
	Count  int
	IDs    []int64
	Basic  []ui.Option
	Clear  []ui.Option
	Days   []ui.Option
	Sample []customer.Customer // the first few chosen
	More   int

	Segments []ui.Option
	Left     int  // of the segment chosen, who must not be used
	Nobody   bool // is in it that could be disclosed
}

var aDisclosure = privacy.Disclosure{ID: 1, Number: "PL1", Purpose: "p", Recipient: "r", State: "ready", Customers: 3, Days: 7, ApprovalID: 2, AskedByName: "n", AskedAt: time.Unix(1, 0), MadeAt: time.Unix(1, 0), ExpiresAt: time.Unix(2, 0), SHA256: "s", DecidedBy: "d", DecidedAt: time.Unix(1, 0)}

var (
	disclosuresPage = ui.NewPage[disclosuresView](files, "disclosures.html").Sample(
		disclosuresView{Rows: []privacy.Disclosure{aDisclosure}, Filter: &web.Form{}, CanNew: true, Pager: ui.Pager{Next: "/x"}})
	disclosurePage = ui.NewPage[disclosureView](files, "disclosure.html").Sample(
		disclosureView{D: aDisclosure, Fields: "f", Downloads: []privacy.Download{{UserName: "n", IP: "i", At: time.Unix(1, 0)}}, CanFetch: true}, disclosureView{D: privacy.Disclosure{State: "waiting"}})
	newDisclosurePage = ui.NewPage[newDisclosureView](files, "disclosure_new.html").Sample(
		newDisclosureView{Form: &web.Form{}, Count: 3, IDs: []int64{1}, Sample: []customer.Customer{{ID: 1, Name: "n", Number: "C1"}}, More: 2, Basic: []ui.Option{{Value: "name", Label: "x"}}}, newDisclosureView{Form: &web.Form{}}, newDisclosureView{Form: &web.Form{}, Segments: []ui.Option{{Value: "1", Label: "x"}}, Left: 2, Nobody: true})
)

func (p *pages) disclosures(w http.ResponseWriter, r *web.Request) error {
	state, before, pager := turn(r, "/privacy/disclosures", privacy.DisclosureStates)
	rows, err := p.s.Disclosures(r.Context(), r.Actor, state, before, pageSize+1)
	if err != nil {
		return err
	}
	if len(rows) > pageSize {
		rows = rows[:pageSize]
		pager.Next = address("/privacy/disclosures", state, rows[pageSize-1].ID)
	}
	v := disclosuresView{rows, r.Blank("state", state), options(r, "privacy.disclosure.state.", privacy.DisclosureStates), pager, r.Actor.Can(privacy.PermDisclose)}
	if r.IsFragment() && r.Target() == "rows" {
		return disclosuresPage.Fragment(w, r, "rows", v)
	}
	return disclosuresPage.Render(w, r, chrome(r, "disclosures", ""), v)
}

func (p *pages) disclosure(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	d, err := p.s.Disclosure(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v := disclosureView{D: d, Fields: privacy.FieldNames(r.Lang, d.Fields),
		CanFetch: d.State == "ready" && (d.AskedBy == r.Actor.ID || r.Actor.Can(privacy.PermManage)) && r.Now().Before(d.ExpiresAt)}
	if v.Downloads, err = p.s.Downloads(r.Context(), privacy.OfDisclosure, id); err != nil {
		return err
	}
	return disclosurePage.Render(w, r, chrome(r, "disclosures", d.Number), v)
}

func (p *pages) newDisclosure(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	chosen, segment, left := append(f.IDs("id"), f.IDs("customer")...), f.ID("segment"), 0
	err := f.Err()
	if err == nil && segment != 0 {
		chosen, left, err = p.s.OfSegment(r.Context(), r.Actor, segment)
	}
	if err != nil {
		return err
	}
	form := r.Blank("days", strconv.Itoa(privacy.DefaultDays), "segment", f.String("segment"))
	for _, x := range []string{"number", "name", "type", "region", "contact", "phone"} {
		form.Values.Add("fields", x)
	}
	v, err := p.disclosureForm(r, form, chosen)
	if err != nil {
		return err
	}
	v.Left, v.Nobody = left, segment != 0 && v.Count == 0
	return newDisclosurePage.Render(w, r, chrome(r, "disclosures", r.T("privacy.disclosure.new")), v)
}

// shownCustomers is how many of the chosen customers a form names.
const shownCustomers = 5

func (p *pages) disclosureForm(r *web.Request, f *web.Form, chosen []int64) (v newDisclosureView, err error) {
	slices.Sort(chosen)
	v = newDisclosureView{Form: f, IDs: slices.Compact(chosen)}
	v.Count = len(v.IDs)
	for _, id := range v.IDs[:min(len(v.IDs), shownCustomers)] {
		c, err := p.c.Get(r.Context(), customer.View(r.Actor), id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return v, err
		}
		v.Sample = append(v.Sample, c)
	}
	v.More = v.Count - len(v.Sample)
	segments, err := p.c.Segments(r.Context())
	if err != nil {
		return v, err
	}
	for _, g := range segments {
		v.Segments = append(v.Segments, ui.Option{Value: strconv.FormatInt(g.ID, 10), Label: g.Name})
	}
	for _, x := range customer.DisclosureFields {
		o := ui.Option{Value: x, Label: r.T("customer.disclosure." + x)}
		if slices.Contains(customer.ClearFields, x) {
			v.Clear = append(v.Clear, o)
		} else {
			v.Basic = append(v.Basic, o)
		}
	}
	for _, d := range []int{1, 3, 7, 14, 30} {
		v.Days = append(v.Days, ui.Option{Value: strconv.Itoa(d), Label: r.T("privacy.days_n", d)})
	}
	return v, nil
}

func (p *pages) askDisclosure(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := privacy.DisclosureInput{Purpose: f.String("purpose"), Recipient: f.String("recipient"), Fields: append(f.Strings("fields"), f.Strings("clear")...), Customers: f.IDs("id"), Days: f.Int("days")}
	err := f.Err()
	var d privacy.Disclosure
	if err == nil {
		d, err = p.s.AskDisclosure(r.Context(), r.Actor, in)
	}
	if err != nil {
		if fault.Is(err, fault.Forbidden) {
			return err
		}
		v, verr := p.disclosureForm(r, f, in.Customers)
		if verr != nil {
			return verr
		}
		return newDisclosurePage.Invalid(w, r, err, f, chrome(r, "disclosures", r.T("privacy.disclosure.new")), v)
	}
	r.Flash(w, "green", "privacy.disclosure.asked", d.Number)
	return r.SeeOther(w, "/privacy/disclosures/%d", d.ID)
}

func (p *pages) fetchDisclosure(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, content, err := p.s.FetchDisclosure(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	defer content.Close()
	blob.Serve(w, r.Request, f, content, false)
	return nil
}

// Retention.

type retentionView struct {
	Form    *web.Form
	Preview []countRow
	History []historyRow
}

// countRow is what a rule would reach.
type countRow struct {
	Label string // locale key
	N     int    // -1: the rule is off
}

func counts(p privacy.Preview) []countRow {
	return []countRow{{"privacy.retention.tickets", p.Tickets}, {"privacy.retention.customers", p.Customers}, {"privacy.retention.imports", p.Imports}, {"privacy.retention.exports", p.Exports}}
}

type historyRow struct {
	Text string
	At   time.Time
}

var retentionPage = ui.NewPage[retentionView](files, "retention.html").Sample(
	retentionView{Form: &web.Form{}, Preview: counts(privacy.Preview{Tickets: 3, Customers: -1, Imports: 10_000}), History: []historyRow{{"t", time.Unix(1, 0)}}})

func (p *pages) retentionView(r *web.Request, f *web.Form) (v retentionView, err error) {
	v.Form = f
	evs, err := p.s.Applied(r.Context(), 20)
	if err != nil {
		return v, err
	}
	for _, e := range evs {
		var d privacy.Fact
		if err := e.Decode(&d); err != nil {
			return v, err
		}
		v.History = append(v.History, historyRow{event.Say(r.Lang, e.Kind, d.Args), time.UnixMicro(e.At)})
	}
	return v, nil
}

func rulesOf(f *web.Form) privacy.Rules {
	return privacy.Rules{Tickets: f.Int("tickets"), Customers: f.Int("customers"), Imports: f.Int("imports"), Exports: f.Int("exports"), Deadline: f.Int("deadline")}
}

func (p *pages) retention(w http.ResponseWriter, r *web.Request) error {
	rules, err := p.s.Rules(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("tickets", strconv.Itoa(rules.Tickets), "customers", strconv.Itoa(rules.Customers), "imports", strconv.Itoa(rules.Imports), "exports", strconv.Itoa(rules.Exports), "deadline", strconv.Itoa(rules.Deadline))
	v, err := p.retentionView(r, f)
	if err != nil {
		return err
	}
	if pre, err := p.s.Preview(r.Context(), rules); err != nil {
		return err
	} else if rules.Tickets+rules.Customers+rules.Imports+rules.Exports > 0 {
		v.Preview = counts(pre)
	}
	return retentionPage.Render(w, r, chrome(r, "retention", ""), v)
}

// setRetention stores the rules, or with "preview" says what they would do.
func (p *pages) setRetention(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	rules := rulesOf(f)
	err := f.Err()
	v, verr := p.retentionView(r, f)
	if verr != nil {
		return verr
	}
	if err == nil && f.Get("do") == "preview" {
		var pre privacy.Preview
		if pre, err = p.s.Preview(r.Context(), rules); err == nil {
			v.Preview = counts(pre)
			return retentionPage.Render(w, r, chrome(r, "retention", ""), v)
		}
	}
	if err == nil {
		err = p.s.SetRules(r.Context(), r.Actor, rules)
	}
	if err != nil {
		return retentionPage.Invalid(w, r, err, f, chrome(r, "retention", ""), v)
	}
	r.Flash(w, "green", "privacy.retention.saved")
	return r.SeeOther(w, "/privacy/retention")
}

// placeName is a place of data in words.
func placeName(l i18n.Lang, name string) string {
	if key := "privacy.place." + name; i18n.Has(key) {
		return i18n.T(l, key)
	}
	return i18n.T(l, "privacy.place.other", name)
}
