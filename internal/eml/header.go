package eml

import (
	"bytes"
	"encoding/base64"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// field is one line of a header as it was sent, unfolded.
type field struct {
	name  string // in lower case
	value []byte
}

// Header is the header of a mail or of a part, in its order.
type Header []field

// Raw returns the first value of name as it was sent, "" when there is none.
func (h Header) Raw(name string) string {
	for _, f := range h {
		if f.name == name {
			return string(f.value)
		}
	}
	return ""
}

// Has reports whether there is a field of that name.
func (h Header) Has(name string) bool {
	for _, f := range h {
		if f.name == name {
			return true
		}
	}
	return false
}

// Text returns the first value of name as people read it.
func (h Header) Text(name string) string { return Words(h.Raw(name)) }

// Names returns the names of all fields, in their order.
func (h Header) Names() (out []string) {
	for _, f := range h {
		out = append(out, f.name)
	}
	return out
}

const (
	maxHeader = 256 << 10
	maxFields = 1000
	maxValue  = 64 << 10
)

// splitHeader parts a mail or a part into its header and its body. A line that
// is no field ends the header, as if the empty line before it were missing.
func splitHeader(b []byte) (h Header, body []byte, note string) {
	if bytes.HasPrefix(b, []byte("From ")) || bytes.HasPrefix(b, []byte(">From ")) { // of an mbox
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	start := len(b)
	for len(b) > 0 {
		line, rest := cutLine(b)
		switch {
		case len(line) == 0:
			return h, rest, note
		case (line[0] == ' ' || line[0] == '\t') && len(h) > 0:
			f := &h[len(h)-1]
			if len(f.value)+len(line) < maxValue {
				f.value = append(f.value, line...)
			}
		case isField(line):
			i := bytes.IndexByte(line, ':')
			if len(h) < maxFields {
				h = append(h, field{strings.ToLower(string(bytes.TrimSpace(line[:i]))), append([]byte(nil), bytes.TrimLeft(line[i+1:], " \t")...)})
			}
		case len(bytes.TrimSpace(line)) == 0: // blanks only: the empty line of a careless program
			return h, rest, note
		default:
			return h, b, "header"
		}
		b = rest
		if start-len(b) > maxHeader {
			return h, b, "header"
		}
	}
	return h, b, note
}

func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.TrimSuffix(b, []byte{'\r'}), nil
	}
	return bytes.TrimRight(b[:i], "\r"), b[i+1:]
}

func isField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || i > 200 {
		return false
	}
	for _, c := range bytes.TrimRight(line[:i], " \t") {
		if c <= ' ' || c >= 0x7F {
			return false
		}
	}
	return true
}

var word = regexp.MustCompile(`=\?([^?\s]+)\?([bBqQ])\?((?s:.*?))\?=`)

// Words decodes a header value: encoded words (RFC 2047) where they may stand
// and where clients put them all the same, and raw bytes that are no ASCII. What
// one letter was cut into in two words is put together again.
func Words(s string) string {
	if !strings.Contains(s, "=?") {
		return strings.TrimSpace(guess([]byte(s)))
	}
	var out strings.Builder
	last, pending, pendingSet := 0, []byte(nil), ""
	flush := func() {
		if pendingSet != "" {
			out.WriteString(Decode(pendingSet, pending))
		}
		pending, pendingSet = nil, ""
	}
	s = strings.NewReplacer("\r", "", "\n", "").Replace(s)
	for _, m := range word.FindAllStringSubmatchIndex(s, 200) {
		between := s[last:m[0]]
		set := normal(s[m[2]:m[3]])
		if last == 0 || strings.TrimSpace(between) != "" {
			flush()
			out.WriteString(guess([]byte(between)))
		}
		raw := unword(s[m[4]:m[5]], s[m[6]:m[7]])
		if pendingSet != set {
			flush()
		}
		pending, pendingSet = append(pending, raw...), set
		last = m[1]
	}
	flush()
	out.WriteString(guess([]byte(s[last:])))
	return strings.TrimSpace(out.String())
}

func unword(enc, s string) []byte {
	if enc == "b" || enc == "B" {
		return unbase64([]byte(s))
	}
	return unquote([]byte(strings.ReplaceAll(s, "_", " ")), true)
}

// Address is somebody named in a mail.
type Address struct{ Name, Addr string }

// String is the address as it is shown.
func (a Address) String() string {
	if a.Name == "" || a.Name == a.Addr {
		return a.Addr
	}
	return a.Name + " <" + a.Addr + ">"
}

const maxAddresses = 200

// Addresses reads a list of addresses; groups are opened, comments are names of
// those who have no other. What is no address is left out.
func Addresses(s string) (out []Address) {
	for _, item := range splitList(s) {
		if a, ok := address(item); ok {
			out = append(out, a)
		}
		if len(out) == maxAddresses {
			break
		}
	}
	return out
}

// splitList parts a list at its commas and semicolons, outside of quotes,
// brackets and comments, and leaves the names of groups out.
func splitList(s string) (out []string) {
	var b strings.Builder
	quoted, angle, depth := false, false, 0
	flush := func() {
		if t := strings.TrimSpace(b.String()); t != "" {
			out = append(out, t)
		}
		b.Reset()
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (quoted || depth > 0):
			b.WriteByte(c)
			i++
			b.WriteByte(s[i])
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case (c == ',' || c == ';') && !angle:
			flush()
			continue
		case c == ':' && !angle && !strings.Contains(b.String(), "@"):
			b.Reset() // the name of a group
			continue
		}
		b.WriteByte(c)
	}
	flush()
	return out
}

// uncomment takes comments, nested ones too, out of an address and returns the
// last of them.
func uncomment(s string) (rest, comment string) {
	var out, in strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			if depth++; depth == 1 {
				in.Reset()
				continue
			}
		case c == ')' && depth > 0 && !quoted:
			if depth--; depth == 0 {
				comment = in.String()
				continue
			}
		}
		if depth > 0 {
			in.WriteByte(c)
		} else {
			out.WriteByte(c)
		}
	}
	if depth > 0 {
		return s, ""
	}
	return strings.TrimSpace(out.String()), comment
}

func address(s string) (a Address, ok bool) {
	s, comment := uncomment(strings.TrimSpace(s))
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		in := s[i+1:]
		if j := strings.IndexByte(in, '>'); j >= 0 {
			in = in[:j]
		}
		a.Addr = strings.Trim(strings.TrimSpace(in), "'\"")
		if j := strings.LastIndexByte(a.Addr, ':'); strings.HasPrefix(a.Addr, "@") && j > 0 { // a route, RFC 822
			a.Addr = a.Addr[j+1:]
		}
		a.Name = name(s[:i])
		if a.Name == "" {
			a.Name = name(comment)
		}
	} else {
		a.Name, a.Addr = name(comment), s
	}
	if strings.Contains(a.Addr, "=?") {
		a.Addr = Words(a.Addr)
		if x, ok := address(a.Addr); ok && strings.ContainsAny(a.Addr, "< ") {
			x.Name = strings.TrimSpace(a.Name + " " + x.Name)
			return x, true
		}
	}
	a.Addr = strings.TrimSpace(strings.Trim(a.Addr, "'\""))
	if strings.ContainsAny(a.Addr, " \t") && strings.Contains(a.Addr, "@") {
		for _, w := range strings.Fields(a.Addr) {
			if strings.Contains(w, "@") {
				rest := strings.TrimSpace(strings.Replace(a.Addr, w, "", 1))
				if a.Name == "" {
					a.Name = name(rest)
				}
				a.Addr = w
				break
			}
		}
	}
	a.Addr = strings.TrimFunc(a.Addr, func(r rune) bool { return r < 0x20 || r == 0x7F })
	return a, a.Addr != "" && len(a.Addr) <= 320 && !strings.ContainsAny(a.Addr, " \t\r\n<>")
}

// name tidies a display name: quotes, escapes, encoded words.
func name(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		} else if s[i] == '"' {
			continue
		}
		b.WriteByte(s[i])
	}
	s = Words(b.String())
	if len(s) > 1 && (s[0] == '"' && s[len(s)-1] == '"' || s[0] == '\'' && s[len(s)-1] == '\'') { // quoted once more inside
		s = s[1 : len(s)-1]
	}
	return OneLine(s)
}

// OneLine makes s fit for a line of a page: no control characters, no marks that
// turn the direction of text around, no runs of blanks.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0xFEFF:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

var id = regexp.MustCompile(`<[^<>\s]{1,900}>`)

// ids returns the Message-IDs in s, without their brackets.
func ids(s string) (out []string) {
	for _, m := range id.FindAllString(s, 200) {
		out = append(out, m[1:len(m)-1])
	}
	if len(out) == 0 {
		for _, w := range strings.Fields(s) {
			if strings.Contains(w, "@") && len(w) < 900 {
				out = append(out, strings.Trim(w, "<>\""))
			}
		}
	}
	return out
}

var dayName = regexp.MustCompile(`^\s*\p{L}+\.?,?\s+`)

// when reads a date leniently; the zero time when it is none.
func when(s string) time.Time {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '('); i > 0 {
		s = strings.TrimSpace(s[:i])
	}
	if t, err := mail.ParseDate(s); err == nil {
		return t.UTC()
	}
	bare := dayName.ReplaceAllString(s, "")
	for _, x := range []string{s, bare} {
		for _, layout := range []string{time.RFC1123Z, time.RFC1123, "2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05", "2 Jan 06 15:04:05 -0700", "2 Jan 2006 15:04 -0700",
			time.RFC3339, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006/01/02 15:04:05", time.ANSIC, time.UnixDate} {
			if t, err := time.Parse(layout, x); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

// Params are the parameters of a Content-Type or Content-Disposition.
type Params map[string]string

// value parts "text/plain; charset=…" into its value, in lower case, and its
// parameters: RFC 2231 in all its forms, encoded words where they must not be, raw
// bytes, blanks without quotes.
func value(s string) (v string, p Params) {
	p = Params{}
	parts := splitParams(s)
	if len(parts) == 0 {
		return "", p
	}
	v = strings.ToLower(strings.TrimSpace(parts[0]))
	if i := strings.IndexAny(v, " \t"); i >= 0 {
		v = v[:i]
	}
	type piece struct {
		raw      []byte
		extended bool
	}
	long := map[string]map[int]piece{}
	for i, part := range parts[1:] {
		if i > 100 {
			break
		}
		k, x, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		k, x = strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(x)
		quoted := false
		if len(x) > 0 && x[0] == '"' {
			quoted = true
			x = unescape(strings.TrimSuffix(x[1:], `"`))
		}
		if base, rest, ok := strings.Cut(k, "*"); ok {
			if long[base] == nil {
				long[base] = map[int]piece{}
			}
			ext := strings.HasSuffix(k, "*")
			n, err := strconv.Atoi(strings.TrimSuffix(rest, "*"))
			if err != nil || n < 0 || n > 99 {
				n = 0
			}
			if _, there := long[base][n]; !there {
				long[base][n] = piece{[]byte(x), ext}
			}
			continue
		}
		if _, there := p[k]; there {
			continue
		}
		if !quoted && k != "filename" && k != "name" {
			x, _, _ = strings.Cut(x, " ")
		}
		p[k] = Words(x)
	}
	for base, pieces := range long {
		var all []byte
		set := ""
		for n := 0; n < 100; n++ {
			x, ok := pieces[n]
			if !ok {
				if n == 0 {
					continue // some begin with 1
				}
				break
			}
			if x.extended {
				if set == "" {
					if cs, rest, ok := bytes.Cut(x.raw, []byte("'")); ok {
						if _, text, ok := bytes.Cut(rest, []byte("'")); ok {
							set = normal(string(cs))
							x.raw = text
						}
					}
				}
				x.raw = unpercent(x.raw)
			}
			all = append(all, x.raw...)
		}
		s := Decode(set, all)
		if strings.Contains(s, "=?") {
			s = Words(s)
		}
		if s != "" {
			p[base] = s
		}
	}
	return v, p
}

func splitParams(s string) (out []string) {
	quoted, last := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			out = append(out, s[last:i])
			last = i + 1
		}
	}
	if last <= len(s) {
		out = append(out, s[last:])
	}
	return out
}

// unescape takes the backslashes before quotes and backslashes out: before
// anything else they belong to a path of Windows.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		if i := strings.IndexByte(s, '"'); i >= 0 {
			s = s[:i]
		}
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		} else if s[i] == '"' {
			break
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unpercent(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// unbase64 reads what can be read: blanks and strange bytes are skipped, padding
// in the middle begins anew, a torn end is kept as far as it goes.
func unbase64(b []byte) []byte {
	out := make([]byte, 0, len(b)*3/4)
	var q [4]byte
	n := 0
	emit := func() {
		if n < 2 {
			n = 0
			return
		}
		for i := n; i < 4; i++ {
			q[i] = 'A'
		}
		var d [3]byte
		if _, err := base64.StdEncoding.Decode(d[:], q[:]); err == nil {
			out = append(out, d[:n-1]...)
		}
		n = 0
	}
	for _, c := range b {
		switch {
		case c == '=':
			emit()
			continue
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			q[n] = c
			if n++; n == 4 {
				emit()
			}
		}
	}
	emit()
	return out
}

// unquote reads quoted-printable; what is no escape stays as it is.
func unquote(b []byte, header bool) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '=' {
			out = append(out, c)
			continue
		}
		if i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		if header {
			out = append(out, c)
			continue
		}
		j := i + 1 // blanks before the end of a soft line
		for j < len(b) && (b[j] == ' ' || b[j] == '\t') {
			j++
		}
		switch {
		case j >= len(b):
			i = j
		case b[j] == '\n':
			i = j
		case b[j] == '\r':
			if j+1 < len(b) && b[j+1] == '\n' {
				j++
			}
			i = j
		default:
			out = append(out, c)
		}
	}
	return out
}

// unuu reads the blocks of uuencode in b and returns their content and the name
// of the first.
func unuu(b []byte) (out []byte, name string) {
	in := false
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		if !in {
			if f := bytes.SplitN(line, []byte(" "), 3); len(f) == 3 && string(f[0]) == "begin" && len(f[1]) >= 3 {
				in, name = true, string(f[2])
			}
			continue
		}
		if len(line) == 0 {
			continue
		}
		if string(line) == "end" {
			break
		}
		n := int(line[0]-32) & 63
		for i := 1; i < len(line) && n > 0; i += 4 {
			var q [4]byte
			for k := range q {
				if i+k < len(line) {
					q[k] = (line[i+k] - 32) & 63
				}
			}
			d := []byte{q[0]<<2 | q[1]>>4, q[1]<<4 | q[2]>>2, q[2]<<6 | q[3]}
			m := min(3, n)
			out = append(out, d[:m]...)
			n -= m
		}
	}
	return out, name
}
