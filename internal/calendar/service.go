package calendar

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/setting"
)

// PermManage lets a person keep calendars and import holidays.
const PermManage authz.Permission = "calendar.manage"

func init() {
	authz.Register(authz.Def{Permission: PermManage, Area: "settings", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}})
	org.TokenScope("calendars:read")
	org.TokenScope("calendars:write", PermManage)
}

// The facts this room records.
const (
	EventChanged  = "calendar.changed"
	EventDays     = "calendar.days_set"
	EventRemoved  = "calendar.days_removed"
	EventImported = "calendar.holidays_imported"
	EventShipped  = "calendar.holidays_reset"
	EventMissing  = "calendar.year_missing"
)

// Change tells rooms that count in calendars what has changed.
type Change struct {
	Calendars []int64 // none: all that follow public holidays
	Before    *Week   // the week as it was, when it changed
	Apply     bool    // deadlines that run are counted anew
}

// Service keeps calendars.
type Service struct {
	run    *action.Runner
	org    *org.Service
	follow []func(ctx context.Context, a *action.Action, c Change) error
}

// New returns the room.
func New(run *action.Runner, o *org.Service) *Service { return &Service{run: run, org: o} }

// OnChange is called within each change's transaction; while the house is put
// together.
func (s *Service) OnChange(f func(ctx context.Context, a *action.Action, c Change) error) {
	s.follow = append(s.follow, f)
}

// Book returns what is in force.
func (s *Service) Book(ctx context.Context) (*Book, error) { return Load(ctx, s.run.DB().Read()) }

// Seed brings the calendars of a fresh install where there are none.
func Seed(ctx context.Context, a *action.Action) error {
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM calendars`).Scan(&n); err != nil {
		return fmt.Errorf("calendar: seed: %w", err)
	}
	if n > 0 {
		stamp, err := Stamp(ctx, a)
		if err == nil && stamp == "" {
			err = Touch(ctx, a)
		}
		return err
	}
	for _, c := range []Calendar{Standard(), WholeDays()} {
		if _, err := insert(ctx, a, c); err != nil {
			return err
		}
	}
	return Touch(ctx, a)
}

func insert(ctx context.Context, a *action.Action, c Calendar) (id int64, err error) {
	err = a.QueryRow(ctx, `INSERT INTO calendars (name, week, makeup, holidays, is_default, active, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		c.Name, weekText(c.Week), int(c.Makeup), db.Bool(c.Holidays), db.Bool(c.Default), db.Bool(c.Active), a.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("calendar: add: %w", err)
	}
	return id, nil
}

// changed is what the trail keeps of a change of a calendar.
type changed struct {
	Name    string         `json:"name"`
	Args    []string       `json:"args"`
	Changes []event.Change `json:"changes,omitempty"`
	Apply   bool           `json:"apply,omitempty"`
}

func (s *Service) done(ctx context.Context, a *action.Action, c Change) error {
	if err := Touch(ctx, a); err != nil {
		return err
	}
	for _, f := range s.follow {
		if err := f(ctx, a, c); err != nil {
			return err
		}
	}
	return nil
}

func subject(id int64) event.Subject { return event.Subject{Type: "calendar", ID: id} }

// check says what is wrong with the calendar as it was entered; the field of a
// weekday is d0 (Sunday) to d6.
func (c *Calendar) check() *fault.Error {
	e := fault.Invalidf("ui.form.invalid")
	c.Name = strings.TrimSpace(c.Name)
	if n := utf8.RuneCountInString(c.Name); n == 0 || n > 40 {
		e.Field("name", "calendar.need_name")
	}
	bad := false
	for d, spans := range c.Week {
		if key := CheckSpans(spans); key != "" {
			bad = true
			e.Field("d"+strconv.Itoa(d), key)
		}
	}
	switch {
	case bad:
	case c.Week.minutes() == 0:
		e.Field("d1", "calendar.need_hours")
	case c.Makeup < time.Sunday || c.Makeup > time.Saturday || c.Holidays && len(c.Week[c.Makeup]) == 0:
		e.Field("makeup", "calendar.makeup_off")
	}
	return e
}

// Save stores a calendar without its own days; ID 0 adds one. With apply,
// deadlines that run in it are counted anew from now on; what has been used of
// them stays used.
func (s *Service) Save(ctx context.Context, actor authz.Actor, c Calendar, apply bool) (id int64, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "calendar.save", func(ctx context.Context, a *action.Action) error {
		if err := c.check().OrNil(); err != nil {
			return err
		}
		b, err := read(ctx, a)
		if err != nil {
			return err
		}
		for _, o := range b.All() {
			if o.ID != c.ID && strings.EqualFold(o.Name, c.Name) {
				return fault.Invalidf("ui.form.invalid").Field("name", "calendar.name_taken")
			}
		}
		old, ok := b.Get(c.ID)
		if !ok && c.ID != 0 {
			return notFound()
		}
		if c.ID == 0 {
			c.Active, apply = true, false
		} else {
			c.Active = old.Active || c.Default
			c.Default = c.Default || old.Default // another one has to take its place
		}
		if c.Default && !old.Default {
			if _, err := a.Exec(ctx, `UPDATE calendars SET is_default = 0 WHERE is_default = 1`); err != nil {
				return fmt.Errorf("calendar: default: %w", err)
			}
		}
		if c.ID == 0 {
			if id, err = insert(ctx, a, c); err != nil {
				return err
			}
		} else {
			id = c.ID
			if err := update(ctx, a, c); err != nil {
				return err
			}
		}
		f := changed{Name: c.Name, Args: []string{c.Name}, Apply: apply, Changes: differ(old, c)}
		if len(f.Changes) == 0 && !apply {
			a.Nothing()
			return nil
		}
		ch := Change{Calendars: []int64{id}, Apply: apply}
		if weekText(old.Week) != weekText(c.Week) {
			ch.Before = &old.Week
		}
		a.Record(event.Event{Kind: EventChanged, Subject: subject(id), Data: f})
		return s.done(ctx, a, ch)
	})
	return id, err
}

func update(ctx context.Context, a *action.Action, c Calendar) error {
	res, err := a.Exec(ctx, `
		UPDATE calendars SET name = $1, week = $2, makeup = $3, holidays = $4, is_default = $5, active = $6, updated_at = $7, version = version + 1
		WHERE id = $8 AND version = $9`,
		c.Name, weekText(c.Week), int(c.Makeup), db.Bool(c.Holidays), db.Bool(c.Default), db.Bool(c.Active), a.NowMicros(), c.ID, c.Version)
	if err != nil {
		return fmt.Errorf("calendar: save %d: %w", c.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.New(fault.Conflict, "calendar.stale")
	}
	return nil
}

func differ(old, now Calendar) (out []event.Change) {
	add := func(field, a, b string) {
		if a != b {
			out = append(out, event.Change{Field: field, Old: a, New: b})
		}
	}
	yes := func(b bool) string { return strconv.FormatBool(b) }
	add("name", old.Name, now.Name)
	for i := range 7 {
		d := (i + 1) % 7 // Monday first
		add("weekday_"+strconv.Itoa(d), FormatSpans(old.Week[d]), FormatSpans(now.Week[d]))
	}
	add("makeup", strconv.Itoa(int(old.Makeup)), strconv.Itoa(int(now.Makeup)))
	add("holidays", yes(old.Holidays), yes(now.Holidays))
	add("default", yes(old.Default), yes(now.Default))
	add("active", yes(old.Active), yes(now.Active))
	return out
}

// SetActive offers a calendar or no longer; the default stays offered.
func (s *Service) SetActive(ctx context.Context, actor authz.Actor, id int64, active bool) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "calendar.retire", func(ctx context.Context, a *action.Action) error {
		b, err := read(ctx, a)
		if err != nil {
			return err
		}
		c, ok := b.Get(id)
		switch {
		case !ok:
			return notFound()
		case c.Active == active:
			a.Nothing()
			return nil
		case c.Default:
			return fault.New(fault.Conflict, "calendar.default_stays")
		}
		now := c
		now.Active = active
		if err := update(ctx, a, now); err != nil {
			return err
		}
		a.Record(event.Event{Kind: EventChanged, Subject: subject(id), Data: changed{Name: c.Name, Args: []string{c.Name}, Changes: differ(c, now)}})
		return s.done(ctx, a, Change{Calendars: []int64{id}})
	})
}

// Days are days the company decides on itself.
type Days struct {
	Calendars []int64
	From, To  time.Time // days, both included; To zero: one day
	Name      string
	Spans     []Span // none: off
	Apply     bool
}

// maxDays are set at once.
const maxDays = 62

// SetDays stores the company's own days in some calendars; what was there for
// the same days is replaced.
func (s *Service) SetDays(ctx context.Context, actor authz.Actor, in Days) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	in.Name = strings.TrimSpace(in.Name)
	if in.To.IsZero() {
		in.To = in.From
	}
	e := fault.Invalidf("ui.form.invalid")
	if n := utf8.RuneCountInString(in.Name); n == 0 || n > 40 {
		e.Field("name", "calendar.need_day_name")
	}
	from, to := dayOf(in.From), dayOf(in.To)
	_, ok1 := ParseDate(in.From.In(Zone).Format(time.DateOnly))
	_, ok2 := ParseDate(in.To.In(Zone).Format(time.DateOnly))
	switch {
	case in.From.IsZero() || !ok1:
		e.Field("from", "calendar.need_date")
	case !ok2 || to < from || to-from >= maxDays:
		e.Field("to", "calendar.bad_range", maxDays)
	}
	if key := CheckSpans(in.Spans); key != "" {
		e.Field("spans", key)
	}
	if len(in.Calendars) == 0 {
		e.Field("calendars", "calendar.need_calendar")
	}
	if err := e.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "calendar.set_days", func(ctx context.Context, a *action.Action) error {
		b, err := read(ctx, a)
		if err != nil {
			return err
		}
		for _, id := range in.Calendars {
			c, ok := b.Get(id)
			if !ok {
				return fault.Invalidf("ui.form.invalid").Field("calendars", "calendar.need_calendar")
			}
			for d := from; d <= to; d++ {
				if _, err := a.Exec(ctx, `
					INSERT INTO calendar_days (calendar_id, day, name, spans) VALUES ($1, $2, $3, $4)
					ON CONFLICT (calendar_id, day) DO UPDATE SET name = excluded.name, spans = excluded.spans`,
					id, d.time().Format(time.DateOnly), in.Name, FormatSpans(in.Spans)); err != nil {
					return fmt.Errorf("calendar: days: %w", err)
				}
			}
			f := changed{Name: c.Name, Args: []string{c.Name, in.Name, rangeText(from, to), FormatSpans(in.Spans)}, Apply: in.Apply}
			if len(in.Spans) == 0 {
				f.Args[3] = "@calendar.off"
			}
			a.Record(event.Event{Kind: EventDays, Subject: subject(id), Data: f})
		}
		return s.done(ctx, a, Change{Calendars: in.Calendars, Apply: in.Apply})
	})
}

func rangeText(from, to dayNo) string {
	text := from.time().Format(time.DateOnly)
	if to != from {
		text += " – " + to.time().Format(time.DateOnly)
	}
	return text
}

// RemoveDay takes one of the company's own days away.
func (s *Service) RemoveDay(ctx context.Context, actor authz.Actor, id int64, date string, apply bool) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "calendar.remove_day", func(ctx context.Context, a *action.Action) error {
		b, err := read(ctx, a)
		if err != nil {
			return err
		}
		c, ok := b.Get(id)
		i := slices.IndexFunc(c.Own, func(e Entry) bool { return e.Date == date })
		if !ok || i < 0 {
			return notFound()
		}
		if _, err := a.Exec(ctx, `DELETE FROM calendar_days WHERE calendar_id = $1 AND day = $2`, id, date); err != nil {
			return fmt.Errorf("calendar: remove day: %w", err)
		}
		a.Record(event.Event{Kind: EventRemoved, Subject: subject(id), Data: changed{Name: c.Name, Args: []string{c.Name, date, c.Own[i].Name}, Apply: apply}})
		return s.done(ctx, a, Change{Calendars: []int64{id}, Apply: apply})
	})
}

// Import stores the holidays of a year, instead of what was known of it.
func (s *Service) Import(ctx context.Context, actor authz.Actor, y Year, apply bool) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	y, key, args := y.checked()
	if key != "" {
		return fault.Invalidf("ui.form.invalid").Field("text", key, args...)
	}
	if utf8.RuneCountInString(y.Source) > 200 {
		return fault.Invalidf("ui.form.invalid").Field("source", "ui.form.too_long", 200, utf8.RuneCountInString(y.Source))
	}
	raw, err := json.Marshal(y.Days)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "calendar.import", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `
			INSERT INTO holiday_years (year, source, days, by_id, by_name, imported_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (year) DO UPDATE SET source = excluded.source, days = excluded.days, by_id = excluded.by_id, by_name = excluded.by_name, imported_at = excluded.imported_at`,
			y.Year, y.Source, string(raw), a.Actor.ID, a.Actor.Name, a.NowMicros()); err != nil {
			return fmt.Errorf("calendar: import %d: %w", y.Year, err)
		}
		a.Record(event.Event{Kind: EventImported, Subject: event.Subject{Type: "calendar"}, Data: changed{Args: []string{strconv.Itoa(y.Year), strconv.Itoa(y.Off()), strconv.Itoa(y.Work())}, Apply: apply}})
		return s.done(ctx, a, Change{Apply: apply})
	})
}

// Reset takes an import back: what came with the product counts again.
func (s *Service) Reset(ctx context.Context, actor authz.Actor, year int, apply bool) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "calendar.reset", func(ctx context.Context, a *action.Action) error {
		res, err := a.Exec(ctx, `DELETE FROM holiday_years WHERE year = $1`, year)
		if err != nil {
			return fmt.Errorf("calendar: reset %d: %w", year, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return notFound()
		}
		a.Record(event.Event{Kind: EventShipped, Subject: event.Subject{Type: "calendar"}, Data: changed{Args: []string{strconv.Itoa(year)}, Apply: apply}})
		return s.done(ctx, a, Change{Apply: apply})
	})
}

const remindedName = "calendar.reminded"

// remindEvery is how often administrators are told that holidays are missing.
const remindEvery = 7 * 24 * time.Hour

// missing is the notice; its fields are those of every notice.
type missing struct {
	Args []string `json:"args"`
	Tell []int64  `json:"tell"`
	Link string   `json:"link"`
}

// Remind tells who keeps calendars, once a week, that the holidays of a year are
// missing: from 1 December before it.
func (s *Service) Remind(ctx context.Context) error {
	b, err := s.Book(ctx)
	if err != nil {
		return err
	}
	now := s.run.DB().Clock().Now()
	year := b.Missing(now)
	if year == 0 {
		return nil
	}
	var last time.Time
	if err := setting.Read(ctx, s.run.DB().Read(), remindedName, &last); err != nil || now.Sub(last) < remindEvery {
		return err
	}
	return s.run.Do(ctx, authz.System("calendar"), "calendar.remind", func(ctx context.Context, a *action.Action) error {
		to, err := s.org.Holders(ctx, a, PermManage)
		if err != nil {
			return err
		}
		if err := setting.Write(ctx, a.Tx, remindedName, a.Now); err != nil {
			return err
		}
		a.Record(event.Event{Kind: EventMissing, Subject: event.Subject{Type: "calendar"}, Data: missing{[]string{strconv.Itoa(year)}, to, "/admin/calendars/holidays"}})
		return nil
	})
}

func notFound() error { return fault.New(fault.NotFound, "calendar.not_found") }
