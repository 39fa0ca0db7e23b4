package v1

import (
	"net/url"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
)

// Customers are asked for by conditions of any kind and by segment (CUS-7).
func TestCustomerFilter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		tok := w.token("kefu")
		for _, body := range []string{
			`{"type":"company","name":"珠海横琴测绘仪器有限公司","level":"vip","contacts":[{"name":"黎嘉敏","phone":"13700001234"}]}`,
			`{"type":"company","name":"佛山顺德家电有限公司","contacts":[{"name":"陈思远","phone":"13700005678"}]}`,
		} {
			w.want(201, tok, "POST /customers", body)
		}
		list := func(q url.Values) string { return "GET /customers?" + q.Encode() }
		either := `{"v":1,"any":[{"field":"level","op":"is","values":["vip"]},{"field":"name","op":"has","values":["家电"]}]}`
		if a := w.want(200, tok, list(url.Values{"filter": {either}}), ""); a.at("items") != "3" {
			t.Errorf("either: %s", a.Raw)
		}
		if a := w.want(200, tok, list(url.Values{"filter": {either}, "level": {"normal"}, "sort": {"name"}}), ""); a.at("items") != "1" || a.at("items.0.name") != "佛山顺德家电有限公司" {
			t.Errorf("narrowed: %s", a.Raw)
		}
		for filter, want := range map[string]string{
			`{"v":1,"all":[{"field":"level","op":"is","values":["gold"]}]}`:                "filter.0=customer.query.value.choice",
			`{"v":1,"any":[{"all":[{"field":"activity","op":"last","values":["soon"]}]}]}`: "filter.0.0=customer.query.value.days",
			`{"v":1,"all":[{"field":"salary","op":"set"}]}`:                                "filter.0=customer.query.field",
			`nonsense`: "filter=customer.query.unreadable",
		} {
			if a := w.want(422, tok, list(url.Values{"filter": {filter}}), ""); a.fields() != want {
				t.Errorf("%s: %s", filter, a.fields())
			}
		}
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{customer.PermSegments: authz.All}}
		if _, err := w.Customers.SaveSegment(w.Ctx, admin, customer.Segment{Name: "重点", Query: customer.AllOf(customer.Is("level", "vip"))}); err != nil {
			t.Fatal(err)
		}
		a := w.want(200, tok, "GET /customer-segments", "")
		if a.at("items.0.name") != "重点" || a.at("items.0.count") != "2" || a.at("items.0.filter.all.0.field") != "level" {
			t.Errorf("segments: %s", a.Raw)
		}
		if a := w.want(200, tok, list(url.Values{"segment": {"重点"}}), ""); a.at("items") != "2" || a.at("items.0.level") != "vip" {
			t.Errorf("members: %s", a.Raw)
		}
		if a := w.want(422, tok, list(url.Values{"segment": {"没有"}}), ""); a.fields() != "segment=customer.segment.not_found" {
			t.Errorf("no such segment: %s", a.fields())
		}
	})
}
