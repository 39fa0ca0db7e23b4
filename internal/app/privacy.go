package app

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/i18n"
	"bihuan/internal/privacy"
)

// forget tells the personal-data room what else keeps something of persons.
func (a *App) forget() {
	a.Privacy.Hold(privacy.Holder{Name: "imports", Forget: func(ctx context.Context, act *action.Action, g privacy.Gone) error {
		return a.Imports.FilesGone(ctx, act, g.Files)
	}})
	a.Privacy.Hold(privacy.Holder{Name: "exports", Forget: func(ctx context.Context, act *action.Action, g privacy.Gone) error {
		return customer.ExportsGone(ctx, act, g.Files)
	}})
	a.Privacy.Exports("customer_export")
}

// restrictionNotes says on a customer's page that his data must not be used.
func (a *App) restrictionNotes(ctx context.Context, actor authz.Actor, lang i18n.Lang, id int64) (out []customerui.Note, err error) {
	rs, err := a.Privacy.Restrictions(ctx, id)
	for _, r := range rs {
		n := customerui.Note{Text: i18n.T(lang, "privacy.restriction.note."+r.Kind)}
		if _, err := a.Privacy.Request(ctx, actor, r.RequestID); err == nil {
			n.Href = fmt.Sprintf("/privacy/requests/%d", r.RequestID)
		}
		out = append(out, n)
	}
	return out, err
}

func (a *App) privacyDuties() {
	a.Duties.Every("personal files", time.Hour, a.Privacy.Expire)
	a.Duties.Every("retention", time.Hour, a.Privacy.Retain)
}
