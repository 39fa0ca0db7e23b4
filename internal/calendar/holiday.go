package calendar

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed holidays/*.json
var shippedFiles embed.FS

// Year are the holidays of a year, in the form in which public data sets carry
// the State Council's notices.
type Year struct {
	Year   int       `json:"year"`
	Source string    `json:"source,omitempty"`
	Days   []Holiday `json:"days"`
	// Statutory says that the notice was not out when this was written: only the
	// days that the law names are there, nothing of what is moved around them.
	Statutory bool      `json:"statutory,omitempty"`
	Imported  bool      `json:"-"` // by the company; else shipped
	By        string    `json:"-"`
	At        time.Time `json:"-"`
}

// Off and Work count the days.
func (y Year) Off() (n int) {
	for _, h := range y.Days {
		if h.IsOff {
			n++
		}
	}
	return n
}

// Work counts the make-up workdays.
func (y Year) Work() int { return len(y.Days) - y.Off() }

// shipped are the years that came with the product, by year.
var shipped = func() map[int]Year {
	out := map[int]Year{}
	err := fs.WalkDir(shippedFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := shippedFiles.ReadFile(path)
		if err != nil {
			return err
		}
		var y Year
		if err := json.Unmarshal(raw, &y); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out[y.Year] = y
		return nil
	})
	if err != nil {
		panic("calendar: " + err.Error()) // embedded, and read by every test
	}
	return out
}()

// Holidays merges years into days: a notice may set a December day of the year
// before it, and the later notice is right.
func Holidays(years map[int]Year) map[dayNo]Holiday {
	out := map[dayNo]Holiday{}
	for _, n := range slices.Sorted(maps.Keys(years)) {
		for _, h := range years[n].Days {
			if t, ok := ParseDate(h.Date); ok {
				out[dayOf(t)] = h
			}
		}
	}
	return out
}

// Shipped are the holidays that came with the product.
func Shipped() map[int]Year { return shipped }

// ParseYear reads a year's holidays as public data sets give them
// ({"year":2027,"days":[{"name":"元旦","date":"2027-01-01","isOffDay":true}]}) or
// as lines "2027-01-01 元旦 休" and "2027-01-03 元旦 班", in any order. What is
// wrong is said as a key with its arguments; key is "" when nothing is.
func ParseYear(text string) (y Year, key string, args []any) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &y); err != nil {
			return y, "calendar.import.unreadable", nil
		}
		for i := range y.Days {
			y.Days[i].Name = strings.TrimSpace(y.Days[i].Name)
		}
	} else {
		for i, line := range strings.Split(text, "\n") {
			f := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r,，;；", r) })
			if len(f) == 0 || strings.HasPrefix(f[0], "#") {
				continue
			}
			h := Holiday{Date: strings.NewReplacer("/", "-", ".", "-").Replace(f[0])}
			if len(f) > 1 {
				switch f[len(f)-1] {
				case "休", "放假", "off":
					h.IsOff = true
				case "班", "上班", "work":
				default:
					return y, "calendar.import.line", []any{i + 1}
				}
				h.Name = strings.Join(f[1:len(f)-1], " ")
			} else {
				return y, "calendar.import.line", []any{i + 1}
			}
			if t, err := time.ParseInLocation("2006-1-2", h.Date, Zone); err == nil {
				h.Date = t.Format(time.DateOnly)
			}
			y.Days = append(y.Days, h)
		}
	}
	return y.checked()
}

// checked puts the days in order and says what is wrong with them.
func (y Year) checked() (Year, string, []any) {
	y.Statutory, y.Imported = false, true
	if len(y.Days) == 0 {
		return y, "calendar.import.empty", nil
	}
	slices.SortFunc(y.Days, func(a, b Holiday) int { return strings.Compare(a.Date, b.Date) })
	counts := map[int]int{}
	for i, h := range y.Days {
		t, ok := ParseDate(h.Date)
		if !ok {
			return y, "calendar.import.date", []any{h.Date}
		}
		if i > 0 && y.Days[i-1].Date == h.Date {
			return y, "calendar.import.twice", []any{h.Date}
		}
		if !h.IsOff && t.Weekday() != time.Saturday && t.Weekday() != time.Sunday {
			return y, "calendar.import.weekday", []any{h.Date}
		}
		counts[t.Year()]++
	}
	if y.Year == 0 { // of lines: the year most of them are in
		for n, c := range counts {
			if c > counts[y.Year] || c == counts[y.Year] && n > y.Year {
				y.Year = n
			}
		}
	}
	if counts[y.Year] == 0 {
		return y, "calendar.import.other_year", []any{strconv.Itoa(y.Year)}
	}
	for _, h := range y.Days {
		t, _ := ParseDate(h.Date)
		if t.Year() != y.Year && !(t.Year() == y.Year-1 && t.Month() == time.December) {
			return y, "calendar.import.other_date", []any{h.Date, strconv.Itoa(y.Year)}
		}
	}
	if off := y.Off(); off < 7 || off > 60 || y.Work() > 20 {
		return y, "calendar.import.implausible", []any{off, y.Work()}
	}
	return y, "", nil
}
