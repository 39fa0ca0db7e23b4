// Package dbtest gives each test a fresh, migrated store of its own. Room tests
// run on SQLite always, and on PostgreSQL when BIHUAN_TEST_POSTGRES names a
// server (postgres://… of a user who may create databases).
package dbtest

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Start is the instant the clock of a test stands at: a Thursday morning in
// China.
var Start = time.Date(2026, 11, 19, 1, 0, 0, 0, time.UTC)

// Each runs f on a fresh store of every engine there is.
func Each(t *testing.T, f func(t *testing.T, d *db.DB, c *clock.Fake)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d, c := New(t)
		f(t, d, c)
	})
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			d, c := NewPostgres(t, server)
			f(t, d, c)
		})
	}
}

var template struct {
	once sync.Once
	file []byte
	err  error
}

// New returns a fresh SQLite store and its clock. The schema is made once per
// process and copied: sixty migrations a test would be most of the test.
func New(t testing.TB) (*db.DB, *clock.Fake) {
	t.Helper()
	template.once.Do(func() {
		dir, err := os.MkdirTemp("", "bihuan-template-")
		if err != nil {
			template.err = err
			return
		}
		defer os.RemoveAll(dir)
		d, err := db.Open(context.Background(), db.Config{Dir: dir})
		if err == nil {
			err = d.Migrate(context.Background())
		}
		if err == nil {
			err = d.Close()
		}
		if err == nil {
			template.file, err = os.ReadFile(filepath.Join(dir, "bihuan.db"))
		}
		template.err = err
	})
	if template.err != nil {
		t.Fatal(template.err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bihuan.db"), template.file, 0o600); err != nil {
		t.Fatal(err)
	}
	c := clock.NewFake(Start)
	d, err := db.Open(context.Background(), db.Config{Dir: dir, Clock: c, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, c
}

var pg struct {
	once sync.Once
	name string
	err  error
	n    atomic.Int64
}

// NewPostgres returns a fresh database on server, dropped with the test.
func NewPostgres(t testing.TB, server string) (*db.DB, *clock.Fake) {
	t.Helper()
	ctx := context.Background()
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	pg.once.Do(func() {
		pg.name = fmt.Sprintf("bihuan_t%d_%d", os.Getpid(), time.Now().UnixNano()%1e9)
		if _, pg.err = admin.ExecContext(ctx, "CREATE DATABASE "+pg.name); pg.err != nil {
			return
		}
		var d *db.DB
		if d, pg.err = db.Open(ctx, db.Config{URL: with(server, pg.name), MaxConns: 2}); pg.err != nil {
			return
		}
		if pg.err = d.Migrate(ctx); pg.err == nil {
			pg.err = d.Close()
		}
	})
	if pg.err != nil {
		t.Fatal(pg.err)
	}
	name := fmt.Sprintf("%s_%d", pg.name, pg.n.Add(1))
	// CREATE DATABASE … TEMPLATE refuses while another copy of it is under way.
	for try := 0; ; try++ {
		_, err = admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+pg.name+" STRATEGY FILE_COPY")
		if err == nil {
			break
		}
		if try > 200 || !strings.Contains(err.Error(), "being accessed") {
			t.Fatal(err)
		}
	}
	c := clock.NewFake(Start)
	d, err := db.Open(ctx, db.Config{URL: with(server, name), Clock: c, MaxConns: 6, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Log(err)
		}
	})
	return d, c
}

func with(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	return u.String()
}

// By is the address of a database on PostgreSQL by way of host, "127.0.0.1:5433":
// a gate in front of the server.
func By(t testing.TB, address, host string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	q.Del("port")
	u.Host, u.RawQuery = host, q.Encode()
	return u.String()
}

// Dial connects to the server of a database on PostgreSQL, by TCP or by the
// socket in the folder its address names.
func Dial(address string) (net.Conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	q, host := u.Query(), u.Hostname()
	port := cmp.Or(u.Port(), q.Get("port"), "5432")
	if host = cmp.Or(q.Get("host"), host, "127.0.0.1"); strings.HasPrefix(host, "/") {
		return net.Dial("unix", filepath.Join(host, ".s.PGSQL."+port))
	}
	return net.Dial("tcp", net.JoinHostPort(host, port))
}
