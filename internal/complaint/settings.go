package complaint

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// Settings are what an administrator decides about complaints.
type Settings struct {
	Required []Step `json:"required"` // before the customer is asked to confirm
	Review   bool   `json:"review"`   // somebody has to look back on a complaint before it is archived
	Recourse string `json:"recourse"` // where a complainant may turn to outside; named to him when he rejects
	Notice   string `json:"notice"`   // what customers are told about how complaints run; "" the product's words
}

// DefaultSettings are those of a fresh install.
func DefaultSettings() Settings {
	return Settings{Required: []Step{Receive, Calm, Classify, Investigate, Propose, Resolve}, Review: true}
}

// Requirable are the steps that may be required before the customer is asked.
var Requirable = Steps[:slices.Index(Steps, Respond)]

const settingName = "complaint"

func settings(ctx context.Context, q db.Querier) (Settings, error) {
	st := DefaultSettings()
	err := setting.Read(ctx, q, settingName, &st)
	return st, err
}

// Settings returns what is in force.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	return settings(ctx, s.run.DB().Read())
}

// SettingsIn is Settings inside an action under way.
func (s *Service) SettingsIn(ctx context.Context, q db.Querier) (Settings, error) {
	return settings(ctx, q)
}

// SetSettings changes them.
func (s *Service) SetSettings(ctx context.Context, actor authz.Actor, in Settings) error {
	if err := actor.Check(ticket.PermConfigure); err != nil {
		return err
	}
	in.Recourse, in.Notice = strings.TrimSpace(in.Recourse), strings.TrimSpace(in.Notice)
	e := fault.Invalidf("ui.form.invalid")
	for _, f := range []struct{ name, v string }{{"recourse", in.Recourse}, {"notice", in.Notice}} {
		if n := utf8.RuneCountInString(f.v); n > 1000 {
			e.Field(f.name, "ui.form.too_long", 1000, n)
		}
	}
	required := []Step{}
	for _, step := range Requirable {
		if slices.Contains(in.Required, step) {
			required = append(required, step)
		}
	}
	if len(required) != len(in.Required) {
		e.Field("required", "ui.form.choice")
	}
	in.Required = required
	if err := e.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "complaint.set_settings", func(ctx context.Context, a *action.Action) error {
		if err := setting.Write(ctx, a.Tx, settingName, in); err != nil {
			return err
		}
		a.Record(event.Event{Kind: EventSettings, Subject: event.Subject{Type: "setting"}, Data: in})
		return nil
	})
}
