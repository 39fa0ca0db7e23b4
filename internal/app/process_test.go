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
	"bihuan/internal/complaint"
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
		page(admin, at+"/trial?walk=h:complaint.receive,h:complaint.calm,h:complaint.classify,h:category,m:m1", 200, "现在在：现场核实", "3 小时", "还缺少：问题原因")
		page(admin, at+"/trial?number=NOSUCH", 422, "没有找到这张工单")
		page(admin, at+"/stages/s1", 200, "本阶段要完成的投诉记录", `value="complaint.receive" checked`)
		page(admin, at, 200, "但没有哪个阶段要求它") // the investigation went with the edit above
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
		// The stage carries the records of the complaint; its pages say so on both sides.
		page(agent, path, 200, "按「投诉处理流程」办理，现在在「受理核对」阶段", "投诉记录：安抚", path+"/complaint#s-calm")
		page(agent, path+"/complaint", 200, "「受理核对」阶段要求", "「制定方案」阶段要求", "流程和下面的步骤是什么关系")
		page(agent, path+"/stage/m1", 200, "现场核实", `name="category"`, path+"/complaint#s-classify")
		if body := send(agent, path+"/stage/m1", 422, "category", "1"); !strings.Contains(body, "投诉记录：受理") {
			t.Error("the refusal does not name the records")
		}
		for _, x := range []struct {
			step   complaint.Step
			values complaint.Values
		}{{complaint.Receive, complaint.Values{"product": "测试仪", "wish": "refund"}}, {complaint.Calm, complaint.Values{"at": "2026-11-18T01:00:00Z", "means": "phone", "said": "致歉", "mood": "unhappy"}},
			{complaint.Classify, complaint.Values{"severity": "low", "complexity": "simple", "impact": "single", "safety": "none", "immediate": "not_needed"}}} {
			if _, err := h.Complaints.Record(ctx, actor, tk.ID, complaint.Entry{Step: x.step, Values: x.values}); err != nil {
				t.Fatal(err)
			}
		}
		page(agent, path+"/complaint", 200, "本阶段还缺：问题分类")
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
		admins := h.Token(authz.RoleAdmin)
		call := func(method, path, body string, want int, marks ...string) string {
			t.Helper()
			w := h.Call(method, "/api/v1"+path, body, admins)
			if w.Code != want {
				t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			for _, m := range marks {
				if !strings.Contains(w.Body.String(), m) {
					t.Errorf("%s %s: no %s in %.600s", method, path, m, w.Body)
				}
			}
			return w.Body.String()
		}
		draft := `"draft":{"start":"a","stages":[{"code":"a","name":"登记","department":"客服部","limit_minutes":30,"required":["category"]},{"code":"b","name":"办结","final":true,"verbs":[]}],"steps":[{"code":"go","from":"a","to":"b","name":"转办结","who":["assignee"]}]}`
		if w = h.Call("POST", "/api/v1/processes", `{"name":"咨询流程","type":"consultation"}`, token); w.Code != 403 {
			t.Errorf("made by a head of department: %d", w.Code)
		}
		call("POST", "/processes", `{"name":"","type":"consultation"}`, 422, "name")
		call("POST", "/processes", strings.Replace(`{"name":"咨询流程","type":"consultation",`+draft+`}`, "客服部", "没有的部门", 1), 422, "draft.stages.0.department")
		call("POST", "/processes", strings.Replace(`{"name":"咨询流程","type":"consultation",`+draft+`}`, `"assignee"`, `"anybody"`, 1), 422, "draft.steps.0.who")
		var made struct {
			ID, Version int64
		}
		if err := json.Unmarshal([]byte(call("POST", "/processes", `{"name":"咨询流程","type":"consultation",`+draft+`}`, 201, `"department":"客服部"`, `"limit_minutes":30`, `"problems":[]`)), &made); err != nil {
			t.Fatal(err)
		}
		own := fmt.Sprintf("/processes/%d", made.ID)
		call("PUT", own, fmt.Sprintf(`{"name":"咨询办理","type":"consultation","version":%d,%s}`, made.Version, strings.Replace(draft, "转办结", "直接办结", 1)), 200, "咨询办理", "直接办结")
		call("PUT", own, fmt.Sprintf(`{"name":"咨询办理二","type":"consultation","version":%d}`, made.Version), 409, "process.changed_meanwhile")
		call("POST", own+"/publication", `{}`, 200, `"live":true`, `"latest":1`)
		call("DELETE", own, "", 409, "process.was_published")
		call("PUT", own+"/operation", `{"live":false}`, 200, `"live":false`)
		spare := struct{ ID int64 }{}
		if err := json.Unmarshal([]byte(call("POST", "/processes", fmt.Sprintf(`{"name":"副本","type":"consultation","copy_of":%d}`, made.ID), 201, "直接办结")), &spare); err != nil {
			t.Fatal(err)
		}
		call("DELETE", fmt.Sprintf("/processes/%d", spare.ID), "", 204)
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
