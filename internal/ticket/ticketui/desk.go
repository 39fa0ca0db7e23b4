package ticketui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// deskView is what waits for a supervisor, and how his people stand.
type deskView struct {
	Sections []deskSection
	Blocks   []DeskBlock // of other rooms
	Teams    []team
	// Unverified is how many of the team's customers have not been verified in
	// time (CUS-13), at most 100.
	Unverified int
	Drag       bool   // tickets may be given out
	Says       string // what has just been done
}

type deskSection struct {
	Key   string // ticket.desk.<key>
	Icon  string
	Rows  []deskRow
	Count string // "99+" at most
	All   string // address of all of them
	Alert bool
}

type deskRow struct {
	Known bool // its clocks go on saying something, and the reader may say that he knows
	ticket.Row
	Give  bool // the reader may hand it to somebody
	Nudge bool
	Age   time.Time // since when nobody has taken it up; zero elsewhere
}

// DeskBlock is what another room has for a supervisor.
type DeskBlock struct {
	ID    string
	Icon  string
	Title string
	None  string // what is said when there is nothing
	Count string
	All   string
	Alert bool
	Late  bool // At is when each should have been done, not since when it waits
	Rows  []DeskLine
}

// DeskLine is one thing that waits.
type DeskLine struct {
	ID, Href, Title, Note string
	At                    time.Time
}

// team is a department with its people.
type team struct {
	Department             string
	Open                   int64
	Overdue, Soon, Waiting int
	People                 []mate
}

// mate is a colleague with his load.
type mate struct {
	ID                     int64
	Name                   string
	Duty                   string // online, busy, offline, away
	Open, Capacity, Pct    int64
	Overdue, Soon, Waiting int
	Hand                   bool // his work can be handed over
}

// Link is the queue of one person's tickets.
func (m mate) Link(view string) string {
	return "/tickets?view=" + view + "&type=&assignee=" + id(m.ID)
}

// deskRows bounds each block, maxTeam the people on one desk.
const (
	deskRows = 6
	maxTeam  = 300
)

var deskSections = []struct {
	key, icon, view string
	alert           bool
}{
	{"second", "refresh", "second", true}, {"escalated", "escalate", "escalated", true}, {"unacknowledged", "hourglass", "unacknowledged", false},
	{"overdue", "alert", "overdue", true}, {"soon", "clock", "soon", false}, {"unassigned", "inbox", "unassigned", false},
}

// most is a count as it is read: it stops at 99+.
func most(n int) string {
	if n > ticket.MaxCount {
		return "99+"
	}
	return id(int64(n))
}

// desk shows the supervisor what has come back, what nobody has taken up, what
// is late or soon will be, and who has room for it. It costs a list and a count
// of each block, however many tickets there are.
func (p *pages) desk(w http.ResponseWriter, r *web.Request) error {
	v, err := p.deskView(r)
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() != "main" {
		return deskPage.Fragment(w, r, "desk", v)
	}
	c := ui.Chrome{Title: r.T("ticket.desk.title"), Nav: "desk", Assets: []string{"ticketui.css", "ticketui.js", "supervise.js"}}
	return deskPage.Render(w, r, c, v)
}

func (p *pages) deskView(r *web.Request) (v deskView, err error) {
	ctx, sc := r.Context(), authz.For(r.Actor, ticket.PermSupervise)
	gives := authz.For(r.Actor, ticket.PermAssign)
	v.Drag = r.Actor.Can(ticket.PermAssign)
	var fs []ticket.Filter
	for _, s := range deskSections {
		fs = append(fs, ticket.Filter{View: s.view})
	}
	counts, err := p.Tickets.Counts(ctx, sc, fs)
	if err != nil {
		return v, err
	}
	for i, s := range deskSections {
		d := deskSection{Key: s.key, Icon: s.icon, Count: most(counts[i]), Alert: s.alert && counts[i] > 0}
		if counts[i] > 0 {
			fs[i].Limit = deskRows
			page, err := p.Tickets.List(ctx, sc, fs[i])
			if err != nil {
				return v, err
			}
			for _, x := range page.Rows {
				row := deskRow{Row: x, Give: gives.Matches([]int64{x.AssigneeID, x.SupervisorID}, x.DepartmentID), Nudge: x.AssigneeID != 0 && x.AssigneeID != r.Actor.ID && sc.Matches([]int64{x.AssigneeID, x.SupervisorID}, x.DepartmentID)}
				if s.key == "unacknowledged" {
					row.Age = x.AssignedAt
				}
				d.Rows = append(d.Rows, row)
			}
			d.All = "/tickets?view=" + s.view
		}
		v.Sections = append(v.Sections, d)
	}
	if err := p.markInsisting(r, v.Sections); err != nil {
		return v, err
	}
	for _, show := range p.Blocks {
		b, err := show(r)
		if err != nil {
			return v, err
		}
		if b != nil {
			v.Blocks = append(v.Blocks, *b)
		}
	}
	if r.Actor.Can(org.PermDirectory) {
		if v.Teams, err = p.teams(r, sc, gives); err != nil {
			return v, err
		}
	}
	if r.Actor.Can(customer.PermEdit) {
		if v.Unverified, err = p.Customers.VerificationsWaiting(ctx, r.Actor, customer.VerificationFilter{Overdue: true}, 100); err != nil {
			return v, err
		}
	}
	return v, nil
}

// teams are the people of the departments that sc covers, the departments as
// the tree has them, in each the fullest first.
func (p *pages) teams(r *web.Request, sc, gives authz.Scope) ([]team, error) {
	all, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, ticket.PermHandle, 0)
	if err != nil {
		return nil, err
	}
	var mine []org.Person
	var ids []int64
	for _, x := range all {
		if (sc.Everything() || slices.Contains(sc.Departments(), x.DepartmentID)) && len(mine) < maxTeam {
			mine, ids = append(mine, x), append(ids, x.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	load, err := p.Tickets.Workloads(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	nodes, err := p.Org.Tree(r.Context())
	if err != nil {
		return nil, err
	}
	var out []team
	for _, n := range nodes {
		t := team{Department: n.Name}
		for _, x := range mine {
			if x.DepartmentID != n.ID {
				continue
			}
			l := load[x.ID]
			if x.Capacity == 0 && l.Open == 0 { // none are routed to him
				continue
			}
			m := mate{ID: x.ID, Name: x.Name, Duty: string(x.Availability), Open: l.Open, Capacity: x.Capacity, Overdue: l.Overdue, Soon: l.Soon, Waiting: l.Waiting,
				Hand: l.Open > 0 && gives.Matches(nil, x.DepartmentID)}
			if x.Away {
				m.Duty = "away"
			}
			if x.Capacity > 0 {
				m.Pct = min(100, l.Open*100/x.Capacity)
			}
			t.Open, t.Overdue, t.Soon, t.Waiting = t.Open+l.Open, t.Overdue+l.Overdue, t.Soon+l.Soon, t.Waiting+l.Waiting
			t.People = append(t.People, m)
		}
		if len(t.People) > 0 {
			slices.SortStableFunc(t.People, func(a, b mate) int { return cmp.Or(cmp.Compare(b.Pct, a.Pct), cmp.Compare(a.ID, b.ID)) })
			out = append(out, t)
		}
	}
	return out, nil
}

// maxGiven bounds the tickets given out in one go.
const maxGiven = 100

// byRouting stands for nobody in particular in the list of people.
const byRouting = "routing"

// giveView is the form that gives tickets to somebody.
type giveView struct {
	Form    *web.Form
	Dialog  bool
	Tickets []ticket.Ticket
	People  []ui.Option
	Busy    string // why the one they were dropped on cannot be given any
	Failed  []notGiven
	Done    int
}

// To reports whether somebody is chosen already, so that only the reason lacks.
func (v giveView) To() bool { return v.Form != nil && v.Form.Get("to") != "" }

type notGiven struct{ Number, Title, Why string }

var givePage = ui.NewPage[giveView](files, "give.html").Sample(
	giveView{Form: &web.Form{}, Tickets: []ticket.Ticket{{Number: "T1", Title: "x", State: ticket.Pending}}, Busy: "b"},
	giveView{Form: &web.Form{}, Dialog: true, Failed: []notGiven{{"T1", "t", "w"}}, Done: 2})

func (p *pages) giveView(r *web.Request, f *web.Form) (v giveView, err error) {
	v = giveView{Form: f, Dialog: r.IsFragment()}
	ids := f.IDs("ticket")
	if len(ids) == 0 {
		return v, fault.Invalidf("ticket.give.none")
	}
	if len(ids) > maxGiven {
		return v, fault.Invalidf("ticket.give.many", maxGiven)
	}
	if v.Tickets, err = p.Tickets.Some(r.Context(), ticket.View(r.Actor), ids); err != nil {
		return v, err
	}
	if len(v.Tickets) == 0 {
		return v, fault.New(fault.NotFound, "ticket.not_found")
	}
	people, err := p.people(r, v.Tickets[0].DepartmentID, ticket.PermHandle)
	if err != nil {
		return v, err
	}
	v.People = append([]ui.Option{{Value: byRouting, Label: r.T("ticket.move.by_routing")}}, people...)
	if to := f.Get("to"); to != "" && to != byRouting {
		if i := slices.IndexFunc(v.People, func(o ui.Option) bool { return o.Value == to }); i < 0 || v.People[i].Disabled {
			v.Busy = r.T("ticket.give.busy")
			if i >= 0 {
				v.Busy = r.T("ticket.give.busy_one", v.People[i].Label)
			}
			f.Set("to", "")
		}
	}
	return v, nil
}

// showGive asks to whom the tickets of the address go, and why.
func (p *pages) showGive(w http.ResponseWriter, r *web.Request) error {
	v, err := p.giveView(r, r.Input())
	if err != nil {
		return err
	}
	if v.Dialog {
		return givePage.Fragment(w, r, "dialog", v)
	}
	return givePage.Render(w, r, deskChrome(r, r.T("ticket.give.title")), v)
}

func deskChrome(r *web.Request, title string) ui.Chrome {
	return ui.Chrome{Title: title, Nav: "desk", Assets: []string{"ticketui.css"}, Crumbs: []ui.Crumb{{Label: r.T("ticket.desk.title"), Href: "/desk"}, {Label: title}}}
}

// give gives each ticket by itself: what cannot be given is named with the
// reason, and holds up no other.
func (p *pages) give(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := ticket.Input{AssigneeID: 0, Reason: f.Limited("reason", 1000)}
	if strings.TrimSpace(in.Reason) == "" {
		f.Fail("reason", "ticket.need_reason")
	}
	if to := f.String("to"); to == "" {
		f.Fail("to", "ticket.need_assignee")
	} else if to != byRouting {
		in.AssigneeID = f.ID("to")
	}
	err := f.Err()
	v, verr := p.giveView(r, f)
	if verr != nil {
		return verr
	}
	if err == nil {
		for _, t := range v.Tickets {
			if _, gerr := p.Tickets.Give(r.Context(), r.Actor, t.ID, in); gerr != nil {
				if _, ok := fault.As(gerr); !ok {
					return gerr
				}
				v.Failed = append(v.Failed, notGiven{t.Number, t.Title, r.Explain(gerr).Message})
				continue
			}
			v.Done++
		}
		if missing := len(f.IDs("ticket")) - len(v.Tickets); missing > 0 {
			v.Failed = append(v.Failed, notGiven{Why: r.T("ticket.give.unseen", missing)})
		}
		if len(v.Failed) == 0 {
			return p.given(w, r, v.Done)
		}
		if !v.Dialog {
			return givePage.Render(w, r, deskChrome(r, r.T("ticket.give.title")), v)
		}
		return givePage.Fragment(w, r, "dialog", v)
	}
	if v.Dialog {
		return givePage.InvalidFragment(w, r, err, f, "dialog", v)
	}
	return givePage.Invalid(w, r, err, f, deskChrome(r, r.T("ticket.give.title")), v)
}

// given goes back to the desk; the script only changes what has changed.
func (p *pages) given(w http.ResponseWriter, r *web.Request, n int) error {
	if !r.IsFragment() {
		r.Flash(w, "green", "ticket.give.done", n)
		return r.SeeOther(w, "/desk")
	}
	return p.said(w, r, r.T("ticket.give.done", n))
}

// said closes the dialog, says a sentence and shows the desk as it is now.
func (p *pages) said(w http.ResponseWriter, r *web.Request, sentence string) error {
	v, err := p.deskView(r)
	if err != nil {
		return err
	}
	v.Says = sentence
	return deskPage.Parts(w, r, v, ui.Into("nothing", "#movebox", "innerHTML"), ui.Into("toast", "#toasts", "beforeend"), ui.Into("board", "#desk", "innerMorph"))
}

// nudge reminds whoever has the ticket.
func (p *pages) nudge(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	words := f.Limited("words", 500)
	if err = f.Err(); err == nil {
		err = p.Tickets.Nudge(r.Context(), r.Actor, t.ID, words)
	}
	if err != nil {
		if fe, ok := fault.As(err); !ok || fe.Kind == fault.NotFound || fe.Kind == fault.Forbidden {
			return err
		}
		v := nudgeView{T: t, Form: f, Dialog: r.IsFragment()}
		if v.Dialog {
			return nudgePage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return nudgePage.Invalid(w, r, err, f, sheet(r, r.T("ticket.nudge"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
	}
	says := r.T("ticket.nudge.done", t.AssigneeName)
	if r.IsFragment() {
		return deskPage.Parts(w, r, deskView{Says: says}, ui.Into("nothing", "#movebox", "innerHTML"), ui.Into("toast", "#toasts", "beforeend"))
	}
	r.Flash(w, "green", "ticket.nudge.done", t.AssigneeName)
	if strings.HasPrefix(web.SafeNext(f.Get("next"), ""), "/desk") {
		return r.SeeOther(w, "/desk")
	}
	return r.SeeOther(w, "/tickets/%s", url.PathEscape(t.Number))
}

type nudgeView struct {
	T      ticket.Ticket
	Form   *web.Form
	Dialog bool
}

var nudgePage = ui.NewPage[nudgeView](files, "nudge.html").Sample(nudgeView{Form: &web.Form{}}, nudgeView{Form: &web.Form{}, Dialog: true})

func (p *pages) showNudge(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if !p.Tickets.CanNudge(r.Actor, &t) {
		return fault.New(fault.Conflict, "ticket.nudge.nobody")
	}
	v := nudgeView{T: t, Form: r.Blank(), Dialog: r.IsFragment()}
	if v.Dialog {
		return nudgePage.Fragment(w, r, "dialog", v)
	}
	return nudgePage.Render(w, r, sheet(r, r.T("ticket.nudge"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

// markInsisting notes which tickets go on saying that something is late.
func (p *pages) markInsisting(r *web.Request, sections []deskSection) error {
	if !r.Actor.Can(ticket.PermNote) {
		return nil
	}
	var ids []int64
	for _, s := range sections {
		for _, x := range s.Rows {
			ids = append(ids, x.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	on, err := sla.InsistingOf(r.Context(), p.Tickets.DB().Read(), ids)
	for i := range sections {
		for j := range sections[i].Rows {
			sections[i].Rows[j].Known = on[sections[i].Rows[j].ID]
		}
	}
	return err
}
