package fieldui

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

// People finds colleagues; *org.Service does.
type People interface {
	Colleagues(ctx context.Context, actor authz.Actor, text string, departmentID int64, perm authz.Permission, limit int) ([]org.Person, error)
}

type pages struct {
	fields *field.Service
	people People
}

// Routes adds the pages on which fields are kept, and the address inputs look for
// colleagues at.
func Routes(rt *web.Router, s *field.Service, people People) {
	p := &pages{s, people}
	rt.Handle("GET  "+Look, org.PermDirectory, p.colleagues, web.JSON())
	rt.Handle("GET  /admin/fields", field.PermManage, p.list)
	rt.Handle("GET  /admin/fields/new", field.PermManage, p.showNew)
	rt.Handle("POST /admin/fields", field.PermManage, p.save)
	rt.Handle("POST /admin/fields/options", field.PermManage, p.options)
	rt.Handle("GET  /admin/fields/{id}", field.PermManage, p.edit)
	rt.Handle("POST /admin/fields/{id}", field.PermManage, p.save)
	rt.Handle("POST /admin/fields/{id}/position", field.PermManage, p.shift)
	rt.Handle("POST /admin/fields/{id}/deactivation", field.PermManage, p.deactivate)
	rt.Handle("POST /admin/fields/{id}/reactivation", field.PermManage, p.reactivate)
}

// Nav is the entry of the settings.
func Nav() ui.Nav {
	return ui.Nav{Key: "fields", Href: "/admin/fields", Icon: "sliders", LabelKey: "field.title", Perm: field.PermManage, Group: "org.admin"}
}

type (
	listView struct {
		Object string
		Name   string // of the object
		Tabs   []tab
		Used   []row
		Off    []row
		Max    int
	}
	tab struct {
		Object, Label string
		Current       bool
		Count         int
	}
	row struct {
		field.Field
		Label, Other string
		Types        []string // locale keys
		Options      int      // that can be chosen
		First, Last  bool
	}
	formView struct {
		Form    *web.Form
		Field   field.Field // as stored; zero for a new one
		Object  string
		Name    string // of the object
		Title   string
		Kinds   []ui.Option
		Types   []ui.Option
		Used    bool
		Options []optionRow
	}
	optionRow struct {
		Form        *web.Form
		N           int
		Known       bool // stored: its code stays
		First, Last bool
	}
)

// Field names an input of the row.
func (o optionRow) Field(name string) string { return fmt.Sprintf("options.%d.%s", o.N, name) }

// ID is the element id of an input of the row.
func (o optionRow) ID(name string) string { return fmt.Sprintf("id=o%d-%s", o.N, name) }

var sampleRow = row{Field: field.Field{ID: 1, Object: field.Customer, Code: "x", Kind: field.Choice, Required: true, Searchable: true, Filterable: true}, Label: "x", Other: "y",
	Types: []string{"customer.type.company"}, Options: 2, First: true}

var (
	listPage = ui.NewPage[listView](files, "list.html").Sample(
		listView{Object: "customer", Tabs: []tab{{"customer", "x", true, 1}}},
		listView{Object: "customer", Used: []row{sampleRow, {Field: field.Field{ID: 2, Kind: field.Text}, Label: "z", Last: true}}, Off: []row{sampleRow}, Max: 200})
	formPage = ui.NewPage[formView](files, "form.html").Sample(
		formView{Form: &web.Form{}, Object: "ticket", Options: []optionRow{{Form: &web.Form{}, First: true, Last: true}}},
		formView{Form: &web.Form{}, Field: sampleRow.Field, Object: "customer", Used: true, Options: []optionRow{{Form: &web.Form{}, Known: true, First: true}, {Form: &web.Form{}, N: 1, Last: true}}})
)

func chrome(r *web.Request, sub string) ui.Chrome {
	c := ui.Chrome{Title: r.T("field.title"), Nav: "fields", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("field.title"), Href: "/admin/fields"}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

// object is the object the address asks for; customers when it names none.
func object(text string) field.Object {
	if o := field.Object(text); slices.Contains(field.Objects, o) {
		return o
	}
	return field.Customer
}

// typeKey is the name of a type of records.
func typeKey(o field.Object, typ string) string {
	if o == field.Ticket {
		return "ticket.type." + typ
	}
	return "customer.type." + typ
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	obj := object(r.URL.Query().Get("object"))
	v := listView{Object: string(obj), Name: r.T("field.object." + string(obj)), Max: field.MaxFields}
	for _, o := range field.Objects {
		fs, err := p.fields.Fields(r.Context(), o)
		if err != nil {
			return err
		}
		t := tab{Object: string(o), Label: r.T("field.object." + string(o)), Current: o == obj}
		for _, f := range fs {
			if f.Active {
				t.Count++
			}
		}
		v.Tabs = append(v.Tabs, t)
		if o != obj {
			continue
		}
		for _, f := range fs {
			x := row{Field: f, Label: f.Label.In(r.Lang)}
			if other := f.Label.En; other != x.Label {
				x.Other = other
			} else if f.Label.Zh != x.Label {
				x.Other = f.Label.Zh
			}
			for _, t := range f.Types {
				x.Types = append(x.Types, typeKey(o, t))
			}
			for _, c := range f.Options {
				if !c.Off {
					x.Options++
				}
			}
			if f.Active {
				x.First = len(v.Used) == 0
				v.Used = append(v.Used, x)
			} else {
				v.Off = append(v.Off, x)
			}
		}
	}
	if n := len(v.Used); n > 0 {
		v.Used[n-1].Last = true
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "fields", v)
	}
	return listPage.Render(w, r, chrome(r, ""), v)
}

// maxRows bounds the options a form draws.
const maxRows = field.MaxOptions

// view completes the form of a field.
func (p *pages) view(r *web.Request, f *web.Form, stored field.Field, obj field.Object) (formView, error) {
	v := formView{Form: f, Field: stored, Object: string(obj), Name: r.T("field.object." + string(obj)), Title: r.T("field.edit.title")}
	if stored.ID == 0 {
		v.Title = title(r, stored, obj)
	}
	for _, k := range field.Kinds {
		v.Kinds = append(v.Kinds, ui.Option{Value: string(k), Label: r.T("field.kind." + string(k))})
	}
	for _, t := range field.Types[obj] {
		v.Types = append(v.Types, ui.Option{Value: t, Label: r.T(typeKey(obj, t))})
	}
	n := min(max(f.Int("options"), 1), maxRows)
	for i := range n {
		o := optionRow{Form: f, N: i, First: i == 0, Last: i == n-1}
		code := f.String(o.Field("code"))
		o.Known = code != "" && slices.ContainsFunc(stored.Options, func(c field.Choosable) bool { return c.Code == code })
		v.Options = append(v.Options, o)
	}
	var err error
	if stored.ID != 0 {
		v.Used, err = p.fields.Used(r.Context(), stored.ID)
	}
	return v, err
}

// title is what the page is about.
func title(r *web.Request, f field.Field, obj field.Object) string {
	if f.ID != 0 {
		return f.Label.In(r.Lang)
	}
	return r.T("field.new.title", r.T("field.object."+string(obj)))
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	obj := object(r.URL.Query().Get("object"))
	f := r.Blank("kind", string(field.Text), "filterable", "1", "options", "3")
	v, err := p.view(r, f, field.Field{}, obj)
	if err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, title(r, field.Field{}, obj)), v)
}

// find returns a field by its id.
func (p *pages) find(r *web.Request, id int64) (field.Field, error) {
	for _, o := range field.Objects {
		fs, err := p.fields.Fields(r.Context(), o)
		if err != nil {
			return field.Field{}, err
		}
		for _, f := range fs {
			if f.ID == id {
				return f, nil
			}
		}
	}
	return field.Field{}, fault.New(fault.NotFound, "field.unknown")
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	s, err := p.find(r, id)
	if err != nil {
		return err
	}
	f := r.Blank("label", s.Label.Zh, "label_en", s.Label.En, "help", s.Help.Zh, "help_en", s.Help.En, "kind", string(s.Kind), "code", s.Code,
		"required", flag(s.Required), "searchable", flag(s.Searchable), "filterable", flag(s.Filterable), "version", strconv.FormatInt(s.Version, 10),
		"options", strconv.Itoa(max(len(s.Options), 1)))
	for _, t := range s.Types {
		f.Values.Add("types", t)
	}
	for i, o := range s.Options {
		at := optionRow{N: i}.Field
		f.Set(at("code"), o.Code).Set(at("zh"), o.Zh).Set(at("en"), o.En).Set(at("off"), flag(o.Off))
	}
	f.Set("default", s.Default)
	if s.Kind == field.Multi || s.Kind == field.Choice { // shown by their names
		var names []string
		for _, c := range strings.Split(s.Default, ",") {
			for _, o := range s.Options {
				if o.Code == c {
					names = append(names, o.Zh)
				}
			}
		}
		f.Set("default", strings.Join(names, ", "))
	}
	v, err := p.view(r, f, s, s.Object)
	if err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, title(r, s, s.Object)), v)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// read turns the form into a field.
func read(f *web.Form, stored field.Field, obj field.Object) field.Field {
	x := field.Field{ID: stored.ID, Object: obj, Version: f.Int64("version"), Code: f.String("code"), Kind: field.Kind(f.Get("kind")),
		Label: field.Words{Zh: f.String("label"), En: f.String("label_en")}, Help: field.Words{Zh: f.String("help"), En: f.String("help_en")},
		Required: f.Bool("required"), Searchable: f.Bool("searchable"), Filterable: f.Bool("filterable"), Types: f.Strings("types"), Default: f.String("default")}
	if x.Kind.Chosen() {
		for i := range min(max(f.Int("options"), 1), maxRows) {
			at := optionRow{N: i}.Field
			x.Options = append(x.Options, field.Choosable{Code: f.String(at("code")), Zh: f.String(at("zh")), En: f.String(at("en")), Off: f.Bool(at("off"))})
		}
	}
	return x
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) error {
	var stored field.Field
	f := r.Input()
	obj := object(f.Get("object"))
	if r.PathValue("id") != "" {
		id, err := r.PathID("id")
		if err != nil {
			return err
		}
		if stored, err = p.find(r, id); err != nil {
			return err
		}
		obj = stored.Object
	}
	in := read(f, stored, obj)
	err := f.Err()
	if err == nil {
		_, err = p.fields.Save(r.Context(), r.Actor, in)
	}
	if err != nil {
		if e, ok := fault.As(err); ok && e.Key == "field.stale" {
			f.Set("version", stored.Version) // saving again is deliberate
		}
		v, viewErr := p.view(r, f, stored, obj)
		if viewErr != nil {
			return viewErr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, title(r, stored, obj)), v)
	}
	r.Flash(w, "green", "field.saved", in.Label.In(r.Lang))
	return r.SeeOther(w, "/admin/fields?object=%s", obj)
}

// options adds, moves or takes away a row of the options while the form is being
// filled in: the rows alone with a script, the whole form without.
func (p *pages) options(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	var stored field.Field
	obj := object(f.Get("object"))
	if id := f.Int64("field"); id != 0 {
		var err error
		if stored, err = p.find(r, id); err != nil {
			return err
		}
		obj = stored.Object
	}
	if err := f.Err(); err != nil {
		return err
	}
	n := min(max(f.Int("options"), 1), maxRows)
	do, at, _ := strings.Cut(r.URL.Query().Get("do"), ".")
	i, err := strconv.Atoi(at)
	switch {
	case do == "add":
		n = min(n+1, maxRows)
	case err != nil || i < 0 || i >= n:
	case do == "up" && i > 0:
		swap(f, i, i-1)
	case do == "down" && i < n-1:
		swap(f, i, i+1)
	case do == "remove" && n > 1:
		for ; i < n-1; i++ {
			swap(f, i, i+1)
		}
		for _, name := range []string{"code", "zh", "en", "off"} {
			f.Values.Del(optionRow{N: n - 1}.Field(name))
		}
		n--
	}
	f.Set("options", n)
	v, err := p.view(r, f, stored, obj)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return formPage.Fragment(w, r, "options", v)
	}
	return formPage.Render(w, r, chrome(r, title(r, stored, obj)), v)
}

func swap(f *web.Form, i, j int) {
	for _, name := range []string{"code", "zh", "en", "off"} {
		a, b := optionRow{N: i}.Field(name), optionRow{N: j}.Field(name)
		x, y := f.Get(a), f.Get(b)
		f.Set(a, y).Set(b, x)
	}
}

// back leads to the list the field is in.
func (p *pages) back(w http.ResponseWriter, r *web.Request, id int64) error {
	f, err := p.find(r, id)
	if err != nil {
		return err
	}
	return r.SeeOther(w, "/admin/fields?object=%s#d%d", f.Object, id)
}

func (p *pages) shift(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.fields.Shift(r.Context(), r.Actor, id, r.Input().Get("to") == "up"); err != nil {
		return err
	}
	return p.back(w, r, id)
}

func (p *pages) deactivate(w http.ResponseWriter, r *web.Request) error {
	return p.setActive(w, r, false)
}
func (p *pages) reactivate(w http.ResponseWriter, r *web.Request) error {
	return p.setActive(w, r, true)
}

func (p *pages) setActive(w http.ResponseWriter, r *web.Request, active bool) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.fields.SetActive(r.Context(), r.Actor, id, active); err != nil {
		return err
	}
	f, err := p.find(r, id)
	if err != nil {
		return err
	}
	key := "field.switched_off"
	if active {
		key = "field.switched_on"
	}
	r.Flash(w, "green", key, f.Label.In(r.Lang))
	return p.back(w, r, id)
}

// colleagues answers inputs that look for a colleague.
func (p *pages) colleagues(w http.ResponseWriter, r *web.Request) error {
	people, err := p.people.Colleagues(r.Context(), r.Actor, r.URL.Query().Get("q"), 0, "", 12)
	if err != nil {
		return err
	}
	type item struct {
		ID    int64  `json:"id"`
		Label string `json:"label"`
		Note  string `json:"note"`
	}
	out := make([]item, len(people))
	for i, x := range people {
		out[i] = item{x.ID, x.Name, x.Department}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}
