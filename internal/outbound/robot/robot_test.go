package robot

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bihuan/internal/outbound"
	"bihuan/internal/outbound/robot/robottest"
)

// The vectors of the platforms.
func TestSigns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{url.QueryEscape(DingTalkSign("SECtest", 1700000000000)), "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D"},
		{DingTalkSign("this is secret", 1577262236757), "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="},
		{FeishuSign("test-secret", 1700000000), "mbm4Y4oluIPQ00qlBIhX8vAZ0EKv3nw0LuTb91jPL84="},
		{FeishuSign("demo", 1599360473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

var now = time.Unix(1795305600, 0)

func message() outbound.Message {
	return outbound.Message{Lang: "zh-CN", Subject: "TASK1 打印机：分派给 何", To: "13800000001,he.yifan", At: now, Items: []outbound.Item{{Lang: "zh-CN", Number: "TASK1", Title: "打印机", Text: "分派给 何", Link: "https://crm.example.cn/notifications/1"}}}
}

func send(kind string, r Robot, m outbound.Message) (string, error) {
	r.Net, r.Allow = outbound.New(), outbound.Allow{"127.0.0.1"}
	return map[string]func(context.Context, outbound.Message) (string, error){robottest.WeCom: r.WeCom, robottest.DingTalk: r.DingTalk, robottest.Feishu: r.Feishu}[kind](context.Background(), m)
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{robottest.WeCom, robottest.DingTalk, robottest.Feishu} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			clock := now
			secret := "SECx"
			if kind == robottest.WeCom {
				secret = ""
			}
			s := robottest.New(t, kind, secret, func() time.Time { return clock })
			r := Robot{URL: s.URL, Secret: secret}
			if a, err := send(kind, r, message()); err != nil || !strings.Contains(a, "ok") {
				t.Fatalf("%q, %v", a, err)
			}
			p := s.Posts()[0]
			if !strings.HasPrefix(p.Text, "TASK1 打印机：分派给 何\nhttps://crm.example.cn/notifications/1") || strings.Count(p.Text, "打印机") != 1 {
				t.Errorf("text %q", p.Text)
			}
			if kind != robottest.Feishu && (len(p.Mobiles) != 1 || p.Mobiles[0] != "13800000001" || len(p.IDs) != 1) {
				t.Errorf("%+v", p)
			}
			kindOf := func(r Robot, m outbound.Message) outbound.Kind {
				_, err := send(kind, r, m)
				if err == nil {
					return ""
				}
				if strings.Contains(err.Error(), "K3Y") || strings.Contains(err.Error(), "SECx") {
					t.Errorf("the secret is in the error: %v", err)
				}
				return outbound.FailOf(err).Kind
			}
			if secret != "" {
				if got := kindOf(Robot{URL: s.URL, Secret: "other"}, message()); got != outbound.Settings {
					t.Errorf("wrong secret: %s", got)
				}
				clock = now.Add(2 * time.Hour)
				if got := kindOf(r, message()); got != outbound.Settings {
					t.Errorf("old signature: %s", got)
				}
				clock = now
			}
			if got := kindOf(Robot{URL: strings.Replace(s.URL, "K3Y", "no", 1), Secret: secret}, message()); got != outbound.Settings {
				t.Errorf("wrong address: %s", got)
			}
			limit := map[string]int{robottest.Feishu: 5}[kind]
			if limit == 0 {
				limit = 20
			}
			for range limit - 1 {
				if got := kindOf(r, message()); got != "" {
					t.Fatal(got)
				}
			}
			if got := kindOf(r, message()); got != outbound.Throttled || s.Refused() != 1 {
				t.Errorf("beyond the limit: %s", got)
			}
			clock = now.Add(30 * time.Minute)
			m := message()
			m.At = clock
			s.Break(502, false)
			if got := kindOf(r, m); got != outbound.Later {
				t.Errorf("gateway: %s", got)
			}
			s.Break(0, true)
			if got := kindOf(r, m); got != outbound.Unsure {
				t.Errorf("hangs up: %s", got)
			}
			s.Break(0, false)
			for range 200 {
				m.Items = append(m.Items, outbound.Item{Lang: "zh-CN", Title: "很长的标题很长的标题", Text: "有变化", Link: "https://crm.example.cn/notifications/2"})
			}
			clock = clock.Add(time.Hour)
			m.At = clock
			if got := kindOf(r, m); got != "" {
				t.Errorf("long: %s", got)
			}
			ps := s.Posts()
			if last := ps[len(ps)-1].Text; !utf8.ValidString(last) || kind == robottest.WeCom && len(last) > 2048 {
				t.Errorf("%d bytes", len(last))
			}
			r.Net, r.Allow = outbound.New(), nil
			if _, err := r.Net.Post(context.Background(), s.URL, nil, nil, nil); outbound.FailOf(err).Kind != outbound.Settings {
				t.Errorf("an address of this machine is called: %v", err)
			}
		})
	}
}

func TestKeyword(t *testing.T) {
	t.Parallel()
	s := robottest.New(t, robottest.DingTalk, "", func() time.Time { return now })
	if _, err := send(robottest.DingTalk, Robot{URL: s.URL, Keyword: "闭环"}, message()); err != nil || !strings.Contains(s.Posts()[0].Text, "闭环") {
		t.Errorf("%v %+v", err, s.Posts())
	}
}
