package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// SLA-7: a program that is killed again and again while thousands of deadlines
// fire, in the middle of a batch as well as between two, fires each of them once:
// one firing on record, one fact, one line at the ticket, and whoever is to hear
// of it hears of it once.
func TestKilledWhileDeadlinesFire(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); killedFiring(t, "", *kills) })
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) { t.Parallel(); killedFiring(t, server, *kills) })
	}
}

func killedFiring(t *testing.T, postgres string, kills int) {
	const each = 600 // deadlines for each time it is killed
	n := each * (kills + 1)
	h := apptest.Open(t, apptest.Options{Postgres: postgres, Clock: clock.Real()})
	p := &place{t: t, data: h.Config.Data, database: h.Config.Database, log: t.TempDir() + "/log"}
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	agent := h.Actor(authz.RoleAgent)
	c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "上海云帆科技有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周敏", Phone: "13812345678", Primary: true}}})
	must(err)
	first, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "屏幕花屏", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
	must(err)
	must(h.Run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		ids, err := a.ReserveIDs(ctx, "tickets", n)
		if err != nil {
			return err
		}
		starts := make([]sla.Start, n)
		for i, id := range ids {
			if _, err := a.Exec(ctx, `INSERT INTO tickets (id, number, title, type, urgency, priority, channel, customer_id, department_id, assignee_id, state, is_open, created_at, updated_at, activity_at)
				SELECT $1, number || $2, title, type, urgency, priority, channel, customer_id, department_id, assignee_id, state, is_open, created_at, updated_at, activity_at FROM tickets WHERE id = $3`, id, fmt.Sprintf("-%d", i), first.ID); err != nil {
				return err
			}
			starts[i] = sla.Start{TicketID: id, Kind: sla.FirstResponse, Promise: sla.Promise{Policy: "crowd"}, From: a.Now.Add(-99 * time.Hour), Due: a.Now.Add(time.Hour), Why: "registered"}
		}
		if err := sla.ArmMany(ctx, a.Tx, starts); err != nil {
			return err
		}
		// Their deadline is the next step, and it is past.
		_, err = a.Exec(ctx, `UPDATE clocks SET step = 1, due_at = $1, next_at = $2 WHERE policy = 'crowd'`, a.NowMicros(), a.NowMicros())
		return err
	}))
	must(h.Close())

	d, err := db.Open(ctx, db.Config{URL: p.database, Dir: p.data, MaxConns: 2})
	must(err)
	defer d.Close()
	fired := func() (n int) {
		must(d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM clock_firings f JOIN clocks c ON c.id = f.clock_id WHERE c.policy = 'crowd'`).Scan(&n))
		return n
	}
	before := 0
	for k := range kills {
		p.start()
		target := min(n, before+50+rand.IntN(each-100))
		for began := time.Now(); fired() < target; time.Sleep(time.Millisecond) {
			if time.Since(began) > patience {
				text, _ := os.ReadFile(p.log)
				t.Fatalf("no progress after kill %d:\n%s", k, text[max(0, len(text)-2000):])
			}
		}
		p.kill()
		before = fired()
	}
	if before >= n {
		t.Logf("all %d had fired before the last kill", n)
	}
	p.start()
	zero := func(query string) bool {
		var bad int
		must(d.Read().QueryRow(ctx, query).Scan(&bad))
		return bad == 0
	}
	for began := time.Now(); fired() < n || !zero(`SELECT COUNT(*) FROM events WHERE kind = 'ticket.clock_missed' AND seq > (SELECT seq FROM listener_cursors WHERE name = 'notify')`); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 2*patience {
			text, _ := os.ReadFile(p.log)
			t.Fatalf("%d of %d have fired:\n%s", fired(), n, text[max(0, len(text)-2000):])
		}
	}
	time.Sleep(2 * time.Second) // another sweep finds nothing
	p.kill()
	for what, query := range map[string]string{
		"clocks not fired once":   `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'crowd' AND (c.fired <> 1 OR c.step <> 2 OR c.missed <> 1 OR (SELECT COUNT(*) FROM clock_firings f WHERE f.clock_id = c.id) <> 1)`,
		"tickets without a fact":  `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'crowd' AND (SELECT COUNT(*) FROM events e WHERE e.subject_type = 'ticket' AND e.subject_id = c.ticket_id AND e.kind = 'ticket.clock_missed') <> 1`,
		"tickets without a line":  `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'crowd' AND (SELECT COUNT(*) FROM entries e WHERE e.ticket_id = c.ticket_id AND e.kind = 'system') <> 1`,
		"tickets not late":        `SELECT COUNT(*) FROM clocks c JOIN tickets t ON t.id = c.ticket_id WHERE c.policy = 'crowd' AND t.overdue <> 1`,
		"facts told twice":        `SELECT COUNT(*) FROM (SELECT event_seq FROM notifications WHERE ticket_id > 0 AND kind = 'ticket.clock_missed' GROUP BY event_seq, user_id HAVING COUNT(*) > 1) x`,
		"facts out of the chain":  `SELECT COUNT(*) FROM events WHERE seq IS NULL`,
		"holes in the numbers":    `SELECT MAX(seq) - COUNT(*) FROM events`,
		"clocks still to be done": `SELECT COUNT(*) FROM clocks c WHERE c.policy = 'crowd' AND c.next_at > 0`,
	} {
		if !zero(query) {
			t.Error(what)
		}
	}
	// Each person hears of each deadline that concerns him: one by one, or counted.
	facts := map[int64]int{}
	for seq := int64(0); ; {
		evs, err := event.After(ctx, d.Read(), seq, 1000)
		must(err)
		if len(evs) == 0 {
			break
		}
		for _, e := range evs {
			seq = e.Seq
			var f ticket.Fact
			if e.Kind != "ticket.clock_missed" {
				continue
			}
			must(e.Decode(&f))
			for _, u := range f.Tell {
				facts[u]++
			}
		}
	}
	for user, want := range facts {
		got := 0
		rows, err := d.Read().Query(ctx, `SELECT args FROM notifications WHERE user_id = $1 AND kind = 'ticket.clock_missed'`, user)
		must(err)
		for rows.Next() {
			var raw string
			must(rows.Scan(&raw))
			var notice struct{ Many int }
			must(json.Unmarshal([]byte(raw), &notice))
			got += max(1, notice.Many)
		}
		must(rows.Err())
		rows.Close()
		if got != want {
			t.Errorf("user %d was told of %d deadlines, want %d", user, got, want)
		}
	}
	if len(facts) == 0 {
		t.Error("nobody was told")
	}
	if r, err := event.Verify(ctx, d.Read()); err != nil || r.BrokenAt != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
