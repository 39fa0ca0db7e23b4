package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// LinkKinds are the relations people make by hand; how they read from either
// side is ticket.linked.<kind>.<there|back>.
var LinkKinds = []string{"related", "duplicate", "caused_by"}

// Word names how the link reads on the ticket it was asked for.
func (l Link) Word() string {
	if l.Forward {
		return l.Kind + ".there"
	}
	return l.Kind + ".back"
}

// Removable reports whether the link was made by hand, and may go again.
func (l Link) Removable() bool { return slices.Contains(LinkKinds, l.Kind) }

func userOf(a *action.Action) int64 {
	if a.Actor.Kind == authz.User {
		return a.Actor.ID
	}
	return 0
}

// Relate links ticket id to the one with that number, which the actor must see
// as well; both say so.
func (s *Service) Relate(ctx context.Context, actor authz.Actor, id int64, number, kind string) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.relate", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.RelateIn(ctx, a, id, number, kind)
		return err
	})
	return t, err
}

// RelateIn is Relate inside an action under way.
func (s *Service) RelateIn(ctx context.Context, a *action.Action, id int64, number, kind string) (Ticket, error) {
	return s.changeIn(ctx, a, PermNote, "ticket.linked", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		e := fault.Invalidf("ticket.links.invalid")
		if !slices.Contains(LinkKinds, kind) {
			e.Field("kind", "ticket.need_choice")
		}
		other, err := s.otherTicket(ctx, a, old, number, e)
		if err != nil {
			return err
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM ticket_relations WHERE kind = $1 AND (ticket_id = $2 AND other_id = $3 OR ticket_id = $4 AND other_id = $5)`,
			kind, id, other.ID, other.ID, id).Scan(&n); err != nil {
			return fmt.Errorf("ticket: links of %d: %w", id, err)
		}
		if n > 0 {
			return fault.New(fault.Conflict, "ticket.links.already", other.Number, i18n.Key("ticket.link."+kind))
		}
		if err := link(ctx, a, id, other.ID, kind); err != nil {
			return err
		}
		f.Args = []string{other.Number, "@ticket.linked." + kind + ".there"}
		return s.aside(ctx, a, "ticket.linked", other, "", t.Number, "@ticket.linked."+kind+".back")
	})
}

// otherTicket finds the ticket somebody names beside t; what is wrong with the
// number is added to e.
func (s *Service) otherTicket(ctx context.Context, a *action.Action, t Ticket, number string, e *fault.Error) (Ticket, error) {
	number = strings.ToUpper(strings.TrimSpace(number))
	other, err := get(ctx, a, View(a.Actor), "t.number", number, "")
	switch {
	case number == "":
		e.Field("other", "ticket.links.need_other")
	case fault.Is(err, fault.NotFound):
		e.Field("other", "ticket.links.unknown", number)
	case err != nil:
		return other, err
	case other.ID == t.ID:
		e.Field("other", "ticket.links.itself")
	}
	return other, nil
}

// aside records on a ticket what was done from another one: its line and its
// fact, nothing of the ticket itself.
func (s *Service) aside(ctx context.Context, a *action.Action, kind string, t Ticket, reason string, args ...string) error {
	f := fact(t, t)
	f.From, f.Args = "", args
	return s.note(ctx, a, kind, t, f, reason)
}

// Unrelate takes a link made by hand away, whichever of the two made it.
func (s *Service) Unrelate(ctx context.Context, actor authz.Actor, id int64, number, kind string) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.unrelate", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.UnrelateIn(ctx, a, id, number, kind)
		return err
	})
	return t, err
}

// UnrelateIn is Unrelate inside an action under way.
func (s *Service) UnrelateIn(ctx context.Context, a *action.Action, id int64, number, kind string) (Ticket, error) {
	return s.changeIn(ctx, a, PermNote, "ticket.unlinked", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		e := fault.Invalidf("ticket.links.invalid")
		other, err := s.otherTicket(ctx, a, old, number, e)
		if err != nil {
			return err
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if !slices.Contains(LinkKinds, kind) || kind == "duplicate" && (old.DuplicateOf == other.ID || other.DuplicateOf == old.ID) {
			return fault.New(fault.Conflict, "ticket.links.fixed")
		}
		res, err := a.Exec(ctx, `DELETE FROM ticket_relations WHERE kind = $1 AND (ticket_id = $2 AND other_id = $3 OR ticket_id = $4 AND other_id = $5)`, kind, id, other.ID, other.ID, id)
		if err != nil {
			return fmt.Errorf("ticket: unlink %d: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.New(fault.Conflict, "ticket.links.gone")
		}
		f.Args = []string{other.Number, "@ticket.link." + kind}
		return s.aside(ctx, a, "ticket.unlinked", other, "", t.Number, "@ticket.link."+kind)
	})
}
