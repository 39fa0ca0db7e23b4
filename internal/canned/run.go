package canned

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// fits reports whether m is meant for t.
func (m Macro) fits(t ticket.Ticket) bool {
	in := func(codes []string, c string) bool { return len(codes) == 0 || slices.Contains(codes, c) }
	return m.Active && in(m.Types, t.Type) && in(m.States, string(t.State)) && in(m.Classes, t.Class)
}

// Run does all steps of a macro with a ticket in one transaction, each under the
// actor's own rights: all of them, or none.
func (s *Service) Run(ctx context.Context, actor authz.Actor, macroID, ticketID int64) (t ticket.Ticket, err error) {
	r, err := s.prepare(ctx, actor, macroID, ticketID)
	if err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "macro.run", func(ctx context.Context, a *action.Action) error { _, err := r.do(ctx, a); return err })
	if err != nil {
		return t, err
	}
	if t, err = s.tickets.Get(ctx, ticket.View(actor), ticketID); fault.Is(err, fault.NotFound) {
		return r.t, nil // it gave the ticket away
	}
	return t, err
}

// Prepared is Run for an action under way: what it needs to read is read now.
func (s *Service) Prepared(ctx context.Context, actor authz.Actor, macroID, ticketID int64) (func(ctx context.Context, a *action.Action) (ticket.Ticket, error), error) {
	r, err := s.prepare(ctx, actor, macroID, ticketID)
	return func(ctx context.Context, a *action.Action) (ticket.Ticket, error) { return r.all(ctx, a) }, err
}

// Outcome is what a step would do now.
type Outcome struct {
	Step    Step
	Text    string // filled, of a step that has one
	Problem error  // a fault: why it cannot be done now; nil: it can
	Reached bool   // the steps before it can be done
}

// Try says what a macro would do with a ticket now, step by step; nothing of it
// is done.
func (s *Service) Try(ctx context.Context, actor authz.Actor, macroID, ticketID int64) (Macro, []Outcome, error) {
	r, err := s.prepare(ctx, actor, macroID, ticketID)
	if err != nil {
		return Macro{}, nil, err
	}
	out := make([]Outcome, len(r.m.Steps))
	failed := 0
	err = s.tickets.Try(ctx, actor, "macro.try", func(ctx context.Context, a *action.Action) (err error) { failed, err = r.do(ctx, a); return err })
	for i, st := range r.m.Steps {
		out[i] = Outcome{Step: st, Reached: err == nil || i <= failed}
		out[i].Text, _ = Fill(st.Text, r.values)
		if err != nil && i == max(failed, 0) {
			if _, ok := fault.As(err); !ok {
				return r.m, nil, err
			}
			out[i].Problem = err
		}
	}
	return r.m, out, nil
}

// running is a macro about to be run.
type running struct {
	s      *Service
	m      Macro
	t      ticket.Ticket
	values Values
}

func (s *Service) prepare(ctx context.Context, actor authz.Actor, macroID, ticketID int64) (r running, err error) {
	if err := actor.Check(PermUse); err != nil {
		return r, err
	}
	r.s = s
	if r.t, err = s.tickets.Get(ctx, ticket.View(actor), ticketID); err != nil {
		return r, err
	}
	if r.m, err = s.Macro(ctx, actor, macroID); err != nil {
		return r, err
	}
	if r.values, err = s.values(ctx, actor, r.t, i18n.ZhCN); err != nil {
		return r, err
	}
	for _, st := range r.m.Steps {
		if st.Kind == StepAssign && st.To == "me" || st.Kind == StepMove && st.Verb == ticket.Take {
			r.values["assignee"] = actor.Name
		}
	}
	return r, nil
}

// all runs the steps and returns the ticket as it is then.
func (r running) all(ctx context.Context, a *action.Action) (t ticket.Ticket, err error) {
	_, t, err = r.steps(ctx, a)
	return t, err
}

// do runs the steps; on an error it says at which.
func (r running) do(ctx context.Context, a *action.Action) (at int, err error) {
	at, _, err = r.steps(ctx, a)
	return at, err
}

func (r running) steps(ctx context.Context, a *action.Action) (at int, t ticket.Ticket, err error) {
	t, err = r.s.tickets.ActIn(ctx, a, EventMacroRan, r.t.ID, "", func(_ context.Context, d *ticket.Doing) error {
		if !r.m.fits(d.Old) {
			return fault.New(fault.Conflict, "macro.not_for", r.m.Name)
		}
		d.Fact.Args = []string{r.m.Name}
		return nil
	})
	if err != nil {
		return -1, t, err
	}
	if _, err := a.Exec(ctx, `UPDATE macros SET uses = uses + 1, used_at = $1 WHERE id = $2`, a.NowMicros(), r.m.ID); err != nil {
		return -1, t, fmt.Errorf("canned: macro used: %w", err)
	}
	for i, st := range r.m.Steps {
		if t, err = r.step(ctx, a, t, st); err != nil {
			return i, t, err
		}
	}
	return len(r.m.Steps), t, nil
}

func (r running) step(ctx context.Context, a *action.Action, t ticket.Ticket, st Step) (ticket.Ticket, error) {
	text, missing := Fill(st.Text, r.values)
	if len(missing) > 0 {
		return t, fault.Invalidf("macro.missing", strings.Join(missing, i18n.T(i18n.ZhCN, "ticket.list.comma")))
	}
	tk := r.s.tickets
	unless := func(out ticket.Ticket, err error) (ticket.Ticket, error) {
		if fe, ok := fault.As(err); ok && fe.Key == "ticket.nothing_changed" {
			return t, nil // it is so already
		}
		return out, err
	}
	patch := func(p ticket.Patch) (ticket.Ticket, error) { return unless(tk.PatchIn(ctx, a, t.ID, p)) }
	switch st.Kind {
	case StepReply:
		return tk.ReplyIn(ctx, a, t.ID, text, nil)
	case StepNote:
		return tk.NoteIn(ctx, a, t.ID, text, nil, nil)
	case StepUrgency:
		return patch(ticket.Patch{Urgency: &st.Value})
	case StepPriority:
		return patch(ticket.Patch{Priority: &st.Value, PriorityReason: &st.Reason})
	case StepClass:
		return patch(ticket.Patch{Class: &st.Value})
	case StepCategory:
		return patch(ticket.Patch{CategoryID: &st.ID})
	case StepField:
		return patch(ticket.Patch{Fields: field.Input{st.ID: {st.Value}}})
	case StepTag:
		return unless(tk.TagIn(ctx, a, t.ID, []int64{st.ID}, nil))
	case StepUntag:
		return unless(tk.TagIn(ctx, a, t.ID, nil, []int64{st.ID}))
	case StepWatch:
		return t, tk.AddWatcherIn(ctx, a, t.ID, st.ID)
	case StepMove:
		if (st.Verb == ticket.Acknowledge || st.Verb == ticket.Take) && t.State == ticket.InProgress && t.AssigneeID == a.Actor.ID {
			return t, nil // a step before it has done so
		}
		in := ticket.Input{Body: text, Reason: text, Code: st.Value}
		if st.Verb == ticket.RequestConfirmation {
			in.Solution = text
		}
		return tk.DoIn(ctx, a, t.ID, st.Verb, in)
	case StepAssign:
		return r.assign(ctx, a, t, st)
	}
	return t, fault.Invalidf("macro.need_steps")
}

// assign gives the ticket to whom the step says, by the move that leads there.
func (r running) assign(ctx context.Context, a *action.Action, t ticket.Ticket, st Step) (ticket.Ticket, error) {
	in := ticket.Input{Reason: st.Reason}
	if in.Reason == "" {
		in.Reason = i18n.T(i18n.ZhCN, "macro.reason", r.m.Name)
	}
	switch st.To {
	case "me":
		if t.AssigneeID == a.Actor.ID {
			return t, nil
		}
		if t.State == ticket.Pending && t.AssigneeID == 0 {
			return r.s.tickets.DoIn(ctx, a, t.ID, ticket.Take, ticket.Input{})
		}
		in.AssigneeID = a.Actor.ID
	case "person":
		if t.AssigneeID == st.ID {
			return t, nil
		}
		in.AssigneeID = st.ID
	default:
		in.DepartmentID = st.ID
	}
	verb := ticket.Reassign
	if t.State == ticket.Pending {
		verb = ticket.Assign
	}
	return r.s.tickets.DoIn(ctx, a, t.ID, verb, in)
}
