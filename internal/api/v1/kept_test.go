package v1

import (
	"fmt"
	"strings"
	"testing"
)

// Texts and macros are kept, tried and used by programs with the rights of whose
// token they bear (KNB-6).
func TestCannedCalls(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent, other, head := w.token("kefu"), w.token("kefu2"), w.token("zhuguan")
		body := `{"title":"发货说明","body":"您好，{客户名称}的订单已发出。","code":"fahuo","scope":"own"}`
		a := w.want(201, agent, "POST /canned-replies", body, "Idempotency-Key", "k1")
		if b := w.want(201, agent, "POST /canned-replies", body, "Idempotency-Key", "k1"); b.at("id") != a.at("id") || a.Header.Get("Location") != "/api/v1/canned-replies/"+a.at("id") {
			t.Errorf("again: %s", b.Raw)
		}
		id := a.at("id")
		w.want(404, other, "GET /canned-replies/"+id, "")
		w.want(404, other, "PUT /canned-replies/"+id, strings.Replace(body, `"scope"`, `"version":1,"scope"`, 1))
		if a := w.want(422, agent, "POST /canned-replies", `{"title":"x","body":"y","scope":"all"}`); a.fields() != "scope=canned.scope_denied" {
			t.Errorf("for all: %s", a.fields())
		}
		if a := w.want(422, agent, "POST /canned-replies", body); a.fields() != "code=canned.code_taken" {
			t.Errorf("code twice: %s", a.fields())
		}
		if a := w.want(422, agent, "PUT /canned-replies/"+id, body); a.fields() != "version=api.need_version" {
			t.Errorf("no version: %s", a.fields())
		}
		if a := w.want(200, agent, "PUT /canned-replies/"+id, strings.Replace(body, `"scope"`, `"version":1,"folder":"物流","scope"`, 1)); a.at("folder") != "物流" || a.at("version") != "2" {
			t.Errorf("changed: %s", a.Raw)
		}
		w.want(409, agent, "PUT /canned-replies/"+id, strings.Replace(body, `"scope"`, `"version":1,"scope"`, 1))
		w.want(403, w.token("kefu", "canned:read"), "DELETE /canned-replies/"+id, "")

		n := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"何时发货","type":"consultation","customer":%q,"department":"客服部","assignee":"kefu"}`, w.Cust.Number)).at("number")
		if a := w.want(200, agent, "POST /tickets/"+n+"/canned-replies/"+id+"/uses", ""); !strings.Contains(a.at("text"), w.Cust.Name) {
			t.Errorf("filled: %s", a.Raw)
		}
		if a := w.want(200, agent, "GET /canned-replies/"+id, ""); a.at("uses") != "1" || a.at("used_at") == "" {
			t.Errorf("counted: %s", a.Raw)
		}
		w.want(404, w.token("gong"), "POST /tickets/"+n+"/canned-replies/"+id+"/uses", "")
		w.want(204, agent, "DELETE /canned-replies/"+id, "")
		w.want(404, agent, "GET /canned-replies/"+id, "")

		macro := `{"name":"受理并记录","scope":"department","department":"客服部","active":true,"types":["consultation"],"steps":[{"kind":"move","verb":"acknowledge"},{"kind":"note","text":"已联系仓库"},{"kind":"urgency","urgency":"urgent"},{"kind":"watch","person":"kefu2"}]}`
		if a := w.want(422, agent, "POST /macros", macro); a.fields() != "scope=canned.scope_denied" {
			t.Errorf("for the department: %s", a.fields())
		}
		m := w.want(201, head, "POST /macros", macro)
		if m.at("steps.3.person") != "kefu2" || m.at("steps.2.urgency") != "urgent" || m.at("department") != "客服部" {
			t.Errorf("macro: %s", m.Raw)
		}
		if a := w.want(422, head, "POST /macros", `{"name":"x","scope":"own","steps":[{"kind":"watch","person":"niemand"}]}`); a.fields() != "steps.0.person=api.unknown_person" {
			t.Errorf("nobody: %s", a.fields())
		}
		w.want(403, agent, "PUT /macros/"+m.at("id"), strings.Replace(macro, `"scope"`, `"version":1,"scope"`, 1))
		try := w.want(200, agent, "GET /tickets/"+n+"/macros/"+m.at("id"), "")
		if try.at("steps") != "4" || try.at("steps.3.reached") != "true" || try.at("steps.0.problem") != "" {
			t.Errorf("tried: %s", try.Raw)
		}
		if a := w.want(200, agent, "GET /tickets/"+n, ""); a.at("state") != "pending" {
			t.Errorf("trying changed it: %s", a.Raw)
		}
		if a := w.want(200, agent, "POST /tickets/"+n+"/macros/"+m.at("id")+"/runs", ""); a.at("state") != "in_progress" {
			t.Errorf("ran: %s", a.Raw)
		}
		// On several tickets at once, each with its own result.
		second := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"同时执行宏","type":"consultation","customer":%q,"urgency":"low","assignee":"kefu"}`, w.Cust.Number)).at("number")
		many := w.want(201, agent, "POST /ticket-bulks", fmt.Sprintf(`{"tickets":[%q,%q],"change":"macro","macro_id":%s}`, n, second, m.at("id")))
		if many.at("changed") != "2" || many.at("refused") != "0" || many.at("macro_id") != m.at("id") {
			t.Errorf("a macro on two tickets: %s", many.Raw)
		}
		if x := w.want(200, agent, "GET /tickets/"+second, ""); x.at("state") != "in_progress" || x.at("urgency") != "urgent" {
			t.Errorf("after the macro: %s", x.Raw)
		}
		if a := w.want(422, agent, "POST /ticket-bulks", fmt.Sprintf(`{"tickets":[%q],"change":"macro"}`, n)); a.fields() != "macro_id=ticket.need_choice" {
			t.Errorf("no macro: %s", a.fields())
		}
		shut := w.want(201, agent, "POST /macros", `{"name":"关闭","scope":"own","active":true,"steps":[{"kind":"move","verb":"close"},{"kind":"note","text":"完"}]}`).at("id")
		if a := w.want(200, agent, "GET /tickets/"+n+"/macros/"+shut, ""); a.at("steps.0.problem") == "" || a.at("steps.1.reached") != "false" {
			t.Errorf("tried again: %s", a.Raw)
		}
		if a := w.want(200, head, "PUT /macros/"+m.at("id"), strings.Replace(macro, `"active":true`, `"active":false,"version":1`, 1)); a.at("active") != "false" || a.at("version") != "2" {
			t.Errorf("changed: %s", a.Raw)
		}
		w.want(204, head, "DELETE /macros/"+m.at("id"), "")
		w.want(404, head, "DELETE /macros/"+m.at("id"), "")
	})
}

// Views and segments of customers are kept by programs too (CUS-7).
func TestCustomerViewCalls(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent, head, admin := w.token("kefu"), w.token("zhuguan"), w.token("guanli")
		vip := `{"v":1,"all":[{"field":"level","op":"is","values":["vip"]}]}`
		body := `{"name":"重点","filter":` + vip + `,"columns":["number","name"],"sort":"name"}`
		v := w.want(201, agent, "POST /customer-views", body, "Idempotency-Key", "v1")
		if b := w.want(201, agent, "POST /customer-views", body, "Idempotency-Key", "v1"); b.at("id") != v.at("id") {
			t.Errorf("again: %s", b.Raw)
		}
		if a := w.want(200, agent, "GET /customer-views", ""); a.at("items") != "1" || a.at("items.0.filter.all.0.field") != "level" || a.at("items.0.own") != "true" {
			t.Errorf("views: %s", a.Raw)
		}
		if a := w.want(200, head, "GET /customer-views", ""); a.at("items") != "0" {
			t.Errorf("somebody else's: %s", a.Raw)
		}
		w.want(403, agent, "POST /customer-views", `{"name":"x","shared":true}`)
		w.want(404, head, "PUT /customer-views/"+v.at("id"), `{"name":"x","version":1}`)
		w.want(404, head, "DELETE /customer-views/"+v.at("id"), "")
		if a := w.want(200, agent, "PUT /customer-views/"+v.at("id"), `{"name":"全部","version":1}`); a.at("name") != "全部" || a.at("filter") != "" {
			t.Errorf("changed: %s", a.Raw)
		}
		w.want(409, agent, "PUT /customer-views/"+v.at("id"), `{"name":"全部","version":1}`)
		if a := w.want(422, agent, "POST /customer-views", `{"name":"y","filter":{"all":[{"field":"salary","op":"set"}]}}`); a.fields() != "filter.0=customer.query.field" {
			t.Errorf("no such field: %s", a.fields())
		}
		w.want(204, agent, "DELETE /customer-views/"+v.at("id"), "")

		seg := `{"name":"重点回访","filter":` + vip + `}`
		w.want(403, agent, "POST /customer-segments", seg)
		g := w.want(201, admin, "POST /customer-segments", seg, "Idempotency-Key", "s1")
		if g.at("name") != "重点回访" || g.at("version") != "1" {
			t.Errorf("segment: %s", g.Raw)
		}
		w.want(409, admin, "POST /customer-segments", seg)
		w.want(422, admin, "POST /customer-segments", `{"name":"alle"}`)
		if a := w.want(200, admin, "PUT /customer-segments/"+g.at("id"), `{"name":"回访","version":1,"filter":`+vip+`}`); a.at("name") != "回访" || a.at("version") != "2" {
			t.Errorf("changed: %s", a.Raw)
		}
		w.want(403, agent, "DELETE /customer-segments/"+g.at("id"), "")
		w.want(204, admin, "DELETE /customer-segments/"+g.at("id"), "")
		w.want(404, admin, "PUT /customer-segments/"+g.at("id"), `{"name":"回访","version":1,"filter":`+vip+`}`)
	})
}
