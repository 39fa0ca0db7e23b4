package portal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
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
	var raw string
	err := s.run.DB().Read().QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, settingName).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(raw), &st)
	}
	if err != nil {
		return st, fmt.Errorf("portal: settings: %w", err)
	}
	return st, nil
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
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "portal.set_settings", func(ctx context.Context, a *action.Action) error {
		_, err := a.Exec(ctx, `
			INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, settingName, string(raw), a.NowMicros())
		if err != nil {
			return fmt.Errorf("portal: settings: %w", err)
		}
		a.Record(event.Event{Kind: SettingsChanged, Subject: event.Subject{Type: "setting"}, Data: st})
		return nil
	})
}
