package task

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/number"
)

// New is a task as somebody writes it down.
type New struct {
	Title   string
	Details string
	OwnerID int64 // 0: the actor
	DueAt   time.Time
	AllDay  bool
	Remind  int // minutes; NoReminder
	Subject event.Subject
}

func (n *New) check(now time.Time, zone *time.Location) error {
	n.Title, n.Details = line(n.Title), text(n.Details)
	e := fault.Invalidf("task.invalid")
	switch c := utf8.RuneCountInString(n.Title); {
	case c == 0:
		e.Field("title", "task.need_title")
	case c > MaxTitle:
		e.Field("title", "task.title_long", MaxTitle)
	}
	if utf8.RuneCountInString(n.Details) > MaxDetails {
		e.Field("details", "task.details_long", MaxDetails)
	}
	if n.Remind != NoReminder && (n.Remind < 0 || n.Remind > maxRemind) {
		e.Field("remind", "task.remind.range")
	}
	if n.AllDay && !n.DueAt.IsZero() {
		n.DueAt = EndOf(n.DueAt.In(zone))
	}
	if n.DueAt.IsZero() {
		n.AllDay = false
	}
	if !n.DueAt.IsZero() && n.DueAt.Year() > now.Year()+20 {
		e.Field("due", "task.due_far")
	}
	return e.OrNil()
}

// Create writes a task down, for the actor himself or a colleague.
func (s *Service) Create(ctx context.Context, actor authz.Actor, n New) (t Task, err error) {
	if err := actor.Check(PermUse); err != nil {
		return t, err
	}
	if err := n.check(s.Now(), s.zone); err != nil {
		return t, err
	}
	if err := s.sees(ctx, actor, n.Subject); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "task.create", func(ctx context.Context, a *action.Action) error {
		if n.OwnerID == 0 {
			n.OwnerID = actor.ID
		}
		if err := s.mayOwn(ctx, a, n.OwnerID, n.Subject); err != nil {
			return err
		}
		set, err := readSettings(ctx, a)
		if err != nil {
			return err
		}
		t = Task{Title: n.Title, Details: n.Details, OwnerID: n.OwnerID, DueAt: n.DueAt, AllDay: n.AllDay, Remind: n.Remind, Subject: n.Subject, Origin: ByHand}
		t.wind(a.Now, set, s.zone)
		if _, err := insert(ctx, a, &t); err != nil {
			return err
		}
		a.Record(note(Created, t, "", others(a, t.OwnerID), nil, t.Due(actor.Lang, s.zone)))
		return nil
	})
	return t, err
}

// sees checks that the actor may know of what a task is about.
func (s *Service) sees(ctx context.Context, actor authz.Actor, about event.Subject) error {
	if about.ID == 0 {
		return nil
	}
	known, err := s.Names(ctx, actor, []Task{{Subject: about}})
	if err != nil {
		return err
	}
	if _, ok := known[about]; !ok {
		return fault.Invalidf("task.subject.unknown").Field("subject", "task.subject.unknown")
	}
	return nil
}

// mayOwn checks that somebody can be given a task about something.
func (s *Service) mayOwn(ctx context.Context, a *action.Action, owner int64, about event.Subject) error {
	if ok, err := s.org.CanBeGiven(ctx, a, owner, 0, PermUse); err != nil {
		return err
	} else if !ok {
		return fault.Invalidf("task.owner.bad").Field("owner", "task.owner.bad")
	}
	if k := s.subjects[about.Type]; about.ID != 0 && owner != a.Actor.ID && k.Given != nil {
		return k.Given(ctx, a, about.ID, owner)
	}
	return nil
}

// others are users without who acts.
func others(a *action.Action, users ...int64) (out []int64) {
	for _, u := range users {
		if u != 0 && !(a.Actor.Kind == authz.User && a.Actor.ID == u) {
			out = append(out, u)
		}
	}
	return out
}

// programName is who makes the tasks nobody wrote down.
const programName = "task"

// Ask is a task that another room makes within its own transaction.
type Ask struct {
	Title   string
	Details string
	OwnerID int64
	DueAt   time.Time
	Subject event.Subject
	Origin  Origin
	EntryID int64
	Once    string // of tasks that say the same the first is made; "" each
	Quiet   bool   // the owner hears of it otherwise
}

// Add makes a task in the transaction of what asks for it. The zero task is
// returned when there has been one already.
func Add(ctx context.Context, a *action.Action, in Ask) (Task, error) {
	set, err := readSettings(ctx, a)
	if err != nil {
		return Task{}, err
	}
	t := Task{Title: cut(line(in.Title), MaxTitle), Details: cut(text(in.Details), MaxDetails), OwnerID: in.OwnerID, DueAt: in.DueAt, Remind: set.Remind, Subject: in.Subject, Origin: in.Origin, EntryID: in.EntryID, once: in.Once}
	if in.Origin != ByPlan { // whoever acts did not ask for it
		t.CreatedByName = programName
	}
	if t.Title == "" || t.OwnerID == 0 {
		return Task{}, fmt.Errorf("task: %s asks for a task without title or owner", in.Origin)
	}
	t.wind(a.Now, set, number.Zone)
	made, err := insert(ctx, a, &t)
	if err != nil || !made {
		return Task{}, err
	}
	var tell []int64
	if !in.Quiet {
		tell = others(a, t.OwnerID)
	}
	a.Record(note(Created, t, "", tell, nil, t.Due(a.Actor.Lang, number.Zone)))
	return t, nil
}

// Plan is the next plan of a follow-up record (FLW-1).
type Plan struct {
	EntryID  int64 // of the record
	Corrects int64 // the record this one corrects; 0 none
	Subject  event.Subject
	Text     string
	OwnerID  int64 // 0: who writes the record
	At       time.Time
	Done     bool // the record says that nothing is left to do
}

// Follow makes the plan of a record a task of its owner, in the transaction of
// the record. A record that corrects another moves, renames or ends the task of
// that one; a record that says the matter is done finishes what its author had
// planned for the same subject.
func Follow(ctx context.Context, a *action.Action, p Plan) error {
	p.Text = strings.TrimSpace(p.Text)
	if p.OwnerID == 0 && a.Actor.Kind == authz.User {
		p.OwnerID = a.Actor.ID
	}
	title, details := line(p.Text), ""
	if utf8.RuneCountInString(title) > 60 {
		title, details = cut(title, 60), text(p.Text)
	}
	had := false
	if p.Corrects != 0 {
		olds, err := list(ctx, a, `t.entry_id = $1 AND t.entry_id > 0`+a.ForUpdate(), p.Corrects)
		if err != nil {
			return err
		}
		for _, old := range olds {
			t := old
			t.EntryID, t.once, had = p.EntryID, onceOf(p.EntryID), true
			if old.State != Open { // it keeps how it ended
				if err := save(ctx, a, old, &t); err != nil {
					return err
				}
				a.Record(note(Edited, t, "", nil, nil))
				continue
			}
			switch {
			case p.Done:
				err = finish(ctx, a, old, t, Done, "")
			case p.Text == "":
				err = finish(ctx, a, old, t, Cancelled, "corrected")
			default:
				t.Title, t.Details, t.DueAt, t.AllDay = title, details, p.At, false
				if p.OwnerID != 0 {
					t.OwnerID = p.OwnerID
				}
				err = rewind(ctx, a, old, &t)
			}
			if err != nil {
				return err
			}
		}
	}
	if p.Done {
		return finishMine(ctx, a, p.Subject)
	}
	if had || p.Text == "" || p.OwnerID == 0 {
		return nil
	}
	// Who is to go on with a ticket hears of it by the record itself.
	_, err := Add(ctx, a, Ask{Title: title, Details: details, OwnerID: p.OwnerID, DueAt: p.At, Subject: p.Subject, Origin: ByPlan, EntryID: p.EntryID, Once: onceOf(p.EntryID), Quiet: p.Subject.Type == "ticket"})
	return err
}

func onceOf(entry int64) string { return fmt.Sprintf("entry:%d", entry) }

// finishMine ends what the actor had planned for about.
func finishMine(ctx context.Context, a *action.Action, about event.Subject) error {
	if a.Actor.Kind != authz.User || about.ID == 0 {
		return nil
	}
	ts, err := list(ctx, a, `t.subject_type = $1 AND t.subject_id = $2 AND t.subject_id > 0 AND t.state = 'open' AND t.owner_id = $3 AND t.origin = 'plan' ORDER BY t.id`+a.ForUpdate(), about.Type, about.ID, a.Actor.ID)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if err := finish(ctx, a, t, t, Done, ""); err != nil {
			return err
		}
	}
	return nil
}

// Settle ends the open tasks of about that came of origins, because what they
// asked for has happened (Done) or no longer matters (Cancelled). user 0 means
// everybody's.
func Settle(ctx context.Context, a *action.Action, about event.Subject, to State, reason string, origins ...Origin) error {
	ts, err := list(ctx, a, `t.subject_type = $1 AND t.subject_id = $2 AND t.subject_id > 0 AND t.state = 'open' ORDER BY t.id`+a.ForUpdate(), about.Type, about.ID)
	if err != nil {
		return err
	}
	for _, t := range ts {
		for _, o := range origins {
			if t.Origin != o {
				continue
			}
			if err := end(ctx, a, t, t, to, reason, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish ends a task; t is old with what else changes.
func finish(ctx context.Context, a *action.Action, old, t Task, to State, reason string) error {
	return end(ctx, a, old, t, to, reason, false)
}

// end is finish; quiet leaves out notices, because what ended the task is told
// already.
func end(ctx context.Context, a *action.Action, old, t Task, to State, reason string, quiet bool) error {
	t.State, t.Reason, t.ClosedAt, t.ClosedByName, t.remindAt, t.lateAt = to, reason, a.Now, a.Actor.Name, time.Time{}, time.Time{}
	if a.Actor.Kind == authz.User {
		t.ClosedBy = a.Actor.ID
	}
	if err := save(ctx, a, old, &t); err != nil {
		return err
	}
	kind, tell := DoneKind, others(a, t.CreatedBy)
	if t.CreatedBy == t.OwnerID {
		tell = nil
	}
	if to == Cancelled {
		kind, tell = CancelledKind, others(a, t.OwnerID)
	}
	if quiet || a.Actor.Kind != authz.User {
		tell = nil // what the program does by itself is seen where it happened
	}
	a.Record(note(kind, t, reason, tell, nil))
	return nil
}

// rewind saves what has changed of an open task with its reminders anew.
func rewind(ctx context.Context, a *action.Action, old Task, t *Task) error {
	set, err := readSettings(ctx, a)
	if err != nil {
		return err
	}
	if !t.DueAt.Equal(old.DueAt) || t.Remind != old.Remind || t.AllDay != old.AllDay || t.State != old.State {
		t.wind(a.Now, set, number.Zone)
	}
	if err := save(ctx, a, old, t); err != nil {
		return err
	}
	var changes []event.Change
	for _, c := range []event.Change{{Field: "task.title", Old: event.Mask(old.Title), New: event.Mask(t.Title)}, {Field: "task.due", Old: old.Due(a.Actor.Lang, number.Zone), New: t.Due(a.Actor.Lang, number.Zone)},
		{Field: "task.owner", Old: fmt.Sprint(old.OwnerID), New: fmt.Sprint(t.OwnerID)}, {Field: "task.remind", Old: fmt.Sprint(old.Remind), New: fmt.Sprint(t.Remind)}} {
		if c.Old != c.New {
			changes = append(changes, c)
		}
	}
	kind := Edited
	switch {
	case old.OwnerID != t.OwnerID:
		kind = Reassigned
	case !old.DueAt.Equal(t.DueAt) && old.Title == t.Title:
		kind = Moved
	}
	tell := others(a, t.OwnerID)
	if old.OwnerID != t.OwnerID {
		tell = others(a, old.OwnerID, t.OwnerID)
	}
	a.Record(note(kind, *t, t.Reason, tell, changes, t.Due(a.Actor.Lang, number.Zone)))
	return nil
}
