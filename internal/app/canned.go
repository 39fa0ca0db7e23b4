package app

import (
	"context"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/canned"
	"bihuan/internal/canned/cannedui"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
)

// writing lets people write with texts at hand, and sends what has waited its time.
func (a *App) writing() {
	a.Canned.PublicURL = a.Config.PublicURL
	a.Tickets.AddBulk(a.Canned.Many())
	a.Files.Authorize(ticket.UnsentFiles, a.Tickets.MayReadUnsent)
	a.Files.Authorize(canned.FileOwner, a.Canned.MayRead)
	a.Duties.Every("outbox", 500*time.Millisecond, func(ctx context.Context) error { _, err := a.Tickets.SendDue(ctx); return err })
}

// macros are offered in the menu of a ticket.
func (a *App) macros(rooms *ticketui.Rooms) {
	rooms.Canned = mayCall
	rooms.Menu = append(rooms.Menu, cannedui.Menu())
}

// mayCall reports whether somebody who writes may call texts under a short code.
func mayCall(actor authz.Actor) bool { return actor.Can(canned.PermUse) }

func (a *App) cannedPages() cannedui.Rooms {
	return cannedui.Rooms{Canned: a.Canned, Tickets: a.Tickets, Org: a.Org, Files: a.Files}
}
