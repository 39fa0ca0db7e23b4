package action_test

import (
	"context"
	"errors"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
)

// Nothing recorded: nothing committed.
func TestDo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		run := action.NewRunner(d, nil)
		boom := errors.New("boom")
		for _, c := range []struct {
			name   string
			record bool
			silent bool
			err    error
			ok     bool
		}{
			{"recorded", true, false, nil, true},
			{"unrecorded", false, false, nil, false},
			{"nothing", false, true, nil, true},
			{"failed", true, false, boom, false},
		} {
			err := run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
				if _, err := a.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, c.name); err != nil {
					return err
				}
				if c.record {
					a.Record(event.Event{Kind: "thing.made", Subject: event.Subject{Type: "thing", ID: 1}})
				}
				if c.silent {
					a.Nothing()
				}
				return c.err
			})
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", c.name, err)
			}
			var n int
			if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name = $1`, c.name).Scan(&n); err != nil || (n == 1) != c.ok {
				t.Errorf("%s: %d rows, %v", c.name, n, err)
			}
		}
		var n int
		if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM events`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d events, %v", n, err)
		}
	})
}
