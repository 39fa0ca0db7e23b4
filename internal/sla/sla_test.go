package sla_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/sla"
	"bihuan/internal/ticket/tickettest"
)

// bench is one ticket whose clocks a test winds itself.
type bench struct {
	*tickettest.House
	ticket int64
	fired  []string // "kind step" as they came
}

func newBench(t *testing.T, d *db.DB, c *clock.Fake) *bench {
	b := &bench{House: tickettest.New(t, d, c)}
	b.ticket = b.Register().ID
	b.do(func(ctx context.Context, a *action.Action) error { return sla.Stop(ctx, a, b.ticket, "cancelled") })
	b.Clocks.OnFire(func(_ context.Context, _ *action.Action, fs []*sla.Fired) error {
		for _, f := range fs {
			said := fmt.Sprint(f.Clock.Kind, " ", f.Step.Name)
			if f.Again {
				said += "+"
			}
			b.fired = append(b.fired, said)
		}
		return nil
	})
	return b
}

func (b *bench) do(f func(ctx context.Context, a *action.Action) error) {
	b.T.Helper()
	b.OK(b.Run.Do(b.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		return f(ctx, a)
	}))
}

func (b *bench) arm(k sla.Kind, target time.Duration) {
	b.T.Helper()
	b.do(func(ctx context.Context, a *action.Action) error {
		return sla.Arm(ctx, a, b.ticket, k, 1, sla.Promise{Target: target, Policy: "test"}, "registered")
	})
}

// newest is the last clock of kind k.
func (b *bench) newest(k sla.Kind) (out sla.Clock) {
	b.T.Helper()
	cs, err := sla.Of(b.Ctx, b.D.Read(), b.ticket)
	b.OK(err)
	for _, c := range cs {
		if c.Kind == k {
			out = c
		}
	}
	return out
}

// SLA-4: whatever pauses, resumes and changes of the promise do, the time used
// is kept, the due time follows from it, and each step fires once.
func TestArithmetic(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	type op struct {
		what string // wait, pause, resume, target, meet, revive
		d    time.Duration
	}
	for _, c := range []struct {
		name   string
		ops    []op
		used   time.Duration
		left   time.Duration // until due; of a paused or ended clock 0
		missed bool
		fired  string
	}{
		{"runs", []op{{"wait", 5 * h}}, 5 * h, 5 * h, false, "[]"},
		{"warns at 80 %", []op{{"wait", 8 * h}}, 8 * h, 2 * h, false, "[resolution warn]"},
		{"paused time does not count", []op{{"wait", 4 * h}, {"pause", 0}, {"wait", 100 * h}, {"resume", 0}, {"wait", h}}, 5 * h, 5 * h, false, "[]"},
		{"a paused clock fires nothing", []op{{"wait", 7 * h}, {"pause", 0}, {"wait", 100 * h}}, 7 * h, 0, false, "[]"},
		{"paused twice is paused once", []op{{"wait", h}, {"pause", 0}, {"wait", h}, {"pause", 0}, {"wait", h}, {"resume", 0}, {"resume", 0}}, h, 9 * h, false, "[]"},
		{"a longer promise", []op{{"wait", 7 * h}, {"target", 20 * h}, {"wait", 2 * h}}, 9 * h, 11 * h, false, "[]"},
		{"a shorter promise is missed at once", []op{{"wait", 7 * h}, {"target", 5 * h}, {"wait", 0}}, 7 * h, -2 * h, true, "[resolution warn resolution miss]"},
		{"paused, then a longer promise", []op{{"wait", 7 * h}, {"pause", 0}, {"target", 20 * h}, {"wait", 50 * h}, {"resume", 0}}, 7 * h, 13 * h, false, "[]"},
		{"paused, then a promise already broken", []op{{"wait", 7 * h}, {"pause", 0}, {"target", 6 * h}, {"wait", 50 * h}, {"resume", 0}, {"wait", 0}}, 7 * h, -h, true, "[resolution warn resolution miss]"},
		{"a step that has fired stays fired", []op{{"wait", 8 * h}, {"target", 20 * h}, {"wait", 8 * h}, {"wait", 4 * h}}, 20 * h, 0, true, "[resolution warn resolution miss]"},
		{"down for a week", []op{{"wait", 168 * h}}, 168 * h, -158 * h, true, "[resolution warn resolution miss resolution escalate]"},
		{"met late, before any sweep", []op{{"down", 11 * h}, {"meet", 0}, {"wait", h}}, 11 * h, 0, true, "[]"},
		{"met in time", []op{{"wait", 9 * h}, {"meet", 0}, {"wait", 9 * h}}, 9 * h, 0, false, "[resolution warn]"},
		{"paused late, before any sweep", []op{{"down", 11 * h}, {"pause", 0}, {"wait", h}}, 11 * h, 0, true, "[]"},
		{"met and taken back", []op{{"wait", 9 * h}, {"meet", 0}, {"wait", 50 * h}, {"revive", 0}, {"wait", h}}, 10 * h, 0, true, "[resolution warn resolution miss]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
				b := newBench(t, d, fake)
				b.arm(sla.Resolution, 10*h)
				for _, o := range c.ops {
					b.do(func(ctx context.Context, a *action.Action) error {
						switch o.what {
						case "pause":
							return sla.Pause(ctx, a, b.ticket, "asked", sla.Resolution)
						case "resume":
							return sla.Resume(ctx, a, b.ticket, "answered", sla.Resolution)
						case "target":
							return sla.Retarget(ctx, a, b.ticket, sla.Resolution, sla.Promise{Target: o.d, Policy: "other"}, "edited")
						case "meet":
							_, err := sla.Meet(ctx, a, b.ticket, "resolved", sla.Resolution)
							return err
						case "revive":
							return sla.Revive(ctx, a, b.ticket, sla.Resolution, 1, "withdrawn")
						}
						return nil
					})
					switch o.what {
					case "down":
						b.Clock.Advance(o.d)
					case "wait":
						b.Clock.Advance(o.d)
						b.Sweep()
						if n := b.Sweep(); n != 0 {
							t.Errorf("%d steps fired twice", n)
						}
					}
				}
				got := b.newest(sla.Resolution)
				now := b.Clock.Now()
				if u := got.UsedAt(now); u != c.used {
					t.Errorf("used %v, want %v", u, c.used)
				}
				var left time.Duration
				if got.State == sla.Running {
					left = got.DueAt.Sub(now)
				}
				if left != c.left || got.Missed != c.missed {
					t.Errorf("left %v, missed %v; want %v, %v", left, got.Missed, c.left, c.missed)
				}
				if f := fmt.Sprint(b.fired); f != c.fired {
					t.Errorf("fired %s, want %s", f, c.fired)
				}
			})
		})
	}
}

// Clocks that can never be fired, more than are looked at in one go, hold up no
// other and are not tried without pause; once they can be, they are.
func TestFailingClocks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, fake *clock.Fake) {
		h := tickettest.New(t, d, fake)
		const bad, good = 150, 20
		var sick = map[int64]bool{}
		for i := range bad + good {
			tk := h.Register()
			sick[tk.ID] = i < bad // the oldest come first in every look
			h.Clock.Advance(time.Millisecond)
		}
		tries, fired := 0, 0
		broken := errors.New("cannot be said")
		var heal bool
		h.Clocks.OnFire(func(_ context.Context, _ *action.Action, fs []*sla.Fired) error {
			for _, f := range fs {
				if sick[f.Clock.TicketID] && !heal {
					tries++
					return broken
				}
			}
			fired += len(fs)
			return nil
		})
		h.Clock.Advance(time.Hour) // the reminder of each acknowledge clock
		for range 4 {
			if _, err := h.Clocks.Sweep(h.Ctx); err != nil && !errors.Is(err, broken) {
				t.Fatal(err)
			}
		}
		if fired != good {
			t.Errorf("%d of %d healthy clocks fired beside the sick ones", fired, good)
		}
		if tries > 3*bad {
			t.Errorf("%d attempts at %d clocks without a pause", tries, bad)
		}
		tries = 0
		for range 600 {
			h.Clock.Advance(time.Second)
			h.Clocks.Sweep(h.Ctx)
		}
		if tries > 30*bad {
			t.Errorf("%d attempts at %d clocks in ten minutes", tries, bad)
		}
		heal = true
		h.Clock.Advance(5 * time.Minute)
		if n, err := h.Clocks.Sweep(h.Ctx); err != nil || n < bad {
			t.Errorf("healed: %d fired, %v", n, err)
		}
	})
}
