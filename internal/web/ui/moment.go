package ui

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"io"
	"strconv"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// A mark is U+E000, a letter for what is wanted, microseconds, optionally a
// colon and a second number, U+E001. Somebody who types such characters gets at
// most a date of his choice.
var (
	markOpen  = []byte("\uE000")
	markClose = []byte("\uE001")
	bodyMark  = []byte("\uE002" + rand.Text()) // in a layout; nobody can type it into a title
)

func mark(kind byte, t time.Time) string {
	return "\uE000" + string(kind) + strconv.FormatInt(db.Micros(t), 10) + "\uE001"
}

// expand writes b with its marks replaced by what they mean now and here.
func expand(w io.Writer, r *web.Request, b []byte) error {
	var now time.Time
	for {
		i := bytes.Index(b, markOpen)
		if i < 0 {
			_, err := w.Write(b)
			return err
		}
		if _, err := w.Write(b[:i]); err != nil {
			return err
		}
		b = b[i+len(markOpen):]
		end := bytes.Index(b[:min(len(b), 48)], markClose)
		if end < 1 {
			continue // not ours: the character is dropped
		}
		if now.IsZero() {
			now = r.Now()
		}
		text := moment(b[:end], now, r.Location(), r.Lang)
		b = b[end+len(markClose):]
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
}

func moment(m []byte, now time.Time, loc *time.Location, l i18n.Lang) string {
	first, second, _ := bytes.Cut(m[1:], []byte(":"))
	us, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil {
		return ""
	}
	t := db.FromMicros(us)
	switch m[0] {
	case 'd':
		return t.In(loc).Format("2006-01-02")
	case 't':
		return t.In(loc).Format("2006-01-02 15:04")
	case 's':
		return Short(t, now, loc)
	case 'i': // value of <input type=datetime-local>
		return t.In(loc).Format("2006-01-02T15:04")
	case 'h':
		return t.In(loc).Format("15:04")
	case 'a':
		return Ago(l, t, now, loc)
	case 'n':
		return Countdown(l, t.Sub(now))
	case 'c':
		total, _ := strconv.ParseInt(string(second), 10, 64)
		return urgency(t.Sub(now), time.Duration(total)*time.Second)
	}
	return ""
}

// Short leaves out what goes without saying: the day if it is today, the year
// if it is this one.
func Short(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	switch {
	case t.Year() != now.Year():
		return t.Format("2006-01-02")
	case t.YearDay() != now.YearDay():
		return t.Format("01-02 15:04")
	}
	return t.Format("15:04")
}

// Ago says how long ago t was, or how far ahead it is: 刚刚, 5 分钟前, 3 天后; a
// date when it is more than thirty days away.
func Ago(l i18n.Lang, t, now time.Time, loc *time.Location) string {
	d, dir := now.Sub(t), "ago"
	if d < 0 {
		d, dir = -d, "ahead"
	}
	switch {
	case d < time.Minute:
		return i18n.T(l, "ui.time.now")
	case d < time.Hour:
		return i18n.T(l, "ui.time."+dir+".minutes", int(d/time.Minute))
	case d < 24*time.Hour:
		return i18n.T(l, "ui.time."+dir+".hours", int(d/time.Hour))
	case d < 30*24*time.Hour:
		return i18n.T(l, "ui.time."+dir+".days", int(d/(24*time.Hour)))
	}
	return t.In(loc).Format("2006-01-02")
}

// Countdown says the time left, or the time over, the way the ticking clock in
// the browser says it.
func Countdown(l i18n.Lang, left time.Duration) string {
	over := ""
	if left < 0 {
		over, left = i18n.T(l, "ui.timer.over")+" ", -left
	}
	s := int64(left / time.Second)
	if s >= 86400 {
		return over + i18n.T(l, "ui.timer.days", s/86400, s%86400/3600)
	}
	return over + two(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
}

func two(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// urgency is the class of a clock: the last quarter of its time is a warning.
func urgency(left, total time.Duration) string {
	switch {
	case left < 0:
		return "over"
	case left < total/4:
		return "warn"
	}
	return "ok"
}

func timeTag(t time.Time, kind byte, attr string) template.HTML {
	if t.IsZero() {
		return ""
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `"` + attr + ` title="` + mark('t', t) + `">` + mark(kind, t) + `</time>`)
}
