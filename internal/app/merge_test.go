package app_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"

	"pgregory.net/rapid"
)

// notDumped are tables a merge may leave different: what happened, what is
// derived from it, and the record of the merge itself.
var notDumped = []string{"events", "listener_cursors", "settings", "counters", "leases", "jobs", "sessions", "goose_db_version", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4",
	"customer_merges", "customer_merge_steps", "customer_pairs", "customer_blocks", "customer_checks", "idempotency_keys", "notices", "presence", "customer_quality", "customer_flaws"}

// tables lists the tables of the store.
func tables(t *testing.T, h *apptest.House) []string {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if h.DB.Dialect() == db.Postgres {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	rows, err := h.DB.Read().Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(notDumped, n) && !strings.HasPrefix(n, "quality") && !strings.Contains(n, "_search") && !strings.HasPrefix(n, "search_") && !strings.Contains(n, "_fts") {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// dump writes every row of the tables, byte for byte.
func dump(t interface {
	Fatal(...any)
	Context() context.Context
}, h *apptest.House, tables []string) map[string]string {
	out := map[string]string{}
	for _, name := range tables {
		rows, err := h.DB.Read().Query(t.Context(), `SELECT * FROM `+name)
		if err != nil {
			t.Fatal(name, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(name, err)
		}
		var lines []string
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(name, err)
			}
			var b strings.Builder
			for i, c := range columns {
				fmt.Fprintf(&b, "%s=%#v ", c, *values[i].(*any))
			}
			lines = append(lines, b.String())
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			t.Fatal(name, err)
		}
		slices.Sort(lines)
		out[name] = strings.Join(lines, "\n")
	}
	return out
}

func differences(a, b map[string]string) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] == b[name] {
			continue
		}
		was, is := strings.Split(a[name], "\n"), strings.Split(b[name], "\n")
		for _, l := range was {
			if !slices.Contains(is, l) {
				fmt.Fprintf(&out, "%s - %s\n", name, l)
			}
		}
		for _, l := range is {
			if !slices.Contains(was, l) {
				fmt.Fprintf(&out, "%s + %s\n", name, l)
			}
		}
	}
	return out.String()
}

// TestMergeUndone: whatever two profiles hold and however they are merged, taking
// it back gives every row back byte for byte; chains are taken back in order.
func TestMergeUndone(t *testing.T) {
	// Each check compares the whole database; more are run by hand.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		f.Value.Set("20")
		defer f.Value.Set(f.DefValue)
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		names := tables(t, h)
		ctx := t.Context()
		admin := h.Actor(authz.RoleAdmin)
		n := 0
		phone := func(i int) string { return cnid.SamplePhone(i) }
		var tags []int64
		err := h.Run.Do(ctx, admin, "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			for i := range 4 {
				var id int64
				if err := a.QueryRow(ctx, `INSERT INTO tags (name, created_at) VALUES ($1, 0) RETURNING id`, fmt.Sprintf("标签%d", i)).Scan(&id); err != nil {
					return err
				}
				tags = append(tags, id)
			}
			_, err := a.Exec(ctx, `INSERT INTO fields (object, code, kind, label, created_at, updated_at) VALUES ('customer', 'size', 'text', '规模', 0, 0), ('contact', 'hobby', 'text', '爱好', 0, 0), ('customer', 'off', 'text', '停用', 0, 0)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		make := func(rt *rapid.T, base int) customer.Customer {
			in := customer.Input{Type: rapid.SampledFrom([]customer.Type{customer.Company, customer.Company, customer.Person}).Draw(rt, "type"),
				Name:  rapid.SampledFrom([]string{"广州南粤医疗器械有限公司", "南粤医疗", "王小明", "Acme Trading Co., Ltd."}).Draw(rt, "name"),
				Level: rapid.SampledFrom(customer.Levels).Draw(rt, "level"), Source: rapid.SampledFrom([]string{"", "phone", "email"}).Draw(rt, "source"),
				Region: rapid.SampledFrom([]string{"", "广东", "广东广州"}).Draw(rt, "region"), Address: rapid.SampledFrom([]string{"", "天河路 1 号", "广州市天河区天河路 1 号 3 楼"}).Draw(rt, "address"),
				Website: rapid.SampledFrom([]string{"", "a.example.com"}).Draw(rt, "site"), Remark: rapid.SampledFrom([]string{"", "老客户", "老客户，重要"}).Draw(rt, "remark"),
				DuplicateReason: "测试", DepartmentID: h.Departments["客服部"], TagIDs: slices.Clone(tags[:rapid.IntRange(0, 4).Draw(rt, "tags")])}
			if in.Type == customer.Company && rapid.Bool().Draw(rt, "uscc") {
				in.USCC = cnid.SampleUSCC(base % 7)
			}
			for i := range rapid.IntRange(1, 3).Draw(rt, "contacts") {
				c := customer.ContactInput{Name: rapid.SampledFrom([]string{"黎嘉敏", "黎", "陈工", "王小明"}).Draw(rt, "contact"), Phone: phone(base*10 + rapid.IntRange(0, 3).Draw(rt, "phone")), Primary: i == 0}
				if rapid.Bool().Draw(rt, "mail") {
					c.Email = fmt.Sprintf("a%d@example.com", rapid.IntRange(0, 2).Draw(rt, "which"))
				}
				if rapid.Bool().Draw(rt, "wechat") {
					c.Wechat = fmt.Sprintf("wx_abcde%d", rapid.IntRange(0, 2).Draw(rt, "which"))
				}
				in.Contacts = append(in.Contacts, c)
			}
			if rapid.Bool().Draw(rt, "need") {
				in.Need = customer.NeedInput{Description: "需要报价"}
			}
			c, err := h.Customers.Create(ctx, admin, in)
			if err != nil {
				rt.Fatal(err)
			}
			err = h.Run.Do(ctx, admin, "test", func(ctx context.Context, a *action.Action) error {
				a.Nothing()
				for _, f := range []string{"size", "off"} {
					if rapid.Bool().Draw(rt, f) {
						if _, err := a.Exec(ctx, `INSERT INTO field_values (object, record_id, field_id, text, fold) SELECT 'customer', $1, id, $2, $3 FROM fields WHERE code = $4`, c.ID, f, f, f); err != nil {
							return err
						}
					}
				}
				for _, k := range c.Contacts {
					if rapid.Bool().Draw(rt, "hobby") {
						if _, err := a.Exec(ctx, `INSERT INTO field_values (object, record_id, field_id, text, fold) SELECT 'contact', $1, id, 'x', 'x' FROM fields WHERE code = 'hobby'`, k.ID); err != nil {
							return err
						}
					}
				}
				if rapid.Bool().Draw(rt, "file") {
					if _, err := a.Exec(ctx, `INSERT INTO files (sha256, size, mime, name, owner_type, owner_id, created_at) VALUES ('00', 1, 'text/plain', 'a.txt', 'customer', $1, 0)`, c.ID); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 2).Draw(rt, "tickets") {
				k := c.Contacts[rapid.IntRange(0, len(c.Contacts)-1).Draw(rt, "who")]
				registerFor(rt, h, c.ID, k.ID)
			}
			if rapid.Bool().Draw(rt, "follow") {
				if _, err := h.Customers.AddFollowUp(ctx, admin, c.ID, "电话沟通了报价，客户下周答复", journal.Record{Method: "phone"}); err != nil {
					rt.Fatal(err)
				}
			}
			c, err = h.Customers.Get(ctx, customer.View(admin), c.ID)
			if err != nil {
				rt.Fatal(err)
			}
			return c
		}
		merge := func(rt *rapid.T, keep, drop customer.Customer) (int64, bool) {
			p, err := h.Customers.PlanMerge(ctx, admin, i18n.ZhCN, keep.ID, drop.ID, nil)
			if err != nil {
				rt.Fatal(err)
			}
			choices := map[string]string{}
			all := slices.Clone(p.Fields)
			for _, u := range p.United {
				all = append(all, u.Fields...)
			}
			for _, f := range all {
				if rapid.Bool().Draw(rt, "choose "+f.Name) {
					choices[f.Name] = rapid.SampledFrom([]string{customer.OfKept, customer.OfMerged, customer.OfBoth}).Draw(rt, f.Name)
				}
			}
			id, err := h.Customers.Merge(ctx, admin, customer.MergeInput{Keep: keep.ID, Drop: drop.ID, KeepVersion: p.Keep.Version, DropVersion: p.Drop.Version, Choices: choices, Reason: "重复"})
			if fault.Is(err, fault.Invalid) { // a person with a credit code
				return 0, false
			}
			if err != nil {
				rt.Fatal(err)
			}
			return id, true
		}
		rapid.Check(t, func(rt *rapid.T) {
			n++
			a, b, c := make(rt, 3*n), make(rt, 3*n+rapid.IntRange(0, 1).Draw(rt, "near")), make(rt, 3*n)
			if rapid.Bool().Draw(rt, "parent") {
				h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE customers SET parent_id = $1 WHERE id = $2`, b.ID, rapid.SampledFrom([]int64{a.ID, c.ID}).Draw(rt, "child"))
					return err
				})
			}
			before := dump(t, h, names)
			first, ok := merge(rt, a, b)
			if !ok {
				return
			}
			middle := dump(t, h, names)
			gone, err := h.Customers.Get(ctx, customer.View(admin), b.ID)
			if err != nil || gone.ID != a.ID {
				rt.Fatalf("the merged id leads to %d: %v", gone.ID, err)
			}
			if gone, err = h.Customers.ByNumber(ctx, customer.View(admin), b.Number); err != nil || gone.ID != a.ID {
				rt.Fatalf("the merged number leads to %d: %v", gone.ID, err)
			}
			for name, rows := range middle {
				if name != "customers" && name != "contacts" && strings.Contains(rows, fmt.Sprintf("customer_id=%d ", b.ID)) {
					rt.Fatalf("%s still refers to the merged profile", name)
				}
			}
			// A chain, one way or the other.
			chain := rapid.SampledFrom([]string{"", "into", "again"}).Draw(rt, "chain")
			if chain != "" {
				keep, drop := a, c
				if chain == "into" {
					keep, drop = c, a
				}
				second, ok := merge(rt, keep, drop)
				if ok {
					if to, _ := customer.Survivor(ctx, h.DB.Read(), b.ID); to != keep.ID {
						rt.Fatalf("the number of the chain leads to %d", to)
					}
					if _, err := h.Customers.Unmerge(ctx, admin, first); !fault.Is(err, fault.Conflict) {
						rt.Fatalf("undone out of order: %v", err)
					}
					if _, err := h.Customers.Unmerge(ctx, admin, second); err != nil {
						rt.Fatal(err)
					}
					if d := differences(middle, dump(t, h, names)); d != "" {
						rt.Fatalf("after the second of two:\n%s", d)
					}
				}
			}
			out, err := h.Customers.Unmerge(ctx, admin, first)
			if err != nil {
				rt.Fatal(err)
			}
			if len(out.Kept) > 0 {
				rt.Fatalf("nobody changed %v", out.Kept)
			}
			if d := differences(before, dump(t, h, names)); d != "" {
				rt.Fatalf("not as before:\n%s", d)
			}
		})
	})
}

func registerFor(t interface{ Fatal(...any) }, h *apptest.House, customerID, contact int64) ticket.Ticket {
	tk, err := h.Tickets.Register(context.Background(), h.Actor(authz.RoleAdmin), ticket.RegisterInput{
		Title: "设备无法启动", Type: "after_sales", Urgency: "normal", Channel: "phone", Description: "按下电源后没有反应", CustomerID: customerID, ContactID: contact})
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// TestMergeMeanwhile: what came in between stays with the survivor, what was
// changed stays changed, and everything else goes back.
func TestMergeMeanwhile(t *testing.T) {
	clk := clock.NewFake(dbtest.Start)
	apptest.Each(t, apptest.Options{Clock: clk}, func(t *testing.T, h *apptest.House) {
		ctx, admin := t.Context(), h.Actor(authz.RoleAdmin)
		make := func(name, phone string) customer.Customer {
			c, err := h.Customers.Create(ctx, admin, customer.Input{Type: customer.Company, Name: name, DepartmentID: h.Departments["客服部"], DuplicateReason: "x", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone}}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b := make("广州南粤医疗器械有限公司", "13800138000"), make("南粤医疗器械", "13900139000")
		old := registerFor(t, h, b.ID, b.Contacts[0].ID)
		id, err := h.Customers.Merge(ctx, admin, customer.MergeInput{Keep: a.ID, Drop: b.ID, Reason: "同一家"})
		if err != nil {
			t.Fatal(err)
		}
		now, err := h.Customers.Get(ctx, customer.View(admin), a.ID)
		if err != nil || len(now.Contacts) != 2 || now.TotalTickets != 1 {
			t.Fatalf("merged: %+v %v", now, err)
		}
		clk.Advance(time.Hour)
		fresh := registerFor(t, h, a.ID, b.Contacts[0].ID) // by a contact who came with the other profile
		in := customer.Input{Type: now.Type, Name: "广州南粤医疗器械股份有限公司", Level: now.Level, Region: "广州"}
		if _, err := h.Customers.Update(ctx, admin, a.ID, now.Version, in, "更名"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Tickets.Note(ctx, admin, old.ID, "said meanwhile", nil, nil); err != nil {
			t.Fatal(err)
		}
		plan, err := h.Customers.PlanUndo(ctx, admin, id)
		if err != nil || plan.Problem != nil || plan.Since["tickets"] != 1 {
			t.Fatalf("plan %+v %v", plan, err)
		}
		out, err := h.Customers.Unmerge(ctx, admin, id)
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.Customers.Get(ctx, customer.View(admin), a.ID)
		if err != nil || c.Name != in.Name || c.Region != "广州" || c.TotalTickets != 1 || len(c.Contacts) != 1 {
			t.Errorf("survivor %+v %v, kept %v", c, err, out.Kept)
		}
		back, err := h.Customers.Get(ctx, customer.View(admin), b.ID)
		if err != nil || back.Name != b.Name || back.TotalTickets != 1 || len(back.Contacts) != 1 || back.Number != b.Number {
			t.Errorf("given back %+v %v", back, err)
		}
		for _, x := range []struct {
			id, customer, contact int64
		}{{old.ID, b.ID, b.Contacts[0].ID}, {fresh.ID, a.ID, a.Contacts[0].ID}} {
			var customerID, contact int64
			if err := h.DB.Read().QueryRow(ctx, `SELECT customer_id, contact_id FROM tickets WHERE id = $1`, x.id).Scan(&customerID, &contact); err != nil || customerID != x.customer || contact != x.contact {
				t.Errorf("ticket %d is with %d (contact %d), want %d (%d): %v", x.id, customerID, contact, x.customer, x.contact, err)
			}
		}
		var whose int64
		if err := h.DB.Read().QueryRow(ctx, `SELECT customer_id FROM entries WHERE body = 'said meanwhile'`).Scan(&whose); err != nil || whose != b.ID {
			t.Errorf("what was said on a ticket that went back is with %d: %v", whose, err)
		}
		if _, err := h.Customers.Unmerge(ctx, admin, id); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		// Too late.
		id, err = h.Customers.Merge(ctx, admin, customer.MergeInput{Keep: a.ID, Drop: b.ID})
		if err != nil {
			t.Fatal(err)
		}
		clk.Advance(customer.UndoFor + time.Second)
		if _, err := h.Customers.Unmerge(ctx, admin, id); !fault.Is(err, fault.Conflict) {
			t.Errorf("too late: %v", err)
		}
		if err := h.Customers.SweepMerges(ctx); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := h.DB.Read().QueryRow(ctx, `SELECT COUNT(*) FROM customer_merge_steps`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d steps are left: %v", left, err)
		}
	})
}

// TestMergeScope: who does not see both sides cannot merge, nor take back.
func TestMergeScope(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx, admin, lead, agent := t.Context(), h.Actor(authz.RoleAdmin), h.Actor(authz.RoleSupervisor), h.Actor(authz.RoleAgent)
		make := func(name, phone, department string) int64 {
			c, err := h.Customers.Create(ctx, admin, customer.Input{Type: customer.Company, Name: name, DepartmentID: h.Departments[department], DuplicateReason: "x", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone}}})
			if err != nil {
				t.Fatal(err)
			}
			return c.ID
		}
		// The supervisor leads 售后部 and does not see 客服部.
		mine, mine2, theirs := make("甲乙丙丁公司", "13800138000", "售后部"), make("甲乙丙丁", "13800138000", "售后部"), make("甲乙丙丁有限公司", "13800138000", "客服部")
		if err := h.Follower.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if err := h.Customers.FindPairs(ctx); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			actor authz.Actor
			pairs int
		}{{admin, 3}, {lead, 1}} {
			p, err := h.Customers.Pairs(ctx, c.actor, customer.PairFilter{})
			if err != nil || len(p.Rows) != c.pairs {
				t.Errorf("%s sees %d pairs, want %d: %v", c.actor.Name, len(p.Rows), c.pairs, err)
			}
			if n, err := h.Customers.CountPairs(ctx, c.actor, 100); err != nil || n != c.pairs {
				t.Errorf("%s counts %d: %v", c.actor.Name, n, err)
			}
		}
		if _, err := h.Customers.Merge(ctx, lead, customer.MergeInput{Keep: mine, Drop: theirs}); !fault.Is(err, fault.NotFound) {
			t.Errorf("into another department: %v", err)
		}
		if _, err := h.Customers.Merge(ctx, agent, customer.MergeInput{Keep: theirs, Drop: theirs}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent: %v", err)
		}
		id, err := h.Customers.Merge(ctx, admin, customer.MergeInput{Keep: mine, Drop: theirs})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Customers.Unmerge(ctx, lead, id); !fault.Is(err, fault.Forbidden) {
			t.Errorf("gives back what he may not see: %v", err)
		}
		if _, err := h.Customers.Merge(ctx, lead, customer.MergeInput{Keep: mine, Drop: mine2}); err != nil {
			t.Errorf("his own: %v", err)
		}
	})
}

// TestMergeKept: what merges keep is sealed, and goes when a person is erased.
func TestMergeKept(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx, admin := t.Context(), h.Actor(authz.RoleAdmin)
		var ids []int64
		for _, p := range []string{"13800138000", "13900139000"} {
			c, err := h.Customers.Create(ctx, admin, customer.Input{Type: customer.Person, Name: "欧阳明月", Address: "天河路三百八十五号", DepartmentID: h.Departments["客服部"], DuplicateReason: "x",
				Contacts: []customer.ContactInput{{Phone: p, Email: "moon" + p + "@example.com"}}})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.ID)
		}
		if _, err := h.Customers.Merge(ctx, admin, customer.MergeInput{Keep: ids[0], Drop: ids[1]}); err != nil {
			t.Fatal(err)
		}
		all := dump(t, h, []string{"customer_merges", "customer_merge_steps"})
		for _, clear := range []string{"13900139000", "moon13900139000", "三百八十五号"} {
			if strings.Contains(all["customer_merge_steps"], clear) {
				t.Errorf("%s is kept in clear", clear)
			}
		}
		if !strings.Contains(all["customer_merge_steps"], "欧阳明月") {
			t.Error("the test looks in the wrong place")
		}
		err := h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return customer.PurgeMerges(ctx, tx, ids[:1]) })
		if err != nil {
			t.Fatal(err)
		}
		for name, rows := range dump(t, h, []string{"customer_merges", "customer_merge_steps", "customer_pairs"}) {
			if strings.Contains(rows, "欧阳明月") {
				t.Errorf("%s still knows him", name)
			}
		}
	})
}

// TestMergeHoldings: every table with a column that may hold a customer or a
// contact is known to the merge, or is derived, or keeps what was at its time.
func TestMergeHoldings(t *testing.T) {
	h := apptest.Open(t, apptest.Options{})
	known := map[string]bool{}
	for _, x := range customer.Holdings() {
		known[x.Table+"."+x.Customer], known[x.Table+"."+x.Contact] = true, true
	}
	exempt := []string{"contacts.customer_id", "customer_blocks.customer_id", "customer_checks.customer_id",
		"customer_bulk_lines.customer_id", "customer_level_wishes.customer_id"} // what a job did to whom, at its time
	for _, name := range tables(t, h) {
		rows, err := h.DB.Read().Query(t.Context(), `SELECT * FROM `+name+` WHERE 1 = 0`)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := rows.Columns()
		rows.Close()
		for _, c := range columns {
			if (strings.Contains(c, "customer") && (strings.HasSuffix(c, "_id") || strings.HasSuffix(c, "_ids")) || c == "contact_id" || c == "other_customer") && !known[name+"."+c] && !slices.Contains(exempt, name+"."+c) {
				t.Errorf("%s.%s holds a customer or contact, but a merge does not move it: add it with customer.Holds", name, c)
			}
		}
	}
}

// TestMergeInBrowser goes through the work list: a pair told apart stays away
// until something decisive is found, another is merged, its old address, number
// and id lead to the survivor on the pages and in the API, and the merge is undone.
func TestMergeInBrowser(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx, admin, cookie := t.Context(), h.Actor(authz.RoleAdmin), h.Cookie(authz.RoleAdmin)
		make := func(name, phone, email string) customer.Customer {
			c, err := h.Customers.Create(ctx, admin, customer.Input{Type: customer.Company, Name: name, DepartmentID: h.Departments["客服部"], DuplicateReason: "x", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone, Email: email}}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		find := func() {
			t.Helper()
			if err := h.Follower.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if err := h.Customers.FindPairs(ctx); err != nil {
				t.Fatal(err)
			}
		}
		get := func(path string, want int) string {
			t.Helper()
			rec := h.Call("GET", path, "", cookie)
			if rec.Code != want {
				t.Fatalf("GET %s: %d %s", path, rec.Code, rec.Body)
			}
			return rec.Body.String() + rec.Header().Get("Location")
		}
		post := func(path, body string, want int) string {
			t.Helper()
			rec := h.Call("POST", path, body, cookie)
			if rec.Code != want {
				t.Fatalf("POST %s: %d %s", path, rec.Code, rec.Body)
			}
			return rec.Body.String() + rec.Header().Get("Location")
		}
		a, b := make("广州南粤医疗器械有限公司", "13800138000", ""), make("南粤医疗器械", "13900139000", "li@example.com")
		find()
		if page := get("/customers/duplicates", 200); !strings.Contains(page, b.Number) || !strings.Contains(page, "除地区和公司形式外同名") {
			t.Fatal("the pair is not on the list")
		}
		if page := get("/customers", 200); !strings.Contains(page, "/customers/duplicates") {
			t.Error("the list of customers says nothing")
		}
		if page := get(fmt.Sprintf("/customers/%d", a.ID), 200); !strings.Contains(page, fmt.Sprintf("drop=%d", b.ID)) {
			t.Error("the page of the customer says nothing")
		}
		var pair int64
		if err := h.DB.Read().QueryRow(ctx, `SELECT id FROM customer_pairs`).Scan(&pair); err != nil {
			t.Fatal(err)
		}
		if page := post(fmt.Sprintf("/customer-pairs/%d/difference", pair), "note=&back=/customers/duplicates", 422); !strings.Contains(page, "请用几个字说明原因") {
			t.Error("a reason is not asked for")
		}
		post(fmt.Sprintf("/customer-pairs/%d/difference", pair), "note=两家公司&back=/customers/duplicates", 303)
		if page := get("/customers/duplicates", 200); strings.Contains(page, b.Number) {
			t.Error("told apart, and still there")
		}
		if page := get("/customers/duplicates?tab=apart", 200); !strings.Contains(page, "两家公司") || !strings.Contains(page, admin.Name) {
			t.Error("nobody knows who told them apart")
		}
		// Nothing new: it stays away. The same telephone number: it comes back.
		for i, phone := range []string{"", "13800138000"} {
			now, err := h.Customers.Get(ctx, customer.View(admin), b.ID)
			if err != nil {
				t.Fatal(err)
			}
			in := customer.Input{Type: now.Type, Name: now.Name, Level: now.Level, Remark: fmt.Sprint(i), DuplicateReason: "x"}
			if phone != "" {
				in.Contacts = []customer.ContactInput{{ID: now.Contacts[0].ID, Name: "黎嘉敏", Phone: phone, Primary: true}}
			}
			if _, err := h.Customers.Update(ctx, admin, b.ID, now.Version, in, "更正"); err != nil {
				t.Fatal(err)
			}
			find()
			if page := get("/customers/duplicates", 200); strings.Contains(page, b.Number) != (i == 1) {
				t.Errorf("after change %d the pair is listed: %v", i, i != 1)
			}
		}
		page := get(fmt.Sprintf("/customers/merge?keep=%d&drop=%d&from=list", a.ID, b.ID), 200)
		for _, want := range []string{`name="f.name"`, "同一位联系人：黎嘉敏", fmt.Sprintf(`name="f.contact.%d.email" value="drop" checked`, b.Contacts[0].ID), "编号 " + b.Number} {
			if !strings.Contains(page, want) {
				t.Errorf("the merge does not show %s", want)
			}
		}
		if strings.Contains(page, "13800138000") || strings.Contains(page, "li@example.com") {
			t.Error("a clear value is on the page")
		}
		if page := post("/customers/merge", fmt.Sprintf("keep=%d&drop=%d&keep_version=99&drop_version=99", a.ID, b.ID), 409); !strings.Contains(page, "有人刚刚改动") {
			t.Error("a stale page is not said to be")
		}
		if to := post("/customers/merge", fmt.Sprintf("keep=%d&drop=%d&from=list&reason=同一家", a.ID, b.ID), 303); !strings.Contains(to, "/customers/duplicates") {
			t.Errorf("goes on at %s", to)
		}
		if to := get(fmt.Sprintf("/customers/%d", b.ID), 303); !strings.HasSuffix(to, fmt.Sprintf("/customers/%d", a.ID)) {
			t.Errorf("the old page leads to %s", to)
		}
		now, err := h.Customers.Get(ctx, customer.View(admin), a.ID)
		if err != nil || len(now.Contacts) != 1 || now.Contacts[0].Email == "" {
			t.Fatalf("merged %+v %v", now, err)
		}
		if clear, err := h.Customers.Reveal(ctx, admin, now.Contacts[0].ID, customer.Email, "测试"); err != nil || clear != "li@example.com" {
			t.Errorf("the address that came along: %q %v", clear, err)
		}
		found, err := h.Customers.Search(ctx, customer.View(admin), b.Number, 5)
		if err != nil || len(found) != 1 || found[0].ID != a.ID {
			t.Errorf("search for the old number: %v %v", found, err)
		}
		if rec := h.Call("GET", "/api/v1/customers/"+b.Number, "", h.Token(authz.RoleAdmin)); rec.Code != 200 || !strings.Contains(rec.Body.String(), a.Number) {
			t.Errorf("API: %d %s", rec.Code, rec.Body)
		}
		if _, err := h.Customers.Create(ctx, admin, customer.Input{Type: customer.Person, Name: "王伟", Number: b.Number, PhoneOptional: true, Contacts: []customer.ContactInput{{Phone: "13700137000"}}}); !fault.Is(err, fault.Conflict) {
			t.Errorf("the old number was given away: %v", err)
		}
		if page := get("/customers/duplicates?tab=merged", 200); !strings.Contains(page, "/customer-merges/1") {
			t.Error("the merge is not listed")
		}
		if page := get("/customer-merges/1", 200); !strings.Contains(page, "会原样恢复") {
			t.Error("what undoing does is not said")
		}
		post("/customer-merges/1/undoing", "x=", 303)
		get(fmt.Sprintf("/customers/%d", b.ID), 200)
		if page := post("/customer-merges/1/undoing", "x=", 409); !strings.Contains(page, "已经撤销") {
			t.Error("undone twice")
		}
		timeline, _, err := h.Customers.Timeline(ctx, admin, a.ID, "", "", 50)
		kinds := ""
		for _, i := range timeline {
			if i.Event != nil {
				kinds += i.Event.Kind + " "
			}
		}
		if err != nil || !strings.Contains(kinds, customer.MergedKind) || !strings.Contains(kinds, customer.MergeUndone) {
			t.Errorf("timeline: %s %v", kinds, err)
		}
	})
}
