package task

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ical"
	"bihuan/internal/number"
	"bihuan/internal/org"
)

// State of a task; named task.state.<state>.
type State string

const (
	Open      State = "open"
	Done      State = "done"
	Cancelled State = "cancelled"
)

// States in the order they are offered.
var States = []State{Open, Done, Cancelled}

// Origin says what a task was made of; named task.origin.<origin>.
type Origin string

const (
	ByHand       Origin = "hand"
	ByPlan       Origin = "plan"        // the next plan of a follow-up record
	ByDispute    Origin = "dispute"     // a customer was not satisfied: his supervisor owes him a word
	ByNoRecord   Origin = "no_record"   // handled for a day without a record (FLW-5)
	ByNoAnswer   Origin = "unconfirmed" // the customer has not confirmed the result (FLW-5)
	ByVisit      Origin = "visit"       // a return visit is due (FLW-5)
	ByAutomation Origin = "rule"        // a rule of the company's own
)

// Origins in the order they are offered.
var Origins = []Origin{ByHand, ByPlan, ByDispute, ByNoRecord, ByNoAnswer, ByVisit, ByAutomation}

// NoReminder is the Remind of a task nobody is reminded of.
const NoReminder = -1

// Bounds of what people write.
const (
	MaxTitle   = 200
	MaxDetails = 4000
	MaxReason  = 500
	maxRemind  = 14 * 24 * 60
)

// Task is something one person has to do. A zero DueAt has no date. Of one that
// lasts all day DueAt is the last second of it.
type Task struct {
	ID            int64
	Title         string
	Details       string
	OwnerID       int64
	DueAt         time.Time
	AllDay        bool
	Remind        int // minutes before; of a whole day before its morning; NoReminder
	Subject       event.Subject
	Origin        Origin
	EntryID       int64 // of the follow-up record whose plan it is
	State         State
	Reason        string
	CreatedBy     int64
	CreatedByName string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ClosedAt      time.Time
	ClosedBy      int64
	ClosedByName  string
	Version       int64
	remindAt      time.Time
	lateAt        time.Time
	once          string
}

// Late reports whether t should have been done before now.
func (t Task) Late(now time.Time) bool {
	return t.State == Open && !t.DueAt.IsZero() && t.DueAt.Before(now)
}

// Owed reports whether the task is finished by a record alone.
func (t Task) Owed() bool { return t.Origin == ByDispute }

// Service is the room's only door.
type Service struct {
	run      *action.Runner
	org      *org.Service
	subjects map[string]SubjectKind
	figures  []Figure
	zone     *time.Location

	calendars []func(ctx context.Context, r CalendarRequest) ([]ical.Entry, error)
}

// NewService returns the room. Name the kinds of subjects and the figures of the day
// before the first request.
func NewService(run *action.Runner, o *org.Service) *Service {
	s := &Service{run: run, org: o, subjects: map[string]SubjectKind{}, zone: number.Zone}
	s.AddFigure(s.undone())
	return s
}

func (s *Service) db() *db.DB { return s.run.DB() }

// Now is the time by the room's clock.
func (s *Service) Now() time.Time { return s.db().Clock().Now() }

// Zone is where the company's days begin.
func (s *Service) Zone() *time.Location { return s.zone }

// Named is a subject as a reader may know it.
type Named struct {
	Label string // TASK20261122001
	Title string // in words
	Href  string
}

// SubjectKind is what the room of a subject knows of it.
type SubjectKind struct {
	// Named returns those of ids that actor may see.
	Named func(ctx context.Context, actor authz.Actor, ids []int64) (map[int64]Named, error)
	// Find returns the id of what somebody has written: a number. 0: nothing he may see.
	Find func(ctx context.Context, actor authz.Actor, text string) (int64, error)
	// Given lets the owner of a task see what it is about, or refuses; may be nil.
	Given func(ctx context.Context, a *action.Action, id, owner int64) error
}

// AddSubject declares a kind of subject, before the first request.
func (s *Service) AddSubject(typ string, k SubjectKind) { s.subjects[typ] = k }

// Names returns what the reader may know of the subjects of ts.
func (s *Service) Names(ctx context.Context, actor authz.Actor, ts []Task) (map[event.Subject]Named, error) {
	by := map[string][]int64{}
	for _, t := range ts {
		if t.Subject.ID != 0 {
			by[t.Subject.Type] = append(by[t.Subject.Type], t.Subject.ID)
		}
	}
	out := map[event.Subject]Named{}
	for typ, ids := range by {
		k, ok := s.subjects[typ]
		if !ok {
			continue
		}
		some, err := k.Named(ctx, actor, ids)
		if err != nil {
			return nil, fmt.Errorf("task: names of %s: %w", typ, err)
		}
		for id, n := range some {
			out[event.Subject{Type: typ, ID: id}] = n
		}
	}
	return out, nil
}

// Find looks a subject up by what somebody wrote; the zero subject for "".
func (s *Service) Find(ctx context.Context, actor authz.Actor, text string) (event.Subject, error) {
	if text = strings.TrimSpace(text); text == "" {
		return event.Subject{}, nil
	}
	for typ, k := range s.subjects {
		if k.Find == nil {
			continue
		}
		if id, err := k.Find(ctx, actor, text); err != nil {
			return event.Subject{}, err
		} else if id != 0 {
			return event.Subject{Type: typ, ID: id}, nil
		}
	}
	return event.Subject{}, fault.Invalidf("task.subject.unknown").Field("subject", "task.subject.unknown")
}

// counters learn how many open tasks a subject has, in the transaction in which
// that changes.
var counters = map[string]func(ctx context.Context, tx *db.Tx, id, open int64) error{}

// OnCount registers who keeps the number of open tasks of a type of subject; at
// start.
func OnCount(typ string, f func(ctx context.Context, tx *db.Tx, id, open int64) error) {
	counters[typ] = f
}

func recount(ctx context.Context, tx *db.Tx, about event.Subject) error {
	f := counters[about.Type]
	if f == nil || about.ID == 0 {
		return nil
	}
	var n int64
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tasks WHERE subject_type = $1 AND subject_id = $2 AND subject_id > 0 AND state = 'open'`, about.Type, about.ID).Scan(&n); err != nil {
		return fmt.Errorf("task: count of %s %d: %w", about.Type, about.ID, err)
	}
	return f(ctx, tx, about.ID, n)
}

// never is the due_at of a task without a date.
const never = int64(1) << 62

func dueMicros(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return db.Micros(t)
}

func dueTime(us int64) time.Time {
	if us >= never {
		return time.Time{}
	}
	return db.FromMicros(us)
}

const columns = `t.id, t.title, t.details, t.owner_id, t.due_at, t.all_day, t.remind, t.remind_at, t.late_at, t.subject_type, t.subject_id, t.origin, t.once, t.entry_id, t.state, t.reason,
	t.created_by, t.created_by_name, t.created_at, t.updated_at, t.closed_at, t.closed_by, t.closed_by_name, t.version`

func scan(row interface{ Scan(...any) error }) (t Task, err error) {
	var due, remind, late, created, updated, closed int64
	var allDay int
	err = row.Scan(&t.ID, &t.Title, &t.Details, &t.OwnerID, &due, &allDay, &t.Remind, &remind, &late, &t.Subject.Type, &t.Subject.ID, (*string)(&t.Origin), &t.once, &t.EntryID, (*string)(&t.State), &t.Reason,
		&t.CreatedBy, &t.CreatedByName, &created, &updated, &closed, &t.ClosedBy, &t.ClosedByName, &t.Version)
	t.AllDay, t.DueAt = allDay == 1, dueTime(due)
	t.remindAt, t.lateAt, t.CreatedAt, t.UpdatedAt, t.ClosedAt = db.FromMicros(remind), db.FromMicros(late), db.FromMicros(created), db.FromMicros(updated), db.FromMicros(closed)
	return t, err
}

func list(ctx context.Context, q db.Querier, tail string, args ...any) ([]Task, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM tasks t WHERE `+tail, args...)
	if err != nil {
		return nil, fmt.Errorf("task: list: %w", err)
	}
	defer rows.Close()
	var out []Task
	for rows.Next() {
		t, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("task: list: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func get(ctx context.Context, q db.Querier, sc authz.Scope, id int64, lock string) (Task, error) {
	var a db.Args
	cond := "t.id = " + a.Add(id) + " AND " + where(sc, &a)
	t, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM tasks t WHERE `+cond+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return t, notFound()
	}
	if err != nil {
		return t, fmt.Errorf("task: %d: %w", id, err)
	}
	return t, nil
}

// insert writes t; made is false when there is one of the same once already.
func insert(ctx context.Context, a *action.Action, t *Task) (made bool, err error) {
	t.CreatedAt, t.UpdatedAt, t.State, t.Version = a.Now, a.Now, Open, 1
	if t.CreatedByName == "" {
		t.CreatedByName = a.Actor.Name
		if a.Actor.Kind == authz.User {
			t.CreatedBy = a.Actor.ID
		}
	}
	err = a.QueryRow(ctx, `
		INSERT INTO tasks (title, details, owner_id, due_at, all_day, remind, remind_at, late_at, next_at, subject_type, subject_id, origin, once, entry_id, created_by, created_by_name, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (once) WHERE once <> '' DO NOTHING RETURNING id`,
		t.Title, t.Details, t.OwnerID, dueMicros(t.DueAt), db.Bool(t.AllDay), t.Remind, db.Micros(t.remindAt), db.Micros(t.lateAt), db.Micros(t.next()), t.Subject.Type, t.Subject.ID, string(t.Origin), t.once, t.EntryID,
		t.CreatedBy, t.CreatedByName, db.Micros(t.CreatedAt), db.Micros(t.UpdatedAt)).Scan(&t.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("task: create: %w", err)
	}
	return true, recount(ctx, a.Tx, t.Subject)
}

// save writes what may change; the caller has locked the row.
func save(ctx context.Context, a *action.Action, old Task, t *Task) error {
	t.UpdatedAt, t.Version = a.Now, old.Version+1
	res, err := a.Exec(ctx, `
		UPDATE tasks SET title = $1, details = $2, owner_id = $3, due_at = $4, all_day = $5, remind = $6, remind_at = $7, late_at = $8, next_at = $9, entry_id = $10, once = $11, state = $12, reason = $13,
			updated_at = $14, closed_at = $15, closed_by = $16, closed_by_name = $17, version = version + 1
		WHERE id = $18 AND version = $19`,
		t.Title, t.Details, t.OwnerID, dueMicros(t.DueAt), db.Bool(t.AllDay), t.Remind, db.Micros(t.remindAt), db.Micros(t.lateAt), db.Micros(t.next()), t.EntryID, t.once, string(t.State), t.Reason,
		db.Micros(t.UpdatedAt), db.Micros(t.ClosedAt), t.ClosedBy, t.ClosedByName, t.ID, old.Version)
	if err != nil {
		return fmt.Errorf("task: save %d: %w", t.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return changedMeanwhile()
	}
	if old.State != t.State {
		return recount(ctx, a.Tx, t.Subject)
	}
	return nil
}

func (t Task) next() time.Time {
	switch {
	case t.remindAt.IsZero():
		return t.lateAt
	case t.lateAt.IsZero() || t.remindAt.Before(t.lateAt):
		return t.remindAt
	}
	return t.lateAt
}

// wind sets the times at which t speaks up, as seen from now. What is past is
// not made up for: the list shows it.
func (t *Task) wind(now time.Time, set Settings, zone *time.Location) {
	t.remindAt, t.lateAt = time.Time{}, time.Time{}
	if t.State != "" && t.State != Open || t.DueAt.IsZero() {
		return
	}
	if t.Remind >= 0 {
		from := t.DueAt
		if t.AllDay {
			from = set.morning(t.DueAt.In(zone))
		}
		if at := from.Add(-time.Duration(t.Remind) * time.Minute); at.After(now) {
			t.remindAt = at
		}
	}
	if t.DueAt.After(now) {
		t.lateAt = t.DueAt.Add(time.Second)
	}
}

// EndOf is the due time of a task that lasts the day of t in its zone.
func EndOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, t.Location()).Add(-time.Second)
}

// DayStart is the first moment of the day of t in zone.
func DayStart(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// Due says in l when t is due: with the time unless it lasts all day.
func (t Task) Due(l i18n.Lang, zone *time.Location) string {
	switch {
	case t.DueAt.IsZero():
		return i18n.T(l, "task.undated")
	case t.AllDay:
		return t.DueAt.In(zone).Format(time.DateOnly)
	}
	return t.DueAt.In(zone).Format("2006-01-02 15:04")
}

func notFound() error         { return fault.New(fault.NotFound, "task.not_found") }
func changedMeanwhile() error { return fault.New(fault.Conflict, "task.changed_meanwhile") }

// line is s on one line without controls.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// text is s without controls other than line breaks.
func text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s))
}

// cut is s with at most n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// DB returns the store the room reads from.
func (s *Service) DB() *db.DB { return s.db() }
