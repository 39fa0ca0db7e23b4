package rule

import "bihuan/internal/event"

// The facts this room records. What rules do to tickets are the tickets' facts.
const (
	Created     = "rule.created"
	Changed     = "rule.changed"
	Enabled     = "rule.enabled"
	Disabled    = "rule.disabled"
	Moved       = "rule.moved"
	Removed     = "rule.removed"
	SwitchedOff = "rule.switched_off" // by the program; tells the administrators
	Notified    = "rule.notified"     // a rule told colleagues something of a ticket
	Called      = "rule.called"       // a rule asked for a web address to be called
	ReplyChange = "rule.reply_changed"
	HookChange  = "rule.webhook_changed"
	NewSecret   = "rule.secret_made"
)

// Kinds lists the facts of this room.
var Kinds = []string{Created, Changed, Enabled, Disabled, Moved, Removed, SwitchedOff, Notified, Called, ReplyChange, HookChange, NewSecret}

const subjectType = "rule"

// Subject is rule id as the subject of an event.
func Subject(id int64) event.Subject { return event.Subject{Type: subjectType, ID: id} }

// Facts is the data of this room's events.
type Facts struct {
	Number  string         `json:"number,omitempty"` // of the ticket
	Title   string         `json:"title,omitempty"`
	Args    []string       `json:"args,omitempty"`
	Link    string         `json:"link,omitempty"`
	Tell    []int64        `json:"tell,omitempty"`
	Version int64          `json:"version,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}
