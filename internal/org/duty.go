package org

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/web"
)

// PermRoster keeps the hours of people, who is on duty, and who is away, for the
// departments in scope.
const PermRoster authz.Permission = "org.roster"

func init() {
	authz.Register(authz.Def{Permission: PermRoster, Area: "org", Scoped: true, Default: map[string]authz.Level{
		authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}})
}

// Facts of hours and duty.
const (
	HoursChanged = "org.hours_changed"
	DutyAdded    = "org.duty_added"
	DutyRemoved  = "org.duty_removed"
	SubjectDuty  = "duty_turn"
)

// Span is a stretch of a weekday in which somebody works: minutes of the day,
// weekday 1 is Monday.
type Span struct{ Weekday, From, To int }

// zone is where the company's days begin.
var zone = web.Shanghai

// moment is the weekday and the minute of the day of t.
func moment(t time.Time) (weekday, minute int) {
	t = t.In(zone)
	return (int(t.Weekday())+6)%7 + 1, t.Hour()*60 + t.Minute()
}

// AtWork reports whether the person works at now: always, when his hours are not
// known.
func (u User) AtWork(now time.Time) bool {
	if len(u.Hours) == 0 {
		return true
	}
	day, min := moment(now)
	return slices.ContainsFunc(u.Hours, func(s Span) bool { return s.Weekday == day && s.From <= min && min < s.To })
}

// SetHours replaces the working hours of a user: his own, or those of somebody
// in the actor's scope. None: his hours are not known.
func (s *Service) SetHours(ctx context.Context, actor authz.Actor, userID int64, hours []Span) error {
	slices.SortFunc(hours, func(a, b Span) int { return cmp.Or(a.Weekday-b.Weekday, a.From-b.From) })
	for i, h := range hours {
		field := "day" + strconv.Itoa(h.Weekday)
		if h.Weekday < 1 || h.Weekday > 7 || h.From < 0 || h.From >= h.To || h.To > 24*60 {
			return fault.Invalidf("org.form_invalid").Field(field, "org.hours.span")
		}
		if i > 0 && hours[i-1].Weekday == h.Weekday && h.From < hours[i-1].To {
			return fault.Invalidf("org.form_invalid").Field(field, "org.hours.overlap")
		}
	}
	perm, err := s.ofPerson(ctx, actor, userID)
	if err != nil {
		return err
	}
	return s.change(ctx, actor, perm, "org.set_hours", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, userID)
		if err != nil {
			return err
		}
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		var old []Span
		if x := o.users[userID]; x != nil {
			old = x.Hours
		}
		if slices.Equal(old, hours) {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `DELETE FROM user_hours WHERE user_id = $1`, userID); err != nil {
			return fmt.Errorf("org: hours of %d: %w", userID, err)
		}
		for _, h := range hours {
			if _, err := a.Exec(ctx, `INSERT INTO user_hours (user_id, weekday, from_minute, to_minute) VALUES ($1, $2, $3, $4)`, userID, h.Weekday, h.From, h.To); err != nil {
				return fmt.Errorf("org: hours of %d: %w", userID, err)
			}
		}
		a.Record(about(HoursChanged, SubjectUser, userID, Facts{Name: u.Name, Changes: []event.Change{{Field: "hours", Old: sayHours(old), New: sayHours(hours)}}}))
		return nil
	})
}

// sayHours is how hours stand in the audit trail: "1 09:00-12:00, …".
func sayHours(hs []Span) (out string) {
	for i, h := range hs {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%d %s-%s", h.Weekday, Clock(h.From), Clock(h.To))
	}
	return out
}

// Clock is a minute of the day as "09:30".
func Clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// ofPerson is the permission by which actor may keep hours and presence of a
// user: his own account, or the roster of the department he is in.
func (s *Service) ofPerson(ctx context.Context, actor authz.Actor, userID int64) (authz.Permission, error) {
	if actor.Kind == authz.User && actor.ID == userID {
		return PermAccount, nil
	}
	if actor.Can(PermManage) {
		return PermManage, nil
	}
	o, err := s.current(ctx, nil)
	if err != nil {
		return "", err
	}
	if err := actor.Check(PermRoster); err != nil {
		return "", err
	}
	u := o.users[userID]
	if u == nil || !authz.For(actor, PermRoster).Matches([]int64{u.ID}, u.DepartmentID) {
		return "", authz.Denied(PermRoster)
	}
	return PermRoster, nil
}

// Turn is when somebody is on duty: each week (Weekday 1 to 7, minutes of the
// day), or once (Weekday 0, From to To). DepartmentID 0: for the whole company.
type Turn struct {
	ID           int64
	DepartmentID int64
	UserID       int64
	Weekday      int
	FromMinute   int
	ToMinute     int
	From, To     time.Time
}

// Covers reports whether it is the turn's time.
func (t Turn) Covers(now time.Time) bool {
	if t.Weekday == 0 {
		return !now.Before(t.From) && now.Before(t.To)
	}
	day, min := moment(now)
	return day == t.Weekday && t.FromMinute <= min && min < t.ToMinute
}

// maxTurn bounds one dated turn.
const maxTurn = 31 * 24 * time.Hour

// AddTurn puts somebody on the roster.
func (s *Service) AddTurn(ctx context.Context, actor authz.Actor, t Turn) (id int64, err error) {
	err = s.change(ctx, actor, PermRoster, "org.add_duty", func(ctx context.Context, a *action.Action) error {
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		e := fault.Invalidf("org.form_invalid")
		u := o.users[t.UserID]
		if u == nil || !u.Active {
			e.Field("user", "org.duty.user")
		}
		sc := authz.For(actor, PermRoster)
		if t.DepartmentID == 0 && !sc.Everything() || t.DepartmentID != 0 && (o.departments[t.DepartmentID] == nil || !sc.Matches(nil, t.DepartmentID)) {
			e.Field("department", "org.duty.department")
		}
		switch {
		case t.Weekday < 0 || t.Weekday > 7:
			e.Field("weekday", "org.duty.weekday")
		case t.Weekday > 0:
			t.From, t.To = time.Time{}, time.Time{}
			if t.FromMinute < 0 || t.FromMinute >= t.ToMinute || t.ToMinute > 24*60 {
				e.Field("to_time", "org.hours.span")
			}
		default:
			t.FromMinute, t.ToMinute = 0, 0
			if t.From.IsZero() || !t.From.Before(t.To) || t.To.Sub(t.From) > maxTurn {
				e.Field("to", "org.duty.period", 31)
			} else if !t.To.After(a.Now) {
				e.Field("to", "org.duty.past")
			}
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if err := a.QueryRow(ctx, `INSERT INTO duty_turns (department_id, user_id, weekday, from_minute, to_minute, from_at, to_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
			t.DepartmentID, t.UserID, t.Weekday, t.FromMinute, t.ToMinute, db.Micros(t.From), db.Micros(t.To), a.NowMicros()).Scan(&id); err != nil {
			return fmt.Errorf("org: duty: %w", err)
		}
		a.Record(about(DutyAdded, SubjectDuty, id, Facts{Name: u.Name, Changes: []event.Change{{Field: "duty", New: o.sayTurn(t)}}}))
		return nil
	})
	return id, err
}

// RemoveTurn takes somebody off the roster.
func (s *Service) RemoveTurn(ctx context.Context, actor authz.Actor, id int64) error {
	return s.change(ctx, actor, PermRoster, "org.remove_duty", func(ctx context.Context, a *action.Action) error {
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(o.turns, func(t Turn) bool { return t.ID == id })
		if i < 0 || !reaches(authz.For(actor, PermRoster), o.turns[i]) {
			return notFound()
		}
		if _, err := a.Exec(ctx, `DELETE FROM duty_turns WHERE id = $1`, id); err != nil {
			return fmt.Errorf("org: duty: %w", err)
		}
		a.Record(about(DutyRemoved, SubjectDuty, id, Facts{Name: o.userName(o.turns[i].UserID), Changes: []event.Change{{Field: "duty", Old: o.sayTurn(o.turns[i])}}}))
		return nil
	})
}

func reaches(sc authz.Scope, t Turn) bool {
	return sc.Everything() || t.DepartmentID != 0 && sc.Matches(nil, t.DepartmentID)
}

func (o *snapshot) sayTurn(t Turn) string {
	when := fmt.Sprintf("%d %s-%s", t.Weekday, Clock(t.FromMinute), Clock(t.ToMinute))
	if t.Weekday == 0 {
		when = stamp(t.From) + " - " + stamp(t.To)
	}
	if d := o.departments[t.DepartmentID]; d != nil {
		when = d.Name + " " + when
	}
	return o.userName(t.UserID) + " " + when
}

// Turns returns the roster as far as sc reaches, those of the whole company as
// well: dated ones that are not over first, then the week.
func (s *Service) Turns(ctx context.Context, sc authz.Scope) ([]Turn, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	var out []Turn
	for _, t := range o.turns {
		if (t.DepartmentID == 0 || reaches(sc, t)) && (t.Weekday > 0 || t.To.After(now)) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b Turn) int {
		return cmp.Or(min(a.Weekday, 1)-min(b.Weekday, 1), a.From.Compare(b.From), a.Weekday-b.Weekday, a.FromMinute-b.FromMinute, int(a.ID-b.ID))
	})
	return out, nil
}

// OnDutyTurn returns who is on duty now for the department: by its own roster,
// else by that of the one above, at last by the company's. What is dated goes
// before the week. Nobody when the roster has nobody.
func (s *Service) OnDutyTurn(ctx context.Context, q db.Querier, departmentID int64) ([]int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	at := func(dep int64) (out []int64) {
		for _, dated := range [2]bool{true, false} {
			for _, t := range o.turns {
				u := o.users[t.UserID]
				if t.DepartmentID == dep && (t.Weekday == 0) == dated && u != nil && u.Active && t.Covers(now) && !slices.Contains(out, t.UserID) {
					out = append(out, t.UserID)
				}
			}
			if len(out) > 0 {
				return out
			}
		}
		return nil
	}
	for d := o.departments[departmentID]; d != nil; d = o.departments[d.ParentID] {
		if ids := at(d.ID); len(ids) > 0 {
			return ids, nil
		}
	}
	return at(0), nil
}

// HoldersOfRole returns the active holders of a role, by id: those of the
// department or of one above it, where there are any, else all.
func (s *Service) HoldersOfRole(ctx context.Context, q db.Querier, roleID, departmentID int64) ([]int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	holds := func(u *User) bool { return u != nil && u.Active && slices.Contains(u.RoleIDs, roleID) }
	var out []int64
	for d := o.departments[departmentID]; d != nil; d = o.departments[d.ParentID] {
		for _, id := range o.members[d.ID] {
			if holds(o.users[id]) {
				out = append(out, id)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	for id, u := range o.users {
		if holds(u) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Mate is a colleague with what decides whether he can be given work now.
type Mate struct {
	Person
	Hours     []Span
	AtWork    bool
	AwayFrom  time.Time
	AwayUntil time.Time
	Skills    []string
	OnDuty    bool
}

// Roster returns the active people sc reaches, by department and name.
func (s *Service) Roster(ctx context.Context, sc authz.Scope) ([]Mate, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	var out []Mate
	for _, u := range o.users {
		if !u.Active || !sc.Matches([]int64{u.ID}, u.DepartmentID) {
			continue
		}
		m := Mate{Person: o.person(u, now), Hours: u.Hours, AtWork: u.AtWork(now), AwayFrom: u.AwayFrom, AwayUntil: u.AwayUntil}
		for _, k := range u.Skills {
			m.Skills = append(m.Skills, o.skills[k])
		}
		m.OnDuty = slices.ContainsFunc(o.turns, func(t Turn) bool { return t.UserID == u.ID && t.Covers(now) })
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Mate) int {
		return cmp.Or(int(a.DepartmentID-b.DepartmentID), cmp.Compare(a.Initials, b.Initials), int(a.ID-b.ID))
	})
	return out, nil
}

// HoursOf returns the working hours of a user.
func (s *Service) HoursOf(ctx context.Context, userID int64) ([]Span, error) {
	o, err := s.current(ctx, nil)
	if err != nil || o.users[userID] == nil {
		return nil, err
	}
	return o.users[userID].Hours, nil
}
