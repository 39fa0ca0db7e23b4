package customer

import (
	"slices"
	"testing"

	"bihuan/internal/cnid"
)

// TestCompare: what two profiles have in common, and how surely they are one.
func TestCompare(t *testing.T) {
	t.Parallel()
	company := func(name string, also ...func(*features)) *features {
		f := &features{typ: Company, mobile: map[string]bool{}}
		f.derive(name, "")
		for _, a := range also {
			a(f)
		}
		return f
	}
	person := func(name string, also ...func(*features)) *features {
		f := &features{typ: Person, mobile: map[string]bool{}, people: []string{cnid.NormalizeName(name)}}
		f.derive(name, "")
		for _, a := range also {
			a(f)
		}
		return f
	}
	mobile := func(n string) func(*features) {
		return func(f *features) { f.phones = append(f.phones, n); f.mobile[n] = true }
	}
	landline := func(n string) func(*features) { return func(f *features) { f.phones = append(f.phones, n) } }
	code := func(c string) func(*features) { return func(f *features) { f.uscc = c } }
	contact := func(n string) func(*features) { return func(f *features) { f.people = append(f.people, n) } }
	for _, c := range []struct {
		name string
		a, b *features
		sure string // "" not listed
		by   []string
	}{
		{"other legal form", company("广州南粤医疗器械有限公司"), company("广州南粤医疗器械股份有限公司"), Surely, []string{ByName}},
		{"without the place", company("广州南粤医疗器械有限公司"), company("南粤医疗器械"), Likely, []string{ByCoreName}},
		{"traditional", company("廣州南粵醫療器械有限公司"), company("广州南粤医疗器械有限公司"), Surely, []string{ByName}},
		{"sister elsewhere", company("广州南粤医疗器械有限公司"), company("深圳南粤医疗器械有限公司"), "", nil},
		{"branch", company("广州南粤医疗器械有限公司"), company("广州南粤医疗器械有限公司佛山分公司"), "", nil},
		{"another trade", company("广州南粤医疗器械有限公司"), company("广州南粤物流有限公司"), "", nil},
		{"same sound", company("广州恒信电子科技有限公司"), company("广州恒鑫电子科技有限公司"), Possibly, []string{BySound}},
		{"one character only", company("广州恒信电子科技有限公司"), company("广州恒磐电子科技有限公司"), "", nil},
		{"one character and a contact", company("广州恒信电子科技有限公司", contact("黎嘉敏")), company("广州恒磐电子科技有限公司", contact("黎嘉敏")), Possibly, []string{BySimilarName, BySameContact}},
		{"same code", company("甲", code("1")), company("乙丙丁", code("1")), Surely, []string{ByUSCC}},
		{"other codes", company("广州南粤医疗器械有限公司", code("1")), company("广州南粤医疗器械有限公司", code("2")), "", nil},
		{"switchboard", company("广州南粤医疗器械有限公司", landline("x")), company("广州天河餐饮有限公司", landline("x")), "", nil},
		{"namesakes", person("王伟"), person("王伟"), "", nil},
		{"same person", person("王伟", mobile("x")), person("王伟", mobile("x")), Likely, []string{ByPhone, ByName}},
		{"one mobile, two names", person("王伟", mobile("x")), person("李娜", mobile("x")), Possibly, []string{ByPhone}},
		{"a family", person("王伟", landline("x")), person("李娜", landline("x")), "", nil},
		{"a person and his company", person("王伟", mobile("x")), company("广州南粤医疗器械有限公司", mobile("x"), contact("王伟")), Likely, []string{ByPhone, BySameContact}},
	} {
		for _, w := range []weighed{compare(c.a, c.b), compare(c.b, c.a)} {
			listed := w.score >= listedFrom
			switch {
			case !listed && c.sure == "":
			case listed != (c.sure != ""), (Pair{Score: w.score}).Sure() != c.sure, !slices.Equal(w.reasons, c.by):
				t.Errorf("%s: %d %v, want %s %v", c.name, w.score, w.reasons, c.sure, c.by)
			}
		}
	}
}

func TestSlip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{{"甲乙丙", "甲乙丙", false}, {"甲乙丙", "甲丁丙", true}, {"甲乙丙", "甲丙", true}, {"甲丙", "甲乙丙", true}, {"甲乙丙", "乙甲丙", true}, {"甲乙丙", "丁戊丙", false}, {"甲", "甲乙丙", false}, {"甲乙", "甲乙丙", true}} {
		if slip(c.a, c.b) != c.want {
			t.Errorf("slip(%s, %s)", c.a, c.b)
		}
	}
}

// TestCellsKeepBytes: what the ledger writes is what it reads.
func TestCellsKeepBytes(t *testing.T) {
	t.Parallel()
	c := cells{"a": nil, "b": int64(1<<53 + 1), "c": "文\x00字", "d": []byte{0, 255, 7}, "e": []byte{}}
	raw, err := c.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back cells
	if err := back.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	for k := range c {
		if !sameValue(c[k], back[k]) {
			t.Errorf("%s: %#v became %#v", k, c[k], back[k])
		}
	}
}
