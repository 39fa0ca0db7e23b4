package ticketui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bihuan/internal/customer/customerui"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// Whoever has chosen columns sees the queue as a table as long as no ticket is
// open, and as rows with the same columns beside one. Whoever has not sees the
// rows of the product, and nothing is asked for columns.

// startColumns are those somebody begins to choose from: what a row shows.
var startColumns = []string{"title", "number", "priority", "state", "customer", "assignee", "due", "activity"}

// plainly are the columns whose values need no heading beside a ticket.
var plainly = []string{"title", "number", "priority", "state", "customer", "level", "assignee", "due", "stars", "type"}

// heading is the head of a column; Href leads to the order that belongs to it.
type heading struct {
	Code, Class, Label, Href string
	Current                  bool
}

// lineRow is a ticket with its columns.
type lineRow struct {
	row
	Cells []cell
}

// cell is a value of a column; how it looks depends on the code.
type cell struct {
	heading
	Plain bool // nobody asks what it is
	Text  string
	At    time.Time
	Of    row
}

// None reports whether there is no value.
func (c cell) None() bool { return c.Text == "" && c.At.IsZero() }

// columned fills in the headings and cells of q.
func (p *pages) columned(r *web.Request, s selection, q *queue) error {
	columns, err := p.Tickets.Chosen(r.Context(), r.Lang, s.columns)
	if err != nil || len(columns) == 0 {
		return err
	}
	rows := make([]ticket.Row, len(q.Rows))
	for i := range q.Rows {
		rows[i] = q.Rows[i].Row
	}
	values, err := p.Tickets.Cells(r.Context(), r.Lang, rows, columns)
	if err != nil {
		return err
	}
	for _, c := range columns {
		h := heading{Code: c.Code, Class: c.Code, Label: c.Label}
		if c.Custom() {
			h.Class = "own"
		}
		for _, o := range q.Sorts {
			if c.Sort != "" && o.Sort == c.Sort {
				h.Href, h.Current = o.Href, o.Current
			}
		}
		q.Heads = append(q.Heads, h)
	}
	q.Wide = len(columns) > 7
	q.Lines = make([]lineRow, len(rows))
	for i := range rows {
		l := lineRow{row: q.Rows[i], Cells: make([]cell, len(columns))}
		for k, c := range columns {
			x := cell{heading: q.Heads[k], Plain: slices.Contains(plainly, c.Code), Of: q.Rows[i]}
			switch v := values[i][k].(type) {
			case string:
				x.Text = v
			case int64:
				x.Text = id(v)
			case time.Time:
				x.At = v
			}
			l.Cells[k] = x
		}
		q.Lines[i] = l
	}
	return nil
}

// columnsOf are the codes a selection shows: what the reader chose for this
// view, what the view brings, what he chose for all; nil the product's rows.
func columnsOf(s selection) []string {
	for _, c := range [][]string{s.arranged[orderKey(s)].Columns, s.filter.Columns, s.arranged[ticket.EveryView].Columns} {
		if len(c) > 0 {
			return c
		}
	}
	return nil
}

func (p *pages) chooser(r *web.Request, f *web.Form, s selection, codes []string) (c customerui.ColumnChooser, err error) {
	chosen, err := p.Tickets.Chosen(r.Context(), r.Lang, codes)
	if err != nil {
		return c, err
	}
	all, err := p.Tickets.Columns(r.Context(), r.Lang)
	if err != nil {
		return c, err
	}
	c = customerui.ColumnChooser{Action: "/tickets/columns", Back: address("/tickets", s.keep), Group: "ticket.attr.group.", Fixed: "title", Most: ticket.MaxColumns, Form: f,
		Scopes: []ui.Option{{Value: "view", Label: r.T("ticket.columns.this_view", s.name)}, {Value: "all", Label: r.T("ticket.columns.every_view")}},
		To: func(codes []string) string {
			v := url.Values{}
			for k := range s.keep {
				v[k] = s.keep[k]
			}
			v.Set("cols", strings.Join(codes, ","))
			return address("/tickets/columns", v)
		}}
	if s.mine(r) {
		c.Scopes[0].Label = r.T("ticket.columns.with_view", s.name)
	}
	if f.Get("scope") == "" {
		f.Set("scope", "view")
	}
	for _, x := range chosen {
		c.Codes = append(c.Codes, x.Code)
	}
	for _, g := range ticket.AttrGroups {
		for _, x := range all {
			if x.Group == g {
				c.All = append(c.All, customerui.ColumnOption{Code: x.Code, Label: x.Label, Group: x.Group})
			}
		}
	}
	return c, nil
}

func columnsChrome(r *web.Request) ui.Chrome {
	c := sheet(r, r.T("customer.columns"))
	c.Assets = append(slices.Clone(c.Assets), "list.css")
	return c
}

// showColumns is where the columns of the queue are chosen (TKT-18).
func (p *pages) showColumns(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	codes := s.columns
	switch {
	case f.Has("cols"):
		codes = strings.Split(f.String("cols"), ",")
	case len(codes) == 0:
		codes = startColumns
	}
	c, err := p.chooser(r, f, s, codes)
	if err != nil {
		return err
	}
	return c.Render(w, r, columnsChrome(r))
}

// setColumns keeps the columns: with the view when it is the reader's own, else
// for him alone, for this view or for all.
func (p *pages) setColumns(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	back := web.SafeNext(f.Get("back"), "/tickets")
	from, err := url.Parse(back)
	if err != nil {
		return ui.NoSuchPage()
	}
	g := r.Blank()
	g.Values = from.Query()
	s, err := p.selection(r, g)
	if err != nil {
		return err
	}
	var codes []string
	if f.Get("do") != "reset" {
		codes = strings.Split(f.String("cols"), ",")
	}
	all := f.String("scope") == "all"
	key := orderKey(s)
	switch {
	case all:
		if err = p.Tickets.SetColumns(r.Context(), r.Actor, ticket.EveryView, codes); err == nil {
			err = p.Tickets.SetColumns(r.Context(), r.Actor, key, nil) // or he would not see them here
		}
	case s.mine(r):
		i := slices.IndexFunc(s.saved, func(v ticket.SavedView) bool { return v.ID == s.own })
		v := s.saved[i]
		v.Filter.Columns = codes
		if err = p.Tickets.EditView(r.Context(), r.Actor, v); err == nil {
			err = p.Tickets.SetColumns(r.Context(), r.Actor, key, nil)
		}
	default:
		err = p.Tickets.SetColumns(r.Context(), r.Actor, key, codes)
	}
	if fault.Is(err, fault.Invalid) {
		c, cerr := p.chooser(r, f, s, codes)
		if cerr != nil {
			return cerr
		}
		return c.Invalid(w, r, err, columnsChrome(r))
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.columns.kept")
	return r.SeeOther(w, "%s", back)
}
