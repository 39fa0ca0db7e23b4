package portal_test

import (
	"bytes"
	"context"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/portal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// world is a company with one agent, seen by a customer over HTTP.
type world struct {
	t         testing.TB
	ctx       context.Context
	d         *db.DB
	clock     *clock.Fake
	run       *action.Runner
	tickets   *ticket.Service
	customers *customer.Service
	files     *blob.Files
	portal    *portal.Service
	routes    *web.Router
	site      *httptest.Server
	staff     *authz.Actor // signed in, if set
	ip        string
	agent     authz.Actor
}

type asStaff struct{ w *world }

func (a asStaff) Authenticate(*http.Request) (authz.Actor, bool, error) {
	if a.w.staff == nil {
		return authz.Actor{}, false, nil
	}
	return *a.w.staff, true, nil
}

func newWorld(t testing.TB, d *db.DB, c *clock.Fake) *world {
	t.Helper()
	keys, err := crypt.New()
	must(t, err)
	run := action.NewRunner(d, nil)
	o := org.New(run)
	must(t, run.Do(context.Background(), authz.System("test"), "seed", func(ctx context.Context, a *action.Action) error { return o.Seed(ctx, a) }))
	store, err := blob.OpenFolder(t.TempDir(), c)
	must(t, err)
	w := &world{t: t, ctx: context.Background(), d: d, clock: c, run: run, customers: customer.New(run, keys), files: blob.NewFiles(run, store, 0)}
	w.tickets = ticket.New(run, o, w.customers, w.files, keys, sla.New(run))
	w.files.Authorize("ticket", w.tickets.MayRead)
	w.portal = portal.New(run, w.tickets, w.customers, w.files, keys, func(context.Context) string { return "华东制造" })
	w.agent = authz.Actor{Kind: authz.User, ID: 900, Name: "内部客服林晓雯", Levels: map[authz.Permission]authz.Level{}}
	for _, def := range authz.Defs() {
		w.agent.Levels[def.Permission] = authz.All
	}
	rows, err := d.Read().Query(w.ctx, `SELECT id FROM departments ORDER BY id`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		w.agent.Teams = append(w.agent.Teams, id)
		w.agent.DepartmentID = id
	}
	w.routes = web.New(web.Config{Clock: c, Shell: &ui.Shell{}, Auth: []web.Authenticator{asStaff{w}}})
	portal.Routes(w.routes, w.portal)
	w.site = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.ip != "" {
			r.RemoteAddr = w.ip + ":1"
		}
		w.routes.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.site.Close)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newWorld(t, d, c)) })
}

// answer is what came back.
type answer struct {
	t        testing.TB
	status   int
	location string
	header   http.Header
	body     string
}

func (w *world) do(req *http.Request) answer {
	w.t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req.Header.Set("Accept-Language", "zh-CN")
	resp, err := c.Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(w.t, err)
	return answer{w.t, resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(b)}
}

func (w *world) get(path string) answer {
	w.t.Helper()
	req, err := http.NewRequest("GET", w.site.URL+path, nil)
	must(w.t, err)
	return w.do(req)
}

func (w *world) post(path string, pairs ...string) answer {
	w.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequest("POST", w.site.URL+path, strings.NewReader(v.Encode()))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(req)
}

// send posts a form with files, given as name and content.
func (w *world) send(path string, fields, files []string) answer {
	w.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		must(w.t, m.WriteField(fields[i], fields[i+1]))
	}
	for i := 0; i+1 < len(files); i += 2 {
		p, err := m.CreateFormFile("file", files[i])
		must(w.t, err)
		_, err = io.WriteString(p, files[i+1])
		must(w.t, err)
	}
	must(w.t, m.Close())
	req, err := http.NewRequest("POST", w.site.URL+path, &b)
	must(w.t, err)
	req.Header.Set("Content-Type", m.FormDataContentType())
	req.Header.Set("Accept", "application/json")
	return w.do(req)
}

func (a answer) want(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d instead of %d, location %q\n%s", a.status, status, a.location, text(a.body))
	}
	for _, s := range texts {
		if not, ok := strings.CutPrefix(s, "!"); ok {
			if strings.Contains(a.body, not) {
				a.t.Errorf("%q is on the page", not)
			}
		} else if !strings.Contains(a.body, s) {
			a.t.Errorf("%q is not on the page:\n%s", s, text(a.body))
		}
	}
	return a
}

var tags = regexp.MustCompile(`(?s)<head>.*</head>|<[^>]*>`)

func text(body string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(body, " "))), " ")
}

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)
	lastEntry = regexp.MustCompile(`name="after" value="([^"]+)"`)
	bigWords  = regexp.MustCompile(`<dd><b>([^<]+)</b>`)
)

func find(t testing.TB, re *regexp.Regexp, body string) string {
	t.Helper()
	m := re.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no %s in:\n%s", re, text(body))
	}
	return html.UnescapeString(m[1])
}

// form is a request as one would fill it in; pairs change it.
func (w *world) form(pairs ...string) []string {
	w.t.Helper()
	token := find(w.t, formToken, w.get("/portal/new").want(200).body)
	out := []string{"form", token, "name", "张三", "phone", "13800138000", "type", "after_sales", "title", "打印机不能联网", "description", "昨天开始，重启没有用。", "urgency", "normal", "consent", "1"}
	for i := 0; i+1 < len(pairs); i += 2 {
		if at := slices.Index(out, pairs[i]); at >= 0 {
			out[at+1] = pairs[i+1]
		} else {
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}

// register sends a request and returns the address of its page and the ticket.
func (w *world) register(pairs ...string) (page string, t ticket.Ticket) {
	w.t.Helper()
	to := w.post("/portal/new", w.form(pairs...)...).want(303).location
	page = strings.TrimSuffix(to, "/received")
	return page, w.ticket(page)
}

func (w *world) ticket(page string) ticket.Ticket {
	w.t.Helper()
	t, _, err := w.tickets.ByLink(w.ctx, strings.TrimPrefix(page, "/c/"))
	must(w.t, err)
	return t
}

func (w *world) as(id int64, v ticket.Verb, in ticket.Input) ticket.Ticket {
	w.t.Helper()
	t, err := w.tickets.Do(w.ctx, w.agent, id, v, in)
	must(w.t, err)
	return t
}

func (w *world) kinds() string {
	w.t.Helper()
	evs, err := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 200})
	must(w.t, err)
	slices.Reverse(evs)
	var out []string
	for _, e := range evs {
		if e.ActorName != "test" {
			out = append(out, e.Kind)
		}
	}
	return strings.Join(out, " ")
}

// CHN-2, SAT-1, SAT-3: the whole way of a request, from the form over a bad
// rating and the second handling to a good one.
func TestWholeWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.get("/portal").want(200, "提交请求", "工单编号", "查询码")
		page, tk := w.register()
		if tk.Channel != "website" || tk.State != ticket.Pending || tk.CreatedBy != 0 || tk.CreatedByName != "张三" {
			t.Errorf("%+v", tk)
		}
		if got := w.kinds(); got != "customer.created ticket.registered portal.consent_given" {
			t.Errorf("events %q", got)
		}
		ack := w.get(page+"/received").want(200, tk.Number, w.tickets.LookupCode(tk), "请保存")
		if m := bigWords.FindAllStringSubmatch(ack.body, -1); len(m) != 2 || m[0][1] != tk.Number {
			t.Errorf("number and code: %v", m)
		}
		for _, h := range [][2]string{{"X-Robots-Tag", "noindex, nofollow, noarchive"}, {"Cache-Control", "no-store"}, {"Referrer-Policy", "same-origin"}} {
			if got := ack.header.Get(h[0]); got != h[1] {
				t.Errorf("%s: %q", h[0], got)
			}
		}
		w.get(page).want(200, tk.Number, "打印机不能联网", "昨天开始，重启没有用。", "已收到", "我们会在明天 09:00 前首次回复您", "!内部客服", "!13800138000", "!张三")

		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.Ask, ticket.Input{Body: "请告诉我们型号"})
		shown := w.get(page).want(200, "等您补充", "请告诉我们型号", "!内部客服")
		if n := w.waiting(tk.ID); n != 1 {
			t.Errorf("opening the page marked it as told: %d waiting", n)
		}
		w.post(page + "/seen").want(204)
		if n := w.waiting(tk.ID); n != 0 {
			t.Errorf("seen, but %d waiting", n)
		}

		answer := []string{"form", find(t, formToken, shown.body), "after", find(t, lastEntry, shown.body), "body", "HP 1020，附照片"}
		to := w.send(page+"/messages", answer, []string{"照片.png", "\x89PNG\r\n\x1a\n0000000"}).want(303).location
		if to != page+"?done=answered" {
			t.Errorf("location %s", to)
		}
		w.send(page+"/messages", answer, []string{"照片.png", "\x89PNG\r\n\x1a\n0000000"}).want(303) // a second tap
		body := w.get(to).want(200, "已收到您的回答", "HP 1020，附照片", "照片.png", "处理中").body
		if n := strings.Count(body, "HP 1020，附照片"); n != 1 {
			t.Errorf("the answer stands there %d times", n)
		}
		file := find(t, regexp.MustCompile(`src="(/c/[^"]+/files/\d+)"`), body)
		if a := w.get(file).want(200); a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "image/png" {
			t.Errorf("file: %v", a.header)
		}

		w.as(tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已更换网卡"})
		w.get(page).want(200, "等您确认", "已更换网卡", "3 星及以下", "24 小时内与您联系")
		w.post(page+"/rating", "round", "1").want(422, "请选择问题是否已经解决", "请点选总体评价")
		w.post(page+"/rating", "round", "1", "solved", "maybe", "stars", "9").want(422)
		bad := []string{"round", "1", "solved", "yes", "stars", "2", "speed", "3", "comment", "又坏了"}
		to = w.post(page+"/rating", bad...).want(303).location
		if to != page+"?done=second" {
			t.Errorf("location %s", to)
		}
		if again := w.post(page+"/rating", bad...).want(303).location; again != to { // a second tap
			t.Errorf("second tap: %s", again)
		}
		w.get(to).want(200, "二次处理", "很抱歉没有让您满意", "主管会在 24 小时内与您联系", "主管会在明天 09:00 前与您联系")
		tk = w.ticket(page)
		if tk.State != ticket.Pending || tk.Round != 2 || tk.Rating != 2 {
			t.Errorf("%s, round %d, %d stars", tk.State, tk.Round, tk.Rating)
		}
		w.post(page+"/rating", "round", "1", "solved", "yes", "stars", "5").want(409, "这次评价已经处理过了")

		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "换了新机"})
		to = w.post(page+"/rating", "round", "2", "solved", "yes", "stars", "5", "suggestion", "快一点").want(303).location
		w.get(to).want(200, "感谢您的评价", "已完成", "修改评价", "问题又出现了")
		if tk = w.ticket(page); tk.State != ticket.Completed || tk.Outcome != ticket.OutcomeConfirmed {
			t.Errorf("%s %s", tk.State, tk.Outcome)
		}
		w.post(page+"/rating", "round", "2", "solved", "yes", "stars", "4").want(303)
		if tk = w.ticket(page); tk.Rating != 4 {
			t.Errorf("changed to %d stars", tk.Rating)
		}
		w.clock.Advance(25 * time.Hour)
		w.get(page).want(200, "!修改评价")
		w.post(page+"/rating", "round", "2", "solved", "yes", "stars", "1").want(409, "24 小时")

		shown = w.get(page)
		words := []string{"form", find(t, formToken, shown.body), "after", find(t, lastEntry, shown.body), "body", "又断网了"}
		if to = w.post(page+"/messages", words...).want(303).location; to != page+"?done=reopened" {
			t.Errorf("location %s", to)
		}
		w.post(page+"/messages", words...).want(303)
		if tk = w.ticket(page); tk.Round != 3 || tk.State != ticket.Pending {
			t.Errorf("%s, round %d", tk.State, tk.Round)
		}
		if n := strings.Count(w.get(page).body, "又断网了"); n != 1 {
			t.Errorf("the words stand there %d times", n)
		}
	})
}

func (w *world) waiting(id int64) int {
	w.t.Helper()
	ds, err := w.tickets.Waiting(w.ctx, id)
	must(w.t, err)
	return len(ds)
}

// After archiving, words become a new, linked request; once.
func TestAfterTheEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		page, tk := w.register()
		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已处理好网卡"})
		w.post(page+"/rating", "round", "1", "solved", "yes", "stars", "5").want(303)
		w.as(tk.ID, ticket.Close, ticket.Input{})
		shown := w.get(page).want(200, "还需要帮助", "已结束")
		words := []string{"form", find(t, formToken, shown.body), "after", "0", "body", "另一台也坏了"}
		w.post(page+"/messages", "form", words[1], "body", " ").want(422, "请填写内容")
		to := w.post(page+"/messages", words...).want(303).location
		again := w.post(page+"/messages", words...).want(303).location
		if to != again || strings.HasPrefix(to, page) || !strings.HasSuffix(to, "?done=new") {
			t.Fatalf("%s, then %s", to, again)
		}
		w.get(to).want(200, "已为您建立新的请求", "另一台也坏了")
		next, _, _ := strings.Cut(to, "?")
		if n := w.ticket(next); n.FollowsID != tk.ID || n.ID == tk.ID {
			t.Errorf("%+v", n)
		}
	})
}

// No guess leads anywhere, and all wrong links look alike.
func TestForged(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		page, tk := w.register()
		token := strings.TrimPrefix(page, "/c/")
		payload, mac, _ := strings.Cut(token, ".")
		_, other := w.register("phone", "13900139000")
		otherToken := w.tickets.Link(other)
		otherPayload, _, _ := strings.Cut(otherToken, ".")
		var first string
		for _, bad := range []string{"x", payload, payload + ".", "." + mac, payload + "." + mac + "A", otherPayload + "." + mac, payload + ".AAAA", "%00", strings.Repeat("a", 3000)} {
			for _, tail := range []string{"", "/received", "/files/1"} {
				a := w.get("/c/"+bad+tail).want(404, "这个链接不能使用", "工单编号", "!"+tk.Number)
				if body := strings.ReplaceAll(text(a.body), bad, ""); first == "" {
					first = body
				} else if body != first {
					t.Errorf("%s%s: another page", bad, tail)
				}
			}
			w.clock.Advance(time.Minute)
			for _, tail := range []string{"/messages", "/rating", "/seen"} {
				w.post("/c/"+bad+tail, "body", "x").want(404)
			}
			w.send("/c/"+bad+"/files", nil, []string{"a.txt", "x"}).want(404)
		}
		// A withdrawn answer makes the link void.
		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已处理好网卡"})
		w.as(tk.ID, ticket.Withdraw, ticket.Input{Reason: "弄错了"})
		w.get(page).want(404, "这个链接不能使用")
		// Of a sub-ticket there is no page.
		w.as(other.ID, ticket.Take, ticket.Input{})
		w.as(other.ID, ticket.RequestHelp, ticket.Input{DepartmentID: w.agent.Teams[0], Title: "内部协办", Body: "请帮忙"})
		child, err := w.tickets.Children(w.ctx, other.ID)
		must(t, err)
		sub, err := w.tickets.Get(w.ctx, ticket.View(w.agent), child[0].ID)
		must(t, err)
		w.get("/c/" + w.tickets.Link(sub)).want(404)
		w.get("/c/"+otherToken).want(200, "!内部协办", "!请帮忙")
	})
}

// Number and code: the same answer whichever is wrong, five tries, then a wait.
func TestLookup(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		page, tk := w.register()
		code := w.tickets.LookupCode(tk)
		w.post("/portal", "number", strings.ToLower(tk.Number), "code", strings.ToLower(code[:4]+" "+code[4:])).want(303)
		if to := w.post("/portal", "number", tk.Number, "code", code).want(303).location; to != page {
			t.Errorf("leads to %s", to)
		}
		w.post("/portal", "number", "", "code", "").want(422, "请填写工单编号", "请填写 8 位查询码")
		w.clock.Advance(15 * time.Minute)
		var pages []string
		for _, try := range [][2]string{{tk.Number, "AAAAAAAA"}, {"TASK20990101001", code}, {"TASK20990101001", "AAAAAAAA"}, {"'; DROP", "x"}, {"<q>", "<s>"}} {
			a := w.post("/portal", "number", try[0], "code", try[1]).want(422, "工单编号或查询码不正确", "!<q>", "!<s>")
			pages = append(pages, strings.NewReplacer(html.EscapeString(try[0]), "", html.EscapeString(try[1]), "").Replace(a.body))
		}
		for i, p := range pages[:3] {
			if len(p) != len(pages[0]) {
				t.Errorf("answer %d has another shape", i)
			}
		}
		w.post("/portal", "number", tk.Number, "code", code).want(429, "操作太频繁，请等待 3 分钟")
		w.ip = "198.51.100.7" // somebody else is not held up
		w.post("/portal", "number", tk.Number, "code", code).want(303)
		// One number is not tried from many addresses.
		for i := range 5 {
			w.ip = "203.0.113." + string(rune('1'+i))
			w.post("/portal", "number", tk.Number, "code", "AAAAAAAA").want(422)
		}
		w.ip = "203.0.113.99"
		w.post("/portal", "number", tk.Number, "code", code).want(429)
		w.clock.Advance(3 * time.Minute)
		w.post("/portal", "number", tk.Number, "code", code).want(303)
		// A network of IPv6 counts as one visitor.
		for i := range 5 {
			w.ip = "[2001:db8::" + string(rune('1'+i)) + "]"
			w.post("/portal", "number", "TASK20990101002"+string(rune('1'+i)), "code", "AAAAAAAA").want(422)
		}
		w.ip = "[2001:db8::9]"
		w.post("/portal", "number", "TASK20990101009", "code", "AAAAAAAA").want(429)
	})
}

func TestSubmit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.post("/portal/new").want(422, "请填写您的姓名", "请填写电话或邮箱", "请填写标题", "请填写详细说明", "请选择类型", "请阅读告知内容并勾选同意")
		w.post("/portal/new", w.form("consent", "")...).want(422, "请阅读告知内容并勾选同意", "打印机不能联网", "华东制造")
		w.post("/portal/new", w.form("phone", "62345678")...).want(422, "请加上区号")
		w.post("/portal/new", w.form("phone", "1380013800")...).want(422, "电话号码不正确")
		w.post("/portal/new", w.form("phone", "10086")...).want(422, "电话号码不正确")
		w.post("/portal/new", w.form("email", "a@b")...).want(422, "邮箱地址不正确")
		w.post("/portal/new", w.form("homepage", "http://spam")...).want(422, "没有提交成功", "打印机不能联网", "!http://spam")
		w.post("/portal/new", w.form("form", "forged")...).want(422, "请重新提交一次")
		w.post("/portal/new", w.form("type", "x", "urgency", "now", "title", strings.Repeat("长", 101))...).want(422, "请选择类型", "请选择有多急", "最多 100 个字")
		if got := w.kinds(); got != "" {
			t.Fatalf("events %q", got)
		}

		// The same form twice is one request; at once, too.
		form := w.form("phone", "", "email", "zhang@example.com", "company", "新芯科技有限公司")
		done := make(chan string, 3)
		for range 3 {
			go func() { done <- w.post("/portal/new", form...).location }()
		}
		first := <-done
		if a, b := <-done, <-done; first == "" || a != first || b != first {
			t.Errorf("%q, %q, %q", first, a, b)
		}
		if n := strings.Count(w.kinds(), "ticket.registered"); n != 1 {
			t.Errorf("%d tickets", n)
		}
		tk := w.ticket(strings.TrimSuffix(first, "/received"))
		if c, err := w.customers.Card(w.ctx, w.d.Read(), tk.CustomerID); err != nil || c.Type != customer.Company || c.Name != "新芯科技有限公司" || c.Primary().Name != "张三" || c.CreatedByName != "客户门户" {
			t.Errorf("%+v, %v", c, err)
		}

		// The next request of the same customer joins his profile, and the page does not tell.
		page, second := w.register("phone", "", "email", "ZHANG@example.com", "name", "李四", "company", "别的公司")
		if second.CustomerID != tk.CustomerID {
			t.Error("a second profile")
		}
		w.get(page).want(200, "!新芯科技", "!张三", "!李四", "!别的公司")
		if body := w.journal(second.ID); !strings.Contains(body, "姓名：李四") || !strings.Contains(body, "单位：别的公司") {
			t.Errorf("no note for the staff: %s", body)
		}

		// Consent is on record with the version of its text.
		evs, err := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 200})
		must(t, err)
		for _, e := range evs {
			if e.Kind == portal.ConsentGiven && (!strings.Contains(string(e.Data), `"version":"`+portal.PrivacyVersion+`"`) || e.IP == "" || e.ActorKind != authz.Customer) {
				t.Errorf("%+v", e)
			}
		}

		// So many requests from one address, then a wait.
		w.clock.Advance(2 * time.Hour)
		limited := false
		for i := range 12 {
			a := w.post("/portal/new", w.form("phone", "1370013700"+string(rune('0'+i%10)))...)
			if limited = a.status == 429; limited {
				a.want(429, "操作太频繁", "打印机不能联网")
				break
			}
			a.want(303)
		}
		if !limited {
			t.Error("no limit")
		}
		w.clock.Advance(6 * time.Minute)
		w.post("/portal/new", w.form("phone", "13500135000")...).want(303)

		must(t, w.portal.SetSettings(w.ctx, w.agent, portal.Settings{Closed: true, Contact: "400-800-1234", RetentionMonths: 6}))
		w.get("/portal").want(200, "不能在线提交", "400-800-1234")
		w.post("/portal/new", "name", "x").want(409, "不能在线提交")
		if err := w.portal.SetSettings(w.ctx, authz.Actor{Kind: authz.User, ID: 1}, portal.Settings{RetentionMonths: 6}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("settings by anybody: %v", err)
		}
	})
}

func (w *world) journal(id int64) (out string) {
	w.t.Helper()
	rows, err := w.d.Read().Query(w.ctx, `SELECT body FROM entries WHERE ticket_id = $1 AND kind = 'note'`, id)
	must(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var s string
		must(w.t, rows.Scan(&s))
		out += s + "\n"
	}
	return out
}

// Files: kept over a failed form, limited in number and size, and those of the
// house never shown.
func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		png := "\x89PNG\r\n\x1a\n0000000"
		seal := regexp.MustCompile(`name="kept" value="([^"]+)"`)
		form := w.form("title", "")
		failed := w.send("/portal/new", form, []string{"屏幕.png", png}).want(422, "请填写标题", "屏幕.png")
		kept := find(t, seal, failed.body)
		byScript := find(t, regexp.MustCompile(`"id":"([^"]+)"`), w.send("/portal/files", nil, []string{"log.txt", "日志"}).want(200).body)
		form[slices.Index(form, "title")+1] = "打印机"
		w.post("/portal/new", append(form, "kept", kept+"x")...).want(422, "已经失效")
		page := strings.TrimSuffix(w.post("/portal/new", append(form, "kept", kept, "kept", byScript)...).want(303).location, "/received")
		tk := w.ticket(page)
		shown := w.get(page).want(200, "屏幕.png", "log.txt")
		own := find(t, regexp.MustCompile(`href="(/c/[^"]+/files/\d+)"`), shown.body)
		if a := w.get(own).want(200); a.body != png || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("file %q", a.body)
		}

		many := []string{}
		for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
			many = append(many, n+".txt", "x"+n)
		}
		w.send("/portal/new", w.form(), many).want(422, "附件最多 5 个")
		w.send("/portal/new", w.form(), []string{"leer.txt", ""}).want(422, "是空文件")
		w.send("/portal/new", w.form(), []string{"big.bin", strings.Repeat("x", portal.MaxFileSize+1)}).want(422, "big.bin", "10 MB")

		// Notes, follow-ups and their files stay in the house, whatever id is asked for.
		up := func(name string) int64 {
			f, err := w.files.Upload(w.ctx, w.agent, name, strings.NewReader("SECRETFILE "+name))
			must(t, err)
			return f.ID
		}
		note, reply := up("内部.txt"), up("公开.txt")
		w.as(tk.ID, ticket.Take, ticket.Input{})
		_, err := w.tickets.Note(w.ctx, w.agent, tk.ID, "MARKERNOTE 客户很难缠", nil, []int64{note})
		must(t, err)
		_, err = w.tickets.Reply(w.ctx, w.agent, tk.ID, "请看附件", []int64{reply})
		must(t, err)
		body := w.get(page).want(200, "请看附件", "公开.txt", "!MARKERNOTE", "!内部.txt", "!内部客服", "!登记了工单").body
		base := page + "/files/"
		w.get(base+itoa(reply)).want(200, "SECRETFILE 公开")
		for _, id := range []string{itoa(note), "0", "-1", "abc", "999999", itoa(up("未附.txt"))} {
			w.get(base+id).want(404, "!SECRETFILE")
		}
		stranger, _ := w.register("phone", "13900139001")
		w.get(stranger+"/files/"+itoa(reply)).want(404, "!SECRETFILE")
		if strings.Contains(body, "领取") {
			t.Error("a move of the ticket is on the customer's page")
		}

		// So many files from one address.
		w.clock.Advance(2 * time.Hour)
		for range 15 {
			w.send("/portal/files", nil, []string{"a.txt", "x"}).want(200)
		}
		w.send("/portal/files", nil, []string{"a.txt", "x"}).want(429, "操作太频繁")
	})
}

func itoa(n int64) string {
	var b [20]byte
	i := len(b)
	for ; n > 0 || i == len(b); n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

// What a colleague wrote on the telephone is not the customer's to read.
func TestWrittenByStaff(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, mine := w.register()
		f, err := w.files.Upload(w.ctx, w.agent, "录音.txt", strings.NewReader("SECRETFILE"))
		must(t, err)
		tk, err := w.tickets.Register(w.ctx, w.agent, ticket.RegisterInput{Title: "电话登记", Type: "complaint", Urgency: "normal", Channel: "phone",
			Description: "MARKERDESC 态度恶劣", CustomerID: mine.CustomerID, Files: []int64{f.ID}, DepartmentID: w.agent.Teams[0]})
		must(t, err)
		page := "/c/" + w.tickets.Link(tk)
		w.get(page).want(200, "电话登记", "!MARKERDESC", "!录音.txt")
		w.get(page+"/files/"+itoa(f.ID)).want(404, "!SECRETFILE")
	})
}

// A colleague may look at the page but not act on it, least of all rate.
func TestStaffLooks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		page, tk := w.register()
		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.RequestConfirmation, ticket.Input{Solution: "已处理好网卡"})
		w.staff = &w.agent
		w.get(page).want(200, "您以员工身份查看", "!提交评价", "!data-seen")
		w.post(page+"/rating", "round", "1", "solved", "yes", "stars", "5").want(403, "员工不能")
		w.post(page+"/messages", "body", "x").want(403)
		w.post(page + "/seen").want(403)
		w.send(page+"/files", nil, []string{"a.txt", "x"}).want(403)
		if n := w.waiting(tk.ID); n != 1 {
			t.Errorf("%d waiting", n)
		}
	})
}

// Whatever is typed comes back as text.
func TestInert(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		evil := `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`
		w.post("/portal/new", w.form("title", evil, "name", evil, "description", evil, "company", evil, "consent", "")...).want(422, "!<img src=x", "!<script>alert")
		page, tk := w.register("title", evil, "name", "a"+evil[:50], "description", evil+" javascript:alert(3) https://example.com/?q=<b>")
		w.as(tk.ID, ticket.Take, ticket.Input{})
		w.as(tk.ID, ticket.Ask, ticket.Input{Body: evil})
		w.get(page).want(200, "!<img src=x", "!<script>alert", `rel="noopener noreferrer nofollow"`, "!href=\"javascript")
		w.send(page+"/messages", []string{"form", find(t, formToken, w.get(page).body), "after", "0", "body", evil}, []string{`"><svg onload=alert(1)>.svg`, `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`}).want(303)
		shown := w.get(page+"?done=<script>&before=x").want(200, "!<img src=x", "!<script>alert", "!<svg onload")
		file := find(t, regexp.MustCompile(`href="(/c/[^"]+/files/\d+)"`), shown.body)
		if a := w.get(file).want(200); !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("svg is shown: %v", a.header)
		}
		if strings.Contains(shown.body, `src="http`) || strings.Contains(shown.body, `src="//`) {
			t.Error("something of a third party")
		}
	})
}

// Posts of other sites are refused: the token in the address is not enough.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	w := newWorld(t, d, c)
	page, _ := w.register()
	req, err := http.NewRequest("POST", w.site.URL+page+"/messages", strings.NewReader("body=x"))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	w.do(req).want(403)
	w.get(page + "/messages").want(303)
}
