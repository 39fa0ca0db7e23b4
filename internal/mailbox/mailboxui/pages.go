// Package mailboxui is the pages of mailboxes and mails: their settings, the
// quarantine, a mail as it was sent, and what is shown of mails beside a ticket.
package mailboxui

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/eml"
	"bihuan/internal/fault"
	"bihuan/internal/mailbox"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html mailbox.css
var files embed.FS

var _ = ui.AddAssets(files, "mailbox.css")

func init() {
	ui.SetTone("mail.sent", "green")
	ui.SetTone("mail.waiting", "gray")
	ui.SetTone("mail.unsure", "amber")
	ui.SetTone("mail.failed", "red")
	ui.SetTone("mail.bounced", "red")
}

type boxRow struct {
	mailbox.Box
	Key, Detail string // of its trouble
	For         string
}

type listView struct {
	Rows    []boxRow
	Waiting int
}

type boxView struct {
	ID          int64
	Form        *web.Form
	Action      string
	Title       string
	Departments []ui.Option
	Types       []ui.Option
	Urgencies   []ui.Option
	Ways        []ui.Option
	Auths       []ui.Option
	Has         map[string]bool
	Tried       *mailbox.Tried
	Key, Detail string
	CheckedAt   time.Time
}

type heldView struct {
	Rows  []mailbox.Mail
	Pager ui.Pager
}

type fileRow struct {
	Name string
	Size int64
}

type mailView struct {
	mailbox.Mail
	From, To, Cc, Original string
	Fresh, Signature       string
	Quoted                 string
	Events                 []eml.Event
	Protected              string
	HTML                   bool
	Blocked                int
	Pictures               bool
	Files                  []fileRow
	Number                 string
	Decide                 bool
	Unread                 bool // the source is gone
	JoinForm, DropForm     *web.Form
}

type panelView struct {
	Number string
	Mails  []mailbox.Mail
	Outs   []mailbox.Out
	Again  bool
}

var (
	listPage = ui.NewPage[listView](files, "list.html").Sample(listView{Waiting: 2, Rows: []boxRow{{Box: mailbox.Box{ID: 1, Name: "售后", Address: "help@example.cn", Active: true, CheckedAt: time.Unix(1, 0)}, For: "售后部"}, {Box: mailbox.Box{ID: 2, Name: "旧", Address: "a@example.cn"}, Key: "mailbox.trouble.login", Detail: "no"}}})
	boxPage  = ui.NewPage[boxView](files, "box.html").Sample(boxView{ID: 1, Form: &web.Form{}, Title: "售后", Action: "/admin/mailboxes/1", Has: map[string]bool{"password": true}, Tried: &mailbox.Tried{OK: true, Key: "mailbox.tried.ok", Unread: 3}}, boxView{Form: &web.Form{}, Key: "mailbox.trouble.login", Detail: "no"})
	heldPage = ui.NewPage[heldView](files, "held.html").Sample(heldView{Rows: []mailbox.Mail{{ID: 1, Subject: "促销", Reason: "list", Head: mailbox.Head{From: eml.Address{Name: "商城", Addr: "a@example.cn"}}, CreatedAt: time.Unix(1, 0)}}})
	mailPage = ui.NewPage[mailView](files, "mail.html").Sample(mailView{Mail: mailbox.Mail{ID: 1, Subject: "断网", Reason: "list", State: mailbox.Quarantine, FileID: 3}, From: "王 <a@b.cn>", To: "help@example.cn", Cc: "c@d.cn", Original: "李", Fresh: "你好", Signature: "李", Quoted: "> 前文",
		Events: []eml.Event{{Summary: "会", Start: "2026"}}, Protected: "smime", HTML: true, Blocked: 2, Files: []fileRow{{"a.pdf", 10}}, Decide: true, JoinForm: &web.Form{}, DropForm: &web.Form{}},
		mailView{Number: "T-1", Unread: true, Pictures: true, HTML: true, JoinForm: &web.Form{}, DropForm: &web.Form{}})
	panelPage = ui.NewPage[panelView](files, "panel.html").Sample(panelView{Number: "T-1", Again: true, Mails: []mailbox.Mail{{ID: 1, Subject: "断网", OtherTopic: true, EntryID: 4, Head: mailbox.Head{From: eml.Address{Addr: "a@b.cn"}}}}, Outs: []mailbox.Out{{ID: 1, State: "failed", Answer: "550", To: eml.Address{Addr: "a@b.cn"}}}})
)

type pages struct {
	s     *mailbox.Service
	org   *org.Service
	files *blob.Files
}

// Routes adds the pages.
func Routes(rt *web.Router, s *mailbox.Service, o *org.Service, f *blob.Files) {
	p := &pages{s, o, f}
	rt.Handle("GET  /admin/mailboxes", mailbox.PermManage, p.list)
	rt.Handle("POST /admin/mailboxes", mailbox.PermManage, p.save)
	rt.Handle("GET  /admin/mailboxes/new", mailbox.PermManage, p.new)
	rt.Handle("GET  /admin/mailboxes/{id}", mailbox.PermManage, p.show)
	rt.Handle("POST /admin/mailboxes/{id}", mailbox.PermManage, p.save)
	rt.Handle("POST /admin/mailboxes/{id}/test", mailbox.PermManage, p.test, web.Slow(30*time.Second))
	rt.Handle("GET  /admin/mails", mailbox.PermManage, p.held)
	rt.Handle("POST /admin/mails/{id}/ticket", mailbox.PermManage, p.makeTicket)
	rt.Handle("POST /admin/mails/{id}/join", mailbox.PermManage, p.join)
	rt.Handle("POST /admin/mails/{id}/discard", mailbox.PermManage, p.discard)
	rt.Handle("GET  /mails/{id}", web.SignedIn, p.mail)
	rt.Handle("GET  /mails/{id}/body", web.SignedIn, p.body, web.Slow(30*time.Second))
	rt.Handle("POST /mail-answers/{id}/again", ticket.PermHandle, p.again)
}

// SettingsNav is the entry of the mailboxes among the settings.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "mailboxes", Href: "/admin/mailboxes", Icon: "mail", LabelKey: "mailbox.title", Perm: mailbox.PermManage, Group: "org.admin"}
}

func chrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: "mailboxes", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}}}
	if title != r.T("mailbox.title") {
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: r.T("mailbox.title"), Href: "/admin/mailboxes"})
	}
	c.Crumbs = append(append(c.Crumbs, crumbs...), ui.Crumb{Label: title})
	return c
}

func trouble(b mailbox.Box) (key, detail string) {
	key, detail, _ = strings.Cut(b.Trouble, "\n")
	return key, detail
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	bs, err := p.s.Boxes(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v := listView{}
	ds, err := p.org.Tree(r.Context())
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for _, d := range ds {
		names[d.ID] = d.Name
	}
	for _, b := range bs {
		row := boxRow{Box: b, For: names[b.DepartmentID]}
		row.Key, row.Detail = trouble(b)
		v.Rows = append(v.Rows, row)
	}
	if v.Waiting, err = p.s.Waiting(r.Context()); err != nil {
		return err
	}
	return listPage.Render(w, r, chrome(r, r.T("mailbox.title")), v)
}

func (p *pages) view(r *web.Request, b mailbox.Box, f *web.Form) (v boxView, err error) {
	v = boxView{ID: b.ID, Form: f, Title: r.T("mailbox.new"), Action: "/admin/mailboxes", Has: b.Has, CheckedAt: b.CheckedAt}
	if b.ID != 0 {
		v.Title, v.Action = b.Name, fmt.Sprintf("/admin/mailboxes/%d", b.ID)
	}
	v.Key, v.Detail = trouble(b)
	ds, err := p.org.Tree(r.Context())
	if err != nil {
		return v, err
	}
	for _, d := range ds {
		v.Departments = append(v.Departments, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: strings.Repeat("　", d.Depth) + d.Name})
	}
	of := func(prefix string, codes ...string) (out []ui.Option) {
		for _, c := range codes {
			out = append(out, ui.Option{Value: c, Label: r.T(prefix + c)})
		}
		return out
	}
	v.Types, v.Urgencies = of("ticket.type.", ticket.Types...), of("ticket.urgency.", ticket.Urgencies...)
	v.Ways, v.Auths = of("mailbox.tls.", "tls", "starttls", "none"), of("mailbox.auth.", "password", "oauth2")
	return v, nil
}

func (p *pages) new(w http.ResponseWriter, r *web.Request) error {
	v, err := p.view(r, mailbox.Box{}, r.Blank("tls", "tls", "smtp_tls", "tls", "auth", "password", "type", "consultation", "urgency", "normal", "active", "1", "folder", "INBOX"))
	if err != nil {
		return err
	}
	return boxPage.Render(w, r, chrome(r, v.Title), v)
}

func (p *pages) form(r *web.Request, b mailbox.Box) *web.Form {
	on := map[bool]string{true: "1"}
	port := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	dep := ""
	if b.DepartmentID != 0 {
		dep = strconv.FormatInt(b.DepartmentID, 10)
	}
	s := b.Settings
	return r.Blank("name", b.Name, "address", b.Address, "active", on[b.Active], "department", dep, "type", b.Type, "urgency", b.Urgency, "host", s.Host, "port", port(s.Port), "tls", s.TLS, "user", s.User, "folder", s.Folder, "auth", s.Auth,
		"token_url", s.TokenURL, "client_id", s.ClientID, "scope", s.Scope, "answer", on[s.Answer], "smtp_host", s.SMTPHost, "smtp_port", port(s.SMTPPort), "smtp_tls", s.SMTPTLS, "from_name", s.FromName, "signature", s.Signature, "version", strconv.FormatInt(b.Version, 10))
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error { return p.showTried(w, r, nil) }

func (p *pages) showTried(w http.ResponseWriter, r *web.Request, tried *mailbox.Tried) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	b, err := p.s.Box(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v, err := p.view(r, b, p.form(r, b))
	if err != nil {
		return err
	}
	v.Tried = tried
	return boxPage.Render(w, r, chrome(r, v.Title), v)
}

func (p *pages) test(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	t, err := p.s.Test(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return p.showTried(w, r, &t)
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) (err error) {
	old := mailbox.Box{}
	if r.PathValue("id") != "" {
		id, err := r.PathID("id")
		if err != nil {
			return err
		}
		if old, err = p.s.Box(r.Context(), r.Actor, id); err != nil {
			return err
		}
	}
	f := r.Input()
	port := func(name string) int {
		if f.String(name) == "" {
			return 0
		}
		return f.IntIn(name, 1, 65535)
	}
	b := mailbox.Box{ID: old.ID, Name: f.Required("name"), Address: f.String("address"), Active: f.Bool("active"), DepartmentID: f.ID("department"), Type: f.String("type"), Urgency: f.String("urgency"), Version: f.Int64("version"),
		Settings: mailbox.Settings{Host: f.String("host"), Port: port("port"), TLS: f.String("tls"), User: f.String("user"), Folder: f.String("folder"), Auth: f.String("auth"), TokenURL: f.String("token_url"), ClientID: f.String("client_id"), Scope: f.String("scope"),
			Answer: f.Bool("answer"), SMTPHost: f.String("smtp_host"), SMTPPort: port("smtp_port"), SMTPTLS: f.String("smtp_tls"), FromName: f.String("from_name"), Signature: f.Text("signature")}}
	if b.Settings.SMTPTLS == "" {
		b.Settings.SMTPTLS = "tls"
	}
	sec := mailbox.Secrets{Password: f.String("password"), ClientSecret: f.String("client_secret"), RefreshToken: f.String("refresh_token")}
	id := old.ID
	if err = f.Err(); err == nil {
		id, err = p.s.Save(r.Context(), r.Actor, b, sec)
	}
	if err != nil {
		v, verr := p.view(r, old, f)
		if verr != nil {
			return verr
		}
		return boxPage.Invalid(w, r, err, f, chrome(r, v.Title), v)
	}
	r.Flash(w, "green", "mailbox.saved")
	return r.SeeOther(w, "/admin/mailboxes/%d", id)
}

const perPage = 30

func (p *pages) held(w http.ResponseWriter, r *web.Request) error {
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64)
	ms, more, err := p.s.Held(r.Context(), r.Actor, before, perPage)
	if err != nil {
		return err
	}
	v := heldView{Rows: ms}
	if more {
		v.Pager.Next = fmt.Sprintf("/admin/mails?before=%d", ms[len(ms)-1].ID)
	}
	if before > 0 {
		v.Pager.Prev = "/admin/mails"
	}
	return heldPage.Render(w, r, chrome(r, r.T("mailbox.held.title")), v)
}

func people(as []eml.Address) string {
	var out []string
	for _, a := range as {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

func (p *pages) mailView(r *web.Request) (v mailView, err error) {
	id, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	m, msg, err := p.s.Open(r.Context(), r.Actor, id)
	gone := msg == nil && m.ID != 0
	if err != nil && !gone {
		return v, err
	}
	v = mailView{Mail: m, From: m.Head.From.String(), To: people(m.Head.To), Cc: people(m.Head.Cc), Original: m.Head.Original.String(), Unread: gone, Pictures: r.FormValue("pictures") == "1", JoinForm: r.Blank(), DropForm: r.Blank()}
	v.Decide = m.State == mailbox.Quarantine && r.Actor.Can(mailbox.PermManage)
	if m.TicketID != 0 {
		if v.Number, err = p.s.Number(r.Context(), r.Actor, m.TicketID); err != nil {
			return v, err
		}
	}
	if gone {
		return v, nil
	}
	f := eml.Fold(msg.Text)
	v.Fresh, v.Signature, v.Quoted, v.Events, v.Protected, v.HTML = f.Fresh, f.Signature, f.Quoted, msg.Events, msg.Protected, msg.HTML != ""
	if v.HTML {
		_, v.Blocked = eml.Safe(msg.HTML, eml.Pictures{})
	}
	for _, x := range msg.Files {
		v.Files = append(v.Files, fileRow{x.Call(), int64(len(x.Data))})
	}
	return v, nil
}

func mailChrome(r *web.Request, v mailView) ui.Chrome {
	title := v.Subject
	if title == "" {
		title = r.T("mailbox.no_subject")
	}
	if v.Number != "" {
		return ui.Chrome{Title: title, Nav: "tickets", Crumbs: []ui.Crumb{{Label: v.Number, Href: "/tickets/" + v.Number}, {Label: r.T("mailbox.mail")}}}
	}
	return chrome(r, title, ui.Crumb{Label: r.T("mailbox.held.title"), Href: "/admin/mails"})
}

func (p *pages) mail(w http.ResponseWriter, r *web.Request) error {
	v, err := p.mailView(r)
	if err != nil {
		return err
	}
	return mailPage.Render(w, r, mailChrome(r, v), v)
}

// FrameSecurityPolicy is what a stranger's HTML may do: show itself.
const FrameSecurityPolicy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"

func (p *pages) body(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	_, msg, err := p.s.Open(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if msg.HTML == "" {
		return fault.New(fault.NotFound, "mailbox.mail.not_found")
	}
	html, _ := p.s.HTML(r.Context(), msg, r.FormValue("pictures") == "1")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", FrameSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-store")
	_, err = w.Write([]byte("<!doctype html><html><head><meta charset=\"utf-8\"><title>-</title><base target=\"_blank\"></head><body>" + html + "</body></html>"))
	return err
}

func (p *pages) makeTicket(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if _, err := p.s.MakeTicket(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "mailbox.made")
	return r.SeeOther(w, "/admin/mails")
}

func (p *pages) join(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	number := f.Required("number")
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err = f.Err(); err == nil {
		err = p.s.JoinTo(r.Context(), r.Actor, id, number)
	}
	if err != nil {
		v, verr := p.mailView(r)
		if verr != nil {
			return verr
		}
		v.JoinForm = f
		return mailPage.Invalid(w, r, err, f, mailChrome(r, v), v)
	}
	r.Flash(w, "green", "mailbox.joined", number)
	return r.SeeOther(w, "/admin/mails")
}

func (p *pages) discard(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	reason := f.Limited("reason", 500)
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err = f.Err(); err == nil {
		err = p.s.Discard(r.Context(), r.Actor, id, reason)
	}
	if err != nil {
		v, verr := p.mailView(r)
		if verr != nil {
			return verr
		}
		v.DropForm = f
		return mailPage.Invalid(w, r, err, f, mailChrome(r, v), v)
	}
	r.Flash(w, "green", "mailbox.discarded")
	return r.SeeOther(w, "/admin/mails")
}

func (p *pages) again(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	t, err := p.s.Again(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	n, err := p.s.Number(r.Context(), r.Actor, t)
	if err != nil {
		return err
	}
	r.Flash(w, "green", "mailbox.again.done")
	return r.SeeOther(w, "/tickets/%s", n)
}

// Panel shows the mails of a ticket beside it.
func Panel(s *mailbox.Service) func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
	return func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
		if t.Channel != "email" {
			return "", nil
		}
		ms, err := s.Of(r.Context(), t.ID)
		if err != nil || len(ms) == 0 {
			return "", err
		}
		v := panelView{Number: t.Number, Mails: ms, Again: r.Actor.Can(ticket.PermHandle)}
		if v.Outs, err = s.Sent(r.Context(), t.ID); err != nil {
			return "", err
		}
		html, err := panelPage.String(r, "panel", v)
		return template.HTML(html), err
	}
}
