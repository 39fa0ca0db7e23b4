package ticket

import (
	"context"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
)

// AttrGroups are the groups of attributes in the order they are offered,
// ticket.attr.group.<group>.
var AttrGroups = []string{"ticket", "people", "time", "result", "custom"}

func named[C ~string](l i18n.Lang, prefix string, codes []C) []customer.Choice {
	out := make([]customer.Choice, len(codes))
	for i, c := range codes {
		out[i] = customer.Choice{Value: string(c), Label: i18n.T(l, prefix+string(c))}
	}
	return out
}

// Attrs are what conditions on tickets can compare, in l: what every ticket has,
// then the company's own fields. Conditions have the form of those on customers:
// groups of which all or any must hold.
func (s *Service) Attrs(ctx context.Context, l i18n.Lang) ([]customer.Attr, error) {
	a := func(code, group string, kind customer.AttrKind, key, column string, blank bool, options ...customer.Choice) customer.Attr {
		return customer.NewAttr(l, code, group, kind, key, column, blank, options...)
	}
	list := []customer.Attr{
		a("title", "ticket", customer.KindText, "ticket.field.title", "t.title", false),
		a("number", "ticket", customer.KindText, "ticket.attr.number", "t.number", false),
		a("state", "ticket", customer.KindChoice, "ticket.field.state", "t.state", false, named(l, "ticket.state.", States)...),
		a("type", "ticket", customer.KindChoice, "ticket.field.type", "t.type", false, named(l, "ticket.type.", Types)...),
		a("class", "ticket", customer.KindChoice, "ticket.field.class", "t.class", true, named(l, "ticket.class.", Classes)...),
		a("priority", "ticket", customer.KindChoice, "ticket.field.priority", "t.priority", false, named(l, "ticket.priority.", Priorities)...),
		a("urgency", "ticket", customer.KindChoice, "ticket.field.urgency", "t.urgency", false, named(l, "ticket.urgency.", Urgencies)...),
		a("channel", "ticket", customer.KindChoice, "ticket.field.channel", "t.channel", false, named(l, "ticket.channel.", Channels)...),
		a("tags", "ticket", customer.KindTag, "ticket.field.tags", "ticket_tagged", true),
		a("sub", "ticket", customer.KindBool, "ticket.attr.sub", "t.parent_id", false),
		a("customer", "people", customer.KindCustomer, "ticket.field.customer", "t.customer_id", false),
		a("customer_name", "people", customer.KindText, "ticket.attr.customer_name", "t.customer_name", false),
		a("level", "people", customer.KindChoice, "ticket.field.level", "t.customer_level", false, named(l, "ticket.level.", Levels)...),
		a("department", "people", customer.KindDepartment, "ticket.field.department", "t.department_id", false),
		a("assignee", "people", customer.KindUser, "ticket.field.assignee", "t.assignee_id", true),
		a("supervisor", "people", customer.KindUser, "ticket.desk.of", "t.supervisor_id", true),
		a("created_by", "people", customer.KindUser, "ticket.attr.created_by", "t.created_by", true),
		a("created", "time", customer.KindDate, "ticket.attr.created", "t.created_at", false),
		a("activity", "time", customer.KindDate, "ticket.attr.activity", "t.activity_at", false),
		a("due", "time", customer.KindDate, "ticket.attr.due", "t.due_at", true),
		a("customer_at", "time", customer.KindDate, "ticket.attr.customer_at", "t.customer_at", true),
		a("responded", "time", customer.KindDate, "ticket.attr.responded", "t.responded_at", true),
		a("resolved", "time", customer.KindDate, "ticket.attr.resolved", "t.resolved_at", true),
		a("completed", "time", customer.KindDate, "ticket.attr.completed", "t.completed_at", true),
		a("overdue", "result", customer.KindBool, "ticket.attr.overdue", "NULLIF(t.overdue, 0)", false),
		a("round", "result", customer.KindNumber, "ticket.attr.round", "t.round", false),
		a("escalation", "result", customer.KindNumber, "ticket.attr.escalation", "t.escalation", false),
		a("stars", "result", customer.KindNumber, "ticket.attr.stars", "t.rating", false),
	}
	cs, err := Categories(ctx, s.DB().Read())
	if err != nil {
		return nil, err
	}
	category := a("category", "ticket", customer.KindChoice, "ticket.field.category", "CAST(t.category_id AS TEXT)", false, customer.Choice{Value: "0", Label: i18n.T(l, "ticket.none")})
	for _, c := range cs {
		category.Options = append(category.Options, customer.Choice{Value: lit(int(c.ID)), Label: c.Name})
	}
	list = append(list[:5:5], append([]customer.Attr{category}, list[5:]...)...)
	defs, err := s.FieldDefs(ctx, l)
	if err != nil {
		return nil, err
	}
	for _, d := range defs {
		if own, ok := customer.OwnAttr(d); ok {
			list = append(list, own)
		}
	}
	return list, nil
}

// CheckQuery reports what is wrong with conditions on tickets.
func (s *Service) CheckQuery(ctx context.Context, actor authz.Actor, q customer.Query) error {
	_, err := s.on(ctx, actor.ID, q)
	return err
}

func (s *Service) on(ctx context.Context, user int64, q customer.Query) (*customer.Conditions, error) {
	attrs, err := s.Attrs(ctx, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	return customer.On(attrs, "t.id", user, s.DB().Clock().Now(), q)
}

// prepared makes the conditions of f ready; without any it costs nothing.
func (s *Service) prepared(ctx context.Context, user int64, f Filter) (Filter, error) {
	var err error
	if f.awake, err = s.awake(ctx, user); err != nil {
		return f, err
	}
	if f.Tag != 0 {
		if f.rare, err = s.rare(ctx, f.Tag); err != nil {
			return f, err
		}
	}
	if f.Query.Empty() {
		return f, nil
	}
	f.conds, err = s.on(ctx, user, f.Query)
	return f, err
}

// queried is the condition of f's query as SQL, "" without one.
func (f Filter) queried(a *db.Args) (string, error) {
	if f.conds == nil {
		return "", nil
	}
	return f.conds.Where(a)
}

// Confined reports whether f selects among open tickets only, so that counting
// it stays cheap while closed ones pile up.
func (f Filter) Confined() bool {
	f = f.merge()
	open := len(f.States) > 0
	for _, s := range f.States {
		open = open && s.Open()
	}
	return open || f.Open != nil && *f.Open || f.Overdue || f.DueWithin > 0 || f.DueFrom > 0 || f.DueTo > 0 || f.Desk
}
