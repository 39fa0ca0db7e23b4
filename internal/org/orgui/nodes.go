package orgui

import (
	"net/http"

	"bihuan/internal/node"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type nodesView struct {
	Nodes []nodeView
	Apart bool
	Skew  bool
}

type nodeView struct {
	node.Node
	Millis int64    // its clock ahead of the store's
	Holds  []string // in words
}

var nodesPage = ui.NewPage[nodesView](files, "nodes.html").Sample(
	nodesView{Apart: true, Skew: true, Nodes: []nodeView{{Node: node.Node{Name: "a/1/x", Version: "1", Address: "127.0.0.1:8080", Self: true, Alive: true}, Holds: []string{"duties"}}, {Node: node.Node{Name: "b/2/y", Apart: true, Alive: true}, Millis: 3000}, {Node: node.Node{Name: "c/3/z"}}}},
	nodesView{Nodes: []nodeView{{}}})

// NodesNav is the entry of the page of nodes.
func NodesNav() ui.Nav {
	return ui.Nav{Key: "nodes", Href: "/admin/nodes", Icon: "sitemap", LabelKey: "node.title", Perm: org.PermSettings, Group: "org.admin"}
}

// NodeRoutes adds the page that shows which processes serve.
func NodeRoutes(rt *web.Router, nodes *node.Keeper) {
	rt.Handle("GET /admin/nodes", org.PermSettings, func(w http.ResponseWriter, r *web.Request) error {
		ns, err := nodes.List(r.Context())
		if err != nil {
			return err
		}
		var v nodesView
		for _, n := range ns {
			x := nodeView{Node: n, Millis: n.Ahead.Milliseconds()}
			for _, l := range n.Leases {
				if l == "duties" {
					l = r.T("node.lease.duties")
				}
				x.Holds = append(x.Holds, l)
			}
			v.Apart, v.Skew = v.Apart || n.Apart, v.Skew || n.Alive && n.Skewed()
			v.Nodes = append(v.Nodes, x)
		}
		c := ui.Chrome{Title: r.T("node.title"), Nav: "nodes", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("node.title")}}}
		return nodesPage.Render(w, r, c, v)
	})
}
