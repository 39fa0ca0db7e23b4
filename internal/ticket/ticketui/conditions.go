package ticketui

import (
	"io"
	"net/http"
	"net/url"
	"slices"

	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/fault"
	table "bihuan/internal/sheet"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// filterText is a query as addresses carry it.
func filterText(q customer.Query) string {
	if s := q.String(); s != "" {
		return s
	}
	return "{}"
}

// conditions are those of the address, else those of the view; what cannot be
// used is said at the filter and left out.
func (p *pages) conditions(r *web.Request, f *web.Form, s selection) (customer.Query, error) {
	if !f.Has("filter") {
		return s.filter.Query, nil
	}
	q, err := customer.ParseQuery(f.String("filter"))
	if err == nil && !q.Empty() {
		err = p.Tickets.CheckQuery(r.Context(), r.Actor, q)
	}
	if fault.Is(err, fault.Invalid) {
		f.Explain(err)
		return customer.Query{}, nil
	}
	return q, err
}

// names says who and what is meant by the ids in conditions.
func (p *pages) names(r *web.Request) (func(kind customer.AttrKind, v string) string, error) {
	user, department, err := p.Org.Names(r.Context())
	if err != nil {
		return nil, err
	}
	return func(kind customer.AttrKind, v string) string {
		switch n := number(v); kind {
		case customer.KindUser:
			return user(n)
		case customer.KindDepartment:
			return department(n)
		case customer.KindTag:
			if tags, _ := p.chips(r.Context(), ticket.Tags("").With([]int64{n}, nil)); len(tags) > 0 {
				return tags[0].Name
			}
		case customer.KindCustomer:
			if c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n); err == nil {
				return c.Name
			}
		}
		return ""
	}, nil
}

// says are conditions in words, one for each member of the first group.
func (p *pages) says(r *web.Request, q customer.Query) (out []string, err error) {
	if q.Empty() {
		return nil, nil
	}
	attrs, err := p.Tickets.Attrs(r.Context(), r.Lang)
	if err != nil {
		return nil, err
	}
	names, err := p.names(r)
	if err != nil {
		return nil, err
	}
	members := q.All
	if members == nil {
		members = []customer.Node{q.Node}
	}
	for _, m := range members {
		if s := customer.WordsOf(r.Lang, attrs, customer.AllOf(m), names); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

// filterPage is where the conditions of a list are put together (TKT-18).
func (p *pages) filterPage(w http.ResponseWriter, r *web.Request) error {
	kept := append([]string{"view", "saved", "q", "sort"}, narrowing...)
	return customerui.Builder{Action: "/tickets/filter", Fit: "ticket.query.fit", Kept: kept, Groups: ticket.AttrGroups, Group: "ticket.attr.group.",
		Attrs: func(r *web.Request) ([]customer.Attr, error) { return p.Tickets.Attrs(r.Context(), r.Lang) },
		Begin: func(r *web.Request, f *web.Form) (customer.Query, error) {
			s, err := p.selection(r, f)
			return s.filter.Query, err
		},
		Check: func(r *web.Request, q customer.Query) error { return p.Tickets.CheckQuery(r.Context(), r.Actor, q) },
		Count: func(r *web.Request, q customer.Query) (string, error) {
			f := ticket.Filter{View: "all", Query: q}
			if s, err := p.selected(r); err == nil {
				f.View = s.view
			}
			if !f.Confined() {
				return "", nil // it would be looked for in all there ever were
			}
			n, err := p.Tickets.Counts(r.Context(), ticket.View(r.Actor), []ticket.Filter{f})
			if err != nil {
				return "", err
			}
			return bounded(n[0]), nil
		},
		Names: p.names,
		Options: func(r *web.Request, a customer.Attr) (out []ui.Option, err error) {
			switch a.Kind {
			case customer.KindUser:
				if out, err = p.people(r, r.Actor.DepartmentID, ""); err != nil {
					return nil, err
				}
				return append([]ui.Option{{Value: customer.Me, Label: r.T("customer.query.me")}}, out...), nil
			case customer.KindDepartment:
				return p.departments(r, id)
			case customer.KindTag:
				return p.tagOptions(r)
			}
			return nil, nil
		},
		Back: func(f *web.Form, q *customer.Query) string {
			v := url.Values{}
			for _, k := range kept {
				if s := f.String(k); s != "" {
					v.Set(k, s)
				}
			}
			if q != nil {
				v.Set("filter", filterText(*q))
			} else if s := f.String("filter"); s != "" {
				v.Set("filter", s)
			}
			return address("/tickets", v)
		},
		Chrome: func(r *web.Request) ui.Chrome {
			c := sheet(r, r.T("customer.query.title"))
			c.Assets = append(c.Assets, "list.css")
			return c
		},
	}.Serve(w, r)
}

// exportView is the form of an export.
type exportView struct {
	Form             *web.Form
	From, Back       string
	Title            string
	Says             []string
	Columns, Formats []ui.Option
}

var exportPage = ui.NewPage[exportView](files, "export.html").Sample(exportView{Title: "x", Says: []string{"x"}, Columns: []ui.Option{{Value: "number", Label: "x"}}, Formats: []ui.Option{{Value: "xlsx", Label: "x"}}}, exportView{})

func (p *pages) exportForm(r *web.Request, f *web.Form, s selection) (v exportView, err error) {
	v = exportView{Form: f, From: address("/tickets", s.keep), Back: address("/tickets", s.keep), Title: s.name,
		Formats: []ui.Option{{Value: "xlsx", Label: r.T("customer.export.xlsx")}, {Value: "csv", Label: r.T("customer.export.csv")}}}
	if v.Says, err = p.says(r, s.filter.Query); err != nil {
		return v, err
	}
	cs, err := p.Tickets.Columns(r.Context(), r.Lang)
	for _, c := range cs {
		v.Columns = append(v.Columns, ui.Option{Value: c.Code, Label: c.Label})
	}
	return v, err
}

func (p *pages) showExport(w http.ResponseWriter, r *web.Request) error {
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	f := r.Blank("format", "xlsx")
	v, err := p.exportForm(r, f, s)
	if err != nil {
		return err
	}
	f.Values["columns"] = slices.Clone(ticket.DefaultExport)
	for _, c := range s.columns {
		if !slices.Contains(ticket.DefaultExport, c) {
			f.Values.Add("columns", c)
		}
	}
	return exportPage.Render(w, r, sheet(r, r.T("ticket.export.title")), v)
}

// export sends the table when it is complete and on record.
func (p *pages) export(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	from, err := url.Parse(web.SafeNext(f.Get("from"), "/tickets"))
	if err != nil {
		return ui.NoSuchPage()
	}
	g := r.Blank()
	g.Values = from.Query()
	s, err := p.selection(r, g)
	if err != nil {
		return err
	}
	format := table.Format(f.Choice("format", string(table.XLSX), string(table.CSV)))
	var file blob.File
	var content io.ReadSeekCloser
	if err = f.Err(); err == nil {
		s.filter.After = ""
		file, content, err = p.Tickets.ExportFile(r.Context(), r.Actor, s.filter, f.Strings("columns"), format)
	}
	if err != nil {
		v, verr := p.exportForm(r, f, s)
		if verr != nil {
			return verr
		}
		return exportPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.export.title")), v)
	}
	defer content.Close()
	blob.Serve(w, r.Request, file, content, false)
	return nil
}
