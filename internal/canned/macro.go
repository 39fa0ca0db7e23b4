package canned

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
)

// Macro is several actions under one name. It is offered on tickets of its types,
// states and classes; none named means all.
type Macro struct {
	ID        int64
	Name      string
	Place     Place
	Types     []string
	States    []string
	Classes   []string
	Steps     []Step
	Active    bool
	Uses      int64
	UsedAt    time.Time
	UpdatedAt time.Time
	Version   int64
}

// Kinds of steps; named macro.kind.<kind>.
const (
	StepReply    = "reply"    // Text to the customer
	StepNote     = "note"     // Text for colleagues
	StepUrgency  = "urgency"  // Value
	StepPriority = "priority" // Value, Reason
	StepClass    = "class"    // Value
	StepCategory = "category" // ID
	StepField    = "field"    // ID of the company's own field, Value
	StepAssign   = "assign"   // To me, a person (ID) or a department (ID)
	StepMove     = "move"     // Verb, Text or Reason
	StepWatch    = "watch"    // ID of a person
	StepTag      = "tag"      // ID of a tag to be put on
	StepUntag    = "untag"    // ID of a tag to be taken off
)

// StepKinds in the order they are offered.
var StepKinds = []string{StepReply, StepNote, StepAssign, StepMove, StepUrgency, StepPriority, StepClass, StepCategory, StepField, StepTag, StepUntag, StepWatch}

// Step is one action of a macro; each kind reads what concerns it.
type Step struct {
	Kind   string      `json:"kind"`
	Text   string      `json:"text,omitempty"`
	Value  string      `json:"value,omitempty"`
	Reason string      `json:"reason,omitempty"`
	To     string      `json:"to,omitempty"` // one of AssignTos
	Verb   ticket.Verb `json:"verb,omitempty"`
	ID     int64       `json:"id,omitempty"`
}

// AssignTos are whom a step gives the ticket to.
var AssignTos = []string{"me", "person", "department"}

// MacroVerbs are the moves a macro can make.
var MacroVerbs = []ticket.Verb{ticket.Acknowledge, ticket.Take, ticket.Ask, ticket.Resume, ticket.RequestConfirmation, ticket.Close, ticket.Cancel}

// MaxSteps bounds a macro.
const MaxSteps = 10

// MacroInput is a macro as it is written down.
type MacroInput struct {
	Version int64
	Name    string
	Place   Place
	Types   []string
	States  []string
	Classes []string
	Steps   []Step
	Active  bool
}

func (s *Service) checkMacro(ctx context.Context, a *action.Action, in *MacroInput) (*fault.Error, error) {
	e := fault.Invalidf("canned.invalid")
	in.Name = strings.TrimSpace(in.Name)
	if n := len([]rune(in.Name)); n == 0 || n > maxTitle {
		e.Field("name", "macro.need_name", maxTitle)
	}
	states := make([]string, len(ticket.States))
	for i, st := range ticket.States {
		states[i] = string(st)
	}
	in.Types, in.States, in.Classes = within(in.Types, ticket.Types), within(in.States, states), within(in.Classes, ticket.Classes)
	if len(in.Steps) == 0 {
		e.Field("steps.0.kind", "macro.need_steps")
	} else if len(in.Steps) > MaxSteps {
		e.Field("steps.0.kind", "macro.many_steps", MaxSteps)
	}
	for i := range in.Steps {
		if err := s.checkStep(ctx, a, &in.Steps[i], fmt.Sprintf("steps.%d.", i), e); err != nil {
			return nil, err
		}
	}
	return e, s.settle(ctx, a, &in.Place, e)
}

func (s *Service) checkStep(ctx context.Context, a *action.Action, st *Step, at string, e *fault.Error) error {
	st.Text, st.Reason, st.Value = strings.TrimSpace(st.Text), strings.TrimSpace(st.Reason), strings.TrimSpace(st.Value)
	text := func(needed bool) {
		if st.Text == "" && needed {
			e.Field(at+"text", "canned.need_body")
		} else if len([]rune(st.Text)) > journal.MaxBody {
			e.Field(at+"text", "canned.long", journal.MaxBody)
		} else if fe, ok := fault.As(CheckText(st.Text, at+"text")); ok {
			e.Fields = append(e.Fields, fe.Fields...)
		}
	}
	one := func(field, value string, among []string) {
		if !slices.Contains(among, value) {
			e.Field(at+field, "canned.need_choice")
		}
	}
	person := func() error {
		if p, ok, err := s.org.Person(ctx, a, st.ID); err != nil {
			return err
		} else if !ok || !p.Active {
			e.Field(at+"person", "canned.need_choice")
		}
		return nil
	}
	switch st.Kind {
	case StepReply, StepNote:
		text(true)
		*st = Step{Kind: st.Kind, Text: st.Text}
	case StepUrgency:
		one("urgency", st.Value, ticket.Urgencies)
		*st = Step{Kind: st.Kind, Value: st.Value}
	case StepPriority:
		one("priority", st.Value, ticket.Priorities)
		if st.Reason == "" {
			e.Field(at+"reason", "ticket.need_priority_reason")
		}
		*st = Step{Kind: st.Kind, Value: st.Value, Reason: st.Reason}
	case StepClass:
		one("class", st.Value, ticket.Classes)
		*st = Step{Kind: st.Kind, Value: st.Value}
	case StepCategory:
		cs, err := ticket.Categories(ctx, a)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cs, func(c ticket.Category) bool { return c.ID == st.ID }) {
			e.Field(at+"category", "canned.need_choice")
		}
		*st = Step{Kind: st.Kind, ID: st.ID}
	case StepField:
		defs, err := s.customers.Fields().DefsIn(ctx, a, i18n.ZhCN, field.Ticket)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(defs, func(d field.Def) bool { return d.ID == st.ID }) {
			e.Field(at+"field", "canned.need_choice")
		}
		*st = Step{Kind: st.Kind, ID: st.ID, Value: st.Value}
	case StepAssign:
		one("to", st.To, AssignTos)
		switch st.To {
		case "person":
			if err := person(); err != nil {
				return err
			}
		case "department":
			if s.org.DepartmentName(ctx, st.ID) == "" {
				e.Field(at+"department", "canned.need_department")
			}
		default:
			st.ID = 0
		}
		*st = Step{Kind: st.Kind, To: st.To, ID: st.ID, Reason: st.Reason}
	case StepMove:
		if !slices.Contains(MacroVerbs, st.Verb) {
			e.Field(at+"verb", "canned.need_choice")
		}
		text(slices.Contains([]ticket.Verb{ticket.Ask, ticket.Resume, ticket.RequestConfirmation}, st.Verb))
		if st.Verb == ticket.Cancel {
			if st.Value == "duplicate" { // of which ticket, no macro can know
				st.Value = ""
			}
			one("code", st.Value, ticket.CancelReasons)
		} else {
			st.Value = ""
		}
		*st = Step{Kind: st.Kind, Verb: st.Verb, Text: st.Text, Value: st.Value}
	case StepTag, StepUntag:
		all, err := ticket.TagList(ctx, a)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(t ticket.Tag) bool { return t.ID == st.ID }) {
			e.Field(at+"tag", "canned.need_choice")
		}
		*st = Step{Kind: st.Kind, ID: st.ID}
	case StepWatch:
		if err := person(); err != nil {
			return err
		}
		*st = Step{Kind: st.Kind, ID: st.ID}
	default:
		e.Field(at+"kind", "canned.need_choice")
	}
	return nil
}

const macroColumns = `m.id, m.name, m.scope, m.owner_id, m.department_id, m.types, m.states, m.classes, m.steps, m.active, m.uses, m.used_at, m.updated_at, m.version`

func scanMacro(row interface{ Scan(...any) error }) (m Macro, err error) {
	var types, states, classes, steps string
	var active, used, updated int64
	if err = row.Scan(&m.ID, &m.Name, (*string)(&m.Place.Scope), &m.Place.OwnerID, &m.Place.DepartmentID, &types, &states, &classes, &steps, &active, &m.Uses, &used, &updated, &m.Version); err != nil {
		return m, err
	}
	m.Types, m.States, m.Classes, m.Active, m.UsedAt, m.UpdatedAt = strings.Fields(types), strings.Fields(states), strings.Fields(classes), active == 1, db.FromMicros(used), db.FromMicros(updated)
	return m, json.Unmarshal([]byte(steps), &m.Steps)
}

func (s *Service) macros(ctx context.Context, q db.Querier, actor authz.Actor, cond string, order string, limit int, args *db.Args) ([]Macro, error) {
	seen, err := s.seen(ctx, actor, args, "m")
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT `+macroColumns+` FROM macros m WHERE `+seen+cond+` ORDER BY `+order+` LIMIT `+args.Add(limit), args.Values...)
	if err != nil {
		return nil, fmt.Errorf("canned: macros: %w", err)
	}
	defer rows.Close()
	var out []Macro
	for rows.Next() {
		m, err := scanMacro(rows)
		if err != nil {
			return nil, fmt.Errorf("canned: macros: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// MaxMacros is how many macros a list shows at once; the next page begins behind
// the last name.
const MaxMacros = 100

// Macros returns the macros that actor sees, by name, behind the one named after
// ("" and 0: from the start); more says that there is a further page.
func (s *Service) Macros(ctx context.Context, actor authz.Actor, after string, afterID int64) (out []Macro, more bool, err error) {
	var a db.Args
	cond := ""
	if afterID != 0 {
		cond = " AND (m.name, m.id) > (" + a.Add(after) + ", " + a.Add(afterID) + ")"
	}
	out, err = s.macros(ctx, s.DB().Read(), actor, cond, "m.name, m.id", MaxMacros+1, &a)
	if len(out) > MaxMacros {
		return out[:MaxMacros], true, err
	}
	return out, false, err
}

// Offered returns the macros for t, the most used first.
func (s *Service) Offered(ctx context.Context, actor authz.Actor, t ticket.Ticket) ([]Macro, error) {
	if err := actor.Check(PermUse); err != nil {
		return nil, err
	}
	var a db.Args
	cond := " AND m.active = 1"
	for _, c := range []struct{ column, value string }{{"types", t.Type}, {"states", string(t.State)}, {"classes", t.Class}} {
		cond += " AND (m." + c.column + " = '' OR m." + c.column + " LIKE " + a.Add("% "+likeEscape.Replace(c.value)+" %") + ` ESCAPE '\')`
	}
	return s.macros(ctx, s.DB().Read(), actor, cond, "m.uses DESC, m.name, m.id", MaxMacros, &a)
}

// Macro returns macro id if actor sees it, else NotFound.
func (s *Service) Macro(ctx context.Context, actor authz.Actor, id int64) (Macro, error) {
	return s.macro(ctx, s.DB().Read(), actor, id)
}

func (s *Service) macro(ctx context.Context, q db.Querier, actor authz.Actor, id int64) (Macro, error) {
	var a db.Args
	ms, err := s.macros(ctx, q, actor, " AND m.id = "+a.Add(id), "m.id", 1, &a)
	if err == nil && len(ms) == 0 {
		err = fault.New(fault.NotFound, "macro.not_found")
	}
	if err != nil {
		return Macro{}, err
	}
	return ms[0], nil
}

// SaveMacro adds a macro (id 0) or changes one.
func (s *Service) SaveMacro(ctx context.Context, actor authz.Actor, id int64, in MacroInput) (int64, error) {
	saved := id
	err := s.run.Do(ctx, actor, "canned.save_macro", func(ctx context.Context, a *action.Action) (err error) {
		saved, err = s.SaveMacroIn(ctx, a, id, in)
		return err
	})
	return saved, err
}

// SaveMacroIn is SaveMacro within an action.
func (s *Service) SaveMacroIn(ctx context.Context, a *action.Action, id int64, in MacroInput) (_ int64, err error) {
	if err := a.Actor.Check(PermUse); err != nil {
		return 0, err
	}
	var old Macro
	if id != 0 {
		if old, err = s.macro(ctx, a, a.Actor, id); err != nil {
			return 0, err
		}
		if !MayKeep(a.Actor, old.Place) {
			return 0, authz.Denied(PermManage)
		}
		if in.Version != 0 && in.Version != old.Version {
			return 0, stale()
		}
	}
	bad, err := s.checkMacro(ctx, a, &in)
	if err != nil {
		return 0, err
	}
	if err := bad.OrNil(); err != nil {
		return 0, err
	}
	steps, err := json.Marshal(in.Steps)
	if err != nil {
		return 0, fmt.Errorf("canned: macro: %w", err)
	}
	values := []any{in.Name, strings.ToLower(cnid.Initials(in.Name)), string(in.Place.Scope), in.Place.OwnerID, in.Place.DepartmentID, set(in.Types), set(in.States), set(in.Classes), string(steps), db.Bool(in.Active), a.NowMicros()}
	if id == 0 {
		err = a.QueryRow(ctx, `INSERT INTO macros (name, initials, scope, owner_id, department_id, types, states, classes, steps, active, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
			append(values, a.NowMicros())...).Scan(&id)
		if err == nil {
			a.Record(event.Event{Kind: EventMacroAdded, Subject: event.Subject{Type: "macro", ID: id}, Data: Fact{Args: []string{in.Name}}})
		}
	} else {
		_, err = a.Exec(ctx, `UPDATE macros SET name = $1, initials = $2, scope = $3, owner_id = $4, department_id = $5, types = $6, states = $7, classes = $8, steps = $9, active = $10, updated_at = $11, version = version + 1 WHERE id = $12`,
			append(values, id)...)
		before, _ := json.Marshal(old.Steps)
		var cs []event.Change
		cs = changed(cs, "title", old.Name, in.Name)
		cs = changed(cs, "scope", string(old.Place.Scope), string(in.Place.Scope))
		cs = changed(cs, "types", strings.Join(old.Types, " "), strings.Join(in.Types, " "))
		cs = changed(cs, "states", strings.Join(old.States, " "), strings.Join(in.States, " "))
		cs = changed(cs, "classes", strings.Join(old.Classes, " "), strings.Join(in.Classes, " "))
		cs = changed(cs, "steps", string(before), string(steps))
		cs = changed(cs, "active", fmt.Sprint(old.Active), fmt.Sprint(in.Active))
		a.Record(event.Event{Kind: EventMacroChanged, Subject: event.Subject{Type: "macro", ID: id}, Data: Fact{Args: []string{in.Name}, Changes: cs}})
	}
	if err != nil {
		return 0, fmt.Errorf("canned: save macro: %w", err)
	}
	return id, nil
}

// DeleteMacro removes a macro. What it did stays.
func (s *Service) DeleteMacro(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "canned.delete_macro", func(ctx context.Context, a *action.Action) error {
		m, err := s.macro(ctx, a, actor, id)
		if err != nil {
			return err
		}
		if !MayKeep(actor, m.Place) {
			return authz.Denied(PermManage)
		}
		var name string
		if err := a.QueryRow(ctx, `DELETE FROM macros WHERE id = $1 RETURNING name`, id).Scan(&name); errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "macro.not_found")
		} else if err != nil {
			return fmt.Errorf("canned: delete macro %d: %w", id, err)
		}
		a.Record(event.Event{Kind: EventMacroDeleted, Subject: event.Subject{Type: "macro", ID: id}, Data: Fact{Args: []string{name}}})
		return nil
	})
}
