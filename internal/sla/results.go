package sla

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/web"
)

// How promises were kept (SLA-6). A promise is kept when its clock was met in
// time, and broken the moment its deadline passes; what still runs in time, or
// stopped mattering, counts as neither. Nothing of this is done inside a move: a
// duty follows the clocks, a minute behind at most.

// Reported are the kinds of clocks that are promises of ours.
var Reported = []Kind{FirstResponse, Acknowledge, Urgent, Update, Resolution, FollowUp}

// Answerable is who answered for a ticket, and where it came from.
type Answerable struct {
	Department, Assignee int64
	Channel              string
}

// About tells who answers for tickets, by ticket.
type About func(ctx context.Context, q db.Querier, tickets []int64) (map[int64]Answerable, error)

// AboutTickets sets who knows that.
func (s *Service) AboutTickets(f About) { s.about = f }

// Zone is where the days of reports begin.
var Zone = web.Shanghai

// Day is the number of t's day in reports.
func Day(t time.Time) int64 {
	_, off := t.In(Zone).Zone()
	return (t.Unix() + int64(off)) / 86400
}

// countBatch is how many clocks are counted in one transaction: on SQLite everybody
// who writes waits for it.
const countBatch = 100

// Count adds up the promises that have ended since it was called last.
func (s *Service) Count(ctx context.Context) error {
	for {
		n, err := s.count(ctx, countBatch)
		if err != nil || n < countBatch {
			return err
		}
	}
}

type sums struct{ met, first, missed int }

type dayKey struct {
	day                  int64
	kind, policy         string
	department, assignee int64
	channel              string
}

func (s *Service) count(ctx context.Context, limit int) (n int, err error) {
	err = s.run.Do(ctx, authz.System("sla figures"), "sla.count", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		cs, err := list(ctx, a, "counted = 0 AND (missed = 1 OR ended_at > 0) ORDER BY id LIMIT "+strconv.Itoa(limit)+a.ForUpdate())
		if n = len(cs); err != nil || n == 0 {
			return err
		}
		var tickets, ids []int64
		for _, c := range cs {
			tickets, ids = append(tickets, c.TicketID), append(ids, c.ID)
		}
		slices.Sort(tickets)
		who, err := s.about(ctx, a, slices.Compact(tickets))
		if err != nil {
			return err
		}
		days := map[dayKey]sums{}
		const width = 13
		var rows []any
		for _, c := range cs {
			if !slices.Contains(Reported, c.Kind) || c.State == Stopped && !c.Missed {
				continue
			}
			w, at, met := who[c.TicketID], c.EndedAt, !c.Missed
			if c.Missed {
				if at = c.DueAt; at.IsZero() {
					at = c.StartedAt.Add(c.Target)
				}
			}
			first := met && (c.FirstTarget == 0 || c.Used <= c.FirstTarget)
			k := dayKey{Day(at), string(c.Kind), c.Policy, w.Department, w.Assignee, w.Channel}
			x := days[k]
			x.met, x.first, x.missed = x.met+int(db.Bool(met)), x.first+int(db.Bool(first)), x.missed+int(db.Bool(!met))
			days[k] = x
			rows = append(rows, c.ID, c.TicketID, db.Micros(at), k.day, k.kind, k.policy, k.department, k.assignee, k.channel, db.Bool(met), db.Bool(first), c.UsedAt(a.Now).Microseconds(), c.Target.Microseconds())
		}
		if err := a.InsertMany(ctx, `INSERT INTO sla_results (clock_id, ticket_id, at, day, kind, policy, department_id, assignee_id, channel, met, met_first, used, target)`, "", width, rows); err != nil {
			return fmt.Errorf("sla: count: %w", err)
		}
		if err := addDays(ctx, a.Tx, days); err != nil {
			return err
		}
		return db.EachIn(ids, func(in string, args []any) error {
			if _, err := a.Exec(ctx, `UPDATE clocks SET counted = 1 WHERE id IN (`+in+`)`, args...); err != nil {
				return fmt.Errorf("sla: count: %w", err)
			}
			return nil
		})
	})
	return n, err
}

func addDays(ctx context.Context, tx *db.Tx, days map[dayKey]sums) error {
	keys := make([]dayKey, 0, len(days))
	for k := range days {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y dayKey) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) }) // always in one order
	var rows []any
	for _, k := range keys {
		x := days[k]
		rows = append(rows, k.day, k.kind, k.policy, k.department, k.assignee, k.channel, x.met, x.first, x.missed)
	}
	err := tx.InsertMany(ctx, `INSERT INTO sla_days (day, kind, policy, department_id, assignee_id, channel, met, met_first, missed)`,
		`ON CONFLICT (day, kind, policy, department_id, assignee_id, channel) DO UPDATE SET met = sla_days.met + excluded.met, met_first = sla_days.met_first + excluded.met_first, missed = sla_days.missed + excluded.missed`, 9, rows)
	if err != nil {
		return fmt.Errorf("sla: days: %w", err)
	}
	return nil
}

// uncount takes back what was counted of a clock that goes on after all.
func uncount(ctx context.Context, a *action.Action, clockID int64) error {
	if err := dropResults(ctx, a.Tx, "clock_id = $1", clockID); err != nil {
		return err
	}
	if err := a.Later(ctx, `UPDATE clocks SET counted = 0 WHERE id = $1 AND counted = 1`, clockID); err != nil {
		return fmt.Errorf("sla: uncount %d: %w", clockID, err)
	}
	return nil
}

func dropResults(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	rows, err := tx.Query(ctx, `DELETE FROM sla_results WHERE `+where+` RETURNING day, kind, policy, department_id, assignee_id, channel, met, met_first`, args...)
	if err != nil {
		return fmt.Errorf("sla: uncount: %w", err)
	}
	defer rows.Close()
	days := map[dayKey]sums{}
	for rows.Next() {
		var k dayKey
		var met, first int
		if err := rows.Scan(&k.day, &k.kind, &k.policy, &k.department, &k.assignee, &k.channel, &met, &first); err != nil {
			return fmt.Errorf("sla: uncount: %w", err)
		}
		x := days[k]
		x.met, x.first, x.missed = x.met-met, x.first-first, x.missed-(1-met)
		days[k] = x
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sla: uncount: %w", err)
	}
	rows.Close()
	if len(days) == 0 {
		return nil
	}
	return addDays(ctx, tx, days)
}

// PermReport reads how promises were kept, within a scope of departments.
const PermReport authz.Permission = "sla.report"

func init() {
	authz.Register(authz.Def{Permission: PermReport, Area: "ticket", Scoped: true, Default: map[string]authz.Level{
		authz.RoleAdmin: authz.All, authz.RoleAuditor: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below,
		authz.RoleAgent: authz.Own, authz.RoleEngineer: authz.Own}})
}

// Group is what a report is split by; named sla.report.by.<group>.
type Group string

const (
	ByDepartment Group = "department"
	ByPerson     Group = "person"
	ByPolicy     Group = "policy"
	ByChannel    Group = "channel"
	ByDay        Group = "day"
)

// Groups in the order they are offered.
var Groups = []Group{ByDepartment, ByPerson, ByPolicy, ByChannel, ByDay}

var groupColumns = map[Group]string{ByDepartment: "department_id", ByPerson: "assignee_id", ByPolicy: "policy", ByChannel: "channel", ByDay: "day"}

// ReportFilter narrows a report. From and To are days of the company's zone; To
// is not part of it.
type ReportFilter struct {
	From, To   time.Time
	Kind       Kind // "" all
	Department int64
	Assignee   int64
	Policy     string
	Channel    string
}

// Figure is how often a promise was kept.
type Figure struct{ Met, First, Missed int }

// N is how many there were.
func (f Figure) N() int { return f.Met + f.Missed }

// Rate is the share kept, in percent; ok is false when there were none.
func (f Figure) Rate() (percent float64, ok bool) {
	if f.N() == 0 {
		return 0, false
	}
	return 100 * float64(f.Met) / float64(f.N()), true
}

// FirstRate is the share kept had no deadline been deferred.
func (f Figure) FirstRate() float64 { return 100 * float64(f.First) / float64(max(1, f.N())) }

// Few is the number below which a share says little.
const Few = 30

// Wilson is the interval, in percent, in which the true share lies with 95 %.
func (f Figure) Wilson() (low, high float64) {
	n := float64(f.N())
	if n == 0 {
		return 0, 100
	}
	const z = 1.959964
	p := float64(f.Met) / n
	mid, half := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return 100 * max(0, (mid-half)/(1+z*z/n)), 100 * min(1, (mid+half)/(1+z*z/n))
}

// ReportRow is one group of a report. ID is of a department or person, the day's
// number for days; Name is of a policy or channel.
type ReportRow struct {
	ID    int64
	Name  string
	Kinds map[Kind]Figure
	All   Figure
}

// maxDays bounds a report's period.
const maxDays = 732

// scoped is the scope as a condition; "" everything.
func scoped(sc authz.Scope, a *db.Args) string {
	if sc.Everything() {
		return ""
	}
	if deps := sc.Departments(); len(deps) > 0 {
		return "(department_id IN (" + a.AddInts(deps) + ") OR assignee_id = " + a.Add(sc.User()) + ")"
	}
	return "assignee_id = " + a.Add(sc.User())
}

func (f ReportFilter) where(sc authz.Scope, a *db.Args) (conds []string) {
	add := func(column string, v any, on bool) {
		if on {
			conds = append(conds, column+" = "+a.Add(v))
		}
	}
	add("kind", string(f.Kind), f.Kind != "")
	add("department_id", f.Department, f.Department != 0)
	add("assignee_id", f.Assignee, f.Assignee != 0)
	add("policy", f.Policy, f.Policy != "")
	add("channel", f.Channel, f.Channel != "")
	if s := scoped(sc, a); s != "" {
		conds = append(conds, s)
	}
	return conds
}

// Report says how promises were kept, split by g: what is bad first, days in
// order. It reads the sums of days, so that it costs the same however many
// tickets there are.
func (s *Service) Report(ctx context.Context, sc authz.Scope, g Group, f ReportFilter) (rows []ReportRow, total ReportRow, err error) {
	column, ok := groupColumns[g]
	if !ok {
		return nil, total, fault.Invalidf("sla.report.group").Field("by", "sla.report.group")
	}
	if !f.From.Before(f.To) || Day(f.To)-Day(f.From) > maxDays {
		return nil, total, fault.Invalidf("sla.report.period", maxDays).Field("to", "sla.report.period", maxDays)
	}
	var a db.Args
	conds := append([]string{"day >= " + a.Add(Day(f.From)), "day < " + a.Add(Day(f.To))}, f.where(sc, &a)...)
	rs, err := s.run.DB().Read().Query(ctx, `SELECT `+column+`, kind, SUM(met), SUM(met_first), SUM(missed) FROM sla_days WHERE `+strings.Join(conds, " AND ")+` GROUP BY `+column+`, kind`, a.Values...)
	if err != nil {
		return nil, total, fmt.Errorf("sla: report: %w", err)
	}
	defer rs.Close()
	at := map[any]int{}
	total.Kinds = map[Kind]Figure{}
	for rs.Next() {
		var r ReportRow
		var k Kind
		var x Figure
		group := any(&r.ID)
		if g == ByPolicy || g == ByChannel {
			group = &r.Name
		}
		if err := rs.Scan(group, (*string)(&k), &x.Met, &x.First, &x.Missed); err != nil {
			return nil, total, fmt.Errorf("sla: report: %w", err)
		}
		if x.N() == 0 {
			continue
		}
		key := any(r.ID)
		if r.Name != "" {
			key = r.Name
		}
		i, ok := at[key]
		if !ok {
			i, r.Kinds = len(rows), map[Kind]Figure{}
			at[key], rows = i, append(rows, r)
		}
		rows[i].Kinds[k] = x
		rows[i].All = rows[i].All.plus(x)
		total.Kinds[k] = total.Kinds[k].plus(x)
		total.All = total.All.plus(x)
	}
	if err := rs.Err(); err != nil {
		return nil, total, fmt.Errorf("sla: report: %w", err)
	}
	slices.SortFunc(rows, func(x, y ReportRow) int {
		if g == ByDay {
			return int(x.ID - y.ID)
		}
		p, _ := x.All.Rate()
		q, _ := y.All.Rate()
		switch {
		case p < q:
			return -1
		case p > q:
			return 1
		case x.ID != y.ID:
			return int(x.ID - y.ID)
		}
		return strings.Compare(x.Name, y.Name)
	})
	return rows, total, nil
}

func (f Figure) plus(x Figure) Figure {
	return Figure{f.Met + x.Met, f.First + x.First, f.Missed + x.Missed}
}

// Result is how one promise ended.
type Result struct {
	ClockID, TicketID    int64
	At                   time.Time
	Kind                 Kind
	Policy               string
	Department, Assignee int64
	Channel              string
	Met, MetFirst        bool
	Used, Target         time.Duration
}

// Results lists the promises behind a figure, newest first: those that were met,
// missed, or both ("met", "missed", ""). after is the cursor of the page before;
// the kind must be given.
func (s *Service) Results(ctx context.Context, sc authz.Scope, f ReportFilter, how, after string, limit int) (out []Result, next string, err error) {
	if !slices.Contains(Reported, f.Kind) {
		return nil, "", fault.Invalidf("sla.report.kind").Field("kind", "sla.report.kind")
	}
	var a db.Args
	conds := f.where(sc, &a)
	to, id := db.Micros(f.To), int64(0)
	if after != "" {
		l, r, ok := strings.Cut(after, ".")
		if ok {
			to, err = strconv.ParseInt(l, 36, 64)
		}
		if ok && err == nil {
			id, err = strconv.ParseInt(r, 36, 64)
		}
		if !ok || err != nil {
			return nil, "", fault.Invalidf("sla.report.cursor")
		}
	}
	conds = append(conds, "at >= "+a.Add(db.Micros(f.From)), "(at, clock_id) < ("+a.Add(to)+", "+a.Add(id)+")")
	if how == "met" || how == "missed" {
		conds = append(conds, "met = "+a.Add(db.Bool(how == "met")))
	}
	rows, err := s.run.DB().Read().Query(ctx, `SELECT clock_id, ticket_id, at, kind, policy, department_id, assignee_id, channel, met, met_first, used, target FROM sla_results
		WHERE `+strings.Join(conds, " AND ")+` ORDER BY at DESC, clock_id DESC LIMIT `+strconv.Itoa(limit+1), a.Values...)
	if err != nil {
		return nil, "", fmt.Errorf("sla: results: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Result
		var at, met, first, used, target int64
		if err := rows.Scan(&r.ClockID, &r.TicketID, &at, (*string)(&r.Kind), &r.Policy, &r.Department, &r.Assignee, &r.Channel, &met, &first, &used, &target); err != nil {
			return nil, "", fmt.Errorf("sla: results: %w", err)
		}
		r.At, r.Met, r.MetFirst = db.FromMicros(at), met == 1, first == 1
		r.Used, r.Target = time.Duration(used)*time.Microsecond, time.Duration(target)*time.Microsecond
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("sla: results: %w", err)
	}
	if len(out) > limit {
		out = out[:limit]
		l := out[limit-1]
		next = strconv.FormatInt(db.Micros(l.At), 36) + "." + strconv.FormatInt(l.ClockID, 36)
	}
	return out, next, nil
}

// PolicyNames returns the names of policies that results know of, for filters.
func (s *Service) PolicyNames(ctx context.Context) ([]string, error) {
	ps, err := Policies(ctx, s.run.DB().Read())
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	var out []string
	for _, p := range ps {
		if !slices.Contains(out, p.Name) {
			out = append(out, p.Name)
		}
	}
	return out, nil
}

// ReportExported is the fact of taking a report out.
const ReportExported = "sla.report_exported"

// NoteExport records that a report leaves the house, before it does.
func (s *Service) NoteExport(ctx context.Context, actor authz.Actor, from, to string) error {
	if err := actor.Check(PermReport); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "sla.export", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: ReportExported, Subject: event.Subject{Type: "sla_report"}, Data: map[string]any{"args": []string{from, to}}})
		return nil
	})
}
