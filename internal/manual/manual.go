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
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	gtext "github.com/yuin/goldmark/text"
)

//go:embed *.html
var files embed.FS

type view struct {
	Contents []chapter
	Text     template.HTML
}

type chapter struct{ Href, Title string }

var page = ui.NewPage[view](files, "manual.html").Sample(view{[]chapter{{"#a", "x"}}, "<h1>x</h1>"})

// text is the manual as HTML with its chapters; raw HTML in it is left out.
var text = sync.OnceValues(func() (v view, err error) {
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	doc := md.Parser().Parse(gtext.NewReader(docs.Manual))
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level == 2 {
			if id, ok := h.AttributeString("id"); ok {
				v.Contents = append(v.Contents, chapter{"#" + string(id.([]byte)), string(h.Lines().Value(docs.Manual))})
			}
		}
	}
	var b bytes.Buffer
	err = md.Renderer().Render(&b, docs.Manual, doc)
	v.Text = template.HTML(b.String())
	return v, err
})

// Nav is the entry of the manual.
func Nav() ui.Nav {
	return ui.Nav{Key: "manual", Href: "/manual", Icon: "help", LabelKey: "manual.title", Menu: true}
}

// Routes adds the page; everybody signed in may read.
func Routes(rt *web.Router) {
	rt.Handle("GET /manual", web.SignedIn, func(w http.ResponseWriter, r *web.Request) error {
		v, err := text()
		if err != nil {
			return err
		}
		return page.Render(w, r, ui.Chrome{Title: r.T("manual.title"), Nav: "manual"}, v)
	})
}
