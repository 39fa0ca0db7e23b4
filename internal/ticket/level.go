package ticket

import (
	"bytes"
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/sla"
)

// levelActor is under whose name open tickets follow their customer.
const levelActor = "customer level"

// Customers keeps the open tickets of a customer true to him: when his level
// becomes another, or his profile is merged, they have the level he has now, the
// priority that follows from it unless somebody judged otherwise, and the
// promises of the policy that is theirs then, with no time used lost (SLA-4).
func (s *Service) Customers() event.Listener {
	return event.Listener{Name: "ticket.customers", Kinds: []string{customer.Changed, customer.MergedKind, customer.MergeUndone}, Wants: func(e event.Stored) bool {
		return e.Kind != customer.Changed || bytes.Contains(e.Data, []byte(`"level"`))
	}, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
		for _, e := range evs {
			if e.Subject.Type != "customer" {
				continue
			}
			if err := s.followCustomer(ctx, tx, e.Subject.ID); err != nil {
				return err
			}
		}
		return nil
	}}
}

func (s *Service) followCustomer(ctx context.Context, tx *db.Tx, id int64) error {
	var level string
	if err := tx.QueryRow(ctx, `SELECT level FROM customers WHERE id = $1`, id).Scan(&level); err != nil {
		return fmt.Errorf("ticket: level of customer %d: %w", id, err)
	}
	ids, err := idsOf(ctx, tx, `SELECT id FROM tickets WHERE customer_id = $1 AND is_open = 1 ORDER BY id`, id)
	if err != nil || len(ids) == 0 {
		return err
	}
	return action.Within(ctx, tx, authz.System(levelActor), "ticket.follow_customer", func(ctx context.Context, a *action.Action) error {
		for _, id := range ids {
			old, err := s.load(ctx, a, id)
			if err != nil {
				return err
			}
			t := old
			t.CustomerLevel = level
			if t.PriorityReason == "" {
				if t.Priority, err = Priority(ctx, a, t.Urgency, level); err != nil {
					return err
				}
			}
			if old.Case() == t.Case() { // merged: the customer himself may have policies of his own
				p, err := sla.Pick(ctx, a, t.Case())
				if err != nil {
					return err
				}
				if err := s.promise(ctx, a, &t, p, "edited"); err != nil {
					return err
				}
				if err := s.saveRow(ctx, a, old, &t, false); err != nil {
					return err
				}
				continue
			}
			if err := s.save(ctx, a, old, &t); err != nil {
				return err
			}
			f := fact(old, t)
			f.From = ""
			for _, c := range []event.Change{{Field: "customer_level", Old: old.CustomerLevel, New: t.CustomerLevel}, {Field: "priority", Old: old.Priority, New: t.Priority}} {
				if c.Old != c.New {
					f.Changes = append(f.Changes, c)
				}
			}
			if err := s.note(ctx, a, "ticket.edited", t, f, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// Whom returns the people that ws mean for a ticket, as the organisation is now;
// who is away is passed over for his stand-in. Ticket 0 is none: then only roles
// and persons mean somebody.
func (s *Service) Whom(ctx context.Context, q db.Querier, id int64, ws []sla.Who) ([]int64, error) {
	var t Ticket
	if id != 0 {
		var err error
		if t, err = get(ctx, q, authz.For(authz.System(""), PermView), "t.id", id, ""); err != nil {
			return nil, err
		}
	}
	var told sla.Told
	for _, w := range ws {
		if _, _, named := w.Named(); w == sla.TheClient || id == 0 && !named {
			continue
		}
		people, err := s.whom(ctx, q, t, w)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			if err := s.present(ctx, q, t, p, &told); err != nil {
				return nil, err
			}
		}
	}
	return told.Users, nil
}
