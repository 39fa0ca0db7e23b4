package importer

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string // in the company's time zone; "" is refused
		exact    bool
	}{
		{"2024-05-15", "2024-05-15 00:00:00", false},
		{"2024/5/15 9:30", "2024-05-15 09:30:00", true},
		{"2024.5.15", "2024-05-15 00:00:00", false},
		{"2024年5月15日", "2024-05-15 00:00:00", false},
		{"2024年5月15日 星期三", "2024-05-15 00:00:00", false},
		{"2024年05月15日 下午 3点20分", "2024-05-15 15:20:00", true},
		{"2024年5月15日9时", "2024-05-15 09:00:00", true},
		{"2024年5月15日9点30分20秒", "2024-05-15 09:30:20", true},
		{"２０２４－０５－１５", "2024-05-15 00:00:00", false},
		{"2024-05-15 09:30:00", "2024-05-15 09:30:00", true},
		{"2024-05-15T09:30:00", "2024-05-15 09:30:00", true},
		{"2024-05-15T01:30:00Z", "2024-05-15 09:30:00", true},
		{"2024-05-15T09:30:00+08:00", "2024-05-15 09:30:00", true},
		{"20240515", "2024-05-15 00:00:00", false},
		{"20240515093000", "2024-05-15 09:30:00", true},
		{"45427", "2024-05-15 00:00:00", false},
		{"45427.5", "2024-05-15 12:00:00", true},
		{"24/5/15", "2024-05-15 00:00:00", false},
		{"5/15/2024", "2024-05-15 00:00:00", false},
		{"15/5/2024 10:00", "2024-05-15 10:00:00", true},
		{"5/6/2024", "", false},
		{"2024-13-45", "", false},
		{"2024-04-31", "", false},
		{"2024-05-15 25:00", "", false},
		{"5月15日", "", false},
		{"尽快", "", false},
		{"1024-05-15", "", false},
		{"12345", "", false},
		{"13812345678", "", false},
	} {
		at, exact, ok := parseTime(c.in)
		got := ""
		if ok {
			got = at.In(time.FixedZone("", 8*3600)).Format(time.DateTime)
		}
		if got != c.want || ok && exact != c.exact {
			t.Errorf("%q: %q exact %v, want %q %v", c.in, got, exact, c.want, c.exact)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		w        words
		in, want string
	}{
		{levels, "VIP客户", "vip"}, {levels, "重要", "vip"}, {levels, "ＶＩＰ", "vip"}, {levels, "战略", "strategic"}, {levels, "钻石级", "strategic"},
		{types, "投诉类", "complaint"}, {types, "After-sales", "after_sales"}, {types, "其它", "other"}, {types, "天气", ""},
		{priorities, "高优先级", "high"}, {priorities, "P0", "urgent"}, {urgencies, "加急", "urgent"}, {customerTypes, "企业", "company"},
		{sources, "在线客服", "chat"}, {sources, "phone", "phone"}, {ratings, "非常满意", "5"},
	} {
		got, _ := c.w.find(c.in)
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	for in, want := range map[string][2]string{
		"处理中": {"in_progress", ""}, "已关闭": {"closed", ""}, "已关闭（客户确认）": {"closed", "confirmed"}, "已完成-电话确认": {"completed", "phone"},
		"已完成（超时自动完成）": {"completed", "silence"}, "In Progress": {"in_progress", ""}, "待客户确认": {"awaiting_confirmation", ""}, "关闭": {"closed", ""},
	} {
		s, o, _, _ := stateOf(in)
		if s != want[0] || o != want[1] {
			t.Errorf("%q: %s %s, want %v", in, s, o, want)
		}
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	rows := []numbered{{1, []string{"某某公司客户信息登记表"}}, {2, []string{"制表：", "张三", "电话", "123"}},
		{4, []string{"序号", "公司名称*", "手机（必填）", "Contact Person", "备 注", "内部评分"}}, {5, []string{"1", "甲公司", "13800000000"}}}
	l := guess(Customers, rows)
	if l.Header != 4 || len(l.Missing(Customers)) != 0 || l.Fields[1] != fName || l.Fields[2] != fPhone || l.Fields[3] != fContact || l.Fields[4] != fRemark {
		t.Errorf("%+v", l)
	}
	if u := l.Unknown(); len(u) != 1 || u[0] != "内部评分" {
		t.Errorf("unknown: %v", u)
	}
	if m := (Layout{Names: []string{"客户名称"}, Fields: []Field{fName}}).Missing(Customers); len(m) != 1 || m[0] != fPhone {
		t.Errorf("missing: %v", m)
	}
}

func TestContacts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cell, phones, email, wechat, bad string }{
		{"13812345678", "13812345678", "", "", ""},
		{"手机：13812345678 座机：020-38880000转801", "13812345678 020-38880000转801", "", "", ""},
		{"13812345678（手机）/0755-86013388(办公)", "13812345678 0755-86013388", "", "", ""},
		{"１３８１２３４５６７８；wang@example.com", "13812345678", "wang@example.com", "", ""},
		{"邮箱:wang@example.com", "", "wang@example.com", "", ""},
		{"微信号：wang_2020 13812345678", "13812345678", "", "wang_2020", ""},
		{"13812345678\n13812345679", "13812345678 13812345679", "", "", ""},
		{"13812345678.0", "13812345678", "", "", ""},
		{"86013388", "", "", "", "importer.reason.area_code"},
		{"没有电话", "", "", "", "importer.reason.phone"},
		{"暂无", "", "", "", "importer.reason.empty"},
	} {
		l := read(Customers, numbered{1, []string{"客户名称", "联系方式"}})
		r := (&parser{kind: Customers, layout: l, lang: "zh-CN"}).reader([]string{"甲", c.cell})
		got, _ := r.contacts(false, "甲")
		var phones, email, wechat string
		for _, x := range got {
			if x.Phone != "" {
				phones += " " + x.Phone
			}
			email, wechat = email+x.Email, wechat+x.Wechat
		}
		bad := ""
		if len(r.bad) > 0 {
			bad = r.bad[0].Key
		}
		if strings.TrimSpace(phones) != c.phones || email != c.email || wechat != c.wechat || bad != c.bad {
			t.Errorf("%q: %q %q %q %q", c.cell, phones, email, wechat, bad)
		}
	}
}
