package task

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Quick reads a task as somebody jots it down: "明天下午3点 回访南粤医疗",
// "下周三 寄合同", "11月25日 9:30 上门", "2小时后回电", "tomorrow 3pm call back". found
// reports whether there was a time in it; else the task lasts today.
func Quick(s string, now time.Time, zone *time.Location) (title string, due time.Time, allDay, found bool) {
	now = now.In(zone)
	rest := " " + strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		case r == '：':
			return ':'
		}
		return r
	}, line(s)) + " "
	const mark = "\x00" // where something was taken from
	take := func(re *regexp.Regexp) []string {
		at := re.FindStringSubmatchIndex(rest)
		if at == nil {
			return nil
		}
		out := make([]string, len(at)/2)
		for i := range out {
			if at[2*i] >= 0 {
				out[i] = rest[at[2*i]:at[2*i+1]]
			}
		}
		rest = rest[:at[0]] + mark + rest[at[1]:]
		return out
	}
	finish := func() string {
		t := strings.Trim(line(strings.ReplaceAll(rest, mark, " ")), " ,，、。:;；")
		for _, word := range []string{"之前", "前", "的时候", "at ", "on ", "要", "去"} {
			t = strings.TrimSpace(strings.TrimPrefix(t, word))
		}
		if t == "" {
			return line(s)
		}
		return t
	}
	if m := take(quickIn); m != nil {
		d := time.Hour
		if m[1] == "半" {
			d = 30 * time.Minute
		} else {
			n, half := numeral(m[1]), m[2] == "半"
			unit := map[bool]time.Duration{true: time.Minute, false: time.Hour}[strings.HasPrefix(m[3], "分") || strings.HasPrefix(m[3], "m")]
			if d = time.Duration(n) * unit; half {
				d += unit / 2
			}
		}
		return finish(), now.Add(d).Truncate(time.Minute), false, true
	}
	y, mo, d := now.Date()
	day, dated := time.Date(y, mo, d, 0, 0, 0, 0, zone), false
	if m := take(quickDays); m != nil {
		word := strings.ToLower(m[1])
		day, dated = day.AddDate(0, 0, dayWords[word]), true
		switch { // 今晚8点: what part of the day it is belongs to the time
		case strings.HasSuffix(word, "早"):
			rest = strings.Replace(rest, mark, " 早上", 1)
		case strings.HasSuffix(word, "晚"), word == "tonight":
			rest = strings.Replace(rest, mark, " 晚上", 1)
		}
	} else if m := take(quickAfter); m != nil {
		n := numeral(m[1])
		switch {
		case strings.HasPrefix(m[2], "周") || strings.HasPrefix(m[2], "个星期") || strings.HasPrefix(m[2], "星期") || strings.HasPrefix(m[2], "week"):
			n *= 7
			day = day.AddDate(0, 0, n)
		case strings.HasPrefix(m[2], "个月") || strings.HasPrefix(m[2], "month"):
			day = day.AddDate(0, n, 0)
		default:
			day = day.AddDate(0, 0, n)
		}
		dated = true
	} else if m := take(quickWeek); m != nil {
		want := weekdays[m[2]]
		have := (int(day.Weekday()) + 6) % 7 // Monday is 0
		shift := want - have
		switch weeks := strings.Count(m[1], "下"); {
		case weeks > 0:
			shift += 7 * weeks
		case m[1] == "" && shift < 0: // 周三 on a Friday is the one to come
			shift += 7
		}
		day, dated = day.AddDate(0, 0, shift), true
	} else if m := take(quickDate); m != nil {
		year, month, dd := y, numeral(m[2]), numeral(m[3])
		if m[1] != "" {
			year = numeral(m[1])
		}
		if at := time.Date(year, time.Month(month), dd, 0, 0, 0, 0, zone); month >= 1 && month <= 12 && at.Day() == dd {
			if m[1] == "" && at.Before(day) {
				at = time.Date(year+1, time.Month(month), dd, 0, 0, 0, 0, zone)
			}
			day, dated = at, true
		}
	} else if m := take(quickNumber); m != nil {
		dd := numeral(m[1])
		at := time.Date(y, mo, dd, 0, 0, 0, 0, zone)
		if at.Before(day) {
			at = time.Date(y, mo+1, dd, 0, 0, 0, 0, zone)
		}
		if dd >= 1 && dd <= 31 && at.Day() == dd {
			day, dated = at, true
		}
	} else if take(quickMonthEnd) != nil {
		day, dated = time.Date(y, mo+1, 0, 0, 0, 0, 0, zone), true
	}
	if h, m, ok := quickClock(take); ok {
		at := time.Date(day.Year(), day.Month(), day.Day(), h, m, 0, 0, zone)
		if !dated && !at.After(now) {
			at = at.AddDate(0, 0, 1)
		}
		return finish(), at, false, true
	}
	return finish(), EndOf(day), true, dated
}

const cnNumber = `[0-9]+|[零一二两三四五六七八九十]+`

var (
	quickIn       = regexp.MustCompile(`(?i)\b?(半|` + cnNumber + `)\s*个?(半)?\s*(小时|钟头|分钟|分|minutes?|hours?)(?:之?后|以后|\s+later)`)
	quickDays     = regexp.MustCompile(`(?i)(大后天|后天|明天|明日|明早|明晚|今天|今日|今晚|今早|day after tomorrow|tomorrow|today|tonight)`)
	quickAfter    = regexp.MustCompile(`(` + cnNumber + `)\s*(天|日|周|个?星期|个月|days?|weeks?|months?)(?:之?后|以后| later)`)
	quickWeek     = regexp.MustCompile(`(下下|下|本|这)?个?(?:周|星期|礼拜)([一二三四五六日天])`)
	quickDate     = regexp.MustCompile(`(?:(20[0-9]{2})[年/.-])?(1[0-2]|0?[1-9]|[一二三四五六七八九十]+)[月/.-](3[01]|[12][0-9]|0?[1-9]|[一二三四五六七八九十]+)[日号]?`)
	quickNumber   = regexp.MustCompile(`(3[01]|[12][0-9]|0?[1-9]|[一二三四五六七八九十]+)[日号]`)
	quickMonthEnd = regexp.MustCompile(`(本月底|月底|月末)`)
	quickTime     = regexp.MustCompile(`(凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚|早)?\s*([01]?[0-9]|2[0-4]):([0-5][0-9])`)
	quickHour     = regexp.MustCompile(`(凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚|早)?\s*(` + cnNumber + `)\s*(?:点钟|点|时)(半|一刻|三刻|整|(?:` + cnNumber + `)分?)?`)
	quickEnglish  = regexp.MustCompile(`(?i)\b(1[0-2]|[1-9])(?::([0-5][0-9]))?\s*(am|pm)\b`)
	quickPart     = regexp.MustCompile(`(早上|上午|中午|下午|傍晚|晚上|下班前)`)

	dayWords = map[string]int{"今天": 0, "今日": 0, "今晚": 0, "今早": 0, "today": 0, "tonight": 0, "明天": 1, "明日": 1, "明早": 1, "明晚": 1, "tomorrow": 1, "后天": 2, "day after tomorrow": 2, "大后天": 3}
	weekdays = map[string]int{"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6}
	parts    = map[string]int{"早上": 9, "上午": 10, "中午": 12, "下午": 15, "傍晚": 18, "晚上": 20, "下班前": 17}
)

// quickClock reads the time of the day.
func quickClock(take func(*regexp.Regexp) []string) (h, m int, ok bool) {
	if x := take(quickEnglish); x != nil {
		h = numeral(x[1]) % 12
		if strings.EqualFold(x[3], "pm") {
			h += 12
		}
		if x[2] != "" {
			m = numeral(x[2])
		}
		return h, m, true
	}
	x := take(quickTime)
	if x == nil {
		if x = take(quickHour); x == nil {
			if x = take(quickPart); x == nil {
				return 0, 0, false
			}
			return parts[x[1]], 0, true
		}
	}
	h = numeral(x[2])
	switch rest := strings.TrimSuffix(x[3], "分"); rest {
	case "", "整":
	case "半":
		m = 30
	case "一刻":
		m = 15
	case "三刻":
		m = 45
	default:
		m = numeral(rest)
	}
	switch x[1] {
	case "下午", "傍晚", "晚上", "晚":
		if h < 12 {
			h += 12
		}
	case "中午":
		if h < 5 {
			h += 12
		}
	case "":
		if h >= 1 && h < 7 { // nobody makes an appointment for three in the night
			h += 12
		}
	}
	return h, m, h < 24 && m < 60
}

// numeral reads 12, 十二, 二十, 两.
func numeral(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	digits := map[rune]int{'零': 0, '一': 1, '二': 2, '两': 2, '三': 3, '四': 4, '五': 5, '六': 6, '七': 7, '八': 8, '九': 9}
	n, last := 0, 0
	for _, r := range s {
		if r == '十' {
			if last == 0 {
				last = 1
			}
			n, last = n+last*10, 0
			continue
		}
		last = digits[r]
	}
	return n + last
}
