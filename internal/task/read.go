package task

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Filter narrows a list; the zero value is everything in scope.
type Filter struct {
	State   State // "": any
	OwnerID int64
	Team    bool // of others within the scope
	Given   bool // given by the reader to somebody else
	Late    bool // open, and its time is past
	Origin  Origin
	Subject event.Subject
	From    time.Time // due in [From, To)
	To      time.Time
	Text    string
	After   string // cursor
	Limit   int    // 0: 50
}

// Page is a piece of a list, by the time it is due; Next is "" at the end.
type Page struct {
	Tasks []Task
	Next  string
}

const mostRows = 500

func (f Filter) where(a *db.Args, sc authz.Scope, now time.Time) string {
	conds := []string{where(sc, a)}
	add := func(c string) { conds = append(conds, c) }
	if f.Late {
		f.State = Open
		add("t.due_at < " + a.Add(db.Micros(now)))
	}
	if f.State != "" {
		add("t.state = " + a.Add(string(f.State)))
	}
	if f.OwnerID != 0 {
		add("t.owner_id = " + a.Add(f.OwnerID))
	}
	if f.Team {
		add(team(sc, a))
	}
	if f.Given {
		add("t.created_by = " + a.Add(sc.User()) + " AND t.owner_id <> " + a.Add(sc.User()))
	}
	if f.Origin != "" {
		add("t.origin = " + a.Add(string(f.Origin)))
	}
	if f.Subject.ID != 0 {
		add("t.subject_id > 0 AND t.subject_type = " + a.Add(f.Subject.Type) + " AND t.subject_id = " + a.Add(f.Subject.ID))
	}
	if !f.From.IsZero() {
		add("t.due_at >= " + a.Add(db.Micros(f.From)))
	}
	if !f.To.IsZero() {
		add("t.due_at < " + a.Add(db.Micros(f.To)))
	}
	if text := strings.ToLower(line(f.Text)); text != "" {
		add("LOWER(t.title) LIKE " + a.Add("%"+likeEscape.Replace(text)+"%") + ` ESCAPE '\'`)
	}
	return strings.Join(conds, " AND ")
}

// List returns the tasks sc lets the reader see: open ones by when they are due,
// ended ones the latest due first.
func (s *Service) List(ctx context.Context, sc authz.Scope, f Filter) (Page, error) {
	var a db.Args
	cond := f.where(&a, sc, s.Now())
	if f.Limit <= 0 || f.Limit > mostRows {
		f.Limit = 50
	}
	order, op := "t.due_at, t.id", ">"
	if f.State == Done || f.State == Cancelled {
		order, op = "t.due_at DESC, t.id DESC", "<"
	}
	if due, id, ok := strings.Cut(f.After, "."); ok {
		d, err1 := strconv.ParseInt(due, 10, 64)
		n, err2 := strconv.ParseInt(id, 10, 64)
		if err1 == nil && err2 == nil {
			cond += " AND (t.due_at " + op + " " + a.Add(d) + " OR t.due_at = " + a.Add(d) + " AND t.id " + op + " " + a.Add(n) + ")"
		}
	}
	ts, err := list(ctx, s.db().Read(), cond+" ORDER BY "+order+" LIMIT "+strconv.Itoa(f.Limit+1), a.Values...)
	if err != nil {
		return Page{}, err
	}
	p := Page{Tasks: ts}
	if len(ts) > f.Limit {
		p.Tasks = ts[:f.Limit]
		last := ts[f.Limit-1]
		p.Next = fmt.Sprintf("%d.%d", dueMicros(last.DueAt), last.ID)
	}
	return p, nil
}

// Get returns a task in scope.
func (s *Service) Get(ctx context.Context, sc authz.Scope, id int64) (Task, error) {
	return get(ctx, s.db().Read(), sc, id, "")
}

// OpenOf returns the open tasks about something, those due first before others:
// for its page, whose reader may see it anyway.
func (s *Service) OpenOf(ctx context.Context, about event.Subject, limit int) ([]Task, error) {
	return list(ctx, s.db().Read(), `t.subject_type = $1 AND t.subject_id = $2 AND t.subject_id > 0 AND t.state = 'open' ORDER BY t.due_at, t.id LIMIT `+strconv.Itoa(limit), about.Type, about.ID)
}

// DueToday returns how many open tasks of the actor's own are due by the end of
// today or late, at most limit.
func (s *Service) DueToday(ctx context.Context, actor authz.Actor, limit int) (n int, err error) {
	if actor.Kind != authz.User || !actor.Can(PermView) {
		return 0, nil
	}
	end := EndOf(s.Now().In(s.zone))
	err = s.db().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM tasks WHERE owner_id = $1 AND state = 'open' AND due_at <= $2 LIMIT `+strconv.Itoa(limit)+`) x`, actor.ID, db.Micros(end)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("task: due today: %w", err)
	}
	return n, nil
}

// Overdue returns how many open tasks of others within sc are late at now, at
// most limit: for the desk of a supervisor. The list is /tasks/list?list=late.
func Overdue(ctx context.Context, q db.Querier, sc authz.Scope, now time.Time, limit int) (n int, err error) {
	var a db.Args
	cond := "t.state = 'open' AND t.due_at < " + a.Add(db.Micros(now)) + " AND " + team(sc, &a)
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM tasks t WHERE `+cond+` LIMIT `+strconv.Itoa(limit)+`) x`, a.Values...).Scan(&n); err != nil {
		return 0, fmt.Errorf("task: overdue: %w", err)
	}
	return n, nil
}

// Day is what one person has to do, as seen from a moment of it.
type Day struct {
	Late    []Task // due before today began, or earlier today
	Today   []Task
	Next    []Task // of the seven days to come
	Undated []Task
	Done    int // finished today
}

// Mine returns the actor's day.
func (s *Service) Mine(ctx context.Context, actor authz.Actor) (d Day, err error) {
	if err := actor.Check(PermView); err != nil {
		return d, err
	}
	q, now := s.db().Read(), s.Now()
	start := DayStart(now, s.zone)
	end := EndOf(start).Add(time.Second)
	part := func(from, to int64, limit int) ([]Task, error) {
		return list(ctx, q, `t.owner_id = $1 AND t.state = 'open' AND t.due_at >= $2 AND t.due_at < $3 ORDER BY t.due_at, t.id LIMIT `+strconv.Itoa(limit), actor.ID, from, to)
	}
	if d.Late, err = part(0, db.Micros(now), 100); err != nil {
		return d, err
	}
	if d.Today, err = part(db.Micros(now), db.Micros(end), 100); err != nil {
		return d, err
	}
	if d.Next, err = part(db.Micros(end), db.Micros(end.AddDate(0, 0, 7)), 50); err != nil {
		return d, err
	}
	if d.Undated, err = part(never, never+1, 50); err != nil {
		return d, err
	}
	err = q.QueryRow(ctx, `SELECT COUNT(*) FROM tasks WHERE owner_id = $1 AND closed_at >= $2 AND closed_at > 0 AND state = 'done'`, actor.ID, db.Micros(start)).Scan(&d.Done)
	if err != nil {
		return d, fmt.Errorf("task: done today: %w", err)
	}
	return d, nil
}
