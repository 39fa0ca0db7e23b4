package ticketapi

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
)

// What several people or tickets share: deferrals, links, splits, conferences.
// Merging and taking a merge back are moves.

func (s *service) togetherRoutes(a *api.API) {
	api.Handle(a, api.Op{ID: "list-deferrals", Method: "GET", Path: "/tickets/{number}/deferrals", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "List the deferrals of a ticket", Description: "Requests for a later resolution deadline and what became of them, oldest first. The deadline promised before stays on record."}, s.deferrals)
	api.Handle(a, api.Op{ID: "ask-for-deferral", Method: "POST", Path: "/tickets/{number}/deferrals", Tag: tag, Perm: ticket.PermHandle, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"due_at":"2026-11-28T18:00:00+08:00","reason":"厂家备件周五到货"}`,
		Summary: "Ask for a deferral", Description: "By the assignee, on or before the present deadline. The supervisor of the ticket's department decides; see the approvals. One request at a time."}, s.deferTicket)
	api.Handle(a, api.Op{ID: "withdraw-deferral", Method: "DELETE", Path: "/tickets/{number}/deferrals/pending", Tag: tag, Perm: ticket.PermHandle, Scope: write, Status: 200, Errors: []int{404, 409},
		Summary: "Withdraw the request for a deferral", Description: "By who made it."}, s.withdrawDeferral)
	api.Handle(a, api.Op{ID: "explain-delay", Method: "GET", Path: "/tickets/{number}/delay", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Why a ticket was late", Description: "Missed promises, pauses, deferrals, changes of hands and the reason somebody gave, in order of time."}, s.delay)
	api.Handle(a, api.Op{ID: "link-tickets", Method: "POST", Path: "/tickets/{number}/links", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"kind":"caused_by","other":"TASK20261120003"}`,
		Summary: "Link two tickets", Description: "Both have to be within the caller's data scope, and both show it."}, s.link)
	api.Handle(a, api.Op{ID: "unlink-tickets", Method: "DELETE", Path: "/tickets/{number}/links/{kind}/{other}", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 200, Errors: []int{404, 409},
		Summary: "Remove a link", Description: "Made by hand, from either side."}, s.unlink)
	api.Handle(a, api.Op{ID: "split-entry", Method: "POST", Path: "/entries/{entry}/split", Tag: tag, Perm: ticket.PermCreate, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"title":"发票抬头开错","type":"consultation"}`,
		Summary: "Make a ticket of a message", Description: "The entry stays on its ticket and names the new one; the two are linked."}, s.split)
	api.Handle(a, api.Op{ID: "list-conferences", Method: "GET", Path: "/tickets/{number}/conferences", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "List the case conferences of a ticket", Description: "The newest first."}, s.conferences)
	api.Handle(a, api.Op{ID: "plan-conference", Method: "POST", Path: "/tickets/{number}/conferences", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"subject":"主板批次问题","starts_at":"2026-11-24T10:00:00+08:00","place":"3 楼会议室","people":["hejunjie"],"needed":true}`,
		Summary: "Plan a case conference", Description: "By the assignee or a supervisor. Participants are told and see the ticket from then on. With `needed`, the customer is not asked to confirm before there are minutes."}, s.planConference)
	api.Handle(a, api.Op{ID: "change-conference", Method: "PUT", Path: "/tickets/{number}/conferences/{id}", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Example: `{"subject":"主板批次问题","starts_at":"2026-11-24T14:00:00+08:00","people":["hejunjie"],"version":1}`,
		Summary: "Change a conference", Description: "Participants are told; who is no longer one no longer sees the ticket for it."}, s.changeConference)
	api.Handle(a, api.Op{ID: "cancel-conference", Method: "POST", Path: "/tickets/{number}/conferences/{id}/cancellation", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Example: `{"reason":"客户已撤回"}`, Summary: "Call a conference off", Description: "A ticket that waited for it no longer does."}, s.cancelConference)
	api.Handle(a, api.Op{ID: "write-minutes", Method: "POST", Path: "/tickets/{number}/conferences/{id}/minutes", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Example: `{"answer":"本周五前免费更换主板","minutes":"批次 A 有缺陷","open_points":"仓库备货"}`,
		Summary: "Write the minutes of a conference", Description: "With the unified answer: what all departments say to the customer."}, s.minutes)
}

// Deferral is a request for a later deadline.
type Deferral struct {
	State       string     `json:"state" enum:"pending,approved,refused,withdrawn,lapsed,settled"`
	Round       int        `json:"round"`
	OldDueAt    *time.Time `json:"old_due_at" doc:"The deadline when it was asked for"`
	NewDueAt    *time.Time `json:"new_due_at" doc:"What was asked for"`
	Reason      string     `json:"reason"`
	RequestedBy string     `json:"requested_by" doc:"Name"`
	RequestedAt *time.Time `json:"requested_at"`
	DecidedBy   string     `json:"decided_by,omitempty" doc:"Name"`
	DecidedAt   *time.Time `json:"decided_at,omitempty"`
	Comment     string     `json:"comment,omitempty"`
	Approval    int64      `json:"approval_id" doc:"See the approvals"`
}

// Deferrals are all of a ticket.
type Deferrals struct {
	FirstDueAt *time.Time `json:"first_due_at,omitempty" doc:"What was promised before the first deferral of this round"`
	Items      []Deferral `json:"items"`
}

type deferralsOutput struct{ Body Deferrals }

func (s *service) deferrals(ctx context.Context, in *Path) (*deferralsOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	ds, err := ticket.Deferrals(ctx, s.tickets.DB().Read(), t.ID)
	if err != nil {
		return nil, err
	}
	out := &deferralsOutput{Deferrals{FirstDueAt: api.At(ctx, t.DeferredFrom), Items: make([]Deferral, 0, len(ds))}}
	for _, d := range ds {
		out.Body.Items = append(out.Body.Items, Deferral{d.State, d.Round, api.At(ctx, d.OldDue), api.At(ctx, d.NewDue), d.Reason, d.Requester, api.At(ctx, d.RequestedAt), d.DecidedBy, api.At(ctx, d.DecidedAt), d.Comment, d.ApprovalID})
	}
	return out, nil
}

// NewDeferral asks for a later deadline.
type NewDeferral struct {
	DueAt   time.Time `json:"due_at" doc:"The new deadline" example:"2026-11-28T18:00:00+08:00"`
	Reason  string    `json:"reason" doc:"Why" example:"厂家备件周五到货"`
	Version int64     `json:"version,omitempty" doc:"Refuse if the ticket has another version"`
}

type deferInput struct {
	Path
	api.Idempotency
	Body api.JSON[NewDeferral]
}

func (s *service) deferTicket(ctx context.Context, in *deferInput) (*output, error) {
	n := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.defer", n, func(ctx context.Context, a *action.Action, id int64) (ticket.Ticket, error) {
		return s.tickets.DeferIn(ctx, a, id, ticket.DeferralInput{Version: n.Version, Due: n.DueAt, Reason: n.Reason})
	})
}

func (s *service) answer(ctx context.Context, t ticket.Ticket, err error) (*output, error) {
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx, s.tickets.DB().Read(), t)
	if err != nil {
		return nil, err
	}
	return &output{ETag: api.Tag(v.Version), Body: v}, nil
}

func (s *service) withdrawDeferral(ctx context.Context, in *Path) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	t, err = s.tickets.WithdrawDeferral(ctx, api.Actor(ctx), t.ID)
	return s.answer(ctx, t, err)
}

// Cause is a part of the answer to why a ticket was late.
type Cause struct {
	Kind    string     `json:"kind" enum:"missed,pause,deferred,deferral_refused,handed,second,delay"`
	At      *time.Time `json:"at,omitempty"`
	Until   *time.Time `json:"until,omitempty" doc:"pause: when it ended"`
	Seconds int64      `json:"seconds,omitempty" doc:"missed: by how much; pause: how long"`
	Clock   string     `json:"clock,omitempty" doc:"missed: which deadline"`
	Who     string     `json:"who,omitempty" doc:"Name"`
	Text    string     `json:"text,omitempty" doc:"Somebody's words; of a pause, its reason"`
	OldDue  *time.Time `json:"old_due_at,omitempty" doc:"deferred: the deadline before"`
	NewDue  *time.Time `json:"new_due_at,omitempty" doc:"deferred: the deadline after"`
}

// Causes are all of them.
type Causes struct {
	Items []Cause `json:"items"`
}

type causesOutput struct{ Body Causes }

func (s *service) delay(ctx context.Context, in *Path) (*causesOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	cs, err := ticket.Why(ctx, s.tickets.DB().Read(), t, s.tickets.DB().Clock().Now())
	if err != nil {
		return nil, err
	}
	out := &causesOutput{Causes{Items: make([]Cause, 0, len(cs))}}
	for _, c := range cs {
		out.Body.Items = append(out.Body.Items, Cause{c.Kind, api.At(ctx, c.At), api.At(ctx, c.Until), int64(c.Took / time.Second), string(c.Clock), c.Who, c.Text, api.At(ctx, c.Old), api.At(ctx, c.New)})
	}
	return out, nil
}

// NewLink links two tickets.
type NewLink struct {
	Kind  string `json:"kind" enum:"related,duplicate,caused_by" doc:"How this ticket is related to the other one"`
	Other string `json:"other" doc:"Number of the other ticket" example:"TASK20261120003"`
}

type linkInput struct {
	Path
	api.Idempotency
	Body api.JSON[NewLink]
}

func (s *service) link(ctx context.Context, in *linkInput) (*output, error) {
	n := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.relate", n, func(ctx context.Context, a *action.Action, id int64) (ticket.Ticket, error) {
		return s.tickets.RelateIn(ctx, a, id, n.Other, n.Kind)
	})
}

type unlinkInput struct {
	Path
	Kind  string `path:"kind" enum:"related,duplicate,caused_by"`
	Other string `path:"other" maxLength:"60" doc:"Number of the other ticket"`
}

func (s *service) unlink(ctx context.Context, in *unlinkInput) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	t, err = s.tickets.Unrelate(ctx, api.Actor(ctx), t.ID, in.Other, in.Kind)
	return s.answer(ctx, t, err)
}

// NewSplit is the ticket that is made of a message.
type NewSplit struct {
	Title       string  `json:"title" doc:"At most 200 characters" example:"发票抬头开错"`
	Description string  `json:"description,omitempty" doc:"The message itself when left out"`
	Type        string  `json:"type,omitempty" enum:"consultation,complaint,after_sales,other" doc:"That of the ticket when left out"`
	Class       string  `json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID  int64   `json:"category_id,omitempty"`
	Urgency     string  `json:"urgency,omitempty" enum:"urgent,normal,low" doc:"That of the ticket when left out"`
	Department  string  `json:"department,omitempty" doc:"Name; by the routing rules when left out"`
	Assignee    string  `json:"assignee,omitempty" doc:"Login; by the routing rules when left out"`
	Files       []int64 `json:"files,omitempty" doc:"Files of the message that go with it"`
}

type splitInput struct {
	Entry int64 `path:"entry" doc:"id of the entry in the timeline"`
	api.Idempotency
	Body api.JSON[NewSplit]
}

func (s *service) split(ctx context.Context, in *splitInput) (*createOutput, error) {
	n, actor := in.Body.Value(), api.Actor(ctx)
	if err := actor.Check(ticket.PermCreate); err != nil {
		return nil, err
	}
	e, t, err := s.tickets.Splitting(ctx, ticket.View(actor), in.Entry)
	if err != nil {
		return nil, err
	}
	si := ticket.SplitInput{Title: n.Title, Description: n.Description, Type: n.Type, Class: n.Class, CategoryID: n.CategoryID, Urgency: n.Urgency, Files: n.Files}
	if si.Description == "" {
		si.Description = e.Body
	}
	if si.Type == "" {
		si.Type = t.Type
	}
	if si.Urgency == "" {
		si.Urgency = t.Urgency
	}
	if si.DepartmentID, err = s.people.DepartmentID(ctx, "department", n.Department); err != nil {
		return nil, err
	}
	if si.AssigneeID, err = s.people.PersonID(ctx, "assignee", n.Assignee); err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.split/"+strconv.FormatInt(in.Entry, 10), n, func(ctx context.Context, a *action.Action) (Ticket, error) {
		made, err := s.tickets.SplitIn(ctx, a, in.Entry, si)
		if err != nil {
			return Ticket{}, err
		}
		return s.view(ctx, a, made)
	})
	if err != nil {
		return nil, err
	}
	return &createOutput{api.Prefix + "/tickets/" + v.Number, api.Tag(v.Version), replayed, v}, nil
}

// Conference is a case conference.
type Conference struct {
	ID         int64      `json:"id"`
	State      string     `json:"state" enum:"planned,held,cancelled"`
	Subject    string     `json:"subject"`
	StartsAt   *time.Time `json:"starts_at"`
	Place      string     `json:"place,omitempty" doc:"A room, or the address of a call"`
	People     []string   `json:"people" doc:"Names of the participants"`
	Answer     string     `json:"answer,omitempty" doc:"The unified answer"`
	Minutes    string     `json:"minutes,omitempty"`
	OpenPoints string     `json:"open_points,omitempty"`
	PlannedBy  string     `json:"planned_by" doc:"Name"`
	EndedBy    string     `json:"ended_by,omitempty" doc:"Name of who wrote the minutes or called it off"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Version    int64      `json:"version" doc:"Send it back with a change"`
}

// Conferences are all of a ticket.
type Conferences struct {
	Needed bool         `json:"needed" doc:"The customer is not asked to confirm before there are minutes"`
	Items  []Conference `json:"items"`
}

type conferencesOutput struct{ Body Conferences }

func (s *service) conferences(ctx context.Context, in *Path) (*conferencesOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	q := s.tickets.DB().Read()
	ms, err := ticket.Conferences(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	out := &conferencesOutput{Conferences{Needed: t.Conference == ticket.ConferenceNeeded, Items: make([]Conference, 0, len(ms))}}
	for _, m := range ms {
		c := Conference{ID: m.ID, State: m.State, Subject: m.Subject, StartsAt: api.At(ctx, m.StartsAt), Place: m.Place, People: []string{}, Answer: m.Answer, Minutes: m.Minutes, OpenPoints: m.OpenPoints,
			PlannedBy: m.Planner, EndedBy: m.EndedBy, EndedAt: api.At(ctx, m.EndedAt), Version: m.Version}
		for _, u := range m.People {
			if p := s.people.Person(ctx, q, u); p != nil {
				c.People = append(c.People, p.Name)
			}
		}
		out.Body.Items = append(out.Body.Items, c)
	}
	return out, nil
}

// NewConference plans or changes one.
type NewConference struct {
	Subject  string    `json:"subject" doc:"At most 200 characters"`
	StartsAt time.Time `json:"starts_at"`
	Place    string    `json:"place,omitempty" doc:"A room, or the address of a call"`
	People   []string  `json:"people" doc:"Logins of the participants, the caller apart"`
	Needed   bool      `json:"needed,omitempty" doc:"The customer is not asked to confirm before there are minutes"`
	Version  int64     `json:"version,omitempty" doc:"change: refuse if the conference has another version"`
}

func (s *service) meetingInput(ctx context.Context, n NewConference) (in ticket.MeetingInput, err error) {
	in = ticket.MeetingInput{Subject: n.Subject, StartsAt: n.StartsAt, Place: n.Place, Needed: n.Needed}
	for _, login := range n.People {
		u, err := s.people.PersonID(ctx, "people", login)
		if err != nil {
			return in, err
		}
		in.People = append(in.People, u)
	}
	return in, nil
}

type conferenceInput struct {
	Path
	Body api.JSON[NewConference]
}

func (s *service) planConference(ctx context.Context, in *conferenceInput) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	mi, err := s.meetingInput(ctx, in.Body.Value())
	if err != nil {
		return nil, err
	}
	t, err = s.tickets.PlanConference(ctx, api.Actor(ctx), t.ID, mi)
	return s.answer(ctx, t, err)
}

type changeConferenceInput struct {
	Path
	ID   int64 `path:"id" doc:"id of the conference"`
	Body api.JSON[NewConference]
}

func (s *service) changeConference(ctx context.Context, in *changeConferenceInput) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	n := in.Body.Value()
	mi, err := s.meetingInput(ctx, n)
	if err != nil {
		return nil, err
	}
	t, err = s.tickets.MoveConference(ctx, api.Actor(ctx), t.ID, in.ID, n.Version, mi)
	return s.answer(ctx, t, err)
}

// Reason says why.
type Reason struct {
	Reason string `json:"reason"`
}

type cancelConferenceInput struct {
	Path
	ID   int64 `path:"id" doc:"id of the conference"`
	Body api.JSON[Reason]
}

func (s *service) cancelConference(ctx context.Context, in *cancelConferenceInput) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	t, err = s.tickets.CancelConference(ctx, api.Actor(ctx), t.ID, in.ID, in.Body.Value().Reason)
	return s.answer(ctx, t, err)
}

// Minutes are what a conference came to.
type Minutes struct {
	Answer     string `json:"answer" doc:"What all departments say to the customer"`
	Minutes    string `json:"minutes,omitempty"`
	OpenPoints string `json:"open_points,omitempty"`
	Version    int64  `json:"version,omitempty" doc:"Refuse if the conference has another version"`
}

type minutesInput struct {
	Path
	ID   int64 `path:"id" doc:"id of the conference"`
	Body api.JSON[Minutes]
}

func (s *service) minutes(ctx context.Context, in *minutesInput) (*output, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	m := in.Body.Value()
	t, err = s.tickets.WriteMinutes(ctx, api.Actor(ctx), t.ID, in.ID, m.Version, ticket.MinutesInput{Answer: m.Answer, Minutes: m.Minutes, OpenPoints: m.OpenPoints})
	return s.answer(ctx, t, err)
}

// thread is where the timeline of t is read.
func thread(t ticket.Ticket) journal.Place {
	if t.MergedInto != 0 {
		return journal.Place{Origin: t.ID}
	}
	return journal.Place{Ticket: t.ID}
}
