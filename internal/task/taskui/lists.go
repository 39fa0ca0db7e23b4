package taskui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/task"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type listView struct {
	Tabs    []tab
	Lists   []tab // mine, given, team, late
	List    string
	Filter  *web.Form
	States  []ui.Option
	Origins []ui.Option
	Team    []ui.Option
	Rows    []row
	Pager   ui.Pager
	Address string
	CanUse  bool
}

var listPage = ui.NewPage[listView](files, "list.html", "parts.html").Sample(
	listView{Tabs: []tab{{"/x", "x", true}}, Lists: []tab{{"/x", "x", true}}, List: "team", Filter: &web.Form{}, States: []ui.Option{{Value: "open", Label: "x"}}, Team: []ui.Option{{Value: "1", Label: "x"}}, Rows: []row{sampleRow, doneRow}, Pager: ui.Pager{Next: "/x"}, CanUse: true},
	listView{List: "mine", Filter: &web.Form{}})

const pageSize = 50

// leads reports whether the reader sees tasks of others.
func leads(r *web.Request) bool { return r.Actor.Level(task.PermView) > 1 }

// team are the colleagues whose tasks the reader sees.
func (p *pages) team(r *web.Request) ([]ui.Option, error) {
	if !leads(r) {
		return nil, nil
	}
	all, err := p.people(r)
	if err != nil {
		return nil, err
	}
	sc := task.View(r.Actor)
	if sc.Everything() {
		return all, nil
	}
	var out []ui.Option
	for _, o := range all {
		id, _ := strconv.ParseInt(o.Value, 10, 64)
		x, ok, err := p.Org.Person(r.Context(), p.Tasks.DB().Read(), id)
		if err != nil {
			return nil, err
		}
		if ok && sc.Matches([]int64{id}, x.DepartmentID) {
			out = append(out, o)
		}
	}
	return out, nil
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	v := listView{Tabs: tabs(r, "list"), List: q.Get("list"), CanUse: r.Actor.Can(task.PermUse)}
	kinds := []string{"mine", "given"}
	if leads(r) {
		kinds = append(kinds, "team", "late")
	}
	found := false
	for _, k := range kinds {
		found = found || k == v.List
	}
	if !found {
		v.List = "mine"
	}
	for _, k := range kinds {
		v.Lists = append(v.Lists, tab{"/tasks/list?list=" + k, r.T("task.list." + k), k == v.List})
	}
	state := q.Get("state")
	if state == "" {
		state = string(task.Open)
	}
	v.Filter = r.Blank("q", q.Get("q"), "state", state, "origin", q.Get("origin"), "owner", q.Get("owner"), "from", q.Get("from"), "to", q.Get("to"), "list", v.List)
	for _, s := range task.States {
		v.States = append(v.States, ui.Option{Value: string(s), Label: r.T("task.state." + string(s))})
	}
	for _, o := range task.Origins {
		v.Origins = append(v.Origins, ui.Option{Value: string(o), Label: r.T("task.origin." + string(o))})
	}
	f := task.Filter{State: task.State(state), Origin: task.Origin(q.Get("origin")), Text: q.Get("q"), After: q.Get("after"), Limit: pageSize}
	if state == "any" {
		f.State = ""
	}
	day := func(name string, add int) time.Time {
		d, err := time.ParseInLocation(time.DateOnly, q.Get(name), p.Tasks.Zone())
		if err != nil {
			return time.Time{}
		}
		return d.AddDate(0, 0, add)
	}
	f.From, f.To = day("from", 0), day("to", 1)
	switch v.List {
	case "mine":
		f.OwnerID = r.Actor.ID
	case "given":
		f.Given = true
	case "team":
		f.Team = true
	case "late":
		f.Team, f.Late = true, true
	}
	var err error
	if v.List == "team" || v.List == "late" {
		if v.Team, err = p.team(r); err != nil {
			return err
		}
		f.OwnerID, _ = strconv.ParseInt(q.Get("owner"), 10, 64)
	}
	page, err := p.Tasks.List(ctx, task.View(r.Actor), f)
	if err != nil {
		return err
	}
	v.Address = r.URL.RequestURI()
	if v.Rows, err = p.rows(r, page.Tasks, v.Address); err != nil {
		return err
	}
	if page.Next != "" {
		next := url.Values{}
		for k, x := range q {
			next[k] = x
		}
		next.Set("after", page.Next)
		v.Pager.Next = "/tasks/list?" + next.Encode()
	}
	if q.Get("after") != "" {
		q.Del("after")
		v.Pager.Prev = strings.TrimSuffix("/tasks/list?"+q.Encode(), "?")
	}
	if r.IsFragment() && r.Target() == "rows" {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, chrome(r, r.T("task.tab.list")), v)
}

type cell struct {
	Day     time.Time
	Label   string // 23, or 11月1日 where a month begins
	Long    string // for the ear
	Href    string // the day alone
	New     string
	Other   bool // of another month
	Today   bool
	Rows    []row
	More    int
	Weekend bool
}

type calendarView struct {
	Tabs       []tab
	Views      []tab
	View       string // month, week, day
	Title      string
	Prev, Next string
	Now        string
	Weekdays   []string
	Weeks      [][]cell
	Filter     *web.Form
	Team       []ui.Option
	Back       string
	CanUse     bool
	Cut        bool // there is more than can be shown
}

var calendarPage = ui.NewPage[calendarView](files, "calendar.html", "parts.html").Sample(
	calendarView{Tabs: []tab{{"/x", "x", true}}, Views: []tab{{"/x", "x", true}}, View: "month", Title: "x", Prev: "/x", Next: "/x", Weekdays: []string{"x"}, Weeks: [][]cell{{{Day: sampleTime, Label: "1", Href: "/x", New: "/x", Today: true, Rows: []row{sampleRow, doneRow}, More: 2}, {Day: sampleTime, Label: "1", Other: true, Weekend: true}}}, Filter: &web.Form{}, Team: []ui.Option{{Value: "1", Label: "x"}}, CanUse: true, Cut: true},
	calendarView{View: "day", Filter: &web.Form{}, Weeks: [][]cell{{{Day: sampleTime, Label: "1", Rows: []row{sampleRow}}}}}, calendarView{View: "week", Filter: &web.Form{}, Weeks: [][]cell{{{Day: sampleTime, Label: "1"}}}})

// span is what a view of the calendar shows around a day: whole weeks that begin
// on Monday, or the one day.
func span(view string, on time.Time) (from, to time.Time) {
	y, m, d := on.Date()
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, on.Location()) }
	monday := func(t time.Time) time.Time { return day(t.Year(), t.Month(), t.Day()-(int(t.Weekday())+6)%7) }
	switch view {
	case "day":
		return day(y, m, d), day(y, m, d+1)
	case "week":
		from = monday(day(y, m, d))
		return from, day(from.Year(), from.Month(), from.Day()+7)
	}
	from = monday(day(y, m, 1))
	last := monday(day(y, m+1, 0))
	return from, day(last.Year(), last.Month(), last.Day()+7)
}

// step is the day a view shows before (-1) or after (1) that of on.
func step(view string, on time.Time, n int) time.Time {
	y, m, d := on.Date()
	switch view {
	case "day":
		return time.Date(y, m, d+n, 0, 0, 0, 0, on.Location())
	case "week":
		return time.Date(y, m, d+7*n, 0, 0, 0, 0, on.Location())
	}
	return time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, on.Location())
}

const (
	calendarMost = 500
	cellMost     = 4
)

func (p *pages) calendar(w http.ResponseWriter, r *web.Request) error {
	q, zone := r.URL.Query(), p.Tasks.Zone()
	now := p.Tasks.Now().In(zone)
	v := calendarView{Tabs: tabs(r, "calendar"), View: q.Get("view"), CanUse: r.Actor.Can(task.PermUse)}
	if v.View != "week" && v.View != "day" {
		v.View = "month"
	}
	on, err := time.ParseInLocation(time.DateOnly, q.Get("on"), zone)
	if err != nil || on.Year() < 2000 || on.Year() > 2100 {
		on = now
	}
	owner := q.Get("owner")
	address := func(view string, on time.Time) string {
		a := url.Values{"view": {view}, "on": {on.Format(time.DateOnly)}}
		if owner != "" {
			a.Set("owner", owner)
		}
		return "/tasks/calendar?" + a.Encode()
	}
	for _, x := range []string{"month", "week", "day"} {
		v.Views = append(v.Views, tab{address(x, on), r.T("task.view." + x), x == v.View})
	}
	v.Prev, v.Next, v.Now, v.Back = address(v.View, step(v.View, on, -1)), address(v.View, step(v.View, on, 1)), address(v.View, now), address(v.View, on)
	v.Filter = r.Blank("owner", owner, "view", v.View, "on", on.Format(time.DateOnly))
	from, to := span(v.View, on)
	f := task.Filter{From: from, To: to, Limit: calendarMost}
	if f.OwnerID, _ = strconv.ParseInt(owner, 10, 64); f.OwnerID == 0 && owner != "team" {
		f.OwnerID = r.Actor.ID
	}
	f.Team = owner == "team"
	if v.Team, err = p.team(r); err != nil {
		return err
	}
	if len(v.Team) > 0 {
		v.Team = append([]ui.Option{{Value: "team", Label: r.T("task.calendar.team")}}, v.Team...)
	}
	page, err := p.Tasks.List(r.Context(), task.View(r.Actor), f)
	if err != nil {
		return err
	}
	v.Cut = page.Next != ""
	rows, err := p.rows(r, page.Tasks, v.Back)
	if err != nil {
		return err
	}
	by := map[string][]row{}
	for _, x := range rows {
		if x.State == task.Cancelled {
			continue
		}
		d := x.DueAt.In(zone).Format(time.DateOnly)
		by[d] = append(by[d], x)
	}
	for i := range 7 {
		v.Weekdays = append(v.Weekdays, r.T("task.weekday."+strconv.Itoa(i)))
	}
	var week []cell
	for d := from; d.Before(to); d = step("day", d, 1) {
		key := d.Format(time.DateOnly)
		c := cell{Day: d, Label: strconv.Itoa(d.Day()), Long: dayText(r, d), Href: address("day", d), Other: v.View == "month" && d.Month() != on.Month(), Today: key == now.Format(time.DateOnly), Rows: by[key], Weekend: d.Weekday() == 0 || d.Weekday() == 6}
		if d.Day() == 1 && v.View != "day" {
			c.Label = r.T("task.calendar.first", int(d.Month()))
		}
		if v.CanUse {
			c.New = "/tasks/new?" + url.Values{"on": {key}, "back": {v.Back}}.Encode()
		}
		if n := len(c.Rows); v.View == "month" && n > cellMost {
			c.Rows, c.More = c.Rows[:cellMost], n-cellMost
		}
		if week = append(week, c); len(week) == 7 || v.View == "day" {
			v.Weeks, week = append(v.Weeks, week), nil
		}
	}
	switch last := step("day", to, -1); v.View {
	case "month":
		v.Title = r.T("task.calendar.month", on.Year(), r.T("task.month."+strconv.Itoa(int(on.Month()))))
	case "week":
		v.Title = r.T("task.calendar.week", dayText(r, from), dayText(r, last))
	default:
		v.Title = dayText(r, on) + " " + v.Weekdays[(int(on.Weekday())+6)%7]
	}
	if r.IsFragment() && r.Target() == "cal" {
		return calendarPage.Fragment(w, r, "cal", v)
	}
	return calendarPage.Render(w, r, chrome(r, r.T("task.tab.calendar")), v)
}

func dayText(r *web.Request, d time.Time) string {
	if r.Lang == i18n.ZhCN {
		return d.Format("1月2日")
	}
	return d.Format("2 Jan")
}

// renamed renames a field of a fault: the room speaks of one thing, the form has
// two fields for it.
func renamed(err error, from, to string) error {
	if e, ok := fault.As(err); ok {
		for i := range e.Fields {
			if e.Fields[i].Field == from {
				e.Fields[i].Field = to
			}
		}
	}
	return err
}
