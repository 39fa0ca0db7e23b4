package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
)

var subject = event.Subject{Type: "thing", ID: 1}

func record(t *testing.T, run *action.Runner, kind string) {
	t.Helper()
	err := run.Do(context.Background(), authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: kind, Subject: subject, Reason: "因为", Data: map[string]string{"值": "甲"}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// GOV-1: the chain is whole under concurrent writers, and any change shows.
func TestChain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		f := event.NewFollower(d)
		run := action.NewRunner(d, nil)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					record(t, run, "thing.made")
				}
			})
		}
		wg.Wait()
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := event.Verify(ctx, d.Read())
		if err != nil || r.Events != 80 || r.BrokenAt != 0 || r.Unsealed != 0 {
			t.Fatalf("whole chain: %+v, %v", r, err)
		}
		tamper := func(q string, want int64) {
			t.Helper()
			undo := errors.New("undo")
			_ = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				if _, err := tx.Exec(ctx, q); err != nil {
					t.Errorf("%s: %v", q, err)
				}
				if r, err := event.Verify(ctx, tx); err != nil || r.BrokenAt != want {
					t.Errorf("%s: broken at %d (%v), want %d", q, r.BrokenAt, err, want)
				}
				return undo
			})
		}
		tamper(`UPDATE events SET actor_name = 'x' WHERE seq = 40`, 40)
		tamper(`UPDATE events SET data = '{}' WHERE seq = 1`, 1)
		tamper(`UPDATE events SET at = at + 1 WHERE seq = 80`, 80)
		tamper(`DELETE FROM events WHERE seq = 7`, 7)
		tamper(`UPDATE events SET reason = '', kind = kind || reason WHERE seq = 9`, 9)
	})
}

// One action with more facts than are sealed at a time leaves none behind.
func TestManyFacts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		f := event.NewFollower(d)
		err := action.NewRunner(d, nil).Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			for range 2500 {
				a.Record(event.Event{Kind: "thing.made", Subject: subject})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if r, err := event.Verify(ctx, d.Read()); err != nil || r.Events != 2500 || r.Unsealed != 0 || r.BrokenAt != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Two nodes follow one store: each fact reaches a listener once, in order,
// whichever node brings it, and the chain stays whole.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		run := action.NewRunner(d, nil)
		nodes := []*event.Follower{event.NewFollower(d), event.NewFollower(d)}
		for _, f := range nodes {
			f.Listen(event.Listener{Name: "count", Kinds: []string{"thing.made"}, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
				for _, e := range evs {
					var last int64
					if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(n), 0) FROM counters WHERE name <> 'ticket.routing'`).Scan(&last); err != nil {
						return err
					}
					if e.Seq <= last {
						t.Errorf("%d after %d", e.Seq, last)
					}
					if _, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, $2)`, fmt.Sprint(e.Seq), e.Seq); err != nil {
						return err
					}
				}
				return nil
			}})
		}
		var wg sync.WaitGroup
		for _, f := range nodes {
			wg.Go(func() {
				for range 20 {
					record(t, run, "thing.made")
					record(t, run, "thing.seen")
					if err := f.Drain(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, f := range nodes {
			if err := f.Drain(ctx); err != nil {
				t.Error(err)
			}
		}
		var n int
		if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name <> 'ticket.routing'`).Scan(&n); err != nil || n != 40 {
			t.Errorf("%d of 40 delivered, %v", n, err)
		}
		if r, err := event.Verify(ctx, d.Read()); err != nil || r.Events != 80 || r.BrokenAt != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A listener sees every event, in order, and what it wrote is there once even
// when it failed in between; another listener is not held up.
func TestListeners(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		f := event.NewFollower(d)
		run := action.NewRunner(d, f.Wake)
		fails := 2
		count := func(name string) event.Listener {
			return event.Listener{Name: name, Kinds: []string{"thing.made"}, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
				for _, e := range evs {
					if e.Kind != "thing.made" {
						t.Errorf("%s got %s", name, e.Kind)
					}
					if _, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, fmt.Sprint(name, e.Seq)); err != nil {
						return err
					}
				}
				if name == "weak" && fails > 0 {
					fails--
					return errors.New("weak")
				}
				return nil
			}}
		}
		f.Listen(count("weak"))
		f.Listen(count("strong"))
		var tailed int
		f.Tail(func(_ context.Context, evs []event.Stored) { tailed += len(evs) })
		record(t, run, "thing.made") // before the tail began
		if err := f.Drain(ctx); err == nil {
			t.Error("the error of a listener is lost")
		}
		for range 300 {
			record(t, run, "thing.made")
			record(t, run, "thing.seen")
		}
		if err := f.Drain(ctx); err == nil {
			t.Error("the error of a listener is lost")
		}
		if err := f.Drain(ctx); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"weak", "strong"} {
			var n int
			if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name LIKE $1`, name+"%").Scan(&n); err != nil || n != 301 {
				t.Errorf("%s has %d of 301 (%v)", name, n, err)
			}
		}
		if tailed != 600 {
			t.Errorf("the tail saw %d of 600", tailed)
		}
	})
}
