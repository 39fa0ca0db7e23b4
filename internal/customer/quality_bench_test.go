package customer_test

import (
	"fmt"
	"testing"

	"bihuan/internal/db/dbtest"
)

// What the nightly pass costs for each customer, when nothing has changed and when
// it sees them for the first time.
func BenchmarkCheckQuality(b *testing.B) {
	d, c := dbtest.New(b)
	w := newWorld(b, d, c)
	const n = 2000
	for i := range n {
		in := company(fmt.Sprintf("第%d制造有限公司", i), fmt.Sprintf("139%08d", i*37+11))
		if _, err := w.s.Create(w.ctx, w.agent, in); err != nil {
			b.Fatal(err)
		}
	}
	again := func(b *testing.B, fresh bool) {
		for b.Loop() {
			if fresh {
				for _, t := range []string{"quality_counts", "customer_flaws", "customer_quality"} {
					w.exec(`DELETE FROM ` + t)
				}
			}
			w.exec(`UPDATE quality_pass SET day = ''`)
			if err := w.s.CheckQuality(w.ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/customer")
	}
	b.Run("first", func(b *testing.B) { again(b, true) })
	b.Run("unchanged", func(b *testing.B) { again(b, false) })
}
