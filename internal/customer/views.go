package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// SavedView is a way of looking at the customers that somebody has kept: a condition,
// the columns and the order.
type SavedView struct {
	ID      int64
	Code    string // of a view that comes with the product; "" for a saved one
	Name    string
	Query   Query
	Columns []string // nil: the reader's own
	Sort    string
	Shared  bool // everybody who sees customers has it
	OwnerID int64
	Owner   string
	Version int64
}

// Key is how addresses name the view.
func (v SavedView) Key() string {
	if v.ID != 0 {
		return strconv.FormatInt(v.ID, 10)
	}
	return v.Code
}

// Offered are the views that come with the product, named customer.view.<code>.
var Offered = []SavedView{
	{Code: "all"},
	{Code: "mine", Query: AllOf(Is("owner", Me))},
	{Code: "key", Query: AllOf(Is("level", string(VIP), string(Strategic))), Sort: ByActivity},
	{Code: "unowned", Query: AllOf(Node{Field: "owner", Op: OpEmpty}), Sort: ByCreated},
	{Code: "idle", Query: AllOf(Is("stage", Potential, Interested, Active), Node{Field: "activity", Op: OpOlder, Values: []string{"90"}}), Sort: ByIdle},
	{Code: "verify", Query: AllOf(Node{Field: "verify", Op: OpWithin, Values: []string{"past"}}), Sort: ByVerify},
	{Code: "new", Query: AllOf(Node{Field: "created", Op: OpLast, Values: []string{"7"}}), Sort: ByCreated},
}

const (
	maxViewName = 40
	maxViews    = 50 // of one person; and shared ones
)

// ViewData is the data of the facts about views.
type ViewData struct {
	Args   []string `json:"args"` // the name
	Query  Query    `json:"query,omitzero"`
	Shared bool     `json:"shared,omitempty"`
}

func viewSubject(id int64) event.Subject { return event.Subject{Type: "customer_view", ID: id} }

// masked is a Query as facts keep it: names of people in it are masked, for the
// chain outlives a person's wish to be forgotten.
func (s *Service) masked(q Query) Query {
	var mask func(n Node) Node
	mask = func(n Node) Node {
		n.All, n.Any = slices.Clone(n.All), slices.Clone(n.Any)
		for i := range n.All {
			n.All[i] = mask(n.All[i])
		}
		for i := range n.Any {
			n.Any[i] = mask(n.Any[i])
		}
		if n.Field == "name" || n.Field == "contact" || n.Field == "remark" {
			n.Values = slices.Clone(n.Values)
			for i, v := range n.Values {
				n.Values[i] = cnid.MaskName(v)
			}
		}
		return n
	}
	q.Node = mask(q.Node)
	return q
}

const viewColumns = `v.id, v.name, v.filter, v.columns, v.sort, v.shared, v.owner_id, COALESCE(u.name, ''), v.version`

func (s *Service) queryViews(ctx context.Context, q db.Querier, where string, args ...any) ([]SavedView, error) {
	rows, err := q.Query(ctx, `SELECT `+viewColumns+` FROM customer_views v LEFT JOIN users u ON u.id = v.owner_id WHERE `+where+` ORDER BY v.shared, v.position, v.id LIMIT 500`, args...)
	if err != nil {
		return nil, fmt.Errorf("customer: views: %w", err)
	}
	defer rows.Close()
	var out []SavedView
	for rows.Next() {
		var v SavedView
		var filter, columns string
		var shared int
		if err := rows.Scan(&v.ID, &v.Name, &filter, &columns, &v.Sort, &shared, &v.OwnerID, &v.Owner, &v.Version); err != nil {
			return nil, fmt.Errorf("customer: views: %w", err)
		}
		v.Shared, v.Columns = shared == 1, splitColumns(columns)
		if v.Query, err = ParseQuery(filter); err != nil {
			return nil, fmt.Errorf("customer: view %d: %w", v.ID, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func (s *Service) allViews(ctx context.Context, q db.Querier) ([]SavedView, error) {
	return s.queryViews(ctx, q, `1 = 1`)
}

// Views returns the views the actor has: his own, then the shared ones.
func (s *Service) Views(ctx context.Context, actor authz.Actor) ([]SavedView, error) {
	return s.queryViews(ctx, s.db().Read(), `(v.owner_id = $1 OR v.shared = 1)`, actor.ID)
}

// View returns a view the actor has, by the key of its address; else NotFound.
func (s *Service) View(ctx context.Context, actor authz.Actor, key string) (SavedView, error) {
	for _, v := range Offered {
		if v.Code == key {
			return v, nil
		}
	}
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return SavedView{}, fault.New(fault.NotFound, "customer.view.not_found")
	}
	return s.view(ctx, s.db().Read(), actor, id)
}

func (s *Service) view(ctx context.Context, q db.Querier, actor authz.Actor, id int64) (SavedView, error) {
	vs, err := s.queryViews(ctx, q, `v.id = $1 AND (v.owner_id = $2 OR v.shared = 1)`, id, actor.ID)
	if err != nil {
		return SavedView{}, err
	}
	if len(vs) == 0 {
		return SavedView{}, fault.New(fault.NotFound, "customer.view.not_found")
	}
	return vs[0], nil
}

// mayChange: one's own; shared ones also by who may share views.
func (v SavedView) mayChange(actor authz.Actor) error {
	if v.OwnerID == actor.ID && (!v.Shared || actor.Can(PermShareViews)) {
		return nil
	}
	if v.Shared {
		return actor.Check(PermShareViews)
	}
	return fault.New(fault.NotFound, "customer.view.not_found")
}

// MayChange reports whether the actor may change or delete the view.
func (v SavedView) MayChange(actor authz.Actor) bool { return v.ID != 0 && v.mayChange(actor) == nil }

// SaveView keeps a view (ID 0) or changes one from its version on.
func (s *Service) SaveView(ctx context.Context, actor authz.Actor, v SavedView) (id int64, err error) {
	err = s.run.Do(ctx, actor, "customer.save_view", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveViewIn(ctx, a, v)
		return err
	})
	return id, err
}

// SaveViewIn is SaveView within an action.
func (s *Service) SaveViewIn(ctx context.Context, a *action.Action, v SavedView) (id int64, err error) {
	v.Name = line(v.Name)
	if err := a.Actor.Check(PermView); err != nil {
		return 0, err
	}
	if v.Shared {
		if err := a.Actor.Check(PermShareViews); err != nil {
			return 0, err
		}
	}
	e := fault.Invalidf("customer.invalid")
	switch {
	case v.Name == "":
		e.Field("name", "customer.view.name.required")
	case utf8.RuneCountInString(v.Name) > maxViewName:
		e.Field("name", "customer.view.name.long", maxViewName)
	}
	if v.Sort != "" && !slices.Contains(Sorts, v.Sort) {
		e.Field("sort", "customer.sort.unknown")
	}
	if err := e.OrNil(); err != nil {
		return 0, err
	}
	if _, err := s.ready(ctx, a, a.Actor.ID, v.Query); err != nil {
		return 0, err
	}
	columns, err := s.goodColumns(ctx, a, v.Columns)
	if err != nil {
		return 0, err
	}
	data := ViewData{Args: []string{v.Name}, Query: s.masked(v.Query), Shared: v.Shared}
	if id = v.ID; id != 0 {
		old, err := s.view(ctx, a, a.Actor, id)
		if err != nil {
			return 0, err
		}
		if err := old.mayChange(a.Actor); err != nil {
			return 0, err
		}
		res, err := a.Exec(ctx, `UPDATE customer_views SET name = $1, filter = $2, columns = $3, sort = $4, shared = $5, updated_at = $6, version = version + 1 WHERE id = $7 AND version = $8`,
			v.Name, v.Query.String(), strings.Join(columns, ","), v.Sort, db.Bool(v.Shared), a.NowMicros(), id, v.Version)
		if err != nil {
			return 0, fmt.Errorf("customer: save view: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return 0, fault.New(fault.Conflict, "customer.view.stale")
		}
		a.Record(event.Event{Kind: ViewEdited, Subject: viewSubject(id), Data: data})
		return id, nil
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM customer_views WHERE owner_id = $1 AND shared = $2`, a.Actor.ID, db.Bool(v.Shared)).Scan(&n); err != nil {
		return 0, fmt.Errorf("customer: save view: %w", err)
	}
	if n >= maxViews {
		return 0, fault.New(fault.Limited, "customer.view.many", maxViews)
	}
	err = a.QueryRow(ctx, `
		INSERT INTO customer_views (owner_id, name, filter, columns, sort, shared, position, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		a.Actor.ID, v.Name, v.Query.String(), strings.Join(columns, ","), v.Sort, db.Bool(v.Shared), n, a.NowMicros(), a.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("customer: save view: %w", err)
	}
	a.Record(event.Event{Kind: ViewSaved, Subject: viewSubject(id), Data: data})
	return id, nil
}

// DeleteView takes a view away.
func (s *Service) DeleteView(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "customer.delete_view", func(ctx context.Context, a *action.Action) error {
		v, err := s.view(ctx, a, a.Actor, id)
		if err != nil {
			return err
		}
		if err := v.mayChange(a.Actor); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `DELETE FROM customer_views WHERE id = $1`, id); err != nil {
			return fmt.Errorf("customer: delete view %d: %w", id, err)
		}
		if _, err := a.Exec(ctx, `UPDATE customer_list_prefs SET view = '' WHERE view = $1`, v.Key()); err != nil {
			return fmt.Errorf("customer: delete view %d: %w", id, err)
		}
		a.Record(event.Event{Kind: ViewDeleted, Subject: viewSubject(id), Data: ViewData{Args: []string{v.Name}, Shared: v.Shared}})
		return nil
	})
}

// Prefs is how somebody likes his list.
type Prefs struct {
	View    string   // key of the view it opens with; "" all
	Columns []string // nil: those of the product
}

// PrefsOf returns what a person likes; the zero Prefs when he has not said.
func (s *Service) PrefsOf(ctx context.Context, user int64) (p Prefs, err error) {
	var columns string
	err = s.db().Read().QueryRow(ctx, `SELECT view, columns FROM customer_list_prefs WHERE user_id = $1`, user).Scan(&p.View, &columns)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("customer: preferences: %w", err)
	}
	p.Columns = splitColumns(columns)
	return p, nil
}

// SetPrefs keeps what the actor likes. It is no fact of the business.
func (s *Service) SetPrefs(ctx context.Context, actor authz.Actor, p Prefs) error {
	if p.View != "" {
		if _, err := s.View(ctx, actor, p.View); err != nil {
			return err
		}
	}
	columns, err := s.goodColumns(ctx, s.db().Read(), p.Columns)
	if err != nil {
		return err
	}
	err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO customer_list_prefs (user_id, view, columns) VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO UPDATE SET view = excluded.view, columns = excluded.columns`, actor.ID, p.View, strings.Join(columns, ","))
		return err
	})
	if err != nil {
		return fmt.Errorf("customer: preferences: %w", err)
	}
	return nil
}

func splitColumns(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// Counts of views are looked at by everybody who opens the list, and may be a
// moment old.
const (
	countMax  = 1000
	countHold = 20 * time.Second
	countWait = 2 * time.Second        // for all of one reader, beside his page
	countPage = 700 * time.Millisecond // for one that a page waits for
)

// counted remembers counts for a moment. The zero value is empty.
type counted struct {
	mu sync.Mutex
	m  map[string]countAt
}

type countAt struct {
	at time.Time
	n  int
}

// Counts returns how many customers each Query selects for the actor, at most
// 1000 (which says: that many and more); -1 where counting took too long, which
// is no error.
func (s *Service) Counts(ctx context.Context, actor authz.Actor, fs []Filter) ([]int, error) {
	sc, now := View(actor), s.db().Clock().Now()
	out := make([]int, len(fs))
	wait := countWait
	if len(fs) == 1 {
		wait = countPage
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for i, f := range fs {
		key := fmt.Sprint(actor.ID, " ", sc.Level(), " ", sc.Departments(), " ", f.Whole())
		s.counted.mu.Lock()
		c, ok := s.counted.m[key]
		s.counted.mu.Unlock()
		if age := now.Sub(c.at); ok && age >= 0 && age < countHold {
			out[i] = c.n
			continue
		}
		n, err := s.Count(limited, sc, f, countMax)
		switch {
		case limited.Err() != nil && ctx.Err() == nil:
			out[i] = -1
			continue
		case err != nil && (fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound)):
			out[i] = -1 // a view about a field that was switched off
			continue
		case err != nil:
			return nil, err
		}
		out[i] = n
		s.counted.mu.Lock()
		if s.counted.m == nil || len(s.counted.m) > 5000 {
			s.counted.m = map[string]countAt{}
		}
		s.counted.m[key] = countAt{now, n}
		s.counted.mu.Unlock()
	}
	return out, nil
}

// removeListsOf takes away what people of the sample staff kept for their lists,
// and their segments unless somebody has changed them since.
func removeListsOf(ctx context.Context, a *action.Action) error {
	for _, q := range []string{`DELETE FROM customer_views WHERE owner_id IN (SELECT id FROM users WHERE demo = 1)`, `DELETE FROM customer_list_prefs WHERE user_id IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM customer_level_wishes WHERE batch_id IN (SELECT id FROM customer_level_batches WHERE created_by IN (SELECT id FROM users WHERE demo = 1))`,
		`DELETE FROM customer_level_batches WHERE created_by IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM customer_bulk_lines WHERE bulk_id IN (SELECT id FROM customer_bulks WHERE created_by IN (SELECT id FROM users WHERE demo = 1))`,
		`DELETE FROM customer_bulks WHERE created_by IN (SELECT id FROM users WHERE demo = 1)`,
		`DELETE FROM customer_segments WHERE version = 1 AND created_by IN (SELECT id FROM users WHERE demo = 1)`} {
		if _, err := a.Exec(ctx, q); err != nil {
			return fmt.Errorf("customer: remove sample lists: %w", err)
		}
	}
	return nil
}
