package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/ticket/tickettest"
)

// content is what the seeding made, but for what is random by design: link keys,
// sealed values, the password.
func content(t *testing.T, d *db.DB) string {
	t.Helper()
	h := sha256.New()
	for _, q := range []string{
		`SELECT t.number || t.title || t.description || t.state || t.due_at || t.created_at || t.activity_at || t.assignee_name || t.customer_name || t.solution || t.rating FROM tickets t ORDER BY t.id`,
		`SELECT e.kind || e.author_name || e.body || e.detail || e.created_at FROM entries e ORDER BY e.id`,
		`SELECT c.number || c.name || c.level || c.region FROM customers c ORDER BY c.id`,
		`SELECT c.kind || c.state || c.target || c.due_at || c.next_at FROM clocks c ORDER BY c.id`,
	} {
		rows, err := d.Read().Query(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(h, s)
		}
		rows.Close()
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func seed(t *testing.T, d *db.DB, c *clock.Fake, n int, s uint64) {
	t.Helper()
	h := tickettest.New(t, d, c)
	if _, err := Seed(h.Ctx, Rooms{DB: d, Run: h.Run, Org: h.Org, Customers: h.Customers, Tickets: h.Service}, Options{Tickets: n, Seed: s}); err != nil {
		t.Fatal(err)
	}
	if _, err := Seed(h.Ctx, Rooms{DB: d, Run: h.Run, Org: h.Org, Customers: h.Customers, Tickets: h.Service}, Options{Tickets: n, Seed: s}); err == nil {
		t.Error("a store with tickets is seeded again")
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	const n = 1200
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		seed(t, d, c, n, 1)
		ctx := context.Background()
		for what, q := range map[string][2]string{
			"tickets":                     {`SELECT COUNT(*) FROM tickets`, "1200"},
			"a fifth open":                {`SELECT CASE WHEN COUNT(*) BETWEEN 200 AND 280 THEN 'yes' ELSE 'no' END FROM tickets WHERE is_open = 1`, "yes"},
			"searchable":                  {`SELECT COUNT(*) FROM search_ticket`, "1200"},
			"without clock":               {`SELECT COUNT(*) FROM tickets t WHERE t.is_open = 1 AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`, "0"},
			"deadlines":                   {`SELECT COUNT(*) FROM tickets t WHERE t.due_at <> COALESCE((SELECT MIN(c.due_at) FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running'), 0)`, "0"},
			"loads":                       {`SELECT COUNT(*) FROM users u WHERE COALESCE((SELECT l.open FROM ticket_load l WHERE l.user_id = u.id), 0) <> (SELECT COUNT(*) FROM tickets t WHERE t.assignee_id = u.id AND t.is_open = 1)`, "0"},
			"customers":                   {`SELECT COUNT(*) FROM customers c WHERE c.open_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.is_open = 1) OR c.total_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id)`, "0"},
			"steps due in the next hours": {fmt.Sprintf(`SELECT COUNT(*) FROM clocks WHERE state = 'running' AND next_at > 0 AND next_at < %d`, db.Micros(c.Now().Add(2*3600e9))), "0"},
			"entries of the future":       {fmt.Sprintf(`SELECT COUNT(*) FROM entries WHERE created_at > %d`, db.Micros(c.Now())), "0"},
		} {
			var got string
			if err := d.Read().QueryRow(ctx, q[0]).Scan(&got); err != nil || got != q[1] {
				t.Errorf("%s: %s, want %s (%v)", what, got, q[1], err)
			}
		}
		r, err := event.Verify(ctx, d.Read())
		if err != nil || r.BrokenAt != 0 || r.Unsealed != 0 {
			t.Errorf("audit trail: %+v %v", r, err)
		}
		// The indexes are back.
		fresh, _ := dbtest.New(t)
		if d.Dialect() == db.SQLite && schema(t, d) != schema(t, fresh) {
			t.Error("the schema differs after the seeding")
		}
	})
}

func schema(t *testing.T, d *db.DB) string {
	t.Helper()
	rows, err := d.Read().Query(context.Background(), `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		b.WriteString(s + "\n")
	}
	return b.String()
}

func TestSeedIsDeterministic(t *testing.T) {
	t.Parallel()
	of := func(s uint64) string {
		d, c := dbtest.New(t)
		seed(t, d, c, 300, s)
		return content(t, d)
	}
	one := of(1)
	if of(1) != one {
		t.Error("the same seed makes other data")
	}
	if of(2) == one {
		t.Error("another seed makes the same data")
	}
}
