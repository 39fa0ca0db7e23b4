package sla_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/sla"
)

// to turns the clock to a time of day.
func (b *bench) to(s string) {
	b.T.Helper()
	t, err := time.ParseInLocation("2006-01-02 15:04", s, calendar.Zone)
	b.OK(err)
	b.Clock.Advance(t.Sub(b.Clock.Now()))
}

func (b *bench) book() *calendar.Book {
	b.T.Helper()
	book, err := calendar.Load(b.Ctx, b.D.Read())
	b.OK(err)
	return book
}

// SLA-2, 4: a clock counts the hours of its calendar; pauses, another promise and
// another calendar keep what was used; each step fires at its business time.
func TestBusinessTime(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	type op struct {
		at   string
		what string // pause, resume, target, always, extend
		d    time.Duration
	}
	for _, c := range []struct {
		name  string
		from  string
		ops   []op
		at    string // looked at then
		used  time.Duration
		due   string // "" paused
		fired string
	}{
		{"over the weekend", "2026-11-20 17:00", nil, "2026-11-23 10:00", 2 * h, "2026-11-23 18:00", "[]"},
		{"warned on Monday", "2026-11-20 17:00", nil, "2026-11-23 16:00", 8 * h, "2026-11-23 18:00", "[resolution warn]"},
		{"missed at nine, not on the night before", "2026-11-20 18:00", []op{{"2026-11-20 18:00", "target", 9 * h}}, "2026-11-23 17:59", 9*h - time.Minute, "2026-11-23 18:00", "[resolution warn]"},
		{"the end of the day wins", "2026-11-20 18:00", []op{{"2026-11-20 18:00", "target", 9 * h}}, "2026-11-23 18:00", 9 * h, "2026-11-23 18:00", "[resolution warn resolution miss]"},
		{"paused on Friday, answered on Monday", "2026-11-20 15:00", []op{{"2026-11-20 16:00", "pause", 0}, {"2026-11-23 11:00", "resume", 0}}, "2026-11-23 12:00", 2 * h, "2026-11-24 11:00", "[]"},
		{"stands still", "2026-11-20 15:00", []op{{"2026-11-20 16:00", "pause", 0}}, "2026-11-25 12:00", h, "", "[]"},
		{"a longer promise", "2026-11-20 15:00", []op{{"2026-11-23 10:00", "target", 20 * h}}, "2026-11-23 10:00", 4 * h, "2026-11-24 17:00", "[]"},
		{"urgent now: around the clock", "2026-11-20 15:00", []op{{"2026-11-20 17:00", "always", 10 * h}}, "2026-11-20 20:00", 5 * h, "2026-11-21 01:00", "[]"},
		{"deferred to a Saturday by agreement", "2026-11-20 15:00", []op{{"2026-11-20 16:00", "extend", 5 * 24 * h}}, "2026-11-20 17:00", 2 * h, "2026-11-28 16:00", "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
				b := newBench(t, d, fake)
				b.to(c.from)
				work := b.book().DefaultID()
				b.do(func(ctx context.Context, a *action.Action) error {
					return sla.Arm(ctx, a, b.ticket, sla.Resolution, 1, sla.Promise{Target: 10 * h, Calendar: work, Policy: "test"}, "registered")
				})
				for _, o := range c.ops {
					b.to(o.at)
					b.Sweep()
					b.do(func(ctx context.Context, a *action.Action) error {
						switch o.what {
						case "pause":
							return sla.Pause(ctx, a, b.ticket, "asked", sla.Resolution)
						case "resume":
							return sla.Resume(ctx, a, b.ticket, "answered", sla.Resolution)
						case "target":
							return sla.Retarget(ctx, a, b.ticket, sla.Resolution, sla.Promise{Target: o.d, Calendar: work, Policy: "other"}, "edited")
						case "always":
							return sla.Retarget(ctx, a, b.ticket, sla.Resolution, sla.Promise{Target: o.d, Policy: "urgent"}, "edited")
						case "extend":
							due := b.newest(sla.Resolution).DueAt
							_, err := sla.Extend(ctx, a, b.ticket, sla.Resolution, due, due.Add(o.d))
							return err
						}
						return nil
					})
				}
				b.to(c.at)
				b.Sweep()
				got := b.newest(sla.Resolution)
				due := ""
				if !got.DueAt.IsZero() {
					due = got.DueAt.In(calendar.Zone).Format("2006-01-02 15:04")
				}
				if due != c.due || got.UsedAt(fake.Now()) != c.used {
					t.Errorf("used %v, due %s; want %v, %s", got.UsedAt(fake.Now()), due, c.used, c.due)
				}
				if f := fmt.Sprint(b.fired); f != c.fired {
					t.Errorf("fired %s, want %s", f, c.fired)
				}
				var broken int
				b.OK(d.Read().QueryRow(b.Ctx, `SELECT COUNT(*) FROM clocks c WHERE c.used <> (SELECT COALESCE(SUM(s.used), 0) FROM clock_segments s WHERE s.clock_id = c.id)`).Scan(&broken))
				if broken != 0 {
					t.Errorf("%d clocks have used other than their segments", broken)
				}
			})
		})
	}
}

// A change of the calendar leaves promised deadlines alone unless they are
// counted anew; then what was used by the old hours stays used.
func TestRecount(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		b := newBench(t, d, fake)
		b.to("2026-11-20 15:00") // a Friday
		work := b.book().DefaultID()
		b.do(func(ctx context.Context, a *action.Action) error {
			return sla.Arm(ctx, a, b.ticket, sla.Resolution, 1, sla.Promise{Target: 12 * time.Hour, Calendar: work, Policy: "test"}, "registered")
		})
		due := func() string { return b.newest(sla.Resolution).DueAt.In(calendar.Zone).Format("2006-01-02 15:04") }
		if due() != "2026-11-23 18:00" {
			t.Fatalf("due %s", due())
		}
		b.to("2026-11-20 17:00")
		room := calendar.New(b.Run, b.Org)
		admin := authz.Actor{Kind: authz.User, ID: b.User["guanli"], Levels: map[authz.Permission]authz.Level{calendar.PermManage: authz.All}}
		b.OK(room.SetDays(b.Ctx, admin, calendar.Days{Calendars: []int64{work}, From: calendar.Date(2026, 11, 23), Name: "台风"}))
		if due() != "2026-11-23 18:00" {
			t.Errorf("a promise moved by itself: %s", due())
		}
		c, _ := b.book().Get(work)
		old := c.Week
		for i := time.Monday; i <= time.Friday; i++ {
			c.Week[i] = []calendar.Span{{From: 600, To: 1080}} // from ten
		}
		_, err := room.Save(b.Ctx, admin, c, false)
		b.OK(err)
		b.do(func(ctx context.Context, a *action.Action) error {
			changed, err := sla.Recount(ctx, a, b.ticket, map[int64]*calendar.Times{work: b.book().With(work, old)}, "calendar")
			if !changed {
				t.Error("nothing was counted anew")
			}
			return err
		})
		// Two hours used of twelve; one is left on Friday, Monday is off, eight on Tuesday, one on Wednesday.
		if due() != "2026-11-25 11:00" {
			t.Errorf("counted anew: %s", due())
		}
		if used := b.newest(sla.Resolution).UsedAt(fake.Now()); used != 2*time.Hour {
			t.Errorf("used %v", used)
		}
	})
}

// SLA-1: the first policy a ticket fits is its; the last has no conditions.
func TestPick(t *testing.T) {
	t.Parallel()
	ps := []sla.Policy{
		{ID: 1, Name: "大客户投诉", Active: true, When: sla.Conditions{"type": {"complaint"}, "level": {"vip", "important"}}},
		{ID: 2, Name: "停用", When: sla.Conditions{"type": {"complaint"}}},
		{ID: 3, Name: "协议客户", Active: true, When: sla.Conditions{"customer": {"7", "8"}}},
		{ID: 4, Name: "邮件或微信的紧急", Active: true, When: sla.Conditions{"channel": {"email", "wechat"}, "urgency": {"urgent"}, "department": {"2"}}},
		{ID: 5, Name: "其余", Active: true, Rest: true},
	}
	for _, c := range []struct {
		c    sla.Case
		want string
	}{
		{sla.Case{Type: "complaint", Level: "vip", Customer: 7}, "大客户投诉"},
		{sla.Case{Type: "complaint", Level: "normal"}, "其余"},
		{sla.Case{Type: "complaint", Level: "normal", Customer: 8}, "协议客户"},
		{sla.Case{Channel: "email", Urgency: "urgent", Department: 2}, "邮件或微信的紧急"},
		{sla.Case{Channel: "email", Urgency: "urgent", Department: 3}, "其余"},
		{sla.Case{}, "其余"},
	} {
		if got := sla.Chosen(ps, c.c); got.Name != c.want {
			t.Errorf("%+v: %s, want %s", c.c, got.Name, c.want)
		}
		taken := 0
		for _, x := range sla.Explain(ps, c.c) {
			if x.Taken {
				taken++
				if x.Name != c.want {
					t.Errorf("%+v is explained by %s", c.c, x.Name)
				}
			}
		}
		if taken != 1 {
			t.Errorf("%+v: %d taken", c.c, taken)
		}
	}
	if p := sla.Chosen(nil, sla.Case{Urgency: "urgent"}); p.Target(sla.Urgent) == 0 {
		t.Errorf("without any policy an urgent ticket has %+v", p)
	}
}
