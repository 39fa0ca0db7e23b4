// Package ticketapi is the tickets' part of the JSON API, and the search over
// customers and tickets.
package ticketapi

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerapi"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

type service struct {
	run       *action.Runner
	tickets   *ticket.Service
	customers *customer.Service
	people    orgapi.Directory
}

const (
	tag       = "Tickets"
	read      = "tickets:read"
	write     = "tickets:write"
	followUps = "follow_ups:write"
)

const movesDoc = `Every step of a ticket's life. What it needs depends on the move; what is missing is named in ` + "`fields`" + `.

| move | from | who | needs |
|---|---|---|---|
| assign | pending | dispatcher | assignee or department |
| take | pending | member of the department | |
| acknowledge | pending | assignee | |
| decline | pending | assignee | reason |
| ask | in_progress | assignee | body: the question to the customer |
| answer | waiting_customer | assignee, or staff for the customer | body |
| resume | waiting_customer | assignee | reason |
| reassign | in_progress | dispatcher, assignee | reason; assignee or department |
| request_help | in_progress | assignee | department, body; title if it differs. Makes a sub-ticket |
| request_confirmation | in_progress | assignee | solution; delay_reason when late; cause and corrective for complaints |
| confirm | awaiting_confirmation | staff for the customer | rating, if he gave one |
| dispute | awaiting_confirmation | staff for the customer | rating: a bad one. Starts a second handling |
| lapse | awaiting_confirmation | the timer only | |
| withdraw | awaiting_confirmation | assignee, supervisor | reason |
| reopen | completed | supervisor | reason |
| close | completed | assignee, supervisor | |
| cancel | pending, in_progress, waiting_customer | supervisor | code; duplicate: number, for duplicate |
| merge | pending, in_progress, waiting_customer | who may merge both | duplicate: number of the ticket that stays; other_customer when they differ. Can be undone for 30 days |
| unmerge | cancelled, merged | who may merge it | leads to the state it was merged in |

A move that the state does not allow is a 409 in the words of the state; one that is somebody else's is a 403.`

// Routes adds the operations on tickets and the search.
func Routes(a *api.API, run *action.Runner, tickets *ticket.Service, customers *customer.Service, o *org.Service) {
	s := &service{run, tickets, customers, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-tickets", Method: "GET", Path: "/tickets", Tag: tag, Perm: ticket.PermView, Scope: read,
		Summary: "List tickets", Description: "Tickets within the caller's data scope. A view may be narrowed by the other parameters."}, s.list)
	api.Handle(a, api.Op{ID: "create-ticket", Method: "POST", Path: "/tickets", Tag: tag, Perm: ticket.PermCreate, Scope: write, Status: 201, Errors: []int{409},
		Example:  `{"title":"设备无法开机","type":"after_sales","urgency":"urgent","customer":"C202611210001","description":"早上通电后无任何反应，电源灯不亮。"}`,
		Conflict: reflect.TypeFor[customerapi.DuplicateProblem](),
		Summary:  "Register a ticket", Description: "For an existing customer (`customer`) or a new one, registered in the same step (`new_customer`). Number, priority, department, person and deadlines follow from the rules, unless given."}, s.create)
	api.Handle(a, api.Op{ID: "get-ticket", Method: "GET", Path: "/tickets/{number}", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Get a ticket", Description: "With its clocks, ratings, sub-tickets, relations and the moves the caller may make now."}, s.get)
	api.Handle(a, api.Op{ID: "update-ticket", Method: "PATCH", Path: "/tickets/{number}", Tag: tag, Perm: ticket.PermEdit, Scope: write, Errors: []int{404, 409},
		Summary: "Change what describes a ticket", Description: "Members that are left out stay as they are. A priority other than the matrix gives needs `priority_reason`."}, s.update)
	api.Handle(a, api.Op{ID: "move-ticket", Method: "POST", Path: "/tickets/{number}/{move}", Tag: tag, Perm: ticket.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{"solution":"更换主板并测试 24 小时","delay_reason":"备件到货延迟"}`,
		Summary: "Make a move", Description: movesDoc}, s.move)
	api.Handle(a, api.Op{ID: "reply-to-customer", Method: "POST", Path: "/tickets/{number}/replies", Tag: tag, Perm: ticket.PermHandle, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"body":"您好，新的校准证书已经寄出。"}`,
		Summary: "Reply to the customer", Description: "Only who handles the ticket speaks for it, or his supervisor."}, s.reply)
	api.Handle(a, api.Op{ID: "add-note", Method: "POST", Path: "/tickets/{number}/notes", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 201, Errors: []int{404},
		Example: `{"body":"客户说周三前可以等。","mentions":["hejunjie"]}`,
		Summary: "Write an internal note", Description: "Mentioned colleagues are told and watch the ticket from then on."}, s.note)
	api.Handle(a, api.Op{ID: "add-follow-up", Method: "POST", Path: "/tickets/{number}/follow-ups", Tag: tag, Perm: ticket.PermNote, Scope: followUps, Status: 201, Errors: []int{404},
		Example: `{"body":"与客户通话，约定周三 10 点上门更换主板。","method":"phone","contact":"黎嘉敏","next_plan":"上门更换主板","next_owner":"hejunjie","next_at":"2026-11-25T10:00:00+08:00"}`,
		Summary: "Write a follow-up record", Description: "What was done or agreed, and what comes next. It counts as progress."}, s.followUp)
	api.Handle(a, api.Op{ID: "list-follow-ups", Method: "GET", Path: "/tickets/{number}/follow-ups", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "List follow-up records", Description: "Newest first."}, s.followUps)
	api.Handle(a, api.Op{ID: "get-ticket-timeline", Method: "GET", Path: "/tickets/{number}/timeline", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a ticket's timeline", Description: "Everything said and done, newest first."}, s.timeline)
	s.togetherRoutes(a)
	s.workspaceRoutes(a)
	s.bulkRoutes(a)
	s.routingRoutes(a)
	s.tagRoutes(a)
	api.Handle(a, api.Op{ID: "search", Method: "GET", Path: "/search", Tag: "Search", Perm: web.SignedIn, Scope: "search",
		Summary: "Search customers and tickets", Description: "Customers by number, name, credit code, telephone number or its last four digits, e-mail, WeChat, contact, pinyin or its initials; tickets by number and words. Only what the caller may see."}, s.search)
}

// Path names a ticket.
type Path struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261121001"`
}

type listInput struct {
	Filter
	api.Page
}

// List is a page of tickets.
type List struct {
	Items []Row  `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type listOutput struct{ Body List }

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f, err := s.filter(ctx, in.Filter)
	if err != nil {
		return nil, err
	}
	f.Limit, f.After = in.Limit, in.Cursor
	p, err := s.tickets.List(ctx, ticket.View(api.Actor(ctx)), f)
	if err != nil {
		return nil, err
	}
	rows, err := s.rows(ctx, p.Rows)
	if err != nil {
		return nil, err
	}
	return &listOutput{List{rows, p.Next}}, nil
}

// New is a ticket to be registered.
type New struct {
	Title          string           `json:"title" doc:"At most 200 characters" example:"设备校准证书与实物编号不一致"`
	Type           string           `json:"type" enum:"consultation,complaint,after_sales,other"`
	Customer       string           `json:"customer,omitempty" doc:"Number of an existing customer; or new_customer" example:"C202611210001"`
	NewCustomer    *customerapi.New `json:"new_customer,omitempty" doc:"A customer to be registered in the same step"`
	ContactID      int64            `json:"contact_id,omitempty" doc:"Whom to speak to; the primary contact when left out"`
	Description    string           `json:"description,omitempty"`
	Class          string           `json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID     int64            `json:"category_id,omitempty"`
	Urgency        string           `json:"urgency,omitempty" enum:"urgent,normal,low" doc:"normal when left out"`
	Priority       string           `json:"priority,omitempty" enum:"urgent,high,medium,low" doc:"By urgency and customer level when left out"`
	PriorityReason string           `json:"priority_reason,omitempty" doc:"Why the priority is another"`
	Channel        string           `json:"channel,omitempty" enum:"phone,chat,email,social,website,walk_in,paper,api" doc:"api when left out"`
	Department     string           `json:"department,omitempty" doc:"Name; by the routing rules when left out"`
	Assignee       string           `json:"assignee,omitempty" doc:"Login; by the routing rules when left out"`
	Fields         fieldapi.Values  `json:"fields,omitempty" doc:"The company's own fields by code, see list-fields"`
	Tags           []string         `json:"tags,omitempty" doc:"Names from the list of tags, see list-ticket-tags" example:"[\"夜间\"]"`
	Automated      bool             `json:"automated,omitempty" doc:"A program sent it (a robot, an out-of-office notice): it gets no automatic answer"`
	Follows        string           `json:"follows,omitempty" doc:"Number of an archived ticket this one continues"`
}

type createInput struct {
	api.Idempotency
	Body api.JSON[New]
}

type createOutput struct {
	Location string `header:"Location" doc:"Address of the new ticket"`
	ETag     string `header:"ETag"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Ticket
}

func (s *service) create(ctx context.Context, in *createInput) (*createOutput, error) {
	n, actor := in.Body.Value(), api.Actor(ctx)
	if err := actor.Check(ticket.PermCreate); err != nil {
		return nil, err
	}
	reg, err := s.registerInput(ctx, actor, n)
	if err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.register", n, func(ctx context.Context, a *action.Action) (Ticket, error) {
		t, err := s.tickets.RegisterIn(ctx, a, reg)
		if err != nil {
			return Ticket{}, err
		}
		return s.view(ctx, a, t)
	})
	if err != nil {
		return nil, customerapi.Duplicates(err)
	}
	return &createOutput{api.Prefix + "/tickets/" + v.Number, api.Tag(v.Version), replayed, v}, nil
}

func (s *service) registerInput(ctx context.Context, actor authz.Actor, n New) (in ticket.RegisterInput, err error) {
	in = ticket.RegisterInput{Title: n.Title, Type: n.Type, Class: n.Class, CategoryID: n.CategoryID, Urgency: n.Urgency, Priority: n.Priority, PriorityReason: n.PriorityReason,
		Channel: n.Channel, Description: n.Description, ContactID: n.ContactID, Automated: n.Automated}
	if in.Urgency == "" {
		in.Urgency = "normal"
	}
	if in.Channel == "" {
		in.Channel = "api"
	}
	if in.Tags, err = ticket.TagIDs(ctx, s.tickets.DB().Read(), "tags", n.Tags); err != nil {
		return in, err
	}
	if in.Fields, err = fieldapi.In(ctx, s.customers.Fields(), field.Ticket, n.Fields, ""); err != nil {
		return in, err
	}
	switch {
	case n.Customer != "" && n.NewCustomer != nil:
		return in, fault.Invalidf("api.invalid").Field("customer", "api.one_customer")
	case n.Customer != "":
		c, err := s.customers.ByNumber(ctx, customer.View(actor), n.Customer)
		if fault.Is(err, fault.NotFound) {
			return in, fault.Invalidf("api.invalid").Field("customer", "api.unknown_customer", n.Customer)
		} else if err != nil {
			return in, err
		}
		in.CustomerID = c.ID
	case n.NewCustomer != nil:
		ci, err := n.NewCustomer.Input(ctx, s.customers, s.people)
		if err != nil {
			return in, api.Prefixed(err, "new_customer")
		}
		in.NewCustomer = func(ctx context.Context, a *action.Action) (int64, error) {
			c, err := s.customers.CreateIn(ctx, a, ci)
			return c.ID, api.Prefixed(err, "new_customer")
		}
	}
	if in.DepartmentID, err = s.people.DepartmentID(ctx, "department", n.Department); err != nil {
		return in, err
	}
	if in.AssigneeID, err = s.people.PersonID(ctx, "assignee", n.Assignee); err != nil {
		return in, err
	}
	if n.Follows != "" {
		t, err := s.tickets.ByNumber(ctx, ticket.View(actor), n.Follows)
		if fault.Is(err, fault.NotFound) {
			return in, fault.Invalidf("api.invalid").Field("follows", "api.unknown_ticket", n.Follows)
		} else if err != nil {
			return in, err
		}
		in.FollowsID = t.ID
	}
	return in, nil
}

type getOutput struct {
	ETag string `header:"ETag"`
	Body Detail
}

func (s *service) get(ctx context.Context, in *Path) (*getOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	d, err := s.detail(ctx, t)
	if err != nil {
		return nil, err
	}
	return &getOutput{api.Tag(t.Version), d}, nil
}

func (s *service) find(ctx context.Context, number string) (ticket.Ticket, error) {
	return s.tickets.ByNumber(ctx, ticket.View(api.Actor(ctx)), number)
}

// Edit is a change of what describes a ticket; nil members stay as they are.
type Edit struct {
	Version        *int64          `json:"version,omitempty" doc:"The version that was read; or send If-Match"`
	Title          *string         `json:"title,omitempty"`
	Type           *string         `json:"type,omitempty" enum:"consultation,complaint,after_sales,other"`
	Class          *string         `json:"class,omitempty" enum:",consulting,problem,complaint,support"`
	CategoryID     *int64          `json:"category_id,omitempty"`
	Urgency        *string         `json:"urgency,omitempty" enum:"urgent,normal,low"`
	Priority       *string         `json:"priority,omitempty" enum:",urgent,high,medium,low" doc:"Empty: by urgency and customer level"`
	PriorityReason *string         `json:"priority_reason,omitempty"`
	Fields         fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields to be changed, by code; null empties one"`
	Tags           *[]string       `json:"tags,omitempty" doc:"All the tags it is to have, by name; the others are taken off. See also tag-ticket" example:"[\"夜间\"]"`
}

type updateInput struct {
	Path
	IfMatch string `header:"If-Match" doc:"The ETag that was read" example:"\"3\""`
	Body    api.JSON[Edit]
}

type output struct {
	ETag     string `header:"ETag"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Ticket
}

func (s *service) update(ctx context.Context, in *updateInput) (*output, error) {
	e := in.Body.Value()
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	version, err := api.Version(in.IfMatch, e.Version, t.Version)
	if err != nil {
		return nil, err
	}
	ed := ticket.Edit{Version: version, Title: api.Some(e.Title, t.Title), Type: api.Some(e.Type, t.Type), Class: api.Some(e.Class, t.Class), CategoryID: api.Some(e.CategoryID, t.CategoryID),
		Urgency: api.Some(e.Urgency, t.Urgency), PriorityReason: api.Some(e.PriorityReason, t.PriorityReason)}
	if ed.Priority = api.Some(e.Priority, t.Priority); e.Priority == nil && t.PriorityReason == "" {
		ed.Priority = "" // it followed the matrix and goes on doing so
	}
	if ed.Fields, err = fieldapi.In(ctx, s.customers.Fields(), field.Ticket, e.Fields, ""); err != nil {
		return nil, err
	}
	tags := t.Tags.IDs()
	if e.Tags != nil {
		if tags, err = ticket.TagIDs(ctx, s.tickets.DB().Read(), "tags", *e.Tags); err != nil {
			return nil, err
		}
	}
	err = s.run.Do(ctx, api.Actor(ctx), "ticket.edit", func(ctx context.Context, a *action.Action) error {
		if e.Tags != nil {
			now, err := s.tickets.TagIn(ctx, a, t.ID, tags, slices.DeleteFunc(t.Tags.IDs(), func(id int64) bool { return slices.Contains(tags, id) }))
			if f, ok := fault.As(err); ok && f.Key == "ticket.nothing_changed" {
				e.Tags = nil
			} else if err != nil {
				return err
			} else if t = now; ed.Version != 0 && ed.Version == t.Version-1 {
				ed.Version = t.Version
			}
		}
		now, err := s.tickets.EditIn(ctx, a, t.ID, ed)
		if f, ok := fault.As(err); ok && f.Key == "ticket.nothing_changed" && e.Tags != nil {
			return nil
		}
		if err == nil {
			t = now
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx, s.tickets.DB().Read(), t)
	if err != nil {
		return nil, err
	}
	return &output{ETag: api.Tag(v.Version), Body: v}, nil
}

// Move is what a move carries; each takes what concerns it.
type Move struct {
	Version     int64      `json:"version,omitempty" doc:"Refuse the move if the ticket has another version"`
	Assignee    string     `json:"assignee,omitempty" doc:"Login: assign, reassign" example:"hejunjie"`
	Department  string     `json:"department,omitempty" doc:"Name: assign, reassign, request_help" example:"技术支持部"`
	Reason      string     `json:"reason,omitempty" doc:"decline, resume, reassign, withdraw, reopen"`
	Code        string     `json:"code,omitempty" enum:"withdrawn,duplicate,spam,mistake" doc:"cancel: why"`
	Duplicate   string     `json:"duplicate,omitempty" doc:"cancel as duplicate, merge: number of the other ticket"`
	OtherToo    bool       `json:"other_customer,omitempty" doc:"merge: yes, although the tickets are of different customers"`
	DueAt       *time.Time `json:"due_at,omitempty" doc:"request_help: by when; by the service times when left out"`
	Title       string     `json:"title,omitempty" doc:"request_help: title of the sub-ticket"`
	Body        string     `json:"body,omitempty" doc:"ask: the question; answer: the customer's words; request_help: what is needed; request_confirmation: summary for the customer"`
	Solution    string     `json:"solution,omitempty" doc:"request_confirmation"`
	Cause       string     `json:"cause,omitempty" doc:"request_confirmation of complaints: what caused it"`
	Corrective  string     `json:"corrective,omitempty" doc:"request_confirmation of complaints: what prevents it"`
	DelayReason string     `json:"delay_reason,omitempty" doc:"request_confirmation: why a deadline was missed"`
	Rating      *Stars     `json:"rating,omitempty" doc:"confirm, dispute: what the customer said"`
}

// Stars is a rating taken down for the customer.
type Stars struct {
	Stars      int    `json:"stars,omitempty" doc:"1 to 5" example:"5"`
	Speed      int    `json:"speed,omitempty" doc:"1 to 5"`
	Quality    int    `json:"quality,omitempty" doc:"1 to 5"`
	Attitude   int    `json:"attitude,omitempty" doc:"1 to 5"`
	Handling   int    `json:"handling,omitempty" doc:"1 to 5; of a complaint: how it was handled, whatever came of it"`
	Solved     bool   `json:"solved" doc:"Whether the problem is solved"`
	Comment    string `json:"comment,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
}

type moveInput struct {
	Path
	Move string `path:"move" enum:"assign,take,acknowledge,decline,ask,answer,resume,reassign,request_help,request_confirmation,confirm,dispute,lapse,withdraw,reopen,close,cancel,merge,unmerge" doc:"The move"`
	api.Idempotency
	Body *api.JSON[Move] `doc:"May be left out by moves that need nothing"`
}

func (s *service) move(ctx context.Context, in *moveInput) (*output, error) {
	var m Move
	if in.Body != nil {
		m = in.Body.Value()
	}
	mi := ticket.Input{Version: m.Version, Reason: m.Reason, Code: m.Code, Duplicate: m.Duplicate, Title: m.Title, Body: m.Body, Solution: m.Solution, Cause: m.Cause, Corrective: m.Corrective, DelayReason: m.DelayReason, OtherToo: m.OtherToo, Due: api.Some(m.DueAt, time.Time{})}
	if r := m.Rating; r != nil {
		mi.Rating = &ticket.Rating{Stars: r.Stars, Speed: r.Speed, Quality: r.Quality, Attitude: r.Attitude, Handling: r.Handling, Solved: r.Solved, Comment: r.Comment, Suggestion: r.Suggestion}
	}
	return s.change(ctx, in.Number, in.Key, "ticket."+in.Move, m, func(ctx context.Context, a *action.Action, id int64) (t ticket.Ticket, err error) {
		if mi.AssigneeID, err = s.people.PersonID(ctx, "assignee", m.Assignee); err != nil {
			return t, err
		}
		if mi.DepartmentID, err = s.people.DepartmentID(ctx, "department", m.Department); err != nil {
			return t, err
		}
		return s.tickets.DoIn(ctx, a, id, ticket.Verb(in.Move), mi)
	})
}

// change makes one change of a ticket, once for the key.
func (s *service) change(ctx context.Context, number, key, name string, request any, fn func(ctx context.Context, a *action.Action, id int64) (ticket.Ticket, error)) (*output, error) {
	found, err := s.find(ctx, number)
	if err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, key, name, request, func(ctx context.Context, a *action.Action) (Ticket, error) {
		t, err := fn(ctx, a, found.ID)
		if err != nil {
			return Ticket{}, err
		}
		return s.view(ctx, a, t)
	})
	if err != nil {
		return nil, err
	}
	return &output{api.Tag(v.Version), replayed, v}, nil
}

// Reply is a word to the customer.
type Reply struct {
	Body string `json:"body" doc:"Plain text" example:"您好，新的校准证书已经寄出。"`
}

type replyInput struct {
	Path
	api.Idempotency
	Body api.JSON[Reply]
}

func (s *service) reply(ctx context.Context, in *replyInput) (*output, error) {
	r := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.reply", r, func(ctx context.Context, a *action.Action, id int64) (ticket.Ticket, error) {
		return s.tickets.ReplyIn(ctx, a, id, r.Body, nil)
	})
}

// Note is an internal note.
type Note struct {
	Body     string   `json:"body" doc:"Plain text" example:"客户说周三前可以等。"`
	Mentions []string `json:"mentions,omitempty" doc:"Logins of colleagues to be told"`
}

type noteInput struct {
	Path
	api.Idempotency
	Body api.JSON[Note]
}

func (s *service) note(ctx context.Context, in *noteInput) (*output, error) {
	n := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.note", n, func(ctx context.Context, a *action.Action, id int64) (t ticket.Ticket, err error) {
		var ids []int64
		for _, login := range n.Mentions {
			u, err := s.people.PersonID(ctx, "mentions", login)
			if err != nil {
				return t, err
			}
			ids = append(ids, u)
		}
		return s.tickets.NoteIn(ctx, a, id, n.Body, ids, nil)
	})
}

// FollowUp is a follow-up record to be written.
type FollowUp struct {
	Body      string     `json:"body" doc:"What was done or agreed" example:"与客户通话，约定周三 10 点上门更换主板。"`
	Method    string     `json:"method" enum:"phone,chat,email,visit,sms,meeting,social,system"`
	At        *time.Time `json:"at,omitempty" doc:"When it took place; now when left out"`
	Contact   string     `json:"contact,omitempty" doc:"Who was spoken to"`
	Reaction  string     `json:"reaction,omitempty" doc:"What the customer said to it"`
	Agreement string     `json:"agreement,omitempty" doc:"What was agreed"`
	NextPlan  string     `json:"next_plan,omitempty" doc:"What comes next"`
	NextOwner string     `json:"next_owner,omitempty" doc:"Login of who does it"`
	NextAt    *time.Time `json:"next_at,omitempty" doc:"By when"`
	Done      bool       `json:"done,omitempty" doc:"The matter is settled"`
}

type followUpInput struct {
	Path
	api.Idempotency
	Body api.JSON[FollowUp]
}

func (s *service) followUp(ctx context.Context, in *followUpInput) (*output, error) {
	f := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.follow_up", f, func(ctx context.Context, a *action.Action, id int64) (t ticket.Ticket, err error) {
		r := journal.Record{At: api.Some(f.At, time.Time{}), Method: f.Method, Contact: f.Contact, Reaction: f.Reaction, Agreement: f.Agreement, NextPlan: f.NextPlan, NextAt: api.Some(f.NextAt, time.Time{}), Done: f.Done}
		if r.NextOwnerID, err = s.people.PersonID(ctx, "next_owner", f.NextOwner); err != nil {
			return t, err
		}
		return s.tickets.FollowUpIn(ctx, a, id, f.Body, r, nil)
	})
}

type entriesInput struct {
	Path
	api.Page
}

type timelineInput struct {
	Path
	Kind []string `query:"kind" enum:"customer,reply,question,note,follow_up,move,system" doc:"Several with commas; all when left out"`
	api.Page
}

type timelineOutput struct{ Body customerapi.Timeline }

func (s *service) followUps(ctx context.Context, in *entriesInput) (*timelineOutput, error) {
	return s.entries(ctx, in.Number, []journal.Kind{journal.FollowUp}, in.Page)
}

func (s *service) timeline(ctx context.Context, in *timelineInput) (*timelineOutput, error) {
	var kinds []journal.Kind
	for _, k := range in.Kind {
		kinds = append(kinds, journal.Kind(k))
	}
	return s.entries(ctx, in.Number, kinds, in.Page)
}

func (s *service) entries(ctx context.Context, number string, kinds []journal.Kind, pg api.Page) (*timelineOutput, error) {
	t, err := s.find(ctx, number)
	if err != nil {
		return nil, err
	}
	var before int64
	if pg.Cursor != "" {
		if before, err = strconv.ParseInt(pg.Cursor, 10, 64); err != nil || before <= 0 {
			return nil, fault.Invalidf("api.invalid").Field("cursor", "api.bad_parameter", "cursor")
		}
	}
	es, more, err := journal.Of(ctx, s.tickets.DB().Read(), thread(t), journal.Page{Before: before, Kinds: kinds, Limit: pg.Limit})
	if err != nil {
		return nil, err
	}
	out := &timelineOutput{customerapi.Timeline{Items: make([]customerapi.Entry, 0, len(es))}}
	if more {
		out.Body.Next = strconv.FormatInt(es[0].ID, 10)
	}
	slices.Reverse(es)
	for _, e := range es {
		out.Body.Items = append(out.Body.Items, customerapi.EntryOf(ctx, e, t.Number))
	}
	return out, nil
}

type searchInput struct {
	Q     string `query:"q" required:"true" maxLength:"100" doc:"What to look for" example:"南粤"`
	Limit int    `query:"limit" minimum:"1" maximum:"50" default:"10" doc:"How many of each at most"`
}

// Found is what a search found.
type Found struct {
	Customers []FoundCustomer `json:"customers" doc:"The likeliest first"`
	Tickets   []Row           `json:"tickets" doc:"The newest activity first"`
}

// FoundCustomer is a customer with what of him matched.
type FoundCustomer struct {
	customerapi.Customer
	MatchedBy string `json:"matched_by" doc:"number, uscc, phone, last_four, last_eight, email, wechat, name, contact, initials, pinyin, sound, similar_name"`
}

type searchOutput struct{ Body Found }

func (s *service) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	actor, q := api.Actor(ctx), strings.TrimSpace(in.Q)
	if q == "" {
		return nil, fault.Invalidf("api.invalid").Field("q", "api.need_query")
	}
	if !actor.Can(customer.PermView) && !actor.Can(ticket.PermView) {
		return nil, authz.Denied(customer.PermView)
	}
	found, err := s.customers.Search(ctx, customer.View(actor), q, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &searchOutput{Found{Customers: make([]FoundCustomer, 0, len(found))}}
	for _, f := range found {
		out.Body.Customers = append(out.Body.Customers, FoundCustomer{customerapi.Brief(ctx, s.people, f.Customer), f.By})
	}
	p, err := s.tickets.List(ctx, ticket.View(actor), ticket.Filter{Text: q, Sort: ticket.ByActivity, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	if out.Body.Tickets, err = s.rows(ctx, p.Rows); err != nil {
		return nil, err
	}
	return out, nil
}
