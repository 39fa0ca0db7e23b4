package ticket

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
)

const (
	bulkJob = "ticket_bulk"
	// MaxBulk is how many tickets one bulk change takes.
	MaxBulk = 10_000
	// bulkNow is how many are changed while their agent waits; more are changed in
	// the background.
	bulkNow  = 20
	bulkKeep = 30 * 24 * time.Hour
)

// The kinds of bulk changes, ticket.bulk.kind.<kind>.
const (
	BulkAssign   = "assign"
	BulkPriority = "priority"
	BulkUrgency  = "urgency"
	BulkCategory = "category"
	BulkWatcher  = "watcher"
	BulkCancel   = "cancel"
	BulkClose    = "close"
	BulkTag      = "tag"
	BulkUntag    = "untag"
)

// bulkNeeds says which permission each kind cannot be done without; whether it
// may be done with a certain ticket is for the rules of that ticket.
var bulkNeeds = []struct {
	kind string
	perm []authz.Permission // one of them
}{
	{BulkAssign, []authz.Permission{PermAssign, PermPassOn}},
	{BulkPriority, []authz.Permission{PermEdit}},
	{BulkUrgency, []authz.Permission{PermEdit}},
	{BulkCategory, []authz.Permission{PermEdit}},
	{BulkTag, []authz.Permission{PermEdit}},
	{BulkUntag, []authz.Permission{PermEdit}},
	{BulkWatcher, []authz.Permission{PermNote}},
	{BulkClose, []authz.Permission{PermHandle, PermSupervise}},
	{BulkCancel, []authz.Permission{PermSupervise}},
}

// OtherBulk is a change of many tickets that a room further up brings along, as
// one of some things: macros.
type OtherBulk struct {
	Kind    string // ticket.bulk.kind.<kind>
	Offered func(actor authz.Actor) bool
	// Choices are what the actor may choose among, by id.
	Choices func(ctx context.Context, actor authz.Actor) ([]customer.Choice, error)
	// Name is what was chosen, in words; "" when it is gone.
	Name func(ctx context.Context, actor authz.Actor, of int64) string
	// Prepare reads what is needed to do it to a ticket and returns what does it in
	// the transaction; a fault refuses the ticket.
	Prepare func(ctx context.Context, actor authz.Actor, of, id int64) (func(ctx context.Context, a *action.Action) (Ticket, error), error)
}

// AddBulk brings a change of many tickets along; while the house is put together.
func (s *Service) AddBulk(o OtherBulk) { s.bulks = append(s.bulks, o) }

// OtherBulks are the changes of other rooms that the actor is offered.
func (s *Service) OtherBulks(actor authz.Actor) (out []OtherBulk) {
	for _, o := range s.bulks {
		if o.Offered(actor) {
			out = append(out, o)
		}
	}
	return out
}

func (s *Service) otherBulk(actor authz.Actor, kind string) (o OtherBulk, ok bool) {
	for _, o := range s.OtherBulks(actor) {
		if o.Kind == kind {
			return o, true
		}
	}
	return o, false
}

// BulkKinds are the changes the actor is offered, those of other rooms included.
func (s *Service) BulkKinds(actor authz.Actor) []string {
	out := BulkKinds(actor)
	for _, o := range s.OtherBulks(actor) {
		out = append(out, o.Kind)
	}
	return out
}

// BulkKinds are the changes of this room that the actor is offered.
func BulkKinds(actor authz.Actor) (out []string) {
	for _, n := range bulkNeeds {
		if slices.ContainsFunc(n.perm, actor.Can) {
			out = append(out, n.kind)
		}
	}
	return out
}

// BulkChange is what is to become of many tickets. Each goes the way a single
// one goes: the same moves, the same guards, the same facts.
type BulkChange struct {
	Kind       string `json:"kind"`
	Assignee   int64  `json:"assignee,omitempty"`   // assign; watcher
	Department int64  `json:"department,omitempty"` // assign; alone: by routing
	Priority   string `json:"priority,omitempty"`   // "": by the matrix
	Urgency    string `json:"urgency,omitempty"`
	Category   int64  `json:"category,omitempty"` // 0: none
	Code       string `json:"code,omitempty"`     // cancel
	Tag        int64  `json:"tag,omitempty"`      // tag, untag
	Of         int64  `json:"of,omitempty"`       // of another room: what was chosen
	Reason     string `json:"reason,omitempty"`
}

// What became of a ticket that was refused, ticket.bulk.outcome.<code>.
const (
	OutcomeForbidden = "forbidden" // seen, but not his to change like that
	OutcomeHidden    = "hidden"    // not in his data scope, or gone
	OutcomeFailed    = "failed"    // its state, or what it lacks, does not allow it
)

// Bulk is a change of many tickets.
type Bulk struct {
	ID            int64
	State         string // running, paused, finished, failed, cancelled
	Change        BulkChange
	Total         int64
	Done          int64
	Changed       int64
	Same          int64 // had it already
	Refused       int64
	CreatedBy     int64
	CreatedByName string
	CreatedAt     time.Time
	FinishedAt    time.Time

	ids []int64
	job int64
}

// Going reports whether it goes on, or may go on again.
func (b Bulk) Going() bool { return b.State == "running" || b.State == "paused" }

// Percent is how much is done.
func (b Bulk) Percent() int {
	if b.Total <= 0 {
		return 0
	}
	return int(min(100, b.Done*100/b.Total))
}

// BulkLine is a ticket that was refused.
type BulkLine struct {
	N       int64
	ID      int64
	Number  string // "" when the reader does not see it
	Title   string
	Outcome string
	reason  string
}

type refusal struct {
	Key  string   `json:"key"`
	Args []string `json:"args,omitempty"`
}

// Say is why, in l.
func (x BulkLine) Say(l i18n.Lang) string {
	var r refusal
	if json.Unmarshal([]byte(x.reason), &r) != nil || r.Key == "" {
		return ""
	}
	args := make([]any, len(r.Args))
	for i, a := range r.Args {
		args[i] = a
	}
	return i18n.T(l, r.Key, args...)
}

// BulkData is the data of the facts about bulk changes.
type BulkData struct {
	Args    []string   `json:"args"` // how many
	Change  BulkChange `json:"change"`
	Tickets []int64    `json:"tickets,omitempty"`
	Tell    []int64    `json:"tell,omitempty"`
	Title   string     `json:"title,omitempty"`
	Link    string     `json:"link,omitempty"`
}

func bulkSubject(id int64) event.Subject { return event.Subject{Type: "ticket_bulk", ID: id} }

// People knows who asked for something that is done later.
type People interface {
	Actor(ctx context.Context, userID int64) (authz.Actor, error)
}

// Equip gives the room what long work needs.
func (s *Service) Equip(people People, jobs *job.Queue) {
	s.people, s.jobs = people, jobs
	jobs.Add(job.Worker{Kind: bulkJob, Handle: s.bulkWork})
	jobs.Add(job.Worker{Kind: handoverJob, Handle: s.handOver})
	jobs.Add(job.Worker{Kind: recountJob, Handle: s.recount})
}

const bulkColumns = `id, state, change, total, done, changed, same, refused, job_id, created_by, created_by_name, created_at, finished_at`

func loadBulk(ctx context.Context, q db.Querier, where string, args ...any) (b Bulk, err error) {
	var change string
	var created, finished int64
	err = q.QueryRow(ctx, `SELECT `+bulkColumns+` FROM ticket_bulks WHERE `+where, args...).Scan(&b.ID, &b.State, &change, &b.Total, &b.Done, &b.Changed, &b.Same, &b.Refused, &b.job,
		&b.CreatedBy, &b.CreatedByName, &created, &finished)
	if errors.Is(err, sql.ErrNoRows) {
		return b, fault.New(fault.NotFound, "ticket.bulk.not_found")
	}
	if err != nil {
		return b, fmt.Errorf("ticket: bulk change: %w", err)
	}
	b.CreatedAt, b.FinishedAt = db.FromMicros(created), db.FromMicros(finished)
	if err := json.Unmarshal([]byte(change), &b.Change); err != nil {
		return b, fmt.Errorf("ticket: bulk change %d: %w", b.ID, err)
	}
	return b, nil
}

// Bulk returns a bulk change the actor asked for, else NotFound.
func (s *Service) Bulk(ctx context.Context, actor authz.Actor, id int64) (Bulk, error) {
	return loadBulk(ctx, s.DB().Read(), `id = $1 AND created_by = $2`, id, actor.ID)
}

// Bulks returns the newest bulk changes of the actor.
func (s *Service) Bulks(ctx context.Context, actor authz.Actor, limit int) ([]Bulk, error) {
	ids, err := idsOf(ctx, s.DB().Read(), `SELECT id FROM ticket_bulks WHERE created_by = $1 ORDER BY id DESC LIMIT `+lit(limit), actor.ID)
	if err != nil {
		return nil, err
	}
	var out []Bulk
	for _, id := range ids {
		b, err := s.Bulk(ctx, actor, id)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// Select returns the ids of the tickets that sc shows of f in its order, at most
// MaxBulk; more reports that there are further ones.
func (s *Service) Select(ctx context.Context, sc authz.Scope, f Filter) (ids []int64, more bool, err error) {
	f = f.merge()
	f.After = ""
	if f.Sort == "" {
		f.Sort = ByDue
	}
	if err := s.byContact(ctx, &f); err != nil {
		return nil, false, err
	}
	if f, err = s.prepared(ctx, sc.User(), f); err != nil {
		return nil, false, err
	}
	var a db.Args
	query, err := s.query(&a, sc, f, MaxBulk+1)
	if err != nil || query == "" {
		return nil, false, err
	}
	ids, err = idsOf(ctx, s.DB().Read(), `SELECT id FROM (`+query+`) x`, a.Values...)
	if len(ids) > MaxBulk {
		return ids[:MaxBulk], true, err
	}
	return ids, false, err
}

// ChangeMany begins a bulk change of the tickets ids by the actor. A few are
// changed at once, more in the background (see [Service.Bulk] for how far it is).
func (s *Service) ChangeMany(ctx context.Context, actor authz.Actor, ids []int64, c BulkChange) (b Bulk, err error) {
	err = s.run.Do(ctx, actor, "ticket.bulk", func(ctx context.Context, a *action.Action) (err error) {
		b, err = s.ChangeIn(ctx, a, ids, c)
		return err
	})
	if err != nil {
		return b, err
	}
	return s.CarryOut(ctx, actor, b)
}

// ChangeIn writes down, within an action, what ChangeMany is to do. CarryOut
// follows when that is committed.
func (s *Service) ChangeIn(ctx context.Context, a *action.Action, ids []int64, c BulkChange) (b Bulk, err error) {
	seen := map[int64]bool{}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { was := seen[id]; seen[id] = true; return was })
	if err := s.checkBulk(ctx, a, &c, ids); err != nil {
		return b, err
	}
	change, err := marshal(c)
	if err != nil {
		return b, err
	}
	list, err := marshal(ids)
	if err != nil {
		return b, err
	}
	b = Bulk{State: "running", Change: c, Total: int64(len(ids)), CreatedBy: a.Actor.ID, CreatedByName: a.Actor.Name, CreatedAt: a.Now, ids: ids}
	err = a.QueryRow(ctx, `INSERT INTO ticket_bulks (state, change, ids, total, created_by, created_by_name, created_at, updated_at) VALUES ('running', $1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		change, list, b.Total, b.CreatedBy, b.CreatedByName, a.NowMicros(), a.NowMicros()).Scan(&b.ID)
	if err != nil {
		return b, fmt.Errorf("ticket: bulk change: %w", err)
	}
	a.Record(event.Event{Kind: "ticket.bulk_started", Subject: bulkSubject(b.ID), Reason: c.Reason, Data: BulkData{Args: []string{fmt.Sprint(b.Total)}, Change: c, Tickets: ids}})
	if len(ids) > bulkNow && s.jobs != nil {
		err = s.enqueueBulk(ctx, a, &b)
	}
	return b, err
}

// CarryOut does a bulk change that waits for nobody else; one in the background
// stays as it is.
func (s *Service) CarryOut(ctx context.Context, actor authz.Actor, b Bulk) (_ Bulk, err error) {
	if b.job != 0 || b.State != "running" {
		return b, nil
	}
	if b.ids == nil {
		if b, err = s.bulkWithIDs(ctx, b.ID); err != nil {
			return b, err
		}
	}
	for err == nil && b.State == "running" {
		err = s.bulkStep(ctx, actor, &b, nil)
	}
	if errors.Is(err, errMoved) {
		err = nil
	}
	return b, err
}

func (s *Service) enqueueBulk(ctx context.Context, a *action.Action, b *Bulk) (err error) {
	b.job, err = s.jobs.Enqueue(ctx, a.Tx, bulkJob, bulkArgs{b.ID}, job.Opts{UniqueKey: fmt.Sprintf("ticket_bulk:%d", b.ID), By: b.CreatedBy, MaxAttempts: 5})
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE ticket_bulks SET job_id = $1 WHERE id = $2`, b.job, b.ID); err != nil {
		return fmt.Errorf("ticket: bulk change: %w", err)
	}
	return nil
}

type bulkArgs struct {
	ID int64 `json:"id"`
}

// checkBulk says at once what is wrong with the change itself, so that it is not
// refused ten thousand times.
func (s *Service) checkBulk(ctx context.Context, a *action.Action, c *BulkChange, ids []int64) error {
	switch {
	case len(ids) == 0:
		return fault.Invalidf("ticket.bulk.none")
	case len(ids) > MaxBulk:
		return fault.New(fault.Limited, "ticket.bulk.many", MaxBulk)
	}
	e := fault.Invalidf("ticket.invalid")
	if n := utf8.RuneCountInString(c.Reason); n > 1000 {
		e.Field("reason", "ticket.bulk.reason.long", 1000)
	}
	if !slices.Contains(s.BulkKinds(a.Actor), c.Kind) {
		return authz.Denied(PermAssign)
	}
	if c.Of == 0 && !slices.Contains(BulkKinds(a.Actor), c.Kind) {
		e.Field("of", "ticket.need_choice")
	}
	switch c.Kind {
	case BulkAssign:
		if c.Assignee == 0 && c.Department == 0 {
			e.Field("assignee", "ticket.need_assignee")
		}
		if blank(c.Reason) { // what is worked on is passed on with a reason only
			n := 0
			err := db.EachIn(ids, func(in string, args []any) error {
				m := 0
				err := a.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE state = 'in_progress' AND id IN (`+in+`)`, args...).Scan(&m)
				n += m
				return err
			})
			if err != nil {
				return fmt.Errorf("ticket: bulk change: %w", err)
			}
			if n > 0 {
				e.Field("reason", "ticket.bulk.reason.needed", n)
			}
		}
	case BulkPriority:
		if c.Priority != "" && !slices.Contains(Priorities, c.Priority) {
			e.Field("priority", "ticket.need_choice")
		} else if c.Priority != "" && blank(c.Reason) {
			e.Field("reason", "ticket.need_priority_reason")
		}
	case BulkUrgency:
		if !slices.Contains(Urgencies, c.Urgency) {
			e.Field("urgency", "ticket.need_choice")
		}
	case BulkCategory:
		if c.Category != 0 {
			if ok, err := exists(ctx, a, "categories", c.Category); err != nil {
				return err
			} else if !ok {
				e.Field("category", "ticket.need_choice")
			}
		}
	case BulkWatcher:
		if c.Assignee == 0 {
			e.Field("assignee", "ticket.need_choice")
		}
	case BulkTag, BulkUntag:
		if all, err := TagList(ctx, a); err != nil {
			return err
		} else if !slices.ContainsFunc(all, func(t Tag) bool { return t.ID == c.Tag }) {
			e.Field("tag", "ticket.need_choice")
		}
	case BulkCancel:
		if !slices.Contains(CancelReasons, c.Code) || c.Code == "duplicate" { // which one it duplicates differs from ticket to ticket
			e.Field("code", "ticket.need_choice")
		}
	}
	return e.OrNil()
}

// errMoved says that another worker has moved the change on, or ended it.
var errMoved = errors.New("ticket: bulk change: no longer ours")

// refusedError carries a refusal out of the transaction it has undone.
type refusedError struct{ err error }

func (e refusedError) Error() string { return e.err.Error() }

// bulkStep changes the next ticket and writes down how far it is, in one
// transaction. A refusal undoes it and is written down in another.
func (s *Service) bulkStep(ctx context.Context, actor authz.Actor, b *Bulk, j *job.Job) error {
	if b.Done >= b.Total {
		return s.endBulk(ctx, b, "finished", j)
	}
	id := b.ids[b.Done]
	now := *b
	lock := func(ctx context.Context, a *action.Action) error {
		stored, err := loadBulk(ctx, a, `id = $1`+a.ForUpdate(), b.ID)
		if err != nil {
			return err
		}
		if stored.State != "running" || stored.Done != b.Done {
			return errMoved
		}
		now = stored
		now.ids = b.ids
		now.Done++
		return nil
	}
	store := func(ctx context.Context, a *action.Action) error {
		_, err := a.Exec(ctx, `UPDATE ticket_bulks SET done = $1, changed = $2, same = $3, refused = $4, updated_at = $5 WHERE id = $6`, now.Done, now.Changed, now.Same, now.Refused, a.NowMicros(), now.ID)
		if err != nil {
			return fmt.Errorf("ticket: bulk change %d: %w", now.ID, err)
		}
		return nil
	}
	change := func(ctx context.Context, a *action.Action) (bool, error) { return s.changeOne(ctx, a, id, b.Change) }
	if o, ok := s.otherBulk(actor, b.Change.Kind); ok {
		do, err := o.Prepare(ctx, actor, b.Change.Of, id)
		if _, refused := fault.As(err); err != nil && !refused {
			return err
		}
		change = func(ctx context.Context, a *action.Action) (bool, error) {
			if err != nil {
				return false, err
			}
			_, err := do(ctx, a)
			return false, err
		}
	}
	err := s.run.Do(ctx, actor, "ticket.bulk", func(ctx context.Context, a *action.Action) error {
		if err := lock(ctx, a); err != nil {
			return err
		}
		same, err := change(ctx, a)
		if f, ok := fault.As(err); ok && f.Kind != fault.Internal && f.Kind != fault.Unavailable {
			return refusedError{err}
		}
		if err != nil {
			return err
		}
		if same {
			a.Nothing()
			now.Same++
		} else {
			now.Changed++
		}
		return store(ctx, a)
	})
	var no refusedError
	if errors.As(err, &no) {
		err = s.run.Do(ctx, actor, "ticket.bulk", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			if err := lock(ctx, a); err != nil {
				return err
			}
			now.Refused++
			outcome, reason := said(no.err)
			if _, err := a.Exec(ctx, `INSERT INTO ticket_bulk_lines (bulk_id, n, ticket_id, outcome, reason) VALUES ($1, $2, $3, $4, $5)`, b.ID, now.Done, id, outcome, reason); err != nil {
				return fmt.Errorf("ticket: bulk change %d: %w", b.ID, err)
			}
			return store(ctx, a)
		})
	}
	if err != nil {
		return err
	}
	*b = now
	if b.Done >= b.Total {
		return s.endBulk(ctx, b, "finished", j)
	}
	return nil
}

// said is a refusal as it is stored.
func said(err error) (outcome, reason string) {
	f, _ := fault.As(err)
	switch f.Kind {
	case fault.NotFound:
		return OutcomeHidden, ""
	case fault.Forbidden:
		outcome = OutcomeForbidden
	default:
		outcome = OutcomeFailed
	}
	r, args := refusal{Key: f.Key}, f.Args
	if len(f.Fields) > 0 {
		r.Key, args = f.Fields[0].Key, f.Fields[0].Args
	}
	for _, a := range args {
		if k, ok := a.(i18n.Key); ok {
			a = i18n.T(i18n.ZhCN, string(k))
		}
		r.Args = append(r.Args, fmt.Sprint(a))
	}
	reason, _ = marshal(r)
	return outcome, reason
}

// changeOne does to one ticket what a person would do; same reports that it was
// so already.
func (s *Service) changeOne(ctx context.Context, a *action.Action, id int64, c BulkChange) (same bool, err error) {
	t, err := s.load(ctx, a, id)
	if err != nil {
		return false, err
	}
	unless := func(_ Ticket, err error) (bool, error) {
		if f, ok := fault.As(err); ok && f.Key == "ticket.nothing_changed" {
			return true, nil
		}
		return false, err
	}
	edit := func(p Patch) (bool, error) { return unless(s.PatchIn(ctx, a, id, p)) }
	switch c.Kind {
	case BulkAssign:
		if t.State.Open() && c.Assignee != 0 && t.AssigneeID == c.Assignee && (c.Department == 0 || c.Department == t.DepartmentID) {
			return true, nil
		}
		v := Reassign
		if t.State == Pending {
			v = Assign
		}
		_, err = s.DoIn(ctx, a, id, v, Input{AssigneeID: c.Assignee, DepartmentID: c.Department, Reason: c.Reason})
	case BulkPriority:
		return edit(Patch{Priority: &c.Priority, PriorityReason: &c.Reason})
	case BulkUrgency:
		return edit(Patch{Urgency: &c.Urgency})
	case BulkCategory:
		return edit(Patch{CategoryID: &c.Category})
	case BulkTag:
		return unless(s.TagIn(ctx, a, id, []int64{c.Tag}, nil))
	case BulkUntag:
		return unless(s.TagIn(ctx, a, id, nil, []int64{c.Tag}))
	case BulkWatcher:
		return s.addWatcher(ctx, a, t, c.Assignee)
	case BulkCancel:
		_, err = s.DoIn(ctx, a, id, Cancel, Input{Code: c.Code, Reason: c.Reason})
	case BulkClose:
		if t.State == Closed {
			return true, nil
		}
		_, err = s.DoIn(ctx, a, id, Close, Input{Reason: c.Reason})
	default:
		err = fmt.Errorf("ticket: bulk change %q", c.Kind)
	}
	return false, err
}

// addWatcher makes a colleague a watcher; he is told.
func (s *Service) addWatcher(ctx context.Context, a *action.Action, t Ticket, user int64) (same bool, err error) {
	if err := s.mayHear(ctx, a, user, "assignee"); err != nil {
		return false, err
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM ticket_watchers WHERE ticket_id = $1 AND user_id = $2`, t.ID, user).Scan(&n); err != nil {
		return false, fmt.Errorf("ticket: watchers: %w", err)
	}
	if n > 0 {
		return true, nil
	}
	if err := watch(ctx, a, t.ID, user); err != nil {
		return false, err
	}
	f := fact(t, t)
	f.From, f.Entry = "", -1 // no line in the journal
	f.Args, f.Tell = []string{s.org.Name(ctx, user)}, tell(user)
	a.Record(event.Event{Kind: "ticket.watcher_added", Subject: Subject(t.ID), Data: f})
	return false, nil
}

// bulkWork does a bulk change in the background. Called again after a crash it
// goes on behind the last ticket.
func (s *Service) bulkWork(ctx context.Context, j *job.Job) error {
	var args bulkArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	b, err := s.bulkWithIDs(ctx, args.ID)
	if err != nil {
		return job.Discard(err)
	}
	actor, err := s.people.Actor(ctx, b.CreatedBy)
	for err == nil && b.State == "running" {
		err = s.bulkStep(ctx, actor, &b, j)
	}
	switch {
	case err == nil, errors.Is(err, errMoved):
		return nil
	case ctx.Err() != nil:
		return err
	}
	if k := fault.KindOf(err); (k == fault.Internal || k == fault.Unavailable) && j.Attempt < j.MaxAttempts {
		return err
	}
	slog.Error("ticket: bulk change", "id", b.ID, "err", err)
	return s.endBulk(context.WithoutCancel(ctx), &b, "failed", nil)
}

func (s *Service) bulkWithIDs(ctx context.Context, id int64) (Bulk, error) {
	b, err := loadBulk(ctx, s.DB().Read(), `id = $1`, id)
	if err != nil {
		return b, err
	}
	var raw string
	if err := s.DB().Read().QueryRow(ctx, `SELECT ids FROM ticket_bulks WHERE id = $1`, id).Scan(&raw); err != nil {
		return b, fmt.Errorf("ticket: bulk change %d: %w", id, err)
	}
	return b, json.Unmarshal([]byte(raw), &b.ids)
}

// endBulk ends a bulk change by itself; whoever asked for it is told when it ran
// in the background.
func (s *Service) endBulk(ctx context.Context, b *Bulk, state string, j *job.Job) error {
	return s.run.Do(ctx, authz.System("bulk changes"), "ticket.end_bulk", func(ctx context.Context, a *action.Action) error {
		stored, err := loadBulk(ctx, a, `id = $1`+a.ForUpdate(), b.ID)
		if err != nil {
			return err
		}
		if stored.State != "running" {
			return errMoved
		}
		if _, err := a.Exec(ctx, `UPDATE ticket_bulks SET state = $1, finished_at = $2, updated_at = $3 WHERE id = $4`, state, a.NowMicros(), a.NowMicros(), b.ID); err != nil {
			return fmt.Errorf("ticket: end bulk change: %w", err)
		}
		d := BulkData{Args: []string{fmt.Sprint(stored.Changed), fmt.Sprint(stored.Refused)}, Change: b.Change}
		if stored.job != 0 {
			d.Tell, d.Link = []int64{b.CreatedBy}, fmt.Sprintf("/ticket-bulks/%d", b.ID)
		}
		a.Record(event.Event{Kind: "ticket.bulk_finished", Subject: bulkSubject(b.ID), Data: d})
		stored.State, stored.FinishedAt, stored.ids = state, a.Now, b.ids
		*b = stored
		if j != nil {
			return j.CompleteIn(ctx, a.Tx)
		}
		return nil
	})
}

// PauseBulk halts a bulk change of the actor's own until it is resumed.
func (s *Service) PauseBulk(ctx context.Context, actor authz.Actor, id int64) error {
	return s.turnBulk(ctx, actor, id, "running", "paused", "ticket.bulk_paused")
}

// ResumeBulk lets a halted one go on.
func (s *Service) ResumeBulk(ctx context.Context, actor authz.Actor, id int64) error {
	return s.turnBulk(ctx, actor, id, "paused", "running", "ticket.bulk_resumed")
}

// CancelBulk ends one; what is done stays done.
func (s *Service) CancelBulk(ctx context.Context, actor authz.Actor, id int64) error {
	return s.turnBulk(ctx, actor, id, "", "cancelled", "ticket.bulk_cancelled")
}

func (s *Service) turnBulk(ctx context.Context, actor authz.Actor, id int64, from, to, kind string) error {
	return s.run.Do(ctx, actor, "ticket.turn_bulk", func(ctx context.Context, a *action.Action) error {
		b, err := loadBulk(ctx, a, `id = $1 AND created_by = $2`+a.ForUpdate(), id, actor.ID)
		if err != nil {
			return err
		}
		if !b.Going() || from != "" && b.State != from {
			return fault.New(fault.Conflict, "ticket.bulk.over")
		}
		if b.job != 0 && to != "running" {
			if err := s.jobs.Cancel(ctx, a.Tx, b.job); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		finished := int64(0)
		if to == "cancelled" {
			finished = a.NowMicros()
		}
		if _, err := a.Exec(ctx, `UPDATE ticket_bulks SET state = $1, finished_at = $2, updated_at = $3 WHERE id = $4`, to, finished, a.NowMicros(), id); err != nil {
			return fmt.Errorf("ticket: turn bulk change: %w", err)
		}
		note := func(kind string) {
			a.Record(event.Event{Kind: kind, Subject: bulkSubject(id), Data: BulkData{Args: []string{fmt.Sprint(b.Changed)}, Change: b.Change}})
		}
		note(kind)
		if to == "running" {
			return s.enqueueBulk(ctx, a, &b)
		}
		return nil
	})
}

// BulkLines returns the refused tickets behind after, in the order of the bulk
// change. Those the actor does not see have no name.
func (s *Service) BulkLines(ctx context.Context, actor authz.Actor, id, after int64, limit int) ([]BulkLine, error) {
	if _, err := s.Bulk(ctx, actor, id); err != nil {
		return nil, err
	}
	var a db.Args
	rows, err := s.DB().Read().Query(ctx, `
		SELECT   l.n, l.ticket_id, COALESCE(t.number, ''), COALESCE(t.title, ''), l.outcome, l.reason
		FROM     ticket_bulk_lines l LEFT JOIN tickets t ON t.id = l.ticket_id AND `+View(actor).Where(&a, scopeColumns)+`
		WHERE    l.bulk_id = `+a.Add(id)+` AND l.n > `+a.Add(after)+`
		ORDER BY l.n LIMIT `+lit(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: lines of bulk change: %w", err)
	}
	defer rows.Close()
	var out []BulkLine
	for rows.Next() {
		var l BulkLine
		if err := rows.Scan(&l.N, &l.ID, &l.Number, &l.Title, &l.Outcome, &l.reason); err != nil {
			return nil, fmt.Errorf("ticket: lines of bulk change: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// SweepBulks forgets bulk changes that ended long ago; the audit trail keeps
// what they did.
func (s *Service) SweepBulks(ctx context.Context) error {
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		before := db.Micros(tx.Now.Add(-bulkKeep))
		if _, err := tx.Exec(ctx, `DELETE FROM ticket_bulk_lines WHERE bulk_id IN (SELECT id FROM ticket_bulks WHERE updated_at < $1)`, before); err != nil {
			return fmt.Errorf("ticket: sweep bulk changes: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM ticket_bulks WHERE updated_at < $1`, before); err != nil {
			return fmt.Errorf("ticket: sweep bulk changes: %w", err)
		}
		return nil
	})
}
