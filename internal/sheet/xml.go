package sheet

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// scanner is a pull parser for the plain XML inside workbooks. encoding/xml makes
// several allocations for each of the five tokens of a cell; this one makes none
// and is several times faster, which matters at a million cells. It knows
// elements, attributes, text and CDATA, ignores namespace prefixes, skips
// comments and processing instructions, and refuses document types, so that
// there are no entities to expand.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	tag      []byte // the inside of the present tag
	nameEnd  int
	text     []byte // text since the last tag, when asked for
	textMax  int    // 0 means: skip text
	textOver bool   // text was longer than textMax
	closing  bool   // the tag was self-closing; its end is due
	err      error
}

type tokenKind int

const (
	startTag tokenKind = iota
	endTag
)

const tagMax = 1 << 20

var errXML = errors.New("malformed XML")

func newScanner(r io.Reader) *scanner { return &scanner{r: r, buf: make([]byte, 64<<10)} }

func (s *scanner) fill() bool {
	if s.err != nil {
		return false
	}
	for range 100 {
		n, err := s.r.Read(s.buf)
		s.pos, s.end, s.err = 0, n, err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// failure is the error behind a failed fill: io.EOF inside the document is
// malformed.
func (s *scanner) failure() error {
	if s.err == io.EOF || s.err == nil {
		return damaged(errXML)
	}
	return s.err
}

// next moves to the next start or end tag; text between is gathered in s.text
// while s.textMax is not 0. At the end of the document the error is io.EOF.
func (s *scanner) next() (tokenKind, error) {
	if s.closing {
		s.closing = false
		s.text = s.text[:0]
		return endTag, nil
	}
	s.text, s.textOver = s.text[:0], false
	for {
		if s.pos >= s.end && !s.fill() {
			if s.err == io.EOF {
				return 0, io.EOF
			}
			return 0, s.err
		}
		i := bytes.IndexByte(s.buf[s.pos:s.end], '<')
		if i < 0 {
			s.gather(s.buf[s.pos:s.end])
			s.pos = s.end
			continue
		}
		s.gather(s.buf[s.pos : s.pos+i])
		s.pos += i + 1
		if s.pos >= s.end && !s.fill() {
			return 0, s.failure()
		}
		switch s.buf[s.pos] {
		case '?':
			if _, err := s.skipTo("?>", false); err != nil {
				return 0, err
			}
		case '!':
			if err := s.declaration(); err != nil {
				return 0, err
			}
		case '/':
			s.pos++
			if err := s.readTag(); err != nil {
				return 0, err
			}
			s.trimTag()
			s.decodeText()
			return endTag, nil
		default:
			if err := s.readTag(); err != nil {
				return 0, err
			}
			if n := len(s.tag); n > 0 && s.tag[n-1] == '/' {
				s.tag, s.closing = s.tag[:n-1], true
			}
			s.trimTag()
			s.decodeText()
			return startTag, nil
		}
	}
}

func (s *scanner) gather(b []byte) {
	if s.textMax == 0 || s.textOver {
		return
	}
	if len(s.text)+len(b) > s.textMax {
		s.textOver = true
		return
	}
	s.text = append(s.text, b...)
}

// readTag reads up to the closing bracket into s.tag. A bracket inside an
// attribute does not count.
func (s *scanner) readTag() error {
	s.tag = s.tag[:0]
	var quote byte
	for {
		if s.pos >= s.end && !s.fill() {
			return s.failure()
		}
		chunk := s.buf[s.pos:s.end]
		for i, c := range chunk {
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '>':
				s.tag = append(s.tag, chunk[:i]...)
				s.pos += i + 1
				if len(s.tag) > tagMax {
					return damaged(errXML)
				}
				return nil
			}
		}
		s.tag = append(s.tag, chunk...)
		s.pos = s.end
		if len(s.tag) > tagMax {
			return damaged(errXML)
		}
	}
}

// trimTag finds the name and drops its namespace prefix.
func (s *scanner) trimTag() {
	n := 0
	for n < len(s.tag) && s.tag[n] > ' ' {
		n++
	}
	if i := bytes.IndexByte(s.tag[:n], ':'); i >= 0 {
		s.tag, n = s.tag[i+1:], n-i-1
	}
	s.nameEnd = n
}

func (s *scanner) is(name string) bool { return string(s.tag[:s.nameEnd]) == name }

// attr returns the value of an attribute by its local name, or nil. It is valid
// until the next call of next.
func (s *scanner) attr(name string) []byte {
	rest := s.tag[s.nameEnd:]
	for {
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return nil
		}
		key := bytes.TrimSpace(rest[:eq])
		if i := bytes.LastIndexByte(key, ':'); i >= 0 && string(key[:i]) != "xmlns" {
			key = key[i+1:]
		}
		rest = bytes.TrimLeft(rest[eq+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return nil
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return nil
		}
		if string(key) == name {
			return rest[1 : 1+end]
		}
		rest = rest[end+2:]
	}
}

// attrText is attr with its entities decoded.
func (s *scanner) attrText(name string) string { return validText(unescape(bytes.Clone(s.attr(name)))) }

// declaration handles what begins with <!: a comment or CDATA. Anything else is
// refused, document types above all.
func (s *scanner) declaration() error {
	lead := make([]byte, 0, 8)
	for len(lead) < 3 || lead[1] == '[' && len(lead) < 8 {
		if s.pos >= s.end && !s.fill() {
			return s.failure()
		}
		lead = append(lead, s.buf[s.pos])
		s.pos++
	}
	switch {
	case string(lead) == "!--":
		_, err := s.skipTo("-->", false)
		return err
	case string(lead) == "![CDATA[":
		raw, err := s.skipTo("]]>", true)
		if err != nil {
			return err
		}
		// Text is decoded as a whole at its end; CDATA has no entities.
		s.gather(bytes.ReplaceAll(raw, []byte("&"), []byte("&amp;")))
		return nil
	}
	return damaged(errXML)
}

// skipTo skips to after mark, and returns what was skipped when keep is set.
func (s *scanner) skipTo(mark string, keep bool) (kept []byte, err error) {
	matched := 0
	for {
		if s.pos >= s.end && !s.fill() {
			return nil, s.failure()
		}
		c := s.buf[s.pos]
		s.pos++
		if keep && s.textMax > 0 && len(kept) <= s.textMax+len(mark) {
			kept = append(kept, c)
		}
		switch {
		case c == mark[matched]:
			if matched++; matched == len(mark) {
				return bytes.TrimSuffix(kept, []byte(mark)), nil
			}
		case mark[0] == mark[min(1, len(mark)-1)] && matched >= 2 && c == mark[0]:
			matched = 2 // ---> and ]]]>: the last two still count
		case c == mark[0]:
			matched = 1
		default:
			matched = 0
		}
	}
}

// decodeText replaces the entities of s.text in place.
func (s *scanner) decodeText() {
	if bytes.IndexByte(s.text, '&') >= 0 {
		s.text = unescape(s.text)
	}
}

// unescape decodes the five named entities and character references of b in
// place; what it does not know stays as it is.
func unescape(b []byte) []byte {
	w := bytes.IndexByte(b, '&')
	if w < 0 {
		return b
	}
	for r := w; r < len(b); {
		if b[r] != '&' {
			b[w] = b[r]
			w, r = w+1, r+1
			continue
		}
		semi := bytes.IndexByte(b[r:min(len(b), r+12)], ';')
		c := rune(-1)
		if semi > 1 {
			c = entity(string(b[r+1 : r+semi]))
		}
		if c < 0 {
			b[w] = b[r]
			w, r = w+1, r+1
			continue
		}
		w += utf8.EncodeRune(b[w:w+utf8.UTFMax], c) // a reference has at least four bytes
		r += semi + 1
	}
	return b[:w]
}

func entity(name string) rune {
	switch name {
	case "amp":
		return '&'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	if len(name) < 2 || name[0] != '#' {
		return -1
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n == 0 || n > utf8.MaxRune {
		return -1
	}
	return rune(n)
}
