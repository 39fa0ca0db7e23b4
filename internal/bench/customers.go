package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"bihuan/internal/db"
)

// CustomerOptions of RunCustomers.
type CustomerOptions struct {
	Program   string   // the product itself, to be started as a server
	Customers []int    // sizes, the smallest first: the others are compared with it
	Engines   []string // sqlite, postgres
	Postgres  string   // server on which databases may be made
	Seconds   float64  // for each search in each round
	Clients   int
	Only      []string // only these searches
	Keep      string   // folder the stores are left in, and found in again
	Out       io.Writer
	Progress  io.Writer
}

// CustomerReport is the search of one size on one engine.
type CustomerReport struct {
	Engine    string            `json:"engine"`
	Customers int               `json:"customers"`
	Searches  map[string]Result `json:"searches"`
	Ratio     map[string]Ratio  `json:"ratio,omitempty"` // to the smallest size
	Seeding   float64           `json:"seeding_s"`
	SizeMB    float64           `json:"store_mb,omitempty"`
}

// Ratio of a size to the smallest one.
type Ratio struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// goal of a search at the largest size: p95 against the smallest.
const goal = 1.5

// searches in the order of the table.
//
// A name fragment is two neighbouring characters of the name of any customer, as
// they come: some stand in one name, some in thousands. Of the rare ones more are
// found in a larger store, so they are also measured apart from frequent ones,
// of which ten are found in the smallest store as well: those compare like with
// like.
var searches = []string{"name fragment", "rare fragment", "frequent fragment", "credit code", "phone", "last four", "initials", "full name"}

// rounds in which the sizes take turns, so that what else the machine is doing
// falls on all of them; the middle round counts.
const rounds = 3

// RunCustomers measures the search for customers over HTTP, at several sizes
// side by side.
func RunCustomers(ctx context.Context, o CustomerOptions) ([]CustomerReport, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	slices.Sort(o.Customers)
	var all []CustomerReport
	for _, e := range o.Engines {
		rs, err := customerEngine(ctx, o, e)
		if err != nil {
			return all, fmt.Errorf("bench: customers on %s: %w", e, err)
		}
		table(o.Out, rs)
		all = append(all, rs...)
	}
	return all, nil
}

func customerEngine(ctx context.Context, o CustomerOptions, engine string) ([]CustomerReport, error) {
	var reports []CustomerReport
	var targets []*target
	for _, n := range o.Customers {
		fmt.Fprintf(o.Progress, "%s %s, %d customers\n", time.Now().Format(time.TimeOnly), engine, n)
		r := CustomerReport{Engine: engine, Customers: n, Searches: map[string]Result{}}
		p, err := o.place(ctx, engine, n)
		if err != nil {
			return nil, err
		}
		defer p.drop()
		if p.password == "" {
			took, err := p.seedCustomers(ctx, o, n)
			if err != nil {
				return nil, err
			}
			r.Seeding = took.Seconds()
		}
		if fi, err := os.Stat(filepath.Join(p.dir, "bihuan.db")); err == nil {
			r.SizeMB = float64(fi.Size()) / 1e6
		}
		t, stop, err := p.searchServer(ctx, o, n)
		if err != nil {
			return nil, err
		}
		defer stop()
		reports, targets = append(reports, r), append(targets, t)
	}
	each := time.Duration(o.Seconds * float64(time.Second))
	for _, name := range searches {
		if len(o.Only) > 0 && !slices.Contains(o.Only, name) {
			continue
		}
		got := make([][]Result, len(targets))
		for round := range rounds {
			for i, t := range targets {
				if round == 0 {
					if _, _, err := t.load(ctx, o.Clients, each/2, 0, []share{{name, 1}}); err != nil { // warm
						return nil, err
					}
				}
				res, _, err := t.load(ctx, o.Clients, each, 0, []share{{name, 1}})
				if err != nil {
					return nil, err
				}
				if res.Errors > 0 {
					return nil, fmt.Errorf("%s: %s", name, res.Error)
				}
				got[i] = append(got[i], res)
			}
		}
		for i := range targets {
			slices.SortFunc(got[i], func(a, b Result) int { return int((a.P95 - b.P95) * 1000) })
			res := got[i][len(got[i])/2]
			reports[i].Searches[name] = res
			fmt.Fprintf(o.Progress, "  %-9d %-18s p50 %7.2f  p95 %7.2f ms\n", reports[i].Customers, name, res.P50, res.P95)
		}
	}
	for i := range reports[1:] {
		r := &reports[i+1]
		r.Ratio = map[string]Ratio{}
		for k, s := range r.Searches {
			if b, ok := alike(reports[0].Searches, k, s.Found); ok && b.P50 > 0 && b.P95 > 0 {
				r.Ratio[k] = Ratio{s.P50 / b.P50, s.P95 / b.P95}
			}
		}
	}
	return reports, nil
}

// fullList is what a search shows at most.
const fullList = 10

// alike returns what a search of a larger store is compared with: the same one
// of the smallest store, if it finds about as much there. A list of ten costs
// what ten customers cost, read and drawn, at any size: where the larger store
// has ten for what one or two stand for in the smallest, it is compared with the
// search that fills the list in the smallest as well.
func alike(base map[string]Result, name string, found float64) (Result, bool) {
	b, ok := base[name]
	if ok && found > 2*b.Found && found > fullList/2 {
		b, ok = base["frequent fragment"]
		return b, ok && b.Found > fullList/2
	}
	return b, ok
}

// place is a new store, or the one that was kept.
func (o CustomerOptions) place(ctx context.Context, engine string, n int) (place, error) {
	if o.Keep == "" || engine != string(db.SQLite) {
		return newPlace(ctx, RunOptions{Postgres: o.Postgres}, engine)
	}
	p := place{dir: filepath.Join(o.Keep, fmt.Sprintf("customers-%d", n)), drop: func() {}}
	if raw, err := os.ReadFile(filepath.Join(p.dir, "password")); err == nil {
		p.password = string(raw)
	}
	return p, os.MkdirAll(p.dir, 0o700)
}

// seedCustomers runs the seeding in a process of its own, so that its memory is
// not the server's.
func (p *place) seedCustomers(ctx context.Context, o CustomerOptions, n int) (time.Duration, error) {
	began := time.Now()
	cmd := exec.CommandContext(ctx, o.Program, append([]string{"bench", "seed", "--tickets", "2000", "--customers", fmt.Sprint(n)}, p.flags()...)...)
	cmd.Stderr = o.Progress
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("seed: %w", err)
	}
	m := regexp.MustCompile(`password (\S+)`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("seed: no password in %q", out)
	}
	p.password = string(m[1])
	took := time.Since(began)
	if o.Keep == "" {
		return took, nil
	}
	return took, os.WriteFile(filepath.Join(p.dir, "password"), m[1], 0o600)
}

func (p place) searchServer(ctx context.Context, o CustomerOptions, n int) (t *target, stop func(), err error) {
	b, err := p.wanted(ctx, o.Clients, n)
	if err != nil {
		return nil, nil, err
	}
	srv, err := start(ctx, o.Program, append([]string{"serve"}, p.flags()...)...)
	if err != nil {
		return nil, nil, err
	}
	t = &target{base: srv.base, ops: b.ops(), pids: func() []int {
		out := []int{srv.cmd.Process.Pid}
		if p.admin != nil {
			out = append(out, backends(ctx, p.admin, p.name)...)
		}
		return out
	}}
	for i := range o.Clients {
		k, err := signIn(srv.base, Login(i+1), p.password)
		if err != nil {
			srv.stop()
			return nil, nil, err
		}
		t.cookies = append(t.cookies, k)
	}
	return t, srv.stop, nil
}

// wanted are customers the clients look for, by client.
type wanted [][]want

type want struct{ name, uscc, initials, phone string }

// wanted picks customers of each client's department, from all ages of the
// store alike.
func (p place) wanted(ctx context.Context, clients, n int) (w wanted, err error) {
	d, err := db.Open(ctx, db.Config{Dir: p.dir, URL: p.url, MaxConns: 2})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := rest(ctx, d); err != nil {
		return nil, err
	}
	q, rnd := d.Read(), rand.New(rand.NewPCG(5, uint64(n)))
	for i := range clients {
		var department int64
		if err := q.QueryRow(ctx, `SELECT department_id FROM users WHERE login = $1`, Login(i+1)).Scan(&department); err != nil {
			return nil, fmt.Errorf("agent %d: %w", i+1, err)
		}
		var of []want
		for range 300 {
			rows, err := q.Query(ctx, `SELECT id, name, COALESCE(uscc, ''), initials, department_id FROM customers WHERE id >= $1 ORDER BY id LIMIT 40`, rnd.IntN(n)+1)
			if err != nil {
				return nil, err
			}
			for rows.Next() {
				var id, of2 int64
				var x want
				if err := rows.Scan(&id, &x.name, &x.uscc, &x.initials, &of2); err != nil {
					rows.Close()
					return nil, err
				}
				if of2 == department {
					x.phone = Phone(int(id - 1)) // the n-th customer has the n-th number; ids begin with 1 in a fresh store
					of = append(of, x)
					break
				}
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return nil, err
			}
		}
		if len(of) == 0 {
			return nil, errors.New("no customers in the department of an agent")
		}
		w = append(w, of)
	}
	return w, nil
}

// ops are the searches as the list makes them while somebody types.
func (w wanted) ops() map[string]op {
	find := func(by func(c *client, x want) string) op {
		return func(c *client) (int64, error) {
			for {
				if text := by(c, turn(c, w)); text != "" {
					return c.find("/customers?q=" + url.QueryEscape(text))
				}
			}
		}
	}
	part := func(c *client, name string) string {
		r := []rune(strings.TrimSuffix(name, "有限公司"))
		if len(r) < 2 {
			return ""
		}
		i := c.rnd.IntN(len(r) - 1)
		return string(r[i : i+2])
	}
	common := append(slices.Clone(cities), trades...)
	return map[string]op{
		"name fragment": find(func(c *client, x want) string { return part(c, x.name) }),
		"rare fragment": find(func(c *client, x want) string {
			if strings.HasSuffix(x.name, "有限公司") {
				return ""
			}
			return part(c, x.name)
		}),
		"frequent fragment": find(func(c *client, _ want) string { return part(c, one(c.rnd, common)) }),
		"credit code":       find(func(_ *client, x want) string { return x.uscc }),
		"phone":             find(func(_ *client, x want) string { return x.phone }),
		"last four":         find(func(_ *client, x want) string { return x.phone[len(x.phone)-4:] }),
		"initials":          find(func(_ *client, x want) string { return x.initials[:min(4, len(x.initials))] }),
		"full name":         find(func(_ *client, x want) string { return x.name }),
	}
}

// table prints the sizes of one engine side by side.
func table(w io.Writer, rs []CustomerReport) {
	if len(rs) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s: search for customers, ms\n  %-18s", rs[0].Engine, "")
	for _, r := range rs {
		fmt.Fprintf(w, " %9d p50  %9s  found", r.Customers, "p95")
	}
	fmt.Fprintln(w, "   p95 ratio   CPU ms, ratio")
	for _, name := range searches {
		if rs[0].Searches[name].N == 0 {
			continue
		}
		fmt.Fprintf(w, "  %-18s", name)
		for _, r := range rs {
			fmt.Fprintf(w, " %13.2f  %9.2f  %5.1f", r.Searches[name].P50, r.Searches[name].P95, r.Searches[name].Found)
		}
		if last := rs[len(rs)-1]; last.Ratio != nil {
			x := last.Ratio[name].P95
			fmt.Fprintf(w, "   %.2f", x)
			if x > goal {
				fmt.Fprintf(w, " above %.1f", goal)
			}
			// What else the machine does makes everybody wait, but costs no CPU time here.
			if cpu := last.Searches[name].CPU; cpu > 0 {
				base, _ := alike(rs[0].Searches, name, last.Searches[name].Found)
				fmt.Fprintf(w, "   %.2f, %s", cpu, ratio(cpu, base.CPU))
				if base.Found > 2*rs[0].Searches[name].Found {
					fmt.Fprint(w, " of a full list")
				}
			}
		}
		fmt.Fprintln(w)
	}
}

// rest lets the duties of a store rest for the measurement: what the product
// does by itself with thousands of new customers and tickets, comparing and
// judging each of them once, is another one.
func rest(ctx context.Context, d *db.DB) error {
	return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO leases (name, holder, fence, expires_at) VALUES ('duties', 'bench', 1, $1)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at`, db.Micros(tx.Now.Add(2*time.Hour)))
		return err
	})
}
