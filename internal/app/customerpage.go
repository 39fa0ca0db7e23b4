package app

import (
	"context"
	"html/template"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/i18n"
	"bihuan/internal/privacy"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// customerPages is what the customers' pages need of other rooms.
func (a *App) customerPages() customerui.Config {
	return customerui.Config{
		Customers: a.Customers, Org: a.Org, Files: a.Files,
		Tickets: ticketList{a.Tickets}, NewTicket: "/tickets/new", PermNew: ticket.PermCreate,
		CustomerOfTicket: a.customerOfTicket, PermTicket: ticket.PermView,
		Notes: a.pageNotes, Panels: []func(*web.Request, customer.Customer) (template.HTML, error){a.customerTasks},
		Together: []customerui.PageAction{{Href: "/privacy/disclosures/new", Icon: "external", LabelKey: "privacy.disclosure.nav", Perm: privacy.PermDisclose}},
		Actions: []customerui.PageAction{
			{Href: "/tasks/new?type=customer&id={id}&back=/customers/{id}", Icon: "checklist", LabelKey: "task.new", Perm: task.PermUse},
			{Href: "/customers/{id}/verification", Icon: "checklist", LabelKey: "customer.verify.title", Perm: customer.PermEdit},
			{Href: "/customers/merge?keep={id}", Icon: "merge", LabelKey: "customer.merge.this", Perm: customer.PermMerge},
			{Href: "/privacy/disclosures/new?customer={id}", Icon: "external", LabelKey: "customer.disclose.this", Perm: privacy.PermDisclose},
			{Href: "/customers/{id}/deletion", Icon: "trash", LabelKey: "customer.delete.this", Perm: privacy.PermDelete, Danger: true},
		},
	}
}

// customerOfTicket returns the customer of a ticket the actor sees: he may know
// whom it is for, also when the customer is not in his scope.
func (a *App) customerOfTicket(ctx context.Context, actor authz.Actor, number string) (customer.Customer, error) {
	t, err := a.Tickets.ByNumber(ctx, ticket.View(actor), number)
	if err != nil {
		return customer.Customer{}, err
	}
	return a.Customers.Card(ctx, a.DB.Read(), t.CustomerID)
}

// ticketList shows a customer's tickets on his page, as far as the reader sees
// them.
type ticketList struct{ tickets *ticket.Service }

var stateTones = map[ticket.State]string{ticket.Pending: "red", ticket.InProgress: "blue", ticket.WaitingCustomer: "amber",
	ticket.AwaitingConfirmation: "violet", ticket.Completed: "green", ticket.Closed: "gray", ticket.Cancelled: "gray"}

func (l ticketList) OfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, id, before int64, limit int) ([]customerui.TicketRow, error) {
	rows, err := l.tickets.OfCustomerBefore(ctx, ticket.View(actor), id, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]customerui.TicketRow, len(rows))
	for i, r := range rows {
		out[i] = customerui.TicketRow{ID: r.ID, Href: "/tickets/" + r.Number, Number: r.Number, Title: r.Title, Type: i18n.T(lang, "ticket.type."+r.Type), Owner: r.AssigneeName,
			State: i18n.T(lang, "ticket.state."+string(r.State)), StateTone: stateTones[r.State], CreatedAt: r.CreatedAt, At: r.ActivityAt}
	}
	return out, nil
}

// OpenOfCustomer returns the open tickets of a customer.
func (l ticketList) OpenOfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, id int64, limit int) ([]customerui.TicketRow, error) {
	open := true
	page, err := l.tickets.List(ctx, ticket.View(actor), ticket.Filter{Customer: id, Open: &open, Sort: ticket.ByNewest, Limit: limit})
	if err != nil {
		return nil, err
	}
	var out []customerui.TicketRow
	for _, r := range page.Rows {
		out = append(out, customerui.TicketRow{ID: r.ID, Href: "/tickets/" + r.Number, Number: r.Number, Title: r.Title, State: i18n.T(lang, "ticket.state."+string(r.State)), StateTone: stateTones[r.State], Open: true})
	}
	return out, nil
}
