package field

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
)

// trust is how long the definitions are believed without asking the database
// whether another node has changed them.
const trust = 5 * time.Second

// generation is the counter that grows with every change of a definition.
const generation = "field.generation"

// snapshot is all definitions in memory; never changed once made.
type snapshot struct {
	generation int64
	checked    atomic.Int64 // µs: when it was last found to be current
	all        map[Object][]*Field
	defs       map[i18n.Lang]map[Object][]Def // of those switched on
	byID       map[int64]*Field
}

func readGeneration(ctx context.Context, q db.Querier) (int64, error) {
	var n int64
	err := q.QueryRow(ctx, `SELECT n FROM counters WHERE name = $1`, generation).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("field: generation: %w", err)
	}
	return n, nil
}

// changed makes every node read the definitions again.
func (s *Service) changed(ctx context.Context, a *action.Action) error {
	_, err := a.Exec(ctx, `INSERT INTO counters (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + 1`, generation)
	if err != nil {
		return fmt.Errorf("field: generation: %w", err)
	}
	a.AfterCommit(func() { s.dropped.Add(1); s.snap.Store(nil) })
	return nil
}

// current returns the definitions, at most trust old after a change by another
// node. Inside a transaction q is its querier.
func (s *Service) current(ctx context.Context, q db.Querier) (*snapshot, error) {
	now, o := db.Micros(s.db().Clock().Now()), s.snap.Load()
	if o != nil {
		if age := now - o.checked.Load(); age >= 0 && age < trust.Microseconds() {
			return o, nil
		}
	}
	if q == nil {
		q = s.db().Read()
	}
	gen, err := readGeneration(ctx, q)
	if err != nil {
		return nil, err
	}
	if o != nil && o.generation == gen {
		o.checked.Store(now)
		return o, nil
	}
	before := s.dropped.Load()
	if o, err = load(ctx, q); err != nil {
		return nil, err
	}
	o.generation = gen // read before the rows: a change in between makes them look older than they are
	o.checked.Store(now)
	if s.loading.Lock(); s.dropped.Load() == before && !db.InWrite(ctx) { // what a transaction sees may never be committed
		s.snap.Store(o)
	}
	s.loading.Unlock()
	return o, nil
}

const fieldColumns = `id, object, code, kind, label, label_en, help, help_en, required, types, preset, options, position, searchable, filterable, active, version`

func scanField(row interface{ Scan(...any) error }) (f Field, err error) {
	var required, searchable, filterable, active int
	var types, options string
	err = row.Scan(&f.ID, (*string)(&f.Object), &f.Code, (*string)(&f.Kind), &f.Label.Zh, &f.Label.En, &f.Help.Zh, &f.Help.En, &required, &types, &f.Default, &options,
		&f.Position, &searchable, &filterable, &active, &f.Version)
	if err != nil {
		return f, err
	}
	if types != "" {
		f.Types = strings.Split(types, ",")
	}
	f.Required, f.Searchable, f.Filterable, f.Active = required != 0, searchable != 0, filterable != 0, active != 0
	return f, json.Unmarshal([]byte(options), &f.Options)
}

func load(ctx context.Context, q db.Querier) (*snapshot, error) {
	o := &snapshot{all: map[Object][]*Field{}, defs: map[i18n.Lang]map[Object][]Def{}, byID: map[int64]*Field{}}
	rows, err := q.Query(ctx, `SELECT `+fieldColumns+` FROM fields ORDER BY object, position, id`)
	if err != nil {
		return nil, fmt.Errorf("field: load: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		f, err := scanField(rows)
		if err != nil {
			return nil, fmt.Errorf("field: load: %w", err)
		}
		o.all[f.Object] = append(o.all[f.Object], &f)
		o.byID[f.ID] = &f
	}
	for _, l := range i18n.Langs {
		o.defs[l] = map[Object][]Def{}
		for obj, fs := range o.all {
			for _, f := range fs {
				if f.Active {
					o.defs[l][obj] = append(o.defs[l][obj], f.in(l))
				}
			}
		}
	}
	return o, rows.Err()
}

// Defs returns the fields of obj that are in use, in their order. It is answered
// from memory. Inside a transaction use [Service.DefsIn].
func (s *Service) Defs(ctx context.Context, lang i18n.Lang, obj Object) ([]Def, error) {
	return s.DefsIn(ctx, nil, lang, obj)
}

// DefsIn is Defs inside a transaction.
func (s *Service) DefsIn(ctx context.Context, q db.Querier, lang i18n.Lang, obj Object) ([]Def, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	return slices.Clone(o.defs[lang][obj]), nil // callers pick and sort
}

// Def returns one field by its code, switched on or not; ok is false when there
// is none.
func (s *Service) Def(ctx context.Context, q db.Querier, lang i18n.Lang, obj Object, code string) (d Def, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return d, false, err
	}
	for _, f := range o.all[obj] {
		if f.Code == code {
			return f.in(lang), true, nil
		}
	}
	return d, false, nil
}

// Fields returns all fields of obj, switched off or not, in their order.
func (s *Service) Fields(ctx context.Context, obj Object) ([]Field, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	out := make([]Field, len(o.all[obj]))
	for i, f := range o.all[obj] {
		out[i] = *f
	}
	return out, nil
}
