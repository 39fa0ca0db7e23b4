package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/outbound"
)

func isNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Delivery is a line of the log.
type Delivery struct {
	ID        int64
	UserID    int64
	User      string
	Way       string
	State     string // waiting, sending, sent, failed, skipped, uncertain
	Why       string // quiet, digest, chase, insist, retry, rate, read, off, old; of what failed, an outbound.Kind
	Kind      string // the event; "" for a test
	Number    string // of the ticket
	Attempt   int
	Doubtful  bool // may have arrived twice
	LastError string
	Answer    string
	CreatedAt time.Time
	NextAt    time.Time // while it waits
	SentAt    time.Time
}

// States of deliveries in the order they are shown.
var States = []string{"waiting", "sending", "sent", "failed", "uncertain", "skipped"}

// LogFilter selects lines of the log; zero fields select all.
type LogFilter struct {
	User   int64
	Way    string
	State  string
	Before int64
	Limit  int // 0: 50
}

// Log returns the log, newest first. Administrators see everybody's, a person his
// own. It names tickets by number only: whoever keeps the machine running need not
// read what customers wrote.
func (s *Service) Log(ctx context.Context, actor authz.Actor, f LogFilter) ([]Delivery, error) {
	if !actor.Can(PermManage) {
		f.User = actor.ID
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	var a db.Args
	where := "1 = 1"
	and := func(cond string, v any) { where += " AND " + cond + a.Add(v) }
	if f.User != 0 {
		and("d.user_id = ", f.User)
	}
	if f.Way != "" {
		and("d.channel = ", f.Way)
	}
	if f.State != "" {
		and("d.state = ", f.State)
	}
	if f.Before != 0 {
		and("d.id < ", f.Before)
	}
	rows, err := s.d.Read().Query(ctx, `
		SELECT d.id, d.user_id, u.name, d.channel, d.state, d.why, COALESCE(n.kind, ''), COALESCE(n.args, ''), d.attempt, d.doubtful, d.last_error, d.answer, d.created_at, d.next_at, d.sent_at
		FROM notice_deliveries d JOIN users u ON u.id = d.user_id LEFT JOIN notifications n ON n.id = d.notice_id
		WHERE `+where+` ORDER BY d.id DESC LIMIT `+a.Add(f.Limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("notify: log: %w", err)
	}
	defer rows.Close()
	var out []Delivery
	for rows.Next() {
		var d Delivery
		var doubtful int
		var args string
		var created, next, sent int64
		if err := rows.Scan(&d.ID, &d.UserID, &d.User, &d.Way, &d.State, &d.Why, &d.Kind, &args, &d.Attempt, &doubtful, &d.LastError, &d.Answer, &created, &next, &sent); err != nil {
			return nil, fmt.Errorf("notify: log: %w", err)
		}
		var st stored
		if args != "" {
			if err := json.Unmarshal([]byte(args), &st); err != nil {
				return nil, fmt.Errorf("notify: log: %w", err)
			}
		}
		d.Number, d.Doubtful, d.CreatedAt, d.SentAt = st.Number, doubtful == 1, db.FromMicros(created), db.FromMicros(sent)
		if d.State == "waiting" {
			d.NextAt = db.FromMicros(next)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Retry sends a delivery again that failed, was skipped or is uncertain.
func (s *Service) Retry(ctx context.Context, actor authz.Actor, id int64) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "notify.retry", func(ctx context.Context, a *action.Action) error {
		var notice, user, through int64
		var way, state string
		err := a.QueryRow(ctx, `SELECT notice_id, user_id, channel, through, state FROM notice_deliveries WHERE id = $1`+a.ForUpdate(), id).Scan(&notice, &user, &way, &through, &state)
		switch {
		case isNone(err):
			return fault.New(fault.NotFound, "notify.delivery_gone")
		case err != nil:
			return fmt.Errorf("notify: retry %d: %w", id, err)
		case notice == 0 || state != "failed" && state != "uncertain" && state != "skipped":
			return fault.New(fault.Conflict, "notify.retry_not")
		}
		ps, err := people(ctx, a, []int64{user})
		if err != nil {
			return err
		}
		cs, err := inUse(ctx, a)
		if err != nil {
			return err
		}
		if p := ps[user]; p != nil {
			c, ok, err := s.through(ctx, a, cs, p.DepartmentID, way)
			if err != nil {
				return err
			}
			if !ok {
				return fault.New(fault.Conflict, "notify.retry_off")
			}
			through = c.ID
		}
		if _, err := a.Exec(ctx, `UPDATE notice_deliveries SET state = 'waiting', why = 'retry', through = $1, attempt = 0, doubtful = 0, together = 0, next_at = $2, created_at = $3 WHERE id = $4`, through, a.NowMicros(), a.NowMicros(), id); err != nil {
			return fmt.Errorf("notify: retry %d: %w", id, err)
		}
		a.Record(event.Event{Kind: Retried, Subject: event.Subject{Type: subjectType, ID: id}, Data: Facts{Args: []string{"@notify.way." + way}}})
		return s.wake(ctx, a.Tx, through)
	})
}

// Tried is the outcome of a test.
type Tried struct {
	Way    string
	OK     bool
	To     string
	Answer string
	Kind   outbound.Kind // of what went wrong
	Error  string        // for whoever sets it up
}

// Test sends a test to the actor by a channel, whether it is switched on or not,
// and returns what the other side said. It is a line of the log.
func (s *Service) Test(ctx context.Context, actor authz.Actor, channel int64) (Tried, error) {
	if err := actor.Check(PermManage); err != nil {
		return Tried{}, err
	}
	c, err := loadChannel(ctx, s.d.Read(), channel)
	if err != nil {
		return Tried{}, err
	}
	out, err := s.test(ctx, actor, c)
	if err != nil {
		return out, err
	}
	err = s.run.Do(ctx, actor, "notify.test_channel", func(ctx context.Context, a *action.Action) error {
		if out.OK {
			if _, err := a.Exec(ctx, `UPDATE notice_channels SET trouble = '', troubles = 0, paused_until = 0 WHERE id = $1`, channel); err != nil {
				return fmt.Errorf("notify: test: %w", err)
			}
		}
		a.Record(event.Event{Kind: ChannelTested, Subject: event.Subject{Type: subjectType, ID: channel}, Data: Facts{Args: []string{"@notify.way." + c.Kind}}})
		if out.OK && c.Enabled {
			return s.wake(ctx, a.Tx, channel)
		}
		return nil
	})
	return out, err
}

// TestMine sends the actor a test by way, as a notice would go.
func (s *Service) TestMine(ctx context.Context, actor authz.Actor, way string) (Tried, error) {
	m, _, err := s.Mine(ctx, actor)
	if err != nil {
		return Tried{}, err
	}
	for _, w := range m.Ways {
		if w.Way != way {
			continue
		}
		var last int64
		if err := s.d.Read().QueryRow(ctx, `SELECT COALESCE(MAX(created_at), 0) FROM notice_deliveries WHERE user_id = $1 AND channel = $2 AND notice_id = 0`, actor.ID, way).Scan(&last); err != nil {
			return Tried{}, fmt.Errorf("notify: test: %w", err)
		}
		if s.d.Clock().Now().Sub(db.FromMicros(last)) < 20*time.Second {
			return Tried{}, fault.New(fault.Limited, "notify.test_soon")
		}
		c, err := loadChannel(ctx, s.d.Read(), w.Channel)
		if err != nil {
			return Tried{}, err
		}
		return s.test(ctx, actor, c)
	}
	return Tried{}, fault.New(fault.NotFound, "notify.channel.not_found")
}

func (s *Service) test(ctx context.Context, actor authz.Actor, c Channel) (Tried, error) {
	out := Tried{Way: c.Kind}
	ps, err := people(ctx, s.d.Read(), []int64{actor.ID})
	if err != nil {
		return out, err
	}
	p := ps[actor.ID]
	if p == nil {
		return out, fault.New(fault.NotFound, "notify.nobody")
	}
	t, err := readTable(ctx, s.d.Read())
	if err != nil {
		return out, err
	}
	if !reaches(p, c.Kind) {
		return out, fault.New(fault.Conflict, "notify.test_no_address."+c.Kind)
	}
	now := s.d.Clock().Now()
	l := p.Lang
	m := outbound.Message{ID: fmt.Sprintf("test.%d.%d", actor.ID, db.Micros(now)), Lang: string(l), Subject: i18n.T(l, "notify.test.subject"), Name: p.Name, To: p.address(c.Kind), At: now,
		Items: []outbound.Item{{Lang: string(l), Kind: "test", Short: i18n.T(l, "notify.test.short"), Text: i18n.T(l, "notify.test.text", p.Name), Number: ""}}}
	if base := s.base(t); base != "" {
		m.Items[0].Link = base + "/account/notices"
	}
	out.To = m.To
	answer, serr := s.send(ctx, c, m, []int64{actor.ID})
	out.OK, out.Answer = serr == nil, answer
	state, why, text, sent := "sent", "", "", db.Micros(now)
	if serr != nil {
		f := outbound.FailOf(serr)
		out.Kind, out.Answer, out.Error = f.Kind, f.Answer, shorten(f.Detail())
		state, why, text, sent = "failed", string(f.Kind), out.Error, 0
	}
	err = s.d.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO notice_deliveries (notice_id, user_id, channel, through, round, state, why, attempt, next_at, last_error, answer, created_at, sent_at) VALUES (0, $1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11) ON CONFLICT (notice_id, user_id, channel, round) DO NOTHING`,
			actor.ID, c.Kind, c.ID, db.Micros(now), state, why, db.Micros(now), text, shorten(out.Answer), db.Micros(now), sent)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("notify: test: %w", err)
	}
	return out, nil
}
