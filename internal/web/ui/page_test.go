package ui

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"bihuan/internal/authz"
	"bihuan/internal/web"
)

type nameView struct {
	Name string
	Form *web.Form
}

var testFiles = fstest.MapFS{
	"hello.html": {Data: []byte(`<h1 title="{{t "ui.close"}}">{{t "ui.home"}} {{.Name}}</h1>{{template "form" .}}`)},
	"form.html":  {Data: []byte(`{{define "form"}}{{problems .Form}}{{field .Form "name" "ui.search" "required" "hint=ui.add"}}{{end}}`)},
}

var helloPage = NewPage[nameView](testFiles, "hello.html", "form.html").Sample(nameView{Name: "王"})

// site answers every path with h as a signed-in person.
func site(h web.Handler, lang string) *web.Router {
	shell := &Shell{Nav: []Nav{{Key: "home", Href: "/", Icon: "home", LabelKey: "ui.home"}}}
	rt := web.New(web.Config{Shell: shell, Auth: []web.Authenticator{somebody{lang}}})
	shell.Routes(rt, web.SignedIn)
	rt.Handle("/x", web.SignedIn, h)
	return rt
}

type somebody struct{ lang string }

func TestFullPageAndFragment(t *testing.T) {
	t.Parallel()
	rt := site(func(w httpWriter, r *web.Request) error {
		return helloPage.Render(w, r, Chrome{Title: "T", Nav: "home"}, nameView{Name: "<王>"})
	}, "zh-CN")
	full := get(rt, "/x", nil).Body.String()
	for _, want := range []string{"<!DOCTYPE html>", "首页 &lt;王&gt;", `title="关闭"`, `class="rail"`, `aria-current="page"`} {
		if !strings.Contains(full, want) {
			t.Errorf("full page lacks %q", want)
		}
	}
	part := get(rt, "/x", map[string]string{"HX-Request": "true", "HX-Request-Type": "partial"}).Body.String()
	if strings.Contains(part, "<html") || !strings.Contains(part, "首页 &lt;王&gt;") {
		t.Errorf("fragment: %s", part)
	}
	back := get(rt, "/x", map[string]string{"HX-Request": "true", "HX-History-Restore-Request": "true"}).Body.String()
	if !strings.Contains(back, "<html") {
		t.Error("history restore must get the full page")
	}
}

func get(rt *web.Router, path string, header map[string]string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("GET", path, nil)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, req)
	return w
}

var _ = authz.User
