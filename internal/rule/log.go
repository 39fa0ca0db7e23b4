package rule

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/job"
	"bihuan/internal/ticket"
)

// Outcomes of a firing; rule.outcome.<outcome>.
const (
	Done    = "done"
	Partly  = "partly"
	Refused = "refused"
	Failed  = "failed"
	Loop    = "loop"    // it would have fired again in one chain
	Limited = "limited" // too often on this ticket
)

// Outcomes in the order they are offered.
var Outcomes = []string{Done, Partly, Refused, Failed, Loop, Limited}

// Detail is what a firing found and did.
type Detail struct {
	Held []Cond   `json:"held,omitempty"`
	Done []Result `json:"done,omitempty"`
}

// Firing is a line of the log.
type Firing struct {
	ID       int64
	RuleID   int64 // 0: the automatic answer
	RuleName string
	Version  int64
	TicketID int64
	Number   string // of the ticket
	Title    string
	EventID  int64
	Occasion string // kind of the event; since.<code> for a matter of time
	Outcome  string
	Detail   Detail
	At       time.Time
}

// LogFilter selects lines; zero fields select all.
type LogFilter struct {
	Rule    int64 // -1: the automatic answer
	Outcome string
	Ticket  int64
	Before  int64 // keyset
	Limit   int   // 0: 30
}

// Log returns what rules did to the tickets sc lets the reader see, newest first,
// and where the next page begins (0: nowhere).
func (s *Service) Log(ctx context.Context, actor authz.Actor, f LogFilter) (out []Firing, next int64, err error) {
	if f.Ticket == 0 {
		if err := actor.Check(PermView); err != nil {
			return nil, 0, err
		}
	}
	if f.Limit == 0 {
		f.Limit = 30
	}
	var a db.Args
	where := "1 = 1"
	if sc := ticket.View(actor); !sc.Everything() {
		where = ticket.ScopeWhere(sc, &a)
	}
	switch {
	case f.Rule < 0:
		where += " AND f.rule_id = 0"
	case f.Rule > 0:
		where += " AND f.rule_id = " + a.Add(f.Rule)
	}
	if f.Outcome != "" {
		where += " AND f.outcome = " + a.Add(f.Outcome)
	}
	if f.Ticket != 0 {
		where += " AND f.ticket_id = " + a.Add(f.Ticket)
	}
	if f.Before != 0 {
		where += " AND f.id < " + a.Add(f.Before)
	}
	rows, err := s.db().Read().Query(ctx, `
		SELECT f.id, f.rule_id, COALESCE(r.name, ''), f.version, f.ticket_id, t.number, t.title, f.event_id, f.occasion, f.outcome, f.detail, f.at
		FROM   rule_firings f JOIN tickets t ON t.id = f.ticket_id LEFT JOIN rules r ON r.id = f.rule_id
		WHERE  `+where+` ORDER BY f.id DESC LIMIT `+strconv.Itoa(f.Limit+1), a.Values...)
	if err != nil {
		return nil, 0, fmt.Errorf("rule: log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Firing
		var detail string
		var at int64
		if err := rows.Scan(&x.ID, &x.RuleID, &x.RuleName, &x.Version, &x.TicketID, &x.Number, &x.Title, &x.EventID, &x.Occasion, &x.Outcome, &detail, &at); err != nil {
			return nil, 0, fmt.Errorf("rule: log: %w", err)
		}
		if err := decode(detail, &x.Detail); err != nil {
			return nil, 0, fmt.Errorf("rule: line %d: %w", x.ID, err)
		}
		x.At = db.FromMicros(at)
		out = append(out, x)
	}
	if len(out) > f.Limit {
		out = out[:f.Limit]
		next = out[f.Limit-1].ID
	}
	return out, next, rows.Err()
}

// Calls says how the webhooks of some lines went, by job.
func (s *Service) Calls(ctx context.Context, lines []Firing) (map[int64]job.Info, error) {
	out := map[int64]job.Info{}
	for _, l := range lines {
		for _, r := range l.Detail.Done {
			if r.Job == 0 {
				continue
			}
			if i, err := job.Get(ctx, s.db().Read(), r.Job); err == nil { // finished ones are pruned after some time
				out[r.Job] = i
			}
		}
	}
	return out, nil
}

// pruneBatch bounds one transaction of Prune.
const pruneBatch = 5000

// Prune forgets what is older than the log is kept, and the occasions of tickets
// that have long ended: a daily duty.
func (s *Service) Prune(ctx context.Context) error {
	old := db.Micros(s.db().Clock().Now().Add(-keepLog))
	for _, stmt := range []string{
		`DELETE FROM rule_firings WHERE id IN (SELECT id FROM rule_firings WHERE at < $1 ORDER BY at LIMIT ` + strconv.Itoa(pruneBatch) + `)`,
		`DELETE FROM rule_occasions WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM tickets t WHERE t.id = rule_occasions.ticket_id AND t.state NOT IN ('closed', 'cancelled'))`,
	} {
		for {
			var n int64
			err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
				res, err := tx.Exec(ctx, stmt, old)
				if err == nil {
					n, err = res.RowsAffected()
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("rule: prune: %w", err)
			}
			if n < pruneBatch {
				break
			}
		}
	}
	return nil
}
