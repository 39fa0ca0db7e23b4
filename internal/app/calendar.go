package app

import (
	"context"
	"time"

	"bihuan/internal/calendar/calendarui"
	"bihuan/internal/notify"
	"bihuan/internal/sla"
	"bihuan/internal/ticket/slaui"
)

// outlook tells the page that says what will happen when how people would be
// told of it.
func (a *App) outlook(ctx context.Context) (slaui.Outlook, error) {
	o, err := a.Notify.Outlook(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, event string, class sla.Class, at time.Time, user int64) (out []slaui.Way, err error) {
		ways, err := o.Ways(ctx, event, notify.Class(class), at, user)
		for _, w := range ways {
			out = append(out, slaui.Way{Way: w.Way, Later: w.Later})
		}
		return out, err
	}, nil
}

// calendarPages are the settings of working hours, with what depends on them.
func (a *App) calendarPages() calendarui.Rooms {
	return calendarui.Rooms{Calendars: a.Calendars, Beyond: func(ctx context.Context, at time.Time) (int, error) { return a.Clocks.DueFrom(ctx, at) }}
}
