package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

type house struct {
	*tickettest.House
	P *Service
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := &house{House: tickettest.New(t, d, c)}
		h.P = New(h.Run, h.Service, h.Org, h.Customers.Fields(), h.Files, nil)
		f(t, h)
	})
}

func (h *house) dep(name string) int64 { return h.Dept[name] }

// publish makes a process of complaints from d and puts it in force.
func (h *house) publish(d Definition) (Process, Version) {
	h.T.Helper()
	admin := h.As("guanli")
	p, err := h.P.Create(h.Ctx, admin, Fresh{Name: "投诉处理", NameEn: "Complaints", Type: "complaint", Draft: &d})
	h.OK(err)
	v, err := h.P.Publish(h.Ctx, admin, p.ID, p.Version, "")
	h.OK(err)
	p, err = h.P.Get(h.Ctx, admin, p.ID)
	h.OK(err)
	return p, v
}

func (h *house) complaint(change ...func(*ticket.RegisterInput)) ticket.Ticket {
	h.T.Helper()
	in := h.Input()
	in.Type = "complaint"
	for _, f := range change {
		f(&in)
	}
	t, err := h.Register2(in)
	h.OK(err)
	return t
}

func (h *house) Register2(in ticket.RegisterInput) (ticket.Ticket, error) {
	return h.Service.Register(h.Ctx, h.As("kefu"), in)
}

func (h *house) get(id int64) ticket.Ticket {
	h.T.Helper()
	t, err := h.Get(h.Ctx, authz.For(authz.System(""), ticket.PermView), id)
	h.OK(err)
	return t
}

// simple is 受理 (kefu) → 核实 (技术支持部) → 答复 (客服部), with a way back.
func (h *house) simple() Definition {
	return Definition{Start: "s1", Again: "s2",
		Stages: []Stage{
			stage("s1", "受理", "", "", 0, 60),
			stage("s2", "核实", "", "", h.dep("技术支持部"), 120, "cause"),
			stage("s3", "答复", "", "", h.dep("客服部"), 240, "corrective").final(),
		},
		Moves: []Move{
			step("m1", "s1", "s2", "转核实", ""),
			step("m2", "s2", "s3", "提交结论", ""),
			step("m3", "s2", "s1", "退回", "").backwards(),
		}}
}

func wantKey(t *testing.T, what string, err error, kind fault.Kind, key string) {
	t.Helper()
	f, ok := fault.As(err)
	if !ok || f.Kind != kind || f.Key != key {
		t.Errorf("%s: %v, want %s %s", what, err, kind, key)
	}
}

// A complaint goes through its process: departments, requirements, final stage,
// journal, way.
func TestWay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.publish(h.simple())
		h.Events()
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		if tk.StageName != "受理" || tk.AssigneeID != h.User["kefu"] {
			t.Fatalf("registered into %q of %s", tk.StageName, tk.AssigneeName)
		}
		if evs := h.Events(); evs != "ticket.registered ticket.stage_entered" {
			t.Errorf("recorded %s", evs)
		}
		// Not final: no answer from here.
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		_, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x", Cause: "y", Corrective: "z"})
		wantKey(t, "answer from 受理", err, fault.Conflict, "process.not_final")
		if slices.Contains(h.Allowed(h.Ctx, h.As("kefu"), &tk), ticket.RequestConfirmation) {
			t.Error("the button is offered where the move is refused")
		}
		// Not everybody's step.
		_, err = h.P.Move(h.Ctx, h.As("kefu2"), tk.ID, "m1", ticket.StageInput{})
		wantKey(t, "somebody else's ticket", err, fault.Forbidden, "process.not_yours")
		_, err = h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m2", ticket.StageInput{})
		wantKey(t, "a step of another stage", err, fault.Conflict, "process.not_here")
		_, err = h.P.Move(h.Ctx, h.As("xiaoshou"), tk.ID, "m1", ticket.StageInput{})
		wantKey(t, "out of scope", err, fault.NotFound, "ticket.not_found")
		h.Events()
		tk, err = h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", ticket.StageInput{})
		h.OK(err)
		if tk.StageName != "核实" || tk.DepartmentID != h.dep("技术支持部") || tk.State != ticket.Pending || tk.AssigneeID == 0 || tk.AssigneeID == h.User["kefu"] {
			t.Errorf("passed on to %q, department %d, %s, %s", tk.StageName, tk.DepartmentID, tk.State, tk.AssigneeName)
		}
		if evs := h.Events(); evs != "ticket.stage_passed" {
			t.Errorf("recorded %s", evs)
		}
		who := "gong"
		if tk.AssigneeID == h.User["jizhu"] {
			who = "jizhu"
		}
		tk = h.Move(who, tk, ticket.Acknowledge, ticket.Input{})
		_, err = h.P.Move(h.Ctx, h.As(who), tk.ID, "m2", ticket.StageInput{})
		wantKey(t, "without the cause", err, fault.Invalid, "process.missing")
		if f, _ := fault.As(err); len(f.Fields) != 1 || f.Fields[0].Field != "cause" {
			t.Errorf("the missing field is not named: %v", err)
		}
		_, err = h.P.Move(h.Ctx, h.As(who), tk.ID, "m3", ticket.StageInput{})
		wantKey(t, "back without a reason", err, fault.Invalid, "ticket.need_reason")
		tk, err = h.P.Move(h.Ctx, h.As(who), tk.ID, "m2", ticket.StageInput{Cause: "标签贴错"})
		h.OK(err)
		if tk.Cause != "标签贴错" || tk.DepartmentID != h.dep("客服部") {
			t.Errorf("cause %q, department %d", tk.Cause, tk.DepartmentID)
		}
		who = map[int64]string{h.User["kefu"]: "kefu", h.User["kefu2"]: "kefu2", h.User["zhuguan"]: "zhuguan"}[tk.AssigneeID]
		tk = h.Move(who, tk, ticket.Acknowledge, ticket.Input{})
		_, err = h.Do(h.Ctx, h.As(who), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x"})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("an answer without the corrective action: %v", err)
		}
		tk = h.Move(who, tk, ticket.RequestConfirmation, ticket.Input{Solution: "重贴标签", Corrective: "双人复核"})
		st, ok, err := h.P.Of(h.Ctx, h.As(who), &tk)
		h.OK(err)
		if !ok || len(st.Way) != 3 || st.Way[2].Stage != "s3" || len(st.Offers) != 0 {
			t.Errorf("standing %+v", st)
		}
		// A second handling begins where the process says, in that department.
		bad := ticket.Rating{Stars: 1}
		tk = h.Move("kefu", tk, ticket.Dispute, ticket.Input{Rating: &bad})
		if tk.StageName != "核实" || tk.DepartmentID != h.dep("技术支持部") || tk.Round != 2 {
			t.Errorf("second handling in %q of %d, round %d", tk.StageName, tk.DepartmentID, tk.Round)
		}
		h.Invariants()
	})
}

// Where the first stage belongs to another department than routing says, the
// ticket begins there, with one line about it and one load.
func TestBeginsElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		d := h.simple()
		d.Start = "s2"
		d.Moves = append(d.Moves, step("m9", "s1", "s3", "x", ""))
		h.publish(d)
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		got := h.get(tk.ID)
		if got.DepartmentID != h.dep("技术支持部") || got.AssigneeID == h.User["kefu"] || got.AssigneeID != tk.AssigneeID {
			t.Errorf("stored: department %d, %s", got.DepartmentID, got.AssigneeName)
		}
		// Nobody there: it waits on the supervisor's desk.
		h.OK(h.D.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET availability = 'offline' WHERE id IN ($1, $2)`, h.User["gong"], h.User["jizhu"])
			if err == nil {
				_, err = tx.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = 'org.generation'`)
			}
			return err
		}))
		h.Clock.Advance(6 * time.Second)
		tk = h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		got = h.get(tk.ID)
		if got.AssigneeID != 0 || got.SupervisorID != h.User["jizhu"] {
			t.Errorf("nobody on duty: %q, desk of %d", got.AssigneeName, got.SupervisorID)
		}
		h.Invariants()
	})
}

// Versions do not change, and tickets under way keep theirs.
func TestVersions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		admin := h.As("guanli")
		p, v1 := h.publish(h.simple())
		tk := h.complaint()
		tk, err := h.P.Move(h.Ctx, h.As("zhuguan"), tk.ID, "m1", ticket.StageInput{})
		h.OK(err)
		// The stage it stands in goes.
		p, err = h.P.RemoveStage(h.Ctx, admin, p.ID, p.Version, "s2")
		h.OK(err)
		_, err = h.P.Publish(h.Ctx, admin, p.ID, 0, "")
		wantKey(t, "with a stage out of reach", err, fault.Conflict, "process.not_sound")
		_, err = h.P.SaveMove(h.Ctx, admin, p.ID, p.Version, step("", "s1", "s3", "直接答复", ""))
		h.OK(err)
		_, err = h.P.SaveMove(h.Ctx, admin, p.ID, p.Version, step("", "s1", "s3", "再来", ""))
		wantKey(t, "an old page", err, fault.Conflict, "process.changed_meanwhile")
		v2, err := h.P.Publish(h.Ctx, admin, p.ID, 0, "去掉核实")
		h.OK(err)
		_, err = h.P.Publish(h.Ctx, admin, p.ID, 0, "")
		wantKey(t, "nothing new", err, fault.Conflict, "process.nothing_new")
		h.P.versions.Clear() // read what is stored
		got, err := h.P.version(h.Ctx, h.D.Read(), v1.ID)
		h.OK(err)
		if !same(got.Definition, v1.Definition) {
			t.Errorf("version 1 is now %+v", got.Definition)
		}
		if again := h.complaint(); again.ProcessVersion != v2.ID {
			t.Errorf("a new ticket follows %d, want %d", again.ProcessVersion, v2.ID)
		}
		if tk = h.get(tk.ID); tk.ProcessVersion != v1.ID || tk.StageName != "核实" {
			t.Errorf("the running ticket stands in %q of %d", tk.StageName, tk.ProcessVersion)
		}
		tk, err = h.P.Move(h.Ctx, h.As("jizhu"), tk.ID, "m2", ticket.StageInput{Cause: "标签贴错"})
		h.OK(err)
		if tk.StageName != "答复" {
			t.Errorf("the running ticket went to %q", tk.StageName)
		}
		vs, err := h.P.Versions(h.Ctx, admin, p.ID)
		h.OK(err)
		if len(vs) != 2 || vs[0].Number != 2 || vs[0].Running != 1 || vs[1].Running != 1 || vs[0].Note != "去掉核实" {
			t.Errorf("versions %+v", vs)
		}
		w, err := h.P.Words(h.Ctx, i18n.ZhCN)
		h.OK(err)
		if df := vs[0].Definition.Diff(vs[1].Definition, w); len(df) != 6 {
			t.Errorf("differences %+v", df)
		}
		// Out of force: new tickets follow none.
		h.OK(h.P.SetLive(h.Ctx, admin, p.ID, 0, false))
		if none := h.complaint(); none.ProcessVersion != 0 || none.Stage != "" {
			t.Errorf("out of force, a ticket follows %d", none.ProcessVersion)
		}
		wantKey(t, "delete", h.P.Delete(h.Ctx, admin, p.ID, 0), fault.Conflict, "process.was_published")
		p, err = h.P.Restore(h.Ctx, admin, p.ID, 0, 1)
		h.OK(err)
		if !same(p.Draft, v1.Definition) {
			t.Errorf("restored %+v", p.Draft)
		}
		h.Invariants()
	})
}

// The clock of a stage warns, is missed once, tells whom it should, rests while
// the customer is asked, and ends with the stage and with the ticket.
func TestClock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.publish(h.simple())
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		fired := func() (out []string) {
			rows, err := h.D.Read().Query(h.Ctx, `SELECT c.state, f.step FROM clocks c JOIN clock_firings f ON f.clock_id = c.id WHERE c.kind = 'stage' ORDER BY f.id`)
			if err != nil {
				rows, err = h.D.Read().Query(h.Ctx, `SELECT c.state, f.step FROM clocks c JOIN clock_firings f ON f.clock_id = c.id WHERE c.kind = 'stage' ORDER BY c.id, f.step`)
			}
			h.OK(err)
			defer rows.Close()
			for rows.Next() {
				var s string
				var n int
				h.OK(rows.Scan(&s, &n))
				out = append(out, fmt.Sprint(n))
			}
			return out
		}
		h.Clock.Advance(47 * time.Minute)
		h.Sweep()
		if got := fired(); len(got) != 0 {
			t.Errorf("too early: %v", got)
		}
		h.Clock.Advance(2 * time.Minute)
		h.Sweep()
		h.Sweep()
		if got := fired(); !slices.Equal(got, []string{"0"}) {
			t.Errorf("at 80 %%: %v", got)
		}
		// While the customer is asked it rests.
		tk = h.Move("kefu", tk, ticket.Ask, ticket.Input{Body: "请提供编号"})
		h.Clock.Advance(5 * time.Hour)
		h.Sweep()
		if got := fired(); len(got) != 1 {
			t.Errorf("it ran while the customer was asked: %v", got)
		}
		tk = h.Move("kefu", tk, ticket.Resume, ticket.Input{Reason: "客户来电"})
		h.Clock.Advance(12 * time.Minute)
		h.Sweep()
		h.Sweep()
		if got := fired(); !slices.Equal(got, []string{"0", "1"}) {
			t.Errorf("missed: %v", got)
		}
		var args string
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND detail LIKE '%sla.clock.stage%'`, tk.ID).Scan(&args))
		if args != "2" {
			t.Errorf("%s lines in the journal", args)
		}
		open := func() (n int, due time.Duration) {
			cs, err := sla.Open(h.Ctx, h.D.Read(), tk.ID)
			h.OK(err)
			for _, c := range cs {
				if c.Kind == sla.Stage {
					n, due = n+1, c.Target
				}
			}
			return n, due
		}
		tk, err := h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", ticket.StageInput{})
		h.OK(err)
		if n, due := open(); n != 1 || due != 2*time.Hour {
			t.Errorf("%d clocks of %v in the next stage", n, due)
		}
		h.Move("jizhu", tk, ticket.Cancel, ticket.Input{Code: "mistake"})
		if n, _ := open(); n != 0 {
			t.Errorf("%d clocks of a cancelled ticket", n)
		}
		h.Clock.Advance(9 * time.Hour)
		h.Sweep()
		if got := fired(); len(got) != 2 {
			t.Errorf("fired after the end: %v", got)
		}
		h.Invariants()
	})
}

// A process only takes away, and never what customers and the program do.
func TestNarrow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		d := h.simple()
		d.Stages[0].Verbs = nil
		d.Stages[0].States = []ticket.State{ticket.Pending, ticket.InProgress}
		h.publish(d)
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		_, err := h.Do(h.Ctx, h.As("zhuguan"), tk.ID, ticket.Cancel, ticket.Input{Code: "mistake"})
		wantKey(t, "cancel", err, fault.Conflict, "process.verb_refused")
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		for v, in := range map[ticket.Verb]ticket.Input{ticket.Ask: {Body: "?"}, ticket.Reassign: {Reason: "x", AssigneeID: h.User["kefu2"]}, ticket.RequestHelp: {Body: "x", DepartmentID: h.dep("物流部")}} {
			_, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, v, in)
			wantKey(t, string(v), err, fault.Conflict, "process.verb_refused")
		}
		for _, v := range h.Allowed(h.Ctx, h.As("kefu"), &tk) {
			if slices.Contains(Narrowable, v) || slices.Contains(chosen, v) {
				t.Errorf("offered %s", v)
			}
		}
		// Somebody else's ticket without a process is as it was.
		other := h.Register()
		h.Move("zhuguan", other, ticket.Cancel, ticket.Input{Code: "mistake"})
		// What is wider than the table is refused by the table, whatever a process says.
		for _, s := range ticket.States {
			for _, v := range ticket.Verbs {
				if _, ok := ticket.Leads(s, v); ok {
					continue
				}
				p := Position{Stage: "s1", State: s}
				if _, err := d.Do(p, v, nil); err == nil {
					t.Errorf("%s from %s passes", v, s)
				}
			}
		}
		// The way out when reality does not fit.
		_, err = h.P.Quit(h.Ctx, h.As("kefu"), tk.ID, 0, "x")
		wantKey(t, "quit by the assignee", err, fault.Forbidden, "ticket.only_supervisor")
		_, err = h.P.Quit(h.Ctx, h.As("zhuguan"), tk.ID, 0, " ")
		wantKey(t, "quit without a reason", err, fault.Invalid, "ticket.need_reason")
		tk, err = h.P.Quit(h.Ctx, h.As("zhuguan"), tk.ID, 0, "客户要求书面处理")
		h.OK(err)
		h.Move("kefu", tk, ticket.Ask, ticket.Input{Body: "?"})
		h.Invariants()
	})
}

// The company's own fields, records, answers and files as requirements.
func TestRequirements(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		admin := h.As("guanli")
		fid, err := h.Customers.Fields().Save(h.Ctx, admin, field.Field{Object: field.Ticket, Code: "serial", Kind: field.Text, Label: field.Words{Zh: "序列号"}})
		h.OK(err)
		d := h.simple()
		d.Stages[0].Required = []string{"fields.serial", "record", "category"}
		h.publish(d)
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		miss := func(in ticket.StageInput) string {
			_, err := h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", in)
			f, ok := fault.As(err)
			if !ok {
				return fmt.Sprint(err)
			}
			var out []string
			for _, x := range f.Fields {
				out = append(out, x.Field)
			}
			return strings.Join(out, " ")
		}
		if got := miss(ticket.StageInput{}); got != "category fields.serial record" {
			t.Errorf("missing %q", got)
		}
		h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		_, err = h.FollowUp(h.Ctx, h.As("kefu"), tk.ID, "电话核对了购买时间和故障现象，客户要求周五前答复", journal.Record{Method: "phone"}, nil)
		h.OK(err)
		if got := miss(ticket.StageInput{Fields: field.Input{fid: {"SN1"}}}); got != "category" {
			t.Errorf("missing %q", got)
		}
		cs, err := ticket.Categories(h.Ctx, h.D.Read())
		h.OK(err)
		moved, err := h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", ticket.StageInput{Fields: field.Input{fid: {"SN1"}}, CategoryID: cs[0].ID, Cause: "无关"})
		h.OK(err)
		if moved.CategoryID != cs[0].ID {
			t.Error("the category is not there")
		}
		if moved.Cause != "" {
			t.Error("a step writes what its stage does not ask for")
		}
		vals, err := h.FieldValues(h.Ctx, h.D.Read(), tk.ID)
		h.OK(err)
		if vals[fid].Str != "SN1" {
			t.Errorf("the field holds %q", vals[fid].Str)
		}
		h.Invariants()
	})
}

// The most particular process is followed, sub-tickets follow none, a ticket
// without one can be given it.
func TestWhose(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		admin := h.As("guanli")
		cs, err := ticket.Categories(h.Ctx, h.D.Read())
		h.OK(err)
		var parent, child int64
		for _, c := range cs {
			if c.ParentID != 0 {
				parent, child = c.ParentID, c.ID
				break
			}
		}
		before := h.complaint()
		id := map[string]int64{}
		for _, f := range []Fresh{{Name: "类型", Type: "complaint"}, {Name: "类别", Type: "complaint", Class: "problem"}, {Name: "分类", Type: "complaint", CategoryID: parent}} {
			d := h.simple()
			f.Draft = &d
			p, err := h.P.Create(h.Ctx, admin, f)
			h.OK(err)
			_, err = h.P.Publish(h.Ctx, admin, p.ID, 0, "")
			h.OK(err)
			id[f.Name] = p.ID
		}
		d := h.simple()
		p, err := h.P.Create(h.Ctx, admin, Fresh{Name: "又一个", Type: "complaint", Draft: &d})
		h.OK(err)
		_, err = h.P.Publish(h.Ctx, admin, p.ID, 0, "")
		wantKey(t, "two for the same", err, fault.Conflict, "process.live_other")
		for _, c := range []struct {
			class    string
			category int64
			want     string
		}{{"", 0, "类型"}, {"problem", 0, "类别"}, {"consulting", 0, "类型"}, {"", parent, "分类"}, {"", child, "分类"}, {"problem", child, "分类"}} {
			tk := h.complaint(func(in *ticket.RegisterInput) { in.Class, in.CategoryID = c.class, c.category })
			if tk.ProcessID != id[c.want] {
				t.Errorf("class %q, category %d: process %d, want %s", c.class, c.category, tk.ProcessID, c.want)
			}
		}
		if tk := h.Register(); tk.ProcessID != 0 {
			t.Error("a consultation follows a process of complaints")
		}
		if before = h.get(before.ID); before.ProcessID != 0 {
			t.Error("a ticket from before follows it")
		}
		got, err := h.P.Start(h.Ctx, h.As("zhuguan"), before.ID)
		h.OK(err)
		if got.ProcessID != id["类型"] || got.StageName != "受理" {
			t.Errorf("started %d in %q", got.ProcessID, got.StageName)
		}
		_, err = h.P.Start(h.Ctx, h.As("zhuguan"), before.ID)
		wantKey(t, "twice", err, fault.Conflict, "process.has_one")
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		h.Move("kefu", tk, ticket.RequestHelp, ticket.Input{Body: "请检测", DepartmentID: h.dep("物流部")})
		kids, err := h.Children(h.Ctx, tk.ID)
		h.OK(err)
		if len(kids) != 1 || kids[0].ProcessID != 0 {
			t.Errorf("sub-tickets %+v", kids)
		}
		// Lists find them by stage.
		page, err := h.List(h.Ctx, ticket.View(admin), ticket.Filter{Process: id["类型"], Stage: "s1"})
		h.OK(err)
		if len(page.Rows) != 4 || page.Rows[0].StageName != "受理" {
			t.Errorf("%d in the stage", len(page.Rows))
		}
		h.Invariants()
	})
}

// Who may design, and what is refused while designing.
func TestDesign(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		for _, login := range []string{"kefu", "zhuguan", "zongjian", "shenji"} {
			_, err := h.P.Create(h.Ctx, h.As(login), Fresh{Name: "x", Type: "complaint"})
			if !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s creates: %v", login, err)
			}
			if _, err := h.P.List(h.Ctx, h.As(login)); !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s lists: %v", login, err)
			}
		}
		admin := h.As("guanli")
		for _, e := range Examples {
			p, err := h.P.Create(h.Ctx, admin, Fresh{Name: e.Name, NameEn: e.NameEn, Type: e.Type, Example: e.Key})
			h.OK(err)
			ps, err := h.P.Problems(h.Ctx, p)
			h.OK(err)
			if Fatal(ps) {
				t.Errorf("the example %s cannot be published: %+v", e.Key, ps)
			}
			if p.Draft.Stages[1].Department == 0 {
				t.Errorf("the example %s does not know the departments", e.Key)
			}
		}
		_, err := h.P.Create(h.Ctx, admin, Fresh{Name: Examples[0].Name, Type: "nonsense"})
		if f, _ := fault.As(err); f == nil || len(f.Fields) != 2 {
			t.Errorf("name taken and type unknown: %v", err)
		}
		p, err := h.P.Create(h.Ctx, admin, Fresh{Name: "空白", Type: "other"})
		h.OK(err)
		h.Events()
		p, code, err := h.P.SaveStage(h.Ctx, admin, p.ID, p.Version, Stage{Name: " 甲 ", States: []ticket.State{ticket.InProgress, ticket.Pending, "nonsense"}, Required: []string{"record", "cause", "cause"}}, false, false)
		h.OK(err)
		st := p.Draft.Stages[0]
		if st.Name != "甲" || len(st.States) != 2 || st.States[0] != ticket.Pending || !slices.Equal(st.Required, []string{"cause", "record"}) || p.Draft.Start != code {
			t.Errorf("kept %+v, start %q", st, p.Draft.Start)
		}
		if evs := h.Events(); evs != "process.changed" {
			t.Errorf("recorded %s", evs)
		}
		if _, _, err := h.P.SaveStage(h.Ctx, admin, p.ID, 0, Stage{Name: "甲"}, false, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("two of one name: %v", err)
		}
		p, two, err := h.P.SaveStage(h.Ctx, admin, p.ID, 0, Stage{Name: "乙", States: Dwellings, Final: true}, false, true)
		h.OK(err)
		if two == code || p.Draft.Again != two {
			t.Errorf("codes %s and %s, again %q", code, two, p.Draft.Again)
		}
		for what, m := range map[string]Move{"to itself": step("", code, code, "x", ""), "to nowhere": step("", code, "zz", "x", ""), "without a name": step("", code, two, " ", ""), "by nobody": {From: code, To: two, Name: "x"}} {
			if _, err := h.P.SaveMove(h.Ctx, admin, p.ID, 0, m); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		p, err = h.P.SaveMove(h.Ctx, admin, p.ID, 0, step("", code, two, "下一步", ""))
		h.OK(err)
		if _, err := h.P.SaveMove(h.Ctx, admin, p.ID, 0, step("", code, two, "下一步", "")); !fault.Is(err, fault.Invalid) {
			t.Errorf("the same button twice: %v", err)
		}
		p, err = h.P.ShiftStage(h.Ctx, admin, p.ID, 0, two, true)
		h.OK(err)
		if p.Draft.Stages[0].Code != two {
			t.Error("not shifted")
		}
		h.OK(h.P.Delete(h.Ctx, admin, p.ID, 0))
		_, err = h.P.Get(h.Ctx, admin, p.ID)
		wantKey(t, "deleted", err, fault.NotFound, "process.not_found")
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	k := Known{Departments: map[int64]string{1: "客服部", 2: "技术支持部"}, Fields: map[string]string{"serial": "序列号", "visit": "上门日期"}, Types: map[string][]string{"visit": {"after_sales"}}, Type: "complaint"}
	good := func() Definition {
		return Definition{Start: "a", Stages: []Stage{stage("a", "甲", "", "", 1, 60), stage("b", "乙", "", "", 2, 0).final()}, Moves: []Move{step("m", "a", "b", "去", "")}}
	}
	for _, c := range []struct {
		name   string
		change func(d *Definition)
		want   string // keys without prefix, "!" before fatal ones
	}{
		{"sound", func(d *Definition) {}, ""},
		{"empty", func(d *Definition) { *d = Definition{} }, "!empty"},
		{"no start", func(d *Definition) { d.Start = "" }, "!no_start"},
		{"no end", func(d *Definition) { d.Stages[1].Final = false }, "!no_final"},
		{"out of reach", func(d *Definition) { d.Stages = append(d.Stages, stage("c", "丙", "", "", 0, 0).final()) }, "!unreachable"},
		{"nothing connected", func(d *Definition) { d.Moves = nil }, "!no_moves"},
		{"dead end", func(d *Definition) {
			d.Stages = append(d.Stages, stage("c", "丙", "", "", 0, 0))
			d.Moves = append(d.Moves, step("n", "a", "c", "入", ""))
		}, "!dead_end"},
		{"department closed", func(d *Definition) { d.Stages[0].Department = 9 }, "!department"},
		{"field unknown", func(d *Definition) { d.Stages[0].Required = []string{"fields.gone"} }, "!field"},
		{"requirement unknown", func(d *Definition) { d.Stages[0].Required = []string{"nonsense"} }, "!field"},
		{"field of another type", func(d *Definition) { d.Stages[0].Required = []string{"fields.visit"} }, "!field_type"},
		{"field known", func(d *Definition) { d.Stages[0].Required = []string{"fields.serial", "record"} }, ""},
		{"circle", func(d *Definition) { d.Moves = append(d.Moves, step("n", "b", "a", "回", "").backwards()) }, "circle"},
		{"record of a complaint", func(d *Definition) { d.Stages[0].Required = []string{"complaint.calm"} }, ""},
		{"record nobody knows", func(d *Definition) { d.Stages[0].Required = []string{"complaint.nonsense"} }, "!field"},
		{"never asked", func(d *Definition) { d.Stages[0].Required = []string{"cause"}; d.Moves[0].Free = true }, "never_asked"},
		{"no state", func(d *Definition) {
			d.Stages[1].States = nil
			d.Stages[1].Department = 0
			d.Stages[1].Final = false
			d.Stages[0].Final = true
		}, "!dead_end !no_state !move_states"},
		{"start not pending", func(d *Definition) { d.Stages[0].States = []ticket.State{ticket.InProgress} }, "!start_state"},
		{"department not pending", func(d *Definition) { d.Stages[1].States = []ticket.State{ticket.InProgress} }, "!department_state"},
		{"again not pending", func(d *Definition) {
			d.Stages[1].States, d.Stages[1].Department, d.Again = []ticket.State{ticket.InProgress}, 0, "b"
		}, "!again_state"},
		{"final without work", func(d *Definition) { d.Stages[1].States = []ticket.State{ticket.Pending} }, "!final_state"},
		{"only waiting", func(d *Definition) { d.Stages[0].States = []ticket.State{ticket.Pending, ticket.WaitingCustomer} }, "!waits_only"},
		{"nothing in common", func(d *Definition) {
			d.Stages[0].States = []ticket.State{ticket.Pending}
			d.Stages[1].States, d.Stages[1].Department = []ticket.State{ticket.InProgress}, 0
		}, "!move_states"},
		{"to itself", func(d *Definition) { d.Moves = append(d.Moves, step("n", "a", "a", "圈", "")) }, "!move_self"},
		{"to nowhere", func(d *Definition) { d.Moves = append(d.Moves, step("n", "a", "z", "圈", "")) }, "!move_nowhere"},
		{"nobody", func(d *Definition) { d.Moves[0].Who = nil }, "!move_nobody"},
		{"twice", func(d *Definition) { d.Moves = append(d.Moves, step("n", "a", "b", "去", "")) }, "!move_twice"},
	} {
		d := good()
		c.change(&d)
		var got []string
		for _, p := range d.Check(k) {
			x := strings.TrimPrefix(p.Key, "process.problem.")
			if p.Fatal {
				x = "!" + x
			}
			got = append(got, x)
			for _, l := range i18n.Langs {
				if s := i18n.T(l, p.Key, p.Args...); strings.Contains(s, "{") || strings.Contains(s, "⟦") {
					t.Errorf("%s in %s: %q", c.name, l, s)
				}
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, strings.Join(got, " "), c.want)
		}
	}
	records := k
	records.Records = []complaint.Step{complaint.Receive, complaint.Calm}
	repair := k
	repair.Type = "after_sales"
	for _, c := range []struct {
		k    Known
		asks []string
		want string
	}{{records, nil, "no_records"}, {records, []string{"complaint.calm"}, "record_nowhere"}, {records, Records, ""}, {repair, []string{"complaint.calm"}, "record_type"}} {
		d := good()
		d.Stages[0].Required = c.asks
		if ps := d.Check(c.k); len(ps) > 1 || len(ps) == 0 && c.want != "" || len(ps) == 1 && ps[0].Key != "process.problem."+c.want {
			t.Errorf("%v: %v, want %s", c.asks, ps, c.want)
		}
	}
	d := good()
	d.Moves = append(d.Moves, step("n", "b", "a", "回", ""))
	if ps := d.Check(k); len(ps) != 1 || ps[0].Args[0] != "甲 → 乙 → 甲" {
		t.Errorf("the circle is named %v", ps)
	}
}

// The trial and the real run call the same functions: the same walk leads through
// the same stages, states and departments, and is refused at the same places.
func TestTrialIsTheRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		admin, boss := h.As("guanli"), h.As("guanli")
		routed := h.complaint().DepartmentID
		deps := []int64{0, h.dep("客服部"), h.dep("技术支持部"), h.dep("客户服务中心")}
		// Everybody answers to the administrator here, so that persons do not matter.
		h.OK(h.D.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET capacity = 100000`)
			return err
		}))
		taken, refused := 0, 0
		for seed := range uint64(14) {
			r := rand.New(rand.NewPCG(seed, 5))
			n := 2 + r.IntN(5)
			d := random(r, n, 3*n)
			for i := range d.Stages {
				d.Stages[i].Department = deps[r.IntN(len(deps))]
			}
			d.Moves = slices.DeleteFunc(d.Moves, func(m Move) bool { return m.From == m.To })
			def := d.Clone()
			p, err := h.P.Create(h.Ctx, admin, Fresh{Name: fmt.Sprint("随机", seed), Type: "complaint", Draft: &def})
			h.OK(err)
			// Unsound ones run too: what is checked is that both go alike.
			d = p.Draft
			h.OK(h.Run.Do(h.Ctx, admin, "test.publish", func(ctx context.Context, a *action.Action) error {
				a.Nothing()
				_, err := a.Exec(ctx, `INSERT INTO process_versions (process_id, number, name, definition, published_at) SELECT id, 1, name, draft, 1 FROM processes WHERE id = $1`, p.ID)
				if err != nil {
					return err
				}
				if _, err = a.Exec(ctx, `UPDATE processes SET live = 0`); err != nil {
					return err
				}
				_, err = a.Exec(ctx, `UPDATE processes SET live = 1, latest = 1 WHERE id = $1`, p.ID)
				return err
			}))
			h.Clock.Advance(6 * time.Second) // until it is known
			tk := h.complaint()
			dep := routed
			try := d.Try(Position{State: ticket.Pending, Department: dep}, nil, nil)
			for range 25 {
				pos := try.Pos
				if got := position(&tk); got != pos {
					t.Fatalf("seed %d: stands at %+v, the trial says %+v", seed, got, pos)
				}
				if out := d.From(pos.Stage); len(out) > 0 && r.IntN(3) > 0 {
					m := out[r.IntN(len(out))]
					in := ticket.StageInput{}
					if r.IntN(2) == 0 {
						in.Cause = "原因"
					}
					had := try.Have["cause"]
					st, _ := d.Stage(pos.Stage)
					try.Have["cause"] = had || in.Cause != "" && slices.Contains(st.Required, "cause")
					err := try.Step("m:" + m.Code)
					got, gerr := h.P.Move(h.Ctx, boss, tk.ID, m.Code, in)
					if (err == nil) != (gerr == nil) || err != nil && fault.KindOf(err) != fault.KindOf(gerr) {
						t.Fatalf("seed %d: step %+v at %+v: %v, the trial says %v", seed, m, pos, gerr, err)
					}
					if err == nil {
						tk = got
						taken++
					} else {
						try.Have["cause"] = had // what a refused step brought is not kept
						refused++
					}
					continue
				}
				v := []ticket.Verb{ticket.Assign, ticket.Acknowledge, ticket.Ask, ticket.Resume, ticket.Decline, ticket.RequestConfirmation, ticket.Withdraw, ticket.Dispute}[r.IntN(8)]
				in := map[ticket.Verb]ticket.Input{ticket.Assign: {AssigneeID: h.User["guanli"], DepartmentID: pos.Department}, ticket.Ask: {Body: "?"}, ticket.Resume: {Reason: "x"}, ticket.Decline: {Reason: "x"}, ticket.Withdraw: {Reason: "x"},
					ticket.RequestConfirmation: {Solution: "s", Cause: "c", Corrective: "k", DelayReason: "d"}, ticket.Dispute: {Rating: &ticket.Rating{Stars: 1}}}[v]
				by := boss
				if tk.AssigneeID != 0 && v != ticket.Assign {
					a, err := h.Org.Actor(h.Ctx, tk.AssigneeID)
					h.OK(err)
					by = a
				}
				had := try.Have["cause"]
				try.Have["cause"] = had || v == ticket.RequestConfirmation
				err := try.Could("v:" + string(v))
				if v == ticket.Assign && err == nil && !slices.Contains(boss.Teams, pos.Department) {
					continue // he cannot be given it there
				}
				got, gerr := h.Do(h.Ctx, by, tk.ID, v, in)
				if err == nil && fault.Is(gerr, fault.Forbidden) {
					try.Have["cause"] = had
					continue // nobody has it
				}
				if (err == nil) != (gerr == nil) {
					t.Fatalf("seed %d: %s at %+v: %v, the trial says %v", seed, v, pos, gerr, err)
				}
				if err != nil {
					try.Have["cause"] = had
					refused++
					continue
				}
				h.OK(try.Step("v:" + string(v)))
				tk = got
				taken++
			}
		}
		if taken < 60 || refused < 40 {
			t.Errorf("only %d steps taken and %d refused", taken, refused)
		}
		h.Invariants()
	})
}

// A ticket without a process costs no query: neither at its moves, nor when it is
// registered, nor beside it on the screen.
func TestCostsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.publish(h.simple())
		plain := h.Register() // what is in force is known now
		if plain.ProcessID != 0 {
			t.Fatal("it follows a process")
		}
		var none db.Querier // who asks, fails
		kefu := h.As("kefu")
		for _, v := range ticket.Verbs {
			h.OK(h.P.narrow(h.Ctx, none, kefu, &plain, v))
			h.OK(h.P.gate(h.Ctx, nil, &plain, v, &ticket.Input{}))
			h.OK(h.P.after(h.Ctx, nil, plain, &plain, v, ticket.Input{}))
		}
		h.OK(h.P.after(h.Ctx, nil, ticket.Ticket{}, &plain, ticket.Register, ticket.Input{}))
		if _, ok, err := h.P.Of(h.Ctx, kefu, &plain); ok || err != nil {
			t.Errorf("it stands somewhere: %v", err)
		}
		if _, ok, err := h.P.Startable(h.Ctx, &plain); ok || err != nil {
			t.Errorf("it could enter one: %v", err)
		}
	})
}

// The stages of a process of complaints ask for their records; the company's own
// requirement holds beside it.
func TestStagesCarryTheRecords(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := &house{House: tickettest.New(t, d, c)}
		cs := complaint.New(h.Run, h.Org, h.Service, h.Customers, h.Files)
		h.P = New(h.Run, h.Service, h.Org, h.Customers.Fields(), h.Files, cs)
		h.OK(cs.SetSettings(h.Ctx, h.As("guanli"), complaint.Settings{Required: []complaint.Step{complaint.Receive, complaint.Calm}}))
		h.publish(Definition{Start: "s1", Stages: []Stage{stage("s1", "受理", "", "", 0, 0, "complaint.receive"), stage("s2", "答复", "", "", 0, 0).final()}, Moves: []Move{step("m1", "s1", "s2", "转答复", "")}})
		tk := h.complaint(func(in *ticket.RegisterInput) { in.AssigneeID = h.User["kefu"] })
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		_, err := h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", ticket.StageInput{})
		wantKey(t, "before the record", err, fault.Invalid, "process.missing")
		if f, _ := fault.As(err); len(f.Fields) != 1 || f.Fields[0].Field != "complaint.receive" {
			t.Errorf("missing %v", f.Fields)
		}
		record := func(s complaint.Step, v complaint.Values) {
			t.Helper()
			_, err := cs.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: s, Values: v})
			h.OK(err)
		}
		record(complaint.Receive, complaint.Values{"product": "监护仪", "wish": "repair"})
		tk, err = h.P.Move(h.Ctx, h.As("kefu"), tk.ID, "m1", ticket.StageInput{})
		h.OK(err)
		answer := func() error {
			_, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x", Cause: "y", Corrective: "z"})
			return err
		}
		wantKey(t, "what the company requires and no stage asks for", answer(), fault.Conflict, "complaint.missing")
		record(complaint.Calm, complaint.Values{"at": "2026-01-01T00:00:00Z", "means": "phone", "said": "致歉", "mood": "calm"})
		h.OK(answer())
		h.Invariants()
	})
}

// Open tickets that are imported follow the process in force from its first stage,
// and stay with whom the table names.
func TestImportedTicketsFollowTheProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		d := h.simple()
		d.Stages[0].Department = h.dep("技术支持部")
		_, v := h.publish(d)
		who := h.complaint()
		rows := []ticket.ImportRow{}
		for i, x := range []struct {
			typ   string
			state ticket.State
		}{{"complaint", ticket.Pending}, {"complaint", ticket.InProgress}, {"complaint", ticket.WaitingCustomer}, {"complaint", ticket.Closed}, {"consultation", ticket.Pending}} {
			r := ticket.ImportRow{Title: "迁移", Type: x.typ, Urgency: "normal", Channel: "phone", Customer: customer.Target{Ref: customer.Ref{ID: who.CustomerID, Name: who.CustomerName, Level: customer.Normal}},
				DepartmentID: h.dep("客服部"), State: x.state, ImportKey: "t:" + strconv.Itoa(i), CreatedAt: h.Clock.Now().Add(-time.Hour)}
			if x.state != ticket.Pending {
				r.AssigneeID, r.AssigneeName = h.User["kefu"], "王小美"
			}
			rows = append(rows, r)
		}
		var out []ticket.Imported
		h.OK(h.Run.Do(h.Ctx, authz.System("importer"), "test.import", func(ctx context.Context, a *action.Action) (err error) {
			out, err = h.Import(ctx, a, rows)
			return err
		}))
		for i, want := range []int64{v.ID, v.ID, 0, 0, 0} {
			h.OK(out[i].Err)
			tk := h.get(out[i].ID)
			if tk.ProcessVersion != want || tk.DepartmentID != h.dep("客服部") || tk.State != rows[i].State {
				t.Errorf("row %d follows %d in department %d, %s", i, tk.ProcessVersion, tk.DepartmentID, tk.State)
			}
			if want == 0 {
				continue
			}
			st, ok, err := h.P.Of(h.Ctx, h.As("guanli"), &tk)
			h.OK(err)
			if !ok || st.Stage.Code != "s1" || len(st.Way) != 1 || st.Clock == nil || tk.DueClock != sla.Stage {
				t.Errorf("row %d stands at %+v, due by %s", i, st.Stage, tk.DueClock)
			}
		}
		second := h.get(out[1].ID)
		second, err := h.P.Move(h.Ctx, h.As("kefu"), second.ID, "m1", ticket.StageInput{})
		h.OK(err)
		if second.Stage != "s2" {
			t.Errorf("went to %s", second.Stage)
		}
		h.Invariants()
	})
}

// A department that a stage in force belongs to stays open.
func TestDepartmentInUse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		id, err := h.Org.CreateDepartment(h.Ctx, h.As("guanli"), org.DepartmentInput{Name: "质量部"})
		h.OK(err)
		d := h.simple()
		d.Stages[1].Department = id
		p, _ := h.publish(d)
		dep, _, err := h.Org.Department(h.Ctx, h.D.Read(), id)
		h.OK(err)
		err = h.Org.DeactivateDepartment(h.Ctx, h.As("guanli"), id, dep.Version)
		wantKey(t, "close it", err, fault.Conflict, "process.department_used")
		if f, _ := fault.As(err); !strings.Contains(i18n.T(i18n.ZhCN, f.Key, f.Args...), "流程「投诉处理」的阶段「核实」") {
			t.Errorf("it says %v", f.Args)
		}
		h.OK(h.P.SetLive(h.Ctx, h.As("guanli"), p.ID, 0, false))
		h.OK(h.Org.DeactivateDepartment(h.Ctx, h.As("guanli"), id, dep.Version))
	})
}

// Stages that nothing leads out of are connected in their order; what leads
// somewhere already, and the end, is left alone.
func TestChain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		admin := h.As("guanli")
		d := Definition{Start: "a", Stages: []Stage{stage("a", "甲", "A", "", 0, 0), stage("b", "乙", "B", "", 0, 0), stage("c", strings.Repeat("丙", 20), "", "", 0, 0), stage("e", "丁", "", "", 0, 0).final()},
			Moves: []Move{step("m", "b", "e", "直接办结", "")}}
		p, err := h.P.Create(h.Ctx, admin, Fresh{Name: "链", Type: "complaint", Draft: &d})
		h.OK(err)
		p, err = h.P.Chain(h.Ctx, admin, p.ID, p.Version)
		h.OK(err)
		var got []string
		for _, m := range p.Draft.Moves {
			got = append(got, m.From+m.To+m.Name)
		}
		if want := []string{"be直接办结", "ab转乙", "ce转丁"}; !slices.Equal(got, want) {
			t.Errorf("connected %v, want %v", got, want)
		}
		before := p.Version
		if p, err = h.P.Chain(h.Ctx, admin, p.ID, 0); err != nil || p.Version != before {
			t.Errorf("a second time: %d, %v", p.Version, err)
		}
	})
}
