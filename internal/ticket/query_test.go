package ticket_test

import (
	"bytes"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// Conditions in groups on every attribute there is: each makes a statement both
// engines understand, and groups mean what they say (TKT-18).
func TestTicketConditions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		a := h.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Title, in.Urgency = "打印机卡纸", "urgent" })
		b := h.To(ticket.Pending, func(in *ticket.RegisterInput) { in.Title, in.Type = "发票抬头写错", "complaint" })
		x := h.To(ticket.Closed, func(in *ticket.RegisterInput) { in.Title = "打印机缺墨" })
		kefu, sc := h.As("kefu"), ticket.View(h.As("kefu"))
		find := func(view string, q customer.Query) string {
			t.Helper()
			p, err := h.List(h.Ctx, sc, ticket.Filter{View: view, Query: q, Sort: ticket.ByActivity})
			h.OK(err)
			n, err := h.Counts(h.Ctx, sc, []ticket.Filter{{View: view, Query: q}})
			h.OK(err)
			ids, _, err := h.Select(h.Ctx, sc, ticket.Filter{View: view, Query: q})
			h.OK(err)
			if n[0] != len(p.Rows) || len(ids) != len(p.Rows) {
				t.Errorf("%s: %d rows, counted %d, selected %d", q, len(p.Rows), n[0], len(ids))
			}
			var out []string
			for _, y := range []ticket.Ticket{a, b, x} {
				for _, r := range p.Rows {
					if r.ID == y.ID {
						out = append(out, map[int64]string{a.ID: "a", b.ID: "b", x.ID: "x"}[y.ID])
					}
				}
			}
			return strings.Join(out, "")
		}
		title := func(s string) customer.Node {
			return customer.Node{Field: "title", Op: customer.OpHas, Values: []string{s}}
		}
		for _, q := range []struct {
			view string
			q    customer.Query
			want string
		}{
			{"all", customer.AllOf(title("打印机")), "ax"},
			{"open", customer.AllOf(title("打印机")), "a"},
			{"all", customer.AllOf(customer.Node{Any: []customer.Node{customer.Is("urgency", "urgent"), customer.Is("type", "complaint")}}), "ab"},
			{"all", customer.AllOf(title("打印机"), customer.Node{Any: []customer.Node{customer.Is("urgency", "urgent"), customer.Is("type", "complaint")}}), "a"},
			{"all", customer.AllOf(customer.Is("assignee", customer.Me), customer.Node{Field: "state", Op: customer.OpNot, Values: []string{"closed"}}), "ab"},
			{"all", customer.AllOf(customer.Is("category", "0")), "abx"},
			{"all", customer.AllOf(customer.Node{Field: "sub", Op: customer.OpYes}), ""},
			{"all", customer.AllOf(customer.Node{Field: "overdue", Op: customer.OpNo}), "abx"},
		} {
			if got := find(q.view, q.q); got != q.want {
				t.Errorf("%s in %s: %q, want %q", q.q, q.view, got, q.want)
			}
		}
		attrs, err := h.Attrs(h.Ctx, i18n.ZhCN)
		h.OK(err)
		for _, at := range attrs { // every comparison is understood
			for _, op := range at.Ops() {
				n := customer.Node{Field: at.Code, Op: op}
				switch {
				case op == customer.OpEmpty || op == customer.OpSet || op == customer.OpYes || op == customer.OpNo:
				case op.Days():
					n.Values = []string{"7"}
				case op == customer.OpWithin:
					n.Values = []string{"this_week"}
				case at.Kind == customer.KindDate:
					n.Values = []string{"2026-11-01"}
				case len(at.Options) > 0:
					n.Values = []string{at.Options[0].Value}
				default:
					n.Values = []string{"1"}
				}
				if op == customer.OpBetween {
					n.Values = append(n.Values, n.Values[0])
				}
				find("all", customer.AllOf(n))
			}
		}
		if err := h.CheckQuery(h.Ctx, kefu, customer.AllOf(customer.Is("mood", "sad"))); !fault.Is(err, fault.Invalid) {
			t.Errorf("a field there is not: %v", err)
		}

		// A view that a team shares: its members have it, others do not, and only its owner deletes it.
		f := ticket.Filter{View: "open", Query: customer.AllOf(title("打印机"))}
		if _, err := h.SaveView(h.Ctx, kefu, "打印机", f, h.Dept["客服部"]); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent shares a view: %v", err)
		}
		id, err := h.SaveView(h.Ctx, h.As("zhuguan"), "打印机", f, h.Dept["客服部"])
		h.OK(err)
		for login, want := range map[string]int{"zhuguan": 1, "kefu": 1, "gong": 0} {
			vs, err := h.SavedViews(h.Ctx, h.As(login))
			h.OK(err)
			if len(vs) != want || want == 1 && find("open", vs[0].Filter.Query) != "a" {
				t.Errorf("%s has %+v", login, vs)
			}
		}
		if err := h.DeleteView(h.Ctx, kefu, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else deletes it: %v", err)
		}

		// The same list as a table, on record.
		h.Events()
		var csv bytes.Buffer
		n, err := h.Export(h.Ctx, h.As("zhuguan"), ticket.Filter{View: "all", Query: customer.AllOf(title("打印机"))}, []string{"number", "title", "state"}, sheet.CSV, &csv)
		h.OK(err)
		if n != 2 || !strings.Contains(csv.String(), a.Number+",打印机卡纸,处理中") || strings.Contains(csv.String(), "发票") {
			t.Errorf("%d rows: %s", n, csv.String())
		}
		if got := h.Events(); got != "ticket.exported" {
			t.Errorf("facts: %s", got)
		}
		if _, err := h.Export(h.Ctx, kefu, ticket.Filter{}, []string{"number"}, sheet.CSV, &csv); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent exports: %v", err)
		}
	})
}
