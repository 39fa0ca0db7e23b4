package app_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/imap/imaptest"
	"bihuan/internal/mailbox"
	"bihuan/internal/outbound/mail/mailtest"
	"bihuan/internal/ticket"
)

// post is a mail as a client writes it.
func post(from, subject, id, more, body string) string {
	return "From: " + from + "\r\nTo: help@example.com\r\nSubject: " + subject + "\r\nMessage-ID: <" + id + ">\r\nDate: Thu, 19 Nov 2026 09:00:00 +0800\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" + more + "\r\n" + strings.ReplaceAll(body, "\n", "\r\n") + "\r\n"
}

type mailHouse struct {
	*apptest.House
	t    *testing.T
	imap *imaptest.Server
	smtp *mailtest.Server
	box  int64
	now  *clock.Fake
}

func newMailHouse(t *testing.T, h *apptest.House) *mailHouse {
	t.Helper()
	m := &mailHouse{House: h, t: t, imap: imaptest.New(t), smtp: mailtest.New(t, mailtest.Plan{User: imaptest.User, Password: imaptest.Password}), now: h.DB.Clock().(*clock.Fake)}
	m.box = m.add("售后", "help@example.com", m.imap)
	return m
}

func (m *mailHouse) add(name, address string, s *imaptest.Server) int64 {
	m.t.Helper()
	id, err := m.Mails.Save(context.Background(), m.Actor(authz.RoleAdmin), mailbox.Box{Name: name, Address: address, Active: true, Type: "after_sales", Urgency: "normal", DepartmentID: m.Departments["售后部"],
		Settings: mailbox.Settings{Host: s.Host, Port: s.Port, TLS: "none", User: imaptest.User, Auth: "password", Answer: true, SMTPHost: m.smtp.Host, SMTPPort: m.smtp.Port, SMTPTLS: "none", FromName: "闭环售后"}}, mailbox.Secrets{Password: imaptest.Password})
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// step fetches, works and sends what there is.
func (m *mailHouse) step() {
	m.t.Helper()
	ctx := context.Background()
	for _, err := range []error{m.Mails.Fetch(ctx, m.box), m.Mails.Work(ctx), m.Follower.Drain(ctx), m.Mails.SendDue(ctx)} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *mailHouse) count(q string, args ...any) (n int) {
	m.t.Helper()
	if err := m.DB.Read().QueryRow(context.Background(), q, args...).Scan(&n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

func (m *mailHouse) tickets() []ticket.Ticket {
	m.t.Helper()
	rows, err := m.DB.Read().Query(context.Background(), `SELECT id FROM tickets ORDER BY id`)
	if err != nil {
		m.t.Fatal(err)
	}
	defer rows.Close()
	var out []ticket.Ticket
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			m.t.Fatal(err)
		}
		t, err := m.Tickets.Get(context.Background(), authz.For(authz.System("test"), ticket.PermView), id)
		if err != nil {
			m.t.Fatal(err)
		}
		out = append(out, t)
	}
	return out
}

func (m *mailHouse) reasons() (out string) {
	rows, err := m.DB.Read().Query(context.Background(), `SELECT reason FROM mails WHERE state = 'quarantine' ORDER BY id`)
	if err != nil {
		m.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r string
		_ = rows.Scan(&r)
		out += r + " "
	}
	return strings.TrimSpace(out)
}

// CHN-1: a customer's mail becomes a ticket, the answer arrives, his answer joins
// it; the same mail has one effect; strangers stay outside.
func TestMailInAndOut(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		m := newMailHouse(t, h)
		ctx := context.Background()
		first := post("=?gb2312?B?1cXI/Q==?= <zhang@kehu.cn>", "=?utf-8?B?6Lev55Sx5Zmo5pat572R?=", "a1@kehu.cn", "", "路由器今天断网了，请处理。\n\n发自我的iPhone")
		m.imap.Put(first)
		m.step()
		ts := m.tickets()
		if len(ts) != 1 || ts[0].Title != "路由器断网" || ts[0].Description != "路由器今天断网了，请处理。" || ts[0].Channel != "email" || ts[0].CustomerName != "张三" || ts[0].Type != "after_sales" {
			t.Fatalf("%+v", ts)
		}
		if n := m.imap.Unread(); n != 0 {
			t.Errorf("%d mails are not marked on the server", n)
		}
		// The same once more: in the folder, under new numbers, by another mailbox.
		m.imap.Put(first)
		m.step()
		m.imap.Rebuild(first)
		m.step()
		other := imaptest.New(t)
		other.Put("Received: from elsewhere\r\n" + first)
		second := m.add("第二", "second@example.com", other)
		if err := m.Mails.Fetch(ctx, second); err != nil {
			t.Fatal(err)
		}
		m.step()
		if n := len(m.tickets()); n != 1 {
			t.Fatalf("one mail, %d tickets", n)
		}
		// A stranger with the number of the ticket; then the customer himself.
		number := ts[0].Number
		m.imap.Put(post("boese@fremd.cn", "Re: ["+number+"] x", "b1@fremd.cn", "", "我也要"))
		m.imap.Put(post("boese@fremd.cn", "Re: x", "b2@fremd.cn", "In-Reply-To: <a1@kehu.cn>\r\n", "我也要这个"))
		m.imap.Put(post("zhang@kehu.cn", "Re: [#"+number+"] 路由器断网", "a2@kehu.cn", "", "序列号 SN-1\n\n在 2026-11-20 10:02:33，\"客服\" <help@example.com> 写道：\n> 请提供序列号"))
		m.step()
		ts = m.tickets()
		if len(ts) != 3 {
			t.Fatalf("%d tickets, want 3: the strangers' have their own", len(ts))
		}
		if n := m.count(`SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind = 'customer' AND body = '序列号 SN-1'`, ts[0].ID); n != 1 {
			t.Errorf("%d entries of the customer's answer", n)
		}
		// Somebody answers; the mail leaves with what programs thread by.
		engineer := m.Actor(authz.RoleEngineer)
		if ts[0].AssigneeID != engineer.ID {
			if _, err := m.Tickets.Do(ctx, m.Actor(authz.RoleSupervisor), ts[0].ID, ticket.Assign, ticket.Input{AssigneeID: engineer.ID}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Tickets.Reply(ctx, engineer, ts[0].ID, "工程师明天上午上门。", nil); err != nil {
			t.Fatal(err)
		}
		m.step()
		m.step()
		sent := m.smtp.Mails()
		if len(sent) != 1 || sent[0].To != "zhang@kehu.cn" || !strings.Contains(sent[0].Header.Get("References"), "<a1@kehu.cn>") || sent[0].Header.Get("In-Reply-To") != "<a2@kehu.cn>" || sent[0].Header.Get("Auto-Submitted") != "" {
			t.Fatalf("%d sent: %+v", len(sent), sent)
		}
		if n := m.count(`SELECT COUNT(*) FROM mail_out WHERE state = 'sent'`) + m.count(`SELECT COUNT(*) FROM deliveries WHERE state = 'told'`); n != 2 {
			t.Errorf("the answer is not shown as sent: %d", n)
		}
		id := strings.Trim(sent[0].Header.Get("Message-ID"), "<>")
		// His colleague answers the mail he was shown: it is signed by us.
		m.imap.Put(post("李 <li@kehu.cn>", "Re: 别的", "c1@kehu.cn", "In-Reply-To: <"+strings.ToUpper(id)+">\r\n", "好的，明天见"))
		forged := "t." + fmt.Sprint(ts[0].ID) + ".abcdefghabcdefgh.aaaaaaaaaaaaaaaa@example.com"
		m.imap.Put(post("boese@fremd.cn", "Re: y", "b3@fremd.cn", "References: <"+forged+">\r\n", "让我进去"))
		m.step()
		if n := m.count(`SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind = 'customer'`, ts[0].ID); n != 2 {
			t.Errorf("%d messages of the customer, want 2", n)
		}
		if n := m.count(`SELECT COUNT(*) FROM mails WHERE ticket_id = $1 AND other_topic = 1`, ts[0].ID); n != 1 {
			t.Errorf("%d answers under a new subject, want 1", n)
		}
		// Nobody is there; and the answer comes back.
		m.imap.Put(post("zhang@kehu.cn", "自动回复: 路由器断网", "v1@kehu.cn", "In-Reply-To: <"+id+">\r\nAuto-Submitted: auto-replied\r\n", "本人休假"))
		m.imap.Put("From: MAILER-DAEMON@kehu.cn\r\nReturn-Path: <>\r\nSubject: failed\r\nMessage-ID: <d1@kehu.cn>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; zhang@kehu.cn\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + id + ">\r\n\r\n--b--\r\n")
		before := m.tickets()[0]
		m.step()
		after := m.tickets()[0]
		if m.count(`SELECT COUNT(*) FROM mail_out WHERE state = 'bounced'`) != 1 || m.count(`SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind = 'customer'`, ts[0].ID) != 2 || !after.CustomerAt.Equal(before.CustomerAt) {
			t.Error("a bounce is not marked, or a holiday notice counted as an answer")
		}
		// What no person wrote, and what cannot be used, waits with its reason.
		m.imap.Put(post("news@shop.cn", "促销", "n1@shop.cn", "List-Id: <x.shop.cn>\r\n", "全场五折"))
		m.imap.Put(post("help@example.com", "circle", "o1@example.com", "", "hello"))
		m.imap.Put("Subject: nobody\r\n\r\nhello")
		m.imap.Put(post("x@y.cn", "自动回复: 您好", "v2@y.cn", "Auto-Submitted: auto-replied\r\n", "休假"))
		n := len(m.tickets())
		m.step()
		if got := m.reasons(); got != "list own sender vacation" || len(m.tickets()) != n {
			t.Errorf("in quarantine: %q, %d tickets", got, len(m.tickets())-n)
		}
		if n := m.count(`SELECT COUNT(*) FROM mails WHERE state = 'stored'`); n != 0 {
			t.Errorf("%d mails are left", n)
		}
	})
}

// A mail that fails is tried again, then given to a person; the next one is not
// held up. What a person decides is kept, and what was discarded does not return.
func TestMailQuarantine(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		m := newMailHouse(t, h)
		ctx := context.Background()
		admin := m.Actor(authz.RoleAdmin)
		spam := post("news@shop.cn", "促销", "n1@shop.cn", "List-Id: <x.shop.cn>\r\n", "全场五折")
		m.imap.Put(spam)
		m.imap.Put(post("news@shop.cn", "报价", "n2@shop.cn", "List-Id: <x.shop.cn>\r\n", "请看我们的报价"))
		m.imap.Put(post("wang@kehu.cn", "求助", "w1@kehu.cn", "", "帮忙"))
		m.step()
		if len(m.tickets()) != 1 {
			t.Fatalf("%d tickets", len(m.tickets()))
		}
		held, _, err := m.Mails.Held(ctx, admin, 0, 10)
		if err != nil || len(held) != 2 {
			t.Fatalf("%d in quarantine, %v", len(held), err)
		}
		for _, path := range []string{"/admin/mailboxes", "/admin/mailboxes/new", fmt.Sprintf("/admin/mailboxes/%d", m.box), "/admin/mails", fmt.Sprintf("/mails/%d", held[0].ID)} {
			if w := m.Call("GET", path, "", m.Cookie(authz.RoleAdmin)); w.Code != 200 {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		if w := m.Call("GET", fmt.Sprintf("/mails/%d", held[0].ID), "", m.Cookie(authz.RoleAgent)); w.Code != 404 {
			t.Errorf("an agent sees a mail in quarantine: %d", w.Code)
		}
		discard := fmt.Sprintf("/admin/mails/%d/discard", held[1].ID)
		if w := m.Call("POST", discard, "reason=", m.Cookie(authz.RoleAdmin)); w.Code != 422 {
			t.Errorf("discarded without a reason: %d", w.Code)
		}
		if w := m.Call("POST", discard, url.Values{"reason": {"广告"}}.Encode(), m.Cookie(authz.RoleAdmin)); w.Code != 303 {
			t.Errorf("discard: %d %s", w.Code, w.Body)
		}
		if w := m.Call("POST", fmt.Sprintf("/admin/mails/%d/ticket", held[0].ID), "", m.Cookie(authz.RoleAdmin)); w.Code != 303 || len(m.tickets()) != 2 {
			t.Errorf("make a ticket: %d, %d tickets", w.Code, len(m.tickets()))
		}
		m.imap.Put(spam)
		m.step()
		if got := m.reasons(); got != "" {
			t.Errorf("a discarded mail came back: %s", got)
		}
		// Its source has rotted: the next one goes on.
		m.imap.Put(post("wang@kehu.cn", "坏", "w2@kehu.cn", "", "一"))
		if err := m.Mails.Fetch(ctx, m.box); err != nil {
			t.Fatal(err)
		}
		if err := m.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE mails SET file_id = 0 WHERE state = 'stored'`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		m.imap.Put(post("wang@kehu.cn", "好", "w3@kehu.cn", "", "二"))
		for range 6 {
			m.step()
			m.now.Advance(20 * time.Minute)
		}
		if got := m.reasons(); got != "failed" || len(m.tickets()) != 3 {
			t.Errorf("in quarantine %q, %d tickets", got, len(m.tickets()))
		}
	})
}

// Ten thousand mails in line: twenty a second are wanted.
func TestMailRate(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		m := newMailHouse(t, h)
		ctx := context.Background()
		const n = 200
		start := time.Now()
		for i := range n {
			if _, err := m.Mails.Take(ctx, m.box, 1, uint32(i+1), []byte(post(fmt.Sprintf("k%d@kehu.cn", i%40), fmt.Sprintf("问题 %d", i), fmt.Sprintf("r%d@kehu.cn", i), "", fmt.Sprintf("第 %d 个问题", i)))); err != nil {
				t.Fatal(err)
			}
		}
		stored := time.Since(start)
		if err := m.Mails.Work(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d mails: stored %.0f/s, stored and handled %.0f/s", n, n/stored.Seconds(), n/time.Since(start).Seconds())
		if got := len(m.tickets()); got != n {
			t.Errorf("%d tickets, quarantine %s", got, m.reasons())
		}
	})
}
