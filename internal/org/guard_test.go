package org

import "testing"

// A name may be chosen so that the exported table runs it.
func TestExportedTextIsNoFormula(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "张三": "张三", "a=1": "a=1", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\n=1": "'\n=1",
		"＝1+1": "'＝1+1", "＋1": "'＋1", "－1": "'－1", "＠SUM": "'＠SUM",
	} {
		if got := guard(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
