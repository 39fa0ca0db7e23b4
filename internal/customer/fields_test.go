package customer_test

import (
	"context"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// define adds fields of the company's own and returns their ids by code.
func (w *world) define(fs ...field.Field) map[string]int64 {
	w.t.Helper()
	admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
	ids := map[string]int64{}
	for _, f := range fs {
		f.Label.Zh = "字段" + f.Code
		id, err := w.s.Fields().Save(w.ctx, admin, f)
		if err != nil {
			w.t.Fatal(err)
		}
		ids[f.Code] = id
	}
	return ids
}

// The fields of the company's own are part of the profile: checked, stored,
// recorded and found with it (CUS-19).
func TestOwnFields(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		f := w.define(
			field.Field{Object: field.Customer, Code: "must", Kind: field.Text, Required: true, Types: []string{"company"}, Searchable: true},
			field.Field{Object: field.Customer, Code: "level", Kind: field.Choice, Default: "b", Options: []field.Choosable{{Code: "a", Zh: "甲"}, {Code: "b", Zh: "乙"}}},
			field.Field{Object: field.Contact, Code: "day", Kind: field.Date},
			field.Field{Object: field.Contact, Code: "nick", Kind: field.Text, Searchable: true})

		in := company("", "13712348820")
		in.Fields = field.Input{}
		in.Contacts[0].Fields = field.Input{f["day"]: {"gestern"}}
		if _, err := w.s.Create(w.ctx, w.agent, in); !strings.Contains(fields(err), "name:name.required.company") || !strings.Contains(fields(err), "fields.must:field.required contacts.0.fields.day:field.date") {
			t.Errorf("all complaints at once: %s", fields(err))
		}
		in = company("广州南粤医疗器械股份有限公司", "13712348820")
		quiet := w.create(w.agent, company("没人问过的公司", "13712348821")) // a channel that does not ask
		in.Fields = field.Input{f["must"]: {"黄埔园区"}}
		in.Contacts[0].Fields = field.Input{f["day"]: {"1990/5/4"}, f["nick"]: {"小黎子"}}
		c := w.create(w.agent, in)
		show := func(id int64) (out string) {
			t.Helper()
			c, err := w.s.Get(w.ctx, customer.View(w.agent), id)
			if err == nil {
				c, err = w.s.WithFields(w.ctx, c)
			}
			if err != nil {
				t.Fatal(err)
			}
			return c.Fields[f["must"]].Raw() + "|" + c.Fields[f["level"]].Text(i18n.ZhCN) + "|" + c.Contacts[0].Fields[f["day"]].Raw() + "|" + c.Contacts[0].Fields[f["nick"]].Raw()
		}
		if got := show(c.ID); got != "黄埔园区|乙|1990-05-04|小黎子" {
			t.Errorf("stored %s", got)
		}
		if got := show(quiet.ID); got != "|乙||" {
			t.Errorf("of a channel %s", got)
		}

		// An update that does not speak of them leaves them.
		edit := company(c.Name, "")
		edit.Contacts[0].ID, edit.Source, edit.Remark = c.Contacts[0].ID, c.Source, "neu"
		c, err := w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, "")
		if err != nil || show(c.ID) != "黄埔园区|乙|1990-05-04|小黎子" {
			t.Fatalf("%v: %s", err, show(c.ID))
		}
		_, last := w.events(0)
		edit.Fields = field.Input{f["must"]: {""}, f["level"]: {"甲"}}
		if _, err := w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, ""); fields(err) != "fields.must:field.required" {
			t.Errorf("emptied: %s", fields(err))
		}
		edit.Fields[f["must"]] = []string{"天河园区"}
		edit.Contacts[0].Fields = field.Input{f["nick"]: {""}}
		old := c.Version
		if c, err = w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, ""); err != nil || show(c.ID) != "天河园区|甲|1990-05-04|" {
			t.Fatalf("%v: %s", err, show(c.ID))
		}
		if kinds, _ := w.events(last); kinds != "customer.changed" {
			t.Errorf("facts %q", kinds)
		}
		evs, err := event.Of(w.ctx, w.d.Read(), customer.Subject(c.ID), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		var d customer.ChangedData
		if err := evs[0].Decode(&d); err != nil {
			t.Fatal(err)
		}
		var log []string
		for _, x := range d.Changes {
			log = append(log, x.Field+":"+x.Old+">"+x.New+" "+x.Of)
		}
		if got := strings.Join(log, "|"); got != "字段must:黄埔园区>天河园区 |字段level:乙>甲 |字段nick:小黎子> 黎**" {
			t.Errorf("change log %q", got)
		}

		// Who was slower reads what is stored now.
		edit.Fields = field.Input{f["must"]: {"海珠园区"}}
		if _, err := w.s.Update(w.ctx, w.agent, c.ID, old, edit, ""); !fault.Is(err, fault.Conflict) || fields(err) != "fields.must:stale.field" {
			t.Errorf("stale: %s", fields(err))
		}

		for text, want := range map[string]string{"天河园区": customer.ByOwn, "黄埔园区": "", "小黎子": ""} {
			found, err := w.s.Search(w.ctx, customer.View(w.agent), text, 5)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(found) == 1 && found[0].ID == c.ID {
				got = found[0].By
			}
			if got != want {
				t.Errorf("search %s: %q, want %q", text, got, want)
			}
		}
	})
}

// Who is erased leaves nothing in the company's own fields either (GOV-4).
func TestOwnFieldsAreErased(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		f := w.define(field.Field{Object: field.Customer, Code: "a", Kind: field.Text, Searchable: true}, field.Field{Object: field.Contact, Code: "b", Kind: field.Text})
		in := company("广州南粤医疗器械股份有限公司", "13712348820")
		in.Fields = field.Input{f["a"]: {"私事一"}}
		in.Contacts[0].Fields = field.Input{f["b"]: {"私事二"}}
		c := w.create(w.agent, in)
		left := func() (n int) {
			t.Helper()
			if err := w.d.Read().QueryRow(w.ctx, `SELECT COUNT(*) FROM field_values`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		act := func(fn func(ctx context.Context, a *action.Action) error) {
			t.Helper()
			if err := w.run.Do(w.ctx, w.head, "test", fn); err != nil {
				t.Fatal(err)
			}
		}
		if left() != 2 {
			t.Fatal("nothing was stored")
		}
		act(func(ctx context.Context, a *action.Action) error {
			return w.s.EraseContacts(ctx, a, []int64{c.Contacts[0].ID}, "R1")
		})
		if left() != 1 {
			t.Errorf("%d values after the contact was erased", left())
		}
		act(func(ctx context.Context, a *action.Action) error { return w.s.Bury(ctx, a, []int64{c.ID}, "R2") })
		if left() != 0 {
			t.Errorf("%d values of a tombstone", left())
		}
	})
}
