package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Tag is one of the company's tags for tickets.
type Tag struct {
	ID     int64
	Name   string
	Colour string // one of customer.Colours
	Uses   int64  // tickets that have it; counted by [Service.Tags] only
}

// Tags are the tags of a ticket as its row holds them: their ids in order, each
// between blanks.
type Tags string

// IDs returns the ids in g.
func (g Tags) IDs() []int64 {
	var out []int64
	for s := range strings.FieldsSeq(string(g)) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// Has reports whether tag id is in g.
func (g Tags) Has(id int64) bool {
	return strings.Contains(string(g), " "+strconv.FormatInt(id, 10)+" ")
}

// With returns g after tags were added and taken off.
func (g Tags) With(add, remove []int64) Tags {
	ids := append(g.IDs(), add...)
	ids = slices.DeleteFunc(ids, func(id int64) bool { return slices.Contains(remove, id) })
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return ""
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteByte(' ')
		b.WriteString(strconv.FormatInt(id, 10))
	}
	b.WriteByte(' ')
	return Tags(b.String())
}

// Limits of tags: a list nobody can survey is no managed list.
const (
	maxTagName   = 20
	maxTags      = 500
	maxTagsOfOne = 20
	rareTag      = 3000 // up to so many tickets a list is made from the tag's own index
)

// Events of the list of tags; TagsChanged is a fact of a ticket.
const (
	TagCreated  = "ticket.tag_created"
	TagEdited   = "ticket.tag_edited"
	TagRemoved  = "ticket.tag_removed"
	TagsChanged = "ticket.tagged"
)

const tagSubject = "ticket_tag"

// TagFacts is the data of the facts about the list of tags.
type TagFacts struct {
	Args    []string       `json:"args"`
	Changes []event.Change `json:"changes,omitempty"`
}

type tagsKey struct{}

// TagList returns all tags by name, without their uses. It is held for seconds.
func TagList(ctx context.Context, q db.Querier) ([]Tag, error) {
	return db.Held(ctx, q, tagsKey{}, func() ([]Tag, error) {
		rows, err := q.Query(ctx, `SELECT id, name, colour FROM ticket_tags ORDER BY name, id LIMIT `+lit(maxTags))
		if err != nil {
			return nil, fmt.Errorf("ticket: tags: %w", err)
		}
		defer rows.Close()
		var out []Tag
		for rows.Next() {
			var t Tag
			if err := rows.Scan(&t.ID, &t.Name, &t.Colour); err != nil {
				return nil, fmt.Errorf("ticket: tags: %w", err)
			}
			out = append(out, t)
		}
		return out, rows.Err()
	})
}

// TagsOf returns the tags in g by name; none costs nothing.
func TagsOf(ctx context.Context, q db.Querier, g Tags) ([]Tag, error) {
	if g == "" {
		return nil, nil
	}
	all, err := TagList(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []Tag
	for _, t := range all {
		if g.Has(t.ID) {
			out = append(out, t)
		}
	}
	return out, nil
}

// Tags returns all tags with how many tickets of the company have each.
func (s *Service) Tags(ctx context.Context, actor authz.Actor) ([]Tag, error) {
	if err := actor.Check(PermTags); err != nil {
		return nil, err
	}
	rows, err := s.DB().Read().Query(ctx, `SELECT t.id, t.name, t.colour, (SELECT COUNT(*) FROM ticket_tagged g WHERE g.tag_id = t.id) FROM ticket_tags t ORDER BY t.name, t.id LIMIT `+lit(maxTags))
	if err != nil {
		return nil, fmt.Errorf("ticket: tags: %w", err)
	}
	defer rows.Close()
	var out []Tag
	for rows.Next() {
		var t Tag
		if err := rows.Scan(&t.ID, &t.Name, &t.Colour, &t.Uses); err != nil {
			return nil, fmt.Errorf("ticket: tags: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// FindTags returns the tags whose name, or the initials of its pinyin, hold what
// was typed; all when nothing was.
func (s *Service) FindTags(ctx context.Context, typed string, limit int) ([]Tag, error) {
	all, err := TagList(ctx, s.DB().Read())
	if err != nil {
		return nil, err
	}
	typed = strings.ToLower(strings.TrimSpace(typed))
	var out []Tag
	for _, t := range all {
		if len(out) < limit && (strings.Contains(strings.ToLower(t.Name), typed) || strings.HasPrefix(strings.ToLower(cnid.Initials(t.Name)), typed)) {
			out = append(out, t)
		}
	}
	return out, nil
}

// TagNamed returns the tag of that name; ok is false when there is none.
func TagNamed(ctx context.Context, q db.Querier, name string) (t Tag, ok bool, err error) {
	all, err := TagList(ctx, q)
	if err != nil {
		return t, false, err
	}
	name = tagName(name)
	for _, t := range all {
		if strings.EqualFold(t.Name, name) {
			return t, true, nil
		}
	}
	return t, false, nil
}

// TagIDs returns the tags of those names; what is unknown is a fault at field.
func TagIDs(ctx context.Context, q db.Querier, field string, names []string) ([]int64, error) {
	ids := []int64{}
	e := fault.Invalidf("ticket.invalid")
	for _, n := range names {
		t, ok, err := TagNamed(ctx, q, n)
		if err != nil {
			return nil, err
		}
		if !ok {
			e.Field(field, "ticket.tag.none_such", tagName(n))
			continue
		}
		ids = append(ids, t.ID)
	}
	return ids, e.OrNil()
}

func tagName(s string) string { return strings.Join(strings.Fields(s), " ") }

// SaveTag adds a tag to the list (id 0) or changes one.
func (s *Service) SaveTag(ctx context.Context, actor authz.Actor, id int64, name, colour string) (int64, error) {
	err := s.run.Do(ctx, actor, "ticket.save_tag", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveTagIn(ctx, a, id, name, colour)
		return err
	})
	return id, err
}

// SaveTagIn is SaveTag inside an action under way.
func (s *Service) SaveTagIn(ctx context.Context, a *action.Action, id int64, name, colour string) (int64, error) {
	if err := a.Actor.Check(PermTags); err != nil {
		return 0, err
	}
	name = tagName(name)
	e := fault.Invalidf("ticket.invalid")
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		e.Field("name", "ticket.tag.name.required")
	case n > maxTagName:
		e.Field("name", "ticket.tag.name.long", maxTagName)
	case strings.ContainsAny(name, ",，、;；"):
		e.Field("name", "ticket.tag.name.comma")
	}
	if !slices.Contains(customer.Colours, colour) {
		e.Field("colour", "ticket.need_choice")
	}
	if err := e.OrNil(); err != nil {
		return 0, err
	}
	a.Drop(tagsKey{})
	same, ok, err := TagNamed(ctx, a, name)
	if err != nil {
		return 0, err
	}
	if ok && same.ID != id {
		return 0, fault.New(fault.Conflict, "ticket.invalid").Field("name", "ticket.tag.name.taken", same.Name)
	}
	if id == 0 {
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM ticket_tags`).Scan(&n); err != nil {
			return 0, fmt.Errorf("ticket: save tag: %w", err)
		}
		if n >= maxTags {
			return 0, fault.New(fault.Limited, "ticket.tag.many", maxTags)
		}
		err = a.QueryRow(ctx, `INSERT INTO ticket_tags (name, colour, created_at) VALUES ($1, $2, $3) RETURNING id`, name, colour, a.NowMicros()).Scan(&id)
		a.Record(event.Event{Kind: TagCreated, Subject: event.Subject{Type: tagSubject, ID: id}, Data: TagFacts{Args: []string{name}}})
	} else {
		var old Tag
		err = a.QueryRow(ctx, `SELECT name, colour FROM ticket_tags WHERE id = $1`+a.ForUpdate(), id).Scan(&old.Name, &old.Colour)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, fault.New(fault.NotFound, "ticket.tag.unknown")
		}
		var changes []event.Change
		for _, c := range []event.Change{{Field: "tag_name", Old: old.Name, New: name}, {Field: "tag_colour", Old: old.Colour, New: colour}} {
			if c.Old != c.New {
				changes = append(changes, c)
			}
		}
		if err == nil && len(changes) == 0 {
			a.Nothing()
			return id, nil
		}
		if err == nil {
			_, err = a.Exec(ctx, `UPDATE ticket_tags SET name = $1, colour = $2 WHERE id = $3`, name, colour, id)
		}
		a.Record(event.Event{Kind: TagEdited, Subject: event.Subject{Type: tagSubject, ID: id}, Data: TagFacts{Args: []string{name}, Changes: changes}})
	}
	if db.IsUnique(err, "name") {
		return 0, fault.New(fault.Conflict, "ticket.invalid").Field("name", "ticket.tag.name.taken", name)
	}
	if err != nil {
		return 0, fmt.Errorf("ticket: save tag: %w", err)
	}
	return id, nil
}

// DeleteTag takes a tag from the list and from all tickets. What was written in
// their history keeps its name.
func (s *Service) DeleteTag(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "ticket.delete_tag", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermTags); err != nil {
			return err
		}
		var name string
		err := a.QueryRow(ctx, `SELECT name FROM ticket_tags WHERE id = $1`+a.ForUpdate(), id).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "ticket.tag.unknown")
		}
		for _, stmt := range []string{`DELETE FROM ticket_tagged WHERE tag_id = $1`, `DELETE FROM ticket_tags WHERE id = $1`} {
			if err == nil {
				_, err = a.Exec(ctx, stmt, id)
			}
		}
		if err != nil {
			return fmt.Errorf("ticket: delete tag %d: %w", id, err)
		}
		a.Drop(tagsKey{})
		a.Record(event.Event{Kind: TagRemoved, Subject: event.Subject{Type: tagSubject, ID: id}, Data: TagFacts{Args: []string{name}}})
		return nil
	})
}

// Tag adds tags to a ticket and takes others off it.
func (s *Service) Tag(ctx context.Context, actor authz.Actor, id int64, add, remove []int64) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.tag", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.TagIn(ctx, a, id, add, remove)
		return err
	})
	return t, err
}

// TagIn is Tag inside an action under way. A ticket that has them so already is
// Invalid, ticket.nothing_changed.
func (s *Service) TagIn(ctx context.Context, a *action.Action, id int64, add, remove []int64) (Ticket, error) {
	return s.changeIn(ctx, a, PermEdit, TagsChanged, id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if old.MergedInto != 0 {
			return fault.New(fault.Conflict, "ticket.merge.gone")
		}
		if old.AssigneeID != a.Actor.ID && !old.InScope(authz.For(a.Actor, PermEdit)) {
			return authz.Denied(PermEdit)
		}
		all, err := TagList(ctx, a)
		if err != nil {
			return err
		}
		names := map[int64]string{}
		for _, x := range all {
			names[x.ID] = x.Name
		}
		for _, x := range add {
			if names[x] == "" {
				return fault.Invalidf("ticket.invalid").Field("tag", "ticket.tag.unknown")
			}
		}
		t.Tags = old.Tags.With(add, remove)
		if n := len(t.Tags.IDs()); n > maxTagsOfOne && n > len(old.Tags.IDs()) {
			return fault.Invalidf("ticket.invalid").Field("tag", "ticket.tag.of_one", maxTagsOfOne)
		}
		var says []string
		for _, x := range all {
			switch had, has := old.Tags.Has(x.ID), t.Tags.Has(x.ID); {
			case has && !had:
				says = append(says, "+"+x.Name)
			case had && !has:
				says = append(says, "−"+x.Name)
			}
		}
		if len(says) == 0 {
			return fault.Invalidf("ticket.nothing_changed")
		}
		if err := retag(ctx, a.Tx, id, old.Tags, t.Tags); err != nil {
			return err
		}
		f.Args = []string{strings.Join(says, " ")}
		f.Changes, err = tagChange(ctx, a, old.Tags, t.Tags)
		return err
	})
}

// retag keeps the index of tags in step with the row of a ticket.
func retag(ctx context.Context, tx *db.Tx, id int64, was, is Tags) error {
	for _, tag := range was.With(is.IDs(), nil).IDs() {
		stmt := ""
		switch {
		case is.Has(tag) && !was.Has(tag):
			stmt = `INSERT INTO ticket_tagged (ticket_id, tag_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`
		case was.Has(tag) && !is.Has(tag):
			stmt = `DELETE FROM ticket_tagged WHERE ticket_id = $1 AND tag_id = $2`
		default:
			continue
		}
		if err := tx.Later(ctx, stmt, id, tag); err != nil {
			return fmt.Errorf("ticket: tag %d: %w", id, err)
		}
	}
	return nil
}

// tagChange is the change from was to is in names; none when they are the same.
func tagChange(ctx context.Context, q db.Querier, was, is Tags) ([]event.Change, error) {
	if was == is {
		return nil, nil
	}
	names := func(g Tags) (string, error) {
		ts, err := TagsOf(ctx, q, g)
		var out []string
		for _, t := range ts {
			out = append(out, t.Name)
		}
		return strings.Join(out, ", "), err
	}
	old, err := names(was)
	if err != nil {
		return nil, err
	}
	now, err := names(is)
	return []event.Change{{Field: "tags", Old: old, New: now}}, err
}

// TagByName adds the tag of that name to a ticket. Whoever keeps the list adds it
// there first when it is new.
func (s *Service) TagByName(ctx context.Context, actor authz.Actor, id int64, name string) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.tag", func(ctx context.Context, a *action.Action) error {
		tag, ok, err := TagNamed(ctx, a, name)
		if err != nil {
			return err
		}
		if !ok {
			if !actor.Can(PermTags) {
				return fault.New(fault.Invalid, "ticket.tag.none_such", tagName(name))
			}
			if tag.ID, err = s.SaveTagIn(ctx, a, 0, name, "gray"); err != nil {
				return err
			}
		}
		t, err = s.TagIn(ctx, a, id, []int64{tag.ID}, nil)
		return err
	})
	return t, err
}

// checkTags says what is wrong with the tags of a new ticket.
func checkTags(ctx context.Context, q db.Querier, ids []int64, e *fault.Error) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) > maxTagsOfOne {
		e.Field("tags", "ticket.tag.of_one", maxTagsOfOne)
	}
	all, err := TagList(ctx, q)
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(t Tag) bool { return t.ID == id }) {
			e.Field("tags", "ticket.tag.unknown")
			break
		}
	}
	return err
}

type rareKey struct{ tag int64 }

// rare reports whether few tickets have a tag: then a list begins with them, else
// it walks its order until the page is full.
func (s *Service) rare(ctx context.Context, tag int64) (bool, error) {
	q := s.DB().Read()
	return db.Held(ctx, q, rareKey{tag}, func() (bool, error) {
		var n int
		err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM ticket_tagged WHERE tag_id = $1 LIMIT `+lit(rareTag)+`) x`, tag).Scan(&n)
		if err != nil {
			return false, fmt.Errorf("ticket: tag %d: %w", tag, err)
		}
		return n < rareTag, nil
	})
}
