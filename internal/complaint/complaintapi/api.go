// Package complaintapi is the complaints' part of the JSON API.
package complaintapi

import (
	"context"
	"strings"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/complaint"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/ticket"
)

type service struct {
	complaints *complaint.Service
	people     orgapi.Directory
}

const (
	tag   = "Complaints"
	read  = "complaints:read"
	write = "complaints:write"
)

// fieldsDoc lists what each step records.
func fieldsDoc() string {
	var b strings.Builder
	b.WriteString("Steps are taken in the order receive, calm, classify, investigate, propose, resolve, respond, review; what the company does not require may be passed over. `track` is recorded whenever the complainant is told how far it is. " +
		"A step that has been recorded is amended: send the id of the record in force as `amends`, with a `reason`; it is kept. " +
		"Codes of `multi` are parted by commas, instants are RFC 3339, days 2006-01-02; fields with * are required.\n\n| step | field | kind | values |\n|---|---|---|---|\n")
	for _, s := range complaint.Forms {
		for _, f := range complaint.FieldsOf(s) {
			star, what := "", strings.Join(complaint.Codes(f.Set), ", ")
			if f.Required {
				star = "*"
			}
			if f.When != "" {
				what = strings.TrimSpace(what + " (asked when " + f.When + ")")
			}
			b.WriteString("| " + string(s) + " | " + f.Code + star + " | " + f.Kind + " | " + what + " |\n")
		}
	}
	return b.String()
}

// Routes adds the operations on complaints.
func Routes(a *api.API, complaints *complaint.Service, o *org.Service) {
	s := &service{complaints, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-complaints", Method: "GET", Path: "/complaints", Tag: tag, Perm: complaint.PermList, Scope: read,
		Summary: "List complaints", Description: "Those within the caller's data scope: open ones with the highest level first, ended ones that wait for their review, or all, the newest first."}, s.list)
	api.Handle(a, api.Op{ID: "get-complaint", Method: "GET", Path: "/tickets/{number}/complaint", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Get a complaint", Description: "What a complaint has beside its ticket: how far its steps are, its level and every record. A ticket that is no complaint is a 404."}, s.get)
	api.Handle(a, api.Op{ID: "record-complaint-step", Method: "POST", Path: "/tickets/{number}/complaint/records", Tag: tag, Perm: complaint.PermRecord, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"step":"calm","values":{"at":"2026-11-21T09:30:00+08:00","means":"phone","said":"已致歉并说明处理时间","mood":"unhappy"}}`,
		Summary: "Record a step", Description: fieldsDoc()}, s.record)
	api.Handle(a, api.Op{ID: "describe-complaint", Method: "PUT", Path: "/tickets/{number}/complaint/wish", Tag: tag, Perm: complaint.PermRecord, Scope: write, Errors: []int{404, 409},
		Example: `{"mood":"angry","wish":"refund","note":"退还全部货款 1280 元"}`,
		Summary: "Set mood and wish", Description: "The complainant's mood and the remedy he asks for, as they are understood now; what was understood before is kept among the records."}, s.describe)
	api.Handle(a, api.Op{ID: "upgrade-complaint", Method: "POST", Path: "/tickets/{number}/complaint/upgrade", Tag: tag, Perm: complaint.PermRecord, Scope: write, Errors: []int{404, 409},
		Example: `{"reason":"客户要求部门负责人处理"}`,
		Summary: "Escalate a complaint", Description: "To the next level, or the one named. Who is responsible there follows from the departments; he is told. A level never sinks."}, s.upgrade)
}

// Path names the ticket of a complaint.
type Path struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261121001"`
}

// Row is a complaint as lists send it.
type Row struct {
	Number      string         `json:"number" example:"TASK20261121001"`
	Title       string         `json:"title"`
	Customer    string         `json:"customer" doc:"Name"`
	Department  string         `json:"department"`
	Assignee    *orgapi.Person `json:"assignee,omitempty"`
	State       string         `json:"state" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled"`
	Round       int            `json:"round"`
	Step        string         `json:"step" enum:"receive,calm,classify,investigate,propose,resolve,respond,review," doc:"The one due; empty when all are done"`
	Level       int            `json:"level" doc:"1 agent, 2 supervisor, 3 head of department, 4 management"`
	Responsible *orgapi.Person `json:"responsible,omitempty" doc:"At that level"`
	Severity    string         `json:"severity,omitempty" enum:"low,medium,high,critical"`
	Mood        string         `json:"mood,omitempty" enum:"calm,anxious,unhappy,angry,furious"`
	Wish        string         `json:"wish,omitempty" doc:"Code of the remedy asked for" example:"refund"`
	Answer      string         `json:"answer,omitempty" enum:"accepted,rejected,silent"`
	Overdue     bool           `json:"overdue" doc:"Whether some promise was missed"`
	DueAt       *time.Time     `json:"due_at,omitempty" doc:"Nearest deadline"`
	CreatedAt   time.Time      `json:"created_at"`
}

// List is a page of complaints.
type List struct {
	Items []Row  `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type listInput struct {
	View       string `query:"view" enum:"open,review,all" default:"open" doc:"Open ones, ended ones that wait for their review, or all"`
	Step       string `query:"step" enum:"receive,calm,classify,investigate,propose,resolve,respond,review" doc:"The step due"`
	Level      int    `query:"level" minimum:"1" maximum:"4" doc:"Level of escalation: 1 agent, 2 supervisor, 3 head of department, 4 management"`
	Severity   string `query:"severity" enum:"low,medium,high,critical,serious,none" doc:"serious: high or critical; none: not yet classified"`
	Department string `query:"department" doc:"Name" example:"客服部"`
	Overdue    bool   `query:"overdue" doc:"Some promise was missed"`
	api.Page
}

type listOutput struct{ Body List }

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	actor := api.Actor(ctx)
	f := complaint.Filter{View: in.View, Step: complaint.Step(in.Step), Level: in.Level, Severity: in.Severity, Overdue: in.Overdue, After: in.Cursor, Limit: in.Limit}
	var err error
	if f.Department, err = s.people.DepartmentID(ctx, "department", in.Department); err != nil {
		return nil, err
	}
	p, err := s.complaints.List(ctx, actor, ticket.View(actor), f)
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Row, 0, len(p.Rows)), Next: p.Next}}
	for _, x := range p.Rows {
		r := Row{Number: x.Number, Title: x.Title, Customer: x.CustomerName, Department: s.people.Department(ctx, nil, x.Department), Assignee: s.people.Person(ctx, nil, x.AssigneeID), State: string(x.State), Round: x.Round,
			Step: string(x.Step), Level: x.Level, Responsible: s.people.Person(ctx, nil, x.LevelUser), Severity: x.Severity, Mood: x.Mood, Wish: x.Wish, Answer: x.Answer, Overdue: x.Overdue, CreatedAt: x.CreatedAt}
		if !x.DueAt.IsZero() {
			r.DueAt = &x.DueAt
		}
		out.Body.Items = append(out.Body.Items, r)
	}
	return out, nil
}

// Complaint is what a complaint has beside its ticket.
type Complaint struct {
	Number      string         `json:"number" example:"TASK20261121001"`
	Round       int            `json:"round" doc:"Steps from investigate on are taken anew in each"`
	Step        string         `json:"step" doc:"The one due; empty when all are done" example:"investigate"`
	Missing     []string       `json:"missing" doc:"Steps without which the customer is not asked to confirm"`
	Mood        string         `json:"mood,omitempty" enum:"calm,anxious,unhappy,angry,furious"`
	Wish        string         `json:"wish,omitempty" doc:"Code of the remedy asked for" example:"refund"`
	WishNote    string         `json:"wish_note,omitempty"`
	Level       int            `json:"level" doc:"1 agent, 2 supervisor, 3 head of department, 4 management"`
	Responsible *orgapi.Person `json:"responsible,omitempty" doc:"At that level"`
	Severity    string         `json:"severity,omitempty" enum:"low,medium,high,critical"`
	Answer      string         `json:"answer,omitempty" enum:"accepted,rejected,silent"`
	Records     []Record       `json:"records" doc:"Oldest first; none is ever changed"`
}

// Record is what was written down, when and by whom.
type Record struct {
	ID     int64             `json:"id"`
	Step   string            `json:"step" doc:"A step, or track, described (mood and wish), upgraded" example:"calm"`
	Round  int               `json:"round"`
	Values map[string]string `json:"values" doc:"Field -> value"`
	Amends int64             `json:"amends,omitempty" doc:"The record it corrects"`
	Reason string            `json:"reason,omitempty" doc:"Of an amendment, or of an escalation"`
	By     *orgapi.Person    `json:"by,omitempty" doc:"Absent: the customer or the program"`
	At     time.Time         `json:"at"`
}

type output struct{ Body Complaint }

func (s *service) view(ctx context.Context, number string) (*output, error) {
	t, c, err := s.complaints.Get(ctx, ticket.View(api.Actor(ctx)), number)
	if err != nil {
		return nil, err
	}
	st, err := s.complaints.Settings(ctx)
	if err != nil {
		return nil, err
	}
	user := c.LevelUser
	if user == 0 {
		user = t.AssigneeID
	}
	out := &output{Complaint{Number: t.Number, Round: c.Round, Step: string(c.Due()), Missing: []string{}, Mood: c.Mood, Wish: c.Wish, WishNote: c.WishNote, Level: c.Level, Responsible: s.people.Person(ctx, nil, user),
		Severity: c.Severity, Answer: c.Answer, Records: []Record{}}}
	for _, m := range c.Missing(st.Required) {
		out.Body.Missing = append(out.Body.Missing, string(m))
	}
	for _, r := range c.Records {
		x := Record{ID: r.ID, Step: string(r.Step), Round: r.Round, Values: r.Values, Amends: r.Amends, Reason: r.Reason, At: r.At}
		if r.ByKind == "user" {
			x.By = s.people.Person(ctx, nil, r.ByID)
		}
		out.Body.Records = append(out.Body.Records, x)
	}
	return out, nil
}

func (s *service) get(ctx context.Context, in *struct{ Path }) (*output, error) {
	return s.view(ctx, in.Number)
}

// id finds the ticket in the caller's scope.
func (s *service) id(ctx context.Context, number string) (int64, error) {
	t, _, err := s.complaints.Get(ctx, ticket.View(api.Actor(ctx)), number)
	return t.ID, err
}

// Entry is what is recorded of a step.
type Entry struct {
	Step   string            `json:"step" enum:"receive,calm,classify,investigate,propose,resolve,respond,review,track"`
	Values map[string]string `json:"values" doc:"Field -> value, see the table"`
	Amends int64             `json:"amends,omitempty" doc:"The record in force that this one corrects"`
	Reason string            `json:"reason,omitempty" doc:"Why it is corrected"`
}

type recordInput struct {
	Path
	Body api.JSON[Entry]
}

func (s *service) record(ctx context.Context, in *recordInput) (*output, error) {
	id, err := s.id(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	e := in.Body.Value()
	if _, err := s.complaints.Record(ctx, api.Actor(ctx), id, complaint.Entry{Step: complaint.Step(e.Step), Values: e.Values, Amends: e.Amends, Reason: e.Reason}); err != nil {
		return nil, err
	}
	return s.view(ctx, in.Number)
}

// Wish is the complainant's mood and what he asks for.
type Wish struct {
	Mood string `json:"mood,omitempty" enum:"calm,anxious,unhappy,angry,furious"`
	Wish string `json:"wish,omitempty" doc:"Code of the remedy" enum:"refund,replacement,repair,substitute,technical,information,referral,financial,other,compensation,apology,goodwill"`
	Note string `json:"note,omitempty" doc:"In his words"`
}

type describeInput struct {
	Path
	Body api.JSON[Wish]
}

func (s *service) describe(ctx context.Context, in *describeInput) (*output, error) {
	id, err := s.id(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	w := in.Body.Value()
	if _, err := s.complaints.Describe(ctx, api.Actor(ctx), id, complaint.Wish{Mood: w.Mood, Remedy: w.Wish, Note: w.Note}); err != nil {
		return nil, err
	}
	return s.view(ctx, in.Number)
}

// Upgrade is to which level, and why.
type Upgrade struct {
	Level  int    `json:"level,omitempty" doc:"2 supervisor, 3 head of department, 4 management; the next when left out"`
	Reason string `json:"reason"`
}

type upgradeInput struct {
	Path
	Body api.JSON[Upgrade]
}

func (s *service) upgrade(ctx context.Context, in *upgradeInput) (*output, error) {
	id, err := s.id(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	u := in.Body.Value()
	if _, err := s.complaints.Upgrade(ctx, api.Actor(ctx), id, u.Level, u.Reason); err != nil {
		return nil, err
	}
	return s.view(ctx, in.Number)
}
