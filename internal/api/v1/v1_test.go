package v1

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/canned"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
	"bihuan/internal/web"
)

// world is a company whose API is called over HTTP.
type world struct {
	*tickettest.House
	t      testing.TB
	rt     *web.Router
	server *httptest.Server
	log    *strings.Builder
	tokens map[string]string // by login and scopes
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newWorld(t, d, c, api.Config{})) })
}

func newWorld(t testing.TB, d *db.DB, c *clock.Fake, cfg api.Config) *world {
	t.Helper()
	w := &world{House: tickettest.New(t, d, c), t: t, log: &strings.Builder{}, tokens: map[string]string{}}
	w.rt = web.New(web.Config{Clock: c, Log: slog.New(slog.NewTextHandler(&locked{w: w.log}, &slog.HandlerOptions{Level: slog.LevelError}))})
	texts := canned.New(w.Run, w.Org, w.Customers, w.Service, w.Files)
	w.AddBulk(texts.Many())
	Mount(w.rt, Rooms{Run: w.Run, Org: w.Org, Approvals: approval.NewService(w.Run, w.Org), Customers: w.Customers, Tickets: w.Service, Canned: texts}, cfg)
	w.server = httptest.NewServer(w.rt)
	t.Cleanup(w.server.Close)
	return w
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// token returns a token of the person; without scopes one that may do all.
func (w *world) token(login string, scopes ...string) string {
	w.t.Helper()
	key := login + " " + strings.Join(scopes, " ")
	if w.tokens[key] == "" {
		plain, err := w.Org.CreateToken(w.Ctx, authz.System("test"), login, "test", scopes, time.Time{})
		w.OK(err)
		w.tokens[key] = plain
	}
	return w.tokens[key]
}

type answer struct {
	Status int
	Header http.Header
	Raw    string
	m      map[string]any
}

// at returns the member at a dotted path, as text; "" when there is none.
func (a answer) at(path string) string {
	var v any = a.m
	for _, p := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	if l, ok := v.([]any); ok {
		return fmt.Sprint(len(l))
	}
	return fmt.Sprint(v)
}

// fields returns "field=code" of an error.
func (a answer) fields() string {
	var out []string
	fs, _ := a.m["fields"].([]any)
	for _, f := range fs {
		x := f.(map[string]any)
		out = append(out, fmt.Sprintf("%s=%s", x["field"], x["code"]))
	}
	return strings.Join(out, " ")
}

// call asks as the bearer of token; body is JSON text. header are pairs.
func (w *world) call(token, request, body string, header ...string) answer {
	w.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.server.URL+"/api/v1"+path, rd)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	a := answer{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &a.m)
	return a
}

// want calls and fails the test unless the status is as expected.
func (w *world) want(status int, token, request, body string, header ...string) answer {
	w.t.Helper()
	a := w.call(token, request, body, header...)
	if a.Status != status {
		w.t.Fatalf("%s: %d, want %d\n%s\n%s", request, a.Status, status, a.Raw, w.log.String())
	}
	if strings.Contains(a.Raw, "⟦") {
		w.t.Errorf("%s: a text is missing: %s", request, a.Raw)
	}
	if status >= 400 && (a.at("code") == "" || a.at("reference") == "" || a.at("message") == "" || a.Header.Get("Content-Type") != "application/problem+json") {
		w.t.Errorf("%s: incomplete problem: %s", request, a.Raw)
	}
	return a
}

const company = `{"type":"company","name":"深圳宏图精密仪器有限公司","source":"phone","contacts":[{"name":"王立","phone":"13900001111","email":"wang@hongtu.cn","primary":true}]}`

func TestCustomers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent := w.token("kefu")
		a := w.want(201, agent, "POST /customers", company)
		number := a.at("number")
		if a.Header.Get("Location") != "/api/v1/customers/"+number || a.Header.Get("ETag") != `"1"` {
			t.Errorf("headers %v", a.Header)
		}
		if strings.Contains(a.Raw, "13900001111") || a.at("contacts.0.phone") != "139****1111" {
			t.Errorf("not masked: %s", a.Raw)
		}
		if at := a.at("created_at"); !strings.HasSuffix(at, "+08:00") {
			t.Errorf("created_at %s has no offset of the company", at)
		}
		if strings.Contains(a.Raw, `"id":0`) || a.at("owner") != "" {
			t.Error(a.Raw)
		}
		got := w.want(200, agent, "GET /customers/"+number, "")
		if got.at("name") != "深圳宏图精密仪器有限公司" || got.at("department") != "客服部" || got.at("open_tickets") != "0" {
			t.Error(got.Raw)
		}
		list := w.want(200, agent, "GET /customers?type=company&sort=created&limit=1", "")
		if list.at("items") != "1" || list.at("items.0.number") != number || list.at("next") == "" {
			t.Error(list.Raw)
		}
		second := w.want(200, agent, "GET /customers?type=company&sort=created&limit=1&cursor="+list.at("next"), "")
		if second.at("items.0.number") != w.Cust.Number || second.at("next") != "" {
			t.Error(second.Raw)
		}
		if a := w.want(200, agent, "GET /customers?owner=none&level=vip&department=客服部", ""); a.at("items") != "1" {
			t.Error(a.Raw)
		}

		// Clear values: scope and permission, and every look is recorded.
		w.want(403, w.token("kefu", "customers:read"), "GET /customers/"+number+"?clear=true", "")
		clear := w.want(200, w.token("kefu", "customers:read,customers:reveal"), "GET /customers/"+number+"?clear=true", "")
		if clear.at("contacts.0.phone") != "13900001111" || clear.at("contacts.0.email") != "wang@hongtu.cn" {
			t.Error(clear.Raw)
		}
		if n := w.count(`SELECT COUNT(*) FROM events WHERE kind = 'customer.field_revealed'`); n != 2 {
			t.Errorf("%d looks recorded, want 2", n)
		}

		// Changes.
		if a := w.want(422, agent, "PATCH /customers/"+number, `{"region":"广东 深圳"}`); a.fields() != "version=api.need_version" {
			t.Error(a.Raw)
		}
		if a := w.want(200, agent, "PATCH /customers/"+number, `{"region":"广东 深圳","version":1}`); a.at("version") != "2" || a.Header.Get("ETag") != `"2"` || a.at("remark") != "" {
			t.Error(a.Raw)
		}
		if a := w.want(409, agent, "PATCH /customers/"+number, `{"region":"北京"}`, "If-Match", `"1"`); a.at("code") != "customer.stale" || a.fields() != "region=customer.stale.field" {
			t.Error(a.Raw)
		}
		if a := w.want(422, agent, "PATCH /customers/"+number, `{"level":"vip"}`, "If-Match", "*"); a.fields() != "reason=customer.reason.required" {
			t.Error(a.Raw)
		}
		id := got.at("contacts.0.id")
		a = w.want(200, agent, "PATCH /customers/"+number, `{"level":"vip","reason":"年度大单","contacts":[{"id":`+id+`,"position":"采购经理","email":""},{"name":"赵新","phone":"13900002222"}]}`, "If-Match", `"2"`)
		if a.at("level") != "vip" || a.at("contacts.0.position") != "采购经理" || a.at("contacts.0.email") != "" || a.at("contacts.0.phone") != "139****1111" || a.at("contacts") != "2" {
			t.Error(a.Raw)
		}
		if a := w.want(422, agent, "PATCH /customers/"+number, `{"version":3,"contacts":[{"id":999999,"name":"x"}]}`); a.fields() != "contacts.0.id=customer.contact.unknown" {
			t.Error(a.Raw)
		}

		// The same telephone number again: candidates, of others only the department.
		twin := `{"type":"company","name":"深圳宏图仪器","contacts":[{"name":"李","phone":"139-0000-1111"}]}`
		a = w.want(409, agent, "POST /customers", twin)
		if a.at("code") != "customer.duplicate" || a.at("candidates.0.number") != number || a.at("candidates.0.matched_by.0") != "phone" {
			t.Error(a.Raw)
		}
		a = w.want(409, w.token("xiaoshou"), "POST /customers", twin)
		if strings.Contains(a.Raw, number) || strings.Contains(a.Raw, "宏图") || a.at("candidates.0.department") != "客服部" {
			t.Errorf("a stranger learns %s", a.Raw)
		}
		w.want(201, agent, "POST /customers", strings.Replace(twin, `"contacts"`, `"duplicate_reason":"子公司共用总机","contacts"`, 1))

		// Validation is the rooms', all at once, at the member.
		a = w.want(422, agent, "POST /customers", `{"type":"company","name":"","uscc":"123","contacts":[{"name":"","phone":"12"}]}`, "Accept-Language", "en")
		if a.fields() != "name=customer.name.required.company uscc=customer.uscc.length contacts.0.name=customer.contact.name.required contacts.0.phone=customer.phone.invalid" {
			t.Error(a.fields())
		}
		if strings.ContainsAny(a.at("message"), "，。请") || !strings.ContainsAny(w.want(422, agent, "POST /customers", `{}`, "Accept-Language", "zh-CN").at("message"), "，。请") {
			t.Errorf("wrong language: %s", a.Raw)
		}
		w.want(422, agent, "POST /customers", strings.Replace(company, `"source"`, `"tags":["没有"],"source"`, 1))
		w.want(422, agent, "POST /customers", strings.Replace(company, `"source"`, `"department":"没有","source"`, 1))

		line := w.want(200, agent, "GET /customers/"+number+"/timeline", "")
		if line.at("items.0.event") != "customer.changed" || !strings.Contains(line.Raw, `"field":"level","old":"normal","new":"vip"`) {
			t.Error(line.Raw)
		}
	})
}

func (w *world) count(q string, args ...any) (n int) {
	w.t.Helper()
	w.OK(w.D.Read().QueryRow(w.Ctx, q, args...).Scan(&n))
	return n
}

func (w *world) newTicket(extra string) string {
	return `{"title":"设备无法开机","type":"after_sales","customer":"` + w.Cust.Number + `"` + extra + `}`
}

func TestIdempotency(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent := w.token("kefu")
		first := w.want(201, agent, "POST /tickets", w.newTicket(""), "Idempotency-Key", "k1")
		again := w.want(201, agent, "POST /tickets", w.newTicket(""), "Idempotency-Key", "k1")
		if first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("replayed: %q, %q", first.Header.Get("Idempotent-Replayed"), again.Header.Get("Idempotent-Replayed"))
		}
		if first.Raw != again.Raw || first.Header.Get("Location") != again.Header.Get("Location") {
			t.Errorf("another answer:\n%s\n%s", first.Raw, again.Raw)
		}
		if a := w.want(409, agent, "POST /tickets", w.newTicket(`,"urgency":"urgent"`), "Idempotency-Key", "k1"); a.at("code") != "api.key_used" {
			t.Error(a.Raw)
		}
		// The same words to another address are another request.
		w.want(409, agent, "POST /customers", company, "Idempotency-Key", "k1")
		// Somebody else's key is another key.
		if a := w.want(201, w.token("kefu2"), "POST /tickets", w.newTicket(""), "Idempotency-Key", "k1"); a.at("number") == first.at("number") {
			t.Error("one person got another's answer")
		}
		// What failed leaves nothing behind.
		w.want(422, agent, "POST /tickets", `{"title":""}`, "Idempotency-Key", "k2")
		w.want(201, agent, "POST /tickets", w.newTicket(""), "Idempotency-Key", "k2")

		number := first.at("number")
		note := func(body string) answer {
			return w.want(201, agent, "POST /tickets/"+number+"/notes", `{"body":"`+body+`"}`, "Idempotency-Key", "k3")
		}
		note("已电话联系")
		note("已电话联系")
		w.want(201, agent, "POST /tickets/"+number+"/follow-ups", `{"body":"已与客户约定周三上门检查主板","method":"phone"}`, "Idempotency-Key", "k4")
		w.want(201, agent, "POST /tickets/"+number+"/follow-ups", `{"body":"已与客户约定周三上门检查主板","method":"phone"}`, "Idempotency-Key", "k4")
		if n := w.count(`SELECT COUNT(*) FROM entries WHERE kind IN ('note', 'follow_up')`); n != 2 {
			t.Errorf("%d notes and records, want 2", n)
		}

		// Sixteen at once: one does it, fifteen get its answer.
		before, customers := w.count(`SELECT COUNT(*) FROM tickets`), w.count(`SELECT COUNT(*) FROM customers`)
		body := `{"title":"并发登记","type":"consultation","new_customer":` + company + `}`
		answers := make([]answer, 16)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i] = w.call(agent, "POST /tickets", body, "Idempotency-Key", "many")
			})
		}
		wg.Wait()
		fresh := 0
		for _, a := range answers {
			if a.Status != 201 || a.Raw != answers[0].Raw {
				t.Fatalf("%d %s", a.Status, a.Raw)
			}
			if a.Header.Get("Idempotent-Replayed") == "" {
				fresh++
			}
		}
		if n, c := w.count(`SELECT COUNT(*) FROM tickets`)-before, w.count(`SELECT COUNT(*) FROM customers`)-customers; n != 1 || c != 1 || fresh != 1 {
			t.Errorf("%d tickets, %d customers, %d fresh answers", n, c, fresh)
		}

		// Keys are forgotten after a week.
		w.Clock.Advance(7*24*time.Hour - time.Hour)
		if n, err := w.Run.SweepKeys(w.Ctx, 1000); n != 0 || err != nil {
			t.Errorf("swept %d early, %v", n, err)
		}
		w.Clock.Advance(2 * time.Hour)
		if n, err := w.Run.SweepKeys(w.Ctx, 1000); n == 0 || err != nil || w.count(`SELECT COUNT(*) FROM idempotency_keys`) != 0 {
			t.Errorf("swept %d, %v", n, err)
		}
	})
}

// The whole life of a ticket through the API: every move there is.
func TestLoop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		made := map[string]bool{}
		var number string
		move := func(status int, login, verb, body, state string) answer {
			t.Helper()
			a := w.want(status, w.token(login), "POST /tickets/"+number+"/"+verb, body)
			if status == 200 {
				made[verb] = true
				if a.at("state") != state {
					t.Fatalf("%s: state %s, want %s", verb, a.at("state"), state)
				}
			}
			return a
		}
		// A request for a new customer, urgent, in the queue of the agents.
		a := w.want(201, w.token("kefu"), "POST /tickets", `{"title":"主机频繁死机","type":"complaint","urgency":"urgent","channel":"phone","department":"技术支持部","new_customer":`+company+`}`)
		number = a.at("number")
		if a.at("customer.name") != "深圳宏图精密仪器有限公司" || a.at("customer.number") == "" || a.at("priority") != "high" || a.at("department") != "技术支持部" || a.at("due_at") == "" {
			t.Fatal(a.Raw)
		}
		if a.at("assignee.login") != "gong" {
			t.Fatalf("routed to %s", a.at("assignee.login"))
		}
		d := w.want(200, w.token("gong"), "GET /tickets/"+number, "")
		if !strings.Contains(d.Raw, `"acknowledge"`) || d.at("clocks") == "" || d.at("contact.phone") != "139****1111" || !strings.HasPrefix(d.at("customer_page"), "/c/") {
			t.Error(d.Raw)
		}
		if a := move(422, "gong", "decline", `{}`, ""); a.fields() != "reason=ticket.need_reason" {
			t.Error(a.Raw)
		}
		move(200, "gong", "decline", `{"reason":"不是硬件问题"}`, "pending")
		move(200, "jizhu", "assign", `{"assignee":"gong"}`, "pending")
		move(200, "gong", "acknowledge", "", "in_progress")
		if a := move(409, "gong", "acknowledge", "", ""); a.at("code") != "ticket.refused" {
			t.Error(a.Raw)
		}
		move(200, "gong", "ask", `{"body":"请提供设备编号"}`, "waiting_customer")
		move(200, "gong", "answer", `{"body":"编号 A-1024"}`, "in_progress")
		move(200, "gong", "ask", `{"body":"请补充照片"}`, "waiting_customer")
		move(200, "gong", "resume", `{"reason":"客户电话里说明了"}`, "in_progress")
		move(200, "jizhu", "reassign", `{"reason":"分担","department":"客服部","assignee":"kefu2"}`, "pending")
		move(200, "zhuguan", "assign", `{"assignee":"kefu"}`, "pending")
		move(403, "kefu2", "acknowledge", "", "")
		move(404, "gong", "acknowledge", "", "") // it has left his department
		move(200, "kefu", "acknowledge", "", "in_progress")

		// Help of another department, as a sub-ticket that is confirmed by the lead.
		move(200, "kefu", "request_help", `{"department":"技术支持部","body":"请更换主板"}`, "in_progress")
		if a := move(409, "kefu", "request_confirmation", `{"solution":"已更换","cause":"老化","corrective":"巡检"}`, ""); a.at("code") != "ticket.open_subtickets" {
			t.Error(a.Raw)
		}
		d = w.want(200, w.token("kefu"), "GET /tickets/"+number, "")
		main, child := number, d.at("children.0.number")
		if child == "" || d.at("children.0.parent") != main {
			t.Fatal(d.Raw)
		}
		number = child
		move(200, "gong", "acknowledge", "", "in_progress")
		move(200, "gong", "request_confirmation", `{"solution":"主板已更换","cause":"老化","corrective":"巡检"}`, "awaiting_confirmation")
		move(200, "kefu", "confirm", "", "completed")
		number = main

		w.want(201, w.token("kefu"), "POST /tickets/"+number+"/replies", `{"body":"主板已更换，正在测试。"}`)
		w.want(403, w.token("kefu2"), "POST /tickets/"+number+"/replies", `{"body":"x"}`)
		w.want(201, w.token("kefu"), "POST /tickets/"+number+"/notes", `{"body":"请留意","mentions":["kefu2"]}`)
		w.want(422, w.token("kefu"), "POST /tickets/"+number+"/notes", `{"body":"请留意","mentions":["nobody"]}`)
		w.want(201, w.token("kefu"), "POST /tickets/"+number+"/follow-ups", `{"body":"与客户通话，约定周三 10 点回访","method":"phone","contact":"王立","next_plan":"回访","next_owner":"kefu2","next_at":"2026-12-01T10:00:00+08:00"}`)
		if a := w.want(422, w.token("kefu"), "POST /tickets/"+number+"/follow-ups", `{"body":"","method":"smoke"}`); a.fields() != "body=journal.follow_up.empty method=journal.follow_up.method" {
			t.Error(a.Raw)
		}
		fs := w.want(200, w.token("kefu"), "GET /tickets/"+number+"/follow-ups", "")
		if fs.at("items") != "1" || fs.at("items.0.follow_up.next_owner") != "周敏" || fs.at("items.0.follow_up.next_at") != "2026-12-01T10:00:00+08:00" {
			t.Error(fs.Raw)
		}

		done := `{"solution":"更换主板并测试 24 小时","cause":"电容老化","corrective":"加入巡检清单"}`
		if a := move(422, "kefu", "request_confirmation", `{}`, ""); a.fields() != "solution=ticket.need_solution cause=ticket.need_cause corrective=ticket.need_corrective" {
			t.Error(a.Raw)
		}
		move(200, "kefu", "request_confirmation", done, "awaiting_confirmation")
		if a := move(403, "kefu", "lapse", "", ""); a.at("code") != "ticket.only_system" {
			t.Error(a.Raw)
		}
		move(200, "kefu", "withdraw", `{"reason":"还要再测一次"}`, "in_progress")
		move(200, "kefu", "request_confirmation", done, "awaiting_confirmation")
		move(409, "kefu", "confirm", `{"rating":{"stars":2,"solved":true}}`, "")
		a = move(200, "kefu", "dispute", `{"rating":{"stars":2,"solved":false,"comment":"又坏了"}}`, "pending")
		if a.at("round") != "2" || a.at("supervisor.login") != "zhuguan" || a.at("rating") != "2" {
			t.Error(a.Raw)
		}
		move(200, "kefu2", "take", "", "in_progress")
		move(200, "kefu2", "request_confirmation", done, "awaiting_confirmation")
		move(200, "kefu2", "confirm", `{"rating":{"stars":5,"speed":5,"solved":true}}`, "completed")
		move(403, "kefu2", "reopen", `{"reason":"x"}`, "")
		move(200, "zhuguan", "reopen", `{"reason":"客户来电"}`, "pending")
		move(200, "kefu2", "take", "", "in_progress")
		move(200, "kefu2", "request_confirmation", done, "awaiting_confirmation")
		move(200, "kefu2", "confirm", "", "completed")
		a = move(200, "kefu2", "close", "", "closed")
		if a.at("closed_at") == "" || a.at("round") != "3" {
			t.Error(a.Raw)
		}
		d = w.want(200, w.token("kefu2"), "GET /tickets/"+number, "")
		if d.at("ratings") != "2" || d.at("moves") != "0" || d.at("outcome") != "phone" {
			t.Error(d.Raw)
		}

		// A ticket that continues it is a duplicate and cancelled as one.
		number = w.want(201, w.token("kefu"), "POST /tickets", w.newTicket(`,"follows":"`+main+`","assignee":"kefu"`)).at("number")
		if a := move(422, "zhuguan", "cancel", `{"code":"duplicate","duplicate":"TASK0"}`, ""); a.fields() != "duplicate=ticket.duplicate_unknown" {
			t.Error(a.Raw)
		}
		a = move(200, "zhuguan", "cancel", `{"code":"duplicate","duplicate":"`+main+`"}`, "cancelled")
		if a.at("duplicate_of") != main || a.at("follows") != main {
			t.Error(a.Raw)
		}
		if d = w.want(200, w.token("kefu"), "GET /tickets/"+number, ""); !strings.Contains(d.Raw, `"kind":"duplicate"`) {
			t.Error(d.Raw)
		}

		// Two of one matter become one, and two again; the agreed date moves; all agree first.
		stays := w.want(201, w.token("kefu"), "POST /tickets", w.newTicket(`,"assignee":"kefu"`)).at("number")
		number = w.want(201, w.token("kefu"), "POST /tickets", w.newTicket(`,"assignee":"kefu"`)).at("number")
		if a := move(422, "kefu", "merge", `{}`, ""); a.fields() != "duplicate=ticket.merge.need_other" {
			t.Error(a.Raw)
		}
		if a := move(200, "kefu", "merge", `{"duplicate":"`+stays+`","reason":"同一台设备"}`, "cancelled"); a.at("merged_into") != stays {
			t.Error(a.Raw)
		}
		move(200, "kefu", "unmerge", `{}`, "pending")
		move(200, "kefu", "acknowledge", "", "in_progress")
		at := "/tickets/" + number
		w.want(201, w.token("kefu"), "POST "+at+"/links", `{"kind":"caused_by","other":"`+stays+`"}`)
		w.want(409, w.token("kefu"), "POST "+at+"/links", `{"kind":"caused_by","other":"`+stays+`"}`)
		w.want(200, w.token("kefu"), "DELETE "+at+"/links/caused_by/"+stays, "")
		if a := w.want(422, w.token("kefu"), "POST "+at+"/deferrals", `{"due_at":"2020-01-01T00:00:00+08:00","reason":""}`); a.fields() != "due=ticket.deferral.pick_later reason=ticket.deferral.need_reason" {
			t.Error(a.Raw)
		}
		later := w.Clock.Now().Add(100 * time.Hour).Format(time.RFC3339)
		w.want(201, w.token("kefu"), "POST "+at+"/deferrals", `{"due_at":"`+later+`","reason":"等待备件"}`)
		if a := w.want(200, w.token("kefu"), "GET "+at+"/deferrals", ""); a.at("items.0.state") != "pending" {
			t.Error(a.Raw)
		}
		w.want(200, w.token("kefu"), "DELETE "+at+"/deferrals/pending", "")
		w.want(409, w.token("kefu"), "DELETE "+at+"/deferrals/pending", "")
		w.want(200, w.token("kefu"), "GET "+at+"/delay", "")
		w.want(201, w.token("kefu"), "POST "+at+"/conferences", `{"subject":"批次问题","starts_at":"`+later+`","people":["gong"],"needed":true}`)
		a = w.want(200, w.token("gong"), "GET "+at+"/conferences", "")
		if a.at("needed") != "true" || a.at("items.0.people") != "2" {
			t.Error(a.Raw)
		}
		if a := move(409, "kefu", "request_confirmation", done, ""); a.at("code") != "ticket.conference.first" {
			t.Error(a.Raw)
		}
		meeting := at + "/conferences/" + a.at("items.0.id")
		w.want(200, w.token("kefu"), "PUT "+meeting, `{"subject":"批次问题","starts_at":"`+later+`","people":["gong"],"version":1}`)
		w.want(200, w.token("gong"), "POST "+meeting+"/minutes", `{"answer":"本周五前更换"}`)
		w.want(201, w.token("kefu"), "POST "+at+"/conferences", `{"subject":"再议","starts_at":"`+later+`","people":["gong"]}`)
		a = w.want(200, w.token("gong"), "GET "+at+"/conferences", "")
		w.want(200, w.token("kefu"), "POST "+at+"/conferences/"+a.at("items.0.id")+"/cancellation", `{"reason":"不需要了"}`)
		w.want(201, w.token("kefu"), "POST "+at+"/notes", `{"body":"客户还问了发票"}`)
		a = w.want(200, w.token("kefu"), "GET "+at+"/timeline?limit=1", "")
		entry := a.at("items.0.id")
		w.want(201, w.token("kefu"), "POST /entries/"+entry+"/split", `{"title":"发票抬头"}`)
		w.want(409, w.token("kefu"), "POST /entries/"+entry+"/split", `{"title":"发票抬头"}`)
		for _, v := range ticket.Verbs {
			if !made[string(v)] && v != ticket.Lapse {
				t.Errorf("move %s was never made", v)
			}
		}
		w.want(404, w.token("kefu"), "POST /tickets/"+number+"/smash", `{}`)

		// The timeline tells it, page by page, in the language asked for.
		var seen []string
		next := ""
		for range 30 {
			a := w.want(200, w.token("kefu"), "GET /tickets/"+main+"/timeline?limit=7&cursor="+next, "", "Accept-Language", "en")
			for _, i := range a.m["items"].([]any) {
				m := i.(map[string]any)
				if s, _ := m["sentence"].(string); strings.Contains(s, "分派") {
					t.Errorf("Chinese for an English reader: %s", s)
				}
				seen = append(seen, fmt.Sprint(m["id"]))
			}
			if next = a.at("next"); next == "" {
				break
			}
		}
		if n := w.count(`SELECT COUNT(*) FROM entries e JOIN tickets t ON t.id = e.ticket_id WHERE t.number = $1`, main); len(seen) != n || len(slices.Compact(seen)) != n {
			t.Errorf("%d entries in pages, %d stored", len(seen), n)
		}
	})
}

func TestTickets(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent := w.token("kefu")
		var numbers []string
		for i := range 5 {
			a := w.want(201, agent, "POST /tickets", w.newTicket(fmt.Sprintf(`,"assignee":"kefu","description":"第 %d 台"`, i)))
			numbers = append(numbers, a.at("number"))
			w.Clock.Advance(time.Minute)
		}
		w.OK(w.Follower.Drain(w.Ctx))
		var got []string
		next := ""
		for range 10 {
			a := w.want(200, agent, "GET /tickets?mine=true&sort=activity&limit=2&state=pending,in_progress&open=true&cursor="+next, "")
			for i := range a.m["items"].([]any) {
				got = append(got, a.at(fmt.Sprintf("items.%d.number", i)))
			}
			if next = a.at("next"); next == "" {
				break
			}
		}
		slices.Reverse(got)
		if !slices.Equal(got, numbers) {
			t.Errorf("pages gave %v, want %v", got, numbers)
		}
		for q, want := range map[string]string{
			"view=mine": "5", "view=desk": "0", "type=complaint": "0", "type=after_sales&class=": "5", "customer=" + w.Cust.Number: "5", "customer=C0": "0", "assignee=kefu&priority=high": "5",
			"assignee=kefu2": "0", "department=客服部&channel=api&level=vip&urgency=normal": "5", "text=无法开机": "5", "text=飞机": "0", "created=true": "5", "watched=true": "0", "unassigned=true": "0",
			"second=true": "0", "overdue=true": "0", "due_within=240": "5", "due_within=1": "0", "from=2026-11-19T00:00:00%2B08:00": "5", "to=2026-11-19T00:00:00%2B08:00": "0", "open=false": "0",
		} {
			a := w.want(200, agent, "GET /tickets?"+q, "")
			if a.at("items") != want {
				t.Errorf("%s: %s items, want %s", q, a.at("items"), want)
			}
		}
		for q, want := range map[string]string{
			"typ=complaint": "typ=api.unknown_parameter", "mine=perhaps": "mine=api.bad_parameter", "type=foo": "type=api.bad_parameter", "limit=1000": "limit=api.bad_parameter",
			"assignee=nobody": "assignee=api.unknown_person", "department=无": "department=api.unknown_department", "from=yesterday": "from=api.bad_parameter",
		} {
			if a := w.want(422, agent, "GET /tickets?"+q, ""); a.fields() != want {
				t.Errorf("%s: %s", q, a.fields())
			}
		}
		if a := w.want(422, agent, "GET /tickets?cursor=x", ""); a.at("code") != "ticket.cursor" {
			t.Error(a.Raw)
		}

		// Changes of what describes it.
		n := numbers[0]
		if a := w.want(422, agent, "PATCH /tickets/"+n, `{"title":"x"}`); a.fields() != "version=api.need_version" {
			t.Error(a.Raw)
		}
		v := w.want(200, agent, "GET /tickets/"+n, "").Header.Get("ETag")
		a := w.want(200, agent, "PATCH /tickets/"+n, `{"title":"设备间歇性断电","urgency":"urgent"}`, "If-Match", v)
		if a.at("title") != "设备间歇性断电" || a.at("priority") != "urgent" || a.at("type") != "after_sales" {
			t.Error(a.Raw)
		}
		if a := w.want(409, agent, "PATCH /tickets/"+n, `{"title":"旧"}`, "If-Match", v); a.at("code") != "ticket.changed_meanwhile" {
			t.Error(a.Raw)
		}
		if a := w.want(409, agent, "POST /tickets/"+n+"/acknowledge", `{"version":1}`); a.at("code") != "ticket.changed_meanwhile" {
			t.Error(a.Raw)
		}
		if a := w.want(422, agent, "PATCH /tickets/"+n, `{"priority":"low"}`, "If-Match", "*"); a.fields() != "priority_reason=ticket.need_priority_reason" {
			t.Error(a.Raw)
		}

		// Registering: everything wrong is said at once, at its member.
		for body, want := range map[string]string{
			`{"title":"","type":"x","customer":"` + w.Cust.Number + `"}`:                              "title=ticket.need_title type=ticket.need_choice",
			`{"title":"a","type":"other"}`:                                                            "customer=ticket.need_customer",
			`{"title":"a","type":"other","customer":"C404"}`:                                          "customer=api.unknown_customer",
			`{"title":"a","type":"other","customer":"x","new_customer":{"type":"person","name":"x"}}`: "customer=api.one_customer",
			`{"title":"","type":"other","new_customer":{"type":"person","name":""}}`:                  "title=ticket.need_title new_customer.name=customer.name.required.person new_customer.contacts.0.phone=customer.phone.required",
			w.newTicket(`,"assignee":"nobody"`):                                                       "assignee=api.unknown_person",
			w.newTicket(`,"follows":"TASK404"`):                                                       "follows=api.unknown_ticket",
		} {
			if a := w.want(422, agent, "POST /tickets", body); a.fields() != want {
				t.Errorf("%s: %s", body, a.fields())
			}
		}
		// A duplicate within a ticket has its candidates too, and leaves nothing.
		before := w.count(`SELECT COUNT(*) FROM tickets`)
		a = w.want(409, agent, "POST /tickets", `{"title":"a","type":"other","new_customer":{"type":"person","name":"黎嘉敏","contacts":[{"phone":"13812345678"}]}}`)
		if a.at("candidates.0.number") != w.Cust.Number || w.count(`SELECT COUNT(*) FROM tickets`) != before {
			t.Error(a.Raw)
		}

		// Search, as wide as the reader.
		a = w.want(200, agent, "GET /search?q=南粤", "")
		if a.at("customers.0.number") != w.Cust.Number || a.at("customers.0.matched_by") != "name" {
			t.Error(a.Raw)
		}
		if a := w.want(200, agent, "GET /search?q="+n, ""); a.at("tickets.0.number") != n {
			t.Error(a.Raw)
		}
		if a := w.want(200, agent, "GET /search?q=5678", ""); a.at("customers.0.matched_by") != "last_four" {
			t.Error(a.Raw)
		}
		w.want(422, agent, "GET /search", "")
		w.want(422, agent, "GET /search?q=%20", "")
	})
}

// What lies beyond a person's scope shows in no list, search, timeline or error.
func TestOutOfScope(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const marker = "机密标记"
		admin := w.token("guanli")
		c := w.want(201, admin, "POST /customers", `{"type":"company","name":"`+marker+`有限公司","department":"物流部","contacts":[{"name":"`+marker+`","phone":"13777778888"}]}`).at("number")
		n := w.want(201, admin, "POST /tickets", `{"title":"`+marker+`","type":"other","customer":"`+c+`","department":"物流部","description":"`+marker+`"}`).at("number")
		mine := w.want(201, w.token("kefu"), "POST /tickets", w.newTicket(`,"assignee":"kefu"`)).at("number")
		w.OK(w.Follower.Drain(w.Ctx))
		for _, login := range []string{"kefu", "gong", "xiaoshou"} {
			tok := w.token(login)
			for _, request := range []string{
				"GET /customers", "GET /customers?department=物流部", "GET /customers?sort=created&limit=200", "GET /tickets", "GET /tickets?view=all", "GET /tickets?customer=" + c,
				"GET /tickets?department=物流部", "GET /tickets?text=" + marker, "GET /search?q=" + marker, "GET /search?q=13777778888", "GET /search?q=8888", "GET /search?q=" + n, "GET /search?q=" + c,
			} {
				if a := w.want(200, tok, request, ""); strings.Contains(a.Raw, marker) || strings.Contains(a.Raw, n) || strings.Contains(a.Raw, c) {
					t.Errorf("%s, %s: %s", login, request, a.Raw)
				}
			}
			var bodies []string
			for _, request := range []string{"GET /customers/%s", "GET /customers/%s/timeline"} {
				there := w.want(404, tok, fmt.Sprintf(request, c), "")
				nowhere := w.want(404, tok, fmt.Sprintf(request, "C0000"), "")
				if there.at("message") != nowhere.at("message") || there.at("code") != nowhere.at("code") {
					t.Errorf("%s tells what exists: %s", request, there.Raw)
				}
				bodies = append(bodies, there.Raw)
			}
			for _, request := range []string{"GET /tickets/%s", "GET /tickets/%s/timeline", "GET /tickets/%s/follow-ups", "POST /tickets/%s/acknowledge", "POST /tickets/%s/notes", "POST /tickets/%s/follow-ups"} {
				body := ""
				if strings.HasPrefix(request, "POST") {
					body = `{"body":"x"}`
				}
				there := w.want(404, tok, fmt.Sprintf(request, n), body)
				nowhere := w.want(404, tok, fmt.Sprintf(request, "TASK0000"), body)
				if there.at("message") != nowhere.at("message") || there.at("code") != nowhere.at("code") {
					t.Errorf("%s tells what exists: %s", request, there.Raw)
				}
				bodies = append(bodies, there.Raw)
			}
			bodies = append(bodies, w.want(422, tok, "POST /tickets", `{"title":"a","type":"other","customer":"`+c+`"}`).Raw,
				w.want(409, tok, "POST /customers", `{"type":"person","name":"某人","contacts":[{"phone":"13777778888"}]}`).Raw)
			if all := strings.Join(bodies, "\n"); strings.Contains(all, marker) {
				t.Errorf("%s learns %s", login, all)
			}
		}
		if a := w.want(422, w.token("zhuguan"), "POST /tickets/"+mine+"/cancel", `{"code":"duplicate","duplicate":"`+n+`"}`); strings.Contains(a.Raw, marker) || a.fields() != "duplicate=ticket.duplicate_unknown" {
			t.Error(a.Raw)
		}
		// Who may see all sees it, but changes nothing.
		if a := w.want(200, w.token("shenji"), "GET /search?q="+marker, ""); a.at("tickets") != "1" || a.at("customers") != "1" {
			t.Error(a.Raw)
		}
		w.want(403, w.token("shenji"), "POST /tickets/"+n+"/acknowledge", "")
		w.want(403, w.token("shenji"), "POST /customers", company)
	})
}

func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := w.want(201, w.token("kefu"), "POST /tickets", w.newTicket(`,"assignee":"kefu"`)).at("number")
		requests := []struct{ request, body, scope string }{
			{"GET /customers", "", "customers:read"},
			{"GET /customers/" + w.Cust.Number, "", "customers:read"},
			{"GET /customers/" + w.Cust.Number + "/timeline", "", "customers:read"},
			{"POST /customers", company, "customers:write"},
			{"PATCH /customers/" + w.Cust.Number, `{"region":"广东","version":1}`, "customers:write"},
			{"GET /tickets", "", "tickets:read"},
			{"GET /tickets/" + n, "", "tickets:read"},
			{"GET /tickets/" + n + "/timeline", "", "tickets:read"},
			{"GET /tickets/" + n + "/follow-ups", "", "tickets:read"},
			{"POST /tickets", w.newTicket(""), "tickets:write"},
			{"PATCH /tickets/" + n, `{"title":"新标题"}`, "tickets:write"},
			{"POST /tickets/" + n + "/acknowledge", "", "tickets:write"},
			{"POST /tickets/" + n + "/replies", `{"body":"您好"}`, "tickets:write"},
			{"POST /tickets/" + n + "/notes", `{"body":"备注"}`, "tickets:write"},
			{"POST /tickets/" + n + "/follow-ups", `{"body":"已与客户约定周三上门检查","method":"phone"}`, "follow_ups:write"},
			{"GET /search?q=南粤", "", "search"},
		}
		// Each scope opens its operations, and no other.
		for _, scope := range []string{"customers:read", "customers:write", "customers:reveal", "tickets:read", "tickets:write", "follow_ups:write", "search", "audit:read"} {
			tok := w.token("kefu", scope)
			for _, r := range requests {
				a := w.call(tok, r.request, r.body, "If-Match", "*")
				if scope == r.scope && a.Status >= 300 || scope != r.scope && (a.Status != 403 || a.at("code") != "ui.error.forbidden" && a.at("code") != "api.scope") {
					t.Errorf("%s with %s: %d %s", r.request, scope, a.Status, a.Raw)
				}
			}
		}
		if a := w.want(200, w.token("kefu", "tickets:read"), "GET /tickets/"+n, ""); a.at("customer_page") != "" {
			t.Error("a token that may only read got the customer's key")
		}
		// Nothing but a token is accepted, and the answer says how.
		for _, header := range [][]string{nil, {"Authorization", "Bearer bht_wrong"}, {"Authorization", "Bearer "}, {"Authorization", "Basic a2VmdTpx"}, {"Cookie", "session=" + w.session("kefu")}} {
			a := w.want(401, "", "GET /tickets", "", header...)
			if a.Header.Get("WWW-Authenticate") != "Bearer" || a.Header.Get("Set-Cookie") != "" {
				t.Errorf("%v: %v", header, a.Header)
			}
		}
		// A revoked token is useless from the next request on, whatever is remembered.
		tok := w.token("kefu", "tickets:read", "search")
		w.want(200, tok, "GET /tickets", "")
		ts, err := w.Org.Tokens(w.Ctx, authz.System("test"), w.User["kefu"])
		w.OK(err)
		for _, x := range ts {
			w.OK(w.Org.RevokeToken(w.Ctx, authz.System("test"), x.ID))
		}
		w.want(401, tok, "GET /tickets", "")
		// So is that of a person who has left, and a right that was taken away.
		other := w.token("kefu2")
		w.want(200, other, "GET /tickets", "")
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET active = 0 WHERE login = 'kefu2'`)
			if err == nil {
				_, err = tx.Exec(ctx, `INSERT INTO counters (name, n) VALUES ('org.generation', 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + 1`)
			}
			return err
		}))
		w.Clock.Advance(6 * time.Second)
		w.want(401, other, "GET /tickets", "")
		// A password that has to be changed does not stop a token.
		w.OK(w.D.Write(w.Ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET must_change = 1 WHERE login = 'zhuguan'`)
			return err
		}))
		w.want(200, w.token("zhuguan"), "GET /tickets", "")
		// The audit trail names the token.
		if n := w.count(`SELECT COUNT(*) FROM events WHERE kind = 'ticket.registered' AND session LIKE 'token:%'`); n == 0 {
			t.Error("no event names its token")
		}
	})
}

func (w *world) session(login string) string {
	w.t.Helper()
	tok, err := web.NewSessions(w.D, w.Org, web.SessionConfig{Clock: w.Clock}).Create(w.Ctx, w.D.Read(), w.User[login], "127.0.0.1", "test")
	if err != nil {
		return "none" // sessions are written in a transaction only
	}
	return tok
}

func TestBadRequests(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent := w.token("kefu")
		for _, c := range []struct {
			name, body, contentType string
			status                  int
			code, fields            string
		}{
			{"not JSON", `{"title":`, "application/json", 400, "api.malformed", ""},
			{"no body", ``, "application/json", 400, "api.malformed", ""},
			{"null", `null`, "application/json", 400, "api.malformed", ""},
			{"two bodies", `{} {}`, "application/json", 400, "api.malformed", ""},
			{"not UTF-8", "{\"title\":\"\xff\xfe\",\"typ\":1}", "application/json", 422, "api.invalid", "typ=api.unknown_member"},
			{"a list", `[1]`, "application/json", 422, "api.wrong_type.object", ""},
			{"unknown member", `{"titel":"x"}`, "application/json", 422, "api.invalid", "titel=api.unknown_member"},
			{"unknown nested member", `{"new_customer":{"fone":"1"}}`, "application/json", 422, "api.invalid", "fone=api.unknown_member"},
			{"wrong type", `{"title":5}`, "application/json", 422, "api.invalid", "title=api.wrong_type.string"},
			{"wrong nested type", `{"new_customer":{"contacts":"x"}}`, "application/json", 422, "api.invalid", "new_customer.contacts=api.wrong_type.array"},
			{"bad time", `{"new_customer":{"first_contact_at":"gestern"}}`, "application/json", 422, "api.bad_time", ""},
			{"a form", `title=x`, "application/x-www-form-urlencoded", 415, "api.content_type", ""},
			{"XML", `<x/>`, "application/xml", 415, "api.content_type", ""},
			{"GBK", `{}`, "application/json; charset=gbk", 415, "api.content_type", ""},
			{"huge", `{"title":"` + strings.Repeat("x", 2<<20) + `"}`, "application/json", 413, "ui.error.too_large", ""},
			{"long title", `{"title":"` + strings.Repeat("长", 201) + `","type":"other","customer":"` + w.Cust.Number + `"}`, "application/json", 422, "ticket.invalid", "title=ticket.too_long"},
			{"NUL", `{"title":"a\u0000b","type":"other","customer":"` + w.Cust.Number + `"}`, "application/json", 422, "api.unreadable", ""},
			{"a written NUL", `{"title":"a\\u0000b","type":"other","customer":"` + w.Cust.Number + `"}`, "application/json", 201, "", ""},
		} {
			a := w.call(agent, "POST /tickets", c.body, "Content-Type", c.contentType)
			if a.Status != c.status || a.at("code") != c.code || a.fields() != c.fields || strings.Contains(a.Raw, "⟦") {
				t.Errorf("%s: %d %s [%s] %.300s", c.name, a.Status, a.at("code"), a.fields(), a.Raw)
			}
		}
		// A body of unknown length is cut off too.
		r, _ := http.NewRequest("POST", w.server.URL+"/api/v1/tickets", io.MultiReader(strings.NewReader(`{"title":"`), strings.NewReader(strings.Repeat("y", 2<<20))))
		r.Header.Set("Authorization", "Bearer "+agent)
		r.Header.Set("Content-Type", "application/json")
		res, err := w.server.Client().Do(r)
		w.OK(err)
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("streamed body: %d", res.StatusCode)
		}
		for _, request := range []string{"GET /search?q=%00", "GET /search?q=%ff%fe", "GET /tickets?text=a%00b", "GET /tickets/%00", "GET /customers/%ff"} {
			if a := w.want(422, agent, request, ""); a.at("code") != "api.unreadable" {
				t.Error(a.Raw)
			}
		}
		w.want(422, agent, "POST /tickets", w.newTicket(""), "Idempotency-Key", "\xff\xfe")
		w.want(404, agent, "GET /nothing", "")
		if a := w.want(405, agent, "DELETE /tickets", ""); a.at("title") == "" {
			t.Error(a.Raw)
		}
		w.want(422, agent, "POST /tickets", w.newTicket(""), "Idempotency-Key", strings.Repeat("k", 201))
		w.want(404, agent, "GET /tickets/..%2f..%2fetc", "")
		if log := w.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("our mistakes: %s", log)
		}
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	w := newWorld(t, d, c, api.Config{Burst: 3, Every: 1500 * time.Millisecond})
	tok, other := w.token("kefu"), w.token("gong")
	for range 3 {
		w.want(200, tok, "GET /tickets", "")
	}
	a := w.want(429, tok, "GET /tickets", "")
	if a.Header.Get("Retry-After") != "2" || a.at("code") != "api.limited" {
		t.Errorf("%v %s", a.Header, a.Raw)
	}
	w.want(200, other, "GET /tickets", "")
	c.Advance(2 * time.Second)
	w.want(200, tok, "GET /tickets", "")
}

// The routes are in the router's list, each with its permission, and the
// document is served to anybody.
func TestRoutes(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	w := newWorld(t, d, c, api.Config{})
	var got []string
	for _, r := range w.rt.Routes() {
		got = append(got, strings.Join(strings.Fields(r.String()), " "))
	}
	for _, want := range []string{
		"GET /api/openapi.json @public", "GET /api/v1/customers customer.view", "POST /api/v1/customers customer.create", "PATCH /api/v1/customers/{number} customer.edit",
		"GET /api/v1/tickets ticket.view", "POST /api/v1/tickets ticket.create", "POST /api/v1/tickets/{number}/{move} ticket.view", "POST /api/v1/tickets/{number}/notes ticket.note",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no route %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	res, err := http.Get(w.server.URL + "/api/openapi.json")
	w.OK(err)
	defer res.Body.Close()
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	w.OK(json.NewDecoder(res.Body).Decode(&doc))
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 11 || res.Header.Get("ETag") == "" {
		t.Errorf("%s, %d paths", doc.OpenAPI, len(doc.Paths))
	}
}

func benchWorld(b *testing.B) (*world, string) {
	d, c := dbtest.New(b)
	w := newWorld(b, d, c, api.Config{Every: -1})
	for range 30 {
		_, err := w.Service.Register(w.Ctx, w.As("kefu"), ticket.RegisterInput{Title: "设备校准证书与实物编号不一致", Type: "consultation", Urgency: "normal", Channel: "email", CustomerID: w.Cust.ID})
		if err != nil && !fault.Is(err, fault.Invalid) {
			b.Fatal(err)
		}
	}
	return w, w.token("kefu")
}

func (w *world) serve(b *testing.B, token, method, path, body string) {
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.rt.ServeHTTP(rec, r)
	if rec.Code >= 300 {
		b.Fatal(rec.Code, rec.Body)
	}
}

func BenchmarkList(b *testing.B) {
	w, tok := benchWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		w.serve(b, tok, "GET", "/tickets?view=open", "")
	}
}

// What the list costs without HTTP and JSON.
func BenchmarkListService(b *testing.B) {
	w, tok := benchWorld(b)
	actor, err := w.Org.ActorForToken(w.Ctx, tok)
	w.OK(err)
	open := true
	b.ReportAllocs()
	for b.Loop() {
		p, err := w.Service.List(w.Ctx, ticket.View(actor), ticket.Filter{Open: &open})
		if err != nil || len(p.Rows) == 0 {
			b.Fatal(err, len(p.Rows))
		}
	}
}

func BenchmarkNote(b *testing.B) {
	w, tok := benchWorld(b)
	n := w.Register().Number
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.serve(b, tok, "POST", "/tickets/"+n+"/notes", `{"body":"客户说周三前可以等"}`)
	}
}
