package customerui_test

import (
	"net/url"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/field"
)

// The form asks for the company's own fields, says at the field what is wrong and
// loses nothing (CUS-19).
func TestOwnFieldsOnTheForm(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
		for _, f := range []field.Field{
			{Object: field.Customer, Code: "output", Kind: field.Money, Label: field.Words{Zh: "年产值"}, Help: field.Words{Zh: "以元计"}, Required: true, Types: []string{"company"}},
			{Object: field.Customer, Code: "areas", Kind: field.Multi, Label: field.Words{Zh: "经销区域"}, Options: []field.Choosable{{Code: "south", Zh: "华南"}, {Code: "north", Zh: "华北"}}},
			{Object: field.Contact, Code: "boss", Kind: field.Bool, Label: field.Words{Zh: "能拍板"}, Default: "否"},
		} {
			if _, err := s.s.Fields().Save(s.ctx, admin, f); err != nil {
				t.Fatal(err)
			}
		}
		page := func(path string, form url.Values, status int, texts ...string) {
			t.Helper()
			code, body, _ := s.do("agent", path, form)
			s.want(path, code, body, status, texts...)
		}
		page("/customers/new", nil, 200, "年产值", "以元计", `data-when="type=company"`, `name="fields.areas"`, "华南", `name="contacts.0.fields.boss"`, `<option value="0" selected>否</option>`)
		form := url.Values{"type": {"company"}, "name": {"广州南粤医疗器械股份有限公司"}, "level": {"normal"}, "department_id": {"1"}, "contacts": {"1"}, "contacts.0.name": {"黎嘉敏"},
			"contacts.0.phone": {"13812345678"}, "contacts.0.fields.boss": {"1"}, "primary": {"0"}, "fields.output": {"很多"}, "fields.areas": {"", "north"}}
		page("/customers", form, 422, "请填金额", `value="很多"`, `value="north" checked`, `<option value="1" selected>是</option>`)
		form.Set("fields.output", "12,000")
		code, _, h := s.do("agent", "/customers", form)
		if code != 303 {
			t.Fatalf("status %d", code)
		}
		home := h.Get("Location")
		page(home, nil, 200, "年产值", "¥12,000.00", "华北")
		page(home+"/edit", nil, 200, `value="12000.00"`, `value="north" checked`, `<option value="1" selected>是</option>`)
		// One row more takes the default; an untouched one is no contact.
		form.Set("contacts", "2")
		form.Set("contacts.1.fields.boss", "0")
		form.Set("contacts.0.phone", "13812345679")
		form.Set("duplicate_reason", "另一家门店")
		code, body, _ := s.do("agent", "/customers", form)
		if code != 303 {
			t.Fatalf("an untouched row is taken for a contact: %d %.2000s", code, body)
		}
	})
}
