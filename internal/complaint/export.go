package complaint

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
)

// MaxExport bounds one export for the management review.
const MaxExport = 20_000

// exportBatch is how many complaints are read, with their records, at a time.
const exportBatch = 200

// Export writes the complaints received from from until before to, among the
// tickets sc reaches, as a workbook for the management review: one row each, and
// a sheet with the sums. That it was taken, by whom and how much, is in the audit
// trail before the first row leaves.
func (s *Service) Export(ctx context.Context, actor authz.Actor, from, to time.Time, loc *time.Location, begin func() io.Writer) error {
	if err := actor.Check(PermExport); err != nil {
		return err
	}
	if !from.Before(to) {
		return fault.Invalidf("complaint.export.period").Field("to", "complaint.export.period")
	}
	l, sc := actor.Lang, ticket.View(actor)
	where := func(a *db.Args) string {
		return "c.created_at >= " + a.Add(db.Micros(from)) + " AND c.created_at < " + a.Add(db.Micros(to)) + " AND " + strings.Join(Filter{View: ViewAll}.where(a, sc, time.Time{}), " AND ")
	}
	if sc.Empty() {
		return authz.Denied(ticket.PermView)
	}
	var a db.Args
	cond := where(&a)
	var n int
	if err := s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND `+cond+` LIMIT `+strconv.Itoa(MaxExport+1)+`) n`, a.Values...).Scan(&n); err != nil {
		return fmt.Errorf("complaint: export: %w", err)
	}
	if n > MaxExport {
		return fault.New(fault.Limited, "complaint.export.many", MaxExport)
	}
	day := func(t time.Time) string { return t.In(loc).Format(time.DateOnly) }
	if err := s.run.Do(ctx, actor, "complaint.export", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: EventExported, Subject: event.Subject{Type: subjectType}, Data: map[string]any{"args": []string{strconv.Itoa(n), day(from), day(to.Add(-time.Second))}}})
		return nil
	}); err != nil {
		return err
	}
	w, err := sheet.NewWriter(begin(), sheet.XLSX, i18n.T(l, "complaint.export.rows"))
	if err != nil {
		return err
	}
	e := exporter{s: s, l: l, loc: loc, w: w, sums: map[string]map[string]int{}}
	_, e.department, err = s.org.Names(ctx)
	if err != nil {
		return err
	}
	var head []string
	for _, c := range exportColumns {
		head = append(head, i18n.T(l, "complaint.col."+c))
	}
	if err := w.Header(head...); err != nil {
		return err
	}
	for after := int64(0); ; {
		var a db.Args
		query := "SELECT " + rowColumns + ", t.channel, t.responded_at, t.resolved_at, t.completed_at, t.rating, COALESCE((SELECT MAX(g.handling) FROM ratings g WHERE g.ticket_id = t.id AND g.round = t.round), 0) FROM complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND " + where(&a) + " AND c.ticket_id > " + a.Add(after) +
			" ORDER BY c.ticket_id LIMIT " + strconv.Itoa(exportBatch)
		last, full, err := e.batch(ctx, query, a.Values)
		if err != nil {
			return err
		}
		if after = last; !full {
			break
		}
	}
	if err := e.summary(); err != nil {
		return err
	}
	return w.Close()
}

var exportColumns = []string{"number", "received", "customer", "title", "channel", "department", "assignee", "state", "round", "step", "level", "overdue",
	"product", "wish", "mood", "severity", "safety", "complexity", "impact", "justified", "facts", "remedies", "offer", "prevent", "done", "cause", "corrective", "decision", "decided",
	"answer", "outcome", "recourse", "analysis", "analysis_note", "satisfaction", "handling", "rating", "lesson", "hours_response", "hours_resolve"}

type exporter struct {
	s          *Service
	l          i18n.Lang
	loc        *time.Location
	w          *sheet.Writer
	department func(int64) string
	n          int
	sums       map[string]map[string]int // set -> code -> how many
	late       int
	hours      float64 // of those resolved
	resolved   int
	happy      int // sum of satisfaction
	asked      int
	handling   int // sum of the customers' own ratings of it
	handled    int
}

type exported struct {
	Row
	channel                       string
	responded, resolved, complete time.Time
	rating, handling              int
}

func (e *exporter) batch(ctx context.Context, query string, args []any) (last int64, full bool, err error) {
	rows, err := e.s.run.DB().Read().Query(ctx, query, args...)
	if err != nil {
		return 0, false, fmt.Errorf("complaint: export: %w", err)
	}
	defer rows.Close()
	var xs []exported
	var ids []int64
	for rows.Next() {
		var x exported
		var us [3]int64
		if x.Row, err = scanRow(rows, &x.channel, &us[0], &us[1], &us[2], &x.rating, &x.handling); err != nil {
			return 0, false, fmt.Errorf("complaint: export: %w", err)
		}
		x.responded, x.resolved, x.complete = db.FromMicros(us[0]), db.FromMicros(us[1]), db.FromMicros(us[2])
		xs, ids = append(xs, x), append(ids, x.TicketID)
	}
	if err := rows.Err(); err != nil {
		return 0, false, fmt.Errorf("complaint: export: %w", err)
	}
	rows.Close()
	records, err := recordsOf(ctx, e.s.run.DB().Read(), ids)
	if err != nil {
		return 0, false, err
	}
	for _, x := range xs {
		if err := e.row(x, Complaint{Round: x.Round, Records: records[x.TicketID]}); err != nil {
			return 0, false, err
		}
		last = x.TicketID
	}
	return last, len(xs) == exportBatch, nil
}

func (e *exporter) row(x exported, c Complaint) error {
	say := func(s Step, code string) string {
		r, ok := c.Last(s)
		if !ok {
			return ""
		}
		i := slices.IndexFunc(fields[s], func(f Field) bool { return f.Code == code })
		return fields[s][i].Say(e.l, r.Values, e.loc)
	}
	code := func(s Step, field, set string) string {
		r, ok := c.Last(s)
		if !ok || r.Values[field] == "" {
			return ""
		}
		e.count(set, r.Values[field])
		return i18n.T(e.l, "complaint."+set+"."+r.Values[field])
	}
	name := func(prefix, v string) string {
		if v == "" {
			return ""
		}
		return i18n.T(e.l, prefix+v)
	}
	hours := func(at time.Time) any {
		if at.IsZero() {
			return nil
		}
		return float64(int(at.Sub(x.CreatedAt).Hours()*10)) / 10
	}
	e.n++
	overdue := ""
	if x.Overdue {
		overdue = i18n.T(e.l, "complaint.yes")
		e.late++
	}
	if !x.resolved.IsZero() {
		e.hours += x.resolved.Sub(x.CreatedAt).Hours()
		e.resolved++
	}
	if r, ok := c.Last(Review); ok {
		if n, err := strconv.Atoi(r.Values["satisfaction"]); err == nil {
			e.happy += n
			e.asked++
		}
	}
	step := i18n.T(e.l, "complaint.step.done")
	if x.Step != "" {
		step = i18n.T(e.l, x.Step.Words())
	}
	e.count("level", strconv.Itoa(x.Level))
	if x.Answer != "" {
		e.count("answer", x.Answer)
	}
	stars := func(n int) any {
		if n == 0 {
			return nil
		}
		return n
	}
	if x.handling > 0 {
		e.handling += x.handling
		e.handled++
	}
	recourse := say(Respond, "recourse")
	if r := say(Review, "recourse"); r != "" {
		recourse = r
	}
	return e.w.Row(x.Number, x.CreatedAt.In(e.loc), x.CustomerName, x.Title, name("ticket.channel.", x.channel), e.department(x.Department), x.AssigneeName, name("ticket.state.", string(x.State)), x.Round, step,
		i18n.T(e.l, LevelWords(x.Level)), overdue, say(Receive, "product"), code(Receive, "wish", "remedy"), name("complaint.mood.", x.Mood), code(Classify, "severity", "severity"), code(Classify, "safety", "safety"),
		code(Classify, "complexity", "complexity"), code(Classify, "impact", "impact"), code(Investigate, "justified", "justified"), say(Investigate, "facts"), say(Propose, "remedies"), say(Propose, "offer"), say(Propose, "prevent"),
		say(Resolve, "done"), say(Resolve, "cause"), say(Resolve, "corrective"), say(Respond, "decision"), say(Respond, "at"), name("complaint.answer.", x.Answer), code(Review, "outcome", "outcome"), recourse,
		code(Review, "analysis", "analysis"), say(Review, "analysis_note"), code(Review, "satisfaction", "satisfaction"), stars(x.handling), stars(x.rating), say(Review, "lesson"), hours(x.responded), hours(x.resolved))
}

func (e *exporter) count(set, code string) {
	if e.sums[set] == nil {
		e.sums[set] = map[string]int{}
	}
	e.sums[set][code]++
}

// summary is the second sheet: what a management review looks at first.
func (e *exporter) summary() error {
	t := func(key string) string { return i18n.T(e.l, key) }
	if err := e.w.Sheet(t("complaint.export.sums")); err != nil {
		return err
	}
	if err := e.w.Header(t("complaint.export.what"), t("complaint.export.code"), t("complaint.export.count")); err != nil {
		return err
	}
	rows := [][]any{{t("complaint.export.total"), nil, e.n}, {t("complaint.col.overdue"), nil, e.late}, {t("complaint.export.resolved"), nil, e.resolved}}
	if e.resolved > 0 {
		rows = append(rows, []any{t("complaint.export.mean_hours"), nil, float64(int(e.hours/float64(e.resolved)*10)) / 10})
	}
	if e.asked > 0 {
		rows = append(rows, []any{t("complaint.export.mean_satisfaction"), nil, float64(e.happy*100/e.asked) / 100})
	}
	if e.handled > 0 {
		rows = append(rows, []any{t("complaint.export.mean_handling"), nil, float64(e.handling*100/e.handled) / 100})
	}
	for _, x := range []struct {
		set, col string
		codes    []string
	}{{"level", "level", []string{"1", "2", "3", "4"}}, {"severity", "severity", sets["severity"]}, {"safety", "safety", sets["safety"]}, {"impact", "impact", sets["impact"]}, {"justified", "justified", sets["justified"]},
		{"remedy", "wish", sets["remedy"]}, {"answer", "answer", []string{"accepted", "rejected", "silent"}}, {"outcome", "outcome", sets["outcome"]}, {"analysis", "analysis", sets["analysis"]}, {"satisfaction", "satisfaction", sets["satisfaction"]}} {
		for _, code := range x.codes {
			if n := e.sums[x.set][code]; n > 0 {
				rows = append(rows, []any{t("complaint.col." + x.col), t("complaint." + x.set + "." + code), n})
			}
		}
	}
	for _, r := range rows {
		if err := e.w.Row(r...); err != nil {
			return err
		}
	}
	return nil
}
