package privacyapi_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/field"
)

// caller asks the API of a product under test.
type caller struct {
	*apptest.House
	t      *testing.T
	tokens map[string]string
}

func each(t *testing.T, f func(t *testing.T, c caller)) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		// Somebody leads the company: the first to approve.
		err := h.DB.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE departments SET head_id = $1 WHERE id = $2`, h.Users[authz.RoleHead], h.Departments["客户服务中心"])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}

		f(t, caller{h, t, map[string]string{}})
	})
}

type answer struct {
	*httptest.ResponseRecorder
	m map[string]any
}

// at returns the member at a dotted path, as text; of a list its length.
func (a answer) at(path string) string {
	var v any = a.m
	for _, p := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i := -1
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	if l, ok := v.([]any); ok {
		return fmt.Sprint(len(l))
	}
	return fmt.Sprint(v)
}

// want calls as the person, with all scopes or those named ("agent privacy:read"),
// and ends the test unless the status is as expected.
func (c caller) want(status int, who, request, body string, header ...string) answer {
	c.t.Helper()
	if c.tokens[who] == "" {
		login, scopes, _ := strings.Cut(who, " ")
		plain, err := c.Org.CreateToken(context.Background(), authz.System("test"), apptest.Login(login), "test", strings.Fields(scopes), time.Time{})
		if err != nil {
			c.t.Fatal(err)
		}
		c.tokens[who] = plain
	}
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+c.tokens[who])
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	c.Router.ServeHTTP(a.ResponseRecorder, r)
	_ = json.Unmarshal(a.Body.Bytes(), &a.m)
	if a.Code != status {
		c.t.Fatalf("%s: %d, want %d\n%s", request, a.Code, status, a.Body)
	}
	if strings.Contains(a.Body.String(), "⟦") {
		c.t.Errorf("%s: a text is missing: %s", request, a.Body)
	}
	return a
}

func (c caller) settle() {
	c.t.Helper()
	if err := c.Settle(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

func (c caller) person(login, name, phone string) customer.Customer {
	c.t.Helper()
	p, err := c.Customers.Create(context.Background(), c.Actor(login), customer.Input{Type: customer.Person, Name: name, Source: "phone", Contacts: []customer.ContactInput{{Name: name, Phone: phone, Primary: true}}})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c caller) approve(id string, as ...string) {
	c.t.Helper()
	var n int64
	fmt.Sscan(id, &n)
	for _, login := range as {
		if _, err := c.Approvals.Approve(context.Background(), c.Actor(login), n, "同意"); err != nil {
			c.t.Fatal(err)
		}
	}
	c.settle()
}

// A person's request goes its whole way: taken in once, served by who may, and
// neither seen nor moved by anybody else (GOV-4).
func TestRequests(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		who := c.person(authz.RoleAgent, "司徒文远", "13711112222")
		body := `{"kind":"%s","came_by":"email","names":["司徒文远"],"phones":["137-1111-2222"],"words":"我是司徒文远，请提供全部信息"}`
		access := fmt.Sprintf(body, "access")
		a := c.want(201, authz.RoleAgent, "POST /privacy-requests", access, "Idempotency-Key", "k1")
		again := c.want(201, authz.RoleAgent, "POST /privacy-requests", access, "Idempotency-Key", "k1")
		if again.Header().Get("Idempotent-Replayed") != "true" || again.at("id") != a.at("id") || a.at("created_at") == "" || a.at("created_by.login") != authz.RoleAgent {
			t.Errorf("%s\n%s", a.Body, again.Body)
		}
		if s := a.Body.String(); strings.Contains(s, "司徒文远") || strings.Contains(s, "13711112222") {
			t.Errorf("the answer names the person: %s", s)
		}
		one := "/privacy-requests/" + a.at("id")
		if a.Header().Get("Location") != "/api/v1"+one {
			t.Error(a.Header())
		}
		got := c.want(200, authz.RoleAgent, "GET "+one, "")
		for _, m := range []string{"number", "state", "person", "came_by", "words", "due_at", "created_at", "version"} {
			if got.at(m) != a.at(m) {
				t.Errorf("%s: %q when registered, %q when read", m, a.at(m), got.at(m))
			}
		}
		if x := c.want(422, authz.RoleAgent, "POST /privacy-requests", `{"kind":"x","came_by":"x"}`); x.at("fields") != "3" {
			t.Error(x.Body)
		}
		// Who did not take it in does not find it; who did may not serve it.
		c.want(404, authz.RoleSupervisor, "GET "+one, "")
		c.want(404, authz.RoleSupervisor, "POST "+one+"/identity", `{"identity":"回拨核对"}`)
		c.want(403, authz.RoleAgent, "POST "+one+"/search", "")
		c.want(403, "admin privacy:read privacy:write", "POST "+one+"/search", "")
		c.want(404, authz.RoleAdmin, "POST /privacy-requests/999999/search", "")
		if l := c.want(200, authz.RoleSupervisor, "GET /privacy-requests", ""); l.at("items") != "0" {
			t.Error(l.Body)
		}

		c.want(409, authz.RoleAdmin, "POST "+one+"/copy", `{"customers":["`+who.Number+`"]}`) // nobody has checked who asks
		c.want(422, authz.RoleAgent, "POST "+one+"/identity", `{"identity":"x"}`)
		if x := c.want(200, authz.RoleAgent, "POST "+one+"/identity", `{"identity":"回拨登记号码核对"}`); x.at("identity_at") == "" {
			t.Error(x.Body)
		}
		if x := c.want(200, authz.RoleAdmin, "POST "+one+"/search", ""); x.at("working") != "find" {
			t.Error(x.Body)
		}
		c.settle()
		x := c.want(200, "admin privacy:read privacy:manage", "GET "+one, "")
		if x.at("working") != "" || !strings.Contains(x.Body.String(), who.Number) {
			t.Errorf("not found: %s", x.Body)
		}
		if x := c.want(200, "admin privacy:read", "GET "+one, ""); x.at("found") != "" {
			t.Errorf("found without privacy:manage: %s", x.Body)
		}
		if x := c.want(200, authz.RoleAgent, "GET "+one, ""); x.at("found") != "" {
			t.Errorf("found for who may not serve: %s", x.Body)
		}
		contact := ""
		for i := range 5 {
			if v := x.at(fmt.Sprintf("found.people.%d.contact", i)); v != "" {
				contact = v
			}
		}
		choice := `{"contacts":[` + contact + `]}`
		if contact == "" {
			choice = `{"customers":["` + who.Number + `"]}`
		}
		c.want(404, authz.RoleAdmin, "POST "+one+"/copy", `{"customers":["C000000000000"]}`)
		c.want(409, authz.RoleAdmin, "GET "+one+"/copy", "")
		c.want(200, authz.RoleAdmin, "POST "+one+"/copy", choice)
		c.settle()
		if x := c.want(200, authz.RoleAdmin, "GET "+one, ""); x.at("copy_until") == "" {
			t.Error(x.Body)
		}
		file := c.want(200, authz.RoleAdmin, "GET "+one+"/copy", "")
		if !strings.HasPrefix(file.Body.String(), "PK") || !strings.Contains(file.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("no archive: %v", file.Header())
		}
		c.want(403, authz.RoleAgent, "GET "+one+"/copy", "")
		c.want(409, authz.RoleAdmin, "POST "+one+"/restriction", `{"customers":["`+who.Number+`"],"outcome":"停止使用"}`)
		if x := c.want(200, authz.RoleAdmin, "POST "+one+"/outcome", `{"outcome":"已提供副本"}`); x.at("state") != "done" || x.at("closed_at") == "" {
			t.Error(x.Body)
		}
		c.want(409, authz.RoleAdmin, "POST "+one+"/refusal", `{"outcome":"无法核实身份"}`)

		// Erased: by request, with the proof's digest.
		e := "/privacy-requests/" + c.want(201, authz.RoleAgent, "POST /privacy-requests", fmt.Sprintf(body, "erase")).at("id")
		c.want(200, authz.RoleAgent, "POST "+e+"/identity", `{"identity":"回拨登记号码核对"}`)
		c.want(409, authz.RoleAdmin, "POST "+e+"/erasure", choice) // nobody has searched
		c.want(200, authz.RoleAdmin, "POST "+e+"/search", "")
		c.settle()
		c.want(409, authz.RoleAdmin, "POST "+e+"/outcome", `{"outcome":"已经处理"}`)
		c.want(403, authz.RoleAgent, "POST "+e+"/erasure", choice)
		if x := c.want(200, authz.RoleAdmin, "POST "+e+"/erasure", choice); x.at("state") != "running" || x.at("erasure.number") == "" {
			t.Error(x.Body)
		}
		for range 10 {
			c.settle()
		}
		c.want(404, authz.RoleAdmin, "GET /customers/"+who.Number, "")

		r := "/privacy-requests/" + c.want(201, authz.RoleAgent, "POST /privacy-requests", fmt.Sprintf(body, "correct")).at("id")
		if x := c.want(200, authz.RoleAdmin, "POST "+r+"/refusal", `{"outcome":"无法核实身份"}`); x.at("state") != "refused" {
			t.Error(x.Body)
		}
		// Pages are read on behind the last one.
		l := c.want(200, authz.RoleAdmin, "GET /privacy-requests?limit=2", "")
		rest := c.want(200, authz.RoleAdmin, "GET /privacy-requests?limit=2&cursor="+l.at("next"), "")
		if l.at("items") != "2" || rest.at("items") != "1" || rest.at("next") != "" || rest.at("items.0.id") != a.at("id") {
			t.Errorf("%s\n%s", l.Body, rest.Body)
		}
		if x := c.want(200, authz.RoleAdmin, "GET /privacy-requests?state=refused", ""); x.at("items") != "1" {
			t.Error(x.Body)
		}
		c.want(403, "admin customers:read", "GET /privacy-requests", "")
	})
}

func TestRestriction(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		who := c.person(authz.RoleAgent, "欧阳修竹", "13733334444")
		one := "/privacy-requests/" + c.want(201, authz.RoleAgent, "POST /privacy-requests", `{"kind":"restrict","came_by":"phone","customers":["`+who.Number+`"],"identity":"回拨登记号码核对"}`).at("id")
		c.want(200, authz.RoleAdmin, "POST "+one+"/search", "")
		c.settle()
		if x := c.want(200, authz.RoleAdmin, "POST "+one+"/restriction", `{"customers":["`+who.Number+`"],"outcome":"停止使用其信息"}`); x.at("state") != "done" {
			t.Error(x.Body)
		}
		x := c.want(422, authz.RoleHead, "POST /disclosures", `{"purpose":"满意度回访","recipient":"调研公司","fields":["name"],"customers":["`+who.Number+`"]}`)
		if x.at("fields.0.code") != "privacy.disclosure.restricted" {
			t.Error(x.Body)
		}
		if x := c.want(200, authz.RoleAdmin, "GET "+one, ""); x.at("restrictions.0.customer") != who.Number || x.at("restrictions.0.kind") != "restrict" {
			t.Errorf("what holds: %s", x.Body)
		}
		lift := "DELETE /customers/" + who.Number + "/restrictions/restrict"
		c.want(403, authz.RoleAgent, lift, "")
		c.want(403, authz.RoleAdmin+" privacy:read", lift, "")
		c.want(204, authz.RoleAdmin, lift, "")
		c.want(404, authz.RoleAdmin, lift, "")
		c.want(404, authz.RoleAdmin, "DELETE /customers/C0/restrictions/restrict", "")
		if x := c.want(200, authz.RoleAdmin, "GET "+one, ""); x.at("restrictions") != "" {
			t.Errorf("still held: %s", x.Body)
		}
	})
}

// Deletions wait for approval; others are not told what was asked (CUS-15).
func TestDeletions(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		who := c.person(authz.RoleAgent, "尉迟明月", "13755556666")
		body := `{"customer":"` + who.Number + `","reason":"误登记的测试客户"}`
		c.want(404, authz.RoleSales, "POST /deletions", body)
		c.want(403, "agent privacy:read", "POST /deletions", body)
		c.want(422, authz.RoleAgent, "POST /deletions", `{"customer":"`+who.Number+`","reason":"x"}`)
		a := c.want(201, authz.RoleAgent, "POST /deletions", body, "Idempotency-Key", "k")
		if x := c.want(201, authz.RoleAgent, "POST /deletions", body, "Idempotency-Key", "k"); x.Header().Get("Idempotent-Replayed") != "true" || x.at("id") != a.at("id") {
			t.Error(x.Body)
		}
		if a.at("state") != "waiting" || strings.Contains(a.Body.String(), "尉迟明月") || a.at("department") != "客服部" {
			t.Error(a.Body)
		}
		c.want(409, authz.RoleAgent, "POST /deletions", body)
		one := "/deletions/" + a.at("id")
		c.want(404, authz.RoleSales, "GET "+one, "")
		if l := c.want(200, authz.RoleSales, "GET /deletions", ""); l.at("items") != "0" {
			t.Error(l.Body)
		}
		c.approve(a.at("approval"), authz.RoleHead, authz.RoleAdmin)
		for range 10 {
			c.settle()
		}
		x := c.want(200, authz.RoleAgent, "GET "+one, "")
		if s := x.at("state"); s != "done" && s != "running" {
			t.Error(x.Body)
		}
		c.want(404, authz.RoleAgent, "GET /customers/"+who.Number, "")
		if l := c.want(200, authz.RoleAgent, "GET /deletions?limit=1", ""); l.at("items.0.customer") != who.Number || l.at("next") != "" {
			t.Error(l.Body)
		}
	})
}

// Disclosures wait for approval; each time the file is fetched is recorded
// (CUS-16).
func TestDisclosures(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		mine := c.person(authz.RoleSupervisor, "令狐清风", "13777778888")
		other := c.person(authz.RoleAgent, "上官若水", "13799990000")
		ask := func(number, fields string) string {
			return `{"purpose":"满意度回访","recipient":"调研公司","fields":[` + fields + `],"customers":["` + number + `"],"days":3}`
		}
		if x := c.want(422, authz.RoleSupervisor, "POST /disclosures", ask(other.Number, `"name"`)); x.at("fields.0.field") != "customers.0" {
			t.Errorf("a customer out of scope: %s", x.Body)
		}
		c.want(422, authz.RoleSupervisor, "POST /disclosures", ask(mine.Number, `"name","secret"`))
		c.want(403, "supervisor privacy:read privacy:write", "POST /disclosures", ask(mine.Number, `"name"`))
		a := c.want(201, authz.RoleSupervisor, "POST /disclosures", ask(mine.Number, `"name","phone"`), "Idempotency-Key", "k")
		if x := c.want(201, authz.RoleSupervisor, "POST /disclosures", ask(mine.Number, `"name","phone"`), "Idempotency-Key", "k"); x.at("number") != a.at("number") || x.Header().Get("Idempotent-Replayed") != "true" {
			t.Error(x.Body)
		}
		one := "/disclosures/" + a.at("id")
		c.want(404, authz.RoleAgent, "GET "+one, "")
		c.want(404, authz.RoleAgent, "GET "+one+"/file", "")
		c.want(409, authz.RoleSupervisor, "GET "+one+"/file", "")
		c.approve(a.at("approval"), authz.RoleHead, authz.RoleAdmin)
		if x := c.want(200, authz.RoleSupervisor, "GET "+one, ""); x.at("state") != "ready" || x.at("sha256") == "" || x.at("downloads") != "" {
			t.Error(x.Body)
		}
		c.want(403, "supervisor privacy:read", "GET "+one+"/file", "")
		c.want(403, authz.RoleAuditor, "GET "+one+"/file", "")
		if f := c.want(http.StatusOK, authz.RoleSupervisor, "GET "+one+"/file", ""); !strings.HasPrefix(f.Body.String(), "PK") {
			t.Error(f.Header())
		}
		if x := c.want(200, authz.RoleSupervisor, "GET "+one, ""); x.at("downloads") != "1" || x.at("downloads.0.by") == "" {
			t.Error(x.Body)
		}
		if l := c.want(200, authz.RoleSupervisor, "GET /disclosures?state=ready", ""); l.at("items") != "1" {
			t.Error(l.Body)
		}
		if l := c.want(200, authz.RoleAgent, "GET /disclosures", ""); l.at("items") != "0" {
			t.Error(l.Body)
		}
	})
}

// How long data is kept is read, tried and changed by who may see to it.
func TestRetentionCalls(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		c.want(403, authz.RoleAgent, "GET /retention", "")
		c.want(403, authz.RoleAdmin+" privacy:read", "GET /retention", "")
		rules := `{"tickets":36,"customers":60,"imports":6,"exports":0,"deadline":15}`
		if x := c.want(200, authz.RoleAdmin, "POST /retention/preview", rules); x.at("tickets") != "0" || x.at("exports") != "" {
			t.Errorf("preview: %s", x.Body)
		}
		if x := c.want(200, authz.RoleAdmin, "PUT /retention", rules); x.at("tickets") != "36" {
			t.Errorf("set: %s", x.Body)
		}
		if x := c.want(200, authz.RoleAdmin, "GET /retention", ""); x.at("customers") != "60" || x.at("deadline") != "15" {
			t.Errorf("read: %s", x.Body)
		}
		if x := c.want(422, authz.RoleAdmin, "PUT /retention", `{"tickets":1,"deadline":15}`); x.at("fields.0.field") != "tickets" {
			t.Errorf("too short: %s", x.Body)
		}
	})
}

// A disclosure may be about a segment; who has restricted his data is left out.
func TestDisclosureOfASegment(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		a, b := c.person(authz.RoleHead, "诸葛青云", "13711112222"), c.person(authz.RoleHead, "上官婉秋", "13711113333")
		one := "/privacy-requests/" + c.want(201, authz.RoleAgent, "POST /privacy-requests", `{"kind":"restrict","came_by":"phone","customers":["`+b.Number+`"],"identity":"回拨登记号码核对"}`).at("id")
		c.want(200, authz.RoleAdmin, "POST "+one+"/search", "")
		c.settle()
		c.want(200, authz.RoleAdmin, "POST "+one+"/restriction", `{"customers":["`+b.Number+`"],"outcome":"停止使用其信息"}`)
		c.want(201, authz.RoleAdmin, "POST /customer-segments", `{"name":"调研","filter":{"v":1,"all":[{"field":"number","op":"is","values":["`+a.Number+`"]}]}}`)
		c.want(201, authz.RoleAdmin, "POST /customer-segments", `{"name":"全部","filter":{"v":1,"any":[{"field":"number","op":"is","values":["`+a.Number+`"]},{"field":"number","op":"is","values":["`+b.Number+`"]}]}}`)
		ask := `{"purpose":"满意度回访","recipient":"调研公司","fields":["name"],"segment":"%s"}`
		if x := c.want(201, authz.RoleHead, "POST /disclosures", fmt.Sprintf(ask, "调研")); x.at("customers") != "1" {
			t.Error(x.Body)
		}
		if x := c.want(201, authz.RoleHead, "POST /disclosures", fmt.Sprintf(ask, "全部")); x.at("customers") != "1" {
			t.Error(x.Body)
		}
		if x := c.want(422, authz.RoleHead, "POST /disclosures", fmt.Sprintf(ask, "没有")); x.at("fields.0.field") != "segment" {
			t.Error(x.Body)
		}
		if x := c.want(422, authz.RoleHead, "POST /disclosures", `{"purpose":"满意度回访","recipient":"调研公司","fields":["name"],"segment":"调研","customers":["`+a.Number+`"]}`); x.at("fields.0.code") != "api.customers_or_segment" {
			t.Error(x.Body)
		}
	})
}

// What a person is given holds the company's own fields, of him and of his
// tickets too (GOV-4).
func TestCopyHoldsOwnFields(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		admin := c.Actor(authz.RoleAdmin)
		for _, f := range []field.Field{{Object: field.Customer, Code: "hobby", Kind: field.Text, Label: field.Words{Zh: "爱好"}}, {Object: field.Contact, Code: "car", Kind: field.Text, Label: field.Words{Zh: "车牌"}}, {Object: field.Ticket, Code: "serial", Kind: field.Text, Label: field.Words{Zh: "序列号"}}} {
			if _, err := c.Customers.Fields().Save(context.Background(), admin, f); err != nil {
				t.Fatal(err)
			}
		}
		who := c.want(201, authz.RoleAgent, "POST /customers", `{"type":"person","name":"南宫问雅","source":"phone","fields":{"hobby":"围棋"},"contacts":[{"phone":"13722223333","fields":{"car":"粤B12345"}}]}`).at("number")
		c.want(201, authz.RoleAgent, "POST /tickets", `{"title":"净水器漏水","type":"after_sales","customer":"`+who+`","fields":{"serial":"SN-778899"}}`)
		one := "/privacy-requests/" + c.want(201, authz.RoleAgent, "POST /privacy-requests", `{"kind":"access","came_by":"phone","customers":["`+who+`"],"identity":"回拨登记号码核对"}`).at("id")
		c.want(200, authz.RoleAdmin, "POST "+one+"/search", "")
		c.settle()
		c.want(200, authz.RoleAdmin, "POST "+one+"/copy", `{"customers":["`+who+`"]}`)
		c.settle()
		raw := c.want(200, authz.RoleAdmin, "GET "+one+"/copy", "").Body.Bytes()
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"data.json", "index.html"} {
			f, err := z.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(f)
			for _, want := range []string{"爱好：围棋", "车牌：粤B12345", "序列号：SN-778899"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s lacks %s", name, want)
				}
			}
		}
	})
}
