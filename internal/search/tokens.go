// Package search finds tickets and customers by words. It brings its own
// tokeniser, the same for both engines, because neither knows where a Chinese
// word ends: a run of Han characters is kept as its overlapping pairs, so that
// every word of two characters and more is found wherever it stands.
//
// What always holds: the index knows ids and tokens only, never a text, and
// nothing that is stored encrypted is ever put in. It answers with candidates;
// whether the reader may see them is decided by the room that asks.
package search

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	minSuffix = 4  // digits: people read out the last four of a number
	maxSuffix = 24 // digits: beyond this only the whole number is kept
	maxWord   = 64 // characters of one word; PostgreSQL refuses lexemes over 2 KB
	// maxTerms bounds the work a pasted page of text can cause; what is left
	// out makes the result wider, never wrong (see Verify).
	maxTerms = 24
)

// Tokens returns what is kept of text, each token once:
//
//	屏幕碎了     -> 屏幕 幕碎 碎了 了
//	iPhone15    -> iphone15 iphone 15
//	SO-20261119 -> so 20261119 0261119 261119 61119 1119
//
// The lone last character lets a one-character query find it by prefix.
func Tokens(text string) []string {
	t := tokens{seen: make(map[string]struct{}, len(text)/3)}
	runs(text, func(han bool, run []rune) {
		if !han {
			t.word(run)
			return
		}
		for i := range run {
			t.add(encode(run[i:min(i+2, len(run))]))
		}
	})
	return t.list
}

type tokens struct {
	list []string
	seen map[string]struct{}
}

func (t *tokens) add(s string) {
	if _, twice := t.seen[s]; !twice {
		t.seen[s] = struct{}{}
		t.list = append(t.list, s)
	}
}

func (t *tokens) word(run []rune) {
	parts := split(run)
	if len(parts) > 1 {
		t.add(encode(run[:min(len(run), maxWord)]))
	}
	for _, p := range parts {
		t.add(encode(p[:min(len(p), maxWord)]))
		if !isDigit(p[0]) {
			continue
		}
		for i := max(1, len(p)-maxSuffix); i <= len(p)-minSuffix; i++ {
			t.add(encode(p[i:]))
		}
	}
}

// Term is one condition of a query; all terms of a query must hold.
type Term struct {
	Token  string
	Prefix bool // Token is the beginning of what is looked for
}

// pair reports whether t is two Han characters as they are, which the table of
// pairs holds; 13312 to 40908 in its function are the same characters.
func (t Term) pair() bool {
	r := []rune(t.Token)
	return !t.Prefix && len(r) == 2 && r[0] >= 0x3400 && r[0] <= 0x9fcc
}

// Query returns what a text must contain to match the words a person typed;
// none when they hold nothing to look for.
//
// A single Han character, a word of two letters and more and a number of five
// digits and more match as prefixes, so that results come while typing. A
// number of up to four digits matches exactly: as a prefix, the last four of
// one order number would match a date inside every other.
func Query(text string) []Term {
	var out []Term
	seen := map[Term]bool{}
	add := func(run []rune, prefix bool) {
		t := Term{encode(run[:min(len(run), maxWord)]), prefix || len(run) > maxWord}
		if !seen[t] && len(out) < maxTerms {
			seen[t] = true
			out = append(out, t)
		}
	}
	runs(text, func(han bool, run []rune) {
		switch {
		case han && len(run) == 1:
			add(run, true)
		case han:
			for i := range len(run) - 1 {
				add(run[i:i+2], false)
			}
		default:
			parts := split(run)
			for _, p := range parts {
				// h3c, x1000: parts of one character are too common to look for.
				if len(parts) > 1 && len(p) < 2 {
					add(run, true)
					return
				}
			}
			for i, p := range parts {
				if isDigit(p[0]) {
					add(p, len(p) > minSuffix || i > 0 && len(p) == minSuffix)
				} else {
					add(p, len(p) > 1)
				}
			}
		}
	})
	return out
}

// Verify reports whether text contains every blank-separated piece of query,
// disregarding case, width and punctuation. The index matches the pairs of
// 闭环客服 or the halves of iPhone15屏幕 anywhere in a text; where that
// matters, the fetched text is checked with this.
func Verify(text, query string) bool {
	hay := squash(text)
	for _, piece := range strings.Fields(norm.NFKC.String(query)) {
		if !strings.Contains(hay, squash(piece)) {
			return false
		}
	}
	return true
}

func squash(text string) string {
	var b strings.Builder
	runs(text, func(_ bool, run []rune) { b.WriteString(string(run)) })
	return b.String()
}

// runs calls f for each run of Han characters and each run of letters and
// digits, in normal form and lower case. Everything else separates: blanks,
// punctuation, emoji, broken UTF-8. The slice is reused.
func runs(text string, f func(han bool, run []rune)) {
	var run []rune
	han := false
	flush := func() {
		if len(run) > 0 {
			f(han, run)
			run = run[:0]
		}
	}
	for _, r := range norm.NFKC.String(text) {
		switch {
		case isHan(r):
			if !han {
				flush()
			}
			han = true
		case r != unicode.ReplacementChar && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) && len(run) > 0 && !han && !isVariation(r)):
			if han {
				flush()
			}
			han = false
			r = unicode.ToLower(r)
		case isVariation(r) || unicode.IsMark(r):
			continue // another shape of the same character, or a sign above it
		default:
			flush()
			continue
		}
		run = append(run, r)
	}
	flush()
}

// isHan reports whether r is written without blanks between words: Chinese
// characters, and Japanese and Korean ones, which have the same need.
func isHan(r rune) bool {
	if r < 0x1100 {
		return false
	}
	return r >= 0x4e00 && r <= 0x9fff || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

func isVariation(r rune) bool {
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef || r == 0x200d
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// split cuts a run of letters and digits where one becomes the other.
func split(run []rune) [][]rune {
	var parts [][]rune
	from := 0
	for i := 1; i < len(run); i++ {
		if isDigit(run[i]) != isDigit(run[i-1]) {
			parts = append(parts, run[from:i])
			from = i
		}
	}
	return append(parts, run[from:])
}

// encode writes a token in characters that FTS5's unicode61 tokenizer keeps
// together: its tables end with Unicode 6.1 and take younger characters, and
// all from the third plane on, for separators. Whatever is not an ASCII letter
// or digit or a Han character of that time becomes hexadecimal behind a
// private-use mark, which unicode61 keeps and no text of ours contains.
func encode(run []rune) string {
	var b strings.Builder
	b.Grow(3 * len(run))
	for _, r := range run {
		if r >= 'a' && r <= 'z' || isDigit(r) || r >= 0x4e00 && r <= 0x9fcc || r >= 0x3400 && r <= 0x4db5 {
			b.WriteRune(r)
			continue
		}
		b.WriteRune(mark)
		const hex = "0123456789abcdef"
		for shift := 20; shift >= 0; shift -= 4 {
			b.WriteByte(hex[r>>shift&15])
		}
	}
	return b.String()
}

const mark = '\ue000'
