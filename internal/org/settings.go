package org

import (
	"context"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
)

// SignInPolicy is what an administrator decides about passwords and lockout
// (ORG-4; GB/T 22239-2019 asks for complexity, change and lockout).
type SignInPolicy struct {
	MaxFailures int `json:"max_failures"` // wrong passwords in a row before the account is locked
	LockMinutes int `json:"lock_minutes"` // for how long
	MinLength   int `json:"min_length"`   // characters of a password
	MinKinds    int `json:"min_kinds"`    // of: capital, small letter, digit, other; 1: any
	MaxAgeDays  int `json:"max_age_days"` // a password must be changed after; 0: never
}

// DefaultSignInPolicy holds until an administrator changes it.
var DefaultSignInPolicy = SignInPolicy{MaxFailures: 5, LockMinutes: 15, MinLength: 10, MinKinds: 1}

const policySetting = "org.sign_in"

func readPolicy(ctx context.Context, q db.Querier) (SignInPolicy, error) {
	p := DefaultSignInPolicy
	err := setting.Read(ctx, q, policySetting, &p)
	return p, err
}

// Policy returns the sign-in policy in force; the sign-in pages show it to
// everybody.
func (s *Service) Policy(ctx context.Context) (SignInPolicy, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return SignInPolicy{}, err
	}
	return o.policy, nil
}

// SetPolicy changes the sign-in policy.
func (s *Service) SetPolicy(ctx context.Context, actor authz.Actor, p SignInPolicy) error {
	return s.change(ctx, actor, PermSettings, "org.set_sign_in_policy", func(ctx context.Context, a *action.Action) error {
		f := fault.Invalidf("org.form_invalid")
		between := func(field string, n, lo, hi int) {
			if n < lo || n > hi {
				f.Field(field, "org.between", lo, hi)
			}
		}
		between("max_failures", p.MaxFailures, 3, 20)
		between("lock_minutes", p.LockMinutes, 1, 24*60)
		between("min_length", p.MinLength, 10, 64)
		between("min_kinds", p.MinKinds, 1, 4)
		between("max_age_days", p.MaxAgeDays, 0, 730)
		if err := f.OrNil(); err != nil {
			return err
		}
		old, err := readPolicy(ctx, a.Tx)
		if err != nil {
			return err
		}
		var d diff
		for _, c := range []struct {
			field    string
			old, new int
		}{{"max_failures", old.MaxFailures, p.MaxFailures}, {"lock_minutes", old.LockMinutes, p.LockMinutes}, {"min_length", old.MinLength, p.MinLength},
			{"min_kinds", old.MinKinds, p.MinKinds}, {"max_age_days", old.MaxAgeDays, p.MaxAgeDays}} {
			d.add(c.field, strconv.Itoa(c.old), strconv.Itoa(c.new))
		}
		if len(d) == 0 {
			a.Nothing()
			return nil
		}
		if err := setting.Write(ctx, a.Tx, policySetting, p); err != nil {
			return err
		}
		a.Record(about(SettingChanged, SubjectSetting, 0, Facts{Name: policySetting, Changes: d}))
		return nil
	})
}

func (p SignInPolicy) lock() time.Duration { return time.Duration(p.LockMinutes) * time.Minute }

// expired reports whether the user's password is older than the policy allows.
func (p SignInPolicy) expired(u *User, now time.Time) bool {
	return p.MaxAgeDays > 0 && !u.PasswordAt.IsZero() && now.Sub(u.PasswordAt) >= time.Duration(p.MaxAgeDays)*24*time.Hour
}
