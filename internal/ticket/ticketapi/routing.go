package ticketapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

const configure = "tickets:configure"

// routingRoutes adds the routing table, trying it, and why a ticket came to
// whom it came.
func (s *service) routingRoutes(a *api.API) {
	op := func(id, method, path, summary, description string) api.Op {
		o := api.Op{ID: id, Method: method, Path: path, Tag: "Routing", Perm: ticket.PermConfigure, Scope: configure, Summary: summary, Description: description, Errors: []int{404, 409}}
		if method == "GET" {
			o.Errors = nil
		}
		return o
	}
	api.Handle(a, op("get-routing", "GET", "/routing", "Read the routing in force", "Rules in the order they are asked, the one for the rest last; how each department finds the person; skills."), s.routing)
	create := op("create-routing-rule", "POST", "/routing/rules", "Add a routing rule", "Before the one for the rest. A request must meet all conditions; of each list one entry is enough.")
	create.Status, create.Example = 201, `{"name":"医疗器械","types":["after_sales"],"keywords":["校准","无菌"],"department":"技术支持部","active":true}`
	api.Handle(a, create, s.createRule)
	api.Handle(a, op("update-routing-rule", "PUT", "/routing/rules/{id}", "Change a routing rule", "As a whole, from the `version` that was read. The one for the rest has no conditions and is always active."), s.updateRule)
	api.Handle(a, op("delete-routing-rule", "DELETE", "/routing/rules/{id}", "Delete a routing rule", "The one for the rest stays: a 409."), s.deleteRule)
	api.Handle(a, op("move-routing-rule", "POST", "/routing/rules/{id}/position", "Move a routing rule", "`by` places further down, or up when negative."), s.moveRule)
	api.Handle(a, op("set-routing-chain", "PUT", "/routing/chains", "Say how a department finds the person", "Up to four strategies, asked in order until one has an answer: pull (its people take from the queue), round_robin, least_loaded, skill, last_handler, owner. Only the last may be one of the first three."), s.setChain)
	skill := op("create-routing-skill", "POST", "/routing/skills", "Add a skill", "With the requests that ask for it. Who has it is said with the people.")
	skill.Status, skill.Example = 201, `{"name":"影像设备","types":["after_sales"]}`
	api.Handle(a, skill, s.createSkill)
	api.Handle(a, op("update-routing-skill", "PUT", "/routing/skills/{id}", "Change a skill", "Its name and the requests that ask for it, as a whole."), s.updateSkill)
	api.Handle(a, op("delete-routing-skill", "DELETE", "/routing/skills/{id}", "Delete a skill", "It is taken from everybody."), s.deleteSkill)
	try := op("try-routing", "POST", "/routing/trial", "Try the routing", "What would become of a request now; nothing is registered.")
	try.Errors, try.Example = nil, `{"type":"after_sales","channel":"phone","level":"vip","text":"监护仪校准后报警"}`
	api.Handle(a, try, s.tryRouting)
	api.Handle(a, api.Op{ID: "explain-ticket-routing", Method: "GET", Path: "/tickets/{number}/routing", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Why a ticket is with whom it is with", Description: "Each time it came to a department or person, the newest first; where routing decided, with the rule, the strategies asked and the people looked at, as they were then."}, s.explain)
}

// RuleConditions are what a request must meet.
type RuleConditions struct {
	Types       []string `json:"types,omitempty" enum:"consultation,complaint,after_sales,other"`
	Classes     []string `json:"classes,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryIDs []int64  `json:"category_ids,omitempty" doc:"With those below them"`
	Channels    []string `json:"channels,omitempty" enum:"phone,chat,email,social,website,walk_in,paper,api"`
	Levels      []string `json:"levels,omitempty" enum:"normal,vip,strategic"`
	Keywords    []string `json:"keywords,omitempty" doc:"Part of title or description, in whatever width and case"`
}

// NewRule is a routing rule to be written.
type NewRule struct {
	Name string `json:"name,omitempty" doc:"At most 40 characters"`
	RuleConditions
	Department string `json:"department" doc:"Name of where it leads" example:"技术支持部"`
	Active     bool   `json:"active"`
	Version    int64  `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// Rule is a routing rule.
type Rule struct {
	ID int64 `json:"id"`
	NewRule
	Rest bool `json:"rest,omitempty" doc:"Whether it takes what no other does"`
}

// Chain is how a department finds the person.
type Chain struct {
	Department string   `json:"department" doc:"Name" example:"技术支持部"`
	Strategies []string `json:"strategies" enum:"pull,round_robin,least_loaded,skill,last_handler,owner"`
}

// NewSkill is a skill to be written.
type NewSkill struct {
	Name        string   `json:"name" example:"影像设备"`
	Types       []string `json:"types,omitempty" enum:"consultation,complaint,after_sales,other" doc:"Of requests that ask for it"`
	CategoryIDs []int64  `json:"category_ids,omitempty" doc:"Of requests that ask for it, with those below them"`
}

// Skill is what people are good at.
type Skill struct {
	ID int64 `json:"id"`
	NewSkill
	People int `json:"people" doc:"How many have it"`
}

// Routing is all that routing follows.
type Routing struct {
	Rules  []Rule  `json:"rules"`
	Chains []Chain `json:"chains"`
	Skills []Skill `json:"skills"`
}

type routingOutput struct{ Body Routing }

func (s *service) routing(ctx context.Context, _ *struct{}) (*routingOutput, error) {
	rt, err := s.tickets.Routing(ctx)
	if err != nil {
		return nil, err
	}
	out := Routing{Rules: []Rule{}, Chains: []Chain{}, Skills: []Skill{}}
	for _, r := range rt.Rules {
		out.Rules = append(out.Rules, s.ruleView(ctx, r))
	}
	nodes, err := s.people.Org.Tree(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range nodes {
		if d.Active {
			out.Chains = append(out.Chains, Chain{d.Name, codes(rt.Chain(d.ID))})
		}
	}
	for _, k := range rt.Skills {
		out.Skills = append(out.Skills, Skill{k.ID, NewSkill{k.Name, k.Types, k.Categories}, k.People})
	}
	return &routingOutput{out}, nil
}

func codes[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, string(x))
	}
	return out
}

func (s *service) ruleView(ctx context.Context, r ticket.Rule) Rule {
	c := r.Conditions
	return Rule{r.ID, NewRule{r.Name, RuleConditions{c.Types, c.Classes, c.Categories, c.Channels, c.Levels, c.Keywords}, s.people.Department(ctx, nil, r.DepartmentID), r.Active, r.Version}, r.Rest()}
}

func (s *service) ruleInput(ctx context.Context, id int64, n NewRule) (r ticket.Rule, err error) {
	c := n.RuleConditions
	r = ticket.Rule{ID: id, Name: n.Name, Active: n.Active, Version: n.Version,
		Conditions: ticket.Conditions{Types: c.Types, Classes: c.Classes, Categories: c.CategoryIDs, Channels: c.Channels, Levels: c.Levels, Keywords: c.Keywords}}
	r.DepartmentID, err = s.people.DepartmentID(ctx, "department", n.Department)
	return r, err
}

type ruleOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Rule
}

func (s *service) createRule(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewRule]
}) (*ruleOutput, error) {
	n := in.Body.Value()
	r, err := s.ruleInput(ctx, 0, n)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.save_rule", n, func(ctx context.Context, a *action.Action) (int64, error) { return s.tickets.SaveRuleIn(ctx, a, r) })
	return s.ruleNow(ctx, id, replayed, err)
}

// ruleNow answers a change with the rule as it is.
func (s *service) ruleNow(ctx context.Context, id int64, replayed string, err error) (*ruleOutput, error) {
	if err != nil {
		return nil, err
	}
	rt, err := s.tickets.Routing(ctx)
	if err != nil {
		return nil, err
	}
	r, ok := rt.Rule(id)
	if !ok {
		return nil, fault.New(fault.NotFound, "ui.error.not_found")
	}
	return &ruleOutput{replayed, s.ruleView(ctx, r)}, nil
}

// RulePath names a routing rule.
type RulePath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the rule" example:"3"`
}

func (s *service) updateRule(ctx context.Context, in *struct {
	RulePath
	Body api.JSON[NewRule]
}) (*ruleOutput, error) {
	n := in.Body.Value()
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	r, err := s.ruleInput(ctx, in.ID, n)
	if err != nil {
		return nil, err
	}
	_, err = s.tickets.SaveRule(ctx, api.Actor(ctx), r)
	return s.ruleNow(ctx, in.ID, "", err)
}

func (s *service) deleteRule(ctx context.Context, in *struct{ RulePath }) (*struct{}, error) {
	return nil, s.tickets.RemoveRule(ctx, api.Actor(ctx), in.ID)
}

// Shift moves a rule.
type Shift struct {
	By int `json:"by" example:"-1"`
}

func (s *service) moveRule(ctx context.Context, in *struct {
	RulePath
	Body api.JSON[Shift]
}) (*routingOutput, error) {
	if err := s.tickets.MoveRule(ctx, api.Actor(ctx), in.ID, in.Body.Value().By); err != nil {
		return nil, err
	}
	return s.routing(ctx, nil)
}

func (s *service) setChain(ctx context.Context, in *struct{ Body api.JSON[Chain] }) (*routingOutput, error) {
	c := in.Body.Value()
	d, err := s.people.DepartmentID(ctx, "department", c.Department)
	if err != nil {
		return nil, err
	}
	var chain []ticket.Strategy
	for _, x := range c.Strategies {
		chain = append(chain, ticket.Strategy(x))
	}
	if err := s.tickets.SetChain(ctx, api.Actor(ctx), d, chain); err != nil {
		return nil, err
	}
	return s.routing(ctx, nil)
}

type skillOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Skill
}

func (s *service) createSkill(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewSkill]
}) (*skillOutput, error) {
	n := in.Body.Value()
	id, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.save_skill", n, func(ctx context.Context, a *action.Action) (int64, error) {
		return s.tickets.SaveSkillIn(ctx, a, ticket.Skill{Name: n.Name, Types: n.Types, Categories: n.CategoryIDs}, false)
	})
	return s.skillNow(ctx, id, replayed, err)
}

func (s *service) skillNow(ctx context.Context, id int64, replayed string, err error) (*skillOutput, error) {
	if err != nil {
		return nil, err
	}
	rt, err := s.tickets.Routing(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rt.Skills, func(k ticket.Skill) bool { return k.ID == id })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "ui.error.not_found")
	}
	k := rt.Skills[i]
	return &skillOutput{replayed, Skill{k.ID, NewSkill{k.Name, k.Types, k.Categories}, k.People}}, nil
}

// SkillPath names a skill.
type SkillPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the skill" example:"2"`
}

func (s *service) updateSkill(ctx context.Context, in *struct {
	SkillPath
	Body api.JSON[NewSkill]
}) (*skillOutput, error) {
	n := in.Body.Value()
	_, err := s.tickets.SaveSkill(ctx, api.Actor(ctx), ticket.Skill{ID: in.ID, Name: n.Name, Types: n.Types, Categories: n.CategoryIDs}, false)
	return s.skillNow(ctx, in.ID, "", err)
}

func (s *service) deleteSkill(ctx context.Context, in *struct{ SkillPath }) (*struct{}, error) {
	return nil, s.tickets.RemoveSkill(ctx, api.Actor(ctx), in.ID)
}

// Request is what routing looks at.
type Request struct {
	Type       string `json:"type" enum:"consultation,complaint,after_sales,other"`
	Class      string `json:"class,omitempty" enum:"consulting,problem,complaint,support"`
	CategoryID int64  `json:"category_id,omitempty"`
	Channel    string `json:"channel,omitempty" enum:"phone,chat,email,social,website,walk_in,paper,api"`
	Level      string `json:"level,omitempty" enum:"normal,vip,strategic" doc:"Of the customer"`
	Text       string `json:"text,omitempty" doc:"Title and description"`
	Customer   string `json:"customer,omitempty" doc:"Number of the customer, for last_handler and owner"`
}

// Decision is how a request came, or would come, to its department and person.
type Decision struct {
	Department string         `json:"department"`
	Rule       string         `json:"rule,omitempty" doc:"Name of the rule that took it, or its id"`
	Met        []Hit          `json:"met,omitempty" doc:"What of the request met the rule; nothing of the one for the rest"`
	Given      bool           `json:"given,omitempty" doc:"Whether the department was given"`
	Asked      []Asked        `json:"asked" doc:"Strategies, in order, until one had an answer"`
	People     []Considered   `json:"people" doc:"Who was looked at: the chosen, the free, the others"`
	Chosen     *orgapi.Person `json:"chosen,omitempty" doc:"Absent: the supervisor, or whoever takes it"`
	Supervisor *orgapi.Person `json:"supervisor,omitempty" doc:"On whose desk it lies when nobody was chosen"`
}

// Hit is a condition and what met it.
type Hit struct {
	Field string `json:"field" enum:"type,class,category,channel,level,keyword"`
	Value string `json:"value,omitempty"`
}

// Asked is a strategy with what came of it.
type Asked struct {
	Strategy string         `json:"strategy" enum:"pull,round_robin,least_loaded,skill,last_handler,owner"`
	Result   string         `json:"result" enum:"chosen,queue,empty,unknown,not_free,outside,no_skill"`
	Person   *orgapi.Person `json:"person,omitempty" doc:"Last handler, owner"`
}

// Considered is somebody who was looked at.
type Considered struct {
	Person   orgapi.Person `json:"person"`
	Open     int64         `json:"open" doc:"Tickets he has"`
	Capacity int64         `json:"capacity"`
	Skills   int           `json:"skills,omitempty" doc:"Of those asked for"`
	Why      string        `json:"why_not,omitempty" enum:"no_right,before,leaving,away,offline,busy,full"`
}

func (s *service) decision(ctx context.Context, d ticket.Decision) Decision {
	v := Decision{Department: s.people.Department(ctx, nil, d.Department), Rule: d.Name, Given: d.Given, Asked: []Asked{}, People: []Considered{},
		Chosen: s.people.Person(ctx, nil, d.Chosen), Supervisor: s.people.Person(ctx, nil, d.Supervisor)}
	if d.Rule != 0 && v.Rule == "" {
		v.Rule = strconv.FormatInt(d.Rule, 10)
	}
	for _, h := range d.Hits {
		v.Met = append(v.Met, Hit{h.Field, h.Value})
	}
	for _, t := range d.Tried {
		v.Asked = append(v.Asked, Asked{string(t.Strategy), t.Result, s.people.Person(ctx, nil, t.User)})
	}
	for _, c := range d.People {
		if p := s.people.Person(ctx, nil, c.User); p != nil {
			v.People = append(v.People, Considered{*p, c.Open, c.Capacity, c.Skills, c.Why})
		}
	}
	return v
}

// Trial is what would become of a request.
type Trial struct {
	Decision
	Rules []Checked `json:"rules" doc:"That were looked at, in order"`
}

// Checked is a rule with what it said to a request.
type Checked struct {
	ID     int64  `json:"id"`
	Name   string `json:"name,omitempty"`
	Missed string `json:"missed,omitempty" enum:"type,class,category,channel,level,keyword" doc:"First condition that is not met; absent: all are"`
}

func (s *service) tryRouting(ctx context.Context, in *struct{ Body api.JSON[Request] }) (*struct{ Body Trial }, error) {
	b := in.Body.Value()
	r := ticket.Request{Type: b.Type, Class: b.Class, CategoryID: b.CategoryID, Channel: b.Channel, Level: b.Level, Text: b.Text}
	if b.Customer != "" {
		c, err := s.customers.ByNumber(ctx, customer.View(api.Actor(ctx)), b.Customer)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Invalidf("api.invalid").Field("customer", "api.unknown_customer", b.Customer)
		} else if err != nil {
			return nil, err
		}
		r.CustomerID, r.OwnerID = c.ID, c.OwnerID
		if r.Level == "" {
			r.Level = string(c.Level)
		}
	}
	t, err := s.tickets.TryRouting(ctx, r)
	if err != nil {
		return nil, err
	}
	v := Trial{Decision: s.decision(ctx, t.Decision), Rules: []Checked{}}
	for _, c := range t.Rules {
		v.Rules = append(v.Rules, Checked{c.ID, c.Name, c.Missed})
	}
	return &struct{ Body Trial }{v}, nil
}

// Step is how a ticket came to somebody, or away from him.
type Step struct {
	At       *time.Time `json:"at"`
	By       string     `json:"by,omitempty" doc:"Name; absent for the system"`
	Says     string     `json:"says" doc:"In the language of the request"`
	Reason   string     `json:"reason,omitempty"`
	Decision *Decision  `json:"decision,omitempty" doc:"Absent when it was said by hand"`
}

// Explanation is why a ticket is with whom it is with.
type Explanation struct {
	Steps []Step `json:"steps"`
}

func (s *service) explain(ctx context.Context, in *struct{ Path }) (*struct{ Body Explanation }, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	gs, err := s.tickets.Given(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Explanation }{Explanation{Steps: make([]Step, 0, len(gs))}}
	for _, g := range gs {
		x := Step{At: api.At(ctx, db.FromMicros(g.Stored.At)), Says: g.Sentence(web.From(ctx).Lang), Reason: g.Reason}
		if g.ActorKind == authz.User || g.ActorKind == authz.Customer {
			x.By = g.ActorName
		}
		if g.Route != nil {
			d := s.decision(ctx, *g.Route)
			x.Decision = &d
		}
		out.Body.Steps = append(out.Body.Steps, x)
	}
	return out, nil
}
