package sim

import "slices"

// What the life of a ticket is, written down a second time: nothing here is
// taken from the rooms.

const (
	pending  = "pending"
	working  = "in_progress"
	waiting  = "waiting_customer"
	awaiting = "awaiting_confirmation"
	done     = "completed"
	closed   = "closed"
	gone     = "cancelled"
)

func open(state string) bool { return !slices.Contains([]string{done, closed, gone}, state) }

// step is a move as its event tells it.
type step struct {
	from []string
	to   string // "" as before
	by   string // who may
}

// Parties of a move.
const (
	anybody   = ""
	assignee  = "assignee"
	member    = "member"              // becomes the assignee
	system    = "system"              // nobody else
	outside   = "customer or staff"   // the customer, or staff on his behalf
	boss      = "supervisor"          // who may supervise
	mayCancel = "supervisor only"     //
	mayReopen = "customer, boss"      //
	mayPass   = "dispatcher or owner" //
	mayBack   = "owner or supervisor" // withdraw
)

var steps = map[string]step{
	"ticket.registered":             {nil, pending, anybody},
	"ticket.assigned":               {[]string{pending}, pending, boss},
	"ticket.taken":                  {[]string{pending}, working, member},
	"ticket.acknowledged":           {[]string{pending}, working, assignee},
	"ticket.declined":               {[]string{pending}, pending, assignee},
	"ticket.asked":                  {[]string{working}, waiting, assignee},
	"ticket.answered":               {[]string{waiting}, working, anybody},
	"ticket.resumed":                {[]string{waiting}, working, assignee},
	"ticket.reassigned":             {[]string{working}, pending, mayPass},
	"ticket.help_requested":         {[]string{working}, working, assignee},
	"ticket.confirmation_requested": {[]string{working}, awaiting, assignee},
	"ticket.confirmed":              {[]string{awaiting}, done, outside},
	"ticket.disputed":               {[]string{awaiting}, pending, outside},
	"ticket.lapsed":                 {[]string{awaiting}, done, system},
	"ticket.withdrawn":              {[]string{awaiting}, working, mayBack},
	"ticket.reopened":               {[]string{done}, pending, mayReopen},
	"ticket.closed":                 {[]string{done}, closed, anybody},
	"ticket.cancelled":              {[]string{pending, working, waiting}, gone, mayCancel},
	"ticket.merged":                 {[]string{pending, working, waiting}, gone, anybody},
	"ticket.unmerged":               {[]string{gone}, "", anybody},
}

// needReason are the moves that say why.
var needReason = []string{"ticket.declined", "ticket.resumed", "ticket.reassigned", "ticket.withdrawn", "ticket.reopened"}

// Clocks.
const (
	firstResponse = "first_response"
	acknowledge   = "acknowledge"
	urgentClock   = "urgent"
	update        = "update"
	resolution    = "resolution"
	customerReply = "customer_reply"
	confirmation  = "confirmation"
	followUp      = "follow_up"
)

// promised are the times of the simulated company's policies in minutes.
var promised = map[string]map[string]int64{
	"urgent": {firstResponse: 120, acknowledge: 120, urgentClock: 30, update: 1440, resolution: 1440, customerReply: 4320, confirmation: 4320, followUp: 1440},
	"low":    {firstResponse: 4320, acknowledge: 120, update: 1440, resolution: 7200, customerReply: 4320, confirmation: 4320, followUp: 1440},
	"vip":    {firstResponse: 480, acknowledge: 120, update: 540, resolution: 1080, customerReply: 1620, confirmation: 1620, followUp: 540},
	"normal": {firstResponse: 1440, acknowledge: 120, update: 1440, resolution: 2880, customerReply: 4320, confirmation: 4320, followUp: 1440},
}

// policyOf names the policy of a ticket; that for vip counts working hours.
func policyOf(urgency, level string) string {
	switch {
	case urgency != "normal":
		return urgency
	case level == "vip":
		return "vip"
	}
	return "normal"
}

func target(policy, clock string) int64 { return promised[policy][clock] * minute }

// rung is a step of a clock's ladder.
type rung struct {
	name    string
	percent int64
	tell    string // a assignee, s supervisor, h head, c customer
}

var ladders = map[string][]rung{
	firstResponse: {{"warn", 80, "a"}, {"miss", 100, "as"}},
	acknowledge:   {{"remind", 50, "a"}, {"miss", 100, "s"}},
	urgentClock:   {{"miss", 100, "as"}},
	update:        {{"warn", 83, "a"}, {"miss", 100, "a"}, {"escalate", 117, "s"}},
	resolution:    {{"warn", 80, "a"}, {"miss", 100, "as"}, {"escalate", 150, "h"}},
	customerReply: {{"remind", 33, "ca"}, {"decide", 100, "a"}},
	confirmation:  {{"remind", 33, "c"}, {"remind", 66, "c"}, {"lapse", 100, ""}},
	followUp:      {{"warn", 83, "s"}, {"miss", 100, "sh"}},
}

// ours are the deadlines whose miss has to be explained.
func ours(clock string) bool {
	return clock == firstResponse || clock == acknowledge || clock == update || clock == resolution
}

// mailed are kinds of notices that leave by mail in any case.
var mailed = []string{"ticket.assigned", "ticket.reassigned", "ticket.declined", "ticket.answered", "ticket.disputed", "ticket.clock_warned", "ticket.clock_missed", "ticket.clock_escalated"}
