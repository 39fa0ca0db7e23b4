// Package importerui is importing tables in the browser: choose a file, see what
// each column is taken for and how the first rows would be read, let the whole
// table be tried, start, and look on or leave; at the end, a table that says
// what became of each row.
//
// Every page works before its script has loaded; progress then comes by the
// browser's own reloading.
package importerui

import (
	"context"
	"embed"
	"errors"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/importer"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

// The colours of states and results.
var _ = []struct{}{
	ui.SetTone("import.draft", "gray"), ui.SetTone("import.checking", "blue"), ui.SetTone("import.checked", "teal"), ui.SetTone("import.running", "blue"),
	ui.SetTone("import.finished", "green"), ui.SetTone("import.failed", "red"), ui.SetTone("import.cancelled", "gray"),
	ui.SetTone("row.imported", "green"), ui.SetTone("row.warned", "amber"), ui.SetTone("row.skipped", "gray"), ui.SetTone("row.failed", "red"),
}

type listView struct {
	Form  *web.Form
	Kinds []ui.Option
	Limit string
	Rows  []importer.Import
	Pager ui.Pager
}

type importView struct {
	importer.Import
	Form        *web.Form
	Lang        i18n.Lang
	Preview     *importer.Preview
	Problem     string // the required columns are not there
	Unknown     string
	Columns     []columnView
	Sheets      []ui.Option
	Departments []ui.Option
	Choices     []ui.Option // what is done with unknown people
	Twins       []ui.Option // what is done with customers there may be already
	Problems    []importer.Line
	More        int // problems not shown
	Failure     string
	Levels      *customer.LevelBatch // the levels that wait for approval, or did
	CanMerge    bool                 // may go on with the suspected duplicates
}

// columnView is one column of the table: its heading and what it may mean.
type columnView struct {
	Name   string // heading
	Field  string // name of the form's field
	Fields []ui.Option
}

// Names returns a sentence about a row in the language of the view.
func (v importView) Say(l importer.Line) string { return l.Say(v.Lang) }

// Step is how far an import is: 1 columns, 2 tried, 3 done.
func (v importView) Step() int {
	switch v.State {
	case importer.Draft, importer.Checking:
		return 1
	case importer.Checked, importer.Running:
		return 2
	}
	return 3
}

var _ = ui.AddAssets(files, "import.css")

var (
	listPage   = ui.NewPage[listView](files, "list.html").Sample(sampleList())
	importPage = ui.NewPage[importView](files, "import.html").Sample(sampleImports()...)
)

type pages struct {
	s   *importer.Service
	org *org.Service
}

// Nav is the entry of the navigation.
func Nav() ui.Nav {
	return ui.Nav{Key: "imports", Href: "/imports", Icon: "upload", LabelKey: "importer.nav", Perm: importer.Perm, Menu: true}
}

// Routes adds the pages.
func Routes(rt *web.Router, s *importer.Service, o *org.Service) {
	p := &pages{s, o}
	rt.Handle("GET  /imports", importer.Perm, p.list)
	// Twice the limit is received, so that who chooses too large a file is told at
	// the field and not by an error page.
	rt.Handle("POST /imports", importer.Perm, p.upload, web.MaxBody(2*importer.MaxBytes))
	rt.Handle("GET  /import-templates/{kind}", importer.Perm, p.template)
	rt.Handle("GET  /imports/{id}", importer.Perm, p.show)
	rt.Handle("POST /imports/{id}/setup", importer.Perm, p.setUp)
	rt.Handle("POST /imports/{id}/start", importer.Perm, p.start)
	rt.Handle("POST /imports/{id}/cancellation", importer.Perm, p.cancel)
	rt.Handle("GET  /imports/{id}/result", importer.Perm, p.result)
}

func crumbs(r *web.Request) []ui.Crumb {
	return []ui.Crumb{{Label: r.T("importer.nav"), Href: "/imports"}}
}

const perPage = 20

func (p *pages) listView(r *web.Request, f *web.Form) (v listView, err error) {
	v = listView{Form: f, Limit: blob.Size(importer.MaxBytes)}
	for _, k := range importer.Kinds {
		if k == importer.Tickets && !r.Actor.Can(ticket.PermCreate) || k == importer.Customers && !r.Actor.Can(customer.PermCreate) {
			continue
		}
		v.Kinds = append(v.Kinds, ui.Option{Value: string(k), Label: r.T("importer.kind." + string(k)), Hint: r.T("importer.kind.hint." + string(k))})
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if v.Rows, err = p.s.List(r.Context(), importer.View(r.Actor), before, perPage+1); err != nil {
		return v, err
	}
	if len(v.Rows) > perPage {
		v.Rows = v.Rows[:perPage]
		v.Pager.Next = "/imports?before=" + strconv.FormatInt(v.Rows[perPage-1].ID, 10)
	}
	if before > 0 {
		v.Pager.Prev = "/imports"
	}
	return v, nil
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	kind := r.URL.Query().Get("kind")
	if !importer.Kind(kind).Valid() {
		kind = string(importer.Customers)
	}
	v, err := p.listView(r, r.Blank("kind", kind))
	if err != nil {
		return err
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("importer.nav"), Nav: "imports"}, v)
}

func (p *pages) upload(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	i, err := p.receive(r, f)
	if err != nil {
		if f.Values == nil {
			f = r.Blank()
		}
		v, verr := p.listView(r, f)
		if verr != nil {
			return verr
		}
		return listPage.Invalid(w, r, err, f, ui.Chrome{Title: r.T("importer.nav"), Nav: "imports"}, v)
	}
	return r.SeeOther(w, "/imports/%d", i.ID)
}

func (p *pages) receive(r *web.Request, f *web.Form) (i importer.Import, err error) {
	if err := f.Err(); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			// Said at the field, and with our own limit.
			return i, fault.Invalidf("ui.form.invalid").Field("file", "importer.upload.over", blob.Size(importer.MaxBytes))
		}
		return i, err
	}
	kind := f.Choice("kind", string(importer.Customers), string(importer.Tickets))
	h := f.File("file")
	switch {
	case h != nil:
	case len(f.Files["file"]) > 0 && f.Files["file"][0].Filename != "":
		f.Fail("file", "sheet.empty")
	default:
		f.Fail("file", "importer.upload.choose")
	}
	if err := f.Err(); err != nil {
		return i, err
	}
	var m multipart.File
	if m, err = h.Open(); err != nil {
		return i, err
	}
	defer m.Close()
	return p.s.Upload(r.Context(), r.Actor, importer.Kind(kind), h.Filename, m, h.Size)
}

func (p *pages) template(w http.ResponseWriter, r *web.Request) error {
	k := importer.Kind(r.PathValue("kind"))
	if !k.Valid() {
		return fault.New(fault.NotFound, "ui.error.not_found")
	}
	w.Header().Set("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
	w.Header().Set("Content-Disposition", blob.Disposition("attachment", r.T("importer.kind."+string(k))+".xlsx"))
	return p.s.Template(r.Context(), w, k, r.Lang)
}

// shownProblems is how many rows with a problem the page lists; the rest is in
// the result file.
const shownProblems = 100

func (p *pages) view(r *web.Request, id int64) (v importView, err error) {
	i, err := p.s.Get(r.Context(), importer.View(r.Actor), id)
	if err != nil {
		return v, err
	}
	v = importView{Import: i, Lang: r.Lang, CanMerge: i.Kind == importer.Customers && r.Actor.Can(customer.PermMerge)}
	if i.State.Busy() {
		return v, nil
	}
	for n, f := range i.Failure {
		if n > 0 {
			v.Failure += r.T("importer.semicolon")
		}
		v.Failure += f.Say(r.Lang)
	}
	if v.Problems, err = p.s.Problems(r.Context(), id, 0, shownProblems); err != nil {
		return v, err
	}
	v.More = max(0, i.Counts.Failed+i.Counts.Skipped+i.Counts.Warned-len(v.Problems))
	if i.State == importer.Draft || i.State == importer.Checked {
		return v, p.preview(r, &v)
	}
	levels, ok, err := p.s.Levels(r.Context(), i)
	if ok {
		v.Levels = &levels
	}
	return v, err
}

func (p *pages) preview(r *web.Request, v *importView) error {
	actor := r.Actor
	actor.Lang = r.Lang
	pre, err := p.s.Preview(r.Context(), actor, v.Import)
	if err != nil {
		e, ok := fault.As(err)
		if !ok || e.Kind == fault.NotFound {
			return err
		}
		v.Problem = r.T(e.Key, e.Args...)
		v.Form = r.Blank()
		return nil
	}
	v.Preview = &pre
	if pre.Problem != nil {
		v.Problem = r.Explain(pre.Problem).Message
	}
	v.Unknown = strings.Join(pre.Unknown, r.T("importer.comma"))
	for _, s := range pre.Sheets {
		v.Sheets = append(v.Sheets, ui.Option{Value: s, Label: s})
	}
	tree, err := p.org.Tree(r.Context())
	if err != nil {
		return err
	}
	for _, d := range tree {
		if d.Active {
			v.Departments = append(v.Departments, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: d.Path})
		}
	}
	for _, c := range []string{importer.Report, importer.UseDefault} {
		v.Choices = append(v.Choices, ui.Option{Value: c, Label: r.T("importer.unknown." + c)})
	}
	if v.Kind == importer.Customers {
		for _, c := range []string{importer.SkipTwins, importer.KeepTwins} {
			v.Twins = append(v.Twins, ui.Option{Value: c, Label: r.T("importer.twins." + c), Hint: r.T("importer.twins.hint." + c)})
		}
	}
	setup := v.Setup
	if setup.Twins == "" {
		setup.Twins = importer.SkipTwins
	}
	f := r.Blank("twins", setup.Twins, "sheet", pre.Sheet, "header", strconv.Itoa(pre.Layout.Header), "unknown", setup.Unknown)
	if setup.Department != 0 {
		f.Set("department", setup.Department)
	}
	own, err := p.s.Own(r.Context(), v.Kind, r.Lang)
	if err != nil {
		return err
	}
	for n, name := range pre.Layout.Names {
		c := columnView{Name: name, Field: "c" + strconv.Itoa(n)}
		if name == "" {
			c.Name = r.T("importer.column", n+1)
		}
		for _, col := range importer.Columns(v.Kind) {
			label := r.T(col.Key(v.Kind))
			if col.Required {
				label += " *"
			}
			c.Fields = append(c.Fields, ui.Option{Value: string(col.Field), Label: label})
		}
		for _, col := range own {
			c.Fields = append(c.Fields, ui.Option{Value: string(col.Field), Label: col.Label, Group: r.T("field.title")})
		}
		f.Set(c.Field, string(pre.Layout.Fields[n]))
		v.Columns = append(v.Columns, c)
	}
	v.Form = f
	return nil
}

func chrome(r *web.Request, v importView) ui.Chrome {
	return ui.Chrome{Title: v.Name, Nav: "imports", Assets: []string{"import.css"}, Crumbs: append(crumbs(r), ui.Crumb{Label: v.Name})}
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := p.view(r, id)
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "progress" {
		if !v.State.Busy() {
			return r.SeeOther(w, "/imports/%d", id) // something to be decided, or the outcome
		}
		return importPage.Fragment(w, r, "progress", v)
	}
	return importPage.Render(w, r, chrome(r, v), v)
}

func (p *pages) setUp(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	old, err := p.s.Get(r.Context(), importer.View(r.Actor), id)
	if err != nil {
		return err
	}
	f := r.Input()
	setup := importer.Setup{Sheet: f.Get("sheet"), Header: f.IntIn("header", 0, 1<<20), Department: f.ID("department"), Unknown: f.Get("unknown"), Twins: f.Get("twins"), Lang: r.Lang}
	if !f.Has("sheet") {
		setup.Sheet = old.Setup.Sheet
	}
	// The columns shown belong to the sheet and line shown: another one is guessed anew.
	same := f.Get("sheet_was") == setup.Sheet && f.Get("header_was") == strconv.Itoa(setup.Header)
	for n := 0; same && f.Has("c"+strconv.Itoa(n)); n++ {
		setup.Fields = append(setup.Fields, importer.Field(f.Get("c"+strconv.Itoa(n))))
	}
	if f.Get("sheet_was") != setup.Sheet && f.Has("sheet_was") {
		setup.Header = 0
	}
	actor := r.Actor
	actor.Lang = r.Lang
	if err = f.Err(); err == nil {
		_, err = p.s.SetUp(r.Context(), actor, id, setup)
	}
	if err == nil && f.Get("do") == "check" {
		err = p.s.Check(r.Context(), actor, id)
	}
	if err != nil {
		v, verr := p.view(r, id)
		if verr != nil {
			return verr
		}
		f = keep(v.Form, f)
		v.Form = f
		return importPage.Invalid(w, r, err, f, chrome(r, v), v)
	}
	return r.SeeOther(w, "/imports/%d", id)
}

// keep lays what was typed over the form as it would be shown.
func keep(shown, typed *web.Form) *web.Form {
	if shown == nil {
		return typed
	}
	for k, vs := range typed.Values {
		shown.Values[k] = vs
	}
	return shown
}

func (p *pages) start(w http.ResponseWriter, r *web.Request) error {
	return p.do(w, r, p.s.Start)
}

func (p *pages) cancel(w http.ResponseWriter, r *web.Request) error {
	return p.do(w, r, p.s.Cancel)
}

func (p *pages) do(w http.ResponseWriter, r *web.Request, f func(ctx context.Context, actor authz.Actor, id int64) error) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := f(r.Context(), r.Actor, id); err != nil {
		return err
	}
	return r.SeeOther(w, "/imports/%d", id)
}

func (p *pages) result(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, c, err := p.s.OpenResult(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	defer c.Close()
	blob.Serve(w, r.Request, f, c, false)
	return nil
}
