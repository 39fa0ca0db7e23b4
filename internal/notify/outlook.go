package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Outlook knows how people would be told of something, as everything is now: for
// pages that say what will happen when.
type Outlook struct {
	s  *Service
	t  Table
	cs []Channel
	ps map[int64]*person
}

// AheadWay is a way a notice would take to a person.
type AheadWay struct {
	Way   string
	Later time.Time // when it waits: for the end of his quiet hours, or for his digest
}

// Outlook reads what decides it.
func (s *Service) Outlook(ctx context.Context) (*Outlook, error) {
	t, err := readTable(ctx, s.d.Read())
	if err != nil {
		return nil, err
	}
	cs, err := inUse(ctx, s.d.Read())
	return &Outlook{s, t, cs, map[int64]*person{}}, err
}

// Ways are those a notice of an event would take to the user, beside the product
// itself. Loud is how loud what happened wants to be; the table may say louder.
func (o *Outlook) Ways(ctx context.Context, kind string, loud Class, at time.Time, user int64) (out []AheadWay, err error) {
	if len(o.cs) == 0 {
		return nil, nil
	}
	p, ok := o.ps[user]
	if !ok {
		ps, err := people(ctx, o.s.d.Read(), []int64{user})
		if err != nil {
			return nil, err
		}
		p = ps[user]
		o.ps[user] = p
	}
	l := o.t.Line(kind)
	if p == nil || !p.Active || l.Off {
		return nil, nil
	}
	c := louder(l.Class, loud)
	for _, way := range Ways {
		if way == Webhook || !o.t.wants(l, c, p, way) || !reaches(p, way) {
			continue
		}
		if _, ok, err := o.s.through(ctx, o.s.d.Read(), o.cs, p.DepartmentID, way); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		x := AheadWay{Way: way}
		if when, why, _ := p.due(c, at); why != "" {
			x.Later = when
		}
		out = append(out, x)
	}
	return out, nil
}

// TestEvent sends the actor a sample of the notice of an event: in the product, and
// by every way it would take to him now.
func (s *Service) TestEvent(ctx context.Context, actor authz.Actor, kind string) (out []Tried, err error) {
	if err := actor.Check(PermManage); err != nil {
		return nil, err
	}
	if _, ok := byKind[kind]; !ok {
		return nil, NoEvent()
	}
	now := s.d.Clock().Now()
	var last int64
	if err := s.d.Read().QueryRow(ctx, `SELECT COALESCE(MAX(created_at), 0) FROM notifications WHERE user_id = $1 AND event_seq < 0`, actor.ID).Scan(&last); err != nil {
		return nil, fmt.Errorf("notify: test: %w", err)
	}
	if now.Sub(db.FromMicros(last)) < 20*time.Second {
		return nil, fault.New(fault.Limited, "notify.test_soon")
	}
	o, err := s.Outlook(ctx)
	if err != nil {
		return nil, err
	}
	ps, err := people(ctx, s.d.Read(), []int64{actor.ID})
	if err != nil || ps[actor.ID] == nil {
		return nil, err
	}
	p := ps[actor.ID]
	sample := i18n.T(p.Lang, "notify.test_event.sample")
	args, err := json.Marshal(stored{Title: i18n.T(p.Lang, "notify.test.subject"), Link: "/admin/notices/events/" + kind, Args: []string{sample, sample, sample, sample}})
	if err != nil {
		return nil, err
	}
	class := o.t.Line(kind).Class
	if class == Insist {
		class = Urgent // a sample is not said again
	}
	err = s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO notifications (user_id, kind, urgent, class, chase_at, ticket_id, event_seq, args, created_at) VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7)`,
			actor.ID, kind, db.Bool(class != Normal), string(class), -db.Micros(now), string(args), db.Micros(now))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("notify: test: %w", err)
	}
	if s.broker != nil {
		s.broker.Publish(web.Message{Topic: "notification", To: web.Audience{Users: []int64{actor.ID}}})
	}
	ways, err := o.Ways(ctx, kind, Normal, now, actor.ID)
	if err != nil {
		return nil, err
	}
	for _, w := range ways {
		c, ok, err := s.through(ctx, s.d.Read(), o.cs, p.DepartmentID, w.Way)
		if err != nil {
			return out, err
		}
		if !ok {
			continue
		}
		x, err := s.test(ctx, actor, c)
		if err != nil {
			return out, err
		}
		out = append(out, x)
	}
	return out, nil
}
