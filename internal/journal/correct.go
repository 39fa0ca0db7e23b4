package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/task"
)

// Correctable reports whether actor may add a correction to e: to his own records
// and notes. What a customer has seen is not altered any more; he is written to
// again (FLW-6).
func (e Entry) Correctable(actor authz.Actor) bool {
	return (e.Kind == FollowUp || e.Kind == Note) && actor.Kind == authz.User && e.AuthorKind == authz.User && e.AuthorID == actor.ID
}

// Correct writes what e should have said as a further entry that names it; e
// stays as it was (FLW-6). Of a note r is not asked. The task of a plan follows
// the correction.
func Correct(ctx context.Context, a *action.Action, e Entry, body string, r Record, refuseVague bool) (int64, error) {
	switch {
	case e.Kind.Public():
		return 0, fault.New(fault.Conflict, "journal.correct.public")
	case !e.Correctable(a.Actor):
		return 0, fault.New(fault.Forbidden, "journal.correct.not_yours")
	}
	if by, err := CorrectedBy(ctx, a, []int64{e.ID}); err != nil {
		return 0, err
	} else if by[e.ID] != 0 {
		return 0, fault.New(fault.Conflict, "journal.correct.again")
	}
	x := Entry{TicketID: e.TicketID, CustomerID: e.CustomerID, Kind: e.Kind, Body: strings.TrimSpace(body), CorrectsID: e.ID}
	if e.Kind == FollowUp {
		if err := CheckFollowUp(a.Now, body, r, refuseVague); err != nil {
			return 0, err
		}
		if r.At.IsZero() {
			r.At = e.Record().At
		}
		detail, err := json.Marshal(r)
		if err != nil {
			return 0, fmt.Errorf("journal: %w", err)
		}
		x.Detail = detail
	} else if x.Body == "" {
		return 0, fault.Invalidf("journal.follow_up.invalid").Field("body", "journal.correct.empty")
	}
	if was := e.Record(); x.Body == e.Body && same(was, r) {
		return 0, fault.Invalidf("journal.correct.nothing").Field("body", "journal.correct.nothing")
	}
	id, err := Add(ctx, a, x)
	if err != nil || e.Kind != FollowUp {
		return id, err
	}
	return id, task.Follow(ctx, a, planOf(id, e.ID, e.TicketID, e.CustomerID, r))
}

// same compares records as people see them: times to the minute.
func same(a, b Record) bool {
	at := func(x, y time.Time) bool { return x.Truncate(time.Minute).Equal(y.Truncate(time.Minute)) }
	eq := at(a.At, b.At) && at(a.NextAt, b.NextAt)
	a.At, b.At, a.NextAt, b.NextAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return eq && a == b
}

// CorrectedBy returns which of ids have been corrected, and by which entry.
func CorrectedBy(ctx context.Context, q db.Querier, ids []int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	if len(ids) == 0 {
		return out, nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT corrects_id, id FROM entries WHERE corrects_id > 0 AND corrects_id IN (`+a.AddInts(ids)+`) ORDER BY id`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("journal: corrections: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var of, by int64
		if err := rows.Scan(&of, &by); err != nil {
			return nil, fmt.Errorf("journal: corrections: %w", err)
		}
		out[of] = by
	}
	return out, rows.Err()
}
