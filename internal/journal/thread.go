package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Get returns entry id; NotFound when there is none. The caller checks that its
// ticket or customer may be seen.
func Get(ctx context.Context, q db.Querier, id int64) (Entry, error) {
	e, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM entries WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return e, fault.New(fault.NotFound, "journal.not_found")
	}
	if err != nil {
		return e, fmt.Errorf("journal: entry %d: %w", id, err)
	}
	return e, nil
}

// Join lets what stands on ticket from be read on ticket to, in the order in
// which all of it was written. Each entry keeps the ticket it was written on.
func Join(ctx context.Context, tx *db.Tx, from, to int64) error {
	_, err := tx.Exec(ctx, `
		UPDATE entries SET origin_id = CASE WHEN origin_id = 0 THEN ticket_id ELSE origin_id END, ticket_id = $1
		WHERE  ticket_id > 0 AND ticket_id = $2`, to, from)
	if err != nil {
		return fmt.Errorf("journal: join %d to %d: %w", from, to, err)
	}
	return nil
}

// Part takes a Join back: what was written on one of the tickets origins is read
// on ticket back again, which is the first of them.
func Part(ctx context.Context, tx *db.Tx, from int64, back int64, origins []int64) error {
	err := db.EachIn(origins, func(in string, args []any) error {
		a := db.Args{Values: args}
		_, err := tx.Exec(ctx, `
			UPDATE entries SET ticket_id = `+a.Add(back)+`, origin_id = CASE WHEN origin_id = `+a.Add(back)+` THEN 0 ELSE origin_id END
			WHERE  origin_id > 0 AND origin_id IN (`+in+`) AND ticket_id = `+a.Add(from), a.Values...)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: part %d from %d: %w", back, from, err)
	}
	return nil
}

// MarkSplit notes which ticket was made of an entry; it reports false when one
// had been made before.
func MarkSplit(ctx context.Context, tx *db.Tx, entry, ticket int64) (bool, error) {
	res, err := tx.Exec(ctx, `UPDATE entries SET split_to = $1 WHERE id = $2 AND split_to = 0`, ticket, entry)
	if err != nil {
		return false, fmt.Errorf("journal: split %d: %w", entry, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Last returns the newest entry of each of the tickets, by ticket.
func Last(ctx context.Context, q db.Querier, tickets []int64) (map[int64]Entry, error) {
	out := make(map[int64]Entry, len(tickets))
	if len(tickets) == 0 {
		return out, nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM entries WHERE id IN (SELECT MAX(x.id) FROM entries x WHERE x.ticket_id > 0 AND x.ticket_id IN (`+a.AddInts(tickets)+`) GROUP BY x.ticket_id)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("journal: last: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("journal: last: %w", err)
		}
		out[e.TicketID] = e
	}
	return out, rows.Err()
}

// Count returns how many entries are read on a ticket.
func Count(ctx context.Context, q db.Querier, ticket int64) (n int, err error) {
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM entries WHERE ticket_id > 0 AND ticket_id = $1`, ticket).Scan(&n); err != nil {
		err = fmt.Errorf("journal: count of %d: %w", ticket, err)
	}
	return n, err
}
