package ticket

import (
	"context"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// Patch changes some of what describes a ticket; what is nil stays as it is. It
// asks for no version: somebody else's note does not stand in its way. Was says
// what the fields it changes held when they were shown; when one holds something
// else by now it is a Conflict, ticket.field_changed, and nothing is changed.
type Patch struct {
	Title          *string
	Type           *string
	Class          *string
	CategoryID     *int64
	Urgency        *string
	Priority       *string // "": by the matrix
	PriorityReason *string
	Fields         field.Input
	Was            map[string]string
}

// PatchIn is Patch inside an action under way.
func (s *Service) PatchIn(ctx context.Context, a *action.Action, id int64, p Patch) (Ticket, error) {
	return s.changeIn(ctx, a, PermEdit, "ticket.edited", id, s.editing(s.patched(p)))
}

// Patch applies p to ticket id.
func (s *Service) Patch(ctx context.Context, actor authz.Actor, id int64, p Patch) (Ticket, error) {
	return s.change(ctx, actor, PermEdit, "ticket.edit", "ticket.edited", id, s.editing(s.patched(p)))
}

func (s *Service) patched(p Patch) func(ctx context.Context, a *action.Action, old Ticket) (Edit, error) {
	return func(ctx context.Context, a *action.Action, old Ticket) (Edit, error) {
		in := Edit{Title: old.Title, Type: old.Type, Class: old.Class, CategoryID: old.CategoryID, Urgency: old.Urgency, Fields: p.Fields}
		if old.PriorityReason != "" { // somebody's own judgement outlives a change of something else
			in.Priority, in.PriorityReason = old.Priority, old.PriorityReason
		}
		if len(p.Was) > 0 {
			now, err := s.Held(ctx, a, old)
			if err != nil {
				return in, err
			}
			for name, was := range p.Was {
				if now[name] != was {
					return in, fault.New(fault.Conflict, "ticket.field_changed")
				}
			}
		}
		for _, x := range []struct {
			to   *string
			from *string
		}{{&in.Title, p.Title}, {&in.Type, p.Type}, {&in.Class, p.Class}, {&in.Urgency, p.Urgency}, {&in.Priority, p.Priority}, {&in.PriorityReason, p.PriorityReason}} {
			if x.from != nil {
				*x.to = *x.from
			}
		}
		if p.CategoryID != nil {
			in.CategoryID = *p.CategoryID
		}
		if p.Priority != nil && *p.Priority == "" {
			in.PriorityReason = ""
		}
		return in, nil
	}
}

// Held is what the fields hold that a Patch may change, by the names of forms; a
// priority that follows from the matrix is "".
func (s *Service) Held(ctx context.Context, q db.Querier, t Ticket) (map[string]string, error) {
	out := map[string]string{"title": t.Title, "type": t.Type, "class": t.Class, "category": "", "urgency": t.Urgency, "priority": ""}
	if t.CategoryID != 0 {
		out["category"] = strconv.FormatInt(t.CategoryID, 10)
	}
	if t.PriorityReason != "" {
		out["priority"] = t.Priority
	}
	defs, err := s.fields().DefsIn(ctx, q, i18n.ZhCN, field.Ticket)
	if err != nil || len(defs) == 0 {
		return out, err
	}
	have, err := s.FieldValues(ctx, q, t.ID)
	for _, d := range defs {
		out[d.Name()] = have[d.ID].Raw()
	}
	return out, err
}
