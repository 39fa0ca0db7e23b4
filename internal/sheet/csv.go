package sheet

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func openTable(r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	enc, name, err := sniffEncoding(r, size)
	if err != nil {
		return nil, err
	}
	text := func() io.Reader {
		s := io.Reader(io.NewSectionReader(r, 0, size))
		if enc != nil {
			s = enc.NewDecoder().Reader(s)
		}
		return s
	}
	sample := make([]byte, 64<<10)
	n, err := io.ReadFull(text(), sample)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, damaged(err)
	}
	sample = bytes.TrimPrefix(sample[:n], []byte("\uFEFF"))
	if name == "GB18030" {
		// What is neither UTF-8 nor Chinese is no table: one letter in twenty at most
		// may be broken.
		if bad := bytes.Count(sample, []byte("\uFFFD")); bad*20 > utf8.RuneCount(sample) {
			return nil, notSheet()
		}
	}
	delimiter, skip := sniffDelimiter(sample)
	rd, err := newReader(lim, CSV, nil, nil, func(sheet string) (rowSource, error) {
		if sheet != "" {
			return nil, errNoSheet(sheet)
		}
		t := &table{r: bufio.NewReaderSize(text(), 64<<10), delimiter: delimiter, lim: lim}
		if bom, err := t.r.Peek(3); err == nil && string(bom) == "\uFEFF" {
			t.r.Discard(3)
		}
		if skip {
			if _, _, err := t.next(); err != nil { // the line sep=;
				return nil, err
			}
		}
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	rd.table = tableInfo{encoding: name, delimiter: delimiter}
	return rd, nil
}

// sniffEncoding reads the whole file once, because a list of Latin names may
// have its first Chinese letter on the last line. A nil encoding means UTF-8.
func sniffEncoding(r io.ReaderAt, size int64) (encoding.Encoding, string, error) {
	s := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)
	if bom, _ := s.Peek(2); len(bom) == 2 && (bom[0] == 0xFF && bom[1] == 0xFE || bom[0] == 0xFE && bom[1] == 0xFF) {
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "UTF-16", nil
	}
	good, bad := 0, 0 // letters of several bytes, and bytes that fit nowhere
	var rest []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf[len(rest):])
		b := buf[:len(rest)+n]
		for len(b) > 0 && (utf8.FullRune(b) || err != nil) {
			if b[0] < utf8.RuneSelf {
				b = b[1:]
				continue
			}
			c, w := utf8.DecodeRune(b)
			if c == utf8.RuneError && w == 1 {
				bad++
			} else {
				good++
			}
			b = b[w:]
		}
		rest = buf[:copy(buf, b)]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, "", err
		}
	}
	// A broken letter in a long UTF-8 file does not make it GB18030.
	if bad == 0 || good > 20*bad {
		return nil, "UTF-8", nil
	}
	return simplifiedchinese.GB18030, "GB18030", nil
}

// sniffDelimiter takes the separator that cuts the first lines into most cells
// evenly. skip says that the first line only names it (sep=;), as Excel writes.
func sniffDelimiter(sample []byte) (delimiter rune, skip bool) {
	if line, _, _ := bytes.Cut(sample, []byte("\n")); len(line) >= 5 && bytes.EqualFold(line[:4], []byte("sep=")) {
		if rest := bytes.TrimRight(line[4:], "\r"); len(rest) == 1 {
			return rune(rest[0]), true
		}
	}
	best, bestScore := ',', 0
	for _, d := range []rune{',', '\t', ';', '|'} {
		t := &table{r: bufio.NewReader(bytes.NewReader(sample)), delimiter: d, lim: Limits{}.withDefaults()}
		first, rows, even := 0, 0, 0
		for rows < 20 {
			row, _, err := t.next()
			if err != nil {
				break
			}
			if rows++; rows == 1 {
				first = len(row)
			}
			if len(row) == first {
				even++
			}
		}
		// The heading decides how many cells; the rows below, how far to trust it.
		if score := (first - 1) * (even*4/max(rows, 1) + 1); score > bestScore {
			best, bestScore = d, score
		}
	}
	return best, false
}

// table reads delimited text (RFC 4180) with patience: quotes inside a bare cell
// are ordinary, a line may end with CR, LF or both, and an unclosed quote ends
// at the limit of a cell instead of swallowing the file.
type table struct {
	r         *bufio.Reader
	delimiter rune
	lim       Limits
	number    int
	cell      []byte
	done      bool
}

func (t *table) Close() error { return nil }

func (t *table) next() ([]string, int, error) {
	for !t.done {
		row, blank, err := t.record()
		if err != nil {
			return nil, 0, err
		}
		if !blank {
			return row, t.number, nil
		}
	}
	return nil, 0, io.EOF
}

// record reads one line of cells; t.done is set when the text ends with it.
func (t *table) record() (row []string, blank bool, err error) {
	t.number++
	blank = true
	for {
		end, err := t.field()
		if err != nil {
			return nil, false, err
		}
		if utf8.RuneCount(t.cell) > t.lim.Cell {
			return nil, false, cellTooLong(t.number, t.lim.Cell)
		}
		if len(bytes.TrimSpace(t.cell)) > 0 {
			blank = false
			if len(row) >= t.lim.Columns {
				return nil, false, tooManyColumns(t.number, t.lim.Columns)
			}
		}
		if len(row) < t.lim.Columns {
			row = append(row, validText(t.cell))
		}
		if end {
			return row, blank, nil
		}
	}
}

// field reads one cell into t.cell and reports whether the line ends after it.
func (t *table) field() (end bool, err error) {
	t.cell = t.cell[:0]
	delim := byte(t.delimiter)
	quoted, start := false, true
	for {
		c, err := t.r.ReadByte()
		if err == io.EOF {
			t.done = true
			return true, nil
		}
		if err != nil {
			return false, damaged(err)
		}
		if quoted {
			if c != '"' {
				if len(t.cell) > t.lim.Cell*utf8.UTFMax {
					return false, cellTooLong(t.number, t.lim.Cell)
				}
				t.cell = append(t.cell, c)
				continue
			}
			if p, err := t.r.Peek(1); err == nil && p[0] == '"' {
				t.r.Discard(1)
				t.cell = append(t.cell, '"')
				continue
			}
			quoted = false
			continue
		}
		switch {
		case c == delim:
			return false, nil
		case c == '\n':
			return true, nil
		case c == '\r':
			if p, err := t.r.Peek(1); err == nil && p[0] == '\n' {
				t.r.Discard(1)
			}
			return true, nil
		case c == '"' && start:
			quoted, start = true, false
		default:
			start = false
			if len(t.cell) > t.lim.Cell*utf8.UTFMax {
				return false, cellTooLong(t.number, t.lim.Cell)
			}
			t.cell = append(t.cell, c)
		}
	}
}
