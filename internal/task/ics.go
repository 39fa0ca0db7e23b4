package task

import (
	"fmt"
	"strings"
	"time"

	"bihuan/internal/i18n"
	"bihuan/internal/ical"
)

// appointment is a task as an entry of a calendar.
type appointment struct {
	Task
	summary, description, url string
}

// written is a calendar of entries, and of what other rooms add. host makes the
// ids of entries unique among all installations; they stay the same for as long
// as the task lives.
func written(l i18n.Lang, name, host string, zone *time.Location, as []appointment, more ...ical.Entry) []byte {
	c := ical.Calendar{Product: "Tasks", Lang: strings.ToUpper(string(l)[:2]), Method: ical.Publish, Name: name, Refresh: 30 * time.Minute}
	for _, a := range as {
		e := ical.Entry{UID: fmt.Sprintf("task-%d@%s", a.ID, host), CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Sequence: a.Version - 1, AllDay: a.AllDay,
			Start: a.DueAt, End: a.DueAt.Add(30 * time.Minute), Summary: a.summary, Description: a.description, URL: a.url,
			Cancelled: a.State == Cancelled, Busy: a.State == Open && !a.AllDay, Alarm: -1}
		if a.AllDay {
			e.Start = a.DueAt.In(zone)
			e.End = e.Start.AddDate(0, 0, 1)
		}
		if a.State == Open {
			e.Alarm = a.Remind
		}
		c.Entries = append(c.Entries, e)
	}
	c.Entries = append(c.Entries, more...)
	return c.Bytes()
}
