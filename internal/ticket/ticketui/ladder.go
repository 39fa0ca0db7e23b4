package ticketui

import (
	"net/http"
	"strings"

	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// sayLadders puts to each clock what it has said, to whom, and what it will say.
func (p *pages) sayLadders(r *web.Request, v *clocksView) error {
	said, err := sla.FiringsOf(r.Context(), p.Tickets.DB().Read(), v.T.ID)
	if err != nil {
		return err
	}
	user, _, err := p.Org.Names(r.Context())
	if err != nil {
		return err
	}
	roles, err := p.Org.Roles(r.Context())
	if err != nil {
		return err
	}
	names := func(what string, n int64) string {
		if what == "user" {
			return user(n)
		}
		for _, x := range roles {
			if x.ID == n {
				return x.Title(r.Lang)
			}
		}
		return ""
	}
	comma := r.T("ticket.list.comma")
	for i := range v.Clocks {
		c := &v.Clocks[i]
		for _, f := range said[c.ID] {
			var who []string
			for _, u := range f.Told.Users {
				who = append(who, user(u))
			}
			if f.Told.Client {
				who = append(who, r.T("sla.who.customer"))
			}
			l := saidLine{At: f.At, Name: f.Name, Whom: strings.Join(who, comma), Again: f.Again}
			var how []string
			for _, s := range f.Told.Instead {
				how = append(how, r.T("sla.how.instead", user(s.Away), user(s.By)))
			}
			if f.Told.Desk != 0 {
				how = append(how, r.T("sla.how.laid", user(f.Told.Desk)))
			}
			l.How = strings.Join(how, comma)
			c.Said = append(c.Said, l)
		}
		for _, a := range c.Ahead() {
			c.Next = append(c.Next, saidLine{At: a.At, Name: a.Step.Name, When: a.Step.When(r.Lang), Whom: a.Step.Whom(r.Lang, names), How: a.Step.How(r.Lang)})
		}
		v.Knows = v.Knows || r.Actor.Can(ticket.PermNote) && c.Insisting()
	}
	return nil
}

// know notes that the reader knows of what is being said again and again.
func (p *pages) know(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	if err := p.Tickets.Know(r.Context(), r.Actor, t.ID); err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.clocks.known")
	if to := web.SafeNext(r.FormValue("next"), ""); to != "" {
		return r.SeeOther(w, "%s", to)
	}
	return r.SeeOther(w, "/tickets/%s", t.Number)
}
