// Package processui shows processes: the pages on which an administrator designs,
// tries and publishes them, and the stages of a ticket beside it. It holds no
// rules; they are in package process.
package processui

import (
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/complaint"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html process.css
var files embed.FS

var _ = ui.AddAssets(files, "process.css")

type (
	listRow struct {
		process.Process
		Label, For string
	}
	example struct {
		Key, Type, Name, NameEn, Label, Text string
		Stages                               []string
	}
	listView struct {
		Rows     []listRow
		Examples []example
	}
	purpose struct {
		Form                       *web.Form
		Types, Classes, Categories []ui.Option
	}
	newView struct {
		purpose
		Examples []example
		Copies   []ui.Option
	}
	moveRow struct {
		Code, To, Name, Who string
		Reason, Free        bool
	}
	stageRow struct {
		Code, Label, Department, Limit, Required string
		Start, Again, Final, First, Last         bool
		Moves                                    []moveRow
	}
	problem struct {
		Text, Href string
		Fatal      bool
	}
	showView struct {
		purpose
		Loose       bool // no stage is connected yet
		P           process.Process
		For         string
		Changed     bool
		Drawing     template.HTML
		Stages      []stageRow
		Problems    []problem
		Blocked     bool
		PurposeOpen bool
		Guide       []string
	}
	stageView struct {
		P                                                    process.Process
		Form                                                 *web.Form
		Code, Name                                           string
		Departments, Units, Records, Required, States, Verbs []ui.Option
		Moves                                                []moveRow
		Drawing                                              template.HTML
	}
	stepView struct {
		P               process.Process
		Form            *web.Form
		Code, Name      string
		Stages, Parties []ui.Option
		Drawing         template.HTML
	}
	versionsView struct {
		P    process.Process
		Rows []process.Version
	}
	diffLine    struct{ Head, Old, New string }
	versionView struct {
		P          process.Process
		V          process.Version
		Title      string
		Against    int // number of the version compared with; 0: none
		Diff       []diffLine
		Drawing    template.HTML
		Restorable bool
	}
)

var (
	sampleStage   = process.Stage{Code: "s1", Name: "x", Department: 1, Minutes: 60, Final: true, States: process.Dwellings}
	sampleProcess = process.Process{ID: 1, Name: "x", Latest: 1, Live: true, Running: 2, Draft: process.Definition{Start: "s1", Stages: []process.Stage{sampleStage}}}
	sampleExample = example{Key: "complaint", Label: "x", Text: "x", Stages: []string{"a", "b"}}
	sampleMove    = moveRow{Code: "m1", To: "x", Name: "x", Who: "x", Reason: true, Free: true}
	listPage      = ui.NewPage[listView](files, "list.html").Sample(listView{Rows: []listRow{{sampleProcess, "x", "y"}, {Process: process.Process{Latest: 1}}, {}}}, listView{Examples: []example{sampleExample}})
	newPage       = ui.NewPage[newView](files, "new.html").Sample(newView{purpose: purpose{Form: &web.Form{}}, Examples: []example{sampleExample}})
	showPage      = ui.NewPage[showView](files, "show.html", "new.html").Sample(
		showView{purpose: purpose{Form: &web.Form{}}, P: sampleProcess, Changed: true, Drawing: "<svg></svg>", Stages: []stageRow{{Code: "s1", Label: "x", Department: "x", Limit: "x", Required: "x", Start: true, Again: true, Final: true, Moves: []moveRow{sampleMove}}}, Problems: []problem{{"x", "/x", true}, {"y", "", false}}},
		showView{purpose: purpose{Form: &web.Form{}}, Loose: true, Stages: []stageRow{{Code: "s1", Label: "x"}}, Blocked: true, Guide: guide},
		showView{purpose: purpose{Form: &web.Form{}}, P: process.Process{Latest: 1}})
	stagePage = ui.NewPage[stageView](files, "stage.html").Sample(stageView{Form: &web.Form{}, Records: []ui.Option{{Value: "complaint.calm", Label: "x"}}, Code: "s1", Name: "x", Drawing: "<svg></svg>", Moves: []moveRow{sampleMove}}, stageView{Form: &web.Form{}})
	stepPage  = ui.NewPage[stepView](files, "step.html").Sample(stepView{Form: &web.Form{}, Code: "m1", Name: "x", Drawing: "<svg></svg>"}, stepView{Form: &web.Form{}})
	versPage  = ui.NewPage[versionsView](files, "versions.html").Sample(versionsView{P: sampleProcess, Rows: []process.Version{{Number: 1, Note: "x", Running: 1, PublishedByName: "x"}}})
	verPage   = ui.NewPage[versionView](files, "version.html").Sample(versionView{Title: "x", V: process.Version{Number: 2, Note: "x"}, Against: 1, Restorable: true, Diff: []diffLine{{"x", "a", "b"}}}, versionView{Against: 1}, versionView{})
)

// guide is how to go about it, for who designs his first process.
var guide = []string{"process.guide.stages", "process.guide.moves", "process.guide.trial", "process.guide.publish"}

type pages struct {
	s       *process.Service
	tickets *ticket.Service
	org     *org.Service
}

// Routes adds the pages.
func Routes(rt *web.Router, s *process.Service, t *ticket.Service, o *org.Service) {
	p := &pages{s, t, o}
	rt.Handle("GET  /admin/processes", process.Perm, p.list)
	rt.Handle("GET  /admin/processes/new", process.Perm, p.showNew)
	rt.Handle("POST /admin/processes", process.Perm, p.create)
	rt.Handle("GET  /admin/processes/{id}", process.Perm, p.show)
	rt.Handle("POST /admin/processes/{id}", process.Perm, p.setPurpose)
	rt.Handle("POST /admin/processes/{id}/removal", process.Perm, p.remove)
	rt.Handle("POST /admin/processes/{id}/publication", process.Perm, p.publish)
	rt.Handle("POST /admin/processes/{id}/operation", process.Perm, p.operate)
	rt.Handle("GET  /admin/processes/{id}/stages/new", process.Perm, p.showStage)
	rt.Handle("POST /admin/processes/{id}/stages", process.Perm, p.saveStage)
	rt.Handle("GET  /admin/processes/{id}/stages/{code}", process.Perm, p.showStage)
	rt.Handle("POST /admin/processes/{id}/stages/{code}", process.Perm, p.saveStage)
	rt.Handle("POST /admin/processes/{id}/stages/{code}/removal", process.Perm, p.removeStage)
	rt.Handle("POST /admin/processes/{id}/stages/{code}/position", process.Perm, p.shiftStage)
	rt.Handle("GET  /admin/processes/{id}/moves/new", process.Perm, p.showStep)
	rt.Handle("POST /admin/processes/{id}/moves", process.Perm, p.saveStep)
	rt.Handle("POST /admin/processes/{id}/sequence", process.Perm, p.chain)
	rt.Handle("GET  /admin/processes/{id}/moves/{code}", process.Perm, p.showStep)
	rt.Handle("POST /admin/processes/{id}/moves/{code}", process.Perm, p.saveStep)
	rt.Handle("POST /admin/processes/{id}/moves/{code}/removal", process.Perm, p.removeStep)
	rt.Handle("GET  /admin/processes/{id}/trial", process.Perm, p.trial)
	rt.Handle("GET  /admin/processes/{id}/versions", process.Perm, p.versions)
	rt.Handle("GET  /admin/processes/{id}/versions/{number}", process.Perm, p.version)
	rt.Handle("POST /admin/processes/{id}/versions/{number}/draft", process.Perm, p.restore)
	rt.Handle("GET  /tickets/{number}/process", ticket.PermView, p.ofTicket)
	rt.Handle("POST /tickets/{number}/process", ticket.PermView, p.start)
	rt.Handle("GET  /tickets/{number}/process/departure", ticket.PermSupervise, p.showQuit)
	rt.Handle("POST /tickets/{number}/process/departure", ticket.PermSupervise, p.quit)
	rt.Handle("GET  /tickets/{number}/stage/{move}", ticket.PermView, p.showMove)
	rt.Handle("POST /tickets/{number}/stage/{move}", ticket.PermView, p.move)
}

// Nav is the entry of the administration.
func Nav() ui.Nav {
	return ui.Nav{Key: "processes", Href: "/admin/processes", Icon: "sitemap", LabelKey: "process.title", Perm: process.Perm, Group: "org.admin"}
}

func chrome(r *web.Request, crumbs ...ui.Crumb) ui.Chrome {
	c := ui.Chrome{Title: r.T("process.title"), Nav: "processes", Assets: []string{"process.css"}, Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("process.title"), Href: "/admin/processes"}}}
	for _, x := range crumbs {
		c.Title = x.Label
		c.Crumbs = append(c.Crumbs, x)
	}
	return c
}

func path(p process.Process, more ...string) string {
	return "/admin/processes/" + strings.Join(append([]string{id(p.ID)}, more...), "/")
}

func at(p process.Process) ui.Crumb { return ui.Crumb{Label: p.Name, Href: path(p)} }

func id(n int64) string { return strconv.FormatInt(n, 10) }

func options[C ~string](r *web.Request, prefix string, codes []C) []ui.Option {
	out := make([]ui.Option, len(codes))
	for i, c := range codes {
		out[i] = ui.Option{Value: string(c), Label: r.T(prefix + string(c))}
	}
	return out
}

// of says which tickets a process is for.
func of(r *web.Request, p process.Process, categories []ui.Option) string {
	parts := []string{r.T("ticket.type." + p.Type)}
	if p.Class != "" {
		parts = append(parts, r.T("ticket.class."+p.Class))
	}
	for _, c := range categories {
		if c.Value == id(p.CategoryID) {
			parts = append(parts, c.Label)
		}
	}
	return r.T("process.for", strings.Join(parts, " · "))
}

func (p *pages) categories(r *web.Request) ([]ui.Option, error) {
	cs, err := ticket.Categories(r.Context(), p.tickets.DB().Read())
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
	return out, err
}

func (p *pages) purpose(r *web.Request, f *web.Form) (v purpose, err error) {
	v = purpose{Form: f, Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes)}
	v.Categories, err = p.categories(r)
	return v, err
}

func examples(r *web.Request) (out []example) {
	for _, e := range process.Examples {
		x := example{Key: e.Key, Type: e.Type, Name: e.Name, NameEn: e.NameEn, Label: field.Words{Zh: e.Name, En: e.NameEn}.In(r.Lang), Text: r.T("process.example." + e.Key)}
		d := e.Make(func(string) int64 { return 0 })
		for _, s := range d.Stages {
			x.Stages = append(x.Stages, s.In(r.Lang))
		}
		out = append(out, x)
	}
	return out
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ps, err := p.s.List(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	cats, err := p.categories(r)
	if err != nil {
		return err
	}
	v := listView{Examples: examples(r)}
	for _, x := range ps {
		v.Rows = append(v.Rows, listRow{x, x.In(r.Lang), of(r, x, cats)})
	}
	return listPage.Render(w, r, chrome(r), v)
}

func (p *pages) newView(r *web.Request, f *web.Form) (v newView, err error) {
	v.Examples = examples(r)
	if v.purpose, err = p.purpose(r, f); err != nil {
		return v, err
	}
	ps, err := p.s.List(r.Context(), r.Actor)
	for _, x := range ps {
		v.Copies = append(v.Copies, ui.Option{Value: id(x.ID), Label: x.Name})
	}
	return v, err
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	v, err := p.newView(r, r.Blank())
	if err != nil {
		return err
	}
	return newPage.Render(w, r, chrome(r, ui.Crumb{Label: r.T("process.new")}), v)
}

func readPurpose(f *web.Form) process.Purpose {
	return process.Purpose{Name: f.String("name"), NameEn: f.String("name_en"), Type: f.String("type"), Class: f.String("class"), CategoryID: f.ID("category")}
}

func (p *pages) create(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := readPurpose(f)
	fresh := process.Fresh{Name: in.Name, NameEn: in.NameEn, Type: in.Type, Class: in.Class, CategoryID: in.CategoryID, Example: f.String("example"), CopyOf: f.ID("copy")}
	err := f.Err()
	var made process.Process
	if err == nil {
		made, err = p.s.Create(r.Context(), r.Actor, fresh)
	}
	// The example taken a second time gets another name.
	for n := 2; fresh.Example != "" && taken(err) && n < 50; n++ {
		fresh.Name = in.Name + " " + strconv.Itoa(n)
		made, err = p.s.Create(r.Context(), r.Actor, fresh)
	}
	if err != nil {
		v, verr := p.newView(r, f)
		if verr != nil {
			return verr
		}
		return newPage.Invalid(w, r, err, f, chrome(r, ui.Crumb{Label: r.T("process.new")}), v)
	}
	r.Flash(w, "green", "process.created", made.Name)
	return r.SeeOther(w, "%s", path(made))
}

func taken(err error) bool {
	f, ok := fault.As(err)
	return ok && len(f.Fields) == 1 && f.Fields[0].Key == "process.name_taken"
}

// open loads the process of the address.
func (p *pages) open(r *web.Request) (process.Process, error) {
	n, err := r.PathID("id")
	if err != nil {
		return process.Process{}, err
	}
	return p.s.Get(r.Context(), r.Actor, n)
}

func (p *pages) showView(r *web.Request, x process.Process, f *web.Form) (v showView, err error) {
	ctx := r.Context()
	if f == nil {
		f = r.Blank("name", x.Name, "name_en", x.NameEn, "type", x.Type, "class", x.Class)
		if x.CategoryID != 0 {
			f.Set("category", x.CategoryID)
		}
	}
	v = showView{P: x, Guide: guide}
	if v.purpose, err = p.purpose(r, f); err != nil {
		return v, err
	}
	v.For, v.Loose = of(r, x, v.Categories), len(x.Draft.Stages) > 1 && len(x.Draft.Moves) == 0
	if v.Changed, err = p.s.Unpublished(ctx, x); err != nil {
		return v, err
	}
	words, err := p.s.Words(ctx, r.Lang)
	if err != nil {
		return v, err
	}
	ps, err := p.s.Problems(ctx, x)
	if err != nil {
		return v, err
	}
	bad := map[string]bool{}
	for _, pr := range ps {
		y := problem{Text: r.T(pr.Key, pr.Args...), Fatal: pr.Fatal}
		switch {
		case pr.Move != "":
			y.Href = path(x, "moves", pr.Move)
		case pr.Stage != "":
			y.Href = path(x, "stages", pr.Stage)
		}
		bad[pr.Stage] = bad[pr.Stage] || pr.Fatal
		v.Blocked = v.Blocked || pr.Fatal
		v.Problems = append(v.Problems, y)
	}
	v.Drawing = draw(&x.Draft, look{Lang: r.Lang, Words: words, Bad: bad, Href: func(c string) string { return path(x, "stages", c) }})
	for i, s := range x.Draft.Stages {
		row := stageRow{Code: s.Code, Label: s.In(r.Lang), Start: s.Code == x.Draft.Start, Again: s.Code == x.Draft.Again, Final: s.Final, First: i == 0, Last: i == len(x.Draft.Stages)-1,
			Required: words.Requirements(s.Required), Moves: moves(r, x, s.Code)}
		if s.Department != 0 {
			row.Department = words.Department(s.Department)
		}
		if s.Minutes > 0 {
			row.Limit = i18n.Duration(r.Lang, s.Limit())
		}
		v.Stages = append(v.Stages, row)
	}
	return v, nil
}

func moves(r *web.Request, x process.Process, stage string) (out []moveRow) {
	for _, m := range x.Draft.From(stage) {
		to, _ := x.Draft.Stage(m.To)
		out = append(out, moveRow{m.Code, to.In(r.Lang), m.In(r.Lang), who(r, m), m.Reason, m.Free})
	}
	return out
}

func who(r *web.Request, m process.Move) string {
	var out []string
	for _, p := range m.Who {
		out = append(out, r.T("process.who."+string(p)))
	}
	return strings.Join(out, r.T("process.comma"))
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	v, err := p.showView(r, x, nil)
	if err != nil {
		return err
	}
	return showPage.Render(w, r, chrome(r, at(x)), v)
}

// again shows the page of the process of the address with what went wrong.
func (p *pages) again(w http.ResponseWriter, r *web.Request, err error, f *web.Form, purpose bool) error {
	fe, ok := fault.As(err)
	if !ok || fe.Kind == fault.NotFound || fe.Kind == fault.Forbidden {
		return err
	}
	x, oerr := p.open(r)
	if oerr != nil {
		return oerr
	}
	shown := f
	if !purpose {
		shown = nil
	}
	v, verr := p.showView(r, x, shown)
	if verr != nil {
		return verr
	}
	if !purpose && f != nil {
		v.Form.Set("note", f.Get("note"))
	}
	v.PurposeOpen = purpose
	return showPage.Invalid(w, r, err, v.Form, chrome(r, at(x)), v)
}

// changed goes back to the process after an action that has a button only.
func (p *pages) changed(w http.ResponseWriter, r *web.Request, x process.Process, err error, anchor string) error {
	if err != nil {
		return p.again(w, r, err, nil, false)
	}
	return r.SeeOther(w, "%s%s", path(x), anchor)
}

func (p *pages) setPurpose(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	in := readPurpose(f)
	version := f.Int64("version")
	x := process.Process{}
	if err = f.Err(); err == nil {
		x, err = p.s.SetPurpose(r.Context(), r.Actor, n, version, in)
	}
	if err != nil {
		return p.again(w, r, err, f, true)
	}
	r.Flash(w, "green", "process.saved")
	return r.SeeOther(w, "%s", path(x))
}

func (p *pages) remove(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.s.Delete(r.Context(), r.Actor, x.ID, r.Input().Int64("version")); err != nil {
		return p.again(w, r, err, nil, false)
	}
	r.Flash(w, "green", "process.deleted", x.Name)
	return r.SeeOther(w, "/admin/processes")
}

// chain connects the stages in their order.
func (p *pages) chain(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	_, err = p.s.Chain(r.Context(), r.Actor, x.ID, r.Input().Int64("version"))
	return p.changed(w, r, x, err, "")
}

func (p *pages) publish(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	v, err := p.s.Publish(r.Context(), r.Actor, x.ID, f.Int64("version"), f.Text("note"))
	if err != nil {
		return p.again(w, r, err, f, false)
	}
	r.Flash(w, "green", "process.published", v.Number)
	return r.SeeOther(w, "%s", path(x))
}

func (p *pages) operate(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	return p.changed(w, r, x, p.s.SetLive(r.Context(), r.Actor, x.ID, f.Int64("version"), f.Bool("live")), "#publish")
}

// units of a time limit, in minutes.
var units = []struct {
	code    string
	minutes int
}{{"days", 24 * 60}, {"hours", 60}, {"minutes", 1}}

func (p *pages) stageView(r *web.Request, x process.Process, code string, f *web.Form) (v stageView, err error) {
	ctx := r.Context()
	v = stageView{P: x, Code: code, Form: f, States: options(r, "ticket.state.", process.Dwellings), Verbs: options(r, "ticket.verb.", process.Narrowable)}
	s, _ := x.Draft.Stage(code)
	v.Name = s.In(r.Lang)
	nodes, err := p.org.Tree(ctx)
	if err != nil {
		return v, err
	}
	for _, n := range nodes {
		switch {
		case n.Active:
			v.Departments = append(v.Departments, ui.Option{Value: id(n.ID), Label: n.Path})
		case n.ID == s.Department:
			v.Departments = append(v.Departments, ui.Option{Value: id(n.ID), Label: r.T("process.department_closed", n.Path)})
		}
	}
	for _, u := range []string{"minutes", "hours", "days"} {
		v.Units = append(v.Units, ui.Option{Value: u, Label: r.T("process.unit." + u)})
	}
	words, err := p.s.Words(ctx, r.Lang)
	if err != nil {
		return v, err
	}
	if x.Type == "complaint" {
		for _, q := range process.Records {
			v.Records = append(v.Records, ui.Option{Value: q, Label: r.T(complaint.Step(strings.TrimPrefix(q, "complaint.")).Words())})
		}
	}
	for _, q := range process.Requirements {
		v.Required = append(v.Required, ui.Option{Value: q, Label: words.Requirement(q)})
	}
	defs, err := p.tickets.FieldDefs(ctx, r.Lang)
	if err != nil {
		return v, err
	}
	for _, d := range defs {
		if d.Applies(x.Type) || slices.Contains(s.Required, d.Name()) {
			v.Required = append(v.Required, ui.Option{Value: d.Name(), Label: d.Label, Hint: r.T("process.require.own")})
		}
	}
	for _, q := range s.Required { // gone since: still to be seen and taken away
		if !slices.ContainsFunc(append(slices.Clone(v.Records), v.Required...), func(o ui.Option) bool { return o.Value == q }) {
			v.Required = append(v.Required, ui.Option{Value: q, Label: r.T("process.require.gone", strings.TrimPrefix(q, field.Prefix))})
		}
	}
	v.Moves = moves(r, x, code)
	v.Drawing = draw(&x.Draft, look{Lang: r.Lang, Words: words, Current: code, Href: func(c string) string { return path(x, "stages", c) }})
	return v, nil
}

func (p *pages) showStage(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	code := r.PathValue("code")
	s := process.NewStage()
	if code != "" {
		var ok bool
		if s, ok = x.Draft.Stage(code); !ok {
			return ui.NoSuchPage()
		}
	}
	f := r.Blank("version", id(x.Version), "name", s.Name, "name_en", s.NameEn, "hint", s.Hint, "unit", "hours")
	if s.Department != 0 {
		f.Set("department", s.Department)
	}
	for _, u := range units {
		if s.Minutes > 0 && s.Minutes%u.minutes == 0 {
			f.Set("limit", s.Minutes/u.minutes).Set("unit", u.code)
			break
		}
	}
	f.Values["required"] = s.Required
	for _, st := range s.States {
		f.Values.Add("states", string(st))
	}
	for _, vb := range s.Verbs {
		f.Values.Add("verbs", string(vb))
	}
	tick := func(name string, on bool) {
		if on {
			f.Set(name, 1)
		}
	}
	tick("final", s.Final)
	tick("start", code != "" && x.Draft.Start == code || len(x.Draft.Stages) == 0)
	tick("again", code != "" && x.Draft.Again == code)
	v, err := p.stageView(r, x, code, f)
	if err != nil {
		return err
	}
	return stagePage.Render(w, r, chrome(r, at(x), stageCrumb(r, v)), v)
}

func stageCrumb(r *web.Request, v stageView) ui.Crumb {
	if v.Code == "" {
		return ui.Crumb{Label: r.T("process.stage.add")}
	}
	return ui.Crumb{Label: v.Name}
}

func (p *pages) saveStage(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	s := process.Stage{Code: r.PathValue("code"), Name: f.String("name"), NameEn: f.String("name_en"), Hint: f.String("hint"), Department: f.ID("department"), Required: f.Strings("required"), Final: f.Bool("final")}
	n := f.Int("limit")
	for _, u := range units {
		if f.String("unit") == u.code {
			s.Minutes = max(-1, min(n, 1<<24)) * u.minutes
		}
	}
	for _, c := range f.Strings("states") {
		s.States = append(s.States, ticket.State(c))
	}
	for _, c := range f.Strings("verbs") {
		s.Verbs = append(s.Verbs, ticket.Verb(c))
	}
	version := f.Int64("version")
	if err = f.Err(); err == nil {
		_, _, err = p.s.SaveStage(r.Context(), r.Actor, x.ID, version, s, f.Bool("start"), f.Bool("again"))
	}
	if err != nil {
		v, verr := p.stageView(r, x, s.Code, f)
		if verr != nil {
			return verr
		}
		stale(err, f, x)
		return stagePage.Invalid(w, r, err, f, chrome(r, at(x), stageCrumb(r, v)), v)
	}
	r.Flash(w, "green", "process.saved")
	return r.SeeOther(w, "%s", path(x))
}

// stale lets a form that somebody else was faster than be sent again.
func stale(err error, f *web.Form, x process.Process) {
	if fe, ok := fault.As(err); ok && fe.Key == "process.changed_meanwhile" {
		f.Set("version", x.Version)
	}
}

func (p *pages) removeStage(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	_, err = p.s.RemoveStage(r.Context(), r.Actor, x.ID, r.Input().Int64("version"), r.PathValue("code"))
	return p.changed(w, r, x, err, "")
}

func (p *pages) shiftStage(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	_, err = p.s.ShiftStage(r.Context(), r.Actor, x.ID, f.Int64("version"), r.PathValue("code"), f.String("to") == "up")
	return p.changed(w, r, x, err, "#"+r.PathValue("code"))
}

func (p *pages) stepView(r *web.Request, x process.Process, code string, f *web.Form) (v stepView, err error) {
	v = stepView{P: x, Code: code, Form: f, Parties: options(r, "process.who.", process.Parties)}
	m, _ := x.Draft.Move(code)
	v.Name = m.In(r.Lang)
	for _, s := range x.Draft.Stages {
		v.Stages = append(v.Stages, ui.Option{Value: s.Code, Label: s.In(r.Lang)})
	}
	words, err := p.s.Words(r.Context(), r.Lang)
	v.Drawing = draw(&x.Draft, look{Lang: r.Lang, Words: words, Current: f.String("from"), Href: func(c string) string { return path(x, "stages", c) }})
	return v, err
}

func stepCrumb(r *web.Request, v stepView) ui.Crumb {
	if v.Code == "" {
		return ui.Crumb{Label: r.T("process.move.new")}
	}
	return ui.Crumb{Label: v.Name}
}

func (p *pages) showStep(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	code := r.PathValue("code")
	m := process.Move{From: r.URL.Query().Get("from"), Who: []process.Party{process.Assignee, process.Supervisor}}
	if code != "" {
		var ok bool
		if m, ok = x.Draft.Move(code); !ok {
			return ui.NoSuchPage()
		}
	} else if s, ok := x.Draft.Stage(m.From); ok && m.To == "" {
		// Most often one goes on to the stage behind.
		i := slices.IndexFunc(x.Draft.Stages, func(y process.Stage) bool { return y.Code == s.Code })
		if i+1 < len(x.Draft.Stages) && !slices.ContainsFunc(x.Draft.From(s.Code), func(y process.Move) bool { return y.To == x.Draft.Stages[i+1].Code }) {
			m.To = x.Draft.Stages[i+1].Code
		}
	}
	f := r.Blank("version", id(x.Version), "from", m.From, "to", m.To, "name", m.Name, "name_en", m.NameEn)
	for _, w := range m.Who {
		f.Values.Add("who", string(w))
	}
	if m.Reason {
		f.Set("reason", 1)
	}
	if m.Free {
		f.Set("free", 1)
	}
	v, err := p.stepView(r, x, code, f)
	if err != nil {
		return err
	}
	return stepPage.Render(w, r, chrome(r, at(x), stepCrumb(r, v)), v)
}

func (p *pages) saveStep(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	m := process.Move{Code: r.PathValue("code"), From: f.String("from"), To: f.String("to"), Name: f.String("name"), NameEn: f.String("name_en"), Reason: f.Bool("reason"), Free: f.Bool("free")}
	for _, c := range f.Strings("who") {
		m.Who = append(m.Who, process.Party(c))
	}
	version := f.Int64("version")
	if err = f.Err(); err == nil {
		_, err = p.s.SaveMove(r.Context(), r.Actor, x.ID, version, m)
	}
	if err != nil {
		v, verr := p.stepView(r, x, m.Code, f)
		if verr != nil {
			return verr
		}
		stale(err, f, x)
		return stepPage.Invalid(w, r, err, f, chrome(r, at(x), stepCrumb(r, v)), v)
	}
	r.Flash(w, "green", "process.saved")
	return r.SeeOther(w, "%s#%s", path(x), m.From)
}

func (p *pages) removeStep(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	m, _ := x.Draft.Move(r.PathValue("code"))
	_, err = p.s.RemoveMove(r.Context(), r.Actor, x.ID, r.Input().Int64("version"), r.PathValue("code"))
	return p.changed(w, r, x, err, "#"+m.From)
}

func (p *pages) versions(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	v := versionsView{P: x}
	if v.Rows, err = p.s.Versions(r.Context(), r.Actor, x.ID); err != nil {
		return err
	}
	return versPage.Render(w, r, chrome(r, at(x), ui.Crumb{Label: r.T("process.versions")}), v)
}

// version shows a version, or with "draft" what is being worked on, and what
// differs from the one before.
func (p *pages) version(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	vs, err := p.s.Versions(r.Context(), r.Actor, x.ID)
	if err != nil {
		return err
	}
	words, err := p.s.Words(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	v := versionView{P: x}
	number, draft := 0, r.PathValue("number") == "draft"
	if draft {
		number = x.Latest + 1
		v.V, v.Title = process.Version{Definition: x.Draft}, r.T("process.draft")
	} else if number, err = strconv.Atoi(r.PathValue("number")); err != nil {
		return ui.NoSuchPage()
	}
	found := draft
	var before process.Definition
	for _, y := range vs {
		switch y.Number {
		case number:
			v.V, v.Title, found = y, r.T("process.version", y.Number), true
		case number - 1:
			before, v.Against = y.Definition, y.Number
		}
	}
	if !found {
		return ui.NoSuchPage()
	}
	v.Restorable = !draft
	v.Drawing = draw(&v.V.Definition, look{Lang: r.Lang, Words: words})
	if v.Against > 0 {
		for _, d := range v.V.Definition.Diff(before, words) {
			l := diffLine{Head: r.T("process.diff.what." + d.What), Old: d.Old, New: d.New}
			if d.Name != "" {
				l.Head = r.T("process.pair", l.Head, d.Name)
			}
			if d.Field != "" {
				l.Head += " · " + r.T("process.field."+d.Field)
			}
			v.Diff = append(v.Diff, l)
		}
	}
	return verPage.Render(w, r, chrome(r, at(x), ui.Crumb{Label: r.T("process.versions"), Href: path(x, "versions")}, ui.Crumb{Label: v.Title}), v)
}

func (p *pages) restore(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		return ui.NoSuchPage()
	}
	if _, err := p.s.Restore(r.Context(), r.Actor, x.ID, r.Input().Int64("version"), n); err != nil {
		return p.again(w, r, err, nil, false)
	}
	r.Flash(w, "green", "process.restored", n)
	return r.SeeOther(w, "%s", path(x))
}
