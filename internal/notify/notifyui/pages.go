// Package notifyui shows a person what he has been told.
package notifyui

import (
	"embed"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/notify"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

type row struct {
	ID        int64
	Sentence  string
	Number    string
	Link      string
	Title     string
	Urgent    bool
	Read      bool
	CreatedAt time.Time
}

type listView struct {
	Rows []row
	More string // query of the next page; "" at the end
	Any  bool   // something is unread
}

var listPage = ui.NewPage[listView](files, "notices.html").Sample(listView{Any: true, More: "before=1", Rows: []row{
	{ID: 2, Sentence: "…", Number: "TASK20261119001", Link: "/tickets/TASK20261119001", Title: "…", Urgent: true, CreatedAt: time.Unix(1700000000, 0)},
	{ID: 1, Sentence: "…", Number: "TASK20261119002", Link: "/tickets/TASK20261119002", Title: "…", Read: true, CreatedAt: time.Unix(1700000000, 0)},
}})

const pageSize = 40

type pages struct{ s *notify.Service }

// Routes of the notices; everybody signed in has his own.
func Routes(rt *web.Router, s *notify.Service) {
	p := &pages{s}
	rt.Handle("GET /notifications", web.SignedIn, p.list)
	rt.Handle("POST /notifications/read", web.SignedIn, p.read)
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64)
	ns, err := p.s.List(r.Context(), r.Actor.ID, before, pageSize+1)
	if err != nil {
		return err
	}
	v := listView{}
	if len(ns) > pageSize {
		ns = ns[:pageSize]
		v.More = "before=" + strconv.FormatInt(ns[pageSize-1].ID, 10)
	}
	for _, n := range ns {
		v.Any = v.Any || !n.Read
		v.Rows = append(v.Rows, row{n.ID, n.Sentence(r.Lang), n.Number, n.Link, n.Title, n.Urgent, n.Read, n.CreatedAt})
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("notify.title"), Nav: "notifications"}, v)
}

func (p *pages) read(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.s.MarkRead(r.Context(), r.Actor.ID, f.ID("id")); err != nil {
		return err
	}
	if to := web.SafeNext(f.String("next"), ""); to != "" {
		return r.SeeOther(w, "%s", to)
	}
	return r.SeeOther(w, "/notifications")
}
