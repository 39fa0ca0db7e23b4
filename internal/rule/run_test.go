package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// A rule acts after the fact, under its name, through the tickets' own writes.
func TestFires(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.rule(Rule{Name: "VIP 优先", When: on("registered"), If: all(is("customer_level", "vip"), Cond{"words", OpHas, []string{"证书"}}),
			Then: []Act{set("priority", "urgent"), set("class", "problem"), say(DoNote, "{customer} 的工单 {number}，请优先处理"), {Do: DoNotify, Values: map[string]string{"who": "supervisor", "text": "{number} 来自 VIP"}}, {Do: DoEscalate}}})
		x := w.Register()
		w.drain()
		x = w.ticket(x.ID)
		if x.Priority != "urgent" || x.Class != "problem" || x.PriorityReason == "" || x.Escalation != 1 {
			t.Fatalf("priority %s (%s), class %s, escalation %d", x.Priority, x.PriorityReason, x.Class, x.Escalation)
		}
		if got := w.firings(LogFilter{}); !slices.Equal(got, []string{"done note:done notify:done escalate:done"}) && !slices.Equal(got, []string{"done set:done set:done note:done notify:done escalate:done"}) {
			t.Errorf("log: %q", got)
		}
		if n := w.count(`SELECT COUNT(*) FROM events WHERE actor_name = $1 AND actor_kind = 'system'`, "rule: VIP 优先"); n != 4 {
			t.Errorf("%d facts under the rule's name", n)
		}
		if n := w.count(`SELECT COUNT(*) FROM events WHERE kind = 'ticket.edited'`); n != 1 {
			t.Errorf("two fields were set in %d changes", n)
		}
		if body := w.text(`SELECT body FROM entries WHERE kind = 'note'`); body != w.Cust.Name+" 的工单 "+x.Number+"，请优先处理" {
			t.Errorf("note: %s", body)
		}
		if n := w.count(`SELECT COUNT(*) FROM notifications WHERE kind = 'rule.notified' AND user_id = $1`, w.User["zhuguan"]); n != 1 {
			t.Errorf("supervisor has %d notices", n)
		}
		other := w.Register(func(in *ticket.RegisterInput) { in.Title = "发票抬头有误" })
		w.drain()
		if got := w.ticket(other.ID); got.Priority == "urgent" {
			t.Error("fired although a condition does not hold")
		}
		if got, err := w.S.Get(w.Ctx, w.Admin, r.ID); err != nil || got.Fired != 1 || !got.FiredAt.Equal(w.Clock.Now()) {
			t.Errorf("counted %d at %s", got.Fired, got.FiredAt)
		}
		for _, actor := range []authz.Actor{w.As("kefu"), w.As("shenji")} {
			if _, err := w.S.Save(w.Ctx, actor, Rule{Name: "x"}); !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s may make rules: %v", actor.Name, err)
			}
		}
	})
}

// What a rule is not allowed to do is written down with its reason, and does not
// keep it from doing the rest.
func TestRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.rule(Rule{When: on("replied"), Then: []Act{{Do: DoAssign, Values: map[string]string{"to": "user", "user": fmt.Sprint(w.User["kefu2"])}}, say(DoNote, "x")}})
		x := w.To(ticket.InProgress)
		_, err := w.Reply(w.Ctx, w.As("kefu"), x.ID, "您好", nil)
		w.OK(err)
		w.drain()
		if got := w.firings(LogFilter{}); !slices.Equal(got, []string{"partly assign:refused(ticket.refused) note:done"}) {
			t.Fatalf("log: %q", got)
		}
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE rules SET actions = $1 WHERE id = $2`, `[{"do":"assign","values":{"to":"user","user":"`+fmt.Sprint(w.User["kefu2"])+`"}}]`, r.ID)
			return err
		}))
		w.restart()
		for range maxFailures {
			w.Clock.Advance(time.Hour + time.Second)
			_, err := w.Reply(w.Ctx, w.As("kefu"), x.ID, "您好", nil)
			w.OK(err)
			w.drain()
		}
		got, err := w.S.Get(w.Ctx, w.Admin, r.ID)
		if err != nil || got.Enabled || got.OffReason != "rule.off.refused" {
			t.Errorf("after %d refusals: on %v, %q", maxFailures, got.Enabled, got.OffReason)
		}
		if n := w.count(`SELECT COUNT(*) FROM notifications WHERE kind = $1 AND user_id = $2`, SwitchedOff, w.User["guanli"]); n != 1 {
			t.Errorf("the administrator has %d notices", n)
		}
	})
}

// Rules that call each other end; a rule that goes round by way of other people
// is switched off.
func TestLoops(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := w.rule(Rule{Name: "A", When: on("noted"), Then: []Act{say(DoNote, "from A")}})
		w.rule(Rule{Name: "B", When: on("noted"), If: all(Cond{"message", OpHas, []string{"from A"}}), Then: []Act{say(DoNote, "from B")}})
		x := w.Register()
		_, err := w.Note(w.Ctx, w.As("kefu"), x.ID, "开始", nil, nil)
		w.OK(err)
		w.drain()
		var bodies []string
		rows, err := w.D.Read().Query(w.Ctx, `SELECT body FROM entries WHERE kind = 'note' ORDER BY id`)
		w.OK(err)
		defer rows.Close()
		for rows.Next() {
			var b string
			w.OK(rows.Scan(&b))
			bodies = append(bodies, b)
		}
		if want := []string{"开始", "from A", "from B"}; !slices.Equal(bodies, want) {
			t.Errorf("notes %q, want %q", bodies, want)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_firings WHERE outcome = 'loop'`); n != 2 {
			t.Errorf("%d loops stopped", n) // A at its own note, A at B's
		}
		for range maxSameHour + 2 {
			_, err := w.Note(w.Ctx, w.As("kefu"), x.ID, "又一次", nil, nil)
			w.OK(err)
			w.drain()
		}
		if got, err := w.S.Get(w.Ctx, w.Admin, a.ID); err != nil || got.Enabled || got.OffReason != "rule.off.circles" {
			t.Errorf("A is on: %v %q %v", got.Enabled, got.OffReason, err)
		}
	})
}

// A chain of different rules ends at a depth, and a ticket that is fired upon too
// often is left alone.
func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range maxDepth + 3 {
			w.rule(Rule{When: on("noted"), If: all(Cond{"message", OpHas, []string{fmt.Sprintf("step%d!", i)}}), Then: []Act{say(DoNote, fmt.Sprintf("step%d!", i+1))}})
		}
		x := w.Register()
		_, err := w.Note(w.Ctx, w.As("kefu"), x.ID, "step0!", nil, nil)
		w.OK(err)
		w.drain()
		if n := w.count(`SELECT COUNT(*) FROM entries WHERE kind = 'note'`); n != maxDepth+1 {
			t.Errorf("%d notes", n)
		}
		y := w.Register()
		for i := range maxTicketHour + 5 {
			w.rule(Rule{Name: fmt.Sprint("many ", i), When: on("replied"), Then: []Act{set("class", []string{"problem", "support"}[i%2])}})
		}
		w.Move("kefu", y, ticket.Acknowledge, ticket.Input{})
		_, err = w.Reply(w.Ctx, w.As("kefu"), y.ID, "您好", nil)
		w.OK(err)
		w.drain()
		if n := w.count(`SELECT COUNT(*) FROM rule_firings WHERE ticket_id = $1 AND outcome = 'done'`, y.ID); n != maxTicketHour {
			t.Errorf("%d firings on one ticket", n)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_firings WHERE ticket_id = $1 AND outcome = 'limited'`, y.ID); n != 1 {
			t.Errorf("said %d times that it is too much", n)
		}
	})
}

// Rules run in their order; one may be the last.
func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.rule(Rule{Name: "一", When: on("registered"), StopAfter: true, If: all(is("urgency", "urgent")), Then: []Act{set("class", "problem")}})
		second := w.rule(Rule{Name: "二", When: on("registered"), Then: []Act{set("class", "support")}})
		urgent := func(in *ticket.RegisterInput) { in.Urgency = "urgent" }
		x, y := w.Register(urgent), w.Register()
		w.drain()
		if a, b := w.ticket(x.ID).Class, w.ticket(y.ID).Class; a != "problem" || b != "support" {
			t.Errorf("classes %s %s", a, b)
		}
		w.OK(w.S.Shift(w.Ctx, w.Admin, second.ID, true))
		z := w.Register(urgent)
		w.drain()
		if c := w.ticket(z.ID).Class; c != "problem" {
			t.Errorf("class %s: the second rule goes first, then the first", c)
		}
		if got := w.text(`SELECT class FROM (SELECT class FROM tickets WHERE id = $1) x`, z.ID); got != "problem" {
			t.Error(got)
		}
		_, err := w.S.SetEnabled(w.Ctx, w.Admin, first.ID, false)
		w.OK(err)
		u := w.Register(urgent)
		w.drain()
		if c := w.ticket(u.ID).Class; c != "support" {
			t.Errorf("class %s: a rule that is off fired", c)
		}
		var kinds []string
		evs, err := event.List(w.Ctx, w.D.Read(), event.Filter{Subject: event.Subject{Type: "rule"}})
		w.OK(err)
		for _, e := range evs {
			kinds = append(kinds, e.Kind)
		}
		slices.Reverse(kinds)
		if got := strings.Join(kinds, " "); got != "rule.created rule.created rule.moved rule.disabled" {
			t.Errorf("facts: %s", got)
		}
	})
}

// The rules' work and their place in the chain are committed together: whatever
// is cut short is done once.
func TestExactlyOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.rule(Rule{When: on("registered"), Then: []Act{say(DoNote, "once"), {Do: DoNotify, Values: map[string]string{"who": "assignee", "text": "x"}}}})
		x := w.Register()
		evs, err := event.Of(w.Ctx, w.D.Read(), ticket.Subject(x.ID), 0, 1)
		w.OK(err)
		// The machine stops after the work and before the commit.
		crash := errors.New("crash")
		err = w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := w.S.Listener().Handle(ctx, tx, evs); err != nil {
				return err
			}
			return crash
		})
		if !errors.Is(err, crash) {
			t.Fatal(err)
		}
		if n := w.count(`SELECT COUNT(*) FROM entries WHERE kind = 'note'`); n != 0 {
			t.Fatal("half of it stayed")
		}
		w.restart()
		w.drain()
		w.restart()
		w.drain()
		w.drain()
		if n := w.count(`SELECT COUNT(*) FROM entries WHERE kind = 'note'`); n != 1 {
			t.Errorf("%d notes", n)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_firings`); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

// A matter of time fires once for each occasion, also after a restart.
func TestTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		state := w.rule(Rule{Name: "待客户补充两天", When: When{Time: &Timing{Since: "state", State: ticket.WaitingCustomer, Minutes: 2880, Once: "state"}}, Then: []Act{say(DoNote, "waited")}})
		idle := w.rule(Rule{Name: "无动态", When: When{Time: &Timing{Since: "activity", Minutes: 600, Once: "state"}}, If: all(is("urgency", "urgent")), Then: []Act{say(DoNote, "idle")}})
		x := w.To(ticket.WaitingCustomer)
		sweep := func() int { w.T.Helper(); n, err := w.S.Sweep(w.Ctx); w.OK(err); w.drain(); return n }
		if n := sweep(); n != 0 {
			t.Fatalf("%d fired before their time", n)
		}
		w.Clock.Advance(48*time.Hour - time.Minute)
		if n := sweep(); n != 0 {
			t.Fatalf("%d fired a minute early", n)
		}
		w.Clock.Advance(time.Minute)
		if n := sweep(); n != 1 {
			t.Fatalf("%d fired", n)
		}
		for range 3 {
			w.restart()
			w.Clock.Advance(time.Hour)
			if n := sweep(); n != 0 {
				t.Fatalf("%d fired again", n)
			}
		}
		// A condition that comes to hold later is noticed by the rolling look.
		_, err := w.Edit(w.Ctx, w.As("kefu"), x.ID, ticket.Edit{Title: x.Title, Type: x.Type, Urgency: "urgent", Priority: ""})
		w.OK(err)
		w.Clock.Advance(10*time.Hour + time.Minute)
		w.drain()
		if n := sweep(); n != 1 {
			t.Errorf("%d fired when the condition held", n)
		}
		// The state is entered once more: another occasion.
		x, err = w.CustomerWrites(w.Ctx, w.The(x), x.ID, "编号 12", nil)
		w.OK(err)
		x = w.Move("kefu", x, ticket.Ask, ticket.Input{Body: "型号？"})
		w.Clock.Advance(49 * time.Hour)
		sweep()
		if n := w.count(`SELECT COUNT(*) FROM rule_firings WHERE rule_id = $1`, state.ID); n != 2 {
			t.Errorf("the state was entered twice, fired %d times", n)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_firings WHERE rule_id = $1`, idle.ID); n != 2 {
			t.Errorf("idle in two states, fired %d times", n)
		}
	})
}

// The log shows what happened to tickets in view only.
func TestLogScope(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.rule(Rule{When: on("registered"), Then: []Act{say(DoNote, "x")}})
		w.Register()
		w.Register(func(in *ticket.RegisterInput) {
			in.AssigneeID, in.DepartmentID = w.User["gong"], w.Dept["技术支持部"]
		})
		w.drain()
		for _, c := range []struct {
			who  string
			want int
		}{{"guanli", 2}, {"zongjian", 2}, {"zhuguan", 1}, {"jizhu", 1}} {
			lines, _, err := w.S.Log(w.Ctx, w.As(c.who), LogFilter{})
			if err != nil || len(lines) != c.want {
				t.Errorf("%s sees %d lines, want %d (%v)", c.who, len(lines), c.want, err)
			}
		}
		if _, _, err := w.S.Log(w.Ctx, w.As("kefu"), LogFilter{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent reads the log: %v", err)
		}
		w.Clock.Advance(keepLog + time.Hour)
		w.OK(w.S.Prune(w.Ctx))
		if n := w.count(`SELECT COUNT(*) FROM rule_firings`); n != 0 {
			t.Errorf("%d lines are kept for ever", n)
		}
	})
}

// A test run finds what would have happened and changes nothing.
func TestTry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 4 {
			w.Register(func(in *ticket.RegisterInput) {
				if i%2 == 0 {
					in.Urgency = "urgent"
				}
			})
		}
		w.drain()
		before := w.state()
		r := Rule{Name: "draft", When: on("registered"), If: all(is("urgency", "urgent")), Then: []Act{say(DoReply, "{number}"), set("urgency", "urgent"), {Do: DoEscalate}}}
		w.OK(w.S.Examine(w.Ctx, w.Admin, &r))
		got, err := w.S.Try(w.Ctx, w.Admin, r, 30)
		if err != nil || got.Looked != 4 || len(got.Hits) != 2 || got.Tickets != 2 {
			t.Fatalf("looked at %d, %d hits: %v", got.Looked, len(got.Hits), err)
		}
		h := got.Hits[0]
		if h.Would[0].Text != h.Ticket.Number || h.Would[1].How != "same" || len(h.Held) != 1 {
			t.Errorf("%+v", h)
		}
		r.When = When{Time: &Timing{Since: "created", Minutes: 60, Once: "ticket"}}
		w.Clock.Advance(2 * time.Hour)
		if got, err = w.S.Try(w.Ctx, w.Admin, r, 30); err != nil || len(got.Hits) != 2 || got.Looked != 4 {
			t.Errorf("of time: looked at %d, %d hits: %v", got.Looked, len(got.Hits), err)
		}
		w.drain()
		if after := w.state(); after != before {
			t.Errorf("a test run wrote: %s, before %s", after, before)
		}
	})
}

// The automatic answer: to the customer himself, on the channels chosen, never to
// a robot, never twice, and never in place of a person's word.
func TestAutoReply(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		re, err := w.S.Reply(w.Ctx)
		w.OK(err)
		re.On = true
		w.OK(w.S.SetReply(w.Ctx, w.Admin, re))
		if err := w.S.SetReply(w.Ctx, w.Admin, re); !fault.Is(err, fault.Conflict) {
			t.Errorf("an older page was saved: %v", err)
		}
		his := authz.Actor{Kind: authz.Customer, ID: w.Cust.Contacts[0].ID, CustomerID: w.Cust.ID, Name: "黎嘉敏"}
		ask := func(actor authz.Actor, change func(in *ticket.RegisterInput)) ticket.Ticket {
			t.Helper()
			in := w.Input()
			in.Channel = "website"
			if change != nil {
				change(&in)
			}
			x, err := w.Service.Register(w.Ctx, actor, in)
			w.OK(err)
			w.drain()
			return w.ticket(x.ID)
		}
		replies := func(x ticket.Ticket) int {
			return w.count(`SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind = 'reply'`, x.ID)
		}
		x := ask(his, nil)
		if replies(x) != 1 {
			t.Fatalf("%d answers", replies(x))
		}
		body := w.text(`SELECT body FROM entries WHERE ticket_id = $1 AND kind = 'reply'`, x.ID)
		if !strings.Contains(body, x.Number) || !strings.Contains(body, w.LookupCode(x)) || strings.Contains(body, "{") || !strings.Contains(body, "前给您答复") {
			t.Errorf("answer: %s", body)
		}
		if n := w.count(`SELECT COUNT(*) FROM deliveries WHERE ticket_id = $1 AND purpose = 'reply' AND entry_id > 0`, x.ID); n != 1 {
			t.Errorf("%d deliveries", n)
		}
		if !x.RespondedAt.IsZero() || x.CustomerAt.IsZero() {
			t.Error("an automatic answer counts as a word of ours")
		}
		clocks, err := sla.Open(w.Ctx, w.D.Read(), x.ID)
		w.OK(err)
		if !slices.ContainsFunc(clocks, func(c sla.Clock) bool { return c.Kind == sla.FirstResponse && c.State == sla.Running }) {
			t.Error("the first response is taken for given")
		}
		for name, x := range map[string]ticket.Ticket{
			"a robot":         ask(his, func(in *ticket.RegisterInput) { in.Automated = true }),
			"another channel": ask(his, func(in *ticket.RegisterInput) { in.Channel = "phone" }),
			"a colleague":     ask(w.As("kefu"), nil),
		} {
			if replies(x) != 0 {
				t.Errorf("%s was answered", name)
			}
		}
		w.restart()
		w.drain()
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error { // the event once more
			evs, err := event.Of(ctx, tx, ticket.Subject(x.ID), 0, 50)
			if err != nil {
				return err
			}
			return w.S.Listener().Handle(ctx, tx, evs[len(evs)-1:])
		}))
		if replies(x) != 1 {
			t.Errorf("answered %d times", replies(x))
		}
		for range repliesADay + 3 {
			x = ask(his, nil)
		}
		if n := w.count(`SELECT COUNT(*) FROM rule_occasions WHERE rule_id = 0`); n != repliesADay || replies(x) != 0 {
			t.Errorf("%d answers in a day", n)
		}
		if code := ReplyCode("Printer broken", false); code != "en_out" {
			t.Error(code)
		}
	})
}

// A fault of ours is tried again and then left out, so that it holds up nothing.
func TestGivesUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.rule(Rule{When: on("registered"), Then: []Act{say(DoNote, "x")}})
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `ALTER TABLE entries RENAME TO entries_away`)
			return err
		}))
		_ = r
		back := func() {
			w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `ALTER TABLE entries_away RENAME TO entries`)
				return err
			}))
		}
		back()
		x := w.Register()
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `ALTER TABLE entries RENAME TO entries_away`)
			return err
		}))
		for i := 1; i < internalRetries; i++ {
			if err := w.Follower.Drain(w.Ctx); err == nil {
				t.Fatal("nothing was wrong")
			}
		}
		if err := w.Follower.Drain(w.Ctx); err != nil {
			t.Fatalf("still in the way: %v", err)
		}
		back()
		got, err := w.S.Get(w.Ctx, w.Admin, r.ID)
		if err != nil || got.Enabled || got.OffReason != "rule.off.error" {
			t.Errorf("on %v, %q, %v", got.Enabled, got.OffReason, err)
		}
		if w.ticket(x.ID).ID == 0 || w.count(`SELECT COUNT(*) FROM rule_firings WHERE outcome = 'failed'`) != 1 {
			t.Error("the failure is not in the log")
		}
	})
}
