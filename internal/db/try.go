package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Try runs fn so that what it did can be taken back alone: when fn fails, the
// transaction is as it was before and may go on.
func (t *Tx) Try(ctx context.Context, fn func(ctx context.Context) error) error {
	after := len(t.after)
	if _, err := t.Exec(ctx, `SAVEPOINT try`); err != nil {
		return fmt.Errorf("db: try: %w", err)
	}
	err := fn(ctx)
	if err == nil {
		// What was put off with Later is done by now, or fails here.
		if _, err = t.Exec(ctx, `RELEASE SAVEPOINT try`); err == nil {
			return nil
		}
	}
	t.after = t.after[:after]
	for key := range t.values { // may hold what has been taken back
		if _, dropped := key.(droppedKey); !dropped {
			delete(t.values, key)
		}
	}
	if pg, ok := t.q.(*pgTx); ok {
		pg.batch, pg.texts, pg.over = &pgx.Batch{}, nil, false
	}
	for _, stmt := range []string{`ROLLBACK TO SAVEPOINT try`, `RELEASE SAVEPOINT try`} {
		if _, rerr := t.Exec(ctx, stmt); rerr != nil {
			return fmt.Errorf("db: take back: %w (after %w)", rerr, err)
		}
	}
	return err
}
