package ticket

import (
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Verb is a move's name; shown as ticket.verb.<verb>, recorded as event
// ticket.<past>.
type Verb string

const (
	Register            Verb = "register"
	Assign              Verb = "assign"
	Take                Verb = "take"
	Acknowledge         Verb = "acknowledge"
	Decline             Verb = "decline"
	Ask                 Verb = "ask"
	Answer              Verb = "answer"
	Resume              Verb = "resume"
	Reassign            Verb = "reassign"
	RequestHelp         Verb = "request_help"
	RequestConfirmation Verb = "request_confirmation"
	Confirm             Verb = "confirm"
	Dispute             Verb = "dispute"
	Lapse               Verb = "lapse"
	Withdraw            Verb = "withdraw"
	Reopen              Verb = "reopen"
	Close               Verb = "close"
	Cancel              Verb = "cancel"
	Merge               Verb = "merge"
	Unmerge             Verb = "unmerge"
)

// Verbs in the order of the table, register apart.
var Verbs = []Verb{Assign, Take, Acknowledge, Decline, Ask, Answer, Resume, Reassign, RequestHelp, RequestConfirmation, Confirm, Dispute, Lapse, Withdraw, Reopen, Close, Cancel, Merge, Unmerge}

// past is the event of a verb.
var past = map[Verb]string{
	Register: "ticket.registered", Assign: "ticket.assigned", Take: "ticket.taken", Acknowledge: "ticket.acknowledged",
	Decline: "ticket.declined", Ask: "ticket.asked", Answer: "ticket.answered", Resume: "ticket.resumed",
	Reassign: "ticket.reassigned", RequestHelp: "ticket.help_requested", RequestConfirmation: "ticket.confirmation_requested",
	Confirm: "ticket.confirmed", Dispute: "ticket.disputed", Lapse: "ticket.lapsed", Withdraw: "ticket.withdrawn",
	Reopen: "ticket.reopened", Close: "ticket.closed", Cancel: "ticket.cancelled",
	Merge: "ticket.merged", Unmerge: "ticket.unmerged",
}

// who are the parties of a ticket, as a set.
type who int

const (
	byAssignee   who = 1 << iota
	byMember         // of the ticket's department
	byDispatcher     // holds PermAssign over it
	bySupervisor     // holds PermSupervise over it
	byCustomer       // through his link; of a sub-ticket: the lead owner
	byStaff          // on the customer's behalf, holds PermConfirm and sees it
	byMerger         // holds PermMerge over it
	bySystem
)

// move is one legal step. Perm is what a member of the staff needs; who he
// must be to the ticket stands in Who.
type move struct {
	From   []State
	Verb   Verb
	To     State
	Who    who
	Perm   authz.Permission
	Guards []guard
}

// guard refuses a move although state and person fit.
type guard func(t *Ticket, in Input, f facts) error

// facts are what guards know beside the ticket itself.
type facts struct {
	missedPromise bool // some deadline of ours was missed
	reachable     bool // the customer has a phone, an address or a link
	parentWorking bool // main ticket is still being worked on; true without one
	withinWindow  bool // completed not too long ago
	badStars      int
}

// moves is the whole life of a ticket. A pair that is not here is refused.
var moves = []move{
	{[]State{Pending}, Assign, Pending, byDispatcher | bySystem, PermAssign, nil},
	{[]State{Pending}, Take, InProgress, byMember, PermHandle, []guard{notSomebodyElses}},
	{[]State{Pending}, Acknowledge, InProgress, byAssignee, PermHandle, nil},
	{[]State{Pending}, Decline, Pending, byAssignee, PermHandle, []guard{reason}},
	{[]State{InProgress}, Ask, WaitingCustomer, byAssignee, PermHandle, []guard{question, reachable}},
	{[]State{WaitingCustomer}, Answer, InProgress, byCustomer | byAssignee | byStaff, PermHandle, []guard{body}},
	{[]State{WaitingCustomer}, Resume, InProgress, byAssignee, PermHandle, []guard{reason}},
	{[]State{InProgress}, Reassign, Pending, byDispatcher | byAssignee, PermHandle, []guard{reason}},
	{[]State{InProgress}, RequestHelp, InProgress, byAssignee, PermHandle, []guard{mainTicket, need}},
	{[]State{InProgress}, RequestConfirmation, AwaitingConfirmation, byAssignee, PermHandle, []guard{solution, noOpenChildren, conferenceHeld, delayExplained, complaintExplained}},
	{[]State{AwaitingConfirmation}, Confirm, Completed, byCustomer | byStaff, PermConfirm, []guard{goodRating}},
	{[]State{AwaitingConfirmation}, Dispute, Pending, byCustomer | byStaff, PermConfirm, []guard{badRating}},
	{[]State{AwaitingConfirmation}, Lapse, Completed, bySystem, "", nil},
	{[]State{AwaitingConfirmation}, Withdraw, InProgress, byAssignee | bySupervisor, PermHandle, []guard{reason}},
	{[]State{Completed}, Reopen, Pending, byCustomer | bySupervisor, PermSupervise, []guard{reason, withinWindow, parentWorking}},
	{[]State{Completed}, Close, Closed, byAssignee | bySupervisor | bySystem, PermHandle, nil},
	{[]State{Pending, InProgress, WaitingCustomer}, Cancel, Cancelled, bySupervisor, PermSupervise, []guard{cancelReason, noOpenChildren}},
	{[]State{Pending, InProgress, WaitingCustomer}, Merge, Cancelled, byMerger, PermMerge, []guard{mainOnly, survivorNamed}},
	{[]State{Cancelled}, Unmerge, AsBefore, byMerger, PermMerge, nil},
}

// AsBefore is where taking a merge back leads: the state the ticket was merged
// in, one of those Merge starts from.
const AsBefore State = ""

// findMove returns the move for verb from state, or a refusal in the words of
// the state.
func findMove(from State, v Verb) (move, error) {
	for _, m := range moves {
		if m.Verb == v && slices.Contains(m.From, from) {
			return m, nil
		}
	}
	if !slices.Contains(Verbs, v) {
		return move{}, fault.New(fault.NotFound, "ticket.verb.unknown", string(v))
	}
	return move{}, fault.New(fault.Conflict, "ticket.refused", i18n.Key("ticket.state."+string(from)), i18n.Key("ticket.verb."+string(v)))
}

// Events returns the event kinds of all moves.
func Events() []string {
	out := []string{past[Register]}
	for _, v := range Verbs {
		out = append(out, past[v])
	}
	return out
}

func reason(_ *Ticket, in Input, _ facts) error {
	if blank(in.Reason) && !in.wordsOfCustomer {
		return fault.Invalidf("ticket.need_reason").Field("reason", "ticket.need_reason")
	}
	return nil
}

func body(_ *Ticket, in Input, _ facts) error {
	if blank(in.Body) && len(in.Files) == 0 {
		return fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
	}
	return nil
}

func question(_ *Ticket, in Input, _ facts) error {
	if blank(in.Body) {
		return fault.Invalidf("ticket.need_question").Field("body", "ticket.need_question")
	}
	return nil
}

// reachable refuses a question nobody could ever answer.
func reachable(t *Ticket, _ Input, f facts) error {
	if t.ParentID == 0 && !f.reachable {
		return fault.New(fault.Conflict, "ticket.unreachable")
	}
	return nil
}

func notSomebodyElses(t *Ticket, in Input, _ facts) error {
	if t.AssigneeID != 0 && t.AssigneeID != in.actor {
		return fault.New(fault.Conflict, "ticket.taken_by", t.AssigneeName)
	}
	return nil
}

// mainTicket keeps help one level deep: a department that needs a third one
// says so to the lead owner, who stays answerable for all of it.
func mainTicket(t *Ticket, _ Input, _ facts) error {
	if t.ParentID != 0 {
		return fault.New(fault.Conflict, "ticket.sub_of_sub")
	}
	return nil
}

// mainOnly keeps parts out of merges: they belong to their main ticket.
func mainOnly(t *Ticket, _ Input, _ facts) error {
	if t.ParentID != 0 {
		return fault.New(fault.Conflict, "ticket.merge.sub")
	}
	return nil
}

func survivorNamed(_ *Ticket, in Input, _ facts) error {
	if blank(in.Duplicate) {
		return fault.Invalidf("ticket.merge.need_other").Field("duplicate", "ticket.merge.need_other")
	}
	return nil
}

// conferenceHeld keeps one department from answering before all have agreed on
// what is said (TKT-14).
func conferenceHeld(t *Ticket, _ Input, _ facts) error {
	if t.Conference == ConferenceNeeded {
		return fault.New(fault.Conflict, "ticket.conference.first")
	}
	return nil
}

func need(t *Ticket, in Input, _ facts) error {
	e := fault.Invalidf("ticket.need_help")
	if in.DepartmentID == 0 {
		e.Field("department", "ticket.need_department")
	}
	if blank(in.Body) {
		e.Field("body", "ticket.need_need")
	}
	return e.OrNil()
}

func solution(t *Ticket, in Input, _ facts) error {
	e := fault.Invalidf("ticket.need_solution")
	if blank(in.Solution) && blank(t.Solution) {
		e.Field("solution", "ticket.need_solution")
	}
	return e.OrNil()
}

// noOpenChildren refuses while a sub-ticket is open, because the customer was
// promised one answer, not several.
func noOpenChildren(t *Ticket, _ Input, _ facts) error {
	if t.OpenChildren > 0 {
		return fault.New(fault.Conflict, "ticket.open_subtickets", t.OpenChildren)
	}
	return nil
}

// delayExplained asks for the reason of a missed deadline while it is still
// known (TKT-13).
func delayExplained(t *Ticket, in Input, f facts) error {
	if f.missedPromise && blank(in.DelayReason) && blank(t.DelayReason) {
		return fault.Invalidf("ticket.need_delay_reason").Field("delay_reason", "ticket.need_delay_reason")
	}
	return nil
}

// complaintExplained wants the cause and what prevents it next time (TKT-20).
func complaintExplained(t *Ticket, in Input, _ facts) error {
	if t.Type != "complaint" || t.ParentID != 0 {
		return nil
	}
	e := fault.Invalidf("ticket.need_cause")
	if blank(in.Cause) && blank(t.Cause) {
		e.Field("cause", "ticket.need_cause")
	}
	if blank(in.Corrective) && blank(t.Corrective) {
		e.Field("corrective", "ticket.need_corrective")
	}
	return e.OrNil()
}

func goodRating(t *Ticket, in Input, f facts) error {
	if in.Rating == nil {
		return nil
	}
	if in.Rating.Bad(f.badStars) {
		return fault.New(fault.Conflict, "ticket.rating_too_low", f.badStars)
	}
	return nil
}

func badRating(t *Ticket, in Input, f facts) error {
	if in.Rating == nil || !in.Rating.Bad(f.badStars) {
		return fault.Invalidf("ticket.rating_not_low", f.badStars).Field("stars", "ticket.rating_not_low", f.badStars)
	}
	return nil
}

func withinWindow(_ *Ticket, _ Input, f facts) error {
	if !f.withinWindow {
		return fault.New(fault.Conflict, "ticket.window_over")
	}
	return nil
}

// parentWorking keeps a sub-ticket from coming back to life behind a main
// ticket that has already been answered.
func parentWorking(_ *Ticket, _ Input, f facts) error {
	if !f.parentWorking {
		return fault.New(fault.Conflict, "ticket.parent_done")
	}
	return nil
}

// CancelReasons are what a cancellation may be for; ticket.cancel.<code>.
var CancelReasons = []string{"withdrawn", "duplicate", "spam", "mistake"}

func cancelReason(_ *Ticket, in Input, _ facts) error {
	if !slices.Contains(CancelReasons, in.Code) {
		return fault.Invalidf("ticket.need_cancel_reason").Field("code", "ticket.need_cancel_reason")
	}
	if in.Code == "duplicate" && in.duplicateOf == 0 {
		return fault.Invalidf("ticket.need_duplicate").Field("duplicate", "ticket.need_duplicate")
	}
	return nil
}
