package customerui_test

import (
	"fmt"
	"net/url"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
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
			{Object: field.Customer, Code: "areas", Kind: field.Multi, Label: field.Words{Zh: "经销区域", En: "Regions"}, Options: []field.Choosable{{Code: "south", Zh: "华南"}, {Code: "north", Zh: "华北"}}},
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
		// Where it stands it is changed alone; what is wrong is said there.
		page("hx "+home+"/fields/fields.output", nil, 200, `name="fields.output"`, `value="12000.00"`, `name="version" value="1"`, `hx-target="#fact-fields-output"`, "!<html")
		page("hx "+home+"/fields/fields.output?cancel=1", nil, 200, "¥12,000.00", "!<form")
		page(home+"/fields/fields.areas", nil, 200, "<html", `value="north" checked`)
		page("hx "+home+"/fields/fields.nothing", nil, 404)
		page("hx "+home+"/fields/fields.output", url.Values{"version": {"1"}, "fields.output": {"很多"}}, 422, "请填金额", `value="很多"`)
		page("hx "+home+"/fields/fields.output", url.Values{"version": {"1"}, "fields.output": {"15000"}}, 200, "¥15,000.00", "!<form class=\"inform")
		page("hx "+home+"/fields/fields.areas", url.Values{"version": {"1"}, "fields.areas": {"", "south"}}, 409, "已被", `name="fields.areas"`)
		page("hx "+home+"/fields/fields.areas", url.Values{"version": {"2"}, "fields.areas": {""}}, 200, "!华北", "!<form class=\"inform")
		page(home+"/changes", nil, 200, "年产值", "经销区域")
		if code, _, _ := s.do("auditor", "hx "+home+"/fields/fields.output", nil); code != 403 {
			t.Errorf("an auditor edits: %d", code)
		}
		if got := s.s.Fields().LabelOf(s.ctx, i18n.En, "经销区域") + " " + s.s.Fields().LabelOf(s.ctx, i18n.En, "年产值") + " " + s.s.Fields().LabelOf(s.ctx, i18n.ZhCN, "经销区域"); got != "Regions 年产值 经销区域" {
			t.Errorf("labels in English: %s", got)
		}
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

// What the page of a customer costs does not grow with what hangs on him.
func TestPageCost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		s := newSite(t, d, c)
		for range 2 {
			f := full()
			f.Set("duplicate_reason", "另一家门店")
			if code, body, _ := s.do("agent", "/customers", f); code != 303 {
				t.Fatal(code, body)
			}
		}
		for i := range 40 {
			if code, body, _ := s.do("agent", "/customers/2/people", form("version", fmt.Sprint(i+1), "contacts", "1", "contacts.0.name", fmt.Sprintf("联系人%d", i), "contacts.0.phone", fmt.Sprintf("138%08d", i), "duplicate_reason", "另一家门店")); code >= 400 {
				t.Fatal(i, code, body)
			}
			if code, body, _ := s.do("agent", "/customers/2/follow-ups", form("body", "与客户电话沟通，约定下周回访并确认报价细节。", "method", "phone")); code >= 400 {
				t.Fatal(i, code, body)
			}
		}
		for _, tab := range []string{"", "/contacts", "/changes", "/tickets", "/relations", "/files", "/needs"} {
			cost := func(id string) (n int64) {
				for range 2 { // once to warm what is held between changes
					before := d.Asked()
					if code, body, _ := s.do("agent", "/customers/"+id+tab, nil); code != 200 {
						t.Fatal(code, body)
					}
					n = d.Asked() - before
				}
				return n
			}
			small, large := cost("1"), cost("2")
			if large > small+2 || large > 40 {
				t.Errorf("%q: %d statements for a small customer, %d for a large one", tab, small, large)
			}
		}
	})
}
