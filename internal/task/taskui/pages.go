// Package taskui shows what people have to do: one's own day, lists, a calendar,
// the check before leaving, and the tasks beside a ticket or a customer.
//
// A handler holds no rule: it reads the form, calls one method of the room and
// answers with a page. Everything works before the script has loaded; dragging in
// the calendar does what the form of a task's page does.
package taskui

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/task"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css *.js
var files embed.FS

var (
	_ = ui.AddAssets(files, "taskui.css", "taskui.js")
	_ = []struct{}{ui.SetTone("task.hand", "gray"), ui.SetTone("task.plan", "blue"), ui.SetTone("task.dispute", "red"), ui.SetTone("task.no_record", "amber"),
		ui.SetTone("task.unconfirmed", "amber"), ui.SetTone("task.visit", "teal"), ui.SetTone("task.rule", "violet"),
		ui.SetTone("task.open", "blue"), ui.SetTone("task.done", "green"), ui.SetTone("task.cancelled", "gray")}
)

// Config is what the pages need. Due may be nil.
type Config struct {
	Tasks     *task.Service
	Org       *org.Service
	PublicURL string // where calendars outside reach the product; "": as the request came
	// Due returns what else is due on the reader's day: tickets with a deadline
	// before to, the nearest first, at most limit.
	Due func(ctx context.Context, actor authz.Actor, to time.Time, limit int) ([]Due, error)
}

// Due is something of another room with a deadline today.
type Due struct {
	Label, Title, Href string
	At                 time.Time
	Total              time.Duration
}

type pages struct {
	Config
	misses *web.Limiter
}

// Nav is the entry of the rail, with how much is due today.
func Nav(s *task.Service) ui.Nav {
	return ui.Nav{Key: "tasks", Href: "/tasks", Icon: "checklist", LabelKey: "task.nav", Perm: task.PermView, Letter: "k", Live: "task",
		Count: func(ctx context.Context, a authz.Actor) int {
			n, err := s.DueToday(ctx, a, 100)
			if err != nil {
				slog.Warn("taskui: count", "err", err)
			}
			return n
		}}
}

// SettingsNav is the entry of the settings.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "task-settings", Href: "/admin/tasks", Icon: "checklist", LabelKey: "task.settings.nav", Perm: org.PermSettings, Group: "org.admin"}
}

// Action is offered by the palette.
var Action = ui.Nav{Key: "tasks", Href: "/tasks/new", Icon: "plus", LabelKey: "task.new", Perm: task.PermUse}

// Routes adds the pages.
func Routes(rt *web.Router, c Config) {
	p := &pages{Config: c, misses: web.NewLimiter(rt.Clock(), 20, 30*time.Second, 10000)}
	rt.Handle("GET  /tasks", task.PermView, p.mine)
	rt.Handle("POST /tasks", task.PermUse, p.create)
	rt.Handle("GET  /tasks/list", task.PermView, p.list)
	rt.Handle("GET  /tasks/calendar", task.PermView, p.calendar)
	rt.Handle("GET  /tasks/new", task.PermUse, p.showNew)
	rt.Handle("POST /tasks/quick", task.PermUse, p.quick)
	rt.Handle("GET  /tasks/feed", task.PermUse, p.showFeed)
	rt.Handle("POST /tasks/feed", task.PermUse, p.makeFeed)
	rt.Handle("POST /tasks/feed/revocation", task.PermUse, p.revokeFeed)
	rt.Handle("GET  /tasks/{id}", task.PermView, p.show)
	rt.Handle("GET  /tasks/{id}/edit", task.PermView, p.showEdit)
	rt.Handle("POST /tasks/{id}/edit", task.PermView, p.edit)
	rt.Handle("POST /tasks/{id}/completion", task.PermView, p.complete)
	rt.Handle("POST /tasks/{id}/reopening", task.PermView, p.reopen)
	rt.Handle("POST /tasks/{id}/cancellation", task.PermView, p.cancel)
	rt.Handle("POST /tasks/{id}/owner", task.PermView, p.reassign)
	rt.Handle("POST /tasks/{id}/day", task.PermView, p.move)
	rt.Handle("GET  /day", task.PermView, p.day)
	rt.Handle("POST /day", task.PermUse, p.closeDay)
	rt.Handle("GET  /day/{figure}", task.PermView, p.figure)
	rt.Handle("GET  /admin/tasks", org.PermSettings, p.settings)
	rt.Handle("POST /admin/tasks", org.PermSettings, p.setSettings)
	rt.Handle("GET  /calendar/{file}", web.Public, p.feed, web.NoActor())
}

// Live turns what happened to tasks into "look again" for those concerned.
func Live(broker *web.Broker) event.Tail {
	return func(ctx context.Context, evs []event.Stored) {
		if len(broker.Online()) == 0 {
			return
		}
		for _, e := range evs {
			var f task.Facts
			if e.Subject.Type != task.SubjectType && e.Kind != task.HandedOver || e.Decode(&f) != nil {
				continue
			}
			users := append([]int64{f.Owner}, f.Tell...)
			if e.ActorKind == authz.User {
				users = append(users, e.ActorID)
			}
			broker.Publish(web.Message{Topic: "task", ID: e.Subject.ID, To: web.Audience{Users: users}})
		}
	}
}

// row is a task as it stands in a list.
type row struct {
	task.Task
	Owner  string // "" the reader himself
	About  *task.Named
	May    bool
	IsLate bool
	Back   string // where an action on it leads
}

func (p *pages) rows(r *web.Request, ts []task.Task, back string) ([]row, error) {
	ctx := r.Context()
	names, err := p.Tasks.Names(ctx, r.Actor, ts)
	if err != nil {
		return nil, err
	}
	user, _, err := p.Org.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]row, 0, len(ts))
	for _, t := range ts {
		x := row{Task: t, IsLate: t.Late(r.Now()), Back: back}
		if t.OwnerID != r.Actor.ID {
			x.Owner = user(t.OwnerID)
		}
		if n, ok := names[t.Subject]; ok {
			x.About = &n
		}
		if x.May, err = p.Tasks.May(ctx, nil, r.Actor, t); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

type tab struct {
	Href, Label string
	Current     bool
}

func tabs(r *web.Request, now string) (out []tab) {
	for _, t := range []struct{ key, href string }{{"mine", "/tasks"}, {"list", "/tasks/list"}, {"calendar", "/tasks/calendar"}, {"day", "/day"}} {
		out = append(out, tab{t.href, r.T("task.tab." + t.key), t.key == now})
	}
	return out
}

func chrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	c := ui.Chrome{Title: title, Nav: "tasks", Assets: []string{"taskui.css", "taskui.js"}}
	if len(crumbs) > 0 {
		c.Crumbs = append([]ui.Crumb{{Label: r.T("task.nav"), Href: "/tasks"}}, crumbs...)
	}
	return c
}

// group is a heading with its tasks.
type group struct {
	Key  string
	Tone string
	Rows []row
}

type mineView struct {
	Tabs    []tab
	Groups  []group
	Due     []Due
	Form    *web.Form
	CanUse  bool
	Done    int
	Any     bool
	Left    int  // what the check of the day still finds
	Checked bool // the check was made today
	Owners  bool
}

var (
	sampleTime = time.Unix(1.79e9, 0)
	sampleTask = task.Task{ID: 7, Title: "x", Details: "x", OwnerID: 1, DueAt: sampleTime, Remind: 30, Subject: event.Subject{Type: "ticket", ID: 1}, Origin: task.ByPlan, EntryID: 3, State: task.Open, CreatedByName: "x", CreatedAt: sampleTime, Version: 2}
	sampleRow  = row{Task: sampleTask, Owner: "x", About: &task.Named{Label: "T1", Title: "x", Href: "/x"}, May: true, IsLate: true, Back: "/x"}
	doneRow    = row{Task: task.Task{ID: 8, Title: "y", State: task.Done, Origin: task.ByHand, ClosedAt: sampleTime, ClosedByName: "x", AllDay: true, DueAt: sampleTime}, May: true, Back: "/x"}

	minePage = ui.NewPage[mineView](files, "mine.html", "parts.html").Sample(
		mineView{Tabs: []tab{{"/x", "x", true}}, Groups: []group{{"late", "red", []row{sampleRow}}, {"today", "", []row{doneRow}}}, Due: []Due{{"T1", "x", "/x", sampleTime, time.Hour}}, CanUse: true, Done: 3, Any: true, Left: 2},
		mineView{Checked: true, CanUse: true})
)

func (p *pages) mine(w http.ResponseWriter, r *web.Request) error {
	return p.renderMine(w, r, nil, nil)
}

func (p *pages) renderMine(w http.ResponseWriter, r *web.Request, f *web.Form, problem error) error {
	ctx := r.Context()
	d, err := p.Tasks.Mine(ctx, r.Actor)
	if err != nil {
		return err
	}
	v := mineView{Tabs: tabs(r, "mine"), CanUse: r.Actor.Can(task.PermUse), Done: d.Done, Form: f}
	if v.Form == nil {
		v.Form = r.Blank()
	}
	for _, g := range []struct {
		key, tone string
		ts        []task.Task
	}{{"late", "red", d.Late}, {"today", "", d.Today}, {"next", "", d.Next}, {"undated", "", d.Undated}} {
		if len(g.ts) == 0 {
			continue
		}
		rows, err := p.rows(r, g.ts, "/tasks")
		if err != nil {
			return err
		}
		v.Groups, v.Any = append(v.Groups, group{g.key, g.tone, rows}), true
	}
	now := p.Tasks.Now()
	if p.Config.Due != nil {
		if v.Due, err = p.Config.Due(ctx, r.Actor, task.EndOf(now.In(p.Tasks.Zone())), 20); err != nil {
			return err
		}
	}
	if v.CanUse {
		cs, err := p.Tasks.CloseOf(ctx, []int64{r.Actor.ID})
		if err != nil {
			return err
		}
		v.Left, v.Checked = cs[r.Actor.ID].Left, !cs[r.Actor.ID].At.IsZero()
	}
	if problem != nil {
		return minePage.Invalid(w, r, problem, f, chrome(r, r.T("task.nav")), v)
	}
	if r.IsFragment() && r.Target() == "day" {
		return minePage.Fragment(w, r, "day", v)
	}
	return minePage.Render(w, r, chrome(r, r.T("task.nav")), v)
}

// quick writes down what was jotted.
func (p *pages) quick(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	words := f.Required("quick")
	err := f.Err()
	if err == nil {
		title, due, allDay, _ := task.Quick(words, p.Tasks.Now(), p.Tasks.Zone())
		set, serr := p.Tasks.Settings(r.Context())
		if serr != nil {
			return serr
		}
		var t task.Task
		if t, err = p.Tasks.Create(r.Context(), r.Actor, task.New{Title: title, DueAt: due, AllDay: allDay, Remind: remind(set, allDay)}); err == nil {
			r.Flash(w, "green", "task.created", t.Title, t.Due(r.Lang, p.Tasks.Zone()))
			return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/tasks"))
		}
		for _, n := range []string{"title", "due"} {
			err = renamed(err, n, "quick")
		}
	}
	return p.renderMine(w, r, f, err)
}

func remind(set task.Settings, allDay bool) int {
	if allDay && set.Remind > 0 {
		return 0 // the morning of the day
	}
	return set.Remind
}

type showView struct {
	row
	Form    *web.Form
	Cancel  *web.Form
	Give    *web.Form // to somebody else
	People  []ui.Option
	By      string
	Subject string // in words when it may not be seen
	Remind  string
	History []event.Stored
	Lines   []historyLine
	Edit    bool // its form
	Dialog  bool
	Reminds []ui.Option
	New     bool
}

type historyLine struct {
	Who, Text, Reason string
	At                time.Time
}

var (
	showPage = ui.NewPage[showView](files, "show.html", "parts.html").Sample(
		showView{row: sampleRow, Form: &web.Form{}, Cancel: &web.Form{}, Give: &web.Form{}, People: []ui.Option{{Value: "1", Label: "x"}}, By: "x", Remind: "x", Lines: []historyLine{{"x", "x", "x", sampleTime}}},
		showView{row: doneRow, Form: &web.Form{}, By: "x", Subject: "x"},
		showView{row: row{Task: task.Task{ID: 9, Title: "z", Origin: task.ByDispute, State: task.Open}, May: true}, Form: &web.Form{}, Cancel: &web.Form{}, Give: &web.Form{}})
	formPage = ui.NewPage[showView](files, "form.html").Sample(
		showView{New: true, Dialog: true, Form: &web.Form{}, Reminds: []ui.Option{{Value: "-1", Label: "x"}}, People: []ui.Option{{Value: "1", Label: "x"}}},
		showView{row: sampleRow, Form: &web.Form{}, Reminds: []ui.Option{{Value: "-1", Label: "x"}}})
)

func (p *pages) open(r *web.Request) (task.Task, error) {
	n, err := r.PathID("id")
	if err != nil {
		return task.Task{}, err
	}
	return p.Tasks.Get(r.Context(), task.View(r.Actor), n)
}

func (p *pages) view(r *web.Request, t task.Task) (v showView, err error) {
	rows, err := p.rows(r, []task.Task{t}, t.Link())
	if err != nil {
		return v, err
	}
	v = showView{row: rows[0], By: t.CreatedByName, Form: r.Blank("date", dateOf(t, p.Tasks.Zone()), "time", timeOf(t, p.Tasks.Zone()), "version", id(t.Version)), Cancel: r.Blank("version", id(t.Version)), Give: r.Blank("version", id(t.Version))}
	if v.Owner == "" {
		v.Owner = p.Org.Name(r.Context(), t.OwnerID)
	}
	if t.CreatedBy == 0 {
		v.By = authz.SystemName(r.Lang, t.CreatedByName)
	}
	if v.About == nil && t.Subject.ID != 0 {
		v.Subject = r.T("task.subject.hidden")
	}
	v.Remind = remindText(r, t.Remind, t.AllDay)
	if v.May {
		if v.People, err = p.people(r); err != nil {
			return v, err
		}
	}
	evs, err := event.Of(r.Context(), p.Tasks.DB().Read(), event.Subject{Type: task.SubjectType, ID: t.ID}, 0, 50)
	if err != nil {
		return v, err
	}
	for _, e := range evs {
		var f task.Facts
		if e.Decode(&f) != nil {
			continue
		}
		x := historyLine{Who: e.ActorName, Text: event.Say(r.Lang, e.Kind, f.Args), Reason: reasonText(r, e.Reason), At: time.UnixMicro(e.At)}
		if e.ActorKind == authz.Worker {
			x.Who = authz.SystemName(r.Lang, e.ActorName)
		}
		v.Lines = append(v.Lines, x)
	}
	return v, nil
}

// reasonText says why the program ended a task, or what somebody wrote.
func reasonText(r *web.Request, reason string) string {
	if key := "task.reason." + reason; reason != "" && i18n.Has(key) {
		return r.T(key)
	}
	return reason
}

func dateOf(t task.Task, zone *time.Location) string {
	if t.DueAt.IsZero() {
		return ""
	}
	return t.DueAt.In(zone).Format(time.DateOnly)
}

func timeOf(t task.Task, zone *time.Location) string {
	if t.DueAt.IsZero() || t.AllDay {
		return ""
	}
	return t.DueAt.In(zone).Format("15:04")
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	v, err := p.view(r, t)
	if err != nil {
		return err
	}
	return showPage.Render(w, r, chrome(r, t.Title, ui.Crumb{Label: t.Title}), v)
}

// people are who can be given a task.
func (p *pages) people(r *web.Request) ([]ui.Option, error) {
	if !r.Actor.Can(org.PermDirectory) {
		return nil, nil
	}
	all, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, task.PermUse, 500)
	if err != nil {
		return nil, err
	}
	var own, rest []ui.Option
	for _, x := range all {
		o := ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department}
		if x.DepartmentID == r.Actor.DepartmentID {
			own = append(own, o)
		} else {
			rest = append(rest, o)
		}
	}
	return append(own, rest...), nil
}

var remindSteps = []int{task.NoReminder, 0, 15, 30, 60, 120, 1440}

func reminds(r *web.Request) (out []ui.Option) {
	for _, n := range remindSteps {
		out = append(out, ui.Option{Value: strconv.Itoa(n), Label: remindText(r, n, false)})
	}
	return out
}

func remindText(r *web.Request, n int, allDay bool) string {
	switch {
	case n == task.NoReminder:
		return r.T("task.remind.none")
	case n == 0 && allDay:
		return r.T("task.remind.morning")
	case n == 0:
		return r.T("task.remind.now")
	}
	return r.T("task.remind.before", i18n.Duration(r.Lang, time.Duration(n)*time.Minute))
}

// about returns what a new task is about as the address names it.
func (p *pages) about(r *web.Request) (string, error) {
	q := r.URL.Query()
	if n, err := strconv.ParseInt(q.Get("id"), 10, 64); err == nil && q.Get("type") != "" {
		s := event.Subject{Type: q.Get("type"), ID: n}
		names, err := p.Tasks.Names(r.Context(), r.Actor, []task.Task{{Subject: s}})
		return names[s].Label, err
	}
	return q.Get("about"), nil
}

func (p *pages) formView(r *web.Request, t task.Task, f *web.Form) (v showView, err error) {
	v = showView{row: row{Task: t}, Form: f, Reminds: reminds(r), New: t.ID == 0, Dialog: r.IsFragment() && r.Target() == "movebox"}
	v.People, err = p.people(r)
	return v, err
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	about, err := p.about(r)
	if err != nil {
		return err
	}
	set, err := p.Tasks.Settings(r.Context())
	if err != nil {
		return err
	}
	q := r.URL.Query()
	v, err := p.formView(r, task.Task{}, r.Blank("owner", id(r.Actor.ID), "remind", strconv.Itoa(set.Remind), "subject", about, "date", q.Get("on"), "back", web.SafeNext(q.Get("back"), "")))
	if err != nil {
		return err
	}
	if v.Dialog {
		return formPage.Fragment(w, r, "dialog", v)
	}
	return formPage.Render(w, r, chrome(r, r.T("task.new"), ui.Crumb{Label: r.T("task.new")}), v)
}

// read reads the form of a task.
func (p *pages) read(f *web.Form) task.New {
	n := task.New{Title: f.Required("title"), Details: f.Limited("details", task.MaxDetails), OwnerID: f.ID("owner"), Remind: task.NoReminder}
	if f.String("remind") != "" {
		n.Remind = f.Int("remind")
	}
	day, clock := f.Date("date"), f.String("time")
	switch {
	case day.IsZero() && clock != "":
		f.Fail("date", "task.need_date")
	case !day.IsZero():
		n.DueAt, n.AllDay = p.at(f, day, clock)
	}
	return n
}

func (p *pages) at(f *web.Form, day time.Time, clock string) (time.Time, bool) {
	day = day.In(p.Tasks.Zone())
	if clock == "" {
		y, m, d := day.Date()
		return time.Date(y, m, d, 12, 0, 0, 0, p.Tasks.Zone()), true
	}
	c, err := time.Parse("15:04", clock)
	if err != nil {
		f.Fail("time", "task.bad_time")
	}
	y, m, d := day.Date()
	return time.Date(y, m, d, c.Hour(), c.Minute(), 0, 0, p.Tasks.Zone()), false
}

func (p *pages) create(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	n := p.read(f)
	subject := f.String("subject")
	err := f.Err()
	if err == nil {
		n.Subject, err = p.Tasks.Find(r.Context(), r.Actor, subject)
	}
	if err == nil {
		var t task.Task
		if t, err = p.Tasks.Create(r.Context(), r.Actor, n); err == nil {
			r.Flash(w, "green", "task.created", t.Title, t.Due(r.Lang, p.Tasks.Zone()))
			return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/tasks"))
		}
	}
	v, verr := p.formView(r, task.Task{}, f)
	if verr != nil {
		return verr
	}
	return formPage.Invalid(w, r, renamed(err, "due", "date"), f, chrome(r, r.T("task.new"), ui.Crumb{Label: r.T("task.new")}), v)
}

func (p *pages) showEdit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Blank("title", t.Title, "details", t.Details, "owner", id(t.OwnerID), "date", dateOf(t, p.Tasks.Zone()), "time", timeOf(t, p.Tasks.Zone()), "remind", strconv.Itoa(t.Remind), "version", id(t.Version))
	v, err := p.formView(r, t, f)
	if err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, r.T("task.edit"), ui.Crumb{Label: t.Title, Href: t.Link()}, ui.Crumb{Label: r.T("ui.edit")}), v)
}

func (p *pages) edit(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	n := p.read(f)
	if err = f.Err(); err == nil {
		if _, err = p.Tasks.Edit(r.Context(), r.Actor, t.ID, f.Int64("version"), n); err == nil {
			r.Flash(w, "green", "task.saved", n.Title)
			return r.SeeOther(w, "%s", t.Link())
		}
	}
	v, verr := p.formView(r, t, f)
	if verr != nil {
		return verr
	}
	return formPage.Invalid(w, r, renamed(err, "due", "date"), f, chrome(r, r.T("task.edit"), ui.Crumb{Label: t.Title, Href: t.Link()}, ui.Crumb{Label: r.T("ui.edit")}), v)
}

// did answers an action on a task: with the page it was done on, or what was
// wrong on the task's own page.
func (p *pages) did(w http.ResponseWriter, r *web.Request, t task.Task, err error, colour, key string) error {
	f := r.Input()
	if err != nil {
		v, verr := p.view(r, t)
		if verr != nil {
			return verr
		}
		switch {
		case f.Has("reason") && f.Has("owner"):
			v.Give = f
		case f.Has("reason"):
			v.Cancel = f
		default:
			v.Form = f
		}
		return showPage.Invalid(w, r, err, f, chrome(r, t.Title, ui.Crumb{Label: t.Title}), v)
	}
	r.Flash(w, colour, key, t.Title)
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/tasks"))
}

func (p *pages) complete(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	_, err = p.Tasks.Complete(r.Context(), r.Actor, t.ID, 0)
	return p.did(w, r, t, err, "green", "task.done.flash")
}

func (p *pages) reopen(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	_, err = p.Tasks.Reopen(r.Context(), r.Actor, t.ID, 0, r.Input().String("why"))
	return p.did(w, r, t, err, "", "task.reopened.flash")
}

func (p *pages) cancel(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	_, err = p.Tasks.Cancel(r.Context(), r.Actor, t.ID, f.Int64("version"), f.String("reason"))
	return p.did(w, r, t, err, "amber", "task.cancelled.flash")
}

func (p *pages) reassign(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	_, err = p.Tasks.Reassign(r.Context(), r.Actor, t.ID, f.Int64("version"), f.ID("owner"), f.String("reason"))
	return p.did(w, r, t, err, "green", "task.reassigned.flash")
}

// move gives a task another date. Dragging sends the day alone; its time stays.
func (p *pages) move(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	day := f.Date("date")
	if day.IsZero() && f.Err() == nil {
		f.Fail("date", "task.need_date")
	}
	if err = f.Err(); err == nil {
		if f.Has("time") {
			at, allDay := p.at(f, day, f.String("time"))
			if err = f.Err(); err == nil {
				t, err = p.again(p.Tasks.Move(r.Context(), r.Actor, t.ID, f.Int64("version"), at, allDay))(t)
			}
		} else {
			t, err = p.again(p.Tasks.MoveDay(r.Context(), r.Actor, t.ID, f.Int64("version"), day))(t)
		}
	}
	if err == nil {
		r.Flash(w, "green", "task.moved.flash", t.Title, t.Due(r.Lang, p.Tasks.Zone()))
		return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), t.Link()))
	}
	return p.did(w, r, t, renamed(err, "due", "date"), "", "")
}

// again keeps the old task when a change of it failed.
func (p *pages) again(now task.Task, err error) func(old task.Task) (task.Task, error) {
	return func(old task.Task) (task.Task, error) {
		if err != nil {
			return old, err
		}
		return now, nil
	}
}

type panelView struct {
	Rows []row
	New  string // address of the form; "" the reader writes none down
	All  int
}

var panelPage = ui.NewPage[panelView](files, "panel.html").Sample(panelView{Rows: []row{sampleRow, doneRow}, New: "/x", All: 3}, panelView{})

// Panel is the open tasks about something, to stand beside it; "" when there are
// none. back is the page it stands on.
func Panel(r *web.Request, c Config, about event.Subject, label, back string) (template.HTML, error) {
	p := &pages{Config: c}
	if !r.Actor.Can(task.PermView) {
		return "", nil
	}
	ts, err := c.Tasks.OpenOf(r.Context(), about, 6)
	if err != nil || len(ts) == 0 {
		return "", err
	}
	v := panelView{All: len(ts)}
	if v.Rows, err = p.rows(r, ts[:min(len(ts), 5)], back); err != nil {
		return "", err
	}
	if r.Actor.Can(task.PermUse) {
		v.New = "/tasks/new?" + url.Values{"about": {label}, "back": {back}}.Encode()
	}
	drawn, err := panelPage.String(r, "panel.html", v)
	return template.HTML(strings.TrimSpace(drawn)), err // by a template of ours
}
