package customer_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/setting"
	"bihuan/internal/sheet"
)

// crowd writes n customers straight into the tables: number i is of department
// 1 + i%2, owner 1 + i%7, and rare in what the filters below ask for.
func crowd(w *world, n int) {
	w.t.Helper()
	w.exec(`INSERT INTO tags (id, name, colour, created_at) VALUES (1, '重点', 'red', 0)`)
	err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows, tags []any
		for i := 1; i <= n; i++ {
			level, stage, grade := "normal", "active", ""
			if i%50 == 0 {
				level, grade = "vip", "a"
			}
			if i%40 == 0 {
				stage = "dormant"
			}
			at := db.Micros(w.clock.Now().Add(-time.Duration(i) * time.Minute))
			rows = append(rows, i, fmt.Sprintf("C%06d", i), "company", fmt.Sprintf("客户%d", i), fmt.Sprintf("k%d", i), fmt.Sprintf("kh%d", i), level, grade, stage, 1+i%7, 1+i%2, at, at, at)
			if i%100 == 0 {
				tags = append(tags, i, 1)
			}
		}
		if err := tx.InsertMany(ctx, `INSERT INTO customers (id, number, type, name, name_key, pinyin, level, grade, stage, owner_id, department_id, created_at, updated_at, activity_at)`, "", 14, rows); err != nil {
			return err
		}
		return tx.InsertMany(ctx, `INSERT INTO customer_tags (customer_id, tag_id)`, "", 2, tags)
	})
	if err == nil {
		err = w.d.Analyze(w.ctx, "customers", "customer_tags", "contacts", "departments")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// A page of the usual lists is met on an index in its order, or begins with the
// few that a rare condition leaves: no list reads all customers, none sorts them.
func TestListsWalkTheirIndex(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		crowd(w, 20000)
		older := customer.Node{Field: "activity", Op: customer.OpOlder, Values: []string{"2"}}
		for _, c := range []struct {
			name  string
			actor authz.Actor
			f     customer.Filter
		}{
			{"all", w.auditor, customer.Filter{}},
			{"department", w.agent, customer.Filter{}},
			{"own", w.sales, customer.Filter{}},
			{"longest idle", w.auditor, customer.Filter{Sort: customer.ByIdle, Query: customer.AllOf(older)}},
			{"by name", w.auditor, customer.Filter{Sort: customer.SortName}},
			{"by date of verification", w.auditor, customer.Filter{Sort: customer.ByVerify}},
			{"by plan", w.auditor, customer.Filter{Sort: customer.ByPlanned}},
			{"newest", w.agent, customer.Filter{Sort: customer.ByCreated}},
			{"mine", w.auditor, customer.Filter{Query: customer.AllOf(customer.Is("owner", "3"))}},
			{"dormant", w.auditor, customer.Filter{Query: customer.AllOf(customer.Is("stage", "dormant"))}},
			{"graded", w.auditor, customer.Filter{Query: customer.AllOf(customer.Is("grade", "a"))}},
			{"rare tag", w.auditor, customer.Filter{TagID: 1}},
			{"rare tag, department", w.agent, customer.Filter{TagID: 1}},
			{"new ones", w.auditor, customer.Filter{Query: customer.AllOf(customer.Node{Field: "created", Op: customer.OpWithin, Values: []string{"today"}})}},
			{"number", w.auditor, customer.Filter{Query: customer.AllOf(customer.Is("number", "C000007"))}},
			{"no phone, quiet", w.agent, customer.Filter{Query: customer.AllOf(customer.Node{Field: "has_phone", Op: customer.OpNo}, older)}},
		} {
			query, args, err := customer.ListQuery(w.s, w.ctx, customer.View(c.actor), c.f)
			if err != nil {
				t.Fatal(c.name, err)
			}
			plan := strings.ReplaceAll(w.plan(query, args), "COVERING INDEX customers_pinyin", "INDEX customers_pinyin") // that of the names holds the scope
			if readsAll.MatchString(plan) {
				t.Errorf("%s: %s\n%s", c.name, query, plan)
			}
		}
	})
}

// readsAll finds what must not be in a plan: every row of customers read, or
// sorted, on either engine. On SQLite an index read from its beginning in the
// order that is wanted is a SCAN … USING INDEX.
var readsAll = regexp.MustCompile(`SCAN c\b(?: USING (?:AUTOMATIC|COVERING).*)?(?:$|\n)|MULTI-INDEX OR|Seq Scan on customers|Parallel Seq Scan on customers`)

func (w *world) plan(query string, args []any) string {
	w.t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if w.d.Dialect() == db.Postgres {
		explain = "EXPLAIN "
	}
	rows, err := w.d.Read().Query(w.ctx, explain+query, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		var x, y, z int
		if w.d.Dialect() == db.Postgres {
			err = rows.Scan(&line)
		} else {
			err = rows.Scan(&x, &y, &z, &line)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// people answers jobs with whom they act for.
type people map[int64]authz.Actor

func (p people) Actor(_ context.Context, id int64) (authz.Actor, error) {
	if a, ok := p[id]; ok {
		return a, nil
	}
	return authz.Actor{}, fault.New(fault.NotFound, "org.unknown")
}

// office equips the room for work in the background.
type office struct {
	*world
	files *blob.Files
	queue *job.Queue
	asked []customer.Export
}

func newOffice(w *world) *office {
	w.t.Helper()
	return newOfficeIn(w, w.t.TempDir())
}

func newOfficeIn(w *world, dir string) *office {
	w.t.Helper()
	store, err := blob.OpenFolder(dir, w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	o := &office{world: w, files: blob.NewFiles(w.run, store, 0), queue: job.New(w.d, job.Config{})}
	ps := people{}
	for _, a := range []authz.Actor{w.agent, w.colleague, w.stranger, w.sales, w.head, w.auditor} {
		ps[a.ID] = a
	}
	w.s.Equip(ps, o.files, o.queue)
	return o
}

func (o *office) work() {
	o.t.Helper()
	if _, err := o.queue.RunDue(o.ctx); err != nil {
		o.t.Fatal(err)
	}
}

// AskExport and WithdrawExport make the office ask nobody in particular.
func (o *office) AskExport(_ context.Context, a *action.Action, e customer.Export) error {
	o.asked = append(o.asked, e)
	a.Nothing()
	return nil
}

func (o *office) WithdrawExport(ctx context.Context, actor authz.Actor, id int64) error {
	return o.run.Do(ctx, actor, "test", func(ctx context.Context, a *action.Action) error { return o.s.DecideExport(ctx, a, id, false, "") })
}

func (o *office) count(query string, args ...any) (n int) {
	o.t.Helper()
	if err := o.d.Read().QueryRow(o.ctx, query, args...).Scan(&n); err != nil {
		o.t.Fatal(err)
	}
	return n
}

// noLevels asks for every change to strategic.
type noLevels struct{ customer.LevelApproval }

func (noLevels) LevelNeeded(_ context.Context, _ db.Querier, _ authz.Actor, to customer.Level) (bool, error) {
	return to == customer.Strategic, nil
}

func (noLevels) AskLevels(_ context.Context, _ *action.Action, b customer.LevelBatch) (int64, error) {
	return b.Total, nil
}

// Many are changed at once, each within reach, with a fact of its own; what
// could not be changed is said.
func TestBulkChanges(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOffice(w)
		crowd(w, 700)
		_, last := w.events(0)
		// The agent of department 2 (odd numbers) ticks four, two of them out of sight.
		b, err := w.s.Change(w.ctx, w.stranger, customer.Selection{IDs: []int64{1, 6, 3, 4, 1}}, customer.BulkChange{AddTags: []int64{1}})
		if err != nil || b.Running() || b.Counts != (customer.BulkCounts{Done: 4, Changed: 2, Forbidden: 2}) {
			t.Fatalf("%+v %v", b, err)
		}
		if kinds, _ := w.events(last); kinds != "customer.bulk_started customer.tags_changed customer.tags_changed customer.bulk_finished" {
			t.Error(kinds)
		}
		lines, err := w.s.BulkLines(w.ctx, w.stranger, b.ID, 0, 10)
		if err != nil || len(lines) != 2 || lines[0].Outcome != customer.OutcomeHidden || lines[0].Name != "" {
			t.Errorf("%+v %v", lines, err)
		}
		if _, err := w.s.Bulk(w.ctx, w.head, b.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		// A salesman sees and edits his own only; the auditor sees all and edits none.
		if b, err = w.s.Change(w.ctx, w.sales, customer.Selection{IDs: []int64{3, 10, 11}}, customer.BulkChange{SetOwner: true, OwnerID: 2, Reason: "交接"}); err != nil || b.Counts.Changed != 2 || b.Counts.Forbidden != 1 {
			t.Errorf("%+v %v", b, err)
		}
		if n := o.count(`SELECT COUNT(*) FROM customers WHERE owner_id = 2 AND id IN (3, 10)`); n != 2 {
			t.Error(n)
		}
		for _, c := range []struct {
			name  string
			actor authz.Actor
			sel   customer.Selection
			c     customer.BulkChange
			want  string
		}{
			{"nothing ticked", w.agent, customer.Selection{}, customer.BulkChange{AddTags: []int64{1}}, ""},
			{"no reason", w.agent, customer.Selection{IDs: []int64{2}}, customer.BulkChange{Level: customer.VIP}, "reason:reason.required"},
			{"no such level", w.agent, customer.Selection{IDs: []int64{2}}, customer.BulkChange{Level: "gold", Reason: "调整"}, "level:level.unknown"},
			{"no tag", w.agent, customer.Selection{IDs: []int64{2}}, customer.BulkChange{}, "tag:tag.choose"},
			{"no such tag", w.agent, customer.Selection{IDs: []int64{2}}, customer.BulkChange{AddTags: []int64{9}}, "tag:tag.unknown"},
			{"no such owner", w.agent, customer.Selection{IDs: []int64{2}}, customer.BulkChange{SetOwner: true, OwnerID: 99, Reason: "调整"}, "owner:owner.unknown"},
			{"nobody fits", w.agent, customer.Selection{Filter: &customer.Filter{Level: customer.Strategic}}, customer.BulkChange{AddTags: []int64{1}}, ""},
		} {
			if _, err := w.s.Change(w.ctx, c.actor, c.sel, c.c); fields(err) != c.want {
				t.Errorf("%s: %v", c.name, fields(err))
			}
		}
		if _, err := w.s.Change(w.ctx, w.auditor, customer.Selection{IDs: []int64{2}}, customer.BulkChange{AddTags: []int64{1}}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		// All of a filter, in the background; the filter stops to hold as it is done.
		all := customer.Selection{Filter: &customer.Filter{Query: customer.AllOf(customer.Is("level", "normal"))}}
		b, err = w.s.Change(w.ctx, w.agent, all, customer.BulkChange{Level: customer.VIP, Reason: "年度评定"})
		if err != nil || !b.Running() || b.Total < 300 {
			t.Fatalf("%+v %v", b, err)
		}
		o.work()
		if b, err = w.s.Bulk(w.ctx, w.agent, b.ID); err != nil || b.State != "finished" || b.Counts.Changed != b.Total {
			t.Errorf("%+v %v", b, err)
		}
		// 2 of the salesman's became 2's in department 1 or 2; whoever is in department
		// 2 and not the agent's is untouched.
		if n := o.count(`SELECT COUNT(*) FROM customers WHERE level = 'normal' AND (department_id = 1 OR owner_id = 1)`); n != 0 {
			t.Error(n)
		}
		if n := o.count(`SELECT COUNT(*) FROM customers WHERE level = 'normal'`); n == 0 {
			t.Error("who is out of sight was changed")
		}
		// A change of level that waits for consent.
		w.s.ApproveLevels(noLevels{})
		b, err = w.s.Change(w.ctx, w.agent, customer.Selection{IDs: []int64{2, 4, 6}}, customer.BulkChange{Level: customer.Strategic, Reason: "签约"})
		if err != nil || b.Counts.Asked != 3 || b.Counts.Changed != 0 || o.count(`SELECT COUNT(*) FROM customers WHERE level = 'strategic'`) != 0 {
			t.Errorf("%+v %v", b, err)
		}
		below := w.head
		below.Under = []int64{1, 2}
		b, err = w.s.Change(w.ctx, below, customer.Selection{IDs: []int64{5, 6}}, customer.BulkChange{Level: customer.Strategic, Reason: "签约"})
		if err != nil || b.Counts.Asked != 2 {
			t.Errorf("%+v %v", b, err)
		}
		// One that is stopped leaves the rest.
		b, err = w.s.Change(w.ctx, w.agent, customer.Selection{Filter: &customer.Filter{}}, customer.BulkChange{SetOwner: true, Reason: "离职"})
		if err != nil || !b.Running() {
			t.Fatal(err)
		}
		if err := w.s.CancelBulk(w.ctx, w.agent, b.ID); err != nil {
			t.Fatal(err)
		}
		o.work()
		if b, err = w.s.Bulk(w.ctx, w.agent, b.ID); err != nil || b.State != "cancelled" || o.count(`SELECT COUNT(*) FROM customers WHERE owner_id = 0`) != 0 {
			t.Errorf("%+v %v", b, err)
		}
		w.clock.Advance(31 * 24 * time.Hour)
		if err := w.s.SweepLists(w.ctx); err != nil || o.count(`SELECT COUNT(*) FROM customer_bulks`) != 0 || o.count(`SELECT COUNT(*) FROM customer_bulk_lines`) != 0 {
			t.Error(err)
		}
	})
}

// table reads the file of an export.
func (o *office) table(actor authz.Actor, id int64) [][]string {
	o.t.Helper()
	f, c, err := o.s.OpenExport(o.ctx, actor, id)
	if err != nil {
		o.t.Fatal(err)
	}
	defer c.Close()
	raw, err := io.ReadAll(c)
	if err != nil {
		o.t.Fatal(err)
	}
	if strings.HasSuffix(f.Name, ".xlsx") {
		r, err := sheet.Open(f.Name, bytes.NewReader(raw), int64(len(raw)), sheet.Limits{})
		if err != nil {
			o.t.Fatal(err)
		}
		defer r.Close()
		var out [][]string
		for {
			row, _, err := r.Next()
			if err == io.EOF {
				return out
			}
			if err != nil {
				o.t.Fatal(err)
			}
			out = append(out, slices.Clone(row))
		}
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(raw), "\uFEFF"))).ReadAll()
	if err != nil {
		o.t.Fatal(err)
	}
	return rows
}

// An export holds whom its maker sees and may take away, masked unless he may
// see clear values, asked for them and said why; every step is on record.
func TestExports(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOffice(w)
		seen := w.create(w.agent, company("=HYPERLINK(1)有限公司", "13811112222"))
		w.create(w.stranger, company("外部门公司", "13833334444"))
		head := w.head
		if _, err := w.s.AskExport(w.ctx, w.agent, customer.NewExport{Format: sheet.CSV}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		for _, c := range []struct {
			in   customer.NewExport
			want string
		}{
			{customer.NewExport{Format: "pdf"}, "format:export.format"},
			{customer.NewExport{Format: sheet.CSV, Columns: []string{"salary"}}, "columns:column.unknown"},
			{customer.NewExport{Format: sheet.CSV, Clear: true}, "reason:export.reason.required"},
			{customer.NewExport{Format: sheet.CSV, Filter: customer.Filter{Level: customer.Strategic}}, "filter:export.nobody"},
		} {
			if _, err := w.s.AskExport(w.ctx, head, c.in); fields(err) != c.want {
				t.Errorf("%+v: %s", c.in, fields(err))
			}
		}
		_, last := w.events(0)
		export := func(in customer.NewExport) customer.Export {
			t.Helper()
			in.Columns = []string{"number", "name", "phone", "tickets", "created"}
			e, err := w.s.AskExport(w.ctx, head, in)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.s.OpenExport(w.ctx, head, e.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("a file before it is written: %v", err)
			}
			o.work()
			if e, err = w.s.Export(w.ctx, head, e.ID); err != nil {
				t.Fatal(err)
			}
			return e
		}
		e := export(customer.NewExport{Format: sheet.CSV})
		if e.State != "finished" || e.Done != 1 || e.Revealed != 0 {
			t.Fatalf("%+v", e)
		}
		rows := o.table(head, e.ID)
		if len(rows) != 2 || rows[1][0] != seen.Number || rows[1][1] != "'=HYPERLINK(1)有限公司" || rows[1][2] != "138****2222" {
			t.Errorf("%q", rows)
		}
		if kinds, _ := w.events(last); kinds != "customer.export_requested customer.export_ready file.uploaded customer.export_downloaded" {
			t.Error(kinds)
		}
		// In clear, on record for each customer before the file is there.
		_, last = w.events(0)
		e = export(customer.NewExport{Format: sheet.XLSX, Clear: true, Reason: "年度回访"})
		if rows := o.table(head, e.ID); len(rows) != 2 || rows[1][2] != "13811112222" || e.Revealed != 1 {
			t.Errorf("%q %+v", rows, e)
		}
		if kinds, _ := w.events(last); kinds != "customer.export_requested customer.export_revealed customer.export_ready file.uploaded customer.export_downloaded" {
			t.Error(kinds)
		}
		evs, err := event.List(w.ctx, w.d.Read(), event.Filter{Kind: customer.ExportRevealed})
		var rev customer.RevealedRows
		if err != nil || len(evs) != 1 || evs[0].Decode(&rev) != nil || !slices.Equal(rev.Customers, []int64{seen.ID}) || evs[0].Reason != "年度回访" {
			t.Errorf("%+v %v", evs, err)
		}
		// Whom he sees but may not reveal stays masked.
		narrow := head
		narrow.Levels = map[authz.Permission]authz.Level{}
		for p, l := range head.Levels {
			narrow.Levels[p] = l
		}
		narrow.Levels[customer.PermReveal] = authz.Own
		customer.ActFor(o.s, people{head.ID: narrow})
		head = narrow
		if e = export(customer.NewExport{Format: sheet.CSV, Clear: true, Reason: "核对"}); e.Revealed != 0 || o.table(head, e.ID)[1][2] != "138****2222" {
			t.Errorf("%+v", e)
		}
		// Nobody else has the file; and nobody after seven days.
		if _, _, err := w.s.OpenExport(w.ctx, w.auditor, e.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, _, err := o.files.Open(w.ctx, w.auditor, e.FileID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		lost := head
		lost.Levels = map[authz.Permission]authz.Level{customer.PermView: authz.All}
		if _, _, err := w.s.OpenExport(w.ctx, lost, e.ID); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		w.clock.Advance(7*24*time.Hour + time.Second)
		if _, _, err := w.s.OpenExport(w.ctx, head, e.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := w.s.SweepLists(w.ctx); err != nil {
			t.Fatal(err)
		}
		if e, err = w.s.Export(w.ctx, head, e.ID); err != nil || e.State != "expired" || e.FileID != 0 || o.count(`SELECT COUNT(*) FROM files`) != 0 {
			t.Errorf("%+v %v", e, err)
		}
		// Who lost the permission meanwhile gets nothing.
		e, err = w.s.AskExport(w.ctx, head, customer.NewExport{Format: sheet.CSV})
		if err != nil {
			t.Fatal(err)
		}
		customer.ActFor(o.s, people{head.ID: lost})
		o.work()
		if e, err = w.s.Export(w.ctx, head, e.ID); err != nil || e.State != "failed" {
			t.Errorf("%+v %v", e, err)
		}
	})
}

// Above a number of rows an export waits until somebody has consented.
func TestLargeExportsAskFirst(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOffice(w)
		crowd(w, 30)
		w.s.ApproveExports(o)
		if err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			return setting.Write(ctx, tx, customer.ExportApprovalSetting, 10)
		}); err != nil {
			t.Fatal(err)
		}
		ask := func() customer.Export {
			t.Helper()
			e, err := w.s.AskExport(w.ctx, w.head, customer.NewExport{Format: sheet.CSV, Reason: "盘点"})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if _, err := w.s.AskExport(w.ctx, w.head, customer.NewExport{Format: sheet.CSV}); fields(err) != "reason:export.reason.required" {
			t.Error(fields(err))
		}
		for _, approved := range []bool{true, false} {
			e := ask()
			o.work()
			if e, _ = w.s.Export(w.ctx, w.head, e.ID); e.State != "waiting" {
				t.Fatalf("%+v", e)
			}
			err := w.run.Do(w.ctx, w.auditor, "test", func(ctx context.Context, a *action.Action) error {
				return w.s.DecideExport(ctx, a, e.ID, approved, "太多")
			})
			if err != nil {
				t.Fatal(err)
			}
			o.work()
			want := map[bool]string{true: "finished", false: "refused"}[approved]
			if e, _ = w.s.Export(w.ctx, w.head, e.ID); e.State != want {
				t.Errorf("%+v", e)
			}
		}
		if len(o.asked) != 2 {
			t.Error(o.asked)
		}
		// A few need no consent.
		if e, err := w.s.AskExport(w.ctx, w.head, customer.NewExport{Format: sheet.CSV, Filter: customer.Filter{OwnerID: 3}}); err != nil || e.State != "running" {
			t.Errorf("%+v %v", e, err)
		}
	})
}
