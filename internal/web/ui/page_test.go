package ui

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

type helloView struct {
	Name string
	At   time.Time
	Form *web.Form
}

var testFiles = fstest.MapFS{
	"hello.html": {Data: []byte(`<h1 title="{{t "ui.close"}}">{{t "ui.home"}} {{.Name}}</h1>{{ago .At}} {{timer .At 3600000000000}}{{template "form" .}}`)},
	"form.html":  {Data: []byte(`{{define "form"}}<form id="form">{{problems .Form}}{{field .Form "name" "ui.search" "required" "hint=ui.add"}}</form>{{end}}{{define "list"}}<b>{{.Name}}</b>{{end}}`)},
}

var helloPage = NewPage[helloView](testFiles, "hello.html", "form.html").Sample(helloView{Name: "王"})

// somebody signs everybody in as the same person.
type somebody struct{ lang i18n.Lang }

func (s somebody) Authenticate(*http.Request) (authz.Actor, bool, error) {
	return authz.Actor{Kind: authz.User, ID: 7, Name: "林晓雯", Lang: s.lang, Levels: map[authz.Permission]authz.Level{"x.may": authz.All}}, true, nil
}

func site(lang i18n.Lang, h web.Handler) *web.Router {
	shell := &Shell{
		Nav: []Nav{{Key: "home", Href: "/", Icon: "home", LabelKey: "ui.home"}, {Key: "may", Href: "/may", Icon: "user", LabelKey: "ui.edit", Perm: "x.may"},
			{Key: "not", Href: "/may-not", Icon: "user", LabelKey: "ui.edit", Perm: "x.may_not"}},
		Unread:   func(context.Context, authz.Actor) int { return 120 },
		Visitors: []string{"/shop/", "/c/"},
		Company:  func(context.Context) string { return "南粤<医疗>" },
	}
	rt := web.New(web.Config{Clock: clock.NewFake(noon), Shell: shell, Auth: []web.Authenticator{somebody{lang}}})
	shell.Routes(rt, "x.may")
	rt.Handle("/x", web.SignedIn, h)
	return rt
}

func call(rt http.Handler, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, req)
	return w
}

var partial = []string{"HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#x"}

func contains(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if no, is := strings.CutPrefix(w, "!"); is == strings.Contains(text, no) {
			t.Errorf("%s: %q in %s", what, w, text)
		}
	}
}

func TestFullPageAndFragment(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{Title: "标题", Nav: "home"}, helloView{Name: "<王>", At: noon.Add(-5 * time.Minute)})
	})
	full := call(rt, "GET", "/x", nil)
	contains(t, "full", full.Body.String(), "<!DOCTYPE html>", `lang="zh-CN"`, "<title>标题 · 南粤&lt;医疗&gt;</title>", `首页 &lt;王&gt;`, `title="关闭"`, `href="/" aria-current="page"`,
		`href="/may"`, "!/may-not", "99&#43;", "5 分钟前</time>", `title="2026-11-21 11:55"`, `class="over"`, "超时 00:05:00</sla-timer>", "!\uE000")
	if v := full.Header().Values("Vary"); !strings.Contains(strings.Join(v, ","), "HX-Request") || full.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", full.Header())
	}
	contains(t, "fragment", call(rt, "GET", "/x", nil, partial...).Body.String(), "!<html", "!<title", "首页 &lt;王&gt;")
	contains(t, "main", call(rt, "GET", "/x", nil, "HX-Request", "true", "HX-Target", "main#main").Body.String(), "!<html", "<title>标题</title>")
	contains(t, "select", call(rt, "GET", "/x", nil, "HX-Request", "true", "HX-Request-Type", "full").Body.String(), "<html")
	contains(t, "history", call(rt, "GET", "/x", nil, append([]string{"HX-History-Restore-Request", "true"}, partial...)...).Body.String(), "<html")

	en := site(i18n.En, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{Title: "T"}, helloView{At: noon.Add(-26 * time.Hour)})
	})
	contains(t, "English", call(en, "GET", "/x", nil).Body.String(), `lang="en"`, "Home", "1 d ago", "Overdue 1 d 2 h")
}

func TestSeveralParts(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Fragment(w, r, "form", helloView{Name: "王"}, Into("list", "#list", "innerMorph"))
	})
	contains(t, "parts", call(rt, "POST", "/x", nil, partial...).Body.String(), `<form id="form">`, `<hx-partial hx-target="#list" hx-swap="innerMorph"><b>王</b></hx-partial>`)
}

func TestInvalidForm(t *testing.T) {
	t.Parallel()
	bad := fault.Invalidf("ui.form.invalid").Field("name", "ui.form.too_long", 2, 3)
	for _, c := range []struct {
		err    error
		status int
		want   []string
	}{
		{bad, 422, []string{`value="一&#34;二"`, `aria-invalid="true"`, `aria-describedby="f-name-hint f-name-err"`, "最多 2 个字，现在是 3 个字。", `role="alert"`}},
		{fault.New(fault.Conflict, "ui.form.choice"), 409, []string{"请从列表中选择", `value="一&#34;二"`}},
		{fault.New(fault.NotFound, "ui.error.not_found"), 404, []string{"没有找到"}},
		{errors.New("disk full"), 500, []string{"错误编号", "!disk full"}},
	} {
		rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
			f := r.Input()
			return helloPage.Invalid(w, r, c.err, f, Chrome{}, helloView{Form: f})
		})
		w := call(rt, "POST", "/x", url.Values{"name": {`一"二`}}, "Accept", "text/html")
		if w.Code != c.status {
			t.Errorf("%v: %d", c.err, w.Code)
		}
		contains(t, c.err.Error(), w.Body.String(), append(c.want, "<html")...)
	}
}

func TestErrorsOfFragmentsAreToasts(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error { return errors.New("secret") })
	w := call(rt, "GET", "/x", nil, partial...)
	if w.Code != 500 || w.Header().Get("HX-Retarget") != "#toasts" || w.Header().Get("HX-Reswap") != "beforeend" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	contains(t, "toast", w.Body.String(), "!<html", "!secret", w.Header().Get("X-Request-Id"), `role="alert"`)
	contains(t, "unknown path", call(rt, "GET", "/none", nil, "Accept", "text/html").Body.String(), "<html", "404", `class="rail"`)
}

// A customer whose address is wrong is not sent to the staff's sign-in.
func TestErrorsOfVisitorsLeadToTheirOwnPages(t *testing.T) {
	t.Parallel()
	rt := web.New(web.Config{Clock: clock.NewFake(noon), Shell: &Shell{Visitors: []string{"/shop/", "/c/"}}})
	for path, home := range map[string]string{"/shop": "/shop", "/shop/x": "/shop", "/c/token": "/shop", "/cx": "/", "/shopping": "/"} {
		w := call(rt, "GET", path, nil, "Accept", "text/html")
		if w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
		contains(t, path, w.Body.String(), `<a class="btn primary" href="`+home+`">`)
	}
}

func TestFlashIsShownOnce(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{}, helloView{})
	})
	w := call(rt, "POST", "/admin/parts", url.Values{"do": {"flash"}})
	cookie := w.Result().Cookies()[0]
	next := call(rt, "GET", "/x", nil, "Cookie", cookie.Name+"="+cookie.Value)
	contains(t, "flash", next.Body.String(), "草稿已保存", `data-t="green"`)
	if gone := next.Result().Cookies(); len(gone) != 1 || gone[0].MaxAge >= 0 {
		t.Errorf("not cleared: %v", gone)
	}
}

func TestLanguageIsChosen(t *testing.T) {
	t.Parallel()
	w := call(site(i18n.ZhCN, nil), "POST", "/language", url.Values{"lang": {"en"}, "next": {"//evil.cn"}})
	if w.Code != 303 || w.Header().Get("Location") != "/" || w.Result().Cookies()[0].Value != "en" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// A first page with an empty cache must not cost more than 60 KB (the frame;
// what a room puts into it comes on top).
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{}, helloView{})
	})
	page := call(rt, "GET", "/x", nil)
	total := call(rt, "GET", "/x", nil, "Accept-Encoding", "gzip").Body.Len()
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`/static/[\w.-]+`).FindAllString(page.Body.String(), -1) {
		if seen[m] {
			continue
		}
		seen[m] = true
		w := call(rt, "GET", m, nil, "Accept-Encoding", "gzip")
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m, w.Code, w.Header())
		}
		total += w.Body.Len()
	}
	t.Logf("%d files, %d bytes", len(seen)+1, total)
	if total > 48<<10 {
		t.Errorf("the frame alone weighs %d bytes", total)
	}
	if w := call(rt, "GET", "/static/app.0000000000.css", nil); w.Code != 404 {
		t.Errorf("old name: %d", w.Code)
	}
}

func TestPartsPageWorksInBothLanguages(t *testing.T) {
	t.Parallel()
	for _, l := range i18n.Langs {
		w := call(site(l, nil), "GET", "/admin/parts", nil)
		if w.Code != 200 {
			t.Errorf("%s: %d", l, w.Code)
		}
		contains(t, string(l), w.Body.String(), "!⟦", "!%!", "!ZgotmplZ", "!style=")
	}
	w := call(site(i18n.ZhCN, nil), "POST", "/admin/parts", url.Values{"phone": {"12"}})
	if w.Code != 422 {
		t.Errorf("form: %d", w.Code)
	}
}

func TestMarkup(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\nb":                        "a<br>b",
		"<script>x</script>":          "&lt;script&gt;x&lt;/script&gt;",
		"见 https://x.cn/a?b=1&c=2。谢谢": `见 <a href="https://x.cn/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">https://x.cn/a?b=1&amp;c=2</a>。谢谢`,
		"(http://x.cn).":              `(<a href="http://x.cn" target="_blank" rel="noopener noreferrer nofollow">http://x.cn</a>).`,
		"javascript:alert(1)":         "javascript:alert(1)",
	} {
		if got := string(Markup(in)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestNumbersAndNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		num(1234567): "1,234,567", num(-123): "-123", num(int64(1000)): "1,000", num(4.50): "4.5", num(1234.567): "1,234.57",
		money(123450): "¥1,234.50", money(-5): "-¥0.05", percent(0.924): "92.4%", percent(1): "100%",
		Initial("欧阳明"): "欧", Initial("zhang"): "Z", Initial(""): "·", Size(1536): "1 KB", Size(3 << 20): "3.0 MB",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		off  time.Duration
		zh   string
		when string
	}{
		{0, "刚刚", "12:00"}, {-59 * time.Minute, "59 分钟前", "11:01"}, {-3 * time.Hour, "3 小时前", "09:00"}, {-13 * time.Hour, "13 小时前", "11-20 23:00"},
		{-50 * time.Hour, "2 天前", "11-19 10:00"}, {-400 * 24 * time.Hour, "2025-10-17", "2025-10-17"}, {90 * time.Minute, "1 小时后", "13:30"},
	} {
		at := noon.Add(c.off)
		if got := Ago(i18n.ZhCN, at, noon, web.Shanghai); got != c.zh {
			t.Errorf("ago %v: %s, want %s", c.off, got, c.zh)
		}
		if got := Short(at, noon, web.Shanghai); got != c.when {
			t.Errorf("when %v: %s, want %s", c.off, got, c.when)
		}
	}
}

func TestMarksTypedByPeopleAreHarmless(t *testing.T) {
	t.Parallel()
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{}, helloView{Name: "a\uE000<b>\uE001 \uE000x\uE002"})
	})
	contains(t, "marks", call(rt, "GET", "/x", nil).Body.String(), "首页 a x\uE002</h1>", "</html>")
}

func TestAttributesThePolicyForbids(t *testing.T) {
	t.Parallel()
	for _, o := range []string{"style=color:red", "onclick=x()", "onfocus=x", `a" b=c`} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", o)
				}
			}()
			parts{i18n.ZhCN}.field(nil, "a", "ui.add", o)
		}()
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d discard) WriteHeader(int)             {}

// A queue of 25 rows, the page drawn most often.
func BenchmarkQueueFragment(b *testing.B) {
	benchmark(b, partial)
}

func BenchmarkQueuePage(b *testing.B) { benchmark(b, nil) }

var benchFiles = fstest.MapFS{"queue.html": {Data: []byte(`<div class="rows">{{range .Rows}}<a class="row" id="q{{.ID}}" href="/tickets/{{.ID}}" hx-get="/tickets/{{.ID}}" hx-target="#ticket"{{if .Current}} aria-current="true"{{end}}><span class="r1"><span class="ttl">{{.Title}}</span>{{timer .Due $.Total}}</span><span class="r2">{{badge (tone .Priority) .PriorityWord}}<span class="cname">{{.Customer}}</span>{{level (tone .Level) .LevelWord}}</span><span class="r3">{{state (tone .State) .StateWord}}<span>{{.Owner}}</span><span class="grow"></span><span class="no">{{.No}}</span></span></a>{{end}}</div>`)}}

var benchPage = NewPage[partsView](benchFiles, "queue.html")

func benchmark(b *testing.B, headers []string) {
	v := sampleParts(nil, noon)
	for len(v.Rows) < 25 {
		v.Rows = append(v.Rows, v.Rows[0])
	}
	v.Rows = v.Rows[:25]
	rt := site(i18n.ZhCN, func(w http.ResponseWriter, r *web.Request) error {
		return benchPage.Render(w, r, Chrome{Title: "x", Nav: "home", Class: "ws"}, v)
	})
	req := httptest.NewRequest("GET", "/x", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	b.ReportAllocs()
	for b.Loop() {
		rt.ServeHTTP(discard{http.Header{}}, req)
	}
}
