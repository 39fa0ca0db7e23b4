package db_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
)

// two opens the same PostgreSQL database twice, as two nodes do.
func two(t *testing.T) (a, b *db.DB) {
	t.Helper()
	server := os.Getenv("BIHUAN_TEST_POSTGRES")
	if server == "" {
		t.Skip("BIHUAN_TEST_POSTGRES is not set")
	}
	d, _ := dbtest.NewPostgres(t, server)
	open := func() *db.DB {
		x, err := db.Open(context.Background(), db.Config{URL: d.URL(), MaxConns: 3})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		return x
	}
	return open(), open()
}

type thing struct{ n int }

func TestHintsReachOtherNodes(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	heard := map[*db.DB]chan string{a: make(chan string, 100), b: make(chan string, 100)}
	for d, c := range heard {
		d.Hear("test", func(text string) { c <- text })
		wg.Go(func() { d.Talk(ctx) })
		if first := <-c; first != "" {
			t.Fatalf("heard %q before anything was said", first)
		}
	}
	a.Tell("test", "你好 \"quoted\"")
	a.Tell("test", "你好 \"quoted\"") // a moment's repetition is said once
	a.Tell("test", "more")
	for _, want := range []string{"你好 \"quoted\"", "more"} {
		if got := <-heard[b]; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	b.Tell("test", "back")
	if got := <-heard[a]; got != "back" {
		t.Errorf("heard %q; its own words are not told to a node", got)
	}

	// What is held is read anew once another node has changed it, long before its
	// five seconds are over.
	loads := 0
	get := func() int {
		v, err := db.Held(ctx, b.Read(), thing{1}, func() (int, error) { loads++; return loads, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if one, again := get(), get(); one != 1 || again != 1 {
		t.Fatal("not held")
	}
	err := a.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		tx.Drop(thing{2})
		tx.Drop(thing{1})
		_, err := tx.Exec(ctx, `SELECT 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Tell("test", "dropped") // behind the others
	<-heard[b]
	if v := get(); v != 2 {
		t.Errorf("what another node dropped is held: %d", v)
	}
}

func TestFencedWrites(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		lost := errors.New("lost")
		var ours error
		ctx := db.Fenced(context.Background(), func(ctx context.Context, tx *db.Tx) error { return ours })
		write := func(ctx context.Context, name string) error {
			return d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, name)
				return err
			})
		}
		if err := write(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		ours = lost
		if err := write(ctx, "b"); !errors.Is(err, lost) {
			t.Errorf("%v", err)
		}
		if err := write(context.WithoutCancel(ctx), "c"); !errors.Is(err, lost) {
			t.Errorf("%v", err)
		}
		inner := db.Fenced(ctx, func(ctx context.Context, tx *db.Tx) error { return nil })
		if err := write(inner, "d"); !errors.Is(err, lost) {
			t.Errorf("a second fence opens the first: %v", err)
		}
		var n int
		if err := d.Read().QueryRow(context.Background(), `SELECT COUNT(*) FROM counters WHERE name IN ('a', 'b', 'c', 'd')`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// A connection that breaks inside a transaction is not the person's trouble: the
// transaction is made again on another one. A store that is not there is.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	ctx := context.Background()
	tries := 0
	err := a.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		tries++
		var pid int
		if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ('broken', 1)`); err != nil {
			return err
		}
		if tries == 1 {
			if _, err := b.Read().Exec(context.Background(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
				t.Error(err)
			}
		}
		_, err := tx.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = 'broken'`)
		return err
	})
	var n int
	if qerr := b.Read().QueryRow(ctx, `SELECT n FROM counters WHERE name = 'broken'`).Scan(&n); err != nil || qerr != nil || n != 2 || tries != 2 {
		t.Errorf("%d tries, n = %d, %v, %v", tries, n, err, qerr)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := db.Open(ctx, db.Config{URL: dbtest.By(t, a.URL(), l.Addr().String())}); err == nil {
		t.Error("a store that is not there opens")
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	server := os.Getenv("BIHUAN_TEST_POSTGRES")
	if server == "" {
		t.Skip("BIHUAN_TEST_POSTGRES is not set")
	}
	d, _ := dbtest.NewPostgres(t, server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := l.Addr().String()
	var mu sync.Mutex
	var open []net.Conn
	pass := func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := dbtest.Dial(d.URL())
			if err != nil {
				c.Close()
				continue
			}
			mu.Lock()
			open = append(open, c, s)
			mu.Unlock()
			for _, x := range [][2]net.Conn{{c, s}, {s, c}} {
				go func() {
					buf := make([]byte, 4096)
					for {
						n, err := x[0].Read(buf)
						if err != nil {
							x[1].Close()
							return
						}
						if _, err := x[1].Write(buf[:n]); err != nil {
							return
						}
					}
				}()
			}
		}
	}
	go pass(l)
	clk := clock.NewFake(dbtest.Start)
	x, err := db.Open(context.Background(), db.Config{URL: dbtest.By(t, d.URL(), front), Clock: clk, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	back := make(chan bool, 10)
	x.OnBack(func() { back <- true })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() { x.Watch(ctx); close(done) }()
	defer func() { stop(); <-done }()

	l.Close()
	mu.Lock()
	for _, c := range open {
		c.Close()
	}
	open = nil
	mu.Unlock()
	turn := func(until func() bool) {
		for began := time.Now(); !until() && time.Since(began) < 30*time.Second; {
			clk.Advance(time.Second)
		}
	}
	turn(func() bool { return !x.Away().IsZero() })
	began := time.Now()
	var n int
	if err := x.Read().QueryRow(ctx, `SELECT 1`).Scan(&n); !fault.Is(err, fault.Unavailable) {
		t.Errorf("away: %v", err)
	}
	if err := x.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("away: %v", err)
	}
	if err := x.Ping(ctx); !fault.Is(err, fault.Unavailable) {
		t.Errorf("away: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s to say that the store is away", took)
	}
	l, err = net.Listen("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go pass(l)
	turn(func() bool { return x.Away().IsZero() })
	<-back
	if err := x.Read().QueryRow(ctx, `SELECT 1`).Scan(&n); err != nil {
		t.Errorf("back: %v", err)
	}
}
