package org

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// AllScopes is the scope of a token that may do all its owner may, except
// manage his account.
const AllScopes = "*"

var tokenScopes = map[string][]authz.Permission{}

// TokenScope declares what a scope of API tokens lets its bearer do, as far as
// its owner may do it himself. Rooms call it from their policy.go; calls for
// the same scope add up. Its name on screen is the locale key
// "token.scope.<name>".
func TokenScope(name string, perms ...authz.Permission) {
	tokenScopes[name] = append(tokenScopes[name], perms...)
}

// TokenScopes returns the scopes there are, by name.
func TokenScopes() []string {
	var out []string
	for n := range tokenScopes {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Token is a key to the API. Its text is shown once, when it is made.
type Token struct {
	ID         int64
	UserID     int64
	Name       string
	Scopes     []string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time
	RevokedAt  time.Time
}

// Valid reports whether the token opens anything at now.
func (t Token) Valid(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// tokenPrefix lets people and secret scanners recognise a token.
const tokenPrefix = "bht_"

// A token is 32 random bytes, so a plain digest cannot be turned back; it is
// found by index, which bcrypt and the like would forbid.
func tokenHash(plain string) []byte {
	h := sha256.Sum256([]byte(plain))
	return h[:]
}

// maxTokens bounds the living tokens of one user.
const maxTokens = 50

// CreateToken makes a token for a user: one of his own, or by an administrator
// or the command line for him. No scopes means [AllScopes]; the zero expires
// means never. The text it returns is stored nowhere.
func (s *Service) CreateToken(ctx context.Context, actor authz.Actor, userLogin, name string, scopes []string, expires time.Time) (plain string, err error) {
	plain = tokenPrefix + crypt.Token(32)
	err = s.run.Do(ctx, actor, "org.create_token", func(ctx context.Context, a *action.Action) error {
		c, err := s.credentials(ctx, a.Tx, `login = $1`, NormalizeLogin(userLogin))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		own := actor.Kind == authz.User && actor.ID == c.ID && actor.Can(PermAccount)
		if !own {
			if err := actor.Check(PermManage); err != nil {
				return err
			}
		}
		f := fault.Invalidf("org.form_invalid")
		if err != nil {
			return f.Field("user", "org.token.user_unknown", userLogin)
		}
		if !c.Active {
			return fault.New(fault.Conflict, "org.user.inactive", c.Name)
		}
		name = strings.TrimSpace(name)
		if n := utf8.RuneCountInString(name); n == 0 {
			f.Field("name", "org.token.name_required")
		} else if n > maxName {
			f.Field("name", "org.too_long", maxName, n)
		}
		list, bad := parseScopes(scopes)
		if bad != "" {
			f.Field("scopes", "org.token.scope_unknown", bad, strings.Join(TokenScopes(), " "))
		}
		if !expires.IsZero() && !expires.After(a.Now) {
			f.Field("expires", "org.token.expires_past")
		}
		if err := f.OrNil(); err != nil {
			return err
		}
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM api_tokens WHERE user_id = $1 AND revoked_at = 0`, c.ID).Scan(&n); err != nil {
			return fmt.Errorf("org: count tokens: %w", err)
		}
		if n >= maxTokens {
			return fault.New(fault.Limited, "org.token.too_many", maxTokens)
		}
		var id int64
		err = a.QueryRow(ctx, `INSERT INTO api_tokens (token_hash, user_id, name, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
			tokenHash(plain), c.ID, name, strings.Join(list, " "), a.NowMicros(), db.Micros(expires)).Scan(&id)
		if err != nil {
			return fmt.Errorf("org: create token: %w", err)
		}
		var d diff
		d.add("user", "", c.Name)
		d.add("scopes", "", strings.Join(list, " "))
		if !expires.IsZero() {
			d.add("expires", "", expires.UTC().Format(time.RFC3339))
		}
		a.Record(about(TokenCreated, SubjectToken, id, Facts{Name: name, Changes: d}))
		return nil
	})
	if err != nil {
		return "", err
	}
	return plain, nil
}

// parseScopes returns the scopes in order, each once, and the first unknown one.
func parseScopes(in []string) (list []string, bad string) {
	for _, s := range in {
		for _, n := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
			if _, ok := tokenScopes[n]; !ok && n != AllScopes {
				return nil, n
			}
			list = append(list, n)
		}
	}
	if len(list) == 0 || slices.Contains(list, AllScopes) {
		return []string{AllScopes}, ""
	}
	slices.Sort(list)
	return slices.Compact(list), ""
}

func allowed(scopes []string) func(authz.Permission) bool {
	if slices.Contains(scopes, AllScopes) {
		return func(p authz.Permission) bool { return p != PermAccount }
	}
	return func(p authz.Permission) bool {
		for _, n := range scopes {
			if p != PermAccount && slices.Contains(tokenScopes[n], p) {
				return true
			}
		}
		return false
	}
}

const tokenColumns = `id, user_id, name, scopes, created_at, expires_at, last_used_at, revoked_at`

func scanToken(row scanner) (t Token, err error) {
	var scopes string
	var created, expires, used, revoked int64
	err = row.Scan(&t.ID, &t.UserID, &t.Name, &scopes, &created, &expires, &used, &revoked)
	t.Scopes = strings.Fields(scopes)
	t.CreatedAt, t.ExpiresAt, t.LastUsedAt, t.RevokedAt = db.FromMicros(created), db.FromMicros(expires), db.FromMicros(used), db.FromMicros(revoked)
	return t, err
}

// tokenSeenEvery is how often the time of last use is written.
const tokenSeenEvery = 5 * time.Minute

// bearers remembers who bears which token, so that a script that calls every
// second costs no query each time. An entry is believed as long as the
// organisation is (see trust), and not beyond the revocation of any token.
type bearers struct {
	mu     sync.RWMutex
	m      map[[sha256.Size]byte]bearer
	closed atomic.Int64 // revocations so far
}

type bearer struct {
	token Token
	actor authz.Actor
	org   *snapshot
	at    time.Time
}

// maxBearers bounds the memory; beyond it everybody is looked up again.
const maxBearers = 10000

func (b *bearers) get(k [sha256.Size]byte, o *snapshot, now time.Time) (authz.Actor, bool) {
	b.mu.RLock()
	e, ok := b.m[k]
	b.mu.RUnlock()
	if !ok || e.org != o || now.Sub(e.at) >= trust || now.Before(e.at) || !e.token.Valid(now) {
		return authz.Actor{}, false
	}
	return e.actor, true
}

// put keeps e unless a token was revoked since before.
func (b *bearers) put(k [sha256.Size]byte, e bearer, before int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() != before {
		return
	}
	if b.m == nil || len(b.m) >= maxBearers {
		b.m = map[[sha256.Size]byte]bearer{}
	}
	b.m[k] = e
}

func (b *bearers) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed.Add(1)
	b.m = nil
}

// ActorForToken returns the owner of a token, with no more rights than its
// scopes. The audit trail shows the token as his session. A token that is
// unknown, revoked, expired, or of somebody who has left is a fault of kind
// Unauthenticated, and does not say which.
func (s *Service) ActorForToken(ctx context.Context, plain string) (authz.Actor, error) {
	refused := func() error { return fault.New(fault.Unauthenticated, "org.token.refused") }
	if !strings.HasPrefix(plain, tokenPrefix) || len(plain) > 100 {
		return authz.Actor{}, refused()
	}
	o, err := s.current(ctx, nil)
	if err != nil {
		return authz.Actor{}, err
	}
	now, key, before := s.d.Clock().Now(), sha256.Sum256([]byte(plain)), s.bearers.closed.Load()
	if a, ok := s.bearers.get(key, o, now); ok {
		return a, nil
	}
	t, err := scanToken(s.d.Read().QueryRow(ctx, `SELECT `+tokenColumns+` FROM api_tokens WHERE token_hash = $1`, key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return authz.Actor{}, refused()
	}
	if err != nil {
		return authz.Actor{}, fmt.Errorf("org: token: %w", err)
	}
	if !t.Valid(now) {
		return authz.Actor{}, refused()
	}
	a, err := s.Actor(ctx, t.UserID)
	if fault.Is(err, fault.Unauthenticated) {
		return authz.Actor{}, refused()
	}
	if err != nil {
		return authz.Actor{}, err
	}
	a = a.Restrict(allowed(t.Scopes))
	a.Session, a.Scopes = fmt.Sprintf("token:%d", t.ID), t.Scopes
	if now.Sub(t.LastUsedAt) >= tokenSeenEvery {
		// When it was last used is a hint for its owner, not a fact: no event, and no harm when it cannot be written.
		_ = s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE api_tokens SET last_used_at = $1 WHERE id = $2`, tx.NowMicros(), t.ID)
			return err
		})
	}
	s.bearers.put(key, bearer{token: t, actor: a, org: o, at: now}, before)
	return a, nil
}

// Bearer signs requests in that carry a token ("Authorization: Bearer bht_…").
// It is a [web.Authenticator].
type Bearer struct{ Org *Service }

// Authenticate implements web.Authenticator. A request with a bad token is
// refused, not treated as one without.
func (b Bearer) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	kind, plain, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return authz.Actor{}, false, nil
	}
	a, err := b.Org.ActorForToken(r.Context(), strings.TrimSpace(plain))
	if err != nil {
		return authz.Actor{}, false, err
	}
	return a, true, nil
}

// Tokens returns the tokens of a user, the newest first: his own, or anybody's
// for an administrator.
func (s *Service) Tokens(ctx context.Context, actor authz.Actor, userID int64) ([]Token, error) {
	if !(actor.Kind == authz.User && actor.ID == userID && actor.Can(PermAccount)) {
		if err := actor.Check(PermManage); err != nil {
			return nil, err
		}
	}
	rows, err := s.d.Read().Query(ctx, `SELECT `+tokenColumns+` FROM api_tokens WHERE user_id = $1 ORDER BY revoked_at = 0 DESC, id DESC LIMIT 100`, userID)
	if err != nil {
		return nil, fmt.Errorf("org: tokens: %w", err)
	}
	defer rows.Close()
	var out []Token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("org: tokens: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// RevokeToken makes a token useless from the next request on; on other nodes
// within seconds (see trust).
func (s *Service) RevokeToken(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "org.revoke_token", func(ctx context.Context, a *action.Action) error {
		t, err := scanToken(a.QueryRow(ctx, `SELECT `+tokenColumns+` FROM api_tokens WHERE id = $1`+a.ForUpdate(), id))
		if err != nil {
			return missing(err)
		}
		if !(actor.Kind == authz.User && actor.ID == t.UserID && actor.Can(PermAccount)) && !actor.Can(PermManage) {
			return notFound()
		}
		if !t.RevokedAt.IsZero() {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE api_tokens SET revoked_at = $1 WHERE id = $2`, a.NowMicros(), id); err != nil {
			return fmt.Errorf("org: revoke token %d: %w", id, err)
		}
		a.AfterCommit(func() { s.bearers.clear(); s.d.Tell(tokenHint, "") })
		a.Record(about(TokenRevoked, SubjectToken, id, Facts{Name: t.Name}))
		return nil
	})
}
