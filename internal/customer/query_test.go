package customer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// known is a customer as the test wrote him: what the oracle looks at.
type known struct {
	id, owner, department, creator, parent int64
	text                                   map[string]string // name, number, region, uscc, type, level, …
	at                                     map[string]int64
	open, total, ratings, sum              int64
	address                                bool
	tags                                   []int64
	contacts                               []someone
	product                                string   // custom text
	kinds                                  []string // custom multiple choice
	warranty                               string   // custom date
	budget                                 int64    // custom money, 分; -1 none
	trusted                                bool     // custom yes/no
	gone                                   bool
}

type someone struct {
	name, role, position         string
	phone, email, wechat, active bool
}

// zoo fills a store with customers of every sort and gives the fields of the
// company's own.
func zoo(w *world, r *rand.Rand, n int) (all []known) {
	w.t.Helper()
	admin := authz.System("setup")
	ids := map[string]int64{}
	for _, f := range []field.Field{
		{Code: "product", Kind: field.Text, Label: field.Words{Zh: "产品"}},
		{Code: "kinds", Kind: field.Multi, Label: field.Words{Zh: "品类"}, Options: []field.Choosable{{Code: "x", Zh: "甲"}, {Code: "y", Zh: "乙"}, {Code: "z", Zh: "丙"}}},
		{Code: "warranty", Kind: field.Date, Label: field.Words{Zh: "质保到期"}},
		{Code: "budget", Kind: field.Money, Label: field.Words{Zh: "预算"}},
		{Code: "trusted", Kind: field.Bool, Label: field.Words{Zh: "可信"}},
	} {
		f.Object, f.Filterable, f.Active = field.Customer, true, true
		id, err := w.s.Fields().Save(w.ctx, admin, f)
		if err != nil {
			w.t.Fatal(err)
		}
		ids[f.Code] = id
	}
	w.exec(`INSERT INTO tags (id, name, colour, created_at) VALUES (1, '重点', 'red', 0), (2, '展会', 'blue', 0), (3, '华东', 'gray', 0)`)
	w.exec(`INSERT INTO departments (id, parent_id, name, created_at) VALUES (3, 1, '一组', 0), (4, 3, '夜班', 0)`)
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	now := w.clock.Now()
	// Instants lie on the very edges of days as well.
	when := func(never bool) int64 {
		if never && r.IntN(4) == 0 {
			return 0
		}
		day := time.Date(2026, 11, 19, 0, 0, 0, 0, number.Zone).AddDate(0, 0, r.IntN(400)-360)
		return db.Micros(day.Add([]time.Duration{0, -time.Microsecond, 9 * time.Hour, 23*time.Hour + 59*time.Minute}[r.IntN(4)]))
	}
	_ = now
	err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
		defs, err := w.s.Fields().DefsIn(ctx, tx, i18n.ZhCN, field.Customer)
		if err != nil {
			return err
		}
		contact := int64(0)
		for i := 1; i <= n; i++ {
			k := known{id: int64(i), owner: int64(r.IntN(5)), department: int64(1 + r.IntN(4)), creator: int64(r.IntN(4)), budget: -1, gone: r.IntN(15) == 0}
			if i > 3 && r.IntN(4) == 0 {
				k.parent = int64(1 + r.IntN(3))
			}
			k.text = map[string]string{"name": pick("南粤医疗", "北方", "南方") + pick("科技", "器械", "100%_Ltd", `a\b`) + pick("", "有限公司", "集团"), "number": fmt.Sprintf("C%04d", i),
				"type": pick("company", "person"), "level": pick("normal", "normal", "vip", "strategic"), "grade": pick("", "a", "b", "c"), "stage": pick(customer.Stages...),
				"source": pick("", "phone", "email"), "industry": pick("", "C35", "C39", "I65"), "region": pick("", "广东 广州", "北京"), "uscc": pick("", "91110000600037341L"),
				"website": pick("", "https://a.cn"), "remark": pick("", "VIP 客户", "vip")}
			k.at = map[string]int64{"activity": when(false), "created": when(false), "updated": when(false), "first_contact": when(true), "stage_at": when(true), "planned": when(true), "verified": when(true), "verify": when(true)}
			k.open, k.total = int64(r.IntN(3)), int64(3+r.IntN(3))
			if k.ratings = int64(r.IntN(4)); k.ratings > 0 {
				k.sum = k.ratings + r.Int64N(4*k.ratings+1)
			}
			k.address = r.IntN(2) == 0
			var address, uscc any
			if k.address {
				address = []byte("x")
			}
			if k.text["uscc"] != "" {
				uscc = k.text["uscc"]
			}
			gone := 0
			if k.gone {
				gone = 1
			}
			if _, err := tx.Exec(ctx, `
				INSERT INTO customers (id, number, type, name, name_key, pinyin, uscc, industry, level, grade, stage, stage_at, parent_id, source, region, address_sealed, website, remark, owner_id, department_id,
					first_contact_at, created_by, created_at, updated_at, activity_at, planned_at, verified_at, verify_at, gone, open_tickets, total_tickets, ratings, rating_sum)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)`,
				k.id, k.text["number"], k.text["type"], k.text["name"], customer.NameKey(customer.Type(k.text["type"]), k.text["name"]), fmt.Sprintf("p%d", i%7), uscc, k.text["industry"], k.text["level"], k.text["grade"], k.text["stage"], k.at["stage_at"], k.parent,
				k.text["source"], k.text["region"], address, k.text["website"], k.text["remark"], k.owner, k.department, k.at["first_contact"], k.creator, k.at["created"], k.at["updated"], k.at["activity"],
				k.at["planned"], k.at["verified"], k.at["verify"], gone, k.open, k.total, k.ratings, k.sum); err != nil {
				return err
			}
			for t := range 3 {
				if r.IntN(3) == 0 {
					k.tags = append(k.tags, int64(t+1))
					if _, err := tx.Exec(ctx, `INSERT INTO customer_tags (customer_id, tag_id) VALUES ($1, $2)`, k.id, t+1); err != nil {
						return err
					}
				}
			}
			for range r.IntN(3) {
				contact++
				p := someone{name: pick("黎嘉敏", "黎明", "Bob"), role: pick(append([]string{""}, customer.Roles...)...), position: pick("", "采购经理", "CEO"), phone: r.IntN(2) == 0, email: r.IntN(2) == 0, wechat: r.IntN(3) == 0, active: r.IntN(5) > 0}
				k.contacts = append(k.contacts, p)
				b := func(yes bool) any {
					if yes {
						return []byte("x")
					}
					return nil
				}
				if _, err := tx.Exec(ctx, `INSERT INTO contacts (id, customer_id, name, role, position, phone_sealed, email_sealed, wechat_sealed, active, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0)`,
					contact, k.id, p.name, p.role, p.position, b(p.phone), b(p.email), b(p.wechat), db.Bool(p.active)); err != nil {
					return err
				}
			}
			in := field.Input{}
			give := func(code, v string) { in[ids[code]] = append(in[ids[code]], v) }
			if r.IntN(2) == 0 {
				k.product = pick("泵", "泵站", "阀门 A")
				give("product", k.product)
			}
			for _, c := range []string{"x", "y", "z"} {
				if r.IntN(3) == 0 {
					k.kinds = append(k.kinds, c)
					give("kinds", c)
				}
			}
			if r.IntN(2) == 0 {
				k.warranty = time.Date(2026, 11, 19, 0, 0, 0, 0, number.Zone).AddDate(0, 0, r.IntN(80)-40).Format(time.DateOnly)
				give("warranty", k.warranty)
			}
			if r.IntN(2) == 0 {
				k.budget = int64(r.IntN(5)) * 50
				give("budget", strconv.FormatFloat(float64(k.budget)/100, 'f', 2, 64))
			}
			if k.trusted = r.IntN(2) == 0; k.trusted {
				give("trusted", "1")
			}
			vs, err := w.s.Fields().Check(ctx, tx, defs, k.text["type"], in, field.Mode{New: true})
			if err != nil {
				return err
			}
			if _, err := w.s.Fields().Set(ctx, tx, field.Customer, k.id, vs); err != nil {
				return err
			}
			if err := customer.Reindex(w.s, ctx, tx, k.id); err != nil {
				return err
			}
			all = append(all, k)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func fold(s string) string { return strings.ToLower(s) }

// holds is the oracle: whether a customer fulfils a node, by looking at him.
func (w *world) holds(n customer.Node, k known, me int64) bool {
	switch {
	case n.All != nil:
		return !slices.ContainsFunc(n.All, func(x customer.Node) bool { return !w.holds(x, k, me) })
	case n.Any != nil:
		return slices.ContainsFunc(n.Any, func(x customer.Node) bool { return w.holds(x, k, me) })
	case n.Field == "":
		return true
	}
	one := func(v string) bool { return slices.Contains(n.Values, v) }
	id := func(v int64) bool {
		return slices.ContainsFunc(n.Values, func(s string) bool { return s == fmt.Sprint(v) || s == customer.Me && v == me })
	}
	text := func(v string) bool {
		switch n.Op {
		case customer.OpHas:
			return strings.Contains(fold(v), fold(n.Values[0]))
		case customer.OpHasNot:
			return !strings.Contains(fold(v), fold(n.Values[0]))
		case customer.OpEmpty:
			return v == ""
		case customer.OpSet:
			return v != ""
		case customer.OpNot:
			return !one(v)
		}
		return one(v)
	}
	num := func(v float64) bool {
		x := func(i int) float64 { f, _ := strconv.ParseFloat(n.Values[i], 64); return f }
		switch n.Op {
		case customer.OpMin:
			return v >= x(0)
		case customer.OpMax:
			return v <= x(0)
		case customer.OpBetween:
			return v >= x(0) && v <= x(1)
		case customer.OpNot:
			return v != x(0)
		}
		return v == x(0)
	}
	active := slices.DeleteFunc(slices.Clone(k.contacts), func(p someone) bool { return !p.active })
	people := func(of func(p someone) string) bool {
		switch n.Op {
		case customer.OpHasNot:
			return !slices.ContainsFunc(active, func(p someone) bool { return strings.Contains(fold(of(p)), fold(n.Values[0])) })
		case customer.OpNot:
			return !slices.ContainsFunc(active, func(p someone) bool { return one(of(p)) })
		}
		return slices.ContainsFunc(active, func(p someone) bool { return text(of(p)) })
	}
	yes := func(b bool) bool { return b == (n.Op == customer.OpYes) }
	switch n.Field {
	case "tag":
		some := slices.ContainsFunc(k.tags, id)
		switch n.Op {
		case customer.OpEmpty:
			return len(k.tags) == 0
		case customer.OpSet:
			return len(k.tags) > 0
		}
		return some == (n.Op == customer.OpIs)
	case "owner", "created_by", "parent", "department":
		v := map[string]int64{"owner": k.owner, "created_by": k.creator, "parent": k.parent, "department": k.department}[n.Field]
		switch n.Op {
		case customer.OpEmpty:
			return v == 0
		case customer.OpSet:
			return v != 0
		case customer.OpUnder: // 1 > 3 > 4
			return id(v) || (v == 3 || v == 4) && one("1") || v == 4 && one("3")
		}
		return id(v) == (n.Op == customer.OpIs)
	case "industry":
		if n.Op == customer.OpIs || n.Op == customer.OpNot {
			in := slices.ContainsFunc(n.Values, func(v string) bool {
				return v == k.text["industry"] || len(v) == 1 && strings.HasPrefix(k.text["industry"], v)
			})
			return in == (n.Op == customer.OpIs)
		}
		return text(k.text["industry"])
	case "contact":
		return people(func(p someone) string { return p.name })
	case "contact_role":
		return people(func(p someone) string { return p.role })
	case "position":
		return people(func(p someone) string { return p.position })
	case "has_phone":
		return yes(slices.ContainsFunc(active, func(p someone) bool { return p.phone }))
	case "has_email":
		return yes(slices.ContainsFunc(active, func(p someone) bool { return p.email }))
	case "has_wechat":
		return yes(slices.ContainsFunc(active, func(p someone) bool { return p.wechat }))
	case "has_address":
		return yes(k.address)
	case "open_tickets":
		return num(float64(k.open))
	case "tickets":
		return num(float64(k.total))
	case "rating":
		switch {
		case n.Op == customer.OpEmpty || n.Op == customer.OpSet:
			return (k.ratings == 0) == (n.Op == customer.OpEmpty)
		case k.ratings == 0:
			return n.Op == customer.OpNot
		}
		return num(float64((k.sum*20+k.ratings)/(2*k.ratings)) / 10)
	case "fields.product":
		return text(k.product)
	case "fields.kinds":
		some := slices.ContainsFunc(k.kinds, one)
		switch n.Op {
		case customer.OpEmpty:
			return len(k.kinds) == 0
		case customer.OpSet:
			return len(k.kinds) > 0
		}
		return some == (n.Op == customer.OpIs)
	case "fields.budget":
		switch {
		case n.Op == customer.OpEmpty || n.Op == customer.OpSet:
			return (k.budget < 0) == (n.Op == customer.OpEmpty)
		case k.budget < 0:
			return n.Op == customer.OpNot
		}
		return num(float64(k.budget) / 100)
	case "fields.trusted":
		return yes(k.trusted)
	case "fields.warranty":
		return w.onDay(n, k.warranty)
	}
	if at, ok := k.at[n.Field]; ok {
		d := ""
		if at != 0 {
			d = db.FromMicros(at).In(number.Zone).Format(time.DateOnly)
		}
		switch {
		case n.Op == customer.OpWithin && n.Values[0] == "past":
			return at != 0 && at < db.Micros(w.clock.Now())
		case n.Op == customer.OpWithin && n.Values[0] == "future":
			return at >= db.Micros(w.clock.Now())
		case n.Field == "verified" && n.Op == customer.OpOlder && at == 0:
			return true
		}
		return w.onDay(n, d)
	}
	return text(k.text[n.Field])
}

// onDay compares days as texts, which is not how the product does it.
func (w *world) onDay(n customer.Node, d string) bool {
	today := w.clock.Now().In(number.Zone)
	off := func(sign int) string {
		days, _ := strconv.Atoi(n.Values[0])
		return today.AddDate(0, 0, sign*days).Format(time.DateOnly)
	}
	day := today.Format(time.DateOnly)
	switch n.Op {
	case customer.OpEmpty:
		return d == ""
	case customer.OpSet:
		return d != ""
	}
	if d == "" {
		return false
	}
	switch n.Op {
	case customer.OpIs:
		return d == n.Values[0]
	case customer.OpMin:
		return d >= n.Values[0]
	case customer.OpMax:
		return d <= n.Values[0]
	case customer.OpBetween:
		return d >= n.Values[0] && d <= n.Values[1]
	case customer.OpLast:
		return d >= off(-1) && d <= day
	case customer.OpOlder:
		return d < off(-1)
	case customer.OpNext:
		return d >= day && d <= off(1)
	}
	// The clock stands at Thursday, 2026-11-19.
	spans := map[string][2]string{"today": {day, day}, "yesterday": {"2026-11-18", "2026-11-18"}, "this_week": {"2026-11-16", "2026-11-22"}, "last_week": {"2026-11-09", "2026-11-15"}, "next_week": {"2026-11-23", "2026-11-29"},
		"this_month": {"2026-11-01", "2026-11-30"}, "last_month": {"2026-10-01", "2026-10-31"}, "next_month": {"2026-12-01", "2026-12-31"}, "this_quarter": {"2026-10-01", "2026-12-31"},
		"this_year": {"2026-01-01", "2026-12-31"}, "last_year": {"2025-01-01", "2025-12-31"}, "past": {"0000", "2026-11-18"}, "future": {"2026-11-20", "9999"}}
	s := spans[n.Values[0]]
	return d >= s[0] && d <= s[1]
}

// condition draws a condition on an attribute.
func condition(r *rand.Rand, a customer.Attr) customer.Node {
	ops := a.Ops()
	n := customer.Node{Field: a.Code, Op: ops[r.IntN(len(ops))]}
	day := func() string {
		return time.Date(2026, 11, 19, 0, 0, 0, 0, number.Zone).AddDate(0, 0, r.IntN(120)-90).Format(time.DateOnly)
	}
	some := func(list ...string) []string {
		out := []string{list[r.IntN(len(list))]}
		if r.IntN(2) == 0 {
			out = append(out, list[r.IntN(len(list))])
		}
		return out
	}
	pair := func(a, b string, less bool) []string {
		if !less {
			a, b = b, a
		}
		return []string{a, b}
	}
	switch n.Op {
	case customer.OpEmpty, customer.OpSet, customer.OpYes, customer.OpNo:
		return n
	case customer.OpLast, customer.OpOlder, customer.OpNext:
		n.Values = []string{fmt.Sprint(r.IntN(120))}
		return n
	case customer.OpWithin:
		n.Values = []string{customer.Periods[r.IntN(len(customer.Periods))]}
		return n
	}
	switch a.Kind {
	case customer.KindText:
		n.Values = some("南粤", "医疗器械", "科技", "100%_", `\`, "LTD", "vip", "广东 广州", "黎", "采购", "91110000600037341L", "泵", "阀门 A", "C0007", "南粤医疗科技", "https://a.cn")
		if n.Op == customer.OpHas || n.Op == customer.OpHasNot {
			n.Values = n.Values[:1]
		}
	case customer.KindChoice, customer.KindMulti:
		var codes []string
		for _, o := range a.Options {
			codes = append(codes, o.Value)
		}
		if a.Code == "industry" {
			codes = []string{"C", "C35", "I", "I65", "A"}
		}
		n.Values = some(codes...)
	case customer.KindUser:
		n.Values = some("1", "2", "3", customer.Me)
	case customer.KindDepartment, customer.KindTag, customer.KindCustomer:
		n.Values = some("1", "2", "3", "4")
	case customer.KindDate:
		n.Values = []string{day()}
		if n.Op == customer.OpBetween {
			b := day()
			n.Values = pair(n.Values[0], b, n.Values[0] <= b)
		}
	case customer.KindNumber, customer.KindMoney:
		v := func() string { return []string{"0", "1", "2", "3", "1.5", "4.2"}[r.IntN(6)] }
		n.Values = []string{v()}
		if n.Op == customer.OpBetween {
			b := v()
			n.Values = pair(n.Values[0], b, n.Values[0] <= b)
		}
	}
	return n
}

func tree(r *rand.Rand, attrs []customer.Attr, depth int) customer.Node {
	if depth == 0 || r.IntN(3) == 0 {
		return condition(r, attrs[r.IntN(len(attrs))])
	}
	var members []customer.Node
	for range 1 + r.IntN(3) {
		members = append(members, tree(r, attrs, depth-1))
	}
	if r.IntN(2) == 0 {
		return customer.Node{All: members}
	}
	return customer.Node{Any: members}
}

// Whatever is asked, the database selects whom the oracle selects: for lists in
// every order page by page forward and back, for counts, for one customer, and
// only within the reader's scope.
func TestQueriesSelectWhatTheySay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := rand.New(rand.NewPCG(7, 11))
		all := zoo(w, r, 90)
		attrs, err := w.s.Attrs(w.ctx, i18n.ZhCN)
		if err != nil {
			t.Fatal(err)
		}
		attrs = slices.DeleteFunc(attrs, func(a customer.Attr) bool { return a.Kind == customer.KindSegment })
		below := w.head
		below.Under = []int64{1, 3, 4}
		nobody := authz.Actor{Kind: authz.User, ID: 9}
		actors := []authz.Actor{w.auditor, below, w.agent, w.sales, nobody}
		rounds := 260
		if testing.Short() {
			rounds = 60
		}
		if os.Getenv("BIHUAN_LONG") != "" {
			rounds = 5000
		}
		some := 0
		for round := range rounds {
			n := tree(r, attrs, 3)
			if round < len(attrs)*3 {
				n = condition(r, attrs[round%len(attrs)])
			}
			q := customer.AllOf(n)
			if back, err := customer.ParseQuery(q.String()); err != nil || back.String() != q.String() {
				t.Fatalf("%s is not read back: %v", q, err)
			}
			actor := actors[round%len(actors)]
			sc := customer.View(actor)
			var want []int64
			for _, k := range all {
				if in := w.holds(n, k, actor.ID); in && !k.gone && sc.Matches([]int64{k.owner, k.creator}, k.department) {
					want = append(want, k.id)
				}
			}
			if len(want) > 0 {
				some++
			}
			sort := customer.Sorts[r.IntN(len(customer.Sorts))]
			dated := want
			if sort == customer.ByVerify || sort == customer.ByPlanned {
				dated = slices.DeleteFunc(slices.Clone(want), func(id int64) bool {
					return all[id-1].at[map[string]string{customer.ByVerify: "verify", customer.ByPlanned: "planned"}[sort]] == 0
				})
			}
			got, order, err := walk(w, sc, customer.Filter{Query: q, Sort: sort, Limit: 7})
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			if slices.Sort(got); !slices.Equal(got, dated) {
				t.Fatalf("round %d, %s by %s: %v instead of %v", round, q, sort, got, dated)
			}
			key := func(id int64) int64 {
				k := all[id-1]
				return map[string]int64{customer.ByActivity: -k.at["activity"], customer.ByIdle: k.at["activity"], customer.ByCreated: -k.at["created"], customer.ByOldest: k.at["created"],
					customer.SortName: k.id % 7, customer.ByVerify: k.at["verify"], customer.ByPlanned: k.at["planned"]}[sort]
			}
			if !slices.IsSortedFunc(order, func(a, b int64) int { return int(min(1, max(-1, key(a)-key(b)))) }) {
				t.Fatalf("%s by %s: not in order: %v", q, sort, order)
			}
			if c, err := w.s.Count(w.ctx, sc, customer.Filter{Query: q}, 1000); err != nil || c != len(want) {
				t.Fatalf("%s: counted %d (%v) instead of %d", q, c, err, len(want))
			}
			if c, err := w.s.Count(w.ctx, sc, customer.Filter{Query: q}, 3); err != nil || c != min(3, len(want)) {
				t.Fatalf("%s: counted %d (%v) instead of at most 3", q, c, err)
			}
			k := all[r.IntN(len(all))]
			if in, err := w.s.Contains(w.ctx, w.d.Read(), q, k.id); err != nil || in != (w.holds(n, k, 0) && !k.gone) {
				t.Fatalf("%s: contains %d: %v %v", q, k.id, in, err)
			}
		}
		if some < rounds/3 {
			t.Errorf("only %d of %d conditions selected anybody", some, rounds)
		}
	})
}

// walk reads a list to its end and back again.
func walk(w *world, sc authz.Scope, f customer.Filter) (got, order []int64, err error) {
	var last customer.Page
	for n := 0; ; n++ {
		p, err := w.s.List(w.ctx, sc, f)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range p.Rows {
			got = append(got, r.ID)
		}
		last = p
		if p.Next == "" {
			break
		}
		if n > 50 {
			return nil, nil, errors.New("the list has no end")
		}
		f.After = p.Next
	}
	order = slices.Clone(got)
	var back []int64
	for p := last; ; {
		var ids []int64
		for _, r := range p.Rows {
			ids = append(ids, r.ID)
		}
		back = append(ids, back...)
		if p.Prev == "" {
			break
		}
		f.After, f.Before = "", p.Prev
		if p, err = w.s.List(w.ctx, sc, f); err != nil {
			return nil, nil, err
		}
	}
	if !slices.Equal(back, order) {
		return nil, nil, fmt.Errorf("forward %v, back %v", order, back)
	}
	return got, order, nil
}

// A condition that makes no sense is refused with a sentence that names it.
func TestQueryRefusals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		zoo(w, rand.New(rand.NewPCG(1, 2)), 3)
		for _, c := range []struct{ filter, want string }{
			{`{"v":1,"all":[{"field":"level","op":"is","values":["gold"]}]}`, "filter.0:query.value.choice"},
			{`{"v":1,"all":[{"field":"moon","op":"is","values":["1"]}]}`, "filter.0:query.field"},
			{`{"v":1,"all":[{"field":"level","op":"last","values":["1"]}]}`, "filter.0:query.op"},
			{`{"v":1,"all":[{"field":"level","op":"is"}]}`, "filter.0:query.value.missing"},
			{`{"v":1,"any":[{"field":"tag","op":"set"},{"all":[{"field":"activity","op":"older","values":["-3"]}]}]}`, "filter.1.0:query.value.days"},
			{`{"v":1,"all":[{"field":"activity","op":"min","values":["2026-02-30"]}]}`, "filter.0:query.value.date"},
			{`{"v":1,"all":[{"field":"tickets","op":"between","values":["5","1"]}]}`, "filter.0:query.value.order"},
			{`{"v":1,"all":[{"field":"tickets","op":"min","values":["1e9"]}]}`, "filter.0:query.value.number"},
			{`{"v":1,"all":[{"field":"segment","op":"is","values":["77"]}]}`, "filter.0:query.value.segment"},
			{`{"v":1,"all":[{"field":"fields.kinds","op":"is","values":["q"]}]}`, "filter.0:query.value.choice"},
			{`{"v":1,"all":[{"field":"name","op":"has","values":["a\u0000b"]}]}`, "filter.0:query.value.long"},
			{`{"v":1,"all":[{"field":"name","op":"has","values":["x"],"all":[]}]}`, "filter.0:query.shape"},
			{`{"v":1,"all":[{}]}`, "filter.0:query.shape"},
			{`{"v":1,"all":[{"all":[{"all":[{"all":[{"all":[{"field":"tag","op":"set"}]}]}]}]}]}`, "filter.0.0.0.0.0:query.deep"},
			{`{"v":2,"all":[]}`, "filter:query.version"},
			{`{"v":1,"drop":1}`, "filter:query.unreadable"},
			{`{"v":1} {}`, "filter:query.unreadable"},
			{`nonsense`, "filter:query.unreadable"},
		} {
			q, err := customer.ParseQuery(c.filter)
			if err == nil {
				_, err = w.s.List(w.ctx, customer.View(w.head), customer.Filter{Query: q})
			}
			if fields(err) != c.want {
				t.Errorf("%s: %s instead of %s", c.filter, fields(err), c.want)
			}
		}
		many := customer.AllOf()
		for range 41 {
			many.All = append(many.All, customer.Node{Field: "tag", Op: customer.OpSet})
		}
		if err := w.s.CheckQuery(w.ctx, w.head, many); fields(err) != "filter:query.many" {
			t.Error(fields(err))
		}
	})
}

// A segment is a condition for everybody: counted within each reader's scope,
// asked about one customer, gone through member by member.
func TestSegments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := zoo(w, rand.New(rand.NewPCG(3, 4)), 60)
		q := customer.AllOf(customer.Is("level", "vip", "strategic"))
		if _, err := w.s.SaveSegment(w.ctx, w.agent, customer.Segment{Name: "重点", Query: q}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		for _, c := range []struct {
			g    customer.Segment
			want string
		}{
			{customer.Segment{Query: q}, "name:segment.name.required"},
			{customer.Segment{Name: "a"}, "filter:segment.everybody"},
			{customer.Segment{Name: "a", Query: customer.AllOf(customer.Is("owner", customer.Me))}, "filter:segment.me"},
			{customer.Segment{Name: "a", Query: customer.AllOf(customer.Is("segment", "1"))}, "filter:segment.nested"},
			{customer.Segment{Name: "a", Query: customer.AllOf(customer.Is("level", "gold"))}, "filter.0:query.value.choice"},
		} {
			if _, err := w.s.SaveSegment(w.ctx, w.head, c.g); fields(err) != c.want {
				t.Errorf("%+v: %s", c.g, fields(err))
			}
		}
		_, last := w.events(0)
		id, err := w.s.SaveSegment(w.ctx, w.head, customer.Segment{Name: " 重点 客户", Query: q})
		if err != nil {
			t.Fatal(err)
		}
		if kinds, _ := w.events(last); kinds != "customer.segment_created" {
			t.Error(kinds)
		}
		if _, err := w.s.SaveSegment(w.ctx, w.head, customer.Segment{Name: "重点 客户", Query: q}); fields(err) != "name:segment.name.taken" {
			t.Error(fields(err))
		}
		for _, actor := range []authz.Actor{w.auditor, w.agent, w.sales, {Kind: authz.User, ID: 9}} {
			sc := customer.View(actor)
			var want, got []int64
			for _, k := range all {
				if !k.gone && k.text["level"] != "normal" && sc.Matches([]int64{k.owner, k.creator}, k.department) {
					want = append(want, k.id)
				}
			}
			for m, err := range w.s.Members(w.ctx, sc, id, 0) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			n, err := w.s.SegmentCount(w.ctx, sc, id, 1000)
			if !slices.Equal(got, want) || err != nil || n != len(want) {
				t.Errorf("%s: %v, %d %v instead of %v", actor.Name, got, n, err, want)
			}
			if page, err := w.s.List(w.ctx, sc, customer.Filter{SegmentID: id, Limit: 200}); err != nil || len(page.Rows) != len(want) {
				t.Errorf("%s: %d rows, %v", actor.Name, len(page.Rows), err)
			}
		}
		for _, k := range all[:20] {
			if in, err := w.s.InSegment(w.ctx, w.d.Read(), id, k.id); err != nil || in != (!k.gone && k.text["level"] != "normal") {
				t.Errorf("%d: %v %v", k.id, in, err)
			}
		}
		// A view that asks about it keeps it; and a denial of it works.
		v, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{Name: "非重点", Query: customer.AllOf(customer.Node{Field: "segment", Op: customer.OpNot, Values: []string{fmt.Sprint(id)}})})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.s.DeleteSegment(w.ctx, w.head, id); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if err := w.s.DeleteView(w.ctx, w.agent, v); err != nil {
			t.Fatal(err)
		}
		if err := w.s.DeleteSegment(w.ctx, w.head, id); err != nil {
			t.Fatal(err)
		}
		if _, err := w.s.List(w.ctx, customer.View(w.head), customer.Filter{SegmentID: id}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

// Views are their owner's, unless shared; sharing and changing what is shared
// needs a permission.
func TestViews(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		zoo(w, rand.New(rand.NewPCG(5, 6)), 10)
		q := customer.AllOf(customer.Is("level", "vip"))
		mine, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{Name: "我的", Query: q, Columns: []string{"name", "fields.product", "name"}, Sort: customer.ByIdle})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{Name: "x", Shared: true}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		if _, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{Name: "x", Columns: []string{"salary"}}); fields(err) != "columns:column.unknown" {
			t.Error(fields(err))
		}
		if _, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{Name: "x", Query: customer.AllOf(customer.Is("level", "gold"))}); fields(err) != "filter.0:query.value.choice" {
			t.Error(fields(err))
		}
		shared, err := w.s.SaveView(w.ctx, w.head, customer.SavedView{Name: "大家的", Query: q, Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		names := func(a authz.Actor) string {
			vs, err := w.s.Views(w.ctx, a)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, v := range vs {
				out = append(out, v.Name)
			}
			return strings.Join(out, " ")
		}
		if got := names(w.agent); got != "我的 大家的" {
			t.Error(got)
		}
		if got := names(w.colleague); got != "大家的" {
			t.Error(got)
		}
		v, err := w.s.View(w.ctx, w.agent, fmt.Sprint(mine))
		if err != nil || strings.Join(v.Columns, " ") != "name fields.product" || v.Sort != customer.ByIdle || v.Query.String() != q.String() {
			t.Errorf("%+v %v", v, err)
		}
		if _, err := w.s.View(w.ctx, w.colleague, fmt.Sprint(mine)); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		for who, a := range map[string]authz.Actor{"not his": w.colleague, "shared, not allowed": w.agent} {
			id := map[string]int64{"not his": mine, "shared, not allowed": shared}[who]
			if _, err := w.s.SaveView(w.ctx, a, customer.SavedView{ID: id, Name: "x", Version: 1}); err == nil {
				t.Error(who)
			}
			if err := w.s.DeleteView(w.ctx, a, id); err == nil {
				t.Error(who)
			}
		}
		if _, err := w.s.SaveView(w.ctx, w.agent, customer.SavedView{ID: mine, Name: "新名", Query: q, Version: 9}); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if err := w.s.SetPrefs(w.ctx, w.agent, customer.Prefs{View: fmt.Sprint(mine), Columns: []string{"name"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.s.DeleteView(w.ctx, w.agent, mine); err != nil {
			t.Fatal(err)
		}
		if p, err := w.s.PrefsOf(w.ctx, w.agent.ID); err != nil || p.View != "" || len(p.Columns) != 1 {
			t.Errorf("%+v %v", p, err)
		}
		if n, err := w.s.Counts(w.ctx, w.auditor, []customer.Filter{{}, {Query: customer.AllOf(customer.Is("fields.gone", "1"))}}); err != nil || n[0] < 5 || n[1] != -1 {
			t.Error(n, err)
		}
	})
}
