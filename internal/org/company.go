package org

import (
	"context"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
)

// Company is what the company is called on screens, in the customer's portal
// and on what leaves the house.
type Company struct {
	Name  string `json:"name"`  // "" while nobody has said
	Phone string `json:"phone"` // service line customers may call; may be empty
}

const companySetting = "org.company"

// Company returns what was last set; the zero Company before.
func (s *Service) Company(ctx context.Context) (Company, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return Company{}, err
	}
	return o.company, nil
}

// SetCompany changes it.
func (s *Service) SetCompany(ctx context.Context, actor authz.Actor, c Company) error {
	return s.change(ctx, actor, PermSettings, "org.set_company", func(ctx context.Context, a *action.Action) error {
		c.Name, c.Phone = strings.TrimSpace(c.Name), strings.TrimSpace(c.Phone)
		f := fault.Invalidf("org.form_invalid")
		if len([]rune(c.Name)) > 60 {
			f.Field("name", "org.company.name_long", 60)
		}
		if len([]rune(c.Phone)) > 30 {
			f.Field("phone", "org.company.phone_long", 30)
		}
		if err := f.OrNil(); err != nil {
			return err
		}
		var old Company
		if err := setting.Read(ctx, a.Tx, companySetting, &old); err != nil {
			return err
		}
		var d diff
		d.add("name", old.Name, c.Name)
		d.add("phone", old.Phone, c.Phone)
		if len(d) == 0 {
			a.Nothing()
			return nil
		}
		if err := setting.Write(ctx, a.Tx, companySetting, c); err != nil {
			return err
		}
		a.Record(about(SettingChanged, SubjectSetting, 0, Facts{Name: companySetting, Changes: d}))
		return nil
	})
}
