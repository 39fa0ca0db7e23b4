package org

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Lead makes people the lead of a department that has none yet, inside an
// action under way; 0 leaves it. For sample data.
func (s *Service) Lead(ctx context.Context, a *action.Action, department, head, supervisor int64) error {
	if err := s.touch(ctx, a); err != nil {
		return err
	}
	for _, l := range []struct {
		column string
		user   int64
	}{{"head_id", head}, {"supervisor_id", supervisor}} {
		if l.user == 0 {
			continue
		}
		if _, err := a.Exec(ctx, `UPDATE departments SET `+l.column+` = $1, version = version + 1 WHERE id = $2 AND `+l.column+` = 0`, l.user, department); err != nil {
			return fmt.Errorf("org: lead of %d: %w", department, err)
		}
	}
	return nil
}

// DemoUsers returns how many members of the sample staff can sign in.
func DemoUsers(ctx context.Context, q db.Querier) (n int, err error) {
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM users WHERE demo = 1 AND active = 1`).Scan(&n); err != nil {
		return 0, fmt.Errorf("org: sample data: %w", err)
	}
	return n, nil
}

// referred says that a record which stays names the user.
const referred = `EXISTS (SELECT 1 FROM tickets t WHERE t.assignee_id = users.id OR t.created_by = users.id)
	OR EXISTS (SELECT 1 FROM customers c WHERE c.owner_id = users.id OR c.created_by = users.id)
	OR EXISTS (SELECT 1 FROM entries e WHERE e.author_kind = 'user' AND e.author_id = users.id)
	OR EXISTS (SELECT 1 FROM ratings r WHERE r.by_user = users.id)`

// RemoveDemo deletes the sample staff and returns how many there were; those
// whom a record that stays names only lose their access. Their open work goes to
// the colleague named by to (ORG-7). The last administrator is not removed.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action, to int64) (int, error) {
	if err := s.touch(ctx, a); err != nil {
		return 0, err
	}
	ids, err := userIDs(ctx, a, `SELECT id FROM users WHERE demo = 1 ORDER BY id`)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	for _, w := range s.works {
		if w.HandOver == nil || to == 0 {
			continue
		}
		for _, id := range ids {
			if _, err := w.HandOver(ctx, a, id, to); err != nil {
				return 0, err
			}
		}
	}
	for _, q := range []string{
		`UPDATE departments SET head_id = 0, version = version + 1 WHERE head_id IN (SELECT id FROM users WHERE demo = 1)`,
		`UPDATE departments SET supervisor_id = 0, version = version + 1 WHERE supervisor_id IN (SELECT id FROM users WHERE demo = 1)`,
		`UPDATE users SET delegate_id = 0 WHERE demo = 0 AND delegate_id IN (SELECT u.id FROM users u WHERE u.demo = 1)`,
		`DELETE FROM user_sessions WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM api_tokens WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM notifications WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM ticket_watchers WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM drafts WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM saved_views WHERE owner_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM ticket_load WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`UPDATE users SET active = 0, availability = 'offline', password_hash = '', version = version + 1 WHERE demo = 1 AND active = 1 AND (` + referred + `)`,
		`DELETE FROM user_roles WHERE user_id IN (SELECT id FROM users WHERE demo = 1 AND active = 1)`,
		`DELETE FROM user_skills WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM user_teams WHERE user_id IN (SELECT id FROM users WHERE demo = 1 AND active = 1)`,
		`DELETE FROM users WHERE demo = 1 AND active = 1`,
	} {
		if _, err := a.Exec(ctx, q); err != nil {
			return 0, fmt.Errorf("org: remove sample data: %w", err)
		}
	}
	if s.sessions != nil {
		a.AfterCommit(func() {
			for _, id := range ids {
				s.sessions.Forget(id)
			}
		})
	}
	return len(ids), s.oneAdmin(ctx, a)
}

// Heir returns who takes over from the sample staff: actor himself, else the
// first real person who may administer; 0 when there is none.
func (s *Service) Heir(ctx context.Context, q db.Querier, actor authz.Actor) (int64, error) {
	if actor.Kind == authz.User {
		var demo int
		if err := q.QueryRow(ctx, `SELECT demo FROM users WHERE id = $1`, actor.ID).Scan(&demo); err != nil {
			return 0, fmt.Errorf("org: heir: %w", err)
		}
		if demo == 0 {
			return actor.ID, nil
		}
	}
	ids, err := userIDs(ctx, q, `
		SELECT u.id FROM users u
		WHERE  u.active = 1 AND u.demo = 0
		  AND  EXISTS (SELECT 1 FROM user_roles r JOIN role_permissions p ON p.role_id = r.role_id WHERE r.user_id = u.id AND p.permission = $1)
		ORDER BY u.id LIMIT 1`, string(PermManage))
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[0], nil
}

func userIDs(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("org: users: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("org: users: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
