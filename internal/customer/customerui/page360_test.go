package customerui_test

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// settle hands what was recorded to the listeners.
func (s *site) settle() {
	s.t.Helper()
	if err := s.follower.Drain(s.ctx); err != nil {
		s.t.Fatal(err)
	}
}

// send posts a form with one file.
func (s *site) send(who, path, name, content string, pairs ...string) (int, string) {
	s.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = m.WriteField(pairs[i], pairs[i+1])
	}
	f, err := m.CreateFormFile("file", name)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = f.Write([]byte(content))
	m.Close()
	req := httptest.NewRequest("POST", path, &b)
	req.Header.Set("As", who)
	req.Header.Set("Content-Type", m.FormDataContentType())
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// CUS-10: every tab has its address, is a page and a fragment, and is nowhere for
// who may not see the customer.
func TestTabs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		if code, body, _ := s.do("agent", "/customers", full()); code != 303 {
			t.Fatal(code, body)
		}
		for path, text := range map[string]string{"": "登记了客户", "/timeline": "登记了客户", "/tickets": "工单1", "/contacts": "0755-****3388", "/needs": "检测仪", "/files": "还没有文件",
			"/relations": "", "/standing": "", "/changes": "登记了客户", "/card": "137****8820"} {
			path = "/customers/1" + path
			code, body, _ := s.do("agent", path, nil)
			s.want(path, code, body, 200, "<html", text, "广州南粤", "!13712348820", "!科学城路", "!li@nanyue")
			code, body, _ = s.do("agent", "hx "+path, nil)
			s.want("fragment "+path, code, body, 200, "!<html", text, "!13712348820")
			for _, hx := range []string{"", "hx "} {
				code, body, _ = s.do("stranger", hx+path, nil)
				s.want("stranger "+hx+path, code, body, 404, "!南粤", "!8820", "!C2026")
			}
			code, body, _ = s.do("auditor", path, nil)
			s.want("auditor "+path, code, body, 200, "137****8820", `!action="/customers/1/fields`, `!action="/customers/1/follow-ups`, `!action="/customers/1/files`, `!action="/customers/1/people`, "!/edit\"")
		}
		// The log by field.
		code, body, _ := s.do("agent", "/customers/1/fields/region", form("version", "1", "region", "广东 深圳"))
		s.want("region", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/changes?field=region", nil)
		s.want("log", code, body, 200, "<del>广州</del>", "广东 深圳", "!登记了客户")
		code, body, _ = s.do("agent", "/customers/1/changes?field=contact.", nil)
		s.want("log", code, body, 200, "没有变更记录")

		// A ticket's reader sees whom it is for, nobody else does.
		code, body, _ = s.do("stranger", "hx /tickets/TASK1/card", nil)
		s.want("card of a ticket", code, body, 200, "广州南粤", "137****8820", "!13712348820")
		code, body, _ = s.do("stranger", "hx /tickets/TASK2/card", nil)
		s.want("card of no ticket", code, body, 404, "!南粤")
	})
}

// Fields are changed where they stand: each alone, with the version, with a reason
// where one is wanted.
func TestInPlace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		if code, body, _ := s.do("agent", "/customers", full()); code != 303 {
			t.Fatal(code, body)
		}
		code, body, _ := s.do("agent", "hx /customers/1/fields/region", nil)
		s.want("open", code, body, 200, `value="广州"`, `name="version" value="1"`, "!<html", "!name=\"reason\"")
		code, body, _ = s.do("agent", "hx /customers/1/fields/region?cancel=1", nil)
		s.want("closed", code, body, 200, "广州", "!<form")
		code, body, _ = s.do("agent", "/customers/1/fields/uscc", nil)
		s.want("without script", code, body, 200, "<html", `value="91110000600037341L"`, `name="reason"`)
		code, body, _ = s.do("agent", "hx /customers/1/fields/version", nil)
		s.want("no such field", code, body, 404)

		code, body, _ = s.do("agent", "hx /customers/1/fields/uscc", form("version", "1", "uscc", "91110000600037341N", "reason", "更正"))
		s.want("bad code", code, body, 422, "校验码不符", `value="91110000600037341N"`, "!<html")
		code, body, _ = s.do("agent", "hx /customers/1/fields/name", form("version", "1", "name", "广州南粤集团有限公司"))
		s.want("no reason", code, body, 422, "请填写修改原因")
		code, body, _ = s.do("agent", "hx /customers/1/fields/name", form("version", "1", "name", "广州南粤集团有限公司", "reason", "更名"))
		s.want("name", code, body, 200, "广州南粤集团有限公司", `hx-target="#chead"`, "!<form class=\"inform")
		code, body, _ = s.do("agent", "hx /customers/1/fields/region", form("version", "1", "region", "深圳"))
		s.want("stale", code, body, 409, "最新内容：广州", `value="深圳"`, `name="version" value="2"`)
		code, body, _ = s.do("agent", "hx /customers/1/fields/region", form("version", "2", "region", "深圳"))
		s.want("again", code, body, 200, "深圳")
		code, body, _ = s.do("agent", "/customers/1/fields/address", form("version", "3", "address", ""))
		s.want("address left alone", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1", nil)
		s.want("page", code, body, 200, "黄埔区****", "广州南粤集团", "深圳", "备注&lt;script&gt;", "赵强")
		code, body, _ = s.do("agent", "/customers/1/fields/address", form("version", "3", "clear_address", "1"))
		s.want("address emptied", code, body, 303)
		code, body, _ = s.do("agent", "hx /customers/1/fields/address?cancel=1", nil)
		s.want("field", code, body, 200, "（空）", "!黄埔区")

		for who, want := range map[string]int{"stranger": 404, "auditor": 403} {
			code, body, _ = s.do(who, "hx /customers/1/fields/region", form("version", "4", "region", "北京"))
			s.want(who, code, body, want)
			if who == "stranger" {
				code, body, _ = s.do(who, "hx /customers/1/fields/region", nil)
				s.want(who, code, body, 404, "!深圳")
			}
		}
	})
}

func TestPeople(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		if code, body, _ := s.do("agent", "/customers", full()); code != 303 {
			t.Fatal(code, body)
		}
		code, body, _ := s.do("agent", "hx /customers/1/people/2", nil)
		s.want("form", code, body, 200, `value="赵强"`, `placeholder="0755-****3388"`, "!<html", "!86013388")
		code, body, _ = s.do("agent", "/customers/1/people/2", form("version", "1", "contacts.0.name", "赵强", "contacts.0.position", "采购", "contacts.0.phone", "1371234"))
		s.want("bad phone", code, body, 422, "电话号码不正确", `value="采购"`)
		code, body, _ = s.do("agent", "/customers/1/people/2", form("version", "1", "contacts.0.name", "赵强", "contacts.0.position", "采购总监", "contacts.0.role", "decision", "primary", "0"))
		s.want("saved", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/contacts", nil)
		s.want("contacts", code, body, 200, "采购总监", "决策人", "0755-****3388", "137****8820")
		code, body, _ = s.do("agent", "/customers/1/people", form("version", "2"))
		s.want("empty", code, body, 422, "请填写联系人姓名")
		code, body, _ = s.do("agent", "/customers/1/people", form("version", "2", "contacts.0.name", "钱经理", "contacts.0.phone", "13512340000"))
		s.want("new", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/contacts", nil)
		s.want("contacts", code, body, 200, "钱经理", "135****0000")
		code, body, _ = s.do("agent", "/customers/1/people/3/reach", form("field", "phone", "why", "empty_number"))
		s.want("mark", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/contacts", nil)
		s.want("marked", code, body, 200, "空号或已停机", "电话已恢复")
		s.settle()
		code, body, _ = s.do("agent", "/customers/1", nil)
		s.want("flawed", code, body, 200, "联系方式已失效")
		code, body, _ = s.do("stranger", "/customers/1/people/3/reach", form("field", "phone", "why", ""))
		s.want("stranger", code, body, 404)
		code, body, _ = s.do("stranger", "/customers/1/people", form("version", "3", "contacts.0.name", "x", "contacts.0.phone", "13512340001"))
		s.want("stranger", code, body, 404)
	})
}

// Files are read by who sees the customer, restricted ones by who may change him.
func TestFiles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		if code, body, _ := s.do("agent", "/customers", full()); code != 303 {
			t.Fatal(code, body)
		}
		code, body := s.send("agent", "/customers/1/files", "说明.txt", "第一行\n<b>第二行</b>")
		s.want("text", code, body, 303)
		code, body = s.send("agent", "/customers/1/files", "合同.pdf", "%PDF-1.4\n%test", "restricted", "1")
		s.want("pdf", code, body, 303)
		code, body = s.send("agent", "/customers/files", "照片.png", "\x89PNG\r\n\x1a\n0000")
		s.want("upload", code, body, 201, `"id":3`)
		code, body, _ = s.do("agent", "/customers/1/files", form("file", "3"))
		s.want("attach", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/files", form("file", "3"))
		s.want("not twice", code, body, 404)
		code, body, _ = s.do("agent", "/customers/1/files", form())
		s.want("nothing", code, body, 422, "请先选择文件")

		code, body, _ = s.do("agent", "/customers/1/files", nil)
		s.want("files", code, body, 200, "说明.txt", "合同.pdf", "照片.png", "受限", "林晓雯", `src="/files/3"`)
		code, body, _ = s.do("auditor", "/customers/1/files", nil)
		s.want("auditor", code, body, 200, "说明.txt", "!合同.pdf", "另有文件仅限", `!name="do"`)
		code, body, _ = s.do("agent", "/customers/1/files/1", nil)
		s.want("preview", code, body, 200, "&lt;b&gt;第二行", "第一行", "<html")
		code, body, _ = s.do("agent", "hx /customers/1/files/2", nil)
		s.want("preview", code, body, 200, `<iframe src="/customers/1/files/2/pdf"`, "!<html")
		code, body, h := s.do("agent", "/customers/1/files/2/pdf", nil)
		s.want("pdf", code, body, 200, "%PDF")
		if p := h.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || !strings.Contains(p, "frame-ancestors 'self'") {
			t.Error(p)
		}
		code, body, _ = s.do("agent", "/customers/1/files/1/pdf", nil)
		s.want("text is no pdf", code, body, 404)
		for _, path := range []string{"/customers/1/files/2", "/customers/1/files/2/pdf"} {
			code, body, _ = s.do("auditor", path, nil)
			s.want("auditor "+path, code, body, 403, "!合同")
			code, body, _ = s.do("stranger", path, nil)
			s.want("stranger "+path, code, body, 404, "!合同")
		}
		code, body, _ = s.do("auditor", "/customers/1/files/1", form("do", "remove"))
		s.want("auditor removes", code, body, 403)
		code, body, _ = s.do("agent", "/customers/1/files/2", form("do", "open"))
		s.want("open", code, body, 303)
		code, body, _ = s.do("auditor", "/customers/1/files/2", nil)
		s.want("auditor", code, body, 200, "合同.pdf")
		code, body, _ = s.do("agent", "/customers/1/files/2", form("do", "remove"))
		s.want("remove", code, body, 303)
		code, body, _ = s.do("agent", "/customers/1/files/2", nil)
		s.want("removed", code, body, 404)
		code, body, _ = s.do("agent", "/customers/1/files", nil)
		s.want("files", code, body, 200, "!合同.pdf")
		// A file of something else is none of the customer's.
		err := action.NewRunner(d, nil).Do(s.ctx, s.actors["agent"], "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			_, err := a.Exec(ctx, `UPDATE files SET owner_id = 2 WHERE id = 1`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		code, body, _ = s.do("agent", "/customers/1/files/1", nil)
		s.want("another's", code, body, 404)
	})
}

// RPT-8 in the browser.
func TestQualityPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		code, body, _ := s.do("head", "/customers/quality", nil)
		s.want("nothing yet", code, body, 200, "这里还没有客户")
		in := full()
		in.Del("uscc")
		if code, body, _ := s.do("agent", "/customers", in); code != 303 {
			t.Fatal(code, body)
		}
		s.settle()
		if err := s.s.CheckQuality(s.ctx); err != nil {
			t.Fatal(err)
		}
		code, body, _ = s.do("head", "/customers/quality", nil)
		s.want("figures", code, body, 200, "完整性", "缺少信用代码", "企业客户没有填写统一社会信用代码", "/customers/quality/records?code=no_uscc", "客服部", "口径第 1 版", "2026-11")
		code, body, _ = s.do("head", "/customers/quality?department=1", nil)
		s.want("department", code, body, 200, "code=no_uscc&amp;department=1", "看全部")
		code, body, _ = s.do("head", "/customers/quality?owner=-1", nil)
		s.want("nobody", code, body, 200, "owner=-1", "暂无负责人")
		code, body, _ = s.do("head", "/customers/quality/records?code=no_uscc", nil)
		s.want("records", code, body, 200, "广州南粤", "对照营业执照补填", "/customers/1/fields/uscc", "缺少信用代码")
		code, body, _ = s.do("auditor", "/customers/quality/records?code=completeness", nil)
		s.want("auditor", code, body, 200, "广州南粤", "!/fields/uscc")
		code, body, _ = s.do("head", "/customers/quality/records?code=bad_phone", nil)
		s.want("none", code, body, 200, "没有这样的资料", "!广州南粤")
		code, body, _ = s.do("head", "/customers/quality/records?code=x", nil)
		s.want("unknown", code, body, 404)
		code, body, _ = s.do("head", "/customers/quality/records", nil)
		s.want("no code", code, body, 303)
		for _, path := range []string{"/customers/quality", "/customers/quality/records?code=no_uscc"} {
			code, body, _ = s.do("agent", path, nil)
			s.want("agent", code, body, 403, "!广州南粤")
		}
		code, body, _ = s.do("agent", "/customers/1", nil)
		s.want("page", code, body, 200, "资料问题", "缺少信用代码")
	})
}
