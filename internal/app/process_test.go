package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"
)

// An administrator takes the example, changes it, tries it and publishes it; an
// agent works through it; a supervisor steps in. Everything over HTTP.
func TestProcessFromEndToEnd(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		admin, agent, boss := h.Cookie(authz.RoleAdmin), h.Cookie(authz.RoleAgent), h.Cookie(authz.RoleHead)
		page := func(who *http.Cookie, path string, want int, words ...string) string {
			t.Helper()
			w := h.Call("GET", path, "", who)
			if w.Code != want {
				t.Fatalf("GET %s: %d, want %d\n%.600s", path, w.Code, want, w.Body)
			}
			for _, x := range words {
				if !strings.Contains(w.Body.String(), x) {
					t.Errorf("GET %s does not say %q", path, x)
				}
			}
			return w.Body.String()
		}
		send := func(who *http.Cookie, path string, want int, values ...string) string {
			t.Helper()
			f := url.Values{}
			for i := 0; i+1 < len(values); i += 2 {
				f.Add(values[i], values[i+1])
			}
			w := h.Call("POST", path, f.Encode(), who)
			if w.Code != want {
				t.Fatalf("POST %s: %d, want %d\n%.900s", path, w.Code, want, w.Body)
			}
			if want == 303 {
				return w.Header().Get("Location")
			}
			return w.Body.String()
		}
		page(agent, "/admin/processes", 403)
		page(admin, "/admin/processes", 200, "投诉处理流程", "使用这个示例")
		at := send(admin, "/admin/processes", 303, "example", "complaint", "type", "complaint", "name", "投诉处理流程")
		page(admin, at, 200, "<svg", "调查核实", "转调查核实")
		send(agent, at+"/publication", 403)
		// A mistake keeps what was typed and says where.
		body := send(admin, at+"/stages/s2", 422, "name", "", "states", "pending", "states", "in_progress", "hint", "写清原因", "limit", "3", "unit", "hours")
		if !strings.Contains(body, "写清原因") || !strings.Contains(body, "请填写阶段名称") {
			t.Error("the form lost what was typed, or does not say what is missing")
		}
		send(admin, at+"/stages/s2", 303, "name", "现场核实", "states", "pending", "states", "in_progress", "limit", "3", "unit", "hours", "required", "cause", "again", "1",
			"department", fmt.Sprint(h.Departments["客服部"]))
		page(admin, at+"/trial?walk=h:category,m:m1", 200, "现在在：现场核实", "3 小时", "还缺少：问题原因")
		page(admin, at+"/trial?number=NOSUCH", 422, "没有找到这张工单")
		send(admin, at+"/publication", 303, "note", "第一版")
		page(admin, at+"/versions/1", 200, "第 1 版")
		// An agent registers a complaint: it begins in the first stage.
		actor := h.Actor(authz.RoleAgent)
		c, err := h.Customers.Create(ctx, actor, customer.Input{Type: customer.Company, Name: "杭州启明仪器有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周", Phone: "13812340000", Primary: true}}})
		if err != nil {
			t.Fatal(err)
		}
		tk, err := h.Tickets.Register(ctx, actor, ticket.RegisterInput{Title: "交付延误", Type: "complaint", Urgency: "normal", Channel: "email", CustomerID: c.ID, AssigneeID: actor.ID})
		if err != nil {
			t.Fatal(err)
		}
		path := "/tickets/" + tk.Number
		page(agent, path, 200, "流程：投诉处理流程", "进入下一阶段前还缺", "转调查核实")
		page(agent, path+"/stage/m1", 200, "现场核实", `name="category"`)
		send(agent, path+"/stage/m1", 422)
		cats, err := ticket.Categories(ctx, h.DB.Read())
		if err != nil {
			t.Fatal(err)
		}
		send(agent, path+"/stage/m1", 303, "category", fmt.Sprint(cats[0].ID))
		page(agent, path+"/stage/m1", 409) // it is past
		page(agent, path+"/process", 200, "<svg", "现场核实", "第 1 版")
		page(agent, "/tickets?view=open&type=&stage=1.s2", 200, tk.Number)
		page(agent, path+"/process/departure", 403)
		page(h.Cookie(apptest.Nobody), path+"/process", 403)
		page(h.Cookie(authz.RoleSales), path+"/process", 404)
		// A program goes on.
		token := h.Token(authz.RoleHead)
		w := h.Call("GET", "/api/v1/tickets/"+tk.Number+"/stage", "", token)
		var st struct {
			Stage   struct{ Name string }
			Missing []string
			Steps   []struct{ Code string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil || w.Code != 200 || st.Stage.Name != "现场核实" || len(st.Missing) != 1 || len(st.Steps) != 2 {
			t.Fatalf("stage by the API: %d %s", w.Code, w.Body)
		}
		if w = h.Call("POST", "/api/v1/tickets/"+tk.Number+"/stage/m3", `{}`, token); w.Code != 422 || !strings.Contains(w.Body.String(), `"cause"`) {
			t.Errorf("without the cause: %d %s", w.Code, w.Body)
		}
		if w = h.Call("POST", "/api/v1/tickets/"+tk.Number+"/stage/m3", `{"cause":"排期失误"}`, token); w.Code != 200 || !strings.Contains(w.Body.String(), "制定方案") {
			t.Errorf("the step by the API: %d %s", w.Code, w.Body)
		}
		if w = h.Call("GET", "/api/v1/processes/1", "", h.Token(authz.RoleAdmin)); w.Code != 200 || !strings.Contains(w.Body.String(), `"latest":1`) {
			t.Errorf("the process by the API: %d %.300s", w.Code, w.Body)
		}
		if w = h.Call("GET", "/api/v1/processes", "", token); w.Code != 403 {
			t.Errorf("processes for a head of department: %d", w.Code)
		}
		// The supervisor takes it out.
		send(boss, path+"/process/departure", 422, "reason", "")
		send(boss, path+"/process/departure", 303, "reason", "客户要求书面处理")
		if got, err := h.Tickets.Get(ctx, ticket.View(h.Actor(authz.RoleAdmin)), tk.ID); err != nil || got.ProcessVersion != 0 || got.Stage != "" {
			t.Errorf("still in %q: %v", got.StageName, err)
		}
		page(boss, path, 200, "退出流程", "进入流程")
	})
}
