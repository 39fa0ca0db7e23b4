package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"
)

// The figures of data quality and the card of a customer, through the whole
// product: who sees which.
func TestQualityAndCards(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		c, err := h.Customers.Create(ctx, h.Actor("agent"), customer.Input{Type: customer.Company, Name: "广州南粤医疗器械有限公司",
			Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13712348820"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		call := func(login, path string) (int, string) {
			w := h.Call(http.MethodGet, path, "", h.Token(login))
			return w.Code, w.Body.String()
		}
		code, body := call("head", "/api/v1/customers/quality")
		var q struct {
			Total struct {
				Customers int64
				Flawed    map[string]int64
			}
		}
		if err := json.Unmarshal([]byte(body), &q); err != nil || code != 200 || q.Total.Customers != 1 || q.Total.Flawed["no_uscc"] != 1 {
			t.Errorf("head: %d %s %v", code, body, err)
		}
		if code, body = call("head", "/api/v1/customers/quality/records?code=no_uscc"); code != 200 || !strings.Contains(body, c.Number) || !strings.Contains(body, `"no_industry"`) {
			t.Errorf("records: %d %s", code, body)
		}
		if code, body = call("head", "/api/v1/customers/quality/records?code=bad_phone"); code != 200 || strings.Contains(body, c.Number) {
			t.Errorf("records: %d %s", code, body)
		}
		// The supervisor of the engineers answers for other people.
		if code, body = call("supervisor", "/api/v1/customers/quality"); code != 200 || strings.Contains(body, "客服部") {
			t.Errorf("supervisor: %d %s", code, body)
		}
		for _, path := range []string{"/api/v1/customers/quality", "/api/v1/customers/quality/records?code=no_uscc"} {
			if code, body = call("agent", path); code != 403 {
				t.Errorf("agent: %d %s", code, body)
			}
		}

		// The engineer sees the customer of his ticket, and him for that alone.
		tk, err := h.Tickets.Register(ctx, h.Actor("agent"), ticket.RegisterInput{Title: "主板故障", Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: h.Users["engineer"]})
		if err != nil {
			t.Fatal(err)
		}
		page := func(login, path string) (int, string) {
			w := h.Call(http.MethodGet, path, "", h.Cookie(login))
			return w.Code, w.Body.String()
		}
		if code, body = page("engineer", "/tickets/"+tk.Number+"/card"); code != 200 || !strings.Contains(body, "137****8820") || strings.Contains(body, "13712348820") {
			t.Errorf("engineer: %d %.300s", code, body)
		}
		for _, x := range []struct{ login, path string }{{"engineer", "/customers/%d/card"}, {"engineer", "/customers/%d"}, {"sales", "/customers/%d/card"}, {"sales", "/customers/%d/files"}} {
			if code, body = page(x.login, fmt.Sprintf(x.path, c.ID)); code != 404 || strings.Contains(body, "南粤") {
				t.Errorf("%s %s: %d", x.login, x.path, code)
			}
		}
		if code, body = page("sales", "/tickets/"+tk.Number+"/card"); code == 200 || strings.Contains(body, "南粤") {
			t.Errorf("sales: %d", code)
		}
	})
}
