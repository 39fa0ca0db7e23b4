package db

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// URL returns the address of the PostgreSQL database, "" on SQLite. It may
// hold a password: not for logs.
func (d *DB) URL() string { return d.url }

// Latest is the schema version this program brings a database to.
func Latest() int64 {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	var latest int64
	for _, name := range names {
		n, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			panic("db: migration " + name + " has no number")
		}
		latest = max(latest, v)
	}
	return latest
}

// MigrateTo brings an older schema up to version, and not further: for data of
// that version to be loaded.
func (d *DB) MigrateTo(ctx context.Context, version int64) error {
	p, done, err := d.migrator()
	if err != nil {
		return err
	}
	defer done()
	if _, err := p.UpTo(ctx, version); err != nil {
		return fmt.Errorf("db: migrate to %d: %w", version, err)
	}
	return nil
}
