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
	keeps  []Keep

	brought []Brought
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

// Keep returns a condition on tickets t: those it holds for are not archived by
// themselves although their time has come; "" for none.
type Keep func(ctx context.Context, q db.Querier) (string, error)

// AddNarrow adds a hook.
func (s *Service) AddNarrow(f Narrow) { s.hooks.narrow = append(s.hooks.narrow, f) }

// AddGate adds a hook.
func (s *Service) AddGate(f Gate) { s.hooks.gates = append(s.hooks.gates, f) }

// AddAfter adds a hook.
func (s *Service) AddAfter(f After) { s.hooks.after = append(s.hooks.after, f) }

// Brought is called within the transaction of an import with the open tickets it
// brought in; those that were closed before concern nobody any more.
type Brought func(ctx context.Context, a *action.Action, ts []Ticket) error

// AddBrought adds a hook.
func (s *Service) AddBrought(f Brought) { s.hooks.brought = append(s.hooks.brought, f) }

// AddKeep adds a hook.
func (s *Service) AddKeep(f Keep) { s.hooks.keeps = append(s.hooks.keeps, f) }

// Doing is something a room further up does about a ticket. From and To of the
// fact stay empty: it is no move.
type Doing struct {
	Old      Ticket
	T        *Ticket // its changes are saved
	Fact     *Fact   // Args, Tell, Urgent and Changes are taken over
	Progress bool    // it is the sign of progress that was promised
	Spoken   bool    // a person has spoken to the customer
	Watch    []int64 // who has to be able to open it from now on
}

// ActIn lets a room further up do something about ticket id inside an action
// under way: the ticket is loaded through the actor's scope and locked, fn
// changes it, and what happened is recorded under kind, with its journal line.
// Permission and state are for fn to check.
func (s *Service) ActIn(ctx context.Context, a *action.Action, kind string, id int64, reason string, fn func(ctx context.Context, d *Doing) error) (t Ticket, err error) {
	old, err := s.load(ctx, a, id)
	if err != nil {
		return t, err
	}
	t = old
	d := Doing{Old: old, T: &t, Fact: &Fact{}}
	if err := fn(ctx, &d); err != nil {
		return t, err
	}
	for _, user := range d.Watch {
		if err := watch(ctx, a, id, user); err != nil {
			return t, err
		}
	}
	if d.Spoken {
		if err := s.responded(ctx, a, &t); err != nil {
			return t, err
		}
	}
	if d.Progress {
		if err := s.progressed(ctx, a, &t, "recorded"); err != nil {
			return t, err
		}
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return t, err
	}
	out := fact(old, t)
	out.From = "" // no move
	out.Args, out.Tell, out.Changes, out.Urgent = d.Fact.Args, d.Fact.Tell, d.Fact.Changes, out.Urgent || d.Fact.Urgent
	return t, s.note(ctx, a, kind, t, out, reason)
}

// Where is the condition under which sc reaches the tickets t of a statement.
func Where(sc authz.Scope, a *db.Args) string {
	if sc.Everything() {
		return "1 = 1"
	}
	return sc.Where(a, scopeColumns)
}

// kept is the condition of all that stay out of the archive, with its AND.
func (h *hooks) kept(ctx context.Context, q db.Querier) (string, error) {
	out := ""
	for _, f := range h.keeps {
		cond, err := f(ctx, q)
		if err != nil {
			return "", err
		}
		if cond != "" {
			out += " AND NOT (" + cond + ")"
		}
	}
	return out, nil
}

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
