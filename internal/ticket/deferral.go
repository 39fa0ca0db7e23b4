package ticket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"database/sql"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
	"bihuan/internal/sla"
)

// KindDeferral is the kind of request that asks for a later deadline.
const KindDeferral approval.Kind = "deferral"

// maxDeferral is how far a deadline is moved at most in one step.
const maxDeferral = 180 * 24 * time.Hour

// DeferralInput is what the assignee asks for (TKT-13).
type DeferralInput struct {
	Version int64 // of the ticket as he saw it; 0: not checked
	Due     time.Time
	Reason  string
}

// Deferral is a request for a later deadline and what became of it.
type Deferral struct {
	ID          int64
	TicketID    int64
	Round       int
	ApprovalID  int64
	Reason      string
	OldDue      time.Time // promised before
	NewDue      time.Time
	State       string // pending, approved, refused, withdrawn, lapsed, settled
	RequestedBy int64
	Requester   string
	RequestedAt time.Time
	DecidedBy   string
	DecidedAt   time.Time
	Comment     string // of who decided
}

// deferrable reports whether a ticket in that state still has a deadline of ours
// to be moved.
func deferrable(s State) bool { return s == Pending || s == InProgress || s == WaitingCustomer }

// AskDeferrals makes the supervisor of a ticket's department decide over
// deferrals. Before the first request.
func (s *Service) AskDeferrals(approvals *approval.Service) {
	s.approvals = approvals
	approvals.Register(approval.Definition{Kind: KindDeferral, Steps: []approval.StepKind{approval.Supervisor}, Describe: s.describeDeferral, Decided: s.deferralDecided})
}

// MayDefer returns nil when actor may ask for a later deadline of t now; the
// deadline itself is looked at when he does.
func (s *Service) MayDefer(actor authz.Actor, t *Ticket) error {
	switch {
	case s.approvals == nil || !actor.Can(PermHandle) || !actor.Can(approval.PermUse):
		return authz.Denied(PermHandle)
	case !deferrable(t.State):
		return fault.New(fault.Conflict, "ticket.deferral.not_now", i18n.Key("ticket.state."+string(t.State)))
	case t.AssigneeID != actor.ID:
		return fault.New(fault.Forbidden, "ticket.only_assignee")
	case t.DeferralID != 0:
		return fault.New(fault.Conflict, "ticket.deferral.twice")
	}
	return nil
}

// Resolution returns the open resolution clock of a ticket; ok is false when
// there is none.
func Resolution(ctx context.Context, q db.Querier, id int64) (c sla.Clock, ok bool, err error) {
	cs, err := sla.Open(ctx, q, id)
	for _, c := range cs {
		if c.Kind == sla.Resolution {
			return c, true, err
		}
	}
	return c, false, err
}

// dueOf is when c is due, were it to run on now.
func dueOf(c sla.Clock, now time.Time) time.Time { return c.DueIf(now) }

// Defer asks for a later deadline, on or before the present one: the ticket's
// supervisor decides, and nobody about his own request.
func (s *Service) Defer(ctx context.Context, actor authz.Actor, id int64, in DeferralInput) (t Ticket, err error) {
	if err := actor.Check(PermHandle); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "ticket.defer", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.DeferIn(ctx, a, id, in)
		return err
	})
	return t, err
}

// DeferIn is Defer inside an action under way.
func (s *Service) DeferIn(ctx context.Context, a *action.Action, id int64, in DeferralInput) (Ticket, error) {
	return s.changeIn(ctx, a, PermHandle, "ticket.deferral_asked", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if in.Version != 0 && in.Version != old.Version {
			return changedMeanwhile()
		}
		if err := s.MayDefer(a.Actor, &old); err != nil {
			return err
		}
		c, ok, err := Resolution(ctx, a, id)
		if err != nil {
			return err
		}
		due := dueOf(c, a.Now)
		switch {
		case !ok:
			return fault.New(fault.Conflict, "ticket.deferral.no_deadline")
		case a.Now.After(due):
			return fault.New(fault.Conflict, "ticket.deferral.after_deadline", stamp(due))
		}
		e := fault.Invalidf("ticket.deferral.invalid")
		in.Reason = strings.TrimSpace(in.Reason)
		switch {
		case in.Due.IsZero():
			e.Field("due", "ticket.deferral.need_due")
		case !in.Due.After(due):
			e.Field("due", "ticket.deferral.pick_later", stamp(due))
		case in.Due.After(a.Now.Add(maxDeferral)):
			e.Field("due", "ticket.deferral.too_far", int(maxDeferral/(24*time.Hour)))
		}
		if len([]rune(in.Reason)) < 2 {
			e.Field("reason", "ticket.deferral.need_reason")
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		var demo int
		if err := a.QueryRow(ctx, `SELECT demo FROM tickets WHERE id = $1`, id).Scan(&demo); err != nil {
			return fmt.Errorf("ticket: defer %d: %w", id, err)
		}
		req, err := s.approvals.Ask(ctx, a, approval.New{Kind: KindDeferral, Subject: Subject(id), Title: t.Number + " " + t.Title, DepartmentID: t.DepartmentID, Reason: in.Reason, Demo: demo == 1})
		if err != nil {
			return err
		}
		_, err = a.Exec(ctx, `
			INSERT INTO deferrals (ticket_id, round, approval_id, reason, old_due, new_due, requested_by, requested_by_name, requested_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, t.Round, req.ID, in.Reason, db.Micros(due), db.Micros(in.Due), a.Actor.ID, a.Actor.Name, a.NowMicros())
		if err != nil {
			return fmt.Errorf("ticket: defer %d: %w", id, err)
		}
		t.DeferralID, t.ActivityAt = req.ID, a.Now
		f.Args = []string{stamp(due), stamp(in.Due), in.Reason}
		return nil
	})
}

// stamp is a time as sentences keep it: by the company's clock.
func stamp(t time.Time) string { return t.In(number.Zone).Format("2006-01-02 15:04") }

// WithdrawDeferral takes the actor's own request back.
func (s *Service) WithdrawDeferral(ctx context.Context, actor authz.Actor, id int64) (Ticket, error) {
	t, err := s.Get(ctx, View(actor), id)
	if err != nil {
		return t, err
	}
	if t.DeferralID == 0 || s.approvals == nil {
		return t, fault.New(fault.Conflict, "ticket.deferral.none")
	}
	if _, err := s.approvals.Withdraw(ctx, actor, t.DeferralID, ""); err != nil {
		return t, err
	}
	return s.Get(ctx, View(actor), id)
}

const deferralColumns = `id, ticket_id, round, approval_id, reason, old_due, new_due, state, requested_by, requested_by_name, requested_at, decided_by_name, decided_at, comment`

func scanDeferral(row interface{ Scan(...any) error }) (d Deferral, err error) {
	var us [4]int64
	err = row.Scan(&d.ID, &d.TicketID, &d.Round, &d.ApprovalID, &d.Reason, &us[0], &us[1], &d.State, &d.RequestedBy, &d.Requester, &us[2], &d.DecidedBy, &us[3], &d.Comment)
	d.OldDue, d.NewDue, d.RequestedAt, d.DecidedAt = db.FromMicros(us[0]), db.FromMicros(us[1]), db.FromMicros(us[2]), db.FromMicros(us[3])
	return d, err
}

// Deferrals returns the requests for a later deadline of a ticket the caller may
// see, oldest first.
func Deferrals(ctx context.Context, q db.Querier, id int64) ([]Deferral, error) {
	rows, err := q.Query(ctx, `SELECT `+deferralColumns+` FROM deferrals WHERE ticket_id = $1 ORDER BY id LIMIT 100`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: deferrals of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Deferral
	for rows.Next() {
		d, err := scanDeferral(rows)
		if err != nil {
			return nil, fmt.Errorf("ticket: deferrals of %d: %w", id, err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

func deferralOf(ctx context.Context, q db.Querier, request int64) (d Deferral, err error) {
	if d, err = scanDeferral(q.QueryRow(ctx, `SELECT `+deferralColumns+` FROM deferrals WHERE approval_id = $1`, request)); err != nil {
		err = fmt.Errorf("ticket: deferral of request %d: %w", request, err)
	}
	return d, err
}

func (s *Service) describeDeferral(ctx context.Context, q db.Querier, r approval.Request, l i18n.Lang) ([]approval.Line, error) {
	d, err := deferralOf(ctx, q, r.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // removed with sample data
	}
	if err != nil {
		return nil, err
	}
	var num, assignee string
	if err := q.QueryRow(ctx, `SELECT number, assignee_name FROM tickets WHERE id = $1`, d.TicketID).Scan(&num, &assignee); err != nil {
		return nil, fmt.Errorf("ticket: %d: %w", d.TicketID, err)
	}
	return []approval.Line{
		{Label: i18n.T(l, "ticket.deferral.ticket"), Value: num, Href: "/tickets/" + num},
		{Label: i18n.T(l, "ticket.field.assignee"), Value: assignee},
		{Label: i18n.T(l, "ticket.deferral.old_due"), Value: stamp(d.OldDue)},
		{Label: i18n.T(l, "ticket.deferral.new_due"), Value: stamp(d.NewDue)},
	}, nil
}

// deferralDecided follows a decision: the deadline moves when everybody has
// agreed, and the first promise stays on record.
func (s *Service) deferralDecided(ctx context.Context, a *action.Action, r approval.Request) error {
	d, err := deferralOf(ctx, a, r.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	old, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", d.TicketID, lockOf(a))
	if err != nil {
		return err
	}
	t := old
	t.DeferralID, t.ActivityAt = 0, a.Now
	var f Fact
	kind, comment := "ticket.deferral_"+string(r.State), ""
	if n := len(r.History); n > 0 {
		comment = r.History[n-1].Comment
	}
	switch r.State {
	case approval.Approved:
		if !d.NewDue.After(a.Now) {
			return fault.New(fault.Conflict, "ticket.deferral.passed", stamp(d.NewDue))
		}
		ok, err := sla.Extend(ctx, a, t.ID, sla.Resolution, d.OldDue, d.NewDue)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Conflict, "ticket.deferral.no_deadline")
		}
		if t.DeferredFrom.IsZero() {
			t.DeferredFrom = d.OldDue
		}
		t.DueFixed = true
		if t.Overdue {
			if t.Overdue, err = sla.MissedPromise(ctx, a, t.ID, a.Now); err != nil {
				return err
			}
		}
		kind = "ticket.deferred"
		f.Args = []string{stamp(d.OldDue), stamp(d.NewDue), d.Requester}
	default:
		f.Args = []string{stamp(d.NewDue), d.Requester}
	}
	if t.AssigneeID != d.RequestedBy { // who asked is told by the request itself
		f.Tell = tell(t.AssigneeID)
	}
	if err := closeDeferral(ctx, a, r.ID, string(r.State), comment); err != nil {
		return err
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return err
	}
	out := fact(old, t)
	out.From, out.Args, out.Tell = "", f.Args, f.Tell
	return s.note(ctx, a, kind, t, out, comment)
}

func closeDeferral(ctx context.Context, a *action.Action, request int64, state, comment string) error {
	_, err := a.Exec(ctx, `UPDATE deferrals SET state = $1, decided_by_name = $2, decided_at = $3, comment = $4 WHERE approval_id = $5 AND state = 'pending'`,
		state, a.Actor.Name, a.NowMicros(), comment, request)
	if err != nil {
		return fmt.Errorf("ticket: deferral of request %d: %w", request, err)
	}
	return nil
}

// settleDeferral ends the request that waits when its ticket no longer has a
// deadline to be moved.
func (s *Service) settleDeferral(ctx context.Context, a *action.Action, t *Ticket) error {
	if t.DeferralID == 0 || deferrable(t.State) {
		return nil
	}
	if err := closeDeferral(ctx, a, t.DeferralID, "settled", ""); err != nil {
		return err
	}
	t.DeferralID = 0
	return s.approvals.Settle(ctx, a, KindDeferral, Subject(t.ID), i18n.T(i18n.ZhCN, "ticket.deferral.settled", i18n.Key("ticket.state."+string(t.State))))
}
