// Package importertest makes the table a company has kept its customers in for
// years: five thousand rows with every fault such tables have, and the truth about
// them. Nobody in it exists; numbers and codes are made up.
package importertest

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/cnid"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Pair is two rows that are one customer, by their numbers in the table, and in
// what way the second was written differently.
type Pair struct{ A, B, Way string }

// Messy is the table and the truth.
type Messy struct {
	Title  []string
	Header []string
	Rows   [][]string // blank ones among them
	Pairs  []Pair     // planted
	Merged [][2]int   // rows (index into Rows) whose name is one merged cell
	// Doubtful rows, by index, with the fault: each must be in the result file with
	// a reason.
	Doubtful map[int]string
	numbers  map[int]int // rows whose phone is a number of the spreadsheet
	Data     int         // rows that hold something
}

// Ways the planted duplicates are written in.
var Ways = []string{"phone written otherwise", "same credit code, short name", "other legal form", "place in brackets", "without the place", "same sound", "one character wrong", "traditional characters",
	"same e-mail", "same WeChat", "second phone of a cell", "merged cell"}

const (
	brandFirst  = "恒信华远天瑞博康金鼎盛泰宏达新星中联光明正大永安宝丰嘉诚卓越世纪海蓝百川智云启航德胜普惠同舟晨曦润泽元通广源长兴凯旋雅美高盛友邦致远维创顺风立信科锐"
	brandSecond = "捷腾亚斯特格尔诺曼迪奥伦朗逸飞扬茂益禾优品赛威图森洛克辰宇皓轩梓涵鹏程铭志昊然景润沃尔欧贝思拓极简森林沐阳"
	surnames    = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
	givens      = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲芬燕志国建文斌辉鑫宇浩然子轩思雨欣怡佳琪雪梅晓东俊峰海波立新春梅秋菊"
)

var (
	cities = []string{"广州", "深圳", "佛山", "东莞", "杭州", "宁波", "苏州", "南京", "成都", "重庆", "武汉", "长沙", "西安", "郑州", "青岛", "济南", "厦门", "福州", "合肥", "天津"}
	trades = []string{"医疗器械", "电子科技", "信息技术", "国际贸易", "物流", "建筑工程", "餐饮管理", "环保设备", "精密机械", "生物医药", "文化传媒", "装饰材料", "食品", "服装", "家具", "教育咨询", "新能源", "自动化设备", "化工", "包装制品"}
	// Characters often taken for each other, and of the same sound.
	sounds      = map[rune]rune{'信': '鑫', '华': '骅', '瑞': '睿', '康': '糠', '盛': '胜', '宏': '弘', '达': '答', '联': '莲', '明': '铭', '安': '桉', '丰': '峰', '诚': '成', '海': '醢', '智': '志', '启': '起', '德': '得', '同': '彤', '润': '闰', '源': '元', '美': '镁', '远': '苑', '天': '添', '新': '欣', '星': '兴', '金': '锦', '博': '勃', '泰': '态', '中': '钟', '光': '胱', '正': '政', '永': '勇', '宝': '饱', '嘉': '佳', '云': '芸', '通': '统', '广': '犷', '长': '常', '凯': '铠', '雅': '亚', '高': '皋', '友': '有', '致': '志', '维': '唯', '创': '怆', '顺': '瞬', '立': '力', '科': '柯', '卓': '桌', '世': '市', '百': '摆', '普': '谱', '晨': '辰', '元': '源', '胜': '盛', '恒': '衡'}
	traditional = strings.NewReplacer("广", "廣", "东", "東", "医", "醫", "疗", "療", "电", "電", "国", "國", "际", "際", "贸", "貿", "华", "華", "联", "聯", "远", "遠", "宝", "寶", "丰", "豐", "设", "設", "备", "備", "机", "機", "业", "業", "药", "藥", "建", "建", "饮", "飲", "环", "環", "传", "傳", "装", "裝", "饰", "飾", "动", "動", "诚", "誠", "术", "術", "湾", "灣", "门", "門", "达", "達", "维", "維", "创", "創", "润", "潤", "兴", "興")
)

// base is somebody as he really is.
type base struct {
	id                                                         string
	company                                                    bool
	city, brand, trade, name                                   string
	uscc, contact, phone, email, wechat, source, level, remark string
	at                                                         time.Time
}

// maker draws everything from one seed.
type maker struct {
	r      *rand.Rand
	phones int
	codes  int
	ids    int
	taken  map[string]bool
}

func (m *maker) pick(s string) string { r := []rune(s); return string(r[m.r.IntN(len(r))]) }

func (m *maker) person() string {
	n := m.pick(surnames) + m.pick(givens)
	if m.r.IntN(3) > 0 {
		n += m.pick(givens)
	}
	return n
}

func (m *maker) mobile() string {
	m.phones++
	return []string{"138", "139", "186", "159", "177"}[m.phones%5] + fmt.Sprintf("%08d", (m.phones*7919+10007)%100000000)
}

func (m *maker) landline(city string) string {
	m.phones++
	code := map[string]string{"广州": "020", "深圳": "0755", "杭州": "0571", "成都": "028", "武汉": "027"}[city]
	if code == "" {
		code = "010"
	}
	return code + "-" + fmt.Sprintf("8%07d", (m.phones*7907+11)%10000000)
}

func (m *maker) number() string { m.ids++; return fmt.Sprintf("K%05d", m.ids) }

func (m *maker) somebody() base {
	b := base{id: m.number(), company: m.r.IntN(10) < 7, at: time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, m.r.IntN(2500)),
		source: []string{"电话", "展会", "老客户介绍", "官网", ""}[m.r.IntN(5)], level: []string{"普通", "普通", "VIP", "战略"}[m.r.IntN(4)], city: cities[m.r.IntN(len(cities))]}
	b.contact, b.phone = m.person(), m.mobile()
	if m.r.IntN(3) == 0 {
		b.email = fmt.Sprintf("user%d@example.com", m.ids)
	}
	if m.r.IntN(6) == 0 {
		b.wechat = fmt.Sprintf("wx_kh%05d", m.ids)
	}
	if !b.company {
		b.name = b.contact
		return b
	}
	for b.brand == "" || m.taken[b.brand+b.trade] {
		b.brand, b.trade = m.pick(brandFirst)+m.pick(brandSecond), trades[m.r.IntN(len(trades))]
	}
	m.taken[b.brand+b.trade] = true
	b.name = b.city + b.brand + b.trade + "有限公司"
	if m.r.IntN(2) == 0 {
		m.codes++
		b.uscc = cnid.SampleUSCC(m.codes)
	}
	if m.r.IntN(5) == 0 {
		b.phone = m.landline(b.city)
	}
	return b
}

func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7F {
			return r + 0xFEE0
		}
		return r
	}, s)
}

// Columns of the table, in no sensible order, two of them for telephones.
var header = []string{"备 注", "录入日期", "单位名称（必填）*", "客户编号", "联系人姓名", "座机", "手机号码", "所在地区", "电子邮箱", "微信号", "统一社会信用代码", "等级", "来源", "登记人"}

const (
	cRemark = iota
	cDate
	cName
	cID
	cContact
	cLandline
	cMobile
	cRegion
	cEmail
	cWechat
	cCode
	cLevel
	cSource
	cRegistrar
)

func (m *maker) row(b base) []string {
	r := make([]string, len(header))
	r[cRemark], r[cName], r[cID], r[cContact], r[cEmail], r[cWechat], r[cCode], r[cLevel], r[cSource] = b.remark, b.name, b.id, b.contact, b.email, b.wechat, b.uscc, b.level, b.source
	if strings.Contains(b.phone, "-") {
		r[cLandline] = b.phone
	} else {
		r[cMobile] = b.phone
	}
	if m.r.IntN(2) == 0 {
		r[cRegion] = b.city
	}
	r[cDate] = b.at.Format([]string{"2006-01-02", "2006/1/2", "2006.01.02", "2006年1月2日", "20060102"}[m.r.IntN(5)])
	if m.r.IntN(8) == 0 { // a date that became a number
		r[cDate] = strconv.Itoa(int(b.at.Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)).Hours() / 24))
	}
	if !b.company && m.r.IntN(2) == 0 {
		r[cContact] = ""
	}
	return r
}

// twin writes b once more, in another way.
func (m *maker) twin(b base, way string) base {
	d := b
	d.id, d.at, d.source, d.level, d.remark = m.number(), b.at.AddDate(0, m.r.IntN(20), 0), "", "", ""
	d.email, d.wechat, d.uscc = "", "", ""
	fresh := func() { d.phone = m.mobile() }
	switch way {
	case "phone written otherwise":
		p := b.phone
		d.phone = []string{"+86 " + p[:3] + " " + p[3:7] + " " + p[7:], p[:3] + "-" + p[3:7] + "-" + p[7:], wide(p), "0086" + p, "手机：" + p}[m.r.IntN(5)]
	case "same credit code, short name":
		d.uscc, d.name = strings.ToLower(b.uscc), b.brand+b.trade
		fresh()
		d.contact = m.person()
	case "other legal form":
		d.name = b.city + b.brand + b.trade + []string{"股份有限公司", "有限责任公司", "公司", "集团有限公司"}[m.r.IntN(4)]
		fresh()
		d.contact = m.person()
	case "place in brackets":
		d.name = b.brand + b.trade + []string{"（" + b.city + "）有限公司", "(" + b.city + ")有限公司", " （" + b.city + "） 有限公司"}[m.r.IntN(3)]
		fresh()
		d.contact = m.person()
	case "without the place":
		d.name = b.brand + b.trade + "有限公司"
		fresh()
		d.contact = m.person()
	case "same sound":
		d.name = b.city + strings.Map(func(r rune) rune {
			if s, ok := sounds[r]; ok {
				return s
			}
			return r
		}, b.brand) + b.trade + "有限公司"
		fresh()
	case "one character wrong":
		r := []rune(b.trade)
		r[len(r)-1] = '集'
		d.name = b.city + b.brand + string(r) + "有限公司"
		fresh()
	case "traditional characters":
		d.name = traditional.Replace(b.name)
		fresh()
		d.contact = m.person()
	case "same e-mail":
		d.email = strings.Replace(strings.ToUpper(b.email[:1])+b.email[1:], "@", "＠", 1)
		fresh()
	case "same WeChat":
		d.wechat = b.wechat
		fresh()
	case "second phone of a cell":
		d.phone = m.mobile() + []string{"/", "、", "；", " "}[m.r.IntN(4)] + b.phone
	case "merged cell":
		fresh()
		d.contact = m.person()
	}
	return d
}

// Make returns the table with about n rows of data; the same seed makes the same
// table.
func Make(seed uint64, n int) *Messy {
	m := &maker{r: rand.New(rand.NewPCG(seed, 7)), taken: map[string]bool{}}
	t := &Messy{Header: header, Doubtful: map[int]string{}, numbers: map[int]int{}, Title: []string{"客户信息登记表（2019—2026 年汇总，各部门勿外传）"}}
	type line struct {
		row   []string
		fault string
		after bool // stays behind the line before
		sci   bool
	}
	var lines []line
	add := func(b base, fault string) int {
		lines = append(lines, line{row: m.row(b), fault: fault})
		return len(lines) - 1
	}
	twins := n / 10
	for i := 0; len(lines)+2*twins < n-n/25; i++ {
		b := m.somebody()
		add(b, "")
		// Somebody else who looks alike.
		if !b.company || i%12 != 0 {
			continue
		}
		o := b
		o.id, o.phone, o.contact, o.email, o.wechat, o.uscc = m.number(), m.mobile(), m.person(), "", "", ""
		switch i / 12 % 5 {
		case 0: // a sister in another city
			for o.city == b.city {
				o.city = cities[m.r.IntN(len(cities))]
			}
			o.name = o.city + b.brand + b.trade + "有限公司"
		case 1: // the same brand in another trade
			for o.trade == b.trade {
				o.trade = trades[m.r.IntN(len(trades))]
			}
			o.name = b.city + b.brand + o.trade + "有限公司"
		case 2:
			o.name = b.name + "深圳分公司"
		case 3: // one character of the brand is another, and so is everything else
			o.name = b.city + string([]rune(b.brand)[0]) + "磐" + b.trade + "有限公司"
		case 4: // a family with one telephone
			p := m.landline("北京")
			x, y := m.somebody(), m.somebody()
			for _, q := range []base{x, y} {
				q.company, q.name, q.phone, q.uscc, q.email, q.wechat = false, m.person(), p, "", "", ""
				q.contact = q.name
				add(q, "")
			}
			continue
		}
		add(o, "")
	}
	for i := range twins {
		way := Ways[i%len(Ways)]
		var b base
		for ok := false; !ok; {
			b = m.somebody()
			switch way {
			case "same credit code, short name":
				ok = b.company && b.uscc != ""
			case "same e-mail":
				ok = b.email != ""
			case "same WeChat":
				ok = b.wechat != ""
			case "phone written otherwise", "second phone of a cell":
				ok = !strings.Contains(b.phone, "-")
			case "same sound":
				ok = b.company && strings.ContainsFunc(b.brand, func(r rune) bool { _, has := sounds[r]; return has })
			case "traditional characters":
				ok = b.company && traditional.Replace(b.name) != b.name
			case "one character wrong":
				ok = b.company && len([]rune(b.trade)) >= 4
			default:
				ok = b.company
			}
		}
		d := m.twin(b, way)
		add(b, "")
		k := add(d, "")
		lines[k].after = way == "merged cell"
		if strings.Contains(lines[k].row[cMobile], "手机") || way == "second phone of a cell" {
			lines[k].row[cLandline], lines[k].row[cMobile] = "", d.phone
		}
		t.Pairs = append(t.Pairs, Pair{b.id, d.id, way})
	}
	// Rows with a fault of their own.
	for i := range n / 25 {
		b := m.somebody()
		b.phone = m.mobile()
		k := add(b, "")
		r := lines[k].row
		switch i % 10 {
		case 0:
			r[cName], r[cMobile] = r[cMobile], r[cName]
			lines[k].fault = "name and phone exchanged"
		case 1:
			r[cContact], r[cMobile] = r[cMobile], m.person()
			lines[k].fault = "contact and phone exchanged"
		case 2:
			lines[k].sci = true
			r[cMobile] = "1.38E+10"
			lines[k].fault = "scientific notation"
		case 3:
			r[cName] = "  "
			lines[k].fault = "no name"
		case 4:
			r[cMobile], r[cEmail], r[cWechat] = "不详", "", ""
			lines[k].fault = "no phone"
		case 5:
			r[cMobile] = b.phone[:9]
			lines[k].fault = "digits missing"
		case 6:
			r[cDate] = "去年底"
			lines[k].fault = "no date"
		case 7:
			r[cLevel] = "铂金"
			lines[k].fault = "unknown level"
		case 8:
			r[cCode] = "9144000000000000XX"
			lines[k].fault = "wrong credit code"
		case 9:
			r[cEmail] = "没有邮箱"
			lines[k].fault = "no e-mail"
		}
	}
	// One order for all, in which merged cells stay together.
	order := make([]int, 0, len(lines))
	for i := range lines {
		if !lines[i].after {
			order = append(order, i)
		}
	}
	m.r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for n, i := range order {
		if n%97 == 50 {
			t.Rows = append(t.Rows, make([]string, len(header)))
		}
		for _, j := range []int{i, i + 1} {
			if j != i && (j >= len(lines) || !lines[j].after) {
				continue
			}
			l := lines[j]
			r := l.row
			if j%9 == 0 { // blanks at the end, and full width
				r[cName] += "  　"
				r[cID] += " "
			}
			if j%11 == 0 && l.fault == "" && !l.after && len(r[cMobile]) == 11 {
				r[cMobile] = wide(r[cMobile])
			}
			if j%13 == 0 && r[cEmail] == "" {
				r[cEmail] = []string{"无", "/", "-", "N/A"}[j/13%4]
			}
			r[cRegistrar] = "小李"
			if l.after {
				t.Merged = append(t.Merged, [2]int{len(t.Rows) - 1, len(t.Rows)})
			}
			if l.fault != "" {
				t.Doubtful[len(t.Rows)] = l.fault
			}
			if l.sci {
				t.numbers[len(t.Rows)] = cMobile
			}
			t.Rows = append(t.Rows, r)
			t.Data++
		}
	}
	total := make([]string, len(header))
	total[0], total[cName] = "合计", strconv.Itoa(t.Data)
	t.Doubtful[len(t.Rows)] = "total"
	t.Rows = append(t.Rows, total)
	sign := make([]string, len(header))
	sign[0] = "制表人：小李"
	t.Doubtful[len(t.Rows)] = "signature"
	t.Rows = append(t.Rows, sign)
	t.Data += 2
	return t
}

// FirstLine is the line of the first row of data: a title, a note and a blank line
// stand above the headings.
const FirstLine = 5

// XLSX writes the table as a workbook with a hidden sheet before it, merged
// cells, and telephones and dates that are numbers.
func (t *Messy) XLSX() ([]byte, error) {
	f := excelize.NewFile()
	defer f.Close()
	const name = "客户登记"
	if _, err := f.NewSheet(name); err != nil {
		return nil, err
	}
	cell := func(col, row int) string { c, _ := excelize.CoordinatesToCellName(col+1, row); return c }
	f.SetCellStr("Sheet1", "A1", "字典（勿删）")
	f.SetCellStr("Sheet1", "A2", "客户名称")
	w, err := f.NewStreamWriter(name)
	if err != nil {
		return nil, err
	}
	write := func(row int, values []any) {
		if err == nil {
			err = w.SetRow(cell(0, row), values)
		}
	}
	write(1, []any{t.Title[0]})
	write(2, []any{"填表说明：带 * 的必填；电话可填多个"})
	head := make([]any, len(t.Header))
	for i, h := range t.Header {
		head[i] = h
	}
	write(FirstLine-1, head)
	below := map[int]bool{}
	for _, m := range t.Merged {
		below[m[1]] = true
	}
	for i, r := range t.Rows {
		values := make([]any, len(r))
		blank := true
		for c, v := range r {
			if v == "" || c == cName && below[i] {
				continue
			}
			blank = false
			values[c] = v
			if n, perr := strconv.ParseInt(v, 10, 64); perr == nil && (c == cMobile && i%3 == 0 && len(v) == 11 || c == cDate && len(v) == 5) {
				values[c] = n
			}
		}
		if !blank {
			write(FirstLine+i, values)
		}
	}
	if err == nil {
		err = w.MergeCell("A1", cell(len(t.Header)-1, 1))
	}
	for _, m := range t.Merged {
		if err == nil {
			err = w.MergeCell(cell(cName, FirstLine+m[0]), cell(cName, FirstLine+m[1]))
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, err
	}
	f.SetActiveSheet(1)
	if err := f.SetSheetVisible("Sheet1", false); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = f.Write(&b)
	return b.Bytes(), err
}

// CSV writes the table as old programs do: GBK, with empty columns at the end.
func (t *Messy) CSV() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(simplifiedchinese.GB18030.NewEncoder().Writer(&b))
	w.UseCRLF = true
	rows := [][]string{{t.Title[0]}, {"填表说明：带 * 的必填；电话可填多个"}, {""}, t.Header}
	for _, r := range append(rows, t.Rows...) {
		for len(r) < len(t.Header) {
			r = append(r, "")
		}
		if err := w.Write(append(r[:len(r):len(r)], "", "")); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}
