package ticketui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// What was sent can be taken back for a while, and is in the composer again.
func TestUndoSend(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.OK(s.SetWritingPreferences(s.Ctx, s.As("kefu"), ticket.DefaultPreferences()))
		x := s.To(ticket.InProgress)
		at := "/tickets/" + x.Number
		f, err := s.Files.Upload(s.Ctx, s.As("kefu"), "单号.txt", strings.NewReader("x"))
		s.OK(err)
		here := append([]string{"HX-Current-URL", "http://x" + at}, htmx...)
		a := s.post(t, "kefu", at+"/entries", here, "kind", "reply", "body_reply", "已发货", "file_reply", fmt.Sprint(f.ID), "body_note", "记一下").
			want(200, `hx-target="#outbox"`, "正在发送回复", "撤销", "!已发货", ">\n记一下<", `data-outgoing="`)
		id := between(a.body, `action="/outbox/`, "/")
		s.get(t, "kefu", "/tickets").want(200, "正在发送回复", x.Number)
		s.get(t, "zhuguan", at).want(200, "!正在发送回复")
		s.post(t, "zhuguan", "/outbox/"+id+"/withdrawal", here).want(404)
		s.post(t, "kefu", "/outbox/"+id+"/withdrawal", here, "composer_of", x.Number, "body_reply", "", "body_note", "记一下，再写两句").
			want(200, ">\n已发货<", "单号.txt", "记一下，再写两句", "!正在发送回复", `hx-target="#composer"`)
		s.post(t, "kefu", "/outbox/"+id+"/withdrawal", here).want(409, "已经发出")

		// Without the script, and sent at last.
		s.post(t, "kefu", at+"/entries", nil, "kind", "reply", "body_reply", "已发货", "file_reply", fmt.Sprint(f.ID)).want(303)
		a = s.get(t, "kefu", at).want(200, "正在发送回复", "撤销")
		id = between(a.body, `action="/outbox/`, "/")
		s.post(t, "kefu", "/outbox/"+id+"/withdrawal", nil).want(303)
		s.get(t, "kefu", at).want(200, ">\n已发货<", "单号.txt", "!正在发送回复")
		s.post(t, "kefu", at+"/entries", nil, "kind", "reply", "body_reply", "已发货", "file_reply", fmt.Sprint(f.ID), "then", "ask").want(303)
		s.get(t, "kefu", at).want(200, "正在发送，并等待客户补充", "处理中")
		s.Clock.Advance(10 * time.Second)
		_, err = s.SendDue(s.Ctx)
		s.OK(err)
		s.get(t, "kefu", at).want(200, "!正在发送", "待客户补充", "<p>已发货</p>", "单号.txt")
	})
}

// One button sends and moves; where it cannot, the form of the move opens with
// what was written.
func TestSendAndMove(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		c := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Type = "complaint" })
		at := "/tickets/" + c.Number
		s.get(t, "kefu", at).want(200, "发送并请客户确认", "发送并等待客户补充", "!受理并发送", "!领取并发送")
		s.post(t, "kefu", at+"/entries", htmx, "kind", "reply", "body_reply", "已赔偿", "then", "request_confirmation").
			want(422, "打开“请求客户确认”表单继续", ">\n已赔偿<", at+"/moves/request_confirmation?from=reply")
		s.get(t, "kefu", at+"/moves/request_confirmation?from=reply", htmx...).want(200, ">\n已赔偿<", `name="from" value="reply"`)
		s.post(t, "kefu", at+"/moves/request_confirmation", nil, "from", "reply", "solution", "已赔偿", "body", "已赔偿", "cause", "漏检", "corrective", "加检").want(303)
		if d, _ := s.Draft(s.Ctx, s.As("kefu"), c.ID, "reply"); d.Body != "" {
			t.Errorf("the draft of what was sent stays: %+v", d)
		}

		// Nobody's ticket: the reply takes it.
		for _, x := range []string{"kefu", "kefu2", "zhuguan"} {
			s.OK(s.Org.SetPresence(s.Ctx, s.As(x), s.User[x], org.Presence{Availability: org.Offline}))
		}
		s.Clock.Advance(10 * time.Second)
		free := s.Register(func(in *ticket.RegisterInput) { in.AssigneeID = 0; in.DepartmentID = s.Dept["客服部"] })
		if free.AssigneeID != 0 {
			t.Fatal("routing found somebody")
		}
		at = "/tickets/" + free.Number
		s.get(t, "kefu", at).want(200, "领取并发送", "发送时由您领取", "!仅发送，不领取")
		s.get(t, "zhuguan", at).want(200, "领取并发送", "仅发送，不领取")
		s.post(t, "kefu", at+"/entries", htmx, "kind", "reply", "body_reply", "我来处理", "then", "take").want(200, "我来处理")
		if now, _ := s.Get(s.Ctx, ticket.View(s.As("kefu")), free.ID); now.AssigneeID != s.User["kefu"] || now.State != ticket.InProgress {
			t.Errorf("%+v", now)
		}
	})
}

// Going on after sending follows what the person likes.
func TestAfterSend(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		one, two := s.To(ticket.InProgress), s.To(ticket.InProgress)
		s.get(t, "kefu", "/tickets/preferences", htmx...).want(200, "撤销发送的时间", "prefsdialog")
		s.post(t, "kefu", "/tickets/preferences", htmx, "undo", "31", "after", "next").want(422, "0 到 30")
		s.post(t, "kefu", "/tickets/preferences", htmx, "undo", "0", "after", "next").want(200)
		a := s.post(t, "kefu", "/tickets/"+one.Number+"/entries?view=mine&sort=newest", htmx, "kind", "reply", "body_reply", "x")
		b := s.post(t, "kefu", "/tickets/"+two.Number+"/entries?view=mine&sort=newest", htmx, "kind", "reply", "body_reply", "x")
		got := a.header.Get("HX-Redirect") + " " + b.header.Get("HX-Redirect")
		if !strings.Contains(got, "/tickets/"+one.Number) || strings.Contains(got, two.Number) || !strings.Contains(got, "/tickets?") {
			t.Errorf("%s (%s before %s)", got, two.Number, one.Number)
		}
		s.post(t, "kefu", "/tickets/preferences", nil, "undo", "0", "after", "list").want(303)
		if got := s.post(t, "kefu", "/tickets/"+one.Number+"/entries?view=mine", nil, "kind", "reply", "body_reply", "x").want(303).header.Get("Location"); got != "/tickets" {
			t.Error(got)
		}
	})
}

// Two editors of a shared draft: the slower sees both texts and chooses.
func TestSharedDraftPages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress)
		at := "/tickets/" + x.Number
		to := s.post(t, "kefu", at+"/entries", nil, "kind", "reply", "body_reply", "初稿", "then", "share").want(303).header.Get("Location")
		s.get(t, "kefu", to).want(200, ">\n初稿<", "请谁看")
		s.post(t, "kefu", at+"/shared", nil, "body", "初稿", "note", "看看").want(422, "请用 @ 写明", ">\n初稿<")
		s.post(t, "kefu", at+"/shared", nil, "body", "初稿", "note", "@何俊杰 看看第二段", "kind", "reply").want(303)
		a := s.get(t, "gong", at).want(200, "共享草稿", "林晓雯 起草", "@何俊杰 看看第二段")
		href := at + "/shared/" + between(a.body, at+"/shared/", `"`)
		s.get(t, "kefu2", href).want(404)
		s.get(t, "gong", href).want(200, ">\n初稿<", "第 1 版", "!放弃草稿", "!>发送<")
		s.get(t, "kefu", href).want(200, "放弃草稿", "发送并请客户确认")
		s.post(t, "gong", href, nil, "version", "1", "body", "核对过了").want(303)
		s.post(t, "kefu", href, nil, "version", "1", "body", "我改的").want(409, "何俊杰 刚刚改成了", "核对过了", ">\n我改的<", `name="version" value="2"`, "保存我的版本", "改用同事的版本")
		s.post(t, "kefu", href, nil, "version", "2", "body", "合起来", "then", "send-ask").want(303)
		s.get(t, "kefu", at).want(200, "<p>合起来</p>", "待客户补充", "!何俊杰 修改")
		s.get(t, "gong", href).want(404)
	})
}
