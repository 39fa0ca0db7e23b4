package number_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/number"
	"bihuan/internal/setting"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	// 18:30 UTC is the next day in Shanghai.
	at := time.Date(2024, 5, 14, 18, 30, 0, 0, time.UTC)
	for _, c := range []struct{ template, want, fault string }{
		{template: "C{yyyyMMdd}{4}", want: "C202405150001"},
		{template: "TASK{yyyyMMdd}{3}", want: "TASK20240515001"},
		{template: "PROB{yyyy}{3}", want: "PROB2024001"},
		{template: "{6}", want: "000001"},
		{template: "客户-{yy}{MM}-{5}/A", want: "客户-2405-00001/A"},
		{template: "K{yyyy-MM-dd}{2}", want: "K2024-05-1501"},
		{template: "", fault: "number.template.length"},
		{template: "C{yyyyMMdd}", fault: "number.template.counter"},
		{template: "C{3}{4}", fault: "number.template.counter"},
		{template: "C{0}", fault: "number.template.digits"},
		{template: "C{12}", fault: "number.template.digits"},
		{template: "C{hh}{4}", fault: "number.template.word"},
		{template: "C{yyyy1}{4}", fault: "number.template.word"},
		{template: "C{}{4}", fault: "number.template.word"},
		{template: "C{yyyy", fault: "number.template.brace"},
		{template: "C <b>{4}", fault: "number.template.text"},
	} {
		tpl, err := number.Parse(c.template)
		if f, ok := fault.As(err); ok && f.Key != c.fault || !ok && c.fault != "" {
			t.Errorf("%q: %v, want %q", c.template, err, c.fault)
			continue
		}
		if err == nil && tpl.Example(at) != c.want {
			t.Errorf("%q: %q, want %q", c.template, tpl.Example(at), c.want)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		day := time.Date(2026, 11, 19, 15, 59, 0, 0, time.UTC)
		const template = "C{yyyyMMdd}{4}"
		next := func(at time.Time, n int, fail error) (out []string) {
			t.Helper()
			err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				if out, err = number.Block(ctx, tx, "customer", template, at, n); err != nil {
					return err
				}
				return fail
			})
			if !errors.Is(err, fail) {
				t.Fatal(err)
			}
			return out
		}
		for _, c := range []struct {
			at    time.Time
			n     int
			fail  error
			first string
		}{
			{day, 1, nil, "C202611190001"},
			{day, 1, errors.New("no"), "C202611190002"},
			{day, 2, nil, "C202611190002"}, // what failed was not used up
			{day, 9998, nil, "C202611190004"},
			{day, 1, nil, "C2026111910002"}, // more than four digits when a day is busy
			{day.Add(time.Minute), 1, nil, "C202611200001"},
		} {
			if got := next(c.at, c.n, c.fail); got[0] != c.first || len(got) != c.n {
				t.Errorf("%v: %q, want %q", c.at, got[0], c.first)
			}
		}
	})
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		const writers, each = 8, 25
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					var n string
					err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
						n, err = number.Next(ctx, tx, "customer", "C{yyyyMMdd}{4}", tx.Now)
						return err
					})
					mu.Lock()
					if err != nil || seen[n] {
						t.Error(n, err)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if !seen["C202611190001"] || !seen["C202611190200"] || len(seen) != writers*each {
			t.Errorf("%d numbers, not 0001 to 0200", len(seen))
		}
	})
}

func TestSetting(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		get := func() string {
			s, err := number.Setting(ctx, d.Read(), "customer.number_template", "C{4}")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if got := get(); got != "C{4}" {
			t.Error(got)
		}
		err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			return setting.Write(ctx, tx, "customer.number_template", "KH{6}")
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := get(); got != "KH{6}" {
			t.Error(got)
		}
	})
}
