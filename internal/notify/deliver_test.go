package notify

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/mail/mailtest"
)

func (w *world) mail(p mailtest.Plan) (*mailtest.Server, int64) {
	w.Helper()
	p.TLS = true
	m := mailtest.New(w, p)
	w.s.out.Roots = m.Roots
	return m, w.channel(Mail, map[string]string{"host": m.Host, "port": strconv.Itoa(m.Port), "from": "crm@example.cn", "from_name": "闭环客服"}, map[string]string{"password": ""})
}

func subjects(m *mailtest.Server) (out []string) {
	dec := mime.WordDecoder{}
	for _, x := range m.Mails() {
		s, _ := dec.DecodeHeader(x.Header.Get("Subject"))
		out = append(out, x.To+" "+s)
	}
	return out
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

// NTF-1, TKT-6: who is given a ticket is told at once, in his language, with a link
// that leads there; nobody without an address, nobody twice.
func TestMailAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.tell("ticket.assigned", false, 1) // before there is a way
		m, _ := w.mail(mailtest.Plan{})
		w.tell("ticket.assigned", false, 1, 2, 3)
		w.tell("ticket.rated", false, 1) // not proposed for mail
		w.settle()
		want(t, subjects(m), "he@example.cn TASK20261122001 打印机无法开机：分派给 何（客服部）", "lin@example.cn TASK20261122001 打印机无法开机: assigned to 何 (客服部)")
		w.wantLog("何 mail sent", "Lin mail sent")
		if n := w.notice(2); !strings.Contains(m.Mails()[1].Raw, fmt.Sprintf("https://crm.example.cn/notifications/%d", n.ID)) {
			t.Errorf("no link in %s", m.Mails()[1].Raw)
		} else if link, err := w.s.Open(w.ctx, 2, n.ID); err != nil || link != "/tickets/TASK20261122001" || !w.notice(2).Read {
			t.Errorf("%q, %v", link, err)
		} else if _, err := w.s.Open(w.ctx, 1, n.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's notice opens: %v", err)
		}
		// The listener may see a fact again; the job may run again.
		w.ok(w.s.Sweep(w.ctx))
		w.settle()
		if n := len(m.Mails()); n != 2 {
			t.Errorf("%d mails", n)
		}
	})
}

// While nothing is set up nothing is planned, and nothing is sent when a way is set
// up later.
func TestNothingConfigured(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.tell("ticket.clock_escalated", true, 1, 2)
		w.later(time.Hour)
		w.wantLog()
		if n := w.notice(1); n.Class != Insist || n.Read {
			t.Errorf("%+v", n)
		}
	})
}

// NTF-2: a server that is away, refuses, or hangs up in the middle.
func TestTrouble(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, id := w.mail(mailtest.Plan{Reply: map[string]string{"CONNECT": "421 4.3.2 closing"}})
		w.tell("ticket.assigned", false, 1, 2)
		w.settle()
		w.wantLog("何 mail waiting retry", "Lin mail waiting") // the second was not even tried
		c, err := w.s.Channel(w.ctx, w.admin, id)
		if err != nil || c.Trouble == "" || !c.PausedUntil.After(w.c.Now()) {
			t.Fatalf("%+v, %v", c, err)
		}
		sessions := m.Sessions()
		w.ok(w.s.Sweep(w.ctx))
		w.settle()
		if m.Sessions() != sessions {
			t.Error("tried although the way is paused")
		}
		m.Set(func(p *mailtest.Plan) { p.Reply = map[string]string{"RCPT": "550 5.1.1 no such user"} })
		w.later(time.Minute)
		w.wantLog("何 mail failed address", "Lin mail failed address")
		if c, _ := w.s.Channel(w.ctx, w.admin, id); c.PausedUntil.After(w.c.Now()) {
			t.Errorf("one bad address stops everybody: %+v", c)
		}
		m.Set(func(p *mailtest.Plan) { p.Reply = nil })
		ds, err := w.s.Log(w.ctx, w.admin, LogFilter{State: "failed"})
		if err != nil || len(ds) != 2 || !strings.Contains(ds[0].LastError, "no such user") {
			t.Fatalf("%+v, %v", ds, err)
		}
		w.ok(w.s.Retry(w.ctx, w.admin, ds[1].ID))
		w.settle()
		w.wantLog("何 mail sent", "Lin mail failed address")
		if err := w.s.Retry(w.ctx, w.admin, ds[1].ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("what was sent is sent again: %v", err)
		}
		// Nobody knows whether it arrived: once more with the same id, then no more.
		m.Set(func(p *mailtest.Plan) { p.DropAfterData = true })
		w.tell("ticket.assigned", false, 1)
		w.settle()
		w.wantLog("何 mail sent", "Lin mail failed address", "何 mail waiting retry doubtful")
		w.later(time.Hour)
		w.wantLog("何 mail sent", "Lin mail failed address", "何 mail uncertain unsure doubtful")
		w.later(48 * time.Hour)
		ms := m.Mails()
		if len(ms) != 3 || ms[1].Header.Get("Message-Id") != ms[2].Header.Get("Message-Id") || ms[0].Header.Get("Message-Id") == ms[1].Header.Get("Message-Id") {
			t.Errorf("%d mails", len(ms))
		}
	})
}

// A passing trouble of one message does not hold the others, and ends.
func TestAttempts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, _ := w.mail(mailtest.Plan{Reply: map[string]string{"RCPT": "452 4.2.2 mailbox full"}})
		w.tell("ticket.assigned", false, 1)
		w.settle()
		for range 30 {
			w.later(30 * time.Minute)
		}
		w.wantLog("何 mail failed later")
		if n := m.Sessions(); n != maxAttempts {
			t.Errorf("%d attempts", n)
		}
	})
}

// NTF-2: the node dies between sending and writing it down, and two nodes at the
// same rows.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, id := w.mail(mailtest.Plan{})
		w.tell("ticket.assigned", false, 1)
		crash := func() {
			g, _, err := w.s.claim(w.ctx, id)
			if err != nil || g == nil || len(g.pieces) != 1 {
				t.Fatalf("%+v, %v", g, err)
			}
			if other, _, err := w.s.claim(w.ctx, id); err != nil || other != nil {
				t.Fatalf("claimed twice: %+v, %v", other, err)
			}
			if _, err := w.s.sendGroup(w.ctx, g); err != nil {
				t.Fatal(err)
			}
		}
		crash()
		w.later(time.Minute)
		if n := len(m.Mails()); n != 1 {
			t.Errorf("%d mails while the lease holds", n)
		}
		w.c.Advance(2 * time.Minute)
		crash() // the second time, too
		w.later(time.Hour)
		w.later(time.Hour)
		w.wantLog("何 mail uncertain unsure doubtful")
		if ms := m.Mails(); len(ms) != 2 || ms[0].Header.Get("Message-Id") != ms[1].Header.Get("Message-Id") {
			t.Errorf("%d mails", len(ms))
		}
	})
}

// A dead worker that comes back cannot undo what its successor wrote.
func TestLateWorker(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, id := w.mail(mailtest.Plan{})
		w.tell("ticket.assigned", false, 1)
		g, _, err := w.s.claim(w.ctx, id)
		w.ok(err)
		w.later(5 * time.Minute)
		w.wantLog("何 mail sent doubtful")
		w.ok(w.s.settle(w.ctx, g, "", outbound.Failed(outbound.Refused, "", errors.New("late"))))
		w.wantLog("何 mail sent doubtful")
	})
}

// Quiet hours and digests hold back what is normal, in one message; what was read
// meanwhile is not sent, and urgent things do not wait.
func TestQuietAndDigest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, _ := w.mail(mailtest.Plan{})
		w.choose(1, func(c *Choices) { c.QuietFrom, c.QuietTo = 11*60, 13*60 }) // it is 12:00
		w.choose(2, func(c *Choices) { c.Digest = Daily; c.DigestAt = 9 * 60 })
		w.tell("ticket.assigned", false, 1, 2)
		w.tell("ticket.reassigned", false, 1, 2)
		w.settle()
		w.wantLog("何 mail waiting quiet", "Lin mail waiting digest", "何 mail waiting quiet", "Lin mail waiting digest")
		w.tell("ticket.assigned", true, 1)
		w.settle()
		want(t, subjects(m), "he@example.cn 【紧急】TASK20261122001 打印机无法开机：分派给 何（客服部）")
		w.later(61 * time.Minute)
		if got := subjects(m); len(got) != 2 || got[1] != "he@example.cn 您有 2 条新通知" {
			t.Errorf("%q", got)
		}
		w.tell("ticket.reopened", false, 2)
		w.ok(w.s.MarkRead(w.ctx, 2, w.notice(2).ID))
		w.later(20 * time.Hour) // 9:01 of the next day
		if got := subjects(m); len(got) != 3 || got[2] != "lin@example.cn 2 new notifications" {
			t.Errorf("%q", got)
		}
		w.wantLog("何 mail sent", "Lin mail sent", "何 mail sent", "Lin mail sent", "何 mail sent", "Lin mail skipped read")
	})
}

func TestQuietUntil(t *testing.T) {
	t.Parallel()
	clock := func(s string) time.Time {
		x, err := time.Parse("2006-01-02 15:04 -0700", s+" +0800")
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		from, to  int
		now, want string
	}{
		{-1, -1, "2026-11-22 23:00", ""},
		{22 * 60, 8 * 60, "2026-11-22 21:59", ""},
		{22 * 60, 8 * 60, "2026-11-22 22:00", "2026-11-23 08:00"},
		{22 * 60, 8 * 60, "2026-11-23 07:59", "2026-11-23 08:00"},
		{22 * 60, 8 * 60, "2026-11-23 08:00", ""},
		{12 * 60, 13*60 + 30, "2026-11-22 12:00", "2026-11-22 13:30"},
		{12 * 60, 13*60 + 30, "2026-11-22 13:30", ""},
	} {
		got := Choices{QuietFrom: c.from, QuietTo: c.to}.quietUntil(clock(c.now))
		if c.want == "" && !got.IsZero() || c.want != "" && !got.Equal(clock(c.want)) {
			t.Errorf("%d-%d at %s: %v, want %s", c.from, c.to, c.now, got, c.want)
		}
	}
}

// What a person chooses holds within what the administrator allows.
func TestChoices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, _ := w.mail(mailtest.Plan{})
		w.choose(1, func(c *Choices) {
			c.Picks["ticket.assigned"] = map[string]bool{Mail: false}
			c.Picks["ticket.rated"] = map[string]bool{Mail: true}
			c.Addresses[Mail] = "he@home.example.cn"
		})
		w.tell("ticket.assigned", false, 1)
		w.tell("ticket.rated", false, 1)
		w.settle()
		if got := subjects(m); len(got) != 1 || !strings.HasPrefix(got[0], "he@home.example.cn ") {
			t.Fatalf("%q", got)
		}
		set := func(kind string, r Rule) error {
			tb, err := w.s.Table(w.ctx)
			w.ok(err)
			return w.s.SetRule(w.ctx, w.admin, kind, r, tb.Version)
		}
		w.ok(set("ticket.assigned", Rule{Ways: map[string]Mode{Mail: Must}}))
		w.ok(set("ticket.rated", Rule{Ways: map[string]Mode{Mail: Never}}))
		w.tell("ticket.assigned", false, 1)
		w.tell("ticket.rated", false, 1)
		w.settle()
		if n := len(m.Mails()); n != 2 {
			t.Errorf("%d mails", n)
		}
		if err := set("ticket.assigned", Rule{Off: true}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a notice about deadlines can be switched off: %v", err)
		}
		w.ok(set("ticket.rated", Rule{Off: true}))
		before := w.notice(1).ID
		w.tell("ticket.rated", false, 1)
		if w.notice(1).ID != before {
			t.Error("what is switched off is told")
		}
		if err := w.s.SetRule(w.ctx, authz.Actor{Kind: authz.User, ID: 1}, "ticket.rated", Rule{}, 0); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%v", err)
		}
		if err := w.s.SetRule(w.ctx, w.admin, "ticket.rated", Rule{}, 0); !fault.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
	})
}

// The settings complain at their fields; the password is not to be had back.
func TestChannelSettings(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.s.SaveChannel(w.ctx, w.admin, Channel{Kind: Mail, Settings: map[string]string{"port": "99999", "from": "x", "tls": "ssl"}}, nil)
		f, ok := fault.As(err)
		if !ok {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, x := range f.Fields {
			got[x.Field] = x.Key
		}
		if len(got) != 4 || got["host"] != "notify.channel.required" || got["port"] != "notify.channel.port" || got["from"] != "notify.channel.email" || got["tls"] != "notify.channel.choice" {
			t.Errorf("%v", got)
		}
		m, id := w.mail(mailtest.Plan{User: "crm", Password: "s3cret"})
		tried, err := w.s.Test(w.ctx, w.admin, id)
		if err != nil || tried.OK || tried.Kind != outbound.Settings {
			t.Fatalf("%+v, %v", tried, err)
		}
		c, err := w.s.Channel(w.ctx, w.admin, id)
		w.ok(err)
		w.c.Advance(time.Second)
		c.Settings["user"] = "crm"
		_, err = w.s.SaveChannel(w.ctx, w.admin, c, map[string]string{"password": "s3cret"})
		w.ok(err)
		c, err = w.s.Channel(w.ctx, w.admin, id)
		w.ok(err)
		_, err = w.s.SaveChannel(w.ctx, w.admin, c, map[string]string{"password": ""}) // left empty: kept
		w.ok(err)
		if tried, err := w.s.Test(w.ctx, w.admin, id); err != nil || !tried.OK || tried.To != "admin@example.cn" || !strings.Contains(tried.Answer, "1234") {
			t.Errorf("%+v, %v", tried, err)
		}
		if n := len(m.Mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
		var leaks int
		w.ok(w.d.Read().QueryRow(w.ctx, `SELECT (SELECT COUNT(*) FROM events WHERE data LIKE '%s3cret%') + (SELECT COUNT(*) FROM notice_channels WHERE settings LIKE '%s3cret%')`).Scan(&leaks))
		if leaks != 0 {
			t.Error("the password lies open")
		}
		w.wantLog("管理员 mail failed settings", "管理员 mail sent")
		w.ok(w.s.RemoveChannel(w.ctx, w.admin, id))
		w.tell("ticket.assigned", false, 1)
		w.settle()
		w.wantLog("管理员 mail failed settings", "管理员 mail sent")
	})
}

// Switched off, a way sends nothing of what waits for it.
func TestSwitchedOff(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, id := w.mail(mailtest.Plan{})
		w.tell("ticket.assigned", false, 1)
		c, err := w.s.Channel(w.ctx, w.admin, id)
		w.ok(err)
		c.Enabled = false
		_, err = w.s.SaveChannel(w.ctx, w.admin, c, nil)
		w.ok(err)
		w.settle()
		w.wantLog("何 mail skipped off")
		if n := len(m.Mails()); n != 0 {
			t.Errorf("%d mails", n)
		}
	})
}

// Until somebody says that he knows: again and again, but not for ever.
func TestInsist(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, _ := w.mail(mailtest.Plan{})
		w.tell("ticket.clock_escalated", false, 1, 2)
		w.settle()
		w.ok(w.s.MarkRead(w.ctx, 1, 0)) // "all as read" is no acknowledgement
		if w.notice(1).Read {
			t.Fatal("acknowledged in passing")
		}
		w.later(11 * time.Minute)
		if n := len(m.Mails()); n != 4 {
			t.Fatalf("%d mails after the first round", n)
		}
		w.ok(w.s.MarkRead(w.ctx, 1, w.notice(1).ID))
		for range 20 {
			w.later(16 * time.Minute)
		}
		if n := len(m.Mails()); n != 4+3 { // three more rounds for the other
			t.Errorf("%d mails: %q", n, w.log())
		}
	})
}

// The test that the claim looks at the row and not only at the clock.
func TestDueOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, id := w.mail(mailtest.Plan{})
		for range 5 {
			w.tell("ticket.assigned", false, 1, 2)
		}
		n := 0
		for {
			g, _, err := w.s.claim(w.ctx, id)
			w.ok(err)
			if g == nil {
				break
			}
			n++
			w.ok(w.s.settle(w.ctx, g, "", nil))
		}
		if n != 10 {
			t.Errorf("%d messages", n)
		}
		w.ok(w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO notice_deliveries (notice_id, user_id, channel, through, next_at, created_at) VALUES (1, 1, 'mail', $1, 1, 1) ON CONFLICT (notice_id, user_id, channel, round) DO NOTHING`, id)
			return err
		}))
		if g, _, err := w.s.claim(w.ctx, id); err != nil || g != nil {
			t.Errorf("sent twice: %+v, %v", g, err)
		}
	})
}
