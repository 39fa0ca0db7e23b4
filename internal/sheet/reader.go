package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Reader reads one sheet of a file row by row. It is for one goroutine.
type Reader struct {
	lim    Limits
	rows   rowSource
	format Format
	sheets []string
	sheet  string
	table  tableInfo
	count  int
	open   func(sheet string) (rowSource, error)
	err    error // the end, once reached
}

// rowSource yields rows that are not blank, each with its number as a
// spreadsheet program shows it.
type rowSource interface {
	next() (row []string, number int, err error)
	io.Closer
}

type tableInfo struct {
	encoding  string
	delimiter rune
}

// Open looks at the content of r, which is size bytes long, and makes a Reader
// of its first sheet that has a row. name is the file's name, for the log only.
func Open(name string, r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	rd, err := open(r, size, lim.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("sheet: %q: %w", name, err)
	}
	return rd, nil
}

func open(r io.ReaderAt, size int64, lim Limits) (*Reader, error) {
	if size == 0 {
		return nil, empty()
	}
	head := make([]byte, min(size, 4096))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")):
		return nil, compoundFile(r, size, head)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return openWorkbook(r, size, lim)
	case !looksLikeText(head):
		return nil, notSheet()
	}
	if t := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n"); bytes.HasPrefix(t, []byte("<")) {
		lower := bytes.ToLower(t)
		for _, tag := range []string{"<html", "<!doctype", "<table", "<?xml", "<meta", "<head", "<workbook", "<style", "<div", "<body"} {
			if bytes.HasPrefix(lower, []byte(tag)) {
				return nil, webPage()
			}
		}
	}
	return openTable(r, size, lim)
}

// looksLikeText refuses pictures, PDF and the like before they are read as a
// table of rubbish.
func looksLikeText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xFF\xFE")) || bytes.HasPrefix(head, []byte("\xFE\xFF")) {
		return true // UTF-16
	}
	for _, magic := range []string{"%PDF", "{\\rtf", "Rar!", "7z\xBC\xAF", "\x1F\x8B", "\x89PNG", "\xFF\xD8\xFF", "GIF8", "BM", "MZ", "\x7FELF"} {
		if bytes.HasPrefix(head, []byte(magic)) && (len(magic) > 2 || bytes.IndexByte(head, 0) >= 0) {
			return false
		}
	}
	control := 0
	for _, b := range head {
		if b == 0 {
			return false
		}
		if b < ' ' && b != '\t' && b != '\r' && b != '\n' && b != '\f' {
			control++
		}
	}
	return control*50 <= len(head)
}

// compoundFile says which of the formats in Microsoft's compound file container
// this is: a workbook with a password, or an old .xls, or something else (.doc).
func compoundFile(r io.ReaderAt, size int64, head []byte) error {
	seen := head
	if len(head) >= 512 {
		// The directory of streams may lie anywhere; the header says where.
		shift := binary.LittleEndian.Uint16(head[30:])
		sector := binary.LittleEndian.Uint32(head[48:])
		if shift == 9 || shift == 12 {
			dir := make([]byte, 16<<10)
			if n, _ := r.ReadAt(dir, (int64(sector)+1)<<shift); n > 0 {
				seen = append(bytes.Clone(head), dir[:n]...)
			}
		}
	}
	has := func(stream string) bool {
		var wide []byte
		for _, c := range stream {
			wide = append(wide, byte(c), 0)
		}
		return bytes.Contains(seen, wide)
	}
	switch {
	case has("EncryptedPackage"), has("EncryptionInfo"):
		return encrypted()
	case has("WordDocument"), has("PowerPoint Document"), has("__nameid_version"):
		return notSheet()
	}
	return oldExcel()
}

// Format returns what the file turned out to be.
func (r *Reader) Format() Format { return r.format }

// Encoding returns the encoding of a text table: UTF-8, UTF-16 or GB18030; "" for
// a workbook.
func (r *Reader) Encoding() string { return r.table.encoding }

// Delimiter returns what separates the cells of a text table; 0 for a workbook.
func (r *Reader) Delimiter() rune { return r.table.delimiter }

// Sheets returns the names of all sheets in order, hidden ones included; none
// for a text table.
func (r *Reader) Sheets() []string { return append([]string(nil), r.sheets...) }

// Sheet returns the name of the sheet that is read; "" for a text table.
func (r *Reader) Sheet() string { return r.sheet }

// Use starts at the first row of the named sheet, also of the present one again.
// A text table has one sheet, named "".
func (r *Reader) Use(sheet string) error {
	rows, err := r.open(sheet)
	if err != nil {
		return err
	}
	r.rows.Close()
	r.rows, r.sheet, r.count, r.err = rows, sheet, 0, nil
	return nil
}

// Next returns the next row that is not blank and its number, counted from 1 as
// Excel shows it. Cells after the last filled one may be missing. After the last
// row the error is io.EOF; after any error reading does not go on.
func (r *Reader) Next() (row []string, number int, err error) {
	if r.err != nil {
		return nil, 0, r.err
	}
	row, number, err = r.rows.next()
	if err == nil && r.count >= r.lim.Rows {
		err = tooManyRows(r.lim.Rows)
	}
	if err != nil {
		r.err = err
		return nil, 0, err
	}
	r.count++
	return row, number, nil
}

// Close releases what reading holds; the file itself belongs to the caller.
func (r *Reader) Close() error {
	r.err = io.EOF
	return r.rows.Close()
}

// budget counts what comes out of the parts of a workbook. It trusts no size
// written in the file.
type budget struct {
	left  int64
	ratio int64
}

// part opens a part of the workbook for reading within the budget.
func (b *budget) part(f *zip.File) (io.ReadCloser, error) {
	if f.UncompressedSize64 > uint64(b.left) {
		return nil, tooLarge()
	}
	if f.Flags&1 != 0 {
		return nil, encrypted()
	}
	rc, err := f.Open()
	if err != nil {
		return nil, damaged(err)
	}
	return &meter{ReadCloser: rc, budget: b, packed: int64(f.CompressedSize64)}, nil
}

type meter struct {
	io.ReadCloser
	budget *budget
	packed int64
	read   int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.read += int64(n)
	m.budget.left -= int64(n)
	if m.budget.left < 0 || m.read > ratioFrom && m.read > m.packed*m.budget.ratio {
		return 0, tooLarge()
	}
	if err != nil && err != io.EOF {
		err = damaged(err)
	}
	return n, err
}

// checkDirectory looks at the end of a zip file before archive/zip reads all
// entries into memory: a workbook has dozens of parts, not a million.
func checkDirectory(r io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 66<<10))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return fmt.Errorf("read: %w", err)
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail)-i < 22 {
		return damaged(errors.New("no zip directory"))
	}
	end := size - int64(len(tail)) + int64(i)
	length, offset := int64(binary.LittleEndian.Uint32(tail[i+12:])), int64(binary.LittleEndian.Uint32(tail[i+16:]))
	if offset == 0xFFFFFFFF || length == 0xFFFFFFFF {
		return tooLarge() // zip64: more than 4 GiB, or pretends to
	}
	const most = 2 << 20
	if offset > end {
		return damaged(errors.New("zip directory beyond its end"))
	}
	if length > most || end-offset > most+length {
		return tooLarge()
	}
	return nil
}

func newReader(lim Limits, format Format, sheets []string, hidden map[string]bool, openSheet func(string) (rowSource, error)) (*Reader, error) {
	r := &Reader{lim: lim, format: format, sheets: sheets, open: openSheet}
	// The first with rows; one nobody sees only if there is no other.
	var candidates []string
	for _, unseen := range []bool{false, true} {
		for _, s := range sheets {
			if hidden[s] == unseen {
				candidates = append(candidates, s)
			}
		}
	}
	if format == CSV {
		candidates = []string{""}
	}
	for _, s := range candidates {
		rows, err := openSheet(s)
		if err != nil {
			return nil, err
		}
		_, _, err = rows.next()
		rows.Close()
		if err == io.EOF {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.rows, err = openSheet(s); err != nil {
			return nil, err
		}
		r.sheet = s
		return r, nil
	}
	return nil, empty()
}

// validText replaces what is not UTF-8, so that no broken text reaches the
// database.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
