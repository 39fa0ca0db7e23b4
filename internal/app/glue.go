package app

import (
	"context"

	"bihuan/internal/authz"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// ticketList shows a customer's tickets on his page, as far as the reader sees
// them.
type ticketList struct{ tickets *ticket.Service }

var stateTones = map[ticket.State]string{ticket.Pending: "red", ticket.InProgress: "blue", ticket.WaitingCustomer: "amber",
	ticket.AwaitingConfirmation: "violet", ticket.Completed: "green", ticket.Closed: "gray", ticket.Cancelled: "gray"}

func (l ticketList) OfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, id int64, limit int) ([]customerui.TicketRow, error) {
	rows, err := l.tickets.OfCustomer(ctx, ticket.View(actor), id, limit)
	if err != nil {
		return nil, err
	}
	out := make([]customerui.TicketRow, len(rows))
	for i, r := range rows {
		out[i] = customerui.TicketRow{Href: "/tickets/" + r.Number, Number: r.Number, Title: r.Title, State: i18n.T(lang, "ticket.state."+string(r.State)), StateTone: stateTones[r.State], At: r.ActivityAt}
	}
	return out, nil
}
