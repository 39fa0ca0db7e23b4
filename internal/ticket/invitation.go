package ticket

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/ical"
	"bihuan/internal/task"
)

// meetingLasts is how long a conference takes in a calendar: nobody is asked for
// its end.
const meetingLasts = time.Hour

// entry is a conference in a calendar; its id stays the same, and a later version
// takes the place of what a calendar has.
func (m Meeting) entry(host, summary, url string, now time.Time) ical.Entry {
	return ical.Entry{UID: fmt.Sprintf("conference-%d@%s", m.ID, host), CreatedAt: m.CreatedAt, UpdatedAt: now, Sequence: m.Version - 1,
		Start: m.StartsAt, End: m.StartsAt.Add(meetingLasts), Summary: summary, Place: m.Place, URL: url, Cancelled: m.State == "cancelled", Busy: m.State != "cancelled", Alarm: 15}
}

// Invitation is a conference of t as a file for calendars (TKT-14): whoever has
// an address of mail is asked to come; a conference that was called off takes
// itself away again. base is where the product is reached. The customer is not
// named: the file leaves the house. The caller has read t in his scope.
func (s *Service) Invitation(ctx context.Context, t Ticket, m Meeting, l i18n.Lang, base, host string) ([]byte, error) {
	e := m.entry(host, i18n.T(l, "ticket.conference.calendar", t.Number, m.Subject), base+"/tickets/"+t.Number, s.DB().Clock().Now())
	e.Description = i18n.T(l, "ticket.conference.calendar.says", t.Number, m.Planner) + "\n" + e.URL
	c := ical.Calendar{Product: "Tickets", Lang: map[bool]string{true: "ZH", false: "EN"}[l != i18n.En], Method: ical.Publish}
	for _, u := range append([]int64{m.PlannedBy}, m.People...) {
		x, ok, err := s.org.Person(ctx, s.DB().Read(), u)
		if err != nil {
			return nil, err
		}
		p := ical.Person{Name: x.Name, Email: x.Email}
		switch {
		case !ok || p.Email == "":
		case u == m.PlannedBy && e.Organizer == nil:
			e.Organizer = &p
		case u != m.PlannedBy:
			e.People = append(e.People, p)
		}
	}
	if e.Organizer == nil { // nobody an answer could go to
		e.People = nil
	} else if c.Method = ical.Request; e.Cancelled {
		c.Method = ical.Cancel
	}
	c.Entries = []ical.Entry{e}
	return c.Bytes(), nil
}

// Appointments are the conferences somebody takes part in, for the calendar he
// subscribes to.
func (s *Service) Appointments(ctx context.Context, r task.CalendarRequest) ([]ical.Entry, error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT t.number, c.`+strings.ReplaceAll(meetingColumns, ", ", ", c.")+` FROM conference_people p JOIN conferences c ON c.id = p.conference_id JOIN tickets t ON t.id = c.ticket_id
		WHERE p.user_id = $1 AND c.starts_at >= $2 AND c.starts_at < $3 ORDER BY c.starts_at, c.id LIMIT 500`, r.User, db.Micros(r.From), db.Micros(r.To))
	if err != nil {
		return nil, fmt.Errorf("ticket: appointments: %w", err)
	}
	defer rows.Close()
	var out []ical.Entry
	for rows.Next() {
		var number string
		m, err := scanMeeting(prefixed{rows, []any{&number}})
		if err != nil {
			return nil, fmt.Errorf("ticket: appointments: %w", err)
		}
		summary := i18n.T(r.Lang, "ticket.conference.title")
		if r.Titles {
			summary = event.Mask(i18n.T(r.Lang, "ticket.conference.calendar", number, m.Subject))
		} else {
			m.Place = ""
		}
		out = append(out, m.entry(r.Host, summary, r.Base+"/tickets/"+number, m.CreatedAt))
	}
	return out, rows.Err()
}
