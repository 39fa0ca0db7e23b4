package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/mail/mailtest"
	"bihuan/internal/outbound/push"
	"bihuan/internal/outbound/push/pushtest"
	"bihuan/internal/outbound/robot/robottest"
	"bihuan/internal/outbound/sms/smstest"
	"bihuan/internal/setting"
)

// inside lets the product call this machine, where the platforms of the test are.
func (w *world) inside() {
	w.Helper()
	w.ok(w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
		return setting.Write(ctx, tx, outbound.AllowSetting, map[string]any{"allow": []string{"127.0.0.1"}})
	}))
}

// The robot of the department, or of the one above; urgent things take it although
// the person did not want it; the address is not to be had back.
func TestRobots(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := robottest.New(t, robottest.Feishu, "SECx", w.c.Now)
		own := robottest.New(t, robottest.DingTalk, "SECy", w.c.Now)
		if _, err := w.s.SaveChannel(w.ctx, w.admin, Channel{Kind: Feishu, Enabled: true, Settings: map[string]string{}}, map[string]string{"url": all.URL}); !fault.Is(err, fault.Invalid) {
			t.Fatalf("an address of this machine is taken: %v", err)
		}
		w.inside()
		id := w.channel(Feishu, map[string]string{}, map[string]string{"url": all.URL, "sign": "SECx"})
		_, err := w.s.SaveChannel(w.ctx, w.admin, Channel{Kind: DingTalk, DepartmentID: 10, Enabled: true, Settings: map[string]string{"brief": "1"}}, map[string]string{"url": own.URL, "sign": "SECy"})
		w.ok(err)
		_, err = w.s.SaveChannel(w.ctx, w.admin, Channel{Kind: DingTalk, DepartmentID: 10, Settings: map[string]string{}}, map[string]string{"url": own.URL})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("two robots for a department: %v", err)
		}
		w.choose(1, func(c *Choices) { c.Picks["ticket.assigned"] = map[string]bool{DingTalk: false} })
		w.tell("ticket.assigned", false, 1, 3)
		w.settle()
		w.wantLog("何 feishu sent", "苏 dingtalk sent", "苏 feishu sent") // 苏's department stands below
		if p := own.Posts()[0]; strings.Contains(p.Text, "打印机") || !strings.Contains(p.Text, "TASK20261122001") || !strings.Contains(p.Text, "https://crm.example.cn/notifications/") {
			t.Errorf("brief: %q", p.Text)
		}
		w.c.Advance(5 * time.Second)
		w.tell("ticket.assigned", true, 1)
		w.settle()
		if ps := own.Posts(); len(ps) != 2 || len(ps[1].Mobiles) != 1 || ps[1].Mobiles[0] != "13800000001" {
			t.Errorf("urgent: %+v", ps)
		}
		c, err := w.s.Channel(w.ctx, w.admin, id)
		if raw, _ := json.Marshal(c); err != nil || !c.Has["url"] || strings.Contains(string(raw), "K3Y") {
			t.Errorf("%s, %v", raw, err)
		}
	})
}

// 20 a minute: more go together in one message, none is lost, the platform never
// complains.
func TestRobotLimit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.inside()
		s := robottest.New(t, robottest.WeCom, "", w.c.Now)
		id := w.channel(WeCom, map[string]string{}, map[string]string{"url": s.URL})
		numbers := map[string]bool{}
		for i := range 60 {
			n := fmt.Sprintf("TASK202611220%02d", i)
			numbers[n] = true
			w.tellOf(n, 1)
			if i%10 == 0 {
				w.settle()
			}
		}
		for range 10 {
			w.later(20 * time.Second)
		}
		if n := s.Refused(); n != 0 {
			t.Errorf("the platform complained %d times", n)
		}
		for _, l := range w.log() {
			if l != "何 wecom sent" {
				t.Fatalf("%q", w.log())
			}
		}
		if n := len(s.Posts()); n > 40 || n < 4 {
			t.Errorf("%d messages for 60 notices", n)
		}
		for _, p := range s.Posts() {
			for n := range numbers {
				if strings.Contains(p.Text, n) {
					delete(numbers, n)
				}
			}
		}
		t.Logf("%d messages, %d numbers did not fit", len(s.Posts()), len(numbers))
		// The platform's own "too many" pauses the robot.
		for range 25 {
			_, _ = http.Post(s.URL, "application/json", strings.NewReader(`{"msgtype":"text","text":{"content":"x"}}`))
		}
		w.tell("ticket.assigned", false, 1)
		w.settle()
		if c, err := w.s.Channel(w.ctx, w.admin, id); err != nil || !c.PausedUntil.After(w.c.Now()) || c.Trouble == "" {
			t.Errorf("%+v, %v", c, err)
		}
		w.later(2 * time.Minute)
		if l := w.log(); l[len(l)-1] != "何 wecom sent" {
			t.Errorf("%q", l[len(l)-1])
		}
	})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795305600, 0)
	ago := func(d time.Duration) int64 { return db.Micros(now.Add(-d)) }
	times := []int64{ago(2 * time.Minute), ago(50 * time.Second), ago(900 * time.Millisecond), ago(500 * time.Millisecond)}
	n, free := left([]limit{{2, time.Second}, {100, time.Minute}}, &times, now)
	if n != 0 || !free.Equal(now.Add(100*time.Millisecond)) || len(times) != 3 {
		t.Errorf("%d, %v, %v", n, free, times)
	}
	if n, _ := left(nil, &times, now); n != groupMost {
		t.Errorf("%d without limits", n)
	}
}

// A browser that is closed takes messages; one that has unsubscribed is forgotten;
// a link in a push is a path of the product.
func TestPush(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.inside()
		me := authz.Actor{Kind: authz.User, ID: 1, Name: "何", UserAgent: "Firefox"}
		if err := w.s.Subscribe(w.ctx, me, push.Subscription{}); !fault.Is(err, fault.Conflict) {
			t.Errorf("before the way is open: %v", err)
		}
		id := w.channel(Push, map[string]string{"contact": "crm@example.cn"}, nil)
		key, err := w.s.PushKey(w.ctx)
		w.ok(err)
		svc := pushtest.New(t, key, w.c.Now)
		b1, b2 := svc.Subscribe(), svc.Subscribe()
		w.ok(w.s.Subscribe(w.ctx, me, push.Subscription{Endpoint: b1.Endpoint, P256dh: b1.P256dh, Auth: b1.Auth}))
		w.ok(w.s.Subscribe(w.ctx, me, push.Subscription{Endpoint: b2.Endpoint, P256dh: b2.P256dh, Auth: b2.Auth}))
		w.ok(w.s.Subscribe(w.ctx, me, push.Subscription{Endpoint: b2.Endpoint, P256dh: b2.P256dh, Auth: b2.Auth}))
		if err := w.s.Subscribe(w.ctx, me, push.Subscription{Endpoint: "http://169.254.169.254/x", P256dh: b1.P256dh, Auth: b1.Auth}); !fault.Is(err, fault.Invalid) {
			t.Errorf("an inner address: %v", err)
		}
		w.tell("ticket.assigned", true, 1, 2) // 2 has no browser
		w.settle()
		w.wantLog("何 push sent")
		var p push.Payload
		if got := svc.Got(b1); len(got) != 1 || json.Unmarshal(got[0].Plain, &p) != nil || p.URL != fmt.Sprintf("/notifications/%d", w.notice(1).ID) || !strings.Contains(p.Title, "TASK20261122001") || got[0].Urgency != "high" || got[0].Sub != "mailto:crm@example.cn" {
			t.Errorf("%+v", p)
		}
		svc.Drop(b1)
		w.tell("ticket.assigned", false, 1)
		w.settle()
		bs, err := w.s.Browsers(w.ctx, me)
		if err != nil || len(bs) != 1 || len(svc.Got(b2)) != 2 {
			t.Errorf("%+v, %v", bs, err)
		}
		// Changing the settings leaves the keys alone.
		c, err := w.s.Channel(w.ctx, w.admin, id)
		w.ok(err)
		c.Settings["contact"] = "it@example.cn"
		_, err = w.s.SaveChannel(w.ctx, w.admin, c, nil)
		w.ok(err)
		if again, _ := w.s.PushKey(w.ctx); again != key {
			t.Error("new keys: every browser would have to subscribe again")
		}
		// Somebody else signs in at this browser.
		w.ok(w.s.Subscribe(w.ctx, authz.Actor{Kind: authz.User, ID: 2}, push.Subscription{Endpoint: b2.Endpoint, P256dh: b2.P256dh, Auth: b2.Auth}))
		if bs, err := w.s.Browsers(w.ctx, me); err != nil || len(bs) != 0 {
			t.Errorf("%+v, %v", bs, err)
		}
		if err := w.s.Unsubscribe(w.ctx, me, 2); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's browser: %v", err)
		}
		var open int
		w.ok(w.d.Read().QueryRow(w.ctx, `SELECT COUNT(*) FROM push_subscriptions WHERE CAST(endpoint_sealed AS TEXT) LIKE '%wpush%'`).Scan(&open))
		if open != 0 {
			t.Error("an endpoint lies open")
		}
	})
}

// Short messages: templates, a minute between two, the rest together.
func TestSMS(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.inside()
		s := smstest.NewAliyun(t, w.c.Now)
		w.channel(SMS, map[string]string{"provider": Aliyun, "key_id": smstest.KeyID, "sign_name": smstest.SignName, "template": smstest.Template, "endpoint": s.URL}, map[string]string{"key_secret": smstest.KeySecret})
		w.tell("ticket.assigned", false, 1) // costs money: nobody asked for it
		w.settle()
		w.wantLog()
		w.choose(1, func(c *Choices) { c.Picks["ticket.assigned"] = map[string]bool{SMS: true} })
		for range 4 {
			w.tell("ticket.assigned", false, 1)
		}
		w.settle()
		w.wantLog("何 sms sent", "何 sms waiting rate", "何 sms waiting rate", "何 sms waiting rate")
		w.later(61 * time.Second)
		w.wantLog("何 sms sent", "何 sms sent", "何 sms sent", "何 sms sent")
		if got := s.Sent(); len(got) != 2 || got[0].Params[1] != "工单分派给我" || got[1].Params[1] != "您有 3 条新通知" {
			t.Errorf("%+v", got)
		}
	})
}

// The webhook of a system of the company's own: signed, with the same id again.
func TestNoticeWebhook(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.inside()
		type call struct {
			h    http.Header
			body []byte
		}
		var calls []call
		status := 500
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			calls = append(calls, call{r.Header, b})
			rw.WriteHeader(status)
		}))
		defer srv.Close()
		const secret = "0123456789abcdef"
		w.channel(Webhook, map[string]string{"url": srv.URL + "/in"}, map[string]string{"secret": secret})
		w.tell("ticket.rated", false, 1) // every notice, whatever people chose
		w.settle()
		status = 204
		w.later(time.Minute)
		w.wantLog("何 webhook sent")
		if len(calls) != 2 || calls[0].h.Get("X-Bihuan-Delivery") != calls[1].h.Get("X-Bihuan-Delivery") {
			t.Fatalf("%d calls", len(calls))
		}
		c := calls[1]
		var b struct {
			User    struct{ ID int64 }
			Notices []struct{ Event, Number, Title, URL string }
		}
		if c.h.Get("X-Bihuan-Signature") != outbound.Sign(secret, c.h.Get("X-Bihuan-Timestamp"), c.body) || json.Unmarshal(c.body, &b) != nil || b.User.ID != 1 || len(b.Notices) != 1 || b.Notices[0].Event != "ticket.rated" || b.Notices[0].Number != "TASK20261122001" {
			t.Errorf("%s", c.body)
		}
	})
}

// Unread, an urgent notice goes another way: push, then the group, then mail; read,
// nothing more.
func TestAnotherWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.inside()
		s := robottest.New(t, robottest.WeCom, "", w.c.Now)
		w.channel(WeCom, map[string]string{}, map[string]string{"url": s.URL})
		m, _ := w.mail(mailtest.Plan{})
		w.choose(1, func(c *Choices) {
			c.Picks["ticket.clock_missed"] = map[string]bool{Mail: false}
			c.QuietFrom, c.QuietTo = 0, 23*60
		})
		w.tell("ticket.clock_missed", false, 1)
		w.settle()
		w.wantLog("何 wecom sent")
		w.later(9 * time.Minute)
		w.wantLog("何 wecom sent")
		w.later(2 * time.Minute)
		w.wantLog("何 wecom sent", "何 mail sent")
		w.later(3 * time.Hour)
		w.wantLog("何 wecom sent", "何 mail sent")
		w.tell("ticket.clock_missed", false, 1)
		w.settle()
		w.ok(w.s.MarkRead(w.ctx, 1, 0))
		w.later(time.Hour)
		if n := len(m.Mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
}

// The table has a line for each way, and no line twice.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range Occasions {
		if seen[o.Kind] || !slices.Contains(Areas, o.Area) {
			t.Errorf("%+v", o)
		}
		seen[o.Kind] = true
	}
	l := DefaultTable().Line("nobody.knows")
	if l.Kind != Other || l.Modes[Webhook] != Must || l.Modes[SMS] != May {
		t.Errorf("%+v", l)
	}
}

// NTF-1: the administrator has others told of an event, and not those it names;
// what is about responsibility reaches those in any case. A step that insists
// reaches people as what insists.
func TestTableWho(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.s.Resolve(func(_ context.Context, _ db.Querier, ticket int64, who []string) (out []int64, err error) {
			for _, x := range who {
				out = append(out, map[string]int64{"duty": 3, "user:2": 2}[x])
			}
			return out, nil
		})
		told := func(want string) {
			t.Helper()
			var got []int64
			for _, u := range []int64{1, 2, 3} {
				ns, err := w.s.List(w.ctx, u, 0, 50)
				w.ok(err)
				for range ns {
					got = append(got, u)
				}
			}
			w.ok(w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM notifications`)
				return err
			}))
			if fmt.Sprint(got) != want {
				t.Errorf("told %v, want %s", got, want)
			}
		}
		set := func(kind string, r Rule) error {
			tb, err := w.s.Table(w.ctx)
			w.ok(err)
			return w.s.SetRule(w.ctx, w.admin, kind, r, tb.Version)
		}
		w.ok(set("ticket.nudged", Rule{Also: []string{"duty", "user:2"}}))
		w.tell("ticket.nudged", false, 1)
		told("[1 2 3]")
		w.tell("ticket.nudged", false) // names nobody itself
		told("[2 3]")
		w.ok(set("ticket.nudged", Rule{Also: []string{"duty"}, Only: true}))
		w.tell("ticket.nudged", false, 1)
		told("[3]")
		if err := set("ticket.clock_missed", Rule{Also: []string{"duty"}, Only: true}); err == nil {
			t.Error("whoever answers for a deadline can be left untold")
		}
		if err := set("ticket.nudged", Rule{Also: []string{"everybody"}}); err == nil {
			t.Error("anybody can be named")
		}
		if c := w.s.line(t, "ticket.clock_reminded").class(false, Insist); c != Insist {
			t.Errorf("a step that insists is %s", c)
		}
	})
}

func (s *Service) line(t *testing.T, kind string) Line {
	t.Helper()
	tb, err := s.Table(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tb.Line(kind)
}
