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
	"bihuan/internal/fault"
)

// Fired is a step of a clock that fires.
type Fired struct {
	Clock Clock // as it was before
	Step  Step
	Again bool // it was said before, and nobody has said that he knows
	Told  Told // what came of it: filled in by the handler
}

// Handler does, inside the transaction of the firing, what steps say: one of
// each ticket at most.
type Handler func(ctx context.Context, a *action.Action, fs []*Fired) error

// Service keeps clocks and fires them.
type Service struct {
	run    *action.Runner
	handle Handler
	lock   func(ctx context.Context, a *action.Action, tickets []int64) error

	sweeping sync.Mutex
	failed   map[int64]failure // by clock
	batch    int               // how many clocks fire in the next transaction
	about    About
	wake     chan struct{} // the store is back: what was due meanwhile fires now
}

// New returns the service; see OnFire.
func New(run *action.Runner) *Service {
	s := &Service{run: run, failed: map[int64]failure{}, batch: batchFirst, wake: make(chan struct{}, 1)}
	run.DB().OnBack(func() {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	})
	return s
}

// OnFire sets who is told of firings; before the first Sweep.
func (s *Service) OnFire(h Handler) { s.handle = h }

// LockFirst sets what locks the tickets of the clocks about to be fired, before
// the clocks themselves: a move takes them in that order, and with the other one
// the two would wait for each other. Before the first Sweep.
func (s *Service) LockFirst(f func(ctx context.Context, a *action.Action, tickets []int64) error) {
	s.lock = f
}

const (
	// How many clocks fire in one transaction: on SQLite everybody who writes waits
	// for it, so that there are as many as fit into [holdMost].
	batchFirst = 32
	batchLeast = 8
	batchMost  = 256
	holdMost   = 10 * time.Millisecond
	// lookAhead is how many are looked up at once.
	lookAhead = 512
	// rest bounds how long a sweep with more to do leaves the machine to others.
	rest = 10 * time.Millisecond
	// TimerName is the actor of firings in the audit trail.
	TimerName = "sla timer"
)

// due is a clock whose next step is due.
type due struct{ id, ticket int64 }

// due returns at most limit clocks whose next step is due, in the order of their
// times.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]due, error) {
	rows, err := s.run.DB().Read().Query(ctx, `SELECT id, ticket_id FROM clocks WHERE state = 'running' AND next_at > 0 AND next_at <= $1 ORDER BY next_at, id LIMIT `+strconv.Itoa(limit), db.Micros(now))
	if err != nil {
		return nil, fmt.Errorf("sla: due: %w", err)
	}
	defer rows.Close()
	var out []due
	for rows.Next() {
		var d due
		if err := rows.Scan(&d.id, &d.ticket); err != nil {
			return nil, fmt.Errorf("sla: due: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Sweep fires every step that is due, in the order of their times, and reports
// how many. It costs one index look-up when nothing is due. A clock that cannot
// be fired holds up no other; it is tried again later and later.
func (s *Service) Sweep(ctx context.Context) (fired int, err error) { return s.sweep(ctx, false) }

// sweep is Sweep; a gentle one leaves between two transactions about half as much
// time to others as it took for itself, so that pages stay quick while a hundred
// thousand deadlines fire.
func (s *Service) sweep(ctx context.Context, gentle bool) (fired int, err error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	var errs []error
	clk := s.run.DB().Clock()
	for {
		now := clk.Now()
		limit := lookAhead * (1 + (s.putOff(now)+lookAhead-1)/lookAhead) // few different statements
		all, err := s.due(ctx, now, limit)
		if err != nil {
			return fired, errors.Join(append(errs, err)...)
		}
		all = slices.DeleteFunc(all, func(d due) bool { return s.failed[d.id].until.After(now) })
		if len(all) == 0 {
			return fired, errors.Join(errs...)
		}
		some := 0
		for len(all) > 0 {
			if err := ctx.Err(); err != nil {
				return fired, errors.Join(append(errs, err)...)
			}
			part := all[:min(len(all), s.batch)]
			all = all[len(part):]
			began := clk.Now()
			n, err := s.fire(ctx, part)
			if fault.Is(err, fault.Unavailable) {
				return fired, errors.Join(append(errs, err)...) // the store is away: none of them is to blame
			}
			if err != nil {
				n = 0
				for _, d := range part {
					m, err := s.fire(ctx, []due{d})
					n += m
					if fault.Is(err, fault.Unavailable) {
						return fired + n, errors.Join(append(errs, err)...)
					}
					if err != nil {
						f := s.failed[d.id]
						f.until, f.wait = now.Add(max(f.wait, retryFirst)), min(max(2*f.wait, 2*retryFirst), retryMax)
						s.failed[d.id] = f
						errs = append(errs, fmt.Errorf("sla: clock %d of ticket %d: %w", d.id, d.ticket, err))
					} else {
						delete(s.failed, d.id)
					}
				}
				some += len(part) // they were looked at
			}
			fired, some = fired+n, some+n
			if len(errs) >= maxFailures {
				return fired, errors.Join(errs...) // something is wrong with all of them
			}
			if gentle && len(all) > 0 {
				select {
				case <-ctx.Done():
				case <-clk.After(min(clk.Now().Sub(began)/2, rest)):
				}
			}
		}
		if some == 0 {
			return fired, errors.Join(errs...) // another node was faster
		}
	}
}

// weight is about how many plain steps a step costs.
func (s Step) weight() int {
	switch {
	case s.Name == "lapse": // a move of its own
		return 16
	case slices.Contains(s.Tell, TheClient):
		return 4
	}
	return 1
}

// adapt makes the next batch one that holds the store as long as it may, after
// one of n clocks that held it for took.
func (s *Service) adapt(n int, took time.Duration) {
	switch {
	case took > holdMost:
		s.batch = max(batchLeast, s.batch/2)
	case n == s.batch && took < holdMost*2/5:
		s.batch = min(batchMost, s.batch*2)
	}
}

// How long a clock that could not be fired is left alone; its time is promised
// to 5 s, so that what passes at once passes in time.
const (
	retryFirst = 2 * time.Second
	retryMax   = 5 * time.Minute
	// maxFailures bounds what one sweep spends on clocks that fail.
	maxFailures = 256
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

// fire lets the next step of each clock speak, once: whoever else had the same
// idea finds the clock further on, and the row of a firing is unique. Of several
// clocks of one ticket the first is fired; a step may stop the others.
func (s *Service) fire(ctx context.Context, all []due) (fired int, err error) {
	err = s.run.Do(ctx, authz.System(TimerName), "sla.fire", func(ctx context.Context, a *action.Action) error {
		fired = 0
		a.Nothing()
		defer func() { s.adapt(len(all), s.run.DB().Clock().Now().Sub(a.Now)) }()
		tickets := make([]int64, 0, len(all))
		books := make(map[int64]*book, len(all))
		rank := make(map[int64]int, len(all))
		for i, d := range all {
			if books[d.ticket] == nil {
				books[d.ticket] = &book{}
				tickets = append(tickets, d.ticket)
				rank[d.id] = i
			}
		}
		if s.lock != nil {
			if err := s.lock(ctx, a, tickets); err != nil {
				return err
			}
		}
		// All open clocks of the tickets: a move that a step makes asks for them.
		var open []Clock
		if err := db.EachIn(tickets, func(in string, args []any) error {
			cs, err := list(ctx, a, "ticket_id IN ("+in+") AND state IN ('running', 'paused') ORDER BY id"+a.ForUpdate(), args...)
			open = append(open, cs...)
			return err
		}); err != nil {
			return err
		}
		for t, b := range books {
			a.Keep(bookOf(t), b)
		}
		var fs []*Fired
		var changed []any
		var after []Clock
		weight := 0 // what is too much is left for the next transaction
		for _, c := range open {
			_, mine := rank[c.ID]
			_, _, more := c.upcoming()
			if mine && more && c.State == Running && !c.NextAt.IsZero() && !c.NextAt.After(a.Now) && weight < s.batch {
				now, step, again := c.fire(a.Now)
				weight += step.weight()
				fs = append(fs, &Fired{Clock: c, Step: step, Again: again})
				after = append(after, now)
				changed = append(changed, c.ID, now.Step, now.Repeats, now.Fired, db.Micros(now.KnownAt), db.Micros(now.NextAt), db.Bool(now.Missed))
				c = now
			}
			books[c.TicketID].clocks = append(books[c.TicketID].clocks, c)
		}
		if len(fs) == 0 {
			return nil // met, paused or fired meanwhile
		}
		big := []string{"BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "SMALLINT"}
		if err := a.UpdateMany(ctx, `UPDATE clocks SET step = v.column2, repeats = v.column3, fired = v.column4, known_at = v.column5, next_at = v.column6, missed = v.column7`,
			"clocks.id = v.column1", big, changed); err != nil {
			return fmt.Errorf("sla: fire %d clocks: %w", len(fs), err)
		}
		order := make([]*Fired, len(fs))
		copy(order, fs)
		slices.SortFunc(order, func(x, y *Fired) int { return rank[x.Clock.ID] - rank[y.Clock.ID] })
		if s.handle != nil {
			if err := s.handle(ctx, a, order); err != nil {
				return err
			}
		}
		const width = 8
		rows := make([]any, 0, len(fs)*width)
		for i, f := range fs {
			told, err := json.Marshal(f.Told)
			if err != nil {
				return err
			}
			rung, again := after[i].Step-1, 0
			if f.Again {
				again = after[i].Repeats
			}
			rows = append(rows, f.Clock.ID, f.Clock.Fired, db.Micros(f.Clock.NextAt), a.NowMicros(), rung, again, f.Step.Name, string(told))
		}
		if err := a.InsertMany(ctx, `INSERT INTO clock_firings (clock_id, step, due_at, fired_at, rung, repeat_no, name, told)`, "", width, rows); err != nil {
			return fmt.Errorf("sla: fire %d clocks: %w", len(fs), err)
		}
		fired = len(fs)
		return nil
	})
	return fired, err
}

// sweepEvery keeps firings within the promised 5 s of their time.
const sweepEvery = time.Second

// Run sweeps until ctx ends; onError may be nil.
func (s *Service) Run(ctx context.Context, onError func(error)) {
	for {
		if _, err := s.sweep(ctx, true); err != nil && ctx.Err() == nil && onError != nil && !fault.Is(err, fault.Unavailable) {
			onError(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-s.run.DB().Clock().After(sweepEvery):
		}
	}
}
