package calendar

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/setting"
)

// Calendar is one of the company's.
type Calendar struct {
	ID       int64 // 0: 7x24, which is always there
	Name     string
	Week     Week
	Makeup   time.Weekday // whose hours a make-up workday has
	Holidays bool         // public holidays are off
	Default  bool         // for whatever names none
	Active   bool         // offered; what uses it goes on when it is not
	Own      []Entry      // in order of time
	Version  int64
}

func (c Calendar) rules(holidays map[dayNo]Holiday) Rules {
	r := Rules{Always: c.ID == 0, Week: c.Week, Makeup: c.Makeup}
	if c.Holidays {
		r.Holidays = holidays
	}
	for _, e := range c.Own {
		if t, ok := ParseDate(e.Date); ok {
			if r.Own == nil {
				r.Own = map[dayNo]Entry{}
			}
			r.Own[dayOf(t)] = e
		}
	}
	return r
}

// Book is all calendars, compiled. It is shared and never changed.
type Book struct {
	list  []Calendar
	times map[int64]*Times
	years map[int]Year
	first int64 // the default
}

// Standard is the calendar of a fresh install, and the one used where there is
// none at all: Monday to Friday, nine to six, with public holidays.
func Standard() Calendar {
	return Calendar{Name: "工作时间", Week: monToFri(Span{9 * 60, 18 * 60}), Makeup: time.Monday, Holidays: true, Default: true, Active: true}
}

// WholeDays counts working days as whole days: 24 hours in it are one working day.
func WholeDays() Calendar {
	return Calendar{Name: "工作日全天", Week: monToFri(Span{0, 24 * 60}), Makeup: time.Monday, Holidays: true, Active: true}
}

func monToFri(s Span) (w Week) {
	for d := time.Monday; d <= time.Friday; d++ {
		w[d] = []Span{s}
	}
	return w
}

func newBook(list []Calendar, own map[int]Year) *Book {
	b := &Book{list: list, times: map[int64]*Times{0: Always}, years: maps.Clone(Shipped())}
	maps.Copy(b.years, own)
	holidays := Holidays(b.years)
	for _, c := range list {
		b.times[c.ID] = Compile(c.rules(holidays))
		if c.Default {
			b.first = c.ID
		}
	}
	if b.first == 0 {
		b.times[-1], b.first = Compile(Standard().rules(holidays)), -1
	}
	return b
}

// Of returns the times of a calendar; the default's when there is no such one.
func (b *Book) Of(id int64) *Times {
	if t, ok := b.times[id]; ok {
		return t
	}
	return b.Default()
}

// Default are the times of whatever names no calendar.
func (b *Book) Default() *Times { return b.times[b.first] }

// DefaultID is its id.
func (b *Book) DefaultID() int64 { return max(b.first, 0) }

// All returns the calendars by name, without 7x24.
func (b *Book) All() []Calendar { return b.list }

// Get returns a calendar.
func (b *Book) Get(id int64) (Calendar, bool) {
	for _, c := range b.list {
		if c.ID == id {
			return c, true
		}
	}
	return Calendar{}, false
}

// With returns the times of calendar id as they would be with another week: what
// has passed is counted by the hours that were in force then.
func (b *Book) With(id int64, w Week) *Times {
	c, ok := b.Get(id)
	if !ok {
		return b.Of(id)
	}
	c.Week = w
	return Compile(c.rules(Holidays(b.years)))
}

// Years are the holidays known, by year.
func (b *Book) Years() map[int]Year { return b.years }

// Known reports whether the holidays of a year are those of its notice.
func (b *Book) Known(year int) bool {
	y, ok := b.years[year]
	return ok && !y.Statutory
}

// Missing returns the year whose holidays ought to be there by now and are not;
// 0 when all is well. Next year's are missed from 1 December: the notice is
// published in November.
func (b *Book) Missing(now time.Time) int {
	at := now.In(Zone)
	follows := false
	for _, c := range b.list {
		follows = follows || c.Active && c.Holidays
	}
	switch {
	case !follows:
		return 0
	case !b.Known(at.Year()):
		return at.Year()
	case at.Month() == time.December && !b.Known(at.Year()+1):
		return at.Year() + 1
	}
	return 0
}

// Unknown is when the first day begins whose holidays are not known.
func (b *Book) Unknown(now time.Time) time.Time {
	y := now.In(Zone).Year()
	for b.Known(y) {
		y++
	}
	return Date(y, 1, 1)
}

const stampName = "calendar.stamp"

type (
	bookKey  struct{}
	dirtyKey struct{}
)

// Touch says that calendars, or what is kept by the same stamp, are changed in
// this transaction.
func Touch(ctx context.Context, a *action.Action) error {
	a.Drop(bookKey{})
	a.Keep(dirtyKey{}, true)
	return setting.Write(ctx, a.Tx, stampName, crypt.Token(9))
}

// Stamp names the state of calendars and of what is kept by the same stamp; ""
// when nothing may be held by it.
func Stamp(ctx context.Context, q db.Querier) (stamp string, err error) {
	if tx, ok := q.(interface{ Kept(any) any }); ok && tx.Kept(dirtyKey{}) != nil {
		return "", nil
	}
	return stamp, setting.Read(ctx, q, stampName, &stamp)
}

// Stamped holds values by stamp: a value is made once for each.
type Stamped[T any] struct {
	mu sync.Mutex
	m  map[string]T
}

// Get returns the value of the present stamp, made by load when there is none.
func (s *Stamped[T]) Get(ctx context.Context, q db.Querier, load func() (T, error)) (v T, err error) {
	stamp, err := Stamp(ctx, q)
	if err != nil || stamp == "" {
		if err == nil {
			v, err = load()
		}
		return v, err
	}
	s.mu.Lock()
	v, ok := s.m[stamp]
	s.mu.Unlock()
	if ok {
		return v, nil
	}
	if v, err = load(); err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxStamps {
		s.m = map[string]T{}
	}
	s.m[stamp] = v
	return v, nil
}

const maxStamps = 32

var books Stamped[*Book]

// Load returns the calendars. It asks the store for one stamp in five seconds.
func Load(ctx context.Context, q db.Querier) (*Book, error) {
	return books.Get(ctx, q, func() (*Book, error) { return read(ctx, q) })
}

func read(ctx context.Context, q db.Querier) (*Book, error) {
	rows, err := q.Query(ctx, `SELECT id, name, week, makeup, holidays, is_default, active, version FROM calendars ORDER BY name, id`)
	if err != nil {
		return nil, fmt.Errorf("calendar: read: %w", err)
	}
	defer rows.Close()
	var list []Calendar
	for rows.Next() {
		var c Calendar
		var raw string
		var makeup, holidays, first, active int
		if err := rows.Scan(&c.ID, &c.Name, &raw, &makeup, &holidays, &first, &active, &c.Version); err != nil {
			return nil, fmt.Errorf("calendar: read: %w", err)
		}
		if c.Week, err = parseWeek(raw); err != nil {
			return nil, fmt.Errorf("calendar: week of %d: %w", c.ID, err)
		}
		c.Makeup, c.Holidays, c.Default, c.Active = time.Weekday(makeup), holidays == 1, first == 1, active == 1
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("calendar: read: %w", err)
	}
	rows.Close() // one question at a time
	if err := readDays(ctx, q, list); err != nil {
		return nil, err
	}
	years, err := readYears(ctx, q)
	if err != nil {
		return nil, err
	}
	return newBook(list, years), nil
}

func readDays(ctx context.Context, q db.Querier, list []Calendar) error {
	rows, err := q.Query(ctx, `SELECT calendar_id, day, name, spans FROM calendar_days ORDER BY calendar_id, day`)
	if err != nil {
		return fmt.Errorf("calendar: days: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var e Entry
		var spans string
		if err := rows.Scan(&id, &e.Date, &e.Name, &spans); err != nil {
			return fmt.Errorf("calendar: days: %w", err)
		}
		e.Spans, _ = ParseSpans(spans)
		for i := range list {
			if list[i].ID == id {
				list[i].Own = append(list[i].Own, e)
			}
		}
	}
	return rows.Err()
}

func readYears(ctx context.Context, q db.Querier) (map[int]Year, error) {
	rows, err := q.Query(ctx, `SELECT year, source, days, by_name, imported_at FROM holiday_years ORDER BY year`)
	if err != nil {
		return nil, fmt.Errorf("calendar: holidays: %w", err)
	}
	defer rows.Close()
	out := map[int]Year{}
	for rows.Next() {
		y := Year{Imported: true}
		var raw string
		var at int64
		if err := rows.Scan(&y.Year, &y.Source, &raw, &y.By, &at); err != nil {
			return nil, fmt.Errorf("calendar: holidays: %w", err)
		}
		if err := json.Unmarshal([]byte(raw), &y.Days); err != nil {
			return nil, fmt.Errorf("calendar: holidays of %d: %w", y.Year, err)
		}
		y.At = db.FromMicros(at)
		out[y.Year] = y
	}
	return out, rows.Err()
}

// weekText keeps a week readable in the store: seven texts, Sunday first.
func weekText(w Week) string {
	var days [7]string
	for d, spans := range w {
		days[d] = FormatSpans(spans)
	}
	raw, err := json.Marshal(days)
	if err != nil {
		panic(err) // seven strings
	}
	return string(raw)
}

func parseWeek(raw string) (w Week, err error) {
	var days [7]string
	if err := json.Unmarshal([]byte(raw), &days); err != nil {
		return w, err
	}
	for d, text := range days {
		spans, key := ParseSpans(text)
		if key != "" {
			return w, fmt.Errorf("%q: %s", text, key)
		}
		w[d] = spans
	}
	return w, nil
}
