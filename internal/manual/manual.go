// Package manual shows the user's manual inside the product (GOV-7): the same
// text as in the repository, in Chinese.
package manual

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"sync"

	"bihuan/docs"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

//go:embed *.html
var files embed.FS

type view struct{ Text template.HTML }

var page = ui.NewPage[view](files, "manual.html").Sample(view{"<h1>x</h1>"})

// text is the manual as HTML; raw HTML in it is left out.
var text = sync.OnceValues(func() (template.HTML, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	var b bytes.Buffer
	err := md.Convert(docs.Manual, &b)
	return template.HTML(b.String()), err
})

// Nav is the entry of the manual.
func Nav() ui.Nav {
	return ui.Nav{Key: "manual", Href: "/help", Icon: "book", LabelKey: "manual.title", Menu: true}
}

// Routes adds the page; everybody signed in may read.
func Routes(rt *web.Router) {
	rt.Handle("GET /help", web.SignedIn, func(w http.ResponseWriter, r *web.Request) error {
		t, err := text()
		if err != nil {
			return err
		}
		return page.Render(w, r, ui.Chrome{Title: r.T("manual.title"), Nav: "manual"}, view{t})
	})
}
