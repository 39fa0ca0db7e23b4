package canned

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Variable is a name in braces that stands for something of the ticket or of who
// writes: {客户姓名} or {customer}. What is behind it is said by canned.var.<code>.
type Variable struct {
	Code string // also a name for it
	Name string
}

// Variables are all there are, in the order they are offered.
var Variables = []Variable{
	{"customer", "客户姓名"}, {"contact", "联系人"}, {"salutation", "称呼"}, {"phone", "联系电话"}, {"number", "工单编号"}, {"title", "工单标题"}, {"type", "工单类型"}, {"state", "工单状态"},
	{"assignee", "处理人"}, {"department", "处理部门"}, {"registered", "登记日期"}, {"code", "查询码"}, {"link", "工单链接"}, {"me", "我的姓名"}, {"mydepartment", "我的部门"}, {"company", "公司名称"},
	{"greeting", "问候语"}, {"date", "今天日期"},
}

// also are further names people try.
var also = map[string]string{"客户名称": "customer", "客户": "customer", "姓名": "contact", "当前时间段问候": "greeting", "时间问候": "greeting", "问候": "greeting", "编号": "number", "标题": "title", "当前用户": "me", "坐席": "me", "日期": "date", "今天": "date", "公司": "company", "电话": "phone"}

// named is a variable in a text, with what to say when it has no value:
// {联系人|您}. Full-width braces count too: an input method makes them.
var named = regexp.MustCompile(`[{｛]([^{}｛｝|｜\n]{1,30})(?:[|｜]([^{}｛｝\n]{0,100}))?[}｝]`)

func variable(name string) (Variable, bool) {
	name = strings.TrimSpace(name)
	if code, ok := also[name]; ok {
		name = code
	}
	for _, v := range Variables {
		if v.Name == name || strings.EqualFold(v.Code, name) {
			return v, true
		}
	}
	return Variable{}, false
}

// CheckText refuses a text that names an unknown variable, with the list of those
// there are; field is where it is said.
func CheckText(text, field string) error {
	var unknown []string
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		if _, ok := variable(m[1]); !ok && !slices.Contains(unknown, m[0]) {
			unknown = append(unknown, m[0])
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	names := make([]string, len(Variables))
	for i, v := range Variables {
		names[i] = "{" + v.Name + "}"
	}
	return fault.Invalidf("canned.unknown_variable", strings.Join(unknown, " "), strings.Join(names, " ")).Field(field, "canned.unknown_variable", strings.Join(unknown, " "), strings.Join(names, " "))
}

// Values are what the variables stand for, by code; "" has no value.
type Values map[string]string

// Fill puts the values into text. A variable without one says what stands behind
// its bar, or stays as a gap 【联系人】 for the writer to fill; missing names those.
func Fill(text string, v Values) (filled string, missing []string) {
	filled = named.ReplaceAllStringFunc(text, func(s string) string {
		m := named.FindStringSubmatch(s)
		x, ok := variable(m[1])
		if !ok {
			return s
		}
		if value := v[x.Code]; value != "" {
			return value
		}
		if strings.ContainsAny(s, "|｜") {
			return strings.TrimSpace(m[2])
		}
		if !slices.Contains(missing, x.Name) {
			missing = append(missing, x.Name)
		}
		return "【" + x.Name + "】"
	})
	return filled, missing
}

// double are surnames of two characters.
var double = []string{"欧阳", "司马", "上官", "诸葛", "司徒", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "宇文", "长孙", "夏侯", "端木", "南宫", "百里", "独孤", "钟离", "轩辕"}

func salutation(l i18n.Lang, name, gender string) string {
	if name == "" || gender != "male" && gender != "female" {
		return name
	}
	surname := string([]rune(name)[:1])
	if !strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		for _, d := range double {
			if strings.HasPrefix(name, d) {
				surname = d
			}
		}
	} else {
		surname = name
	}
	return i18n.T(l, "canned.salutation."+gender, surname)
}

// greeting suits the hour.
func greeting(l i18n.Lang, at time.Time) string {
	key := "evening"
	switch h := at.Hour(); {
	case h >= 5 && h < 9:
		key = "early"
	case h >= 9 && h < 12:
		key = "morning"
	case h >= 12 && h < 14:
		key = "noon"
	case h >= 14 && h < 18:
		key = "afternoon"
	}
	return i18n.T(l, "canned.greeting."+key)
}

// values are those of t for actor, in language l. t has been read in the actor's
// scope; sensitive values are masked, whatever the actor may reveal.
func (s *Service) values(ctx context.Context, actor authz.Actor, t ticket.Ticket, l i18n.Lang) (Values, error) {
	now := s.DB().Clock().Now().In(s.Location)
	company, err := s.org.Company(ctx)
	if err != nil {
		return nil, err
	}
	v := Values{"customer": t.CustomerName, "number": t.Number, "title": t.Title, "type": i18n.T(l, "ticket.type."+t.Type), "state": i18n.T(l, "ticket.state."+string(t.State)), "assignee": t.AssigneeName,
		"department": s.org.DepartmentName(ctx, t.DepartmentID), "registered": day(l, t.CreatedAt.In(s.Location)), "me": actor.Name, "mydepartment": s.org.DepartmentName(ctx, actor.DepartmentID),
		"company": company.Name, "greeting": greeting(l, now), "date": day(l, now), "code": s.tickets.LookupCode(t)}
	if s.PublicURL != "" {
		v["link"] = strings.TrimSuffix(s.PublicURL, "/") + "/c/" + s.tickets.Link(t)
	}
	card, err := s.customers.Card(ctx, s.DB().Read(), t.CustomerID)
	if fault.Is(err, fault.NotFound) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	var contact customer.Contact
	for _, c := range card.Contacts {
		if c.ID == t.ContactID || t.ContactID == 0 && contact.ID == 0 {
			contact = c
		}
	}
	v["contact"], v["phone"] = contact.Name, contact.Phone
	v["salutation"] = salutation(l, contact.Name, contact.Gender)
	return v, nil
}

func day(l i18n.Lang, t time.Time) string {
	if l == i18n.En {
		return t.Format("2 January 2006")
	}
	return t.Format("2006年1月2日")
}
