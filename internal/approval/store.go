package approval

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

const columns = `a.id, a.kind, a.subject_type, a.subject_id, a.title, a.department_id, a.reason, a.data, a.rule, a.state, a.requested_by, a.requested_by_name,
	a.requested_at, a.step, a.arrived_at, a.level, a.told, a.asked, a.remind_at, a.escalate_at, a.lapse_at, a.decided_at, a.version`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (r Request, err error) {
	var data, rule, told, asked string
	var since, arrived, remind, escalate, lapse, decided int64
	err = row.Scan(&r.ID, &r.Kind, &r.Subject.Type, &r.Subject.ID, &r.Title, &r.DepartmentID, &r.Reason, &data, &rule, &r.State, &r.RequestedBy, &r.RequestedByName,
		&since, &r.Step, &arrived, &r.Level, &told, &asked, &remind, &escalate, &lapse, &decided, &r.Version)
	if err != nil {
		return r, err
	}
	r.Data = json.RawMessage(data)
	if err := json.Unmarshal([]byte(rule), &r.Rule); err != nil {
		return r, fmt.Errorf("approval: rule of %d: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(told), &r.told); err != nil {
		return r, fmt.Errorf("approval: told of %d: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(asked), &r.asked); err != nil {
		return r, fmt.Errorf("approval: asked of %d: %w", r.ID, err)
	}
	r.RequestedAt, r.ArrivedAt, r.RemindAt, r.EscalateAt = db.FromMicros(since), db.FromMicros(arrived), db.FromMicros(remind), db.FromMicros(escalate)
	r.LapseAt, r.DecidedAt = db.FromMicros(lapse), db.FromMicros(decided)
	return r, nil
}

func notFound() error { return fault.New(fault.NotFound, "approval.not_found") }

// load reads one request; lock keeps others from deciding it meanwhile.
func load(ctx context.Context, q db.Querier, id int64, lock string) (Request, error) {
	r, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM approvals a WHERE a.id = $1`+lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, notFound()
	}
	if err != nil {
		return r, fmt.Errorf("approval: load %d: %w", id, err)
	}
	return r, nil
}

// list reads requests; tail is what follows WHERE.
func list(ctx context.Context, q db.Querier, tail string, args ...any) ([]Request, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM approvals a WHERE `+tail, args...)
	if err != nil {
		return nil, fmt.Errorf("approval: list: %w", err)
	}
	defer rows.Close()
	var out []Request
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("approval: list: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// stored returns whose turn it is, as written down.
func stored(ctx context.Context, q db.Querier, id int64) ([]int64, error) {
	m, err := storedOf(ctx, q, []int64{id})
	return m[id], err
}

func storedOf(ctx context.Context, q db.Querier, ids []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT approval_id, user_id FROM approval_waiting WHERE approval_id IN (`+in+`) ORDER BY approval_id, user_id`, args...)
		if err != nil {
			return fmt.Errorf("approval: waiting: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, user int64
			if err := rows.Scan(&id, &user); err != nil {
				return err
			}
			out[id] = append(out[id], user)
		}
		return rows.Err()
	})
	return out, err
}

func history(ctx context.Context, q db.Querier, id int64) ([]Entry, error) {
	rows, err := q.Query(ctx, `SELECT id, step, what, at, by_id, by_name, for_id, for_name, names, comment, took FROM approval_history WHERE approval_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("approval: history of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		var at, took int64
		if err := rows.Scan(&e.ID, &e.Step, &e.What, &at, &e.ByID, &e.ByName, &e.ForID, &e.ForName, &e.Names, &e.Comment, &took); err != nil {
			return nil, fmt.Errorf("approval: history of %d: %w", id, err)
		}
		e.At, e.Took = db.FromMicros(at), time.Duration(took)*time.Microsecond
		out = append(out, e)
	}
	return out, rows.Err()
}

// note writes a line of the history.
func note(ctx context.Context, a *action.Action, r Request, e Entry) error {
	_, err := a.Exec(ctx, `
		INSERT INTO approval_history (approval_id, step, what, at, by_id, by_name, for_id, for_name, names, comment, took)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		r.ID, r.Step, string(e.What), a.NowMicros(), e.ByID, e.ByName, e.ForID, e.ForName, e.Names, e.Comment, e.Took.Microseconds())
	if err != nil {
		return fmt.Errorf("approval: history of %d: %w", r.ID, err)
	}
	return nil
}

// setWaiting writes down whose turn it is.
func setWaiting(ctx context.Context, a *action.Action, id int64, users []int64) error {
	if _, err := a.Exec(ctx, `DELETE FROM approval_waiting WHERE approval_id = $1`, id); err != nil {
		return fmt.Errorf("approval: waiting of %d: %w", id, err)
	}
	for _, u := range users {
		if _, err := a.Exec(ctx, `INSERT INTO approval_waiting (approval_id, user_id) VALUES ($1, $2)`, id, u); err != nil {
			return fmt.Errorf("approval: waiting of %d: %w", id, err)
		}
	}
	return nil
}

// save writes where the request stands.
func save(ctx context.Context, a *action.Action, r *Request) error {
	told, err := json.Marshal(append([]int64{}, r.told...))
	if err != nil {
		return err
	}
	asked, err := json.Marshal(append([]int64{}, r.asked...))
	if err != nil {
		return err
	}
	var due int64
	if r.State == Pending {
		due = db.Micros(earliest(r.RemindAt, r.EscalateAt, r.LapseAt))
	}
	_, err = a.Exec(ctx, `
		UPDATE approvals
		SET    state = $1, step = $2, arrived_at = $3, level = $4, told = $5, asked = $6, remind_at = $7, escalate_at = $8, due_at = $9, decided_at = $10, version = version + 1
		WHERE  id = $11`,
		string(r.State), r.Step, db.Micros(r.ArrivedAt), r.Level, string(told), string(asked), db.Micros(r.RemindAt), db.Micros(r.EscalateAt), due, db.Micros(r.DecidedAt), r.ID)
	if err != nil {
		return fmt.Errorf("approval: save %d: %w", r.ID, err)
	}
	r.Version++
	return nil
}

func earliest(ts ...time.Time) (out time.Time) {
	for _, t := range ts {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}

func names(ws []Waiting) string {
	var out []string
	for _, w := range ws {
		out = append(out, w.Name)
	}
	return strings.Join(out, "、")
}
