package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Check is one thing to be done on a ticket.
type Check struct {
	ID     int64
	Body   string
	DoneAt time.Time // zero: not yet
	DoneBy string
}

const (
	maxChecks    = 50
	maxCheckText = 200
)

// Checks returns the checklist of a ticket the caller may see.
func Checks(ctx context.Context, q db.Querier, id int64) ([]Check, error) {
	rows, err := q.Query(ctx, `SELECT id, body, done_at, done_by_name FROM ticket_checks WHERE ticket_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: checklist: %w", err)
	}
	defer rows.Close()
	var out []Check
	for rows.Next() {
		var c Check
		var at int64
		if err := rows.Scan(&c.ID, &c.Body, &at, &c.DoneBy); err != nil {
			return nil, fmt.Errorf("ticket: checklist: %w", err)
		}
		c.DoneAt = db.FromMicros(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

// checking changes the checklist of ticket id by somebody who may write on it.
func (s *Service) checking(ctx context.Context, actor authz.Actor, id int64, fn func(ctx context.Context, a *action.Action) (kind, body string, err error)) error {
	return s.run.Do(ctx, actor, "ticket.check", func(ctx context.Context, a *action.Action) error { return s.checkingIn(ctx, a, id, fn) })
}

func (s *Service) checkingIn(ctx context.Context, a *action.Action, id int64, fn func(ctx context.Context, a *action.Action) (kind, body string, err error)) error {
	if err := a.Actor.Check(PermNote); err != nil {
		return err
	}
	t, err := s.load(ctx, a, id)
	if err != nil {
		return err
	}
	if err := closedRefused(t); err != nil {
		return err
	}
	kind, body, err := fn(ctx, a)
	if err != nil || kind == "" {
		a.Nothing()
		return err
	}
	f := fact(t, t)
	f.From, f.Entry, f.Args = "", -1, []string{body} // who and when stand in the list itself
	a.Record(event.Event{Kind: kind, Subject: Subject(id), Data: f})
	return nil
}

// AddChecks adds what has to be done, one item a line.
func (s *Service) AddChecks(ctx context.Context, actor authz.Actor, id int64, text string) error {
	return s.run.Do(ctx, actor, "ticket.check", func(ctx context.Context, a *action.Action) error { return s.AddChecksIn(ctx, a, id, text) })
}

// AddChecksIn is AddChecks within an action.
func (s *Service) AddChecksIn(ctx context.Context, a *action.Action, id int64, text string) error {
	var items []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			items = append(items, line)
		}
	}
	if len(items) == 0 {
		return fault.Invalidf("ticket.check.empty").Field("body", "ticket.check.empty")
	}
	for _, x := range items {
		if utf8.RuneCountInString(x) > maxCheckText {
			return fault.Invalidf("ticket.check.long", maxCheckText).Field("body", "ticket.check.long", maxCheckText)
		}
	}
	return s.checkingIn(ctx, a, id, func(ctx context.Context, a *action.Action) (string, string, error) {
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM ticket_checks WHERE ticket_id = $1`, id).Scan(&n); err != nil {
			return "", "", fmt.Errorf("ticket: checklist: %w", err)
		}
		if n+len(items) > maxChecks {
			return "", "", fault.New(fault.Limited, "ticket.check.many", maxChecks)
		}
		for _, x := range items {
			if _, err := a.Exec(ctx, `INSERT INTO ticket_checks (ticket_id, body, created_by, created_at) VALUES ($1, $2, $3, $4)`, id, x, a.Actor.ID, a.NowMicros()); err != nil {
				return "", "", fmt.Errorf("ticket: checklist: %w", err)
			}
		}
		return "ticket.check_added", strings.Join(items, " / "), nil
	})
}

// TickCheck says that an item is done, or is not. What is so already stays: two
// who tick it at once have both ticked it.
func (s *Service) TickCheck(ctx context.Context, actor authz.Actor, id, check int64, done bool) error {
	return s.checking(ctx, actor, id, func(ctx context.Context, a *action.Action) (string, string, error) {
		at, by, name, kind, was := int64(0), int64(0), "", "ticket.check_undone", "done_at > 0"
		if done {
			at, by, name, kind, was = a.NowMicros(), actor.ID, actor.Name, "ticket.check_done", "done_at = 0"
		}
		var body string
		err := a.QueryRow(ctx, `UPDATE ticket_checks SET done_at = $1, done_by = $2, done_by_name = $3 WHERE id = $4 AND ticket_id = $5 AND `+was+` RETURNING body`, at, by, name, check, id).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return "", "", nil
		}
		if err != nil {
			return "", "", fmt.Errorf("ticket: checklist: %w", err)
		}
		return kind, body, nil
	})
}

// DropCheck takes an item off the list.
func (s *Service) DropCheck(ctx context.Context, actor authz.Actor, id, check int64) error {
	return s.checking(ctx, actor, id, func(ctx context.Context, a *action.Action) (string, string, error) {
		var body string
		err := a.QueryRow(ctx, `DELETE FROM ticket_checks WHERE id = $1 AND ticket_id = $2 RETURNING body`, check, id).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return "", "", nil
		}
		if err != nil {
			return "", "", fmt.Errorf("ticket: checklist: %w", err)
		}
		return "ticket.check_dropped", body, nil
	})
}
