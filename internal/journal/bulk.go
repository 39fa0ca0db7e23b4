package journal

import (
	"context"
	"fmt"

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
