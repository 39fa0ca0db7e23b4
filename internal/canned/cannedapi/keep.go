package cannedapi

import (
	"context"
	"slices"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/canned"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

func located(what string, id int64) string {
	return api.Prefix + "/" + what + "/" + strconv.FormatInt(id, 10)
}

func (s *service) place(ctx context.Context, scope, department string) (p canned.Place, err error) {
	p.Scope = canned.Scope(scope)
	p.DepartmentID, err = s.people.DepartmentID(ctx, "department", department)
	return p, err
}

func (s *service) replyView(ctx context.Context, r canned.Reply) Reply {
	return Reply{ID: r.ID, NewReply: NewReply{Title: r.Title, Body: r.Body, Code: r.Code, Folder: r.Folder, Lang: string(r.Lang), Scope: string(r.Place.Scope),
		Department: s.people.Department(ctx, nil, r.Place.DepartmentID), Types: r.Types, CategoryID: r.CategoryID, Version: r.Version}, Files: r.Files, Uses: r.Uses, UsedAt: api.At(ctx, r.UsedAt)}
}

func (s *service) replyInput(ctx context.Context, n NewReply) (in canned.Input, err error) {
	in = canned.Input{Version: n.Version, Title: n.Title, Body: n.Body, Code: n.Code, Folder: n.Folder, Lang: i18n.Lang(n.Lang), Types: n.Types, CategoryID: n.CategoryID}
	in.Place, err = s.place(ctx, n.Scope, n.Department)
	return in, err
}

type replyOutput struct {
	Location string `header:"Location" doc:"Address of a new reply"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Reply
}

func (s *service) replyNow(ctx context.Context, id int64, location, replayed string, err error) (*replyOutput, error) {
	if err != nil {
		return nil, err
	}
	r, err := s.canned.Get(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &replyOutput{location, replayed, s.replyView(ctx, r)}, nil
}

func (s *service) createReply(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewReply]
}) (*replyOutput, error) {
	n := in.Body.Value()
	ci, err := s.replyInput(ctx, n)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.runner, in.Key, "canned.create", n, func(ctx context.Context, a *action.Action) (int64, error) { return s.canned.CreateIn(ctx, a, ci) })
	return s.replyNow(ctx, id, located("canned-replies", id), replayed, err)
}

// ReplyPath names a canned reply.
type ReplyPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the reply" example:"7"`
}

func (s *service) getReply(ctx context.Context, in *struct{ ReplyPath }) (*replyOutput, error) {
	return s.replyNow(ctx, in.ID, "", "", nil)
}

func (s *service) updateReply(ctx context.Context, in *struct {
	ReplyPath
	Body api.JSON[NewReply]
}) (*replyOutput, error) {
	n := in.Body.Value()
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	ci, err := s.replyInput(ctx, n)
	if err == nil {
		err = s.canned.Edit(ctx, api.Actor(ctx), in.ID, ci)
	}
	return s.replyNow(ctx, in.ID, "", "", err)
}

func (s *service) deleteReply(ctx context.Context, in *struct{ ReplyPath }) (*struct{}, error) {
	return nil, s.canned.Delete(ctx, api.Actor(ctx), in.ID)
}

// Filled is a canned reply ready for a ticket.
type Filled struct {
	Text    string   `json:"text" doc:"Sensitive values are masked"`
	Missing []string `json:"missing,omitempty" doc:"Variables without a value: gaps in the text"`
}

// TicketPath names a ticket and a reply or macro for it.
type TicketPath struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261122001"`
	ID     int64  `path:"id" minimum:"1" doc:"Id of the reply or macro" example:"2"`
}

func (s *service) use(ctx context.Context, in *struct{ TicketPath }) (*struct{ Body Filled }, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	r, err := s.canned.Insert(ctx, actor, in.ID, t.ID)
	return &struct{ Body Filled }{Filled{r.Text, r.Missing}}, err
}

func (s *service) macroView(ctx context.Context, m canned.Macro) (v Macro, err error) {
	v = Macro{ID: m.ID, NewMacro: NewMacro{Name: m.Name, Scope: string(m.Place.Scope), Department: s.people.Department(ctx, nil, m.Place.DepartmentID), Active: m.Active, Types: m.Types, States: m.States, Classes: m.Classes, Steps: []Step{}, Version: m.Version}, Uses: m.Uses}
	for _, st := range m.Steps {
		x, err := s.stepView(ctx, st)
		if err != nil {
			return v, err
		}
		v.Steps = append(v.Steps, x)
	}
	return v, nil
}

func (s *service) stepView(ctx context.Context, st canned.Step) (x Step, err error) {
	x = Step{Kind: st.Kind, Text: st.Text, Verb: string(st.Verb), To: st.To, Reason: st.Reason}
	person := func() {
		if p := s.people.Person(ctx, nil, st.ID); p != nil {
			x.Person = p.Login
		}
	}
	switch st.Kind {
	case canned.StepUrgency:
		x.Urgency = st.Value
	case canned.StepPriority:
		x.Priority = st.Value
	case canned.StepClass:
		x.Class = st.Value
	case canned.StepMove:
		x.Code = st.Value
	case canned.StepCategory:
		x.CategoryID = st.ID
	case canned.StepField:
		x.Value = st.Value
		defs, err := s.tickets.FieldDefs(ctx, i18n.ZhCN)
		if err != nil {
			return x, err
		}
		for _, d := range defs {
			if d.ID == st.ID {
				x.Field = d.Code
			}
		}
	case canned.StepTag, canned.StepUntag:
		tags, err := ticket.TagsOf(ctx, s.tickets.DB().Read(), ticket.Tags("").With([]int64{st.ID}, nil))
		if err != nil {
			return x, err
		}
		for _, t := range tags {
			x.Tag = t.Name
		}
	case canned.StepWatch:
		person()
	case canned.StepAssign:
		if st.To == "person" {
			person()
		} else {
			x.Department = s.people.Department(ctx, nil, st.ID)
		}
	default:
		x.Value = st.Value
	}
	return x, nil
}

func (s *service) macroInput(ctx context.Context, n NewMacro) (in canned.MacroInput, err error) {
	in = canned.MacroInput{Version: n.Version, Name: n.Name, Types: n.Types, States: n.States, Classes: n.Classes, Active: n.Active}
	if in.Place, err = s.place(ctx, n.Scope, n.Department); err != nil {
		return in, err
	}
	for i, x := range n.Steps {
		st, err := s.stepInput(ctx, x)
		if err != nil {
			return in, api.Prefixed(err, "steps."+strconv.Itoa(i))
		}
		in.Steps = append(in.Steps, st)
	}
	return in, nil
}

func (s *service) stepInput(ctx context.Context, x Step) (st canned.Step, err error) {
	st = canned.Step{Kind: x.Kind, Text: x.Text, Verb: ticket.Verb(x.Verb), To: x.To, Reason: x.Reason, Value: x.Value}
	switch x.Kind {
	case canned.StepUrgency:
		st.Value = x.Urgency
	case canned.StepPriority:
		st.Value = x.Priority
	case canned.StepClass:
		st.Value = x.Class
	case canned.StepMove:
		st.Value = x.Code
	case canned.StepCategory:
		st.ID = x.CategoryID
	case canned.StepField:
		defs, err := s.tickets.FieldDefs(ctx, i18n.ZhCN)
		if err != nil {
			return st, err
		}
		i := slices.IndexFunc(defs, func(d field.Def) bool { return d.Code == x.Field })
		if i < 0 {
			return st, fault.Invalidf("api.invalid").Field("field", "api.bad_parameter", "field")
		}
		st.ID = defs[i].ID
	case canned.StepTag, canned.StepUntag:
		ids, err := ticket.TagIDs(ctx, s.tickets.DB().Read(), "tag", []string{x.Tag})
		if err != nil {
			return st, err
		}
		st.ID = ids[0]
	case canned.StepWatch:
		st.ID, err = s.people.PersonID(ctx, "person", x.Person)
	case canned.StepAssign:
		if x.To == "person" {
			st.ID, err = s.people.PersonID(ctx, "person", x.Person)
		} else {
			st.ID, err = s.people.DepartmentID(ctx, "department", x.Department)
		}
	}
	return st, err
}

type macroOutput struct {
	Location string `header:"Location" doc:"Address of a new macro"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Macro
}

func (s *service) macroNow(ctx context.Context, id int64, location, replayed string, err error) (*macroOutput, error) {
	if err != nil {
		return nil, err
	}
	m, err := s.canned.Macro(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	v, err := s.macroView(ctx, m)
	return &macroOutput{location, replayed, v}, err
}

func (s *service) createMacro(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewMacro]
}) (*macroOutput, error) {
	n := in.Body.Value()
	mi, err := s.macroInput(ctx, n)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.runner, in.Key, "canned.save_macro", n, func(ctx context.Context, a *action.Action) (int64, error) { return s.canned.SaveMacroIn(ctx, a, 0, mi) })
	return s.macroNow(ctx, id, located("macros", id), replayed, err)
}

// MacroPath names a macro.
type MacroPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the macro" example:"2"`
}

func (s *service) getMacro(ctx context.Context, in *struct{ MacroPath }) (*macroOutput, error) {
	return s.macroNow(ctx, in.ID, "", "", nil)
}

func (s *service) updateMacro(ctx context.Context, in *struct {
	MacroPath
	Body api.JSON[NewMacro]
}) (*macroOutput, error) {
	n := in.Body.Value()
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	mi, err := s.macroInput(ctx, n)
	if err == nil {
		_, err = s.canned.SaveMacro(ctx, api.Actor(ctx), in.ID, mi)
	}
	return s.macroNow(ctx, in.ID, "", "", err)
}

func (s *service) deleteMacro(ctx context.Context, in *struct{ MacroPath }) (*struct{}, error) {
	return nil, s.canned.DeleteMacro(ctx, api.Actor(ctx), in.ID)
}

// Trial is what a macro would do with a ticket.
type Trial struct {
	Steps []TriedStep `json:"steps"`
}

// TriedStep is a step with what would become of it.
type TriedStep struct {
	Step
	Filled  string `json:"filled,omitempty" doc:"Its text, filled for the ticket"`
	Reached bool   `json:"reached" doc:"Whether the steps before it can be done"`
	Problem string `json:"problem,omitempty" doc:"Why it cannot be done now, in the language of the request"`
}

func (s *service) try(ctx context.Context, in *struct{ TicketPath }) (*struct{ Body Trial }, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	_, outcomes, err := s.canned.Try(ctx, actor, in.ID, t.ID)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Trial }{Trial{Steps: []TriedStep{}}}
	for _, o := range outcomes {
		x := TriedStep{Filled: o.Text, Reached: o.Reached}
		if x.Step, err = s.stepView(ctx, o.Step); err != nil {
			return nil, err
		}
		if o.Problem != nil {
			e := web.From(ctx).Explain(o.Problem)
			if x.Problem = e.Message; len(e.Fields) > 0 {
				x.Problem = e.Fields[0].Message
			}
		}
		out.Body.Steps = append(out.Body.Steps, x)
	}
	return out, nil
}
