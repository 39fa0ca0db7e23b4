package eml

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// named are the charsets that the indexes of the web do not know, or know as
// something narrower than what mails hold: "gb2312" is written over GBK, and GBK
// over GB18030.
var named = map[string]encoding.Encoding{
	"gb2312": simplifiedchinese.GB18030, "gb_2312-80": simplifiedchinese.GB18030, "gb2312-80": simplifiedchinese.GB18030, "gbk": simplifiedchinese.GB18030,
	"gb18030": simplifiedchinese.GB18030, "gb-18030": simplifiedchinese.GB18030, "x-gbk": simplifiedchinese.GB18030, "cp936": simplifiedchinese.GB18030,
	"ms936": simplifiedchinese.GB18030, "windows-936": simplifiedchinese.GB18030, "euc-cn": simplifiedchinese.GB18030, "x-euc-cn": simplifiedchinese.GB18030,
	"chinese": simplifiedchinese.GB18030, "gb": simplifiedchinese.GB18030, "csgb2312": simplifiedchinese.GB18030, "gb_18030": simplifiedchinese.GB18030,
	"hz-gb-2312": simplifiedchinese.HZGB2312, "hz": simplifiedchinese.HZGB2312,
	"big5": traditionalchinese.Big5, "big5-hkscs": traditionalchinese.Big5, "cp950": traditionalchinese.Big5, "x-big5": traditionalchinese.Big5, "csbig5": traditionalchinese.Big5,
	"iso-2022-jp": japanese.ISO2022JP, "iso-2022-jp-1": japanese.ISO2022JP, "iso-2022-jp-2": japanese.ISO2022JP, "csiso2022jp": japanese.ISO2022JP,
	"ks_c_5601-1987": korean.EUCKR, "ks_c_5601": korean.EUCKR, "cp949": korean.EUCKR, "uhc": korean.EUCKR, "euc-kr": korean.EUCKR,
	"sjis": japanese.ShiftJIS, "x-sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "ms_kanji": japanese.ShiftJIS,
	"utf-16": unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "utf-16be": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"ansi": charmap.Windows1252, "latin1": charmap.Windows1252, "latin-1": charmap.Windows1252, "iso8859-1": charmap.Windows1252, "cp1252": charmap.Windows1252, "cp850": charmap.CodePage850, "ibm850": charmap.CodePage850,
	"macintosh": charmap.Macintosh, "x-mac-roman": charmap.Macintosh,
}

// plain are labels that say nothing about bytes above 127.
var plain = map[string]bool{"": true, "us-ascii": true, "ascii": true, "ansi_x3.4-1968": true, "7bit": true, "8bit": true, "unknown-8bit": true, "x-unknown": true, "unknown": true, "default": true,
	"us-ascii//translit": true, "none": true, "binary": true}

var utf8Names = map[string]bool{"utf-8": true, "utf8": true, "utf_8": true, "unicode-1-1-utf-8": true, "utf-8mb4": true, "cp65001": true, "65001": true}

func lookup(label string) encoding.Encoding {
	if e := named[label]; e != nil {
		return e
	}
	if e, err := htmlindex.Get(label); err == nil {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(label); err == nil && e != nil {
		return e
	}
	if rest, ok := strings.CutPrefix(label, "cp"); ok {
		if e, err := htmlindex.Get("windows-" + rest); err == nil {
			return e
		}
	}
	return nil
}

func normal(label string) string {
	label = strings.ToLower(strings.Trim(label, " \t\r\n\"'="))
	if i := strings.IndexAny(label, "*;, "); i >= 0 { // RFC 2231 adds the language after a star
		label = label[:i]
	}
	return label
}

// Decode turns b, said to be in the charset of that label, into UTF-8. Labels are
// believed only as far as the bytes agree.
func Decode(label string, b []byte) string {
	label = normal(label)
	if bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}) && utf8.Valid(b) {
		return string(b[3:])
	}
	switch {
	case label == "utf-7" || label == "unicode-1-1-utf-7":
		return utf7(b)
	case label == "iso-2022-kr" || label == "csiso2022kr":
		return shifted(b, korean.EUCKR)
	case label == "iso-2022-cn" || label == "iso-2022-cn-ext":
		return shifted(b, simplifiedchinese.GB18030)
	}
	if label != "iso-2022-jp" && ascii(b) {
		if escaped(label) || plain[label] {
			switch { // 7-bit charsets without their label
			case bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@")):
				return decode(japanese.ISO2022JP, b)
			case bytes.Contains(b, []byte("\x1b$)C")):
				return shifted(b, korean.EUCKR)
			case bytes.Contains(b, []byte("\x1b$)A")):
				return shifted(b, simplifiedchinese.GB18030)
			}
		}
		if enc := lookup(label); enc == nil || !stateful(label) {
			return string(b)
		}
	}
	if utf8Names[label] || plain[label] {
		return guess(b)
	}
	enc := lookup(label)
	if enc == nil {
		return guess(b)
	}
	if !wide(label) && utf8.Valid(b) && long(b) {
		return string(b) // labelled with the charset of the sender's machine, written in UTF-8
	}
	if enc == charmap.Windows1252 || label == "iso-8859-1" || label == "windows-1252" {
		if hanzi(b) {
			enc = simplifiedchinese.GB18030
		}
	}
	return decode(enc, b)
}

// wide are charsets whose bytes mean nothing to UTF-8.
func wide(label string) bool {
	return strings.HasPrefix(label, "utf-16") || strings.HasPrefix(label, "utf-32")
}

func stateful(label string) bool {
	return strings.HasPrefix(label, "hz") || strings.HasPrefix(label, "iso-2022") || label == "csiso2022jp" || wide(label)
}

func escaped(label string) bool { return strings.HasPrefix(label, "gb") || utf8Names[label] }

func decode(enc encoding.Encoding, b []byte) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "�")
	}
	return string(out)
}

// guess reads what carries no label that helps: UTF-8 if it is, else GB18030 if
// it can be, else the Latin letters of Windows.
func guess(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	if i := broken(b); i >= 0 { // UTF-8 that was cut in the middle of a letter, or has one bad byte
		return strings.ToValidUTF8(string(b), "�")
	}
	if s := decode(simplifiedchinese.GB18030, b); !strings.ContainsRune(s, '�') && hanzi(b) {
		return s
	}
	if s := decode(traditionalchinese.Big5, b); !strings.ContainsRune(s, '�') && pairs(b) {
		return s
	}
	if s := decode(simplifiedchinese.GB18030, b); pairs(b) && strings.Count(s, "�")*20 < len([]rune(s)) {
		return s
	}
	return decode(charmap.Windows1252, b)
}

// broken returns the place of the first bad byte of what is UTF-8 otherwise, -1
// when it is something else.
func broken(b []byte) int {
	good, bad, first := 0, 0, -1
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			if bad++; first < 0 {
				first = i
			}
		case n > 2:
			good++
		}
		i += n
	}
	if bad > 0 && good >= 4*bad {
		return first
	}
	return -1
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// long reports whether b has a UTF-8 letter of three bytes or more: two can be a
// pair of GBK.
func long(b []byte) bool {
	for i := 0; i < len(b); {
		_, n := utf8.DecodeRune(b[i:])
		if n >= 3 {
			return true
		}
		i += n
	}
	return false
}

// hanzi reports whether the bytes above 127 are the pairs of GBK: written
// Latin letters hardly ever stand in pairs, and never all of them.
func hanzi(b []byte) bool {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c < 0x80 {
			continue
		}
		if c < 0x81 || c == 0xFF || i+1 >= len(b) {
			return false
		}
		d := b[i+1]
		switch {
		case d >= 0xA1 && d <= 0xFE && c >= 0xA1: // GB 2312
			n += 2
		case d >= 0x40 && d != 0x7F && d <= 0xFE && c <= 0xFE && d >= 0x80:
			n++
		case d >= 0x30 && d <= 0x39 && i+3 < len(b) && b[i+2] >= 0x81: // four bytes
			n += 2
			i += 2
		case d >= 0x40 && d < 0x7F:
			n++
		default:
			return false
		}
		i++
	}
	return n >= 4
}

// pairs reports whether most bytes above 127 have a neighbour above 127.
func pairs(b []byte) bool {
	high, alone := 0, 0
	for i, c := range b {
		if c < 0x80 {
			continue
		}
		high++
		if (i == 0 || b[i-1] < 0x80) && (i+1 == len(b) || b[i+1] < 0x40) {
			alone++
		}
	}
	return high >= 4 && alone*5 < high
}

// shifted reads ISO-2022-KR and -CN: letters between SO and SI are those of set
// without their eighth bit (RFC 1557, RFC 1922).
func shifted(b []byte, set encoding.Encoding) string {
	var out []byte
	in := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == 0x0E:
			in = true
		case c == 0x0F:
			in = false
		case c == 0x1B: // a designation: ESC $ ) X
			for i++; i < len(b) && (b[i] == '$' || b[i] == ')' || b[i] == '*' || b[i] == '+'); i++ {
			}
		case c == '\n':
			in = false
			out = append(out, c)
		case in && c > 0x20 && c < 0x7F:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	return decode(set, out)
}

// utf7 reads RFC 2152.
func utf7(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] != '+' {
			out.WriteByte(b[i])
			continue
		}
		j := i + 1
		for j < len(b) && strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", b[j]) >= 0 {
			j++
		}
		if j == i+1 {
			if j < len(b) && b[j] == '-' {
				j++
			}
			out.WriteByte('+')
		} else {
			raw, _ := base64.RawStdEncoding.DecodeString(string(b[i+1 : j]))
			u := make([]uint16, len(raw)/2)
			for k := range u {
				u[k] = uint16(raw[2*k])<<8 | uint16(raw[2*k+1])
			}
			out.WriteString(string(utf16.Decode(u)))
			if j < len(b) && b[j] == '-' {
				j++
			}
		}
		i = j - 1
	}
	return strings.ToValidUTF8(out.String(), "�")
}
