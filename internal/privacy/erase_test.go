package privacy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/importer"
	"bihuan/internal/journal"
	"bihuan/internal/privacy"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
)

// someone is a person who has left traces in every place there is.
type someone struct {
	name, phone, email, wechat, address string
	id                                  int64
	tickets                             []int64
}

// forms are the ways his values are written.
func (p someone) forms() []string {
	d := p.phone
	wide := strings.Map(func(r rune) rune { return r + 0xfee0 }, d)
	return []string{p.name, d, d[:3] + " " + d[3:7] + " " + d[7:], d[:3] + "-" + d[3:7] + "-" + d[7:], "+86" + d, wide, p.email, strings.ToUpper(p.email), p.wechat, p.address}
}

// marks are what a raw scan looks for.
func (p someone) marks() []string {
	d := p.phone
	return append(p.forms(), d[3:], d[:3]+" "+d[3:7], d[:3]+"-"+d[3:7], strings.Split(p.email, "@")[0], strings.TrimPrefix(p.address, "广东省深圳市南山区"))
}

func (p someone) text(i int) string {
	f := p.forms()
	return fmt.Sprintf("客户%s来电，电话%s，邮箱 %s，微信%s，地址%s", f[0], f[1+i%5], p.email, p.wechat, p.address)
}

type house struct {
	*apptest.House
	ctx context.Context
	t   *testing.T
	c   *clock.Fake
}

func (h house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h house) settle() {
	h.t.Helper()
	h.must(h.Settle(h.ctx))
}

// seed leaves traces of p everywhere.
func (h house) seed(p *someone) {
	h.t.Helper()
	agent, supervisor := h.Actor(authz.RoleAgent), h.Actor(authz.RoleSupervisor)
	c, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Person, Name: p.name, Source: "phone", Address: p.address, Region: "深圳", Remark: p.text(1),
		Contacts: []customer.ContactInput{{Name: p.name, Phone: p.phone, Email: p.email, Wechat: p.wechat, Primary: true}},
		Need:     customer.NeedInput{Product: "净水器", Description: p.text(2), Special: p.text(3)}})
	h.must(err)
	p.id = c.ID
	_, err = h.Customers.Update(h.ctx, agent, c.ID, c.Version, customer.Input{Type: customer.Person, Name: p.name, Source: "phone", Region: "深圳", Remark: p.text(4) + "，已回访"}, "")
	h.must(err)
	_, err = h.Customers.AddFollowUp(h.ctx, agent, c.ID, p.text(0)+"，约定下周三上门", journal.Record{Method: "phone", Contact: p.name, Reaction: p.text(1), Agreement: p.text(2)})
	h.must(err)
	for i := range 3 {
		t, err := h.Tickets.Register(h.ctx, agent, ticket.RegisterInput{Title: fmt.Sprintf("%s 报修 %s", p.name, p.forms()[1+i]), Description: p.text(i), Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: agent.ID})
		h.must(err)
		p.tickets = append(p.tickets, t.ID)
		_, err = h.Tickets.Note(h.ctx, agent, t.ID, p.text(i+1), nil, nil)
		h.must(err)
		_, err = h.Tickets.FollowUp(h.ctx, agent, t.ID, p.text(i+2)+"，更换滤芯", journal.Record{Method: "phone", Contact: p.name, Reaction: p.text(3)}, nil)
		h.must(err)
		h.must(h.Tickets.SaveDraft(h.ctx, agent, fmt.Sprintf("ticket:%d:reply", t.ID), p.text(i)))
		h.must(h.Tickets.SaveDraft(h.ctx, supervisor, fmt.Sprintf("new:%d", t.ID), "给"+p.name+"回电 "+p.phone))
		// In the customer's name, through his link.
		_, his, err := h.Tickets.ByLink(h.ctx, h.Tickets.Link(t))
		h.must(err)
		his.IP, his.UserAgent = "203.0.113.7", "Phone of "+p.name
		_, err = h.Tickets.CustomerWrites(h.ctx, his, t.ID, p.text(i+3), nil)
		h.must(err)
		f, err := h.Files.Upload(h.ctx, agent, p.name+"的合同.txt", strings.NewReader("甲方："+p.text(i)))
		h.must(err)
		_, err = h.Tickets.Note(h.ctx, agent, t.ID, "合同见附件", nil, []int64{f.ID})
		h.must(err)
		_, err = h.Tickets.Do(h.ctx, h.Actor(authz.RoleHead), t.ID, ticket.Cancel, ticket.Input{Code: "withdrawn", Reason: p.name + "（" + p.phone + "）来电取消"})
		h.must(err)
	}
	// He complains: what was recorded of it is his, too.
	t, err := h.Tickets.Register(h.ctx, agent, ticket.RegisterInput{Title: p.name + "投诉维修拖延", Description: p.text(1), Type: "complaint", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: agent.ID,
		Then: h.Complaints.Registered(complaint.Wish{Mood: "angry", Remedy: "refund", Note: "退款到" + p.phone})})
	h.must(err)
	p.tickets = append(p.tickets, t.ID)
	grief, err := h.Complaints.Record(h.ctx, agent, t.ID, complaint.Entry{Step: complaint.Receive, Values: complaint.Values{"product": "净水器", "wish": "refund", "people": p.text(2), "action": p.text(3)}})
	h.must(err)
	last, _ := grief.Last(complaint.Receive)
	_, err = h.Complaints.Record(h.ctx, agent, t.ID, complaint.Entry{Step: complaint.Receive, Amends: last.ID, Reason: "联系人应为" + p.name, Values: complaint.Values{"product": "净水器", "wish": "refund", "people": p.name}})
	h.must(err)
	_, err = h.Complaints.Upgrade(h.ctx, agent, t.ID, complaint.LevelHead, p.name+"（"+p.phone+"）要求上级处理")
	if !fault.Is(err, fault.Conflict) { // nobody heads the company in some of the tests
		h.must(err)
	}
	_, err = h.Tickets.Do(h.ctx, h.Actor(authz.RoleHead), t.ID, ticket.Cancel, ticket.Input{Code: "withdrawn", Reason: p.name + "撤诉"})
	h.must(err)
	h.settle()
	// Where others are: a colleague's customer and ticket, which stay.
	o, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Company, Name: "深圳邻居" + p.phone[8:] + "科技有限公司", Source: "phone", Remark: "由" + p.name + "（" + p.phone + "）介绍",
		Contacts: []customer.ContactInput{{Name: "邻居" + p.phone[9:], Phone: "1390000" + p.phone[7:], Primary: true}}})
	h.must(err)
	t, err = h.Tickets.Register(h.ctx, agent, ticket.RegisterInput{Title: "邻居报修，联系 " + p.forms()[2], Description: "请转告" + p.name + "，邮箱" + strings.ToUpper(p.email), Type: "consultation", Urgency: "low", Channel: "phone", CustomerID: o.ID})
	h.must(err)
	var pdf bytes.Buffer
	z := zip.NewWriter(&pdf)
	w, _ := z.Create("word/document.xml")
	fmt.Fprintf(w, "<w:p><w:t>联系 %s</w:t><w:t> %s</w:t></w:p>", p.phone[:5], p.phone[5:])
	h.must(z.Close())
	f, err := h.Files.Upload(h.ctx, agent, "名单.docx", bytes.NewReader(pdf.Bytes()))
	h.must(err)
	_, err = h.Tickets.Note(h.ctx, agent, t.ID, "名单见附件", nil, []int64{f.ID})
	h.must(err)
	// A table that was imported, in the encoding of old systems.
	csv := "客户名称,客户类型,联系人,联系电话,邮箱,备注\n" + "王小路,个人,王小路,1371111" + p.phone[7:] + ",,\n" + p.name + ",个人," + p.name + "," + p.phone + "," + p.email + ",重复\n"
	i, err := h.Imports.Upload(h.ctx, supervisor, importer.Customers, p.name+"等.csv", strings.NewReader(csv), int64(len(csv)))
	h.must(err)
	h.must(h.Imports.Check(h.ctx, supervisor, i.ID))
	h.settle()
	h.must(h.Imports.Start(h.ctx, supervisor, i.ID))
	h.settle()
	// A list that was exported, in clear, and a profile he had twice.
	admin := h.Actor(authz.RoleAdmin)
	_, err = h.Customers.AskExport(h.ctx, admin, customer.NewExport{Columns: []string{"number", "name", "phone", "email", "address"}, Format: sheet.XLSX, Clear: true, Reason: "核对资料"})
	h.must(err)
	h.settle()
	twin, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Person, Name: p.name, Source: "phone", DuplicateReason: "客户坚持", Remark: p.text(3),
		Contacts: []customer.ContactInput{{Name: p.name, Phone: p.phone, Email: p.email, Primary: true}}})
	h.must(err)
	_, err = h.Customers.Merge(h.ctx, admin, customer.MergeInput{Keep: p.id, Drop: twin.ID, Reason: "都是" + p.name})
	h.must(err)
	h.must(h.DB.Write(h.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO idempotency_keys (actor_id, name, request, response, created_at) VALUES (1, $1, 'r', $2, 1)`, "k"+p.phone[7:], `{"name":"`+p.name+`","note":"`+p.text(1)+`"}`)
		return err
	}))
}

// raw looks for marks in the files of the database, in every text it gives back,
// and in the blob folder.
func (h house) raw(marks []string) map[string]bool {
	h.t.Helper()
	found := map[string]bool{}
	look := func(where string, raw []byte) {
		for _, m := range marks {
			if m != "" && bytes.Contains(raw, []byte(m)) {
				found[where+": "+m] = true
			}
		}
	}
	if h.DB.Dialect() == db.SQLite {
		for _, suffix := range []string{"", "-wal", "-journal"} {
			if b, err := os.ReadFile(h.DB.Path() + suffix); err == nil {
				look("bihuan.db"+suffix, b)
			}
		}
	} else {
		h.must(h.DB.Write(h.ctx, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, `CHECKPOINT`); return err }))
		rows, err := h.DB.Read().Query(h.ctx, `SELECT c.relname, pg_relation_filepath(c.oid) FROM pg_class c WHERE c.relkind IN ('r', 'i', 't', 'm') AND c.oid >= 16384`)
		h.must(err)
		var files [][2]string
		for rows.Next() {
			var x [2]string
			h.must(rows.Scan(&x[0], &x[1]))
			files = append(files, x)
		}
		rows.Close()
		for _, x := range files {
			var b []byte
			if err := h.DB.Read().QueryRow(h.ctx, `SELECT pg_read_binary_file($1)`, x[1]).Scan(&b); err == nil {
				look("heap of "+x[0], b)
			}
		}
	}
	tables, err := h.DB.Tables(h.ctx)
	h.must(err)
	for _, t := range tables {
		rows, err := h.DB.Read().Query(h.ctx, `SELECT * FROM `+t.Name)
		h.must(err)
		for rows.Next() {
			vals, ptrs := make([]any, len(t.Columns)), make([]any, len(t.Columns))
			for i := range vals {
				ptrs[i] = &vals[i]
			}
			h.must(rows.Scan(ptrs...))
			for _, v := range vals {
				switch v := v.(type) {
				case string:
					look("table "+t.Name, []byte(v))
				case []byte:
					look("table "+t.Name, v)
				}
			}
		}
		rows.Close()
	}
	h.must(filepath.WalkDir(filepath.Join(h.Config.Data, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		look("blobs", b)
		if z, zerr := zip.NewReader(bytes.NewReader(b), int64(len(b))); zerr == nil {
			for _, f := range z.File {
				r, _ := f.Open()
				var part bytes.Buffer
				_, _ = part.ReadFrom(r)
				r.Close()
				look("blobs, packed", part.Bytes())
				look("blobs, packed", []byte(strings.NewReplacer("<w:t>", "", "</w:t>", "", " ", "").Replace(part.String())))
			}
		}
		return err
	}))
	return found
}

func open(t *testing.T, h *apptest.House) house {
	x := house{h, context.Background(), t, h.DB.Clock().(*clock.Fake)}
	x.must(h.DB.Write(x.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE departments SET head_id = $1 WHERE id = $2`, h.Users[authz.RoleHead], h.Departments["客户服务中心"])
		return err
	}))
	return x
}

func person(i int) someone {
	return someone{name: []string{"欧阳震华", "司马青衫", "诸葛暮云", "慕容长风"}[i], phone: []string{"13955557777", "13766668811", "15899992233", "18612348765"}[i],
		email: []string{"ouyang.zh", "sima.qs88", "zhuge_muyun", "murong.cf"}[i] + "@example.com", wechat: []string{"wx_ouyang_zh", "simaqs_2026", "zhugemy99", "mrcf_wx"}[i],
		address: "广东省深圳市南山区" + []string{"科技园南路18号", "桃园路甲7号院", "学府路丙3栋502", "后海大道999号"}[i]}
}

// GOV-4: after an erasure nothing of the person is found in clear: in no table,
// index, file of the database or attachment; nothing of anybody else is lost; the
// trail can still be verified; and the proof is genuine.
func TestErase(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		p, other := person(0), person(1)
		h.seed(&p)
		h.seed(&other)
		for _, m := range p.forms() {
			if len(h.raw([]string{m})) == 0 {
				t.Errorf("%s is nowhere before: the test says nothing of it", m)
			}
		}
		kept := func() (n int) { // the log of the database is emptied meanwhile, and lists with both of them go
			for place := range h.raw(other.marks()) {
				if strings.HasPrefix(place, "table ") {
					n++
				}
			}
			for _, id := range other.tickets {
				fs, err := h.Files.Of(h.ctx, h.DB.Read(), "ticket", id)
				h.must(err)
				for _, f := range fs {
					_, err := h.Files.Store().Stat(h.ctx, f.SHA256)
					h.must(err)
					n++
				}
			}
			return n
		}
		before := kept()
		admin, agent := h.Actor(authz.RoleAdmin), h.Actor(authz.RoleAgent)
		r, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Erase, CameBy: "phone", Names: p.name, Phones: p.phone, Emails: p.email, Words: "我是" + p.name + "，请删除我的信息 " + p.phone})
		h.must(err)
		if err := h.Privacy.Erase(h.ctx, admin, r.ID, []int64{p.id}, nil, "已删除"); !fault.Is(err, fault.Conflict) {
			t.Errorf("erased without a check of identity: %v", err)
		}
		h.must(h.Privacy.Identify(h.ctx, agent, r.ID, "用登记的手机号 "+p.phone+" 回拨确认"))
		h.must(h.Privacy.Search(h.ctx, admin, r.ID))
		h.settle()
		r, err = h.Privacy.Request(h.ctx, admin, r.ID)
		h.must(err)
		if r.Found == nil || len(r.Found.People) == 0 || len(r.Customers) != 1 || r.Customers[0] != p.id || r.Found.Total() < 20 || len(r.Found.Files) < 5 || r.Found.Events < 5 {
			t.Fatalf("found %+v, customers %v", r.Found, r.Customers)
		}
		h.must(h.Privacy.Erase(h.ctx, admin, r.ID, r.Customers, r.Contacts, "已按要求删除，电话 "+p.phone))
		h.settle()
		r, err = h.Privacy.Request(h.ctx, admin, r.ID)
		h.must(err)
		if r.State != privacy.Done {
			e, _ := h.Privacy.Erasure(h.ctx, r.ErasureID)
			t.Fatalf("request is %s, phase %s, %+v", r.State, e.Phase, e.Report.Looked)
		}
		for m := range h.raw(p.marks()) {
			t.Errorf("left in %s", m)
		}
		if after := kept(); after != before {
			t.Errorf("of somebody else %d marks are left of %d", after, before)
		}
		e, err := h.Privacy.ErasureFor(h.ctx, agent, r.ErasureID)
		h.must(err)
		if !h.Privacy.Genuine(e) || e.Report.Looked.Left != 0 || e.Report.Looked.Rows == 0 || e.Report.Files < 5 || e.Report.CleanedAt.IsZero() {
			t.Errorf("proof: %v %+v", h.Privacy.Genuine(e), e.Report)
		}
		e.Hash = strings.Repeat("0", 64)
		if h.Privacy.Genuine(e) {
			t.Error("a proof of another report is genuine")
		}
		v, err := event.Verify(h.ctx, h.DB.Read())
		if err != nil || v.BrokenAt != 0 || v.Redacted == 0 {
			t.Errorf("trail: %+v, %v", v, err)
		}
		if _, err := h.Customers.Get(h.ctx, customer.View(admin), p.id); !fault.Is(err, fault.NotFound) {
			t.Errorf("the customer is still there: %v", err)
		}
		tk, err := h.Tickets.Get(h.ctx, ticket.View(admin), p.tickets[0])
		if err != nil || tk.CustomerName != customer.Tombstone {
			t.Errorf("ticket %q of %q, %v", tk.Title, tk.CustomerName, err)
		}
		for _, q := range []string{p.name, p.phone, p.phone[7:], p.email} {
			if found, err := h.Customers.Search(h.ctx, customer.View(admin), q, 10); err != nil || len(found) != 0 && found[0].ID == p.id {
				t.Errorf("%q finds %v, %v", q, found, err)
			}
		}
		if found, err := h.Customers.Search(h.ctx, customer.View(admin), other.phone, 10); err != nil || len(found) == 0 {
			t.Errorf("the other one is not found any more: %v", err)
		}
		// What was seeded once more is erased once more: the person is gone, so his values only.
		n, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Erase, CameBy: "email", Names: other.name, Phones: other.phone, Emails: other.email, Handles: other.wechat, Addresses: other.address, Identity: "当面核对证件"})
		h.must(err)
		h.must(h.Privacy.Search(h.ctx, admin, n.ID))
		h.settle()
		n, err = h.Privacy.Request(h.ctx, admin, n.ID)
		h.must(err)
		h.must(h.Privacy.Erase(h.ctx, admin, n.ID, n.Customers, n.Contacts, "已删除"))
		h.settle()
		for m := range h.raw(other.marks()) {
			t.Errorf("of the second left in %s", m)
		}
		if v, err := event.Verify(h.ctx, h.DB.Read()); err != nil || v.BrokenAt != 0 {
			t.Errorf("trail after the second: %+v, %v", v, err)
		}
	})
}

// CUS-15: a deletion goes its way through approval, is carried out by itself, and
// leaves a record.
func TestDeletion(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		p := person(2)
		h.seed(&p)
		agent, head, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleHead), h.Actor(authz.RoleAdmin)
		late, err := h.Tickets.Register(h.ctx, agent, ticket.RegisterInput{Title: "还没完", Type: "consultation", Urgency: "low", Channel: "phone", CustomerID: p.id})
		h.must(err)
		if _, err := h.Privacy.AskDeletion(h.ctx, agent, p.id, "客户要求注销账户"); !fault.Is(err, fault.Conflict) || !strings.Contains(fmt.Sprint(err), "open_tickets") {
			t.Errorf("with an open ticket: %v", err)
		}
		_, err = h.Tickets.Do(h.ctx, head, late.ID, ticket.Cancel, ticket.Input{Code: "withdrawn", Reason: "客户不再需要"})
		h.must(err)
		if _, err := h.Privacy.AskDeletion(h.ctx, h.Actor(apptest.Nobody), p.id, "客户要求注销账户"); err == nil {
			t.Error("nobody may ask")
		}
		if _, err := h.Privacy.AskDeletion(h.ctx, agent, p.id, "删"); !fault.Is(err, fault.Invalid) {
			t.Errorf("without a reason: %v", err)
		}
		d, err := h.Privacy.AskDeletion(h.ctx, agent, p.id, "客户"+p.name+"要求注销账户")
		h.must(err)
		if _, err := h.Privacy.AskDeletion(h.ctx, agent, p.id, "再次要求注销账户"); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		if _, err := h.Approvals.Approve(h.ctx, agent, d.ApprovalID, ""); err == nil {
			t.Error("his own request")
		}
		_, err = h.Approvals.Approve(h.ctx, head, d.ApprovalID, "同意")
		h.must(err)
		if _, err := h.Customers.Get(h.ctx, customer.View(admin), p.id); err != nil {
			t.Errorf("gone after the first step: %v", err)
		}
		_, err = h.Approvals.Approve(h.ctx, admin, d.ApprovalID, "")
		h.must(err)
		h.settle()
		ds, err := h.Privacy.Deletions(h.ctx, agent, "", 0, 10)
		if err != nil || len(ds) != 1 || ds[0].State != "done" || ds[0].Name != "诸***" || ds[0].DecidedBy != "陈总监、郑管理" || ds[0].ExecutedAt.IsZero() || strings.Contains(ds[0].Reason, p.name) {
			t.Fatalf("record: %+v, %v", ds, err)
		}
		if ds, err := h.Privacy.Deletions(h.ctx, h.Actor(authz.RoleSales), "", 0, 10); err != nil || len(ds) != 0 {
			t.Errorf("somebody else sees %v, %v", ds, err)
		}
		for m := range h.raw(p.marks()) {
			t.Errorf("left in %s", m)
		}
		var gone int
		h.must(h.DB.Read().QueryRow(h.ctx, `SELECT gone FROM customers WHERE id = $1 AND name = $2`, p.id, customer.Tombstone).Scan(&gone))
		if gone != 1 {
			t.Error("no tombstone")
		}
		// Refused: nothing happens, and one may ask again.
		q := person(3)
		h.seed(&q)
		d, err = h.Privacy.AskDeletion(h.ctx, agent, q.id, "重复录入的客户")
		h.must(err)
		_, err = h.Approvals.Refuse(h.ctx, head, d.ApprovalID, "不是重复客户")
		h.must(err)
		if d, err := h.Privacy.Deletion(h.ctx, agent, d.ID); err != nil || d.State != "refused" {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := h.Customers.Get(h.ctx, customer.View(agent), q.id); err != nil {
			t.Errorf("refused, and gone: %v", err)
		}
		if _, err := h.Privacy.AskDeletion(h.ctx, agent, q.id, "确实是重复客户"); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

// A contact of a company is erased; the company stays.
func TestEraseContact(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		agent, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleAdmin)
		c, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Company, Name: "深圳晨曦科技有限公司", Source: "phone",
			Contacts: []customer.ContactInput{{Name: "王芳", Phone: "13812340001", Primary: true}, {Name: "上官婉清", Phone: "13812340002", Email: "wanqing@example.com"}}})
		h.must(err)
		tk, err := h.Tickets.Register(h.ctx, agent, ticket.RegisterInput{Title: "王芳和上官婉清报修", Description: "找王芳 138 1234 0001", Type: "consultation", Urgency: "low", Channel: "phone", CustomerID: c.ID})
		h.must(err)
		elsewhere, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Person, Name: "李四光", Source: "phone", Remark: "认识王芳", Contacts: []customer.ContactInput{{Phone: "13812340003", Primary: true}}})
		h.must(err)
		r, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Erase, CameBy: "phone", Names: "王芳", Phones: "13812340001", Identity: "电话回拨"})
		h.must(err)
		h.must(h.Privacy.Search(h.ctx, admin, r.ID))
		h.settle()
		r, _ = h.Privacy.Request(h.ctx, admin, r.ID)
		if len(r.Customers) != 0 || len(r.Contacts) != 1 {
			t.Fatalf("chosen: %v %v of %+v", r.Customers, r.Contacts, r.Found)
		}
		if err := h.Privacy.Erase(h.ctx, admin, r.ID, nil, []int64{r.Contacts[0] + 1}, "已删除"); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody who was not found: %v", err)
		}
		h.must(h.Privacy.Erase(h.ctx, admin, r.ID, nil, r.Contacts, "已删除"))
		h.settle()
		got, err := h.Customers.Get(h.ctx, customer.View(agent), c.ID)
		if err != nil || got.Name != "深圳晨曦科技有限公司" || len(got.Contacts) != 1 || got.Contacts[0].Name != "上官婉清" || !got.Contacts[0].Primary {
			t.Errorf("company: %+v, %v", got.Contacts, err)
		}
		if n, err := h.Tickets.Get(h.ctx, ticket.View(agent), tk.ID); err != nil || n.Title != "■■■和上官婉清报修" || n.Description != "找■■■ ■■■" {
			t.Errorf("ticket: %q %q, %v", n.Title, n.Description, err)
		}
		if o, err := h.Customers.Get(h.ctx, customer.View(agent), elsewhere.ID); err != nil || o.Remark != "认识王芳" {
			t.Errorf("a short name went from somebody else's record: %q, %v", o.Remark, err)
		}
		if left := h.raw([]string{"13812340001", "138 1234 0001"}); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// CUS-16: data is given to others only after approval, masked unless granted,
// with a watermark and an end, and every download is known.
func TestDisclosure(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		agent, supervisor, head, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleSupervisor), h.Actor(authz.RoleHead), h.Actor(authz.RoleAdmin)
		var ids []int64
		for i := range 30 {
			c, err := h.Customers.Create(h.ctx, supervisor, customer.Input{Type: customer.Person, Name: "披露" + string(rune('甲'+i)) + "某", Source: "phone", Address: "深圳市南山区科技路1号",
				Contacts: []customer.ContactInput{{Phone: fmt.Sprintf("138%08d", 41000000+i), Email: fmt.Sprintf("d%d@example.com", i), Primary: true}}})
			h.must(err)
			ids = append(ids, c.ID)
		}
		foreign, err := h.Customers.Create(h.ctx, agent, customer.Input{Type: customer.Person, Name: "别处客户", Source: "phone", Contacts: []customer.ContactInput{{Phone: "13700001111", Primary: true}}})
		h.must(err)
		in := privacy.DisclosureInput{Purpose: "向物流公司提供收货人", Recipient: "顺达物流有限公司", Fields: []string{"name", "phone_clear", "email", "contact"}, Customers: ids, Days: 3}
		if _, err := h.Privacy.AskDisclosure(h.ctx, agent, in); !fault.Is(err, fault.Forbidden) {
			t.Errorf("without permission: %v", err)
		}
		bad := in
		bad.Customers = append([]int64{foreign.ID}, ids...)
		if _, err := h.Privacy.AskDisclosure(h.ctx, supervisor, bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("out of scope: %v", err)
		}
		bad = privacy.DisclosureInput{}
		if _, err := h.Privacy.AskDisclosure(h.ctx, supervisor, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("empty: %v", err)
		}
		d, err := h.Privacy.AskDisclosure(h.ctx, supervisor, in)
		h.must(err)
		h.settle()
		if _, _, err := h.Privacy.FetchDisclosure(h.ctx, supervisor, d.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("before approval: %v", err)
		}
		_, err = h.Approvals.Approve(h.ctx, head, d.ApprovalID, "")
		h.must(err)
		_, err = h.Approvals.Approve(h.ctx, admin, d.ApprovalID, "")
		h.must(err)
		h.settle()
		if _, _, err := h.Privacy.FetchDisclosure(h.ctx, head, d.ID); !fault.Is(err, fault.Forbidden) {
			t.Errorf("somebody else: %v", err)
		}
		if _, _, err := h.Privacy.FetchDisclosure(h.ctx, agent, d.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("out of view: %v", err)
		}
		f, content, err := h.Privacy.FetchDisclosure(h.ctx, supervisor, d.ID)
		h.must(err)
		var raw bytes.Buffer
		_, err = raw.ReadFrom(content)
		content.Close()
		h.must(err)
		all := unpacked(t, raw.Bytes())
		for _, want := range []string{"13841000000", "13841000029", "d***@example.com", "顺达物流有限公司", d.Number, "李主管", "2026-11-19"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s is not in the file %s", want, f.Name)
			}
		}
		for _, no := range []string{"d1@example.com", "科技路1号"} {
			if strings.Contains(all, no) {
				t.Errorf("%s is in the file", no)
			}
		}
		if !strings.Contains(all, "<picture") || !strings.Contains(all, "<headerFooter") {
			t.Error("no watermark behind the cells or on printed pages")
		}
		if _, _, err := h.Files.Open(h.ctx, supervisor, f.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the file goes past the log: %v", err)
		}
		ls, err := h.Privacy.Downloads(h.ctx, privacy.OfDisclosure, d.ID)
		if err != nil || len(ls) != 1 || ls[0].UserName != "李主管" {
			t.Errorf("downloads: %+v, %v", ls, err)
		}
		evs, err := event.Of(h.ctx, h.DB.Read(), customer.Subject(ids[0]), 0, 1)
		if err != nil || len(evs) != 1 || evs[0].Kind != customer.Disclosed {
			t.Errorf("the customer's own record: %v, %v", evs, err)
		}
		h.c.Advance(3*24*time.Hour + time.Minute)
		h.must(h.Privacy.Expire(h.ctx))
		if d, err := h.Privacy.Disclosure(h.ctx, supervisor, d.ID); err != nil || d.State != "expired" || d.FileID != 0 {
			t.Errorf("after its end: %+v, %v", d, err)
		}
		if left := h.raw([]string{"13841000029"}); len(left) != 0 {
			t.Errorf("after its end, left: %v", left)
		}
	})
}

// unpacked is all that is in a zip file.
func unpacked(t *testing.T, raw []byte) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(r)
		r.Close()
		all.WriteString(b.String())
	}
	return all.String()
}

// GOV-4: a person gets a copy of his data, for reading and for programs, and only
// his own.
func TestAccessAndRestriction(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		p, other := person(0), person(1)
		h.seed(&p)
		h.seed(&other)
		agent, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleAdmin)
		r, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Access, CameBy: "email", Emails: p.email, Identity: "回信确认"})
		h.must(err)
		if want := time.Date(2026, 12, 10, 10, 0, 0, 0, time.UTC); !mustRequest(t, h, r.ID).DueAt.Equal(want) {
			t.Errorf("due %s, want 15 working days: %s", mustRequest(t, h, r.ID).DueAt, want)
		}
		if err := h.Privacy.Search(h.ctx, agent, r.ID); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent searches: %v", err)
		}
		h.must(h.Privacy.Search(h.ctx, admin, r.ID))
		h.settle()
		r = mustRequest(t, h, r.ID)
		h.must(h.Privacy.Export(h.ctx, admin, r.ID, r.Customers, r.Contacts))
		h.settle()
		f, content, err := h.Privacy.FetchRequest(h.ctx, admin, r.ID)
		h.must(err)
		var raw bytes.Buffer
		_, _ = raw.ReadFrom(content)
		content.Close()
		all := unpacked(t, raw.Bytes())
		for _, want := range []string{p.name, p.phone, p.email, p.wechat, p.address, "退款到" + p.phone, "愤怒", "甲方："} {
			if strings.HasPrefix(want, "甲方") {
				continue // the contract hangs on an internal note
			}
			if !strings.Contains(all, want) {
				t.Errorf("%s is not in %s", want, f.Name)
			}
		}
		for _, no := range append(other.forms(), "合同见附件") {
			if strings.Contains(all, no) {
				t.Errorf("%s is in his file", no)
			}
		}
		h.must(h.Privacy.Close(h.ctx, admin, r.ID, "已通过邮件发送"))
		if r = mustRequest(t, h, r.ID); r.State != privacy.Done || r.Found != nil {
			t.Errorf("closed: %+v", r)
		}
		q, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Restrict, CameBy: "phone", Phones: p.phone, Identity: "电话回拨"})
		h.must(err)
		h.must(h.Privacy.Search(h.ctx, admin, q.ID))
		h.settle()
		h.must(h.Privacy.Restrict(h.ctx, admin, q.ID, []int64{p.id}, "已限制处理"))
		_, err = h.Privacy.AskDisclosure(h.ctx, admin, privacy.DisclosureInput{Purpose: "给合作伙伴使用", Recipient: "合作伙伴", Fields: []string{"name"}, Customers: []int64{p.id, other.id}, Days: 1})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("restricted, and given to others: %v", err)
		}
		h.must(h.Privacy.Lift(h.ctx, admin, p.id, privacy.Restrict))
		if _, err = h.Privacy.AskDisclosure(h.ctx, admin, privacy.DisclosureInput{Purpose: "给合作伙伴使用", Recipient: "合作伙伴", Fields: []string{"name"}, Customers: []int64{p.id}, Days: 1}); err != nil {
			t.Errorf("lifted: %v", err)
		}
		n, err := h.Privacy.Register(h.ctx, agent, privacy.RequestInput{Kind: privacy.Correct, CameBy: "phone", Phones: p.phone})
		h.must(err)
		h.must(h.Privacy.Refuse(h.ctx, admin, n.ID, "信息核对无误"))
		if n = mustRequest(t, h, n.ID); n.State != privacy.Refused {
			t.Errorf("refused: %+v", n)
		}
		if rs, err := h.Privacy.Requests(h.ctx, h.Actor(authz.RoleSupervisor), "", 0, 10); err != nil || len(rs) != 0 {
			t.Errorf("who took none in sees %d, %v", len(rs), err)
		}
		if _, err := h.Privacy.Request(h.ctx, h.Actor(authz.RoleSupervisor), n.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's request: %v", err)
		}
	})
}

func mustRequest(t *testing.T, h house, id int64) privacy.Request {
	t.Helper()
	r, err := h.Privacy.Request(h.ctx, h.Actor(authz.RoleAdmin), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// GOV-4: what has been kept long enough is forgotten, and nothing else.
func TestRetention(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, ah *apptest.House) {
		h := open(t, ah)
		admin := h.Actor(authz.RoleAdmin)
		p := person(0)
		h.seed(&p)
		rules := privacy.Rules{Tickets: 12, Customers: 24, Imports: 6, Exports: 6, Deadline: 15}
		if err := h.Privacy.SetRules(h.ctx, h.Actor(authz.RoleHead), rules); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a head sets rules: %v", err)
		}
		if err := h.Privacy.SetRules(h.ctx, admin, privacy.Rules{Tickets: 1, Deadline: 15}); !fault.Is(err, fault.Invalid) {
			t.Errorf("one month: %v", err)
		}
		h.must(h.Privacy.SetRules(h.ctx, admin, rules))
		if pre, err := h.Privacy.Preview(h.ctx, rules); err != nil || pre != (privacy.Preview{}) {
			t.Errorf("today: %+v, %v", pre, err)
		}
		h.c.Advance(400 * 24 * time.Hour)
		q := person(1)
		h.seed(&q)
		pre, err := h.Privacy.Preview(h.ctx, rules)
		if err != nil || pre.Tickets != 4 || pre.Customers != 0 || pre.Imports == 0 {
			t.Errorf("a year later: %+v, %v", pre, err)
		}
		h.must(h.Privacy.Retain(h.ctx)) // by day nothing happens
		if tk, err := h.Tickets.Get(h.ctx, ticket.View(admin), p.tickets[0]); err != nil || !strings.Contains(tk.Title, p.name) {
			t.Errorf("by day: %q, %v", tk.Title, err)
		}
		h.c.Advance(17*time.Hour + 30*time.Minute) // half past two in the morning
		h.must(h.Privacy.Retain(h.ctx))
		h.settle()
		tk, err := h.Tickets.Get(h.ctx, ticket.View(admin), p.tickets[0])
		if err != nil || strings.Contains(tk.Title+tk.Description, p.name) || strings.Contains(tk.Description, p.phone) || tk.ContactID != 0 {
			t.Errorf("old ticket: %+v, %v", tk, err)
		}
		if tk, err := h.Tickets.Get(h.ctx, ticket.View(admin), q.tickets[0]); err != nil || !strings.Contains(tk.Title, q.name) {
			t.Errorf("young ticket: %q, %v", tk.Title, err)
		}
		if c, err := h.Customers.Get(h.ctx, customer.View(admin), p.id); err != nil || c.Name != p.name {
			t.Errorf("the customer himself: %+v, %v", c.Name, err)
		}
		if pre, err := h.Privacy.Preview(h.ctx, rules); err != nil || pre.Tickets != 0 || pre.Imports != 0 {
			t.Errorf("afterwards: %+v, %v", pre, err)
		}
		h.c.Advance(400 * 24 * time.Hour)
		h.must(h.Privacy.Retain(h.ctx))
		h.settle()
		if _, err := h.Customers.Get(h.ctx, customer.View(admin), p.id); !fault.Is(err, fault.NotFound) {
			t.Errorf("two years without business: %v", err)
		}
		for m := range h.raw(p.marks()) {
			t.Errorf("left in %s", m)
		}
		if v, err := event.Verify(h.ctx, h.DB.Read()); err != nil || v.BrokenAt != 0 {
			t.Errorf("trail: %+v, %v", v, err)
		}
		if evs, err := h.Privacy.Applied(h.ctx, 20); err != nil || len(evs) < 3 {
			t.Errorf("recorded: %d, %v", len(evs), err)
		}
	})
}
