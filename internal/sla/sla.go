// Package sla keeps the clocks of tickets. A clock is a stored row with its
// segments: when it ran, when it was paused and why. So the time used is never
// lost, and the history answers "why was this late" (SLA-1 to 7).
//
// What always holds: a running clock with steps left has next_at; a step of a
// clock fires exactly once, which the unique row (clock, step) sees to; a clock
// that ended never fires.
//
// All clocks run in a 7x24 calendar for now.
package sla

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Kind is what a clock measures; named sla.clock.<kind>.
type Kind string

const (
	FirstResponse Kind = "first_response" // to the first public answer of a person
	Acknowledge   Kind = "acknowledge"    // to the assignee's taking it up
	Urgent        Kind = "urgent"         // 紧急: taken up within half an hour
	Update        Kind = "update"         // to the next record or answer
	Resolution    Kind = "resolution"     // to asking the customer for confirmation
	CustomerReply Kind = "customer_reply" // the customer's answer to a question
	Confirmation  Kind = "confirmation"   // the customer's confirmation
	FollowUp      Kind = "follow_up"      // the supervisor's word with a dissatisfied customer
	Stage         Kind = "stage"          // the stage of a process; the process says how long, no policy
)

// Kinds that policies give times to, in the order they are shown.
var Kinds = []Kind{FirstResponse, Acknowledge, Urgent, Update, Resolution, CustomerReply, Confirmation, FollowUp}

// Promise reports whether missing a clock of kind k has to be explained before
// the ticket is answered (TKT-13): our own deadlines, not the customer's.
func (k Kind) Promise() bool {
	return k == FirstResponse || k == Acknowledge || k == Update || k == Resolution
}

// State of a clock.
type State string

const (
	Running State = "running"
	Paused  State = "paused"
	Met     State = "met"     // what it waited for happened
	Stopped State = "stopped" // it no longer mattered
)

// Clock is one measured promise of a ticket.
type Clock struct {
	ID        int64
	TicketID  int64
	Kind      Kind
	Round     int
	State     State
	Policy    string
	Target    time.Duration
	StartedAt time.Time
	DueAt     time.Time     // zero while paused
	Used      time.Duration // in ended segments
	SegmentAt time.Time     // start of the running segment
	Step      int           // next step to fire
	NextAt    time.Time
	Missed    bool
	EndedAt   time.Time
	EndReason string

	Ladder      int64         // whose rungs it climbs; 0: those the product brings
	Repeats     int           // how often the last step has been said again
	Fired       int           // how many firings there were
	KnownAt     time.Time     // since when somebody knows of the last step; zero: not yet
	FirstTarget time.Duration // before it was deferred; 0: it was not

	rungs []Step // of Ladder
}

// UsedAt is the time used at now.
func (c Clock) UsedAt(now time.Time) time.Duration {
	if c.State == Running {
		return c.Used + now.Sub(c.SegmentAt)
	}
	return c.Used
}

// Segment is a stretch in which a clock ran.
type Segment struct {
	StartedAt, EndedAt     time.Time // EndedAt zero: still running
	StartReason, EndReason string    // locale keys sla.why.<reason>
}

const columns = `id, ticket_id, kind, round, state, policy, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, end_reason, ladder_id, repeats, fired, known_at, first_target`

func scan(row interface{ Scan(...any) error }) (c Clock, err error) {
	var target, started, due, used, segment, next, ended, missed, known, first int64
	err = row.Scan(&c.ID, &c.TicketID, (*string)(&c.Kind), &c.Round, (*string)(&c.State), &c.Policy, &target, &started, &due, &used, &segment, &c.Step, &next, &missed, &ended, &c.EndReason, &c.Ladder, &c.Repeats, &c.Fired, &known, &first)
	c.Target, c.Used = time.Duration(target)*time.Microsecond, time.Duration(used)*time.Microsecond
	c.StartedAt, c.DueAt, c.SegmentAt, c.NextAt, c.EndedAt = db.FromMicros(started), db.FromMicros(due), db.FromMicros(segment), db.FromMicros(next), db.FromMicros(ended)
	c.Missed, c.KnownAt, c.FirstTarget = missed == 1, db.FromMicros(known), time.Duration(first)*time.Microsecond
	return c, err
}

func list(ctx context.Context, q db.Querier, where string, args ...any) ([]Clock, error) {
	rows, err := q.Query(ctx, "SELECT "+columns+" FROM clocks WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("sla: read clocks: %w", err)
	}
	defer rows.Close()
	var out []Clock
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("sla: read clocks: %w", err)
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sla: read clocks: %w", err)
	}
	rows.Close() // the ladders are asked for on the same connection
	return out, climb(ctx, q, out)
}

// Of returns all clocks of a ticket, oldest first.
func Of(ctx context.Context, q db.Querier, ticketID int64) ([]Clock, error) {
	return list(ctx, q, "ticket_id = $1 ORDER BY id", ticketID)
}

// Open returns the clocks of a ticket that have not ended.
func Open(ctx context.Context, q db.Querier, ticketID int64) ([]Clock, error) {
	return list(ctx, q, "ticket_id = $1 AND state IN ('running', 'paused') ORDER BY id", ticketID)
}

// Segments returns the history of a clock.
func Segments(ctx context.Context, q db.Querier, clockID int64) ([]Segment, error) {
	rows, err := q.Query(ctx, `SELECT started_at, ended_at, start_reason, end_reason FROM clock_segments WHERE clock_id = $1 ORDER BY id`, clockID)
	if err != nil {
		return nil, fmt.Errorf("sla: segments: %w", err)
	}
	defer rows.Close()
	var out []Segment
	for rows.Next() {
		var s Segment
		var from, to int64
		if err := rows.Scan(&from, &to, &s.StartReason, &s.EndReason); err != nil {
			return nil, fmt.Errorf("sla: segments: %w", err)
		}
		s.StartedAt, s.EndedAt = db.FromMicros(from), db.FromMicros(to)
		out = append(out, s)
	}
	return out, rows.Err()
}

// MissedPromise reports whether any deadline of ours on the ticket was missed in
// its newest round: what went wrong before has been explained then.
func MissedPromise(ctx context.Context, q db.Querier, ticketID int64, now time.Time) (bool, error) {
	cs, err := Of(ctx, q, ticketID)
	if err != nil {
		return false, err
	}
	round := 0
	for _, c := range cs {
		round = max(round, c.Round)
	}
	return slices.ContainsFunc(cs, func(c Clock) bool {
		return c.Round == round && c.Kind.Promise() && (c.Missed || c.State == Running && now.After(c.DueAt))
	}), nil
}

// book is what a transaction knows of the open clocks of a ticket: a move asks
// for them half a dozen times. Who changes clocks keeps it in step, or calls
// forget.
type book struct{ clocks []Clock }

type bookOf int64 // ticket

// open returns the book of a ticket; ID is 0 for clocks that were begun in this
// transaction and not read back.
func open(ctx context.Context, a *action.Action, ticketID int64) (*book, error) {
	v, err := a.Once(bookOf(ticketID), func() (any, error) {
		cs, err := Open(ctx, a, ticketID)
		return &book{cs}, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*book), nil
}

// known is open, with the ids of all clocks some is true for.
func known(ctx context.Context, a *action.Action, ticketID int64, some func(Clock) bool) (*book, error) {
	b, err := open(ctx, a, ticketID)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(b.clocks, func(c Clock) bool { return c.ID == 0 && some(c) }) {
		forget(a, ticketID)
		return open(ctx, a, ticketID)
	}
	return b, nil
}

func forget(a *action.Action, ticketID int64) { a.Keep(bookOf(ticketID), nil) }

// Fresh says that a ticket was made in this transaction and has no clocks yet.
func Fresh(a *action.Action, ticketID int64) { a.Keep(bookOf(ticketID), &book{}) }

// Arm starts a clock of kind k unless target is 0. A clock of the same kind
// that still runs is stopped first: there is one of each.
func Arm(ctx context.Context, a *action.Action, ticketID int64, k Kind, round int, target time.Duration, policy, why string) error {
	if err := Stop(ctx, a, ticketID, why, k); err != nil {
		return err
	}
	if target <= 0 {
		return nil
	}
	b, err := open(ctx, a, ticketID)
	if err != nil {
		return err
	}
	l, err := LadderFor(ctx, a, k, policy)
	if err != nil {
		return err
	}
	c := Clock{TicketID: ticketID, Kind: k, Round: round, State: Running, Policy: policy, Target: target, StartedAt: a.Now, SegmentAt: a.Now, Ladder: l.ID, rungs: l.Steps}
	c.DueAt, c.NextAt = c.at(target), c.next()
	err = a.Later(ctx, `
		INSERT INTO clocks (ticket_id, kind, round, state, policy, target, started_at, due_at, segment_at, next_at, ladder_id)
		VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10)`,
		ticketID, string(k), round, policy, target.Microseconds(), db.Micros(c.StartedAt), db.Micros(c.DueAt), db.Micros(c.SegmentAt), db.Micros(c.NextAt), l.ID)
	if err != nil {
		return fmt.Errorf("sla: arm %s of %d: %w", k, ticketID, err)
	}
	if err := a.Later(ctx, `INSERT INTO clock_segments (clock_id, started_at, start_reason) SELECT MAX(id), CAST($1 AS BIGINT), CAST($2 AS TEXT) FROM clocks WHERE ticket_id = $3 AND kind = $4`,
		db.Micros(a.Now), why, ticketID, string(k)); err != nil {
		return fmt.Errorf("sla: arm %s of %d: %w", k, ticketID, err)
	}
	b.clocks = append(b.clocks, c)
	return nil
}

// Meet ends the open clocks of the given kinds because what they waited for
// has happened; late ones are marked as missed, and late reports whether a
// promise of ours was among them.
func Meet(ctx context.Context, a *action.Action, ticketID int64, why string, kinds ...Kind) (late bool, err error) {
	return end(ctx, a, ticketID, Met, why, kinds)
}

// Stop ends the open clocks of the given kinds because they no longer matter;
// no kinds: all.
func Stop(ctx context.Context, a *action.Action, ticketID int64, why string, kinds ...Kind) error {
	_, err := end(ctx, a, ticketID, Stopped, why, kinds)
	return err
}

func end(ctx context.Context, a *action.Action, ticketID int64, to State, why string, kinds []Kind) (late bool, err error) {
	ends := func(c Clock) bool { return len(kinds) == 0 || slices.Contains(kinds, c.Kind) }
	b, err := known(ctx, a, ticketID, ends)
	if err != nil {
		return false, err
	}
	for _, c := range b.clocks {
		if !ends(c) {
			continue
		}
		missed := c.Missed || c.State == Running && a.Now.After(c.DueAt)
		late = late || missed && c.Kind.Promise()
		due := db.Micros(c.DueAt)
		err := a.Later(ctx, `
			UPDATE clocks SET state = $1, used = $2, segment_at = 0, next_at = 0, missed = $3, ended_at = $4, end_reason = $5, due_at = $6
			WHERE id = $7 AND state IN ('running', 'paused')`,
			string(to), c.UsedAt(a.Now).Microseconds(), db.Bool(missed), a.NowMicros(), why, due, c.ID)
		if err != nil {
			return false, fmt.Errorf("sla: end clock %d: %w", c.ID, err)
		}
		if err := closeSegment(ctx, a, c, why); err != nil {
			return false, err
		}
	}
	b.clocks = slices.DeleteFunc(b.clocks, ends)
	return late, nil
}

func closeSegment(ctx context.Context, a *action.Action, c Clock, why string) error {
	if c.State != Running {
		return nil
	}
	err := a.Later(ctx, `UPDATE clock_segments SET ended_at = $1, end_reason = $2 WHERE clock_id = $3 AND ended_at = 0`, a.NowMicros(), why, c.ID)
	if err != nil {
		return fmt.Errorf("sla: segment of clock %d: %w", c.ID, err)
	}
	return nil
}

// Pause halts the running clocks of the given kinds; the time used is kept.
func Pause(ctx context.Context, a *action.Action, ticketID int64, why string, kinds ...Kind) error {
	pauses := func(c Clock) bool { return c.State == Running && slices.Contains(kinds, c.Kind) }
	b, err := known(ctx, a, ticketID, pauses)
	if err != nil {
		return err
	}
	for i, c := range b.clocks {
		if !pauses(c) {
			continue
		}
		missed := c.Missed || a.Now.After(c.DueAt)
		if err := a.Later(ctx, `UPDATE clocks SET state = 'paused', used = $1, segment_at = 0, next_at = 0, due_at = 0, missed = $2 WHERE id = $3`,
			c.UsedAt(a.Now).Microseconds(), db.Bool(missed), c.ID); err != nil {
			return fmt.Errorf("sla: pause clock %d: %w", c.ID, err)
		}
		if err := closeSegment(ctx, a, c, why); err != nil {
			return err
		}
		c.Used, c.Missed, c.State = c.UsedAt(a.Now), missed, Paused
		c.SegmentAt, c.NextAt, c.DueAt = time.Time{}, time.Time{}, time.Time{}
		b.clocks[i] = c
	}
	return nil
}

// Resume lets paused clocks of the given kinds run on from where they stood.
func Resume(ctx context.Context, a *action.Action, ticketID int64, why string, kinds ...Kind) error {
	resumes := func(c Clock) bool { return c.State == Paused && slices.Contains(kinds, c.Kind) }
	b, err := known(ctx, a, ticketID, resumes)
	if err != nil {
		return err
	}
	for i, c := range b.clocks {
		if !resumes(c) {
			continue
		}
		c.SegmentAt, c.State = a.Now, Running
		c.DueAt, c.NextAt = c.at(c.Target), c.next()
		if err := a.Later(ctx, `UPDATE clocks SET state = 'running', segment_at = $1, due_at = $2, next_at = $3 WHERE id = $4`,
			a.NowMicros(), db.Micros(c.DueAt), db.Micros(c.NextAt), c.ID); err != nil {
			return fmt.Errorf("sla: resume clock %d: %w", c.ID, err)
		}
		if err := a.Later(ctx, `INSERT INTO clock_segments (clock_id, started_at, start_reason) VALUES ($1, $2, $3)`, c.ID, a.NowMicros(), why); err != nil {
			return fmt.Errorf("sla: resume clock %d: %w", c.ID, err)
		}
		b.clocks[i] = c
	}
	return nil
}

// Revive lets the newest clock of kind k and round that was met run on, because
// what met it was taken back: its time used and the steps it fired stay.
func Revive(ctx context.Context, a *action.Action, ticketID int64, k Kind, round int, why string) error {
	cs, err := Of(ctx, a, ticketID)
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(cs) {
		if c.Kind != k || c.Round != round {
			continue
		}
		if c.State != Met {
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE clocks SET state = 'paused', ended_at = 0, end_reason = '', due_at = 0 WHERE id = $1`, c.ID); err != nil {
			return fmt.Errorf("sla: revive clock %d: %w", c.ID, err)
		}
		if err := uncount(ctx, a, c.ID); err != nil {
			return err
		}
		forget(a, ticketID)
		return Resume(ctx, a, ticketID, why, k)
	}
	return nil
}

// Retarget gives the open clock of kind k a new target, keeping the time used
// (SLA-4); 0 ends it, for it is no longer measured. Steps already fired do not
// fire again.
func Retarget(ctx context.Context, a *action.Action, ticketID int64, k Kind, target time.Duration, policy string) error {
	changes := func(c Clock) bool { return c.Kind == k && c.Target != target }
	b, err := known(ctx, a, ticketID, changes)
	if err != nil {
		return err
	}
	if target <= 0 { // no longer measured
		if slices.ContainsFunc(b.clocks, changes) {
			return Stop(ctx, a, ticketID, "edited", k)
		}
		return nil
	}
	for i, c := range b.clocks {
		if !changes(c) {
			continue
		}
		c.Target, c.Policy = target, policy
		if c.State == Running {
			c.DueAt, c.NextAt = c.at(target), c.next()
		}
		if err := a.Later(ctx, `UPDATE clocks SET target = $1, due_at = $2, next_at = $3, policy = $4 WHERE id = $5`,
			target.Microseconds(), db.Micros(c.DueAt), db.Micros(c.NextAt), policy, c.ID); err != nil {
			return fmt.Errorf("sla: retarget clock %d: %w", c.ID, err)
		}
		b.clocks[i] = c
	}
	return nil
}

// Nearest returns the running clock of a ticket that is due first, ok false when
// none runs.
func Nearest(ctx context.Context, a *action.Action, ticketID int64) (c Clock, ok bool, err error) {
	b, err := open(ctx, a, ticketID)
	if err != nil {
		return Clock{}, false, err
	}
	for _, x := range b.clocks { // by id; the newest last
		if x.State == Running && (!ok || x.DueAt.Before(c.DueAt)) {
			c, ok = x, true
		}
	}
	return c, ok, nil
}

// Policy is a set of promised times (SLA-1). "" in Type or Urgency matches any.
type Policy struct {
	ID               int64
	Name             string // as the administrator wrote it
	Type, Urgency    string
	Targets          map[Kind]int // minutes; a kind that is missing is not measured
	PauseWhenWaiting bool
	Version          int64
}

// Target returns the promised time for k; 0 when it is not measured.
func (p Policy) Target(k Kind) time.Duration { return time.Duration(p.Targets[k]) * time.Minute }

func defaults(first, resolution int) map[Kind]int {
	return map[Kind]int{FirstResponse: first * 60, Acknowledge: 120, Update: 24 * 60, Resolution: resolution * 60,
		CustomerReply: 72 * 60, Confirmation: 72 * 60, FollowUp: 24 * 60}
}

// Defaults are the policies of a fresh install, from the manuals' table.
func Defaults() []Policy {
	urgent := defaults(2, 24)
	urgent[Urgent] = 30
	return []Policy{
		{Name: "紧急工单", Urgency: "urgent", Targets: urgent, PauseWhenWaiting: true},
		{Name: "一般工单", Urgency: "normal", Targets: defaults(24, 48), PauseWhenWaiting: true},
		{Name: "低优先工单", Urgency: "low", Targets: defaults(72, 120), PauseWhenWaiting: true},
	}
}

// Seed stores the default policies where there are none.
func Seed(ctx context.Context, a *action.Action) error {
	if err := calendar.Seed(ctx, a); err != nil {
		return err
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM sla_policies`).Scan(&n); err != nil || n > 0 {
		return err
	}
	Changed(a.Tx)
	for i, p := range Defaults() {
		t, err := json.Marshal(p.Targets)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `INSERT INTO sla_policies (name, type, urgency, targets, pause_when_waiting, position) VALUES ($1, $2, $3, $4, $5, $6)`,
			p.Name, p.Type, p.Urgency, string(t), db.Bool(p.PauseWhenWaiting), i); err != nil {
			return fmt.Errorf("sla: seed: %w", err)
		}
	}
	a.Record(event.Event{Kind: "sla.policies_seeded", Subject: event.Subject{Type: "sla_policy"}})
	return nil
}

// policiesHeld holds the policies between changes; see Changed.
type policiesHeld struct{}

// Changed is to be called by who changes policies, within its transaction.
func Changed(tx *db.Tx) { tx.Drop(policiesHeld{}) }

// Policies returns all policies.
func Policies(ctx context.Context, q db.Querier) ([]Policy, error) {
	rows, err := q.Query(ctx, `SELECT id, name, type, urgency, targets, pause_when_waiting, version FROM sla_policies ORDER BY position, id`)
	if err != nil {
		return nil, fmt.Errorf("sla: policies: %w", err)
	}
	defer rows.Close()
	var out []Policy
	for rows.Next() {
		var p Policy
		var targets string
		var pause int
		if err := rows.Scan(&p.ID, &p.Name, &p.Type, &p.Urgency, &targets, &pause, &p.Version); err != nil {
			return nil, fmt.Errorf("sla: policies: %w", err)
		}
		if err := json.Unmarshal([]byte(targets), &p.Targets); err != nil {
			return nil, fmt.Errorf("sla: policy %d: %w", p.ID, err)
		}
		p.PauseWhenWaiting = pause == 1
		out = append(out, p)
	}
	return out, rows.Err()
}

// Choose returns the most particular policy for a ticket of typ and urgency;
// without any, the default for the urgency, so that no ticket is without clock.
func Choose(ctx context.Context, q db.Querier, typ, urgency string) (Policy, error) {
	ps, err := db.Held(ctx, q, policiesHeld{}, func() ([]Policy, error) { return Policies(ctx, q) })
	if err != nil {
		return Policy{}, err
	}
	return Chosen(ps, typ, urgency), nil
}
