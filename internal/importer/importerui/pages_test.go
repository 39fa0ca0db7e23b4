package importerui

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/importer"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

type signedIn struct{ actor authz.Actor }

func (s signedIn) Authenticate(*http.Request) (authz.Actor, bool, error) { return s.actor, true, nil }

type browser struct {
	t    *testing.T
	rt   *web.Router
	jobs *job.Queue
}

func (b *browser) do(r *http.Request) (status int, body string, to string) {
	b.t.Helper()
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w := httptest.NewRecorder()
	b.rt.ServeHTTP(w, r)
	if s := w.Body.String(); strings.Contains(s, "⟦") {
		b.t.Errorf("%s: a text is missing: %s", r.URL, s[strings.Index(s, "⟦"):][:60])
	}
	return w.Code, w.Body.String(), w.Header().Get("Location")
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	status, body, _ := b.do(httptest.NewRequest("GET", path, nil))
	return status, body
}

func (b *browser) post(path string, pairs ...string) (int, string, string) {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (b *browser) upload(kind, name string, content io.Reader) (int, string, string) {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("kind", kind)
	if name != "" {
		f, err := w.CreateFormFile("file", name)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.Copy(f, content); err != nil {
			b.t.Fatal(err)
		}
	}
	w.Close()
	r := httptest.NewRequest("POST", "/imports", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(r)
}

func open(t *testing.T) *browser {
	t.Helper()
	d, c := dbtest.New(t)
	ctx := context.Background()
	run := action.NewRunner(d, nil)
	keys, err := crypt.New()
	if err != nil {
		t.Fatal(err)
	}
	o, cs := org.New(run), customer.New(run, keys)
	store, err := blob.OpenFolder(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	files := blob.NewFiles(run, store, 0)
	b := &browser{t: t, jobs: job.New(d, job.Config{})}
	s := importer.New(run, o, cs, ticket.New(run, o, cs, files, keys, sla.New(run)), files, b.jobs)
	var id int64
	err = run.Do(ctx, authz.System("test"), "seed", func(ctx context.Context, a *action.Action) error {
		if err := o.Seed(ctx, a); err != nil {
			return err
		}
		role, err := o.RoleByCode(ctx, a, authz.RoleAdmin)
		if err != nil {
			return err
		}
		dept, _, err := o.DepartmentByName(ctx, a, "客服部")
		if err != nil {
			return err
		}
		id, err = o.AddUser(ctx, a, org.UserInput{Login: "lin", Name: "林晓雯", DepartmentID: dept.ID, RoleIDs: []int64{role}}, "", false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	actor, err := o.Actor(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	actor.MustChange = false
	b.rt = web.New(web.Config{Clock: c, Auth: []web.Authenticator{signedIn{actor}}, Shell: &ui.Shell{}})
	Routes(b.rt, s, o)
	return b
}

func contains(t *testing.T, body string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

// TestImport is the way of somebody who brings his table: the heading of one
// column is strange, two rows are bad.
func TestImport(t *testing.T) {
	t.Parallel()
	b := open(t)
	status, body := b.get("/imports")
	if status != 200 {
		t.Fatalf("list: %d", status)
	}
	contains(t, body, "客户信息登记表", "50 MB", "还没有导入过表格")

	var table bytes.Buffer
	w := csv.NewWriter(&table)
	w.Write([]string{"客户名称", "打给谁", "客户等级", "内部代码"})
	w.Write([]string{"<b>坏</b>有限公司", "13800000000", "VIP", "x"})
	w.Write([]string{"乙有限公司", "不是电话", "普通", "x"})
	for i := range 30 {
		w.Write([]string{fmt.Sprintf("第%d有限公司", i), fmt.Sprintf("139%08d", i), "普通", "x"})
	}
	w.Flush()
	status, _, to := b.upload("customers", "客户.csv", bytes.NewReader(table.Bytes()))
	if status != 303 || to != "/imports/1" {
		t.Fatalf("upload: %d %s", status, to)
	}
	_, body = b.get(to)
	contains(t, body, "缺少必需的列：联系方式（或邮箱）", "打给谁", "&lt;b&gt;坏", "这些列不认识，不会导入：打给谁、内部代码")
	// The trial is refused while a required column is missing, in place.
	setup := []string{"sheet_was", "", "header_was", "1", "header", "1", "unknown", "report", "c0", "name", "c2", "level", "c3", ""}
	status, body, _ = b.post("/imports/1/setup", append(setup, "c1", "", "do", "check")...)
	if status != 422 {
		t.Errorf("check without a column: %d", status)
	}
	contains(t, body, "缺少必需的列")
	status, _, to = b.post("/imports/1/setup", append(setup, "c1", "phone", "do", "preview")...)
	if status != 303 {
		t.Fatalf("preview: %d", status)
	}
	_, body = b.get(to)
	contains(t, body, "可导入", "不能导入", "不是有效的电话或邮箱：不是电话")
	if strings.Contains(body, "缺少必需的列") {
		t.Error("the column is still missed")
	}
	status, _, _ = b.post("/imports/1/setup", append(setup, "c1", "phone", "do", "check")...)
	if status != 303 {
		t.Fatalf("check: %d", status)
	}
	_, body = b.get("/imports/1")
	contains(t, body, "正在检查全部数据", `http-equiv="refresh"`)
	if _, err := b.jobs.RunDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, body = b.get("/imports/1")
	contains(t, body, "31 行可以导入", "开始导入", "不是有效的电话或邮箱：不是电话")
	if status, _, _ := b.post("/imports/1/start"); status != 303 {
		t.Fatalf("start: %d", status)
	}
	if status, _, _ := b.post("/imports/1/start"); status != 409 {
		t.Errorf("start again: %d", status)
	}
	// The part that refreshes itself.
	r := httptest.NewRequest("GET", "/imports/1", nil)
	r.Header.Set("HX-Request", "true")
	r.Header.Set("HX-Request-Type", "partial")
	r.Header.Set("HX-Target", "section#progress")
	status, body, _ = b.do(r)
	if status != 200 || !strings.HasPrefix(strings.TrimSpace(body), `<section class="card" id="progress"`) {
		t.Errorf("progress: %d %.200s", status, body)
	}
	if _, err := b.jobs.RunDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, body = b.get("/imports/1")
	contains(t, body, "导入完成，共导入 31 行", "/imports/1/result")
	status, body = b.get("/imports/1/result")
	if status != 200 || !strings.Contains(body, "未导入,联系方式不是有效的电话或邮箱：不是电话") {
		t.Errorf("result: %d %.300s", status, body)
	}
	_, body = b.get("/imports")
	contains(t, body, "客户.csv", "已完成")
	if status, body = b.get("/import-templates/tickets"); status != 200 || !strings.HasPrefix(body, "PK") {
		t.Errorf("template: %d", status)
	}
	if status, _ = b.get("/imports/99"); status != 404 {
		t.Errorf("unknown import: %d", status)
	}
}

// zeros is a long stream of nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBadUploads(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, c := range []struct {
		name    string
		content io.Reader
		want    string
		status  int
	}{
		{"", nil, "请选择要导入的文件", 422},
		{"empty.csv", strings.NewReader(""), "文件里没有数据", 422},
		{"photo.xlsx", strings.NewReader("\x89PNG\r\n\x1a\n\x00\x00"), "这不是表格文件", 422},
		{"broken.xlsx", strings.NewReader("PK\x03\x04broken"), "文件已损坏", 422},
		{"large.csv", io.LimitReader(zeros{}, 52<<20), "文件不能超过 50 MB，这个文件是 52 MB", 422},
	} {
		status, body, _ := b.upload("customers", c.name, c.content)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d, lacks %q", c.name, status, c.want)
		}
	}
	status, _, to := b.upload("tickets", "wrong.csv", strings.NewReader("\xd0\xd5\xc9\xf5,\xb5\xd8\xd6\xb7\r\n1,2\r\n")) // GBK
	if status != 303 {
		t.Fatalf("wrong heading: %d", status)
	}
	_, body := b.get(to)
	contains(t, body, "没有找到“服务任务分配表”的表头", "客户ID（或客户名称）", "姓甚")
}
