package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"bihuan/internal/crypt"
	"bihuan/internal/db"
)

// Fresh seals a value again if it was sealed with an older key, and returns what
// is in it. The error is crypt.ErrOpen for a value that no key opens.
func Fresh(k *crypt.Keeper, place string, old []byte) (value []byte, clear string, err error) {
	if clear, err = k.Open(place, old); err != nil || !k.Stale(old) {
		return old, clear, err
	}
	value, err = k.Seal(place, clear)
	return value, clear, err
}

// BytesType is the word of each engine for the columns of sealed values, for
// [db.Tx.UpdateMany].
func BytesType(tx *db.Tx) string {
	if tx.Dialect() == db.Postgres {
		return "BYTEA"
	}
	return "BLOB"
}

// Values is the table of a room whose sealed values have no indexes: those of
// field are in the column field_sealed, sealed for crypt.Place(table, id, field).
func Values(d *db.DB, k *crypt.Keeper, table string, fields ...string) Table {
	t := Table{Name: table}
	for _, f := range fields {
		t.Columns = append(t.Columns, f+"_sealed")
	}
	t.Stale = func(ctx context.Context, q db.Querier) (n int64, err error) {
		var a db.Args
		prefix := k.Prefix()
		var or []string
		for _, c := range t.Columns {
			or = append(or, fmt.Sprintf("%[1]s IS NOT NULL AND SUBSTR(%[1]s, 1, %[2]d) <> %[3]s", c, len(prefix), a.Add(prefix)))
		}
		if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM `+table+` WHERE `+strings.Join(or, " OR "), a.Values...).Scan(&n); err != nil {
			err = fmt.Errorf("keyring: count what old keys have sealed in %s: %w", table, err)
		}
		return n, err
	}
	t.Next = func(ctx context.Context, after int64, most int) (b Batch, err error) {
		fail := func(err error) (Batch, error) { return b, fmt.Errorf("keyring: seal %s again: %w", table, err) }
		rows, err := d.Read().Query(ctx, `SELECT id, `+strings.Join(t.Columns, ", ")+` FROM `+table+` WHERE id > $1 ORDER BY id LIMIT $2`, after, most)
		if err != nil {
			return fail(err)
		}
		defer rows.Close()
		var values []any
		for rows.Next() {
			old := make([][]byte, len(fields))
			into := []any{&b.Last}
			for i := range old {
				into = append(into, &old[i])
			}
			if err := rows.Scan(into...); err != nil {
				return fail(err)
			}
			b.Rows++
			row := []any{b.Last}
			changed, lost := false, false
			for i, f := range fields {
				now, _, err := Fresh(k, crypt.Place(table, b.Last, f), old[i])
				if err != nil && !errors.Is(err, crypt.ErrOpen) {
					return fail(err)
				}
				lost = lost || err != nil
				changed = changed || !bytes.Equal(now, old[i])
				row = append(row, old[i], now)
			}
			switch {
			case lost:
				b.Lost = append(b.Lost, b.Last)
			case changed:
				b.Stale++
				values = append(values, row...)
			}
		}
		b.Write = func(ctx context.Context, tx *db.Tx) error {
			kinds := []string{"BIGINT"}
			var set, same []string
			for i, c := range t.Columns {
				kinds = append(kinds, BytesType(tx), BytesType(tx))
				set = append(set, c+" = v.column"+strconv.Itoa(2*i+3))
				same = append(same, " AND "+table+"."+c+" IS NOT DISTINCT FROM v.column"+strconv.Itoa(2*i+2))
			}
			err := tx.UpdateMany(ctx, `UPDATE `+table+` SET `+strings.Join(set, ", "), table+`.id = v.column1`+strings.Join(same, ""), kinds, values)
			if err != nil {
				return fmt.Errorf("keyring: seal %s again: %w", table, err)
			}
			return nil
		}
		return b, rows.Err()
	}
	return t
}
