// Package notify tells people what concerns them. It follows the facts: an
// event that names whom to tell becomes one notice for each of them, once,
// however often the listener runs (NTF-1, NTF-2). In the product itself notices
// are live and stay until they are read.
//
// Beside that they leave the house by the ways an administrator has set up; until
// then nothing does, and nothing is asked. What goes to whom by which way is a
// table ([Occasions]) that the administrator changes within limits and each person
// within those; quiet hours and digests hold back what is not urgent, and what is
// urgent and unread goes out again by another way. Every message is a row that is
// claimed before it is sent (deliver.go): that is how nothing is sent twice.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/outbound"
	"bihuan/internal/web"
)

// Notice is something a person has been told.
type Notice struct {
	ID        int64
	Kind      string // the event: ticket.assigned
	Class     Class
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
	run    *action.Runner
	d      *db.DB
	broker *web.Broker // nil: nobody is told live
	org    *org.Service
	keys   *crypt.Keeper
	jobs   *job.Queue
	url    string
	out    Outside

	mu   sync.Mutex
	busy map[int64]bool // channels at work -> whether to look again
}

// Rooms are those notices lean on.
type Rooms struct {
	Broker    *web.Broker
	Org       *org.Service
	Keys      *crypt.Keeper
	Jobs      *job.Queue
	PublicURL string
}

// New returns the service and registers its jobs.
func New(run *action.Runner, r Rooms) *Service {
	s := &Service{run: run, d: run.DB(), broker: r.Broker, org: r.Org, keys: r.Keys, jobs: r.Jobs, url: strings.TrimSuffix(r.PublicURL, "/"), out: Outside{Net: outbound.New()}, busy: map[int64]bool{}}
	if s.jobs != nil {
		s.jobs.Add(job.Worker{Kind: deliverJob, Handle: s.work})
	}
	return s
}

// Reach puts another world outside in place of the real one: for tests.
func (s *Service) Reach(o Outside) { s.out = o }

// payload is what of an event's data concerns notices.
type payload struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Link   string   `json:"link"` // of all but tickets
	Args   []string `json:"args"`
	Tell   []int64  `json:"tell"`
	Urgent bool     `json:"urgent"`
	Class  Class    `json:"class"` // how loud it wants to be itself
}

type stored struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Link   string   `json:"link,omitempty"`
	Args   []string `json:"args,omitempty"`

	read bool
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
	return event.Listener{Name: "notify", Wants: tells, Handle: s.handle}
}

func (s *Service) handle(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
	cs, err := inUse(ctx, tx)
	if err != nil {
		return err
	}
	t, err := readTable(ctx, tx)
	if err != nil {
		return err
	}
	type telling struct {
		e    event.Stored
		p    payload
		args string
		l    Line
	}
	var all []telling
	var users []int64
	for _, e := range evs {
		x := telling{e: e}
		if e.Decode(&x.p) != nil || len(x.p.Tell) == 0 {
			continue
		}
		if x.l = t.Line(e.Kind); x.l.Off {
			continue
		}
		if e.Subject.Type == "ticket" {
			x.p.Link = "/tickets/" + x.p.Number
		}
		args, err := json.Marshal(stored{Number: x.p.Number, Title: x.p.Title, Link: x.p.Link, Args: x.p.Args})
		if err != nil {
			return fmt.Errorf("notify: %w", err)
		}
		x.args = string(args)
		x.p.Tell = slices.DeleteFunc(x.p.Tell, func(u int64) bool { return e.ActorKind == authz.User && e.ActorID == u })
		all = append(all, x)
		users = append(users, x.p.Tell...)
	}
	who := map[int64]*person{}
	if len(cs) > 0 {
		if who, err = people(ctx, tx, users); err != nil {
			return err
		}
	}
	wake := map[int64]bool{}
	for _, x := range all {
		class := x.l.class(x.p.Urgent, x.p.Class)
		var ticket, chaseAt int64
		if x.e.Subject.Type == "ticket" {
			ticket = x.e.Subject.ID
		}
		if len(cs) > 0 && class != Normal && t.ChaseAfter > 0 {
			chaseAt = db.Micros(tx.Now.Add(time.Duration(t.ChaseAfter) * time.Minute))
		}
		for _, user := range x.p.Tell {
			// Who has left meanwhile, or was sample staff, is told nothing.
			const insert = `
				INSERT INTO notifications (user_id, kind, urgent, class, chase_at, ticket_id, event_seq, args, created_at)
				SELECT u.id, CAST($1 AS TEXT), CAST($2 AS SMALLINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS TEXT), CAST($8 AS BIGINT) FROM users u WHERE u.id = $9 AND u.active = 1
				ON CONFLICT (event_seq, user_id, kind) DO NOTHING`
			args := []any{x.e.Kind, db.Bool(class != Normal), string(class), chaseAt, ticket, x.e.Seq, x.args, tx.NowMicros(), user}
			p := who[user]
			if p == nil {
				if _, err := tx.Exec(ctx, insert, args...); err != nil {
					return fmt.Errorf("notify: %s to %d: %w", x.e.Kind, user, err)
				}
				continue
			}
			var id int64
			err := tx.QueryRow(ctx, insert+` RETURNING id`, args...).Scan(&id)
			if isNone(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("notify: %s to %d: %w", x.e.Kind, user, err)
			}
			now, err := s.plan(ctx, tx, cs, t, x.l, class, p, id)
			if err != nil {
				return err
			}
			for _, c := range now {
				wake[c] = true
			}
		}
		if told := x.p.Tell; s.broker != nil && len(told) > 0 {
			id := x.e.Subject.ID
			tx.AfterCommit(func() {
				s.broker.Publish(web.Message{Topic: "notification", ID: id, To: web.Audience{Users: told}})
			})
		}
	}
	for _, c := range cs {
		if wake[c.ID] {
			if err := s.wake(ctx, tx, c.ID); err != nil {
				return err
			}
		}
	}
	return nil
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
	rows, err := s.d.Read().Query(ctx, `SELECT id, kind, class, args, created_at, read_at FROM notifications WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, user, before, limit)
	if err != nil {
		return nil, fmt.Errorf("notify: list: %w", err)
	}
	defer rows.Close()
	var out []Notice
	for rows.Next() {
		var n Notice
		var raw string
		var at, read int64
		if err := rows.Scan(&n.ID, &n.Kind, (*string)(&n.Class), &raw, &at, &read); err != nil {
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
		n.CreatedAt, n.Read = db.FromMicros(at), read != 0
		out = append(out, n)
	}
	return out, rows.Err()
}

// MarkRead marks the user's notice id as read, 0: all of them but those that
// insist, which want to be read one by one.
func (s *Service) MarkRead(ctx context.Context, user, id int64) error {
	err := s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE notifications SET read_at = $1, chase_at = 0 WHERE user_id = $2 AND read_at = 0 AND (id = $3 OR $4 = 0 AND class <> 'insist')`, tx.NowMicros(), user, id, id)
		return err
	})
	if err == nil && s.broker != nil {
		s.broker.Publish(web.Message{Topic: "notification", To: web.Audience{Users: []int64{user}}})
	}
	return err
}

// Open marks the user's notice as read and returns the page it is about: what
// links in messages lead to.
func (s *Service) Open(ctx context.Context, user, id int64) (link string, err error) {
	var raw string
	err = s.d.Read().QueryRow(ctx, `SELECT args FROM notifications WHERE id = $1 AND user_id = $2`, id, user).Scan(&raw)
	if isNone(err) {
		return "", fault.New(fault.NotFound, "notify.gone")
	}
	var st stored
	if err == nil {
		err = json.Unmarshal([]byte(raw), &st)
	}
	if err != nil {
		return "", fmt.Errorf("notify: open %d: %w", id, err)
	}
	if st.Link == "" {
		st.Link = "/tickets/" + st.Number
	}
	return st.Link, s.MarkRead(ctx, user, id)
}
