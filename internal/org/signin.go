package org

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// SignedIn is a sign-in that succeeded.
type SignedIn struct {
	UserID     int64
	Token      string // for the cookie
	MustChange bool
	Lang       i18n.Lang
}

type credentials struct {
	ID         int64
	Login      string
	Name       string
	Active     bool
	MustChange bool
	hash       string
	failed     int
	lockedTill int64
	lang       string
}

func (s *Service) credentials(ctx context.Context, q db.Querier, where string, arg any) (c credentials, err error) {
	err = q.QueryRow(ctx, `SELECT id, login, name, active, must_change, password_hash, failed, locked_until, lang FROM users WHERE `+where, arg).
		Scan(&c.ID, &c.Login, &c.Name, &c.Active, &c.MustChange, &c.hash, &c.failed, &c.lockedTill, &c.lang)
	return c, err
}

// refused is what everybody is told whose sign-in fails: it does not say
// whether there is such an account.
func (p SignInPolicy) refused() error {
	return fault.New(fault.Invalid, "org.sign_in.refused", p.MaxFailures, p.LockMinutes)
}

func lockedFor(until int64, now time.Time) error {
	d := db.FromMicros(until).Sub(now)
	return fault.New(fault.Limited, "org.sign_in.locked", max(d.Round(time.Minute), time.Minute))
}

// SignIn checks login and password and starts a session. After too many wrong
// passwords the account is locked for a while; names that do not exist are
// treated alike, so that nobody learns which ones do.
func (s *Service) SignIn(ctx context.Context, login, password, ip, userAgent string) (SignedIn, error) {
	login = NormalizeLogin(login)
	policy, err := s.Policy(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	f := fault.Invalidf("org.form_invalid")
	if login == "" {
		f.Field("login", "org.sign_in.login_required")
	}
	if password == "" {
		f.Field("password", "org.sign_in.password_required")
	}
	if err := f.OrNil(); err != nil {
		return SignedIn{}, err
	}
	visitor := authz.Actor{Kind: authz.User, Name: login, IP: ip, UserAgent: userAgent}
	c, err := s.credentials(ctx, s.d.Read(), `login = $1`, login)
	if errors.Is(err, sql.ErrNoRows) {
		if _, err := s.hasher.verify(ctx, "", password); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, s.unknown(ctx, policy, visitor, login)
	}
	if err != nil {
		return SignedIn{}, fmt.Errorf("org: sign in: %w", err)
	}
	// Outside of the transaction: it takes a good part of a tenth of a second.
	right, err := s.hasher.verify(ctx, c.hash, password)
	if err != nil {
		return SignedIn{}, fmt.Errorf("org: sign in of %d: %w", c.ID, err)
	}
	if !right || !c.Active {
		why := "org.sign_in.wrong_password"
		if !c.Active {
			why = "org.sign_in.inactive"
		}
		if err := s.failed(ctx, visitor, c.ID, why); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, policy.refused()
	}
	better := c.hash
	if s.hasher.stale(c.hash) { // made when machines were slower
		if better, err = s.hasher.hash(ctx, password); err != nil {
			return SignedIn{}, err
		}
	}
	in := SignedIn{UserID: c.ID, Lang: i18n.Lang(c.lang)}
	var refusal error
	self := authz.Actor{Kind: authz.User, ID: c.ID, Name: c.Name, IP: ip, UserAgent: userAgent}
	err = s.run.Do(ctx, self, "org.sign_in", func(ctx context.Context, a *action.Action) error {
		refusal = nil
		// Again under lock: guesses made at the same time must not slip past the count.
		now, err := s.credentials(ctx, a.Tx, `id = $1`+a.ForUpdate(), c.ID)
		if err != nil {
			return err
		}
		switch {
		case now.lockedTill > a.NowMicros():
			refusal = lockedFor(now.lockedTill, a.Now)
			a.Record(about(SignInFailed, SubjectUser, c.ID, Facts{Name: c.Name, Why: "org.sign_in.was_locked"}))
			return nil
		case !now.Active || now.hash != c.hash:
			return policy.refused()
		}
		in.MustChange = now.MustChange
		if in.Token, err = s.sessions.Create(ctx, a.Tx, c.ID, ip, userAgent); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE users SET failed = 0, locked_until = 0, last_sign_in_at = $1, password_hash = $2 WHERE id = $3`, a.NowMicros(), better, c.ID); err != nil {
			return err
		}
		a.Record(about(UserSignedIn, SubjectUser, c.ID, Facts{Name: c.Name}))
		return nil
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return SignedIn{}, err
	}
	return in, nil
}

// failed counts a wrong password and locks the account when there were too
// many. It returns an error only when the account is locked, or on trouble.
func (s *Service) failed(ctx context.Context, by authz.Actor, id int64, why string) error {
	var refusal error
	err := s.run.Do(ctx, by, "org.sign_in", func(ctx context.Context, a *action.Action) error {
		refusal = nil
		c, err := s.credentials(ctx, a.Tx, `id = $1`+a.ForUpdate(), id)
		if err != nil {
			return err
		}
		policy, err := readPolicy(ctx, a.Tx)
		if err != nil {
			return err
		}
		if c.lockedTill > a.NowMicros() {
			refusal = lockedFor(c.lockedTill, a.Now)
			a.Record(about(SignInFailed, SubjectUser, id, Facts{Name: c.Name, Why: "org.sign_in.was_locked"}))
			return nil
		}
		a.Record(about(SignInFailed, SubjectUser, id, Facts{Name: c.Name, Why: why}))
		failed, until := c.failed+1, int64(0)
		if failed >= policy.MaxFailures {
			failed, until = 0, db.Micros(a.Now.Add(policy.lock()))
			refusal = lockedFor(until, a.Now)
			a.Record(about(UserLocked, SubjectUser, id, Facts{Name: c.Name}))
		}
		_, err = a.Exec(ctx, `UPDATE users SET failed = $1, locked_until = $2 WHERE id = $3`, failed, until, id)
		return err
	})
	if err != nil {
		return err
	}
	return refusal
}

// unknown refuses a name that does not exist as if it did.
func (s *Service) unknown(ctx context.Context, p SignInPolicy, visitor authz.Actor, login string) error {
	// People type their password into the wrong field: most of it is not kept.
	visitor.Name = ""
	hidden := login
	if utf8.RuneCountInString(hidden) > 2 {
		hidden = string([]rune(hidden)[:2]) + "***"
	}
	err := s.run.Do(ctx, visitor, "org.sign_in", func(ctx context.Context, a *action.Action) error {
		a.Record(about(SignInFailed, SubjectUser, 0, Facts{Name: hidden, Why: "org.sign_in.unknown"}))
		return nil
	})
	if err != nil {
		return err
	}
	now := s.d.Clock().Now()
	if until := s.ghosts.fail(login, p, now); until > 0 {
		return lockedFor(until, now)
	}
	return p.refused()
}

// ghosts counts failures of names that do not exist. In memory and bounded: it
// only has to look the same from outside.
type ghosts struct {
	mu sync.Mutex
	m  map[string]ghost
}

type ghost struct {
	failed int
	until  int64
}

const maxGhosts = 4096

// fail counts one and returns until when the name is "locked", 0: it is not.
func (g *ghosts) fail(login string, p SignInPolicy, now time.Time) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.m == nil || len(g.m) >= maxGhosts {
		g.m = map[string]ghost{}
	}
	if len(login) > 100 {
		login = strings.Clone(login[:100])
	}
	e := g.m[login]
	if e.until > db.Micros(now) {
		return e.until
	}
	e.until = 0
	if e.failed++; e.failed >= p.MaxFailures {
		e = ghost{until: db.Micros(now.Add(p.lock()))}
	}
	g.m[login] = e
	return e.until
}

// SignOut records that the actor leaves; the caller ends the session.
func (s *Service) SignOut(ctx context.Context, actor authz.Actor) error {
	if actor.Kind != authz.User || actor.ID == 0 {
		return nil
	}
	return s.run.Do(ctx, actor, "org.sign_out", func(ctx context.Context, a *action.Action) error {
		if id := sessionID(actor); id != 0 {
			if _, err := a.Exec(ctx, `DELETE FROM user_sessions WHERE id = $1 AND user_id = $2`, id, actor.ID); err != nil {
				return err
			}
			a.AfterCommit(func() { s.sessions.Forget(actor.ID) })
		}
		a.Record(about(UserSignedOut, SubjectUser, actor.ID, Facts{Name: actor.Name}))
		return nil
	})
}

// sessionID is the actor's session, 0 when he came by a token.
func sessionID(a authz.Actor) int64 {
	id, err := strconv.ParseInt(a.Session, 10, 64)
	if err != nil {
		return 0
	}
	return id
}
