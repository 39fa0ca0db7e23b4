package job_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/job"
)

type args struct{ N int }

func enqueue(t *testing.T, d *db.DB, q *job.Queue, kind string, n int, o job.Opts) int64 {
	t.Helper()
	var id int64
	err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = q.Enqueue(ctx, tx, kind, args{n}, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func get(t *testing.T, d *db.DB, id int64) job.Info {
	t.Helper()
	i, err := job.Get(context.Background(), d.Read(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestLifeOfAJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		q := job.New(d, job.Config{})
		var got []int
		fail := errors.New("server says no")
		var next error
		q.Add(job.Worker{Kind: "mail", Handle: func(ctx context.Context, j *job.Job) error {
			var a args
			if err := j.Decode(&a); err != nil {
				return err
			}
			got = append(got, a.N)
			if err := j.SetProgress(ctx, "第 1 封"); err != nil {
				return err
			}
			return next
		}})

		boom := errors.New("rolled back")
		err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := q.Enqueue(ctx, tx, "mail", args{0}, job.Opts{}); err != nil {
				t.Error(err)
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		later := enqueue(t, d, q, "mail", 2, job.Opts{At: c.Now().Add(time.Hour)})
		id := enqueue(t, d, q, "mail", 1, job.Opts{By: 7})
		enqueue(t, d, q, "unknown", 3, job.Opts{})
		if n, err := q.RunDue(ctx); n != 1 || err != nil {
			t.Fatalf("%d jobs, %v", n, err)
		}
		if i := get(t, d, id); i.State != job.Completed || i.Progress != "第 1 封" || i.CreatedBy != 7 || i.FinishedAt.IsZero() || i.Attempt != 1 {
			t.Errorf("%+v", i)
		}
		if i := get(t, d, later); i.State != job.Available {
			t.Errorf("before its time: %+v", i)
		}
		c.Advance(time.Hour)
		next = fail
		for attempt := 1; attempt <= 10; attempt++ {
			n, err := q.RunDue(ctx)
			if n != 1 || !errors.Is(err, fail) {
				t.Fatalf("attempt %d: %d jobs, %v", attempt, n, err)
			}
			i := get(t, d, later)
			if i.Attempt != attempt || i.LastError != fail.Error() {
				t.Fatalf("attempt %d: %+v", attempt, i)
			}
			if attempt == 10 {
				if i.State != job.Discarded {
					t.Errorf("after the last attempt: %+v", i)
				}
				break
			}
			wait := i.ScheduledAt.Sub(c.Now())
			if want := min(10*time.Second<<(attempt-1), 6*time.Hour); wait < want || wait > want*5/4 {
				t.Errorf("attempt %d waits %v, want %v to a quarter more", attempt, wait, want)
			}
			c.Advance(wait)
		}
		if n, err := q.RunDue(ctx); n != 0 || err != nil {
			t.Errorf("a discarded job ran: %d, %v", n, err)
		}
		next = nil
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Retry(ctx, tx, later) }); err != nil {
			t.Fatal(err)
		}
		if n, err := q.RunDue(ctx); n != 1 || err != nil {
			t.Errorf("retried: %d, %v", n, err)
		}
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Cancel(ctx, tx, later) }); !fault.Is(err, fault.Conflict) {
			t.Errorf("cancel of a completed job: %v", err)
		}
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Cancel(ctx, tx, 999) }); !fault.Is(err, fault.NotFound) {
			t.Errorf("cancel of no job: %v", err)
		}
		if list, err := job.List(ctx, d.Read(), job.Filter{Kind: "mail", State: job.Completed}); err != nil || len(list) != 2 || list[0].ID != id {
			t.Errorf("list: %+v, %v", list, err)
		}
		c.Advance(8 * 24 * time.Hour)
		if err := q.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if list, err := job.List(ctx, d.Read(), job.Filter{}); err != nil || len(list) != 1 || list[0].Kind != "unknown" {
			t.Errorf("after pruning: %+v, %v", list, err)
		}
		if len(got) != 12 {
			t.Errorf("worker was called %d times: %v", len(got), got)
		}
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		q := job.New(d, job.Config{})
		bad := errors.New("no such address")
		for kind, f := range map[string]func(ctx context.Context, j *job.Job) error{
			"discard": func(context.Context, *job.Job) error { return job.Discard(bad) },
			"snooze":  func(context.Context, *job.Job) error { return job.Snooze(time.Minute) },
			"panic":   func(context.Context, *job.Job) error { panic("坏了") },
			"in tx": func(ctx context.Context, j *job.Job) error {
				return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return j.CompleteIn(ctx, tx) })
			},
			"in rolled back tx": func(ctx context.Context, j *job.Job) error {
				return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
					if err := j.CompleteIn(ctx, tx); err != nil {
						return err
					}
					return bad
				})
			},
		} {
			q.Add(job.Worker{Kind: kind, Handle: f})
		}
		ids := map[string]int64{}
		for _, k := range q.Kinds() {
			ids[k] = enqueue(t, d, q, k, 0, job.Opts{})
		}
		if n, err := q.RunDue(ctx); n != 5 || !errors.Is(err, bad) {
			t.Errorf("%d, %v", n, err)
		}
		for kind, want := range map[string]struct {
			state   job.State
			attempt int
			text    string
		}{
			"discard":           {job.Discarded, 1, "no such address"},
			"snooze":            {job.Available, 0, ""},
			"panic":             {job.Available, 1, "坏了"},
			"in tx":             {job.Completed, 1, ""},
			"in rolled back tx": {job.Available, 1, "no such address"},
		} {
			i := get(t, d, ids[kind])
			if i.State != want.state || i.Attempt != want.attempt || !strings.Contains(i.LastError, want.text) {
				t.Errorf("%s: %+v", kind, i)
			}
		}
		if i := get(t, d, ids["snooze"]); i.ScheduledAt.Sub(c.Now()) != time.Minute {
			t.Errorf("snoozed: %+v", i)
		}
	})
}

func TestUniqueKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		q := job.New(d, job.Config{})
		q.Add(job.Worker{Kind: "report", Handle: func(context.Context, *job.Job) error { return nil }})
		one := enqueue(t, d, q, "report", 1, job.Opts{UniqueKey: "report/7"})
		if two := enqueue(t, d, q, "report", 2, job.Opts{UniqueKey: "report/7"}); two != one {
			t.Errorf("a second job %d beside %d", two, one)
		}
		if n, err := q.RunDue(context.Background()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if three := enqueue(t, d, q, "report", 3, job.Opts{UniqueKey: "report/7"}); three == one {
			t.Error("a finished job keeps its key")
		}
	})
}

// A node that dies in the middle: another takes the job up when the lease has
// run out, and the first, should it come back, can change nothing.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		started, goOn := make(chan struct{}), make(chan struct{})
		var late error
		first := job.New(d, job.Config{})
		first.Add(job.Worker{Kind: "x", Handle: func(ctx context.Context, j *job.Job) error {
			close(started)
			<-goOn
			late = j.SetProgress(ctx, "zombie")
			return nil
		}})
		second := job.New(d, job.Config{})
		second.Add(job.Worker{Kind: "x", Handle: func(ctx context.Context, j *job.Job) error { return j.SetProgress(ctx, "second") }})
		id := enqueue(t, d, first, "x", 1, job.Opts{})
		done := make(chan struct{})
		go func() { defer close(done); first.RunDue(ctx) }()
		<-started
		if n, err := second.RunDue(ctx); n != 0 || err != nil {
			t.Errorf("taken away from a living node: %d, %v", n, err)
		}
		// The first node hangs: the lease is made to end without its heartbeat.
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE jobs SET lease_until = $1`, tx.NowMicros())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n, err := second.RunDue(ctx); n != 1 || err != nil {
			t.Errorf("the second node: %d, %v", n, err)
		}
		close(goOn)
		<-done
		if !errors.Is(late, job.ErrLost) {
			t.Errorf("the first node wrote progress: %v", late)
		}
		if i := get(t, d, id); i.State != job.Completed || i.Progress != "second" || i.Attempt != 2 {
			t.Errorf("%+v", i)
		}
	})
}

// A job that kills its process every time ends.
func TestKiller(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		q := job.New(d, job.Config{})
		q.Add(job.Worker{Kind: "x", Handle: func(context.Context, *job.Job) error { return nil }})
		id := enqueue(t, d, q, "x", 1, job.Opts{})
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE jobs SET state = 'running', attempt = max_attempts, lease_until = $1`, tx.NowMicros()-1)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n, err := q.RunDue(ctx); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if i := get(t, d, id); i.State != job.Discarded || i.LastError == "" {
			t.Errorf("%+v", i)
		}
	})
}

func TestCancelRunning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		started := make(chan struct{})
		q := job.New(d, job.Config{})
		q.Add(job.Worker{Kind: "x", Handle: func(ctx context.Context, j *job.Job) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		}})
		id := enqueue(t, d, q, "x", 1, job.Opts{})
		done := make(chan struct{})
		go func() { defer close(done); q.RunDue(ctx) }()
		<-started
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Cancel(ctx, tx, id) }); err != nil {
			t.Fatal(err)
		}
		<-done
		if i := get(t, d, id); i.State != job.Cancelled {
			t.Errorf("%+v", i)
		}
	})
}

// Several nodes with several workers each do every job once, and stop.
func TestRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx, stop := context.WithCancel(context.Background())
		const jobs = 60
		var mu sync.Mutex
		times := map[int]int{}
		all := make(chan struct{})
		var queues []*job.Queue
		var wg sync.WaitGroup
		for range 3 {
			q := job.New(d, job.Config{Workers: 2})
			q.Add(job.Worker{Kind: "x", Handle: func(ctx context.Context, j *job.Job) error {
				var a args
				if err := j.Decode(&a); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				times[a.N]++
				if len(times) == jobs {
					select {
					case <-all:
					default:
						close(all)
					}
				}
				return nil
			}})
			queues = append(queues, q)
			wg.Add(1)
			go func() { defer wg.Done(); q.Run(ctx) }()
		}
		for i := range jobs {
			enqueue(t, d, queues[i%3], "x", i, job.Opts{})
		}
		<-all
		stop()
		wg.Wait()
		for n, k := range times {
			if k != 1 {
				t.Errorf("job %d ran %d times", n, k)
			}
		}
		list, err := job.List(context.Background(), d.Read(), job.Filter{State: job.Completed, Limit: 100})
		if err != nil || len(list) != jobs {
			t.Errorf("%d completed, %v", len(list), err)
		}
	})
}

// A node that stops gives back what does not finish in time, uncounted.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx, stop := context.WithCancel(context.Background())
		started := make(chan struct{})
		q := job.New(d, job.Config{Lease: time.Hour})
		q.Add(job.Worker{Kind: "x", Handle: func(ctx context.Context, j *job.Job) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		}})
		id := enqueue(t, d, q, "x", 1, job.Opts{})
		done := make(chan struct{})
		go func() { defer close(done); q.Run(ctx) }()
		<-started
		stop()
		for stopped := false; !stopped; {
			select {
			case <-done:
				stopped = true
			default:
				c.Advance(time.Second)
			}
		}
		if i := get(t, d, id); i.State != job.Available || i.Attempt != 0 {
			t.Errorf("%+v", i)
		}
	})
}

func TestLease(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		a, b := job.NewLeases(d), job.NewLeases(d)
		hold := func(l *job.Leases) (int64, bool) {
			t.Helper()
			f, ok, err := l.Hold(ctx, "sweep", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return f, ok
		}
		f1, ok := hold(a)
		if !ok {
			t.Fatal("a free lease was refused")
		}
		if _, ok := hold(b); ok {
			t.Error("two holders")
		}
		c.Advance(50 * time.Second)
		if f, ok := hold(a); !ok || f != f1 {
			t.Errorf("extended: %d %v, had %d", f, ok, f1)
		}
		c.Advance(50 * time.Second)
		if _, ok := hold(b); ok {
			t.Error("an extended lease was taken")
		}
		c.Advance(10 * time.Second)
		f2, ok := hold(b)
		if !ok || f2 <= f1 {
			t.Errorf("after it ran out: %d %v", f2, ok)
		}
		if _, ok := hold(a); ok {
			t.Error("the former holder still holds it")
		}
		check := func(f int64) error {
			return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return a.Check(ctx, tx, "sweep", f) })
		}
		if err := check(f1); !errors.Is(err, job.ErrLost) {
			t.Errorf("old fence: %v", err)
		}
		if err := check(f2); err != nil {
			t.Errorf("new fence: %v", err)
		}
		if err := b.Release(ctx, "sweep"); err != nil {
			t.Fatal(err)
		}
		if f3, ok := hold(a); !ok || f3 <= f2 {
			t.Errorf("after release: %d %v", f3, ok)
		}
	})
}

func TestDuties(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		var n [2]atomic.Int64
		var nodes [2]*job.Duties
		for i := range nodes {
			nodes[i] = job.NewDuties(d, job.NewLeases(d))
			nodes[i].Every("second", time.Second, func(context.Context) error { n[i].Add(1); return nil })
			nodes[i].Every("broken", time.Hour, func(context.Context) error { panic("坏了") })
		}
		if err := nodes[0].Tick(ctx); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("a panic was lost: %v", err)
		}
		for range 3 {
			c.Advance(time.Second)
			for _, u := range nodes {
				if err := u.Tick(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n[0].Load() != 4 || n[1].Load() != 0 {
			t.Errorf("done %d and %d times", n[0].Load(), n[1].Load())
		}
		run, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); nodes[1].Run(run) }()
		for n[1].Load() < 3 {
			c.Advance(time.Second)
		}
		stop()
		<-done
		c.Advance(time.Second)
		nodes[0].Tick(ctx) // the broken duty may be due again
		if n[0].Load() != 5 {
			t.Errorf("after the other node stopped: %d", n[0].Load())
		}
	})
}

// What was to be done at once is done at once, also when the machine's clock has
// been set back meanwhile.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		q := job.New(d, job.Config{})
		q.Add(job.Worker{Kind: "mail", Handle: func(context.Context, *job.Job) error { return nil }})
		enqueue(t, d, q, "mail", 1, job.Opts{})
		c.Set(c.Now().Add(-time.Hour))
		if n, err := q.RunDue(context.Background()); n != 1 || err != nil {
			t.Errorf("%d jobs run, %v", n, err)
		}
	})
}

// A worker that slept through its lease, and a node whose duties another has taken
// over, store nothing of what they do afterwards.
func TestStaleLease(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		note := func(ctx context.Context, name string) error {
			return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, name)
				return err
			})
		}
		other := job.New(d, job.Config{})
		other.Add(job.Worker{Kind: "mail", Handle: func(ctx context.Context, j *job.Job) error { return note(ctx, "taken over") }})
		q := job.New(d, job.Config{})
		var late error
		q.Add(job.Worker{Kind: "mail", Handle: func(ctx context.Context, j *job.Job) error {
			if err := note(ctx, "before"); err != nil {
				return err
			}
			if err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error { // stopped, with all its heartbeats
				_, err := tx.Exec(ctx, `UPDATE jobs SET lease_until = 1 WHERE id = $1`, j.ID)
				return err
			}); err != nil {
				t.Error(err)
			}
			if n, err := other.RunDue(context.Background()); n != 1 || err != nil {
				t.Errorf("%d jobs taken over, %v", n, err)
			}
			late = note(context.WithoutCancel(ctx), "stale")
			return late
		}})
		id := enqueue(t, d, q, "mail", 1, job.Opts{})
		if _, err := q.RunDue(ctx); err != nil && !errors.Is(err, job.ErrLost) {
			t.Error(err)
		}
		if !errors.Is(late, job.ErrLost) {
			t.Errorf("a stale worker writes: %v", late)
		}
		if i := get(t, d, id); i.State != job.Completed || i.Attempt != 2 {
			t.Errorf("%+v", i)
		}

		one, two := job.NewDuties(d, job.NewLeases(d)), job.NewDuties(d, job.NewLeases(d))
		one.Every("x", time.Minute, func(ctx context.Context) error {
			c.Advance(2 * time.Minute)
			if err := two.Tick(context.Background()); err != nil {
				t.Error(err)
			}
			late = note(ctx, "stale duty")
			return nil
		})
		two.Every("x", time.Minute, func(ctx context.Context) error { return note(ctx, "duty") })
		if err := one.Tick(ctx); err != nil {
			t.Error(err)
		}
		if !errors.Is(late, job.ErrLost) {
			t.Errorf("a stale duty writes: %v", late)
		}
		var names string
		rows, err := d.Read().Query(ctx, `SELECT name FROM counters WHERE name IN ('before', 'taken over', 'stale', 'duty', 'stale duty') ORDER BY name`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			names += s + ";"
		}
		if names != "before;duty;taken over;" {
			t.Error(names)
		}
	})
}
