package customerui

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// qualityView is the page of the figures (RPT-8).
type qualityView struct {
	Version     int
	CheckedAt   time.Time
	N           int64
	Only        string // name of the department or person the page is narrowed to
	Dims        []dimView
	Departments []groupView
	People      []groupView
	Top         int // how many people at most
	Months      []monthView
}

// dimView is one side of quality with its measures.
type dimView struct {
	Code     string
	Share    int
	N        int64
	Flawed   int64
	Href     string
	Trend    template.HTML
	Measures []measureView
}

type measureView struct {
	Code, Href string
	Flawed     int64
	Share      int
}

// groupView is a row of the table of departments, or of people.
type groupView struct {
	Name, Href string
	N          int64
	Shares     []shareView
}

type shareView struct {
	Code, Href string
	Share      int
	Flawed     int64
}

type monthView struct {
	Month  string
	N      int64
	Shares []shareView
}

var qualityPage = ui.NewPage[qualityView](files, "quality.html").Sample(
	qualityView{Version: 1, CheckedAt: time.Unix(1.7e9, 0), N: 10, Only: "x", Top: 200,
		Dims:        []dimView{{Code: "completeness", Share: 50, N: 10, Flawed: 5, Href: "/x", Measures: []measureView{{"no_uscc", "/x", 5, 50}, {"no_phone", "/x", 0, 100}}}},
		Departments: []groupView{{"x", "/x", 10, []shareView{{"completeness", "/x", 50, 5}}}}, People: []groupView{{"x", "/x", 10, []shareView{{"completeness", "", 100, 0}}}},
		Months: []monthView{{"2026-10", 9, []shareView{{Code: "completeness", Share: 40}}}, {"2026-11", 10, []shareView{{Code: "completeness", Share: 50}}}}})

func qualityChrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	return ui.Chrome{Title: title, Nav: "quality", Assets: []string{"customer.css"},
		Crumbs: append([]ui.Crumb{{Label: r.T("customer.list.title"), Href: "/customers"}}, append(crumbs, ui.Crumb{Label: title})...)}
}

// behind is the address of the records behind a figure.
func behind(code string, department, owner int64) string {
	q := url.Values{"code": {code}}
	if department != 0 {
		q.Set("department", id(department))
	}
	if owner != 0 {
		q.Set("owner", id(owner))
	}
	return "/customers/quality/records?" + q.Encode()
}

func percent(g customer.QualityGroup, code string) int {
	s := g.Share(code)
	if s > 99 && s < 100 {
		return 99 // 100 is kept for who has none to mend
	}
	return int(s + 0.5)
}

func shares(g customer.QualityGroup, department, owner int64) (out []shareView) {
	for _, d := range customer.Dimensions {
		s := shareView{Code: string(d), Share: percent(g, string(d)), Flawed: g.Flawed[string(d)]}
		if s.Flawed > 0 {
			s.Href = behind(s.Code, department, owner)
		}
		out = append(out, s)
	}
	return out
}

func (p *pages) quality(w http.ResponseWriter, r *web.Request) error {
	rep, err := p.Customers.Quality(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	department, owner := number(q.Get("department")), number(q.Get("owner"))
	v := qualityView{Version: customer.QualityVersion, CheckedAt: rep.CheckedAt, Top: len(rep.People)}
	shown := rep.Total
	for _, g := range rep.Departments {
		v.Departments = append(v.Departments, groupView{g.Department, "/customers/quality?department=" + id(g.DepartmentID), g.N, shares(g, g.DepartmentID, 0)})
		if department != 0 && g.DepartmentID == department {
			shown, v.Only, owner = g, g.Department, 0
		}
	}
	for _, g := range rep.People {
		key := g.OwnerID
		if key == 0 {
			key, g.Owner = -1, r.T("quality.nobody")
		}
		v.People = append(v.People, groupView{g.Owner, "/customers/quality?owner=" + id(key), g.N, shares(g, 0, key)})
		if owner != 0 && key == owner {
			shown, v.Only, department = g, g.Owner, 0
		}
	}
	if v.Only == "" {
		department, owner = 0, 0
	}
	v.N = shown.N
	for _, d := range customer.Dimensions {
		x := dimView{Code: string(d), Share: percent(shown, string(d)), N: shown.N, Flawed: shown.Flawed[string(d)], Href: behind(string(d), department, owner)}
		for _, m := range customer.Measures {
			if m.Of == d {
				x.Measures = append(x.Measures, measureView{m.Code, behind(m.Code, department, owner), shown.Flawed[m.Code], percent(shown, m.Code)})
			}
		}
		var line []int
		for _, m := range rep.Months {
			line = append(line, percent(m.QualityGroup, string(d)))
		}
		if v.Only == "" {
			x.Trend = sparkline(line, r.T("quality.trend"))
		}
		v.Dims = append(v.Dims, x)
	}
	for _, m := range rep.Months {
		v.Months = append(v.Months, monthView{m.Month, m.N, shares(m.QualityGroup, 0, 0)})
	}
	return qualityPage.Render(w, r, qualityChrome(r, r.T("quality.title")), v)
}

// sparkline draws percentages from left to right; nothing for fewer than two.
func sparkline(values []int, label string) template.HTML {
	if len(values) < 2 {
		return ""
	}
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	var points strings.Builder
	for i, v := range values {
		y := 10
		if high > low {
			y = 18 - (v-low)*16/(high-low)
		}
		points.WriteString(strconv.Itoa(i*60/(len(values)-1)) + "," + strconv.Itoa(y) + " ")
	}
	return template.HTML(`<svg class="spark" viewBox="-2 0 64 20" role="img" aria-label="` + template.HTMLEscapeString(label) + `"><polyline points="` + strings.TrimSpace(points.String()) + `"/></svg>`)
}

// recordsView is the list of the profiles behind a figure.
type recordsView struct {
	Code    string // of a measure or dimension
	Mend    bool   // it is a measure: there is one way to mend it
	Rows    []recordRow
	Pager   ui.Pager
	Filter  *web.Form
	Codes   []ui.Option
	Depts   []ui.Option
	Owners  []ui.Option
	CanEdit bool
}

type recordRow struct {
	row
	Flaws []flawView
}

// flawView is one thing that is wrong with a customer and where it is mended.
type flawView struct{ Code, Href string }

var recordsPage = ui.NewPage[recordsView](files, "records.html").Sample(
	recordsView{Code: "no_uscc", Mend: true, Rows: []recordRow{{rowOf(sample), []flawView{{"no_uscc", "/x"}, {"stale", "/x"}}}}, Pager: ui.Pager{Next: "/x"}, CanEdit: true,
		Codes: []ui.Option{{Value: "no_uscc", Label: "x", Group: "x"}}},
	recordsView{Code: "accuracy"})

func (p *pages) qualityRecords(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	flt := customer.QualityFilter{Code: f.String("code"), DepartmentID: number(f.String("department")), OwnerID: number(f.String("owner")), After: f.String("after")}
	m, ok := customer.MeasureByCode(flt.Code)
	if !ok && flt.Code == "" {
		return r.SeeOther(w, "/customers/quality")
	}
	found, next, err := p.Customers.Flawed(r.Context(), r.Actor, flt)
	if err != nil {
		return err
	}
	v := recordsView{Code: flt.Code, Mend: m.ID >= 5, Filter: f, CanEdit: r.Actor.Can(customer.PermEdit)}
	for _, x := range found {
		v.Rows = append(v.Rows, recordRow{rowOf(customer.Found{Row: x.Row}), flawViews(x.ID, x.Flaws, v.CanEdit)})
	}
	if next != "" {
		v.Pager.Next = behind(flt.Code, flt.DepartmentID, flt.OwnerID) + "&after=" + next
	}
	if flt.After != "" {
		v.Pager.Prev = behind(flt.Code, flt.DepartmentID, flt.OwnerID) // to the beginning
	}
	rep, err := p.Customers.Quality(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	for _, d := range customer.Dimensions {
		group := r.T("quality." + string(d))
		v.Codes = append(v.Codes, ui.Option{Value: string(d), Label: group + " · " + r.T("ui.all"), Group: group})
		for _, m := range customer.Measures {
			if m.Of == d {
				v.Codes = append(v.Codes, ui.Option{Value: m.Code, Label: r.T("quality.flaw." + m.Code), Group: group})
			}
		}
	}
	for _, g := range rep.Departments {
		v.Depts = append(v.Depts, ui.Option{Value: id(g.DepartmentID), Label: g.Department})
	}
	for _, g := range rep.People {
		if g.OwnerID == 0 {
			v.Owners = append(v.Owners, ui.Option{Value: "-1", Label: r.T("quality.nobody")})
		} else {
			v.Owners = append(v.Owners, ui.Option{Value: id(g.OwnerID), Label: g.Owner})
		}
	}
	return recordsPage.Render(w, r, qualityChrome(r, r.T("quality.records"), ui.Crumb{Label: r.T("quality.title"), Href: "/customers/quality"}), v)
}

// flawViews names what is wrong with a customer, each with the place where it is
// mended.
func flawViews(n int64, ms []customer.Measure, mayEdit bool) (out []flawView) {
	home := "/customers/" + id(n)
	for _, m := range ms {
		x := flawView{Code: m.Code, Href: home}
		switch m.Field {
		case "uscc", "industry", "region", "source", "owner", "name":
			if mayEdit {
				x.Href = home + "/fields/" + m.Field
			}
		case "custom":
			if mayEdit {
				x.Href = home + "/edit"
			}
		case "contacts", "relations":
			x.Href = home + "/" + m.Field
		}
		out = append(out, x)
	}
	return out
}

// QualityNav is the entry of the page of data quality.
func QualityNav() ui.Nav {
	return ui.Nav{Key: "quality", Href: "/customers/quality", Icon: "target", LabelKey: "quality.nav", Perm: customer.PermQuality, Menu: true}
}
