package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// The same statements run on both engines, so both must have the same tables:
// each engine's own catalog is read, said in the same words, and compared with
// one golden file. What only one engine has, the search index, is left out.
func TestSchema(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		got := schema(t, d)
		if *update && d.Dialect() == db.Postgres {
			return // SQLite writes the file; the next run compares
		}
		golden(t, "schema.golden", got)
	})
}

// An upgrade one file at a time, as nodes of different ages do it, ends where a
// fresh install begins.
func TestUpgradeStepByStep(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fresh, _ := dbtest.New(t)
	d, err := db.Open(ctx, db.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for v := int64(1); v <= db.Latest(); v++ {
		if err := d.MigrateTo(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	if pending, _, err := d.Pending(ctx); err != nil || pending {
		t.Fatalf("still pending after the last one: %v, %v", pending, err)
	}
	if a, b := schema(t, fresh), schema(t, d); a != b {
		t.Errorf("step by step differs from a fresh install:\n%s\n%s", strings.Join(missing(a, b), "\n"), strings.Join(missing(b, a), "\n"))
	}
}

// A migration that was released has run at customers; editing it changes only
// fresh installs, and the two drift apart. Releases add their files here:
// testdata/released.txt has lines "sha256  file".
func TestReleasedMigrationsAreNotEdited(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/released.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		sum, name, ok := strings.Cut(line, "  ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, "internal/db/migrations", name))
		if err != nil {
			t.Errorf("a released migration is gone: %v", err)
			continue
		}
		if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s was released and has been edited: add a new one", name)
		}
	}
}

// schema is everything that matters of a database, in lines that do not depend
// on the engine.
func schema(t *testing.T, d *db.DB) string {
	t.Helper()
	var lines []string
	if d.Dialect() == db.SQLite {
		lines = sqliteSchema(t, d)
	} else {
		lines = postgresSchema(t, d)
	}
	var out []string
	for _, l := range lines {
		if strings.Contains(l, " customers_reach ") {
			continue // of what SQLite's text index answers; on PostgreSQL that index has a table of its own
		}
		if !strings.HasPrefix(l, "search_") && !strings.HasPrefix(l, "goose_") && !strings.HasPrefix(l, "sqlite_") {
			out = append(out, l)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n") + "\n"
}

func rows(t *testing.T, d *db.DB, query string, args ...any) [][]string {
	t.Helper()
	rs, err := d.Read().Query(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer rs.Close()
	cols, _ := rs.Columns()
	var out [][]string
	for rs.Next() {
		vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rs.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(cols))
		for i, v := range vals {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			if v != nil {
				row[i] = fmt.Sprint(v)
			}
		}
		out = append(out, row)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

var types = map[string]string{
	"INTEGER": "bigint", "BIGINT": "bigint", "SMALLINT": "smallint", "TEXT": "text", "BLOB": "bytes", "bytea": "bytes", "REAL": "float", "double precision": "float", "DOUBLE PRECISION": "float",
}

func column(table, name, typ string, null bool, def string) string {
	if s, ok := types[typ]; ok {
		typ = s
	}
	l := fmt.Sprintf("%s column %s %s", table, name, typ)
	if !null {
		l += " not null"
	}
	def = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(def, "::text"), "::bigint"), "::integer")
	def = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(def, "("), ")"), "'")
	if def != "" || strings.Contains(def, "''") {
		l += " default " + def
	}
	return l
}

func sqliteSchema(t *testing.T, d *db.DB) []string {
	var out []string
	for _, tab := range rows(t, d, `SELECT name FROM sqlite_schema WHERE type = 'table'`) {
		name := tab[0]
		var key []string
		for _, c := range rows(t, d, `SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info($1) ORDER BY pk, cid`, name) {
			out = append(out, column(name, c[0], c[1], c[2] == "0" && c[4] == "0", c[3]))
			if c[4] != "0" {
				key = append(key, c[0])
			}
		}
		out = append(out, name+" key "+strings.Join(key, ", "))
		for _, s := range rows(t, d, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = $1`, name) {
			out = append(out, fmt.Sprintf("%s checks %d", name, strings.Count(s[0], "CHECK (")))
		}
		for _, f := range rows(t, d, `SELECT "from", "table", "to", on_delete FROM pragma_foreign_key_list($1)`, name) {
			to := f[2]
			if to == "" {
				to = "id"
			}
			out = append(out, fmt.Sprintf("%s refers %s to %s (%s) on delete %s", name, f[0], f[1], to, strings.ToLower(f[3])))
		}
		for _, x := range rows(t, d, `SELECT name, "unique", origin, partial FROM pragma_index_list($1)`, name) {
			if x[2] == "pk" {
				continue
			}
			var cols []string
			for _, c := range rows(t, d, `SELECT name, "desc" FROM pragma_index_xinfo($1) WHERE key = 1 ORDER BY seqno`, x[0]) {
				if c[0] == "" {
					c[0] = "(expression)"
				}
				if c[1] == "1" {
					c[0] += " desc"
				}
				cols = append(cols, c[0])
			}
			if x[2] == "u" {
				x[0] = "" // a constraint's index has each engine's own name
			}
			out = append(out, index(name, x[0], x[1] == "1", strings.Join(cols, ", "), x[3] == "1"))
		}
	}
	return out
}

func index(table, name string, unique bool, cols string, partial bool) string {
	l := table + " index"
	if unique {
		l = table + " unique"
	}
	if name != "" {
		l += " " + name
	}
	l += " (" + cols + ")"
	if partial {
		l += " partial"
	}
	return l
}

func postgresSchema(t *testing.T, d *db.DB) []string {
	var out []string
	for _, c := range rows(t, d, `
		SELECT table_name, column_name, data_type, is_nullable, COALESCE(column_default, '')
		FROM   information_schema.columns WHERE table_schema = 'public'`) {
		out = append(out, column(c[0], c[1], c[2], c[3] == "YES", c[4]))
	}
	for _, k := range rows(t, d, `
		SELECT conrelid::regclass::text, string_agg(a.attname, ', ' ORDER BY k.n)
		FROM   pg_constraint c, unnest(c.conkey) WITH ORDINALITY k (attnum, n), pg_attribute a
		WHERE  c.contype = 'p' AND c.connamespace = 'public'::regnamespace AND a.attrelid = c.conrelid AND a.attnum = k.attnum
		GROUP  BY c.oid, conrelid`) {
		out = append(out, k[0]+" key "+k[1])
	}
	for _, k := range rows(t, d, `
		SELECT r.relname, COUNT(c.oid) FROM pg_class r LEFT JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype = 'c'
		WHERE  r.relkind = 'r' AND r.relnamespace = 'public'::regnamespace GROUP BY r.relname`) {
		out = append(out, k[0]+" checks "+k[1])
	}
	actions := map[string]string{"a": "no action", "c": "cascade", "n": "set null", "r": "restrict", "d": "set default"}
	for _, f := range rows(t, d, `
		SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text, b.attname, confdeltype::text
		FROM   pg_constraint c, unnest(c.conkey, c.confkey) AS k (own, other), pg_attribute a, pg_attribute b
		WHERE  c.contype = 'f' AND c.connamespace = 'public'::regnamespace
		  AND  a.attrelid = c.conrelid AND a.attnum = k.own AND b.attrelid = c.confrelid AND b.attnum = k.other`) {
		out = append(out, fmt.Sprintf("%s refers %s to %s (%s) on delete %s", f[0], f[1], f[2], f[3], actions[f[4]]))
	}
	for _, x := range rows(t, d, `
		SELECT i.indrelid::regclass::text, CASE WHEN c.oid IS NULL THEN x.relname ELSE '' END, i.indisunique::int,
		       (SELECT string_agg(CASE WHEN i.indkey[k - 1] = 0 THEN '(expression)' ELSE trim('"' FROM pg_get_indexdef(i.indexrelid, k, false)) END
		               || CASE WHEN i.indoption[k - 1] & 1 = 1 THEN ' desc' ELSE '' END, ', ' ORDER BY k)
		        FROM generate_series(1, i.indnatts) k),
		       (i.indpred IS NOT NULL)::int
		FROM   pg_index i JOIN pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
		WHERE  NOT i.indisprimary AND x.relnamespace = 'public'::regnamespace`) {
		out = append(out, index(x[0], x[1], x[2] == "1", x[3], x[4] == "1"))
	}
	return out
}
