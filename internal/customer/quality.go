package customer

import (
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/number"
)

// Dimension is one of the four sides of data quality (RPT-8).
type Dimension string

const (
	Completeness Dimension = "completeness" // what should be known is filled in
	Accuracy     Dimension = "accuracy"     // what is filled in is right
	Consistency  Dimension = "consistency"  // nothing contradicts anything else
	Timeliness   Dimension = "timeliness"   // it was entered in time and is kept up
)

// Dimensions in the order they are shown.
var Dimensions = []Dimension{Completeness, Accuracy, Consistency, Timeliness}

// Measure is one thing that may be wrong with a profile. Its name, what it
// means and how it is mended are the locale keys quality.flaw.<code>, .means and
// .mend. ID is stored: it never changes its meaning.
type Measure struct {
	ID    int
	Code  string
	Of    Dimension
	Field string // where it is mended, as the page of the customer calls it
}

// QualityVersion is the version of the definitions below; a figure says by which
// it was made.
const QualityVersion = 1

// Measures lists what is looked at. IDs are bits of a mask: 5 to 62. The
// dimensions themselves are measures 1 to 4: any flaw of them.
var Measures = []Measure{
	{10, "no_uscc", Completeness, "uscc"},
	{11, "no_industry", Completeness, "industry"},
	{12, "no_contact", Completeness, "contacts"},
	{13, "no_phone", Completeness, "contacts"},
	{14, "no_region", Completeness, "region"},
	{15, "no_source", Completeness, "source"},
	{16, "no_owner", Completeness, "owner"},
	{17, "no_required", Completeness, "custom"},

	{20, "bad_uscc", Accuracy, "uscc"},
	{21, "placeholder", Accuracy, "name"},
	{22, "bad_phone", Accuracy, "contacts"},
	{23, "unreachable", Accuracy, "contacts"},
	{24, "unverified", Accuracy, "verify"},

	{30, "duplicate", Consistency, "duplicates"},
	{31, "person_uscc", Consistency, "uscc"},
	{32, "region_phone", Consistency, "region"},
	{33, "parent_loop", Consistency, "relations"},
	{34, "stage_tickets", Consistency, "stage"},
	{35, "owner_left", Consistency, "owner"},

	{40, "stale", Timeliness, "timeline"},
	{41, "late_entry", Timeliness, "timeline"},
	{42, "plan_overdue", Timeliness, "timeline"},
}

// How old things may be.
const (
	staleAfter  = 180 * 24 * time.Hour // nobody changed, confirmed or spoke to him
	enterWithin = 24 * time.Hour
)

// MeasureByCode returns a measure; also the dimensions are some.
func MeasureByCode(code string) (Measure, bool) {
	if i := slices.Index(Dimensions, Dimension(code)); i >= 0 {
		return Measure{ID: i + 1, Code: code, Of: Dimensions[i]}, true
	}
	i := slices.IndexFunc(Measures, func(m Measure) bool { return m.Code == code })
	if i < 0 {
		return Measure{}, false
	}
	return Measures[i], true
}

// PermQuality lets somebody see how good the data of his people are.
const PermQuality authz.Permission = "customer.quality"

func init() {
	authz.Register(authz.Def{Permission: PermQuality, Area: area, Scoped: true, Default: map[string]authz.Level{
		authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below, authz.RoleAuditor: authz.All}})
}

// profile is what the measures look at; see examine.
type profile struct {
	id, owner, department, parent                  int64
	kind                                           Type
	name, uscc, industry, region, source, stage    string
	first, created, updated, activity              time.Time
	verified, verify, planned                      time.Time
	open                                           int64
	ownerActive, gone, imported, loop, twin, lacks bool // twin: a suspected duplicate is undecided; lacks: a required field of the company's own is empty
	contacts                                       []reach
}

// reach is a contact as the measures look at him.
type reach struct {
	name                 string
	phone                string // clear
	masked, email, wecha string // masked
	primary, unreachable bool
}

// examine returns the mask of what is wrong with p at now; 0 is a good profile.
func examine(p profile, now time.Time) int64 {
	var mask int64
	flaw := func(wrong bool, id int) {
		if wrong {
			mask |= 1 << id
		}
	}
	company := p.kind == Company
	flaw(company && p.uscc == "", 10)
	flaw(company && p.industry == "", 11)
	flaw(len(p.contacts) == 0, 12)
	flaw(len(p.contacts) > 0 && !slices.ContainsFunc(p.contacts, func(c reach) bool { return c.masked != "" }), 13)
	flaw(p.region == "", 14)
	flaw(p.source == "", 15)
	flaw(p.owner == 0, 16)
	flaw(p.lacks, 17)

	flaw(p.uscc != "" && company && cnid.CheckUSCC(p.uscc) != nil, 20)
	flaw(hollow(p.name) || slices.ContainsFunc(p.contacts, func(c reach) bool { return hollow(c.name) }), 21)
	flaw(slices.ContainsFunc(p.contacts, func(c reach) bool { return wrongPhone(c.phone) }), 22)
	flaw(slices.ContainsFunc(p.contacts, func(c reach) bool { return c.unreachable }), 23)
	flaw(!p.verify.IsZero() && p.verify.Before(now), 24)

	flaw(p.twin, 30)
	flaw(p.uscc != "" && !company, 31)
	flaw(slices.ContainsFunc(p.contacts, func(c reach) bool { return elsewhere(p.region, c.masked) }), 32)
	flaw(p.loop, 33)
	flaw((p.stage == "lost" || p.stage == "dormant") && p.open > 0, 34)
	flaw(p.owner != 0 && !p.ownerActive, 35)

	flaw(later(p.updated, later(p.verified, p.activity)).Before(now.Add(-staleAfter)), 40)
	flaw(!p.imported && lateEntry(p.first, p.created), 41)
	flaw(!p.planned.IsZero() && p.planned.Before(now), 42)

	for _, m := range Measures {
		if mask&(1<<m.ID) != 0 {
			mask |= 1 << (1 + slices.Index(Dimensions, m.Of))
		}
	}
	return mask
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lateEntry reports whether somebody was registered more than a day after he was
// first spoken to. Who only knows the day has until the end of the next.
func lateEntry(first, created time.Time) bool {
	if first.IsZero() {
		return false
	}
	if l := first.In(number.Zone); l.Hour() == 0 && l.Minute() == 0 && l.Second() == 0 {
		first = first.Add(24 * time.Hour)
	}
	return created.After(first.Add(enterWithin))
}

// hollows are names that name nobody.
var hollows = []string{"测试", "无", "暂无", "未知", "不详", "没有", "客户", "先生", "女士", "联系人", "匿名", "test", "none", "null", "n/a", "na", "abc", "asdf", "qwer"}

// hollow reports whether a name was typed only because the form wanted one.
func hollow(name string) bool {
	s := strings.ToLower(strings.TrimSpace(name))
	if s == "" {
		return false
	}
	base := strings.TrimRight(s, "0123456789 ._-")
	if base == "" || slices.Contains(hollows, base) {
		return true // 测试2, 123456, …
	}
	r := []rune(s)
	return len(r) > 1 && strings.Count(s, string(r[0])) == len(r) && (r[0] < 0x80 || r[0] == '某' || r[0] == '*' || r[0] == '？')
}

// wrongPhone reports whether a stored number cannot be right: it is none, is in
// no allotted range, or was made up (13800000000, 12345678).
func wrongPhone(clear string) bool {
	if clear == "" {
		return false
	}
	p, err := cnid.ParsePhone(clear)
	if err != nil || p.Warning {
		return true
	}
	eight := cnid.LastEight(p)
	return len(eight) == 8 && (strings.Count(eight, eight[:1]) == 8 || strings.Contains("0123456789", eight) || strings.Contains("9876543210", eight))
}

// provinces by the first digits of an area code (without the 0). The longer
// prefix wins.
var provinces = map[string]string{"10": "北京", "21": "上海", "22": "天津", "23": "重庆", "20": "广东", "24": "辽宁", "25": "江苏", "27": "湖北", "28": "四川", "29": "陕西",
	"31": "河北", "33": "河北", "35": "山西", "349": "山西", "37": "河南", "39": "河南", "41": "辽宁", "42": "辽宁", "43": "吉林", "44": "吉林", "45": "黑龙江", "46": "黑龙江",
	"47": "内蒙古", "48": "内蒙古", "51": "江苏", "52": "江苏", "53": "山东", "54": "山东", "63": "山东", "55": "安徽", "56": "安徽", "57": "浙江", "58": "浙江", "59": "福建",
	"66": "广东", "75": "广东", "76": "广东", "69": "云南", "87": "云南", "88": "云南", "70": "江西", "79": "江西", "71": "湖北", "72": "湖北", "73": "湖南", "74": "湖南",
	"77": "广西", "81": "四川", "82": "四川", "83": "四川", "85": "贵州", "89": "西藏", "898": "海南", "899": "海南", "890": "海南", "90": "新疆", "99": "新疆",
	"91": "陕西", "93": "甘肃", "94": "甘肃", "95": "宁夏", "97": "青海"}

// capitals names provinces by towns that are often written alone.
var capitals = map[string]string{"广州": "广东", "深圳": "广东", "东莞": "广东", "佛山": "广东", "珠海": "广东", "南京": "江苏", "苏州": "江苏", "无锡": "江苏", "杭州": "浙江", "宁波": "浙江", "温州": "浙江",
	"合肥": "安徽", "福州": "福建", "厦门": "福建", "泉州": "福建", "南昌": "江西", "济南": "山东", "青岛": "山东", "烟台": "山东", "郑州": "河南", "武汉": "湖北", "长沙": "湖南", "南宁": "广西", "海口": "海南",
	"成都": "四川", "贵阳": "贵州", "昆明": "云南", "拉萨": "西藏", "西安": "陕西", "兰州": "甘肃", "西宁": "青海", "银川": "宁夏", "乌鲁木齐": "新疆", "石家庄": "河北", "太原": "山西", "呼和浩特": "内蒙古",
	"沈阳": "辽宁", "大连": "辽宁", "长春": "吉林", "哈尔滨": "黑龙江"}

// elsewhere reports whether a landline's area code belongs to another province
// than the region names. The mask keeps the area code: 0755-****3388.
func elsewhere(region, masked string) bool {
	area, _, ok := strings.Cut(masked, "-")
	if !ok || len(area) < 3 || len(area) > 4 || area[0] != '0' || region == "" {
		return false
	}
	of := provinces[area[1:min(len(area), 4)]]
	if of == "" {
		of = provinces[area[1:3]]
	}
	if of == "" {
		return false
	}
	is := ""
	for _, p := range provinces {
		if strings.HasPrefix(region, p) {
			is = p
		}
	}
	if is == "" {
		for town, p := range capitals {
			if strings.HasPrefix(region, town) {
				is = p
			}
		}
	}
	return is != "" && is != of
}
