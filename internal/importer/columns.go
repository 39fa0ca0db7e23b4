package importer

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"golang.org/x/text/unicode/norm"
)

// Kind is what a table holds.
type Kind string

const (
	Customers Kind = "customers" // 客户信息登记表
	Tickets   Kind = "tickets"   // 服务任务分配表
)

// Kinds in the order they are offered.
var Kinds = []Kind{Customers, Tickets}

// Valid reports whether k is one of Kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds, k) }

// Field is what a column means; named importer.field.<kind>.<field>.
type Field string

const (
	ignored Field = ""

	fNumber     Field = "number"
	fType       Field = "type"
	fName       Field = "name"
	fContact    Field = "contact"
	fPhone      Field = "phone"
	fIndustry   Field = "industry"
	fLevel      Field = "level"
	fHistory    Field = "history"
	fSource     Field = "source"
	fNeed       Field = "need"
	fUrgency    Field = "urgency"
	fRegistrar  Field = "registrar"
	fCreated    Field = "created"
	fUSCC       Field = "uscc"
	fEmail      Field = "email"
	fWechat     Field = "wechat"
	fGender     Field = "gender"
	fPosition   Field = "position"
	fAddress    Field = "address"
	fRegion     Field = "region"
	fWebsite    Field = "website"
	fRemark     Field = "remark"
	fOwner      Field = "owner"
	fDepartment Field = "department"

	fCustomer     Field = "customer"
	fCustomerName Field = "customer_name"
	fDescription  Field = "description"
	fPriority     Field = "priority"
	fAssignee     Field = "assignee"
	fDue          Field = "due"
	fState        Field = "state"
	fTitle        Field = "title"
	fChannel      Field = "channel"
	fSolution     Field = "solution"
	fCompleted    Field = "completed"
	fRating       Field = "rating"
	fTags         Field = "tags"
)

// Column is a column the product understands.
type Column struct {
	Field    Field
	Required bool   // with Or: one of the two
	Or       Field  // does instead
	Several  string // joins the cells when several columns mean this; "": the first that is filled counts
	names    string // synonyms, as they are compared, with blanks between
}

// Key is the locale key of the column's name.
func (c Column) Key(k Kind) string { return Key(k, c.Field) }

// Key is the locale key of a field's name.
func Key(k Kind, f Field) string { return "importer.field." + string(k) + "." + string(f) }

var columns = map[Kind][]Column{
	Customers: {
		{Field: fNumber, names: "客户id 客户编号 客户编码 客户号 客户代码 编号 id customerid customerno customernumber customercode"},
		{Field: fType, names: "客户类型 客户性质 客户类别 类型 性质 type customertype"},
		{Field: fName, Required: true, names: "客户名称 客户名 客户姓名 客户全称 公司名称 企业名称 单位名称 公司 企业 单位 名称 公司全称 企业全称 姓名 客户 name customer customername company companyname"},
		{Field: fContact, names: "联系人 联系人姓名 主要联系人 首要联系人 对接人 客户联系人 contact contactname contactperson"},
		{Field: fPhone, Required: true, Or: fEmail, Several: "/", names: "联系方式 手机 电话 联系电话 手机号 手机号码 电话号码 联系人电话 联系人手机 移动电话 固定电话 固话 座机 办公电话 客户电话 联系号码 phone tel telephone mobile mobilephone cell phonenumber contactinfo contactphone"},
		{Field: fIndustry, names: "所属行业 行业 行业类别 行业分类 客户行业 industry"},
		{Field: fLevel, names: "客户等级 客户级别 等级 级别 会员等级 服务等级 level customerlevel tier"},
		{Field: fHistory, Several: "\n", names: "历史服务记录 服务记录 历史记录 历史服务 服务历史 过往服务记录 history servicehistory"},
		{Field: fSource, names: "需求来源 来源 客户来源 渠道 来源渠道 获客渠道 source channel"},
		{Field: fNeed, Several: "\n", names: "需求描述 需求 需求内容 客户需求 需求说明 need needs demand requirement requirements description"},
		{Field: fUrgency, names: "紧急程度 紧急度 紧急 urgency"},
		{Field: fRegistrar, names: "登记人 录入人 创建人 登记人员 录入人员 建档人 registeredby createdby registrar"},
		{Field: fCreated, names: "登记时间 登记日期 录入时间 录入日期 创建时间 创建日期 建档时间 建档日期 registeredat createdat created date"},
		{Field: fUSCC, names: "统一社会信用代码 社会信用代码 信用代码 税号 纳税人识别号 uscc creditcode unifiedsocialcreditcode taxid"},
		{Field: fEmail, names: "邮箱 电子邮箱 电子邮件 邮件 邮箱地址 email mail emailaddress"},
		{Field: fWechat, names: "微信 微信号 wechat wechatid"},
		{Field: fGender, names: "称谓 性别 称呼 gender sex title"},
		{Field: fPosition, names: "职务 职位 岗位 position jobtitle"},
		{Field: fAddress, names: "地址 详细地址 联系地址 公司地址 通讯地址 通信地址 客户地址 address"},
		{Field: fRegion, names: "地区 区域 所在地区 省市 城市 所在地 region city area"},
		{Field: fWebsite, names: "网址 网站 官网 website url homepage"},
		{Field: fRemark, Several: "\n", names: "备注 说明 备注信息 remark remarks note notes comment"},
		{Field: fOwner, names: "负责人 客户经理 业务员 销售 销售员 跟进人 owner accountmanager salesperson"},
		{Field: fDepartment, names: "所属部门 部门 负责部门 department"},
	},
	Tickets: {
		{Field: fNumber, names: "任务id 任务编号 任务号 工单编号 工单号 工单id 编号 id taskid ticketid ticketno ticketnumber taskno"},
		{Field: fCustomer, Required: true, Or: fCustomerName, names: "客户id 客户编号 客户编码 客户号 客户代码 customerid customerno customernumber"},
		{Field: fType, names: "需求类型 服务类型 工单类型 任务类型 类型 问题类型 type tickettype requesttype"},
		{Field: fDescription, Required: true, Or: fTitle, Several: "\n", names: "需求描述 问题描述 描述 内容 任务描述 任务内容 需求内容 工单内容 问题 需求 description content detail details"},
		{Field: fPriority, names: "优先级 优先级别 优先程度 priority"},
		{Field: fDepartment, names: "分配部门 部门 处理部门 受理部门 责任部门 承办部门 负责部门 department assigneddepartment"},
		{Field: fAssignee, names: "分配人员 处理人 受理人 责任人 负责人 处理人员 承办人 经办人 主责人 分配人 assignee assignedto owner handler"},
		{Field: fDue, names: "截止时间 截止日期 到期时间 到期日 期限 完成期限 要求完成时间 计划完成时间 deadline due duedate dueat"},
		{Field: fState, names: "当前状态 状态 任务状态 工单状态 处理状态 进度 state status"},
		{Field: fCreated, names: "创建时间 创建日期 登记时间 登记日期 受理时间 提交时间 日期 createdat created createtime"},
		{Field: fRemark, Several: "\n", names: "备注 说明 备注信息 remark remarks note notes comment"},
		{Field: fTitle, names: "标题 主题 任务名称 工单标题 工单主题 任务标题 title subject"},
		{Field: fCustomerName, names: "客户名称 客户 客户姓名 公司名称 企业名称 单位名称 customername customer company"},
		{Field: fUrgency, names: "紧急程度 紧急度 urgency"},
		{Field: fChannel, names: "渠道 来源 受理渠道 需求来源 来源渠道 channel source"},
		{Field: fSolution, Several: "\n", names: "解决方案 处理结果 处理情况 解决办法 处理意见 处理方案 结果说明 solution resolution"},
		{Field: fCompleted, names: "完成时间 完成日期 实际完成时间 办结时间 关闭时间 解决时间 completedat completed closedat resolvedat"},
		{Field: fRating, names: "满意度 评分 客户评分 满意度评分 评价 rating score stars"},
		{Field: fTags, Several: "、", names: "标签 工单标签 任务标签 tag tags label labels"},
		{Field: fRegistrar, names: "登记人 创建人 录入人 提交人 createdby registrar"},
	},
}

// ours are columns of our own result file; they come back with it and mean
// nothing.
var ours = []string{"行号", "结果", "导入结果", "原因", "序号", "line", "result", "reason", "no", "no."}

// Columns returns the columns of a kind of table, those of the manuals first.
func Columns(k Kind) []Column { return columns[k] }

func column(k Kind, f Field) (Column, bool) {
	for _, c := range columns[k] {
		if c.Field == f {
			return c, true
		}
	}
	return Column{}, false
}

var synonyms = func() map[Kind]map[string]Field {
	all := map[Kind]map[string]Field{}
	for k, cs := range columns {
		all[k] = map[string]Field{}
		for _, c := range cs {
			for _, n := range strings.Fields(c.names) {
				if _, twice := all[k][n]; twice {
					panic("importer: column " + n + " twice")
				}
				all[k][n] = c.Field
			}
		}
	}
	return all
}()

var brackets = regexp.MustCompile(`[(\[{【〔<《][^)\]}】〕>》]*[)\]}】〕>》]`)

// plain is a heading as it is compared: half width, small letters, nothing but
// letters and digits. "联系方式（必填）*" and "联系 方式" are 联系方式.
func plain(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	if cut := brackets.ReplaceAllString(s, ""); strings.TrimSpace(cut) != "" {
		s = cut
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}

// fieldOf guesses what a heading means.
func fieldOf(k Kind, heading string) Field {
	p := plain(heading)
	if f, ok := synonyms[k][p]; ok {
		return f
	}
	for _, c := range columns[k] { // the names our own screens give, in each language
		for _, l := range i18n.Langs {
			if p != "" && p == plain(i18n.T(l, c.Key(k))) {
				return c.Field
			}
		}
	}
	return ignored
}

// FieldNamed returns the field of a code ("phone") or a name in any spelling
// that headings may have ("联系电话"); ok is false for any other.
func FieldNamed(k Kind, name string) (f Field, ok bool) {
	if c, ok := column(k, Field(strings.TrimSpace(name))); ok {
		return c.Field, true
	}
	f = fieldOf(k, name)
	return f, f != ignored
}

// Layout says which column of a table means what.
type Layout struct {
	Header int      // line of the headings
	Names  []string // the headings
	Fields []Field  // what each column means; "": it is left out
}

// headerWithin is how many rows are looked at to find the headings: titles and
// remarks stand above them.
const headerWithin = 20

// numbered is a row of the table with its line.
type numbered struct {
	line  int
	cells []string
}

// guess finds the headings among the first rows and what they mean. Where no
// row looks like headings the first is taken.
func guess(k Kind, rows []numbered) Layout {
	var best Layout
	most := -1
	for i, r := range rows {
		if i == headerWithin {
			break
		}
		l := read(k, r)
		n := 0
		for i, f := range l.Fields {
			if f != ignored && slices.Index(l.Fields, f) == i {
				n++
			}
		}
		if n > most {
			best, most = l, n
		}
	}
	return best
}

// read takes one row as the headings.
func read(k Kind, r numbered) Layout {
	l := Layout{Header: r.line}
	for _, c := range r.cells {
		name := strings.TrimSpace(strings.Join(strings.Fields(c), " "))
		l.Names = append(l.Names, name)
		l.Fields = append(l.Fields, fieldOf(k, name))
	}
	return l
}

// Unknown returns the headings that mean nothing to us.
func (l Layout) Unknown() []string {
	var out []string
	for i, f := range l.Fields {
		if f == ignored && l.Names[i] != "" && !slices.Contains(ours, plain(l.Names[i])) {
			out = append(out, l.Names[i])
		}
	}
	return out
}

// Missing returns the required columns that no heading stands for.
func (l Layout) Missing(k Kind) []Field {
	var out []Field
	for _, c := range columns[k] {
		if c.Required && !slices.Contains(l.Fields, c.Field) && !(c.Or != "" && slices.Contains(l.Fields, c.Or)) {
			out = append(out, c.Field)
		}
	}
	return out
}

// check refuses a table without its required columns, in words that name them.
func (l Layout) check(k Kind, lang i18n.Lang) error {
	missing := l.Missing(k)
	if len(missing) == 0 {
		return nil
	}
	var want []string
	for _, f := range missing {
		name := i18n.T(lang, Key(k, f))
		if c, _ := column(k, f); c.Or != "" {
			name = i18n.T(lang, "importer.header.or", name, i18n.T(lang, Key(k, c.Or)))
		}
		want = append(want, name)
	}
	if len(missing) < 2 || slices.ContainsFunc(l.Fields, func(f Field) bool { return f != ignored }) {
		return fault.Invalidf("importer.header.missing", l.Header, list(lang, want), list(lang, shown(l.Names)))
	}
	return fault.Invalidf("importer.header.none", i18n.Key("importer.kind."+string(k)), list(lang, want), list(lang, shown(l.Names)))
}

// shown leaves out empty headings and cuts a long row.
func shown(names []string) []string {
	var out []string
	for _, n := range names {
		if r := []rune(n); len(r) > 20 {
			n = string(r[:20]) + "…"
		}
		if n != "" {
			out = append(out, n)
		}
		if len(out) == 12 {
			return append(out, "…")
		}
	}
	return out
}

func list(l i18n.Lang, words []string) string {
	return strings.Join(words, i18n.T(l, "importer.comma"))
}

// cells gives the fields of a row by name.
type cells struct {
	kind   Kind
	layout *Layout
	row    []string
}

// get returns what the row has for f, trimmed; "" when it has nothing.
func (c cells) get(f Field) string {
	var out string
	col, _ := column(c.kind, f)
	for i, g := range c.layout.Fields {
		if g != f || i >= len(c.row) {
			continue
		}
		v := clean(c.row[i])
		switch {
		case v == "":
		case out == "":
			out = v
		case col.Several != "" && !strings.Contains(out, v):
			out += col.Several + v
		}
	}
	return out
}

// blanks stand in cells that hold nothing.
var blanks = []string{"-", "--", "—", "——", "/", "\\", "无", "n/a", "na", "null", "none", "暂无", "未知", "空", "#n/a"}

func clean(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' || r == '\u200B' })
	if len(s) <= 8 && slices.Contains(blanks, strings.ToLower(s)) {
		return ""
	}
	return undefused(s)
}
