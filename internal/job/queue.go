package job

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Worker does the jobs of one kind. Handle may be called again for a job it
// has done before, when the node died before that was written down.
type Worker struct {
	Kind   string
	Handle func(ctx context.Context, j *Job) error
}

// Job is a job being done.
type Job struct {
	Info
	q     *Queue
	fence int64
	done  bool
}

// Config of a queue; zero fields take the defaults.
type Config struct {
	Workers int           // jobs at a time on this node; 4
	Lease   time.Duration // a silent worker is taken for dead after it; 1 min
	Poll    time.Duration // how soon jobs of other processes are noticed; 2 s
	Grace   time.Duration // how long running jobs may go on when the node stops; 10 s
}

// Queue takes up jobs.
type Queue struct {
	d       *db.DB
	c       Config
	workers map[string]Worker
	kinds   []string
	wake    chan struct{}

	mu      sync.Mutex
	running map[int64]context.CancelCauseFunc
}

// New returns a queue on d.
func New(d *db.DB, c Config) *Queue {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	def(&c.Lease, time.Minute)
	def(&c.Poll, 2*time.Second)
	def(&c.Grace, 10*time.Second)
	return &Queue{d: d, c: c, workers: map[string]Worker{}, wake: make(chan struct{}, 1), running: map[int64]context.CancelCauseFunc{}}
}

// Add registers a worker; before Run. Jobs of kinds without a worker wait for
// a node that has one.
func (q *Queue) Add(w Worker) {
	if _, twice := q.workers[w.Kind]; twice {
		panic("job: worker " + w.Kind + " twice")
	}
	q.workers[w.Kind] = w
	q.kinds = append(q.kinds, w.Kind)
}

// Kinds lists the kinds there are workers for, for the guard tests.
func (q *Queue) Kinds() []string { return q.kinds }

// Wake makes Run look for jobs now.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

var (
	errCancelled = errors.New("job: cancelled")
	errStopping  = errors.New("job: the node stops")
	// ErrLost says that the lease ran out, or the job was cancelled: what is
	// done now no longer counts.
	ErrLost = errors.New("job: no longer ours")
)

type discard struct{ err error }

func (d discard) Error() string { return d.err.Error() }
func (d discard) Unwrap() error { return d.err }

// Discard wraps an error that another attempt would meet again.
func Discard(err error) error { return discard{err} }

type snooze time.Duration

func (s snooze) Error() string { return "job: later, in " + time.Duration(s).String() }

// Snooze, returned by a worker, puts the job off by d without counting the
// attempt.
func Snooze(d time.Duration) error { return snooze(d) }

// StateKey is the locale key of the state's name.
func (i Info) StateKey() i18n.Key { return i18n.Key("job.state." + string(i.State)) }

// SetProgress tells those who watch how far the job is.
func (j *Job) SetProgress(ctx context.Context, text string) error {
	return j.update(ctx, `progress = $3, lease_until = $4`, text, func(tx *db.Tx) int64 { return db.Micros(tx.Now.Add(j.q.c.Lease)) })
}

// CompleteIn marks the job done inside tx, together with its effect: if the
// node dies, both are there or neither. It fails, and with it tx must, when the
// job is no longer ours. Handle then returns nil.
func (j *Job) CompleteIn(ctx context.Context, tx *db.Tx) error {
	n, err := affected(tx.Exec(ctx, `
		UPDATE jobs SET state = 'completed', unique_key = NULL, finished_at = $1, last_error = ''
		WHERE id = $2 AND fence = $3 AND state = 'running'`, tx.NowMicros(), j.ID, j.fence))
	if err != nil {
		return fmt.Errorf("job: complete %d: %w", j.ID, err)
	}
	if n == 0 {
		return ErrLost
	}
	tx.AfterCommit(func() { j.done = true })
	return nil
}

// ours fails unless nobody else has taken the job up since: what a worker writes
// after it slept through its lease is not stored.
func (j *Job) ours(ctx context.Context, tx *db.Tx) error {
	var fence int64
	err := tx.QueryRow(ctx, `SELECT fence FROM jobs WHERE id = $1`+tx.ForShare(), j.ID).Scan(&fence)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrLost
	case err != nil:
		return fmt.Errorf("job: fence of %d: %w", j.ID, err)
	case fence != j.fence:
		return ErrLost
	}
	return nil
}

func (j *Job) update(ctx context.Context, set string, text string, at func(tx *db.Tx) int64) error {
	return j.q.d.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		n, err := affected(tx.Exec(ctx, `UPDATE jobs SET `+set+` WHERE id = $1 AND fence = $2 AND state = 'running'`, j.ID, j.fence, text, at(tx)))
		if err != nil {
			return fmt.Errorf("job: update %d: %w", j.ID, err)
		}
		if n == 0 {
			return ErrLost
		}
		return nil
	})
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Run does jobs until ctx ends; then it takes up no more, lets those that run
// finish for the grace period, and gives the rest back.
func (q *Queue) Run(ctx context.Context) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	free := make(chan struct{}, q.c.Workers)
	var wg sync.WaitGroup
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case free <- struct{}{}:
		}
		j, next, err := q.claim(ctx)
		if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			slog.Error("job: claim", "err", err)
		}
		if j == nil {
			<-free
			wait := q.c.Poll
			if err == nil && !next.IsZero() {
				wait = min(wait, max(next.Sub(q.d.Clock().Now()), time.Millisecond))
			}
			select {
			case <-ctx.Done():
			case <-q.wake:
			case <-q.d.Clock().After(wait):
			}
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-free }()
			if err := q.do(work, j); err != nil {
				slog.Warn("job: failed", "id", j.ID, "kind", j.Kind, "attempt", j.Attempt, "err", err)
			}
			q.Wake()
		}()
	}
	idle := make(chan struct{})
	go func() { wg.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-q.d.Clock().After(q.c.Grace):
		cancel(errStopping)
		<-idle
	}
}

// RunDue does every job that is due, one after the other, and returns: tests
// call it in place of Run. n counts them; err joins what they failed with.
func (q *Queue) RunDue(ctx context.Context) (n int, err error) {
	for {
		j, _, cerr := q.claim(ctx)
		if cerr != nil || j == nil {
			return n, errors.Join(err, cerr)
		}
		n++
		if jerr := q.do(ctx, j); jerr != nil {
			err = errors.Join(err, fmt.Errorf("job: %s %d: %w", j.Kind, j.ID, jerr))
		}
	}
}

// claim takes the job that has been due longest. When there is none it tells
// when the next one is, as far as known.
func (q *Queue) claim(ctx context.Context) (*Job, time.Time, error) {
	if len(q.kinds) == 0 {
		return nil, time.Time{}, nil
	}
	// A look costs microseconds and no lock; only what is found is written.
	now := q.d.Clock().Now()
	var a db.Args
	var next int64
	err := q.d.Read().QueryRow(ctx, `
		SELECT COALESCE(MIN(at), 0) FROM (
			SELECT at FROM (SELECT scheduled_at AS at FROM jobs WHERE state = 'available' AND kind IN (`+q.in(&a)+`) ORDER BY scheduled_at, id LIMIT 1) d
			UNION ALL SELECT at FROM (SELECT lease_until AS at FROM jobs WHERE state = 'running' AND kind IN (`+q.in(&a)+`) ORDER BY lease_until LIMIT 1) r) x`, a.Values...).Scan(&next)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("job: look for jobs: %w", err)
	}
	if next == 0 || next > db.Micros(now) {
		return nil, db.FromMicros(next), nil
	}
	var j *Job
	err = q.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		j = nil
		if err := q.bury(ctx, tx); err != nil {
			return err
		}
		got := &Job{q: q}
		// Two statements, so that each walks its own small index.
		id, err := q.first(ctx, tx, `state = 'running' AND lease_until <= $1`, `lease_until`)
		if err == nil && id == 0 {
			id, err = q.first(ctx, tx, `state = 'available' AND scheduled_at <= $1`, `scheduled_at, id`)
		}
		if err != nil || id == 0 {
			return err
		}
		err = tx.QueryRow(ctx, `
			UPDATE jobs SET state = 'running', attempt = attempt + 1, fence = fence + 1, lease_until = $1
			WHERE id = $2 RETURNING fence`, db.Micros(tx.Now.Add(q.c.Lease)), id).Scan(&got.fence)
		if err != nil {
			return fmt.Errorf("job: claim %d: %w", id, err)
		}
		if got.Info, err = Get(ctx, tx, id); err != nil {
			return err
		}
		j = got
		return nil
	})
	return j, time.Time{}, err
}

// first locks the first job that where (with $1 for now) selects; 0: none.
func (q *Queue) first(ctx context.Context, tx *db.Tx, where, order string) (id int64, err error) {
	var a db.Args
	a.Add(tx.NowMicros())
	err = tx.QueryRow(ctx, `SELECT id FROM jobs WHERE `+where+` AND kind IN (`+q.in(&a)+`) ORDER BY `+order+` LIMIT 1`+tx.Dialect().SkipLocked(), a.Values...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("job: claim: %w", err)
	}
	return id, nil
}

// bury discards jobs that took their last worker with them, so that a job that
// kills the process does not do it for ever.
func (q *Queue) bury(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `
		UPDATE jobs SET state = 'discarded', unique_key = NULL, finished_at = $1, last_error = 'the worker died: ' || last_error
		WHERE state = 'running' AND lease_until <= $2 AND attempt >= max_attempts`, tx.NowMicros(), tx.NowMicros())
	if err != nil {
		return fmt.Errorf("job: discard the dead: %w", err)
	}
	return nil
}

func (q *Queue) in(a *db.Args) string {
	ps := make([]string, len(q.kinds))
	for i, k := range q.kinds {
		ps[i] = a.Add(k)
	}
	return strings.Join(ps, ", ")
}

// do runs the worker and writes down how it went. It returns what the worker
// failed with.
func (q *Queue) do(ctx context.Context, j *Job) error {
	work, cancel := context.WithCancelCause(db.Fenced(ctx, j.ours))
	q.mu.Lock()
	q.running[j.ID] = cancel
	q.mu.Unlock()
	beat := make(chan struct{})
	go func() { defer close(beat); q.heartbeat(work, j, cancel) }()
	err := call(work, q.workers[j.Kind], j)
	cause := context.Cause(work)
	cancel(nil)
	<-beat
	q.mu.Lock()
	delete(q.running, j.ID)
	q.mu.Unlock()
	if j.done {
		return nil
	}
	if errors.Is(cause, errCancelled) || errors.Is(cause, ErrLost) {
		return err // the row is not ours
	}
	stopped := err != nil && cause != nil
	if werr := q.settle(context.WithoutCancel(ctx), j, err, stopped); werr != nil && !errors.Is(werr, ErrLost) {
		return errors.Join(err, werr)
	}
	if errors.As(err, new(snooze)) || stopped {
		return nil
	}
	return err
}

func call(ctx context.Context, w Worker, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("job: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.Handle(ctx, j)
}

// heartbeat extends the lease while the worker works, and stops the worker
// when the job is not ours any more.
func (q *Queue) heartbeat(ctx context.Context, j *Job, cancel context.CancelCauseFunc) {
	until := q.d.Clock().Now().Add(q.c.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.d.Clock().After(q.c.Lease / 3):
		}
		if ctx.Err() != nil {
			return
		}
		now := q.d.Clock().Now()
		err := q.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			n, err := affected(tx.Exec(ctx, `UPDATE jobs SET lease_until = $1 WHERE id = $2 AND fence = $3 AND state = 'running'`, db.Micros(tx.Now.Add(q.c.Lease)), j.ID, j.fence))
			if err == nil && n == 0 {
				err = ErrLost
			}
			return err
		})
		switch {
		case err == nil:
			until = now.Add(q.c.Lease)
		case errors.Is(err, ErrLost):
			if !j.done {
				cancel(ErrLost)
			}
			return
		case now.After(until): // the store is away and another node may have it
			cancel(ErrLost)
			return
		}
	}
}

func (q *Queue) stopRunning(id int64, cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if cancel := q.running[id]; cancel != nil {
		cancel(cause)
	}
}

// maxError bounds what is kept of an error, in characters.
const maxError = 2000

func (q *Queue) settle(ctx context.Context, j *Job, err error, stopped bool) error {
	return q.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		state, attempt, at, text, finished := Completed, j.Attempt, db.Micros(j.ScheduledAt), "", tx.NowMicros()
		var later snooze
		switch {
		case err == nil:
		case stopped:
			state, attempt, at, finished, text = Available, attempt-1, db.Micros(atOnce), 0, j.LastError
		case errors.As(err, &later):
			state, attempt, at, finished, text = Available, attempt-1, db.Micros(tx.Now.Add(time.Duration(later))), 0, j.LastError
		case errors.As(err, new(discard)) || j.Attempt >= j.MaxAttempts:
			state, text = Discarded, shorten(err.Error())
		default:
			state, at, finished, text = Available, db.Micros(tx.Now.Add(Backoff(j.Attempt, j.ID, tx.Now))), 0, shorten(err.Error())
		}
		set := `state = $1, attempt = $2, scheduled_at = $3, last_error = $4, finished_at = $5, lease_until = 0`
		if finished != 0 {
			set += `, unique_key = NULL`
		}
		n, err := affected(tx.Exec(ctx, `UPDATE jobs SET `+set+` WHERE id = $6 AND fence = $7 AND state = 'running'`,
			string(state), attempt, at, text, finished, j.ID, j.fence))
		if err != nil {
			return fmt.Errorf("job: settle %d: %w", j.ID, err)
		}
		if n == 0 {
			return ErrLost
		}
		return nil
	})
}

func shorten(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "�")
	if r := []rune(s); len(r) > maxError {
		return string(r[:maxError]) + "…"
	}
	return s
}

const (
	backoffFirst = 10 * time.Second
	backoffMax   = 6 * time.Hour
)

// Backoff is how long a job waits after its nth failure: twice as long each
// time, plus up to a quarter, so that what failed together does not come back
// together. The chance in it comes from the job and the clock.
func Backoff(n int, id int64, now time.Time) time.Duration {
	d := backoffMax
	if n < 12 {
		d = min(d, backoffFirst<<max(n-1, 0))
	}
	var b [24]byte
	binary.BigEndian.PutUint64(b[0:], uint64(id))
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	binary.BigEndian.PutUint64(b[16:], uint64(now.UnixMicro()))
	h := fnv.New32a()
	h.Write(b[:])
	return d + time.Duration(float64(d)/4*float64(h.Sum32())/(1<<32))
}
