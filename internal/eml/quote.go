package eml

import (
	"regexp"
	"strings"
)

// Folded is a text parted into what its sender wrote now and what came along.
type Folded struct {
	Fresh     string
	Signature string
	Quoted    string // what he answers to
}

// wrote is the line above a quotation, in the words of the clients.
var wrote = []*regexp.Regexp{
	// 网易, Apple Mail, Thunderbird: 在 2026-11-20 10:00:00，"张三" <a@b> 写道：
	regexp.MustCompile(`^[>\s]*(在|於|于|At|On|Le|Am|El|Il|Op|Den|W dniu|Em|Em\b)\s.{4,250}(写道|寫道|wrote|a écrit|schrieb|escribió|ha scritto|schreef|skrev|napisał\(a\)|napisał|escreveu)\s*[:：]?\s*$`),
	// Gmail: 张三 <a@b> 于2026年11月20日周五 10:00写道：
	regexp.MustCompile(`^[>\s]*.{0,120}<[^<>\s]+@[^<>\s]+>\s*(于|於|在).{6,60}(写道|寫道)\s*[:：]\s*$`),
	// Apple Mail: 2026年11月20日 10:00，张三 <a@b> 写道：
	regexp.MustCompile(`^[>\s]*\d{4}\s*[年/-]\s*\d{1,2}\s*[月/-]\s*\d{1,2}\s*日?.{2,200}(写道|寫道|wrote)\s*[:：]\s*$`),
	regexp.MustCompile(`^[>\s]*\d{4}[-/]\d{1,2}[-/]\d{1,2}.{2,150}<[^<>\s]+@[^<>\s]+>\s*[:：]\s*$`),
	regexp.MustCompile(`^[>\s]*"?.{0,100}"?\s*<\s?(mailto:)?[^<>]+@[^<>\s]+>{1,2}\s*(wrote|schrieb|skrev|napisał|пишет|пише|написал).{0,60}[:：]\s*$`),
	regexp.MustCompile(`^[>\s]*\S{1,20}[ .]\S{1,14}[ .]?\s?\S{0,8}\s?\d{4}.{4,160}(napisał\(a\)|napisał|написал|пишет|пише|skrev|schrieb|wrote)\s*[:：]\s*$`),
	regexp.MustCompile(`^[>\s]*(Am|Den|Op)\s.{4,60}(schrieb|skrev|schreef)\s.{2,120}[:：]\s*$`),
	// 钉钉, 飞书, ours
	regexp.MustCompile(`^[>\s]*.{1,80}(写于|发表于|wrote on)\s*\d{4}.{4,40}[:：]?\s*$`),
}

// cuts are lines that divide on their own.
var cuts = []*regexp.Regexp{
	// QQ, 企业微信邮箱: ------------------ 原始邮件 ------------------
	regexp.MustCompile(`(?i)^[>\s]*[-_—=*－]{2,}\s*(原始邮件|原邮件|原始郵件|原始信件|邮件原件|答复的原邮件|回复的原邮件|回复邮件|转发的原邮件|转发邮件|转发的邮件|转发邮件信息|转发信息|轉寄郵件|轉寄的郵件|Original|Original Message|Original Mail|Forwarded [Mm]essage|Forwarded mail|Reply message|Ursprüngliche Nachricht|Message d'origine|Mensaje original|Messaggio originale|Oprindelig meddelelse|Oorspronkelijk bericht)\s*[-_—=*－]{2,}\s*$`),
	regexp.MustCompile(`(?i)^\s*(Begin forwarded message|以下是转发的邮件|下面是被转发的邮件|Anfang der weitergeleiteten Nachricht)\s*[:：]\s*$`),
	// ours: whatever is below this line was there before
	regexp.MustCompile(`^[>\s]*[#=-]{2,}\s*(请在此线以上回复|请在此行之上回复|[Pp]lease reply above this line|Reply above this line)\s*[#=-]{2,}\s*$`),
}

// head is a line of the block that Outlook, Foxmail and 企业微信邮箱 put above.
var head = regexp.MustCompile(`(?i)^[>\s*]*(发件人|寄件者|寄件人|發件人|发送时间|发件时间|發送時間|寄件日期|日期|时间|收件人|收件者|抄送|副本|主题|主題|From|Sent|Date|To|Cc|Subject|Von|Gesendet|An|Betreff|De|Envoyé|À|Objet)\s*\*?\s*[:：]\*?\s*\S?`)

var headFirst = regexp.MustCompile(`(?i)^[>\s*]*(发件人|寄件者|寄件人|發件人|From|Von|De)\s*\*?\s*[:：]`)

var rule = regexp.MustCompile(`^\s*(_{8,}|-{8,}|={8,}|—{4,})\s*$`)

// signs begin a signature.
var signs = []*regexp.Regexp{
	regexp.MustCompile(`^(--|—|——|-- )\s*$`),
	regexp.MustCompile(`(?i)^\s*(发自我的|發自我的|发送自我的|从我的|從我的|发自|来自我的|发送自|從.{1,20}傳送).{0,50}$`),
	regexp.MustCompile(`(?i)^\s*[(<\[]{0,2}(Sent (from|via|with|by)|Get \[?Outlook for|Sent using|Envoyé (depuis|de)|Von meinem|Diese Nachricht wurde von|Verzonden (met|vanaf)|Enviado desde|Inviato da|From My )\b.{0,120}$`),
	regexp.MustCompile(`^\s*(从 Windows.{0,10}邮件(应用)?(发送)?|发送自 Windows.{0,20}|获取 ?(适用于 )?(iOS|Android).{0,30}Outlook.{0,60}|获取 Outlook for .{0,60}|从.{1,20}版邮件发送|来自网易邮箱大师|发自网易邮箱.{0,20}|发自 ?.{0,10}(Foxmail|QQ邮箱|企业微信|钉钉|飞书).{0,30}|由.{1,20}(网易邮箱大师|邮箱大师) ?定制.{0,10}|签名由.{0,30}定制.{0,10})\s*$`),
}

// formal begins the block under which letters are signed.
var formal = regexp.MustCompile(`^\s*(此致|敬礼|顺颂商祺|顺祝商祺|祝好[！!。]?|Best [Rr]egards,?|Kind [Rr]egards,?|Regards,?)\s*$`)

// Fold parts text at the place where the quotation begins and takes the
// signature off what is before. When nothing would be left, all is fresh.
func Fold(text string) Folded {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lines := strings.Split(text, "\n")
	if len(lines) > 20_000 {
		lines = lines[:20_000]
	}
	at := quoteAt(lines)
	if at < len(lines) && strings.TrimSpace(strings.Join(lines[:at], "")) == "" {
		// Nothing above the quotation: the answer may stand below it.
		if below := belowQuote(lines[at:]); below > 0 {
			f := Fold(strings.Join(lines[at+below:], "\n"))
			f.Quoted = strings.TrimSpace(strings.Join(lines[at:at+below], "\n") + "\n" + f.Quoted)
			return f
		}
	}
	f := Folded{Quoted: strings.TrimSpace(strings.Join(lines[at:], "\n"))}
	fresh := lines[:at]
	if at == len(lines) { // answers between the lines of a quotation stay whole
		f.Quoted = ""
	}
	sign := signatureAt(fresh)
	f.Signature = strings.TrimSpace(strings.Join(fresh[sign:], "\n"))
	f.Fresh = strings.TrimSpace(strings.Join(fresh[:sign], "\n"))
	if f.Fresh == "" {
		f.Fresh, f.Signature = f.Signature, ""
	}
	if f.Fresh == "" { // nothing but a forward, or nothing but a quotation
		f.Fresh, f.Quoted = f.Quoted, ""
	}
	return f
}

// belowQuote returns how many of lines are the quotation with the line above it,
// when something of its own follows; 0 when nothing does.
func belowQuote(lines []string) int {
	i := 0
	for i < len(lines) && i < 3 && !quoted(lines[i]) {
		i++
	}
	if i >= len(lines) || !quoted(lines[i]) {
		return 0
	}
	for i < len(lines) && (quoted(lines[i]) || strings.TrimSpace(lines[i]) == "") {
		i++
	}
	if i < len(lines) && strings.TrimSpace(strings.Join(lines[i:], "")) != "" {
		return i
	}
	return 0
}

func matches(list []*regexp.Regexp, s string) bool {
	if len(s) > 600 {
		return false
	}
	for _, r := range list {
		if r.MatchString(s) {
			return true
		}
	}
	return false
}

func quoted(l string) bool { return strings.HasPrefix(strings.TrimLeft(l, " "), ">") }

// quoteAt is the line with which the quotation begins, len(lines) for none.
func quoteAt(lines []string) int {
	for i, l := range lines {
		l = strings.ReplaceAll(strings.TrimRight(l, " \t"), "\u00a0", " ")
		t := strings.TrimSpace(strings.TrimLeft(l, "> "))
		switch {
		case t == "":
		case matches(cuts, l):
			return i
		case matches(wrote, l) && followed(lines[i+1:], l):
			return i
		case quoted(l) && i == 0 && belowQuote(lines) > 0:
			return 0
		case i+1 < len(lines) && matches(wrote, strings.TrimRight(l, " ")+" "+strings.TrimSpace(strings.TrimLeft(lines[i+1], "> "))) && opens(l):
			return i // the line was wrapped
		case i+2 < len(lines) && opens(l) && matches(wrote, l+" "+strings.TrimSpace(lines[i+1])+" "+strings.TrimSpace(lines[i+2])):
			return i
		case headFirst.MatchString(l) && heads(lines[i:]):
			// The rule above belongs to it.
			j := i
			for j > 0 && (strings.TrimSpace(lines[j-1]) == "" || rule.MatchString(lines[j-1])) {
				j--
			}
			return j
		case quoted(l) && restQuoted(lines[i:]):
			return i
		}
	}
	return len(lines)
}

// opens reports whether a line begins as those above quotations do.
func opens(l string) bool {
	t := strings.TrimSpace(strings.TrimLeft(l, "> "))
	for _, p := range []string{"在", "於", "On ", "At ", "Le ", "Am ", "El ", "Il ", "Op ", "Den ", "W dniu", "Em "} {
		if strings.HasPrefix(t, p) && strings.ContainsAny(t, "0123456789") {
			return true
		}
	}
	return strings.Contains(t, "<") && strings.Contains(t, "@") || len(t) > 4 && t[0] >= '0' && t[0] <= '9' && strings.Contains(t, "年")
}

// followed reports whether what comes after the line above a quotation looks like
// one: a sentence that ends in "wrote:" is none. A line with an address is.
func followed(rest []string, l string) bool {
	if strings.Contains(l, "@") || strings.Contains(l, "写道") || strings.Contains(l, "寫道") {
		return true
	}
	for _, r := range rest {
		if strings.TrimSpace(r) != "" {
			return quoted(r) || strings.ContainsAny(l, "0123456789")
		}
	}
	return false
}

// heads reports whether three lines of a header block stand together.
func heads(lines []string) bool {
	n := 0
	for i, l := range lines {
		if i > 8 {
			break
		}
		if head.MatchString(l) {
			n++
		} else if strings.TrimSpace(l) != "" && n > 0 && i > 2 {
			break
		}
	}
	return n >= 3
}

// restQuoted reports whether nothing but quotation follows, save a last word.
func restQuoted(lines []string) bool {
	for _, l := range lines {
		if strings.TrimSpace(l) != "" && !quoted(l) {
			return false
		}
	}
	return true
}

// signatureAt is the line with which the signature begins, len(lines) for none:
// only near the end, and never a whole long letter.
func signatureAt(lines []string) int {
	end := len(lines)
	for end > 0 && strings.TrimSpace(lines[end-1]) == "" {
		end--
	}
	for i := max(0, end-15); i < end; i++ {
		if matches(signs, lines[i]) {
			return i
		}
	}
	for i := max(1, end-8); i < end; i++ {
		if formal.MatchString(lines[i]) {
			return i
		}
	}
	return len(lines)
}

var (
	forwardSubject = regexp.MustCompile(`(?i)^\s*(fwd?|转发|轉寄|轉發|wg|tr)\s*[:：]`)
	fromLine       = regexp.MustCompile(`(?im)^[>\s*]*(发件人|寄件者|寄件人|發件人|From|Von|De)\s*\*?\s*[:：]\s*\*?\s*(.{3,200})$`)
	mailto         = regexp.MustCompile(`\[mailto:([^\]\s]+)\]`)
)

// findOriginal names the real sender of a mail that somebody forwarded by hand.
func (m *Message) findOriginal() {
	if !forwardSubject.MatchString(m.Subject) {
		return
	}
	x := fromLine.FindStringSubmatch(cut(m.Text, 20_000))
	if x == nil {
		return
	}
	s := strings.TrimSpace(strings.Trim(x[2], "*"))
	if a := mailto.FindStringSubmatch(s); a != nil {
		s = strings.Replace(s, a[0], "<"+a[1]+">", 1)
	}
	s = strings.NewReplacer("＜", "<", "＞", ">", "&lt;", "<", "&gt;", ">").Replace(s)
	for _, a := range Addresses(s) {
		if strings.Contains(a.Addr, "@") && !strings.EqualFold(a.Addr, m.From.Addr) {
			m.Original = a
			return
		}
	}
}

var prefixes = regexp.MustCompile(`(?i)^\s*((re|aw|sv|antw|fwd?|wg|tr|vs|rv)(\[\d+\])?|回复|答复|回覆|答覆|转发|轉寄|轉發|回信|自动回复)\s*[:：]\s*`)

// BareSubject is a subject without the marks of answers and forwards, for
// comparing.
func BareSubject(s string) string {
	for i := 0; i < 20; i++ {
		t := prefixes.ReplaceAllString(s, "")
		if t == s {
			break
		}
		s = t
	}
	return strings.TrimSpace(s)
}
