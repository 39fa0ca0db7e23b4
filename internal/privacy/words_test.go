package privacy

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var someone = Values{Names: []string{"欧阳震华", "Jonathan Smithers"}, Phones: []string{"13812345678", "0755-86013388转8001", "+852 2123 4567"},
	Emails: []string{"Zhang.San@Example.com"}, Handles: []string{"wxid_ouyang88", "13987654321"}, Addresses: []string{"广东省深圳市南山区科技园南路18号2栋301"}, Others: []string{"110101199003071234"}}

// GOV-4: a value is found in whatever way people write it.
func TestWordsFind(t *testing.T) {
	t.Parallel()
	w := wordsOf(someone, true)
	for _, s := range []string{
		"13812345678", "电话138 1234 5678。", "138-1234-5678", "１３８１２３４５６７８", "+86 138 1234 5678", "0086-13812345678", "8613812345678", "(138)12345678", "138.1234.5678", "013812345678",
		"138\u200b12345678", "tel:13812345678", "订单A13812345678B", "138 1234\u00a05678", "138—1234—5678",
		"0755-86013388", "0755 8601 3388 转 8001", "86013388", "(0755)86013388-8001", "075586013388", "+86-755-86013388", "００８６７５５８６０１３３８８",
		"+85221234567", "852 2123 4567", "打 2123 4567 找他",
		"zhang.san@example.com", "ZHANG.SAN@EXAMPLE.COM", "写信到zhang.san@example.com，谢谢", "zhang.san＠example。com", "<Zhang.San@example.com>",
		"欧阳震华", "欧阳 震华先生", "请找欧阳震华本人", "jonathan smithers", "JonathanSmithers", "Mr. JONATHAN  SMITHERS,",
		"微信wxid_ouyang88", "WXID_OUYANG88", "微信 139 8765 4321",
		"广东省深圳市南山区科技园南路18号2栋301", "寄到科技园南路18号2栋301室", "深圳市 南山区 科技园南路１８号２栋３０１",
		"身份证110101199003071234", "110101 19900307 1234",
		`{"phone":"138-1234-5678","n":1}`, `{"n":13812345678}`, `{"138 1234 5678":"x"}`, `["a",{"b":["欧阳震华"]}]`,
	} {
		if !w.in(s) {
			t.Errorf("%q is not found", s)
		}
		out, n := w.blacken(s)
		if n == 0 || w.in(out) {
			t.Errorf("%q is left as %q", s, out)
		}
		if s[0] < 0x80 && strings.ContainsRune("{[", rune(s[0])) && !json.Valid([]byte(out)) {
			t.Errorf("%q became no JSON: %q", s, out)
		}
	}
	for _, s := range []string{"", "13812345679", "1381234 567", "138****5678", "2386013388", "860133889", "xzhang.san@example.comx", "zhang.san@example.community", "欧阳", "震华", "wxid_ouyang889",
		"sold 212345678", "科技园南路", "2栋301", `{"id":1381234567}`, "21234567890"} {
		if w.in(s) {
			out, _ := w.blacken(s)
			t.Errorf("%q is taken for a value: %q", s, out)
		}
	}
}

// A short name is a word of its own in other people's records.
func TestWordsStrict(t *testing.T) {
	t.Parallel()
	v := Values{Names: []string{"高兴", "张总", "欧阳先生", "Li"}, Handles: []string{"abc"}}
	own, others := wordsOf(v, false), wordsOf(v, true)
	for _, s := range []string{"很高兴为您服务", "张总来电", "欧阳先生", "Li called", "微信abc"} {
		if !own.in(s) {
			t.Errorf("%q is not found in his own record", s)
		}
		if others.in(s) {
			t.Errorf("%q is taken for him in others' records", s)
		}
	}
	if own.in("Lithium abcd") {
		t.Error("parts of words are taken for the name")
	}
}

// What surrounds a value stays as it was, and nothing of the value does.
func TestBlackenProperty(t *testing.T) {
	t.Parallel()
	w := wordsOf(someone, true)
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringMatching(`[一-龥a-f，。 ■]{0,12}`)
		a, b := around.Draw(t, "before"), around.Draw(t, "behind")
		d := "13812345678"
		var s strings.Builder
		for i, r := range d {
			if i > 0 {
				s.WriteString(strings.Repeat(rapid.SampledFrom([]string{" ", "-", ".", "", "", ""}).Draw(t, "sign"), rapid.IntRange(1, 3).Draw(t, "times")))
			}
			if rapid.Bool().Draw(t, "wide") {
				r += 0xfee0
			}
			s.WriteRune(r)
		}
		text := a + s.String() + b
		out, n := w.blacken(text)
		if n != 1 || out != a+Blackened+b || !utf8.ValidString(out) {
			t.Fatalf("%q became %q (%d)", text, out, n)
		}
		if _, again := w.blacken(out); again != 0 {
			t.Fatalf("%q is found again", out)
		}
	})
}
