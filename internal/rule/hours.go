package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/web"
)

// Span is a part of a day, in minutes from midnight; [From, To).
type Span struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Office are the hours somebody is there, by weekday: Monday first.
type Office [7][]Span

// DefaultOffice is that of a fresh install: Monday to Friday, nine to six.
func DefaultOffice() (o Office) {
	for i := range 5 {
		o[i] = []Span{{9 * 60, 18 * 60}}
	}
	return o
}

// Open reports whether somebody is there.
func (o Office) Open(t time.Time) bool {
	t = t.In(web.Shanghai)
	at := t.Hour()*60 + t.Minute()
	return slices.ContainsFunc(o[weekday(t)-1], func(s Span) bool { return at >= s.From && at < s.To })
}

// DayText writes a day as it is typed: "09:00-12:00 13:30-18:00".
func (o Office) DayText(day int) string {
	var out []string
	for _, s := range o[day] {
		out = append(out, fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, s.To/60, s.To%60))
	}
	return strings.Join(out, " ")
}

// ParseDay reads what DayText writes; also with commas, other dashes and
// full-width colons. "" is a day off.
func ParseDay(text string) ([]Span, error) {
	text = strings.NewReplacer("：", ":", "—", "-", "–", "-", "～", "-", "~", "-", "，", " ", ",", " ", "、", " ", ";", " ", "；", " ", " -", "-", "- ", "-").Replace(text)
	var out []Span
	for _, f := range strings.Fields(text) {
		a, b, ok := strings.Cut(f, "-")
		from, err1 := minutes(a)
		to, err2 := minutes(b)
		if !ok || err1 != nil || err2 != nil || from >= to {
			return nil, fmt.Errorf("rule: %q is no span of a day", f)
		}
		out = append(out, Span{from, to})
	}
	slices.SortFunc(out, func(a, b Span) int { return a.From - b.From })
	for i := 1; i < len(out); i++ {
		if out[i].From < out[i-1].To {
			return nil, fmt.Errorf("rule: spans of a day overlap")
		}
	}
	return out, nil
}

func minutes(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	if !ok {
		m = "0"
	}
	hours, err1 := strconv.Atoi(h)
	mins, err2 := strconv.Atoi(m)
	if err1 != nil || err2 != nil || hours < 0 || mins < 0 || mins > 59 || hours*60+mins > 24*60 {
		return 0, fmt.Errorf("rule: %q is no time of day", s)
	}
	return hours*60 + mins, nil
}
