package customerapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
)

// caller asks the API of a product under test.
type caller struct {
	*apptest.House
	t      *testing.T
	tokens map[string]string
}

func each(t *testing.T, f func(t *testing.T, c caller)) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) { f(t, caller{h, t, map[string]string{}}) })
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

func (a answer) fields() string {
	var out []string
	fs, _ := a.m["fields"].([]any)
	for _, f := range fs {
		x := f.(map[string]any)
		out = append(out, fmt.Sprintf("%s=%s", x["field"], x["code"]))
	}
	return strings.Join(out, " ")
}

// want calls as the person, with all scopes or those named ("agent customers:read"),
// and ends the test unless the status is as expected.
func (c caller) want(status int, who, request, body string, header ...string) answer {
	c.t.Helper()
	if c.tokens[who] == "" {
		login, scopes, _ := strings.Cut(who, " ")
		plain, err := c.Org.CreateToken(context.Background(), authz.System("test"), apptest.Login(login), "test", strings.Fields(scopes), time.Time{})
		c.ok(err)
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

func (c caller) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c caller) settle() {
	c.t.Helper()
	c.ok(c.Settle(context.Background()))
}

func (c caller) company(login, name, phone, email string) customer.Customer {
	c.t.Helper()
	x, err := c.Customers.Create(context.Background(), c.Actor(login), customer.Input{Type: customer.Company, Name: name, Source: "phone",
		Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: phone, Email: email, Primary: true}}})
	c.ok(err)
	return x
}

// Suspected duplicates are told apart or merged, and a merge is taken back, by
// who may and sees both (CUS-5, CUS-14).
func TestMerge(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		a := c.company(authz.RoleAgent, "深圳宏图精密仪器有限公司", "13900001111", "li@hongtu.cn")
		b := c.company(authz.RoleAgent, "宏图精密仪器（深圳）有限公司", "13900002222", "li@hongtu.cn")
		c.company(authz.RoleAgent, "广州明德贸易有限公司", "13900003333", "wang@mingde.cn")
		c.company(authz.RoleAgent, "广州明德商贸有限公司", "13900004444", "wang@mingde.cn")
		c.ok(c.Customers.FindPairs(context.Background()))

		list := c.want(200, authz.RoleHead, "GET /customer-pairs?limit=1", "")
		rest := c.want(200, authz.RoleHead, "GET /customer-pairs?limit=1&cursor="+list.at("next"), "")
		if list.at("items") != "1" || rest.at("items") != "1" || rest.at("next") != "" || list.at("items.0.id") == rest.at("items.0.id") {
			t.Fatalf("%s\n%s", list.Body, rest.Body)
		}
		if strings.Contains(list.Body.String(), "13900001111") {
			t.Error("not masked")
		}
		if l := c.want(200, authz.RoleSupervisor, "GET /customer-pairs", ""); l.at("items") != "0" {
			t.Errorf("pairs of others: %s", l.Body)
		}
		c.want(403, authz.RoleAgent, "GET /customer-pairs", "")
		c.want(403, "head customers:read customers:write", "GET /customer-pairs", "")

		// Not the same.
		apart := list.at("items.0.id")
		if n := list.at("items.0.a.number"); n == a.Number || n == b.Number {
			apart = rest.at("items.0.id")
		}
		diff := "/customer-pairs/" + apart + "/difference"
		c.want(404, authz.RoleSupervisor, "POST "+diff, `{"note":"两家公司"}`)
		c.want(404, authz.RoleHead, "POST /customer-pairs/999999/difference", `{"note":"两家公司"}`)
		if e := c.want(422, authz.RoleHead, "POST "+diff, `{"note":""}`); e.fields() != "note=merge.apart.why" {
			t.Error(e.Body)
		}
		if p := c.want(200, authz.RoleHead, "POST "+diff, `{"note":"两家公司"}`); p.at("state") != "distinct" || p.at("note") != "两家公司" || p.at("decided_by") == "" {
			t.Error(p.Body)
		}
		c.want(409, authz.RoleHead, "POST "+diff, `{"note":"两家公司"}`)
		if l := c.want(200, authz.RoleHead, "GET /customer-pairs?state=distinct", ""); l.at("items") != "1" {
			t.Error(l.Body)
		}
		if p := c.want(200, authz.RoleHead, "DELETE "+diff, ""); p.at("state") != "open" {
			t.Error(p.Body)
		}

		// One.
		path := "/customers/" + a.Number + "/merge"
		c.want(404, authz.RoleSupervisor, "GET "+path+"?other="+b.Number, "")
		c.want(404, authz.RoleSupervisor, "POST "+path, `{"other":"`+b.Number+`"}`)
		c.want(404, authz.RoleHead, "POST "+path, `{"other":"C000000000000"}`)
		plan := c.want(200, authz.RoleHead, "GET "+path+"?other="+b.Number, "")
		if plan.at("fields.1.name") != "name" || plan.at("fields.1.kept") != a.Name || plan.at("fields.1.merged") != b.Name || plan.at("version") == "" {
			t.Error(plan.Body)
		}
		if !strings.Contains(plan.Body.String(), `"kept":"客服部"`) || strings.Contains(plan.Body.String(), "13900002222") {
			t.Errorf("ids, or values in clear: %s", plan.Body)
		}
		if e := c.want(422, authz.RoleHead, "POST "+path, `{"other":"`+b.Number+`","choices":{"name":"both"}}`); e.fields() != "choices.name=api.unknown_choice" {
			t.Error(e.Body)
		}
		c.want(409, authz.RoleHead, "POST "+path, `{"other":"`+b.Number+`","version":99}`)
		body := `{"other":"` + b.Number + `","choices":{"name":"drop"},"reason":"同一家公司","version":` + plan.at("version") + `,"other_version":` + plan.at("other_version") + `}`
		m := c.want(201, authz.RoleHead, "POST "+path, body, "Idempotency-Key", "m")
		if m.at("number") != b.Number || m.at("into") != a.Number || m.at("undo_until") == "" || m.at("merged_by") == "" {
			t.Error(m.Body)
		}
		if r := c.want(201, authz.RoleHead, "POST "+path, body, "Idempotency-Key", "m"); r.at("id") != m.at("id") || r.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("asked again: %s", r.Body)
		}
		if r := c.want(200, authz.RoleHead, "GET /customers/"+b.Number, ""); r.at("number") != a.Number || r.at("name") != b.Name {
			t.Error(r.Body)
		}
		got := c.want(200, authz.RoleHead, "GET /customer-merges?customer="+a.Number, "")
		for _, f := range []string{"id", "number", "name", "into", "reason", "merged_by", "merged_at", "undo_until"} {
			if got.at("items.0."+f) != m.at(f) {
				t.Errorf("%s: %q when merged, %q when read", f, m.at(f), got.at("items.0."+f))
			}
		}
		undo := "/customer-merges/" + m.at("id") + "/undoing"
		c.want(404, authz.RoleSupervisor, "POST "+undo, "")
		c.want(404, authz.RoleHead, "POST /customer-merges/999999/undoing", "")
		u := c.want(200, authz.RoleHead, "POST "+undo, "", "Idempotency-Key", "u")
		if u.at("undone_at") == "" || u.at("into") != a.Number || u.at("kept") != "0" {
			t.Error(u.Body)
		}
		if r := c.want(200, authz.RoleHead, "POST "+undo, "", "Idempotency-Key", "u"); r.Header().Get("Idempotent-Replayed") != "true" {
			t.Error(r.Header())
		}
		c.want(409, authz.RoleHead, "POST "+undo, "")
		if r := c.want(200, authz.RoleHead, "GET /customers/"+b.Number, ""); r.at("number") != b.Number {
			t.Error(r.Body)
		}
	})
}

// Many customers are changed at once, those in reach; who asked reads what came
// of it (CUS-7).
func TestBulk(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		ctx := context.Background()
		_, err := c.Customers.SaveTag(ctx, c.Actor(authz.RoleAdmin), 0, "重点回访", customer.Colours[0])
		c.ok(err)
		a := c.company(authz.RoleAgent, "深圳甲方有限公司", "13900001111", "")
		b := c.company(authz.RoleAgent, "深圳乙方有限公司", "13900002222", "")
		far := c.company(authz.RoleSales, "上海丙方有限公司", "13900003333", "")
		both := `"customers":["` + a.Number + `","` + b.Number + `"]`
		for _, x := range []struct{ body, fields string }{
			{`{"change":"tag","tags":["重点回访"]}`, "customers=api.customers_or_filter"},
			{`{"filter":null,"change":"tag","tags":["重点回访"]}`, "customers=api.customers_or_filter"},
			{`{` + both + `,"filter":{"all":[]},"change":"tag","tags":["重点回访"]}`, "customers=api.customers_or_filter"},
			{`{` + both + `,"change":"tag"}`, "tags=api.need_member"},
			{`{` + both + `,"change":"tag","tags":["重点回访"],"owner":"agent"}`, "owner=api.pick_change"},
			{`{` + both + `,"change":"tag","tags":["无此标签"]}`, "tags=api.unknown_tag"},
			{`{` + both + `,"change":"paint"}`, "change=api.bad_parameter"},
			{`{` + both + `,"change":"owner","owner":"nobody-there","reason":"调整"}`, "owner=api.unknown_person"},
			{`{` + both + `,"change":"owner","owner":"agent"}`, "reason=customer.reason.required"},
			{`{"customers":["` + a.Number + `","` + far.Number + `"],"change":"tag","tags":["重点回访"]}`, "customers.1=api.unknown_customer"},
			{`{"filter":{"all":[{"field":"nope","op":"is","values":["1"]}]},"change":"tag","tags":["重点回访"]}`, ""},
		} {
			if e := c.want(422, authz.RoleAgent, "POST /customer-bulks", x.body); x.fields != "" && e.fields() != x.fields {
				t.Errorf("%s: %s, want %s", x.body, e.fields(), x.fields)
			}
		}
		body := `{` + both + `,"change":"tag","tags":["重点回访"]}`
		c.want(403, "agent customers:read", "POST /customer-bulks", body)
		x := c.want(201, authz.RoleAgent, "POST /customer-bulks", body, "Idempotency-Key", "k")
		if x.at("state") != "finished" || x.at("total") != "2" || x.at("done") != "2" || x.at("changed") != "2" || x.at("tags.0") != "重点回访" || x.at("change") != "tag" {
			t.Error(x.Body)
		}
		r := c.want(201, authz.RoleAgent, "POST /customer-bulks", body, "Idempotency-Key", "k")
		if r.at("id") != x.at("id") || r.Header().Get("Idempotent-Replayed") != "true" || r.at("changed") != "2" {
			t.Errorf("asked again: %s", r.Body)
		}
		if g := c.want(200, authz.RoleAgent, "GET /customers/"+a.Number, ""); g.at("tags.0") != "重点回访" {
			t.Error(g.Body)
		}
		if u := c.want(201, authz.RoleAgent, "POST /customer-bulks", `{"filter":{"all":[]},"change":"untag","tags":["重点回访"]}`); u.at("changed") != "2" || u.at("total") != "2" {
			t.Errorf("beyond the scope: %s", u.Body)
		}
		// Of another's it is not even said that there is one.
		c.want(404, authz.RoleHead, "GET /customer-bulks/"+x.at("id"), "")
		c.want(404, authz.RoleHead, "POST /customer-bulks/"+x.at("id")+"/cancellation", "")
		c.want(409, authz.RoleAgent, "POST /customer-bulks/"+x.at("id")+"/cancellation", "")

		o := c.want(201, authz.RoleHead, "POST /customer-bulks", `{`+both+`,"change":"owner","owner":"agent","reason":"片区调整"}`)
		if o.at("changed") != "2" || o.at("owner.login") != "agent" || o.at("reason") != "片区调整" {
			t.Error(o.Body)
		}
		if n := c.want(201, authz.RoleHead, "POST /customer-bulks", `{`+both+`,"change":"owner","owner":"none","reason":"片区调整"}`); n.at("changed") != "2" || n.at("owner") != "" {
			t.Error(n.Body)
		}
		l := c.want(201, authz.RoleHead, "POST /customer-bulks", `{`+both+`,"change":"level","level":"vip","reason":"年度大单"}`)
		if l.at("changed") != "2" && l.at("asked") != "2" {
			t.Error(l.Body)
		}
		if l.at("asked") == "2" { // those who wait are the results, page by page
			p := c.want(200, authz.RoleHead, "GET /customer-bulks/"+l.at("id")+"?limit=1", "")
			q := c.want(200, authz.RoleHead, "GET /customer-bulks/"+l.at("id")+"?limit=1&cursor="+p.at("next"), "")
			if p.at("results.0.number") != a.Number || p.at("results.0.outcome") != "asked" || q.at("results.0.number") != b.Number || q.at("next") != "" {
				t.Errorf("%s\n%s", p.Body, q.Body)
			}
		}
	})
}

// A change of more than wait for it is done in the background.
func TestBulkInBackground(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		ctx := context.Background()
		_, err := c.Customers.SaveTag(ctx, c.Actor(authz.RoleAdmin), 0, "重点回访", customer.Colours[0])
		c.ok(err)
		for i := range 201 {
			c.company(authz.RoleAgent, fmt.Sprintf("深圳%03d有限公司", i), fmt.Sprintf("139%08d", i), "")
		}
		x := c.want(201, authz.RoleAgent, "POST /customer-bulks", `{"filter":{"all":[]},"change":"tag","tags":["重点回访"]}`)
		if x.at("state") != "running" || x.at("done") != "0" || x.at("total") != "201" {
			t.Error(x.Body)
		}
		c.settle()
		if g := c.want(200, authz.RoleAgent, "GET /customer-bulks/"+x.at("id"), ""); g.at("state") != "finished" || g.at("changed") != "201" {
			t.Error(g.Body)
		}
	})
}

// Exports are fetched by who asked for them, on record each time (CUS-18).
func TestExports(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		a := c.company(authz.RoleAgent, "深圳甲方有限公司", "13900001111", "")
		c.company(authz.RoleAgent, "深圳乙方有限公司", "13900002222", "")
		filter := `"filter":{"all":[{"field":"name","op":"has","values":["甲方"]}]}`
		body := `{` + filter + `,"columns":["number","name","phone"],"format":"csv","name":"重点"}`
		c.want(403, authz.RoleAgent, "POST /customer-exports", body)
		c.want(403, "head customers:read", "POST /customer-exports", body)
		c.want(422, authz.RoleHead, "POST /customer-exports", `{"format":"pdf"}`)
		if e := c.want(422, authz.RoleHead, "POST /customer-exports", `{"format":"csv","columns":["nope"]}`); e.fields() != "columns=customer.column.unknown" {
			t.Error(e.Body)
		}
		x := c.want(201, authz.RoleHead, "POST /customer-exports", body, "Idempotency-Key", "k")
		if r := c.want(201, authz.RoleHead, "POST /customer-exports", body, "Idempotency-Key", "k"); r.at("id") != x.at("id") || r.Header().Get("Idempotent-Replayed") != "true" {
			t.Error(r.Body)
		}
		one := "/customer-exports/" + x.at("id")
		if x.Header().Get("Location") != "/api/v1"+one || x.at("state") != "running" || x.at("total") != "1" {
			t.Error(x.Body)
		}
		c.want(404, authz.RoleHead, "GET "+one+"/file", "")
		c.settle()
		if g := c.want(200, authz.RoleHead, "GET "+one, ""); g.at("state") != "finished" || g.at("done") != "1" || g.at("expires_at") == "" || g.at("downloads") != "0" {
			t.Error(g.Body)
		}
		f := c.want(200, authz.RoleHead, "GET "+one+"/file", "")
		if s := f.Body.String(); !strings.Contains(s, a.Number) || !strings.Contains(s, "139****1111") || strings.Contains(s, "乙方") || !strings.Contains(f.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("%v\n%s", f.Header(), s)
		}
		if g := c.want(200, authz.RoleHead, "GET "+one, ""); g.at("downloads") != "1" {
			t.Error(g.Body)
		}
		for _, request := range []string{"GET " + one, "GET " + one + "/file", "POST " + one + "/cancellation"} {
			c.want(404, authz.RoleAdmin, request, "")
		}
		c.want(409, authz.RoleHead, "POST "+one+"/cancellation", "")

		// In clear: scope, permission and a reason; also for the file.
		clear := `{` + filter + `,"columns":["phone"],"format":"csv","clear":true,"reason":"核对资料"}`
		c.want(403, "head customers:export", "POST /customer-exports", clear)
		if e := c.want(422, "head customers:export customers:reveal", "POST /customer-exports", strings.Replace(clear, "核对资料", "", 1)); e.fields() != "reason=customer.export.reason.required" {
			t.Error(e.Body)
		}
		y := c.want(201, "head customers:export customers:reveal", "POST /customer-exports", clear)
		c.settle()
		c.want(403, "head customers:export", "GET /customer-exports/"+y.at("id")+"/file", "")
		if f := c.want(200, "head customers:export customers:reveal", "GET /customer-exports/"+y.at("id")+"/file", ""); !strings.Contains(f.Body.String(), "13900001111") {
			t.Error(f.Body)
		}
		z := c.want(201, authz.RoleHead, "POST /customer-exports", body)
		if s := c.want(200, authz.RoleHead, "POST /customer-exports/"+z.at("id")+"/cancellation", ""); s.at("state") != "cancelled" {
			t.Error(s.Body)
		}
		l := c.want(200, authz.RoleHead, "GET /customer-exports?limit=2", "")
		rest := c.want(200, authz.RoleHead, "GET /customer-exports?limit=2&cursor="+l.at("next"), "")
		if l.at("items.0.id") != z.at("id") || rest.at("items.0.id") != x.at("id") || rest.at("next") != "" {
			t.Errorf("%s\n%s", l.Body, rest.Body)
		}
	})
}
