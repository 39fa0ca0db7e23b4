package org

import (
	"context"
	"net/http"
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
	"bihuan/internal/i18n"
)

func (h *house) signIn(login, password string) (SignedIn, error) {
	return h.SignIn(h.ctx, login, password, "10.0.0.8", "browser")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		right := h.pass["li"]
		attempt := func(login, password string) func() error {
			return func() error { _, err := h.signIn(login, password); return err }
		}
		for _, tc := range []struct {
			name   string
			do     func() error
			want   fault.Kind
			key    string
			events string
		}{
			{"nothing typed", attempt(" ", ""), fault.Invalid, "login=", ""},
			{"right, in other letters", attempt(" ＬI ", right), "", "", UserSignedIn},
			{"wrong", attempt("li", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"right again: the count starts anew", attempt("li", right), "", "", UserSignedIn},
			{"wrong 1", attempt("li", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"wrong 2", attempt("li", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"wrong 3", attempt("li", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"wrong 4", attempt("li", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"wrong 5", attempt("li", "x"), fault.Limited, "org.sign_in.locked", SignInFailed + " " + UserLocked},
			{"right but locked", attempt("li", right), fault.Limited, "org.sign_in.locked", SignInFailed},
			{"almost over", func() error { c.Advance(15*time.Minute - time.Second); return attempt("li", right)() }, fault.Limited, "org.sign_in.locked", SignInFailed},
			{"over", func() error { c.Advance(time.Second); return attempt("li", right)() }, "", "", UserSignedIn},
			{"unknown 1", attempt("nobody", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"unknown 2", attempt("nobody", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"unknown 3", attempt("nobody", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"unknown 4", attempt("nobody", "x"), fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"unknown 5: locked like one that exists", attempt("NOBODY", "x"), fault.Limited, "org.sign_in.locked", SignInFailed},
			{"unknown, over", func() error { c.Advance(15 * time.Minute); return attempt("nobody", "x")() }, fault.Invalid, "org.sign_in.refused", SignInFailed},
			{"deactivated", func() error { h.ok(h.DeactivateUser(h.ctx, h.admin, li.ID, 1, 0)); return attempt("li", right)() }, fault.Invalid, "org.sign_in.refused", UserDeactivated + " " + SignInFailed},
		} {
			kinds, err := h.events(tc.do)
			if !is(err, tc.want) || kinds != tc.events || !strings.Contains(key(err), tc.key) {
				t.Errorf("%s: %v, events %q", tc.name, err, kinds)
			}
		}
		// What was typed as a name is not kept: people type their password there.
		evs, err := event.List(h.ctx, d.Read(), event.Filter{Kind: SignInFailed, Limit: 100})
		h.ok(err)
		for _, e := range evs {
			if strings.Contains(string(e.Data)+e.ActorName, "nobody") {
				t.Errorf("kept: %s %s", e.ActorName, e.Data)
			}
			if e.IP != "10.0.0.8" || e.UserAgent != "browser" {
				t.Errorf("from where: %+v", e)
			}
		}
	})
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		p, err := h.Policy(h.ctx)
		h.ok(err)
		p.MaxFailures = 3
		h.ok(h.SetPolicy(h.ctx, h.admin, p))
		for range 3 {
			_, _ = h.signIn("li", "x")
		}
		if u := h.user(li.ID); !u.Locked(c.Now()) {
			t.Fatal("not locked after three")
		}
		if page, err := h.Users(h.ctx, authz.For(h.admin, PermView), UserFilter{Locked: true}); err != nil || len(page.Users) != 1 {
			t.Errorf("list of the locked: %v %v", page, err)
		}
		kinds, err := h.events(func() error { return h.UnlockUser(h.ctx, h.admin, li.ID) })
		if err != nil || kinds != UserUnlocked {
			t.Errorf("unlock: %v %q", err, kinds)
		}
		if _, err := h.signIn("li", h.pass["li"]); err != nil {
			t.Errorf("after unlocking: %v", err)
		}
		if err := h.SetPolicy(h.ctx, h.admin, SignInPolicy{}); !is(err, fault.Invalid) {
			t.Errorf("a policy without sense: %v", err)
		}
		if err := h.SetPolicy(h.ctx, h.actor(li.ID), p); !is(err, fault.Forbidden) {
			t.Errorf("policy by an agent: %v", err)
		}
	})
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		password, want string
	}{
		{"short", "too_short"},
		{"123456789", "too_short"},
		{"1234567890", "common"},
		{"0987654321", "common"},
		{"aaaaaaaaaaaa", "common"},
		{"Password123", "common"},
		{"P@ssw0rd2026", "common"},
		{"qwertyuiop", "common"},
		{"admin123456", "common"},
		{"woaini1314520", "common"},
		{"wang.fang2026", "own_name"},
		{"王芳王芳王芳王芳王芳", "common"}, // two characters only
		{"七只青蛙跳下了一口井", ""},
		{"correct horse battery", ""},
		{"kT7-mm2p-Xx9q", ""},
		{strings.Repeat("长", 400), "too_long"},
	} {
		err := checkPassword(DefaultSignInPolicy, tc.password, "wang.fang", "王芳")
		if tc.want == "" && err != nil || tc.want != "" && !strings.Contains(key(err), "new=org.password."+tc.want) {
			t.Errorf("%s: %v, want %q", tc.password, err, tc.want)
		}
	}
	strict := DefaultSignInPolicy
	strict.MinKinds = 3
	if err := checkPassword(strict, "correct horse battery", "a", "b"); !strings.Contains(key(err), "too_simple") {
		t.Errorf("kinds: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		_, err := h.signIn("li", h.pass["li"]) // an old browser
		h.ok(err)
		_, err = h.signIn("li", h.pass["li"])
		h.ok(err)
		list, err := h.MySessions(h.ctx, li)
		h.ok(err)
		if len(list) != 2 {
			t.Fatalf("%d sessions", len(list))
		}
		li.Session = strconv.FormatInt(list[0].ID, 10)
		const good, better = "seven frogs jump", "eight toads sleep"
		for _, tc := range []struct {
			name     string
			old, new string
			want     fault.Kind
			key      string
			events   string
		}{
			{"too short", "", "short", fault.Invalid, "new=org.password.too_short", ""},
			{"the same", "", h.pass["li"], fault.Invalid, "new=org.password.same", ""},
			{"first: without the old one", "", good, "", "", PasswordChanged},
			{"then only with it", "", better, fault.Invalid, "old=org.password.wrong_old", SignInFailed},
			{"changed", good, better, "", "", PasswordChanged},
		} {
			kinds, err := h.events(func() error { return h.ChangePassword(h.ctx, li, tc.old, tc.new) })
			if !is(err, tc.want) || kinds != tc.events || !strings.Contains(key(err), tc.key) {
				t.Errorf("%s: %v, events %q", tc.name, err, kinds)
			}
		}
		if list, _ = h.MySessions(h.ctx, li); len(list) != 1 || strconv.FormatInt(list[0].ID, 10) != li.Session {
			t.Errorf("sessions left: %+v", list)
		}
		if in, err := h.signIn("li", better); err != nil || in.MustChange {
			t.Errorf("with the new one: %+v %v", in, err)
		}
		if _, err := h.signIn("li", good); err == nil {
			t.Error("with the old one")
		}
		// Five wrong old passwords lock, so that an open browser is no way to guess.
		for range 4 {
			_ = h.ChangePassword(h.ctx, li, "wrong", "nine newts dance")
		}
		if u := h.user(li.ID); !u.Locked(c.Now()) {
			t.Error("guessing the old password is not counted")
		}
		// A password may have to be changed after some time.
		p, _ := h.Policy(h.ctx)
		p.MaxAgeDays = 90
		h.ok(h.SetPolicy(h.ctx, h.admin, p))
		if a, err := h.Actor(h.ctx, li.ID); err != nil || a.MustChange {
			t.Errorf("fresh password: %v %v", a.MustChange, err)
		}
		c.Advance(91 * 24 * time.Hour)
		if a, err := h.Actor(h.ctx, li.ID); err != nil || !a.MustChange {
			t.Errorf("old password: %v %v", a.MustChange, err)
		}
	})
}

func TestAccount(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		han := h.hire("han", "韩梅梅", "客服部", authz.RoleAgent)
		for range 3 {
			_, err := h.signIn("li", h.pass["li"])
			h.ok(err)
			c.Advance(time.Minute)
		}
		list, err := h.MySessions(h.ctx, li)
		h.ok(err)
		li.Session = strconv.FormatInt(list[0].ID, 10)
		if err := h.RevokeSession(h.ctx, han, list[1].ID); !is(err, fault.NotFound) {
			t.Errorf("somebody else's session: %v", err)
		}
		kinds, err := h.events(func() error { return h.RevokeSession(h.ctx, li, list[1].ID) })
		if err != nil || kinds != SessionRevoked {
			t.Errorf("one: %v %q", err, kinds)
		}
		kinds, err = h.events(func() error { return h.RevokeOtherSessions(h.ctx, li) })
		if err != nil || kinds != SessionRevoked {
			t.Errorf("others: %v %q", err, kinds)
		}
		if list, _ = h.MySessions(h.ctx, li); len(list) != 1 {
			t.Errorf("left: %v", list)
		}
		if kinds, err = h.events(func() error { return h.RevokeOtherSessions(h.ctx, li) }); err != nil || kinds != "" {
			t.Errorf("none left: %v %q", err, kinds)
		}
		h.ok(h.EditProfile(h.ctx, li, ProfileInput{Email: "li@example.cn", Phone: "13800138000", Lang: i18n.En}))
		if a := h.actor(li.ID); a.Lang != i18n.En {
			t.Errorf("language %s", a.Lang)
		}
		evs, err := h.SignIns(h.ctx, li, 0, 50)
		h.ok(err)
		if evs[0].Kind != ProfileChanged || strings.Contains(string(evs[0].Data), "13800138000") {
			t.Errorf("history: %s %s", evs[0].Kind, evs[0].Data)
		}
		if evs, err = h.Activity(h.ctx, han, 0, 50); err != nil || len(evs) != 0 {
			t.Errorf("somebody else's activity: %v %v", evs, err)
		}
		if evs, err = h.Activity(h.ctx, li, 0, 50); err != nil || len(evs) != 6 { // 3 sign-ins, 2 revocations, profile
			t.Errorf("activity: %d %v", len(evs), err)
		}
		kinds, err = h.events(func() error { return h.SignOut(h.ctx, li) })
		if err != nil || kinds != UserSignedOut {
			t.Errorf("out: %v %q", err, kinds)
		}
		if list, _ = h.MySessions(h.ctx, li); len(list) != 0 {
			t.Errorf("after signing out: %v", list)
		}
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		sup := h.hire("sup", "赵敏", "客服部", authz.RoleSupervisor)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		create := func(by authz.Actor, login, name string, scopes []string, expires time.Time) (string, error) {
			return h.CreateToken(h.ctx, by, login, name, scopes, expires)
		}
		for _, tc := range []struct {
			name    string
			by      authz.Actor
			login   string
			token   string
			scopes  []string
			expires time.Time
			want    fault.Kind
			key     string
		}{
			{"for somebody else", li, "sup", "x", nil, time.Time{}, fault.Forbidden, ""},
			{"no such user", h.admin, "nobody", "x", nil, time.Time{}, fault.Invalid, "user=org.token.user_unknown"},
			{"does not tell an agent who exists", li, "nobody", "x", nil, time.Time{}, fault.Forbidden, ""},
			{"no name", li, "li", " ", nil, time.Time{}, fault.Invalid, "name=org.token.name_required"},
			{"no such scope", li, "li", "x", []string{"org:read,moon:write"}, time.Time{}, fault.Invalid, "scopes=org.token.scope_unknown"},
			{"expired", li, "li", "x", nil, c.Now(), fault.Invalid, "expires=org.token.expires_past"},
			{"command line", authz.System("bihuan token"), "LI", "x", nil, time.Time{}, "", ""},
		} {
			plain, err := create(tc.by, tc.login, tc.token, tc.scopes, tc.expires)
			if !is(err, tc.want) || !strings.Contains(key(err), tc.key) || (plain == "") == (err == nil) {
				t.Errorf("%s: %q %v", tc.name, plain, err)
			}
		}
		read, err := create(sup, "sup", "报表", []string{"org:read"}, c.Now().Add(time.Hour))
		h.ok(err)
		all, err := create(h.admin, "admin", "all", nil, time.Time{})
		h.ok(err)
		a, err := h.ActorForToken(h.ctx, read)
		h.ok(err)
		if a.ID != sup.ID || a.Level(PermView) != authz.Below || a.Can(PermAccount) || a.Can(PermAudit) || !strings.HasPrefix(a.Session, "token:") {
			t.Errorf("restricted: %+v", a)
		}
		if b, err := h.ActorForToken(h.ctx, all); err != nil || !b.Can(PermManage) || b.Can(PermAccount) {
			t.Errorf("unrestricted: %v %v", b.Levels, err)
		}
		if err := h.ChangePassword(h.ctx, a, "", "seven frogs jump"); !is(err, fault.Forbidden) {
			t.Errorf("a token changes the password: %v", err)
		}
		if _, err := create(a, "sup", "more", nil, time.Time{}); !is(err, fault.Forbidden) {
			t.Errorf("a token makes a token: %v", err)
		}
		var stored int
		h.ok(d.Read().QueryRow(h.ctx, `SELECT COUNT(*) FROM api_tokens WHERE last_used_at > 0`).Scan(&stored))
		if stored != 2 {
			t.Errorf("last use noted for %d", stored)
		}

		req, _ := http.NewRequest("GET", "/", nil)
		if _, ok, err := (Bearer{h.Service}).Authenticate(req); ok || err != nil {
			t.Errorf("no header: %v %v", ok, err)
		}
		req.Header.Set("Authorization", "Bearer "+read)
		if a, ok, err := (Bearer{h.Service}).Authenticate(req); !ok || err != nil || a.ID != sup.ID {
			t.Errorf("header: %v %v", ok, err)
		}
		for _, bad := range []string{"", "bht_", "bht_nonsense", "Bearer", strings.Repeat("bht_", 100)} {
			if _, err := h.ActorForToken(h.ctx, bad); !is(err, fault.Unauthenticated) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		c.Advance(time.Hour)
		if _, err := h.ActorForToken(h.ctx, read); !is(err, fault.Unauthenticated) {
			t.Errorf("expired: %v", err)
		}

		ts, err := h.Tokens(h.ctx, li, li.ID)
		if err != nil || len(ts) != 1 || ts[0].Scopes[0] != AllScopes {
			t.Fatalf("own tokens: %v %v", ts, err)
		}
		if _, err := h.Tokens(h.ctx, sup, li.ID); !is(err, fault.Forbidden) {
			t.Errorf("somebody else's tokens: %v", err)
		}
		if err := h.RevokeToken(h.ctx, sup, ts[0].ID); !is(err, fault.NotFound) {
			t.Errorf("revoke somebody else's: %v", err)
		}
		kinds, err := h.events(func() error { return h.RevokeToken(h.ctx, li, ts[0].ID) })
		if err != nil || kinds != TokenRevoked {
			t.Errorf("revoke: %v %q", err, kinds)
		}
		// Whoever leaves takes his tokens along.
		gone, err := create(li, "li", "gone", nil, time.Time{})
		h.ok(err)
		h.ok(h.DeactivateUser(h.ctx, h.admin, li.ID, 1, 0))
		if _, err := h.ActorForToken(h.ctx, gone); !is(err, fault.Unauthenticated) {
			t.Errorf("of somebody who left: %v", err)
		}
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		li := h.hire("li", "李雷", "客服部", authz.RoleAgent)
		id, err := h.CreateRole(h.ctx, h.admin, "质检员", h.role[authz.RoleAuditor])
		h.ok(err)
		if _, levels, err := h.Grants(h.ctx, id); err != nil || levels[PermAudit] != authz.All {
			t.Errorf("copied: %v %v", levels, err)
		}
		set := func(by authz.Actor, role, version int64, name string, levels map[authz.Permission]authz.Level) func() error {
			return func() error { return h.SetGrants(h.ctx, by, role, version, name, levels) }
		}
		full := map[authz.Permission]authz.Level{PermManage: authz.All, PermView: authz.All}
		for _, tc := range []struct {
			name   string
			do     func() error
			want   fault.Kind
			key    string
			events string
		}{
			{"without the right", set(li, id, 1, "x", full), fault.Forbidden, "", ""},
			{"name taken", func() error { _, err := h.CreateRole(h.ctx, h.admin, "质检员", 0); return err }, fault.Invalid, "name=org.role.name_taken", ""},
			{"change", set(h.admin, id, 1, "质检组长", map[authz.Permission]authz.Level{PermView: authz.Department}), "", "", RoleChanged},
			{"stale", set(h.admin, id, 1, "质检", full), fault.Conflict, "org.changed_meanwhile", ""},
			{"nothing", set(h.admin, id, 2, "质检组长", map[authz.Permission]authz.Level{PermView: authz.Department}), "", "", ""},
			{"administrators must administer", set(h.admin, h.role[authz.RoleAdmin], 1, "", map[authz.Permission]authz.Level{PermView: authz.All}), fault.Conflict, "org.role.admin_must_manage", ""},
			{"delete built-in", func() error { return h.DeleteRole(h.ctx, h.admin, h.role[authz.RoleSales], 1) }, fault.Conflict, "org.role.builtin", ""},
			{"in use", func() error {
				h.ok(h.EditUser(h.ctx, h.admin, li.ID, 1, UserInput{Name: "李雷", DepartmentID: h.dept["客服部"], RoleIDs: []int64{id}, Capacity: 10}))
				return h.DeleteRole(h.ctx, h.admin, id, 2)
			}, fault.Conflict, "org.role.in_use", UserRolesChanged},
			{"delete", func() error {
				h.ok(h.EditUser(h.ctx, h.admin, li.ID, 2, UserInput{Name: "李雷", DepartmentID: h.dept["客服部"], RoleIDs: []int64{h.role[authz.RoleAgent]}, Capacity: 10}))
				return h.DeleteRole(h.ctx, h.admin, id, 2)
			}, "", "", UserRolesChanged + " " + RoleDeleted},
		} {
			kinds, err := h.events(tc.do)
			if !is(err, tc.want) || kinds != tc.events || !strings.Contains(key(err), tc.key) {
				t.Errorf("%s: %v, events %q", tc.name, err, kinds)
			}
		}
		// The last way to administer may hang on an own role.
		own, err := h.CreateRole(h.ctx, h.admin, "管家", h.role[authz.RoleAdmin])
		h.ok(err)
		u := h.user(h.admin.ID)
		h.ok(h.EditUser(h.ctx, h.admin, u.ID, u.Version, UserInput{Name: u.Name, DepartmentID: u.DepartmentID, RoleIDs: []int64{own}}))
		if err := h.SetGrants(h.ctx, h.actor(u.ID), own, 1, "管家", map[authz.Permission]authz.Level{PermView: authz.All}); !is(err, fault.Conflict) {
			t.Errorf("last administrator through a role: %v", err)
		}
		// A built-in role keeps its name in both languages.
		if r := (Role{Code: authz.RoleAgent, Name: "客服专员", Builtin: true}); r.Title(i18n.En) != "Service agent" {
			t.Errorf("title %s", r.Title(i18n.En))
		}
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		follower := event.NewFollower(d)
		h := newHouse(t, d, c)
		h.hire("li", "=HYPERLINK()", "客服部", authz.RoleAgent)
		h.ok(follower.Drain(h.ctx))
		kinds, err := h.events(func() error {
			rows, err := h.Audit(h.ctx, h.admin, event.Filter{Kind: UserCreated})
			if len(rows) != 2 || rows[0].Sentence(i18n.ZhCN) != "新建用户" || len(rows[0].Changes) != 3 || rows[0].Name != "=HYPERLINK()" {
				t.Errorf("rows: %+v", rows)
			}
			return err
		})
		if err != nil || kinds != AuditRead {
			t.Errorf("read: %v %q", err, kinds)
		}
		r, err := h.VerifyAudit(h.ctx, h.admin)
		if err != nil || r.BrokenAt != 0 || r.Events == 0 {
			t.Errorf("verify: %+v %v", r, err)
		}
		var b strings.Builder
		kinds, err = h.events(func() error {
			return h.ExportAudit(h.ctx, h.admin, event.Filter{Kind: UserCreated}, i18n.ZhCN, time.UTC, &b)
		})
		if err != nil || kinds != AuditExported {
			t.Errorf("export: %v %q", err, kinds)
		}
		if s := b.String(); !strings.HasPrefix(s, "\ufeff序号,时间,事件") || !strings.Contains(s, "'=HYPERLINK()") || strings.Count(s, "\n") != 7 {
			t.Errorf("csv:\n%s", s)
		}
	})
}

// Where a ticket stood before and after is said in words; a move that changes
// no state says nothing of it.
func TestAuditSaysStates(t *testing.T) {
	t.Parallel()
	read := func(data string) AuditRow {
		return Read(event.Stored{Kind: "ticket.acknowledged", Subject: event.Subject{Type: "ticket", ID: 1}, Data: []byte(data)})
	}
	r := read(`{"number":"T1","title":"x","from":"pending","to":"in_progress"}`)
	if len(r.Changes) != 1 || r.Note(i18n.ZhCN) != "" {
		t.Fatalf("%+v, note %q", r.Changes, r.Note(i18n.ZhCN))
	}
	c := r.Changes[0]
	if got := FieldName(i18n.ZhCN, c.Field) + FieldValue(i18n.ZhCN, c.Field, c.Old) + FieldValue(i18n.ZhCN, c.Field, c.New); got != "状态待处理处理中" {
		t.Errorf("said %q", got)
	}
	if r := read(`{"to":"pending"}`); len(r.Changes) != 0 || r.Note(i18n.ZhCN) != "" {
		t.Errorf("unchanged: %+v, note %q", r.Changes, r.Note(i18n.ZhCN))
	}
}

// Two administrators who deactivate each other at once do not leave nobody.
func TestLastAdminRace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := newHouse(t, d, c)
		two := h.hire("two", "老二", "客服部", authz.RoleAdmin)
		errs := make(chan error, 2)
		go func() { errs <- h.DeactivateUser(context.Background(), h.admin, two.ID, 1, 0) }()
		go func() { errs <- h.DeactivateUser(context.Background(), two, h.admin.ID, 1, 0) }()
		a, b := <-errs, <-errs
		if (a == nil) == (b == nil) {
			t.Errorf("both the same: %v, %v", a, b)
		}
		if ids, err := h.Holders(h.ctx, nil, PermManage); err != nil || len(ids) != 1 {
			t.Errorf("administrators left: %v %v", ids, err)
		}
	})
}

// The real hash, once.
func TestArgon(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.New(t)
	s := New(action.NewRunner(d, nil))
	ctx := context.Background()
	p, hash, err := s.newPassword(ctx)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$") {
		t.Fatal(hash, err)
	}
	if err := checkPassword(DefaultSignInPolicy, p, "admin", "系统管理员"); err != nil {
		t.Errorf("a generated password is refused: %v", err)
	}
	for password, want := range map[string]bool{p: true, p + "x": false} {
		if ok, err := s.hasher.verify(ctx, hash, password); err != nil || ok != want {
			t.Errorf("verify: %v %v", ok, err)
		}
	}
	if ok, err := s.hasher.verify(ctx, "", p); ok || err != nil {
		t.Errorf("empty hash: %v %v", ok, err)
	}
}
