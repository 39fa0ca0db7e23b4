package notify

import (
	"context"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
)

// NTF-2: nobody is told twice, and who acted is not told.
func TestListener(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		f := event.NewFollower(d)
		run := action.NewRunner(d, nil)
		s := New(run, Rooms{})
		l := s.Listener()
		f.Listen(l)
		err := run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			if _, err := a.Exec(ctx, `INSERT INTO departments (id, name, created_at) VALUES (1, '客服部', 1)`); err != nil {
				return err
			}
			for _, id := range []int64{7, 8} {
				if _, err := a.Exec(ctx, `INSERT INTO users (id, login, name, department_id, created_at) VALUES ($1, $2, 'x', 1, 1)`, id, string(rune('a'+id))); err != nil {
					return err
				}
			}
			a.Nothing()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		me := authz.Actor{Kind: authz.User, ID: 7, Name: "林"}
		if err := run.Do(ctx, me, "x", func(ctx context.Context, a *action.Action) error {
			a.Record(event.Event{Kind: "ticket.assigned", Subject: event.Subject{Type: "ticket", ID: 1}, Data: map[string]any{"number": "T1", "title": "打印机", "tell": []int64{7, 8}, "args": []string{"何", "客服部"}}})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		evs, err := event.After(ctx, d.Read(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return l.Handle(ctx, tx, evs) }); err != nil {
			t.Fatal(err)
		}
		for user, want := range map[int64]int{7: 0, 8: 1} {
			if n, err := s.Unread(ctx, user, 100); err != nil || n != want {
				t.Errorf("user %d has %d unread notices (%v), want %d", user, n, err, want)
			}
		}
		ns, err := s.List(ctx, 8, 0, 10)
		if err != nil || len(ns) != 1 || ns[0].Sentence("zh-CN") != "分派给 何（客服部）" {
			t.Errorf("notices %+v, %v", ns, err)
		}
		if err == nil && ns[0].Link != "/tickets/T1" {
			t.Errorf("the notice leads to %q", ns[0].Link)
		}
		if err := run.Do(ctx, me, "x", func(ctx context.Context, a *action.Action) error {
			a.Record(event.Event{Kind: "approval.asked", Subject: event.Subject{Type: "approval", ID: 3}, Data: map[string]any{"title": "x", "link": "/approvals/3", "tell": []int64{8}}})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if ns, err := s.List(ctx, 8, 0, 10); err != nil || len(ns) != 2 || ns[0].Link != "/approvals/3" {
			t.Errorf("notices of other rooms: %+v, %v", ns, err)
		}
		if err := s.MarkRead(ctx, 8, 0); err != nil {
			t.Fatal(err)
		}
		if n, _ := s.Unread(ctx, 8, 100); n != 0 {
			t.Errorf("%d unread after reading all", n)
		}
	})
}
