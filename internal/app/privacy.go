package app

import (
	"context"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/privacy"
)

// forget tells the personal-data room what else keeps something of persons.
func (a *App) forget() {
	a.Privacy.Hold(privacy.Holder{Name: "imports", Forget: func(ctx context.Context, act *action.Action, g privacy.Gone) error {
		return a.Imports.FilesGone(ctx, act, g.Files)
	}})
	a.Privacy.Exports("customer_export")
}

func (a *App) privacyDuties() {
	a.Duties.Every("personal files", time.Hour, a.Privacy.Expire)
	a.Duties.Every("retention", time.Hour, a.Privacy.Retain)
}
