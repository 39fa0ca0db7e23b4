package customer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"bihuan/internal/db"
)

// ledger changes rows and writes down exactly what they were before, so that it
// can be taken back. Tables and columns come from the program, never from
// outside.
type ledger struct {
	ctx   context.Context
	tx    *db.Tx
	merge int64
	seq   int64
	moved map[string]int
	rows  map[string][]int64
}

// step is one entry of the ledger.
type step struct {
	Op     string   `json:"op"` // set, delete, insert
	Table  string   `json:"t"`
	IDs    []int64  `json:"ids,omitempty"`    // set: rows that had the same values
	Before cells    `json:"before,omitempty"` // set
	After  cells    `json:"after,omitempty"`  // set
	Row    cells    `json:"row,omitempty"`    // delete, insert: the whole row
	Key    []string `json:"key,omitempty"`    // insert: the columns that name it
}

// cells are values of a row by column: nil, int64, string or []byte.
type cells map[string]any

// MarshalJSON keeps bytes apart from texts.
func (c cells) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(c))
	for k, v := range c {
		switch v := v.(type) {
		case nil, int64, string:
			m[k] = v
		case []byte:
			m[k] = map[string]string{"b": base64.StdEncoding.EncodeToString(v)}
		default:
			return nil, fmt.Errorf("column %s holds a %T", k, v)
		}
	}
	return json.Marshal(m)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *cells) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return err
	}
	*c = make(cells, len(m))
	for k, v := range m {
		switch v := v.(type) {
		case nil, string:
			(*c)[k] = v
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				return err
			}
			(*c)[k] = n
		case map[string]any:
			s, _ := v["b"].(string)
			raw, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return err
			}
			(*c)[k] = raw
		default:
			return fmt.Errorf("column %s holds a %T", k, v)
		}
	}
	return nil
}

func (c cells) columns() []string {
	out := make([]string, 0, len(c))
	for k := range c {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (c cells) id() int64 { n, _ := c["id"].(int64); return n }

func (c cells) int(column string) int64 { n, _ := c[column].(int64); return n }

func (c cells) text(column string) string { s, _ := c[column].(string); return s }

func sameValue(a, b any) bool {
	x, okx := a.([]byte)
	y, oky := b.([]byte)
	if okx || oky {
		return okx == oky && bytes.Equal(x, y)
	}
	return a == b
}

// wholeRows reads all columns of the rows that fulfil where.
func wholeRows(ctx context.Context, q db.Querier, table, where string, args ...any) ([]cells, error) {
	rows, err := q.Query(ctx, `SELECT * FROM `+table+` WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []cells
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		c := make(cells, len(columns))
		for i, name := range columns {
			v := *values[i].(*any)
			if b, ok := v.([]byte); ok {
				v = slices.Clone(b)
			}
			c[name] = v
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// stepIDs is how many ids one entry holds at most.
const stepIDs = 2000

func (l *ledger) write(s step) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Table, err)
	}
	l.seq++
	_, err = l.tx.Exec(l.ctx, `INSERT INTO customer_merge_steps (merge_id, seq, body) VALUES ($1, $2, $3)`, l.merge, l.seq, string(body))
	return err
}

// set gives the rows of a table with an id that fulfil where new values.
func (l *ledger) set(table, where string, args []any, after cells) (n int, err error) {
	columns := after.columns()
	rows, err := l.tx.Query(l.ctx, `SELECT id, `+strings.Join(columns, ", ")+` FROM `+table+` WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", table, err)
	}
	type group struct {
		before cells
		ids    []int64
	}
	groups := map[string]*group{}
	var order []*group
	for rows.Next() {
		var id int64
		dst := []any{&id}
		values := make([]any, len(columns))
		for i := range values {
			dst = append(dst, &values[i])
		}
		if err := rows.Scan(dst...); err != nil {
			rows.Close()
			return 0, fmt.Errorf("%s: %w", table, err)
		}
		before := make(cells, len(columns))
		differs := false
		for i, c := range columns {
			if b, ok := values[i].([]byte); ok {
				values[i] = slices.Clone(b)
			}
			before[c] = values[i]
			differs = differs || !sameValue(values[i], after[c])
		}
		if !differs {
			continue
		}
		key, err := json.Marshal(before)
		if err != nil {
			rows.Close()
			return 0, fmt.Errorf("%s: %w", table, err)
		}
		g := groups[string(key)]
		if g == nil {
			g = &group{before: before}
			groups[string(key)] = g
			order = append(order, g)
		}
		g.ids = append(g.ids, id)
		n++
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", table, err)
	}
	for _, g := range order {
		l.rows[table] = append(l.rows[table], g.ids...)
		for part := range slices.Chunk(g.ids, stepIDs) {
			if err := l.write(step{Op: "set", Table: table, IDs: part, Before: g.before, After: after}); err != nil {
				return 0, err
			}
		}
		err := db.EachIn(g.ids, func(in string, args []any) error {
			a := db.Args{Values: args}
			_, err := l.tx.Exec(l.ctx, `UPDATE `+table+` SET `+assign(&a, columns, after)+` WHERE id IN (`+in+`)`, a.Values...)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("%s: %w", table, err)
		}
	}
	return n, nil
}

func assign(a *db.Args, columns []string, values cells) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c + " = " + a.Add(values[c]))
	}
	return b.String()
}

// match is the condition that a row has these values.
func match(a *db.Args, columns []string, values cells) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(" AND ")
		}
		if values[c] == nil {
			b.WriteString(c + " IS NULL")
		} else {
			b.WriteString(c + " = " + a.Add(values[c]))
		}
	}
	return b.String()
}

// delete takes rows out of a table and keeps them whole. key are the columns
// that name a row.
func (l *ledger) delete(table string, rows []cells, key ...string) error {
	for _, r := range rows {
		if err := l.write(step{Op: "delete", Table: table, Row: r}); err != nil {
			return err
		}
		var a db.Args
		if _, err := l.tx.Exec(l.ctx, `DELETE FROM `+table+` WHERE `+match(&a, key, r), a.Values...); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

// insert adds a row.
func (l *ledger) insert(table string, r cells, key ...string) error {
	if err := l.write(step{Op: "insert", Table: table, Row: r, Key: key}); err != nil {
		return err
	}
	return insertRow(l.ctx, l.tx, table, r, "")
}

func insertRow(ctx context.Context, tx *db.Tx, table string, r cells, suffix string) error {
	columns := r.columns()
	var a db.Args
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = a.Add(r[c])
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) VALUES (`+strings.Join(values, ", ")+`) `+suffix, a.Values...); err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	return nil
}

// change makes another row of one in a table without an id.
func (l *ledger) change(table string, r cells, to cells, key ...string) error {
	if err := l.delete(table, []cells{r}, key...); err != nil {
		return err
	}
	n := make(cells, len(r))
	for k, v := range r {
		n[k] = v
	}
	for k, v := range to {
		n[k] = v
	}
	return l.insert(table, n, key...)
}

// stepsOf reads the ledger of a merge, the newest entry first.
func stepsOf(ctx context.Context, q db.Querier, merge int64) ([]step, error) {
	rows, err := q.Query(ctx, `SELECT body FROM customer_merge_steps WHERE merge_id = $1 ORDER BY seq DESC`, merge)
	if err != nil {
		return nil, fmt.Errorf("customer: steps of merge %d: %w", merge, err)
	}
	defer rows.Close()
	var out []step
	for rows.Next() {
		var body string
		var s step
		err := rows.Scan(&body)
		if err == nil {
			err = json.Unmarshal([]byte(body), &s)
		}
		if err != nil {
			return nil, fmt.Errorf("customer: steps of merge %d: %w", merge, err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// left is a value that was changed after the merge and stays when it is taken
// back.
type left struct {
	table, column string
	id            int64
}

// unset takes a set back, but for values that are others by now.
func unset(ctx context.Context, tx *db.Tx, s step) (kept []left, err error) {
	known, err := columnsOf(ctx, tx, s.Table)
	if err != nil {
		return nil, err
	}
	for _, c := range s.Before.columns() {
		if sameValue(s.Before[c], s.After[c]) || !slices.Contains(known, c) {
			continue
		}
		done := map[int64]bool{}
		err := db.EachIn(s.IDs, func(in string, args []any) error {
			a := db.Args{Values: slices.Clone(args)}
			where := `id IN (` + in + `) AND ` + match(&a, []string{c}, s.After)
			ids, err := idsOf(ctx, tx, `SELECT id FROM `+s.Table+` WHERE `+where, a.Values...)
			if err != nil {
				return err
			}
			for _, id := range ids {
				done[id] = true
			}
			if len(ids) == 0 {
				return nil
			}
			b := db.Args{Values: slices.Clone(args)}
			set := c + " = " + b.Add(s.Before[c])
			_, err = tx.Exec(ctx, `UPDATE `+s.Table+` SET `+set+` WHERE id IN (`+in+`) AND `+match(&b, []string{c}, s.After), b.Values...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Table, err)
		}
		for _, id := range s.IDs {
			if !done[id] {
				kept = append(kept, left{s.Table, c, id})
			}
		}
	}
	return kept, nil
}

// changedSince lists the values of a set that are others by now.
func changedSince(ctx context.Context, q db.Querier, s step) (kept []left, err error) {
	for part := range slices.Chunk(s.IDs, 500) {
		var a db.Args
		rows, err := q.Query(ctx, `SELECT id, `+strings.Join(s.After.columns(), ", ")+` FROM `+s.Table+` WHERE id IN (`+a.AddInts(part)+`)`, a.Values...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Table, err)
		}
		columns := s.After.columns()
		for rows.Next() {
			var id int64
			dst := []any{&id}
			values := make([]any, len(columns))
			for i := range values {
				dst = append(dst, &values[i])
			}
			if err := rows.Scan(dst...); err != nil {
				rows.Close()
				return nil, fmt.Errorf("%s: %w", s.Table, err)
			}
			for i, c := range columns {
				if !sameValue(values[i], s.After[c]) && !sameValue(s.Before[c], s.After[c]) {
					kept = append(kept, left{s.Table, c, id})
				}
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

func columnsOf(ctx context.Context, q db.Querier, table string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT * FROM `+table+` WHERE 1 = 0`)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	defer rows.Close()
	return rows.Columns()
}

var errNoTable = errors.New("customer: merge: the table is no longer there")

// takeBack undoes one entry and reports what stays.
func takeBack(ctx context.Context, tx *db.Tx, s step) ([]left, error) {
	switch s.Op {
	case "set":
		return unset(ctx, tx, s)
	case "insert":
		var a db.Args
		if _, err := tx.Exec(ctx, `DELETE FROM `+s.Table+` WHERE `+match(&a, s.Key, s.Row), a.Values...); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Table, err)
		}
		return nil, nil
	case "delete":
		known, err := columnsOf(ctx, tx, s.Table)
		if err != nil {
			return nil, errors.Join(errNoTable, err)
		}
		r := make(cells, len(s.Row))
		for k, v := range s.Row { // an upgrade may have dropped a column
			if slices.Contains(known, k) {
				r[k] = v
			}
		}
		return nil, insertRow(ctx, tx, s.Table, r, "ON CONFLICT DO NOTHING")
	}
	return nil, fmt.Errorf("customer: merge step %q", s.Op)
}
