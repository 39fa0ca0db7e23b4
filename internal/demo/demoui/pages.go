// Package demoui is the page on which an administrator takes the sample data
// away.
package demoui

import (
	"context"
	"embed"
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/demo"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

type view struct{ demo.Counts }

var page = ui.NewPage[view](files, "demo.html").Sample(view{demo.Counts{Users: 28, Customers: 200, Tickets: 640}}, view{})

// Sample is the sample data as the page needs it.
type Sample interface {
	Present(ctx context.Context) (demo.Counts, error)
	Remove(ctx context.Context, actor authz.Actor) (demo.Counts, error)
}

// Nav are the entries of the administration menu.
var Nav = []ui.Nav{{Key: "demo", Href: "/admin/demo", Icon: "archive", LabelKey: "demo.title", Perm: org.PermManage, Menu: true}}

// Routes adds the page.
func Routes(rt *web.Router, s Sample) {
	rt.Handle("GET  /admin/demo", org.PermManage, func(w http.ResponseWriter, r *web.Request) error {
		n, err := s.Present(r.Context())
		if err != nil {
			return err
		}
		return page.Render(w, r, ui.Chrome{Title: r.T("demo.title"), Nav: "demo", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("demo.title")}}}, view{n})
	})
	rt.Handle("POST /admin/demo/removal", org.PermManage, func(w http.ResponseWriter, r *web.Request) error {
		n, err := s.Remove(r.Context(), r.Actor)
		if err != nil {
			return err
		}
		r.Flash(w, "green", "demo.removed", n.Users, n.Customers, n.Tickets)
		return r.SeeOther(w, "/admin/demo")
	})
}
