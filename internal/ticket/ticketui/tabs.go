package ticketui

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// deskRoutes are what makes the workspace quick: tabs, putting off, bulk
// changes, editing in place, the palette.
func (p *pages) deskRoutes(rt *web.Router) {
	rt.Handle("GET  /tabs", ticket.PermView, p.showTabs)
	rt.Handle("POST /tabs", ticket.PermView, p.openTab)
	rt.Handle("POST /tabs/closing", ticket.PermView, p.closeTab)
	rt.Handle("GET  /tickets/filter", ticket.PermView, p.filterPage)
	rt.Handle("GET  /tickets/export", ticket.PermExport, p.showExport)
	rt.Handle("POST /tickets/export", ticket.PermExport, p.export, web.Slow(30*time.Minute))
	rt.Handle("POST /orders", ticket.PermView, p.setOrder)
	rt.Handle("GET  /tickets/jump", ticket.PermView, p.jump, web.JSON())
	rt.Handle("GET  /tickets/{number}/beside", ticket.PermView, p.beyond, web.JSON())
	rt.Handle("GET  /tickets/{number}/snooze", ticket.PermView, p.showSnooze)
	rt.Handle("POST /tickets/{number}/snooze", ticket.PermView, p.snooze)
	rt.Handle("GET  /tickets/{number}/fields/{field}", ticket.PermEdit, p.showField)
	rt.Handle("POST /tickets/{number}/fields/{field}", ticket.PermEdit, p.setField)
	rt.Handle("GET  /tickets/{number}/peek", ticket.PermView, p.peek)
	rt.Handle("GET  /tickets/{number}/similar", ticket.PermView, p.similar)
	rt.Handle("POST /tickets/{number}/checks", ticket.PermNote, p.addChecks)
	rt.Handle("POST /tickets/{number}/checks/{id}", ticket.PermNote, p.turnCheck)
	rt.Handle("GET  /tickets/{number}/print", ticket.PermView, p.printed)
	rt.Handle("GET  /ticket-bulks", ticket.PermNote, p.bulks)
	rt.Handle("GET  /ticket-bulks/targets", ticket.PermAssign, p.targets)
	rt.Handle("GET  /ticket-bulks/new", ticket.PermNote, p.newBulk)
	rt.Handle("POST /ticket-bulks", ticket.PermNote, p.startBulk)
	rt.Handle("GET  /ticket-bulks/{id}", ticket.PermNote, p.bulk)
	rt.Handle("POST /ticket-bulks/{id}/state", ticket.PermNote, p.turnBulk)
}

// tabsView are the tickets the reader has open.
type tabsView struct {
	Tabs []tabView
	Live string // topics that concern them
}

type tabView struct {
	ticket.Tab
	Href    string
	Current bool
}

// tabsOf loads the tabs; open is the number of the ticket on the screen.
func (p *pages) tabsOf(r *web.Request, open string, keep url.Values) (v tabsView, err error) {
	tabs, err := p.Tickets.Tabs(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	var live []string
	tail := address("", keep)
	for _, t := range tabs {
		cur := t.Number == open
		v.Tabs = append(v.Tabs, tabView{Tab: t, Href: "/tickets/" + t.Number + tail, Current: cur})
		live = append(live, "ticket:"+id(t.ID))
	}
	v.Live = strings.Join(live, " ")
	return v, nil
}

func (p *pages) showTabs(w http.ResponseWriter, r *web.Request) error {
	var keep url.Values
	if u := r.CurrentURL(); u != nil {
		f := r.Blank()
		f.Values = u.Query()
		s, err := p.selection(r, f)
		if err != nil {
			return err
		}
		keep = s.keep
	}
	v, err := p.tabsOf(r, shown(r), keep)
	if err != nil {
		return err
	}
	return workspacePage.Fragment(w, r, "tabs", workspace{Tabs: v})
}

// openTab is said by the page when it shows a ticket.
func (p *pages) openTab(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	n, left := f.ID("ticket"), f.ID("left")
	if err := f.Err(); err != nil {
		return err
	}
	if err := p.Tickets.OpenTab(r.Context(), r.Actor, n, left); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if !r.IsFragment() {
		return r.SeeOther(w, "/tickets")
	}
	return p.showTabs(w, r)
}

func (p *pages) closeTab(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	n := f.ID("ticket")
	if err := f.Err(); err != nil {
		return err
	}
	if err := p.Tickets.CloseTab(r.Context(), r.Actor, n); err != nil {
		return err
	}
	if !r.IsFragment() {
		return r.SeeOther(w, "/tickets")
	}
	return p.showTabs(w, r)
}

// setOrder keeps the order of a view for the reader.
func (p *pages) setOrder(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.Tickets.SetOrder(r.Context(), r.Actor, f.String("view"), ticket.Sort(f.String("sort"))); err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.order.kept")
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("next"), "/tickets"))
}

// found is what the palette offers.
type jumped struct {
	ID    int64  `json:"id"`
	Label string `json:"label"`
	Note  string `json:"note"`
	Href  string `json:"href"`
}

// jump finds tickets by number, its end, or words; without any the ones the
// reader had open last.
func (p *pages) jump(w http.ResponseWriter, r *web.Request) error {
	ctx, sc := r.Context(), ticket.View(r.Actor)
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	out := []jumped{}
	add := func(n int64, number, title string, state ticket.State) {
		for _, x := range out {
			if x.ID == n {
				return
			}
		}
		out = append(out, jumped{n, number + " " + title, r.T("ticket.state." + string(state)), "/tickets/" + number})
	}
	if q == "" {
		tabs, err := p.Tickets.Tabs(ctx, r.Actor)
		if err != nil {
			return err
		}
		for i := len(tabs) - 1; i >= 0 && len(out) < 6; i-- {
			add(tabs[i].ID, tabs[i].Number, tabs[i].Title, tabs[i].State)
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	bs, err := p.Tickets.ByNumberLike(ctx, sc, q, 6)
	if err != nil {
		return err
	}
	for _, b := range bs {
		add(b.ID, b.Number, b.Title, b.State)
	}
	if len([]rune(q)) >= 2 && len(out) < 6 {
		page, err := p.Tickets.List(ctx, sc, ticket.Filter{Text: q, Limit: 6})
		if err != nil {
			return err
		}
		for _, x := range page.Rows {
			if len(out) < 8 {
				add(x.ID, x.Number, x.Title, x.State)
			}
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// beyond answers with the addresses before and behind a ticket in the reader's
// list, for when its row is not on the screen.
func (p *pages) beyond(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	prev, next, err := p.Tickets.Beside(r.Context(), ticket.View(r.Actor), s.filter, t)
	if err != nil {
		return err
	}
	to := func(n string) string {
		if n == "" {
			return ""
		}
		return address("/tickets/"+n, s.keep)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"prev": to(prev), "next": to(next)})
}

// snoozeView is the form that puts a ticket off.
type snoozeView struct {
	T      ticket.Ticket
	Dialog bool
	Form   *web.Form
	Action string
	Back   string
	Picks  []snoozePick
	Asleep bool
}

type snoozePick struct {
	Value string // as the form sends it
	Name  string
	At    time.Time
}

var snoozePage = ui.NewPage[snoozeView](files, "snooze.html").Sample(snoozeView{Dialog: true, Asleep: true, Picks: []snoozePick{{"2026-11-22T10:00", "x", sampleTime}}}, snoozeView{})

// picks are the times people put off until.
func picks(r *web.Request) (out []snoozePick) {
	now := r.Now().In(r.Location())
	morning := func(days int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, 9, 0, 0, 0, now.Location())
	}
	add := func(key string, at time.Time) {
		if at.After(now) {
			out = append(out, snoozePick{at.Format("2006-01-02T15:04"), r.T("ticket.snooze." + key), at})
		}
	}
	add("hour", now.Add(time.Hour).Truncate(time.Minute))
	add("three", now.Add(3*time.Hour).Truncate(time.Minute))
	add("tomorrow", morning(1))
	monday := (8 - int(now.Weekday())) % 7
	if monday == 0 {
		monday = 7
	}
	if monday > 1 {
		add("monday", morning(monday))
	}
	return out
}

func (p *pages) snoozeView(r *web.Request, t ticket.Ticket, f *web.Form) (v snoozeView, err error) {
	s, err := p.selected(r)
	if err != nil {
		return v, err
	}
	zs, err := p.Tickets.Snoozes(r.Context(), r.Actor, ticket.Row{ID: t.ID, CustomerAt: t.CustomerAt})
	z, ok := zs[t.ID]
	return snoozeView{T: t, Dialog: r.IsFragment(), Form: f, Action: address("/tickets/"+t.Number+"/snooze", s.keep), Back: address("/tickets/"+t.Number, s.keep), Picks: picks(r), Asleep: ok && !z.Over}, err
}

func (p *pages) showSnooze(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	v, err := p.snoozeView(r, t, r.Blank())
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return snoozePage.Fragment(w, r, "dialog", v)
	}
	return snoozePage.Render(w, r, sheet(r, r.T("ticket.snooze.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
}

func (p *pages) snooze(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	var until time.Time
	if !f.Bool("wake") {
		if f.String("until") == "" {
			f.Values.Set("until", f.String("at"))
		}
		if until = f.DateTime("until"); until.IsZero() && f.Err() == nil {
			f.Fail("at", "ticket.snooze.when")
		}
	}
	if err = f.Err(); err == nil {
		err = p.Tickets.Snooze(r.Context(), r.Actor, t.ID, until)
	}
	if err != nil {
		err = moveField(err, "until", "at")
		v, verr := p.snoozeView(r, t, f)
		if verr != nil {
			return verr
		}
		if r.IsFragment() {
			return snoozePage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return snoozePage.Invalid(w, r, err, f, sheet(r, r.T("ticket.snooze.title"), ui.Crumb{Label: t.Number, Href: v.Back}), v)
	}
	if until.IsZero() {
		r.Flash(w, "green", "ticket.snooze.woken", t.Number)
	} else {
		r.Flash(w, "green", "ticket.snooze.done", t.Number, until.In(r.Location()).Format("01-02 15:04"))
	}
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	return r.SeeOther(w, "%s", address("/tickets", s.keep))
}

// peekView is a quick look at a ticket without leaving the list.
type peekView struct {
	T          ticket.Ticket
	Href       string
	Department string
	Category   string
	Lines      []line
	Clocks     []clockLine
	CanEdit    bool
	Query      string
}

var peekPage = ui.NewPage[peekView](files, "peek.html").Sample(peekView{T: ticket.Ticket{Type: "other", Class: "problem", Urgency: "low", Priority: "low", State: ticket.Pending, CustomerLevel: "vip"}, CanEdit: true, Clocks: []clockLine{sampleClock},
	Lines: []line{{ID: 1, Kind: "sys", Author: "x", Text: "x", At: sampleTime}, {ID: 2, Kind: "note", Author: "x", Name: "x", Text: "x", At: sampleTime}}}, peekView{T: ticket.Ticket{Type: "other", Urgency: "low", Priority: "low", State: ticket.Closed, CustomerLevel: "normal"}})

func (p *pages) peek(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	s, err := p.selected(r)
	if err != nil {
		return err
	}
	v := peekView{T: t, Query: address("", s.keep), Href: address("/tickets/"+t.Number, s.keep), Department: p.Org.DepartmentName(ctx, t.DepartmentID), CanEdit: canEdit(r, t)}
	if v.Category, err = p.categoryName(r, t.CategoryID); err != nil {
		return err
	}
	tl, err := p.timelineOf(r, t, place{})
	if err != nil {
		return err
	}
	if v.Lines = tl.Lines; len(v.Lines) > 6 {
		v.Lines = v.Lines[len(v.Lines)-6:]
	}
	cs, err := sla.Of(ctx, p.Tickets.DB().Read(), t.ID)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.State == sla.Running || c.State == sla.Paused {
			v.Clocks = append(v.Clocks, lineOf(c, r.Now()))
		}
	}
	if r.IsFragment() {
		return peekPage.Fragment(w, r, "dialog", v)
	}
	return peekPage.Render(w, r, sheet(r, t.Title, ui.Crumb{Label: t.Number, Href: v.Href}), v)
}

// canEdit reports whether the reader may change what describes t.
func canEdit(r *web.Request, t ticket.Ticket) bool {
	return t.State != ticket.Closed && t.State != ticket.Cancelled && r.Actor.Can(ticket.PermEdit) && (t.AssigneeID == r.Actor.ID || t.InScope(authz.For(r.Actor, ticket.PermEdit)))
}

func (p *pages) categoryName(r *web.Request, n int64) (string, error) {
	if n == 0 {
		return "", nil
	}
	cs, err := ticket.Categories(r.Context(), p.Tickets.DB().Read())
	if err != nil {
		return "", err
	}
	for _, c := range cs {
		if c.ID == n {
			return c.Name, nil
		}
	}
	return "", nil
}

// similarView are tickets that speak of the same thing.
type similarView struct{ Rows []ticket.Brief }

var similarPage = ui.NewPage[similarView](files, "similar.html").Sample(similarView{Rows: []ticket.Brief{{Number: "TASK1", Title: "x", State: ticket.Pending, ActivityAt: sampleTime}}}, similarView{})

func (p *pages) similar(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	var v similarView
	if v.Rows, err = p.Tickets.Similar(r.Context(), ticket.View(r.Actor), t, 6); err != nil {
		return err
	}
	if r.IsFragment() {
		return similarPage.Fragment(w, r, "list", v)
	}
	return similarPage.Render(w, r, sheet(r, r.T("ticket.similar"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

// addChecks and turnCheck change the checklist beside a ticket.
func (p *pages) addChecks(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.Tickets.AddChecks(r.Context(), r.Actor, t.ID, f.Text("body")); err != nil {
		return err
	}
	return p.changed(w, r, t, whole)
}

func (p *pages) turnCheck(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	switch do := r.Input().String("do"); do {
	case "drop":
		err = p.Tickets.DropCheck(r.Context(), r.Actor, t.ID, n)
	default:
		err = p.Tickets.TickCheck(r.Context(), r.Actor, t.ID, n, do != "undo")
	}
	if err != nil {
		return err
	}
	return p.changed(w, r, t, whole)
}

// printView is a ticket on paper: all of it, without what one can press.
type printView struct {
	T          ticket.Ticket
	Department string
	Category   string
	Fields     []ui.Fact
	Lines      []line
	Files      []attachment
	Cut        bool // there is older
	At         time.Time
	By         string
}

var printPage = ui.NewPage[printView](files, "print.html").Sample(printView{T: samplePane(true).T, Lines: samplePane(true).Timeline.Lines, Files: []attachment{{1, "x", 1, true}}, Cut: true, At: sampleTime}, printView{T: ticket.Ticket{Type: "other", Urgency: "low", Priority: "low", Channel: "phone", State: ticket.Pending, CustomerLevel: "normal"}})

// printMost bounds how much of a timeline goes to paper.
const printMost = 1000

func (p *pages) printed(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	side := &pane{T: t}
	v := printView{T: t, Department: p.Org.DepartmentName(r.Context(), t.DepartmentID), At: r.Now(), By: r.Actor.Name}
	if v.Category, err = p.categoryName(r, t.CategoryID); err != nil {
		return err
	}
	if v.Fields, err = p.factsOf(r, side.T.ID); err != nil {
		return err
	}
	at := place{}
	for len(v.Lines) < printMost {
		tl, err := p.timelineOf(r, t, at)
		if err != nil {
			return err
		}
		if at.Before == 0 {
			v.Files = tl.Files
		}
		v.Lines = append(tl.Lines, v.Lines...)
		if v.Cut = tl.Earlier; !tl.Earlier || tl.From == 0 {
			break
		}
		at.Before = tl.From
	}
	return printPage.Render(w, r, ui.Chrome{Title: t.Number + " " + t.Title, Nav: "tickets", Assets: []string{"ticketui.css"}, Crumbs: []ui.Crumb{{Label: t.Number, Href: "/tickets/" + t.Number}, {Label: r.T("ui.print")}}}, v)
}

// snoozed marks what the reader had put off.
func (p *pages) snoozed(r *web.Request, rows []row) error {
	plain := make([]ticket.Row, len(rows))
	for i, x := range rows {
		plain[i] = x.Row
	}
	zs, err := p.Tickets.Snoozes(r.Context(), r.Actor, plain...)
	if err != nil {
		return err
	}
	for i := range rows {
		if z, ok := zs[rows[i].ID]; ok {
			rows[i].Over = z.Over
			if !z.Over {
				rows[i].Until = db.Micros(z.Until)
			}
		}
	}
	return nil
}
