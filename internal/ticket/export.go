package ticket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
	"bihuan/internal/sheet"
)

// Column is something an export holds of tickets.
type Column struct {
	Code  string
	Label string

	value func(e *exporting, r *Row) any
	def   *field.Def
}

// exporting is what the rows of an export need beside themselves.
type exporting struct {
	lang       i18n.Lang
	department func(id int64) string
	own        map[int64]map[int64]field.Value // by ticket and field
}

func when(t time.Time) any {
	if t.IsZero() {
		return ""
	}
	return t.In(number.Zone)
}

// ExportColumns are what an export may hold, in l: what lists show, then the
// company's own fields.
func (s *Service) ExportColumns(ctx context.Context, l i18n.Lang) ([]Column, error) {
	say := func(prefix string, code func(r *Row) string) func(e *exporting, r *Row) any {
		return func(e *exporting, r *Row) any { return i18n.T(e.lang, prefix+code(r)) }
	}
	list := []Column{
		{Code: "number", Label: "ticket.attr.number", value: func(_ *exporting, r *Row) any { return r.Number }},
		{Code: "title", Label: "ticket.field.title", value: func(_ *exporting, r *Row) any { return r.Title }},
		{Code: "state", Label: "ticket.field.state", value: say("ticket.state.", func(r *Row) string { return string(r.State) })},
		{Code: "type", Label: "ticket.field.type", value: say("ticket.type.", func(r *Row) string { return r.Type })},
		{Code: "priority", Label: "ticket.field.priority", value: say("ticket.priority.", func(r *Row) string { return r.Priority })},
		{Code: "urgency", Label: "ticket.field.urgency", value: say("ticket.urgency.", func(r *Row) string { return r.Urgency })},
		{Code: "channel", Label: "ticket.field.channel", value: say("ticket.channel.", func(r *Row) string { return r.Channel })},
		{Code: "customer", Label: "ticket.field.customer", value: func(_ *exporting, r *Row) any { return r.CustomerName }},
		{Code: "level", Label: "ticket.field.level", value: say("ticket.level.", func(r *Row) string { return r.CustomerLevel })},
		{Code: "department", Label: "ticket.field.department", value: func(e *exporting, r *Row) any { return e.department(r.DepartmentID) }},
		{Code: "assignee", Label: "ticket.field.assignee", value: func(_ *exporting, r *Row) any { return r.AssigneeName }},
		{Code: "round", Label: "ticket.attr.round", value: func(_ *exporting, r *Row) any { return int64(r.Round) }},
		{Code: "escalation", Label: "ticket.attr.escalation", value: func(_ *exporting, r *Row) any { return int64(r.Escalation) }},
		{Code: "stars", Label: "ticket.attr.stars", value: func(_ *exporting, r *Row) any {
			if r.Rating == 0 {
				return ""
			}
			return int64(r.Rating)
		}},
		{Code: "due", Label: "ticket.attr.due", value: func(_ *exporting, r *Row) any { return when(r.DueAt) }},
		{Code: "created", Label: "ticket.attr.created", value: func(_ *exporting, r *Row) any { return when(r.CreatedAt) }},
		{Code: "activity", Label: "ticket.attr.activity", value: func(_ *exporting, r *Row) any { return when(r.ActivityAt) }},
	}
	for i := range list {
		list[i].Label = i18n.T(l, list[i].Label)
	}
	defs, err := s.FieldDefs(ctx, l)
	if err != nil {
		return nil, err
	}
	for _, d := range defs {
		list = append(list, Column{Code: d.Name(), Label: d.Label, def: &d, value: func(e *exporting, r *Row) any { return e.own[r.ID][d.ID].Text(e.lang) }})
	}
	return list, nil
}

// ExportData is the data of the fact that tickets were taken out.
type ExportData struct {
	Args    []string `json:"args"` // how many, in which form
	Columns []string `json:"columns"`
	Filter  Filter   `json:"filter"`
}

// exportScope is what the actor may both see and take out.
func exportScope(actor authz.Actor) authz.Scope {
	if actor.Level(PermExport) > actor.Level(PermView) {
		return View(actor)
	}
	return authz.For(actor, PermExport)
}

// Export writes the tickets that f selects into w as a table, and returns how
// many; it reads a page at a time, so that memory does not grow with them. That
// it was done is on record before Export returns: nothing of what it wrote is to
// leave the house before that.
func (s *Service) Export(ctx context.Context, actor authz.Actor, f Filter, columns []string, format sheet.Format, w io.Writer) (n int, err error) {
	if err := actor.Check(PermExport); err != nil {
		return 0, err
	}
	lang := actor.Lang
	if lang == "" {
		lang = i18n.ZhCN
	}
	all, err := s.ExportColumns(ctx, lang)
	if err != nil {
		return 0, err
	}
	chosen := slices.DeleteFunc(all, func(c Column) bool { return !slices.Contains(columns, c.Code) })
	if len(chosen) == 0 {
		return 0, fault.Invalidf("ticket.invalid").Field("columns", "ticket.export.columns.none")
	}
	if format != sheet.XLSX && format != sheet.CSV {
		return 0, fault.Invalidf("ticket.invalid").Field("format", "ticket.need_choice")
	}
	_, department, err := s.org.Names(ctx)
	if err != nil {
		return 0, err
	}
	out, err := sheet.NewWriter(w, format, i18n.T(lang, "ticket.nav"))
	if err != nil {
		return 0, err
	}
	var names []string
	own := false
	for _, c := range chosen {
		names = append(names, c.Label)
		own = own || c.def != nil
	}
	if err := out.Header(names...); err != nil {
		return 0, err
	}
	e := &exporting{lang: lang, department: department}
	sc := exportScope(actor)
	f.Limit, f.After = 200, ""
	values := make([]any, len(chosen))
	for {
		p, err := s.List(ctx, sc, f)
		if err != nil {
			return n, err
		}
		if own {
			ids := make([]int64, len(p.Rows))
			for i, r := range p.Rows {
				ids[i] = r.ID
			}
			if e.own, err = s.fields().Values(ctx, s.DB().Read(), field.Ticket, ids, nil); err != nil {
				return n, err
			}
		}
		for i := range p.Rows {
			for k, c := range chosen {
				values[k] = c.value(e, &p.Rows[i])
			}
			if err := out.Row(values...); err != nil {
				return n, err
			}
			n++
		}
		if f.After = p.Next; f.After == "" {
			break
		}
	}
	if err := out.Close(); err != nil {
		return n, err
	}
	var codes []string
	for _, c := range chosen {
		codes = append(codes, c.Code)
	}
	f.Text, f.Query.Node = "", unnamed(f.Query.Node)
	err = s.run.Do(ctx, actor, "ticket.export", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: "ticket.exported", Subject: event.Subject{Type: "ticket_export", ID: actor.ID}, Data: ExportData{Args: []string{fmt.Sprint(n), string(format)}, Columns: codes, Filter: f}})
		return nil
	})
	return n, err
}

// ExportFile is Export into a file that is gone when it is closed: memory stays
// small, and what fails hands half a table to nobody.
func (s *Service) ExportFile(ctx context.Context, actor authz.Actor, f Filter, columns []string, format sheet.Format) (blob.File, io.ReadSeekCloser, error) {
	file, err := os.CreateTemp("", "bihuan-export-*")
	if err != nil {
		return blob.File{}, nil, fmt.Errorf("ticket: export: %w", err)
	}
	out, sum := passing{file}, sha256.New()
	if _, err = s.Export(ctx, actor, f, columns, format, io.MultiWriter(file, sum)); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		out.Close()
		return blob.File{}, nil, err
	}
	lang, now := actor.Lang, s.DB().Clock().Now().In(number.Zone)
	if lang == "" {
		lang = i18n.ZhCN
	}
	return blob.File{SHA256: hex.EncodeToString(sum.Sum(nil)), MIME: format.MIME(), Name: i18n.T(lang, "ticket.nav") + "-" + now.Format("20060102-1504") + "." + string(format), CreatedAt: now}, out, nil
}

// passing is a file that is gone when it is closed.
type passing struct{ *os.File }

// Close implements io.Closer.
func (f passing) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

// unnamed takes what was typed out of conditions: it may name people, and facts
// outlive their wish to be forgotten.
func unnamed(n customer.Node) customer.Node {
	n.All, n.Any = slices.Clone(n.All), slices.Clone(n.Any)
	for i := range n.All {
		n.All[i] = unnamed(n.All[i])
	}
	for i := range n.Any {
		n.Any[i] = unnamed(n.Any[i])
	}
	if n.Op == customer.OpHas || n.Op == customer.OpHasNot || n.Field == "customer_name" || n.Field == "title" {
		n.Values = nil
	}
	return n
}
