package complaint

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// gate refuses to ask the customer to confirm while steps are missing that the
// company requires, and to archive what nobody has looked back on. It costs no
// query for tickets that are no complaints.
func (s *Service) gate(ctx context.Context, a *action.Action, t *ticket.Ticket, v ticket.Verb, _ *ticket.Input) error {
	if !Is(t) {
		return nil
	}
	if v == ticket.Close {
		first, err := s.reviewFirst(ctx, a, t.ID)
		if err == nil && first {
			err = fault.New(fault.Conflict, "complaint.review_first")
		}
		return err
	}
	if v != ticket.RequestConfirmation {
		return nil
	}
	missing, err := s.missing(ctx, a, t)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "complaint.missing", Names(a.Actor.Lang, missing))
}

// unreviewed is the condition of complaints c that nobody has looked back on.
const unreviewed = "c.reviewed = 0"

// reviewFirst reports whether somebody has to look back on complaint id before it
// is archived.
func (s *Service) reviewFirst(ctx context.Context, q db.Querier, id int64) (bool, error) {
	st, err := settings(ctx, q)
	if err != nil || !st.Review {
		return false, err
	}
	var n int
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM complaints c WHERE c.ticket_id = $1 AND `+unreviewed, id).Scan(&n); err != nil {
		return false, fmt.Errorf("complaint: review of %d: %w", id, err)
	}
	return n > 0, nil
}

// ReviewFirst reports whether the complaint of t has to be looked back on before
// it is archived.
func (s *Service) ReviewFirst(ctx context.Context, t ticket.Ticket) (bool, error) {
	if !Is(&t) || t.State != ticket.Completed {
		return false, nil
	}
	return s.reviewFirst(ctx, s.run.DB().Read(), t.ID)
}

// keep leaves out of the archive what nobody has looked back on.
func (s *Service) keep(ctx context.Context, q db.Querier) (string, error) {
	st, err := settings(ctx, q)
	if err != nil || !st.Review {
		return "", err
	}
	return "t.type = 'complaint' AND EXISTS (SELECT 1 FROM complaints c WHERE c.ticket_id = t.id AND " + unreviewed + ")", nil
}

func (s *Service) missing(ctx context.Context, a *action.Action, t *ticket.Ticket) ([]Step, error) {
	c, err := full(ctx, a, *t)
	if err != nil {
		return nil, err
	}
	st, err := settings(ctx, a)
	return c.Missing(st.Required), err
}

// Names lists steps in l.
func Names(l i18n.Lang, steps []Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, i18n.T(l, s.Words()))
	}
	return strings.Join(out, i18n.T(l, "complaint.comma"))
}

// meansOf says by which means words of a ticket reach the customer.
var meansOf = map[string]string{"phone": "phone", "chat": "chat", "email": "email", "walk_in": "visit", "paper": "letter"}

// after follows the moves of a complaint: its row begins with the ticket, the
// result that is sent is the decision communicated, the customer's word is the
// answer to it, and a second handling takes its steps anew.
func (s *Service) after(ctx context.Context, a *action.Action, old ticket.Ticket, t *ticket.Ticket, v ticket.Verb, _ ticket.Input) error {
	if !Is(t) {
		return nil
	}
	if v == ticket.Register {
		return ensure(ctx, a.Tx, *t)
	}
	round := t.Round != old.Round
	if t.State.Open() == old.State.Open() && !round && v != ticket.RequestConfirmation {
		return nil
	}
	c, err := full(ctx, a, *t)
	if err != nil {
		return err
	}
	switch v {
	case ticket.RequestConfirmation:
		if _, done := c.Last(Respond); !done {
			means := meansOf[t.Channel]
			if means == "" {
				means = "message"
			}
			r, err := add(ctx, a, *t, Record{Step: Respond, Round: c.Round, Values: Values{"auto": "1", "decision": t.Summary, "to": t.CustomerName, "at": a.Now.UTC().Format(time.RFC3339), "means": means, "answer": "none"}})
			if err != nil {
				return err
			}
			c.Records = append(c.Records, r)
		}
	case ticket.Confirm:
		c.Answer = "accepted"
	case ticket.Lapse:
		c.Answer = "silent"
	}
	if round {
		c.Reviewed = false
		if c.Answer = ""; v == ticket.Dispute || a.Actor.Kind == authz.Customer {
			c.Answer = "rejected"
		}
	}
	if t.State == ticket.Cancelled {
		c.Reviewed = true // withdrawn: there is nothing to look back on
	}
	c.Step = c.Due()
	return save(ctx, a, *t, c)
}
