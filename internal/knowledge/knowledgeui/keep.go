package knowledgeui

import (
	"net/http"
	"strconv"
	"strings"

	"bihuan/internal/knowledge"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	categoriesView struct {
		Tabs    []tab
		Rows    []knowledge.Category
		Form    *web.Form
		Parents []ui.Option
		ID      int64
	}
	synonymsView struct {
		Tabs []tab
		Rows []groupRow
		Form *web.Form
		ID   int64 // the group whose form came back
	}
	groupRow struct {
		ID    int64
		Words string
		Form  *web.Form
	}
	reportView struct {
		Tabs []tab
		knowledge.Report
	}
	settingsView struct {
		Tabs    []tab
		Form    *web.Form
		Address string
	}
)

var (
	categoriesPage = ui.NewPage[categoriesView](files, "categories.html", "tabs.html").Sample(categoriesView{Tabs: []tab{{"/x", "knowledge.tab.articles", true}}, Rows: []knowledge.Category{{ID: 1, Name: "c", Articles: 1}}, Form: &web.Form{}, Parents: []ui.Option{{Value: "1", Label: "c"}}, ID: 1})
	synonymsPage   = ui.NewPage[synonymsView](files, "synonyms.html", "tabs.html").Sample(synonymsView{Rows: []groupRow{{1, "a b", &web.Form{}}}, Form: &web.Form{}})
	reportPage     = ui.NewPage[reportView](files, "report.html", "tabs.html").Sample(reportView{Report: knowledge.Report{Live: 3, Due: 1, Missed: []knowledge.Missed{{Words: "w", Place: knowledge.Help, Times: 3, Misses: 2}}, Popular: []knowledge.Article{sampleArticle}, Poor: []knowledge.Article{sampleArticle}, Unread: []knowledge.Article{sampleArticle},
		Comments: []knowledge.Comment{{ID: 1, ArticleID: 1, Title: "t", Comment: "c"}}, Solved: []knowledge.Solved{{ID: 1, Title: "t", Tickets: 2}}}})
	settingsPage = ui.NewPage[settingsView](files, "settings.html", "tabs.html").Sample(settingsView{Form: &web.Form{}, Address: "/help"})
)

func (p *pages) categories(w http.ResponseWriter, r *web.Request) error {
	return p.showCategories(w, r, r.Blank("position", "0"), 0, nil)
}

func (p *pages) showCategories(w http.ResponseWriter, r *web.Request, f *web.Form, n int64, problem error) error {
	rows, err := p.Knowledge.Categories(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	if e, err := strconv.ParseInt(r.URL.Query().Get("edit"), 10, 64); err == nil && problem == nil {
		for _, c := range rows {
			if c.ID == e {
				n = e
				f = r.Blank("name", c.Name, "parent", id(c.ParentID), "position", id(c.Position))
			}
		}
	}
	v := categoriesView{Tabs: tabs(r, "categories"), Rows: rows, Form: f, ID: n}
	for _, c := range rows {
		if c.ID != n && c.Depth < knowledge.MaxDepth-1 {
			v.Parents = append(v.Parents, ui.Option{Value: id(c.ID), Label: c.Path})
		}
	}
	c := chrome(r, r.T("knowledge.tab.categories"))
	if problem != nil {
		return categoriesPage.Invalid(w, r, problem, f, c, v)
	}
	return categoriesPage.Render(w, r, c, v)
}

func (p *pages) saveCategory(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	c := knowledge.Category{ID: f.ID("id"), Name: f.String("name"), ParentID: f.ID("parent"), Position: f.Int64("position")}
	err := f.Err()
	if err == nil {
		_, err = p.Knowledge.SaveCategory(r.Context(), r.Actor, c)
	}
	if err != nil {
		return p.showCategories(w, r, f, c.ID, err)
	}
	r.Flash(w, "green", "knowledge.category_saved", c.Name)
	return r.SeeOther(w, "/knowledge/categories")
}

func (p *pages) removeCategory(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.Knowledge.RemoveCategory(r.Context(), r.Actor, f.ID("id")); err != nil {
		return p.showCategories(w, r, f, 0, err)
	}
	return r.SeeOther(w, "/knowledge/categories")
}

func (p *pages) synonyms(w http.ResponseWriter, r *web.Request) error {
	return p.showSynonyms(w, r, r.Blank(), 0, nil)
}

func (p *pages) showSynonyms(w http.ResponseWriter, r *web.Request, f *web.Form, n int64, problem error) error {
	gs, err := p.Knowledge.SynonymGroups(r.Context())
	if err != nil {
		return err
	}
	v := synonymsView{Tabs: tabs(r, "synonyms"), Form: r.Blank(), ID: n}
	if n == 0 {
		v.Form = f
	}
	for _, g := range gs {
		x := groupRow{g.ID, strings.Join(g.Words, " "), r.Blank("words", strings.Join(g.Words, " "))}
		if g.ID == n {
			x.Form = f
		}
		v.Rows = append(v.Rows, x)
	}
	c := chrome(r, r.T("knowledge.tab.synonyms"))
	if problem != nil {
		return synonymsPage.Invalid(w, r, problem, f, c, v)
	}
	return synonymsPage.Render(w, r, c, v)
}

func (p *pages) saveSynonyms(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	n := f.ID("id")
	words := f.Text("words")
	if f.String("do") == "remove" {
		words = ""
	}
	if err := p.Knowledge.SaveSynonyms(r.Context(), r.Actor, n, words); err != nil {
		return p.showSynonyms(w, r, f, n, err)
	}
	r.Flash(w, "green", "knowledge.synonyms_saved")
	return r.SeeOther(w, "/knowledge/synonyms")
}

func (p *pages) report(w http.ResponseWriter, r *web.Request) error {
	if err := p.Knowledge.Flush(r.Context()); err != nil {
		return err
	}
	rep, err := p.Knowledge.Report(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return reportPage.Render(w, r, chrome(r, r.T("knowledge.tab.report")), reportView{tabs(r, "report"), rep})
}

func (p *pages) settled(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.Knowledge.Settled(r.Context(), r.Actor, f.Get("words"), knowledge.Place(f.String("place"))); err != nil {
		return err
	}
	return r.SeeOther(w, "/knowledge/report")
}

func (p *pages) handled(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.Knowledge.HandleComment(r.Context(), r.Actor, f.ID("id")); err != nil {
		return err
	}
	return r.SeeOther(w, "/knowledge/report")
}

func (p *pages) settings(w http.ResponseWriter, r *web.Request) error {
	st, err := p.Knowledge.Settings(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("review_every", strconv.Itoa(st.ReviewEvery), "remind_days", strconv.Itoa(st.RemindDays))
	for name, on := range map[string]bool{"review": st.Review, "index": st.Index, "open": !st.Closed} {
		if on {
			f.Set(name, "1")
		}
	}
	return settingsPage.Render(w, r, chrome(r, r.T("knowledge.tab.settings")), p.settingsView(r, f))
}

func (p *pages) settingsView(r *web.Request, f *web.Form) settingsView {
	return settingsView{tabs(r, "settings"), f, p.Knowledge.PublicURL + "/help"}
}

func (p *pages) setSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := knowledge.Settings{Review: f.Bool("review"), Index: f.Bool("index"), Closed: !f.Bool("open"), ReviewEvery: f.Int("review_every"), RemindDays: f.Int("remind_days")}
	err := f.Err()
	if err == nil {
		err = p.Knowledge.SetSettings(r.Context(), r.Actor, in)
	}
	if err != nil {
		return settingsPage.Invalid(w, r, err, f, chrome(r, r.T("knowledge.tab.settings")), p.settingsView(r, f))
	}
	r.Flash(w, "green", "knowledge.settings_saved")
	return r.SeeOther(w, "/knowledge/settings")
}
