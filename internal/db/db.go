// Package db stores. It hides the few differences between its two engines,
// SQLite (the default, one file) and PostgreSQL, behind one way to read and one
// way to write; the SQL above it is written once, in the part both speak.
//
// What always holds: a Write that returned nil has been synced to disk; a Write
// that returned an error changed nothing; times are µs since 1970 in UTC.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/fault"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Dialect names an engine.
type Dialect string

const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Config says where the data is.
type Config struct {
	URL      string      // "postgres://…"; "" for SQLite in Dir
	Dir      string      // folder of bihuan.db; made when missing
	Clock    clock.Clock // nil: the machine's
	MaxConns int         // PostgreSQL connections; 0: 16
	Strict   bool        // for tests: [DB.Read] inside [DB.Write] is an error
	Bulk     bool        // to fill a store: the newest commits may be lost with the power, and SQLite takes more memory
	Trouble  Trouble     // for simulations: nil
}

// Trouble lets a simulation make writing fail. It is asked three times in each
// transaction; an error makes [DB.Write] fail with it.
type Trouble func(at Moment) error

// Moment is when [Trouble] is asked.
type Moment int

const (
	Begin  Moment = iota // nothing has been done
	Commit               // all has been done, and is taken back when it fails
	Answer               // all is stored; an error is an answer that got lost
)

// Querier reads and, inside a transaction, writes.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) Row
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Rows are the answer of a query; to be closed.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
	Columns() ([]string, error)
}

// Row is the first row of an answer; Scan returns sql.ErrNoRows when there is
// none.
type Row interface{ Scan(dest ...any) error }

// DB is an open store, safe for use by many goroutines.
type DB struct {
	dialect Dialect
	clock   clock.Clock
	strict  bool
	trouble Trouble
	asked   atomic.Int64 // statements through Read; counted when strict only
	path    string       // of the SQLite file
	url     string

	link   *link // PostgreSQL only, as the following
	bus    *bus
	pg     *pgxpool.Pool
	pgAnew *pgxpool.Pool // plans each statement with its values
	pool   *sql.DB       // SQLite: readers; PostgreSQL: a face of pg, for what is rare
	reads  *prepared

	writer  *sql.DB // SQLite only: one connection
	wconn   *sql.Conn
	wstmts  *prepared
	queue   chan *request // of those somebody waits for
	behind  chan *request // of those nobody waits for
	alone   chan *alone
	stop    chan struct{}
	done    chan struct{}
	closing sync.Once

	beforeCommit func(ctx context.Context, tx *Tx) error
	held         held
	front        front
}

// Tx is one transaction. Now is fixed for its whole length, so that all rows
// it writes agree, and has microsecond precision.
type Tx struct {
	Now time.Time
	q   Querier
	db  *DB

	after  []func()
	values map[any]any
}

// Query implements Querier.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return t.q.Query(ctx, query, args...)
}

// QueryRow implements Querier.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return t.q.QueryRow(ctx, query, args...)
}

// Exec implements Querier.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.q.Exec(ctx, query, args...)
}

// Later changes something nobody asks about: on PostgreSQL the statement goes
// with the next one, or with the commit, in one round trip, and its error is
// theirs. For what may be refused, as by a unique index, use Exec.
func (t *Tx) Later(ctx context.Context, query string, args ...any) error {
	if pg, ok := t.q.(*pgTx); ok {
		pg.later(query, args)
		return nil
	}
	_, err := t.q.Exec(ctx, query, args...)
	return err
}

// Once returns what make made for key the first time in this transaction: what
// would be read again and again is read once. What it holds must be kept in step
// by those who change it.
func (t *Tx) Once(key any, make func() (any, error)) (any, error) {
	if v, ok := t.values[key]; ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return nil, err
	}
	t.Keep(key, v)
	return v, nil
}

// Keep sets what Once returns for key; nil takes it away.
func (t *Tx) Keep(key, v any) {
	if v == nil {
		delete(t.values, key)
		return
	}
	if t.values == nil {
		t.values = map[any]any{}
	}
	t.values[key] = v
}

// Kept returns what was made or kept for key; nil for nothing.
func (t *Tx) Kept(key any) any { return t.values[key] }

// Dialect returns the engine the transaction runs on.
func (t *Tx) Dialect() Dialect { return t.db.dialect }

// NowMicros is Now as it is stored.
func (t *Tx) NowMicros() int64 { return Micros(t.Now) }

// AfterCommit runs f once the transaction is safely on disk; never when it
// failed. f must be quick.
func (t *Tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// ForUpdate is the row lock to append to a SELECT: empty on SQLite, which has
// one writer anyway.
func (t *Tx) ForUpdate() string { return t.db.dialect.ForUpdate() }

// ForUpdate is the row lock to append to a SELECT.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// Bytes is the type of a BYTES column, for a CAST.
func (d Dialect) Bytes() string {
	if d == Postgres {
		return "BYTEA"
	}
	return "BLOB"
}

// SkipLocked locks the rows nobody else has locked.
func (d Dialect) SkipLocked() string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// Open opens the store; it does not bring the schema up to date (see Migrate).
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	if c.URL != "" {
		return openPostgres(ctx, c)
	}
	return openSQLite(ctx, c)
}

func openSQLite(ctx context.Context, c Config) (*DB, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("db: data folder: %w", err)
	}
	path := filepath.Join(c.Dir, "bihuan.db")
	// The folder may have been there before, open to others. SQLite gives its
	// side files the rights of the database.
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("db: open %s: %w", path, err)
	}
	// FULL: with NORMAL a power cut may take back what was already answered.
	common := "file:" + (&urlPath{path}).String() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)"
	writer := "&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-8000)"
	if c.Bulk {
		// Temporary files on disk: building an index over a million rows sorts them.
		writer = "&_pragma=synchronous(NORMAL)&_pragma=temp_store(FILE)&_pragma=cache_size(-49152)&_pragma=wal_autocheckpoint(16000)"
	}
	w, err := sql.Open("sqlite", common+"&_txlock=immediate"+writer)
	if err != nil {
		return nil, fmt.Errorf("db: open: %w", err)
	}
	w.SetMaxOpenConns(1)
	conn, err := w.Conn(ctx)
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("db: open %s: %w", path, err)
	}
	// No mmap: the engine maps the file anew after every commit, which costs what
	// it saves, and its pages count as the process's memory.
	r, err := sql.Open("sqlite", common+"&_pragma=temp_store(MEMORY)&_pragma=query_only(1)&_pragma=cache_size(-2000)")
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("db: open: %w", err)
	}
	n := max(4, runtime.NumCPU()*2)
	r.SetMaxOpenConns(n)
	r.SetMaxIdleConns(n)
	d := &DB{dialect: SQLite, clock: c.Clock, strict: c.Strict, trouble: c.Trouble, path: path, pool: r, writer: w, wconn: conn,
		queue: make(chan *request, 256), behind: make(chan *request, 64), alone: make(chan *alone), stop: make(chan struct{}), done: make(chan struct{})}
	d.reads = newPrepared(func(ctx context.Context, q string) (*sql.Stmt, error) { return r.PrepareContext(ctx, q) })
	d.reads.db = d
	d.wstmts = newPrepared(func(ctx context.Context, q string) (*sql.Stmt, error) { return conn.PrepareContext(ctx, q) })
	go d.writeLoop()
	return d, nil
}

type urlPath struct{ p string }

// String escapes what would end a file: address.
func (u *urlPath) String() string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(u.p)
}

// Close waits for the transactions under way and closes the store.
func (d *DB) Close() error {
	var err error
	d.closing.Do(func() {
		if d.dialect == SQLite {
			close(d.stop)
			<-d.done
			d.wstmts.close()
			d.reads.close()
			d.wconn.Close()
			err = errors.Join(d.pool.Close(), d.writer.Close())
			return
		}
		err = d.pool.Close()
		d.pg.Close()
		d.pgAnew.Close()
	})
	return err
}

// Dialect returns the engine.
func (d *DB) Dialect() Dialect { return d.dialect }

// Clock returns the clock transactions take their Now from.
func (d *DB) Clock() clock.Clock { return d.clock }

// Path returns the SQLite file, "" on PostgreSQL.
func (d *DB) Path() string { return d.path }

// Ping reports whether the store answers.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.gone(); err != nil {
		return err
	}
	if err := d.pool.PingContext(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// BeforeCommit sets what runs at the end of every SQLite batch, inside its
// transaction: the sealing of events. On PostgreSQL the caller seals in a
// transaction of its own. To be set before the first Write.
func (d *DB) BeforeCommit(f func(ctx context.Context, tx *Tx) error) { d.beforeCommit = f }

// Read returns a querier over the readers; each statement sees the newest
// committed data. It is not for use inside a Write: there it would miss what the
// transaction has done, and on PostgreSQL wait for a second connection, which
// never comes when all are held by transactions that wait like this one.
func (d *DB) Read() Querier {
	var q Querier = d.reads
	if d.dialect == Postgres {
		q = pgPool{d.pg, d.pgAnew, d}
	}
	if d.strict {
		return strictRead{q, &d.asked}
	}
	return q
}

// Asked is how many statements were read so far through [DB.Read], for tests of
// what a page costs: it counts only when Config.Strict is set.
func (d *DB) Asked() int64 { return d.asked.Load() }

// View runs fn with a querier whose statements all see the same moment.
func (d *DB) View(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	if d.dialect == Postgres {
		return d.viewPostgres(ctx, fn)
	}
	tx, err := d.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return unavailable(err)
	}
	defer tx.Rollback()
	return fn(ctx, plainTx{tx})
}

// Write runs fn in one transaction and returns nil only after that is on disk.
// fn may be run again when the engine asks for it, so it must have no effect
// but through tx (and tx.AfterCommit). It must be short and must not call
// Write. Once begun it is not cut short by ctx: half an action helps nobody.
func (d *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if InWrite(ctx) {
		return errors.New("db: Write inside Write would wait for itself")
	}
	d.GiveWay(ctx)
	fn = fenced(ctx, fn)
	ctx = context.WithValue(context.WithoutCancel(ctx), inWrite{}, true)
	if d.trouble != nil {
		return d.troubled(ctx, fn)
	}
	return d.write(ctx, fn)
}

// troubled is write with what a simulation puts in its way.
func (d *DB) troubled(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if err := d.trouble(Begin); err != nil {
		return unavailable(err)
	}
	err := d.write(ctx, func(ctx context.Context, tx *Tx) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		if err := d.trouble(Commit); err != nil {
			return unavailable(err)
		}
		return nil
	})
	if err == nil {
		if err = d.trouble(Answer); err != nil {
			return unavailable(err)
		}
	}
	return err
}

func (d *DB) write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if d.dialect == Postgres {
		return d.writePostgres(ctx, fn)
	}
	req := &request{ctx: ctx, fn: fn, done: make(chan error, 1)}
	queue := d.queue
	if ctx.Value(isBehind{}) != nil {
		req.behind, queue = true, d.behind
	}
	select {
	case queue <- req:
	case <-d.stop:
		return fault.New(fault.Unavailable, "db.closing")
	}
	select {
	case err := <-req.done:
		return err
	case <-d.done:
		select {
		case err := <-req.done:
			return err
		default:
			return fault.New(fault.Unavailable, "db.closing")
		}
	}
}

// inWrite marks the context of a transaction.
type inWrite struct{}

// InWrite reports whether ctx is that of a Write under way.
func InWrite(ctx context.Context) bool { return ctx.Value(inWrite{}) != nil }

// strictRead refuses to read beside the transaction under way.
type strictRead struct {
	q     Querier
	asked *atomic.Int64
}

var errReadInWrite = errors.New("db: Read inside Write: use the transaction")

func (r strictRead) Query(ctx context.Context, q string, args ...any) (Rows, error) {
	if InWrite(ctx) {
		return nil, errReadInWrite
	}
	r.asked.Add(1)
	return r.q.Query(ctx, q, args...)
}

func (r strictRead) QueryRow(ctx context.Context, q string, args ...any) Row {
	if InWrite(ctx) {
		return badRow{errReadInWrite}
	}
	r.asked.Add(1)
	return r.q.QueryRow(ctx, q, args...)
}

func (r strictRead) Exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if InWrite(ctx) {
		return nil, errReadInWrite
	}
	return r.q.Exec(ctx, q, args...)
}

func (d *DB) now() time.Time { return d.clock.Now().UTC().Truncate(time.Microsecond) }

// afterwards runs what waited for the commit. A panic in it must not look like
// a failed commit, nor take the only writer with it.
func afterwards(fs []func()) {
	for _, f := range fs {
		func() {
			defer func() {
				if p := recover(); p != nil {
					slog.Error("db: panic after commit", "panic", p, "stack", stack())
				}
			}()
			f()
		}()
	}
}

func stack() string {
	buf := make([]byte, 8<<10)
	return string(buf[:runtime.Stack(buf, false)])
}

// run calls fn and turns a panic into an error, so that one bad action does
// not take the store with it.
func run(ctx context.Context, fn func(ctx context.Context, tx *Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("db: panic in transaction: %v\n%s", p, stack())
		}
	}()
	return fn(ctx, tx)
}

func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, "db.unavailable").Wrap(err)
}

// IsUnique reports whether err says that a unique value is already taken, and
// whether constraint (a column or index name) is named in it; "" matches any.
func IsUnique(err error, constraint string) bool {
	if err == nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505" && (strings.Contains(pg.ConstraintName, constraint) || strings.Contains(pg.Message+pg.Detail, constraint))
	}
	s := err.Error()
	return strings.Contains(s, "UNIQUE constraint failed") && strings.Contains(s, constraint)
}

// Micros is t as stored: µs since 1970 in UTC; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the time behind a stored value; 0 is the zero time.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Args collects the arguments of a query that is put together.
type Args struct{ Values []any }

// Add appends v and returns its placeholder.
func (a *Args) Add(v any) string {
	a.Values = append(a.Values, v)
	return fmt.Sprintf("$%d", len(a.Values))
}

// AddInts appends all ids and returns "$4,$5,…"; "NULL" for none, which no
// IN (…) matches.
func (a *Args) AddInts(ids []int64) string {
	if len(ids) == 0 {
		return "NULL"
	}
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.Add(id))
	}
	return b.String()
}

// Bool is b as stored in a SMALLINT column.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// NullID is id for a nullable reference: NULL for 0.
func NullID(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

type plainTx struct{ tx *sql.Tx }

func (p plainTx) Query(ctx context.Context, q string, args ...any) (Rows, error) {
	rows, err := p.tx.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}
func (p plainTx) QueryRow(ctx context.Context, q string, args ...any) Row {
	return p.tx.QueryRowContext(ctx, q, args...)
}
func (p plainTx) Exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return p.tx.ExecContext(ctx, q, args...)
}

// request is a transaction waiting for the SQLite writer.
type request struct {
	ctx  context.Context
	fn   func(ctx context.Context, tx *Tx) error
	done chan error

	behind bool
}

// maxBatch bounds how many transactions share one sync, and so how long the
// first of them waits.
const maxBatch = 64

// writeLoop is the only writer of SQLite. Transactions that wait together
// share one commit and so one sync of the disk; each is answered only after it.
// Those somebody waits for come first.
func (d *DB) writeLoop() {
	defer close(d.done)
	for passed := 0; ; passed++ { // passed counts batches since anybody behind had his turn
		if passed < patience {
			select {
			case req := <-d.queue:
				d.batch(req)
				continue
			default:
			}
		}
		select {
		case req := <-d.behind:
			passed = 0
			d.batch(req)
			continue
		case a := <-d.alone:
			passed = 0
			a.done <- a.do(a.ctx, d.wconn)
			continue
		default:
		}
		select {
		case req := <-d.queue:
			d.batch(req)
		case req := <-d.behind:
			passed = 0
			d.batch(req)
		case a := <-d.alone:
			passed = 0
			a.done <- a.do(a.ctx, d.wconn)
		case <-d.stop:
			for {
				req := d.next(true)
				if req == nil {
					return
				}
				d.batch(req)
			}
		}
	}
}

// next returns the request that has waited longest, of those behind only when
// there is no other and the caller takes them; nil: none waits.
func (d *DB) next(behind bool) *request {
	select {
	case req := <-d.queue:
		return req
	default:
	}
	if behind {
		select {
		case req := <-d.behind:
			return req
		default:
		}
	}
	return nil
}

// batch runs first and what waits behind it, at most maxBatch, in one
// transaction.
func (d *DB) batch(first *request) {
	ctx := context.Background()
	exec := func(q string) error { _, err := d.wstmts.Exec(ctx, q); return err }
	begun, since, front := false, time.Now(), false
	type waiting struct {
		req   *request
		after []func()
	}
	var ok []waiting
	fail := func(err error) {
		if begun {
			if rerr := exec("ROLLBACK"); rerr != nil {
				slog.Error("db: rollback", "err", rerr)
			}
		}
		for _, w := range ok {
			w.req.done <- unavailable(err)
		}
	}
	for n, req := 1, first; req != nil; n++ {
		front = front || !req.behind
		if !begun {
			if err := exec("BEGIN IMMEDIATE"); err != nil {
				// After a failed ROLLBACK the connection may still be in a transaction.
				_ = exec("ROLLBACK")
				req.done <- unavailable(err)
				return
			}
			begun = true
		}
		// A savepoint is needed only when there is something before it to keep.
		save := len(ok) > 0
		if save {
			if err := exec("SAVEPOINT s"); err != nil {
				req.done <- unavailable(err)
				fail(err)
				return
			}
		}
		tx := &Tx{Now: d.now(), q: d.wstmts, db: d}
		if err := run(req.ctx, req.fn, tx); err != nil {
			var rerr error
			if save {
				if rerr = exec("ROLLBACK TO s"); rerr == nil {
					rerr = exec("RELEASE s")
				}
			} else {
				rerr = exec("ROLLBACK")
				begun = false
			}
			req.done <- err
			if rerr != nil {
				fail(rerr)
				return
			}
		} else {
			ok = append(ok, waiting{req, tx.after})
			if save {
				if err := exec("RELEASE s"); err != nil {
					fail(err)
					return
				}
			}
		}
		if req = nil; n < maxBatch {
			req = d.next(!front && time.Since(since) < together) // nobody in front waits for those behind
		}
	}
	if !begun {
		return
	}
	if d.beforeCommit != nil && len(ok) > 0 {
		tx := &Tx{Now: d.now(), q: d.wstmts, db: d}
		if err := run(ctx, d.beforeCommit, tx); err != nil {
			fail(fmt.Errorf("db: before commit: %w", err))
			return
		}
		ok[len(ok)-1].after = append(ok[len(ok)-1].after, tx.after...)
	}
	if err := exec("COMMIT"); err != nil {
		fail(err)
		return
	}
	for _, w := range ok {
		afterwards(w.after)
		w.req.done <- nil
	}
}

// prepared keeps statements compiled: compiling costs more than most of them
// take to run.
type prepared struct {
	prepare func(ctx context.Context, q string) (*sql.Stmt, error)
	db      *DB // may be nil
	mu      sync.RWMutex
	m       map[string]*sql.Stmt
}

// maxPrepared bounds the memory of filters put together by people; the
// constant statements of the program are fewer.
const maxPrepared = 600

func newPrepared(f func(ctx context.Context, q string) (*sql.Stmt, error)) *prepared {
	return &prepared{prepare: f, m: map[string]*sql.Stmt{}}
}

func (p *prepared) get(ctx context.Context, q string) (*sql.Stmt, error) {
	p.mu.RLock()
	s := p.m[q]
	p.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := p.prepare(context.WithoutCancel(ctx), unnamed(steady(q)))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.m[q]; old != nil {
		s.Close()
		return old, nil
	}
	if len(p.m) >= maxPrepared {
		for k, old := range p.m { // any one: the hot ones come back at once
			delete(p.m, k)
			old.Close() // waits for its open rows
			break
		}
	}
	p.m[q] = s
	return s, nil
}

var limitValue = regexp.MustCompile(`\bLIMIT \$`)

// steady keeps SQLite from making the plan of a statement anew at each run, which
// takes longer than most of ours run: it does so to look at the value of a LIMIT,
// unless the value stands in an expression.
func steady(q string) string { return limitValue.ReplaceAllString(q, "LIMIT +$$") }

// unnamed writes placeholders that are numbered in their order, each used once,
// as "?". To SQLite "$1" is a name, and binding by name looks through the list
// of names for each: half the time of an insert of many rows. Other queries are
// returned as they are.
func unnamed(q string) string {
	var b strings.Builder
	next, from := 1, 0
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case '\'', '"':
			end := strings.IndexByte(q[i+1:], q[i])
			if end < 0 {
				return q
			}
			i += end + 1
		case '?':
			return q
		case '$':
			end := i + 1
			for end < len(q) && q[end] >= '0' && q[end] <= '9' {
				end++
			}
			if n, err := strconv.Atoi(q[i+1 : end]); err != nil || n != next {
				return q
			}
			b.WriteString(q[from:i])
			b.WriteByte('?')
			next, from = next+1, end
			i = end - 1
		}
	}
	b.WriteString(q[from:])
	return b.String()
}

func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, s := range p.m {
		s.Close()
		delete(p.m, k)
	}
}

// closed reports whether a statement was evicted between being found and being
// used. Nothing has been done with it then.
func closed(err error) bool { return err != nil && err.Error() == "sql: statement is closed" }

// with calls f with the statement of q; once more when it was evicted meanwhile,
// which people who put many filters together can bring about. In the end it is
// prepared for this call only.
func (p *prepared) with(ctx context.Context, q string, f func(ctx context.Context, s *sql.Stmt) error) error {
	// With a context that can end, two goroutines watch over each statement, which
	// costs as much as most of them take. They are short: the next is not begun.
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for range 3 {
		s, err := p.get(ctx, q)
		if err != nil {
			return fmt.Errorf("%w in %s", err, firstLine(q))
		}
		if err = f(ctx, s); !closed(err) {
			return err
		}
	}
	s, err := p.prepare(context.WithoutCancel(ctx), unnamed(steady(q)))
	if err != nil {
		return fmt.Errorf("%w in %s", err, firstLine(q))
	}
	defer s.Close() // its rows go on
	return f(ctx, s)
}

func (p *prepared) Query(ctx context.Context, q string, args ...any) (Rows, error) {
	var rows *sql.Rows
	err := p.with(ctx, q, func(ctx context.Context, s *sql.Stmt) (err error) {
		rows, err = s.QueryContext(ctx, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (p *prepared) QueryRow(ctx context.Context, q string, args ...any) Row {
	var row *sql.Row
	err := p.with(ctx, q, func(ctx context.Context, s *sql.Stmt) error { row = s.QueryRowContext(ctx, args...); return row.Err() })
	if row == nil {
		return badRow{err}
	}
	return row
}

func (p *prepared) Exec(ctx context.Context, q string, args ...any) (res sql.Result, err error) {
	err = p.with(ctx, q, func(ctx context.Context, s *sql.Stmt) (err error) { res, err = s.ExecContext(ctx, args...); return err })
	return res, err
}

func firstLine(q string) string {
	q = strings.Join(strings.Fields(q), " ")
	if len(q) > 120 {
		q = q[:120]
	}
	return q
}

// Statistics tells SQLite's planner how the data lies; PostgreSQL looks by
// itself. It reads a thousand keys of each index, so it takes milliseconds, and
// for another reason too: a full ANALYZE would keep samples (sqlite_stat4), with
// which the planner plans every statement anew for each value bound to it.
func (d *DB) Statistics(ctx context.Context) error {
	if d.dialect == Postgres {
		return nil
	}
	return d.Write(ctx, func(ctx context.Context, tx *Tx) error {
		for _, q := range []string{`PRAGMA analysis_limit = 1000`, `ANALYZE`} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return fmt.Errorf("db: statistics: %w", err)
			}
		}
		return nil
	})
}

// Tidy brings the engine's statistics up to date and empties its log, after a
// store has been filled.
func (d *DB) Tidy(ctx context.Context) error {
	if d.dialect == Postgres {
		_, err := d.pool.ExecContext(ctx, `VACUUM ANALYZE`)
		return err
	}
	if err := d.Statistics(ctx); err != nil {
		return err
	}
	// The pool of readers has no right to; the checkpoint needs no transaction.
	conn, err := sql.Open("sqlite", "file:"+(&urlPath{d.path}).String()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}
