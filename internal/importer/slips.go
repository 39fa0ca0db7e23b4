package importer

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"bihuan/internal/cnid"
)

// scientific is a number a spreadsheet has shortened: its last digits are lost.
var scientific = regexp.MustCompile(`^\d(?:\.\d+)?[eE][+＋]?\d{1,2}$`)

// totals begin the rows people sum their tables up with.
var totals = regexp.MustCompile(`^(?:合计|总计|小计|共计|总数|汇总|制表人|制表日期|填表人|审核人|total|subtotal|grand total)\s*[:：]?`)

// total reports whether the row sums the table up, or signs it: its first words
// say so, and it names no customer and no number.
func (r *rowReader) total() bool {
	first := ""
	filled := 0
	for _, c := range r.row {
		if c = clean(c); c != "" {
			if filled++; first == "" {
				first = strings.ToLower(c)
			}
		}
	}
	return filled > 0 && totals.MatchString(first) && r.get(fPhone) == "" && r.get(fEmail) == "" && r.get(fWechat) == ""
}

func looksLikePhone(s string) bool {
	s = clean(s)
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return unicode.Is(unicode.Han, c) }) {
		return false
	}
	pieces := cnid.SplitPhones(s)
	if len(pieces) == 0 {
		return false
	}
	for _, p := range pieces {
		if n, err := cnid.ParsePhone(p); err != nil || n.Kind == cnid.Short {
			return false
		}
	}
	return true
}

// looksLikeName is for words without a digit that hold a Chinese or Latin letter.
func looksLikeName(s string) bool {
	s = clean(s)
	return s != "" && !strings.ContainsAny(s, "@＠0123456789０１２３４５６７８９") && strings.ContainsFunc(s, unicode.IsLetter)
}

// unswap puts the cells of a row right that stand in each other's column: a
// telephone number where a name belongs, and the name where the number does. The
// row is marked.
func (r *rowReader) unswap() {
	at := func(i int) string {
		if i < 0 || i >= len(r.row) {
			return ""
		}
		return r.row[i]
	}
	phone, free := -1, -1 // a column of numbers that holds a name, one that holds nothing
	for i, f := range r.cells.layout.Fields {
		switch {
		case f != fPhone:
		case looksLikePhone(at(i)):
			return
		case looksLikeName(at(i)) && phone < 0:
			phone = i
		case clean(at(i)) == "" && free < 0:
			free = i
		}
	}
	for _, f := range []Field{fName, fContact} {
		i := slices.Index(r.cells.layout.Fields, f)
		if i < 0 || !looksLikePhone(at(i)) {
			continue
		}
		to := phone
		if to < 0 {
			if to = free; f == fName || to < 0 {
				continue // then the name is missing, which is said
			}
		}
		r.row = slices.Clone(r.row)
		for len(r.row) <= to {
			r.row = append(r.row, "")
		}
		r.row[i], r.row[to] = r.row[to], r.row[i]
		r.warn("importer.warn.swapped", r.label(f), r.label(fPhone))
		return
	}
}
