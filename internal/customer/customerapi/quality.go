package customerapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/customer"
)

func qualityRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "get-customer-quality", Method: "GET", Path: "/customers/quality", Tag: tag, Perm: customer.PermQuality, Scope: read,
		Summary: "Read the quality of customer data", Description: "How many customers meet what their data are measured by, in all, by department and by owner, for those the caller answers for, and the trend by month. " +
			"A customer may have several flaws; a dimension counts customers with any flaw of it. The definitions are those of `version`."}, s.quality)
	api.Handle(a, api.Op{ID: "list-flawed-customers", Method: "GET", Path: "/customers/quality/records", Tag: tag, Perm: customer.PermQuality, Scope: read, Errors: []int{404},
		Summary: "List the customers behind a figure", Description: "Customers with the flaw, or with any flaw of the dimension, the latest registered first, each with all that is wrong."}, s.flawed)
}

// QualityFigures is how good the data of a group of customers are.
type QualityFigures struct {
	Department string           `json:"department,omitempty"`
	Owner      string           `json:"owner,omitempty" doc:"Login; absent for those without anybody"`
	Customers  int64            `json:"customers"`
	Flawed     map[string]int64 `json:"flawed" doc:"By flaw and by dimension: how many customers do not meet it"`
}

// QualityMonth is a month of the trend; only dimensions are kept.
type QualityMonth struct {
	Month string `json:"month" example:"2026-11"`
	QualityFigures
}

// QualityDefinition says what a flaw is.
type QualityDefinition struct {
	Code      string `json:"code" example:"no_uscc"`
	Dimension string `json:"dimension" enum:"completeness,accuracy,consistency,timeliness"`
}

// Quality is the quality of customer data.
type Quality struct {
	Version     int                 `json:"version" doc:"Of the definitions"`
	CheckedAt   *time.Time          `json:"checked_at,omitempty" doc:"When all customers were last gone through"`
	Definitions []QualityDefinition `json:"definitions"`
	Total       QualityFigures      `json:"total"`
	Departments []QualityFigures    `json:"departments"`
	Owners      []QualityFigures    `json:"owners"`
	Months      []QualityMonth      `json:"months"`
}

type qualityOutput struct{ Body Quality }

func (s *service) quality(ctx context.Context, _ *struct{}) (*qualityOutput, error) {
	r, err := s.customers.Quality(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	figures := func(g customer.QualityGroup) QualityFigures {
		f := QualityFigures{Department: g.Department, Customers: g.N, Flawed: g.Flawed}
		if p := s.people.Person(ctx, nil, g.OwnerID); p != nil {
			f.Owner = p.Login
		}
		return f
	}
	out := &qualityOutput{Quality{Version: customer.QualityVersion, Total: figures(r.Total), Definitions: []QualityDefinition{}, Departments: []QualityFigures{}, Owners: []QualityFigures{}, Months: []QualityMonth{}}}
	out.Body.CheckedAt = api.At(ctx, r.CheckedAt)
	for _, m := range customer.Measures {
		out.Body.Definitions = append(out.Body.Definitions, QualityDefinition{m.Code, string(m.Of)})
	}
	for _, g := range r.Departments {
		out.Body.Departments = append(out.Body.Departments, figures(g))
	}
	for _, g := range r.People {
		out.Body.Owners = append(out.Body.Owners, figures(g))
	}
	for _, m := range r.Months {
		out.Body.Months = append(out.Body.Months, QualityMonth{m.Month, figures(m.QualityGroup)})
	}
	return out, nil
}

type flawedInput struct {
	Code       string `query:"code" required:"true" maxLength:"40" doc:"A flaw or a dimension" example:"no_uscc"`
	Department string `query:"department" doc:"Name of the department"`
	Owner      string `query:"owner" doc:"Login of who looks after them; none for those without anybody"`
	api.Page
}

// FlawedCustomer is a customer with what is wrong with his data.
type FlawedCustomer struct {
	Customer
	Flaws []string `json:"flaws"`
}

type flawedOutput struct {
	Body struct {
		Items []FlawedCustomer `json:"items"`
		Next  string           `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
	}
}

func (s *service) flawed(ctx context.Context, in *flawedInput) (*flawedOutput, error) {
	f := customer.QualityFilter{Code: in.Code, After: in.Cursor, Limit: in.Limit}
	var err error
	if in.Owner == "none" {
		f.OwnerID = -1
	} else if f.OwnerID, err = s.people.PersonID(ctx, "owner", in.Owner); err != nil {
		return nil, err
	}
	if f.DepartmentID, err = s.people.DepartmentID(ctx, "department", in.Department); err != nil {
		return nil, err
	}
	rows, next, err := s.customers.Flawed(ctx, api.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	out := &flawedOutput{}
	out.Body.Items, out.Body.Next = make([]FlawedCustomer, 0, len(rows)), next
	for _, r := range rows {
		x := FlawedCustomer{Customer: s.view(ctx, nil, r.Customer), Flaws: []string{}}
		for _, m := range r.Flaws {
			x.Flaws = append(x.Flaws, m.Code)
		}
		out.Body.Items = append(out.Body.Items, x)
	}
	return out, nil
}
