// Package backup writes everything the product knows into one file, while it
// works, and brings it back.
//
// What always holds: a backup shows one moment, whatever is written meanwhile;
// its file appears complete under its name or not at all; the key that seals
// personal data travels separately unless that is asked for, since whoever
// found both could read everything. A restore checks every byte before it
// replaces anything, keeps aside what was there, and leaves no half.
//
// The file is a zip archive: manifest.json with the checksum of every member;
// on SQLite the database file, on PostgreSQL one member per table in the text
// format of COPY; and the contents of attachments under their SHA-256.
package backup

import (
	"archive/zip"
	"compress/flate"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"bihuan/internal/blob"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/jackc/pgx/v5"
)

// Source is what a backup is made of.
type Source struct {
	DB      *db.DB
	Blobs   string // folder of the contents of attachments; "" leaves them out
	Program string // version of the program, for the manifest

	KeyFile        string // path of the key file, if there is one
	IncludeKey     bool   // put it in: the file must then be guarded like the key
	KeyFingerprint string // tells which keys a restore needs, with blanks between
}

// Manifest describes an archive.
type Manifest struct {
	Format    int              `json:"format"`
	Program   string           `json:"program"`
	Engine    db.Dialect       `json:"engine"`
	Schema    int64            `json:"schema"`
	CreatedAt time.Time        `json:"created_at"`
	Files     bool             `json:"files"` // whether attachments are part of it
	Key       string           `json:"key,omitempty"`
	HasKey    bool             `json:"has_key"`
	Tables    []Table          `json:"tables,omitempty"`    // PostgreSQL
	Sequences map[string]int64 `json:"sequences,omitempty"` // PostgreSQL: last value given out
	Members   []Member         `json:"members"`

	// Attachments whose content was missing or no longer what it had been when
	// the backup was made.
	Missing []string `json:"missing,omitempty"`
	Damaged []string `json:"damaged,omitempty"`
}

// Table is one table of a PostgreSQL archive.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// Member is one file in the archive.
type Member struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

const (
	format       = 1
	manifestName = "manifest.json"
	sqliteName   = "bihuan.db"
	keyName      = "key"
)

// Result says what a backup became.
type Result struct {
	Manifest
	Path   string
	Size   int64
	SHA256 string // of the whole file, to be noted elsewhere: it shows tampering
}

// Write makes a backup at path, which must not exist yet, and reads it back to
// check it.
func Write(ctx context.Context, src Source, path string) (r Result, err error) {
	if _, err := os.Lstat(path); err == nil {
		return Result{}, fault.New(fault.Conflict, "backup.file_exists", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Result{}, fault.New(fault.Invalid, "backup.cannot_write", path).Wrap(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(path), ".bihuan-backup-")
	if err != nil {
		return Result{}, fault.New(fault.Invalid, "backup.cannot_write", path).Wrap(err)
	}
	defer os.RemoveAll(work)
	part := filepath.Join(work, "archive")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Result{}, fault.New(fault.Invalid, "backup.cannot_write", path).Wrap(err)
	}
	defer f.Close()
	w := newWriter(f)
	w.m = Manifest{Format: format, Program: src.Program, Engine: src.DB.Dialect(), CreatedAt: src.DB.Clock().Now(),
		Files: src.Blobs != "", Key: src.KeyFingerprint}
	var sums []string
	if src.DB.Dialect() == db.SQLite {
		sums, err = w.sqlite(ctx, src.DB, work)
	} else {
		sums, err = w.postgres(ctx, src.DB.URL())
	}
	if err != nil {
		return Result{}, err
	}
	if src.Blobs != "" {
		if err := w.blobs(ctx, src, sums); err != nil {
			return Result{}, err
		}
	}
	if src.IncludeKey {
		raw, err := os.ReadFile(src.KeyFile)
		if err != nil {
			return Result{}, fmt.Errorf("backup: key file: %w", err)
		}
		if err := w.member(keyName, zip.Deflate, strings.NewReader(string(raw))); err != nil {
			return Result{}, err
		}
		w.m.HasKey = true
	}
	if err := w.close(); err != nil {
		return Result{}, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Result{}, fmt.Errorf("backup: write: %w", err)
	}
	if _, err := Verify(ctx, part); err != nil {
		return Result{}, fmt.Errorf("backup: just written, but cannot be read back: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return Result{}, fmt.Errorf("backup: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Result{}, fmt.Errorf("backup: %w", err)
	}
	return Result{Manifest: w.m, Path: path, Size: w.n, SHA256: hex.EncodeToString(w.all.Sum(nil))}, nil
}

// Say tells a person how the backup went, a sentence each.
func (r Result) Say(l i18n.Lang) []string {
	n := 0
	for _, m := range r.Members {
		if strings.HasPrefix(m.Name, "blobs/") {
			n++
		}
	}
	out := []string{i18n.T(l, "backup.done", r.Path, blob.Size(r.Size), n), i18n.T(l, "backup.checksum", r.SHA256)}
	if len(r.Missing)+len(r.Damaged) > 0 {
		out = append(out, i18n.T(l, "backup.contents_missing", len(r.Missing)+len(r.Damaged)))
	}
	if r.HasKey {
		return append(out, i18n.T(l, "backup.key_inside"))
	}
	if r.Key == "" {
		return out
	}
	return append(out, i18n.T(l, "backup.key_hint", r.Key))
}

// writer puts members into the archive and notes their checksums.
type writer struct {
	zip *zip.Writer
	all hash.Hash
	n   int64
	m   Manifest
}

func newWriter(f io.Writer) *writer {
	w := &writer{all: sha256.New()}
	w.zip = zip.NewWriter(io.MultiWriter(f, w.all, (*counter)(&w.n)))
	w.zip.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	return w
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// begin opens a member; end closes it and notes it. One at a time.
func (w *writer) begin(name string, method uint16) (to io.Writer, end func() Member, err error) {
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: w.m.CreatedAt})
	if err != nil {
		return nil, nil, fmt.Errorf("backup: write: %w", err)
	}
	h := sha256.New()
	var n int64
	return io.MultiWriter(f, h, (*counter)(&n)), func() Member {
		m := Member{Name: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}
		w.m.Members = append(w.m.Members, m)
		return m
	}, nil
}

func (w *writer) member(name string, method uint16, r io.Reader) error {
	to, end, err := w.begin(name, method)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, r); err != nil {
		return fmt.Errorf("backup: write %s: %w", name, err)
	}
	end()
	return nil
}

func (w *writer) close() error {
	raw, err := json.MarshalIndent(w.m, "", " ")
	if err != nil {
		return err
	}
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: manifestName, Method: zip.Deflate, Modified: w.m.CreatedAt})
	if err == nil {
		_, err = f.Write(raw)
	}
	if err := errors.Join(err, w.zip.Close()); err != nil {
		return fmt.Errorf("backup: write: %w", err)
	}
	return nil
}

// sqlite copies the database file as of one moment, also while another process
// writes to it. It returns the contents its attachments need.
func (w *writer) sqlite(ctx context.Context, d *db.DB, work string) ([]string, error) {
	file := filepath.Join(work, sqliteName)
	live, err := openFile(d.Path(), "mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer live.Close()
	if _, err := live.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return nil, fmt.Errorf("backup: copy the database: %w", err)
	}
	copied, err := openFile(file, "mode=ro&immutable=1")
	if err != nil {
		return nil, err
	}
	defer copied.Close()
	if err := copied.QueryRowContext(ctx, versionSQL).Scan(&w.m.Schema); err != nil {
		return nil, fmt.Errorf("backup: schema version: %w", err)
	}
	rows, err := copied.QueryContext(ctx, contentSQL)
	if err != nil {
		return nil, fmt.Errorf("backup: list attachments: %w", err)
	}
	defer rows.Close()
	var sums []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("backup: list attachments: %w", err)
		}
		sums = append(sums, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("backup: list attachments: %w", err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(file)
	defer f.Close()
	return sums, w.member(sqliteName, zip.Deflate, f)
}

const (
	versionSQL = `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`
	contentSQL = `SELECT DISTINCT sha256 FROM files ORDER BY sha256`
)

func openFile(path, params string) (*sql.DB, error) {
	p, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := sql.Open("sqlite", "file:"+(&url.URL{Path: p}).EscapedPath()+"?"+params)
	if err != nil {
		return nil, fmt.Errorf("backup: open %s: %w", path, err)
	}
	d.SetMaxOpenConns(1)
	return d, nil
}

// postgres writes all tables as one snapshot sees them.
func (w *writer) postgres(ctx context.Context, url string) ([]string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("backup: connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("backup: begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := tx.QueryRow(ctx, versionSQL).Scan(&w.m.Schema); err != nil {
		return nil, fmt.Errorf("backup: schema version: %w", err)
	}
	rows, err := tx.Query(ctx, `
		SELECT   c.relname, array_agg(a.attname::text ORDER BY a.attnum)
		FROM     pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE    c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'goose_db_version'
		  AND    a.attnum > 0 AND NOT a.attisdropped
		GROUP BY c.relname ORDER BY c.relname`)
	if err != nil {
		return nil, fmt.Errorf("backup: list tables: %w", err)
	}
	w.m.Tables, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (t Table, err error) { return t, r.Scan(&t.Name, &t.Columns) })
	if err != nil {
		return nil, fmt.Errorf("backup: list tables: %w", err)
	}
	// Not part of the snapshot, but only ever ahead of it.
	w.m.Sequences = map[string]int64{}
	rows, err = tx.Query(ctx, `SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL AND sequencename <> 'goose_db_version_id_seq'`)
	if err != nil {
		return nil, fmt.Errorf("backup: list sequences: %w", err)
	}
	var name string
	var last int64
	if _, err = pgx.ForEachRow(rows, []any{&name, &last}, func() error { w.m.Sequences[name] = last; return nil }); err != nil {
		return nil, fmt.Errorf("backup: list sequences: %w", err)
	}
	for i, t := range w.m.Tables {
		to, end, err := w.begin(tableMember(t.Name), zip.Deflate)
		if err != nil {
			return nil, err
		}
		tag, err := tx.Conn().PgConn().CopyTo(ctx, to, "COPY "+t.copyTarget()+" TO STDOUT")
		if err != nil {
			return nil, fmt.Errorf("backup: copy %s: %w", t.Name, err)
		}
		w.m.Tables[i].Rows = tag.RowsAffected()
		end()
	}
	rows, err = tx.Query(ctx, contentSQL)
	if err != nil {
		return nil, fmt.Errorf("backup: list attachments: %w", err)
	}
	sums, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("backup: list attachments: %w", err)
	}
	return sums, nil
}

func tableMember(name string) string { return "tables/" + name + ".copy" }

func (t Table) copyTarget() string {
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = quote(c)
	}
	return quote(t.Name) + " (" + strings.Join(cols, ", ") + ")"
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// blobs writes the contents that the files of the snapshot use.
func (w *writer) blobs(ctx context.Context, src Source, sums []string) error {
	for _, sum := range sums {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := blob.Path(sum)
		f, err := os.Open(filepath.Join(src.Blobs, p))
		if p == "" || errors.Is(err, fs.ErrNotExist) {
			// A file may have been removed since the snapshot, and its content
			// swept: nothing is wrong then.
			var n int
			if err := src.DB.Read().QueryRow(ctx, `SELECT COUNT(*) FROM files WHERE sha256 = $1`, sum).Scan(&n); err != nil {
				return fmt.Errorf("backup: attachment %s: %w", sum, err)
			}
			if n > 0 {
				w.m.Missing = append(w.m.Missing, sum)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("backup: attachment: %w", err)
		}
		to, end, err := w.begin("blobs/"+filepath.ToSlash(p), zip.Store)
		if err == nil {
			_, err = io.Copy(to, f)
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("backup: attachment %s: %w", sum, err)
		}
		if m := end(); m.SHA256 != sum {
			w.m.Damaged = append(w.m.Damaged, sum)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keepUpgradeCopies is how many copies from before upgrades are kept.
const keepUpgradeCopies = 3

// BeforeUpgrade writes a copy of the database (without attachments, which no
// upgrade touches) into dir when migrations are about to change one that is in
// use, and returns its path; "" when there is nothing to do. To be called
// before Migrate.
func BeforeUpgrade(ctx context.Context, src Source, dir string) (string, error) {
	pending, populated, err := src.DB.Pending(ctx)
	if err != nil || !pending || !populated {
		return "", err
	}
	v, err := src.DB.SchemaVersion(ctx)
	if err != nil {
		return "", fmt.Errorf("backup: schema version: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("backup: %w", err)
	}
	src.Blobs, src.IncludeKey = "", false
	name := fmt.Sprintf("before-upgrade-%s-schema%d-%s.zip", src.DB.Clock().Now().Format("20060102T150405Z"), v, strings.ToLower(rand.Text()[:4]))
	r, err := Write(ctx, src, filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(dir, "before-upgrade-*.zip"))
	if err != nil {
		return "", err
	}
	old = slices.DeleteFunc(old, func(p string) bool { return p == r.Path })
	sort.Strings(old) // by time
	for _, path := range old[:max(0, len(old)+1-keepUpgradeCopies)] {
		if err := os.Remove(path); err != nil {
			return "", fmt.Errorf("backup: remove an old copy: %w", err)
		}
	}
	return r.Path, nil
}
