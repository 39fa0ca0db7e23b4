package browser

import (
	"context"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
)

// approvals are a request that waits for the administrator, and one of his own
// that has ended, with everything a request can say.
func approvals(t *testing.T, h *apptest.House) []string {
	t.Helper()
	ctx := context.Background()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(role string, customerID int64) (r approval.Request) {
		ok(h.Run.Do(ctx, h.Actor(role), "test.ask", func(ctx context.Context, a *action.Action) (err error) {
			r, err = h.Approvals.Ask(ctx, a, approval.New{Kind: customer.KindLevel, Subject: customer.Subject(customerID), Title: "C202611190001 广州南粤医疗器械股份有限公司",
				Reason: "已签订三年战略合作协议", Data: map[string]string{"from": "normal", "to": "strategic"}})
			return err
		}))
		return r
	}
	var first int64
	ok(h.DB.Read().QueryRow(ctx, `SELECT MIN(id) FROM customers WHERE gone = 0 AND id NOT IN (SELECT subject_id FROM approvals WHERE subject_type = 'customer')`).Scan(&first))
	ended := ask(authz.RoleAdmin, first)
	for _, w := range ended.Waiting {
		a, err := h.Org.Actor(ctx, w.UserID)
		ok(err)
		_, err = h.Approvals.Refuse(ctx, a, ended.ID, "采购额未达到标准，请先观察一个季度。")
		ok(err)
		break
	}
	return []string{ended.Link(), ask(authz.RoleAgent, first).Link()}
}
