package task

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
)

const (
	timerName  = "task timer"
	sweepBatch = 200
)

// Sweep tells owners what is due: each reminder, and each task that has become
// late, once. It returns how many it told.
func (s *Service) Sweep(ctx context.Context) (told int, err error) {
	for {
		now := s.Now()
		due, err := list(ctx, s.db().Read(), `t.next_at > 0 AND t.next_at <= $1 ORDER BY t.next_at, t.id LIMIT `+strconv.Itoa(sweepBatch), db.Micros(now))
		if err != nil || len(due) == 0 {
			return told, err
		}
		n := 0
		err = s.run.Do(ctx, authz.System(timerName), "task.remind", func(ctx context.Context, a *action.Action) error {
			n = 0
			a.Nothing()
			for _, d := range due {
				t, err := scan(a.QueryRow(ctx, `SELECT `+columns+` FROM tasks t WHERE t.id = $1`+a.ForUpdate(), d.ID))
				if err != nil {
					return fmt.Errorf("task: remind of %d: %w", d.ID, err)
				}
				if next := t.next(); next.IsZero() || next.After(a.Now) {
					continue // told by another node, or moved
				}
				remind, late := !t.remindAt.IsZero() && !t.remindAt.After(a.Now), !t.lateAt.IsZero() && !t.lateAt.After(a.Now)
				if remind {
					t.remindAt = time.Time{}
				}
				if late {
					t.lateAt = time.Time{}
				}
				if _, err := a.Exec(ctx, `UPDATE tasks SET remind_at = $1, late_at = $2, next_at = $3 WHERE id = $4`, db.Micros(t.remindAt), db.Micros(t.lateAt), db.Micros(t.next()), t.ID); err != nil {
					return fmt.Errorf("task: remind of %d: %w", t.ID, err)
				}
				if t.State != Open {
					continue
				}
				p, _, err := s.org.Person(ctx, a, t.OwnerID)
				if err != nil {
					return err
				}
				kind := Reminded
				if late { // after a pause of the program it is too late to remind
					kind = BecameLate
				}
				lang := p.Lang
				if lang == "" {
					lang = i18n.ZhCN
				}
				a.Record(note(kind, t, "", []int64{t.OwnerID}, nil, t.Due(lang, s.zone)))
				n++
			}
			return nil
		})
		if err != nil {
			return told, err
		}
		told += n
		if len(due) < sweepBatch {
			return told, nil
		}
	}
}
