package ticket_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// Giving from the desk: whatever the state, with a reason, by whoever gives out
// the department's work, to somebody who can be given it.
func TestGive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		kefu2 := h.User["kefu2"]
		pending, working := h.To(ticket.Pending), h.To(ticket.InProgress)
		waiting, awaiting := h.To(ticket.WaitingCustomer), h.To(ticket.AwaitingConfirmation)
		done := h.To(ticket.Completed)
		in := ticket.Input{AssigneeID: kefu2, Reason: "调整"}
		for _, c := range []struct {
			name  string
			by    string
			t     ticket.Ticket
			in    ticket.Input
			want  fault.Kind
			state ticket.State
			event string
		}{
			{"no reason", "zhuguan", working, ticket.Input{AssigneeID: kefu2}, fault.Invalid, "", ""},
			{"no right", "kefu", waiting, in, fault.Forbidden, "", ""},
			{"not his department", "jizhu", waiting, in, fault.NotFound, "", ""},
			{"over", "zhuguan", done, in, fault.Conflict, "", ""},
			{"has it", "zhuguan", working, ticket.Input{AssigneeID: h.User["kefu"], Reason: "x"}, fault.Conflict, "", ""},
			{"pending", "zhuguan", pending, in, "", ticket.Pending, "ticket.assigned"},
			{"in progress", "zhuguan", working, in, "", ticket.Pending, "ticket.reassigned"},
			{"waiting for the customer", "zhuguan", waiting, in, "", ticket.WaitingCustomer, "ticket.handed_over"},
			{"waiting, by routing", "zhuguan", awaiting, ticket.Input{Reason: "x"}, "", ticket.AwaitingConfirmation, "ticket.handed_over"},
		} {
			h.Events()
			got, err := h.Give(h.Ctx, h.As(c.by), c.t.ID, c.in)
			if c.want != "" || err != nil {
				if err == nil || fault.KindOf(err) != c.want {
					t.Errorf("%s: %v, want %v", c.name, err, c.want)
				}
				continue
			}
			if got.State != c.state || got.AssigneeID == h.User["kefu"] || got.AssigneeID == 0 || h.Events() != c.event {
				t.Errorf("%s: %s with %d", c.name, got.State, got.AssigneeID)
			}
		}
		if d := decision(h, awaiting.ID); d.Chosen == 0 {
			t.Error("given by routing, and not explained")
		}
		h.Invariants()
	})
}

// 催办: by a supervisor, to the assignee, once an hour, recorded.
func TestNudge(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		for by, want := range map[string]fault.Kind{"kefu2": fault.Forbidden, "jizhu": fault.NotFound} {
			if err := h.Nudge(h.Ctx, h.As(by), tk.ID, ""); fault.KindOf(err) != want || err == nil {
				t.Errorf("%s: %v", by, err)
			}
		}
		h.Events()
		h.OK(h.Nudge(h.Ctx, h.As("zhuguan"), tk.ID, "客户来电催了两次"))
		if got := h.Events(); got != "ticket.nudged" {
			t.Errorf("recorded %q", got)
		}
		if err := h.Nudge(h.Ctx, h.As("zongjian"), tk.ID, ""); !fault.Is(err, fault.Limited) {
			t.Errorf("again at once: %v", err)
		}
		h.Clock.Advance(time.Hour)
		h.OK(h.Nudge(h.Ctx, h.As("zongjian"), tk.ID, ""))
		if err := h.Nudge(h.Ctx, h.As("zhuguan"), h.To(ticket.Closed).ID, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("a closed one: %v", err)
		}
		h.Invariants()
	})
}

// The desk's lists and counts keep to the scope, and to each other.
func TestDeskLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		fresh, taken, waiting := h.To(ticket.Pending), h.To(ticket.InProgress), h.To(ticket.WaitingCustomer)
		h.Clock.Advance(3 * time.Hour)
		h.Sweep()
		for _, c := range []struct {
			view string
			ids  []int64
		}{{"unacknowledged", []int64{fresh.ID}}, {"escalated", []int64{fresh.ID}}, {"waiting", []int64{waiting.ID}}} {
			for who, sees := range map[string]bool{"zhuguan": true, "zongjian": true, "guanli": true, "jizhu": false} {
				sc := authz.For(h.As(who), ticket.PermSupervise)
				p, err := h.List(h.Ctx, sc, ticket.Filter{View: c.view})
				h.OK(err)
				n, err := h.Counts(h.Ctx, sc, []ticket.Filter{{View: c.view}})
				h.OK(err)
				var ids []int64
				for _, r := range p.Rows {
					ids = append(ids, r.ID)
				}
				want := c.ids
				if !sees {
					want = nil
				}
				if !slices.Equal(ids, want) || n[0] != len(want) {
					t.Errorf("%s for %s: %v, counted %d, want %v", c.view, who, ids, n[0], want)
				}
			}
		}
		w, err := h.Workloads(h.Ctx, []int64{h.User["kefu"], h.User["kefu2"]})
		h.OK(err)
		if got := w[h.User["kefu"]]; got.Open != 3 || got.Waiting != 1 || got.Overdue == 0 {
			t.Errorf("load %+v", got)
		}
		if got := w[h.User["kefu2"]]; got != (ticket.Workload{}) {
			t.Errorf("load of one without tickets %+v", got)
		}
		_ = taken
	})
}

func equip(h *tickettest.House) *job.Queue {
	q := job.New(h.D, job.Config{})
	h.Service.Equip(h.Org, q)
	return q
}

// A handover moves exactly the open tickets, says so on each, and tells
// everybody once.
func TestHandoverInOneStep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		q := equip(h)
		var open []ticket.Ticket
		for _, s := range []ticket.State{ticket.Pending, ticket.InProgress, ticket.WaitingCustomer, ticket.AwaitingConfirmation} {
			open = append(open, h.To(s))
		}
		done := h.To(ticket.Completed)
		in := ticket.HandoverInput{FromID: h.User["kefu"], ToID: h.User["kefu2"], Reason: "休假"}
		for name, err := range map[string]error{
			"by a stranger":  func() error { _, err := h.StartHandover(h.Ctx, h.As("jizhu"), in); return err }(),
			"by a colleague": func() error { _, err := h.StartHandover(h.Ctx, h.As("kefu2"), in); return err }(),
			"without reason": func() error {
				i := in
				i.Reason = " "
				_, err := h.StartHandover(h.Ctx, h.As("zhuguan"), i)
				return err
			}(),
			"to himself": func() error {
				i := in
				i.ToID = i.FromID
				_, err := h.StartHandover(h.Ctx, h.As("zhuguan"), i)
				return err
			}(),
			"to an auditor": func() error {
				i := in
				i.ToID = h.User["shenji"]
				_, err := h.StartHandover(h.Ctx, h.As("zhuguan"), i)
				return err
			}(),
			"of nothing": func() error {
				i := in
				i.FromID, i.ToID = h.User["kefu2"], 0
				_, err := h.StartHandover(h.Ctx, h.As("zhuguan"), i)
				return err
			}(),
		} {
			if err == nil {
				t.Errorf("%s: it began", name)
			}
		}
		h.Events()
		id, err := h.StartHandover(h.Ctx, h.As("zhuguan"), in)
		h.OK(err)
		if _, err := h.StartHandover(h.Ctx, h.As("zhuguan"), in); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		// While it runs nothing new is given to him, neither by name nor by himself.
		if _, err := h.Service.Register(h.Ctx, h.As("zhuguan"), func() ticket.RegisterInput { i := h.Input(); i.AssigneeID = in.FromID; return i }()); !fault.Is(err, fault.Invalid) {
			t.Errorf("given to somebody who hands over: %v", err)
		}
		_, err = q.RunDue(h.Ctx)
		h.OK(err)
		if got := h.Events(); got != "ticket.handover_started ticket.handed_over ticket.handed_over ticket.handed_over ticket.handed_over ticket.handover_finished ticket.handover_given ticket.handover_received" {
			t.Errorf("recorded %q", got)
		}
		for _, x := range open {
			if now := reload(h, x.ID); now.AssigneeID != in.ToID || now.State != x.State {
				t.Errorf("%s: %s with %d", x.State, now.State, now.AssigneeID)
			}
		}
		if now := reload(h, done.ID); now.AssigneeID != h.User["kefu"] {
			t.Error("a finished ticket was moved")
		}
		got, err := h.HandoverOf(h.Ctx, h.As("zhuguan"), id)
		h.OK(err)
		if !got.Done || got.Moved != 4 || got.Unassigned != 0 || got.Receivers[in.ToID] != 4 {
			t.Errorf("the handover says %+v", got)
		}
		if _, err := h.HandoverOf(h.Ctx, h.As("jizhu"), id); !fault.Is(err, fault.NotFound) {
			t.Errorf("a stranger sees it: %v", err)
		}
		h.Invariants()

		// Spread, with nobody free: the supervisor answers for all of it.
		h.OK(h.Org.SetPresence(h.Ctx, h.As("kefu"), h.User["kefu"], org.Presence{Availability: org.Offline}))
		h.OK(h.Org.SetPresence(h.Ctx, h.As("zhuguan"), h.User["zhuguan"], org.Presence{Availability: org.Busy}))
		id, err = h.StartHandover(h.Ctx, h.As("kefu2"), ticket.HandoverInput{FromID: h.User["kefu2"], Reason: "休假", OffDuty: true})
		h.OK(err)
		_, err = q.RunDue(h.Ctx)
		h.OK(err)
		got, err = h.HandoverOf(h.Ctx, h.As("kefu2"), id)
		h.OK(err)
		if !got.Done || got.Moved != 4 || got.Unassigned != 4 {
			t.Errorf("nobody free: %+v", got)
		}
		for _, x := range open {
			now := reload(h, x.ID)
			if x.State == ticket.Pending && (now.AssigneeID != 0 || now.SupervisorID != h.User["zhuguan"]) || x.State != ticket.Pending && now.AssigneeID != h.User["zhuguan"] {
				t.Errorf("%s: with %d, answered for by %d", x.State, now.AssigneeID, now.SupervisorID)
			}
		}
		if p, _, err := h.Org.Person(h.Ctx, nil, h.User["kefu2"]); err != nil || p.Availability != org.Offline {
			t.Errorf("he is still %s", p.Availability)
		}
		h.Invariants()
	})
}

// Registrations for the one who leaves go on while his work is handed over: none
// of them stays with him, none is lost.
func TestHandoverLeavesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		q := equip(h)
		for range 5 {
			h.Register()
		}
		by := h.As("zhuguan")
		var registered atomic.Int64
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 8 {
					in := h.Input()
					in.AssigneeID = h.User["kefu"]
					_, err := h.Service.Register(h.Ctx, by, in)
					if err == nil {
						registered.Add(1)
					} else if !fault.Is(err, fault.Invalid) {
						t.Errorf("register: %v", err)
					}
				}
			})
		}
		id, err := h.StartHandover(h.Ctx, by, ticket.HandoverInput{FromID: h.User["kefu"], ToID: h.User["kefu2"], Reason: "离岗", OffDuty: true})
		h.OK(err)
		_, err = q.RunDue(h.Ctx)
		h.OK(err)
		wg.Wait()
		got, err := h.HandoverOf(h.Ctx, by, id)
		h.OK(err)
		load, err := ticket.Load(h.Ctx, h.D.Read(), []int64{h.User["kefu"], h.User["kefu2"]})
		h.OK(err)
		if !got.Done || load[h.User["kefu"]] != 0 || load[h.User["kefu2"]] != registered.Load()+5 {
			t.Errorf("left with him %d, with the other %d of %d; %+v", load[h.User["kefu"]], load[h.User["kefu2"]], registered.Load()+5, got)
		}
		h.Invariants()
	})
}

// Who goes on leave with open tickets: his supervisor hears of it.
func TestLeaveOffersHandover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		h.Register()
		h.Events()
		leave := org.Presence{Availability: org.Online, AwayFrom: h.Clock.Now().Add(time.Hour), AwayUntil: h.Clock.Now().Add(24 * time.Hour)}
		h.OK(h.Org.SetPresence(h.Ctx, h.As("kefu"), h.User["kefu"], leave))
		if got := h.Events(); got != "org.availability_changed org.away_with_work" {
			t.Errorf("recorded %q", got)
		}
		u, err := h.Org.Me(h.Ctx, h.As("kefu"))
		h.OK(err)
		if w, err := h.Org.Transferable(h.Ctx, h.As("kefu"), u); err != nil || len(w) != 1 || w[0].Count != 1 || w[0].Page == "" {
			t.Errorf("offered %+v, %v", w, err)
		}
		h.OK(h.Org.SetPresence(h.Ctx, h.As("kefu2"), h.User["kefu2"], leave))
		if got := h.Events(); got != "org.availability_changed" {
			t.Errorf("recorded %q of one without tickets", got)
		}
		h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(_ context.Context, a *action.Action) error { a.Nothing(); return nil }))
	})
}
