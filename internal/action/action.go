// Package action is the one way to change anything. Do opens a transaction,
// runs the change and writes the facts it recorded with it: nothing recorded,
// nothing committed.
package action

import (
	"context"
	"fmt"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Runner runs actions on a store.
type Runner struct {
	d    *db.DB
	wake func()
}

// NewRunner returns a runner; wake is called after each commit so that
// followers look for the new facts (nil: they poll).
func NewRunner(d *db.DB, wake func()) *Runner { return &Runner{d: d, wake: wake} }

// DB returns the store, for reading.
func (r *Runner) DB() *db.DB { return r.d }

// Action is a change under way. It is the transaction, the actor and the list
// of facts.
type Action struct {
	*db.Tx
	Actor authz.Actor

	name    string
	facts   []event.Event
	nothing bool
}

// Record notes a fact; it is written at the end of the action.
func (a *Action) Record(e event.Event) { a.facts = append(a.facts, e) }

// Nothing declares that the action found nothing to change, which is no error.
func (a *Action) Nothing() { a.nothing = true }

// As lets a part of the action be done in another's name, e.g. the routing of
// a ticket that a customer registered.
func (a *Action) As(actor authz.Actor) *Action {
	return &Action{Tx: a.Tx, Actor: actor, name: a.name}
}

// Join takes over the facts of a part done with As.
func (a *Action) Join(ctx context.Context, part *Action) error {
	for _, e := range part.facts {
		if err := event.Append(ctx, a.Tx, part.Actor, part.name, e); err != nil {
			return err
		}
	}
	a.nothing = a.nothing || len(part.facts) > 0
	return nil
}

// Do runs fn as actor under a name that the audit trail shows
// ("ticket.acknowledge"). fn may run again when the engine asks for it.
func (r *Runner) Do(ctx context.Context, actor authz.Actor, name string, fn func(ctx context.Context, a *Action) error) error {
	err := r.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		a := &Action{Tx: tx, Actor: actor, name: name}
		if err := fn(ctx, a); err != nil {
			return err
		}
		if len(a.facts) == 0 && !a.nothing {
			return fmt.Errorf("action: %s changed something without recording it", name)
		}
		return event.AppendAll(ctx, tx, actor, name, a.facts)
	})
	if err == nil && r.wake != nil {
		r.wake()
	}
	return err
}

// Within runs fn as an action inside a transaction under way, for listeners:
// what fn recorded is written with the cursor that moves on. Nothing recorded is
// no error here.
func Within(ctx context.Context, tx *db.Tx, actor authz.Actor, name string, fn func(ctx context.Context, a *Action) error) error {
	a := &Action{Tx: tx, Actor: actor, name: name}
	if err := fn(ctx, a); err != nil {
		return err
	}
	return event.AppendAll(ctx, tx, actor, name, a.facts)
}
