package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgreSQL is spoken to through pgx itself and not through database/sql: each
// value would be boxed and converted twice on its way, and several statements
// could not share a round trip, which is most of what a small statement costs.

func openPostgres(ctx context.Context, c Config) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("db: database address: %w", err)
	}
	if c.Bulk {
		cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	}
	cfg.MaxConns = 16
	if c.MaxConns > 0 {
		cfg.MaxConns = int32(c.MaxConns)
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = 24 * time.Hour
	cfg.HealthCheckPeriod = 5 * time.Minute
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		readBools(c.TypeMap())
		return nil
	}
	// Left alone, the engine plans many of our statements anew each time, which
	// takes several times as long as running them: it hopes for a better plan with
	// the values known. Ours are written so that one index serves them whatever
	// the values are.
	cfg.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = idleInside
	cfg.ConnConfig.RuntimeParams["application_name"] = "bihuan"
	link := newLink()
	cfg.ConnConfig.DialFunc = link.dial
	pg, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("db: PostgreSQL: %w", err)
	}
	anew := cfg.Copy()
	anew.ConnConfig.RuntimeParams["plan_cache_mode"] = "auto"
	anew.MaxConns = max(2, cfg.MaxConns/2)
	pgAnew, err := pgxpool.NewWithConfig(ctx, anew)
	if err != nil {
		pg.Close()
		return nil, fmt.Errorf("db: PostgreSQL: %w", err)
	}
	d := &DB{dialect: Postgres, clock: c.Clock, strict: c.Strict, trouble: c.Trouble, url: c.URL, link: link, bus: newBus(), pg: pg, pgAnew: pgAnew, pool: stdlib.OpenDBFromPool(pg)}
	d.Hear(heldHints, d.dropHeld)
	if err := pg.Ping(ctx); err != nil {
		d.pool.Close()
		pg.Close()
		pgAnew.Close()
		return nil, fmt.Errorf("db: PostgreSQL does not answer: %w", err)
	}
	return d, nil
}

type planned struct{}

// Planned marks the reads of ctx as ones whose best plan depends on what is
// asked for, as with conditions people put together: PostgreSQL plans them with
// their values. Searches for words (@@) are planned so by themselves.
func Planned(ctx context.Context) context.Context { return context.WithValue(ctx, planned{}, true) }

func readBools(m *pgtype.Map) {
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{wrapBool}, m.TryWrapScanPlanFuncs...)
}

// wrapBool lets a SMALLINT, which is how both engines keep yes and no, be read
// into a bool.
func wrapBool(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
	if _, ok := target.(*bool); !ok {
		return nil, nil, false
	}
	return &boolPlan{}, new(int64), true
}

type boolPlan struct{ next pgtype.ScanPlan }

func (p *boolPlan) SetNext(next pgtype.ScanPlan) { p.next = next }

func (p *boolPlan) Scan(src []byte, target any) error {
	var n int64
	err := p.next.Scan(src, &n)
	*target.(*bool) = n != 0
	return err
}

// pgRows are rows as pgx gives them; done is called once when they are closed.
type pgRows struct {
	pgx.Rows
	ctx  context.Context
	done func() error
}

func (r pgRows) Close() error {
	r.Rows.Close()
	if r.done != nil {
		return lost(r.ctx, r.done())
	}
	return nil
}

func (r pgRows) Err() error { return lost(r.ctx, r.Rows.Err()) }

func (r pgRows) Columns() ([]string, error) {
	var out []string
	for _, f := range r.FieldDescriptions() {
		out = append(out, f.Name)
	}
	return out, nil
}

// Scan reads whole numbers into an any as int64, as SQLite does, whatever the
// column's width.
func (r pgRows) Scan(dest ...any) error {
	if err := r.Rows.Scan(dest...); err != nil {
		return lost(r.ctx, err)
	}
	widen(dest)
	return nil
}

func widen(dest []any) {
	for _, d := range dest {
		if p, ok := d.(*any); ok {
			switch v := (*p).(type) {
			case int16:
				*p = int64(v)
			case int32:
				*p = int64(v)
			}
		}
	}
}

// pgRow is the first of rows.
type pgRow struct {
	rows Rows
	err  error
}

func (r pgRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		if err := r.rows.Close(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	return r.rows.Close()
}

// pgResult tells how many rows a statement changed.
type pgResult struct{ pgconn.CommandTag }

func (r pgResult) LastInsertId() (int64, error) {
	return 0, errors.New("db: no such thing on PostgreSQL")
}
func (r pgResult) RowsAffected() (int64, error) { return r.CommandTag.RowsAffected(), nil }

// pgPool are the readers.
type pgPool struct {
	steady, anew *pgxpool.Pool
	db           *DB
}

func (p pgPool) of(ctx context.Context, q string) *pgxpool.Pool {
	if strings.Contains(q, "@@") || ctx.Value(planned{}) != nil {
		return p.anew
	}
	return p.steady
}

func (p pgPool) Query(ctx context.Context, q string, args ...any) (Rows, error) {
	pool := p.of(ctx, q)
	if g, ok := ctx.Value(gatherKey{}).(*gather); ok && pool == p.steady {
		return g.query(ctx, q, args)
	}
	if err := p.db.gone(); err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, q, args...)
	if err != nil {
		return nil, lost(ctx, err)
	}
	return pgRows{Rows: rows, ctx: ctx}, nil
}

func (p pgPool) QueryRow(ctx context.Context, q string, args ...any) Row {
	rows, err := p.Query(ctx, q, args...)
	return pgRow{rows, err}
}

func (p pgPool) Exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if err := p.db.gone(); err != nil {
		return nil, err
	}
	tag, err := p.steady.Exec(ctx, q, args...)
	return pgResult{tag}, lost(ctx, err)
}

// pgTx is a transaction. What is only to be done, and not asked about, waits in
// batch for the next statement that is, and goes with it in one round trip: so
// begin costs none, nor does commit.
type pgTx struct {
	conn  *pgx.Conn
	batch *pgx.Batch
	texts []string // of what waits, for its errors
	over  bool     // a statement failed: nothing but a rollback is possible
}

func (t *pgTx) later(q string, args []any) {
	t.batch.Queue(q, args...)
	t.texts = append(t.texts, q)
}

var errTxOver = errors.New("db: the transaction has failed before")

// send sends what waits and last behind it; the results are of last.
func (t *pgTx) send(ctx context.Context, last string, args []any) (pgx.BatchResults, error) {
	if t.over {
		return nil, errTxOver
	}
	t.batch.Queue(last, args...)
	res := t.conn.SendBatch(ctx, t.batch)
	texts := t.texts
	t.batch, t.texts = &pgx.Batch{}, nil
	for _, text := range texts {
		if _, err := res.Exec(); err != nil {
			t.over = true
			res.Close()
			return nil, fmt.Errorf("%w in %s", lost(ctx, err), firstLine(text))
		}
	}
	return res, nil
}

func (t *pgTx) Query(ctx context.Context, q string, args ...any) (Rows, error) {
	if len(t.texts) == 0 && !t.over {
		rows, err := t.conn.Query(ctx, q, args...)
		if err != nil {
			return nil, lost(ctx, err)
		}
		return pgRows{Rows: rows, ctx: ctx}, nil
	}
	res, err := t.send(ctx, q, args)
	if err != nil {
		return nil, err
	}
	rows, err := res.Query()
	if err != nil {
		res.Close()
		return nil, lost(ctx, err)
	}
	closed := false
	return pgRows{rows, ctx, func() error {
		if closed {
			return nil
		}
		closed = true
		return res.Close()
	}}, nil
}

func (t *pgTx) QueryRow(ctx context.Context, q string, args ...any) Row {
	rows, err := t.Query(ctx, q, args...)
	return pgRow{rows, err}
}

func (t *pgTx) Exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if len(t.texts) == 0 && !t.over {
		tag, err := t.conn.Exec(ctx, q, args...)
		return pgResult{tag}, lost(ctx, err)
	}
	res, err := t.send(ctx, q, args)
	if err != nil {
		return nil, err
	}
	tag, err := res.Exec()
	return pgResult{tag}, lost(ctx, errors.Join(err, closing(res, err)))
}

// closing closes res; where a statement has failed already its error is enough.
func closing(res pgx.BatchResults, err error) error {
	if cerr := res.Close(); err == nil {
		return cerr
	}
	return nil
}

const (
	serializationTries = 8
	lossTries          = 3
)

func (d *DB) writePostgres(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	losses := 0
	for try := 1; ; try++ {
		var undone bool
		undone, err = d.tryPostgres(ctx, fn)
		if undone && losses < lossTries && d.gone() == nil {
			losses++ // on another connection
			continue
		}
		var pg *pgconn.PgError
		// 40001 serialization_failure, 40P01 deadlock_detected: the engine asks for another try.
		if errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01") && try < serializationTries {
			continue
		}
		return err
	}
}

// tryPostgres runs fn in one transaction. undone says that the connection was
// lost before the commit was sent: nothing is stored, and the store itself may
// well be there.
func (d *DB) tryPostgres(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (undone bool, err error) {
	if err := d.gone(); err != nil {
		return false, err
	}
	conn, err := d.pg.Acquire(ctx)
	if err != nil {
		return false, noConn(ctx, err)
	}
	defer conn.Release() // a connection left inside a transaction is closed by it
	t := &pgTx{conn: conn.Conn(), batch: &pgx.Batch{}}
	t.later("begin", nil)
	tx := &Tx{Now: d.now(), q: t, db: d}
	if err := run(ctx, fn, tx); err != nil {
		t.rollback(ctx)
		return t.conn.IsClosed() && fault.Is(err, fault.Unavailable), err
	}
	if t.conn.PgConn().TxStatus() == 'I' && len(t.texts) == 1 {
		afterwards(tx.after) // it asked nothing and did nothing
		return false, nil
	}
	res, err := t.Exec(ctx, "commit")
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		t.rollback(ctx)
		return false, err
	case err != nil:
		return false, unavailable(err)
	}
	if r, ok := res.(pgResult); ok && r.String() == "ROLLBACK" {
		// A statement had failed and its error was swallowed: nothing is stored.
		return false, fault.New(fault.Unavailable, "db.unavailable").Wrap(errTxOver)
	}
	afterwards(tx.after)
	return false, nil
}

// noConn says why there is no connection: the caller gave up, or none can be had.
func noConn(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fault.New(fault.Unavailable, "db.unavailable").Wrap(err)
}

func (t *pgTx) rollback(ctx context.Context) {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	if _, err := t.conn.Exec(ctx, "rollback"); err != nil {
		t.conn.Close(ctx)
	}
}

// viewPostgres runs fn in one snapshot.
func (d *DB) viewPostgres(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	if err := d.gone(); err != nil {
		return err
	}
	conn, err := d.pg.Acquire(ctx)
	if err != nil {
		return noConn(ctx, err)
	}
	defer conn.Release()
	t := &pgTx{conn: conn.Conn(), batch: &pgx.Batch{}}
	t.later("begin isolation level repeatable read read only", nil)
	t.later("set local idle_in_transaction_session_timeout = 0", nil) // it holds no locks
	defer t.rollback(context.WithoutCancel(ctx))
	return fn(ctx, t)
}

var _ driver.Result = pgResult{}
