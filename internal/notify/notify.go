// Package notify tells people what concerns them. It follows the facts: an
// event that names whom to tell becomes one notice for each of them, once,
// however often the listener runs (NTF-1, NTF-2). In the product itself for
// now; notices are live and stay until they are read.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Notice is something a person has been told.
type Notice struct {
	ID        int64
	Kind      string // the event: ticket.assigned
	Urgent    bool
	Number    string // of the ticket or the request
	Link      string // the page it is about
	Title     string
	Args      []string
	CreatedAt time.Time
	Read      bool
}

// Sentence says the notice in l.
func (n Notice) Sentence(l i18n.Lang) string { return event.Say(l, n.Kind, n.Args) }

// Service keeps notices.
type Service struct {
	d      *db.DB
	broker *web.Broker // nil: nobody is told live
}

// New returns the service.
func New(d *db.DB, b *web.Broker) *Service { return &Service{d: d, broker: b} }

// payload is what of an event's data concerns notices.
type payload struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Link   string   `json:"link"` // of all but tickets
	Args   []string `json:"args"`
	Tell   []int64  `json:"tell"`
	Urgent bool     `json:"urgent"`
}

type stored struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Link   string   `json:"link,omitempty"`
	Args   []string `json:"args,omitempty"`
}

// tells reports whether the event names somebody else than its actor. Any room's
// facts may: "tell" is whom, "link" the page they are led to.
func tells(e event.Stored) bool {
	var p payload
	if !bytes.Contains(e.Data, []byte(`"tell"`)) || e.Decode(&p) != nil {
		return false
	}
	return slices.ContainsFunc(p.Tell, func(user int64) bool { return e.ActorKind != authz.User || e.ActorID != user })
}

// Listener turns events into notices. Who caused an event is not told of it.
func (s *Service) Listener() event.Listener {
	return event.Listener{Name: "notify", Wants: tells, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
		for _, e := range evs {
			var p payload
			if e.Decode(&p) != nil || len(p.Tell) == 0 {
				continue
			}
			var ticket int64
			if e.Subject.Type == "ticket" {
				ticket = e.Subject.ID
				p.Link = "/tickets/" + p.Number
			}
			args, err := json.Marshal(stored{p.Number, p.Title, p.Link, p.Args})
			if err != nil {
				return fmt.Errorf("notify: %w", err)
			}
			var told []int64
			for _, user := range p.Tell {
				if e.ActorKind == authz.User && e.ActorID == user {
					continue
				}
				// Who has left meanwhile, or was sample staff, is told nothing.
				if _, err := tx.Exec(ctx, `
					INSERT INTO notifications (user_id, kind, urgent, ticket_id, event_seq, args, created_at)
					SELECT u.id, CAST($1 AS TEXT), CAST($2 AS SMALLINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS TEXT), CAST($6 AS BIGINT) FROM users u WHERE u.id = $7 AND u.active = 1
					ON CONFLICT (event_seq, user_id, kind) DO NOTHING`,
					e.Kind, db.Bool(p.Urgent), ticket, e.Seq, string(args), tx.NowMicros(), user); err != nil {
					return fmt.Errorf("notify: %s to %d: %w", e.Kind, user, err)
				}
				told = append(told, user)
			}
			if s.broker != nil && len(told) > 0 {
				id := e.Subject.ID
				tx.AfterCommit(func() {
					s.broker.Publish(web.Message{Topic: "notification", ID: id, To: web.Audience{Users: told}})
				})
			}
		}
		return nil
	}}
}

// Unread returns how many notices of the user are unread, at most limit.
func (s *Service) Unread(ctx context.Context, user int64, limit int) (n int, err error) {
	err = s.d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM notifications WHERE user_id = $1 AND read_at = 0 LIMIT `+strconv.Itoa(limit)+`) n`, user).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("notify: unread: %w", err)
	}
	return n, nil
}

// List returns the user's notices older than before (0: the newest), newest
// first.
func (s *Service) List(ctx context.Context, user, before int64, limit int) ([]Notice, error) {
	if before == 0 {
		before = 1 << 62
	}
	rows, err := s.d.Read().Query(ctx, `SELECT id, kind, urgent, args, created_at, read_at FROM notifications WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, user, before, limit)
	if err != nil {
		return nil, fmt.Errorf("notify: list: %w", err)
	}
	defer rows.Close()
	var out []Notice
	for rows.Next() {
		var n Notice
		var urgent int
		var raw string
		var at, read int64
		if err := rows.Scan(&n.ID, &n.Kind, &urgent, &raw, &at, &read); err != nil {
			return nil, fmt.Errorf("notify: list: %w", err)
		}
		var st stored
		if err := json.Unmarshal([]byte(raw), &st); err != nil {
			return nil, fmt.Errorf("notify: notice %d: %w", n.ID, err)
		}
		n.Number, n.Title, n.Link, n.Args = st.Number, st.Title, st.Link, st.Args
		if n.Link == "" { // written by an older version
			n.Link = "/tickets/" + st.Number
		}
		n.Urgent, n.CreatedAt, n.Read = urgent == 1, db.FromMicros(at), read != 0
		out = append(out, n)
	}
	return out, rows.Err()
}

// MarkRead marks the user's notice id as read, 0: all of them.
func (s *Service) MarkRead(ctx context.Context, user, id int64) error {
	err := s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE notifications SET read_at = $1 WHERE user_id = $2 AND read_at = 0 AND (id = $3 OR $4 = 0)`, tx.NowMicros(), user, id, id)
		return err
	})
	if err == nil && s.broker != nil {
		s.broker.Publish(web.Message{Topic: "notification", To: web.Audience{Users: []int64{user}}})
	}
	return err
}
