package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Conference says of a ticket whether colleagues have to agree on the answer
// before it goes out (TKT-14).
type Conference string

const (
	ConferenceNone    Conference = ""
	ConferencePlanned Conference = "planned" // there is one, the answer does not wait for it
	ConferenceNeeded  Conference = "needed"  // no answer before its minutes are there
	ConferenceHeld    Conference = "held"    // minutes and a unified answer are there
)

// Meeting is one case conference.
type Meeting struct {
	ID         int64
	TicketID   int64
	Subject    string
	StartsAt   time.Time
	Place      string // a room, or the address of a call
	State      string // planned, held, cancelled
	Minutes    string
	Answer     string // what everybody says to the customer
	OpenPoints string
	PlannedBy  int64
	Planner    string
	CreatedAt  time.Time
	EndedAt    time.Time
	EndedBy    string
	Version    int64
	People     []int64
}

// MeetingInput plans a conference.
type MeetingInput struct {
	Subject  string
	StartsAt time.Time
	Place    string
	People   []int64
	Needed   bool // no answer before its minutes are there
}

// MinutesInput is what a conference came to.
type MinutesInput struct {
	Answer     string
	Minutes    string
	OpenPoints string
}

const maxPeople = 50

// MayConfer returns nil when actor may plan conferences about t.
func (s *Service) MayConfer(actor authz.Actor, t *Ticket) error {
	if !t.State.Open() {
		return fault.New(fault.Conflict, "ticket.conference.over")
	}
	if actor.Can(PermNote) && (t.AssigneeID == actor.ID && actor.Can(PermHandle) || t.InScope(authz.For(actor, PermSupervise))) {
		return nil
	}
	return fault.New(fault.Forbidden, "ticket.only_assignee_or_supervisor")
}

// PlanConference invites colleagues, also of other departments; from then on
// they see the ticket, and nothing else beside what they saw before.
func (s *Service) PlanConference(ctx context.Context, actor authz.Actor, id int64, in MeetingInput) (Ticket, error) {
	return s.change(ctx, actor, PermNote, "ticket.plan_conference", "ticket.conference_planned", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := s.MayConfer(a.Actor, &old); err != nil {
			return err
		}
		people, err := s.checkMeeting(ctx, a, &in)
		if err != nil {
			return err
		}
		var meeting int64
		if err := a.QueryRow(ctx, `INSERT INTO conferences (ticket_id, subject, starts_at, place, planned_by, planned_by_name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
			id, in.Subject, db.Micros(in.StartsAt), in.Place, a.Actor.ID, a.Actor.Name, a.NowMicros()).Scan(&meeting); err != nil {
			return fmt.Errorf("ticket: conference: %w", err)
		}
		if err := s.invite(ctx, a, id, meeting, people); err != nil {
			return err
		}
		switch {
		case in.Needed:
			t.Conference = ConferenceNeeded
		case t.Conference == ConferenceNone:
			t.Conference = ConferencePlanned
		}
		t.ActivityAt = a.Now
		f.Args, f.Tell = []string{in.Subject, stamp(in.StartsAt), in.Place}, people
		return nil
	})
}

func (s *Service) checkMeeting(ctx context.Context, a *action.Action, in *MeetingInput) ([]int64, error) {
	e := fault.Invalidf("ticket.conference.invalid")
	in.Subject, in.Place = strings.TrimSpace(in.Subject), strings.TrimSpace(in.Place)
	switch n := len([]rune(in.Subject)); {
	case n == 0:
		e.Field("subject", "ticket.conference.need_subject")
	case n > maxTitle:
		e.Field("subject", "ticket.too_long", maxTitle)
	}
	switch {
	case in.StartsAt.IsZero():
		e.Field("starts_at", "ticket.conference.need_time")
	case in.StartsAt.Before(a.Now.Add(-10 * time.Minute)):
		e.Field("starts_at", "ticket.conference.past")
	}
	if len([]rune(in.Place)) > 500 {
		e.Field("place", "ticket.too_long", 500)
	}
	people := tell(in.People...)
	others := slices.DeleteFunc(slices.Clone(people), func(u int64) bool { return u == a.Actor.ID })
	switch {
	case len(others) == 0:
		e.Field("people", "ticket.conference.need_people")
	case len(people) > maxPeople:
		e.Field("people", "ticket.conference.many", maxPeople)
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	for _, u := range people {
		if err := s.mayHear(ctx, a, u, "people"); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(people, a.Actor.ID) {
		people = append(people, a.Actor.ID)
	}
	return people, nil
}

// invite makes people the participants of a conference; who is no longer one no
// longer watches the ticket for it.
func (s *Service) invite(ctx context.Context, a *action.Action, id, meeting int64, people []int64) error {
	before, err := idsOf(ctx, a, `SELECT user_id FROM conference_people WHERE conference_id = $1`, meeting)
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `DELETE FROM conference_people WHERE conference_id = $1`, meeting); err != nil {
		return fmt.Errorf("ticket: conference %d: %w", meeting, err)
	}
	for _, u := range people {
		if _, err := a.Exec(ctx, `INSERT INTO conference_people (conference_id, user_id) VALUES ($1, $2)`, meeting, u); err != nil {
			return fmt.Errorf("ticket: conference %d: %w", meeting, err)
		}
		if _, err := watchAs(ctx, a, id, u, "conference"); err != nil {
			return err
		}
	}
	for _, u := range before {
		if slices.Contains(people, u) {
			continue
		}
		if _, err := a.Exec(ctx, `
			DELETE FROM ticket_watchers WHERE ticket_id = $1 AND user_id = $2 AND reason = 'conference'
			  AND NOT EXISTS (SELECT 1 FROM conferences c JOIN conference_people p ON p.conference_id = c.id WHERE c.ticket_id = $3 AND c.state <> 'cancelled' AND p.user_id = $4)`,
			id, u, id, u); err != nil {
			return fmt.Errorf("ticket: unwatch %d: %w", id, err)
		}
	}
	return nil
}

const meetingColumns = `id, ticket_id, subject, starts_at, place, state, minutes, answer, open_points, planned_by, planned_by_name, created_at, ended_at, ended_by_name, version`

func scanMeeting(row interface{ Scan(...any) error }) (m Meeting, err error) {
	var us [3]int64
	err = row.Scan(&m.ID, &m.TicketID, &m.Subject, &us[0], &m.Place, &m.State, &m.Minutes, &m.Answer, &m.OpenPoints, &m.PlannedBy, &m.Planner, &us[1], &us[2], &m.EndedBy, &m.Version)
	m.StartsAt, m.CreatedAt, m.EndedAt = db.FromMicros(us[0]), db.FromMicros(us[1]), db.FromMicros(us[2])
	return m, err
}

// Conferences returns those of a ticket the caller may see, the newest first.
func Conferences(ctx context.Context, q db.Querier, id int64) ([]Meeting, error) {
	rows, err := q.Query(ctx, `SELECT `+meetingColumns+` FROM conferences WHERE ticket_id = $1 ORDER BY id DESC LIMIT 50`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: conferences of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Meeting
	at := map[int64]int{}
	var ids []int64
	for rows.Next() {
		m, err := scanMeeting(rows)
		if err != nil {
			return nil, fmt.Errorf("ticket: conferences of %d: %w", id, err)
		}
		at[m.ID] = len(out)
		ids = append(ids, m.ID)
		out = append(out, m)
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		return out, err
	}
	rows.Close()
	var a db.Args
	people, err := q.Query(ctx, `SELECT conference_id, user_id FROM conference_people WHERE conference_id IN (`+a.AddInts(ids)+`) ORDER BY conference_id, user_id`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: conferences of %d: %w", id, err)
	}
	defer people.Close()
	for people.Next() {
		var c, u int64
		if err := people.Scan(&c, &u); err != nil {
			return nil, fmt.Errorf("ticket: conferences of %d: %w", id, err)
		}
		out[at[c]].People = append(out[at[c]].People, u)
	}
	return out, people.Err()
}

// UnifiedAnswer is what the newest conference of the ticket agreed to say; ""
// when none did.
func UnifiedAnswer(ctx context.Context, q db.Querier, t Ticket) (string, error) {
	if t.Conference == ConferenceNone {
		return "", nil
	}
	var answer string
	err := q.QueryRow(ctx, `SELECT answer FROM conferences WHERE ticket_id = $1 AND state = 'held' ORDER BY ended_at DESC, id DESC LIMIT 1`, t.ID).Scan(&answer)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ticket: answer of %d: %w", t.ID, err)
	}
	return answer, nil
}

// meeting loads a conference of a ticket for a change.
func meeting(ctx context.Context, a *action.Action, ticket, id, version int64) (Meeting, error) {
	m, err := scanMeeting(a.QueryRow(ctx, `SELECT `+meetingColumns+` FROM conferences WHERE id = $1 AND ticket_id = $2`+a.ForUpdate(), id, ticket))
	if errors.Is(err, sql.ErrNoRows) {
		return m, fault.New(fault.NotFound, "ticket.conference.unknown")
	}
	if err != nil {
		return m, fmt.Errorf("ticket: conference %d: %w", id, err)
	}
	if version != 0 && version != m.Version {
		return m, changedMeanwhile()
	}
	m.People, err = idsOf(ctx, a, `SELECT user_id FROM conference_people WHERE conference_id = $1 ORDER BY user_id`, id)
	return m, err
}

// MoveConference changes subject, time, place or participants of one that has
// not been held.
func (s *Service) MoveConference(ctx context.Context, actor authz.Actor, id, conference, version int64, in MeetingInput) (Ticket, error) {
	return s.change(ctx, actor, PermNote, "ticket.move_conference", "ticket.conference_changed", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := s.MayConfer(a.Actor, &old); err != nil {
			return err
		}
		m, err := meeting(ctx, a, id, conference, version)
		if err != nil {
			return err
		}
		if m.State != "planned" {
			return fault.New(fault.Conflict, "ticket.conference.ended")
		}
		people, err := s.checkMeeting(ctx, a, &in)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE conferences SET subject = $1, starts_at = $2, place = $3, version = version + 1 WHERE id = $4`, in.Subject, db.Micros(in.StartsAt), in.Place, conference); err != nil {
			return fmt.Errorf("ticket: conference %d: %w", conference, err)
		}
		if err := s.invite(ctx, a, id, conference, people); err != nil {
			return err
		}
		switch {
		case in.Needed:
			t.Conference = ConferenceNeeded
		case t.Conference == ConferenceNeeded:
			t.Conference = ConferencePlanned
		}
		t.ActivityAt = a.Now
		f.Args, f.Tell = []string{in.Subject, stamp(in.StartsAt), in.Place}, tell(append(m.People, people...)...)
		return nil
	})
}

// CancelConference calls one off; a ticket that waited for it no longer does.
func (s *Service) CancelConference(ctx context.Context, actor authz.Actor, id, conference int64, reason string) (Ticket, error) {
	return s.change(ctx, actor, PermNote, "ticket.cancel_conference", "ticket.conference_cancelled", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := s.MayConfer(a.Actor, &old); err != nil {
			return err
		}
		m, err := meeting(ctx, a, id, conference, 0)
		if err != nil {
			return err
		}
		if m.State != "planned" {
			return fault.New(fault.Conflict, "ticket.conference.ended")
		}
		if blank(reason) {
			return fault.Invalidf("ticket.need_reason").Field("reason", "ticket.need_reason")
		}
		if _, err := a.Exec(ctx, `UPDATE conferences SET state = 'cancelled', ended_at = $1, ended_by_name = $2, version = version + 1 WHERE id = $3`, a.NowMicros(), a.Actor.Name, conference); err != nil {
			return fmt.Errorf("ticket: conference %d: %w", conference, err)
		}
		if err := s.invite(ctx, a, id, conference, nil); err != nil {
			return err
		}
		if t.Conference, err = afterwards(ctx, a, id, t.Conference); err != nil {
			return err
		}
		t.ActivityAt = a.Now
		f.Args, f.Tell = []string{m.Subject, strings.TrimSpace(reason)}, m.People
		return nil
	})
}

// afterwards is what a ticket waits for when a conference has gone.
func afterwards(ctx context.Context, q db.Querier, id int64, now Conference) (Conference, error) {
	var planned, held int
	if err := q.QueryRow(ctx, `SELECT COALESCE(SUM(CASE WHEN state = 'planned' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN state = 'held' THEN 1 ELSE 0 END), 0) FROM conferences WHERE ticket_id = $1`, id).Scan(&planned, &held); err != nil {
		return now, fmt.Errorf("ticket: conferences of %d: %w", id, err)
	}
	switch {
	case planned > 0:
		return now, nil
	case held > 0:
		return ConferenceHeld, nil
	}
	return ConferenceNone, nil
}

// MayMinute reports whether actor may write the minutes of m: who leads the
// ticket, who planned it, and who was there.
func (s *Service) MayMinute(actor authz.Actor, t *Ticket, m Meeting) bool {
	return t.State.Open() && m.State != "cancelled" && actor.Can(PermNote) && (m.PlannedBy == actor.ID || slices.Contains(m.People, actor.ID) || s.MayConfer(actor, t) == nil)
}

// WriteMinutes records what a conference came to: the unified answer above all.
// Written again, the newest holds, and the timeline keeps each.
func (s *Service) WriteMinutes(ctx context.Context, actor authz.Actor, id, conference, version int64, in MinutesInput) (Ticket, error) {
	return s.change(ctx, actor, PermNote, "ticket.minutes", "ticket.conference_held", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		m, err := meeting(ctx, a, id, conference, version)
		if err != nil {
			return err
		}
		if m.State == "cancelled" {
			return fault.New(fault.Conflict, "ticket.conference.ended")
		}
		if !s.MayMinute(a.Actor, &old, m) {
			return fault.New(fault.Forbidden, "ticket.conference.not_there")
		}
		e := fault.Invalidf("ticket.conference.minutes_invalid")
		in.Answer, in.Minutes, in.OpenPoints = strings.TrimSpace(in.Answer), strings.TrimSpace(in.Minutes), strings.TrimSpace(in.OpenPoints)
		if in.Answer == "" {
			e.Field("answer", "ticket.conference.need_answer")
		}
		for _, x := range []struct{ name, v string }{{"answer", in.Answer}, {"minutes", in.Minutes}, {"open_points", in.OpenPoints}} {
			if len([]rune(x.v)) > 5000 {
				e.Field(x.name, "ticket.too_long", 5000)
			}
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE conferences SET state = 'held', answer = $1, minutes = $2, open_points = $3, ended_at = $4, ended_by_name = $5, version = version + 1 WHERE id = $6`,
			in.Answer, in.Minutes, in.OpenPoints, a.NowMicros(), a.Actor.Name, conference); err != nil {
			return fmt.Errorf("ticket: conference %d: %w", conference, err)
		}
		t.Conference = ConferenceHeld
		t.ActivityAt = a.Now
		f.Args, f.Tell = []string{m.Subject, in.Answer}, tell(append(m.People, t.AssigneeID)...)
		return nil
	})
}
