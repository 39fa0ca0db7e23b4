package customer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Merge is the record of a merge.
type Merge struct {
	ID         int64
	Survivor   int64 // into whom
	Merged     int64
	LeadsTo    int64  // where the merged number leads now; 0 once undone
	Number     string // of the merged profile
	Name       string
	Reason     string
	Moved      map[string]int
	At         time.Time
	By         string
	UndoUntil  time.Time // zero: it cannot be undone any more
	UndoneAt   time.Time
	UndoneBy   string
	Into       Ref // the survivor; zero when it is not in view
	Undoable   bool
	externalID string
}

const mergeColumns = `m.id, m.survivor_id, m.merged_id, m.leads_to, m.merged_number, m.merged_name, m.merged_external, m.reason, m.moved, m.merged_at, m.merged_by_name, m.undo_until, m.undone_at, m.undone_by_name`

func scanMerge(row interface{ Scan(...any) error }, more ...any) (m Merge, err error) {
	var at, until, undone int64
	var moved string
	dst := append([]any{&m.ID, &m.Survivor, &m.Merged, &m.LeadsTo, &m.Number, &m.Name, &m.externalID, &m.Reason, &moved, &at, &m.By, &until, &undone, &m.UndoneBy}, more...)
	if err = row.Scan(dst...); err != nil {
		return m, err
	}
	m.At, m.UndoUntil, m.UndoneAt = db.FromMicros(at), db.FromMicros(until), db.FromMicros(undone)
	return m, json.Unmarshal([]byte(moved), &m.Moved)
}

// MergePage is a stretch of the list of merges.
type MergePage struct {
	Rows []Merge
	Next string
}

// Merges returns the merges whose profile the actor sees, the newest first; of
// one customer when of is not 0.
func (s *Service) Merges(ctx context.Context, actor authz.Actor, of int64, after string, limit int) (p MergePage, err error) {
	sc := View(actor)
	if sc.Empty() {
		return p, nil
	}
	if limit <= 0 || limit > 100 {
		limit = 25
	}
	var a db.Args
	query := `SELECT ` + mergeColumns + `, c.id, c.number, c.name, c.type, c.level FROM customer_merges m JOIN customers c ON c.id = CASE WHEN m.leads_to > 0 THEN m.leads_to ELSE m.survivor_id END WHERE ` + within(sc, &a)
	if of != 0 {
		query += ` AND (m.leads_to = ` + a.Add(of) + ` OR m.survivor_id = ` + a.Add(of) + `)`
	}
	if _, id, ok := parseSpot(after); ok {
		query += ` AND m.id < ` + a.Add(id)
	}
	rows, err := s.db().Read().Query(ctx, query+fmt.Sprintf(` ORDER BY m.id DESC LIMIT %d`, limit+1), a.Values...)
	if err != nil {
		return p, fmt.Errorf("customer: merges: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var into Ref
		m, err := scanMerge(rows, &into.ID, &into.Number, &into.Name, (*string)(&into.Type), (*string)(&into.Level))
		if err != nil {
			return p, fmt.Errorf("customer: merges: %w", err)
		}
		m.Into = into
		m.Undoable = m.UndoneAt.IsZero() && m.UndoUntil.After(s.db().Clock().Now()) && actor.Can(PermMerge)
		p.Rows = append(p.Rows, m)
	}
	if err := rows.Err(); err != nil {
		return p, fmt.Errorf("customer: merges: %w", err)
	}
	if len(p.Rows) > limit {
		p.Rows = p.Rows[:limit]
		p.Next = spot(0, p.Rows[limit-1].ID)
	}
	return p, nil
}

// UndoPlan is what taking a merge back would do.
type UndoPlan struct {
	Merge   Merge
	Keep    Customer
	Since   map[string]int // rows of which table the profile got since; they stay with it
	Changed []string       // its fields that were changed since and stay as they are now
	Problem error          // why it cannot be taken back now; a fault
}

// PlanUndo shows what taking a merge back would do.
func (s *Service) PlanUndo(ctx context.Context, actor authz.Actor, id int64) (p UndoPlan, err error) {
	q := s.db().Read()
	var steps []step
	p.Merge, steps, err = s.undoable(ctx, q, actor, id, s.db().Clock().Now())
	if err != nil {
		if f, ok := fault.As(err); !ok || f.Kind != fault.Conflict || p.Merge.ID == 0 {
			return p, err
		}
		p.Problem = err
	}
	if p.Keep, err = s.load(ctx, q, p.Merge.Survivor); err != nil {
		return p, err
	}
	if p.Problem != nil {
		return p, nil
	}
	p.Since = map[string]int{}
	for _, h := range holdings {
		if h.Customer == "" || h.Since == "" {
			continue
		}
		var n int
		err := q.QueryRow(ctx, `SELECT COUNT(*) FROM `+h.Table+` WHERE `+h.where(h.Customer+` = $1 AND `+h.Since+` > $2`), p.Merge.Survivor, db.Micros(p.Merge.At)).Scan(&n)
		if err != nil {
			return p, fmt.Errorf("customer: since merge %d: %w", id, err)
		}
		if n > 0 {
			p.Since[h.Table] = n
		}
	}
	for _, st := range steps {
		if st.Op != "set" || st.Table != "customers" || !slices.Contains(st.IDs, p.Merge.Survivor) {
			continue
		}
		kept, err := changedSince(ctx, q, st)
		if err != nil {
			return p, fmt.Errorf("customer: since merge %d: %w", id, err)
		}
		p.Changed = append(p.Changed, fieldsOf(kept, p.Merge.Survivor)...)
	}
	return p, nil
}

// bookkeeping are columns nobody types.
var bookkeeping = []string{"version", "updated_at", "activity_at", "open_tickets", "total_tickets", "ratings", "rating_sum", "name_key", "pinyin", "initials", "stage_at", "verified_at", "verify_at", "planned_at", "address_masked"}

// fieldsOf names the fields of the profile id among the values that stay.
func fieldsOf(kept []left, id int64) []string {
	var out []string
	for _, l := range kept {
		if l.table != "customers" || l.id != id || slices.Contains(bookkeeping, l.column) {
			continue
		}
		f := l.column
		for _, c := range columnsOfField {
			if slices.Contains(c.columns, l.column) {
				f = c.name
			}
		}
		f = strings.TrimSuffix(f, "_sealed")
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// undoable loads a merge that the actor may take back. A merge that cannot be
// taken back now comes with a Conflict that says why.
func (s *Service) undoable(ctx context.Context, q db.Querier, actor authz.Actor, id int64, now time.Time) (m Merge, steps []step, err error) {
	m, err = scanMerge(q.QueryRow(ctx, `SELECT `+mergeColumns+` FROM customer_merges m WHERE m.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Merge{}, nil, fault.New(fault.NotFound, "merge.not_found")
	}
	if err != nil {
		return m, nil, fmt.Errorf("customer: merge %d: %w", id, err)
	}
	at := m.Survivor
	if m.LeadsTo != 0 {
		at = m.LeadsTo
	}
	if err := s.mayMerge(ctx, q, actor, at); err != nil {
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "merge.not_found")
		}
		return Merge{}, nil, err
	}
	if m.LeadsTo != 0 && m.LeadsTo != m.Survivor || m.LeadsTo == 0 && m.UndoneAt.IsZero() {
		// The survivor was merged itself since.
		var number string
		if err := q.QueryRow(ctx, `SELECT COALESCE(MAX(merged_number), '') FROM customer_merges WHERE merged_id = $1 AND leads_to > 0`, m.Survivor).Scan(&number); err != nil {
			return m, nil, fmt.Errorf("customer: merge %d: %w", id, err)
		}
		m.Survivor = at
		return m, nil, fault.New(fault.Conflict, "merge.undo.chain", number)
	}
	var later string
	err = q.QueryRow(ctx, `SELECT COALESCE(MAX(merged_number), '') FROM customer_merges WHERE id = (SELECT MAX(id) FROM customer_merges WHERE survivor_id = $1 AND id > $2 AND undone_at = 0)`, m.Survivor, id).Scan(&later)
	switch {
	case err != nil:
		return m, nil, fmt.Errorf("customer: merge %d: %w", id, err)
	case !m.UndoneAt.IsZero():
		return m, nil, fault.New(fault.Conflict, "merge.undo.done")
	case m.UndoUntil.IsZero():
		return m, nil, fault.New(fault.Conflict, "merge.undo.purged")
	case !m.UndoUntil.After(now):
		return m, nil, fault.New(fault.Conflict, "merge.undo.late", int(UndoFor/(24*time.Hour)))
	case later != "":
		return m, nil, fault.New(fault.Conflict, "merge.undo.order", later)
	}
	if steps, err = stepsOf(ctx, q, id); err != nil {
		return m, nil, err
	}
	// The profile that comes back must be in the actor's scope too.
	for _, st := range steps {
		if st.Op == "delete" && st.Table == "customers" && st.Row.id() == m.Merged {
			if !authz.For(actor, PermMerge).Matches([]int64{st.Row.int("owner_id"), st.Row.int("created_by")}, st.Row.int("department_id")) {
				return Merge{}, nil, authz.Denied(PermMerge)
			}
		}
	}
	return m, steps, nil
}

// Undone is what became of a merge that was taken back.
type Undone struct {
	Merge
	Kept []string // fields of the survivor that were changed since and stay
}

// Unmerge takes a merge back: both profiles, and every row the merge moved, are as
// they were, byte for byte. What the survivor got since stays with it; values
// changed since stay as they are and are named.
func (s *Service) Unmerge(ctx context.Context, actor authz.Actor, id int64) (out Undone, err error) {
	err = s.run.Do(ctx, actor, "customer.unmerge", func(ctx context.Context, a *action.Action) error {
		out, err = s.unmerge(ctx, a, id)
		return err
	})
	return out, err
}

// UnmergeIn is Unmerge inside another action.
func (s *Service) UnmergeIn(ctx context.Context, a *action.Action, id int64) (Undone, error) {
	return s.unmerge(ctx, a, id)
}

func (s *Service) unmerge(ctx context.Context, a *action.Action, id int64) (out Undone, err error) {
	if _, err := a.Exec(ctx, `UPDATE customer_merges SET reason = reason WHERE id = $1`, id); err != nil { // one at a time
		return out, fmt.Errorf("customer: unmerge %d: %w", id, err)
	}
	m, steps, err := s.undoable(ctx, a, a.Actor, id, a.Now)
	if err != nil {
		return out, err
	}
	fail := func(err error) (Undone, error) { return out, fmt.Errorf("customer: unmerge %d: %w", id, err) }
	var version int64
	if err := a.QueryRow(ctx, `SELECT version FROM customers WHERE id = $1`+a.ForUpdate(), m.Survivor).Scan(&version); err != nil {
		return fail(err)
	}
	var kept []left
	var people []int64 // who goes back
	var before int64
	rows := map[string][]int64{}
	for _, st := range steps {
		if st.Op == "set" {
			rows[st.Table] = append(rows[st.Table], st.IDs...)
		}
		k, err := takeBack(ctx, a.Tx, st)
		if err != nil {
			return fail(err)
		}
		kept = append(kept, k...)
		switch {
		case st.Op == "set" && st.Table == "customers" && slices.Contains(st.IDs, m.Survivor) && st.After["version"] != nil:
			before = st.Before.int("version")
		case st.Op == "set" && st.Table == "contacts" && st.After["customer_id"] == m.Survivor && st.Before["customer_id"] == m.Merged:
			people = append(people, st.IDs...)
		}
	}
	var restored int64
	if err := a.QueryRow(ctx, `SELECT version FROM customers WHERE id = $1`, m.Survivor).Scan(&restored); err != nil {
		return fail(err)
	}
	if restored != before { // it was changed since: who has it open must look again
		if _, err := a.Exec(ctx, `UPDATE customers SET version = version + 1, updated_at = $1 WHERE id = $2`, a.NowMicros(), m.Survivor); err != nil {
			return fail(err)
		}
	}
	if err := s.strangers(ctx, a, m.Survivor, people); err != nil {
		return fail(err)
	}
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	k := pairOf(m.Survivor, m.Merged)
	_, err1 := a.Exec(ctx, `UPDATE customer_merges SET leads_to = 0, undone_at = $1, undone_by = $2, undone_by_name = $3 WHERE id = $4`, a.NowMicros(), by, a.Actor.Name, id)
	_, err2 := a.Exec(ctx, `DELETE FROM customer_merge_steps WHERE merge_id = $1`, id)
	_, err3 := a.Exec(ctx, `UPDATE customer_pairs SET state = 'open', decided_at = 0, decided_by = 0, decided_by_name = '' WHERE a_id = $1 AND b_id = $2 AND state = 'merged'`, k.a, k.b)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fail(err)
	}
	if err := s.afterMerge(ctx, a, Moved{Merge: id, Keep: m.Survivor, Drop: m.Merged, Undone: true, Rows: rows}); err != nil {
		return out, err
	}
	for _, c := range []int64{m.Survivor, m.Merged} {
		if err := s.somebodyFirst(ctx, a, c); err != nil {
			return fail(err)
		}
		if err := s.reindex(ctx, a.Tx, c); err != nil {
			return out, err
		}
	}
	var number string
	if err := a.QueryRow(ctx, `SELECT number FROM customers WHERE id = $1`, m.Survivor).Scan(&number); err != nil {
		return fail(err)
	}
	a.Record(event.Event{Kind: MergeUndone, Subject: Subject(m.Survivor), Data: merging(id, m.Merged, m.Number)})
	a.Record(event.Event{Kind: MergeUndone, Subject: Subject(m.Merged), Data: merging(id, m.Survivor, number)})
	m.LeadsTo, m.UndoneAt, m.UndoneBy = 0, a.Now, a.Actor.Name
	return Undone{m, fieldsOf(kept, m.Survivor)}, nil
}

// strangers gives what stays with the survivor, but names a contact who goes
// back, to the survivor's first contact.
func (s *Service) strangers(ctx context.Context, a *action.Action, survivor int64, people []int64) error {
	if len(people) == 0 {
		return nil
	}
	var first int64
	if err := a.QueryRow(ctx, `SELECT COALESCE(MIN(id), 0) FROM contacts WHERE customer_id = $1 AND active = 1 AND is_primary = 1`, survivor).Scan(&first); err != nil {
		return err
	}
	for _, h := range holdings {
		if h.Customer == "" || h.Contact == "" || h.Since == "" {
			continue
		}
		err := db.EachIn(people, func(in string, args []any) error {
			b := db.Args{Values: slices.Clone(args)}
			_, err := a.Exec(ctx, `UPDATE `+h.Table+` SET `+h.Contact+` = `+b.Add(first)+` WHERE `+h.where(h.Contact+` IN (`+in+`) AND `+h.Customer+` = `+b.Add(survivor)), b.Values...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", h.Table, err)
		}
	}
	return nil
}

// somebodyFirst makes sure that somebody is the one to speak to first.
func (s *Service) somebodyFirst(ctx context.Context, a *action.Action, id int64) error {
	_, err := a.Exec(ctx, `
		UPDATE contacts SET is_primary = 1
		WHERE  id = (SELECT MIN(id) FROM contacts WHERE customer_id = $1 AND active = 1)
		  AND  NOT EXISTS (SELECT 1 FROM contacts x WHERE x.customer_id = $2 AND x.is_primary = 1 AND x.active = 1)`, id, id)
	return err
}
