package backup_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/backup"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/search"

	"github.com/google/go-cmp/cmp"
)

// world is a store with something in every kind of column.
type world struct {
	d     *db.DB
	run   *action.Runner
	files *blob.Files
	src   backup.Source
	to    func() backup.Target // an empty place of the same engine
}

func each(t *testing.T, f func(t *testing.T, w world)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		follower := event.NewFollower(d)
		blobs := filepath.Join(t.TempDir(), "blobs")
		store, err := blob.OpenFolder(blobs, c)
		if err != nil {
			t.Fatal(err)
		}
		w := world{d: d, run: action.NewRunner(d, nil), src: backup.Source{DB: d, Blobs: blobs, Program: "test", KeyFingerprint: "k1"}}
		w.files = blob.NewFiles(w.run, store, 0)
		w.to = func() backup.Target {
			return backup.Target{Dir: filepath.Join(t.TempDir(), "data"), URL: emptyDatabase(t, d), Clock: c}
		}
		me := authz.Actor{Kind: authz.User, ID: 1, Name: "小王"}
		for _, text := range []string{"附件一", "附件二"} {
			if _, err := w.files.Upload(ctx, me, text+".txt", strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			for _, q := range []string{
				`INSERT INTO settings (name, value, updated_at) VALUES ('odd', '制表	换行
反斜杠\ \N 引号''"', 1)`,
				`INSERT INTO jobs (kind, args, scheduled_at, created_at) VALUES ('x', '{}', 1, 1)`,
				`DELETE FROM jobs`,
			} {
				if _, err := tx.Exec(ctx, q); err != nil {
					return err
				}
			}
			return search.Tickets.Put(ctx, tx, 5, "屏幕碎了 iPhone15")
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := follower.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

// emptyDatabase makes a database beside that of d; "" on SQLite.
func emptyDatabase(t *testing.T, d *db.DB) string {
	t.Helper()
	if d.Dialect() == db.SQLite {
		return ""
	}
	admin, err := sql.Open("pgx", os.Getenv("BIHUAN_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("bihuan_restore_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Log(err)
		}
		admin.Close()
	})
	u, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

var databases atomic.Int64

func open(t *testing.T, to backup.Target) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), db.Config{URL: to.URL, Dir: to.Dir, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// dump is all that a store holds, as text.
func dump(t *testing.T, d *db.DB) []string {
	t.Helper()
	ctx := context.Background()
	list := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'search\_%' ESCAPE '\' ORDER BY name`
	if d.Dialect() == db.Postgres {
		list = `SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY 1`
	}
	var out []string
	for _, name := range strs(t, d, list) {
		if name == "goose_db_version" {
			continue
		}
		rows, err := d.Read().Query(ctx, "SELECT * FROM "+name)
		if err != nil {
			t.Fatal(err)
		}
		cols, _ := rows.Columns()
		var lines []string
		for rows.Next() {
			vals := make([]any, len(cols))
			for i := range vals {
				vals[i] = new(any)
			}
			if err := rows.Scan(vals...); err != nil {
				t.Fatal(err)
			}
			line := name
			for _, v := range vals {
				line += fmt.Sprintf("|%v", *v.(*any))
			}
			lines = append(lines, line)
		}
		rows.Close()
		sort.Strings(lines)
		out = append(out, lines...)
	}
	return out
}

func strs(t *testing.T, d *db.DB, q string) []string {
	t.Helper()
	rows, err := d.Read().Query(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			out = append(out, rel)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		dir := t.TempDir()
		path := filepath.Join(dir, "backup.zip")
		want := dump(t, w.d)
		r, err := backup.Write(ctx, w.src, path)
		if err != nil {
			t.Fatal(err)
		}
		if got := listing(t, dir); !cmp.Equal(got, []string{"backup.zip"}) {
			t.Errorf("beside the backup: %v", got)
		}
		if said := strings.Join(r.Say(i18n.ZhCN), "\n"); !strings.Contains(said, "k1") || !strings.Contains(said, "2 个") {
			t.Errorf("said: %s", said)
		}
		if _, err := backup.Write(ctx, w.src, path); !fault.Is(err, fault.Conflict) {
			t.Errorf("over an existing file: %v", err)
		}
		if _, err := backup.Write(ctx, w.src, filepath.Join(dir, "none", "b.zip")); !fault.Is(err, fault.Invalid) {
			t.Errorf("into no folder: %v", err)
		}

		to := w.to()
		if _, err := backup.Restore(ctx, path, to); err != nil {
			t.Fatal(err)
		}
		d := open(t, to)
		if diff := cmp.Diff(want, dump(t, d)); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
		if rep, err := event.Verify(ctx, d.Read()); err != nil || rep.BrokenAt != 0 || rep.Events == 0 {
			t.Errorf("chain: %+v, %v", rep, err)
		}
		if ids, err := search.Tickets.Match(ctx, d.Read(), d.Dialect(), "屏幕", 9); err != nil || len(ids) != 1 {
			t.Errorf("search: %v, %v", ids, err)
		}
		// What is written from now on takes new numbers.
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			var id int64
			err := tx.QueryRow(ctx, `INSERT INTO jobs (kind, args, scheduled_at, created_at) VALUES ('x', '{}', 1, 1) RETURNING id`).Scan(&id)
			if id != 2 {
				t.Errorf("the next job is %d, want 2: number 1 was given out before", id)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if pending, populated, err := d.Pending(ctx); err != nil || pending || !populated {
			t.Errorf("schema: %v %v %v", pending, populated, err)
		}
		d.Close()
		if got := listing(t, filepath.Join(to.Dir, "blobs")); len(got) != 2 {
			t.Errorf("attachments: %v", got)
		}

		// A second time only by force, and with the first kept.
		before := listing(t, to.Dir)
		if _, err := backup.Restore(ctx, path, to); !fault.Is(err, fault.Conflict) {
			t.Errorf("over data: %v", err)
		}
		if diff := cmp.Diff(before, listing(t, to.Dir)); diff != "" {
			t.Errorf("a refused restore changed the folder:\n%s", diff)
		}
		running := open(t, to)
		if err := running.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		to.Force = true
		if _, err := backup.Restore(ctx, path, to); !fault.Is(err, fault.Conflict) {
			t.Errorf("under a running program: %v", err)
		}
		running.Close()
		again, err := backup.Restore(ctx, path, to)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Aside) == 0 {
			t.Error("what was there was not kept")
		}
		d = open(t, to)
		if diff := cmp.Diff(want, dump(t, d)); diff != "" {
			t.Errorf("restored by force (-want +got):\n%s", diff)
		}
	})
}

// Whatever is wrong with an archive, nothing is replaced and nothing left.
func TestBadArchives(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		dir := t.TempDir()
		good := filepath.Join(dir, "good.zip")
		if _, err := backup.Write(ctx, w.src, good); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(good)
		if err != nil {
			t.Fatal(err)
		}
		data := "bihuan.db"
		if w.d.Dialect() == db.Postgres {
			data = "tables/settings.copy"
		}
		change := func(f func(name string, content []byte) (string, []byte), extra ...string) []byte {
			z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			out := zip.NewWriter(&b)
			put := func(name string, content []byte) {
				if name == "" {
					return
				}
				m, err := out.Create(name)
				if err == nil {
					_, err = m.Write(content)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range z.File {
				r, err := m.Open()
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				put(f(m.Name, content))
			}
			for _, e := range extra {
				put(e, []byte("x"))
			}
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		same := func(n string, c []byte) (string, []byte) { return n, c }
		manifest := func(f func(m *backup.Manifest)) []byte {
			return change(func(n string, c []byte) (string, []byte) {
				if n == "manifest.json" {
					var m backup.Manifest
					if err := json.Unmarshal(c, &m); err != nil {
						t.Fatal(err)
					}
					f(&m)
					c, _ = json.Marshal(m)
				}
				return n, c
			})
		}
		// In the middle of the largest member: some bytes of a zip archive, such as
		// the times in its headers, carry nothing.
		flipped, largest := bytes.Clone(raw), largestMember(t, raw)
		at, err := largest.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		flipped[at+int64(largest.CompressedSize64)/2] ^= 0x40
		to := w.to()
		for name, archive := range map[string][]byte{
			"empty":          {},
			"text":           []byte("不是备份"),
			"truncated":      raw[:len(raw)/2],
			"last bytes cut": raw[:len(raw)-30],
			"bit flipped":    flipped,
			"member changed": change(func(n string, c []byte) (string, []byte) {
				if n == data {
					c = append(bytes.Clone(c), 'x')
				}
				return n, c
			}),
			"attachment swapped": change(func(n string, c []byte) (string, []byte) {
				if strings.HasPrefix(n, "blobs/") {
					c = []byte("别的内容")
				}
				return n, c
			}),
			"member missing": change(func(n string, c []byte) (string, []byte) {
				if n == data {
					n = ""
				}
				return n, c
			}),
			"no manifest": change(func(n string, c []byte) (string, []byte) {
				if n == "manifest.json" {
					n = ""
				}
				return n, c
			}),
			"member added":  change(same, "blobs/extra"),
			"member twice":  change(same, data),
			"out of folder": change(same, "../../evil"),
			"listed out of folder": change(func(n string, c []byte) (string, []byte) {
				if n == "manifest.json" {
					c = bytes.Replace(c, []byte(`"members": [`), []byte(`"members": [{"name":"../evil","size":1,"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},`), 1)
				}
				return n, c
			}, "../evil"),
			"newer format": manifest(func(m *backup.Manifest) { m.Format = 99 }),
			"newer schema": manifest(func(m *backup.Manifest) { m.Schema = 9999 }),
			"other engine": manifest(func(m *backup.Manifest) {
				if m.Engine == db.SQLite {
					m.Engine = db.Postgres
				} else {
					m.Engine = db.SQLite
				}
			}),
			"table not listed": manifest(func(m *backup.Manifest) {
				m.Tables = append(m.Tables, backup.Table{Name: "users2"})
				m.Engine = db.Postgres
			}),
		} {
			path := filepath.Join(dir, "bad.zip")
			if err := os.WriteFile(path, archive, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Restore(ctx, path, to); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := os.Stat(to.Dir); !os.IsNotExist(err) {
				t.Errorf("%s left %v (%v)", name, listing(t, to.Dir), err)
				os.RemoveAll(to.Dir)
			}
			if to.URL != "" {
				d := open(t, to)
				if got := strs(t, d, `SELECT nspname::text FROM pg_namespace WHERE nspname LIKE '%restore%' UNION ALL SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace`); len(got) != 0 {
					t.Errorf("%s left %v", name, got)
				}
				d.Close()
			}
		}
		if _, err := backup.Restore(ctx, filepath.Join(dir, "none.zip"), to); !fault.Is(err, fault.NotFound) {
			t.Errorf("no file: %v", err)
		}
		if _, err := backup.Restore(ctx, good, to); err != nil {
			t.Errorf("after all the bad ones, the good one: %v", err)
		}
	})
}

// Eight writers write while backups are made: each shows one moment.
func TestWhileWriting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		var stop atomic.Bool
		var wg sync.WaitGroup
		written := make(chan struct{})
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				me := authz.Actor{Kind: authz.User, ID: int64(i + 1), Name: "写"}
				for n := 0; !stop.Load(); n++ {
					// Two rows that only make sense together, and a file.
					m, err := w.files.Receive(ctx, "x.txt", strings.NewReader(fmt.Sprint(i, n)))
					if err != nil {
						t.Error(err)
						return
					}
					err = w.run.Do(ctx, me, "test", func(ctx context.Context, a *action.Action) error {
						for _, half := range []string{"left", "right"} {
							if _, err := a.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1)`, fmt.Sprint(half, i, "/", n)); err != nil {
								return err
							}
						}
						_, err := w.files.Save(ctx, a, m)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
					select {
					case written <- struct{}{}:
					default:
					}
				}
			}()
		}
		dir := t.TempDir()
		var paths []string
		for i := range 3 {
			for range 20 { // until the writers have got on
				<-written
			}
			path := filepath.Join(dir, fmt.Sprint(i, ".zip"))
			if _, err := backup.Write(ctx, w.src, path); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		stop.Store(true)
		wg.Wait()
		last := 0
		for _, path := range paths {
			to := w.to()
			r, err := backup.Restore(ctx, path, to)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Missing)+len(r.Damaged) > 0 {
				t.Errorf("missing %v, damaged %v", r.Missing, r.Damaged)
			}
			d := open(t, to)
			var left, right, odd int
			err = d.Read().QueryRow(ctx, `SELECT
				(SELECT COUNT(*) FROM counters WHERE name LIKE 'left%'), (SELECT COUNT(*) FROM counters WHERE name LIKE 'right%'),
				(SELECT COUNT(*) FROM files f WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.subject_type = 'file' AND e.subject_id = f.id))`).Scan(&left, &right, &odd)
			if err != nil || left != right || odd != 0 || left <= last {
				t.Errorf("%d left, %d right, %d files without their fact, %d before: %v", left, right, odd, last, err)
			}
			last = left
			if rep, err := event.Verify(ctx, d.Read()); err != nil || rep.BrokenAt != 0 {
				t.Errorf("chain: %+v, %v", rep, err)
			}
			sums := strs(t, d, `SELECT DISTINCT sha256 FROM files`)
			if got := listing(t, filepath.Join(to.Dir, "blobs")); len(got) != len(sums) {
				t.Errorf("%d contents for %d", len(got), len(sums))
			}
			d.Close()
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	ctx := context.Background()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := backup.Source{DB: d, KeyFile: key, KeyFingerprint: "k1"}
	without, with := filepath.Join(dir, "without.zip"), filepath.Join(dir, "with.zip")
	r, err := backup.Write(ctx, src, without)
	if err != nil || r.HasKey {
		t.Fatalf("%+v, %v", r, err)
	}
	src.IncludeKey = true
	if r, err = backup.Write(ctx, src, with); err != nil || !r.HasKey {
		t.Fatalf("%+v, %v", r, err)
	}
	if said := strings.Join(r.Say(i18n.En), " "); !strings.Contains(said, "contains the master key") {
		t.Error(said)
	}
	to := backup.Target{Dir: filepath.Join(dir, "a"), Clock: c}
	to.KeyFile = filepath.Join(to.Dir, "master.key")
	if err := os.Mkdir(to.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Somebody put the key in place first, as he was told to.
	if err := os.WriteFile(to.KeyFile, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(ctx, with, to); !fault.Is(err, fault.Conflict) {
		t.Errorf("over another key: %v", err)
	}
	to.KeyFingerprint = "k2"
	got, err := backup.Restore(ctx, without, to)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(got.Say(i18n.ZhCN), " "); !strings.Contains(said, "不同") {
		t.Error(said)
	}
	to.Dir = filepath.Join(dir, "b")
	to.KeyFile = filepath.Join(to.Dir, "master.key")
	if _, err := backup.Restore(ctx, with, to); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(to.KeyFile); err != nil || string(raw) != "secret" {
		t.Errorf("%q, %v", raw, err)
	}
}

// An attachment that is gone or has rotted does not stop a backup, but is told.
func TestMissingContent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		files := listing(t, w.src.Blobs)
		if len(files) != 2 {
			t.Fatal(files)
		}
		if err := os.Remove(filepath.Join(w.src.Blobs, files[0])); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.src.Blobs, files[1]), []byte("rot"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "b.zip")
		r, err := backup.Write(ctx, w.src, path)
		if err != nil || len(r.Missing) != 1 || len(r.Damaged) != 1 {
			t.Fatalf("%v %v %v", r.Missing, r.Damaged, err)
		}
		to := w.to()
		if _, err := backup.Restore(ctx, path, to); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, filepath.Join(to.Dir, "blobs")); len(got) != 0 {
			t.Errorf("damaged content was restored: %v", got)
		}
	})
}

func TestBeforeUpgrade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		dir := filepath.Join(t.TempDir(), "backups")
		if path, err := backup.BeforeUpgrade(ctx, w.src, dir); err != nil || path != "" {
			t.Errorf("nothing to upgrade: %q, %v", path, err)
		}
		want := dump(t, w.d)
		// As if the newest migration were still to come.
		if err := w.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM goose_db_version WHERE version_id = $1`, db.Latest())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var path string
		for range 5 {
			var err error
			if path, err = backup.BeforeUpgrade(ctx, w.src, dir); err != nil || path == "" {
				t.Fatalf("%q, %v", path, err)
			}
		}
		if got := listing(t, dir); len(got) != 3 {
			t.Errorf("kept %v", got)
		}
		m, err := backup.Verify(ctx, path)
		if err != nil || m.Files || m.Schema != db.Latest()-1 {
			t.Errorf("%+v, %v", m, err)
		}
		if w.d.Dialect() == db.Postgres {
			return // the tables of the newest migration are there already
		}
		// Attachments that are there stay where they are.
		to := w.to()
		if err := os.MkdirAll(filepath.Join(to.Dir, "blobs", "ab"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to.Dir, "blobs", "ab", "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Restore(ctx, path, to); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, filepath.Join(to.Dir, "blobs")); len(got) != 1 {
			t.Errorf("attachments: %v", got)
		}
		if diff := cmp.Diff(want, dump(t, open(t, to))); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
	})
}

func largestMember(t *testing.T, raw []byte) *zip.File {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return slices.MaxFunc(z.File, func(a, b *zip.File) int { return int(a.CompressedSize64) - int(b.CompressedSize64) })
}
