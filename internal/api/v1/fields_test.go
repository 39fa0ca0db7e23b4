package v1

import (
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/field"
)

// The company's own fields are read and written by their codes (CUS-19).
func TestFields(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
		for _, f := range []field.Field{
			{Object: field.Customer, Code: "output", Kind: field.Money, Label: field.Words{Zh: "年产值", En: "Yearly output"}, Required: true, Types: []string{"company"}},
			{Object: field.Customer, Code: "areas", Kind: field.Multi, Label: field.Words{Zh: "区域"}, Options: []field.Choosable{{Code: "south", Zh: "华南"}, {Code: "north", Zh: "华北"}}},
			{Object: field.Contact, Code: "birthday", Kind: field.Date, Label: field.Words{Zh: "生日"}},
			{Object: field.Ticket, Code: "site", Kind: field.Bool, Label: field.Words{Zh: "上门"}, Default: "否"},
		} {
			if _, err := w.Customers.Fields().Save(w.Ctx, admin, f); err != nil {
				t.Fatal(err)
			}
		}
		tok := w.token("kefu")
		a := w.want(200, tok, "GET /fields?object=customer", "")
		if a.at("items.0.code") != "output" || a.at("items.0.required") != "true" || a.at("items.1.options.1.label") != "华北" {
			t.Errorf("definitions: %s", a.Raw)
		}
		const company = `{"type":"company","name":"珠海横琴测绘仪器有限公司","contacts":[{"name":"黎嘉敏","phone":"13700001234"`
		for _, c := range []struct{ body, fields string }{
			{company + `}]}`, "fields.output=field.required"},
			{company + `,"fields":{"birthday":"x"}}],"fields":{"output":"a","nope":1}}`, "fields.nope=api.unknown_field"},
			{company + `,"fields":{"birthday":"x"}}],"fields":{"output":"a"}}`, "fields.output=field.money contacts.0.fields.birthday=field.date"},
			{company + `}],"fields":{"output":1,"areas":[1]}}`, "fields.areas=api.field_shape"},
		} {
			if a := w.want(422, tok, "POST /customers", c.body); a.fields() != c.fields {
				t.Errorf("%s: %s, want %s", c.body, a.fields(), c.fields)
			}
		}
		a = w.want(201, tok, "POST /customers", company+`,"fields":{"birthday":"1990-05-04"}}],"fields":{"output":1200.5,"areas":["north","华南"]}}`)
		number := a.at("number")
		if a.at("fields.output") != "1200.5" || a.at("fields.areas.0") != "south" || a.at("contacts.0.fields.birthday") != "1990-05-04" {
			t.Errorf("created: %s", a.Raw)
		}
		a = w.want(200, tok, "PATCH /customers/"+number, `{"version":`+a.at("version")+`,"fields":{"areas":null}}`)
		if a.at("fields.areas") != "" || a.at("fields.output") != "1200.5" {
			t.Errorf("changed: %s", a.Raw)
		}
		a = w.want(200, tok, "GET /customers", "")
		if a.at("items.0.fields.output") != "1200.5" {
			t.Errorf("list: %s", a.Raw)
		}
		a = w.want(201, tok, "POST /tickets", `{"title":"打不开","type":"after_sales","customer":"`+number+`"}`)
		if a.at("fields.site") != "false" {
			t.Errorf("ticket: %s", a.Raw)
		}
		a = w.want(200, tok, "PATCH /tickets/"+a.at("number"), `{"version":`+a.at("version")+`,"fields":{"site":true}}`)
		if a.at("fields.site") != "true" {
			t.Errorf("ticket changed: %s", a.Raw)
		}
	})
}
