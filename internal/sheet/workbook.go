package sheet

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/fault"
)

// workbook is an .xlsx file (ECMA-376) with its shared parts read.
type workbook struct {
	lim      Limits
	parts    map[string]*zip.File // by name in lower case
	budget   *budget
	sheets   []string
	files    map[string]*zip.File // of the sheets
	hidden   map[string]bool      // sheets nobody sees
	merged   map[*zip.File][]mergedDown
	strings  textTable
	formats  []cellFormat // by style index
	date1904 bool
}

func openWorkbook(r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	if err := checkDirectory(r, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, damaged(err)
	}
	w := &workbook{lim: lim, parts: map[string]*zip.File{}, files: map[string]*zip.File{}, hidden: map[string]bool{}, merged: map[*zip.File][]mergedDown{},
		budget: &budget{left: lim.Unpacked, ratio: lim.Ratio}}
	binaryBook := false
	for _, f := range z.File {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"))
		if _, twice := w.parts[name]; !twice {
			w.parts[name] = f
		}
		binaryBook = binaryBook || name == "xl/workbook.bin"
	}
	main := w.mainPart()
	if w.parts[main] == nil {
		if binaryBook {
			return nil, oldExcel()
		}
		return nil, notSheet()
	}
	rels, err := w.relations(main)
	if err != nil {
		return nil, err
	}
	if err := w.readMain(main, rels); err != nil {
		return nil, err
	}
	for _, rel := range rels {
		f := w.parts[rel.target]
		switch {
		case f == nil:
		case rel.is("styles"):
			err = w.readStyles(f)
		case rel.is("sharedStrings"):
			err = w.readStrings(f)
		}
		if err != nil {
			return nil, err
		}
	}
	rd, err := newReader(lim, XLSX, w.sheets, w.hidden, w.open)
	if err != nil {
		return nil, err
	}
	left := w.budget.left
	rd.open = func(sheet string) (rowSource, error) {
		w.budget = &budget{left: left, ratio: lim.Ratio} // reading again costs no more than reading once
		return w.open(sheet)
	}
	return rd, nil
}

type relation struct{ id, kind, target string }

// is compares the last word of the type: transitional and strict files differ in
// the address before it.
func (r relation) is(kind string) bool { return strings.HasSuffix(r.kind, "/"+kind) }

// mainPart returns the name of the workbook part: nearly always xl/workbook.xml.
func (w *workbook) mainPart() string {
	const usual = "xl/workbook.xml"
	if w.parts[usual] != nil {
		return usual
	}
	if rels, err := w.relations(""); err == nil {
		for _, rel := range rels {
			if rel.is("officeDocument") && strings.HasSuffix(rel.target, ".xml") && strings.Contains(rel.target, "workbook") {
				return rel.target
			}
		}
	}
	return usual
}

// relations returns what a part refers to, targets as names of parts.
func (w *workbook) relations(part string) ([]relation, error) {
	dir, base := path.Split(part)
	f := w.parts[dir+"_rels/"+base+".rels"]
	if f == nil {
		return nil, nil
	}
	var out []relation
	err := w.each(f, func(s *scanner) error {
		if s.is("Relationship") {
			target := s.attrText("Target")
			if strings.HasPrefix(target, "/") {
				target = target[1:]
			} else {
				target = path.Join(dir, target)
			}
			out = append(out, relation{s.attrText("Id"), s.attrText("Type"), strings.ToLower(target)})
		}
		return nil
	})
	return out, err
}

// each calls fn at every start tag of a part.
func (w *workbook) each(f *zip.File, fn func(s *scanner) error) error {
	rc, err := w.budget.part(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	s, err := partScanner(rc)
	if err != nil {
		return err
	}
	for {
		kind, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err == nil && kind == startTag {
			err = fn(s)
		}
		if err != nil {
			return err
		}
	}
}

// partScanner refuses parts in UTF-16: nobody writes them, and the scanner looks
// at bytes.
func partScanner(r io.Reader) (*scanner, error) {
	s := newScanner(r)
	if s.fill() && s.end >= 2 && (s.buf[0] == 0xFF || s.buf[0] == 0xFE || s.buf[1] == 0) {
		return nil, damaged(errXML)
	}
	return s, nil
}

const mostSheets = 1000

func (w *workbook) readMain(main string, rels []relation) error {
	target := map[string]relation{}
	for _, r := range rels {
		target[r.id] = r
	}
	return w.each(w.parts[main], func(s *scanner) error {
		switch {
		case s.is("workbookPr"):
			v := string(s.attr("date1904"))
			w.date1904 = v == "1" || v == "true"
		case s.is("sheet") && len(w.sheets) < mostSheets:
			name, rel := s.attrText("name"), target[s.attrText("id")]
			f := w.parts[rel.target]
			if f != nil && rel.is("worksheet") && w.files[name] == nil {
				w.sheets = append(w.sheets, name)
				w.files[name] = f
				state := string(s.attr("state"))
				w.hidden[name] = state == "hidden" || state == "veryHidden"
			}
		}
		return nil
	})
}

func errNoSheet(name string) error {
	return fault.Invalidf("sheet.no_such_sheet", name).Wrap(ErrNoSheet)
}

// textTable holds the shared texts of a workbook in pages, with 4 bytes beside
// each text instead of a string header, and never copies a page to grow.
type textTable struct {
	pages [][]byte
	ends  []uint32
	size  uint32
}

const textPage = 1 << 18

func (t *textTable) add(b []byte) {
	for len(b) > 0 {
		if at := int(t.size) % textPage; at == 0 && int(t.size)/textPage == len(t.pages) {
			t.pages = append(t.pages, make([]byte, textPage))
		}
		n := copy(t.pages[t.size/textPage][t.size%textPage:], b)
		t.size += uint32(n)
		b = b[n:]
	}
	t.ends = append(t.ends, t.size)
}

func (t *textTable) get(i int) (string, bool) {
	if i < 0 || i >= len(t.ends) {
		return "", false
	}
	var from uint32
	if i > 0 {
		from = t.ends[i-1]
	}
	to := t.ends[i]
	if from == to {
		return "", true
	}
	if from/textPage == (to-1)/textPage {
		p := t.pages[from/textPage]
		return string(p[from%textPage : (to-1)%textPage+1]), true
	}
	var b strings.Builder
	b.Grow(int(to - from))
	for from < to {
		p := t.pages[from/textPage][from%textPage:]
		n := min(int(to-from), len(p))
		b.Write(p[:n])
		from += uint32(n)
	}
	return b.String(), true
}

func (w *workbook) readStrings(f *zip.File) error {
	rc, err := w.budget.part(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	s, err := partScanner(rc)
	if err != nil {
		return err
	}
	limit := min(w.lim.SharedStrings, math.MaxUint32/2)
	var text []byte
	phonetic := false // reading aids of Japanese files are no text
	for {
		kind, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if kind == startTag {
			switch {
			case s.is("si"):
				text = text[:0]
			case s.is("rPh"):
				phonetic = true
			case s.is("t") && !phonetic:
				s.textMax = w.lim.Cell * utf8.UTFMax
			}
			continue
		}
		switch {
		case s.is("t"):
			if s.textOver {
				return textTooLong(w.lim.Cell)
			}
			if s.textMax > 0 {
				text = append(text, s.text...)
			}
			s.textMax = 0
			if len(text) > w.lim.Cell*utf8.UTFMax {
				return textTooLong(w.lim.Cell)
			}
		case s.is("rPh"):
			phonetic = false
		case s.is("si"):
			text = unescapeControls(text)
			w.strings.add(text)
			if int64(w.strings.size)+4*int64(len(w.strings.ends)) > limit {
				return tooLarge()
			}
		}
	}
}

// unescapeControls decodes _x000D_, which is how workbooks write what XML cannot
// hold.
func unescapeControls(b []byte) []byte {
	if !bytes.Contains(b, []byte("_x")) {
		return b
	}
	out := b[:0]
	for i := 0; i < len(b); {
		if i+7 <= len(b) && b[i] == '_' && b[i+1] == 'x' && b[i+6] == '_' {
			if n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16); err == nil && utf8.ValidRune(rune(n)) {
				if n != 0 {
					out = utf8.AppendRune(out, rune(n))
				}
				i += 7
				continue
			}
		}
		out = append(out, b[i])
		i++
	}
	return out
}

// cellFormat is what a number format makes of a number.
type cellFormat struct {
	kind  formatKind
	width int // least digits, of zeros
}

type formatKind uint8

const (
	plain   formatKind = iota
	date               // with or without time of day
	clock              // time of day only
	elapsed            // [h]:mm
	zeros              // 000000: an article number with leading zeros
)

const mostStyles = 100000

func (w *workbook) readStyles(f *zip.File) error {
	custom := map[int]cellFormat{}
	inCells := false
	rc, err := w.budget.part(f)
	if err != nil {
		return err
	}
	defer rc.Close()
	s, err := partScanner(rc)
	if err != nil {
		return err
	}
	for {
		kind, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case s.is("cellXfs"):
			inCells = kind == startTag
		case kind != startTag:
		case s.is("numFmt") && len(custom) < mostStyles:
			id, _ := strconv.Atoi(string(s.attr("numFmtId")))
			custom[id] = formatOf(s.attrText("formatCode"))
		case s.is("xf") && inCells && len(w.formats) < mostStyles:
			id, _ := strconv.Atoi(string(s.attr("numFmtId")))
			f, ok := custom[id]
			if !ok {
				f = builtInFormat(id)
			}
			w.formats = append(w.formats, f)
		}
	}
}

// builtInFormat covers the numbers of ECMA-376 part 1, 18.8.30, with those that
// mean dates in Chinese and Japanese Excel.
func builtInFormat(id int) cellFormat {
	switch {
	case id >= 18 && id <= 21, id == 45, id == 47, id >= 32 && id <= 35, id == 55, id == 56:
		return cellFormat{kind: clock}
	case id == 46:
		return cellFormat{kind: elapsed}
	case id >= 14 && id <= 22, id >= 27 && id <= 36, id >= 50 && id <= 58:
		return cellFormat{kind: date}
	}
	return cellFormat{}
}

// formatOf reads a format code such as yyyy"年"m"月"d"日" or [h]:mm;@.
func formatOf(code string) cellFormat {
	day, hour, minutes, since := false, false, false, false
	count, other := 0, false
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case '"':
			if j := strings.IndexByte(code[i+1:], '"'); j >= 0 {
				i += j + 1
			} else {
				i = len(code)
			}
			other = true
		case '\\', '_', '*':
			i++
			other = true
		case '[':
			j := strings.IndexByte(code[i:], ']')
			if j < 0 {
				i = len(code)
				break
			}
			// [h] [hh] [mm] [ss] count on beyond a day; [Red], [$-804] say nothing here.
			inside := strings.ToLower(code[i+1 : i+j])
			if inside != "" && strings.Contains("hms", inside[:1]) && strings.Trim(inside, inside[:1]) == "" {
				since = true
			}
			i += j
		case ';':
			i = len(code) // the sections for negative numbers and text
		case 'y', 'Y', 'd', 'D':
			day = true
		case 'a', 'A':
			if strings.HasPrefix(strings.ToLower(code[i:]), "aaa") { // 星期三
				day = true
				i += 2
			}
		case 'h', 'H', 's', 'S':
			hour = true
		case 'm', 'M':
			minutes = true
		case '0':
			count++
		default:
			other = true
		}
	}
	switch {
	case strings.EqualFold(code, "general"):
		return cellFormat{}
	case since:
		return cellFormat{kind: elapsed}
	case day, minutes && !hour:
		return cellFormat{kind: date}
	case hour:
		return cellFormat{kind: clock}
	case count > 1 && !other:
		return cellFormat{kind: zeros, width: count}
	}
	return cellFormat{}
}

func (w *workbook) open(name string) (rowSource, error) {
	f := w.files[name]
	if f == nil {
		return nil, errNoSheet(name)
	}
	merged, err := w.mergedCells(f)
	if err != nil {
		return nil, err
	}
	rc, err := w.budget.part(f)
	if err != nil {
		return nil, err
	}
	s, err := partScanner(rc)
	if err != nil {
		rc.Close()
		return nil, err
	}
	return &worksheet{w: w, rc: rc, s: s, merged: merged}, nil
}

// worksheet streams the rows of one sheet.
type worksheet struct {
	w      *workbook
	rc     io.ReadCloser
	s      *scanner
	inside bool // in sheetData
	number int
	width  int // of the row before, to allocate the next one
	value  []byte
	merged []mergedDown // that begin further down
	open   []mergedDown // that go over the present row
}

func (ws *worksheet) Close() error { return ws.rc.Close() }

func (ws *worksheet) next() ([]string, int, error) {
	for {
		kind, err := ws.s.next()
		if err == io.EOF && !ws.inside {
			return nil, 0, io.EOF // a sheet without cells
		}
		if err == io.EOF {
			err = damaged(io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, 0, err
		}
		switch {
		case ws.s.is("sheetData"):
			if ws.inside = kind == startTag; !ws.inside {
				return nil, 0, io.EOF
			}
		case ws.inside && kind == startTag && ws.s.is("row"):
			ws.number++
			if n, err := strconv.Atoi(string(ws.s.attr("r"))); err == nil && n > ws.number && n <= maxRows {
				ws.number = n
			}
			row, err := ws.row()
			if err != nil {
				return nil, 0, err
			}
			if row != nil {
				return ws.fill(row), ws.number, nil
			}
		}
	}
}

// row reads up to the end of the row; a blank one is nil.
func (ws *worksheet) row() ([]string, error) {
	var row []string
	blank, col := true, -1
	for {
		kind, err := ws.s.next()
		if err != nil {
			return nil, unexpected(err)
		}
		if kind == endTag {
			if !ws.s.is("row") {
				continue
			}
			if blank {
				return nil, nil
			}
			ws.width = len(row)
			return row, nil
		}
		if !ws.s.is("c") {
			continue
		}
		col++
		if c := column(ws.s.attr("r")); c >= 0 {
			col = c
		}
		text, err := ws.cell()
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if col >= ws.w.lim.Columns {
			return nil, tooManyColumns(ws.number, ws.w.lim.Columns)
		}
		if row == nil {
			row = make([]string, 0, max(ws.width, col+1))
		}
		for len(row) <= col {
			row = append(row, "")
		}
		row[col] = text
		blank = blank && strings.TrimSpace(text) == ""
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return damaged(io.ErrUnexpectedEOF)
	}
	return err
}

// column returns the place of a cell reference (B7 is 1), or -1.
func column(ref []byte) int {
	n := 0
	for _, c := range ref {
		switch {
		case c >= 'A' && c <= 'Z':
			n = n*26 + int(c-'A') + 1
		case c >= 'a' && c <= 'z':
			n = n*26 + int(c-'a') + 1
		default:
			return n - 1
		}
		if n > 1<<14 {
			return 1 << 14 // beyond XFD
		}
	}
	return n - 1
}

// cell reads up to the end of the cell and returns it as text.
func (ws *worksheet) cell() (string, error) {
	s := ws.s
	var kind byte // s shared, i inline, t text of a formula, b boolean, d date, e error, n number
	switch t := s.attr("t"); string(t) {
	case "s":
		kind = 's'
	case "inlineStr":
		kind = 'i'
	case "str":
		kind = 't'
	case "b", "d", "e":
		kind = t[0]
	default:
		kind = 'n'
	}
	style := -1
	if a := s.attr("s"); a != nil {
		style, _ = strconv.Atoi(string(a))
	}
	ws.value = ws.value[:0]
	max := ws.w.lim.Cell * utf8.UTFMax
	inline, phonetic := false, false
	for {
		tag, err := s.next()
		if err != nil {
			return "", unexpected(err)
		}
		if tag == startTag {
			switch {
			case s.is("v"):
				if kind != 'i' {
					s.textMax = max
				}
			case s.is("is"):
				inline = true
			case s.is("rPh"):
				phonetic = true
			case s.is("t") && inline && !phonetic:
				s.textMax = max
			}
			continue
		}
		if s.textMax > 0 && (s.is("v") || s.is("t")) {
			s.textMax = 0
			if s.textOver || len(ws.value)+len(s.text) > max {
				return "", cellTooLong(ws.number, ws.w.lim.Cell)
			}
			ws.value = append(ws.value, s.text...)
			continue
		}
		switch {
		case s.is("rPh"):
			phonetic = false
		case s.is("c"):
			return ws.render(kind, style)
		}
	}
}

func (ws *worksheet) render(kind byte, style int) (string, error) {
	if len(ws.value) == 0 {
		return "", nil
	}
	switch kind {
	case 's':
		i, err := strconv.Atoi(string(bytes.TrimSpace(ws.value)))
		if err != nil {
			return "", damaged(fmt.Errorf("row %d: text index", ws.number))
		}
		text, ok := ws.w.strings.get(i)
		if !ok {
			return "", damaged(fmt.Errorf("row %d: text index %d", ws.number, i))
		}
		if !utf8.ValidString(text) {
			text = strings.ToValidUTF8(text, "\uFFFD")
		}
		return text, ws.checkLength(text)
	case 'b':
		if string(ws.value) == "1" || string(ws.value) == "true" {
			return "TRUE", nil
		}
		return "FALSE", nil
	case 'd':
		for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02"} {
			if t, err := time.Parse(layout, string(ws.value)); err == nil {
				return t.Format(time.DateTime), nil
			}
		}
	case 'n':
		f := cellFormat{}
		if style >= 0 && style < len(ws.w.formats) {
			f = ws.w.formats[style]
		}
		text := number(validText(ws.value), f, ws.w.date1904)
		return text, ws.checkLength(text)
	case 'i', 't':
		ws.value = unescapeControls(ws.value)
	}
	text := validText(ws.value)
	return text, ws.checkLength(text)
}

func (ws *worksheet) checkLength(text string) error {
	if len(text) > ws.w.lim.Cell && utf8.RuneCountInString(text) > ws.w.lim.Cell {
		return cellTooLong(ws.number, ws.w.lim.Cell)
	}
	return nil
}

// number renders a number as a person would read it in the cell, except that
// dates have one form and no digits are hidden.
func number(raw string, f cellFormat, date1904 bool) string {
	if f.kind == plain && len(raw) <= 15 && !strings.ContainsAny(raw, "eE \n\t") {
		return raw
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(raw), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return raw
	}
	switch f.kind {
	case date, clock:
		if text, ok := dateText(v, f.kind == clock, date1904); ok {
			return text
		}
	case elapsed:
		if v >= 0 && v < 1e6 {
			s := int64(math.Round(v * 86400))
			return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
		}
	}
	// Excel computes and shows 15 digits; 0.1+0.2 is stored as 0.30000000000000004.
	if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 14, 64), 64); err == nil && v != math.Trunc(v) {
		v = r
	}
	if math.Abs(v) >= 1e21 || v != 0 && math.Abs(v) < 1e-15 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if f.kind == zeros && v >= 0 && v == math.Trunc(v) {
		text = strings.Repeat("0", max(0, min(f.width, 32)-len(text))) + text
	}
	return text
}

// dateText turns a serial day into text. Day 60 of the 1900 system is the 29
// February 1900 that never was; days before it count from one day later.
func dateText(serial float64, timeOnly, date1904 bool) (string, bool) {
	if serial < 0 || serial >= 2958466 { // after 9999-12-31
		return "", false
	}
	seconds := int64(math.Round(serial * 86400))
	days := seconds / 86400
	if timeOnly && days == 0 {
		return time.Unix(seconds, 0).UTC().Format(time.TimeOnly), true
	}
	var base time.Time
	switch {
	case date1904:
		base = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		base = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC)
	default:
		base = time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	}
	// Not Add: 8,000 years do not fit a Duration.
	return base.AddDate(0, 0, int(days)).Add(time.Duration(seconds%86400) * time.Second).Format(time.DateTime), true
}
