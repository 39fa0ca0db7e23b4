package eml

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// tnef is what is in a winmail.dat (MS-OXTNEF).
type tnef struct {
	subject, text, html string
	files               []File
}

const (
	tnefSignature   = 0x223E9F78
	tnefSubject     = 0x8004
	tnefBody        = 0x800C
	tnefMessageProp = 0x9003
	tnefAttachment  = 0x9005
	tnefRendering   = 0x9002 // begins an attachment
	tnefTitle       = 0x8010
	tnefData        = 0x800F
	tnefCodepage    = 0x9007
)

// readTNEF reads a winmail.dat as far as it goes; ok reports whether it is one.
func readTNEF(b []byte) (t tnef, ok bool) {
	if len(b) < 6 || binary.LittleEndian.Uint32(b) != tnefSignature {
		return t, false
	}
	b = b[6:]
	set := "windows-1252"
	for n := 0; len(b) >= 9 && n < 2000; n++ {
		name := int(binary.LittleEndian.Uint16(b[1:]))
		size := int(binary.LittleEndian.Uint32(b[5:]))
		if size < 0 || size > len(b)-9 {
			break
		}
		data := b[9 : 9+size]
		b = b[min(len(b), 9+size+2):]
		last := func() *File {
			if len(t.files) == 0 {
				t.files = append(t.files, File{})
			}
			return &t.files[len(t.files)-1]
		}
		switch name {
		case tnefCodepage:
			if len(data) >= 4 {
				switch binary.LittleEndian.Uint32(data) {
				case 936:
					set = "gbk"
				case 950:
					set = "big5"
				case 932:
					set = "shift_jis"
				case 949:
					set = "euc-kr"
				case 65001:
					set = "utf-8"
				case 1251:
					set = "windows-1251"
				}
			}
		case tnefSubject:
			t.subject = Decode(set, trimZero(data))
		case tnefBody:
			t.text = Decode(set, trimZero(data))
		case tnefRendering:
			if len(t.files) < maxParts {
				t.files = append(t.files, File{})
			}
		case tnefTitle:
			if f := last(); f.Name == "" {
				f.Name = Decode(set, trimZero(data))
			}
		case tnefData:
			last().Data = data
		case tnefMessageProp:
			for _, p := range properties(data, set) {
				switch p.id {
				case 0x1000:
					if p.text != "" {
						t.text = p.text
					}
				case 0x1013:
					t.html = p.text
					if p.text == "" {
						t.html = Decode(firstOf(metaCharset(p.data), set), p.data)
					}
				case 0x0037:
					t.subject = p.text
				case 0x1009:
					if rtf, ok := unpack(p.data); ok && t.text == "" {
						t.text = rtfText(rtf, set)
					}
				}
			}
		case tnefAttachment:
			for _, p := range properties(data, set) {
				switch p.id {
				case 0x3707:
					last().Name = p.text
				case 0x3704, 0x3001:
					if last().Name == "" {
						last().Name = p.text
					}
				case 0x370E:
					last().Type = strings.ToLower(p.text)
				case 0x3712:
					last().ContentID = strings.Trim(p.text, "<>")
				case 0x3701:
					if len(last().Data) == 0 {
						d := p.data
						if len(d) > 16 && p.kind == 0x0D {
							d = d[16:] // the identifier of its interface
						}
						last().Data = d
					}
				}
			}
		}
	}
	return t, true
}

func trimZero(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

type property struct {
	id, kind uint16
	text     string
	data     []byte
}

// properties reads a list of MAPI properties; what follows a broken one is left.
func properties(b []byte, set string) (out []property) {
	u32 := func() (int, bool) {
		if len(b) < 4 {
			return 0, false
		}
		n := int(binary.LittleEndian.Uint32(b))
		b = b[4:]
		return n, n >= 0
	}
	skip := func(n int) bool {
		if n < 0 || n > len(b) {
			return false
		}
		b = b[n:]
		return true
	}
	count, ok := u32()
	for i := 0; ok && i < count && i < 5000 && len(b) >= 4; i++ {
		p := property{kind: binary.LittleEndian.Uint16(b), id: binary.LittleEndian.Uint16(b[2:])}
		b = b[4:]
		if p.id >= 0x8000 { // named
			if !skip(16) {
				return out
			}
			kind, ok := u32()
			if !ok {
				return out
			}
			if kind == 0 {
				if !skip(4) {
					return out
				}
			} else if n, ok := u32(); !ok || !skip((n+3)&^3) {
				return out
			}
		}
		values := 1
		multi := p.kind&0x1000 != 0
		p.kind &^= 0x1000
		variable := p.kind == 0x1E || p.kind == 0x1F || p.kind == 0x0D || p.kind == 0x102
		if multi || variable {
			var ok bool
			if values, ok = u32(); !ok || values > 10000 {
				return out
			}
		}
		for v := 0; v < values; v++ {
			size := 4
			switch p.kind {
			case 0x05, 0x06, 0x07, 0x14, 0x40:
				size = 8
			case 0x48:
				size = 16
			}
			if variable {
				var ok bool
				if size, ok = u32(); !ok {
					return out
				}
			}
			if size > len(b) {
				return out
			}
			if v == 0 {
				p.data = b[:size]
			}
			if !skip(min((size+3)&^3, len(b))) {
				return out
			}
		}
		switch p.kind {
		case 0x1E:
			p.text = Decode(set, trimZero(p.data))
		case 0x1F:
			u := make([]uint16, len(p.data)/2)
			for k := range u {
				u[k] = binary.LittleEndian.Uint16(p.data[2*k:])
			}
			p.text = strings.TrimRight(string(utf16.Decode(u)), "\x00")
		}
		out = append(out, p)
	}
	return out
}

const rtfDictionary = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// unpack undoes the compression of RTF in mails (MS-OXRTFCP).
func unpack(b []byte) (string, bool) {
	if len(b) < 16 {
		return "", false
	}
	size := int(binary.LittleEndian.Uint32(b[4:]))
	kind := binary.LittleEndian.Uint32(b[8:])
	if size < 0 || size > 8<<20 {
		return "", false
	}
	in := b[16:]
	if kind == 0x414C454D { // not compressed
		return string(in[:min(size, len(in))]), true
	}
	if kind != 0x75465A4C {
		return "", false
	}
	var dict [4096]byte
	copy(dict[:], rtfDictionary)
	at := len(rtfDictionary)
	out := make([]byte, 0, size)
	put := func(c byte) {
		out = append(out, c)
		dict[at] = c
		at = (at + 1) & 4095
	}
	for len(in) > 0 && len(out) < size {
		flags := in[0]
		in = in[1:]
		for bit := 0; bit < 8 && len(in) > 0 && len(out) < size; bit++ {
			if flags>>bit&1 == 0 {
				put(in[0])
				in = in[1:]
				continue
			}
			if len(in) < 2 {
				return string(out), true
			}
			ref := int(in[0])<<8 | int(in[1])
			in = in[2:]
			from, n := ref>>4, ref&15+2
			if from == at {
				return string(out), true
			}
			for k := 0; k < n; k++ {
				put(dict[(from+k)&4095])
			}
		}
	}
	return string(out), true
}

// rtfText takes the words out of RTF: enough to read what was written.
func rtfText(s, set string) string {
	var out strings.Builder
	var raw []byte
	flush := func() {
		if len(raw) > 0 {
			out.WriteString(Decode(set, raw))
			raw = nil
		}
	}
	depth, hidden := 0, 0 // hidden: depth of a group without words, 0 for none
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '{':
			depth++
			if hidden == 0 && (strings.HasPrefix(s[i+1:], `\*`) || strings.HasPrefix(s[i+1:], `\fonttbl`) || strings.HasPrefix(s[i+1:], `\colortbl`) || strings.HasPrefix(s[i+1:], `\stylesheet`) || strings.HasPrefix(s[i+1:], `\info`)) {
				hidden = depth
			}
			continue
		case '}':
			if hidden == depth {
				hidden = 0
			}
			depth--
			continue
		case '\r', '\n':
			continue
		case '\\':
			if i+1 >= len(s) {
				continue
			}
			switch n := s[i+1]; {
			case n == '\'' && i+3 < len(s):
				if hidden == 0 {
					raw = append(raw, unpercent([]byte("%"+s[i+2:i+4]))...)
				}
				i += 3
			case n >= 'a' && n <= 'z' || n >= 'A' && n <= 'Z':
				j := i + 1
				for j < len(s) && (s[j] >= 'a' && s[j] <= 'z' || s[j] >= 'A' && s[j] <= 'Z') {
					j++
				}
				w := s[i+1 : j]
				k := j
				if k < len(s) && s[k] == '-' {
					k++
				}
				num := 0
				for k < len(s) && s[k] >= '0' && s[k] <= '9' {
					num = (num*10 + int(s[k]-'0')) & 0xFFFFFF
					k++
				}
				if strings.HasPrefix(s[j:k], "-") {
					num = -num
				}
				if k < len(s) && s[k] == ' ' {
					k++
				}
				i = k - 1
				if hidden > 0 {
					continue
				}
				switch w {
				case "par", "line":
					flush()
					out.WriteByte('\n')
				case "tab":
					flush()
					out.WriteByte('\t')
				case "u":
					flush()
					out.WriteRune(rune(uint16(num)))
					if i+1 < len(s) && s[i+1] == '?' {
						i++
					}
				}
			default:
				if hidden == 0 && (n == '\\' || n == '{' || n == '}') {
					raw = append(raw, n)
				}
				i++
			}
			continue
		}
		if hidden == 0 {
			raw = append(raw, c)
		}
	}
	flush()
	return strings.TrimSpace(out.String())
}
