package app

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/customer/customerui"
	"bihuan/internal/event"
)

// care tells the customers' room whom to ask, and lets it do what it does by
// itself.
func (a *App) care() {
	a.Customers.CountBusiness(a.Tickets)
	a.Customers.AskLeads(a.Org)
	a.Follower.Listen(a.Customers.CareFacts())
	a.Follower.Tail(func(ctx context.Context, evs []event.Stored) {
		if slices.ContainsFunc(evs, func(e event.Stored) bool { return e.Kind == "customer.settings_changed" }) {
			a.names(ctx, true) // chosen on another node perhaps
		}
	})
	a.Duties.Every("customer care", 5*time.Minute, a.Customers.CareSweep)
	a.names(context.Background(), false)
}

// names makes the pages call levels and grades as the company does; changed says
// that it may call them otherwise than before.
func (a *App) names(ctx context.Context, changed bool) {
	c, err := a.Customers.Care(ctx)
	if err != nil {
		a.Log.Warn("names of levels", "err", err)
		return
	}
	if changed || c.Named() {
		customerui.ApplyNames(c)
	}
}
