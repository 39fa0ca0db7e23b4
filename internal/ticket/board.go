package ticket

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/sla"
)

// Due is how many open tickets of one person in one department have their
// nearest deadline of ours in one hour. Slot -1 is what has passed already.
type Due struct {
	Slot                 int
	Department, Assignee int64 // 0: nobody's
	N                    int
}

// Board is what will be missed in the next hours.
type Board struct {
	From, To time.Time // the hours shown; From is the beginning of this one
	Hours    int
	Due      []Due
	More     bool // there are more than are looked at
}

// Slot is the beginning and end of an hour of the board.
func (b Board) Slot(i int) (from, to time.Time) {
	if i < 0 {
		return time.Time{}, b.From
	}
	return b.From.Add(time.Duration(i) * time.Hour), b.From.Add(time.Duration(i+1) * time.Hour)
}

// maxBoard bounds the tickets a board looks at, on each side of now.
const maxBoard = 50_000

// BoardHours are how far a board may look.
var BoardHours = []int{8, 12, 24}

// boardHeld holds the board of the whole company for some seconds: everybody
// looks at his part of it.
type boardHeld struct{ hours int }

// theirs are the deadlines that bind the customer and not us.
var theirs = "('" + string(sla.CustomerReply) + "', '" + string(sla.Confirmation) + "')"

// Board returns what sc reaches of it. It costs what is due in those hours,
// however many tickets there are, and is read at most every few seconds.
func (s *Service) Board(ctx context.Context, sc authz.Scope, hours int) (Board, error) {
	q := s.DB().Read()
	all, err := db.Held(ctx, q, boardHeld{hours}, func() (Board, error) { return s.board(ctx, q, hours) })
	if err != nil || sc.Everything() {
		return all, err
	}
	out := all
	out.Due = nil
	for _, d := range all.Due {
		if sc.Matches([]int64{d.Assignee}, d.Department) {
			out.Due = append(out.Due, d)
		}
	}
	return out, nil
}

func (s *Service) board(ctx context.Context, q db.Querier, hours int) (b Board, err error) {
	now := s.DB().Clock().Now()
	from := now.Truncate(time.Hour)
	b = Board{From: from, To: from.Add(time.Duration(hours) * time.Hour), Hours: hours}
	for _, past := range [2]bool{true, false} {
		var a db.Args
		slot, order := "-1", "DESC"
		when := "t.due_at > 0 AND t.due_at < " + a.Add(db.Micros(now))
		if !past {
			a = db.Args{}
			slot, order = "(x.due_at - CAST("+a.Add(db.Micros(from))+" AS BIGINT)) / 3600000000", "ASC"
			when = "t.due_at >= " + a.Add(db.Micros(now)) + " AND t.due_at < " + a.Add(db.Micros(b.To))
		}
		rows, err := q.Query(ctx, `SELECT `+slot+`, x.department_id, x.assignee_id, COUNT(*) FROM (
				SELECT t.due_at, t.department_id, t.assignee_id, t.due_clock FROM tickets t WHERE t.is_open = 1 AND `+when+` ORDER BY t.due_at `+order+` LIMIT `+strconv.Itoa(maxBoard)+`) x
			WHERE x.due_clock NOT IN `+theirs+` GROUP BY 1, 2, 3`, a.Values...)
		if err != nil {
			return b, fmt.Errorf("ticket: board: %w", err)
		}
		n := 0
		for rows.Next() {
			var d Due
			if err := rows.Scan(&d.Slot, &d.Department, &d.Assignee, &d.N); err != nil {
				rows.Close()
				return b, fmt.Errorf("ticket: board: %w", err)
			}
			n += d.N
			b.Due = append(b.Due, d)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return b, fmt.Errorf("ticket: board: %w", err)
		}
		b.More = b.More || n >= maxBoard
	}
	return b, nil
}

// Reach says whom a step would tell now about a ticket of the department, whose
// assignee is known or 0: for the page that says what will happen when.
func (s *Service) Reach(ctx context.Context, department, assignee int64, step sla.Step) (told sla.Told, err error) {
	t := Ticket{DepartmentID: department, AssigneeID: assignee}
	q := s.DB().Read()
	if assignee == 0 { // as long as nobody has it, it is the supervisor's
		if t.SupervisorID, err = s.supervisor(ctx, q, department); err != nil {
			return told, err
		}
	}
	for _, w := range step.Tell {
		if w == sla.TheClient {
			told.Client = true
			continue
		}
		people, err := s.whom(ctx, q, t, w)
		if err != nil {
			return told, err
		}
		for _, id := range people {
			if err := s.present(ctx, q, t, id, &told); err != nil {
				return told, err
			}
		}
	}
	if step.Desk {
		told.Desk, err = s.supervisor(ctx, q, department)
	}
	return told, err
}
