package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/number"
	"bihuan/internal/setting"
)

// What an administrator changes in the browser (GOV-5). Each change is one
// action with what was before and what is now.

func (s *Service) configure(ctx context.Context, actor authz.Actor, name, kind string, id int64, fn func(ctx context.Context, a *action.Action) ([]event.Change, error)) error {
	return s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error { return configureIn(ctx, a, kind, id, fn) })
}

func configureIn(ctx context.Context, a *action.Action, kind string, id int64, fn func(ctx context.Context, a *action.Action) ([]event.Change, error)) error {
	if err := a.Actor.Check(PermConfigure); err != nil {
		return err
	}
	changes, err := fn(ctx, a)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		a.Nothing()
		return nil
	}
	a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: "ticket_settings", ID: id}, Data: map[string]any{"changes": changes}})
	return nil
}

// Matrix is the priority of each urgency and customer level.
type Matrix map[string]map[string]string

// PriorityMatrix returns the matrix in force.
func PriorityMatrix(ctx context.Context, q db.Querier) (Matrix, error) {
	m := Matrix{}
	for _, u := range Urgencies {
		m[u] = map[string]string{}
		for _, l := range Levels {
			p, err := Priority(ctx, q, u, l)
			if err != nil {
				return nil, err
			}
			m[u][l] = p
		}
	}
	return m, nil
}

// SetMatrix changes the matrix; tickets registered later follow it (TKT-3).
func (s *Service) SetMatrix(ctx context.Context, actor authz.Actor, m Matrix) error {
	return s.configure(ctx, actor, "ticket.set_matrix", "ticket.matrix_changed", 0, func(ctx context.Context, a *action.Action) (out []event.Change, err error) {
		old, err := PriorityMatrix(ctx, a)
		if err != nil {
			return nil, err
		}
		a.Drop(matrixHeld{})
		for _, u := range Urgencies {
			for _, l := range Levels {
				p := m[u][l]
				if !slices.Contains(Priorities, p) {
					return nil, fault.Invalidf("ticket.invalid").Field(u+"."+l, "ticket.need_choice")
				}
				if p == old[u][l] {
					continue
				}
				if _, err := a.Exec(ctx, `INSERT INTO priority_matrix (urgency, level, priority) VALUES ($1, $2, $3) ON CONFLICT (urgency, level) DO UPDATE SET priority = excluded.priority`, u, l, p); err != nil {
					return nil, fmt.Errorf("ticket: matrix: %w", err)
				}
				out = append(out, event.Change{Field: u + "." + l, Old: old[u][l], New: p})
			}
		}
		return out, nil
	})
}

// AllCategories returns the categories with the inactive ones, parents before
// children.
func AllCategories(ctx context.Context, q db.Querier) (out []Category, active map[int64]bool, err error) {
	rows, err := q.Query(ctx, `SELECT c.id, COALESCE(c.parent_id, 0), c.name, c.active FROM categories c LEFT JOIN categories p ON p.id = c.parent_id
		ORDER BY COALESCE(p.position, c.position), COALESCE(c.parent_id, c.id), CASE WHEN c.parent_id IS NULL THEN 0 ELSE 1 END, c.position, c.id`)
	if err != nil {
		return nil, nil, fmt.Errorf("ticket: categories: %w", err)
	}
	defer rows.Close()
	active = map[int64]bool{}
	for rows.Next() {
		var c Category
		var on int
		if err := rows.Scan(&c.ID, &c.ParentID, &c.Name, &on); err != nil {
			return nil, nil, fmt.Errorf("ticket: categories: %w", err)
		}
		active[c.ID] = on == 1
		out = append(out, c)
	}
	return out, active, rows.Err()
}

// SetCategory adds (ID 0) or renames a category; an inactive one is kept for
// the tickets that have it and offered no more.
func (s *Service) SetCategory(ctx context.Context, actor authz.Actor, c Category, active bool) error {
	return s.configure(ctx, actor, "ticket.set_category", "ticket.category_changed", c.ID, func(ctx context.Context, a *action.Action) ([]event.Change, error) {
		c.Name = strings.TrimSpace(c.Name)
		if n := len([]rune(c.Name)); n == 0 || n > 40 {
			return nil, fault.Invalidf("ticket.category_name").Field("name", "ticket.category_name")
		}
		if err := s.touchRouting(ctx, a); err != nil { // it knows which lies below which
			return nil, err
		}
		all, on, err := AllCategories(ctx, a)
		if err != nil {
			return nil, err
		}
		var old Category
		for _, o := range all {
			if o.ID == c.ID {
				old = o
			}
			if o.ID == c.ParentID && o.ParentID != 0 {
				return nil, fault.Invalidf("ticket.category_depth").Field("parent", "ticket.category_depth")
			}
		}
		if c.ID == 0 {
			_, err = a.Exec(ctx, `INSERT INTO categories (parent_id, name, position) VALUES ($1, $2, $3)`, db.NullID(c.ParentID), c.Name, len(all))
		} else if old.ID == 0 {
			return nil, notFound()
		} else {
			_, err = a.Exec(ctx, `UPDATE categories SET name = $1, active = $2 WHERE id = $3`, c.Name, db.Bool(active), c.ID)
		}
		if db.IsUnique(err, "") {
			return nil, fault.Invalidf("ticket.category_twice").Field("name", "ticket.category_twice")
		}
		if err != nil {
			return nil, fmt.Errorf("ticket: category: %w", err)
		}
		if old.Name == c.Name && on[c.ID] == active {
			return nil, nil
		}
		word := map[bool]string{true: "", false: " (off)"}
		return []event.Change{{Field: "category", Old: old.Name + word[old.ID == 0 || on[c.ID]], New: c.Name + word[active || c.ID == 0]}}, nil
	})
}

// SetConfig changes the numbers of Config.
func (s *Service) SetConfig(ctx context.Context, actor authz.Actor, c Config) error {
	return s.configure(ctx, actor, "ticket.set_config", "ticket.settings_changed", 0, func(ctx context.Context, a *action.Action) (out []event.Change, err error) {
		e := fault.Invalidf("ticket.invalid")
		c.NumberTemplate = strings.TrimSpace(c.NumberTemplate)
		if _, err := number.Parse(c.NumberTemplate); err != nil {
			if f, ok := fault.As(err); ok {
				e.Field("number_template", f.Key, f.Args...)
			} else {
				return nil, err
			}
		}
		if c.BadStars < 1 || c.BadStars > 4 {
			e.Field("bad_stars", "ticket.bad_stars")
		}
		if c.ReopenWindow < time.Hour || c.ReopenWindow > 90*24*time.Hour {
			e.Field("reopen_hours", "ticket.hours_range", 1, 90*24)
		}
		if c.RatingChange < time.Hour || c.RatingChange > c.ReopenWindow {
			e.Field("change_hours", "ticket.change_hours")
		}
		if err := e.OrNil(); err != nil {
			return nil, err
		}
		old, err := s.readConfig(ctx, a)
		if err != nil {
			return nil, err
		}
		if err := setting.Write(ctx, a.Tx, settingName, stored{c.NumberTemplate, c.BadStars, int(c.ReopenWindow / time.Hour), int(c.RatingChange / time.Hour), c.RefuseVague}); err != nil {
			return nil, err
		}
		for _, f := range []struct {
			name     string
			old, now any
		}{{"number_template", old.NumberTemplate, c.NumberTemplate}, {"bad_stars", old.BadStars, c.BadStars}, {"reopen_window", old.ReopenWindow, c.ReopenWindow},
			{"rating_change", old.RatingChange, c.RatingChange}, {"refuse_vague", old.RefuseVague, c.RefuseVague}} {
			if f.old != f.now {
				out = append(out, event.Change{Field: f.name, Old: fmt.Sprint(f.old), New: fmt.Sprint(f.now)})
			}
		}
		return out, nil
	})
}

// Bounds of a promised time.
const maxTarget = 365 * 24 * time.Hour
