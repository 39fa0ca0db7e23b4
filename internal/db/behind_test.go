package db_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// Who is waited for comes before work nobody waits for, however much of that
// there is; and that work gets on too.
func TestBehind(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.New(t) // PostgreSQL has no single writer
	front, behind := context.Background(), db.Behind(context.Background())
	var mu sync.Mutex
	var order []string
	write := func(ctx context.Context, name string) error {
		return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			_, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + 1`, name)
			return err
		})
	}
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	run(func() error {
		return d.Write(front, func(context.Context, *db.Tx) error { close(held); <-hold; return nil })
	})
	<-held
	for range 5 {
		run(func() error { return write(behind, "behind") })
	}
	for d.Waiting() < 5 {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		run(func() error { return write(front, "front") })
	}
	for d.Waiting() < 10 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	wg.Wait()
	if want := []string{"front", "front", "front", "front", "front", "behind", "behind", "behind", "behind", "behind"}; !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}

	// It waits for an answer under way, but not for ever.
	done := d.Attend()
	began := time.Now()
	if err := write(behind, "behind"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("it gave way for %v only", took)
	}
	began = time.Now()
	time.AfterFunc(time.Millisecond, done)
	d.GiveWay(front)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("who is waited for waits himself: %v", took)
	}
	d.GiveWay(behind)
	done() // twice is once
	done = d.Attend()
	defer done()
	if err := write(front, "front"); err != nil {
		t.Fatal(err)
	}
}
