package importer

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bihuan/internal/number"
	"bihuan/internal/sheet"

	"golang.org/x/text/unicode/norm"
)

func undefused(s string) string { return sheet.Undefused(s) }

// words are the ways codes are written in tables, as plain makes them.
type words map[string]string

func wordsOf(table map[string]string) words {
	w := words{}
	for code, all := range table {
		w[plain(code)] = code
		for _, s := range strings.Fields(all) {
			w[plain(s)] = code
		}
	}
	return w
}

// find returns the code; ok is false for a word that is not known. Endings that
// add nothing are left off: VIP客户, 投诉类, 高优先级.
func (w words) find(s string) (code string, ok bool) {
	p := plain(s)
	if code, ok = w[p]; ok {
		return code, true
	}
	for _, tail := range []string{"客户", "类", "优先级", "级", "程度", "型", "单", "工单", "状态", "需求", "问题"} {
		if cut, yes := strings.CutSuffix(p, tail); yes && cut != "" {
			if code, ok = w[cut]; ok {
				return code, true
			}
		}
	}
	return "", false
}

var (
	customerTypes = wordsOf(map[string]string{
		"person":  "个人 个人客户 自然人 私人 散客 individual personal",
		"company": "企业 企业客户 公司 单位 机构 团体 法人 企事业单位 政府 enterprise business organization corporate b",
	})
	levels = wordsOf(map[string]string{
		"normal":    "普通 一般 标准 普通客户 c c级 standard regular",
		"vip":       "vip 贵宾 重要 重点 高级 金牌 vip客户 a b important gold",
		"strategic": "战略 战略合作 核心 钻石 s key",
	})
	sources = wordsOf(map[string]string{
		"phone":      "电话 来电 热线 电话咨询 呼叫中心 tel call hotline",
		"chat":       "在线客服 在线 网聊 客服 即时通讯 livechat online",
		"email":      "邮件 邮箱 电子邮件 mail",
		"social":     "社交媒体 微信 公众号 微博 抖音 小红书 企业微信 微信群 wechat weibo",
		"referral":   "转介绍 介绍 推荐 朋友介绍 客户推荐 老客户介绍 老客户 referred",
		"exhibition": "展会 展览 会展 博览会 expo fair",
		"campaign":   "线上推广 推广 广告 网络推广 百度 搜索引擎 活动 ads advertising",
		"website":    "官网 网站 官方网站 网页 web",
		"offline":    "线下 上门 门店 到店 现场 拜访 地推 walkin store",
	})
	channels = wordsOf(map[string]string{
		"phone":   "电话 来电 热线 呼叫中心 tel call hotline",
		"chat":    "在线客服 在线 网聊 livechat online",
		"email":   "邮件 邮箱 电子邮件 mail",
		"social":  "社交媒体 微信 公众号 微博 抖音 企业微信 wechat",
		"website": "官网 网站 网页 表单 web",
		"walk_in": "现场 上门 到店 门店 线下 来访 walkin store",
		"paper":   "书面 信函 纸质 传真 letter fax",
		"api":     "接口 系统",
	})
	urgencies = wordsOf(map[string]string{
		"urgent": "紧急 急 加急 特急 非常紧急 很急 高 high critical emergency",
		"normal": "一般 普通 中 正常 常规 medium",
		"low":    "低 不急 不紧急 较低 宽松 minor",
	})
	priorities = wordsOf(map[string]string{
		"urgent": "紧急 最高 特急 极高 p0 critical highest 加急 急",
		"high":   "高 较高 p1 重要",
		"medium": "中 一般 普通 正常 中等 p2 normal",
		"low":    "低 较低 p3 p4 lowest",
	})
	types = wordsOf(map[string]string{
		"consultation": "咨询 产品咨询 业务咨询 售前 售前咨询 询价 咨询服务 inquiry enquiry consult question",
		"complaint":    "投诉 客诉 抱怨 complain 投诉建议",
		"after_sales":  "售后 售后服务 维修 报修 退换货 退货 换货 维护 保养 安装 aftersales aftersale service repair",
		"other":        "其他 其它 others misc 建议",
	})
	states = wordsOf(map[string]string{
		"pending":               "待处理 未处理 新建 待分配 已分配 待受理 未开始 待办 未受理 待分派 已分派 new open todo assigned unassigned",
		"in_progress":           "处理中 进行中 跟进中 已受理 办理中 处置中 解决中 inprogress processing doing active",
		"waiting_customer":      "待客户补充 等待客户 待补充 挂起 等待客户回复 待客户回复 待客户 waiting onhold waitingforcustomer",
		"awaiting_confirmation": "待客户确认 待确认 已解决 待回访 待验收 待评价 resolved solved awaitingconfirmation",
		"completed":             "已完成 完成 已办结 办结 已处理 处理完毕 已解决并确认 done complete finished",
		"closed":                "已关闭 关闭 归档 已归档 结案 已结案 已结束 archived",
		"cancelled":             "已取消 取消 作废 已作废 撤销 已撤销 无效 已撤回 canceled withdrawn void",
	})
	outcomes = []struct{ word, code string }{
		{"电话", "phone"}, {"超时", "silence"}, {"自动", "silence"}, {"未回复", "silence"}, {"未答复", "silence"}, {"无回应", "silence"},
		{"客户确认", "confirmed"}, {"在线确认", "confirmed"}, {"已确认", "confirmed"}, {"满意", "confirmed"},
	}
	cancelReasons = []struct{ word, code string }{{"垃圾", "spam"}, {"广告", "spam"}, {"误", "mistake"}, {"登记错", "mistake"}, {"测试", "mistake"}}
	genders       = wordsOf(map[string]string{"male": "先生 男 男士 m mr", "female": "女士 女 小姐 f ms mrs miss"})
	ratings       = wordsOf(map[string]string{"5": "非常满意 很满意 5星 五星 5分 优", "4": "满意 4星 四星 4分 良", "3": "一般 3星 三星 3分 基本满意 中", "2": "不满意 2星 二星 2分 差", "1": "非常不满意 很不满意 1星 一星 1分 极差"})
)

// stateOf understands a state and what is said about its end: 已完成（电话确认）.
func stateOf(s string) (state, outcome, cancel string, ok bool) {
	if state, ok = states.find(s); !ok {
		if i := strings.IndexAny(s, "-—–:：,，;；/|（( "); i > 0 {
			state, ok = states.find(s[:i])
		}
	}
	if !ok {
		return "", "", "", false
	}
	for _, o := range outcomes {
		if strings.Contains(s, o.word) {
			outcome = o.code
			break
		}
	}
	for _, c := range cancelReasons {
		if strings.Contains(s, c.word) {
			cancel = c.code
			break
		}
	}
	if state != "completed" && state != "closed" {
		outcome = ""
	}
	return state, outcome, cancel, true
}

var (
	dateParts  = regexp.MustCompile(`^(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?:\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d+)?)?)?$`)
	dateUS     = regexp.MustCompile(`^(\d{1,2})[-./](\d{1,2})[-./](\d{4})(?:\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?$`)
	dateShort  = regexp.MustCompile(`^(\d{2})[-./](\d{1,2})[-./](\d{1,2})(?:\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?$`)
	dateDigits = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})(?:\s*(\d{2}):?(\d{2})(?::?(\d{2}))?)?$`)
	serial     = regexp.MustCompile(`^\d{5}(?:\.\d+)?$`)
	weekday    = regexp.MustCompile(`(?:星期|周|礼拜)[一二三四五六日天]`)
	chineseDay = strings.NewReplacer("年", "-", "月", "-", "日", " ", "号", " ", "点整", ":00", "点", ":", "时", ":", "分", ":", "秒", "", "T", " ")
)

// Excel counts days from here; its two wrong days lie before 1900-03-01.
var excelZero = time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)

// parseTime reads a date in the forms tables have them, in the company's time
// zone. exact is false when there is a day only.
func parseTime(s string) (at time.Time, exact, ok bool) {
	s = strings.TrimSpace(norm.NFKC.String(s))
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true, plausible(t)
		}
	}
	if serial.MatchString(s) {
		days, err := strconv.ParseFloat(s, 64)
		if err != nil || days < 32874 { // 1990
			return at, false, false
		}
		whole := math.Floor(days)
		d := excelZero.AddDate(0, 0, int(whole)).Add(time.Duration(math.Round((days-whole)*86400)) * time.Second)
		t := time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), 0, number.Zone)
		return t.UTC(), days != whole, plausible(t)
	}
	late, early := false, false
	lower := strings.ToLower(s)
	for _, w := range []string{"下午", "晚上", "傍晚", "pm"} {
		if strings.Contains(lower, w) {
			late, lower = true, strings.ReplaceAll(lower, w, " ")
		}
	}
	for _, w := range []string{"上午", "早上", "凌晨", "am"} {
		if strings.Contains(lower, w) {
			early, lower = true, strings.ReplaceAll(lower, w, " ")
		}
	}
	lower = strings.ReplaceAll(lower, "中午", " ")
	lower = weekday.ReplaceAllString(lower, " ")
	lower = strings.TrimRight(strings.Join(strings.Fields(chineseDay.Replace(strings.ToUpper(lower))), " "), ": ")
	if strings.HasSuffix(s, "点") || strings.HasSuffix(s, "时") {
		lower += ":00"
	}
	lower = strings.ReplaceAll(lower, "- ", "-")
	var m []string
	order := [3]int{1, 2, 3}
	switch {
	case dateParts.MatchString(lower):
		m = dateParts.FindStringSubmatch(lower)
	case dateDigits.MatchString(lower):
		m = dateDigits.FindStringSubmatch(lower)
	case dateUS.MatchString(lower):
		// 5/13/2024 can only be month first; 5/6/2024 could be either, and a wrong
		// date is worse than a question.
		m = dateUS.FindStringSubmatch(lower)
		a, b := atoi(m[1]), atoi(m[2])
		switch {
		case b > 12 || a == b:
			order = [3]int{3, 1, 2}
		case a > 12:
			order = [3]int{3, 2, 1}
		default:
			return at, false, false
		}
	case dateShort.MatchString(lower):
		m = dateShort.FindStringSubmatch(lower)
		m[1] = "20" + m[1]
	default:
		return at, false, false
	}
	y, mo, d := atoi(m[order[0]]), atoi(m[order[1]]), atoi(m[order[2]])
	h, mi, sec := atoi(m[4]), atoi(m[5]), atoi(m[6])
	exact = m[4] != ""
	if late && h < 12 {
		h += 12
	}
	if early && h == 12 {
		h = 0
	}
	t := time.Date(y, time.Month(mo), d, h, mi, sec, 0, number.Zone)
	if t.Year() != y || int(t.Month()) != mo || t.Day() != d || h > 23 || mi > 59 || sec > 59 {
		return at, false, false // 31 April
	}
	return t.UTC(), exact, plausible(t)
}

func plausible(t time.Time) bool { return t.Year() >= 1990 && t.Year() <= 2100 }

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

var (
	emailIn  = regexp.MustCompile(`[A-Za-z0-9._%+\-]+\s*[@＠]\s*[A-Za-z0-9.\-]+\.[A-Za-z]{2,}`)
	wechatIn = regexp.MustCompile(`(?i)(?:微信号?|wechat|wx|vx|v信)\s*[:：]?\s*([A-Za-z][A-Za-z0-9_\-]{4,39})`)
	// Words before or behind a number, not those of a sentence without one.
	phoneWords = regexp.MustCompile(`(?i)(?:手机号码|手机号|手机|移动电话|联系电话|办公电话|固定电话|电话号码|电话|座机|固话|电邮|邮箱|电子邮箱|e-?mail|tel|mobile|phone)\s*[:：.]?\s*([+＋(（0-9０-９;])`)
	phoneTails = regexp.MustCompile(`([0-9０-９)）])\s*[(（]?(?:手机|电话|座机|固话|办公室|办公|家庭)[)）]?`)
)

// short cuts a text to n characters.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimRightFunc(string(r[:n-1]), unicode.IsSpace) + "…"
}

// firstLine makes a title of a description: its first sentence, at most n
// characters.
func firstLine(s string, n int) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, "\n\r"); i >= 0 {
		s = s[:i]
	}
	if i := strings.IndexAny(s, "。！？"); i > 0 && len([]rune(s[:i])) >= 6 {
		s = s[:i]
	}
	return short(strings.Join(strings.Fields(s), " "), n)
}
