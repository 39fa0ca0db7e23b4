// Package calendarui lets an administrator keep working hours, the company's own
// days and public holidays, and try what a deadline comes to. It holds no rules;
// they are in package calendar.
package calendarui

import (
	"context"
	"embed"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/calendar"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "calendar.css")
	_ = []struct{}{ui.SetTone("calendar.holiday", "green"), ui.SetTone("calendar.makeup", "orange"), ui.SetTone("calendar.own", "violet"), ui.SetTone("calendar.week", "gray")}
)

type (
	row struct {
		ID       int64
		Name     string
		Lines    []line // the week in few words
		Holidays bool
		Default  bool
		Active   bool
		Own      int
	}
	line struct{ Days, Hours string }

	listView struct {
		Setup   []Tab
		Rows    []row
		Year    int // whose holidays are missing; 0: none
		Years   []yearRow
		Beyond  int // deadlines in years whose holidays are not known
		Since   time.Time
		Trial   *web.Form
		Options []ui.Option
		Result  *result
	}
	yearRow struct {
		Year      int
		Off, Work int
		Source    string
		By        string
		At        time.Time
		Imported  bool
		Statutory bool
	}
	// result of a trial.
	result struct {
		Start, Due time.Time
		Elapsed    time.Duration
		HasDue     bool
		HasElapsed bool
		Until      time.Time
		Days       []dayLine // on the way that are not as every week
		More       int
		Unknown    int // the year of Due, whose holidays are not known
	}
	dayLine struct {
		Day   time.Time
		Kind  string
		Name  string
		Hours string
	}

	formView struct {
		Form     *web.Form
		ID       int64
		New      bool
		Active   bool
		Default  bool
		Days     []weekday
		Weekdays []ui.Option
		Own      []ownRow
		DayForm  *web.Form
		Others   []ui.Option
		Year     int
		Prev     int
		Next     int
		Months   []month
		Known    bool
	}
	weekday struct{ Name, Label string }
	ownRow  struct {
		Date, Name, Hours string
		Past              bool
	}
	month struct {
		Title string
		Weeks [][]cell
		Days  int // worked
	}
	cell struct {
		N     int
		Kind  string // "": week
		Off   bool
		Title string
		Today bool
	}

	holidaysView struct {
		Form  *web.Form
		Years []yearRow
		Year  int // missing
		Shown *yearShown
	}
	yearShown struct {
		yearRow
		Lines []dayLine
	}
)

var (
	sampleYear = yearRow{Year: 2027, Off: 30, Work: 6, Source: "x", By: "x", At: time.Unix(1, 0), Imported: true, Statutory: true}
	listPage   = ui.NewPage[listView](files, "list.html").Sample(listView{Setup: []Tab{{"/x", "x", true}},
		Rows: []row{{ID: 0, Name: "7x24"}, {ID: 1, Name: "A", Lines: []line{{"x", "09:00-18:00"}}, Holidays: true, Default: true, Active: true, Own: 2}, {ID: 2, Name: "B"}},
		Year: 2027, Years: []yearRow{sampleYear, {Year: 2026}}, Beyond: 3, Since: time.Unix(1, 0), Trial: &web.Form{},
		Result: &result{Start: time.Unix(1, 0), Due: time.Unix(2, 0), HasDue: true, HasElapsed: true, Until: time.Unix(3, 0), Elapsed: time.Hour, Days: []dayLine{{time.Unix(1, 0), "holiday", "x", "09:00-12:00"}}, More: 2, Unknown: 2028}})
	formPage = ui.NewPage[formView](files, "form.html").Sample(formView{Form: &web.Form{}, New: true, Days: []weekday{{"d1", "calendar.weekday.1"}}},
		formView{Form: &web.Form{}, ID: 1, Active: true, Days: []weekday{{"d1", "calendar.weekday.1"}}, DayForm: &web.Form{}, Own: []ownRow{{"2026-01-01", "x", "09:00-12:00", true}, {"2026-01-02", "x", "", false}}, Year: 2026, Prev: 2025, Next: 2027,
			Months: []month{{"x", [][]cell{{{}, {1, "holiday", true, "x", true}, {2, "", false, "", false}}}, 20}}})
	holidaysPage = ui.NewPage[holidaysView](files, "holidays.html").Sample(holidaysView{Form: &web.Form{}, Years: []yearRow{sampleYear, {Year: 2026}}, Year: 2027, Shown: &yearShown{sampleYear, []dayLine{{time.Unix(1, 0), "holiday", "x", ""}, {time.Unix(1, 0), "makeup", "x", ""}}}})
)

// Rooms are what the pages show beside calendars.
type Rooms struct {
	Calendars *calendar.Service
	// Beyond counts the deadlines from at on; nil: nobody counts.
	Beyond func(ctx context.Context, at time.Time) (int, error)
}

type pages struct{ Rooms }

// Routes of the settings.
func Routes(rt *web.Router, rooms Rooms) {
	p := &pages{rooms}
	rt.Handle("GET  /admin/calendars", calendar.PermManage, p.list)
	rt.Handle("GET  /admin/calendars/new", calendar.PermManage, p.showNew)
	rt.Handle("GET  /admin/calendars/holidays", calendar.PermManage, p.holidays)
	rt.Handle("POST /admin/calendars/holidays", calendar.PermManage, p.importYear, web.MaxBody(1<<20))
	rt.Handle("POST /admin/calendars/holidays/{year}/removal", calendar.PermManage, p.reset)
	rt.Handle("POST /admin/calendars", calendar.PermManage, p.save)
	rt.Handle("GET  /admin/calendars/{id}", calendar.PermManage, p.show)
	rt.Handle("POST /admin/calendars/{id}", calendar.PermManage, p.save)
	rt.Handle("POST /admin/calendars/{id}/activity", calendar.PermManage, p.setActive)
	rt.Handle("POST /admin/calendars/{id}/days", calendar.PermManage, p.setDays)
	rt.Handle("POST /admin/calendars/{id}/days/{date}/removal", calendar.PermManage, p.removeDay)
}

// Nav is the entry of the settings.
func Nav() ui.Nav {
	return ui.Nav{Key: "calendars", Href: "/admin/calendars", Icon: "calendar", LabelKey: "calendar.title", Perm: calendar.PermManage, Group: "org.admin"}
}

func chrome(r *web.Request, sub string) ui.Chrome {
	c := ui.Chrome{Title: r.T("calendar.title"), Nav: "calendars", Assets: []string{"calendar.css"}, Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("calendar.title"), Href: "/admin/calendars"}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

// order of the weekdays on the screen: Monday first.
var order = [7]time.Weekday{1, 2, 3, 4, 5, 6, 0}

// lines say a week in few words: weekdays with the same hours together.
func lines(r *web.Request, w calendar.Week) (out []line) {
	for i := 0; i < 7; {
		hours := calendar.FormatSpans(w[order[i]])
		j := i
		for j+1 < 7 && calendar.FormatSpans(w[order[j+1]]) == hours {
			j++
		}
		days := r.T("calendar.weekday." + strconv.Itoa(int(order[i])))
		if j > i {
			days = r.T("calendar.days_range", days, r.T("calendar.weekday."+strconv.Itoa(int(order[j]))))
		}
		if hours == "" {
			hours = r.T("calendar.off")
		}
		out = append(out, line{days, hours})
		i = j + 1
	}
	return out
}

func yearRows(b *calendar.Book) (out []yearRow) {
	for n := calendar.LastYear; n >= calendar.FirstYear; n-- {
		if y, ok := b.Years()[n]; ok {
			out = append(out, rowOf(y))
		}
	}
	return out
}

func rowOf(y calendar.Year) yearRow {
	return yearRow{y.Year, y.Off(), y.Work(), y.Source, y.By, y.At, y.Imported, y.Statutory}
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	b, err := p.Calendars.Book(r.Context())
	if err != nil {
		return err
	}
	v := listView{Setup: Setup(r, "/admin/calendars"), Year: b.Missing(r.Now()), Years: yearRows(b), Since: b.Unknown(r.Now())}
	for _, c := range b.All() {
		v.Rows = append(v.Rows, row{c.ID, c.Name, lines(r, c.Week), c.Holidays, c.Default, c.Active, len(c.Own)})
		if c.Active {
			v.Options = append(v.Options, ui.Option{Value: strconv.FormatInt(c.ID, 10), Label: c.Name})
		}
	}
	v.Rows = append(v.Rows, row{Name: r.T("calendar.always"), Active: true})
	v.Options = append(v.Options, ui.Option{Value: "0", Label: r.T("calendar.always")})
	if p.Beyond != nil {
		if v.Beyond, err = p.Beyond(r.Context(), v.Since); err != nil {
			return err
		}
	}
	v.Trial = r.Input()
	if !v.Trial.Has("calendar") {
		v.Trial = r.Blank("calendar", strconv.FormatInt(b.DefaultID(), 10), "at", r.Now().In(r.Location()).Format("2006-01-02T15:04"), "minutes", "480")
	} else {
		v.Result = try(r, b, v.Trial)
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "outcome", v)
	}
	return listPage.Render(w, r, chrome(r, ""), v)
}

// shownDays are named on the way to a deadline.
const shownDays = 12

// try works out what was asked; complaints stand at their fields.
func try(r *web.Request, b *calendar.Book, f *web.Form) *result {
	start, minutes, until := f.DateTime("at"), f.IntIn("minutes", 0, 525600), f.DateTime("until")
	if start.IsZero() {
		f.Fail("at", "calendar.need_date")
	}
	if f.Err() != nil {
		return nil
	}
	id, _ := strconv.ParseInt(f.Get("calendar"), 10, 64)
	t := b.Of(id)
	out := &result{Start: start, Until: until, HasElapsed: !until.IsZero()}
	last := until
	if out.HasDue = minutes > 0; out.HasDue {
		if out.Due = t.Due(start, time.Duration(minutes)*time.Minute); out.Due.After(last) {
			last = out.Due
		}
		if y := out.Due.In(calendar.Zone).Year(); id != 0 && !b.Known(y) {
			out.Unknown = y
		}
	}
	if out.HasElapsed {
		out.Elapsed = t.Elapsed(start, until)
	}
	if id == 0 {
		return out
	}
	for d := start; !d.After(last) && d.Sub(start) < 2*366*24*time.Hour; d = d.AddDate(0, 0, 1) {
		day := t.On(d)
		if day.Kind == calendar.KindWeek {
			continue
		}
		if len(out.Days) == shownDays {
			out.More++
			continue
		}
		out.Days = append(out.Days, lineOf(r, d, day))
	}
	return out
}

func lineOf(r *web.Request, d time.Time, day calendar.Day) dayLine {
	l := dayLine{d, string(day.Kind), day.Name, calendar.FormatSpans(day.Spans)}
	if l.Hours == "" {
		l.Hours = r.T("calendar.off")
	}
	return l
}

func weekdays(r *web.Request) (days []weekday, options []ui.Option) {
	for _, d := range order {
		n := strconv.Itoa(int(d))
		days = append(days, weekday{"d" + n, "calendar.weekday." + n})
		options = append(options, ui.Option{Value: n, Label: r.T("calendar.weekday." + n)})
	}
	return days, options
}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	v := formView{New: true, Form: r.Blank("makeup", "1", "holidays", "1")}
	for d, spans := range calendar.Standard().Week {
		v.Form.Set("d"+strconv.Itoa(d), calendar.FormatSpans(spans))
	}
	v.Days, v.Weekdays = weekdays(r)
	return formPage.Render(w, r, chrome(r, r.T("calendar.new")), v)
}

// view loads the page of a calendar; the forms given keep what was typed.
func (p *pages) view(r *web.Request, id int64, form, days *web.Form) (v formView, c calendar.Calendar, err error) {
	b, err := p.Calendars.Book(r.Context())
	if err != nil {
		return v, c, err
	}
	c, ok := b.Get(id)
	if !ok {
		return v, c, ui.NoSuchPage()
	}
	yes := map[bool]string{true: "1"}
	if form == nil {
		form = r.Blank("name", c.Name, "makeup", strconv.Itoa(int(c.Makeup)), "holidays", yes[c.Holidays], "default", yes[c.Default], "version", strconv.FormatInt(c.Version, 10))
		for d, spans := range c.Week {
			form.Set("d"+strconv.Itoa(d), calendar.FormatSpans(spans))
		}
	}
	if days == nil {
		days = r.Blank("calendars", strconv.FormatInt(id, 10))
	}
	v = formView{Form: form, ID: id, Active: c.Active, Default: c.Default, DayForm: days}
	v.Days, v.Weekdays = weekdays(r)
	for _, o := range b.All() {
		if o.Active || o.ID == id {
			v.Others = append(v.Others, ui.Option{Value: strconv.FormatInt(o.ID, 10), Label: o.Name})
		}
	}
	today := r.Now().In(calendar.Zone)
	for i := len(c.Own) - 1; i >= 0; i-- {
		e := c.Own[i]
		v.Own = append(v.Own, ownRow{e.Date, e.Name, calendar.FormatSpans(e.Spans), e.Date < today.Format(time.DateOnly)})
	}
	v.Year, _ = strconv.Atoi(r.URL.Query().Get("year"))
	if v.Year <= calendar.FirstYear || v.Year >= calendar.LastYear {
		v.Year = today.Year()
	}
	v.Prev, v.Next, v.Known = v.Year-1, v.Year+1, !c.Holidays || b.Known(v.Year)
	v.Months = months(r, b.Of(id), v.Year, today)
	return v, c, nil
}

// months are a year as it is drawn.
func months(r *web.Request, t *calendar.Times, year int, today time.Time) (out []month) {
	for m := time.January; m <= time.December; m++ {
		first := calendar.Date(year, m, 1)
		x := month{Title: r.T("calendar.month." + strconv.Itoa(int(m)))}
		week := make([]cell, (int(first.Weekday())+6)%7)
		for d := first; d.Month() == m; d = d.AddDate(0, 0, 1) {
			day := t.On(d)
			c := cell{N: d.Day(), Off: len(day.Spans) == 0, Today: d.Format(time.DateOnly) == today.Format(time.DateOnly)}
			if day.Kind != calendar.KindWeek {
				c.Kind = string(day.Kind)
			}
			hours := calendar.FormatSpans(day.Spans)
			if c.Off {
				hours = r.T("calendar.off")
			} else {
				x.Days++
			}
			c.Title = strings.TrimSpace(d.Format(time.DateOnly) + " " + day.Name + " " + hours)
			if week = append(week, c); len(week) == 7 {
				x.Weeks, week = append(x.Weeks, week), nil
			}
		}
		if len(week) > 0 {
			x.Weeks = append(x.Weeks, append(week, make([]cell, 7-len(week))...))
		}
		out = append(out, x)
	}
	return out
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, c, err := p.view(r, id, nil, nil)
	if err != nil {
		return err
	}
	return formPage.Render(w, r, chrome(r, c.Name), v)
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) error {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64) // 0: a new one
	f := r.Input()
	c := calendar.Calendar{ID: id, Name: f.String("name"), Makeup: time.Weekday(f.Int("makeup")), Holidays: f.Bool("holidays"), Default: f.Bool("default"), Version: f.Int64("version")}
	for d := range c.Week {
		name := "d" + strconv.Itoa(d)
		spans, key := calendar.ParseSpans(f.Get(name))
		if key != "" {
			f.Fail(name, key)
		}
		c.Week[d] = spans
	}
	err := f.Err()
	if err == nil {
		id, err = p.Calendars.Save(r.Context(), r.Actor, c, f.Bool("apply"))
	}
	if err != nil {
		v := formView{New: true, Form: f}
		v.Days, v.Weekdays = weekdays(r)
		if c.ID != 0 {
			var verr error
			if v, _, verr = p.view(r, c.ID, f, nil); verr != nil {
				return verr
			}
		}
		return formPage.Invalid(w, r, err, f, chrome(r, c.Name), v)
	}
	r.Flash(w, "green", "calendar.saved", c.Name)
	return r.SeeOther(w, "/admin/calendars/%d", id)
}

func (p *pages) setActive(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Calendars.SetActive(r.Context(), r.Actor, id, r.Input().Bool("active")); err != nil {
		return err
	}
	return r.SeeOther(w, "/admin/calendars/%d", id)
}

func (p *pages) setDays(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	in := calendar.Days{Calendars: f.IDs("calendars"), From: f.Date("from"), To: f.Date("to"), Name: f.String("day_name"), Apply: f.Bool("apply_days")}
	spans, key := calendar.ParseSpans(f.Get("spans"))
	if key != "" {
		f.Fail("spans", key)
	}
	in.Spans = spans
	if err = f.Err(); err == nil {
		err = p.Calendars.SetDays(r.Context(), r.Actor, in)
	}
	if err != nil {
		if fe, ok := fault.As(err); ok {
			for i := range fe.Fields {
				if fe.Fields[i].Field == "name" {
					fe.Fields[i].Field = "day_name" // the page has two names
				}
			}
		}
		v, c, verr := p.view(r, id, nil, f)
		if verr != nil {
			return verr
		}
		return formPage.Invalid(w, r, err, f, chrome(r, c.Name), v)
	}
	r.Flash(w, "green", "calendar.days_saved", in.Name)
	return r.SeeOther(w, "/admin/calendars/%d?year=%d#days", id, in.From.Year())
}

func (p *pages) removeDay(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Calendars.RemoveDay(r.Context(), r.Actor, id, r.PathValue("date"), r.Input().Bool("apply")); err != nil {
		return err
	}
	r.Flash(w, "green", "calendar.day_removed")
	return r.SeeOther(w, "/admin/calendars/%d#days", id)
}

func (p *pages) holidaysView(r *web.Request, f *web.Form) (v holidaysView, err error) {
	b, err := p.Calendars.Book(r.Context())
	if err != nil {
		return v, err
	}
	v = holidaysView{Form: f, Years: yearRows(b), Year: b.Missing(r.Now())}
	n, _ := strconv.Atoi(r.URL.Query().Get("year"))
	if y, ok := b.Years()[n]; ok {
		v.Shown = &yearShown{yearRow: rowOf(y)}
		for _, h := range y.Days {
			d, ok := calendar.ParseDate(h.Date)
			if !ok {
				continue
			}
			kind := calendar.KindMakeup
			if h.IsOff {
				kind = calendar.KindHoliday
			}
			v.Shown.Lines = append(v.Shown.Lines, dayLine{d, string(kind), h.Name, ""})
		}
	}
	return v, nil
}

func holidaysChrome(r *web.Request) ui.Chrome { return chrome(r, r.T("calendar.holidays")) }

func (p *pages) holidays(w http.ResponseWriter, r *web.Request) error {
	v, err := p.holidaysView(r, r.Blank())
	if err != nil {
		return err
	}
	return holidaysPage.Render(w, r, holidaysChrome(r), v)
}

// maxFile is far more than a year of holidays has.
const maxFile = 200 << 10

func (p *pages) importYear(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	text := f.Get("text")
	if h := f.File("file"); h != nil {
		file, err := h.Open()
		if err != nil {
			return err
		}
		defer file.Close()
		raw, err := io.ReadAll(io.LimitReader(file, maxFile))
		if err != nil {
			return err
		}
		text = string(raw)
	}
	y, key, args := calendar.ParseYear(text)
	if key != "" {
		f.Fail("text", key, args...)
	}
	if s := f.String("source"); s != "" {
		y.Source = s
	}
	err := f.Err()
	if err == nil {
		err = p.Calendars.Import(r.Context(), r.Actor, y, f.Bool("apply"))
	}
	if err != nil {
		f.Set("text", text)
		v, verr := p.holidaysView(r, f)
		if verr != nil {
			return verr
		}
		return holidaysPage.Invalid(w, r, err, f, holidaysChrome(r), v)
	}
	r.Flash(w, "green", "calendar.imported", y.Year, y.Off(), y.Work())
	return r.SeeOther(w, "/admin/calendars/holidays?year=%d", y.Year)
}

func (p *pages) reset(w http.ResponseWriter, r *web.Request) error {
	year, _ := strconv.Atoi(r.PathValue("year"))
	if err := p.Calendars.Reset(r.Context(), r.Actor, year, false); err != nil {
		return err
	}
	r.Flash(w, "green", "calendar.reset", year)
	return r.SeeOther(w, "/admin/calendars/holidays")
}
