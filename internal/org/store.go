package org

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/db"
	"bihuan/internal/i18n"
)

type scanner interface{ Scan(dest ...any) error }

const departmentColumns = `id, COALESCE(parent_id, 0), name, head_id, supervisor_id, position, active, version`

func scanDepartment(row scanner) (d Department, err error) {
	err = row.Scan(&d.ID, &d.ParentID, &d.Name, &d.HeadID, &d.SupervisorID, &d.Position, &d.Active, &d.Version)
	return d, err
}

const userColumns = `u.id, u.login, u.name, u.initials, u.email, u.phone, u.department_id, u.active, u.must_change, u.availability, u.capacity,
	u.away_from, u.away_until, u.delegate_id, u.lang, u.locked_until, u.last_sign_in_at, u.password_at, u.created_at, u.version, u.keys_off`

func scanUser(row scanner) (u User, err error) {
	var from, away, locked, last, pass, created, keys int64
	var lang string
	err = row.Scan(&u.ID, &u.Login, &u.Name, &u.Initials, &u.Email, &u.Phone, &u.DepartmentID, &u.Active, &u.MustChange, (*string)(&u.Availability), &u.Capacity,
		&from, &away, &u.DelegateID, &lang, &locked, &last, &pass, &created, &u.Version, &keys)
	u.KeysOff = keys == 1
	u.Lang = i18n.Lang(lang)
	u.AwayFrom, u.AwayUntil, u.LockedUntil, u.LastSignInAt = db.FromMicros(from), db.FromMicros(away), db.FromMicros(locked), db.FromMicros(last)
	u.PasswordAt, u.CreatedAt = db.FromMicros(pass), db.FromMicros(created)
	return u, err
}

func loadDepartment(ctx context.Context, q db.Querier, id int64) (Department, error) {
	d, err := scanDepartment(q.QueryRow(ctx, `SELECT `+departmentColumns+` FROM departments WHERE id = $1`, id))
	if err != nil {
		return d, missing(err)
	}
	return d, nil
}

// loadUser reads a user with teams and roles, and locks the row.
func loadUser(ctx context.Context, tx *db.Tx, id int64) (User, error) {
	u, err := scanUser(tx.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`+tx.ForUpdate(), id))
	if err != nil {
		return u, missing(err)
	}
	return u, belongings(ctx, tx, &u)
}

func belongings(ctx context.Context, q db.Querier, u *User) (err error) {
	if u.Teams, err = ids(ctx, q, `SELECT department_id FROM user_teams WHERE user_id = $1 ORDER BY department_id`, u.ID); err != nil {
		return err
	}
	if u.RoleIDs, err = ids(ctx, q, `SELECT role_id FROM user_roles WHERE user_id = $1 ORDER BY role_id`, u.ID); err != nil {
		return err
	}
	u.Skills, err = ids(ctx, q, `SELECT skill_id FROM user_skills WHERE user_id = $1 ORDER BY skill_id`, u.ID)
	return err
}

func ids(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("org: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// unique returns the ids in order, each once.
func unique(in []int64) []int64 {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
