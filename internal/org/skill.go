package org

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Skill is something people are good at, in the company's own words (技能). What
// work it serves is known to the rooms that give out work.
type Skill struct {
	ID     int64
	Name   string
	People int // active ones who have it
}

// Skills returns the company's skills by name.
func (s *Service) Skills(ctx context.Context, q db.Querier) ([]Skill, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	people := map[int64]int{}
	for _, u := range o.users {
		for _, k := range u.Skills {
			people[k] += int(db.Bool(u.Active))
		}
	}
	var out []Skill
	for id, name := range o.skills {
		out = append(out, Skill{id, name, people[id]})
	}
	slices.SortFunc(out, func(a, b Skill) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SaveSkill adds a skill (id 0) or renames one, inside an action under way whose
// caller has checked the right and records it.
func (s *Service) SaveSkill(ctx context.Context, a *action.Action, id int64, name string, demo bool) (int64, error) {
	name = strings.Join(strings.Fields(name), " ")
	if n := utf8.RuneCountInString(name); n == 0 || n > maxSkill {
		return 0, fault.Invalidf("org.form_invalid").Field("name", "org.skill.name", maxSkill)
	}
	if err := s.touch(ctx, a); err != nil {
		return 0, err
	}
	var err error
	if id == 0 {
		err = a.QueryRow(ctx, `INSERT INTO skills (name, demo, created_at) VALUES ($1, $2, $3) RETURNING id`, name, db.Bool(demo), a.NowMicros()).Scan(&id)
	} else {
		err = a.QueryRow(ctx, `UPDATE skills SET name = $1 WHERE id = $2 RETURNING id`, name, id).Scan(&id)
	}
	if db.IsUnique(err, "name") {
		return 0, fault.Invalidf("org.form_invalid").Field("name", "org.skill.twice", name).Wrap(err)
	}
	if err != nil {
		return 0, missing(fmt.Errorf("org: skill: %w", err))
	}
	return id, nil
}

const maxSkill = 30

// RemoveSkill takes a skill from everybody and deletes it, as SaveSkill does.
func (s *Service) RemoveSkill(ctx context.Context, a *action.Action, id int64) error {
	if err := s.touch(ctx, a); err != nil {
		return err
	}
	for _, q := range []string{`DELETE FROM user_skills WHERE skill_id = $1`, `DELETE FROM skills WHERE id = $1`} {
		if _, err := a.Exec(ctx, q, id); err != nil {
			return fmt.Errorf("org: remove skill %d: %w", id, err)
		}
	}
	return nil
}

// GiveSkill adds a skill to a user inside an action under way: for sample data.
func (s *Service) GiveSkill(ctx context.Context, a *action.Action, user, skill int64) error {
	if err := s.touch(ctx, a); err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `INSERT INTO user_skills (user_id, skill_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, user, skill); err != nil {
		return fmt.Errorf("org: skill of %d: %w", user, err)
	}
	return nil
}

func (o *snapshot) skillNames(ids []int64) string {
	var out []string
	for _, id := range ids {
		out = append(out, o.skills[id])
	}
	return strings.Join(out, "、")
}

// Member is somebody of a department with all that decides whether he can be
// given its work.
type Member struct {
	Candidate
	Availability Availability
	Away         bool
	Off          bool // outside his working hours
	Allowed      bool // holds the permission asked for
	Skills       []int64
}

// Members returns the active people of the department by home or team, by id; q
// is that of the action under way.
func (s *Service) Members(ctx context.Context, q db.Querier, departmentID int64, perm authz.Permission) ([]Member, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().Now()
	out := make([]Member, 0, len(o.members[departmentID]))
	for _, id := range o.members[departmentID] {
		u := o.users[id]
		out = append(out, Member{Candidate{ID: u.ID, Name: u.Name, Capacity: u.Capacity}, u.Availability, u.Away(now), !u.AtWork(now), o.levels(u.RoleIDs)[perm] > authz.None, u.Skills})
	}
	return out, nil
}

// OffDuty sets a user offline inside an action under way whose caller has
// checked the right, so that no new work is given to him.
func (s *Service) OffDuty(ctx context.Context, a *action.Action, userID int64) error {
	if err := s.touch(ctx, a); err != nil {
		return err
	}
	u, err := loadUser(ctx, a.Tx, userID)
	if err != nil || u.Availability == Offline {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE users SET availability = 'offline' WHERE id = $1`, userID); err != nil {
		return fmt.Errorf("org: presence of %d: %w", userID, err)
	}
	a.Record(about(AvailabilityChanged, SubjectUser, userID, Facts{Name: u.Name, Changes: []event.Change{{Field: "availability", Old: string(u.Availability), New: string(Offline)}}}))
	return nil
}
