package sla

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Case is what of a ticket decides its policy. The fields are those of
// [Fields].
type Case struct {
	Type, Class, Urgency, Priority, Level, Channel string
	Customer, Department                           int64
}

// Fields are what a condition may be about, in the order they are asked; named
// sla.field.<field>.
var Fields = []string{"type", "class", "urgency", "priority", "level", "channel", "department", "customer"}

func (c Case) value(field string) string {
	switch field {
	case "type":
		return c.Type
	case "class":
		return c.Class
	case "urgency":
		return c.Urgency
	case "priority":
		return c.Priority
	case "level":
		return c.Level
	case "channel":
		return c.Channel
	case "department":
		return strconv.FormatInt(c.Department, 10)
	case "customer":
		return strconv.FormatInt(c.Customer, 10)
	}
	return ""
}

// Conditions are field -> the values any of which it must have; a field that is
// missing may have any.
type Conditions map[string][]string

// Missed returns the first field c does not fit by; "" when it fits.
func (cs Conditions) Missed(c Case) string {
	for _, f := range Fields {
		if vs := cs[f]; len(vs) > 0 && !slices.Contains(vs, c.value(f)) {
			return f
		}
	}
	return ""
}

// Policy is a set of promised times (SLA-1).
type Policy struct {
	ID               int64          `json:"id"`
	Name             string         `json:"name"`           // as the administrator wrote it
	Rest             bool           `json:"rest,omitempty"` // for whatever no other is for; has no conditions and stands last
	Active           bool           `json:"active"`
	When             Conditions     `json:"when,omitempty"`
	Targets          map[Kind]int   `json:"targets"`             // minutes; a kind that is missing is not measured
	Calendars        map[Kind]int64 `json:"calendars,omitempty"` // a kind that is missing has that of ""; 0 is 7x24
	PauseWhenWaiting bool           `json:"pause_when_waiting"`
	Version          int64          `json:"version"`
}

// Target returns the promised time for k; 0 when it is not measured.
func (p Policy) Target(k Kind) time.Duration { return time.Duration(p.Targets[k]) * time.Minute }

// CalendarOf is the calendar in which k is counted; 0 is 7x24.
func (p Policy) CalendarOf(k Kind) int64 {
	if id, ok := p.Calendars[k]; ok {
		return id
	}
	return p.Calendars[""]
}

// For is the promise of a clock of kind k.
func (p Policy) For(k Kind) Promise {
	return Promise{p.Target(k), p.CalendarOf(k), p.Name, p.ID, p.Version}
}

func defaults(first, resolution int) map[Kind]int {
	return map[Kind]int{FirstResponse: first * 60, Acknowledge: 120, Update: 24 * 60, Resolution: resolution * 60,
		CustomerReply: 72 * 60, Confirmation: 72 * 60, FollowUp: 24 * 60}
}

// Defaults are the policies of a fresh install, from the manuals' table, in the
// order they are tried; the one in force for whatever is left comes last.
func Defaults() []Policy {
	urgent := defaults(2, 24)
	urgent[Urgent] = 30
	return []Policy{
		{Name: "紧急工单", When: Conditions{"urgency": {"urgent"}}, Targets: urgent, PauseWhenWaiting: true, Active: true},
		{Name: "低优先工单", When: Conditions{"urgency": {"low"}}, Targets: defaults(72, 120), PauseWhenWaiting: true, Active: true},
		{Name: "一般工单", Rest: true, Targets: defaults(24, 48), PauseWhenWaiting: true, Active: true},
	}
}

var builtIn = Defaults()

// inBusiness puts the defaults into the company's calendars: what is urgent runs
// around the clock, everything else in working time. Hours that stand for days
// (24 h: by tomorrow) run through whole working days, the two hours of taking a
// ticket up in office hours. The three days a customer has are working days
// whatever the ticket.
func inBusiness(b *calendar.Book, ps []Policy) {
	office := b.DefaultID()
	days := office
	for _, c := range b.All() {
		if c.Active && c.Name == calendar.WholeDays().Name {
			days = c.ID
		}
	}
	for i, p := range ps {
		ps[i].Calendars = map[Kind]int64{"": days, Acknowledge: office}
		if slices.Equal(p.When["urgency"], []string{"urgent"}) {
			ps[i].Calendars = map[Kind]int64{"": 0, Confirmation: days}
		}
	}
}

// Seed stores the default calendars and policies where there are none.
func Seed(ctx context.Context, a *action.Action) error {
	if err := calendar.Seed(ctx, a); err != nil {
		return err
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM service_policies`).Scan(&n); err != nil || n > 0 {
		return err
	}
	b, err := calendar.Load(ctx, a)
	if err != nil {
		return err
	}
	ps := Defaults()
	inBusiness(b, ps)
	for _, p := range ps {
		if _, err := Save(ctx, a, p, false); err != nil {
			return err
		}
	}
	a.Record(event.Event{Kind: "sla.policies_seeded", Subject: event.Subject{Type: "sla_policy"}})
	return nil
}

// Save stores a policy that the caller has checked; ID 0 adds one before the
// last. It keeps what it said in each version. The id is 0 when it was changed by
// somebody else meanwhile.
func Save(ctx context.Context, a *action.Action, p Policy, applied bool) (id int64, err error) {
	when, err := json.Marshal(p.When)
	if err != nil {
		return 0, err
	}
	targets, err := json.Marshal(p.Targets)
	if err != nil {
		return 0, err
	}
	calendars, err := json.Marshal(p.Calendars)
	if err != nil {
		return 0, err
	}
	if p.When == nil {
		when = []byte("{}")
	}
	if p.Calendars == nil {
		calendars = []byte("{}")
	}
	if p.ID == 0 {
		p.Version = 1
		err = a.QueryRow(ctx, `
			INSERT INTO service_policies (name, rest, active, position, conditions, targets, calendars, pause_when_waiting)
			SELECT CAST($1 AS TEXT), $2, $3, COALESCE((SELECT MAX(position) FROM service_policies WHERE rest = 0), 0) + 1, CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), $7 RETURNING id`,
			p.Name, db.Bool(p.Rest), db.Bool(p.Active), string(when), string(targets), string(calendars), db.Bool(p.PauseWhenWaiting)).Scan(&p.ID)
	} else {
		res, uerr := a.Exec(ctx, `
			UPDATE service_policies SET name = $1, active = $2, conditions = $3, targets = $4, calendars = $5, pause_when_waiting = $6, version = version + 1 WHERE id = $7 AND version = $8`,
			p.Name, db.Bool(p.Active), string(when), string(targets), string(calendars), db.Bool(p.PauseWhenWaiting), p.ID, p.Version)
		if err = uerr; err == nil {
			var n int64
			if n, err = res.RowsAffected(); err == nil && n == 0 {
				return 0, nil
			}
		}
		p.Version++
	}
	if err != nil {
		return 0, fmt.Errorf("sla: save policy: %w", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	if _, err := a.Exec(ctx, `INSERT INTO service_policy_versions (policy_id, version, body, applied, by_name, changed_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		p.ID, p.Version, string(body), db.Bool(applied), a.Actor.Name, a.NowMicros()); err != nil {
		return 0, fmt.Errorf("sla: version of policy %d: %w", p.ID, err)
	}
	return p.ID, calendar.Touch(ctx, a)
}

// Move puts a policy before (-1) or behind (1) its neighbour; the last one stays
// the last.
func Move(ctx context.Context, a *action.Action, id int64, by int) (moved bool, err error) {
	ps, err := Policies(ctx, a)
	if err != nil {
		return false, err
	}
	ps = slices.DeleteFunc(ps, func(p Policy) bool { return p.Rest })
	i := slices.IndexFunc(ps, func(p Policy) bool { return p.ID == id })
	j := i + by
	if i < 0 || j < 0 || j >= len(ps) {
		return false, nil
	}
	ps[i], ps[j] = ps[j], ps[i]
	for n, p := range ps {
		if _, err := a.Exec(ctx, `UPDATE service_policies SET position = $1 WHERE id = $2`, n+1, p.ID); err != nil {
			return false, fmt.Errorf("sla: move policy: %w", err)
		}
	}
	return true, calendar.Touch(ctx, a)
}

// RemovePolicy takes a policy away; clocks that run under it go on. The one for
// whatever is left stays.
func RemovePolicy(ctx context.Context, a *action.Action, id int64) (name string, ok bool, err error) {
	ps, err := Policies(ctx, a)
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(ps, func(p Policy) bool { return p.ID == id && !p.Rest })
	if i < 0 {
		return "", false, nil
	}
	if _, err := a.Exec(ctx, `DELETE FROM service_policies WHERE id = $1`, id); err != nil {
		return "", false, fmt.Errorf("sla: remove policy: %w", err)
	}
	return ps[i].Name, true, calendar.Touch(ctx, a)
}

// Policies returns all policies in the order they are tried.
func Policies(ctx context.Context, q db.Querier) ([]Policy, error) {
	rows, err := q.Query(ctx, `SELECT id, name, rest, active, conditions, targets, calendars, pause_when_waiting, version FROM service_policies ORDER BY rest, position, id`)
	if err != nil {
		return nil, fmt.Errorf("sla: policies: %w", err)
	}
	defer rows.Close()
	var out []Policy
	for rows.Next() {
		var p Policy
		var when, targets, calendars string
		var rest, active, pause int
		if err := rows.Scan(&p.ID, &p.Name, &rest, &active, &when, &targets, &calendars, &pause, &p.Version); err != nil {
			return nil, fmt.Errorf("sla: policies: %w", err)
		}
		for _, x := range []struct {
			raw string
			to  any
		}{{when, &p.When}, {calendars, &p.Calendars}, {targets, &p.Targets}} {
			if err := json.Unmarshal([]byte(x.raw), x.to); err != nil {
				return nil, fmt.Errorf("sla: policy %d: %w", p.ID, err)
			}
		}
		p.Rest, p.Active, p.PauseWhenWaiting = rest == 1, active == 1, pause == 1
		out = append(out, p)
	}
	return out, rows.Err()
}

// PolicyVersion is what a policy said once.
type PolicyVersion struct {
	Policy
	Applied bool // to the tickets that ran
	By      string
	At      time.Time
}

// Versions returns what a policy said, newest first.
func Versions(ctx context.Context, q db.Querier, id int64) ([]PolicyVersion, error) {
	rows, err := q.Query(ctx, `SELECT body, applied, by_name, changed_at FROM service_policy_versions WHERE policy_id = $1 ORDER BY version DESC LIMIT 50`, id)
	if err != nil {
		return nil, fmt.Errorf("sla: versions: %w", err)
	}
	defer rows.Close()
	var out []PolicyVersion
	for rows.Next() {
		var v PolicyVersion
		var body string
		var applied, at int64
		if err := rows.Scan(&body, &applied, &v.By, &at); err != nil {
			return nil, fmt.Errorf("sla: versions: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &v.Policy); err != nil {
			return nil, fmt.Errorf("sla: version of policy %d: %w", id, err)
		}
		v.Applied, v.At = applied == 1, db.FromMicros(at)
		out = append(out, v)
	}
	return out, rows.Err()
}

var policies calendar.Stamped[[]Policy]

// Held returns the policies in the order they are tried, without asking the
// store for more than one stamp in five seconds.
func Held(ctx context.Context, q db.Querier) ([]Policy, error) {
	return policies.Get(ctx, q, func() ([]Policy, error) { return Policies(ctx, q) })
}

// Pick returns the policy of a ticket: the first it fits; where there is none at
// all, the product's own, so that no ticket is without clock.
func Pick(ctx context.Context, q db.Querier, c Case) (Policy, error) {
	ps, err := Held(ctx, q)
	if err != nil {
		return Policy{}, err
	}
	return Chosen(ps, c), nil
}

// Chosen is [Pick] among policies already read.
func Chosen(ps []Policy, c Case) Policy {
	for _, list := range [2][]Policy{ps, builtIn} {
		for _, p := range list {
			if p.Active && p.When.Missed(c) == "" {
				return p
			}
		}
	}
	return builtIn[len(builtIn)-1]
}

// Choose is [Pick] for a ticket of which no more is known.
func Choose(ctx context.Context, q db.Querier, typ, urgency string) (Policy, error) {
	return Pick(ctx, q, Case{Type: typ, Urgency: urgency})
}

// Tried is a policy on the way to the one that was taken.
type Tried struct {
	Policy
	Missed string // the first field by which it did not fit; "" it does
	Taken  bool
	Later  bool // it was not asked any more
}

// Explain says which policy a ticket gets, and why the ones before it were not
// taken.
func Explain(ps []Policy, c Case) (out []Tried) {
	taken := false
	for _, p := range ps {
		if !p.Active {
			continue
		}
		t := Tried{Policy: p, Missed: p.When.Missed(c), Later: taken}
		t.Taken = t.Missed == "" && !taken
		taken = taken || t.Taken
		out = append(out, t)
	}
	return out
}

// Due is when each clock of a kind would be due from start on, in the order of
// [Kinds].
type Due struct {
	Kind     Kind
	Target   time.Duration
	Calendar int64
	At       time.Time
}

// Dues works out what a policy comes to.
func (p Policy) Dues(b *calendar.Book, start time.Time) (out []Due) {
	for _, k := range Kinds {
		if d := p.Target(k); d > 0 {
			id := p.CalendarOf(k)
			out = append(out, Due{k, d, id, b.Of(id).Due(start, d)})
		}
	}
	return out
}

// Used are the calendars policies name, for who wants to know what a calendar is
// for.
func (p Policy) Used() []int64 {
	ids := slices.Collect(maps.Values(p.Calendars))
	slices.Sort(ids)
	return slices.Compact(ids)
}
