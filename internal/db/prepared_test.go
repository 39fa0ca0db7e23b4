package db

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
)

// A statement may be evicted by others between being found and being used:
// whoever had it must not notice.
func TestEvictedStatementIsPreparedAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, err := Open(ctx, Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := newPrepared(d.pool.PrepareContext)
	const q = `SELECT $1 + 1`
	s, err := p.get(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // as by the eviction, behind the back of the one who found it
	var n int
	if err := p.QueryRow(ctx, q, 1).Scan(&n); err != nil || n != 2 {
		t.Errorf("row: %d, %v", n, err)
	}
	rows, err := p.Query(ctx, q, 2)
	if err != nil {
		t.Fatalf("rows: %v", err)
	}
	if !rows.Next() || rows.Scan(&n) != nil || n != 3 {
		t.Errorf("rows: %d, %v", n, rows.Err())
	}
	rows.Close()
	if _, err := p.Exec(ctx, q, 3); err != nil {
		t.Errorf("exec: %v", err)
	}
	if err := p.QueryRow(ctx, `SELECT nothing`).Scan(&n); err == nil || err == sql.ErrNoRows {
		t.Errorf("a bad query: %v", err)
	}

	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2 * maxPrepared / 4 {
				var n int
				if err := p.QueryRow(ctx, fmt.Sprintf(`SELECT $1 + %d`, g*maxPrepared+i), 1).Scan(&n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(p.m) > maxPrepared {
		t.Errorf("%d statements are kept, at most %d should be", len(p.m), maxPrepared)
	}
}
