package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/sla"
)

// Staged is a stage of a process as a ticket enters it. What processes are is
// known to a room further up; a ticket knows where in one it stands. The zero
// value takes a ticket out of its process.
type Staged struct {
	Process    int64
	Version    int64 // id of the published version
	Code, Name string
	Department int64         // whose turn it is; 0: whoever has it
	Limit      time.Duration // 0: none
	Policy     string        // name of the process, for the clock
	Step       string        // what leads here: the name of the step, of a process that is left its own
}

// StageInput is what a step to another stage carries: why, and what the stage
// left behind still asked for. Blank texts leave the ticket as it is.
type StageInput struct {
	Version     int64 // of the ticket as the person saw it; 0: not checked
	Reason      string
	Solution    string
	Cause       string
	Corrective  string
	DelayReason string
	Class       string
	CategoryID  int64
	Fields      field.Input
}

// The facts of steps between stages.
const (
	EventStageEntered = "ticket.stage_entered"
	EventStageMoved   = "ticket.stage_moved"
	EventStagePassed  = "ticket.stage_passed" // to another department
	EventProcessLeft  = "ticket.process_left"
)

// ToStage moves a ticket to the stage that decide names, in the action under way.
// decide refuses what may not be; fill writes into the ticket what of in it lets
// through, before it looks whether that suffices.
func (s *Service) ToStage(ctx context.Context, a *action.Action, id int64, in StageInput, decide func(t *Ticket, fill func(StageInput) error) (Staged, error)) (Ticket, error) {
	old, err := s.load(ctx, a, id)
	if err != nil {
		return Ticket{}, err
	}
	if in.Version != 0 && in.Version != old.Version {
		return Ticket{}, changedMeanwhile()
	}
	if !old.State.Open() {
		return Ticket{}, fault.New(fault.Conflict, "ticket.read_only")
	}
	t := old
	var changes []event.Change
	st, err := decide(&t, func(in StageInput) (err error) {
		changes, err = s.fillIn(ctx, a, &t, in)
		return err
	})
	if err != nil {
		return Ticket{}, err
	}
	told, err := s.EnterStage(ctx, a, &t, st, "stage")
	if err != nil {
		return Ticket{}, err
	}
	t.ActivityAt = a.Now
	if err := s.save(ctx, a, old, &t); err != nil {
		return Ticket{}, err
	}
	f := fact(old, t)
	f.Tell, f.Changes = told, changes
	kind := EventStageMoved
	f.Args = []string{old.StageName, t.StageName, st.Step}
	switch {
	case st.Code == "":
		kind = EventProcessLeft
		f.Args = []string{st.Step}
	case old.Stage == "":
		kind = EventStageEntered
		f.Args = []string{t.StageName, st.Step}
	case t.DepartmentID != old.DepartmentID:
		kind = EventStagePassed
		dep, err := s.departmentName(ctx, a, t.DepartmentID)
		if err != nil {
			return Ticket{}, err
		}
		if t.AssigneeName != "" {
			dep += " / " + t.AssigneeName
		}
		f.Args = append(f.Args, dep)
	}
	return t, s.note(ctx, a, kind, t, f, strings.TrimSpace(in.Reason))
}

// fillIn writes what a step brings for the ticket's own and the company's fields.
func (s *Service) fillIn(ctx context.Context, a *action.Action, t *Ticket, in StageInput) (changes []event.Change, err error) {
	e := fault.Invalidf("ticket.invalid")
	keep := func(name string, dst *string, v string) {
		v = strings.TrimSpace(v)
		if len([]rune(v)) > maxDescription {
			e.Field(name, "ticket.too_long", maxDescription)
		}
		if v != "" && v != *dst {
			changes = append(changes, event.Change{Field: name, Old: *dst, New: v})
			*dst = v
		}
	}
	keep("solution", &t.Solution, in.Solution)
	keep("cause", &t.Cause, in.Cause)
	keep("corrective", &t.Corrective, in.Corrective)
	keep("delay_reason", &t.DelayReason, in.DelayReason)
	if in.Class != "" && !slices.Contains(Classes, in.Class) {
		e.Field("class", "ticket.need_choice")
	}
	keep("class", &t.Class, in.Class)
	if in.CategoryID != 0 && in.CategoryID != t.CategoryID {
		if ok, err := exists(ctx, a, "categories", in.CategoryID); err != nil {
			return nil, err
		} else if !ok {
			e.Field("category", "ticket.need_choice")
		}
		changes = append(changes, event.Change{Field: "category", Old: fmt.Sprint(t.CategoryID), New: fmt.Sprint(in.CategoryID)})
		t.CategoryID = in.CategoryID
	}
	if err := e.OrNil(); err != nil || len(in.Fields) == 0 {
		return changes, err
	}
	have, err := s.FieldValues(ctx, a, t.ID)
	if err != nil {
		return nil, err
	}
	values, err := s.checkFields(ctx, a, t.Type, in.Fields, field.Mode{Old: have, Lax: true})
	if err != nil {
		return nil, err
	}
	own, err := s.fields().Set(ctx, a.Tx, field.Ticket, t.ID, values)
	return append(changes, own...), err
}

// EnterStage puts t into a stage: its clock starts, and the ticket goes to the
// stage's department if it is not there, to whom routing gives it. It changes t
// and leaves saving to the caller. told are those to be told of it.
func (s *Service) EnterStage(ctx context.Context, a *action.Action, t *Ticket, st Staged, why string) (told []int64, err error) {
	t.ProcessID, t.ProcessVersion, t.Stage, t.StageName, t.StageAt = st.Process, st.Version, st.Code, st.Name, a.Now
	if st.Code == "" {
		t.StageAt = time.Time{}
	}
	if st.Department != 0 && st.Department != t.DepartmentID {
		if t.State != Pending && t.State != InProgress {
			return nil, fault.New(fault.Conflict, "ticket.stage_busy")
		}
		t.State = Pending
		e := effect{s: s, a: a, t: t, in: Input{DepartmentID: st.Department}}
		if err := e.assign(ctx, why); err != nil {
			return nil, err
		}
		told = e.fact.Tell
	}
	if err := meet(ctx, a, t, why, sla.Stage); err != nil {
		return nil, err
	}
	p, err := sla.Pick(ctx, a, t.Case())
	if err != nil {
		return nil, err
	}
	return told, sla.Arm(ctx, a, t.ID, sla.Stage, t.Round, sla.Promise{Target: st.Limit, Calendar: p.CalendarOf(sla.Stage), Policy: st.Policy}, why)
}

// EnterStages brings tickets that were just imported into st: they stay with their
// department and their person, for somebody works on them already, and nobody is
// alarmed. None of them follows a process yet.
func (s *Service) EnterStages(ctx context.Context, a *action.Action, ts []Ticket, st Staged) error {
	var clocks []sla.Start
	dues := map[time.Time][]int64{} // the zero time: no limit
	for _, t := range ts {
		var due time.Time
		if st.Limit > 0 {
			p, err := sla.Pick(ctx, a, t.Case())
			if err != nil {
				return err
			}
			pr := sla.Promise{Target: st.Limit, Calendar: p.CalendarOf(sla.Stage), Policy: st.Policy}
			if due, err = pr.Due(ctx, a, a.Now); err != nil {
				return err
			}
			clocks = append(clocks, sla.Start{TicketID: t.ID, Kind: sla.Stage, Round: t.Round, Promise: pr, From: a.Now, Due: due, Why: "imported"})
		}
		dues[due] = append(dues[due], t.ID)
	}
	for due, ids := range dues {
		err := db.EachIn(ids, func(in string, args []any) error {
			n := len(args)
			_, err := a.Exec(ctx, fmt.Sprintf(`UPDATE tickets SET process_id = $%d, process_version = $%d, stage = $%d, stage_name = $%d, stage_at = $%d WHERE id IN (%s)`, n+1, n+2, n+3, n+4, n+5, in),
				append(args[:n:n], st.Process, st.Version, st.Code, st.Name, a.NowMicros())...)
			if err != nil || due.IsZero() {
				return err
			}
			_, err = a.Exec(ctx, fmt.Sprintf(`UPDATE tickets SET due_at = $%d, due_clock = $%d, due_total = $%d WHERE (due_at = 0 OR due_at > $%d) AND id IN (%s)`, n+1, n+2, n+3, n+1, in),
				append(args[:n:n], db.Micros(due), string(sla.Stage), int64(st.Limit/time.Second))...)
			return err
		})
		if err != nil {
			return fmt.Errorf("ticket: stages of imported ones: %w", err)
		}
	}
	return sla.ArmMany(ctx, a.Tx, clocks)
}

// stageNoted records that a move, or being registered, has brought the ticket
// into a stage.
func (s *Service) stageNoted(ctx context.Context, a *action.Action, old, t Ticket) error {
	if t.Stage == "" || t.StageAt.Equal(old.StageAt) {
		return nil
	}
	f := fact(t, t)
	f.From, f.Args = "", []string{t.StageName}
	if old.ID != 0 && t.DepartmentID != old.DepartmentID { // who registers one tells of it already
		f.Tell = tell(t.AssigneeID)
		if t.AssigneeID == 0 {
			f.Tell = tell(t.SupervisorID)
		}
	}
	return s.note(ctx, a, EventStageEntered, t, f, "")
}

// Leads returns the state that verb v leads to from s; ok is false for a pair
// that the table does not know.
func Leads(s State, v Verb) (to State, ok bool) {
	m, err := findMove(s, v)
	return m.To, err == nil
}
