package portal

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/complaint"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html portal.css portal.js
var files embed.FS

var _ = ui.AddAssets(files, "portal.css", "portal.js")

type homeView struct {
	Help    bool // there are help pages
	Form    *web.Form
	Closed  bool
	Contact string
}

type newView struct {
	Form      *web.Form
	Types     []ui.Option
	Urgencies []ui.Option
	Wishes    []ui.Option // what a complainant may ask for; none: he is not asked
	Once      string
	Kept      []Upload
	Closed    bool
	Contact   string
	Company   string
	Retention string
	FileHint  string
	Version   string
	Help      bool // articles are offered while the title is written
}

// uploadView is the place for files in a form; URL takes one at once.
type uploadView struct {
	Kept        []Upload
	URL         string
	Hint, Error string
}

// Files is the place for files of the form.
func (v newView) Files() uploadView {
	return uploadView{v.Kept, "/portal/files", v.FileHint, v.Form.Error("file")}
}

// Files is the place for files of the message.
func (v statusView) Files() uploadView {
	return uploadView{v.Kept, "/c/" + v.Token + "/files", v.FileHint, v.Message.Error("file")}
}

func fileHint(r *web.Request) string {
	return r.T("portal.files.hint", MaxFiles, blob.Size(MaxFileSize))
}

type receivedView struct {
	Number, Code, Token string
	Promises            []string
}

// voidView is shown for every link that leads nowhere, whatever the reason.
type voidView struct {
	Form    *web.Form
	Contact string
}

var (
	sample = statusView{Token: "t", Number: "TASK20261121001", Code: "ABCDEFGH", Title: "x", Type: "complaint", State: "waiting_customer", Round: 2, Steps: steps(ticket.InProgress),
		Promises: []string{"x"}, Late: true, Older: 3, Last: 9, Question: "?", Mode: "answer", Upload: true, Once: "o", BadStars: 3, FollowUp: "24",
		Kept: []Upload{{Seal: "s", Meta: blob.Meta{Name: "a.png", Info: blob.Info{Size: 3}}}}, Done: "answered",
		Talk: []message{{Mine: true, Kind: "request", Body: "x", At: time.Unix(1, 0)}, {ID: 2, Kind: "question", Who: "x", Body: "?", Correct: true, At: time.Unix(1, 0),
			Files: []file{{ID: 1, Name: "a.png", Size: 3, Image: true}, {ID: 2, Name: "b.pdf", Size: 3}}}}}
	homePage     = ui.NewPage[homeView](files, "home.html", "lookup.html").Sample(homeView{Closed: true, Contact: "x"}, homeView{Contact: "x", Help: true})
	newPage      = ui.NewPage[newView](files, "new.html", "files.html").Sample(newView{Closed: true, Contact: "x"}, newView{Help: true, Company: "x", Kept: sample.Kept, Retention: "x", Version: PrivacyVersion})
	receivedPage = ui.NewPage[receivedView](files, "received.html").Sample(receivedView{Number: "1", Code: "x", Token: "t", Promises: []string{"x"}})
	voidPage     = ui.NewPage[voidView](files, "void.html", "lookup.html").Sample(voidView{Contact: "x"})
	statusPage   = ui.NewPage[statusView](files, "status.html", "files.html").Sample(samples()...)
)

func samples() []statusView {
	confirm, done, closed, cancelled, late, staff := sample, sample, sample, sample, sample, sample
	confirm.State, confirm.Mode, confirm.CanRate, confirm.Summary, confirm.Question, confirm.Done = "awaiting_confirmation", "message", true, "x", "", ""
	done.State, done.Mode, done.CanRate, done.Until, done.ChangeBy, done.Done = "completed", "reopen", true, time.Unix(1, 0), time.Unix(1, 0), "rated"
	done.Rating = &ticket.Rating{Stars: 5, Speed: 4, Quality: 5, Attitude: 3, Solved: true, Comment: "x", Suggestion: "y"}
	late.State, late.Mode, late.CanRate, late.Done = "completed", "reopen", true, "second"
	closed.State, closed.Mode, closed.Rating, closed.Done = "closed", "new", done.Rating, "new"
	cancelled.State, cancelled.Mode, cancelled.Steps, cancelled.Upload = "cancelled", "new", nil, false
	done.Help = true
	staff.Staff, staff.Paged, staff.Merged = true, true, "x"
	grieved := sample
	grieved.Steps, grieved.Way = nil, &way{Steps: []step{{"receive", true, false}, {"calm", false, true}}, Notice: "n", Recourse: "r"}
	late.Way = &way{}
	return []statusView{sample, confirm, done, late, closed, cancelled, staff, grieved}
}

type pages struct{ *Service }

// Routes adds the portal to rt. Nothing in it needs a login; the token in the
// address is the right to see a request.
func Routes(rt *web.Router, s *Service) {
	p := &pages{s}
	handle := func(pattern string, h web.Handler, opts ...web.Option) {
		rt.Handle(pattern, web.Public, private(h), opts...)
	}
	rt.Handle("GET  /admin/portal", org.PermSettings, p.settings)
	rt.Handle("POST /admin/portal", org.PermSettings, p.setSettings)
	handle("GET  /portal", p.home)
	handle("POST /portal", p.lookup)
	handle("GET  /portal/new", p.showNew)
	handle("POST /portal/new", p.submit, web.MaxBody(maxUploads))
	handle("POST /portal/files", p.upload, web.MaxBody(MaxFileSize+1<<20), web.JSON())
	handle("GET  /c/{token}", p.status)
	handle("GET  /c/{token}/received", p.received)
	handle("POST /c/{token}/messages", p.write, web.MaxBody(maxUploads))
	handle("POST /c/{token}/rating", p.rate)
	handle("POST /c/{token}/seen", p.seen)
	handle("POST /c/{token}/files", p.uploadTo, web.MaxBody(MaxFileSize+1<<20), web.JSON())
	handle("GET  /c/{token}/files/{id}", p.download)
	// A failed form is shown at the address it was sent to; reloading that must not end nowhere.
	handle("GET  /c/{token}/messages", p.back)
	handle("GET  /c/{token}/rating", p.back)
}

// private keeps these pages out of search engines and caches. The referrer
// policy stays the product's same-origin: it sends the token to nobody else,
// and with no-referrer browsers would send "Origin: null" with the forms, which
// the protection against forged posts must refuse wherever there is no TLS.
func private(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		w.Header().Set("X-Robots-Tag", "noindex, nofollow, noarchive")
		w.Header().Set("Cache-Control", "no-store")
		defer func() {
			if r.MultipartForm != nil {
				_ = r.MultipartForm.RemoveAll() // temporary files of large uploads
			}
		}()
		return h(w, r)
	}
}

func chrome(title string) ui.Chrome {
	return ui.Chrome{Title: title, Layout: ui.PublicPage, Assets: []string{"portal.css", "portal.js"}}
}

// visitor is whoever sends a public form.
func visitor(r *web.Request) authz.Actor {
	return authz.Actor{Kind: authz.Customer, IP: r.IP(), UserAgent: r.UserAgent(), Lang: r.Lang}
}

func (p *pages) home(w http.ResponseWriter, r *web.Request) error {
	return p.showHome(w, r, r.Blank("number", r.URL.Query().Get("number")), nil)
}

func (p *pages) showHome(w http.ResponseWriter, r *web.Request, f *web.Form, err error) error {
	st, e := p.Settings(r.Context())
	if e != nil {
		return e
	}
	v := homeView{Help: p.hasHelp(r.Context()), Form: f, Closed: st.Closed, Contact: st.Contact}
	if err != nil {
		return homePage.Invalid(w, r, err, f, chrome(r.T("portal.home.title")), v)
	}
	return homePage.Render(w, r, chrome(r.T("portal.home.title")), v)
}

func (p *pages) lookup(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	err := f.Err()
	if err == nil {
		var t ticket.Ticket
		if t, err = p.Lookup(r.Context(), r.IP(), f.String("number"), f.String("code")); err == nil {
			return r.SeeOther(w, "/c/%s", p.tickets.Link(t))
		}
	}
	return p.showHome(w, r, f, err)
}

func (p *pages) newView(r *web.Request, f *web.Form) (newView, error) {
	st, err := p.Settings(r.Context())
	v := newView{Help: p.hasHelp(r.Context()), Form: f, Once: f.Get("form"), Closed: st.Closed, Contact: st.Contact, Company: p.Company(r.Context(), r.Lang), Retention: months(r.Lang, st.RetentionMonths), FileHint: fileHint(r), Version: PrivacyVersion}
	if _, bad := p.formKey(v.Once); bad != nil {
		v.Once = p.newForm()
	}
	for _, t := range ticket.Types {
		v.Types = append(v.Types, ui.Option{Value: t, Label: r.T("portal.type." + t), Hint: r.T("portal.type." + t + ".hint")})
	}
	for _, u := range []string{"normal", "urgent", "low"} {
		v.Urgencies = append(v.Urgencies, ui.Option{Value: u, Label: r.T("portal.urgency." + u), Hint: r.T("portal.urgency." + u + ".hint")})
	}
	if p.complaints != nil {
		for _, c := range complaint.Codes("remedy") {
			v.Wishes = append(v.Wishes, ui.Option{Value: c, Label: r.T("complaint.remedy." + c)})
		}
	}
	return v, err
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	typ := r.URL.Query().Get("type")
	if !slices.Contains(ticket.Types, typ) {
		typ = ""
	}
	v, err := p.newView(r, r.Blank("type", typ, "urgency", "normal"))
	if err != nil {
		return err
	}
	return newPage.Render(w, r, chrome(r.T("portal.new.title")), v)
}

func (p *pages) submit(w http.ResponseWriter, r *web.Request) error {
	if err := p.limits.posts.Check(web.Network(r.IP())); err != nil {
		return err
	}
	st, err := p.Settings(r.Context())
	if err != nil {
		return err
	}
	if st.Closed {
		return fault.New(fault.Conflict, "portal.closed")
	}
	f := r.Input()
	in := Request{Form: f.Get("form"), Name: f.String("name"), Company: f.String("company"), Phone: f.String("phone"), Email: f.String("email"), Type: f.Get("type"),
		Title: f.String("title"), Description: f.Text("description"), Urgency: f.Get("urgency"), Wish: f.String("wish"), WishNote: f.String("wish_note"), Consent: f.Bool("consent")}
	err = f.Err()
	if err == nil && f.Get("homepage") != "" {
		// No person sees this field. One whose browser filled it in is told what to do.
		f.Values.Del("homepage")
		err = fault.Invalidf("portal.robot")
	}
	if err == nil {
		in.Uploads, err = p.gather(r, f)
	}
	if err == nil {
		var t ticket.Ticket
		if t, err = p.Submit(r.Context(), visitor(r), in); err == nil {
			return r.SeeOther(w, "/c/%s/received", p.tickets.Link(t))
		}
	}
	v, e := p.newView(r, f)
	if e != nil {
		return e
	}
	v.Kept = in.Uploads
	return newPage.Invalid(w, r, err, f, chrome(r.T("portal.new.title")), v)
}

// gather receives the files sent with a form and opens the seals of those sent
// before. What it returns beside an error is kept in the form.
func (p *pages) gather(r *web.Request, f *web.Form) ([]Upload, error) {
	var out []Upload
	var lost bool
	for _, seal := range f.Strings("kept") {
		if u, ok := p.unseal(seal); ok {
			out = append(out, u)
		} else {
			lost = true
		}
	}
	e := fault.Invalidf("portal.files.invalid")
	if lost {
		e.Field("file", "portal.files.lost")
	}
	for _, h := range f.Files["file"] {
		if h.Size == 0 && h.Filename == "" {
			continue
		}
		name := blob.CleanName(h.Filename)
		switch {
		case len(out) >= MaxFiles:
			e.Field("file", "portal.files.many", MaxFiles)
			return out, e
		case h.Size > MaxFileSize:
			e.Field("file", "portal.files.too_large", name, blob.Size(MaxFileSize))
			continue
		case h.Size == 0:
			e.Field("file", "portal.files.empty", name)
			continue
		}
		if err := p.mayUpload(r.IP()); err != nil {
			return out, err
		}
		c, err := h.Open()
		if err != nil {
			return out, err
		}
		m, err := p.files.Receive(r.Context(), name, c)
		c.Close()
		if err != nil {
			return out, err
		}
		out = append(out, Upload{p.seal(m), m})
	}
	return out, e.OrNil()
}

// upload takes one file at once, while the person still writes; the answer is
// its seal, for the form.
func (p *pages) upload(w http.ResponseWriter, r *web.Request) error {
	if err := p.limits.posts.Check(web.Network(r.IP())); err != nil {
		return err
	}
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	f.Values.Del("kept")
	us, err := p.gather(r, f)
	if e, ok := fault.As(err); ok && len(e.Fields) > 0 {
		return fault.New(e.Kind, e.Fields[0].Key, e.Fields[0].Args...) // the script shows one sentence
	}
	if err != nil {
		return err
	}
	if len(us) != 1 {
		return fault.Invalidf("portal.files.none")
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}{us[0].Seal, us[0].Meta.Name})
}

// open finds the request of the link in the address and the customer as the
// actor. ok is false when the answer has been given: a link that leads nowhere.
func (p *pages) open(w http.ResponseWriter, r *web.Request) (t ticket.Ticket, actor authz.Actor, ok bool, err error) {
	t, actor, err = p.tickets.ByLink(r.Context(), r.PathValue("token"))
	if fault.Is(err, fault.NotFound) {
		return t, actor, false, p.void(w, r)
	}
	if err != nil {
		return t, actor, false, err
	}
	actor.IP, actor.UserAgent, actor.Lang = r.IP(), r.UserAgent(), r.Lang
	return t, actor, true, nil
}

// toWrite is open for what changes something: it is limited, and not for
// colleagues, who would otherwise rate their own work.
func (p *pages) toWrite(w http.ResponseWriter, r *web.Request) (t ticket.Ticket, actor authz.Actor, ok bool, err error) {
	if err := p.limits.posts.Check(web.Network(r.IP())); err != nil {
		return t, actor, false, err
	}
	if t, actor, ok, err = p.open(w, r); !ok {
		return t, actor, ok, err
	}
	if r.Actor.Kind == authz.User {
		return t, actor, false, fault.New(fault.Forbidden, "portal.staff.refused")
	}
	return t, actor, true, nil
}

func (p *pages) void(w http.ResponseWriter, r *web.Request) error {
	st, err := p.Settings(r.Context())
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNotFound)
	return voidPage.Render(w, r, chrome(r.T("portal.void.title")), voidView{Form: r.Blank(), Contact: st.Contact})
}

var doneKeys = []string{"answered", "sent", "rated", "changed", "second", "reopened", "new"}

func (p *pages) status(w http.ResponseWriter, r *web.Request) error {
	t, actor, ok, err := p.open(w, r)
	if !ok {
		return err
	}
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	v, err := p.Service.status(r.Context(), r, t, actor, max(before, 0))
	if err != nil {
		return err
	}
	v.Staff, v.Help = r.Actor.Kind == authz.User, p.hasHelp(r.Context())
	if d := q.Get("done"); slices.Contains(doneKeys, d) {
		v.Done = d
	}
	v.Message, v.RateForm = r.Blank(), rateForm(r, v)
	return statusPage.Render(w, r, statusChrome(r, t), v)
}

func statusChrome(r *web.Request, t ticket.Ticket) ui.Chrome {
	return chrome(r.T("portal.status.title", t.Number))
}

// rateForm begins with the judgement given before.
func rateForm(r *web.Request, v statusView) *web.Form {
	g := v.Rating
	if g == nil {
		return r.Blank()
	}
	solved := "no"
	if g.Solved {
		solved = "yes"
	}
	return r.Blank("stars", itoa(g.Stars), "solved", solved, "speed", itoa(g.Speed), "quality", itoa(g.Quality), "attitude", itoa(g.Attitude), "handling", itoa(g.Handling), "comment", g.Comment, "suggestion", g.Suggestion)
}

func itoa(n int) string { return strconv.Itoa(n) }

// back leads from the address of a form to its page.
func (p *pages) back(w http.ResponseWriter, r *web.Request) error {
	return r.SeeOther(w, "/c/%s", url.PathEscape(r.PathValue("token")))
}

func (p *pages) received(w http.ResponseWriter, r *web.Request) error {
	t, actor, ok, err := p.open(w, r)
	if !ok {
		return err
	}
	v, err := p.Service.status(r.Context(), r, t, actor, 0)
	if err != nil {
		return err
	}
	return receivedPage.Render(w, r, chrome(r.T("portal.received.title")), receivedView{Number: v.Number, Code: v.Code, Token: v.Token, Promises: v.Promises})
}

func (p *pages) write(w http.ResponseWriter, r *web.Request) error {
	t, actor, ok, err := p.toWrite(w, r)
	if !ok {
		return err
	}
	if err := p.tickets.Told(r.Context(), actor, t.ID); err != nil {
		return err
	}
	f := r.Input()
	after := f.ID("after")
	var us []Upload
	if err = f.Err(); err == nil {
		us, err = p.gather(r, f)
	}
	if err == nil {
		var out ticket.Ticket
		if out, err = p.Write(r.Context(), actor, t, f.Get("form"), f.Text("body"), after, us); err == nil {
			return r.SeeOther(w, "/c/%s?done=%s", p.tickets.Link(out), wrote(t, out))
		}
	}
	v, e := p.Service.status(r.Context(), r, t, actor, 0)
	if e != nil {
		return e
	}
	if _, bad := p.formKey(f.Get("form")); bad == nil {
		v.Once = f.Get("form")
	}
	v.Message, v.RateForm, v.Kept = f, rateForm(r, v), us
	return statusPage.Invalid(w, r, err, f, statusChrome(r, t), v)
}

// wrote names what became of the customer's words.
func wrote(old, t ticket.Ticket) string {
	switch {
	case t.ID != old.ID:
		return "new"
	case old.State == ticket.Completed && t.State != ticket.Completed:
		return "reopened"
	case old.State == ticket.WaitingCustomer:
		return "answered"
	}
	return "sent"
}

func (p *pages) rate(w http.ResponseWriter, r *web.Request) error {
	t, actor, ok, err := p.toWrite(w, r)
	if !ok {
		return err
	}
	if err := p.tickets.Told(r.Context(), actor, t.ID); err != nil {
		return err
	}
	f := r.Input()
	round := f.Int("round")
	in := ticket.Rating{Stars: f.IntIn("stars", 0, 5), Speed: f.IntIn("speed", 0, 5), Quality: f.IntIn("quality", 0, 5), Attitude: f.IntIn("attitude", 0, 5), Handling: f.IntIn("handling", 0, 5),
		Comment: f.Limited("comment", 2000), Suggestion: f.Limited("suggestion", 2000)}
	switch f.Get("solved") {
	case "yes":
		in.Solved = true
	case "no":
	default:
		f.Fail("solved", "portal.need.solved")
	}
	if in.Stars == 0 && f.Get("solved") != "no" {
		f.Fail("stars", "portal.need.stars")
	}
	if err = f.Err(); err == nil {
		var out ticket.Ticket
		if out, err = p.Rate(r.Context(), actor, t, round, in); err == nil {
			done := "rated"
			switch {
			case out.State != ticket.Completed && out.State != ticket.Closed:
				done = "second"
			case t.State == ticket.Completed && t.Rating != 0:
				done = "changed"
			}
			return r.SeeOther(w, "/c/%s?done=%s", p.tickets.Link(out), done)
		}
	}
	v, e := p.Service.status(r.Context(), r, t, actor, 0)
	if e != nil {
		return e
	}
	v.Message, v.RateForm = r.Blank(), f
	return statusPage.Invalid(w, r, err, f, statusChrome(r, t), v)
}

// seen hears from the script that a person has the page before him.
func (p *pages) seen(w http.ResponseWriter, r *web.Request) error {
	t, actor, ok, err := p.toWrite(w, r)
	if !ok {
		return err
	}
	if err := p.tickets.Told(r.Context(), actor, t.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (p *pages) uploadTo(w http.ResponseWriter, r *web.Request) error {
	if r.Actor.Kind == authz.User {
		return fault.New(fault.Forbidden, "portal.staff.refused")
	}
	if _, _, err := p.tickets.ByLink(r.Context(), r.PathValue("token")); err != nil {
		return err
	}
	return p.upload(w, r)
}

func (p *pages) download(w http.ResponseWriter, r *web.Request) error {
	t, _, ok, err := p.open(w, r)
	if !ok {
		return err
	}
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, err := p.file(r.Context(), t, id)
	if err != nil {
		return err
	}
	content, err := p.files.Store().Open(r.Context(), f.SHA256)
	if err != nil {
		return err
	}
	defer content.Close()
	blob.Serve(uncached{w}, r.Request, f, content, !strings.Contains(r.URL.RawQuery, "download"))
	return nil
}

// uncached keeps a file out of the caches of a borrowed telephone.
type uncached struct{ http.ResponseWriter }

// WriteHeader overrules what was said of caching.
func (w uncached) WriteHeader(status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.ResponseWriter.WriteHeader(status)
}

// months says how long data are kept.
func months(l i18n.Lang, n int) string {
	if n%12 == 0 {
		return i18n.T(l, "portal.years", n/12)
	}
	return i18n.T(l, "portal.months", n)
}
