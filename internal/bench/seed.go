// Package bench measures what a day's work costs. Seed fills a store with a
// company of any size; Run starts the real server on it and measures over HTTP
// what the gestures of an agent take, beside a bare handler and beside bare
// statements on the same data, so that the figures can be compared as ratios on
// any machine.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/journal"
	"bihuan/internal/number"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Rooms are the services that take the data in: what they keep beside it
// (search, clocks, loads, counters, audit trail) is right by itself.
type Rooms struct {
	DB        *db.DB
	Run       *action.Runner
	Org       *org.Service
	Customers *customer.Service
	Tickets   *ticket.Service
	Listeners []string // who follows the facts; what they would do about a past that never was is left undone
}

// Options of Seed.
type Options struct {
	Tickets   int
	Customers int       // 0: a fifth of the tickets
	Seed      uint64    // the same seed makes the same data
	Open      bool      // no ticket is finished
	Progress  io.Writer // nil: none
}

// Agents and Departments of the company.
const (
	Agents      = 40
	Departments = 8
)

// Seeded is what Seed has made.
type Seeded struct {
	Password  string // of bench01 to bench40; kept nowhere else
	Customers int
	Entries   int
	Took      time.Duration
}

var departmentNames = [Departments]string{"客服部", "技术支持部", "售后部", "物流部", "大客户服务部", "华南服务部", "华北服务部", "华东服务部"}

// Login is the sign-in name of agent n, from 1.
func Login(n int) string { return fmt.Sprintf("bench%02d", n) }

type agent struct {
	id, department int64
	name           string
}

type party struct {
	id, contact int64
	name        string
	level       customer.Level
	typ         customer.Type
}

type seeding struct {
	Rooms
	o         Options
	rnd       *rand.Rand
	now       time.Time
	agents    []agent
	customers []party
	days      map[string]int
	entries   int
}

var system = authz.System("bench")

// Seed fills a store that has no tickets yet.
func Seed(ctx context.Context, r Rooms, o Options) (s Seeded, err error) {
	began := time.Now()
	var has int
	if err := r.DB.Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM tickets LIMIT 1) t`).Scan(&has); err != nil {
		return s, err
	}
	if has > 0 {
		return s, errors.New("bench: there are tickets already; sample data for measuring goes into an empty store only")
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	g := &seeding{Rooms: r, o: o, rnd: rand.New(rand.NewPCG(o.Seed, 0x62656e6368)), now: r.DB.Clock().Now(), days: map[string]int{}}
	s.Password = crypt.GeneratePassword()
	if err := g.company(ctx, s.Password); err != nil {
		return s, err
	}
	// Importing looks for the same number, credit code and telephone.
	n := o.Customers
	if n == 0 {
		n = max(10, o.Tickets/5)
	}
	err = g.quickly(ctx, crowd, []string{"customers_uscc", "customers_name_key", "customers_external", "contacts_phone", "contacts_customer"},
		func() error { return g.people(ctx, n) })
	if err != nil {
		return s, err
	}
	if err := g.quickly(ctx, bulky, []string{"tickets_parent"}, func() error { return g.tickets(ctx) }); err != nil {
		return s, err
	}
	g.say("statistics")
	if err := g.settle(ctx); err != nil {
		return s, err
	}
	s.Customers, s.Entries, s.Took = len(g.customers), g.entries, time.Since(began)
	return s, nil
}

func (g *seeding) say(format string, args ...any) {
	fmt.Fprintf(g.o.Progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func (g *seeding) company(ctx context.Context, password string) error {
	hash, err := crypt.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	var top int64
	ids := map[string]int64{}
	tree, err := g.Org.Tree(ctx)
	if err != nil {
		return err
	}
	for _, n := range tree {
		if n.Depth == 0 && top == 0 {
			top = n.ID
		}
		ids[n.Name] = n.ID
	}
	for _, name := range departmentNames {
		if ids[name] == 0 {
			if ids[name], err = g.Org.CreateDepartment(ctx, system, org.DepartmentInput{Name: name, ParentID: top, Position: 100}); err != nil {
				return err
			}
		}
	}
	return g.Run.Do(ctx, system, "bench.seed", func(ctx context.Context, a *action.Action) error {
		g.agents = g.agents[:0]
		agentRole, err := g.Org.RoleByCode(ctx, a, authz.RoleAgent)
		if err != nil {
			return err
		}
		lead, err := g.Org.RoleByCode(ctx, a, authz.RoleSupervisor)
		if err != nil {
			return err
		}
		for i, name := range departmentNames {
			id, err := g.Org.AddUser(ctx, a, org.UserInput{Login: fmt.Sprintf("benchlead%d", i+1), Name: g.person(), DepartmentID: ids[name], RoleIDs: []int64{lead}}, hash, true)
			if err != nil {
				return err
			}
			if err := g.Org.Lead(ctx, a, ids[name], 0, id); err != nil {
				return err
			}
		}
		for i := range Agents {
			x := agent{department: ids[departmentNames[i%Departments]], name: g.person()}
			x.id, err = g.Org.AddUser(ctx, a, org.UserInput{Login: Login(i + 1), Name: x.name, DepartmentID: x.department, RoleIDs: []int64{agentRole}}, hash, true)
			if err != nil {
				return err
			}
			g.agents = append(g.agents, x)
		}
		// Forty agents carry what in truth four hundred would.
		_, err = a.Exec(ctx, `UPDATE users SET capacity = 1000000 WHERE login LIKE 'bench%'`)
		return err
	})
}

func (g *seeding) person() string {
	n := string(one(g.rnd, surnames)) + string(one(g.rnd, given))
	if g.rnd.IntN(10) < 7 {
		n += string(one(g.rnd, given))
	}
	return n
}

const batch = 500

func (g *seeding) people(ctx context.Context, n int) error {
	g.say("%d customers", n)
	g.customers = make([]party, 0, n)
	for len(g.customers) < n {
		rows := make([]customer.ImportRow, min(batch, n-len(g.customers)))
		for i := range rows {
			rows[i] = g.customer(len(g.customers) + i)
		}
		var out []customer.Imported
		err := g.Run.Do(ctx, system, "customer.import", func(ctx context.Context, a *action.Action) (err error) {
			out, err = g.Customers.Import(ctx, a, rows)
			return err
		})
		if err != nil {
			return err
		}
		for i, o := range out {
			if o.Err != nil {
				return fmt.Errorf("bench: customer %d: %w", len(g.customers)+1, o.Err)
			}
			g.customers = append(g.customers, party{id: o.ID, name: rows[i].Name, level: rows[i].Level, typ: rows[i].Type})
		}
		if n := len(g.customers); n%100_000 == 0 {
			g.say("%d customers are in", n)
		}
	}
	at := make(map[int64]int, len(g.customers))
	for i, c := range g.customers {
		at[c.id] = i
	}
	rows, err := g.DB.Read().Query(ctx, `SELECT customer_id, id FROM contacts WHERE is_primary = 1`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c, id int64
		if err := rows.Scan(&c, &id); err != nil {
			return err
		}
		if i, ok := at[c]; ok {
			g.customers[i].contact = id
		}
	}
	return rows.Err()
}

// Phone is the number of customer n, from 0.
func Phone(n int) string { return cnid.SamplePhone(n * 7919) }

func (g *seeding) customer(n int) customer.ImportRow {
	r := g.rnd
	in := customer.Input{Type: customer.Person, Level: customer.Normal, DepartmentID: one(r, g.agents).department, Source: one(r, customer.Sources), Region: one(r, cities) + "市"}
	c := customer.ContactInput{Name: g.person(), Phone: Phone(n), Primary: true}
	in.Name = c.Name
	if r.IntN(100) < 35 {
		in.Type = customer.Company
		in.Name = one(r, cities) + string(one(r, given)) + string(one(r, given)) + one(r, trades) + "有限公司"
		in.USCC = cnid.SampleUSCC(n)
	}
	switch x := r.IntN(100); {
	case x < 4:
		in.Level = customer.Strategic
	case x < 18:
		in.Level = customer.VIP
	}
	in.Contacts = []customer.ContactInput{c}
	by := one(r, g.agents)
	in.CreatedAt, in.CreatedByName = g.now.Add(-time.Duration(1+r.IntN(900*24))*time.Hour), by.name
	return customer.ImportRow{Input: in, CreatedBy: by.id}
}

func (g *seeding) tickets(ctx context.Context) error {
	zc := rand.NewZipf(g.rnd, 1.07, 20, uint64(len(g.customers)-1)) // a few customers write often
	za := rand.NewZipf(g.rnd, 1.1, 12, Agents-1)                    // some agents do more
	for done := 0; done < g.o.Tickets; {
		rows := make([]ticket.ImportRow, min(batch, g.o.Tickets-done))
		for i := range rows {
			c := g.customers[int(zc.Uint64())*7919%len(g.customers)]
			rows[i] = g.ticket(done+i, c, g.agents[za.Uint64()])
		}
		var out []ticket.Imported
		err := g.Run.Do(ctx, system, "ticket.import", func(ctx context.Context, a *action.Action) (err error) {
			out, err = g.Tickets.Import(ctx, a, rows)
			return err
		})
		if err != nil {
			return err
		}
		for i, o := range out {
			if o.Err != nil {
				return fmt.Errorf("bench: ticket %d: %w", done+i+1, o.Err)
			}
		}
		if done += len(rows); done%100_000 == 0 || done == g.o.Tickets {
			g.say("%d tickets", done)
		}
	}
	return nil
}

// span is how long the company has been working.
const span = 730 * 24 * time.Hour

func (g *seeding) ticket(i int, c party, by agent) ticket.ImportRow {
	r := g.rnd
	// Requests get denser towards today; the newest tenth is mostly open. In all
	// a fifth is.
	q := (float64(i) + 0.5) / float64(g.o.Tickets)
	created := g.now.Add(-time.Duration(float64(span) * math.Pow(1-q, 1.4))).Add(-time.Minute).Truncate(time.Millisecond)
	age := g.now.Sub(created)
	pOpen := 0.0267
	switch {
	case q > 0.9:
		pOpen = 0.9
	case q > 0.75:
		pOpen = 0.6
	}
	product, word := one(r, products), one(r, frequent)
	t := ticket.ImportRow{
		Title: product + word + "问题", Type: one(r, []string{"consultation", "consultation", "after_sales", "after_sales", "complaint", "other"}),
		Class: one(r, []string{"", "consulting", "problem", "support"}), Urgency: one(r, []string{"normal", "normal", "normal", "normal", "low", "urgent"}),
		Channel: one(r, ticket.Channels), DepartmentID: by.department, AssigneeID: by.id, AssigneeName: by.name, CreatedAt: created,
		CreatedBy: by.id, CreatedByName: by.name,
	}
	t.Customer.ID, t.Customer.Name, t.Customer.Level, t.Customer.Type, t.Customer.ContactID = c.id, c.name, c.level, c.typ, c.contact
	t.Description = fmt.Sprintf(one(r, opening), product, word, g.order())
	if r.IntN(2000) == 0 {
		t.Description += "关键词：" + one(r, Rare) + "。"
	}
	if r.IntN(4) == 0 {
		t.Description += one(r, tails) + one(r, tails)
	}
	// Numbers by the day; those of today come from the product's own counter.
	if day := created.In(number.Zone).Format("20060102"); day != g.now.In(number.Zone).Format("20060102") {
		g.days[day]++
		t.Number = fmt.Sprintf("TASK%s%03d", day, g.days[day])
	}
	last := created.Add(time.Duration(r.Float64() * float64(min(age, 10*24*time.Hour))))
	if r.Float64() < pOpen || g.o.Open {
		switch x := r.IntN(100); {
		case x < 25:
			t.State = ticket.Pending
			if x < 3 {
				t.AssigneeID, t.AssigneeName = 0, ""
			}
		case x < 75:
			t.State = ticket.InProgress
		case x < 90:
			t.State = ticket.WaitingCustomer
		default:
			t.State = ticket.AwaitingConfirmation
			t.Solution = one(r, solutions)
		}
		if t.State == ticket.InProgress && r.IntN(30) == 0 {
			t.Round = 2
		}
		t.DueAt = g.due(created)
	} else {
		t.State = ticket.Closed
		t.ResolvedAt, t.CompletedAt = last, last
		t.Solution, t.Outcome = one(r, solutions), one(r, []string{"confirmed", "confirmed", "phone", "silence"})
		switch {
		case r.IntN(25) == 0:
			t.State, t.Solution, t.Outcome = ticket.Cancelled, "", ""
		case age < 5*24*time.Hour:
			t.State = ticket.Completed
		default:
			t.ClosedAt = last
		}
		if t.State != ticket.Cancelled && t.Outcome != "silence" && r.IntN(3) > 0 {
			stars := one(r, []int{5, 5, 5, 4, 4, 3})
			t.Rating = &ticket.Rating{Stars: stars, Solved: true, CreatedAt: last, Via: "link"}
		}
	}
	t.ActivityAt = last
	t.Entries = g.journal(c, by, product, created, last)
	return t
}

func (g *seeding) order() string { return fmt.Sprintf("DD%08d", g.rnd.IntN(1e8)) }

// due puts the deadline so that no step of the clock falls into the hours after
// the seeding: what is measured is the work, not the alarms of a made-up past.
// A third is late already.
func (g *seeding) due(created time.Time) time.Time {
	past := float64(g.now.Sub(created))
	if g.rnd.IntN(3) == 0 {
		return created.Add(time.Duration(past * (0.1 + 0.5*g.rnd.Float64())))
	}
	return created.Add(time.Duration((past + float64(4*time.Hour)) / 0.8 * (1.05 + 0.6*g.rnd.Float64())))
}

// journal is 2 to 8 entries, sometimes many.
func (g *seeding) journal(c party, by agent, product string, from, to time.Time) []journal.Entry {
	r := g.rnd
	n := 2 + int(r.ExpFloat64()*1.8)
	n = min(n, 8)
	if r.IntN(200) == 0 {
		n += 20 + r.IntN(80)
	}
	out := make([]journal.Entry, n)
	step := to.Sub(from) / time.Duration(n+1)
	for k := range out {
		e := journal.Entry{Kind: journal.Customer, AuthorKind: authz.Customer, AuthorID: c.contact, AuthorName: c.name, CreatedAt: from.Add(step * time.Duration(k+1))}
		body := fmt.Sprintf(one(r, sentences), product, one(r, frequent), g.order())
		switch x := r.IntN(100); {
		case k > 0 && x < 40:
			e.Kind, e.AuthorKind, e.AuthorID, e.AuthorName = journal.Reply, authz.User, by.id, by.name
		case k > 0 && x < 55:
			e.Kind, e.AuthorKind, e.AuthorID, e.AuthorName = journal.Note, authz.User, by.id, by.name
		case k > 0 && x < 75:
			e.Kind, e.AuthorKind, e.AuthorID, e.AuthorName = journal.FollowUp, authz.User, by.id, by.name
			e.Detail = []byte(`{"at":"` + e.CreatedAt.UTC().Format(time.RFC3339) + `","method":"phone","reaction":"客户表示理解","agreement":"约定明天 10:00 前回复","done":false}`)
		}
		e.Body = body + one(r, tails)
		if r.IntN(4) == 0 {
			e.Body += strings.Repeat(one(r, tails), 1+r.IntN(4))
		}
		out[k] = e
	}
	g.entries += n
	return out
}

// bulky are the tables that are filled without their secondary indexes; crowd
// those of the customers.
var (
	bulky = []string{"tickets", "entries", "clocks", "clock_segments", "events", "ratings", "search_ticket"}
	crowd = []string{"customers", "contacts", "events", "search_customer"}
)

// quickly fills tables without their secondary indexes, but for those it reads
// itself: sorting a million keys once is several times quicker than putting each
// in its place. The seal's own index stays too, it is looked up at each commit.
func (g *seeding) quickly(ctx context.Context, tables, reads []string, fill func() error) error {
	query := `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN (`
	if g.DB.Dialect() == db.Postgres {
		query = `SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = current_schema()
			AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname) AND i.tablename IN (`
	}
	query += "'" + strings.Join(tables, "', '") + "') ORDER BY 1"
	rows, err := g.DB.Read().Query(ctx, query)
	if err != nil {
		return fmt.Errorf("bench: indexes: %w", err)
	}
	defer rows.Close()
	var names, defs []string
	for rows.Next() {
		var n, d string
		if err := rows.Scan(&n, &d); err != nil {
			return err
		}
		if n != "events_unsealed" && !slices.Contains(reads, n) {
			names, defs = append(names, n), append(defs, d)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	exec := func(q string) error {
		return g.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, q); return err })
	}
	for _, n := range names {
		if err := exec(`DROP INDEX ` + n); err != nil {
			return fmt.Errorf("bench: drop %s: %w", n, err)
		}
	}
	if err := fill(); err != nil {
		return err
	}
	g.say("indexes")
	for i, d := range defs {
		if err := exec(d); err != nil {
			return fmt.Errorf("bench: make %s: %w", names[i], err)
		}
	}
	return nil
}

// settle leaves the store as a server would have it: facts sealed and delivered,
// statistics known.
func (g *seeding) settle(ctx context.Context) error {
	if g.DB.Dialect() == db.Postgres {
		for {
			var n int
			if err := g.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				evs, err := event.Seal(ctx, tx)
				n = len(evs)
				return err
			}); err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
	}
	err := g.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		head, err := event.Head(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range g.Listeners {
			if _, err := tx.Exec(ctx, `INSERT INTO listener_cursors (name, seq) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`, name, head); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.DB.Tidy(ctx)
}
