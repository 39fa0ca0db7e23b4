package privacy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// KindDeletion is the approval a customer's deletion needs.
const KindDeletion approval.Kind = "customer_deletion"

// Deletion is a request to delete a customer, and what is left of him.
type Deletion struct {
	ID           int64
	CustomerID   int64
	Number       string
	Type         customer.Type
	Name         string // masked
	DepartmentID int64
	Reason       string
	Tickets      int64 // that stay
	State        string
	ApprovalID   int64
	AskedBy      int64
	AskedByName  string
	AskedAt      time.Time
	DecidedBy    string
	DecidedAt    time.Time
	ErasureID    int64
	ExecutedAt   time.Time
}

// DeletionStates in the order of life; named privacy.deletion.state.<state>.
var DeletionStates = []string{"waiting", "running", "done", "refused", "withdrawn", "lapsed"}

type deletionData struct {
	ID int64 `json:"id"`
}

// AskDeletion asks for a customer to be deleted (CUS-15). Open tickets are to be
// closed first: the customer would never hear how they ended.
func (s *Service) AskDeletion(ctx context.Context, actor authz.Actor, customerID int64, reason string) (d Deletion, err error) {
	err = s.run.Do(ctx, actor, "privacy.ask_deletion", func(ctx context.Context, a *action.Action) error {
		d, err = s.AskDeletionIn(ctx, a, customerID, reason)
		return err
	})
	return d, err
}

// AskDeletionIn is AskDeletion inside another action.
func (s *Service) AskDeletionIn(ctx context.Context, a *action.Action, customerID int64, reason string) (d Deletion, err error) {
	reason = line(reason)
	c, err := s.Rooms.Customers.Deletable(ctx, a, customerID, PermDelete)
	if err != nil {
		return d, err
	}
	if n := utf8.RuneCountInString(reason); n < 5 || n > 500 {
		return d, fault.Invalidf("privacy.deletion.invalid").Field("reason", "privacy.deletion.reason_required")
	}
	if n, numbers, err := ticket.OpenOf(ctx, a, []int64{customerID}); err != nil {
		return d, err
	} else if n > 0 {
		return d, openTickets(n, numbers)
	}
	d = Deletion{CustomerID: c.ID, Number: c.Number, Type: c.Type, Name: cnid.MaskName(c.Name), DepartmentID: c.DepartmentID, Reason: reason, Tickets: c.TotalTickets,
		State: "waiting", AskedBy: a.Actor.ID, AskedByName: a.Actor.Name, AskedAt: a.Now}
	err = a.QueryRow(ctx, `
		INSERT INTO deletions (customer_id, number, type, name_masked, department_id, reason, tickets, asked_by, asked_by_name, asked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		d.CustomerID, d.Number, string(d.Type), d.Name, d.DepartmentID, d.Reason, d.Tickets, d.AskedBy, d.AskedByName, a.NowMicros()).Scan(&d.ID)
	if err != nil {
		return d, fmt.Errorf("privacy: ask deletion: %w", err)
	}
	r, err := s.Approvals.Ask(ctx, a, approval.New{Kind: KindDeletion, Subject: customer.Subject(c.ID), Title: d.Number + " " + d.Name, DepartmentID: d.DepartmentID, Reason: reason, Data: deletionData{d.ID}})
	if err != nil {
		return d, err
	}
	d.ApprovalID = r.ID
	if _, err := a.Exec(ctx, `UPDATE deletions SET approval_id = $1 WHERE id = $2`, r.ID, d.ID); err != nil {
		return d, fmt.Errorf("privacy: ask deletion: %w", err)
	}
	a.Record(event.Event{Kind: DeletionAsked, Subject: customer.Subject(c.ID), Data: Fact{Args: []string{d.Number, d.Name}}})
	return d, nil
}

const deletionColumns = `d.id, d.customer_id, d.number, d.type, d.name_masked, d.department_id, d.reason, d.tickets, d.state, d.approval_id, d.asked_by, d.asked_by_name, d.asked_at,
	d.decided_by, d.decided_at, d.erasure_id, d.executed_at`

func scanDeletion(r interface{ Scan(...any) error }) (d Deletion, err error) {
	var asked, decided, executed int64
	err = r.Scan(&d.ID, &d.CustomerID, &d.Number, (*string)(&d.Type), &d.Name, &d.DepartmentID, &d.Reason, &d.Tickets, &d.State, &d.ApprovalID, &d.AskedBy, &d.AskedByName, &asked,
		&d.DecidedBy, &decided, &d.ErasureID, &executed)
	d.AskedAt, d.DecidedAt, d.ExecutedAt = db.FromMicros(asked), db.FromMicros(decided), db.FromMicros(executed)
	return d, err
}

var deletionScope = authz.Columns{Owners: []string{"d.asked_by"}, Department: "d.department_id"}

// Deletions returns at most limit requests and records of deletions older than
// before (0: the newest), of one state or all. Who may not see the register sees
// what he asked for himself.
func (s *Service) Deletions(ctx context.Context, actor authz.Actor, state string, before int64, limit int) ([]Deletion, error) {
	var a db.Args
	where := authz.For(actor, PermView).Where(&a, deletionScope)
	if state != "" {
		where += " AND d.state = " + a.Add(state)
	}
	if before > 0 {
		where += " AND d.id < " + a.Add(before)
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+deletionColumns+` FROM deletions d WHERE `+where+` ORDER BY d.id DESC LIMIT `+strconv.Itoa(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("privacy: deletions: %w", err)
	}
	defer rows.Close()
	var out []Deletion
	for rows.Next() {
		d, err := scanDeletion(rows)
		if err != nil {
			return nil, fmt.Errorf("privacy: deletions: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Deletion returns one record the actor may see.
func (s *Service) Deletion(ctx context.Context, actor authz.Actor, id int64) (Deletion, error) {
	var a db.Args
	where := "d.id = " + a.Add(id) + " AND " + authz.For(actor, PermView).Where(&a, deletionScope)
	d, err := scanDeletion(s.db().Read().QueryRow(ctx, `SELECT `+deletionColumns+` FROM deletions d WHERE `+where, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return d, notFound()
	}
	if err != nil {
		return d, fmt.Errorf("privacy: deletion %d: %w", id, err)
	}
	return d, nil
}

// DeletionOf returns the newest request about a customer the caller has checked
// to be in the reader's view; ok is false when there is none.
func (s *Service) DeletionOf(ctx context.Context, customerID int64) (d Deletion, ok bool, err error) {
	d, err = scanDeletion(s.db().Read().QueryRow(ctx, `SELECT `+deletionColumns+` FROM deletions d WHERE d.customer_id = $1 ORDER BY d.id DESC LIMIT 1`, customerID))
	if errors.Is(err, sql.ErrNoRows) {
		return d, false, nil
	}
	if err != nil {
		return d, false, fmt.Errorf("privacy: deletion of %d: %w", customerID, err)
	}
	return d, true, nil
}

func (s *Service) describeDeletion(ctx context.Context, q db.Querier, r approval.Request, l i18n.Lang) ([]approval.Line, error) {
	var data deletionData
	if err := r.Decode(&data); err != nil {
		return nil, err
	}
	d, err := scanDeletion(q.QueryRow(ctx, `SELECT `+deletionColumns+` FROM deletions d WHERE d.id = $1`, data.ID))
	if err != nil {
		return nil, fmt.Errorf("privacy: deletion %d: %w", data.ID, err)
	}
	lines := []approval.Line{
		{Label: i18n.T(l, "privacy.deletion.customer"), Value: d.Number + " " + d.Name, Href: fmt.Sprintf("/customers/%d", d.CustomerID)},
		{Label: i18n.T(l, "customer.field.type"), Value: i18n.T(l, "customer.type."+string(d.Type))},
		{Label: i18n.T(l, "privacy.deletion.tickets"), Value: i18n.T(l, "privacy.deletion.tickets_stay", d.Tickets)},
		{Label: i18n.T(l, "privacy.deletion.effect"), Value: i18n.T(l, "privacy.deletion.effect_text")},
	}
	if d.State == "done" {
		lines[0].Href = ""
		lines = append(lines, approval.Line{Label: i18n.T(l, "privacy.deletion.record"), Value: i18n.T(l, "privacy.deletion.state.done"), Href: fmt.Sprintf("/privacy/deletions/%d", d.ID)})
	}
	return lines, nil
}

// deletionDecided carries a decision out, in its own transaction.
func (s *Service) deletionDecided(ctx context.Context, a *action.Action, r approval.Request) error {
	var data deletionData
	if err := r.Decode(&data); err != nil {
		return err
	}
	d, err := scanDeletion(a.QueryRow(ctx, `SELECT `+deletionColumns+` FROM deletions d WHERE d.id = $1`+a.ForUpdate(), data.ID))
	if err != nil {
		return fmt.Errorf("privacy: deletion %d: %w", data.ID, err)
	}
	f := Fact{Args: []string{d.Number, d.Name, "@approval.state." + string(r.State)}}
	if r.State != approval.Approved {
		_, err := a.Exec(ctx, `UPDATE deletions SET state = $1, decided_by = $2, decided_at = $3 WHERE id = $4`, string(r.State), deciders(r), a.NowMicros(), d.ID)
		if err != nil {
			return fmt.Errorf("privacy: deletion %d: %w", d.ID, err)
		}
		a.Record(event.Event{Kind: DeletionEnded, Subject: customer.Subject(d.CustomerID), Data: f})
		return nil
	}
	w, err := s.gather(ctx, a, []int64{d.CustomerID}, nil, Values{})
	if err != nil {
		return err
	}
	id, err := s.begin(ctx, a, causeDeletion, d.ID, r.Number(), d.Number+" "+d.Name, deciders(r), w)
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE deletions SET state = 'running', decided_by = $1, decided_at = $2, erasure_id = $3 WHERE id = $4`, deciders(r), a.NowMicros(), id, d.ID); err != nil {
		return fmt.Errorf("privacy: deletion %d: %w", d.ID, err)
	}
	a.Record(event.Event{Kind: DeletionApproved, Subject: customer.Subject(d.CustomerID), Data: f})
	return nil
}

// Blocking returns how many open tickets keep a customer from being deleted, and
// the numbers of the first few. The caller has checked that he is in view.
func (s *Service) Blocking(ctx context.Context, customerID int64) (n int, numbers []string, err error) {
	return ticket.OpenOf(ctx, s.db().Read(), []int64{customerID})
}
