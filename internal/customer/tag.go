package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Longest name of a tag, and how many tags there may be: a list nobody can
// survey is no managed list.
const (
	maxTagName = 20
	maxTags    = 300
	maxBulk    = 500
)

// Tags returns all tags with their uses, by name. Uses count over the whole
// company; they are for those who manage the list.
func (s *Service) Tags(ctx context.Context) ([]Tag, error) {
	rows, err := s.db().Read().Query(ctx, `
		SELECT   t.id, t.name, t.colour, (SELECT COUNT(*) FROM customer_tags x WHERE x.tag_id = t.id)
		FROM     tags t ORDER BY t.name, t.id LIMIT $1`, maxTags)
	if err != nil {
		return nil, fmt.Errorf("customer: tags: %w", err)
	}
	defer rows.Close()
	var out []Tag
	for rows.Next() {
		var t Tag
		if err := rows.Scan(&t.ID, &t.Name, &t.Colour, &t.Uses); err != nil {
			return nil, fmt.Errorf("customer: tags: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// TagList is Tags without counting uses, for filters and pickers.
func (s *Service) TagList(ctx context.Context) ([]Tag, error) {
	rows, err := s.db().Read().Query(ctx, `SELECT id, name, colour FROM tags ORDER BY name, id LIMIT $1`, maxTags)
	if err != nil {
		return nil, fmt.Errorf("customer: tags: %w", err)
	}
	defer rows.Close()
	var out []Tag
	for rows.Next() {
		var t Tag
		if err := rows.Scan(&t.ID, &t.Name, &t.Colour); err != nil {
			return nil, fmt.Errorf("customer: tags: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// SaveTag adds a tag to the list (id 0) or changes one.
func (s *Service) SaveTag(ctx context.Context, actor authz.Actor, id int64, name, colour string) (int64, error) {
	err := s.run.Do(ctx, actor, "customer.save_tag", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermTagsManage); err != nil {
			return err
		}
		name = line(name)
		e := fault.Invalidf("customer.invalid")
		switch n := utf8.RuneCountInString(name); {
		case n == 0:
			e.Field("name", "customer.tag.name.required")
		case n > maxTagName:
			e.Field("name", "customer.tag.name.long", maxTagName)
		}
		if !slices.Contains(Colours, colour) {
			e.Field("colour", "customer.tag.colour.unknown")
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		var same int64
		err := a.QueryRow(ctx, `SELECT id FROM tags WHERE name = $1`, name).Scan(&same)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("customer: save tag: %w", err)
		}
		if same != 0 && same != id {
			return fault.New(fault.Conflict, "customer.invalid").Field("name", "customer.tag.name.taken", name)
		}
		if id == 0 {
			var n int
			if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM tags`).Scan(&n); err != nil {
				return fmt.Errorf("customer: save tag: %w", err)
			}
			if n >= maxTags {
				return fault.New(fault.Limited, "customer.tag.many", maxTags)
			}
			err = a.QueryRow(ctx, `INSERT INTO tags (name, colour, created_at) VALUES ($1, $2, $3) RETURNING id`, name, colour, a.NowMicros()).Scan(&id)
			a.Record(event.Event{Kind: TagCreated, Subject: event.Subject{Type: tagSubjectType, ID: id}, Data: Tag{ID: id, Name: name, Colour: colour}})
		} else {
			var old Tag
			err = a.QueryRow(ctx, `SELECT name, colour FROM tags WHERE id = $1`, id).Scan(&old.Name, &old.Colour)
			if errors.Is(err, sql.ErrNoRows) {
				return fault.New(fault.NotFound, "customer.tag.unknown")
			}
			if err == nil {
				_, err = a.Exec(ctx, `UPDATE tags SET name = $1, colour = $2 WHERE id = $3`, name, colour, id)
			}
			var changes []Change
			for _, c := range []Change{{Change: event.Change{Field: "tag.name", Old: old.Name, New: name}}, {Change: event.Change{Field: "tag.colour", Old: old.Colour, New: colour}}} {
				if c.Old != c.New {
					changes = append(changes, c)
				}
			}
			a.Record(event.Event{Kind: TagEdited, Subject: event.Subject{Type: tagSubjectType, ID: id}, Data: ChangedData{changes}})
		}
		if db.IsUnique(err, "name") {
			return fault.New(fault.Conflict, "customer.invalid").Field("name", "customer.tag.name.taken", name)
		}
		if err != nil {
			return fmt.Errorf("customer: save tag: %w", err)
		}
		return nil
	})
	return id, err
}

// DeleteTag takes a tag from the list and from all customers. The customers'
// own history keeps its name.
func (s *Service) DeleteTag(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "customer.delete_tag", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermTagsManage); err != nil {
			return err
		}
		t := Tag{ID: id}
		err := a.QueryRow(ctx, `SELECT name, colour, (SELECT COUNT(*) FROM customer_tags WHERE tag_id = $1) FROM tags WHERE id = $2`, id, id).Scan(&t.Name, &t.Colour, &t.Uses)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "customer.tag.unknown")
		}
		if err == nil {
			_, err = a.Exec(ctx, `DELETE FROM customer_tags WHERE tag_id = $1`, id)
		}
		if err == nil {
			_, err = a.Exec(ctx, `DELETE FROM tags WHERE id = $1`, id)
		}
		if err != nil {
			return fmt.Errorf("customer: delete tag %d: %w", id, err)
		}
		a.Record(event.Event{Kind: TagDeleted, Subject: event.Subject{Type: tagSubjectType, ID: id}, Data: t})
		return nil
	})
}

// SetTags adds and removes tags on many customers at once and returns how many
// changed (CUS-7). Customers the actor may not tag are passed over as if they
// did not exist.
func (s *Service) SetTags(ctx context.Context, actor authz.Actor, ids, add, remove []int64) (changed int, err error) {
	if len(ids) == 0 {
		return 0, fault.Invalidf("customer.tag.none_selected")
	}
	if len(add)+len(remove) == 0 {
		return 0, fault.Invalidf("customer.tag.choose").Field("tag", "customer.tag.choose")
	}
	if len(ids) > maxBulk {
		return 0, fault.New(fault.Limited, "customer.tag.bulk", maxBulk)
	}
	err = s.run.Do(ctx, actor, "customer.tag", func(ctx context.Context, a *action.Action) error {
		changed = 0
		if err := a.Actor.Check(PermTag); err != nil {
			return err
		}
		var args db.Args
		query := `SELECT c.id FROM customers c WHERE c.id IN (` + args.AddInts(ids) + `) AND ` + within(View(a.Actor), &args) +
			` AND ` + within(authz.For(a.Actor, PermTag), &args) + ` ORDER BY c.id`
		mine, err := queryIDs(ctx, a, query, args.Values...)
		if err != nil {
			return fmt.Errorf("customer: tag: %w", err)
		}
		if changed, err = s.tagAll(ctx, a, mine, add, remove); err != nil {
			return err
		}
		if changed == 0 {
			a.Nothing()
		}
		return nil
	})
	return changed, err
}

// tagAll adds and removes tags on customers the actor may tag and returns how
// many changed.
func (s *Service) tagAll(ctx context.Context, a *action.Action, ids, add, remove []int64) (changed int, err error) {
	names, err := s.tagNames(ctx, a, append(slices.Clone(add), remove...))
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		var d TagsData
		for _, t := range add {
			res, err := a.Exec(ctx, `INSERT INTO customer_tags (customer_id, tag_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, t)
			if err != nil {
				return 0, fmt.Errorf("customer: tag %d: %w", id, err)
			}
			if n, err := res.RowsAffected(); err == nil && n > 0 {
				d.Added = append(d.Added, names[t])
			}
		}
		for _, t := range remove {
			res, err := a.Exec(ctx, `DELETE FROM customer_tags WHERE customer_id = $1 AND tag_id = $2`, id, t)
			if err != nil {
				return 0, fmt.Errorf("customer: untag %d: %w", id, err)
			}
			if n, err := res.RowsAffected(); err == nil && n > 0 {
				d.Removed = append(d.Removed, names[t])
			}
		}
		if len(d.Added)+len(d.Removed) > 0 {
			changed++
			a.Record(event.Event{Kind: TagsChanged, Subject: Subject(id), Data: d})
		}
	}
	return changed, nil
}

func (s *Service) tagNames(ctx context.Context, q db.Querier, ids []int64) (map[int64]string, error) {
	var a db.Args
	rows, err := q.Query(ctx, `SELECT id, name FROM tags WHERE id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: tags: %w", err)
	}
	defer rows.Close()
	out := map[int64]string{}
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, fmt.Errorf("customer: tags: %w", err)
		}
		out[id] = name
	}
	for _, id := range ids {
		if out[id] == "" {
			return nil, fault.Invalidf("customer.invalid").Field("tag", "customer.tag.unknown")
		}
	}
	return out, rows.Err()
}

func (s *Service) tagsOf(ctx context.Context, q db.Querier, ids []int64) (map[int64][]Tag, error) {
	var a db.Args
	rows, err := q.Query(ctx, `
		SELECT   x.customer_id, t.id, t.name, t.colour
		FROM     customer_tags x JOIN tags t ON t.id = x.tag_id
		WHERE    x.customer_id IN (`+a.AddInts(ids)+`)
		ORDER BY x.customer_id, t.name, t.id`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: tags: %w", err)
	}
	defer rows.Close()
	out := map[int64][]Tag{}
	for rows.Next() {
		var id int64
		var t Tag
		if err := rows.Scan(&id, &t.ID, &t.Name, &t.Colour); err != nil {
			return nil, fmt.Errorf("customer: tags: %w", err)
		}
		out[id] = append(out[id], t)
	}
	return out, rows.Err()
}

func queryIDs(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
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
