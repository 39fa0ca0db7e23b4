package process

import (
	"context"
	"maps"
	"slices"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Trial is a walk through a definition with a ticket that is not touched. It
// takes the same decisions as the real run, by the same functions.
type Trial struct {
	d    *Definition
	open func(int64) bool

	Pos   Position
	Have  map[string]bool // requirements that are met
	Steps []Taken
}

// Taken is a step of a trial.
type Taken struct {
	Script string   // "m:<move>", "v:<verb>" or "h:<requirement>"
	Move   Move     // of m
	At     Position // where it led
	Passed bool     // to another department
}

// Try begins a trial of d with a ticket at begin that meets have.
func (d *Definition) Try(begin Position, have map[string]bool, open func(int64) bool) *Trial {
	t := &Trial{d: d, open: open, Pos: d.Begin(begin, open), Have: maps.Clone(have)}
	if t.Have == nil {
		t.Have = map[string]bool{}
	}
	return t
}

// Missing is what the stage still asks for.
func (t *Trial) Missing() []string {
	return t.d.Missing(t.Pos.Stage, func(r string) bool { return t.Have[r] })
}

// Could says what stands in the way of a step, nil nothing.
func (t *Trial) Could(script string) error {
	_, _, err := t.next(script)
	return err
}

func (t *Trial) next(script string) (Position, Move, error) {
	kind, code, _ := strings.Cut(script, ":")
	missing := func() error {
		if ms := t.Missing(); len(ms) > 0 {
			st, _ := t.d.Stage(t.Pos.Stage)
			e := fault.Invalidf("process.missing", st.Name, "")
			for _, r := range ms {
				e.Field(r, "process.fill_in", i18n.Key(requirementKey(r)))
			}
			return e
		}
		return nil
	}
	switch kind {
	case "h":
		return t.Pos, Move{}, nil
	case "m":
		m, ok := t.d.Move(code)
		if !ok {
			return t.Pos, m, fault.New(fault.NotFound, "process.no_move")
		}
		to, err := t.d.Go(t.Pos, m, t.open)
		if err == nil && !m.Free {
			err = missing()
		}
		return to, m, err
	}
	v := ticket.Verb(code)
	to, err := t.d.Do(t.Pos, v, t.open)
	if err == nil && v == ticket.RequestConfirmation {
		err = missing()
	}
	return to, Move{}, err
}

// Step takes a step, or says why it cannot be taken.
func (t *Trial) Step(script string) error {
	to, m, err := t.next(script)
	if err != nil {
		return err
	}
	if code, ok := strings.CutPrefix(script, "h:"); ok {
		t.Have[code] = true
	}
	if to.Stage != t.Pos.Stage { // they count since the stage began
		delete(t.Have, "record")
		delete(t.Have, "reply")
	}
	t.Steps = append(t.Steps, Taken{script, m, to, to.Department != t.Pos.Department})
	t.Pos = to
	return nil
}

// Verbs are the moves of tickets that can be tried here, those that a process
// forbids included.
func (t *Trial) Verbs() (out []ticket.Verb) {
	for _, v := range []ticket.Verb{ticket.Acknowledge, ticket.Ask, ticket.Answer, ticket.Reassign, ticket.RequestHelp, ticket.Decline, ticket.RequestConfirmation, ticket.Confirm, ticket.Dispute, ticket.Withdraw, ticket.Cancel, ticket.Reopen} {
		if _, ok := ticket.Leads(t.Pos.State, v); ok {
			out = append(out, v)
		}
	}
	return out
}

// Moves are the steps out of the stage.
func (t *Trial) Moves() []Move {
	if !slices.Contains(Dwellings, t.Pos.State) {
		return nil
	}
	return t.d.From(t.Pos.Stage)
}

// TrialOf begins a trial of the draft of p: with a made-up ticket, or with the one
// of that number as it was registered and is filled in today.
func (s *Service) TrialOf(ctx context.Context, actor authz.Actor, p Process, number string) (*Trial, ticket.Ticket, error) {
	if err := actor.Check(Perm); err != nil {
		return nil, ticket.Ticket{}, err
	}
	q := s.db().Read()
	t := ticket.Ticket{Type: p.Type, Class: p.Class, CategoryID: p.CategoryID}
	have := map[string]bool{}
	if number = strings.TrimSpace(number); number != "" {
		var err error
		if t, err = s.tickets.ByNumber(ctx, ticket.View(actor), number); err != nil {
			return nil, t, err
		}
		var all []string
		for _, st := range p.Draft.Stages {
			for _, r := range st.Required {
				if r != "record" && r != "reply" {
					all = append(all, r)
				}
			}
		}
		if have, err = s.have(ctx, q, &t, all); err != nil {
			return nil, t, err
		}
	}
	if t.CategoryID != 0 {
		have["category"] = true
	}
	if t.Class != "" {
		have["class"] = true
	}
	// A made-up ticket begins wherever routing leads; which department that is does
	// not matter until a stage names one.
	return p.Draft.Try(Position{State: ticket.Pending, Department: t.DepartmentID}, have, s.open(ctx, q)), t, nil
}
