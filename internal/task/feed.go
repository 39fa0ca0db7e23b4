package task

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ical"
)

// Feed is the calendar somebody reads in another program.
type Feed struct {
	CreatedAt time.Time
	ReadAt    time.Time // the last time a program came for it; zero: never
}

// FeedOf returns the actor's calendar; ok is false when he has none.
func (s *Service) FeedOf(ctx context.Context, actor authz.Actor) (f Feed, ok bool, err error) {
	var created, read int64
	err = s.db().Read().QueryRow(ctx, `SELECT created_at, read_at FROM task_feeds WHERE user_id = $1`, actor.ID).Scan(&created, &read)
	if errors.Is(err, sql.ErrNoRows) {
		return f, false, nil
	}
	if err != nil {
		return f, false, fmt.Errorf("task: calendar of %d: %w", actor.ID, err)
	}
	return Feed{db.FromMicros(created), db.FromMicros(read)}, true, nil
}

func feedHash(token string) string {
	sum := sha256.Sum256([]byte("task feed " + token))
	return hex.EncodeToString(sum[:])
}

// MakeFeed gives the actor's calendar a new secret address, which is shown this
// once; an earlier one leads nowhere from then on.
func (s *Service) MakeFeed(ctx context.Context, actor authz.Actor) (token string, err error) {
	if err := actor.Check(PermUse); err != nil || actor.Kind != authz.User {
		return "", err
	}
	token = crypt.Token(32)
	err = s.run.Do(ctx, actor, "task.make_feed", func(ctx context.Context, a *action.Action) error {
		set, err := readSettings(ctx, a)
		if err != nil {
			return err
		}
		if set.Feed == FeedOff {
			return fault.New(fault.Conflict, "task.feed.is_off")
		}
		if _, err := a.Exec(ctx, `
			INSERT INTO task_feeds (user_id, token_hash, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, created_at = excluded.created_at, read_at = 0`, actor.ID, feedHash(token), a.NowMicros()); err != nil {
			return fmt.Errorf("task: calendar of %d: %w", actor.ID, err)
		}
		a.Record(event.Event{Kind: FeedMade, Subject: event.Subject{Type: "user", ID: actor.ID}})
		return nil
	})
	return token, err
}

// RevokeFeed takes the calendar of a person away.
func (s *Service) RevokeFeed(ctx context.Context, actor authz.Actor) error {
	return s.run.Do(ctx, actor, "task.revoke_feed", func(ctx context.Context, a *action.Action) error {
		res, err := a.Exec(ctx, `DELETE FROM task_feeds WHERE user_id = $1`, actor.ID)
		if err != nil {
			return fmt.Errorf("task: calendar of %d: %w", actor.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			a.Nothing()
			return err
		}
		a.Record(event.Event{Kind: FeedRevoked, Subject: event.Subject{Type: "user", ID: actor.ID}})
		return nil
	})
}

// How far a calendar reaches.
const (
	feedBack  = 30 * 24 * time.Hour
	feedAhead = 366 * 24 * time.Hour
	feedMost  = 2000
)

// Calendar returns the calendar behind token, as the settings allow it to speak:
// never with telephone numbers, addresses of mail, or the name of a customer
// that is not in the title. base is where the product is reached.
func (s *Service) Calendar(ctx context.Context, token, base, host string) ([]byte, error) {
	gone := fault.New(fault.NotFound, "task.feed.gone")
	q := s.db().Read()
	set, err := readSettings(ctx, q)
	if err != nil {
		return nil, err
	}
	if set.Feed == FeedOff || len(token) < 20 {
		return nil, gone
	}
	var user, read int64
	err = q.QueryRow(ctx, `SELECT user_id, read_at FROM task_feeds WHERE token_hash = $1`, feedHash(token)).Scan(&user, &read)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, gone
	}
	if err != nil {
		return nil, fmt.Errorf("task: calendar: %w", err)
	}
	actor, err := s.org.Actor(ctx, user)
	if err != nil || !actor.Can(PermUse) { // who has left, or may no longer, reads nothing
		return nil, gone
	}
	now := s.Now()
	ts, err := list(ctx, q, fmt.Sprintf(`t.owner_id = $1 AND t.state IN ('open', 'done', 'cancelled') AND t.due_at >= $2 AND t.due_at < $3 ORDER BY t.due_at, t.id LIMIT %d`, feedMost),
		user, db.Micros(now.Add(-feedBack)), db.Micros(now.Add(feedAhead)))
	if err != nil {
		return nil, err
	}
	l := actor.Lang
	if l == "" {
		l = i18n.ZhCN
	}
	var as []appointment
	for _, t := range ts {
		as = append(as, appointment{t, summary(l, set.Feed, t), "", strings.TrimSuffix(base, "/") + t.Link()})
	}
	if now.Sub(db.FromMicros(read)) > 5*time.Minute {
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE task_feeds SET read_at = $1 WHERE user_id = $2`, tx.NowMicros(), user)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("task: calendar read: %w", err)
		}
	}
	var more []ical.Entry
	for _, load := range s.calendars {
		es, err := load(ctx, CalendarRequest{User: user, Lang: l, From: now.Add(-feedBack), To: now.Add(feedAhead), Titles: set.Feed == FeedTitle, Base: strings.TrimSuffix(base, "/"), Host: host})
		if err != nil {
			return nil, err
		}
		more = append(more, es...)
	}
	return written(l, i18n.T(l, "task.feed.name", actor.Name), host, s.zone, as, more...), nil
}

// CalendarRequest asks another room for what it has in somebody's calendar.
type CalendarRequest struct {
	User     int64
	Lang     i18n.Lang
	From, To time.Time
	Titles   bool   // what things are about may be said
	Base     string // address of the product
	Host     string // for the ids of entries
}

// AddCalendar lets another room put its appointments into the calendars people
// subscribe to. Call it before the first request.
func (s *Service) AddCalendar(load func(ctx context.Context, r CalendarRequest) ([]ical.Entry, error)) {
	s.calendars = append(s.calendars, load)
}

// summary is what a calendar says of t.
func summary(l i18n.Lang, detail string, t Task) string {
	what := i18n.T(l, "task.feed.minimal.title", i18n.T(l, "task.origin."+string(t.Origin)))
	if detail == FeedTitle {
		what = event.Mask(t.Title)
	}
	if t.State == Done {
		what = "✓ " + what
	}
	return what
}
