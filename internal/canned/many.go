package canned

import (
	"context"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"
)

// Many lets macros be run on many tickets at once, each as it would be on that
// one alone.
func (s *Service) Many() ticket.OtherBulk {
	return ticket.OtherBulk{
		Kind:    "macro",
		Offered: func(actor authz.Actor) bool { return actor.Can(PermUse) && actor.Can(ticket.PermNote) },
		Choices: func(ctx context.Context, actor authz.Actor) (out []customer.Choice, err error) {
			ms, _, err := s.Macros(ctx, actor, "", 0)
			for _, m := range ms {
				if m.Active {
					out = append(out, customer.Choice{Value: strconv.FormatInt(m.ID, 10), Label: m.Name})
				}
			}
			return out, err
		},
		Name: func(ctx context.Context, actor authz.Actor, of int64) string {
			m, err := s.Macro(ctx, actor, of)
			if err != nil {
				return ""
			}
			return m.Name
		},
		Prepare: func(ctx context.Context, actor authz.Actor, of, id int64) (func(ctx context.Context, a *action.Action) (ticket.Ticket, error), error) {
			return s.Prepared(ctx, actor, of, id)
		},
	}
}
