package process

import (
	"slices"
	"strings"
	"time"

	"bihuan/internal/complaint"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Definition is what a process consists of.
type Definition struct {
	Stages []Stage `json:"stages"`
	Moves  []Move  `json:"moves"`
	Start  string  `json:"start"`           // code of the stage a new ticket enters
	Again  string  `json:"again,omitempty"` // of the one a second handling begins with; "" the start
}

// Stage is a part of the way. Its code never changes.
type Stage struct {
	Code       string         `json:"code"`
	Name       string         `json:"name"`
	NameEn     string         `json:"name_en,omitempty"`
	Hint       string         `json:"hint,omitempty"`       // what is to be done here
	Department int64          `json:"department,omitempty"` // 0: whoever has the ticket
	Minutes    int            `json:"minutes,omitempty"`    // time limit; 0 none
	Required   []string       `json:"required,omitempty"`   // see Requirements and Records; "fields.<code>" for the company's own
	States     []ticket.State `json:"states"`               // of Dwellings
	Verbs      []ticket.Verb  `json:"verbs,omitempty"`      // of Narrowable, those allowed
	Final      bool           `json:"final,omitempty"`      // confirmation may be asked for here
}

// Move is a step between stages, as a button.
type Move struct {
	Code   string  `json:"code"`
	From   string  `json:"from"`
	To     string  `json:"to"`
	Name   string  `json:"name"`
	NameEn string  `json:"name_en,omitempty"`
	Who    []Party `json:"who"`
	Reason bool    `json:"reason,omitempty"` // it is asked why
	Free   bool    `json:"free,omitempty"`   // what the stage requires is not asked for: a way back
}

// Party is who may take a step; named process.who.<party>.
type Party string

const (
	Assignee   Party = "assignee"
	Supervisor Party = "supervisor"
	Department Party = "department" // any member of the ticket's department
)

// Parties in the order they are offered.
var Parties = []Party{Assignee, Supervisor, Department}

// Dwellings are the states a stage may lie in. Those behind the answer to the
// customer belong to the final stages by themselves.
var Dwellings = []ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer}

// Narrowable are the verbs a stage may leave out. Asking the customer follows
// from the states, asking for confirmation from being final; what a customer or
// the program does, and what brings a ticket to work, no process forbids.
var Narrowable = []ticket.Verb{ticket.Decline, ticket.Reassign, ticket.RequestHelp, ticket.Cancel}

// Requirements are what a stage may ask for beside the company's own fields: of
// the ticket itself, of what was written in the stage, and files.
var Requirements = []string{"solution", "cause", "corrective", "delay_reason", "class", "category", "record", "reply", "attachment"}

// recordPrefix begins the requirements that are records of a complaint: what ISO
// 10002 wants written down, laid on the stage where it is done. A process of
// complaints is the way, those records are what is left along it.
const recordPrefix = "complaint."

// Records are the requirements only processes of complaints have.
var Records = func() (out []string) {
	for _, s := range complaint.Requirable {
		out = append(out, recordPrefix+string(s))
	}
	return out
}()

// recordOf is the step of a complaint that r asks for; ok is false when it asks
// for something else.
func recordOf(r string) (s complaint.Step, ok bool) {
	code, ok := strings.CutPrefix(r, recordPrefix)
	return complaint.Step(code), ok
}

// Asks returns the stages that ask for the records of a complaint, by step; of
// several the first on the way.
func (d *Definition) Asks() map[complaint.Step]Stage {
	out := map[complaint.Step]Stage{}
	for _, s := range d.Order() {
		for _, r := range s.Required {
			if step, ok := recordOf(r); ok {
				if _, known := out[step]; !known {
					out[step] = s
				}
			}
		}
	}
	return out
}

// In returns the name in l.
func (s Stage) In(l i18n.Lang) string { return field.Words{Zh: s.Name, En: s.NameEn}.In(l) }

// In returns the name in l.
func (m Move) In(l i18n.Lang) string { return field.Words{Zh: m.Name, En: m.NameEn}.In(l) }

// Limit is the time limit; 0 none.
func (s Stage) Limit() time.Duration { return time.Duration(s.Minutes) * time.Minute }

// NewStage is a stage as the form begins: everything is allowed in it.
func NewStage() Stage {
	return Stage{States: slices.Clone(Dwellings), Verbs: slices.Clone(Narrowable)}
}

// Stage returns the stage of that code.
func (d *Definition) Stage(code string) (Stage, bool) {
	for _, s := range d.Stages {
		if s.Code == code {
			return s, true
		}
	}
	return Stage{}, false
}

// Move returns the step of that code.
func (d *Definition) Move(code string) (Move, bool) {
	for _, m := range d.Moves {
		if m.Code == code {
			return m, true
		}
	}
	return Move{}, false
}

// From returns the steps that lead out of a stage, in their order.
func (d *Definition) From(stage string) (out []Move) {
	for _, m := range d.Moves {
		if m.From == stage {
			out = append(out, m)
		}
	}
	return out
}

// Clone returns a copy that shares nothing with d.
func (d Definition) Clone() Definition {
	d.Stages, d.Moves = slices.Clone(d.Stages), slices.Clone(d.Moves)
	for i := range d.Stages {
		s := &d.Stages[i]
		s.Required, s.States, s.Verbs = slices.Clone(s.Required), slices.Clone(s.States), slices.Clone(s.Verbs)
	}
	for i := range d.Moves {
		d.Moves[i].Who = slices.Clone(d.Moves[i].Who)
	}
	return d
}

// Position is where a ticket stands, as far as a process asks.
type Position struct {
	Stage      string
	State      ticket.State
	Department int64
}

// Begin is the position of a ticket that enters the process; open reports
// whether a department still takes tickets.
func (d *Definition) Begin(p Position, open func(int64) bool) Position {
	s, _ := d.Stage(d.Start)
	return d.enter(p, s, open)
}

// Restart is the position after a second handling has begun.
func (d *Definition) Restart(p Position, open func(int64) bool) Position {
	s, ok := d.Stage(d.Again)
	if !ok {
		s, _ = d.Stage(d.Start)
	}
	return d.enter(p, s, open)
}

// enter puts p into s. A ticket whose stage belongs to a department that was
// closed since stays where it is: nobody may be without a place to go.
func (d *Definition) enter(p Position, s Stage, open func(int64) bool) Position {
	if passes(p, s, open) {
		p.Department, p.State = s.Department, ticket.Pending
	}
	p.Stage = s.Code
	return p
}

// passes reports whether entering s gives the ticket to another department.
func passes(p Position, s Stage, open func(int64) bool) bool {
	return s.Department != 0 && s.Department != p.Department && (open == nil || open(s.Department))
}

// Go is the position after step m, or a refusal that says what comes first.
// Whether its requirements are met is asked with Missing.
func (d *Definition) Go(p Position, m Move, open func(int64) bool) (Position, error) {
	to, ok := d.Stage(m.To)
	if m.From != p.Stage || !ok {
		return p, fault.New(fault.Conflict, "process.not_here")
	}
	if !slices.Contains(Dwellings, p.State) {
		return p, fault.New(fault.Conflict, "process.not_now", i18n.Key("ticket.state."+string(p.State)))
	}
	if passes(p, to, open) && p.State == ticket.WaitingCustomer {
		return p, fault.New(fault.Conflict, "process.waiting")
	}
	next := d.enter(p, to, open)
	if !slices.Contains(to.States, next.State) {
		return p, fault.New(fault.Conflict, "process.state_first", i18n.Key("ticket.state."+string(next.State)), to.Name, i18n.Key("ticket.state."+string(to.States[0])))
	}
	return next, nil
}

// chosen are the verbs somebody of ours chooses to use, which the states of a
// stage confine. All others follow from what has been said or done already.
var chosen = []ticket.Verb{ticket.Assign, ticket.Take, ticket.Acknowledge, ticket.Decline, ticket.Ask, ticket.Reassign, ticket.RequestConfirmation}

// Refuses says why verb v is not for a ticket at p, although the table of
// tickets allows it; nil: the process has nothing against it.
func (d *Definition) Refuses(p Position, v ticket.Verb) error {
	s, ok := d.Stage(p.Stage)
	if !ok {
		return nil
	}
	refused := fault.New(fault.Conflict, "process.verb_refused", s.Name, i18n.Key("ticket.verb."+string(v)))
	if v == ticket.RequestConfirmation {
		if !s.Final {
			return fault.New(fault.Conflict, "process.not_final", s.Name)
		}
		return nil
	}
	if slices.Contains(Narrowable, v) && !slices.Contains(s.Verbs, v) {
		return refused
	}
	if to, ok := ticket.Leads(p.State, v); ok && slices.Contains(chosen, v) && slices.Contains(Dwellings, to) && !slices.Contains(s.States, to) {
		return refused
	}
	return nil
}

// Do is the position after verb v: the state by the table of tickets, the stage
// by the process.
func (d *Definition) Do(p Position, v ticket.Verb, open func(int64) bool) (Position, error) {
	to, ok := ticket.Leads(p.State, v)
	if !ok {
		return p, fault.New(fault.Conflict, "ticket.refused", i18n.Key("ticket.state."+string(p.State)), i18n.Key("ticket.verb."+string(v)))
	}
	if err := d.Refuses(p, v); err != nil {
		return p, err
	}
	p.State = to
	if v == ticket.Dispute || v == ticket.Reopen {
		return d.Restart(p, open), nil
	}
	return p, nil
}

// Missing returns what stage asks for and have does not hold, in its order.
func (d *Definition) Missing(stage string, have func(requirement string) bool) (out []string) {
	s, _ := d.Stage(stage)
	for _, r := range s.Required {
		if !have(r) {
			out = append(out, r)
		}
	}
	return out
}

// own is the code of the company's field that r asks for; ok is false when it
// asks for something else.
func own(r string) (code string, ok bool) { return strings.CutPrefix(r, field.Prefix) }

// Order returns the stages from the start on, each before those it leads to, as
// far as there are no circles; those out of reach come last.
func (d *Definition) Order() []Stage {
	g := newGraph(d)
	layer := g.layers()
	out := slices.Clone(d.Stages)
	at := map[string]int{}
	for i, s := range d.Stages {
		at[s.Code] = layer[i]
	}
	slices.SortStableFunc(out, func(a, b Stage) int { return at[a.Code] - at[b.Code] })
	return out
}
