package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
)

// CUS-13: a verification that is due reaches its owner, and one that is overdue
// the supervisor's desk.
func TestVerificationsReachPeople(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		turn := h.DB.Clock().(*clock.Fake)
		c, err := h.Customers.Create(ctx, h.Actor(authz.RoleSupervisor), customer.Input{Type: customer.Person, Name: "周小姐", Level: customer.Strategic, OwnerID: h.Users[authz.RoleAgent],
			DepartmentID: h.Departments["售后部"], Contacts: []customer.ContactInput{{Phone: "13812345678"}}})
		if err != nil {
			t.Fatal(err)
		}
		notices := func(login string) string {
			t.Helper()
			w := h.Call("GET", "/notifications", "", h.Cookie(login))
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d", login, w.Code)
			}
			return w.Body.String()
		}
		day := func(at time.Time) {
			t.Helper()
			turn.Set(at)
			for range 2 {
				if err := h.Customers.CareSweep(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Follower.Drain(ctx); err != nil {
				t.Fatal(err)
			}
		}
		const due, late = "有 1 位客户的资料到期待核实", "有 1 位客户的资料逾期未核实"
		day(c.VerifyAt.Add(-time.Hour))
		if strings.Contains(notices(authz.RoleAgent), due) {
			t.Error("told before the day")
		}
		day(c.VerifyAt.Add(9 * time.Hour))
		if body := notices(authz.RoleAgent); strings.Count(body, due) != 1 || !strings.Contains(body, `value="/customers/verifications"`) {
			t.Errorf("the owner is told %d times", strings.Count(body, due))
		}
		if body := notices(authz.RoleSupervisor); strings.Contains(body, due) || strings.Contains(body, late) {
			t.Error("the supervisor is told at once")
		}
		for i := 1; i <= 10; i++ {
			day(c.VerifyAt.AddDate(0, 0, i).Add(9 * time.Hour))
		}
		if n := strings.Count(notices(authz.RoleAgent), due); n != 1 {
			t.Errorf("after ten days the owner has %d notices", n)
		}
		if n := strings.Count(notices(authz.RoleSupervisor), late); n != 1 {
			t.Errorf("after ten days the supervisor has %d notices", n)
		}
		if w := h.Call("GET", "/desk", "", h.Cookie(authz.RoleSupervisor)); !strings.Contains(w.Body.String(), "团队有 1 位客户的资料逾期未核实") {
			t.Error("the desk does not say so")
		}
		if w := h.Call("GET", "/customers/verifications?of=team", "", h.Cookie(authz.RoleSupervisor)); !strings.Contains(w.Body.String(), "逾期 10 天") {
			t.Error("the list does not show it")
		}
		token := h.Token(authz.RoleHead)
		w := h.Call("GET", "/api/v1/verifications?of=team", "", token)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.Number) || !strings.Contains(w.Body.String(), `"verify_at"`) {
			t.Errorf("by the API: %d %s", w.Code, w.Body)
		}
		w = h.Call("POST", "/api/v1/customers/"+c.Number+"/verifications", `{"version":1,"rest":"confirmed","note":"电话核对"}`, token)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"verified_at"`) {
			t.Errorf("verified: %d %s", w.Code, w.Body)
		}
		for path, body := range map[string]string{"grade": `{"grade":"a","reason":"大客户"}`, "stage": `{"stage":"active"}`, "parent": `{"parent":"C1"}`, "relations": `{"kind":"partner","other":"` + c.Number + `"}`} {
			w := h.Call("POST", "/api/v1/customers/"+c.Number+"/"+path, body, token)
			want := map[string]int{"grade": 200, "stage": 200, "parent": 422, "relations": 422}[path]
			if w.Code != want {
				t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
			}
		}
		for _, path := range []string{"suggestion", "stages", "verifications", "relations"} {
			if w := h.Call("GET", "/api/v1/customers/"+c.Number+"/"+path, "", token); w.Code != http.StatusOK {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
