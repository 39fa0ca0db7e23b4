package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/complaint"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
)

// A complaint through the whole product: registered with mood and wish, taken
// through its steps in the browser and over the API, escalated, answered, seen by
// its customer, put on paper, exported.
func TestComplaint(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := h.Customers.Create(ctx, h.Actor("agent"), customer.Input{Type: customer.Company, Name: "广州南粤医疗器械有限公司",
			Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13712348820", Email: "li@example.com", Primary: true}}})
		must(err)
		page := func(login, path string, want int, marks ...string) string {
			t.Helper()
			w := h.Call(http.MethodGet, path, "", h.Cookie(login))
			body := w.Body.String()
			if w.Code != want {
				t.Errorf("GET %s as %s: %d", path, login, w.Code)
			}
			for _, m := range marks {
				if no, ok := strings.CutPrefix(m, "!"); ok == strings.Contains(body, no) {
					t.Errorf("GET %s as %s: %s", path, login, m)
				}
			}
			return body
		}
		post := func(login, path string, want int, pairs ...string) string {
			t.Helper()
			f := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				f.Add(pairs[i], pairs[i+1])
			}
			w := h.Call(http.MethodPost, path, f.Encode(), h.Cookie(login))
			if w.Code != want {
				t.Errorf("POST %s as %s: %d, want %d", path, login, w.Code, want)
			}
			if want == http.StatusSeeOther {
				return w.Header().Get("Location")
			}
			return w.Body.String()
		}

		// Registered with mood and wish.
		page("agent", "/tickets/new", 200, `data-when="type=complaint"`, "客户情绪")
		to := post("agent", "/tickets", 303, "who", "known", "customer", fmt.Sprint(c.ID), "title", "监护仪送达时已损坏", "type", "complaint", "urgency", "normal", "channel", "phone", "description", "外壳开裂，屏幕不亮。",
			"assignee", fmt.Sprint(h.Users["agent"]), "department", fmt.Sprint(h.Departments["客服部"]), "mood", "angry", "wish", "replacement", "wish_note", "换一台全新的")
		number := strings.TrimSuffix(strings.TrimPrefix(to, "/tickets/"), "?new=1")
		tk, err := h.Tickets.ByNumber(ctx, ticket.View(authz.System("test")), number)
		must(err)
		base := "/tickets/" + number + "/complaint"
		page("agent", "/tickets/"+number, 200, "投诉处理", "愤怒", "换货", "换一台全新的", "第 1 步，共 8 步")
		plain, err := h.Tickets.Register(ctx, h.Actor("agent"), ticket.RegisterInput{Title: "咨询", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID})
		must(err)
		page("agent", "/tickets/"+plain.Number, 200, "!投诉处理单", "!csteps")
		page("agent", "/tickets/"+plain.Number+"/complaint", 404)

		// Out of scope the complaint and its file do not exist.
		for _, path := range []string{base, base + "/file", base + "/upgrade"} {
			page("engineer", path, 404, "!监护仪")
		}
		post("engineer", base+"/records", 404, "step", "receive")
		post("engineer", base+"/upgrade", 404, "level", "2", "reason", "x")
		if w := h.Call(http.MethodGet, "/api/v1"+base, "", h.Token("engineer")); w.Code != 404 {
			t.Errorf("API out of scope: %d", w.Code)
		}

		_, err = h.Tickets.Do(ctx, h.Actor("agent"), tk.ID, ticket.Acknowledge, ticket.Input{})
		must(err)
		// Only what is due is open; what is missing is said and linked.
		page("agent", base, 200, `name="receive.product"`, "!"+`name="investigate.facts"`, "先完成“受理”")
		page("agent", "/tickets/"+number+"/moves/request_confirmation", 200, "投诉还有步骤没有完成", base)
		body := post("agent", "/tickets/"+number+"/moves/request_confirmation", 409, "solution", "已换新", "cause", "a", "corrective", "b")
		if !strings.Contains(body, "受理、安抚、分级、调查、提出方案、解决") || !strings.Contains(body, base) {
			t.Error("the refusal does not name the missing steps")
		}
		// A form that fails comes back as it was, with its messages.
		body = post("agent", base+"/records", 422, "step", "receive", "receive.wish_note", "换一台全新的，本周内")
		for _, m := range []string{"请填写“投诉的产品或服务”", "换一台全新的，本周内", `aria-invalid="true"`} {
			if !strings.Contains(body, m) {
				t.Errorf("the failed form: %s", m)
			}
		}
		post("agent", base+"/records", 303, "step", "receive", "receive.product", "监护仪 BM-200", "receive.wish", "replacement", "receive.wish_note", "换一台全新的", "receive.people", "送货员老李", "receive.department", "物流部",
			"receive.branch", "广州网点", "receive.action", "已安排备用机", "receive.informed", "duration", "receive.informed", "progress", "receive.language", "zh")
		post("agent", base+"/records", 409, "step", "investigate", "investigate.facts", "x", "investigate.justified", "justified")
		post("agent", base+"/records", 303, "step", "calm", "calm.at", "2026-11-18T09:00", "calm.means", "phone", "calm.said", "致歉并说明步骤", "calm.mood", "anxious")
		post("agent", base+"/records", 303, "step", "classify", "classify.severity", "high", "classify.complexity", "moderate", "classify.impact", "single", "classify.safety", "possible", "classify.safety_note", "漏电风险待查",
			"classify.immediate", "possible", "classify.immediate_note", "停用该设备")
		// Over the API.
		token := h.Token("agent")
		call := func(method, path, body string, want int, marks ...string) {
			t.Helper()
			w := h.Call(method, "/api/v1"+path, body, token)
			if w.Code != want {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			for _, m := range marks {
				if !strings.Contains(w.Body.String(), m) {
					t.Errorf("%s %s: no %s in %s", method, path, m, w.Body)
				}
			}
		}
		call("POST", base+"/records", `{"step":"propose","values":{}}`, 409, "complaint.order")
		call("POST", base+"/records", `{"step":"investigate","values":{"facts":"运输途中碰撞","justified":"justified","sources":"site,product"}}`, 201, `"step":"propose"`)
		call("POST", base+"/records", `{"step":"propose","values":{"remedies":"replacement"}}`, 422, "offer", "at_once")
		call("POST", base+"/records", `{"step":"propose","values":{"remedies":"replacement,apology","offer":"三日内更换新机","prevent":"加固包装","at_once":"no","later_why":"缺货","later_when":"2026-12-01"}}`, 201)
		call("PUT", base+"/wish", `{"mood":"calm","wish":"replacement"}`, 200, `"mood":"calm"`)
		call("GET", base, "", 200, `"missing":["resolve"]`, "运输途中碰撞")
		// Escalated: refused without a reason, and where nobody is responsible.
		post("agent", base+"/upgrade", 422, "level", "2")
		post("agent", base+"/upgrade", 409, "level", "3", "reason", "客户要求")
		must(h.Run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			return h.Org.Lead(ctx, a, h.Departments["客服部"], h.Users["head"], h.Users["supervisor"])
		}))
		page("agent", base+"/upgrade", 200, "由李主管负责", "由陈总监负责")
		post("agent", base+"/upgrade", 303, "level", "3", "reason", "客户要求部门负责人处理")
		must(h.Settle(ctx))
		page("head", "/notifications", 200, "投诉升级到部门负责人，由陈总监负责")
		page("agent", base+"/upgrade", 200, "!由李主管负责")
		call("POST", base+"/upgrade", `{"level":2,"reason":"x"}`, 409)

		post("agent", base+"/records", 303, "step", "resolve", "resolve.done", "新机已送达并验收", "resolve.done_at", "2026-11-18T09:00", "resolve.cause", "包装强度不足", "resolve.corrective", "更换包装供应商")
		post("agent", base+"/records", 303, "step", "track", "track.at", "2026-11-18T09:00", "track.means", "phone", "track.said", "新机已发出")
		// Corrected: the first record stays.
		first, _, err := h.Complaints.Get(ctx, ticket.View(authz.System("test")), number)
		must(err)
		all, err := h.Complaints.Of(ctx, first)
		must(err)
		r, _ := all.Last(complaint.Investigate)
		page("agent", base+"?amend="+fmt.Sprint(r.ID), 200, `name="amends" value="`+fmt.Sprint(r.ID)+`"`, "运输途中碰撞")
		post("agent", base+"/records", 422, "step", "investigate", "amends", fmt.Sprint(r.ID), "investigate.facts", "仓库装卸时碰撞", "investigate.justified", "justified")
		post("agent", base+"/records", 303, "step", "investigate", "amends", fmt.Sprint(r.ID), "investigate.facts", "仓库装卸时碰撞", "investigate.justified", "justified", "reason", "核对监控后更正")
		page("agent", base, 200, "仓库装卸时碰撞", "运输途中碰撞", "核对监控后更正")

		// The customer sees the steps and nothing of what was written in them.
		link := "/c/" + h.Tickets.Link(first)
		internal := []string{"!仓库装卸", "!碰撞", "!愤怒", "!焦虑", "!部门负责人", "!陈总监", "!包装强度", "!漏电", "!送货员老李", "!严重", "!12315"}
		guest := func(marks ...string) {
			t.Helper()
			w := h.Call(http.MethodGet, link, "", nil)
			for _, m := range append(marks, internal...) {
				if no, ok := strings.CutPrefix(m, "!"); ok == strings.Contains(w.Body.String(), no) {
					t.Errorf("the customer's page: %s", m)
				}
			}
		}
		guest("投诉处理进度", "与您联系", `aria-current="step">答复您`, "我们怎样处理投诉")
		must(h.Complaints.SetSettings(ctx, h.Actor("admin"), complaint.Settings{Required: complaint.DefaultSettings().Required, Review: true, Recourse: "拨打 12315", Notice: "两个工作日内与您联系"}))
		guest("两个工作日内与您联系")
		post("agent", "/tickets/"+number+"/moves/request_confirmation", 303, "solution", "已更换新机", "cause", "包装强度不足", "corrective", "更换包装供应商")
		guest(`aria-current="step">完成`)
		// He is asked how it was handled, apart from what came of it.
		guest("我们处理这次投诉的过程", `name="handling"`)
		if w := h.Call(http.MethodPost, link+"/rating", "round=1&solved=no&stars=1&handling=4&attitude=4&speed=3&comment="+url.QueryEscape("还是有划痕"), nil); w.Code != 303 {
			t.Fatalf("the rating: %d %s", w.Code, w.Body)
		}
		page("supervisor", "/tickets/"+number, 200, "对投诉处理过程的评价")
		page("head", base, 200, "处理过程 4 星")
		internal = internal[:len(internal)-1]
		guest("拨打 12315", `aria-current="step">调查`)

		// The file holds every record.
		page("agent", base+"/file", 200, number, "广州南粤医疗器械有限公司", "黎嘉敏", "137****8820", "!13712348820", "外壳开裂，屏幕不亮。", "换货", "换一台全新的", "监护仪 BM-200", "送货员老李", "物流部", "广州网点", "已安排备用机", "电话", // receive
			"如何查询进度", "各步骤所需时间", "沟通语言", // communicate
			"确认受理", "新机已发出", // track
			"2026-11-18 09:00", "致歉并说明步骤", // acknowledge
			"严重", "漏电风险待查", "中等", "仅该客户", "停用该设备", // assessment
			"仓库装卸时碰撞", "运输途中碰撞", "核对监控后更正", // investigation, and what it was before
			"三日内更换新机", "加固包装", "缺货", "2026-12-01", "新机已送达并验收", "包装强度不足", "更换包装供应商", // response
			"已更换新机", "告知对象", // decision
			"处理过程 4 星", "客户要求部门负责人处理", "部门负责人 · 陈总监", "愤怒", "还是有划痕", "王小美")
		// The list, and what the management takes from it.
		page("head", "/complaints", 200, number, "部门负责人", "不接受")
		page("head", "/complaints?level=2", 200, "!"+number)
		page("agent", "/complaints", 403)
		post("supervisor", "/complaints/export", 403)
		post("head", "/complaints/export", 422, "from", "2026-12-01", "to", "2026-11-01")
		w := h.Call(http.MethodPost, "/complaints/export", "from=2026-11-01&to=2026-11-30", h.Cookie("head"))
		raw := w.Body.Bytes()
		sr, err := sheet.Open("x.xlsx", bytes.NewReader(raw), int64(len(raw)), sheet.Limits{})
		must(err)
		var cells []string
		for {
			row, _, err := sr.Next()
			if err == io.EOF {
				break
			}
			must(err)
			cells = append(cells, row...)
		}
		text := strings.Join(cells, "|")
		for _, m := range []string{number, "监护仪 BM-200", "客户对处理过程的评价", "部门负责人", "不接受", "严重"} {
			if !strings.Contains(text, m) {
				t.Errorf("the export: no %s", m)
			}
		}
		if len(sr.Sheets()) != 2 {
			t.Errorf("sheets %v", sr.Sheets())
		}
		evs, err := h.Org.Audit(ctx, h.Actor("auditor"), event.Filter{Kind: complaint.EventExported})
		must(err)
		if len(evs) != 1 {
			t.Errorf("%d exports in the trail", len(evs))
		}
		if _, err := h.Complaints.Record(ctx, h.Actor("sales"), tk.ID, complaint.Entry{Step: complaint.Track}); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("sales: %v", err)
		}
		// A visitor says what he wishes.
		page("agent", "/portal/new", 200, `name="wish"`, "您希望我们怎样处理")
	})
}
