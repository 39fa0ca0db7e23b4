package app_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// CUS-6, GOV-2: a change of level waits for the head where an administrator
// wants it so, by hand, in bulk and at registration; refused, it stays.
func TestLevelApproval(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		agent, head, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleHead), h.Actor(authz.RoleAdmin)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		in := func(name, phone string, l customer.Level) customer.Input {
			return customer.Input{Type: customer.Company, Name: name, Level: l, Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone, Primary: true}}}
		}
		edit := func(c customer.Customer, l customer.Level, region string) customer.Input {
			return customer.Input{Type: c.Type, Name: c.Name, Level: l, Region: region, OwnerID: c.OwnerID}
		}
		// The head leads everybody.
		must(h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE departments SET head_id = $1 WHERE id = $2`, h.Users[authz.RoleHead], h.Departments["客户服务中心"])
			return err
		}))
		must(h.Org.SetPresence(ctx, authz.System("test"), h.Users[authz.RoleHead], org.Presence{Availability: org.Online}))

		c, err := h.Customers.Create(ctx, agent, in("广州南粤医疗器械股份有限公司", "13812345678", customer.Normal))
		must(err)
		if c, err = h.Customers.Update(ctx, agent, c.ID, c.Version, edit(c, customer.VIP, ""), "年采购过百万"); err != nil || c.Level != customer.VIP {
			t.Fatalf("by default nobody is asked: %s %v", c.Level, err)
		}
		must(h.Customers.SetSettings(ctx, admin, customer.Settings{NumberTemplate: customer.NumberTemplate, LevelApproval: []customer.Level{customer.Strategic}}))

		// By hand: the rest is changed, the level is not.
		if c, err = h.Customers.Update(ctx, agent, c.ID, c.Version, edit(c, customer.Strategic, "广东 广州"), "签了战略合作协议"); err != nil || c.Level != customer.VIP || c.Region != "广东 广州" {
			t.Fatalf("%s %s %v", c.Level, c.Region, err)
		}
		if _, err = h.Customers.Update(ctx, agent, c.ID, c.Version, edit(c, customer.Strategic, "广东 广州"), "再试一次"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("asked twice: %v", err)
		}
		r, open, err := h.Approvals.Pending(ctx, h.DB.Read(), customer.KindLevel, customer.Subject(c.ID))
		must(err)
		if !open || len(r.Waiting) != 1 || r.Waiting[0].UserID != head.ID {
			t.Fatalf("request: %+v", r)
		}
		must(h.Settle(ctx))
		if n, err := h.Notify.Unread(ctx, head.ID, 10); err != nil || n != 1 {
			t.Errorf("the head has %d notices (%v)", n, err)
		}

		// In the browser: the desk, the request, the decision.
		cookie := h.Cookie(authz.RoleHead)
		page := h.Call("GET", "/approvals", "", cookie)
		if page.Code != 200 || !strings.Contains(page.Body.String(), r.Title) || !strings.Contains(page.Body.String(), `<b class="count">1</b>`) {
			t.Errorf("desk: %d", page.Code)
		}
		page = h.Call("GET", r.Link(), "", cookie)
		for _, want := range []string{"VIP → 战略", "签了战略合作协议", `value="approve"`, "王小美"} {
			if !strings.Contains(page.Body.String(), want) {
				t.Errorf("the request does not show %q", want)
			}
		}
		if own := h.Call("GET", r.Link(), "", h.Cookie(authz.RoleAgent)); own.Code != 200 || strings.Contains(own.Body.String(), `value="approve"`) || !strings.Contains(own.Body.String(), "撤回申请") {
			t.Errorf("the requester's page: %d", own.Code)
		}
		if other := h.Call("GET", r.Link(), "", h.Cookie(authz.RoleSales)); other.Code != 404 {
			t.Errorf("a stranger's page: %d", other.Code)
		}
		form := url.Values{"decision": {"refuse"}, "version": {strconv.FormatInt(r.Version, 10)}}
		if w := h.Call("POST", r.Link()+"/decision", form.Encode(), cookie); w.Code != 422 || !strings.Contains(w.Body.String(), "驳回时请写明原因") {
			t.Errorf("refused without a word: %d", w.Code)
		}
		form.Set("decision", "approve")
		if w := h.Call("POST", r.Link()+"/decision", form.Encode(), cookie); w.Code != 303 {
			t.Errorf("decision: %d %s", w.Code, w.Body)
		}
		if w := h.Call("POST", r.Link()+"/decision", form.Encode(), cookie); w.Code != 409 {
			t.Errorf("decided again: %d", w.Code)
		}
		c, err = h.Customers.Get(ctx, customer.View(admin), c.ID)
		must(err)
		if c.Level != customer.Strategic {
			t.Errorf("level after consent: %s", c.Level)
		}

		// At registration, and refused: it stays what it was.
		d, err := h.Customers.Create(ctx, agent, in("佛山顺德家电有限公司", "13987654321", customer.Strategic))
		must(err)
		if d.Level != customer.Normal {
			t.Errorf("registered as %s", d.Level)
		}
		r, open, err = h.Approvals.Pending(ctx, h.DB.Read(), customer.KindLevel, customer.Subject(d.ID))
		must(err)
		if !open {
			t.Fatal("nobody was asked at registration")
		}
		_, err = h.Approvals.Refuse(ctx, head, r.ID, "先观察半年")
		must(err)
		if d, err = h.Customers.Get(ctx, customer.View(admin), d.ID); err != nil || d.Level != customer.Normal {
			t.Errorf("level after refusal: %s %v", d.Level, err)
		}

		// In bulk.
		b, err := h.Customers.Change(ctx, agent, customer.Selection{IDs: []int64{c.ID, d.ID}}, customer.BulkChange{Level: customer.Strategic, Reason: "年度评定"})
		must(err)
		if b.Counts.Asked != 1 || b.Counts.Same != 1 {
			t.Errorf("bulk: %+v", b.Counts)
		}

		levels, ok, err := h.Customers.LevelsOf(ctx, customer.LevelsOfBulk, b.ID)
		must(err)
		if !ok || levels.Total != 1 {
			t.Fatalf("of the bulk change: %+v %v", levels, ok)
		}
		about := customer.LevelsSubject(levels.ID)

		// Many at once, from the desk; what has changed meanwhile is left.
		r, _, err = h.Approvals.Pending(ctx, h.DB.Read(), customer.KindLevel, about)
		must(err)
		many := url.Values{"decision": {"refuse"}, "pick": {strconv.FormatInt(r.ID, 10) + "." + strconv.FormatInt(r.Version, 10)}}
		h.Call("POST", "/approvals/decisions", many.Encode(), cookie)
		if _, open, _ := h.Approvals.Pending(ctx, h.DB.Read(), customer.KindLevel, about); !open {
			t.Error("refused many without a word")
		}
		stale := url.Values{"decision": {"approve"}, "pick": {strconv.FormatInt(r.ID, 10) + ".99"}}
		h.Call("POST", "/approvals/decisions", stale.Encode(), cookie)
		if _, open, _ := h.Approvals.Pending(ctx, h.DB.Read(), customer.KindLevel, about); !open {
			t.Error("approved what nobody had seen")
		}
		many.Set("decision", "approve")
		if w := h.Call("POST", "/approvals/decisions", many.Encode(), cookie); w.Code != 303 {
			t.Errorf("many: %d", w.Code)
		}
		if d, err = h.Customers.Get(ctx, customer.View(admin), d.ID); err != nil || d.Level != customer.Strategic {
			t.Errorf("level after consent to many: %s %v", d.Level, err)
		}

		// The rules, in the browser.
		root := h.Cookie(authz.RoleAdmin)
		for _, path := range []string{"/admin/approvals", "/admin/approvals/level", "/approvals?tab=all", "/approvals?tab=mine", "/admin/customers"} {
			if w := h.Call("GET", path, "", root); w.Code != 200 || strings.Contains(w.Body.String(), "⟦") {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		set := url.Values{"step1": {"supervisor"}, "step2": {"person"}, "user2": {strconv.FormatInt(h.Users[authz.RoleAdmin], 10)}, "remind_hours": {"12"}, "escalate_hours": {"0"}, "lapse_days": {"7"}}
		if w := h.Call("POST", "/admin/approvals/level", set.Encode(), root); w.Code != 303 {
			t.Errorf("rule: %d %s", w.Code, w.Body)
		}
		rule, err := h.Approvals.Rule(ctx, h.DB.Read(), customer.KindLevel)
		must(err)
		if len(rule.Steps) != 2 || rule.Steps[1].Kind != approval.Person || rule.LapseDays != 7 {
			t.Errorf("rule: %+v", rule)
		}
		if w := h.Call("GET", "/api/v1/approvals?list=all", "", h.Token(authz.RoleAdmin)); w.Code != 200 || !strings.Contains(w.Body.String(), `"kind_name":"变更客户等级"`) {
			t.Errorf("over the API: %d %s", w.Code, w.Body)
		}
	})
}

// GOV-8: what the screens do with requests, programs do over the API.
func TestApprovalsOverAPI(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		agent := h.Actor(authz.RoleAgent)
		c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "广州南粤医疗器械股份有限公司", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13812345678", Primary: true}}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func() (r approval.Request) {
			t.Helper()
			if err := h.Run.Do(ctx, agent, "test.ask", func(ctx context.Context, a *action.Action) (err error) {
				r, err = h.Approvals.Ask(ctx, a, approval.New{Kind: customer.KindLevel, Subject: customer.Subject(c.ID), Title: c.Number, Reason: "签了战略合作协议", Data: map[string]string{"from": "normal", "to": "vip"}})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := ask() // nobody leads a department here, so the administrators are asked
		own, admin := h.Token(authz.RoleAgent), h.Token(authz.RoleAdmin)
		at := "/api/v1/approvals/" + strconv.FormatInt(r.ID, 10)
		call := func(token, method, path, body string, want int, says ...string) {
			t.Helper()
			w := h.Call(method, path, body, token)
			if w.Code != want {
				t.Errorf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
			}
			for _, s := range says {
				if !strings.Contains(w.Body.String(), s) {
					t.Errorf("%s %s does not say %s: %s", method, path, s, w.Body)
				}
			}
		}
		call(admin, "GET", "/api/v1/approvals", "", 200, `"number":"`+r.Number()+`"`)
		call(own, "GET", "/api/v1/approvals", "", 200, `"items":[]`)
		call(own, "GET", "/api/v1/approvals?list=mine", "", 200, r.Number())
		call(admin, "GET", at, "", 200, `"may_decide":true`, `"what":"arrived"`, "普通 → VIP")
		call(own, "GET", at, "", 200, `"may_decide":false`)
		call(h.Token(authz.RoleSales), "GET", at, "", 404)
		call(own, "POST", at+"/decision", `{"decision":"approve"}`, 403)
		call(admin, "POST", at+"/decision", `{"decision":"aprove"}`, 422, "decision")
		call(admin, "POST", at+"/decision", `{"decision":"refuse"}`, 422, "comment")
		call(admin, "POST", at+"/decision", `{"decision":"approve","version":99}`, 409)
		call(admin, "POST", at+"/decision", `{"decision":"approve","comment":"同意"}`, 200, `"state":"approved"`)
		call(admin, "POST", at+"/decision", `{"decision":"approve"}`, 409)
		again := "/api/v1/approvals/" + strconv.FormatInt(ask().ID, 10)
		call(admin, "POST", again+"/withdrawal", `{}`, 403)
		call(own, "POST", again+"/withdrawal", `{"comment":"不再需要"}`, 200, `"state":"withdrawn"`)
	})
}
