package ticketui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

// site is the pages over a small company.
type site struct {
	*tickettest.House
	rt *web.Router
}

// who signs in by a header, so that tests need no sessions.
type who struct{ h *tickettest.House }

func (w who) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	login := r.Header.Get("X-Login")
	if login == "" {
		return authz.Actor{}, false, nil
	}
	return w.h.As(login), true, nil
}

func newSite(t *testing.T, d *db.DB, c *clock.Fake) *site {
	h := tickettest.New(t, d, c)
	for _, x := range tickettest.People { // most tests want a reply to be there at once
		h.OK(h.SetWritingPreferences(h.Ctx, h.As(x.Login), ticket.Preferences{AfterSend: "stay"}))
	}
	rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{who{h}}, Shell: &ui.Shell{Nav: Nav}})
	Routes(rt, Rooms{Tickets: h.Service, Customers: h.Customers, Org: h.Org, Files: h.Files, PublicURL: "https://kf.example.cn/"})
	return &site{h, rt}
}

func each(t *testing.T, f func(t *testing.T, s *site)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newSite(t, d, c)) })
}

type answer struct {
	t      *testing.T
	status int
	body   string
	header http.Header
}

// want checks status and what the body holds; a text with "!" in front must be
// absent.
func (a answer) want(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %.600s", a.status, status, a.body)
	}
	for _, s := range texts {
		if no, ok := strings.CutPrefix(s, "!"); ok {
			if strings.Contains(a.body, no) {
				a.t.Errorf("the answer shows %q", no)
			}
		} else if !strings.Contains(a.body, s) {
			a.t.Errorf("the answer lacks %q in %.3000s", s, a.body)
		}
	}
	return a
}

func (s *site) send(t *testing.T, login, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("X-Login", login)
	if login == "" {
		r.Header.Del("X-Login")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.rt.ServeHTTP(w, r)
	return answer{t, w.Code, w.Body.String(), w.Header()}
}

func (s *site) get(t *testing.T, login, path string, header ...string) answer {
	t.Helper()
	return s.send(t, login, "GET", path, nil, header...)
}

var htmx = []string{"HX-Request", "true", "HX-Request-Type", "partial"}

func (s *site) post(t *testing.T, login, path string, header []string, pairs ...string) answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return s.send(t, login, "POST", path, strings.NewReader(v.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// foreign is a ticket that nobody of 客服部 and 技术支持部 may see.
func (s *site) foreign() ticket.Ticket {
	return s.Register(func(in *ticket.RegisterInput) {
		in.Title, in.AssigneeID, in.DepartmentID = "销售部的秘密", 0, s.Dept["销售部"]
	})
}

func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		mine := s.Register()
		secret := s.foreign()
		s.get(t, "kefu", "/tickets").want(200, "我的待办", mine.Number, "sla-timer", `title="受理 · `, "我登记的", "待处理", "VIP", "!主管待办")
		s.get(t, "gong", "/tickets?view=all").want(200, "!"+secret.Title, "!"+mine.Number)
		s.get(t, "zhuguan", "/tickets?view=desk").want(200, "主管待办")
		s.get(t, "kefu", "/tickets?view=desk").want(200, `aria-current="true"`, "!主管待办") // no right to it: his own first view
		s.get(t, "", "/tickets").want(401)

		s.get(t, "kefu", "/tickets?type=complaint").want(200, "!"+mine.Number, "没有符合条件的工单")
		s.get(t, "kefu", "/tickets?view=created&department="+fmt.Sprint(s.Dept["客服部"])).want(200, mine.Number, "!"+secret.Number)
		s.get(t, "kefu", "/tickets?from=gestern").want(200, "请填写日期")
		s.get(t, "kefu", "/tickets?after=nonsense").want(200, mine.Number)

		part := s.get(t, "kefu", "/tickets", append(htmx, "HX-Target", "div#qlive", "HX-Current-URL", "http://x/tickets/"+mine.Number)...)
		part.want(200, `id="qlive"`, `hx-target="#views"`, "!<html")
		if !strings.Contains(part.body, `hx-push-url="true" aria-current="true">`) {
			t.Error("the open ticket's row is not lit in a refreshed queue")
		}
	})
}

func TestQueueGoesOn(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		var all []string
		for range 28 {
			all = append(all, s.Register().Number)
		}
		first := s.get(t, "kefu", "/tickets")
		first.want(200, all[0], "28 件", "显示更多", "!"+all[27])
		next := between(first.body, `href="/tickets?after=`, `"`)
		more := s.get(t, "kefu", "/tickets?after="+next, append(htmx, "HX-Target", "div#more")...)
		more.want(200, all[27], `id="more"`, "!"+all[0], "!qbar", "!显示更多")
	})
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestSavedViews(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		c := s.Register(func(in *ticket.RegisterInput) { in.Type, in.Title = "complaint", "投诉发货迟" })
		other := s.Register()
		s.post(t, "kefu", "/views", htmx, "name", "", "type", "complaint").want(422, "请填写视图名称", "!<html")
		a := s.post(t, "kefu", "/views", nil, "name", "发货投诉", "view", "created", "type", "complaint", "from", "2026-11-01")
		a.want(303)
		to := a.header.Get("Location")
		s.get(t, "kefu", to).want(200, "发货投诉", c.Number, "!"+other.Number, `value="2026-11-01"`)
		s.get(t, "kefu2", to).want(200, "!发货投诉")
		id := strings.TrimPrefix(to, "/tickets?saved=")
		s.post(t, "kefu2", "/views/"+id+"/deletion", nil).want(404)
		s.post(t, "kefu", "/views/"+id+"/deletion", nil).want(303)
		s.get(t, "kefu", "/tickets").want(200, "!发货投诉")
	})
}

func TestTicket(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		mine := s.To(ticket.InProgress)
		at := "/tickets/" + mine.Number
		s.get(t, "kefu", at).want(200, mine.Title, "请求客户确认", "138****5678", "用时", "广州南粤", "回复客户", "跟进记录", `data-live="ticket:`, `class="ws open"`, "确认受理")
		s.get(t, "shenji", at).want(200, mine.Title, "没有书写权限", "!请求客户确认", "!回复客户")
		for _, path := range []string{at, at + "/timeline?before=9", at + "/clocks", at + "/moves/ask"} {
			s.get(t, "gong", path).want(404, "!"+mine.Title)
		}
		s.get(t, "gong", at+"/live", htmx...).want(204)
		s.get(t, "kefu", "/tickets/TASK999").want(404)
		part := s.get(t, "kefu", at+"?view=all", append(htmx, "HX-Target", "section#ticket")...)
		part.want(200, "<title>", `hx-target="#cust"`, "?view=all", "!<html", `id="composer"`)
		s.get(t, "kefu", at+"/live?tlkinds=reply", htmx...).want(200, `hx-target="#tkhead"`, `hx-target="#tl"`, `hx-target="#writable"`)
		s.get(t, "kefu", at+"/live?tlkinds=reply+note+followup+", htmx...).want(200, "!#writable")
		s.get(t, "kefu", at+"/clocks", htmx...).want(200, "<dialog", "受理", "开始（登记）", "停止（受理）")
	})
}

func TestTimelineBothWays(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Description = "冷链设备的描述" })
		for i := range 40 {
			if _, err := s.Note(s.Ctx, s.As("kefu"), x.ID, fmt.Sprintf("第%02d条", i), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		at := "/tickets/" + x.Number
		newest := s.get(t, "kefu", at)
		newest.want(200, "第39条", "第10条", "!第09条", "查看更早的记录", "冷链设备的描述")
		older := s.get(t, "kefu", at+"/timeline?before="+between(newest.body, "timeline?before=", `"`), htmx...)
		older.want(200, "第09条", "第00条", "!第10条", "登记了工单", "!查看更早的记录", "!<html")
		from := between(older.body, `name="tlfrom" value="`, `"`)
		s.get(t, "kefu", at+"/live?tlfrom="+from, htmx...).want(200, "第00条", "第39条")
		es, _, err := journal.Of(s.Ctx, s.D.Read(), journal.Place{Ticket: x.ID}, journal.Page{After: 1, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		around := s.get(t, "kefu", at+"?entry="+fmt.Sprint(es[4].ID))
		around.want(200, "第00条", "!第39条", "查看更新的记录")
		s.get(t, "kefu", at+"/timeline?after="+between(around.body, "timeline?after=", `"`), htmx...).want(200, "第39条", "!第00条")
	})
}

func TestMoves(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Type = "complaint" })
		at := "/tickets/" + x.Number + "/moves/"
		s.get(t, "kefu", at+"nonsense").want(404)
		s.get(t, "kefu", at+"confirm").want(409, "刚刚变化")
		s.get(t, "kefu", at+"request_confirmation", htmx...).want(200, "<dialog", "改进措施", "!延误原因", `hx-target="#movebox"`)
		s.get(t, "kefu", at+"request_confirmation").want(200, "改进措施", `<div class="card form">`, "!movebox") // a page of its own has no place for fragments
		s.post(t, "shenji", at+"ask", nil, "body", "x").want(403)
		s.post(t, "gong", at+"ask", nil, "body", "x").want(404)

		// Everything missing is said at once, at its field, and nothing typed is lost.
		s.post(t, "kefu", at+"request_confirmation", htmx, "version", fmt.Sprint(x.Version), "cause", "打印错误").
			want(422, "请填写解决方案", "投诉工单请填写改进措施", "打印错误", "!投诉工单请填写问题原因", "!<html")

		// Somebody was faster: his text stays, what is new is shown, and he can send again.
		if _, err := s.Note(s.Ctx, s.As("zhuguan"), x.ID, "已联系", nil, nil); err != nil {
			t.Fatal(err)
		}
		stale := s.post(t, "kefu", at+"ask", htmx, "version", fmt.Sprint(x.Version), "body", "请提供编号")
		stale.want(409, "刚刚被其他人更新", "请提供编号", "最新情况")
		version := between(stale.body, `name="version" value="`, `"`)
		s.post(t, "kefu", at+"ask", htmx, "version", version, "body", "请提供编号", "tlkinds", "reply note followup").
			want(200, `hx-target="#movebox"`, "待客户补充", "请告知客户", "https://kf.example.cn/c/", "!#writable")

		s.get(t, "kefu", at+"answer").want(200, "请提供编号")
		s.post(t, "kefu", at+"answer", nil, "body", "编号 A-17").want(303)
		s.get(t, "kefu", "/tickets/"+x.Number).want(200, "编号 A-17", "林晓雯 代记")
		s.post(t, "kefu", at+"request_confirmation", nil, "solution", "换证", "cause", "错印", "corrective", "复核").want(303)
		s.post(t, "kefu", at+"confirm", htmx, "stars", "2").want(409, "3 星及以下", "!<html")
		s.post(t, "kefu", at+"dispute", nil, "unsolved", "1", "comment", "又坏了").want(303)
		s.get(t, "zhuguan", "/tickets/"+x.Number).want(200, "第 2 次处理", "客户不满意，进入二次处理", "未解决", "又坏了")
		s.get(t, "zhuguan", "/desk").want(200, "没有升级的工单", x.Number)
		s.get(t, "zhuguan", at+"assign").want(200, "林晓雯（在岗，")
		s.post(t, "zhuguan", at+"assign", htmx, "tlkinds", "").want(422, "请选择处理人或部门")
		s.post(t, "zhuguan", at+"assign", nil, "assignee", fmt.Sprint(s.User["kefu"])).want(303)
		s.post(t, "kefu", at+"acknowledge", htmx).want(200, "处理中")
		s.post(t, "zhuguan", at+"cancel", htmx, "code", "duplicate", "duplicate", "TASK1").want(422, "没有找到这个工单编号", "TASK1")
	})
}

func TestPassedOnOutOfSight(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.Register()
		x = s.Move("zhuguan", x, ticket.Assign, ticket.Input{AssigneeID: s.User["gong"]})
		x = s.Move("gong", x, ticket.Acknowledge, ticket.Input{})
		// jizhu sees it only through his department; from there it goes back.
		a := s.post(t, "jizhu", "/tickets/"+x.Number+"/moves/reassign", htmx, "assignee", fmt.Sprint(s.User["kefu2"]), "reason", "客户要求")
		a.want(200)
		if a.header.Get("HX-Redirect") != "/tickets" {
			t.Errorf("redirected to %q", a.header.Get("HX-Redirect"))
		}
	})
}

func TestComposer(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress)
		at := "/tickets/" + x.Number
		s.Events()
		s.post(t, "kefu", at+"/draft", nil, "kind", "note", "body_reply", "您好", "body_note", "查一下", "method", "visit").want(204)
		if got := s.Events(); got != "" {
			t.Errorf("a draft left %q in the audit", got)
		}
		s.get(t, "kefu", at).want(200, ">\n您好<", ">\n查一下<", `value="visit" selected`)
		s.get(t, "zhuguan", at).want(200, "!您好")

		s.post(t, "kefu", at+"/entries", htmx, "kind", "reply", "body_reply", " ", "body_note", "查一下").want(422, "请填写内容", "查一下", "!<html")
		s.post(t, "kefu", at+"/entries", htmx, "kind", "reply", "body_reply", "已收到您的反馈", "body_note", "查一下").want(200, "已收到您的反馈", ">\n查一下<", `hx-target="#tl"`)
		s.get(t, "kefu", at).want(200, "!>\n您好<", ">\n查一下<")

		s.post(t, "kefu", at+"/entries", htmx, "kind", "note", "body_note", "@何俊杰 帮忙看看，@nobody 不算").want(200)
		ws, err := s.Watchers(s.Ctx, x.ID)
		if err != nil || !slices.Equal(ws, []int64{s.User["gong"]}) {
			t.Errorf("watchers %v, %v", ws, err)
		}
		s.get(t, "gong", at).want(200, "帮忙看看") // who is mentioned sees it

		// A vague record is pointed out, then saved when its writer insists.
		s.post(t, "kefu", at+"/entries", htmx, "kind", "followup", "body_followup", "已处理", "method", "phone").want(422, "有些笼统", "仍然保存", ">\n已处理<")
		s.post(t, "kefu", at+"/entries", htmx, "kind", "followup", "body_followup", "已处理", "method", "phone", "anyway", "1").want(200, "跟进记录")
		s.post(t, "kefu", at+"/entries", htmx, "kind", "followup", "body_followup", "约定 11 月 20 日上门更换", "method", "fax", "next_at", "2020-01-01T00:00").
			want(422, "请选择跟进方式", "下次跟进时间已经过去", "约定 11 月 20 日上门更换")
		s.post(t, "kefu", at+"/entries", nil, "kind", "followup", "body_followup", "约定 11 月 20 日上门更换", "method", "visit", "next_plan", "上门", "next_at", "2026-11-20T10:00", "next_owner", fmt.Sprint(s.User["gong"])).want(303)
		s.get(t, "kefu", at).want(200, "上门 · 何俊杰", "上门拜访")

		// Not his: the reply stays on the screen with the reason.
		s.post(t, "kefu2", at+"/entries", htmx, "kind", "reply", "body_reply", "我来回").want(409, "只有当前处理人")
		s.post(t, "shenji", at+"/entries", nil, "kind", "note", "body_note", "x").want(403)
		if got := s.Events(); got != "ticket.replied ticket.noted ticket.followed_up task.created ticket.followed_up" {
			t.Errorf("events %q", got)
		}
	})
}

func TestTellWatchEdit(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.AwaitingConfirmation)
		at := "/tickets/" + x.Number
		s.get(t, "kefu", at).want(200, "请告知客户", "结果确认", s.LookupCode(x), "电话确认满意")
		s.post(t, "kefu", at+"/told", htmx).want(200, "!请告知客户")
		s.post(t, "kefu2", at+"/watch", htmx, "on", "1").want(200, "取消关注", "周敏")
		s.post(t, "kefu2", at+"/watch", htmx, "on", "0").want(200, "关注工单")
		s.get(t, "kefu", at+"/edit", htmx...).want(200, x.Title, "<dialog")
		s.get(t, "gong", at+"/edit").want(403)
		s.post(t, "kefu", at+"/edit", htmx, "version", "1", "title", "新标题", "type", "other", "urgency", "low").want(409, "新标题", "最新内容")
		now, err := s.Get(s.Ctx, ticket.View(s.As("kefu")), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		v := fmt.Sprint(now.Version)
		s.post(t, "kefu", at+"/edit", htmx, "version", v, "title", " ", "type", "other", "urgency", "low", "priority", "urgent").want(422, "请填写标题")
		s.post(t, "kefu", at+"/edit", htmx, "version", v, "title", "新标题", "type", "other", "urgency", "low", "priority", "urgent").want(422, "请填写调整原因")
		s.post(t, "kefu", at+"/edit", nil, "version", v, "title", "新标题", "type", "other", "urgency", "low").want(303)
		s.get(t, "kefu", at).want(200, "新标题")
	})
}

func TestReveal(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.Register()
		at := fmt.Sprintf("/tickets/%s/contacts/%d/values", x.Number, s.Cust.Primary().ID)
		s.get(t, "kefu", "/tickets/"+x.Number).want(200, "!13812345678")
		s.post(t, "kefu", at, htmx, "field", "phone").want(200, "13812345678")
		s.post(t, "gong", at, htmx, "field", "phone").want(404)
		s.post(t, "shenji", at, htmx, "field", "phone").want(403)
		s.post(t, "kefu", at, htmx, "field", "name").want(422)
		// The right reaches no further than its scope: the engineer sees the queue of
		// his department, and calls the customers of his own tickets.
		q := s.Register(func(in *ticket.RegisterInput) {
			in.AssigneeID, in.DepartmentID = s.User["jizhu"], s.Dept["技术支持部"]
		})
		of := fmt.Sprintf("/tickets/%s/contacts/%d/values", q.Number, s.Cust.Primary().ID)
		s.get(t, "gong", "/tickets/"+q.Number).want(200, q.Title, "138****5678", "!"+of)
		s.post(t, "gong", of, htmx, "field", "phone").want(403, "!13812345678")
		s.post(t, "jizhu", "/tickets/"+q.Number+"/moves/decline", nil, "reason", "转给同事").want(303)
		s.post(t, "gong", "/tickets/"+q.Number+"/moves/take", nil).want(303)
		s.get(t, "gong", "/tickets/"+q.Number).want(200, of)
		s.post(t, "gong", of, htmx, "field", "phone").want(200, "13812345678")
		s.post(t, "kefu", fmt.Sprintf("/tickets/%s/contacts/999/values", x.Number), htmx, "field", "phone").want(404)
	})
}

func TestRegister(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.get(t, "kefu", "/tickets/new").want(200, "登记工单", "查找客户", "autofocus")
		s.get(t, "shenji", "/tickets/new").want(403)
		s.Events()

		// Both halves of the form are judged together.
		s.post(t, "kefu", "/tickets", nil, "who", "new", "kind", "company", "name", "", "contacts.0.phone", "13800", "title", "", "type", "consultation", "urgency", "normal", "channel", "phone", "description", "打不开").
			want(422, "请填写企业全称", "电话号码不正确", "请填写标题", "打不开")
		if got := s.Events(); got != "" {
			t.Errorf("a refused form recorded %q", got)
		}
		a := s.post(t, "kefu", "/tickets", nil, "who", "new", "kind", "company", "name", "深圳云帆电子商务有限公司", "contacts.0.name", "李敏", "contacts.0.phone", "13987654321",
			"title", "无法登录", "type", "after_sales", "urgency", "urgent", "channel", "phone")
		a.want(303)
		to := a.header.Get("Location")
		s.get(t, "kefu", to).want(200, "登记成功，请告诉客户", "查询码", "深圳云帆")
		if got := s.Events(); got != "customer.created ticket.registered" {
			t.Errorf("events %q", got)
		}

		// A second profile with the same number needs a reason; what was found is shown.
		same := []string{"who", "new", "kind", "person", "name", "李敏", "contacts.0.phone", "13987654321", "title", "发票", "type", "other", "urgency", "low", "channel", "chat"}
		s.post(t, "kefu", "/tickets", nil, same...).want(409, "电话相同", "深圳云帆", "重复登记的理由")
		s.post(t, "kefu", "/tickets/new/duplicates", htmx, same...).want(200, "电话相同", "就是他")
		s.post(t, "kefu", "/tickets", nil, append(same, "duplicate_reason", "本人以个人名义咨询")...).want(303)

		s.get(t, "kefu", "/tickets/new/customer?customer="+fmt.Sprint(s.Cust.ID), htmx...).want(200, s.Cust.Name, "138****5678")
		s.post(t, "kefu", "/tickets", nil, "who", "known", "title", "x", "type", "other", "urgency", "low", "channel", "chat").want(422, "请选择客户")
		s.post(t, "kefu", "/tickets", nil, "who", "known", "customer", fmt.Sprint(s.Cust.ID), "title", "续保", "type", "other", "urgency", "low", "channel", "chat").want(303)
		// Out of his scope is as if there were none.
		s.post(t, "xiaoshou", "/tickets", nil, "who", "known", "customer", fmt.Sprint(s.Cust.ID), "title", "续保", "type", "other", "urgency", "low", "channel", "chat").want(422, "请选择客户", "!"+s.Cust.Name)
		s.get(t, "xiaoshou", "/tickets/new/customer?customer="+fmt.Sprint(s.Cust.ID), htmx...).want(200, "!"+s.Cust.Name)

		done := s.To(ticket.Closed)
		s.get(t, "kefu", "/tickets/new?follows="+done.Number).want(200, "后续工单", s.Cust.Name)
	})
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress)
		upload := func(login, name, content string) answer {
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			w, _ := m.CreateFormFile("file", name)
			_, _ = w.Write([]byte(content))
			m.Close()
			return s.send(t, login, "POST", "/files", &b, "Content-Type", m.FormDataContentType(), "Accept", "application/json")
		}
		var f struct {
			ID   int64
			Name string
		}
		a := upload("kefu", "报错截图.png", "\x89PNG\r\n\x1a\n0000IHDR").want(201)
		if err := json.Unmarshal([]byte(a.body), &f); err != nil || f.Name != "报错截图.png" {
			t.Fatal(a.body, err)
		}
		at := fmt.Sprintf("/files/%d", f.ID)
		s.get(t, "kefu", at).want(200)
		s.get(t, "kefu2", at).want(404) // not sent yet: his alone
		s.post(t, "kefu2", "/tickets/"+x.Number+"/entries", htmx, "kind", "note", "body_note", "x", "file", fmt.Sprint(f.ID)).want(404)
		s.post(t, "kefu", "/tickets/"+x.Number+"/entries", htmx, "kind", "reply", "body_reply", "", "file", fmt.Sprint(f.ID)).want(422, "报错截图.png")
		s.post(t, "kefu", "/tickets/"+x.Number+"/entries", htmx, "kind", "reply", "body_reply", "见图", "file", fmt.Sprint(f.ID)).want(200, `<img src="`+at+`"`)
		s.get(t, "kefu2", at).want(200)
		s.get(t, "gong", at).want(404)
		upload("shenji", "x.txt", "x").want(403)
		s.send(t, "kefu", "POST", "/files", strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json").want(422)

		// Before the script was there, the form brings its files itself.
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		_ = m.WriteField("kind", "note")
		_ = m.WriteField("body_note", "日志如附件")
		w, _ := m.CreateFormFile("upload", "export.log")
		_, _ = w.Write([]byte("error 17"))
		m.Close()
		s.send(t, "kefu", "POST", "/tickets/"+x.Number+"/entries", &b, "Content-Type", m.FormDataContentType()).want(303)
		s.get(t, "kefu", "/tickets/"+x.Number).want(200, "export.log")
	})
}

func TestDesk(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.get(t, "kefu", "/desk").want(403)
		secret := s.foreign()
		s.get(t, "zhuguan", "/desk").want(200, "没有二次处理的工单", "团队负载", "林晓雯", "!赵立", "!"+secret.Title)
		x := s.Register()
		s.Clock.Advance(3 * 3600e9)
		s.Sweep()
		s.get(t, "zhuguan", "/desk", htmx...).want(200, "已升级给主管", x.Number, "升级 1 级", `id="desk"`, "!<html")
	})
}

func TestColleagues(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.get(t, "kefu", "/tickets/colleagues?q="+url.QueryEscape("何"), "Accept", "application/json").want(200, `"label":"何俊杰"`, "技术支持部")
		s.get(t, "shenji", "/tickets/colleagues?q=h", "Accept", "application/json").want(403)
	})
}

// Whoever may see a ticket hears of it, whoever may not hears nothing; the lead
// owner hears of his sub-tickets.
func TestLive(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		broker := web.NewBroker(s.Clock)
		tail := Live(s.Service, broker)
		var seq int64
		publish := func() {
			t.Helper()
			s.OK(s.Follower.Drain(s.Ctx))
			evs, err := event.After(s.Ctx, s.D.Read(), seq, 1000)
			s.OK(err)
			if n := len(evs); n > 0 {
				seq = evs[n-1].Seq
			}
			tail(s.Ctx, evs)
		}
		x := s.To(ticket.InProgress)
		publish()
		ears := map[string]*web.Subscription{}
		for _, l := range []string{"kefu", "zhuguan", "gong", "xiaoshou"} {
			ears[l] = broker.Subscribe(s.As(l))
			defer ears[l].Close()
		}
		heard := func(login string) string {
			var out []string
			for _, m := range ears[login].Take() {
				out = append(out, fmt.Sprintf("%s:%d", m.Topic, m.ID))
			}
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		x = s.Move("kefu", x, ticket.RequestHelp, ticket.Input{DepartmentID: s.Dept["技术支持部"], Body: "请查日志"})
		publish()
		kids, err := s.Children(s.Ctx, x.ID)
		if err != nil || len(kids) != 1 {
			t.Fatal(kids, err)
		}
		heard("kefu")
		heard("zhuguan")
		if got, want := heard("gong"), fmt.Sprintf("queue:0 ticket:%d", kids[0].ID); got != want && got != fmt.Sprintf("queue:0 ticket:%d ticket:%d", x.ID, kids[0].ID) {
			t.Errorf("gong heard %q, want %q", got, want)
		}
		s.Move("gong", mustGet(s, kids[0].ID), ticket.Acknowledge, ticket.Input{})
		publish()
		if got := heard("kefu"); !strings.Contains(got, fmt.Sprintf("ticket:%d", x.ID)) {
			t.Errorf("the lead owner heard %q of his sub-ticket", got)
		}
		if got := heard("xiaoshou"); got != "" {
			t.Errorf("somebody without the ticket heard %q", got)
		}
		// Who watches hears of it as long as he may see tickets.
		if _, err := s.Note(s.Ctx, s.As("kefu"), x.ID, "请销售留意", []int64{s.User["xiaoshou"]}, nil); err != nil {
			t.Fatal(err)
		}
		deaf := s.As("xiaoshou")
		deaf.Levels = map[authz.Permission]authz.Level{}
		ear := broker.Subscribe(deaf)
		defer ear.Close()
		publish()
		if got := heard("xiaoshou"); !strings.Contains(got, fmt.Sprintf("ticket:%d", x.ID)) {
			t.Errorf("a watcher heard %q", got)
		}
		if got := ear.Take(); len(got) != 0 {
			t.Errorf("a watcher who may no longer see tickets heard %v", got)
		}
	})
}

func mustGet(s *site, id int64) ticket.Ticket {
	x, err := s.Get(s.Ctx, ticket.View(authz.System("test")), id)
	s.OK(err)
	return x
}

// A form brings back the names of its writer's own uploads and nobody else's,
// also when a contact of a customer has the same id.
func TestUploadsOfOthersAreNotNamed(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.Register()
		his := authz.Actor{Kind: authz.Customer, ID: s.User["kefu"], CustomerID: s.Cust.ID, Name: "别人"}
		f, err := s.Files.Upload(s.Ctx, his, "客户的秘密.txt", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		own, err := s.Files.Upload(s.Ctx, s.As("kefu"), "自己的.txt", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		s.post(t, "kefu", "/tickets/"+x.Number+"/entries", nil, "kind", "reply", "body_reply", "", "file", fmt.Sprint(f.ID), "file", fmt.Sprint(own.ID)).want(422, "自己的.txt", "!客户的秘密.txt")
	})
}
