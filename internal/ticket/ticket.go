package ticket

import (
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/sla"
)

// State of a ticket; named ticket.state.<state>.
type State string

const (
	Pending              State = "pending"
	InProgress           State = "in_progress"
	WaitingCustomer      State = "waiting_customer"
	AwaitingConfirmation State = "awaiting_confirmation"
	Completed            State = "completed"
	Closed               State = "closed"
	Cancelled            State = "cancelled"
)

// States in the order of life.
var States = []State{Pending, InProgress, WaitingCustomer, AwaitingConfirmation, Completed, Closed, Cancelled}

// Open reports whether somebody still owes a step.
func (s State) Open() bool {
	return s == Pending || s == InProgress || s == WaitingCustomer || s == AwaitingConfirmation
}

// Codes a ticket is described with, in the order they are offered. Their names
// are the locale keys ticket.<what>.<code>.
var (
	Types      = []string{"consultation", "complaint", "after_sales", "other"}
	Classes    = []string{"consulting", "problem", "complaint", "support"}
	Urgencies  = []string{"urgent", "normal", "low"}
	Priorities = []string{"urgent", "high", "medium", "low"}
	Channels   = []string{"phone", "chat", "email", "social", "website", "walk_in", "paper", "api"}
	Levels     = []string{"normal", "vip", "strategic"}
)

// Outcomes of a finished ticket.
const (
	OutcomeConfirmed = "confirmed" // by the customer through his link
	OutcomePhone     = "phone"     // by phone, recorded by staff
	OutcomeSilence   = "silence"   // no answer within the time
	OutcomeCancelled = "cancelled"
)

// Ticket is one request. Zero times have not happened.
type Ticket struct {
	ID             int64
	Number         string
	ParentID       int64 // main ticket; 0: this is one
	Title          string
	Type           string
	Class          string
	CategoryID     int64
	Urgency        string
	Priority       string
	PriorityReason string // why it differs from the matrix
	Channel        string
	Description    string
	CustomerID     int64
	CustomerName   string
	CustomerLevel  string
	ContactID      int64
	DepartmentID   int64
	AssigneeID     int64 // 0: in the department's queue
	AssigneeName   string
	SupervisorID   int64 // on whose desk it lies; 0: nobody's
	State          State
	Round          int // 1; 2 and more are second handlings
	Escalation     int
	Overdue        bool
	OpenChildren   int
	OpenTasks      int // about it; kept by the room of tasks
	Solution       string
	Cause          string
	Corrective     string
	DelayReason    string
	Summary        string
	Outcome        string
	CancelReason   string
	DuplicateOf    int64
	FollowsID      int64
	MergedInto     int64      // the ticket that goes on for this one; 0: none
	Joined         bool       // others were merged into it, perhaps given back since
	DeferralID     int64      // the request for a deferral that waits; 0: none
	DeferredFrom   time.Time  // first promise of this round, before it was deferred
	DueFixed       bool       // people agreed on the deadline; policies leave it alone
	Conference     Conference // whether one has to be held before the answer
	Rating         int        // stars of the newest rating; 0: none
	LinkKey        string
	DueAt          time.Time // nearest deadline; zero: none
	DueClock       sla.Kind
	DueTotal       time.Duration
	CreatedBy      int64
	CreatedByName  string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ActivityAt     time.Time
	StateAt        time.Time // since when it is in its state
	CustomerAt     time.Time // newest word of the customer not yet answered
	AssignedAt     time.Time
	AcknowledgedAt time.Time
	RespondedAt    time.Time
	ResolvedAt     time.Time
	CompletedAt    time.Time
	ClosedAt       time.Time
	ProcessID      int64 // 0: it follows none
	ProcessVersion int64 // the version it began with, and keeps
	Stage          string
	StageName      string
	StageAt        time.Time // since when it stands there
	Tags           Tags
	Version        int64
}

// owners are the people a scope compares with.
func (t *Ticket) owners() []int64 { return []int64{t.AssigneeID, t.CreatedBy, t.SupervisorID} }

// InScope reports whether sc reaches the ticket by owner or department;
// watchers and relatives of sub-tickets are known to the database only.
func (t *Ticket) InScope(sc authz.Scope) bool { return sc.Matches(t.owners(), t.DepartmentID) }

// Rating is a customer's judgement of one round.
type Rating struct {
	Round      int
	Stars      int // 1 to 5; 0: only solved or not
	Speed      int // 0: not given
	Quality    int
	Attitude   int
	Handling   int // of a complaint: how it was handled, whatever came of it
	Solved     bool
	Comment    string
	Suggestion string
	Via        string // link, phone
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Bad reports whether the rating starts a second handling (SAT-3).
func (r Rating) Bad(threshold int) bool { return !r.Solved || r.Stars > 0 && r.Stars <= threshold }

// Config are the numbers an administrator may change.
type Config struct {
	NumberTemplate string
	BadStars       int           // at or below: second handling
	ReopenWindow   time.Duration // after completion
	RatingChange   time.Duration // how long an answer may be changed (SAT-2)
	RefuseVague    bool          // refuse vague follow-ups instead of warning (FLW-3)
}

// DefaultConfig is that of a fresh install.
func DefaultConfig() Config {
	return Config{NumberTemplate: "TASK{yyyyMMdd}{3}", BadStars: 3, ReopenWindow: 7 * 24 * time.Hour, RatingChange: 24 * time.Hour}
}
