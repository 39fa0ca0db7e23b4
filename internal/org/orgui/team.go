package orgui

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	teamView struct {
		Tabs  []tab
		Rows  []mateRow
		Today []string // who is on duty now
	}
	mateRow struct {
		org.Mate
		Duty  string // ticket.duty.<duty>
		Says  []string
		Stand string // who stands in for him
	}
	mateView struct {
		Mate           mateRow
		Presence       *web.Form
		Availabilities []ui.Option
		People         []ui.Option
		Week           hoursView
		HandOver       []org.OpenWork
	}
	hoursView struct {
		Form   *web.Form
		Days   []hoursDay
		Action string
	}
	hoursDay struct {
		Label, Name string // day1
		Spans       []hoursSpan
	}
	hoursSpan struct{ From, To, FromLabel, ToLabel string } // names of the fields
	dutyView  struct {
		Tabs        []tab
		Form        *web.Form
		Rows        []dutyRow
		People      []ui.Option
		Departments []ui.Option
		Weekdays    []ui.Option
	}
	dutyRow struct {
		ID               int64
		Name, Department string
		When             string
		Now, May         bool
	}
)

var (
	aMate = mateRow{Mate: org.Mate{Person: org.Person{ID: 1, Name: "n", Department: "d", Availability: org.Online, Away: true, Capacity: 3}, OnDuty: true, AtWork: true, AwayUntil: time.Unix(1, 0), Skills: []string{"k"}}, Duty: "away", Says: []string{"s"}, Stand: "s"}
	aWeek = hoursView{Form: &web.Form{}, Action: "/x", Days: []hoursDay{{"l", "day1", []hoursSpan{{"f", "t", "fl", "tl"}}}}}

	teamPage = ui.NewPage[teamView](files, "team.html", "tabs.html").Sample(teamView{Tabs: aTab, Rows: []mateRow{aMate, {Duty: "online"}}, Today: []string{"n"}}, teamView{Tabs: aTab})
	matePage = ui.NewPage[mateView](files, "mate.html", "hours.html").Sample(mateView{Mate: aMate, Week: aWeek, HandOver: []org.OpenWork{{Name: "common.yes", Count: 1, Page: "/x"}}})
	dutyPage = ui.NewPage[dutyView](files, "duty.html", "tabs.html").Sample(dutyView{Tabs: aTab, Form: &web.Form{}, Rows: []dutyRow{{1, "n", "d", "w", true, true}, {}}}, dutyView{Tabs: aTab, Form: &web.Form{}})
)

// TeamNav are the entries for whoever keeps the roster.
func TeamNav() []ui.Nav {
	return []ui.Nav{{Key: "team", Href: "/team", Icon: "users", LabelKey: "org.team.title", Perm: org.PermRoster, Group: "sla.nav"}}
}

func (p *pages) teamRoutes(rt *web.Router) {
	rt.Handle("GET  /team", org.PermRoster, p.team)
	rt.Handle("GET  /team/duty", org.PermRoster, p.duty)
	rt.Handle("POST /team/duty", org.PermRoster, p.addTurn)
	rt.Handle("POST /team/duty/{id}/removal", org.PermRoster, p.removeTurn)
	rt.Handle("GET  /team/{id}", org.PermRoster, p.mate)
	rt.Handle("POST /team/{id}/presence", org.PermRoster, p.setMatePresence)
	rt.Handle("POST /team/{id}/hours", org.PermRoster, p.setMateHours)
	rt.Handle("POST /account/hours", org.PermAccount, p.setMyHours)
}

func teamChrome(r *web.Request, sub string) ui.Chrome {
	c := ui.Chrome{Title: r.T("org.team.title"), Nav: "team", Crumbs: []ui.Crumb{{Label: r.T("sla.nav")}, {Label: r.T("org.team.title"), Href: "/team"}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

func teamTabs(r *web.Request, now string) (out []tab) {
	for _, t := range []struct{ href, key string }{{"/team", "org.team.people"}, {"/team/duty", "org.duty.title"}} {
		out = append(out, tab{Href: t.href, Label: r.T(t.key), Current: t.href == now})
	}
	return out
}

func (p *pages) row(r *web.Request, m org.Mate) mateRow {
	row := mateRow{Mate: m, Duty: string(m.Availability), Says: sayWeek(r, m.Hours)}
	switch {
	case m.Away:
		row.Duty = "away"
	case !m.AtWork:
		row.Duty = "off"
	}
	if m.DelegateID != 0 {
		row.Stand = p.org.Name(r.Context(), m.DelegateID)
	}
	return row
}

// sayWeek says hours in words, days with the same hours together: "周一至周五
// 09:00–18:00".
func sayWeek(r *web.Request, hours []org.Span) (out []string) {
	day := func(d int) (spans []string) {
		for _, h := range hours {
			if h.Weekday == d {
				spans = append(spans, org.Clock(h.From)+"–"+org.Clock(h.To))
			}
		}
		return spans
	}
	for d := 1; d <= 7; d++ {
		spans := day(d)
		if len(spans) == 0 {
			continue
		}
		last := d
		for last < 7 && slices.Equal(day(last+1), spans) {
			last++
		}
		name := r.T("org.weekday." + strconv.Itoa(d))
		if last > d {
			name = r.T("org.weekday.to", name, r.T("org.weekday."+strconv.Itoa(last)))
		}
		out = append(out, name+" "+strings.Join(spans, " "))
		d = last
	}
	return out
}

func (p *pages) team(w http.ResponseWriter, r *web.Request) error {
	all, err := p.org.Roster(r.Context(), authz.For(r.Actor, org.PermRoster))
	if err != nil {
		return err
	}
	v := teamView{Tabs: teamTabs(r, "/team")}
	for _, m := range all {
		v.Rows = append(v.Rows, p.row(r, m))
		if m.OnDuty {
			v.Today = append(v.Today, m.Name)
		}
	}
	return teamPage.Render(w, r, teamChrome(r, ""), v)
}

// someone is the person the address names, if the reader keeps his roster.
func (p *pages) someone(r *web.Request) (org.Mate, error) {
	n, err := r.PathID("id")
	if err != nil {
		return org.Mate{}, err
	}
	all, err := p.org.Roster(r.Context(), authz.For(r.Actor, org.PermRoster))
	if err != nil {
		return org.Mate{}, err
	}
	for _, m := range all {
		if m.ID == n {
			return m, nil
		}
	}
	return org.Mate{}, ui.NoSuchPage()
}

func (p *pages) mateView(r *web.Request, m org.Mate) (v mateView, err error) {
	u := org.User{Availability: m.Availability, AwayFrom: m.AwayFrom, AwayUntil: m.AwayUntil, DelegateID: m.DelegateID}
	v = mateView{Mate: p.row(r, m), Presence: presenceForm(r, u), Availabilities: availabilityOptions(r), Week: week(r, m.Hours, nil, fmt.Sprintf("/team/%d/hours", m.ID))}
	people, err := p.personOptions(r, m.DelegateID)
	if err != nil {
		return v, err
	}
	v.People = slices.DeleteFunc(people, func(o ui.Option) bool { return o.Value == id(m.ID) })
	v.HandOver, err = p.org.Transferable(r.Context(), r.Actor, org.User{ID: m.ID, DepartmentID: m.DepartmentID, Active: true, AwayFrom: m.AwayFrom, AwayUntil: m.AwayUntil})
	return v, err
}

// week is the form of somebody's hours: two spans a day; f keeps what was typed.
func week(r *web.Request, hours []org.Span, f *web.Form, action string) hoursView {
	v := hoursView{Form: f, Action: action}
	if f == nil {
		v.Form = r.Blank()
		at := map[int]int{}
		for _, h := range hours {
			if at[h.Weekday]++; at[h.Weekday] <= 2 {
				n := fmt.Sprintf("d%d%d", h.Weekday, at[h.Weekday])
				v.Form.Set(n+"f", org.Clock(h.From)).Set(n+"t", org.Clock(h.To))
			}
		}
	}
	for d := 1; d <= 7; d++ {
		x := hoursDay{Label: r.T("org.weekday." + strconv.Itoa(d)), Name: "day" + strconv.Itoa(d)}
		for n := 1; n <= 2; n++ {
			name := fmt.Sprintf("d%d%d", d, n)
			x.Spans = append(x.Spans, hoursSpan{name + "f", name + "t", r.T("org.hours.from", x.Label, n), r.T("org.hours.to", x.Label, n)})
		}
		v.Days = append(v.Days, x)
	}
	return v
}

// minute reads "09:30"; "24:00" is the end of the day, and so is "00:00" as an
// end.
func minute(s string, end bool) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hours, err := strconv.Atoi(h)
	minutes, err2 := strconv.Atoi(m)
	if !ok || err != nil || err2 != nil || hours < 0 || hours > 24 || minutes < 0 || minutes > 59 {
		return 0, false
	}
	n := hours*60 + minutes
	if end && n == 0 {
		n = 24 * 60
	}
	return n, true
}

func readWeek(f *web.Form) (out []org.Span) {
	for d := 1; d <= 7; d++ {
		for n := 1; n <= 2; n++ {
			name := fmt.Sprintf("d%d%d", d, n)
			from, to := f.String(name+"f"), f.String(name+"t")
			if from == "" && to == "" {
				continue
			}
			a, ok := minute(from, false)
			b, ok2 := minute(to, true)
			if !ok || !ok2 {
				f.Fail("day"+strconv.Itoa(d), "org.hours.span")
				continue
			}
			out = append(out, org.Span{Weekday: d, From: a, To: b})
		}
	}
	return out
}

func (p *pages) mate(w http.ResponseWriter, r *web.Request) error {
	m, err := p.someone(r)
	if err != nil {
		return err
	}
	v, err := p.mateView(r, m)
	if err != nil {
		return err
	}
	return matePage.Render(w, r, teamChrome(r, m.Name), v)
}

// mateStep changes somebody and shows his page again when it is refused.
func (p *pages) mateStep(w http.ResponseWriter, r *web.Request, put func(v *mateView, f *web.Form), do func(m org.Mate, f *web.Form) error) error {
	m, err := p.someone(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if err := do(m, f); err != nil {
		v, verr := p.mateView(r, m)
		if verr != nil {
			return verr
		}
		put(&v, f)
		return matePage.Invalid(w, r, err, f, teamChrome(r, m.Name), v)
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/team/%d", m.ID)
}

func (p *pages) setMatePresence(w http.ResponseWriter, r *web.Request) error {
	return p.mateStep(w, r, func(v *mateView, f *web.Form) { v.Presence = f }, func(m org.Mate, f *web.Form) error {
		in := readPresence(f)
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.SetPresence(r.Context(), r.Actor, m.ID, in)
	})
}

func (p *pages) setMateHours(w http.ResponseWriter, r *web.Request) error {
	return p.mateStep(w, r, func(v *mateView, f *web.Form) { v.Week.Form = f }, func(m org.Mate, f *web.Form) error {
		hours := readWeek(f)
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.SetHours(r.Context(), r.Actor, m.ID, hours)
	})
}

func (p *pages) setMyHours(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	hours := readWeek(f)
	err := f.Err()
	if err == nil {
		err = p.org.SetHours(r.Context(), r.Actor, r.Actor.ID, hours)
	}
	if err != nil {
		v, verr := p.accountView(r)
		if verr != nil {
			return verr
		}
		v.Week.Form = f
		return accountPage.Invalid(w, r, err, f, accountChrome(r), v)
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/account")
}

func (p *pages) dutyView(r *web.Request, f *web.Form) (v dutyView, err error) {
	sc := authz.For(r.Actor, org.PermRoster)
	v = dutyView{Tabs: teamTabs(r, "/team/duty"), Form: f}
	turns, err := p.org.Turns(r.Context(), sc)
	if err != nil {
		return v, err
	}
	user, department, err := p.org.Names(r.Context())
	if err != nil {
		return v, err
	}
	for _, t := range turns {
		row := dutyRow{ID: t.ID, Name: user(t.UserID), Department: department(t.DepartmentID), Now: t.Covers(r.Now()),
			May: sc.Everything() || t.DepartmentID != 0 && sc.Matches(nil, t.DepartmentID)}
		if t.DepartmentID == 0 {
			row.Department = r.T("org.duty.company")
		}
		if t.Weekday > 0 {
			row.When = r.T("org.duty.weekly", r.T("org.weekday."+strconv.Itoa(t.Weekday))) + " " + org.Clock(t.FromMinute) + "–" + org.Clock(t.ToMinute)
		} else {
			row.When = t.From.In(r.Location()).Format("2006-01-02 15:04") + " – " + t.To.In(r.Location()).Format("2006-01-02 15:04")
		}
		v.Rows = append(v.Rows, row)
	}
	if v.People, err = p.personOptions(r); err != nil {
		return v, err
	}
	all, err := p.departmentOptions(r)
	if err != nil {
		return v, err
	}
	for _, o := range all {
		n, _ := strconv.ParseInt(o.Value, 10, 64)
		if sc.Everything() || slices.Contains(sc.Departments(), n) {
			v.Departments = append(v.Departments, o)
		}
	}
	if sc.Everything() {
		v.Departments = append([]ui.Option{{Value: "0", Label: r.T("org.duty.company")}}, v.Departments...)
	}
	v.Weekdays = []ui.Option{{Value: "0", Label: r.T("org.duty.once")}}
	for d := 1; d <= 7; d++ {
		v.Weekdays = append(v.Weekdays, ui.Option{Value: strconv.Itoa(d), Label: r.T("org.duty.weekly", r.T("org.weekday."+strconv.Itoa(d)))})
	}
	return v, nil
}

func (p *pages) duty(w http.ResponseWriter, r *web.Request) error {
	v, err := p.dutyView(r, r.Blank("weekday", "1", "from_time", "09:00", "to_time", "18:00"))
	if err != nil {
		return err
	}
	return dutyPage.Render(w, r, teamChrome(r, r.T("org.duty.title")), v)
}

func (p *pages) addTurn(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	t := org.Turn{UserID: f.ID("user"), Weekday: f.IntIn("weekday", 0, 7)}
	t.DepartmentID, _ = strconv.ParseInt(f.String("department"), 10, 64)
	if t.Weekday > 0 {
		var ok, ok2 bool
		t.FromMinute, ok = minute(f.String("from_time"), false)
		t.ToMinute, ok2 = minute(f.String("to_time"), true)
		if !ok || !ok2 {
			f.Fail("to_time", "org.hours.span")
		}
	} else {
		t.From, t.To = f.DateTime("from"), f.DateTime("to")
	}
	err := f.Err()
	if err == nil {
		_, err = p.org.AddTurn(r.Context(), r.Actor, t)
	}
	if err != nil {
		v, verr := p.dutyView(r, f)
		if verr != nil {
			return verr
		}
		return dutyPage.Invalid(w, r, err, f, teamChrome(r, r.T("org.duty.title")), v)
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/team/duty")
}

func (p *pages) removeTurn(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.org.RemoveTurn(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/team/duty")
}
