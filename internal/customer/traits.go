package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"bihuan/internal/db"
)

// Traits are what conditions compare of a customer.
type Traits struct {
	ID           int64
	Type         Type
	Grade, Stage string
	Region       string
	OpenTickets  int64
	TotalTickets int64
	Tags         []int64 // only when they were asked for
}

// TraitsOf reads the traits of customer id, with or without his tags.
func TraitsOf(ctx context.Context, q db.Querier, id int64, tags bool) (t Traits, err error) {
	t.ID = id
	err = q.QueryRow(ctx, `SELECT type, grade, stage, region, open_tickets, total_tickets FROM customers WHERE id = $1`, id).
		Scan((*string)(&t.Type), &t.Grade, &t.Stage, &t.Region, &t.OpenTickets, &t.TotalTickets)
	if errors.Is(err, sql.ErrNoRows) {
		return t, notFound()
	}
	if err == nil && tags {
		t.Tags, err = queryIDs(ctx, q, `SELECT tag_id FROM customer_tags WHERE customer_id = $1 ORDER BY tag_id`, id)
	}
	if err != nil {
		return t, fmt.Errorf("customer: traits of %d: %w", id, err)
	}
	return t, nil
}
