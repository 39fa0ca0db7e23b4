package org

import (
	"context"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Candidate is somebody new work may be given to.
type Candidate struct {
	ID       int64
	Name     string
	Capacity int64 // open tickets he can carry
}

// OnDuty returns who may be given work of the department now: active, online,
// at work, not away, a member by home or team, and holding perm. Whether he is below his
// capacity knows only the room that counts the work. By id; q is that of the
// action under way.
func (s *Service) OnDuty(ctx context.Context, q db.Querier, departmentID int64, perm authz.Permission) ([]Candidate, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	var out []Candidate
	for _, id := range o.members[departmentID] {
		u := o.users[id]
		if u.Availability == Online && !u.Away(now) && u.AtWork(now) && o.levels(u.RoleIDs)[perm] > authz.None {
			out = append(out, Candidate{ID: u.ID, Name: u.Name, Capacity: u.Capacity})
		}
	}
	return out, nil
}

// CanBeGiven reports whether a named colleague may be given work of the
// department by hand: like OnDuty, but somebody busy or offline may be chosen
// on purpose.
func (s *Service) CanBeGiven(ctx context.Context, q db.Querier, userID, departmentID int64, perm authz.Permission) (bool, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return false, err
	}
	u := o.users[userID]
	return u != nil && u.Active && (departmentID == 0 || slices.Contains(o.members[departmentID], userID)) &&
		o.levels(u.RoleIDs)[perm] > authz.None, nil
}

// SupervisorOf returns who answers for the department: its supervisor, else its
// head, else the same of the department above, and so on. Inactive people are
// passed over. 0 when there is nobody up to the top.
func (s *Service) SupervisorOf(ctx context.Context, q db.Querier, departmentID int64) (userID int64, err error) {
	return s.up(ctx, q, departmentID, func(d *Department) []int64 { return []int64{d.SupervisorID, d.HeadID} })
}

// HeadOf returns the head of the department, else of the one above, and so on;
// 0 when there is nobody.
func (s *Service) HeadOf(ctx context.Context, q db.Querier, departmentID int64) (userID int64, err error) {
	return s.up(ctx, q, departmentID, func(d *Department) []int64 { return []int64{d.HeadID} })
}

func (s *Service) up(ctx context.Context, q db.Querier, id int64, who func(*Department) []int64) (int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return 0, err
	}
	for d := o.departments[id]; d != nil; d = o.departments[d.ParentID] {
		for _, u := range who(d) {
			if p := o.users[u]; p != nil && p.Active {
				return u, nil
			}
		}
	}
	return 0, nil
}

// StandIn returns who acts for the user now: himself, or while he is away his
// delegate, or the delegate's. An inactive delegate stands in for nobody.
func (s *Service) StandIn(ctx context.Context, q db.Querier, userID int64) (int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return 0, err
	}
	now := s.d.Clock().Now()
	at := userID
	for range 5 { // two who stand in for each other
		u := o.users[at]
		if u == nil || !u.Away(now) || u.DelegateID == 0 {
			return at, nil
		}
		if next := o.users[u.DelegateID]; next == nil || !next.Active {
			return at, nil
		}
		at = u.DelegateID
	}
	return userID, nil
}

// StandsInFor returns the active colleagues who are away now and have named the
// user as their delegate, by id: nobody while he is away himself.
func (s *Service) StandsInFor(ctx context.Context, q db.Querier, userID int64) ([]int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	if me := o.users[userID]; me == nil || !me.Active || me.Away(now) {
		return nil, nil
	}
	var out []int64
	for id, u := range o.users {
		if u.DelegateID == userID && id != userID && u.Active && u.Away(now) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Holders returns the active users holding perm, by id: whom to tell.
func (s *Service) Holders(ctx context.Context, q db.Querier, perm authz.Permission) ([]int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []int64
	for id, u := range o.users {
		if u.Active && o.levels(u.RoleIDs)[perm] > authz.None {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}
