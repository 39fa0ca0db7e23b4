package event

import "testing"

// GOV-4: what identifies a person does not get into the trail with a reason.
func TestMasked(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  "",
		"客户不再需要":            "客户不再需要",
		"客户13812345678来电取消": "客户138****5678来电取消",
		"打 138-1234-5678 或 +86 139 0000 1111":           "打 138****5678 或 139****1111",
		"写到 zhangsan@example.com 了":                     "写到 z***@example.com 了",
		"身份证11010119900307123X号":                        "身份证110***********123X号",
		"工单 TASK20261121001，金额 12000 元，型号 X13800138000": "工单 TASK20261121001，金额 12000 元，型号 X13800138000",
	} {
		if got := masked(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
