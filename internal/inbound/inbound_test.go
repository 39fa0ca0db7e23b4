package inbound_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/inbound"
	"bihuan/internal/journal"
	"bihuan/internal/outbound"
	"bihuan/internal/ticket"
	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

// shop is a source and what it needs to call.
type shop struct {
	t      *testing.T
	h      *apptest.House
	base   string
	id     int64
	key    string
	secret string
}

func open(t *testing.T, h *apptest.House) *shop {
	t.Helper()
	ctx, admin := context.Background(), h.Actor(authz.RoleAdmin)
	s := &shop{t: t, h: h, base: h.Serve()}
	var err error
	if s.id, err = h.Inbound.Save(ctx, admin, inbound.Source{Name: "官方商城", Channel: "website", Type: "after_sales", Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if s.secret, err = h.Inbound.MakeSecret(ctx, admin, s.id); err != nil {
		t.Fatal(err)
	}
	x, err := h.Inbound.Source(ctx, admin, s.id)
	if err != nil {
		t.Fatal(err)
	}
	s.key = x.Key
	return s
}

// call sends body; change may spoil it.
func (s *shop) call(delivery, body string, change ...func(*http.Request)) (int, map[string]any) {
	s.t.Helper()
	at := fmt.Sprint(s.h.DB.Clock().Now().Unix())
	r, err := http.NewRequest("POST", s.base+"/in/"+s.key, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-Bihuan-Delivery", delivery)
	r.Header.Set("X-Bihuan-Timestamp", at)
	r.Header.Set("X-Bihuan-Signature", outbound.Sign(s.secret, at, []byte(body)))
	for _, c := range change {
		c(r)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		s.t.Fatalf("%d: %s", res.StatusCode, raw)
	}
	return res.StatusCode, m
}

const first = `{"customer":{"name":"王芳","company":"苏州明远精密有限公司","phone":"138 0013 8000"},"title":"订单没有发货","description":"周一下的单，今天还是待发货","urgency":"urgent","reference":"A-1001"}`

// CHN-6: a request becomes a ticket of the customer it is from, once; what he
// says later goes into it and brings it back from waiting.
func TestCalls(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		s := open(t, h)
		code, a := s.call("d1", first)
		if code != 201 || a["outcome"] != "created" || a["number"] == "" || !strings.Contains(a["link"].(string), "/c/") {
			t.Fatalf("%d %v", code, a)
		}
		number := a["number"].(string)
		admin := h.Actor(authz.RoleAdmin)
		x, err := h.Tickets.ByNumber(ctx, ticket.View(admin), number)
		if err != nil {
			t.Fatal(err)
		}
		if x.Type != "after_sales" || x.Urgency != "urgent" || x.Channel != "website" || x.CustomerName != "苏州明远精密有限公司" || x.Description != "周一下的单，今天还是待发货" {
			t.Errorf("registered as %+v", x)
		}
		if res, err := http.Get(a["link"].(string)); err != nil || res.StatusCode != 200 {
			t.Errorf("the customer's link: %v %v", res, err)
		}

		// The same again, and another matter under the same id.
		if code, b := s.call("d1", first); code != 200 || b["number"] != number || b["repeated"] != true {
			t.Errorf("again: %d %v", code, b)
		}
		if code, b := s.call("d1", strings.Replace(first, "A-1001", "A-1002", 1)); code != 409 || b["code"] != "inbound.reused" {
			t.Errorf("reused: %d %v", code, b)
		}

		// The same person by his telephone: no second profile.
		_, b := s.call("d2", strings.NewReplacer("A-1001", "A-1002", "没有发货", "开错发票", "138 0013 8000", "+86 13800138000").Replace(first))
		y, err := h.Tickets.ByNumber(ctx, ticket.View(admin), b["number"].(string))
		if err != nil || y.CustomerID != x.CustomerID {
			t.Errorf("the second request is of customer %d, %v; the first of %d", y.CustomerID, err, x.CustomerID)
		}

		// His words later.
		agent := admin
		for login, id := range h.Users {
			if id == x.AssigneeID {
				agent = h.Actor(login)
			}
		}
		if agent.ID == admin.ID {
			t.Fatal("nobody of the house was given the request")
		}
		if _, err := h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Tickets.Do(ctx, agent, x.ID, ticket.Ask, ticket.Input{Body: "请告诉我们订单号"}); err != nil {
			t.Fatal(err)
		}
		if code, b := s.call("d3", `{"reference":"A-1001","message":"订单号是 20261120-7"}`); code != 200 || b["outcome"] != "added" || b["number"] != number || b["state"] != string(ticket.InProgress) {
			t.Errorf("added: %d %v", code, b)
		}
		s.call("d3", `{"reference":"A-1001","message":"订单号是 20261120-7"}`)
		es, _, err := journal.Of(ctx, h.DB.Read(), journal.Place{Ticket: x.ID}, journal.Page{Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, e := range es {
			if strings.Contains(e.Body, "20261120-7") {
				said++
			}
		}
		if said != 1 {
			t.Errorf("his words stand %d times in the ticket", said)
		}
		ds, _, err := h.Inbound.Deliveries(ctx, admin, s.id, 0)
		if err != nil || len(ds) != 3 || ds[0].Outcome != inbound.Added || ds[2].Outcome != inbound.Created {
			t.Errorf("calls on record: %+v, %v", ds, err)
		}
	})
}

// What cannot be taken in says why, and leaves nothing behind.
func TestBadCalls(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		s := open(t, h)
		set := func(name, v string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, v) }
		}
		old := fmt.Sprint(h.DB.Clock().Now().Add(-6 * time.Minute).Unix())
		for name, c := range map[string]struct {
			body   string
			change func(*http.Request)
			status int
			code   string // of the problem, or of its first field
		}{
			"signature": {first, set("X-Bihuan-Signature", "sha256=00"), 401, "inbound.bad.signature"},
			"old": {first, func(r *http.Request) {
				set("X-Bihuan-Timestamp", old)(r)
				set("X-Bihuan-Signature", outbound.Sign(s.secret, old, []byte(first)))(r)
			}, 401, "inbound.bad.clock"},
			"no time":    {first, set("X-Bihuan-Timestamp", "gestern"), 401, "inbound.bad.timestamp"},
			"no id":      {first, set("X-Bihuan-Delivery", ""), 401, "inbound.bad.delivery"},
			"not json":   {`你好`, nil, 422, "inbound.not_json"},
			"two":        {`{} {}`, nil, 422, "inbound.not_json"},
			"gbk":        {"{\"title\":\"\xc4\xe3\"}", nil, 422, "inbound.not_utf8"},
			"spelling":   {`{"titel":"x"}`, nil, 422, "inbound.unknown"},
			"number":     {`{"title":7}`, nil, 422, "inbound.not_text"},
			"empty":      {`{}`, nil, 422, "portal.need.name"},
			"telephone":  {strings.Replace(first, "138 0013 8000", "12", 1), nil, 422, "portal.phone.invalid"},
			"urgency":    {strings.Replace(first, "urgent", "very", 1), nil, 422, "inbound.one_of"},
			"reference":  {`{"reference":"A-9","message":"x"}`, nil, 422, "inbound.no_reference"},
			"long":       {strings.Replace(first, "订单没有发货", strings.Repeat("长", 101), 1), nil, 422, "ui.form.too_long"},
			"too large":  {`{"title":"` + strings.Repeat("x", 300<<10) + `"}`, nil, 413, "ui.error.too_large"},
			"no address": {first, func(r *http.Request) { r.URL.Path = "/in/unknown" }, 404, "inbound.not_found"},
		} {
			var changes []func(*http.Request)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			status, m := s.call("x "+name, c.body, changes...)
			code := m["code"]
			if fs, ok := m["fields"].([]any); ok && len(fs) > 0 {
				code = fs[0].(map[string]any)["code"]
			}
			if status != c.status || code != c.code {
				t.Errorf("%s: %d %v, want %d %s", name, status, m, c.status, c.code)
			}
		}
		admin := h.Actor(authz.RoleAdmin)
		if n, err := h.Customers.Search(ctx, customer.View(admin), "苏州明远", 10); err != nil || len(n) != 0 {
			t.Errorf("%d customers were made of bad calls, %v", len(n), err)
		}
		ds, _, err := h.Inbound.Deliveries(ctx, admin, s.id, 0)
		if err != nil || len(ds) != 10 {
			t.Errorf("%d refused calls on record, %v; want the ten that were signed", len(ds), err)
		}
		x, err := h.Inbound.Source(ctx, admin, s.id)
		if err != nil || !strings.HasPrefix(x.Trouble, "inbound.bad.") {
			t.Errorf("the administrator reads %q of what was turned away, %v", x.Trouble, err)
		}

		// A source that was switched off, or has no secret, does not exist.
		x.Enabled = false
		if _, err := h.Inbound.Save(ctx, admin, x); err != nil {
			t.Fatal(err)
		}
		if status, _ := s.call("y", first); status != 404 {
			t.Errorf("a source that is off answers %d", status)
		}
		if bytes.Contains([]byte(s.key), []byte(s.secret)) {
			t.Error("the address holds the secret")
		}
	})
}
