package backup

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/jackc/pgx/v5"
)

// Target is where a backup is restored to. The program must not run there.
type Target struct {
	Dir     string // data folder; made when missing
	URL     string // PostgreSQL database; "" for SQLite in Dir
	KeyFile string // where a key in the archive goes
	Force   bool   // replace data that is there; it is kept aside
	Clock   clock.Clock

	KeyFingerprint string // of the keys that are there, with blanks between; "" when there are none
}

// Restored says what a restore did.
type Restored struct {
	Manifest
	Aside    []string // where the data went that was there before
	otherKey bool
}

// Say tells a person how the restore went, a sentence each.
func (r Restored) Say(l i18n.Lang) []string {
	out := []string{i18n.T(l, "backup.restored", r.CreatedAt.In(china).Format("2006-01-02 15:04:05"))}
	for _, a := range r.Aside {
		out = append(out, i18n.T(l, "backup.kept_aside", a))
	}
	if len(r.Missing)+len(r.Damaged) > 0 {
		out = append(out, i18n.T(l, "backup.contents_missing", len(r.Missing)+len(r.Damaged)))
	}
	switch {
	case r.HasKey:
	case r.otherKey:
		out = append(out, i18n.T(l, "backup.other_key", r.Key))
	case r.Key != "":
		out = append(out, i18n.T(l, "backup.key_needed", r.Key))
	}
	return out
}

var china = time.FixedZone("CST", 8*3600)

var memberName = regexp.MustCompile(`^(bihuan\.db|key|tables/[a-z][a-z0-9_]*\.copy|blobs/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64})$`)

// maxManifest bounds the manifest in bytes: ten million attachments.
const maxManifest = 2 << 30

// archive is an archive whose list of members has been checked.
type archive struct {
	m     Manifest
	zip   *zip.ReadCloser
	files map[string]*zip.File
}

func damaged(what string) *fault.Error { return fault.New(fault.Invalid, "backup.damaged", what) }

func open(path string) (a *archive, err error) {
	z, err := zip.OpenReader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "backup.no_file", path)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "backup.not_an_archive").Wrap(err)
	}
	defer func() {
		if err != nil {
			z.Close()
		}
	}()
	a = &archive{zip: z, files: map[string]*zip.File{}}
	for _, f := range z.File {
		if a.files[f.Name] != nil {
			return nil, damaged(f.Name)
		}
		a.files[f.Name] = f
	}
	if a.files[manifestName] == nil {
		return nil, fault.New(fault.Invalid, "backup.not_an_archive")
	}
	r, err := a.files[manifestName].Open()
	if err != nil {
		return nil, damaged(manifestName).Wrap(err)
	}
	defer r.Close()
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&a.m); err != nil {
		return nil, damaged(manifestName).Wrap(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // to the end, where its checksum is
		return nil, damaged(manifestName).Wrap(err)
	}
	if a.m.Format != format || a.m.Engine != db.SQLite && a.m.Engine != db.Postgres {
		return nil, fault.New(fault.Invalid, "backup.newer", a.m.Program)
	}
	delete(a.files, manifestName)
	seen := map[string]bool{}
	for _, m := range a.m.Members {
		if !memberName.MatchString(m.Name) || a.files[m.Name] == nil || seen[m.Name] {
			return nil, damaged(m.Name)
		}
		seen[m.Name] = true
	}
	for name := range a.files {
		if !seen[name] {
			return nil, damaged(name) // somebody put it in later
		}
	}
	need := []string{sqliteName}
	if a.m.Engine == db.Postgres {
		need = need[:0]
		for _, t := range a.m.Tables {
			need = append(need, tableMember(t.Name))
		}
	}
	if a.m.HasKey {
		need = append(need, keyName)
	}
	for _, name := range need {
		if !seen[name] {
			return nil, damaged(name)
		}
	}
	return a, nil
}

// read copies a member to w and fails unless it is what the manifest says.
func (a *archive) read(ctx context.Context, m Member, w io.Writer) error {
	r, err := a.files[m.Name].Open()
	if err != nil {
		return damaged(m.Name).Wrap(err)
	}
	defer r.Close()
	h := sha256.New()
	// One byte more than promised is enough to see that it is wrong.
	in := &sourceErr{r: io.LimitReader(&interruptible{ctx, r}, m.Size+1)}
	n, err := io.Copy(io.MultiWriter(w, h), in)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case in.err != nil:
		return damaged(m.Name).Wrap(in.err)
	case err != nil:
		return err
	case n != m.Size || hex.EncodeToString(h.Sum(nil)) != m.SHA256:
		return damaged(m.Name)
	case strings.HasPrefix(m.Name, "blobs/") && path.Base(m.Name) != m.SHA256 && !slices.Contains(a.m.Damaged, path.Base(m.Name)):
		return damaged(m.Name)
	}
	return nil
}

// sourceErr remembers the error of reading, to tell it from one of writing.
type sourceErr struct {
	r   io.Reader
	err error
}

func (s *sourceErr) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// Verify reads a whole archive and compares every checksum.
func Verify(ctx context.Context, path string) (Manifest, error) {
	a, err := open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer a.zip.Close()
	for _, m := range a.m.Members {
		if err := a.read(ctx, m, io.Discard); err != nil {
			return Manifest{}, err
		}
	}
	return a.m, nil
}

// Restore brings the archive at path back. Without Force the target must be
// empty. When it fails, the target is as it was.
func Restore(ctx context.Context, path string, t Target) (r Restored, err error) {
	if t.Clock == nil {
		t.Clock = clock.Real()
	}
	if _, err := Verify(ctx, path); err != nil {
		return Restored{}, err
	}
	a, err := open(path)
	if err != nil {
		return Restored{}, err
	}
	defer a.zip.Close()
	if want := t.engine(); a.m.Engine != want {
		return Restored{}, fault.New(fault.Invalid, "backup.other_engine", string(a.m.Engine), string(want))
	}
	if a.m.Schema > db.Latest() {
		return Restored{}, fault.New(fault.Invalid, "backup.newer", a.m.Program)
	}
	dir, err := filepath.Abs(t.Dir)
	if err != nil {
		return Restored{}, err
	}
	t.Dir = dir
	key, err := a.key(ctx, t)
	if err != nil {
		return Restored{}, err
	}
	_, statErr := os.Stat(t.Dir)
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return Restored{}, fault.New(fault.Invalid, "backup.cannot_write", t.Dir).Wrap(err)
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		defer func() {
			if err != nil {
				os.Remove(t.Dir)
			}
		}()
	}
	stamp := t.Clock.Now().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:4])
	s := &swap{dir: t.Dir, staged: filepath.Join(t.Dir, ".restore-"+stamp), aside: filepath.Join(t.Dir, "before-restore-"+stamp)}
	if a.m.Files {
		s.names = append(s.names, "blobs")
	}
	if a.m.Engine == db.SQLite {
		s.names = append(s.names, sqliteName, sqliteName+"-wal", sqliteName+"-shm")
	}
	there, err := s.there()
	if err != nil {
		return Restored{}, err
	}
	var pg *pgSwap
	if a.m.Engine == db.Postgres {
		if pg, err = openSwap(ctx, t.URL, stamp); err != nil {
			return Restored{}, err
		}
		defer pg.close(context.WithoutCancel(ctx))
	}
	if (there || pg != nil && len(pg.old) > 0) && !t.Force {
		return Restored{}, fault.New(fault.Conflict, "backup.target_not_empty", t.Dir)
	}
	if pg == nil {
		if err := unused(ctx, filepath.Join(t.Dir, sqliteName)); err != nil {
			return Restored{}, err
		}
	} else if err := pg.unused(ctx); err != nil {
		return Restored{}, err
	}

	// All of it goes beside what is there; only then names change.
	defer os.RemoveAll(s.staged)
	if err := a.stage(ctx, s.staged); err != nil {
		return Restored{}, err
	}
	if pg == nil {
		if err := check(ctx, filepath.Join(s.staged, sqliteName)); err != nil {
			return Restored{}, err
		}
	} else if err := pg.load(ctx, a, t.URL); err != nil {
		return Restored{}, err
	}
	defer func() {
		if err != nil {
			s.undo()
		}
	}()
	if err := s.do(); err != nil {
		return Restored{}, err
	}
	if key != nil {
		if err := s.create(t.KeyFile, key); err != nil {
			return Restored{}, err
		}
	}
	r = Restored{Manifest: a.m, otherKey: !a.m.HasKey && a.m.Key != "" && t.KeyFingerprint != "" && !covers(t.KeyFingerprint, a.m.Key)}
	if there {
		r.Aside = append(r.Aside, s.aside)
	}
	if pg != nil {
		aside, err := pg.commit(ctx)
		if err != nil {
			return Restored{}, err
		}
		if aside != "" {
			r.Aside = append(r.Aside, "PostgreSQL: "+aside)
		}
	}
	return r, nil
}

func (t Target) engine() db.Dialect {
	if t.URL != "" {
		return db.Postgres
	}
	return db.SQLite
}

// key returns the key of the archive if it has to be written: not when the
// same one is there. A different one is never overwritten.
func (a *archive) key(ctx context.Context, t Target) ([]byte, error) {
	if !a.m.HasKey {
		return nil, nil
	}
	var b bytes.Buffer
	for _, m := range a.m.Members {
		if m.Name == keyName {
			if err := a.read(ctx, m, &b); err != nil {
				return nil, err
			}
		}
	}
	if t.KeyFile == "" {
		return nil, fault.New(fault.Invalid, "backup.no_key_file")
	}
	old, err := os.ReadFile(t.KeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b.Bytes(), nil
	case err != nil:
		return nil, fmt.Errorf("backup: key file: %w", err)
	case bytes.Equal(old, b.Bytes()):
		return nil, nil
	}
	return nil, fault.New(fault.Conflict, "backup.key_there", t.KeyFile)
}

// stage writes all members that are files into dir, and to disk.
func (a *archive) stage(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fault.New(fault.Invalid, "backup.cannot_write", dir).Wrap(err)
	}
	dirs := map[string]bool{dir: true}
	if a.m.Files {
		dirs[filepath.Join(dir, "blobs")] = true
	}
	for _, m := range a.m.Members {
		if m.Name == keyName || strings.HasPrefix(m.Name, "tables/") || slices.Contains(a.m.Damaged, path.Base(m.Name)) {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(m.Name))
		for d := filepath.Dir(to); d != dir; d = filepath.Dir(d) {
			dirs[d] = true
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return fmt.Errorf("backup: restore: %w", err)
		}
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("backup: restore: %w", err)
		}
		err = a.read(ctx, m, f)
		if err == nil {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("backup: restore %s: %w", m.Name, err)
		}
	}
	for d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("backup: restore: %w", err)
		}
		if err := syncDir(d); err != nil {
			return fmt.Errorf("backup: restore: %w", err)
		}
	}
	return nil
}

// check reads through a restored SQLite file.
func check(ctx context.Context, file string) error {
	d, err := openFile(file, "mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer d.Close()
	var verdict string
	if err := d.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil || verdict != "ok" {
		return damaged(sqliteName).Wrap(errors.Join(err, errors.New(verdict)))
	}
	return nil
}

// unused fails while a program has the SQLite file open: leaving WAL mode
// needs it alone. The program enters it again when it starts.
func unused(ctx context.Context, file string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d, err := openFile(file, "mode=rw")
	if err != nil {
		return err
	}
	defer d.Close()
	var mode string
	if err := d.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode); err != nil {
		if strings.Contains(err.Error(), "locked") || strings.Contains(err.Error(), "busy") {
			return fault.New(fault.Conflict, "backup.in_use").Wrap(err)
		}
		// It is to be replaced, perhaps just because it is broken.
		slog.Warn("backup: the database to be replaced cannot be read", "err", err)
	}
	return nil
}

// swap exchanges names in the data folder, within the folder itself because
// that is often a mount point, which cannot be renamed.
type swap struct {
	dir, staged, aside string
	names              []string
	done               [][2]string // renamed from, to
	created            []string
}

// there reports whether any of the names is taken. A blobs folder without
// content does not count.
func (s *swap) there() (bool, error) {
	for _, n := range s.names {
		p := filepath.Join(s.dir, n)
		if n == "blobs" {
			used := false
			err := filepath.WalkDir(p, func(_ string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if !e.IsDir() {
					used = true
					return fs.SkipAll
				}
				return nil
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, fmt.Errorf("backup: restore: %w", err)
			}
			if used {
				return true, nil
			}
			continue
		}
		if _, err := os.Lstat(p); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("backup: restore: %w", err)
		}
	}
	return false, nil
}

func (s *swap) do() error {
	made := false
	for _, n := range s.names {
		if _, err := os.Lstat(filepath.Join(s.dir, n)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !made {
			if err := os.Mkdir(s.aside, 0o700); err != nil {
				return fmt.Errorf("backup: restore: %w", err)
			}
			s.created = append(s.created, s.aside)
			made = true
		}
		if err := s.rename(filepath.Join(s.dir, n), filepath.Join(s.aside, n)); err != nil {
			return err
		}
	}
	for _, n := range s.names { // the database last: without it nothing starts on half
		if n == sqliteName {
			continue
		}
		if err := s.renameIfThere(filepath.Join(s.staged, n), filepath.Join(s.dir, n)); err != nil {
			return err
		}
	}
	if err := s.renameIfThere(filepath.Join(s.staged, sqliteName), filepath.Join(s.dir, sqliteName)); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	return nil
}

func (s *swap) renameIfThere(from, to string) error {
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.rename(from, to)
}

func (s *swap) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	s.done = append(s.done, [2]string{from, to})
	return nil
}

func (s *swap) create(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backup: key file: %w", err)
	}
	s.created = append(s.created, file)
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("backup: key file: %w", err)
	}
	return nil
}

func (s *swap) undo() {
	for _, m := range slices.Backward(s.done) {
		if err := os.Rename(m[1], m[0]); err != nil {
			slog.Error("backup: put back what was there", "from", m[1], "to", m[0], "err", err)
		}
	}
	for _, p := range s.created {
		os.Remove(p)
	}
}

// pgSwap loads an archive into a schema of its own and then, in one
// transaction, moves its tables to where the program looks for them.
type pgSwap struct {
	conn               *pgx.Conn
	main, staged, kept string
	old                []string // tables that are there
}

func openSwap(ctx context.Context, url, stamp string) (*pgSwap, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "db.unavailable").Wrap(err)
	}
	stamp = strings.ToLower(strings.ReplaceAll(stamp, "-", "_"))
	p := &pgSwap{conn: conn, staged: "restore_" + stamp, kept: "before_restore_" + stamp}
	if err := conn.QueryRow(ctx, `SELECT current_schema()::text`).Scan(&p.main); err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("backup: schema: %w", err)
	}
	if p.old, err = tables(ctx, conn, p.main); err != nil {
		conn.Close(ctx)
		return nil, err
	}
	return p, nil
}

func tables(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' ORDER BY 1`, schema)
	if err != nil {
		return nil, fmt.Errorf("backup: list tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("backup: list tables: %w", err)
	}
	return names, nil
}

func (p *pgSwap) close(ctx context.Context) {
	if _, err := p.conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+quote(p.staged)+` CASCADE`); err != nil {
		slog.Error("backup: remove what was staged", "schema", p.staged, "err", err)
	}
	p.conn.Close(ctx)
}

// unused fails while others are connected to a database that holds data.
func (p *pgSwap) unused(ctx context.Context) error {
	if len(p.old) == 0 {
		return nil
	}
	var n int
	err := p.conn.QueryRow(ctx, `
		SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&n)
	if err != nil {
		return fmt.Errorf("backup: look for connections: %w", err)
	}
	if n > 0 {
		return fault.New(fault.Conflict, "backup.in_use")
	}
	return nil
}

func (p *pgSwap) load(ctx context.Context, a *archive, address string) error {
	if _, err := p.conn.Exec(ctx, `CREATE SCHEMA `+quote(p.staged)); err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("backup: database address: %w", err)
	}
	q := u.Query()
	q.Set("search_path", p.staged)
	u.RawQuery = q.Encode()
	d, err := db.Open(ctx, db.Config{URL: u.String(), MaxConns: 2})
	if err != nil {
		return err
	}
	err = d.MigrateTo(ctx, a.m.Schema)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	exec := func(sql string, args ...any) error {
		if _, err := tx.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("backup: restore: %w in %.80s", err, sql)
		}
		return nil
	}
	if err := exec(`SET LOCAL search_path TO ` + quote(p.staged)); err != nil {
		return err
	}
	// Tables come in alphabetical order, so references are made when all are there.
	rows, err := tx.Query(ctx, `
		SELECT r.relname::text, c.conname::text, pg_get_constraintdef(c.oid)
		FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
		WHERE c.contype = 'f' AND c.connamespace = $1::text::regnamespace`, p.staged)
	if err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	type reference struct{ Table, Name, Def string }
	refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reference])
	if err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	for _, r := range refs {
		if err := exec(`ALTER TABLE ` + quote(r.Table) + ` DROP CONSTRAINT ` + quote(r.Name)); err != nil {
			return err
		}
	}
	members := map[string]Member{}
	for _, m := range a.m.Members {
		members[m.Name] = m
	}
	for _, t := range a.m.Tables {
		if err := exec(`TRUNCATE ` + quote(t.Name)); err != nil { // what migrations put in
			return err
		}
		n, err := p.copyIn(ctx, a, t, members[tableMember(t.Name)])
		if err != nil {
			return err
		}
		if n != t.Rows {
			return damaged(tableMember(t.Name))
		}
	}
	for _, r := range refs {
		if err := exec(`ALTER TABLE ` + quote(r.Table) + ` ADD CONSTRAINT ` + quote(r.Name) + ` ` + r.Def); err != nil {
			return err
		}
	}
	for name, last := range a.m.Sequences {
		if err := exec(`SELECT setval($1::text::regclass, $2)`, quote(name), last); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("backup: restore: %w", err)
	}
	return nil
}

func (p *pgSwap) copyIn(ctx context.Context, a *archive, t Table, m Member) (int64, error) {
	r, w := io.Pipe()
	checked := make(chan error, 1)
	go func() {
		err := a.read(ctx, m, w)
		w.CloseWithError(err) // nil ends the copy
		checked <- err
	}()
	tag, err := p.conn.PgConn().CopyFrom(ctx, r, "COPY "+t.copyTarget()+" FROM STDIN")
	r.CloseWithError(errors.New("backup: the database takes no more"))
	if rerr := <-checked; rerr != nil && err == nil || fault.Is(rerr, fault.Invalid) {
		return 0, rerr
	}
	if err != nil {
		return 0, fmt.Errorf("backup: restore %s: %w", t.Name, err)
	}
	return tag.RowsAffected(), nil
}

// commit moves the tables: the old ones aside, the new ones in.
func (p *pgSwap) commit(ctx context.Context) (aside string, err error) {
	fresh, err := tables(ctx, p.conn, p.staged)
	if err != nil {
		return "", err
	}
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return "", fmt.Errorf("backup: restore: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	move := func(names []string, from, to string) error {
		for _, n := range names {
			if _, err := tx.Exec(ctx, `ALTER TABLE `+quote(from)+`.`+quote(n)+` SET SCHEMA `+quote(to)); err != nil {
				return fmt.Errorf("backup: restore %s: %w", n, err)
			}
		}
		return nil
	}
	if len(p.old) > 0 {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+quote(p.kept)); err != nil {
			return "", fmt.Errorf("backup: restore: %w", err)
		}
		if err := move(p.old, p.main, p.kept); err != nil {
			return "", err
		}
		aside = p.kept
	}
	if err := move(fresh, p.staged, p.main); err != nil {
		return "", err
	}
	if err := tx.Commit(ctx); err != nil {
		return "", fmt.Errorf("backup: restore: %w", err)
	}
	return aside, nil
}

// covers reports whether have names every key that want names.
func covers(have, want string) bool {
	there := strings.Fields(have)
	return !slices.ContainsFunc(strings.Fields(want), func(mark string) bool { return !slices.Contains(there, mark) })
}
