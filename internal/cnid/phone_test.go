package cnid

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParsePhone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		kind PhoneKind
		e164 string
		ext  string
		warn bool
		said string
	}{
		{in: "13812345678", kind: Mobile, e164: "+8613812345678", said: "13812345678"},
		{in: "+86 138-1234-5678", kind: Mobile, e164: "+8613812345678"},
		{in: "008613812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "013812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "8613812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "86-013812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "17951013812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "1795113812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "12593013812345678", kind: Mobile, e164: "+8613812345678"},
		{in: "17951013812", kind: Mobile, e164: "+8617951013812", warn: true}, // no carrier prefix before six digits
		{in: "１３８１２３４５６７８", kind: Mobile, e164: "+8613812345678"},
		{in: "\u202d138 1234 5678\u202c", kind: Mobile, e164: "+8613812345678"},
		{in: "手机：138.1234.5678", kind: Mobile, e164: "+8613812345678"},
		{in: "13812345678.0", kind: Mobile, e164: "+8613812345678"},
		{in: "19212345678", kind: Mobile, e164: "+8619212345678"},
		{in: "16212345678", kind: Mobile, e164: "+8616212345678"},
		{in: "17012345678", kind: Mobile, e164: "+8617012345678"},
		{in: "14712345678", kind: Mobile, e164: "+8614712345678"},
		{in: "14012345678", kind: Mobile, e164: "+8614012345678", warn: true},
		{in: "15412345678", kind: Mobile, e164: "+8615412345678", warn: true},
		{in: "17412345678", kind: Mobile, e164: "+8617412345678", warn: true},
		{in: "19412345678", kind: Mobile, e164: "+8619412345678", warn: true},

		{in: "010-12345678", kind: Landline, e164: "+861012345678", said: "010-12345678"},
		{in: "01012345678", kind: Landline, e164: "+861012345678"},
		{in: "010-1234-5678", kind: Landline, e164: "+861012345678"},
		{in: "（010）12345678", kind: Landline, e164: "+861012345678"},
		{in: "0755-86013388", kind: Landline, e164: "+8675586013388", said: "0755-86013388"},
		{in: "0755 8601 3388", kind: Landline, e164: "+8675586013388"},
		{in: "(0755)86013388", kind: Landline, e164: "+8675586013388"},
		{in: "+86 755 86013388", kind: Landline, e164: "+8675586013388"},
		{in: "+8675586013388", kind: Landline, e164: "+8675586013388"},
		{in: "0086-755-86013388", kind: Landline, e164: "+8675586013388"},
		{in: "8675586013388", kind: Landline, e164: "+8675586013388"},
		{in: "17951075586013388", kind: Landline, e164: "+8675586013388"},
		{in: "0310-3110310", kind: Landline, e164: "+863103110310", said: "0310-3110310"},
		{in: "021-60908888-8001", kind: Landline, e164: "+862160908888", ext: "8001", said: "021-60908888转8001"},
		{in: "021-60908888转8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021-60908888 转 8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021-60908888#8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021-60908888,8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021-60908888 ext. 8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021-60908888分机8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021－60908888（分机：8001）", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "021—60908888—8001", kind: Landline, e164: "+862160908888", ext: "8001"},
		{in: "75586013388", kind: Landline, e164: "+8675586013388", warn: true}, // 0 lost in a spreadsheet
		{in: "755-86013388", kind: Landline, e164: "+8675586013388", warn: true},

		{in: "400-820-8820", kind: Shared, e164: "+864008208820", said: "400-820-8820"},
		{in: "4008208820", kind: Shared, e164: "+864008208820"},
		{in: "4008-208-820", kind: Shared, e164: "+864008208820"},
		{in: "400-820-8820-8001", kind: Shared, e164: "+864008208820", ext: "8001"},
		{in: "400-820-8820转1", kind: Shared, e164: "+864008208820", ext: "1"},
		{in: "800-820-8820", kind: TollFree, e164: "+868008208820"},

		{in: "95588", kind: Short, said: "95588"},
		{in: "10086", kind: Short},
		{in: "12315", kind: Short},
		{in: "12345", kind: Short},
		{in: "110", kind: Short},

		{in: "+852 2123 4567", kind: Foreign, e164: "+85221234567", said: "+852 2123 4567"},
		{in: "00852 2123 4567", kind: Foreign, e164: "+85221234567"},
		{in: "+886 912 345 678", kind: Foreign, e164: "+886912345678"},
		{in: "+1 650 253 0000", kind: Foreign, e164: "+16502530000"},
	} {
		p, err := ParsePhone(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if p.Kind != c.kind || p.E164 != c.e164 || p.Ext != c.ext || p.Warning != c.warn || p.Raw != strings.TrimSpace(c.in) {
			t.Errorf("%q: %+v, want %+v", c.in, p, c)
		}
		if c.said != "" && p.String() != c.said {
			t.Errorf("%q: said %q, want %q", c.in, p.String(), c.said)
		}
		again, err := ParsePhone(p.Key())
		if err != nil || again.Key() != p.Key() || again.Kind != p.Kind {
			t.Errorf("%q: key %q reads back as %+v, %v", c.in, p.Key(), again, err)
		}
		if again, err := ParsePhone(p.String()); err != nil || again.Key() != p.Key() || again.Ext != p.Ext {
			t.Errorf("%q: %q reads back as %+v, %v", c.in, p.String(), again, err)
		}
	}
}

func TestParsePhoneRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		"":                              ErrPhone,
		"无":                             ErrPhone,
		"12812345678":                   ErrPhone,
		"1381234567":                    ErrPhone,
		"138123456789":                  ErrPhone,
		"1.38123E+10":                   ErrPhone,
		"86013388":                      ErrPhoneAreaCode,
		"3110310":                       ErrPhoneAreaCode,
		"张三13812345678":                 ErrPhone,
		"+999 123":                      ErrPhone,
		"110101194912310028":            ErrPhone,
		strings.Repeat("1", 200) + "#1": ErrPhone,
	} {
		if p, err := ParsePhone(in); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", in, p, err)
		}
	}
}

func TestSplitPhones(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"13812345678/010-12345678；13912345678": {"13812345678", "010-12345678", "13912345678"},
		"13812345678":                          {"13812345678"},
		"13812345678、13912345678":              {"13812345678", "13912345678"},
		"13812345678，13912345678":              {"13812345678", "13912345678"},
		"13812345678 13912345678":              {"13812345678", "13912345678"},
		"13812345678\n13912345678":             {"13812345678", "13912345678"},
		"13812345678或13912345678":              {"13812345678", "13912345678"},
		"+86 138 1234 5678":                    {"+86 138 1234 5678"},
		"0755 86013388":                        {"0755 86013388"},
		"021-60908888,8001":                    {"021-60908888,8001"},
		"021-60908888,8001;13812345678":        {"021-60908888,8001", "13812345678"},
		"0755-86013388/89":                     {"0755-86013388", "0755-86013389"},
		" / ;":                                 nil,
		"":                                     nil,
	} {
		if got := SplitPhones(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestLastDigits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"13812345678":       {"5678", "12345678"},
		"021-60908888-8001": {"8888", "60908888"},
		"10086":             {"", ""},
	} {
		p, _ := ParsePhone(in)
		if got := [2]string{LastFour(p), LastEight(p)}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParsePhone(f *testing.F) {
	f.Add("021-60908888转8001")
	f.Add("+")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePhone(s)
		if err == nil && p.Key() == "" {
			t.Errorf("%q: %+v without a key", s, p)
		}
		SplitPhones(s)
		if m := MaskPhone(s); strings.TrimSpace(s) != "" && m == s && m != Hidden {
			t.Errorf("%q shown whole", s)
		}
	})
}

func BenchmarkParsePhone(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParsePhone("138-1234-5678")
	}
}
