package org

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
	"bihuan/internal/web"
)

// quick stands for argon2, which is slow on purpose.
type quick struct{}

func (quick) hash(_ context.Context, p string) (string, error) { return "q:" + p, nil }
func (quick) verify(_ context.Context, h, p string) (bool, error) {
	return h != "" && h == "q:"+p, nil
}
func (quick) stale(string) bool { return false }

// house is a seeded company with a few people.
type house struct {
	*Service
	t     *testing.T
	ctx   context.Context
	d     *db.DB
	clock *clock.Fake
	sess  *web.Sessions
	admin authz.Actor
	dept  map[string]int64
	role  map[string]int64
	pass  map[string]string // by login
}

func newHouse(t *testing.T, d *db.DB, c *clock.Fake) *house {
	t.Helper()
	h := &house{Service: New(action.NewRunner(d, nil)), t: t, ctx: context.Background(), d: d, clock: c, dept: map[string]int64{}, role: map[string]int64{}, pass: map[string]string{}}
	h.hasher = quick{}
	h.sess = web.NewSessions(d, h.Service, web.SessionConfig{Clock: c})
	h.Attach(h.sess)
	h.seed()
	login, password, created, err := h.FirstAdmin(h.ctx)
	if err != nil || !created {
		t.Fatalf("FirstAdmin: created %v, %v", created, err)
	}
	h.pass[login] = password
	nodes, err := h.Tree(h.ctx)
	h.ok(err)
	for _, n := range nodes {
		h.dept[n.Name] = n.ID
	}
	roles, err := h.Roles(h.ctx)
	h.ok(err)
	for _, r := range roles {
		h.role[r.Code] = r.ID
	}
	p, ok, err := h.PersonByName(h.ctx, nil, login)
	if err != nil || !ok {
		t.Fatal("no admin", err)
	}
	h.admin = h.actor(p.ID)
	return h
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) seed() {
	h.t.Helper()
	h.ok(h.run.Do(h.ctx, authz.System("test"), "seed", func(ctx context.Context, a *action.Action) error { return h.Seed(ctx, a) }))
}

func (h *house) actor(id int64) authz.Actor {
	h.t.Helper()
	a, err := h.Actor(h.ctx, id)
	h.ok(err)
	a.MustChange = false
	return a
}

// hire adds a user and returns him as an actor.
func (h *house) hire(login, name, dept string, roles ...string) authz.Actor {
	h.t.Helper()
	in := UserInput{Login: login, Name: name, DepartmentID: h.dept[dept], Capacity: 10}
	for _, r := range roles {
		in.RoleIDs = append(in.RoleIDs, h.role[r])
	}
	id, p, err := h.CreateUser(h.ctx, h.admin, in)
	h.ok(err)
	h.pass[login] = p
	return h.actor(id)
}

// events runs f and returns the kinds it recorded, in order, and its error.
func (h *house) events(f func() error) (string, error) {
	h.t.Helper()
	before := h.lastEvent()
	err := f()
	rows, qerr := h.d.Read().Query(h.ctx, `SELECT kind FROM events WHERE id > $1 ORDER BY id`, before)
	h.ok(qerr)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var k string
		h.ok(rows.Scan(&k))
		out = append(out, k)
	}
	return strings.Join(out, " "), err
}

func (h *house) lastEvent() (id int64) {
	h.ok(h.d.Read().QueryRow(h.ctx, `SELECT COALESCE(MAX(id), 0) FROM events`).Scan(&id))
	return id
}

func (h *house) user(id int64) User {
	h.t.Helper()
	u, err := h.User(h.ctx, authz.For(h.admin, PermView), id)
	h.ok(err)
	return u
}

// is reports whether err is of kind k; "" means none.
func is(err error, k fault.Kind) bool { return fault.KindOf(err) == k }

func key(err error) string {
	f, ok := fault.As(err)
	if !ok {
		return fmt.Sprint(err)
	}
	s := f.Key
	for _, x := range f.Fields {
		s += " " + x.Field + "=" + x.Key
	}
	return s
}

func TestSeed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		nodes, err := h.Tree(h.ctx)
		h.ok(err)
		var got []string
		for _, n := range nodes {
			got = append(got, strings.Repeat(">", n.Depth)+n.Name)
		}
		if want := "客户服务中心 >客服部 >技术支持部 >售后部 >销售部 >物流部"; strings.Join(got, " ") != want {
			t.Errorf("tree = %v, want %s", got, want)
		}
		// An administrator takes a right away; the next start must not bring it back.
		r, levels, err := h.Grants(h.ctx, h.role[authz.RoleHead])
		h.ok(err)
		delete(levels, PermView)
		h.ok(h.SetGrants(h.ctx, h.admin, r.ID, r.Version, "", levels))
		kinds, err := h.events(func() error { h.seed(); return nil })
		h.ok(err)
		if kinds != "" {
			t.Errorf("second seed recorded %q", kinds)
		}
		if _, levels, _ = h.Grants(h.ctx, r.ID); levels[PermView] != authz.None {
			t.Error("seed granted again what was taken away")
		}
		// A permission of a later version is granted once.
		h.ok(d.Write(h.ctx, func(ctx context.Context, tx *db.Tx) error {
			return setting.Write(ctx, tx, seededSetting, []string{string(PermManage)})
		}))
		if kinds, _ = h.events(func() error { h.seed(); return nil }); kinds != Seeded {
			t.Errorf("seed after upgrade recorded %q", kinds)
		}
		if _, levels, _ = h.Grants(h.ctx, r.ID); levels[PermView] != authz.Below {
			t.Errorf("new permission has level %v", levels[PermView])
		}
		if _, _, created, err := h.FirstAdmin(h.ctx); err != nil || created {
			t.Errorf("a second first administrator: %v %v", created, err)
		}
	})
}

func TestDepartments(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		agent := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		work := 0
		h.AddWork(Work{Name: "common.yes", OfDepartment: func(context.Context, db.Querier, int64) (int, error) { return work, nil }})
		top, kefu, wuliu := h.dept["客户服务中心"], h.dept["客服部"], h.dept["物流部"]
		create := func(by authz.Actor, in DepartmentInput) func() error {
			return func() error { _, err := h.CreateDepartment(h.ctx, by, in); return err }
		}
		edit := func(id, version int64, in DepartmentInput) func() error {
			return func() error { return h.EditDepartment(h.ctx, h.admin, id, version, in) }
		}
		off := func(id, version int64) func() error {
			return func() error { return h.DeactivateDepartment(h.ctx, h.admin, id, version) }
		}
		for _, tc := range []struct {
			name   string
			do     func() error
			want   fault.Kind
			key    string
			events string
		}{
			{"without the right", create(agent, DepartmentInput{Name: "新部", ParentID: kefu}), fault.Forbidden, "", ""},
			{"no name", create(h.admin, DepartmentInput{Name: " ", ParentID: kefu}), fault.Invalid, "name=org.department.name_required", ""},
			{"name taken", create(h.admin, DepartmentInput{Name: "客服部", ParentID: top}), fault.Invalid, "name=org.department.name_taken", ""},
			{"no such parent", create(h.admin, DepartmentInput{Name: "新部", ParentID: 999}), fault.Invalid, "parent=org.department.unknown", ""},
			{"new", create(h.admin, DepartmentInput{Name: "一线组", ParentID: kefu}), "", "", DepartmentCreated},
			{"same name elsewhere", create(h.admin, DepartmentInput{Name: "一线组", ParentID: wuliu}), "", "", DepartmentCreated},
			{"own parent", edit(kefu, 1, DepartmentInput{Name: "客服部", ParentID: kefu}), fault.Invalid, "parent=org.department.own_parent", ""},
			{"cycle", edit(top, 1, DepartmentInput{Name: "客户服务中心", ParentID: kefu}), fault.Invalid, "parent=org.department.cycle", ""},
			{"stale", edit(kefu, 9, DepartmentInput{Name: "客服一部", ParentID: top}), fault.Conflict, "org.changed_meanwhile", ""},
			{"unknown head", edit(kefu, 1, DepartmentInput{Name: "客服部", ParentID: top, HeadID: 999}), fault.Invalid, "head=org.department.lead_unknown", ""},
			{"rename, move, lead", edit(kefu, 1, DepartmentInput{Name: "客服一部", ParentID: wuliu, HeadID: agent.ID}), "", "", DepartmentRenamed + " " + DepartmentMoved + " " + DepartmentLeadChanged},
			{"cycle over two", edit(wuliu, 1, DepartmentInput{Name: "物流部", ParentID: kefu}), fault.Invalid, "parent=org.department.cycle", ""},
			{"deactivate with people", off(kefu, 2), fault.Conflict, "org.department.has_people", ""},
			{"deactivate with departments", off(wuliu, 1), fault.Conflict, "org.department.has_departments", ""},
			{"deactivate with work", func() error { work = 3; defer func() { work = 0 }(); return off(h.dept["销售部"], 1)() }, fault.Conflict, "org.department.has_work", ""},
			{"deactivate", off(h.dept["销售部"], 1), "", "", DepartmentDeactivated},
			{"deactivate again", off(h.dept["销售部"], 2), fault.Conflict, "org.changed_meanwhile", ""},
			{"below an inactive one", create(h.admin, DepartmentInput{Name: "大客户组", ParentID: h.dept["销售部"]}), fault.Invalid, "parent=org.department.parent_inactive", ""},
			{"reactivate", func() error { return h.ReactivateDepartment(h.ctx, h.admin, h.dept["销售部"], 2) }, "", "", DepartmentReactivated},
		} {
			kinds, err := h.events(tc.do)
			if !is(err, tc.want) || kinds != tc.events || !strings.Contains(key(err), tc.key) {
				t.Errorf("%s: %v, events %q", tc.name, err, kinds)
			}
		}
		below, err := h.Below(h.ctx, wuliu)
		if err != nil || !slices.Contains(below, kefu) || len(below) != 4 {
			t.Errorf("Below = %v, %v", below, err)
		}
	})
}

func TestLeads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		boss := h.hire("boss", "陈总", "客户服务中心", authz.RoleHead)
		head := h.hire("head", "王芳", "客服部", authz.RoleHead)
		sup := h.hire("sup", "赵敏", "售后部", authz.RoleSupervisor)
		top, kefu := h.dept["客户服务中心"], h.dept["客服部"]
		h.ok(h.EditDepartment(h.ctx, h.admin, top, 1, DepartmentInput{Name: "客户服务中心", HeadID: boss.ID}))
		h.ok(h.EditDepartment(h.ctx, h.admin, kefu, 1, DepartmentInput{Name: "客服部", ParentID: top, HeadID: head.ID, SupervisorID: sup.ID}))
		check := func(what string, want, wantHead int64) {
			t.Helper()
			s, err := h.SupervisorOf(h.ctx, nil, kefu)
			h.ok(err)
			l, err := h.HeadOf(h.ctx, nil, kefu)
			h.ok(err)
			if s != want || l != wantHead {
				t.Errorf("%s: supervisor %d head %d, want %d %d", what, s, l, want, wantHead)
			}
		}
		check("all there", sup.ID, head.ID)
		// Whoever leads a department elsewhere sees it.
		if a := h.actor(sup.ID); !slices.Contains(a.Under, kefu) || !slices.Contains(a.Under, h.dept["售后部"]) || slices.Contains(a.Under, top) {
			t.Errorf("supervisor's departments: %v", a.Under)
		}
		h.ok(h.DeactivateUser(h.ctx, h.admin, sup.ID, 1, 0))
		check("supervisor gone", head.ID, head.ID)
		h.ok(h.DeactivateUser(h.ctx, h.admin, head.ID, 1, 0))
		check("head gone", boss.ID, boss.ID)
		h.ok(h.DeactivateUser(h.ctx, h.admin, boss.ID, 1, 0))
		check("nobody", 0, 0)
		// The form with a lead who has left can still be saved.
		h.ok(h.EditDepartment(h.ctx, h.admin, kefu, 2, DepartmentInput{Name: "客服二部", ParentID: top, HeadID: head.ID, SupervisorID: sup.ID}))
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		agent := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		other := h.hire("han", "韩梅梅", "客服部", authz.RoleAgent)
		open, moved := map[int64]int{agent.ID: 3}, ""
		h.AddWork(Work{Name: "common.yes",
			OfUser: func(_ context.Context, _ db.Querier, id int64) (int, error) { return open[id], nil },
			HandOver: func(_ context.Context, a *action.Action, from, to int64) (int, error) {
				moved = fmt.Sprintf("%d>%d", from, to)
				a.Record(event.Event{Kind: "ticket.assigned"})
				return open[from], nil
			}})
		in := UserInput{Login: "ZHANG ", Name: "张伟", DepartmentID: h.dept["售后部"], RoleIDs: []int64{h.role[authz.RoleAgent]}}
		create := func(by authz.Actor, change func(*UserInput)) func() error {
			return func() error {
				in := in
				if change != nil {
					change(&in)
				}
				_, p, err := h.CreateUser(h.ctx, by, in)
				if (p == "") == (err == nil) {
					t.Errorf("password %q with error %v", p, err)
				}
				return err
			}
		}
		edit := func(id, version int64, change func(*UserInput)) func() error {
			return func() error {
				u := h.user(id)
				in := UserInput{Name: u.Name, Email: u.Email, Phone: u.Phone, DepartmentID: u.DepartmentID, Teams: u.Teams, RoleIDs: u.RoleIDs, Capacity: u.Capacity, Lang: u.Lang}
				change(&in)
				return h.EditUser(h.ctx, h.admin, id, version, in)
			}
		}
		off := func(id, version, to int64) func() error {
			return func() error { return h.DeactivateUser(h.ctx, h.admin, id, version, to) }
		}
		for _, tc := range []struct {
			name   string
			do     func() error
			want   fault.Kind
			key    string
			events string
		}{
			{"without the right", create(agent, nil), fault.Forbidden, "", ""},
			{"login taken in other letters", create(h.admin, func(u *UserInput) { u.Login = "ＬＩ" }), fault.Invalid, "login=org.user.login_taken", ""},
			{"bad login", create(h.admin, func(u *UserInput) { u.Login = "a b" }), fault.Invalid, "login=org.user.login_format", ""},
			{"nothing typed", create(h.admin, func(u *UserInput) { *u = UserInput{} }), fault.Invalid, "org.form_invalid login=org.user.login_required name=org.user.name_required department=org.user.department_required roles=org.user.role_required", ""},
			{"bad e-mail", create(h.admin, func(u *UserInput) { u.Email = "x@" }), fault.Invalid, "email=org.user.email_format", ""},
			{"new", create(h.admin, nil), "", "", UserCreated},
			{"edit", edit(agent.ID, 1, func(u *UserInput) { u.Name, u.Teams = "李磊", []int64{h.dept["售后部"], h.dept["客服部"]} }), "", "", UserChanged},
			{"edit stale", edit(agent.ID, 1, func(u *UserInput) { u.Name = "李雷" }), fault.Conflict, "org.changed_meanwhile", ""},
			{"edit nothing", edit(agent.ID, 2, func(*UserInput) {}), "", "", ""},
			{"roles", edit(agent.ID, 2, func(u *UserInput) { u.RoleIDs = []int64{h.role[authz.RoleAgent], h.role[authz.RoleSupervisor]} }), "", "", UserRolesChanged},
			{"last administrator loses the role", edit(h.admin.ID, 1, func(u *UserInput) { u.RoleIDs = []int64{h.role[authz.RoleAgent]} }), fault.Conflict, "org.user.last_admin", ""},
			{"himself", off(h.admin.ID, 1, 0), fault.Conflict, "org.user.not_yourself", ""},
			{"last administrator", func() error { return h.DeactivateUser(h.ctx, authz.System("test"), h.admin.ID, 1, 0) }, fault.Conflict, "org.user.last_admin", ""},
			{"open work, nobody takes over", off(agent.ID, 3, 0), fault.Conflict, "to=org.user.handover_required", ""},
			{"to himself", off(agent.ID, 3, agent.ID), fault.Invalid, "to=org.user.handover_to_whom", ""},
			{"to nobody known", off(agent.ID, 3, 999), fault.Invalid, "to=org.user.handover_to_whom", ""},
			{"no such user", off(999, 1, 0), fault.NotFound, "", ""},
			{"handed over", off(agent.ID, 3, other.ID), "", "", "ticket.assigned " + UserDeactivated},
			{"reset when inactive", func() error { _, err := h.ResetPassword(h.ctx, h.admin, agent.ID); return err }, fault.Conflict, "org.user.inactive", ""},
			{"back", func() error { _, err := h.ReactivateUser(h.ctx, h.admin, agent.ID, 4); return err }, "", "", UserReactivated},
			{"reset", func() error { _, err := h.ResetPassword(h.ctx, h.admin, agent.ID); return err }, "", "", PasswordReset},
			{"unlock when not locked", func() error { return h.UnlockUser(h.ctx, h.admin, agent.ID) }, "", "", ""},
		} {
			kinds, err := h.events(tc.do)
			if !is(err, tc.want) || kinds != tc.events || !strings.Contains(key(err), tc.key) {
				t.Errorf("%s: %v, events %q", tc.name, err, kinds)
			}
		}
		if want := fmt.Sprintf("%d>%d", agent.ID, other.ID); moved != want {
			t.Errorf("handed over %q, want %q", moved, want)
		}
		u := h.user(agent.ID)
		if !slices.Equal(u.Teams, []int64{h.dept["售后部"]}) || u.Initials != "ll" {
			t.Errorf("teams %v, initials %q", u.Teams, u.Initials)
		}
		if z, ok, _ := h.PersonByName(h.ctx, nil, "zhang"); !ok || z.Name != "张伟" {
			t.Errorf("login was not normalised: %+v", z)
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		sup := h.hire("sup", "赵敏", "客服部", authz.RoleSupervisor)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		far := h.hire("far", "孙悟空", "物流部", authz.RoleSupervisor)
		if _, err := h.CreateDepartment(h.ctx, h.admin, DepartmentInput{Name: "一线组", ParentID: h.dept["客服部"]}); err != nil {
			t.Fatal(err)
		}
		list := func(a authz.Actor, f UserFilter) string {
			t.Helper()
			p, err := h.Users(h.ctx, authz.For(a, PermView), f)
			h.ok(err)
			var out []string
			for _, u := range p.Users {
				out = append(out, u.Login)
			}
			return strings.Join(out, " ")
		}
		for _, tc := range []struct {
			name string
			by   authz.Actor
			f    UserFilter
			want string
		}{
			{"all, in the order of pinyin", h.admin, UserFilter{}, "li far admin sup"},
			{"supervisor: his department", sup, UserFilter{}, "li sup"},
			{"the other one", far, UserFilter{}, "far"},
			{"no right at all", li, UserFilter{}, ""},
			{"nobody", authz.Actor{}, UserFilter{}, ""},
			{"initials", h.admin, UserFilter{Text: "SWK"}, "far"},
			{"part of the name", h.admin, UserFilter{Text: "雷"}, "li"},
			{"beginning of the login", h.admin, UserFilter{Text: "su"}, "sup"},
			{"a percent sign finds nothing", h.admin, UserFilter{Text: "%"}, ""},
			{"department with all below", h.admin, UserFilter{DepartmentID: h.dept["客户服务中心"]}, "li far admin sup"},
			{"department out of scope", far, UserFilter{DepartmentID: h.dept["客服部"]}, ""},
			{"role", h.admin, UserFilter{RoleID: h.role[authz.RoleAgent]}, "li"},
			{"inactive", h.admin, UserFilter{Inactive: true}, ""},
		} {
			if got := list(tc.by, tc.f); got != tc.want {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
		}
		// Page by page everybody comes once.
		var all []string
		for f := (UserFilter{Limit: 1}); ; {
			p, err := h.Users(h.ctx, authz.For(h.admin, PermView), f)
			h.ok(err)
			for _, u := range p.Users {
				all = append(all, u.Login)
			}
			if p.Next == (Cursor{}) {
				break
			}
			f.After = p.Next
		}
		if got := strings.Join(all, " "); got != "li far admin sup" {
			t.Errorf("paged: %q", got)
		}
		if _, err := h.User(h.ctx, authz.For(far, PermView), li.ID); !is(err, fault.NotFound) {
			t.Errorf("record out of scope: %v", err)
		}
		if _, err := h.HistoryOf(h.ctx, authz.For(far, PermView), li.ID, 0, 10); !is(err, fault.NotFound) {
			t.Errorf("history out of scope: %v", err)
		}
		if _, err := h.Audit(h.ctx, far, event.Filter{}); !is(err, fault.Forbidden) {
			t.Errorf("audit without right: %v", err)
		}
		if _, err := h.Colleagues(h.ctx, authz.Actor{}, "", 0, "", 0); !is(err, fault.Forbidden) {
			t.Errorf("directory without right: %v", err)
		}
		if ps, err := h.Colleagues(h.ctx, li, "zm", 0, "", 10); err != nil || len(ps) != 1 || ps[0].ID != sup.ID {
			t.Errorf("directory: %v %v", ps, err)
		}
	})
}

func TestActor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		a := h.hire("dual", "双双", "客服部", authz.RoleAgent, authz.RoleSupervisor, authz.RoleAuditor)
		if a.Level(PermView) != authz.All || a.Level(PermAudit) != authz.All || a.Can(PermManage) {
			t.Errorf("merged levels: %v", a.Levels)
		}
		if raw, err := h.Actor(h.ctx, a.ID); err != nil || !raw.MustChange || raw.Name != "双双" || len(raw.Roles) != 3 {
			t.Errorf("actor %+v, %v", raw, err)
		}
		h.ok(h.DeactivateUser(h.ctx, h.admin, a.ID, 1, 0))
		if _, err := h.Actor(h.ctx, a.ID); !is(err, fault.Unauthenticated) {
			t.Errorf("inactive user: %v", err)
		}
		if _, err := h.Actor(h.ctx, 999); !is(err, fault.Unauthenticated) {
			t.Errorf("no such user: %v", err)
		}

		// Another node changes something: noticed within seconds, at once inside a transaction.
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		other := New(action.NewRunner(d, nil))
		other.hasher = quick{}
		if _, err := other.Actor(h.ctx, li.ID); err != nil {
			t.Fatal(err)
		}
		h.ok(h.DeactivateUser(h.ctx, h.admin, li.ID, 1, 0))
		h.ok(d.Write(h.ctx, func(ctx context.Context, tx *db.Tx) error {
			if p, _, err := other.Person(ctx, tx, li.ID); err != nil || p.Active {
				t.Errorf("inside a transaction: active %v, %v", p.Active, err)
			}
			return nil
		}))
		c.Advance(trust)
		if _, err := other.Actor(h.ctx, li.ID); !is(err, fault.Unauthenticated) {
			t.Errorf("on the other node: %v", err)
		}

		// What a failed action saw is not kept.
		boom := errors.New("boom")
		err := h.change(h.ctx, h.admin, PermManage, "test", func(ctx context.Context, a *action.Action) error {
			if _, err := a.Exec(ctx, `UPDATE users SET name = 'nobody' WHERE id = $1`, h.admin.ID); err != nil {
				return err
			}
			if p, _, _ := h.Person(ctx, a, h.admin.ID); p.Name != "nobody" {
				t.Errorf("an action does not see its own change: %s", p.Name)
			}
			return boom
		})
		if !errors.Is(err, boom) || h.Name(h.ctx, h.admin.ID) == "nobody" {
			t.Errorf("after a rollback: %v, name %s", err, h.Name(h.ctx, h.admin.ID))
		}
	})
}

func TestOnDuty(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		kefu := h.dept["客服部"]
		a := h.hire("a1", "甲一", "客服部", authz.RoleSupervisor)
		b := h.hire("b2", "乙二", "售后部", authz.RoleSupervisor)
		h.hire("c3", "丙三", "客服部", authz.RoleAgent) // without the right
		u := h.user(b.ID)
		h.ok(h.EditUser(h.ctx, h.admin, b.ID, u.Version, UserInput{Name: u.Name, DepartmentID: u.DepartmentID, RoleIDs: u.RoleIDs, Capacity: 7, Teams: []int64{kefu}}))
		duty := func() string {
			t.Helper()
			cs, err := h.OnDuty(h.ctx, nil, kefu, PermView)
			h.ok(err)
			var out []string
			for _, c := range cs {
				out = append(out, fmt.Sprintf("%s/%d", c.Name, c.Capacity))
			}
			return strings.Join(out, " ")
		}
		if got := duty(); got != "甲一/10 乙二/7" {
			t.Errorf("on duty: %s", got)
		}
		set := func(who authz.Actor, p Presence) {
			t.Helper()
			kinds, err := h.events(func() error { return h.SetPresence(h.ctx, who, who.ID, p) })
			if err != nil || kinds != AvailabilityChanged {
				t.Errorf("%s: %v %q", who.Name, err, kinds)
			}
		}
		set(a, Presence{Availability: Busy})
		if got := duty(); got != "乙二/7" {
			t.Errorf("one busy: %s", got)
		}
		set(b, Presence{Availability: Online, AwayUntil: c.Now().Add(time.Hour), DelegateID: a.ID})
		if got := duty(); got != "" {
			t.Errorf("one busy, one away: %s", got)
		}
		if id, err := h.StandIn(h.ctx, nil, b.ID); err != nil || id != a.ID {
			t.Errorf("stand-in %d, %v", id, err)
		}
		c.Advance(time.Hour)
		if got := duty(); got != "乙二/7" {
			t.Errorf("back again: %s", got)
		}
		if id, _ := h.StandIn(h.ctx, nil, b.ID); id != b.ID {
			t.Errorf("stand-in after the absence: %d", id)
		}
		// An absence may be told beforehand.
		set(b, Presence{Availability: Online, AwayFrom: c.Now().Add(time.Hour), AwayUntil: c.Now().Add(2 * time.Hour), DelegateID: a.ID})
		stands := func() []int64 {
			t.Helper()
			ids, err := h.StandsInFor(h.ctx, nil, a.ID)
			if err != nil {
				t.Error(err)
			}
			return ids
		}
		if got := duty(); got != "乙二/7" || len(stands()) != 0 {
			t.Errorf("before the absence: %s %v", got, stands())
		}
		c.Advance(time.Hour)
		if got := duty(); got != "" || !slices.Equal(stands(), []int64{b.ID}) {
			t.Errorf("in the absence: %s %v", got, stands())
		}
		c.Advance(time.Hour)
		for _, tc := range []struct {
			name string
			by   authz.Actor
			p    Presence
			want fault.Kind
		}{
			{"no such state", a, Presence{Availability: "asleep"}, fault.Invalid},
			{"in the past", a, Presence{Availability: Online, AwayUntil: c.Now()}, fault.Invalid},
			{"ends before it begins", a, Presence{Availability: Online, AwayFrom: c.Now().Add(2 * time.Hour), AwayUntil: c.Now().Add(time.Hour)}, fault.Invalid},
			{"himself", a, Presence{Availability: Online, DelegateID: a.ID}, fault.Invalid},
			{"somebody else's", b, Presence{Availability: Online}, fault.Forbidden},
			{"by an administrator", h.admin, Presence{Availability: Offline}, ""},
		} {
			if err := h.SetPresence(h.ctx, tc.by, a.ID, tc.p); !is(err, tc.want) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if ok, err := h.CanBeGiven(h.ctx, nil, a.ID, kefu, PermView); err != nil || !ok {
			t.Errorf("offline, given by hand: %v %v", ok, err)
		}
		if ok, _ := h.CanBeGiven(h.ctx, nil, h.admin.ID, kefu, PermView); ok {
			t.Error("somebody of another department")
		}
	})
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, l := range i18n.Langs {
		has := map[string]bool{}
		for _, k := range i18n.Keys(l) {
			has[k] = true
		}
		need := func(k string) {
			if !has[k] {
				t.Errorf("%s: no text for %s", l, k)
			}
		}
		for _, k := range Kinds {
			need("event." + k)
		}
		for _, p := range []authz.Permission{PermView, PermManage, PermDirectory, PermAudit, PermSettings, PermAccount} {
			need("perm." + string(p))
		}
		for _, r := range authz.Roles {
			need("org.role." + r)
		}
		for _, s := range append(TokenScopes(), AllScopes) {
			need("token.scope." + s)
		}
	}
}
