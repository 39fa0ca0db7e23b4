// Package job does work that must not be lost and need not be done at once:
// sending a mail, an export, an import. A job is a row, written in the
// transaction of whatever asks for it; some node takes it up under a lease.
//
// What always holds: a job whose transaction was rolled back never runs; a job
// that was committed runs at least once, on one node at a time, until it
// succeeds, is cancelled or has failed MaxAttempts times; then it is kept with
// its last error. A worker that lost its lease cannot change the row any more.
//
// The package also keeps the leases and the periodic duties of the program.
package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// State is where a job stands; the words are River's.
type State string

const (
	Available State = "available" // waits for its time or for a free worker
	Running   State = "running"
	Completed State = "completed"
	Discarded State = "discarded" // failed for good
	Cancelled State = "cancelled"
)

// Info is a job as it is stored.
type Info struct {
	ID          int64
	Kind        string
	Args        json.RawMessage
	State       State
	Attempt     int // how many times it was taken up
	MaxAttempts int
	ScheduledAt time.Time
	Progress    string // in the words of the worker
	LastError   string // for the operator
	CreatedBy   int64  // user; 0: the program
	CreatedAt   time.Time
	FinishedAt  time.Time // zero while it may still run
}

// Decode reads Args into v.
func (i Info) Decode(v any) error {
	if err := json.Unmarshal(i.Args, v); err != nil {
		return fmt.Errorf("job: arguments of %d (%s): %w", i.ID, i.Kind, err)
	}
	return nil
}

// Opts of Enqueue; the zero value runs the job as soon as possible.
type Opts struct {
	At          time.Time // not before; zero: at once
	UniqueKey   string    // at most one unfinished job has it
	MaxAttempts int       // 0: 10
	By          int64     // user who asked for it
}

const defaultAttempts = 10

// atOnce is due whatever the machine's clock is set to: work that was to be done
// at once does not wait because somebody set the clock back after it was asked
// for.
var atOnce = time.UnixMicro(1)

// Enqueue adds a job in tx and returns its id. While an unfinished job has the
// same UniqueKey nothing is added and the id of that job is returned.
func (q *Queue) Enqueue(ctx context.Context, tx *db.Tx, kind string, args any, o Opts) (int64, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return 0, fmt.Errorf("job: arguments of %s: %w", kind, err)
	}
	if o.At.IsZero() {
		o.At = atOnce
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = defaultAttempts
	}
	var key any
	if o.UniqueKey != "" {
		key = o.UniqueKey
	}
	var id int64
	err = tx.QueryRow(ctx, `
		INSERT INTO jobs (kind, args, unique_key, max_attempts, scheduled_at, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (unique_key) DO UPDATE SET unique_key = excluded.unique_key
		RETURNING id`, kind, string(raw), key, o.MaxAttempts, db.Micros(o.At), o.By, tx.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("job: enqueue %s: %w", kind, err)
	}
	tx.AfterCommit(q.Wake)
	return id, nil
}

// Cancel keeps a job from running; one that runs is told to stop and its
// outcome no longer counts. Conflict when it is over already.
func (q *Queue) Cancel(ctx context.Context, tx *db.Tx, id int64) error {
	var fence int64
	err := tx.QueryRow(ctx, `
		UPDATE jobs SET state = 'cancelled', unique_key = NULL, finished_at = $1
		WHERE id = $2 AND state IN ('available', 'running') RETURNING fence`, tx.NowMicros(), id).Scan(&fence)
	if errors.Is(err, sql.ErrNoRows) {
		return over(ctx, tx, id)
	}
	if err != nil {
		return fmt.Errorf("job: cancel %d: %w", id, err)
	}
	tx.AfterCommit(func() { q.stopRunning(id, errCancelled) })
	return nil
}

// Retry makes a discarded or cancelled job available again, now, with its
// attempts counted from zero.
func (q *Queue) Retry(ctx context.Context, tx *db.Tx, id int64) error {
	var same int64
	err := tx.QueryRow(ctx, `
		UPDATE jobs SET state = 'available', attempt = 0, scheduled_at = $1, finished_at = 0
		WHERE id = $2 AND state IN ('discarded', 'cancelled') RETURNING id`, db.Micros(atOnce), id).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return over(ctx, tx, id)
	}
	if err != nil {
		return fmt.Errorf("job: retry %d: %w", id, err)
	}
	tx.AfterCommit(q.Wake)
	return nil
}

func over(ctx context.Context, q db.Querier, id int64) error {
	i, err := Get(ctx, q, id)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "job.state_forbids", i.StateKey())
}

const columns = `id, kind, args, state, attempt, max_attempts, scheduled_at, progress, last_error, created_by, created_at, finished_at`

func scan(row interface{ Scan(...any) error }) (Info, error) {
	var i Info
	var args string
	var at, created, finished int64
	err := row.Scan(&i.ID, &i.Kind, &args, (*string)(&i.State), &i.Attempt, &i.MaxAttempts, &at, &i.Progress, &i.LastError, &i.CreatedBy, &created, &finished)
	i.Args, i.ScheduledAt, i.CreatedAt, i.FinishedAt = json.RawMessage(args), db.FromMicros(at), db.FromMicros(created), db.FromMicros(finished)
	return i, err
}

// Get returns one job, NotFound when there is none.
func Get(ctx context.Context, q db.Querier, id int64) (Info, error) {
	i, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM jobs WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Info{}, fault.New(fault.NotFound, "job.not_found")
	}
	if err != nil {
		return Info{}, fmt.Errorf("job: load %d: %w", id, err)
	}
	return i, nil
}

// Filter selects jobs; zero fields select all.
type Filter struct {
	Kind   string
	State  State
	By     int64
	Before int64 // keyset: ids below
	Limit  int   // 0: 50
}

// List returns jobs, newest first.
func List(ctx context.Context, q db.Querier, f Filter) ([]Info, error) {
	var a db.Args
	where := []string{"1 = 1"}
	if f.Kind != "" {
		where = append(where, "kind = "+a.Add(f.Kind))
	}
	if f.State != "" {
		where = append(where, "state = "+a.Add(string(f.State)))
	}
	if f.By != 0 {
		where = append(where, "created_by = "+a.Add(f.By))
	}
	if f.Before != 0 {
		where = append(where, "id < "+a.Add(f.Before))
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM jobs WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT `+a.Add(f.Limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("job: list: %w", err)
	}
	defer rows.Close()
	var out []Info
	for rows.Next() {
		i, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("job: list: %w", err)
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// How long finished jobs are kept: failures longer, somebody may have to look.
const (
	keepCompleted = 7 * 24 * time.Hour
	keepFailed    = 90 * 24 * time.Hour
)

// Prune removes jobs that finished long ago: a daily duty.
func (q *Queue) Prune(ctx context.Context) error {
	return q.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			DELETE FROM jobs WHERE state = 'completed' AND finished_at < $1
			OR state IN ('discarded', 'cancelled') AND finished_at < $2`,
			db.Micros(tx.Now.Add(-keepCompleted)), db.Micros(tx.Now.Add(-keepFailed)))
		if err != nil {
			return fmt.Errorf("job: prune: %w", err)
		}
		return nil
	})
}
