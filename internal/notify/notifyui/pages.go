// Package notifyui shows a person what he has been told, lets him choose how, and
// the administrator set up the ways out of the house.
package notifyui

import (
	"context"
	"embed"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/notify"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html notify.css notify.js sw.js
var files embed.FS

var _ = ui.AddAssets(files, "notify.css", "notify.js")

type row struct {
	ID        int64
	Sentence  string
	Number    string
	Link      string
	Title     string
	Class     string // words; "" for a normal one
	Tone      string
	Insist    bool
	Read      bool
	CreatedAt time.Time
}

type listView struct {
	Rows []row
	More string // query of the next page; "" at the end
	Any  bool   // something is unread
}

var listPage = ui.NewPage[listView](files, "notices.html").Sample(listView{Any: true, More: "before=1", Rows: []row{
	{ID: 2, Sentence: "…", Number: "TASK20261119001", Link: "/tickets/TASK20261119001", Title: "…", Class: "…", Tone: "red", Insist: true, CreatedAt: time.Unix(1700000000, 0)},
	{ID: 1, Sentence: "…", Number: "TASK20261119002", Link: "/tickets/TASK20261119002", Title: "…", Read: true, CreatedAt: time.Unix(1700000000, 0)},
}})

const pageSize = 40

type pages struct {
	s    *notify.Service
	org  *org.Service
	know func(ctx context.Context, actor authz.Actor, ticket int64) error
}

// Routes of the notices; everybody signed in has his own. know notes that somebody
// knows of what a ticket's clocks go on saying.
func Routes(rt *web.Router, s *notify.Service, o *org.Service, know func(ctx context.Context, actor authz.Actor, ticket int64) error) {
	p := &pages{s, o, know}
	rt.Handle("GET /notifications", web.SignedIn, p.list)
	rt.Handle("POST /notifications/read", web.SignedIn, p.read)
	rt.Handle("POST /notifications/known", web.SignedIn, p.known)
	rt.Handle("GET  /notifications/{id}", web.SignedIn, p.open)
	rt.Handle("GET  /account/notices", web.SignedIn, p.mine)
	rt.Handle("POST /account/notices", web.SignedIn, p.setMine)
	rt.Handle("POST /account/notices/push", web.SignedIn, p.subscribe)
	rt.Handle("POST /account/notices/push/{id}/removal", web.SignedIn, p.unsubscribe)
	rt.Mount("GET /sw.js", web.Public, http.HandlerFunc(worker), web.NoActor())
	rt.Handle("POST /account/notices/test", web.SignedIn, p.testMine, web.Slow(40*time.Second))
	rt.Handle("GET  /admin/notices", notify.PermManage, p.events)
	rt.Handle("POST /admin/notices", notify.PermManage, p.setGeneral)
	rt.Handle("GET  /admin/notices/events/{kind}", notify.PermManage, p.event)
	rt.Handle("POST /admin/notices/events/{kind}", notify.PermManage, p.setEvent)
	rt.Handle("POST /admin/notices/events/{kind}/test", notify.PermManage, p.testEvent, web.Slow(2*time.Minute))
	rt.Handle("GET  /admin/notices/channels", notify.PermManage, p.channels)
	rt.Handle("POST /admin/notices/channels", notify.PermManage, p.saveChannel)
	rt.Handle("GET  /admin/notices/channels/new", notify.PermManage, p.newChannel)
	rt.Handle("GET  /admin/notices/channels/{id}", notify.PermManage, p.channel)
	rt.Handle("POST /admin/notices/channels/{id}", notify.PermManage, p.saveChannel)
	rt.Handle("POST /admin/notices/channels/{id}/removal", notify.PermManage, p.removeChannel)
	rt.Handle("POST /admin/notices/channels/{id}/test", notify.PermManage, p.testChannel, web.Slow(40*time.Second))
	rt.Handle("GET  /admin/notices/log", notify.PermManage, p.log)
	rt.Handle("POST /admin/notices/log/{id}/retry", notify.PermManage, p.retry)
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
		x := row{ID: n.ID, Sentence: n.Sentence(r.Lang), Number: n.Number, Link: n.Link, Title: n.Heading(r.Lang), Insist: (n.Class == notify.Insist || notify.OfClocks(n.Kind)) && !n.Read, Read: n.Read, CreatedAt: n.CreatedAt}
		if n.Class != notify.Normal {
			x.Class, x.Tone = r.T("notify.class."+string(n.Class)), classTone(n.Class)
		}
		v.Rows = append(v.Rows, x)
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("notify.title"), Nav: "notifications", Assets: []string{"notify.css"}}, v)
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

// known is "I know": the notice is read, and what it says is not said again, to
// nobody.
func (p *pages) known(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	ticket, err := p.s.Known(r.Context(), r.Actor.ID, f.ID("id"))
	if err != nil {
		return err
	}
	if ticket != 0 && p.know != nil {
		// Somebody else may have known before, the ticket may have ended or be out of
		// his sight by now: then it is only the notice.
		switch err := p.know(r.Context(), r.Actor, ticket); {
		case err == nil:
			r.Flash(w, "green", "ticket.clocks.known")
		case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Forbidden):
			return err
		}
	}
	return r.SeeOther(w, "/notifications")
}
