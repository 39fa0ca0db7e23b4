package i18n

import (
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"
)

var placeholder = regexp.MustCompile(`\{\d+\}`)

// Both languages say the same things with the same placeholders (GOV-9).
func TestComplete(t *testing.T) {
	t.Parallel()
	for k, zh := range texts[ZhCN] {
		en, ok := texts[En][k]
		if !ok {
			t.Errorf("%s has no English text", k)
			continue
		}
		a, b := uniq(placeholder.FindAllString(zh, -1)), uniq(placeholder.FindAllString(en, -1))
		if a != b {
			t.Errorf("%s: placeholders differ: %s / %s", k, a, b)
		}
	}
	for k := range texts[En] {
		if _, ok := texts[ZhCN][k]; !ok {
			t.Errorf("%s has no Chinese text", k)
		}
	}
}

func uniq(ss []string) string {
	sort.Strings(ss)
	var out []string
	for i, s := range ss {
		if i == 0 || ss[i-1] != s {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Lang{"zh-CN,zh;q=0.9": ZhCN, "en-US": En, "fr,en;q=0.5": En, "": ZhCN, "de": ZhCN} {
		if got, _ := Parse(in); got != want {
			t.Errorf("Parse(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "不到 1 分钟", 90 * time.Minute: "1 小时 30 分钟", 49 * time.Hour: "2 天 1 小时", -time.Hour: "1 小时"} {
		if got := Duration(ZhCN, d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}
