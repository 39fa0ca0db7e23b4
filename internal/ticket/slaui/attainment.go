package slaui

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/sheet"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	attainmentView struct {
		Form        *web.Form
		Groups      []ui.Option
		Departments []ui.Option
		Policies    []ui.Option
		Channels    []ui.Option
		By          sla.Group
		Kinds       []sla.Kind
		Rows        []rateRow
		Total       rateRow
	}
	rateRow struct {
		Name  string
		At    time.Time // of a day
		Cells []rate
		All   rate
	}
	rate struct {
		N, Met    int
		Percent   float64 // of 1, as all of them
		First     float64 // as if nothing had been deferred
		Deferred  bool    // the two differ
		Low, High float64
		Few       bool
		Href      string // the list behind it; "" of all kinds together
	}
	resultsView struct {
		Title string
		Tabs  []pick
		Rows  []resultRow
		Pager ui.Pager
		Back  string
	}
	resultRow struct {
		sla.Result
		Number, Title    string // "" out of the reader's sight
		Person, Division string
		Over             time.Duration // by how much it was missed; 0: met
	}
)

var (
	aRate          = rate{N: 9, Met: 8, Percent: .889, First: .778, Deferred: true, Low: .56, High: .98, Few: true, Href: "/x"}
	attainmentPage = ui.NewPage[attainmentView](files, "attainment.html").Sample(attainmentView{Form: &web.Form{}, By: sla.ByDay, Kinds: sla.Reported[:1],
		Rows: []rateRow{{Name: "n", At: time.Unix(1, 0), Cells: []rate{aRate}, All: aRate}, {Name: "n", Cells: []rate{{}}}}, Total: rateRow{Cells: []rate{aRate}, All: aRate}},
		attainmentView{Form: &web.Form{}, By: sla.ByPerson})
	resultsPage = ui.NewPage[resultsView](files, "results.html").Sample(resultsView{Title: "t", Back: "/x", Tabs: []pick{{"a", "/x", true}}, Pager: ui.Pager{Next: "/x"},
		Rows: []resultRow{{Result: sla.Result{At: time.Unix(1, 0), Kind: sla.Update, Channel: "phone", Target: time.Hour}, Number: "T1", Title: "t", Person: "p", Division: "d", Over: time.Minute}, {Result: sla.Result{Kind: sla.Update, Met: true, Channel: "phone"}}}})
)

// filter reads what the address says; without a period it is this month.
func filter(r *web.Request, f *web.Form) (sla.ReportFilter, sla.Group) {
	q := sla.ReportFilter{From: f.Date("from"), To: f.Date("to"), Kind: sla.Kind(f.String("kind")), Department: f.ID("department"), Assignee: f.ID("assignee"), Policy: f.String("policy"), Channel: f.String("channel")}
	now := r.Now().In(r.Location())
	if q.From.IsZero() {
		q.From = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, r.Location())
		f.Set("from", q.From.Format(time.DateOnly))
	}
	if q.To.IsZero() {
		q.To = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, r.Location())
		f.Set("to", q.To.Format(time.DateOnly))
	}
	q.To = q.To.AddDate(0, 0, 1)
	by := sla.Group(f.String("by"))
	if !slices.Contains(sla.Groups, by) {
		by = sla.ByDepartment
		f.Set("by", string(by))
	}
	return q, by
}

func (p *pages) attainmentView(r *web.Request, f *web.Form) (v attainmentView, err error) {
	ctx, sc := r.Context(), authz.For(r.Actor, sla.PermReport)
	q, by := filter(r, f)
	v = attainmentView{Form: f, By: by, Kinds: sla.Reported}
	for _, g := range sla.Groups {
		v.Groups = append(v.Groups, ui.Option{Value: string(g), Label: r.T("sla.report.by." + string(g))})
	}
	if v.Departments, err = p.departments(r, func(id int64) bool { return sc.Everything() || slices.Contains(sc.Departments(), id) }); err != nil {
		return v, err
	}
	names, err := p.clocks.PolicyNames(ctx)
	if err != nil {
		return v, err
	}
	for _, n := range names {
		v.Policies = append(v.Policies, ui.Option{Value: n, Label: n})
	}
	for _, c := range ticket.Channels {
		v.Channels = append(v.Channels, ui.Option{Value: c, Label: r.T("ticket.channel." + c)})
	}
	if err := f.Err(); err != nil {
		return v, err
	}
	rows, total, err := p.clocks.Report(ctx, sc, by, q)
	if err != nil {
		return v, err
	}
	user, department, err := p.org.Names(ctx)
	if err != nil {
		return v, err
	}
	show := func(x sla.ReportRow, whole bool) rateRow {
		row := rateRow{Name: x.Name}
		set := map[string]string{"from": f.Get("from"), "to": f.Get("to"), "department": f.Get("department"), "assignee": f.Get("assignee"), "policy": q.Policy, "channel": q.Channel}
		switch {
		case whole:
			row.Name = r.T("sla.report.total")
		case by == sla.ByDepartment:
			row.Name, set["department"] = department(x.ID), id(x.ID)
		case by == sla.ByPerson:
			row.Name, set["assignee"] = user(x.ID), id(x.ID)
			if x.ID == 0 {
				row.Name, set["assignee"] = r.T("ticket.unassigned"), ""
			}
		case by == sla.ByPolicy:
			set["policy"] = x.Name
		case by == sla.ByChannel:
			row.Name, set["channel"] = r.T("ticket.channel."+x.Name), x.Name
		case by == sla.ByDay:
			row.At = time.Unix(x.ID*86400, 0).UTC()
			day := row.At.Format(time.DateOnly)
			row.At = time.Date(row.At.Year(), row.At.Month(), row.At.Day(), 0, 0, 0, 0, r.Location())
			row.Name, set["from"], set["to"] = day, day, day
		}
		cell := func(fig sla.Figure, k sla.Kind) rate {
			c := rate{N: fig.N(), Met: fig.Met, First: fig.FirstRate(), Few: fig.N() < sla.Few, Deferred: fig.First != fig.Met}
			c.Percent, _ = fig.Rate()
			c.Low, c.High = fig.Wilson()
			c.Percent, c.First, c.Low, c.High = c.Percent/100, c.First/100, c.Low/100, c.High/100
			if k != "" && c.N > 0 && (by != sla.ByPerson || x.ID != 0 || whole) {
				how := "missed"
				if fig.Missed == 0 {
					how = ""
				}
				c.Href = address("/sla/attainment/list", "kind", string(k), "how", how, "from", set["from"], "to", set["to"], "department", set["department"], "assignee", set["assignee"], "policy", set["policy"], "channel", set["channel"])
			}
			return c
		}
		for _, k := range sla.Reported {
			row.Cells = append(row.Cells, cell(x.Kinds[k], k))
		}
		row.All = cell(x.All, "")
		return row
	}
	for _, x := range rows {
		v.Rows = append(v.Rows, show(x, false))
	}
	v.Total = show(total, true)
	return v, nil
}

func (p *pages) attainment(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, err := p.attainmentView(r, f)
	c := chrome(r, "sla-attainment", r.T("sla.report.title"))
	if err != nil {
		return attainmentPage.Invalid(w, r, err, f, c, v)
	}
	if r.IsFragment() && r.Target() == "rows" {
		return attainmentPage.Fragment(w, r, "rows", v)
	}
	return attainmentPage.Render(w, r, c, v)
}

// listPage is how many promises a page of the list has.
const listPage = 50

// results are the promises behind a figure.
func (p *pages) results(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q, _ := filter(r, f)
	if err := f.Err(); err != nil {
		return err
	}
	how := f.Choice("how", "", "met", "missed")
	rows, next, err := p.clocks.Results(r.Context(), authz.For(r.Actor, sla.PermReport), q, how, f.Get("after"), listPage)
	if err != nil {
		return err
	}
	v := resultsView{Title: r.T("sla.clock." + string(q.Kind)), Back: address("/sla/attainment", "from", f.Get("from"), "to", f.Get("to"), "policy", q.Policy, "channel", q.Channel, "department", id(q.Department))}
	link := func(how, after string) string {
		return address("/sla/attainment/list", "kind", string(q.Kind), "how", how, "from", f.Get("from"), "to", f.Get("to"), "department", id(q.Department), "assignee", id(q.Assignee), "policy", q.Policy, "channel", q.Channel, "after", after)
	}
	for _, h := range []string{"missed", "met", ""} {
		v.Tabs = append(v.Tabs, pick{r.T("sla.report.how." + h), link(h, ""), h == how})
	}
	if next != "" {
		v.Pager.Next = link(how, next)
	}
	if f.Get("after") != "" {
		v.Pager.Prev = link(how, "")
	}
	if v.Rows, err = p.resultRows(r, rows); err != nil {
		return err
	}
	c := chrome(r, "sla-attainment", v.Title)
	c.Crumbs = []ui.Crumb{{Label: r.T("sla.report.title"), Href: v.Back}, {Label: v.Title}}
	return resultsPage.Render(w, r, c, v)
}

func (p *pages) resultRows(r *web.Request, rows []sla.Result) ([]resultRow, error) {
	user, department, err := p.org.Names(r.Context())
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(rows))
	for i, x := range rows {
		ids[i] = x.TicketID
	}
	refs, err := p.tickets.TicketRefs(r.Context(), r.Actor, ids)
	if err != nil {
		return nil, err
	}
	out := make([]resultRow, len(rows))
	for i, x := range rows {
		out[i] = resultRow{Result: x, Number: refs[x.TicketID].Number, Title: refs[x.TicketID].Title, Person: user(x.Assignee), Division: department(x.Department)}
		if !x.Met {
			out[i].Over = max(time.Minute, x.Used-x.Target)
		}
	}
	return out, nil
}

// maxExport bounds the promises in one workbook.
const maxExport = 50_000

// export writes the report and, behind it, the promises of each kind.
func (p *pages) export(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, err := p.attainmentView(r, f)
	c := chrome(r, "sla-attainment", r.T("sla.report.title"))
	if err != nil {
		return attainmentPage.Invalid(w, r, err, f, c, v)
	}
	if err := p.clocks.NoteExport(r.Context(), r.Actor, f.Get("from"), f.Get("to")); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
	w.Header().Set("Content-Disposition", `attachment; filename="sla-`+f.Get("from")+`-`+f.Get("to")+`.xlsx"`)
	w.Header().Set("Cache-Control", "no-store")
	return p.write(r, w, f, v)
}

func (p *pages) write(r *web.Request, to io.Writer, f *web.Form, v attainmentView) error {
	out, err := sheet.NewWriter(to, sheet.XLSX, r.T("sla.report.title"))
	if err != nil {
		return err
	}
	head := []string{r.T("sla.report.by." + string(v.By))}
	for _, k := range append([]string{r.T("sla.report.all")}, kindNames(r)...) {
		head = append(head, k+" "+r.T("sla.report.percent"), k+" "+r.T("sla.report.met"), k+" "+r.T("sla.report.n"))
	}
	if err := out.Header(head...); err != nil {
		return err
	}
	for _, row := range append(slices.Clone(v.Rows), v.Total) {
		values := []any{row.Name}
		for _, x := range append([]rate{row.All}, row.Cells...) {
			if x.N == 0 {
				values = append(values, nil, 0, 0)
				continue
			}
			values = append(values, fmt.Sprintf("%.1f", 100*x.Percent), x.Met, x.N)
		}
		if err := out.Row(values...); err != nil {
			return err
		}
	}
	if err := out.Sheet(r.T("sla.report.list")); err != nil {
		return err
	}
	if err := out.Header(r.T("ticket.attr.number"), r.T("sla.report.clock"), r.T("sla.report.at"), r.T("sla.report.by.policy"), r.T("sla.report.by.department"), r.T("sla.report.by.person"), r.T("sla.report.by.channel"),
		r.T("sla.report.result"), r.T("sla.report.first"), r.T("sla.report.used"), r.T("sla.report.target")); err != nil {
		return err
	}
	q, _ := filter(r, f)
	sc, n := authz.For(r.Actor, sla.PermReport), 0
	for _, k := range sla.Reported {
		q.Kind = k
		for after := ""; n < maxExport; {
			part, next, err := p.clocks.Results(r.Context(), sc, q, "", after, 200)
			if err != nil {
				return err
			}
			rows, err := p.resultRows(r, part)
			if err != nil {
				return err
			}
			for _, x := range rows {
				n++
				if err := out.Row(x.Number, r.T("sla.clock."+string(x.Kind)), x.At.In(r.Location()), x.Policy, x.Division, x.Person, r.T("ticket.channel."+x.Channel),
					r.T("sla.report.how."+map[bool]string{true: "met", false: "missed"}[x.Met]), r.T("sla.report.how."+map[bool]string{true: "met", false: "missed"}[x.MetFirst]),
					int64(x.Used/time.Minute), int64(x.Target/time.Minute)); err != nil {
					return err
				}
			}
			if after = next; next == "" {
				break
			}
		}
	}
	if n >= maxExport {
		if err := out.Row(r.T("sla.report.cut", strconv.Itoa(maxExport))); err != nil {
			return err
		}
	}
	return out.Close()
}

func kindNames(r *web.Request) (out []string) {
	for _, k := range sla.Reported {
		out = append(out, r.T("sla.clock."+string(k)))
	}
	return out
}
