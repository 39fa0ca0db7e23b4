package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// CUS-6, GOV-2: the levels of many wait for one decision, whether a bulk change
// or an import wants them; whoever has changed meanwhile is left alone and said.
func TestLevelsOfMany(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		agent, head, admin := h.Actor(authz.RoleAgent), h.Actor(authz.RoleHead), h.Actor(authz.RoleAdmin)
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
		must(h.Customers.SetSettings(ctx, admin, customer.Settings{NumberTemplate: customer.NumberTemplate, LevelApproval: []customer.Level{customer.Strategic}}))
		level := func(id int64) customer.Level {
			t.Helper()
			c, err := h.Customers.Get(ctx, customer.View(admin), id)
			must(err)
			return c.Level
		}

		var ids []int64
		for i := range 3 {
			c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: fmt.Sprintf("广州南粤%d号医疗器械有限公司", i+1), Level: customer.Normal,
				Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: fmt.Sprintf("1381234567%d", i), Primary: true}}})
			must(err)
			ids = append(ids, c.ID)
		}
		b, err := h.Customers.Change(ctx, agent, customer.Selection{IDs: ids}, customer.BulkChange{Level: customer.Strategic, Reason: "年度评定"})
		must(err)
		levels, ok, err := h.Customers.LevelsOf(ctx, customer.LevelsOfBulk, b.ID)
		must(err)
		if b.Counts.Asked != 3 || !ok || levels.Total != 3 {
			t.Fatalf("%+v %+v", b.Counts, levels)
		}
		if page := h.Call("GET", fmt.Sprintf("/approvals/%d", levels.RequestID), "", h.Cookie(authz.RoleHead)); page.Code != 200 || !strings.Contains(page.Body.String(), "广州南粤2号医疗器械有限公司") || !strings.Contains(page.Body.String(), levels.Link()) {
			t.Errorf("the request does not say who: %d", page.Code)
		}
		for _, role := range []string{authz.RoleHead, authz.RoleAgent} {
			if page := h.Call("GET", levels.Link(), "", h.Cookie(role)); page.Code != 200 || strings.Count(page.Body.String(), "战略") < 3 {
				t.Errorf("%s: list %d", role, page.Code)
			}
		}
		if page := h.Call("GET", levels.Link(), "", h.Cookie(authz.RoleSales)); page.Code == 200 {
			t.Error("the list is shown to people who have nothing to do with it")
		}
		if _, err := h.Approvals.Approve(ctx, agent, levels.RequestID, "同意"); err == nil {
			t.Error("who asked decided")
		}
		must(h.Run.Do(ctx, admin, "test", func(ctx context.Context, a *action.Action) error {
			return h.Customers.SetLevel(ctx, a, ids[1], customer.VIP, "年采购过百万")
		}))
		_, err = h.Approvals.Approve(ctx, head, levels.RequestID, "同意")
		must(err)
		if got := []customer.Level{level(ids[0]), level(ids[1]), level(ids[2])}; got[0] != customer.Strategic || got[1] != customer.VIP || got[2] != customer.Strategic {
			t.Errorf("levels %v", got)
		}
		if page := h.Call("GET", levels.Link(), "", h.Cookie(authz.RoleAgent)); !strings.Contains(page.Body.String(), "期间已有变化，未改动") {
			t.Error("who was left alone is not said")
		}
		if w := h.Call("GET", fmt.Sprintf("/api/v1/customer-level-changes/%d?limit=2", levels.ID), "", h.Token(authz.RoleHead)); w.Code != 200 || !strings.Contains(w.Body.String(), `"outcome":"meanwhile"`) || !strings.Contains(w.Body.String(), `"next":`) || !strings.Contains(w.Body.String(), `"changed":2,"skipped":1`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}

		// An import asks in the same way; refused, all stay as they were taken in.
		var out []customer.Imported
		must(h.Run.Do(ctx, agent, "customer.import", func(ctx context.Context, a *action.Action) (err error) {
			rows := make([]customer.ImportRow, 3)
			for i := range rows {
				rows[i] = customer.ImportRow{ImportID: 77, Input: customer.Input{Type: customer.Person, Name: "甄志强", Level: customer.Strategic, Contacts: []customer.ContactInput{{Name: "甄志强", Phone: fmt.Sprintf("1391234567%d", i), Primary: true}}}}
			}
			rows[2].Level = customer.VIP // of which nobody is asked
			if out, err = h.Customers.Import(ctx, a, rows); err != nil {
				return err
			}
			return h.Customers.AskImportedLevels(ctx, a, 77, agent.ID)
		}))
		levels, ok, err = h.Customers.LevelsOf(ctx, customer.LevelsOfImport, 77)
		must(err)
		if !ok || levels.Total != 2 || level(out[0].ID) != customer.Normal || level(out[2].ID) != customer.VIP || out[0].Warning == nil || out[0].Warning.Key != "customer.import.level_waits" {
			t.Fatalf("%+v %+v", levels, out)
		}
		r, err := h.Approvals.Refuse(ctx, head, levels.RequestID, "先观察半年")
		must(err)
		if levels, _, err = h.Customers.LevelsOf(ctx, customer.LevelsOfImport, 77); err != nil || r.State != approval.Refused || levels.State != "settled" || levels.Changed != 0 || level(out[0].ID) != customer.Normal {
			t.Errorf("%+v %v", levels, err)
		}
		if _, err := h.Customers.Levels(ctx, head, 999); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
	})
}
