package importer

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/sheet"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// house is a company with its rooms: 客服部 and 售后部, a supervisor and an
// engineer.
type house struct {
	t         testing.TB
	ctx       context.Context
	d         *db.DB
	clock     *clock.Fake
	run       *action.Runner
	org       *org.Service
	customers *customer.Service
	tickets   *ticket.Service
	clocks    *sla.Service
	jobs      *job.Queue
	s         *Service

	boss               authz.Actor // 客服主管 of 客服部
	service, repairs   int64       // departments
	engineer, bossUser int64
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newHouse(t, d, c)) })
}

func newHouse(t testing.TB, d *db.DB, c *clock.Fake) *house {
	t.Helper()
	keys, err := crypt.New()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, ctx: context.Background(), d: d, clock: c, run: action.NewRunner(d, nil)}
	h.org = org.New(h.run)
	h.customers = customer.New(h.run, keys)
	store, err := blob.OpenFolder(t.TempDir(), d.Clock())
	if err != nil {
		t.Fatal(err)
	}
	files := blob.NewFiles(h.run, store, 0)
	h.clocks = sla.New(h.run)
	h.tickets = ticket.New(h.run, h.org, h.customers, files, keys, h.clocks)
	h.jobs = job.New(d, job.Config{})
	h.s = New(h.run, h.org, h.customers, h.tickets, files, h.jobs)
	system := authz.System("test")
	h.must(h.run.Do(h.ctx, system, "seed", func(ctx context.Context, a *action.Action) error {
		if err := h.org.Seed(ctx, a); err != nil {
			return err
		}
		return sla.Seed(ctx, a)
	}))
	dept := func(name string) int64 {
		d, ok, err := h.org.DepartmentByName(h.ctx, nil, name)
		if err != nil || !ok {
			t.Fatalf("department %s: %v", name, err)
		}
		return d.ID
	}
	h.service, h.repairs = dept("客服部"), dept("售后部")
	hire := func(login, name, role string, department int64) (id int64) {
		h.must(h.run.Do(h.ctx, system, "hire", func(ctx context.Context, a *action.Action) error {
			r, err := h.org.RoleByCode(ctx, a, role)
			if err != nil {
				return err
			}
			id, err = h.org.AddUser(ctx, a, org.UserInput{Login: login, Name: name, DepartmentID: department, RoleIDs: []int64{r}}, "", false)
			return err
		}))
		return id
	}
	h.bossUser = hire("lin", "林晓雯", authz.RoleAdmin, h.service)
	h.engineer = hire("zhou", "周志强", authz.RoleEngineer, h.repairs)
	if h.boss, err = h.org.Actor(h.ctx, h.bossUser); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) count(query string, args ...any) (n int64) {
	h.t.Helper()
	h.must(h.d.Read().QueryRow(h.ctx, query, args...).Scan(&n))
	return n
}

func (h *house) text(query string, args ...any) (s string) {
	h.t.Helper()
	h.must(h.d.Read().QueryRow(h.ctx, query, args...).Scan(&s))
	return s
}

// file writes rows as a table; the ending of name decides which.
func (h *house) file(name string, rows ...[]string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	f, err := os.Create(path)
	h.must(err)
	defer f.Close()
	if strings.HasSuffix(name, ".xlsx") {
		w, err := sheet.NewWriter(f, sheet.XLSX, "登记表")
		h.must(err)
		for _, r := range rows {
			values := make([]any, len(r))
			for i, v := range r {
				values[i] = v
			}
			h.must(w.Row(values...))
		}
		h.must(w.Close())
		return path
	}
	w := csv.NewWriter(f)
	h.must(w.WriteAll(rows))
	return path
}

// result reads a result file as line -> result and reason.
func (h *house) result(path string) map[string]string {
	h.t.Helper()
	f, err := os.Open(path)
	h.must(err)
	defer f.Close()
	info, err := f.Stat()
	h.must(err)
	r, err := sheet.Open(path, f, info.Size(), sheet.Limits{})
	h.must(err)
	defer r.Close()
	out := map[string]string{}
	width := 0
	for {
		row, _, err := r.Next()
		if err == io.EOF {
			return out
		}
		h.must(err)
		if width == 0 {
			width = len(row)
			if got := strings.Join(row[width-3:], " "); got != "行号 结果 原因" {
				h.t.Errorf("heading of the result: %q", got)
			}
			continue
		}
		for len(row) < width {
			row = append(row, "")
		}
		out[row[width-3]] = strings.TrimSpace(row[width-2] + " " + row[width-1])
		if strings.Contains(row[width-1], "⟦") || strings.Contains(row[width-1], "{") {
			h.t.Errorf("untold reason %q", row[width-1])
		}
	}
}

var customerHead = []string{"客户ID", "客户类型", "客户名称", "联系人", "联系方式", "所属行业", "客户等级", "历史服务记录", "需求来源", "需求描述", "紧急程度", "登记人", "登记时间"}

// messy is a 客户信息登记表 as people keep them.
func messy() [][]string {
	return [][]string{
		{"客户信息登记表"},
		{"填表部门：客服部", "", "填表日期：2024-05-20"},
		customerHead,
		{"C202405150001", "企业", "广州南粤医疗器械有限公司", "黎嘉敏（女士）", "１３８１２３４５６７８", "C35", "VIP", "2023年维修一次", "转介绍", "想了解延保", "紧急", "林晓雯", "2024年5月15日"}, // 4
		{"K-17", "个人客户", "王 小明", "", "13900000001/010-12345678 邮箱 wang@example.com", "", "普通客户", "", "朋友圈", "", "", "已离职的老张", "2024/5/15 9:30"}, // 5: unknown source
		{"7", "企业客户", "深圳市华强电子有限公司", "张工、李工", "13700000001、13700000002", "互联网", "重要", "", "电话", "报价", "一般", "", "45427"},                        // 6: unknown industry
		{"C004", "企业", "上海某某有限公司", "钱经理", "12345", "", "", "", "", "", "", "", "2024-05-15"},                                                    // 7: 12345 is a hotline
		{"C005", "企业", "北京坏号码有限公司", "孙经理", "8601338x", "", "", "", "", "", "", "", ""},                                                          // 8: bad phone
		{"C006", "企业", "", "孙经理", "13600000006", "", "", "", "", "", "", "", ""},                                                                // 9: no name
		{"C007", "企业", "天津重复电话有限公司", "赵经理", "138-1234-5678", "", "", "", "", "", "", "", ""},                                                    // 10: phone of line 4
		{"C008", "", "成都日期错误有限公司", "周经理", "13600000008", "", "", "", "", "", "", "", "2024-13-45"},                                              // 11
		customerHead, // 12: printed again on the next page
		{"c202405150001", "企业", "广州南粤医疗器械有限公司", "黎嘉敏", "13611112222", "", "", "", "", "", "", "", ""}, // 13: number again
		{"=1+2", "个人", "李雷", "", "13600000099", "", "", "", "", "", "", "", ""},                       // 14
	}
}

func TestCustomers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, name := range []string{"登记表.xlsx", "登记表.csv"} {
			path := h.file(name, messy()...)
			before := h.count(`SELECT COUNT(*) FROM customers`)
			dry, err := h.s.Run(h.ctx, h.boss, Customers, path, Options{DryRun: true})
			h.must(err)
			if n := h.count(`SELECT COUNT(*) FROM customers`); n != before {
				t.Fatalf("a trial has written %d customers", n-before)
			}
			sum, err := h.s.Run(h.ctx, h.boss, Customers, path, Options{})
			h.must(err)
			if dry.Counts != sum.Counts {
				t.Errorf("%s: trial %+v, then %+v", name, dry.Counts, sum.Counts)
			}
			got := h.result(sum.Result)
			want := map[string]string{
				"4": "已导入", "5": "已导入，请留意 “需求来源”的内容“朋友圈”无法识别，已记入备注",
				"6": "已导入，请留意 行业“互联网”不在国民经济行业分类中，已记入备注", "7": "已导入",
				"8": "未导入 联系方式不是有效的电话或邮箱：****1338x", "9": "未导入 “客户名称”为空",
				"10": "已跳过 电话与表中前面的客户相同：广州南粤医疗器械有限公司", "11": "未导入 “登记时间”不是能识别的日期：2024-13-45。请写成 2024-05-15 或 2024-05-15 09:30",
				"13": "已跳过 与表中前面的一行重复", "14": "已导入",
			}
			if name == "登记表.csv" { // the same table again, in another format
				want = map[string]string{"4": "已跳过 以前已经导入过", "5": "已跳过 以前已经导入过", "6": "已跳过 以前已经导入过", "7": "已跳过 以前已经导入过",
					"8": want["8"], "9": want["9"], "10": "已跳过 电话与已有客户相同：C202405150001 广州南粤医疗器械有限公司", "11": want["11"], "13": "已跳过 以前已经导入过", "14": "已跳过 以前已经导入过"}
			}
			for line, w := range want {
				if !strings.HasPrefix(got[line], w) {
					t.Errorf("%s line %s: %q, want %q", name, line, got[line], w)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d rows in the result, want %d: %v", name, len(got), len(want), got)
			}
		}
		if n := h.count(`SELECT COUNT(*) FROM customers`); n != 5 {
			t.Errorf("%d customers, want 5", n)
		}
		sc := customer.View(h.boss)
		find := func(text string) customer.Customer {
			t.Helper()
			found, err := h.customers.Search(h.ctx, sc, text, 5)
			h.must(err)
			if len(found) == 0 {
				t.Fatalf("%s is not found", text)
			}
			c, err := h.customers.Get(h.ctx, sc, found[0].ID)
			h.must(err)
			return c
		}
		c := find("13812345678")
		if c.Number != "C202405150001" || c.Level != customer.VIP || c.Source != "referral" || c.Industry != "C35" || c.Primary().Gender != "female" || c.Primary().Name != "黎嘉敏" ||
			len(c.Needs) != 1 || c.Needs[0].Urgency != "urgent" || c.CreatedAt != time.Date(2024, 5, 14, 16, 0, 0, 0, time.UTC) || c.CreatedBy != h.bossUser {
			t.Errorf("first customer: %+v", c)
		}
		phone, err := h.customers.Reveal(h.ctx, h.boss, c.Primary().ID, customer.Phone, "test")
		h.must(err)
		if phone != "13812345678" {
			t.Errorf("phone %q", phone)
		}
		es, _, err := journal.Of(h.ctx, h.d.Read(), journal.Place{Customer: c.ID}, journal.Page{})
		h.must(err)
		if len(es) != 1 || !strings.Contains(es[0].Body, "2023年维修一次") {
			t.Errorf("history: %+v", es)
		}
		if w := find("王小明"); w.Number != "K-17" || w.Type != customer.Person || len(w.Contacts) != 2 || w.Contacts[0].Email == "" || !strings.Contains(w.Remark, "朋友圈") || w.CreatedByName != "已离职的老张" {
			t.Errorf("person: %+v", w)
		}
		hq := find("华强")
		if hq.Number == "7" || !strings.HasPrefix(hq.Number, "C2026") || hq.Contacts[1].Name != "李工" || hq.CreatedAt.In(time.FixedZone("", 8*3600)).Format("2006-01-02") != "2024-05-15" {
			t.Errorf("company: %+v", hq)
		}
		if x := find("李雷"); x.Number == "=1+2" {
			t.Error("a formula became a number")
		} else if x.Number == hq.Number {
			t.Error("one number twice")
		}
		if n := h.count(`SELECT COUNT(*) FROM events WHERE kind = $1`, customer.ImportedKind); n != 5 {
			t.Errorf("%d events of customers", n)
		}
		if n := h.count(`SELECT COUNT(*) FROM events WHERE kind IN ($1, $2)`, Started, Finished); n != 4 {
			t.Errorf("%d events of imports", n)
		}
		// The old ID finds him, here and in tables of tickets.
		byID, byName, err := h.customers.Targets(h.ctx, h.d.Read(), sc, []string{"7", "k-17", "nobody"}, []string{"李雷"})
		h.must(err)
		if len(byID["7"]) != 1 || byID["7"][0].ID != hq.ID || len(byID["k-17"]) != 1 || len(byID["nobody"]) != 0 || len(byName["李雷"]) != 1 {
			t.Errorf("targets: %v %v", byID, byName)
		}
		// The counter passes over the numbers that were brought along.
		fresh, err := h.customers.Create(h.ctx, h.boss, customer.Input{Type: customer.Person, Name: "新客户", Contacts: []customer.ContactInput{{Phone: "13511110000"}}})
		h.must(err)
		if fresh.Number == hq.Number {
			t.Error("one number twice")
		}
	})
}

var ticketHead = []string{"任务ID", "客户ID", "需求类型", "需求描述", "优先级", "分配部门", "分配人员", "截止时间", "当前状态", "创建时间", "备注"}

func TestTickets(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, err := h.s.Run(h.ctx, h.boss, Customers, h.file("c.csv", customerHead,
			[]string{"C001", "企业", "广州南粤医疗器械有限公司", "黎嘉敏", "13812345678"}, []string{"9", "个人", "王小明", "", "13812345679"}), Options{})
		h.must(err)
		path := h.file("tasks.xlsx", ticketHead,
			[]string{"T-1001", "C001", "售后", "设备开机后屏幕不亮。已经重启过", "高", "售后部", "周志强", "2026-11-25", "处理中", "2026/11/18 9:30", "客户很着急"}, // 2
			[]string{"T-1002", "9", "投诉", "物流太慢", "", "售后部", "", "2026-11-01 12:00", "待处理", "2026-10-28", ""},                       // 3: late
			[]string{"T-1003", "C001", "咨询", "如何开票", "低", "", "", "", "已关闭（电话确认）", "2026-05-01", ""},                                // 4
			[]string{"T-1004", "C001", "售后", "更换电池", "中", "售后部", "已离职的老张", "2026-06-01", "已完成", "2026-05-20", ""},                   // 5: somebody who left
			[]string{"T-1005", "C001", "售后", "更换主板", "中", "外星部", "", "", "待处理", "", ""},                                             // 6: unknown department
			[]string{"T-1006", "C001", "售后", "更换主板", "中", "售后部", "无名氏", "", "待处理", "", ""},                                          // 7: unknown person
			[]string{"T-1007", "C999", "售后", "更换主板", "中", "售后部", "", "", "待处理", "", ""},                                             // 8: unknown customer
			[]string{"T-1008", "C001", "技术支持", "装不上驱动", "中", "售后部", "", "", "处理中", "", ""},                                          // 9: nobody works on it; unknown type
			[]string{"T-1009", "C001", "售后", "寄回检测", "紧急", "售后部", "周志强", "2026-11-30", "待客户补充", "2026-11-10", ""},                   // 10
			[]string{"T-1010", "C001", "售后", "已换新", "紧急", "售后部", "周志强", "2026-11-30", "待客户确认", "2026-11-10", ""},                    // 11
			[]string{"T-1011", "C001", "售后", "不要了", "中", "售后部", "", "", "已取消（重复登记错误）", "2026-11-10", ""},                            // 12
			[]string{"T-1012", "C001", "售后", "", "中", "售后部", "", "", "待处理", "", ""},                                                 // 13: empty
			[]string{"T-1013", "C001", "售后", "林晓雯不在售后部", "中", "售后部", "林晓雯", "", "待处理", "", ""},                                      // 14
			[]string{"", "C001", "售后", "没有编号", "中", "售后", "", "", "", "", ""},                                                       // 15: department without 部
			[]string{"", "C001", "售后", "没有编号", "中", "售后", "", "", "", "", ""},                                                       // 16: the same again
		)
		sum, err := h.s.Run(h.ctx, h.boss, Tickets, path, Options{})
		h.must(err)
		got := h.result(sum.Result)
		for line, want := range map[string]string{
			"2": "已导入", "3": "已导入", "4": "已导入", "5": "已导入", "6": "未导入 没有名为“外星部”的部门", "7": "未导入 “分配人员”找不到（或有重名）：无名氏",
			"8": "未导入 找不到客户 C999，请先导入客户信息登记表", "9": "已导入，请留意 “需求类型”的内容“技术支持”无法识别，已记入备注；“处理中”的工单没有处理人，按“待处理”导入",
			"10": "已导入", "11": "已导入", "12": "已导入", "13": "未导入 “需求描述”为空", "14": "未导入 林晓雯 不在该部门，或没有处理工单的权限", "15": "已导入", "16": "已跳过 与表中前面的一行",
		} {
			if !strings.HasPrefix(got[line], want) {
				t.Errorf("line %s: %q, want %q", line, got[line], want)
			}
		}
		by := func(n string) ticket.Ticket {
			t.Helper()
			x, err := h.tickets.ByNumber(h.ctx, ticket.View(authz.System("")), n)
			h.must(err)
			return x
		}
		a := by("T-1001")
		if a.State != ticket.InProgress || a.AssigneeID != h.engineer || a.Title != "设备开机后屏幕不亮" || a.Priority != "high" || a.DepartmentID != h.repairs ||
			a.DueClock != sla.Resolution || a.DueAt != time.Date(2026, 11, 25, 15, 59, 59, 0, time.UTC) || a.Overdue || a.CreatedAt != time.Date(2026, 11, 18, 1, 30, 0, 0, time.UTC) {
			t.Errorf("T-1001: %+v", a)
		}
		es, _, err := journal.Of(h.ctx, h.d.Read(), journal.Place{Ticket: a.ID}, journal.Page{})
		h.must(err)
		if len(es) != 2 || es[0].Body != "客户很着急" || es[1].Moved().Event != ticket.EventImported {
			t.Errorf("journal of T-1001: %+v", es)
		}
		late := by("T-1002")
		if !late.Overdue || late.State != ticket.Pending || late.DueAt != time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC) || late.AssigneeID != 0 {
			t.Errorf("T-1002: %+v", late)
		}
		if x := by("T-1003"); x.State != ticket.Closed || x.Outcome != ticket.OutcomePhone || x.ClosedAt.IsZero() {
			t.Errorf("T-1003: %+v", x)
		}
		if x := by("T-1004"); x.State != ticket.Completed || x.Outcome != ticket.OutcomeImported || x.AssigneeName != "已离职的老张" || x.AssigneeID != 0 {
			t.Errorf("T-1004: %+v", x)
		}
		if x := by("T-1009"); x.State != ticket.WaitingCustomer || x.DueClock != sla.CustomerReply {
			t.Errorf("T-1009: %+v", x)
		}
		if x := by("T-1010"); x.State != ticket.AwaitingConfirmation || x.DueClock != sla.Confirmation {
			t.Errorf("T-1010: %+v", x)
		}
		if x := by("T-1011"); x.State != ticket.Cancelled || x.CancelReason != "mistake" {
			t.Errorf("T-1011: %+v", x)
		}
		// Every open ticket has a running clock, and none sounds an alarm now.
		if n := h.count(`SELECT COUNT(*) FROM tickets t WHERE is_open = 1 AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`); n != 0 {
			t.Errorf("%d open tickets without a running clock", n)
		}
		fired, err := h.clocks.Sweep(h.ctx)
		h.must(err)
		if fired != 0 {
			t.Errorf("%d alarms at once", fired)
		}
		if n := h.count(`SELECT COALESCE(SUM(open), 0) FROM ticket_load WHERE user_id = $1`, h.engineer); n != 3 {
			t.Errorf("load of the engineer %d, want 3", n)
		}
		if open, total := h.count(`SELECT open_tickets FROM customers WHERE number = 'C001'`), h.count(`SELECT total_tickets FROM customers WHERE number = 'C001'`); open != 5 || total != 8 {
			t.Errorf("customer counts %d of %d", open, total)
		}
		page, err := h.tickets.List(h.ctx, ticket.View(authz.System("")), ticket.Filter{Text: "屏幕"})
		h.must(err)
		if len(page.Rows) != 1 {
			t.Errorf("search finds %d", len(page.Rows))
		}
		// The clocks go on as those of any ticket: acknowledged by hand, handled, resolved.
		actor, err := h.org.Actor(h.ctx, h.engineer)
		h.must(err)
		_, err = h.tickets.Do(h.ctx, actor, a.ID, ticket.RequestConfirmation, ticket.Input{Solution: "更换屏幕"})
		h.must(err)
		// Unknown people and departments go to the default when that is asked for.
		sum, err = h.s.Run(h.ctx, h.boss, Tickets, path, Options{Unknown: UseDefault, Default: "售后部", Result: filepath.Join(t.TempDir(), "r.xlsx")})
		h.must(err)
		got = h.result(sum.Result)
		for line, want := range map[string]string{"2": "已跳过 以前已经导入过", "6": "已导入，请留意 没有名为“外星部”的部门，已归入默认部门", "7": "已导入，请留意", "14": "已导入，请留意 林晓雯"} {
			if !strings.HasPrefix(got[line], want) {
				t.Errorf("line %s: %q, want %q", line, got[line], want)
			}
		}
		if x := by("T-1005"); x.DepartmentID != h.repairs {
			t.Errorf("T-1005: %+v", x)
		}
		// A ticket registered now passes over numbers that came along.
		day := h.d.Clock().Now().In(time.FixedZone("", 8*3600)).Format("20060102")
		_, err = h.s.Run(h.ctx, h.boss, Tickets, h.file("x.csv", ticketHead, []string{"TASK" + day + "002", "C001", "售后", "占号", "", "", "", "", "", "", ""}), Options{})
		h.must(err)
		for range 3 {
			_, err := h.tickets.Register(h.ctx, h.boss, ticket.RegisterInput{Title: "新", Type: "other", Urgency: "normal", Channel: "phone", CustomerID: a.CustomerID})
			h.must(err)
		}
		if r, err := event.Verify(h.ctx, h.d.Read()); err != nil || r.BrokenAt != 0 {
			t.Errorf("audit chain: %+v %v", r, err)
		}
	})
}

func many(n int) [][]string {
	rows := [][]string{customerHead}
	for i := range n {
		rows = append(rows, []string{fmt.Sprintf("OLD-%06d", i), "企业", fmt.Sprintf("广州第%d号贸易有限公司", i), "张三", fmt.Sprintf("138%08d", i), "F51", "普通", "", "电话", "想了解产品", "一般", "林晓雯", "2024-05-15 10:00:00"})
	}
	return rows
}

// TestKilled stops an import between two batches and begins again.
func TestKilled(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		path := h.file("many.csv", many(1700)...)
		ctx, cancel := context.WithCancel(h.ctx)
		_, err := h.s.Run(ctx, h.boss, Customers, path, Options{Progress: func(c Counts) {
			if c.Rows >= 1000 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled import: %v", err)
		}
		if n := h.count(`SELECT COUNT(*) FROM customers`); n != 1000 {
			t.Errorf("%d customers after the kill, want 1000", n)
		}
		sum, err := h.s.Run(h.ctx, h.boss, Customers, path, Options{})
		h.must(err)
		if c := sum.Counts; c.Imported != 700 || c.Skipped != 1000 {
			t.Errorf("second run: %+v", c)
		}
		if n := h.count(`SELECT COUNT(*) FROM customers`); n != 1700 {
			t.Errorf("%d customers, want 1700", n)
		}
	})
}

// TestBackground is an import in the browser, killed and taken up by another
// worker.
func TestBackground(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		rows := many(1700)
		rows[900][4] = "坏号码"
		h.must(w.WriteAll(rows))
		i, err := h.s.Upload(h.ctx, h.boss, Customers, `C:\表\登记表.csv`, bytes.NewReader(b.Bytes()), int64(b.Len()))
		h.must(err)
		p, err := h.s.Preview(h.ctx, h.boss, i)
		h.must(err)
		if len(p.Rows) != 20 || p.Problem != nil || p.Rows[0].Result != Imported || p.Rows[0].Line.Line != 2 || p.Rows[0].Read[5] == "" && p.Rows[0].Cells[5] != "F51" {
			t.Errorf("preview: %d rows, %v, %+v", len(p.Rows), p.Problem, p.Rows[0])
		}
		if err := h.s.Start(h.ctx, h.boss, i.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("started without a trial: %v", err)
		}
		h.must(h.s.Check(h.ctx, h.boss, i.ID))
		if _, err := h.jobs.RunDue(h.ctx); err != nil {
			t.Fatal(err)
		}
		get := func() Import {
			t.Helper()
			i, err := h.s.Get(h.ctx, View(h.boss), i.ID)
			h.must(err)
			return i
		}
		if x := get(); x.State != Checked || x.Counts.Total != 1700 || x.Counts.Failed != 1 || x.Counts.Imported != 1699 {
			t.Fatalf("trial: %+v", x)
		}
		h.must(h.s.Start(h.ctx, h.boss, i.ID))
		if err := h.s.Start(h.ctx, h.boss, i.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("started twice: %v", err)
		}
		// A worker that dies after the second batch.
		dying := errors.New("died")
		x := get()
		src, c, err := h.s.stored(h.ctx, x)
		h.must(err)
		n := 0
		err = h.s.each(h.ctx, x.Kind, h.boss, src, x.Setup, x.Line, func(ctx context.Context, b *batch) error {
			if n++; n > 2 {
				return dying
			}
			return h.s.take(ctx, h.boss, &x, b)
		})
		c.Close()
		if !errors.Is(err, dying) {
			t.Fatal(err)
		}
		if x := get(); x.State != Running || x.Counts.Rows != 1000 || x.Line != 1001 {
			t.Fatalf("after the death: %+v", x)
		}
		if _, err := h.jobs.RunDue(h.ctx); err != nil {
			t.Fatal(err)
		}
		x = get()
		if x.State != Done || x.Counts.Imported != 1699 || x.Counts.Failed != 1 || x.Counts.Skipped != 0 || x.ResultID == 0 {
			t.Fatalf("finished: %+v", x)
		}
		if n := h.count(`SELECT COUNT(*) FROM customers`); n != 1699 {
			t.Errorf("%d customers", n)
		}
		f, content, err := h.s.OpenResult(h.ctx, h.boss, i.ID)
		h.must(err)
		raw, err := io.ReadAll(content)
		h.must(err)
		content.Close()
		if f.Name != "登记表-导入结果.csv" || bytes.Count(raw, []byte("\n")) != 1701 || !bytes.Contains(raw, []byte("901,未导入,联系方式不是有效的电话或邮箱：坏号码")) {
			t.Errorf("result %s: %d lines", f.Name, bytes.Count(raw, []byte("\n")))
		}
		// An engineer sees none of it; neither does he import.
		actor, err := h.org.Actor(h.ctx, h.engineer)
		h.must(err)
		if _, _, err := h.s.OpenResult(h.ctx, actor, i.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("an engineer reads the result: %v", err)
		}
		if _, err := h.s.Upload(h.ctx, actor, Customers, "x.csv", bytes.NewReader(b.Bytes()), int64(b.Len())); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an engineer imports: %v", err)
		}
		// Tables show numbers in clear: of somebody else's only to who may reveal, and
		// every reading is on record.
		other := h.boss
		other.ID = h.engineer
		other.Levels = maps.Clone(h.boss.Levels)
		other.Levels[Perm], other.Levels[customer.PermReveal] = authz.All, authz.None
		if _, _, err := h.s.OpenResult(h.ctx, other, i.ID); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a table in clear without the right to reveal: %v", err)
		}
		other.Levels[customer.PermReveal] = authz.All
		_, content, err = h.s.OpenResult(h.ctx, other, i.ID)
		h.must(err)
		content.Close()
		if n := h.count(`SELECT COUNT(*) FROM events WHERE kind = 'import.downloaded'`); n != 2 {
			t.Errorf("%d readings on record, want 2", n)
		}
		// After a month the files are gone.
		h.clock.Advance(31 * 24 * time.Hour)
		h.must(h.s.Sweep(h.ctx))
		if x := get(); x.FileID != 0 || x.ResultID != 0 || x.State != Done {
			t.Errorf("after a month: %+v", x)
		}
	})
}

func TestBadFiles(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		gbk := func(s string) []byte {
			b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(s))
			h.must(err)
			return b
		}
		for _, c := range []struct {
			name    string
			content []byte
			want    string
			args    string
		}{
			{"empty.csv", nil, "sheet.empty", ""},
			{"gbk-wrong-header.csv", gbk("姓甚名谁,打哪儿来\r\n张三,北京\r\n"), "importer.header.none", "客户名称、联系方式（或邮箱）"},
			{"gbk-one-missing.csv", gbk("客户名称,所属行业\r\n张三,教育\r\n"), "importer.header.missing", "联系方式（或邮箱）"},
			{"fake.xlsx", []byte("\x89PNG\r\n\x1a\n0000"), "sheet.not_a_spreadsheet", ""},
			{"truncated.xlsx", []byte("PK\x03\x04 and nothing more"), "sheet.damaged", ""},
		} {
			path := filepath.Join(t.TempDir(), c.name)
			h.must(os.WriteFile(path, c.content, 0o600))
			_, err := h.s.Run(h.ctx, h.boss, Customers, path, Options{})
			e, ok := fault.As(err)
			if !ok || e.Key != c.want || !strings.Contains(fmt.Sprint(e.Args...), c.args) {
				t.Errorf("%s: %v", c.name, err)
			}
			if strings.HasPrefix(c.want, "importer.") {
				continue // shown with the preview
			}
			_, err = h.s.Upload(h.ctx, h.boss, Customers, c.name, bytes.NewReader(c.content), int64(len(c.content)))
			if e, ok := fault.As(err); !ok || len(e.Fields) != 1 || e.Fields[0].Field != "file" || e.Fields[0].Key != c.want {
				t.Errorf("%s uploaded: %v", c.name, err)
			}
		}
		if _, err := h.s.Upload(h.ctx, h.boss, Customers, "large.csv", bytes.NewReader(nil), MaxBytes+1); err == nil || !strings.Contains(err.Error(), "too_large") {
			t.Errorf("large: %v", err)
		}
		// GBK with other names for the columns, and a mapping by hand.
		path := filepath.Join(t.TempDir(), "gbk.csv")
		h.must(os.WriteFile(path, gbk("公司名称,手机,座机,谁登记的\r\n广州小店,13800001111,020-38880000,老王\r\n"), 0o600))
		sum, err := h.s.Run(h.ctx, h.boss, Customers, path, Options{Mapping: map[string]string{"谁登记的": "登记人"}})
		h.must(err)
		if sum.Counts.Imported != 1 || h.count(`SELECT COUNT(*) FROM contacts`) != 2 || h.text(`SELECT created_by_name FROM customers`) != "老王" {
			t.Errorf("GBK: %+v", sum)
		}
		if n := h.count(`SELECT COUNT(*) FROM imports WHERE state = 'running'`); n != 0 {
			t.Errorf("%d imports left running", n)
		}
	})
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for k, cs := range columns {
		for _, c := range cs {
			for _, l := range i18n.Langs {
				name := i18n.T(l, c.Key(k))
				if strings.Contains(name, "⟦") {
					t.Errorf("%s", name)
				}
				if f := fieldOf(k, name); f != c.Field {
					t.Errorf("%s: the column %q is taken for %q, not %q", k, name, f, c.Field)
				}
			}
		}
	}
	keys := append([]string{}, Events...)
	for i, e := range keys {
		keys[i] = "event." + e
	}
	for _, k := range append(keys, "perm.area.importer", "perm."+string(Perm)) {
		if !i18n.Has(k) {
			t.Errorf("no text for %s", k)
		}
	}
	have := map[string]bool{}
	for _, k := range i18n.Keys(i18n.En) {
		have[k] = true
	}
	for _, k := range i18n.Keys(i18n.ZhCN) {
		if strings.HasPrefix(k, "importer.") && !have[k] {
			t.Errorf("no English for %s", k)
		}
	}
}

// Tags are those of the company's list; others are said and kept as a remark.
func TestTicketTags(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, err := h.s.Run(h.ctx, h.boss, Customers, h.file("c.csv", customerHead, []string{"C001", "企业", "广州南粤医疗器械有限公司", "黎嘉敏", "13812345678"}), Options{})
		h.must(err)
		tag, err := h.tickets.SaveTag(h.ctx, h.boss, 0, "夜间", "violet")
		h.must(err)
		tagged, err := h.s.Run(h.ctx, h.boss, Tickets, h.file("tags.csv", append(slices.Clone(ticketHead), "标签"), []string{"T-2001", "C001", "售后", "带标签的", "中", "售后部", "", "", "待处理", "", "", "夜间、没有的"}), Options{})
		h.must(err)
		if got := h.result(tagged.Result)["2"]; !strings.HasPrefix(got, "已导入，请留意 “标签”的内容“没有的”无法识别") {
			t.Errorf("tags: %q", got)
		}
		if x, err := h.tickets.ByNumber(h.ctx, ticket.View(authz.System("")), "T-2001"); err != nil || !x.Tags.Has(tag) {
			t.Errorf("tags: %q %v", x.Tags, err)
		}
	})
}
