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

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
	"bihuan/internal/sheet"
)

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
	all, err := s.Columns(ctx, lang)
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
	out, err := sheet.NewWriter(w, format, i18n.T(lang, "ticket.nav"))
	if err != nil {
		return 0, err
	}
	var names []string
	for _, c := range chosen {
		names = append(names, c.Label)
	}
	if err := out.Header(names...); err != nil {
		return 0, err
	}
	sc := exportScope(actor)
	f.Limit, f.After = 200, ""
	for {
		p, err := s.List(ctx, sc, f)
		if err != nil {
			return n, err
		}
		lines, err := s.Cells(ctx, lang, p.Rows, chosen)
		if err != nil {
			return n, err
		}
		for _, values := range lines {
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
