package customer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
	"bihuan/internal/task"
)

const (
	visitActor = "return visits"
	visitBatch = 200
	visitTime  = 3 * 24 * time.Hour
)

// AskVisits makes a task for the owner of each customer with whom nobody has been
// in touch for as long as the rhythm of his level allows, and with whom nothing
// is planned (FLW-5). Of one silence there is one task. It asks during working
// hours only, and of many a part at a time.
func (s *Service) AskVisits(ctx context.Context) error {
	q := s.db().Read()
	set, err := task.SettingsIn(ctx, q)
	if err != nil {
		return err
	}
	now := s.db().Clock().Now()
	local := now.In(number.Zone)
	if !set.Works(local) || local.Hour() < 8 || local.Hour() >= 18 {
		return nil
	}
	for _, level := range Levels {
		days := set.VisitDays[string(level)]
		if days == 0 {
			continue
		}
		type due struct {
			id, owner, activity int64
			number              string
		}
		rows, err := q.Query(ctx, `
			SELECT   c.id, c.owner_id, c.activity_at, c.number
			FROM     customers c JOIN users u ON u.id = c.owner_id AND u.active = 1
			WHERE    c.level = $1 AND c.activity_at < $2 AND c.planned_at <= $3 AND c.gone = 0 AND c.stage IN ('active', 'dormant')
			  AND    NOT EXISTS (SELECT 1 FROM tasks k WHERE k.once = 'visit:' || CAST(c.id AS TEXT) || ':' || CAST(c.activity_at AS TEXT) AND k.once <> '')
			ORDER BY c.activity_at, c.id LIMIT `+strconv.Itoa(visitBatch), string(level), db.Micros(now.AddDate(0, 0, -days)), db.Micros(now))
		if err != nil {
			return fmt.Errorf("customer: return visits: %w", err)
		}
		var found []due
		for rows.Next() {
			var d due
			if err := rows.Scan(&d.id, &d.owner, &d.activity, &d.number); err != nil {
				rows.Close()
				return fmt.Errorf("customer: return visits: %w", err)
			}
			found = append(found, d)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("customer: return visits: %w", err)
		}
		if len(found) == 0 {
			continue
		}
		err = s.run.Do(ctx, authz.System(visitActor), "customer.ask_visits", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			for _, d := range found {
				if _, err := task.Add(ctx, a, task.Ask{Title: i18n.T(i18n.ZhCN, "task.title.visit", d.number), OwnerID: d.owner, DueAt: task.EndOf(now.Add(visitTime).In(number.Zone)), Subject: Subject(d.id),
					Origin: task.ByVisit, Once: fmt.Sprintf("visit:%d:%d", d.id, d.activity)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
