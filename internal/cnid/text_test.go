package cnid

import (
	"strings"
	"testing"
)

func TestEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"zhangsan@example.com":      "zhangsan@example.com",
		" ZhangSan@EXAMPLE.Com ":    "ZhangSan@example.com",
		"ｚｈａｎｇ＠ｑｑ．ｃｏｍ":              "zhang@qq.com",
		"zhang@qq。com":              "zhang@qq.com",
		"mailto:a@b.cn":             "a@b.cn",
		"张三 <zhangsan@example.com>": "zhangsan@example.com",
		"a.b+c@mail.example.com.cn": "a.b+c@mail.example.com.cn",
		"李@例子.中国":                   "李@例子.中国",
		"a@b.cn.":                   "a@b.cn",
	} {
		if got := NormalizeEmail(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if err := CheckEmail(in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"", "zhangsan", "@example.com", "a@", "a@b", "a@b.c", "a@-b.com", "a@b-.com", "a@b..com", ".a@b.com", "a.@b.com",
		"a..b@c.com", "a b@c.com", "a@b@c.com", "a@1.2.3.4", "a@b.c,d@e.com", "a\r\nBcc:x@b.com", `"a"@b.com`, "a<b@c.com",
		strings.Repeat("a", 65) + "@b.com", "a@" + strings.Repeat("b", 64) + ".com", "a@b.com;c@d.com",
	} {
		if CheckEmail(in) == nil {
			t.Errorf("%q accepted", in)
		}
	}
	if EmailKey("ZhangSan@Example.com") != EmailKey("zhangsan@example.COM") {
		t.Error("keys differ by case")
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		mask     func(string) string
		in, want string
	}{
		{"phone", MaskPhone, "13812345678", "138****5678"},
		{"phone", MaskPhone, "+8613812345678", "138****5678"},
		{"phone", MaskPhone, "0755-86013388", "0755-****3388"},
		{"phone", MaskPhone, "+8675586013388", "0755-****3388"},
		{"phone", MaskPhone, "010-12345678", "010-****5678"},
		{"phone", MaskPhone, "021-60908888转8001", "021-****8888"},
		{"phone", MaskPhone, "400-820-8820", "400-****8820"},
		{"phone", MaskPhone, "+852 2123 4567", "+852 ****4567"},
		{"phone", MaskPhone, "+1 650 253 0000", "+1 ****0000"},
		{"phone", MaskPhone, "10086", "*"},
		{"phone", MaskPhone, "1234", "*"},
		{"phone", MaskPhone, "张三13812345678", "****5678"},
		{"phone", MaskPhone, "", ""},
		{"name", MaskName, "张三", "张*"},
		{"name", MaskName, "张三丰", "张**"},
		{"name", MaskName, "John Smith", "J*** S****"},
		{"name", MaskName, "阿卜杜·热合曼", "阿**·热**"},
		{"name", MaskName, "𠮷野家", "𠮷**"},
		{"name", MaskName, "葛\U000E0100小伦", "葛**"},
		{"name", MaskName, "张", "*"},
		{"name", MaskName, "A B", "*"},
		{"name", MaskName, "X.", "*"},
		{"name", MaskName, "", ""},
		{"email", MaskEmail, "zhangsan@example.com", "z***@example.com"},
		{"email", MaskEmail, "z@example.com", "*@example.com"},
		{"email", MaskEmail, "𠮷野@example.com", "𠮷***@example.com"},
		{"email", MaskEmail, "no address", "*"},
		{"email", MaskEmail, "", ""},
		{"id", MaskIDNumber, "11010519491231002X", "110***********002X"},
		{"id", MaskIDNumber, "110105491231002", "110********1002"},
		{"id", MaskIDNumber, "E12345678", "E******78"},
		{"id", MaskIDNumber, "1234567", "*"},
		{"id", MaskIDNumber, "", ""},
		{"card", MaskBankCard, "6222 0212 3456 5678", "**** **** **** 5678"},
		{"card", MaskBankCard, "6222021234561235678", "**** **** **** 5678"},
		{"card", MaskBankCard, "5678", "*"},
		{"address", MaskAddress, "广东省深圳市南山区科技园路1号", "广东省深圳市南山区****"},
		{"address", MaskAddress, "北京市朝阳区建国路88号现代城小区", "北京市朝阳区****"},
		{"address", MaskAddress, "内蒙古自治区呼和浩特市新城区成吉思汗大街", "内蒙古自治区呼和浩特市新城区****"},
		{"address", MaskAddress, "云南省大理白族自治州漾濞彝族自治县苍山西镇", "云南省大理白族自治州漾濞彝族自治县****"},
		{"address", MaskAddress, "浙江省台州市路桥区银安街", "浙江省台州市路桥区****"},
		{"address", MaskAddress, "中国 上海市 浦东新区 世纪大道 100 号", "上海市浦东新区****"},
		{"address", MaskAddress, "江苏省昆山市玉山镇前进路", "江苏省昆山市****"},
		{"address", MaskAddress, "广东省深圳市南山区", "广东省深圳市南山区****"},
		{"address", MaskAddress, "科技园路1号幸福小区3栋501", "****"},
		{"address", MaskAddress, "北京市建国路小区1号", "北京市****"},
		{"address", MaskAddress, "", ""},
		{"all", MaskAll, "微信号", "****"},
		{"all", MaskAll, "", ""},
	} {
		if got := c.mask(c.in); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

// No mask may give a value away because it is short or odd.
func TestMasksHide(t *testing.T) {
	t.Parallel()
	odd := []string{"a", "1", "张", "𠮷", "ab", "12", "张三", "1234", "a@b", "a@b.cn", "@", "A B", "·", "  x  ", "\xff\xfe", "é", "e\u0301", "12345678", "区", "省", "北京市", "👨‍👩‍👧"}
	for name, mask := range map[string]func(string) string{"phone": MaskPhone, "name": MaskName, "email": MaskEmail, "id": MaskIDNumber, "card": MaskBankCard, "address": MaskAddress, "all": MaskAll} {
		for _, v := range odd {
			if got := mask(v); got == v || got == strings.TrimSpace(v) || !strings.Contains(got, "*") {
				t.Errorf("%s: %q is shown as %q", name, v, got)
			}
		}
	}
}

func TestNormalizeCompany(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"广州南粤医疗器械有限公司":           "广州南粤医疗器械",
		"广州南粤医疗器械有限责任公司":         "广州南粤医疗器械",
		" 广州 南粤医疗器械　股份有限公司 ":     "广州南粤医疗器械",
		"西门子（中国）有限公司":            "西门子中国",
		"西门子(中国)有限公司":            "西门子中国",
		"华为技术有限公司":               "华为技术",
		"华为技术有限公司广州分公司":          "华为技术广州分公司",
		"美的集团股份有限公司":             "美的",
		"美的集团":                   "美的",
		"美的（集团）有限公司":             "美的",
		"中国石油化工集团公司":             "中国石油化工",
		"甲乙丙餐饮店（个体工商户）":          "甲乙丙餐饮店",
		"深圳某某投资合伙企业（有限合伙）":       "深圳某某投资合伙企业",
		"ＡＢＣ贸易公司":                "abc贸易",
		"Acme Trading Co., Ltd.": "acmetrading",
		"ACME Trading Limited":   "acmetrading",
		"Costco":                 "costco",
		"Inc":                    "inc",
		"集团有限公司":                 "集团有限公司",
		"有限公司":                   "有限公司",
		"":                       "",
	} {
		if got := NormalizeCompany(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, pair := range [][2]string{
		{"广州南粤医疗有限公司", "深圳南粤医疗有限公司"},
		{"华为技术有限公司", "华为技术有限公司广州分公司"},
		{"西门子有限公司", "西门子（中国）有限公司"},
		{"南粤医疗有限公司", "南粤医药有限公司"},
	} {
		if NormalizeCompany(pair[0]) == NormalizeCompany(pair[1]) {
			t.Errorf("%q taken for %q", pair[0], pair[1])
		}
	}
}

func TestNormalizeName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"张 三":         "张三",
		"　张三　":        "张三",
		"John  SMITH": "john smith",
		"阿卜杜•热合曼":     "阿卜杜·热合曼",
		"阿卜杜．热合曼":     "阿卜杜·热合曼",
		"ＪＯＨＮ":        "john",
		"李 John":      "李john",
	} {
		if got := NormalizeName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPinyin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, full, first string }{
		{"广州南粤医疗", "guangzhounanyueyiliao", "gznyyl"},
		{"广州ABC医疗（2025）", "guangzhouabcyiliao2025", "gzabcyl2025"},
		{"张三", "zhangsan", "zs"},
		{"单田芳", "shantianfang", "stf"},
		{"曾国藩", "zengguofan", "zgf"},
		{"仇英", "qiuying", "qy"},
		{"解晓东", "xiexiaodong", "xxd"},
		{"区志伟", "ouzhiwei", "ozw"},
		{"单于", "chanyu", "cy"},
		{"尉迟敬德", "yuchijingde", "ycjd"},
		{"长孙无忌", "zhangsunwuji", "zswj"},
		{"朴槿惠", "piaojinhui", "pjh"},
		{"查良镛", "zhaliangyong", "zly"},
		{"任正非", "renzhengfei", "rzf"},
		{"重庆长安汽车", "chongqingchanganqiche", "cqcaqc"},
		{"长沙银行", "changshayinhang", "csyh"},
		{"厦门国际银行", "xiamenguojiyinhang", "xmgjyh"},
		{"成都市商业银行", "chengdushishangyeyinhang", "cdssyyh"},
		{"三一重工", "sanyizhonggong", "syzg"},
		{"区块链科技", "qukuailiankeji", "qklkj"},
		{"解放军", "jiefangjun", "jfj"},
		{"佛山音乐大厦", "foshanyinyuedasha", "fsyyds"},
		{"番禺会计", "panyukuaiji", "pykj"},
		{"吕布", "lvbu", "lb"},
		{"沈阳", "shenyang", "sy"},
		{"Café Zürich", "cafezurich", "cafezurich"},
		{"ＡＢ１２", "ab12", "ab12"},
		{"——！", "", ""},
		{"", "", ""},
	} {
		if got := Pinyin(c.in); got != c.full {
			t.Errorf("pinyin of %q: %q, want %q", c.in, got, c.full)
		}
		if got := Initials(c.in); got != c.first {
			t.Errorf("initials of %q: %q, want %q", c.in, got, c.first)
		}
	}
}

func TestIndustries(t *testing.T) {
	t.Parallel()
	if n := len(Sections()); n != 20 {
		t.Errorf("%d sections", n)
	}
	divisions, last := 0, ""
	for _, s := range Sections() {
		if s.English == "" {
			t.Errorf("%s has no English name", s.Code)
		}
		for _, d := range Divisions(s.Code) {
			divisions++
			if d.Code[1:] <= last {
				t.Errorf("%s after %s", d.Code, last)
			}
			last = d.Code[1:]
		}
	}
	if divisions != 97 || len(Industries()) != 117 {
		t.Errorf("%d divisions", divisions)
	}
	for code, want := range map[string]string{
		"C": "C", "c39": "C39", "39": "C39", "C3921": "C39", "392": "C39", "S96": "S96", "79": "N79", "Ｔ97": "T97",
		"": "", "U": "", "A39": "", "98": "", "C3": "", "C39212": "", "C3X": "", "9": "",
	} {
		if got, ok := IndustryByCode(code); got.Code != want || ok != (want != "") {
			t.Errorf("code %q: %+v, want %q", code, got, want)
		}
	}
	for name, want := range map[string]string{
		"制造业": "C", "软件和信息技术服务业": "I65", "农、林、牧、渔业": "A", "农林牧渔业": "A", "教育": "P", " 批发业 ": "F51", "火星移民": "", "": "",
	} {
		if got, ok := IndustryByName(name); got.Code != want || ok != (want != "") {
			t.Errorf("name %q: %+v, want %q", name, got, want)
		}
	}
}
