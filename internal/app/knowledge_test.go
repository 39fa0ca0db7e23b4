package app_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/knowledge"
	"bihuan/internal/ticket"
)

// An agent writes, an editor looks at it and publishes, a customer reads, searches
// and rates; who may not read an article does not know that it exists (KNB-1 to
// KNB-5).
func TestKnowledge(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		agent, engineer, editor, sales := h.Actor(authz.RoleAgent), h.Actor(authz.RoleEngineer), h.Actor(authz.RoleEditor), h.Actor(authz.RoleSales)
		visitor := authz.Actor{Kind: authz.Customer, IP: "192.0.2.7", UserAgent: "Mozilla"}
		known := authz.Actor{Kind: authz.Customer, CustomerID: 1, ID: 1}
		write := func(by authz.Actor, title, body string, a knowledge.Audience, deps ...int64) int64 {
			t.Helper()
			id, err := h.Knowledge.Create(ctx, by, knowledge.Input{Text: knowledge.Text{Title: title, Body: body, Audience: a, Departments: deps}})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		publish := func(id int64, by authz.Actor) {
			t.Helper()
			if err := h.Knowledge.Do(ctx, by, id, knowledge.Submit, 0, ""); err != nil {
				t.Fatal(err)
			}
			if err := h.Knowledge.Do(ctx, editor, id, knowledge.Publish, 0, ""); err != nil {
				t.Fatal(err)
			}
		}
		sees := func(who authz.Actor, id int64) bool {
			t.Helper()
			_, err := h.Knowledge.Read(ctx, who, id)
			if err != nil && !fault.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
			xs, _, lerr := h.Knowledge.List(ctx, who, knowledge.Filter{})
			found, _, ferr := h.Knowledge.Find(ctx, who, knowledge.Search{Text: "发票抬头"})
			if lerr != nil || ferr != nil {
				t.Fatal(lerr, ferr)
			}
			in := false
			for _, x := range xs {
				in = in || x.ID == id
			}
			hit := false
			for _, x := range found {
				hit = hit || x.ID == id
			}
			if in != (err == nil) || hit != in {
				t.Errorf("article %d for %s %s: read %v, listed %v, found %v", id, who.Kind, who.Name, err == nil, in, hit)
			}
			return in
		}
		id := write(agent, "发票抬头开错了怎么办", "请在 **30 天**内申请换开。", knowledge.Public)
		if sees(visitor, id) || sees(sales, id) || sees(editor, id) {
			t.Error("a draft is read")
		}
		if _, err := h.Knowledge.Get(ctx, engineer, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's draft: %v", err)
		}
		if err := h.Knowledge.Do(ctx, editor, id, knowledge.Publish, 0, ""); fault.KindOf(err) != fault.Conflict {
			t.Errorf("published without review: %v", err)
		}
		if err := h.Knowledge.Do(ctx, agent, id, knowledge.Submit, 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := h.Knowledge.Do(ctx, agent, id, knowledge.Publish, 0, ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent publishes: %v", err)
		}
		if err := h.Knowledge.Do(ctx, editor, id, knowledge.Return, 0, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("returned without a reason: %v", err)
		}
		if err := h.Knowledge.Do(ctx, editor, id, knowledge.Return, 0, "缺少电子发票的说明"); err != nil {
			t.Fatal(err)
		}
		if err := h.Knowledge.Edit(ctx, agent, id, knowledge.Input{Version: 1, Text: knowledge.Text{Title: "发票抬头开错了怎么办", Body: "请在 **30 天**内申请换开，电子发票同样。", Audience: knowledge.Public}, Note: "补充电子发票"}); err != nil {
			t.Fatal(err)
		}
		if err := h.Knowledge.Edit(ctx, agent, id, knowledge.Input{Version: 1, Text: knowledge.Text{Title: "x", Body: "y", Audience: knowledge.Public}}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("an old version is saved over a newer one: %v", err)
		}
		publish(id, agent)
		if !sees(visitor, id) || !sees(known, id) || !sees(sales, id) {
			t.Error("a public article is not read by all")
		}
		own := write(editor, "发票抬头内部口径", "先查合同。", knowledge.Staff)
		if err := h.Knowledge.Do(ctx, editor, own, knowledge.Submit, 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := h.Knowledge.Do(ctx, editor, own, knowledge.Publish, 0, ""); fault.KindOf(err) != fault.Conflict {
			t.Errorf("published his own: %v", err)
		}
		if err := h.Knowledge.Do(ctx, h.Actor(authz.RoleHead), own, knowledge.Publish, 0, ""); err != nil {
			t.Fatal(err)
		}
		forCustomers := write(agent, "发票抬头修改的时限", "客户在 30 天内提出。", knowledge.Customers)
		publish(forCustomers, agent)
		chosen := write(agent, "发票抬头争议的处理口径", "升级给主管。", knowledge.Chosen, h.Departments["售后部"])
		publish(chosen, agent)
		for _, c := range []struct {
			who                         authz.Actor
			name                        string
			own, forCustomers, forChose bool
		}{{visitor, "visitor", false, false, false}, {known, "customer", false, true, false}, {engineer, "engineer", true, true, true}, {sales, "sales", true, true, false}, {h.Actor(authz.RoleAuditor), "auditor", true, true, false}} {
			if a, b, d := sees(c.who, own), sees(c.who, forCustomers), sees(c.who, chosen); a != c.own || b != c.forCustomers || d != c.forChose {
				t.Errorf("%s reads: staff %v, customers %v, chosen %v", c.name, a, b, d)
			}
		}
		// What is being changed is not read, nor is its file.
		f, err := h.Files.Upload(ctx, agent, "新样张.png", strings.NewReader("\x89PNG\r\n\x1a\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Knowledge.Edit(ctx, agent, id, knowledge.Input{Text: knowledge.Text{Title: "发票抬头开错了怎么办", Body: fmt.Sprintf("新内容 ![样张](/files/%d)", f.ID), Audience: knowledge.Staff}, Uploads: []int64{f.ID}}); err != nil {
			t.Fatal(err)
		}
		x, err := h.Knowledge.Get(ctx, sales, id)
		if err != nil || strings.Contains(x.Body, "新内容") || x.Audience != knowledge.Public || x.State != knowledge.Published {
			t.Errorf("a reader sees what is being written: %+v %v", x.Text, err)
		}
		f, err = h.Files.Get(ctx, h.DB.Read(), f.ID)
		if err != nil || f.Owner.Type != knowledge.FileOwner {
			t.Fatalf("the picture: %+v, %v", f, err)
		}
		if err := h.Knowledge.MayReadFile(ctx, sales, f); !fault.Is(err, fault.NotFound) {
			t.Errorf("a picture of the draft: %v", err)
		}
		if err := h.Knowledge.MayReadFile(ctx, agent, f); err != nil {
			t.Errorf("the writer's own picture: %v", err)
		}
		if vs, err := h.Knowledge.Versions(ctx, agent, id, 0, 10); err != nil || len(vs) != 3 || vs[1].Note != "补充电子发票" || vs[1].PublishedBy != editor.ID {
			t.Errorf("versions: %+v %v", vs, err)
		}
		if _, err := h.Knowledge.Versions(ctx, sales, id, 0, 10); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a reader reads versions: %v", err)
		}
		if err := h.Knowledge.Restore(ctx, agent, id, 1); err != nil {
			t.Fatal(err)
		}
		if x, err := h.Knowledge.Get(ctx, agent, id); err != nil || x.Version != 4 || !strings.HasSuffix(x.Body, "申请换开。") || !x.Pending() || x.State != knowledge.Draft {
			t.Errorf("restored: %+v %v", x, err)
		}
		// Found in pinyin, with a wrong character of the same sound, in other words.
		for _, q := range []string{"fapiao taitou", "发飘抬头", "税票抬头", "FPTT"} {
			found, _, err := h.Knowledge.Find(ctx, visitor, knowledge.Search{Text: q})
			if err != nil || len(found) == 0 || found[0].ID != id {
				t.Errorf("%s: %d found, %v", q, len(found), err)
			}
		}
		// Beside a ticket.
		c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "杭州启明仪器有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周", Phone: "13812340000", Primary: true}}})
		if err != nil {
			t.Fatal(err)
		}
		tk, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "发票抬头开错", Description: "电话 13812340000 的周女士说发票抬头开成了旧公司名", Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: agent.ID})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := h.Knowledge.Suggest(ctx, agent, tk, 3); err != nil || len(s) == 0 || s[0].ID != id {
			t.Errorf("suggested: %d, %v", len(s), err)
		}
		out, err := h.Knowledge.Insert(ctx, agent, id, tk, false)
		if err != nil || out.Text != "请在 30 天内申请换开，电子发票同样。" {
			t.Errorf("inserted: %+v %v", out, err)
		}
		if out, err := h.Knowledge.Insert(ctx, agent, forCustomers, tk, true); err != nil || !strings.Contains(out.Text, "/c/") || !strings.HasSuffix(out.Text, fmt.Sprintf("/help/%d", forCustomers)) {
			t.Errorf("linked: %+v %v", out, err)
		}
		if out, err := h.Knowledge.Insert(ctx, agent, own, tk, false); err != nil || !out.Internal {
			t.Errorf("an internal article goes out without a word: %+v %v", out, err)
		}
		if _, err := h.Knowledge.Insert(ctx, agent, chosen+1000, tk, false); !fault.Is(err, fault.NotFound) {
			t.Errorf("inserted what is not there: %v", err)
		}
		if ls, err := h.Knowledge.Of(ctx, agent, tk.ID); err != nil || len(ls) != 3 || ls[0].How != "inserted" || ls[0].Uses != 1 {
			t.Errorf("of the ticket: %+v %v", ls, err)
		}
		evs, err := event.OfKinds(ctx, h.DB.Read(), event.Subject{Type: "ticket", ID: tk.ID}, []string{knowledge.EventLinked}, 10)
		if err != nil || len(evs) != 3 {
			t.Errorf("facts: %d, %v", len(evs), err)
		}
		if err := h.Knowledge.Detach(ctx, agent, own, tk); err != nil {
			t.Error(err)
		}
		draft := h.Knowledge.FromTicket(ticket.Ticket{Title: "周女士的发票", Description: tk.Description, Solution: "重开"}, [4]string{"现象", "原因", "办法", "避免"})
		if strings.Contains(draft.Body, "13812340000") || strings.Contains(draft.Body, "周女士") || strings.Contains(draft.Title, "周") || !strings.Contains(draft.Body, "## 办法\n\n重开") {
			t.Errorf("from the ticket: %+v", draft)
		}
		// Over HTTP: the customer's pages, a rating, a search without result.
		get := func(path string, want int, cred any, words ...string) string {
			t.Helper()
			w := h.Call("GET", path, "", cred)
			if w.Code != want {
				t.Fatalf("GET %s: %d\n%.400s", path, w.Code, w.Body)
			}
			for _, x := range words {
				if !strings.Contains(w.Body.String(), x) {
					t.Errorf("GET %s does not say %q", path, x)
				}
			}
			return w.Body.String()
		}
		page := fmt.Sprintf("/help/%d", id)
		get("/help", 200, nil, "发票抬头开错了怎么办", "帮助中心")
		get(page, 200, nil, "<strong>30 天</strong>", "这篇文章有帮助吗")
		get(fmt.Sprintf("/help/%d", own), 404, nil)
		get(fmt.Sprintf("/help/%d", forCustomers), 404, nil)
		get(fmt.Sprintf("/c/%s/help/%d", h.Tickets.Link(tk), forCustomers), 200, nil, "30 天内提出")
		get(fmt.Sprintf("/c/%s/help/%d", h.Tickets.Link(tk), own), 404, nil)
		get("/c/nonsense/help", 404, nil)
		get("/help/suggestions?title="+url.QueryEscape("发票抬头写错"), 200, nil, "<mark>发票抬头</mark>")
		get(fmt.Sprintf("/help/files/%d", f.ID), 404, nil)
		get("/help?q="+url.QueryEscape("量子计算机租赁 13812340000"), 200, nil, "没有找到相关内容")
		if w := h.Call("POST", page+"/feedback", "helpful=0", nil); w.Code != 303 || !strings.Contains(w.Header().Get("Location"), "rated=0") {
			t.Fatalf("rated: %d", w.Code)
		}
		if w := h.Call("POST", page+"/feedback", "helpful=0&comment="+url.QueryEscape("没说电子发票怎么换"), nil); w.Code != 303 {
			t.Fatalf("commented: %d", w.Code)
		}
		if x, err := h.Knowledge.Read(ctx, visitor, id); err != nil || x.Unhelpful != 1 || x.Helpful != 0 {
			t.Errorf("one visitor counts once: %d %d %v", x.Unhelpful, x.Helpful, err)
		}
		manager := h.Cookie(authz.RoleEditor)
		rep := get("/knowledge/report", 200, manager, "没说电子发票怎么换")
		if !strings.Contains(rep, "量子计算机租赁 …") || strings.Contains(rep, "13812340000") {
			t.Error("the search without result is not reported, or with a person's number")
		}
		agents := h.Cookie(authz.RoleAgent)
		get("/knowledge/report", 403, agents)
		for _, path := range []string{"/knowledge", "/knowledge?q=" + url.QueryEscape("抬头"), fmt.Sprintf("/knowledge/%d", id), fmt.Sprintf("/knowledge/%d?working=1", id), fmt.Sprintf("/knowledge/%d/edit", id), fmt.Sprintf("/knowledge/%d/versions", id), fmt.Sprintf("/knowledge/%d/versions?a=1&b=2&view=inline", id), "/knowledge/new", "/tickets/" + tk.Number + "/articles", "/tickets/" + tk.Number + "/article"} {
			get(path, 200, agents)
		}
		for _, path := range []string{"/knowledge/categories", "/knowledge/synonyms", "/knowledge/settings"} {
			get(path, 200, manager)
		}
		if found, err := h.Knowledge.Quick(ctx, agent, "fptt", 5); err != nil || len(found) == 0 || !strings.HasPrefix(found[0].Article.Title, "发票抬头") {
			t.Errorf("behind ??: %+v %v", found, err)
		}
		// Due, and expired.
		fake := h.DB.Clock().(*clock.Fake)
		if err := h.Knowledge.Edit(ctx, agent, forCustomers, knowledge.Input{Text: knowledge.Text{Title: "发票抬头修改的时限", Body: "客户在 30 天内提出。", Audience: knowledge.Customers}, ExpiresAt: dbtest.Start.AddDate(0, 0, 20)}); err != nil {
			t.Fatal(err)
		}
		told := func(kind string, want int) {
			t.Helper()
			if err := h.Knowledge.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			if err := h.Knowledge.Sweep(ctx); err != nil { // twice does no harm
				t.Fatal(err)
			}
			evs, err := event.List(ctx, h.DB.Read(), event.Filter{Kind: kind})
			if err != nil || len(evs) != want {
				t.Errorf("%s: %d times, want %d: %v", kind, len(evs), want, err)
			}
		}
		fake.Advance(10 * 24 * time.Hour)
		told(knowledge.EventExpirySoon, 1)
		fake.Advance(11 * 24 * time.Hour)
		told(knowledge.EventExpired, 1)
		if sees(known, forCustomers) {
			t.Error("an expired article is read")
		}
		fake.Advance(200 * 24 * time.Hour)
		told(knowledge.EventReviewDue, 2)
		if err := h.Knowledge.Do(ctx, h.Actor(authz.RoleEditor), own, knowledge.Verify, 0, ""); err != nil {
			t.Error(err)
		}
		if err := h.Knowledge.Do(ctx, editor, id, knowledge.Withdraw, 0, "内容过时"); err != nil {
			t.Fatal(err)
		}
		if sees(visitor, id) {
			t.Error("a withdrawn article is read")
		}
	})
}
