package db_test

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// GOV-4: what was deleted or overwritten is in no file of the store any more.
func TestPurge(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		const secret = "qinshihuang13955557777"
		exec := func(qs ...string) {
			t.Helper()
			for _, q := range qs {
				if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, q); return err }); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
		}
		index := `INSERT INTO search_ticket (id, doc) VALUES (1, '''` + secret + `''')`
		unindex := `DELETE FROM search_ticket WHERE id = 1`
		if d.Dialect() == db.SQLite {
			index, unindex = `INSERT INTO search_ticket (rowid, doc) VALUES (1, '`+secret+`')`, `DELETE FROM search_ticket WHERE rowid = 1`
		}
		exec(`INSERT INTO settings (name, value, updated_at) VALUES ('x', '`+secret+`', 1)`, index)
		if !onDisk(t, d, secret) {
			t.Fatal("the secret is not on disk before: the test says nothing")
		}
		if d.Dialect() == db.Postgres {
			// A reader of the old state that ends a little later.
			begun, end := make(chan bool), make(chan bool)
			go func() {
				_ = d.View(ctx, func(ctx context.Context, q db.Querier) error {
					var n int
					_ = q.QueryRow(ctx, `SELECT COUNT(*) FROM settings`).Scan(&n)
					close(begun)
					_, err := q.Exec(ctx, `SELECT pg_sleep(0.5)`)
					close(end)
					return err
				})
			}()
			<-begun
			defer func() { <-end }()
		}
		exec(`UPDATE settings SET value = '1' WHERE name = 'x'`, unindex)
		if err := d.Purge(ctx); err != nil {
			t.Fatal(err)
		}
		if onDisk(t, d, secret) {
			t.Error("the secret is still on disk")
		}
		exec(`UPDATE settings SET value = '2' WHERE name = 'x'`) // the store goes on
		if n, err := d.Size(ctx); err != nil || n < 4096 {
			t.Errorf("size %d, %v", n, err)
		}
	})
}

// onDisk looks into the raw files of the store.
func onDisk(t *testing.T, d *db.DB, secret string) bool {
	t.Helper()
	ctx := context.Background()
	if d.Dialect() == db.SQLite {
		for _, suffix := range []string{"", "-wal"} {
			raw, err := os.ReadFile(d.Path() + suffix)
			if err == nil && bytes.Contains(raw, []byte(secret)) {
				return true
			}
		}
		return false
	}
	rows, err := d.Read().Query(ctx, `SELECT pg_relation_filepath(c.oid) FROM pg_class c WHERE c.relkind IN ('r', 'i', 't') AND c.relfilenode <> 0 AND c.oid > 16000`)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	rows.Close()
	if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, `CHECKPOINT`); return err }); err != nil {
		t.Skip("needs a superuser: ", err)
	}
	for _, p := range paths {
		var raw []byte
		if err := d.Read().QueryRow(ctx, `SELECT pg_read_binary_file($1)`, p).Scan(&raw); err == nil && bytes.Contains(raw, []byte(secret)) {
			return true
		}
	}
	return false
}

// Both engines describe the same tables, each with a key by which it can be
// walked through.
func TestTables(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ts, err := d.Tables(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]db.Table{}
		for _, x := range ts {
			found[x.Name] = x
			if len(x.Key) == 0 {
				t.Errorf("%s has no primary key", x.Name)
			}
			if strings.HasPrefix(x.Name, "search_") || strings.HasPrefix(x.Name, "goose_") {
				t.Errorf("%s is listed", x.Name)
			}
		}
		if c := found["drafts"]; !slices.Equal(c.Key, []string{"user_id", "place"}) || !slices.Equal(c.Texts, []string{"body"}) || !c.Has("updated_at") {
			t.Errorf("drafts: %+v", c)
		}
		if c := found["customers"]; !slices.Equal(c.Key, []string{"id"}) || !slices.Contains(c.Texts, "remark") || slices.Contains(c.Texts, "address_sealed") {
			t.Errorf("customers: %+v", c)
		}
	})
}
