package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
)

// Kind names what is asked for; its name on screen is the locale key
// "approval.kind.<kind>".
type Kind string

// Key is the locale key of the kind's name.
func (k Kind) Key() string { return "approval.kind." + string(k) }

// StepKind says who is asked at a step; its name on screen is the locale key
// "approval.step.<kind>".
type StepKind string

const (
	Head       StepKind = "head"       // the head of the department concerned, else the nearest above
	Supervisor StepKind = "supervisor" // who answers for the department: its supervisor, else its head, else the same above
	Admin      StepKind = "admin"      // anybody holding PermAdmin
	Person     StepKind = "person"     // somebody named in the rule; where he may not, his head
)

// StepKinds in the order they are offered.
var StepKinds = []StepKind{Supervisor, Head, Admin, Person}

// Step is one station of a request's way.
type Step struct {
	Kind   StepKind `json:"kind"`
	UserID int64    `json:"user_id,omitempty"` // of Person
}

// Rule is the way requests of a kind take. An administrator changes it for
// requests to come.
type Rule struct {
	Steps         []Step `json:"steps"`
	RemindHours   int    `json:"remind_hours"`   // a reminder this often while a step waits; 0: none
	EscalateHours int    `json:"escalate_hours"` // the next one above is asked as well, this often; 0: never
	LapseDays     int    `json:"lapse_days"`     // undecided requests end after
	SamePerson    bool   `json:"same_person"`    // whether one person may decide several steps
}

// What holds until an administrator changes it.
const (
	DefaultRemindHours   = 24
	DefaultEscalateHours = 72
	DefaultLapseDays     = 14
)

// Line is one thing the deciders are shown about a request.
type Line struct{ Label, Value, Href string }

// Definition declares a kind of request.
type Definition struct {
	Kind  Kind
	Steps []StepKind // until an administrator changes them; Head, Admin if empty
	// Describe returns what is shown of r beside title and reason, in l; may be nil.
	// It is asked for each reader of the request, so it shows no clear values.
	Describe func(ctx context.Context, q db.Querier, r Request, l i18n.Lang) ([]Line, error)
	// Decided is called once, in the transaction in which r came to its end:
	// r.State is Approved, Refused, Withdrawn or Lapsed, and r.History tells who
	// decided. An error refuses the decision, and the decider reads it. The action's
	// actor is who decided; that he may do what was asked for follows from the
	// request and is not checked again.
	Decided func(ctx context.Context, a *action.Action, r Request) error
}

// State is where a request stands.
type State string

const (
	Pending   State = "pending"
	Approved  State = "approved"
	Refused   State = "refused"
	Withdrawn State = "withdrawn" // by its requester
	Lapsed    State = "lapsed"    // nobody decided in time
)

// States in the order they are offered.
var States = []State{Pending, Approved, Refused, Withdrawn, Lapsed}

// New is a request as a room makes it.
type New struct {
	Kind    Kind
	Subject event.Subject // what it is about; about one thing at most one request of a kind is open
	// Title names the thing in a few words, without clear personal values: it
	// goes into notices and the audit trail.
	Title        string
	DepartmentID int64  // whose head is asked; 0: the requester's
	Reason       string // in the requester's words
	Data         any    // for Describe and Decided; see Request.Decode
	Demo         bool
}

// Request is something that somebody else has to agree to.
type Request struct {
	ID              int64
	Kind            Kind
	Subject         event.Subject
	Title           string
	DepartmentID    int64
	Reason          string
	Data            json.RawMessage
	Rule            Rule
	State           State
	RequestedBy     int64
	RequestedByName string
	RequestedAt     time.Time
	Step            int       // index in Rule.Steps; that of the last decision when it has ended
	ArrivedAt       time.Time // at the step
	Level           int       // how often the step was escalated
	RemindAt        time.Time // zero: no reminder will come
	EscalateAt      time.Time // zero: nobody further will be asked
	LapseAt         time.Time
	DecidedAt       time.Time
	Version         int64

	Waiting []Waiting // whose turn it is; empty and Pending: nobody may decide
	History []Entry   // oldest first; of Get and Decided only

	told  []int64 // whose turn it is at this step and who knows
	asked []int64 // whose turn it has been at any step
}

// Number is how people name the request.
func (r Request) Number() string { return fmt.Sprintf("SP%06d", r.ID) }

// Link is the request's page.
func (r Request) Link() string { return fmt.Sprintf("/approvals/%d", r.ID) }

// Decode reads Data into v.
func (r Request) Decode(v any) error {
	if err := json.Unmarshal(r.Data, v); err != nil {
		return fmt.Errorf("approval: data of %d (%s): %w", r.ID, r.Kind, err)
	}
	return nil
}

// Decisions are the approvals and the refusal in History.
func (r Request) Decisions() []Entry {
	var out []Entry
	for _, e := range r.History {
		if e.What == DidApprove || e.What == DidRefuse {
			out = append(out, e)
		}
	}
	return out
}

// Waiting is somebody whose turn it is.
type Waiting struct {
	UserID      int64
	Name        string
	Away        bool
	StandIn     int64 // who acts for him now; 0: nobody
	StandInName string
}

// Did is what happened to a request; its name on screen is the locale key
// "approval.did.<what>".
type Did string

const (
	DidAsk      Did = "asked"
	DidArrive   Did = "arrived"
	DidReassign Did = "reassigned"
	DidStick    Did = "stuck"
	DidRemind   Did = "reminded"
	DidEscalate Did = "escalated"
	DidApprove  Did = "approved"
	DidRefuse   Did = "refused"
	DidWithdraw Did = "withdrawn"
	DidLapse    Did = "lapsed"
)

// Entry is a line of a request's history.
type Entry struct {
	ID      int64
	Step    int
	What    Did
	At      time.Time
	ByID    int64 // 0: the program
	ByName  string
	ForID   int64 // whom By stood in for; 0: himself
	ForName string
	Names   string // who was asked, as they were called then
	Comment string
	Took    time.Duration // how long the step had waited
}

// Service is the room's only door.
type Service struct {
	run   *action.Runner
	org   *org.Service
	kinds map[Kind]Definition
	order []Kind
}

// NewService returns the room; register kinds before the first request.
func NewService(run *action.Runner, o *org.Service) *Service {
	return &Service{run: run, org: o, kinds: map[Kind]Definition{}}
}

// Register declares a kind of request.
func (s *Service) Register(d Definition) {
	if _, twice := s.kinds[d.Kind]; twice {
		panic("approval: kind " + string(d.Kind) + " twice")
	}
	if len(d.Steps) == 0 {
		d.Steps = []StepKind{Head, Admin}
	}
	s.kinds[d.Kind] = d
	s.order = append(s.order, d.Kind)
	slices.Sort(s.order)
}

// Registered returns the kinds there are, by name.
func (s *Service) Registered() []Kind { return slices.Clone(s.order) }

// Describe returns what is shown of r beside title and reason.
func (s *Service) Describe(ctx context.Context, r Request, l i18n.Lang) ([]Line, error) {
	d, ok := s.kinds[r.Kind]
	if !ok || d.Describe == nil {
		return nil, nil
	}
	return d.Describe(ctx, s.run.DB().Read(), r, l)
}

// person reports whether the actor is a member of the staff, who alone asks and
// decides.
func person(a authz.Actor) bool { return a.Kind == authz.User && a.ID != 0 }
