package calendar_test

import (
	"context"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

type room struct {
	*calendar.Service
	t     *testing.T
	ctx   context.Context
	run   *action.Runner
	admin authz.Actor
	heard []calendar.Change
}

func newRoom(t *testing.T, d *db.DB) *room {
	r := &room{t: t, ctx: context.Background(), run: action.NewRunner(d, func() {}), admin: authz.Actor{Kind: authz.User, ID: 1, Name: "管理员", Levels: map[authz.Permission]authz.Level{calendar.PermManage: authz.All}}}
	r.Service = calendar.New(r.run, org.New(r.run))
	r.OnChange(func(_ context.Context, _ *action.Action, c calendar.Change) error {
		r.heard = append(r.heard, c)
		return nil
	})
	r.ok(r.run.Do(r.ctx, authz.System("setup"), "setup", func(ctx context.Context, a *action.Action) error { a.Nothing(); return calendar.Seed(ctx, a) }))
	return r
}

func (r *room) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) book() *calendar.Book {
	r.t.Helper()
	b, err := r.Book(r.ctx)
	r.ok(err)
	return b
}

func when(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, calendar.Zone)
	if err != nil {
		panic(err)
	}
	return t
}

// SLA-2: calendars are kept, the company's own days come first, holidays are
// imported for a year that is not there yet, and each change is seen at once.
func TestCalendars(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		r := newRoom(t, d)
		b := r.book()
		if n := len(b.All()); n != 2 {
			t.Fatalf("%d calendars at first", n)
		}
		std := b.DefaultID()
		due := func(start string, hours int) string {
			return r.book().Of(std).Due(when(start), time.Duration(hours)*time.Hour).In(calendar.Zone).Format("2006-01-02 15:04")
		}
		if got := due("2026-02-14 17:00", 2); got != "2026-02-24 10:00" {
			t.Errorf("over the Spring Festival: %s", got)
		}
		r.ok(r.SetDays(r.ctx, r.admin, calendar.Days{Calendars: []int64{std}, From: calendar.Date(2026, 2, 24), To: calendar.Date(2026, 2, 25), Name: "设备检修"}))
		r.ok(r.SetDays(r.ctx, r.admin, calendar.Days{Calendars: []int64{std}, From: calendar.Date(2026, 2, 26), Name: "半天", Spans: []calendar.Span{{From: 840, To: 1080}}, Apply: true}))
		if got := due("2026-02-14 17:00", 2); got != "2026-02-26 15:00" {
			t.Errorf("with days of its own: %s", got)
		}
		r.ok(r.RemoveDay(r.ctx, r.admin, std, "2026-02-24", false))
		if got := due("2026-02-14 17:00", 2); got != "2026-02-24 10:00" {
			t.Errorf("a day taken away: %s", got)
		}

		c, _ := r.book().Get(std)
		week := c.Week
		for d := time.Monday; d <= time.Friday; d++ {
			c.Week[d] = []calendar.Span{{From: 540, To: 720}, {From: 780, To: 1080}}
		}
		_, err := r.Save(r.ctx, r.admin, c, true)
		r.ok(err)
		last := r.heard[len(r.heard)-1]
		if !last.Apply || last.Before == nil || len(last.Before[1]) != 1 || last.Before[1][0] != week[1][0] {
			t.Errorf("who counts in it heard %+v", last)
		}
		if got := due("2026-02-13 17:30", 4); got != "2026-02-14 13:30" {
			t.Errorf("with a break: %s", got)
		}
		if _, err := r.Save(r.ctx, r.admin, c, false); !fault.Is(err, fault.Conflict) {
			t.Errorf("saved over somebody else's change: %v", err)
		}

		y, key, _ := calendar.ParseYear("2027-01-01 元旦 休\n2027-01-02 元旦 休\n2027-01-03 元旦 休\n2027-02-05 春节 休\n2027-02-06 春节 休\n2027-02-07 春节 休\n2027-02-08 春节 休\n2027-02-09 春节 休\n2027-02-14 春节 班")
		if key != "" {
			t.Fatal(key)
		}
		if r.book().Known(2027) {
			t.Error("2027 is known before its notice is imported")
		}
		r.ok(r.Import(r.ctx, r.admin, y, false))
		if got := due("2027-02-04 17:00", 2); got != "2027-02-10 10:00" {
			t.Errorf("over the imported festival: %s", got)
		}
		if !r.book().Known(2027) || !r.book().Of(std).Works(when("2027-02-14 12:00")) {
			t.Error("the import is not in force")
		}
		r.ok(r.Reset(r.ctx, r.admin, 2027, false))
		if r.book().Known(2027) || r.book().Of(std).Works(when("2027-02-14 12:00")) {
			t.Error("the import is still in force")
		}

		for name, c := range map[string]calendar.Calendar{
			"no hours":    {Name: "a"},
			"no name":     {Week: calendar.Standard().Week, Makeup: 1},
			"taken":       {Name: "工作时间", Week: calendar.Standard().Week, Makeup: 1},
			"makeup off":  {Name: "b", Week: calendar.Standard().Week, Holidays: true},
			"overlapping": {Name: "c", Week: calendar.Week{1: {{From: 0, To: 60}, {From: 30, To: 90}}}, Makeup: 1},
		} {
			if _, err := r.Save(r.ctx, r.admin, c, false); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := r.SetActive(r.ctx, r.admin, std, false); !fault.Is(err, fault.Conflict) {
			t.Errorf("the default was retired: %v", err)
		}
		if _, err := r.Save(r.ctx, authz.Actor{Kind: authz.User, ID: 2}, calendar.Standard(), false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("anybody may: %v", err)
		}
	})
}

// From 1 December administrators are told, once a week, that next year's
// holidays are missing.
func TestRemind(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		r := newRoom(t, d)
		told := func() (n int) {
			r.ok(d.Read().QueryRow(r.ctx, `SELECT COUNT(*) FROM events WHERE kind = 'calendar.year_missing'`).Scan(&n))
			return n
		}
		for _, c := range []struct {
			at   string
			want int
		}{{"2026-11-30 23:00", 0}, {"2026-12-01 09:00", 1}, {"2026-12-02 09:00", 1}, {"2026-12-08 10:00", 2}, {"2027-01-20 10:00", 3}} {
			fake.Advance(when(c.at).Sub(fake.Now()))
			r.ok(r.Remind(r.ctx))
			if n := told(); n != c.want {
				t.Errorf("%s: told %d times, want %d", c.at, n, c.want)
			}
		}
	})
}
