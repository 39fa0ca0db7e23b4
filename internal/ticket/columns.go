package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// Column is something of tickets that a list shows and an export holds.
type Column struct {
	Code  string
	Label string
	Group string // as of a condition: one of AttrGroups
	Sort  Sort   // the order that belongs to it; "" none

	value func(t *tabled, r *Row) any // string, int64 or time.Time
	def   *field.Def
	more  bool // stands in no Row
}

// Custom reports whether the column is a field an administrator has added.
func (c Column) Custom() bool { return c.def != nil }

// tabled are rows with what their columns need beside them.
type tabled struct {
	lang             i18n.Lang
	user, department func(id int64) string
	category         map[int64]string
	more             map[int64]further
	own              map[int64]map[int64]field.Value // by ticket and field
	tags             []Tag
}

// tagNames are the names of the tags in g.
func (t *tabled) tagNames(g Tags) string {
	var out []string
	for _, x := range t.tags {
		if g.Has(x.ID) {
			out = append(out, x.Name)
		}
	}
	return strings.Join(out, "、")
}

// further is what no Row has: it is asked for when a column shows it.
type further struct {
	class, by                                   string
	category                                    int64
	acknowledged, responded, resolved, finished time.Time
}

func when(t time.Time) any {
	if t.IsZero() {
		return ""
	}
	return t.In(number.Zone)
}

// DefaultExport are the columns an export begins with.
var DefaultExport = []string{"number", "title", "state", "type", "priority", "urgency", "channel", "customer", "level", "department", "assignee", "round", "escalation", "stars", "due", "created", "activity"}

// Columns are what lists can show and exports hold, in l: what every ticket has,
// then the company's own fields.
func (s *Service) Columns(ctx context.Context, l i18n.Lang) ([]Column, error) {
	type of = func(t *tabled, r *Row) any
	say := func(prefix string, code func(r *Row) string) of {
		return func(t *tabled, r *Row) any {
			if c := code(r); c != "" {
				return i18n.T(t.lang, prefix+c)
			}
			return ""
		}
	}
	list := []Column{
		{Code: "number", Group: "ticket", Label: "ticket.attr.number", value: func(_ *tabled, r *Row) any { return r.Number }},
		{Code: "title", Group: "ticket", Label: "ticket.field.title", value: func(_ *tabled, r *Row) any { return r.Title }},
		{Code: "state", Group: "ticket", Label: "ticket.field.state", value: say("ticket.state.", func(r *Row) string { return string(r.State) })},
		{Code: "type", Group: "ticket", Label: "ticket.field.type", value: say("ticket.type.", func(r *Row) string { return r.Type })},
		{Code: "class", Group: "ticket", Label: "ticket.field.class", more: true, value: func(t *tabled, r *Row) any {
			if c := t.more[r.ID].class; c != "" {
				return i18n.T(t.lang, "ticket.class."+c)
			}
			return ""
		}},
		{Code: "category", Group: "ticket", Label: "ticket.field.category", more: true, value: func(t *tabled, r *Row) any { return t.category[t.more[r.ID].category] }},
		{Code: "priority", Group: "ticket", Label: "ticket.field.priority", value: say("ticket.priority.", func(r *Row) string { return r.Priority })},
		{Code: "urgency", Group: "ticket", Label: "ticket.field.urgency", value: say("ticket.urgency.", func(r *Row) string { return r.Urgency })},
		{Code: "channel", Group: "ticket", Label: "ticket.field.channel", value: say("ticket.channel.", func(r *Row) string { return r.Channel })},
		{Code: "tags", Group: "ticket", Label: "ticket.field.tags", value: func(t *tabled, r *Row) any { return t.tagNames(r.Tags) }},
		{Code: "stage", Group: "ticket", Label: "ticket.field.stage", value: func(_ *tabled, r *Row) any { return r.StageName }},
		{Code: "customer", Group: "people", Label: "ticket.field.customer", value: func(_ *tabled, r *Row) any { return r.CustomerName }},
		{Code: "level", Group: "people", Label: "ticket.field.level", value: say("ticket.level.", func(r *Row) string { return r.CustomerLevel })},
		{Code: "department", Group: "people", Label: "ticket.field.department", value: func(t *tabled, r *Row) any { return t.department(r.DepartmentID) }},
		{Code: "assignee", Group: "people", Label: "ticket.field.assignee", value: func(_ *tabled, r *Row) any { return r.AssigneeName }},
		{Code: "supervisor", Group: "people", Label: "ticket.desk.of", value: func(t *tabled, r *Row) any { return t.user(r.SupervisorID) }},
		{Code: "created_by", Group: "people", Label: "ticket.attr.created_by", more: true, value: func(t *tabled, r *Row) any { return t.more[r.ID].by }},
		{Code: "due", Group: "time", Label: "ticket.attr.due", Sort: ByDue, value: func(_ *tabled, r *Row) any { return when(r.DueAt) }},
		{Code: "created", Group: "time", Label: "ticket.attr.created", Sort: ByNewest, value: func(_ *tabled, r *Row) any { return when(r.CreatedAt) }},
		{Code: "activity", Group: "time", Label: "ticket.attr.activity", Sort: ByActivity, value: func(_ *tabled, r *Row) any { return when(r.ActivityAt) }},
		{Code: "customer_at", Group: "time", Label: "ticket.attr.customer_at", value: func(_ *tabled, r *Row) any { return when(r.CustomerAt) }},
		{Code: "assigned", Group: "time", Label: "ticket.attr.assigned", value: func(_ *tabled, r *Row) any { return when(r.AssignedAt) }},
		{Code: "acknowledged", Group: "time", Label: "ticket.attr.acknowledged", more: true, value: func(t *tabled, r *Row) any { return when(t.more[r.ID].acknowledged) }},
		{Code: "responded", Group: "time", Label: "ticket.attr.responded", more: true, value: func(t *tabled, r *Row) any { return when(t.more[r.ID].responded) }},
		{Code: "resolved", Group: "time", Label: "ticket.attr.resolved", more: true, value: func(t *tabled, r *Row) any { return when(t.more[r.ID].resolved) }},
		{Code: "completed", Group: "time", Label: "ticket.attr.completed", more: true, value: func(t *tabled, r *Row) any { return when(t.more[r.ID].finished) }},
		{Code: "round", Group: "result", Label: "ticket.attr.round", value: func(_ *tabled, r *Row) any { return int64(r.Round) }},
		{Code: "escalation", Group: "result", Label: "ticket.attr.escalation", value: func(_ *tabled, r *Row) any { return int64(r.Escalation) }},
		{Code: "stars", Group: "result", Label: "ticket.attr.stars", value: func(_ *tabled, r *Row) any {
			if r.Rating == 0 {
				return ""
			}
			return int64(r.Rating)
		}},
	}
	for i := range list {
		list[i].Label = i18n.T(l, list[i].Label)
	}
	defs, err := s.FieldDefs(ctx, l)
	if err != nil {
		return nil, err
	}
	for _, d := range defs {
		list = append(list, Column{Code: d.Name(), Label: d.Label, Group: "custom", def: &d, value: func(t *tabled, r *Row) any { return t.own[r.ID][d.ID].Text(t.lang) }})
	}
	return list, nil
}

// Chosen returns the columns of codes in their order; those of fields that were
// switched off are passed over. The title comes first in any case: a row without
// it says nothing. No codes: nil.
func (s *Service) Chosen(ctx context.Context, l i18n.Lang, codes []string) ([]Column, error) {
	if len(codes) == 0 {
		return nil, nil
	}
	all, err := s.Columns(ctx, l)
	if err != nil {
		return nil, err
	}
	var out []Column
	for _, code := range append([]string{"title"}, codes...) {
		i := slices.IndexFunc(all, func(c Column) bool { return c.Code == code })
		if i >= 0 && !slices.ContainsFunc(out, func(c Column) bool { return c.Code == code }) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// tabled loads what the columns need beside the rows: one statement for the
// company's own fields, one for what no Row has, none when no column asks.
func (s *Service) tabled(ctx context.Context, l i18n.Lang, rows []Row, columns []Column) (*tabled, error) {
	t := &tabled{lang: l}
	var err error
	if t.user, t.department, err = s.org.Names(ctx); err != nil {
		return nil, err
	}
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	var own []int64
	more := false
	for _, c := range columns {
		if more = more || c.more; c.def != nil {
			own = append(own, c.def.ID)
		}
		if c.Code == "tags" && t.tags == nil {
			if t.tags, err = TagList(ctx, s.DB().Read()); err != nil {
				return nil, err
			}
		}
		if c.Code == "category" && t.category == nil {
			cs, err := Categories(ctx, s.DB().Read())
			if err != nil {
				return nil, err
			}
			t.category = make(map[int64]string, len(cs))
			for _, x := range cs {
				t.category[x.ID] = x.Name
			}
		}
	}
	if len(own) > 0 {
		if t.own, err = s.fields().Values(ctx, s.DB().Read(), field.Ticket, ids, own); err != nil {
			return nil, err
		}
	}
	if more && len(ids) > 0 {
		t.more, err = s.further(ctx, ids)
	}
	return t, err
}

func (s *Service) further(ctx context.Context, ids []int64) (map[int64]further, error) {
	var a db.Args
	rows, err := s.DB().Read().Query(ctx, `SELECT id, class, category_id, created_by_name, acknowledged_at, responded_at, resolved_at, completed_at FROM tickets WHERE id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: columns: %w", err)
	}
	defer rows.Close()
	out := make(map[int64]further, len(ids))
	for rows.Next() {
		var id int64
		var at [4]int64
		var f further
		if err := rows.Scan(&id, &f.class, &f.category, &f.by, &at[0], &at[1], &at[2], &at[3]); err != nil {
			return nil, fmt.Errorf("ticket: columns: %w", err)
		}
		f.acknowledged, f.responded, f.resolved, f.finished = db.FromMicros(at[0]), db.FromMicros(at[1]), db.FromMicros(at[2]), db.FromMicros(at[3])
		out[id] = f
	}
	return out, rows.Err()
}

// Cells are the values of columns for each of rows: a string, an int64 or a
// time.Time. The caller has read the rows in the reader's scope.
func (s *Service) Cells(ctx context.Context, l i18n.Lang, rows []Row, columns []Column) ([][]any, error) {
	t, err := s.tabled(ctx, l, rows, columns)
	if err != nil {
		return nil, err
	}
	out := make([][]any, len(rows))
	for i := range rows {
		out[i] = make([]any, len(columns))
		for k, c := range columns {
			out[i][k] = c.value(t, &rows[i])
		}
	}
	return out, nil
}

// MaxColumns bounds what one list shows beside the title.
const MaxColumns = 12

// EveryView stands for all views nothing particular is chosen for.
const EveryView = "*"

// goodColumns drops what is repeated and refuses what there is not.
func (s *Service) goodColumns(ctx context.Context, codes []string) ([]string, error) {
	if len(codes) == 0 {
		return nil, nil
	}
	all, err := s.Columns(ctx, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, code := range codes {
		if !slices.ContainsFunc(all, func(c Column) bool { return c.Code == code }) {
			return nil, fault.Invalidf("ticket.columns.unknown", code).Field("columns", "ticket.columns.unknown", code)
		}
		if code != "title" && !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	if len(out) > MaxColumns {
		return nil, fault.Invalidf("ticket.columns.many", MaxColumns).Field("columns", "ticket.columns.many", MaxColumns)
	}
	return append([]string{"title"}, out...), nil
}

// Arrangement is how somebody wants a view: the zero value as it is.
type Arrangement struct {
	Sort    Sort
	Columns []string // codes; nil those of the view
}

// arrangementsOf holds what a user has chosen.
type arrangementsOf int64

// Arrangements returns how the actor wants each view he has chosen something
// for, by the view's key or id, or EveryView; it is not to be changed.
func (s *Service) Arrangements(ctx context.Context, actor authz.Actor) (map[string]Arrangement, error) {
	q := s.DB().Read()
	return db.Held(ctx, q, arrangementsOf(actor.ID), func() (map[string]Arrangement, error) {
		rows, err := q.Query(ctx, `SELECT view, sort, columns FROM ticket_orders WHERE user_id = $1`, actor.ID)
		if err != nil {
			return nil, fmt.Errorf("ticket: arrangements: %w", err)
		}
		defer rows.Close()
		out := map[string]Arrangement{}
		for rows.Next() {
			var view, sort, columns string
			if err := rows.Scan(&view, &sort, &columns); err != nil {
				return nil, fmt.Errorf("ticket: arrangements: %w", err)
			}
			x := Arrangement{Sort: Sort(sort)}
			if columns != "" {
				x.Columns = strings.Split(columns, ",")
			}
			out[view] = x
		}
		return out, rows.Err()
	})
}

// SetOrder keeps the order the actor wants in a view from now on; "" is that of
// the view again.
func (s *Service) SetOrder(ctx context.Context, actor authz.Actor, view string, sort Sort) error {
	if sort != "" && !slices.Contains(Sorts, sort) {
		return fault.Invalidf("ticket.need_choice").Field("sort", "ticket.need_choice")
	}
	return s.arrange(ctx, actor, view, `
		INSERT INTO ticket_orders (user_id, view, sort) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, view) DO UPDATE SET sort = excluded.sort`, string(sort))
}

// SetColumns keeps the columns the actor wants in a view (EveryView: in all)
// from now on; none are those of the view again.
func (s *Service) SetColumns(ctx context.Context, actor authz.Actor, view string, codes []string) error {
	codes, err := s.goodColumns(ctx, codes)
	if err != nil {
		return err
	}
	return s.arrange(ctx, actor, view, `
		INSERT INTO ticket_orders (user_id, view, sort, columns) VALUES ($1, $2, '', $3)
		ON CONFLICT (user_id, view) DO UPDATE SET columns = excluded.columns`, strings.Join(codes, ","))
}

// arrange writes a sort or the columns of a view. It is no fact of the business.
func (s *Service) arrange(ctx context.Context, actor authz.Actor, view, query, value string) error {
	if view == "" || len(view) > 40 {
		return fault.Invalidf("ticket.need_choice").Field("view", "ticket.need_choice")
	}
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		tx.Drop(arrangementsOf(actor.ID))
		_, err := tx.Exec(ctx, query, actor.ID, view, value)
		if err == nil && value == "" {
			_, err = tx.Exec(ctx, `DELETE FROM ticket_orders WHERE user_id = $1 AND view = $2 AND sort = '' AND columns = ''`, actor.ID, view)
		}
		if err != nil {
			return fmt.Errorf("ticket: arrange %s: %w", view, err)
		}
		return nil
	})
}
