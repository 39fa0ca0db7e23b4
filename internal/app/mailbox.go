package app

import (
	"context"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/mailbox"
	"bihuan/internal/mailbox/mailboxui"
	"bihuan/internal/privacy"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
)

// mails lets requests come by e-mail and answers leave by it.
func (a *App) mails() {
	m := a.Mails
	if a.Config.PublicURL != "" {
		m.Link = func(_ context.Context, t ticket.Ticket) string { return a.Config.PublicURL + "/c/" + a.Tickets.Link(t) }
	}
	a.Files.Authorize(mailbox.FileOwner, m.MayReadSource)
	a.Follower.Listen(m.Answers())
	a.Duties.Every("mails", 500*time.Millisecond, m.Work)
	a.Duties.Every("mail answers", time.Second, m.SendDue)
	a.Privacy.Hold(privacy.Holder{Name: "mails", Forget: func(ctx context.Context, act *action.Action, g privacy.Gone) error {
		return m.Forget(ctx, act, g.Tickets)
	}})
}

// mailsBeside shows the mails of a ticket beside it.
func (a *App) mailsBeside(rooms *ticketui.Rooms) {
	rooms.Panels = append(rooms.Panels, mailboxui.Panel(a.Mails))
}

func (a *App) mailPages(rt *web.Router) { mailboxui.Routes(rt, a.Mails, a.Org, a.Files) }
