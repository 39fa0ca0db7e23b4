package app

import (
	"context"
	"time"

	"bihuan/internal/calendar/calendarui"
)

// calendarPages are the settings of working hours, with what depends on them.
func (a *App) calendarPages() calendarui.Rooms {
	return calendarui.Rooms{Calendars: a.Calendars, Beyond: func(ctx context.Context, at time.Time) (int, error) { return a.Clocks.DueFrom(ctx, at) }}
}
