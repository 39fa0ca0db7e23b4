package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/sla"
)

// Service is the room.
type Service struct {
	run       *action.Runner
	org       *org.Service
	customers *customer.Service
	files     *blob.Files
	keys      *crypt.Keeper
	clocks    *sla.Service
	approvals *approval.Service // nil: deadlines are not deferred
	config    func(ctx context.Context, q db.Querier) (Config, error)
	hooks     hooks
	bulks     []OtherBulk // changes of many tickets of other rooms
	people    People      // who asked for long work: see Equip
	jobs      *job.Queue  // nil: everything is done at once
	routes    atomic.Pointer[table]
}

// New returns the service and takes over the firing of clocks.
func New(run *action.Runner, o *org.Service, c *customer.Service, files *blob.Files, keys *crypt.Keeper, clocks *sla.Service) *Service {
	s := &Service{run: run, org: o, customers: c, files: files, keys: keys, clocks: clocks}
	s.config = s.readConfig
	clocks.OnFire(s.fired)
	clocks.LockFirst(lockAll)
	clocks.AboutTickets(answerable)
	s.AddAfter(s.followTasks)
	c.RefuseVague(func(ctx context.Context, q db.Querier) (bool, error) {
		cfg, err := s.config(ctx, q)
		return cfg.RefuseVague, err
	})
	return s
}

// DB returns the store the room reads from.
func (s *Service) DB() *db.DB { return s.run.DB() }

const subjectType = "ticket"

// Subject of the events of ticket id.
func Subject(id int64) event.Subject { return event.Subject{Type: subjectType, ID: id} }

// column ties a field to its column, for reading and for saving what changed.
type column struct {
	name  string
	value func(*Ticket) any
}

func at(f func(*Ticket) time.Time) func(*Ticket) any {
	return func(t *Ticket) any { return db.Micros(f(t)) }
}

// mutable are the columns a move may change.
var mutable = []column{
	{"title", func(t *Ticket) any { return t.Title }},
	{"type", func(t *Ticket) any { return t.Type }},
	{"class", func(t *Ticket) any { return t.Class }},
	{"category_id", func(t *Ticket) any { return t.CategoryID }},
	{"urgency", func(t *Ticket) any { return t.Urgency }},
	{"priority", func(t *Ticket) any { return t.Priority }},
	{"priority_reason", func(t *Ticket) any { return t.PriorityReason }},
	{"department_id", func(t *Ticket) any { return t.DepartmentID }},
	{"assignee_id", func(t *Ticket) any { return t.AssigneeID }},
	{"assignee_name", func(t *Ticket) any { return t.AssigneeName }},
	{"supervisor_id", func(t *Ticket) any { return t.SupervisorID }},
	{"customer_level", func(t *Ticket) any { return t.CustomerLevel }},
	{"state", func(t *Ticket) any { return string(t.State) }},
	{"is_open", func(t *Ticket) any { return db.Bool(t.State.Open()) }},
	{"round", func(t *Ticket) any { return t.Round }},
	{"escalation", func(t *Ticket) any { return t.Escalation }},
	{"overdue", func(t *Ticket) any { return db.Bool(t.Overdue) }},
	{"open_children", func(t *Ticket) any { return t.OpenChildren }},
	{"solution", func(t *Ticket) any { return t.Solution }},
	{"cause", func(t *Ticket) any { return t.Cause }},
	{"corrective", func(t *Ticket) any { return t.Corrective }},
	{"delay_reason", func(t *Ticket) any { return t.DelayReason }},
	{"summary", func(t *Ticket) any { return t.Summary }},
	{"outcome", func(t *Ticket) any { return t.Outcome }},
	{"cancel_reason", func(t *Ticket) any { return t.CancelReason }},
	{"duplicate_of", func(t *Ticket) any { return t.DuplicateOf }},
	{"merged_into", func(t *Ticket) any { return t.MergedInto }},
	{"joined", func(t *Ticket) any { return db.Bool(t.Joined) }},
	{"deferral_id", func(t *Ticket) any { return t.DeferralID }},
	{"deferred_from", at(func(t *Ticket) time.Time { return t.DeferredFrom })},
	{"due_fixed", func(t *Ticket) any { return db.Bool(t.DueFixed) }},
	{"conference", func(t *Ticket) any { return string(t.Conference) }},
	{"rating", func(t *Ticket) any { return t.Rating }},
	{"link_key", func(t *Ticket) any { return t.LinkKey }},
	{"due_at", at(func(t *Ticket) time.Time { return t.DueAt })},
	{"due_clock", func(t *Ticket) any { return string(t.DueClock) }},
	{"due_total", func(t *Ticket) any { return int64(t.DueTotal / time.Second) }},
	{"activity_at", at(func(t *Ticket) time.Time { return t.ActivityAt })},
	{"state_at", at(func(t *Ticket) time.Time { return t.StateAt })},
	{"customer_at", at(func(t *Ticket) time.Time { return t.CustomerAt })},
	{"assigned_at", at(func(t *Ticket) time.Time { return t.AssignedAt })},
	{"acknowledged_at", at(func(t *Ticket) time.Time { return t.AcknowledgedAt })},
	{"responded_at", at(func(t *Ticket) time.Time { return t.RespondedAt })},
	{"resolved_at", at(func(t *Ticket) time.Time { return t.ResolvedAt })},
	{"completed_at", at(func(t *Ticket) time.Time { return t.CompletedAt })},
	{"closed_at", at(func(t *Ticket) time.Time { return t.ClosedAt })},
	{"process_id", func(t *Ticket) any { return t.ProcessID }},
	{"process_version", func(t *Ticket) any { return t.ProcessVersion }},
	{"stage", func(t *Ticket) any { return t.Stage }},
	{"stage_name", func(t *Ticket) any { return t.StageName }},
	{"stage_at", at(func(t *Ticket) time.Time { return t.StageAt })},
	{"tags", func(t *Ticket) any { return string(t.Tags) }},
}

const ticketColumns = `t.state_at, t.id, t.number, COALESCE(t.parent_id, 0), t.title, t.type, t.class, t.category_id, t.urgency, t.priority, t.priority_reason, t.channel, t.description,
	t.customer_id, t.customer_name, t.customer_level, t.contact_id, t.department_id, t.assignee_id, t.assignee_name, t.supervisor_id, t.state, t.round, t.escalation, t.overdue,
	t.open_children, t.open_tasks, t.solution, t.cause, t.corrective, t.delay_reason, t.summary, t.outcome, t.cancel_reason, t.duplicate_of, t.follows_id, t.rating, t.link_key,
	t.due_at, t.due_clock, t.due_total, t.created_by, t.created_by_name, t.created_at, t.updated_at, t.activity_at, t.customer_at, t.assigned_at, t.acknowledged_at,
	t.responded_at, t.resolved_at, t.completed_at, t.closed_at, t.process_id, t.process_version, t.stage, t.stage_name, t.stage_at, t.version, t.merged_into, t.deferral_id, t.deferred_from, t.due_fixed, t.conference, t.joined, t.tags`

func scanTicket(row interface{ Scan(...any) error }) (t Ticket, err error) {
	var overdue, fixed, joined int
	var us [13]int64
	var total int64
	var since int64
	err = row.Scan(&since, &t.ID, &t.Number, &t.ParentID, &t.Title, &t.Type, &t.Class, &t.CategoryID, &t.Urgency, &t.Priority, &t.PriorityReason, &t.Channel, &t.Description,
		&t.CustomerID, &t.CustomerName, &t.CustomerLevel, &t.ContactID, &t.DepartmentID, &t.AssigneeID, &t.AssigneeName, &t.SupervisorID, (*string)(&t.State), &t.Round, &t.Escalation, &overdue,
		&t.OpenChildren, &t.OpenTasks, &t.Solution, &t.Cause, &t.Corrective, &t.DelayReason, &t.Summary, &t.Outcome, &t.CancelReason, &t.DuplicateOf, &t.FollowsID, &t.Rating, &t.LinkKey,
		&us[0], (*string)(&t.DueClock), &total, &t.CreatedBy, &t.CreatedByName, &us[1], &us[2], &us[3], &us[4], &us[5], &us[6],
		&us[7], &us[8], &us[9], &us[10], &t.ProcessID, &t.ProcessVersion, &t.Stage, &t.StageName, &us[11], &t.Version, &t.MergedInto, &t.DeferralID, &us[12], &fixed, (*string)(&t.Conference), &joined, (*string)(&t.Tags))
	t.Overdue, t.DueFixed, t.Joined = overdue == 1, fixed == 1, joined == 1
	t.DueTotal = time.Duration(total) * time.Second
	for i, p := range []*time.Time{&t.DueAt, &t.CreatedAt, &t.UpdatedAt, &t.ActivityAt, &t.CustomerAt, &t.AssignedAt, &t.AcknowledgedAt, &t.RespondedAt, &t.ResolvedAt, &t.CompletedAt, &t.ClosedAt, &t.StageAt, &t.DeferredFrom} {
		*p = db.FromMicros(us[i])
	}
	t.StateAt = db.FromMicros(since)
	return t, err
}

func notFound() error { return fault.New(fault.NotFound, "ticket.not_found") }

// scopeColumns are what a data scope compares. Beside owner and department a
// ticket concerns those who watch it, the lead owner of its main ticket and
// those who help with a sub-ticket of it.
var scopeColumns = authz.Columns{
	Owners:     []string{"t.assignee_id", "t.created_by", "t.supervisor_id"},
	Department: "t.department_id",
	Extra: func(a *db.Args, user int64) string {
		// Written so that the engine asks for each row, by its key: of an EXISTS,
		// PostgreSQL may collect all that ever concerned the user first.
		return a.Add(user) + " IN (SELECT w.user_id FROM ticket_watchers w WHERE w.ticket_id = t.id)" +
			" OR " + a.Add(user) + " IN (SELECT p.assignee_id FROM tickets p WHERE p.id = t.parent_id)" +
			" OR " + a.Add(user) + " IN (SELECT c.assignee_id FROM tickets c WHERE c.parent_id = t.id)"
	},
}

// View is the scope in which actor sees tickets.
func View(actor authz.Actor) authz.Scope { return authz.For(actor, PermView) }

// get reads one ticket through the scope; lock takes its row for writing.
func get(ctx context.Context, q db.Querier, sc authz.Scope, cond string, arg any, lock string) (Ticket, error) {
	var a db.Args
	where := cond + " = " + a.Add(arg)
	if !sc.Everything() {
		where += " AND " + sc.Where(&a, scopeColumns)
	}
	t, err := scanTicket(q.QueryRow(ctx, "SELECT "+ticketColumns+" FROM tickets t WHERE "+where+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return t, notFound()
	}
	if err != nil {
		return t, fmt.Errorf("ticket: load: %w", err)
	}
	return t, nil
}

// Get returns the ticket id if sc reaches it, else NotFound.
func (s *Service) Get(ctx context.Context, sc authz.Scope, id int64) (Ticket, error) {
	return get(ctx, s.DB().Read(), sc, "t.id", id, "")
}

// ByNumber returns the ticket with that number if sc reaches it, else NotFound.
func (s *Service) ByNumber(ctx context.Context, sc authz.Scope, number string) (Ticket, error) {
	return get(ctx, s.DB().Read(), sc, "t.number", strings.ToUpper(strings.TrimSpace(number)), "")
}

// load reads a ticket for a change by the action's actor.
func (s *Service) load(ctx context.Context, a *action.Action, id int64) (Ticket, error) {
	lock := lockOf(a)
	switch a.Actor.Kind {
	case authz.Customer:
		// The signed link names the ticket; a customer's other tickets are not his to change through it.
		t, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, lock)
		if err == nil && t.CustomerID != a.Actor.CustomerID {
			return Ticket{}, notFound()
		}
		return t, err
	default:
		return get(ctx, a, View(a.Actor), "t.id", id, lock)
	}
}

// due sets the deadline of t to that of its nearest clock.
func due(ctx context.Context, a *action.Action, t *Ticket) error {
	c, ok, err := sla.Nearest(ctx, a, t.ID)
	if err != nil {
		return err
	}
	t.DueAt, t.DueClock, t.DueTotal = time.Time{}, "", 0
	if ok {
		t.DueAt, t.DueClock, t.DueTotal = c.DueAt, c.Kind, c.Target
	}
	return nil
}

// save writes what differs between old and t, moves the counters that follow
// from it and refreshes the nearest deadline.
func (s *Service) save(ctx context.Context, a *action.Action, old Ticket, t *Ticket) error {
	if err := s.saveRow(ctx, a, old, t, true); err != nil {
		return err
	}
	if err := s.moveLoad(ctx, a, old, *t); err != nil {
		return err
	}
	if d := int(db.Bool(t.State.Open()) - db.Bool(old.State.Open())); d != 0 && t.ParentID == 0 {
		if err := customer.AddTicket(ctx, a.Tx, t.CustomerID, int64(d), 0); err != nil {
			return err
		}
	}
	return nil
}

// saveRow writes what differs between old and t into its row, and refreshes the
// nearest deadline; when nothing differs it does so only if it must.
func (s *Service) saveRow(ctx context.Context, a *action.Action, old Ticket, t *Ticket, must bool) error {
	if t.State.Open() && old.Case() != t.Case() { // whatever moved it: another policy may be its own now
		why := "edited"
		if old.DepartmentID != t.DepartmentID {
			why = "reassigned"
		}
		if err := s.repolicy(ctx, a, old, t, why); err != nil {
			return err
		}
	}
	d, err := differ(ctx, a, old, t)
	if err != nil || len(d.columns) == 0 && !must {
		return err
	}
	return d.save(ctx, a, old, t)
}

// difference is what a move has changed of a ticket.
type difference struct {
	columns []string
	values  []any
}

// differ refreshes the nearest deadline of t and says what is to be written of it.
func differ(ctx context.Context, a *action.Action, old Ticket, t *Ticket) (d difference, err error) {
	if err := due(ctx, a, t); err != nil {
		return d, err
	}
	t.UpdatedAt = a.Now
	if t.State != old.State {
		t.StateAt = a.Now
	}
	for _, col := range mutable {
		if now := col.value(t); now != col.value(&old) {
			d.columns, d.values = append(d.columns, col.name), append(d.values, now)
		}
	}
	return d, nil
}

func (d difference) save(ctx context.Context, a *action.Action, old Ticket, t *Ticket) error {
	var args db.Args
	set := "version = version + 1, updated_at = " + args.Add(a.NowMicros())
	for i, c := range d.columns {
		set += ", " + c + " = " + args.Add(d.values[i])
	}
	// Whoever saves has made the row or loaded it with its lock: it is as it was.
	if err := a.Later(ctx, "UPDATE tickets SET "+set+" WHERE id = "+args.Add(t.ID)+" AND version = "+args.Add(old.Version), args.Values...); err != nil {
		return fmt.Errorf("ticket: save %d: %w", t.ID, err)
	}
	t.Version = old.Version + 1
	return nil
}

// changed is a ticket that was changed beside many others.
type changed struct {
	id, version int64 // as it was
	difference
}

// saveRows writes what was changed of many tickets, all of which are locked: a
// statement for those of which the same was changed.
func saveRows(ctx context.Context, a *action.Action, all []changed) error {
	alike := map[string][]changed{}
	var order []string
	for _, x := range all {
		k := strings.Join(x.columns, ",")
		if alike[k] == nil {
			order = append(order, k)
		}
		alike[k] = append(alike[k], x)
	}
	for _, k := range order {
		xs := alike[k]
		set := "version = tickets.version + 1, updated_at = v.column3"
		types := []string{"BIGINT", "BIGINT", "BIGINT"}
		for i, c := range xs[0].columns {
			set += ", " + c + " = v.column" + strconv.Itoa(i+4)
			if _, text := xs[0].values[i].(string); text {
				types = append(types, "TEXT")
			} else {
				types = append(types, "BIGINT")
			}
		}
		values := make([]any, 0, len(xs)*len(types))
		for _, x := range xs {
			values = append(append(values, x.id, x.version, a.NowMicros()), x.values...)
		}
		if err := a.UpdateMany(ctx, `UPDATE tickets SET `+set, "tickets.id = v.column1 AND tickets.version = v.column2", types, values); err != nil {
			return fmt.Errorf("ticket: save %d: %w", len(xs), err)
		}
	}
	return nil
}

func changedMeanwhile() error { return fault.New(fault.Conflict, "ticket.changed_meanwhile") }

// moveLoad keeps how many open tickets each person has, so that routing need
// not count them.
func (s *Service) moveLoad(ctx context.Context, a *action.Action, old, t Ticket) error {
	carries := func(t Ticket) int64 {
		if t.State.Open() {
			return t.AssigneeID
		}
		return 0
	}
	from, to := carries(old), carries(t)
	if from == to {
		return nil
	}
	type step struct {
		user int64
		by   int
	}
	steps := [2]step{{from, -1}, {to, 1}}
	if from > to { // always in one order, so that two hand-overs do not lock each other out
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, d := range steps {
		if d.user == 0 {
			continue
		}
		if err := addLoad(ctx, a.Tx, d.user, d.by); err != nil {
			return err
		}
	}
	return nil
}

func addLoad(ctx context.Context, tx *db.Tx, user int64, by int) error {
	err := tx.Later(ctx, `INSERT INTO ticket_load (user_id, open) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET open = ticket_load.open + excluded.open`, user, by)
	if err != nil {
		return fmt.Errorf("ticket: load of user %d: %w", user, err)
	}
	return nil
}

// Fact is the data of every event of this room. With From, To, the people and
// the round, the events replayed give the stored state; with the people, who
// may hear of it live.
type Fact struct {
	Number     string   `json:"number"`
	Title      string   `json:"title"`
	Args       []string `json:"args,omitempty"` // fill the sentence event.<kind>
	From       State    `json:"from,omitempty"`
	To         State    `json:"to,omitempty"`
	Assignee   int64    `json:"assignee,omitempty"`
	Was        int64    `json:"was,omitempty"` // assignee before, when it changed
	Department int64    `json:"department"`
	// WasDepartment is the department before, when it changed: its queue has one less.
	WasDepartment int64          `json:"was_department,omitempty"`
	Supervisor    int64          `json:"supervisor,omitempty"`
	CreatedBy     int64          `json:"created_by,omitempty"`
	Customer      int64          `json:"customer"`
	Parent        int64          `json:"parent,omitempty"`
	Round         int            `json:"round"`
	Urgent        bool           `json:"urgent,omitempty"`
	Helped        bool           `json:"helped,omitempty"` // it has open sub-tickets, which show how far it is
	Tell          []int64        `json:"tell,omitempty"`   // users to be notified, resolved when it happened
	Entry         int64          `json:"entry,omitempty"`
	Clock         sla.Kind       `json:"clock,omitempty"`
	Step          string         `json:"step,omitempty"`
	Class         sla.Class      `json:"class,omitempty"` // how loud the notice is: urgent, insist
	Changes       []event.Change `json:"changes,omitempty"`
	Stars         int            `json:"stars,omitempty"` // of the rating that came with it
	// Automated says that a program sent what was registered: nobody answers it
	// automatically.
	Automated bool `json:"automated,omitempty"`
	// Route is how routing came to department and person; nil when they were named.
	Route *Decision `json:"route,omitempty"`
}

// fact describes t after a change; old is it before.
func fact(old, t Ticket) Fact {
	f := Fact{Number: t.Number, Title: t.Title, From: old.State, To: t.State, Assignee: t.AssigneeID, Department: t.DepartmentID,
		Supervisor: t.SupervisorID, CreatedBy: t.CreatedBy, Customer: t.CustomerID, Parent: t.ParentID, Round: t.Round, Urgent: t.Priority == "urgent", Helped: t.OpenChildren > 0}
	if old.AssigneeID != t.AssigneeID {
		f.Was = old.AssigneeID
	}
	if old.DepartmentID != t.DepartmentID {
		f.WasDepartment = old.DepartmentID
	}
	return f
}

// note writes the event and, unless the entry has been written, the journal
// line of a change.
func (s *Service) note(ctx context.Context, a *action.Action, kind string, t Ticket, f Fact, reason string) error {
	for _, user := range f.Tell {
		// Who is away hears of it when he is back; his delegate hears of it now (ORG-5).
		if now, err := s.org.StandIn(ctx, a, user); err != nil {
			return err
		} else if now != user {
			f.Tell = tell(append(f.Tell, now)...)
		}
	}
	if f.Entry == 0 {
		k := journal.Move
		if a.Actor.Kind == authz.Worker {
			k = journal.System
		}
		id, err := journal.AddMove(ctx, a, k, t.ID, t.CustomerID, journal.Moved{Event: kind, Args: f.Args, Reason: reason})
		if err != nil {
			return err
		}
		f.Entry = id
	}
	a.Record(event.Event{Kind: kind, Subject: Subject(t.ID), Reason: reason, Data: f})
	return nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
