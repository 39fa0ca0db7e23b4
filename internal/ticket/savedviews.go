package ticket

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

const (
	maxSearch   = 200 // characters of a stored search
	maxViewName = 40
	maxViews    = 50 // of one person
)

// ViewData is the data of the facts about views.
type ViewData struct {
	Args    []string       `json:"args"` // the name
	Changes []event.Change `json:"changes,omitempty"`
}

func viewFact(kind string, id int64, d ViewData) event.Event {
	return event.Event{Kind: kind, Subject: event.Subject{Type: "view", ID: id}, Data: d}
}

// MayChange reports whether the actor may change or delete the view: his own;
// what is shared also whoever configures tickets, for its owner may have left.
func (v SavedView) MayChange(actor authz.Actor) bool {
	return v.Owner == actor.ID || v.Shared != SharedNobody && actor.Can(PermConfigure)
}

// goodView is what is stored of a view that old was before; the zero old is a
// new one.
func (s *Service) goodView(ctx context.Context, actor authz.Actor, v, old SavedView) (SavedView, error) {
	v.Shared = max(v.Shared, SharedEverybody)
	if v.Shared != SharedNobody && v.Shared != old.Shared {
		if err := actor.Check(PermSupervise); err != nil {
			return v, err
		}
		if v.Shared > 0 && !slices.Contains(actor.Teams, v.Shared) {
			return v, fault.Invalidf("ticket.invalid").Field("shared", "ticket.need_choice")
		}
	}
	v.Name = strings.TrimSpace(v.Name)
	if n := len([]rune(v.Name)); n == 0 || n > maxViewName {
		return v, fault.Invalidf("ticket.view_name").Field("name", "ticket.view_name")
	}
	var err error
	if v.Filter.Columns, err = s.goodColumns(ctx, v.Filter.Columns); err != nil {
		return v, err
	}
	v.Filter.After, v.Filter.Text = "", strings.TrimSpace(v.Filter.Text)
	if r := []rune(v.Filter.Text); len(r) > maxSearch {
		v.Filter.Text = string(r[:maxSearch])
	}
	return v, nil
}

// SaveView stores the actor's own view and returns its id. What its filter says
// of its owner it says of whoever reads: mine stays "of the reader".
func (s *Service) SaveView(ctx context.Context, actor authz.Actor, name string, f Filter, shared int64) (id int64, err error) {
	if err := s.CheckQuery(ctx, actor, f.Query); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "ticket.save_view", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveViewIn(ctx, a, name, f, shared)
		return err
	})
	return id, err
}

// SaveViewIn is SaveView within an action; the caller has asked CheckQuery.
func (s *Service) SaveViewIn(ctx context.Context, a *action.Action, name string, f Filter, shared int64) (id int64, err error) {
	v, err := s.goodView(ctx, a.Actor, SavedView{Name: name, Filter: f, Shared: shared}, SavedView{})
	if err != nil {
		return 0, err
	}
	var n, last int64
	if err := a.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MAX(position), -1) FROM saved_views WHERE owner_id = $1`, a.Actor.ID).Scan(&n, &last); err != nil {
		return 0, fmt.Errorf("ticket: save view: %w", err)
	}
	if n >= maxViews {
		return 0, fault.New(fault.Limited, "ticket.view_many", maxViews)
	}
	raw, err := marshal(v.Filter)
	if err != nil {
		return 0, err
	}
	if err := a.QueryRow(ctx, `INSERT INTO saved_views (owner_id, name, filter, position, created_at, shared_with) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		a.Actor.ID, v.Name, raw, last+1, a.NowMicros(), v.Shared).Scan(&id); err != nil {
		return 0, fmt.Errorf("ticket: save view: %w", err)
	}
	a.Record(viewFact("ticket.view_saved", id, ViewData{Args: []string{v.Name}}))
	return id, nil
}

// SavedView returns a view the actor has; NotFound for others.
func (s *Service) SavedView(ctx context.Context, actor authz.Actor, id int64) (SavedView, error) {
	vs, err := s.SavedViews(ctx, actor)
	if err != nil {
		return SavedView{}, err
	}
	for _, v := range vs {
		if v.ID == id {
			return v, nil
		}
	}
	return SavedView{}, notFound()
}

// EditView changes a view to v: its name, with whom it is shared, what it
// selects and how it shows that.
func (s *Service) EditView(ctx context.Context, actor authz.Actor, v SavedView) error {
	old, err := s.SavedView(ctx, actor, v.ID)
	if err == nil && !old.MayChange(actor) {
		err = fault.New(fault.Forbidden, "ticket.view.others")
	}
	if err != nil {
		return err
	}
	if err := s.CheckQuery(ctx, actor, v.Filter.Query); err != nil {
		return err
	}
	if v, err = s.goodView(ctx, actor, v, old); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "ticket.edit_view", func(ctx context.Context, a *action.Action) error {
		raw, err := marshal(v.Filter)
		if err != nil {
			return err
		}
		before, err := marshal(old.Filter)
		if err != nil {
			return err
		}
		var changes []event.Change
		if v.Name != old.Name {
			changes = append(changes, event.Change{Field: "name", Old: old.Name, New: v.Name})
		}
		if v.Shared != old.Shared {
			changes = append(changes, event.Change{Field: "shared", Old: s.sharedWith(ctx, old.Shared), New: s.sharedWith(ctx, v.Shared)})
		}
		if len(changes) == 0 && raw == before {
			a.Nothing()
			return nil
		}
		res, err := a.Exec(ctx, `UPDATE saved_views SET name = $1, filter = $2, shared_with = $3 WHERE id = $4 AND name = $5`, v.Name, raw, v.Shared, v.ID, old.Name)
		if err != nil {
			return fmt.Errorf("ticket: edit view %d: %w", v.ID, err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return changedMeanwhile()
		}
		a.Record(viewFact("ticket.view_edited", v.ID, ViewData{Args: []string{v.Name}, Changes: changes}))
		return nil
	})
}

// sharedWith says in words for the audit trail with whom a view is shared.
func (s *Service) sharedWith(ctx context.Context, shared int64) string {
	switch {
	case shared == SharedNobody:
		return "-"
	case shared < 0:
		return "*"
	}
	return s.org.DepartmentName(ctx, shared)
}

// MoveView puts one of the actor's own views before the one above it, or behind
// the one below. The order is his own and no fact of the business.
func (s *Service) MoveView(ctx context.Context, actor authz.Actor, id int64, up bool) error {
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		ids, err := idsOf(ctx, tx, `SELECT id FROM saved_views WHERE owner_id = $1 ORDER BY position, id`, actor.ID)
		if err != nil {
			return err
		}
		i := slices.Index(ids, id)
		j := i + 1
		if up {
			j = i - 1
		}
		switch {
		case i < 0:
			return notFound()
		case j < 0 || j >= len(ids):
			return nil
		}
		ids[i], ids[j] = ids[j], ids[i]
		for n, x := range ids {
			if _, err := tx.Exec(ctx, `UPDATE saved_views SET position = $1 WHERE id = $2`, n, x); err != nil {
				return fmt.Errorf("ticket: move view %d: %w", id, err)
			}
		}
		return nil
	})
}

// DeleteView takes a view away; NotFound when the actor does not have it or may
// not change it.
func (s *Service) DeleteView(ctx context.Context, actor authz.Actor, id int64) error {
	v, err := s.SavedView(ctx, actor, id)
	if err == nil && !v.MayChange(actor) {
		err = notFound()
	}
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "ticket.delete_view", func(ctx context.Context, a *action.Action) error {
		var name string
		if err := a.QueryRow(ctx, `DELETE FROM saved_views WHERE id = $1 RETURNING name`, id).Scan(&name); errors.Is(err, sql.ErrNoRows) {
			return notFound()
		} else if err != nil {
			return fmt.Errorf("ticket: delete view %d: %w", id, err)
		}
		a.Record(viewFact("ticket.view_deleted", id, ViewData{Args: []string{name}}))
		return nil
	})
}

// Whom a view is shared with, beside a department's id.
const (
	SharedNobody    = 0
	SharedEverybody = -1
)

// SavedView is a view somebody has kept, for himself or for his team too.
type SavedView struct {
	ID     int64
	Name   string
	Filter Filter
	Owner  int64
	Shared int64 // 0: his alone, -1: everybody's, else a department's
}

// SavedViews returns the views the actor has: his own, then those shared with
// him.
func (s *Service) SavedViews(ctx context.Context, actor authz.Actor) ([]SavedView, error) {
	var a db.Args
	rows, err := s.DB().Read().Query(ctx, `SELECT id, name, filter, owner_id, shared_with FROM saved_views WHERE owner_id = `+a.Add(actor.ID)+` OR shared_with = -1 OR shared_with IN (`+a.AddInts(actor.Teams)+`)
		ORDER BY CASE WHEN owner_id = `+a.Add(actor.ID)+` THEN 0 ELSE 1 END, position, id LIMIT 100`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: saved views: %w", err)
	}
	defer rows.Close()
	var out []SavedView
	for rows.Next() {
		var v SavedView
		var raw string
		if err := rows.Scan(&v.ID, &v.Name, &raw, &v.Owner, &v.Shared); err != nil {
			return nil, fmt.Errorf("ticket: saved views: %w", err)
		}
		if err := json.Unmarshal([]byte(raw), &v.Filter); err != nil {
			return nil, fmt.Errorf("ticket: saved view %d: %w", v.ID, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
