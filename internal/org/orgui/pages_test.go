package orgui

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

// site is the organisation's pages served over HTTP.
type site struct {
	t     *testing.T
	srv   *httptest.Server
	org   *org.Service
	d     *db.DB
	clock *clock.Fake
	admin string // first password
}

func newSite(t *testing.T) *site {
	t.Helper()
	d, c := dbtest.New(t)
	event.NewFollower(d)
	run := action.NewRunner(d, nil)
	s := org.New(run)
	sessions := web.NewSessions(d, s, web.SessionConfig{Clock: c})
	s.Attach(sessions)
	ctx := context.Background()
	if err := run.Do(ctx, authz.System("test"), "seed", func(ctx context.Context, a *action.Action) error { return s.Seed(ctx, a) }); err != nil {
		t.Fatal(err)
	}
	_, password, _, err := s.FirstAdmin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{sessions}, Shell: &ui.Shell{Nav: Nav()}})
	(&ui.Shell{}).Routes(rt, org.PermManage)
	Routes(rt, s, sessions, c)
	rt.Handle("GET /{$}", web.SignedIn, func(w http.ResponseWriter, r *web.Request) error {
		_, err := w.Write([]byte("desk of " + r.Actor.Name))
		return err
	})
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return &site{t: t, srv: srv, org: s, d: d, clock: c, admin: password}
}

type browser struct {
	*site
	c *http.Client
}

func (s *site) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{s, &http.Client{Jar: jar}}
}

func (b *browser) do(method, path string, form url.Values) (int, string, string) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.srv.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var body strings.Builder
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		body.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return res.StatusCode, res.Request.URL.Path, body.String()
}

// see fails unless the answer has the status, comes from the path and holds all texts.
func (b *browser) see(method, path string, form url.Values, status int, at string, texts ...string) string {
	b.t.Helper()
	got, where, body := b.do(method, path, form)
	if got != status || where != at {
		b.t.Fatalf("%s %s: %d at %s, want %d at %s\n%s", method, path, got, where, status, at, strip(body))
	}
	for _, s := range texts {
		if !strings.Contains(body, s) {
			b.t.Errorf("%s %s: no %q in\n%s", method, path, s, strip(body))
		}
	}
	return body
}

var tags = regexp.MustCompile(`(?s)<[^>]*>|\s+`)

func strip(html string) string {
	s := tags.ReplaceAllString(html, " ")
	if len(s) > 1500 {
		s = s[:1500]
	}
	return s
}

func match(t *testing.T, pattern, s string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(s)
	if m == nil {
		t.Fatalf("no %s in %s", pattern, strip(s))
	}
	return m[1]
}

// The way of a new company: the first administrator signs in, has to change his
// password, makes a department, a role and a colleague; the colleague signs in.
func TestStory(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.browser()
	a.see("GET", "/admin/users", nil, 200, "/sign-in", "登录名", "密码")
	a.see("POST", "/sign-in", url.Values{"login": {"admin"}, "password": {"wrong"}}, 422, "/sign-in", "登录名或密码不正确", `value="admin"`)
	a.see("POST", "/sign-in", url.Values{"login": {"ADMIN"}, "password": {s.admin}, "next": {"/admin/users"}}, 200, "/password", "一次性密码")
	a.see("GET", "/admin/users", nil, 200, "/password")
	a.see("POST", "/password", url.Values{"new": {"short"}, "again": {"short"}}, 422, "/password", "密码至少 10 个字符，现在是 5 个")
	a.see("POST", "/password", url.Values{"new": {"七只青蛙跳下了一口井"}, "again": {"八只"}}, 422, "/password", "两次输入的新密码不一致")
	a.see("POST", "/password", url.Values{"new": {"七只青蛙跳下了一口井"}, "again": {"七只青蛙跳下了一口井"}}, 200, "/", "desk of 系统管理员")

	a.see("GET", "/admin/departments", nil, 200, "/admin/departments", "客服部", "物流部")
	a.see("POST", "/admin/departments", url.Values{"name": {"客服部"}, "parent": {"1"}}, 422, "/admin/departments", "同一上级下已有“客服部”", `aria-invalid="true"`)
	a.see("POST", "/admin/departments", url.Values{"name": {"一线组"}, "parent": {"2"}}, 200, "/admin/departments", "一线组", "已新建部门")
	a.see("POST", "/admin/departments/2", url.Values{"name": {"客服部"}, "parent": {"7"}, "version": {"1"}}, 422, "/admin/departments/2", "不能作为它的上级")
	a.see("POST", "/admin/departments/2/deactivation", url.Values{"version": {"1"}}, 409, "/admin/departments/2/deactivation", "还有启用中的部门", `value="客服部"`)

	body := a.see("POST", "/admin/roles", url.Values{"name": {"质检员"}, "like": {"8"}}, 200, "/admin/roles/9", "质检员", "查看、核验和导出审计日志")
	if strings.Contains(body, "org.own_account") {
		t.Error("the matrix shows what everybody has")
	}
	a.see("POST", "/admin/roles/9", url.Values{"name": {"质检员"}, "version": {"1"}, "matrix": {"1"}, "p:org.view": {"department"}}, 200, "/admin/roles")
	a.see("GET", "/admin/roles/9", nil, 200, "/admin/roles/9", `<option value="department" selected>`)
	a.see("POST", "/admin/roles/1", url.Values{"version": {"1"}, "matrix": {"1"}}, 409, "/admin/roles/1", "必须保留")

	a.see("GET", "/admin/users/new", nil, 200, "/admin/users/new", "工单容量", "客服专员")
	a.see("POST", "/admin/users", url.Values{"name": {"李雷"}, "login": {"Admin"}, "department": {"2"}, "roles": {"4"}, "capacity": {"10"}, "lang": {"zh-CN"}}, 422, "/admin/users", "已被使用", `value="李雷"`)
	body = a.see("POST", "/admin/users", url.Values{"name": {"李雷"}, "login": {"lilei"}, "department": {"2"}, "roles": {"4", "9"}, "teams": {"3"}, "capacity": {"10"}, "lang": {"zh-CN"}}, 200, "/admin/users", "已新建用户“李雷”", "只显示这一次")
	password := match(t, `<code>([^<]+)</code>`, body)
	a.see("GET", "/admin/users?q=ll", nil, 200, "/admin/users", "李雷", "质检员", "从未")
	a.see("GET", "/admin/users/2", nil, 200, "/admin/users/2", "lilei", "新建用户")

	l := s.browser()
	l.see("POST", "/sign-in", url.Values{"login": {"lilei"}, "password": {password}}, 200, "/password")
	l.see("POST", "/password", url.Values{"new": {"eight toads sleep"}, "again": {"eight toads sleep"}}, 200, "/", "desk of 李雷")
	l.see("GET", "/account", nil, 200, "/account", "客服部", "技术支持部", "客服专员", "质检员")
	l.see("POST", "/account/presence", url.Values{"availability": {"busy"}, "away_until": {"2026-11-18T10:00"}}, 422, "/account/presence", "外出结束时间已经过去")
	l.see("POST", "/account/presence", url.Values{"availability": {"busy"}, "away_until": {"2026-11-20T10:00"}, "delegate": {"1"}}, 200, "/account", "已保存", `value="2026-11-20T10:00"`)
	l.see("POST", "/account/profile", url.Values{"email": {"x@"}, "lang": {"zh-CN"}}, 422, "/account/profile", "邮箱格式不正确", `value="x@"`)
	l.see("GET", "/account/security", nil, 200, "/account/security", "当前设备")
	l.see("POST", "/account/tokens", url.Values{"name": {"报表"}}, 422, "/account/tokens", "请至少选择一个权限范围")
	body = l.see("POST", "/account/tokens", url.Values{"name": {"报表"}, "scopes": {"org:read"}, "expires": {"2026-11-19"}}, 200, "/account/tokens", "令牌只显示这一次")
	token := match(t, `<pre[^>]*>(bht_[^<]+)</pre>`, body)
	if _, err := s.org.ActorForToken(context.Background(), token); err != nil {
		t.Errorf("the token of the page: %v", err)
	}
	if strings.Contains(l.see("GET", "/account/security", nil, 200, "/account/security", "报表"), token) {
		t.Error("the token is shown twice")
	}
	l.see("GET", "/account/history", nil, 200, "/account/history", "登录成功", "修改密码", "新建用户")
	l.see("GET", "/account/history?of=mine", nil, 200, "/account/history", "新建 API 令牌")

	// In scope he may look, not touch; out of scope there is nothing.
	l.see("GET", "/admin/users", nil, 200, "/admin/users", "李雷")
	l.see("GET", "/admin/users/1", nil, 404, "/admin/users/1")
	for _, path := range []string{"/admin/users/new", "/admin/roles", "/admin/audit", "/admin/sign-in", "/admin/departments/2"} {
		l.see("GET", path, nil, 403, path)
	}
	l.see("POST", "/admin/users/1/password", nil, 403, "/admin/users/1/password")

	a.see("GET", "/admin/audit?kind=org.token_created", nil, 200, "/admin/audit", "新建 API 令牌", "org:read", "李雷")
	a.see("POST", "/admin/audit/verification", nil, 200, "/admin/audit/verification", "全部完整")
	a.see("POST", "/admin/audit/export", url.Values{"kind": {"org.user_created"}}, 200, "/admin/audit/export", "\ufeff序号", "李雷")
	a.see("POST", "/admin/sign-in", url.Values{"max_failures": {"1"}, "lock_minutes": {"15"}, "min_length": {"10"}, "min_kinds": {"1"}, "max_age_days": {"0"}}, 422, "/admin/sign-in", "请填写 3 到 20 之间的数")
	a.see("POST", "/admin/sign-in", url.Values{"max_failures": {"3"}, "lock_minutes": {"15"}, "min_length": {"10"}, "min_kinds": {"1"}, "max_age_days": {"0"}}, 200, "/admin/sign-in", "已保存")

	a.see("POST", "/admin/users/1/deactivation", url.Values{"version": {"2"}}, 409, "/admin/users/1/deactivation", "不能停用自己的账号")
	a.see("POST", "/admin/users/2/deactivation", url.Values{"version": {"1"}}, 409, "/admin/users/2/deactivation", "刷新页面")
	u, err := s.org.User(context.Background(), authz.For(authz.System("t"), org.PermView), 2)
	if err != nil {
		t.Fatal(err)
	}
	a.see("POST", "/admin/users/2/deactivation", url.Values{"version": {id(u.Version)}}, 200, "/admin/users/2", "重新启用账号")
	l.see("GET", "/", nil, 200, "/sign-in") // at once
	if _, err := s.org.ActorForToken(context.Background(), token); err == nil {
		t.Error("the token outlives the account")
	}
	a.see("POST", "/sign-out", nil, 200, "/sign-in")
	a.see("GET", "/admin/users", nil, 200, "/sign-in")
}

// Whoever tries many names from one address is slowed down.
func TestManyNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	for range signInBurst { // without a password: refused before the costly hash
		b.do("POST", "/sign-in", url.Values{"login": {"someone"}})
	}
	b.see("POST", "/sign-in", url.Values{"login": {"admin"}, "password": {s.admin}}, 429, "/sign-in", "操作太频繁")
	s.clock.Advance(time.Minute)
	b.see("POST", "/sign-in", url.Values{"login": {"admin"}, "password": {s.admin}}, 200, "/password")
	// One network of IPv6 has 2^64 addresses.
	refused := 0
	for i := range signInBurst + 5 {
		r := httptest.NewRequest("POST", "/sign-in", strings.NewReader("login=someone"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:4711", i+1)
		w := httptest.NewRecorder()
		s.srv.Config.Handler.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of one IPv6 network refused, want 5", refused)
	}
	if !strings.HasPrefix(web.SafeNext("//evil.example", "/"), "/") {
		t.Error("next leads away")
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	r := web.NewRequest(httptest.NewRequest("GET", "/", nil), authz.Actor{}, "zh-CN")
	for ua, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0": "Edge · Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0":                  "WeChat · iPhone",
		"Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36":                                          "Chrome · Android",
		"Go-http-client/1.1": "未知设备",
	} {
		if got := device(r, ua); got != want {
			t.Errorf("%s: %q, want %q", ua, got, want)
		}
	}
}
