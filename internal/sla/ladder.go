package sla

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Who is told when a step fires; resolved at the moment of firing. Beside the
// constants it is a role ("role:3") or a person ("user:7").
type Who string

const (
	Assignee   Who = "assignee"
	Supervisor Who = "supervisor"
	Head       Who = "head"
	Duty       Who = "duty" // whose turn the roster says it is
	TheClient  Who = "customer"
)

// Whos are those without a name of their own, in the order they are offered.
var Whos = []Who{Assignee, Supervisor, Head, Duty, TheClient}

// RoleWho and UserWho are a role's holders and a person.
func RoleWho(id int64) Who { return Who("role:" + strconv.FormatInt(id, 10)) }
func UserWho(id int64) Who { return Who("user:" + strconv.FormatInt(id, 10)) }

// Named returns what w names: "role" or "user" and its id; ok is false for the
// others.
func (w Who) Named() (what string, id int64, ok bool) {
	what, n, ok := strings.Cut(string(w), ":")
	if !ok || what != "role" && what != "user" {
		return "", 0, false
	}
	id, err := strconv.ParseInt(n, 10, 64)
	return what, id, err == nil && id > 0
}

// Class is how loud a notice is.
type Class string

const (
	Normal Class = ""
	Loud   Class = "urgent" // through the instant channel as well
	Insist Class = "insist" // and louder until somebody says that he knows
)

// Classes in the order they are offered.
var Classes = []Class{Normal, Loud, Insist}

// Step is one rung of a clock's ladder.
type Step struct {
	Name    string `json:"name"` // warn, miss, escalate, remind, lapse, decide
	Percent int    `json:"percent"`
	Minutes int    `json:"minutes,omitempty"` // after that part of the target; negative: before
	Tell    []Who  `json:"tell,omitempty"`
	Class   Class  `json:"class,omitempty"`
	Every   int    `json:"every,omitempty"` // minutes until it is said again; 0: once
	Times   int    `json:"times,omitempty"` // how often it is said again at most; 0: until somebody knows
	Desk    bool   `json:"desk,omitempty"`  // lay the ticket on the supervisor's desk (escalation +1)
}

// offset is when the step fires, as used time of the clock.
func (s Step) offset(target time.Duration) time.Duration {
	return max(0, target*time.Duration(s.Percent)/100+time.Duration(s.Minutes)*time.Minute)
}

// Deadline reports whether the step stands at the deadline itself. Every ladder
// has one such step.
func (s Step) Deadline() bool { return s.Percent == 100 && s.Minutes == 0 }

// maxRepeats bounds what is said again until somebody knows.
const maxRepeats = 100

func (s Step) repeats() int {
	switch {
	case s.Every <= 0:
		return 0
	case s.Times > 0:
		return s.Times
	}
	return maxRepeats
}

// Ladders are those the product brings: what happens near and after each
// deadline. Steps in order of time.
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
		{Name: "miss", Percent: 100, Tell: []Who{Assignee, Supervisor}, Class: Loud},
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

// Ladder is what an administrator made of the steps of a kind of clock.
type Ladder struct {
	ID        int64 // 0: the one the product brings
	Kind      Kind
	Policy    string // name of the policy it is for; "" any
	Steps     []Step
	Current   bool
	By        string // who made it
	CreatedAt time.Time
}

// Laddered are the kinds of clocks that have a ladder, in the order shown.
var Laddered = append(slices.Clone(Kinds), Stage)

// steps are the rungs of the clock's ladder.
func (c Clock) steps() []Step {
	if c.rungs != nil {
		return c.rungs
	}
	return Ladders[c.Kind]
}

// at is when the clock, which runs, has used or will have used so much time: on
// the way to its deadline, or beyond it.
func (c Clock) at(used time.Duration) time.Time { return c.hours.Due(c.DueAt, used-c.Target) }

// rung is the used time at which step i fires: never before the step above it.
func (c Clock) rung(i int) (used time.Duration) {
	for _, s := range c.steps()[:i+1] {
		used = max(used, s.offset(c.Target))
	}
	return used
}

// upcoming is the used time of the next firing, and whether it says the last
// step again; ok is false when nothing more fires.
func (c Clock) upcoming() (used time.Duration, again, ok bool) {
	steps := c.steps()
	if c.Step < len(steps) {
		used, ok = c.rung(c.Step), true
	}
	if last := c.Step - 1; last >= 0 && last < len(steps) && c.KnownAt.IsZero() && c.Repeats < steps[last].repeats() {
		u := c.rung(last) + time.Duration(c.Repeats+1)*time.Duration(steps[last].Every)*time.Minute
		if !ok || u < used {
			return u, true, true
		}
	}
	return used, false, ok
}

// next is when the clock fires next; the zero time when it does not.
func (c Clock) next() time.Time {
	used, _, ok := c.upcoming()
	if !ok {
		return time.Time{}
	}
	return c.at(used)
}

// fire is c after its next firing at now, and the step that fires. What should
// have been said again several times while nobody swept is said once.
func (c Clock) fire(now time.Time) (after Clock, s Step, again bool) {
	_, again, _ = c.upcoming()
	after = c
	after.Fired++
	if again {
		s = c.steps()[c.Step-1]
		late := c.UsedAt(now) - c.rung(c.Step-1)
		after.Repeats = min(s.repeats(), max(c.Repeats+1, int(late/(time.Duration(s.Every)*time.Minute))))
	} else {
		s = c.steps()[c.Step]
		after.Step, after.Repeats = c.Step+1, 0
		if !c.KnownAt.IsZero() { // of the step before
			after.KnownAt = time.Time{}
		}
		after.Missed = c.Missed || s.offset(c.Target) >= c.Target
	}
	after.NextAt = after.next()
	return after, s, again
}

// rewind makes the steps fire again whose time is still to come.
func (c *Clock) rewind(used time.Duration) {
	for i := range c.steps() {
		if i < c.Step && c.rung(i) > used {
			c.Step, c.Repeats, c.KnownAt = i, 0, time.Time{}
			return
		}
	}
}

// laddersHeld holds the ladders between changes.
type laddersHeld struct{}

type ladders struct {
	byID    map[int64]Ladder
	current map[ladderKey]Ladder
}

type ladderKey struct {
	kind   Kind
	policy string
}

func held(ctx context.Context, q db.Querier) (ladders, error) {
	return db.Held(ctx, q, laddersHeld{}, func() (l ladders, err error) {
		l = ladders{map[int64]Ladder{}, map[ladderKey]Ladder{}}
		rows, err := q.Query(ctx, `SELECT id, kind, policy, steps, current, by_name, created_at FROM sla_ladders ORDER BY id`)
		if err != nil {
			return l, fmt.Errorf("sla: ladders: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var x Ladder
			var steps string
			var current, at int64
			if err := rows.Scan(&x.ID, (*string)(&x.Kind), &x.Policy, &steps, &current, &x.By, &at); err != nil {
				return l, fmt.Errorf("sla: ladders: %w", err)
			}
			if err := json.Unmarshal([]byte(steps), &x.Steps); err != nil {
				return l, fmt.Errorf("sla: ladder %d: %w", x.ID, err)
			}
			x.Current, x.CreatedAt = current == 1, db.FromMicros(at)
			l.byID[x.ID] = x
			if x.Current {
				l.current[ladderKey{x.Kind, x.Policy}] = x
			}
		}
		return l, rows.Err()
	})
}

// of is the ladder a clock of kind k that begins now under the policy climbs.
func (l ladders) of(k Kind, policy string) Ladder {
	for _, key := range [2]ladderKey{{k, policy}, {k, ""}} {
		if x, ok := l.current[key]; ok {
			return x
		}
	}
	return Ladder{Kind: k, Steps: Ladders[k], Current: true}
}

// climb gives each clock its calendar and the rungs of its ladder.
func climb(ctx context.Context, q db.Querier, cs []Clock) error {
	if slices.ContainsFunc(cs, func(c Clock) bool { return c.Calendar != 0 }) {
		b, err := calendar.Load(ctx, q)
		if err != nil {
			return err
		}
		for i, c := range cs {
			if c.Calendar != 0 {
				cs[i].hours = b.Of(c.Calendar)
			}
		}
	}
	if !slices.ContainsFunc(cs, func(c Clock) bool { return c.Ladder != 0 }) {
		return nil
	}
	l, err := held(ctx, q)
	if err != nil {
		return err
	}
	for i, c := range cs {
		if x, ok := l.byID[c.Ladder]; ok {
			cs[i].rungs = x.Steps
		}
	}
	return nil
}

// LadderFor returns the ladder that a clock of kind k beginning now under the
// policy would climb: its own, else that of the kind, else the product's.
func LadderFor(ctx context.Context, q db.Querier, k Kind, policy string) (Ladder, error) {
	l, err := held(ctx, q)
	return l.of(k, policy), err
}

// CurrentLadders returns the ladders in force: of every kind one for any policy,
// and those made for one policy behind it.
func CurrentLadders(ctx context.Context, q db.Querier) (out []Ladder, err error) {
	l, err := held(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, k := range Laddered {
		out = append(out, l.of(k, ""))
		own := len(out)
		for key, x := range l.current {
			if key.kind == k && key.policy != "" {
				out = append(out, x)
			}
		}
		slices.SortFunc(out[own:], func(a, b Ladder) int { return strings.Compare(a.Policy, b.Policy) })
	}
	return out, nil
}

// PermLadder changes what happens near and after deadlines.
const PermLadder authz.Permission = "sla.ladder"

// Facts of ladders.
const (
	LadderChanged = "sla.ladder_changed"
	LadderRemoved = "sla.ladder_removed"
	SubjectLadder = "sla_ladder"
)

func init() {
	authz.Register(authz.Def{Permission: PermLadder, Area: "ticket", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}})
}

// Bounds of a ladder.
const (
	maxSteps   = 12
	maxPercent = 1000
	maxMinutes = 30 * 24 * 60
)

// Named after what stands at the deadline itself.
var deadlineNames = map[Kind]string{CustomerReply: "decide", Confirmation: "lapse"}

// normal gives each step the name that says what it is, and puts steps without a
// part of the target at the deadline.
func (l *Ladder) normal() {
	for i := range l.Steps {
		s := &l.Steps[i]
		switch {
		case s.Deadline():
			s.Name = "miss"
			if n := deadlineNames[l.Kind]; n != "" {
				s.Name = n
			}
		case s.Percent > 100 || s.Percent == 100 && s.Minutes > 0:
			s.Name = "escalate"
		case slices.Contains(s.Tell, TheClient) || l.Kind == Acknowledge || l.Kind == CustomerReply || l.Kind == Confirmation:
			s.Name = "remind"
		default:
			s.Name = "warn"
		}
		if s.Every == 0 {
			s.Times = 0
		}
	}
}

// check reports what is wrong with a ladder, each at the field of its step, from
// 1: percent.1, tell.2.
func (l Ladder) check() error {
	e := fault.Invalidf("sla.ladder.invalid")
	if !slices.Contains(Laddered, l.Kind) {
		return fault.Invalidf("sla.ladder.kind").Field("kind", "sla.ladder.kind")
	}
	if len(l.Steps) == 0 || len(l.Steps) > maxSteps {
		return fault.Invalidf("sla.ladder.count", maxSteps)
	}
	deadlines := 0
	for i, s := range l.Steps {
		n := strconv.Itoa(i + 1)
		if s.Percent < 0 || s.Percent > maxPercent {
			e.Field("percent."+n, "sla.ladder.percent", maxPercent)
		}
		if s.Minutes < -maxMinutes || s.Minutes > maxMinutes {
			e.Field("minutes."+n, "sla.ladder.minutes", maxMinutes)
		}
		if s.Deadline() {
			deadlines++
		}
		if i > 0 && (s.Percent < l.Steps[i-1].Percent || s.Percent == l.Steps[i-1].Percent && s.Minutes <= l.Steps[i-1].Minutes) {
			e.Field("percent."+n, "sla.ladder.order")
		}
		if s.Every < 0 || s.Every > maxMinutes || s.Every > 0 && s.Every < 5 {
			e.Field("every."+n, "sla.ladder.every")
		}
		if s.Times < 0 || s.Times > maxRepeats {
			e.Field("times."+n, "sla.ladder.times", maxRepeats)
		}
		if !slices.Contains(Classes, s.Class) {
			e.Field("class."+n, "sla.ladder.class")
		}
		if s.Every > 0 && slices.Contains(s.Tell, TheClient) && s.Times == 0 {
			e.Field("times."+n, "sla.ladder.customer_times")
		}
		if len(s.Tell) == 0 && !s.Desk && !s.Deadline() {
			e.Field("tell."+n, "sla.ladder.nobody")
		}
		for _, w := range s.Tell {
			if _, _, ok := w.Named(); !ok && !slices.Contains(Whos, w) {
				e.Field("tell."+n, "sla.ladder.who")
			}
		}
	}
	if deadlines != 1 {
		e.Field("percent.1", "sla.ladder.deadline")
	}
	return e.OrNil()
}

// SetLadder replaces the ladder of a kind of clock, for one policy (by name) or
// for any. Clocks that run keep theirs; see [Service.Rehang].
func (s *Service) SetLadder(ctx context.Context, actor authz.Actor, l Ladder) (id int64, err error) {
	if err := actor.Check(PermLadder); err != nil {
		return 0, err
	}
	l.normal()
	if err := l.check(); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "sla.set_ladder", func(ctx context.Context, a *action.Action) error {
		h, err := held(ctx, a)
		if err != nil {
			return err
		}
		before, is := h.current[ladderKey{l.Kind, l.Policy}]
		if !is {
			before = h.of(l.Kind, "")
		}
		raw, err := json.Marshal(l.Steps)
		if err != nil {
			return err
		}
		old, err := json.Marshal(before.Steps)
		if err != nil {
			return err
		}
		if string(raw) == string(old) && (is || l.Policy == "") {
			id = before.ID
			a.Nothing()
			return nil
		}
		a.Drop(laddersHeld{})
		if err := retire(ctx, a, l.Kind, l.Policy); err != nil {
			return err
		}
		if err := a.QueryRow(ctx, `INSERT INTO sla_ladders (kind, policy, steps, current, by_name, created_at) VALUES ($1, $2, $3, 1, $4, $5) RETURNING id`,
			string(l.Kind), l.Policy, string(raw), actor.Name, a.NowMicros()).Scan(&id); err != nil {
			return fmt.Errorf("sla: ladder: %w", err)
		}
		a.Record(event.Event{Kind: LadderChanged, Subject: event.Subject{Type: SubjectLadder, ID: id},
			Data: ladderFact{Args: []string{"@sla.clock." + string(l.Kind)}, Policy: l.Policy, Changes: []event.Change{{Field: "ladder", Old: string(old), New: string(raw)}}}})
		return nil
	})
	return id, err
}

type ladderFact struct {
	Args    []string       `json:"args"`
	Policy  string         `json:"policy,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}

func retire(ctx context.Context, a *action.Action, k Kind, policy string) error {
	if _, err := a.Exec(ctx, `UPDATE sla_ladders SET current = 0 WHERE kind = $1 AND policy = $2 AND current = 1`, string(k), policy); err != nil {
		return fmt.Errorf("sla: ladder: %w", err)
	}
	return nil
}

// RemoveLadder gives a kind of clock the product's own ladder again, or one
// policy that of the kind.
func (s *Service) RemoveLadder(ctx context.Context, actor authz.Actor, k Kind, policy string) error {
	if err := actor.Check(PermLadder); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "sla.remove_ladder", func(ctx context.Context, a *action.Action) error {
		h, err := held(ctx, a)
		if err != nil {
			return err
		}
		old, ok := h.current[ladderKey{k, policy}]
		if !ok {
			a.Nothing()
			return nil
		}
		a.Drop(laddersHeld{})
		if err := retire(ctx, a, k, policy); err != nil {
			return err
		}
		raw, err := json.Marshal(old.Steps)
		if err != nil {
			return err
		}
		a.Record(event.Event{Kind: LadderRemoved, Subject: event.Subject{Type: SubjectLadder, ID: old.ID},
			Data: ladderFact{Args: []string{"@sla.clock." + string(k)}, Policy: policy, Changes: []event.Change{{Field: "ladder", Old: string(raw)}}}})
		return nil
	})
}

// RenamePolicy keeps the ladders made for a policy with it when its name changes.
func RenamePolicy(ctx context.Context, tx *db.Tx, old, name string) error {
	if old == "" || old == name {
		return nil
	}
	tx.Drop(laddersHeld{})
	if _, err := tx.Exec(ctx, `UPDATE sla_ladders SET policy = $1 WHERE policy = $2`, name, old); err != nil {
		return fmt.Errorf("sla: ladders of policy %q: %w", old, err)
	}
	return nil
}

// rehangBatch is how many clocks change their ladder in one transaction.
const rehangBatch = 200

// Rehang gives up to limit clocks that still wait, and climb another ladder than
// the one in force, that one. The time used is kept; what should have happened
// before that time is not made up for. It reports how many; call it until that
// is 0.
func (s *Service) Rehang(ctx context.Context, actor authz.Actor, k Kind, limit int) (n int, err error) {
	if err := actor.Check(PermLadder); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "sla.rehang", func(ctx context.Context, a *action.Action) error {
		n = 0
		a.Nothing()
		h, err := held(ctx, a)
		if err != nil {
			return err
		}
		policies := []string{""}
		for key := range h.current {
			if key.kind == k && key.policy != "" {
				policies = append(policies, key.policy)
			}
		}
		slices.Sort(policies)
		for _, p := range policies {
			l := h.of(k, p)
			var args db.Args
			where := "kind = " + args.Add(string(k)) + " AND state IN ('running', 'paused') AND ladder_id <> " + args.Add(l.ID)
			if p != "" {
				where += " AND policy = " + args.Add(p)
			} else {
				for _, other := range policies[1:] {
					where += " AND policy <> " + args.Add(other)
				}
			}
			cs, err := list(ctx, a, where+" ORDER BY id LIMIT "+strconv.Itoa(max(1, min(limit-n, rehangBatch)))+a.ForUpdate(), args.Values...)
			if err != nil {
				return err
			}
			for _, c := range cs {
				c.Ladder, c.rungs, c.Repeats, c.KnownAt = l.ID, l.Steps, 0, time.Time{}
				used := c.UsedAt(a.Now)
				for c.Step = 0; c.Step < len(l.Steps) && c.rung(c.Step) <= used; c.Step++ {
				}
				c.Repeats = maxRepeats // what was said before the change is not said again
				next := int64(0)
				if c.State == Running {
					next = db.Micros(c.next())
				}
				if _, err := a.Exec(ctx, `UPDATE clocks SET ladder_id = $1, step = $2, repeats = $3, known_at = 0, next_at = $4 WHERE id = $5`, l.ID, c.Step, c.Repeats, next, c.ID); err != nil {
					return fmt.Errorf("sla: rehang clock %d: %w", c.ID, err)
				}
				forget(a, c.TicketID)
			}
			if n += len(cs); n >= limit {
				return nil
			}
		}
		return nil
	})
	return n, err
}

// Silence notes that somebody knows of what the open clocks of a ticket have
// said: nothing of it is said again. Later steps fire. It reports which clocks
// had gone on saying it.
func Silence(ctx context.Context, a *action.Action, ticketID int64) (out []Clock, err error) {
	cs, err := Open(ctx, a, ticketID)
	if err != nil {
		return nil, err
	}
	defer forget(a, ticketID)
	for _, c := range cs {
		if !c.Insisting() {
			continue
		}
		c.KnownAt = a.Now
		next := int64(0)
		if c.State == Running {
			next = db.Micros(c.next())
		}
		if _, err := a.Exec(ctx, `UPDATE clocks SET known_at = $1, next_at = $2 WHERE id = $3`, a.NowMicros(), next, c.ID); err != nil {
			return nil, fmt.Errorf("sla: silence clock %d: %w", c.ID, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Insisting reports whether the clock goes on saying its last step, or said it
// loudly, until somebody says that he knows.
func (c Clock) Insisting() bool {
	steps := c.steps()
	i := c.Step - 1
	return i >= 0 && i < len(steps) && c.KnownAt.IsZero() && (steps[i].Class == Insist || c.Repeats < steps[i].repeats())
}

// InsistingOf returns which of the tickets have a clock that insists.
func InsistingOf(ctx context.Context, q db.Querier, tickets []int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	return out, db.EachIn(tickets, func(in string, args []any) error {
		cs, err := list(ctx, q, "ticket_id IN ("+in+") AND state IN ('running', 'paused') AND known_at = 0 AND step > 0 ORDER BY id", args...)
		for _, c := range cs {
			if c.Insisting() {
				out[c.TicketID] = true
			}
		}
		return err
	})
}

// Firing is one time a clock spoke.
type Firing struct {
	Name    string // of the step
	Again   int    // which repetition; 0: the step itself
	At, Due time.Time
	Told    Told
}

// Told is whom a firing reached, as it was then.
type Told struct {
	Users   []int64 `json:"users,omitempty"`
	Instead []Swap  `json:"instead,omitempty"` // who was away, and who was told in his place
	Client  bool    `json:"client,omitempty"`  // the customer as well
	Class   Class   `json:"class,omitempty"`
	Desk    int64   `json:"desk,omitempty"` // on whose desk the ticket was laid
}

// Swap is somebody away and his stand-in.
type Swap struct {
	Away int64 `json:"away"`
	By   int64 `json:"by"` // 0: there was nobody
}

// FiringsOf returns what the clocks have said, oldest first, by clock.
func FiringsOf(ctx context.Context, q db.Querier, ticketID int64) (map[int64][]Firing, error) {
	rows, err := q.Query(ctx, `SELECT f.clock_id, f.name, f.repeat_no, f.due_at, f.fired_at, f.told FROM clock_firings f JOIN clocks c ON c.id = f.clock_id
		WHERE c.ticket_id = $1 ORDER BY f.clock_id, f.step`, ticketID)
	if err != nil {
		return nil, fmt.Errorf("sla: firings: %w", err)
	}
	defer rows.Close()
	out := map[int64][]Firing{}
	for rows.Next() {
		var f Firing
		var id, due, at int64
		var told string
		if err := rows.Scan(&id, &f.Name, &f.Again, &due, &at, &told); err != nil {
			return nil, fmt.Errorf("sla: firings: %w", err)
		}
		if told != "" {
			if err := json.Unmarshal([]byte(told), &f.Told); err != nil {
				return nil, fmt.Errorf("sla: firing of clock %d: %w", id, err)
			}
		}
		f.Due, f.At = db.FromMicros(due), db.FromMicros(at)
		out[id] = append(out[id], f)
	}
	return out, rows.Err()
}

// Ahead is a firing still to come, if the clock runs on.
type Ahead struct {
	Step Step
	At   time.Time
	Used time.Duration
}

// Ahead returns what the clock has still to say, in order of time; repetitions
// are told by the step itself. Of a paused clock At is zero.
func (c Clock) Ahead() (out []Ahead) {
	if c.State != Running && c.State != Paused {
		return nil
	}
	for i := c.Step; i < len(c.steps()); i++ {
		x := Ahead{Step: c.steps()[i], Used: c.rung(i)}
		if c.State == Running {
			x.At = c.at(x.Used)
		}
		out = append(out, x)
	}
	return out
}

// Preview is the clock of kind k that a ticket of the policy would get at start:
// in its calendar, under its ladder. ok is false when it is not measured.
func Preview(ctx context.Context, q db.Querier, k Kind, p Policy, start time.Time) (c Clock, ok bool, err error) {
	if p.Target(k) <= 0 {
		return c, false, nil
	}
	l, err := LadderFor(ctx, q, k, p.Name)
	if err != nil {
		return c, false, err
	}
	hours, err := hoursOf(ctx, q, p.CalendarOf(k))
	if err != nil {
		return c, false, err
	}
	c = Clock{Kind: k, StartedAt: start, Ladder: l.ID, rungs: l.Steps}
	c.promise(p.For(k), hours)
	c.start(start)
	return c, true, nil
}

// Foreseen is one time a clock would speak.
type Foreseen struct {
	Step  Step
	Again int // which repetition; 0: the step itself
	At    time.Time
}

// Foresee plays the clock on as if nothing happened to its ticket and nobody said
// that he knows: every firing there would be, at most limit.
func (c Clock) Foresee(limit int) (out []Foreseen) {
	for c.State == Running && !c.NextAt.IsZero() && len(out) < limit {
		at := c.NextAt
		after, s, again := c.fire(at)
		f := Foreseen{Step: s, At: at}
		if again {
			f.Again = after.Repeats
		}
		out, c = append(out, f), after
	}
	return out
}

// When says in l when the step comes: "at the deadline", "30 minutes before".
func (s Step) When(l i18n.Lang) string {
	minutes := func(n int) string { return i18n.Duration(l, time.Duration(n)*time.Minute) }
	switch {
	case s.Deadline():
		return i18n.T(l, "sla.when.deadline")
	case s.Percent == 100 && s.Minutes < 0:
		return i18n.T(l, "sla.when.before", minutes(-s.Minutes))
	case s.Percent == 100:
		return i18n.T(l, "sla.when.after", minutes(s.Minutes))
	case s.Percent == 0:
		return i18n.T(l, "sla.when.start", minutes(s.Minutes))
	case s.Minutes == 0 && s.Percent > 100:
		return i18n.T(l, "sla.when.over", s.Percent-100)
	case s.Minutes == 0:
		return i18n.T(l, "sla.when.used", s.Percent)
	case s.Minutes < 0:
		return i18n.T(l, "sla.when.used_less", s.Percent, minutes(-s.Minutes))
	}
	return i18n.T(l, "sla.when.used_more", s.Percent, minutes(s.Minutes))
}

// Whom says in l who is told; names says the name of "role" or "user" and id.
func (s Step) Whom(l i18n.Lang, names func(what string, id int64) string) string {
	var out []string
	for _, w := range s.Tell {
		if what, id, ok := w.Named(); ok {
			out = append(out, names(what, id))
		} else {
			out = append(out, i18n.T(l, "sla.who."+string(w)))
		}
	}
	return strings.Join(out, i18n.T(l, "ticket.list.comma"))
}

// How says in l what else the step does: how loud, how often, the desk; "" when
// there is nothing to say.
func (s Step) How(l i18n.Lang) string {
	var out []string
	if s.Class != Normal {
		out = append(out, i18n.T(l, "sla.class."+string(s.Class)))
	}
	switch {
	case s.Every > 0 && s.Times > 0:
		out = append(out, i18n.T(l, "sla.how.times", s.Every, s.Times))
	case s.Every > 0:
		out = append(out, i18n.T(l, "sla.how.until", s.Every))
	}
	if s.Desk {
		out = append(out, i18n.T(l, "sla.how.desk"))
	}
	if s.Name == "lapse" {
		out = append(out, i18n.T(l, "sla.how.lapse"))
	}
	return strings.Join(out, i18n.T(l, "ticket.list.comma"))
}
