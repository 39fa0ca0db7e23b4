package approval

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Filter narrows a list; the zero value is everything in scope.
type Filter struct {
	Kind   Kind
	State  State
	Before int64 // keyset: ids below; 0 to begin
	After  int64 // of Desk, whose oldest come first
	Limit  int   // 0: 50
}

// Page is a piece of a list; Next is 0 at the end.
type Page struct {
	Requests []Request
	Next     int64
}

const mostRows = 200

func (f *Filter) limit() int {
	if f.Limit <= 0 || f.Limit > mostRows {
		f.Limit = 50
	}
	return f.Limit
}

func (f Filter) where(a *db.Args) string {
	var b strings.Builder
	if f.Kind != "" {
		b.WriteString(" AND a.kind = " + a.Add(string(f.Kind)))
	}
	if f.State != "" {
		b.WriteString(" AND a.state = " + a.Add(string(f.State)))
	}
	return b.String()
}

// mine is the condition that it is the actor's turn: his own, or of somebody he
// stands in for now; never with a request of his own, nor at a second step.
func (s *Service) mine(ctx context.Context, q db.Querier, a *db.Args, actor authz.Actor) (string, error) {
	acts, err := s.org.StandsInFor(ctx, q, actor.ID)
	if err != nil {
		return "", err
	}
	acts = append([]int64{actor.ID}, acts...)
	return `a.id IN (SELECT w.approval_id FROM approval_waiting w WHERE w.user_id IN (` + a.AddInts(acts) + `)) AND a.state = 'pending' AND a.requested_by <> ` + a.Add(actor.ID) +
		` AND (EXISTS (SELECT 1 FROM approval_waiting w WHERE w.approval_id = a.id AND w.user_id = ` + a.Add(actor.ID) + `)
		   OR a.same_person = 1
		   OR NOT EXISTS (SELECT 1 FROM approval_history h WHERE h.approval_id = a.id AND h.what = 'approved' AND (h.by_id = ` + a.Add(actor.ID) + ` OR h.for_id = ` + a.Add(actor.ID) + `)))`, nil
}

// Desk returns what waits for the actor's decision, the longest waiting first.
func (s *Service) Desk(ctx context.Context, actor authz.Actor, f Filter) (Page, error) {
	if err := actor.Check(PermUse); err != nil || !person(actor) {
		return Page{}, err
	}
	var a db.Args
	cond, err := s.mine(ctx, s.run.DB().Read(), &a, actor)
	if err != nil {
		return Page{}, err
	}
	return s.page(ctx, cond+f.where(&a)+" AND a.id > "+a.Add(f.After)+" ORDER BY a.id", f.limit(), a.Values)
}

// Waiting returns how many requests wait for the actor's decision, at most limit.
func (s *Service) Waiting(ctx context.Context, actor authz.Actor, limit int) (n int, err error) {
	if !actor.Can(PermUse) || !person(actor) {
		return 0, nil
	}
	var a db.Args
	cond, err := s.mine(ctx, s.run.DB().Read(), &a, actor)
	if err != nil {
		return 0, err
	}
	err = s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM approvals a WHERE `+cond+` LIMIT `+strconv.Itoa(limit)+`) x`, a.Values...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("approval: waiting: %w", err)
	}
	return n, nil
}

// Mine returns what the actor asked for, the newest first.
func (s *Service) Mine(ctx context.Context, actor authz.Actor, f Filter) (Page, error) {
	if err := actor.Check(PermUse); err != nil || !person(actor) {
		return Page{}, err
	}
	var a db.Args
	cond := "a.requested_by = " + a.Add(actor.ID) + f.where(&a)
	return s.page(ctx, cond+before(&a, f.Before), f.limit(), a.Values)
}

// View is the scope in which actor sees the requests of others.
func View(actor authz.Actor) authz.Scope { return authz.For(actor, PermView) }

// All returns the requests sc lets the reader see, the newest first.
func (s *Service) All(ctx context.Context, sc authz.Scope, f Filter) (Page, error) {
	var a db.Args
	cond := where(sc, &a) + f.where(&a)
	return s.page(ctx, cond+before(&a, f.Before), f.limit(), a.Values)
}

// Of returns the requests about a thing the reader may see anyway, the newest
// first: for its page.
func (s *Service) Of(ctx context.Context, about event.Subject, f Filter) (Page, error) {
	var a db.Args
	cond := "a.subject_type = " + a.Add(about.Type) + " AND a.subject_id = " + a.Add(about.ID) + f.where(&a)
	return s.page(ctx, cond+before(&a, f.Before), f.limit(), a.Values)
}

func before(a *db.Args, id int64) string {
	if id == 0 {
		id = 1 << 62
	}
	return " AND a.id < " + a.Add(id) + " ORDER BY a.id DESC"
}

func (s *Service) page(ctx context.Context, tail string, limit int, args []any) (Page, error) {
	q := s.run.DB().Read()
	rs, err := list(ctx, q, tail+" LIMIT "+strconv.Itoa(limit+1), args...)
	if err != nil {
		return Page{}, err
	}
	p := Page{Requests: rs}
	if len(rs) > limit {
		p.Requests = rs[:limit]
		p.Next = rs[limit-1].ID
	}
	var open []int64
	for _, r := range p.Requests {
		if r.State == Pending {
			open = append(open, r.ID)
		}
	}
	waiting, err := storedOf(ctx, q, open)
	if err != nil {
		return Page{}, err
	}
	user, _, err := s.org.Names(ctx)
	if err != nil {
		return Page{}, err
	}
	for i, r := range p.Requests {
		for _, id := range waiting[r.ID] {
			p.Requests[i].Waiting = append(p.Requests[i].Waiting, Waiting{UserID: id, Name: user(id)})
		}
	}
	return p, nil
}

// Get returns a request with its history. Its requester sees it, whoever decides
// or has decided it, and holders of PermView in scope; to others it is not found.
func (s *Service) Get(ctx context.Context, actor authz.Actor, id int64) (Request, error) {
	q := s.run.DB().Read()
	r, err := load(ctx, q, id, "")
	if err != nil {
		return r, err
	}
	if ok, err := s.concerned(ctx, q, actor, r); err != nil {
		return r, err
	} else if !ok {
		return Request{}, notFound()
	}
	if r.History, err = history(ctx, q, id); err != nil {
		return r, err
	}
	ids, err := stored(ctx, q, id)
	if err != nil {
		return r, err
	}
	r.Waiting, err = s.describe(ctx, q, r, ids)
	return r, err
}

// MayDecide reports whether it is the actor's turn, and for whom ("" himself).
func (r Request) MayDecide(actor authz.Actor) (forName string, ok bool) {
	if r.State != Pending || !person(actor) || !actor.Can(PermUse) || r.RequestedBy == actor.ID {
		return "", false
	}
	for _, w := range r.Waiting {
		if w.UserID == actor.ID {
			return "", true
		}
	}
	for _, w := range r.Waiting {
		if w.StandIn == actor.ID {
			return w.Name, true
		}
	}
	return "", false
}

// concerned reports whether the actor may know of r.
func (s *Service) concerned(ctx context.Context, q db.Querier, actor authz.Actor, r Request) (bool, error) {
	if actor.Kind == authz.Worker {
		return true, nil
	}
	if !person(actor) {
		return false, nil
	}
	if View(actor).Matches([]int64{r.RequestedBy}, r.DepartmentID) || r.RequestedBy == actor.ID && actor.Can(PermUse) {
		return true, nil
	}
	if !actor.Can(PermUse) {
		return false, nil
	}
	acts, err := s.org.StandsInFor(ctx, q, actor.ID)
	if err != nil {
		return false, err
	}
	var a db.Args
	acts = append([]int64{actor.ID}, acts...)
	var n int
	err = q.QueryRow(ctx, `
		SELECT (SELECT COUNT(*) FROM approval_waiting WHERE approval_id = `+a.Add(r.ID)+` AND user_id IN (`+a.AddInts(acts)+`)) +
		       (SELECT COUNT(*) FROM approval_history WHERE approval_id = `+a.Add(r.ID)+` AND (by_id = `+a.Add(actor.ID)+` OR for_id = `+a.Add(actor.ID)+`))`, a.Values...).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("approval: who may see %d: %w", r.ID, err)
	}
	if n > 0 {
		return true, nil
	}
	return slices.Contains(r.asked, actor.ID), nil // who was asked learns who was faster
}

// Audience returns whom a change of the request concerns: its requester and all
// who have been asked, and the department it belongs to.
func (s *Service) Audience(ctx context.Context, id int64) (users []int64, department int64, err error) {
	r, err := load(ctx, s.run.DB().Read(), id, "")
	if err != nil {
		return nil, 0, err
	}
	return append([]int64{r.RequestedBy}, r.asked...), r.DepartmentID, nil
}
