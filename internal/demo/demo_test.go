package demo

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/job"
	"bihuan/internal/notify"
	"bihuan/internal/privacy"
	"bihuan/internal/process"
	"bihuan/internal/rule"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
	"bihuan/internal/web"
)

// count returns the only number a query yields.
func count(t *testing.T, d *db.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := d.Read().QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return n
}

// shape is what real data looks like, to be compared before and after.
func shape(t *testing.T, d *db.DB) string {
	t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT COUNT(*) || '/' || COALESCE(SUM(id), 0) FROM users WHERE demo = 0 AND active = 1`,
		`SELECT COUNT(*) || '/' || COALESCE(SUM(head_id), 0) || '/' || COALESCE(SUM(supervisor_id), 0) FROM departments`,
		`SELECT COUNT(*) || '/' || SUM(open_tickets) || '/' || SUM(total_tickets) FROM customers`,
		`SELECT COUNT(*) || '/' || SUM(version) || '/' || SUM(activity_at) FROM tickets`,
		`SELECT COUNT(*) FROM entries`, `SELECT COUNT(*) FROM clocks`, `SELECT COUNT(*) FROM clock_segments`, `SELECT COUNT(*) FROM contacts`,
		`SELECT COUNT(*) FROM ratings`, `SELECT COUNT(*) FROM complaints`, `SELECT COUNT(*) FROM complaint_records`, `SELECT COUNT(*) FROM deliveries`, `SELECT COUNT(*) FROM notifications`, `SELECT COUNT(*) FROM approvals`, `SELECT COUNT(*) FROM approval_history`, `SELECT COUNT(*) FROM person_requests`, `SELECT COUNT(*) FROM deletions`, `SELECT COUNT(*) FROM disclosures`, `SELECT COUNT(*) FROM disclosure_customers`, `SELECT COUNT(*) FROM files`, `SELECT COUNT(*) FROM rules`, `SELECT COUNT(*) FROM rule_firings`, `SELECT COUNT(*) FROM tasks`, `SELECT COUNT(*) FROM skills`, `SELECT COUNT(*) FROM user_skills`, `SELECT COUNT(*) FROM routing_chains`, `SELECT COUNT(*) FROM ticket_tags`, `SELECT COUNT(*) FROM ticket_tagged`, `SELECT COUNT(*) FROM tags`, `SELECT COUNT(*) FROM needs`,
		`SELECT COALESCE(SUM(open), 0) FROM ticket_load`, `SELECT COUNT(*) FROM search_ticket`, `SELECT COUNT(*) FROM search_customer`,
	} {
		var s string
		if err := d.Read().QueryRow(context.Background(), q).Scan(&s); err != nil {
			t.Fatalf("%v in %s", err, q)
		}
		fmt.Fprintf(&b, "%s: %s\n", q, s)
	}
	return b.String()
}

func rooms(h *tickettest.House) (Rooms, *job.Queue) {
	n := notify.New(h.Run, notify.Rooms{Org: h.Org, Keys: h.Keys})
	h.Follower.Listen(n.Listener())
	approvals := approval.NewService(h.Run, h.Org)
	h.Customers.AskApprovals(approvals)
	queue := job.New(h.D, job.Config{})
	personal := privacy.New(h.Run, privacy.Rooms{Org: h.Org, Approvals: approvals, Fields: h.Customers.Fields(), Customers: h.Customers, Tickets: h.Service, Files: h.Files, Keys: h.Keys, Jobs: queue})
	complaints := complaint.New(h.Run, h.Org, h.Service, h.Customers, h.Files)
	procs := process.New(h.Run, h.Service, h.Org, h.Customers.Fields(), h.Files, complaints)
	rules := rule.New(h.Run, rule.Rooms{Org: h.Org, Customers: h.Customers, Tickets: h.Service, Processes: procs, Keys: h.Keys, Jobs: queue})
	h.Follower.Listen(rules.Listener())
	return Rooms{Rules: rules, Run: h.Run, Follower: h.Follower, Org: h.Org, Customers: h.Customers, Tickets: h.Service, Complaints: complaints, Clocks: h.Clocks, Notify: n, Approvals: approvals, Privacy: personal, Clock: h.Clock}, queue
}

func TestFillAndRemove(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		// Nobody heads the company yet: what needs consent goes to the sample head.
		h.OK(d.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE departments SET head_id = 0`)
			return err
		}))
		c.Advance(time.Minute) // the organisation is cached for a while
		real := h.Register()
		h.OK(h.Follower.Drain(h.Ctx))
		before := shape(t, d)
		end := c.Now()

		h.Org.Attach(web.NewSessions(d, h.Org, web.SessionConfig{Clock: c}))
		size := Size{Customers: 60, Tickets: 150, Days: 30}
		if testing.Short() {
			size = Size{Customers: 50, Tickets: 140, Days: 20}
		}
		r, queue := rooms(h)
		f, err := Fill(h.Ctx, r, size, end)
		h.OK(err)
		_, err = queue.RunDue(h.Ctx)
		h.OK(err)
		if f.Skipped > size.Tickets/50 {
			t.Errorf("%d steps refused", f.Skipped)
		}
		if f.Customers != size.Customers+again || f.Tickets < size.Tickets || f.Users != len(staff) {
			t.Errorf("made %+v", f.Counts)
		}
		if done, err := Complete(h.Ctx, d.Read()); err != nil || !done {
			t.Errorf("complete: %v %v", done, err)
		}
		checkLife(t, d, db.Micros(end))

		// The password opens every door of the sample staff, and only that.
		in, err := h.Org.SignIn(h.Ctx, "demo.agent", f.Password, "10.0.0.1", "test")
		if err != nil || in.MustChange {
			t.Errorf("sign in: %+v %v", in, err)
		}
		if ok, _ := crypt.VerifyPassword(h.Ctx, "", f.Password); ok {
			t.Error("the empty hash takes the password")
		}

		// A real request for a sample customer, and one in the hands of sample staff.
		var sample int64
		h.OK(d.Read().QueryRow(h.Ctx, `SELECT MIN(id) FROM customers WHERE demo = 1`).Scan(&sample))
		kept := h.Register(func(in *ticket.RegisterInput) { in.CustomerID = sample })
		kept = h.Move("zhuguan", kept, ticket.Assign, ticket.Input{AssigneeID: f.id("demo.agent", h)})

		n, err := Remove(h.Ctx, h.Run, h.Org, h.Customers, h.Service, r.Privacy, r.Rules, h.As("guanli"))
		h.OK(err)
		if n.Customers != size.Customers+again-1 || n.Tickets != f.Tickets || n.Users != len(staff) {
			t.Errorf("removed %+v of %+v", n, f.Counts)
		}
		c.Advance(1e10)
		got, err := h.Get(h.Ctx, authz.For(authz.System(""), ticket.PermView), kept.ID)
		h.OK(err)
		if got.AssigneeID != h.User["guanli"] || got.State != ticket.Pending {
			t.Errorf("the real request is with %d in %s", got.AssigneeID, got.State)
		}
		if _, err := h.Get(h.Ctx, authz.For(authz.System(""), ticket.PermView), real.ID); err != nil {
			t.Error(err)
		}
		if _, err := h.Org.SignIn(h.Ctx, "demo.agent", f.Password, "10.0.0.1", "test"); err == nil {
			t.Error("sample staff can still sign in")
		}
		checkFigures(t, d)

		// Without these two the store looks as before.
		h.OK(d.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE tickets SET demo = 1 WHERE id = $1`, kept.ID)
			if err == nil {
				_, err = tx.Exec(ctx, `UPDATE customers SET demo = 1 WHERE id = $1`, sample)
			}
			return err
		}))
		_, err = Remove(h.Ctx, h.Run, h.Org, h.Customers, h.Service, r.Privacy, r.Rules, h.As("guanli"))
		h.OK(err)
		h.OK(h.Follower.Drain(h.Ctx))
		if after := shape(t, d); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
		if _, err := Remove(h.Ctx, h.Run, h.Org, h.Customers, h.Service, r.Privacy, r.Rules, h.As("kefu")); err == nil {
			t.Error("an agent may remove the sample data")
		}
		v, err := event.Verify(h.Ctx, d.Read())
		if err != nil || v.BrokenAt != 0 || v.Unsealed != 0 {
			t.Errorf("audit trail: %+v %v", v, err)
		}
	})
}

func (f Filled) id(login string, h *tickettest.House) (id int64) {
	h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT id FROM users WHERE login = $1`, login).Scan(&id))
	return id
}

// checkFigures compares what is kept beside the tickets with the tickets.
func checkFigures(t *testing.T, d *db.DB) {
	t.Helper()
	for what, q := range map[string]string{
		"open tickets without running clock": `SELECT COUNT(*) FROM tickets t WHERE t.is_open = 1 AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`,
		"finished tickets with open clock":   `SELECT COUNT(*) FROM tickets t WHERE t.is_open = 0 AND EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state IN ('running', 'paused'))`,
		"deadlines that are no clock's":      `SELECT COUNT(*) FROM tickets t WHERE t.due_at <> COALESCE((SELECT MIN(c.due_at) FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running'), 0)`,
		"clocks without open segment":        `SELECT COUNT(*) FROM clocks c WHERE (c.state = 'running') <> EXISTS (SELECT 1 FROM clock_segments s WHERE s.clock_id = c.id AND s.ended_at = 0)`,
		"loads that do not fit":              `SELECT COUNT(*) FROM users u WHERE COALESCE((SELECT l.open FROM ticket_load l WHERE l.user_id = u.id), 0) <> (SELECT COUNT(*) FROM tickets t WHERE t.assignee_id = u.id AND t.is_open = 1)`,
		"customers miscounted": `SELECT COUNT(*) FROM customers c WHERE c.open_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.parent_id IS NULL AND t.is_open = 1)
			OR c.total_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.parent_id IS NULL)
			OR c.rating_sum <> (SELECT COALESCE(SUM(r.stars), 0) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = c.id AND t.parent_id IS NULL)`,
		"parts miscounted": `SELECT COUNT(*) FROM tickets t WHERE t.open_children <> (SELECT COUNT(*) FROM tickets p WHERE p.parent_id = t.id AND p.is_open = 1)`,
	} {
		if n := count(t, d, q); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

func checkLife(t *testing.T, d *db.DB, end int64) {
	t.Helper()
	ctx := context.Background()
	checkFigures(t, d)
	for what, q := range map[string]string{
		"second handlings":    `SELECT COUNT(*) FROM tickets WHERE round > 1 AND is_open = 1 AND demo = 1`,
		"on a desk":           `SELECT COUNT(*) FROM tickets WHERE supervisor_id > 0 AND is_open = 1 AND demo = 1`,
		"escalated":           `SELECT COUNT(*) FROM tickets WHERE escalation > 0 AND demo = 1`,
		"overdue":             `SELECT COUNT(*) FROM tickets WHERE overdue = 1 AND is_open = 1 AND demo = 1`,
		"parts":               `SELECT COUNT(*) FROM tickets WHERE parent_id IS NOT NULL`,
		"with open parts":     `SELECT COUNT(*) FROM tickets WHERE open_children > 0 AND is_open = 1`,
		"explained":           `SELECT COUNT(*) FROM tickets WHERE type = 'complaint' AND cause <> '' AND corrective <> ''`,
		"complaints in work":  `SELECT COUNT(*) FROM complaints WHERE is_open = 1 AND step NOT IN ('', 'receive')`,
		"complaints raised":   `SELECT COUNT(*) FROM complaints WHERE level > 1`,
		"tagged":              `SELECT COUNT(*) FROM ticket_tagged`,
		"rules that fired":    `SELECT COUNT(*) FROM rules WHERE demo = 1 AND fired > 0`,
		"skills":              `SELECT COUNT(*) FROM user_skills`,
		"complaints reviewed": `SELECT COUNT(*) FROM complaint_records WHERE step = 'review'`,
		"ratings":             `SELECT COUNT(*) FROM ratings`,
		"notices":             `SELECT COUNT(*) FROM notifications WHERE read_at = 0`,
		"follow-up records":   `SELECT COUNT(*) FROM entries WHERE kind = 'follow_up'`,
		"care of customers":   `SELECT COUNT(*) FROM entries WHERE kind = 'follow_up' AND ticket_id = 0`,
		"registered online":   `SELECT COUNT(*) FROM tickets WHERE channel = 'website' AND created_by = 0`,
		"tags":                `SELECT COUNT(*) FROM customer_tags`,
		"needs":               `SELECT COUNT(*) FROM needs`,
		"customers of sales":  `SELECT COUNT(*) FROM customers WHERE owner_id > 0`,
		"rights in work":      `SELECT COUNT(*) FROM person_requests WHERE state = 'open' AND found <> ''`,
		"rights done":         `SELECT COUNT(*) FROM person_requests WHERE state = 'done'`,
		"deletions waiting":   `SELECT COUNT(*) FROM deletions WHERE state = 'waiting'`,
		"disclosures ready":   `SELECT COUNT(*) FROM disclosures WHERE state = 'ready' AND file_id > 0`,
		"searchable":          `SELECT COUNT(*) FROM search_ticket`,
	} {
		if count(t, d, q) == 0 {
			t.Errorf("no tickets %s", what)
		}
	}
	for _, s := range ticket.States {
		if count(t, d, `SELECT COUNT(*) FROM tickets WHERE demo = 1 AND state = $1`, string(s)) == 0 {
			t.Errorf("no ticket is %s", s)
		}
	}
	if n := count(t, d, `SELECT COUNT(*) FROM entries WHERE created_at > $1`, end); n > 0 {
		t.Errorf("%d entries of the future", n)
	}
	if n := count(t, d, `SELECT COUNT(*) FROM tickets WHERE (title || description || solution || cause) LIKE '%{%'`); n > 0 {
		t.Errorf("%d texts with a gap", n)
	}
	// What the facts tell is what the tickets say.
	type last struct {
		state string
		round int
	}
	told := map[int64]last{}
	for seq := int64(0); ; {
		evs, err := event.After(ctx, d.Read(), seq, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			break
		}
		for _, e := range evs {
			seq = e.Seq
			var f ticket.Fact
			if e.Subject.Type != "ticket" || !strings.HasPrefix(e.Kind, "ticket.") || e.Decode(&f) != nil { // rules tell of tickets, too
				continue
			}
			told[e.Subject.ID] = last{string(f.To), f.Round}
		}
	}
	rows, err := d.Read().Query(ctx, `SELECT id, state, round FROM tickets`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var l last
		if err := rows.Scan(&id, &l.state, &l.round); err != nil {
			t.Fatal(err)
		}
		if told[id] != l {
			t.Errorf("ticket %d is %+v, its facts say %+v", id, l, told[id])
		}
	}
}
