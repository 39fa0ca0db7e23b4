package ui

import (
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"bihuan/internal/i18n"
)

// funcs are the words templates may use, in language l. Each is listed in the
// page of parts.
func funcs(l i18n.Lang) template.FuncMap {
	p := parts{l}
	return template.FuncMap{
		// words
		"t":    func(key string, args ...any) string { return i18n.T(l, key, args...) },
		"key":  func(prefix string, code any) string { return i18n.T(l, prefix+fmt.Sprint(code)) },
		"lit":  func(s string) string { return "=" + s },
		"lang": func() string { return string(l) },

		// times; marks that are filled in when the page is sent
		"ago":           func(t time.Time) template.HTML { return timeTag(t, 'a', ` data-ago`) },
		"when":          func(t time.Time) template.HTML { return timeTag(t, 's', "") },
		"date":          func(t time.Time) template.HTML { return timeTag(t, 'd', "") },
		"datetime":      func(t time.Time) template.HTML { return timeTag(t, 't', "") },
		"clock":         func(t time.Time) template.HTML { return timeTag(t, 'h', "") },
		"dateText":      func(t time.Time) string { return markOrEmpty('d', t) },
		"datetimeText":  func(t time.Time) string { return markOrEmpty('t', t) },
		"datetimeInput": func(t time.Time) string { return markOrEmpty('i', t) },
		"duration":      func(d time.Duration) string { return i18n.Duration(l, d) },
		"timer":         timer,
		"paused":        func(left time.Duration) template.HTML { return p.paused(left) },

		// numbers and names
		"num":     num,
		"money":   money,
		"percent": percent,
		"initial": Initial,
		"size":    Size,

		// pieces
		"icon":   Icon,
		"asset":  Asset,
		"tone":   tone,
		"markup": Markup,
		"list":   func(v ...string) []string { return v },
		"dict":   dict,
		"add":    func(a, b int) int { return a + b },
		"query":  query,

		// parts
		"badge":    badge,
		"state":    state,
		"level":    level,
		"avatar":   avatar,
		"empty":    p.empty,
		"pager":    p.pager,
		"kv":       p.kv,
		"meter":    meter,
		"stars":    p.starsShown,
		"field":    p.field,
		"area":     p.area,
		"choose":   p.choose,
		"pick":     p.pick,
		"radios":   p.radios,
		"checks":   p.checks,
		"check":    p.check,
		"control":  p.control,
		"facts":    facts,
		"rating":   p.rating,
		"upload":   p.upload,
		"problems": p.problems,
		"submit":   p.submit,
	}
}

func markOrEmpty(kind byte, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return mark(kind, t)
}

// num writes a whole number with thousands separators; other numbers with at
// most two decimals.
func num(v any) string {
	switch v := v.(type) {
	case int:
		return group(strconv.Itoa(v))
	case int64:
		return group(strconv.FormatInt(v, 10))
	case float64:
		s := strconv.FormatFloat(v, 'f', 2, 64)
		return group(strings.TrimRight(strings.TrimRight(s, "0"), "."))
	}
	return fmt.Sprint(v)
}

func group(s string) string {
	neg := strings.HasPrefix(s, "-")
	whole, frac, has := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if has {
		whole += "." + frac
	}
	if neg {
		return "-" + whole
	}
	return whole
}

// money writes an amount given in hundredths: ¥1,234.50.
func money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return sign + "¥" + group(strconv.FormatInt(cents/100, 10)) + "." + two(cents%100)
}

// percent writes a share of 1 as 92.4%.
func percent(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v*100, 'f', 1, 64), ".0") + "%"
}

// Initial is the character an avatar shows: the first of a Chinese name, the
// first letter of another.
func Initial(name string) string {
	r, _ := utf8.DecodeRuneInString(strings.TrimSpace(name))
	if r == utf8.RuneError {
		return "·"
	}
	return strings.ToUpper(string(r))
}

// Size writes a number of bytes for people.
func Size(n int64) string {
	switch {
	case n >= 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MB"
	case n >= 1<<10:
		return strconv.FormatInt(n>>10, 10) + " KB"
	}
	return strconv.FormatInt(n, 10) + " B"
}

// tones gives each code its colour. A colour always stands beside a word.
var tones = map[string]string{
	"urgent": "red", "high": "orange", "medium": "blue", "normal": "blue", "low": "gray",
	"pending": "red", "in_progress": "blue", "waiting_customer": "amber", "awaiting_confirmation": "violet",
	"completed": "green", "closed": "gray", "cancelled": "gray",
	"diamond": "violet", "gold": "amber", "silver": "cyan", "standard": "gray",
	"online": "green", "busy": "amber", "offline": "gray", "active": "green", "inactive": "gray", "disabled": "gray",
	"sent": "green", "failed": "red", "queued": "amber", "overdue": "red", "near": "amber", "met": "green", "missed": "red",
	"approved": "green", "rejected": "red", "withdrawn": "gray",
}

// SetTone gives a room's own code a colour: red, orange, amber, green, teal,
// cyan, blue, violet, pink or gray. Call it while packages are initialised.
func SetTone(code, colour string) struct{} { tones[code] = colour; return struct{}{} }

// recoloured are the colours this company has chosen for some codes.
var recoloured atomic.Pointer[map[string]string]

// Recolour gives codes other colours than the product's own while it runs, until
// it is called again. Fragments drawn before are drawn anew.
func Recolour(colours map[string]string) {
	recoloured.Store(&colours)
	lookChanged.Add(1)
}

func tone(code any) string {
	var s string
	switch c := code.(type) {
	case string:
		s = c
	case fmt.Stringer:
		s = c.String()
	default:
		if v := reflect.ValueOf(code); v.Kind() == reflect.String {
			s = v.String()
		}
	}
	if m := recoloured.Load(); m != nil {
		if c, ok := (*m)[s]; ok {
			return c
		}
	}
	return tones[s]
}

// dict makes a map of pairs, for a template that takes several values. A typed
// struct in the view is better where there is one.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: odd number of values")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is not a string", pairs[i])
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}

// query makes an address of a path and pairs of parameters; empty values are
// left out.
func query(path string, pairs ...any) template.URL {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := fmt.Sprint(pairs[i+1]); v != "" && v != "0" {
			q.Set(fmt.Sprint(pairs[i]), v)
		}
	}
	if len(q) == 0 {
		return template.URL(path)
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return template.URL(path + sep + q.Encode())
}

var linkPattern = regexp.MustCompile(`https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+`)

// Markup shows plain text as it was typed: lines stay lines, addresses become
// links, everything else is harmless.
func Markup(text string) template.HTML {
	var b strings.Builder
	rest := text
	esc := func(s string) {
		b.WriteString(strings.ReplaceAll(template.HTMLEscapeString(s), "\n", "<br>"))
	}
	for {
		m := linkPattern.FindStringIndex(rest)
		if m == nil {
			break
		}
		addr := strings.TrimRight(rest[m[0]:m[1]], ".,;:!?'\")")
		esc(rest[:m[0]])
		e := template.HTMLEscapeString(addr)
		b.WriteString(`<a href="` + e + `" target="_blank" rel="noopener noreferrer nofollow">` + e + `</a>`)
		rest = rest[m[0]+len(addr):]
	}
	esc(rest)
	return template.HTML(b.String())
}
