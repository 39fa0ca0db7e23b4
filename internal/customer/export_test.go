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
	drive, err := p.driver(ctx, s.db().Read())
	if err != nil {
		return "", nil, err
	}
	w, err := p.window(ctx, s.db().Read(), sc, f, drive, 0)
	return w.query, w.args, err
}

// SetReaches changes how many customers a page passes.
func SetReaches(s *Service, n ...int) { s.lists.reaches = n }

// ActFor changes who jobs act for.
func ActFor(s *Service, p People) { s.lists.people = p }

// Statement is a query and its arguments.
type Statement struct {
	Query string
	Args  []any
}

type noting struct {
	db.Querier
	list []Statement
}

func (n *noting) Query(ctx context.Context, query string, args ...any) (db.Rows, error) {
	n.list = append(n.list, Statement{query, args})
	return n.Querier.Query(ctx, query, args...)
}

// SearchStatements are the queries a search runs.
func SearchStatements(s *Service, ctx context.Context, sc authz.Scope, text string) ([]Statement, error) {
	n := &noting{Querier: s.db().Read()}
	p := prober{s: s, ctx: ctx, q: n, sc: sc, hits: map[int64]found{}, limit: 10}
	_, err := p.find(text)
	return n.list, err
}
