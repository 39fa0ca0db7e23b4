package ticket_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// alter changes the organisation behind the rooms and lets them notice.
func alter(h *tickettest.House, query string, args ...any) {
	h.T.Helper()
	h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		if _, err := a.Exec(ctx, query, args...); err != nil {
			return err
		}
		_, err := a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = 'org.generation'`)
		return err
	}))
	h.Restart()
}

func reload(h *tickettest.House, id int64) ticket.Ticket {
	h.T.Helper()
	t, err := h.Get(h.Ctx, authz.For(authz.System("test"), ticket.PermView), id)
	h.OK(err)
	return t
}

// told returns whom the newest event of kind about the ticket tells.
func told(h *tickettest.House, id int64, kind string) []int64 {
	h.T.Helper()
	evs, err := event.Of(h.Ctx, h.D.Read(), ticket.Subject(id), 0, 50)
	h.OK(err)
	for _, e := range evs {
		if e.Kind == kind {
			var f ticket.Fact
			h.OK(e.Decode(&f))
			return f.Tell
		}
	}
	h.T.Errorf("no %s about ticket %d", kind, id)
	return nil
}

// running returns the clock of kind k that runs, the zero clock when none does.
func running(h *tickettest.House, id int64, k sla.Kind) sla.Clock {
	h.T.Helper()
	cs, err := sla.Open(h.Ctx, h.D.Read(), id)
	h.OK(err)
	for _, c := range cs {
		if c.Kind == k {
			return c
		}
	}
	return sla.Clock{}
}

// Where nobody leads any department, an administrator answers for what is
// nobody's.
func TestNobodyLeads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		alter(h, `UPDATE departments SET supervisor_id = 0, head_id = 0`)
		in := h.Input()
		in.DepartmentID = h.Dept["物流部"] // without people
		tk, err := h.Service.Register(h.Ctx, h.As("kefu"), in)
		h.OK(err)
		if tk.SupervisorID != h.User["guanli"] {
			t.Errorf("an empty queue lies with %d, want the administrator", tk.SupervisorID)
		}
		tk = h.Register()
		tk = h.Move("kefu", tk, ticket.Decline, ticket.Input{Reason: "不属于我的产品线"})
		if tk.SupervisorID != h.User["guanli"] {
			t.Errorf("a declined ticket lies with %d, want the administrator", tk.SupervisorID)
		}
		tk = h.To(ticket.AwaitingConfirmation)
		tk, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 1})
		h.OK(err)
		if tk.SupervisorID != h.User["guanli"] {
			t.Errorf("a second handling lies with %d, want the administrator", tk.SupervisorID)
		}
		h.Invariants()
	})
}

// A closed department gets no work, and work that comes back to it is routed.
func TestClosedDepartment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		old := h.To(ticket.Closed, func(in *ticket.RegisterInput) { in.DepartmentID = h.Dept["客服部"] })
		pending, working := h.To(ticket.Pending), h.To(ticket.InProgress)
		alter(h, `UPDATE departments SET active = 0 WHERE id = $1`, h.Dept["物流部"])
		closed := h.Dept["物流部"]
		in := h.Input()
		in.DepartmentID = closed
		if _, err := h.Service.Register(h.Ctx, h.As("kefu"), in); !fault.Is(err, fault.Invalid) {
			t.Errorf("registered for a closed department: %v", err)
		}
		if _, err := h.Do(h.Ctx, h.As("zhuguan"), pending.ID, ticket.Assign, ticket.Input{DepartmentID: closed}); !fault.Is(err, fault.Invalid) {
			t.Errorf("assigned to a closed department: %v", err)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), working.ID, ticket.RequestHelp, ticket.Input{DepartmentID: closed, Body: "请协助"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("help of a closed department: %v", err)
		}
		alter(h, `UPDATE tickets SET department_id = $1 WHERE id = $2`, closed, old.ID)
		got, err := h.CustomerWrites(h.Ctx, h.The(old), old.ID, "又有问题了", nil)
		h.OK(err)
		if got.DepartmentID == closed || got.FollowsID != old.ID {
			t.Errorf("the follow-up of an archived ticket went to department %d", got.DepartmentID)
		}
	})
}

// What the customer gives after completion: late, twice, changed, as a picture,
// or by telephone.
func TestLateWords(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		// By telephone: any colleague may write down that he is not satisfied.
		tk := h.To(ticket.Completed)
		got, err := h.Rate(h.Ctx, h.As("kefu2"), tk.ID, ticket.Rating{Stars: 2, Solved: true, Comment: "又坏了"})
		h.OK(err)
		if got.State != ticket.Pending || got.Round != 2 || running(h, tk.ID, sla.FollowUp).Round != 2 {
			t.Errorf("a late bad rating by telephone: %s, round %d, follow-up %+v", got.State, got.Round, running(h, tk.ID, sla.FollowUp))
		}
		// Changed from five stars to none: the customer's average follows.
		tk = h.To(ticket.AwaitingConfirmation)
		_, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 5, Solved: true})
		h.OK(err)
		_, err = h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Solved: false})
		h.OK(err)
		h.Invariants()
		// A picture without words.
		tk = h.To(ticket.Completed)
		id := upload(h, h.The(tk))
		got, err = h.CustomerWrites(h.Ctx, h.The(tk), tk.ID, "", []int64{id})
		h.OK(err)
		if got.State != ticket.Pending || got.Round != 2 {
			t.Errorf("a picture after completion: %s, round %d", got.State, got.Round)
		}
		h.Invariants()
	})
}

func upload(h *tickettest.House, by authz.Actor) int64 {
	h.T.Helper()
	f, err := h.Files.Upload(h.Ctx, by, "故障.txt", strings.NewReader("照片"))
	h.OK(err)
	return f.ID
}

// Whoever writes while confirmation is awaited is not silent.
func TestWordsEndSilence(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.AwaitingConfirmation)
		h.Clock.Advance(60 * time.Hour)
		h.Sweep()
		_, err := h.CustomerWrites(h.Ctx, h.The(tk), tk.ID, "我明天再试一下", nil)
		h.OK(err)
		h.Clock.Advance(60 * time.Hour)
		h.Sweep()
		if s := reload(h, tk.ID).State; s != ticket.AwaitingConfirmation {
			t.Errorf("60 hours after the customer wrote the ticket is %s", s)
		}
		h.Clock.Advance(12 * time.Hour)
		h.Sweep()
		if s := reload(h, tk.ID).State; s != ticket.Completed {
			t.Errorf("three days of silence later the ticket is %s", s)
		}
		h.Invariants()
	})
}

// A withdrawn answer gives the customer's time back, not new time, and raises no
// alarm a second time.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		h.Clock.Advance(50 * time.Hour) // of 48
		h.Sweep()
		tk = h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已更换证书", DelayReason: "等待备件"})
		h.Clock.Advance(time.Hour)
		h.Events()
		tk = h.Move("kefu", tk, ticket.Withdraw, ticket.Input{Reason: "结果有误"})
		c := running(h, tk.ID, sla.Resolution)
		if used := c.UsedAt(h.Clock.Now()); used != 50*time.Hour || !c.Missed {
			t.Errorf("resolution used %v, missed %v", used, c.Missed)
		}
		h.Clock.Advance(time.Minute)
		h.Sweep()
		if evs := h.Events(); evs != "ticket.withdrawn" {
			t.Errorf("an alarm was raised again: %s", evs)
		}
		h.Invariants()
	})
}

// A promise kept too late is late, also when nobody saw the clock run out.
func TestLateUnseen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.Pending)
		h.Clock.Advance(3 * time.Hour) // the program was down
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		if !reload(h, tk.ID).Overdue {
			t.Error("acknowledged an hour late and not marked as late")
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("no reason asked for: %v", err)
		}
		tk = h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已更换证书", DelayReason: "系统停机"})
		// The second round owes no reason for what the first has explained; its reason stays on record.
		_, err := h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 1})
		h.OK(err)
		tk = h.Move("zhuguan", tk, ticket.Assign, ticket.Input{AssigneeID: h.User["kefu"]})
		tk = h.Move("kefu", tk, ticket.Acknowledge, ticket.Input{})
		h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "换新机"})
		evs, err := event.List(h.Ctx, h.D.Read(), event.Filter{Kind: "ticket.confirmation_requested", Subject: ticket.Subject(tk.ID)})
		h.OK(err)
		if len(evs) != 2 {
			t.Fatalf("%d confirmations requested", len(evs))
		}
		var f ticket.Fact
		h.OK(evs[1].Decode(&f))
		if !slices.Contains(f.Changes, event.Change{Field: "delay_reason", New: "系统停机"}) {
			t.Errorf("the reason of the first round is lost: %+v", f.Changes)
		}
		h.Invariants()
	})
}

// Between departments the lead owner is the customer: he hears the question and
// the reminder, and while the main ticket has no assignee its supervisor is he.
func TestLeadOwner(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		tk = h.Move("kefu", tk, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "请检测主板"})
		cs, err := h.Children(h.Ctx, tk.ID)
		h.OK(err)
		id := cs[0].ID
		helper, err := h.Org.Actor(h.Ctx, cs[0].AssigneeID)
		h.OK(err)
		do := func(by authz.Actor, v ticket.Verb, in ticket.Input) {
			t.Helper()
			_, err := h.Do(h.Ctx, by, id, v, in)
			h.OK(err)
		}
		do(helper, ticket.Acknowledge, ticket.Input{})
		do(helper, ticket.Ask, ticket.Input{Body: "序列号是多少？"})
		if got := told(h, id, "ticket.asked"); !slices.Contains(got, h.User["kefu"]) {
			t.Errorf("the question of a sub-ticket was told to %v, not to the lead owner", got)
		}
		h.Clock.Advance(24 * time.Hour)
		h.Sweep()
		if got := told(h, id, "ticket.clock_reminded"); !slices.Contains(got, h.User["kefu"]) {
			t.Errorf("the reminder of a sub-ticket was told to %v, not to the lead owner", got)
		}
		do(h.As("kefu"), ticket.Answer, ticket.Input{Body: "A-17"})
		do(helper, ticket.RequestConfirmation, ticket.Input{Solution: "主板正常", DelayReason: "等待序列号"})
		// The lead owner passes the main ticket on to a department where nobody is.
		h.Move("zhuguan", tk, ticket.Reassign, ticket.Input{Reason: "请假", DepartmentID: h.Dept["物流部"]})
		main := reload(h, tk.ID)
		if main.AssigneeID != 0 || main.SupervisorID != h.User["zongjian"] {
			t.Fatalf("main ticket %+v", main)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), id, ticket.Confirm, ticket.Input{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the former lead owner confirms: %v", err)
		}
		do(h.As("zongjian"), ticket.Confirm, ticket.Input{})
		if n := reload(h, tk.ID).OpenChildren; n != 0 {
			t.Errorf("%d open sub-tickets", n)
		}
		h.Invariants()
	})
}

// The archive is read-only.
func TestArchiveStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.Closed)
		_, note := h.Note(h.Ctx, h.As("kefu"), tk.ID, "补充", nil, nil)
		_, record := h.FollowUp(h.Ctx, h.As("kefu"), tk.ID, "电话回访，客户表示满意", journal.Record{Method: "phone"}, nil)
		_, reply := h.Reply(h.Ctx, h.As("kefu"), tk.ID, "您好", nil)
		_, rate := h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 1})
		for what, err := range map[string]error{"note": note, "record": record, "reply": reply, "rating": rate} {
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("a %s in the archive: %v", what, err)
			}
		}
	})
}

// TKT-6: a ticket that becomes urgent while nobody has taken it up is reminded
// of like one that was from the start; one that no longer is is not.
func TestUrgencyChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.Pending)
		edit := func(u string) {
			t.Helper()
			_, err := h.Service.Edit(h.Ctx, h.As("zhuguan"), tk.ID, ticket.Edit{Title: tk.Title, Type: tk.Type, Urgency: u})
			h.OK(err)
		}
		edit("urgent")
		if c := running(h, tk.ID, sla.Urgent); c.Target != 30*time.Minute {
			t.Errorf("urgent reminder %+v", c)
		}
		edit("low")
		if c := running(h, tk.ID, sla.Urgent); c.ID != 0 {
			t.Errorf("urgent reminder of a ticket of low urgency: %+v", c)
		}
		h.Invariants()
	})
}

// ORG-5: what is for somebody who is away his delegate hears too.
func TestDelegateHears(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		by := h.As("zhuguan")
		h.OK(h.Org.SetPresence(h.Ctx, by, by.ID, org.Presence{Availability: org.Online, AwayUntil: h.Clock.Now().Add(time.Hour), DelegateID: h.User["zongjian"]}))
		tk := h.To(ticket.Pending)
		h.Move("kefu", tk, ticket.Decline, ticket.Input{Reason: "不属于我的产品线"})
		if got, want := fmt.Sprint(told(h, tk.ID, "ticket.declined")), fmt.Sprint([]int64{h.User["zhuguan"], h.User["zongjian"]}); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// ORG-7: work goes only to somebody who can do it.
func TestHandoverToWhom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		u, err := h.Org.User(h.Ctx, authz.For(h.As("guanli"), org.PermManage), h.User["kefu"])
		h.OK(err)
		if err := h.Org.DeactivateUser(h.Ctx, h.As("guanli"), u.ID, u.Version, h.User["shenji"]); !fault.Is(err, fault.Invalid) {
			t.Errorf("handed over to the auditor: %v", err)
		}
		if got := reload(h, tk.ID); got.AssigneeID != h.User["kefu"] {
			t.Errorf("assignee %d", got.AssigneeID)
		}
		h.Invariants()
	})
}
