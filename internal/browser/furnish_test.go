package browser

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bihuan/internal/app"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/demo"
	"bihuan/internal/importer"
	"bihuan/internal/ticket"
)

// furnish gives the screens something to show: some weeks of a small company,
// as `bihuan serve --demo` plays them.
func furnish(t *testing.T, h *apptest.House) {
	t.Helper()
	ctx := context.Background()
	now := h.DB.Clock().Now()
	past := clock.NewFake(now)
	b, err := app.Open(ctx, h.Config, app.Options{Clock: past, Log: slog.New(slog.DiscardHandler), Offline: true, Keys: h.Keys, Bulk: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = demo.Fill(ctx, demo.Rooms{Run: b.Run, Follower: b.Follower, Org: b.Org, Customers: b.Customers, Tickets: b.Tickets, Complaints: b.Complaints, Clocks: b.Clocks, Notify: b.Notify, Approvals: b.Approvals, Privacy: b.Privacy, Tasks: b.Tasks, Rules: b.Rules, Clock: past},
		demo.Size{Customers: 40, Tickets: 120, Days: 20}, now)
	if err != nil {
		t.Fatal(err)
	}
}

// examples are addresses no link on a page leads to: those sent to customers,
// one for each state a customer can find his request in.
func examples(t *testing.T, h *apptest.House) []string {
	t.Helper()
	ctx := context.Background()
	var out []string
	for _, s := range []ticket.State{ticket.Pending, ticket.WaitingCustomer, ticket.AwaitingConfirmation, ticket.Completed, ticket.Closed} {
		var number string
		if err := h.DB.Read().QueryRow(ctx, `SELECT number FROM tickets WHERE state = $1 AND parent_id IS NULL ORDER BY id DESC LIMIT 1`, string(s)).Scan(&number); err != nil {
			t.Logf("no ticket is %s: %v", s, err)
			continue
		}
		tk, err := h.Tickets.ByNumber(ctx, ticket.View(h.Actor(authz.RoleAdmin)), number)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, "/c/"+h.Tickets.Link(tk), "/tickets/"+number)
		switch s {
		case ticket.Pending:
			out = append(out, "/c/"+h.Tickets.Link(tk)+"/received", "/tickets/"+number+"/moves/assign")
		case ticket.WaitingCustomer:
			out = append(out, "/tickets/"+number+"/edit", "/tickets/"+number+"/clocks", "/tickets/"+number+"/moves/answer")
		case ticket.AwaitingConfirmation:
			out = append(out, "/tickets/"+number+"/moves/confirm", "/tickets/"+number+"/moves/dispute")
		}
	}
	return slices.Concat(out, imports(t, h), approvals(t, h), attached(t, h), made(t, h))
}

// imports are a table that is being looked at and one that has come in, with
// rows that did not.
func imports(t *testing.T, h *apptest.House) []string {
	t.Helper()
	ctx, by := context.Background(), h.Actor(authz.RoleAdmin)
	table := "客户名称,联系人,联系方式,备用列\n深圳试用科技有限公司,李雷,13811112222,x\n没有电话的公司,韩梅梅,12,y\n"
	var out []string
	for _, start := range []bool{false, true} {
		i, err := h.Imports.Upload(ctx, by, importer.Customers, "客户名单.csv", strings.NewReader(table), int64(len(table)))
		for _, step := range []func(context.Context, authz.Actor, int64) error{h.Imports.Check, h.Imports.Start} {
			if err == nil && start {
				if err = step(ctx, by, i.ID); err == nil {
					err = h.Settle(ctx)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		at := "/imports/" + strconv.FormatInt(i.ID, 10)
		if out = append(out, at); start {
			out = append(out, at+"/result")
		}
	}
	return out
}
