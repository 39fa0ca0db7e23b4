package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Together runs loads that do not depend on each other, each with a context of
// its own that it must read with. On PostgreSQL they run side by side, and what
// they ask for at the same time goes in one round trip: a page that stands on a
// dozen small statements then costs three or four. On SQLite, where a statement
// costs no trip, they run one after the other. The first error is returned.
func (d *DB) Together(ctx context.Context, loads ...func(ctx context.Context) error) error {
	if d.dialect != Postgres || len(loads) < 2 || InWrite(ctx) || ctx.Value(gatherKey{}) != nil {
		for _, load := range loads {
			if err := load(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	g := &gather{d: d, live: len(loads)}
	gctx := context.WithValue(ctx, gatherKey{}, g)
	errs := make([]error, len(loads))
	var wg sync.WaitGroup
	for i, load := range loads {
		wg.Go(func() {
			defer g.leave(ctx)
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("db: panic while reading: %v\n%s", p, stack())
				}
			}()
			errs[i] = load(gctx)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

type gatherKey struct{}

// gather collects the statements of loads that run together, until all of them
// wait for one.
type gather struct {
	d       *DB
	mu      sync.Mutex
	live    int // loads that have not ended
	waiting []*asked
}

// asked is a statement somebody waits for.
type asked struct {
	query string
	args  []any
	rows  Rows
	err   error
	ready chan struct{}
}

func (g *gather) query(ctx context.Context, q string, args []any) (Rows, error) {
	a := &asked{query: q, args: args, ready: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	ripe := g.ripe()
	g.mu.Unlock()
	g.send(ctx, ripe)
	<-a.ready
	return a.rows, a.err
}

// ripe takes what waits when nobody is left who could add to it.
func (g *gather) ripe() []*asked {
	if len(g.waiting) == 0 || len(g.waiting) < g.live {
		return nil
	}
	w := g.waiting
	g.waiting = nil
	return w
}

func (g *gather) leave(ctx context.Context) {
	g.mu.Lock()
	g.live--
	ripe := g.ripe()
	g.mu.Unlock()
	g.send(ctx, ripe)
}

var errNotAsked = errors.New("db: the statement was not sent")

// send asks for all of as in one round trip and wakes who waits for them.
func (g *gather) send(ctx context.Context, as []*asked) {
	if len(as) == 0 {
		return
	}
	left := as
	answer := func(rows Rows, err error) {
		left[0].rows, left[0].err = rows, err
		close(left[0].ready)
		left = left[1:]
	}
	defer func() {
		for len(left) > 0 {
			answer(nil, errNotAsked)
		}
	}()
	err := g.d.gone()
	var conn *pgxpool.Conn
	if err == nil {
		if conn, err = g.d.pg.Acquire(ctx); err != nil {
			err = noConn(ctx, err)
		}
	}
	if err != nil {
		for len(left) > 0 {
			answer(nil, err)
		}
		return
	}
	defer conn.Release()
	var b pgx.Batch
	for _, a := range as {
		b.Queue(a.query, a.args...)
	}
	res := conn.SendBatch(ctx, &b)
	defer res.Close()
	for range as {
		rows, err := inMemory(res.Query())
		answer(rows, lost(ctx, err))
	}
}

// inMemory reads all rows, so that the connection is free for the next answer.
func inMemory(rows pgx.Rows, err error) (Rows, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := &memory{at: -1}
	for rows.Next() {
		raw := rows.RawValues()
		size := 0
		for _, v := range raw {
			size += len(v)
		}
		buf, values := make([]byte, 0, size), make([][]byte, len(raw))
		for i, v := range raw {
			if v != nil {
				n := len(buf)
				buf = append(buf, v...)
				values[i] = buf[n:len(buf):len(buf)]
			}
		}
		m.rows = append(m.rows, values)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	m.fields = append(m.fields, rows.FieldDescriptions()...)
	return m, nil
}

// memory are rows that were read before they are asked for.
type memory struct {
	fields []pgconn.FieldDescription
	rows   [][][]byte
	at     int
	types  *pgtype.Map
	plans  []pgtype.ScanPlan
}

// maps know how to decode; one is not for two goroutines at once.
var maps = sync.Pool{New: func() any {
	m := pgtype.NewMap()
	readBools(m)
	return m
}}

func (m *memory) Next() bool {
	m.at++
	return m.at < len(m.rows)
}

// Scan decodes the row into dest, whose types are those of the row before.
func (m *memory) Scan(dest ...any) error {
	if m.at < 0 || m.at >= len(m.rows) {
		return sql.ErrNoRows
	}
	if len(dest) != len(m.fields) {
		return fmt.Errorf("db: %d columns into %d places", len(m.fields), len(dest))
	}
	if m.plans == nil {
		m.types = maps.Get().(*pgtype.Map)
		m.plans = make([]pgtype.ScanPlan, len(dest))
		for i, d := range dest {
			m.plans[i] = m.types.PlanScan(m.fields[i].DataTypeOID, m.fields[i].Format, d)
		}
	}
	for i, d := range dest {
		if err := m.plans[i].Scan(m.rows[m.at][i], d); err != nil {
			return fmt.Errorf("db: column %s: %w", m.fields[i].Name, err)
		}
	}
	widen(dest)
	return nil
}

func (m *memory) Err() error { return nil }

func (m *memory) Close() error {
	if m.types != nil {
		maps.Put(m.types)
		m.types, m.plans = nil, nil
	}
	m.rows = nil
	return nil
}

func (m *memory) Columns() ([]string, error) {
	var out []string
	for _, f := range m.fields {
		out = append(out, f.Name)
	}
	return out, nil
}
