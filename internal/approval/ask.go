package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

const (
	maxTitle   = 200
	maxComment = 1000
)

// Ask makes a request in the name of the action's actor and sends it to its
// first step. A second open one about the same thing is a Conflict that names
// the first.
func (s *Service) Ask(ctx context.Context, a *action.Action, n New) (Request, error) {
	if _, ok := s.kinds[n.Kind]; !ok {
		return Request{}, fmt.Errorf("approval: nobody registered the kind %q", n.Kind)
	}
	if !person(a.Actor) {
		return Request{}, fault.New(fault.Forbidden, "approval.staff_only")
	}
	if err := a.Actor.Check(PermUse); err != nil {
		return Request{}, err
	}
	n.Title, n.Reason = oneLine(n.Title), strings.TrimSpace(n.Reason)
	f := fault.Invalidf("approval.invalid")
	if utf8.RuneCountInString(n.Reason) < 2 {
		f.Field("reason", "approval.reason_required")
	} else if l := utf8.RuneCountInString(n.Reason); l > maxComment {
		f.Field("reason", "approval.too_long", maxComment, l)
	}
	if err := f.OrNil(); err != nil {
		return Request{}, err
	}
	if r := []rune(n.Title); len(r) > maxTitle {
		n.Title = string(r[:maxTitle-1]) + "…"
	}
	if n.DepartmentID == 0 {
		n.DepartmentID = a.Actor.DepartmentID
	}
	if n.Subject.ID != 0 {
		if old, open, err := s.Pending(ctx, a, n.Kind, n.Subject); err != nil {
			return Request{}, err
		} else if open {
			return Request{}, alreadyAsked(old)
		}
	}
	rule, err := s.Rule(ctx, a, n.Kind)
	if err != nil {
		return Request{}, err
	}
	rawRule, err := json.Marshal(rule)
	if err != nil {
		return Request{}, err
	}
	data := []byte("{}")
	if n.Data != nil {
		if data, err = json.Marshal(n.Data); err != nil {
			return Request{}, fmt.Errorf("approval: %s: %w", n.Kind, err)
		}
	}
	r := Request{Kind: n.Kind, Subject: n.Subject, Title: n.Title, DepartmentID: n.DepartmentID, Reason: n.Reason, Data: data, Rule: rule, State: Pending,
		RequestedBy: a.Actor.ID, RequestedByName: a.Actor.Name, RequestedAt: a.Now, LapseAt: a.Now.Add(time.Duration(rule.LapseDays) * 24 * time.Hour), Version: 1}
	err = a.QueryRow(ctx, `
		INSERT INTO approvals (kind, subject_type, subject_id, title, department_id, reason, data, rule, same_person, requested_by, requested_by_name, requested_at, arrived_at, lapse_at, demo)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id`,
		string(r.Kind), r.Subject.Type, r.Subject.ID, r.Title, r.DepartmentID, r.Reason, string(data), string(rawRule), db.Bool(rule.SamePerson), r.RequestedBy, r.RequestedByName,
		a.NowMicros(), a.NowMicros(), db.Micros(r.LapseAt), db.Bool(n.Demo)).Scan(&r.ID)
	if db.IsUnique(err, "approvals") {
		return Request{}, fault.New(fault.Conflict, "approval.already_asked", i18n.Key(n.Kind.Key()), "", "").Wrap(err)
	}
	if err != nil {
		return Request{}, fmt.Errorf("approval: ask: %w", err)
	}
	if err := note(ctx, a, r, Entry{What: DidAsk, ByID: a.Actor.ID, ByName: a.Actor.Name, Comment: r.Reason}); err != nil {
		return Request{}, err
	}
	a.Record(s.fact(Asked, r, nil, a.Actor.Name))
	if err := s.arrive(ctx, a, &r); err != nil {
		return Request{}, err
	}
	return r, nil
}

func alreadyAsked(r Request) error {
	return fault.New(fault.Conflict, "approval.already_asked", i18n.Key(r.Kind.Key()), r.RequestedByName, r.Number())
}

// Pending returns the open request of a kind about a thing.
func (s *Service) Pending(ctx context.Context, q db.Querier, kind Kind, about event.Subject) (Request, bool, error) {
	rs, err := list(ctx, q, `a.subject_type = $1 AND a.subject_id = $2 AND a.kind = $3 AND a.state = 'pending' ORDER BY a.id LIMIT 1`, about.Type, about.ID, string(kind))
	if err != nil || len(rs) == 0 {
		return Request{}, false, err
	}
	r := rs[0]
	ids, err := stored(ctx, q, r.ID)
	if err != nil {
		return r, false, err
	}
	r.Waiting, err = s.describe(ctx, q, r, ids)
	return r, true, err
}

// arrive brings r to its step: whose turn it is, and when they are reminded.
func (s *Service) arrive(ctx context.Context, a *action.Action, r *Request) error {
	r.ArrivedAt, r.Level, r.told = a.Now, 0, nil
	r.RemindAt, r.EscalateAt = after(a.Now, r.Rule.RemindHours), after(a.Now, r.Rule.EscalateHours)
	return s.turn(ctx, a, r, Arrived, DidArrive)
}

func after(t time.Time, hours int) time.Time {
	if hours <= 0 {
		return time.Time{}
	}
	return t.Add(time.Duration(hours) * time.Hour)
}

// turn finds out whose turn it is, writes it down, and tells those who have not
// been told. kind and did are what brought it about; a request nobody may decide
// says so instead, to its requester.
func (s *Service) turn(ctx context.Context, a *action.Action, r *Request, kind string, did Did) error {
	ids, err := s.candidates(ctx, a, *r)
	if err != nil {
		return err
	}
	if r.Waiting, err = s.describe(ctx, a, *r, ids); err != nil {
		return err
	}
	if err := setWaiting(ctx, a, r.ID, ids); err != nil {
		return err
	}
	all := audience(r.Waiting)
	var fresh []int64
	for _, id := range all {
		if !slices.Contains(r.told, id) {
			fresh = append(fresh, id)
		}
	}
	e := Entry{What: did, Names: names(r.Waiting)}
	f := s.fact(kind, *r, fresh, e.Names)
	if len(ids) == 0 {
		e.What = DidStick
		f = s.fact(Stuck, *r, []int64{r.RequestedBy})
	}
	r.told = all
	for _, id := range all {
		if !slices.Contains(r.asked, id) {
			r.asked = append(r.asked, id)
		}
	}
	if err := save(ctx, a, r); err != nil {
		return err
	}
	if err := note(ctx, a, *r, e); err != nil {
		return err
	}
	a.Record(f)
	return nil
}

// fact is an event about r; args follow what is asked for and its title in the
// sentence.
func (s *Service) fact(kind string, r Request, tell []int64, args ...string) event.Event {
	about := r.Subject
	return event.Event{Kind: kind, Subject: Subject(r.ID), Data: Facts{Number: r.Number(), Title: r.Title, Args: append([]string{"@" + r.Kind.Key(), r.Title}, args...),
		Link: r.Link(), Tell: tell, Kind: r.Kind, About: &about, Step: r.Step, Waiting: waitingIDs(r.Waiting)}}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
