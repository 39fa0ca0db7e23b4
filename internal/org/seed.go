package org

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// departmentsAtFirst are the departments of the manuals (ORG-1), below the first.
var departmentsAtFirst = []string{"客户服务中心", "客服部", "技术支持部", "售后部", "销售部", "物流部"}

// seededSetting remembers which permissions have been handed out by default, so
// that an upgrade grants only what is new and never what an administrator has
// taken away.
const seededSetting = "org.seeded_permissions"

// Seed brings what a company begins with: departments, if there are none, and
// the built-in roles with their permissions. It may be run at every start.
func (s *Service) Seed(ctx context.Context, a *action.Action) error {
	changed := false
	var departments int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM departments`).Scan(&departments); err != nil {
		return fmt.Errorf("org: seed: %w", err)
	}
	if departments == 0 {
		changed = true
		var top int64
		for i, name := range departmentsAtFirst {
			var id int64
			err := a.QueryRow(ctx, `INSERT INTO departments (parent_id, name, position, created_at) VALUES ($1, $2, $3, $4) RETURNING id`,
				db.NullID(top), name, i*10, a.NowMicros()).Scan(&id)
			if err != nil {
				return fmt.Errorf("org: seed department: %w", err)
			}
			if top == 0 {
				top = id
			}
		}
	}
	roles := map[string]int64{}
	for _, code := range authz.Roles {
		res, err := a.Exec(ctx, `INSERT INTO roles (code, name, builtin, created_at) VALUES ($1, $2, 1, $3) ON CONFLICT (code) DO NOTHING`,
			code, i18n.T(i18n.ZhCN, "org.role."+code), a.NowMicros())
		if err != nil {
			return fmt.Errorf("org: seed role %s: %w", code, err)
		}
		if n, err := res.RowsAffected(); err == nil && n > 0 {
			changed = true
		}
		var id int64
		if err := a.QueryRow(ctx, `SELECT id FROM roles WHERE code = $1`, code).Scan(&id); err != nil {
			return fmt.Errorf("org: seed role %s: %w", code, err)
		}
		roles[code] = id
	}
	var done []string
	if err := setting.Read(ctx, a.Tx, seededSetting, &done); err != nil {
		return err
	}
	granted := false
	for _, d := range Grantable() {
		if slices.Contains(done, string(d.Permission)) {
			continue
		}
		for _, code := range authz.Roles {
			if l := d.Default[code]; l != authz.None {
				if err := grant(ctx, a.Tx, roles[code], d, l); err != nil {
					return err
				}
			}
		}
		done = append(done, string(d.Permission))
		granted = true
	}
	if granted {
		slices.Sort(done)
		if err := setting.Write(ctx, a.Tx, seededSetting, done); err != nil {
			return err
		}
	}
	if !changed && !granted {
		a.Nothing()
		return nil
	}
	if err := s.touch(ctx, a); err != nil {
		return err
	}
	a.Record(event.Event{Kind: Seeded, Subject: event.Subject{Type: SubjectSetting}, Data: Facts{Count: len(done)}})
	return nil
}

// FirstAdminLogin is the login name of the first administrator.
const FirstAdminLogin = "admin"

// FirstAdmin makes the first administrator, unless somebody who may administer
// exists. The password is stored nowhere: show it once. It must be changed at
// the first sign-in.
func (s *Service) FirstAdmin(ctx context.Context) (login, password string, created bool, err error) {
	admins, err := s.Holders(ctx, nil, PermManage)
	if err != nil || len(admins) > 0 {
		return "", "", false, err
	}
	password, hash, err := s.newPassword(ctx)
	if err != nil {
		return "", "", false, err
	}
	actor := authz.System("setup")
	err = s.change(ctx, actor, PermManage, "org.first_admin", func(ctx context.Context, a *action.Action) error {
		created = false
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		var role, department int64
		for id, r := range o.roles {
			if r.Code == authz.RoleAdmin {
				role = id
			}
		}
		if top := o.children[0]; len(top) > 0 {
			department = top[0]
		}
		if role == 0 || department == 0 {
			return fault.New(fault.Conflict, "org.not_seeded")
		}
		if s.oneAdmin(ctx, a) == nil { // another node was quicker
			a.Nothing()
			return nil
		}
		_, err = s.createUser(ctx, a, UserInput{Login: FirstAdminLogin, Name: i18n.T(i18n.ZhCN, "org.role.admin"), DepartmentID: department, RoleIDs: []int64{role}}, hash, true)
		created = err == nil
		return err
	})
	if err != nil || !created {
		return "", "", false, err
	}
	return FirstAdminLogin, password, true, nil
}
