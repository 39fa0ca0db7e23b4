package approval

import (
	"bihuan/internal/event"
)

// The facts this room records. Titles come from the rooms that ask, which keep
// clear personal values out of them; reasons and comments stay out of the facts
// and in the request, where a person's wish to be forgotten reaches them (GOV-4).
const (
	Asked        = "approval.asked"
	Arrived      = "approval.arrived"    // at a step; tells whose turn it is
	Reassigned   = "approval.reassigned" // somebody left, came, or is stood in for
	Stuck        = "approval.stuck"      // nobody may decide this step
	Reminded     = "approval.reminded"
	Escalated    = "approval.escalated"
	StepApproved = "approval.step_approved"
	ApprovedKind = "approval.approved"
	RefusedKind  = "approval.refused"
	WithdrawnAt  = "approval.withdrawn"
	LapsedKind   = "approval.lapsed"
	RuleChanged  = "approval.rule_changed"
)

// Kinds lists the facts of this room.
var Kinds = []string{Asked, Arrived, Reassigned, Stuck, Reminded, Escalated, StepApproved, ApprovedKind, RefusedKind, WithdrawnAt, LapsedKind, RuleChanged}

// SubjectType is what the facts of this room are about.
const SubjectType = "approval"

// Subject is the request id as the subject of an event.
func Subject(id int64) event.Subject { return event.Subject{Type: SubjectType, ID: id} }

// Facts is the data of this room's events. Args fill the sentence: what is asked
// for, its title, and who acted.
type Facts struct {
	Number  string         `json:"number,omitempty"`
	Title   string         `json:"title,omitempty"`
	Args    []string       `json:"args,omitempty"`
	Link    string         `json:"link,omitempty"`
	Tell    []int64        `json:"tell,omitempty"`
	Urgent  bool           `json:"urgent,omitempty"`
	Kind    Kind           `json:"kind,omitempty"`
	About   *event.Subject `json:"about,omitempty"`
	Step    int            `json:"step"`
	For     int64          `json:"for,omitempty"`     // whom the actor stood in for
	Waiting []int64        `json:"waiting,omitempty"` // whose turn it is now
	Changes []event.Change `json:"changes,omitempty"`
}
