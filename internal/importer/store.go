package importer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// State of an import; named importer.state.<state>.
type State string

const (
	Draft    State = "draft"    // uploaded; its columns are being looked at
	Checking State = "checking" // read as a trial
	Checked  State = "checked"  // read; it may be started
	Running  State = "running"
	Done     State = "finished"
	Broken   State = "failed" // the table could not be read to its end
	Stopped  State = "cancelled"
)

// Busy reports whether something is going on.
func (s State) Busy() bool { return s == Checking || s == Running }

// Import is one table on its way in.
type Import struct {
	ID            int64
	Kind          Kind
	State         State
	Name          string // of the file
	Size          int64
	FileID        int64 // 0: on the command line, or removed meanwhile
	ResultID      int64 // file with the outcome of each row; 0: none
	Setup         Setup
	Counts        Counts
	Line          int // last line done
	JobID         int64
	Failure       []Reason
	CreatedBy     int64
	CreatedByName string
	DepartmentID  int64
	CreatedAt     time.Time
	UpdatedAt     time.Time
	FinishedAt    time.Time
}

const importColumns = `i.id, i.kind, i.state, i.name, i.size, i.file_id, i.result_id, i.setup, i.counts, i.line, i.job_id, i.failure,
	i.created_by, i.created_by_name, i.department_id, i.created_at, i.updated_at, i.finished_at`

func scanImport(row interface{ Scan(...any) error }) (i Import, err error) {
	var setup, counts, failure string
	var created, updated, finished int64
	err = row.Scan(&i.ID, (*string)(&i.Kind), (*string)(&i.State), &i.Name, &i.Size, &i.FileID, &i.ResultID, &setup, &counts, &i.Line, &i.JobID, &failure,
		&i.CreatedBy, &i.CreatedByName, &i.DepartmentID, &created, &updated, &finished)
	if err != nil {
		return i, err
	}
	i.CreatedAt, i.UpdatedAt, i.FinishedAt = db.FromMicros(created), db.FromMicros(updated), db.FromMicros(finished)
	err = errors.Join(json.Unmarshal([]byte(setup), &i.Setup), json.Unmarshal([]byte(counts), &i.Counts))
	if failure != "" {
		err = errors.Join(err, json.Unmarshal([]byte(failure), &i.Failure))
	}
	return i, err
}

func text(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("importer: %w", err)
	}
	return string(b), nil
}

func insert(ctx context.Context, a *action.Action, i *Import) error {
	setup, err := text(i.Setup)
	if err != nil {
		return err
	}
	if a.Actor.Kind == authz.User {
		i.CreatedBy = a.Actor.ID
	}
	i.CreatedByName, i.DepartmentID = a.Actor.Name, a.Actor.DepartmentID
	err = a.QueryRow(ctx, `
		INSERT INTO imports (kind, state, name, size, file_id, setup, created_by, created_by_name, department_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		string(i.Kind), string(i.State), i.Name, i.Size, i.FileID, setup, i.CreatedBy, i.CreatedByName, i.DepartmentID, a.NowMicros(), a.NowMicros()).Scan(&i.ID)
	if err != nil {
		return fmt.Errorf("importer: insert: %w", err)
	}
	return nil
}

func notFound() error { return fault.New(fault.NotFound, "importer.not_found") }

// View is the scope in which actor sees imports.
func View(actor authz.Actor) authz.Scope { return authz.For(actor, Perm) }

func load(ctx context.Context, q db.Querier, sc authz.Scope, id int64, lock string) (Import, error) {
	var a db.Args
	where := "i.id = " + a.Add(id) + " AND " + sc.Where(&a, scopeColumns)
	i, err := scanImport(q.QueryRow(ctx, `SELECT `+importColumns+` FROM imports i WHERE `+where+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return i, notFound()
	}
	if err != nil {
		return i, fmt.Errorf("importer: load %d: %w", id, err)
	}
	return i, nil
}

// Get returns an import in scope, else NotFound.
func (s *Service) Get(ctx context.Context, sc authz.Scope, id int64) (Import, error) {
	return load(ctx, s.db().Read(), sc, id, "")
}

// List returns imports in scope, the newest first, older than before (0: all).
func (s *Service) List(ctx context.Context, sc authz.Scope, before int64, limit int) ([]Import, error) {
	var a db.Args
	where := sc.Where(&a, scopeColumns)
	if before > 0 {
		where += " AND i.id < " + a.Add(before)
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+importColumns+` FROM imports i WHERE `+where+` ORDER BY i.id DESC LIMIT `+a.Add(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("importer: list: %w", err)
	}
	defer rows.Close()
	var out []Import
	for rows.Next() {
		i, err := scanImport(rows)
		if err != nil {
			return nil, fmt.Errorf("importer: list: %w", err)
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// Problems returns at most limit rows behind line that were not simply taken in.
func (s *Service) Problems(ctx context.Context, id int64, line, limit int) ([]Line, error) {
	rows, err := s.db().Read().Query(ctx, `SELECT line, outcome, reasons FROM import_lines WHERE import_id = $1 AND line > $2 ORDER BY line LIMIT $3`, id, line, limit)
	if err != nil {
		return nil, fmt.Errorf("importer: lines of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Line
	for rows.Next() {
		var l Line
		var reasons string
		if err := rows.Scan(&l.Line, (*string)(&l.Result), &reasons); err != nil {
			return nil, fmt.Errorf("importer: lines of %d: %w", id, err)
		}
		if err := json.Unmarshal([]byte(reasons), &l.Reasons); err != nil {
			return nil, fmt.Errorf("importer: line %d of %d: %w", l.Line, id, err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// problems returns what became of a line, for lines asked for in rising order.
func (s *Service) problems(ctx context.Context, id int64) func(line int) (Line, error) {
	const page = 1000
	var held []Line
	last, end := 0, false
	return func(line int) (Line, error) {
		for {
			for len(held) > 0 && held[0].Line < line {
				held = held[1:]
			}
			if len(held) > 0 {
				if held[0].Line == line {
					return held[0], nil
				}
				return Line{}, nil
			}
			if end {
				return Line{}, nil
			}
			next, err := s.Problems(ctx, id, last, page)
			if err != nil {
				return Line{}, err
			}
			if end = len(next) < page; len(next) > 0 {
				last = next[len(next)-1].Line
			}
			held = next
		}
	}
}

func insertLines(ctx context.Context, tx *db.Tx, id int64, lines []Line) error {
	var values []any
	for _, l := range lines {
		if l.Result == Imported {
			continue
		}
		reasons, err := text(l.Reasons)
		if err != nil {
			return err
		}
		values = append(values, id, l.Line, string(l.Result), reasons)
	}
	if err := tx.InsertMany(ctx, `INSERT INTO import_lines (import_id, line, outcome, reasons)`, "", 4, values); err != nil {
		return fmt.Errorf("importer: lines of %d: %w", id, err)
	}
	return nil
}

// errElsewhere says that somebody else has moved the import on, or ended it.
var errElsewhere = errors.New("importer: no longer ours")

// advance writes how far an import in state is.
func advance(ctx context.Context, tx *db.Tx, i *Import, state State, line int, c Counts) error {
	counts, err := text(c)
	if err != nil {
		return err
	}
	res, err := tx.Exec(ctx, `UPDATE imports SET line = $1, counts = $2, updated_at = $3 WHERE id = $4 AND line = $5 AND state = $6`,
		line, counts, tx.NowMicros(), i.ID, i.Line, string(state))
	if err != nil {
		return fmt.Errorf("importer: advance %d: %w", i.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errElsewhere
	}
	return nil
}

// take writes one batch with how far the import is, in one transaction.
func (s *Service) take(ctx context.Context, actor authz.Actor, i *Import, b *batch) error {
	for n := range b.customers {
		b.customers[n].ImportID = i.ID
	}
	for try := 1; ; try++ {
		var c Counts
		err := s.run.Do(ctx, actor, "importer.batch", func(ctx context.Context, a *action.Action) error {
			if err := b.write(ctx, s, a); err != nil {
				return err
			}
			c = i.Counts
			c.add(b.lines)
			if err := insertLines(ctx, a.Tx, i.ID, b.lines); err != nil {
				return err
			}
			return advance(ctx, a.Tx, i, Running, b.to, c)
		})
		if db.IsUnique(err, "") && try < 4 {
			continue // somebody registered the same at this moment; the next try sees it
		}
		if err != nil {
			return err
		}
		was := i.Counts.Rows
		i.Counts, i.Line = c, b.to
		return s.lookAgain(ctx, i.Kind, was, c.Rows)
	}
}

// lookAgain renews what the database knows of its tables after 500, 2,000, 8,000
// … rows.
func (s *Service) lookAgain(ctx context.Context, k Kind, was, now int) error {
	step := batchRows
	for step*4 <= now {
		step *= 4
	}
	if was >= step {
		return nil
	}
	if k == Customers {
		return s.db().Analyze(ctx, "customers", "contacts", "departments")
	}
	return s.db().Analyze(ctx, "tickets", "customers", "contacts", "departments")
}

// end writes how a running import came out; cause nil: it is finished.
func (s *Service) end(ctx context.Context, actor authz.Actor, i *Import, cause error) error {
	if errors.Is(cause, errElsewhere) {
		return nil
	}
	return s.run.Do(ctx, actor, "importer.end", func(ctx context.Context, a *action.Action) error { return s.endIn(ctx, a, i, cause) })
}

func (s *Service) endIn(ctx context.Context, a *action.Action, i *Import, cause error) error {
	state, kind := Done, Finished
	var failure []Reason
	switch {
	case errors.Is(cause, context.Canceled):
		state, kind = Stopped, Cancelled
	case cause != nil:
		state, kind = Broken, Failed
		if failure = reasonsOf(cause); failure == nil {
			failure = []Reason{because("importer.failure")}
		}
	}
	if i.Kind == Customers {
		if err := s.customers.AskImportedLevels(ctx, a, i.ID, i.CreatedBy); err != nil {
			return err
		}
	}
	counts, err := text(i.Counts)
	if err != nil {
		return err
	}
	why, err := text(failure)
	if err != nil {
		return err
	}
	_, err = a.Exec(ctx, `UPDATE imports SET state = $1, counts = $2, failure = $3, result_id = $4, finished_at = $5, updated_at = $6 WHERE id = $7`,
		string(state), counts, why, i.ResultID, a.NowMicros(), a.NowMicros(), i.ID)
	if err != nil {
		return fmt.Errorf("importer: end %d: %w", i.ID, err)
	}
	i.State, i.Failure, i.FinishedAt = state, failure, a.Now
	a.Record(event.Event{Kind: kind, Subject: Subject(i.ID), Data: Fact{Name: i.Name, Kind: i.Kind, Counts: i.Counts}})
	return nil
}
