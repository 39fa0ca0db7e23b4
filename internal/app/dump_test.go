package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"bihuan/internal/app"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/demo"
	"bihuan/internal/importer"
	"bihuan/internal/ticket"
)

// secrets are the sensitive values of one customer as somebody types them.
type secrets struct{ phone, email, wechat, address string }

func secretsOf(n int) secrets {
	return secrets{fmt.Sprintf("1395550%04d", 1000+n), fmt.Sprintf("geheim%d@mailbox-%d.cn", n, n), fmt.Sprintf("wxsecret_%d", n), fmt.Sprintf("翠竹北路%d弄玲珑大厦", 3000+n)}
}

// needles are what of a value would be clear in a dump, however it is spelt.
func (s secrets) needles() []string {
	out := []string{s.email, s.wechat, s.address}
	if p := s.phone; p != "" {
		out = append(out, p, p[:3]+" "+p[3:7]+" "+p[7:], p[:3]+"-"+p[3:7]+"-"+p[7:])
	}
	return out
}

// CUS-17: whoever gets hold of the database without the key file gets no
// telephone number, no mail or WeChat name and no address, whichever way they
// came in and whatever was done with them.
func TestDumpShowsNothing(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := t.Context()
		var seeded []secrets
		next := func() secrets {
			s := secretsOf(len(seeded))
			seeded = append(seeded, s)
			return s
		}
		admin := h.Actor(authz.RoleAdmin)
		cookie := h.Cookie(authz.RoleAdmin)
		token := h.Token(authz.RoleAdmin)
		post := func(path string, by any, want int, form url.Values) *httptest.ResponseRecorder {
			t.Helper()
			w := h.Call(http.MethodPost, path, form.Encode(), by)
			if w.Code != want {
				t.Fatalf("POST %s: %d, want %d\n%s", path, w.Code, want, visible(w.Body.String()))
			}
			return w
		}
		contact := func(s secrets, more ...string) url.Values {
			v := url.Values{"type": {"company"}, "level": {"normal"}, "source": {"phone"}, "address": {s.address}, "primary": {"0"}, "contacts": {"1"}, "contacts.0.name": {"钱敏"},
				"contacts.0.phone": {s.phone}, "contacts.0.email": {s.email}, "contacts.0.wechat": {s.wechat}, "department_id": {fmt.Sprint(h.Departments["客服部"])}}
			for i := 0; i < len(more); i += 2 {
				v.Set(more[i], more[i+1])
			}
			return v
		}

		// The form: registered, refused, a duplicate, and changed.
		a := next()
		at := post("/customers", cookie, http.StatusSeeOther, contact(a, "name", "甲厂有限公司")).Header().Get("Location")
		post("/customers", cookie, http.StatusUnprocessableEntity, contact(next(), "name", "", "contacts.0.email", "not an address"))
		if w := h.Call(http.MethodPost, "/customers", contact(a, "name", "甲厂分厂").Encode(), cookie); w.Code < 400 {
			t.Errorf("a duplicate: %d", w.Code)
		}
		post("/customers/check", cookie, http.StatusOK, contact(a, "name", "甲厂"))
		number := at[strings.LastIndexByte(at, '/')+1:]
		list, err := h.Customers.Search(ctx, customer.View(admin), a.phone, 5)
		if err != nil || len(list) != 1 || fmt.Sprint(list[0].ID) != number {
			t.Fatalf("%v at %s, %v", list, at, err)
		}
		c, b := list[0], next()
		post(at, cookie, http.StatusSeeOther, contact(b, "name", c.Name, "version", fmt.Sprint(c.Version), "contacts.0.id", fmt.Sprint(c.Contacts[0].ID), "reason", "更换电话"))
		for f, want := range map[customer.Field]string{customer.Phone: b.phone, customer.Email: b.email, customer.Wechat: b.wechat} {
			got, err := h.Customers.Reveal(ctx, admin, c.Contacts[0].ID, f, "回访")
			if err != nil || !strings.Contains(strings.ReplaceAll(got, " ", ""), want) {
				t.Errorf("%s is %q, want %q: %v", f, got, want, err)
			}
		}
		for _, q := range b.needles() {
			h.Call(http.MethodGet, "/customers?q="+url.QueryEscape(q), "", cookie)
			h.Call(http.MethodGet, "/tickets?q="+url.QueryEscape(q), "", cookie)
		}

		// The API, with an answer that is kept to be given again.
		x := next()
		body := fmt.Sprintf(`{"type":"company","name":"乙厂有限公司","source":"email","address":%q,"contacts":[{"name":"孙立","phone":%q,"email":%q,"wechat":%q,"primary":true}]}`, x.address, x.phone, x.email, x.wechat)
		for range 2 {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/customers", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "once")
			w := httptest.NewRecorder()
			h.Router.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				t.Fatalf("API: %d %s", w.Code, w.Body)
			}
		}
		h.Call(http.MethodPost, "/api/v1/customers", strings.Replace(body, "乙厂", "乙厂分", 1), token)              // a duplicate
		h.Call(http.MethodPost, "/api/v1/customers", strings.Replace(body, `"company"`, `"nothing"`, 1), token) // refused

		// Tables: rows that come in, doubtful ones, wrong ones, the same twice.
		var table strings.Builder
		table.WriteString("客户名称,联系人,联系方式,邮箱,微信,地址\n")
		for i, phone := range []func(string) string{
			func(p string) string { return p },
			func(p string) string { return p[:3] + " " + p[3:7] + " " + p[7:] },
			func(p string) string { return p + "/" + p },
			func(p string) string { return p + "0" },
		} {
			s := next()
			mail := s.email
			if i == 3 {
				mail = "no address " + mail
			}
			fmt.Fprintf(&table, "丙%d厂有限公司,周%d,%s,%s,%s,%s\n", i, i, phone(s.phone), mail, s.wechat, s.address)
		}
		fmt.Fprintf(&table, "丙0厂有限公司,周0,%s,%s,,\n", b.phone, x.email)
		file := table.String()
		for range 2 {
			i, err := h.Imports.Upload(ctx, admin, importer.Customers, "客户.csv", strings.NewReader(file), int64(len(file)))
			if err == nil {
				err = h.Imports.Check(ctx, admin, i.ID)
			}
			if err == nil {
				err = h.Settle(ctx)
			}
			if err == nil {
				err = h.Imports.Start(ctx, admin, i.ID)
			}
			if err == nil {
				err = h.Settle(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			if w := h.Call(http.MethodGet, fmt.Sprintf("/imports/%d", i.ID), "", cookie); w.Code != http.StatusOK {
				t.Errorf("/imports/%d: %d", i.ID, w.Code)
			}
		}

		// Somebody writes through the public form, and a caller is added to a ticket.
		v := next()
		page := h.Call(http.MethodGet, "/portal/new", "", nil).Body.String()
		form := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page)
		if form == nil {
			t.Fatal("no form")
		}
		post("/portal/new", nil, http.StatusSeeOther, url.Values{"form": {form[1]}, "name": {"吴访客"}, "phone": {v.phone}, "email": {v.email}, "type": {"after_sales"}, "title": {"无法开机"},
			"description": {"昨天开始没有反应。"}, "urgency": {"normal"}, "consent": {"1"}})
		n := next()
		if _, err := h.Tickets.Register(ctx, admin, ticket.RegisterInput{CustomerID: c.ID, Title: "询价", Description: "需要报价", Type: "consultation", Urgency: "normal", Channel: "phone"}); err != nil {
			t.Fatal(err)
		}
		post("/tickets", cookie, http.StatusSeeOther, url.Values{"who": {"new"}, "kind": {"person"}, "name": {"郑新客"}, "level": {"normal"}, "source": {"phone"}, "contacts.0.name": {"郑新客"}, "contacts.0.phone": {n.phone}, "contacts.0.email": {n.email},
			"title": {"咨询"}, "type": {"consultation"}, "urgency": {"normal"}, "channel": {"phone"}, "description": {"请回电"}})
		if err := h.Settle(ctx); err != nil {
			t.Fatal(err)
		}

		// Sample data has values of its own.
		past := clock.NewFake(h.DB.Clock().Now())
		d, err := app.Open(ctx, h.Config, app.Options{Clock: past, Log: slog.New(slog.DiscardHandler), Offline: true, Keys: h.Keys, Bulk: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = demo.Fill(ctx, demo.Rooms{Run: d.Run, Follower: d.Follower, Org: d.Org, Customers: d.Customers, Tickets: d.Tickets, Complaints: d.Complaints, Clocks: d.Clocks, Notify: d.Notify, Clock: past},
			demo.Size{Customers: 30, Tickets: 60, Days: 10}, h.DB.Clock().Now())
		if err == nil {
			err = d.Settle(ctx)
		}
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
		seeded = append(seeded, stored(t, h)...)

		dump := dumpOf(t, h)
		for _, must := range []string{"甲厂有限公司", "乙厂有限公司", "丙0厂有限公司", "吴访客", "郑新客"} {
			if !holds(dump, must) {
				t.Errorf("%s is not in the dump: the test looks at the wrong place, or this way in is closed", must)
			}
		}
		for _, s := range seeded {
			for _, needle := range s.needles() {
				if needle == "" {
					continue
				}
				for _, where := range places(dump, needle) {
					t.Errorf("%s is in clear: %s", needle, where)
				}
			}
		}
		t.Logf("%d sets of values, %d parts of the dump", len(seeded), len(dump))
	})
}

// visible is the text of a page, short.
func visible(html string) string {
	s := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, " ")), " ")
	return s[:min(len(s), 1500)]
}

// stored returns the values of all customers there are, opened with the key.
func stored(t *testing.T, h *apptest.House) (out []secrets) {
	t.Helper()
	open := func(table, fields string) {
		rows, err := h.DB.Read().Query(t.Context(), `SELECT id, `+fields+` FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names := strings.Split(fields, ", ")
		for rows.Next() {
			var id int64
			raw := make([][]byte, len(names))
			into := []any{&id}
			for i := range raw {
				into = append(into, &raw[i])
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			var s secrets
			for i, n := range names {
				f := strings.TrimSuffix(n, "_sealed")
				v, err := h.Keys.Open(fmt.Sprintf("%s/%d/%s", table, id, f), raw[i])
				if err != nil {
					t.Fatal(err)
				}
				switch f {
				case "phone":
					if len(v) == 11 && v != "19900000000" { // digits of sample credit codes
						s.phone = v
					}
				case "email":
					s.email = v
				case "wechat":
					s.wechat = v
				case "address":
					s.address = v
				}
			}
			if len([]rune(s.address)) < 8 { // too short to be told from other words
				s.address = ""
			}
			out = append(out, s)
		}
	}
	open("contacts", "phone_sealed, email_sealed, wechat_sealed")
	open("customers", "address_sealed")
	return out
}

// dumpOf is what a thief of the database has: the files with all that was ever
// written and not yet overwritten, or every table as text.
func dumpOf(t *testing.T, h *apptest.House) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	if h.DB.Dialect() == db.SQLite {
		files, _ := filepath.Glob(h.DB.Path() + "*")
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(f)] = raw
		}
		return out
	}
	rows, err := h.DB.Read().Query(t.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		var text string
		if err := h.DB.Read().QueryRow(context.Background(), `SELECT COALESCE(string_agg(CAST(x AS text), chr(10)), '') FROM `+n+` x`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		out[n] = []byte(text)
	}
	return out
}

// places says where needle stands in a dump: as it is, in other letters, or as
// the hexadecimal of bytes.
func places(dump map[string][]byte, needle string) (out []string) {
	for name, raw := range dump {
		for _, form := range []string{needle, strings.ToLower(needle), strings.ToUpper(needle), hex.EncodeToString([]byte(needle))} {
			if i := bytes.Index(raw, []byte(form)); i >= 0 {
				out = append(out, fmt.Sprintf("%s: …%s…", name, strings.ToValidUTF8(string(raw[max(0, i-80):min(len(raw), i+len(form)+80)]), "·")))
				break
			}
		}
	}
	return out
}

func holds(dump map[string][]byte, needle string) bool { return len(places(dump, needle)) > 0 }
