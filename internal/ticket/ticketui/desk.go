package ticketui

import (
	"cmp"
	"net/http"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// deskView is what waits for a supervisor, and how his people stand.
type deskView struct {
	Sections []deskSection
	Team     []mate
	// Unverified is how many of the team's customers have not been verified in
	// time (CUS-13), at most 100.
	Unverified int
}

type deskSection struct {
	Key   string // ticket.desk.<key>
	Icon  string
	Rows  []ticket.Row
	More  string // address of all of them; "" when these are all
	Alert bool
}

// mate is a colleague with his load.
type mate struct {
	ID                  int64
	Name, Department    string
	Duty                string // online, busy, offline, away
	Open, Capacity, Pct int64
	Href                string
}

const deskRows = 12

// desk shows the supervisor what has come back, what nobody has taken up, what
// is late, and who has room for it.
func (p *pages) desk(w http.ResponseWriter, r *web.Request) error {
	ctx, sc := r.Context(), authz.For(r.Actor, ticket.PermSupervise)
	yes := true
	var v deskView
	for _, s := range []struct {
		key, icon, more string
		f               ticket.Filter
		keep            func(ticket.Row) bool
	}{
		{"second", "refresh", "/tickets?view=second", ticket.Filter{Open: &yes, Second: true, Unassigned: true}, nil},
		{"escalated", "flag", "/tickets?view=desk", ticket.Filter{Open: &yes, States: []ticket.State{ticket.Pending}, Desk: true},
			func(x ticket.Row) bool { return x.Escalation > 0 && x.AssigneeID != 0 }},
		{"unassigned", "inbox", "/tickets?view=unassigned", ticket.Filter{Open: &yes, Unassigned: true}, func(x ticket.Row) bool { return x.Round == 1 }},
		{"overdue", "alert", "/tickets?view=overdue", ticket.Filter{Open: &yes, Overdue: true}, nil},
	} {
		s.f.Limit = 60
		page, err := p.Tickets.List(ctx, sc, s.f)
		if err != nil {
			return err
		}
		rows := page.Rows
		if s.keep != nil {
			rows = slices.DeleteFunc(rows, func(x ticket.Row) bool { return !s.keep(x) })
		}
		d := deskSection{Key: s.key, Icon: s.icon, Rows: rows, Alert: s.key != "unassigned" && len(rows) > 0}
		if len(rows) > deskRows {
			d.Rows, d.More = rows[:deskRows], s.more
		}
		v.Sections = append(v.Sections, d)
	}
	if r.Actor.Can(org.PermDirectory) {
		team, err := p.team(r, sc)
		if err != nil {
			return err
		}
		v.Team = team
	}
	if r.Actor.Can(customer.PermEdit) {
		n, err := p.Customers.VerificationsWaiting(ctx, r.Actor, customer.VerificationFilter{Overdue: true}, 100)
		if err != nil {
			return err
		}
		v.Unverified = n
	}
	if r.IsFragment() && r.Target() != "main" {
		return deskPage.Fragment(w, r, "desk", v)
	}
	c := ui.Chrome{Title: r.T("ticket.desk.title"), Nav: "desk", Assets: []string{"ticketui.css", "ticketui.js"}}
	return deskPage.Render(w, r, c, v)
}

// team are the people of the departments that sc covers.
func (p *pages) team(r *web.Request, sc authz.Scope) ([]mate, error) {
	all, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, ticket.PermHandle, 0)
	if err != nil {
		return nil, err
	}
	var out []mate
	var ids []int64
	for _, x := range all {
		if !sc.Everything() && !slices.Contains(sc.Departments(), x.DepartmentID) {
			continue
		}
		duty := string(x.Availability)
		if x.Away {
			duty = "away"
		}
		out = append(out, mate{ID: x.ID, Name: x.Name, Department: x.Department, Duty: duty, Capacity: x.Capacity, Href: "/tickets?view=open&type=&assignee=" + id(x.ID)})
		ids = append(ids, x.ID)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	load, err := ticket.Load(r.Context(), p.Tickets.DB().Read(), ids)
	if err != nil {
		return nil, err
	}
	for i := range out {
		m := &out[i]
		if m.Open = load[m.ID]; m.Capacity > 0 {
			m.Pct = min(100, m.Open*100/m.Capacity)
		}
	}
	slices.SortStableFunc(out, func(a, b mate) int {
		return cmp.Or(cmp.Compare(a.Department, b.Department), cmp.Compare(b.Pct, a.Pct), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}
