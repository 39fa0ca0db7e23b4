package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"bihuan/internal/db"
)

// DeadlineOptions of RunDeadlines.
type DeadlineOptions struct {
	Program   string // the product itself, to be started as a server
	Deadlines int    // how many fall due at the same moment
	Engine    string // sqlite, postgres
	Postgres  string // server on which databases may be made
	Seconds   float64
	Slack     float64 // seconds for what is done before: start, sign-in
	Clients   int
	Rate      float64 // gestures a second, before and meanwhile
	Reuse     string  // folder of an SQLite store seeded before; its data is changed
	Password  string  // of that store's agents
	Profile   string  // file for a profile of what the server computes meanwhile
	Out       io.Writer
	Progress  io.Writer
}

// DeadlineReport is how they were fired, and what people's pages took meanwhile.
type DeadlineReport struct {
	Deadlines int
	Took      time.Duration // from the moment they were due until the last had fired
	Told      time.Duration // until everybody who is to hear of one has his notice
	Fired     int           // firings on record
	Twice     int           // clocks whose step fired more than once
	CPU       time.Duration // of the server while they fired, pages and all
	Idle      time.Duration // of the server for the pages alone, in the same time before
	Quiet     Result        // pages before
	Busy      Result        // pages meanwhile
}

// What is promised: everything within a minute, and pages below twice what they
// take at other times.
const (
	firedWithin = 60 * time.Second
	slowdown    = 2.0
)

// daily is the minute of an agent at a fixed rate.
var daily = []share{{"queue", 40}, {"open", 30}, {"phone", 5}, {"follow-up", 15}, {"state", 10}}

// RunDeadlines lets many deadlines fall due at one moment in a server that is
// being worked with, and measures both.
func RunDeadlines(ctx context.Context, o DeadlineOptions) (r DeadlineReport, err error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	p, err := newPlace(ctx, RunOptions{Postgres: o.Postgres, Reuse: o.Reuse, Password: o.Password}, o.Engine)
	if err != nil {
		return r, err
	}
	defer p.drop()
	// Of the tickets seeded all are open, each with a clock that runs.
	if _, err := p.seeded(ctx, RunOptions{Program: o.Program, Progress: o.Progress, Open: true}, o.Deadlines); err != nil {
		return r, err
	}
	b, err := p.bait(ctx, o.Clients)
	if err != nil {
		return r, err
	}
	d, err := db.Open(ctx, db.Config{Dir: p.dir, URL: p.url, MaxConns: 2})
	if err != nil {
		return r, err
	}
	defer d.Close()
	quiet := time.Duration(o.Seconds * float64(time.Second))
	at := time.Now().Add(quiet + time.Duration(o.Slack*float64(time.Second)))
	if r.Deadlines, err = due(ctx, d, at); err != nil {
		return r, err
	}
	if r.Deadlines == 0 {
		return r, errors.New("bench: no clock runs")
	}
	flags := append([]string{"serve"}, p.flags()...)
	profiles := ""
	if o.Profile != "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return r, err
		}
		profiles = l.Addr().String()
		l.Close()
		flags = append(flags, "--pprof", profiles)
	}
	srv, err := start(ctx, o.Program, flags...)
	if err != nil {
		return r, err
	}
	defer srv.stop()
	t := &target{base: srv.base, ops: b.product(), pids: func() []int { return []int{srv.cmd.Process.Pid} }}
	for i := range o.Clients {
		k, err := signIn(srv.base, Login(i+1), p.password)
		if err != nil {
			return r, err
		}
		t.cookies = append(t.cookies, k)
	}
	if _, _, err := t.load(ctx, o.Clients, 3*time.Second, o.Rate, daily); err != nil { // warm
		return r, err
	}
	before := cpuOf(t.pids())
	if r.Quiet, _, err = t.load(ctx, o.Clients, quiet, o.Rate, daily); err != nil {
		return r, err
	}
	alone, _ := cpuOf(t.pids()).since(before)
	if late := time.Since(at); late > 0 {
		return r, fmt.Errorf("bench: the deadlines were due %v before they could be measured", late)
	}
	fmt.Fprintf(o.Progress, "%s before: p50 %.1f, p95 %.1f ms\n", time.Now().Format(time.TimeOnly), r.Quiet.P50, r.Quiet.P95)
	time.Sleep(time.Until(at))
	meanwhile, stop := context.WithCancel(ctx)
	worked := make(chan error, 1)
	go func() {
		var err error
		r.Busy, _, err = t.load(meanwhile, o.Clients, 10*time.Minute, o.Rate, daily)
		worked <- err
	}()
	profiled := make(chan error, 1)
	if profiles == "" {
		profiled <- nil
	} else {
		go func() { profiled <- profile(ctx, "http://"+profiles+"/debug/pprof/profile?seconds=15", o.Profile) }()
	}
	before = cpuOf(t.pids())
	for waits := left; r.Told == 0; {
		wait, err := waits(ctx, d, at)
		switch {
		case err != nil:
			stop()
			return r, err
		case time.Since(at) > 10*time.Minute:
			stop()
			return r, errors.New("bench: not done after ten minutes")
		case wait:
			time.Sleep(200 * time.Millisecond)
		case r.Took == 0:
			cpu, _ := cpuOf(t.pids()).since(before)
			r.Took, r.CPU = time.Since(at), time.Duration(cpu*float64(time.Second))
			r.Idle = time.Duration(alone * r.Took.Seconds() / o.Seconds * float64(time.Second))
			waits = untold
		default:
			r.Told = time.Since(at)
		}
	}
	stop()
	if err := <-worked; err != nil {
		return r, err
	}
	if err := <-profiled; err != nil {
		return r, err
	}
	q := d.Read()
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM clock_firings WHERE due_at = $1`, db.Micros(at)).Scan(&r.Fired); err != nil {
		return r, err
	}
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT clock_id FROM clock_firings WHERE due_at = $1 GROUP BY clock_id, rung, repeat_no HAVING COUNT(*) > 1) x`, db.Micros(at)).Scan(&r.Twice); err != nil {
		return r, err
	}
	r.print(o)
	return r, nil
}

// due makes the next step of every clock that runs fall due at the moment at:
// its deadline.
func due(ctx context.Context, d *db.DB, at time.Time) (n int, err error) {
	err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		us := db.Micros(at)
		if _, err := tx.Exec(ctx, `UPDATE clocks SET step = 1, repeats = 100, missed = 0, due_at = $1, next_at = $2, segment_at = $3 - target + used WHERE state = 'running'`, us, us, us); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE tickets SET due_at = $1, overdue = 0 WHERE is_open = 1 AND due_at > 0`, us); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM clocks WHERE state = 'running' AND next_at = $1`, us).Scan(&n)
	})
	return n, err
}

// left reports whether one of them has not fired; a clock that ended meanwhile
// has no firing to come.
func left(ctx context.Context, d *db.DB, at time.Time) (yes bool, err error) {
	return is(ctx, d, `SELECT COUNT(*) FROM (SELECT 1 FROM clocks WHERE state = 'running' AND next_at > 0 AND next_at <= $1 LIMIT 1) x`, db.Micros(at))
}

// untold reports whether the notices are behind the facts.
func untold(ctx context.Context, d *db.DB, _ time.Time) (yes bool, err error) {
	return is(ctx, d, `SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE seq > (SELECT seq FROM listener_cursors WHERE name = 'notify') AND kind = 'ticket.clock_missed' LIMIT 1) x`)
}

func is(ctx context.Context, d *db.DB, query string, args ...any) (yes bool, err error) {
	var n int
	err = d.Read().QueryRow(ctx, query, args...).Scan(&n)
	return n > 0, err
}

// profile has the server write down what it computes.
func profile(ctx context.Context, address, file string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}

func (r DeadlineReport) print(o DeadlineOptions) {
	verdict := func(ok bool) string {
		if ok {
			return "kept"
		}
		return "NOT kept"
	}
	fmt.Fprintf(o.Out, "%s: %d deadlines due at one moment, %.0f gestures a second by %d clients\n", o.Engine, r.Deadlines, o.Rate, o.Clients)
	fmt.Fprintf(o.Out, "  all fired after %.1f s (%.0f a second; promised %.0f s: %s); %d firings, %d clocks twice\n",
		r.Took.Seconds(), float64(r.Fired)/r.Took.Seconds(), firedWithin.Seconds(), verdict(r.Took <= firedWithin), r.Fired, r.Twice)
	fmt.Fprintf(o.Out, "  everybody told after %.1f s; the server computed %.1f s, of which pages %.1f s: %.0f µs a deadline\n",
		r.Told.Seconds(), r.CPU.Seconds(), r.Idle.Seconds(), float64((r.CPU-r.Idle).Microseconds())/float64(max(1, r.Fired)))
	fmt.Fprintf(o.Out, "  pages before    p50 %7.1f  p95 %7.1f  p99 %7.1f ms  (%d)\n", r.Quiet.P50, r.Quiet.P95, r.Quiet.P99, r.Quiet.N)
	fmt.Fprintf(o.Out, "  pages meanwhile p50 %7.1f  p95 %7.1f  p99 %7.1f ms  (%d, %d errors %s)  p95 x %.2f (promised below %.0f: %s)\n",
		r.Busy.P50, r.Busy.P95, r.Busy.P99, r.Busy.N, r.Busy.Errors, r.Busy.Error, r.Busy.P95/r.Quiet.P95, slowdown, verdict(r.Busy.P95 < slowdown*r.Quiet.P95))
}
