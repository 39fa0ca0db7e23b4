package mail

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"strings"
	"testing"
	"time"

	"bihuan/internal/outbound"
	"bihuan/internal/outbound/mail/mailtest"
)

func message() outbound.Message {
	return outbound.Message{ID: "n12.7", Lang: "zh-CN", Subject: "【紧急】TASK20261119001 打印机无法开机", Urgent: true, Name: "何一凡", To: "he@example.cn", At: time.Unix(1795305600, 0), Foot: "在个人设置里可以选择收哪些通知。",
		Items: []outbound.Item{{Lang: "zh-CN", Number: "TASK20261119001", Title: "打印机无法开机", Text: "分派给 何一凡（客服部）", Link: "https://crm.example.cn/notifications/12", Urgent: true}}}
}

func server(s *mailtest.Server, how string) Server {
	return Server{Host: s.Host, Port: s.Port, TLS: how, Roots: s.Roots, From: "crm@example.cn", FromName: "闭环客服", Timeout: 5 * time.Second}
}

// The ways to protect the connection, with and without signing in.
func TestDialogue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan           mailtest.Plan
		how            string
		user, password string
		kind           outbound.Kind // "" for taken
		secure         bool
	}{
		"tls":                       {mailtest.Plan{TLS: true}, TLS, "", "", "", true},
		"tls, signed in":            {mailtest.Plan{TLS: true, User: "crm", Password: "密码 s3"}, TLS, "crm", "密码 s3", "", true},
		"starttls, signed in":       {mailtest.Plan{User: "crm", Password: "s3"}, StartTLS, "crm", "s3", "", true},
		"in the clear":              {mailtest.Plan{NoStartTLS: true}, None, "", "", "", false},
		"in the clear, signed in":   {mailtest.Plan{NoStartTLS: true, User: "crm", Password: "s3"}, None, "crm", "s3", "", false},
		"wrong password":            {mailtest.Plan{TLS: true, User: "crm", Password: "s3"}, TLS, "crm", "no", outbound.Settings, false},
		"no password":               {mailtest.Plan{TLS: true, User: "crm", Password: "s3"}, TLS, "", "", outbound.Settings, false},
		"starttls is not there":     {mailtest.Plan{NoStartTLS: true}, StartTLS, "", "", outbound.Settings, false},
		"no such person":            {mailtest.Plan{TLS: true, Reply: map[string]string{"RCPT": "550 5.1.1 no such user"}}, TLS, "", "", outbound.Address, false},
		"mailbox full":              {mailtest.Plan{TLS: true, Reply: map[string]string{"RCPT": "452 4.2.2 mailbox full"}}, TLS, "", "", outbound.Later, false},
		"too many, Tencent's way":   {mailtest.Plan{TLS: true, Reply: map[string]string{"RCPT": "550 Ip frequency limited"}}, TLS, "", "", outbound.Throttled, false},
		"sender refused":            {mailtest.Plan{TLS: true, Reply: map[string]string{"MAIL": "553 5.7.1 not your address"}}, TLS, "", "", outbound.Settings, false},
		"content refused":           {mailtest.Plan{TLS: true, Reply: map[string]string{"END": "554 5.6.0 looks like spam"}}, TLS, "", "", outbound.Refused, false},
		"content put off":           {mailtest.Plan{TLS: true, Reply: map[string]string{"END": "451 4.3.0 try later"}}, TLS, "", "", outbound.Later, false},
		"closing":                   {mailtest.Plan{TLS: true, Reply: map[string]string{"CONNECT": "421 4.3.2 closing"}}, TLS, "", "", outbound.Throttled, false},
		"hangs up after DATA":       {mailtest.Plan{TLS: true, DropAfterData: true}, TLS, "", "", outbound.Unsure, true},
		"hangs up after taking it":  {mailtest.Plan{TLS: true, DropAfterTaken: true}, TLS, "", "", "", true},
		"DATA refused for a moment": {mailtest.Plan{TLS: true, Reply: map[string]string{"DATA": "451 4.3.0 busy"}}, TLS, "", "", outbound.Later, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := mailtest.New(t, c.plan)
			s := server(fake, c.how)
			s.User, s.Password = c.user, c.password
			answer, err := s.Send(context.Background(), message())
			got := outbound.Kind("")
			if err != nil {
				got = outbound.FailOf(err).Kind
			}
			if got != c.kind {
				t.Fatalf("%q (%v), want %q", got, err, c.kind)
			}
			if err != nil && strings.Contains(err.Error(), "s3") {
				t.Errorf("the password is in the error: %v", err)
			}
			if c.kind != "" {
				return
			}
			mails := fake.Mails()
			if len(mails) != 1 || mails[0].TLS != c.secure || mails[0].From != "crm@example.cn" || mails[0].To != "he@example.cn" || mails[0].User != c.user {
				t.Fatalf("%+v", mails)
			}
			if !strings.Contains(answer, "1234") && !c.plan.DropAfterTaken {
				t.Errorf("answer %q", answer)
			}
		})
	}
}

// What arrives: headers a program's mail must have, Chinese that can be read.
func TestContent(t *testing.T) {
	t.Parallel()
	fake := mailtest.New(t, mailtest.Plan{TLS: true})
	if _, err := server(fake, TLS).Send(context.Background(), message()); err != nil {
		t.Fatal(err)
	}
	m := fake.Mails()[0]
	dec := mime.WordDecoder{}
	for name, want := range map[string]string{"Subject": "【紧急】TASK20261119001 打印机无法开机", "Message-Id": "<n12.7@example.cn>", "Auto-Submitted": "auto-generated", "Importance": "high"} {
		if got, err := dec.DecodeHeader(m.Header.Get(name)); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if to, err := m.Header.AddressList("To"); err != nil || to[0].Name != "何一凡" {
		t.Errorf("to %v, %v", to, err)
	}
	_, raw, _ := strings.Cut(m.Raw, "\r\n\r\n")
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(raw)))
	if err != nil || !strings.Contains(string(text), "TASK20261119001 打印机无法开机：分派给 何一凡（客服部）") || !strings.Contains(string(text), "\nhttps://crm.example.cn/notifications/12") {
		t.Errorf("%s, %v", text, err)
	}
}

// A line break in a name is no way to add a header.
func TestInjection(t *testing.T) {
	t.Parallel()
	fake := mailtest.New(t, mailtest.Plan{TLS: true})
	m := message()
	m.Subject, m.Name = "x\r\nBcc: eve@example.com", "y\r\nBcc: eve@example.com"
	if _, err := server(fake, TLS).Send(context.Background(), m); err == nil {
		for _, x := range fake.Mails() {
			if x.Header.Get("Bcc") != "" {
				t.Errorf("%s", x.Raw)
			}
		}
	}
	m = message()
	m.To = "he@example.cn>\r\nRCPT TO:<eve@example.com"
	if _, err := server(fake, TLS).Send(context.Background(), m); err == nil || outbound.FailOf(err).Kind != outbound.Address {
		t.Errorf("%v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	_, err = Server{Host: "127.0.0.1", Port: port, From: "a@b.cn", Timeout: time.Second}.Send(context.Background(), message())
	if f := (*outbound.Fail)(nil); !errors.As(err, &f) || f.Kind != outbound.Down {
		t.Errorf("%v", err)
	}
	_, err = Server{Host: "127.0.0.1", Port: port, From: "no address", Timeout: time.Second}.Send(context.Background(), message())
	if outbound.FailOf(err).Kind != outbound.Settings {
		t.Errorf("%v", err)
	}
}
