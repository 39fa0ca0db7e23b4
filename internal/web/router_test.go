package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// as authenticates everybody as the actor; the zero Actor as nobody.
type as authz.Actor

func (a as) Authenticate(*http.Request) (authz.Actor, bool, error) {
	return authz.Actor(a), a.Kind != "", nil
}

func staff(ps ...authz.Permission) authz.Actor {
	a := authz.Actor{Kind: authz.User, ID: 7, Name: "林晓雯", Levels: map[authz.Permission]authz.Level{}}
	for _, p := range ps {
		a.Levels[p] = authz.All
	}
	return a
}

func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, rd)
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, r *Request) error { _, err := w.Write([]byte("ok")); return err }
	for _, c := range []struct {
		name   string
		actor  authz.Actor
		path   string
		status int
	}{
		{"anybody on a public page", authz.Actor{}, "/public", 200},
		{"nobody on a staff page", authz.Actor{}, "/mine", 401},
		{"staff on a staff page", staff(), "/mine", 200},
		{"staff without the right", staff(), "/secret", 403},
		{"staff with the right", staff("x.secret"), "/secret", 200},
		{"a customer is not staff", authz.Actor{Kind: authz.Customer, ID: 1}, "/mine", 401 + 2},
		{"no such page", staff(), "/none", 404},
		{"no such method", staff(), "/post", 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rt := New(Config{Auth: []Authenticator{as(c.actor)}})
			rt.Handle("GET   /public", Public, ok)
			rt.Handle("GET /mine", SignedIn, ok)
			rt.Handle("GET /secret", "x.secret", ok)
			rt.Handle("POST /post", SignedIn, ok)
			w := call(rt, "GET", c.path, "")
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if got := w.Header().Get("Content-Security-Policy"); got != ContentSecurityPolicy || strings.Contains(got, "unsafe") {
				t.Errorf("policy %q", got)
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("no reference number")
			}
		})
	}
}

func TestMustChangePassword(t *testing.T) {
	t.Parallel()
	a := staff()
	a.MustChange = true
	ok := func(w http.ResponseWriter, r *Request) error { w.WriteHeader(204); return nil }
	rt := New(Config{Auth: []Authenticator{as(a)}})
	rt.Handle("GET /x", SignedIn, ok)
	rt.Handle("GET /password", SignedIn, ok, BeforePassword())
	if w := call(rt, "GET", "/x", ""); w.Code != 303 || w.Header().Get("Location") != "/password" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if w := call(rt, "GET", "/password", ""); w.Code != 204 {
		t.Errorf("the page itself: %d", w.Code)
	}
}

func TestSignInIsOffered(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	rt.Handle("GET /t", SignedIn, nil)
	w := call(rt, "GET", "/t?view=mine", "", "Accept", "text/html")
	if w.Code != 303 || w.Header().Get("Location") != "/sign-in?next=%2Ft%3Fview%3Dmine" {
		t.Errorf("page: %d %s", w.Code, w.Header().Get("Location"))
	}
	w = call(rt, "GET", "/t", "", "Accept", "text/html", "HX-Request", "true", "HX-Current-URL", "http://h/desk?x=1")
	if w.Code != 401 || w.Header().Get("HX-Redirect") != "/sign-in?next=%2Fdesk%3Fx%3D1" {
		t.Errorf("fragment: %d %s", w.Code, w.Header().Get("HX-Redirect"))
	}
	w = call(rt, "GET", "/t", "", "Accept", "application/json")
	if w.Code != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("json: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
}

func TestErrorsBecomeAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{fault.Invalidf("ui.form.invalid").Field("name", "ui.form.required"), 422, "请填写此项"},
		{fault.New(fault.Forbidden, "ui.error.forbidden"), 403, "没有进行此操作的权限"},
		{fault.New(fault.NotFound, "ui.error.not_found"), 404, "不存在"},
		{fault.New(fault.Conflict, "ui.form.choice"), 409, "列表"},
		{fault.New(fault.Limited, "ui.error.limited", "1"), 429, "太频繁"},
		{fault.New(fault.Unavailable, "ui.error.unavailable"), 503, "正忙"},
		{&http.MaxBytesError{Limit: 1 << 20}, 413, "1 MB"},
		{fmt.Errorf("load: %w", errors.New("table tickets is locked")), 500, "错误编号"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			rt := New(Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
			rt.Handle("GET /x/{id}", Public, func(http.ResponseWriter, *Request) error { return c.err })
			w := call(rt, "GET", "/x/5?phone=13800138000", "", "Accept", "application/json")
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.status || p.Status != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "locked") {
				t.Error("the cause leaked")
			}
			if p.Reference == "" || !strings.Contains(log.String(), p.Reference) {
				t.Error("the reference number is not in the log")
			}
			if n := strings.Count(log.String(), "locked"); c.status == 500 && n != 1 {
				t.Errorf("cause logged %d times", n)
			}
			if strings.Contains(log.String(), "13800138000") || !strings.Contains(log.String(), "/x/{id}") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	rt.Handle("GET /x", Public, func(http.ResponseWriter, *Request) error { panic("oops") })
	w := call(rt, "GET", "/x", "", "Accept", "text/html")
	if w.Code != 500 || strings.Contains(w.Body.String(), "oops") || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestForeignSitesCannotPost(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	ok := func(w http.ResponseWriter, r *Request) error { w.WriteHeader(204); return nil }
	rt.Handle("POST /x", Public, ok)
	rt.Handle("POST /hook", Public, ok, CrossOrigin())
	for _, c := range []struct {
		path, site string
		status     int
	}{{"/x", "cross-site", 403}, {"/x", "same-origin", 204}, {"/x", "", 204}, {"/hook", "cross-site", 204}} {
		if w := call(rt, "POST", c.path, "a=b", "Sec-Fetch-Site", c.site); w.Code != c.status {
			t.Errorf("%s from %q: %d, want %d", c.path, c.site, w.Code, c.status)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *Request) error {
		f := r.Input()
		if err := f.Err(); err != nil {
			return err
		}
		w.WriteHeader(204)
		return nil
	}
	rt := New(Config{})
	rt.Handle("POST /x", Public, read)
	rt.Handle("POST /big", Public, read, MaxBody(4<<20))
	body := "a=" + strings.Repeat("x", 2<<20)
	if w := call(rt, "POST", "/x", body); w.Code != 413 {
		t.Errorf("too large: %d", w.Code)
	}
	if w := call(rt, "POST", "/big", body); w.Code != 204 {
		t.Errorf("allowed: %d", w.Code)
	}
	r := httptest.NewRequest("POST", "/x", io.NopCloser(io.LimitReader(endless{}, 2<<20))) // length not told
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.ContentLength = -1
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("too large without a length: %d", w.Code)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestGzip(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("闭环客服。", 400)
	rt := New(Config{})
	say := func(ct, s string) Handler {
		return func(w http.ResponseWriter, r *Request) error {
			w.Header().Set("Content-Type", ct)
			for i := 0; i < len(s); i += 100 {
				_, _ = io.WriteString(w, s[i:min(i+100, len(s))])
			}
			return nil
		}
	}
	rt.Handle("GET /long", Public, say("text/html; charset=utf-8", long))
	rt.Handle("GET /short", Public, say("text/html", "短"))
	rt.Handle("GET /image", Public, say("image/png", long))
	rt.Handle("GET /stream", Public, say("text/event-stream", long))
	rt.Handle("GET /none", Public, func(w http.ResponseWriter, r *Request) error { w.WriteHeader(204); return nil })
	for _, c := range []struct {
		path, accept string
		zipped       bool
	}{{"/long", "gzip, br", true}, {"/long", "", false}, {"/short", "gzip", false}, {"/image", "gzip", false}, {"/stream", "gzip", false}} {
		w := call(rt, "GET", c.path, "", "Accept-Encoding", c.accept)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.zipped {
			t.Errorf("%s %q: zipped %v", c.path, c.accept, got)
			continue
		}
		if c.zipped {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(z); err != nil || string(b) != long {
				t.Errorf("unzipped differs: %v", err)
			}
		}
	}
	if w := call(rt, "GET", "/none", "", "Accept-Encoding", "gzip"); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("204: %d %q", w.Code, w.Body)
	}
	if w := call(rt, "GET", "/short", ""); w.Header().Get("Content-Length") != "3" {
		t.Errorf("length %q", w.Header().Get("Content-Length"))
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		own, cookie, header string
		want                i18n.Lang
	}{
		{"", "", "", i18n.ZhCN}, {"", "", "fr", i18n.ZhCN}, {"", "", "en-GB,zh;q=0.5", i18n.En},
		{"", "zh-CN", "en", i18n.ZhCN}, {"en", "zh-CN", "zh", i18n.En},
	} {
		a := staff()
		a.Lang = i18n.Lang(c.own)
		rt := New(Config{Auth: []Authenticator{as(a)}})
		var got i18n.Lang
		rt.Handle("GET /x", Public, func(w http.ResponseWriter, r *Request) error { got = r.Lang; w.WriteHeader(204); return nil })
		h := []string{"Accept-Language", c.header}
		if c.cookie != "" {
			h = append(h, "Cookie", "lang="+c.cookie)
		}
		call(rt, "GET", "/x", "", h...)
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	rt := New(Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	var ip string
	var secure bool
	rt.Handle("GET /x", Public, func(w http.ResponseWriter, r *Request) error {
		ip, secure = r.IP(), r.Secure()
		w.WriteHeader(204)
		return nil
	})
	for _, c := range []struct {
		remote, forwarded, ip string
		secure                bool
	}{
		{"203.0.113.9:1", "1.2.3.4", "203.0.113.9", false}, // not our proxy: not believed
		{"10.0.0.1:1", "1.2.3.4", "1.2.3.4", true},
		{"10.0.0.1:1", "9.9.9.9, 1.2.3.4, 10.0.0.7", "1.2.3.4", true}, // the first one may be invented
		{"10.0.0.1:1", "nonsense", "10.0.0.1", true},
	} {
		r := httptest.NewRequest("GET", "/x", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("X-Forwarded-For", c.forwarded)
		r.Header.Set("X-Forwarded-Proto", "https")
		rt.ServeHTTP(httptest.NewRecorder(), r)
		if ip != c.ip || secure != c.secure {
			t.Errorf("%+v: %s %v", c, ip, secure)
		}
	}
}

func TestSeeOther(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	rt.Handle("POST /x", Public, func(w http.ResponseWriter, r *Request) error {
		r.Flash(w, "green", "ui.js.saved", 5)
		return r.SeeOther(w, "/tickets/%d", 12)
	})
	w := call(rt, "POST", "/x", "a=b")
	if w.Code != 303 || w.Header().Get("Location") != "/tickets/12" {
		t.Errorf("plain: %d %v", w.Code, w.Header())
	}
	w2 := call(rt, "POST", "/x", "a=b", "HX-Request", "true")
	if w2.Code != 200 || w2.Header().Get("HX-Redirect") != "/tickets/12" {
		t.Errorf("htmx: %d %v", w2.Code, w2.Header())
	}
	next := httptest.NewRequest("GET", "/tickets/12", nil)
	for _, c := range w.Result().Cookies() {
		next.AddCookie(c)
	}
	if f, ok := NewRequest(next, authz.Actor{}, i18n.ZhCN).TakeFlash(httptest.NewRecorder()); !ok || f.Key != "ui.js.saved" || f.Tone != "green" || f.Args[0] != "5" {
		t.Errorf("flash %+v %v", f, ok)
	}
}

func TestSafeNext(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/tickets?view=1": "/tickets?view=1", "": "/", "https://evil.cn/": "/", "//evil.cn": "/", "/\\evil.cn": "/", "tickets": "/", "/a\nb": "/", "javascript:x": "/",
	} {
		if got := SafeNext(in, "/"); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestFormReaders(t *testing.T) {
	t.Parallel()
	body := "name=%E3%80%80+%E7%8E%8B%E8%8A%B3+&n=12&bad=1x&day=2026%E5%B9%B411%E6%9C%881%E6%97%A5&at=2026-11-21T14%3A30&money=%EF%BF%A51%2C234.5&id=3&id=4&tick=on&kind=b&odd=q&long=%E4%B8%80%E4%BA%8C%E4%B8%89"
	rt := New(Config{Clock: clock.NewFake(noon)})
	rt.Handle("POST /x", Public, func(w http.ResponseWriter, r *Request) error {
		f := r.Input()
		type row struct {
			what      string
			got, want any
		}
		for _, c := range []row{
			{"name", f.Required("name"), "王芳"}, {"n", f.Int("n"), 12}, {"none", f.Int64("none"), int64(0)}, {"bad", f.Int("bad"), 0},
			{"day", f.Date("day"), time.Date(2026, 10, 31, 16, 0, 0, 0, time.UTC)}, {"at", f.DateTime("at"), time.Date(2026, 11, 21, 6, 30, 0, 0, time.UTC)},
			{"money", f.Cents("money"), int64(123450)}, {"ids", len(f.IDs("id")), 2}, {"tick", f.Bool("tick"), true}, {"kind", f.Choice("kind", "a", "b"), "b"},
			{"odd", f.Choice("odd", "a"), ""}, {"missing", f.Required("missing"), ""}, {"long", f.Limited("long", 2), "一二三"}, {"between", f.IntIn("n", 1, 5), 12},
		} {
			if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
				t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
			}
		}
		err := f.Err()
		if Status(err) != 422 || !f.Explain(err) {
			t.Fatalf("err %v", err)
		}
		want := map[string]string{"bad": "请填写整数。", "odd": "请从列表中选择。", "missing": "请填写此项。", "long": "最多 2 个字，现在是 3 个字。", "n": "请填写 1 到 5 之间的数。"}
		if fmt.Sprint(f.Errors) != fmt.Sprint(want) {
			t.Errorf("errors %v", f.Errors)
		}
		if f.Get("bad") != "1x" {
			t.Error("what was typed is lost")
		}
		if f.Explain(errors.New("x")) || f.Explain(fault.New(fault.Forbidden, "ui.error.forbidden")) {
			t.Error("explains what nobody can correct")
		}
		w.WriteHeader(204)
		return nil
	})
	if w := call(rt, "POST", "/x", body); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	rt.Handle("POST /plain", Public, func(w http.ResponseWriter, r *Request) error { return r.Input().Err() })
	if w := call(rt, "POST", "/plain", "%zz"); w.Code != 400 {
		t.Errorf("malformed body: %d", w.Code)
	}
}

func TestRoutesAreListed(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	rt.Handle("POST   /b/{id}", "b.do", nil)
	rt.Handle("GET /a", Public, nil)
	rt.Handle("DELETE /b/{id}", "b.do", nil)
	var got []string
	for _, r := range rt.Routes() {
		got = append(got, r.String())
	}
	want := "GET    /a  @public\nDELETE /b/{id}  b.do\nPOST   /b/{id}  b.do"
	if strings.Join(got, "\n") != want {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	defer func() {
		if recover() == nil {
			t.Error("a route without a permission was accepted")
		}
	}()
	rt.Handle("GET /c", "", nil)
}
