package app_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/notify"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// SLA-4: another level of the customer and another department bring a ticket under
// other policies at once, and what was used stays used. "I know" from the notice
// ends what a clock goes on saying, for everybody.
func TestPolicyFollows(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(dbtest.Start)
	apptest.Each(t, apptest.Options{Clock: c}, func(t *testing.T, h *apptest.House) {
		ctx, admin, agent := context.Background(), h.Actor(authz.RoleAdmin), h.Actor(authz.RoleAgent)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		targets := func(minutes int) map[sla.Kind]int {
			out := map[sla.Kind]int{sla.FirstResponse: 60, sla.Acknowledge: 120, sla.Update: 1440, sla.CustomerReply: 4320, sla.Confirmation: 4320}
			out[sla.Resolution] = minutes
			return out
		}
		dep := h.Departments["售后部"]
		for name, x := range map[string]struct {
			when    sla.Conditions
			minutes int
		}{"战略客户": {sla.Conditions{"level": {"strategic"}}, 600}, "售后": {sla.Conditions{"department": {strconv.FormatInt(dep, 10)}}, 1200}} {
			_, err := h.Tickets.SetPolicy(ctx, admin, sla.Policy{Name: name, When: x.when, Active: true, Targets: targets(x.minutes)}, false)
			ok(err)
		}
		cu, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "上海云帆科技有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周敏", Phone: "13812345678", Primary: true}}})
		ok(err)
		x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "打印机卡纸", Type: "after_sales", Urgency: "normal", Channel: "website", CustomerID: cu.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
		ok(err)
		resolution := func() sla.Clock {
			t.Helper()
			cs, err := sla.Open(ctx, h.DB.Read(), x.ID)
			ok(err)
			for _, c := range cs {
				if c.Kind == sla.Resolution {
					return c
				}
			}
			t.Fatal("no clock")
			return sla.Clock{}
		}
		begun := resolution().StartedAt
		c.Advance(3 * time.Hour)
		ok(h.Run.Do(ctx, admin, "test.level", func(ctx context.Context, a *action.Action) error {
			return h.Customers.SetLevel(ctx, a, cu.ID, customer.Strategic, "签了战略合作")
		}))
		ok(h.Follower.Drain(ctx))
		if r := resolution(); r.Policy != "战略客户" || !r.DueAt.Equal(begun.Add(10*time.Hour)) || r.UsedAt(c.Now()) != 3*time.Hour {
			t.Errorf("after the level: %s due %v used %v", r.Policy, r.DueAt, r.UsedAt(c.Now()))
		}
		ok(h.Run.Do(ctx, admin, "test.level", func(ctx context.Context, a *action.Action) error {
			return h.Customers.SetLevel(ctx, a, cu.ID, customer.Normal, "合作结束")
		}))
		ok(h.Follower.Drain(ctx))
		_, err = h.Tickets.Give(ctx, admin, x.ID, ticket.Input{AssigneeID: h.Users[authz.RoleEngineer], Reason: "需要上门"})
		ok(err)
		if r := resolution(); r.Policy != "售后" || !r.DueAt.Equal(begun.Add(20*time.Hour)) || r.UsedAt(c.Now()) != 3*time.Hour {
			t.Errorf("after the reassignment: %s due %v used %v", r.Policy, r.DueAt, r.UsedAt(c.Now()))
		}

		// The ladder insists; the supervisor knows, from his list of notices.
		_, err = h.Clocks.SetLadder(ctx, admin, sla.Ladder{Kind: sla.Acknowledge, Steps: []sla.Step{{Percent: 100, Tell: []sla.Who{sla.Supervisor}, Class: sla.Insist, Every: 10}}})
		ok(err)
		_, err = h.Clocks.Rehang(ctx, admin, sla.Acknowledge, 100)
		ok(err)
		c.Advance(2*time.Hour + time.Minute)
		ok(h.Settle(ctx))
		boss := h.Actor(authz.RoleSupervisor)
		ns, err := h.Notify.List(ctx, boss.ID, 0, 10)
		ok(err)
		if len(ns) == 0 || ns[0].Class != notify.Insist {
			t.Fatalf("the supervisor was told %+v", ns)
		}
		if desk := h.Call("GET", "/desk", "", h.Cookie(authz.RoleSupervisor)).Body.String(); !strings.Contains(desk, `"/tickets/`+x.Number+`/knowledge"`) {
			t.Error("the desk does not offer to know of it")
		}
		if res := h.Call("POST", "/notifications/known", "id="+strconv.FormatInt(ns[0].ID, 10), h.Cookie(authz.RoleSupervisor)); res.Code != 303 {
			t.Fatalf("known: %d %s", res.Code, res.Body)
		}
		ok(h.Settle(ctx))
		c.Advance(time.Hour)
		ok(h.Settle(ctx))
		if on, err := sla.InsistingOf(ctx, h.DB.Read(), []int64{x.ID}); err != nil || on[x.ID] {
			t.Errorf("it still insists (%v)", err)
		}
		again, err := h.Notify.List(ctx, boss.ID, 0, 10)
		ok(err)
		for _, n := range again {
			if n.Kind == ticket.EventReminded && n.CreatedAt.After(ns[0].CreatedAt) {
				t.Errorf("said again after somebody knew: %+v", n)
			}
		}
		if desk := h.Call("GET", "/desk", "", h.Cookie(authz.RoleSupervisor)).Body.String(); strings.Contains(desk, `"/tickets/`+x.Number+`/knowledge"`) {
			t.Error("the desk still offers to know of it")
		}
	})
}
