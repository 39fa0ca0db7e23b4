package event_test

import (
	"bytes"
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

// GOV-4: a person's words leave the chain, the chain stays whole, and a change
// that only looks like that shows.
func TestRedact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		f := event.NewFollower(d)
		run := action.NewRunner(d, nil)
		for range 10 {
			record(t, run, "thing.made")
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		evs, err := event.After(ctx, d.Read(), 3, 2) // 4 and 5
		if err != nil || len(evs) != 2 {
			t.Fatal(evs, err)
		}
		redact := func(evs []event.Stored) error {
			return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				return event.Redact(ctx, tx, authz.System("test"), "test", subject, nil, evs)
			})
		}
		for i := range evs {
			evs[i].Reason, evs[i].Data = "■■■", []byte(`{"值":"■"}`)
		}
		if err := redact(evs); err != nil {
			t.Fatal(err)
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := event.Verify(ctx, d.Read())
		if err != nil || r.BrokenAt != 0 || r.Redacted != 2 || r.Events != 11 {
			t.Fatalf("after a redaction: %+v, %v", r, err)
		}
		now, _ := event.After(ctx, d.Read(), 3, 1)
		if len(now) != 1 || now[0].Reason != "■■■" || len(now[0].Salt) != 0 || !now[0].Redacted || !bytes.Equal(now[0].Hash, evs[0].Hash) {
			t.Errorf("redacted event: %+v", now)
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
		tamper(`UPDATE events SET reason = 'x' WHERE seq = 4`, 4)
		tamper(`UPDATE events SET redacted = 1, reason = 'x' WHERE seq = 8`, 8)
		tamper(`UPDATE events SET redacted = 1, salt = NULL WHERE seq = 9`, 9)
		tamper(`UPDATE events SET data = '{"rows":[]}' WHERE kind = 'audit.redacted'`, 11)

		// Again, for another person in the same events: the newest voucher counts.
		for i := range evs {
			evs[i].ActorName = "■"
		}
		if err := redact(evs[:1]); err != nil {
			t.Fatal(err)
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if r, err := event.Verify(ctx, d.Read()); err != nil || r.BrokenAt != 0 || r.Redacted != 2 {
			t.Errorf("after a second redaction: %+v, %v", r, err)
		}
		if err := redact([]event.Stored{{ID: 99, Kind: "thing.made", Data: []byte("{}")}}); err == nil {
			t.Error("an event that is not sealed was redacted")
		}
		last, _ := event.After(ctx, d.Read(), 10, 1)
		if err := redact(last); err == nil {
			t.Error("a voucher was redacted")
		}
	})
}
