package customerui

import (
	"context"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

var _ = ui.AddAssets(files, "care.css")

// The colours of grades and stages.
var _ = []struct{}{ui.SetTone("a", "red"), ui.SetTone("b", "blue"), ui.SetTone("c", "gray"),
	ui.SetTone("potential", "cyan"), ui.SetTone("interested", "blue"), ui.SetTone("dormant", "amber"), ui.SetTone("lost", "gray"),
	ui.SetTone("confirmed", "green"), ui.SetTone("corrected", "blue"), ui.SetTone("unknown", "amber")}

// CareNav are the work lists of this part.
func CareNav(s *customer.Service) []ui.Nav {
	due := func(ctx context.Context, a authz.Actor) int {
		n, err := s.VerificationsWaiting(ctx, a, customer.VerificationFilter{Mine: true, Overdue: true}, countMost+1)
		if err != nil {
			slog.Warn("customerui: verifications", "err", err)
		}
		return n
	}
	return []ui.Nav{
		{Key: "verifications", Href: "/customers/verifications", Icon: "checklist", LabelKey: "customer.verify.list", Perm: customer.PermEdit, Count: due, Live: "verification"},
		{Key: "grades", Href: "/customers/grades", Icon: "target", LabelKey: "customer.grades.title", Perm: customer.PermEdit, Menu: true},
	}
}

// CareSettingsNav is the entry of their settings.
func CareSettingsNav() ui.Nav {
	return ui.Nav{Key: "customer-care", Href: "/admin/customers/care", Icon: "star", LabelKey: "customer.care.title", Perm: customer.PermSettings, Group: "org.admin"}
}

func careRoutes(rt *web.Router, p *pages) {
	rt.Handle("GET /customers/grades", customer.PermEdit, p.grades)
	rt.Handle("POST /customers/grades", customer.PermEdit, p.acceptGrades)
	rt.Handle("GET /customers/verifications", customer.PermEdit, p.verifications)
	rt.Handle("POST /customers/{id}/grade", customer.PermEdit, p.setGrade)
	rt.Handle("POST /customers/{id}/stage", customer.PermEdit, p.moveStage)
	rt.Handle("GET /customers/{id}/verification", customer.PermEdit, p.showVerification)
	rt.Handle("POST /customers/{id}/verification", customer.PermEdit, p.verify)
	rt.Handle("POST /customers/{id}/relations", customer.PermEdit, p.relate)
	rt.Handle("POST /customers/{id}/relations/{relation}/removal", customer.PermEdit, p.unrelate)
	rt.Handle("POST /customers/{id}/parent", customer.PermEdit, p.setParent)
	rt.Handle("POST /customers/{id}/contacts/{contact}/departure", customer.PermEdit, p.letContactGo)
	rt.Handle("POST /customers/{id}/contacts/{contact}/transfer", customer.PermEdit, p.moveContact)
	rt.Handle("GET /admin/customers/care", customer.PermSettings, p.careSettings)
	rt.Handle("POST /admin/customers/care", customer.PermSettings, p.setCareSettings)
}

// suggestionView is what the rules say of a customer.
type suggestionView struct {
	Grade   string
	Score   int
	Differs bool
	Why     []string
}

func suggestionOf(r *web.Request, s customer.Suggestion) suggestionView {
	v := suggestionView{Grade: s.Grade, Score: s.Score, Differs: s.Differs}
	for _, w := range s.Why {
		v.Why = append(v.Why, w.Say(r.Lang))
	}
	return v
}

// gradesView is the list of those whose grade is not what the rules suggest.
type gradesView struct {
	Rows    []gradeRow
	Filter  *web.Form
	Pager   ui.Pager
	Back    string
	Grades  []ui.Option
	Nows    []ui.Option
	Narrow  bool
	MaySet  bool // the reader may change the rules
	Waiting int
}

type gradeRow struct {
	customer.Row
	Suggestion suggestionView
}

var gradesPage = ui.NewPage[gradesView](files, "care_grades.html").Sample(
	gradesView{Rows: []gradeRow{{sample.Row, suggestionView{Grade: "a", Score: 72, Why: []string{"x", "y"}}}}, Pager: ui.Pager{Next: "/x"}, MaySet: true,
		Grades: []ui.Option{{Value: "a", Label: "x"}}}, gradesView{Narrow: true})

func gradeOptions(r *web.Request) []ui.Option { return options(r, "customer.grade.", customer.Grades) }

func (p *pages) grades(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	flt := customer.SuggestionFilter{Grade: f.String("grade"), Now: f.String("now"), After: f.String("after")}
	rows, next, err := p.Customers.Suggestions(r.Context(), authz.For(r.Actor, customer.PermEdit), flt)
	if err != nil {
		return err
	}
	v := gradesView{Filter: f, Back: r.URL.RequestURI(), Grades: gradeOptions(r), Narrow: flt.Grade+flt.Now != "", MaySet: r.Actor.Can(customer.PermSettings)}
	v.Nows = append([]ui.Option{{Value: "-", Label: r.T("customer.grade.")}}, v.Grades...)
	for _, x := range rows {
		v.Rows = append(v.Rows, gradeRow{x.Row, suggestionOf(r, x.Suggestion)})
	}
	if next != "" {
		v.Pager.Next = pageHref("/customers/grades", "grade", flt.Grade, "now", flt.Now, "after", next)
	}
	if flt.After != "" {
		v.Pager.Prev = pageHref("/customers/grades", "grade", flt.Grade, "now", flt.Now)
	}
	if r.IsFragment() && r.Target() == "rows" {
		return gradesPage.Fragment(w, r, "rows", v)
	}
	return gradesPage.Render(w, r, workChrome(r, "customer.grades.title", "grades"), v)
}

func workChrome(r *web.Request, title, nav string) ui.Chrome {
	c := chrome(r, r.T(title))
	c.Nav, c.Assets = nav, append(c.Assets, "care.css")
	return c
}

func pageHref(path string, pairs ...string) string {
	q := ""
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q += "&" + pairs[i] + "=" + template.URLQueryEscaper(pairs[i+1])
		}
	}
	if q == "" {
		return path
	}
	return path + "?" + q[1:]
}

func (p *pages) acceptGrades(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	ids := f.IDs("id")
	if err := f.Err(); err != nil {
		return err
	}
	keep := f.Get("do") == "keep"
	n, err := p.Customers.AcceptGrades(r.Context(), r.Actor, ids, keep)
	switch e := r.Explain(err); {
	case err == nil && keep:
		r.Flash(w, "green", "customer.grades.kept", n)
	case err == nil:
		r.Flash(w, "green", "customer.grades.accepted", n)
	case e.Status >= 500:
		return err
	default:
		r.Flash(w, "red", "customer.flash.sentence", e.Message)
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/customers/grades"))
}

// careView is where a customer stands: grade, stage, verification. It is a tab of
// his page.
type careView struct {
	C          customer.Customer
	Suggestion suggestionView
	Suggested  bool
	CanEdit    bool
	GradeForm  *web.Form
	Grades     []ui.Option
	StageForm  *web.Form
	Moves      []ui.Option
	Causes     []ui.Option
	Life       []lifeView
	Checks     []customer.Verification
	Overdue    bool
}

type lifeView struct {
	customer.StageLine
	Who string
}

var sampleCare = careView{C: sample.Customer, CanEdit: true, Suggested: true, Suggestion: suggestionView{Grade: "a", Score: 70, Differs: true, Why: []string{"x"}},
	Grades: []ui.Option{{Value: "a", Label: "x"}}, Moves: []ui.Option{{Value: "lost", Label: "x"}}, Causes: []ui.Option{{Value: "price", Label: "x"}}, Overdue: true,
	Life:   []lifeView{{customer.StageLine{From: "active", To: "lost", Cause: "price", Reason: "x"}, "x"}, {customer.StageLine{From: "active", To: "dormant", Cause: "silence", ByRule: true}, "x"}},
	Checks: []customer.Verification{{Result: customer.Corrected, Fields: map[string]string{"name": "confirmed", "region": "unknown"}, By: "x", Note: "x"}}}

var carePage = ui.NewPage[careView](files, "care.html").Sample(sampleCare, careView{C: customer.Customer{ID: 1}})

// careAgain shows the customer's page with a form of this tab that failed.
func (p *pages) careAgain(w http.ResponseWriter, r *web.Request, n int64, cause error, f *web.Form, put func(v *careView)) error {
	f.Explain(cause)
	x, err := p.careOf(r, n)
	if err != nil {
		return err
	}
	put(&x)
	drawn, err := carePage.String(r, "care.html", x)
	if err != nil {
		return err
	}
	return p.again(w, r, n, tabCare, cause, f, func(v *showView) { v.Inner = template.HTML(drawn) })
}

func (p *pages) careOf(r *web.Request, n int64) (careView, error) {
	ctx, sc := r.Context(), customer.View(r.Actor)
	c, err := p.Customers.Get(ctx, sc, n)
	if err != nil {
		return careView{}, err
	}
	v := careView{C: c, CanEdit: r.Actor.Can(customer.PermEdit), Grades: gradeOptions(r), Causes: options(r, "customer.lost.", customer.LostCauses),
		GradeForm: r.Blank("grade", c.Grade), StageForm: r.Blank(), Overdue: !c.VerifyAt.IsZero() && c.VerifyAt.Before(r.Now())}
	v.Grades = append(v.Grades, ui.Option{Value: "", Label: r.T("customer.grade.")})
	sg, ok, err := p.Customers.Suggestion(ctx, sc, n)
	if err != nil {
		return v, err
	}
	if v.Suggested = ok; ok {
		v.Suggestion = suggestionOf(r, sg)
	}
	v.Moves = options(r, "customer.stage.", customer.StageMoves(c.Stage))
	life, err := p.Customers.StageHistory(ctx, sc, n)
	if err != nil {
		return v, err
	}
	for _, l := range life {
		who := l.Actor
		if l.ByRule {
			who = authz.SystemName(r.Lang, who)
		}
		v.Life = append(v.Life, lifeView{l, who})
	}
	v.Checks, err = p.Customers.VerificationHistory(ctx, sc, n)
	return v, err
}

// back is where a small form of a customer leads to when it is done: the page
// it stood on.
func back(r *web.Request, n int64, part string) string {
	return web.SafeNext(r.FormValue("back"), fmt.Sprintf("/customers/%d/%s", n, part))
}

func (p *pages) setGrade(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	if f.Get("do") == "accept" || f.Get("do") == "keep" {
		_, err = p.Customers.AcceptGrades(r.Context(), r.Actor, []int64{n}, f.Get("do") == "keep")
	} else {
		err = p.Customers.SetGrade(r.Context(), r.Actor, n, f.Get("grade"), f.String("reason"))
	}
	if err != nil {
		return p.careAgain(w, r, n, err, f, func(v *careView) { v.GradeForm = f })
	}
	r.Flash(w, "green", "customer.grade.done")
	return r.SeeOther(w, "%s", back(r, n, tabCare))
}

func (p *pages) moveStage(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.Customers.MoveStage(r.Context(), r.Actor, n, f.Get("stage"), f.Get("cause"), f.String("reason")); err != nil {
		return p.careAgain(w, r, n, err, f, func(v *careView) { v.StageForm = f })
	}
	r.Flash(w, "green", "customer.stage.done", i18n.T(r.Lang, "customer.stage."+f.Get("stage")))
	return r.SeeOther(w, "%s", back(r, n, tabCare))
}

// careSettingsView is the page of levels, grades, stages and verification.
type careSettingsView struct {
	Form    *web.Form
	Levels  []namingView
	Grades  []namingView
	Factors []factorView
	Colours []ui.Option
}

type namingView struct {
	Code, Prefix string
	Zh, En       string // what it is called now
}

func (n namingView) Field(name string) string { return n.Prefix + n.Code + "." + name }

func naming(prefix, key, code string) namingView {
	return namingView{code, prefix, i18n.T(i18n.ZhCN, key+code), i18n.T(i18n.En, key+code)}
}

type factorView struct {
	Code string
	Full bool
}

func (f factorView) Field(name string) string { return "factor." + f.Code + "." + name }

var careSettingsPage = ui.NewPage[careSettingsView](files, "care_settings.html").Sample(careSettingsView{
	Levels: []namingView{{"vip", "level.", "x", "x"}}, Grades: []namingView{{"a", "grade.", "x", "x"}},
	Factors: []factorView{{"size", true}, {"level", false}}, Colours: []ui.Option{{Value: "red", Label: "x"}}})

func careSettingsChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("customer.care.title"), Nav: "customer-care", Assets: []string{"customer.css", "care.css"}, Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("customer.care.title")}}}
}

func careSettingsOf(r *web.Request, f *web.Form, c customer.Care) careSettingsView {
	v := careSettingsView{Form: f, Colours: options(r, "customer.colour.", customer.Colours)}
	for _, l := range customer.Levels {
		v.Levels = append(v.Levels, naming("level.", "customer.level.", string(l)))
	}
	for _, g := range customer.Grades {
		v.Grades = append(v.Grades, naming("grade.", "customer.grade.", g))
	}
	for _, x := range c.Factors {
		v.Factors = append(v.Factors, factorView{x.Code, x.Full > 0})
	}
	return v
}

func (p *pages) careSettings(w http.ResponseWriter, r *web.Request) error {
	c, err := p.Customers.Care(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank()
	for _, l := range customer.Levels {
		x, n := c.Levels[l], namingView{Code: string(l), Prefix: "level."}
		f.Set(n.Field("name"), x.Name).Set(n.Field("english"), x.English).Set(n.Field("colour"), x.Colour).Set(n.Field("months"), x.VerifyMonths)
	}
	for _, g := range customer.Grades {
		x, n := c.Grades[g], namingView{Code: g, Prefix: "grade."}
		f.Set(n.Field("name"), x.Name).Set(n.Field("english"), x.English).Set(n.Field("colour"), x.Colour)
	}
	for _, x := range c.Factors {
		n := factorView{Code: x.Code}
		f.Set(n.Field("weight"), x.Weight).Set(n.Field("full"), x.Full)
	}
	f.Set("grade_a", c.GradeA).Set("grade_b", c.GradeB).Set("months", c.Months).Set("dormant_days", c.DormantDays).Set("overdue_days", c.OverdueDays)
	if c.ActiveByBusiness {
		f.Set("active_by_business", "1")
	}
	return careSettingsPage.Render(w, r, careSettingsChrome(r), careSettingsOf(r, f, c))
}

func (p *pages) setCareSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	c := customer.DefaultCare()
	for _, l := range customer.Levels {
		n := namingView{Code: string(l), Prefix: "level."}
		c.Levels[l] = customer.LevelCare{Naming: customer.Naming{Name: f.String(n.Field("name")), English: f.String(n.Field("english")), Colour: f.Get(n.Field("colour"))}, VerifyMonths: f.Int(n.Field("months"))}
	}
	for _, g := range customer.Grades {
		n := namingView{Code: g, Prefix: "grade."}
		c.Grades[g] = customer.Naming{Name: f.String(n.Field("name")), English: f.String(n.Field("english")), Colour: f.Get(n.Field("colour"))}
	}
	for i, x := range c.Factors {
		n := factorView{Code: x.Code}
		c.Factors[i].Weight = f.Int(n.Field("weight"))
		if x.Full > 0 {
			c.Factors[i].Full = f.Int(n.Field("full"))
		}
	}
	c.GradeA, c.GradeB, c.Months, c.DormantDays, c.OverdueDays = f.Int("grade_a"), f.Int("grade_b"), f.Int("months"), f.Int("dormant_days"), f.Int("overdue_days")
	c.ActiveByBusiness = f.Bool("active_by_business")
	err := f.Err()
	if err == nil {
		err = p.Customers.SetCare(r.Context(), r.Actor, c)
	}
	if err != nil {
		return careSettingsPage.Invalid(w, r, err, f, careSettingsChrome(r), careSettingsOf(r, f, customer.DefaultCare()))
	}
	ApplyNames(c)
	r.Flash(w, "green", "customer.settings.saved")
	return r.SeeOther(w, "/admin/customers/care")
}

// ApplyNames makes all pages call and colour levels and grades as the company
// does. It holds for the whole program.
func ApplyNames(c customer.Care) {
	words := map[i18n.Lang]map[string]string{i18n.ZhCN: {}, i18n.En: {}}
	tones := map[string]string{}
	naming := func(code, key string, n customer.Naming) {
		if n.Name != "" {
			words[i18n.ZhCN][key] = n.Name
		}
		if n.English != "" {
			words[i18n.En][key] = n.English
		}
		if n.Colour != "" {
			tones[code] = n.Colour
		}
	}
	for _, l := range customer.Levels {
		naming(string(l), "customer.level."+string(l), c.Levels[l].Naming)
	}
	for _, g := range customer.Grades {
		naming(g, "customer.grade."+g, c.Grades[g])
	}
	i18n.Rename(words)
	ui.Recolour(tones)
}

// careFacts are the lines of the timeline about a verification or a relation.
func careFacts(r *web.Request, e *event.Stored) (template.HTML, []changeView) {
	if e.Kind == customer.VerifiedKind {
		var d customer.VerifiedData
		if e.Decode(&d) != nil {
			return ui.Icon("checklist"), nil
		}
		lines := []changeView{{Field: r.T("customer.verify"), New: r.T("customer.verify.result." + d.Result)}}
		if d.Next != "" {
			lines = append(lines, changeView{Field: r.T("customer.verify.due"), New: d.Next})
		}
		return ui.Icon("checklist"), lines
	}
	var d customer.RelationData
	if e.Decode(&d) != nil {
		return ui.Icon("link"), nil
	}
	c := changeView{Field: r.T(customer.Relation{Kind: d.Relation, Way: d.Way}.Key()), New: d.Number}
	if e.Kind == customer.RelationEnded {
		c.Old, c.New = c.New, ""
	}
	return ui.Icon("link"), []changeView{c}
}

// stageCause says why a customer was lost, or which rule moved him.
func stageCause(r *web.Request, e *event.Stored) string {
	var d customer.StageData
	if e.Decode(&d) != nil || d.Cause == "" {
		return ""
	}
	if key := "customer.lost." + d.Cause; i18n.Has(key) {
		return r.T(key)
	}
	return r.T("customer.cause." + d.Cause)
}
