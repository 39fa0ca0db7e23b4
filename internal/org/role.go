package org

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Roles returns all roles, the built-in ones first, with how many active users
// hold each.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []Role
	for _, r := range o.roles {
		n := *r
		for _, u := range o.users {
			if u.Active && slices.Contains(u.RoleIDs, r.ID) {
				n.Users++
			}
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Role) int { return order(a) - order(b) })
	return out, nil
}

// order puts the built-in roles in their usual order and own ones behind, by age.
func order(r Role) int {
	if i := slices.Index(authz.Roles, r.Code); i >= 0 {
		return i
	}
	return len(authz.Roles) + int(r.ID)
}

// RoleByCode returns the id of a built-in role, 0 before Seed.
func (s *Service) RoleByCode(ctx context.Context, q db.Querier, code string) (int64, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return 0, err
	}
	for id, r := range o.roles {
		if r.Code == code {
			return id, nil
		}
	}
	return 0, nil
}

// Grants returns what a role may do.
func (s *Service) Grants(ctx context.Context, roleID int64) (Role, map[authz.Permission]authz.Level, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return Role{}, nil, err
	}
	r := o.roles[roleID]
	if r == nil {
		return Role{}, nil, notFound()
	}
	m := map[authz.Permission]authz.Level{}
	for p, l := range o.grants[roleID] {
		m[p] = l
	}
	return *r, m, nil
}

// Grantable returns the permissions a role may hold, by area: all but those
// everybody has.
func Grantable() []authz.Def {
	return slices.DeleteFunc(authz.Defs(), func(d authz.Def) bool { return everyone[d.Permission] != authz.None })
}

// CreateRole adds a role with no rights, or with those of another.
func (s *Service) CreateRole(ctx context.Context, actor authz.Actor, name string, like int64) (id int64, err error) {
	err = s.change(ctx, actor, PermManage, "org.create_role", func(ctx context.Context, a *action.Action) error {
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		if err := o.checkRoleName(0, &name); err != nil {
			return err
		}
		if like != 0 && o.roles[like] == nil {
			return fault.Invalidf("org.form_invalid").Field("like", "org.role.unknown")
		}
		code := "own_" + strconv.FormatInt(a.NowMicros(), 36)
		if err := a.QueryRow(ctx, `INSERT INTO roles (code, name, created_at) VALUES ($1, $2, $3) RETURNING id`, code, name, a.NowMicros()).Scan(&id); err != nil {
			return fmt.Errorf("org: create role: %w", err)
		}
		var d diff
		for _, def := range Grantable() {
			l := o.grants[like][def.Permission]
			if l == authz.None {
				continue
			}
			if err := grant(ctx, a.Tx, id, def, l); err != nil {
				return err
			}
			d.add(string(def.Permission), "none", l.String())
		}
		a.Record(about(RoleCreated, SubjectRole, id, Facts{Name: name, Changes: d}))
		return nil
	})
	return id, err
}

func (o *snapshot) checkRoleName(id int64, name *string) error {
	*name = strings.TrimSpace(*name)
	f := fault.Invalidf("org.form_invalid")
	if n := utf8.RuneCountInString(*name); n == 0 {
		f.Field("name", "org.role.name_required")
	} else if n > maxName {
		f.Field("name", "org.too_long", maxName, n)
	}
	for other, r := range o.roles {
		if other != id && strings.EqualFold(r.Name, *name) {
			f.Field("name", "org.role.name_taken", *name)
		}
	}
	return f.OrNil()
}

func grant(ctx context.Context, tx *db.Tx, role int64, d authz.Def, l authz.Level) error {
	if !d.Scoped {
		l = authz.All
	}
	_, err := tx.Exec(ctx, `INSERT INTO role_permissions (role_id, permission, level) VALUES ($1, $2, $3) ON CONFLICT (role_id, permission) DO NOTHING`,
		role, string(d.Permission), l.String())
	if err != nil {
		return fmt.Errorf("org: grant %s: %w", d.Permission, err)
	}
	return nil
}

// SetGrants replaces what a role may do, and the name of an own role (a
// built-in one keeps its own; name is then ignored). The administrator's role
// cannot lose the right to administer.
func (s *Service) SetGrants(ctx context.Context, actor authz.Actor, id, version int64, name string, levels map[authz.Permission]authz.Level) error {
	return s.change(ctx, actor, PermManage, "org.edit_role", func(ctx context.Context, a *action.Action) error {
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		r := o.roles[id]
		if r == nil {
			return notFound()
		}
		if r.Builtin {
			name = r.Name
		} else if err := o.checkRoleName(id, &name); err != nil {
			return err
		}
		if r.Code == authz.RoleAdmin && levels[PermManage] == authz.None {
			return fault.New(fault.Conflict, "org.role.admin_must_manage")
		}
		var d diff
		d.add("name", r.Name, name)
		for _, def := range Grantable() {
			want := levels[def.Permission]
			if want != authz.None && !def.Scoped {
				want = authz.All
			}
			d.add(string(def.Permission), o.grants[id][def.Permission].String(), want.String())
		}
		if len(d) == 0 {
			a.Nothing()
			return nil
		}
		if err := changedMeanwhile(a.Exec(ctx, `UPDATE roles SET name = $1, version = version + 1 WHERE id = $2 AND version = $3`, name, id, version)); err != nil {
			return err
		}
		for _, def := range Grantable() {
			if _, err := a.Exec(ctx, `DELETE FROM role_permissions WHERE role_id = $1 AND permission = $2`, id, string(def.Permission)); err != nil {
				return fmt.Errorf("org: edit role %d: %w", id, err)
			}
			if l := levels[def.Permission]; l != authz.None {
				if err := grant(ctx, a.Tx, id, def, l); err != nil {
					return err
				}
			}
		}
		if err := s.oneAdmin(ctx, a); err != nil {
			return err
		}
		a.Record(about(RoleChanged, SubjectRole, id, Facts{Name: name, Changes: d}))
		s.forgetHolders(a, o, id)
		return nil
	})
}

// forgetHolders makes the next request of everybody with the role look again.
func (s *Service) forgetHolders(a *action.Action, o *snapshot, role int64) {
	a.AfterCommit(func() {
		for id, u := range o.users {
			if slices.Contains(u.RoleIDs, role) {
				s.sessions.Forget(id)
			}
		}
	})
}

// DeleteRole removes an own role nobody holds.
func (s *Service) DeleteRole(ctx context.Context, actor authz.Actor, id, version int64) error {
	return s.change(ctx, actor, PermManage, "org.delete_role", func(ctx context.Context, a *action.Action) error {
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		r := o.roles[id]
		switch {
		case r == nil:
			return notFound()
		case r.Builtin:
			return fault.New(fault.Conflict, "org.role.builtin")
		}
		holders := 0
		for _, u := range o.users {
			if slices.Contains(u.RoleIDs, id) {
				holders++
			}
		}
		if holders > 0 {
			return fault.New(fault.Conflict, "org.role.in_use", r.Name, holders)
		}
		if _, err := a.Exec(ctx, `DELETE FROM role_permissions WHERE role_id = $1`, id); err != nil {
			return fmt.Errorf("org: delete role %d: %w", id, err)
		}
		if err := changedMeanwhile(a.Exec(ctx, `DELETE FROM roles WHERE id = $1 AND version = $2`, id, version)); err != nil {
			return err
		}
		a.Record(event.Event{Kind: RoleDeleted, Subject: event.Subject{Type: SubjectRole, ID: id}, Data: Facts{Name: r.Name}})
		return nil
	})
}

// RolesOf returns the ids of the roles a person has.
func (s *Service) RolesOf(ctx context.Context, userID int64) ([]int64, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	if u := o.users[userID]; u != nil {
		return slices.Clone(u.RoleIDs), nil
	}
	return nil, nil
}

// Above returns the departments and all above them.
func (s *Service) Above(ctx context.Context, departments []int64) (out []int64, err error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, id := range departments {
		for ; id != 0 && !slices.Contains(out, id) && o.departments[id] != nil; id = o.departments[id].ParentID {
			out = append(out, id)
		}
	}
	return out, nil
}
