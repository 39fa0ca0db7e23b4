package journal

import (
	"testing"
	"time"

	"bihuan/internal/fault"
)

// FLW-3
func TestVague(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "已处理", "客户满意", "已联系客户，客户表示满意。", "ok", "正在跟进中", "已解决，客户认可！", "问题已处理完毕", "已回复", "同上", "。。。"} {
		if len(Vague(s)) == 0 {
			t.Errorf("%q passes as a record", s)
		}
	}
	for _, s := range []string{"已更换主板，客户开机测试正常，下周三回访", "电话联系王总，约定 15:30 上门检测", "客户要求退款 300 元，已提交财务", "远程升级到 v5.8.2 后导出恢复",
		"周经理反馈华北分公司仍超时，希望 16:00 前给结论", "The router was replaced and works"} {
		if lacks := Vague(s); len(lacks) > 0 {
			t.Errorf("%q is called vague: %v", s, lacks)
		}
	}
}

// FLW-1
func TestCheckFollowUp(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 19, 1, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, body string
		r          Record
		field      string
	}{
		{"good", "已更换主板，客户开机测试正常", Record{Method: "phone", At: now}, ""},
		{"no content", " ", Record{Method: "phone"}, "body"},
		{"unknown method", "已更换主板，客户开机测试正常", Record{Method: "pigeon"}, "method"},
		{"in the future", "已更换主板，客户开机测试正常", Record{Method: "phone", At: now.Add(time.Hour)}, "at"},
		{"next in the past", "已更换主板，客户开机测试正常", Record{Method: "phone", NextAt: now.Add(-time.Hour), NextPlan: "回访"}, "next_at"},
		{"next without what", "已更换主板，客户开机测试正常", Record{Method: "phone", NextAt: now.Add(time.Hour)}, "next_plan"},
		{"vague", "已处理", Record{Method: "phone"}, "body"},
	} {
		err := CheckFollowUp(now, c.body, c.r, true)
		f, ok := fault.As(err)
		if c.field == "" && err != nil || c.field != "" && (!ok || f.Fields[0].Field != c.field) {
			t.Errorf("%s: %v, want a message at %q", c.name, err, c.field)
		}
	}
}
