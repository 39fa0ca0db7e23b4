// Package ruleapi is the automation rules' part of the JSON API.
package ruleapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/rule"
)

type service struct{ rules *rule.Service }

const (
	tag   = "Automation rules"
	read  = "rules:read"
	write = "rules:write"
)

// Routes adds the operations on rules. They are made on the pages.
func Routes(a *api.API, rules *rule.Service) {
	s := &service{rules}
	api.Handle(a, api.Op{ID: "list-rules", Method: "GET", Path: "/rules", Tag: tag, Perm: rule.PermView, Scope: read,
		Summary: "List automation rules", Description: "In the order in which they are asked."}, s.list)
	api.Handle(a, api.Op{ID: "get-rule", Method: "GET", Path: "/rules/{id}", Tag: tag, Perm: rule.PermView, Scope: read, Errors: []int{404},
		Summary: "Get an automation rule", Description: "What it waits for, its condition and what it does."}, s.get)
	api.Handle(a, api.Op{ID: "switch-rule", Method: "POST", Path: "/rules/{id}/state", Tag: tag, Perm: rule.PermManage, Scope: write, Errors: []int{404, 409},
		Example: `{"enabled":true}`,
		Summary: "Switch a rule on or off", Description: "A rule that is switched on has to be right as things are now; what is wrong is a 409."}, s.enable)
	api.Handle(a, api.Op{ID: "try-rule", Method: "POST", Path: "/rules/{id}/trial", Tag: tag, Perm: rule.PermManage, Scope: write, Errors: []int{404},
		Example: `{"days":30}`,
		Summary: "Test a rule on past tickets", Description: "What it would have done in the last days, or for a matter of time now. Nothing is written; at most 2,000 events are looked at."}, s.try)
}

// Path names a rule.
type Path struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the rule" example:"3"`
}

// Rule is one automation rule.
type Rule struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name"`
	Note       string     `json:"note,omitempty"`
	Enabled    bool       `json:"enabled"`
	When       string     `json:"when" doc:"In the caller's language"`
	Events     []string   `json:"events" doc:"What it waits for; empty for a matter of time"`
	Condition  string     `json:"condition" doc:"As an expression" example:"priority in [\"urgent\"]"`
	Actions    []string   `json:"actions" doc:"In the caller's language, in their order"`
	StopsAfter bool       `json:"stops_after" doc:"Rules behind it are not asked when it fired"`
	OffReason  string     `json:"off_reason,omitempty" doc:"Code of why the system switched it off"`
	Fired      int64      `json:"fired"`
	FiredAt    *time.Time `json:"fired_at,omitempty"`
	Version    int64      `json:"version"`
}

// List is all rules.
type List struct {
	Items []Rule `json:"items"`
}

type listOutput struct{ Body List }

type output struct{ Body Rule }

func (s *service) views(ctx context.Context, rules ...rule.Rule) ([]Rule, error) {
	l := api.Actor(ctx).Lang
	vs, err := s.rules.Vars(ctx, nil, l)
	if err != nil {
		return nil, err
	}
	names, err := s.rules.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Rule, 0, len(rules))
	for _, r := range rules {
		x := Rule{ID: r.ID, Name: r.Name, Note: r.Note, Enabled: r.Enabled, When: r.When.Say(l), Events: append([]string{}, r.When.Events...), Condition: r.Expr, Actions: []string{},
			StopsAfter: r.StopAfter, OffReason: r.OffReason, Fired: r.Fired, Version: r.Version}
		for _, a := range r.Then {
			x.Actions = append(x.Actions, s.rules.Say(a, l, vs, names))
		}
		if !r.FiredAt.IsZero() {
			x.FiredAt = &r.FiredAt
		}
		out = append(out, x)
	}
	return out, nil
}

func (s *service) list(ctx context.Context, _ *struct{}) (*listOutput, error) {
	all, err := s.rules.List(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	items, err := s.views(ctx, all...)
	return &listOutput{List{items}}, err
}

func (s *service) one(ctx context.Context, r rule.Rule) (*output, error) {
	v, err := s.views(ctx, r)
	if err != nil {
		return nil, err
	}
	return &output{v[0]}, nil
}

func (s *service) get(ctx context.Context, in *struct{ Path }) (*output, error) {
	r, err := s.rules.Get(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return s.one(ctx, r)
}

// Switch is whether a rule shall be on.
type Switch struct {
	Enabled bool `json:"enabled"`
}

type switchInput struct {
	Path
	Body api.JSON[Switch]
}

func (s *service) enable(ctx context.Context, in *switchInput) (*output, error) {
	if _, err := s.rules.SetEnabled(ctx, api.Actor(ctx), in.ID, in.Body.Value().Enabled); err != nil {
		return nil, err
	}
	return s.get(ctx, &struct{ Path }{in.Path})
}

// Try is what a test looks at.
type Try struct {
	Days int `json:"days,omitempty" minimum:"1" maximum:"90" doc:"30 when left out"`
}

type tryInput struct {
	Path
	Body api.JSON[Try]
}

// Trial is the outcome of a test.
type Trial struct {
	Looked int   `json:"looked" doc:"Events, or tickets, that were looked at"`
	More   bool  `json:"more" doc:"There were more"`
	Hits   []Hit `json:"hits"`
}

// Hit is a ticket the rule would have fired on.
type Hit struct {
	Number string    `json:"number"`
	Title  string    `json:"title"`
	At     time.Time `json:"at"`
}

type trialOutput struct{ Body Trial }

func (s *service) try(ctx context.Context, in *tryInput) (*trialOutput, error) {
	actor := api.Actor(ctx)
	r, err := s.rules.Get(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	days := in.Body.Value().Days
	if days == 0 {
		days = 30
	}
	t, err := s.rules.Try(ctx, actor, r, days)
	if err != nil {
		return nil, err
	}
	out := &trialOutput{Trial{Looked: t.Looked, More: t.More, Hits: []Hit{}}}
	for _, h := range t.Hits {
		out.Body.Hits = append(out.Body.Hits, Hit{h.Ticket.Number, h.Ticket.Title, h.At})
	}
	return out, nil
}
