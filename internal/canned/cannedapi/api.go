// Package cannedapi is the JSON API of canned replies and macros.
package cannedapi

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/canned"
	"bihuan/internal/ticket"
)

type service struct {
	runner  *action.Runner
	canned  *canned.Service
	tickets *ticket.Service
}

const (
	tag   = "Canned replies and macros"
	read  = "canned:read"
	write = "canned:write"
)

// Routes adds the operations.
func Routes(a *api.API, run *action.Runner, c *canned.Service, t *ticket.Service) {
	s := &service{run, c, t}
	api.Handle(a, api.Op{ID: "list-canned-replies", Method: "GET", Path: "/canned-replies", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "List canned replies", Description: "Those the caller sees: his own, his departments' and everybody's. With `ticket`, those that fit `q` and the ticket best come first, filled for it, as they would be inserted; without, by folder and title."}, s.replies)
	api.Handle(a, api.Op{ID: "list-macros", Method: "GET", Path: "/macros", Tag: tag, Perm: canned.PermUse, Scope: read, Errors: []int{404},
		Summary: "List macros", Description: "Those the caller sees; with `ticket`, those offered for it, the most used first."}, s.macros)
	api.Handle(a, api.Op{ID: "run-macro", Method: "POST", Path: "/tickets/{number}/macros/{id}/runs", Tag: tag, Perm: canned.PermUse, Scope: write, Errors: []int{404, 409},
		Summary: "Run a macro", Description: "All of its steps are done in one transaction under the caller's own rights, or none. A step that is refused is answered with its refusal."}, s.run)
}

type repliesInput struct {
	Text   string `query:"q" maxLength:"60" doc:"Short code, pinyin initials, or words of title or text" example:"fahuo"`
	Ticket string `query:"ticket" maxLength:"60" doc:"Number of the ticket to fill and rank for" example:"TASK20261122001"`
	api.Page
}

// Reply is a text that is written often.
type Reply struct {
	ID      int64      `json:"id"`
	Title   string     `json:"title"`
	Code    string     `json:"code,omitempty" doc:"Short code" example:"fahuo"`
	Folder  string     `json:"folder,omitempty"`
	Lang    string     `json:"lang,omitempty" doc:"Language of the text; absent: any"`
	Scope   string     `json:"scope" enum:"own,department,all"`
	Body    string     `json:"body" doc:"With its variables, e.g. {客户姓名}"`
	Filled  string     `json:"filled,omitempty" doc:"With their values for the ticket asked for; sensitive values are masked"`
	Missing []string   `json:"missing,omitempty" doc:"Variables without a value"`
	Types   []string   `json:"types,omitempty" doc:"Types of tickets it is meant for; absent: all"`
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
		x := Reply{ID: r.ID, Title: r.Title, Code: r.Code, Folder: r.Folder, Lang: string(r.Lang), Scope: string(r.Place.Scope), Body: r.Body, Types: r.Types, Uses: r.Uses}
		if !r.UsedAt.IsZero() {
			x.UsedAt = &r.UsedAt
		}
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

// Macro is several actions under one name.
type Macro struct {
	ID      int64    `json:"id"`
	Name    string   `json:"name"`
	Scope   string   `json:"scope" enum:"own,department,all"`
	Active  bool     `json:"active"`
	Types   []string `json:"types,omitempty" doc:"Types of tickets it is offered on; absent: all"`
	States  []string `json:"states,omitempty"`
	Classes []string `json:"classes,omitempty"`
	Steps   []Step   `json:"steps"`
	Uses    int64    `json:"uses"`
}

// Step is one action of a macro.
type Step struct {
	Kind string `json:"kind" enum:"reply,note,assign,move,urgency,priority,class,category,field,watch"`
	Text string `json:"text,omitempty" doc:"With its variables"`
	Verb string `json:"verb,omitempty" doc:"Of a move"`
	To   string `json:"to,omitempty" doc:"Whom a step assigns to: me, person or department"`
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
		x := Macro{ID: m.ID, Name: m.Name, Scope: string(m.Place.Scope), Active: m.Active, Types: m.Types, States: m.States, Classes: m.Classes, Uses: m.Uses, Steps: []Step{}}
		for _, st := range m.Steps {
			x.Steps = append(x.Steps, Step{st.Kind, st.Text, string(st.Verb), st.To})
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
