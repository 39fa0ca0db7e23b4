package customer_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// follow returns a function that hands everything recorded so far to the listener
// of quality.
func (w *world) follow() func() {
	f := event.NewFollower(w.d)
	f.Listen(w.s.QualityListener())
	return func() {
		w.t.Helper()
		if err := f.Drain(w.ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

func flaws(g customer.QualityGroup) map[string]int64 {
	out := maps.Clone(g.Flawed)
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// RPT-8: the figures follow every change, by department and person, within what
// the reader answers for; the lists hold exactly what the figures count.
func TestQuality(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		follow := w.follow()
		good := company("广州南粤医疗器械有限公司", "13712348820")
		good.USCC, good.Industry, good.Region, good.Source, good.OwnerID = "91110000600037341L", "C35", "广东", "phone", w.agent.ID
		c := w.create(w.agent, good)
		w.create(w.agent, company("深圳测试一号有限公司", "13712348821")) // no code, industry, region, owner
		w.create(w.stranger, company("杭州测试二号有限公司", "13712348822"))
		follow()

		report := func(a authz.Actor) customer.QualityReport {
			t.Helper()
			r, err := w.s.Quality(w.ctx, a)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := report(w.head)
		bare := map[string]int64{"completeness": 1, "no_uscc": 1, "no_industry": 1, "no_region": 1, "no_owner": 1}
		if r.Total.N != 2 || !maps.Equal(flaws(r.Total), bare) || len(r.Departments) != 1 || len(r.People) != 2 {
			t.Fatalf("head: %+v", r)
		}
		if s := r.Total.Share("completeness"); s != 50 {
			t.Error(s)
		}
		if all := report(w.auditor); all.Total.N != 3 || len(all.Departments) != 2 || all.Total.Flawed["no_uscc"] != 2 {
			t.Errorf("auditor: %+v", all)
		}
		if _, err := w.s.Quality(w.ctx, w.agent); !fault.Is(err, fault.Forbidden) {
			t.Errorf("agent: %v", err)
		}

		// The list behind a figure, with everything that is wrong.
		list := func(a authz.Actor, f customer.QualityFilter) (names string, next string) {
			t.Helper()
			rows, next, err := w.s.Flawed(w.ctx, a, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range rows {
				names += fmt.Sprint(x.Name, len(x.Flaws), " ")
			}
			return names, next
		}
		if got, _ := list(w.head, customer.QualityFilter{Code: "no_uscc"}); got != "深圳测试一号有限公司4 " {
			t.Errorf("head: %s", got)
		}
		got, next := list(w.auditor, customer.QualityFilter{Code: "completeness", Limit: 1})
		if got != "杭州测试二号有限公司4 " || next == "" {
			t.Errorf("auditor: %s %s", got, next)
		}
		if got, next = list(w.auditor, customer.QualityFilter{Code: "completeness", Limit: 1, After: next}); got != "深圳测试一号有限公司4 " || next != "" {
			t.Errorf("auditor: %s %s", got, next)
		}
		if got, _ = list(w.auditor, customer.QualityFilter{Code: "no_uscc", DepartmentID: repairs, OwnerID: -1}); got != "杭州测试二号有限公司4 " {
			t.Errorf("auditor: %s", got)
		}
		if got, _ = list(w.head, customer.QualityFilter{Code: "no_uscc", DepartmentID: repairs}); got != "" {
			t.Errorf("head sees %s", got)
		}
		if _, _, err := w.s.Flawed(w.ctx, w.head, customer.QualityFilter{Code: "nothing"}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, _, err := w.s.Flawed(w.ctx, w.agent, customer.QualityFilter{Code: "no_uscc"}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}

		// A mark that a number does not work holds until the number changes.
		contact := c.Contacts[0].ID
		if err := w.s.MarkUnreachable(w.ctx, w.stranger, c.ID, contact, customer.Phone, "empty_number"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := w.s.MarkUnreachable(w.ctx, w.agent, c.ID, contact, customer.Phone, "because"); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if err := w.s.MarkUnreachable(w.ctx, w.agent, c.ID, contact, customer.Email, "bounced"); !fault.Is(err, fault.NotFound) {
			t.Errorf("he has no mail: %v", err)
		}
		if err := w.s.MarkUnreachable(w.ctx, w.agent, c.ID, contact, customer.Phone, "empty_number"); err != nil {
			t.Fatal(err)
		}
		follow()
		if n := report(w.head).Total.Flawed["unreachable"]; n != 1 {
			t.Errorf("unreachable %d", n)
		}
		in := good
		in.Contacts = []customer.ContactInput{{ID: contact, Name: "黎嘉敏", Phone: "13712340000", Primary: true}}
		if _, err := w.s.Update(w.ctx, w.agent, c.ID, c.Version, in, ""); err != nil {
			t.Fatal(err)
		}
		follow()
		if r := report(w.head); r.Total.Flawed["unreachable"] != 0 || r.Total.Flawed["accuracy"] != 0 {
			t.Errorf("still unreachable: %+v", r.Total)
		}

		// Time makes things wrong: the nightly pass finds it. Afterwards the kept
		// figures are those one gets by counting from nothing.
		w.clock.Advance(200 * 24 * time.Hour)
		w.exec(`UPDATE users SET active = 0 WHERE id = $1`, w.agent.ID)
		w.exec(`UPDATE customers SET parent_id = 1 WHERE id = 1`)
		if err := w.s.CheckQuality(w.ctx); err != nil {
			t.Fatal(err)
		}
		r = report(w.auditor)
		if r.Total.Flawed["stale"] != 3 || r.Total.Flawed["unverified"] != 3 || r.Total.Flawed["owner_left"] != 1 || r.Total.Flawed["parent_loop"] != 1 || r.CheckedAt.IsZero() {
			t.Errorf("after the pass: %+v", r)
		}
		if len(r.Months) != 1 || r.Months[0].N != 3 || r.Months[0].Flawed["timeliness"] != 3 {
			t.Errorf("trend: %+v", r.Months)
		}
		kept := flaws(r.Total)
		w.exec(`DELETE FROM quality_counts`)
		w.exec(`DELETE FROM customer_flaws`)
		w.exec(`DELETE FROM customer_quality`)
		w.clock.Advance(24 * time.Hour)
		if err := w.s.CheckQuality(w.ctx); err != nil {
			t.Fatal(err)
		}
		if again := flaws(report(w.auditor).Total); !maps.Equal(again, kept) {
			t.Errorf("counted anew %v, kept %v", again, kept)
		}

		// Who is gone is in no figure and no list.
		w.exec(`UPDATE customers SET gone = 1 WHERE id = 1`)
		w.clock.Advance(24 * time.Hour)
		if err := w.s.CheckQuality(w.ctx); err != nil {
			t.Fatal(err)
		}
		if r := report(w.auditor); r.Total.N != 2 || r.Total.Flawed["parent_loop"] != 0 {
			t.Errorf("gone: %+v", r.Total)
		}
		var n int
		if err := w.d.Read().QueryRow(w.ctx, `SELECT COUNT(*) FROM customer_flaws WHERE customer_id = 1`).Scan(&n); err != nil || n != 0 {
			t.Error(n, err)
		}
	})
}
