package customerui

import (
	"net/http"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// cardView is what hovers over a customer's name: enough to know whom one has
// before one, nothing in clear.
type cardView struct {
	C        customer.Customer
	Industry string
	Open     bool        // the reader may open the page
	Underway []TicketRow // the newest of his open tickets
}

// cardTickets is how many open tickets a card names; their number stands above.
const cardTickets = 5

var cardPage = ui.NewPage[cardView](files, "card.html").Sample(
	cardView{C: func() customer.Customer {
		c := sample.Customer
		c.Grade, c.Stage, c.Ratings, c.RatingSum = "a", customer.Active, 2, 9
		c.PlannedAt = time.Unix(1.8e9, 0)
		return c
	}(), Industry: "x", Open: true, Underway: []TicketRow{{Href: "/x", Number: "TASK1", Title: "x", State: "x", StateTone: "blue"}}})

// card answers with the card of a customer in the reader's scope.
func (p *pages) card(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n)
	if err != nil {
		return err
	}
	return p.hover(w, r, c, true)
}

// ticketCard answers with the card of a ticket's customer, whom its reader sees
// for that.
func (p *pages) ticketCard(w http.ResponseWriter, r *web.Request) error {
	c, err := p.CustomerOfTicket(r.Context(), r.Actor, r.PathValue("number"))
	if err != nil {
		return err
	}
	_, err = p.Customers.Get(r.Context(), customer.View(r.Actor), c.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return p.hover(w, r, c, err == nil && r.Actor.Can(customer.PermView))
}

func (p *pages) hover(w http.ResponseWriter, r *web.Request, c customer.Customer, open bool) error {
	v := cardView{C: c, Industry: industryName(c.Industry), Open: open}
	if p.Tickets != nil && c.OpenTickets > 0 && r.Actor.Can(p.PermTicket) {
		var err error
		if v.Underway, err = p.Tickets.OpenOfCustomer(r.Context(), r.Actor, r.Lang, c.ID, cardTickets); err != nil {
			return err
		}
	}
	if r.IsFragment() {
		return cardPage.Fragment(w, r, "card", v)
	}
	return cardPage.Render(w, r, chrome(r, c.Name), v)
}

// moved answers for a customer who is not found: a merged one leads to the
// profile he is in now.
func (p *pages) moved(w http.ResponseWriter, r *web.Request, n int64, cause error) error {
	if !fault.Is(cause, fault.NotFound) {
		return cause
	}
	to, err := p.Customers.SurvivorIn(r.Context(), customer.View(r.Actor), n)
	if err != nil {
		return err
	}
	if to == 0 {
		return cause
	}
	return r.SeeOther(w, "/customers/%d", to)
}
