package canned

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// room is the texts and macros of a small company.
type room struct {
	*tickettest.House
	Canned *Service
}

func each(t *testing.T, f func(t *testing.T, r *room)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		r := &room{h, New(h.Run, h.Org, h.Customers, h.Service, h.Files)}
		h.Files.Authorize(FileOwner, r.Canned.MayRead)
		f(t, r)
	})
}

func TestFill(t *testing.T) {
	t.Parallel()
	v := Values{"customer": "广州南粤", "contact": "", "number": "TASK1", "salutation": "欧阳女士", "title": "屏幕😀碎了"}
	for _, c := range []struct{ name, text, want, missing string }{
		{"plain", "您好", "您好", ""},
		{"by name", "{客户姓名}的{工单编号}", "广州南粤的TASK1", ""},
		{"by code, any case", "{Customer} {NUMBER}", "广州南粤 TASK1", ""},
		{"another name for it", "{客户名称}", "广州南粤", ""},
		{"full-width braces of an input method", "｛称呼｝，您好", "欧阳女士，您好", ""},
		{"blanks inside", "{ 工单编号 }", "TASK1", ""},
		{"missing leaves a gap", "{联系人}您好，{联系人}", "【联系人】您好，【联系人】", "联系人"},
		{"missing with another word", "{联系人|您}好", "您好", ""},
		{"missing with nothing", "A{联系人|}B", "AB", ""},
		{"full-width bar", "{联系人｜您}好", "您好", ""},
		{"a value beats the other word", "{工单编号|无}", "TASK1", ""},
		{"surrogate pairs around and inside", "👨‍👩‍👧{工单标题}𠮷", "👨‍👩‍👧屏幕😀碎了𠮷", ""},
		{"a value is not filled again", "{工单标题}", "屏幕😀碎了", ""},
		{"unknown stays as it is", "{x}", "{x}", ""},
		{"no braces across lines", "{客户\n姓名}", "{客户\n姓名}", ""},
	} {
		got, missing := Fill(c.text, v)
		if got != c.want || strings.Join(missing, " ") != c.missing {
			t.Errorf("%s: %q, missing %v", c.name, got, missing)
		}
	}
	v["title"] = "{客户姓名}"
	if got, _ := Fill("{工单标题}", v); got != "{客户姓名}" {
		t.Errorf("a value was filled again: %q", got)
	}
}

func TestCheckText(t *testing.T) {
	t.Parallel()
	for _, v := range Variables {
		if err := CheckText("{"+v.Name+"} {"+v.Code+"|x}", "body"); err != nil {
			t.Errorf("%s: %v", v.Code, err)
		}
	}
	err := CheckText("{客户姓名}{手机号}{手机号}{foo|x}", "body")
	fe, ok := fault.As(err)
	if !ok || fe.Fields[0].Args[0] != "{手机号} {foo|x}" || !strings.Contains(fmt.Sprint(fe.Fields[0].Args[1]), "{工单编号}") {
		t.Errorf("%v", err)
	}
}

func TestGreetingAndSalutation(t *testing.T) {
	t.Parallel()
	for h, want := range map[int]string{0: "晚上好", 5: "早上好", 9: "上午好", 12: "中午好", 14: "下午好", 17: "下午好", 18: "晚上好", 23: "晚上好"} {
		if got := greeting(i18n.ZhCN, time.Date(2026, 11, 22, h, 30, 0, 0, time.UTC)); got != want {
			t.Errorf("%d: %s", h, got)
		}
	}
	for _, c := range []struct{ name, gender, want string }{{"王小明", "male", "王先生"}, {"欧阳娜", "female", "欧阳女士"}, {"黎嘉敏", "", "黎嘉敏"}, {"", "male", ""}, {"John Smith", "male", "John Smith先生"}, {"𠮷田", "female", "𠮷女士"}} {
		if got := salutation(i18n.ZhCN, c.name, c.gender); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func in(title, body string, p Place, change ...func(*Input)) Input {
	x := Input{Title: title, Body: body, Place: p}
	for _, f := range change {
		f(&x)
	}
	return x
}

// One's own texts are seen by nobody else, those of a department by its people.
func TestScopes(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		tk := r.To(ticket.InProgress)
		add := func(login string, x Input) int64 {
			t.Helper()
			id, err := r.Canned.Create(r.Ctx, r.As(login), x)
			r.OK(err)
			return id
		}
		own := add("kefu", in("我的话术", "秘密", Place{Scope: Own}))
		dep := add("zhuguan", in("部门话术", "客服", Place{Scope: Department, DepartmentID: r.Dept["客服部"]}))
		top := add("guanli", in("中心话术", "中心", Place{Scope: Department, DepartmentID: r.Dept["客户服务中心"]}))
		all := add("guanli", in("全员话术", "大家", Place{Scope: Everybody}))
		for login, want := range map[string][]int64{"kefu": {own, dep, top, all}, "kefu2": {dep, top, all}, "gong": {top, all}, "guanli": {dep, top, all}, "zhuguan": {dep, top, all}} {
			actor := r.As(login)
			rows, _, err := r.Canned.List(r.Ctx, actor, Filter{})
			r.OK(err)
			var got []int64
			for _, x := range rows {
				got = append(got, x.ID)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s sees %v, want %v", login, got, want)
			}
			for _, q := range []string{"", "秘密", "我的", "wdhs"} {
				found, err := r.Canned.Find(r.Ctx, actor, tk, q, 20)
				r.OK(err)
				if slices.ContainsFunc(found, func(x Reply) bool { return x.ID == own }) != (login == "kefu") {
					t.Errorf("%s finds %q: %v", login, q, found)
				}
			}
			if login == "kefu" {
				continue
			}
			if _, err := r.Canned.Get(r.Ctx, actor, own); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s reads another's: %v", login, err)
			}
			if err := r.Canned.Delete(r.Ctx, actor, own); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s deletes another's: %v", login, err)
			}
		}
		for _, c := range []struct {
			by   string
			x    Input
			want string
		}{
			{"kefu", in("a", "b", Place{Scope: Everybody}), "scope=canned.scope_denied"},
			{"kefu", in("a", "b", Place{Scope: Department, DepartmentID: r.Dept["客服部"]}), "scope=canned.scope_denied"},
			{"zhuguan", in("a", "b", Place{Scope: Department, DepartmentID: r.Dept["销售部"]}), "scope=canned.scope_denied"},
			{"zhuguan", in("a", "b", Place{Scope: Everybody}), "scope=canned.scope_denied"},
			{"kefu", in("", "", Place{Scope: "x"}), "title=canned.need_title body=canned.need_body scope=canned.need_scope"},
			{"kefu", in("a", "{不存在}", Place{Scope: Own}), "body=canned.unknown_variable"},
			{"kefu", in("a", "b", Place{Scope: Own}, func(x *Input) { x.Code = "a b" }), "code=canned.code_shape"},
		} {
			_, err := r.Canned.Create(r.Ctx, r.As(c.by), c.x)
			if got := fields(err); got != c.want {
				t.Errorf("%s: %s, want %s", c.by, got, c.want)
			}
		}
		if err := r.Canned.Edit(r.Ctx, r.As("kefu2"), all, in("a", "b", Place{Scope: Own})); !fault.Is(err, fault.Forbidden) {
			t.Errorf("changed by who may only use it: %v", err)
		}
		if _, _, err := r.Canned.List(r.Ctx, authz.Actor{Kind: authz.Customer, ID: 1}, Filter{}); err != nil {
			t.Error(err)
		}
		if rows, _, _ := r.Canned.List(r.Ctx, authz.Actor{Kind: authz.Customer, ID: r.User["kefu"]}, Filter{}); len(rows) > 0 {
			t.Error("a customer sees texts of the staff")
		}
	})
}

func fields(err error) string {
	fe, ok := fault.As(err)
	if !ok {
		return fmt.Sprint(err)
	}
	var out []string
	for _, f := range fe.Fields {
		out = append(out, f.Field+"="+f.Key)
	}
	return strings.Join(out, " ")
}

// What fits best comes first: code, initials, title, then the ticket's type and
// how often it is used.
func TestFind(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		tk := r.Register(func(x *ticket.RegisterInput) { x.Type = "complaint" })
		add := func(title, code string, types ...string) int64 {
			id, err := r.Canned.Create(r.Ctx, r.As("guanli"), in(title, "正文"+title, Place{Scope: Everybody}, func(x *Input) { x.Code, x.Types = code, types }))
			r.OK(err)
			return id
		}
		ship, sorry, back := add("发货进度说明", "fahuo"), add("致歉", "zhiqian", "complaint"), add("退换货", "th", "after_sales")
		for q, want := range map[string]int64{"fahuo": ship, "fa": ship, "fhjd": ship, "发货": ship, "进度": ship, "FAHUO": ship, "zq": sorry, "货": back, "": sorry, "th": back} {
			if q == "货" {
				continue // two contain it
			}
			found, err := r.Canned.Find(r.Ctx, r.As("kefu"), tk, q, 5)
			r.OK(err)
			if len(found) == 0 || found[0].ID != want {
				t.Errorf("%q: %v", q, found)
			}
		}
		for _, q := range []string{"%", "_", `\`, "不存在"} {
			if found, err := r.Canned.Find(r.Ctx, r.As("kefu"), tk, q, 5); err != nil || len(found) > 0 {
				t.Errorf("%q: %v %v", q, found, err)
			}
		}
		for range 3 {
			_, err := r.Canned.Insert(r.Ctx, r.As("kefu"), ship, tk.ID)
			r.OK(err)
		}
		found, err := r.Canned.Find(r.Ctx, r.As("kefu"), tk, "", 5)
		r.OK(err)
		if found[0].ID != sorry || found[1].ID != ship || found[1].Uses != 3 || found[1].UsedAt.IsZero() {
			t.Errorf("%+v", found)
		}
		page, more, err := r.Canned.List(r.Ctx, r.As("kefu"), Filter{Limit: 2})
		r.OK(err)
		rest, last, err := r.Canned.List(r.Ctx, r.As("kefu"), Filter{Limit: 2, After: Cursor{page[1].Folder, page[1].Title, page[1].ID}})
		if r.OK(err); !more || last || len(rest) != 1 {
			t.Errorf("pages: %v %v %v", page, rest, last)
		}
	})
}

// A text is filled with what its reader may see; telephone numbers stay masked
// even for who may reveal them, and attachments come along as copies.
func TestInsert(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		tk := r.To(ticket.InProgress)
		f, err := r.Files.Upload(r.Ctx, r.As("guanli"), "说明.txt", strings.NewReader("安装说明"))
		r.OK(err)
		r.Canned.PublicURL = "https://kf.example.cn/"
		id, err := r.Canned.Create(r.Ctx, r.As("guanli"), in("x", "{客户姓名} {联系人} {联系电话} {工单编号} {处理人} {我的姓名} {公司名称} {工单链接}", Place{Scope: Everybody}, func(x *Input) { x.Files = []int64{f.ID} }))
		r.OK(err)
		for _, login := range []string{"kefu", "zhuguan"} {
			got, err := r.Canned.Insert(r.Ctx, r.As(login), id, tk.ID)
			r.OK(err)
			if strings.Contains(got.Text, "13812345678") || !strings.Contains(got.Text, "138****5678") {
				t.Errorf("telephone number: %s", got.Text)
			}
			if !strings.HasPrefix(got.Text, "广州南粤医疗器械股份有限公司 黎嘉敏 138****5678 "+tk.Number+" 林晓雯 ") || !strings.Contains(got.Text, "https://kf.example.cn/c/") || !slices.Equal(got.Missing, []string{"公司名称"}) {
				t.Errorf("%s, missing %v", got.Text, got.Missing)
			}
			if len(got.Files) != 1 || !got.Files[0].WaitsFor(r.As(login)) || got.Files[0].ID == f.ID {
				t.Errorf("%+v", got.Files)
			}
		}
		secret := r.Register(func(x *ticket.RegisterInput) { x.AssigneeID, x.DepartmentID = 0, r.Dept["销售部"] })
		if _, err := r.Canned.Insert(r.Ctx, r.As("gong"), id, secret.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("filled with another's ticket: %v", err)
		}
	})
}
