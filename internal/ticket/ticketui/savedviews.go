package ticketui

import (
	"net/http"
	"net/url"
	"slices"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// mine reports whether the view shown is one the reader has saved himself.
func (s selection) mine(r *web.Request) bool {
	for _, v := range s.saved {
		if v.ID == s.own {
			return v.Owner == r.Actor.ID
		}
	}
	return false
}

// savedView is a view on the page where they are kept.
type savedView struct {
	ticket.SavedView
	Says     []string
	Href     string
	With     string // with whom it is shared, in words
	By       string // whose it is; "" the reader's own
	Up, Down bool
	Change   bool
	Shares   []ui.Option
	Form     *web.Form // of this view: what was typed when it could not be saved
}

type viewsView struct {
	Own, Others []savedView
}

var viewsPage = ui.NewPage[viewsView](files, "views.html").Sample(
	viewsView{Own: []savedView{{SavedView: ticket.SavedView{ID: 1, Name: "x"}, Says: []string{"x"}, Href: "/x", With: "x", Up: true, Down: true, Change: true, Shares: []ui.Option{{Value: "0", Label: "x"}}, Form: &web.Form{}}, {SavedView: ticket.SavedView{ID: 2, Name: "y"}, Form: &web.Form{}}},
		Others: []savedView{{SavedView: ticket.SavedView{ID: 3, Name: "z"}, By: "x", Change: true, Form: &web.Form{}}}})

// viewsOf are the views the reader has; f is what was typed for the view typed.
func (p *pages) viewsOf(r *web.Request, typed int64, f *web.Form) (v viewsView, err error) {
	all, err := p.Tickets.SavedViews(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	user, department, err := p.Org.Names(r.Context())
	if err != nil {
		return v, err
	}
	for _, x := range all {
		row := savedView{SavedView: x, Href: "/tickets?saved=" + id(x.ID), Change: x.MayChange(r.Actor), Form: r.Blank("name", x.Name, "shared", id(x.Shared))}
		if x.ID == typed {
			row.Form = f
		}
		row.Says = []string{r.T("ticket.view." + ticket.FindView(x.Filter.View).Key)}
		says, err := p.says(r, x.Filter.Query)
		if err != nil && !fault.Is(err, fault.Invalid) { // about a field that was switched off
			return v, err
		}
		row.Says = append(append(row.Says, p.plainly(r, x.Filter, user, department)...), says...)
		switch {
		case x.Shared == ticket.SharedNobody:
			row.With = r.T("ticket.view.shared.none")
		case x.Shared < 0:
			row.With = r.T("ticket.view.shared.all")
		default:
			row.With = r.T("ticket.view.shared.team", department(x.Shared))
		}
		if r.Actor.Can(ticket.PermSupervise) || x.Shared != ticket.SharedNobody {
			row.Shares = append([]ui.Option{{Value: "0", Label: r.T("ticket.view.shared.none")}}, p.shares(r)...)
			if x.Shared != ticket.SharedNobody && !slices.ContainsFunc(row.Shares, func(o ui.Option) bool { return o.Value == id(x.Shared) }) {
				row.Shares = append(row.Shares, ui.Option{Value: id(x.Shared), Label: row.With})
			}
		}
		if x.Owner == r.Actor.ID {
			row.Up = len(v.Own) > 0
			if row.Up {
				v.Own[len(v.Own)-1].Down = true
			}
			v.Own = append(v.Own, row)
			continue
		}
		row.By = user(x.Owner)
		v.Others = append(v.Others, row)
	}
	return v, nil
}

// plainly says the conditions of the filter panel in words.
func (p *pages) plainly(r *web.Request, f ticket.Filter, user, department func(int64) string) (out []string) {
	add := func(field, what string) {
		if what != "" {
			out = append(out, r.T("ticket.view.cond", r.T(field), what))
		}
	}
	for _, c := range []struct{ field, prefix, code string }{{"ticket.field.type", "ticket.type.", f.Type}, {"ticket.field.class", "ticket.class.", f.Class}, {"ticket.field.priority", "ticket.priority.", f.Priority},
		{"ticket.field.urgency", "ticket.urgency.", f.Urgency}, {"ticket.field.channel", "ticket.channel.", f.Channel}, {"ticket.field.level", "ticket.level.", f.Level}} {
		if c.code != "" {
			add(c.field, r.T(c.prefix+c.code))
		}
	}
	add("ticket.field.department", department(f.Department))
	add("ticket.field.assignee", user(f.Assignee))
	day := func(us int64, less int) string {
		if us == 0 {
			return ""
		}
		return db.FromMicros(us).In(r.Location()).AddDate(0, 0, -less).Format("2006-01-02")
	}
	add("ticket.field.from", day(f.From, 0))
	add("ticket.field.to", day(f.To, 1))
	add("ui.search", f.Text)
	return out
}

// shares are with whom the reader may share a view.
func (p *pages) shares(r *web.Request) []ui.Option {
	if !r.Actor.Can(ticket.PermSupervise) {
		return nil
	}
	return []ui.Option{{Value: id(r.Actor.DepartmentID), Label: r.T("ticket.view.shared.team", p.Org.DepartmentName(r.Context(), r.Actor.DepartmentID))}, {Value: "-1", Label: r.T("ticket.view.shared.all")}}
}

// showViews is where views are renamed, shared, put in order and taken away.
func (p *pages) showViews(w http.ResponseWriter, r *web.Request) error {
	v, err := p.viewsOf(r, 0, nil)
	if err != nil {
		return err
	}
	return viewsPage.Render(w, r, sheet(r, r.T("ticket.view.manage")), v)
}

// changeView changes name and sharing; with "from" what the view selects becomes
// what that address shows.
func (p *pages) changeView(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	v, err := p.Tickets.SavedView(r.Context(), r.Actor, n)
	if err != nil {
		return err
	}
	again := f.Get("do") == "again" // from the filter of the queue
	if again {
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
		columns := v.Filter.Columns
		v.Filter = s.filter
		v.Filter.Columns = columns
	} else {
		v.Name = f.String("name")
		if f.Has("shared") {
			v.Shared = f.Int64("shared")
		}
	}
	if err = f.Err(); err == nil {
		err = p.Tickets.EditView(r.Context(), r.Actor, v)
	}
	if fault.Is(err, fault.Invalid) && !again {
		vs, verr := p.viewsOf(r, n, f)
		if verr != nil {
			return verr
		}
		return viewsPage.Invalid(w, r, err, f, sheet(r, r.T("ticket.view.manage")), vs)
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.view.saved", v.Name)
	if again {
		return r.SeeOther(w, "/tickets?saved=%d", n)
	}
	return r.SeeOther(w, "/views")
}

// placeView puts a view one place up or down.
func (p *pages) placeView(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Tickets.MoveView(r.Context(), r.Actor, n, r.Input().Get("to") == "up"); err != nil {
		return err
	}
	return r.SeeOther(w, "/views")
}
