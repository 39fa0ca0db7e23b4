// Package approvalapi is the approvals' part of the JSON API.
package approvalapi

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/approval"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
)

type service struct {
	approvals *approval.Service
	people    orgapi.Directory
}

const (
	tag   = "Approvals"
	read  = "approvals:read"
	write = "approvals:write"
)

// Routes adds the operations on approval requests. Requests are made by the
// operations that need one.
func Routes(a *api.API, approvals *approval.Service, o *org.Service) {
	s := &service{approvals, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-approvals", Method: "GET", Path: "/approvals", Tag: tag, Perm: approval.PermUse, Scope: read,
		Summary: "List approval requests", Description: "Those that wait for the caller's decision (`desk`, the longest waiting first), those he made (`mine`) or all within his data scope (`all`), the newest first."}, s.list)
	api.Handle(a, api.Op{ID: "get-approval", Method: "GET", Path: "/approvals/{id}", Tag: tag, Perm: approval.PermUse, Scope: read, Errors: []int{404},
		Summary: "Get an approval request", Description: "With its steps, whom it waits for and everything that happened to it."}, s.get)
	api.Handle(a, api.Op{ID: "decide-approval", Method: "POST", Path: "/approvals/{id}/decision", Tag: tag, Perm: approval.PermUse, Scope: write, Errors: []int{404, 409},
		Example: `{"decision":"approve","comment":"同意","version":3}`,
		Summary: "Decide an approval request", Description: "The step the request is at. Nobody decides a request of his own. What has been decided meanwhile, or is no longer at the `version` that was looked at, is a 409. Refusing needs a `comment`."}, s.decide)
	api.Handle(a, api.Op{ID: "withdraw-approval", Method: "POST", Path: "/approvals/{id}/withdrawal", Tag: tag, Perm: approval.PermUse, Scope: write, Errors: []int{404, 409},
		Example: `{"comment":"已与客户确认，不再需要"}`,
		Summary: "Withdraw an approval request", Description: "Only its requester does."}, s.withdraw)
}

// Path names a request.
type Path struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the request" example:"12"`
}

type listInput struct {
	List  string `query:"list" enum:"desk,mine,all" default:"desk" doc:"Which requests"`
	Kind  string `query:"kind" maxLength:"40" doc:"Only of this kind" example:"level"`
	State string `query:"state" enum:"pending,approved,refused,withdrawn,lapsed" doc:"Only in this state"`
	api.Page
}

// Request is something that somebody else has to agree to.
type Request struct {
	ID          int64          `json:"id"`
	Number      string         `json:"number" example:"SP000012"`
	Kind        string         `json:"kind" example:"level"`
	KindName    string         `json:"kind_name" doc:"In the caller's language" example:"变更客户等级"`
	Title       string         `json:"title"`
	State       string         `json:"state" enum:"pending,approved,refused,withdrawn,lapsed"`
	Reason      string         `json:"reason"`
	SubjectType string         `json:"subject_type" example:"customer"`
	SubjectID   int64          `json:"subject_id"`
	Department  string         `json:"department,omitempty"`
	RequestedBy *orgapi.Person `json:"requested_by"`
	RequestedAt time.Time      `json:"requested_at"`
	Step        int            `json:"step" doc:"Counted from 1"`
	Steps       []Step         `json:"steps"`
	Waiting     []Waiting      `json:"waiting" doc:"Whose turn it is; empty while nobody may decide, and at the end"`
	LapsesAt    time.Time      `json:"lapses_at"`
	DecidedAt   *time.Time     `json:"decided_at,omitempty"`
	MayDecide   bool           `json:"may_decide" doc:"Whether it is the caller's turn; only when a single request is read"`
	Version     int64          `json:"version"`
	Facts       []Fact         `json:"facts,omitempty" doc:"What the request is about; only when a single request is read"`
	History     []Entry        `json:"history,omitempty" doc:"Oldest first; only when a single request is read"`
}

// Step is a station of a request's way.
type Step struct {
	Kind   string         `json:"kind" enum:"head,supervisor,admin,person"`
	Person *orgapi.Person `json:"person,omitempty" doc:"Who was named"`
}

// Waiting is somebody whose turn it is.
type Waiting struct {
	Person  *orgapi.Person `json:"person"`
	Away    bool           `json:"away,omitempty"`
	StandIn *orgapi.Person `json:"stand_in,omitempty" doc:"Who decides for him while he is away"`
}

// Fact is a line of what the request is about.
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Entry is something that happened to a request.
type Entry struct {
	What    string         `json:"what" enum:"asked,arrived,reassigned,stuck,reminded,escalated,approved,refused,withdrawn,lapsed"`
	Step    int            `json:"step" doc:"Counted from 1"`
	At      time.Time      `json:"at"`
	By      *orgapi.Person `json:"by,omitempty" doc:"Absent: the program"`
	For     *orgapi.Person `json:"for,omitempty" doc:"Whom he stood in for"`
	Comment string         `json:"comment,omitempty"`
	Minutes int64          `json:"minutes,omitempty" doc:"How long the step had waited"`
}

// List is a page of requests.
type List struct {
	Items []Request `json:"items"`
	Next  string    `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type listOutput struct{ Body List }

type output struct{ Body Request }

func (s *service) view(ctx context.Context, r approval.Request) Request {
	out := Request{ID: r.ID, Number: r.Number(), Kind: string(r.Kind), KindName: i18n.T(api.Actor(ctx).Lang, r.Kind.Key()), Title: r.Title, State: string(r.State), Reason: r.Reason,
		SubjectType: r.Subject.Type, SubjectID: r.Subject.ID, Department: s.people.Department(ctx, nil, r.DepartmentID), RequestedBy: s.people.Person(ctx, nil, r.RequestedBy), RequestedAt: r.RequestedAt,
		Step: r.Step + 1, Steps: []Step{}, Waiting: []Waiting{}, LapsesAt: r.LapseAt, Version: r.Version}
	for _, st := range r.Rule.Steps {
		out.Steps = append(out.Steps, Step{string(st.Kind), s.people.Person(ctx, nil, st.UserID)})
	}
	for _, w := range r.Waiting {
		out.Waiting = append(out.Waiting, Waiting{s.people.Person(ctx, nil, w.UserID), w.Away, s.people.Person(ctx, nil, w.StandIn)})
	}
	if !r.DecidedAt.IsZero() {
		out.DecidedAt = &r.DecidedAt
	}
	for _, e := range r.History {
		out.History = append(out.History, Entry{What: string(e.What), Step: e.Step + 1, At: e.At, By: s.people.Person(ctx, nil, e.ByID), For: s.people.Person(ctx, nil, e.ForID), Comment: e.Comment, Minutes: int64(e.Took.Minutes())})
	}
	return out
}

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	at, _ := strconv.ParseInt(in.Cursor, 10, 64)
	f := approval.Filter{Kind: approval.Kind(in.Kind), State: approval.State(in.State), Limit: in.Limit, Before: at}
	actor := api.Actor(ctx)
	var page approval.Page
	var err error
	switch in.List {
	case "mine":
		page, err = s.approvals.Mine(ctx, actor, f)
	case "all":
		page, err = s.approvals.All(ctx, approval.View(actor), f)
	default:
		f.Before, f.After = 0, at
		page, err = s.approvals.Desk(ctx, actor, f)
	}
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Request, 0, len(page.Requests))}}
	for _, r := range page.Requests {
		out.Body.Items = append(out.Body.Items, s.view(ctx, r))
	}
	if page.Next != 0 {
		out.Body.Next = strconv.FormatInt(page.Next, 10)
	}
	return out, nil
}

func (s *service) one(ctx context.Context, id int64) (*output, error) {
	actor := api.Actor(ctx)
	r, err := s.approvals.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	out := &output{s.view(ctx, r)}
	_, out.Body.MayDecide = r.MayDecide(actor)
	lines, err := s.approvals.Describe(ctx, r, actor.Lang)
	for _, l := range lines {
		out.Body.Facts = append(out.Body.Facts, Fact{l.Label, l.Value})
	}
	return out, err
}

func (s *service) get(ctx context.Context, in *struct{ Path }) (*output, error) {
	return s.one(ctx, in.ID)
}

// Decision is what somebody says to a request.
type Decision struct {
	Decision string `json:"decision" enum:"approve,refuse"`
	Comment  string `json:"comment,omitempty" doc:"Required when refusing"`
	Version  int64  `json:"version,omitempty" doc:"The request's when it was read; left out: whatever it is now"`
}

type decideInput struct {
	Path
	Body api.JSON[Decision]
}

func (s *service) decide(ctx context.Context, in *decideInput) (*output, error) {
	d := in.Body.Value()
	if d.Decision != "approve" && d.Decision != "refuse" {
		return nil, fault.Invalidf("api.invalid").Field("decision", "approval.decision_unknown")
	}
	if _, err := s.approvals.Decide(ctx, api.Actor(ctx), in.ID, approval.Decision{Approve: d.Decision == "approve", Comment: d.Comment, Version: d.Version}); err != nil {
		return nil, err
	}
	return s.one(ctx, in.ID)
}

// Withdrawal is why a request is no longer wanted.
type Withdrawal struct {
	Comment string `json:"comment,omitempty"`
}

type withdrawInput struct {
	Path
	Body api.JSON[Withdrawal]
}

func (s *service) withdraw(ctx context.Context, in *withdrawInput) (*output, error) {
	if _, err := s.approvals.Withdraw(ctx, api.Actor(ctx), in.ID, in.Body.Value().Comment); err != nil {
		return nil, err
	}
	return s.one(ctx, in.ID)
}
