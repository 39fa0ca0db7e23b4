package crash

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
)

// The tests of several nodes take half a minute; with this flag they take the
// time of real life: one node killed every minute for twenty minutes, the store
// away for a minute.
var full = flag.Bool("nodes.full", false, "kill a node every minute for twenty minutes")

// late is how late a deadline may fire while a node is killed and the other
// lives; stuckLate when a node was stopped in the middle of a transaction, whose
// locks the store takes back after ten seconds.
const (
	late      = 10 * time.Second
	stuckLate = 25 * time.Second
)

// gate stands between a node and the store, and can be closed.
type gate struct {
	t    *testing.T
	to   string // where the store is
	addr string

	mu    sync.Mutex
	l     net.Listener
	conns map[net.Conn]bool
	stuck chan struct{} // closed when bytes may pass again; nil: they pass
}

// opened returns a gate to the store of database and the address through it.
func opened(t *testing.T, database string) (*gate, string) {
	t.Helper()
	g := &gate{t: t, to: database, conns: map[net.Conn]bool{}}
	g.open("127.0.0.1:0")
	g.addr = g.l.Addr().String()
	t.Cleanup(func() { g.cut() })
	return g, dbtest.By(t, database, g.addr)
}

func (g *gate) open(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		g.t.Error(err)
		return
	}
	g.mu.Lock()
	g.l = l
	g.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.carry(c)
		}
	}()
}

func (g *gate) carry(c net.Conn) {
	defer c.Close()
	s, err := dbtest.Dial(g.to)
	if err != nil {
		return
	}
	defer s.Close()
	g.mu.Lock()
	g.conns[c], g.conns[s] = true, true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.conns, c)
		delete(g.conns, s)
		g.mu.Unlock()
	}()
	end := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				g.mu.Lock()
				wait := g.stuck
				g.mu.Unlock()
				if wait != nil {
					<-wait
				}
				if _, werr := to.Write(buf[:n]); werr != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		end <- struct{}{}
	}
	go pass(s, c)
	go pass(c, s)
	<-end
}

// cut refuses everything, as when the store is stopped.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.l.Close()
	for c := range g.conns {
		c.Close()
	}
	if g.stuck != nil {
		close(g.stuck)
		g.stuck = nil
	}
}

// restore lets everything pass again.
func (g *gate) restore() {
	g.mu.Lock()
	stuck := g.stuck
	g.stuck = nil
	g.mu.Unlock()
	if stuck != nil {
		close(stuck)
		return
	}
	g.open(g.addr)
}

// jam keeps all connections and lets nothing pass, as when the store hangs.
func (g *gate) jam() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stuck = make(chan struct{})
}

// cluster are nodes on one store, people at work on all of them, and deadlines
// that come all the time.
type cluster struct {
	t     *testing.T
	nodes []*place
	gates []*gate
	d     *db.DB // straight to the store

	target time.Duration // of each deadline
	stop   context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup

	mu       sync.Mutex
	answered map[string]bool
	sent     map[string]bool
	watched  map[int64]bool // clocks that were set to run out
	progress atomic.Int64
}

func gather(t *testing.T, n int, target time.Duration) *cluster {
	t.Helper()
	server := os.Getenv("BIHUAN_TEST_POSTGRES")
	if server == "" {
		t.Skip("BIHUAN_TEST_POSTGRES is not set")
	}
	first := furnish(t, server)
	c := &cluster{t: t, target: target, answered: map[string]bool{}, sent: map[string]bool{}, watched: map[int64]bool{}}
	var err error
	if c.d, err = db.Open(context.Background(), db.Config{URL: first.database, MaxConns: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.d.Close() })
	c.ctx, c.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { c.stop(); c.wg.Wait() })
	for i := range n {
		g, through := opened(t, first.database)
		p := &place{t: t, data: first.data, database: through, token: first.token, cookie: first.cookie, log: filepath.Join(t.TempDir(), fmt.Sprintf("log%d", i))}
		p.start()
		c.nodes, c.gates = append(c.nodes, p), append(c.gates, g)
	}
	return c
}

// load lets writers register and follow up on any node, each request again with
// the same key, on the next node, until it is answered.
func (c *cluster) load(writers int, pause time.Duration) {
	for w := range writers {
		c.wg.Go(func() {
			client := &http.Client{Timeout: 15 * time.Second}
			at := w
			again := func(do func(p *place) error) bool {
				for c.ctx.Err() == nil {
					err := do(c.nodes[at%len(c.nodes)])
					if err == nil {
						return true
					}
					var refused refusal
					if errors.As(err, &refused) {
						c.t.Errorf("writer %d: %v", w, err)
						return false
					}
					at++
					client.CloseIdleConnections()
					time.Sleep(100 * time.Millisecond)
				}
				return false
			}
			number := ""
			for i := 0; c.ctx.Err() == nil; i++ {
				at++
				if i%4 == 0 {
					marker := fmt.Sprintf("request-%d-%d", w, i)
					if !again(func(p *place) (err error) {
						number, err = p.ticket(c.ctx, client, marker, marker, fmt.Sprintf("13%d%08d", w%10, i))
						if err != nil && strings.HasPrefix(err.Error(), "ticket refused: 503") {
							return err
						}
						return refuse(err)
					}) {
						return
					}
					c.expire(number)
				}
				marker := fmt.Sprintf("record-%d-%d-", w, i)
				c.mu.Lock()
				c.sent[marker] = true
				c.mu.Unlock()
				if !again(func(p *place) error {
					status, a, err := p.post(c.ctx, client, "/tickets/"+number+"/follow-ups", marker, map[string]any{"method": "phone", "body": marker + "：电话联系客户，约定明天上午上门。"})
					switch {
					case err != nil:
						return err
					case status == http.StatusServiceUnavailable:
						return fmt.Errorf("%d %v", status, a)
					case status != http.StatusCreated:
						return refusal{fmt.Sprintf("%d %v", status, a)}
					}
					return nil
				}) {
					return
				}
				c.mu.Lock()
				c.answered[marker] = true
				c.mu.Unlock()
				c.progress.Add(1)
				select {
				case <-c.ctx.Done():
				case <-time.After(time.Duration(rand.Int64N(int64(2*pause) + 1))):
				}
			}
		})
	}
}

// expire gives the ticket's resolution a deadline in seconds: it warns at four
// fifths of it, is missed, and is escalated at one and a half times of it.
func (c *cluster) expire(number string) {
	now := time.Now()
	target := c.target + time.Duration(rand.Int64N(int64(c.target)))
	var id int64
	err := c.d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		return tx.QueryRow(ctx, `
			UPDATE clocks SET calendar_id = 0, ladder_id = 0, target = $1, used = 0, started_at = $2, segment_at = $3, due_at = $4, step = 0, next_at = $5
			WHERE kind = 'resolution' AND state = 'running' AND ticket_id = (SELECT id FROM tickets WHERE number = $6) RETURNING id`,
			target.Microseconds(), db.Micros(now), db.Micros(now), db.Micros(now.Add(target)), db.Micros(now.Add(target*4/5)), number).Scan(&id)
	})
	if err != nil {
		c.t.Errorf("deadline of %s: %v", number, err)
		return
	}
	c.mu.Lock()
	c.watched[id] = true
	c.mu.Unlock()
}

// work waits until the people got through so many records more.
func (c *cluster) work(n int64) {
	c.t.Helper()
	target := c.progress.Load() + n
	for began := time.Now(); c.progress.Load() < target; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			for i, p := range c.nodes {
				text, _ := os.ReadFile(p.log)
				c.t.Logf("node %d:\n%s", i, text[max(0, len(text)-3000):])
			}
			c.t.Fatal("no progress")
		}
		if c.t.Failed() {
			c.t.FailNow()
		}
	}
}

// settle ends the work, lets every deadline run out and checks that each step of
// each fired once. It returns the largest delay.
func (c *cluster) settle(bound time.Duration) (largest time.Duration) {
	t := c.t
	t.Helper()
	c.stop()
	c.wg.Wait()
	ctx := context.Background()
	q := c.d.Read()
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		var open int
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM clocks WHERE state = 'running' AND next_at > 0 AND next_at < $1`, db.Micros(time.Now().Add(3*c.target))).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			break
		}
		if time.Since(began) > 3*c.target+bound {
			t.Errorf("%d steps have not fired", open)
			break
		}
	}
	// What listeners make of it comes a moment later.
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var behind, unsealed int
		err := q.QueryRow(ctx, `SELECT (SELECT COALESCE(MAX(seq), 0) FROM events WHERE kind = 'ticket.clock_missed') - (SELECT seq FROM listener_cursors WHERE name = 'notify'), (SELECT COUNT(*) FROM events WHERE seq IS NULL)`).Scan(&behind, &unsealed)
		if err != nil {
			t.Fatal(err)
		}
		if behind <= 0 && unsealed == 0 {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Errorf("the notices are %d events behind, %d events are not sealed", behind, unsealed)
			break
		}
	}
	type firing struct {
		clock int64
		rung  int
	}
	fired := map[firing]int{}
	names := map[string]int{} // "ticket name" -> firings
	rows, err := q.Query(ctx, `
		SELECT f.clock_id, f.rung, f.repeat_no, f.name, f.due_at, f.fired_at, c.ticket_id, c.due_at, c.target
		FROM clock_firings f JOIN clocks c ON c.id = f.clock_id ORDER BY f.clock_id, f.step`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var clock, ticket, due, at, end, target int64
		var rung, again int
		var name string
		if err := rows.Scan(&clock, &rung, &again, &name, &due, &at, &ticket, &end, &target); err != nil {
			t.Fatal(err)
		}
		names[fmt.Sprintf("%d %s", ticket, name)]++
		delay := time.Duration(at-due) * time.Microsecond
		largest = max(largest, delay)
		if delay < 0 {
			t.Errorf("clock %d fired %s before its time", clock, -delay)
		}
		if !c.watched[clock] || again != 0 {
			continue
		}
		fired[firing{clock, rung}]++
		if rung < 3 {
			if want := end - target + target*[]int64{80, 100, 150}[rung]/100; due-want > 1000 || want-due > 1000 {
				t.Errorf("clock %d: step %d was due %d µs beside its time", clock, rung, due-want)
			}
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	for id := range c.watched {
		for rung := range 3 {
			if n := fired[firing{id, rung}]; n != 1 {
				t.Errorf("clock %d: step %d fired %d times", id, rung, n)
			}
		}
	}
	// The fact of each firing is there as often as the firing.
	kinds := map[string]string{"ticket.clock_warned": "warn", "ticket.clock_missed": "miss", "ticket.clock_escalated": "escalate", "ticket.clock_reminded": "remind", "ticket.clock_waited": "decide"}
	rows, err = q.Query(ctx, `SELECT subject_id, kind FROM events WHERE kind LIKE 'ticket.clock_%'`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var ticket int64
		var kind string
		if err := rows.Scan(&ticket, &kind); err != nil {
			t.Fatal(err)
		}
		if name := kinds[kind]; name != "" {
			names[fmt.Sprintf("%d %s", ticket, name)]--
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	for k, n := range names {
		if n != 0 {
			t.Errorf("ticket %s: %d firings more than facts", k, n)
		}
	}
	// Nobody was told the same twice.
	var twice int
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM notifications GROUP BY user_id, event_seq, kind HAVING COUNT(*) > 1) x`).Scan(&twice); err != nil || twice > 0 {
		t.Errorf("%d notices are there more than once, %v", twice, err)
	}
	found := count(t, c.d, `SELECT body FROM entries WHERE kind = 'follow_up'`, marks)
	for m := range c.answered {
		if found[m] == 0 {
			t.Errorf("%s was answered and is lost", m)
		}
	}
	for m, n := range found {
		if n > 1 || !c.sent[m] {
			t.Errorf("%s is there %d times", m, n)
		}
	}
	if r, err := event.Verify(ctx, q); err != nil || r.BrokenAt != 0 {
		t.Errorf("the chain of facts does not hold: %+v, %v", r, err)
	}
	if largest > bound {
		t.Errorf("the largest delay is %s", largest)
	}
	t.Logf("%d deadlines, %d firings, each once; largest delay %s; %d records answered", len(c.watched), len(fired), largest.Round(time.Millisecond), len(c.answered))
	return largest
}

// pause stops a node's process as a machine that is out of memory does.
func (p *place) pause(t *testing.T, sig syscall.Signal) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := syscall.Kill(p.cmd.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
}

// Of two nodes one is killed again and again: every deadline fires once, and in
// time.
func TestNodeKilled(t *testing.T) {
	target, kills, every := 2*time.Second, 3, 3*time.Second
	if *full {
		target, kills, every = 20*time.Second, 20, time.Minute
	}
	c := gather(t, 2, target)
	c.load(4, 50*time.Millisecond)
	next := time.Now().Add(every)
	for i := range kills {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		p := c.nodes[i%2]
		p.kill()
		p.start()
		c.work(5)
		t.Logf("kill %d, %d records", i+1, c.progress.Load())
	}
	c.work(20)
	c.settle(late)
}

// A node that was stopped in the middle of its work and goes on after its leases
// have run out, one that is cut off, one whose store hangs, and one whose
// connections break: nothing is doubled, nothing lost.
func TestNodePausedAndCut(t *testing.T) {
	short, long := 3*time.Second, 12*time.Second
	if *full {
		short, long = 30*time.Second, 75*time.Second
	}
	c := gather(t, 2, 2*time.Second)
	c.load(4, 30*time.Millisecond)
	c.work(10)
	for _, f := range []struct {
		name     string
		do, undo func()
		long     time.Duration
	}{
		{"stopped", func() { c.nodes[0].pause(t, syscall.SIGSTOP) }, func() { c.nodes[0].pause(t, syscall.SIGCONT) }, long},
		{"cut off", c.gates[1].cut, c.gates[1].restore, short},
		{"hanging", c.gates[0].jam, c.gates[0].restore, short + 2*time.Second},
		{"broken connections", func() {
			if _, err := c.d.Read().Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
				t.Error(err)
			}
		}, func() {}, time.Second},
	} {
		f.do()
		time.Sleep(f.long)
		f.undo()
		c.work(10)
		t.Logf("%s: %d records", f.name, c.progress.Load())
	}
	c.settle(stuckLate)
}

// marks are what records are found by.
var marks = regexp.MustCompile(`record-\d+-\d+-`)

// What happens on one node is seen at once by browsers on the other.
func TestLiveOnEveryNode(t *testing.T) {
	c := gather(t, 2, time.Minute)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.nodes[1].base+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(c.nodes[1].cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			if s, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				lines <- s
			}
		}
	}()
	if hello := <-lines; hello != "{}" {
		t.Fatal(hello)
	}
	time.Sleep(1500 * time.Millisecond) // the nodes hear each other
	var waits []time.Duration
	for i := range 5 {
		began := time.Now()
		if _, err := c.nodes[0].ticket(ctx, http.DefaultClient, fmt.Sprint("live", i), "live", fmt.Sprintf("1380000000%d", i)); err != nil {
			t.Fatal(err)
		}
		for s := range lines {
			if strings.Contains(s, `"ticket"`) || strings.Contains(s, `"queue"`) {
				break
			}
		}
		waits = append(waits, time.Since(began))
		time.Sleep(300 * time.Millisecond)
		for len(lines) > 0 {
			<-lines
		}
	}
	slices.Sort(waits)
	if ctx.Err() != nil || waits[2] > 2*time.Second {
		t.Errorf("a change on one node reached the other's browser after %s", waits[2])
	}
	t.Logf("from the request on one node to the browser on the other: %s", waits)
}

// While the store is away pages say so, quickly and calmly, and keep what was
// typed; afterwards everything goes on by itself, and what was due meanwhile
// fires once.
func TestStoreAway(t *testing.T) {
	away := 6 * time.Second
	if *full {
		away = time.Minute
	}
	c := gather(t, 1, 2*time.Second)
	p, g := c.nodes[0], c.gates[0]
	c.load(3, 30*time.Millisecond)
	c.work(10)
	for _, f := range []struct {
		name   string
		do     func()
		within time.Duration // to the first answer
	}{{"stopped", g.cut, 3 * time.Second}, {"hanging", g.jam, 6 * time.Second}} {
		f.do()
		began := time.Now()
		var slowest time.Duration
		asked := 0
		for time.Since(began) < max(away, f.within+4*time.Second) {
			for _, x := range []struct {
				method, path, body string
				headers            map[string]string
				status             int
				want               string
			}{
				{"GET", "/healthz", "", nil, 200, "ok"},
				{"GET", "/readyz", "", nil, 503, ""},
				{"GET", "/tickets", "", map[string]string{"Accept": "text/html"}, 503, "暂时连不上数据库"},
				{"GET", "/customers", "", map[string]string{"Accept": "text/html", "Accept-Language": "en"}, 503, "the database cannot be reached"},
				{"GET", "/tickets", "", map[string]string{"HX-Request": "true", "HX-Target": "rows"}, 503, `class="toast"`},
				{"POST", "/customers", "name=" + url.QueryEscape("深圳 <保留> 公司") + "&type=company", map[string]string{"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}, 503, "深圳 &lt;保留&gt; 公司"},
				{"GET", "/api/v1/tickets", "", map[string]string{"Authorization": "Bearer " + p.token}, 503, `"db.unavailable"`},
			} {
				at := time.Now()
				r, err := http.NewRequest(x.method, p.base+x.path, strings.NewReader(x.body))
				if err != nil {
					t.Fatal(err)
				}
				r.AddCookie(p.cookie)
				for k, v := range x.headers {
					r.Header.Set(k, v)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Errorf("%s: %s %s: %v", f.name, x.method, x.path, err)
					continue
				}
				text, _ := io.ReadAll(res.Body)
				res.Body.Close()
				took := time.Since(at)
				first := time.Since(began) < f.within+took
				if !first && (res.StatusCode != x.status || !strings.Contains(string(text), x.want)) {
					t.Errorf("%s: %s %s: %d\n%.3000s", f.name, x.method, x.path, res.StatusCode, text)
				}
				if limit := time.Second; took > limit && !first || took > f.within {
					t.Errorf("%s: %s %s took %s", f.name, x.method, x.path, took)
				}
				if !first {
					slowest, asked = max(slowest, took), asked+1
				}
			}
			if t.Failed() {
				t.FailNow()
			}
			time.Sleep(300 * time.Millisecond)
		}
		g.restore()
		began = time.Now()
		for {
			res, err := http.Get(p.base + "/readyz")
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Since(began) > patience {
				t.Fatal("the node does not come back")
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("%s: %d answers, the slowest after %s; ready again %s after its return", f.name, asked, slowest.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		c.work(10)
		time.Sleep(3 * time.Second) // what was due meanwhile has fired before it goes away again
	}
	c.settle(max(away, 10*time.Second) + 10*time.Second)
}
