package importer

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/sheet"
)

// TestSpeed imports BIHUAN_IMPORT_ROWS customers and as many tickets, and says
// how long it takes and how much memory: 100,000 rows should take less than a
// minute on two cores.
func TestSpeed(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("BIHUAN_IMPORT_ROWS"))
	if n == 0 {
		t.Skip("set BIHUAN_IMPORT_ROWS=100000")
	}
	run := func(t *testing.T, h *house) {
		follower := event.NewFollower(h.d) // seals what is recorded, as in the product
		dir := t.TempDir()
		tables := map[Kind]string{Customers: filepath.Join(dir, "customers.csv"), Tickets: filepath.Join(dir, "tickets.xlsx")}
		writeCustomers(t, tables[Customers], n)
		writeTickets(t, tables[Tickets], n)
		for _, k := range Kinds {
			var peak, before uint64
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			before = m.HeapAlloc
			start, cpu := time.Now(), cpuTime()
			sum, err := h.s.Run(h.ctx, h.boss, k, tables[k], Options{Progress: func(Counts) {
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			t.Logf("%s: %d rows in %.1f s (%.1f s of CPU here), %.0f rows/s, heap %d MB before, at most %d MB; %+v", k, n, took.Seconds(), (cpuTime() - cpu).Seconds(), float64(n)/took.Seconds(), before>>20, peak>>20, sum.Counts)
			if sum.Counts.Imported != n {
				t.Errorf("%s: %+v", k, sum.Counts)
				for _, l := range sum.First {
					t.Log(l.Line, l.Say("zh-CN"))
				}
			}
			start = time.Now()
			if err := follower.Drain(h.ctx); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: sealed %.1f s later", k, time.Since(start).Seconds())
		}
		start := time.Now()
		sum, err := h.s.Run(h.ctx, h.boss, Tickets, tables[Tickets], Options{})
		if err != nil || sum.Counts.Skipped != n {
			t.Errorf("again: %+v %v", sum.Counts, err)
		}
		t.Logf("tickets again: %.1f s", time.Since(start).Seconds())
		if open := h.count(`SELECT COUNT(*) FROM tickets WHERE is_open = 1`); open != h.count(`SELECT COUNT(*) FROM clocks WHERE state = 'running'`) {
			t.Errorf("%d open tickets", open)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		d, c := dbtest.New(t)
		run(t, newHouse(t, d, c))
	})
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) {
			d, c := dbtest.NewPostgres(t, server)
			run(t, newHouse(t, d, c))
		})
	}
}

// cpuTime is what this process has used, PostgreSQL's own not included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var (
	places  = []string{"广州", "深圳", "佛山", "东莞", "上海", "北京", "杭州", "南京", "成都", "武汉"}
	trades  = []string{"医疗器械", "电子科技", "贸易", "物流", "建筑工程", "餐饮管理", "软件", "机械制造", "服装", "食品"}
	people  = []string{"张伟", "王芳", "李娜", "刘洋", "陈静", "杨帆", "赵磊", "黄敏", "周涛", "吴霞"}
	matters = []string{"设备开机后屏幕不亮，已经按说明书重启三次仍未恢复，请尽快安排工程师上门检查", "发票抬头开错，需要重新开具增值税专用发票并寄回财务部", "物流显示已签收但没有收到货物，请核实派送情况", "询问延保价格和续费流程，希望本周内答复", "系统登录提示密码错误，重置后仍然不能登录，影响仓库出货"}
)

func writeCustomers(t testing.TB, path string, n int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	w := csv.NewWriter(b)
	w.Write(customerHead)
	for i := range n {
		w.Write([]string{fmt.Sprintf("KH%07d", i), "企业", fmt.Sprintf("%s%s%d%s有限公司", places[i%10], people[i/7%10], i, trades[i/10%10]), people[i/3%10],
			fmt.Sprintf("13%d%08d", i%7, (i*7919)%100000000), "F51", []string{"普通", "VIP", "战略"}[i%3], "", "电话", matters[i%5], "一般", "林晓雯", "2024-05-15 10:00:00"})
	}
	w.Flush()
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
}

func writeTickets(t testing.TB, path string, n int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	w, err := sheet.NewWriter(b, sheet.XLSX, "任务")
	if err != nil {
		t.Fatal(err)
	}
	w.Header(ticketHead...)
	at := dbtest.Start.Add(-300 * 24 * time.Hour)
	for i := range n {
		state, due := "已关闭", at.Add(time.Duration(i)*time.Minute/4)
		if i%5 == 0 {
			state = []string{"待处理", "处理中"}[i/5%2]
			due = dbtest.Start.Add(time.Duration(i%9600) * time.Minute)
		}
		w.Row(fmt.Sprintf("RW%08d", i), fmt.Sprintf("KH%07d", (i*31)%n), []string{"咨询", "投诉", "售后", "其他"}[i%4], fmt.Sprintf("%s（%s %d）", matters[i%5], places[i/5%10], i),
			[]string{"高", "中", "低"}[i%3], "售后部", "周志强", due, state, at.Add(time.Duration(i)*time.Minute/5), "客户来电催办，已答复两个工作日内处理")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
}
