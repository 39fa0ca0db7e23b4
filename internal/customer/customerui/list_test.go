package customerui_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

func (s *site) company(who, name, phone string, level customer.Level) customer.Customer {
	s.t.Helper()
	c, err := s.s.Create(s.ctx, s.actors[who], customer.Input{Type: customer.Company, Name: name, Level: level, Source: "phone", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Conditions are built step by step without any script: each step is a page with
// an address, the last leads to the list, and what was chosen can be kept.
func TestConditionsAreBuilt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		s.company("agent", "广州南粤医疗器械有限公司", "13811112222", customer.VIP)
		s.company("agent", "佛山顺德家电有限公司", "13811113333", customer.Normal)
		s.company("stranger", "外部门机密公司", "13811114444", customer.VIP)
		get := func(who, path string, status int, texts ...string) (string, string) {
			t.Helper()
			code, body, h := s.do(who, path, nil)
			s.want(path, code, body, status, texts...)
			return body, h.Get("Location")
		}
		get("agent", "/customers/filter?view=all", 200, "高级筛选", "添加条件", `name="b.f.0.0"`, "!b.o.0.0")
		get("agent", "/customers/filter?b.m=all&b.m.0=all&b.f.0.0=level", 200, `name="b.o.0.0"`, "添加选项")
		get("agent", "/customers/filter?b.m=all&b.m.0=all&b.f.0.0=level&b.o.0.0=is&b.w.0.0=vip", 200, `value="vip" checked`, "符合条件的客户：1")
		get("agent", "/customers/filter?b.m=all&b.m.0=all&b.f.0.0=level&b.o.0.0=is&b.v.0.0=vip&do=group", 200, `name="b.f.1.0"`)
		get("agent", "/customers/filter?b.m=all&b.m.0=all&b.f.0.0=level&b.o.0.0=is&b.v.0.0=vip&b.f.0.1=name&b.o.0.1=has&b.v.0.1=南粤&do=del.0.1", 200, `!value="南粤"`)
		get("agent", "/customers/filter?b.m=all&b.m.0=all&b.f.0.0=activity&b.o.0.0=last&b.v.0.0=x&do=apply", 200, "请填写天数")
		_, to := get("agent", "/customers/filter?b.m=any&b.m.0=all&b.f.0.0=level&b.o.0.0=is&b.v.0.0=vip&b.f.0.1=name&b.o.0.1=has&b.v.0.1=南粤&b.m.1=all&b.f.1.0=name&b.o.1.0=has&b.v.1.0=没有&do=apply", 303)
		if !strings.HasPrefix(to, "/customers?filter=") {
			t.Fatal(to)
		}
		get("agent", to, 200, "广州南粤医疗", "!佛山顺德", "!外部门", "共 1 位", "客户等级 是 VIP", "修改筛选条件")
		get("stranger", to, 200, "!广州南粤医疗", "!外部门机密公司", "没有符合条件的客户")
		// Back in the builder it is as it was.
		get("agent", strings.Replace(to, "/customers?", "/customers/filter?", 1), 200, `value="南粤"`, `name="b.f.1.0"`)
		// What cannot be used is said, and the page stays a page.
		get("agent", "/customers?filter="+url.QueryEscape(`{"v":1,"all":[{"field":"level","op":"is","values":["gold"]}]}`), 200, "没有“gold”这个选项")
		get("agent", "/customers?filter=%7B", 200, "筛选条件无法识别")
		get("agent", "/customers?type=x&level=y&tag=z", 200, "广州南粤医疗")
		deep := url.QueryEscape(`{"v":1,"any":[{"all":[{"any":[{"field":"tag","op":"set"},{"field":"owner","op":"empty"}]},{"field":"level","op":"is","values":["vip"]}]},{"field":"grade","op":"set"}]}`)
		get("agent", "/customers/filter?filter="+deep, 200, "无法逐条修改", "!b.f.0.0")

		// Kept as a view, with its own columns.
		u, _ := url.Parse(to)
		get("agent", "/customer-views/new?"+u.RawQuery, 200, "客户等级 是 VIP", " 或 ", "!共享给所有")
		code, body, _ := s.do("agent", "/customer-views", url.Values{"name": {""}, "filter": {u.Query().Get("filter")}})
		s.want("no name", code, body, 422, "请填写视图名称")
		code, body, h := s.do("agent", "/customer-views", url.Values{"name": {"南粤的 VIP"}, "filter": {u.Query().Get("filter")}, "first": {"1"}})
		s.want("view", code, body, 303)
		view := h.Get("Location")
		get("agent", "/customers", 200, "南粤的 VIP", "!佛山顺德", "广州南粤")
		get("agent", "/customers?view=all", 200, "佛山顺德")
		get("agent", "/customers/counts?view=all", 200, `南粤的 VIP <b>1</b>`, `全部客户 <b>2</b>`)
		get("stranger", view, 200, "!南粤的 VIP")
		get("agent", strings.Replace(view, "/customers?", "/customers/columns?", 1)+"&cols=name,uscc", 200, "统一社会信用代码", "随视图“南粤的 VIP”保存")
		code, body, _ = s.do("agent", "/customers/columns", url.Values{"cols": {"name,uscc"}, "back": {view}})
		s.want("columns", code, body, 303)
		body, _ = get("agent", view, 200)
		if heads := regexp.MustCompile(`<th>([^<]+)</th>`).FindAllStringSubmatch(body, -1); len(heads) != 2 || heads[1][1] != "统一社会信用代码" {
			t.Errorf("%q", heads)
		}
		get("agent", "/customer-views", 200, "南粤的 VIP", "我的视图")
		code, body, _ = s.do("stranger", strings.Replace(view, "/customers?view=", "/customer-views/", 1)+"/deletion", url.Values{})
		s.want("another's view", code, body, 404)
		code, body, _ = s.do("agent", strings.Replace(view, "/customers?view=", "/customer-views/", 1)+"/deletion", url.Values{})
		s.want("delete view", code, body, 303)
		get("agent", "/customers", 200, "佛山顺德")
	})
}

// Segments and changes of many in the browser.
func TestSegmentAndBulkPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		a := s.company("agent", "广州南粤医疗器械有限公司", "13811112222", customer.Normal)
		s.company("stranger", "外部门机密公司", "13811114444", customer.Normal)
		filter := `{"v":1,"all":[{"field":"level","op":"is","values":["vip"]}]}`
		code, body, _ := s.do("agent", "/customer-segments/new?filter="+url.QueryEscape(filter), nil)
		s.want("agent makes none", code, body, 403)
		code, body, _ = s.do("head", "/customer-segments", url.Values{"name": {"重点"}, "filter": {"{}"}})
		s.want("everybody", code, body, 422, "请至少设置一个条件")
		code, body, _ = s.do("head", "/customer-segments", url.Values{"name": {"重点"}, "filter": {filter}})
		s.want("segment", code, body, 303)

		code, body, _ = s.do("agent", "/customer-bulks/new?id=1&kind=level", nil)
		s.want("form", code, body, 200, "已勾选的 1 位", "更改等级")
		code, body, _ = s.do("agent", "/customer-bulks", url.Values{"id": {"1"}, "kind": {"level"}, "level": {"vip"}})
		s.want("no reason", code, body, 422, "请填写修改原因", `value="1"`)
		code, body, h := s.do("agent", "/customer-bulks", url.Values{"id": {"1", "2"}, "kind": {"level"}, "level": {"vip"}, "reason": {"年度评定"}})
		s.want("changed", code, body, 303)
		code, body, _ = s.do("agent", h.Get("Location"), nil)
		s.want("result", code, body, 200, "等级改为：VIP", "年度评定", "不在您数据范围内的客户", "!外部门机密")
		code, body, _ = s.do("head", strings.SplitN(h.Get("Location"), "?", 2)[0], nil)
		s.want("another's result", code, body, 404)
		if got, err := s.s.Get(s.ctx, customer.View(s.actors["agent"]), a.ID); err != nil || got.Level != customer.VIP {
			t.Error(got.Level, err)
		}
		code, body, _ = s.do("agent", "/customer-segments", nil)
		s.want("segments", code, body, 200, "重点", "客户等级 是 VIP", "!新建分群")
		code, body, _ = s.do("agent", "/customer-bulks/new?all=1&filter="+url.QueryEscape(filter), nil)
		s.want("all of a filter", code, body, 200, "全部客户（1 位）")
		code, body, _ = s.do("auditor", "/customer-bulks/new?id=1", nil)
		s.want("auditor changes nothing", code, body, 403)

		code, body, _ = s.do("agent", "/customer-exports/new", nil)
		s.want("agent exports nothing", code, body, 403)
		code, body, _ = s.do("head", "/customer-exports/new?view=all&level=vip", nil)
		s.want("export form", code, body, 200, "将导出 1 位客户", "电话（敏感）")
		code, body, _ = s.do("head", "/customer-exports", url.Values{"format": {"csv"}, "filter": {filter}, "columns": {"name"}, "clear": {"1"}})
		s.want("clear without a word", code, body, 422, "请写明导出用途")
	})
}
