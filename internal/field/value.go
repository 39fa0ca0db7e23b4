package field

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/i18n"

	"golang.org/x/text/width"
)

// Value is what one record has in one field.
type Value struct {
	FieldID int64
	Kind    Kind
	Str     string   // Text and Link as typed, Choice its code
	Num     int64    // Number in ten-thousandths, Money in 分, Date as 20261121, User its id, Bool 0 or 1
	Codes   []string // of Multi

	set   bool // false: empty
	name  string
	field *Field
}

// Name is the name of the value's field in forms and faults, as [Def.Name].
func (v Value) Name() string { return Prefix + v.field.Code }

// Code is the code of the value's field.
func (v Value) Code() string { return v.field.Code }

// Empty reports whether the record has no value.
func (v Value) Empty() bool { return !v.set }

// Text is the value as it is shown: 是, 2026-11-21, ¥1,200.00, labels of options.
func (v Value) Text(l i18n.Lang) string {
	if !v.set {
		return ""
	}
	switch v.Kind {
	case Number:
		return grouped(v.Num, 10_000, 0)
	case Money:
		return "¥" + grouped(v.Num, 100, 2)
	case Choice:
		return v.field.optionText(l, v.Str)
	case Multi:
		labels := make([]string, len(v.Codes))
		for i, c := range v.Codes {
			labels[i] = v.field.optionText(l, c)
		}
		if l == i18n.ZhCN {
			return strings.Join(labels, "、")
		}
		return strings.Join(labels, ", ")
	case User:
		if v.name == "" {
			return i18n.T(l, "field.user.gone")
		}
		return v.name
	case Bool:
		if v.Num != 0 {
			return i18n.T(l, "field.yes")
		}
		return i18n.T(l, "field.no")
	}
	return v.Raw()
}

// Raw is the value as forms and filters write it: 1200.5, 2026-11-21, the code of
// an option, codes with commas between, the id of a colleague, 1 or 0.
func (v Value) Raw() string {
	if !v.set {
		return ""
	}
	switch v.Kind {
	case Number:
		return decimal(v.Num, 10_000, 0)
	case Money:
		return decimal(v.Num, 100, 2)
	case Date:
		return fmt.Sprintf("%04d-%02d-%02d", v.Num/10_000, v.Num/100%100, v.Num%100)
	case Multi:
		return strings.Join(v.Codes, ",")
	case User, Bool:
		return strconv.FormatInt(v.Num, 10)
	}
	return v.Str
}

// JSON is the value as programs get it: a number, a string, a list of codes, a
// truth; nil when empty.
func (v Value) JSON() any {
	if !v.set {
		return nil
	}
	switch v.Kind {
	case Number, Money:
		return json.Number(v.Raw())
	case Multi:
		return v.Codes
	case User:
		return v.Num
	case Bool:
		return v.Num != 0
	}
	return v.Raw()
}

func (v Value) equal(w Value) bool { return v.set == w.set && v.Raw() == w.Raw() }

// cut separates the whole from the fraction; least is how many decimals are shown
// at least.
func cut(n, scale int64, least int) (sign, whole, fraction string) {
	if n < 0 {
		sign, n = "-", -n
	}
	digits := len(strconv.FormatInt(scale, 10)) - 1
	fraction = fmt.Sprintf("%0*d", digits, n%scale)
	for len(fraction) > least && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign, strconv.FormatInt(n/scale, 10), fraction
}

func decimal(n, scale int64, least int) string {
	sign, whole, fraction := cut(n, scale, least)
	return sign + whole + fraction
}

func grouped(n, scale int64, least int) string {
	sign, whole, fraction := cut(n, scale, least)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + fraction
}

// Fold makes two spellings of a text the same, as filters compare them: full
// width, capitals and blanks do not count.
func Fold(s string) string {
	s = strings.ToLower(width.Fold.String(line(s)))
	if len(s) > 2000 { // what an index of PostgreSQL takes
		s = strings.ToValidUTF8(s[:2000], "")
	}
	return s
}

// Longest texts, in characters.
const (
	maxText = 500
	maxLink = 1000
)

// wrong is why a text is no value: a locale key with its arguments.
type wrong struct {
	key  string
	args []any
}

func (w *wrong) Error() string { return w.key }

func no(key string, args ...any) error { return &wrong{key, args} }

// parse reads what was typed into a value; users are looked up by the caller.
// old is what the record has: an option it has already may stay though it is no
// longer offered.
func (f *Field) parse(in []string, old Value) (Value, error) {
	v := Value{FieldID: f.ID, Kind: f.Kind, field: f}
	var texts []string
	for _, t := range in {
		if t = line(t); t != "" {
			texts = append(texts, t)
		}
	}
	if len(texts) == 0 {
		return v, nil
	}
	text := texts[0]
	if f.Kind != Multi && len(texts) > 1 {
		return v, no("field.one")
	}
	var err error
	switch f.Kind {
	case Text:
		if n := utf8.RuneCountInString(text); n > maxText {
			return v, no("field.long", maxText, n)
		}
		v.Str = text
	case Link:
		if v.Str, err = link(text); err != nil {
			return v, err
		}
	case Number:
		v.Num, err = fixed(text, 4, "field.number")
	case Money:
		v.Num, err = fixed(strings.NewReplacer("¥", "", "￥", "", "元", "", "CNY", "", "RMB", "").Replace(text), 2, "field.money")
	case Date:
		v.Num, err = day(text)
	case Bool:
		v.Num, err = truth(text)
	case User:
		v.Num, _ = strconv.ParseInt(text, 10, 64)
	case Choice:
		o, ok := f.choose(text)
		if !ok || o.Off && old.Str != o.Code {
			return v, no("field.option", text)
		}
		v.Str = o.Code
	case Multi:
		v.Codes, err = f.codes(texts, old)
	}
	v.set = err == nil
	return v, err
}

// codes reads the options of a multiple choice, given one by one or in one text,
// and puts them in the order of the field.
func (f *Field) codes(texts []string, old Value) ([]string, error) {
	picked := map[string]bool{}
	for _, t := range texts {
		parts := []string{t}
		if _, whole := f.choose(t); !whole { // "A、B" of a sheet
			parts = strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune(",，;；、|", r) })
		}
		for _, p := range parts {
			if p = line(p); p == "" {
				continue
			}
			o, ok := f.choose(p)
			if !ok || o.Off && !contains(old.Codes, o.Code) {
				return nil, no("field.option", p)
			}
			picked[o.Code] = true
		}
	}
	var out []string
	for _, o := range f.Options {
		if picked[o.Code] {
			out = append(out, o.Code)
		}
	}
	return out, nil
}

func contains(codes []string, c string) bool {
	for _, x := range codes {
		if x == c {
			return true
		}
	}
	return false
}

// fixed reads a decimal of at most n decimals into units of its last place:
// "1,234.5", "１２３４．５".
func fixed(text string, n int, key string) (int64, error) {
	s := strings.NewReplacer(",", "", " ", "", "，", "").Replace(width.Narrow.String(text))
	sign := int64(1)
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = -1, rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > n {
		return 0, no("field.decimals", n)
	}
	digits := whole + fraction + strings.Repeat("0", n-len(fraction))
	if strings.Trim(whole+fraction, "0123456789") != "" || whole == "" && fraction == "" {
		return 0, no(key)
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || v > 1e17 {
		return 0, no("field.large")
	}
	return sign * v, nil
}

var dateLayouts = []string{"2006-01-02", "2006-1-2", "2006/1/2", "2006.1.2", "20060102", "2006年1月2日", "2006-1-2 15:04:05", "2006-1-2 15:04", "2006/1/2 15:04:05", "2006/1/2 15:04", "2006-01-02T15:04:05Z07:00"}

// day reads a date into 20261121.
func day(text string) (int64, error) {
	s := strings.TrimSpace(width.Narrow.String(text))
	for _, l := range dateLayouts {
		if t, err := time.Parse(l, s); err == nil {
			if t.Year() < 1900 || t.Year() > 2200 {
				return 0, no("field.date.far")
			}
			return int64(t.Year()*10_000 + int(t.Month())*100 + t.Day()), nil
		}
	}
	return 0, no("field.date")
}

func truth(text string) (int64, error) {
	switch Fold(text) {
	case "1", "true", "yes", "y", "on", "是", "有", "真", "对", "√", "✓", "✔":
		return 1, nil
	case "0", "false", "no", "n", "off", "否", "无", "没有", "假", "不是", "×", "✗":
		return 0, nil
	}
	return 0, no("field.bool")
}

// link completes an address typed without its scheme. Only http and https are let
// through: the value becomes a link.
func link(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.Contains(u.Hostname(), ".") || u.User != nil || strings.ContainsAny(s, " \"'<>") {
		return "", no("field.link")
	}
	if n := utf8.RuneCountInString(s); n > maxLink {
		return "", no("field.long", maxLink, n)
	}
	return u.String(), nil
}
