package rule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/process"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
)

// A rule puts tags on and takes them off, makes a task with a deadline for
// somebody, and lets a ticket follow a process; a dry run says what it would do.
func TestTagTaskProcess(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		night, err := w.SaveTag(w.Ctx, w.Admin, 0, "夜间", "violet")
		w.OK(err)
		old, err := w.SaveTag(w.Ctx, w.Admin, 0, "待核", "gray")
		w.OK(err)
		d := process.Examples[1].Make(func(name string) int64 { return w.Dept[name] })
		p, err := w.Procs.Create(w.Ctx, w.Admin, process.Fresh{Name: "上门维修", NameEn: "Repair", Type: "other", Draft: &d})
		w.OK(err)
		_, err = w.Procs.Publish(w.Ctx, w.Admin, p.ID, p.Version, "")
		w.OK(err)
		w.Clock.Advance(6 * time.Second)

		act := func(do string, kv ...string) Act {
			a := Act{Do: do, Values: map[string]string{}}
			for i := 0; i < len(kv); i += 2 {
				a.Values[kv[i]] = kv[i+1]
			}
			return a
		}
		for _, bad := range []struct {
			act Act
			key string
		}{
			{act(DoTag), "rule.act.tag_none"}, {act(DoTag, "add", "999"), "ticket.tag.unknown"},
			{act(DoTask, "who", "nobody", "text", "x", "amount", "2", "unit", "hours"), "rule.act.choose"},
			{act(DoTask, "who", "assignee", "text", "", "amount", "2", "unit", "hours"), "rule.act.text"},
			{act(DoTask, "who", "assignee", "text", "x", "amount", "0", "unit", "hours"), "rule.act.task_time"},
			{act(DoTask, "who", "user", "user", "0", "text", "x", "amount", "1", "unit", "days"), "rule.act.person"},
			{act(DoTask, "who", "assignee", "text", "{password}", "amount", "1", "unit", "days"), "rule.act.word"},
			{act(DoProcess, "process", "999"), "rule.act.process_gone"},
		} {
			_, err := w.S.Save(w.Ctx, w.Admin, Rule{Name: "bad", When: on("registered"), Then: []Act{bad.act}})
			if f, ok := fault.As(err); !ok || len(f.Fields) == 0 || f.Fields[0].Key != bad.key {
				t.Errorf("%v: %v, want %s", bad.act, err, bad.key)
			}
		}

		then := []Act{act(DoTag, "add", fmt.Sprint(night), "remove", fmt.Sprint(old)), act(DoTask, "who", "supervisor", "text", "核对 {number}", "amount", "4", "unit", "hours"), act(DoProcess, "process", fmt.Sprint(p.ID))}
		r := w.rule(Rule{Name: "夜间来电", When: on("registered"), If: all(is("tags", fmt.Sprint(old))), Then: then})
		w.rule(Rule{Name: "已打标签", When: on("tagged"), If: all(is("tags", fmt.Sprint(night))), Then: []Act{say(DoNote, "夜间工单")}})
		x := w.Register(func(in *ticket.RegisterInput) { in.Tags = []int64{old} })
		w.Register()
		w.drain()
		x = w.ticket(x.ID)
		if !x.Tags.Has(night) || x.Tags.Has(old) || x.ProcessID != p.ID || x.OpenTasks != 1 {
			t.Fatalf("tags %q, process %d, %d tasks", x.Tags, x.ProcessID, x.OpenTasks)
		}
		if got := w.firings(LogFilter{Rule: r.ID}); !slices.Equal(got, []string{"done tag:done task:done process:done"}) {
			t.Errorf("log: %q", got)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_firings`); n != 2 {
			t.Errorf("%d firings: the rule on tags follows the one that tags", n)
		}
		if n := w.count(`SELECT COUNT(*) FROM tasks WHERE owner_id = $1 AND subject_id = $2 AND origin = $3 AND title = $4 AND due_at = $5`,
			w.User["zhuguan"], x.ID, string(task.ByAutomation), "核对 "+x.Number, w.Clock.Now().Add(4*time.Hour).UnixMicro()); n != 1 {
			t.Errorf("task: %d, %s", n, w.text(`SELECT title || ' ' || owner_id || ' ' || due_at FROM tasks`))
		}

		before := w.state()
		names, err := w.S.Names(w.Ctx)
		w.OK(err)
		out, err := w.S.Try(w.Ctx, w.Admin, Rule{Name: "try", When: on("registered"), Then: then}, 1)
		w.OK(err)
		got := ""
		for _, h := range out.Hits {
			if h.Ticket.ID != x.ID {
				continue
			}
			for _, would := range h.Would {
				got += would.How + " " + w.S.Say(would.Act, i18n.ZhCN, nil, names) + " " + would.Text + "; "
			}
		}
		if want := "same 打标签：+夜间 −待核 ; would 创建待办：部门主管，“核对 {number}”，4 小时内完成 " + w.As("zhuguan").Name + ": 核对 " + x.Number + "; same 启动流程：上门维修 ; "; got != want {
			t.Errorf("a dry run says %q, want %q", got, want)
		}
		if w.state() != before {
			t.Error("a dry run has written")
		}
	})
}

// What a rule does decides which of those behind it are asked again.
func TestAskedAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		note := func(name, text string, conds ...Cond) {
			w.rule(Rule{Name: name, When: on("registered"), If: all(conds...), Then: []Act{say(DoNote, text)}})
		}
		note("before", "0", is("class", "problem"))
		w.rule(Rule{Name: "sets", When: on("registered"), Then: []Act{set("class", "problem"), set("urgency", "low")}})
		note("class", "1", is("class", "problem"))
		note("urgent", "2", is("urgency", "urgent"))
		note("both", "3", is("urgency", "low"), is("type", "consultation", "after_sales", "complaint", "other"))
		note("title", "4", Cond{"title", OpHas, []string{"证书"}})
		x := w.Register(func(in *ticket.RegisterInput) { in.Urgency, in.Class = "urgent", "" })
		w.drain()
		if got := w.text(`SELECT COALESCE((SELECT body FROM entries WHERE kind = 'note' AND ticket_id = $1 ORDER BY id LIMIT 1), '') || COALESCE((SELECT body FROM entries WHERE kind = 'note' AND ticket_id = $2 ORDER BY id LIMIT 1 OFFSET 1), '') ||
			COALESCE((SELECT body FROM entries WHERE kind = 'note' AND ticket_id = $3 ORDER BY id LIMIT 1 OFFSET 2), '') || COALESCE((SELECT body FROM entries WHERE kind = 'note' AND ticket_id = $4 ORDER BY id LIMIT 1 OFFSET 3), '')`, x.ID, x.ID, x.ID, x.ID); got != "134" {
			t.Errorf("rules %q, want 134", got)
		}
	})
}
