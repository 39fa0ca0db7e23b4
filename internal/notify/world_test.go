package notify

import (
	"context"
	"fmt"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/job"
	"bihuan/internal/org"
)

// world is a company of four in two departments: 10 客服部 with 1 何 and 2 林, and
// 11 below it with 3 苏; 4 is the administrator.
type world struct {
	*testing.T
	ctx   context.Context
	d     *db.DB
	c     *clock.Fake
	s     *Service
	run   *action.Runner
	f     *event.Follower
	jobs  *job.Queue
	admin authz.Actor
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		keys, err := crypt.New()
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, ctx: context.Background(), d: d, c: c, f: event.NewFollower(d), jobs: job.New(d, job.Config{})}
		w.run = action.NewRunner(d, nil)
		w.s = New(w.run, Rooms{Org: org.New(w.run), Keys: keys, Jobs: w.jobs, PublicURL: "https://crm.example.cn/"})
		w.f.Listen(w.s.Listener())
		w.admin = authz.Actor{Kind: authz.User, ID: 4, Name: "管理员", Levels: map[authz.Permission]authz.Level{PermManage: authz.All}}
		// A Sunday noon.
		w.c.Set(time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC))
		w.ok(d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			for _, q := range []string{`INSERT INTO departments (id, name, created_at) VALUES (10, '客服部', 1)`, `INSERT INTO departments (id, parent_id, name, created_at) VALUES (11, 10, '售后组', 1)`,
				`INSERT INTO users (id, login, name, email, phone, department_id, lang, created_at) VALUES (1, 'he', '何', 'he@example.cn', '13800000001', 10, 'zh-CN', 1)`,
				`INSERT INTO users (id, login, name, email, phone, department_id, lang, created_at) VALUES (2, 'lin', 'Lin', 'lin@example.cn', '13800000002', 10, 'en', 1)`,
				`INSERT INTO users (id, login, name, email, department_id, lang, created_at) VALUES (3, 'su', '苏', '', 11, 'zh-CN', 1)`,
				`INSERT INTO users (id, login, name, email, phone, department_id, lang, created_at) VALUES (4, 'admin', '管理员', 'admin@example.cn', '13800000004', 10, 'zh-CN', 1)`} {
				if _, err := tx.Exec(ctx, q); err != nil {
					return err
				}
			}
			return nil
		}))
		f(t, w)
	})
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// tell records a fact that concerns people and brings it to the listener.
func (w *world) tell(kind string, urgent bool, to ...int64) {
	w.Helper()
	w.ok(w.run.Do(w.ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: "ticket", ID: 1}, Data: map[string]any{"number": "TASK20261122001", "title": "打印机无法开机", "tell": to, "urgent": urgent, "args": []string{"何", "客服部"}}})
		return nil
	}))
	w.ok(w.f.Drain(w.ctx))
}

// tellOf tells of another ticket.
func (w *world) tellOf(number string, to ...int64) {
	w.Helper()
	w.ok(w.run.Do(w.ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: "ticket.assigned", Subject: event.Subject{Type: "ticket", ID: 1}, Data: map[string]any{"number": number, "title": "x", "tell": to, "args": []string{"何", "客服部"}}})
		return nil
	}))
	w.ok(w.f.Drain(w.ctx))
}

// settle does the jobs that are due.
func (w *world) settle() {
	w.Helper()
	_, err := w.jobs.RunDue(w.ctx)
	w.ok(err)
}

// later turns the clock and does what has become due.
func (w *world) later(d time.Duration) {
	w.Helper()
	w.c.Advance(d)
	w.ok(w.s.Sweep(w.ctx))
	w.settle()
}

func (w *world) channel(kind string, settings, secrets map[string]string) int64 {
	w.Helper()
	id, err := w.s.SaveChannel(w.ctx, w.admin, Channel{Kind: kind, Enabled: true, Settings: settings}, secrets)
	w.ok(err)
	w.settle()
	return id
}

// log is the delivery log from the oldest line on, in short.
func (w *world) log() (out []string) {
	w.Helper()
	ds, err := w.s.Log(w.ctx, w.admin, LogFilter{Limit: 500})
	w.ok(err)
	for i := len(ds) - 1; i >= 0; i-- {
		d := ds[i]
		s := fmt.Sprintf("%s %s %s", d.User, d.Way, d.State)
		if d.Why != "" {
			s += " " + d.Why
		}
		if d.Doubtful {
			s += " doubtful"
		}
		out = append(out, s)
	}
	return out
}

func (w *world) wantLog(want ...string) {
	w.Helper()
	got := w.log()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Fatalf("log\n%q, want\n%q", got, want)
	}
}

func (w *world) choose(user int64, change func(c *Choices)) {
	w.Helper()
	actor := authz.Actor{Kind: authz.User, ID: user, Name: "x"}
	m, _, err := w.s.Mine(w.ctx, actor)
	w.ok(err)
	if m.Picks == nil {
		m.Picks = map[string]map[string]bool{}
	}
	if m.Addresses == nil {
		m.Addresses = map[string]string{}
	}
	change(&m.Choices)
	w.ok(w.s.SetMine(w.ctx, actor, m.Choices))
}

func (w *world) notice(user int64) Notice {
	w.Helper()
	ns, err := w.s.List(w.ctx, user, 0, 1)
	w.ok(err)
	if len(ns) == 0 {
		w.Fatalf("%d has no notice", user)
	}
	return ns[0]
}
