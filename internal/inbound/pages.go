package inbound

import (
	"embed"
	"io"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

// maxBody of a call, bytes. Texts have limits of their own; there are no files.
const maxBody = 256 << 10

type listView struct{ Sources []Source }

type editView struct {
	Source   Source
	Form     *web.Form
	Channels []ui.Option
	Types    []ui.Option
	Address  string // where its calls go
	Plain    string // a secret that was just made
	Sample   string // a call as a shell would make it
}

type logView struct {
	Source Source
	Lines  []logLine
	Pager  ui.Pager
}

type logLine struct {
	Delivery
	Reasons []string
}

var (
	sampleSource = Source{ID: 1, Name: "x", Key: "k", SecretAt: time.Unix(1, 0), Enabled: true, Channel: "api", Type: "consultation", Trouble: "inbound.bad.signature", TroubleAt: time.Unix(1, 0)}

	listPage = ui.NewPage[listView](files, "list.html").Sample(listView{[]Source{sampleSource, {Name: "y", Channel: "website", Type: "complaint"}}})
	editPage = ui.NewPage[editView](files, "edit.html").Sample(editView{Source: sampleSource, Form: &web.Form{}, Address: "https://example.cn/in/k", Plain: "s", Sample: "curl"}, editView{Form: &web.Form{}})
	logPage  = ui.NewPage[logView](files, "log.html").Sample(logView{sampleSource, []logLine{{Delivery{ID: 1, Delivery: "d", At: time.Unix(1, 0), Outcome: Created, Number: "T1", Reference: "R"}, nil}, {Delivery{ID: 2, Delivery: "e", At: time.Unix(1, 0), Outcome: Refused}, []string{"x"}}}, ui.Pager{}})
)

func init() {
	ui.SetTone("inbound.created", "green")
	ui.SetTone("inbound.added", "blue")
	ui.SetTone("inbound.refused", "red")
}

type pages struct {
	*Service
	base string // where the product is reached from outside, "" when unknown
}

// Nav is the entry of the sources' page.
func Nav() ui.Nav {
	return ui.Nav{Key: "inbound", Href: "/admin/inbound", Icon: "plug", LabelKey: "inbound.title", Perm: org.PermSettings, Group: "org.admin"}
}

// Routes are the address for calls and the pages of whoever sets them up. base is
// where the product is reached from outside.
func Routes(rt *web.Router, s *Service, base string) {
	p := &pages{s, base}
	rt.Handle("POST /in/{key}", web.Public, p.accept, web.NoActor(), web.CrossOrigin(), web.JSON(), web.MaxBody(maxBody))
	rt.Handle("GET  /admin/inbound", org.PermSettings, p.list)
	rt.Handle("GET  /admin/inbound/new", org.PermSettings, p.blank)
	rt.Handle("POST /admin/inbound", org.PermSettings, p.save)
	rt.Handle("GET  /admin/inbound/{id}", org.PermSettings, p.edit)
	rt.Handle("POST /admin/inbound/{id}", org.PermSettings, p.save)
	rt.Handle("POST /admin/inbound/{id}/secret", org.PermSettings, p.secret)
	rt.Handle("GET  /admin/inbound/{id}/calls", org.PermSettings, p.log)
}

func chrome(r *web.Request, title string, over ...ui.Crumb) ui.Chrome {
	crumbs := append([]ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("inbound.title"), Href: "/admin/inbound"}}, over...)
	if title == r.T("inbound.title") {
		crumbs = []ui.Crumb{{Label: r.T("org.admin")}, {Label: title}}
	} else {
		crumbs = append(crumbs, ui.Crumb{Label: title})
	}
	return ui.Chrome{Title: title, Nav: "inbound", Crumbs: crumbs}
}

// answerView is the JSON of an Answer.
type answerView struct {
	Outcome  string       `json:"outcome"`
	Number   string       `json:"number"`
	State    ticket.State `json:"state"`
	Link     string       `json:"link"`
	Repeated bool         `json:"repeated"`
}

func (p *pages) accept(w http.ResponseWriter, r *web.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	h := r.Header
	a, err := p.Accept(r.Context(), Call{Key: r.PathValue("key"), Delivery: h.Get("X-Bihuan-Delivery"), Timestamp: h.Get("X-Bihuan-Timestamp"), Signature: h.Get("X-Bihuan-Signature"), Body: body, IP: r.IP()})
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if a.Repeated || a.Outcome == Added {
		status = http.StatusOK
	}
	return web.WriteJSON(w, status, answerView{a.Outcome, a.Number, a.State, p.outside(r) + a.Link, a.Repeated})
}

func (p *pages) outside(r *web.Request) string {
	switch {
	case p.base != "":
		return p.base
	case r.Secure():
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	all, err := p.Sources(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return listPage.Render(w, r, chrome(r, r.T("inbound.title")), listView{all})
}

func (p *pages) view(r *web.Request, x Source, f *web.Form) editView {
	v := editView{Source: x, Form: f}
	for _, c := range ticket.Channels {
		v.Channels = append(v.Channels, ui.Option{Value: c, Label: r.T("ticket.channel." + c)})
	}
	for _, c := range ticket.Types {
		v.Types = append(v.Types, ui.Option{Value: c, Label: r.T("ticket.type." + c)})
	}
	if x.ID != 0 {
		v.Address = p.outside(r) + "/in/" + x.Key
		v.Sample = `body='{"customer":{"name":"` + r.T("inbound.sample.name") + `","phone":"13800138000"},"title":"` + r.T("inbound.sample.title") + `","description":"` + r.T("inbound.sample.text") + `","reference":"A-1001"}'
at=$(date +%s)
sign=$(printf '%s.%s' "$at" "$body" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
curl -sS ` + v.Address + ` \
  -H "X-Bihuan-Delivery: $(uuidgen)" -H "X-Bihuan-Timestamp: $at" -H "X-Bihuan-Signature: sha256=$sign" \
  --data-raw "$body"`
	}
	return v
}

func title(r *web.Request, x Source) string {
	if x.ID == 0 {
		return r.T("inbound.new")
	}
	return x.Name
}

func (p *pages) blank(w http.ResponseWriter, r *web.Request) error {
	return editPage.Render(w, r, chrome(r, r.T("inbound.new")), p.view(r, Source{}, r.Blank("channel", "api", "type", "consultation", "enabled", "1")))
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error { return p.show(w, r, "") }

func (p *pages) show(w http.ResponseWriter, r *web.Request, plain string) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Source(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	f := r.Blank("name", x.Name, "channel", x.Channel, "type", x.Type, "enabled", map[bool]string{true: "1"}[x.Enabled]).Set("version", x.Version)
	v := p.view(r, x, f)
	v.Plain = plain
	return editPage.Render(w, r, chrome(r, x.Name), v)
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	x := Source{Name: f.String("name"), Channel: f.String("channel"), Type: f.String("type"), Enabled: f.Bool("enabled"), Version: f.Int64("version")}
	if r.PathValue("id") != "" {
		id, err := r.PathID("id")
		if err != nil {
			return err
		}
		old, err := p.Source(r.Context(), r.Actor, id)
		if err != nil {
			return err
		}
		x.ID, x.Key, x.SecretAt = old.ID, old.Key, old.SecretAt
	}
	err := f.Err()
	id := x.ID
	if err == nil {
		id, err = p.Save(r.Context(), r.Actor, x)
	}
	if err != nil {
		return editPage.Invalid(w, r, err, f, chrome(r, title(r, x)), p.view(r, x, f))
	}
	r.Flash(w, "green", "inbound.saved", x.Name)
	return r.SeeOther(w, "/admin/inbound/%d", id)
}

// secret shows the new secret on the page itself: it is kept nowhere a flash or
// an address would leave it.
func (p *pages) secret(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	plain, err := p.MakeSecret(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return p.show(w, r, plain)
}

func (p *pages) log(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Source(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	ds, next, err := p.Deliveries(r.Context(), r.Actor, id, before)
	if err != nil {
		return err
	}
	v, at := logView{Source: x}, "/admin/inbound/"+strconv.FormatInt(id, 10)+"/calls"
	for _, d := range ds {
		l := logLine{Delivery: d}
		if d.Sentence.Key != "" && len(d.Why) == 0 {
			l.Reasons = append(l.Reasons, i18n.T(r.Lang, d.Sentence.Key, d.Sentence.Args...))
		}
		for _, f := range d.Why {
			l.Reasons = append(l.Reasons, f.Field+": "+i18n.T(r.Lang, f.Key, f.Args...))
		}
		v.Lines = append(v.Lines, l)
	}
	if before != 0 {
		v.Pager.Prev = at
	}
	if next != 0 {
		v.Pager.Next = at + "?before=" + strconv.FormatInt(next, 10)
	}
	return logPage.Render(w, r, chrome(r, r.T("inbound.calls"), ui.Crumb{Label: x.Name, Href: "/admin/inbound/" + strconv.FormatInt(id, 10)}), v)
}
