package app_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/org"
	"bihuan/internal/sheet"
)

// CUS-18, GOV-2: an export above the set size waits for the head and an
// administrator; then it is written, its maker is told and fetches it.
func TestLargeExport(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		supervisor, head, admin := h.Actor(authz.RoleSupervisor), h.Actor(authz.RoleHead), h.Actor(authz.RoleAdmin)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE departments SET head_id = $1 WHERE id = $2`, h.Users[authz.RoleHead], h.Departments["客户服务中心"])
			return err
		}))
		must(h.Org.SetPresence(ctx, authz.System("test"), h.Users[authz.RoleHead], org.Presence{Availability: org.Online}))
		for i, name := range []string{"广州南粤医疗器械有限公司", "佛山顺德家电有限公司"} {
			_, err := h.Customers.Create(ctx, supervisor, customer.Input{Type: customer.Company, Name: name, Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "1381111000" + strconv.Itoa(i)}}})
			must(err)
		}
		must(h.Customers.SetSettings(ctx, admin, customer.Settings{NumberTemplate: customer.NumberTemplate, ExportApproval: 1}))
		cookie := h.Cookie(authz.RoleSupervisor)
		w := h.Call("POST", "/customer-exports", url.Values{"format": {"csv"}, "filter": {"{}"}, "columns": {"name", "phone"}, "reason": {"年度盘点"}}.Encode(), cookie)
		page := w.Header().Get("Location")
		if w.Code != 303 {
			t.Fatalf("asked: %d %s", w.Code, w.Body)
		}
		must(h.Settle(ctx))
		if w := h.Call("GET", page, "", cookie); !strings.Contains(w.Body.String(), "待审批") {
			t.Errorf("it does not wait: %s", w.Body)
		}
		if w := h.Call("GET", page+"/file", "", cookie); w.Code != 404 {
			t.Errorf("a file before consent: %d", w.Code)
		}
		id, _ := strconv.ParseInt(page[strings.LastIndex(page, "/")+1:], 10, 64)
		r, open, err := h.Approvals.Pending(ctx, h.DB.Read(), customer.KindExport, customer.ExportSubject(id))
		must(err)
		if !open {
			t.Fatal("nobody was asked")
		}
		if w := h.Call("GET", r.Link(), "", h.Cookie(authz.RoleHead)); !strings.Contains(w.Body.String(), "年度盘点") || !strings.Contains(w.Body.String(), "客户名称、电话") || !strings.Contains(w.Body.String(), "脱敏") {
			t.Errorf("what is decided about: %s", w.Body)
		}
		_, err = h.Approvals.Approve(ctx, head, r.ID, "")
		must(err)
		_, err = h.Approvals.Approve(ctx, admin, r.ID, "")
		must(err)
		must(h.Settle(ctx))
		if w := h.Call("GET", page, "", cookie); !strings.Contains(w.Body.String(), "下载文件") {
			t.Errorf("not written: %s", w.Body)
		}
		if w := h.Call("GET", "/notifications", "", cookie); !strings.Contains(w.Body.String(), page) {
			t.Error("its maker was not told")
		}
		w = h.Call("GET", page+"/file", "", cookie)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "南粤") || strings.Contains(w.Body.String(), "13811110000") || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("file: %d %s", w.Code, w.Body)
		}
		if w := h.Call("GET", page+"/file", "", h.Cookie(authz.RoleHead)); w.Code != 404 {
			t.Errorf("another's file: %d", w.Code)
		}

		// Taken back, and refused.
		ask := func() customer.Export {
			t.Helper()
			e, err := h.Customers.AskExport(ctx, supervisor, customer.NewExport{Format: sheet.CSV, Reason: "盘点"})
			must(err)
			return e
		}
		e := ask()
		must(h.Customers.CancelExport(ctx, supervisor, e.ID))
		if e, err = h.Customers.Export(ctx, supervisor, e.ID); err != nil || e.State != "cancelled" {
			t.Errorf("%+v %v", e, err)
		}
		e = ask()
		r, open, err = h.Approvals.Pending(ctx, h.DB.Read(), customer.KindExport, customer.ExportSubject(e.ID))
		must(err)
		if !open {
			t.Fatal("nobody was asked again")
		}
		_, err = h.Approvals.Refuse(ctx, head, r.ID, "没有必要")
		must(err)
		if e, err = h.Customers.Export(ctx, supervisor, e.ID); err != nil || e.State != "refused" {
			t.Errorf("%+v %v", e, err)
		}
	})
}
