package ticket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// What other rooms and works ask of this one.

// MayRead decides over the files of tickets: who sees the ticket sees its
// files; the customer those that are not internal, through his link.
func (s *Service) MayRead(ctx context.Context, actor authz.Actor, f blob.File) error {
	switch actor.Kind {
	case authz.Customer:
		t, err := s.Get(ctx, authz.For(authz.System(""), PermView), f.Owner.ID)
		if err != nil || f.Owner.Internal || t.CustomerID != actor.CustomerID {
			return notFound()
		}
		return nil
	case authz.User:
		_, err := s.Get(ctx, View(actor), f.Owner.ID)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		// Who sees the ticket it was merged into reads its thread there.
		t, terr := s.Get(ctx, authz.For(authz.System(""), PermView), f.Owner.ID)
		if terr != nil || t.MergedInto == 0 {
			return err
		}
		to, terr := s.Holder(ctx, s.DB().Read(), t)
		if terr != nil {
			return terr
		}
		_, err = s.Get(ctx, View(actor), to.ID)
		return err
	}
	return nil
}

// OfCustomerBefore returns a customer's tickets within sc, the newest first, older
// than the ticket before (0: the newest).
func (s *Service) OfCustomerBefore(ctx context.Context, sc authz.Scope, customer, before int64, limit int) ([]Row, error) {
	older := ""
	if before > 0 {
		older = "t.id < " + strconv.FormatInt(before, 10) + " AND "
	}
	return s.rows(ctx, sc, older+"t.customer_id = ", customer, "t.id DESC", limit)
}

// Work tells the organisation what a person or department has open (ORG-7).
func (s *Service) Work() org.Work {
	count := func(ctx context.Context, q db.Querier, where string, args ...any) (n int, err error) {
		err = q.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE is_open = 1 AND `+where, args...).Scan(&n)
		return n, err
	}
	return org.Work{
		Name: "ticket.open_work",
		OfUser: func(ctx context.Context, q db.Querier, user int64) (int, error) {
			return count(ctx, q, `(assignee_id = $1 OR supervisor_id = $2)`, user, user)
		},
		OfDepartment: func(ctx context.Context, q db.Querier, department int64) (int, error) {
			return count(ctx, q, `department_id = $1`, department)
		},
		HandOver: s.Handover,
		Page:     "/desk/handover?from={id}",
		Pass:     MayHandOver,
	}
}

// TicketRefs returns those of the tickets ids that actor may see, for the
// timeline of a customer.
func (s *Service) TicketRefs(ctx context.Context, actor authz.Actor, ids []int64) (map[int64]customer.TicketRef, error) {
	out := map[int64]customer.TicketRef{}
	if len(ids) == 0 {
		return out, nil
	}
	var a db.Args
	q := `SELECT t.id, t.number, t.title FROM tickets t WHERE t.id IN (` + a.AddInts(ids) + `) AND ` + View(actor).Where(&a, scopeColumns)
	rows, err := s.DB().Read().Query(ctx, q, a.Values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r customer.TicketRef
		if err := rows.Scan(&r.ID, &r.Number, &r.Title); err != nil {
			return nil, err
		}
		out[r.ID] = r
	}
	return out, rows.Err()
}

// Audience is who may hear of ticket id live: those it concerns and whoever
// sees its department.
func (s *Service) Audience(ctx context.Context, sc authz.Scope, id int64) (owners []int64, department int64, err error) {
	t, err := s.Get(ctx, sc, id)
	if err != nil {
		return nil, 0, err
	}
	watchers, err := s.Watchers(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	return append(t.owners(), watchers...), t.DepartmentID, nil
}

// Numbers returns the numbers of the tickets ids, for what a ticket the reader
// sees says of its relatives. It knows no scope.
func Numbers(ctx context.Context, q db.Querier, ids []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT id, number FROM tickets WHERE id IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: numbers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var n string
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("ticket: numbers: %w", err)
		}
		out[id] = n
	}
	return out, rows.Err()
}

// Numbered returns the ids of those tickets of sc that have one of the numbers.
func (s *Service) Numbered(ctx context.Context, sc authz.Scope, numbers []string) (map[string]int64, error) {
	out := make(map[string]int64, len(numbers))
	for part := range slices.Chunk(numbers, 500) {
		var a db.Args
		list := make([]string, len(part))
		for i, n := range part {
			list[i] = a.Add(n)
		}
		rows, err := s.DB().Read().Query(ctx, `SELECT t.number, t.id FROM tickets t WHERE t.number IN (`+strings.Join(list, ",")+`) AND `+sc.Where(&a, scopeColumns), a.Values...)
		if err != nil {
			return nil, fmt.Errorf("ticket: numbered: %w", err)
		}
		for rows.Next() {
			var n string
			var id int64
			if err := rows.Scan(&n, &id); err != nil {
				rows.Close()
				return nil, fmt.Errorf("ticket: numbered: %w", err)
			}
			out[n] = id
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("ticket: numbered: %w", err)
		}
	}
	return out, nil
}

// MainOf returns the main ticket of a part, for the little of it that its part
// shows to whoever works on it. It knows no scope.
func (s *Service) MainOf(ctx context.Context, part Ticket) (Ticket, error) {
	return get(ctx, s.DB().Read(), authz.For(authz.System(""), PermView), "t.id", part.ParentID, "")
}
