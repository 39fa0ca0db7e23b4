package process

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/blob"
	"bihuan/internal/complaint"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Process is what an administrator works on.
type Process struct {
	ID            int64
	Name, NameEn  string
	Type          string // of the tickets it is for
	Class         string // "" any
	CategoryID    int64  // 0 any; one with parts stands for them too
	Draft         Definition
	Latest        int  // number of the newest version; 0: never published
	Live          bool // new tickets follow it
	UpdatedAt     time.Time
	UpdatedByName string
	Version       int64
	Running       int // open tickets that follow any of its versions; of lists only
}

// In returns the name in l.
func (p Process) In(l i18n.Lang) string { return field.Words{Zh: p.Name, En: p.NameEn}.In(l) }

// Version is a published definition.
type Version struct {
	ID              int64
	ProcessID       int64
	Number          int
	Name, NameEn    string
	Definition      Definition
	Note            string // what the publisher wrote about it
	PublishedAt     time.Time
	PublishedByName string
	Running         int // open tickets that follow it; of lists only
}

// In returns the name in l.
func (v Version) In(l i18n.Lang) string { return field.Words{Zh: v.Name, En: v.NameEn}.In(l) }

// Service is the room.
type Service struct {
	run     *action.Runner
	tickets *ticket.Service
	org     *org.Service
	fields  *field.Service
	files   *blob.Files
	records *complaint.Service // nil: nothing is asked of complaints

	versions sync.Map // id -> *Version; they never change
	live     atomic.Pointer[liveSet]
	loading  sync.Mutex
}

// New returns the room and takes its part in the life of tickets.
func New(run *action.Runner, t *ticket.Service, o *org.Service, fields *field.Service, files *blob.Files, complaints *complaint.Service) *Service {
	s := &Service{run: run, tickets: t, org: o, fields: fields, files: files, records: complaints}
	o.AddTie(s.tied)
	t.AddNarrow(s.narrow)
	t.AddGate(s.gate)
	t.AddAfter(s.after)
	t.AddBrought(s.brought)
	return s
}

// SubjectType is what the facts of this room are about.
const SubjectType = "process"

// Subject is process id as the subject of an event.
func Subject(id int64) event.Subject { return event.Subject{Type: SubjectType, ID: id} }

func (s *Service) db() *db.DB { return s.run.DB() }

func notFound() error { return fault.New(fault.NotFound, "process.not_found") }

const columns = `p.id, p.name, p.name_en, p.type, p.class, p.category_id, p.draft, p.latest, p.live, p.updated_at, p.updated_by_name, p.version`

func scan(row interface{ Scan(...any) error }, more ...any) (p Process, err error) {
	var draft string
	var live int
	var at int64
	dst := append([]any{&p.ID, &p.Name, &p.NameEn, &p.Type, &p.Class, &p.CategoryID, &draft, &p.Latest, &live, &at, &p.UpdatedByName, &p.Version}, more...)
	if err = row.Scan(dst...); err != nil {
		return p, err
	}
	p.Live, p.UpdatedAt = live == 1, db.FromMicros(at)
	return p, json.Unmarshal([]byte(draft), &p.Draft)
}

func get(ctx context.Context, q db.Querier, id int64, lock string) (Process, error) {
	p, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM processes p WHERE p.id = $1`+lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return p, notFound()
	}
	if err != nil {
		return p, fmt.Errorf("process: %d: %w", id, err)
	}
	return p, nil
}

func list(ctx context.Context, q db.Querier) ([]Process, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+`, (SELECT COUNT(*) FROM tickets t WHERE t.process_id = p.id AND t.process_id > 0 AND t.is_open = 1)
		FROM processes p ORDER BY p.live DESC, p.type, p.name, p.id LIMIT `+maxProcesses)
	if err != nil {
		return nil, fmt.Errorf("process: list: %w", err)
	}
	defer rows.Close()
	var out []Process
	for rows.Next() {
		var running int
		p, err := scan(rows, &running)
		if err != nil {
			return nil, fmt.Errorf("process: list: %w", err)
		}
		p.Running = running
		out = append(out, p)
	}
	return out, rows.Err()
}

// maxProcesses bounds their number, so that a list shows them all.
const maxProcesses = "200"

const versionColumns = `v.id, v.process_id, v.number, v.name, v.name_en, v.definition, v.note, v.published_at, v.published_by_name`

func scanVersion(row interface{ Scan(...any) error }, more ...any) (v Version, err error) {
	var raw string
	var at int64
	dst := append([]any{&v.ID, &v.ProcessID, &v.Number, &v.Name, &v.NameEn, &raw, &v.Note, &at, &v.PublishedByName}, more...)
	if err = row.Scan(dst...); err != nil {
		return v, err
	}
	v.PublishedAt = db.FromMicros(at)
	return v, json.Unmarshal([]byte(raw), &v.Definition)
}

// version returns a published version by its id; the second time from memory.
func (s *Service) version(ctx context.Context, q db.Querier, id int64) (*Version, error) {
	if v, ok := s.versions.Load(id); ok {
		return v.(*Version), nil
	}
	v, err := scanVersion(q.QueryRow(ctx, `SELECT `+versionColumns+` FROM process_versions v WHERE v.id = $1`, id))
	if err != nil {
		return nil, fmt.Errorf("process: version %d: %w", id, err)
	}
	s.versions.Store(id, &v)
	return &v, nil
}

// tied refuses to close a department that is responsible for a stage of a process
// in force: tickets would be sent to where nobody is.
func (s *Service) tied(ctx context.Context, q db.Querier, d org.Department) error {
	vs, err := inForce(ctx, q)
	if err != nil {
		return err
	}
	for _, o := range vs {
		for _, st := range o.version.Definition.Stages {
			if st.Department == d.ID {
				return fault.New(fault.Conflict, "process.department_used", d.Name, o.version.Name, st.Name)
			}
		}
	}
	return nil
}

// liveSet are the versions new tickets follow.
type liveSet struct {
	at     time.Time
	of     []liveOne
	parent map[int64]int64 // of categories
}

type liveOne struct {
	typ, class string
	category   int64
	version    *Version
}

// fresh is how long a node trusts what it read; what is published here it knows
// at once.
const fresh = 5 * time.Second

func (s *Service) current(ctx context.Context, q db.Querier) (*liveSet, error) {
	now := s.db().Clock().Now()
	if l := s.live.Load(); l != nil && now.Sub(l.at) < fresh && !now.Before(l.at) {
		return l, nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	l := &liveSet{at: now, parent: map[int64]int64{}}
	var err error
	if l.of, err = inForce(ctx, q); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(l.of, func(o liveOne) bool { return o.category != 0 }) {
		cs, err := ticket.Categories(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			l.parent[c.ID] = c.ParentID
		}
	}
	s.live.Store(l)
	return l, nil
}

// inForce reads the versions new tickets follow.
func inForce(ctx context.Context, q db.Querier) (out []liveOne, err error) {
	rows, err := q.Query(ctx, `SELECT `+versionColumns+`, p.type, p.class, p.category_id FROM processes p JOIN process_versions v ON v.process_id = p.id AND v.number = p.latest WHERE p.live = 1`)
	if err != nil {
		return nil, fmt.Errorf("process: live: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o liveOne
		v, err := scanVersion(rows, &o.typ, &o.class, &o.category)
		if err != nil {
			return nil, fmt.Errorf("process: live: %w", err)
		}
		o.version = &v
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("process: live: %w", err)
	}
	return out, nil
}

// match returns the version a ticket of that description follows: of the category
// before of its parent, then of the class, then of the type.
func (l *liveSet) match(typ, class string, category int64) (best *Version) {
	most := -1
	for _, o := range l.of {
		score := 0
		if o.typ != typ || o.class != "" && o.class != class {
			continue
		}
		if o.class != "" {
			score++
		}
		switch {
		case o.category == 0:
		case category != 0 && o.category == category:
			score += 4
		case category != 0 && o.category == l.parent[category]:
			score += 2
		default:
			continue
		}
		if score > most {
			most, best = score, o.version
		}
	}
	return best
}
