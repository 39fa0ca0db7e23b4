package portal

import (
	"context"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/setting"
)

// Settings are what an administrator decides about the portal.
type Settings struct {
	Closed          bool   `json:"closed"`           // takes no new requests; links go on working
	Contact         string `json:"contact"`          // how to reach the company otherwise, and for rights of PIPL 44 to 47
	RetentionMonths int    `json:"retention_months"` // promised in the privacy notice
	ShowNames       bool   `json:"show_names"`       // who of the staff wrote, by name
}

// DefaultSettings are those of a fresh install.
func DefaultSettings() Settings { return Settings{RetentionMonths: 36} }

const settingName = "portal"

// SettingsChanged is the fact of a change.
const SettingsChanged = "portal.settings_changed"

// Settings returns what is in force.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	st := DefaultSettings()
	err := setting.Read(ctx, s.run.DB().Read(), settingName, &st)
	return st, err
}

// SetSettings changes them.
func (s *Service) SetSettings(ctx context.Context, actor authz.Actor, st Settings) error {
	if err := actor.Check(org.PermSettings); err != nil {
		return err
	}
	st.Contact = strings.TrimSpace(st.Contact)
	e := fault.Invalidf("ui.form.invalid")
	if n := utf8.RuneCountInString(st.Contact); n > 200 {
		e.Field("contact", "ui.form.too_long", 200, n)
	}
	if st.RetentionMonths < 1 || st.RetentionMonths > 600 {
		e.Field("retention_months", "ui.form.between", 1, 600)
	}
	if err := e.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "portal.set_settings", func(ctx context.Context, a *action.Action) error {
		if err := setting.Write(ctx, a.Tx, settingName, st); err != nil {
			return err
		}
		a.Record(event.Event{Kind: SettingsChanged, Subject: event.Subject{Type: "setting"}, Data: st})
		return nil
	})
}
