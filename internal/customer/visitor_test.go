package customer_test

import (
	"context"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
)

// Whoever fills in the public form joins his own profile or gets a new one, and
// changes nobody's.
func TestWelcome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		zhang := w.create(w.agent, person("张三", "13800138000"))
		firm := w.create(w.agent, company("华强电子有限公司", "13900139000"))
		mail := person("王芳", "13700137000")
		mail.Contacts[0].Email = "wang@example.com"
		wang := w.create(w.agent, mail)

		welcome := func(v customer.Visitor) (customer.Welcomed, string) {
			t.Helper()
			v.DepartmentID, v.Source, v.CreatedBy = service, "website", "客户门户"
			_, last := w.events(0)
			var out customer.Welcomed
			err := w.run.Do(w.ctx, authz.System("portal"), "test", func(ctx context.Context, a *action.Action) (err error) {
				out, err = w.s.WelcomeIn(ctx, a, v)
				a.Nothing()
				return err
			})
			if err != nil {
				t.Fatalf("%+v: %v", v, err)
			}
			kinds, _ := w.events(last)
			return out, kinds
		}
		for _, c := range []struct {
			name    string
			v       customer.Visitor
			want    int64 // 0: a new one
			differs string
		}{
			{"his number, written otherwise", customer.Visitor{Name: "张三", Phone: "+86 138-0013-8000"}, zhang.ID, ""},
			{"his number, another name and a new address", customer.Visitor{Name: "李四", Phone: "13800138000", Email: "li@example.com"}, zhang.ID, "name email"},
			{"address only", customer.Visitor{Name: "王芳", Email: "WANG@example.com"}, wang.ID, ""},
			{"known number and its address", customer.Visitor{Name: "王芳", Phone: "13700137000", Email: "wang@example.com"}, wang.ID, ""},
			{"known address with an unknown number", customer.Visitor{Name: "王芳", Phone: "13600136000", Email: "wang@example.com"}, 0, ""},
			{"a number of a company", customer.Visitor{Name: "黎嘉敏", Company: "别的公司", Phone: "13900139000"}, firm.ID, ""},
			{"name of a company we know", customer.Visitor{Name: "赵六", Company: "华强电子有限公司", Phone: "13500135000"}, 0, ""},
			{"a new company", customer.Visitor{Name: "钱七", Company: "新芯科技有限公司", Phone: "13400134000"}, 0, ""},
		} {
			got, kinds := welcome(c.v)
			if c.want != 0 {
				if got.New || got.CustomerID != c.want || strings.Join(got.Differs, " ") != c.differs || kinds != "" {
					t.Errorf("%s: %+v, events %q", c.name, got, kinds)
				}
				continue
			}
			if !got.New || kinds != customer.Created || got.ContactID == 0 {
				t.Errorf("%s: %+v, events %q", c.name, got, kinds)
			}
			p, err := w.s.Card(w.ctx, w.d.Read(), got.CustomerID)
			if err != nil {
				t.Fatal(err)
			}
			switch c.v.Company {
			case "":
			case "华强电子有限公司":
				if p.Type != customer.Person || p.Name != "赵六" || !strings.Contains(p.Remark, c.v.Company) {
					t.Errorf("%s: %+v", c.name, p)
				}
			default:
				if p.Type != customer.Company || p.Name != c.v.Company || p.Primary().Name != "钱七" || p.CreatedByName != "客户门户" {
					t.Errorf("%s: %+v", c.name, p)
				}
			}
			if again, kinds := welcome(c.v); again.CustomerID != got.CustomerID || kinds != "" {
				t.Errorf("%s, a second time: %+v, events %q", c.name, again, kinds)
			}
		}
		if after, err := w.s.Card(w.ctx, w.d.Read(), zhang.ID); err != nil || after.Version != zhang.Version || len(after.Contacts) != 1 {
			t.Errorf("the profile that was found changed: %+v, %v", after, err)
		}
	})
}
