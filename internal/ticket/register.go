package ticket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// RegisterInput is a new request (TKT-1, 2).
type RegisterInput struct {
	Title          string
	Type           string
	Class          string
	CategoryID     int64
	Urgency        string
	Priority       string // other than the matrix says; then with PriorityReason
	PriorityReason string
	Channel        string
	Description    string
	CustomerID     int64
	ContactID      int64 // 0: the customer's primary contact
	// NewCustomer makes the customer in the same step when CustomerID is 0.
	NewCustomer  func(ctx context.Context, a *action.Action) (id int64, err error)
	DepartmentID int64 // 0: by routing
	AssigneeID   int64 // 0: by routing
	FollowsID    int64 // closed ticket this one continues
	Files        []int64
	ImportKey    string // makes an import repeatable
	// Fields are the custom fields; nil: nobody was asked, so that required ones
	// may stay empty.
	Fields field.Input
	Tags   []int64
	Demo   bool
	// Then is done in the same step, by rooms that keep more of a new ticket.
	Then func(ctx context.Context, a *action.Action, t *Ticket) error
	// Automated says that a program sent it (a robot, an out-of-office notice): it
	// gets no automatic answer.
	Automated bool

	parent *Ticket
	due    time.Time // of a part: agreed on; zero: by the policy
	split  bool      // of a message of another ticket
}

const (
	maxTitle       = 200
	maxDescription = 20000
)

func (in *RegisterInput) check() *fault.Error {
	e := fault.Invalidf("ticket.invalid")
	in.Title, in.Description = strings.TrimSpace(in.Title), strings.TrimSpace(in.Description)
	switch n := len([]rune(in.Title)); {
	case n == 0:
		e.Field("title", "ticket.need_title")
	case n > maxTitle:
		e.Field("title", "ticket.too_long", maxTitle)
	}
	if len([]rune(in.Description)) > maxDescription {
		e.Field("description", "ticket.too_long", maxDescription)
	}
	for _, f := range []struct {
		name, v string
		codes   []string
		empty   bool
	}{
		{"type", in.Type, Types, false}, {"class", in.Class, Classes, true}, {"urgency", in.Urgency, Urgencies, false},
		{"channel", in.Channel, Channels, false}, {"priority", in.Priority, Priorities, true},
	} {
		if !slices.Contains(f.codes, f.v) && !(f.empty && f.v == "") {
			e.Field(f.name, "ticket.need_choice")
		}
	}
	return e
}

// Register makes a ticket: number, priority, department and person, clocks and
// the first journal line come with it in one step.
func (s *Service) Register(ctx context.Context, actor authz.Actor, in RegisterInput) (t Ticket, err error) {
	if actor.Kind == authz.User {
		if err := actor.Check(PermCreate); err != nil {
			return t, err
		}
	}
	err = s.run.Do(ctx, actor, "ticket.register", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.registerIn(ctx, a, in)
		return err
	})
	return t, err
}

// RegisterIn is Register inside an action under way; the caller has checked
// the actor's right.
func (s *Service) RegisterIn(ctx context.Context, a *action.Action, in RegisterInput) (Ticket, error) {
	in.parent, in.due, in.split = nil, time.Time{}, false
	return s.registerIn(ctx, a, in)
}

func (s *Service) registerIn(ctx context.Context, a *action.Action, in RegisterInput) (t Ticket, err error) {
	e := in.check()
	if in.CustomerID == 0 && in.NewCustomer == nil {
		e.Field("customer", "ticket.need_customer")
	}
	if in.CategoryID != 0 {
		if ok, err := exists(ctx, a, "categories", in.CategoryID); err != nil {
			return t, err
		} else if !ok {
			e.Field("category", "ticket.need_choice")
		}
	}
	if err := checkTags(ctx, a, in.Tags, e); err != nil {
		return t, err
	}
	if in.CustomerID == 0 && in.NewCustomer != nil {
		// Both halves of the form are judged together, so that nobody corrects twice.
		id, err := in.NewCustomer(ctx, a)
		if fe, ok := fault.As(err); ok && fe.Kind == fault.Invalid {
			e.Fields = append(e.Fields, fe.Fields...)
		} else if err != nil {
			return t, err
		}
		in.CustomerID = id
	}
	values, err := s.checkFields(ctx, a, in.Type, in.Fields, field.Mode{New: true, Lax: in.Fields == nil})
	if fe, ok := fault.As(err); ok && fe.Kind == fault.Invalid {
		e.Fields = append(e.Fields, fe.Fields...)
	} else if err != nil {
		return t, err
	}
	if err := e.OrNil(); err != nil {
		return t, err
	}
	party, err := s.customers.Brief(ctx, a, in.CustomerID, in.ContactID)
	if err != nil {
		return t, err
	}
	byMatrix, err := Priority(ctx, a, in.Urgency, string(party.Level))
	if err != nil {
		return t, err
	}
	if in.Priority == "" || in.Priority == byMatrix {
		in.Priority, in.PriorityReason = byMatrix, ""
	} else if blank(in.PriorityReason) {
		return t, fault.Invalidf("ticket.need_priority_reason").Field("priority_reason", "ticket.need_priority_reason")
	}
	req := Request{Type: in.Type, Class: in.Class, CategoryID: in.CategoryID, Channel: in.Channel, Level: string(party.Level), Text: in.Title + "\n" + in.Description,
		CustomerID: party.ID, OwnerID: party.OwnerID}
	var tb *table
	var way *Decision
	if in.AssigneeID == 0 {
		if tb, err = s.table(ctx, a); err != nil {
			return t, err
		}
		way = &Decision{Department: in.DepartmentID, Given: in.DepartmentID != 0}
	}
	if in.DepartmentID == 0 && in.AssigneeID == 0 {
		if *way, err = s.destination(ctx, a, tb, req); err != nil {
			return t, err
		}
		in.DepartmentID = way.Department
	} else if in.DepartmentID != 0 {
		if err := s.openDepartment(ctx, a, in.DepartmentID); err != nil {
			return t, err
		}
	}
	cfg, err := s.config(ctx, a)
	if err != nil {
		return t, err
	}
	t = Ticket{Title: in.Title, Type: in.Type, Class: in.Class, CategoryID: in.CategoryID, Urgency: in.Urgency, Priority: in.Priority,
		PriorityReason: in.PriorityReason, Channel: in.Channel, Description: in.Description, CustomerID: party.ID, CustomerName: party.Name,
		CustomerLevel: string(party.Level), ContactID: party.ContactID, DepartmentID: in.DepartmentID, State: Pending, Round: 1, FollowsID: in.FollowsID,
		LinkKey: crypt.Token(9), CreatedByName: a.Actor.Name, CreatedAt: a.Now, UpdatedAt: a.Now, ActivityAt: a.Now, StateAt: a.Now, Version: 1, Tags: Tags("").With(in.Tags, nil)}
	if a.Actor.Kind == authz.User {
		t.CreatedBy = a.Actor.ID
	} else {
		t.CustomerAt = a.Now // a person has yet to answer
	}
	if in.parent != nil {
		t.ParentID = in.parent.ID
		t.DueFixed = !in.due.IsZero()
	}
	var who assignee
	if in.AssigneeID != 0 {
		own := in.DepartmentID
		p, err := s.fit(ctx, a, in.AssigneeID, in.DepartmentID, own)
		if err != nil {
			return t, err
		}
		who, t.DepartmentID = p.assignee, p.department
	} else if who, err = s.pick(ctx, a, tb, way, 0, req); err != nil {
		return t, err
	}
	t.AssigneeID, t.AssigneeName = who.ID, who.Name
	told := tell(who.ID)
	if who.ID != 0 {
		t.AssignedAt = a.Now
	} else {
		if t.SupervisorID, err = s.supervisor(ctx, a, t.DepartmentID); err != nil {
			return t, err
		}
		if way != nil {
			way.Supervisor = t.SupervisorID
		}
		if told = tell(t.SupervisorID); way != nil && way.pulled() {
			told = nil // it waits in the queue for whoever takes it; its clock speaks up when nobody does
		}
	}
	if t.Number, err = s.nextNumber(ctx, a.Tx, cfg.NumberTemplate); err != nil {
		return t, err
	}
	p, err := sla.Pick(ctx, a, t.Case())
	if err != nil {
		return t, err
	}
	// Who registers while the customer is on the line has responded already.
	answered := a.Actor.Kind == authz.User && t.ParentID == 0 && !in.split && (t.Channel == "phone" || t.Channel == "walk_in")
	if answered {
		t.RespondedAt = a.Now
	}
	for _, k := range clocksOf(t, false) { // known before they are there, so that the row is written once
		due, err := p.For(k).Due(ctx, a, a.Now)
		if err != nil {
			return t, err
		}
		if p.Target(k) > 0 && !(answered && k == sla.FirstResponse) && (t.DueAt.IsZero() || due.Before(t.DueAt)) {
			t.DueAt, t.DueClock, t.DueTotal = due, k, p.Target(k)
		}
	}
	if err := s.insert(ctx, a, &t, in); err != nil {
		return t, err
	}
	inserted := t
	inserted.DueFixed = false
	sla.Fresh(a, t.ID)
	if _, err := s.fields().Set(ctx, a.Tx, field.Ticket, t.ID, values); err != nil {
		return t, err
	}
	if in.FollowsID != 0 {
		if err := link(ctx, a, t.ID, in.FollowsID, "follow_up"); err != nil {
			return t, err
		}
	}
	if err := s.attach(ctx, a, t, 0, in.Files, false); err != nil {
		return t, err
	}
	if err := s.armAll(ctx, a, t, "registered", false); err != nil {
		return t, err
	}
	if t.DueFixed {
		if err := sla.Fix(ctx, a, t.ID, sla.Resolution, t.Round, in.due, "registered"); err != nil {
			return t, err
		}
	}
	if answered {
		if _, err := sla.Meet(ctx, a, t.ID, "registered", sla.FirstResponse); err != nil {
			return t, err
		}
	}
	if t.ParentID == 0 {
		err = customer.NewTicket(ctx, a.Tx, t.CustomerID, a.Now)
	} else {
		err = customer.Touch(ctx, a.Tx, t.CustomerID, a.Now)
	}
	if err != nil {
		return t, err
	}
	if err := s.hooks.done(ctx, a, Ticket{}, &t, Register, Input{}); err != nil {
		return t, err
	}
	if in.Then != nil {
		if err := in.Then(ctx, a, &t); err != nil {
			return t, err
		}
	}
	if t.DepartmentID != inserted.DepartmentID { // its process begins there
		if told = tell(t.AssigneeID); t.AssigneeID == 0 {
			told = tell(t.SupervisorID)
		}
	}
	if err := s.moveLoad(ctx, a, Ticket{}, t); err != nil {
		return t, err
	}
	if err := s.saveRow(ctx, a, inserted, &t, false); err != nil {
		return t, err
	}
	f := fact(Ticket{State: ""}, t)
	f.Was, f.Automated = 0, in.Automated
	f.Tell, f.Route = told, way
	dep, err := s.departmentName(ctx, a, t.DepartmentID)
	if err != nil {
		return t, err
	}
	if t.AssigneeName != "" {
		f.Args = []string{dep + " / " + t.AssigneeName}
	} else {
		f.Args = []string{dep}
	}
	if err := s.note(ctx, a, past[Register], t, f, in.PriorityReason); err != nil {
		return t, err
	}
	return t, s.stageNoted(ctx, a, Ticket{}, t)
}

func (s *Service) insert(ctx context.Context, a *action.Action, t *Ticket, in RegisterInput) error {
	var key any
	if in.ImportKey != "" {
		key = in.ImportKey
	}
	err := a.QueryRow(ctx, `
		INSERT INTO tickets (number, parent_id, title, type, class, category_id, urgency, priority, priority_reason, channel, description,
			customer_id, customer_name, customer_level, contact_id, department_id, assignee_id, assignee_name, supervisor_id, state, follows_id, link_key,
			created_by, created_by_name, created_at, updated_at, activity_at, customer_at, assigned_at, import_key, demo, due_at, due_clock, due_total, responded_at, state_at, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)
		RETURNING id`,
		t.Number, db.NullID(t.ParentID), t.Title, t.Type, t.Class, t.CategoryID, t.Urgency, t.Priority, t.PriorityReason, t.Channel, t.Description,
		t.CustomerID, t.CustomerName, t.CustomerLevel, t.ContactID, t.DepartmentID, t.AssigneeID, t.AssigneeName, t.SupervisorID, string(t.State), t.FollowsID, t.LinkKey,
		t.CreatedBy, t.CreatedByName, db.Micros(t.CreatedAt), db.Micros(t.UpdatedAt), db.Micros(t.ActivityAt), db.Micros(t.CustomerAt), db.Micros(t.AssignedAt), key, db.Bool(in.Demo),
		db.Micros(t.DueAt), string(t.DueClock), int64(t.DueTotal/time.Second), db.Micros(t.RespondedAt), db.Micros(t.StateAt), string(t.Tags)).Scan(&t.ID)
	if err != nil {
		return fmt.Errorf("ticket: insert: %w", err)
	}
	for _, tag := range t.Tags.IDs() {
		if err := a.Later(ctx, `INSERT INTO ticket_tagged (ticket_id, tag_id) VALUES ($1, $2)`, t.ID, tag); err != nil {
			return fmt.Errorf("ticket: insert: %w", err)
		}
	}
	return nil
}

func exists(ctx context.Context, q db.Querier, table string, id int64) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM `+table+` WHERE id = $1`, id).Scan(&n)
	return n > 0, err
}

// ByKey returns the ticket registered with that import key, else NotFound: so a
// form sent twice, or an import begun again, finds what it made the first time.
func ByKey(ctx context.Context, q db.Querier, key string) (Ticket, error) {
	return get(ctx, q, authz.For(authz.System(""), PermView), "t.import_key", key, "")
}

// CustomerWrites takes a message of the customer, from his link or any other
// channel, and does what the state of the ticket asks for: an answer resumes
// work, a word after completion reopens, a word after archiving becomes a new,
// linked ticket. It returns the ticket the words went to.
func (s *Service) CustomerWrites(ctx context.Context, actor authz.Actor, id int64, text string, files []int64) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.customer_writes", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.CustomerWritesIn(ctx, a, id, text, files, "")
		return err
	})
	return t, err
}

// CustomerWritesIn is CustomerWrites inside an action under way; key becomes the
// import key of a new ticket (see [ByKey]), "" for none.
func (s *Service) CustomerWritesIn(ctx context.Context, a *action.Action, id int64, text string, files []int64, key string) (t Ticket, err error) {
	if blank(text) && len(files) == 0 {
		return t, fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
	}
	old, err := s.load(ctx, a, id)
	if err != nil {
		return t, err
	}
	return s.customerWritesIn(ctx, a, old, text, files, key)
}

func (s *Service) customerWritesIn(ctx context.Context, a *action.Action, old Ticket, text string, files []int64, key string) (t Ticket, err error) {
	id := old.ID
	if old.MergedInto != 0 {
		return s.writesToMerged(ctx, a, old, text, files, key)
	}
	cfg, err := s.config(ctx, a)
	if err != nil {
		return t, err
	}
	switch {
	case old.State == WaitingCustomer:
		return s.DoIn(ctx, a, id, Answer, Input{Body: text, Files: files})
	case old.State == Completed && a.Now.Sub(old.CompletedAt) <= cfg.ReopenWindow:
		if t, err = s.DoIn(ctx, a, id, Reopen, Input{Reason: text, wordsOfCustomer: true}); err != nil {
			return t, err
		}
		old = t
	case !old.State.Open():
		return s.writesAnew(ctx, a, old, text, files, key)
	}
	t = old
	entry, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Customer, Body: strings.TrimSpace(text)})
	if err != nil {
		return t, err
	}
	if err := s.attach(ctx, a, t, entry, files, false); err != nil {
		return t, err
	}
	t.CustomerAt, t.ActivityAt = a.Now, a.Now
	if err := customer.Touch(ctx, a.Tx, t.CustomerID, a.Now); err != nil {
		return t, err
	}
	if err := s.notSilent(ctx, a, t); err != nil {
		return t, err
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return t, err
	}
	f := fact(old, t)
	f.Entry, f.Tell = entry, tell(t.AssigneeID, t.SupervisorID)
	return t, s.note(ctx, a, "ticket.customer_wrote", t, f, "")
}

// notSilent counts the days of silence before a confirmation lapses from now on,
// for a customer of t has written.
func (s *Service) notSilent(ctx context.Context, a *action.Action, t Ticket) error {
	if t.State != AwaitingConfirmation {
		return nil
	}
	p, err := sla.Pick(ctx, a, t.Case())
	if err != nil {
		return err
	}
	return sla.Arm(ctx, a, t.ID, sla.Confirmation, t.Round, p.For(sla.Confirmation), "answered")
}

// writesAnew makes a new ticket of what the customer wrote after the end of one,
// linked to it.
func (s *Service) writesAnew(ctx context.Context, a *action.Action, old Ticket, text string, files []int64, key string) (t Ticket, err error) {
	if d, ok, err := s.org.Department(ctx, a, old.DepartmentID); err != nil {
		return t, err
	} else if !ok || !d.Active {
		old.DepartmentID = 0 // closed since: by routing
	}
	return s.registerIn(ctx, a, RegisterInput{Title: old.Title, Type: old.Type, Class: old.Class, CategoryID: old.CategoryID, Urgency: old.Urgency,
		Channel: old.Channel, Description: text, CustomerID: old.CustomerID, ContactID: old.ContactID, DepartmentID: old.DepartmentID, FollowsID: old.ID, Files: files, ImportKey: key})
}
