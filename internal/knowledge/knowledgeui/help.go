package knowledgeui

import (
	"html/template"
	"net/http"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/fault"
	"bihuan/internal/knowledge"
	"bihuan/internal/search"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	helpRow struct {
		ID             int64
		Title, Snippet []search.Piece
	}
	helpView struct {
		Base     string
		Home     string // where requests are made
		Form     *web.Form
		Cats     []knowledge.Category
		Category knowledge.Category
		Rows     []helpRow
		FAQ      []knowledge.Article
		Popular  []knowledge.Article
		Searched bool
		Pager    ui.Pager
	}
	helpArticleView struct {
		Base, Home string
		X          knowledge.Article
		Category   string
		Body       template.HTML
		Files      []blob.File
		Related    []knowledge.Found
		Rated      string
		Form       *web.Form
	}
	suggestView struct {
		Rows []knowledge.Found
	}
)

var (
	helpPage = ui.NewPage[helpView](files, "help.html").Sample(
		helpView{Base: "/help", Home: "/portal", Form: &web.Form{}, Cats: []knowledge.Category{{ID: 1, Name: "c", Articles: 3}}, FAQ: []knowledge.Article{sampleArticle}, Popular: []knowledge.Article{sampleArticle}},
		helpView{Base: "/help", Home: "/portal", Form: &web.Form{}, Searched: true, Rows: []helpRow{{1, lit, lit}}, Category: knowledge.Category{ID: 1, Name: "c"}, Pager: ui.Pager{Next: "/x"}},
		helpView{Base: "/help", Home: "/portal", Form: &web.Form{}, Searched: true})
	helpArticlePage = ui.NewPage[helpArticleView](files, "helparticle.html").Sample(
		helpArticleView{Base: "/help", Home: "/portal", X: sampleArticle, Category: "c", Body: "<p>b</p>", Files: []blob.File{{ID: 1, Name: "n", Size: 2}}, Related: []knowledge.Found{{Article: sampleArticle, Title: lit, Snippet: lit}}, Form: &web.Form{}, Rated: "0"},
		helpArticleView{Base: "/help", Form: &web.Form{}, Rated: "1"}, helpArticleView{Base: "/help", Form: &web.Form{}})
	suggestPage = ui.NewPage[suggestView](files, "suggest.html").Sample(suggestView{Rows: []knowledge.Found{{Article: sampleArticle, Title: lit, Snippet: lit}}})
)

// helpRoutes are the customer's pages. Under /help there is what is public; behind
// the link of a request, what is for customers as well.
func (p *pages) helpRoutes(rt *web.Router) {
	for _, base := range []string{"/help", "/c/{token}/help"} {
		rt.Handle("GET "+base, web.Public, p.help)
		rt.Handle("GET "+base+"/{id}", web.Public, p.helpArticle)
		rt.Handle("POST "+base+"/{id}/feedback", web.Public, p.helpRate)
		rt.Handle("GET "+base+"/files/{id}", web.Public, p.helpFile)
	}
	rt.Handle("GET /help/suggestions", web.Public, p.suggest)
}

// visitor is who reads, and where his pages begin. A link that leads nowhere is
// not found, as are all of these pages when there are none.
func (p *pages) visitor(w http.ResponseWriter, r *web.Request) (actor authz.Actor, base, home string, err error) {
	w.Header().Set("X-Robots-Tag", "noindex, nofollow, noarchive")
	st, err := p.Knowledge.Settings(r.Context())
	if err != nil {
		return actor, "", "", err
	}
	if st.Closed {
		return actor, "", "", fault.New(fault.NotFound, "knowledge.not_found")
	}
	actor, base, home = authz.Actor{Kind: authz.Customer}, "/help", "/portal"
	if token := r.PathValue("token"); token != "" {
		w.Header().Set("Cache-Control", "no-store")
		if _, actor, err = p.Tickets.ByLink(r.Context(), token); err != nil {
			return actor, "", "", err
		}
		base, home = "/c/"+token+"/help", "/c/"+token
	} else if st.Index {
		w.Header().Del("X-Robots-Tag")
	}
	actor.IP, actor.UserAgent, actor.Lang = r.IP(), r.UserAgent(), r.Lang
	return actor, base, home, nil
}

func helpChrome(title string) ui.Chrome {
	return ui.Chrome{Title: title, Layout: ui.PublicPage, Assets: []string{"portal.css", "knowledge.css"}}
}

const helpRows = 30

func (p *pages) help(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	actor, base, home, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	f := r.Blank()
	f.Values = r.URL.Query()
	v := helpView{Base: base, Home: home, Form: f}
	cs, err := p.Knowledge.Categories(ctx, actor)
	if err != nil {
		return err
	}
	at := f.ID("category")
	for _, c := range cs {
		if c.Articles > 0 && c.ParentID == at {
			v.Cats = append(v.Cats, c)
		}
		if c.ID == at && c.Articles > 0 {
			v.Category = c
		}
	}
	text := f.String("q")
	switch {
	case text != "":
		if err := p.asks.Check(web.Network(r.IP())); err != nil {
			return err
		}
		v.Searched, v.Cats = true, nil
		found, _, err := p.Knowledge.Find(ctx, actor, knowledge.Search{Text: text, CategoryID: v.Category.ID, Limit: helpRows})
		if err != nil {
			return err
		}
		if !robot(r) {
			p.Knowledge.Asked(knowledge.Help, text, knowledge.Answers(found))
		}
		for _, x := range found {
			v.Rows = append(v.Rows, helpRow{x.ID, x.Title, x.Snippet})
		}
	case v.Category.ID != 0:
		xs, more, err := p.Knowledge.List(ctx, actor, knowledge.Filter{CategoryID: v.Category.ID, Limit: helpRows, After: knowledge.Cursor{At: f.Int64("aa"), ID: f.ID("ai")}})
		if err != nil {
			return err
		}
		for _, x := range xs {
			v.Rows = append(v.Rows, helpRow{x.ID, []search.Piece{{Text: x.Title}}, []search.Piece{{Text: brief(knowledge.Plain(x.Body))}}})
		}
		if more {
			last := xs[len(xs)-1]
			v.Pager.Next = base + "?category=" + id(v.Category.ID) + "&aa=" + id(last.UpdatedAt.UnixMicro()) + "&ai=" + id(last.ID)
		}
	case at != 0:
		return fault.New(fault.NotFound, "knowledge.not_found")
	default:
		if v.FAQ, _, err = p.Knowledge.List(ctx, actor, knowledge.Filter{FAQ: true, Popular: true, Limit: 12}); err != nil {
			return err
		}
		if v.Popular, _, err = p.Knowledge.List(ctx, actor, knowledge.Filter{Popular: true, Limit: 8}); err != nil {
			return err
		}
	}
	return helpPage.Render(w, r, helpChrome(r.T("knowledge.help")), v)
}

// robot reports whether a program reads the page: it is not counted.
func robot(r *web.Request) bool {
	ua := strings.ToLower(r.UserAgent())
	for _, s := range []string{"bot", "spider", "crawl", "slurp", "curl/", "wget/", "headless"} {
		if strings.Contains(ua, s) {
			return true
		}
	}
	return false
}

func (p *pages) helpArticle(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	actor, base, home, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.Knowledge.Read(ctx, actor, n)
	if err != nil {
		return err
	}
	if !robot(r) && r.URL.Query().Get("rated") == "" {
		p.Knowledge.Viewed(n)
	}
	v := helpArticleView{Base: base, Home: home, X: x, Body: knowledge.HTML(x.Body, base), Form: r.Blank(), Rated: r.URL.Query().Get("rated")}
	cs, err := p.Knowledge.Tree(ctx)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.ID == x.CategoryID {
			v.Category = c.Name
		}
	}
	if v.Files, err = p.Knowledge.Attachments(ctx, x); err != nil {
		return err
	}
	related, _, err := p.Knowledge.Find(ctx, actor, knowledge.Search{Text: x.Title + " " + x.Keywords, Limit: 5, Loose: true})
	if err != nil {
		return err
	}
	for _, y := range related {
		if y.ID != x.ID && len(v.Related) < 4 {
			v.Related = append(v.Related, y)
		}
	}
	return helpArticlePage.Render(w, r, helpChrome(x.Title), v)
}

func (p *pages) helpRate(w http.ResponseWriter, r *web.Request) error {
	if err := p.posts.Check(web.Network(r.IP())); err != nil {
		return err
	}
	actor, base, _, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	fb := knowledge.Feedback{Helpful: f.String("helpful") == "1", Comment: f.String("comment")}
	if err := p.Knowledge.Rate(r.Context(), actor, n, fb); err != nil {
		return err
	}
	rated := "0"
	if fb.Helpful || fb.Comment != "" {
		rated = "1"
	}
	return r.SeeOther(w, "%s/%d?rated=%s#rate", base, n, rated)
}

// helpFile serves a picture or file of an article to whoever may read that.
func (p *pages) helpFile(w http.ResponseWriter, r *web.Request) error {
	actor, _, _, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, err := p.Files.Get(r.Context(), p.Knowledge.DB().Read(), n)
	if err != nil {
		return err
	}
	if f.Owner.Type != knowledge.FileOwner {
		return fault.New(fault.NotFound, "knowledge.not_found")
	}
	f, c, err := p.Files.Open(r.Context(), actor, n)
	if err != nil {
		return err
	}
	defer c.Close()
	blob.Serve(w, r.Request, f, c, r.URL.Query().Get("download") == "")
	return nil
}

// suggest offers up to three articles while a visitor writes what troubles him.
func (p *pages) suggest(w http.ResponseWriter, r *web.Request) error {
	actor, _, _, err := p.visitor(w, r)
	if fault.Is(err, fault.NotFound) {
		return suggestPage.Fragment(w, r, "suggestions", suggestView{})
	}
	if err != nil {
		return err
	}
	if err := p.asks.Check(web.Network(r.IP())); err != nil {
		return err
	}
	var v suggestView
	if text := strings.TrimSpace(r.URL.Query().Get("title")); len([]rune(text)) > 1 {
		if v.Rows, _, err = p.Knowledge.Find(r.Context(), actor, knowledge.Search{Text: text, Limit: 3, For: []knowledge.Audience{knowledge.Public}}); err != nil {
			return err
		}
	}
	return suggestPage.Fragment(w, r, "suggestions", v)
}
