package customer

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// LevelChange is a change of a customer's level that somebody wants.
type LevelChange struct {
	CustomerID   int64  `json:"customer_id"`
	Number       string `json:"number"`
	Name         string `json:"name"`
	DepartmentID int64  `json:"department_id"`
	From         Level  `json:"from"`
	To           Level  `json:"to"`
	Reason       string `json:"reason"`
}

// LevelApproval decides whether a change of level waits for somebody's consent
// (CUS-6). AskLevel runs in the transaction of the change: when it reports
// asked, it has filed a request and the level stays as it is for now; else the
// level is changed at once. A customer whose change is asked for already is a
// Conflict. When consent is given, [Service.SetLevel] changes the level.
type LevelApproval interface {
	AskLevel(ctx context.Context, a *action.Action, c LevelChange) (asked bool, err error)
	// LevelNeeded reports whether a change to the level by the actor waits.
	LevelNeeded(ctx context.Context, q db.Querier, actor authz.Actor, to Level) (bool, error)
	// AskLevels files one request for all customers of a batch.
	AskLevels(ctx context.Context, a *action.Action, b LevelBatch) (request int64, err error)
	// MaySee refuses whoever is not concerned by the request.
	MaySee(ctx context.Context, actor authz.Actor, request int64) error
}

// ApproveLevels makes l decide over changes of level; without it they are done
// at once.
func (s *Service) ApproveLevels(l LevelApproval) { s.levels = l }

// askLevel reports whether a request was filed instead of changing the level.
func (s *Service) askLevel(ctx context.Context, a *action.Action, c LevelChange) (asked bool, err error) {
	if s.levels == nil || c.From == c.To {
		return false, nil
	}
	return s.levels.AskLevel(ctx, a, c)
}

// SetLevel changes the level of a customer inside another action: somebody has
// consented. It asks nobody. A customer who has that level already is left
// alone.
func (s *Service) SetLevel(ctx context.Context, a *action.Action, id int64, to Level, reason string) error {
	if !slices.Contains(Levels, to) {
		return fault.Invalidf("customer.invalid").Field("level", "customer.level.unknown")
	}
	var from Level
	if err := a.QueryRow(ctx, `SELECT level FROM customers WHERE id = $1 AND gone = 0`+a.ForUpdate(), id).Scan((*string)(&from)); err != nil {
		return fmt.Errorf("customer: level of %d: %w", id, err)
	}
	if from == to {
		a.Nothing()
		return nil
	}
	if _, err := a.Exec(ctx, `UPDATE customers SET level = $1, updated_at = $2, version = version + 1 WHERE id = $3`, string(to), a.NowMicros(), id); err != nil {
		return fmt.Errorf("customer: level of %d: %w", id, err)
	}
	if err := s.reschedule(ctx, a.Tx, id, to); err != nil {
		return err
	}
	a.Record(event.Event{Kind: Changed, Subject: Subject(id), Reason: reason,
		Data: ChangedData{[]Change{{Change: event.Change{Field: "level", Old: string(from), New: string(to)}}}}})
	return nil
}
