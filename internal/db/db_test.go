package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		boom := errors.New("boom")
		put := func(name string, fail error) error {
			return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, name); err != nil {
					return err
				}
				return fail
			})
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				name := string(rune('一' + i))
				switch i % 4 {
				case 0:
					if err := put(name, boom); !errors.Is(err, boom) {
						t.Errorf("a failing write returned %v", err)
					}
				case 1:
					err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
						tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, name)
						panic("boom")
					})
					if err == nil {
						t.Error("a panic was taken for success")
					}
				default:
					if err := put(name, nil); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		wg.Wait()
		var n int
		if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name <> 'ticket.routing'`).Scan(&n); err != nil || n != 100 {
			t.Errorf("%d rows (%v), want the 100 of the writes that succeeded", n, err)
		}
		if err := put("a", nil); err != nil {
			t.Fatal(err)
		}
		if err := put("a", nil); !db.IsUnique(err, "") {
			t.Errorf("second insert: %v, want a unique violation", err)
		}
	})
}

// What runs after the commit may fail as it likes: the commit stands and the
// next write finds the store working.
func TestAfterCommit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		ran := 0
		for i := range 3 {
			err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				tx.AfterCommit(func() { panic("boom") })
				tx.AfterCommit(func() { ran++ })
				_, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, fmt.Sprint(i))
				return err
			})
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if ran != 3 {
			t.Errorf("%d of 3 ran after their commit", ran)
		}
	})
}

// A transaction that waits for itself is told so.
func TestInsideWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
			var n int
			if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name <> 'ticket.routing'`).Scan(&n); err == nil {
				t.Error("a transaction read beside itself")
			}
			return d.Write(ctx, func(context.Context, *db.Tx) error { return nil })
		})
		if err == nil {
			t.Error("a write inside a write went through")
		}
	})
}

// A whole number read without saying which is an int64 on both engines.
func TestNumbersAreAlike(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		var small, big any
		rows, err := d.Read().Query(context.Background(), `SELECT CAST(1 AS SMALLINT), CAST(2 AS BIGINT)`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := rows.Scan(&small, &big); err != nil || small != any(int64(1)) || big != any(int64(2)) {
			t.Errorf("%T %T %v", small, big, err)
		}
	})
}
