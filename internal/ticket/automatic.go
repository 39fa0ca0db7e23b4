package ticket

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// automaticDetail marks an entry nobody wrote.
var automaticDetail = json.RawMessage(`{"automatic":true}`)

// SayIn tells the customer something that no person wrote. It reaches him as
// other words do, and counts neither as a response nor as progress: whoever owes
// him a word still owes it.
func (s *Service) SayIn(ctx context.Context, a *action.Action, id int64, text string) (Ticket, error) {
	return s.changeIn(ctx, a, PermHandle, "ticket.auto_replied", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := closedRefused(old); err != nil {
			return err
		}
		if a.Actor.Kind != authz.Worker {
			return authz.Denied(PermHandle)
		}
		if t.ParentID != 0 {
			return fault.New(fault.Conflict, "ticket.sub_no_customer")
		}
		if blank(text) {
			return fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
		}
		entry, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Reply, Body: strings.TrimSpace(text), Detail: automaticDetail})
		if err != nil {
			return err
		}
		f.Entry = entry
		return deliver(ctx, a, *t, entry, "reply")
	})
}

// EscalateIn lays an open ticket on the supervisor's desk; on the head's when it
// lies there already.
func (s *Service) EscalateIn(ctx context.Context, a *action.Action, id int64) (Ticket, error) {
	return s.changeIn(ctx, a, PermSupervise, "ticket.escalated", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if !old.State.Open() {
			return fault.New(fault.Conflict, "ticket.escalate_closed")
		}
		to, err := s.supervisor(ctx, a, t.DepartmentID)
		if err != nil {
			return err
		}
		if to == old.SupervisorID && old.Escalation > 0 {
			head, err := s.org.HeadOf(ctx, a, t.DepartmentID)
			if err != nil {
				return err
			}
			if head != 0 {
				to = head
			}
		}
		p, _, err := s.org.Person(ctx, a, to)
		if err != nil {
			return err
		}
		t.SupervisorID = to
		t.Escalation++
		f.Args, f.Tell = []string{p.Name}, tell(to)
		return nil
	})
}

// ScopeWhere is the scope as a condition on tickets t; its arguments are added
// to a.
func ScopeWhere(sc authz.Scope, a *db.Args) string { return sc.Where(a, scopeColumns) }

// In returns the ticket id inside a transaction, locked for a change when lock is
// set; the caller acts for the program.
func (s *Service) In(ctx context.Context, q db.Querier, id int64, lock bool) (Ticket, error) {
	suffix := ""
	if tx, ok := q.(*db.Tx); ok && lock && tx.Dialect() == db.Postgres {
		suffix = " FOR UPDATE OF t"
	}
	return get(ctx, q, authz.For(authz.System(""), PermView), "t.id", id, suffix)
}

// Promised returns when the customer may expect the first word of a person and
// the solution, by the clocks that run; zero: not promised.
func (s *Service) Promised(ctx context.Context, q db.Querier, id int64) (first, solved sla.Clock, err error) {
	cs, err := sla.Open(ctx, q, id)
	if err != nil {
		return first, solved, fmt.Errorf("ticket: promised: %w", err)
	}
	for _, c := range cs {
		switch c.Kind {
		case sla.FirstResponse:
			first = c
		case sla.Resolution:
			solved = c
		}
	}
	return first, solved, nil
}

// ParentCategory returns the category above id; 0: none.
func ParentCategory(ctx context.Context, q db.Querier, id int64) (parent int64, err error) {
	if err = q.QueryRow(ctx, `SELECT COALESCE(MAX(parent_id), 0) FROM categories WHERE id = $1`, id).Scan(&parent); err != nil {
		return 0, fmt.Errorf("ticket: category %d: %w", id, err)
	}
	return parent, nil
}
