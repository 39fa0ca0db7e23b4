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
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
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

// Who is told when a step fires; resolved at the moment of firing.
type Who string

const (
	Assignee   Who = "assignee"
	Supervisor Who = "supervisor"
	Head       Who = "head"
	TheClient  Who = "customer"
)

// Step is one rung of a clock's ladder.
type Step struct {
	Name    string        // warn, miss, escalate, remind, lapse, decide
	After   time.Duration // from the start; when 0, Percent of the target
	Percent int
	Tell    []Who
	Desk    bool // lay the ticket on the supervisor's desk (escalation +1)
	Urgent  bool // through the instant channel
}

// offset is when the step fires, as used time of the clock.
func (s Step) offset(target time.Duration) time.Duration {
	if s.After > 0 {
		return s.After
	}
	return target * time.Duration(s.Percent) / 100
}

// Ladders say what happens near and after each deadline. Steps in order of time.
var Ladders = map[Kind][]Step{
	FirstResponse: {
		{Name: "warn", Percent: 80, Tell: []Who{Assignee}},
		{Name: "miss", Percent: 100, Tell: []Who{Assignee, Supervisor}},
	},
	Acknowledge: {
		{Name: "remind", Percent: 50, Tell: []Who{Assignee}},
		{Name: "miss", Percent: 100, Tell: []Who{Supervisor}, Desk: true},
	},
	Urgent: {
		{Name: "miss", Percent: 100, Tell: []Who{Assignee, Supervisor}, Urgent: true},
	},
	Update: {
		{Name: "warn", Percent: 83, Tell: []Who{Assignee}}, // 20 h of 24
		{Name: "miss", Percent: 100, Tell: []Who{Assignee}},
		{Name: "escalate", Percent: 117, Tell: []Who{Supervisor}}, // 28 h of 24
	},
	Resolution: {
		{Name: "warn", Percent: 80, Tell: []Who{Assignee}},
		{Name: "miss", Percent: 100, Tell: []Who{Assignee, Supervisor}},
		{Name: "escalate", Percent: 150, Tell: []Who{Head}},
	},
	CustomerReply: {
		{Name: "remind", Percent: 33, Tell: []Who{TheClient, Assignee}}, // 24 h of 72
		{Name: "decide", Percent: 100, Tell: []Who{Assignee}},
	},
	Confirmation: {
		{Name: "remind", Percent: 33, Tell: []Who{TheClient}},
		{Name: "remind", Percent: 66, Tell: []Who{TheClient}},
		{Name: "lapse", Percent: 100},
	},
	Stage: {
		{Name: "warn", Percent: 80, Tell: []Who{Assignee}},
		{Name: "miss", Percent: 100, Tell: []Who{Supervisor}},
	},
	FollowUp: {
		{Name: "warn", Percent: 83, Tell: []Who{Supervisor}},
		{Name: "miss", Percent: 100, Tell: []Who{Supervisor, Head}},
	},
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

// Handler is told, inside the transaction of the firing, that a step of c has
// fired. c is as it was before the step.
type Handler func(ctx context.Context, a *action.Action, c Clock, s Step) error

// Service keeps clocks and fires them.
type Service struct {
	run    *action.Runner
	handle Handler
	lock   func(ctx context.Context, a *action.Action, tickets []int64) error

	sweeping sync.Mutex
	failed   map[int64]failure // by clock
}

// New returns the service; see OnFire.
func New(run *action.Runner) *Service { return &Service{run: run, failed: map[int64]failure{}} }

// OnFire sets who is told of firings; before the first Sweep.
func (s *Service) OnFire(h Handler) { s.handle = h }

// LockFirst sets what locks the tickets of the clocks about to be fired, before
// the clocks themselves: a move takes them in that order, and with the other one
// the two would wait for each other. Before the first Sweep.
func (s *Service) LockFirst(f func(ctx context.Context, a *action.Action, tickets []int64) error) {
	s.lock = f
}

const columns = `id, ticket_id, kind, round, state, policy, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, end_reason`

func scan(row interface{ Scan(...any) error }) (c Clock, err error) {
	var target, started, due, used, segment, next, ended, missed int64
	err = row.Scan(&c.ID, &c.TicketID, (*string)(&c.Kind), &c.Round, (*string)(&c.State), &c.Policy, &target, &started, &due, &used, &segment, &c.Step, &next, &missed, &ended, &c.EndReason)
	c.Target, c.Used = time.Duration(target)*time.Microsecond, time.Duration(used)*time.Microsecond
	c.StartedAt, c.DueAt, c.SegmentAt, c.NextAt, c.EndedAt = db.FromMicros(started), db.FromMicros(due), db.FromMicros(segment), db.FromMicros(next), db.FromMicros(ended)
	c.Missed = missed == 1
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
	return out, rows.Err()
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
	c := Clock{TicketID: ticketID, Kind: k, Round: round, State: Running, Policy: policy, Target: target, StartedAt: a.Now, DueAt: a.Now.Add(target), SegmentAt: a.Now}
	c.NextAt = c.next(0)
	err = a.Later(ctx, `
		INSERT INTO clocks (ticket_id, kind, round, state, policy, target, started_at, due_at, segment_at, next_at)
		VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9)`,
		ticketID, string(k), round, policy, target.Microseconds(), db.Micros(c.StartedAt), db.Micros(c.DueAt), db.Micros(c.SegmentAt), db.Micros(c.NextAt))
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
		c.SegmentAt, c.State, c.DueAt = a.Now, Running, a.Now.Add(c.Target-c.Used)
		c.NextAt = c.next(c.Step)
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
			c.DueAt, c.NextAt = c.SegmentAt.Add(target-c.Used), c.next(c.Step)
		}
		if err := a.Later(ctx, `UPDATE clocks SET target = $1, due_at = $2, next_at = $3, policy = $4 WHERE id = $5`,
			target.Microseconds(), db.Micros(c.DueAt), db.Micros(c.NextAt), policy, c.ID); err != nil {
			return fmt.Errorf("sla: retarget clock %d: %w", c.ID, err)
		}
		b.clocks[i] = c
	}
	return nil
}

// next is when step i fires; the zero time when there is no such step.
func (c Clock) next(i int) time.Time {
	steps := Ladders[c.Kind]
	if i >= len(steps) {
		return time.Time{}
	}
	return c.SegmentAt.Add(steps[i].offset(c.Target) - c.Used)
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

const (
	sweepBatch = 64
	// TimerName is the actor of firings in the audit trail.
	TimerName = "sla timer"
)

// Sweep fires every step that is due, in the order of their times, and reports
// how many. It costs one index look-up when nothing is due. A clock that cannot
// be fired holds up no other; it is tried again later and later.
func (s *Service) Sweep(ctx context.Context) (fired int, err error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	var errs []error
	for {
		now := s.run.DB().Clock().Now()
		limit := sweepBatch * (1 + (s.putOff(now)+sweepBatch-1)/sweepBatch) // few different statements
		due, err := list(ctx, s.run.DB().Read(), "state = 'running' AND next_at > 0 AND next_at <= $1 ORDER BY next_at, id LIMIT "+strconv.Itoa(limit), db.Micros(now))
		if err != nil {
			return fired, errors.Join(append(errs, err)...)
		}
		due = slices.DeleteFunc(due, func(c Clock) bool { return s.failed[c.ID].until.After(now) })
		if len(due) == 0 {
			return fired, errors.Join(errs...)
		}
		n, err := s.fire(ctx, due)
		if err != nil {
			n = 0
			for _, c := range due {
				m, err := s.fire(ctx, []Clock{c})
				n += m
				if err != nil {
					f := s.failed[c.ID]
					f.until, f.wait = now.Add(max(f.wait, retryFirst)), min(max(2*f.wait, 2*retryFirst), retryMax)
					s.failed[c.ID] = f
					errs = append(errs, fmt.Errorf("sla: clock %d of ticket %d: %w", c.ID, c.TicketID, err))
				} else {
					delete(s.failed, c.ID)
				}
			}
		}
		fired += n
		if n == 0 && err == nil || len(errs) >= maxFailures {
			return fired, errors.Join(errs...) // another node was faster, or something is wrong with all of them
		}
	}
}

// How long a clock that could not be fired is left alone; its time is promised
// to 5 s, so that what passes at once passes in time.
const (
	retryFirst = 2 * time.Second
	retryMax   = 5 * time.Minute
	// maxFailures bounds what one sweep spends on clocks that fail.
	maxFailures = 4 * sweepBatch
)

type failure struct {
	until time.Time
	wait  time.Duration // after the next failure
}

// putOff counts the clocks that are left alone at now, and forgets those whose
// time is long past: they have ended or were fired by another node.
func (s *Service) putOff(now time.Time) (n int) {
	for id, f := range s.failed {
		switch {
		case f.until.After(now):
			n++
		case now.Sub(f.until) > 2*retryMax:
			delete(s.failed, id)
		}
	}
	return n
}

func (s *Service) fire(ctx context.Context, due []Clock) (fired int, err error) {
	err = s.run.Do(ctx, authz.System(TimerName), "sla.fire", func(ctx context.Context, a *action.Action) error {
		fired = 0
		a.Nothing()
		if s.lock != nil {
			ids := make([]int64, len(due))
			for i, d := range due {
				ids[i] = d.TicketID
			}
			if err := s.lock(ctx, a, ids); err != nil {
				return err
			}
		}
		for _, d := range due {
			forget(a, d.TicketID)
			c, err := scan(a.QueryRow(ctx, "SELECT "+columns+" FROM clocks WHERE id = $1"+a.ForUpdate(), d.ID))
			if err != nil {
				return fmt.Errorf("sla: clock %d: %w", d.ID, err)
			}
			steps := Ladders[c.Kind]
			if c.State != Running || c.NextAt.IsZero() || c.NextAt.After(a.Now) || c.Step >= len(steps) {
				continue // met, paused or fired meanwhile
			}
			step := steps[c.Step]
			res, err := a.Exec(ctx, `INSERT INTO clock_firings (clock_id, step, due_at, fired_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				c.ID, c.Step, db.Micros(c.NextAt), a.NowMicros())
			if err != nil {
				return fmt.Errorf("sla: fire clock %d: %w", c.ID, err)
			}
			n, err := res.RowsAffected()
			if err != nil {
				return fmt.Errorf("sla: fire clock %d: %w", c.ID, err)
			}
			missed := c.Missed || step.offset(c.Target) >= c.Target
			if _, err := a.Exec(ctx, `UPDATE clocks SET step = $1, next_at = $2, missed = $3 WHERE id = $4`,
				c.Step+1, db.Micros(c.next(c.Step+1)), db.Bool(missed), c.ID); err != nil {
				return fmt.Errorf("sla: fire clock %d: %w", c.ID, err)
			}
			if n == 0 {
				continue
			}
			fired++
			if s.handle != nil {
				if err := s.handle(ctx, a, c, step); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return fired, err
}

// sweepEvery keeps firings within the promised 5 s of their time.
const sweepEvery = time.Second

// Run sweeps until ctx ends; onError may be nil.
func (s *Service) Run(ctx context.Context, onError func(error)) {
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil && onError != nil {
			onError(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.run.DB().Clock().After(sweepEvery):
		}
	}
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
