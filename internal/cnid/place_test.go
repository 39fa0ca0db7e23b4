package cnid

import "testing"

func TestCompanyCore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, core, province, city string }{
		{"广东省广州市南粤医疗器械有限公司", "南粤医疗器械", "广东", "广州"},
		{"广州南粤医疗器械有限公司", "南粤医疗器械", "广东", "广州"},
		{"南粤医疗器械（广州）股份有限公司", "南粤医疗器械", "广东", "广州"},
		{"南粵醫療器械（廣州）有限公司", "南粤医疗器械", "广东", "广州"},
		{"西门子（中国）有限公司", "西门子", "", ""},
		{"北京公司", "北京", "", ""},
		{"上海北京路餐饮有限公司", "北京路餐饮", "上海", "上海"},
		{"华为技术有限公司广州分公司", "华为技术广州分公司", "", ""},
		{"Acme Trading Co., Ltd.", "acmetrading", "", ""},
	} {
		core, p := CompanyCore(c.name)
		if core != c.core || p.Province != c.province || p.City != c.city {
			t.Errorf("CompanyCore(%s) = %s %+v, want %s %s %s", c.name, core, p, c.core, c.province, c.city)
		}
	}
}

func TestSimplifiedPairs(t *testing.T) {
	t.Parallel()
	if n := len([]rune(characterPairs)); n%2 != 0 {
		t.Fatalf("%d characters are no pairs", n)
	}
	for k, v := range simplified() {
		if _, again := simplified()[v]; again {
			t.Errorf("%c is simplified to %c, which is simplified again", k, v)
		}
	}
	if got := Simplified("廣東華電國際貿易"); got != "广东华电国际贸易" {
		t.Error(got)
	}
}

func TestElsewhere(t *testing.T) {
	t.Parallel()
	gz, sz, gd, none := Place{"广东", "广州"}, Place{"广东", "深圳"}, Place{"广东", ""}, Place{}
	if gz.Elsewhere(gd) || gz.Elsewhere(none) || !gz.Elsewhere(sz) || !sz.Elsewhere(Place{"北京", "北京"}) {
		t.Error("places")
	}
}
