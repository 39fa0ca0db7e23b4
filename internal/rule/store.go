package rule

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

const columns = `id, name, note, position, enabled, stop_after, occasion, conditions, expr, actions, off_reason, failures, fired, fired_at, demo, version, created_at, updated_at`

func scan(row interface{ Scan(...any) error }) (r Rule, err error) {
	var enabled, stop, demo int
	var fired, created, updated int64
	var when, conditions, acts string
	err = row.Scan(&r.ID, &r.Name, &r.Note, &r.Position, &enabled, &stop, &when, &conditions, &r.Expr, &acts, &r.OffReason, &r.failures, &r.Fired, &fired, &demo, &r.Version, &created, &updated)
	if err != nil {
		return r, err
	}
	r.Enabled, r.StopAfter, r.Demo, r.Expert = enabled == 1, stop == 1, demo == 1, conditions == ""
	r.FiredAt, r.CreatedAt, r.UpdatedAt = db.FromMicros(fired), db.FromMicros(created), db.FromMicros(updated)
	if err = errors.Join(decode(when, &r.When), decode(conditions, &r.If), decode(acts, &r.Then)); err != nil {
		err = fmt.Errorf("rule %d: %w", r.ID, err)
	}
	return r, err
}

func list(ctx context.Context, q db.Querier, where string, args ...any) ([]Rule, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM rules `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("rule: list: %w", err)
	}
	defer rows.Close()
	var out []Rule
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("rule: list: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func notFound() error { return fault.New(fault.NotFound, "rule.not_found") }

func get(ctx context.Context, q db.Querier, id int64, lock string) (Rule, error) {
	r, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM rules WHERE id = $1`+lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, notFound()
	}
	if err != nil {
		return r, fmt.Errorf("rule: load %d: %w", id, err)
	}
	return r, nil
}

func (r *Rule) texts() (when, conditions, acts string, err error) {
	w, err1 := json.Marshal(r.When)
	c, err2 := json.Marshal(r.If)
	a, err3 := json.Marshal(r.Then)
	if r.Expert {
		c = nil
	}
	return string(w), string(c), string(a), errors.Join(err1, err2, err3)
}

func insert(ctx context.Context, a *action.Action, r *Rule) error {
	when, conditions, acts, err := r.texts()
	if err != nil {
		return err
	}
	if err := a.QueryRow(ctx, `SELECT COALESCE(MAX(position), 0) + 1 FROM rules`).Scan(&r.Position); err != nil {
		return fmt.Errorf("rule: add: %w", err)
	}
	r.Version = 1
	err = a.QueryRow(ctx, `INSERT INTO rules (name, note, position, enabled, stop_after, occasion, conditions, expr, actions, demo, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		r.Name, r.Note, r.Position, db.Bool(r.Enabled), db.Bool(r.StopAfter), when, conditions, r.Expr, acts, db.Bool(r.Demo), a.NowMicros(), a.NowMicros()).Scan(&r.ID)
	if err != nil {
		return fmt.Errorf("rule: add: %w", err)
	}
	return nil
}

func update(ctx context.Context, a *action.Action, r Rule, version int64) error {
	when, conditions, acts, err := r.texts()
	if err != nil {
		return err
	}
	res, err := a.Exec(ctx, `UPDATE rules SET name = $1, note = $2, enabled = $3, stop_after = $4, occasion = $5, conditions = $6, expr = $7, actions = $8, off_reason = '', failures = 0,
		version = version + 1, updated_at = $9 WHERE id = $10 AND version = $11`,
		r.Name, r.Note, db.Bool(r.Enabled), db.Bool(r.StopAfter), when, conditions, r.Expr, acts, a.NowMicros(), r.ID, version)
	if err != nil {
		return fmt.Errorf("rule: save %d: %w", r.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return stale()
	}
	return nil
}

func stale() error { return fault.New(fault.Conflict, "rule.stale") }

// writeFiring writes a line of the log.
func writeFiring(ctx context.Context, tx *db.Tx, f Firing) error {
	raw, err := json.Marshal(f.Detail)
	if err != nil {
		return fmt.Errorf("rule: log: %w", err)
	}
	err = tx.Later(ctx, `INSERT INTO rule_firings (rule_id, version, ticket_id, event_id, occasion, outcome, detail, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		f.RuleID, f.Version, f.TicketID, f.EventID, f.Occasion, f.Outcome, string(raw), tx.NowMicros())
	if err != nil {
		return fmt.Errorf("rule: log: %w", err)
	}
	return nil
}

// once takes the occasion; false when it was taken before.
func once(ctx context.Context, tx *db.Tx, rule, ticket, occasion int64) (bool, error) {
	res, err := tx.Exec(ctx, `INSERT INTO rule_occasions (rule_id, ticket_id, occasion, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, rule, ticket, occasion, tx.NowMicros())
	if err != nil {
		return false, fmt.Errorf("rule: occasion: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
