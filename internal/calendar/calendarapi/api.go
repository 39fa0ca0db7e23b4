// Package calendarapi is the JSON API of working calendars and holidays.
package calendarapi

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/calendar"
	"bihuan/internal/fault"
)

type service struct{ calendars *calendar.Service }

const (
	tag   = "Working calendars"
	read  = "calendars:read"
	write = "calendars:write"
)

// Routes adds the operations.
func Routes(a *api.API, c *calendar.Service) {
	s := &service{c}
	api.Handle(a, api.Op{ID: "list-calendars", Method: "GET", Path: "/calendars", Tag: tag, Perm: calendar.PermManage, Scope: read,
		Summary: "List working calendars", Description: "With the company's own days of each. The calendar with id 0 is 24/7: all time counts."}, s.list)
	api.Handle(a, api.Op{ID: "get-calendar-days", Method: "GET", Path: "/calendars/{id}/days", Tag: tag, Perm: calendar.PermManage, Scope: read, Errors: []int{404},
		Summary: "Read the days of a calendar", Description: "Each day from `from` to `to`, both included, at most 400, with its hours and why it has them."}, s.days)
	api.Handle(a, api.Op{ID: "set-calendar-day", Method: "PUT", Path: "/calendars/{id}/days/{date}", Tag: tag, Perm: calendar.PermManage, Scope: write, Errors: []int{404},
		Example: `{"name":"台风停工","hours":"","apply":true}`,
		Summary: "Set a day of the company's own", Description: "It comes before public holidays, make-up workdays and the week. Empty `hours` is off. With `apply`, deadlines that run are counted anew, and no time used is lost."}, s.setDay)
	api.Handle(a, api.Op{ID: "remove-calendar-day", Method: "DELETE", Path: "/calendars/{id}/days/{date}", Tag: tag, Perm: calendar.PermManage, Scope: write, Errors: []int{404}, Status: 204,
		Summary: "Take a day of the company's own away", Description: "It is again as holidays, make-up workdays and the week say."}, s.removeDay)
	api.Handle(a, api.Op{ID: "count-working-time", Method: "GET", Path: "/calendars/{id}/time", Tag: tag, Perm: calendar.PermManage, Scope: read, Errors: []int{404},
		Summary: "Count working time", Description: "When `minutes` of working time from `start` have passed, and how many lie between `start` and `end`. A deadline on the end of a span is at its end."}, s.count)
	api.Handle(a, api.Op{ID: "list-holidays", Method: "GET", Path: "/holidays", Tag: tag, Perm: calendar.PermManage, Scope: read,
		Summary: "List public holidays by year", Description: "Those the product brings and those that were imported, with the make-up workdays."}, s.holidays)
	api.Handle(a, api.Op{ID: "import-holidays", Method: "PUT", Path: "/holidays/{year}", Tag: tag, Perm: calendar.PermManage, Scope: write,
		Example: `{"source":"国务院办公厅通知","days":[{"name":"元旦","date":"2027-01-01","off":true},{"name":"元旦","date":"2027-01-03","off":false}]}`,
		Summary: "Import the holidays of a year", Description: "All days off and make-up workdays of the year; they replace what was known of it."}, s.importYear)
}

// Calendar is a set of working hours.
type Calendar struct {
	ID       int64             `json:"id"`
	Name     string            `json:"name"`
	Default  bool              `json:"default"`
	Active   bool              `json:"active"`
	Week     map[string]string `json:"week,omitempty" doc:"Weekday (0 is Sunday) -> hours; a day that is absent is off" example:"{\"1\":\"09:00-12:00, 13:30-18:00\"}"`
	Makeup   int               `json:"makeup" doc:"The weekday whose hours a make-up workday has"`
	Holidays bool              `json:"holidays" doc:"Whether public holidays are off"`
	Own      []Own             `json:"own_days,omitempty"`
}

// Own is a day the company has decided on itself.
type Own struct {
	Date  string `json:"date" format:"date"`
	Name  string `json:"name"`
	Hours string `json:"hours" doc:"Empty: off" example:"09:00-12:00"`
}

type listOutput struct {
	Body struct {
		Items []Calendar `json:"items"`
	}
}

func (s *service) list(ctx context.Context, _ *struct{}) (*listOutput, error) {
	b, err := s.calendars.Book(ctx)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	for _, c := range b.All() {
		x := Calendar{ID: c.ID, Name: c.Name, Default: c.Default, Active: c.Active, Week: map[string]string{}, Makeup: int(c.Makeup), Holidays: c.Holidays}
		for d, spans := range c.Week {
			if len(spans) > 0 {
				x.Week[strconv.Itoa(d)] = calendar.FormatSpans(spans)
			}
		}
		for _, e := range c.Own {
			x.Own = append(x.Own, Own{e.Date, e.Name, calendar.FormatSpans(e.Spans)})
		}
		out.Body.Items = append(out.Body.Items, x)
	}
	out.Body.Items = append(out.Body.Items, Calendar{Name: "24/7", Active: true})
	return out, nil
}

// Path names a calendar.
type Path struct {
	ID int64 `path:"id" minimum:"0" doc:"Of the calendar; 0 is 24/7"`
}

func (s *service) times(ctx context.Context, id int64) (*calendar.Times, error) {
	b, err := s.calendars.Book(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := b.Get(id); !ok && id != 0 {
		return nil, fault.New(fault.NotFound, "calendar.not_found")
	}
	return b.Of(id), nil
}

func date(field, text string) (time.Time, error) {
	t, ok := calendar.ParseDate(text)
	if !ok {
		return t, fault.Invalidf("ui.form.invalid").Field(field, "calendar.need_date")
	}
	return t, nil
}

type daysInput struct {
	Path
	From string `query:"from" format:"date" required:"true" doc:"First day" example:"2026-02-01"`
	To   string `query:"to" format:"date" required:"true" doc:"Last day" example:"2026-02-28"`
}

// Day is one day of a calendar.
type Day struct {
	Date    string `json:"date" format:"date"`
	Kind    string `json:"kind" enum:"week,holiday,makeup,own"`
	Name    string `json:"name,omitempty"`
	Hours   string `json:"hours" doc:"Empty: off"`
	Minutes int    `json:"minutes"`
}

type daysOutput struct {
	Body struct {
		Items []Day `json:"items"`
	}
}

const maxDays = 400

func (s *service) days(ctx context.Context, in *daysInput) (*daysOutput, error) {
	t, err := s.times(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	from, err := date("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := date("to", in.To)
	if err != nil {
		return nil, err
	}
	if to.Before(from) || to.Sub(from) > maxDays*24*time.Hour {
		return nil, fault.Invalidf("ui.form.invalid").Field("to", "calendar.bad_range", maxDays)
	}
	out := &daysOutput{}
	for d := from; !d.After(to); d = d.AddDate(0, 0, 1) {
		day := t.On(d)
		out.Body.Items = append(out.Body.Items, Day{d.Format(time.DateOnly), string(day.Kind), day.Name, calendar.FormatSpans(day.Spans), t.Minutes(d)})
	}
	return out, nil
}

// OwnDay is what a day of the company's own is set to.
type OwnDay struct {
	Name  string `json:"name"`
	Hours string `json:"hours,omitempty" doc:"Empty: off" example:"09:00-12:00"`
	Apply bool   `json:"apply,omitempty" doc:"Count deadlines that run anew"`
}

type setDayInput struct {
	Path
	Date string `path:"date" format:"date" doc:"The day"`
	Body api.JSON[OwnDay]
}

type dayOutput struct{ Body Day }

func (s *service) setDay(ctx context.Context, in *setDayInput) (*dayOutput, error) {
	if _, err := s.times(ctx, in.ID); err != nil {
		return nil, err
	}
	d, err := date("date", in.Date)
	if err != nil {
		return nil, err
	}
	v := in.Body.Value()
	spans, key := calendar.ParseSpans(v.Hours)
	if key != "" {
		return nil, fault.Invalidf("ui.form.invalid").Field("hours", key)
	}
	if err := s.calendars.SetDays(ctx, api.Actor(ctx), calendar.Days{Calendars: []int64{in.ID}, From: d, Name: v.Name, Spans: spans, Apply: v.Apply}); err != nil {
		return nil, err
	}
	t, err := s.times(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	day := t.On(d)
	return &dayOutput{Day{in.Date, string(day.Kind), day.Name, calendar.FormatSpans(day.Spans), t.Minutes(d)}}, nil
}

type removeDayInput struct {
	Path
	Date  string `path:"date" format:"date" doc:"The day"`
	Apply bool   `query:"apply" doc:"Count deadlines that run anew"`
}

func (s *service) removeDay(ctx context.Context, in *removeDayInput) (*struct{}, error) {
	return nil, s.calendars.RemoveDay(ctx, api.Actor(ctx), in.ID, in.Date, in.Apply)
}

type countInput struct {
	Path
	Start   time.Time `query:"start" required:"true" doc:"From when" example:"2026-02-13T17:30:00+08:00"`
	End     time.Time `query:"end" doc:"Until when; left out: nothing is counted between"`
	Minutes int64     `query:"minutes" minimum:"0" maximum:"525600" doc:"Working minutes from start; left out: no deadline is worked out"`
}

// Count is what was asked.
type Count struct {
	Due     *time.Time `json:"due,omitempty" doc:"When the minutes have passed"`
	Minutes *int64     `json:"minutes,omitempty" doc:"Whole minutes of working time between start and end"`
	Working bool       `json:"working" doc:"Whether start is working time"`
}

type countOutput struct{ Body Count }

func (s *service) count(ctx context.Context, in *countInput) (*countOutput, error) {
	t, err := s.times(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &countOutput{Count{Working: t.At(in.Start)}}
	if in.Minutes > 0 {
		out.Body.Due = api.At(ctx, t.Due(in.Start, time.Duration(in.Minutes)*time.Minute))
	}
	if !in.End.IsZero() {
		n := int64(t.Elapsed(in.Start, in.End) / time.Minute)
		out.Body.Minutes = &n
	}
	return out, nil
}

// Holiday is a day off, or a weekend that is worked.
type Holiday struct {
	Name string `json:"name"`
	Date string `json:"date" format:"date"`
	Off  bool   `json:"off" doc:"false: a make-up workday"`
}

// Year are the holidays of a year.
type Year struct {
	Year      int       `json:"year"`
	Source    string    `json:"source,omitempty"`
	Statutory bool      `json:"statutory" doc:"The notice is not known: only the days the law names, no make-up workdays"`
	Imported  bool      `json:"imported"`
	Days      []Holiday `json:"days"`
}

type holidaysOutput struct {
	Body struct {
		Items []Year `json:"items"`
	}
}

func (s *service) holidays(ctx context.Context, _ *struct{}) (*holidaysOutput, error) {
	b, err := s.calendars.Book(ctx)
	if err != nil {
		return nil, err
	}
	out := &holidaysOutput{}
	for n := calendar.FirstYear; n <= calendar.LastYear; n++ {
		if y, ok := b.Years()[n]; ok {
			out.Body.Items = append(out.Body.Items, yearOf(y))
		}
	}
	return out, nil
}

func yearOf(y calendar.Year) Year {
	out := Year{Year: y.Year, Source: y.Source, Statutory: y.Statutory, Imported: y.Imported}
	for _, h := range y.Days {
		out.Days = append(out.Days, Holiday{h.Name, h.Date, h.IsOff})
	}
	return out
}

// Import is a year to be stored.
type Import struct {
	Source string    `json:"source,omitempty"`
	Days   []Holiday `json:"days"`
	Apply  bool      `json:"apply,omitempty" doc:"Count deadlines that run anew"`
}

type importInput struct {
	Year int `path:"year" minimum:"2015" maximum:"2043" doc:"Of the notice"`
	Body api.JSON[Import]
}

type yearOutput struct{ Body Year }

func (s *service) importYear(ctx context.Context, in *importInput) (*yearOutput, error) {
	v := in.Body.Value()
	y := calendar.Year{Year: in.Year, Source: v.Source}
	for _, h := range v.Days {
		y.Days = append(y.Days, calendar.Holiday{Name: h.Name, Date: h.Date, IsOff: h.Off})
	}
	if err := s.calendars.Import(ctx, api.Actor(ctx), y, v.Apply); err != nil {
		if fe, ok := fault.As(err); ok {
			for i := range fe.Fields {
				if fe.Fields[i].Field == "text" {
					fe.Fields[i].Field = "days"
				}
			}
		}
		return nil, err
	}
	b, err := s.calendars.Book(ctx)
	if err != nil {
		return nil, err
	}
	return &yearOutput{yearOf(b.Years()[in.Year])}, nil
}
