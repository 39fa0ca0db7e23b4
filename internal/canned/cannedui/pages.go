// Package cannedui shows the texts and macros people work with: the pages on
// which they are kept, the list that opens behind a slash while somebody writes,
// and the macro that is looked at before it runs.
package cannedui

import (
	"embed"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/blob"
	"bihuan/internal/canned"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var _ = ui.AddAssets(files, "canned.css")

// Rooms are the services behind the pages.
type Rooms struct {
	Canned  *canned.Service
	Tickets *ticket.Service
	Org     *org.Service
	Files   *blob.Files
}

type pages struct{ Rooms }

// Routes adds the pages.
func Routes(rt *web.Router, rooms Rooms) {
	p := &pages{rooms}
	upload := web.MaxBody(rooms.Files.MaxBytes() + 1<<20)
	rt.Handle("GET  /canned", canned.PermUse, p.list)
	rt.Handle("POST /canned", canned.PermUse, p.create, upload)
	rt.Handle("GET  /canned/new", canned.PermUse, p.showNew)
	rt.Handle("POST /canned/preview", canned.PermUse, p.preview)
	rt.Handle("GET  /canned/{id}", canned.PermUse, p.show)
	rt.Handle("POST /canned/{id}", canned.PermUse, p.edit, upload)
	rt.Handle("POST /canned/{id}/deletion", canned.PermUse, p.delete)
	rt.Handle("GET  /macros", canned.PermUse, p.macros)
	rt.Handle("POST /macros", canned.PermUse, p.saveMacro)
	rt.Handle("GET  /macros/new", canned.PermUse, p.newMacro)
	rt.Handle("GET  /macros/{id}", canned.PermUse, p.showMacro)
	rt.Handle("POST /macros/{id}", canned.PermUse, p.saveMacro)
	rt.Handle("POST /macros/{id}/deletion", canned.PermUse, p.deleteMacro)
	rt.Handle("GET  /tickets/{number}/macros", canned.PermUse, p.offered)
	rt.Handle("GET  /tickets/{number}/macros/{id}", canned.PermUse, p.tryMacro)
	rt.Handle("POST /tickets/{number}/macros/{id}", canned.PermUse, p.runMacro)
	rt.Handle("GET  /tickets/{number}/canned", canned.PermUse, p.choose)
	rt.Handle("POST /tickets/{number}/canned", canned.PermUse, p.insert)
}

// Nav is the entry of these pages.
func Nav() ui.Nav {
	return ui.Nav{Key: "canned", Href: "/canned", Icon: "bolt", LabelKey: "canned.nav", Perm: canned.PermUse, Menu: true}
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

func chrome(r *web.Request, title, home, homeKey string) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: "canned", Assets: []string{"ticketui.css", "canned.css"}, Crumbs: []ui.Crumb{{Label: r.T(homeKey), Href: home}, {Label: title}}}
	if title == r.T(homeKey) {
		c.Crumbs = c.Crumbs[1:]
	}
	return c
}

type (
	row struct {
		canned.Reply
		Whose string // department or person; "" everybody's
		Mine  bool   // may be changed by the reader
	}
	listView struct {
		Rows   []row
		Filter *web.Form
		Scopes []ui.Option
		Folder []ui.Option
		Pager  ui.Pager
		Narrow bool
	}
	formView struct {
		Form      *web.Form
		ID        int64
		Reply     canned.Reply
		Mine      bool // the reader may change it
		Files     []blob.File
		Uploads   []waiting
		Scopes    []ui.Option
		Deps      []ui.Option
		Langs     []ui.Option
		Types     []ui.Option
		Cats      []ui.Option
		Folders   []string
		Variables []canned.Variable
		Preview   previewView
	}
	waiting struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	previewView struct {
		Number, Title string
		Text          string
		Missing       []string
		Problem       string
	}
	chooseView struct {
		T       ticket.Ticket
		Form    *web.Form
		Replies []ui.Option
	}
)

var sample = canned.Reply{ID: 1, Title: "t", Body: "b", Code: "c", Folder: "f", Lang: i18n.En, Types: []string{"complaint"}, Files: 1, Uses: 2, Place: canned.Place{Scope: canned.Everybody}}

var (
	listPage = ui.NewPage[listView](files, "list.html").Sample(listView{Filter: &web.Form{}, Rows: []row{{Reply: sample, Whose: "w", Mine: true}, {Reply: canned.Reply{ID: 2, Title: "x", Place: canned.Place{Scope: canned.Own}}}}, Scopes: []ui.Option{{Value: "own", Label: "l"}}, Folder: []ui.Option{{Value: "f", Label: "f"}}})
	formPage = ui.NewPage[formView](files, "form.html").Sample(
		formView{Form: &web.Form{}, Mine: true, Scopes: []ui.Option{{Value: "own", Label: "l"}}, Variables: canned.Variables, Folders: []string{"f"}, Uploads: []waiting{{1, "n"}}},
		formView{Form: &web.Form{}, ID: 1, Reply: sample, Mine: true, Files: []blob.File{{ID: 1, Name: "n"}}, Deps: []ui.Option{{Value: "1", Label: "d"}}, Variables: canned.Variables, Preview: previewView{Number: "n", Title: "t", Text: "x", Missing: []string{"m"}}},
		formView{Form: &web.Form{}, ID: 1, Reply: sample, Files: []blob.File{{ID: 1, Name: "n"}}, Preview: previewView{Problem: "p"}})
	choosePage = ui.NewPage[chooseView](files, "choose.html").Sample(chooseView{Form: &web.Form{}, Replies: []ui.Option{{Value: "1", Label: "r", Group: "g"}}}, chooseView{Form: &web.Form{}})
)

func (p *pages) whose(r *web.Request, at canned.Place) string {
	switch at.Scope {
	case canned.Department:
		return p.Org.DepartmentName(r.Context(), at.DepartmentID)
	case canned.Own:
		return p.Org.Name(r.Context(), at.OwnerID)
	}
	return ""
}

const pageSize = 50

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	f := r.Blank()
	f.Values = r.URL.Query()
	filter := canned.Filter{Text: f.String("q"), Folder: f.String("folder"), Limit: pageSize}
	if s := canned.Scope(f.String("scope")); slices.Contains(canned.Scopes, s) {
		filter.Scope = s
	}
	filter.After = canned.Cursor{Folder: f.Get("af"), Title: f.Get("at"), ID: f.ID("ai")}
	rows, more, err := p.Canned.List(ctx, r.Actor, filter)
	if err != nil {
		return err
	}
	v := listView{Filter: f, Narrow: filter.Text != "" || filter.Folder != "" || filter.Scope != "" || filter.After.ID != 0}
	for _, x := range rows {
		v.Rows = append(v.Rows, row{x, p.whose(r, x.Place), canned.MayKeep(r.Actor, x.Place)})
	}
	for _, s := range canned.Scopes {
		v.Scopes = append(v.Scopes, ui.Option{Value: string(s), Label: r.T("canned.scope." + string(s))})
	}
	folders, err := p.Canned.Folders(ctx, r.Actor)
	if err != nil {
		return err
	}
	for _, x := range folders {
		v.Folder = append(v.Folder, ui.Option{Value: x, Label: x})
	}
	q := r.URL.Query()
	for _, k := range []string{"af", "at", "ai"} {
		q.Del(k)
	}
	if filter.After.ID != 0 {
		v.Pager.Prev = "/canned?" + q.Encode()
	}
	if more {
		last := rows[len(rows)-1]
		q.Set("af", last.Folder)
		q.Set("at", last.Title)
		q.Set("ai", id(last.ID))
		v.Pager.Next = "/canned?" + q.Encode()
	}
	if r.IsFragment() && r.Target() == "rows" {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, chrome(r, r.T("canned.nav"), "/canned", "canned.nav"), v)
}

// fill completes the form of a reply.
func (p *pages) fill(r *web.Request, f *web.Form, v *formView) (err error) {
	ctx := r.Context()
	v.Form, v.Variables = f, canned.Variables
	for _, s := range canned.Scopes {
		v.Scopes = append(v.Scopes, ui.Option{Value: string(s), Label: r.T("canned.scope." + string(s))})
	}
	if v.Deps, v.Scopes, err = p.places(r, v.Scopes); err != nil {
		return err
	}
	v.Langs = []ui.Option{{Value: string(i18n.ZhCN), Label: r.T("canned.lang.zh-CN")}, {Value: string(i18n.En), Label: r.T("canned.lang.en")}}
	for _, t := range ticket.Types {
		v.Types = append(v.Types, ui.Option{Value: t, Label: r.T("ticket.type." + t)})
	}
	if v.Cats, err = p.categories(r); err != nil {
		return err
	}
	if v.Folders, err = p.Canned.Folders(ctx, r.Actor); err != nil {
		return err
	}
	for _, n := range f.IDs("file") {
		if x, err := p.Files.Get(ctx, p.Canned.DB().Read(), n); err == nil && x.WaitsFor(r.Actor) {
			v.Uploads = append(v.Uploads, waiting{x.ID, x.Name})
		}
	}
	if v.ID != 0 {
		v.Files, err = p.Canned.Attachments(ctx, r.Actor, v.ID)
	}
	return err
}

// places keeps of the scopes those the reader may keep things in, and names the
// departments among them.
func (p *pages) places(r *web.Request, scopes []ui.Option) (deps, out []ui.Option, err error) {
	nodes, all, err := p.Canned.Keeps(r.Context(), r.Actor)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		deps = append(deps, ui.Option{Value: id(n.ID), Label: n.Path})
	}
	for _, s := range scopes {
		if s.Value == string(canned.Own) || s.Value == string(canned.Department) && len(deps) > 0 || s.Value == string(canned.Everybody) && all {
			out = append(out, s)
		}
	}
	return deps, out, nil
}

func (p *pages) categories(r *web.Request) ([]ui.Option, error) {
	cs, err := ticket.Categories(r.Context(), p.Tickets.DB().Read())
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	var out []ui.Option
	for _, c := range cs {
		names[c.ID] = c.Name
		o := ui.Option{Value: id(c.ID), Label: c.Name}
		if c.ParentID != 0 {
			o.Label = names[c.ParentID] + " / " + c.Name
		}
		out = append(out, o)
	}
	return out, nil
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	v := formView{Mine: true}
	f := r.Blank("scope", string(canned.Own), "department", id(r.Actor.DepartmentID), "body", r.URL.Query().Get("body"), "folder", r.URL.Query().Get("folder"))
	if err := p.fill(r, f, &v); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("canned.new"), "/canned", "canned.nav"), v)
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Canned.Get(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	v := formView{ID: n, Reply: x, Mine: canned.MayKeep(r.Actor, x.Place)}
	f := r.Blank("version", id(x.Version), "title", x.Title, "body", x.Body, "code", x.Code, "folder", x.Folder, "lang", string(x.Lang), "scope", string(x.Place.Scope))
	if x.Place.DepartmentID != 0 {
		f.Set("department", x.Place.DepartmentID)
	}
	if x.CategoryID != 0 {
		f.Set("category", x.CategoryID)
	}
	for _, t := range x.Types {
		f.Values.Add("types", t)
	}
	if err := p.fill(r, f, &v); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("ui.edit"), "/canned", "canned.nav"), v)
}

func (p *pages) read(r *web.Request, f *web.Form) (canned.Input, error) {
	in := canned.Input{Version: f.Int64("version"), Title: f.String("title"), Body: f.Limited("body", journal.MaxBody), Code: f.String("code"), Folder: f.String("folder"), Lang: i18n.Lang(f.String("lang")),
		Place: canned.Place{Scope: canned.Scope(f.String("scope")), DepartmentID: f.ID("department")}, Types: f.Strings("types"), CategoryID: f.ID("category"), Files: f.IDs("file"), Drop: f.IDs("drop")}
	for _, h := range f.Files["upload"] { // before the script was there
		if h.Size == 0 && h.Filename == "" {
			continue
		}
		c, err := h.Open()
		if err != nil {
			return in, err
		}
		x, err := p.Files.Upload(r.Context(), r.Actor, h.Filename, c)
		c.Close()
		if err != nil {
			return in, err
		}
		in.Files = append(in.Files, x.ID)
		f.Values.Add("file", id(x.ID))
	}
	return in, f.Err()
}

func (p *pages) create(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in, err := p.read(r, f)
	if err == nil {
		_, err = p.Canned.Create(r.Context(), r.Actor, in)
	}
	if err != nil {
		v := formView{Mine: true}
		if ferr := p.fill(r, f, &v); ferr != nil {
			return ferr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, r.T("canned.new"), "/canned", "canned.nav"), v)
	}
	r.Flash(w, "green", "canned.saved", in.Title)
	return r.SeeOther(w, "/canned")
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Canned.Get(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	f := r.Input()
	in, err := p.read(r, f)
	if err == nil {
		err = p.Canned.Edit(r.Context(), r.Actor, n, in)
	}
	if err != nil {
		v := formView{ID: n, Reply: x, Mine: true}
		f.Set("version", x.Version) // whoever sends it again has seen that it was changed
		if ferr := p.fill(r, f, &v); ferr != nil {
			return ferr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, r.T("ui.edit"), "/canned", "canned.nav"), v)
	}
	r.Flash(w, "green", "canned.saved", in.Title)
	return r.SeeOther(w, "/canned")
}

func (p *pages) delete(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Canned.Delete(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "canned.deleted")
	return r.SeeOther(w, "/canned")
}

// preview shows a text as it would be for a ticket: the one named, or the one the
// reader has worked on last.
func (p *pages) preview(w http.ResponseWriter, r *web.Request) error {
	ctx, f := r.Context(), r.Input()
	body := f.Text("body")
	var v formView
	err := canned.CheckText(body, "body")
	if err == nil {
		var t ticket.Ticket
		if number := f.String("number"); number != "" {
			t, err = p.Tickets.ByNumber(ctx, ticket.View(r.Actor), number)
		} else {
			var page ticket.Page
			if page, err = p.Tickets.List(ctx, ticket.View(r.Actor), ticket.Filter{Mine: true, Sort: ticket.ByActivity, Limit: 1}); err == nil && len(page.Rows) > 0 {
				t, err = p.Tickets.Get(ctx, ticket.View(r.Actor), page.Rows[0].ID)
			}
		}
		if err == nil && t.ID == 0 {
			v.Preview.Problem = r.T("canned.preview.none")
		} else if err == nil {
			v.Preview.Number, v.Preview.Title = t.Number, t.Title
			v.Preview.Text, v.Preview.Missing, err = p.Canned.Preview(ctx, r.Actor, body, i18n.Lang(f.String("lang")), t)
		}
	}
	if err != nil {
		if !f.Explain(err) {
			x := r.Explain(err)
			v.Preview.Problem = x.Message
		} else {
			v.Preview.Problem = f.Summary
			for _, m := range f.Errors {
				v.Preview.Problem = m
			}
		}
	}
	if r.IsFragment() {
		return formPage.Fragment(w, r, "preview", v)
	}
	// Before the script: the whole form again, with its preview.
	full := formView{Mine: true, ID: f.ID("id"), Preview: v.Preview}
	if full.ID != 0 {
		if full.Reply, err = p.Canned.Get(ctx, r.Actor, full.ID); err != nil {
			return err
		}
	}
	if err := p.fill(r, f, &full); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("canned.preview"), "/canned", "canned.nav"), full)
}

// option is a reply as the list behind the slash shows it.
type option struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	Code  string `json:"code,omitempty"`
	Note  string `json:"note"` // folder, whose it is
	Text  string `json:"text"` // as it begins, before it is filled
	Files int    `json:"files,omitempty"`
}

const offered = 12

// choose answers the list behind the slash, or, before the script, a page to
// choose from.
func (p *pages) choose(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	t, err := p.Tickets.ByNumber(ctx, ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		rs, err := p.Canned.Find(ctx, r.Actor, t, r.URL.Query().Get("q"), offered)
		if err != nil {
			return err
		}
		out := []option{}
		for _, x := range rs {
			o := option{ID: x.ID, Title: x.Title, Code: x.Code, Text: brief(x.Body), Files: x.Files, Note: x.Folder}
			if x.Place.Scope == canned.Own {
				o.Note = strings.TrimPrefix(o.Note+" · "+r.T("canned.scope.own"), " · ")
			}
			out = append(out, o)
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	v := chooseView{T: t, Form: r.Blank()}
	if v.Replies, err = p.replies(r, t); err != nil {
		return err
	}
	return choosePage.Render(w, r, chrome(r, r.T("canned.choose"), "/tickets/"+t.Number, "ticket.nav"), v)
}

func (p *pages) replies(r *web.Request, t ticket.Ticket) (out []ui.Option, err error) {
	rs, err := p.Canned.Find(r.Context(), r.Actor, t, "", 200)
	for _, x := range rs {
		out = append(out, ui.Option{Value: id(x.ID), Label: x.Title + "　" + brief(x.Body)})
	}
	return out, err
}

func brief(s string) string {
	rs := []rune(strings.Join(strings.Fields(s), " "))
	if len(rs) > 60 {
		return string(rs[:60]) + "…"
	}
	return string(rs)
}

// insert answers with the filled text; before the script it is added to the
// reader's draft of a reply.
func (p *pages) insert(w http.ResponseWriter, r *web.Request) error {
	ctx, f := r.Context(), r.Input()
	t, err := p.Tickets.ByNumber(ctx, ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return err
	}
	n := f.ID("id")
	if err := f.Err(); err != nil {
		return err
	}
	x, err := p.Canned.Insert(ctx, r.Actor, n, t.ID)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		out := struct {
			Text    string    `json:"text"`
			Missing string    `json:"missing,omitempty"`
			Files   []waiting `json:"files"`
		}{Text: x.Text, Files: []waiting{}}
		if len(x.Missing) > 0 {
			out.Missing = r.T("canned.gaps", strings.Join(x.Missing, r.T("ticket.list.comma")))
		}
		for _, c := range x.Files {
			out.Files = append(out.Files, waiting{c.ID, c.Name})
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	kind := ticketui.DraftKind(f.String("kind"))
	d, err := p.Tickets.Draft(ctx, r.Actor, t.ID, kind)
	if err != nil {
		return err
	}
	d.Body = strings.TrimSpace(d.Body + "\n\n" + x.Text)
	for _, c := range x.Files {
		d.Files = append(d.Files, c.ID)
	}
	if err := p.Tickets.KeepDraft(ctx, r.Actor, t.ID, kind, d); err != nil {
		return err
	}
	return r.SeeOther(w, "/tickets/%s#composer", t.Number)
}
