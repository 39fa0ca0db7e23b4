// Package knowledgeui shows what the company knows: the staff's pages on which
// articles are written, looked at by a second person and read; the panel and the
// list beside a ticket; and the customer's help pages.
package knowledgeui

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/fault"
	"bihuan/internal/knowledge"
	"bihuan/internal/org"
	"bihuan/internal/search"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css *.js
var files embed.FS

var (
	_ = ui.AddAssets(files, "knowledge.css", "knowledge.js")
	_ = []struct{}{ui.SetTone("knowledge.draft", "gray"), ui.SetTone("knowledge.review", "amber"), ui.SetTone("knowledge.published", "green"), ui.SetTone("knowledge.expired", "red"),
		ui.SetTone("knowledge.public", "teal"), ui.SetTone("knowledge.customers", "cyan"), ui.SetTone("knowledge.staff", "blue"), ui.SetTone("knowledge.chosen", "violet")}
)

// Rooms are the services behind the pages.
type Rooms struct {
	Knowledge *knowledge.Service
	Tickets   *ticket.Service
	Org       *org.Service
	Files     *blob.Files
}

type pages struct {
	Rooms
	asks  *web.Limiter // searches of visitors
	posts *web.Limiter // what visitors send
}

// Routes adds the pages.
func Routes(rt *web.Router, rooms Rooms) {
	p := &pages{Rooms: rooms, asks: web.NewLimiter(rt.Clock(), 120, time.Second/2, 20_000), posts: web.NewLimiter(rt.Clock(), 20, 20*time.Second, 20_000)}
	upload := web.MaxBody(rooms.Files.MaxBytes() + 1<<20)
	rt.Handle("GET  /knowledge", knowledge.PermRead, p.list)
	rt.Handle("POST /knowledge", knowledge.PermWrite, p.create, upload)
	rt.Handle("GET  /knowledge/new", knowledge.PermWrite, p.showNew)
	rt.Handle("POST /knowledge/preview", knowledge.PermWrite, p.preview)
	rt.Handle("POST /knowledge/files", knowledge.PermWrite, p.upload, upload, web.JSON())
	rt.Handle("GET  /knowledge/owners", knowledge.PermWrite, p.owners, web.JSON())
	rt.Handle("GET  /knowledge/categories", knowledge.PermManage, p.categories)
	rt.Handle("POST /knowledge/categories", knowledge.PermManage, p.saveCategory)
	rt.Handle("POST /knowledge/categories/removal", knowledge.PermManage, p.removeCategory)
	rt.Handle("GET  /knowledge/synonyms", knowledge.PermManage, p.synonyms)
	rt.Handle("POST /knowledge/synonyms", knowledge.PermManage, p.saveSynonyms)
	rt.Handle("GET  /knowledge/report", knowledge.PermManage, p.report)
	rt.Handle("POST /knowledge/report/searches", knowledge.PermManage, p.settled)
	rt.Handle("POST /knowledge/report/comments", knowledge.PermManage, p.handled)
	rt.Handle("GET  /knowledge/settings", knowledge.PermManage, p.settings)
	rt.Handle("POST /knowledge/settings", knowledge.PermManage, p.setSettings)
	rt.Handle("GET  /knowledge/{id}", knowledge.PermRead, p.show)
	rt.Handle("GET  /knowledge/{id}/edit", knowledge.PermWrite, p.showEdit)
	rt.Handle("POST /knowledge/{id}", knowledge.PermWrite, p.edit, upload)
	rt.Handle("POST /knowledge/{id}/steps", knowledge.PermRead, p.step)
	rt.Handle("POST /knowledge/{id}/deletion", knowledge.PermWrite, p.delete)
	rt.Handle("POST /knowledge/{id}/feedback", knowledge.PermRead, p.rate)
	rt.Handle("GET  /knowledge/{id}/versions", knowledge.PermRead, p.versions)
	rt.Handle("POST /knowledge/{id}/versions/{n}/restoration", knowledge.PermWrite, p.restore)

	rt.Handle("GET  /tickets/{number}/articles", knowledge.PermRead, p.choose)
	rt.Handle("POST /tickets/{number}/articles", knowledge.PermRead, p.insert)
	rt.Handle("POST /tickets/{number}/articles/links", knowledge.PermRead, p.link)
	rt.Handle("GET  /tickets/{number}/article", knowledge.PermWrite, p.showFrom)
	rt.Handle("POST /tickets/{number}/article", knowledge.PermWrite, p.createFrom)

	p.helpRoutes(rt)
}

// Nav is the entry of these pages.
func Nav() ui.Nav {
	return ui.Nav{Key: "knowledge", Href: "/knowledge", Icon: "book", LabelKey: "knowledge.nav", Perm: knowledge.PermRead, Letter: "b"}
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

func chrome(r *web.Request, title string, more ...ui.Crumb) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: "knowledge", Assets: []string{"knowledge.css", "knowledge.js"}}
	if title != r.T("knowledge.nav") {
		c.Crumbs = append([]ui.Crumb{{Label: r.T("knowledge.nav"), Href: "/knowledge"}}, more...)
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: title})
	}
	return c
}

type tab struct {
	Href, LabelKey string
	Current        bool
}

func tabs(r *web.Request, current string) (out []tab) {
	if !r.Actor.Can(knowledge.PermManage) {
		return nil
	}
	for _, t := range []string{"articles", "categories", "synonyms", "report", "settings"} {
		href := "/knowledge/" + t
		if t == "articles" {
			href = "/knowledge"
		}
		out = append(out, tab{href, "knowledge.tab." + t, t == current})
	}
	return out
}

type (
	row struct {
		knowledge.Article
		Lit      []search.Piece
		Snippet  []search.Piece
		Category string
		Owner    string
	}
	listView struct {
		Tabs     []tab
		Rows     []row
		Filter   *web.Form
		Cats     []knowledge.Category
		Category int64
		Views    []ui.Option
		Pager    ui.Pager
		Narrow   bool
		Searched bool
		CanWrite bool
		Title    string
		New      string
	}
	formView struct {
		Form      *web.Form
		ID        int64
		Article   knowledge.Article
		Owner     string
		Cats      []ui.Option
		Audiences []ui.Option
		Deps      []ui.Option
		Roles     []ui.Option
		Files     []blob.File
		Uploads   []waiting
		Pictures  []int64
		Preview   template.HTML
		Review    bool
		Action    string
		Ticket    string
	}
	waiting struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	showView struct {
		X         knowledge.Article
		Body      template.HTML
		Working   bool // the working text is shown, not what readers see
		Category  string
		Owner     string
		Writer    string
		Readers   []string
		Files     []blob.File
		Steps     []knowledge.Step
		CanEdit   bool
		CanDelete bool
		OwnWork   bool // he wrote it, so somebody else must publish it
		Comments  []knowledge.Comment
		Helped    []ticket.Ticket
		HelpedAll int
		Form      *web.Form
		Rated     string
		Due       bool
		PublicURL string
	}
)

var (
	sampleText    = knowledge.Text{Title: "t", Body: "b", Keywords: "k", Audience: knowledge.Chosen, Files: []int64{1}}
	sampleArticle = knowledge.Article{ID: 1, State: knowledge.Review, Text: sampleText, FAQ: true, Views: 3, Uses: 2, Helpful: 1, Unhelpful: 1, Version: 3, MayEdit: true, Live: knowledge.Live{Text: sampleText, Version: 2},
		ReviewAt: time.Unix(1, 0), ExpiresAt: time.Unix(1, 0), PublishedAt: time.Unix(1, 0), UpdatedAt: time.Unix(1, 0)}
	lit      = []search.Piece{{Text: "a", Hit: true}, {Text: "b"}}
	listPage = ui.NewPage[listView](files, "list.html").Sample(listView{Filter: &web.Form{}, Tabs: []tab{{"/knowledge", "knowledge.tab.articles", true}}, CanWrite: true, Cats: []knowledge.Category{{ID: 1, Name: "c", Articles: 2}, {ID: 2, ParentID: 1, Name: "d", Depth: 1}}, Category: 1,
		Views: []ui.Option{{Value: "draft", Label: "d"}}, Rows: []row{{Article: sampleArticle, Lit: lit, Snippet: lit, Category: "c", Owner: "o"}}, Pager: ui.Pager{Next: "/x"}}, listView{Filter: &web.Form{}, Narrow: true, Searched: true, New: "/knowledge/new"})
	formPage = ui.NewPage[formView](files, "form.html").Sample(
		formView{Form: &web.Form{}, Action: "/knowledge", Cats: []ui.Option{{Value: "1", Label: "c"}}, Audiences: []ui.Option{{Value: "staff", Label: "s"}}, Deps: []ui.Option{{Value: "1", Label: "d"}}, Roles: []ui.Option{{Value: "1", Label: "r"}}, Review: true, Preview: "<p>x</p>"},
		formView{Form: &web.Form{}, Action: "/knowledge/1", ID: 1, Article: sampleArticle, Files: []blob.File{{ID: 1, Name: "n"}}, Uploads: []waiting{{1, "n"}}, Pictures: []int64{2}, Ticket: "T1"})
	showPage = ui.NewPage[showView](files, "show.html").Sample(
		showView{X: sampleArticle, Body: "<p>b</p>", Working: true, Category: "c", Owner: "o", Writer: "w", Readers: []string{"d"}, Files: []blob.File{{ID: 1, Name: "n", Size: 3}}, Steps: []knowledge.Step{knowledge.Submit, knowledge.Return, knowledge.Publish, knowledge.Withdraw, knowledge.Verify}, CanEdit: true, CanDelete: true, OwnWork: true,
			Comments: []knowledge.Comment{{ID: 1, Comment: "c"}}, Helped: []ticket.Ticket{{Number: "n", Title: "t", State: ticket.Closed}}, HelpedAll: 3, Form: &web.Form{}, Due: true, Rated: "0", PublicURL: "/help/1"},
		showView{X: sampleArticle, Form: &web.Form{}, Rated: "1"})
)

func categoryName(cs []knowledge.Category, n int64) string {
	for _, c := range cs {
		if c.ID == n {
			return c.Path
		}
	}
	return ""
}

const pageSize = 30

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	f := r.Blank()
	f.Values = r.URL.Query()
	v := listView{Tabs: tabs(r, "articles"), Filter: f, Category: f.ID("category"), CanWrite: r.Actor.Can(knowledge.PermWrite), Title: r.T("knowledge.all")}
	var err error
	if v.Cats, err = p.Knowledge.Categories(ctx, r.Actor); err != nil {
		return err
	}
	if v.CanWrite || r.Actor.Can(knowledge.PermPublish) {
		for _, s := range []string{"mine", "draft", "review", "pending", "published", "due", "expired"} {
			v.Views = append(v.Views, ui.Option{Value: s, Label: r.T("knowledge.view." + s)})
		}
	}
	filter := knowledge.Filter{CategoryID: v.Category, Limit: pageSize, After: knowledge.Cursor{At: f.Int64("aa"), ID: f.ID("ai")}}
	view, text := f.String("view"), f.String("q")
	switch view {
	case "mine":
		filter.OwnerID = r.Actor.ID
	case "pending":
		filter.Pending = true
	case "due":
		filter.Due = true
	case "draft", "review", "published", "expired":
		filter.State = knowledge.State(view)
	}
	v.Narrow = text != "" || view != "" || v.Category != 0
	if v.Category != 0 {
		v.Title = categoryName(v.Cats, v.Category)
	}
	user, _, err := p.Org.Names(ctx)
	if err != nil {
		return err
	}
	if text != "" && (view == "" || view == "mine") {
		v.Searched = true
		found, _, err := p.Knowledge.Find(ctx, r.Actor, knowledge.Search{Text: text, CategoryID: v.Category, Limit: 50})
		if err != nil {
			return err
		}
		if !r.IsFragment() {
			p.Knowledge.Asked(knowledge.Desk, text, knowledge.Answers(found))
		}
		for _, x := range found {
			if view == "" || x.OwnerID == r.Actor.ID {
				v.Rows = append(v.Rows, row{x.Article, x.Title, x.Snippet, categoryName(v.Cats, x.CategoryID), user(x.OwnerID)})
			}
		}
		if len(v.Rows) == 0 && v.CanWrite {
			v.New = "/knowledge/new?title=" + template.URLQueryEscaper(text)
		}
	} else {
		filter.Text = text
		xs, more, err := p.Knowledge.List(ctx, r.Actor, filter)
		if err != nil {
			return err
		}
		for _, x := range xs {
			v.Rows = append(v.Rows, row{x, []search.Piece{{Text: x.Title}}, []search.Piece{{Text: brief(knowledge.Plain(x.Body))}}, categoryName(v.Cats, x.CategoryID), user(x.OwnerID)})
		}
		q := r.URL.Query()
		q.Del("aa")
		q.Del("ai")
		if filter.After.ID != 0 {
			v.Pager.Prev = "/knowledge?" + q.Encode()
		}
		if more {
			last := xs[len(xs)-1]
			q.Set("aa", strconv.FormatInt(last.UpdatedAt.UnixMicro(), 10))
			q.Set("ai", id(last.ID))
			v.Pager.Next = "/knowledge?" + q.Encode()
		}
	}
	if r.IsFragment() && r.Target() == "rows" {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, chrome(r, r.T("knowledge.nav")), v)
}

func brief(s string) string {
	rs := []rune(strings.Join(strings.Fields(s), " "))
	if len(rs) > 110 {
		return string(rs[:110]) + "…"
	}
	return string(rs)
}

// fill completes the form of an article.
func (p *pages) fill(r *web.Request, f *web.Form, v *formView) error {
	ctx := r.Context()
	v.Form = f
	cs, err := p.Knowledge.Tree(ctx)
	if err != nil {
		return err
	}
	for _, c := range cs {
		v.Cats = append(v.Cats, ui.Option{Value: id(c.ID), Label: c.Path})
	}
	for _, a := range knowledge.Audiences {
		v.Audiences = append(v.Audiences, ui.Option{Value: string(a), Label: r.T("knowledge.audience." + string(a)), Hint: r.T("knowledge.audience." + string(a) + ".hint")})
	}
	nodes, err := p.Org.Tree(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Active {
			v.Deps = append(v.Deps, ui.Option{Value: id(n.ID), Label: n.Name})
		}
	}
	roles, err := p.Org.Roles(ctx)
	if err != nil {
		return err
	}
	for _, x := range roles {
		v.Roles = append(v.Roles, ui.Option{Value: id(x.ID), Label: roleName(r, x)})
	}
	if n := f.ID("owner"); n != 0 {
		v.Owner = p.Org.Name(ctx, n)
	}
	for _, n := range f.IDs("file") {
		if x, err := p.Files.Get(ctx, p.Knowledge.DB().Read(), n); err == nil && x.WaitsFor(r.Actor) {
			v.Uploads = append(v.Uploads, waiting{x.ID, x.Name})
		}
	}
	v.Pictures = f.IDs("picture")
	st, err := p.Knowledge.Settings(ctx)
	if err != nil {
		return err
	}
	v.Review = st.Review
	if v.ID != 0 {
		v.Action = "/knowledge/" + id(v.ID)
		v.Files, err = p.Knowledge.Attachments(ctx, v.Article)
	} else if v.Action == "" {
		v.Action = "/knowledge"
	}
	return err
}

func roleName(r *web.Request, x org.Role) string {
	if x.Code != "" && x.Name == "" {
		return r.T("org.role." + x.Code)
	}
	return x.Name
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	q := r.URL.Query()
	f := r.Blank("audience", string(knowledge.Staff), "title", q.Get("title"), "category", q.Get("category"), "owner", id(r.Actor.ID))
	var v formView
	if err := p.fill(r, f, &v); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("knowledge.new")), v)
}

func (p *pages) read(r *web.Request, f *web.Form) (knowledge.Input, error) {
	in := knowledge.Input{Version: f.Int64("version"), CategoryID: f.ID("category"), FAQ: f.Bool("faq"), OwnerID: f.ID("owner"), ReviewAt: f.Date("review_at"), ExpiresAt: f.Date("expires_at"), Note: f.String("note"),
		Text:    knowledge.Text{Title: f.String("title"), Body: f.Text("body"), Keywords: f.String("keywords"), Audience: knowledge.Audience(f.String("audience")), Departments: f.IDs("departments"), Roles: f.IDs("roles"), Files: f.IDs("keep")},
		Uploads: f.IDs("file")}
	for _, n := range f.IDs("picture") {
		if strings.Contains(in.Body, "/files/"+id(n)) {
			in.Uploads = append(in.Uploads, n)
		}
	}
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
		in.Uploads = append(in.Uploads, x.ID)
		f.Values.Add("file", id(x.ID))
	}
	return in, f.Err()
}

func (p *pages) create(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in, err := p.read(r, f)
	var n int64
	if err == nil {
		n, err = p.Knowledge.Create(r.Context(), r.Actor, in)
	}
	if err != nil {
		var v formView
		if ferr := p.fill(r, f, &v); ferr != nil {
			return ferr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, r.T("knowledge.new")), v)
	}
	return p.saved(w, r, f, n, in.Title)
}

// saved goes on as the writer chose: to read what he wrote, or straight to review
// or publication.
func (p *pages) saved(w http.ResponseWriter, r *web.Request, f *web.Form, n int64, title string) error {
	if then := knowledge.Step(f.String("then")); then == knowledge.Submit || then == knowledge.Publish {
		if err := p.Knowledge.Do(r.Context(), r.Actor, n, then, 0, ""); err != nil {
			x := r.Explain(err)
			r.Flash(w, "amber", "knowledge.saved_not", title, x.Message)
			return r.SeeOther(w, "/knowledge/%d?working=1", n)
		}
		r.Flash(w, "green", "knowledge.done."+string(then), title)
		return r.SeeOther(w, "/knowledge/%d", n)
	}
	r.Flash(w, "green", "knowledge.saved", title)
	return r.SeeOther(w, "/knowledge/%d?working=1", n)
}

// mine loads an article that the reader may change.
func (p *pages) mine(r *web.Request) (knowledge.Article, error) {
	n, err := r.PathID("id")
	if err != nil {
		return knowledge.Article{}, err
	}
	x, err := p.Knowledge.Get(r.Context(), r.Actor, n)
	if err == nil && !x.MayEdit {
		err = authz.Denied(knowledge.PermWrite)
	}
	return x, err
}

func (p *pages) showEdit(w http.ResponseWriter, r *web.Request) error {
	x, err := p.mine(r)
	if err != nil {
		return err
	}
	f := r.Blank("version", id(x.Version), "title", x.Title, "body", x.Body, "keywords", x.Keywords, "audience", string(x.Audience), "owner", id(x.OwnerID))
	if x.CategoryID != 0 {
		f.Set("category", x.CategoryID)
	}
	if x.FAQ {
		f.Set("faq", "1")
	}
	for name, ids := range map[string][]int64{"departments": x.Departments, "roles": x.Roles} {
		for _, n := range ids {
			f.Values.Add(name, id(n))
		}
	}
	for name, t := range map[string]time.Time{"review_at": x.ReviewAt, "expires_at": x.ExpiresAt} {
		if !t.IsZero() {
			f.Set(name, t.In(r.Location()).Format("2006-01-02"))
		}
	}
	v := formView{ID: x.ID, Article: x}
	if err := p.fill(r, f, &v); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("ui.edit"), ui.Crumb{Label: x.Title, Href: "/knowledge/" + id(x.ID)}), v)
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error {
	x, err := p.mine(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in, err := p.read(r, f)
	if err == nil {
		err = p.Knowledge.Edit(r.Context(), r.Actor, x.ID, in)
	}
	if err != nil {
		v := formView{ID: x.ID, Article: x}
		f.Set("version", x.Version) // whoever sends it again has seen that it was changed
		if ferr := p.fill(r, f, &v); ferr != nil {
			return ferr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, r.T("ui.edit"), ui.Crumb{Label: x.Title, Href: "/knowledge/" + id(x.ID)}), v)
	}
	return p.saved(w, r, f, x.ID, in.Title)
}

// preview draws a text as its readers will see it.
func (p *pages) preview(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v := formView{Preview: knowledge.HTML(f.Text("body"), "")}
	if r.IsFragment() {
		return formPage.Fragment(w, r, "preview", v)
	}
	if v.ID = f.ID("id"); v.ID != 0 {
		var err error
		if v.Article, err = p.Knowledge.Get(r.Context(), r.Actor, v.ID); err != nil {
			return err
		}
	}
	if err := p.fill(r, f, &v); err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("knowledge.preview")), v)
}

// upload takes a picture or file while somebody still writes.
func (p *pages) upload(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	h := f.File("file")
	if err := f.Err(); err != nil {
		return err
	}
	if h == nil {
		return fault.Invalidf("knowledge.invalid")
	}
	c, err := h.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	x, err := p.Files.Upload(r.Context(), r.Actor, h.Filename, c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, waiting{x.ID, x.Name})
}

// person is a choice of the picker.
type person struct {
	ID    int64  `json:"id"`
	Label string `json:"label"`
	Note  string `json:"note"`
}

func (p *pages) owners(w http.ResponseWriter, r *web.Request) error {
	ps, err := p.Org.Colleagues(r.Context(), r.Actor, r.URL.Query().Get("q"), 0, knowledge.PermWrite, 12)
	if err != nil {
		return err
	}
	out := []person{}
	for _, x := range ps {
		out = append(out, person{x.ID, x.Name, p.Org.DepartmentName(r.Context(), x.DepartmentID)})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Knowledge.Get(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	return p.article(w, r, x, nil, nil)
}

func (p *pages) article(w http.ResponseWriter, r *web.Request, x knowledge.Article, f *web.Form, problem error) error {
	ctx := r.Context()
	v := showView{X: x, Form: f, Rated: r.URL.Query().Get("rated"), Owner: p.Org.Name(ctx, x.OwnerID), Writer: p.Org.Name(ctx, x.WrittenBy)}
	if f == nil {
		v.Form = r.Blank()
	}
	v.Working = x.MayEdit && (x.Live.Version == 0 || x.Pending() && r.URL.Query().Get("working") == "1" || problem != nil)
	shown := x
	if !v.Working {
		shown.Text = x.Live.Text
		if problem == nil && !r.IsFragment() {
			p.Knowledge.Viewed(x.ID)
		}
	}
	v.X.Text = shown.Text
	v.Body = knowledge.HTML(shown.Body, "")
	cs, err := p.Knowledge.Tree(ctx)
	if err != nil {
		return err
	}
	v.Category = categoryName(cs, x.CategoryID)
	if v.Files, err = p.Knowledge.Attachments(ctx, shown); err != nil {
		return err
	}
	if shown.Audience == knowledge.Chosen {
		for _, d := range shown.Departments {
			v.Readers = append(v.Readers, p.Org.DepartmentName(ctx, d))
		}
		roles, err := p.Org.Roles(ctx)
		if err != nil {
			return err
		}
		for _, x := range roles {
			if slices.Contains(shown.Roles, x.ID) {
				v.Readers = append(v.Readers, roleName(r, x))
			}
		}
	}
	if !v.Working && shown.Audience == knowledge.Public {
		v.PublicURL = p.Knowledge.PublicURL + "/help/" + id(x.ID)
	}
	if x.MayEdit {
		if v.Steps, err = p.Knowledge.Steps(ctx, r.Actor, x); err != nil {
			return err
		}
		v.CanEdit = r.Actor.Can(knowledge.PermWrite)
		v.CanDelete = v.CanEdit && x.PublishedAt.IsZero()
		v.OwnWork = x.State == knowledge.Review && x.WrittenBy == r.Actor.ID && r.Actor.Can(knowledge.PermPublish)
		v.Due = !x.ReviewAt.IsZero() && x.Live.Version != 0 && !x.ReviewAt.After(r.Now())
		if v.Comments, err = p.Knowledge.Comments(ctx, x); err != nil {
			return err
		}
	}
	if r.Actor.Can(ticket.PermView) {
		ids, all, err := p.Knowledge.Helped(ctx, x.ID)
		if err != nil {
			return err
		}
		v.HelpedAll = all
		for _, n := range ids {
			if t, err := p.Tickets.Get(ctx, ticket.View(r.Actor), n); err == nil {
				v.Helped = append(v.Helped, t)
			} else if !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
	c := chrome(r, shown.Title)
	if problem != nil {
		return showPage.Invalid(w, r, problem, f, c, v)
	}
	return showPage.Render(w, r, c, v)
}

// step takes an article a step on.
func (p *pages) step(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Knowledge.Get(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	f := r.Input()
	step := knowledge.Step(f.String("step"))
	if err := p.Knowledge.Do(r.Context(), r.Actor, n, step, f.Int64("version"), f.String("reason")); err != nil {
		return p.article(w, r, x, f, err)
	}
	r.Flash(w, "green", "knowledge.done."+string(step), x.Title)
	return r.SeeOther(w, "/knowledge/%d", n)
}

func (p *pages) delete(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Knowledge.Delete(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "knowledge.deleted")
	return r.SeeOther(w, "/knowledge")
}

func (p *pages) rate(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	fb := knowledge.Feedback{Helpful: f.String("helpful") == "1", Comment: f.String("comment")}
	if err := p.Knowledge.Rate(r.Context(), r.Actor, n, fb); err != nil {
		return err
	}
	rated := "0"
	if fb.Helpful || fb.Comment != "" {
		rated = "1"
	}
	return r.SeeOther(w, "/knowledge/%d?rated=%s#rate", n, rated)
}

type (
	versionRow struct {
		knowledge.Version
		Writer, Publisher string
		Live              bool
	}
	versionsView struct {
		X        knowledge.Article
		Rows     []versionRow
		Form     *web.Form
		Picks    []ui.Option
		Old, New knowledge.Version
		Side     bool
		Lines    []knowledge.Row
		Inline   [][]knowledge.Piece
		Title    []knowledge.Piece
		Facts    []change
		Same     bool
		More     string
		CanEdit  bool
	}
	change struct{ LabelKey, Old, New string }
)

var versionsPage = ui.NewPage[versionsView](files, "versions.html").Sample(
	versionsView{X: sampleArticle, Form: &web.Form{}, CanEdit: true, Picks: []ui.Option{{Value: "1", Label: "v"}}, Rows: []versionRow{{Version: knowledge.Version{N: 2, Note: "n", PublishedBy: 1, Text: sampleText}, Writer: "w", Publisher: "p", Live: true}, {Version: knowledge.Version{N: 1}}}, Old: knowledge.Version{N: 1}, New: knowledge.Version{N: 2}, Side: true,
		Lines: knowledge.Diff("a\nb", "a\nc\nd"), Title: knowledge.Inline("a", "b"), Facts: []change{{"knowledge.field.keywords", "a", "b"}}, More: "/x"},
	versionsView{X: sampleArticle, Form: &web.Form{}, Rows: []versionRow{{Version: knowledge.Version{N: 1}}}, Old: knowledge.Version{N: 1}, New: knowledge.Version{N: 2}, Inline: [][]knowledge.Piece{knowledge.Inline("aa b", "aa c")}, Same: true})

func (p *pages) versions(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	x, err := p.mine(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := r.Blank()
	f.Values = q
	vs, err := p.Knowledge.Versions(ctx, r.Actor, x.ID, f.ID("before"), 51)
	if err != nil {
		return err
	}
	v := versionsView{X: x, Form: f, Side: q.Get("view") != "inline", CanEdit: r.Actor.Can(knowledge.PermWrite)}
	if len(vs) > 50 {
		vs = vs[:50]
		v.More = fmt.Sprintf("/knowledge/%d/versions?before=%d", x.ID, vs[49].N)
	}
	user, _, err := p.Org.Names(ctx)
	if err != nil {
		return err
	}
	for _, n := range vs {
		vr := versionRow{Version: n, Writer: user(n.UserID), Live: n.N == x.Live.Version}
		if n.PublishedBy != 0 {
			vr.Publisher = user(n.PublishedBy)
		}
		v.Rows = append(v.Rows, vr)
		v.Picks = append(v.Picks, ui.Option{Value: id(n.N), Label: "v" + id(n.N)})
	}
	a, b := f.ID("a"), f.ID("b")
	if b == 0 && len(vs) > 0 {
		b = vs[0].N
	}
	if a == 0 {
		switch {
		case x.Live.Version != 0 && x.Live.Version != b:
			a = x.Live.Version
		case len(vs) > 1:
			a = vs[1].N
		default:
			a = b
		}
	}
	f.Set("a", a)
	f.Set("b", b)
	if v.Old, v.New, err = p.Knowledge.Compare(ctx, r.Actor, x.ID, a, b); err != nil {
		return err
	}
	v.Title = knowledge.Inline(v.Old.Title, v.New.Title)
	v.Same = v.Old.Body == v.New.Body
	lines := knowledge.Diff(v.Old.Body, v.New.Body)
	if v.Side {
		v.Lines = lines
	} else {
		v.Inline = knowledge.Together(lines)
	}
	fact := func(key, a, b string) {
		if a != b {
			v.Facts = append(v.Facts, change{key, a, b})
		}
	}
	fact("knowledge.field.keywords", v.Old.Keywords, v.New.Keywords)
	fact("knowledge.field.audience", r.T("knowledge.audience."+string(v.Old.Audience)), r.T("knowledge.audience."+string(v.New.Audience)))
	fact("knowledge.field.files", strconv.Itoa(len(v.Old.Files)), strconv.Itoa(len(v.New.Files)))
	return versionsPage.Render(w, r, chrome(r, r.T("knowledge.versions"), ui.Crumb{Label: x.Title, Href: "/knowledge/" + id(x.ID)}), v)
}

func (p *pages) restore(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := r.PathID("n")
	if err != nil {
		return err
	}
	if err := p.Knowledge.Restore(r.Context(), r.Actor, n, v); err != nil {
		return err
	}
	r.Flash(w, "green", "knowledge.restored", v)
	return r.SeeOther(w, "/knowledge/%d?working=1", n)
}
