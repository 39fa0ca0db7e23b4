package privacyui

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/privacy"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type requestsView struct {
	Rows   []privacy.Request
	Now    time.Time
	Filter *web.Form
	States []ui.Option
	Pager  ui.Pager
	CanNew bool
}

type newRequestView struct {
	Form   *web.Form
	Rights []ui.Option
	CameBy []ui.Option
}

// personRow is a record that may be the person's.
type personRow struct {
	customer.PersonHit
	Field, Value string // of its box
	Label        string
	By           []string
	Checked      bool
}

type placeRow struct {
	Name      string
	Rows      int
	Tickets   []string // numbers
	Customers []customer.Ref
}

type requestView struct {
	R         privacy.Request
	Late      bool
	CanManage bool
	Form      *web.Form
	People    []personRow
	Places    []placeRow
	Downloads int
	Phase     string // of an erasure under way, in words
	Erasure   *privacy.Erasure
	Restricts []restrictRow
}

// restrictRow is a customer whose data must not be used because of the request.
type restrictRow struct {
	privacy.Restriction
	Number string
}

var aRequest = privacy.Request{ID: 1, Number: "GR1", Kind: privacy.Erase, State: privacy.Open, Person: "张*", CameBy: "phone", Words: "w", DueAt: time.Unix(9, 0), CreatedName: "n", CreatedAt: time.Unix(1, 0),
	IdentityBy: "i", IdentityAt: time.Unix(1, 0), Found: &privacy.Found{Rows: 10, Events: 2, Shared: 1, Files: []privacy.FoundFile{{ID: 1, Name: "f", Owner: "ticket", Ref: 1}}}, FileID: 3, ExpiresAt: time.Unix(2, 0)}

var (
	requestsPage = ui.NewPage[requestsView](files, "requests.html").Sample(
		requestsView{Rows: []privacy.Request{aRequest, {ID: 2, State: privacy.Done, Kind: privacy.Access, ClosedAt: time.Unix(3, 0)}}, Now: time.Unix(10, 0), Filter: &web.Form{}, CanNew: true, Pager: ui.Pager{Next: "/x"}})
	newRequestPage = ui.NewPage[newRequestView](files, "request_new.html").Sample(newRequestView{Form: &web.Form{}, Rights: []ui.Option{{Value: "access", Label: "x"}}})
	requestPage    = ui.NewPage[requestView](files, "request.html").Sample(
		requestView{R: aRequest, Late: true, CanManage: true, Form: &web.Form{}, People: []personRow{{PersonHit: customer.PersonHit{Customer: customer.Ref{ID: 1, Name: "n", Number: "C1"}, Phone: "138"}, Field: "customers", Value: "1", Label: "l", By: []string{"phone"}, Checked: true}},
			Places: []placeRow{{"p", 3, []string{"T1"}, []customer.Ref{{ID: 1, Number: "C1"}}}}, Downloads: 2},
		requestView{R: privacy.Request{Kind: privacy.Access, State: privacy.Open, Working: "find"}, CanManage: true, Form: &web.Form{}},
		requestView{R: privacy.Request{Kind: privacy.Erase, State: privacy.Running, Working: "erase"}, CanManage: true, Form: &web.Form{}, Phase: "p"},
		requestView{R: privacy.Request{Kind: privacy.Correct, State: privacy.Open, IdentityAt: time.Unix(1, 0), Found: &privacy.Found{}, Failure: "privacy.request.failed"}, CanManage: true, Form: &web.Form{}},
		requestView{R: privacy.Request{Kind: privacy.Restrict, State: privacy.Open, IdentityAt: time.Unix(1, 0), Found: &privacy.Found{}}, CanManage: true, Form: &web.Form{}},
		requestView{R: privacy.Request{Kind: privacy.Erase, State: privacy.Done, Outcome: "o", ClosedByName: "n", ClosedAt: time.Unix(4, 0), ErasureID: 3}, Form: &web.Form{}, Erasure: &privacy.Erasure{ID: 3, Hash: "h"}},
		requestView{R: privacy.Request{Kind: privacy.Restrict, State: privacy.Done}, Form: &web.Form{}, CanManage: true, Restricts: []restrictRow{{privacy.Restriction{CustomerID: 1, Kind: privacy.Restrict, Since: time.Unix(1, 0)}, "C1"}}})
)

func (p *pages) requests(w http.ResponseWriter, r *web.Request) error {
	state, before, pager := turn(r, "/privacy/requests", privacy.RequestStates)
	rows, err := p.s.Requests(r.Context(), r.Actor, state, before, pageSize+1)
	if err != nil {
		return err
	}
	if len(rows) > pageSize {
		rows = rows[:pageSize]
		pager.Next = address("/privacy/requests", state, rows[pageSize-1].ID)
	}
	v := requestsView{rows, r.Now(), r.Blank("state", state), options(r, "privacy.request.state.", privacy.RequestStates), pager, r.Actor.Can(privacy.PermRegister)}
	if r.IsFragment() && r.Target() == "rows" {
		return requestsPage.Fragment(w, r, "rows", v)
	}
	return requestsPage.Render(w, r, chrome(r, "person-requests", ""), v)
}

func (p *pages) newView(r *web.Request, f *web.Form) newRequestView {
	v := newRequestView{Form: f, CameBy: options(r, "privacy.came_by.", privacy.CameBy)}
	for _, k := range privacy.Rights {
		v.Rights = append(v.Rights, ui.Option{Value: k, Label: r.T("privacy.right." + k), Hint: r.T("privacy.right.hint." + k)})
	}
	return v
}

func (p *pages) newRequest(w http.ResponseWriter, r *web.Request) error {
	return newRequestPage.Render(w, r, chrome(r, "person-requests", r.T("privacy.request.new")), p.newView(r, r.Blank("came_by", "phone", "kind", privacy.Access)))
}

func (p *pages) register(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := privacy.RequestInput{Kind: f.String("kind"), CameBy: f.String("came_by"), Words: f.Text("words"), Names: f.Text("names"), Phones: f.Text("phones"), Emails: f.Text("emails"),
		Handles: f.Text("handles"), Addresses: f.Text("addresses"), Others: f.Text("others"), Numbers: f.Text("numbers"), Identity: f.String("identity")}
	err := f.Err()
	var q privacy.Request
	if err == nil {
		q, err = p.s.Register(r.Context(), r.Actor, in)
	}
	if err != nil {
		return newRequestPage.Invalid(w, r, err, f, chrome(r, "person-requests", r.T("privacy.request.new")), p.newView(r, f))
	}
	r.Flash(w, "green", "privacy.request.done", q.DueAt.In(r.Location()).Format("2006-01-02"))
	return r.SeeOther(w, "/privacy/requests/%d", q.ID)
}

func (p *pages) view(r *web.Request, f *web.Form) (v requestView, err error) {
	id, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	q, err := p.s.Request(r.Context(), r.Actor, id)
	if err != nil {
		return v, err
	}
	v = requestView{R: q, Late: q.Late(r.Now()), CanManage: r.Actor.Can(privacy.PermManage), Form: f}
	if q.ErasureID != 0 {
		e, err := p.s.Erasure(r.Context(), q.ErasureID)
		if err != nil {
			return v, err
		}
		v.Erasure, v.Phase = &e, r.T("privacy.phase."+e.Phase)
	}
	if q.FileID != 0 {
		ds, err := p.s.Downloads(r.Context(), privacy.OfRequest, id)
		if err != nil {
			return v, err
		}
		v.Downloads = len(ds)
	}
	if q.State == privacy.Done && (q.Kind == privacy.Restrict || q.Kind == privacy.Withdraw) {
		rs, err := p.s.RestrictionsBy(r.Context(), id)
		if err != nil {
			return v, err
		}
		for _, x := range rs {
			refs, err := p.s.CustomerRefs(r.Context(), []int64{x.CustomerID})
			if err != nil {
				return v, err
			}
			for _, c := range refs {
				v.Restricts = append(v.Restricts, restrictRow{x, c.Number})
			}
		}
	}
	if q.Found == nil || !v.CanManage {
		return v, nil
	}
	for _, h := range q.Found.People {
		x := personRow{PersonHit: h, Field: "customers", Value: strconv.FormatInt(h.Customer.ID, 10), Label: h.Customer.Number + " " + h.Customer.Name, Checked: slices.Contains(q.Customers, h.Customer.ID)}
		if h.ContactID != 0 {
			x.Field, x.Value, x.Checked = "contacts", strconv.FormatInt(h.ContactID, 10), slices.Contains(q.Contacts, h.ContactID)
			x.Label = r.T("privacy.request.found.contact", h.Customer.Number+" "+h.Customer.Name, h.ContactName)
		}
		for _, b := range h.By {
			x.By = append(x.By, r.T("privacy.request.by."+b))
		}
		v.People = append(v.People, x)
	}
	for _, pl := range q.Found.Places {
		row := placeRow{Name: placeName(r.Lang, pl.Name), Rows: pl.Rows}
		if row.Customers, err = p.s.CustomerRefs(r.Context(), pl.Customers); err != nil {
			return v, err
		}
		if row.Tickets, err = p.s.TicketNumbers(r.Context(), pl.Tickets); err != nil {
			return v, err
		}
		v.Places = append(v.Places, row)
	}
	if q.Found.Events > 0 {
		v.Places = append(v.Places, placeRow{Name: placeName(r.Lang, "events"), Rows: q.Found.Events})
	}
	return v, nil
}

func (p *pages) request(w http.ResponseWriter, r *web.Request) error {
	v, err := p.view(r, r.Blank())
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "work" {
		return requestPage.Fragment(w, r, "work", v)
	}
	return requestPage.Render(w, r, chrome(r, "person-requests", v.R.Number), v)
}

// step does one step of a request and shows the page again, with its complaint.
func (p *pages) step(w http.ResponseWriter, r *web.Request, do func(id int64, f *web.Form, customers, contacts []int64) error) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	customers, contacts := f.IDs("customers"), f.IDs("contacts")
	if err = f.Err(); err == nil {
		err = do(id, f, customers, contacts)
	}
	if err != nil {
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict {
			return err
		}
		v, verr := p.view(r, f)
		if verr != nil {
			return verr
		}
		return requestPage.Invalid(w, r, err, f, chrome(r, "person-requests", v.R.Number), v)
	}
	return r.SeeOther(w, "/privacy/requests/%d", id)
}

func (p *pages) identify(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, f *web.Form, _, _ []int64) error {
		return p.s.Identify(r.Context(), r.Actor, id, f.String("identity"))
	})
}

func (p *pages) search(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, _ *web.Form, _, _ []int64) error { return p.s.Search(r.Context(), r.Actor, id) })
}

func (p *pages) export(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, _ *web.Form, customers, contacts []int64) error {
		return p.s.Export(r.Context(), r.Actor, id, customers, contacts)
	})
}

func (p *pages) erase(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, f *web.Form, customers, contacts []int64) error {
		return p.s.Erase(r.Context(), r.Actor, id, customers, contacts, f.String("outcome"))
	})
}

func (p *pages) restrict(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, f *web.Form, customers, _ []int64) error {
		return p.s.Restrict(r.Context(), r.Actor, id, customers, f.String("outcome"))
	})
}

func (p *pages) close(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, f *web.Form, _, _ []int64) error {
		return p.s.Close(r.Context(), r.Actor, id, f.String("outcome"))
	})
}

func (p *pages) refuse(w http.ResponseWriter, r *web.Request) error {
	return p.step(w, r, func(id int64, f *web.Form, _, _ []int64) error {
		return p.s.Refuse(r.Context(), r.Actor, id, f.String("outcome"))
	})
}

func (p *pages) lift(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	id, kind, back := f.ID("customer"), f.Choice("kind", privacy.Restrict, privacy.Withdraw), web.SafeNext(f.Get("back"), "/privacy/requests")
	if err := f.Err(); err != nil {
		return err
	}
	if err := p.s.Lift(r.Context(), r.Actor, id, kind); err != nil {
		return err
	}
	r.Flash(w, "green", "privacy.restriction.lifted")
	return r.SeeOther(w, "%s", back)
}

func (p *pages) fetchRequest(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, content, err := p.s.FetchRequest(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	defer content.Close()
	blob.Serve(w, r.Request, f, content, false)
	return nil
}

// Proofs.

type proofView struct {
	E       privacy.Erasure
	Genuine bool
	Company string
	Phase   string
	Places  []placeRow
	Looked  string
}

var proofPage = ui.NewPage[proofView](files, "proof.html").Sample(
	proofView{E: privacy.Erasure{ID: 1, Number: "n", Masked: "m", Phase: privacy.PhaseDone, Hash: "h", Proof: "p", Report: privacy.Report{Customers: 1, Files: 2, Events: 3, CleanedAt: time.Unix(1, 0), ChainSeq: 5, ChainHash: "c"}}, Genuine: true, Company: "c", Places: []placeRow{{Name: "p", Rows: 2}}, Looked: "l"},
	proofView{E: privacy.Erasure{Phase: privacy.PhaseTexts}, Phase: "x"})

func (p *pages) proof(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	e, err := p.s.ErasureFor(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	company, err := p.s.Company(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	k := e.Report.Looked
	v := proofView{E: e, Genuine: p.s.Genuine(e), Company: company, Phase: r.T("privacy.phase." + e.Phase), Looked: r.T("privacy.proof.looked_text", k.Rows, k.Files, k.Events, k.Left)}
	if by, ok := actorName(r.Lang, e.Report.OrderedBy); ok {
		v.E.Report.OrderedBy = by
	}
	for _, pl := range e.Report.Texts {
		v.Places = append(v.Places, placeRow{Name: placeName(r.Lang, pl.Name), Rows: pl.Rows})
	}
	key := "person-requests"
	if e.OfDeletion() {
		key = "deletions"
	}
	return proofPage.Render(w, r, chrome(r, key, r.T("privacy.proof.title")), v)
}

// actorName says a part of the program that is named by its key.
func actorName(l i18n.Lang, name string) (string, bool) {
	if len(name) > 1 && name[0] == '@' {
		return i18n.T(l, name[1:]), true
	}
	return name, false
}

// proofJSON is the signed report with its signature, for programs.
func (p *pages) proofJSON(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	e, err := p.s.ErasureFor(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if !e.Done() {
		return fault.New(fault.Conflict, "privacy.proof.running", r.T("privacy.phase."+e.Phase))
	}
	w.Header().Set("Content-Disposition", blob.Disposition("attachment", e.Number+".json"))
	return web.WriteJSON(w, http.StatusOK, struct {
		Report    json.RawMessage `json:"report"`
		SHA256    string          `json:"sha256"` // of the report, byte for byte
		Signature string          `json:"signature"`
	}{json.RawMessage(e.Raw), e.Hash, e.Proof})
}
