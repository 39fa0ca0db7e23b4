package org

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Sessions is where sign-ins are kept; *web.Sessions is one.
type Sessions interface {
	Create(ctx context.Context, q db.Querier, userID int64, ip, userAgent string) (token string, err error)
	List(ctx context.Context, userID int64) ([]web.Session, error)
	RevokeAll(ctx context.Context, tx *db.Tx, userID, except int64) error
	Forget(userID int64)
}

// Work is open work another room keeps for people and departments, so that
// nobody leaves with it (ORG-7). Each func may be nil.
type Work struct {
	Name         string // locale key with the count as {0}: "ticket.open_work"
	OfUser       func(ctx context.Context, q db.Querier, userID int64) (int, error)
	OfDepartment func(ctx context.Context, q db.Querier, departmentID int64) (int, error)
	// HandOver moves all open work of one colleague to another inside the action
	// that deactivates him, and returns how much it was.
	HandOver func(ctx context.Context, a *action.Action, from, to int64) (int, error)
	// Page is where it can be given to others while he stays, with his id as
	// {id}; "" nowhere.
	Page string
	// Pass reports whether actor may do so with the work of user, who works in the
	// department.
	Pass func(actor authz.Actor, user, department int64) bool
}

// Service is the room's only door. It is safe for use by many goroutines once
// it is set up (Attach, AddWork).
type Service struct {
	run      *action.Runner
	d        *db.DB
	sessions Sessions
	works    []Work
	ties     []Tie
	ownField func(ctx context.Context, l i18n.Lang, label string) string

	snap    atomic.Pointer[snapshot]
	loading sync.Mutex
	dropped atomic.Int64 // how often the snapshot was thrown away

	bearers bearers
	ghosts  ghosts
	hasher  hasher
}

// New returns the service on the store of run.
func New(run *action.Runner) *Service {
	s := &Service{run: run, d: run.DB(), sessions: noSessions{}, hasher: argon{}}
	s.d.Hear(changedHint, func(string) { s.forget() })
	s.d.Hear(tokenHint, func(string) { s.bearers.clear() })
	return s
}

// Attach names the store of sign-ins. It is not an argument of New because that
// store asks this service who a user is.
func (s *Service) Attach(x Sessions) { s.sessions = x }

// Tie refuses to close a department that something else is built on, and names
// it; nil: nothing here is.
type Tie func(ctx context.Context, q db.Querier, d Department) error

// AddTie registers what may hold a department open.
func (s *Service) AddTie(f Tie) { s.ties = append(s.ties, f) }

// AddWork registers work that can be handed over.
func (s *Service) AddWork(w Work) { s.works = append(s.works, w) }

type noSessions struct{}

func (noSessions) Create(context.Context, db.Querier, int64, string, string) (string, error) {
	return "", errors.New("org: no sessions attached")
}
func (noSessions) List(context.Context, int64) ([]web.Session, error)    { return nil, nil }
func (noSessions) RevokeAll(context.Context, *db.Tx, int64, int64) error { return nil }
func (noSessions) Forget(int64)                                          {}

// generation is the counter row that grows with every change of the
// organisation. Its lock also lets one such change through at a time, so that
// "is there another administrator" is answered for good.
const generation = "org.generation"

// GenerationCounter is its name: who works by what the organisation was and
// must not miss a change holds its row until he is done.
const GenerationCounter = generation

// change runs a change of the organisation: it needs perm, comes one at a time,
// and is seen by everybody's next request.
func (s *Service) change(ctx context.Context, actor authz.Actor, perm authz.Permission, name string, fn func(ctx context.Context, a *action.Action) error) error {
	if err := actor.Check(perm); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		if err := s.touch(ctx, a); err != nil {
			return err
		}
		return fn(ctx, a)
	})
}

func (s *Service) touch(ctx context.Context, a *action.Action) error {
	_, err := a.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + 1`, generation)
	if err != nil {
		return fmt.Errorf("org: generation: %w", err)
	}
	a.Keep(generationOf{}, nil)
	a.AfterCommit(s.drop)
	return nil
}

// drop throws the snapshot away; a load that began before does not bring an
// older one back.
func (s *Service) drop() {
	s.forget()
	s.d.Tell(changedHint, "")
}

// Hints for the other nodes: the organisation was changed, a token revoked.
const (
	changedHint = "org"
	tokenHint   = "token"
)

func (s *Service) forget() {
	s.dropped.Add(1)
	s.snap.Store(nil)
}

// oneAdmin refuses what would leave nobody to administer the company.
func (s *Service) oneAdmin(ctx context.Context, a *action.Action) error {
	var n int
	err := a.QueryRow(ctx, `
		SELECT COUNT(*)
		FROM   users u
		WHERE  u.active = 1
		  AND  EXISTS (SELECT 1 FROM user_roles r JOIN role_permissions p ON p.role_id = r.role_id
		               WHERE r.user_id = u.id AND p.permission = $1)`, string(PermManage)).Scan(&n)
	if err != nil {
		return fmt.Errorf("org: count administrators: %w", err)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "org.user.last_admin")
	}
	return nil
}

func notFound() error { return fault.New(fault.NotFound, "org.not_found") }

func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return notFound()
	}
	return err
}

// changedMeanwhile turns "no row updated" into the refusal of a stale form.
func changedMeanwhile(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "org.changed_meanwhile")
	}
	return nil
}

// diff collects what a form changed.
type diff []event.Change

func (d *diff) add(field, old, now string) {
	if old != now {
		*d = append(*d, event.Change{Field: field, Old: old, New: now})
	}
}

func about(kind, subject string, id int64, f Facts) event.Event {
	return event.Event{Kind: kind, Subject: event.Subject{Type: subject, ID: id}, Data: f}
}
