package rule

import (
	"fmt"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/notify"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// world is a company with rules.
type world struct {
	*tickettest.House
	S       *Service
	Jobs    *job.Queue
	Notices *notify.Service
	Procs   *process.Service
	Admin   authz.Actor
}

func newWorld(t testing.TB, d *db.DB, c *clock.Fake) *world {
	w := &world{House: tickettest.New(t, d, c)}
	w.restart()
	w.Admin = w.As("guanli")
	return w
}

// restart puts the rules together anew, as after a crash.
func (w *world) restart() {
	w.Restart()
	w.Procs = process.New(w.Run, w.Service, w.Org, w.Customers.Fields(), w.Files, complaint.New(w.Run, w.Org, w.Service, w.Customers, w.Files))
	w.Jobs = job.New(w.D, job.Config{})
	w.S = New(w.Run, Rooms{Org: w.Org, Customers: w.Customers, Tickets: w.Service, Processes: w.Procs, Keys: w.Keys, Jobs: w.Jobs, PublicURL: "https://crm.example"})
	w.Notices = notify.New(w.Run, notify.Rooms{Org: w.Org, Keys: w.Keys})
	w.Follower.Listen(w.Notices.Listener())
	w.Follower.Listen(w.S.Listener())
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newWorld(t, d, c)) })
}

// rule saves a rule that is on.
func (w *world) rule(r Rule) Rule {
	w.T.Helper()
	if r.Name == "" {
		r.Name = fmt.Sprint("rule ", w.count(`SELECT COUNT(*) FROM rules`)+1)
	}
	r.Enabled = true
	id, err := w.S.Save(w.Ctx, w.Admin, r)
	if f, ok := fault.As(err); ok {
		w.T.Fatalf("%s: %+v", f.Key, f.Fields)
	}
	w.OK(err)
	r, err = w.S.Get(w.Ctx, w.Admin, id)
	w.OK(err)
	return r
}

func (w *world) drain() {
	w.T.Helper()
	w.OK(w.Follower.Drain(w.Ctx))
}

func (w *world) count(query string, args ...any) (n int) {
	w.T.Helper()
	w.OK(w.D.Read().QueryRow(w.Ctx, query, args...).Scan(&n))
	return n
}

func (w *world) text(query string, args ...any) (s string) {
	w.T.Helper()
	w.OK(w.D.Read().QueryRow(w.Ctx, query, args...).Scan(&s))
	return s
}

func (w *world) ticket(id int64) ticket.Ticket {
	w.T.Helper()
	t, err := w.Get(w.Ctx, ticket.View(authz.System("")), id)
	w.OK(err)
	return t
}

// firings lists what the log says: outcome and actions of each.
func (w *world) firings(f LogFilter) (out []string) {
	w.T.Helper()
	lines, _, err := w.S.Log(w.Ctx, w.Admin, f)
	w.OK(err)
	for _, l := range lines {
		s := l.Outcome
		for _, r := range l.Detail.Done {
			s += " " + r.Act.Do + ":" + r.How
			if r.Key != "" {
				s += "(" + r.Key + ")"
			}
		}
		out = append(out, s)
	}
	return out
}

func all(conds ...Cond) Conditions { return Conditions{Groups: []Group{{Conds: conds}}} }

func is(field string, values ...string) Cond { return Cond{Field: field, Op: OpIs, Values: values} }

func set(field, value string) Act {
	return Act{Do: DoSet, Values: map[string]string{"field": field, "value": value}}
}

func say(do, text string) Act { return Act{Do: do, Values: map[string]string{"text": text}} }

func on(codes ...string) When { return When{Events: codes} }

func (w *world) state() string {
	return fmt.Sprint(w.count(`SELECT COUNT(*) FROM events`), w.count(`SELECT COUNT(*) FROM entries`), w.count(`SELECT COUNT(*) FROM rule_firings`), w.count(`SELECT COUNT(*) FROM rule_occasions`),
		w.count(`SELECT COUNT(*) FROM jobs`), w.count(`SELECT COUNT(*) FROM notifications`), w.count(`SELECT COALESCE(SUM(version), 0) FROM tickets`))
}
