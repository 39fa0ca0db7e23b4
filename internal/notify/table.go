package notify

import (
	"context"
	"slices"
	"strings"

	"bihuan/internal/db"
	"bihuan/internal/setting"
)

// Class is how loud a notice is.
type Class string

const (
	Normal Class = "normal" // waits for quiet hours and digests
	Urgent Class = "urgent" // also at night, by the instant ways; unread, it goes another way
	Insist Class = "insist" // as urgent, again and again until somebody says that he knows
)

// Classes from the quietest to the loudest.
var Classes = []Class{Normal, Urgent, Insist}

// Mode is what the administrator allows for an event on a way.
type Mode string

const (
	Never Mode = "never" // not this way
	May   Mode = "may"   // whoever wants it
	On    Mode = "on"    // unless somebody does not want it
	Must  Mode = "must"  // everybody
)

// Modes in the order they are shown.
var Modes = []Mode{Never, May, On, Must}

// Occasion is a line of the table "event, who, which class" as the product
// proposes it. Who says in words whom the rooms name in their facts. A fixed one
// cannot be switched off: somebody answers for what would be missed.
type Occasion struct {
	Kind  string // of the event; Other for all that is not in the table
	Area  string
	Who   string
	Class Class
	On    bool // proposed for the ways out of the house; else whoever wants it
	Fixed bool
}

// Other stands for the events that are not in the table.
const Other = "other"

// Occasions is the table as the product proposes it.
var Occasions = []Occasion{
	{"ticket.registered", "work", "assignee", Normal, true, true},
	{"ticket.assigned", "work", "assignee", Normal, true, true},
	{"ticket.reassigned", "work", "assignee", Normal, true, true},
	{"ticket.handed_over", "work", "assignee", Normal, true, false},
	{"ticket.handover_received", "work", "receiver", Normal, true, false},
	{"ticket.handover_given", "work", "owner", Normal, false, false},
	{"ticket.declined", "work", "supervisor", Normal, true, false},
	{"ticket.help_requested", "work", "assisting", Normal, true, false},
	{"ticket.child_ended", "work", "assignee", Normal, false, false},
	{"ticket.child_reopened", "work", "assignee", Normal, true, false},
	{"ticket.nudged", "work", "assignee", Urgent, true, false},
	{"ticket.put_off_ended", "work", "self", Normal, false, false},
	{"ticket.stage_entered", "work", "stage", Normal, true, false},
	{"ticket.stage_moved", "work", "stage", Normal, true, false},
	{"ticket.stage_passed", "work", "stage", Normal, true, false},
	{"ticket.noted", "work", "mentioned", Normal, true, false},
	{"ticket.followed_up", "work", "mentioned", Normal, true, false},
	{"ticket.draft_shared", "work", "mentioned", Normal, false, false},
	{"ticket.sending_refused", "work", "author", Normal, true, false},
	{"ticket.merged_in", "work", "assignee", Normal, false, false},

	{"ticket.answered", "customer", "assignee", Normal, true, false},
	{"ticket.customer_wrote", "customer", "assignee", Normal, true, false},
	{"ticket.disputed", "customer", "supervisor", Urgent, true, true},
	{"ticket.reopened", "customer", "assignee", Normal, true, false},
	{"ticket.rated", "customer", "assignee", Normal, false, false},
	{"complaint.upgraded", "customer", "owner", Urgent, true, true},

	{"ticket.clock_warned", "time", "ladder", Normal, true, true},
	{"ticket.clock_reminded", "time", "ladder", Normal, true, true},
	{"ticket.clock_missed", "time", "ladder", Urgent, true, true},
	{"ticket.clock_escalated", "time", "ladder", Insist, true, true},
	{"ticket.clock_again", "time", "ladder", Normal, true, true},
	{"ticket.clock_waited", "time", "assignee", Normal, false, false},
	{"ticket.escalated", "time", "supervisor", Urgent, true, true},
	{"ticket.deferred", "time", "assignee", Normal, false, false},
	{"ticket.deferral_refused", "time", "assignee", Normal, true, false},
	{"ticket.deferral_lapsed", "time", "assignee", Normal, true, false},
	{"task.created", "time", "owner", Normal, false, false},
	{"task.reassigned", "time", "owner", Normal, true, false},
	{"task.reminded", "time", "owner", Normal, true, false},
	{"task.overdue", "time", "owner", Normal, true, false},
	{"task.day_due", "time", "self", Normal, false, false},
	{"task.team_due", "time", "lead", Normal, false, false},
	{"task.handed_over", "time", "receiver", Normal, true, false},

	{"approval.arrived", "approval", "approver", Normal, true, true},
	{"approval.reassigned", "approval", "approver", Normal, true, true},
	{"approval.reminded", "approval", "approver", Urgent, true, false},
	{"approval.escalated", "approval", "approver", Urgent, true, true},
	{"approval.approved", "approval", "asker", Normal, true, false},
	{"approval.refused", "approval", "asker", Normal, true, false},
	{"approval.lapsed", "approval", "asker", Normal, true, false},

	{"ticket.conference_planned", "other", "invited", Normal, true, false},
	{"ticket.conference_changed", "other", "invited", Normal, true, false},
	{"ticket.conference_cancelled", "other", "invited", Normal, true, false},
	{"ticket.conference_held", "other", "invited", Normal, false, false},
	{"customer.verification_due", "other", "owner", Normal, false, false},
	{"customer.verification_overdue", "other", "owner", Normal, true, false},
	{"customer.export_ready", "other", "asker", Normal, false, false},
	{"customer.export_failed", "other", "asker", Normal, false, false},
	{"org.away_with_work", "other", "supervisor", Normal, true, false},
	{"rule.notified", "other", "named", Normal, true, false},
	{"rule.switched_off", "other", "admins", Normal, true, false},
	{Other, "other", "named", Normal, false, false},
}

// Areas in the order they are shown.
var Areas = []string{"work", "customer", "time", "approval", "other"}

var byKind = func() map[string]Occasion {
	m := make(map[string]Occasion, len(Occasions))
	for _, o := range Occasions {
		m[o.Kind] = o
	}
	return m
}()

// occasion returns the line an event falls under.
func occasion(kind string) Occasion {
	if o, ok := byKind[kind]; ok {
		return o
	}
	return byKind[Other]
}

// Rule is what the administrator changed of a line; zero fields leave what is
// proposed.
type Rule struct {
	Off   bool            `json:"off,omitempty"`
	Also  []string        `json:"also,omitempty"` // who else, as in the ladders: supervisor, role:3, user:7
	Only  bool            `json:"only,omitempty"` // and not those the event names
	Class Class           `json:"class,omitempty"`
	Ways  map[string]Mode `json:"ways,omitempty"`
}

// Table is the administrator's side of the table, and what holds for all lines.
type Table struct {
	Rules   map[string]Rule `json:"rules,omitempty"`
	BaseURL string          `json:"base_url,omitempty"` // "": the address the program was started with
	Instant []string        `json:"instant"`            // ways that urgent notices take in any case
	// ChaseAfter is how many minutes an urgent notice may stay unread before it
	// goes another way; 0: it does not.
	ChaseAfter int   `json:"chase_after"`
	Repeat     int   `json:"repeat"`  // minutes between the rounds of what insists
	Repeats    int   `json:"repeats"` // how many rounds at most
	Version    int64 `json:"version"`
}

const tableSetting = "notify.table"

// DefaultTable is that of a fresh install.
func DefaultTable() Table {
	return Table{Instant: []string{Push, WeCom, DingTalk, Feishu}, ChaseAfter: 10, Repeat: 15, Repeats: 4}
}

func readTable(ctx context.Context, q db.Querier) (Table, error) {
	t := DefaultTable()
	err := setting.Read(ctx, q, tableSetting, &t)
	return t, err
}

// Line is a line of the table as it is in force.
type Line struct {
	Occasion
	Off     bool
	Also    []string // who else is told
	Only    bool     // nobody else is
	Changed bool     // differs from what the product proposes
	Modes   map[string]Mode
}

// Line returns what is in force for kind.
func (t Table) Line(kind string) Line {
	o := occasion(kind)
	r, changed := t.Rules[o.Kind]
	l := Line{Occasion: o, Off: r.Off && !o.Fixed, Also: r.Also, Only: r.Only && !o.Fixed && len(r.Also) > 0, Changed: changed, Modes: map[string]Mode{}}
	if r.Class != "" {
		l.Class = r.Class
	}
	for _, w := range Ways {
		l.Modes[w] = proposed(o, w)
		if m := r.Ways[w]; m != "" {
			l.Modes[w] = m
		}
	}
	return l
}

func proposed(o Occasion, way string) Mode {
	switch {
	case way == Webhook:
		return Must // who sets it up wants to hear everything
	case way == SMS:
		return May // costs money
	case o.On:
		return On
	}
	return May
}

// Lines is the whole table.
func (t Table) Lines() []Line {
	out := make([]Line, len(Occasions))
	for i, o := range Occasions {
		out[i] = t.Line(o.Kind)
	}
	return out
}

// class of a notice of that line about something urgent or not, which itself may
// want to be loud.
func (l Line) class(urgent bool, loud Class) Class {
	if urgent {
		loud = louder(Urgent, loud)
	}
	return louder(l.Class, loud)
}

// louder is the louder of two classes; what is none counts as the quietest.
func louder(a, b Class) Class {
	return Classes[max(0, slices.Index(Classes, a), slices.Index(Classes, b))]
}

// wants reports whether a person with these choices gets the line by way; reach
// is asked by the caller.
func (t Table) wants(l Line, c Class, p *person, way string) bool {
	mode := l.Modes[way]
	switch {
	case mode == Never || mode == "":
		return false
	case mode == Must || c != Normal && slices.Contains(t.Instant, way):
		return true
	case p == nil:
		return mode == On
	}
	if v, ok := p.Picks[l.Kind][way]; ok {
		return v
	}
	return mode == On
}

// base is the address links begin with; "": none is known.
func (s *Service) base(t Table) string {
	if t.BaseURL != "" {
		return strings.TrimSuffix(t.BaseURL, "/")
	}
	return s.url
}
