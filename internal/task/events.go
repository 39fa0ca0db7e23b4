package task

import (
	"fmt"

	"bihuan/internal/event"
)

// The facts this room records.
const (
	Created         = "task.created"
	Edited          = "task.edited"
	Moved           = "task.moved"
	Reassigned      = "task.reassigned"
	DoneKind        = "task.done"
	ReopenedKind    = "task.reopened"
	CancelledKind   = "task.cancelled"
	Reminded        = "task.reminded"
	BecameLate      = "task.overdue"
	DayDue          = "task.day_due"
	TeamDue         = "task.team_due"
	DayChecked      = "task.day_checked"
	FeedMade        = "task.feed_made"
	FeedRevoked     = "task.feed_revoked"
	SettingsChanged = "task.settings_changed"
	HandedOver      = "task.handed_over"
)

// Kinds lists the facts of this room.
var Kinds = []string{Created, Edited, Moved, Reassigned, DoneKind, ReopenedKind, CancelledKind, Reminded, BecameLate, DayDue, TeamDue, DayChecked, FeedMade, FeedRevoked, SettingsChanged, HandedOver}

// SubjectType is what the facts about a task are about.
const SubjectType = "task"

// Facts is the data of this room's events. Args fill the sentence.
type Facts struct {
	Title   string         `json:"title,omitempty"`
	Args    []string       `json:"args,omitempty"`
	Link    string         `json:"link,omitempty"`
	Tell    []int64        `json:"tell,omitempty"`
	Owner   int64          `json:"owner,omitempty"`
	About   *event.Subject `json:"about,omitempty"`
	Origin  Origin         `json:"origin,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}

// note is the fact kind about t; further args follow its title.
func note(kind string, t Task, reason string, tell []int64, changes []event.Change, args ...string) event.Event {
	title := event.Mask(t.Title)
	f := Facts{Title: title, Args: append([]string{title}, args...), Link: t.Link(), Tell: tell, Owner: t.OwnerID, Origin: t.Origin, Changes: changes}
	if t.Subject.ID != 0 {
		f.About = &t.Subject
	}
	return event.Event{Kind: kind, Subject: event.Subject{Type: SubjectType, ID: t.ID}, Reason: reason, Data: f}
}

// Link is the page of a task.
func (t Task) Link() string { return fmt.Sprintf("/tasks/%d", t.ID) }

func handedOver(from, to, n int64) event.Event {
	return event.Event{Kind: HandedOver, Subject: event.Subject{Type: "user", ID: from}, Data: Facts{Args: []string{fmt.Sprint(n)}, Link: "/tasks", Tell: []int64{to}, Owner: to}}
}
