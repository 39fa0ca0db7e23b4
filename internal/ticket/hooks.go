package ticket

import (
	"context"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Hooks let rooms further up take part in the life of a ticket without this
// room knowing them. They are added while the house is put together and never
// after. Who has nothing to say about a ticket says so by its columns alone: a
// hook is asked at every move.
type hooks struct {
	narrow []Narrow
	gates  []Gate
	after  []After
}

// Narrow refuses a verb to an actor although the table allows it; it is asked
// for buttons and for moves alike.
type Narrow func(ctx context.Context, q db.Querier, actor authz.Actor, t *Ticket, v Verb) error

// Gate refuses a move whose input or surroundings do not suffice; asked after
// the guards of the table, before anything is written. Not asked for Register.
type Gate func(ctx context.Context, a *action.Action, t *Ticket, v Verb, in *Input) error

// After is called within the transaction of a move, or of Register, when its
// effect is done and before t is saved: what it changes in t is saved too.
type After func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, v Verb, in Input) error

// AddNarrow adds a hook.
func (s *Service) AddNarrow(f Narrow) { s.hooks.narrow = append(s.hooks.narrow, f) }

// AddGate adds a hook.
func (s *Service) AddGate(f Gate) { s.hooks.gates = append(s.hooks.gates, f) }

// AddAfter adds a hook.
func (s *Service) AddAfter(f After) { s.hooks.after = append(s.hooks.after, f) }

func (h *hooks) narrowed(ctx context.Context, q db.Querier, actor authz.Actor, t *Ticket, v Verb) error {
	for _, f := range h.narrow {
		if err := f(ctx, q, actor, t, v); err != nil {
			return err
		}
	}
	return nil
}

func (h *hooks) passed(ctx context.Context, a *action.Action, t *Ticket, v Verb, in *Input) error {
	for _, f := range h.gates {
		if err := f(ctx, a, t, v, in); err != nil {
			return err
		}
	}
	return nil
}

func (h *hooks) done(ctx context.Context, a *action.Action, old Ticket, t *Ticket, v Verb, in Input) error {
	for _, f := range h.after {
		if err := f(ctx, a, old, t, v, in); err != nil {
			return err
		}
	}
	return nil
}
