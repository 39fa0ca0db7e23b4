package org

import (
	"context"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// ActorIn is [Service.Actor] inside a transaction.
func (s *Service) ActorIn(ctx context.Context, q db.Querier, userID int64) (authz.Actor, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return authz.Actor{}, err
	}
	return o.actor(userID, s.d.Clock().Now())
}

// CompanyIn is [Service.Company] inside a transaction.
func (s *Service) CompanyIn(ctx context.Context, q db.Querier) (Company, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return Company{}, err
	}
	return o.company, nil
}

// WithRole returns the active users who have the role, by id; ok is false when
// there is no such role.
func (s *Service) WithRole(ctx context.Context, q db.Querier, role int64) (users []int64, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil || o.roles[role] == nil {
		return nil, false, err
	}
	for id, u := range o.users {
		if u.Active && slices.Contains(u.RoleIDs, role) {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users, true, nil
}
