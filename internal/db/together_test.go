package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// What is read side by side is what would be read one after the other, whatever
// the loads do: several statements, none, an error, a panic.
func TestTogether(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		var got [12]int64
		var loads []func(ctx context.Context) error
		for i := range got {
			loads = append(loads, func(ctx context.Context) error {
				for range i % 4 { // some ask often, some not at all
					var n int64
					var yes bool
					if err := d.Read().QueryRow(ctx, `SELECT CAST($1 AS BIGINT) + 1, CAST(1 AS SMALLINT)`, got[i]).Scan(&n, &yes); err != nil || !yes {
						return fmt.Errorf("load %d: %v, %w", i, yes, err)
					}
					got[i] = n
				}
				return nil
			})
		}
		if err := d.Together(ctx, loads...); err != nil {
			t.Fatal(err)
		}
		for i, n := range got {
			if n != int64(i%4) {
				t.Errorf("load %d asked %d times", i, n)
			}
		}

		// Many rows, empty answers and NULL come as they are.
		var rows []string
		var none error
		var null sql.NullString
		err := d.Together(ctx,
			func(ctx context.Context) error {
				rs, err := d.Read().Query(ctx, `SELECT 'a' AS x UNION ALL SELECT '' UNION ALL SELECT '𠮷' ORDER BY 1`)
				if err != nil {
					return err
				}
				defer rs.Close()
				for rs.Next() {
					var s string
					if err := rs.Scan(&s); err != nil {
						return err
					}
					rows = append(rows, s)
				}
				return rs.Err()
			},
			func(ctx context.Context) error {
				var s string
				none = d.Read().QueryRow(ctx, `SELECT 'x' WHERE 1 = 0`).Scan(&s)
				return nil
			},
			func(ctx context.Context) error {
				return d.Read().QueryRow(ctx, `SELECT CAST(NULL AS TEXT)`).Scan(&null)
			})
		if err != nil || strings.Join(rows, ",") != ",a,𠮷" || !errors.Is(none, sql.ErrNoRows) || null.Valid {
			t.Errorf("rows %q, none %v, null %v, %v", rows, none, null, err)
		}

		// One that fails fails all of them, and nobody waits for ever.
		var other int64
		boom := errors.New("boom")
		err = d.Together(ctx,
			func(context.Context) error { return boom },
			func(ctx context.Context) error {
				return d.Read().QueryRow(ctx, `SELECT CAST(7 AS BIGINT)`).Scan(&other)
			})
		if !errors.Is(err, boom) || d.Dialect() == db.Postgres && other != 7 {
			t.Errorf("error %v, the other read %d", err, other)
		}
		err = d.Together(ctx,
			func(ctx context.Context) error { var n int; return d.Read().QueryRow(ctx, `SELECT nothing`).Scan(&n) },
			func(ctx context.Context) error {
				return d.Read().QueryRow(ctx, `SELECT CAST(7 AS BIGINT)`).Scan(&other)
			})
		if err == nil {
			t.Error("a bad statement passed")
		}
	})
}

// What waits for the next statement is done before it and is gone with a
// failure; the error of one that waited is the error of the write.
func TestLater(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		put := func(tx *db.Tx, name string) error {
			return tx.Later(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, name)
		}
		count := func(q db.Querier) (n int) {
			t.Helper()
			if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM counters WHERE name LIKE 'later%'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := errors.Join(put(tx, "later 1"), put(tx, "later 2")); err != nil {
				return err
			}
			if n := count(tx); n != 2 {
				t.Errorf("%d rows are seen by the next statement", n)
			}
			return put(tx, "later 3")
		})
		if err != nil || count(d.Read()) != 3 {
			t.Errorf("%d rows, %v", count(d.Read()), err)
		}
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(put(tx, "later 4"), put(tx, "later 1"))
		})
		if !db.IsUnique(err, "") || count(d.Read()) != 3 {
			t.Errorf("a name twice: %v, %d rows", err, count(d.Read()))
		}
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := put(tx, "later 5"); err != nil {
				return err
			}
			return errors.New("no")
		})
		if err == nil || count(d.Read()) != 3 {
			t.Errorf("a failed write: %v, %d rows", err, count(d.Read()))
		}
	})
}

type heldTest string

// What is held is read once, anew after a change in this process, and after a
// while after one elsewhere; a transaction that fails changes nothing.
func TestHeld(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		loads := 0
		get := func(q db.Querier) int64 {
			t.Helper()
			n, err := db.Held(ctx, q, heldTest("n"), func() (n int64, err error) {
				loads++
				err = q.QueryRow(ctx, `SELECT COALESCE(MAX(n), 0) FROM counters WHERE name = 'held'`).Scan(&n)
				return n, err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		set := func(n int, told bool, fail error) {
			err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ('held', $1) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, n); err != nil {
					return err
				}
				if told {
					tx.Drop(heldTest("n"))
				}
				if got := get(tx); told && got != int64(n) {
					t.Errorf("the transaction that wrote %d reads %d", n, got)
				}
				return fail
			})
			if (err == nil) != (fail == nil) {
				t.Fatal(err)
			}
		}
		set(1, true, nil)
		if a, b := get(d.Read()), get(d.Read()); a != 1 || b != 1 {
			t.Errorf("reads %d and %d", a, b)
		}
		before := loads
		get(d.Read())
		if loads != before {
			t.Error("read again although nothing changed")
		}
		set(2, true, errors.New("no"))
		if n := get(d.Read()); n != 1 {
			t.Errorf("%d after a transaction that failed", n)
		}
		set(3, false, nil) // as by another node
		if n := get(d.Read()); n != 1 {
			t.Errorf("%d at once after another node's change: nothing is held", n)
		}
		c.Advance(6 * time.Second)
		if n := get(d.Read()); n != 3 {
			t.Errorf("%d six seconds after another node's change", n)
		}
	})
}
