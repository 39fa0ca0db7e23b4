package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// Input is what a move may carry; each verb reads what concerns it.
type Input struct {
	Version      int64     // of the ticket as the person saw it; 0: not checked
	AssigneeID   int64     // assign, reassign; 0 with a department: by routing
	DepartmentID int64     // assign, reassign, request_help
	Reason       string    // why
	Code         string    // cancel: one of CancelReasons
	Duplicate    string    // cancel, merge: number of the other ticket
	OtherToo     bool      // merge: yes, although they are of different customers
	Due          time.Time // request_help: by when; zero: by the policy
	Title        string    // request_help
	Body         string    // question, answer, stated need, summary of the result
	Solution     string    // request_confirmation
	Cause        string    //
	Corrective   string    //
	DelayReason  string    //
	Rating       *Rating   // confirm, dispute
	Files        []int64   // uploads to attach to the message

	actor       int64
	duplicateOf int64
	// wordsOfCustomer: the move follows from what the customer himself wrote or
	// answered, whoever writes it down; his words, or his picture, are the reason.
	wordsOfCustomer bool
	badRating       bool // reopen: after a bad rating, so the supervisor owes him a word
}

// Do makes a move: it loads the ticket through the actor's scope, looks the
// move up, checks the person and the guards, writes and records. Refusals:
// NotFound out of scope, Conflict in the words of the state, Forbidden for the
// wrong person, Invalid for missing input.
func (s *Service) Do(ctx context.Context, actor authz.Actor, id int64, v Verb, in Input) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket."+string(v), func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.DoIn(ctx, a, id, v, in)
		return err
	})
	return t, err
}

// DoIn is Do inside an action under way.
func (s *Service) DoIn(ctx context.Context, a *action.Action, id int64, v Verb, in Input) (Ticket, error) {
	if v == Merge || v == Unmerge {
		if err := s.lockPair(ctx, a, id, in.Duplicate); err != nil {
			return Ticket{}, err
		}
	}
	old, err := s.load(ctx, a, id)
	if err != nil {
		return Ticket{}, err
	}
	if in.Version != 0 && in.Version != old.Version {
		return Ticket{}, changedMeanwhile()
	}
	m, err := findMove(old.State, v)
	if err != nil {
		return Ticket{}, err
	}
	if in.wordsOfCustomer {
		m.Who |= byStaff
	}
	if err := s.may(ctx, a, a.Actor, &old, m); err != nil {
		return Ticket{}, err
	}
	if err := s.hooks.narrowed(ctx, a, a.Actor, &old, v); err != nil {
		return Ticket{}, err
	}
	cfg, err := s.config(ctx, a)
	if err != nil {
		return Ticket{}, err
	}
	f, err := s.facts(ctx, a, &old, m, cfg)
	if err != nil {
		return Ticket{}, err
	}
	in.actor = a.Actor.ID
	if in.Rating != nil {
		if err := in.Rating.check(); err != nil {
			return Ticket{}, err
		}
	}
	if in.Code == "duplicate" && !blank(in.Duplicate) {
		other, err := get(ctx, a, View(a.Actor), "t.number", strings.ToUpper(strings.TrimSpace(in.Duplicate)), "")
		if err != nil && !fault.Is(err, fault.NotFound) {
			return Ticket{}, err
		}
		if err != nil || other.ID == old.ID {
			return Ticket{}, fault.Invalidf("ticket.duplicate_unknown").Field("duplicate", "ticket.duplicate_unknown")
		}
		in.duplicateOf = other.ID
	}
	var bad *fault.Error
	for _, g := range m.Guards {
		if err := g(&old, in, f); err != nil {
			// All that is missing in the form is said at once.
			if fe, ok := fault.As(err); ok && len(fe.Fields) > 0 && (bad == nil || len(bad.Fields) > 0) {
				if bad == nil {
					bad = fe
				} else {
					bad.Fields = append(bad.Fields, fe.Fields...)
				}
				continue
			}
			return Ticket{}, err
		}
	}
	if bad != nil {
		return Ticket{}, bad
	}
	if err := s.hooks.passed(ctx, a, &old, v, &in); err != nil {
		return Ticket{}, err
	}
	t := old
	t.State = m.To
	t.ActivityAt = a.Now
	e := effect{s: s, a: a, old: old, t: &t, in: in, verb: v, cfg: cfg, fact: Fact{}}
	if err := e.apply(ctx); err != nil {
		return Ticket{}, err
	}
	if err := s.settleDeferral(ctx, a, &t); err != nil {
		return Ticket{}, err
	}
	if err := s.hooks.done(ctx, a, old, &t, v, in); err != nil {
		return Ticket{}, err
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return Ticket{}, err
	}
	out := fact(old, t)
	out.Args, out.Tell, out.Entry, out.Changes, out.Route = e.fact.Args, e.fact.Tell, e.fact.Entry, e.fact.Changes, e.fact.Route
	if in.Rating != nil {
		out.Stars = in.Rating.Stars
	}
	if err := s.note(ctx, a, past[v], t, out, in.Reason); err != nil {
		return Ticket{}, err
	}
	if err := s.stageNoted(ctx, a, old, t); err != nil {
		return Ticket{}, err
	}
	if t.ParentID != 0 && old.State.Open() != t.State.Open() {
		if err := s.childMoved(ctx, a, t); err != nil {
			return Ticket{}, err
		}
	}
	return t, nil
}

// Allowed returns the verbs actor may use on t now, for buttons; guards that
// depend on input are not asked. relation is as far as the ticket itself tells.
func (s *Service) Allowed(ctx context.Context, actor authz.Actor, t *Ticket) []Verb {
	var out []Verb
	for _, m := range moves {
		if slices.Contains(m.From, t.State) && s.may(ctx, s.DB().Read(), actor, t, m) == nil && s.hooks.narrowed(ctx, s.DB().Read(), actor, t, m.Verb) == nil {
			out = append(out, m.Verb)
		}
	}
	return out
}

// may checks that the actor is one of the parties the move names and holds its
// permission. The first party that fits decides.
func (s *Service) may(ctx context.Context, q db.Querier, actor authz.Actor, t *Ticket, m move) error {
	if m.Verb == Unmerge && t.MergedInto == 0 {
		return fault.New(fault.Conflict, "ticket.refused", i18n.Key("ticket.state."+string(t.State)), i18n.Key("ticket.verb."+string(m.Verb)))
	}
	switch actor.Kind {
	case authz.Worker:
		if m.Who&bySystem != 0 {
			return nil
		}
		return fault.New(fault.Forbidden, "ticket.not_system")
	case authz.Customer:
		if m.Who&byCustomer != 0 && t.ParentID == 0 && t.CustomerID == actor.CustomerID {
			return nil
		}
		return fault.New(fault.Forbidden, "ticket.not_customer")
	}
	if m.Who&byAssignee != 0 && t.AssigneeID == actor.ID && actor.Can(PermHandle) {
		if m.Verb != Reassign || actor.Can(PermPassOn) {
			return nil
		}
	}
	if m.Who&byMember != 0 && slices.Contains(actor.Teams, t.DepartmentID) && actor.Can(PermHandle) {
		return nil
	}
	if m.Who&byDispatcher != 0 && t.InScope(authz.For(actor, PermAssign)) {
		return nil
	}
	if m.Who&bySupervisor != 0 && t.InScope(authz.For(actor, PermSupervise)) {
		return nil
	}
	if m.Who&byMerger != 0 && t.InScope(authz.For(actor, PermMerge)) {
		return nil
	}
	if t.ParentID == 0 {
		if m.Who&byStaff != 0 && actor.Can(PermConfirm) {
			return nil
		}
	} else if m.Who&byCustomer != 0 {
		// Between departments the lead owner is the customer.
		lead, err := leadOwner(ctx, q, t.ParentID)
		if err != nil {
			return err
		}
		if lead == actor.ID {
			return nil
		}
	}
	switch {
	case m.Who == bySystem:
		return fault.New(fault.Forbidden, "ticket.only_system")
	case m.Who&byAssignee != 0 && m.Who&(bySupervisor|byDispatcher) != 0:
		return fault.New(fault.Forbidden, "ticket.only_assignee_or_supervisor")
	case m.Who&byAssignee != 0:
		return fault.New(fault.Forbidden, "ticket.only_assignee")
	case m.Who&byMember != 0:
		return fault.New(fault.Forbidden, "ticket.only_member")
	case m.Who&(bySupervisor|byDispatcher) != 0:
		return fault.New(fault.Forbidden, "ticket.only_supervisor")
	case t.ParentID != 0 && m.Who&byCustomer != 0:
		return fault.New(fault.Forbidden, "ticket.only_lead")
	}
	return authz.Denied(m.Perm)
}

// leadOwner is whom a sub-ticket is done for: the assignee of the main ticket, or
// while it has none the supervisor on whose desk it lies.
func leadOwner(ctx context.Context, q db.Querier, parent int64) (user int64, err error) {
	if err = q.QueryRow(ctx, `SELECT CASE WHEN assignee_id <> 0 THEN assignee_id ELSE supervisor_id END FROM tickets WHERE id = $1`, parent).Scan(&user); err != nil {
		return 0, fmt.Errorf("ticket: main ticket %d: %w", parent, err)
	}
	return user, nil
}

func (s *Service) facts(ctx context.Context, a *action.Action, t *Ticket, m move, cfg Config) (f facts, err error) {
	f = facts{reachable: true, parentWorking: true, withinWindow: true, badStars: cfg.BadStars}
	switch m.Verb {
	case RequestConfirmation:
		f.missedPromise, err = sla.MissedPromise(ctx, a, t.ID, a.Now)
	case Ask:
		var p customer.Brief
		if p, err = s.customers.Brief(ctx, a, t.CustomerID, t.ContactID); err == nil {
			f.reachable = p.Reachable || t.Channel == "website"
		}
	case Reopen:
		f.withinWindow = a.Now.Sub(t.CompletedAt) <= cfg.ReopenWindow
		if t.ParentID != 0 {
			var p Ticket
			// Locked: it must not be answered while its part comes back to life.
			if p, err = get(ctx, a, authz.For(authz.System(""), PermView), "t.id", t.ParentID, lockOf(a)); err == nil {
				f.parentWorking = p.State == Pending || p.State == InProgress || p.State == WaitingCustomer
			}
		}
	}
	return f, err
}

// effect is what has to be true together with a move.
type effect struct {
	s    *Service
	a    *action.Action
	old  Ticket
	t    *Ticket
	in   Input
	verb Verb
	cfg  Config
	fact Fact // Args, Tell, Entry and Changes are taken over
}

func (e *effect) apply(ctx context.Context) error {
	switch e.verb {
	case Assign:
		return e.assign(ctx, "assigned")
	case Reassign:
		return e.assign(ctx, "reassigned")
	case Take:
		if tb, err := e.s.table(ctx, e.a); err != nil {
			return err
		} else if tb.leaving[e.a.Actor.ID] {
			return fault.New(fault.Conflict, "handover.running")
		}
		e.t.AssigneeID, e.t.AssigneeName, e.t.AssignedAt = e.a.Actor.ID, e.a.Actor.Name, e.a.Now
		return e.acknowledged(ctx, "taken")
	case Acknowledge:
		return e.acknowledged(ctx, "acknowledged")
	case Decline:
		return e.decline(ctx)
	case Ask:
		return e.ask(ctx)
	case Answer:
		return e.answer(ctx)
	case Resume:
		return e.backToWork(ctx, "resumed")
	case RequestHelp:
		return e.requestHelp(ctx)
	case RequestConfirmation:
		return e.requestConfirmation(ctx)
	case Confirm:
		return e.confirm(ctx)
	case Dispute:
		return e.dispute(ctx)
	case Lapse:
		e.t.Outcome = OutcomeSilence
		return e.complete(ctx, "lapsed")
	case Withdraw:
		e.t.LinkKey = crypt.Token(9) // the link the customer has is void from here on
		e.t.ResolvedAt = time.Time{}
		if err := sla.Stop(ctx, e.a, e.t.ID, "withdrawn", sla.Confirmation); err != nil {
			return err
		}
		// A withdrawn answer does not give a new 48 hours.
		if err := sla.Revive(ctx, e.a, e.t.ID, sla.Resolution, e.t.Round, "withdrawn"); err != nil {
			return err
		}
		return e.s.armUpdate(ctx, e.a, *e.t, "withdrawn")
	case Reopen:
		e.t.Outcome = ""
		e.t.CompletedAt = time.Time{}
		return e.newRound(ctx, "reopened", e.in.badRating)
	case Close:
		e.t.ClosedAt = e.a.Now
		return sla.Stop(ctx, e.a, e.t.ID, "closed")
	case Cancel:
		return e.cancel(ctx)
	case Merge:
		return e.merge(ctx)
	case Unmerge:
		return e.unmerge(ctx)
	}
	return fmt.Errorf("ticket: verb %s has no effect", e.verb)
}

// assign gives the ticket to a person or, by routing, to a department.
func (e *effect) assign(ctx context.Context, why string) error {
	dep := e.in.DepartmentID
	if dep == 0 {
		dep = e.t.DepartmentID
	}
	var who assignee
	switch {
	case e.in.AssigneeID != 0:
		p, err := e.s.fit(ctx, e.a, e.in.AssigneeID, e.in.DepartmentID, e.t.DepartmentID)
		if err != nil {
			return err
		}
		who, dep = p.assignee, p.department
	default:
		if e.in.DepartmentID == 0 && e.a.Actor.Kind != authz.Worker {
			return fault.Invalidf("ticket.need_assignee").Field("assignee", "ticket.need_assignee")
		}
		if err := e.s.openDepartment(ctx, e.a, dep); err != nil {
			return err
		}
		tb, err := e.s.table(ctx, e.a)
		if err != nil {
			return err
		}
		e.fact.Route = &Decision{Department: dep, Given: true}
		if who, err = e.s.pick(ctx, e.a, tb, e.fact.Route, e.old.AssigneeID, requestOf(e.t)); err != nil {
			return err
		}
	}
	e.t.DepartmentID, e.t.AssigneeID, e.t.AssigneeName = dep, who.ID, who.Name
	return e.handedOver(ctx, why)
}

// handedOver is common to everything that changes who owes the next step.
func (e *effect) handedOver(ctx context.Context, why string) error {
	dep, err := e.s.departmentName(ctx, e.a, e.t.DepartmentID)
	if err != nil {
		return err
	}
	sup, err := e.s.supervisor(ctx, e.a, e.t.DepartmentID)
	if err != nil {
		return err
	}
	if e.t.AssigneeID != 0 {
		e.t.AssignedAt = e.a.Now
		if e.t.Round == 1 {
			e.t.SupervisorID = 0
		}
		e.fact.Args = []string{e.t.AssigneeName, dep}
		e.fact.Tell = []int64{e.t.AssigneeID}
	} else {
		// An empty pool goes to the supervisor, never to a random person.
		e.t.AssignedAt = time.Time{}
		e.t.SupervisorID = sup
		e.fact.Args = []string{dep, dep}
		e.fact.Tell = tell(sup)
		if e.fact.Route != nil {
			e.fact.Route.Supervisor = sup
		}
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, why, sla.Update); err != nil {
		return err
	}
	p, err := sla.Pick(ctx, e.a, e.t.Case())
	if err != nil {
		return err
	}
	return sla.Arm(ctx, e.a, e.t.ID, sla.Acknowledge, e.t.Round, p.For(sla.Acknowledge), why)
}

func tell(ids ...int64) []int64 {
	var out []int64
	for _, id := range ids {
		if id != 0 && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (e *effect) acknowledged(ctx context.Context, why string) error {
	e.t.AcknowledgedAt = e.a.Now
	if e.t.Round == 1 {
		e.t.SupervisorID = 0
	}
	e.fact.Tell = tell(e.old.SupervisorID)
	if err := meet(ctx, e.a, e.t, why, sla.Acknowledge, sla.Urgent); err != nil {
		return err
	}
	return e.s.armUpdate(ctx, e.a, *e.t, why)
}

func (e *effect) decline(ctx context.Context) error {
	sup, err := e.s.supervisor(ctx, e.a, e.t.DepartmentID)
	if err != nil {
		return err
	}
	e.t.AssigneeID, e.t.AssigneeName, e.t.AssignedAt, e.t.SupervisorID = 0, "", time.Time{}, sup
	e.fact.Tell = tell(sup)
	p, err := sla.Pick(ctx, e.a, e.t.Case())
	if err != nil {
		return err
	}
	return sla.Arm(ctx, e.a, e.t.ID, sla.Acknowledge, e.t.Round, p.For(sla.Acknowledge), "declined")
}

func (e *effect) ask(ctx context.Context) error {
	if err := e.tellLead(ctx); err != nil {
		return err
	}
	if err := e.say(ctx, journal.Question, "question", e.in.Body); err != nil {
		return err
	}
	p, err := sla.Pick(ctx, e.a, e.t.Case())
	if err != nil {
		return err
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, "asked", sla.Update); err != nil {
		return err
	}
	if p.PauseWhenWaiting {
		if err := sla.Pause(ctx, e.a, e.t.ID, "asked", sla.Resolution); err != nil {
			return err
		}
	}
	return sla.Arm(ctx, e.a, e.t.ID, sla.CustomerReply, e.t.Round, p.For(sla.CustomerReply), "asked")
}

// tellLead tells the lead owner what a sub-ticket says to its customer: him.
func (e *effect) tellLead(ctx context.Context) error {
	if e.t.ParentID == 0 {
		return nil
	}
	lead, err := leadOwner(ctx, e.a, e.t.ParentID)
	e.fact.Tell = tell(lead)
	return err
}

// meet ends the clocks of kinds; a promise kept too late shows on the ticket
// although the clock was not seen to run out.
func meet(ctx context.Context, a *action.Action, t *Ticket, why string, kinds ...sla.Kind) error {
	late, err := sla.Meet(ctx, a, t.ID, why, kinds...)
	t.Overdue = t.Overdue || late
	return err
}

func (e *effect) answer(ctx context.Context) error {
	entry := journal.Entry{TicketID: e.t.ID, CustomerID: e.t.CustomerID, Kind: journal.Customer, Body: strings.TrimSpace(e.in.Body)}
	if e.a.Actor.Kind != authz.Customer {
		// The agent writes down what the customer said on the phone.
		e.fact.Args = []string{e.a.Actor.Name}
	}
	id, err := journal.Add(ctx, e.a, entry)
	if err != nil {
		return err
	}
	if err := e.s.attach(ctx, e.a, *e.t, id, e.in.Files, false); err != nil {
		return err
	}
	e.fact.Entry, e.fact.Tell = id, tell(e.t.AssigneeID)
	if e.a.Actor.Kind == authz.Customer {
		e.t.CustomerAt = e.a.Now
	}
	if err := customer.Touch(ctx, e.a.Tx, e.t.CustomerID, e.a.Now); err != nil {
		return err
	}
	return e.backToWork(ctx, "answered")
}

func (e *effect) backToWork(ctx context.Context, why string) error {
	if why == "answered" {
		if _, err := sla.Meet(ctx, e.a, e.t.ID, why, sla.CustomerReply); err != nil {
			return err
		}
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, why, sla.CustomerReply); err != nil {
		return err
	}
	if err := sla.Resume(ctx, e.a, e.t.ID, why, sla.Resolution); err != nil {
		return err
	}
	return e.s.armUpdate(ctx, e.a, *e.t, why)
}

// say writes words to the customer with their delivery record; they count as
// the first response when a person says them.
func (e *effect) say(ctx context.Context, kind journal.Kind, purpose, text string) error {
	id, err := e.s.sayIn(ctx, e.a, e.t, kind, purpose, text, e.in.Files)
	e.fact.Entry = id
	return err
}

func (s *Service) sayIn(ctx context.Context, a *action.Action, t *Ticket, kind journal.Kind, purpose, text string, files []int64) (int64, error) {
	id, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: kind, Body: strings.TrimSpace(text)})
	if err != nil {
		return 0, err
	}
	if err := s.attach(ctx, a, *t, id, files, false); err != nil {
		return 0, err
	}
	if err := deliver(ctx, a, *t, id, purpose); err != nil {
		return 0, err
	}
	if err := s.responded(ctx, a, t); err != nil {
		return 0, err
	}
	return id, customer.Touch(ctx, a.Tx, t.CustomerID, a.Now)
}

// responded marks that a person has spoken to the customer, in writing or
// otherwise: a call that reached him is an answer too.
func (s *Service) responded(ctx context.Context, a *action.Action, t *Ticket) error {
	if a.Actor.Kind != authz.User {
		return nil // the customer still waits for a word
	}
	t.CustomerAt = time.Time{}
	if t.RespondedAt.IsZero() {
		t.RespondedAt = a.Now
	}
	return meet(ctx, a, t, "responded", sla.FirstResponse)
}

// deliver records that something has to reach the customer. Words between
// departments need no record: the lead owner sees them in the ticket.
func deliver(ctx context.Context, a *action.Action, t Ticket, entry int64, purpose string) error {
	if t.ParentID != 0 {
		return nil
	}
	err := a.Later(ctx, `INSERT INTO deliveries (ticket_id, entry_id, purpose, channel, created_at) VALUES ($1, $2, $3, $4, $5)`,
		t.ID, entry, purpose, t.Channel, a.NowMicros())
	if err != nil {
		return fmt.Errorf("ticket: delivery: %w", err)
	}
	return nil
}

func (e *effect) requestHelp(ctx context.Context) error {
	title := strings.TrimSpace(e.in.Title)
	if title == "" {
		title = e.t.Title
	}
	if d := e.in.Due; !d.IsZero() && (!d.After(e.a.Now) || d.After(e.a.Now.Add(maxDeferral))) {
		return fault.Invalidf("ticket.need_help").Field("due", "ticket.help.due")
	}
	child, err := e.s.registerIn(ctx, e.a, RegisterInput{
		Title: title, Type: e.t.Type, Class: e.t.Class, CategoryID: e.t.CategoryID, Urgency: e.t.Urgency, Channel: e.t.Channel,
		Description: e.in.Body, CustomerID: e.t.CustomerID, ContactID: e.t.ContactID, DepartmentID: e.in.DepartmentID,
		parent: e.t, due: e.in.Due, Files: e.in.Files,
	})
	if err != nil {
		return err
	}
	e.t.OpenChildren++
	dep, err := e.s.departmentName(ctx, e.a, e.in.DepartmentID)
	e.fact.Args = []string{dep, child.Number}
	return err
}

func (e *effect) requestConfirmation(ctx context.Context) error {
	// The fact keeps them for good: the ticket loses those of a round with the next.
	keep := func(field string, dst *string, v string) {
		if v = strings.TrimSpace(v); v != "" && v != *dst {
			e.fact.Changes = append(e.fact.Changes, event.Change{Field: field, Old: *dst, New: v})
			*dst = v
		}
	}
	keep("solution", &e.t.Solution, e.in.Solution)
	keep("cause", &e.t.Cause, e.in.Cause)
	keep("corrective", &e.t.Corrective, e.in.Corrective)
	keep("delay_reason", &e.t.DelayReason, e.in.DelayReason)
	e.t.Summary = e.t.Solution
	if !blank(e.in.Body) {
		e.t.Summary = strings.TrimSpace(e.in.Body)
	}
	e.t.ResolvedAt = e.a.Now
	if err := e.tellLead(ctx); err != nil {
		return err
	}
	if err := e.say(ctx, journal.Reply, "confirmation", e.t.Summary); err != nil {
		return err
	}
	if err := meet(ctx, e.a, e.t, "resolved", sla.Resolution); err != nil {
		return err
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, "resolved", sla.Update); err != nil {
		return err
	}
	p, err := sla.Pick(ctx, e.a, e.t.Case())
	if err != nil {
		return err
	}
	return sla.Arm(ctx, e.a, e.t.ID, sla.Confirmation, e.t.Round, p.For(sla.Confirmation), "resolved")
}

func (e *effect) confirm(ctx context.Context) error {
	e.t.Outcome = OutcomePhone
	if e.a.Actor.Kind == authz.Customer || e.t.ParentID != 0 {
		e.t.Outcome = OutcomeConfirmed
	}
	if e.in.Rating != nil {
		if err := e.rate(ctx); err != nil {
			return err
		}
	}
	return e.complete(ctx, "confirmed")
}

func (e *effect) complete(ctx context.Context, why string) error {
	e.t.CompletedAt = e.a.Now
	e.t.SupervisorID = 0
	e.t.CustomerAt = time.Time{}
	e.fact.Tell = tell(e.t.AssigneeID)
	if why != "lapsed" {
		if _, err := sla.Meet(ctx, e.a, e.t.ID, why, sla.Confirmation); err != nil {
			return err
		}
	}
	return sla.Stop(ctx, e.a, e.t.ID, why)
}

func (e *effect) dispute(ctx context.Context) error {
	if err := e.rate(ctx); err != nil {
		return err
	}
	return e.newRound(ctx, "disputed", true)
}

// newRound begins a second handling: the supervisor is responsible until he
// has given it to somebody, and all clocks start anew (TKT-16).
func (e *effect) newRound(ctx context.Context, why string, followUp bool) error {
	sup, err := e.s.supervisor(ctx, e.a, e.t.DepartmentID)
	if err != nil {
		return err
	}
	e.t.Round++
	e.t.SupervisorID = sup
	e.fact.Tell = tell(sup, e.old.AssigneeID)
	e.t.AssigneeID, e.t.AssigneeName = 0, ""
	e.t.AssignedAt, e.t.AcknowledgedAt, e.t.ResolvedAt, e.t.RespondedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	e.t.Solution, e.t.Summary, e.t.DelayReason, e.t.Overdue = "", "", "", false
	e.t.DeferredFrom, e.t.DueFixed = time.Time{}, false
	if _, err := sla.Meet(ctx, e.a, e.t.ID, why, sla.Confirmation); err != nil {
		return err
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, why); err != nil {
		return err
	}
	return e.s.armAll(ctx, e.a, *e.t, why, followUp)
}

// rate stores the rating of this round; one per round.
func (e *effect) rate(ctx context.Context) error {
	r := *e.in.Rating
	r.Round, r.Via = e.t.Round, "phone"
	if e.a.Actor.Kind == authz.Customer {
		r.Via = "link"
	}
	old, err := e.s.storeRating(ctx, e.a, *e.t, r)
	if err != nil {
		return err
	}
	e.t.Rating = r.Stars
	e.fact.Args = []string{strings.Repeat("★", r.Stars)}
	return countRating(ctx, e.a, *e.t, r.Stars, old)
}

func (e *effect) cancel(ctx context.Context) error {
	e.t.Outcome, e.t.CancelReason = OutcomeCancelled, e.in.Code
	e.t.DuplicateOf = e.in.duplicateOf
	e.t.SupervisorID = 0
	e.t.CustomerAt = time.Time{}
	e.fact.Tell = tell(e.t.AssigneeID)
	if e.in.duplicateOf != 0 {
		if err := link(ctx, e.a, e.t.ID, e.in.duplicateOf, "duplicate"); err != nil {
			return err
		}
	}
	if err := sla.Stop(ctx, e.a, e.t.ID, "cancelled"); err != nil {
		return err
	}
	told, err := hasWords(ctx, e.a, e.t.ID)
	if err != nil || !told {
		return err
	}
	return deliver(ctx, e.a, *e.t, 0, "cancelled")
}

// hasWords reports whether the customer has been told anything of the ticket.
func hasWords(ctx context.Context, q db.Querier, id int64) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE ticket_id = $1 LIMIT 1) d`, id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("ticket: deliveries of %d: %w", id, err)
	}
	return n > 0, nil
}

func link(ctx context.Context, a *action.Action, id, other int64, kind string) error {
	err := a.Later(ctx, `INSERT INTO ticket_relations (ticket_id, other_id, kind, created_at, created_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, id, other, kind, a.NowMicros(), userOf(a))
	if err != nil {
		return fmt.Errorf("ticket: link %d to %d: %w", id, other, err)
	}
	return nil
}

// childMoved tells the main ticket that a sub-ticket has ended or come back.
func (s *Service) childMoved(ctx context.Context, a *action.Action, child Ticket) error {
	old, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", child.ParentID, lockOf(a))
	if err != nil {
		return err
	}
	p := old
	kind := "ticket.child_ended"
	if child.State.Open() {
		kind = "ticket.child_reopened"
		p.OpenChildren++
	} else {
		p.OpenChildren--
	}
	p.ActivityAt = a.Now
	if err := s.save(ctx, a, old, &p); err != nil {
		return err
	}
	f := fact(old, p)
	f.Args = []string{child.Number}
	f.Tell = tell(p.AssigneeID)
	return s.note(ctx, a, kind, p, f, "")
}

func lockOf(a *action.Action) string {
	if a.Dialect() == db.Postgres {
		return " FOR UPDATE OF t"
	}
	return ""
}

// armUpdate starts the clock for the next sign of progress.
func (s *Service) armUpdate(ctx context.Context, a *action.Action, t Ticket, why string) error {
	p, err := sla.Pick(ctx, a, t.Case())
	if err != nil {
		return err
	}
	return sla.Arm(ctx, a, t.ID, sla.Update, t.Round, p.For(sla.Update), why)
}

// armAll starts the clocks of a round. The acknowledge clock runs from the
// start, also while nobody is assigned, so that a forgotten queue is noticed.
func (s *Service) armAll(ctx context.Context, a *action.Action, t Ticket, why string, followUp bool) error {
	p, err := sla.Pick(ctx, a, t.Case())
	if err != nil {
		return err
	}
	for _, k := range clocksOf(t, followUp) {
		if err := sla.Arm(ctx, a, t.ID, k, t.Round, p.For(k), why); err != nil {
			return err
		}
	}
	return nil
}

// clocksOf are the clocks of a new round.
func clocksOf(t Ticket, followUp bool) []sla.Kind {
	kinds := []sla.Kind{sla.Acknowledge, sla.Resolution}
	if t.ParentID == 0 {
		kinds = append(kinds, sla.FirstResponse, sla.Urgent)
		if followUp {
			kinds = append(kinds, sla.FollowUp)
		}
	}
	return kinds
}

func (r *Rating) check() error {
	e := fault.Invalidf("ticket.rating_invalid")
	for _, f := range []struct {
		name string
		v    int
	}{{"stars", r.Stars}, {"speed", r.Speed}, {"quality", r.Quality}, {"attitude", r.Attitude}, {"handling", r.Handling}} {
		if f.v < 0 || f.v > 5 {
			e.Field(f.name, "ticket.rating_range")
		}
	}
	if r.Stars == 0 && r.Solved {
		e.Field("stars", "ticket.rating_stars")
	}
	for _, f := range []struct {
		name string
		v    *string
	}{{"comment", &r.Comment}, {"suggestion", &r.Suggestion}} {
		*f.v = strings.TrimSpace(*f.v)
		if len([]rune(*f.v)) > 2000 {
			e.Field(f.name, "ticket.too_long", 2000)
		}
	}
	return e.OrNil()
}

// attach binds uploads of the actor to an entry of t.
func (s *Service) attach(ctx context.Context, a *action.Action, t Ticket, entry int64, files []int64, internal bool) error {
	if len(files) == 0 {
		return nil
	}
	_, err := s.files.Attach(ctx, a, files, blob.Owner{Type: subjectType, ID: t.ID, EntryID: entry, Internal: internal})
	return err
}
