package ticket_test

import (
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// tasksOf are all tasks about a ticket, in the order they were made.
func tasksOf(h *tickettest.House, s *task.Service, id int64) []task.Task {
	h.T.Helper()
	p, err := s.List(h.Ctx, authz.For(authz.System("test"), task.PermView), task.Filter{Subject: ticket.Subject(id)})
	h.OK(err)
	return p.Tasks
}

// FLW-2, FLW-6: the plan of a record is a task of its owner from the same
// transaction on; a correction moves it, gives it on, or ends it; a record that
// refuses leaves none.
func TestPlanBecomesTask(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		s := task.NewService(h.Run, h.Org)
		kefu := h.As("kefu")
		tk := h.Register()
		_, err := h.Do(h.Ctx, kefu, tk.ID, ticket.Take, ticket.Input{})
		h.OK(err)
		next := c.Now().Add(26 * time.Hour)
		rec := journal.Record{Method: "phone", Reaction: "客户同意", NextPlan: "回访设备运行情况", NextOwnerID: h.User["kefu2"], NextAt: next}

		bad := rec
		bad.NextAt = c.Now().Add(-time.Hour)
		if _, err := h.FollowUp(h.Ctx, kefu, tk.ID, "已更换主板，开机正常", bad, nil); !fault.Is(err, fault.Invalid) {
			t.Fatalf("a plan in the past: %v", err)
		}
		if ts := tasksOf(h, s, tk.ID); len(ts) != 0 {
			t.Fatalf("a refused record left %d tasks", len(ts))
		}
		tk, err = h.FollowUp(h.Ctx, kefu, tk.ID, "已更换主板，开机正常", rec, nil)
		h.OK(err)
		ts := tasksOf(h, s, tk.ID)
		if len(ts) != 1 || ts[0].OwnerID != h.User["kefu2"] || ts[0].Title != "回访设备运行情况" || !ts[0].DueAt.Equal(next) || ts[0].Origin != task.ByPlan || ts[0].State != task.Open {
			t.Fatalf("task of the plan: %+v", ts)
		}
		if tk, err = h.Get(h.Ctx, ticket.View(kefu), tk.ID); err != nil || tk.OpenTasks != 1 {
			t.Errorf("the ticket counts %d open tasks (%v)", tk.OpenTasks, err)
		}

		// The plan is corrected: another day, another person.
		entry := ts[0].EntryID
		moved := rec
		moved.NextAt, moved.NextOwnerID = next.Add(24*time.Hour), h.User["kefu"]
		if _, err := h.Correct(h.Ctx, h.As("kefu2"), tk.ID, entry, "已更换主板，开机正常", moved); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a colleague's record was corrected: %v", err)
		}
		if _, err := h.Correct(h.Ctx, kefu, tk.ID, entry, "已更换主板，开机正常", rec); !fault.Is(err, fault.Invalid) {
			t.Errorf("a correction that changes nothing: %v", err)
		}
		_, err = h.Correct(h.Ctx, kefu, tk.ID, entry, "已更换主板，开机正常", moved)
		h.OK(err)
		ts = tasksOf(h, s, tk.ID)
		if len(ts) != 1 || ts[0].OwnerID != h.User["kefu"] || !ts[0].DueAt.Equal(moved.NextAt) || ts[0].EntryID == entry {
			t.Fatalf("after the correction: %+v", ts)
		}
		if _, err := h.Correct(h.Ctx, kefu, tk.ID, entry, "别的内容", moved); !fault.Is(err, fault.Conflict) {
			t.Errorf("a record was corrected twice: %v", err)
		}
		by, err := journal.CorrectedBy(h.Ctx, d.Read(), []int64{entry})
		h.OK(err)
		if by[entry] != ts[0].EntryID {
			t.Errorf("corrected by %v", by)
		}
		old, err := journal.Get(h.Ctx, d.Read(), entry)
		h.OK(err)
		if old.Body != "已更换主板，开机正常" || old.Record().NextOwnerID != h.User["kefu2"] {
			t.Errorf("the original was rewritten: %+v", old)
		}

		// A later record of its owner that says the matter is done finishes it.
		_, err = h.FollowUp(h.Ctx, kefu, tk.ID, "回访设备，运行三天正常，客户无其他要求", journal.Record{Method: "phone", Done: true}, nil)
		h.OK(err)
		ts = tasksOf(h, s, tk.ID)
		if len(ts) != 1 || ts[0].State != task.Done || ts[0].ClosedBy != h.User["kefu"] {
			t.Fatalf("after the record that is done: %+v", ts)
		}
		if tk, _ = h.Get(h.Ctx, ticket.View(kefu), tk.ID); tk.OpenTasks != 0 {
			t.Errorf("the ticket still counts %d open tasks", tk.OpenTasks)
		}

		// A plan that is taken back.
		_, err = h.FollowUp(h.Ctx, kefu, tk.ID, "客户要求寄送纸质报告", journal.Record{Method: "phone", NextPlan: "寄出报告"}, nil)
		h.OK(err)
		open := tasksOf(h, s, tk.ID)
		last := open[len(open)-1]
		if !last.DueAt.IsZero() || last.OwnerID != h.User["kefu"] {
			t.Errorf("a plan without a date: %+v", last)
		}
		_, err = h.Correct(h.Ctx, kefu, tk.ID, last.EntryID, "客户改为接收电子版报告，已发邮箱", journal.Record{Method: "phone"})
		h.OK(err)
		if x, err := s.Get(h.Ctx, authz.For(authz.System("test"), task.PermView), last.ID); err != nil || x.State != task.Cancelled {
			t.Errorf("the plan taken back: %+v (%v)", x, err)
		}
		// What the customer has seen is not altered.
		_, err = h.Reply(h.Ctx, kefu, tk.ID, "报告已发送到您的邮箱", nil)
		h.OK(err)
		es, _, err := journal.Of(h.Ctx, d.Read(), journal.Place{Ticket: tk.ID}, journal.Page{Kinds: []journal.Kind{journal.Reply}, Limit: 1})
		h.OK(err)
		if _, err := h.Correct(h.Ctx, kefu, tk.ID, es[0].ID, "别的话", journal.Record{}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a reply was corrected: %v", err)
		}
	})
}

// TKT-16, FLW-5: after a dissatisfied customer the supervisor has a task due in
// 24 hours that nothing but his record ends; a day without a record, and a
// customer who does not confirm, are asked about once and no longer than needed.
func TestAskedFollowUps(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		s := task.NewService(h.Run, h.Org)
		kefu := h.As("kefu")
		tk := h.Register()
		step := func(who string, v ticket.Verb, in ticket.Input) {
			t.Helper()
			_, err := h.Do(h.Ctx, h.As(who), tk.ID, v, in)
			h.OK(err)
		}
		sweep := func() { t.Helper(); _, err := h.Clocks.Sweep(h.Ctx); h.OK(err) }
		only := func(o task.Origin, want task.State) task.Task {
			t.Helper()
			var found []task.Task
			for _, x := range tasksOf(h, s, tk.ID) {
				if x.Origin == o {
					found = append(found, x)
				}
			}
			if len(found) != 1 || found[0].State != want {
				t.Fatalf("tasks of %s: %+v, want one that is %s", o, found, want)
			}
			return found[0]
		}
		step("kefu", ticket.Take, ticket.Input{})
		c.Advance(25 * time.Hour)
		sweep()
		c.Advance(5 * time.Hour)
		sweep()
		if x := only(task.ByNoRecord, task.Open); x.OwnerID != h.User["kefu"] {
			t.Errorf("asked %d", x.OwnerID)
		}
		_, err := h.FollowUp(h.Ctx, kefu, tk.ID, "远程升级到 v5.8.2，导出恢复，客户确认", journal.Record{Method: "phone"}, nil)
		h.OK(err)
		only(task.ByNoRecord, task.Done)

		step("kefu", ticket.RequestConfirmation, ticket.Input{Solution: "升级到 v5.8.2", DelayReason: "等待备件"})
		c.Advance(26 * time.Hour)
		sweep()
		c.Advance(24 * time.Hour)
		sweep()
		only(task.ByNoAnswer, task.Open)
		step("kefu", ticket.Dispute, ticket.Input{Rating: &ticket.Rating{Stars: 2, Comment: "又坏了"}})
		only(task.ByNoAnswer, task.Done)
		x := only(task.ByDispute, task.Open)
		if x.OwnerID != h.User["zhuguan"] || x.DueAt.Sub(c.Now()) != 24*time.Hour {
			t.Errorf("the supervisor's task: owner %d, due %s", x.OwnerID, x.DueAt)
		}
		boss := h.As("zhuguan")
		if _, err := s.Complete(h.Ctx, boss, x.ID, 0); !fault.Is(err, fault.Conflict) {
			t.Errorf("it was ticked off: %v", err)
		}
		if _, err := s.Cancel(h.Ctx, boss, x.ID, 0, "不需要"); !fault.Is(err, fault.Conflict) {
			t.Errorf("it was cancelled: %v", err)
		}
		if _, err := s.Move(h.Ctx, boss, x.ID, 0, c.Now().Add(90*time.Hour), false); !fault.Is(err, fault.Conflict) {
			t.Errorf("it was put off: %v", err)
		}
		_, err = h.FollowUp(h.Ctx, kefu, tk.ID, "客户反映电源仍异响，已报主管", journal.Record{Method: "phone"}, nil)
		h.OK(err)
		only(task.ByDispute, task.Open) // not the supervisor's word
		_, err = h.FollowUp(h.Ctx, boss, tk.ID, "致电客户道歉，约定明早 9 点上门更换电源", journal.Record{Method: "phone"}, nil)
		h.OK(err)
		only(task.ByDispute, task.Done)
	})
}
