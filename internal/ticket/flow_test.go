package ticket_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

var each = func(t *testing.T, f func(t *testing.T, h *tickettest.House)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, tickettest.New(t, d, c)) })
}

// Every pair of state and verb: what the table of the lifecycle lists succeeds
// for the party it names, all else is refused in the words of the state.
func TestEveryPair(t *testing.T) {
	t.Parallel()
	type result struct {
		by string // login, or "customer", or "system"
		to ticket.State
		in ticket.Input
	}
	bad := &ticket.Rating{Stars: 2}
	table := map[ticket.State]map[ticket.Verb]result{
		ticket.Pending: {
			ticket.Assign:      {by: "zhuguan", to: ticket.Pending},
			ticket.Take:        {by: "kefu", to: ticket.InProgress},
			ticket.Acknowledge: {by: "kefu", to: ticket.InProgress},
			ticket.Decline:     {by: "kefu", to: ticket.Pending, in: ticket.Input{Reason: "不属于我的产品线"}},
			ticket.Cancel:      {by: "zhuguan", to: ticket.Cancelled, in: ticket.Input{Code: "spam"}},
			ticket.Merge:       {by: "kefu", to: ticket.Cancelled},
		},
		ticket.InProgress: {
			ticket.Ask:                 {by: "kefu", to: ticket.WaitingCustomer, in: ticket.Input{Body: "请提供编号"}},
			ticket.Reassign:            {by: "kefu", to: ticket.Pending, in: ticket.Input{Reason: "请假"}},
			ticket.RequestHelp:         {by: "kefu", to: ticket.InProgress, in: ticket.Input{Body: "请检测主板"}},
			ticket.RequestConfirmation: {by: "kefu", to: ticket.AwaitingConfirmation, in: ticket.Input{Solution: "已更换主板"}},
			ticket.Cancel:              {by: "zhuguan", to: ticket.Cancelled, in: ticket.Input{Code: "withdrawn"}},
			ticket.Merge:               {by: "kefu", to: ticket.Cancelled},
		},
		ticket.WaitingCustomer: {
			ticket.Answer: {by: "customer", to: ticket.InProgress, in: ticket.Input{Body: "编号是 A-17"}},
			ticket.Resume: {by: "kefu", to: ticket.InProgress, in: ticket.Input{Reason: "客户来电补充"}},
			ticket.Cancel: {by: "zhuguan", to: ticket.Cancelled, in: ticket.Input{Code: "withdrawn"}},
			ticket.Merge:  {by: "kefu", to: ticket.Cancelled},
		},
		ticket.AwaitingConfirmation: {
			ticket.Confirm:  {by: "customer", to: ticket.Completed, in: ticket.Input{Rating: &ticket.Rating{Stars: 5, Solved: true}}},
			ticket.Dispute:  {by: "customer", to: ticket.Pending, in: ticket.Input{Rating: bad}},
			ticket.Lapse:    {by: "system", to: ticket.Completed},
			ticket.Withdraw: {by: "kefu", to: ticket.InProgress, in: ticket.Input{Reason: "结果有误"}},
		},
		ticket.Completed: {
			ticket.Reopen: {by: "zhuguan", to: ticket.Pending, in: ticket.Input{Reason: "客户来电称又坏了"}},
			ticket.Close:  {by: "kefu", to: ticket.Closed},
		},
		ticket.Closed:    {},
		ticket.Cancelled: {},
	}
	each(t, func(t *testing.T, h *tickettest.House) {
		survivor := h.To(ticket.InProgress)
		for _, s := range ticket.States {
			for _, v := range ticket.Verbs {
				tk := h.To(s)
				h.Events()
				want, legal := table[s][v]
				in := want.in
				switch v {
				case ticket.Assign, ticket.Reassign:
					in.AssigneeID = h.User["kefu2"]
				case ticket.RequestHelp:
					in.DepartmentID = h.Dept["技术支持部"]
				case ticket.Merge:
					in.Duplicate = survivor.Number
				}
				var by authz.Actor
				switch want.by {
				case "customer":
					by = h.The(tk)
				case "system":
					by = authz.System("test")
				case "":
					by = h.As("guanli")
				default:
					by = h.As(want.by)
				}
				got, err := h.Do(h.Ctx, by, tk.ID, v, in)
				if !legal {
					f, ok := fault.As(err)
					if !ok || f.Kind != fault.Conflict || f.Key != "ticket.refused" {
						t.Errorf("%s from %s: %v, want a refusal in the words of the state", v, s, err)
					}
					if evs := h.Events(); evs != "" {
						t.Errorf("%s from %s was refused and recorded %s", v, s, evs)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s from %s by %s: %v", v, s, want.by, err)
					continue
				}
				if got.State != want.to {
					t.Errorf("%s from %s leads to %s, want %s", v, s, got.State, want.to)
				}
				if evs := h.Events(); !strings.Contains(evs, "ticket.") {
					t.Errorf("%s from %s recorded %q", v, s, evs)
				}
			}
		}
		h.Invariants()
	})
}

// Who may: every party that the table does not name is refused.
func TestParties(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for _, c := range []struct {
			name  string
			state ticket.State
			verb  ticket.Verb
			by    string
			in    ticket.Input
			want  fault.Kind
		}{
			{"a colleague acknowledges", ticket.Pending, ticket.Acknowledge, "kefu2", ticket.Input{}, fault.Forbidden},
			{"the supervisor acknowledges", ticket.Pending, ticket.Acknowledge, "zhuguan", ticket.Input{}, fault.Forbidden},
			{"a colleague takes what is somebody's", ticket.Pending, ticket.Take, "kefu2", ticket.Input{}, fault.Conflict},
			{"another department takes", ticket.Pending, ticket.Take, "gong", ticket.Input{}, fault.NotFound},
			{"an agent assigns", ticket.Pending, ticket.Assign, "kefu2", ticket.Input{}, fault.Forbidden},
			{"an agent cancels", ticket.Pending, ticket.Cancel, "kefu", ticket.Input{Code: "spam"}, fault.Forbidden},
			{"the auditor acknowledges", ticket.Pending, ticket.Acknowledge, "shenji", ticket.Input{}, fault.Forbidden},
			{"sales sees nothing", ticket.Pending, ticket.Acknowledge, "xiaoshou", ticket.Input{}, fault.NotFound},
			{"another department's supervisor", ticket.InProgress, ticket.Cancel, "jizhu", ticket.Input{Code: "spam"}, fault.NotFound},
			{"the head cancels", ticket.InProgress, ticket.Cancel, "zongjian", ticket.Input{Code: "spam"}, ""},
			{"without reason", ticket.Pending, ticket.Decline, "kefu", ticket.Input{}, fault.Invalid},
			{"no question", ticket.InProgress, ticket.Ask, "kefu", ticket.Input{}, fault.Invalid},
			{"no solution", ticket.InProgress, ticket.RequestConfirmation, "kefu", ticket.Input{}, fault.Invalid},
			{"cancel without code", ticket.InProgress, ticket.Cancel, "zhuguan", ticket.Input{}, fault.Invalid},
			{"duplicate of nothing", ticket.InProgress, ticket.Cancel, "zhuguan", ticket.Input{Code: "duplicate", Duplicate: "TASK0"}, fault.Invalid},
			{"confirm with two stars", ticket.AwaitingConfirmation, ticket.Confirm, "kefu", ticket.Input{Rating: &ticket.Rating{Stars: 2, Solved: true}}, fault.Conflict},
			{"dispute with five stars", ticket.AwaitingConfirmation, ticket.Dispute, "kefu", ticket.Input{Rating: &ticket.Rating{Stars: 5, Solved: true}}, fault.Invalid},
			{"six stars", ticket.AwaitingConfirmation, ticket.Confirm, "kefu", ticket.Input{Rating: &ticket.Rating{Stars: 6, Solved: true}}, fault.Invalid},
			{"staff lets lapse", ticket.AwaitingConfirmation, ticket.Lapse, "zhuguan", ticket.Input{}, fault.Forbidden},
			{"stale version", ticket.Pending, ticket.Acknowledge, "kefu", ticket.Input{Version: 99}, fault.Conflict},
			{"help of nobody", ticket.InProgress, ticket.RequestHelp, "kefu", ticket.Input{}, fault.Invalid},
			{"an engineer may not pass on", ticket.Pending, ticket.Reassign, "gong", ticket.Input{Reason: "x"}, fault.NotFound},
		} {
			tk := h.To(c.state)
			h.Events()
			_, err := h.Do(h.Ctx, h.As(c.by), tk.ID, c.verb, c.in)
			if fault.KindOf(err) != c.want {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			if evs := h.Events(); (evs == "") != (c.want != "") {
				t.Errorf("%s recorded %q", c.name, evs)
			}
		}
		other := h.To(ticket.AwaitingConfirmation)
		stranger := h.The(other)
		stranger.CustomerID++
		if _, err := h.Do(h.Ctx, stranger, other.ID, ticket.Confirm, ticket.Input{}); !fault.Is(err, fault.NotFound) {
			t.Errorf("another customer confirms: %v", err)
		}
	})
}

// TKT-1, 4, 5 and the row "register" of the table.
func TestRegister(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		in := h.Input()
		tk, err := h.Service.Register(h.Ctx, h.As("kefu"), in)
		h.OK(err)
		if tk.Number != "TASK20261119001" || tk.State != ticket.Pending || tk.Priority != "high" || tk.DepartmentID != h.Dept["客服部"] || tk.AssigneeID == 0 {
			t.Errorf("registered %+v", tk)
		}
		// Least loaded: six more spread evenly over kefu, kefu2 and zhuguan.
		for range 5 {
			if _, err := h.Service.Register(h.Ctx, h.As("kefu"), in); err != nil {
				t.Fatal(err)
			}
		}
		load, err := ticket.Load(h.Ctx, h.D.Read(), []int64{h.User["kefu"], h.User["kefu2"], h.User["zhuguan"]})
		h.OK(err)
		for who, n := range load {
			if n != 2 {
				t.Errorf("user %d has %d of six tickets among three", who, n)
			}
		}
		// An empty pool goes to the supervisor, never to a random person.
		in.DepartmentID = h.Dept["物流部"]
		tk, err = h.Service.Register(h.Ctx, h.As("kefu"), in)
		h.OK(err)
		if tk.AssigneeID != 0 || tk.SupervisorID != h.User["zongjian"] {
			t.Errorf("empty pool: assignee %d, supervisor %d, want the head of the department above", tk.AssigneeID, tk.SupervisorID)
		}
		if !strings.HasPrefix(h.Events(), "") {
			t.Error()
		}
		for name, change := range map[string]func(*ticket.RegisterInput){
			"title":           func(in *ticket.RegisterInput) { in.Title = " " },
			"type":            func(in *ticket.RegisterInput) { in.Type = "咨询" },
			"urgency":         func(in *ticket.RegisterInput) { in.Urgency = "" },
			"channel":         func(in *ticket.RegisterInput) { in.Channel = "fax" },
			"customer":        func(in *ticket.RegisterInput) { in.CustomerID = 0 },
			"description":     func(in *ticket.RegisterInput) { in.Description = strings.Repeat("长", 20001) },
			"priority_reason": func(in *ticket.RegisterInput) { in.Priority = "low" },
			"department":      func(in *ticket.RegisterInput) { in.DepartmentID = 999 },
			"category":        func(in *ticket.RegisterInput) { in.CategoryID = 999 },
			"assignee":        func(in *ticket.RegisterInput) { in.AssigneeID = h.User["xiaoshou"] },
		} {
			in := h.Input()
			change(&in)
			_, err := h.Service.Register(h.Ctx, h.As("kefu"), in)
			f, ok := fault.As(err)
			if !ok || len(f.Fields) == 0 || f.Fields[0].Field != name {
				t.Errorf("bad %s: %v", name, err)
			}
		}
		if _, err := h.Service.Register(h.Ctx, h.As("shenji"), h.Input()); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the auditor registers: %v", err)
		}
		h.Invariants()
	})
}

// TKT-7, SLA-3: reminder after one hour, the supervisor's desk after two.
func TestAcknowledgeEscalates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.Register()
		h.Events()
		h.Clock.Advance(59 * time.Minute)
		if n := h.Sweep(); n != 0 {
			t.Errorf("%d steps fired after 59 minutes", n)
		}
		h.Clock.Advance(time.Minute)
		h.Sweep()
		if evs := h.Events(); evs != "ticket.clock_reminded" {
			t.Errorf("after one hour: %q", evs)
		}
		h.Clock.Advance(time.Hour)
		h.Sweep()
		if evs := h.Events(); evs != "ticket.clock_missed" {
			t.Errorf("after two hours: %q", evs)
		}
		tk, err := h.Get(h.Ctx, ticket.View(h.As("zhuguan")), tk.ID)
		h.OK(err)
		if tk.SupervisorID != h.User["zhuguan"] || tk.Escalation != 1 || !tk.Overdue {
			t.Errorf("not on the supervisor's desk: %+v", tk)
		}
		p, err := h.List(h.Ctx, ticket.View(h.As("zhuguan")), ticket.Filter{View: "desk"})
		h.OK(err)
		if len(p.Rows) != 1 || p.Rows[0].ID != tk.ID {
			t.Errorf("the desk shows %+v", p.Rows)
		}
		if h.Sweep() != 0 {
			t.Error("a step fired twice")
		}
		// Down for a month: everything fires at once on return, each step once.
		h.Clock.Advance(30 * 24 * time.Hour)
		n := h.Sweep()
		if n == 0 || h.Sweep() != 0 {
			t.Errorf("%d steps fired after a month", n)
		}
		h.Invariants()
	})
}

// TKT-6: urgent, not taken up within half an hour.
func TestUrgentReminder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		h.Register(func(in *ticket.RegisterInput) { in.Urgency = "urgent" })
		h.Events()
		h.Clock.Advance(30 * time.Minute)
		h.Sweep()
		h.OK(h.Follower.Drain(h.Ctx))
		evs, err := event.List(h.Ctx, h.D.Read(), event.Filter{Kind: "ticket.clock_missed"})
		h.OK(err)
		var f ticket.Fact
		if len(evs) != 1 || evs[0].Decode(&f) != nil || !f.Urgent || f.Clock != sla.Urgent || fmt.Sprint(f.Tell) != fmt.Sprint([]int64{h.User["kefu"], h.User["zhuguan"]}) {
			t.Errorf("urgent reminder: %+v", f)
		}
	})
}

// TKT-9, SLA-4: the resolution clock pauses while the customer is asked, and
// the time used is not lost.
func TestPause(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		h.Clock.Advance(10 * time.Hour)
		tk = h.Move("kefu", tk, ticket.Ask, ticket.Input{Body: "请提供编号"})
		h.Clock.Advance(50 * time.Hour)
		h.Sweep()
		tk, err := h.Do(h.Ctx, h.The(tk), tk.ID, ticket.Answer, ticket.Input{Body: "A-17"})
		h.OK(err)
		cs, err := sla.Of(h.Ctx, h.D.Read(), tk.ID)
		h.OK(err)
		for _, c := range cs {
			if c.Kind != sla.Resolution {
				continue
			}
			if want := h.Clock.Now().Add(38 * time.Hour); !c.DueAt.Equal(want) || c.Missed {
				t.Errorf("resolution due %v, want %v: 38 of 48 hours left", c.DueAt, want)
			}
			segs, err := sla.Segments(h.Ctx, h.D.Read(), c.ID)
			h.OK(err)
			if len(segs) != 2 || segs[0].EndReason != "asked" || segs[1].StartReason != "answered" {
				t.Errorf("segments %+v", segs)
			}
		}
		h.Invariants()
	})
}

// TKT-16, SAT-3: two stars; the supervisor is responsible, the round counts, a
// follow-up is due in 24 h; the second round ends well.
func TestSecondHandling(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.AwaitingConfirmation)
		link := h.Link(tk)
		tk, err := h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 2, Solved: true, Comment: "又坏了"})
		h.OK(err)
		if tk.State != ticket.Pending || tk.Round != 2 || tk.AssigneeID != 0 || tk.SupervisorID != h.User["zhuguan"] {
			t.Errorf("disputed: %+v", tk)
		}
		if got, _, err := h.ByLink(h.Ctx, link); err != nil || got.ID != tk.ID {
			t.Errorf("the customer can no longer look his request up: %v", err)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.Acknowledge, ticket.Input{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the old assignee acknowledges: %v", err)
		}
		h.Clock.Advance(24 * time.Hour)
		h.Sweep()
		h.OK(h.Follower.Drain(h.Ctx))
		evs, err := event.List(h.Ctx, h.D.Read(), event.Filter{Kind: "ticket.clock_missed"})
		h.OK(err)
		told := false
		for _, e := range evs {
			var f ticket.Fact
			h.OK(e.Decode(&f))
			told = told || f.Clock == sla.FollowUp && fmt.Sprint(f.Tell) == fmt.Sprint([]int64{h.User["zhuguan"], h.User["zongjian"]})
		}
		if !told {
			t.Error("nobody was told that the supervisor has not spoken to the customer")
		}
		_, err = h.FollowUp(h.Ctx, h.As("zhuguan"), tk.ID, "电话致歉，约定明早 9 点上门更换主板", journal.Record{Method: "phone"}, nil)
		h.OK(err)
		tk = h.Move("zhuguan", tk, ticket.Assign, ticket.Input{AssigneeID: h.User["kefu2"]})
		tk = h.Move("kefu2", tk, ticket.Acknowledge, ticket.Input{})
		if _, err := h.Do(h.Ctx, h.As("kefu2"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已换新机"}); err == nil {
			t.Error("a missed deadline needs no reason (TKT-13)")
		}
		tk = h.Move("kefu2", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已换新机", DelayReason: "等待备件"})
		tk, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 5, Solved: true})
		h.OK(err)
		if tk.State != ticket.Completed || tk.Outcome != ticket.OutcomeConfirmed {
			t.Errorf("second round: %+v", tk)
		}
		tk = h.Move("kefu2", tk, ticket.Close, ticket.Input{})
		rs, err := ticket.Ratings(h.Ctx, h.D.Read(), tk.ID)
		h.OK(err)
		if len(rs) != 2 || rs[0].Stars != 2 || rs[1].Stars != 5 {
			t.Errorf("ratings %+v", rs)
		}
		h.Invariants()
	})
}

// The lapse: reminders each day, completed by silence after three; a rating
// within the window still counts, a bad one reopens.
func TestLapse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.AwaitingConfirmation)
		for range 3 {
			h.Clock.Advance(24 * time.Hour)
			h.Sweep()
		}
		tk, err := h.Get(h.Ctx, ticket.View(h.As("kefu")), tk.ID)
		h.OK(err)
		if tk.State != ticket.Completed || tk.Outcome != ticket.OutcomeSilence {
			t.Fatalf("after three days of silence: %s %s", tk.State, tk.Outcome)
		}
		tk, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 4, Solved: true})
		h.OK(err)
		if tk.State != ticket.Completed || tk.Rating != 4 {
			t.Errorf("a late good rating: %s, %d stars", tk.State, tk.Rating)
		}
		tk, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 1, Solved: false})
		h.OK(err)
		if tk.State != ticket.Pending || tk.Round != 2 {
			t.Errorf("a late bad rating: %s, round %d", tk.State, tk.Round)
		}
		h.Invariants()
	})
}

// TKT-11: the main ticket waits for its parts; the lead owner is their customer.
func TestSubTicket(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		tk = h.Move("kefu", tk, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "请检测主板"})
		cs, err := h.Children(h.Ctx, tk.ID)
		h.OK(err)
		if len(cs) != 1 || cs[0].DepartmentID != h.Dept["技术支持部"] {
			t.Fatalf("children %+v", cs)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("confirmation with an open sub-ticket: %v", err)
		}
		child, err := h.Get(h.Ctx, ticket.View(h.As("kefu")), cs[0].ID) // the lead owner sees it
		h.OK(err)
		who := map[int64]string{h.User["gong"]: "gong", h.User["jizhu"]: "jizhu"}[child.AssigneeID]
		child = h.Move(who, child, ticket.Acknowledge, ticket.Input{})
		if _, err := h.Get(h.Ctx, ticket.View(h.As("gong")), tk.ID); who == "gong" && err != nil {
			t.Errorf("the helper does not see the main ticket: %v", err)
		}
		if _, err := h.Do(h.Ctx, h.As(who), child.ID, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["物流部"], Body: "x"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("help of a sub-ticket: %v", err)
		}
		child = h.Move(who, child, ticket.RequestConfirmation, ticket.Input{Solution: "主板正常，电源故障"})
		if _, err := h.Do(h.Ctx, h.As("kefu2"), child.ID, ticket.Confirm, ticket.Input{}); err == nil {
			t.Error("somebody other than the lead owner confirms a sub-ticket")
		}
		child = h.Move("kefu", child, ticket.Confirm, ticket.Input{})
		if child.State != ticket.Completed {
			t.Errorf("child is %s", child.State)
		}
		tk, err = h.Get(h.Ctx, ticket.View(h.As("kefu")), tk.ID)
		h.OK(err)
		tk = h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "更换电源"})
		if _, err := h.Do(h.Ctx, h.As("jizhu"), child.ID, ticket.Reopen, ticket.Input{Reason: "漏检"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a sub-ticket comes back behind an answered main ticket: %v", err)
		}
		h.Invariants()
	})
}

// CustomerWrites does what the state asks for.
func TestCustomerWrites(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for _, c := range []struct {
			from, to ticket.State
			fresh    bool
			event    string
		}{
			{ticket.InProgress, ticket.InProgress, false, "ticket.customer_wrote"},
			{ticket.WaitingCustomer, ticket.InProgress, false, "ticket.answered"},
			{ticket.AwaitingConfirmation, ticket.AwaitingConfirmation, false, "ticket.customer_wrote"},
			{ticket.Completed, ticket.Pending, false, "ticket.reopened ticket.customer_wrote"},
			{ticket.Closed, ticket.Pending, true, "ticket.registered"},
			{ticket.Cancelled, ticket.Pending, true, "ticket.registered"},
		} {
			tk := h.To(c.from)
			h.Events()
			got, err := h.CustomerWrites(h.Ctx, h.The(tk), tk.ID, "还是不行，请再看看", nil)
			h.OK(err)
			if got.State != c.to || (got.ID != tk.ID) != c.fresh {
				t.Errorf("customer writes to %s: now %s, new %v", c.from, got.State, got.ID != tk.ID)
			}
			if evs := h.Events(); evs != c.event {
				t.Errorf("customer writes to %s: %q, want %q", c.from, evs, c.event)
			}
			if c.fresh && got.FollowsID != tk.ID {
				t.Errorf("the new ticket follows %d, want %d", got.FollowsID, tk.ID)
			}
		}
		h.Invariants()
	})
}

// ORG-3: a marker nobody else may see appears in no list, count or search.
func TestScopes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		const marker = "绝密标记字样"
		tk := h.Register(func(in *ticket.RegisterInput) { in.Title = marker })
		h.OK(h.Follower.Drain(h.Ctx))
		sees := map[string]bool{"kefu": true, "kefu2": true, "zhuguan": true, "zongjian": true, "shenji": true, "guanli": true, "gong": false, "jizhu": false, "xiaoshou": false}
		for who, want := range sees {
			sc := ticket.View(h.As(who))
			if _, err := h.Get(h.Ctx, sc, tk.ID); (err == nil) != want {
				t.Errorf("%s gets it: %v", who, err)
			}
			for _, v := range ticket.BuiltIns {
				p, err := h.List(h.Ctx, sc, ticket.Filter{View: v.Key})
				h.OK(err)
				n, err := h.Counts(h.Ctx, sc, []ticket.Filter{{View: v.Key}})
				h.OK(err)
				if n[0] != len(p.Rows) {
					t.Errorf("%s: view %s has %d rows and the count %d", who, v.Key, len(p.Rows), n[0])
				}
				if len(p.Rows) > 0 && !want {
					t.Errorf("%s sees it in view %s", who, v.Key)
				}
			}
			for _, q := range []string{"绝密", "标记", tk.Number, "字样"} {
				p, err := h.List(h.Ctx, sc, ticket.Filter{Text: q})
				h.OK(err)
				if (len(p.Rows) > 0) != want {
					t.Errorf("%s searches %s: %d rows", who, q, len(p.Rows))
				}
			}
		}
		// By the customer's number, however it is typed; by nobody else's.
		for q, want := range map[string]int{"13812345678": 1, "138 1234 5678": 1, "+86-138-1234-5678": 1, "１３８１２３４５６７８": 1, "13812345679": 0} {
			for who, in := range map[string]bool{"kefu": true, "gong": false} {
				p, err := h.List(h.Ctx, ticket.View(h.As(who)), ticket.Filter{View: "all", Text: q})
				h.OK(err)
				if in && len(p.Rows) != want || !in && len(p.Rows) != 0 {
					t.Errorf("%s searches %s: %d rows", who, q, len(p.Rows))
				}
			}
		}
		// A watcher sees it, wherever he works.
		_, err := h.Note(h.Ctx, h.As("kefu"), tk.ID, "请看一下", []int64{h.User["gong"]}, nil)
		h.OK(err)
		p, err := h.List(h.Ctx, ticket.View(h.As("gong")), ticket.Filter{View: "all"})
		h.OK(err)
		if len(p.Rows) != 1 {
			t.Errorf("the mentioned colleague sees %d tickets", len(p.Rows))
		}
	})
}

// Keyset paging gives every ticket once, in every order, for every scope.
func TestPaging(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for i := range 23 {
			h.Register(func(in *ticket.RegisterInput) {
				in.Title = fmt.Sprint("请求 ", i)
				if i%3 == 0 {
					in.AssigneeID = h.User["kefu2"]
				}
			})
			if i%2 == 0 {
				h.Clock.Advance(time.Minute)
			}
		}
		for _, who := range []string{"kefu", "zongjian", "guanli"} {
			for _, s := range ticket.Sorts {
				seen := map[int64]bool{}
				f := ticket.Filter{View: "all", Sort: s, Limit: 5}
				for pages := 0; ; pages++ {
					p, err := h.List(h.Ctx, ticket.View(h.As(who)), f)
					h.OK(err)
					for _, r := range p.Rows {
						if seen[r.ID] {
							t.Fatalf("%s by %s: ticket %d twice", who, s, r.ID)
						}
						seen[r.ID] = true
					}
					if f.After = p.Next; p.Next == "" || pages > 10 {
						break
					}
				}
				if len(seen) != 23 {
					t.Errorf("%s by %s: %d of 23 tickets", who, s, len(seen))
				}
			}
		}
		if _, err := h.List(h.Ctx, ticket.View(h.As("guanli")), ticket.Filter{After: "x"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a broken cursor: %v", err)
		}
	})
}

// A call that reached the customer is a first response; a meeting about him is not.
func TestFirstResponseByPhone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for method, want := range map[string]bool{"phone": true, "visit": true, "meeting": false, "system": false} {
			tk := h.To(ticket.InProgress)
			tk, err := h.FollowUp(h.Ctx, h.As("kefu"), tk.ID, "电话联系王总，约定 15:30 上门检测", journal.Record{Method: method}, nil)
			h.OK(err)
			if tk.RespondedAt.IsZero() == want {
				t.Errorf("after a follow-up by %s: responded at %v", method, tk.RespondedAt)
			}
		}
		h.Invariants()
	})
}

// ORG-7
func TestHandover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.Register()
		u, err := h.Org.User(h.Ctx, authz.For(h.As("guanli"), "org.manage"), h.User["kefu"])
		h.OK(err)
		h.OK(h.Org.DeactivateUser(h.Ctx, h.As("guanli"), u.ID, u.Version, h.User["kefu2"]))
		tk, err = h.Get(h.Ctx, ticket.View(h.As("guanli")), tk.ID)
		h.OK(err)
		if tk.AssigneeID != h.User["kefu2"] {
			t.Errorf("assignee %d after the hand-over", tk.AssigneeID)
		}
		h.Invariants()
	})
}
