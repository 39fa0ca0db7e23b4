package db

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// alone is work that wants SQLite's writer for itself, outside of a transaction.
type alone struct {
	ctx  context.Context
	do   func(ctx context.Context, c *sql.Conn) error
	done chan error
}

// Size is how many bytes the store takes.
func (d *DB) Size(ctx context.Context) (n int64, err error) {
	query := `SELECT pg_database_size(current_database())`
	if d.dialect == SQLite {
		query = `SELECT c.page_count * s.page_size FROM pragma_page_count() c, pragma_page_size() s`
	}
	if err := d.pool.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("db: size: %w", err)
	}
	return n, nil
}

// Purge makes what was deleted or overwritten really go: both engines leave old
// texts in their files until the place is used again. The tables are written
// anew, the search index without the words of texts that are gone, and SQLite's
// log is emptied. While it goes on nobody can write; it takes about a second for
// 50 MB. PostgreSQL's own log (WAL) and copies made before are not reached.
func (d *DB) Purge(ctx context.Context) error {
	if d.dialect == Postgres {
		return d.purgePostgres(ctx)
	}
	a := &alone{ctx: context.WithoutCancel(ctx), do: d.purgeSQLite, done: make(chan error, 1)}
	select {
	case d.alone <- a:
		return <-a.done
	case <-ctx.Done():
		return ctx.Err()
	case <-d.done:
		return fmt.Errorf("db: purge: %w", sql.ErrConnDone)
	}
}

func (d *DB) purgeSQLite(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE % USING fts5%' ORDER BY name`)
	if err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			rows.Close()
			return fmt.Errorf("db: purge: %w", err)
		}
		names = append(names, n)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	for _, n := range names { // words of deleted texts stay in its segments until they are merged
		if _, err := c.ExecContext(ctx, `INSERT INTO `+n+` (`+n+`) VALUES ('optimize')`); err != nil {
			return fmt.Errorf("db: purge %s: %w", n, err)
		}
	}
	if _, err := c.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	// A reader of an old state holds the log up; they are short.
	var busy, log, moved int
	for range 50 {
		if err := c.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved); err != nil {
			return fmt.Errorf("db: purge: %w", err)
		}
		if busy == 0 {
			return nil
		}
	}
	return fmt.Errorf("db: purge: the log is still being read")
}

func (d *DB) purgePostgres(ctx context.Context) error {
	rows, err := d.pool.QueryContext(ctx, `SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name`)
	if err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			rows.Close()
			return fmt.Errorf("db: purge: %w", err)
		}
		names = append(names, n)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	// Row versions that somebody may still be reading are kept; the engine says how
	// many, and the table is done again.
	cfg, err := pgx.ParseConfig(d.url)
	if err != nil {
		return fmt.Errorf("db: purge: %w", err)
	}
	kept := 0
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if digits, _, ok := strings.Cut(strings.TrimSpace(n.Detail), " "); ok {
			if i, err := strconv.Atoi(digits); err == nil {
				kept += i
			}
		}
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return unavailable(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	for _, n := range names {
		if strings.Contains(n, "goose") {
			continue
		}
		for try := 1; ; try++ {
			kept = 0
			if _, err := c.Exec(ctx, `VACUUM (FULL, ANALYZE, VERBOSE) `+n); err != nil {
				return fmt.Errorf("db: purge %s: %w", n, err)
			}
			if kept == 0 {
				break
			}
			if try == purgeTries {
				return fmt.Errorf("db: purge %s: %d deleted rows are still being read", n, kept)
			}
			if _, err := c.Exec(ctx, `SELECT pg_sleep(0.2)`); err != nil {
				return fmt.Errorf("db: purge %s: %w", n, err)
			}
		}
	}
	return nil
}

// purgeTries is how often a table is written anew while somebody holds on to what
// was deleted from it.
const purgeTries = 50
