package ticketapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

// Filter selects tickets: the parameters of a list, and the same as members of a
// body. What is left out selects all.
type Filter struct {
	View       string          `query:"view" json:"view,omitempty" enum:"mine,mine_soon,mine_overdue,mine_waiting,mine_confirm,snoozed,created,watched,desk,unassigned,open,overdue,second,complaints,escalated,unacknowledged,soon,waiting,finished,all" doc:"A built-in view that the rest narrows"`
	State      []string        `query:"state" json:"state,omitempty" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled" doc:"Several with commas"`
	Open       string          `query:"open" json:"open,omitempty" enum:"true,false" doc:"Only open, or only finished ones"`
	Mine       bool            `query:"mine" json:"mine,omitempty" doc:"Assigned to the caller"`
	Assignee   string          `query:"assignee" json:"assignee,omitempty" doc:"Login"`
	Unassigned bool            `query:"unassigned" json:"unassigned,omitempty" doc:"In a department's queue"`
	Department string          `query:"department" json:"department,omitempty" doc:"Name" example:"技术支持部"`
	Desk       bool            `query:"desk" json:"desk,omitempty" doc:"On the caller's desk as a supervisor"`
	Created    bool            `query:"created" json:"created,omitempty" doc:"Registered by the caller"`
	Watched    bool            `query:"watched" json:"watched,omitempty" doc:"Watched by the caller"`
	Type       string          `query:"type" json:"type,omitempty" enum:"consultation,complaint,after_sales,other"`
	Class      string          `query:"class" json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID int64           `query:"category_id" json:"category_id,omitempty" doc:"A category and those below it"`
	Priority   string          `query:"priority" json:"priority,omitempty" enum:"urgent,high,medium,low"`
	Urgency    string          `query:"urgency" json:"urgency,omitempty" enum:"urgent,normal,low"`
	Channel    string          `query:"channel" json:"channel,omitempty" enum:"phone,chat,email,social,website,walk_in,paper,api"`
	Level      string          `query:"level" json:"level,omitempty" enum:"normal,vip,strategic" doc:"Level of the customer"`
	Customer   string          `query:"customer" json:"customer,omitempty" doc:"Number of the customer"`
	Tag        string          `query:"tag" json:"tag,omitempty" doc:"Name of a tag" example:"夜间"`
	Overdue    bool            `query:"overdue" json:"overdue,omitempty" doc:"A deadline has passed"`
	DueWithin  int             `query:"due_within" json:"due_within,omitempty" minimum:"1" maximum:"100000" doc:"A deadline comes within so many minutes"`
	Second     bool            `query:"second" json:"second,omitempty" doc:"In second handling"`
	Unanswered bool            `query:"unanswered" json:"unanswered,omitempty" doc:"The customer waits for a word"`
	From       time.Time       `query:"from" json:"from,omitzero" doc:"Registered at or after this time" example:"2026-11-01T00:00:00+08:00"`
	To         time.Time       `query:"to" json:"to,omitzero" doc:"Registered before this time"`
	Text       string          `query:"text" json:"text,omitempty" maxLength:"100" doc:"Words in number, title, customer, description or result"`
	Where      string          `query:"filter" json:"-" maxLength:"16384" doc:"Conditions of any kind as JSON: a group {\"all\":[…]} or {\"any\":[…]} of groups and conditions {\"field\",\"op\",\"values\"}. Fields of your own are named fields.<code>" example:"{\"v\":1,\"all\":[{\"field\":\"priority\",\"op\":\"is\",\"values\":[\"urgent\",\"high\"]}]}"`
	Further    json.RawMessage `json:"filter,omitempty" doc:"Conditions of any kind: what the list of tickets takes as its parameter of this name"`
	Sort       string          `query:"sort" json:"sort,omitempty" enum:"due,activity,waiting,newest" doc:"Nearest deadline first (due, the default), newest activity first, longest without activity first, or registered last first"`
}

// filter is f for the room.
func (s *service) filter(ctx context.Context, f Filter) (out ticket.Filter, err error) {
	e := fault.Invalidf("api.invalid")
	for _, x := range []struct {
		name, value string
		known       bool
	}{{"view", f.View, slices.ContainsFunc(ticket.BuiltIns, func(v ticket.BuiltIn) bool { return v.Key == f.View })}, {"sort", f.Sort, slices.Contains(ticket.Sorts, ticket.Sort(f.Sort))},
		{"open", f.Open, f.Open == "true" || f.Open == "false"}} {
		if x.value != "" && !x.known {
			e.Field(x.name, "api.bad_parameter", x.name)
		}
	}
	if err := e.OrNil(); err != nil {
		return out, err
	}
	out = ticket.Filter{View: f.View, Mine: f.Mine, Unassigned: f.Unassigned, Desk: f.Desk, Created: f.Created, Watched: f.Watched, Type: f.Type, Class: f.Class, Category: f.CategoryID,
		Priority: f.Priority, Urgency: f.Urgency, Channel: f.Channel, Level: f.Level, Overdue: f.Overdue, DueWithin: f.DueWithin, Second: f.Second, Unanswered: f.Unanswered,
		From: db.Micros(f.From), To: db.Micros(f.To), Text: f.Text, Sort: ticket.Sort(f.Sort)}
	for _, st := range f.State {
		out.States = append(out.States, ticket.State(st))
	}
	if f.Open != "" {
		open := f.Open == "true"
		out.Open = &open
	}
	if out.Assignee, err = s.people.PersonID(ctx, "assignee", f.Assignee); err != nil {
		return out, err
	}
	if out.Department, err = s.people.DepartmentID(ctx, "department", f.Department); err != nil {
		return out, err
	}
	if f.Tag != "" {
		ids, err := ticket.TagIDs(ctx, s.tickets.DB().Read(), "tag", []string{f.Tag})
		if err != nil {
			return out, err
		}
		out.Tag = ids[0]
	}
	if f.Customer != "" {
		if out.Customer, err = customer.IDOf(ctx, s.tickets.DB().Read(), f.Customer); err != nil {
			return out, err
		} else if out.Customer == 0 {
			out.Customer = -1 // nobody's: like one whose tickets the caller may not see
		}
	}
	if f.Where == "" {
		f.Where = string(f.Further)
	}
	out.Query, err = customer.ParseQuery(f.Where)
	return out, err
}

// filterOf is a filter of the room as it is sent.
func (s *service) filterOf(ctx context.Context, f ticket.Filter) (out Filter, err error) {
	out = Filter{View: f.View, Mine: f.Mine, Unassigned: f.Unassigned, Department: s.people.Department(ctx, nil, f.Department), Desk: f.Desk, Created: f.Created, Watched: f.Watched,
		Type: f.Type, Class: f.Class, CategoryID: f.Category, Priority: f.Priority, Urgency: f.Urgency, Channel: f.Channel, Level: f.Level, Overdue: f.Overdue, DueWithin: f.DueWithin,
		Second: f.Second, Unanswered: f.Unanswered, From: db.FromMicros(f.From), To: db.FromMicros(f.To), Text: f.Text, Sort: string(f.Sort)}
	for _, st := range f.States {
		out.State = append(out.State, string(st))
	}
	if f.Open != nil {
		out.Open = fmt.Sprint(*f.Open)
	}
	if p := s.people.Person(ctx, nil, f.Assignee); p != nil {
		out.Assignee = p.Login
	}
	if f.Customer > 0 {
		n, err := customer.Numbers(ctx, s.tickets.DB().Read(), []int64{f.Customer})
		if err != nil {
			return out, err
		}
		out.Customer = n[f.Customer]
	}
	if out.Tag, err = s.tagName(ctx, f.Tag); err != nil {
		return out, err
	}
	if q := f.Query.String(); q != "" {
		out.Further = json.RawMessage(q)
	}
	return out, nil
}

// numbered returns the ids of tickets in the caller's scope by their numbers;
// others are refused at the field, whether there are any or not.
func (s *service) numbered(ctx context.Context, field string, numbers []string) ([]int64, error) {
	known, err := s.tickets.Numbered(ctx, ticket.View(api.Actor(ctx)), numbers)
	if err != nil {
		return nil, err
	}
	e := fault.Invalidf("api.invalid")
	ids := make([]int64, 0, len(numbers))
	for i, n := range numbers {
		if known[n] == 0 {
			e.Field(fmt.Sprintf("%s.%d", field, i), "api.unknown_ticket", n)
			continue
		}
		ids = append(ids, known[n])
	}
	return ids, e.OrNil()
}
