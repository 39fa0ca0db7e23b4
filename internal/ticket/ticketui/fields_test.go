package ticketui

import (
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/field"
)

// The company's own fields stand on the forms of a ticket and beside it (CUS-19).
func TestOwnFields(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
		for _, f := range []field.Field{
			{Object: field.Ticket, Code: "serial", Kind: field.Text, Label: field.Words{Zh: "设备序列号"}, Required: true, Types: []string{"after_sales"}, Searchable: true},
			{Object: field.Ticket, Code: "visit", Kind: field.Date, Label: field.Words{Zh: "上门日期"}},
			{Object: field.Ticket, Code: "manual", Kind: field.Link, Label: field.Words{Zh: "说明书"}},
		} {
			if _, err := s.Customers.Fields().Save(s.Ctx, admin, f); err != nil {
				t.Fatal(err)
			}
		}
		s.get(t, "kefu", "/tickets/new").want(200, "设备序列号", `data-when="type=after_sales"`, `name="fields.visit"`)
		base := []string{"who", "new", "kind", "person", "name", "李雷", "contacts.0.phone", "13800001111", "title", "打不开", "type", "after_sales", "urgency", "normal", "channel", "phone", "level", "normal"}
		s.post(t, "kefu", "/tickets", nil, append(base, "fields.visit", "morgen")...).want(422, "请填写“设备序列号”", "请填日期", `value="morgen"`)
		a := s.post(t, "kefu", "/tickets", nil, append(base, "fields.serial", "SN778899", "fields.visit", "2026-12-01", "fields.manual", "example.com/m")...).want(303)
		to := a.header.Get("Location")
		s.get(t, "kefu", to).want(200, "设备序列号", "SN778899", "2026-12-01", `href="https://example.com/m"`)
		number := to[len("/tickets/") : len(to)-len("?new=1")]
		s.get(t, "kefu", "/tickets/"+number+"/edit").want(200, `value="SN778899"`)
		edit := []string{"title", "打不开", "type", "after_sales", "urgency", "normal"}
		s.post(t, "kefu", "/tickets/"+number+"/edit", nil, append(edit, "fields.serial", "", "fields.visit", "2026-12-02")...).want(422, "请填写“设备序列号”")
		s.post(t, "kefu", "/tickets/"+number+"/edit", nil, append(edit, "fields.serial", "SN778899", "fields.visit", "2026-12-02")...).want(303)
		s.get(t, "kefu", "/tickets/"+number).want(200, "2026-12-02", "!2026-12-01")
		if err := s.Follower.Drain(s.Ctx); err != nil {
			t.Fatal(err)
		}
		s.get(t, "kefu", "/tickets?view=open&q=SN778899").want(200, number)
	})
}
