package cnid

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Masks follow the shapes customary in China (GB/T 35273-2020, 7.2). All of them
// return "" for "", and Hidden when the value is so short that the part usually
// left visible would be most of it.

// Hidden stands for a value of which nothing may be shown.
const Hidden = "*"

// MaskAll hides a value altogether, its length too.
func MaskAll(s string) string {
	if s == "" {
		return ""
	}
	return "****"
}

// MaskPhone shows 138****5678, 0755-****3388, 400-****8820, +852 ****4567. The
// extension is left out; a short number is hidden.
func MaskPhone(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	p, err := ParsePhone(s)
	d := p.E164
	if err != nil {
		if d = onlyDigits(clean(s)); len(d) < 8 {
			return Hidden
		}
		return "****" + d[len(d)-4:]
	}
	if p.Kind == Short || len(d) < 9 {
		return Hidden
	}
	last := d[len(d)-4:]
	n := strings.TrimPrefix(d, "+86")
	switch p.Kind {
	case Mobile:
		return n[:3] + "****" + last
	case Landline:
		return "0" + n[:areaLen(n)] + "-****" + last
	case Shared, TollFree:
		return n[:3] + "-****" + last
	}
	country, _, _ := strings.Cut(p.national(), " ")
	if len(country) > 4 || len(country) == len(p.national()) {
		country = ""
	}
	return strings.TrimSpace(country + " ****" + last)
}

// MaskName leaves the first letter of each word: 张*, 张**, J*** S****.
func MaskName(s string) string {
	s = strings.TrimSpace(s)
	letters := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			letters++
		}
	}
	if s == "" {
		return ""
	}
	if letters < 2 {
		return Hidden
	}
	var b strings.Builder
	first := true
	for _, r := range s {
		switch {
		case unicode.IsMark(r) || unicode.Is(unicode.Cf, r):
			// belongs to the letter before it (variation selectors of rare Han)
		case unicode.IsSpace(r) || r == '·' || r == '•' || r == '・':
			b.WriteRune(r)
			first = true
		case first:
			first = false
			b.WriteRune(r)
		default:
			b.WriteByte('*')
		}
	}
	if out := b.String(); strings.ContainsRune(out, '*') {
		return out
	}
	return Hidden // A B: only first letters
}

// MaskEmail shows z***@example.com; of a one-letter local part nothing.
func MaskEmail(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	s = NormalizeEmail(s)
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return Hidden
	}
	if utf8.RuneCountInString(s[:at]) < 2 {
		return Hidden + s[at:]
	}
	first, _ := utf8.DecodeRuneInString(s)
	return string(first) + "***" + s[at:]
}

// MaskIDNumber shows 110***********002X. Shorter papers (passports) keep their
// first letter and last two characters.
func MaskIDNumber(s string) string {
	r := []rune(normalizeCode(s))
	switch n := len(r); {
	case n == 0:
		return ""
	case n < 8:
		return Hidden
	case n < 15:
		return keep(r, 1, 2)
	default:
		return keep(r, 3, 4)
	}
}

// MaskBankCard shows **** **** **** 5678 whatever the length of the number.
func MaskBankCard(s string) string {
	r := []rune(normalizeCode(s))
	if len(r) == 0 {
		return ""
	}
	if len(r) < 8 {
		return Hidden
	}
	return "**** **** **** " + string(r[len(r)-4:])
}

func keep(r []rune, head, tail int) string {
	return string(r[:head]) + strings.Repeat("*", len(r)-head-tail) + string(r[len(r)-tail:])
}

var (
	province = regexp.MustCompile(`^\p{Han}{2,6}?(?:特别行政区|自治区|省)|^(?:北京|上海|天津|重庆)市`)
	city     = regexp.MustCompile(`^\p{Han}{1,9}?(?:自治州|地区|盟|市)`)
	district = regexp.MustCompile(`^(?:\p{Han}{2,12}?(?:自治县|自治旗)|\p{Han}{1,3}?(?:新区|区|县|旗|市))`)

	// What looks like the end of a district but is a street or an estate.
	notDistrict = regexp.MustCompile(`[路街道巷号弄村镇](?:新区|区|县|旗|市)$|(?:小|社|园|校|厂|院|街|景|库|工业|开发|住宅|生活)区$|(?:超|门|集|菜|股|夜|城|楼)市$`)
)

// MaskAddress leaves province, city and district and hides the rest:
// 广东省深圳市南山区****. An address that does not begin with them is hidden
// altogether; when in doubt less is shown.
func MaskAddress(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, clean(s))
	if s == "" {
		return ""
	}
	s = strings.TrimPrefix(s, "中国")
	var shown strings.Builder
	take := func(re *regexp.Regexp) {
		if m := re.FindString(s); m != "" && !notDistrict.MatchString(m) {
			shown.WriteString(m)
			s = s[len(m):]
		}
	}
	take(province)
	take(city)
	if shown.Len() > 0 {
		take(district)
	}
	return shown.String() + "****"
}
