package notify

import (
	"context"
	"time"
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
