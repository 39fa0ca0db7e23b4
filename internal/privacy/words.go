package privacy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/cnid"
)

// Blackened stands where a value was.
const Blackened = "■■■"

// Values are what a person is recognised by, in clear.
type Values struct {
	Names     []string `json:"names,omitempty"`
	Phones    []string `json:"phones,omitempty"`
	Emails    []string `json:"emails,omitempty"`
	Handles   []string `json:"handles,omitempty"` // WeChat and the like
	Addresses []string `json:"addresses,omitempty"`
	Others    []string `json:"others,omitempty"` // numbers of papers, plates …
}

func (v *Values) add(w Values) {
	v.Names, v.Phones, v.Emails = append(v.Names, w.Names...), append(v.Phones, w.Phones...), append(v.Emails, w.Emails...)
	v.Handles, v.Addresses, v.Others = append(v.Handles, w.Handles...), append(v.Addresses, w.Addresses...), append(v.Others, w.Others...)
	for _, l := range []*[]string{&v.Names, &v.Phones, &v.Emails, &v.Handles, &v.Addresses, &v.Others} {
		slices.Sort(*l)
		*l = slices.DeleteFunc(slices.Compact(*l), func(s string) bool { return strings.TrimSpace(s) == "" })
	}
}

// Empty reports whether there is nothing to look for.
func (v Values) Empty() bool {
	return len(v.Names)+len(v.Phones)+len(v.Emails)+len(v.Handles)+len(v.Addresses)+len(v.Others) == 0
}

// needle is one written form of a value.
type needle struct {
	runes  []rune
	digits bool // blanks, hyphens and the like may stand between
	bound  bool // nothing of the same kind may touch it
}

// words finds values in texts, in whatever way people write them: in full width,
// with blanks and hyphens, with +86 or 转, in capitals.
type words struct {
	by     map[rune][]needle // by first rune, the longest first
	shapes bool              // whatever looks like a telephone number, an address of mail or the number of an identity card, too
}

// wordsOf prepares to look for v; short forms are left out with strict, because
// they are words of their own in other people's records.
func wordsOf(v Values, strict bool) words {
	w := words{by: map[rune][]needle{}}
	for _, p := range v.Phones {
		w.phone(p)
	}
	for _, e := range v.Emails {
		w.text(cnid.NormalizeEmail(e), true)
	}
	for _, h := range v.Handles {
		if _, err := cnid.ParsePhone(h); err == nil {
			w.phone(h)
		}
		if !strict || utf8.RuneCountInString(h) >= 5 {
			w.text(h, true)
		}
	}
	for _, n := range v.Names {
		if !strict || distinct(n) {
			w.text(n, true)
		}
	}
	for _, a := range v.Addresses {
		if utf8.RuneCountInString(a) < 5 {
			continue
		}
		w.text(a, false)
		// Without province, city and district, as people write it.
		shown, _ := strings.CutSuffix(cnid.MaskAddress(a), "****")
		if tail, ok := strings.CutPrefix(string(plain(a)), string(plain(shown))); ok && utf8.RuneCountInString(tail) >= 5 {
			w.text(tail, false)
		}
	}
	for _, o := range v.Others {
		if d := onlyDigits(o); len(d) >= 6 && len(d) >= utf8.RuneCountInString(o)-2 {
			w.add(needle{runes: []rune(strings.ToLower(d)), digits: true, bound: true})
		}
		if utf8.RuneCountInString(o) >= 4 {
			w.text(o, true)
		}
	}
	for r, ns := range w.by {
		slices.SortStableFunc(ns, func(a, b needle) int { return len(b.runes) - len(a.runes) })
		w.by[r] = slices.CompactFunc(ns, func(a, b needle) bool { return slices.Equal(a.runes, b.runes) && a.digits == b.digits })
	}
	return w
}

// titles end what is no name but a form of address: 张总, 王先生.
var titles = []string{"先生", "女士", "小姐", "老师", "经理", "主任", "总", "工", "哥", "姐", "师傅", "店长", "老板"}

// distinct reports whether a name is so long and particular that it means this
// person wherever it stands.
func distinct(name string) bool {
	p := plain(name)
	for _, t := range titles {
		if strings.HasSuffix(string(p), t) && len(p) <= 4 {
			return false
		}
	}
	if len(p) > 0 && p[0] < utf8.RuneSelf {
		return len(p) >= 7
	}
	return len(p) >= 3
}

func (w *words) phone(p string) {
	n, err := cnid.ParsePhone(p)
	if err != nil || n.Kind == cnid.Short {
		if d := onlyDigits(p); len(d) >= 6 {
			w.add(needle{runes: []rune(d), digits: true, bound: true})
		}
		return
	}
	d := strings.TrimPrefix(n.E164, "+")
	add := func(s string, bound bool) {
		if n.Ext != "" {
			for _, sep := range []string{"转", "分机", "ext", "x", ""} { // the last: only signs between
				w.add(needle{runes: []rune(s + sep + n.Ext), digits: true, bound: true})
			}
		}
		w.add(needle{runes: []rune(s), digits: true, bound: bound})
	}
	add(d, false)
	add("00"+d, false)
	national, china := strings.CutPrefix(d, "86")
	if !china {
		if _, rest, ok := strings.Cut(n.String(), " "); ok {
			if local := onlyDigits(rest); len(local) >= 7 {
				add(local, true)
			}
		}
		return
	}
	if n.Kind == cnid.Mobile {
		add(national, false)
		add("0"+national, false)
		return
	}
	add(national, true)
	add("0"+national, false)
	if n.Kind == cnid.Landline {
		if _, local, ok := strings.Cut(n.String(), "-"); ok {
			local, _, _ = strings.Cut(local, "转")
			add(onlyDigits(local), true)
		}
	}
}

func (w *words) text(s string, bound bool) {
	if r := plain(s); len(r) > 0 {
		w.add(needle{runes: r, bound: bound})
	}
}

func (w *words) add(n needle) {
	if len(n.runes) > 0 {
		w.by[n.runes[0]] = append(w.by[n.runes[0]], n)
	}
}

// cell is a character of a text as it is compared, and where it stands.
type cell struct {
	r        rune
	from, to int
}

// fold writes a character the way values are compared: half width, small. 0 is a
// character that cannot be seen.
func fold(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	case r >= 0xff01 && r <= 0xff5e:
		return fold(r - 0xfee0)
	case r == 0x3000 || r == 0xa0:
		return ' '
	case r == '。' || r == '｡':
		return '.'
	case r >= 0x200b && r <= 0x200f, r == 0xfeff, r == 0xad, r >= 0xfe00 && r <= 0xfe0f, r == 0x2060:
		return 0
	case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0x30fc:
		return '-'
	}
	return unicode.ToLower(r)
}

// plain is s as it is compared, without blanks.
func plain(s string) []rune {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r = fold(r); r != 0 && !unicode.IsSpace(r) {
			out = append(out, r)
		}
	}
	return out
}

func cellsOf(s string) []cell {
	out := make([]cell, 0, len(s))
	for i, r := range s {
		if f := fold(r); f != 0 {
			out = append(out, cell{f, i, i + utf8.RuneLen(max(r, 0))})
			if r == utf8.RuneError { // a broken byte is one byte long
				_, n := utf8.DecodeRuneInString(s[i:])
				out[len(out)-1].to = i + n
			}
		}
	}
	return out
}

func digit(r rune) bool { return r >= '0' && r <= '9' }

// between reports whether r may stand between the digits of a number.
func between(r rune) bool { return r != '\n' && strings.ContainsRune(" -._()/·*,\t:#[]", r) }

// maxBetween signs may stand between two digits.
const maxBetween = 3

// match returns behind which cell n ends when it begins at cell i; -1: not here.
func (n needle) match(cs []cell, i int) int {
	if n.bound && i > 0 && touches(cs[i-1].r, cs[i].r) {
		return -1
	}
	k := i
	for j, r := range n.runes {
		if j > 0 {
			gap := 0
			for k < len(cs) && cs[k].r != r && gap < maxBetween && (n.digits && between(cs[k].r) || !n.digits && unicode.IsSpace(cs[k].r)) {
				k++
				gap++
			}
		}
		if k >= len(cs) || cs[k].r != r {
			return -1
		}
		k++
	}
	if n.bound && k < len(cs) && touches(cs[k-1].r, cs[k].r) {
		return -1
	}
	return k
}

// touches reports whether two neighbours belong to one word or number. Chinese
// words do not end anywhere.
func touches(a, b rune) bool {
	if digit(a) && digit(b) {
		return true
	}
	word := func(r rune) bool { return r < utf8.RuneSelf && (r >= 'a' && r <= 'z' || digit(r)) }
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' }
	return word(a) && word(b) && (letter(a) || letter(b))
}

// spans returns where values stand in s.
func (w words) spans(s string) (out [][2]int) {
	if len(w.by) == 0 || s == "" {
		return nil
	}
	cs := cellsOf(s)
	for i := 0; i < len(cs); i++ {
		end := -1
		for _, n := range w.by[cs[i].r] {
			end = max(end, n.match(cs, i))
		}
		if end > 0 {
			out = append(out, [2]int{cs[i].from, cs[end-1].to})
			i = end - 1
		}
	}
	return out
}

// in reports whether a value stands in s.
func (w words) in(s string) bool {
	if len(w.by) == 0 || s == "" {
		return false
	}
	if looksLikeJSON(s) {
		if _, n, ok := w.json([]byte(s)); ok {
			return n > 0
		}
	}
	return len(w.spans(s)) > 0
}

// Blacken takes the values out of s and reports how many there were. JSON stays
// JSON.
func (w words) blacken(s string) (string, int) {
	if len(w.by) == 0 && !w.shapes || s == "" {
		return s, 0
	}
	if looksLikeJSON(s) {
		if out, n, ok := w.json([]byte(s)); ok {
			if n == 0 {
				return s, 0
			}
			return string(out), n
		}
	}
	spans := w.spans(s)
	if len(spans) == 0 {
		if w.shapes {
			return blackenShapes(s)
		}
		return s, 0
	}
	var b strings.Builder
	at := 0
	for _, p := range spans {
		b.WriteString(s[at:p[0]])
		b.WriteString(Blackened)
		at = p[1]
	}
	b.WriteString(s[at:])
	if w.shapes {
		out, n := blackenShapes(b.String())
		return out, len(spans) + n
	}
	return b.String(), len(spans)
}

func looksLikeJSON(s string) bool {
	return len(s) > 1 && (s[0] == '{' || s[0] == '[' || s[0] == '"') && json.Valid([]byte(s))
}

// json blackens the texts, names and numbers in a document; ok is false when it
// cannot be read.
func (w words) json(raw []byte) (out []byte, n int, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, 0, false
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			s, k := w.blacken(v)
			n += k
			return s
		case json.Number:
			if len(v) >= 6 && len(w.spans(string(v))) > 0 {
				n++
				return 0
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k, x := range v {
				if b, c := w.blacken(k); c > 0 {
					delete(v, k)
					n += c
					k = b
				}
				v[k] = walk(x)
			}
		}
		return v
	}
	v = walk(v)
	if n == 0 {
		return raw, 0, true
	}
	b, err := json.Marshal(v)
	return b, n, err == nil
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r = fold(r); digit(r) {
			return r
		}
		return -1
	}, s)
}
