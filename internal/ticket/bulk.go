package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/number"
	"bihuan/internal/search"
	"bihuan/internal/sla"
)

// OutcomeImported is how a ticket ended that was finished before it came here,
// unless its table says more.
const OutcomeImported = "imported"

// EventImported is the fact of an imported ticket; its data is a [Fact].
const EventImported = "ticket.imported"

// ImportRow is a ticket as another system, a table or sample data brings it.
// Zero fields take the values of a new ticket.
type ImportRow struct {
	ImportKey  string // makes the import repeatable; unique
	Number     string // to be kept; "" takes ExternalID if it fits, else the next
	ExternalID string // its number where it comes from

	Title, Description string
	Type, Class        string
	CategoryID         int64
	Urgency            string // "": normal
	Priority           string // "": by the matrix
	PriorityReason     string // kept only if Priority is not that of the matrix
	Channel            string // "": phone
	Customer           customer.Target
	ParentID           int64

	DepartmentID int64 // 0: by routing
	AssigneeID   int64 // 0: nobody; a ticket that is being worked on needs one
	AssigneeName string
	State        State // "": pending
	Round        int
	Outcome      string // of a finished ticket; "": imported, or cancelled
	CancelReason string
	Solution     string
	Cause        string
	Corrective   string
	Rating       *Rating

	CreatedBy      int64
	CreatedByName  string
	CreatedAt      time.Time // zero: now
	ActivityAt     time.Time // zero: the latest of the others that is not in future
	AssignedAt     time.Time
	AcknowledgedAt time.Time
	RespondedAt    time.Time
	ResolvedAt     time.Time
	CompletedAt    time.Time
	ClosedAt       time.Time
	DueAt          time.Time // promised; zero: by the policy

	Entries []journal.Entry // its history, oldest first; ticket and customer are filled in
	Fields  field.Input     // custom fields; nil: nobody was asked
	Tags    []int64
	Demo    bool

	values []field.Value // parsed by decide
}

// Imported is what became of an ImportRow.
type Imported struct {
	ID      int64
	Number  string
	Before  bool // a row with the same ImportKey was taken in earlier
	Warning *fault.Error
	Err     error // why it was not taken in
}

func (r *ImportRow) check() error {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def((*string)(&r.State), string(Pending))
	def(&r.Urgency, "normal")
	def(&r.Channel, "phone")
	in := RegisterInput{Title: r.Title, Type: r.Type, Class: r.Class, Urgency: r.Urgency, Priority: r.Priority, Channel: r.Channel, Description: r.Description}
	e := in.check()
	r.Title, r.Description = in.Title, in.Description
	if r.Customer.ID == 0 {
		e.Field("customer", "ticket.need_customer")
	}
	if !slices.Contains(States, r.State) {
		e.Field("state", "ticket.need_choice")
	}
	if r.State.Open() && r.State != Pending && r.AssigneeID == 0 {
		e.Field("assignee", "ticket.import.needs_assignee")
	}
	return e.OrNil()
}

// decide says which rows come in and under which numbers.
func (s *Service) decide(ctx context.Context, q db.Querier, rows []ImportRow) ([]Imported, error) {
	out := make([]Imported, len(rows))
	var keys, wanted []string
	for i := range rows {
		if rows[i].ImportKey != "" {
			keys = append(keys, rows[i].ImportKey)
		}
		if n := rows[i].Number; n != "" {
			wanted = append(wanted, n)
		} else if n, ok := customer.FitNumber(rows[i].ExternalID); ok {
			wanted = append(wanted, n)
		}
	}
	type had struct {
		id     int64
		number string
	}
	before, taken := map[string]had{}, map[string]had{}
	look := func(into map[string]had, column string) func(in string, args []any) error {
		return func(in string, args []any) error {
			found, err := q.Query(ctx, `SELECT `+column+`, id, number FROM tickets WHERE `+column+` IN (`+in+`)`, args...)
			if err != nil {
				return fmt.Errorf("ticket: import: %w", err)
			}
			defer found.Close()
			for found.Next() {
				var k string
				var h had
				if err := found.Scan(&k, &h.id, &h.number); err != nil {
					return fmt.Errorf("ticket: import: %w", err)
				}
				into[k] = h
			}
			return found.Err()
		}
	}
	if err := errors.Join(db.EachIn(keys, look(before, "import_key")), db.EachIn(wanted, look(taken, "number"))); err != nil {
		return nil, err
	}
	for i := range rows {
		r, o := &rows[i], &out[i]
		if h, ok := before[r.ImportKey]; ok && r.ImportKey != "" {
			if h.id == 0 {
				o.Err = fault.New(fault.Conflict, "ticket.import.repeated")
			} else {
				o.ID, o.Number, o.Before = h.id, h.number, true
			}
			continue
		}
		var bad error
		r.values, bad = s.checkFields(ctx, q, r.Type, r.Fields, field.Mode{New: true, Lax: true})
		if bad != nil && !fault.Is(bad, fault.Invalid) {
			return nil, bad
		}
		if o.Err = fault.Both(r.check(), bad); o.Err != nil {
			continue
		}
		if r.Number != "" {
			if _, ok := taken[r.Number]; ok {
				o.Err = fault.New(fault.Conflict, "ticket.import.number_taken", r.Number)
				continue
			}
			o.Number = r.Number
		} else if n, ok := customer.FitNumber(r.ExternalID); ok {
			if _, ok := taken[n]; ok {
				o.Warning = fault.Invalidf("ticket.import.number_given", n)
			} else {
				o.Number = n
			}
		}
		if o.Number != "" {
			taken[o.Number] = had{}
		}
		if r.ImportKey != "" {
			before[r.ImportKey] = had{}
		}
	}
	return out, nil
}

// CheckImport says what Import would do with rows, without doing it.
func (s *Service) CheckImport(ctx context.Context, rows []ImportRow) ([]Imported, error) {
	return s.decide(ctx, s.DB().Read(), slices.Clone(rows))
}

// Import takes in many tickets in one action, some 500 at a time, each with its
// history, its clocks, its search entry and its event; faulty ones are reported.
// The caller has checked the actor's right, that customers and people exist and
// that an assignee may work in the department.
//
// An open ticket gets the clock that its state waits for: resolution, or the
// customer's answer or confirmation. The promised time is DueAt, else that of
// the policy counted from when it was created, or from now if that is past.
// What is late already is shown so, and no alarm is sounded for it. The other
// clocks (acknowledge, progress) begin with the first step taken here.
//
// err is for what no row is to blame for; two imports at once may collide in a
// unique value, then the action is to be tried again.
func (s *Service) Import(ctx context.Context, a *action.Action, given []ImportRow) ([]Imported, error) {
	rows := slices.Clone(given) // the action may run again
	out, err := s.decide(ctx, a, rows)
	if err != nil {
		return nil, err
	}
	var take []int
	fresh := 0
	for i := range rows {
		if out[i].Err == nil && !out[i].Before {
			take = append(take, i)
			if out[i].Number == "" {
				fresh++
			}
		}
	}
	if len(take) == 0 {
		a.Nothing()
		return out, nil
	}
	b, err := s.newBulk(ctx, a)
	if err != nil {
		return nil, err
	}
	numbers, err := customer.FreshNumbers(ctx, a.Tx, "ticket", "tickets", b.cfg.NumberTemplate, fresh)
	if err != nil {
		return nil, err
	}
	ids, err := a.ReserveIDs(ctx, "tickets", len(take))
	if err != nil {
		return nil, err
	}
	for n, i := range take {
		if out[i].Number == "" {
			out[i].Number, numbers = numbers[0], numbers[1:]
		}
		out[i].ID = ids[n]
		if err := b.add(ctx, ids[n], out[i].Number, &rows[i]); err != nil {
			return nil, err
		}
	}
	if err := b.write(ctx); err != nil {
		return nil, err
	}
	for _, f := range s.hooks.brought {
		if len(b.open) > 0 {
			if err := f(ctx, a, b.open); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// bulk collects what the tickets of one import write.
type bulk struct {
	s         *Service
	a         *action.Action
	cfg       Config
	matrix    map[[2]string]string
	policies  []sla.Policy
	calendars *calendar.Book
	routing   *table
	desks     map[int64]int64 // supervisor by department
	tickets   []any
	open      []Ticket
	ratings   []any
	clocks    []sla.Start
	entries   []journal.Entry
	docs      []search.Doc
	values    map[int64][]field.Value
	tagged    []any
	load      map[int64]int
	business  map[int64]*customer.Business
	children  map[int64]int
	departing map[int64]string // names of departments
}

func (s *Service) newBulk(ctx context.Context, a *action.Action) (*bulk, error) {
	b := &bulk{s: s, a: a, values: map[int64][]field.Value{}, matrix: map[[2]string]string{}, desks: map[int64]int64{},
		load: map[int64]int{}, business: map[int64]*customer.Business{}, children: map[int64]int{}, departing: map[int64]string{}}
	var err error
	if b.cfg, err = s.config(ctx, a); err != nil {
		return nil, err
	}
	if b.policies, err = sla.Held(ctx, a); err != nil {
		return nil, err
	}
	if b.calendars, err = calendar.Load(ctx, a); err != nil {
		return nil, err
	}
	if b.routing, err = s.table(ctx, a); err != nil {
		return nil, err
	}
	rows, err := a.Query(ctx, `SELECT urgency, level, priority FROM priority_matrix`)
	if err != nil {
		return nil, fmt.Errorf("ticket: priorities: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var u, l, p string
		if err := rows.Scan(&u, &l, &p); err != nil {
			return nil, fmt.Errorf("ticket: priorities: %w", err)
		}
		b.matrix[[2]string{u, l}] = p
	}
	return b, rows.Err()
}

func (b *bulk) desk(ctx context.Context, department int64) (int64, error) {
	id, ok := b.desks[department]
	if !ok {
		var err error
		if id, err = b.s.supervisor(ctx, b.a, department); err != nil {
			return 0, err
		}
		b.desks[department] = id
		if b.departing[department], err = b.s.departmentName(ctx, b.a, department); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// ticketWidth is how many values add writes for a ticket.
const ticketWidth = 51

func (b *bulk) add(ctx context.Context, id int64, num string, r *ImportRow) error {
	now := b.a.Now
	if len(r.values) > 0 {
		b.values[id] = r.values
	}
	t := Ticket{ID: id, Number: num, ParentID: r.ParentID, Title: r.Title, Type: r.Type, Class: r.Class, CategoryID: r.CategoryID, Urgency: r.Urgency,
		Priority: r.Priority, PriorityReason: r.PriorityReason, Channel: r.Channel, Description: r.Description, CustomerID: r.Customer.ID,
		CustomerName: r.Customer.Name, CustomerLevel: string(r.Customer.Level), ContactID: r.Customer.ContactID, DepartmentID: r.DepartmentID,
		AssigneeID: r.AssigneeID, AssigneeName: r.AssigneeName, State: r.State, Round: max(r.Round, 1), Solution: r.Solution, Cause: r.Cause,
		Corrective: r.Corrective, Outcome: r.Outcome, CancelReason: r.CancelReason, LinkKey: crypt.Token(9), CreatedBy: r.CreatedBy, CreatedByName: r.CreatedByName,
		CreatedAt: r.CreatedAt, ActivityAt: r.ActivityAt, AssignedAt: r.AssignedAt, AcknowledgedAt: r.AcknowledgedAt, RespondedAt: r.RespondedAt,
		ResolvedAt: r.ResolvedAt, CompletedAt: r.CompletedAt, ClosedAt: r.ClosedAt, Tags: Tags("").With(r.Tags, nil)}
	for _, tag := range t.Tags.IDs() {
		b.tagged = append(b.tagged, id, tag)
	}
	if t.CreatedAt.IsZero() {
		t.CreatedAt = now
	}
	if t.CreatedByName == "" {
		t.CreatedByName = b.a.Actor.Name
		if b.a.Actor.Kind == authz.User {
			t.CreatedBy = b.a.Actor.ID
		}
	}
	byMatrix := b.matrix[[2]string{t.Urgency, t.CustomerLevel}]
	if byMatrix == "" {
		byMatrix = defaultPriority(t.Urgency, t.CustomerLevel)
	}
	if t.Priority == "" || t.Priority == byMatrix {
		t.Priority, t.PriorityReason = byMatrix, ""
	}
	var err error
	if t.DepartmentID == 0 {
		d, err := b.s.destination(ctx, b.a, b.routing, requestOf(&t))
		if err != nil {
			return err
		}
		t.DepartmentID = d.Department
	}
	desk, err := b.desk(ctx, t.DepartmentID)
	if err != nil {
		return err
	}
	b.past(&t)
	var starts []sla.Start
	if t.State.Open() {
		if t.AssigneeID == 0 || t.Round > 1 && t.State == Pending {
			t.SupervisorID = desk
		}
		if t.AssigneeID != 0 {
			b.load[t.AssigneeID]++
		}
		starts = b.arm(&t, r.DueAt)
		b.clocks = append(b.clocks, starts...)
		for _, c := range starts {
			if !c.Paused && (t.DueAt.IsZero() || c.Due.Before(t.DueAt)) {
				t.DueAt, t.DueClock, t.DueTotal = c.Due, c.Kind, max(c.Due.Sub(c.From), time.Minute)
			}
			t.Overdue = t.Overdue || !c.Paused && c.Kind.Promise() && !now.Before(c.Due)
		}
		b.open = append(b.open, t)
	}
	if t.ActivityAt.IsZero() {
		t.ActivityAt = t.CreatedAt
		for _, at := range []time.Time{t.AssignedAt, t.AcknowledgedAt, t.RespondedAt, t.ResolvedAt, t.CompletedAt, t.ClosedAt} {
			if at.After(t.ActivityAt) && !at.After(now) {
				t.ActivityAt = at
			}
		}
	}
	if t.State == AwaitingConfirmation || t.State == Completed || t.State == Closed {
		t.Summary = t.Solution
	}
	if r.Rating != nil {
		x := *r.Rating
		t.Rating = x.Stars
		at := x.CreatedAt
		if at.IsZero() {
			at = t.ActivityAt
		}
		via := x.Via
		if via == "" {
			via = "phone"
		}
		b.ratings = append(b.ratings, id, t.Round, x.Stars, x.Speed, x.Quality, x.Attitude, x.Handling, db.Bool(x.Solved), x.Comment, x.Suggestion, via, db.Micros(at), db.Micros(at))
	}
	external := r.ExternalID
	if external == t.Number {
		external = ""
	}
	var key any
	if r.ImportKey != "" {
		key = r.ImportKey
	}
	us := db.Micros
	b.tickets = append(b.tickets, t.ID, t.Number, db.NullID(t.ParentID), t.Title, t.Type, t.Class, t.CategoryID, t.Urgency, t.Priority, t.PriorityReason, t.Channel, t.Description,
		t.CustomerID, t.CustomerName, t.CustomerLevel, t.ContactID, t.DepartmentID, t.AssigneeID, t.AssigneeName, t.SupervisorID, string(t.State), db.Bool(t.State.Open()), t.Round,
		db.Bool(t.Overdue), t.Solution, t.Cause, t.Corrective, t.Summary, t.Outcome, t.CancelReason, t.Rating, t.LinkKey, us(t.DueAt), string(t.DueClock), int64(t.DueTotal/time.Second),
		t.CreatedBy, t.CreatedByName, us(t.CreatedAt), us(now), us(t.ActivityAt), us(t.AssignedAt), us(t.AcknowledgedAt), us(t.RespondedAt), us(t.ResolvedAt), us(t.CompletedAt), us(t.ClosedAt), us(t.ActivityAt),
		key, external, db.Bool(r.Demo), string(t.Tags))
	for _, e := range r.Entries {
		e.TicketID, e.CustomerID = t.ID, t.CustomerID
		if c := []rune(e.Body); len(c) > journal.MaxBody {
			e.Body = string(c[:journal.MaxBody-1]) + "…"
		}
		b.entries = append(b.entries, e)
	}
	b.count(t, r)
	return b.note(t, external)
}

// past fills in the times that the state implies.
func (b *bulk) past(t *Ticket) {
	def := func(at *time.Time, d time.Time) {
		if at.IsZero() {
			*at = d
		}
	}
	if t.AssigneeID != 0 {
		def(&t.AssignedAt, t.CreatedAt)
	}
	if t.State != Pending && t.State != Cancelled {
		def(&t.AcknowledgedAt, t.CreatedAt)
		def(&t.RespondedAt, t.AcknowledgedAt)
	}
	switch t.State {
	case AwaitingConfirmation:
		def(&t.ResolvedAt, b.a.Now)
	case Completed, Closed:
		done := t.ResolvedAt
		for _, at := range []time.Time{t.CompletedAt, t.ClosedAt, t.CreatedAt} {
			if done.IsZero() {
				done = at
			}
		}
		def(&t.ResolvedAt, done)
		def(&t.CompletedAt, done)
		if t.State == Closed {
			def(&t.ClosedAt, t.CompletedAt)
		}
		if t.Outcome == "" {
			t.Outcome = OutcomeImported
		}
	case Cancelled:
		t.Outcome = OutcomeCancelled
		if t.CancelReason == "" {
			t.CancelReason = "withdrawn"
		}
	}
	if t.State.Open() {
		t.Outcome = ""
	}
}

// arm decides which clocks an open ticket has.
func (b *bulk) arm(t *Ticket, due time.Time) []sla.Start {
	p := sla.Chosen(b.policies, t.Case())
	now := b.a.Now
	start := func(k sla.Kind, from, due time.Time, pr sla.Promise) sla.Start {
		return sla.Start{TicketID: t.ID, Kind: k, Round: t.Round, Promise: pr, From: from, Due: due, Why: "imported"}
	}
	promise := func(k sla.Kind, otherwise time.Duration) sla.Promise {
		pr := p.For(k)
		if pr.Target <= 0 {
			pr.Target = otherwise // there is always a running clock
		}
		return pr
	}
	fresh := func(k sla.Kind, otherwise time.Duration) sla.Start {
		pr := promise(k, otherwise)
		return start(k, now, b.calendars.Of(pr.Calendar).Due(now, pr.Target), pr)
	}
	from := t.CreatedAt
	pr := promise(sla.Resolution, 48*time.Hour)
	hours := b.calendars.Of(pr.Calendar)
	if due.IsZero() {
		if due = hours.Due(from, pr.Target); !due.After(now) {
			from, due = now, hours.Due(now, pr.Target)
		}
	} else {
		pr.Target = max(hours.Elapsed(from, due), time.Minute) // as it was agreed elsewhere
	}
	switch t.State {
	case WaitingCustomer:
		resolution := start(sla.Resolution, from, due, pr)
		resolution.Paused = p.PauseWhenWaiting
		return []sla.Start{fresh(sla.CustomerReply, 72*time.Hour), resolution}
	case AwaitingConfirmation:
		return []sla.Start{fresh(sla.Confirmation, 72*time.Hour)}
	}
	return []sla.Start{start(sla.Resolution, from, due, pr)}
}

func (b *bulk) count(t Ticket, r *ImportRow) {
	if t.ParentID != 0 {
		if t.State.Open() {
			b.children[t.ParentID]++
		}
		return
	}
	x := b.business[t.CustomerID]
	if x == nil {
		x = &customer.Business{ID: t.CustomerID}
		b.business[t.CustomerID] = x
	}
	x.Total++
	x.Open += db.Bool(t.State.Open())
	x.At = max(x.At, db.Micros(t.ActivityAt))
	if r.Rating != nil && r.Rating.Stars > 0 {
		x.Ratings++
		x.RatingSum += int64(r.Rating.Stars)
	}
}

// note writes the journal line, the search text and the event.
func (b *bulk) note(t Ticket, external string) error {
	f := fact(Ticket{}, t)
	f.From, f.Was = "", 0
	f.Args = []string{b.departing[t.DepartmentID]}
	detail, err := json.Marshal(journal.Moved{Event: EventImported, Args: f.Args})
	if err != nil {
		return fmt.Errorf("ticket: import: %w", err)
	}
	kind := journal.Move
	if b.a.Actor.Kind == authz.Worker {
		kind = journal.System
	}
	b.entries = append(b.entries, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: kind, Detail: detail,
		AuthorKind: b.a.Actor.Kind, AuthorID: b.a.Actor.ID, AuthorName: b.a.Actor.Name})
	text := searchText(t, external)
	if own := field.Searchable(b.values[t.ID]); len(own) > 0 {
		text += " " + strings.Join(own, " ")
	}
	b.docs = append(b.docs, search.Doc{ID: t.ID, Text: text})
	b.a.Record(event.Event{Kind: EventImported, Subject: Subject(t.ID), Data: f})
	return nil
}

func (b *bulk) write(ctx context.Context) error {
	tx := b.a.Tx
	err := tx.InsertMany(ctx, `
		INSERT INTO tickets (id, number, parent_id, title, type, class, category_id, urgency, priority, priority_reason, channel, description,
			customer_id, customer_name, customer_level, contact_id, department_id, assignee_id, assignee_name, supervisor_id, state, is_open, round,
			overdue, solution, cause, corrective, summary, outcome, cancel_reason, rating, link_key, due_at, due_clock, due_total,
			created_by, created_by_name, created_at, updated_at, activity_at, assigned_at, acknowledged_at, responded_at, resolved_at, completed_at, closed_at, state_at,
			import_key, external_id, demo, tags)`, "", ticketWidth, b.tickets)
	if err == nil {
		err = tx.InsertMany(ctx, `INSERT INTO ticket_tagged (ticket_id, tag_id)`, "", 2, b.tagged)
	}
	if err == nil {
		err = tx.InsertMany(ctx, `
			INSERT INTO ratings (ticket_id, round, stars, speed, quality, attitude, handling, solved, comment, suggestion, via, created_at, updated_at)`, "", 13, b.ratings)
	}
	if err != nil {
		return fmt.Errorf("ticket: import: %w", err)
	}
	if err := sla.ArmMany(ctx, tx, b.clocks); err != nil {
		return err
	}
	if err := journal.AddMany(ctx, tx, b.entries); err != nil {
		return err
	}
	if err := b.s.fields().SetNew(ctx, tx, field.Ticket, b.values); err != nil {
		return err
	}
	if err := search.Tickets.PutMany(ctx, tx, b.docs); err != nil {
		return err
	}
	for _, user := range sorted(b.load) { // one order everywhere, so that two imports cannot block each other
		if err := addLoad(ctx, tx, user, b.load[user]); err != nil {
			return err
		}
	}
	for _, parent := range sorted(b.children) {
		if _, err := tx.Exec(ctx, `UPDATE tickets SET open_children = open_children + $1 WHERE id = $2`, b.children[parent], parent); err != nil {
			return fmt.Errorf("ticket: import: %w", err)
		}
	}
	business := make([]customer.Business, 0, len(b.business))
	for _, id := range sorted(b.business) {
		business = append(business, *b.business[id])
	}
	return customer.AddBusiness(ctx, tx, business)
}

func sorted[V any](m map[int64]V) []int64 {
	ids := make([]int64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// searchText is the text Reindex gathers by SQL.
func searchText(t Ticket, external string) string {
	s := strings.Join([]string{t.Number, external, t.Title, t.CustomerName, t.Description, t.Summary}, " ")
	if len(s) > maxSearchable {
		s = strings.ToValidUTF8(s[:maxSearchable], "")
	}
	return s
}

// nextNumber is the next number that no imported ticket has.
func (s *Service) nextNumber(ctx context.Context, tx *db.Tx, template string) (string, error) {
	for {
		n, err := number.Next(ctx, tx, "ticket", template, tx.Now)
		if err != nil {
			return "", err
		}
		var taken int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE number = $1`, n).Scan(&taken); err != nil {
			return "", fmt.Errorf("ticket: number: %w", err)
		}
		if taken == 0 {
			return n, nil
		}
	}
}
