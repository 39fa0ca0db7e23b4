// Package processapi is the processes' part of the JSON API: what processes there
// are, publishing them, and where a ticket stands in its own.
package processapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
)

type service struct {
	run       *action.Runner
	processes *process.Service
	tickets   *ticket.Service
	customers *customer.Service
	people    orgapi.Directory
}

const (
	tag         = "Processes"
	read        = "processes:read"
	write       = "processes:write"
	ticketRead  = "tickets:read"
	ticketWrite = "tickets:write"
)

func init() {
	org.TokenScope(read, process.Perm)
	org.TokenScope(write, process.Perm)
}

// Routes adds the operations.
func Routes(a *api.API, run *action.Runner, processes *process.Service, tickets *ticket.Service, customers *customer.Service, o *org.Service) {
	s := &service{run, processes, tickets, customers, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-processes", Method: "GET", Path: "/processes", Tag: tag, Perm: process.Perm, Scope: read,
		Summary: "List processes", Description: "All of them, those in force first. Without their stages, see get-process."}, s.list)
	api.Handle(a, api.Op{ID: "get-process", Method: "GET", Path: "/processes/{id}", Tag: tag, Perm: process.Perm, Scope: read, Errors: []int{404},
		Summary: "Get a process", Description: "The draft with what is wrong with it, and the published versions, the newest first. A published version never changes."}, s.get)
	api.Handle(a, api.Op{ID: "create-process", Method: "POST", Path: "/processes", Tag: tag, Perm: process.Perm, Scope: write, Status: 201, Errors: []int{409},
		Example: `{"name":"投诉处理","type":"complaint","draft":{"start":"s1","stages":[{"code":"s1","name":"受理","department":"客服部","limit_minutes":120,"required":["complaint.receive"]},{"code":"s2","name":"答复","final":true}],"steps":[{"code":"m1","from":"s1","to":"s2","name":"转答复","who":["assignee","supervisor"]}]}}`,
		Summary: "Create a process", Description: "With a draft, the draft of another process, or empty. It is in force when it has been published."}, s.create)
	api.Handle(a, api.Op{ID: "replace-process", Method: "PUT", Path: "/processes/{id}", Tag: tag, Perm: process.Perm, Scope: write, Errors: []int{404, 409},
		Example: `{"name":"投诉处理","type":"complaint","version":7}`,
		Summary: "Change a process", Description: "What it is called and for, at once; and its draft, when the body has one, for the next publication. Codes of stages and steps are kept: tickets under way stand in them."}, s.replace)
	api.Handle(a, api.Op{ID: "operate-process", Method: "PUT", Path: "/processes/{id}/operation", Tag: tag, Perm: process.Perm, Scope: write, Errors: []int{404, 409},
		Example: `{"live":false}`,
		Summary: "Put a process in or out of force", Description: "Tickets registered from then on follow its newest version, or none; those under way go on."}, s.operate)
	api.Handle(a, api.Op{ID: "delete-process", Method: "DELETE", Path: "/processes/{id}", Tag: tag, Perm: process.Perm, Scope: write, Status: 204, Errors: []int{404, 409},
		Summary: "Delete a process", Description: "Only one that was never published; others are put out of force."}, s.remove)
	api.Handle(a, api.Op{ID: "publish-process", Method: "POST", Path: "/processes/{id}/publication", Tag: tag, Perm: process.Perm, Scope: write, Errors: []int{404, 409},
		Example: `{"note":"增加主管审核","version":7}`,
		Summary: "Publish a process", Description: "The draft becomes the newest version and is put in force: tickets registered from then on follow it, those under way keep theirs. A draft with problems, or one that says nothing new, is a 409."}, s.publish)
	api.Handle(a, api.Op{ID: "get-ticket-stage", Method: "GET", Path: "/tickets/{number}/stage", Tag: tag, Perm: ticket.PermView, Scope: ticketRead, Errors: []int{404},
		Summary: "Get a ticket's stage", Description: "Where the ticket stands in its process, the way it took, what is missing, and the steps the caller may take. A ticket that follows no process is a 404."}, s.stage)
	api.Handle(a, api.Op{ID: "move-ticket-stage", Method: "POST", Path: "/tickets/{number}/stage/{step}", Tag: tag, Perm: ticket.PermView, Scope: ticketWrite, Errors: []int{404, 409},
		Example: `{"cause":"出厂时标签贴错","reason":"已与仓库核实"}`,
		Summary: "Take a step of a process", Description: "What the body carries is filled in first. What the stage still requires is named in `fields`; a step out of another stage, or one that the ticket's state does not allow, is a 409; one that is somebody else's is a 403. A stage of another department takes the ticket there."}, s.move)
}

// Process is a process as lists show it.
type Process struct {
	ID       int64     `json:"id"`
	Name     string    `json:"name" example:"投诉处理流程"`
	NameEn   string    `json:"name_en,omitempty"`
	Type     string    `json:"type" enum:"consultation,complaint,after_sales,other" doc:"Of the tickets it is for"`
	Class    string    `json:"class,omitempty"`
	Category int64     `json:"category_id,omitempty"`
	Latest   int       `json:"latest" doc:"Number of the newest version; 0: never published"`
	Live     bool      `json:"live" doc:"Whether new tickets follow it"`
	Running  int       `json:"running" doc:"Open tickets that follow any of its versions; of lists only"`
	Version  int64     `json:"version"`
	At       time.Time `json:"updated_at"`
}

// Definition is what a process consists of.
type Definition struct {
	Start  string  `json:"start" doc:"Code of the stage that new tickets enter"`
	Again  string  `json:"again,omitempty" doc:"Code of the one a second handling begins with; absent: the start"`
	Stages []Stage `json:"stages"`
	Steps  []Step  `json:"steps"`
}

// Stage is a stage of a process.
type Stage struct {
	Code       string   `json:"code" example:"s2"`
	Name       string   `json:"name" example:"调查核实"`
	NameEn     string   `json:"name_en,omitempty"`
	Hint       string   `json:"hint,omitempty" doc:"What is to be done here"`
	Department string   `json:"department,omitempty" doc:"Absent: whoever has the ticket"`
	Minutes    int      `json:"limit_minutes,omitempty" doc:"Absent: no limit"`
	Required   []string `json:"required,omitempty" doc:"solution, cause, corrective, delay_reason, class, category, record, reply, attachment, fields.<code>, and in processes of complaints complaint.<step>"`
	States     []string `json:"states"`
	Verbs      []string `json:"verbs" doc:"Of decline, reassign, request_help and cancel, those allowed"`
	Final      bool     `json:"final" doc:"Whether confirmation may be asked for"`
}

// Step leads from one stage to another.
type Step struct {
	Code   string   `json:"code" example:"m3"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Name   string   `json:"name" example:"提交调查结论"`
	NameEn string   `json:"name_en,omitempty"`
	Who    []string `json:"who" doc:"assignee, supervisor, department"`
	Reason bool     `json:"reason" doc:"Whether it asks for a reason"`
	Free   bool     `json:"free" doc:"Whether it is taken without what the stage requires: a way back"`
}

// Problem is something wrong with a draft.
type Problem struct {
	Text  string `json:"text" doc:"In the language of the request"`
	Stage string `json:"stage,omitempty"`
	Step  string `json:"step,omitempty"`
	Fatal bool   `json:"fatal" doc:"Whether it stands in the way of publishing"`
}

// Version is a published definition.
type Version struct {
	Number      int         `json:"number"`
	Note        string      `json:"note,omitempty"`
	PublishedAt time.Time   `json:"published_at"`
	PublishedBy string      `json:"published_by"`
	Running     int         `json:"running" doc:"Open tickets that follow it"`
	Definition  *Definition `json:"definition,omitempty"`
}

// Full is a process with its draft and versions.
type Full struct {
	Process
	Draft    Definition `json:"draft"`
	Problems []Problem  `json:"problems"`
	Versions []Version  `json:"versions"`
}

// List is all processes.
type List struct {
	Items []Process `json:"items"`
}

type (
	listOutput struct{ Body List }
	fullOutput struct {
		ETag     string `header:"ETag"`
		Replayed string `header:"Idempotent-Replayed"`
		Body     Full
	}
	// Path names a process.
	Path struct {
		ID int64 `path:"id" minimum:"1" doc:"Id of the process" example:"3"`
	}
)

func processOf(p process.Process) Process {
	return Process{ID: p.ID, Name: p.Name, NameEn: p.NameEn, Type: p.Type, Class: p.Class, Category: p.CategoryID, Latest: p.Latest, Live: p.Live, Running: p.Running, Version: p.Version, At: p.UpdatedAt}
}

func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, x := range in {
		out[i] = string(x)
	}
	return out
}

func (s *service) stageOf(ctx context.Context, x process.Stage) Stage {
	return Stage{Code: x.Code, Name: x.Name, NameEn: x.NameEn, Hint: x.Hint, Department: s.people.Department(ctx, nil, x.Department), Minutes: x.Minutes, Required: x.Required, States: texts(x.States), Verbs: texts(x.Verbs), Final: x.Final}
}

func stepOf(m process.Move) Step {
	return Step{Code: m.Code, From: m.From, To: m.To, Name: m.Name, NameEn: m.NameEn, Who: texts(m.Who), Reason: m.Reason, Free: m.Free}
}

func (s *service) definition(ctx context.Context, d process.Definition) Definition {
	out := Definition{Start: d.Start, Again: d.Again, Stages: []Stage{}, Steps: []Step{}}
	for _, x := range d.Stages {
		out.Stages = append(out.Stages, s.stageOf(ctx, x))
	}
	for _, m := range d.Moves {
		out.Steps = append(out.Steps, stepOf(m))
	}
	return out
}

func (s *service) list(ctx context.Context, _ *struct{}) (*listOutput, error) {
	ps, err := s.processes.List(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Process, 0, len(ps))}}
	for _, p := range ps {
		out.Body.Items = append(out.Body.Items, processOf(p))
	}
	return out, nil
}

func (s *service) get(ctx context.Context, in *Path) (*fullOutput, error) {
	actor := api.Actor(ctx)
	p, err := s.processes.Get(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	out := &fullOutput{ETag: api.Tag(p.Version), Body: Full{Process: processOf(p), Draft: s.definition(ctx, p.Draft), Problems: []Problem{}, Versions: []Version{}}}
	ps, err := s.processes.Problems(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, x := range ps {
		out.Body.Problems = append(out.Body.Problems, Problem{i18n.T(actor.Lang, x.Key, x.Args...), x.Stage, x.Move, x.Fatal})
	}
	vs, err := s.processes.Versions(ctx, actor, p.ID)
	for _, v := range vs {
		d := s.definition(ctx, v.Definition)
		out.Body.Versions = append(out.Body.Versions, Version{v.Number, v.Note, v.PublishedAt, v.PublishedByName, v.Running, &d})
		out.Body.Running += v.Running
	}
	return out, err
}

// Draft is a definition as it is sent.
type Draft struct {
	Start  string       `json:"start" maxLength:"20" doc:"Code of the stage that new tickets enter"`
	Again  string       `json:"again,omitempty" maxLength:"20" doc:"Code of the one a second handling begins with; left out: the start"`
	Stages []DraftStage `json:"stages"`
	Steps  []DraftStep  `json:"steps,omitempty"`
}

// DraftStage is a stage as it is sent.
type DraftStage struct {
	Code       string   `json:"code" maxLength:"20" doc:"Letters, digits and _; it never changes"`
	Name       string   `json:"name" maxLength:"20"`
	NameEn     string   `json:"name_en,omitempty" maxLength:"40"`
	Hint       string   `json:"hint,omitempty" maxLength:"200" doc:"What is to be done here"`
	Department string   `json:"department,omitempty" doc:"Its name; left out: whoever has the ticket"`
	Minutes    int      `json:"limit_minutes,omitempty" doc:"Left out: no limit"`
	Required   []string `json:"required,omitempty" doc:"solution, cause, corrective, delay_reason, class, category, record, reply, attachment, fields.<code>, and in processes of complaints complaint.<step>"`
	States     []string `json:"states,omitempty" doc:"Of pending, in_progress and waiting_customer; left out: all"`
	Verbs      []string `json:"verbs,omitempty" doc:"Of decline, reassign, request_help and cancel, those allowed; left out: all, empty: none"`
	Final      bool     `json:"final,omitempty" doc:"Whether confirmation may be asked for"`
}

// DraftStep is a step as it is sent.
type DraftStep struct {
	Code   string   `json:"code" maxLength:"20"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Name   string   `json:"name" maxLength:"20"`
	NameEn string   `json:"name_en,omitempty" maxLength:"40"`
	Who    []string `json:"who" doc:"assignee, supervisor, department"`
	Reason bool     `json:"reason,omitempty" doc:"Whether it asks for a reason"`
	Free   bool     `json:"free,omitempty" doc:"Whether it is taken without what the stage requires: a way back"`
}

// Purpose is what a process is called and for.
type Purpose struct {
	Name     string `json:"name" maxLength:"40"`
	NameEn   string `json:"name_en,omitempty" maxLength:"60"`
	Type     string `json:"type" enum:"consultation,complaint,after_sales,other" doc:"Of the tickets it is for"`
	Class    string `json:"class,omitempty"`
	Category int64  `json:"category_id,omitempty"`
	Draft    *Draft `json:"draft,omitempty"`
}

// New is what a process is made of.
type New struct {
	Purpose
	CopyOf int64 `json:"copy_of,omitempty" doc:"Process whose draft it begins with, when none is sent"`
}

// Changed is a process as it is to be.
type Changed struct {
	Purpose
	Version int64 `json:"version,omitempty" doc:"The process's when it was read; left out: whatever it is now"`
}

// draft reads a definition; a stage that says nothing of states and verbs allows
// all, as in the form.
func (s *service) draft(ctx context.Context, in *Draft) (*process.Definition, error) {
	if in == nil {
		return nil, nil
	}
	d := &process.Definition{Start: in.Start, Again: in.Again}
	for i, x := range in.Stages {
		at := "draft.stages." + strconv.Itoa(i)
		st := process.NewStage()
		st.Code, st.Name, st.NameEn, st.Hint, st.Minutes, st.Required, st.Final = x.Code, x.Name, x.NameEn, x.Hint, x.Minutes, x.Required, x.Final
		var err error
		if st.Department, err = s.people.DepartmentID(ctx, at+".department", x.Department); err != nil {
			return nil, err
		}
		if x.States != nil {
			if st.States, err = among(process.Dwellings, x.States, at+".states"); err != nil {
				return nil, err
			}
		}
		if x.Verbs != nil {
			if st.Verbs, err = among(process.Narrowable, x.Verbs, at+".verbs"); err != nil {
				return nil, err
			}
		}
		d.Stages = append(d.Stages, st)
	}
	for i, x := range in.Steps {
		who, err := among(process.Parties, x.Who, "draft.steps."+strconv.Itoa(i)+".who")
		if err != nil {
			return nil, err
		}
		d.Moves = append(d.Moves, process.Move{Code: x.Code, From: x.From, To: x.To, Name: x.Name, NameEn: x.NameEn, Who: who, Reason: x.Reason, Free: x.Free})
	}
	return d, nil
}

// among turns texts into codes, of all there are.
func among[C ~string](all []C, in []string, field string) ([]C, error) {
	out := make([]C, 0, len(in))
	for _, x := range in {
		if !slices.Contains(all, C(x)) {
			return nil, fault.Invalidf("process.invalid").Field(field, "ticket.need_choice")
		}
		out = append(out, C(x))
	}
	return out, nil
}

type createInput struct {
	api.Idempotency
	Body api.JSON[New]
}

func (s *service) create(ctx context.Context, in *createInput) (*fullOutput, error) {
	b := in.Body.Value()
	if err := api.Actor(ctx).Check(process.Perm); err != nil {
		return nil, err
	}
	d, err := s.draft(ctx, b.Draft)
	if err != nil {
		return nil, err
	}
	made, replayed, err := api.Once(ctx, s.run, in.Key, "process.create", b, func(ctx context.Context, a *action.Action) (int64, error) {
		p, err := s.processes.CreateIn(ctx, a, process.Fresh{Name: b.Name, NameEn: b.NameEn, Type: b.Type, Class: b.Class, CategoryID: b.Category, CopyOf: b.CopyOf, Draft: d})
		return p.ID, err
	})
	if err != nil {
		return nil, err
	}
	out, err := s.get(ctx, &Path{made})
	if out != nil {
		out.Replayed = replayed
	}
	return out, err
}

type replaceInput struct {
	Path
	Body api.JSON[Changed]
}

func (s *service) replace(ctx context.Context, in *replaceInput) (*fullOutput, error) {
	b := in.Body.Value()
	d, err := s.draft(ctx, b.Draft)
	if err != nil {
		return nil, err
	}
	if _, err := s.processes.Replace(ctx, api.Actor(ctx), in.ID, b.Version, process.Purpose{Name: b.Name, NameEn: b.NameEn, Type: b.Type, Class: b.Class, CategoryID: b.Category}, d); err != nil {
		return nil, err
	}
	return s.get(ctx, &in.Path)
}

// Operation says whether a process is in force.
type Operation struct {
	Live    bool  `json:"live"`
	Version int64 `json:"version,omitempty" doc:"The process's when it was read; left out: whatever it is now"`
}

type operateInput struct {
	Path
	Body api.JSON[Operation]
}

func (s *service) operate(ctx context.Context, in *operateInput) (*fullOutput, error) {
	b := in.Body.Value()
	if err := s.processes.SetLive(ctx, api.Actor(ctx), in.ID, b.Version, b.Live); err != nil {
		return nil, err
	}
	return s.get(ctx, &in.Path)
}

func (s *service) remove(ctx context.Context, in *Path) (*struct{}, error) {
	return nil, s.processes.Delete(ctx, api.Actor(ctx), in.ID, 0)
}

// Publication puts a draft in force.
type Publication struct {
	Note    string `json:"note,omitempty" maxLength:"500" doc:"What is new in this version"`
	Version int64  `json:"version,omitempty" doc:"The process's when it was read; left out: whatever it is now"`
}

type publishInput struct {
	Path
	Body api.JSON[Publication]
}

func (s *service) publish(ctx context.Context, in *publishInput) (*fullOutput, error) {
	b := in.Body.Value()
	if _, err := s.processes.Publish(ctx, api.Actor(ctx), in.ID, b.Version, b.Note); err != nil {
		return nil, err
	}
	return s.get(ctx, &in.Path)
}

// TicketPath names a ticket.
type TicketPath struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261121001"`
}

// Standing is where a ticket stands in its process.
type Standing struct {
	Process string     `json:"process" doc:"Its name" example:"投诉处理流程"`
	ID      int64      `json:"process_id"`
	Number  int        `json:"process_version" doc:"Number of the version the ticket began with"`
	Stage   Stage      `json:"stage"`
	Since   time.Time  `json:"since"`
	DueAt   *time.Time `json:"due_at,omitempty" doc:"Absent: no limit, or its clock rests"`
	Missing []string   `json:"missing" doc:"What the stage requires and the ticket does not have"`
	Steps   []Offer    `json:"steps" doc:"What the caller may do"`
	Way     []Past     `json:"way" doc:"Oldest first"`
	Version int64      `json:"version" doc:"Of the ticket"`
}

// Offer is a step the caller may take.
type Offer struct {
	Step
	Needs   []string `json:"needs,omitempty" doc:"What is missing for it"`
	Refused string   `json:"refused,omitempty" doc:"Why it cannot be taken as things stand, in the language of the request"`
}

// Past is a stretch the ticket stood in a stage.
type Past struct {
	Stage     string         `json:"stage" doc:"Its code"`
	Name      string         `json:"name"`
	Round     int            `json:"round"`
	EnteredAt time.Time      `json:"entered_at"`
	LeftAt    *time.Time     `json:"left_at,omitempty"`
	EnteredBy *orgapi.Person `json:"entered_by,omitempty"`
}

type standingOutput struct {
	ETag     string `header:"ETag"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     Standing
}

func (s *service) find(ctx context.Context, number string) (ticket.Ticket, error) {
	return s.tickets.ByNumber(ctx, ticket.View(api.Actor(ctx)), number)
}

func (s *service) stage(ctx context.Context, in *TicketPath) (*standingOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return s.standing(ctx, t)
}

func (s *service) standing(ctx context.Context, t ticket.Ticket) (*standingOutput, error) {
	actor := api.Actor(ctx)
	st, ok, err := s.processes.Of(ctx, actor, &t)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "process.none")
	}
	b := Standing{Process: st.Version.Name, ID: st.Version.ProcessID, Number: st.Version.Number, Stage: s.stageOf(ctx, st.Stage), Since: t.StageAt, Missing: []string{}, Steps: []Offer{}, Way: []Past{}, Version: t.Version}
	b.Missing = append(b.Missing, st.Missing...)
	if st.Clock != nil && !st.Clock.DueAt.IsZero() {
		b.DueAt = &st.Clock.DueAt
	}
	for _, o := range st.Offers {
		x := Offer{Step: stepOf(o.Move), Needs: o.Missing}
		if f, ok := fault.As(o.Refusal); ok {
			x.Refused = i18n.T(actor.Lang, f.Key, f.Args...)
		}
		b.Steps = append(b.Steps, x)
	}
	for _, w := range st.Way {
		x, _ := st.Version.Definition.Stage(w.Stage)
		p := Past{Stage: w.Stage, Name: x.Name, Round: w.Round, EnteredAt: w.EnteredAt, EnteredBy: s.people.Person(ctx, nil, w.EnteredBy)}
		if !w.LeftAt.IsZero() {
			p.LeftAt = &w.LeftAt
		}
		b.Way = append(b.Way, p)
	}
	return &standingOutput{ETag: api.Tag(t.Version), Body: b}, nil
}

// Move is what a step carries.
type Move struct {
	Version     int64           `json:"version,omitempty" doc:"Of the ticket when it was read; left out: whatever it is now"`
	Reason      string          `json:"reason,omitempty" maxLength:"1000"`
	Solution    string          `json:"solution,omitempty"`
	Cause       string          `json:"cause,omitempty"`
	Corrective  string          `json:"corrective,omitempty"`
	DelayReason string          `json:"delay_reason,omitempty"`
	Class       string          `json:"class,omitempty"`
	CategoryID  int64           `json:"category_id,omitempty"`
	Fields      fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields, by code"`
}

type moveInput struct {
	TicketPath
	Step string `path:"step" maxLength:"20" doc:"Code of the step" example:"m3"`
	api.Idempotency
	Body *api.JSON[Move] `doc:"May be left out by steps that need nothing"`
}

func (s *service) move(ctx context.Context, in *moveInput) (*standingOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	var m Move
	if in.Body != nil {
		m = in.Body.Value()
	}
	si := ticket.StageInput{Version: m.Version, Reason: m.Reason, Solution: m.Solution, Cause: m.Cause, Corrective: m.Corrective, DelayReason: m.DelayReason, Class: m.Class, CategoryID: m.CategoryID}
	if len(m.Fields) > 0 {
		if si.Fields, err = fieldapi.In(ctx, s.customers.Fields(), field.Ticket, m.Fields, ""); err != nil {
			return nil, err
		}
	}
	moved, replayed, err := api.Once(ctx, s.run, in.Key, "process.move."+strconv.FormatInt(t.ID, 10)+"."+in.Step, m, func(ctx context.Context, a *action.Action) (int64, error) {
		t, err := s.processes.MoveIn(ctx, a, t.ID, in.Step, si)
		return t.ID, err
	})
	if err != nil {
		return nil, err
	}
	// Who has passed it on may not see it any more; what he did is told him all the same.
	if t, err = s.tickets.Get(ctx, authz.For(authz.System(""), ticket.PermView), moved); err != nil {
		return nil, err
	}
	out, err := s.standing(ctx, t)
	if out != nil {
		out.Replayed = replayed
	}
	return out, err
}
