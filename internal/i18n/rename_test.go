package i18n

import "testing"

// The key is looked at by no other test: names hold for the whole program.
func TestRename(t *testing.T) {
	const key = "customer.grade.c"
	zh, en := T(ZhCN, key), T(En, key)
	Rename(map[Lang]map[string]string{ZhCN: {key: "C 一般"}})
	if got := T(ZhCN, key); got != "C 一般" {
		t.Errorf("renamed: %q", got)
	}
	if got := T(En, key); got != en {
		t.Errorf("the other language became %q", got)
	}
	Rename(nil)
	if got := T(ZhCN, key); got != zh {
		t.Errorf("renamed back: %q, want %q", got, zh)
	}
}
