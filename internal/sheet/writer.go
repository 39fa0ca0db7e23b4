package sheet

import (
	"archive/zip"
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Writer streams a table to w in constant memory: no row is kept, nothing is put
// into a temporary file. It writes workbooks itself, because a library would
// collect the whole file before the first byte could be sent. It is for one
// goroutine. After an error nothing more is written; Close returns it again.
type Writer struct {
	format Format
	err    error

	csv *csv.Writer
	raw *bufio.Writer

	zip    *zip.Writer
	sheet  *bufio.Writer
	sheets []string
	begun  bool // the present sheet has its first row
	rows   int
	cell   []byte
}

// NewWriter begins a file whose first sheet has the given name. Text tables have
// no names of sheets; they begin with a byte order mark, without which Excel
// reads Chinese as rubbish.
func NewWriter(w io.Writer, format Format, sheet string) (*Writer, error) {
	out := &Writer{format: format}
	switch format {
	case CSV:
		out.raw = bufio.NewWriterSize(w, 32<<10)
		out.raw.WriteString("\uFEFF")
		out.csv = csv.NewWriter(out.raw)
		out.csv.UseCRLF = true
	case XLSX:
		out.zip = zip.NewWriter(w)
		out.part("_rels/.rels", rootRelations)
		out.part("xl/styles.xml", styles)
		if err := out.Sheet(sheet); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("sheet: write: no format %q", format)
	}
	return out, nil
}

// Sheet ends the present sheet and begins another. Names are made fit for Excel
// (31 characters, none of []:*?/\, none twice). In a text table it leaves an
// empty line.
func (w *Writer) Sheet(name string) error {
	if w.err != nil {
		return w.err
	}
	if w.format == CSV {
		return w.fail(w.csv.Write([]string{""}))
	}
	if err := w.endSheet(); err != nil {
		return err
	}
	w.sheets = append(w.sheets, sheetName(name, w.sheets))
	part, err := w.zip.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("xl/worksheets/sheet%d.xml", len(w.sheets)), Method: zip.Deflate})
	if err != nil {
		return w.fail(err)
	}
	w.sheet, w.rows, w.begun = bufio.NewWriterSize(part, 32<<10), 0, false
	return nil
}

func sheetName(name string, taken []string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`[]:*?/\`, r) || r < ' ' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_")), "' ")
	if name == "" {
		name = "Sheet" + strconv.Itoa(len(taken)+1)
	}
	cut := func(s string, n int) string {
		units := 0
		for i, r := range s {
			if units += utf16.RuneLen(r); units > n {
				return s[:i]
			}
		}
		return s
	}
	base := cut(name, 31)
	name = base
	for n := 2; ; n++ {
		free := true
		for _, t := range taken {
			free = free && !strings.EqualFold(t, name)
		}
		if free {
			return name
		}
		suffix := " " + strconv.Itoa(n)
		name = cut(base, 31-len(suffix)) + suffix
	}
}

// Header writes the heading of a sheet. In a workbook it is bold, stays in sight
// while scrolling and gives the columns their widths; so it comes first.
func (w *Writer) Header(names ...string) error {
	if w.format == XLSX && w.err == nil && !w.begun {
		w.begin(names)
	}
	values := make([]any, len(names))
	for i, n := range names {
		values[i] = n
	}
	return w.write(values, styleBold)
}

// Row writes a row. A value is a string, an integer, a float, a bool, a
// time.Time (its wall clock as it is; convert it to the reader's zone first), a
// fmt.Stringer or nil; the zero time is an empty cell. Strings that a
// spreadsheet program would run as a formula get a ' in front; numbers do not.
func (w *Writer) Row(values ...any) error { return w.write(values, stylePlain) }

const (
	stylePlain = 0
	styleBold  = 1
	styleTime  = 2
)

func (w *Writer) fail(err error) error {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("sheet: write: %w", err)
	}
	return w.err
}

func (w *Writer) write(values []any, style int) error {
	if w.err != nil {
		return w.err
	}
	if w.format == CSV {
		record := make([]string, len(values))
		for i, v := range values {
			record[i] = strings.Map(printable, plainText(v))
		}
		return w.fail(w.csv.Write(record))
	}
	if !w.begun {
		w.begin(nil)
	}
	if w.rows == maxRows {
		return w.fail(tooManyRows(maxRows))
	}
	w.rows++
	b := append(w.cell[:0], `<row r="`...)
	b = strconv.AppendInt(b, int64(w.rows), 10)
	b = append(b, `">`...)
	for i, v := range values {
		b = appendCell(b, i, w.rows, v, style)
	}
	b = append(b, "</row>"...)
	w.cell = b
	_, err := w.sheet.Write(b)
	return w.fail(err)
}

// plainText is a value in a text table.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return defuse(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.Format(time.DateTime)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32)
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, bool:
		return fmt.Sprint(v)
	}
	return defuse(fmt.Sprint(v))
}

func appendCell(b []byte, col, row int, v any, style int) []byte {
	text, kind := "", byte('n')
	switch x := v.(type) {
	case nil:
		return b
	case string:
		text, kind = defuse(x), 's'
	case time.Time:
		serial, ok := daySerial(x)
		if x.IsZero() {
			return b
		}
		if ok {
			text, style = strconv.FormatFloat(serial, 'f', -1, 64), styleTime
		} else {
			text, kind = x.Format(time.DateTime), 's'
		}
	case bool:
		text, kind = "0", 'b'
		if x {
			text = "1"
		}
	case float64, float32, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		text = plainText(x)
		if strings.ContainsAny(text, "NI") { // NaN, Inf
			kind = 's'
		} else if digits := strings.TrimLeft(text, "-0."); len(digits) > 15 && !strings.Contains(digits, ".") {
			kind = 's' // a spreadsheet keeps 15 digits of a number
		}
	default:
		text, kind = plainText(x), 's'
	}
	if text == "" {
		return b
	}
	b = append(b, `<c r="`...)
	b = appendColumn(b, col)
	b = strconv.AppendInt(b, int64(row), 10)
	b = append(b, '"')
	if style != stylePlain {
		b = append(b, ` s="`...)
		b = strconv.AppendInt(b, int64(style), 10)
		b = append(b, '"')
	}
	switch kind {
	case 's':
		b = append(b, ` t="inlineStr"><is><t xml:space="preserve">`...)
		b = appendText(b, text)
		return append(b, "</t></is></c>"...)
	case 'b':
		b = append(b, ` t="b"`...)
	}
	b = append(b, "><v>"...)
	b = append(b, text...)
	return append(b, "</v></c>"...)
}

// printable returns -1 for what neither kind of file can hold.
func printable(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return -1
	}
	return r
}

func appendColumn(b []byte, col int) []byte {
	if col >= 26 {
		b = appendColumn(b, col/26-1)
	}
	return append(b, byte('A'+col%26))
}

// appendText escapes a text for XML, leaves out what XML cannot hold and cuts
// what a cell cannot hold.
func appendText(b []byte, s string) []byte {
	units := 0
	for i, r := range s {
		n := max(1, utf16.RuneLen(r))
		if units += n; units > maxCell-1 && len(s)-i > utf8.RuneLen(r) {
			return append(b, "…"...)
		}
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '\r':
			b = append(b, "_x000D_"...)
		case r == '_' && len(s) >= i+7 && s[i+1] == 'x' && s[i+6] == '_':
			b = append(b, "_x005F_"...) // else read back as a control character
		case printable(r) < 0:
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// daySerial is the wall clock of t in days since 1899-12-30; ok is false before
// 1 March 1900, where Excel's calendar is wrong.
func daySerial(t time.Time) (serial float64, ok bool) {
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	seconds := wall.Unix() - time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).Unix()
	return float64(seconds) / 86400, seconds >= 61*86400 && t.Year() < 10000
}

// The parts that come first, by which mail gateways tell a workbook from any
// other zip file.
const (
	rootRelations = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`

	// Styles in the order of the style constants.
	styles = `<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">` +
		`<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd hh:mm:ss"/></numFmts>` +
		`<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
		`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>` +
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
		`<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>` +
		`<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>` +
		`<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>` +
		`<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>`
)

const xmlHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

// begin writes what stands before the rows.
func (w *Writer) begin(header []string) {
	w.begun = true
	s := w.sheet
	s.WriteString(xmlHead + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">`)
	if len(header) > 0 {
		s.WriteString(`<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>`)
		s.WriteString(`<sheetFormatPr defaultRowHeight="15"/><cols>`)
		for i, h := range header {
			fmt.Fprintf(s, `<col min="%d" max="%d" width="%d" customWidth="1"/>`, i+1, i+1, width(h))
		}
		s.WriteString(`</cols>`)
	}
	s.WriteString(`<sheetData>`)
}

// width of a column in characters of the default font; Chinese ones count twice.
func width(header string) int {
	n := 4
	for _, r := range header {
		if n++; r >= 0x2E80 {
			n++
		}
	}
	return min(max(n, 12), 40)
}

func (w *Writer) endSheet() error {
	if w.sheet == nil {
		return nil
	}
	if !w.begun {
		w.begin(nil)
	}
	w.sheet.WriteString(`</sheetData></worksheet>`)
	err := w.sheet.Flush()
	w.sheet = nil
	return w.fail(err)
}

// Close completes the file; the writer below stays open. Without it the file is
// damaged, so its error must be looked at.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.format == CSV {
		w.csv.Flush()
		w.fail(w.csv.Error())
		return w.fail(w.raw.Flush())
	}
	if err := w.endSheet(); err != nil {
		return err
	}
	var types, list, rels strings.Builder
	for i, name := range w.sheets {
		fmt.Fprintf(&types, `<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>`, i+1)
		fmt.Fprintf(&list, `<sheet name="%s" sheetId="%d" r:id="rId%d"/>`, strings.ReplaceAll(string(appendText(nil, name)), `"`, "&quot;"), i+1, i+1)
		fmt.Fprintf(&rels, `<Relationship Id="rId%d" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet%d.xml"/>`, i+1, i+1)
	}
	for _, part := range []struct{ name, text string }{
		{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
			`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>` + types.String() + `</Types>`},
		{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
			`<bookViews><workbookView/></bookViews><sheets>` + list.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + rels.String() +
			`<Relationship Id="rIdStyles" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>`},
	} {
		if err := w.part(part.name, part.text); err != nil {
			return err
		}
	}
	return w.fail(w.zip.Close())
}

func (w *Writer) part(name, text string) error {
	p, err := w.zip.Create(name)
	if err == nil {
		_, err = io.WriteString(p, xmlHead+text)
	}
	return w.fail(err)
}
