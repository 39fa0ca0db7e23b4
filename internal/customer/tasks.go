package customer

import (
	"context"
	"fmt"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/task"
)

// AsSubject is what the room of tasks asks of this one.
func (s *Service) AsSubject() task.SubjectKind {
	named := func(ctx context.Context, actor authz.Actor, cond func(a *db.Args) string) (map[int64]task.Named, error) {
		var a db.Args
		rows, err := s.db().Read().Query(ctx, `SELECT c.id, c.number, c.name FROM customers c WHERE `+cond(&a)+` AND c.gone = 0 AND `+View(actor).Where(&a, scopeColumns), a.Values...)
		if err != nil {
			return nil, fmt.Errorf("customer: subjects of tasks: %w", err)
		}
		defer rows.Close()
		out := map[int64]task.Named{}
		for rows.Next() {
			var id int64
			var n task.Named
			if err := rows.Scan(&id, &n.Label, &n.Title); err != nil {
				return nil, fmt.Errorf("customer: subjects of tasks: %w", err)
			}
			n.Href = fmt.Sprintf("/customers/%d", id)
			out[id] = n
		}
		return out, rows.Err()
	}
	return task.SubjectKind{
		Named: func(ctx context.Context, actor authz.Actor, ids []int64) (map[int64]task.Named, error) {
			return named(ctx, actor, func(a *db.Args) string { return `c.id IN (` + a.AddInts(ids) + `)` })
		},
		Find: func(ctx context.Context, actor authz.Actor, text string) (int64, error) {
			m, err := named(ctx, actor, func(a *db.Args) string { return `c.number = ` + a.Add(strings.ToUpper(strings.TrimSpace(text))) })
			for id := range m {
				return id, err
			}
			return 0, err
		},
	}
}
