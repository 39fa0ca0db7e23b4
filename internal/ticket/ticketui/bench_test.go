package ticketui

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"bihuan/internal/db/dbtest"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// The pages an agent opens all day, over a company with little in it: what is
// measured is our part, not the store's.
func BenchmarkPages(b *testing.B) {
	d, c := dbtest.New(b)
	h := tickettest.New(b, d, c)
	rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{who{h}}, Shell: &ui.Shell{Nav: Nav}})
	Routes(rt, Rooms{Tickets: h.Service, Customers: h.Customers, Org: h.Org, Files: h.Files})
	var x ticket.Ticket
	for range 30 {
		x = h.To(ticket.InProgress)
	}
	for _, bm := range []struct{ name, path, target string }{
		{"queue", "/tickets", ""}, {"view", "/tickets?view=open", "div#queue"}, {"refresh", "/tickets", "div#qlive"},
		{"workspace", "/tickets/" + x.Number, ""}, {"ticket", "/tickets/" + x.Number, "section#ticket"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r := httptest.NewRequest(http.MethodGet, bm.path, nil)
				r.Header.Set("X-Login", "kefu")
				if bm.target != "" {
					r.Header.Set("HX-Request", "true")
					r.Header.Set("HX-Target", bm.target)
				}
				w := httptest.NewRecorder()
				rt.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
