package db

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgreSQL may go away: stopped, cut off, or so stuck that nothing comes back.
// Nobody should wait for it then until some timeout ends. One connection of its
// own asks every second whether it is there; while it is not, every statement
// fails at once, and so do those that were under way.

const (
	// lookEvery is how often the store is asked whether it is there.
	lookEvery = time.Second
	// answerWithin is how long it may take to answer; longer only counts as away
	// while nothing has come from it on any connection either.
	answerWithin = 2 * time.Second
	// idleInside is how long a transaction may hold its locks without a word: a
	// process that was stopped, or cut off, holds up the others no longer.
	idleInside = "10s"
)

// link is every connection of this process to the store.
type link struct {
	dialer net.Dialer
	began  time.Time
	heard  atomic.Int64 // when something last came from it, since began
	away   atomic.Pointer[absence]
	ahead  atomic.Int64 // how much this machine's clock is ahead of the store's, µs

	mu    sync.Mutex
	wires map[*wire]struct{}
	back  []func() // called when the store is there again
}

type absence struct {
	since time.Time
	why   error
}

func newLink() *link {
	l := &link{began: time.Now(), wires: map[*wire]struct{}{}} // measures, never a business time
	l.dialer.Timeout = 5 * time.Second
	l.dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}
	return l
}

// wire is one connection.
type wire struct {
	net.Conn
	l *link
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.l.heard.Store(int64(time.Since(w.l.began)))
	}
	return n, err
}

func (w *wire) Close() error {
	w.l.mu.Lock()
	delete(w.l.wires, w)
	w.l.mu.Unlock()
	return w.Conn.Close()
}

// probing marks the context of the one connection that is made while the store
// is away.
type probing struct{}

var errAway = errors.New("db: the store is away")

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	probe := ctx.Value(probing{}) != nil
	if l.away.Load() != nil && !probe {
		return nil, errAway
	}
	c, err := l.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &wire{c, l}
	if !probe {
		l.mu.Lock()
		l.wires[w] = struct{}{}
		l.mu.Unlock()
	}
	return w, nil
}

// cut ends every connection but that of the probe, and with it what waits there.
func (l *link) cut() {
	l.mu.Lock()
	all := make([]*wire, 0, len(l.wires))
	for w := range l.wires {
		all = append(all, w)
	}
	l.mu.Unlock()
	for _, w := range all {
		w.Close()
	}
}

// gone returns the fault of a store that is known to be away, nil while it is
// there.
func (d *DB) gone() error {
	if d.link == nil {
		return nil
	}
	if a := d.link.away.Load(); a != nil {
		return fault.New(fault.Unavailable, "db.unavailable").Wrap(errAway)
	}
	return nil
}

// Away reports since when the store has been away; the zero time while it is
// there. Only a store that is watched is ever known to be away.
func (d *DB) Away() time.Time {
	if d.link != nil {
		if a := d.link.away.Load(); a != nil {
			return a.since
		}
	}
	return time.Time{}
}

// Ahead is how much the machine's clock was ahead of the store's when it was
// last asked; 0 on SQLite.
func (d *DB) Ahead() time.Duration {
	if d.link == nil {
		return 0
	}
	return time.Duration(d.link.ahead.Load()) * time.Microsecond
}

// OnBack adds what is done when the store is there again; before Watch. f must
// be quick.
func (d *DB) OnBack(f func()) {
	if d.link != nil {
		d.link.back = append(d.link.back, f)
	}
}

// Watch asks the store again and again whether it is there, until ctx ends. On
// SQLite there is nothing to watch.
func (d *DB) Watch(ctx context.Context) {
	if d.link == nil {
		<-ctx.Done()
		return
	}
	p := &probe{d: d}
	defer p.close()
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-d.clock.After(lookEvery):
		}
	}
}

// probe is the connection that asks.
type probe struct {
	d    *DB
	conn *pgx.Conn
	said bool // that the clocks differ
}

func (p *probe) close() {
	if p.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.conn.Close(ctx)
		p.conn = nil
	}
}

func (p *probe) look(ctx context.Context) {
	l := p.d.link
	err := p.ask(ctx)
	if err != nil && l.away.Load() == nil {
		err = p.ask(ctx) // the connection alone may have been lost
	}
	if ctx.Err() != nil {
		return
	}
	was := l.away.Load()
	switch {
	case err == nil && was != nil:
		l.away.Store(nil)
		slog.Warn("db: the store is back", "after", time.Since(was.since).Round(time.Millisecond).String())
		for _, f := range l.back {
			f()
		}
	case err != nil && was == nil && p.dead(err):
		l.away.Store(&absence{time.Now(), err})
		slog.Warn("db: the store is away", "err", err)
		l.cut()
		p.d.pg.Reset()
		p.d.pgAnew.Reset()
	}
}

// dead reports whether err says that the store is away, and not only that this
// question had no luck: a store that is very busy answers others meanwhile.
func (p *probe) dead(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "08")
	}
	var slow net.Error
	if !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &slow) && slow.Timeout()) {
		return true // refused, or cut off at once
	}
	l := p.d.link
	return time.Since(l.began)-time.Duration(l.heard.Load()) >= answerWithin
}

func (p *probe) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, probing{}, true), answerWithin)
	defer cancel()
	if p.conn == nil {
		cfg := p.d.pg.Config().ConnConfig.Copy()
		cfg.ConnectTimeout = answerWithin
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return err
		}
		p.conn = conn
	}
	began := time.Now()
	var now int64
	if err := p.conn.QueryRow(ctx, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&now); err != nil {
		p.close()
		return err
	}
	ahead := began.Add(time.Since(began) / 2).Sub(time.UnixMicro(now))
	p.d.link.ahead.Store(ahead.Microseconds())
	if far := ahead.Abs() > ClocksApart; far != p.said {
		p.said = far
		if far {
			slog.Error("db: this machine's clock and the store's differ; set both by NTP", "ahead", ahead.Round(time.Millisecond).String())
		}
	}
	return nil
}

// ClocksApart is how far the clocks of machines may be apart without a word.
const ClocksApart = 2 * time.Second

// lost turns an error that says the connection broke, or none could be made,
// into the fault people are told; others, and those of a caller who gave up, stay
// as they are.
func lost(ctx context.Context, err error) error {
	if !broken(ctx, err) {
		return err
	}
	if _, ok := fault.As(err); ok {
		return err
	}
	return fault.New(fault.Unavailable, "db.unavailable").Wrap(err)
}

func broken(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// 08 connection; 57P01 … 03 shut down, crashed, starting; 25P03 idle too long inside a transaction; 53300 too many connections.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P0") || pg.Code == "25P03" || pg.Code == "53300"
	}
	var refused *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, errAway) || errors.Is(err, pgconn.ErrConnClosed) || errors.As(err, &refused) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) || strings.HasSuffix(err.Error(), "conn closed")
}
