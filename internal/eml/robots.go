package eml

import (
	"regexp"
	"strings"
	"time"
)

// Kind says what kind of mail it is.
type Kind string

// Kinds of mails.
const (
	Human    Kind = ""         // written by a person, as far as can be told
	Vacation Kind = "vacation" // nobody is there: a holiday notice, an automatic receipt
	Robot    Kind = "robot"    // made by a program about something else
	List     Kind = "list"     // to many
	Bounce   Kind = "bounce"   // a mail of ours did not arrive
	Delayed  Kind = "delayed"  // a mail of ours has not arrived yet
	Receipt  Kind = "receipt"  // a mail of ours arrived, or was opened
)

// Report is what became of a mail for one receiver (RFC 3464).
type Report struct {
	Address string
	Action  string // failed, delayed, delivered, relayed, expanded
	Status  string // 5.1.1
	Said    string // in the words of the server
}

// Hard reports whether the address will not work tomorrow either. Chinese
// providers call a mail refused for its number or its contents by the code of a
// bad address: the text decides.
func (r Report) Hard() bool {
	if r.Action != "failed" {
		return false
	}
	said := strings.ToLower(r.Said)
	for _, w := range passing {
		if strings.Contains(said, w) {
			return false
		}
	}
	if strings.HasPrefix(r.Status, "4.") {
		return false
	}
	switch r.Status {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4":
		return true
	}
	for _, w := range unknown {
		if strings.Contains(said, w) {
			return true
		}
	}
	// Other 5.x.x are about the mail: refused, too large, suspected.
	return r.Status == "" || r.Status == "5.0.0" && said == ""
}

var (
	passing = []string{"frequency limited", "too many", "rate limit", "mailbox full", "mailbox is full", "over quota", "quota exceeded", "quota", "spam", "blocked", "blacklist", "content", "try again", "suspicious", "policy",
		"too large", "greylist", "邮箱已满", "空间不足", "频率", "垃圾"}
	unknown = []string{"user unknown", "no such user", "user not found", "mailbox not found", "unknown user", "does not exist", "no mailbox", "recipient rejected", "invalid recipient", "address rejected", "mailbox unavailable", "non-existent",
		"nonexistent", "unknown recipient", "recipient address", "account disabled", "disabled", "host not found", "domain not found", "bad destination", "不存在", "无此用户", "未找到", "被禁用"}
)

// readReports reads the fields of a message/delivery-status: groups between empty
// lines, the first about the mail, the others about one receiver each.
func readReports(b []byte) (out []Report) {
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	for _, group := range regexp.MustCompile(`\n[ \t]*\n`).Split(text, 200) {
		h, _, _ := splitHeader([]byte(strings.TrimSpace(group) + "\n\n"))
		to := afterType(firstOf(h.Raw("final-recipient"), h.Raw("original-recipient")))
		if o := afterType(h.Raw("original-recipient")); o != "" && strings.Contains(o, "@") {
			to = o
		}
		if to == "" {
			continue
		}
		status := h.Raw("status")
		if m := statusCode.FindString(status); m != "" {
			status = m
		}
		out = append(out, Report{Address: strings.ToLower(strings.Trim(to, "<> ")), Action: strings.ToLower(strings.TrimSpace(h.Raw("action"))), Status: strings.TrimSpace(status), Said: OneLine(Words(afterType(h.Raw("diagnostic-code"))))})
	}
	return out
}

var statusCode = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`)

// afterType is the part of "rfc822; user@host" that counts.
func afterType(s string) string {
	if _, rest, ok := strings.Cut(s, ";"); ok {
		s = rest
	}
	return strings.TrimSpace(s)
}

var (
	robotNames = regexp.MustCompile(`(?i)^(mailer-daemon|postmaster|mail-daemon|no-?reply|do-?not-?reply|donotreply|noreply[-_.+].*|bounces?[-+=].*|auto-?reply|notifications?|system-?notify)@`)
	daemons    = regexp.MustCompile(`(?i)^(mailer-daemon|postmaster|mail-daemon|mail\.daemon|postoffice)(@|$)`)
	away       = regexp.MustCompile(`(?i)^\s*((re|fwd?|回复|答复)\s*[:：]\s*)*(自动回复|自动答复|自動回覆|自動回复|外出自动|休假自动|【自动回复】|\[自动回复\]|automatic reply|auto[- ]?reply|auto[- ]?response|out of (the )?office|ooo:|vacation|away from|autoreply|réponse automatique|automatische antwort|abwesenheit|respuesta automática|自動応答)`)
	failed     = regexp.MustCompile(`(?i)(undeliver|delivery (status )?(notification|failure|failed|report)|returned mail|mail delivery (failed|subsystem|system)|failure notice|message not delivered|non[- ]?delivery|退信|系统退信|投递失败|未送达|无法投递|发送失败|邮件被退回|無法傳遞|undelivered)`)
	someone    = regexp.MustCompile(`[A-Za-z0-9._%+=-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`)
	smtpCode   = regexp.MustCompile(`\b([45])\d\d[ -]`)
)

// classify says what kind of mail it is and whether a program may answer
// (RFC 3834 and its relatives).
func (m *Message) classify() {
	h := m.Header
	quiet := func(why string) {
		if !m.Quiet {
			m.Quiet, m.Why = true, why
		}
	}
	ct, cp := value(h.Raw("content-type"))
	auto := strings.ToLower(strings.TrimSpace(h.Raw("auto-submitted")))
	auto, _, _ = strings.Cut(auto, ";")
	auto = strings.TrimSpace(auto)
	precedence := strings.ToLower(strings.TrimSpace(h.Raw("precedence")))
	empty := h.Has("return-path") && strings.TrimSpace(strings.Trim(strings.TrimSpace(h.Raw("return-path")), "<>")) == ""
	suppress := strings.ToLower(h.Raw("x-auto-response-suppress"))
	isAway := away.MatchString(m.Subject)

	if auto != "" && auto != "no" {
		quiet("Auto-Submitted")
	}
	if empty {
		quiet("Return-Path")
	}
	switch precedence {
	case "bulk", "list", "junk", "auto_reply":
		quiet("Precedence")
	}
	for _, n := range []string{"list-id", "list-unsubscribe", "mailing-list", "list-post"} {
		if h.Has(n) {
			quiet("List-Id")
			m.Kind = List
		}
	}
	if precedence == "list" {
		m.Kind = List
	}
	for _, w := range []string{"all", "autoreply", "oof"} { // asks for silence; says nothing of itself
		for _, x := range strings.FieldsFunc(suppress, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
			if x == w {
				quiet("X-Auto-Response-Suppress")
			}
		}
	}
	report := ct == "multipart/report"
	if report {
		quiet("multipart/report")
	}
	if robotNames.MatchString(m.From.Addr) || daemons.MatchString(m.From.Addr) {
		quiet("From")
	}
	if auto == "auto-generated" || auto == "auto-notified" || precedence == "bulk" || precedence == "junk" {
		if m.Kind == Human {
			m.Kind = Robot
		}
	}
	if auto == "auto-replied" || precedence == "auto_reply" || h.Has("x-autoreply") || h.Has("x-autorespond") || h.Has("x-autoreply-from") || h.Has("x-mail-autoreply") || isAway && m.Kind != List || strings.EqualFold(h.Raw("x-qq-auto-reply"), "1") {
		m.Kind = Vacation
		quiet("Auto-Submitted")
	}
	if robotNames.MatchString(m.From.Addr) && m.Kind == Human {
		m.Kind = Robot
	}
	switch {
	case report && (cp["report-type"] == "disposition-notification" || cp["report-type"] == "mdn"):
		m.Kind = Receipt
	case len(m.Reports) > 0:
		m.Kind = Receipt
		for _, r := range m.Reports {
			if r.Action == "failed" || r.Action == "" && strings.HasPrefix(r.Status, "5") {
				m.Kind = Bounce
				break
			}
			if r.Action == "delayed" || r.Action == "" && strings.HasPrefix(r.Status, "4") {
				m.Kind = Delayed
			}
		}
		quiet("multipart/report")
	case h.Has("x-failed-recipients"), (daemons.MatchString(m.From.Addr) || empty || m.From.Addr == "") && failed.MatchString(m.Subject), report && cp["report-type"] == "delivery-status":
		// Old ways to say it: the receiver is named in the text.
		m.Kind = Bounce
		quiet("Return-Path")
		m.Reports = m.guessReports(h)
	}
	if m.Kind == Bounce && len(m.About) == 0 {
		m.About = append(m.About, idsIn(m.Text)...)
	}
}

var idLine = regexp.MustCompile(`(?im)^\s*>?\s*message-id:\s*(<[^<>\s]{1,900}>)`)

func idsIn(text string) (out []string) {
	for _, x := range idLine.FindAllStringSubmatch(text, 5) {
		out = append(out, strings.Trim(x[1], "<>"))
	}
	return out
}

// guessReports finds the receivers in a bounce that has no part for programs.
func (m *Message) guessReports(h Header) (out []Report) {
	var to []string
	for _, a := range Addresses(h.Raw("x-failed-recipients")) {
		to = append(to, a.Addr)
	}
	text := cut(m.Text, 6000)
	if len(to) == 0 {
		own := map[string]bool{strings.ToLower(m.From.Addr): true}
		for _, a := range m.To {
			own[strings.ToLower(a.Addr)] = true
		}
		for _, a := range someone.FindAllString(text, 20) {
			if !own[strings.ToLower(a)] && !daemons.MatchString(a) {
				to = append(to, a)
				break
			}
		}
	}
	said, status := "", statusCode.FindString(text)
	for _, l := range strings.Split(text, "\n") {
		if smtpCode.MatchString(l) || statusCode.MatchString(l) {
			said = OneLine(cut(l, 300))
			break
		}
	}
	if said == "" {
		said = OneLine(cut(text, 200))
	}
	action := "failed"
	if strings.HasPrefix(status, "4.") {
		action = "delayed"
	}
	for _, a := range to {
		out = append(out, Report{Address: strings.ToLower(a), Action: action, Status: status, Said: said})
	}
	return out
}

// Event is a meeting of a calendar part.
type Event struct {
	Method, Summary, Location, Organizer string
	Start, End                           string // as written; with the zone when one is named
}

func readEvents(s string) (out []Event) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.NewReplacer("\n ", "", "\n\t", "").Replace(s)
	method, in := "", false
	var e Event
	for _, l := range strings.Split(s, "\n") {
		k, v, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		k, params, _ := strings.Cut(k, ";")
		v = strings.TrimSpace(v)
		switch strings.ToUpper(k) {
		case "METHOD":
			method = strings.ToUpper(v)
		case "BEGIN":
			if strings.EqualFold(v, "VEVENT") {
				in, e = true, Event{Method: method}
			}
		case "END":
			if strings.EqualFold(v, "VEVENT") && in && len(out) < 20 {
				in = false
				out = append(out, e)
			}
		}
		if !in {
			continue
		}
		switch strings.ToUpper(k) {
		case "SUMMARY":
			e.Summary = icalText(v)
		case "LOCATION":
			e.Location = icalText(v)
		case "ORGANIZER":
			e.Organizer = strings.TrimPrefix(strings.ToLower(v), "mailto:")
		case "DTSTART":
			e.Start = icalTime(v, params)
		case "DTEND":
			e.End = icalTime(v, params)
		}
	}
	return out
}

func icalText(v string) string {
	return OneLine(strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(v))
}

func icalTime(v, params string) string {
	zone := ""
	for _, p := range strings.Split(params, ";") {
		if z, ok := strings.CutPrefix(strings.ToUpper(p), "TZID="); ok {
			zone = " " + p[len(p)-len(z):]
		}
	}
	for layout, show := range map[string]string{"20060102T150405Z": "2006-01-02 15:04 UTC", "20060102T150405": "2006-01-02 15:04", "20060102": "2006-01-02"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Format(show) + zone
		}
	}
	return OneLine(v)
}
