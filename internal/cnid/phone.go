package cnid

import (
	"errors"
	"regexp"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// PhoneKind says what a number reaches.
type PhoneKind string

const (
	Mobile   PhoneKind = "mobile"
	Landline PhoneKind = "landline"
	Shared   PhoneKind = "shared"   // 400: caller and company share the cost
	TollFree PhoneKind = "tollfree" // 800
	Short    PhoneKind = "short"    // 10086, 95588, 12315: no international form
	Foreign  PhoneKind = "foreign"  // every other numbering plan, Hong Kong, Macau and Taiwan included
)

// Phone is one telephone number.
type Phone struct {
	Raw  string // as it was entered, trimmed
	E164 string // +8613812345678; empty for a short number
	Ext  string // digits of the extension, or empty
	Kind PhoneKind
	// Warning reports that the number has a plausible shape but is not in an
	// allotted range, or had to be completed (a leading 0 lost in a spreadsheet).
	// Ranges grow: it may be kept.
	Warning bool

	digits string // of a short number
}

// Errors of ParsePhone.
var (
	ErrPhone         = errors.New("not a telephone number")
	ErrPhoneAreaCode = errors.New("a landline number without its area code")
)

var (
	phoneLabel = regexp.MustCompile(`^(?i:tel|phone|mobile|cell|fax|手机号码|手机号|手机|联系电话|电话号码|电话|座机|固话|热线|传真|分机)\s*[::.]*\s*`)
	phoneExt   = regexp.MustCompile(`(?i)[\s-]*(?:转|轉|分机号|分机|内线|extension|ext\.?|;ext=|x|#|,)[\s::#-]*(?:分机)?[\s::-]*(\d{1,6})\)?$`)
	floatTail  = regexp.MustCompile(`^(\d{5,})\.0+$`)

	// A landline written in groups: area, number, and perhaps an extension as a
	// third group, which the library would take for part of the number.
	landlineGroups = regexp.MustCompile(`^(?:(?:\+|00)?86[\s-]*)?\(?(?:86[\s-]+)?(0?(?:10|2\d|[3-9]\d{2}))\)?([\s-]*)(\d{7,8}|\d{3,4}[\s-]\d{4})(?:-(\d{1,6}))?$`)
	serviceGroups  = regexp.MustCompile(`^(?:(?:\+|00)?86[\s-]*)?\(?([48]00)\)?[\s-]*(\d{3,4})[\s-]*(\d{3,4})(?:-(\d{1,6}))?$`)

	mobileDigits   = regexp.MustCompile(`^1[3-9]\d{9}$`)
	serviceDigits  = regexp.MustCompile(`^[48]00\d{7}$`)
	landlineDigits = regexp.MustCompile(`^0(?:(?:10|2\d)\d{8}|[3-9]\d{2}\d{7,8})$`)
	shortDigits    = regexp.MustCompile(`^(?:1\d{2}|1[0-2]\d{3}|1[0-2]\d{2}|95\d{3,4}|9510\d{4}|96\d{3,4}|106\d{5,17})$`)
	carrierPrefix  = regexp.MustCompile(`^(?:17951|17911|12593)`)
)

// ParsePhone understands one number the way people in China, spreadsheets and
// switchboards write it: full width, any grouping, extension after 转, # or a
// third group, +86, 0086, 86, a carrier prefix (17951…), a 0 before a mobile.
// Several numbers in one cell are for [SplitPhones] first. The error is
// ErrPhone, or ErrPhoneAreaCode when only an area code is missing.
func ParsePhone(raw string) (Phone, error) {
	p := Phone{Raw: strings.TrimSpace(raw)}
	s := strings.Map(func(r rune) rune {
		switch {
		case isDash(r):
			return '-'
		case unicode.IsSpace(r):
			return ' '
		case r == '【' || r == '[':
			return '('
		case r == '】' || r == ']':
			return ')'
		}
		return r
	}, clean(raw))
	s = strings.TrimPrefix(s, "tel:")
	s = phoneLabel.ReplaceAllString(s, "")
	s = floatTail.ReplaceAllString(s, "$1")
	if len(s) > 60 {
		return p, ErrPhone
	}
	if m := phoneExt.FindStringSubmatchIndex(s); m != nil && m[0] > 0 {
		p.Ext, s = s[m[2]:m[3]], strings.TrimRight(s[:m[0]], " (-")
	}

	if m := serviceGroups.FindStringSubmatch(s); m != nil && len(m[2])+len(m[3]) == 7 {
		return p.service(m[1]+m[2]+m[3], m[4])
	}
	digits, international, ok := dialled(s)
	if !ok {
		return p, ErrPhone
	}
	if international && !strings.HasPrefix(digits, "86") {
		return p.foreign(digits)
	}
	// The mobile comes before the landline in groups: 138-1234-5678 has three
	// groups, too.
	national := national(digits, international)
	if mobileDigits.MatchString(national) {
		return p.chinese(Mobile, national)
	}
	if m := landlineGroups.FindStringSubmatch(s); m != nil && (m[2] != "" || m[4] != "" || strings.HasPrefix(m[1], "0") || international) {
		n := onlyDigits(m[3])
		if !landlineDigits.MatchString("0" + strings.TrimPrefix(m[1], "0") + n) {
			return p, ErrPhone
		}
		if m[4] != "" && p.Ext == "" {
			p.Ext = m[4]
		}
		p.Warning = !strings.HasPrefix(m[1], "0") && !international
		return p.chinese(Landline, strings.TrimPrefix(m[1], "0")+n)
	}
	switch {
	case serviceDigits.MatchString(national):
		return p.service(national, "")
	case landlineDigits.MatchString(national):
		return p.chinese(Landline, national[1:])
	case international && landlineDigits.MatchString("0"+national):
		return p.chinese(Landline, national)
	case shortDigits.MatchString(digits) && !international:
		p.Kind, p.digits = Short, digits
		return p, nil
	case !international && (len(national) == 7 || len(national) == 8) && national[0] >= '2':
		return p, ErrPhoneAreaCode
	case !international && landlineDigits.MatchString("0"+national) && valid("+86"+national):
		p.Warning = true // a spreadsheet ate the 0 of the area code
		return p.chinese(Landline, national)
	}
	return p, ErrPhone
}

// dialled returns the digits of s, and whether they begin with a country code.
// ok is false when s holds anything but digits and the usual separators.
func dialled(s string) (digits string, international, ok bool) {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && b.Len() == 0 && !international:
			international = true
		case r == '(' || r == ')' || r == ' ' || r == '-' || r == '.' && i > 0 || r == '/':
		default:
			return "", false, false
		}
	}
	digits = b.String()
	if !international && strings.HasPrefix(digits, "00") {
		digits, international = digits[2:], true
	}
	return digits, international, len(digits) >= 3 && len(digits) <= 24
}

// national strips country code, carrier prefix and the trunk 0 before a mobile.
func national(d string, international bool) string {
	if len(d) > 11 && !international {
		if rest := carrierPrefix.ReplaceAllString(d, ""); rest != d && len(rest) >= 10 {
			d = rest
		}
	}
	switch {
	case international:
		d = strings.TrimPrefix(d, "86")
	case len(d) >= 12 && len(d) <= 14 && strings.HasPrefix(d, "86"):
		rest := d[2:]
		switch {
		case mobileDigits.MatchString(strings.TrimPrefix(rest, "0")), landlineDigits.MatchString(rest), serviceDigits.MatchString(rest):
			d = rest
		case landlineDigits.MatchString("0" + rest):
			d = "0" + rest
		}
	}
	if len(d) == 12 && mobileDigits.MatchString(d[1:]) && d[0] == '0' {
		d = d[1:]
	}
	return d
}

func (p Phone) chinese(k PhoneKind, national string) (Phone, error) {
	p.Kind, p.E164 = k, "+86"+national
	p.Warning = p.Warning || !valid(p.E164)
	return p, nil
}

func (p Phone) service(digits, ext string) (Phone, error) {
	p.Kind, p.E164 = Shared, "+86"+digits
	if digits[0] == '8' {
		p.Kind = TollFree
	}
	if p.Ext == "" {
		p.Ext = ext
	}
	p.Warning = !valid(p.E164)
	return p, nil
}

func (p Phone) foreign(digits string) (Phone, error) {
	n, err := phonenumbers.Parse("+"+digits, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return p, ErrPhone
	}
	p.Kind, p.E164 = Foreign, phonenumbers.Format(n, phonenumbers.E164)
	p.Warning = !phonenumbers.IsValidNumber(n)
	return p, nil
}

func valid(e164 string) bool {
	n, err := phonenumbers.Parse(e164, "")
	return err == nil && phonenumbers.IsValidNumber(n)
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// Key is the form numbers are compared and indexed by: E.164, or the digits of
// a short number. The extension is not part of it.
func (p Phone) Key() string {
	if p.E164 != "" {
		return p.E164
	}
	return p.digits
}

// String is the number as it is read in China: 13812345678, 0755-86013388,
// 400-820-8820, +852 2123 4567, with 转8001 for an extension.
func (p Phone) String() string {
	s := p.national()
	if p.Ext != "" {
		s += "转" + p.Ext
	}
	return s
}

func (p Phone) national() string {
	n := strings.TrimPrefix(p.E164, "+86")
	switch {
	case p.Kind == Mobile:
		return n
	case p.Kind == Landline:
		a := areaLen(n)
		return "0" + n[:a] + "-" + n[a:]
	case (p.Kind == Shared || p.Kind == TollFree) && len(n) == 10:
		return n[:3] + "-" + n[3:6] + "-" + n[6:]
	case p.Kind == Foreign:
		if num, err := phonenumbers.Parse(p.E164, ""); err == nil {
			return phonenumbers.Format(num, phonenumbers.INTERNATIONAL)
		}
		return p.E164
	case p.digits != "":
		return p.digits
	}
	return p.Raw
}

// areaLen returns the digits of the area code at the start of a Chinese landline
// number without its trunk 0.
func areaLen(n string) int {
	if strings.HasPrefix(n, "10") || strings.HasPrefix(n, "2") {
		return 2
	}
	return 3
}

// LastFour returns the last four digits, by which masked numbers are found.
// It is empty for numbers too short to be personal.
func LastFour(p Phone) string { return lastDigits(p, 4) }

// LastEight returns the last eight digits: what is left to compare when a
// switchboard reports a caller in a form nobody foresaw. Such a match offers
// candidates; it never links by itself.
func LastEight(p Phone) string { return lastDigits(p, 8) }

func lastDigits(p Phone, n int) string {
	if len(p.E164) < 8 || len(p.E164)-1 < n {
		return ""
	}
	return p.E164[len(p.E164)-n:]
}

var phoneSeparators = regexp.MustCompile(`[/;；、|｜\n\r]|或者|或|\t`)

// SplitPhones cuts a cell that holds several numbers (13812345678/010-12345678；
// 138…) into pieces for [ParsePhone]. A short tail after a slash stands for the
// last digits of the number before it: 0755-86013388/89. A comma separates
// numbers, unless what follows is short enough to be an extension. Empty pieces
// are left out.
func SplitPhones(cell string) []string {
	var out []string
	add := func(s string) {
		s = strings.TrimSpace(s)
		if s == "" {
			return
		}
		d := onlyDigits(clean(s))
		if n := len(out); n > 0 && len(d) > 0 && len(d) <= 2 && d == clean(s) {
			prev := strings.TrimRight(out[n-1], " ")
			if len(prev) > 6 && digitsOnly(prev[len(prev)-len(d):]) {
				out = append(out, prev[:len(prev)-len(d)]+d)
				return
			}
		}
		out = append(out, s)
	}
	cell = strings.ReplaceAll(cell, ";ext=", "转") // RFC 3966
	for _, part := range phoneSeparators.Split(cell, -1) {
		var whole string
		for _, piece := range strings.FieldsFunc(part, func(r rune) bool { return r == ',' || r == '，' }) {
			if d := onlyDigits(clean(piece)); whole != "" && len(d) > 0 && len(d) <= 6 {
				whole += "," + piece
				continue
			}
			splitBlanks(whole, add)
			whole = piece
		}
		splitBlanks(whole, add)
	}
	return out
}

// splitBlanks cuts at blanks when every piece is a number in its own right.
func splitBlanks(s string, add func(string)) {
	fields := strings.Fields(s)
	if len(fields) > 1 {
		for _, f := range fields {
			if p, err := ParsePhone(f); err != nil || p.Kind == Short || strings.HasPrefix(f, "+") && len(onlyDigits(f)) < 8 {
				add(s)
				return
			}
		}
		for _, f := range fields {
			add(f)
		}
		return
	}
	add(s)
}
