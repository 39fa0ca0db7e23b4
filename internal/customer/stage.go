package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
)

// stageMoves is the whole life of a customer as people may lead it (CUS-12). A
// pair that is not here is refused. The rules beside them: the first completed
// ticket makes him active, a year of silence dormant, any contact wakes him.
var stageMoves = map[string][]string{
	Potential:  {Interested, Active, Lost},
	Interested: {Potential, Active, Lost},
	Active:     {Dormant, Lost},
	Dormant:    {Interested, Active, Lost},
	Lost:       {Potential, Interested, Active},
}

func stageKey(s string) i18n.Key { return i18n.Key("customer.stage." + s) }

// StageMoves returns where people may move a customer from a stage.
func StageMoves(from string) []string { return stageMoves[from] }

// LostCauses say why a customer was lost, named customer.lost.<code>.
var LostCauses = []string{"price", "competitor", "product", "service", "no_need", "closed", "unreachable", "other"}

// The rules that move customers, named customer.cause.<code>.
const (
	causeBusiness = "business"
	causeSilence  = "silence"
	causeContact  = "contact"
)

// StageData is the data of StageChanged.
type StageData struct {
	ChangedData
	Cause string `json:"cause,omitempty"` // one of LostCauses, or the rule
}

// StageLine is one step of a customer's life.
type StageLine struct {
	From, To string
	Cause    string // of LostCauses, or the rule; "" by hand
	Reason   string
	ByRule   bool
	Actor    string // for a rule: see [authz.SystemName]
	At       time.Time
}

// MoveStage moves a customer to another stage. A cause is wanted when he is
// lost, in words when it is "other"; for everything else reason may be empty.
func (s *Service) MoveStage(ctx context.Context, actor authz.Actor, id int64, to, cause, reason string) error {
	return s.run.Do(ctx, actor, "customer.move_stage", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		var from string
		if err := a.QueryRow(ctx, `SELECT stage FROM customers WHERE id = $1`+a.ForUpdate(), id).Scan(&from); err != nil {
			return fmt.Errorf("customer: stage of %d: %w", id, err)
		}
		reason = line(reason)
		e := fault.Invalidf("customer.invalid")
		switch {
		case !slices.Contains(Stages, to):
			e.Field("stage", "customer.stage.unknown")
		case !slices.Contains(stageMoves[from], to):
			e.Field("stage", "customer.stage.refused", stageKey(from), stageKey(to))
		case to != Lost:
			cause = ""
		case !slices.Contains(LostCauses, cause):
			e.Field("cause", "customer.lost.required")
		case cause == "other" && utf8.RuneCountInString(reason) < 2:
			e.Field("reason", "customer.lost.words")
		}
		limit(e, "reason", "customer.reason.was", reason, maxLine)
		if err := e.OrNil(); err != nil {
			return err
		}
		ev, err := moveStage(ctx, a.Tx, a.Actor, id, from, to, cause, reason)
		if err == nil {
			a.Record(ev)
		}
		return err
	})
}

// moveStage writes the step and returns its fact. Stages do not count as a
// version of the profile: no form holds them.
func moveStage(ctx context.Context, tx *db.Tx, by authz.Actor, id int64, from, to, cause, reason string) (event.Event, error) {
	_, err := tx.Exec(ctx, `UPDATE customers SET stage = $1, stage_at = $2, updated_at = $3 WHERE id = $4`, to, tx.NowMicros(), tx.NowMicros(), id)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO customer_stages (customer_id, from_stage, to_stage, cause, reason, actor_kind, actor_id, actor_name, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, from, to, cause, reason, string(by.Kind), by.ID, by.Name, tx.NowMicros())
	}
	if err != nil {
		return event.Event{}, fmt.Errorf("customer: stage of %d: %w", id, err)
	}
	return event.Event{Kind: StageChanged, Subject: Subject(id), Reason: reason,
		Data: StageData{ChangedData{[]Change{{Change: event.Change{Field: "stage", Old: from, New: to}}}}, cause}}, nil
}

// moveByRule moves a customer who is in one of the stages from; nothing when he
// is in another.
func moveByRule(ctx context.Context, tx *db.Tx, id int64, from []string, to, cause string) error {
	var stage string
	err := tx.QueryRow(ctx, `SELECT stage FROM customers WHERE id = $1 AND gone = 0`+tx.ForUpdate(), id).Scan(&stage)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !slices.Contains(from, stage) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("customer: stage of %d: %w", id, err)
	}
	by := authz.System(careActor)
	ev, err := moveStage(ctx, tx, by, id, stage, to, cause, "")
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, by, "customer.care", ev)
}

// wake brings a dormant customer back to the stage he fell asleep in.
func wake(ctx context.Context, tx *db.Tx, id int64) error {
	to := Interested
	err := tx.QueryRow(ctx, `
		SELECT COALESCE((SELECT from_stage FROM customer_stages WHERE customer_id = c.id AND to_stage = 'dormant' ORDER BY id DESC LIMIT 1),
		                CASE WHEN c.total_tickets > 0 THEN 'active' ELSE 'interested' END)
		FROM   customers c WHERE c.id = $1`, id).Scan(&to)
	if err != nil {
		return fmt.Errorf("customer: wake %d: %w", id, err)
	}
	if to == Lost || to == Dormant {
		to = Interested
	}
	return moveByRule(ctx, tx, id, []string{Dormant}, to, causeContact)
}

// sleepBatches is how many times 200 customers one sweep looks at.
const sleepBatches = 50

// sleep makes customers dormant with whom there was no business for so long,
// no ticket is open and nothing is planned. It walks the index of each stage
// from the oldest on.
func (s *Service) sleep(ctx context.Context, care Care) error {
	if care.DormantDays <= 0 {
		return nil
	}
	batches := 0 // other duties have their turn; the next sweep goes on
	for _, stage := range []string{Potential, Interested, Active} {
		var at, id int64
		for ; batches < sleepBatches; batches++ {
			now := s.db().Clock().Now()
			before := db.Micros(now.AddDate(0, 0, -care.DormantDays))
			rows, err := s.db().Read().Query(ctx, `
				SELECT   id, activity_at, open_tickets, planned_at, gone FROM customers
				WHERE    stage = $1 AND activity_at < $2 AND (activity_at, id) > ($3, $4)
				ORDER BY activity_at, id LIMIT 200`, stage, before, at, id)
			if err != nil {
				return fmt.Errorf("customer: dormant: %w", err)
			}
			var ids []int64
			n := 0
			for rows.Next() {
				var open, planned, gone int64
				if err := rows.Scan(&id, &at, &open, &planned, &gone); err != nil {
					rows.Close()
					return fmt.Errorf("customer: dormant: %w", err)
				}
				if n++; open == 0 && planned <= db.Micros(now) && gone == 0 {
					ids = append(ids, id)
				}
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return fmt.Errorf("customer: dormant: %w", err)
			}
			if len(ids) > 0 {
				err := s.run.Do(ctx, authz.System(careActor), "customer.care", func(ctx context.Context, a *action.Action) error {
					a.Nothing() // all of them may have been woken meanwhile
					for _, id := range ids {
						var still int
						err := a.QueryRow(ctx, `SELECT COUNT(*) FROM customers WHERE id = $1 AND stage = $2 AND activity_at < $3 AND open_tickets = 0 AND planned_at <= $4 AND gone = 0`,
							id, stage, before, a.NowMicros()).Scan(&still)
						if err != nil {
							return fmt.Errorf("customer: dormant: %w", err)
						}
						if still == 0 {
							continue
						}
						ev, err := moveStage(ctx, a.Tx, a.Actor, id, stage, Dormant, causeSilence, "")
						if err != nil {
							return err
						}
						a.Record(ev)
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			if n < 200 {
				break
			}
		}
	}
	return nil
}

// StageHistory returns the life of a customer the reader may see, newest first.
func (s *Service) StageHistory(ctx context.Context, sc authz.Scope, id int64) ([]StageLine, error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT from_stage, to_stage, cause, reason, actor_kind, actor_name, at FROM customer_stages WHERE customer_id = $1 ORDER BY id DESC LIMIT 100`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: stages of %d: %w", id, err)
	}
	defer rows.Close()
	var out []StageLine
	for rows.Next() {
		var l StageLine
		var kind string
		var at int64
		if err := rows.Scan(&l.From, &l.To, &l.Cause, &l.Reason, &kind, &l.Actor, &at); err != nil {
			return nil, fmt.Errorf("customer: stages of %d: %w", id, err)
		}
		l.ByRule, l.At = kind == string(authz.Worker), db.FromMicros(at)
		out = append(out, l)
	}
	return out, rows.Err()
}

// FollowedUp notes that a follow-up record about a customer was written: it is
// business, and its plan is what is planned next unless something sooner is.
// Once a plan's time has come, the next record looks for what else is planned.
func FollowedUp(ctx context.Context, tx *db.Tx, id int64, r journal.Record) error {
	var old int64
	err := tx.QueryRow(ctx, `SELECT planned_at FROM customers WHERE id = $1`, id).Scan(&old)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("customer: plan of %d: %w", id, err)
	}
	now, next := tx.NowMicros(), db.Micros(r.NextAt)
	if old > now && (next <= now || old <= next) {
		next = old
	} else if old != 0 && old <= now {
		at, err := journal.NextPlan(ctx, tx, id, tx.Now)
		if err != nil {
			return err
		}
		next = db.Micros(at)
	}
	if next != old {
		if _, err := tx.Exec(ctx, `UPDATE customers SET planned_at = $1 WHERE id = $2`, next, id); err != nil {
			return fmt.Errorf("customer: plan of %d: %w", id, err)
		}
	}
	return Touch(ctx, tx, id, tx.Now)
}
