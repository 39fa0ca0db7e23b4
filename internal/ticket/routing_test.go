package ticket_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// hire adds people to a department and returns their ids.
func hire(h *tickettest.House, dep, role string, capacity int64, logins ...string) (ids []int64) {
	h.T.Helper()
	h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		r, err := h.Org.RoleByCode(ctx, a, role)
		if err != nil {
			return err
		}
		for _, login := range logins {
			id, err := h.Org.AddUser(ctx, a, org.UserInput{Login: login, Name: "同事" + login, DepartmentID: h.Dept[dep], RoleIDs: []int64{r}, Capacity: capacity}, "", false)
			if err != nil {
				return err
			}
			h.User[login] = id
			ids = append(ids, id)
		}
		return nil
	}))
	return ids
}

func chain(h *tickettest.House, dep string, c ...ticket.Strategy) {
	h.T.Helper()
	h.OK(h.SetChain(h.Ctx, h.As("guanli"), h.Dept[dep], c))
}

func decision(h *tickettest.House, id int64) ticket.Decision {
	h.T.Helper()
	g, err := h.Given(h.Ctx, id)
	h.OK(err)
	if len(g) == 0 || g[0].Route == nil {
		return ticket.Decision{}
	}
	return *g[0].Route
}

// TKT-5: rules in order, the first that fits; closed departments and rules that
// are off are passed over; the reason is kept with the ticket.
func TestRoutingRules(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		boss := h.As("guanli")
		var faults int64
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT id FROM categories WHERE name = '产品故障'`).Scan(&faults))
		var slow int64
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT id FROM categories WHERE name = '性能问题'`).Scan(&slow))
		add := func(dep string, c ticket.Conditions, up int) int64 {
			t.Helper()
			id, err := h.SaveRule(h.Ctx, boss, ticket.Rule{Name: "测试", Conditions: c, DepartmentID: h.Dept[dep], Active: true})
			h.OK(err)
			if up != 0 {
				h.OK(h.MoveRule(h.Ctx, boss, id, up))
			}
			return id
		}
		invoice := add("物流部", ticket.Conditions{Keywords: []string{"ＶＩＰ 发票", "退款"}}, -100)
		add("技术支持部", ticket.Conditions{Categories: []int64{faults}, Channels: []string{"email", "chat"}}, -100)
		add("销售部", ticket.Conditions{Levels: []string{"strategic"}, Types: []string{"other"}}, 0)
		for _, c := range []struct {
			name string
			r    ticket.Request
			dep  string
			hits string
		}{
			{"seeded by type", ticket.Request{Type: "after_sales"}, "售后部", "[{type after_sales}]"},
			{"seeded by class", ticket.Request{Type: "other", Class: "problem"}, "技术支持部", "[{class problem}]"},
			{"the rest", ticket.Request{Type: "other"}, "客服部", "[]"},
			{"a keyword in any width and case", ticket.Request{Type: "consultation", Text: "请开 vip　发票"}, "物流部", "[{keyword ＶＩＰ 发票}]"},
			{"another keyword", ticket.Request{Type: "consultation", Text: "我要退款！"}, "物流部", "[{keyword 退款}]"},
			{"a category below, in the channel", ticket.Request{Type: "consultation", CategoryID: slow, Channel: "chat"}, "技术支持部", fmt.Sprintf("[{channel chat} {category %d}]", slow)},
			{"the category in another channel", ticket.Request{Type: "consultation", CategoryID: slow, Channel: "phone"}, "客服部", "[{type consultation}]"},
			{"the earlier rule wins", ticket.Request{Type: "consultation", CategoryID: slow, Channel: "chat", Text: "退款"}, "技术支持部", fmt.Sprintf("[{channel chat} {category %d}]", slow)},
			{"level", ticket.Request{Type: "other", Level: "strategic"}, "销售部", "[{type other} {level strategic}]"},
		} {
			tr, err := h.TryRouting(h.Ctx, c.r)
			h.OK(err)
			if tr.Department != h.Dept[c.dep] || fmt.Sprint(tr.Hits) != c.hits {
				t.Errorf("%s: department %d (%v), want %s (%s)", c.name, tr.Department, tr.Hits, c.dep, c.hits)
			}
		}
		// With the ticket, for good.
		tk, err := h.Service.Register(h.Ctx, h.As("zongjian"), func() ticket.RegisterInput { in := h.Input(); in.Description = "想退款"; return in }())
		h.OK(err)
		d := decision(h, tk.ID)
		if tk.DepartmentID != h.Dept["物流部"] || d.Rule != invoice || d.Name != "测试" || len(d.Hits) != 1 {
			t.Errorf("department %d, decision %+v", tk.DepartmentID, d)
		}
		h.OK(h.RemoveRule(h.Ctx, boss, invoice))
		if d := decision(h, tk.ID); d.Rule != invoice {
			t.Error("the decision has forgotten its rule")
		}
		// Closed departments take nothing.
		h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			_, err := a.Exec(ctx, `UPDATE departments SET active = 0 WHERE id = $1`, h.Dept["售后部"])
			if err == nil {
				_, err = a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = $1`, org.GenerationCounter)
			}
			return err
		}))
		if tr, err := h.TryRouting(h.Ctx, ticket.Request{Type: "after_sales"}); err != nil || tr.Department != h.Dept["客服部"] {
			t.Errorf("a closed department: %d, %v", tr.Department, err)
		}
		// What cannot be saved.
		rest := func() ticket.Rule { r, err := h.Routing(h.Ctx); h.OK(err); return r.Rules[len(r.Rules)-1] }()
		for name, err := range map[string]error{
			"no condition": func() error {
				_, err := h.SaveRule(h.Ctx, boss, ticket.Rule{DepartmentID: h.Dept["物流部"]})
				return err
			}(),
			"unknown type": func() error {
				_, err := h.SaveRule(h.Ctx, boss, ticket.Rule{DepartmentID: h.Dept["物流部"], Conditions: ticket.Conditions{Types: []string{"x"}}})
				return err
			}(),
			"conditions of the rest": func() error {
				r := rest
				r.Conditions.Types = []string{"other"}
				_, err := h.SaveRule(h.Ctx, boss, r)
				return err
			}(),
			"removal of the rest": h.RemoveRule(h.Ctx, boss, rest.ID),
			"no right":            h.RemoveRule(h.Ctx, h.As("zhuguan"), rest.ID),
			"chain twice":         h.SetChain(h.Ctx, boss, h.Dept["客服部"], []ticket.Strategy{ticket.ByOwner, ticket.ByOwner}),
			"chain goes on":       h.SetChain(h.Ctx, boss, h.Dept["客服部"], []ticket.Strategy{ticket.LeastLoaded, ticket.ByOwner}),
			"chain of nothing":    h.SetChain(h.Ctx, boss, h.Dept["客服部"], nil),
		} {
			if err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		h.Events()
		rest.DepartmentID = h.Dept["技术支持部"]
		_, err = h.SaveRule(h.Ctx, boss, rest)
		h.OK(err)
		if got := h.Events(); got != "ticket.route_changed" {
			t.Errorf("recorded %q", got)
		}
		if tr, err := h.TryRouting(h.Ctx, ticket.Request{Type: "other"}); err != nil || tr.Department != h.Dept["技术支持部"] {
			t.Errorf("the rest goes to %d, %v", tr.Department, err)
		}
		stale := rest
		if _, err := h.SaveRule(h.Ctx, boss, stale); !fault.Is(err, fault.Conflict) {
			t.Errorf("a stale form: %v", err)
		}
	})
}

// Who gets a ticket of a department, by each strategy and chain, and why the
// others do not.
func TestStrategies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		ids := hire(h, "售后部", authz.RoleEngineer, 5, "a1", "a2", "a3")
		hire(h, "售后部", authz.RoleEditor, 5, "norights")
		h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			_, err := a.Exec(ctx, `UPDATE departments SET supervisor_id = $1 WHERE id = $2`, h.User["zhuguan"], h.Dept["售后部"])
			if err == nil {
				_, err = a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = $1`, org.GenerationCounter)
			}
			return err
		}))
		dep := h.Dept["售后部"]
		as := h.As("zongjian")
		register := func(change ...func(*ticket.RegisterInput)) (ticket.Ticket, ticket.Decision) {
			t.Helper()
			in := h.Input()
			in.DepartmentID = dep
			for _, f := range change {
				f(&in)
			}
			tk, err := h.Service.Register(h.Ctx, as, in)
			h.OK(err)
			return tk, decision(h, tk.ID)
		}
		give := func(who int64, n int) {
			t.Helper()
			for range n {
				register(func(in *ticket.RegisterInput) { in.AssigneeID = who })
			}
		}
		why := func(d ticket.Decision, who int64) string {
			for _, p := range d.People {
				if p.User == who {
					if p.Why == "" {
						return "free"
					}
					return p.Why
				}
			}
			return "not looked at"
		}
		presence := func(login string, p org.Presence) {
			t.Helper()
			h.OK(h.Org.SetPresence(h.Ctx, h.As(login), h.User[login], p))
		}
		result := func(d ticket.Decision) (out []string) {
			for _, x := range d.Tried {
				out = append(out, string(x.Strategy)+":"+x.Result)
			}
			return out
		}
		check := func(name string, tk ticket.Ticket, d ticket.Decision, want int64, tried ...string) {
			t.Helper()
			if tk.AssigneeID != want || d.Chosen != want || !slices.Equal(result(d), tried) {
				t.Errorf("%s: assigned to %d (decision %d, tried %v), want %d, %v", name, tk.AssigneeID, d.Chosen, result(d), want, tried)
			}
			if want == 0 && tk.SupervisorID != h.User["zhuguan"] {
				t.Errorf("%s: nobody answers for it: supervisor %d", name, tk.SupervisorID)
			}
		}

		// Least loaded is what a department does by itself; equals by id.
		give(ids[0], 2)
		give(ids[1], 1)
		give(ids[2], 2)
		tk, d := register()
		check("least loaded", tk, d, ids[1], "least_loaded:chosen")
		if !d.Given || why(d, ids[0]) != "free" || why(d, h.User["norights"]) != "no_right" {
			t.Errorf("explained %+v", d)
		}

		// Everybody is asked for duty, leave and capacity first.
		presence("a1", org.Presence{Availability: org.Busy})
		presence("a2", org.Presence{Availability: org.Online, AwayUntil: h.Clock.Now().Add(time.Hour)})
		give(ids[2], 3) // full: 5 of 5
		tk, d = register()
		check("an empty pool", tk, d, 0, "least_loaded:empty")
		if why(d, ids[0]) != "busy" || why(d, ids[1]) != "away" || why(d, ids[2]) != "full" || d.Supervisor != h.User["zhuguan"] {
			t.Errorf("explained %+v", d)
		}
		presence("a1", org.Presence{Availability: org.Offline})
		_, d = register()
		if why(d, ids[0]) != "offline" {
			t.Errorf("offline is explained as %s", why(d, ids[0]))
		}
		presence("a1", org.Presence{Availability: org.Online})
		presence("a2", org.Presence{Availability: org.Online})

		// Pull: nobody, though people are free; nobody is told but the queue shows it.
		chain(h, "售后部", ticket.Pull)
		tk, d = register()
		check("pull", tk, d, 0, "pull:queue")

		// In turn, past those who cannot.
		chain(h, "售后部", ticket.RoundRobin)
		tk, d = register()
		check("first turn", tk, d, ids[0], "round_robin:chosen")
		tk, d = register()
		check("second turn", tk, d, ids[1], "round_robin:chosen")
		tk, d = register() // the third is full
		check("third turn", tk, d, ids[0], "round_robin:chosen")

		// Owner, then last handler, then the least loaded.
		chain(h, "售后部", ticket.ByOwner, ticket.LastHandler, ticket.LeastLoaded)
		own, err := h.Customers.Create(h.Ctx, h.As("guanli"), customer.Input{Type: customer.Company, Name: "东莞华信电子有限公司", Source: "phone", OwnerID: ids[1], Contacts: []customer.ContactInput{{Name: "刘", Phone: "13912345678", Primary: true}}})
		h.OK(err)
		of := func(c int64) func(*ticket.RegisterInput) { return func(in *ticket.RegisterInput) { in.CustomerID = c } }
		tk, d = register(of(own.ID))
		check("owner", tk, d, ids[1], "owner:chosen")
		alone, err := h.Customers.Create(h.Ctx, h.As("guanli"), customer.Input{Type: customer.Company, Name: "佛山正大模具有限公司", Source: "phone", OwnerID: h.User["xiaoshou"], Contacts: []customer.ContactInput{{Name: "吴", Phone: "13912345679", Primary: true}}})
		h.OK(err)
		tk, d = register(of(alone.ID))
		check("owner elsewhere, no earlier ticket", tk, d, ids[0], "owner:outside", "last_handler:unknown", "least_loaded:chosen")
		tk, d = register(of(alone.ID))
		check("the last handler is full", tk, d, ids[1], "owner:outside", "last_handler:not_free", "least_loaded:chosen")
		if why(d, ids[0]) != "full" {
			t.Errorf("the last handler is %s", why(d, ids[0]))
		}
		second := tk
		tk, d = register(of(alone.ID))
		check("everybody is full", tk, d, 0, "owner:outside", "last_handler:not_free", "least_loaded:empty")
		h.Move("zongjian", second, ticket.Cancel, ticket.Input{Code: "mistake"})
		tk, d = register(of(alone.ID))
		check("the last handler", tk, d, ids[1], "owner:outside", "last_handler:chosen")
		h.Invariants()
	})
}

// By skill: who has most of what the request asks for.
func TestSkills(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		ids := hire(h, "售后部", authz.RoleEngineer, 9, "a1", "a2", "a3")
		boss := h.As("guanli")
		var faults, slow int64
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT id FROM categories WHERE name = '产品故障'`).Scan(&faults))
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT id FROM categories WHERE name = '性能问题'`).Scan(&slow))
		repair, err := h.SaveSkill(h.Ctx, boss, ticket.Skill{Name: "维修", Categories: []int64{faults}}, false)
		h.OK(err)
		visit, err := h.SaveSkill(h.Ctx, boss, ticket.Skill{Name: "上门", Types: []string{"after_sales"}}, false)
		h.OK(err)
		if _, err := h.SaveSkill(h.Ctx, boss, ticket.Skill{Name: "维修", Types: []string{"other"}}, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("the same name twice: %v", err)
		}
		if _, err := h.SaveSkill(h.Ctx, boss, ticket.Skill{Name: "空"}, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("a skill that serves nothing: %v", err)
		}
		have := func(login string, skills ...int64) {
			t.Helper()
			u, err := h.Org.User(h.Ctx, authz.For(boss, org.PermView), h.User[login])
			h.OK(err)
			h.OK(h.Org.EditUser(h.Ctx, boss, u.ID, u.Version, org.UserInput{Name: u.Name, DepartmentID: u.DepartmentID, RoleIDs: u.RoleIDs, Capacity: u.Capacity, Skills: skills}))
		}
		have("a2", repair)
		have("a3", repair, visit)
		chain(h, "售后部", ticket.BySkill, ticket.LeastLoaded)
		as := h.As("zongjian")
		for i, c := range []struct {
			typ      string
			category int64
			want     int64
			tried    string
		}{
			{"after_sales", slow, ids[2], "[{skill chosen 0}]"},
			{"consultation", slow, ids[1], "[{skill chosen 0}]"}, // both have it, the second has less to do
			{"consultation", 0, ids[0], "[{skill no_skill 0} {least_loaded chosen 0}]"},
			{"after_sales", 0, ids[2], "[{skill chosen 0}]"},
		} {
			in := h.Input()
			in.Type, in.CategoryID, in.DepartmentID = c.typ, c.category, h.Dept["售后部"]
			tk, err := h.Service.Register(h.Ctx, as, in)
			h.OK(err)
			if d := decision(h, tk.ID); tk.AssigneeID != c.want || fmt.Sprint(d.Tried) != c.tried {
				t.Errorf("%d: %d by %v, want %d", i, tk.AssigneeID, d.Tried, c.want)
			}
		}
		h.OK(h.RemoveSkill(h.Ctx, boss, repair))
		u, err := h.Org.User(h.Ctx, authz.For(boss, org.PermView), h.User["a2"])
		h.OK(err)
		if len(u.Skills) != 0 {
			t.Error("he has kept a skill that is gone")
		}
	})
}

// Taking turns is exact however many register at once: nobody gets two more
// than another, and a registration that fails takes no turn.
func TestTurnsAreFair(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		ids := hire(h, "售后部", authz.RoleEngineer, 1000, "a1", "a2", "a3", "a4", "a5")
		chain(h, "售后部", ticket.RoundRobin)
		as := h.As("zongjian")
		var wg sync.WaitGroup
		const each = 7
		for i := range 6 {
			wg.Go(func() {
				for j := range each {
					in := h.Input()
					in.DepartmentID = h.Dept["售后部"]
					if (i+j)%5 == 4 {
						in.Files = []int64{1 << 40} // no such upload: refused after somebody was chosen
					}
					if _, err := h.Service.Register(h.Ctx, as, in); (err != nil) != (in.Files != nil) {
						t.Errorf("register: %v", err)
					}
				}
			})
		}
		wg.Wait()
		load, err := ticket.Load(h.Ctx, h.D.Read(), ids)
		h.OK(err)
		least, most := int64(1<<60), int64(0)
		for _, id := range ids {
			least, most = min(least, load[id]), max(most, load[id])
		}
		if most-least > 1 || most == 0 {
			t.Errorf("the turns are uneven: %v", load)
		}
		h.Invariants()
	})
}

// Reassigned by routing: not to who had it; the decision is kept, and what
// registering, assigning and reassigning recorded is all of it.
func TestReassignIsExplained(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		if d := decision(h, tk.ID); d.Department != 0 {
			t.Errorf("a named assignee is explained as routing: %+v", d)
		}
		h.Events()
		got := h.Move("zhuguan", tk, ticket.Reassign, ticket.Input{DepartmentID: h.Dept["客服部"], Reason: "换人"})
		if ev := h.Events(); ev != "ticket.reassigned" {
			t.Errorf("recorded %q", ev)
		}
		d := decision(h, tk.ID)
		if got.AssigneeID == tk.AssigneeID || d.Chosen != got.AssigneeID || !slices.ContainsFunc(d.People, func(c ticket.Considered) bool { return c.User == tk.AssigneeID && c.Why == "before" }) {
			t.Errorf("assigned to %d, explained %+v", got.AssigneeID, d)
		}
		g, err := h.Given(h.Ctx, tk.ID)
		h.OK(err)
		var kinds []string
		for _, x := range g {
			kinds = append(kinds, x.Stored.Kind)
		}
		if !slices.Equal(kinds, []string{"ticket.reassigned", "ticket.registered"}) {
			t.Errorf("given by %v", kinds)
		}
	})
}
