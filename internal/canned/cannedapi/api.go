// Package cannedapi is the JSON API of canned replies and macros.
package cannedapi

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/canned"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/ticket"
)

type service struct {
	runner  *action.Runner
	canned  *canned.Service
	tickets *ticket.Service
	people  orgapi.Directory
}

const (
	tag   = "Canned replies and macros"
	read  = "canned:read"
	write = "canned:write"
)

// Routes adds the operations.
func Routes(a *api.API, run *action.Runner, c *canned.Service, t *ticket.Service, o *org.Service) {
	s := &service{run, c, t, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-canned-replies", Method: "GET", Path: "/canned-replies", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "List canned replies", Description: "Those the caller sees: his own, his departments' and everybody's. With `ticket`, those that fit `q` and the ticket best come first, filled for it, as they would be inserted; without, by folder and title."}, s.replies)
	api.Handle(a, api.Op{ID: "create-canned-reply", Method: "POST", Path: "/canned-replies", Tag: tag, Perm: canned.PermUse, Scope: write, Status: 201,
		Example: `{"title":"发货说明","body":"您好{客户姓名}，您的订单已发出。","code":"fahuo","folder":"物流","scope":"own"}`,
		Summary: "Add a canned reply", Description: "Those of a department or of everybody need the permission to keep them."}, s.createReply)
	api.Handle(a, api.Op{ID: "get-canned-reply", Method: "GET", Path: "/canned-replies/{id}", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "Read a canned reply", Description: "One the caller does not see is a 404."}, s.getReply)
	api.Handle(a, api.Op{ID: "update-canned-reply", Method: "PUT", Path: "/canned-replies/{id}", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404, 409},
		Summary: "Change a canned reply", Description: "As a whole, from the `version` that was read; its attachments stay."}, s.updateReply)
	api.Handle(a, api.Op{ID: "delete-canned-reply", Method: "DELETE", Path: "/canned-replies/{id}", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404},
		Summary: "Delete a canned reply", Description: "With its attachments. What was written with it stays."}, s.deleteReply)
	api.Handle(a, api.Op{ID: "use-canned-reply", Method: "POST", Path: "/tickets/{number}/canned-replies/{id}/uses", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404},
		Summary: "Use a canned reply", Description: "Its text filled for the ticket, to be sent as a reply or note; the use is counted."}, s.use)
	api.Handle(a, api.Op{ID: "list-macros", Method: "GET", Path: "/macros", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "List macros", Description: "Those the caller sees; with `ticket`, those offered for it, the most used first."}, s.macros)
	api.Handle(a, api.Op{ID: "create-macro", Method: "POST", Path: "/macros", Tag: tag, Perm: canned.PermUse, Scope: write, Status: 201,
		Example: `{"name":"转售后并告知","scope":"own","active":true,"types":["after_sales"],"steps":[{"kind":"note","text":"客户已确认可上门。"},{"kind":"assign","to":"department","department":"售后部"}]}`,
		Summary: "Add a macro", Description: "Up to ten steps, done one after the other, or none of them. Those of a department or of everybody need the permission to keep them."}, s.createMacro)
	api.Handle(a, api.Op{ID: "get-macro", Method: "GET", Path: "/macros/{id}", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "Read a macro", Description: "One the caller does not see is a 404."}, s.getMacro)
	api.Handle(a, api.Op{ID: "update-macro", Method: "PUT", Path: "/macros/{id}", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404, 409},
		Summary: "Change a macro", Description: "As a whole, from the `version` that was read."}, s.updateMacro)
	api.Handle(a, api.Op{ID: "delete-macro", Method: "DELETE", Path: "/macros/{id}", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404},
		Summary: "Delete a macro", Description: "What it did stays."}, s.deleteMacro)
	api.Handle(a, api.Op{ID: "try-macro", Method: "GET", Path: "/tickets/{number}/macros/{id}", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404},
		Summary: "See what a macro would do", Description: "Each step filled for the ticket, and whether it can be done now; nothing is changed."}, s.try)
	api.Handle(a, api.Op{ID: "run-macro", Method: "POST", Path: "/tickets/{number}/macros/{id}/runs", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404, 409},
		Summary: "Run a macro", Description: "All of its steps are done in one transaction under the caller's own rights, or none. A step that is refused is answered with its refusal."}, s.run)
}

type repliesInput struct {
	Text   string `query:"q" maxLength:"60" doc:"Short code, pinyin initials, or words of title or text" example:"fahuo"`
	Ticket string `query:"ticket" maxLength:"60" doc:"Number of the ticket to fill and rank for" example:"TASK20261122001"`
	api.Page
}

// NewReply is a canned reply to be written.
type NewReply struct {
	Title      string   `json:"title" doc:"At most 80 characters"`
	Body       string   `json:"body" doc:"With its variables, e.g. {客户姓名}"`
	Code       string   `json:"code,omitempty" doc:"Short code" example:"fahuo"`
	Folder     string   `json:"folder,omitempty"`
	Lang       string   `json:"lang,omitempty" enum:",zh-CN,en" doc:"Language of the text; absent: any"`
	Scope      string   `json:"scope" enum:"own,department,all"`
	Department string   `json:"department,omitempty" doc:"Name, of scope department"`
	Types      []string `json:"types,omitempty" enum:"consultation,complaint,after_sales,other" doc:"Types of tickets it is meant for; absent: all"`
	CategoryID int64    `json:"category_id,omitempty" doc:"Category of tickets it is meant for; absent: all"`
	Version    int64    `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// Reply is a text that is written often.
type Reply struct {
	ID int64 `json:"id"`
	NewReply
	Files   int        `json:"files,omitempty" doc:"How many attachments it has"`
	Filled  string     `json:"filled,omitempty" doc:"With their values for the ticket asked for; sensitive values are masked"`
	Missing []string   `json:"missing,omitempty" doc:"Variables without a value"`
	Uses    int64      `json:"uses"`
	UsedAt  *time.Time `json:"used_at,omitempty"`
}

type repliesOutput struct {
	Body struct {
		Items []Reply `json:"items"`
		Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
	}
}

func (s *service) replies(ctx context.Context, in *repliesInput) (*repliesOutput, error) {
	actor, out := api.Actor(ctx), &repliesOutput{}
	out.Body.Items = []Reply{}
	var rs []canned.Reply
	var t ticket.Ticket
	var err error
	if in.Ticket != "" {
		if t, err = s.tickets.ByNumber(ctx, ticket.View(actor), in.Ticket); err != nil {
			return nil, err
		}
		if rs, err = s.canned.Find(ctx, actor, t, in.Text, in.Limit); err != nil {
			return nil, err
		}
	} else {
		f := canned.Filter{Text: in.Text, Limit: in.Limit, After: canned.Cursor{}}
		if n, _ := strconv.ParseInt(in.Cursor, 10, 64); n > 0 {
			last, err := s.canned.Get(ctx, actor, n)
			if err != nil {
				return nil, err
			}
			f.After = canned.Cursor{Folder: last.Folder, Title: last.Title, ID: n}
		}
		var more bool
		if rs, more, err = s.canned.List(ctx, actor, f); err != nil {
			return nil, err
		}
		if more {
			out.Body.Next = strconv.FormatInt(rs[len(rs)-1].ID, 10)
		}
	}
	for _, r := range rs {
		x := s.replyView(ctx, r)
		if t.ID != 0 {
			if x.Filled, x.Missing, err = s.canned.Preview(ctx, actor, r.Body, r.Lang, t); err != nil {
				return nil, err
			}
		}
		out.Body.Items = append(out.Body.Items, x)
	}
	return out, nil
}

type macrosInput struct {
	Ticket string `query:"ticket" maxLength:"60" doc:"Only those offered for the ticket with this number" example:"TASK20261122001"`
	api.Page
}

// NewMacro is a macro to be written.
type NewMacro struct {
	Name       string   `json:"name" doc:"At most 80 characters"`
	Scope      string   `json:"scope" enum:"own,department,all"`
	Department string   `json:"department,omitempty" doc:"Name, of scope department"`
	Active     bool     `json:"active"`
	Types      []string `json:"types,omitempty" enum:"consultation,complaint,after_sales,other" doc:"Types of tickets it is offered on; absent: all"`
	States     []string `json:"states,omitempty" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled"`
	Classes    []string `json:"classes,omitempty" enum:"consulting,problem,complaint,support"`
	Steps      []Step   `json:"steps"`
	Version    int64    `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// Macro is several actions under one name.
type Macro struct {
	ID int64 `json:"id"`
	NewMacro
	Uses int64 `json:"uses"`
}

// Step is one action of a macro; each kind has what concerns it.
type Step struct {
	Kind       string `json:"kind" enum:"reply,note,assign,move,urgency,priority,class,category,field,tag,untag,watch"`
	Text       string `json:"text,omitempty" doc:"With its variables: reply, note, move"`
	Verb       string `json:"verb,omitempty" enum:"acknowledge,take,ask,resume,request_confirmation,close,cancel" doc:"move"`
	Code       string `json:"code,omitempty" enum:"withdrawn,spam,mistake" doc:"move cancel: why"`
	To         string `json:"to,omitempty" enum:"me,person,department" doc:"assign"`
	Person     string `json:"person,omitempty" doc:"Login: assign, watch"`
	Department string `json:"department,omitempty" doc:"Name: assign"`
	Reason     string `json:"reason,omitempty" doc:"assign, priority"`
	Urgency    string `json:"urgency,omitempty" enum:"urgent,normal,low"`
	Priority   string `json:"priority,omitempty" enum:"urgent,high,medium,low"`
	Class      string `json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID int64  `json:"category_id,omitempty"`
	Tag        string `json:"tag,omitempty" doc:"Name: tag, untag"`
	Field      string `json:"field,omitempty" doc:"Code of a field of the company's own"`
	Value      string `json:"value,omitempty" doc:"field; of other kinds whatever else it sets"`
}

type macrosOutput struct {
	Body struct {
		Items []Macro `json:"items"`
		Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
	}
}

func (s *service) macros(ctx context.Context, in *macrosInput) (*macrosOutput, error) {
	actor, out := api.Actor(ctx), &macrosOutput{}
	out.Body.Items = []Macro{}
	var ms []canned.Macro
	if in.Ticket != "" {
		t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Ticket)
		if err != nil {
			return nil, err
		}
		if ms, err = s.canned.Offered(ctx, actor, t); err != nil {
			return nil, err
		}
	} else {
		var after canned.Macro
		var err error
		if n, _ := strconv.ParseInt(in.Cursor, 10, 64); n > 0 {
			if after, err = s.canned.Macro(ctx, actor, n); err != nil {
				return nil, err
			}
		}
		var more bool
		if ms, more, err = s.canned.Macros(ctx, actor, after.Name, after.ID); err != nil {
			return nil, err
		}
		if more {
			out.Body.Next = strconv.FormatInt(ms[len(ms)-1].ID, 10)
		}
	}
	for _, m := range ms {
		x, err := s.macroView(ctx, m)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, x)
	}
	return out, nil
}

type runInput struct {
	Number string `path:"number" doc:"Number of the ticket" example:"TASK20261122001"`
	ID     int64  `path:"id" minimum:"1" doc:"Id of the macro" example:"2"`
	api.Idempotency
}

// Ran is the ticket after a macro has run.
type Ran struct {
	Number  string `json:"number"`
	State   string `json:"state" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled"`
	Version int64  `json:"version"`
}

type runOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when this is the stored answer of an earlier request with the same key"`
	Body     Ran
}

func (s *service) run(ctx context.Context, in *runInput) (*runOutput, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	do, err := s.canned.Prepared(ctx, actor, in.ID, t.ID)
	if err != nil {
		return nil, err
	}
	out, replayed, err := api.Once(ctx, s.runner, in.Key, "macro.run", []int64{in.ID, t.ID}, func(ctx context.Context, a *action.Action) (Ran, error) {
		t, err := do(ctx, a)
		return Ran{t.Number, string(t.State), t.Version}, err
	})
	if err != nil {
		return nil, err
	}
	return &runOutput{replayed, out}, nil
}
