package fieldui_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

type somebody struct{ lang *i18n.Lang }

func (s somebody) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	a := authz.Actor{Kind: authz.User, ID: 1, Name: "x", Lang: *s.lang, Levels: map[authz.Permission]authz.Level{}}
	if r.Header.Get("As") == "admin" {
		a.Levels[field.PermManage] = authz.All
	}
	return a, true, nil
}

// An administrator adds, orders, changes and switches off fields.
func TestAdministration(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		lang := i18n.ZhCN
		run := action.NewRunner(d, nil)
		s := field.New(run)
		rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{somebody{&lang}}, Shell: &ui.Shell{}})
		fieldui.Routes(rt, s, org.New(run))
		do := func(who, path string, form url.Values, status int, texts ...string) http.Header {
			t.Helper()
			method := "GET"
			if form != nil {
				method = "POST"
			}
			r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
			r.Header.Set("As", who)
			r.Header.Set("Accept", "text/html")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			rt.ServeHTTP(w, r)
			b, _ := io.ReadAll(w.Result().Body)
			if w.Code != status {
				t.Fatalf("%s: status %d, want %d: %.500s", path, w.Code, status, b)
			}
			for _, x := range texts {
				if no, ok := strings.CutPrefix(x, "!"); ok == strings.Contains(string(b), no) {
					t.Errorf("%s: %q", path, x)
				}
			}
			return w.Header()
		}
		do("nobody", "/admin/fields", nil, 403)
		do("nobody", "/admin/fields", url.Values{"label": {"x"}}, 403)
		do("admin", "/admin/fields", nil, 200, "还没有自定义字段", "新增客户字段")
		do("admin", "/admin/fields?object=ticket", nil, 200, "新增工单字段")
		do("admin", "/admin/fields/new?object=contact", nil, 200, "新增联系人字段", `name="options.2.zh"`)
		do("admin", "/admin/fields", url.Values{"object": {"customer"}, "kind": {"choice"}, "label": {""}, "options": {"2"}, "options.0.zh": {"甲"}, "options.1.zh": {"甲"}}, 422,
			"请填写字段名称", "选项“甲”重复了", `value="甲"`)
		form := url.Values{"object": {"customer"}, "kind": {"choice"}, "label": {"会员级别"}, "label_en": {"Tier"}, "options": {"2"}, "options.0.zh": {"甲"}, "options.1.zh": {"乙"}, "default": {"乙"}, "types": {"company"}, "required": {"1"}}
		if to := do("admin", "/admin/fields", form, 303).Get("Location"); to != "/admin/fields?object=customer" {
			t.Errorf("leads to %s", to)
		}
		do("admin", "/admin/fields", url.Values{"object": {"customer"}, "kind": {"date"}, "label": {"生日"}}, 303)
		do("admin", "/admin/fields", nil, 200, "会员级别", "Tier", "tier", "2 个选项", "企业客户", "必填", "生日")
		fs, err := s.Fields(context.Background(), field.Customer)
		if err != nil || len(fs) != 2 || fs[0].Default != "yi" {
			t.Fatalf("%+v %v", fs, err)
		}
		do("admin", "/admin/fields/1", nil, 200, `value="会员级别"`, `value="jia"`, `value="乙"`, "用于接口、导入和导出，不能修改")
		// Rows of options without a script.
		edit := url.Values{"field": {"1"}, "label": {"还没存"}, "kind": {"choice"}, "options": {"2"}, "options.0.zh": {"甲"}, "options.0.code": {"jia"}, "options.1.zh": {"乙"}, "options.1.code": {"yi"}}
		do("admin", "/admin/fields/options?do=add", edit, 200, `name="options.2.zh"`, `value="还没存"`)
		do("admin", "/admin/fields/options?do=up.1", edit, 200, `name="options.0.zh" type="text" value="乙"`)
		do("admin", "/admin/fields/options?do=remove.0", edit, 200, `name="options.0.zh" type="text" value="乙"`, `!name="options.1.zh"`)
		do("admin", "/admin/fields/options?do=up.99", edit, 200, `name="options.1.zh"`)
		do("admin", "/admin/fields/1", url.Values{"version": {"1"}, "label": {"会员等级"}, "kind": {"choice"}, "options": {"1"}, "options.0.code": {"yi"}, "options.0.zh": {"乙等"}}, 303)
		do("admin", "/admin/fields/1", url.Values{"version": {"1"}, "label": {"慢了"}, "kind": {"choice"}, "options": {"1"}, "options.0.code": {"yi"}, "options.0.zh": {"乙"}}, 409, "有人刚刚修改过", `value="慢了"`, `name="version" value="2"`)
		do("admin", "/admin/fields/2/position", url.Values{"to": {"up"}}, 303)
		do("admin", "/admin/fields/2/deactivation", url.Values{}, 303)
		do("admin", "/admin/fields", nil, 200, "已停用（1）", "生日")
		do("admin", "/admin/fields/2/reactivation", url.Values{}, 303)
		do("admin", "/admin/fields/99", nil, 404)
		lang = i18n.En
		do("admin", "/admin/fields", nil, 200, "会员等级", "Custom fields", "Choice", "Add a Customer field")
	})
}
