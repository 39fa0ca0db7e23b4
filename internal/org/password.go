package org

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// hasher makes and checks password hashes; tests use one that is quick.
type hasher interface {
	hash(ctx context.Context, password string) (string, error)
	// verify takes as long for the empty hash, and says no.
	verify(ctx context.Context, hash, password string) (bool, error)
	stale(hash string) bool
}

type argon struct{}

func (argon) hash(ctx context.Context, p string) (string, error) { return crypt.HashPassword(ctx, p) }
func (argon) verify(ctx context.Context, h, p string) (bool, error) {
	return crypt.VerifyPassword(ctx, h, p)
}
func (argon) stale(h string) bool { return crypt.PasswordStale(h) }

// common are the beginnings of the passwords tried first by those who guess:
// rows of keys, first words, dates. Compared in small letters and without what
// is commonly put in their place (@ for a, 0 for o).
var common = []string{
	"password", "passw0rd", "qwerty", "qwertz", "asdf", "zxcvbn", "1qaz", "qazwsx", "q1w2e3", "1q2w3e", "abc123", "abcd1234", "a123456", "aa123456",
	"123456", "654321", "111111", "000000", "888888", "666666", "112233", "123123", "5201314", "1314520", "147258", "159357", "987654",
	"iloveyou", "woaini", "admin", "administrator", "welcome", "letmein", "monkey", "dragon", "football", "sunshine", "master", "superman",
	"changeme", "default", "test1234", "guest", "root", "kefu", "bihuan", "gongsi", "huanying", "nihao", "wodemima", "mima", "zaq12wsx",
}

var leet = strings.NewReplacer("@", "a", "$", "s", "!", "i")

// checkPassword says in words what is wrong with a new password, at the field
// "new".
func checkPassword(p SignInPolicy, password, login, name string) error {
	refuse := func(key string, args ...any) error {
		return fault.Invalidf("org.password.refused").Field("new", key, args...)
	}
	n := utf8.RuneCountInString(password)
	switch {
	case n < p.MinLength:
		return refuse("org.password.too_short", p.MinLength, n)
	case len(password) > crypt.PasswordMax || !utf8.ValidString(password):
		return refuse("org.password.too_long", crypt.PasswordMax/4)
	}
	low := strings.ToLower(password)
	for _, own := range []string{login, strings.ToLower(name)} {
		if utf8.RuneCountInString(own) >= 2 && strings.Contains(low, own) && utf8.RuneCountInString(own)*2 >= n-4 {
			return refuse("org.password.own_name")
		}
	}
	if kinds := len(kindsOf(password)); kinds < p.MinKinds {
		return refuse("org.password.too_simple", p.MinKinds)
	}
	if isSequence(low) {
		return refuse("org.password.common")
	}
	for _, c := range common {
		for _, v := range []string{low, leet.Replace(low)} {
			// What is left beside the common part is what somebody has to guess.
			if rest, ok := strings.CutPrefix(v, c); ok && (len(rest) <= 4 || strings.Contains(c, rest) || isDigits(rest) && len(rest) <= 8) {
				return refuse("org.password.common")
			}
			if rest, ok := strings.CutSuffix(v, c); ok && len(rest) <= 4 {
				return refuse("org.password.common")
			}
		}
	}
	return nil
}

func kindsOf(s string) map[string]bool {
	m := map[string]bool{}
	for _, r := range s {
		switch {
		case unicode.IsUpper(r):
			m["capital"] = true
		case unicode.IsLower(r):
			m["small"] = true
		case unicode.IsDigit(r):
			m["digit"] = true
		default:
			m["other"] = true
		}
	}
	return m
}

// isSequence reports whether the text is made of few different characters or
// runs along: aaaaaaaaaa, 1234567890, 1212121212.
func isSequence(s string) bool {
	seen := map[rune]bool{}
	run, last := 0, rune(-1)
	for _, r := range s {
		seen[r] = true
		if last >= 0 && (r-last == 1 || last-r == 1 || r == last || last == '9' && r == '0') {
			run++
		}
		last = r
	}
	return len(seen) < 4 || run >= utf8.RuneCountInString(s)-2
}

func isDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// ChangePassword gives the actor a password of his own choice and ends his
// other sessions. The old one is asked for, except while he has to change what
// somebody else has given him: then he has only just typed it.
func (s *Service) ChangePassword(ctx context.Context, actor authz.Actor, old, password string) error {
	if err := actor.Check(PermAccount); err != nil {
		return err
	}
	c, err := s.credentials(ctx, s.d.Read(), `id = $1`, actor.ID)
	if err != nil {
		return missing(err)
	}
	policy, err := s.Policy(ctx)
	if err != nil {
		return err
	}
	if !c.MustChange {
		right, err := s.hasher.verify(ctx, c.hash, old)
		if err != nil {
			return fmt.Errorf("org: change password of %d: %w", c.ID, err)
		}
		if !right {
			// Counted like a failed sign-in: a browser left open must not be a way to guess.
			if err := s.failed(ctx, actor, c.ID, "org.sign_in.wrong_old"); err != nil {
				return err
			}
			return fault.Invalidf("org.password.refused").Field("old", "org.password.wrong_old")
		}
	}
	if err := checkPassword(policy, password, c.Login, c.Name); err != nil {
		return err
	}
	if same, err := s.hasher.verify(ctx, c.hash, password); err != nil {
		return err
	} else if same {
		return fault.Invalidf("org.password.refused").Field("new", "org.password.same")
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.change(ctx, actor, PermAccount, "org.change_password", func(ctx context.Context, a *action.Action) error {
		if err := s.setPassword(ctx, a, c.ID, hash, false, c.hash); err != nil {
			return err
		}
		if err := s.sessions.RevokeAll(ctx, a.Tx, c.ID, sessionID(actor)); err != nil {
			return err
		}
		a.Record(about(PasswordChanged, SubjectUser, c.ID, Facts{Name: c.Name}))
		return nil
	})
}

// setPassword stores a hash and opens a locked account. was is the hash that
// must still be there, "" for any.
func (s *Service) setPassword(ctx context.Context, a *action.Action, id int64, hash string, mustChange bool, was string) error {
	var args db.Args
	query := `UPDATE users SET password_hash = ` + args.Add(hash) + `, password_at = ` + args.Add(a.NowMicros()) + `, must_change = ` + args.Add(db.Bool(mustChange)) +
		`, failed = 0, locked_until = 0, version = version + 1 WHERE id = ` + args.Add(id)
	if was != "" {
		query += ` AND password_hash = ` + args.Add(was)
	}
	if err := changedMeanwhile(a.Exec(ctx, query, args.Values...)); err != nil {
		return fmt.Errorf("org: set password of %d: %w", id, err)
	}
	return nil
}

// ResetPassword gives a user a new one-time password, which is returned and
// stored nowhere, ends his sessions and opens a locked account.
func (s *Service) ResetPassword(ctx context.Context, actor authz.Actor, id int64) (password string, err error) {
	if err := actor.Check(PermManage); err != nil {
		return "", err
	}
	password, hash, err := s.newPassword(ctx)
	if err != nil {
		return "", err
	}
	err = s.change(ctx, actor, PermManage, "org.reset_password", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		if !u.Active {
			return fault.New(fault.Conflict, "org.user.inactive", u.Name)
		}
		if err := s.setPassword(ctx, a, id, hash, true, ""); err != nil {
			return err
		}
		if err := s.sessions.RevokeAll(ctx, a.Tx, id, 0); err != nil {
			return err
		}
		a.Record(about(PasswordReset, SubjectUser, id, Facts{Name: u.Name}))
		return nil
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

func (s *Service) newPassword(ctx context.Context) (password, hash string, err error) {
	password = crypt.GeneratePassword()
	hash, err = s.hasher.hash(ctx, password)
	return password, hash, err
}
