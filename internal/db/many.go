package db

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// ReserveIDs returns n ids of the table that no other row will get, for imports
// that write many rows at once and have to know their ids before: sealed values
// are bound to them, and rows of other tables refer to them.
func (t *Tx) ReserveIDs(ctx context.Context, table string, n int) ([]int64, error) {
	if n <= 0 {
		return nil, nil
	}
	ids := make([]int64, 0, n)
	if t.Dialect() == Postgres {
		rows, err := t.Query(ctx, `SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2)`, table, n)
		if err != nil {
			return nil, fmt.Errorf("db: reserve ids of %s: %w", table, err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return nil, fmt.Errorf("db: reserve ids of %s: %w", table, err)
			}
			ids = append(ids, id)
		}
		return ids, rows.Err()
	}
	// The table behind AUTOINCREMENT; its row comes with the first insert.
	var last int64
	if err := t.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = $1`, table).Scan(&last); err != nil {
		return nil, fmt.Errorf("db: reserve ids of %s: %w", table, err)
	}
	res, err := t.Exec(ctx, `UPDATE sqlite_sequence SET seq = $1 WHERE name = $2`, last+int64(n), table)
	if err == nil {
		if hit, _ := res.RowsAffected(); hit == 0 {
			_, err = t.Exec(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)`, table, last+int64(n))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("db: reserve ids of %s: %w", table, err)
	}
	for i := range n {
		ids = append(ids, last+1+int64(i))
	}
	return ids, nil
}

// maxArgs bounds the arguments of one statement, below what both engines allow.
const maxArgs = 8000

// InsertMany runs "INSERT INTO t (a, b) VALUES …" for many rows of width values
// each, which follow each other in values. Few sizes of statement are used, so
// that the engines keep them compiled. suffix may be "ON CONFLICT DO NOTHING".
func (t *Tx) InsertMany(ctx context.Context, insert, suffix string, width int, values []any) error {
	return t.many(ctx, insert+" VALUES ", " "+suffix, nil, width, values)
}

// UpdateMany changes many rows by one statement each part: update is "UPDATE t
// SET n = n + v.column2" and where "t.id = v.column1"; columns are the SQL types
// of the values ("BIGINT"), which PostgreSQL wants to know.
func (t *Tx) UpdateMany(ctx context.Context, update, where string, columns []string, values []any) error {
	return t.many(ctx, update+" FROM (VALUES ", ") AS v WHERE "+where, columns, len(columns), values)
}

func (t *Tx) many(ctx context.Context, before, after string, casts []string, width int, values []any) error {
	if width <= 0 || len(values)%width != 0 {
		return fmt.Errorf("db: %d values in rows of %d", len(values), width)
	}
	n := 1
	for n*2*width <= maxArgs && n < 64 {
		n *= 2
	}
	for len(values) > 0 {
		for n*width > len(values) {
			n /= 2
		}
		if _, err := t.Exec(ctx, before+tuples(n, width, casts)+after, values[:n*width]...); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// tuples is "($1,$2),($3,$4)".
func tuples(n, width int, casts []string) string {
	var b strings.Builder
	arg := 0
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for j := range width {
			if j > 0 {
				b.WriteByte(',')
			}
			arg++
			if casts != nil {
				b.WriteString("CAST($" + strconv.Itoa(arg) + " AS " + casts[j] + ")")
			} else {
				b.WriteString("$" + strconv.Itoa(arg))
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// inChunk is how many values one IN (…) of EachIn holds.
const inChunk = 128

// EachIn calls query with parts of keys as "$1,$2,…" and their arguments. Parts
// have one size, the last is filled up with its last key, so that the statement
// stays compiled however many keys there are.
func EachIn[K any](keys []K, query func(in string, args []any) error) error {
	for len(keys) > 0 {
		part := keys[:min(len(keys), inChunk)]
		keys = keys[len(part):]
		size := inChunk
		for size/4 >= len(part) {
			size /= 4
		}
		var a Args
		var in strings.Builder
		for i := range size {
			if i > 0 {
				in.WriteByte(',')
			}
			in.WriteString(a.Add(part[min(i, len(part)-1)]))
		}
		if err := query(in.String(), a.Values); err != nil {
			return err
		}
	}
	return nil
}

// Analyze makes PostgreSQL look at tables that are being filled, so that it does
// not go on planning for empty ones: its own look comes a minute later. SQLite
// needs none.
func (d *DB) Analyze(ctx context.Context, tables ...string) error {
	if d.dialect != Postgres {
		return nil
	}
	for _, t := range tables {
		if _, err := d.pool.ExecContext(ctx, "ANALYZE "+t); err != nil {
			return fmt.Errorf("db: analyze %s: %w", t, err)
		}
	}
	return nil
}
