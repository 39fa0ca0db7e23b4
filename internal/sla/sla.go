// Package sla keeps the clocks of tickets. A clock is a stored row with its
// segments: when it ran, when it was paused and why. So the time used is never
// lost, and the history answers "why was this late" (SLA-1 to 7).
//
// What always holds: a running clock with steps left has next_at; a step of a
// clock fires exactly once, which the unique row (clock, step) sees to; a clock
// that ended never fires. The time used is counted in the clock's calendar; the
// deadline is stored as an instant, worked out once when the clock starts or
// goes on, and stands until an administrator has deadlines counted anew: what
// remains is what lies between now and it.
package sla

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
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

	PolicyID      int64 // 0: none of the company's
	PolicyVersion int64
	Calendar      int64 // in which its time is counted; 0: 7x24

	rungs []Step          // of Ladder
	hours *calendar.Times // of Calendar
}

// UsedAt is the time used at now, in the clock's calendar.
func (c Clock) UsedAt(now time.Time) time.Duration {
	if c.State == Running {
		return c.Target - c.hours.Elapsed(now, c.DueAt)
	}
	return c.Used
}

// DueIf is when the clock is due if it runs, or runs on, from now.
func (c Clock) DueIf(now time.Time) time.Time {
	if c.State == Running {
		return c.DueAt
	}
	return c.hours.Due(now, c.Target-c.Used)
}

// Hours is the calendar of the clock.
func (c Clock) Hours() *calendar.Times { return c.hours }

// start lets the clock run from now.
func (c *Clock) start(now time.Time) {
	c.SegmentAt, c.State = now, Running
	c.DueAt = c.hours.Due(now, c.Target-c.Used)
	c.NextAt = c.next()
}

// Segment is a stretch in which a clock ran.
type Segment struct {
	StartedAt, EndedAt     time.Time     // EndedAt zero: still running
	Used                   time.Duration // in the clock's calendar, of one that has ended
	StartReason, EndReason string        // locale keys sla.why.<reason>
}

const columns = `id, ticket_id, kind, round, state, policy, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, end_reason, ladder_id, repeats, fired, known_at, first_target, policy_id, policy_version, calendar_id`

func scan(row interface{ Scan(...any) error }) (c Clock, err error) {
	var target, started, due, used, segment, next, ended, missed, known, first int64
	err = row.Scan(&c.ID, &c.TicketID, (*string)(&c.Kind), &c.Round, (*string)(&c.State), &c.Policy, &target, &started, &due, &used, &segment, &c.Step, &next, &missed, &ended, &c.EndReason, &c.Ladder, &c.Repeats, &c.Fired, &known, &first, &c.PolicyID, &c.PolicyVersion, &c.Calendar)
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
	rows, err := q.Query(ctx, `SELECT started_at, ended_at, start_reason, end_reason, used FROM clock_segments WHERE clock_id = $1 ORDER BY id`, clockID)
	if err != nil {
		return nil, fmt.Errorf("sla: segments: %w", err)
	}
	defer rows.Close()
	var out []Segment
	for rows.Next() {
		var s Segment
		var from, to, used int64
		if err := rows.Scan(&from, &to, &s.StartReason, &s.EndReason, &used); err != nil {
			return nil, fmt.Errorf("sla: segments: %w", err)
		}
		s.StartedAt, s.EndedAt, s.Used = db.FromMicros(from), db.FromMicros(to), time.Duration(used)*time.Microsecond
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

// Promise is what a clock is to keep.
type Promise struct {
	Target   time.Duration // 0: it is not measured
	Calendar int64         // 0: 7x24
	Policy   string        // its name
	PolicyID int64         // 0: none of the company's
	Version  int64
}

func (p Promise) of(c Clock) bool {
	return c.Target == p.Target && c.Calendar == p.Calendar && c.Policy == p.Policy && c.PolicyID == p.PolicyID && c.PolicyVersion == p.Version
}

func (c *Clock) promise(p Promise, hours *calendar.Times) {
	c.Target, c.Calendar, c.Policy, c.PolicyID, c.PolicyVersion, c.hours = p.Target, p.Calendar, p.Policy, p.PolicyID, p.Version, hours
}

// Due is when the promise is due from start on.
func (p Promise) Due(ctx context.Context, q db.Querier, start time.Time) (time.Time, error) {
	hours, err := hoursOf(ctx, q, p.Calendar)
	return hours.Due(start, p.Target), err
}

// hoursOf returns the times of a calendar.
func hoursOf(ctx context.Context, q db.Querier, id int64) (*calendar.Times, error) {
	if id == 0 {
		return calendar.Always, nil
	}
	b, err := calendar.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	return b.Of(id), nil
}

// Arm starts a clock of kind k unless nothing is promised. A clock of the same
// kind that still runs is stopped first: there is one of each.
func Arm(ctx context.Context, a *action.Action, ticketID int64, k Kind, round int, p Promise, why string) error {
	if err := Stop(ctx, a, ticketID, why, k); err != nil {
		return err
	}
	if p.Target <= 0 {
		return nil
	}
	b, err := open(ctx, a, ticketID)
	if err != nil {
		return err
	}
	l, err := LadderFor(ctx, a, k, p.Policy)
	if err != nil {
		return err
	}
	hours, err := hoursOf(ctx, a, p.Calendar)
	if err != nil {
		return err
	}
	c := Clock{TicketID: ticketID, Kind: k, Round: round, StartedAt: a.Now, Ladder: l.ID, rungs: l.Steps}
	c.promise(p, hours)
	c.start(a.Now)
	err = a.Later(ctx, `
		INSERT INTO clocks (ticket_id, kind, round, state, policy, target, started_at, due_at, segment_at, next_at, ladder_id, policy_id, policy_version, calendar_id)
		VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		ticketID, string(k), round, p.Policy, c.Target.Microseconds(), db.Micros(c.StartedAt), db.Micros(c.DueAt), db.Micros(c.SegmentAt), db.Micros(c.NextAt), l.ID, p.PolicyID, p.Version, p.Calendar)
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
	err := a.Later(ctx, `UPDATE clock_segments SET ended_at = $1, end_reason = $2, used = $3 WHERE clock_id = $4 AND ended_at = 0`, a.NowMicros(), why, (c.UsedAt(a.Now) - c.Used).Microseconds(), c.ID)
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
		c.start(a.Now)
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

// Retarget gives the open clock of kind k another promise, keeping the time used
// (SLA-4); without one it ends, for it is no longer measured. Steps already
// fired do not fire again.
func Retarget(ctx context.Context, a *action.Action, ticketID int64, k Kind, p Promise, why string) error {
	changes := func(c Clock) bool { return c.Kind == k && !p.of(c) }
	b, err := known(ctx, a, ticketID, changes)
	if err != nil {
		return err
	}
	if p.Target <= 0 { // no longer measured
		if slices.ContainsFunc(b.clocks, changes) {
			return Stop(ctx, a, ticketID, why, k)
		}
		return nil
	}
	for i, c := range b.clocks {
		if !changes(c) {
			continue
		}
		hours, err := hoursOf(ctx, a, p.Calendar)
		if err != nil {
			return err
		}
		if b.clocks[i], err = change(ctx, a, c, p, hours, c.UsedAt(a.Now), time.Time{}, why); err != nil {
			return err
		}
	}
	return nil
}

// change gives c another promise, with the time it has used until now. due is
// when it falls due; zero: as the promise says.
func change(ctx context.Context, a *action.Action, c Clock, p Promise, hours *calendar.Times, used time.Duration, due time.Time, why string) (Clock, error) {
	same := c.Target == p.Target && c.Calendar == p.Calendar && used == c.UsedAt(a.Now) && due.IsZero()
	cut := c.State == Running && (c.Calendar != p.Calendar || used != c.UsedAt(a.Now))
	if cut { // what has passed was counted in another calendar
		if err := a.Later(ctx, `UPDATE clock_segments SET ended_at = $1, end_reason = $2, used = $3 WHERE clock_id = $4 AND ended_at = 0`, a.NowMicros(), why, (used - c.Used).Microseconds(), c.ID); err != nil {
			return c, fmt.Errorf("sla: segment of clock %d: %w", c.ID, err)
		}
		if err := a.Later(ctx, `INSERT INTO clock_segments (clock_id, started_at, start_reason) VALUES ($1, $2, $3)`, c.ID, a.NowMicros(), why); err != nil {
			return c, fmt.Errorf("sla: segment of clock %d: %w", c.ID, err)
		}
		c.Used, c.SegmentAt = used, a.Now
	}
	c.promise(p, hours)
	if c.State == Running && !same {
		if c.DueAt = due; due.IsZero() {
			c.DueAt = hours.Due(a.Now, c.Target-used)
		}
		c.NextAt = c.next()
	}
	if err := a.Later(ctx, `UPDATE clocks SET target = $1, due_at = $2, next_at = $3, policy = $4, policy_id = $5, policy_version = $6, calendar_id = $7, used = $8, segment_at = $9 WHERE id = $10`,
		c.Target.Microseconds(), db.Micros(c.DueAt), db.Micros(c.NextAt), c.Policy, c.PolicyID, c.PolicyVersion, c.Calendar, c.Used.Microseconds(), db.Micros(c.SegmentAt), c.ID); err != nil {
		return c, fmt.Errorf("sla: change clock %d: %w", c.ID, err)
	}
	return c, nil
}

// Recount counts the deadlines of a ticket's running clocks anew where past has
// the times of their calendar until now: what was used by these stays used. Kinds
// in fixed keep their deadline. It reports whether any changed.
func Recount(ctx context.Context, a *action.Action, ticketID int64, past map[int64]*calendar.Times, why string, fixed ...Kind) (changed bool, err error) {
	concerned := func(c Clock) bool {
		_, ok := past[c.Calendar]
		return ok && c.State == Running && !slices.Contains(fixed, c.Kind)
	}
	b, err := known(ctx, a, ticketID, concerned)
	if err != nil {
		return false, err
	}
	for i, c := range b.clocks {
		if !concerned(c) {
			continue
		}
		used := c.Used + past[c.Calendar].Elapsed(c.SegmentAt, a.Now)
		if c.hours.Due(a.Now, c.Target-used).Equal(c.DueAt) {
			continue
		}
		p := Promise{c.Target, c.Calendar, c.Policy, c.PolicyID, c.PolicyVersion}
		if b.clocks[i], err = change(ctx, a, c, p, c.hours, used, time.Time{}, why); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
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
