package sheet

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// mergedDown is a stretch of merged cells that goes over several rows: only its
// first cell holds the value, and the rows below mean it too.
type mergedDown struct {
	column   int
	from, to int // rows, from 1
	value    string
}

// Limits of merged cells: nobody merges so many by hand.
const (
	mostMerged  = 20000
	mergedBytes = 4 << 20
)

// mergedCells reads which cells of a sheet are merged over rows. They stand behind
// the rows, so the part is run through once without looking at it. A sheet that
// cannot be read so far has none: reading its rows says why.
func (w *workbook) mergedCells(f *zip.File) ([]mergedDown, error) {
	if m, known := w.merged[f]; known {
		return m, nil
	}
	b := &budget{left: w.budget.left, ratio: w.budget.ratio} // looking ahead costs nothing
	rc, err := b.part(f)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	const end = "sheetData>"
	buf := make([]byte, 256<<10)
	keep := 0
	var tail []byte
	for found := false; ; {
		n, err := rc.Read(buf[keep:])
		part := buf[:keep+n]
		if found {
			tail = append(tail, buf[:n]...)
		} else if i := endTagOf(part, end); i >= 0 {
			found = true
			tail = append(tail, part[i:]...)
			keep = 0
		} else {
			keep = copy(buf, part[max(0, len(part)-64):]) // a tag may go over two readings
		}
		if len(tail) > mergedBytes {
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return nil, err
			}
			break
		}
	}
	var out []mergedDown
	for len(out) < mostMerged {
		i := bytes.Index(tail, []byte("mergeCell "))
		if i < 0 {
			break
		}
		tail = tail[i+len("mergeCell "):]
		j := bytes.IndexByte(tail, '>')
		if j < 0 {
			break
		}
		if _, ref, ok := bytes.Cut(tail[:j], []byte(`ref="`)); ok {
			ref, _, _ = bytes.Cut(ref, []byte(`"`))
			a, z, ok := bytes.Cut(ref, []byte(":"))
			from, to := rowOf(a), rowOf(z)
			if c := column(a); ok && c >= 0 && from > 0 && to > from {
				out = append(out, mergedDown{column: c, from: from, to: to})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b mergedDown) int { return a.from - b.from })
	w.merged[f] = out
	return out, nil
}

// endTagOf returns the place behind the end tag that ends like this, with a prefix
// or without; -1 when there is none.
func endTagOf(b []byte, end string) int {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(end))
		if i < 0 {
			return -1
		}
		i += at
		if j := bytes.LastIndexByte(b[max(0, i-48):i], '<'); j >= 0 && b[max(0, i-48)+j+1:][0] == '/' {
			return i + len(end)
		}
		at = i + len(end)
	}
}

// rowOf returns the row of a cell reference: 7 of B7; 0 for what is none.
func rowOf(ref []byte) int {
	i := bytes.IndexAny(ref, "0123456789")
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(ref[i:]))
	if err != nil || n > maxRows {
		return 0
	}
	return n
}

// fill gives the row the values of the merged cells it is part of, and remembers
// those that begin in it. A row without anything of its own stays blank.
func (ws *worksheet) fill(row []string) []string {
	for len(ws.merged) > 0 && ws.merged[0].from <= ws.number {
		if m := ws.merged[0]; m.from == ws.number && m.column < len(row) && row[m.column] != "" {
			m.value = row[m.column]
			ws.open = append(ws.open, m)
		}
		ws.merged = ws.merged[1:]
	}
	ws.open = slices.DeleteFunc(ws.open, func(m mergedDown) bool { return m.to < ws.number })
	for _, m := range ws.open {
		for len(row) <= m.column {
			row = append(row, "")
		}
		if row[m.column] == "" {
			row[m.column] = m.value
		}
	}
	return row
}
