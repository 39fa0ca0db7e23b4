package ticketapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerapi"
	"bihuan/internal/db"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// Row is a ticket as lists send it.
type Row struct {
	Number       string         `json:"number" example:"TASK20261121001"`
	Title        string         `json:"title" example:"设备校准证书与实物编号不一致"`
	Type         string         `json:"type" enum:"consultation,complaint,after_sales,other"`
	State        string         `json:"state" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled"`
	Priority     string         `json:"priority" enum:"urgent,high,medium,low"`
	Urgency      string         `json:"urgency" enum:"urgent,normal,low"`
	Channel      string         `json:"channel" enum:"phone,chat,email,social,website,walk_in,paper,api"`
	Customer     CustomerRef    `json:"customer"`
	Department   string         `json:"department" example:"技术支持部"`
	Assignee     *orgapi.Person `json:"assignee,omitempty" doc:"Absent: in the department's queue"`
	Supervisor   *orgapi.Person `json:"supervisor,omitempty" doc:"On whose desk it lies as a supervisor"`
	Parent       string         `json:"parent,omitempty" doc:"Number of the main ticket, of a sub-ticket"`
	Round        int            `json:"round" doc:"1; 2 and more are second handlings"`
	Escalation   int            `json:"escalation" doc:"How often it was laid on a supervisor's desk"`
	Overdue      bool           `json:"overdue" doc:"Whether some promise was missed"`
	Rating       int            `json:"rating,omitempty" doc:"Stars of the newest rating, 1 to 5"`
	DueAt        *time.Time     `json:"due_at,omitempty" doc:"Nearest deadline"`
	DueClock     string         `json:"due_clock,omitempty" enum:"first_response,acknowledge,urgent,update,resolution,customer_reply,confirmation,follow_up" doc:"What is due then"`
	CreatedAt    *time.Time     `json:"created_at"`
	ActivityAt   *time.Time     `json:"activity_at"`
	UnansweredAt *time.Time     `json:"unanswered_since,omitempty" doc:"Since when the customer waits for a word"`
	Tags         []string       `json:"tags" doc:"Names of its tags"`
	Version      int64          `json:"version" doc:"Send it back with a change" example:"3"`
}

// CustomerRef names the customer of a ticket.
type CustomerRef struct {
	Number string `json:"number" example:"C202611210001"`
	Name   string `json:"name" example:"广州南粤医疗器械股份有限公司"`
	Level  string `json:"level" enum:"normal,vip,strategic"`
}

// Ticket is a ticket as changes answer with it.
type Ticket struct {
	Row
	Class          string          `json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID     int64           `json:"category_id,omitempty"`
	PriorityReason string          `json:"priority_reason,omitempty" doc:"Why the priority differs from the matrix"`
	Description    string          `json:"description,omitempty"`
	ContactID      int64           `json:"contact_id,omitempty"`
	Solution       string          `json:"solution,omitempty"`
	Cause          string          `json:"cause,omitempty"`
	Corrective     string          `json:"corrective,omitempty"`
	DelayReason    string          `json:"delay_reason,omitempty"`
	Summary        string          `json:"summary,omitempty" doc:"What the customer was asked to confirm"`
	Outcome        string          `json:"outcome,omitempty" enum:"confirmed,phone,silence,cancelled"`
	CancelReason   string          `json:"cancel_reason,omitempty" enum:"withdrawn,duplicate,spam,mistake"`
	DuplicateOf    string          `json:"duplicate_of,omitempty" doc:"Number of the ticket this one repeats"`
	MergedInto     string          `json:"merged_into,omitempty" doc:"Number of the ticket that goes on for this one"`
	FirstDueAt     *time.Time      `json:"first_due_at,omitempty" doc:"What was promised before the resolution was deferred"`
	DeferralAsked  bool            `json:"deferral_asked,omitempty" doc:"A request for a deferral waits"`
	Conference     string          `json:"conference,omitempty" enum:"planned,needed,held" doc:"needed: the answer waits for the minutes of a case conference"`
	Follows        string          `json:"follows,omitempty" doc:"Number of the archived ticket this one continues"`
	OpenChildren   int             `json:"open_children,omitempty" doc:"Sub-tickets still open"`
	Fields         fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code"`
	CreatedBy      string          `json:"created_by" doc:"Name of who registered it"`
	UpdatedAt      *time.Time      `json:"updated_at"`
	AssignedAt     *time.Time      `json:"assigned_at,omitempty"`
	AcknowledgedAt *time.Time      `json:"acknowledged_at,omitempty"`
	RespondedAt    *time.Time      `json:"responded_at,omitempty"`
	ResolvedAt     *time.Time      `json:"resolved_at,omitempty"`
	CompletedAt    *time.Time      `json:"completed_at,omitempty"`
	ClosedAt       *time.Time      `json:"closed_at,omitempty"`
}

// Detail is a ticket with all that hangs on it.
type Detail struct {
	Ticket
	Contact      *customerapi.Contact `json:"contact,omitempty" doc:"Whom to speak to; masked"`
	Moves        []string             `json:"moves" doc:"Moves the caller may make now; what they need is checked when they are made"`
	Clocks       []Clock              `json:"clocks"`
	Ratings      []Rating             `json:"ratings"`
	Children     []Row                `json:"children"`
	Links        []Link               `json:"links"`
	CustomerPage string               `json:"customer_page,omitempty" doc:"Path of the customer's page, to be passed on to him; only with the scope tickets:write"`
}

// Clock is one measured promise.
type Clock struct {
	Kind          string     `json:"kind" enum:"first_response,acknowledge,urgent,update,resolution,customer_reply,confirmation,follow_up"`
	Round         int        `json:"round"`
	State         string     `json:"state" enum:"running,paused,met,stopped"`
	TargetSeconds int64      `json:"target_seconds"`
	UsedSeconds   int64      `json:"used_seconds" doc:"Without pauses"`
	StartedAt     *time.Time `json:"started_at"`
	DueAt         *time.Time `json:"due_at,omitempty" doc:"Absent while paused"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
	Missed        bool       `json:"missed"`
}

// Rating is the customer's judgement of one round.
type Rating struct {
	Round      int        `json:"round"`
	Stars      int        `json:"stars,omitempty" minimum:"1" maximum:"5"`
	Speed      int        `json:"speed,omitempty"`
	Quality    int        `json:"quality,omitempty"`
	Attitude   int        `json:"attitude,omitempty"`
	Handling   int        `json:"handling,omitempty" doc:"Of a complaint: how it was handled, whatever came of it"`
	Solved     bool       `json:"solved"`
	Comment    string     `json:"comment,omitempty"`
	Suggestion string     `json:"suggestion,omitempty"`
	Via        string     `json:"via" enum:"link,phone"`
	At         *time.Time `json:"at"`
}

// Link is a relation to another ticket.
type Link struct {
	Kind    string `json:"kind" enum:"related,duplicate,caused_by,follow_up,split"`
	Forward bool   `json:"forward" doc:"Whether it was made from this ticket"`
	Ticket  Row    `json:"ticket"`
}

// names are the numbers views need beside the tickets themselves.
type names struct {
	customers, tickets map[int64]string
	tags               []ticket.Tag
}

func (n names) tagged(g ticket.Tags) []string {
	out := []string{}
	for _, t := range n.tags {
		if g.Has(t.ID) {
			out = append(out, t.Name)
		}
	}
	return out
}

func (s *service) names(ctx context.Context, q db.Querier, customers, tickets []int64) (n names, err error) {
	if n.customers, err = customer.Numbers(ctx, q, some(customers)); err != nil {
		return n, err
	}
	if n.tickets, err = ticket.Numbers(ctx, q, some(tickets)); err != nil {
		return n, err
	}
	n.tags, err = ticket.TagList(ctx, q)
	return n, err
}

func some(ids []int64) []int64 {
	seen, out := map[int64]bool{0: true}, ids[:0:0]
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

func (s *service) row(ctx context.Context, q db.Querier, r ticket.Row, n names) Row {
	return Row{
		Number: r.Number, Title: r.Title, Type: r.Type, State: string(r.State), Priority: r.Priority, Urgency: r.Urgency, Channel: r.Channel,
		Customer:   CustomerRef{n.customers[r.CustomerID], r.CustomerName, r.CustomerLevel},
		Department: s.people.Department(ctx, q, r.DepartmentID), Assignee: s.people.Person(ctx, q, r.AssigneeID), Supervisor: s.people.Person(ctx, q, r.SupervisorID),
		Parent: n.tickets[r.ParentID], Round: r.Round, Escalation: r.Escalation, Overdue: r.Overdue, Rating: r.Rating, DueAt: api.At(ctx, r.DueAt), DueClock: string(r.DueClock),
		CreatedAt: api.At(ctx, r.CreatedAt), ActivityAt: api.At(ctx, r.ActivityAt), UnansweredAt: api.At(ctx, r.CustomerAt), Version: r.Version, Tags: n.tagged(r.Tags),
	}
}

func (s *service) rows(ctx context.Context, rs []ticket.Row) ([]Row, error) {
	var cs, ts []int64
	for _, r := range rs {
		cs, ts = append(cs, r.CustomerID), append(ts, r.ParentID)
	}
	n, err := s.names(ctx, s.tickets.DB().Read(), cs, ts)
	if err != nil {
		return nil, err
	}
	out := make([]Row, 0, len(rs))
	for _, r := range rs {
		out = append(out, s.row(ctx, nil, r, n))
	}
	return out, nil
}

// view returns t as it is sent; q is that of the action under way.
func (s *service) view(ctx context.Context, q db.Querier, t ticket.Ticket) (Ticket, error) {
	n, err := s.names(ctx, q, []int64{t.CustomerID}, []int64{t.ParentID, t.DuplicateOf, t.FollowsID, t.MergedInto})
	if err != nil {
		return Ticket{}, err
	}
	own, err := s.tickets.FieldValues(ctx, q, t.ID)
	if err != nil {
		return Ticket{}, err
	}
	return Ticket{
		Fields: fieldapi.Out(own),
		Row: s.row(ctx, q, ticket.Row{Number: t.Number, ParentID: t.ParentID, Title: t.Title, Type: t.Type, Priority: t.Priority, Urgency: t.Urgency, Channel: t.Channel,
			CustomerID: t.CustomerID, CustomerName: t.CustomerName, CustomerLevel: t.CustomerLevel, DepartmentID: t.DepartmentID, AssigneeID: t.AssigneeID, SupervisorID: t.SupervisorID,
			State: t.State, Round: t.Round, Escalation: t.Escalation, Overdue: t.Overdue, Rating: t.Rating, DueAt: t.DueAt, DueClock: t.DueClock,
			CreatedAt: t.CreatedAt, ActivityAt: t.ActivityAt, CustomerAt: t.CustomerAt, Version: t.Version, Tags: t.Tags}, n),
		Class: t.Class, CategoryID: t.CategoryID, PriorityReason: t.PriorityReason, Description: t.Description, ContactID: t.ContactID,
		Solution: t.Solution, Cause: t.Cause, Corrective: t.Corrective, DelayReason: t.DelayReason, Summary: t.Summary, Outcome: t.Outcome, CancelReason: t.CancelReason,
		DuplicateOf: n.tickets[t.DuplicateOf], MergedInto: n.tickets[t.MergedInto], FirstDueAt: api.At(ctx, t.DeferredFrom), DeferralAsked: t.DeferralID != 0, Conference: string(t.Conference), Follows: n.tickets[t.FollowsID], OpenChildren: t.OpenChildren, CreatedBy: t.CreatedByName,
		UpdatedAt: api.At(ctx, t.UpdatedAt), AssignedAt: api.At(ctx, t.AssignedAt), AcknowledgedAt: api.At(ctx, t.AcknowledgedAt), RespondedAt: api.At(ctx, t.RespondedAt),
		ResolvedAt: api.At(ctx, t.ResolvedAt), CompletedAt: api.At(ctx, t.CompletedAt), ClosedAt: api.At(ctx, t.ClosedAt),
	}, nil
}

func (s *service) detail(ctx context.Context, t ticket.Ticket) (d Detail, err error) {
	q, actor := s.tickets.DB().Read(), api.Actor(ctx)
	if d.Ticket, err = s.view(ctx, q, t); err != nil {
		return d, err
	}
	if t.ContactID != 0 {
		c, err := s.customers.Contact(ctx, q, t.ContactID)
		if err != nil {
			return d, err
		}
		v := customerapi.ContactOf(c)
		d.Contact = &v
	}
	d.Moves = []string{}
	for _, v := range s.tickets.Allowed(ctx, actor, &t) {
		d.Moves = append(d.Moves, string(v))
	}
	clocks, err := sla.Of(ctx, q, t.ID)
	if err != nil {
		return d, err
	}
	now := s.tickets.DB().Clock().Now()
	d.Clocks = make([]Clock, 0, len(clocks))
	for _, c := range clocks {
		d.Clocks = append(d.Clocks, Clock{string(c.Kind), c.Round, string(c.State), int64(c.Target / time.Second), int64(c.UsedAt(now) / time.Second),
			api.At(ctx, c.StartedAt), api.At(ctx, c.DueAt), api.At(ctx, c.EndedAt), c.Missed})
	}
	ratings, err := ticket.Ratings(ctx, q, t.ID)
	if err != nil {
		return d, err
	}
	d.Ratings = make([]Rating, 0, len(ratings))
	for _, r := range ratings {
		d.Ratings = append(d.Ratings, Rating{r.Round, r.Stars, r.Speed, r.Quality, r.Attitude, r.Handling, r.Solved, r.Comment, r.Suggestion, r.Via, api.At(ctx, r.UpdatedAt)})
	}
	d.Children = []Row{}
	if t.ParentID == 0 {
		children, err := s.tickets.Children(ctx, t.ID)
		if err != nil {
			return d, err
		}
		if d.Children, err = s.rows(ctx, children); err != nil {
			return d, err
		}
	}
	links, err := s.tickets.Links(ctx, ticket.View(actor), t.ID)
	if err != nil {
		return d, err
	}
	var rs []ticket.Row
	for _, l := range links {
		rs = append(rs, l.Row)
	}
	rows, err := s.rows(ctx, rs)
	if err != nil {
		return d, err
	}
	d.Links = make([]Link, 0, len(links))
	for i, l := range links {
		d.Links = append(d.Links, Link{l.Kind, l.Forward, rows[i]})
	}
	if t.ParentID == 0 && api.HasScope(ctx, write) && actor.Can(ticket.PermHandle) {
		d.CustomerPage = "/c/" + s.tickets.Link(t)
	}
	return d, nil
}
