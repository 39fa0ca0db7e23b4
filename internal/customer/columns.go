package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// Column is something of customers that lists show and exports hold.
type Column struct {
	Code      string
	Label     string
	Group     string // as of an Attr
	Sensitive bool   // masked, unless an export was asked for clear values
	Right     bool   // figures

	def   *field.Def
	value func(r *Line) any // string, int64, float64 or time.Time
}

// Line is a customer in a list with what its columns need beside the profile.
type Line struct {
	Row
	ParentName string
	Values     map[int64]field.Value // of the chosen custom fields only

	lang i18n.Lang
	own  map[int64]field.Value // of the primary contact
}

// DefaultColumns are what a list shows to who has not chosen.
var DefaultColumns = []string{"name", "contact", "level", "stage", "industry", "owner", "open_tickets", "activity"}

// DefaultExport are the columns an export begins with.
var DefaultExport = []string{"number", "name", "type", "level", "grade", "stage", "uscc", "industry", "region", "contact", "position", "phone", "email", "tags", "owner", "department",
	"source", "tickets", "created", "activity"}

func (r *Line) word(prefix, code string) string {
	if code == "" {
		return ""
	}
	return i18n.T(r.lang, prefix+code)
}

func (r *Line) industry() string {
	i, ok := cnid.IndustryByCode(r.Industry)
	if !ok {
		return r.Industry
	}
	if r.lang == i18n.En && i.English != "" {
		return i.English
	}
	return i.Name
}

func at(t time.Time) any {
	if t.IsZero() {
		return ""
	}
	return t.In(number.Zone)
}

func onDay(t time.Time) any { return day(t) }

// builtInColumns are those of every customer, in the order they are offered.
func builtInColumns(l i18n.Lang) []Column {
	list := []Column{
		{Code: "number", Group: "profile", Label: "customer.field.number", value: func(r *Line) any { return r.Number }},
		{Code: "name", Group: "profile", Label: "customer.field.name", value: func(r *Line) any { return r.Name }},
		{Code: "type", Group: "profile", Label: "customer.field.type", value: func(r *Line) any { return r.word("customer.type.", string(r.Type)) }},
		{Code: "level", Group: "profile", Label: "customer.field.level", value: func(r *Line) any { return r.word("customer.level.", string(r.Level)) }},
		{Code: "grade", Group: "profile", Label: "customer.grade", value: func(r *Line) any { return r.word("customer.grade.", r.Grade) }},
		{Code: "stage", Group: "profile", Label: "customer.stage", value: func(r *Line) any { return r.word("customer.stage.", r.Stage) }},
		{Code: "tags", Group: "profile", Label: "customer.tag", value: func(r *Line) any {
			var names []string
			for _, t := range r.Tags {
				names = append(names, t.Name)
			}
			return strings.Join(names, "、")
		}},
		{Code: "owner", Group: "profile", Label: "customer.field.owner", value: func(r *Line) any { return r.OwnerName }},
		{Code: "department", Group: "profile", Label: "customer.field.department", value: func(r *Line) any { return r.DepartmentName }},
		{Code: "source", Group: "profile", Label: "customer.field.source", value: func(r *Line) any { return r.word("customer.source.", r.Source) }},
		{Code: "industry", Group: "profile", Label: "customer.field.industry", value: func(r *Line) any { return r.industry() }},
		{Code: "uscc", Group: "profile", Label: "customer.field.uscc", value: func(r *Line) any { return r.USCC }},
		{Code: "region", Group: "profile", Label: "customer.field.region", value: func(r *Line) any { return r.Region }},
		{Code: "address", Group: "profile", Label: "customer.field.address", Sensitive: true, value: func(r *Line) any { return r.Address }},
		{Code: "website", Group: "profile", Label: "customer.field.website", value: func(r *Line) any { return r.Website }},
		{Code: "parent", Group: "profile", Label: "customer.field.parent", value: func(r *Line) any { return r.ParentName }},
		{Code: "remark", Group: "profile", Label: "customer.field.remark", value: func(r *Line) any { return r.Remark }},
		{Code: "created_by", Group: "profile", Label: "customer.attr.created_by", value: func(r *Line) any { return r.CreatedByName }},
		{Code: "contact", Group: "contact", Label: "customer.contact.primary", value: func(r *Line) any { return r.Primary().Name }},
		{Code: "contact_role", Group: "contact", Label: "customer.role", value: func(r *Line) any { return r.word("customer.role.", r.Primary().Role) }},
		{Code: "position", Group: "contact", Label: "customer.contact.position", value: func(r *Line) any { return r.Primary().Position }},
		{Code: "phone", Group: "contact", Label: "customer.contact.phone", Sensitive: true, value: func(r *Line) any { return r.Primary().Phone }},
		{Code: "email", Group: "contact", Label: "customer.contact.email", Sensitive: true, value: func(r *Line) any { return r.Primary().Email }},
		{Code: "wechat", Group: "contact", Label: "customer.contact.wechat", Sensitive: true, value: func(r *Line) any { return r.Primary().Wechat }},
		{Code: "activity", Group: "time", Label: "customer.field.activity", value: func(r *Line) any { return at(r.ActivityAt) }},
		{Code: "created", Group: "time", Label: "customer.attr.created", value: func(r *Line) any { return at(r.CreatedAt) }},
		{Code: "updated", Group: "time", Label: "customer.attr.updated", value: func(r *Line) any { return at(r.UpdatedAt) }},
		{Code: "first_contact", Group: "time", Label: "customer.field.first_contact_at", value: func(r *Line) any { return onDay(r.FirstContactAt) }},
		{Code: "stage_at", Group: "time", Label: "customer.attr.stage_at", value: func(r *Line) any { return onDay(r.StageAt) }},
		{Code: "planned", Group: "time", Label: "customer.attr.planned", value: func(r *Line) any { return at(r.PlannedAt) }},
		{Code: "verified", Group: "time", Label: "customer.attr.verified", value: func(r *Line) any { return onDay(r.VerifiedAt) }},
		{Code: "verify", Group: "time", Label: "customer.attr.verify", value: func(r *Line) any { return onDay(r.VerifyAt) }},
		{Code: "open_tickets", Group: "business", Label: "customer.attr.open_tickets", Right: true, value: func(r *Line) any { return r.OpenTickets }},
		{Code: "tickets", Group: "business", Label: "customer.attr.tickets", Right: true, value: func(r *Line) any { return r.TotalTickets }},
		{Code: "rating", Group: "business", Label: "customer.attr.rating", Right: true, value: func(r *Line) any {
			if r.Ratings == 0 {
				return ""
			}
			return math.Round(r.Rating()*10) / 10
		}},
	}
	for i := range list {
		list[i].Label = i18n.T(l, list[i].Label)
	}
	return list
}

// Columns returns everything a list can show, in l and in the order it is
// offered.
func (s *Service) Columns(ctx context.Context, l i18n.Lang) ([]Column, error) {
	return s.columnsIn(ctx, s.db().Read(), l)
}

func (s *Service) columnsIn(ctx context.Context, q db.Querier, l i18n.Lang) ([]Column, error) {
	list := builtInColumns(l)
	for _, obj := range []field.Object{field.Customer, field.Contact} {
		defs, err := s.fields.DefsIn(ctx, q, l, obj)
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			c := Column{Code: d.Name(), Label: d.Label, Group: "custom", Right: d.Kind == field.Number || d.Kind == field.Money, def: &d}
			if obj == field.Contact {
				c.Code, c.Group = "contact."+c.Code, "contact"
			}
			c.value = func(r *Line) any {
				v := r.Values[d.ID]
				if obj == field.Contact {
					v = r.own[d.ID]
				}
				if v.Empty() {
					return ""
				}
				if n, ok := v.JSON().(json.Number); ok {
					f, _ := n.Float64()
					return f
				}
				return v.Text(r.lang)
			}
			list = append(list, c)
		}
	}
	return list, nil
}

// Chosen returns the columns of codes in their order; codes of fields that are
// switched off are passed over, and nothing left means the default.
func (s *Service) Chosen(ctx context.Context, l i18n.Lang, codes []string) ([]Column, error) {
	all, err := s.Columns(ctx, l)
	if err != nil {
		return nil, err
	}
	pick := func(codes []string) []Column {
		var out []Column
		for _, code := range codes {
			if i := slices.IndexFunc(all, func(c Column) bool { return c.Code == code }); i >= 0 {
				out = append(out, all[i])
			}
		}
		return out
	}
	if out := pick(codes); len(out) > 0 {
		return out, nil
	}
	return pick(DefaultColumns), nil
}

// maxColumns is how many columns a list or an export may have.
const maxColumns = 60

// goodColumns refuses codes there are none of, and drops repeated ones.
func (s *Service) goodColumns(ctx context.Context, q db.Querier, codes []string) ([]string, error) {
	if len(codes) == 0 {
		return nil, nil
	}
	all, err := s.columnsIn(ctx, q, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, code := range codes {
		if !slices.ContainsFunc(all, func(c Column) bool { return c.Code == code }) {
			return nil, fault.Invalidf("customer.invalid").Field("columns", "customer.column.unknown", code)
		}
		if !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	if len(out) > maxColumns {
		return nil, fault.Invalidf("customer.invalid").Field("columns", "customer.column.many", maxColumns)
	}
	return out, nil
}

// Value is what the column holds for a customer: a string, an int64, a float64
// or a time.Time.
func (c Column) Value(r *Line) any { return c.value(r) }

// Text is the value of a custom field as it is shown; "" for columns of every
// customer.
func (c Column) Text(r *Line) string {
	switch {
	case c.def == nil:
		return ""
	case c.def.Object == field.Contact:
		return r.own[c.def.ID].Text(r.lang)
	}
	return r.Values[c.def.ID].Text(r.lang)
}

// Custom reports whether the column is a field an administrator has added.
func (c Column) Custom() bool { return c.def != nil }

// Link reports whether values are addresses on the web.
func (c Column) Link() bool { return c.def != nil && c.def.Kind == field.Link || c.Code == "website" }

// Lines loads for rows what the columns need beside the profiles: the names of
// parents as far as sc covers them and the values of chosen custom fields, with
// one query each.
func (s *Service) Lines(ctx context.Context, sc authz.Scope, l i18n.Lang, rows []Row, columns []Column) ([]Line, error) {
	q := s.db().Read()
	out := make([]Line, len(rows))
	var ids, parents, fields, contacts, contactFields []int64
	for i, r := range rows {
		out[i] = Line{Row: r, lang: l}
		ids = append(ids, r.ID)
		if r.ParentID != 0 {
			parents = append(parents, r.ParentID)
		}
		if c := r.Primary(); c.ID != 0 {
			contacts = append(contacts, c.ID)
		}
	}
	named := false
	for _, c := range columns {
		switch {
		case c.Code == "parent":
			named = true
		case c.def != nil && c.def.Object == field.Contact:
			contactFields = append(contactFields, c.def.ID)
		case c.def != nil:
			fields = append(fields, c.def.ID)
		}
	}
	if len(fields) > 0 && len(ids) > 0 {
		vs, err := s.fields.Values(ctx, q, field.Customer, ids, fields)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i].Values = vs[out[i].ID]
		}
	}
	if len(contactFields) > 0 && len(contacts) > 0 {
		vs, err := s.fields.Values(ctx, q, field.Contact, contacts, contactFields)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i].own = vs[out[i].Primary().ID]
		}
	}
	if named && len(parents) > 0 {
		var a db.Args
		rows, err := q.Query(ctx, `SELECT c.id, c.name FROM customers c WHERE c.id IN (`+a.AddInts(parents)+`) AND `+within(sc, &a), a.Values...)
		if err != nil {
			return nil, fmt.Errorf("customer: parents: %w", err)
		}
		defer rows.Close()
		names := map[int64]string{}
		for rows.Next() {
			var id int64
			var name string
			if err := rows.Scan(&id, &name); err != nil {
				return nil, fmt.Errorf("customer: parents: %w", err)
			}
			names[id] = name
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("customer: parents: %w", err)
		}
		for i := range out {
			out[i].ParentName = names[out[i].ParentID]
		}
	}
	return out, nil
}
