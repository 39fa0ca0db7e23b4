package blob

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// File is one use of stored content.
type File struct {
	ID         int64
	SHA256     string
	Size       int64
	MIME       string
	Name       string
	Owner      Owner // Type "" while it is not attached to anything
	UploadedBy int64 // user or contact, see pending
	CreatedAt  time.Time

	pending authz.Kind // of the uploader, while not attached
}

// Owner is the record a file belongs to.
type Owner struct {
	Type     string // ticket, customer …
	ID       int64
	EntryID  int64 // entry of the record's timeline; 0: the record itself
	Internal bool  // for the staff only; the owner's authorizer sees to it
}

// Authorizer reports whether actor may read f, which belongs to a record of
// the type it was registered for: nil, NotFound out of scope, or Forbidden.
type Authorizer func(ctx context.Context, actor authz.Actor, f File) error

// EventUploaded and EventRemoved are the facts recorded here.
const (
	EventUploaded = "file.uploaded"
	EventRemoved  = "file.removed"
)

type fact struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Files knows which file belongs to what.
type Files struct {
	run        *action.Runner
	store      Store
	maxBytes   int64
	authorizer map[string]Authorizer
}

// DefaultMax is the size limit of one file when none is set.
const DefaultMax = 25 << 20

// NewFiles returns the files of a store; maxBytes limits each (0: DefaultMax).
func NewFiles(run *action.Runner, s Store, maxBytes int64) *Files {
	if maxBytes == 0 {
		maxBytes = DefaultMax
	}
	return &Files{run: run, store: s, maxBytes: maxBytes, authorizer: map[string]Authorizer{}}
}

// MaxBytes is the limit of one file.
func (s *Files) MaxBytes() int64 { return s.maxBytes }

// Store returns where the content is.
func (s *Files) Store() Store { return s.store }

// Authorize registers who decides over the files of records of ownerType;
// without one nobody reads them.
func (s *Files) Authorize(ownerType string, a Authorizer) {
	if _, twice := s.authorizer[ownerType]; twice {
		panic("blob: authorizer of " + ownerType + " twice")
	}
	s.authorizer[ownerType] = a
}

// Meta is content that has been received and is not yet a file.
type Meta struct {
	Info
	Name string
	MIME string
}

// Receive stores the content of an upload; it is no file before Save. To be
// called outside of any transaction.
func (s *Files) Receive(ctx context.Context, name string, r io.Reader) (Meta, error) {
	name = CleanName(name)
	kind, r, err := SniffReader(r, name)
	if err != nil {
		return Meta{}, fmt.Errorf("blob: receive: %w", err)
	}
	info, err := s.store.Put(ctx, r, s.maxBytes)
	if err != nil {
		return Meta{}, err
	}
	return Meta{Info: info, Name: name, MIME: kind}, nil
}

// Upload receives a file and saves it, not yet attached to anything: the page
// uploads while the person still writes.
func (s *Files) Upload(ctx context.Context, actor authz.Actor, name string, r io.Reader) (f File, err error) {
	m, err := s.Receive(ctx, name, r)
	if err != nil {
		return File{}, err
	}
	err = s.run.Do(ctx, actor, "file.upload", func(ctx context.Context, a *action.Action) (err error) {
		f, err = s.Save(ctx, a, m)
		return err
	})
	return f, err
}

// Uploads wait under a type of their own per kind of actor: the ids of users
// and of contacts are not the same people.
const pendingPrefix = "upload:"

// Save makes content a file of the actor, not yet attached, and records it.
func (s *Files) Save(ctx context.Context, a *action.Action, m Meta) (File, error) {
	return s.save(ctx, a, m, Owner{Type: pendingPrefix + string(a.Actor.Kind)})
}

// SaveTo makes content a file of owner at once: a form sent together with its
// files. The action records what became of the owner.
func (s *Files) SaveTo(ctx context.Context, a *action.Action, m Meta, owner Owner) (File, error) {
	return s.save(ctx, a, m, owner)
}

func (s *Files) save(ctx context.Context, a *action.Action, m Meta, o Owner) (File, error) {
	if Path(m.SHA256) == "" {
		return File{}, errors.New("blob: save: nothing was received")
	}
	m.Name = CleanName(m.Name)
	var id int64
	err := a.QueryRow(ctx, `
		INSERT INTO files (sha256, size, mime, name, owner_type, owner_id, entry_id, internal, uploaded_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		m.SHA256, m.Size, m.MIME, m.Name, o.Type, o.ID, o.EntryID, db.Bool(o.Internal), a.Actor.ID, a.NowMicros()).Scan(&id)
	if err != nil {
		return File{}, fmt.Errorf("blob: save %s: %w", m.Name, err)
	}
	a.Record(event.Event{Kind: EventUploaded, Subject: event.Subject{Type: "file", ID: id}, Data: fact{m.Name, m.Size, m.SHA256}})
	return s.Get(ctx, a, id)
}

// Attach gives files that the actor uploaded and nobody has used yet to owner.
// Any other id, also somebody else's upload, is NotFound, and nothing is
// attached. The action records what became of the owner.
func (s *Files) Attach(ctx context.Context, a *action.Action, ids []int64, owner Owner) ([]File, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if strings.HasPrefix(owner.Type, pendingPrefix) || owner.Type == "" || owner.ID == 0 {
		return nil, fmt.Errorf("blob: attach to %q %d", owner.Type, owner.ID)
	}
	if a.Actor.ID == 0 {
		// Uploads of unknown visitors are all under 0: not anybody's own.
		return nil, fault.New(fault.NotFound, "blob.upload_gone")
	}
	out := make([]File, 0, len(ids))
	for _, id := range ids {
		var same int64
		err := a.QueryRow(ctx, `
			UPDATE files SET owner_type = $1, owner_id = $2, entry_id = $3, internal = $4
			WHERE id = $5 AND owner_type = $6 AND uploaded_by = $7 RETURNING id`,
			owner.Type, owner.ID, owner.EntryID, db.Bool(owner.Internal), id, pendingPrefix+string(a.Actor.Kind), a.Actor.ID).Scan(&same)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fault.New(fault.NotFound, "blob.upload_gone")
		}
		if err != nil {
			return nil, fmt.Errorf("blob: attach %d: %w", id, err)
		}
		f, err := s.Get(ctx, a, id)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// Remove takes a file away, with its content when nothing else uses that. The
// caller has checked that the actor may.
func (s *Files) Remove(ctx context.Context, a *action.Action, f File) error {
	r, err := a.Exec(ctx, `DELETE FROM files WHERE id = $1`, f.ID)
	if err != nil {
		return fmt.Errorf("blob: remove %d: %w", f.ID, err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, notFound())
	}
	a.Record(event.Event{Kind: EventRemoved, Subject: event.Subject{Type: "file", ID: f.ID}, Data: fact{f.Name, f.Size, f.SHA256}})
	return nil // the content goes with the daily SweepContent
}

// Withdraw takes back an upload of the actor's own that is not attached yet.
func (s *Files) Withdraw(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "file.withdraw", func(ctx context.Context, a *action.Action) error {
		f, err := s.Get(ctx, a, id)
		if err != nil {
			return err
		}
		if !f.WaitsFor(actor) {
			return notFound()
		}
		return s.Remove(ctx, a, f)
	})
}

// Keep lets uploads of actor's own wait until then for what they belong to: a
// draft that is not finished today. Other ids are left alone.
func (s *Files) Keep(ctx context.Context, tx *db.Tx, actor authz.Actor, ids []int64, until time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	var a db.Args
	_, err := tx.Exec(ctx, `UPDATE files SET keep_until = `+a.Add(db.Micros(until))+` WHERE owner_type = `+a.Add(pendingPrefix+string(actor.Kind))+` AND uploaded_by = `+a.Add(actor.ID)+` AND id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return fmt.Errorf("blob: keep: %w", err)
	}
	return nil
}

// Release takes the files of a record back into the hands of the action's actor,
// as uploads of his own that wait until then, and returns their ids. The caller
// has checked that he may.
func (s *Files) Release(ctx context.Context, a *action.Action, ownerType string, ownerID int64, until time.Time) (ids []int64, err error) {
	fs, err := s.Of(ctx, a, ownerType, ownerID)
	if err != nil || len(fs) == 0 {
		return nil, err
	}
	for _, f := range fs {
		ids = append(ids, f.ID)
	}
	_, err = a.Exec(ctx, `UPDATE files SET owner_type = $1, owner_id = 0, entry_id = 0, internal = 0, uploaded_by = $2, keep_until = $3 WHERE owner_type = $4 AND owner_id = $5`,
		pendingPrefix+string(a.Actor.Kind), a.Actor.ID, db.Micros(until), ownerType, ownerID)
	if err != nil {
		return nil, fmt.Errorf("blob: release %s %d: %w", ownerType, ownerID, err)
	}
	return ids, nil
}

// WaitsFor reports whether f is an upload of actor's own that is not attached to
// anything yet.
func (f File) WaitsFor(actor authz.Actor) bool {
	return f.pending != "" && f.pending == actor.Kind && f.UploadedBy == actor.ID && actor.ID != 0
}

const columns = `id, sha256, size, mime, name, owner_type, owner_id, entry_id, internal, uploaded_by, created_at`

func scan(row interface{ Scan(...any) error }) (File, error) {
	var f File
	var internal, at int64
	err := row.Scan(&f.ID, &f.SHA256, &f.Size, &f.MIME, &f.Name, &f.Owner.Type, &f.Owner.ID, &f.Owner.EntryID, &internal, &f.UploadedBy, &at)
	f.Owner.Internal, f.CreatedAt = internal != 0, db.FromMicros(at)
	if kind, ok := strings.CutPrefix(f.Owner.Type, pendingPrefix); ok {
		f.Owner.Type, f.pending = "", authz.Kind(kind)
	}
	return f, err
}

// Get returns one file, NotFound when there is none. It asks nobody whether
// the reader may: see Open.
func (s *Files) Get(ctx context.Context, q db.Querier, id int64) (File, error) {
	f, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM files WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return File{}, notFound()
	}
	if err != nil {
		return File{}, fmt.Errorf("blob: load %d: %w", id, err)
	}
	return f, nil
}

func list(ctx context.Context, q db.Querier, where string, args ...any) ([]File, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM files WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("blob: list: %w", err)
	}
	defer rows.Close()
	var out []File
	for rows.Next() {
		f, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("blob: list: %w", err)
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// Of returns all files of a record, those of its entries too, oldest first.
func (s *Files) Of(ctx context.Context, q db.Querier, ownerType string, ownerID int64) ([]File, error) {
	return list(ctx, q, "owner_type = $1 AND owner_id = $2", ownerType, ownerID)
}

// OfEntries returns the files of timeline entries, by entry.
func (s *Files) OfEntries(ctx context.Context, q db.Querier, entryIDs []int64) (map[int64][]File, error) {
	out := map[int64][]File{}
	if len(entryIDs) == 0 {
		return out, nil
	}
	var a db.Args
	fs, err := list(ctx, q, "entry_id IN ("+a.AddInts(entryIDs)+") AND entry_id <> 0", a.Values...)
	for _, f := range fs {
		out[f.Owner.EntryID] = append(out[f.Owner.EntryID], f)
	}
	return out, err
}

// Move gives all files of a record to another: the merge of two customers.
func (s *Files) Move(ctx context.Context, tx *db.Tx, ownerType string, from, to int64) error {
	if _, err := tx.Exec(ctx, `UPDATE files SET owner_id = $1 WHERE owner_type = $2 AND owner_id = $3`, to, ownerType, from); err != nil {
		return fmt.Errorf("blob: move files of %s %d: %w", ownerType, from, err)
	}
	return nil
}

// Open returns a file and its content if actor may read it: his own upload, or
// a file of a record that its room lets him read.
func (s *Files) Open(ctx context.Context, actor authz.Actor, id int64) (File, io.ReadSeekCloser, error) {
	f, err := s.Get(ctx, s.run.DB().Read(), id)
	if err != nil {
		return File{}, nil, err
	}
	if f.pending != "" {
		if !f.WaitsFor(actor) {
			return File{}, nil, notFound()
		}
	} else {
		ask := s.authorizer[f.Owner.Type]
		if ask == nil {
			slog.Warn("blob: nobody decides over files", "owner", f.Owner.Type)
			return File{}, nil, notFound()
		}
		if err := ask(ctx, actor, f); err != nil {
			return File{}, nil, err
		}
	}
	c, err := s.store.Open(ctx, f.SHA256)
	return f, c, err
}

// orphanAge is how long an upload may wait for the form it belongs to, and how
// long unused content is left alone.
const orphanAge = 24 * time.Hour

const sweepBatch = 500

// Sweep removes uploads that were never attached: an hourly duty. Their
// content goes with SweepContent.
func (s *Files) Sweep(ctx context.Context) error {
	for {
		var n int64
		err := s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			r, err := tx.Exec(ctx, `
				DELETE FROM files WHERE id IN (
					SELECT id FROM files WHERE owner_type IN ($1, $2, $3) AND created_at < $4 AND keep_until < $5 ORDER BY id LIMIT $6)`,
				pendingPrefix+string(authz.User), pendingPrefix+string(authz.Customer), pendingPrefix+string(authz.Worker),
				db.Micros(tx.Now.Add(-orphanAge)), tx.NowMicros(), sweepBatch)
			if err != nil {
				return err
			}
			n, err = r.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("blob: sweep: %w", err)
		}
		if n < sweepBatch {
			return nil
		}
	}
}

// SweepContent removes content that no file uses and that was not put within
// the last day: a daily duty.
func (s *Files) SweepContent(ctx context.Context) error {
	before := s.run.DB().Clock().Now().Add(-orphanAge)
	var batch []string
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		used, err := s.used(ctx, batch)
		if err != nil {
			return err
		}
		for _, sum := range batch {
			if !used[sum] {
				if err := s.store.Delete(ctx, sum, before); err != nil {
					return err
				}
			}
		}
		batch = batch[:0]
		return nil
	}
	err := s.store.Walk(ctx, func(i Info) error {
		if !i.PutAt.Before(before) {
			return nil
		}
		if batch = append(batch, i.SHA256); len(batch) < 200 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (s *Files) used(ctx context.Context, sums []string) (map[string]bool, error) {
	var a db.Args
	ps := make([]string, len(sums))
	for i, sum := range sums {
		ps[i] = a.Add(sum)
	}
	rows, err := s.run.DB().Read().Query(ctx, `SELECT DISTINCT sha256 FROM files WHERE sha256 IN (`+strings.Join(ps, ", ")+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("blob: sweep content: %w", err)
	}
	defer rows.Close()
	used := map[string]bool{}
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return nil, fmt.Errorf("blob: sweep content: %w", err)
		}
		used[sum] = true
	}
	return used, rows.Err()
}
