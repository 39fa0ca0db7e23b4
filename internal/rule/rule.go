package rule

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/outbound"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
)

// Rule is one rule as its administrator keeps it.
type Rule struct {
	ID        int64
	Name      string
	Note      string
	Position  int64
	Enabled   bool
	StopAfter bool // the rules behind it are not asked when it fired
	When      When
	If        Conditions // the form; unused when Expert
	Expr      string     // what is evaluated
	Expert    bool       // Expr was written by hand
	Then      []Act
	OffReason string // locale key: why the program switched it off
	Fired     int64
	FiredAt   time.Time
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
	Demo      bool

	failures int64
}

// When is what a rule waits for: events of tickets, or time.
type When struct {
	Events []string `json:"events,omitempty"` // codes of Occasions
	Time   *Timing  `json:"time,omitempty"`
}

// Timing is a matter of time.
type Timing struct {
	Since   string       `json:"since"`           // one of Sinces
	State   ticket.State `json:"state,omitempty"` // since state: which
	Minutes int          `json:"minutes"`
	Once    string       `json:"once"` // one of Onces
}

// Length is how long after.
func (t Timing) Length() time.Duration { return time.Duration(t.Minutes) * time.Minute }

// Sinces are what time is counted from; rule.since.<code>.
var Sinces = []string{"created", "activity", "customer", "state"}

// Onces say how often a matter of time fires on one ticket; rule.once.<code>.
var Onces = []string{"state", "ticket", "each"}

// Occasion is something that happens to tickets; rule.on.<code>.
type Occasion struct {
	Code  string
	Kinds []string // of events
}

// Occasions in the order they are offered.
var Occasions = []Occasion{
	{"registered", []string{"ticket.registered"}},
	{"moved", moves()},
	{"assigned", []string{"ticket.assigned", "ticket.reassigned", "ticket.taken", "ticket.handed_over"}},
	{"acknowledged", []string{"ticket.acknowledged", "ticket.taken"}},
	{"declined", []string{"ticket.declined"}},
	{"asked", []string{"ticket.asked"}},
	{"customer_wrote", []string{"ticket.customer_wrote", "ticket.answered"}},
	{"replied", []string{"ticket.replied"}},
	{"noted", []string{"ticket.noted"}},
	{"followed_up", []string{"ticket.followed_up"}},
	{"edited", []string{"ticket.edited"}},
	{"tagged", []string{ticket.TagsChanged}},
	{"confirmation", []string{"ticket.confirmation_requested"}},
	{"rated", []string{"ticket.rated", "ticket.confirmed", "ticket.disputed"}},
	{"second", []string{"ticket.disputed", "ticket.reopened"}},
	{"completed", []string{"ticket.confirmed", "ticket.lapsed"}},
	{"closed", []string{"ticket.closed"}},
	{"cancelled", []string{"ticket.cancelled"}},
	{"clock_near", []string{"ticket.clock_warned", "ticket.clock_reminded"}},
	{"clock_missed", []string{"ticket.clock_missed", "ticket.clock_escalated", "ticket.clock_waited"}},
	{"escalated", []string{"ticket.escalated"}},
}

// moves are the kinds of all steps between states, registration apart.
func moves() (out []string) {
	for _, k := range ticket.Events() {
		if k != "ticket.registered" {
			out = append(out, k)
		}
	}
	return out
}

// kinds returns the events the rule waits for.
func (w When) kinds() (out []string) {
	for _, o := range Occasions {
		if slices.Contains(w.Events, o.Code) {
			for _, k := range o.Kinds {
				if !slices.Contains(out, k) {
					out = append(out, k)
				}
			}
		}
	}
	return out
}

// Act is one thing a rule does; Values are what its kind of action asks for.
type Act struct {
	Do     string            `json:"do"` // code of an action
	Values map[string]string `json:"values,omitempty"`
}

// Get returns a value without blanks around it.
func (a Act) Get(name string) string { return strings.TrimSpace(a.Values[name]) }

// Limits of what a rule may be.
const (
	maxName   = 60
	maxNote   = 500
	maxActs   = 10
	maxRules  = 1000
	maxTiming = 365 * 24 * 60 // minutes
)

// Limits of what rules may do.
const (
	maxDepth        = 5    // rules one after the other
	maxTicketHour   = 30   // firings on one ticket in an hour
	maxSameHour     = 10   // of one rule on one ticket in an hour: then it goes round in circles
	maxRuleHour     = 2000 // of one rule in an hour
	maxFailures     = 5    // firings in a row that could do nothing
	keepLog         = 90 * 24 * time.Hour
	internalRetries = 3 // an error that is no refusal is tried again so often
)

// Rooms are what rules act upon.
type Rooms struct {
	Org       *org.Service
	Customers *customer.Service
	Tickets   *ticket.Service
	Processes *process.Service // nil: there are none
	Keys      *crypt.Keeper
	Jobs      *job.Queue
	PublicURL string
}

// Service is the room.
type Service struct {
	run  *action.Runner
	org  *org.Service
	cust *customer.Service
	tick *ticket.Service
	keys *crypt.Keeper
	jobs *job.Queue
	url  string
	net  outbound.Net
	proc *process.Service

	others []Other // kinds of actions of other rooms

	snap    atomic.Pointer[snapshot]
	loading sync.Mutex
	pending map[int64]bool   // tickets something is to be done for in the batch under way; the follower runs one at a time
	judged  map[int64]judged // what was found of events that wait for their transaction
	tries   map[[2]int64]int // (event, rule) -> errors so far
	passes  map[int64]pass   // rule -> how far the rolling look for matters of time is
	sweep   sync.Mutex       // one sweep at a time
}

// New returns the room and registers its jobs.
func New(run *action.Runner, r Rooms) *Service {
	s := &Service{run: run, org: r.Org, cust: r.Customers, tick: r.Tickets, keys: r.Keys, jobs: r.Jobs, url: strings.TrimSuffix(r.PublicURL, "/"),
		pending: map[int64]bool{}, judged: map[int64]judged{}, tries: map[[2]int64]int{}, passes: map[int64]pass{}}
	s.net = outbound.New()
	s.AddAction(s.tagging())
	s.AddAction(s.todo())
	if s.proc = r.Processes; s.proc != nil {
		s.AddAction(s.procedure(s.proc))
	}
	if r.Jobs != nil {
		r.Jobs.Add(job.Worker{Kind: webhookJob, Handle: s.callWebhook})
	}
	return s
}

func (s *Service) db() *db.DB { return s.run.DB() }

// actor is the rule acting; chain are the rules that led to it, itself last.
func (r *Rule) actor(chain []int64) authz.Actor {
	a := authz.System(actorPrefix + r.Name)
	a.Session = chainText(chain)
	return a
}

// actorPrefix begins the names under which rules act: actor.rule says the rest.
const actorPrefix = "rule: "

func decode(text string, v any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), v)
}
