package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Segment is a condition on customers that has a name of its own and is kept for
// everybody (CUS-7): campaigns, care plans and reports speak of it. Who belongs
// to it is never stored; it is what the condition says now.
type Segment struct {
	ID            int64
	Name          string
	Note          string // what it is for
	Query         Query
	CreatedByName string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Version       int64
}

// Longest names and notes, and how many segments and views there may be.
const (
	maxSegmentName = 40
	maxSegmentNote = 200
	maxSegments    = 200
)

func segmentSubject(id int64) event.Subject { return event.Subject{Type: "segment", ID: id} }

// SegmentData is the data of the facts about segments.
type SegmentData struct {
	Args  []string `json:"args"` // the name
	Query Query    `json:"query,omitzero"`
}

const segmentColumns = `id, name, note, filter, created_by_name, created_at, updated_at, version`

func scanSegment(row interface{ Scan(...any) error }) (g Segment, err error) {
	var filter string
	var created, updated int64
	if err = row.Scan(&g.ID, &g.Name, &g.Note, &filter, &g.CreatedByName, &created, &updated, &g.Version); err != nil {
		return g, err
	}
	g.CreatedAt, g.UpdatedAt = db.FromMicros(created), db.FromMicros(updated)
	g.Query, err = ParseQuery(filter)
	return g, err
}

// Segments returns all segments by name; everybody who sees customers sees
// them, and finds in each the customers of his own scope.
func (s *Service) Segments(ctx context.Context) ([]Segment, error) {
	rows, err := s.db().Read().Query(ctx, `SELECT `+segmentColumns+` FROM customer_segments ORDER BY name, id LIMIT $1`, maxSegments)
	if err != nil {
		return nil, fmt.Errorf("customer: segments: %w", err)
	}
	defer rows.Close()
	var out []Segment
	for rows.Next() {
		g, err := scanSegment(rows)
		if err != nil {
			return nil, fmt.Errorf("customer: segments: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// Segment returns one segment, else NotFound.
func (s *Service) Segment(ctx context.Context, id int64) (Segment, error) {
	return s.segment(ctx, s.db().Read(), id)
}

func (s *Service) segment(ctx context.Context, q db.Querier, id int64) (Segment, error) {
	g, err := scanSegment(q.QueryRow(ctx, `SELECT `+segmentColumns+` FROM customer_segments WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return g, fault.New(fault.NotFound, "customer.segment.not_found")
	}
	if err != nil {
		return g, fmt.Errorf("customer: segment %d: %w", id, err)
	}
	return g, nil
}

// SaveSegment adds a segment (ID 0) or changes one from its version on.
func (s *Service) SaveSegment(ctx context.Context, actor authz.Actor, g Segment) (id int64, err error) {
	err = s.run.Do(ctx, actor, "customer.save_segment", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveSegmentIn(ctx, a, g)
		return err
	})
	return id, err
}

// SaveSegmentIn is SaveSegment within an action.
func (s *Service) SaveSegmentIn(ctx context.Context, a *action.Action, g Segment) (id int64, err error) {
	g.Name, g.Note = line(g.Name), line(g.Note)
	if err := a.Actor.Check(PermSegments); err != nil {
		return 0, err
	}
	e := fault.Invalidf("customer.invalid")
	switch {
	case g.Name == "":
		e.Field("name", "customer.segment.name.required")
	case utf8.RuneCountInString(g.Name) > maxSegmentName:
		e.Field("name", "customer.segment.name.long", maxSegmentName)
	}
	if utf8.RuneCountInString(g.Note) > maxSegmentNote {
		e.Field("note", "customer.segment.note.long", maxSegmentNote)
	}
	if g.Query.Empty() {
		e.Field("filter", "customer.segment.everybody")
	}
	g.Query.walk("", func(_ string, c Node) {
		if c.Field == attrSegment {
			e.Field("filter", "customer.segment.nested")
		}
		for _, v := range c.Values {
			if v == Me {
				e.Field("filter", "customer.segment.me")
			}
		}
	})
	if err := e.OrNil(); err != nil {
		return 0, err
	}
	if _, err := s.ready(ctx, a, 0, g.Query); err != nil {
		return 0, err
	}
	var same int64
	if err := a.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM customer_segments WHERE name = $1`, g.Name).Scan(&same); err != nil {
		return 0, fmt.Errorf("customer: save segment: %w", err)
	}
	if same != 0 && same != g.ID {
		return 0, fault.New(fault.Conflict, "customer.invalid").Field("name", "customer.segment.name.taken", g.Name)
	}
	data := SegmentData{Args: []string{g.Name}, Query: s.masked(g.Query)}
	if id = g.ID; id == 0 {
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM customer_segments`).Scan(&n); err != nil {
			return 0, fmt.Errorf("customer: save segment: %w", err)
		}
		if n >= maxSegments {
			return 0, fault.New(fault.Limited, "customer.segment.many", maxSegments)
		}
		err = a.QueryRow(ctx, `
			INSERT INTO customer_segments (name, note, filter, created_by, created_by_name, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
			g.Name, g.Note, g.Query.String(), a.Actor.ID, a.Actor.Name, a.NowMicros(), a.NowMicros()).Scan(&id)
		a.Record(event.Event{Kind: SegmentCreated, Subject: segmentSubject(id), Data: data})
	} else {
		old, err2 := s.segment(ctx, a, id)
		if err2 != nil {
			return 0, err2
		}
		if g.Name == old.Name && g.Note == old.Note && g.Query.String() == old.Query.String() {
			a.Nothing()
			return id, nil
		}
		var res sql.Result
		res, err = a.Exec(ctx, `UPDATE customer_segments SET name = $1, note = $2, filter = $3, updated_at = $4, version = version + 1 WHERE id = $5 AND version = $6`,
			g.Name, g.Note, g.Query.String(), a.NowMicros(), id, g.Version)
		if err == nil {
			if n, rerr := res.RowsAffected(); rerr == nil && n == 0 {
				return 0, fault.New(fault.Conflict, "customer.segment.stale")
			}
		}
		a.Record(event.Event{Kind: SegmentEdited, Subject: segmentSubject(id), Data: data})
	}
	if db.IsUnique(err, "name") {
		return 0, fault.New(fault.Conflict, "customer.invalid").Field("name", "customer.segment.name.taken", g.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("customer: save segment: %w", err)
	}
	return id, nil
}

// DeleteSegment takes a segment away; the customers in it are not touched. One
// that a view asks about stays.
func (s *Service) DeleteSegment(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "customer.delete_segment", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermSegments); err != nil {
			return err
		}
		g, err := s.segment(ctx, a, id)
		if err != nil {
			return err
		}
		views, err := s.allViews(ctx, a)
		if err != nil {
			return err
		}
		var in []string
		for _, v := range views {
			v.Query.walk("", func(_ string, c Node) {
				for _, x := range c.Values {
					if c.Field == attrSegment && x == fmt.Sprint(id) && len(in) < 3 {
						in = append(in, v.Name)
					}
				}
			})
		}
		if len(in) > 0 {
			return fault.New(fault.Conflict, "customer.segment.used", strings.Join(in, "、"))
		}
		if _, err := a.Exec(ctx, `DELETE FROM customer_segments WHERE id = $1`, id); err != nil {
			return fmt.Errorf("customer: delete segment %d: %w", id, err)
		}
		a.Record(event.Event{Kind: SegmentDeleted, Subject: segmentSubject(id), Data: SegmentData{Args: []string{g.Name}}})
		return nil
	})
}

// SegmentCount returns how many customers of a segment sc covers, at most max.
func (s *Service) SegmentCount(ctx context.Context, sc authz.Scope, id int64, max int) (int, error) {
	return s.Count(ctx, sc, Filter{SegmentID: id}, max)
}

// InSegment reports whether a customer belongs to a segment, whatever anybody's
// scope; NotFound when there is no such segment.
func (s *Service) InSegment(ctx context.Context, q db.Querier, segment, customer int64) (bool, error) {
	g, err := s.segment(ctx, q, segment)
	if err != nil {
		return false, err
	}
	return s.Contains(ctx, q, g.Query, customer)
}

// Members goes through the ids of a segment's customers that sc covers, by id,
// some hundreds at a time, each at most once: for work on many that may be
// interrupted. It begins behind the id after.
func (s *Service) Members(ctx context.Context, sc authz.Scope, segment, after int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		g, err := s.Segment(ctx, segment)
		if err != nil {
			yield(0, err)
			return
		}
		p, err := s.ready(ctx, s.db().Read(), sc.User(), g.Query)
		if err != nil {
			yield(0, err)
			return
		}
		const n = 500
		for {
			ids, _, err := p.batch(ctx, s.db().Read(), []authz.Scope{sc}, authz.Scope{}, after, 0, n)
			if err != nil {
				yield(0, err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			if len(ids) < n {
				return
			}
			after = ids[len(ids)-1]
		}
	}
}
