package customerui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bihuan/internal/customer"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/i18n"
)

func careSite(t *testing.T) (*site, int64, int64) {
	t.Helper()
	d, c := dbtest.New(t)
	s := newSite(t, d, c)
	make := func(name, phone string) int64 {
		x, err := s.s.Create(s.ctx, s.actors["agent"], customer.Input{Type: customer.Company, Name: name, Source: "phone", Level: customer.VIP, OwnerID: 1,
			Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone, Email: "li@example.com", Primary: true}}})
		if err != nil {
			t.Fatal(err)
		}
		return x.ID
	}
	return s, make("广州南粤医疗器械有限公司", "13812345678"), make("深圳云帆科技有限公司", "13912345678")
}

func has(t *testing.T, what, body string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("%s: no %q", what, w)
		}
	}
}

// CUS-6, CUS-12
func TestStanding(t *testing.T) {
	t.Parallel()
	s, id, _ := careSite(t)
	path := func(part string) string { return fmt.Sprintf("/customers/%d/%s", id, part) }
	code, body, _ := s.do("agent", path("standing"), nil)
	has(t, "standing", body, "客户分级", "未分级", "潜在", "应核实日期")
	if code != http.StatusOK {
		t.Error(code)
	}
	if _, body, _ = s.do("auditor", path("standing"), nil); strings.Contains(body, path("stage")) {
		t.Error("an auditor is offered to move the stage")
	}
	if code, _, _ = s.do("stranger", path("standing"), nil); code != http.StatusNotFound {
		t.Errorf("a stranger gets %d", code)
	}
	code, body, _ = s.do("agent", path("grade"), url.Values{"grade": {"a"}, "reason": {""}})
	if code != http.StatusUnprocessableEntity {
		t.Errorf("without reason: %d", code)
	}
	has(t, "without reason", body, "请用一句话说明调整分级的理由", `<option value="a" selected`)
	if code, _, h := s.do("agent", path("grade"), url.Values{"grade": {"a"}, "reason": {"年采购额最高"}}); code != http.StatusSeeOther || h.Get("Location") != path("standing") {
		t.Errorf("graded: %d %s", code, h.Get("Location"))
	}
	code, body, _ = s.do("agent", path("stage"), url.Values{"stage": {"lost"}})
	if code != http.StatusUnprocessableEntity {
		t.Errorf("lost without cause: %d", code)
	}
	has(t, "lost without cause", body, "请选择流失原因")
	if code, _, _ = s.do("agent", path("stage"), url.Values{"stage": {"lost"}, "cause": {"price"}, "reason": {"对手低两成"}}); code != http.StatusSeeOther {
		t.Errorf("lost: %d", code)
	}
	_, body, _ = s.do("agent", path("standing"), nil)
	has(t, "afterwards", body, "A 重点", "流失", "价格", "对手低两成")
	_, body, _ = s.do("agent", fmt.Sprintf("/customers/%d", id), nil)
	has(t, "timeline", body, "变更了客户阶段", "潜在", "流失", "对手低两成")
	for _, p := range []string{"grade", "stage"} {
		if code, _, _ = s.do("auditor", path(p), url.Values{}); code != http.StatusForbidden {
			t.Errorf("auditor posts %s: %d", p, code)
		}
	}
}

// CUS-13
func TestVerificationPages(t *testing.T) {
	t.Parallel()
	s, id, _ := careSite(t)
	path := fmt.Sprintf("/customers/%d/verification", id)
	c, _ := s.s.Get(s.ctx, customer.View(s.actors["agent"]), id)
	_, body, _ := s.do("agent", path, nil)
	has(t, "page", body, "统一社会信用代码", "138****5678", "无法核实", "详细地址")
	if strings.Contains(body, "13812345678") {
		t.Error("a clear number in the page")
	}
	f := url.Values{"version": {fmt.Sprint(c.Version)}, "a.region": {"corrected"}, "region": {"广东 深圳"}, "a.name": {"confirmed"}}
	code, body, _ := s.do("agent", path, f)
	if code != http.StatusUnprocessableEntity {
		t.Errorf("undecided: %d", code)
	}
	has(t, "undecided", body, "请选择确认、更正或无法核实", `value="广东 深圳"`)
	f.Set("rest", "1")
	f.Set("note", "与黎总监电话核对")
	if code, _, h := s.do("agent", path, f); code != http.StatusSeeOther || h.Get("Location") != fmt.Sprintf("/customers/%d", id) {
		t.Errorf("done: %d %s", code, h.Get("Location"))
	}
	_, body, _ = s.do("agent", fmt.Sprintf("/customers/%d/standing", id), nil)
	has(t, "history", body, "有更正", "与黎总监电话核对", "更正 1 项")
	for who, want := range map[string]int{"stranger": http.StatusNotFound, "auditor": http.StatusForbidden} {
		if code, _, _ := s.do(who, path, nil); code != want {
			t.Errorf("%s gets %d, want %d", who, code, want)
		}
	}
	_, body, _ = s.do("agent", fmt.Sprintf("/customers/%d", id), nil)
	has(t, "timeline", body, "核实了客户资料", "有更正")
	_, body, _ = s.do("agent", "/customers/verifications", nil)
	has(t, "list", body, "近两周没有需要您核实的客户", "团队逾期")
}

// CUS-6: the list of suggestions, and names the company chooses.
func TestGradesAndNames(t *testing.T) {
	t.Parallel()
	s, id, _ := careSite(t)
	if err := s.s.CareSweep(s.ctx); err != nil {
		t.Fatal(err)
	}
	_, body, _ := s.do("agent", "/customers/grades", nil)
	has(t, "list", body, "广州南粤医疗器械有限公司", "客户等级 VIP")
	if code, _, _ := s.do("auditor", "/customers/grades", nil); code != http.StatusForbidden {
		t.Errorf("auditor: %d", code)
	}
	if code, _, _ := s.do("agent", "/customers/grades", url.Values{"id": {fmt.Sprint(id)}, "do": {"accept"}, "back": {"/customers/grades?grade=c"}}); code != http.StatusSeeOther {
		t.Errorf("accepted: %d", code)
	}
	if c, _ := s.s.Get(s.ctx, customer.View(s.actors["agent"]), id); c.Grade != "c" {
		t.Errorf("grade %q", c.Grade)
	}
	admin := s.actors["head"]
	admin.Levels[customer.PermSettings] = 4
	s.actors["admin"] = admin
	_, body, _ = s.do("admin", "/admin/customers/care", nil)
	has(t, "settings", body, "核实周期", "业务往来", `value="365"`)
	f := url.Values{}
	c := customer.DefaultCare()
	for l, x := range c.Levels {
		f.Set("level."+string(l)+".months", fmt.Sprint(x.VerifyMonths))
	}
	for _, x := range c.Factors {
		f.Set("factor."+x.Code+".weight", fmt.Sprint(x.Weight))
		f.Set("factor."+x.Code+".full", fmt.Sprint(x.Full))
	}
	f.Set("grade_a", "60")
	f.Set("grade_b", "80")
	f.Set("months", "12")
	f.Set("dormant_days", "365")
	f.Set("overdue_days", "7")
	code, body, _ := s.do("admin", "/admin/customers/care", f)
	if code != http.StatusUnprocessableEntity {
		t.Errorf("thresholds: %d", code)
	}
	has(t, "thresholds", body, "B 级起始分应低于 A 级起始分")
	f.Set("grade_b", "30")
	// No other test looks at this name: it holds for the whole program.
	f.Set("level.strategic.name", "钻石")
	f.Set("level.strategic.colour", "pink")
	if code, body, _ = s.do("admin", "/admin/customers/care", f); code != http.StatusSeeOther {
		t.Fatalf("saved: %d %s", code, body)
	}
	if got := i18n.T(i18n.ZhCN, "customer.level.strategic"); got != "钻石" {
		t.Errorf("called %s", got)
	}
	f.Del("level.strategic.name")
	f.Del("level.strategic.colour")
	if code, _, _ = s.do("admin", "/admin/customers/care", f); code != http.StatusSeeOther {
		t.Errorf("back: %d", code)
	}
	if got := i18n.T(i18n.ZhCN, "customer.level.strategic"); got != "战略" {
		t.Errorf("called %s", got)
	}
}

// CUS-20
func TestNetwork(t *testing.T) {
	t.Parallel()
	s, a, b := careSite(t)
	path := func(part string) string { return fmt.Sprintf("/customers/%d/%s", a, part) }
	name := "深圳云帆科技有限公司"
	for _, x := range []struct {
		part string
		form url.Values
		want int
		word string
	}{
		{"parent", url.Values{"parent_text": {"没有"}}, 422, "从列表中选择上级单位"},
		{"parent", url.Values{"parent": {fmt.Sprint(b)}, "parent_text": {name}}, 303, ""},
		{"relations", url.Values{"kind": {"supplier"}}, 422, "从列表中选择对方客户"},
		{"relations", url.Values{"kind": {"supplier"}, "other": {fmt.Sprint(b)}, "note": {"零配件"}}, 303, ""},
		{"contacts/1/transfer", url.Values{"to": {""}}, 422, "从列表中选择对方客户"},
		{"contacts/1/transfer", url.Values{"to": {fmt.Sprint(b)}, "position": {"总经理"}, "reason": {"跳槽"}}, 303, ""},
		{"contacts/1/departure", url.Values{}, 404, ""},
	} {
		code, body, _ := s.do("agent", path(x.part), x.form)
		if code != x.want || !strings.Contains(body, x.word) {
			t.Errorf("%s %v: %d, want %d with %q", x.part, x.form, code, x.want, x.word)
		}
	}
	_, body, _ := s.do("agent", path("relations"), nil)
	has(t, "relations", body, "<svg", "上级单位", "是其供应商", name, "往任联系人", "跳槽", "调往")
	_, body, _ = s.do("agent", fmt.Sprintf("/customers/%d/relations", b), nil)
	has(t, "the other's", body, "下属单位", "供应商", "调入")
	if code, _, _ := s.do("stranger", path("relations"), url.Values{"kind": {"partner"}, "other": {"1"}}); code != http.StatusNotFound {
		t.Errorf("stranger: %d", code)
	}
	if code, _, _ := s.do("agent", path("relations/1/removal"), url.Values{}); code != http.StatusSeeOther {
		t.Errorf("removed: %d", code)
	}
	if code, _, _ := s.do("agent", path("parent"), url.Values{"parent": {fmt.Sprint(b)}, "parent_text": {""}}); code != http.StatusSeeOther {
		t.Errorf("parent emptied: %d", code)
	}
	if c, _ := s.s.Get(s.ctx, customer.View(s.actors["agent"]), a); c.ParentID != 0 {
		t.Error("the parent is still there")
	}
}
