// Package privacyapi is the JSON API of what the company answers for: requests
// of persons about their own data, deletions of customers and disclosures.
package privacyapi

import (
	"context"
	"fmt"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/privacy"
)

type service struct {
	run       *action.Runner
	privacy   *privacy.Service
	customers *customer.Service
	people    orgapi.Directory
}

const (
	tag      = "Privacy"
	read     = "privacy:read"
	write    = "privacy:write"
	disclose = "privacy:disclose"
	manage   = "privacy:manage"
)

// Routes adds the operations.
func Routes(a *api.API, run *action.Runner, p *privacy.Service, customers *customer.Service, o *org.Service) {
	s := &service{run, p, customers, orgapi.Directory{Org: o}}
	requestRoutes(a, s)
	deletionRoutes(a, s)
	disclosureRoutes(a, s)
	retentionRoutes(a, s)
}

// Path names a record.
type Path struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the record" example:"12"`
}

// before is the place a cursor stands for.
func before(cursor string) int64 {
	id, _ := strconv.ParseInt(cursor, 10, 64)
	return id
}

// cut returns a page of list, which was read one longer, and the next cursor.
func cut[T any](list []T, limit int, id func(T) int64) ([]T, string) {
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], strconv.FormatInt(id(list[limit-1]), 10)
}

func located(what string, id int64) string { return fmt.Sprintf("%s/%s/%d", api.Prefix, what, id) }

// numbered returns the ids of customers in the caller's scope by their numbers;
// others are refused at the field, whether there are any or not.
func (s *service) numbered(ctx context.Context, field string, numbers []string) ([]int64, error) {
	byID, _, err := s.customers.Targets(ctx, s.run.DB().Read(), customer.View(api.Actor(ctx)), numbers, nil)
	if err != nil {
		return nil, err
	}
	e := fault.Invalidf("api.invalid")
	ids := make([]int64, 0, len(numbers))
	for i, n := range numbers {
		if len(byID[n]) == 0 {
			e.Field(fmt.Sprintf("%s.%d", field, i), "api.unknown_customer", n)
			continue
		}
		ids = append(ids, byID[n][0].ID)
	}
	return ids, e.OrNil()
}
