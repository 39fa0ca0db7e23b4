// Package ical writes calendars as programs for calendars read them (RFC 5545):
// the tasks somebody subscribes to, and invitations to conferences.
//
// Lines have at most 75 octets and tear no character, text is escaped, times are
// in UTC, whole days are dates. The id of an entry is its caller's and stays the
// same for as long as the thing lives; a higher Sequence replaces what was read
// before.
package ical

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Methods: what a reader is to do with the calendar.
const (
	Publish = "PUBLISH" // keep it
	Request = "REQUEST" // answer the invitation
	Cancel  = "CANCEL"  // take it away again
)

// Calendar is a list of entries.
type Calendar struct {
	Product string // of what: it stands in PRODID
	Lang    string // as in "ZH"
	Method  string
	Name    string        // "" for a calendar nobody subscribes to
	Refresh time.Duration // how often a subscriber is to look; 0: not said
	Entries []Entry
}

// Entry is one appointment.
type Entry struct {
	UID       string
	CreatedAt time.Time
	UpdatedAt time.Time
	Sequence  int64

	Start, End time.Time // whole days: in the zone they are days of, End the day behind
	AllDay     bool

	Summary, Description, Place, URL string

	Organizer *Person // of an invitation
	People    []Person

	Cancelled bool
	Busy      bool // the time is taken
	Alarm     int  // minutes before; less than 0: none
}

// Person is somebody who has an address of mail.
type Person struct{ Name, Email string }

const utc = "20060102T150405Z"

// writer writes content lines.
type writer struct{ bytes.Buffer }

// line writes one, folded: programs in the field join lines before they decode,
// but not all.
func (w *writer) line(name, value string) {
	const width = 75
	rest := name + ":" + value
	room := width
	for len(rest) > room {
		n := room
		for n > 0 && !utf8.RuneStart(rest[n]) {
			n--
		}
		w.WriteString(rest[:n] + "\r\n ")
		rest, room = rest[n:], width-1
	}
	w.WriteString(rest + "\r\n")
}

var escaper = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// plain is s without what no text may hold.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// escaped is s as the value of a text property.
func escaped(s string) string { return escaper.Replace(plain(s)) }

// quoted is s as the value of a parameter: it may hold neither quotes nor lines.
func quoted(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r == '"' || r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, plain(s)) + `"`
}

// Bytes is the calendar as a file.
func (c Calendar) Bytes() []byte {
	var w writer
	w.line("BEGIN", "VCALENDAR")
	w.line("VERSION", "2.0")
	w.line("PRODID", "-//Bihuan//"+c.Product+"//"+c.Lang)
	w.line("CALSCALE", "GREGORIAN")
	w.line("METHOD", c.Method)
	if c.Name != "" {
		w.line("X-WR-CALNAME", escaped(c.Name))
		w.line("NAME", escaped(c.Name))
	}
	if c.Refresh > 0 {
		every := fmt.Sprintf("PT%dM", int(c.Refresh.Minutes()))
		w.line("REFRESH-INTERVAL;VALUE=DURATION", every)
		w.line("X-PUBLISHED-TTL", every)
	}
	for _, e := range c.Entries {
		e.write(&w)
	}
	w.line("END", "VCALENDAR")
	return w.Bytes()
}

func (e Entry) write(w *writer) {
	w.line("BEGIN", "VEVENT")
	w.line("UID", e.UID)
	w.line("DTSTAMP", e.UpdatedAt.UTC().Format(utc))
	w.line("CREATED", e.CreatedAt.UTC().Format(utc))
	w.line("LAST-MODIFIED", e.UpdatedAt.UTC().Format(utc))
	w.line("SEQUENCE", fmt.Sprint(e.Sequence))
	if e.AllDay {
		w.line("DTSTART;VALUE=DATE", e.Start.Format("20060102"))
		w.line("DTEND;VALUE=DATE", e.End.Format("20060102"))
	} else {
		w.line("DTSTART", e.Start.UTC().Format(utc))
		w.line("DTEND", e.End.UTC().Format(utc))
	}
	w.line("SUMMARY", escaped(e.Summary))
	if e.Description != "" {
		w.line("DESCRIPTION", escaped(e.Description))
	}
	if e.Place != "" {
		w.line("LOCATION", escaped(e.Place))
	}
	if e.URL != "" {
		w.line("URL", e.URL)
	}
	if e.Organizer != nil {
		w.line("ORGANIZER;CN="+quoted(e.Organizer.Name), "mailto:"+e.Organizer.Email)
	}
	for _, p := range e.People {
		w.line("ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN="+quoted(p.Name), "mailto:"+p.Email)
	}
	if e.Cancelled {
		w.line("STATUS", "CANCELLED")
	} else {
		w.line("STATUS", "CONFIRMED")
	}
	if e.Busy {
		w.line("TRANSP", "OPAQUE")
	} else {
		w.line("TRANSP", "TRANSPARENT")
	}
	if e.Alarm >= 0 && !e.AllDay && !e.Cancelled {
		w.line("BEGIN", "VALARM")
		w.line("ACTION", "DISPLAY")
		w.line("DESCRIPTION", escaped(e.Summary))
		w.line("TRIGGER", fmt.Sprintf("-PT%dM", e.Alarm))
		w.line("END", "VALARM")
	}
	w.line("END", "VEVENT")
}
