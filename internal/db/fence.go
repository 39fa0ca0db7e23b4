package db

import "context"

// fenceKey is what a context keeps its fence under.
type fenceKey struct{}

type fence func(ctx context.Context, tx *Tx) error

// Fenced returns a context of work done under a lease: every [DB.Write] made with
// it first runs check, within its own transaction, and fails with its error. So
// what a process does after it slept through the end of its lease is not stored.
// check must lock the row it looks at (see [Tx.ForShare]), so that the lease is
// not taken over between the look and the commit.
func Fenced(ctx context.Context, check func(ctx context.Context, tx *Tx) error) context.Context {
	if before, ok := ctx.Value(fenceKey{}).(fence); ok {
		now := check
		check = func(ctx context.Context, tx *Tx) error {
			if err := before(ctx, tx); err != nil {
				return err
			}
			return now(ctx, tx)
		}
	}
	return context.WithValue(ctx, fenceKey{}, fence(check))
}

// fenced is fn behind the fence of ctx.
func fenced(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) func(ctx context.Context, tx *Tx) error {
	check, ok := ctx.Value(fenceKey{}).(fence)
	if !ok {
		return fn
	}
	return func(ctx context.Context, tx *Tx) error {
		if err := check(ctx, tx); err != nil {
			return err
		}
		return fn(ctx, tx)
	}
}

// ForShare is the lock that keeps others from changing a row, to append to a
// SELECT: many may hold it at a time. Empty on SQLite, which has one writer.
func (t *Tx) ForShare() string {
	if t.db.dialect == Postgres {
		return " FOR SHARE"
	}
	return ""
}
