package customer_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/sheet"
)

// BenchmarkExport writes the usual columns of BIHUAN_ROWS customers (20,000) into
// a workbook, and says how fast and in how much memory. One round is one export:
//
//	BIHUAN_ROWS=1000000 go test ./internal/customer -run - -bench Export -benchtime 1x -timeout 1h
func BenchmarkExport(b *testing.B) {
	engines := map[string]func() (*db.DB, *clock.Fake){"sqlite": func() (*db.DB, *clock.Fake) { return dbtest.New(b) }}
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		engines["postgres"] = func() (*db.DB, *clock.Fake) { return dbtest.NewPostgres(b, server) }
	}
	rows, _ := strconv.Atoi(os.Getenv("BIHUAN_ROWS"))
	if rows == 0 {
		rows = 20_000
	}
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			d, c := open()
			t := &testing.T{}
			w := newWorld(t, d, c)
			o := newOfficeIn(w, b.TempDir())
			seedMany(w, rows)
			below := w.head
			below.Under = []int64{1, 2}
			customer.ActFor(w.s, people{below.ID: below})
			b.ResetTimer()
			for range b.N {
				e, err := w.s.AskExport(w.ctx, below, customer.NewExport{Format: sheet.XLSX, Reason: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				var peak atomic.Uint64
				done := make(chan struct{})
				go func() {
					for {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak.Store(max(peak.Load(), m.HeapInuse))
						select {
						case <-done:
							return
						case <-time.After(50 * time.Millisecond):
						}
					}
				}()
				start := time.Now()
				o.queue.RunDue(w.ctx)
				took := time.Since(start)
				close(done)
				if e, err = w.s.Export(w.ctx, below, e.ID); err != nil || e.Done != int64(rows) {
					b.Fatal(e.State, e.Done, err)
				}
				b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
				b.ReportMetric(float64(peak.Load())/(1<<20), "MiB-peak-heap")
				b.ReportMetric(float64(e.Size)/(1<<20), "MiB-file")
			}
		})
	}
}

// seedMany writes customers with a contact and, some of them, a tag.
func seedMany(w *world, n int) {
	w.exec(`INSERT INTO tags (id, name, colour, created_at) VALUES (1, '重点', 'red', 0)`)
	for from := 1; from <= n; from += 5000 {
		err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			var rows, contacts, tags []any
			for i := from; i < min(from+5000, n+1); i++ {
				at := db.Micros(w.clock.Now().Add(-time.Duration(i) * time.Second))
				rows = append(rows, i, fmt.Sprintf("C%08d", i), "company", fmt.Sprintf("广州南粤医疗器械第%d有限公司", i), fmt.Sprintf("k%d", i), "C35", 1+i%6, 1+i%2, at, at, at)
				contacts = append(contacts, i, i, "黎嘉敏", "138****5678", "l***@example.com", 1, at, at)
				if i%3 == 0 {
					tags = append(tags, i, 1)
				}
			}
			if err := tx.InsertMany(ctx, `INSERT INTO customers (id, number, type, name, name_key, industry, owner_id, department_id, created_at, updated_at, activity_at)`, "", 11, rows); err != nil {
				return err
			}
			if err := tx.InsertMany(ctx, `INSERT INTO contacts (id, customer_id, name, phone_masked, email_masked, is_primary, created_at, updated_at)`, "", 8, contacts); err != nil {
				return err
			}
			return tx.InsertMany(ctx, `INSERT INTO customer_tags (customer_id, tag_id)`, "", 2, tags)
		})
		if err != nil {
			panic(err)
		}
	}
	if err := w.d.Analyze(w.ctx, "customers", "contacts", "customer_tags", "departments"); err != nil {
		panic(err)
	}
}

// BenchmarkLists asks for the first page of usual lists among BIHUAN_ROWS
// customers, by a head of half of them.
func BenchmarkLists(b *testing.B) {
	engines := map[string]func() (*db.DB, *clock.Fake){"sqlite": func() (*db.DB, *clock.Fake) { return dbtest.New(b) }}
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		engines["postgres"] = func() (*db.DB, *clock.Fake) { return dbtest.NewPostgres(b, server) }
	}
	rows, _ := strconv.Atoi(os.Getenv("BIHUAN_ROWS"))
	if rows == 0 {
		rows = 20_000
	}
	quiet := customer.Node{Field: "activity", Op: customer.OpOlder, Values: []string{"0"}}
	for name, open := range engines {
		d, c := open()
		w := newWorld(&testing.T{}, d, c)
		seedMany(w, rows)
		w.exec(`INSERT INTO tags (id, name, colour, created_at) VALUES (2, '少见', 'blue', 0)`)
		w.exec(`INSERT INTO customer_tags (customer_id, tag_id) SELECT id, 2 FROM customers WHERE id % 5000 = 7`)
		w.exec(`UPDATE customers SET level = 'vip' WHERE id % 200 = 3`)
		for _, f := range []struct {
			name string
			f    customer.Filter
		}{
			{"all", customer.Filter{}},
			{"name", customer.Filter{Sort: customer.SortName}},
			{"rare_tag", customer.Filter{TagID: 2}},
			{"frequent_tag", customer.Filter{TagID: 1}},
			{"vip_and_quiet_or_unowned", customer.Filter{Query: customer.AllOf(customer.Is("level", "vip"), customer.Node{Any: []customer.Node{quiet, {Field: "owner", Op: customer.OpEmpty}}})}},
			{"name_has", customer.Filter{Query: customer.AllOf(customer.Node{Field: "name", Op: customer.OpHas, Values: []string{"1234"}})}},
			{"nobody", customer.Filter{Query: customer.AllOf(customer.Is("region", "无此地"))}},
		} {
			for who, actor := range map[string]authz.Actor{"everything": w.auditor, "department": w.head} {
				b.Run(name+"/"+f.name+"/"+who, func(b *testing.B) {
					for range b.N {
						if _, err := w.s.List(w.ctx, customer.View(actor), f.f); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
