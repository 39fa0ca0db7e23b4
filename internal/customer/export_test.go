package customer

import (
	"context"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// NameKey and Reindex let tests write rows of their own.
var NameKey = nameKey

// Reindex puts a customer's words into the search index.
func Reindex(s *Service, ctx context.Context, tx *db.Tx, id int64) error {
	return s.reindex(ctx, tx, id)
}

// ListQuery is the statement a list runs, for looking at its plan.
func ListQuery(s *Service, ctx context.Context, sc authz.Scope, f Filter) (query string, args []any, err error) {
	p, err := s.ready(ctx, s.db().Read(), sc.User(), f.Whole())
	if err != nil {
		return "", nil, err
	}
	f.Limit = 25
	w, err := p.window(ctx, s.db().Read(), sc, f)
	return w.query, w.args, err
}

// ActFor changes who jobs act for.
func ActFor(s *Service, p People) { s.lists.people = p }
