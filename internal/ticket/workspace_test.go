package ticket_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// A change of many tickets goes the way of a single one: what may not be done is
// refused with its reason, and nothing of a refused one is changed.
func TestBulkChange(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		pending, working := h.To(ticket.Pending), h.To(ticket.InProgress)
		closed, hidden := h.To(ticket.Closed), h.Register(func(in *ticket.RegisterInput) {
			in.AssigneeID, in.DepartmentID = h.User["gong"], h.Dept["技术支持部"]
		})
		ids := []int64{pending.ID, working.ID, closed.ID, hidden.ID, 999999, pending.ID}
		h.Events()
		lines := func(b ticket.Bulk) string {
			ls, err := h.BulkLines(h.Ctx, h.As("zhuguan"), b.ID, 0, 50)
			h.OK(err)
			var out []string
			for _, l := range ls {
				out = append(out, fmt.Sprintf("%d %s %s", l.N, l.Outcome, l.Say(i18n.ZhCN)))
			}
			return strings.Join(out, "; ")
		}

		_, err := h.ChangeMany(h.Ctx, h.As("zhuguan"), ids, ticket.BulkChange{Kind: ticket.BulkAssign, Assignee: h.User["kefu2"]})
		if e, ok := fault.As(err); !ok || len(e.Fields) != 1 || e.Fields[0].Key != "ticket.bulk.reason.needed" {
			t.Errorf("what is worked on passed on without a reason: %v", err)
		}
		b, err := h.ChangeMany(h.Ctx, h.As("zhuguan"), ids, ticket.BulkChange{Kind: ticket.BulkAssign, Assignee: h.User["kefu2"], Reason: "林晓雯请假"})
		h.OK(err)
		if b.State != "finished" || b.Total != 5 || b.Changed != 2 || b.Refused != 3 {
			t.Errorf("assign: %+v: %s", b, lines(b))
		}
		if got := lines(b); !strings.Contains(got, "3 failed ") || !strings.Contains(got, "4 hidden") || !strings.Contains(got, "5 hidden") {
			t.Errorf("refused: %s", got)
		}
		for _, x := range []ticket.Ticket{pending, working} {
			now, err := h.Get(h.Ctx, ticket.View(h.As("zhuguan")), x.ID)
			h.OK(err)
			if now.AssigneeID != h.User["kefu2"] || now.State != ticket.Pending {
				t.Errorf("%s: %s of %d", x.Number, now.State, now.AssigneeID)
			}
		}
		if got := h.Events(); !strings.HasPrefix(got, "ticket.bulk_started ticket.assigned ticket.reassigned") || !strings.HasSuffix(got, "ticket.bulk_finished") {
			t.Errorf("facts: %s", got)
		}
		again, err := h.ChangeMany(h.Ctx, h.As("zhuguan"), []int64{pending.ID}, ticket.BulkChange{Kind: ticket.BulkAssign, Assignee: h.User["kefu2"]})
		h.OK(err)
		if again.Same != 1 || again.Changed != 0 {
			t.Errorf("again: %+v", again)
		}
		for _, x := range []struct {
			change  ticket.BulkChange
			changed int64
		}{
			{ticket.BulkChange{Kind: ticket.BulkUrgency, Urgency: "urgent"}, 2},
			{ticket.BulkChange{Kind: ticket.BulkPriority, Priority: "low", Reason: "客户同意等待"}, 2},
			{ticket.BulkChange{Kind: ticket.BulkWatcher, Assignee: h.User["zongjian"]}, 2},
			{ticket.BulkChange{Kind: ticket.BulkCancel, Code: "spam"}, 2},
			{ticket.BulkChange{Kind: ticket.BulkClose}, 0},
		} {
			b, err := h.ChangeMany(h.Ctx, h.As("zhuguan"), []int64{pending.ID, working.ID}, x.change)
			h.OK(err)
			if b.Changed != x.changed {
				t.Errorf("%s: %+v: %s", x.change.Kind, b, lines(b))
			}
		}
		if _, err := h.ChangeMany(h.Ctx, h.As("shenji"), []int64{pending.ID}, ticket.BulkChange{Kind: ticket.BulkCancel, Code: "spam"}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the auditor cancels: %v", err)
		}
		if _, err := h.Bulk(h.Ctx, h.As("kefu"), b.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's bulk change: %v", err)
		}
		h.Invariants()
	})
}

// What is put off leaves the person's own queue and nobody else's, no clock
// stops, and it is back at its time or when the customer writes.
func TestSnooze(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		x, y := h.To(ticket.InProgress), h.To(ticket.InProgress)
		kefu := h.As("kefu")
		see := func(login, view string) string {
			p, err := h.List(h.Ctx, ticket.View(h.As(login)), ticket.Filter{View: view})
			h.OK(err)
			n, err := h.Counts(h.Ctx, ticket.View(h.As(login)), []ticket.Filter{{View: view}})
			h.OK(err)
			if n[0] != len(p.Rows) {
				t.Errorf("%s of %s: counted %d, shown %d", view, login, n[0], len(p.Rows))
			}
			zs, err := h.Snoozes(h.Ctx, h.As(login), p.Rows...)
			h.OK(err)
			var out []string
			for _, r := range p.Rows {
				mark := ""
				if z, ok := zs[r.ID]; ok && z.Over {
					mark = "!"
				} else if ok {
					mark = "z"
				}
				out = append(out, map[int64]string{x.ID: "x", y.ID: "y"}[r.ID]+mark)
			}
			return strings.Join(out, " ")
		}
		expect := func(when, mine, snoozed string) {
			t.Helper()
			if a, b := see("kefu", "mine"), see("kefu", "snoozed"); a != mine || b != snoozed {
				t.Errorf("%s: mine %q, want %q; put off %q, want %q", when, a, mine, b, snoozed)
			}
		}
		before, err := h.Get(h.Ctx, ticket.View(kefu), x.ID)
		h.OK(err)
		if err := h.Snooze(h.Ctx, kefu, x.ID, c.Now().Add(-time.Minute)); !fault.Is(err, fault.Invalid) {
			t.Errorf("until yesterday: %v", err)
		}
		if err := h.Snooze(h.Ctx, h.As("gong"), x.ID, c.Now().Add(time.Hour)); !fault.Is(err, fault.NotFound) {
			t.Errorf("a ticket he does not see: %v", err)
		}
		h.OK(h.Snooze(h.Ctx, kefu, x.ID, c.Now().Add(time.Hour)))
		h.OK(h.Snooze(h.Ctx, kefu, y.ID, c.Now().Add(48*time.Hour)))
		expect("put off", "", "xz yz")
		if got := see("zhuguan", "open"); got != "x y" {
			t.Errorf("the supervisor sees %q", got)
		}
		after, err := h.Get(h.Ctx, ticket.View(kefu), x.ID)
		h.OK(err)
		if after.Version != before.Version || !after.DueAt.Equal(before.DueAt) {
			t.Error("putting off changed the ticket")
		}
		h.Events()
		c.Advance(time.Hour)
		h.OK(h.Wake(h.Ctx))
		h.OK(h.Wake(h.Ctx)) // once
		expect("an hour later", "x!", "yz")
		if got := h.Events(); got != "ticket.put_off_ended" {
			t.Errorf("facts: %s", got)
		}
		c.Advance(time.Minute)
		_, err = h.CustomerWrites(h.Ctx, h.The(y), y.ID, "请问进展如何？", nil)
		h.OK(err)
		expect("the customer writes", "x! y!", "")
		h.OK(h.OpenTab(h.Ctx, kefu, y.ID, 0))
		h.OK(h.OpenTab(h.Ctx, kefu, x.ID, y.ID))
		expect("looked at", "x y", "")
		h.OK(h.Snooze(h.Ctx, kefu, x.ID, c.Now().Add(time.Hour)))
		h.OK(h.Snooze(h.Ctx, kefu, x.ID, time.Time{}))
		expect("taken back", "x y", "")
	})
}

// The tickets somebody has open are bounded; what happens in one of them while he
// looks elsewhere is marked, what he does himself is not.
func TestTabs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		kefu := h.As("kefu")
		var all []ticket.Ticket
		for range ticket.MaxTabs + 2 {
			all = append(all, h.Register())
		}
		left := int64(0)
		for _, x := range all {
			c.Advance(time.Second)
			h.OK(h.OpenTab(h.Ctx, kefu, x.ID, left))
			left = x.ID
		}
		tabs, err := h.Tabs(h.Ctx, kefu)
		h.OK(err)
		if len(tabs) != ticket.MaxTabs || tabs[0].ID != all[2].ID || tabs[len(tabs)-1].ID != left {
			t.Fatalf("%d tabs: %+v", len(tabs), tabs)
		}
		c.Advance(time.Second)
		_, err = h.Note(h.Ctx, kefu, left, "我自己写的", nil, nil)
		h.OK(err)
		_, err = h.Note(h.Ctx, h.As("kefu2"), all[5].ID, "别人写的", nil, nil)
		h.OK(err)
		c.Advance(time.Second)
		h.OK(h.OpenTab(h.Ctx, kefu, all[4].ID, left))
		tabs, err = h.Tabs(h.Ctx, kefu)
		h.OK(err)
		for _, x := range tabs {
			if x.Fresh != (x.ID == all[5].ID) {
				t.Errorf("%s: marked %v", x.Number, x.Fresh)
			}
		}
		if err := h.OpenTab(h.Ctx, h.As("gong"), left, 0); !fault.Is(err, fault.NotFound) {
			t.Errorf("a ticket he does not see: %v", err)
		}
		h.OK(h.CloseTab(h.Ctx, kefu, left))
		if tabs, _ = h.Tabs(h.Ctx, kefu); len(tabs) != ticket.MaxTabs-1 {
			t.Errorf("%d tabs after closing one", len(tabs))
		}
	})
}

// Going on and going back from any place of a list, however far down.
func TestBeside(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		for range 30 {
			h.Register()
			c.Advance(time.Minute)
		}
		for _, login := range []string{"kefu", "zhuguan"} {
			sc := ticket.View(h.As(login))
			for _, f := range []ticket.Filter{{View: "open"}, {View: "mine"}, {View: "open", Sort: ticket.ByNewest}, {View: "all"}, {View: "open", Sort: ticket.ByWaiting}} {
				var rows []ticket.Row
				g := f
				for {
					p, err := h.List(h.Ctx, sc, g)
					h.OK(err)
					rows = append(rows, p.Rows...)
					if g.After = p.Next; g.After == "" {
						break
					}
				}
				for i, r := range rows {
					x, err := h.Get(h.Ctx, sc, r.ID)
					h.OK(err)
					prev, next, err := h.Beside(h.Ctx, sc, f, x)
					h.OK(err)
					var wp, wn string
					if i > 0 {
						wp = rows[i-1].Number
					}
					if i+1 < len(rows) {
						wn = rows[i+1].Number
					}
					if prev != wp || next != wn {
						t.Fatalf("%s %+v at %d: %q %q, want %q %q", login, f, i, prev, next, wp, wn)
					}
				}
			}
		}
	})
}

// Two change two fields of one ticket: both are kept. Two change the same: the
// slower one is told.
func TestPatch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		x := h.To(ticket.InProgress)
		p := func(s string) *string { return &s }
		_, err := h.Patch(h.Ctx, h.As("kefu"), x.ID, ticket.Patch{Title: p("新的标题"), Was: map[string]string{"title": x.Title}})
		h.OK(err)
		_, err = h.Patch(h.Ctx, h.As("zhuguan"), x.ID, ticket.Patch{Urgency: p("urgent"), Was: map[string]string{"urgency": "normal"}})
		h.OK(err)
		_, err = h.Patch(h.Ctx, h.As("kefu"), x.ID, ticket.Patch{Urgency: p("low"), Was: map[string]string{"urgency": "normal"}})
		if e, ok := fault.As(err); !ok || e.Kind != fault.Conflict || e.Key != "ticket.field_changed" {
			t.Errorf("the slower one: %v", err)
		}
		now, err := h.Get(h.Ctx, ticket.View(h.As("kefu")), x.ID)
		h.OK(err)
		if now.Title != "新的标题" || now.Urgency != "urgent" || now.Priority != "urgent" {
			t.Errorf("%q %s %s", now.Title, now.Urgency, now.Priority)
		}
		_, err = h.Patch(h.Ctx, h.As("kefu"), x.ID, ticket.Patch{Priority: p("low"), PriorityReason: p("客户说不急")})
		h.OK(err)
		now, err = h.Patch(h.Ctx, h.As("kefu"), x.ID, ticket.Patch{Class: p("problem")})
		h.OK(err)
		if now.Priority != "low" || now.PriorityReason != "客户说不急" {
			t.Errorf("a judgement was lost with another change: %s %q", now.Priority, now.PriorityReason)
		}
		if _, err := h.Patch(h.Ctx, h.As("gong"), x.ID, ticket.Patch{Class: p("support")}); err == nil {
			t.Error("somebody beyond the scope changed it")
		}
	})
}

// What has to be done is ticked with who and when; two who tick at once do not
// undo each other.
func TestChecklist(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		x := h.To(ticket.InProgress)
		h.Events()
		h.OK(h.AddChecks(h.Ctx, h.As("kefu"), x.ID, "核对序列号\n\n 预约上门时间 "))
		list, err := ticket.Checks(h.Ctx, d.Read(), x.ID)
		h.OK(err)
		if len(list) != 2 || list[1].Body != "预约上门时间" {
			t.Fatalf("%+v", list)
		}
		h.OK(h.TickCheck(h.Ctx, h.As("kefu"), x.ID, list[0].ID, true))
		h.OK(h.TickCheck(h.Ctx, h.As("kefu2"), x.ID, list[0].ID, true))
		h.OK(h.DropCheck(h.Ctx, h.As("kefu"), x.ID, list[1].ID))
		list, err = ticket.Checks(h.Ctx, d.Read(), x.ID)
		h.OK(err)
		if len(list) != 1 || list[0].DoneBy != "林晓雯" || list[0].DoneAt.IsZero() {
			t.Errorf("%+v", list)
		}
		if got := h.Events(); got != "ticket.check_added ticket.check_done ticket.check_dropped" {
			t.Errorf("facts: %s", got)
		}
		if err := h.TickCheck(h.Ctx, h.As("shenji"), x.ID, list[0].ID, false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the auditor: %v", err)
		}
		if err := h.AddChecks(h.Ctx, h.As("kefu"), x.ID, " \n "); !fault.Is(err, fault.Invalid) {
			t.Errorf("nothing to do: %v", err)
		}
	})
}

func TestByNumberAndSimilar(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		title := func(s string) func(*ticket.RegisterInput) { return func(in *ticket.RegisterInput) { in.Title = s } }
		x := h.Register(title("打印机卡纸无法出单"))
		y := h.Register(title("仓库打印机又卡纸了"))
		h.Register(title("发票抬头写错"))
		h.OK(h.Follower.Drain(h.Ctx))
		sc := ticket.View(h.As("kefu"))
		for _, typed := range []string{x.Number, strings.ToLower(x.Number), strings.TrimPrefix(x.Number, "TASK"), strings.TrimPrefix(x.Number, "TASK"+c.Now().Format("2006"))} {
			bs, err := h.ByNumberLike(h.Ctx, sc, typed, 5)
			h.OK(err)
			if len(bs) != 1 || bs[0].ID != x.ID {
				t.Errorf("%q finds %+v", typed, bs)
			}
		}
		if bs, _ := h.ByNumberLike(h.Ctx, ticket.View(h.As("gong")), x.Number, 5); len(bs) != 0 {
			t.Errorf("beyond the scope: %+v", bs)
		}
		bs, err := h.Similar(h.Ctx, sc, x, 5)
		h.OK(err)
		if len(bs) != 1 || bs[0].ID != y.ID {
			t.Errorf("similar: %+v", bs)
		}
	})
}
