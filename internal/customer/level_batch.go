package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
)

// Where a LevelBatch comes from.
const (
	LevelsOfBulk   = "bulk"
	LevelsOfImport = "import"
)

// What became of a customer in a LevelBatch, customer.levels.outcome.<code>; ""
// while nobody has decided.
const (
	WishChanged   = "changed"
	WishMeanwhile = "meanwhile" // his level was another one by then, or he was gone: left alone
	WishKept      = "kept"      // not agreed to
)

// LevelBatch is a change of level of many customers that one request asks for:
// the deciders see all of them, and decide once.
type LevelBatch struct {
	ID               int64
	Source           string
	SourceID         int64  // the bulk change or import
	State            string // gathering, asked, settling, settled; customer.levels.state.<state>
	Reason           string
	RequestID        int64 // 0 while gathering
	Agreed           bool
	Total            int64
	Changed, Skipped int64
	CreatedAt        time.Time
	FinishedAt       time.Time

	note       string
	department int64
	last       int64
	createdBy  int64
}

// LevelWish is one customer of a LevelBatch.
type LevelWish struct {
	CustomerID   int64
	Number, Name string // as deciders may read it: a person's name is masked
	From, To     Level
	Outcome      string
	Gone         bool

	department int64
	now        Level
}

const (
	levelsSubject = "customer_levels"
	levelsJob     = "customer_levels"
	levelsStep    = 100
)

// LevelsSubject is the LevelBatch id as the subject of a request.
func LevelsSubject(id int64) event.Subject { return event.Subject{Type: levelsSubject, ID: id} }

// Link is the batch's page.
func (b LevelBatch) Link() string { return fmt.Sprintf("/customer-level-changes/%d", b.ID) }

const batchColumns = `id, source, source_id, state, reason, request_id, agreed, note, department_id, total, changed, skipped, last, created_by, created_at, finished_at`

func loadLevels(ctx context.Context, q db.Querier, where string, args ...any) (b LevelBatch, ok bool, err error) {
	var agreed int
	var created, finished int64
	err = q.QueryRow(ctx, `SELECT `+batchColumns+` FROM customer_level_batches WHERE `+where, args...).Scan(&b.ID, &b.Source, &b.SourceID, &b.State, &b.Reason, &b.RequestID,
		&agreed, &b.note, &b.department, &b.Total, &b.Changed, &b.Skipped, &b.last, &b.createdBy, &created, &finished)
	if errors.Is(err, sql.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("customer: levels of many: %w", err)
	}
	b.Agreed, b.CreatedAt, b.FinishedAt = agreed == 1, db.FromMicros(created), db.FromMicros(finished)
	return b, true, nil
}

// wishLevels writes down what a bulk change or an import would have changed;
// fileLevels asks for all of it at the end.
func (s *Service) wishLevels(ctx context.Context, a *action.Action, source string, sourceID int64, reason string, wishes []LevelWish) error {
	if len(wishes) == 0 {
		return nil
	}
	b, ok, err := loadLevels(ctx, a, `source = $1 AND source_id = $2`+a.ForUpdate(), source, sourceID)
	if err != nil {
		return err
	}
	if !ok {
		b.department = wishes[0].department
		err = a.QueryRow(ctx, `
			INSERT INTO customer_level_batches (source, source_id, state, reason, department_id, created_by, created_at)
			VALUES ($1, $2, 'gathering', $3, $4, $5, $6) RETURNING id`, source, sourceID, reason, b.department, a.Actor.ID, a.NowMicros()).Scan(&b.ID)
		if err != nil {
			return fmt.Errorf("customer: levels of many: %w", err)
		}
	}
	values := make([]any, 0, 4*len(wishes))
	for _, w := range wishes {
		values = append(values, b.ID, w.CustomerID, string(w.From), string(w.To))
		if w.department != b.department {
			b.department = -1
		}
	}
	if err := a.InsertMany(ctx, `INSERT INTO customer_level_wishes (batch_id, customer_id, old_level, new_level)`, "", 4, values); err != nil {
		return fmt.Errorf("customer: levels of many: %w", err)
	}
	if _, err := a.Exec(ctx, `UPDATE customer_level_batches SET total = total + $1, department_id = $2 WHERE id = $3`, len(wishes), b.department, b.ID); err != nil {
		return fmt.Errorf("customer: levels of many: %w", err)
	}
	return nil
}

// fileLevels asks for what was written down, once; nothing where nothing was.
func (s *Service) fileLevels(ctx context.Context, a *action.Action, source string, sourceID int64) error {
	b, ok, err := loadLevels(ctx, a, `source = $1 AND source_id = $2 AND state = 'gathering'`+a.ForUpdate(), source, sourceID)
	if err != nil || !ok {
		return err
	}
	b.RequestID, err = s.levels.AskLevels(ctx, a, b)
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE customer_level_batches SET state = 'asked', request_id = $1 WHERE id = $2`, b.RequestID, b.ID); err != nil {
		return fmt.Errorf("customer: levels of many: %w", err)
	}
	return nil
}

// dropLevels forgets what was written down and not asked for.
func (s *Service) dropLevels(ctx context.Context, a *action.Action, source string, sourceID int64) error {
	b, ok, err := loadLevels(ctx, a, `source = $1 AND source_id = $2 AND state = 'gathering'`+a.ForUpdate(), source, sourceID)
	if err != nil || !ok {
		return err
	}
	for _, query := range []string{`DELETE FROM customer_level_wishes WHERE batch_id = $1`, `DELETE FROM customer_level_batches WHERE id = $1`} {
		if _, err := a.Exec(ctx, query, b.ID); err != nil {
			return fmt.Errorf("customer: levels of many: %w", err)
		}
	}
	return nil
}

// AskImportedLevels asks for the levels an import wanted to give, in the action
// that ends it. Only in the name of whoever imported: nobody else's wish is made
// his, and then the levels stay.
func (s *Service) AskImportedLevels(ctx context.Context, a *action.Action, importID, importedBy int64) error {
	if a.Actor.Kind != authz.User || a.Actor.ID != importedBy || s.levels == nil {
		return s.dropLevels(ctx, a, LevelsOfImport, importID)
	}
	return s.fileLevels(ctx, a, LevelsOfImport, importID)
}

// LevelsOf returns the batch of a bulk change or an import the caller may see;
// ok is false when it has none.
func (s *Service) LevelsOf(ctx context.Context, source string, sourceID int64) (b LevelBatch, ok bool, err error) {
	b, ok, err = loadLevels(ctx, s.db().Read(), `source = $1 AND source_id = $2`, source, sourceID)
	return b, ok && b.State != "gathering", err
}

// Levels returns a batch whose request the actor may see, else NotFound.
func (s *Service) Levels(ctx context.Context, actor authz.Actor, id int64) (LevelBatch, error) {
	b, ok, err := loadLevels(ctx, s.db().Read(), `id = $1`, id)
	if err == nil && (!ok || b.RequestID == 0 || s.levels == nil) {
		err = fault.New(fault.NotFound, "customer.levels.not_found")
	}
	if err == nil {
		err = s.levels.MaySee(ctx, actor, b.RequestID)
	}
	return b, err
}

// LevelWishes returns the customers of a batch behind after, by id.
func (s *Service) LevelWishes(ctx context.Context, actor authz.Actor, id, after int64, limit int) ([]LevelWish, error) {
	if _, err := s.Levels(ctx, actor, id); err != nil {
		return nil, err
	}
	return levelWishes(ctx, s.db().Read(), id, after, limit, "")
}

func levelWishes(ctx context.Context, q db.Querier, id, after int64, limit int, lock string) (out []LevelWish, err error) {
	rows, err := q.Query(ctx, `
		SELECT   w.customer_id, w.old_level, w.new_level, w.outcome, c.number, c.name, c.type, c.gone, c.level
		FROM     customer_level_wishes w JOIN customers c ON c.id = w.customer_id
		WHERE    w.batch_id = $1 AND w.customer_id > $2
		ORDER BY w.customer_id LIMIT $3`+lock, id, after, limit)
	if err != nil {
		return nil, fmt.Errorf("customer: levels of many: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var w LevelWish
		var typ Type
		var gone int
		if err := rows.Scan(&w.CustomerID, (*string)(&w.From), (*string)(&w.To), &w.Outcome, &w.Number, &w.Name, (*string)(&typ), &gone, (*string)(&w.now)); err != nil {
			return nil, fmt.Errorf("customer: levels of many: %w", err)
		}
		if w.Gone = gone == 1; typ == Person && !w.Gone {
			w.Name = cnid.MaskName(w.Name)
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// levelCount is how many of a batch go from one level to another.
type levelCount struct {
	from, to Level
	n        int64
}

func levelCounts(ctx context.Context, q db.Querier, id int64) (out []levelCount, err error) {
	rows, err := q.Query(ctx, `SELECT old_level, new_level, COUNT(*) FROM customer_level_wishes WHERE batch_id = $1 GROUP BY old_level, new_level ORDER BY 3 DESC, 1, 2`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: levels of many: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c levelCount
		if err := rows.Scan((*string)(&c.from), (*string)(&c.to), &c.n); err != nil {
			return nil, fmt.Errorf("customer: levels of many: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// LevelsData is the data of LevelsSettled.
type LevelsData struct {
	Args   []string `json:"args"` // how many were changed, how many left alone
	Agreed bool     `json:"agreed"`
	Total  int64    `json:"total"`
}

// settleLevels does what was decided about a batch, and why: in the action of
// the decision when they are few, else in the background.
func (s *Service) settleLevels(ctx context.Context, a *action.Action, id int64, agreed bool, note string) error {
	b, ok, err := loadLevels(ctx, a, `id = $1`+a.ForUpdate(), id)
	if err != nil || !ok || b.State != "asked" {
		return err
	}
	b.State, b.Agreed, b.note = "settling", agreed, note
	if _, err := a.Exec(ctx, `UPDATE customer_level_batches SET state = 'settling', agreed = $1, note = $2 WHERE id = $3`, db.Bool(agreed), note, id); err != nil {
		return fmt.Errorf("customer: levels of many: %w", err)
	}
	if b.Total > bulkNow && s.lists.jobs != nil {
		_, err := s.lists.jobs.Enqueue(ctx, a.Tx, levelsJob, idArgs{id}, job.Opts{UniqueKey: fmt.Sprintf("levels:%d", id), By: b.createdBy, MaxAttempts: 5})
		return err
	}
	for b.State == "settling" {
		if err := s.levelsNext(ctx, a, &b); err != nil {
			return err
		}
	}
	return nil
}

// levelsNext settles the next customers of a batch. Whose level is no longer the
// one that was shown to the deciders is left alone.
func (s *Service) levelsNext(ctx context.Context, a *action.Action, b *LevelBatch) error {
	lock := a.ForUpdate()
	if lock != "" {
		lock += " OF w, c"
	}
	wishes, err := levelWishes(ctx, a, b.ID, b.last, levelsStep, lock)
	if err != nil {
		return err
	}
	did := map[string][]int64{}
	for _, w := range wishes {
		b.last = w.CustomerID
		outcome := WishChanged
		switch {
		case w.Gone || w.now != w.From:
			outcome = WishMeanwhile
			b.Skipped++
		case !b.Agreed:
			outcome = WishKept
			a.Record(event.Event{Kind: LevelKept, Subject: Subject(w.CustomerID), Reason: b.note, Data: LevelData{w.From, w.To}})
		default:
			if err := s.SetLevel(ctx, a, w.CustomerID, w.To, b.note); err != nil {
				return err
			}
			b.Changed++
		}
		did[outcome] = append(did[outcome], w.CustomerID)
	}
	for outcome, ids := range did {
		var args db.Args
		if _, err := a.Exec(ctx, `UPDATE customer_level_wishes SET outcome = `+args.Add(outcome)+` WHERE batch_id = `+args.Add(b.ID)+` AND customer_id IN (`+args.AddInts(ids)+`)`, args.Values...); err != nil {
			return fmt.Errorf("customer: levels of many: %w", err)
		}
	}
	var finished int64
	if len(wishes) < levelsStep {
		b.State, finished = "settled", a.NowMicros()
		a.Record(event.Event{Kind: LevelsSettled, Subject: LevelsSubject(b.ID), Reason: b.note, Data: LevelsData{[]string{fmt.Sprint(b.Changed), fmt.Sprint(b.Total - b.Changed)}, b.Agreed, b.Total}})
	}
	_, err = a.Exec(ctx, `UPDATE customer_level_batches SET state = $1, changed = $2, skipped = $3, last = $4, finished_at = $5 WHERE id = $6`,
		b.State, b.Changed, b.Skipped, b.last, finished, b.ID)
	if err != nil {
		return fmt.Errorf("customer: levels of many: %w", err)
	}
	return nil
}

// levelsWork settles a batch in the background. Called again after a crash it
// goes on behind the last customers.
func (s *Service) levelsWork(ctx context.Context, j *job.Job) error {
	var args idArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	for {
		over := false
		err := s.run.Do(ctx, authz.System("customer lists"), "customer.settle_levels", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			b, ok, err := loadLevels(ctx, a, `id = $1`+a.ForUpdate(), args.ID)
			if err != nil {
				return err
			}
			if over = !ok || b.State != "settling"; over {
				return nil
			}
			if err := s.levelsNext(ctx, a, &b); err != nil {
				return err
			}
			over = b.State != "settling"
			return nil
		})
		if err != nil || over {
			return err
		}
	}
}

// levelsTitle names a batch in a few words, in the company's language, like what
// people write themselves.
func levelsTitle(b LevelBatch, counts []levelCount) string {
	to, seen := "", map[Level]bool{}
	for _, c := range counts {
		if !seen[c.to] {
			if seen[c.to] = true; to != "" {
				to += "、"
			}
			to += i18n.T(i18n.ZhCN, "customer.level."+string(c.to))
		}
	}
	return i18n.T(i18n.ZhCN, "customer.levels.title."+b.Source, b.Total, to)
}
