package task

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/i18n"
)

// calendar writes a VCALENDAR (RFC 5545).
type calendar struct{ bytes.Buffer }

// line writes a content line, folded so that no line has more than 75 octets and
// no character is torn: programs in the field join lines before they decode, but
// not all.
func (c *calendar) line(name, value string) {
	const width = 75
	rest := name + ":" + value
	room := width
	for len(rest) > room {
		n := room
		for n > 0 && !utf8.RuneStart(rest[n]) {
			n--
		}
		c.WriteString(rest[:n] + "\r\n ")
		rest, room = rest[n:], width-1
	}
	c.WriteString(rest + "\r\n")
}

var escaper = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// escaped is s as the value of a text property.
func escaped(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return escaper.Replace(s)
}

const utc = "20060102T150405Z"

// Appointment is a task as an entry of a calendar.
type appointment struct {
	Task
	summary, description, url string
}

// written is a calendar of entries. host makes the ids of entries unique among
// all installations; they stay the same for as long as the task lives.
func written(l i18n.Lang, name, host string, zone *time.Location, as []appointment) []byte {
	var c calendar
	c.line("BEGIN", "VCALENDAR")
	c.line("VERSION", "2.0")
	c.line("PRODID", "-//Bihuan//Tasks//"+strings.ToUpper(string(l)[:2]))
	c.line("CALSCALE", "GREGORIAN")
	c.line("METHOD", "PUBLISH")
	c.line("X-WR-CALNAME", escaped(name))
	c.line("NAME", escaped(name))
	c.line("REFRESH-INTERVAL;VALUE=DURATION", "PT30M")
	c.line("X-PUBLISHED-TTL", "PT30M")
	for _, a := range as {
		c.line("BEGIN", "VEVENT")
		c.line("UID", fmt.Sprintf("task-%d@%s", a.ID, host))
		c.line("DTSTAMP", a.UpdatedAt.UTC().Format(utc))
		c.line("CREATED", a.CreatedAt.UTC().Format(utc))
		c.line("LAST-MODIFIED", a.UpdatedAt.UTC().Format(utc))
		c.line("SEQUENCE", fmt.Sprint(a.Version-1))
		if a.AllDay {
			day := a.DueAt.In(zone)
			c.line("DTSTART;VALUE=DATE", day.Format("20060102"))
			c.line("DTEND;VALUE=DATE", day.AddDate(0, 0, 1).Format("20060102"))
		} else {
			c.line("DTSTART", a.DueAt.UTC().Format(utc))
			c.line("DTEND", a.DueAt.Add(30*time.Minute).UTC().Format(utc))
		}
		c.line("SUMMARY", escaped(a.summary))
		if a.description != "" {
			c.line("DESCRIPTION", escaped(a.description))
		}
		if a.url != "" {
			c.line("URL", a.url)
		}
		switch a.State {
		case Cancelled:
			c.line("STATUS", "CANCELLED")
		default:
			c.line("STATUS", "CONFIRMED")
		}
		if a.State == Open && !a.AllDay {
			c.line("TRANSP", "OPAQUE")
		} else {
			c.line("TRANSP", "TRANSPARENT")
		}
		if a.State == Open && a.Remind >= 0 && !a.AllDay {
			c.line("BEGIN", "VALARM")
			c.line("ACTION", "DISPLAY")
			c.line("DESCRIPTION", escaped(a.summary))
			c.line("TRIGGER", fmt.Sprintf("-PT%dM", a.Remind))
			c.line("END", "VALARM")
		}
		c.line("END", "VEVENT")
	}
	c.line("END", "VCALENDAR")
	return c.Bytes()
}
