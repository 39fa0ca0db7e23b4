package customerui_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/setting"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

// site is the pages over HTTP; who asks is the actor named in the header As.
type site struct {
	t     *testing.T
	ctx   context.Context
	d     *db.DB
	s     *customer.Service
	files *blob.Files

	follower *event.Follower

	actors map[string]authz.Actor
	h      http.Handler
}

func (s *site) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	a, ok := s.actors[r.Header.Get("As")]
	return a, ok, nil
}

type tickets struct{}

func (t tickets) OpenOfCustomer(ctx context.Context, a authz.Actor, l i18n.Lang, id int64, limit int) ([]customerui.TicketRow, error) {
	return t.OfCustomer(ctx, a, l, id, 0, limit)
}

func (tickets) OfCustomer(_ context.Context, _ authz.Actor, _ i18n.Lang, id, _ int64, _ int) ([]customerui.TicketRow, error) {
	return []customerui.TicketRow{{Href: "/tickets/1", Number: "TASK1", Title: fmt.Sprintf("工单%d", id), State: "处理中", StateTone: "blue"}}, nil
}

func newSite(t *testing.T, d *db.DB, c *clock.Fake) *site {
	t.Helper()
	keys, err := crypt.New()
	if err != nil {
		t.Fatal(err)
	}
	run := action.NewRunner(d, nil)
	s := &site{t: t, ctx: context.Background(), d: d, s: customer.New(run, keys), actors: map[string]authz.Actor{}}
	err = d.Write(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, q := range []string{
			`INSERT INTO departments (id, name, created_at) VALUES (1, '客服部', 0), (2, '售后部', 0)`,
			`INSERT INTO users (id, login, name, department_id, created_at) VALUES (1, 'lin', '林晓雯', 1, 0), (2, 'zhou', '周师傅', 2, 0), (3, 'wang', '王部长', 1, 0), (4, 'shen', '审计员', 1, 0)`,
		} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, role string
		id, dept   int64
	}{{"agent", authz.RoleAgent, 1, 1}, {"stranger", authz.RoleAgent, 2, 2}, {"head", authz.RoleHead, 3, 1}, {"auditor", authz.RoleAuditor, 4, 1}} {
		a := authz.Actor{Kind: authz.User, ID: x.id, Name: x.name, DepartmentID: x.dept, Teams: []int64{x.dept}, Under: []int64{x.dept}, Lang: i18n.ZhCN, Levels: map[authz.Permission]authz.Level{}}
		for _, def := range authz.Defs() {
			if l := def.Default[x.role]; l > authz.None {
				a.Levels[def.Permission] = l
			}
		}
		s.actors[x.name] = a
	}
	rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{s}, Shell: &ui.Shell{}})
	store, err := blob.OpenFolder(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.files = blob.NewFiles(run, store, 0)
	s.files.Authorize(customer.FileOwner, s.s.MayReadFile)
	customerui.Routes(rt, customerui.Config{Customers: s.s, Org: org.New(run), Tickets: tickets{}, NewTicket: "/tickets/new", PermNew: customer.PermView, Files: s.files, PermTicket: customer.PermView,
		CustomerOfTicket: func(ctx context.Context, a authz.Actor, number string) (customer.Customer, error) {
			if number != "TASK1" {
				return customer.Customer{}, fault.New(fault.NotFound, "customer.not_found")
			}
			return s.s.Card(ctx, d.Read(), 1)
		}})
	s.follower = event.NewFollower(d)
	s.follower.Listen(s.s.QualityListener())
	s.h = rt
	return s
}

// do asks as who and returns status and body; form nil is a GET. path may begin
// with "hx " for a request from the script.
func (s *site) do(who, path string, form url.Values) (int, string, http.Header) {
	s.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	path, hx := strings.CutPrefix(path, "hx ")
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("As", who)
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if hx {
		req.Header.Set("HX-Request", "true")
		if target := form.Get("target"); target != "" {
			req.Header.Set("HX-Target", "div#"+target)
		}
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, req)
	b, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(b), w.Header()
}

// want fails unless status and texts are as said; "!x" must not occur.
func (s *site) want(name string, code int, body string, status int, texts ...string) {
	s.t.Helper()
	if code != status {
		s.t.Errorf("%s: status %d, want %d\n%.600s", name, code, status, body)
	}
	for _, x := range texts {
		if not, ok := strings.CutPrefix(x, "!"); ok {
			if strings.Contains(body, not) {
				s.t.Errorf("%s: shows %q", name, not)
			}
		} else if !strings.Contains(body, x) {
			s.t.Errorf("%s: lacks %q", name, x)
		}
	}
	if strings.Contains(body, "⟦") {
		s.t.Errorf("%s: %s", name, regexp.MustCompile(`⟦[^⟧]*`).FindString(body))
	}
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func full() url.Values {
	return form("type", "company", "name", "广州南粤医疗器械有限公司", "uscc", "91110000600037341L", "industry", "C39", "level", "vip", "source", "exhibition",
		"department_id", "1", "first_contact", "2026-11-18", "region", "广州", "address", "广东省广州市黄埔区科学城路88号", "contacts", "2", "primary", "0",
		"contacts.0.name", "黎嘉敏", "contacts.0.gender", "female", "contacts.0.phone", "137 1234 8820", "contacts.0.email", "li@nanyue.com",
		"contacts.1.name", "赵强", "contacts.1.phone", "0755-86013388", "need.product", "检测仪", "remark", "备注<script>")
}

func TestFlow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		code, body, _ := s.do("agent", "/customers", nil)
		s.want("empty list", code, body, 200, "还没有客户", "/customers/new")
		code, body, _ = s.do("agent", "/customers/new", nil)
		s.want("form", code, body, 200, `name="uscc"`, `value="2026-11-19"`, "客服部", "信息传输")

		// A form that fails comes back as it was typed, each message at its field.
		bad := full()
		bad.Set("uscc", "91110000600037341N")
		bad.Set("contacts.0.phone", "1371234")
		code, body, _ = s.do("agent", "/customers", bad)
		s.want("bad form", code, body, 422, "91110000600037341N", "1371234", "校验码不符", "电话号码不正确", "赵强", "科学城路88号", "备注&lt;script&gt;", `id="c0-phone-err"`, "检测仪", `value="2026-11-18"`)

		code, body, h := s.do("agent", "/customers", full())
		s.want("create", code, body, 303)
		home := h.Get("Location")
		code, body, _ = s.do("agent", home, nil)
		s.want("page", code, body, 200, "广州南粤医疗器械有限公司", "C202611190001", "137****8820", "l***@nanyue.com", "赵强", "黄埔区****", "计算机、通信和其他电子设备制造业", "登记了客户", "!检测仪",
			"备注&lt;script&gt;", "/tickets/new?customer=1", "!13712348820", "!科学城路", "!li@nanyue")
		code, body, _ = s.do("auditor", home, nil)
		s.want("auditor's page", code, body, 200, "137****8820", "!/values", "!/edit", "!follow-ups")
		code, body, _ = s.do("stranger", home, nil)
		s.want("stranger", code, body, 404, "!南粤")

		// Duplicates while typing, and on save.
		code, body, _ = s.do("agent", "hx /customers/check", form("type", "company", "name", "南粤", "contacts.0.phone", "13712348820", "duplicate_reason", "分公司"))
		s.want("check", code, body, 200, "广州南粤医疗器械有限公司", "电话相同", `value="分公司"`, "!<html")
		code, body, _ = s.do("stranger", "hx /customers/check", form("type", "company", "contacts.0.phone", "13712348820", "uscc", "91110000600037341"))
		s.want("check elsewhere", code, body, 200, "已存在于其他部门，请联系 客服部", "应为 18 位", "!南粤", "!C2026", "!/customers/1")
		again := full()
		again.Del("uscc")
		again.Set("name", "另一个名字")
		code, body, _ = s.do("agent", "/customers", again)
		s.want("duplicate", code, body, 409, "广州南粤医疗器械有限公司", "另一个名字", `name="duplicate_reason"`, "赵强")
		again.Set("duplicate_reason", "分公司独立核算")
		code, body, _ = s.do("agent", "/customers", again)
		s.want("with reason", code, body, 303)

		// One more contact, without and with a script.
		more := full()
		code, body, _ = s.do("agent", "/customers/contacts", more)
		s.want("more contacts", code, body, 200, `name="contacts.2.phone"`, "137 1234 8820", "科学城路88号", "<html")
		code, body, _ = s.do("agent", "hx /customers/contacts", more)
		s.want("more contacts", code, body, 200, `name="contacts.2.phone"`, "137 1234 8820", "!<html")

		// Search and filters.
		for path, want := range map[string][]string{
			"/customers?q=8820":               {"广州南粤", "电话后四位"},
			"/customers?q=gznyyl":             {"广州南粤", "拼音首字母", "!另一个名字"},
			"/customers?q=zzz":                {"没有找到"},
			"/customers?level=vip&industry=C": {"广州南粤"},
			"/customers?level=strategic":      {"没有符合条件"},
			"/customers?q=" + url.QueryEscape("南粤") + "&level=strategic": {"没有找到"},
			"/customers?after=nonsense&tag=x&owner=y&sort=z":             {"广州南粤"},
			"/customers/suggest?q=8820":                                  {`"id":1`, "137****8820"},
		} {
			code, body, _ = s.do("agent", path, nil)
			s.want(path, code, body, 200, append(want, "!13712348820")...)
			code, body, _ = s.do("stranger", path, nil)
			s.want("stranger "+path, code, body, 200, "!广州南粤", "!8820 ")
		}

		// Reveal: one value, logged; with a reason when the administrator wants it.
		code, body, h = s.do("agent", "hx "+home+"/values", form("contact", "1", "field", "phone"))
		s.want("reveal", code, body, 200, "13712348820", "tel:13712348820", "本次查看已记录", "!<html")
		if h.Get("Cache-Control") != "no-store" {
			t.Error(h)
		}
		code, body, _ = s.do("agent", home+"/values", form("field", "address"))
		s.want("reveal without script", code, body, 200, "科学城路88号", "<html")
		code, body, _ = s.do("auditor", home+"/values", form("contact", "1", "field", "phone"))
		s.want("auditor", code, body, 403, "!1371234")
		code, body, _ = s.do("stranger", home+"/values", form("contact", "1", "field", "phone"))
		s.want("stranger", code, body, 404, "!1371234")
		code, body, _ = s.do("agent", home+"?show=change", nil)
		s.want("change log", code, body, 200, "查看了敏感信息明文", "137****8820", "!13712348820")
		err := d.Write(s.ctx, func(ctx context.Context, tx *db.Tx) error {
			return setting.Write(ctx, tx, "customer.reveal_reason", true)
		})
		if err != nil {
			t.Fatal(err)
		}
		code, body, _ = s.do("agent", "hx "+home+"/values", form("contact", "1", "field", "phone"))
		s.want("no reason", code, body, 422, "请填写查看原因", `name="reason"`, "!13712348820")
		code, body, _ = s.do("agent", "hx "+home+"/values", form("contact", "1", "field", "phone", "reason", "回访"))
		s.want("with reason", code, body, 200, "13712348820")

		// Edit: sensitive values stay when left empty; a stale form is shown both.
		code, body, _ = s.do("agent", home+"/edit", nil)
		s.want("edit", code, body, 200, `placeholder="137****8820"`, `name="version" value="1"`, `value="黎嘉敏"`, "!13712348820", "!li@nanyue")
		edit := form("customer", "1", "version", "1", "type", "company", "name", "广州南粤集团有限公司", "uscc", "91110000600037341L", "industry", "C39", "level", "vip", "source", "exhibition",
			"department_id", "1", "first_contact", "2026-11-18", "region", "广州", "contacts", "2", "primary", "0", "contacts.0.id", "1", "contacts.0.name", "黎嘉敏", "contacts.0.gender", "female",
			"contacts.1.id", "2", "contacts.1.name", "赵强", "remark", "备注<script>")
		code, body, _ = s.do("agent", home, edit)
		s.want("no reason", code, body, 422, "请填写修改原因", "广州南粤集团有限公司")
		edit.Set("reason", "更名")
		code, body, _ = s.do("agent", home, edit)
		s.want("save", code, body, 303)
		code, body, _ = s.do("agent", home, nil)
		s.want("saved", code, body, 200, "广州南粤集团有限公司", "137****8820", "<del>广州南粤医疗器械有限公司</del>", "更名")
		edit.Set("name", "第三个名字")
		code, body, _ = s.do("head", home, edit)
		s.want("stale", code, body, 409, "第三个名字", "最新内容：广州南粤集团有限公司", `name="version" value="2"`)

		// Follow-ups and needs on the page.
		code, body, _ = s.do("agent", home+"/follow-ups", form("method", "phone", "body", "", "next_plan", "周五再打电话"))
		s.want("empty follow-up", code, body, 422, "请填写跟进内容", "周五再打电话")
		code, body, _ = s.do("agent", home+"/follow-ups", form("method", "phone", "body", "14:20 电话黎总监，已寄出新主板 SF123，她同意周五前验收", "next_plan", "周五回访", "next_at", "2026-11-20T15:00"))
		s.want("follow-up", code, body, 303)
		code, body, _ = s.do("agent", home+"?show=follow_up", nil)
		s.want("follow-ups", code, body, 200, "已寄出新主板", "周五回访", "!登记了客户")
		code, body, _ = s.do("auditor", home+"/follow-ups", form("method", "phone", "body", "x"))
		s.want("auditor", code, body, 403)
		code, body, _ = s.do("agent", home+"/needs", form("need.urgency", ""))
		s.want("empty need", code, body, 422, "请至少填写一项需求内容")
		code, body, _ = s.do("agent", home+"/needs", form("need.description", "年度校准合同"))
		s.want("need", code, body, 303)

		// Tags: the list, many at once, one customer.
		code, body, _ = s.do("agent", "/admin/tags", nil)
		s.want("agent", code, body, 403)
		code, body, _ = s.do("head", "/admin/tags", form("name", "", "colour", "red"))
		s.want("no name", code, body, 422, "请填写标签名称")
		code, body, _ = s.do("head", "/admin/tags", form("name", "重点客户", "colour", "red"))
		s.want("tag", code, body, 303)
		code, body, h = s.do("agent", "/customers/tags", form("id", "1", "id", "2", "tag", "1", "do", "add", "back", "//evil.example"))
		s.want("bulk", code, body, 303)
		if h.Get("Location") != "/customers" {
			t.Error(h.Get("Location"))
		}
		code, body, _ = s.do("agent", "/customers?tag=1", nil)
		s.want("tagged", code, body, 200, "广州南粤集团", "另一个名字")
		code, body, _ = s.do("agent", home+"/tags", form())
		s.want("untag", code, body, 303)
		code, body, _ = s.do("agent", "/customers?tag=1", nil)
		s.want("untagged", code, body, 200, "!广州南粤集团", "另一个名字")
		code, body, _ = s.do("head", "/admin/tags?edit=1", nil)
		s.want("edit tag", code, body, 200, `value="重点客户"`)
		code, body, _ = s.do("head", "/admin/tags/1/deletion", form())
		s.want("delete tag", code, body, 303)
	})
}

// Nothing but the pages' own address answers for odd ids.
func TestOddAddresses(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	s := newSite(t, d, c)
	for _, path := range []string{"/customers/0", "/customers/x", "/customers/-1", "/customers/99", "/customers/99/edit", "/customers/99999999999999999999"} {
		code, body, _ := s.do("agent", path, nil)
		s.want(path, code, body, 404)
	}
	if code, body, _ := s.do("nobody", "/customers", nil); code != 303 {
		t.Error(code, body)
	}
}
