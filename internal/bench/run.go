package bench

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"bihuan/internal/db"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// RunOptions of Run.
type RunOptions struct {
	Program  string   // the product itself, to be started as a server
	Tickets  []int    // sizes
	Engines  []string // sqlite, postgres
	Postgres string   // server on which databases may be made
	Seconds  float64  // for each operation; the minute takes three times as long
	Clients  int
	Rate     float64 // operations a second of a further round at a fixed rate; 0: none
	Reuse    string  // folder of an SQLite store seeded before; its data is changed
	Database string  // of that store, when it is on PostgreSQL
	Password string  // of that store's agents
	Only     []string
	Open     bool      // seed open tickets only
	Out      io.Writer // what is read
	Progress io.Writer
}

// Report is one size on one engine.
type Report struct {
	Engine    string            `json:"engine"`
	Tickets   int               `json:"tickets"`
	Hello     Result            `json:"hello"`
	Product   map[string]Result `json:"product"`
	Floor     map[string]Result `json:"floor"`
	Minute    Result            `json:"minute"`
	FloorMin  Result            `json:"floor_minute"`
	Rate      *Result           `json:"rate,omitempty"`
	Ratio     float64           `json:"minute_cpu_ratio"`
	Memory    Memory            `json:"memory_mib"`
	Idle      float64           `json:"idle_percent_of_core"`
	FirstPage FirstPage         `json:"first_page"`
	Seeding   float64           `json:"seeding_s"`
	StartMS   float64           `json:"start_ms"` // until it is ready
	SizeMB    float64           `json:"store_mb,omitempty"`
}

// FirstPage is what a browser with an empty cache receives.
type FirstPage struct {
	Requests int   `json:"requests"`
	Bytes    int64 `json:"bytes"` // compressed bodies
}

// Reports of a run with what the machine was.
type Reports struct {
	At       time.Time `json:"at"`
	CPUs     int       `json:"cpus"`
	LoadHint string    `json:"load_average_before"`
	Clients  int       `json:"clients"`
	Reports  []Report  `json:"reports"`
}

// names of the operations in the order of the table.
var names = []string{"queue", "queue page", "open", "search 2", "search 4", "phone", "follow-up", "create", "state"}

// minute is what an agent does, of a hundred gestures.
var minute = []share{{"queue", 40}, {"open", 30}, {"search 2", 4}, {"search 4", 3}, {"phone", 3}, {"follow-up", 10}, {"create", 5}, {"state", 5}}

// Run measures every size on every engine.
func Run(ctx context.Context, o RunOptions) (Reports, error) {
	if o.Clients == 0 {
		o.Clients = 4
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	all := Reports{At: time.Now().UTC(), CPUs: runtime.NumCPU(), Clients: o.Clients}
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		all.LoadHint = strings.Join(strings.Fields(string(raw))[:3], " ")
	}
	for _, e := range o.Engines {
		for _, n := range o.Tickets {
			fmt.Fprintf(o.Progress, "%s %s, %d tickets\n", time.Now().Format(time.TimeOnly), e, n)
			r, err := measureOne(ctx, o, e, n)
			if err != nil {
				return all, fmt.Errorf("bench: %s, %d tickets: %w", e, n, err)
			}
			all.Reports = append(all.Reports, r)
			r.table(o.Out)
		}
	}
	all.summary(o.Out)
	return all, nil
}

// place is where one store lies.
type place struct {
	dir, url string
	admin    *sql.DB // of the PostgreSQL server
	name     string
	password string
	drop     func()
}

func (p place) flags() []string {
	f := []string{"--data", p.dir}
	if p.url != "" {
		f = append(f, "--database", p.url)
	}
	return f
}

func newPlace(ctx context.Context, o RunOptions, engine string) (p place, err error) {
	if o.Reuse != "" {
		p = place{dir: o.Reuse, url: o.Database, password: o.Password, drop: func() {}}
		if p.url != "" {
			u, err := url.Parse(p.url)
			if err != nil {
				return p, err
			}
			p.name = strings.TrimPrefix(u.Path, "/")
			if p.admin, err = sql.Open("pgx", p.url); err != nil {
				return p, err
			}
			p.drop = func() { p.admin.Close() }
		}
		return p, nil
	}
	if p.dir, err = os.MkdirTemp("", "bihuan-bench-"); err != nil {
		return p, err
	}
	p.drop = func() { os.RemoveAll(p.dir) }
	if engine != string(db.Postgres) {
		return p, nil
	}
	if o.Postgres == "" {
		p.drop()
		return p, errors.New("no PostgreSQL server named (--postgres)")
	}
	u, err := url.Parse(o.Postgres)
	if err != nil {
		return p, err
	}
	if p.admin, err = sql.Open("pgx", o.Postgres); err != nil {
		return p, err
	}
	p.name = fmt.Sprintf("bihuan_bench_%d_%d", os.Getpid(), time.Now().Unix())
	if _, err := p.admin.ExecContext(ctx, "CREATE DATABASE "+p.name); err != nil {
		return p, err
	}
	u.Path = "/" + p.name
	p.url = u.String()
	p.drop = func() {
		p.admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+p.name+" WITH (FORCE)")
		p.admin.Close()
		os.RemoveAll(p.dir)
	}
	return p, nil
}

// seeded runs the seeding in a process of its own, so that its memory is not
// the server's.
func (p *place) seeded(ctx context.Context, o RunOptions, n int) (took time.Duration, err error) {
	if p.password != "" {
		return 0, nil
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, o.Program, append([]string{"bench", "seed", "--tickets", fmt.Sprint(n), "--open=" + fmt.Sprint(o.Open)}, p.flags()...)...)
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
	return time.Since(began), nil
}

// process is a server that was started.
type process struct {
	cmd    *exec.Cmd
	base   string
	took   time.Duration
	stderr *bytes.Buffer
}

func (p *process) stop() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		<-done
	}
}

func start(ctx context.Context, program string, args ...string) (*process, error) {
	began := time.Now()
	p := &process{cmd: exec.CommandContext(ctx, program, append(args, "--listen", "127.0.0.1:0")...), stderr: &bytes.Buffer{}}
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(out)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for sc.Scan() {
		if p.base = address.FindString(sc.Text()); p.base != "" {
			break
		}
	}
	if p.base == "" {
		p.stop()
		return nil, fmt.Errorf("%s %s did not start: %s", program, args[0], p.stderr)
	}
	go io.Copy(io.Discard, out)
	for range 200 {
		if res, err := http.Get(p.base + "/hello"); err == nil {
			res.Body.Close()
			p.took = time.Since(began)
			return p, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, errors.New("server does not answer")
}

// bait are records the clients work on.
type bait struct {
	agents    []agent
	numbers   [][]ref // by client: tickets of his that are being worked on
	open      [][]ref // by client: any open ones
	customers [][]int64
	phones    [][]phone
}

type ref struct {
	id, customer int64
	number       string
}

type phone struct{ number, key string }

func (p place) bait(ctx context.Context, clients int) (b bait, err error) {
	d, err := db.Open(ctx, db.Config{Dir: p.dir, URL: p.url, MaxConns: 2})
	if err != nil {
		return b, err
	}
	defer d.Close()
	if err := rest(ctx, d); err != nil {
		return b, err
	}
	q := d.Read()
	refs := func(query string, args ...any) (out []ref, err error) {
		rows, err := q.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var r ref
			if err := rows.Scan(&r.id, &r.customer, &r.number); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		return out, rows.Err()
	}
	for i := range clients {
		var a agent
		if err := q.QueryRow(ctx, `SELECT id, department_id, name FROM users WHERE login = $1`, Login(i+1)).Scan(&a.id, &a.department, &a.name); err != nil {
			return b, fmt.Errorf("agent %d: %w", i+1, err)
		}
		b.agents = append(b.agents, a)
		ours, err := refs(`SELECT id, customer_id, number FROM tickets WHERE assignee_id = $1 AND is_open = 1 AND state = 'in_progress' ORDER BY activity_at DESC LIMIT 300`, a.id)
		if err != nil {
			return b, err
		}
		open, err := refs(`SELECT id, customer_id, number FROM tickets WHERE assignee_id = $1 AND is_open = 1 ORDER BY activity_at DESC LIMIT 1000`, a.id)
		if err != nil {
			return b, err
		}
		if len(ours) == 0 || len(open) == 0 {
			return b, fmt.Errorf("agent %d has no work", i+1)
		}
		b.numbers, b.open = append(b.numbers, ours), append(b.open, open)
		rows, err := q.Query(ctx, `SELECT c.id, x.phone_index FROM customers c JOIN contacts x ON x.customer_id = c.id WHERE c.department_id = $1 ORDER BY c.id LIMIT 500`, a.department)
		if err != nil {
			return b, err
		}
		var cs []int64
		var ps []phone
		for rows.Next() {
			var id int64
			var key []byte
			if err := rows.Scan(&id, &key); err != nil {
				rows.Close()
				return b, err
			}
			cs = append(cs, id)
			ps = append(ps, phone{key: hex.EncodeToString(key)})
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return b, err
		}
		// The n-th customer has the n-th number; ids begin with 1 in a fresh store.
		for i := range ps {
			ps[i].number = Phone(int(cs[i] - 1))
		}
		b.customers, b.phones = append(b.customers, cs), append(b.phones, ps)
	}
	return b, nil
}

func turn[T any](c *client, of [][]T) T {
	mine := of[c.n%len(of)]
	return mine[c.rnd.IntN(len(mine))]
}

// product are the gestures as the browser makes them.
func (b bait) product() map[string]op {
	const follow = "已与客户电话确认故障现象，安排工程师明天上午 10:00 上门更换配件，费用在保修范围内，客户同意。"
	return map[string]op{
		"queue":      func(c *client) (int64, error) { return c.get("/tickets?view=mine&sort=activity", "div#queue") },
		"queue page": func(c *client) (int64, error) { return c.get("/tickets?view=mine&sort=activity", "") },
		"open":       func(c *client) (int64, error) { return c.get("/tickets/"+turn(c, b.open).number, "section#ticket") },
		"search 2": func(c *client) (int64, error) {
			return c.get("/tickets?view=all&q="+url.QueryEscape(one(c.rnd, frequent)), "div#queue")
		},
		"search 4": func(c *client) (int64, error) {
			return c.get("/tickets?view=all&q="+url.QueryEscape(one(c.rnd, Rare)), "div#queue")
		},
		"phone": func(c *client) (int64, error) { return c.get("/customers?q="+turn(c, b.phones).number, "div#rows") },
		"follow-up": func(c *client) (int64, error) {
			return c.post("/tickets/"+turn(c, b.numbers).number+"/entries", "div#composer",
				url.Values{"kind": {"followup"}, "body_followup": {follow}, "method": {"phone"}, "done": {"1"}, "anyway": {"1"}})
		},
		"create": func(c *client) (int64, error) {
			return c.post("/tickets", "", url.Values{"who": {"known"}, "customer": {fmt.Sprint(turn(c, b.customers))}, "title": {"净水器漏水问题"}, "type": {"consultation"}, "class": {"problem"},
				"urgency": {"normal"}, "channel": {"email"}, "description": {"客户来电反映净水器漏水，订单号 DD00000001，希望尽快安排处理。"}})
		},
		"state": func(c *client) (n int64, err error) {
			at := "/tickets/" + turn(c, b.numbers).number + "/moves/"
			for _, m := range []struct{ verb, field, text string }{{"ask", "body", "请提供设备背面的序列号。"}, {"resume", "reason", "客户已在电话中说明"}} {
				k, err := c.get(at+m.verb, "div#movebox")
				if err != nil {
					return n, err
				}
				n += k
				if k, err = c.post(at+m.verb, "div#movebox", url.Values{m.field: {m.text}}); err != nil {
					return n, err
				}
				n += k
			}
			return n, nil
		},
	}
}

// floor are the same gestures as bare statements.
func (b bait) floor() map[string]op {
	send := func(c *client, path, body string) (int64, error) {
		res, err := c.http.Post(c.t.base+path, "text/plain", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, res.Body)
		if err == nil && res.StatusCode >= 400 {
			err = errors.New(res.Status)
		}
		return n, err
	}
	const text = "已与客户电话确认故障现象，安排工程师明天上午 10:00 上门更换配件，费用在保修范围内，客户同意。"
	queue := func(c *client) (int64, error) {
		return c.get(fmt.Sprintf("/queue?agent=%d", b.agents[c.n%len(b.agents)].id), "")
	}
	return map[string]op{
		"hello": func(c *client) (int64, error) { return c.get("/hello", "") },
		"queue": queue, "queue page": queue,
		"open":     func(c *client) (int64, error) { return c.get("/ticket?number="+turn(c, b.open).number, "") },
		"search 2": func(c *client) (int64, error) { return c.get("/search?q="+url.QueryEscape(one(c.rnd, frequent)), "") },
		"search 4": func(c *client) (int64, error) { return c.get("/search?q="+url.QueryEscape(one(c.rnd, Rare)), "") },
		"phone":    func(c *client) (int64, error) { return c.get("/phone?key="+turn(c, b.phones).key, "") },
		"follow-up": func(c *client) (int64, error) {
			r := turn(c, b.numbers)
			return send(c, fmt.Sprintf("/note?ticket=%d&customer=%d", r.id, r.customer), text)
		},
		"create": func(c *client) (int64, error) {
			a := b.agents[c.n%len(b.agents)]
			return send(c, fmt.Sprintf("/create?customer=%d&department=%d&agent=%d", turn(c, b.customers), a.department, a.id), text)
		},
		"state": func(c *client) (int64, error) {
			r := turn(c, b.numbers)
			n, err := send(c, fmt.Sprintf("/state?ticket=%d&s=waiting_customer", r.id), "")
			if err != nil {
				return n, err
			}
			m, err := send(c, fmt.Sprintf("/state?ticket=%d&s=in_progress", r.id), "")
			return n + m, err
		},
	}
}

func signIn(base, login, password string) (*http.Cookie, error) {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.PostForm(base+"/sign-in", url.Values{"login": {login}, "password": {password}})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	for _, k := range res.Cookies() {
		if strings.Contains(k.Name, "session") && k.Value != "" {
			return k, nil
		}
	}
	return nil, fmt.Errorf("sign-in of %s: %s", login, res.Status)
}

func measureOne(ctx context.Context, o RunOptions, engine string, n int) (r Report, err error) {
	r = Report{Engine: engine, Tickets: n, Product: map[string]Result{}, Floor: map[string]Result{}}
	p, err := newPlace(ctx, o, engine)
	if err != nil {
		return r, err
	}
	defer p.drop()
	took, err := p.seeded(ctx, o, n)
	if err != nil {
		return r, err
	}
	r.Seeding = took.Seconds()
	if fi, err := os.Stat(filepath.Join(p.dir, "bihuan.db")); err == nil {
		r.SizeMB = float64(fi.Size()) / 1e6
	}
	b, err := p.bait(ctx, o.Clients)
	if err != nil {
		return r, err
	}
	each := time.Duration(o.Seconds * float64(time.Second))
	measure := func(what string, t *target, into map[string]Result) (Result, error) {
		for _, name := range names {
			if len(o.Only) > 0 && !contains(o.Only, name) {
				continue
			}
			if _, _, err := t.load(ctx, o.Clients, each/5, 0, []share{{name, 1}}); err != nil { // warm
				return Result{}, err
			}
			res, _, err := t.load(ctx, o.Clients, each, 0, []share{{name, 1}})
			if err != nil {
				return Result{}, err
			}
			fmt.Fprintf(o.Progress, "  %-8s %-10s %8.0f/s  p95 %7.2f ms  CPU %6.3f ms %s\n", what, name, res.PerSec, res.P95, res.CPU, res.Error)
			into[name] = res
		}
		if len(o.Only) > 0 && !contains(o.Only, "minute") {
			return Result{}, nil
		}
		all, _, err := t.load(ctx, o.Clients, each*3, 0, minute)
		fmt.Fprintf(o.Progress, "  %-8s %-10s %8.0f/s  p95 %7.2f ms  CPU %6.3f ms %s\n", what, "minute", all.PerSec, all.P95, all.CPU, all.Error)
		return all, err
	}
	pids := func(own int) func() []int {
		return func() []int {
			out := []int{own}
			if p.admin != nil {
				out = append(out, backends(ctx, p.admin, p.name)...)
			}
			return out
		}
	}

	srv, err := start(ctx, o.Program, append([]string{"serve"}, p.flags()...)...)
	if err != nil {
		return r, err
	}
	defer func() { srv.stop() }()
	r.StartMS = float64(srv.took.Milliseconds())
	t := &target{base: srv.base, ops: b.product(), pids: pids(srv.cmd.Process.Pid)}
	for i := range o.Clients {
		k, err := signIn(srv.base, Login(i+1), p.password)
		if err != nil {
			return r, err
		}
		t.cookies = append(t.cookies, k)
	}
	if r.FirstPage, err = firstPage(t.client(0)); err != nil {
		return r, err
	}
	if r.Minute, err = measure("product", t, r.Product); err != nil {
		return r, err
	}
	r.Memory = memoryOf(srv.cmd.Process.Pid)
	if o.Rate > 0 {
		res, _, err := t.load(ctx, o.Clients*8, each*2, o.Rate, minute)
		if err != nil {
			return r, err
		}
		r.Rate = &res
	}
	if len(o.Only) == 0 {
		time.Sleep(3 * time.Second) // what the work has left to do
		before, at := cpuOf(t.pids()), time.Now()
		time.Sleep(10 * time.Second)
		own, store := cpuOf(t.pids()).since(before)
		r.Idle = (own + store) / time.Since(at).Seconds() * 100
	}
	srv.stop()

	base, err := start(ctx, o.Program, append([]string{"bench", "floor"}, p.flags()...)...)
	if err != nil {
		return r, err
	}
	defer base.stop()
	t = &target{base: base.base, ops: b.floor(), pids: pids(base.cmd.Process.Pid)}
	if r.Hello, _, err = t.load(ctx, o.Clients, each, 0, []share{{"hello", 1}}); err != nil {
		return r, err
	}
	if r.FloorMin, err = measure("floor", t, r.Floor); err != nil {
		return r, err
	}
	if r.FloorMin.CPU > 0 {
		r.Ratio = r.Minute.CPU / r.FloorMin.CPU
	}
	return r, nil
}

func contains(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

var assetRef = regexp.MustCompile(`(?:src|href)="(/[^"]+\.(?:css|js|svg|woff2|png|ico|webmanifest)[^"]*)"`)

// firstPage is the first page of an agent with all it refers to, as a browser
// with an empty cache asks for it.
func firstPage(c *client) (f FirstPage, err error) {
	get := func(path string) ([]byte, error) {
		r, _ := http.NewRequest(http.MethodGet, c.t.base+path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		r.Header.Set("Accept-Language", "zh-CN")
		r.AddCookie(c.cookie)
		res, err := c.http.Do(r)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		f.Requests++
		f.Bytes += int64(len(raw))
		if err == nil && res.StatusCode >= 400 {
			err = fmt.Errorf("%s: %s", path, res.Status)
		}
		if res.Header.Get("Content-Encoding") == "gzip" {
			raw, err = unzip(raw)
		}
		return raw, err
	}
	html, err := get("/tickets")
	if err != nil {
		return f, err
	}
	seen := map[string]bool{}
	for _, m := range assetRef.FindAllStringSubmatch(string(html), -1) {
		path, _, _ := strings.Cut(strings.ReplaceAll(m[1], "&amp;", "&"), "#")
		if !seen[path] {
			seen[path] = true
			if _, err := get(path); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// WriteJSON writes the figures for programs.
func (a Reports) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(a)
}
