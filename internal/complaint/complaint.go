package complaint

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Service is the room.
type Service struct {
	run       *action.Runner
	org       *org.Service
	tickets   *ticket.Service
	customers *customer.Service
	files     *blob.Files
}

// New returns the service and joins the life of tickets.
func New(run *action.Runner, o *org.Service, tickets *ticket.Service, customers *customer.Service, files *blob.Files) *Service {
	s := &Service{run: run, org: o, tickets: tickets, customers: customers, files: files}
	tickets.AddGate(s.gate)
	tickets.AddAfter(s.after)
	tickets.AddKeep(s.keep)
	return s
}

// Is reports whether a ticket has the flow of complaints. What another
// department does for one is a ticket like others.
func Is(t *ticket.Ticket) bool { return t.Type == "complaint" && t.ParentID == 0 }

// Levels of escalation; shown as complaint.level.<n>.
const (
	LevelAgent = 1 + iota
	LevelSupervisor
	LevelHead
	LevelManagement
)

// Levels in their order.
var Levels = []int{LevelAgent, LevelSupervisor, LevelHead, LevelManagement}

// Complaint is what a complaint has beside its ticket.
type Complaint struct {
	TicketID  int64
	Step      Step // the one due; "": all are done
	Round     int
	Mood      string
	Wish      string
	WishNote  string
	Level     int
	LevelUser int64 // 0: the assignee
	LevelAt   time.Time
	Severity  string
	Answer    string // accepted, rejected, silent; "": none yet
	Reviewed  bool

	Records []Record // oldest first
}

// LevelWords is the locale key of its level's name.
func (c Complaint) LevelWords() string { return LevelWords(max(c.Level, LevelAgent)) }

// Record is what was written down in a step. It is never changed.
type Record struct {
	ID     int64
	Step   Step
	Round  int
	Amends int64 // the record it corrects; 0: none
	Values Values
	Reason string
	ByKind authz.Kind
	ByID   int64
	ByName string
	At     time.Time
}

// Auto reports whether the program wrote the record when somebody made a move.
func (r Record) Auto() bool { return r.Values["auto"] != "" }

// InForce returns the records of a step in force: those that were corrected are
// left out, and of the steps each round takes anew, those of earlier rounds.
func (c *Complaint) InForce(s Step) []Record {
	var out []Record
	for _, r := range c.Records {
		if r.Step != s || s.eachRound() && r.Round != c.Round {
			continue
		}
		if i := slices.IndexFunc(out, func(o Record) bool { return o.ID == r.Amends }); i >= 0 {
			out[i] = r
		} else {
			out = append(out, r)
		}
	}
	return out
}

// Last returns the record of a step in force in this round.
func (c *Complaint) Last(s Step) (Record, bool) {
	if rs := c.InForce(s); len(rs) > 0 {
		return rs[len(rs)-1], true
	}
	return Record{}, false
}

// Done reports whether a step has been recorded, for this round where it counts.
func (c *Complaint) Done(s Step) bool {
	return slices.ContainsFunc(c.Records, func(r Record) bool { return r.Step == s && (!s.eachRound() || r.Round == c.Round) })
}

// Due returns the first step not yet recorded; "" when all are.
func (c *Complaint) Due() Step {
	for _, s := range Steps {
		if !c.Done(s) {
			return s
		}
	}
	return ""
}

// Missing returns the steps of required that have not been recorded.
func (c *Complaint) Missing(required []Step) []Step {
	var out []Step
	for _, s := range Steps {
		if slices.Contains(required, s) && !c.Done(s) {
			out = append(out, s)
		}
	}
	return out
}

// Before returns the first step that has to be recorded before s; "" when s may
// be recorded now. What the company does not require may be passed over, but
// nobody reviews what has not been answered.
func (c *Complaint) Before(s Step, required []Step) Step {
	for _, x := range Steps {
		if x == s || s == Track {
			return ""
		}
		if !c.Done(x) && (slices.Contains(required, x) || x == Respond) {
			return x
		}
	}
	return ""
}

const complaintColumns = `c.ticket_id, c.step, c.mood, c.wish, c.wish_note, c.level, c.level_user, c.level_at, c.severity, c.answer, c.reviewed`

// get reads the complaint of a ticket; one that has no row yet begins.
func get(ctx context.Context, q db.Querier, t ticket.Ticket) (c Complaint, err error) {
	var at int64
	var reviewed int
	err = q.QueryRow(ctx, `SELECT `+complaintColumns+` FROM complaints c WHERE c.ticket_id = $1`, t.ID).
		Scan(&c.TicketID, (*string)(&c.Step), &c.Mood, &c.Wish, &c.WishNote, &c.Level, &c.LevelUser, &at, &c.Severity, &c.Answer, &reviewed)
	if errors.Is(err, sql.ErrNoRows) {
		return Complaint{TicketID: t.ID, Step: Receive, Round: t.Round, Level: LevelAgent}, nil
	}
	if err != nil {
		return c, fmt.Errorf("complaint: load %d: %w", t.ID, err)
	}
	c.Round, c.LevelAt, c.Reviewed = t.Round, db.FromMicros(at), reviewed == 1
	return c, nil
}

// full reads the complaint of a ticket with its records.
func full(ctx context.Context, q db.Querier, t ticket.Ticket) (Complaint, error) {
	c, err := get(ctx, q, t)
	if err != nil {
		return c, err
	}
	by, err := recordsOf(ctx, q, []int64{t.ID})
	c.Records = by[t.ID]
	return c, err
}

// recordsOf reads the records of tickets, oldest first.
func recordsOf(ctx context.Context, q db.Querier, ids []int64) (map[int64][]Record, error) {
	out := map[int64][]Record{}
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT ticket_id, id, step, round, amends_id, data, reason, by_kind, by_id, by_name, at FROM complaint_records WHERE ticket_id IN (`+in+`) ORDER BY ticket_id, id`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r Record
			var ticketID, at int64
			var data string
			if err := rows.Scan(&ticketID, &r.ID, (*string)(&r.Step), &r.Round, &r.Amends, &data, &r.Reason, (*string)(&r.ByKind), &r.ByID, &r.ByName, &at); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(data), &r.Values); err != nil {
				return fmt.Errorf("record %d: %w", r.ID, err)
			}
			r.At = db.FromMicros(at)
			out[ticketID] = append(out[ticketID], r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("complaint: records: %w", err)
	}
	return out, nil
}

// ensure gives a complaint its row.
func ensure(ctx context.Context, tx *db.Tx, t ticket.Ticket) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO complaints (ticket_id, is_open, reviewed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (ticket_id) DO NOTHING`,
		t.ID, db.Bool(t.State.Open()), db.Bool(!t.State.Open()), db.Micros(t.CreatedAt))
	if err != nil {
		return fmt.Errorf("complaint: begin %d: %w", t.ID, err)
	}
	return nil
}

// save writes the row; the ticket's is locked.
func save(ctx context.Context, a *action.Action, t ticket.Ticket, c Complaint) error {
	if err := ensure(ctx, a.Tx, t); err != nil {
		return err
	}
	_, err := a.Exec(ctx, `
		UPDATE complaints SET is_open = $1, step = $2, mood = $3, wish = $4, wish_note = $5, level = $6, level_user = $7, level_at = $8, severity = $9, answer = $10, reviewed = $11
		WHERE  ticket_id = $12`,
		db.Bool(t.State.Open()), string(c.Step), c.Mood, c.Wish, c.WishNote, c.Level, c.LevelUser, db.Micros(c.LevelAt), c.Severity, c.Answer, db.Bool(c.Reviewed), t.ID)
	if err != nil {
		return fmt.Errorf("complaint: save %d: %w", t.ID, err)
	}
	return nil
}

// add writes a record and returns it.
func add(ctx context.Context, a *action.Action, t ticket.Ticket, r Record) (Record, error) {
	if r.Values == nil {
		r.Values = Values{}
	}
	data, err := json.Marshal(r.Values)
	if err != nil {
		return r, fmt.Errorf("complaint: record: %w", err)
	}
	r.ByKind, r.ByID, r.ByName, r.At = a.Actor.Kind, a.Actor.ID, a.Actor.Name, a.Now
	if r.ByKind == authz.Customer {
		r.ByName = "" // his name is the ticket's to know, and to forget
	}
	err = a.QueryRow(ctx, `
		INSERT INTO complaint_records (ticket_id, step, round, amends_id, data, reason, by_kind, by_id, by_name, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		t.ID, string(r.Step), r.Round, r.Amends, string(data), r.Reason, string(r.ByKind), r.ByID, r.ByName, a.NowMicros()).Scan(&r.ID)
	if err != nil {
		return r, fmt.Errorf("complaint: record: %w", err)
	}
	return r, nil
}

func notComplaint() error { return fault.New(fault.NotFound, "complaint.none") }

// Get returns a ticket within sc and its complaint; NotFound when it is no
// complaint.
func (s *Service) Get(ctx context.Context, sc authz.Scope, number string) (ticket.Ticket, Complaint, error) {
	t, err := s.tickets.ByNumber(ctx, sc, number)
	if err == nil && !Is(&t) {
		err = notComplaint()
	}
	if err != nil {
		return t, Complaint{}, err
	}
	c, err := s.Of(ctx, t)
	return t, c, err
}

// Of returns the complaint of a ticket the caller may see.
func (s *Service) Of(ctx context.Context, t ticket.Ticket) (Complaint, error) {
	return full(ctx, s.run.DB().Read(), t)
}

// In is Of inside an action under way.
func (s *Service) In(ctx context.Context, q db.Querier, t ticket.Ticket) (Complaint, error) {
	return full(ctx, q, t)
}

// Follow gives complaints their row that came to be by editing or by import; a
// listener.
func (s *Service) Follow() event.Listener {
	return event.Listener{Name: "complaint", Kinds: []string{"ticket.edited", ticket.EventImported}, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
		var ids []int64
		for _, e := range evs {
			if !slices.Contains(ids, e.Subject.ID) {
				ids = append(ids, e.Subject.ID)
			}
		}
		err := db.EachIn(ids, func(in string, args []any) error {
			_, err := tx.Exec(ctx, `
				INSERT INTO complaints (ticket_id, is_open, reviewed, created_at)
				SELECT id, is_open, 1 - is_open, created_at FROM tickets WHERE id IN (`+in+`) AND type = 'complaint' AND parent_id IS NULL
				ON CONFLICT (ticket_id) DO UPDATE SET is_open = excluded.is_open`, args...)
			return err
		})
		if err != nil {
			return fmt.Errorf("complaint: follow: %w", err)
		}
		return nil
	}}
}
