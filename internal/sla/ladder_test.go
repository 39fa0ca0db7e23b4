package sla_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
)

var admin = authz.System("test")

// SLA-3: a ladder of one's own warns before, repeats until somebody knows, goes
// on after, and is climbed by clocks that begin after it was made.
func TestLadder(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	steps := []sla.Step{
		{Percent: 100, Minutes: -30, Tell: []sla.Who{sla.Assignee}},
		{Percent: 100, Tell: []sla.Who{sla.Assignee, sla.Duty}, Class: sla.Insist, Every: 10},
		{Percent: 100, Minutes: 60, Tell: []sla.Who{sla.Head}, Every: 20, Times: 2},
	}
	for _, c := range []struct {
		name  string
		ops   string // minutes to wait, k: somebody knows, p and r: paused and resumed, d: down, then so many minutes
		fired string
	}{
		{"to the deadline", "90 30", "[resolution warn resolution miss]"},
		{"again", "120 10 10", "[resolution warn resolution miss resolution miss+ resolution miss+]"},
		{"until known", "120 10 k 10 10 10", "[resolution warn resolution miss resolution miss+]"},
		{"what comes next comes", "120 k 60", "[resolution warn resolution miss resolution escalate]"},
		{"the next step takes over", "120 k 60 20 20 20 20", "[resolution warn resolution miss resolution escalate resolution escalate+ resolution escalate+]"},
		{"a pause stops it", "120 10 p 60 r 5 5", "[resolution warn resolution miss resolution miss+ resolution miss+]"},
		{"once after an outage", "120 d45", "[resolution warn resolution miss resolution miss+]"},
		{"once after a long one", "120 d600", "[resolution warn resolution miss resolution miss+ resolution escalate resolution escalate+]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
				b := newBench(t, d, fake)
				if _, err := b.Clocks.SetLadder(b.Ctx, admin, sla.Ladder{Kind: sla.Resolution, Policy: "test", Steps: steps}); err != nil {
					t.Fatal(err)
				}
				b.arm(sla.Resolution, 120*m)
				var n int
				for _, op := range split(c.ops) {
					switch {
					case op == "k":
						b.do(func(ctx context.Context, a *action.Action) error { _, err := sla.Silence(ctx, a, b.ticket); return err })
					case op == "p":
						b.do(func(ctx context.Context, a *action.Action) error {
							return sla.Pause(ctx, a, b.ticket, "asked", sla.Resolution)
						})
					case op == "r":
						b.do(func(ctx context.Context, a *action.Action) error {
							return sla.Resume(ctx, a, b.ticket, "answered", sla.Resolution)
						})
					default:
						fmt.Sscan(op[len(op)-len(trim(op)):], &n)
						b.Clock.Advance(time.Duration(n) * m)
					}
					b.Sweep()
					if again := b.Sweep(); again != 0 {
						t.Errorf("%d fired twice", again)
					}
				}
				if got := fmt.Sprint(b.fired); got != c.fired {
					t.Errorf("fired %s\nwant  %s", got, c.fired)
				}
				said, err := sla.FiringsOf(b.Ctx, d.Read(), b.ticket)
				b.OK(err)
				if got := len(said[b.newest(sla.Resolution).ID]); got != len(b.fired) {
					t.Errorf("%d firings on record, %d happened", got, len(b.fired))
				}
			})
		})
	}
}

func split(s string) (out []string) {
	for _, r := range s + " " {
		if r == ' ' {
			out = append(out, "")
			continue
		}
		if len(out) == 0 {
			out = append(out, "")
		}
		out[len(out)-1] += string(r)
	}
	return out[:len(out)-1]
}

func trim(s string) string {
	if s[0] == 'd' {
		return s[1:]
	}
	return s
}

// A ladder that is refused says at which step; one that is changed is climbed by
// running clocks only when they are told to, and nothing fires twice then.
func TestSetLadder(t *testing.T) {
	t.Parallel()
	who := []sla.Who{sla.Supervisor}
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		b := newBench(t, d, fake)
		for _, c := range []struct {
			field string
			steps []sla.Step
		}{
			{"", nil},
			{"percent.1", []sla.Step{{Percent: 80, Tell: who}}},
			{"percent.2", []sla.Step{{Percent: 100, Tell: who}, {Percent: 90, Tell: who}}},
			{"percent.1", []sla.Step{{Percent: 2000, Tell: who}, {Percent: 100, Tell: who}}},
			{"tell.1", []sla.Step{{Percent: 50}, {Percent: 100, Tell: who}}},
			{"tell.1", []sla.Step{{Percent: 100, Tell: []sla.Who{"nobody"}}}},
			{"every.1", []sla.Step{{Percent: 100, Tell: who, Every: 1}}},
			{"times.1", []sla.Step{{Percent: 50, Tell: []sla.Who{sla.TheClient}, Every: 60}, {Percent: 100}}},
			{"class.1", []sla.Step{{Percent: 100, Tell: who, Class: "shout"}}},
		} {
			_, err := b.Clocks.SetLadder(b.Ctx, admin, sla.Ladder{Kind: sla.Update, Steps: c.steps})
			f, ok := fault.As(err)
			if !ok || f.Kind != fault.Invalid {
				t.Errorf("%v: %v", c.steps, err)
				continue
			}
			found := c.field == ""
			for _, x := range f.Fields {
				found = found || x.Field == c.field
			}
			if !found {
				t.Errorf("%v: nothing at %s: %+v", c.steps, c.field, f.Fields)
			}
		}
		if _, err := b.Clocks.SetLadder(b.Ctx, authz.Actor{Kind: authz.User, ID: 1}, sla.Ladder{Kind: sla.Update, Steps: []sla.Step{{Percent: 100, Tell: who}}}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("without the right: %v", err)
		}

		b.arm(sla.Update, 10*time.Hour) // 8.3 h, 10 h, 11.7 h
		b.Clock.Advance(9 * time.Hour)
		b.Sweep()
		_, err := b.Clocks.SetLadder(b.Ctx, admin, sla.Ladder{Kind: sla.Update, Steps: []sla.Step{{Percent: 50, Tell: who}, {Percent: 95, Tell: who}, {Percent: 100, Tell: who, Desk: true}}})
		b.OK(err)
		if c := b.newest(sla.Update); c.Ladder != 0 || len(c.Ahead()) != 2 {
			t.Errorf("a running clock has changed its ladder by itself: %d, %d ahead", c.Ladder, len(c.Ahead()))
		}
		n, err := b.Clocks.Rehang(b.Ctx, admin, sla.Update, 100)
		b.OK(err)
		if again, _ := b.Clocks.Rehang(b.Ctx, admin, sla.Update, 100); n < 1 || again != 0 {
			t.Errorf("%d clocks changed, then %d", n, again)
		}
		b.Clock.Advance(time.Hour)
		b.Sweep()
		if got := fmt.Sprint(b.fired); got != "[update warn update warn update miss]" {
			t.Errorf("fired %s", got)
		}
		b.OK(b.Clocks.RemoveLadder(b.Ctx, admin, sla.Update, ""))
		if l, err := sla.LadderFor(b.Ctx, d.Read(), sla.Update, "any"); err != nil || l.ID != 0 {
			t.Errorf("taken back: %+v %v", l, err)
		}
	})
}

// SLA-6: what was promised is counted once, as met or missed, and counted anew
// when it is taken back; the sums of the days agree with the list.
func TestReport(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		b := newBench(t, d, fake)
		all := authz.For(admin, sla.PermReport)
		meet := func() {
			b.do(func(ctx context.Context, a *action.Action) error {
				_, err := sla.Meet(ctx, a, b.ticket, "resolved", sla.Resolution)
				return err
			})
		}
		check := func(what string, met, first, missed int) {
			t.Helper()
			b.OK(b.Clocks.Count(b.Ctx))
			f := sla.ReportFilter{From: b.Clock.Now().Add(-240 * time.Hour), To: b.Clock.Now().Add(240 * time.Hour), Kind: sla.Resolution}
			for _, g := range sla.Groups {
				_, total, err := b.Clocks.Report(b.Ctx, all, g, f)
				b.OK(err)
				if total.All != (sla.Figure{Met: met, First: first, Missed: missed}) {
					t.Errorf("%s, by %s: %+v", what, g, total.All)
				}
			}
			list, _, err := b.Clocks.Results(b.Ctx, all, f, "", "", 100)
			b.OK(err)
			if len(list) != met+missed {
				t.Errorf("%s: %d in the list", what, len(list))
			}
			if _, total, err := b.Clocks.Report(b.Ctx, authz.For(authz.Actor{Kind: authz.User, ID: 999, Levels: map[authz.Permission]authz.Level{sla.PermReport: authz.Own}}, sla.PermReport), sla.ByPerson, f); err != nil || total.All.N() != 0 {
				t.Errorf("%s: a stranger sees %+v %v", what, total.All, err)
			}
		}
		b.arm(sla.Resolution, 10*time.Hour)
		check("running", 0, 0, 0)
		b.Clock.Advance(5 * time.Hour)
		meet()
		check("met", 1, 1, 0)
		b.do(func(ctx context.Context, a *action.Action) error {
			return sla.Revive(ctx, a, b.ticket, sla.Resolution, 1, "withdrawn")
		})
		check("taken back", 0, 0, 0)
		b.Clock.Advance(5 * time.Hour)
		b.Sweep()
		check("missed while it runs", 0, 0, 1)
		b.do(func(ctx context.Context, a *action.Action) error {
			_, err := sla.Extend(ctx, a, b.ticket, sla.Resolution, time.Time{}, b.Clock.Now().Add(10*time.Hour))
			return err
		})
		check("deferred", 0, 0, 0)
		b.Clock.Advance(time.Hour)
		meet()
		check("met only because it was deferred", 1, 0, 0)
	})
}

// A share of few says little, and the report says so.
func TestFigure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f         sla.Figure
		rate      string
		low, high string
	}{
		{sla.Figure{Met: 9, Missed: 1}, "90.0", "59.6", "98.2"},
		{sla.Figure{Met: 180, Missed: 20}, "90.0", "85.1", "93.4"},
		{sla.Figure{}, "0.0", "0.0", "100.0"},
	} {
		r, _ := c.f.Rate()
		low, high := c.f.Wilson()
		if got := fmt.Sprintf("%.1f %.1f %.1f", r, low, high); got != c.rate+" "+c.low+" "+c.high {
			t.Errorf("%+v: %s", c.f, got)
		}
	}
}
