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
	Many      int // it stands for so many; 0: for itself
	CreatedAt time.Time
	Read      bool
}

// Sentence says the notice in l.
func (n Notice) Sentence(l i18n.Lang) string { return sentence(l, n.Kind, n.Args, n.Many) }

func sentence(l i18n.Lang, kind string, args []string, many int) string {
	if many > 0 {
		return i18n.T(l, "notify.many.about")
	}
	return event.Say(l, kind, args)
}

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

	// whom says who is meant by "supervisor", "role:3" or "user:7" for a ticket (0:
	// for nothing in particular).
	whom func(ctx context.Context, q db.Querier, ticket int64, who []string) ([]int64, error)

	mu     sync.Mutex
	busy   map[int64]bool // channels at work -> whether to look again
	crowds map[crowdKey]crowd
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
	s := &Service{run: run, d: run.DB(), broker: r.Broker, org: r.Org, keys: r.Keys, jobs: r.Jobs, url: strings.TrimSuffix(r.PublicURL, "/"), out: Outside{Net: outbound.New()}, busy: map[int64]bool{}, crowds: map[crowdKey]crowd{}}
	if s.jobs != nil {
		s.jobs.Add(job.Worker{Kind: deliverJob, Handle: s.work})
	}
	return s
}

// Reach puts another world outside in place of the real one: for tests.
func (s *Service) Reach(o Outside) { s.out = o }

// Resolve sets who says who is meant by the words of the table; before the first
// notice.
func (s *Service) Resolve(f func(ctx context.Context, q db.Querier, ticket int64, who []string) ([]int64, error)) {
	s.whom = f
}

// known is the fact that somebody knows of what a ticket's clocks go on saying.
const known = "ticket.clock_known"

// OfClocks reports whether a notice says what a ticket's clocks say.
func OfClocks(kind string) bool { return strings.HasPrefix(kind, "ticket.clock_") }

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
	Many   int      `json:"many,omitempty"` // it stands for so many

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
	return event.Listener{Name: "notify", Wants: func(e event.Stored) bool {
		_, listed := byKind[e.Kind] // the table may name somebody where the event names nobody
		return listed || e.Kind == known || tells(e)
	}, Handle: s.handle}
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
		c    Class
	}
	var all []telling
	var users []int64
	for _, e := range evs {
		x := telling{e: e}
		if e.Kind == known && e.Subject.Type == "ticket" {
			// Somebody does: nobody is told of it by yet another way.
			if _, err := tx.Exec(ctx, `UPDATE notifications SET chase_at = 0 WHERE chase_at > 0 AND ticket_id = $1 AND kind LIKE 'ticket.clock_%'`, e.Subject.ID); err != nil {
				return fmt.Errorf("notify: known: %w", err)
			}
		}
		if e.Decode(&x.p) != nil {
			continue
		}
		if x.l = t.Line(e.Kind); x.l.Off {
			continue
		}
		if len(x.l.Also) > 0 && s.whom != nil {
			also, err := s.also(ctx, tx, e, x.l)
			if err != nil {
				return err
			}
			if x.l.Only && len(also) > 0 {
				x.p.Tell = nil
			}
			for _, u := range also {
				if !slices.Contains(x.p.Tell, u) {
					x.p.Tell = append(x.p.Tell, u)
				}
			}
		}
		if len(x.p.Tell) == 0 {
			continue
		}
		if e.Subject.Type == "ticket" {
			x.p.Link = "/tickets/" + x.p.Number
		}
		args, err := json.Marshal(stored{Number: x.p.Number, Title: x.p.Title, Link: x.p.Link, Args: x.p.Args})
		if err != nil {
			return fmt.Errorf("notify: %w", err)
		}
		x.args, x.c = string(args), x.l.class(x.p.Urgent, x.p.Class)
		x.p.Tell = slices.DeleteFunc(x.p.Tell, func(u int64) bool { return e.ActorKind == authz.User && e.ActorID == u })
		all = append(all, x)
		users = append(users, x.p.Tell...)
	}
	// Who has left meanwhile, or was sample staff, is told nothing.
	active, err := present(ctx, tx, users)
	if err != nil {
		return err
	}
	who := map[int64]*person{}
	if len(cs) > 0 {
		if who, err = people(ctx, tx, users); err != nil {
			return err
		}
	}
	wake := map[int64]bool{}
	// tell makes a notice and plans the ways it goes; wait holds these back.
	tell := func(x telling, user int64, ticket int64, args string, wait time.Duration) (id int64, err error) {
		err = tx.QueryRow(ctx, insertNotice+" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "+onceNotice+" RETURNING id",
			user, x.e.Kind, db.Bool(x.c != Normal), string(x.c), chaseAt(tx, t, cs, x.c), ticket, x.e.Seq, args, tx.NowMicros()).Scan(&id)
		if isNone(err) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("notify: %s to %d: %w", x.e.Kind, user, err)
		}
		p := who[user]
		if p == nil {
			return id, nil
		}
		now, err := s.plan(ctx, tx, cs, t, x.l, x.c, p, id, wait)
		if err != nil {
			return 0, err
		}
		for _, c := range now {
			wake[c] = true
		}
		return id, nil
	}
	crowds := s.crowded(tx, cs)
	first := map[crowdKey]telling{} // of those that are gathered
	var told []int64
	var rows []any
	for _, x := range all {
		var ticket int64
		if x.e.Subject.Type == "ticket" {
			ticket = x.e.Subject.ID
		}
		for _, user := range x.p.Tell {
			if !active[user] {
				continue
			}
			told = append(told, user)
			k := crowdKey{user, x.e.Kind, x.c}
			if _, alone := crowds.add(k); !alone {
				if _, ok := first[k]; !ok {
					first[k] = x
				}
				continue
			}
			if who[user] != nil {
				if _, err := tell(x, user, ticket, x.args, 0); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, user, x.e.Kind, db.Bool(x.c != Normal), string(x.c), chaseAt(tx, t, cs, x.c), ticket, x.e.Seq, x.args, tx.NowMicros())
		}
	}
	if err := tx.InsertMany(ctx, insertNotice, onceNotice, 9, rows); err != nil {
		return fmt.Errorf("notify: %d notices: %w", len(rows)/9, err)
	}
	if err := crowds.write(ctx, tx, func(k crowdKey, args string) (int64, error) { return tell(first[k], k.user, 0, args, crowdPause) }); err != nil {
		return err
	}
	if s.broker != nil && len(told) > 0 {
		m := web.Message{Topic: "notification"}
		if len(all) == 1 {
			m.ID = all[0].e.Subject.ID
		}
		slices.Sort(told)
		m.To.Users = slices.Compact(told)
		tx.AfterCommit(func() { s.broker.Everywhere(m) })
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

const (
	insertNotice = `INSERT INTO notifications (user_id, kind, urgent, class, chase_at, ticket_id, event_seq, args, created_at)`
	onceNotice   = `ON CONFLICT (event_seq, user_id, kind) DO NOTHING`
)

// chaseAt is when an unread notice of class c goes another way.
func chaseAt(tx *db.Tx, t Table, cs []Channel, c Class) int64 {
	if len(cs) == 0 || c == Normal || t.ChaseAfter == 0 {
		return 0
	}
	return db.Micros(tx.Now.Add(time.Duration(t.ChaseAfter) * time.Minute))
}

// present says who of users is active.
func present(ctx context.Context, q db.Querier, users []int64) (map[int64]bool, error) {
	out := make(map[int64]bool, len(users))
	slices.Sort(users)
	err := db.EachIn(slices.Compact(users), func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id FROM users WHERE id IN (`+in+`) AND active = 1`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			out[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("notify: people: %w", err)
	}
	return out, nil
}

// also are those the administrator has an event of the line told to.
func (s *Service) also(ctx context.Context, q db.Querier, e event.Stored, l Line) ([]int64, error) {
	var ticket int64
	if e.Subject.Type == "ticket" {
		ticket = e.Subject.ID
	}
	users, err := s.whom(ctx, q, ticket, l.Also)
	if fault.Is(err, fault.NotFound) { // gone since
		return nil, nil
	}
	return users, err
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
		n.Number, n.Title, n.Link, n.Args, n.Many = st.Number, st.Title, st.Link, st.Args, st.Many
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
		s.broker.Everywhere(web.Message{Topic: "notification", To: web.Audience{Users: []int64{user}}})
	}
	return err
}

// Known marks the user's notice as read and returns the ticket whose clocks it is
// of; 0 when it is of something else.
func (s *Service) Known(ctx context.Context, user, id int64) (ticket int64, err error) {
	var kind string
	err = s.d.Read().QueryRow(ctx, `SELECT kind, ticket_id FROM notifications WHERE id = $1 AND user_id = $2`, id, user).Scan(&kind, &ticket)
	if isNone(err) {
		return 0, fault.New(fault.NotFound, "notify.gone")
	}
	if err != nil {
		return 0, fmt.Errorf("notify: known %d: %w", id, err)
	}
	if !OfClocks(kind) {
		ticket = 0
	}
	return ticket, s.MarkRead(ctx, user, id)
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
