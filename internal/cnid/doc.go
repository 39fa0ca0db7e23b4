// Package cnid knows the identifiers and names customers in China are known by:
// the unified social credit code of a company, the number of an identity card,
// telephone numbers as people and switchboards write them, e-mail addresses,
// company and personal names, their pinyin, and the national classification of
// industries.
//
// Three things always hold. Whatever was typed in full width, with blanks or
// invisible characters is understood ([NormalizeUSCC] and its like give the form
// to store and compare). A check says which rule was broken, so that the form
// can say what to mend; rules that reality outgrows (number ranges, region
// codes) warn instead of refusing. A mask never shows a whole value, however
// short it is.
//
// Nothing here stores, logs or translates; the rooms do that.
package cnid

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// clean returns s in half width (NFKC) without the invisible characters that
// come along when text is copied from chats and web pages, trimmed.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, norm.NFKC.String(s)))
}

// isDash reports whether r is one of the strokes people type for a hyphen.
func isDash(r rune) bool {
	switch r {
	case '-', '‐', '‑', '‒', '–', '—', '―', '−', 'ー', '─', '﹣':
		return true
	}
	return false
}

func digitsOnly(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
