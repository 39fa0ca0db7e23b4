package ticket_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

func resolution(h *tickettest.House, id int64) sla.Clock {
	h.T.Helper()
	cs, err := sla.Of(h.Ctx, h.D.Read(), id)
	h.OK(err)
	for _, c := range slices.Backward(cs) {
		if c.Kind == sla.Resolution {
			return c
		}
	}
	h.T.Fatalf("ticket %d has no resolution clock", id)
	return sla.Clock{}
}

// TKT-13: asked in time, decided by the supervisor and by nobody about his own;
// the deadline moves and the first promise stays on record.
func TestDeferral(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		due := resolution(h, tk.ID).DueAt
		later := due.Add(72 * time.Hour)
		h.Events()
		for _, c := range []struct {
			name, by string
			in       ticket.DeferralInput
			want     fault.Kind
			field    string
		}{
			{"nobody's", "gong", ticket.DeferralInput{Due: later, Reason: "等待备件"}, fault.NotFound, ""},
			{"a colleague's", "kefu2", ticket.DeferralInput{Due: later, Reason: "等待备件"}, fault.Forbidden, ""},
			{"no reason", "kefu", ticket.DeferralInput{Due: later}, fault.Invalid, "reason"},
			{"no date", "kefu", ticket.DeferralInput{Reason: "等待备件"}, fault.Invalid, "due"},
			{"earlier", "kefu", ticket.DeferralInput{Due: due.Add(-time.Hour), Reason: "等待备件"}, fault.Invalid, "due"},
			{"next year", "kefu", ticket.DeferralInput{Due: due.AddDate(1, 0, 0), Reason: "等待备件"}, fault.Invalid, "due"},
		} {
			_, err := h.Defer(h.Ctx, h.As(c.by), tk.ID, c.in)
			f, _ := fault.As(err)
			if fault.KindOf(err) != c.want || c.field != "" && (len(f.Fields) != 1 || f.Fields[0].Field != c.field) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if evs := h.Events(); evs != "" {
			t.Errorf("refused requests recorded %s", evs)
		}
		tk, err := h.Defer(h.Ctx, h.As("kefu"), tk.ID, ticket.DeferralInput{Due: later, Reason: "等待备件"})
		h.OK(err)
		if evs := h.Events(); evs != "approval.asked approval.arrived ticket.deferral_asked" {
			t.Errorf("events %s", evs)
		}
		req := tk.DeferralID
		if _, err := h.Defer(h.Ctx, h.As("kefu"), tk.ID, ticket.DeferralInput{Due: later, Reason: "等待备件"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice at once: %v", err)
		}
		if _, err := h.Approvals.Approve(h.Ctx, h.As("kefu"), req, ""); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("approved by who asked: %v", err)
		}
		_, err = h.Approvals.Approve(h.Ctx, h.As("zhuguan"), req, "同意")
		h.OK(err)
		tk, err = h.Get(h.Ctx, ticket.View(h.As("kefu")), tk.ID)
		h.OK(err)
		c := resolution(h, tk.ID)
		if !c.DueAt.Equal(later) || !tk.DeferredFrom.Equal(due) || tk.DeferralID != 0 || !tk.DueFixed {
			t.Errorf("after approval: due %s want %s, from %s want %s, request %d", c.DueAt, later, tk.DeferredFrom, due, tk.DeferralID)
		}
		// A policy leaves alone what people agreed on.
		tk, err = h.Service.Edit(h.Ctx, h.As("zhuguan"), tk.ID, ticket.Edit{Title: tk.Title, Type: tk.Type, Urgency: "low"})
		h.OK(err)
		if got := resolution(h, tk.ID).DueAt; !got.Equal(later) {
			t.Errorf("the urgency moved an agreed deadline to %s", got)
		}
		h.Invariants()
		// Within the new time no reason for delay is asked for, if progress was recorded.
		for h.Clock.Now().Before(due.Add(2 * time.Hour)) {
			h.Clock.Advance(20 * time.Hour)
			h.Sweep()
			_, err := h.FollowUp(h.Ctx, h.As("kefu"), tk.ID, "已催促备件，预计后天到货", journal.Record{Method: "phone"}, nil)
			h.OK(err)
		}
		why, err := ticket.Why(h.Ctx, h.D.Read(), tk, h.Clock.Now())
		h.OK(err)
		if !slices.ContainsFunc(why, func(c ticket.Cause) bool {
			return c.Kind == "deferred" && c.New.Equal(later) && c.Text == "等待备件"
		}) {
			t.Errorf("why: %+v", why)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已更换主板"}); err != nil {
			t.Errorf("in the deferred time: %v", err)
		}
		h.Invariants()
	})
}

// After the deadline nothing is deferred, and the reason for the delay is asked
// for; a request made in time may be approved a little late, and the promise is
// kept again.
func TestDeferralLate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		one, two := h.To(ticket.InProgress), h.To(ticket.InProgress)
		due := resolution(h, one.ID).DueAt
		h.Clock.Set(due.Add(-time.Hour))
		h.Sweep()
		one, err := h.Defer(h.Ctx, h.As("kefu"), one.ID, ticket.DeferralInput{Due: due.Add(24 * time.Hour), Reason: "等待厂家"})
		h.OK(err)
		h.Clock.Set(due.Add(time.Hour))
		h.Sweep()
		if _, err := h.Defer(h.Ctx, h.As("kefu"), two.ID, ticket.DeferralInput{Due: due.Add(24 * time.Hour), Reason: "等待厂家"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("deferred after the deadline: %v", err)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), two.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已更换"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("answered late without a reason: %v", err)
		}
		if c := resolution(h, one.ID); !c.Missed {
			t.Error("the deadline passed and was not missed")
		}
		_, err = h.Approvals.Approve(h.Ctx, h.As("zhuguan"), one.DeferralID, "")
		h.OK(err)
		c := resolution(h, one.ID)
		if c.Missed || !c.DueAt.Equal(due.Add(24*time.Hour)) {
			t.Errorf("after a late approval: missed %v, due %s", c.Missed, c.DueAt)
		}
		h.Invariants()
		h.Clock.Set(due.Add(25 * time.Hour))
		h.Sweep()
		if c := resolution(h, one.ID); !c.Missed {
			t.Error("the new deadline passed unnoticed")
		}
		h.Invariants()

		// Refused, taken back, and settled by the answer.
		for _, end := range []string{"refused", "withdrawn", "settled"} {
			tk := h.To(ticket.InProgress)
			due := resolution(h, tk.ID).DueAt
			tk, err := h.Defer(h.Ctx, h.As("kefu"), tk.ID, ticket.DeferralInput{Due: due.Add(24 * time.Hour), Reason: "等待厂家"})
			h.OK(err)
			switch end {
			case "refused":
				_, err = h.Approvals.Refuse(h.Ctx, h.As("zhuguan"), tk.DeferralID, "请按期完成")
			case "withdrawn":
				if _, err := h.WithdrawDeferral(h.Ctx, h.As("kefu2"), tk.ID); err == nil {
					t.Error("a colleague took the request back")
				}
				_, err = h.WithdrawDeferral(h.Ctx, h.As("kefu"), tk.ID)
			case "settled":
				h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已更换主板"})
			}
			h.OK(err)
			tk, err = h.Get(h.Ctx, ticket.View(h.As("kefu")), tk.ID)
			h.OK(err)
			ds, err := ticket.Deferrals(h.Ctx, h.D.Read(), tk.ID)
			h.OK(err)
			if tk.DeferralID != 0 || !tk.DeferredFrom.IsZero() || len(ds) != 1 || ds[0].State != end {
				t.Errorf("%s: %+v", end, ds)
			}
			if c := resolution(h, tk.ID); !c.DueAt.Equal(due) {
				t.Errorf("%s moved the deadline", end)
			}
			if _, open, _ := h.Approvals.Pending(h.Ctx, h.D.Read(), ticket.KindDeferral, ticket.Subject(tk.ID)); open {
				t.Errorf("%s left the request open", end)
			}
		}
		h.Invariants()
	})
}

func thread(h *tickettest.House, p journal.Place) (out []string) {
	h.T.Helper()
	es, _, err := journal.Of(h.Ctx, h.D.Read(), p, journal.Page{Limit: 500})
	h.OK(err)
	for _, e := range es {
		text := e.Body
		if m := e.Moved(); m.Event != "" {
			text = m.Event
		}
		out = append(out, fmt.Sprint(e.ID, " ", e.OriginID, " ", text))
	}
	return out
}

type snapshot struct {
	ticket ticket.Ticket
	clocks []string
	thread []string
}

// look is what a ticket is, without what any change moves.
func look(h *tickettest.House, id int64) snapshot {
	h.T.Helper()
	tk, err := h.Get(h.Ctx, authz.For(authz.System("test"), ticket.PermView), id)
	h.OK(err)
	tk.Version, tk.UpdatedAt, tk.ActivityAt, tk.StateAt = 0, time.Time{}, time.Time{}, time.Time{}
	tk.DueAt, tk.Joined = time.Time{}, false // the one moves with the time of the merge, the other only says where to look
	s := snapshot{ticket: tk, thread: thread(h, journal.Place{Ticket: id})}
	cs, err := sla.Of(h.Ctx, h.D.Read(), id)
	h.OK(err)
	for _, c := range cs {
		s.clocks = append(s.clocks, fmt.Sprint(c.ID, c.Kind, c.Round, c.State, c.Target, c.UsedAt(h.Clock.Now()), c.Step, c.Missed))
	}
	return s
}

// TKT-17: a merge taken back gives both tickets back: state, clocks, entries;
// clocks of the merged one never fire; what always holds holds at every step.
func TestMergeAndBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for _, from := range []ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer} {
			for _, to := range []ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer} {
				for _, part := range []bool{false, true} {
					name := fmt.Sprint(from, " into ", to, " with part ", part)
					a, b := h.To(from), h.To(to)
					if part {
						if from != ticket.InProgress {
							continue
						}
						a = h.Move("kefu", a, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "请检测主板"})
					}
					_, err := h.Note(h.Ctx, h.As("kefu"), b.ID, "先问一下仓库", nil, nil)
					h.OK(err)
					_, err = h.Note(h.Ctx, h.As("kefu"), a.ID, "客户又打来一次", nil, nil)
					h.OK(err)
					wasA, wasB := look(h, a.ID), look(h, b.ID)
					h.Events()
					a = h.Move("kefu", a, ticket.Merge, ticket.Input{Duplicate: b.Number, Reason: "同一台设备"})
					evs := h.Events()
					if want := "ticket.merged_in ticket.merged"; !part && evs != want || part && evs != "ticket.parent_changed "+want {
						t.Errorf("%s: events %s", name, evs)
					}
					if a.State != ticket.Cancelled || a.MergedInto != b.ID {
						t.Fatalf("%s: %s, into %d", name, a.State, a.MergedInto)
					}
					joined := thread(h, journal.Place{Ticket: b.ID})
					for _, l := range wasA.thread {
						id, rest, _ := strings.Cut(l, " 0 ")
						if !slices.Contains(joined, fmt.Sprint(id, " ", a.ID, " ", rest)) {
							t.Errorf("%s: %q is not read on the survivor: %q", name, l, joined)
						}
					}
					h.Invariants()
					h.Clock.Advance(40 * 24 * time.Hour / 50)
					fired := 0
					h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COUNT(*) FROM clock_firings f JOIN clocks c ON c.id = f.clock_id WHERE c.ticket_id = $1`, a.ID).Scan(&fired))
					h.Sweep()
					after := 0
					h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COUNT(*) FROM clock_firings f JOIN clocks c ON c.id = f.clock_id WHERE c.ticket_id = $1`, a.ID).Scan(&after))
					if after != fired {
						t.Errorf("%s: a clock of the merged ticket fired", name)
					}
					if part {
						if _, err := h.Do(h.Ctx, h.As("kefu"), b.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x", DelayReason: "x"}); err == nil {
							t.Errorf("%s: answered over a part that came with the merge", name)
						}
					}
					_, err = h.Note(h.Ctx, h.As("kefu"), b.ID, "合并后的备注", nil, nil)
					h.OK(err)
					if _, err := h.Note(h.Ctx, h.As("kefu"), a.ID, "写错地方", nil, nil); fault.KindOf(err) != fault.Conflict {
						t.Errorf("%s: a note on the merged ticket: %v", name, err)
					}
					got, err := h.CustomerWrites(h.Ctx, h.The(a), a.ID, "请问好了吗", nil)
					h.OK(err)
					if got.ID != b.ID {
						t.Errorf("%s: the customer's words went to %s", name, got.Number)
					}
					b2 := look(h, b.ID)
					a = h.Move("kefu", a, ticket.Unmerge, ticket.Input{})
					nowA, nowB := look(h, a.ID), look(h, b.ID)
					if nowA.ticket != wasA.ticket {
						t.Errorf("%s: given back\n%+v, was\n%+v", name, nowA.ticket, wasA.ticket)
					}
					if !slices.Equal(nowA.clocks, wasA.clocks) {
						t.Errorf("%s: clocks\n%v, were\n%v", name, nowA.clocks, wasA.clocks)
					}
					if got := nowA.thread[:len(wasA.thread)]; !slices.Equal(got, wasA.thread) {
						t.Errorf("%s: thread %q, was %q", name, got, wasA.thread)
					}
					for _, l := range nowB.thread {
						if strings.Contains(l, fmt.Sprint(" ", a.ID, " ")) {
							t.Errorf("%s: %q stayed", name, l)
						}
					}
					for _, l := range append(wasB.thread, "合并后的备注", "请问好了吗") {
						if !slices.ContainsFunc(nowB.thread, func(x string) bool { return x == l || strings.HasSuffix(x, " 0 "+l) }) {
							t.Errorf("%s: %q is gone from the survivor: %q", name, l, nowB.thread)
						}
					}
					if nowB.ticket.State != b2.ticket.State || nowB.ticket.OpenChildren != wasB.ticket.OpenChildren || nowB.ticket.AssigneeID != wasB.ticket.AssigneeID {
						t.Errorf("%s: the survivor is %+v, was %+v", name, nowB.ticket, wasB.ticket)
					}
					h.Invariants()
				}
			}
		}
	})
}

// The survivor has the tags of both; undoing takes off what came with the ticket
// that is given back, unless another merged one brings it too; a ticket made of a
// message has the tags of the one it was said on (TKT-17).
func TestMergeAndSplitTags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tag := map[string]int64{}
		for _, n := range []string{"红", "黄", "蓝"} {
			id, err := h.SaveTag(h.Ctx, h.As("zhuguan"), 0, n, "red")
			h.OK(err)
			tag[n] = id
		}
		ticketWith := func(names ...string) ticket.Ticket {
			x := h.To(ticket.InProgress)
			var ids []int64
			for _, n := range names {
				ids = append(ids, tag[n])
			}
			if len(ids) > 0 {
				var err error
				x, err = h.Tag(h.Ctx, h.As("kefu"), x.ID, ids, nil)
				h.OK(err)
			}
			return x
		}
		tags := func(x ticket.Ticket) (out string) {
			now, err := h.Get(h.Ctx, ticket.View(h.As("zhuguan")), x.ID)
			h.OK(err)
			var n int
			for name, id := range tag {
				h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COUNT(*) FROM ticket_tagged WHERE ticket_id = $1 AND tag_id = $2`, x.ID, id).Scan(&n))
				if (n == 1) != now.Tags.Has(id) {
					t.Errorf("%s: the row says %q, the index has %s %d times", x.Number, now.Tags, name, n)
				}
			}
			for _, name := range []string{"红", "黄", "蓝"} {
				if now.Tags.Has(tag[name]) {
					out += name
				}
			}
			return out
		}
		a, b, c, d := ticketWith("红", "黄"), ticketWith("黄"), ticketWith("蓝"), ticketWith("红")
		want := func(when string, states ...string) {
			t.Helper()
			for i, x := range []ticket.Ticket{a, b, c, d} {
				if got := tags(x); got != states[i] {
					t.Errorf("%s: %c has %q, want %q", when, 'a'+i, got, states[i])
				}
			}
		}
		h.Move("kefu", a, ticket.Merge, ticket.Input{Duplicate: b.Number})
		want("a into b", "红黄", "红黄", "蓝", "红")
		h.Move("kefu", d, ticket.Merge, ticket.Input{Duplicate: b.Number})
		h.Move("kefu", b, ticket.Merge, ticket.Input{Duplicate: c.Number})
		want("b into c", "红黄", "红黄", "红黄蓝", "红")
		h.Move("kefu", a, ticket.Unmerge, ticket.Input{})
		want("a given back", "红黄", "红黄", "红黄蓝", "红") // d brings the red one, b the yellow one
		h.Move("kefu", d, ticket.Unmerge, ticket.Input{})
		want("d given back", "红黄", "黄", "黄蓝", "红")
		h.Move("kefu", b, ticket.Unmerge, ticket.Input{})
		want("b given back", "红黄", "黄", "蓝", "红")
		h.Invariants()

		_, err := h.CustomerWrites(h.Ctx, h.The(a), a.ID, "另外，上个月的发票抬头开错了", nil)
		h.OK(err)
		es, _, err := journal.Of(h.Ctx, h.D.Read(), journal.Place{Ticket: a.ID}, journal.Page{Kinds: []journal.Kind{journal.Customer}, Limit: 1})
		h.OK(err)
		made, err := h.Split(h.Ctx, h.As("kefu"), es[0].ID, ticket.SplitInput{Title: "发票抬头开错", Type: "consultation", Urgency: "normal"})
		h.OK(err)
		if got := tags(made); got != "红黄" {
			t.Errorf("the ticket that was split off has %q", got)
		}
	})
}

// A chain of merges is followed to its end, and taken apart in any order.
func TestMergeChain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		a, b, c := h.To(ticket.InProgress), h.To(ticket.InProgress), h.To(ticket.InProgress)
		wasA, wasB := look(h, a.ID), look(h, b.ID)
		a = h.Move("kefu", a, ticket.Merge, ticket.Input{Duplicate: b.Number})
		if _, err := h.Do(h.Ctx, h.As("kefu"), c.ID, ticket.Merge, ticket.Input{Duplicate: a.Number}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("into a merged one: %v", err)
		}
		b = h.Move("kefu", b, ticket.Merge, ticket.Input{Duplicate: c.Number})
		found, actor, err := h.ByLink(h.Ctx, h.Link(a))
		h.OK(err)
		if found.ID != c.ID || actor.CustomerID != c.CustomerID {
			t.Errorf("the customer's link leads to %s", found.Number)
		}
		found, err = h.Lookup(h.Ctx, a.Number, h.LookupCode(a))
		h.OK(err)
		if found.ID != c.ID {
			t.Errorf("the old number leads to %s", found.Number)
		}
		ms, err := h.Mergings(h.Ctx, c.ID)
		h.OK(err)
		if len(ms) != 2 || ms[0].Ticket.ID != a.ID || !ms[0].Undoable {
			t.Errorf("mergings %+v", ms)
		}
		h.Invariants()
		a = h.Move("kefu", a, ticket.Unmerge, ticket.Input{})
		if got := look(h, a.ID); got.ticket != wasA.ticket || !slices.Equal(got.thread[:len(wasA.thread)], wasA.thread) {
			t.Errorf("a: %+v", got)
		}
		h.Invariants()
		b = h.Move("kefu", b, ticket.Unmerge, ticket.Input{})
		if got := look(h, b.ID); got.ticket != wasB.ticket || !slices.Equal(got.thread[:len(wasB.thread)], wasB.thread) {
			t.Errorf("b: %+v", got)
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), b.ID, ticket.Unmerge, ticket.Input{}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken back twice: %v", err)
		}
		b = h.Move("kefu", b, ticket.Merge, ticket.Input{Duplicate: c.Number})
		h.Clock.Advance(ticket.MergeUndo + time.Hour)
		h.Sweep()
		if _, err := h.Do(h.Ctx, h.As("kefu"), b.ID, ticket.Unmerge, ticket.Input{}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken back after a month: %v", err)
		}
		h.Invariants()
	})
}

// Who may merge what, and that two customers are told apart.
func TestMergeRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		other, err := h.Customers.Create(h.Ctx, h.As("kefu"), otherCustomer())
		h.OK(err)
		a, b := h.To(ticket.InProgress), h.To(ticket.InProgress)
		c := h.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.CustomerID = other.ID })
		done := h.To(ticket.Completed)
		b = h.Move("kefu", b, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "请检测主板"})
		parts, err := h.Children(h.Ctx, b.ID)
		h.OK(err)
		elsewhere := h.Register(func(in *ticket.RegisterInput) { in.AssigneeID, in.DepartmentID = 0, h.Dept["物流部"] })
		for _, x := range []struct {
			name, by, into string
			from           int64
			want           fault.Kind
		}{
			{"nobody", "kefu", "", a.ID, fault.Invalid},
			{"itself", "kefu", a.Number, a.ID, fault.Invalid},
			{"unknown", "kefu", "TASK0", a.ID, fault.Invalid},
			{"a finished one", "kefu", done.Number, a.ID, fault.Invalid},
			{"a part", "kefu", a.Number, parts[0].ID, fault.Conflict},
			{"into a part", "kefu", parts[0].Number, a.ID, fault.Invalid},
			{"another customer's", "kefu", c.Number, a.ID, fault.Invalid},
			{"out of reach", "gong", b.Number, a.ID, fault.NotFound},
			{"another department's", "kefu2", elsewhere.Number, a.ID, fault.Invalid},
		} {
			if _, err := h.Do(h.Ctx, h.As(x.by), x.from, ticket.Merge, ticket.Input{Duplicate: x.into}); fault.KindOf(err) != x.want {
				t.Errorf("%s: %v", x.name, err)
			}
		}
		c = h.Move("kefu", c, ticket.Merge, ticket.Input{Duplicate: a.Number, OtherToo: true})
		found, _, err := h.ByLink(h.Ctx, h.Link(c))
		h.OK(err)
		if found.ID != c.ID {
			t.Error("one customer's link leads to another customer's ticket")
		}
		got, err := h.CustomerWrites(h.Ctx, h.The(c), c.ID, "我的另一台也坏了", nil)
		h.OK(err)
		if got.ID != c.ID {
			t.Errorf("his words: %+v", got)
		}
		if th := thread(h, journal.Place{Ticket: a.ID, Customer: a.CustomerID}); slices.ContainsFunc(th, func(s string) bool { return strings.Contains(s, "另一台") }) {
			t.Error("one customer reads the other's words")
		}
		if th := thread(h, journal.Place{Ticket: a.ID}); !slices.ContainsFunc(th, func(s string) bool { return strings.Contains(s, "另一台") }) {
			t.Errorf("his words did not reach the survivor: %q", th)
		}
		h.Invariants()
	})
}

// A message becomes a ticket of its own, once, with its files.
func TestSplit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		f, err := h.Files.Upload(h.Ctx, h.The(tk), "发票.txt", strings.NewReader("发票抬头"))
		h.OK(err)
		_, err = h.CustomerWrites(h.Ctx, h.The(tk), tk.ID, "另外，上个月的发票抬头开错了", []int64{f.ID})
		h.OK(err)
		es, _, err := journal.Of(h.Ctx, h.D.Read(), journal.Place{Ticket: tk.ID}, journal.Page{Kinds: []journal.Kind{journal.Customer}, Limit: 1})
		h.OK(err)
		h.Events()
		in := ticket.SplitInput{Title: "发票抬头开错", Description: es[0].Body, Type: "consultation", Urgency: "normal", Files: []int64{f.ID}}
		if _, err := h.Split(h.Ctx, h.As("gong"), es[0].ID, in); fault.KindOf(err) != fault.NotFound {
			t.Errorf("out of reach: %v", err)
		}
		made, err := h.Split(h.Ctx, h.As("kefu"), es[0].ID, in)
		h.OK(err)
		if evs := h.Events(); evs != "ticket.registered file.uploaded ticket.split" {
			t.Errorf("events %s", evs)
		}
		if made.CustomerID != tk.CustomerID || made.ParentID != 0 || !made.RespondedAt.IsZero() {
			t.Errorf("made %+v", made)
		}
		files, err := h.Files.Of(h.Ctx, h.D.Read(), "ticket", made.ID)
		h.OK(err)
		if len(files) != 1 || files[0].Name != "发票.txt" {
			t.Errorf("files %+v", files)
		}
		e, err := journal.Get(h.Ctx, h.D.Read(), es[0].ID)
		h.OK(err)
		if e.TicketID != tk.ID || e.SplitTo != made.ID {
			t.Errorf("entry %+v", e)
		}
		if _, err := h.Split(h.Ctx, h.As("kefu"), es[0].ID, in); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		for _, x := range []struct {
			id   int64
			word string
		}{{tk.ID, "split.back"}, {made.ID, "split.there"}} {
			ls, err := h.Links(h.Ctx, ticket.View(h.As("kefu")), x.id)
			h.OK(err)
			if len(ls) != 1 || ls[0].Word() != x.word || ls[0].Removable() {
				t.Errorf("links of %d: %+v", x.id, ls)
			}
		}
		h.Invariants()
	})
}

// TKT-17: links read both ways, are made once and go again.
func TestRelate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		a, b := h.To(ticket.InProgress), h.To(ticket.InProgress)
		h.Events()
		_, err := h.Relate(h.Ctx, h.As("kefu"), a.ID, b.Number, "caused_by")
		h.OK(err)
		if evs := h.Events(); evs != "ticket.linked ticket.linked" {
			t.Errorf("events %s", evs)
		}
		if _, err := h.Relate(h.Ctx, h.As("kefu"), b.ID, a.Number, "caused_by"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the other way round: %v", err)
		}
		for _, number := range []string{"", "TASK0", a.Number} {
			if _, err := h.Relate(h.Ctx, h.As("kefu"), a.ID, number, "related"); fault.KindOf(err) != fault.Invalid {
				t.Errorf("to %q: %v", number, err)
			}
		}
		ls, err := h.Links(h.Ctx, ticket.View(h.As("kefu")), b.ID)
		h.OK(err)
		if len(ls) != 1 || ls[0].Word() != "caused_by.back" || !ls[0].Removable() {
			t.Errorf("links %+v", ls)
		}
		_, err = h.Unrelate(h.Ctx, h.As("kefu"), b.ID, a.Number, "caused_by")
		h.OK(err)
		if _, err := h.Unrelate(h.Ctx, h.As("kefu"), b.ID, a.Number, "caused_by"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("gone already: %v", err)
		}
		h.Invariants()
	})
}

// TKT-14: who is invited sees that ticket and no other; a ticket that needs a
// conference is not answered before its minutes are there.
func TestConference(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk, secret := h.To(ticket.InProgress), h.To(ticket.InProgress)
		if _, err := h.Get(h.Ctx, ticket.View(h.As("gong")), tk.ID); !fault.Is(err, fault.NotFound) {
			t.Fatalf("gong sees it already: %v", err)
		}
		at := h.Clock.Now().Add(3 * time.Hour)
		in := ticket.MeetingInput{Subject: "主板批次问题", StartsAt: at, Place: "3 楼会议室", People: []int64{h.User["gong"], h.User["xiaoshou"]}, Needed: true}
		if _, err := h.PlanConference(h.Ctx, h.As("kefu2"), tk.ID, in); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("planned by a colleague: %v", err)
		}
		if _, err := h.PlanConference(h.Ctx, h.As("kefu"), tk.ID, ticket.MeetingInput{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("empty: %v", err)
		}
		tk, err := h.PlanConference(h.Ctx, h.As("kefu"), tk.ID, in)
		h.OK(err)
		for _, who := range []string{"gong", "xiaoshou"} {
			if _, err := h.Get(h.Ctx, ticket.View(h.As(who)), tk.ID); err != nil {
				t.Errorf("%s was invited and does not see it: %v", who, err)
			}
			if _, err := h.Get(h.Ctx, ticket.View(h.As(who)), secret.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s sees another ticket: %v", who, err)
			}
			if _, err := h.Note(h.Ctx, h.As(who), tk.ID, "我会带上检测记录", nil, nil); err != nil {
				t.Errorf("%s may not say a word: %v", who, err)
			}
			if _, err := h.Do(h.Ctx, h.As(who), tk.ID, ticket.Cancel, ticket.Input{Code: "spam"}); err == nil {
				t.Errorf("%s cancelled it", who)
			}
		}
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "x"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("answered before the conference: %v", err)
		}
		ms, err := ticket.Conferences(h.Ctx, h.D.Read(), tk.ID)
		h.OK(err)
		in.People = []int64{h.User["gong"]}
		tk, err = h.MoveConference(h.Ctx, h.As("kefu"), tk.ID, ms[0].ID, ms[0].Version, in)
		h.OK(err)
		if _, err := h.Get(h.Ctx, ticket.View(h.As("xiaoshou")), tk.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("who is no longer invited still sees it: %v", err)
		}
		if _, err := h.MoveConference(h.Ctx, h.As("kefu"), tk.ID, ms[0].ID, ms[0].Version, in); fault.KindOf(err) != fault.Conflict {
			t.Errorf("changed over somebody's change: %v", err)
		}
		if _, err := h.WriteMinutes(h.Ctx, h.As("kefu2"), tk.ID, ms[0].ID, 0, ticket.MinutesInput{Answer: "x"}); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("minutes by who was not there: %v", err)
		}
		if _, err := h.WriteMinutes(h.Ctx, h.As("gong"), tk.ID, ms[0].ID, 0, ticket.MinutesInput{Minutes: "x"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("minutes without an answer: %v", err)
		}
		tk, err = h.WriteMinutes(h.Ctx, h.As("gong"), tk.ID, ms[0].ID, 0, ticket.MinutesInput{Answer: "本周五前免费更换主板", Minutes: "批次 A 有缺陷", OpenPoints: "仓库备货"})
		h.OK(err)
		answer, err := ticket.UnifiedAnswer(h.Ctx, h.D.Read(), tk)
		h.OK(err)
		if answer != "本周五前免费更换主板" || tk.Conference != ticket.ConferenceHeld {
			t.Errorf("answer %q, %s", answer, tk.Conference)
		}
		h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已更换主板"})

		// One called off no longer holds the answer up.
		other := h.To(ticket.InProgress)
		in.StartsAt = h.Clock.Now().Add(time.Hour)
		other, err = h.PlanConference(h.Ctx, h.As("zhuguan"), other.ID, in)
		h.OK(err)
		ms, err = ticket.Conferences(h.Ctx, h.D.Read(), other.ID)
		h.OK(err)
		other, err = h.CancelConference(h.Ctx, h.As("kefu"), other.ID, ms[0].ID, "客户已撤回")
		h.OK(err)
		if other.Conference != ticket.ConferenceNone {
			t.Errorf("waits for %s", other.Conference)
		}
		if _, err := h.Get(h.Ctx, ticket.View(h.As("gong")), other.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the invited of a conference called off sees the ticket: %v", err)
		}
		h.Invariants()
	})
}

// TKT-11: help may be asked for by a day of its own.
func TestHelpBy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		due := h.Clock.Now().Add(5 * time.Hour)
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "x", Due: h.Clock.Now().Add(-time.Hour)}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("by yesterday: %v", err)
		}
		h.Move("kefu", tk, ticket.RequestHelp, ticket.Input{DepartmentID: h.Dept["技术支持部"], Body: "请检测主板", Due: due})
		cs, err := h.Children(h.Ctx, tk.ID)
		h.OK(err)
		if c := resolution(h, cs[0].ID); !c.DueAt.Equal(due) {
			t.Errorf("due %s, want %s", c.DueAt, due)
		}
		h.Invariants()
	})
}

// What is being written down again is found while it is written.
func TestAlike(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		other, err := h.Customers.Create(h.Ctx, h.As("kefu"), otherCustomer())
		h.OK(err)
		mine := h.Register(func(in *ticket.RegisterInput) {
			in.Title, in.Description = "打印机无法联网", "三楼打印机连不上公司网络"
		})
		h.Register(func(in *ticket.RegisterInput) { in.Title = "申请开具增值税发票" })
		theirs := h.Register(func(in *ticket.RegisterInput) { in.CustomerID, in.Title = other.ID, "打印机无法联网打印" })
		done := h.To(ticket.Closed, func(in *ticket.RegisterInput) { in.Title = "打印机无法联网" })
		h.Events() // indexed
		got, err := h.Service.Alike(h.Ctx, ticket.View(h.As("kefu")), h.Cust.ID, 0, "打印机不能联网", "", 5)
		h.OK(err)
		var ids []int64
		for _, a := range got {
			ids = append(ids, a.ID)
		}
		if len(ids) < 1 || ids[0] != mine.ID || !got[0].Same || slices.Contains(ids, done.ID) {
			t.Errorf("found %v, want %d first", ids, mine.ID)
		}
		got, err = h.Service.Alike(h.Ctx, ticket.View(h.As("kefu")), h.Cust.ID, 0, "打印机无法联网", "", 5)
		h.OK(err)
		if len(got) != 2 || got[1].ID != theirs.ID || got[1].Same {
			t.Errorf("elsewhere: %+v", got)
		}
		got, err = h.Service.Alike(h.Ctx, ticket.View(h.As("gong")), h.Cust.ID, 0, "打印机无法联网", "", 5)
		h.OK(err)
		if len(got) != 0 {
			t.Errorf("out of reach and found: %+v", got)
		}
	})
}

func otherCustomer() customer.Input {
	return customer.Input{Type: customer.Company, Name: "佛山市顺德区华宇电器有限公司", Level: customer.Normal, Source: "phone", Contacts: []customer.ContactInput{{Name: "梁志强", Phone: "13900001111", Primary: true}}}
}

// The invitation to a conference: asked of whoever has an address of mail, with
// the time, the place and no word of the customer; called off, it takes itself
// away; in the calendar somebody subscribes to it has a title only when that may
// be said (TKT-14).
func TestConferenceInCalendars(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		x := h.To(ticket.InProgress)
		kefu, gong := h.As("kefu"), h.As("gong")
		mail := func(login, email string) {
			t.Helper()
			h.OK(h.Org.EditProfile(h.Ctx, h.As(login), org.ProfileInput{Email: email, Lang: i18n.ZhCN}))
		}
		starts := c.Now().Add(26 * time.Hour)
		_, err := h.PlanConference(h.Ctx, kefu, x.ID, ticket.MeetingInput{Subject: "主板返修口径", StartsAt: starts, Place: "302", People: []int64{kefu.ID, gong.ID}})
		h.OK(err)
		file := func(wants ...string) {
			t.Helper()
			ms, err := ticket.Conferences(h.Ctx, d.Read(), x.ID)
			h.OK(err)
			raw, err := h.Invitation(h.Ctx, x, ms[0], i18n.ZhCN, "https://kf.example.cn", "kf.example.cn")
			h.OK(err)
			got := strings.ReplaceAll(string(raw), "\r\n ", "")
			for _, w := range append(wants, fmt.Sprintf("UID:conference-%d@kf.example.cn", ms[0].ID), "SUMMARY:内部沟通会 "+x.Number+"：主板返修口径", "LOCATION:302", "!"+x.CustomerName) {
				if no, ok := strings.CutPrefix(w, "!"); strings.Contains(got, no) == ok {
					t.Errorf("%q in\n%s", w, got)
				}
			}
		}
		file("METHOD:PUBLISH", "!ATTENDEE", "SEQUENCE:0", "DTSTART:"+starts.UTC().Format("20060102T150405Z"))
		mail("kefu", "kefu@example.cn")
		mail("gong", "gong@example.cn")
		file("METHOD:REQUEST", "ORGANIZER;CN=", "mailto:kefu@example.cn", "mailto:gong@example.cn")
		for _, titles := range []bool{true, false} {
			es, err := h.Appointments(h.Ctx, task.CalendarRequest{User: gong.ID, Lang: i18n.ZhCN, From: c.Now(), To: starts.Add(time.Hour), Titles: titles, Host: "x"})
			h.OK(err)
			if len(es) != 1 || strings.Contains(es[0].Summary, "主板") != titles || (es[0].Place != "") != titles {
				t.Errorf("titles %v: %+v", titles, es)
			}
		}
		es, err := h.Appointments(h.Ctx, task.CalendarRequest{User: h.As("zhuguan").ID, From: c.Now(), To: starts.Add(time.Hour)})
		if err != nil || len(es) != 0 {
			t.Errorf("somebody who was not asked has %v (%v)", es, err)
		}
		ms, err := ticket.Conferences(h.Ctx, d.Read(), x.ID)
		h.OK(err)
		_, err = h.CancelConference(h.Ctx, kefu, x.ID, ms[0].ID, "改为电话沟通")
		h.OK(err)
		file("METHOD:CANCEL", "STATUS:CANCELLED", "!VALARM")
	})
}
