package browser

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app"
	"bihuan/internal/app/apptest"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/i18n"
	"bihuan/internal/importer"
	"bihuan/internal/inbound"
	"bihuan/internal/journal"
	"bihuan/internal/knowledge"
	"bihuan/internal/notify"
	"bihuan/internal/privacy"
	"bihuan/internal/process"
	"bihuan/internal/sheet"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
)

// made are the addresses of what has to be made before there is a page of it:
// changes of many customers, exports, segments, merges, deletions, disclosures
// and requests of persons. Among them are parts and downloads, which are no pages
// but must answer.
func made(t *testing.T, h *apptest.House) []string {
	t.Helper()
	ctx, by := context.Background(), h.Actor(authz.RoleAdmin)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(app.Explain(i18n.En, err))
		}
	}
	page, err := h.Customers.List(ctx, customer.View(by), customer.Filter{Limit: 40})
	must(err)
	waits := idsOf(t, h, `SELECT DISTINCT subject_id FROM approvals WHERE subject_type = 'customer' AND state = 'pending'`)
	c := slices.DeleteFunc(page.Rows, func(r customer.Row) bool { return r.Type != customer.Company || slices.Contains(waits, r.ID) })
	var out []string
	at := func(format string, id int64) { out = append(out, fmt.Sprintf(format, id)) }

	at("/customers/%d/card", c[0].ID)
	at("/customers/%d/timeline", c[0].ID)
	var number string
	must(h.DB.Read().QueryRow(ctx, `SELECT number FROM tickets WHERE is_open = 1 ORDER BY id DESC LIMIT 1`).Scan(&number))
	for _, part := range []string{"live", "timeline", "card"} {
		out = append(out, "/tickets/"+number+"/"+part)
	}
	out = append(out, "/navigation/approvals")
	push, err := h.Notify.SaveChannel(ctx, by, notify.Channel{Kind: notify.Push, Enabled: true, Settings: map[string]string{"contact": "crm@example.cn"}}, nil)
	must(err)
	at("/admin/notices/channels/%d", push)
	for _, way := range []string{notify.Mail, notify.DingTalk, notify.SMS, notify.Webhook} {
		id, err := h.Notify.SaveChannel(ctx, by, notify.Channel{Kind: way, Settings: map[string]string{"host": "smtp.example.cn", "from": "crm@example.cn", "url": "https://example.cn/in", "key_id": "x", "sign_name": "闭环", "template": "1"},
			Enabled: false}, map[string]string{"url": "https://oapi.dingtalk.com/robot/send?access_token=x", "key_secret": "x", "secret": "0123456789abcdef"})
		must(err)
		at("/admin/notices/channels/%d", id)
	}
	for _, k := range importer.Kinds {
		out = append(out, "/import-templates/"+string(k))
	}

	vips := customer.AllOf(customer.Node{Field: "level", Op: "is", Values: []string{"vip"}})
	segment, err := h.Customers.SaveSegment(ctx, by, customer.Segment{Name: "重要客户", Note: "回访", Query: vips})
	must(err)
	at("/customer-segments/%d", segment)
	bulk, err := h.Customers.Change(ctx, by, customer.Selection{IDs: []int64{c[0].ID, c[1].ID}}, customer.BulkChange{SetOwner: true, OwnerID: by.ID, Reason: "交接"})
	must(err)
	export, err := h.Customers.AskExport(ctx, by, customer.NewExport{Filter: customer.Filter{Query: vips}, Columns: []string{"number", "name", "phone"}, Format: sheet.XLSX, Reason: "季度核对"})
	must(err)
	merge, err := h.Customers.Merge(ctx, by, customer.MergeInput{Keep: c[2].ID, Drop: c[3].ID, KeepVersion: c[2].Version, DropVersion: c[3].Version, Reason: "同一客户"})
	must(err)
	at("/customer-merges/%d", merge)

	deletion, err := h.Privacy.AskDeletion(ctx, h.Actor(authz.RoleSupervisor), someone(t, h, authz.RoleSupervisor, "白一鸣", "13733334444").ID, "客户要求删除，已无业务")
	must(err)
	agree(t, h, deletion.ApprovalID)
	_, err = h.Privacy.AskDisclosure(ctx, by, privacy.DisclosureInput{Purpose: "年度财务审计需要核对客户往来", Recipient: "信永会计师事务所", Fields: []string{"number", "name", "region"}, Customers: []int64{c[4].ID}, Days: privacy.DefaultDays})
	must(err)
	for _, right := range []string{privacy.Access, privacy.Erase} {
		who := someone(t, h, authz.RoleAdmin, map[string]string{privacy.Access: "白小雨", privacy.Erase: "白小雪"}[right], fmt.Sprintf("1373333%04d", len(out)))
		r, err := h.Privacy.Register(ctx, by, privacy.RequestInput{Kind: right, CameBy: "phone", Words: "想知道你们存了什么", Numbers: who.Number, Identity: "回拨登记的电话核对"})
		must(err)
		must(h.Privacy.Search(ctx, by, r.ID))
		must(h.Settle(ctx))
		if right == privacy.Erase {
			must(h.Privacy.Erase(ctx, by, r.ID, []int64{who.ID}, nil, "已按要求删除"))
			must(h.Settle(ctx))
			var erasure int64
			must(h.DB.Read().QueryRow(ctx, `SELECT MAX(id) FROM erasures`).Scan(&erasure))
			at("/privacy/erasures/%d", erasure)
			at("/privacy/erasures/%d/proof", erasure)
			continue
		}
		must(h.Privacy.Export(ctx, by, r.ID, []int64{who.ID}, nil))
		must(h.Settle(ctx))
		at("/privacy/requests/%d/copy", r.ID)
	}
	must(h.Settle(ctx))
	// One of each state there is, those of the sample data among them.
	for _, x := range []struct{ table, address string }{{"deletions", "/privacy/deletions/%d"}, {"disclosures", "/privacy/disclosures/%d"}, {"person_requests", "/privacy/requests/%d"}} {
		for _, id := range idsOf(t, h, `SELECT MAX(id) FROM `+x.table+` GROUP BY state ORDER BY 1`) {
			at(x.address, id)
		}
	}
	for _, id := range idsOf(t, h, `SELECT MAX(id) FROM disclosures WHERE state = 'ready' HAVING MAX(id) > 0`) {
		at("/privacy/disclosures/%d/file", id)
	}
	// What is about a ticket, on the first one each page is offered for.
	numbers := numbersOf(t, h)
	for _, part := range []string{"complaint", "complaint/file", "complaint/upgrade", "links", "merge", "deferral", "conferences/new", "macros", "canned", "peek", "print", "similar", "others", "snooze", "routing", "why", "process", "checks", "shared/new"} {
		for _, n := range numbers {
			if path := "/tickets/" + n + "/" + part; h.Call(http.MethodGet, path, "", h.Cookie(authz.RoleAdmin)).Code == http.StatusOK {
				out = append(out, path)
				break
			}
		}
	}
	out = append(out, ticketPages(t, h)...)
	todo, err := h.Tasks.Create(ctx, by, task.New{Title: "回访客户，确认维修结果", DueAt: h.DB.Clock().Now().Add(26 * time.Hour), Remind: task.NoReminder})
	must(err)
	at("/tasks/%d", todo.ID)
	at("/tasks/%d/edit", todo.ID)
	p, err := h.Processes.Create(ctx, by, process.Fresh{Name: "投诉处理", Type: "complaint", Example: process.Examples[0].Key})
	must(err)
	_, err = h.Processes.Publish(ctx, by, p.ID, p.Version, "第一版")
	must(err)
	out = append(out, "/")
	out = append(out, underProcess(t, h)...)
	out = append(out, articles(t, h)...)
	shop, err := h.Inbound.Save(ctx, by, inbound.Source{Name: "官方商城", Channel: "website", Type: "after_sales", Enabled: true})
	must(err)
	out = append(out, fmt.Sprintf("/admin/inbound/%d", shop), fmt.Sprintf("/admin/inbound/%d/calls", shop))
	feed, err := h.Tasks.MakeFeed(ctx, by)
	must(err)
	out = append(out, "/calendar/"+feed+".ics")
	for _, id := range idsOf(t, h, fmt.Sprintf(`SELECT MAX(id) FROM notifications WHERE user_id = %d HAVING MAX(id) > 0`, by.ID)) {
		at("/notifications/%d", id)
	}
	for _, part := range []string{"", "/trial", "/versions", "/versions/1", "/stages/new", "/stages/s1", "/moves/new", "/moves/m1"} {
		at("/admin/processes/%d"+part, p.ID)
	}
	for _, x := range []struct{ query, address string }{{`SELECT MIN(id) FROM rules`, "/admin/rules/%d"}, {`SELECT MIN(id) FROM routing_rules`, "/admin/tickets/routing/rules/%d"},
		{`SELECT MIN(id) FROM skills`, "/admin/tickets/routing/skills/%d"}, {`SELECT MIN(department_id) FROM routing_chains`, "/admin/tickets/routing/departments/%d"}} {
		for _, id := range idsOf(t, h, x.query) {
			at(x.address, id)
		}
	}
	at("/customer-bulks/%d", bulk.ID)
	at("/customer-exports/%d", export.ID)
	at("/customer-exports/%d/file", export.ID)
	return out
}

// ticketPages are pages of a ticket that something has to be done for first: a
// conference, a draft that is shared, a bulk change, work handed over; and the
// forms that open for one entry, one field, one macro.
func ticketPages(t *testing.T, h *apptest.House) (out []string) {
	t.Helper()
	ctx, by := context.Background(), h.Actor(authz.RoleAdmin)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(app.Explain(i18n.En, err))
		}
	}
	at := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	c := someone(t, h, authz.RoleAdmin, "白晓峰", "13733335555")
	agent := h.Actor(authz.RoleAgent)
	x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "复合机反复卡纸", Description: "一周内第三次卡纸", Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
	must(err)
	x, err = h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{})
	must(err)
	_, err = h.Tickets.PlanConference(ctx, agent, x.ID, ticket.MeetingInput{Subject: "同一批次设备反复卡纸的处理口径", StartsAt: h.DB.Clock().Now().Add(30 * time.Hour), Place: "3 楼 302 会议室", People: []int64{by.ID, h.Users[authz.RoleEngineer], h.Users[authz.RoleAgent]}})
	must(err)
	meetings, err := ticket.Conferences(ctx, h.DB.Read(), x.ID)
	must(err)
	at("/tickets/%s/conferences", x.Number)
	at("/tickets/%s/conferences/%d", x.Number, meetings[0].ID)
	at("/tickets/%s/conferences/%d/minutes", x.Number, meetings[0].ID)
	at("/tickets/%s/conferences/%d/invitation", x.Number, meetings[0].ID)
	draft, err := h.Tickets.Share(ctx, by, x.ID, ticket.Writing{Body: "您好，工程师明天上午到现场更换搓纸轮。"}, "请帮忙看一下措辞", []int64{h.Users[authz.RoleAgent]})
	must(err)
	at("/tickets/%s/shared/%d", x.Number, draft)
	must(h.Settle(ctx))
	_, err = h.Tickets.FollowUp(ctx, by, x.ID, "电话告知周先生明天上午十点更换搓纸轮", journal.Record{At: h.DB.Clock().Now(), Method: "phone", Contact: "白晓峰", Reaction: "满意", Done: true}, nil)
	must(err)
	for _, e := range idsOf(t, h, fmt.Sprintf(`SELECT MAX(id) FROM entries WHERE ticket_id = %d AND kind = 'follow_up' HAVING MAX(id) > 0`, x.ID)) {
		at("/tickets/%s/entries/%d/correction", x.Number, e)
	}
	for _, e := range idsOf(t, h, `SELECT MAX(e.id) FROM entries e JOIN tickets t ON t.id = e.ticket_id WHERE e.kind = 'customer' AND t.is_open = 1 AND t.parent_id IS NULL HAVING MAX(e.id) > 0`) {
		at("/entries/%d/split", e)
	}
	for _, f := range []string{"urgency", "category", "priority"} {
		at("/tickets/%s/fields/%s", x.Number, f)
	}
	at("/tickets/%s/beside", x.Number)
	var other string
	must(h.DB.Read().QueryRow(ctx, `SELECT number FROM tickets WHERE is_open = 1 AND assignee_id > 0 AND assignee_id <> $1 ORDER BY id DESC LIMIT 1`, by.ID).Scan(&other))
	at("/tickets/%s/nudge", other)
	for _, m := range idsOf(t, h, `SELECT MIN(id) FROM macros HAVING MIN(id) > 0`) {
		at("/macros/%d", m)
		at("/tickets/%s/macros/%d", x.Number, m)
	}
	for _, r := range idsOf(t, h, `SELECT MIN(id) FROM canned_replies HAVING MIN(id) > 0`) {
		at("/canned/%d", r)
	}
	must(h.Settle(ctx))
	bulk, err := h.Tickets.ChangeMany(ctx, by, []int64{x.ID}, ticket.BulkChange{Kind: "urgency", Urgency: "urgent", Reason: "客户当天要用"})
	must(err)
	hand, err := h.Tickets.StartHandover(ctx, by, ticket.HandoverInput{FromID: h.Users[authz.RoleEngineer], ToID: h.Users[authz.RoleAgent], Reason: "出差一周"})
	must(err)
	must(h.Settle(ctx))
	at("/ticket-bulks/%d", bulk.ID)
	at("/desk/handovers/%d", hand)
	_, err = h.Tickets.SaveView(ctx, by, "紧急的售后", ticket.Filter{View: "open", Type: "after_sales", Query: customer.AllOf(customer.Is("urgency", "urgent")), Columns: []string{"number", "state", "category"}}, ticket.SharedEverybody)
	must(err)
	return out
}

// articles are the pages of a text of the knowledge base that everybody may read.
func articles(t *testing.T, h *apptest.House) (out []string) {
	t.Helper()
	ctx, writer, by := context.Background(), h.Actor(authz.RoleAgent), h.Actor(authz.RoleAdmin)
	id, err := h.Knowledge.Create(ctx, writer, knowledge.Input{Text: knowledge.Text{Title: "打印机卡纸怎么办", Body: "## 先关机\n\n1. 打开后盖\n2. 取出纸张\n\n| 型号 | 位置 |\n|---|---|\n| 一号 | 后盖 |", Audience: knowledge.Public}})
	for _, s := range []struct {
		by   authz.Actor
		step knowledge.Step
	}{{writer, knowledge.Submit}, {by, knowledge.Publish}} {
		if err == nil {
			err = h.Knowledge.Do(ctx, s.by, id, s.step, 0, "")
		}
	}
	if err != nil {
		t.Fatal(app.Explain(i18n.En, err))
	}
	return []string{fmt.Sprintf("/knowledge/%d", id), fmt.Sprintf("/knowledge/%d/edit", id), fmt.Sprintf("/knowledge/%d/versions", id), fmt.Sprintf("/help/%d", id)}
}

// underProcess are the pages of a complaint that goes by the process in force, and
// of its deferral.
func underProcess(t *testing.T, h *apptest.House) (out []string) {
	t.Helper()
	ctx, by := context.Background(), h.Actor(authz.RoleAgent)
	c := someone(t, h, authz.RoleAdmin, "白晓松", "13733336666")
	x, err := h.Tickets.Register(ctx, by, ticket.RegisterInput{Title: "到货即故障", Description: "要求更换", Type: "complaint", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"], AssigneeID: by.ID})
	if err == nil {
		x, err = h.Tickets.Do(ctx, by, x.ID, ticket.Acknowledge, ticket.Input{})
	}
	if err != nil {
		t.Fatal(app.Explain(i18n.En, err))
	}
	for _, part := range []string{"process", "process/departure", "stage/m1", "article", "articles"} {
		out = append(out, "/tickets/"+x.Number+"/"+part)
	}
	return out
}

// numbersOf are tickets of every type and state, the newest of each.
func numbersOf(t *testing.T, h *apptest.House) (out []string) {
	t.Helper()
	rows, err := h.DB.Read().Query(context.Background(), `SELECT MAX(number) FROM tickets WHERE parent_id IS NULL GROUP BY type, state, assignee_id ORDER BY 1 DESC`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// agree lets everybody a request waits for agree to it, until it is approved.
func agree(t *testing.T, h *apptest.House, id int64) {
	t.Helper()
	ctx := context.Background()
	for range 5 {
		r, err := h.Approvals.Get(ctx, h.Actor(authz.RoleAdmin), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.State != approval.Pending {
			return
		}
		who, err := h.Org.Actor(ctx, r.Waiting[0].UserID)
		if err == nil {
			_, err = h.Approvals.Decide(ctx, who, id, approval.Decision{Approve: true, Comment: "已核对，同意。"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("still not approved")
}

// idsOf returns the only column of a query.
func idsOf(t *testing.T, h *apptest.House, query string) (out []int64) {
	t.Helper()
	rows, err := h.DB.Read().Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// someone is a customer without tickets in the department of a person.
func someone(t *testing.T, h *apptest.House, login, name, phone string) customer.Customer {
	t.Helper()
	c, err := h.Customers.Create(context.Background(), h.Actor(login), customer.Input{Type: customer.Person, Name: name, Source: "phone",
		Contacts: []customer.ContactInput{{Name: name, Phone: phone}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// attached are a file of a ticket and a file of a customer, each with its pages.
func attached(t *testing.T, h *apptest.House) []string {
	t.Helper()
	ctx, by := context.Background(), h.Actor(authz.RoleAdmin)
	var tk, owner int64
	if err := h.DB.Read().QueryRow(ctx, `SELECT id, customer_id FROM tickets WHERE is_open = 1 AND parent_id IS NULL ORDER BY id DESC LIMIT 1`).Scan(&tk, &owner); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range []blob.Owner{{Type: "ticket", ID: tk}, {Type: "customer", ID: owner}} {
		name, body := "说明.txt", "请按第二步操作"
		if o.Type == "customer" {
			name, body = "合同.pdf", "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
		}
		m, err := h.Files.Receive(ctx, name, strings.NewReader(body))
		var f blob.File
		if err == nil {
			err = h.Run.Do(ctx, by, "test.attach", func(ctx context.Context, a *action.Action) (err error) {
				a.Nothing()
				f, err = h.Files.SaveTo(ctx, a, m, o)
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("/files/%d", f.ID))
		if o.Type == "customer" {
			out = append(out, fmt.Sprintf("/customers/%d/files/%d", owner, f.ID), fmt.Sprintf("/customers/%d/files/%d/pdf", owner, f.ID))
			continue
		}
		x, err := h.Tickets.Get(ctx, ticket.View(by), tk)
		if err != nil {
			t.Fatal(err)
		}
		link := "/c/" + h.Tickets.Link(x)
		out = append(out, link+"/messages", link+"/rating", link+"/help")
	}
	return out
}
