// Package taskapi is the tasks' part of the JSON API.
package taskapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/task"
)

type service struct {
	tasks  *task.Service
	people orgapi.Directory
}

const (
	tag   = "Tasks"
	read  = "tasks:read"
	write = "tasks:write"
)

// Routes adds the operations on tasks.
func Routes(a *api.API, tasks *task.Service, o *org.Service) {
	s := &service{tasks, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-tasks", Method: "GET", Path: "/tasks", Tag: tag, Perm: task.PermView, Scope: read,
		Summary: "List tasks", Description: "The caller's own (`mine`), those he gave to others (`given`), those of others within his data scope (`team`), or all he sees (`all`). Open ones by when they are due, ended ones the latest due first."}, s.list)
	api.Handle(a, api.Op{ID: "get-task", Method: "GET", Path: "/tasks/{id}", Tag: tag, Perm: task.PermView, Scope: read, Errors: []int{404}, Summary: "Get a task", Description: "One task the caller sees, with what it is about and who has it."}, s.get)
	api.Handle(a, api.Op{ID: "create-task", Method: "POST", Path: "/tasks", Tag: tag, Perm: task.PermUse, Scope: write, Status: 201,
		Example: `{"title":"回访南粤医疗","due_at":"2026-11-23T07:00:00Z","about":"TASK20261122001"}`,
		Summary: "Create a task", Description: "For the caller, or for a colleague (`owner`). The next plan of a follow-up record becomes a task by itself."}, s.create)
	api.Handle(a, api.Op{ID: "change-task", Method: "PATCH", Path: "/tasks/{id}", Tag: tag, Perm: task.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{"due_at":"2026-11-24T07:00:00Z","version":1}`,
		Summary: "Change an open task", Description: "What is left out stays. A task that is no longer at the `version` given is a 409."}, s.change)
	api.Handle(a, api.Op{ID: "complete-task", Method: "POST", Path: "/tasks/{id}/completion", Tag: tag, Perm: task.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{}`, Summary: "Complete a task", Description: "The supervisor's follow-up after a dissatisfied customer is completed by his follow-up record alone: a 409."}, s.complete)
	api.Handle(a, api.Op{ID: "cancel-task", Method: "POST", Path: "/tasks/{id}/cancellation", Tag: tag, Perm: task.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{"reason":"客户已自行解决"}`, Summary: "Cancel a task", Description: "What is no longer to be done, with the reason. A task that has ended is a 409."}, s.cancel)
	api.Handle(a, api.Op{ID: "reopen-task", Method: "POST", Path: "/tasks/{id}/reopening", Tag: tag, Perm: task.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{"reason":"问题再次出现"}`, Summary: "Reopen a task", Description: "A completed or cancelled task is to be done after all, with the reason. One that is open is a 409."}, s.reopen)
}

// Path names a task.
type Path struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the task" example:"12"`
}

// Task is something one person has to do.
type Task struct {
	ID          int64          `json:"id"`
	Title       string         `json:"title" example:"回访南粤医疗"`
	Details     string         `json:"details,omitempty"`
	Owner       *orgapi.Person `json:"owner"`
	DueAt       *time.Time     `json:"due_at,omitempty" doc:"Absent: no date. Of a task that lasts all day its last second"`
	AllDay      bool           `json:"all_day,omitempty"`
	Late        bool           `json:"late,omitempty" doc:"Open, and its time is past"`
	Remind      *int           `json:"remind,omitempty" doc:"Minutes before; absent: no reminder"`
	About       *About         `json:"about,omitempty" doc:"Absent: nothing, or nothing the caller may see"`
	Origin      string         `json:"origin" enum:"hand,plan,dispute,no_record,unconfirmed,visit,rule" doc:"What it was made of"`
	State       string         `json:"state" enum:"open,done,cancelled"`
	Reason      string         `json:"reason,omitempty"`
	CreatedBy   string         `json:"created_by"`
	CreatedAt   time.Time      `json:"created_at"`
	CompletedAt *time.Time     `json:"closed_at,omitempty"`
	Version     int64          `json:"version"`
}

// About is what a task is about.
type About struct {
	Type   string `json:"type" enum:"ticket,customer"`
	Number string `json:"number" example:"TASK20261122001"`
	Title  string `json:"title"`
}

type output struct{ Body Task }

// List is a page of tasks.
type List struct {
	Items []Task `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type listOutput struct{ Body List }

type listInput struct {
	List   string    `query:"list" enum:"mine,given,team,all" default:"mine" doc:"Whose tasks"`
	State  string    `query:"state" enum:"open,done,cancelled" doc:"Only in this state"`
	Late   bool      `query:"late" doc:"Only open ones whose time is past"`
	Origin string    `query:"origin" enum:"hand,plan,dispute,no_record,unconfirmed,visit,rule" doc:"Only of this origin"`
	From   time.Time `query:"from" doc:"Due at or after"`
	To     time.Time `query:"to" doc:"Due before"`
	Text   string    `query:"q" maxLength:"100" doc:"In the title"`
	api.Page
}

func (s *service) views(ctx context.Context, ts []task.Task) ([]Task, error) {
	names, err := s.tasks.Names(ctx, api.Actor(ctx), ts)
	if err != nil {
		return nil, err
	}
	out := make([]Task, 0, len(ts))
	for _, t := range ts {
		x := Task{ID: t.ID, Title: t.Title, Details: t.Details, Owner: s.people.Person(ctx, nil, t.OwnerID), AllDay: t.AllDay, Late: t.Late(s.tasks.Now()), Origin: string(t.Origin), State: string(t.State), Reason: t.Reason,
			CreatedBy: t.CreatedByName, CreatedAt: t.CreatedAt, Version: t.Version}
		if t.CreatedBy == 0 {
			x.CreatedBy = authz.SystemName(api.Actor(ctx).Lang, t.CreatedByName)
		}
		if !t.DueAt.IsZero() {
			x.DueAt = &t.DueAt
		}
		if t.Remind != task.NoReminder {
			x.Remind = &t.Remind
		}
		if !t.ClosedAt.IsZero() {
			x.CompletedAt = &t.ClosedAt
		}
		if n, ok := names[t.Subject]; ok {
			x.About = &About{t.Subject.Type, n.Label, n.Title}
		}
		out = append(out, x)
	}
	return out, nil
}

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	actor := api.Actor(ctx)
	f := task.Filter{State: task.State(in.State), Late: in.Late, Origin: task.Origin(in.Origin), From: in.From, To: in.To, Text: in.Text, After: in.Cursor, Limit: in.Limit}
	switch in.List {
	case "given":
		f.Given = true
	case "team":
		f.Team = true
	case "all":
	default:
		f.OwnerID = actor.ID
	}
	p, err := s.tasks.List(ctx, task.View(actor), f)
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Next: p.Next}}
	out.Body.Items, err = s.views(ctx, p.Tasks)
	return out, err
}

func (s *service) one(ctx context.Context, t task.Task, err error) (*output, error) {
	if err != nil {
		return nil, err
	}
	vs, err := s.views(ctx, []task.Task{t})
	if err != nil {
		return nil, err
	}
	return &output{vs[0]}, nil
}

func (s *service) get(ctx context.Context, in *struct{ Path }) (*output, error) {
	t, err := s.tasks.Get(ctx, task.View(api.Actor(ctx)), in.ID)
	return s.one(ctx, t, err)
}

// New is a task to be created.
type New struct {
	Title   string    `json:"title" maxLength:"200"`
	Details string    `json:"details,omitempty" maxLength:"4000"`
	Owner   int64     `json:"owner,omitempty" doc:"Id of a colleague; left out: the caller"`
	DueAt   time.Time `json:"due_at,omitzero" doc:"Left out: no date"`
	AllDay  bool      `json:"all_day,omitempty" doc:"Any time on the day of due_at"`
	Remind  *int      `json:"remind,omitempty" doc:"Minutes before; left out: no reminder"`
	About   string    `json:"about,omitempty" doc:"Number of a ticket or customer"`
}

type createInput struct {
	Body api.JSON[New]
}

func (s *service) create(ctx context.Context, in *createInput) (*output, error) {
	b := in.Body.Value()
	actor := api.Actor(ctx)
	about, err := s.tasks.Find(ctx, actor, b.About)
	if err != nil {
		if e, ok := fault.As(err); ok {
			for i := range e.Fields {
				e.Fields[i].Field = "about"
			}
		}
		return nil, err
	}
	t, err := s.tasks.Create(ctx, actor, task.New{Title: b.Title, Details: b.Details, OwnerID: b.Owner, DueAt: b.DueAt, AllDay: b.AllDay, Remind: minutes(b.Remind), Subject: about})
	return s.one(ctx, t, err)
}

func minutes(p *int) int {
	if p == nil {
		return task.NoReminder
	}
	return *p
}

// Change is what of a task is changed.
type Change struct {
	Title   *string    `json:"title,omitempty" maxLength:"200"`
	Details *string    `json:"details,omitempty" maxLength:"4000"`
	Owner   int64      `json:"owner,omitempty" doc:"Id of a colleague"`
	DueAt   *time.Time `json:"due_at,omitempty"`
	AllDay  *bool      `json:"all_day,omitempty"`
	Remind  *int       `json:"remind,omitempty" doc:"Minutes before; -1: no reminder"`
	Version int64      `json:"version,omitempty" doc:"The task's when it was read; left out: whatever it is now"`
}

type changeInput struct {
	Path
	Body api.JSON[Change]
}

func (s *service) change(ctx context.Context, in *changeInput) (*output, error) {
	b := in.Body.Value()
	actor := api.Actor(ctx)
	old, err := s.tasks.Get(ctx, task.View(actor), in.ID)
	if err != nil {
		return nil, err
	}
	n := task.New{Title: old.Title, Details: old.Details, OwnerID: b.Owner, DueAt: old.DueAt, AllDay: old.AllDay, Remind: old.Remind}
	if b.Title != nil {
		n.Title = *b.Title
	}
	if b.Details != nil {
		n.Details = *b.Details
	}
	if b.DueAt != nil {
		n.DueAt, n.AllDay = *b.DueAt, false
	}
	if b.AllDay != nil {
		n.AllDay = *b.AllDay
	}
	if b.Remind != nil {
		n.Remind = *b.Remind
	}
	version := b.Version
	if version == 0 {
		version = old.Version
	}
	t, err := s.tasks.Edit(ctx, actor, in.ID, version, n)
	return s.one(ctx, t, err)
}

// Why is a reason.
type Why struct {
	Reason  string `json:"reason,omitempty" maxLength:"500"`
	Version int64  `json:"version,omitempty" doc:"The task's when it was read; left out: whatever it is now"`
}

type whyInput struct {
	Path
	Body api.JSON[Why]
}

func (s *service) complete(ctx context.Context, in *whyInput) (*output, error) {
	t, err := s.tasks.Complete(ctx, api.Actor(ctx), in.ID, in.Body.Value().Version)
	return s.one(ctx, t, err)
}

func (s *service) cancel(ctx context.Context, in *whyInput) (*output, error) {
	b := in.Body.Value()
	t, err := s.tasks.Cancel(ctx, api.Actor(ctx), in.ID, b.Version, b.Reason)
	return s.one(ctx, t, err)
}

func (s *service) reopen(ctx context.Context, in *whyInput) (*output, error) {
	b := in.Body.Value()
	t, err := s.tasks.Reopen(ctx, api.Actor(ctx), in.ID, b.Version, b.Reason)
	return s.one(ctx, t, err)
}
