package org

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Me returns the actor's own record.
func (s *Service) Me(ctx context.Context, actor authz.Actor) (User, error) {
	if err := actor.Check(PermAccount); err != nil {
		return User{}, err
	}
	u, err := scanUser(s.d.Read().QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`, actor.ID))
	if err != nil {
		return u, missing(err)
	}
	return u, belongings(ctx, s.d.Read(), &u)
}

// ProfileInput is what a person may say about himself.
type ProfileInput struct {
	Email, Phone string
	Lang         i18n.Lang
}

// EditProfile changes the actor's own profile.
func (s *Service) EditProfile(ctx context.Context, actor authz.Actor, in ProfileInput) error {
	return s.change(ctx, actor, PermAccount, "org.edit_profile", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, actor.ID)
		if err != nil {
			return err
		}
		f := fault.Invalidf("org.form_invalid")
		checkReach(f, &in.Email, &in.Phone)
		if !slices.Contains(i18n.Langs, in.Lang) {
			f.Field("lang", "org.lang_unknown")
		}
		if err := f.OrNil(); err != nil {
			return err
		}
		if u.Email == in.Email && u.Phone == in.Phone && u.Lang == in.Lang {
			a.Nothing()
			return nil
		}
		var d diff
		d.add("email", cnid.MaskEmail(u.Email), cnid.MaskEmail(in.Email))
		d.add("phone", cnid.MaskPhone(u.Phone), cnid.MaskPhone(in.Phone))
		d.add("lang", string(u.Lang), string(in.Lang))
		_, err = a.Exec(ctx, `UPDATE users SET email = $1, phone = $2, lang = $3, version = version + 1 WHERE id = $4`, in.Email, in.Phone, string(in.Lang), u.ID)
		if err != nil {
			return fmt.Errorf("org: profile of %d: %w", u.ID, err)
		}
		a.Record(about(ProfileChanged, SubjectUser, u.ID, Facts{Name: u.Name, Changes: d}))
		a.AfterCommit(func() { s.sessions.Forget(u.ID) })
		return nil
	})
}

// SetLang changes the language the actor is spoken to in.
func (s *Service) SetLang(ctx context.Context, actor authz.Actor, l i18n.Lang) error {
	u, err := s.Me(ctx, actor)
	if err != nil {
		return err
	}
	return s.EditProfile(ctx, actor, ProfileInput{Email: u.Email, Phone: u.Phone, Lang: l})
}

// SetKeys turns the single-letter keys of the actor's pages on or off.
func (s *Service) SetKeys(ctx context.Context, actor authz.Actor, on bool) error {
	return s.change(ctx, actor, PermAccount, "org.set_keys", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, actor.ID)
		if err != nil {
			return err
		}
		if u.KeysOff == !on {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE users SET keys_off = $1, version = version + 1 WHERE id = $2`, db.Bool(!on), u.ID); err != nil {
			return fmt.Errorf("org: keys of %d: %w", u.ID, err)
		}
		var d diff
		d.add("keys", fmt.Sprint(!u.KeysOff), fmt.Sprint(on))
		a.Record(about(ProfileChanged, SubjectUser, u.ID, Facts{Name: u.Name, Changes: d}))
		a.AfterCommit(func() { s.sessions.Forget(u.ID) })
		return nil
	})
}

// Presence is whether a person can be given work, and who stands in for him.
type Presence struct {
	Availability Availability
	AwayFrom     time.Time // zero: at once
	AwayUntil    time.Time // zero: here
	DelegateID   int64     // 0: nobody
}

// SetPresence changes the availability of a user: his own, or that of somebody
// in the actor's roster.
func (s *Service) SetPresence(ctx context.Context, actor authz.Actor, userID int64, in Presence) error {
	perm, err := s.ofPerson(ctx, actor, userID)
	if err != nil {
		return err
	}
	return s.change(ctx, actor, perm, "org.set_presence", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, userID)
		if err != nil {
			return err
		}
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		f := fault.Invalidf("org.form_invalid")
		if !slices.Contains(Availabilities, in.Availability) {
			f.Field("availability", "org.availability.unknown")
		}
		if !in.AwayUntil.IsZero() && !in.AwayUntil.After(a.Now) && !in.AwayUntil.Equal(u.AwayUntil) {
			f.Field("away_until", "org.availability.away_past")
		}
		if in.AwayUntil.IsZero() {
			in.AwayFrom = time.Time{}
		} else if !in.AwayFrom.IsZero() && !in.AwayFrom.Before(in.AwayUntil) {
			f.Field("away_from", "org.availability.away_order")
		}
		if in.DelegateID != 0 {
			if p := o.users[in.DelegateID]; p == nil || !p.Active && in.DelegateID != u.DelegateID {
				f.Field("delegate", "org.availability.delegate_unknown")
			} else if in.DelegateID == userID {
				f.Field("delegate", "org.availability.delegate_self")
			}
		}
		if err := f.OrNil(); err != nil {
			return err
		}
		var d diff
		d.add("availability", string(u.Availability), string(in.Availability))
		d.add("away_from", stamp(u.AwayFrom), stamp(in.AwayFrom))
		d.add("away_until", stamp(u.AwayUntil), stamp(in.AwayUntil))
		d.add("delegate", o.userName(u.DelegateID), o.userName(in.DelegateID))
		if len(d) == 0 {
			a.Nothing()
			return nil
		}
		_, err = a.Exec(ctx, `UPDATE users SET availability = $1, away_from = $2, away_until = $3, delegate_id = $4 WHERE id = $5`,
			string(in.Availability), db.Micros(in.AwayFrom), db.Micros(in.AwayUntil), in.DelegateID, userID)
		if err != nil {
			return fmt.Errorf("org: presence of %d: %w", userID, err)
		}
		a.Record(about(AvailabilityChanged, SubjectUser, userID, Facts{Name: u.Name, Changes: d}))
		if in.AwayUntil.IsZero() || in.AwayUntil.Equal(u.AwayUntil) {
			return nil
		}
		return s.leavesWork(ctx, a, u)
	})
}

// leavesWork tells the supervisor of somebody who is going to be away that there
// is open work to be handed over.
func (s *Service) leavesWork(ctx context.Context, a *action.Action, u User) error {
	boss, err := s.SupervisorOf(ctx, a, u.DepartmentID)
	if err != nil || boss == 0 || boss == u.ID {
		return err
	}
	for _, w := range s.works {
		if w.OfUser == nil || w.Page == "" {
			continue
		}
		n, err := w.OfUser(ctx, a, u.ID)
		if err != nil {
			return fmt.Errorf("org: open work of user %d: %w", u.ID, err)
		}
		if n > 0 {
			a.Record(about(LeftWork, SubjectUser, u.ID, Facts{Name: u.Name, Count: n, Tell: []int64{boss}, Args: []string{u.Name, strconv.Itoa(n)}, Link: w.page(u.ID)}))
		}
	}
	return nil
}

// stamp is a time in the audit trail: UTC, so that it means the same everywhere.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// MySessions returns where the actor is signed in, the latest used first.
func (s *Service) MySessions(ctx context.Context, actor authz.Actor) ([]web.Session, error) {
	if err := actor.Check(PermAccount); err != nil {
		return nil, err
	}
	return s.sessions.List(ctx, actor.ID)
}

// RevokeSession signs the actor out on one of his devices.
func (s *Service) RevokeSession(ctx context.Context, actor authz.Actor, id int64) error {
	if err := actor.Check(PermAccount); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "org.revoke_session", func(ctx context.Context, a *action.Action) error {
		res, err := a.Exec(ctx, `DELETE FROM user_sessions WHERE id = $1 AND user_id = $2`, id, actor.ID)
		if err != nil {
			return fmt.Errorf("org: revoke session: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return notFound()
		}
		a.Record(about(SessionRevoked, SubjectUser, actor.ID, Facts{Name: actor.Name, Count: 1}))
		a.AfterCommit(func() { s.sessions.Forget(actor.ID) })
		return nil
	})
}

// RevokeOtherSessions signs the actor out everywhere but here.
func (s *Service) RevokeOtherSessions(ctx context.Context, actor authz.Actor) error {
	if err := actor.Check(PermAccount); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "org.revoke_session", func(ctx context.Context, a *action.Action) error {
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM user_sessions WHERE user_id = $1 AND id <> $2`, actor.ID, sessionID(actor)).Scan(&n); err != nil {
			return fmt.Errorf("org: revoke sessions: %w", err)
		}
		if n == 0 {
			a.Nothing()
			return nil
		}
		if err := s.sessions.RevokeAll(ctx, a.Tx, actor.ID, sessionID(actor)); err != nil {
			return err
		}
		a.Record(about(SessionRevoked, SubjectUser, actor.ID, Facts{Name: actor.Name, Count: n}))
		return nil
	})
}

// SignIns returns what happened to the actor's account, newest first: sign-ins
// that succeeded or failed, locks, changes of password and rights (ORG-6).
// before is the id of the last one shown, 0 to begin.
func (s *Service) SignIns(ctx context.Context, actor authz.Actor, before int64, limit int) ([]event.Stored, error) {
	if err := actor.Check(PermAccount); err != nil {
		return nil, err
	}
	return event.Of(ctx, s.d.Read(), event.Subject{Type: SubjectUser, ID: actor.ID}, before, limit)
}

// Activity returns what was done under the actor's account, newest first.
func (s *Service) Activity(ctx context.Context, actor authz.Actor, before int64, limit int) ([]event.Stored, error) {
	if err := actor.Check(PermAccount); err != nil {
		return nil, err
	}
	evs, err := event.List(ctx, s.d.Read(), event.Filter{ActorID: actor.ID, BeforeID: before, Limit: limit})
	// Contacts of customers act too, and have numbers of their own.
	return slices.DeleteFunc(evs, func(e event.Stored) bool { return e.ActorKind != authz.User }), err
}

// HistoryOf returns what happened to a user in scope, for his administrator.
func (s *Service) HistoryOf(ctx context.Context, sc authz.Scope, userID, before int64, limit int) ([]event.Stored, error) {
	if _, err := s.User(ctx, sc, userID); err != nil {
		return nil, err
	}
	return event.Of(ctx, s.d.Read(), event.Subject{Type: SubjectUser, ID: userID}, before, limit)
}
