package slaui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/calendar"
	"bihuan/internal/calendar/calendarui"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// Way is how a notice would reach somebody.
type Way struct {
	Way   string    // notify.way.<way>
	Later time.Time // when it waits for the end of his quiet hours, or for his digest
}

// Outlook says how a person would be told of a firing at a time, beside in the
// product itself.
type Outlook func(ctx context.Context, event string, class sla.Class, at time.Time, user int64) ([]Way, error)

type (
	previewView struct {
		Setup       []calendarui.Tab
		Form        *web.Form
		Types       []ui.Option
		Classes     []ui.Option
		Urgencies   []ui.Option
		Levels      []ui.Option
		Channels    []ui.Option
		Departments []ui.Option
		People      []ui.Option
		Asked       bool
		Priority    string
		Policy      string
		PolicyHref  string
		Tried       []passed // policies before it, and why they were not taken
		Start       time.Time
		Clocks      []previewClock
		Days        []previewDay
		Later       []previewClock // those that wait for something else
		LaterDays   []previewDay
	}
	passed struct{ Name, Field string }
	// previewClock is one promise.
	previewClock struct {
		Kind     sla.Kind
		Target   time.Duration
		Calendar string
		Due      time.Time
		Href     string // its ladder
		Hours    string // its calendar's page; "" is 7x24
		Unknown  bool   // the holidays of that year are not known
	}
	// previewDay is what happens on a day.
	previewDay struct {
		Day  time.Time
		Says string // what kind of day it is, and its hours
		Off  bool
		Rows []aheadRow
	}
	aheadRow struct {
		At    time.Time
		Kind  sla.Kind
		Name  string // of the step: sla.step.<name>
		Again int
		When  string
		Told  []toldRow
		None  bool // nobody is told
		How   string
		Rest  string // what goes on after this repetition
	}
	toldRow struct {
		Name    string
		Ways    string
		Instead string
	}
)

var (
	aClock      = previewClock{sla.Update, time.Hour, "c", time.Unix(1, 0), "/x", "/x", true}
	aDay        = previewDay{Day: time.Unix(1, 0), Says: "s", Off: true, Rows: []aheadRow{{At: time.Unix(1, 0), Kind: sla.Update, Name: "warn", When: "w", Told: []toldRow{{"n", "w", "i"}, {Name: "n"}}, How: "h", Rest: "r"}, {Name: "miss", Kind: sla.Update, Again: 2, None: true}}}
	previewPage = ui.NewPage[previewView](files, "preview.html").Sample(previewView{Setup: []calendarui.Tab{{Href: "/x", Label: "x", Current: true}}, Form: &web.Form{}, Asked: true, Priority: "high", Policy: "p", PolicyHref: "/x", Start: time.Unix(1, 0),
		Tried: []passed{{"p", "type"}}, Clocks: []previewClock{aClock}, Days: []previewDay{aDay}, Later: []previewClock{aClock}, LaterDays: []previewDay{aDay}},
		previewView{Form: &web.Form{}})
)

// Bounds of what the page lists of one clock: each firing, but of what is said
// again and again only the first few.
const (
	maxForeseen = 240
	showAgain   = 3
)

// atOnce are the clocks that start when a ticket is registered; the others wait
// for what they measure from.
var atOnce = []sla.Kind{sla.FirstResponse, sla.Acknowledge, sla.Urgent, sla.Resolution}

// preview says what would happen when to a ticket that nobody touches.
func (p *pages) preview(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	for name, code := range map[string]string{"type": ticket.Types[0], "urgency": "normal", "level": "normal", "channel": ticket.Channels[0], "start": r.Now().In(r.Location()).Format("2006-01-02T15:04")} {
		if f.String(name) == "" {
			f.Set(name, code)
		}
	}
	v := previewView{Setup: calendarui.Setup(r, "/admin/ladders/preview"), Form: f}
	for _, x := range []struct {
		to     *[]ui.Option
		prefix string
		codes  []string
	}{{&v.Types, "ticket.type.", ticket.Types}, {&v.Classes, "ticket.class.", ticket.Classes}, {&v.Urgencies, "ticket.urgency.", ticket.Urgencies}, {&v.Levels, "ticket.level.", ticket.Levels}, {&v.Channels, "ticket.channel.", ticket.Channels}} {
		for _, c := range x.codes {
			*x.to = append(*x.to, ui.Option{Value: c, Label: r.T(x.prefix + c)})
		}
	}
	var err error
	if v.Departments, err = p.departments(r, func(int64) bool { return true }); err != nil {
		return err
	}
	if f.ID("department") == 0 && len(v.Departments) > 0 {
		f.Set("department", v.Departments[min(1, len(v.Departments)-1)].Value)
	}
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, ticket.PermHandle, 0)
	if err != nil {
		return err
	}
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department})
	}
	slices.SortStableFunc(v.People, func(a, b ui.Option) int { return cmp.Compare(a.Group, b.Group) })
	v.Start = f.DateTime("start")
	c := p.ladderChrome(r, sla.Update)
	c.Title = r.T("sla.preview.title")
	c.Crumbs[2].Label = c.Title
	err = f.Err()
	if err == nil && (v.Start.Year() < calendar.FirstYear || v.Start.Year() >= calendar.LastYear-1) {
		err = fault.Invalidf("ui.form.invalid").Field("start", "calendar.need_date")
	}
	if err != nil {
		return previewPage.Invalid(w, r, err, f, c, v)
	}
	if err := p.lookAhead(r, &v); err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "ahead" {
		return previewPage.Fragment(w, r, "ahead", v)
	}
	return previewPage.Render(w, r, c, v)
}

func (p *pages) lookAhead(r *web.Request, v *previewView) error {
	ctx, q, f := r.Context(), p.tickets.DB().Read(), v.Form
	c := sla.Case{Type: f.String("type"), Class: f.String("class"), Urgency: f.String("urgency"), Level: f.String("level"), Channel: f.String("channel"), Department: f.ID("department")}
	var err error
	if c.Priority, err = ticket.Priority(ctx, q, c.Urgency, c.Level); err != nil {
		return err
	}
	ps, err := sla.Policies(ctx, q)
	if err != nil {
		return err
	}
	policy := sla.Chosen(ps, c)
	v.Asked, v.Priority, v.Policy, v.PolicyHref = true, c.Priority, policy.Name, "/admin/tickets/policies/"+id(policy.ID)
	for _, x := range sla.Explain(ps, c) {
		if !x.Taken && !x.Later {
			v.Tried = append(v.Tried, passed{x.Name, x.Missed})
		}
	}
	book, err := calendar.Load(ctx, q)
	if err != nil {
		return err
	}
	names, err := p.names(r)
	if err != nil {
		return err
	}
	see := seer{p: p, r: r, department: c.Department, assignee: f.ID("assignee"), names: names, book: book, reached: map[string]sla.Told{}}
	if p.outlook != nil {
		if see.outlook, err = p.outlook(ctx); err != nil {
			return err
		}
	}
	var now, later []aheadRow
	for _, k := range sla.Kinds {
		clock, ok, err := sla.Preview(ctx, q, k, policy, v.Start)
		if err != nil {
			return err
		}
		if !ok || k == sla.Urgent && c.Urgency != "urgent" {
			continue
		}
		row := previewClock{Kind: k, Target: clock.Target, Calendar: r.T("calendar.always"), Due: clock.DueAt, Href: "/admin/ladders/" + string(k)}
		if x, ok := book.Get(clock.Calendar); ok {
			row.Calendar, row.Hours = x.Name, "/admin/calendars/"+id(x.ID)
			row.Unknown = x.Holidays && !book.Known(clock.DueAt.In(calendar.Zone).Year())
		}
		rows, err := see.firings(clock)
		if err != nil {
			return err
		}
		if slices.Contains(atOnce, k) {
			v.Clocks, now = append(v.Clocks, row), append(now, rows...)
		} else {
			v.Later, later = append(v.Later, row), append(later, rows...)
		}
	}
	v.Days, v.LaterDays = see.days(now), see.days(later)
	return nil
}

// seer works out who would be told of what, and how.
type seer struct {
	p                    *pages
	r                    *web.Request
	department, assignee int64
	names                func(what string, id int64) string
	book                 *calendar.Book
	outlook              Outlook // nil: nobody knows
	reached              map[string]sla.Told
}

// firings are the rows of a clock: every firing, of many repetitions the first
// few and then how they go on.
func (s *seer) firings(c sla.Clock) (out []aheadRow, err error) {
	fs := c.Foresee(maxForeseen)
	for i := 0; i < len(fs); i++ {
		x := fs[i]
		row := aheadRow{At: x.At, Kind: c.Kind, Name: x.Step.Name, Again: x.Again}
		if x.Again == 0 {
			row.When, row.How = x.Step.When(s.r.Lang), x.Step.How(s.r.Lang)
		}
		if row.Told, err = s.told(x, ticket.FiringEvent(x)); err != nil {
			return nil, err
		}
		row.None = len(row.Told) == 0 && x.Step.Name != "lapse"
		if x.Again == showAgain {
			last := i
			for last+1 < len(fs) && fs[last+1].Again > x.Again {
				last++
			}
			if n := last - i; n > 0 {
				row.Rest = s.r.T("sla.preview.goes_on", x.Step.Every, n, s.moment(fs[last].At))
				if x.Step.Times == 0 {
					row.Rest = s.r.T("sla.preview.until_known", x.Step.Every, n, s.moment(fs[last].At))
				}
			}
			i = last
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *seer) moment(t time.Time) string {
	return t.In(s.r.Location()).Format("2006-01-02 15:04")
}

func (s *seer) told(x sla.Foreseen, event string) (out []toldRow, err error) {
	key := x.Step.Whom("", func(what string, id int64) string { return what + strconv.FormatInt(id, 10) })
	told, ok := s.reached[key]
	if !ok {
		if told, err = s.p.tickets.Reach(s.r.Context(), s.department, s.assignee, x.Step); err != nil {
			return nil, err
		}
		s.reached[key] = told
	}
	if told.Client {
		out = append(out, toldRow{Name: s.r.T("sla.who.customer"), Ways: s.r.T("sla.preview.his_channel")})
	}
	for _, u := range told.Users {
		row := toldRow{Name: s.names("user", u)}
		for _, w := range told.Instead {
			if w.By == u && w.Away != u {
				row.Instead = s.r.T("sla.preview.instead", s.names("user", w.Away))
			}
		}
		ways := []string{s.r.T("sla.preview.in_product")}
		if s.outlook != nil {
			more, err := s.outlook(s.r.Context(), event, x.Step.Class, x.At, u)
			if err != nil {
				return nil, err
			}
			for _, w := range more {
				name := s.r.T("notify.way." + w.Way)
				if !w.Later.IsZero() {
					name = s.r.T("sla.preview.held", name, w.Later.In(s.r.Location()).Format("01-02 15:04"))
				}
				ways = append(ways, name)
			}
		}
		row.Ways = strings.Join(ways, s.r.T("ticket.list.comma"))
		out = append(out, row)
	}
	return out, nil
}

// days puts the rows in order of time under their days, each with what kind of
// day it is in the company's calendar: why nothing happens on a Sunday.
func (s *seer) days(rows []aheadRow) (out []previewDay) {
	slices.SortStableFunc(rows, func(a, b aheadRow) int { return a.At.Compare(b.At) })
	hours := s.book.Default()
	for _, x := range rows {
		at := x.At.In(s.r.Location())
		day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
		if n := len(out); n == 0 || !out[n-1].Day.Equal(day) {
			d := hours.On(day)
			says := []string{s.r.T("calendar.weekday." + strconv.Itoa(int(day.Weekday())))}
			if d.Kind != calendar.KindWeek {
				says = append(says, strings.TrimSpace(d.Name+" "+s.r.T("calendar.kind."+string(d.Kind))))
			}
			if len(d.Spans) == 0 {
				says = append(says, s.r.T("calendar.off"))
			} else {
				says = append(says, calendar.FormatSpans(d.Spans))
			}
			out = append(out, previewDay{Day: day, Says: strings.Join(says, " · "), Off: len(d.Spans) == 0})
		}
		out[len(out)-1].Rows = append(out[len(out)-1].Rows, x)
	}
	return out
}
