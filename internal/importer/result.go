package importer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/sheet"
)

// writeResult writes the table again with the outcome of each row. outcome is
// asked line by line; a Line without result means: simply taken in.
func (s *Service) writeResult(ctx context.Context, w io.Writer, k Kind, src source, setup Setup, format sheet.Format, outcome func(line int) (Line, error)) error {
	t, err := s.open(ctx, k, src, setup)
	if err != nil {
		return err
	}
	defer t.Close()
	l := setup.Lang
	out, err := sheet.NewWriter(w, format, i18n.T(l, "importer.result.sheet"))
	if err != nil {
		return err
	}
	width := len(t.layout.Names)
	header := append([]string{}, t.layout.Names...)
	header = append(header, i18n.T(l, "importer.result.line"), i18n.T(l, "importer.result.result"), i18n.T(l, "importer.result.reason"))
	if err := out.Header(header...); err != nil {
		return err
	}
	values := make([]any, width+3)
	for n := 0; ; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if t.headingAgain(r) {
			continue
		}
		o, err := outcome(r.line)
		if err != nil {
			return err
		}
		if o.Result == "" {
			o.Result = Imported
		}
		for i := range width {
			values[i] = nil
			if i < len(r.cells) {
				values[i] = sheet.Undefused(r.cells[i])
			}
		}
		values[width], values[width+1], values[width+2] = r.line, i18n.T(l, o.Result.Key()), o.Say(l)
		if err := out.Row(values...); err != nil {
			return err
		}
	}
	return out.Close()
}

// writeFile is writeResult into a file, which appears only when it is whole.
func (s *Service) writeFile(ctx context.Context, k Kind, src source, setup Setup, format sheet.Format, path string, outcome func(line int) (Line, error)) (err error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Invalidf("importer.result.path", path).Wrap(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path + ".part")
		}
	}()
	b := bufio.NewWriterSize(f, 64<<10)
	if err := s.writeResult(ctx, b, k, src, setup, format, outcome); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("importer: result: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("importer: result: %w", err)
	}
	return os.Rename(path+".part", path)
}

// Template writes an empty table with the columns of the manual's form, and those
// of the company's own fields.
func (s *Service) Template(ctx context.Context, w io.Writer, k Kind, l i18n.Lang) error {
	own, err := s.Own(ctx, k, l)
	if err != nil {
		return err
	}
	out, err := sheet.NewWriter(w, sheet.XLSX, i18n.T(l, "importer.kind."+string(k)))
	if err != nil {
		return err
	}
	n := 13
	if k == Tickets {
		n = 11
	}
	var names []string
	for _, c := range columns[k][:n] {
		names = append(names, i18n.T(l, c.Key(k)))
	}
	for _, c := range own {
		names = append(names, c.Label)
	}
	if err := out.Header(names...); err != nil {
		return err
	}
	return out.Close()
}
