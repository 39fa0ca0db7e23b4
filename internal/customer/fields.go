package customer

import (
	"context"
	"fmt"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/search"
)

// AddFields fills in the custom fields of profiles and of their contacts, with
// one query for each of both; none when there are no fields.
func (s *Service) AddFields(ctx context.Context, q db.Querier, cs ...*Customer) error {
	var ids, contacts []int64
	for _, c := range cs {
		ids = append(ids, c.ID)
		for _, k := range c.Contacts {
			contacts = append(contacts, k.ID)
		}
	}
	own, err := s.fields.Values(ctx, q, field.Customer, ids, nil)
	if err != nil {
		return err
	}
	people, err := s.fields.Values(ctx, q, field.Contact, contacts, nil)
	if err != nil {
		return err
	}
	for _, c := range cs {
		c.Fields = own[c.ID]
		for i := range c.Contacts {
			c.Contacts[i].Fields = people[c.Contacts[i].ID]
		}
	}
	return nil
}

// WithFields is AddFields of one profile outside of a transaction.
func (s *Service) WithFields(ctx context.Context, c Customer) (Customer, error) {
	err := s.AddFields(ctx, s.db().Read(), &c)
	return c, err
}

// checkFields parses the custom fields of a checked input; old is nil for a new
// profile.
func (s *Service) checkFields(ctx context.Context, q db.Querier, in *Input, old *Customer) error {
	defs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Customer)
	if err != nil {
		return err
	}
	people, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Contact)
	if err != nil || len(defs)+len(people) == 0 {
		return err
	}
	if old != nil {
		if err := s.AddFields(ctx, q, old); err != nil {
			return err
		}
	}
	return s.checkFieldsOf(ctx, q, defs, people, in, old, in.Fields == nil)
}

func (s *Service) checkFieldsOf(ctx context.Context, q db.Querier, defs, people []field.Def, in *Input, old *Customer, lax bool) error {
	m := field.Mode{New: old == nil, Lax: lax}
	known := map[int64]Contact{}
	if old != nil {
		m.Old = old.Fields
		for _, c := range old.Contacts {
			known[c.ID] = c
		}
	}
	var bad error
	in.values, bad = s.fields.Check(ctx, q, defs, string(in.Type), in.Fields, m)
	for i := range in.Contacts {
		c := &in.Contacts[i]
		if c.blank() || c.Remove {
			continue
		}
		var err error
		c.values, err = s.fields.Check(ctx, q, people, string(in.Type), c.Fields, field.Mode{New: c.ID == 0, Lax: lax || c.Fields == nil,
			Prefix: fmt.Sprintf("contacts.%d.", i), Old: known[c.ID].Fields})
		bad = fault.Both(bad, err)
	}
	return bad
}

// stale is the fault for a profile that was changed meanwhile, custom fields
// included.
func (s *Service) stale(now Customer, in Input) error {
	err := stale(now, in)
	e, ok := fault.As(err)
	if !ok {
		return err
	}
	for _, v := range in.values {
		switch have := now.Fields[v.FieldID]; {
		case have.Raw() == v.Raw():
		case have.Empty():
			e.Field(v.Name(), "customer.stale.empty")
		default:
			e.Field(v.Name(), "customer.stale.field", have.Text(i18n.ZhCN))
		}
	}
	return e
}

// setFields writes the custom fields of a profile or of a contact, named by of,
// and returns what changed.
func (s *Service) setFields(ctx context.Context, tx *db.Tx, obj field.Object, id int64, values []field.Value, of string) ([]Change, error) {
	changes, err := s.fields.Set(ctx, tx, obj, id, values)
	out := make([]Change, len(changes))
	for i, c := range changes {
		out[i] = Change{Change: c, Of: of}
	}
	return out, err
}

// fieldWords are the searchable custom fields of a customer and his contacts.
func (s *Service) fieldWords(ctx context.Context, q db.Querier, id int64, contacts []Contact) ([]string, error) {
	own, err := s.fields.Words(ctx, q, field.Customer, id)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(contacts))
	for i, c := range contacts {
		ids[i] = c.ID
	}
	people, err := s.fields.Words(ctx, q, field.Contact, ids...)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range []string{own, people} {
		if w != "" {
			out = append(out, w)
		}
	}
	return out, nil
}

// removeFields deletes the custom fields of customers and of all their contacts.
func (s *Service) removeFields(ctx context.Context, tx *db.Tx, ids []int64) error {
	err := db.EachIn(ids, func(in string, args []any) error {
		people, err := queryIDs(ctx, tx, `SELECT id FROM contacts WHERE customer_id IN (`+in+`)`, args...)
		if err != nil {
			return fmt.Errorf("customer: remove fields: %w", err)
		}
		return s.fields.Remove(ctx, tx, field.Contact, people...)
	})
	if err != nil {
		return err
	}
	return s.fields.Remove(ctx, tx, field.Customer, ids...)
}

// ReindexContacts is [Service.Reindex] of the customers of contacts.
func (s *Service) ReindexContacts(ctx context.Context, tx *db.Tx, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		of, err := queryIDs(ctx, tx, `SELECT DISTINCT customer_id FROM contacts WHERE id IN (`+in+`) ORDER BY customer_id`, args...)
		if err != nil {
			return fmt.Errorf("customer: index contacts: %w", err)
		}
		return s.Reindex(ctx, tx, of)
	})
}

// own says of those found by words whether it was by a custom field.
func (p *prober) own(out []Found, text string) error {
	var ids []int64
	for _, f := range out {
		if f.By == ByContact && text != "" {
			ids = append(ids, f.ID)
		}
	}
	words, err := p.s.fields.WordsByRecord(p.ctx, p.q, field.Customer, ids)
	for i := range out {
		if w := words[out[i].ID]; w != "" && out[i].By == ByContact && search.Verify(w, text) {
			out[i].By = ByOwn
		}
	}
	return err
}
