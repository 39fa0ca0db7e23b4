// Package slaui shows deadlines as a whole: what will be missed in the next
// hours, how promises were kept, and the ladders that say what happens near and
// after each deadline. It holds no rules; they are in packages sla and ticket.
package slaui

import (
	"context"
	"embed"
	"net/url"
	"strconv"

	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "slaui.css")
	_ = []struct{}{ui.SetTone("warn", "amber"), ui.SetTone("remind", "blue"), ui.SetTone("miss", "red"), ui.SetTone("escalate", "red"), ui.SetTone("decide", "amber"), ui.SetTone("lapse", "gray")}
)

type pages struct {
	clocks  *sla.Service
	tickets *ticket.Service
	org     *org.Service
	outlook func(ctx context.Context) (Outlook, error)
}

// Routes of the board, the report and the ladders; outlook may be nil.
func Routes(rt *web.Router, c *sla.Service, t *ticket.Service, o *org.Service, outlook func(ctx context.Context) (Outlook, error)) {
	p := &pages{c, t, o, outlook}
	rt.Handle("GET  /sla/board", sla.PermReport, p.board)
	rt.Handle("GET  /sla/attainment", sla.PermReport, p.attainment)
	rt.Handle("GET  /sla/attainment/list", sla.PermReport, p.results)
	rt.Handle("POST /sla/attainment/export", sla.PermReport, p.export)
	rt.Handle("GET  /admin/ladders", sla.PermLadder, p.ladders)
	rt.Handle("GET  /admin/ladders/preview", sla.PermLadder, p.preview)
	rt.Handle("GET  /admin/ladders/{kind}", sla.PermLadder, p.ladder)
	rt.Handle("POST /admin/ladders/{kind}", sla.PermLadder, p.setLadder)
	rt.Handle("POST /admin/ladders/{kind}/removal", sla.PermLadder, p.removeLadder)
	rt.Handle("POST /admin/ladders/{kind}/running", sla.PermLadder, p.rehang, web.Slow(rehangTime))
}

// Nav are the entries of the board and the report.
func Nav() []ui.Nav {
	return []ui.Nav{
		{Key: "sla-board", Href: "/sla/board", Icon: "target", LabelKey: "sla.board.title", Perm: sla.PermReport, Group: "sla.nav"},
		{Key: "sla-attainment", Href: "/sla/attainment", Icon: "chart", LabelKey: "sla.report.title", Perm: sla.PermReport, Group: "sla.nav"},
	}
}

// SettingsNav is the entry of the ladders.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "ladders", Href: "/admin/ladders", Icon: "escalate", LabelKey: "sla.ladder.title", Perm: sla.PermLadder, Group: "org.admin"}
}

func chrome(r *web.Request, nav, title string) ui.Chrome {
	return ui.Chrome{Title: title, Nav: nav, Assets: []string{"slaui.css"}, Crumbs: []ui.Crumb{{Label: r.T("sla.nav")}, {Label: title}}}
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

func number(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return max(n, 0) }

// address is a path with what is set of its query.
func address(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "0" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// departments are those in the reader's scope, or all.
func (p *pages) departments(r *web.Request, in func(id int64) bool) ([]ui.Option, error) {
	nodes, err := p.org.Tree(r.Context())
	if err != nil {
		return nil, err
	}
	var out []ui.Option
	for _, n := range nodes {
		if n.Active && in(n.ID) {
			out = append(out, ui.Option{Value: id(n.ID), Label: n.Path})
		}
	}
	return out, nil
}
