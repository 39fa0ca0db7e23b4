package task

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	working "bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// Figure is one thing looked at before leaving (FLW-4). Rooms add theirs; its
// name is the locale key day.figure.<key>.
type Figure struct {
	Key string
	// Count returns how many there are of each of users; none is left out.
	Count func(ctx context.Context, q db.Querier, users []int64, from, to time.Time) (map[int64]int, error)
	// Lines lists those of one user; at most limit.
	Lines func(ctx context.Context, q db.Querier, l i18n.Lang, user int64, from, to time.Time, limit int) ([]Line, error)
}

// Line is one of what a figure counts.
type Line struct {
	Label string // TASK20261122001
	Title string
	Note  string // what is missing
	Href  string
}

// AddFigure adds a figure, before the first request.
func (s *Service) AddFigure(f Figure) { s.figures = append(s.figures, f) }

// FigureKeys are the figures in the order they are shown.
func (s *Service) FigureKeys() (out []string) {
	for _, f := range s.figures {
		out = append(out, f.Key)
	}
	return out
}

func (s *Service) figure(key string) (Figure, error) {
	for _, f := range s.figures {
		if f.Key == key {
			return f, nil
		}
	}
	return Figure{}, notFound()
}

// undone are the tasks that are due by the end of the day and not done.
func (s *Service) undone() Figure {
	return Figure{Key: "tasks",
		Count: func(ctx context.Context, q db.Querier, users []int64, from, to time.Time) (map[int64]int, error) {
			return CountBy(ctx, q, `SELECT owner_id, COUNT(*) FROM tasks WHERE state = 'open' AND due_at < $1 AND owner_id IN (`, `) GROUP BY owner_id`, users, db.Micros(to))
		},
		Lines: func(ctx context.Context, q db.Querier, l i18n.Lang, user int64, from, to time.Time, limit int) ([]Line, error) {
			ts, err := list(ctx, q, `t.owner_id = $1 AND t.state = 'open' AND t.due_at < $2 ORDER BY t.due_at, t.id LIMIT `+strconv.Itoa(limit), user, db.Micros(to))
			var out []Line
			for _, t := range ts {
				out = append(out, Line{Title: t.Title, Note: t.Due(l, s.zone), Href: t.Link()})
			}
			return out, err
		}}
}

// CountBy runs a count by user: head, a list of users, tail; args come first.
func CountBy(ctx context.Context, q db.Querier, head, tail string, users []int64, args ...any) (map[int64]int, error) {
	out := map[int64]int{}
	if len(users) == 0 {
		return out, nil
	}
	a := db.Args{Values: append([]any{}, args...)}
	rows, err := q.Query(ctx, head+a.AddInts(users)+tail, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("task: count by person: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var user int64
		var n int
		if err := rows.Scan(&user, &n); err != nil {
			return nil, fmt.Errorf("task: count by person: %w", err)
		}
		out[user] += n
	}
	return out, rows.Err()
}

// Check is the close of one person's day.
type Check struct {
	UserID  int64
	Day     time.Time // its first moment
	Figures map[string]int
	Left    int       // all of them together
	At      time.Time // when he said that he had looked; zero: not yet
}

// bounds of the day of at.
func (s *Service) bounds(at time.Time) (from, to time.Time) {
	from = DayStart(at, s.zone)
	return from, from.AddDate(0, 0, 1)
}

// CloseOf returns the checks of users for today.
func (s *Service) CloseOf(ctx context.Context, users []int64) (map[int64]Check, error) {
	return s.closeOf(ctx, s.db().Read(), users, s.Now())
}

func (s *Service) closeOf(ctx context.Context, q db.Querier, users []int64, now time.Time) (map[int64]Check, error) {
	from, to := s.bounds(now)
	out := map[int64]Check{}
	for _, u := range users {
		out[u] = Check{UserID: u, Day: from, Figures: map[string]int{}}
	}
	for _, f := range s.figures {
		by, err := f.Count(ctx, q, users, from, to)
		if err != nil {
			return nil, fmt.Errorf("task: figure %s: %w", f.Key, err)
		}
		for u, n := range by {
			if c, ok := out[u]; ok {
				c.Figures[f.Key] = n
				c.Left += n
				out[u] = c
			}
		}
	}
	if len(users) == 0 {
		return out, nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT user_id, at FROM day_checks WHERE day = `+a.Add(from.Format(time.DateOnly))+` AND user_id IN (`+a.AddInts(users)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("task: checks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var u, at int64
		if err := rows.Scan(&u, &at); err != nil {
			return nil, fmt.Errorf("task: checks: %w", err)
		}
		c := out[u]
		c.At = db.FromMicros(at)
		out[u] = c
	}
	return out, rows.Err()
}

// Oversees reports whether actor looks through the day of user: his own, and
// those of people he leads.
func (s *Service) Oversees(ctx context.Context, actor authz.Actor, user int64) (bool, error) {
	if user == actor.ID {
		return true, nil
	}
	sc := authz.For(actor, PermManage)
	if sc.Empty() {
		return false, nil
	}
	p, ok, err := s.org.Person(ctx, s.db().Read(), user)
	return ok && (sc.Everything() || sc.Matches(nil, p.DepartmentID)), err
}

// Team returns the people whose day actor looks through, without himself.
func (s *Service) Team(ctx context.Context, actor authz.Actor) (out []int64, err error) {
	sc := authz.For(actor, PermManage)
	if sc.Empty() {
		return nil, nil
	}
	holders, err := s.org.Holders(ctx, s.db().Read(), PermUse)
	if err != nil {
		return nil, err
	}
	for _, u := range holders {
		p, ok, err := s.org.Person(ctx, s.db().Read(), u)
		if err != nil {
			return nil, err
		}
		if ok && p.Active && u != actor.ID && (sc.Everything() || sc.Matches(nil, p.DepartmentID)) {
			out = append(out, u)
		}
	}
	return out, nil
}

// Lines lists what figure key counts for user today.
func (s *Service) Lines(ctx context.Context, actor authz.Actor, key string, user int64, limit int) ([]Line, error) {
	f, err := s.figure(key)
	if err != nil {
		return nil, err
	}
	if ok, err := s.Oversees(ctx, actor, user); err != nil {
		return nil, err
	} else if !ok {
		return nil, notFound()
	}
	from, to := s.bounds(s.Now())
	return f.Lines(ctx, s.db().Read(), actor.Lang, user, from, to, limit)
}

// CloseDay records that the actor has looked through his day, and what is left
// of it. Doing it again records it anew.
func (s *Service) CloseDay(ctx context.Context, actor authz.Actor) error {
	if err := actor.Check(PermUse); err != nil {
		return err
	}
	if actor.Kind != authz.User {
		return fault.New(fault.Forbidden, "task.day.people")
	}
	return s.run.Do(ctx, actor, "task.close_day", func(ctx context.Context, a *action.Action) error {
		cs, err := s.closeOf(ctx, a, []int64{actor.ID}, a.Now)
		if err != nil {
			return err
		}
		c := cs[actor.ID]
		figures, err := json.Marshal(c.Figures)
		if err != nil {
			return fmt.Errorf("task: close of day: %w", err)
		}
		day := c.Day.Format(time.DateOnly)
		if _, err := a.Exec(ctx, `INSERT INTO day_checks (user_id, day, figures, at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, day) DO UPDATE SET figures = excluded.figures, at = excluded.at`,
			actor.ID, day, string(figures), a.NowMicros()); err != nil {
			return fmt.Errorf("task: close of day: %w", err)
		}
		a.Record(event.Event{Kind: DayChecked, Subject: event.Subject{Type: "user", ID: actor.ID}, Data: Facts{Args: []string{day, strconv.Itoa(c.Left)}}})
		return nil
	})
}

const dayState = "task.day_asked"

// AskDays asks everybody once a working day, at the time the settings name, to
// look through his day; who has nothing left, or has looked already, is left in
// peace. Who leads others hears how many of them have not.
func (s *Service) AskDays(ctx context.Context) error {
	q := s.db().Read()
	set, err := readSettings(ctx, q)
	if err != nil || !set.DayCheck {
		return err
	}
	now := s.Now().In(s.zone)
	today := now.Format(time.DateOnly)
	book, err := working.Load(ctx, q)
	if err != nil {
		return err
	}
	works := set.Works(now)
	switch book.Default().On(now).Kind {
	case working.KindHoliday:
		works = false
	case working.KindMakeup:
		works = true
	}
	if !works || now.Before(on(now, set.DayCheckAt)) || now.Sub(on(now, set.DayCheckAt)) > 4*time.Hour {
		return nil // after a pause of the program nobody is asked at night
	}
	var last string
	if err := setting.Read(ctx, q, dayState, &last); err != nil || last == today {
		return err
	}
	users, err := s.org.Holders(ctx, q, PermUse)
	if err != nil {
		return err
	}
	checks, err := s.closeOf(ctx, q, users, now)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, authz.System("day check"), "task.ask_days", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		if err := setting.Read(ctx, a, dayState, &last); err != nil || last == today {
			return err
		}
		if err := setting.Write(ctx, a.Tx, dayState, today); err != nil {
			return err
		}
		for _, u := range users {
			if c := checks[u]; c.Left > 0 && c.At.IsZero() {
				a.Record(event.Event{Kind: DayDue, Subject: event.Subject{Type: "user", ID: u}, Data: Facts{Args: []string{strconv.Itoa(c.Left)}, Link: "/day", Tell: []int64{u}}})
			}
		}
		leads, err := s.org.Holders(ctx, a, PermManage)
		if err != nil {
			return err
		}
		for _, lead := range leads {
			actor, err := s.org.Actor(ctx, lead)
			if err != nil {
				continue // he has left meanwhile
			}
			if actor.Level(PermManage) == authz.All {
				continue // administrators lead nobody by that
			}
			team, err := s.Team(ctx, actor)
			if err != nil {
				return err
			}
			people, left := 0, 0
			for _, u := range team {
				if c := checks[u]; c.Left > 0 && c.At.IsZero() {
					people++
					left += c.Left
				}
			}
			if people > 0 {
				a.Record(event.Event{Kind: TeamDue, Subject: event.Subject{Type: "user", ID: lead}, Data: Facts{Args: []string{strconv.Itoa(people), strconv.Itoa(left)}, Link: "/day?list=team", Tell: []int64{lead}}})
			}
		}
		return nil
	})
}

// Closed returns when user looked through the day named 2026-11-22, and what was
// left; ok is false when he has not.
func (s *Service) Closed(ctx context.Context, user int64, day string) (at time.Time, figures map[string]int, ok bool, err error) {
	var us int64
	var raw string
	err = s.db().Read().QueryRow(ctx, `SELECT at, figures FROM day_checks WHERE user_id = $1 AND day = $2`, user, strings.TrimSpace(day)).Scan(&us, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return at, nil, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(raw), &figures)
	}
	if err != nil {
		return at, nil, false, fmt.Errorf("task: close of %s: %w", day, err)
	}
	return db.FromMicros(us), figures, true, nil
}
