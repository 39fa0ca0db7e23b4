package importer

import (
	"context"
	"slices"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// OwnColumn is a column for a field of the company's own (CUS-19).
type OwnColumn struct {
	Field Field
	Label string // in the reader's language

	def   field.Def
	names []string // as headings are compared
}

// ownPrefix begins the codes of such columns: own.customer.warranty_until.
const ownPrefix = "own."

// Own returns the columns for the company's own fields. Those of a contact are
// about the one to speak to first.
func (s *Service) Own(ctx context.Context, k Kind, lang i18n.Lang) ([]OwnColumn, error) {
	objects := []field.Object{field.Customer, field.Contact}
	if k == Tickets {
		objects = []field.Object{field.Ticket}
	}
	var out []OwnColumn
	for _, obj := range objects {
		defs, err := s.customers.Fields().Defs(ctx, lang, obj)
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			c := OwnColumn{Field: Field(ownPrefix + string(obj) + "." + d.Code), Label: d.Label, def: d, names: []string{plain(d.Code)}}
			if obj == field.Contact {
				c.Label = i18n.T(lang, "importer.own.contact", d.Label)
			}
			for _, l := range i18n.Langs {
				label := d.LabelIn(l)
				if c.names = append(c.names, plain(label)); obj == field.Contact {
					c.names = append(c.names, plain(i18n.T(l, "importer.own.contact", label)))
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// open is openTable, which also knows the headings of the company's own fields.
func (s *Service) open(ctx context.Context, k Kind, src source, setup Setup) (*table, error) {
	t, err := openTable(k, src, setup)
	if err != nil || setup.Fields != nil {
		return t, err
	}
	own, err := s.Own(ctx, k, i18n.ZhCN)
	if err != nil {
		t.Close()
		return nil, err
	}
	for i, name := range t.layout.Names {
		if t.layout.Fields[i] != ignored || plain(name) == "" || slices.Contains(ours, plain(name)) {
			continue
		}
		for _, c := range own {
			if slices.Contains(c.names, plain(name)) && !slices.Contains(t.layout.Fields, c.Field) {
				t.layout.Fields[i] = c.Field
			}
		}
	}
	return t, nil
}

// known reports whether a code names a column, of ours or of the company's own.
func (s *Service) known(ctx context.Context, k Kind, f Field) bool {
	if _, ok := column(k, f); ok || f == ignored {
		return true
	}
	own, err := s.Own(ctx, k, i18n.ZhCN)
	return err == nil && slices.ContainsFunc(own, func(c OwnColumn) bool { return c.Field == f })
}

// ownFields reads what the row has for the company's own fields of an object; nil
// when the table has no such column.
func (r *rowReader) ownFields(ctx context.Context, obj field.Object, typ string) (field.Input, error) {
	var in field.Input
	var defs []field.Def
	for _, c := range r.own {
		if c.def.Object != obj || !slices.Contains(r.parser.layout.Fields, c.Field) {
			continue
		}
		v := r.get(c.Field)
		if !c.def.Applies(typ) {
			if v != "" {
				r.warn("importer.warn.own_type", c.Label)
				r.remarks = append(r.remarks, i18n.T(r.lang, "importer.kept", c.Label, v))
			}
			continue
		}
		if in == nil {
			in = field.Input{}
		}
		defs, in[c.def.ID] = append(defs, c.def), []string{v}
		if v == "" && c.def.Default != "" {
			delete(in, c.def.ID) // an empty cell takes the default
		}
	}
	if len(defs) == 0 {
		return nil, nil
	}
	_, err := r.s.customers.Fields().Check(ctx, r.s.db().Read(), defs, typ, in, field.Mode{New: true, Lax: true})
	e, ok := fault.As(err)
	if !ok {
		return in, err
	}
	for _, f := range e.Fields {
		for _, c := range r.own {
			if c.def.Object == obj && field.Prefix+c.def.Code == f.Field {
				r.fail("importer.reason.own", c.Label, strings.TrimRight(i18n.T(r.lang, f.Key, f.Args...), "。."))
			}
		}
	}
	return in, nil
}
