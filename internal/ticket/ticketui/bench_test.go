package ticketui

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/journal"
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

// A ticket with ten thousand messages opens in the time of one with ten, and
// each further stretch costs the same wherever it is.
func BenchmarkMessages(b *testing.B) {
	d, c := dbtest.New(b)
	h := tickettest.New(b, d, c)
	rt := web.New(web.Config{Clock: c, Auth: []web.Authenticator{who{h}}, Shell: &ui.Shell{Nav: Nav}})
	Routes(rt, Rooms{Tickets: h.Service, Customers: h.Customers, Org: h.Org, Files: h.Files})
	fill := func(n int) (x ticket.Ticket, middle int64) {
		x = h.To(ticket.InProgress)
		for done := 0; done < n; done += 500 {
			h.OK(d.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
				var es []journal.Entry
				for i := range min(500, n-done) {
					es = append(es, journal.Entry{TicketID: x.ID, CustomerID: x.CustomerID, Kind: journal.Note, AuthorKind: authz.User, AuthorID: h.User["kefu"], AuthorName: "林晓雯",
						Body: fmt.Sprintf("第 %d 条：已与客户通话，约定周三上午十点上门更换主板。", done+i), CreatedAt: c.Now()})
				}
				return journal.AddMany(ctx, tx, es)
			}))
		}
		h.OK(d.Read().QueryRow(h.Ctx, `SELECT MIN(id) + (MAX(id) - MIN(id)) / 2 FROM entries WHERE ticket_id = $1`, x.ID).Scan(&middle))
		return x, middle
	}
	for _, n := range []int{10, 10_000} {
		x, middle := fill(n)
		for _, bm := range []struct{ name, path, target string }{
			{"page", "/tickets/" + x.Number, ""}, {"pane", "/tickets/" + x.Number, "section#ticket"},
			{"earlier", fmt.Sprintf("/tickets/%s/timeline?before=%d", x.Number, middle), "li#tlearlier"}, {"later", fmt.Sprintf("/tickets/%s/timeline?after=%d", x.Number, middle), "li#tllater"},
		} {
			b.Run(fmt.Sprintf("%s/%d", bm.name, n), func(b *testing.B) {
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
}
