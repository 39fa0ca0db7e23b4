package importer

import (
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// Fields of the company's own are columns: found by their names, checked, and
// stored (CUS-19).
func TestOwnFields(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
		ids := map[string]int64{}
		for _, f := range []field.Field{
			{Object: field.Customer, Code: "output", Kind: field.Money, Label: field.Words{Zh: "年产值"}, Types: []string{"company"}},
			{Object: field.Customer, Code: "areas", Kind: field.Multi, Label: field.Words{Zh: "经销区域"}, Required: true, Searchable: true,
				Options: []field.Choosable{{Code: "south", Zh: "华南"}, {Code: "north", Zh: "华北"}}},
			{Object: field.Contact, Code: "hobby", Kind: field.Text, Label: field.Words{Zh: "爱好"}},
			{Object: field.Ticket, Code: "visit", Kind: field.Date, Label: field.Words{Zh: "上门日期"}},
		} {
			id, err := h.customers.Fields().Save(h.ctx, admin, f)
			h.must(err)
			ids[f.Code] = id
		}
		sum, err := h.s.Run(h.ctx, h.boss, Customers, h.file("a.csv",
			[]string{"客户ID", "客户类型", "客户名称", "联系人", "联系方式", "年产值（元）", "经销区域", "联系人爱好"},
			[]string{"C001", "企业", "广州南粤医疗器械有限公司", "黎嘉敏", "13800000001", "￥1,200", "华北、华南", "钓鱼"},
			[]string{"C002", "企业", "深圳市华强电子有限公司", "张工", "13800000002", "很多", "华北", ""},
			[]string{"C003", "个人", "李雷", "", "13800000003", "5", "华北", ""},
			[]string{"C004", "企业", "上海某某有限公司", "钱经理", "13800000004", "", "", ""}), Options{})
		h.must(err)
		got := h.result(sum.Result)
		for line, want := range map[string]string{"2": "已导入", "3": "未导入 “年产值”：请填金额（元），例如 1200 或 99.50",
			"4": "已导入，请留意 “年产值”不适用于这种类型，已写入备注", "5": "未导入 “经销区域”：请填写“经销区域”"} {
			if got[line] != want {
				t.Errorf("line %s: %q, want %q", line, got[line], want)
			}
		}
		id := h.count(`SELECT id FROM customers WHERE number = 'C001'`)
		m, err := h.customers.Fields().Values(h.ctx, h.d.Read(), field.Customer, []int64{id}, nil)
		h.must(err)
		if v := m[id]; v[ids["output"]].Raw() != "1200.00" || v[ids["areas"]].Text(i18n.ZhCN) != "华南、华北" {
			t.Errorf("stored %v", v)
		}
		if n := h.count(`SELECT COUNT(*) FROM field_values v JOIN contacts c ON c.id = v.record_id WHERE v.object = 'contact' AND v.text = '钓鱼' AND c.customer_id = $1`, id); n != 1 {
			t.Error("the contact's field is not stored")
		}
		sum, err = h.s.Run(h.ctx, h.boss, Tickets, h.file("b.csv",
			[]string{"任务ID", "客户ID", "需求类型", "需求描述", "Visit"},
			[]string{"T1", "C001", "售后", "打不开", "2026/12/1"},
			[]string{"T2", "C001", "售后", "打不开", "改天"}), Options{})
		h.must(err)
		got = h.result(sum.Result)
		if got["2"] != "已导入" || got["3"] != "未导入 “上门日期”：请填日期，例如 2026-11-21" {
			t.Errorf("tickets: %v", got)
		}
		if n := h.count(`SELECT num FROM field_values WHERE object = 'ticket' AND field_id = $1`, ids["visit"]); n != 20261201 {
			t.Errorf("visit %d", n)
		}
	})
}
