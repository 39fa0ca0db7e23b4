package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Span is working time of a day, in minutes after midnight; To is not in it.
type Span struct{ From, To int }

// Week is what is worked on each weekday, Sunday first.
type Week [7][]Span

func (w Week) minutes() (n int) {
	for _, d := range w {
		for _, s := range d {
			n += s.To - s.From
		}
	}
	return n
}

// Entry is a day the company has decided on itself; without spans it is off.
type Entry struct {
	Date  string // 2006-01-02
	Name  string
	Spans []Span
}

// Holiday is a day of the State Council's notice: off, or a weekend that is
// worked.
type Holiday struct {
	Name  string `json:"name"`
	Date  string `json:"date"`
	IsOff bool   `json:"isOffDay"`
}

// Rules are what a calendar says before it is compiled.
type Rules struct {
	Always   bool // 7x24; nothing else counts
	Week     Week
	Makeup   time.Weekday // whose hours a make-up workday has
	Own      map[dayNo]Entry
	Holidays map[dayNo]Holiday // nil: public holidays do not concern it
}

// Kind is why a day is as it is; named calendar.kind.<kind>.
type Kind string

const (
	KindWeek    Kind = "week"    // as the week says
	KindHoliday Kind = "holiday" // public holiday
	KindMakeup  Kind = "makeup"  // make-up workday
	KindOwn     Kind = "own"     // the company's own
)

// Day is one day of a calendar.
type Day struct {
	Kind  Kind
	Name  string // of the holiday or the company's day
	Spans []Span // none: off
}

func (r Rules) on(d dayNo) Day {
	if r.Always {
		return Day{Kind: KindWeek, Spans: []Span{{0, 24 * 60}}}
	}
	if e, ok := r.Own[d]; ok {
		return Day{KindOwn, e.Name, e.Spans}
	}
	if h, ok := r.Holidays[d]; ok {
		if h.IsOff {
			return Day{Kind: KindHoliday, Name: h.Name}
		}
		return Day{KindMakeup, h.Name, r.Week[r.Makeup]}
	}
	return Day{Kind: KindWeek, Spans: r.Week[d.weekday()]}
}

// MaxSpans of a day.
const MaxSpans = 6

// CheckSpans says what is wrong with the spans of a day: none is the key of the
// message, "" when they are in order and do not touch the day's ends.
func CheckSpans(spans []Span) string {
	if len(spans) > MaxSpans {
		return "calendar.too_many_spans"
	}
	last := 0
	for i, s := range spans {
		if s.From < 0 || s.To > 24*60 || s.From >= s.To {
			return "calendar.bad_span"
		}
		if i > 0 && s.From < last {
			return "calendar.spans_overlap"
		}
		last = s.To
	}
	return ""
}

// ParseSpans reads "09:00-12:00, 13:30-18:00"; "" is no working time. Dashes and
// commas of any kind are understood, the order does not matter.
func ParseSpans(text string) ([]Span, string) {
	text = norm.NFKC.String(strings.TrimSpace(text))
	text = strings.NewReplacer("—", "-", "–", "-", "~", "-", "〜", "-", "至", "-", "到", "-", "、", ",", ";", ",", "\n", ",", " ", "").Replace(text)
	for strings.Contains(text, "--") {
		text = strings.ReplaceAll(text, "--", "-")
	}
	var out []Span
	for _, part := range strings.Split(text, ",") {
		if part == "" {
			continue
		}
		a, b, ok := strings.Cut(part, "-")
		from, ok1 := parseMinute(a)
		to, ok2 := parseMinute(b)
		if !ok || !ok1 || !ok2 {
			return nil, "calendar.bad_span"
		}
		out = append(out, Span{from, to})
	}
	slices.SortFunc(out, func(a, b Span) int { return a.From - b.From })
	return out, CheckSpans(out)
}

func parseMinute(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	if !ok {
		m = "00"
	}
	hh, err1 := strconv.Atoi(h)
	mm, err2 := strconv.Atoi(m)
	n := hh*60 + mm
	return n, err1 == nil && err2 == nil && hh >= 0 && len(h) <= 2 && len(m) == 2 && mm >= 0 && mm < 60 && n <= 24*60
}

// FormatSpans is the reverse of ParseSpans.
func FormatSpans(spans []Span) string {
	var b strings.Builder
	for i, s := range spans {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.String())
	}
	return b.String()
}

func (s Span) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, s.To/60, s.To%60)
}

// ParseDate reads 2006-01-02 as a day within the years calendars reach.
func ParseDate(s string) (time.Time, bool) {
	t, err := time.ParseInLocation(time.DateOnly, s, Zone)
	return t, err == nil && t.Year() >= FirstYear && t.Year() < LastYear
}
