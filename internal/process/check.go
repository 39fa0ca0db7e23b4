package process

import (
	"slices"
	"strings"

	"bihuan/internal/complaint"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Known is what a definition is checked against: what the company has.
type Known struct {
	Departments map[int64]string    // those that take tickets
	Fields      map[string]string   // labels of its own fields of tickets, by code
	Types       map[string][]string // types a field is confined to, by code; none: all
	Type        string              // of the tickets the process is for
	Records     []complaint.Step    // of every complaint before its customer is asked; of other types none
}

// Problem is something wrong with a definition. Fatal ones stand in the way of
// publishing; the others are pointed out.
type Problem struct {
	Key   string
	Args  []any
	Stage string // code, to lead there
	Move  string
	Fatal bool
}

// Check returns what is wrong with d, the gravest first.
func (d *Definition) Check(k Known) (out []Problem) {
	bad := func(key string, stage, move string, args ...any) {
		out = append(out, Problem{"process.problem." + key, args, stage, move, true})
	}
	warn := func(key string, stage string, args ...any) {
		out = append(out, Problem{"process.problem." + key, args, stage, "", false})
	}
	if len(d.Stages) == 0 {
		bad("empty", "", "")
		return out
	}
	g := newGraph(d)
	if g.start < 0 {
		bad("no_start", "", "")
	}
	var finals []int
	for i, s := range d.Stages {
		if s.Final {
			finals = append(finals, i)
		}
	}
	if len(finals) == 0 {
		bad("no_final", "", "")
	}
	var reached, ends []bool
	if loose := len(d.Stages) > 1 && len(d.Moves) == 0; loose {
		bad("no_moves", "", "") // one thing to do, not two for each stage
	} else if g.start >= 0 {
		reached = g.reach([]int{g.start}, false)
	}
	if len(finals) > 0 && (len(d.Stages) == 1 || len(d.Moves) > 0) {
		ends = g.reach(finals, true)
	}
	for i, s := range d.Stages {
		if reached != nil && !reached[i] {
			bad("unreachable", s.Code, "", s.Name)
		}
		if ends != nil && !ends[i] {
			bad("dead_end", s.Code, "", s.Name)
		}
		d.checkStage(k, s, bad)
		if out := d.From(s.Code); len(s.Required) > 0 && !s.Final && len(out) > 0 && !slices.ContainsFunc(out, func(m Move) bool { return !m.Free }) {
			warn("never_asked", s.Code, s.Name)
		}
	}
	d.checkRecords(k, warn)
	d.checkMoves(bad)
	for _, c := range g.circles() {
		names := make([]string, 0, len(c)+1)
		for _, i := range append(c, c[0]) {
			names = append(names, d.Stages[i].Name)
		}
		warn("circle", d.Stages[c[0]].Code, strings.Join(names, " → "))
	}
	slices.SortStableFunc(out, func(a, b Problem) int {
		switch {
		case a.Fatal == b.Fatal:
			return 0
		case a.Fatal:
			return -1
		}
		return 1
	})
	return out
}

func (d *Definition) checkStage(k Known, s Stage, bad func(key, stage, move string, args ...any)) {
	has := func(st ticket.State) bool { return slices.Contains(s.States, st) }
	if !has(ticket.Pending) && !has(ticket.InProgress) {
		bad("no_state", s.Code, "", s.Name)
	}
	if has(ticket.WaitingCustomer) && !has(ticket.InProgress) {
		bad("waits_only", s.Code, "", s.Name)
	}
	if s.Final && !has(ticket.InProgress) {
		bad("final_state", s.Code, "", s.Name)
	}
	if !has(ticket.Pending) {
		switch {
		case s.Code == d.Start:
			bad("start_state", s.Code, "", s.Name)
		case s.Code == d.Again:
			bad("again_state", s.Code, "", s.Name)
		case s.Department != 0:
			bad("department_state", s.Code, "", s.Name)
		}
	}
	if s.Department != 0 && k.Departments[s.Department] == "" {
		bad("department", s.Code, "", s.Name)
	}
	for _, r := range s.Required {
		code, ok := own(r)
		step, record := recordOf(r)
		switch {
		case record && !slices.Contains(Records, r):
			bad("field", s.Code, "", s.Name, r)
		case record && k.Type != "complaint" && k.Type != "":
			bad("record_type", s.Code, "", s.Name, i18n.Key(step.Words()))
		case record:
		case !ok && !slices.Contains(Requirements, r):
			bad("field", s.Code, "", s.Name, r)
		case ok && k.Fields[code] == "":
			bad("field", s.Code, "", s.Name, code)
		case ok && len(k.Types[code]) > 0 && k.Type != "" && !slices.Contains(k.Types[code], k.Type):
			bad("field_type", s.Code, "", s.Name, k.Fields[code])
		}
	}
}

// checkRecords points out what is required of every complaint and asked for in no
// stage: nobody would be told of it before the end.
func (d *Definition) checkRecords(k Known, warn func(key, stage string, args ...any)) {
	asks := d.Asks()
	if len(k.Records) > 0 && len(asks) == 0 {
		warn("no_records", "")
		return
	}
	for _, r := range k.Records {
		if _, ok := asks[r]; !ok {
			warn("record_nowhere", "", i18n.Key(r.Words()))
		}
	}
}

func (d *Definition) checkMoves(bad func(key, stage, move string, args ...any)) {
	type button struct{ from, name string }
	seen := map[button]bool{}
	for _, m := range d.Moves {
		from, ok1 := d.Stage(m.From)
		to, ok2 := d.Stage(m.To)
		switch {
		case !ok1 || !ok2:
			bad("move_nowhere", m.From, m.Code, m.Name)
			continue
		case m.From == m.To:
			bad("move_self", m.From, m.Code, m.Name, from.Name)
			continue
		case len(m.Who) == 0:
			bad("move_nobody", m.From, m.Code, m.Name, from.Name)
		}
		if b := (button{m.From, m.Name}); seen[b] {
			bad("move_twice", m.From, m.Code, m.Name, from.Name)
		} else {
			seen[b] = true
		}
		// Who passes a ticket on leaves it pending; otherwise the state stays, and
		// both stages have to have one in common.
		passes := to.Department != 0 && from.Department != 0 && to.Department != from.Department
		common := slices.ContainsFunc(from.States, func(s ticket.State) bool { return slices.Contains(to.States, s) })
		if !passes && !common {
			bad("move_states", m.From, m.Code, m.Name, from.Name, to.Name)
		}
	}
}

// Fatal reports whether ps stand in the way of publishing.
func Fatal(ps []Problem) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Fatal })
}
