package privacyapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/privacy"
)

// retentionRoutes adds how long personal data is kept, and the end of what
// stops its use.
func retentionRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "get-retention", Method: "GET", Path: "/retention", Tag: tag, Perm: privacy.PermManage, Scope: manage,
		Summary: "Read the retention rules", Description: "In months; 0 is for ever."}, s.rules)
	api.Handle(a, api.Op{ID: "set-retention", Method: "PUT", Path: "/retention", Tag: tag, Perm: privacy.PermManage, Scope: manage,
		Example: `{"tickets":36,"customers":60,"imports":6,"exports":3,"deadline":15}`,
		Summary: "Change the retention rules", Description: "As a whole; carried out from the next night on. What they would reach is said by the preview."}, s.setRules)
	api.Handle(a, api.Op{ID: "preview-retention", Method: "POST", Path: "/retention/preview", Tag: tag, Perm: privacy.PermManage, Scope: manage,
		Summary: "What retention rules would reach tonight", Description: "Nothing is changed."}, s.preview)
	api.Handle(a, api.Op{ID: "lift-restriction", Method: "DELETE", Path: "/customers/{number}/restrictions/{kind}", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404},
		Summary: "Lift a restriction", Description: "The customer's data may be used again. One he does not have is a 404."}, s.lift)
}

// Restriction keeps a customer's data from being used.
type Restriction struct {
	Customer string     `json:"customer" doc:"Number" example:"C202611210001"`
	Kind     string     `json:"kind" enum:"restrict,withdraw"`
	Since    *time.Time `json:"since"`
}

// restrictions are those a request has brought that still hold.
func (s *service) restrictions(ctx context.Context, request int64) ([]Restriction, error) {
	list, err := s.privacy.RestrictionsBy(ctx, request)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var ids []int64
	for _, r := range list {
		ids = append(ids, r.CustomerID)
	}
	numbers, err := customer.Numbers(ctx, s.run.DB().Read(), ids)
	if err != nil {
		return nil, err
	}
	out := make([]Restriction, 0, len(list))
	for _, r := range list {
		out = append(out, Restriction{numbers[r.CustomerID], r.Kind, api.At(ctx, r.Since)})
	}
	return out, nil
}

func (s *service) lift(ctx context.Context, in *struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the customer" example:"C202611210001"`
	Kind   string `path:"kind" enum:"restrict,withdraw" doc:"Of what the person asked for"`
}) (*struct{}, error) {
	id, err := customer.IDOf(ctx, s.run.DB().Read(), in.Number)
	if err == nil && id == 0 {
		err = fault.New(fault.NotFound, "ui.error.not_found")
	}
	if err != nil {
		return nil, err
	}
	return nil, s.privacy.Lift(ctx, api.Actor(ctx), id, in.Kind)
}

// Rules are how long personal data is kept, in months; 0 is for ever.
type Rules struct {
	Tickets   int `json:"tickets" doc:"Closed ones, at least 6: then personal data leaves them"`
	Customers int `json:"customers" doc:"Without any business, at least 12: then only their numbers stay"`
	Imports   int `json:"imports" doc:"Tables that were imported, and their result files"`
	Exports   int `json:"exports" doc:"Files of exports and disclosures"`
	Deadline  int `json:"deadline" minimum:"1" maximum:"60" doc:"Working days a person's request may take"`
}

type rulesOutput struct{ Body Rules }

func (s *service) rules(ctx context.Context, _ *struct{}) (*rulesOutput, error) {
	r, err := s.privacy.Rules(ctx)
	return &rulesOutput{Rules(r)}, err
}

func (s *service) setRules(ctx context.Context, in *struct{ Body api.JSON[Rules] }) (*rulesOutput, error) {
	if err := s.privacy.SetRules(ctx, api.Actor(ctx), privacy.Rules(in.Body.Value())); err != nil {
		return nil, err
	}
	return s.rules(ctx, nil)
}

// Reach is what rules would reach; absent for a rule that is off.
type Reach struct {
	Tickets   *int `json:"tickets,omitempty"`
	Customers *int `json:"customers,omitempty"`
	Imports   *int `json:"imports,omitempty"`
	Exports   *int `json:"exports,omitempty" doc:"10000 means that many and more"`
}

func (s *service) preview(ctx context.Context, in *struct{ Body api.JSON[Rules] }) (*struct{ Body Reach }, error) {
	p, err := s.privacy.Preview(ctx, privacy.Rules(in.Body.Value()))
	if err != nil {
		return nil, err
	}
	some := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	return &struct{ Body Reach }{Reach{some(p.Tickets), some(p.Customers), some(p.Imports), some(p.Exports)}}, nil
}
