package customerapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/web"
)

// careRoutes adds grade, stage, verification and relations.
func careRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "get-customer-suggestion", Method: "GET", Path: "/customers/{number}/suggestion", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read the suggested grade", Description: "The grade the company's rules would give, with what each factor found."}, s.suggestion)
	api.Handle(a, api.Op{ID: "set-customer-grade", Method: "POST", Path: "/customers/{number}/grade", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404},
		Example: `{"grade":"a","reason":"年采购额超过 200 万元"}`, Summary: "Grade a customer", Description: "The reason stands in the change log. Suggestions that say something else are silent until they change."}, s.setGrade)
	api.Handle(a, api.Op{ID: "move-customer-stage", Method: "POST", Path: "/customers/{number}/stage", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404},
		Example: `{"stage":"lost","cause":"price"}`, Summary: "Move a customer to another stage", Description: "A customer who is lost needs a `cause`; of `other` a reason in words. Dormant is also set after a long silence, and left with any contact, by the program itself."}, s.moveStage)
	api.Handle(a, api.Op{ID: "list-customer-stages", Method: "GET", Path: "/customers/{number}/stages", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read the stages of a customer's life", Description: "The newest step first."}, s.stages)
	api.Handle(a, api.Op{ID: "list-due-verifications", Method: "GET", Path: "/verifications", Tag: tag, Perm: customer.PermEdit, Scope: read,
		Summary: "List profiles to be verified", Description: "The longest due first: by default what the caller himself is to do within two weeks, with `of=team` what is overdue among all customers he may edit."}, s.due)
	api.Handle(a, api.Op{ID: "list-customer-verifications", Method: "GET", Path: "/customers/{number}/verifications", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a customer's verifications", Description: "The newest first."}, s.verified)
	api.Handle(a, api.Op{ID: "verify-customer", Method: "POST", Path: "/customers/{number}/verifications", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404, 409},
		Example: `{"version":3,"answers":{"name":"confirmed","region":"corrected"},"values":{"region":"广东 深圳"},"rest":"confirmed"}`,
		Summary: "Verify a customer's profile", Description: "Every field gets an answer: `confirmed`, `corrected` (its new value in `values`) or `unknown`; `rest` answers for those not named. Fields are named as in `GET /customers/{number}`; those of contacts `contacts.0.phone`, in the order in which they stand there. The next date follows from the level."}, s.verify)
	api.Handle(a, api.Op{ID: "get-customer-relations", Method: "GET", Path: "/customers/{number}/relations", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a customer's group and relations", Description: "The companies he belongs to as a tree, parents before their subsidiaries, and what other customers are to him. Customers beyond the caller's scope are left out; one that holds the tree together has no number."}, s.relations)
	api.Handle(a, api.Op{ID: "add-customer-relation", Method: "POST", Path: "/customers/{number}/relations", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404, 409},
		Example: `{"kind":"supplier","other":"C202611210002"}`, Summary: "Say what a customer is to another", Description: "`kind` is what the customer of the address is to the other."}, s.relate)
	api.Handle(a, api.Op{ID: "remove-customer-relation", Method: "DELETE", Path: "/customers/{number}/relations/{id}", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404},
		Summary: "Take a relation away", Description: "The remaining relations are returned."}, s.unrelate)
	api.Handle(a, api.Op{ID: "set-customer-parent", Method: "POST", Path: "/customers/{number}/parent", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404},
		Example: `{"parent":"C202611210001","reason":"股权变更"}`, Summary: "Set the parent company", Description: "Both must be companies; a circle is refused. An empty `parent` takes it away."}, s.setParent)
	api.Handle(a, api.Op{ID: "move-contact", Method: "POST", Path: "/customers/{number}/contacts/{id}/departure", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404},
		Example: `{"to":"C202611210002","position":"总经理","reason":"跳槽"}`, Summary: "A contact leaves or moves", Description: "With `to` he becomes a contact of that customer, with his numbers and addresses; here he stays as a former one. Without he has left."}, s.departure)
}

func (s *service) find(ctx context.Context, number string) (customer.Customer, error) {
	return s.customers.ByNumber(ctx, customer.View(api.Actor(ctx)), number)
}

// again answers a change with the customer as he is now.
func (s *service) again(ctx context.Context, id int64) (*output, error) {
	c, err := s.customers.Get(ctx, customer.View(api.Actor(ctx)), id)
	if err != nil {
		return nil, err
	}
	return &output{api.Tag(c.Version), s.view(ctx, nil, c)}, nil
}

// other is the id behind the number of another customer; 0 for one out of
// scope, which the room refuses at the field.
func (s *service) other(ctx context.Context, number string) (int64, error) {
	c, err := s.find(ctx, number)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	return c.ID, err
}

// Suggestion is what the rules of grades say.
type Suggestion struct {
	Grade   string     `json:"grade" enum:"a,b,c"`
	Score   int        `json:"score" doc:"0 to 100"`
	Differs bool       `json:"differs" doc:"Whether it is neither the customer's grade nor decided against"`
	Reasons []string   `json:"reasons" doc:"In the language of the request" example:"近 12 个月 8 张工单 +25"`
	At      *time.Time `json:"at"`
}

type suggestionOutput struct{ Body Suggestion }

func (s *service) suggestion(ctx context.Context, in *struct{ Path }) (*suggestionOutput, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	sg, ok, err := s.customers.Suggestion(ctx, customer.View(api.Actor(ctx)), c.ID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "customer.grade.later")
	}
	v := Suggestion{Grade: sg.Grade, Score: sg.Score, Differs: sg.Differs, Reasons: []string{}, At: api.At(ctx, sg.At)}
	for _, w := range sg.Why {
		v.Reasons = append(v.Reasons, w.Say(web.From(ctx).Lang))
	}
	return &suggestionOutput{v}, nil
}

// Grading gives a customer a grade.
type Grading struct {
	Grade  string `json:"grade" enum:",a,b,c" doc:"Empty for none"`
	Reason string `json:"reason"`
}

func (s *service) setGrade(ctx context.Context, in *struct {
	Path
	Body api.JSON[Grading]
}) (*output, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	if err := s.customers.SetGrade(ctx, api.Actor(ctx), c.ID, b.Grade, b.Reason); err != nil {
		return nil, err
	}
	return s.again(ctx, c.ID)
}

// Step moves a customer to another stage.
type Step struct {
	Stage  string `json:"stage" enum:"potential,interested,active,dormant,lost"`
	Cause  string `json:"cause,omitempty" enum:"price,competitor,product,service,no_need,closed,unreachable,other" doc:"Why he was lost"`
	Reason string `json:"reason,omitempty"`
}

func (s *service) moveStage(ctx context.Context, in *struct {
	Path
	Body api.JSON[Step]
}) (*output, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	if err := s.customers.MoveStage(ctx, api.Actor(ctx), c.ID, b.Stage, b.Cause, b.Reason); err != nil {
		return nil, err
	}
	return s.again(ctx, c.ID)
}

// Stages are the steps of a life.
type Stages struct {
	Items []StageLine `json:"items"`
}

// StageLine is one of them.
type StageLine struct {
	From   string     `json:"from"`
	To     string     `json:"to"`
	Cause  string     `json:"cause,omitempty" doc:"Why he was lost; of a rule what set it off: business, silence, contact"`
	Reason string     `json:"reason,omitempty"`
	ByRule bool       `json:"by_rule"`
	By     string     `json:"by"`
	At     *time.Time `json:"at"`
}

func (s *service) stages(ctx context.Context, in *struct{ Path }) (*struct{ Body Stages }, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	lines, err := s.customers.StageHistory(ctx, customer.View(api.Actor(ctx)), c.ID)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Stages }{Stages{[]StageLine{}}}
	for _, l := range lines {
		out.Body.Items = append(out.Body.Items, StageLine{l.From, l.To, l.Cause, l.Reason, l.ByRule, l.Actor, api.At(ctx, l.At)})
	}
	return out, nil
}

type dueInput struct {
	Of string `query:"of" enum:"mine,team" doc:"mine is the default"`
	api.Page
}

func (s *service) due(ctx context.Context, in *dueInput) (*listOutput, error) {
	team := in.Of == "team"
	rows, next, err := s.customers.Verifications(ctx, api.Actor(ctx), customer.VerificationFilter{Mine: !team, Overdue: team, After: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Customer, 0, len(rows)), Next: next}}
	for _, r := range rows {
		out.Body.Items = append(out.Body.Items, s.view(ctx, nil, r.Customer))
	}
	return out, nil
}

// Verifications are those of one customer.
type Verifications struct {
	Items []Verified `json:"items"`
}

// Verified is one of them.
type Verified struct {
	Result string            `json:"result" enum:"confirmed,corrected,unknown"`
	Fields map[string]string `json:"fields" doc:"Answer by field; those of contacts by their id: contact.12.phone"`
	Note   string            `json:"note,omitempty"`
	By     string            `json:"by"`
	At     *time.Time        `json:"at"`
	DueAt  *time.Time        `json:"due_at,omitempty"`
	NextAt *time.Time        `json:"next_at,omitempty"`
}

func (s *service) verified(ctx context.Context, in *struct{ Path }) (*struct{ Body Verifications }, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	all, err := s.customers.VerificationHistory(ctx, customer.View(api.Actor(ctx)), c.ID)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Verifications }{Verifications{[]Verified{}}}
	for _, v := range all {
		out.Body.Items = append(out.Body.Items, Verified{v.Result, v.Fields, v.Note, v.By, api.At(ctx, v.At), api.At(ctx, v.DueAt), api.At(ctx, v.NextAt)})
	}
	return out, nil
}

// Verification is the outcome of going through a profile.
type Verification struct {
	Version         *int64            `json:"version,omitempty" doc:"The version that was read; or send If-Match"`
	Answers         map[string]string `json:"answers,omitempty"`
	Values          map[string]string `json:"values,omitempty" doc:"New values of corrected fields; empty empties the field"`
	Rest            string            `json:"rest,omitempty" enum:"confirmed,unknown" doc:"Answer for all fields not named"`
	Note            string            `json:"note,omitempty" doc:"Also the reason of corrections"`
	DuplicateReason string            `json:"duplicate_reason,omitempty"`
}

func (s *service) verify(ctx context.Context, in *struct {
	Path
	IfMatch string `header:"If-Match" doc:"The ETag that was read" example:"\"3\""`
	Body    api.JSON[Verification]
}) (*output, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	version, err := api.Version(in.IfMatch, b.Version, c.Version)
	if err != nil {
		return nil, err
	}
	answers := map[string]string{}
	for _, f := range customer.VerifyFields(c) {
		if answers[f.Input] = b.Answers[f.Input]; answers[f.Input] == "" {
			answers[f.Input] = b.Rest
		}
	}
	if _, err := s.customers.Verify(ctx, api.Actor(ctx), c.ID, customer.VerifyInput{Version: version, Answers: answers, Values: b.Values, Note: b.Note, DuplicateReason: b.DuplicateReason}); err != nil {
		return nil, Duplicates(err)
	}
	return s.again(ctx, c.ID)
}

// Relations are a customer's group and his relations.
type Relations struct {
	Group     []Member   `json:"group" doc:"Alone: he belongs to no group"`
	Relations []Relation `json:"relations"`
}

// Member is a company of a group.
type Member struct {
	Number       string `json:"number,omitempty" doc:"Absent for a company beyond the caller's scope"`
	Name         string `json:"name,omitempty"`
	Depth        int    `json:"depth" doc:"Steps below the top; a subsidiary follows its parent"`
	OpenTickets  int64  `json:"open_tickets"`
	TotalTickets int64  `json:"total_tickets"`
}

// Relation is what another customer is.
type Relation struct {
	ID     int64      `json:"id"`
	Kind   string     `json:"kind" enum:"partner,supplier,distributor,referrer,same_person,relative"`
	Way    string     `json:"way" enum:"both,out,in" doc:"out: the customer is it to the other; in: the other is it to him"`
	Number string     `json:"number"`
	Name   string     `json:"name"`
	Note   string     `json:"note,omitempty"`
	By     string     `json:"by"`
	At     *time.Time `json:"at"`
}

type relationsOutput struct{ Body Relations }

func (s *service) relations(ctx context.Context, in *struct{ Path }) (*relationsOutput, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return s.relationsOf(ctx, c.ID)
}

func (s *service) relationsOf(ctx context.Context, id int64) (*relationsOutput, error) {
	sc := customer.View(api.Actor(ctx))
	g, err := s.customers.Group(ctx, sc, id)
	if err != nil {
		return nil, err
	}
	rs, err := s.customers.Relations(ctx, sc, id)
	if err != nil {
		return nil, err
	}
	out := &relationsOutput{Relations{[]Member{}, []Relation{}}}
	for _, n := range g.Nodes {
		out.Body.Group = append(out.Body.Group, Member{n.Number, n.Name, n.Depth, n.Open, n.Total})
	}
	for _, r := range rs {
		out.Body.Relations = append(out.Body.Relations, Relation{r.ID, r.Kind, r.Way, r.Other.Number, r.Other.Name, r.Note, r.By, api.At(ctx, r.At)})
	}
	return out, nil
}

// NewRelation says what a customer is to another.
type NewRelation struct {
	Kind  string `json:"kind" enum:"partner,supplier,distributor,referrer,same_person,relative"`
	Other string `json:"other" doc:"Number of the other customer"`
	Note  string `json:"note,omitempty"`
}

func (s *service) relate(ctx context.Context, in *struct {
	Path
	Body api.JSON[NewRelation]
}) (*relationsOutput, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	other, err := s.other(ctx, b.Other)
	if err != nil {
		return nil, err
	}
	if err := s.customers.Relate(ctx, api.Actor(ctx), c.ID, other, b.Kind, b.Note); err != nil {
		return nil, err
	}
	return s.relationsOf(ctx, c.ID)
}

func (s *service) unrelate(ctx context.Context, in *struct {
	Path
	ID int64 `path:"id" doc:"Of the relation"`
}) (*relationsOutput, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if err := s.customers.Unrelate(ctx, api.Actor(ctx), c.ID, in.ID); err != nil {
		return nil, err
	}
	return s.relationsOf(ctx, c.ID)
}

// Parentage sets the parent company.
type Parentage struct {
	Parent string `json:"parent" doc:"Number; empty for none"`
	Reason string `json:"reason,omitempty"`
}

func (s *service) setParent(ctx context.Context, in *struct {
	Path
	Body api.JSON[Parentage]
}) (*relationsOutput, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	var parent int64
	if b.Parent != "" {
		if parent, err = s.other(ctx, b.Parent); err != nil {
			return nil, err
		}
		if parent == 0 {
			return nil, fault.Invalidf("customer.invalid").Field("parent", "customer.parent.unknown")
		}
	}
	if err := s.customers.SetParent(ctx, api.Actor(ctx), c.ID, parent, b.Reason); err != nil {
		return nil, err
	}
	return s.relationsOf(ctx, c.ID)
}

// Departure says where a contact goes.
type Departure struct {
	To       string `json:"to,omitempty" doc:"Number of the customer he goes to; absent: he has left"`
	Position string `json:"position,omitempty" doc:"What he is there"`
	Reason   string `json:"reason,omitempty"`
}

func (s *service) departure(ctx context.Context, in *struct {
	Path
	ID   int64 `path:"id" doc:"Of the contact"`
	Body api.JSON[Departure]
}) (*output, error) {
	c, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	b := in.Body.Value()
	if b.To == "" {
		err = s.customers.LetContactGo(ctx, api.Actor(ctx), c.ID, in.ID, b.Reason)
	} else {
		var to int64
		if to, err = s.other(ctx, b.To); err == nil {
			_, err = s.customers.MoveContact(ctx, api.Actor(ctx), c.ID, in.ID, to, b.Position, b.Reason)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.again(ctx, c.ID)
}
