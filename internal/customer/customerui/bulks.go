package customerui

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/sheet"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// The colours of states.
var _ = []struct{}{ui.SetTone("list.running", "blue"), ui.SetTone("list.waiting", "amber"), ui.SetTone("list.finished", "green"), ui.SetTone("list.failed", "red"), ui.SetTone("list.refused", "red"),
	ui.SetTone("list.cancelled", "gray"), ui.SetTone("list.expired", "gray"), ui.SetTone("list.forbidden", "amber"), ui.SetTone("list.hidden", "gray"), ui.SetTone("list.asked", "violet")}

// Bulk changes.

type newBulkView struct {
	Form                        *web.Form
	IDs                         []int64
	All                         bool
	Filter                      string
	Says                        []string
	Count                       string
	Back                        string
	Kinds, Tags, Owners, Levels []ui.Option
}

type bulkView struct {
	customer.Bulk
	Lang  i18n.Lang
	Says  string // what is changed
	Lines []customer.BulkLine
	More  string
	Back  string
	Asked *customer.LevelBatch // what waits for approval, or did
}

// Say is the reason of a line.
func (v bulkView) Say(l customer.BulkLine) string { return l.Say(v.Lang) }

func sampleBulk(state string) customer.Bulk {
	return customer.Bulk{ID: 3, State: state, Total: 9, Counts: customer.BulkCounts{Done: 4, Changed: 1, Same: 1, Asked: 1, Forbidden: 1, Failed: 1}, CreatedAt: time.Unix(1.7e9, 0), Change: customer.BulkChange{Reason: "x"}}
}

var (
	newBulkPage = ui.NewPage[newBulkView](files, "newbulk.html").Sample(newBulkView{IDs: []int64{1, 2}, Count: "2", Kinds: []ui.Option{{Value: "tag", Label: "x"}, {Value: "owner", Label: "y"}}}, newBulkView{All: true, Says: []string{"x"}, Count: "999+"})
	bulkPage    = ui.NewPage[bulkView](files, "bulk.html").Sample(bulkView{Bulk: sampleBulk("running"), Says: "x"}, bulkView{Bulk: sampleBulk("finished"), Says: "x", Back: "/x", More: "/x",
		Lines: []customer.BulkLine{{CustomerID: 1, Number: "C1", Name: "x", Outcome: customer.OutcomeForbidden}, {CustomerID: 2, Outcome: customer.OutcomeHidden}, {CustomerID: 3, Outcome: customer.OutcomeAsked, Number: "C2", Name: "y"}, {CustomerID: 4, Outcome: customer.OutcomeFailed}}},
		bulkView{Bulk: sampleBulk("failed"), Asked: &customer.LevelBatch{ID: 3, State: "asked"}}, bulkView{Bulk: sampleBulk("cancelled")})
)

func (p *pages) bulkForm(r *web.Request, f *web.Form) (v newBulkView, q customer.Query, err error) {
	v = newBulkView{Form: f, All: f.Bool("all"), Filter: f.String("filter"), Back: web.SafeNext(f.Get("back"), "/customers")}
	if v.All {
		if q, err = customer.ParseQuery(v.Filter); err != nil {
			return v, q, err
		}
		if v.Says, err = p.says(r, q); err != nil {
			return v, q, err
		}
		n, err := p.Customers.Counts(r.Context(), r.Actor, []customer.Filter{{Query: q}})
		if err != nil {
			return v, q, err
		}
		v.Count = counted(n[0])
	} else {
		v.IDs = f.IDs("id")
		v.Count = strconv.Itoa(len(v.IDs))
	}
	if r.Actor.Can(customer.PermTag) {
		v.Kinds = append(v.Kinds, ui.Option{Value: "tag", Label: r.T("customer.bulk.add")}, ui.Option{Value: "untag", Label: r.T("customer.bulk.remove")})
	}
	if r.Actor.Can(customer.PermEdit) {
		v.Kinds = append(v.Kinds, ui.Option{Value: "owner", Label: r.T("customer.bulk.owner")}, ui.Option{Value: "level", Label: r.T("customer.bulk.level")})
	}
	if len(v.Kinds) == 0 {
		return v, q, r.Actor.Check(customer.PermTag)
	}
	if !f.Has("kind") {
		f.Set("kind", v.Kinds[0].Value)
	}
	if v.Tags, err = p.tagOptions(r); err != nil {
		return v, q, err
	}
	if v.Owners, err = p.owners(r); err != nil {
		return v, q, err
	}
	v.Owners = append([]ui.Option{{Value: "-1", Label: r.T("customer.owner.none")}}, v.Owners...)
	v.Levels = options(r, "customer.level.", customer.Levels)
	return v, q, nil
}

func (p *pages) newBulk(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, _, err := p.bulkForm(r, f)
	if err != nil {
		return err
	}
	if !v.All && len(v.IDs) == 0 {
		r.Flash(w, "red", "customer.flash.sentence", r.T("customer.tag.none_selected"))
		return r.SeeOther(w, "%s", v.Back)
	}
	return newBulkPage.Render(w, r, listChrome(r, r.T("customer.bulk.title")), v)
}

func (p *pages) startBulk(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, q, err := p.bulkForm(r, f)
	if err != nil {
		return err
	}
	c := customer.BulkChange{Reason: f.String("reason")}
	tag := f.ID("tag")
	switch f.String("kind") {
	case "tag":
		if tag != 0 {
			c.AddTags = []int64{tag}
		}
	case "untag":
		if tag != 0 {
			c.RemoveTags = []int64{tag}
		}
	case "owner":
		c.SetOwner = true
		n := f.Int64("owner")
		if n == 0 {
			f.Fail("owner", "customer.bulk.owner.choose")
		}
		c.OwnerID = max(n, 0)
	case "level":
		if c.Level = customer.Level(f.String("level")); c.Level == "" {
			f.Fail("level", "customer.level.unknown")
		}
	}
	sel := customer.Selection{IDs: v.IDs}
	if v.All {
		sel = customer.Selection{Filter: &customer.Filter{Query: q}}
	}
	var b customer.Bulk
	if err = f.Err(); err == nil {
		b, err = p.Customers.Change(r.Context(), r.Actor, sel, c)
	}
	if err != nil {
		return newBulkPage.Invalid(w, r, err, f, listChrome(r, r.T("customer.bulk.title")), v)
	}
	if !b.Running() && b.Counts.Changed+b.Counts.Same == b.Total {
		r.Flash(w, "green", "customer.bulk.done", b.Counts.Changed)
		return r.SeeOther(w, "%s", v.Back)
	}
	return r.SeeOther(w, "/customer-bulks/%d?%s", b.ID, url.Values{"back": {v.Back}}.Encode())
}

const bulkPageLines = 50

func (p *pages) bulk(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	b, err := p.Customers.Bulk(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	f := r.Input()
	v := bulkView{Bulk: b, Lang: r.Lang, Back: web.SafeNext(f.Get("back"), "/customers")}
	names, err := p.names(r)
	if err != nil {
		return err
	}
	switch c := b.Change; c.Kind() {
	case "owner":
		to := r.T("customer.owner.none")
		if c.OwnerID != 0 {
			to = names(customer.KindUser, id(c.OwnerID))
		}
		v.Says = r.T("customer.bulk.says.owner", to)
	case "level":
		v.Says = r.T("customer.bulk.says.level", r.T("customer.level."+string(c.Level)))
	case "untag":
		v.Says = r.T("customer.bulk.says.untag", names(customer.KindTag, id(c.RemoveTags[0])))
	case "tag":
		v.Says = r.T("customer.bulk.says.tag", names(customer.KindTag, id(c.AddTags[0])))
	}
	if b.Counts.Asked > 0 {
		if x, ok, err := p.Customers.LevelsOf(r.Context(), customer.LevelsOfBulk, n); err != nil {
			return err
		} else if ok {
			v.Asked = &x
		}
	}
	if !b.Running() {
		after := number(f.String("after"))
		if v.Lines, err = p.Customers.BulkLines(r.Context(), r.Actor, n, after, bulkPageLines+1); err != nil {
			return err
		}
		if len(v.Lines) > bulkPageLines {
			v.Lines = v.Lines[:bulkPageLines]
			v.More = "/customer-bulks/" + id(n) + "?" + url.Values{"back": {v.Back}, "after": {id(v.Lines[bulkPageLines-1].CustomerID)}}.Encode()
		}
	}
	if r.IsFragment() && r.Target() == "bulk" {
		return bulkPage.Fragment(w, r, "result", v)
	}
	return bulkPage.Render(w, r, listChrome(r, r.T("customer.bulk.title")), v)
}

func (p *pages) cancelBulk(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.CancelBulk(r.Context(), r.Actor, n); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return r.SeeOther(w, "/customer-bulks/%d", n)
}

// Exports.

type newExportView struct {
	Form     *web.Form
	Filter   string
	Says     []string
	Count    int
	Limit    int64
	Asks     bool // somebody has to consent
	Columns  []ui.Option
	Formats  []ui.Option
	CanClear bool
	Back     string
}

type exportsView struct {
	Rows  []customer.Export
	Pager ui.Pager
}

type exportView struct {
	customer.Export
	Says []string
	Size string
	Back string
}

func sampleExport(state string) customer.Export {
	return customer.Export{ID: 3, State: state, Name: "x.xlsx", Format: sheet.XLSX, Total: 9, Done: 3, Revealed: 2, Clear: true, Reason: "x", Downloads: 1, CreatedAt: time.Unix(1.7e9, 0), FinishedAt: time.Unix(1.7e9, 0), ExpiresAt: time.Unix(1.7e9, 0)}
}

var (
	newExportPage = ui.NewPage[newExportView](files, "newexport.html").Sample(newExportView{Says: []string{"x"}, Count: 7000, Limit: 5000, Asks: true, CanClear: true, Columns: []ui.Option{{Value: "name", Label: "x"}}, Formats: []ui.Option{{Value: "xlsx", Label: "x"}}}, newExportView{})
	exportsPage   = ui.NewPage[exportsView](files, "exports.html").Sample(exportsView{Rows: []customer.Export{sampleExport("finished"), sampleExport("waiting"), sampleExport("running")}, Pager: ui.Pager{Next: "/x"}}, exportsView{})
	exportPage    = ui.NewPage[exportView](files, "export.html").Sample(exportView{Export: sampleExport("running"), Says: []string{"x"}}, exportView{Export: sampleExport("waiting")}, exportView{Export: sampleExport("finished"), Size: "1 MB"},
		exportView{Export: sampleExport("failed")}, exportView{Export: sampleExport("refused")}, exportView{Export: sampleExport("expired")}, exportView{Export: sampleExport("cancelled")})
)

func (p *pages) exportForm(r *web.Request, f *web.Form, q customer.Query, columns []string) (v newExportView, err error) {
	v = newExportView{Form: f, Filter: filterText(q), CanClear: r.Actor.Can(customer.PermReveal), Back: web.SafeNext(f.Get("back"), "/customers"),
		Formats: []ui.Option{{Value: "xlsx", Label: r.T("customer.export.xlsx")}, {Value: "csv", Label: r.T("customer.export.csv")}}}
	if v.Says, err = p.says(r, q); err != nil {
		return v, err
	}
	if v.Count, err = p.Customers.ExportCount(r.Context(), r.Actor, customer.Filter{Query: q}); err != nil {
		return v, err
	}
	if v.Limit, err = p.Customers.ExportLimit(r.Context()); err != nil {
		return v, err
	}
	v.Asks = v.Limit > 0 && int64(v.Count) > v.Limit
	all, err := p.Customers.Columns(r.Context(), r.Lang)
	if err != nil {
		return v, err
	}
	// The chosen ones come first, in their order.
	add := func(c customer.Column) {
		o := ui.Option{Value: c.Code, Label: c.Label}
		if c.Sensitive {
			o.Label += r.T("customer.export.sensitive")
		}
		v.Columns = append(v.Columns, o)
	}
	for _, code := range columns {
		if i := slices.IndexFunc(all, func(c customer.Column) bool { return c.Code == code }); i >= 0 {
			add(all[i])
		}
	}
	for _, c := range all {
		if !slices.Contains(columns, c.Code) {
			add(c)
		}
	}
	return v, nil
}

func (p *pages) newExport(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st, err := p.listState(r, f)
	if err != nil {
		return err
	}
	columns := slices.Clone(customer.DefaultExport)
	for _, c := range st.columns {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	form := r.Blank("format", "xlsx", "back", st.href("/customers"))
	for _, c := range columns {
		form.Values.Add("columns", c)
	}
	v, err := p.exportForm(r, form, st.filter.Whole(), columns)
	if err != nil {
		return err
	}
	return newExportPage.Render(w, r, exportChrome(r, r.T("customer.export.new")), v)
}

func exportChrome(r *web.Request, title string) ui.Chrome {
	return listChrome(r, title, ui.Crumb{Label: r.T("customer.exports"), Href: "/customer-exports"})
}

func (p *pages) startExport(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q, err := customer.ParseQuery(f.String("filter"))
	if err != nil {
		return err
	}
	columns := f.Strings("columns")
	if len(columns) == 0 {
		f.Fail("columns", "customer.export.columns.none")
	}
	var e customer.Export
	if err = f.Err(); err == nil {
		e, err = p.Customers.AskExport(r.Context(), r.Actor, customer.NewExport{Filter: customer.Filter{Query: q}, Columns: columns, Format: sheet.Format(f.String("format")), Clear: f.Bool("clear"), Reason: f.String("reason")})
	}
	if err != nil {
		v, ferr := p.exportForm(r, f, q, columns)
		if ferr != nil {
			return ferr
		}
		return newExportPage.Invalid(w, r, err, f, exportChrome(r, r.T("customer.export.new")), v)
	}
	return r.SeeOther(w, "/customer-exports/%d", e.ID)
}

func (p *pages) exports(w http.ResponseWriter, r *web.Request) error {
	before := number(r.Input().String("before"))
	const n = 20
	rows, err := p.Customers.Exports(r.Context(), r.Actor, before, n+1)
	if err != nil {
		return err
	}
	v := exportsView{Rows: rows}
	if len(rows) > n {
		v.Rows = rows[:n]
		v.Pager.Next = "/customer-exports?before=" + id(rows[n-1].ID)
	}
	if before > 0 {
		v.Pager.Prev = "/customer-exports"
	}
	return exportsPage.Render(w, r, listChrome(r, r.T("customer.exports")), v)
}

func (p *pages) export(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	e, err := p.Customers.Export(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	v := exportView{Export: e, Size: blob.Size(e.Size), Back: "/customers"}
	if v.Says, err = p.says(r, e.Query); err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "export" {
		return exportPage.Fragment(w, r, "state", v)
	}
	return exportPage.Render(w, r, exportChrome(r, e.Name), v)
}

func (p *pages) cancelExport(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.CancelExport(r.Context(), r.Actor, n); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return r.SeeOther(w, "/customer-exports/%d", n)
}

func (p *pages) exportFile(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f, content, err := p.Customers.OpenExport(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	defer content.Close()
	blob.Serve(w, r.Request, f, content, false)
	return nil
}
