// Package journal keeps what was said and done about a customer or a ticket, in
// one order: messages both ways, internal notes, follow-up records and the
// moves of tickets. An entry is never rewritten; a correction is a further
// entry that names the one it corrects (FLW-6).
//
// Who may read an entry is decided by the room that owns the customer or the
// ticket; this room asks no scope of its own.
package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/task"
)

// Kind says what an entry is. Customers see Customer, Reply and Question only.
type Kind string

const (
	Customer Kind = "customer"  // the customer's words
	Reply    Kind = "reply"     // ours to him
	Question Kind = "question"  // ours, and an answer is waited for (TKT-9)
	Note     Kind = "note"      // among colleagues
	FollowUp Kind = "follow_up" // FLW-1
	Move     Kind = "move"      // a move of the ticket; Detail is a Moved
	System   Kind = "system"    // done by the program: escalations, reminders; Detail is a Moved
)

// Public reports whether the customer may see entries of kind k.
func (k Kind) Public() bool { return k == Customer || k == Reply || k == Question }

// Entry is one line of the journal.
type Entry struct {
	ID         int64
	TicketID   int64 // 0: about the customer only
	CustomerID int64
	Kind       Kind
	AuthorKind authz.Kind
	AuthorID   int64
	AuthorName string
	Body       string // plain text
	Detail     json.RawMessage
	CorrectsID int64
	CreatedAt  time.Time
	OriginID   int64 // ticket it was written on, when that was merged into TicketID; 0: TicketID
	SplitTo    int64 // ticket made of it; 0: none
}

// Moved is the detail of Move and System entries; it is said in the reader's
// language by [Moved.Say].
type Moved struct {
	Event  string   `json:"event"`          // ticket.acknowledged
	Args   []string `json:"args,omitempty"` // fill the sentence; "@key" is a locale key itself
	Reason string   `json:"reason,omitempty"`
}

// Say returns the sentence of the move in l.
func (m Moved) Say(l i18n.Lang) string { return event.Say(l, m.Event, m.Args) }

// Record is the detail of a follow-up record (FLW-1).
type Record struct {
	At            time.Time `json:"at"`     // when it took place
	Method        string    `json:"method"` // one of Methods
	Contact       string    `json:"contact,omitempty"`
	Reaction      string    `json:"reaction,omitempty"`
	Agreement     string    `json:"agreement,omitempty"`
	NextPlan      string    `json:"next_plan,omitempty"`
	NextOwnerID   int64     `json:"next_owner_id,omitempty"`
	NextOwnerName string    `json:"next_owner_name,omitempty"`
	NextAt        time.Time `json:"next_at,omitzero"`
	Done          bool      `json:"done"`
}

// Methods of contact, in the order they are offered; named journal.method.<m>.
var Methods = []string{"phone", "chat", "email", "visit", "sms", "meeting", "social", "system"}

// Spoken reports whether somebody spoke or wrote to the customer himself, not
// only of him.
func (r Record) Spoken() bool { return r.Method != "meeting" && r.Method != "system" }

// Record decodes the detail of a follow-up; the zero Record for other kinds.
func (e Entry) Record() (r Record) {
	if e.Kind == FollowUp {
		_ = json.Unmarshal(e.Detail, &r)
	}
	return r
}

// Moved decodes the detail of a move; the zero Moved for other kinds.
func (e Entry) Moved() (m Moved) {
	if e.Kind == Move || e.Kind == System {
		_ = json.Unmarshal(e.Detail, &m)
	}
	return m
}

// MaxBody is how many characters one entry may have.
const MaxBody = 20000

// Add writes e as the action's actor, now, and returns its id. The caller
// records the fact.
func Add(ctx context.Context, a *action.Action, e Entry) (int64, error) {
	e.AuthorKind, e.AuthorID, e.AuthorName = a.Actor.Kind, a.Actor.ID, a.Actor.Name
	return AddAs(ctx, a.Tx, e)
}

// AddAs writes e with the author and time it names; the zero time is now.
func AddAs(ctx context.Context, tx *db.Tx, e Entry) (int64, error) {
	if len([]rune(e.Body)) > MaxBody {
		return 0, fault.Invalidf("journal.too_long", MaxBody).Field("body", "journal.too_long", MaxBody)
	}
	at := tx.NowMicros()
	if !e.CreatedAt.IsZero() {
		at = db.Micros(e.CreatedAt)
	}
	var id int64
	err := tx.QueryRow(ctx, `
		INSERT INTO entries (ticket_id, customer_id, kind, author_kind, author_id, author_name, body, detail, corrects_id, created_at, origin_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		e.TicketID, e.CustomerID, string(e.Kind), string(e.AuthorKind), e.AuthorID, e.AuthorName, e.Body, string(e.Detail), e.CorrectsID, at, e.OriginID).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("journal: add: %w", err)
	}
	return id, nil
}

// AddMove writes the line of a move.
func AddMove(ctx context.Context, a *action.Action, kind Kind, ticketID, customerID int64, m Moved) (int64, error) {
	detail, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	return Add(ctx, a, Entry{TicketID: ticketID, CustomerID: customerID, Kind: kind, Detail: detail})
}

// AddFollowUp checks and writes a follow-up record; its next plan becomes a task
// of its owner with it (FLW-2). refuseVague makes vague content an error; else
// the caller may warn with [Vague] before.
func AddFollowUp(ctx context.Context, a *action.Action, ticketID, customerID int64, body string, r Record, refuseVague bool) (int64, error) {
	if err := CheckFollowUp(a.Now, body, r, refuseVague); err != nil {
		return 0, err
	}
	if r.At.IsZero() {
		r.At = a.Now
	}
	detail, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	id, err := Add(ctx, a, Entry{TicketID: ticketID, CustomerID: customerID, Kind: FollowUp, Body: strings.TrimSpace(body), Detail: detail})
	if err != nil {
		return 0, err
	}
	return id, task.Follow(ctx, a, planOf(id, 0, ticketID, customerID, r))
}

// planOf is the next plan of record id as the room of tasks takes it.
func planOf(id, corrects, ticketID, customerID int64, r Record) task.Plan {
	about := event.Subject{Type: "customer", ID: customerID}
	if ticketID != 0 {
		about = event.Subject{Type: "ticket", ID: ticketID}
	}
	return task.Plan{EntryID: id, Corrects: corrects, Subject: about, Text: r.NextPlan, OwnerID: r.NextOwnerID, At: r.NextAt, Done: r.Done}
}

// CheckFollowUp reports what is wrong with a record, each at its field.
func CheckFollowUp(now time.Time, body string, r Record, refuseVague bool) error {
	e := fault.Invalidf("journal.follow_up.invalid")
	if strings.TrimSpace(body) == "" {
		e.Field("body", "journal.follow_up.empty")
	} else if lacks := Vague(body); refuseVague && len(lacks) > 0 {
		e.Field("body", "journal.follow_up.vague")
	}
	if !slices.Contains(Methods, r.Method) {
		e.Field("method", "journal.follow_up.method")
	}
	if r.At.After(now.Add(10 * time.Minute)) {
		e.Field("at", "journal.follow_up.future")
	}
	if !r.NextAt.IsZero() && r.NextAt.Before(now) {
		e.Field("next_at", "journal.follow_up.next_past")
	}
	if strings.TrimSpace(r.NextPlan) == "" && !r.NextAt.IsZero() {
		e.Field("next_plan", "journal.follow_up.next_what")
	}
	return e.OrNil()
}

// NextPlan returns the earliest time after which a follow-up record of the
// customer plans something for; the zero time when nothing is planned. It looks
// at the latest records only.
func NextPlan(ctx context.Context, q db.Querier, customerID int64, after time.Time) (at time.Time, err error) {
	rows, err := q.Query(ctx, `SELECT detail FROM entries WHERE customer_id = $1 AND customer_id > 0 AND kind = 'follow_up' ORDER BY id DESC LIMIT 50`, customerID)
	if err != nil {
		return at, fmt.Errorf("journal: next plan: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var detail string
		if err := rows.Scan(&detail); err != nil {
			return at, fmt.Errorf("journal: next plan: %w", err)
		}
		r := Entry{Kind: FollowUp, Detail: json.RawMessage(detail)}.Record()
		if r.NextAt.After(after) && (at.IsZero() || r.NextAt.Before(at)) {
			at = r.NextAt
		}
	}
	return at, rows.Err()
}

// Place is whose journal is read: a ticket's or a customer's (with all his
// tickets'). Origin are the entries written on a ticket that has been merged,
// which are read in another.
type Place struct{ Ticket, Customer, Origin int64 }

// Page selects a stretch of a journal.
type Page struct {
	Before int64 // entries older than this id; 0: the newest
	After  int64 // entries newer than this id, oldest first; overrides Before
	Kinds  []Kind
	Limit  int // 0: 30
}

// Body returns the text of entry id, "" when there is none. The caller has
// checked that its ticket or customer may be seen.
func Body(ctx context.Context, q db.Querier, id int64) (body string, err error) {
	err = q.QueryRow(ctx, `SELECT COALESCE(MAX(body), '') FROM entries WHERE id = $1`, id).Scan(&body)
	if err != nil {
		return "", fmt.Errorf("journal: entry %d: %w", id, err)
	}
	return body, nil
}

const columns = `id, ticket_id, customer_id, kind, author_kind, author_id, author_name, body, detail, corrects_id, created_at, origin_id, split_to`

func scan(row interface{ Scan(...any) error }) (e Entry, err error) {
	var at int64
	var detail string
	err = row.Scan(&e.ID, &e.TicketID, &e.CustomerID, (*string)(&e.Kind), (*string)(&e.AuthorKind), &e.AuthorID, &e.AuthorName, &e.Body, &detail, &e.CorrectsID, &at, &e.OriginID, &e.SplitTo)
	e.Detail, e.CreatedAt = json.RawMessage(detail), db.FromMicros(at)
	return e, err
}

// Of returns a stretch of a journal in the order it was written. more reports
// whether there is older (with After: newer) behind it.
func Of(ctx context.Context, q db.Querier, p Place, pg Page) (entries []Entry, more bool, err error) {
	var a db.Args
	where := "customer_id = "
	id := p.Customer
	switch {
	case p.Origin != 0:
		where, id = "origin_id > 0 AND origin_id = ", p.Origin
	case p.Ticket != 0:
		where, id = "ticket_id > 0 AND ticket_id = ", p.Ticket
	default:
		where = "customer_id > 0 AND customer_id = "
	}
	where += a.Add(id)
	if p.Ticket != 0 && p.Customer != 0 { // what is the customer's own in a thread of several
		where += " AND customer_id = " + a.Add(p.Customer)
	}
	if pg.Limit == 0 {
		pg.Limit = 30
	}
	order := "id DESC"
	switch {
	case pg.After > 0:
		where += " AND id > " + a.Add(pg.After)
		order = "id"
	case pg.Before > 0:
		where += " AND id < " + a.Add(pg.Before)
	}
	if len(pg.Kinds) > 0 {
		ph := make([]string, len(pg.Kinds))
		for i, k := range pg.Kinds {
			ph[i] = a.Add(string(k))
		}
		where += " AND kind IN (" + strings.Join(ph, ",") + ")"
	}
	rows, err := q.Query(ctx, `
		SELECT `+columns+`
		FROM   entries
		WHERE  `+where+`
		ORDER BY `+order+` LIMIT `+strconv.Itoa(pg.Limit+1), a.Values...)
	if err != nil {
		return nil, false, fmt.Errorf("journal: read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, false, fmt.Errorf("journal: read: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("journal: read: %w", err)
	}
	if more = len(entries) > pg.Limit; more {
		entries = entries[:pg.Limit]
	}
	if pg.After == 0 {
		slices.Reverse(entries)
	}
	return entries, more, nil
}
