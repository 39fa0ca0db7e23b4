package ticket

import (
	"context"

	"bihuan/internal/db"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

func (s *Service) fields() *field.Service { return s.customers.Fields() }

// FieldDefs are the custom fields of tickets in the reader's language.
func (s *Service) FieldDefs(ctx context.Context, lang i18n.Lang) ([]field.Def, error) {
	return s.fields().Defs(ctx, lang, field.Ticket)
}

// FieldValues are the custom fields of a ticket by field; the caller has checked
// that the reader may see it.
func (s *Service) FieldValues(ctx context.Context, q db.Querier, id int64) (map[int64]field.Value, error) {
	values, err := s.fields().Values(ctx, q, field.Ticket, []int64{id}, nil)
	return values[id], err
}

// checkFields parses the custom fields of a ticket of the type.
func (s *Service) checkFields(ctx context.Context, q db.Querier, typ string, in field.Input, m field.Mode) ([]field.Value, error) {
	defs, err := s.fields().DefsIn(ctx, q, i18n.ZhCN, field.Ticket)
	if err != nil || len(defs) == 0 {
		return nil, err
	}
	return s.fields().Check(ctx, q, defs, typ, in, m)
}
