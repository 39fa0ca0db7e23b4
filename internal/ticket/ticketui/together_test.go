package ticketui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// Deferral, as people click it: asked for, shown, taken back, agreed to.
func TestDeferralPages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress)
		at := "/tickets/" + x.Number
		s.get(t, "kefu", at).want(200, "申请延期", "安排内部沟通会", "添加关联", "合并工单")
		s.get(t, "kefu", at+"/deferral", htmx...).want(200, "<dialog", "申请延至", "!<html")
		s.get(t, "kefu", at+"/deferral").want(200, "<html", "申请延至")
		s.get(t, "kefu2", at+"/deferral", htmx...).want(403)
		s.post(t, "kefu", at+"/deferral", htmx, "due", "2020-01-01T08:00", "reason", "等待备件").want(422, "请选择晚于当前期限", "等待备件")
		later := s.Clock.Now().In(web.Shanghai).Add(90 * time.Hour).Format("2006-01-02T15:04")
		s.post(t, "kefu", at+"/deferral", htmx, "due", later, "reason", "等待备件").want(200, "延期待批")
		s.get(t, "kefu", at).want(200, "延期待批", "撤回申请", "等待备件", "!/deferral\" hx-get")
		s.get(t, "kefu", "/tickets").want(200, "延期待批")
		s.post(t, "kefu", at+"/deferral/withdrawal", nil).want(303)
		s.get(t, "kefu", at).want(200, "!延期待批")
		s.post(t, "kefu", at+"/deferral", nil, "due", later, "reason", "等待厂家").want(303)
		x, err := s.Get(s.Ctx, ticket.View(s.As("kefu")), x.ID)
		s.OK(err)
		_, err = s.Approvals.Approve(s.Ctx, s.As("zhuguan"), x.DeferralID, "同意")
		s.OK(err)
		s.get(t, "kefu", at).want(200, "已延期", "已批准")
		s.get(t, "kefu", at+"/clocks").want(200, "为什么会晚", "申请延期并获批准", "等待厂家")
	})
}

// Two tickets become one and two again; the old number leads to the survivor.
func TestMergePages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		a := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Title, in.Description = "打印机坏了", "三楼打印机卡纸" })
		b := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Title = "打印机又坏了" })
		_, err := s.Note(s.Ctx, s.As("kefu"), a.ID, "客户很着急", nil, nil)
		s.OK(err)
		at := "/tickets/" + a.Number
		s.get(t, "kefu", at+"/merge", htmx...).want(200, "<dialog", b.Number, "打印机又坏了")
		s.get(t, "kefu", at+"/merge?number="+b.Number).want(200, "三楼打印机卡纸", "确认合并", "30 天内可以撤销")
		s.get(t, "kefu", at+"/merge?number=TASK0", htmx...).want(200, "没有找到工单 TASK0")
		s.get(t, "gong", at+"/merge").want(403)
		s.get(t, "jizhu", at+"/merge").want(404)
		s.post(t, "kefu", at+"/merge", nil, "with", b.Number, "keep", b.Number, "reason", "同一台").want(303)
		if to := s.get(t, "kefu", at); to.status != 303 || !strings.Contains(to.header.Get("Location"), b.Number) {
			t.Errorf("the old number leads to %d %s", to.status, to.header.Get("Location"))
		}
		s.get(t, "kefu", "/tickets/"+b.Number).want(200, "已并入的工单", "客户很着急", "原 "+a.Number, "三楼打印机卡纸", "撤销合并")
		s.get(t, "kefu", at+"/moves/unmerge", htmx...).want(200, "写在保留工单上的内容留在那里")
		s.post(t, "kefu", at+"/moves/unmerge", nil).want(303)
		s.get(t, "kefu", at).want(200, "客户很着急")
		s.get(t, "kefu", "/tickets/"+b.Number).want(200, "!客户很着急")
	})
}

// A link both ways, and a message that becomes a ticket.
func TestRelationPages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		a, b := s.To(ticket.InProgress), s.To(ticket.InProgress)
		secret := s.foreign()
		at := "/tickets/" + a.Number
		s.get(t, "kefu2", at+"/others?q="+b.Number).want(200, b.Number)
		s.get(t, "gong", at+"/others").want(404)
		s.post(t, "kefu2", at+"/links", htmx, "kind", "caused_by", "other_text", secret.Number).want(422, "没有找到工单")
		s.post(t, "kefu2", at+"/links", htmx, "kind", "caused_by", "other", fmt.Sprint(b.ID)).want(200, "由它引起")
		s.get(t, "kefu2", "/tickets/"+b.Number).want(200, "由本工单引起", a.Number)
		s.post(t, "kefu2", "/tickets/"+b.Number+"/links/removal", htmx, "kind", "caused_by", "number", a.Number).want(200)

		_, err := s.Note(s.Ctx, s.As("kefu"), a.ID, "客户还要补开一张发票。金额见附件", nil, nil)
		s.OK(err)
		es, _, err := journal.Of(s.Ctx, s.D.Read(), journal.Place{Ticket: a.ID}, journal.Page{Kinds: []journal.Kind{journal.Note}, Limit: 1})
		s.OK(err)
		cut := fmt.Sprintf("/entries/%d/split", es[0].ID)
		s.get(t, "kefu", at).want(200, cut)
		s.get(t, "kefu", cut, htmx...).want(200, `value="客户还要补开一张发票"`, "金额见附件")
		s.get(t, "gong", cut).want(404)
		s.post(t, "kefu", cut, nil, "title", "", "type", "consultation", "urgency", "normal").want(422, "请填写标题")
		s.post(t, "kefu", cut, nil, "title", "补开发票", "description", "x", "type", "consultation", "urgency", "normal").want(303)
		s.get(t, "kefu", at).want(200, "已拆分为", "拆分出", "!"+cut)
	})
}

// Departments agree before the answer goes out.
func TestConferencePages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress)
		at := "/tickets/" + x.Number
		s.get(t, "gong", at).want(404)
		s.get(t, "kefu", at+"/conferences", htmx...).want(200, "参会人", "何俊杰（技术支持部）")
		s.post(t, "kefu", at+"/conferences", htmx, "subject", "批次问题").want(422, "请选择时间", "至少邀请一位", "批次问题")
		when := s.Clock.Now().In(web.Shanghai).Add(30 * time.Hour).Format("2006-01-02T15:04")
		s.post(t, "kefu", at+"/conferences", htmx, "subject", "批次问题", "starts_at", when, "people", fmt.Sprint(s.User["gong"]), "needed", "1").want(200, "待开沟通会")
		s.get(t, "gong", at).want(200, "批次问题", "填写会议纪要")
		s.post(t, "kefu", at+"/moves/request_confirmation", htmx, "solution", "已更换").want(409, "先开内部沟通会")
		ms, err := ticket.Conferences(s.Ctx, s.D.Read(), x.ID)
		s.OK(err)
		one := fmt.Sprintf("%s/conferences/%d", at, ms[0].ID)
		s.get(t, "kefu", one, htmx...).want(200, "取消会议", "保存并通知")
		s.get(t, "gong", one+"/minutes", htmx...).want(200, "统一答复")
		s.post(t, "gong", one+"/minutes", htmx, "answer", "", "minutes", "批次 A").want(422, "请填写统一答复", "批次 A")
		s.post(t, "gong", one+"/minutes", nil, "answer", "周五前免费更换").want(303)
		s.get(t, "kefu", at).want(200, "周五前免费更换", "放入回复", "!待开沟通会")
		s.get(t, "kefu", at+"/moves/request_confirmation", htmx...).want(200, "周五前免费更换")
		s.get(t, "kefu", one+"0").want(404)
	})
}

// TKT-11: a part shows what it needs of its main ticket, and no more.
func TestPartPages(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Title = "客户的整件事" })
		due := s.Clock.Now().In(web.Shanghai).Add(5 * time.Hour).Format("2006-01-02T15:04")
		s.post(t, "kefu", "/tickets/"+x.Number+"/moves/request_help", nil, "department", fmt.Sprint(s.Dept["技术支持部"]), "title", "检测主板", "body", "请检测 A-17 的主板", "due", due).want(303)
		cs, err := s.Children(s.Ctx, x.ID)
		s.OK(err)
		s.get(t, "jizhu", "/tickets/"+cs[0].Number).want(200, x.Number, "主责人", "林晓雯", "请检测 A-17 的主板", "!客户的整件事")
		_, err = s.Note(s.Ctx, s.As("jizhu"), cs[0].ID, "主板已送检", nil, nil)
		s.OK(err)
		s.get(t, "kefu", "/tickets/"+x.Number).want(200, "吴涛：主板已送检")
	})
}

// What may have been registered already is shown while it is written.
func TestAlikePage(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		x := s.Register(func(in *ticket.RegisterInput) { in.Title = "打印机无法联网" })
		s.Events() // indexed
		s.post(t, "kefu", "/tickets/new/similar", htmx, "who", "known", "customer", fmt.Sprint(s.Cust.ID), "title", "打印机不能联网").want(200, x.Number, "同一客户")
		s.post(t, "kefu", "/tickets/new/similar", htmx, "title", "申请开具发票").want(200, "!"+x.Number)
	})
}
