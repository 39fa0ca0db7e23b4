package customer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/number"
	"bihuan/internal/setting"
)

// Settings are what an administrator decides about customers.
type Settings struct {
	NumberTemplate string  // of customer numbers (CUS-3)
	RevealReason   bool    // revealing a sensitive value asks why (CUS-17)
	LevelApproval  []Level // changes to these levels wait for approval (CUS-6)
	ExportApproval int64   // exports of more rows wait for approval; 0 none does (CUS-18)
}

// Settings returns what is in force.
func (s *Service) Settings(ctx context.Context) (st Settings, err error) {
	if st.NumberTemplate, err = number.Setting(ctx, s.db().Read(), NumberSetting, NumberTemplate); err != nil {
		return st, err
	}
	if st.RevealReason, err = s.RevealNeedsReason(ctx); err != nil {
		return st, err
	}
	if st.LevelApproval, err = s.ApprovedLevels(ctx, s.db().Read()); err != nil {
		return st, err
	}
	st.ExportApproval, err = s.ExportLimit(ctx)
	return st, err
}

// SetSettings changes them; numbers given out already stay.
func (s *Service) SetSettings(ctx context.Context, actor authz.Actor, st Settings) error {
	if err := actor.Check(PermSettings); err != nil {
		return err
	}
	st.NumberTemplate = strings.TrimSpace(st.NumberTemplate)
	if _, err := number.Parse(st.NumberTemplate); err != nil {
		if f, ok := fault.As(err); ok {
			return fault.Invalidf("customer.invalid").Field("number_template", f.Key, f.Args...)
		}
		return err
	}
	if st.ExportApproval < 0 || st.ExportApproval > 10_000_000 {
		return fault.Invalidf("customer.invalid").Field("export_approval", "customer.settings.export_approval.range")
	}
	st.LevelApproval = slices.DeleteFunc(slices.Clone(Levels), func(l Level) bool { return !slices.Contains(st.LevelApproval, l) })
	old, err := s.Settings(ctx)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "customer.set_settings", func(ctx context.Context, a *action.Action) error {
		var changes []event.Change
		for _, f := range []struct {
			name, field string
			old, now    any
		}{{NumberSetting, "number_template", old.NumberTemplate, st.NumberTemplate}, {RevealReasonSetting, "reveal_reason", old.RevealReason, st.RevealReason},
			{ExportApprovalSetting, "export_approval", old.ExportApproval, st.ExportApproval}} {
			if f.old == f.now {
				continue
			}
			if err := setting.Write(ctx, a.Tx, f.name, f.now); err != nil {
				return err
			}
			changes = append(changes, event.Change{Field: f.field, Old: fmt.Sprint(f.old), New: fmt.Sprint(f.now)})
		}
		if from, to := levelCodes(old.LevelApproval), levelCodes(st.LevelApproval); from != to {
			if err := setting.Write(ctx, a.Tx, LevelApprovalSetting, st.LevelApproval); err != nil {
				return err
			}
			changes = append(changes, event.Change{Field: "level_approval", Old: from, New: to})
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		a.Record(event.Event{Kind: "customer.settings_changed", Subject: event.Subject{Type: "setting"}, Data: map[string]any{"changes": changes}})
		return nil
	})
}

func levelCodes(ls []Level) string {
	var out []string
	for _, l := range ls {
		out = append(out, string(l))
	}
	return strings.Join(out, ", ")
}
