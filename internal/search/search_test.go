package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                 "",
		"屏幕碎了":                             "屏幕 幕碎 碎了 了",
		"修":                                "修",
		"好,坏":                              "好 坏",
		"哈哈哈":                              "哈哈 哈",
		"iPhone15屏幕":                       "iphone15 iphone 15 屏幕 幕",
		"ＳＯ－２０２６１１１９":                      "so 20261119 0261119 261119 61119 1119",
		"😀退款😀":                             "退款 款",
		"a\xffb":                           "a b",
		"'; DROP \\ \"x*":                  "drop x",
		"没有  空格。":                          "没有 有 空格 格",
		"12345678901234567890123456789012": "12345678901234567890123456789012 " + suffixes("12345678901234567890123456789012"),
	} {
		want := strings.Fields(want)
		if got := Tokens(in); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("Tokens(%q) = %q, want %q", in, got, want)
		}
	}
}

func postgres() string { return os.Getenv("BIHUAN_TEST_POSTGRES") }

func suffixes(n string) string {
	var out []string
	for i := len(n) - maxSuffix; i <= len(n)-minSuffix; i++ {
		out = append(out, n[i:])
	}
	return strings.Join(out, " ")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":             "",
		"，。":           "",
		"修":            "修*",
		"闭环客服":         "闭环 环客 客服",
		"iphone15屏幕":   "iphone* 15 屏幕",
		"H3C":          "h3c*",
		"1119":         "1119",
		"20261":        "20261*",
		"DD2026":       "dd* 2026*",
		"T20261119-01": "t20261119* 01",
		"x":            "x",
	} {
		var got []string
		for _, term := range Query(in) {
			s := term.Token
			if term.Prefix {
				s += "*"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Query(%q) = %q, want %q", in, got, want)
		}
	}
	if n := len(Query(strings.Repeat("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥", 9))); n > maxTerms {
		t.Errorf("a pasted page makes %d terms", n)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, query string
		want        bool
	}{
		{"客户的 iPhone 15 屏幕碎了", "iphone15屏幕", true},
		{"屏幕是新的，iPhone15 也是", "iphone15屏幕", false},
		{"客服说闭环", "闭环客服", false},
		{"订单ＳＯ－２０２６", "so-2026 订单", true},
		{"退款", "退款 发票", false},
		{"随便", "", true},
	} {
		if got := Verify(c.text, c.query); got != c.want {
			t.Errorf("Verify(%q, %q) = %v", c.text, c.query, got)
		}
	}
}

var texts = map[int64]string{
	1:  "客户反映屏幕碎了，要求退款",
	2:  "iPhone15 屏幕闪烁；订单号 DD20261119000123",
	3:  "𠮷野家的訂單有問題，𰻝𰻝面没有送到",
	4:  "ＡＢＣ公司：發票抬頭錯誤 😀👨‍👩‍👧 done",
	5:  "it's a \\ \"quoted\" :* & | ! <-> text - H3C 交换机",
	6:  "Привет, café München",
	7:  "鿋鿌鿍鿎 新字",
	8:  "修",
	9:  "维修",
	10: "维护与保修条款",
}

func TestMatch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		var docs []Doc
		for id, text := range texts {
			docs = append(docs, Doc{id, text})
		}
		docs = append([]Doc{{1, "旧的内容"}}, docs...)
		err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := Tickets.Put(ctx, tx, 9, "从前的内容"); err != nil {
				return err
			}
			if err := Tickets.Put(ctx, tx, 11, "屏幕"); err != nil {
				return err
			}
			if err := Tickets.PutMany(ctx, tx, docs); err != nil {
				return err
			}
			return Tickets.Delete(ctx, tx, 11)
		})
		if err != nil {
			t.Fatal(err)
		}
		for q, want := range map[string][]int64{
			"屏幕":              {2, 1},
			"退款 屏幕":           {1},
			"iphone15屏幕":      {2},
			"0123":            {2},
			"DD20261119":      {2},
			"20261119":        {2},
			"1119":            nil,
			"𠮷野":              {3},
			"𠮷":               {3},
			"𰻝面":              {3},
			"面":               {3},
			"𰻝":               {3},
			"abc":             {4},
			"ＡＢＣ公司":           {4},
			"发票":              nil,
			"發票":              {4},
			"😀":               nil,
			"it's":            {5},
			`"quoted" \ :* &`: {5},
			"h3c":             {5},
			"交换机":             {5},
			"привет":          {6},
			"café":            {6},
			"münch":           {6},
			"鿍鿎":              {7},
			"鿎":               {7},
			"修":               {10, 9, 8},
			"旧的":              nil,
			"从前":              nil,
			"":                nil,
			"OR AND NOT":      nil,
		} {
			got, err := Tickets.Match(ctx, d.Read(), d.Dialect(), q, 100)
			if err != nil {
				t.Errorf("%q: %v", q, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", q, diff)
			}
		}
		if got, err := Tickets.Match(ctx, d.Read(), d.Dialect(), "屏幕", 1); err != nil || !slices.Equal(got, []int64{2}) {
			t.Errorf("limit 1: %v, %v", got, err)
		}
		var a db.Args
		sub, ok := Customers.MatchSQL(&a, d.Dialect(), "屏幕")
		if !ok {
			t.Error("nothing to look for in 屏幕")
		}
		var n int
		if err := d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM events WHERE id IN (`+sub+`) AND kind <> `+a.Add("x"), a.Values...).Scan(&n); err != nil || n != 0 {
			t.Errorf("sub-select: %d, %v", n, err)
		}
	})
}

// The newest are kept when there are more hits than the cap.
func TestMatchCap(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		var docs []Doc
		for i := range int64(MaxHits + 500) {
			docs = append(docs, Doc{i + 1, fmt.Sprintf("设备无法开机 %d", i)})
		}
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return Tickets.PutMany(ctx, tx, docs) }); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{"开机", "机", "设备无法"} {
			got, err := Tickets.Match(ctx, d.Read(), d.Dialect(), q, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != MaxHits || got[0] != MaxHits+500 || got[MaxHits-1] != 501 || !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) {
				t.Errorf("%s: %d hits from %d to %d", q, len(got), got[0], got[len(got)-1])
			}
		}
	})
}

// Whatever is written into the index comes out of unicode61 as it went in, and
// every part of a text of two Han characters and more is found.
func TestEverythingIsFound(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.New(t)
	ctx := context.Background()
	id := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		id++
		text := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("闭环客服工单0123abcÄ𠮷鿕鿿𰻝々ー가 ，。-'\"\\:*&|😀")), rapid.Rune()), 1, 30, -1).Draw(rt, "text")
		if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return Tickets.Put(ctx, tx, id, text) }); err != nil {
			rt.Fatal(err)
		}
		runs(text, func(han bool, run []rune) {
			q := string(run)
			got, err := Tickets.Match(ctx, d.Read(), d.Dialect(), q, MaxHits)
			if err != nil || !slices.Contains(got, id) {
				rt.Fatalf("%q does not find %q: %v", q, text, err)
			}
		})
		if !Verify(text, text) {
			rt.Fatalf("%q does not contain itself", text)
		}
	})
}

var (
	subjects = strings.Fields("空调 冰箱 洗衣机 路由器 打印机 显示器 服务器 笔记本电脑 热水器 净水器 门锁 摄像头 投影仪 电视机 扫地机器人")
	troubles = strings.Fields("无法开机 屏幕闪烁 噪音很大 漏水严重 连接不上网络 频繁重启 无法打印 按键失灵 充不进电 提示错误代码 安装预约 申请退款 发票抬头错误 配送延迟 外壳破损")
	rest     = []rune("的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色")
)

func synthetic(r *rand.Rand, i int) string {
	var b strings.Builder
	pick := func(ss []string) string { return ss[min(int(r.ExpFloat64()*4), len(ss)-1)] }
	fmt.Fprintf(&b, "%s%s 订单 DD2026%08d ", pick(subjects), pick(troubles), i)
	for range 120 {
		b.WriteRune(rest[min(int(r.ExpFloat64()*60), len(rest)-1)])
		if r.IntN(12) == 0 {
			b.WriteRune('，')
		}
	}
	if i%2000 == 0 {
		b.WriteString("激光雷达")
	}
	return b.String()
}

// go test -run '^$' -bench Match ./internal/search : 100,000 texts of about 150
// characters.
func BenchmarkMatch(b *testing.B) {
	engines := map[string]func() *db.DB{"sqlite": func() *db.DB { d, _ := dbtest.New(b); return d }}
	if server := postgres(); server != "" {
		engines["postgres"] = func() *db.DB { d, _ := dbtest.NewPostgres(b, server); return d }
	}
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			d := open()
			ctx := context.Background()
			r := rand.New(rand.NewPCG(1, 2))
			const n = 100_000
			for from := 0; from < n; from += 2000 {
				var docs []Doc
				for i := from; i < from+2000; i++ {
					docs = append(docs, Doc{int64(i + 1), synthetic(r, i)})
				}
				if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return Tickets.PutMany(ctx, tx, docs) }); err != nil {
					b.Fatal(err)
				}
			}
			if d.Dialect() == db.Postgres {
				d.Read().Exec(ctx, `ANALYZE search_ticket`)
			}
			for _, q := range []struct{ name, text string }{
				{"frequent two", "空调"}, {"everywhere two", "订单"}, {"rare four", "激光雷达"}, {"one", "修"}, {"frequent one", "的"}, {"one in words", "空"}, {"last digits", "7123"}, {"and", "空调 退款"}, {"none", "区块链"},
			} {
				b.Run(q.name, func(b *testing.B) {
					hits := 0
					for b.Loop() {
						ids, err := Tickets.Match(ctx, d.Read(), d.Dialect(), q.text, MaxHits)
						if err != nil {
							b.Fatal(err)
						}
						hits = len(ids)
					}
					b.ReportMetric(float64(hits), "hits")
				})
			}
			b.Run("put", func(b *testing.B) {
				text := synthetic(r, 77)
				for b.Loop() {
					if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return Tickets.Put(ctx, tx, 500, text) }); err != nil {
						b.Fatal(err)
					}
				}
			})
			if d.Dialect() == db.SQLite {
				var size int64
				d.Read().QueryRow(ctx, `SELECT SUM(LENGTH(block)) FROM search_ticket_data`).Scan(&size)
				b.Run("size", func(b *testing.B) { b.ReportMetric(float64(size)/(1<<20), "MB") })
			}
		})
	}
}

func BenchmarkTokens(b *testing.B) {
	text := synthetic(rand.New(rand.NewPCG(1, 2)), 1)
	b.ReportAllocs()
	for b.Loop() {
		Tokens(text)
	}
}
