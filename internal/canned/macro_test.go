package canned

import (
	"slices"
	"strings"
	"testing"

	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

func (r *room) macro(t *testing.T, login, name string, steps []Step, change ...func(*MacroInput)) int64 {
	t.Helper()
	x := MacroInput{Name: name, Place: Place{Scope: Own}, Steps: steps, Active: true}
	for _, f := range change {
		f(&x)
	}
	id, err := r.Canned.SaveMacro(r.Ctx, r.As(login), 0, x)
	r.OK(err)
	return id
}

func (r *room) kinds(t *testing.T, id int64) (out []string) {
	t.Helper()
	evs, err := event.List(r.Ctx, r.D.Read(), event.Filter{Subject: ticket.Subject(id)})
	r.OK(err)
	for _, e := range evs {
		out = append(out, e.Kind)
	}
	slices.Reverse(out)
	return out
}

// A macro does all of its steps, under its name, or none of them.
func TestMacroAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		kefu := r.As("kefu")
		all := r.macro(t, "kefu", "受理并回复", []Step{{Kind: StepMove, Verb: ticket.Acknowledge}, {Kind: StepReply, Text: "{联系人}您好，{工单编号}已受理"}, {Kind: StepNote, Text: "已受理"},
			{Kind: StepUrgency, Value: "urgent"}, {Kind: StepWatch, ID: r.User["gong"]}, {Kind: StepMove, Verb: ticket.Ask, Text: "请提供编号"}})
		tk := r.To(ticket.Pending)
		before := len(r.kinds(t, tk.ID))
		_, steps, err := r.Canned.Try(r.Ctx, kefu, all, tk.ID)
		r.OK(err)
		for i, s := range steps {
			if s.Problem != nil || !s.Reached {
				t.Errorf("step %d: %v", i, s.Problem)
			}
		}
		if steps[1].Text != "黎嘉敏您好，"+tk.Number+"已受理" {
			t.Errorf("%q", steps[1].Text)
		}
		if n := len(r.kinds(t, tk.ID)); n != before {
			t.Errorf("the trial left %d facts", n-before)
		}
		if m, _ := r.Canned.Macro(r.Ctx, kefu, all); m.Uses != 0 {
			t.Error("a trial counts as a use")
		}
		now, err := r.Canned.Run(r.Ctx, kefu, all, tk.ID)
		if r.OK(err); now.State != ticket.WaitingCustomer || now.Urgency != "urgent" {
			t.Errorf("%s %s", now.State, now.Urgency)
		}
		want := "ticket.macro_ran ticket.acknowledged ticket.replied ticket.noted ticket.edited ticket.watcher_added ticket.asked"
		if got := strings.Join(r.kinds(t, tk.ID)[before:], " "); got != want {
			t.Errorf("%s", got)
		}

		// The last step cannot be done: nothing is.
		broken := r.macro(t, "kefu", "坏的", []Step{{Kind: StepNote, Text: "先写一句"}, {Kind: StepReply, Text: "已办"}, {Kind: StepMove, Verb: ticket.Close}})
		tk = r.To(ticket.InProgress)
		before = len(r.kinds(t, tk.ID))
		if _, err := r.Canned.Run(r.Ctx, kefu, broken, tk.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
		if got := r.kinds(t, tk.ID)[before:]; len(got) > 0 {
			t.Errorf("half of it stays: %v", got)
		}
		_, steps, err = r.Canned.Try(r.Ctx, kefu, broken, tk.ID)
		if r.OK(err); steps[0].Problem != nil || steps[1].Problem != nil || steps[2].Problem == nil || !steps[2].Reached {
			t.Errorf("%+v", steps)
		}
		// A gap in a text is never sent.
		gap := r.macro(t, "kefu", "有空位", []Step{{Kind: StepReply, Text: "{公司名称}感谢您"}})
		if _, err := r.Canned.Run(r.Ctx, kefu, gap, tk.ID); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
}

// A macro is no way around anybody's rights, and one's own are nobody else's.
func TestMacroRights(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		steps := []Step{{Kind: StepReply, Text: "您好"}}
		own := r.macro(t, "kefu", "我的", steps)
		shared := r.macro(t, "guanli", "大家的", steps, func(x *MacroInput) { x.Place = Place{Scope: Everybody} })
		complaint := r.macro(t, "guanli", "投诉的", steps, func(x *MacroInput) {
			x.Place, x.Types, x.States = Place{Scope: Everybody}, []string{"complaint"}, []string{"in_progress"}
		})
		off := r.macro(t, "guanli", "停用的", steps, func(x *MacroInput) { x.Place, x.Active = Place{Scope: Everybody}, false })
		tk := r.To(ticket.InProgress)
		names := func(login string, t2 ticket.Ticket) string {
			ms, err := r.Canned.Offered(r.Ctx, r.As(login), t2)
			r.OK(err)
			var out []string
			for _, m := range ms {
				out = append(out, m.Name)
			}
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		if got := names("kefu", tk); got != "大家的 我的" {
			t.Errorf("%s", got)
		}
		if got := names("kefu2", tk); got != "大家的" {
			t.Errorf("%s", got)
		}
		if got := names("kefu", r.To(ticket.InProgress, func(x *ticket.RegisterInput) { x.Type = "complaint" })); got != "大家的 我的 投诉的" {
			t.Errorf("%s", got)
		}
		for _, c := range []struct {
			by   string
			id   int64
			want fault.Kind
		}{{"kefu2", own, fault.NotFound}, {"kefu2", shared, fault.Forbidden}, {"kefu", complaint, fault.Conflict}, {"kefu", off, fault.Conflict}, {"shenji", shared, fault.Forbidden}} {
			if _, err := r.Canned.Run(r.Ctx, r.As(c.by), c.id, tk.ID); !fault.Is(err, c.want) {
				t.Errorf("%s, %d: %v", c.by, c.id, err)
			}
		}
		if ms, _, _ := r.Canned.Macros(r.Ctx, r.As("kefu2"), "", 0); slices.ContainsFunc(ms, func(m Macro) bool { return m.ID == own }) {
			t.Error("another's macro in the list")
		}
		if err := r.Canned.DeleteMacro(r.Ctx, r.As("kefu"), shared); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%v", err)
		}
		for _, c := range []struct {
			steps []Step
			want  string
		}{
			{nil, "steps.0.kind=macro.need_steps"},
			{[]Step{{Kind: "x"}}, "steps.0.kind=canned.need_choice"},
			{[]Step{{Kind: StepReply, Text: "{x}"}}, "steps.0.text=canned.unknown_variable"},
			{[]Step{{Kind: StepNote}, {Kind: StepAssign, To: "person", ID: 99999}}, "steps.0.text=canned.need_body steps.1.person=canned.need_choice"},
			{[]Step{{Kind: StepMove, Verb: ticket.Lapse}}, "steps.0.verb=canned.need_choice"},
			{[]Step{{Kind: StepMove, Verb: ticket.Cancel, Value: "duplicate"}}, "steps.0.code=canned.need_choice"},
			{[]Step{{Kind: StepPriority, Value: "high"}}, "steps.0.reason=ticket.need_priority_reason"},
			{slices.Repeat([]Step{{Kind: StepNote, Text: "x"}}, MaxSteps+1), "steps.0.kind=macro.many_steps"},
		} {
			_, err := r.Canned.SaveMacro(r.Ctx, r.As("kefu"), 0, MacroInput{Name: "a", Place: Place{Scope: Own}, Steps: c.steps})
			if got := fields(err); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		}
	})
}

// Giving the ticket to somebody takes the move that its state asks for.
func TestMacroAssigns(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		me := r.macro(t, "zhuguan", "归我", []Step{{Kind: StepAssign, To: "me"}})
		other := r.macro(t, "zhuguan", "给同事", []Step{{Kind: StepAssign, To: "person", ID: r.User["kefu2"]}})
		for _, s := range []ticket.State{ticket.Pending, ticket.InProgress} {
			tk := r.To(s)
			now, err := r.Canned.Run(r.Ctx, r.As("zhuguan"), other, tk.ID)
			if r.OK(err); now.AssigneeID != r.User["kefu2"] {
				t.Errorf("%s: %d", s, now.AssigneeID)
			}
			now, err = r.Canned.Run(r.Ctx, r.As("zhuguan"), me, tk.ID)
			if r.OK(err); now.AssigneeID != r.User["zhuguan"] {
				t.Errorf("%s: %d", s, now.AssigneeID)
			}
		}
	})
}

// The texts and macros of a fresh install can be used as they are.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for _, in := range first {
		if err := in.check().OrNil(); err != nil {
			t.Errorf("%s: %v", in.Title, err)
		}
	}
	for _, m := range firstMacros {
		if len(m.Steps) == 0 || len(m.Steps) > MaxSteps {
			t.Errorf("%s", m.Name)
		}
	}
}

// A macro puts tags on and takes them off, and runs on many tickets, each as on
// that one alone: what does not suit one is refused there, with its reason.
func TestMacroOnMany(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.AddBulk(r.Canned.Many())
		boss := r.As("zhuguan")
		night, err := r.SaveTag(r.Ctx, boss, 0, "夜间", "violet")
		r.OK(err)
		old, err := r.SaveTag(r.Ctx, boss, 0, "待核", "gray")
		r.OK(err)
		if _, err := r.Canned.SaveMacro(r.Ctx, boss, 0, MacroInput{Name: "坏的", Place: Place{Scope: Own}, Active: true, Steps: []Step{{Kind: StepTag, ID: 999}}}); err == nil {
			t.Error("a tag there is not")
		}
		id := r.macro(t, "zhuguan", "夜间批量", []Step{{Kind: StepTag, ID: night}, {Kind: StepUntag, ID: old}, {Kind: StepNote, Text: "{工单编号} 夜间来电"}}, func(in *MacroInput) { in.States = []string{"pending", "in_progress"} })
		a, b, closed := r.To(ticket.Pending), r.To(ticket.InProgress), r.To(ticket.Closed)
		_, err = r.Tag(r.Ctx, boss, a.ID, []int64{old}, nil)
		r.OK(err)
		if _, err := r.ChangeMany(r.Ctx, boss, []int64{a.ID}, ticket.BulkChange{Kind: "macro"}); err == nil {
			t.Error("no macro was chosen")
		}
		m, err := r.ChangeMany(r.Ctx, boss, []int64{a.ID, b.ID, closed.ID, 999999}, ticket.BulkChange{Kind: "macro", Of: id})
		r.OK(err)
		if m.Changed != 2 || m.Refused != 2 || m.State != "finished" {
			t.Errorf("%+v", m)
		}
		for _, x := range []ticket.Ticket{a, b} {
			now, err := r.Get(r.Ctx, ticket.View(boss), x.ID)
			r.OK(err)
			if !now.Tags.Has(night) || now.Tags.Has(old) {
				t.Errorf("%s: %q", x.Number, now.Tags)
			}
			if got := strings.Join(r.kinds(t, x.ID), " "); !strings.HasSuffix(got, "ticket.noted") || !strings.Contains(got, "ticket.macro_ran ticket.tagged") {
				t.Errorf("%s: %s", x.Number, got)
			}
		}
		lines, err := r.BulkLines(r.Ctx, boss, m.ID, 0, 9)
		r.OK(err)
		if len(lines) != 2 || lines[0].Outcome != ticket.OutcomeFailed || lines[1].Outcome != ticket.OutcomeHidden {
			t.Errorf("%+v", lines)
		}
		if x, _ := r.Canned.Macro(r.Ctx, boss, id); x.Uses != 2 {
			t.Errorf("%d uses", x.Uses)
		}
	})
}
