package customer

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
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
)

const (
	bulkJob   = "customer_bulk"
	bulkBatch = 100
	// bulkNow is how many customers are changed while their agent waits; more are
	// changed in the background.
	bulkNow  = 200
	bulkKeep = 30 * 24 * time.Hour
)

// BulkChange is what is to become of many customers. Owner and level need a
// reason.
type BulkChange struct {
	AddTags    []int64 `json:"add_tags,omitempty"`
	RemoveTags []int64 `json:"remove_tags,omitempty"`
	SetOwner   bool    `json:"set_owner,omitempty"`
	OwnerID    int64   `json:"owner_id,omitempty"` // 0: nobody
	Level      Level   `json:"level,omitempty"`
	Reason     string  `json:"reason,omitempty"`
}

// Kind names the change: tag, untag, owner or level.
func (c BulkChange) Kind() string {
	switch {
	case c.SetOwner:
		return "owner"
	case c.Level != "":
		return "level"
	case len(c.RemoveTags) > 0:
		return "untag"
	}
	return "tag"
}

// perm is what each customer must be in reach of.
func (c BulkChange) perm() authz.Permission {
	if c.SetOwner || c.Level != "" {
		return PermEdit
	}
	return PermTag
}

// Selection is which customers: those ticked, or all that a filter selects.
type Selection struct {
	IDs    []int64
	Filter *Filter // nil: IDs
}

// What became of a customer in a bulk change, customer.bulk.outcome.<code>.
const (
	OutcomeForbidden = "forbidden" // seen, but not in reach of the permission
	OutcomeHidden    = "hidden"    // not in the data scope, or gone
	OutcomeAsked     = "asked"     // waits for approval
	OutcomeFailed    = "failed"
)

// BulkCounts says how far a bulk change is and what has come of it.
type BulkCounts struct {
	Done      int64 `json:"done"`
	Changed   int64 `json:"changed"`
	Same      int64 `json:"same,omitempty"` // had it already
	Asked     int64 `json:"asked,omitempty"`
	Forbidden int64 `json:"forbidden,omitempty"` // hidden ones included
	Failed    int64 `json:"failed,omitempty"`
}

// Bulk is a change of many customers.
type Bulk struct {
	ID            int64
	State         string // running, finished, failed, cancelled
	Change        BulkChange
	Query         Query
	IDs           []int64 // nil: all that fulfil Query
	Total         int64
	Counts        BulkCounts
	CreatedBy     int64
	CreatedByName string
	CreatedAt     time.Time
	FinishedAt    time.Time

	last, top, job int64
}

// Running reports whether it goes on.
func (b Bulk) Running() bool { return b.State == "running" }

// Percent is how much is done.
func (b Bulk) Percent() int {
	if b.Total <= 0 {
		return 0
	}
	return int(min(100, b.Counts.Done*100/b.Total))
}

// BulkLine is a customer who was not simply changed.
type BulkLine struct {
	CustomerID int64
	Number     string // "" when the reader does not see him
	Name       string
	Outcome    string
	Reason     string // locale key; "" none
}

// BulkData is the data of the facts about bulk changes.
type BulkData struct {
	Args   []string   `json:"args"` // how many
	Change BulkChange `json:"change"`
	Query  Query      `json:"query,omitzero"`
	Counts BulkCounts `json:"counts,omitzero"`
}

func bulkSubject(id int64) event.Subject { return event.Subject{Type: "customer_bulk", ID: id} }

const bulkColumns = `id, state, change, filter, ids, total, counts, last, top, job_id, created_by, created_by_name, created_at, finished_at`

func loadBulk(ctx context.Context, q db.Querier, where string, args ...any) (b Bulk, err error) {
	var change, filter, ids, counts string
	var created, finished int64
	err = q.QueryRow(ctx, `SELECT `+bulkColumns+` FROM customer_bulks WHERE `+where, args...).Scan(&b.ID, &b.State, &change, &filter, &ids, &b.Total, &counts,
		&b.last, &b.top, &b.job, &b.CreatedBy, &b.CreatedByName, &created, &finished)
	if errors.Is(err, sql.ErrNoRows) {
		return b, fault.New(fault.NotFound, "customer.bulk.not_found")
	}
	if err != nil {
		return b, fmt.Errorf("customer: bulk change: %w", err)
	}
	b.CreatedAt, b.FinishedAt = db.FromMicros(created), db.FromMicros(finished)
	err = errors.Join(json.Unmarshal([]byte(change), &b.Change), json.Unmarshal([]byte(counts), &b.Counts))
	if ids != "" {
		err = errors.Join(err, json.Unmarshal([]byte(ids), &b.IDs))
	} else {
		var perr error
		b.Query, perr = ParseQuery(filter)
		err = errors.Join(err, perr)
	}
	if err != nil {
		return b, fmt.Errorf("customer: bulk change %d: %w", b.ID, err)
	}
	return b, nil
}

// Bulk returns a bulk change of the actor's own, else NotFound.
func (s *Service) Bulk(ctx context.Context, actor authz.Actor, id int64) (Bulk, error) {
	return loadBulk(ctx, s.db().Read(), `id = $1 AND created_by = $2`, id, actor.ID)
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // plain structs: cannot happen
		panic(err)
	}
	return string(b)
}

// Change changes many customers at once (CUS-7): at once when they are few, in
// the background when they are many; the Bulk says which, and later what came of
// it. Whoever the actor may not change is left alone and reported.
func (s *Service) Change(ctx context.Context, actor authz.Actor, sel Selection, c BulkChange) (b Bulk, err error) {
	err = s.run.Do(ctx, actor, "customer.bulk", func(ctx context.Context, a *action.Action) error {
		b, err = s.ChangeIn(ctx, a, sel, c)
		return err
	})
	if err != nil {
		return b, err
	}
	return s.CarryOut(ctx, actor, b)
}

// ChangeIn registers a bulk change inside another action; [Service.CarryOut]
// does it afterwards.
func (s *Service) ChangeIn(ctx context.Context, a *action.Action, sel Selection, c BulkChange) (b Bulk, err error) {
	c.Reason = line(c.Reason)
	var query Query
	if sel.Filter != nil {
		query = sel.Filter.Whole()
	}
	if err := s.checkBulk(ctx, a, c); err != nil {
		return b, err
	}
	ids := ""
	b = Bulk{State: "running", Change: c, Query: query, CreatedBy: a.Actor.ID, CreatedByName: a.Actor.Name}
	if sel.Filter == nil {
		b.IDs = slices.Clone(sel.IDs)
		slices.Sort(b.IDs)
		b.IDs = slices.Compact(b.IDs)
		switch {
		case len(b.IDs) == 0:
			return b, fault.Invalidf("customer.tag.none_selected")
		case len(b.IDs) > maxBulk:
			return b, fault.New(fault.Limited, "customer.tag.bulk", maxBulk)
		}
		b.Total, ids = int64(len(b.IDs)), asJSON(b.IDs)
	} else {
		p, err := s.ready(ctx, a, a.Actor.ID, query)
		if err != nil {
			return b, err
		}
		n, err := p.countIn(ctx, a, []authz.Scope{View(a.Actor)}, countAll)
		if err != nil {
			return b, err
		}
		if n == 0 {
			return b, fault.Invalidf("customer.bulk.nobody")
		}
		b.Total = int64(n)
	}
	if err := a.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM customers`).Scan(&b.top); err != nil {
		return b, fmt.Errorf("customer: bulk change: %w", err)
	}
	err = a.QueryRow(ctx, `
		INSERT INTO customer_bulks (state, change, filter, ids, total, top, created_by, created_by_name, created_at, updated_at)
		VALUES ('running', $1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		asJSON(c), query.String(), ids, b.Total, b.top, a.Actor.ID, a.Actor.Name, a.NowMicros(), a.NowMicros()).Scan(&b.ID)
	if err != nil {
		return b, fmt.Errorf("customer: bulk change: %w", err)
	}
	if b.Total > bulkNow && s.lists.jobs != nil {
		if b.job, err = s.lists.jobs.Enqueue(ctx, a.Tx, bulkJob, idArgs{b.ID}, job.Opts{UniqueKey: fmt.Sprintf("bulk:%d", b.ID), By: a.Actor.ID, MaxAttempts: 5}); err != nil {
			return b, err
		}
		if _, err := a.Exec(ctx, `UPDATE customer_bulks SET job_id = $1 WHERE id = $2`, b.job, b.ID); err != nil {
			return b, fmt.Errorf("customer: bulk change: %w", err)
		}
	}
	a.Record(event.Event{Kind: BulkStarted, Subject: bulkSubject(b.ID), Reason: c.Reason, Data: BulkData{Args: []string{fmt.Sprint(b.Total)}, Change: c, Query: s.masked(query)}})
	return b, nil
}

// CarryOut does a registered bulk change, unless that happens in the background.
func (s *Service) CarryOut(ctx context.Context, actor authz.Actor, b Bulk) (Bulk, error) {
	for b.Running() && b.job == 0 {
		if err := s.bulkStep(ctx, actor, &b, nil); err != nil {
			return b, err
		}
	}
	return b, nil
}

// countAll is more than there are.
const countAll = 1<<31 - 1

type idArgs struct {
	ID int64 `json:"id"`
}

func (s *Service) checkBulk(ctx context.Context, a *action.Action, c BulkChange) error {
	if err := a.Actor.Check(c.perm()); err != nil {
		return err
	}
	e := fault.Invalidf("customer.invalid")
	if c.SetOwner || c.Level != "" {
		if utf8.RuneCountInString(c.Reason) < 2 {
			e.Field("reason", "customer.reason.required")
		}
		if c.Level != "" && !slices.Contains(Levels, c.Level) {
			e.Field("level", "customer.level.unknown")
		} else if c.Level != "" {
			if waits, err := s.levelNeedsApproval(ctx, a, a.Actor, c.Level); err != nil {
				return err
			} else if waits {
				if err := a.Actor.Check(approval.PermUse); err != nil {
					return err
				}
			}
		}
	} else if len(c.AddTags)+len(c.RemoveTags) == 0 {
		e.Field("tag", "customer.tag.choose")
	}
	limit(e, "reason", "customer.bulk.reason", c.Reason, maxLine)
	if err := e.OrNil(); err != nil {
		return err
	}
	if tags := append(slices.Clone(c.AddTags), c.RemoveTags...); len(tags) > 0 {
		if _, err := s.tagNames(ctx, a, tags); err != nil {
			return err
		}
	}
	if c.SetOwner && c.OwnerID != 0 {
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM users WHERE id = $1 AND active = 1`, c.OwnerID).Scan(&n); err != nil {
			return fmt.Errorf("customer: owner: %w", err)
		}
		if n == 0 {
			return fault.Invalidf("customer.invalid").Field("owner", "customer.owner.unknown")
		}
	}
	return nil
}

// errMoved says that another worker has moved the change on, or ended it.
var errMoved = errors.New("customer: no longer ours")

// bulkStep changes the next customers and writes down how far it is, in one
// transaction. j is nil while the actor waits.
func (s *Service) bulkStep(ctx context.Context, actor authz.Actor, b *Bulk, j *job.Job) error {
	var now Bulk
	err := s.run.Do(ctx, actor, "customer.bulk", func(ctx context.Context, a *action.Action) error {
		a.Nothing() // a batch may change nothing
		stored, err := loadBulk(ctx, a, `id = $1`+a.ForUpdate(), b.ID)
		if err != nil {
			return err
		}
		if stored.State != "running" || stored.last != b.last {
			return errMoved
		}
		now = stored
		ids, may, end, err := s.bulkNext(ctx, a, &now)
		if err != nil {
			return err
		}
		lines, err := s.bulkApply(ctx, a, &now, ids, may)
		if err != nil {
			return err
		}
		var values []any
		for _, l := range lines {
			values = append(values, now.ID, l.CustomerID, l.Outcome, l.Reason)
		}
		if len(values) > 0 {
			if err := a.InsertMany(ctx, `INSERT INTO customer_bulk_lines (bulk_id, customer_id, outcome, reason)`, "", 4, values); err != nil {
				return fmt.Errorf("customer: bulk change: %w", err)
			}
		}
		var finished int64
		if end {
			if err := s.fileLevels(ctx, a, LevelsOfBulk, now.ID); err != nil {
				return err
			}
			now.State, finished, now.FinishedAt = "finished", a.NowMicros(), a.Now
			a.Record(event.Event{Kind: BulkFinished, Subject: bulkSubject(now.ID), Data: BulkData{Args: []string{fmt.Sprint(now.Counts.Changed)}, Change: now.Change, Counts: now.Counts}})
			if j != nil {
				if err := j.CompleteIn(ctx, a.Tx); err != nil {
					return err
				}
			}
		}
		_, err = a.Exec(ctx, `UPDATE customer_bulks SET state = $1, counts = $2, last = $3, updated_at = $4, finished_at = $5 WHERE id = $6`,
			now.State, asJSON(now.Counts), now.last, a.NowMicros(), finished, now.ID)
		if err != nil {
			return fmt.Errorf("customer: bulk change: %w", err)
		}
		return nil
	})
	if err == nil {
		*b = now
	}
	return err
}

// bulkNext returns the customers that come next, whether each may be changed,
// and whether these are the last. Those that were ticked and are out of sight
// are missing in may.
func (s *Service) bulkNext(ctx context.Context, a *action.Action, b *Bulk) (ids []int64, may map[int64]bool, end bool, err error) {
	reach := authz.For(a.Actor, b.Change.perm())
	if b.IDs == nil {
		p, err := s.ready(ctx, a, a.Actor.ID, b.Query)
		if err != nil {
			return nil, nil, false, err
		}
		ids, may, err = p.batch(ctx, a, []authz.Scope{View(a.Actor)}, reach, b.last, b.top, bulkBatch)
		if len(ids) > 0 {
			b.last = ids[len(ids)-1]
		}
		return ids, may, len(ids) < bulkBatch, err
	}
	from, _ := slices.BinarySearch(b.IDs, b.last+1)
	ids = b.IDs[from:min(len(b.IDs), from+bulkBatch)]
	end = from+len(ids) == len(b.IDs)
	if len(ids) == 0 {
		return nil, nil, true, nil
	}
	b.last = ids[len(ids)-1]
	var args db.Args
	second := "CASE WHEN " + reach.Where(&args, scopeColumns) + " THEN 1 ELSE 0 END"
	rows, err := a.Query(ctx, `SELECT c.id, `+second+` FROM customers c WHERE c.id IN (`+args.AddInts(ids)+`) AND `+within(View(a.Actor), &args), args.Values...)
	if err != nil {
		return nil, nil, false, fmt.Errorf("customer: bulk change: %w", err)
	}
	defer rows.Close()
	may = map[int64]bool{}
	for rows.Next() {
		var id int64
		var in int
		if err := rows.Scan(&id, &in); err != nil {
			return nil, nil, false, fmt.Errorf("customer: bulk change: %w", err)
		}
		may[id] = in == 1
	}
	return ids, may, end, rows.Err()
}

// bulkOne is what a bulk change looks at of a customer.
type bulkOne struct {
	LevelChange
	owner int64
}

func (s *Service) bulkApply(ctx context.Context, a *action.Action, b *Bulk, ids []int64, may map[int64]bool) (lines []BulkLine, err error) {
	var mine []int64
	for _, id := range ids {
		b.Counts.Done++
		if in, seen := may[id]; in {
			mine = append(mine, id)
		} else {
			b.Counts.Forbidden++
			outcome := OutcomeForbidden
			if !seen {
				outcome = OutcomeHidden
			}
			lines = append(lines, BulkLine{CustomerID: id, Outcome: outcome})
		}
	}
	if len(mine) == 0 {
		return lines, nil
	}
	if b.Change.perm() == PermTag {
		n, err := s.tagAll(ctx, a, mine, b.Change.AddTags, b.Change.RemoveTags)
		b.Counts.Changed += int64(n)
		b.Counts.Same += int64(len(mine) - n)
		return lines, err
	}
	ones, names, err := s.bulkLoad(ctx, a, mine, b.Change.OwnerID)
	if err != nil {
		return nil, err
	}
	waits := false
	if b.Change.Level != "" {
		if waits, err = s.levelNeedsApproval(ctx, a, a.Actor, b.Change.Level); err != nil {
			return nil, err
		}
	}
	var wishes []LevelWish
	for _, o := range ones {
		var changes []Change
		level, owner, asked := o.From, o.owner, false
		if to := b.Change.Level; to != "" && to != o.From {
			if asked = waits; asked {
				wishes = append(wishes, LevelWish{CustomerID: o.CustomerID, From: o.From, To: to, department: o.DepartmentID})
				a.Record(event.Event{Kind: LevelAsked, Subject: Subject(o.CustomerID), Reason: b.Change.Reason, Data: LevelData{o.From, to}})
			} else {
				level = to
				if err := s.reschedule(ctx, a.Tx, o.CustomerID, to); err != nil {
					return nil, err
				}
				changes = append(changes, Change{Change: event.Change{Field: "level", Old: string(o.From), New: string(to)}})
			}
		}
		if b.Change.SetOwner && o.owner != b.Change.OwnerID {
			owner = b.Change.OwnerID
			changes = append(changes, Change{Change: event.Change{Field: "owner", Old: names[o.owner], New: names[owner]}})
		}
		switch {
		case asked:
			b.Counts.Asked++
			lines = append(lines, BulkLine{CustomerID: o.CustomerID, Outcome: OutcomeAsked})
		case len(changes) == 0:
			b.Counts.Same++
		}
		if len(changes) == 0 {
			continue
		}
		if !asked {
			b.Counts.Changed++
		}
		if _, err := a.Exec(ctx, `UPDATE customers SET level = $1, owner_id = $2, updated_at = $3, version = version + 1 WHERE id = $4`,
			string(level), owner, a.NowMicros(), o.CustomerID); err != nil {
			return nil, fmt.Errorf("customer: bulk change of %d: %w", o.CustomerID, err)
		}
		a.Record(event.Event{Kind: Changed, Subject: Subject(o.CustomerID), Reason: b.Change.Reason, Data: ChangedData{changes}})
	}
	return lines, s.wishLevels(ctx, a, LevelsOfBulk, b.ID, b.Change.Reason, wishes)
}

func (s *Service) bulkLoad(ctx context.Context, a *action.Action, ids []int64, owner int64) (ones []bulkOne, names map[int64]string, err error) {
	var args db.Args
	rows, err := a.Query(ctx, `SELECT id, number, name, department_id, level, owner_id FROM customers WHERE id IN (`+args.AddInts(ids)+`) ORDER BY id`+a.ForUpdate(), args.Values...)
	if err != nil {
		return nil, nil, fmt.Errorf("customer: bulk change: %w", err)
	}
	defer rows.Close()
	owners := []int64{owner}
	for rows.Next() {
		var o bulkOne
		if err := rows.Scan(&o.CustomerID, &o.Number, &o.Name, &o.DepartmentID, (*string)(&o.From), &o.owner); err != nil {
			return nil, nil, fmt.Errorf("customer: bulk change: %w", err)
		}
		ones, owners = append(ones, o), append(owners, o.owner)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("customer: bulk change: %w", err)
	}
	rows.Close()
	names, err = namesOf(ctx, a, "users", owners)
	return ones, names, err
}

// namesOf returns the names of rows of a table by their ids.
func namesOf(ctx context.Context, q db.Querier, table string, ids []int64) (map[int64]string, error) {
	out := map[int64]string{}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return out, nil
	}
	var args db.Args
	rows, err := q.Query(ctx, `SELECT id, name FROM `+table+` WHERE id IN (`+args.AddInts(ids)+`)`, args.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: names: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, fmt.Errorf("customer: names: %w", err)
		}
		out[id] = name
	}
	return out, rows.Err()
}

// bulkWork does a bulk change in the background. Called again after a crash it
// goes on behind the last batch.
func (s *Service) bulkWork(ctx context.Context, j *job.Job) error {
	var args idArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	b, err := loadBulk(ctx, s.db().Read(), `id = $1`, args.ID)
	if err != nil {
		return job.Discard(err)
	}
	actor, err := s.lists.people.Actor(ctx, b.CreatedBy)
	for err == nil && b.Running() {
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
	slog.Error("customer: bulk change", "id", b.ID, "err", err)
	return s.endBulk(context.WithoutCancel(ctx), authz.System("customer lists"), b.ID, "failed")
}

// CancelBulk stops a bulk change of the actor's own; what is done stays done.
func (s *Service) CancelBulk(ctx context.Context, actor authz.Actor, id int64) error {
	if _, err := s.Bulk(ctx, actor, id); err != nil {
		return err
	}
	return s.endBulk(ctx, actor, id, "cancelled")
}

func (s *Service) endBulk(ctx context.Context, actor authz.Actor, id int64, state string) error {
	return s.run.Do(ctx, actor, "customer.end_bulk", func(ctx context.Context, a *action.Action) error {
		b, err := loadBulk(ctx, a, `id = $1`+a.ForUpdate(), id)
		if err != nil {
			return err
		}
		if !b.Running() {
			return fault.New(fault.Conflict, "customer.bulk.over")
		}
		if b.job != 0 && state == "cancelled" {
			if err := s.lists.jobs.Cancel(ctx, a.Tx, b.job); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		if b.Counts.Asked > 0 { // nothing has been asked for yet
			if err := s.dropLevels(ctx, a, LevelsOfBulk, id); err != nil {
				return err
			}
			if _, err := a.Exec(ctx, `DELETE FROM customer_bulk_lines WHERE bulk_id = $1 AND outcome = $2`, id, OutcomeAsked); err != nil {
				return fmt.Errorf("customer: end bulk change: %w", err)
			}
			b.Counts.Asked = 0
		}
		if _, err := a.Exec(ctx, `UPDATE customer_bulks SET state = $1, counts = $2, finished_at = $3, updated_at = $4 WHERE id = $5`, state, asJSON(b.Counts), a.NowMicros(), a.NowMicros(), id); err != nil {
			return fmt.Errorf("customer: end bulk change: %w", err)
		}
		a.Record(event.Event{Kind: BulkCancelled, Subject: bulkSubject(id), Data: BulkData{Args: []string{fmt.Sprint(b.Counts.Changed)}, Change: b.Change, Counts: b.Counts}})
		return nil
	})
}

// BulkLines returns customers behind after that were not simply changed, by id.
// The names of those the actor does not see are left out.
func (s *Service) BulkLines(ctx context.Context, actor authz.Actor, id, after int64, limit int) ([]BulkLine, error) {
	if _, err := s.Bulk(ctx, actor, id); err != nil {
		return nil, err
	}
	var a db.Args
	rows, err := s.db().Read().Query(ctx, `
		SELECT   l.customer_id, COALESCE(c.number, ''), COALESCE(c.name, ''), l.outcome, l.reason
		FROM     customer_bulk_lines l LEFT JOIN customers c ON c.id = l.customer_id AND `+within(View(actor), &a)+`
		WHERE    l.bulk_id = `+a.Add(id)+` AND l.customer_id > `+a.Add(after)+`
		ORDER BY l.customer_id LIMIT `+a.Add(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: lines of bulk change: %w", err)
	}
	defer rows.Close()
	var out []BulkLine
	for rows.Next() {
		var l BulkLine
		if err := rows.Scan(&l.CustomerID, &l.Number, &l.Name, &l.Outcome, &l.Reason); err != nil {
			return nil, fmt.Errorf("customer: lines of bulk change: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// Say is the reason in words, "" without one.
func (l BulkLine) Say(lang i18n.Lang) string {
	if l.Reason == "" || !i18n.Has(l.Reason) {
		return ""
	}
	return i18n.T(lang, l.Reason)
}
