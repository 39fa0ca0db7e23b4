package approval

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

const testKind Kind = "deletion"

// tester is a test or a round of a random one.
type tester interface {
	Helper()
	Fatal(args ...any)
	Error(args ...any)
	Errorf(format string, args ...any)
}

// office is a company under test: 客户服务中心 (headed by 陈) with 客服部 below it
// (headed by 何, supervised by 李).
type office struct {
	t       tester
	ctx     context.Context
	clock   *clock.Fake
	d       *db.DB
	run     *action.Runner
	org     *org.Service
	s       *Service
	follow  *event.Follower
	user    map[string]int64
	roles   map[string]int64
	top     int64
	dep     int64
	decided []Request
	fail    error // what Decided returns
}

func newOffice(t tester, d *db.DB, c *clock.Fake) *office {
	t.Helper()
	o := &office{t: t, ctx: context.Background(), clock: c, d: d, user: map[string]int64{}, roles: map[string]int64{}}
	o.follow = event.NewFollower(d)
	o.run = action.NewRunner(d, nil)
	o.org = org.New(o.run)
	o.s = NewService(o.run, o.org)
	o.follow.Listen(o.s.Listener())
	o.s.Register(Definition{Kind: testKind, Decided: func(_ context.Context, _ *action.Action, r Request) error {
		o.decided = append(o.decided, r)
		return o.fail
	}})
	o.ok(o.run.Do(o.ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
		if err := o.org.Seed(ctx, a); err != nil {
			return err
		}
		a.Nothing()
		return nil
	}))
	roles, err := o.org.Roles(o.ctx)
	o.ok(err)
	for _, r := range roles {
		o.roles[r.Code] = r.ID
	}
	top, _, err := o.org.DepartmentByName(o.ctx, d.Read(), "客户服务中心")
	o.ok(err)
	dep, _, err := o.org.DepartmentByName(o.ctx, d.Read(), "客服部")
	o.ok(err)
	o.top, o.dep = top.ID, dep.ID
	o.add("chen", o.top, authz.RoleHead)
	o.add("he", o.dep, authz.RoleHead)
	o.add("li", o.dep, authz.RoleSupervisor)
	o.add("wang", o.dep, authz.RoleAgent)
	o.add("zhao", o.dep, authz.RoleAgent)
	o.add("root", o.top, authz.RoleAdmin)
	o.add("root2", o.top, authz.RoleAdmin)
	o.lead(o.top, "chen", "")
	o.lead(o.dep, "he", "li")
	return o
}

func (o *office) ok(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) add(login string, dep int64, roles ...string) int64 {
	o.t.Helper()
	var ids []int64
	for _, r := range roles {
		ids = append(ids, o.roles[r])
	}
	o.ok(o.run.Do(o.ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) (err error) {
		o.user[login], err = o.org.AddUser(ctx, a, org.UserInput{Login: login, Name: login, DepartmentID: dep, RoleIDs: ids}, "x", false)
		return err
	}))
	return o.user[login]
}

func (o *office) lead(dep int64, head, supervisor string) {
	o.t.Helper()
	d, _, err := o.org.Department(o.ctx, o.d.Read(), dep)
	o.ok(err)
	o.ok(o.org.EditDepartment(o.ctx, authz.System("test"), dep, d.Version, org.DepartmentInput{Name: d.Name, ParentID: d.ParentID, HeadID: o.user[head], SupervisorID: o.user[supervisor], Position: d.Position}))
}

func (o *office) actor(login string) authz.Actor {
	o.t.Helper()
	a, err := o.org.Actor(o.ctx, o.user[login])
	o.ok(err)
	return a
}

func (o *office) away(login, delegate string, from, to time.Duration) {
	o.t.Helper()
	p := org.Presence{Availability: org.Online, AwayUntil: o.clock.Now().Add(to), DelegateID: o.user[delegate]}
	if from > 0 {
		p.AwayFrom = o.clock.Now().Add(from)
	}
	o.ok(o.org.SetPresence(o.ctx, authz.System("test"), o.user[login], p))
	o.drain()
}

func (o *office) leave(login string) {
	o.t.Helper()
	u, err := o.org.User(o.ctx, authz.For(authz.System("test"), org.PermView), o.user[login])
	o.ok(err)
	o.ok(o.org.DeactivateUser(o.ctx, authz.System("test"), u.ID, u.Version, 0))
	o.drain()
}

func (o *office) drain() { o.t.Helper(); o.ok(o.follow.Drain(o.ctx)) }

func (o *office) ask(login string, subject int64) Request {
	o.t.Helper()
	r, err := o.tryAsk(login, subject)
	o.ok(err)
	return r
}

func (o *office) tryAsk(login string, subject int64) (r Request, err error) {
	err = o.run.Do(o.ctx, o.actor(login), "test.ask", func(ctx context.Context, a *action.Action) error {
		r, err = o.s.Ask(ctx, a, New{Kind: testKind, Subject: event.Subject{Type: "customer", ID: subject}, Title: "C2026", DepartmentID: o.dep, Reason: "重复登记", Data: map[string]int64{"id": subject}})
		return err
	})
	return r, err
}

func (o *office) sweep() int {
	o.t.Helper()
	n, err := o.s.Sweep(o.ctx)
	o.ok(err)
	return n
}

func (o *office) get(id int64) Request {
	o.t.Helper()
	r, err := o.s.Get(o.ctx, authz.System("test"), id)
	o.ok(err)
	return r
}

// waits says whom a request waits for: "he", "he>zhao" when zhao stands in.
func (o *office) waits(id int64) string {
	o.t.Helper()
	var out []string
	for _, w := range o.get(id).Waiting {
		n := w.Name
		if w.StandIn != 0 {
			n += ">" + w.StandInName
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (o *office) see(what string, got, want any) {
	o.t.Helper()
	if got != want {
		o.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// kinds are the facts about a request, in order.
func (o *office) kinds(id int64) string {
	o.t.Helper()
	evs, err := event.Of(o.ctx, o.d.Read(), Subject(id), 0, 100)
	o.ok(err)
	var out []string
	for _, e := range slices.Backward(evs) {
		out = append(out, strings.TrimPrefix(e.Kind, "approval."))
	}
	return strings.Join(out, " ")
}

func (o *office) told(id int64, kind string) (out [][]int64) {
	o.t.Helper()
	evs, err := event.Of(o.ctx, o.d.Read(), Subject(id), 0, 100)
	o.ok(err)
	for _, e := range slices.Backward(evs) {
		var f Facts
		o.ok(e.Decode(&f))
		if e.Kind == kind {
			out = append(out, f.Tell)
		}
	}
	return out
}

func (o *office) desk(login string) (ids []int64) {
	o.t.Helper()
	p, err := o.s.Desk(o.ctx, o.actor(login), Filter{})
	o.ok(err)
	for _, r := range p.Requests {
		ids = append(ids, r.ID)
	}
	n, err := o.s.Waiting(o.ctx, o.actor(login), 100)
	o.ok(err)
	o.see(login+"'s count and desk", n, len(ids))
	return ids
}

func each(t *testing.T, f func(o *office)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(newOffice(t, d, c)) })
}

// The way of a request from head to administrator, and what everybody sees of it.
func TestWay(t *testing.T) {
	each(t, func(o *office) {
		r := o.ask("wang", 7)
		o.see("waits", o.waits(r.ID), "he")
		o.see("he's desk", len(o.desk("he")), 1)
		o.see("chen's desk", len(o.desk("chen")), 0)
		if _, err := o.tryAsk("zhao", 7); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("asked twice: %v", err)
		}
		p, open, err := o.s.Pending(o.ctx, o.d.Read(), testKind, event.Subject{Type: "customer", ID: 7})
		o.ok(err)
		if !open || p.ID != r.ID || len(p.Waiting) != 1 || p.Waiting[0].Name != "he" {
			o.t.Errorf("pending: %+v", p)
		}
		for _, c := range []struct {
			who  string
			want fault.Kind
		}{{"wang", fault.Forbidden}, {"zhao", fault.NotFound}, {"li", fault.Forbidden}, {"root", fault.Forbidden}} {
			if _, err := o.s.Approve(o.ctx, o.actor(c.who), r.ID, ""); fault.KindOf(err) != c.want {
				o.t.Errorf("%s decided: %v", c.who, err)
			}
		}
		if _, err := o.s.Get(o.ctx, o.actor("zhao"), r.ID); fault.KindOf(err) != fault.NotFound {
			o.t.Errorf("a stranger reads it: %v", err)
		}
		o.clock.Advance(2 * time.Hour)
		if r, err = o.s.Approve(o.ctx, o.actor("he"), r.ID, "同意删除"); err != nil {
			o.t.Fatal(err)
		}
		o.see("step", r.Step, 1)
		o.see("waits", o.waits(r.ID), "root root2")
		o.see("decided too early", len(o.decided), 0)
		if _, err := o.s.Approve(o.ctx, o.actor("he"), r.ID, ""); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("he decided again: %v", err)
		}
		if _, err = o.s.Approve(o.ctx, o.actor("root2"), r.ID, ""); err != nil {
			o.t.Fatal(err)
		}
		if _, err := o.s.Approve(o.ctx, o.actor("root"), r.ID, ""); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("root was slower: %v", err)
		}
		r = o.get(r.ID)
		o.see("state", r.State, Approved)
		o.see("waits", o.waits(r.ID), "")
		if len(o.decided) != 1 || o.decided[0].State != Approved || len(o.decided[0].Decisions()) != 2 {
			o.t.Errorf("decided: %+v", o.decided)
		}
		var data map[string]int64
		o.ok(o.decided[0].Decode(&data))
		o.see("data", data["id"], int64(7))
		ds := r.Decisions()
		if ds[0].ByName != "he" || ds[0].Comment != "同意删除" || ds[0].Took != 2*time.Hour || ds[1].ByName != "root2" {
			o.t.Errorf("decisions: %+v", ds)
		}
		o.see("facts", o.kinds(r.ID), "asked arrived step_approved arrived approved")
		o.see("told at the first step", slices.Equal(o.told(r.ID, Arrived)[0], []int64{o.user["he"]}), true)
		o.see("told at the end", slices.Equal(o.told(r.ID, ApprovedKind)[0], []int64{o.user["wang"]}), true)
		for _, who := range []string{"wang", "he", "root2", "root"} {
			if _, err := o.s.Get(o.ctx, o.actor(who), r.ID); err != nil {
				o.t.Errorf("%s may not read it: %v", who, err)
			}
		}
		mine, err := o.s.Mine(o.ctx, o.actor("wang"), Filter{})
		o.ok(err)
		o.see("wang's own", len(mine.Requests), 1)
		all, err := o.s.All(o.ctx, View(o.actor("chen")), Filter{State: Approved})
		o.ok(err)
		o.see("chen sees those of the departments below", len(all.Requests), 1)
		all, err = o.s.All(o.ctx, View(o.actor("zhao")), Filter{})
		o.ok(err)
		o.see("zhao sees nobody's", len(all.Requests), 0)
		o.ask("zhao", 7) // the first has ended
	})
}

func TestRefuseAndWithdraw(t *testing.T) {
	each(t, func(o *office) {
		r := o.ask("wang", 1)
		if _, err := o.s.Refuse(o.ctx, o.actor("he"), r.ID, " "); fault.KindOf(err) != fault.Invalid {
			o.t.Errorf("refused without a word: %v", err)
		}
		if _, err := o.s.Decide(o.ctx, o.actor("he"), r.ID, Decision{Approve: true, Version: r.Version + 1}); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("decided an old version: %v", err)
		}
		_, err := o.s.Refuse(o.ctx, o.actor("he"), r.ID, "还有未结工单")
		o.ok(err)
		o.see("state", o.get(r.ID).State, Refused)
		o.see("facts", o.kinds(r.ID), "asked arrived refused")
		r = o.ask("wang", 1)
		if _, err := o.s.Withdraw(o.ctx, o.actor("he"), r.ID, ""); fault.KindOf(err) != fault.Forbidden {
			o.t.Errorf("somebody else withdrew: %v", err)
		}
		if _, err := o.s.Withdraw(o.ctx, o.actor("zhao"), r.ID, ""); fault.KindOf(err) != fault.NotFound {
			o.t.Errorf("a stranger withdrew: %v", err)
		}
		_, err = o.s.Withdraw(o.ctx, o.actor("wang"), r.ID, "")
		o.ok(err)
		o.see("state", o.get(r.ID).State, Withdrawn)
		o.see("who was asked is told", slices.Equal(o.told(r.ID, WithdrawnAt)[0], []int64{o.user["he"]}), true)
		if _, err := o.s.Approve(o.ctx, o.actor("he"), r.ID, ""); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("approved after withdrawal: %v", err)
		}
		o.see("ends", len(o.decided), 2)

		// What the room that asked refuses did not happen.
		r = o.ask("wang", 1)
		_, err = o.s.Approve(o.ctx, o.actor("he"), r.ID, "")
		o.ok(err)
		o.fail = fault.New(fault.Conflict, "approval.invalid")
		if _, err := o.s.Approve(o.ctx, o.actor("root"), r.ID, ""); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("approved what cannot be done: %v", err)
		}
		o.see("still pending", o.get(r.ID).State, Pending)
		o.see("no decision was kept", len(o.get(r.ID).Decisions()), 1)
	})
}

// Nobody decides his own, wherever he stands.
func TestOwnRequest(t *testing.T) {
	each(t, func(o *office) {
		head := o.ask("he", 1)
		o.see("the head's own goes to the one above", o.waits(head.ID), "chen")
		_, err := o.s.Approve(o.ctx, o.actor("chen"), head.ID, "")
		o.ok(err)
		top := o.ask("chen", 2)
		o.see("the first head's own", o.waits(top.ID), "he")
		o.lead(o.dep, "", "")
		o.drain()
		o.see("with no head left", o.waits(top.ID), "root root2")

		root := o.ask("root", 3)
		_, err = o.s.Approve(o.ctx, o.actor("chen"), root.ID, "")
		o.ok(err)
		o.see("an administrator's own", o.waits(root.ID), "root2")
		if _, err := o.s.Approve(o.ctx, o.actor("root"), root.ID, ""); fault.KindOf(err) != fault.Forbidden {
			o.t.Errorf("decided his own as administrator: %v", err)
		}
		o.see("not on his desk", slices.Contains(o.desk("root"), root.ID), false)
		// Nor standing in for the only other one.
		o.away("root2", "root", 0, 48*time.Hour)
		o.see("no stand-in", o.waits(root.ID), "root2")
		if _, err := o.s.Approve(o.ctx, o.actor("root"), root.ID, ""); fault.KindOf(err) != fault.Forbidden {
			o.t.Errorf("decided his own standing in: %v", err)
		}
		o.see("not on his desk", slices.Contains(o.desk("root"), root.ID), false)
		// When the only other one leaves, it says so and waits.
		o.leave("root2")
		o.see("nobody", o.waits(root.ID), "")
		o.see("state", o.get(root.ID).State, Pending)
		o.see("the requester is told", slices.Equal(o.told(root.ID, Stuck)[0], []int64{o.user["root"]}), true)
		o.add("root3", o.top, authz.RoleAdmin)
		o.drain()
		o.see("and goes on by itself", o.waits(root.ID), "root3")
	})
}

func TestStandIn(t *testing.T) {
	each(t, func(o *office) {
		o.away("he", "li", time.Hour, 48*time.Hour)
		r := o.ask("wang", 1)
		o.see("he is here yet", o.waits(r.ID), "he")
		o.see("li's desk", len(o.desk("li")), 0)
		o.clock.Advance(2 * time.Hour)
		o.see("he is away", o.waits(r.ID), "he>li")
		o.see("li's desk", len(o.desk("li")), 1)
		got, err := o.s.Approve(o.ctx, o.actor("li"), r.ID, "")
		o.ok(err)
		d := o.get(got.ID).Decisions()[0]
		if d.ByName != "li" || d.ForName != "he" {
			o.t.Errorf("decision: %+v", d)
		}
		tell := o.told(r.ID, StepApproved)[0]
		o.see("he is told what was done in his name", slices.Contains(tell, o.user["he"]), true)
		// Away without a stand-in: the next one above is asked as well.
		o.away("he", "", 0, 48*time.Hour)
		r = o.ask("wang", 2)
		o.see("nobody stands in", o.waits(r.ID), "chen he")
		o.clock.Advance(72 * time.Hour) // he is back, nobody was told, and chen has been asked
		if _, err := o.s.Approve(o.ctx, o.actor("chen"), r.ID, ""); err != nil {
			o.t.Errorf("who was asked may no longer: %v", err)
		}
		// The requester as stand-in is none.
		o.away("he", "zhao", 0, 48*time.Hour)
		r = o.ask("zhao", 3)
		o.see("the requester stands in", o.waits(r.ID), "chen he")
		// A stand-in who is away is none.
		o.away("li", "zhao", 0, 48*time.Hour)
		o.away("he", "li", 0, 48*time.Hour)
		r = o.ask("wang", 4)
		o.see("the stand-in is away", o.waits(r.ID), "chen he")
		// He is back.
		o.clock.Advance(72 * time.Hour)
		r = o.ask("wang", 5)
		o.see("he is back", o.waits(r.ID), "he")
	})
}

// Nobody decides two steps, for himself or for another, unless the rule says so.
func TestTwoSteps(t *testing.T) {
	each(t, func(o *office) {
		rule := Rule{Steps: []Step{{Kind: Supervisor}, {Kind: Head}, {Kind: Person, UserID: o.user["li"]}}, LapseDays: 14}
		o.ok(o.s.SetRule(o.ctx, o.actor("root"), testKind, rule))
		r := o.ask("wang", 1)
		_, err := o.s.Approve(o.ctx, o.actor("li"), r.ID, "")
		o.ok(err)
		o.away("he", "li", 0, 48*time.Hour)
		o.see("li has had a say", o.waits(r.ID), "chen he")
		if _, err := o.s.Approve(o.ctx, o.actor("li"), r.ID, ""); fault.KindOf(err) != fault.Conflict {
			o.t.Errorf("li decided a second step: %v", err)
		}
		o.see("li's desk", len(o.desk("li")), 0)
		_, err = o.s.Approve(o.ctx, o.actor("chen"), r.ID, "")
		o.ok(err)
		o.see("named but has had a say: the one above", o.waits(r.ID), "he root root2")
		rule.SamePerson = true
		o.ok(o.s.SetRule(o.ctx, o.actor("root"), testKind, rule))
		r = o.ask("wang", 2)
		for range 3 {
			if r, err = o.s.Approve(o.ctx, o.actor("li"), r.ID, ""); err != nil {
				o.t.Fatal(err)
			}
		}
		o.see("state", r.State, Approved)
		if err := o.s.SetRule(o.ctx, o.actor("he"), testKind, rule); fault.KindOf(err) != fault.Forbidden {
			o.t.Errorf("anybody changes the rule: %v", err)
		}
		for _, bad := range []Rule{{LapseDays: 14}, {Steps: []Step{{Kind: "x"}}, LapseDays: 14}, {Steps: []Step{{Kind: Person}}, LapseDays: 14}, {Steps: []Step{{Kind: Head}}}} {
			if err := o.s.SetRule(o.ctx, o.actor("root"), testKind, bad); fault.KindOf(err) != fault.Invalid {
				o.t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// Reminders, escalation and lapse come once at their time, whoever looks.
func TestTimes(t *testing.T) {
	each(t, func(o *office) {
		r := o.ask("wang", 1)
		o.clock.Advance(23 * time.Hour)
		o.see("nothing is due", o.sweep(), 0)
		o.clock.Advance(time.Hour)
		again := NewService(o.run, o.org) // another node, or the program started again
		o.see("the first reminder", o.sweep(), 1)
		n, err := again.Sweep(o.ctx)
		o.ok(err)
		o.see("not twice", n+o.sweep(), 0)
		o.clock.Advance(24 * time.Hour)
		o.sweep()
		o.clock.Advance(24 * time.Hour)
		o.sweep()
		o.see("facts", o.kinds(r.ID), "asked arrived reminded reminded escalated")
		o.see("the next above is asked as well", o.waits(r.ID), "chen he")
		o.see("only he is told of it", slices.Equal(o.told(r.ID, Escalated)[0], []int64{o.user["chen"]}), true)
		// The program was off for days: one reminder, not many.
		o.clock.Advance(71 * time.Hour)
		o.sweep()
		o.see("facts", o.kinds(r.ID), "asked arrived reminded reminded escalated reminded")
		o.clock.Advance(time.Hour)
		o.sweep()
		o.see("then the administrators", o.waits(r.ID), "chen he root root2")
		for range 20 {
			o.clock.Advance(12 * time.Hour)
			o.sweep()
		}
		got := o.get(r.ID)
		o.see("lapsed", got.State, Lapsed)
		o.see("ends", len(o.decided), 1)
		o.see("escalations", strings.Count(o.kinds(r.ID), "escalated"), 2)
		o.see("nothing afterwards", o.sweep(), 0)
		// A room that fails does not hold up the others.
		a, b := o.ask("wang", 2), o.ask("wang", 3)
		_ = a
		o.fail = errors.New("broken")
		o.clock.Advance(15 * 24 * time.Hour)
		if _, err := o.s.Sweep(o.ctx); err == nil {
			o.t.Error("the failure is silent")
		}
		o.see("not tried all the time", o.sweep(), 0)
		o.fail = nil
		o.clock.Advance(time.Hour)
		o.see("later", o.sweep(), 2)
		o.see("lapsed", o.get(b.ID).State, Lapsed)
	})
}

// Two who decide at once: one wins, the other learns that he was slower.
func TestAtOnce(t *testing.T) {
	each(t, func(o *office) {
		o.ok(o.s.SetRule(o.ctx, o.actor("root"), testKind, Rule{Steps: []Step{{Kind: Admin}}, LapseDays: 3}))
		r := o.ask("wang", 1)
		admins := []authz.Actor{o.actor("root"), o.actor("root2")}
		errs := make(chan error, 2)
		for _, a := range admins {
			go func() { _, err := o.s.Approve(o.ctx, a, r.ID, ""); errs <- err }()
		}
		one, two := <-errs, <-errs
		if (one == nil) == (two == nil) || fault.KindOf(errors.Join(one, two)) != fault.Conflict {
			o.t.Errorf("both: %v, %v", one, two)
		}
		o.see("ends", o.get(r.ID).State, Approved)
		o.see("decisions", len(o.get(r.ID).Decisions()), 1)
	})
}

// Pages of the lists follow each other without a gap.
func TestPages(t *testing.T) {
	each(t, func(o *office) {
		for i := range 7 {
			o.ask("wang", int64(i+1))
		}
		seen := map[int64]bool{}
		for after := int64(0); ; {
			p, err := o.s.Desk(o.ctx, o.actor("he"), Filter{After: after, Limit: 3})
			o.ok(err)
			for _, r := range p.Requests {
				seen[r.ID] = true
			}
			if after = p.Next; after == 0 {
				break
			}
		}
		o.see("desk", len(seen), 7)
		clear(seen)
		for before := int64(0); ; {
			p, err := o.s.Mine(o.ctx, o.actor("wang"), Filter{Before: before, Limit: 3})
			o.ok(err)
			for _, r := range p.Requests {
				seen[r.ID] = true
				o.see("waits in the list "+strconv.FormatInt(r.ID, 10), len(r.Waiting), 1)
			}
			if before = p.Next; before == 0 {
				break
			}
		}
		o.see("mine", len(seen), 7)
	})
}
