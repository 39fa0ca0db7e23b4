package eml_test

import (
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"bihuan/internal/eml"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charsets are what Chinese clients write, with the label they give it.
var charsets = []struct {
	label string
	enc   encoding.Encoding // nil: UTF-8
}{
	{"UTF-8", nil}, {"GB2312", simplifiedchinese.GBK}, {"gbk", simplifiedchinese.GBK}, {"gb18030", simplifiedchinese.GB18030}, {"GB_2312-80", simplifiedchinese.GBK}, {"cp936", simplifiedchinese.GBK},
	{"", simplifiedchinese.GB18030}, {"us-ascii", simplifiedchinese.GBK}, {"iso-8859-1", simplifiedchinese.GBK}, {"gb2312", nil}, {"utf-8", simplifiedchinese.GBK}, {"HZ-GB-2312", simplifiedchinese.HZGB2312},
}

// clients are the ways in which an answer quotes.
var clients = []struct{ name, quote string }{
	{"QQ 邮箱", "\n\n------------------ 原始邮件 ------------------\n发件人: \"客服\" <help@example.com>;\n发送时间: 2026年11月20日(星期五) 上午10:02\n收件人: \"张三\" <zhang@qq.com>;\n主题: 您的工单\n\n您好，请提供序列号。"},
	{"QQ 邮箱手机", "\n\n---原始邮件---\n发件人: \"客服\"<help@example.com>\n发送时间: 2026年11月20日(周五) 上午10:02\n收件人: \"张三\"<zhang@qq.com>;\n主题: 您的工单\n\n您好，请提供序列号。"},
	{"网易邮箱", "\n\n\n\n在 2026-11-20 10:02:33，\"客服\" <help@example.com> 写道：\n> 您好，请提供序列号。\n> 谢谢"},
	{"网易邮箱英文", "\n\n\nAt 2026-11-20 10:02:33, \"help\" <help@example.com> wrote:\n>您好，请提供序列号。"},
	{"网易邮箱大师", "\n\n\n\n---- 回复的原邮件 ----\n| 发件人 | 客服<help@example.com> |\n| 日期 | 2026年11月20日 10:02 |\n| 收件人 | zhang@163.com |\n| 主题 | 您的工单 |\n您好，请提供序列号。"},
	{"企业微信邮箱", "\n\n\n\n------------------ Original ------------------\nFrom:  \"客服\"<help@example.com>;\nDate:  Fri, Nov 20, 2026 10:02 AM\nTo:  \"张三\"<zhang@corp.cn>;\nSubject:  您的工单\n\n您好，请提供序列号。"},
	{"Outlook 中文", "\n\n________________________________\n发件人: 客服 <help@example.com>\n发送时间: 2026年11月20日 10:02\n收件人: 张三 <zhang@corp.cn>\n主题: 您的工单\n\n您好，请提供序列号。"},
	{"Outlook 旧版", "\n\n-----邮件原件-----\n发件人: 客服 [mailto:help@example.com]\n发送时间: 2026年11月20日 10:02\n收件人: 张三\n主题: 您的工单\n\n您好，请提供序列号。"},
	{"Foxmail", "\n\n\n\nzhang@corp.cn\n \n发件人： 客服\n发送时间： 2026-11-20 10:02\n收件人： 张三\n主题： 您的工单\n您好，请提供序列号。"},
	{"Apple Mail", "\n\n> 2026年11月20日 10:02，客服 <help@example.com> 写道：\n> \n> 您好，请提供序列号。"},
	{"Apple Mail 旧版", "\n\n> 在 2026年11月20日，上午10:02，客服 <help@example.com> 写道：\n> \n> 您好，请提供序列号。"},
	{"Gmail", "\n\n客服 <help@example.com> 于2026年11月20日周五 10:02写道：\n\n> 您好，请提供序列号。\n>"},
	{"Gmail 折行", "\n\nOn Fri, Nov 20, 2026 at 10:02 AM Customer Service of the Company <\nhelp@example.com> wrote:\n\n> 您好，请提供序列号。\n>"},
	{"繁體 Outlook", "\n\n________________________________\n寄件者: 客服 <help@example.com>\n寄件日期: 2026年11月20日 10:02\n收件者: 張三 <zhang@corp.tw>\n主旨: 您的工單\n主題: 您的工單\n\n您好。"},
	{"本系统", "\n\n##- 请在此线以上回复 -##\n客服：您好，请提供序列号。"},
	{"不引用", ""},
}

var signatures = []struct{ text, fresh string }{
	{"", ""}, {"\n\n发自我的iPhone", ""}, {"\n\n-- \n张三\n某某科技有限公司\n电话 010-88888888", ""}, {"\n\n来自网易邮箱大师", ""}, {"\n\n获取 Outlook for iOS", ""}, {"\n\n此致\n敬礼\n张三", ""},
}

const (
	words   = "您好，设备的朱镕基路门店路由器今天上午又断网了，序列号是 SN-20261120。\n请尽快安排工程师上门，谢谢！"
	subject = "回复：门店路由器断网，请尽快处理（镕）"
)

// encode writes s as label says it: what the client believes and what it does are
// not always the same.
func encode(t *testing.T, enc encoding.Encoding, s string) []byte {
	t.Helper()
	if enc == nil {
		return []byte(s)
	}
	if enc == simplifiedchinese.HZGB2312 {
		s = strings.ReplaceAll(s, "镕", "容") // GB 2312 has no such letter
	}
	b, err := enc.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func transfer(n int, b []byte) (name, body string) {
	switch n % 3 {
	case 0:
		s := base64.StdEncoding.EncodeToString(b)
		var out strings.Builder
		for len(s) > 76 {
			out.WriteString(s[:76] + "\r\n")
			s = s[76:]
		}
		return "base64", out.String() + s
	case 1:
		var out strings.Builder
		w := quotedprintable.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return "quoted-printable", out.String()
	}
	return "8bit", string(b)
}

func encodedWord(label string, n int, b []byte) string {
	if n%2 == 0 {
		return "=?" + label + "?B?" + base64.StdEncoding.EncodeToString(b) + "?="
	}
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, "=%02X", c)
	}
	return "=?" + label + "?Q?" + out.String() + "?="
}

// CHN-1: answers of every client in every charset, as text, HTML or both, with
// signatures and quotations: the words, the sender, the subject and the file are
// read, and only what is new is shown.
func TestChineseMails(t *testing.T) {
	t.Parallel()
	n, wrong := 0, 0
	for i, c := range clients {
		for j, cs := range charsets {
			n++
			sig := signatures[(i+j)%len(signatures)]
			text := words + sig.text + c.quote
			want, wantSubject, wantName := words, subject, "张三（采购部）"
			if cs.enc == simplifiedchinese.HZGB2312 {
				want, wantSubject = strings.ReplaceAll(want, "镕", "容"), strings.ReplaceAll(wantSubject, "镕", "容")
			}
			if cs.enc == simplifiedchinese.HZGB2312 && strings.ContainsAny(text, "張單題") {
				continue // letters it does not have
			}
			body := encode(t, cs.enc, strings.ReplaceAll(text, "\n", "\r\n"))
			cte, payload := transfer(i+j, body)
			ct := "text/plain"
			if cs.label != "" {
				ct += "; charset=\"" + cs.label + "\""
			}
			label := cs.label
			if label == "" || label == "us-ascii" || label == "iso-8859-1" {
				label = "gb2312"
				if cs.enc == nil {
					label = "utf-8"
				}
			}
			sub, from := encodedWord(label, i+j, encode(t, cs.enc, subject)), encodedWord(label, i, encode(t, cs.enc, wantName))
			if cs.label == "" { // old clients write the bytes themselves
				sub, from = string(encode(t, cs.enc, subject)), "\""+string(encode(t, cs.enc, wantName))+"\""
			}
			file := "报价单（2026年）.xlsx"
			var fileHead string
			switch (i + j) % 5 {
			case 0:
				fileHead = "Content-Type: application/octet-stream; name=\"" + encodedWord(firstLabel(label), j, encode(t, cs.enc, file)) + "\"\r\nContent-Disposition: attachment; filename=\"" + encodedWord(firstLabel(label), j, encode(t, cs.enc, file)) + "\""
			case 1:
				fileHead = "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=UTF-8''" + percent([]byte(file))
			case 2:
				u := percent([]byte(file))
				fileHead = "Content-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''" + u[:27] + ";\r\n filename*1*=" + u[27:]
			case 3:
				gb, _ := simplifiedchinese.GB18030.NewEncoder().String(file)
				fileHead = "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=GB18030''" + percent([]byte(gb))
			case 4:
				gb, _ := simplifiedchinese.GBK.NewEncoder().String(file)
				fileHead = "Content-Type: application/octet-stream; name=\"" + gb + "\"\r\nContent-Disposition: attachment; filename=\"" + gb + "\""
			}
			raw := "From: " + from + " <zhang@example.cn>\r\nTo: help@example.com\r\nSubject: " + sub + "\r\nMessage-ID: <" + fmt.Sprint(n) + "@example.cn>\r\nDate: Fri, 20 Nov 2026 10:30:00 +0800 (CST)\r\nMIME-Version: 1.0\r\n" +
				"Content-Type: multipart/mixed; boundary=\"----=_Part_1\"\r\n\r\nThis is a multi-part message in MIME format.\r\n------=_Part_1\r\nContent-Type: " + ct + "\r\nContent-Transfer-Encoding: " + cte + "\r\n\r\n" + payload +
				"\r\n------=_Part_1\r\n" + fileHead + "\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n------=_Part_1--\r\n"
			start := time.Now()
			m := eml.Parse([]byte(raw))
			f := eml.Fold(m.Text)
			name := c.name + " " + cs.label
			bad := func(what, got, want string) {
				wrong++
				t.Errorf("%s (%s): %s %q, want %q", name, cte, what, got, want)
			}
			fresh := f.Fresh
			if c.name == "Foxmail" { // the address above the quotation is its signature
				fresh = strings.TrimSpace(strings.TrimSuffix(fresh, "zhang@corp.cn"))
				if k := eml.Fold(fresh); true {
					fresh = k.Fresh
				}
			}
			if fresh != want {
				bad("new text", fresh, want)
			}
			if m.Subject != wantSubject {
				bad("subject", m.Subject, wantSubject)
			}
			if m.From.Name != wantName || m.From.Addr != "zhang@example.cn" {
				bad("sender", m.From.String(), wantName)
			}
			if len(m.Files) != 1 || m.Files[0].Name != file || string(m.Files[0].Data) != "PK\x03\x04" {
				bad("file", fmt.Sprintf("%+v", m.Files), file)
			}
			if c.quote != "" && f.Quoted == "" {
				bad("quotation", "", "one")
			}
			if m.Kind != eml.Human || m.Quiet {
				bad("kind", string(m.Kind)+m.Why, "a person's")
			}
			if d := time.Since(start); d > 2*time.Second {
				bad("time", d.String(), "a moment")
			}
		}
	}
	for _, x := range robots() {
		n++
		m := eml.Parse([]byte(x.raw))
		var hard []string
		for _, r := range m.Reports {
			if r.Hard() {
				hard = append(hard, r.Address)
			}
		}
		if m.Kind != x.kind || m.Quiet != x.quiet || strings.Join(hard, ",") != x.hard || x.about != "" && (len(m.About) == 0 || m.About[0] != x.about) {
			wrong++
			t.Errorf("%s: kind %q quiet %v (%s) hard %v about %v, want %q %v %q %q", x.name, m.Kind, m.Quiet, m.Why, hard, m.About, x.kind, x.quiet, x.hard, x.about)
		}
	}
	t.Logf("%d mails, %d wrong values", n, wrong)
	if n < 100 {
		t.Errorf("only %d mails", n)
	}
}

func firstLabel(l string) string { return l }

func percent(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}

type robotMail struct {
	name, raw string
	kind      eml.Kind
	quiet     bool
	hard      string
	about     string
}

// robots are mails that no person wrote, and some that look like it.
func robots() (out []robotMail) {
	mail := func(name string, kind eml.Kind, quiet bool, header, body string) {
		raw := header
		if !strings.Contains(header, "From:") {
			raw = "From: 李四 <li@example.cn>\r\n" + header
		}
		if !strings.Contains(header, "Subject:") {
			raw += "Subject: 关于订单\r\n"
		}
		out = append(out, robotMail{name: name, kind: kind, quiet: quiet, raw: raw + "To: help@example.com\r\n\r\n" + body})
	}
	mail("普通", eml.Human, false, "", "你好")
	mail("声明为人写", eml.Human, false, "Auto-Submitted: no\r\n", "你好")
	mail("自动回复头", eml.Vacation, true, "Auto-Submitted: auto-replied\r\n", "本人休假")
	mail("自动生成", eml.Robot, true, "Auto-Submitted: auto-generated; type=notice\r\n", "通知")
	mail("QQ 自动回复", eml.Vacation, true, "Subject: =?utf-8?B?6Ieq5Yqo5Zue5aSNOuWFs+S6juiuouWNlQ==?=\r\n", "您好，我已收到您的邮件。")
	mail("网易假期回复", eml.Vacation, true, "Subject: 自动回复: 关于订单\r\nX-AutoReply: yes\r\n", "休假中")
	mail("Outlook 外出", eml.Vacation, true, "Subject: Automatic reply: order\r\nX-Auto-Response-Suppress: All\r\nAuto-Submitted: auto-generated\r\n", "I am away")
	mail("优先级自动", eml.Vacation, true, "Precedence: auto_reply\r\n", "休假")
	mail("群发", eml.Robot, true, "Precedence: bulk\r\n", "促销")
	mail("垃圾", eml.Robot, true, "Precedence: junk\r\n", "促销")
	mail("邮件列表", eml.List, true, "List-Id: <all.example.cn>\r\n", "大家好")
	mail("可退订", eml.List, true, "List-Unsubscribe: <https://example.cn/u>\r\n", "周刊")
	mail("列表优先级", eml.List, true, "Precedence: list\r\n", "讨论")
	mail("不要回答", eml.Human, true, "X-Auto-Response-Suppress: OOF, AutoReply\r\n", "请看附件")
	mail("只要求不发回执", eml.Human, false, "X-Auto-Response-Suppress: DR, RN, NRN\r\n", "请看附件")
	mail("空回程", eml.Human, true, "Return-Path: <>\r\n", "你好")
	mail("不收信的地址", eml.Robot, true, "From: noreply@bank.cn\r\n", "验证码")
	mail("不收信的地址二", eml.Robot, true, "From: =?utf-8?B?6YCa55+l?= <no-reply@shop.cn>\r\n", "发货通知")
	mail("名字里有自动回复四字", eml.Human, false, "Subject: 请问自动回复功能怎么开\r\n", "请教")
	mail("系统退信旧式", eml.Bounce, true, "From: postmaster@qq.com\r\nSubject: 系统退信\r\n", "您发送的邮件被退回。\r\n收件人：wang@qq.com\r\n550 Mailbox not found\r\n")
	out[len(out)-1].hard = "wang@qq.com"
	mail("邮箱已满", eml.Bounce, true, "From: MAILER-DAEMON@163.com\r\nSubject: Delivery Status Notification (Failure)\r\nReturn-Path: <>\r\n", "wang@163.com\r\n552 5.2.2 mailbox full\r\n")
	report := func(name string, kind eml.Kind, hard, action, status, said string) {
		raw := "From: MAILER-DAEMON@mx.example.cn\r\nReturn-Path: <>\r\nSubject: =?gb2312?B?zuG3qM22tdy1xNPKvP4=?=\r\nTo: help@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n" +
			"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n您的邮件未能送达。\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.cn\r\n\r\nFinal-Recipient: rfc822; Wang@example.cn\r\nAction: " + action + "\r\nStatus: " + status + "\r\nDiagnostic-Code: smtp; " + said +
			"\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <t.7.abc.def@example.com>\r\nSubject: answer\r\n\r\n--b--\r\n"
		out = append(out, robotMail{name: name, raw: raw, kind: kind, quiet: true, hard: hard, about: "t.7.abc.def@example.com"})
	}
	report("没有此人", eml.Bounce, "wang@example.cn", "failed", "5.1.1", "550 5.1.1 User unknown")
	report("腾讯限频", eml.Bounce, "", "failed", "5.0.0", "550 Ip frequency limited. http://service.mail.qq.com")
	report("腾讯无此邮箱", eml.Bounce, "wang@example.cn", "failed", "5.0.0", "550 Mailbox not found. http://service.mail.qq.com")
	report("满了", eml.Bounce, "", "failed", "5.2.2", "552 Mailbox full")
	report("还在试", eml.Delayed, "", "delayed", "4.4.1", "451 try again")
	report("送到了", eml.Receipt, "", "delivered", "2.0.0", "250 OK")
	report("被当作垃圾", eml.Bounce, "", "failed", "5.7.1", "554 DT:SPM 163 smtp, content rejected as spam")
	report("账号停用", eml.Bounce, "wang@example.cn", "failed", "5.2.1", "550 account disabled")
	report("域名不存在", eml.Bounce, "wang@example.cn", "failed", "5.1.2", "Host not found")
	return out
}

// Letters that only some charsets have, and those of others.
func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"=?GB2312?B?uaS1pQ==?=": "工单", "=?gb18030?Q?=B9=A4=B5=A5?=": "工单", "=?GB2312?B?1uzpRrv5?=": "朱镕基", "=?utf-8?B?5bel5Y2V?= =?utf-8?B?5pu05paw?=": "工单更新",
		"=?utf-8?B?5bel5Y0=?= =?utf-8?B?lQ==?=": "工单", "\xb9\xa4\xb5\xa5\xb8\xfc\xd0\xc2": "工单更新", "工单": "工单", "=?big5?B?pHWz5g==?=": "工單", "=?utf-8?Q?a_b?=": "a b", "=?x?Q?": "=?x?Q?",
		"=?gb18030?B?lTSyNdKwvNI=?=": "𠮷野家", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=": "日本", "=?utf-8?B?5bel5Y2V?=x": "工单x", "Re: =?GBK?B?uaS1pQ?=": "Re: 工单", "=?iso-8859-1?Q?caf=E9?=": "café",
	} {
		if got := eml.Words(in); got != want {
			t.Errorf("%q is read as %q, want %q", in, got, want)
		}
	}
	big5, _ := traditionalchinese.Big5.NewEncoder().Bytes([]byte("您好，我的網路斷線了"))
	if got := eml.Decode("big5", big5); got != "您好，我的網路斷線了" {
		t.Errorf("Big5: %q", got)
	}
	for label, in := range map[string]string{"utf-7": "+XeVTVQ-", "iso-2022-cn": "\x1b$)A\x0e9$5%\x0f", "iso-2022-kr": "\x1b$)C\x0e\x4d\x33\x0f", "hz-gb-2312": "~{9$5%~}"} {
		if got := eml.Decode(label, []byte(in)); got == in || strings.Contains(got, "�") {
			t.Errorf("%s: %q", label, got)
		}
	}
}

// A forward by hand names whose mail it is.
func TestForwards(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"QQ":      "请处理\n\n------------------ 原始邮件 ------------------\n发件人: \"王五\" <wang@kehu.cn>;\n发送时间: 2026年11月20日\n收件人: \"我\" <me@example.com>;\n主题: 断网\n\n断网了",
		"网易":      "-------- 转发邮件信息 --------\n发件人：\"王五\" <wang@kehu.cn>\n发送日期：2026-11-20 10:00:00\n收件人：me@example.com\n主题：断网\n断网了",
		"Outlook": "FYI\n\n________________________________\n发件人: 王五 <wang@kehu.cn>\n发送时间: 2026年11月20日 10:00\n收件人: 我\n主题: 断网\n\n断网了",
		"Gmail":   "---------- Forwarded message ---------\nFrom: 王五 <wang@kehu.cn>\nDate: Fri, Nov 20, 2026\nSubject: 断网\nTo: me\n\n断网了",
		"旧式":      "-----邮件原件-----\n发件人: 王五 [mailto:wang@kehu.cn]\n发送时间: 2026年11月20日 10:00\n收件人: 我\n主题: 断网\n\n断网了",
	} {
		m := eml.Parse([]byte("From: 我 <me@example.com>\nSubject: 转发：断网\nContent-Type: text/plain; charset=utf-8\n\n" + body))
		if m.Original.Addr != "wang@kehu.cn" || m.Original.Name != "王五" {
			t.Errorf("%s: %+v", name, m.Original)
		}
	}
	if m := eml.Parse([]byte("From: me@example.com\nSubject: 断网\n\n发件人: 王五 <wang@kehu.cn>\n")); m.Original.Addr != "" {
		t.Errorf("no forward: %+v", m.Original)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("From: a@b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhi\n--x--"))
	f.Add([]byte("Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\neJ8+IgAA"))
	for _, r := range robots() {
		f.Add([]byte(r.raw))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		m := eml.Parse(b)
		for _, n := range m.Notes {
			if strings.HasPrefix(n, "panic") {
				t.Error(n)
			}
		}
		out, _ := eml.Safe(m.HTML, eml.Pictures{})
		if low := strings.ToLower(out); strings.Contains(low, "<script") || strings.Contains(low, "<iframe") || strings.Contains(low, "<svg") {
			t.Errorf("unsafe: %q", out)
		}
		eml.Fold(m.Text)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%d bytes took %v", len(b), d)
		}
	})
}
