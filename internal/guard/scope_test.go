package guard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

// What is out of a person's scope does not exist for him (ORG-3): its words
// appear on no page, in no list, search, suggestion, file or API answer, and in
// no error, whatever he asks for. Every GET route is asked by everybody, with
// the record's own number and id, and with words that would find it.
func TestOutOfScopeIsNowhere(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		// The words of search are not the marks that are looked for: a page repeats
		// what was asked.
		const findCustomer, findTicket = "苍穹", "碧落"
		marks := map[string][]string{
			"customer": {"北斗隐形", "13877776666", "138****6666", "隐名联系"},
			"ticket":   {"黄泉密件", "玄武机密"},
		}
		agent := h.Actor(authz.RoleAgent)
		c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: findCustomer + "北斗隐形有限公司", Source: "phone", OwnerID: agent.ID,
			Contacts: []customer.ContactInput{{Name: "隐名联系", Phone: "13877776666", Primary: true}}})
		if err != nil {
			t.Fatal(err)
		}
		tk, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: findTicket + "黄泉密件", Description: "玄武机密", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		tested := 0
		for _, login := range apptest.Logins {
			actor := h.Actor(login)
			var hidden []string
			_, cerr := h.Customers.Get(ctx, customer.View(actor), c.ID)
			_, terr := h.Tickets.Get(ctx, ticket.View(actor), tk.ID)
			if fault.Is(terr, fault.NotFound) {
				hidden = append(hidden, marks["ticket"]...)
				if fault.Is(cerr, fault.NotFound) { // who sees the ticket sees whose it is
					hidden = append(hidden, marks["customer"]...)
				}
			}
			if len(hidden) == 0 || actor.Can("audit.view") {
				continue // the audit trail is the whole company's
			}
			tested++
			cookie, token := h.Cookie(login), h.Token(login)
			for _, route := range h.Router.Routes() {
				if route.Method != http.MethodGet || route.Path == "/live" || strings.HasPrefix(route.Path, "/static/") || strings.HasPrefix(route.Path, "/c/") {
					continue
				}
				by := any(cookie)
				if strings.HasPrefix(route.Path, "/api/v1/") {
					by = token
				}
				path := strings.TrimSuffix(route.Path, "{$}")
				for _, id := range []int64{tk.ID, c.ID} {
					exact := wildcard.ReplaceAllStringFunc(path, func(w string) string {
						switch {
						case strings.Contains(w, "number") && strings.Contains(path, "customers"):
							return c.Number
						case strings.Contains(w, "number"):
							return tk.Number
						case strings.Contains(w, "verb"):
							return "ask"
						}
						return strconv.FormatInt(id, 10)
					})
					for _, query := range []url.Values{{}, {"q": {findCustomer}}, {"q": {findTicket}}, {"q": {"6666"}}, {"q": {tk.Number}}, {"text": {findTicket}}, {"view": {"all"}}, {"view": {"open"}},
						{"customer": {strconv.FormatInt(c.ID, 10)}}, {"follows": {tk.Number}}, {"state": {"pending"}}} {
						target := exact
						if len(query) > 0 {
							if id == c.ID && strings.Contains(path, "{") {
								continue
							}
							target += "?" + query.Encode()
						}
						w := h.Call(http.MethodGet, target, "", by)
						body := w.Body.String() + fmt.Sprint(w.Header())
						for _, m := range hidden {
							if strings.Contains(body, m) {
								t.Errorf("GET %s as %s: %d shows %s", target, login, w.Code, m)
							}
						}
						if w.Code >= 500 {
							t.Errorf("GET %s as %s: %d", target, login, w.Code)
						}
					}
				}
			}
		}
		if tested < 2 {
			t.Errorf("only %d people have the records out of their scope: the test says nothing", tested)
		}
		// The other way round: who may see it finds it, so the marks are the right ones.
		w := h.Call(http.MethodGet, "/tickets?view=all&q="+url.QueryEscape(findTicket), "", h.Cookie(authz.RoleAgent))
		if !strings.Contains(w.Body.String(), "黄泉密件") {
			t.Error("its own agent does not find the ticket by search")
		}
	})
}
