package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/crypt"
	"bihuan/internal/fault"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/hook"
	smtp "bihuan/internal/outbound/mail"
	"bihuan/internal/outbound/robot"
	"bihuan/internal/outbound/sms"
)

// The ways out of the house.
const (
	Push     = "push"
	WeCom    = "wecom"
	DingTalk = "dingtalk"
	Feishu   = "feishu"
	Mail     = "mail"
	SMS      = "sms"
	Webhook  = "webhook"
)

// Ways lists them in the order in which an unread notice tries them.
var Ways = []string{Push, WeCom, DingTalk, Feishu, Mail, SMS, Webhook}

// Robot reports whether the way posts into a group, so that there can be one for
// each department.
func Robot(way string) bool { return way == WeCom || way == DingTalk || way == Feishu }

// Field is something the administrator fills in to set up a way.
type Field struct {
	Name     string
	Input    string // text, number, email, url, secret, choice, check
	Options  []string
	Default  string
	Required bool
	When     string // "tls=none": shown only then
}

// Secret reports whether the field is kept sealed and never shown again.
func (f Field) Secret() bool { return f.Input == "secret" }

var ways = map[string]struct {
	fields []Field
	limits []limit
}{
	Mail: {fields: []Field{
		{Name: "host", Input: "text", Required: true},
		{Name: "tls", Input: "choice", Options: []string{smtp.TLS, smtp.StartTLS, smtp.None}, Default: smtp.TLS, Required: true},
		{Name: "port", Input: "number"},
		{Name: "user", Input: "text"},
		{Name: "password", Input: "secret"},
		{Name: "from", Input: "email", Required: true},
		{Name: "from_name", Input: "text"},
		{Name: "reply_to", Input: "email"},
		{Name: "brief", Input: "check"},
	}},
	Push:     {fields: []Field{{Name: "contact", Input: "email", Required: true}, {Name: "brief", Input: "check"}}},
	WeCom:    {fields: []Field{{Name: "url", Input: "secret", Required: true}, {Name: "brief", Input: "check"}}, limits: []limit{{20, time.Minute}}},
	DingTalk: {fields: []Field{{Name: "url", Input: "secret", Required: true}, {Name: "sign", Input: "secret"}, {Name: "keyword", Input: "text"}, {Name: "brief", Input: "check"}}, limits: []limit{{20, time.Minute}}},
	Feishu:   {fields: []Field{{Name: "url", Input: "secret", Required: true}, {Name: "sign", Input: "secret"}, {Name: "keyword", Input: "text"}, {Name: "brief", Input: "check"}}, limits: []limit{{5, time.Second}, {100, time.Minute}}},
	SMS: {fields: []Field{
		{Name: "provider", Input: "choice", Options: []string{Aliyun, Tencent}, Default: Aliyun, Required: true},
		{Name: "key_id", Input: "text", Required: true},
		{Name: "key_secret", Input: "secret", Required: true},
		{Name: "sign_name", Input: "text", Required: true},
		{Name: "template", Input: "text", Required: true},
		{Name: "app_id", Input: "text", Required: true, When: "provider=" + Tencent},
		{Name: "region", Input: "text", When: "provider=" + Tencent},
		{Name: "endpoint", Input: "url"},
	}},
	Webhook: {fields: []Field{{Name: "url", Input: "url", Required: true}, {Name: "secret", Input: "secret", Required: true}, {Name: "brief", Input: "check"}}},
}

// Providers of short messages.
const (
	Aliyun  = "aliyun"
	Tencent = "tencent"
)

// limit is how many messages may leave in a time.
type limit struct {
	n   int
	per time.Duration
}

// Fields of a way.
func Fields(way string) []Field { return ways[way].fields }

// Channel is a way as it is set up.
type Channel struct {
	ID           int64
	Kind         string
	Name         string // of a robot: which one it is
	DepartmentID int64  // of a robot: whom it serves; 0: everybody
	Enabled      bool
	Settings     map[string]string
	Has          map[string]bool // secrets that are filled in
	PausedUntil  time.Time       // zero: not paused
	Trouble      string
	Version      int64

	sealed []byte
}

// Get returns a setting, or what is proposed.
func (c Channel) Get(name string) string {
	if v := c.Settings[name]; v != "" {
		return v
	}
	for _, f := range Fields(c.Kind) {
		if f.Name == name {
			return f.Default
		}
	}
	return ""
}

func place(id int64) string { return crypt.Place("notice_channels", id, "secret") }

func (s *Service) secrets(c Channel) (map[string]string, error) {
	m := map[string]string{}
	plain, err := s.keys.Open(place(c.ID), c.sealed)
	if err == nil && plain != "" {
		err = json.Unmarshal([]byte(plain), &m)
	}
	if err != nil {
		return nil, fmt.Errorf("notify: secrets of channel %d: %w", c.ID, err)
	}
	return m, nil
}

// check complains about what is missing or cannot be; secrets are those that will
// hold.
func (c *Channel) check(secrets map[string]string) error {
	e := fault.Invalidf("notify.channel.invalid")
	for _, f := range Fields(c.Kind) {
		v := strings.TrimSpace(c.Settings[f.Name])
		if f.Secret() {
			v = secrets[f.Name]
		} else if v == "" {
			delete(c.Settings, f.Name)
		} else {
			c.Settings[f.Name] = v
		}
		if name, want, ok := strings.Cut(f.When, "="); ok && c.Get(name) != want {
			continue
		}
		switch {
		case v == "" && f.Required && f.Default == "":
			e.Field(f.Name, "notify.channel.required")
		case v == "":
		case len(v) > 1000:
			e.Field(f.Name, "notify.channel.long")
		case f.Input == "number":
			if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 65535 {
				e.Field(f.Name, "notify.channel.port")
			}
		case f.Input == "email":
			if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
				e.Field(f.Name, "notify.channel.email")
			}
		case f.Input == "choice" && !slices.Contains(f.Options, v):
			e.Field(f.Name, "notify.channel.choice")
		case f.Input == "url" || f.Name == "url":
			if u, err := url.Parse(v); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
				e.Field(f.Name, "notify.channel.url")
			}
		case f.Name == "secret" && len(v) < 16:
			e.Field(f.Name, "notify.channel.short")
		case f.Name == "host" && strings.ContainsAny(v, "/: "):
			e.Field(f.Name, "notify.channel.host")
		}
	}
	return e.OrNil()
}

// Outside is how this program reaches what is outside; tests put their own in.
type Outside struct {
	Net   outbound.Net
	Roots *x509.CertPool // of mail servers; nil: those of the machine
	// Mail takes mails in place of a server, for simulations; nil: the server.
	Mail func(ctx context.Context, m outbound.Message) (answer string, err error)
}

// send hands m over by c. What it returns as an error is an outbound.Fail.
func (s *Service) send(ctx context.Context, c Channel, m outbound.Message, users []int64) (answer string, err error) {
	secret, err := s.secrets(c)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	if c.Get("brief") != "" {
		for i := range m.Items {
			m.Items[i].Title = ""
		}
	}
	switch c.Kind {
	case Mail:
		if s.out.Mail != nil {
			return s.out.Mail(ctx, m)
		}
		port, _ := strconv.Atoi(c.Get("port"))
		return smtp.Server{Host: c.Get("host"), Port: port, TLS: c.Get("tls"), User: c.Get("user"), Password: secret["password"], From: c.Get("from"), FromName: c.Get("from_name"), ReplyTo: c.Get("reply_to"), Roots: s.out.Roots}.Send(ctx, m)
	}
	allow := outbound.Allowed(ctx, s.d.Read())
	bot := robot.Robot{URL: secret["url"], Secret: secret["sign"], Keyword: c.Get("keyword"), Net: s.out.Net, Allow: allow}
	switch c.Kind {
	case WeCom:
		return bot.WeCom(ctx, m)
	case DingTalk:
		return bot.DingTalk(ctx, m)
	case Feishu:
		return bot.Feishu(ctx, m)
	case SMS:
		a := sms.Account{KeyID: c.Get("key_id"), KeySecret: secret["key_secret"], Sign: c.Get("sign_name"), Template: c.Get("template"), AppID: c.Get("app_id"), Region: c.Get("region"), Endpoint: c.Get("endpoint"), Net: s.out.Net, Allow: allow}
		if c.Get("provider") == Tencent {
			return a.Tencent(ctx, m)
		}
		return a.Aliyun(ctx, m)
	case Webhook:
		return hook.Hook{URL: c.Get("url"), Secret: secret["secret"], Net: s.out.Net, Allow: allow}.Send(ctx, m, users[0])
	case Push:
		return s.push(ctx, c, secret[vapidSecret], m, users, allow)
	}
	return "", outbound.Failed(outbound.Settings, "", fmt.Errorf("notify: no way %q", c.Kind))
}
