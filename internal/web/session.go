package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// SessionCookie is the name of the sign-in cookie.
const SessionCookie = "bihuan_session"

// Accounts says who a user is now: his name, permissions, language. A user who
// may no longer sign in is a fault of kind Unauthenticated, NotFound or Forbidden.
type Accounts interface {
	Actor(ctx context.Context, userID int64) (authz.Actor, error)
}

// SessionConfig has usable defaults in its zero value.
type SessionConfig struct {
	Idle     time.Duration // signed out after so long without a request; 12 h
	Absolute time.Duration // signed out so long after signing in; 7 d
	Clock    clock.Clock
}

// Sessions keeps who is signed in where. Only a hash of the cookie is stored:
// a stolen copy of the database signs nobody in.
type Sessions struct {
	db       *db.DB
	accounts Accounts
	cfg      SessionConfig

	mu    sync.Mutex
	cache map[[sha256.Size]byte]cached
	epoch int64 // grows with all that is forgotten: what was read before is not kept after it
}

// Session is one sign-in, for the list a person sees of his own.
type Session struct {
	ID         int64
	UserID     int64
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	IP         string
	UserAgent  string
}

type cached struct {
	s     Session
	actor authz.Actor
	until time.Time
}

const (
	// A session is believed without asking the database for this long: at most
	// so late a revocation by another node takes effect, should its hint be lost.
	sessionTrust = 5 * time.Second
	// last_seen_at is written at most this often.
	seenEvery = 5 * time.Minute
	// sessionCacheMax bounds the cache; beyond it is emptied.
	sessionCacheMax = 20000
)

// NewSessions returns the sessions stored in d.
func NewSessions(d *db.DB, accounts Accounts, cfg SessionConfig) *Sessions {
	if cfg.Idle == 0 {
		cfg.Idle = 12 * time.Hour
	}
	if cfg.Absolute == 0 {
		cfg.Absolute = 7 * 24 * time.Hour
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	s := &Sessions{db: d, accounts: accounts, cfg: cfg, cache: map[[sha256.Size]byte]cached{}}
	d.Hear(sessionHint, s.hear)
	return s
}

// Start signs the user in on this browser: a new session and its cookie. A
// session the browser had before ends.
func (s *Sessions) Start(w http.ResponseWriter, r *Request, userID int64) error {
	var token string
	err := s.db.Write(r.Context(), func(ctx context.Context, tx *db.Tx) error {
		if c, err := r.Cookie(SessionCookie); err == nil {
			if err := s.delete(ctx, tx, c.Value); err != nil {
				return err
			}
		}
		var err error
		token, err = s.Create(ctx, tx, userID, r.IP(), r.UserAgent())
		return err
	})
	if err != nil {
		return err
	}
	s.SetCookie(w, r, token)
	return nil
}

// Create stores a new session and returns its token, for a caller who signs in
// within a transaction of his own; [Sessions.SetCookie] goes with it.
func (s *Sessions) Create(ctx context.Context, q db.Querier, userID int64, ip, userAgent string) (token string, err error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	hash := sha256.Sum256([]byte(token))
	now := s.cfg.Clock.Now()
	if len(userAgent) > 400 {
		userAgent = userAgent[:400]
	}
	_, err = q.Exec(ctx, `
		INSERT INTO user_sessions (token_hash, user_id, created_at, last_seen_at, expires_at, ip, user_agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		hash[:], userID, db.Micros(now), db.Micros(now), db.Micros(now.Add(s.cfg.Absolute)), ip, validText(userAgent))
	return token, err
}

// SetCookie gives the browser its token.
func (s *Sessions) SetCookie(w http.ResponseWriter, r *Request, token string) {
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Value: token, Path: "/", MaxAge: int(s.cfg.Absolute / time.Second),
		HttpOnly: true, Secure: r.Secure(), SameSite: http.SameSiteLaxMode})
}

// End signs this browser out.
func (s *Sessions) End(w http.ResponseWriter, r *Request) error {
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.Secure(), SameSite: http.SameSiteLaxMode})
	c, err := r.Cookie(SessionCookie)
	if err != nil {
		return nil
	}
	return s.db.Write(r.Context(), func(ctx context.Context, tx *db.Tx) error { return s.delete(ctx, tx, c.Value) })
}

func (s *Sessions) delete(ctx context.Context, q db.Querier, token string) error {
	hash := sha256.Sum256([]byte(token))
	_, err := q.Exec(ctx, `DELETE FROM user_sessions WHERE token_hash = $1`, hash[:])
	s.mu.Lock()
	delete(s.cache, hash)
	s.mu.Unlock()
	return err
}

// Authenticate finds the user behind the cookie. A cookie that is unknown, too
// old or of a user who may no longer sign in counts as none.
func (s *Sessions) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	c, err := r.Cookie(SessionCookie)
	if err != nil || c.Value == "" {
		return authz.Actor{}, false, nil
	}
	hash, now := sha256.Sum256([]byte(c.Value)), s.cfg.Clock.Now()
	s.mu.Lock()
	e, ok := s.cache[hash]
	epoch := s.epoch
	s.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.actor, true, nil
	}
	e, err = s.load(r.Context(), hash, now)
	if errors.Is(err, sql.ErrNoRows) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Unauthenticated) {
		return authz.Actor{}, false, nil
	}
	if err != nil {
		return authz.Actor{}, false, err
	}
	s.mu.Lock()
	if len(s.cache) >= sessionCacheMax {
		clear(s.cache)
	}
	if s.epoch == epoch {
		s.cache[hash] = e
	}
	s.mu.Unlock()
	return e.actor, true, nil
}

func (s *Sessions) load(ctx context.Context, hash [sha256.Size]byte, now time.Time) (cached, error) {
	var e cached
	err := scanSession(s.db.Read().QueryRow(ctx, `
		SELECT id, user_id, created_at, last_seen_at, expires_at, ip, user_agent
		FROM   user_sessions
		WHERE  token_hash = $1`, hash[:]), &e.s)
	if err != nil {
		return e, err
	}
	if !now.Before(e.s.ExpiresAt) || now.Sub(e.s.LastSeenAt) >= s.cfg.Idle {
		return e, sql.ErrNoRows
	}
	if e.actor, err = s.accounts.Actor(ctx, e.s.UserID); err != nil {
		return e, err
	}
	e.actor.Session = strconv.FormatInt(e.s.ID, 10)
	e.until = now.Add(sessionTrust)
	if now.Sub(e.s.LastSeenAt) >= seenEvery {
		// Reading goes on when this cannot be written; the next request tries again.
		_ = s.db.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE user_sessions SET last_seen_at = $1 WHERE id = $2`, db.Micros(now), e.s.ID)
			return err
		})
		e.s.LastSeenAt = now
	}
	return e, nil
}

// List returns the user's living sessions, the latest used first.
func (s *Sessions) List(ctx context.Context, userID int64) ([]Session, error) {
	now := s.cfg.Clock.Now()
	rows, err := s.db.Read().Query(ctx, `
		SELECT   id, user_id, created_at, last_seen_at, expires_at, ip, user_agent
		FROM     user_sessions
		WHERE    user_id = $1
		  AND    expires_at > $2
		  AND    last_seen_at > $3
		ORDER BY last_seen_at DESC, id DESC
		LIMIT    100`, userID, db.Micros(now), db.Micros(now.Add(-s.cfg.Idle)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Session
	for rows.Next() {
		var x Session
		if err := scanSession(rows, &x); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

func scanSession(row interface{ Scan(...any) error }, x *Session) error {
	var created, seen, expires int64
	if err := row.Scan(&x.ID, &x.UserID, &created, &seen, &expires, &x.IP, &x.UserAgent); err != nil {
		return err
	}
	x.CreatedAt, x.LastSeenAt, x.ExpiresAt = db.FromMicros(created), db.FromMicros(seen), db.FromMicros(expires)
	return nil
}

// Revoke ends one session of the user. A session that is not his is not found.
func (s *Sessions) Revoke(ctx context.Context, userID, sessionID int64) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec(ctx, `DELETE FROM user_sessions WHERE id = $1 AND user_id = $2`, sessionID, userID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.New(fault.NotFound, "ui.error.not_found")
		}
		return nil
	})
	s.Forget(userID)
	return err
}

// RevokeAll ends the user's sessions but the one named except (0 for none):
// after a new password, or when he leaves.
func (s *Sessions) RevokeAll(ctx context.Context, tx *db.Tx, userID, except int64) error {
	_, err := tx.Exec(ctx, `DELETE FROM user_sessions WHERE user_id = $1 AND id <> $2`, userID, except)
	tx.AfterCommit(func() { s.Forget(userID) })
	return err
}

// Forget makes the next request of the user ask the database again: call it
// when his rights or his state have changed, after the change is committed.
func (s *Sessions) Forget(userID int64) {
	s.forget(userID)
	s.db.Tell(sessionHint, strconv.FormatInt(userID, 10))
}

// sessionHint tells the other nodes whose sessions or rights have changed.
const sessionHint = "session"

func (s *Sessions) hear(text string) {
	if id, err := strconv.ParseInt(text, 10, 64); err == nil {
		s.forget(id)
		return
	}
	s.mu.Lock()
	s.epoch++
	clear(s.cache)
	s.mu.Unlock()
}

func (s *Sessions) forget(userID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for h, e := range s.cache {
		if e.s.UserID == userID {
			delete(s.cache, h)
		}
	}
}

// Sweep deletes sessions that are over. Once an hour is enough.
func (s *Sessions) Sweep(ctx context.Context) error {
	now := s.cfg.Clock.Now()
	return s.db.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM user_sessions WHERE expires_at <= $1 OR last_seen_at <= $2`,
			db.Micros(now), db.Micros(now.Add(-s.cfg.Idle)))
		return err
	})
}
