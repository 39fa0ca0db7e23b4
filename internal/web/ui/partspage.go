package ui

import (
	"net/http"
	"slices"
	"time"

	"bihuan/internal/web"
)

// partsView is the sample data of the page of parts. Its words are samples, not
// sentences of the product, and stand here in Chinese for both languages.
type partsView struct {
	Good, Bad, Off *web.Form
	Controls       []Control
	Options        []Option
	Few            []Option
	Now            time.Time
	Total          time.Duration
	Text           string
	Pager, First   Pager
	Tones          []string
	Steps          []string
	Rows           []partsRow
	Icons          []string
	Company        string
	Person         string
	Message        string
}

type partsRow struct {
	ID                         int64
	No, Title, Customer, Owner string
	Priority, PriorityWord     string
	State, StateWord           string
	Level, LevelWord           string
	Due                        time.Time
	Amount                     int64
	Current                    bool
}

var partsPage = NewPage[partsView](files, "templates/parts.html").Sample(sampleParts(nil, time.Unix(1793000000, 0)))

func sampleParts(r *web.Request, now time.Time) partsView {
	v := partsView{
		Now: now, Total: 4 * time.Hour, Company: "广州南粤医疗器械股份有限公司", Person: "林晓雯",
		Options: []Option{{Value: "c", Label: "制造业", Group: "C 制造业"}, {Value: "f", Label: "批发和零售业", Group: "F 批发和零售业"}, {Value: "i", Label: "软件和信息技术服务业", Group: "F 批发和零售业"}},
		Few:     []Option{{Value: "a", Label: "咨询", Hint: "产品、价格、流程"}, {Value: "b", Label: "投诉", Hint: "需要回访"}, {Value: "c", Label: "售后", Disabled: true}},
		Text:    "周经理您好，已收到您的反馈。\n临时方案请看 https://example.cn/kb/12?x=1&y=2，谢谢！<b>不是标签</b>",
		Message: "已确认是 v5.8.2 引入。灰度环境修复已验证，预计 15:30 全量。",
		Pager:   Pager{Prev: "?before=1", Next: "?after=20", Note: "每页 25 条"}, First: Pager{Next: "?after=20"},
		Tones: []string{"red", "orange", "amber", "green", "teal", "cyan", "blue", "violet", "pink", "gray"},
		Steps: []string{"登记", "受理", "处理", "客户确认", "完成"},
	}
	for i, o := range []struct{ p, pw, s, sw, l, lw string }{
		{"urgent", "紧急", "pending", "待处理", "diamond", "钻石"}, {"high", "高", "in_progress", "处理中", "gold", "金牌"},
		{"medium", "中", "waiting_customer", "待客户补充", "silver", "银牌"}, {"low", "低", "awaiting_confirmation", "待客户确认", "standard", "普通"},
		{"low", "低", "completed", "已完成", "standard", "普通"},
	} {
		v.Rows = append(v.Rows, partsRow{ID: int64(i + 1), No: "T-2026-0431" + num(i), Title: "设备校准证书与实物编号不一致，要求更换并说明原因", Customer: v.Company, Owner: v.Person,
			Priority: o.p, PriorityWord: o.pw, State: o.s, StateWord: o.sw, Level: o.l, LevelWord: o.lw,
			Due: now.Add(time.Duration(i*45-24) * time.Minute), Amount: int64(i) * 12345678, Current: i == 1})
	}
	v.Controls = []Control{{Name: "c1", Label: "年产值", Kind: "money", Hint: "以元计", Required: true}, {Name: "c2", Label: "经销区域", Kind: "multi", Options: v.Options},
		{Name: "c3", Label: "负责工程师", Kind: "user", Look: "/static/none"}, {Name: "c4", Label: "保修到期", Kind: "date"}, {Name: "c5", Label: "官网", Kind: "link"},
		{Name: "c6", Label: "上门", Kind: "bool", Options: v.Few, When: "kind=b"}}
	for name := range icons {
		v.Icons = append(v.Icons, name)
	}
	slices.Sort(v.Icons)
	if r != nil {
		v.Good = r.Blank("name", v.Company, "industry", "f", "kind", "a", "tick", "1", "stars", "4", "note", v.Text, "many", "b")
		v.Bad, v.Off = r.Blank("phone", "1380013"), r.Blank("name", v.Company)
		v.Bad.Required("name")
		v.Bad.Choice("industry", "c")
		v.Bad.Choice("kind", "a")
		v.Bad.Date("day")
		v.Bad.Required("note")
		v.Bad.Required("stars")
		v.Bad.Fail("phone", "ui.form.number")
		v.Bad.Fail("tick", "ui.form.required")
		v.Bad.Explain(v.Bad.Err())
	}
	return v
}

func showParts(w http.ResponseWriter, r *web.Request) error {
	return partsPage.Render(w, r, partsChrome(r), sampleParts(r, r.Now()))
}

// tryParts answers the form on the page of parts: it always finds something
// wrong, says so with a flash, or fails.
func tryParts(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	switch f.Get("do") {
	case "flash":
		r.Flash(w, "green", "ui.js.saved")
		return r.SeeOther(w, "/admin/parts")
	case "missing":
		return NoSuchPage()
	}
	v := sampleParts(r, r.Now())
	f.Required("name")
	f.Fail("phone", "ui.form.number")
	v.Bad = f
	return partsPage.Invalid(w, r, f.Err(), f, partsChrome(r), v)
}

func partsChrome(r *web.Request) Chrome {
	return Chrome{Title: r.T("ui.parts.title"), Nav: "parts", Crumbs: []Crumb{{Label: r.T("ui.home"), Href: "/"}, {Label: r.T("ui.parts.title")}}}
}
