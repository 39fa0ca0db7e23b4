package action

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Key is how a client says that two of its requests are the same one, sent
// again because the first answer got lost.
type Key struct {
	Name    string // chosen by the client; its own for each actor
	Request string // digest of what was asked under that name
}

// KeysLast is how long an answer can be had again.
const KeysLast = 7 * 24 * time.Hour

// Once is Do for a request that may arrive twice: the answer of fn is stored in
// the transaction of the change, and whoever comes again with the same key gets
// that answer instead of a second change. Of several at the same time one does
// the work and the others wait for its answer. A failed action leaves no trace,
// so it may be tried again; the same name for another request is a Conflict.
func (r *Runner) Once(ctx context.Context, actor authz.Actor, name string, k Key, fn func(ctx context.Context, a *Action) (answer []byte, err error)) (answer []byte, replayed bool, err error) {
	err = r.Do(ctx, actor, name, func(ctx context.Context, a *Action) error {
		answer, replayed = nil, false
		// The row comes first: on PostgreSQL a second request with this key waits
		// here for the end of the first; SQLite has one writer anyway.
		res, err := a.Exec(ctx, `
			INSERT INTO idempotency_keys (actor_id, name, request, response, created_at) VALUES ($1, $2, $3, '', $4)
			ON CONFLICT (actor_id, name) DO NOTHING`, actor.ID, k.Name, k.Request, a.NowMicros())
		if err != nil {
			return fmt.Errorf("action: key: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return fmt.Errorf("action: key: %w", err)
		} else if n == 0 {
			var request, response string
			if err := a.QueryRow(ctx, `SELECT request, response FROM idempotency_keys WHERE actor_id = $1 AND name = $2`, actor.ID, k.Name).Scan(&request, &response); err != nil {
				return fmt.Errorf("action: key: %w", err)
			}
			if request != k.Request {
				return fault.New(fault.Conflict, "api.key_used")
			}
			answer, replayed = []byte(response), true
			a.Nothing()
			return nil
		}
		if answer, err = fn(ctx, a); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE idempotency_keys SET response = $1 WHERE actor_id = $2 AND name = $3`, string(answer), actor.ID, k.Name); err != nil {
			return fmt.Errorf("action: key: %w", err)
		}
		return nil
	})
	return answer, replayed, err
}

// SweepKeys forgets at most limit answers that are older than [KeysLast] and
// reports how many.
func (r *Runner) SweepKeys(ctx context.Context, limit int) (n int64, err error) {
	err = r.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec(ctx, `
			DELETE FROM idempotency_keys WHERE (actor_id, name) IN
				(SELECT actor_id, name FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)`,
			db.Micros(tx.Now.Add(-KeysLast)), limit)
		if err != nil {
			return fmt.Errorf("action: sweep keys: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
