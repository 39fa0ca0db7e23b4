package journal

import (
	"context"
	"encoding/json"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
)

// AddMany writes many entries with the authors and times they name (the zero
// time is now), in order: for imports. The caller has seen to their length.
func AddMany(ctx context.Context, tx *db.Tx, es []Entry) error {
	const width = 10
	values := make([]any, 0, len(es)*width)
	for _, e := range es {
		at := tx.NowMicros()
		if !e.CreatedAt.IsZero() {
			at = db.Micros(e.CreatedAt)
		}
		values = append(values, e.TicketID, e.CustomerID, string(e.Kind), string(e.AuthorKind), e.AuthorID, e.AuthorName, e.Body, string(e.Detail), e.CorrectsID, at)
	}
	err := tx.InsertMany(ctx, `
		INSERT INTO entries (ticket_id, customer_id, kind, author_kind, author_id, author_name, body, detail, corrects_id, created_at)`, "", width, values)
	if err != nil {
		return fmt.Errorf("journal: add %d: %w", len(es), err)
	}
	return nil
}

// AddMoves writes the lines of many moves that a program makes now, and returns
// their ids in the same order.
func AddMoves(ctx context.Context, a *action.Action, es []Entry, ms []Moved) ([]int64, error) {
	ids, err := a.ReserveIDs(ctx, "entries", len(es))
	if err != nil || len(es) == 0 {
		return nil, err
	}
	const width = 9
	values := make([]any, 0, len(es)*width)
	for i, e := range es {
		detail, err := json.Marshal(ms[i])
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		values = append(values, ids[i], e.TicketID, e.CustomerID, string(System), string(a.Actor.Kind), a.Actor.ID, a.Actor.Name, string(detail), a.NowMicros())
	}
	err = a.InsertMany(ctx, `INSERT INTO entries (id, ticket_id, customer_id, kind, author_kind, author_id, author_name, detail, created_at)`, "", width, values)
	if err != nil {
		return nil, fmt.Errorf("journal: add %d moves: %w", len(es), err)
	}
	return ids, nil
}
