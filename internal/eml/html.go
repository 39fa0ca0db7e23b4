package eml

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

var metaSet = regexp.MustCompile(`(?i)<meta[^>]{0,200}charset\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})`)

// metaCharset is what an HTML text says of itself, "" for nothing.
func metaCharset(b []byte) string {
	if m := metaSet.FindSubmatch(b[:min(len(b), 4096)]); m != nil {
		return string(m[1])
	}
	return ""
}

// blocks begin and end a line of text.
var blocks = map[atom.Atom]bool{atom.P: true, atom.Div: true, atom.Br: true, atom.Tr: true, atom.Li: true, atom.Ul: true, atom.Ol: true, atom.Table: true, atom.H1: true, atom.H2: true, atom.H3: true,
	atom.H4: true, atom.H5: true, atom.H6: true, atom.Blockquote: true, atom.Hr: true, atom.Pre: true, atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Dd: true, atom.Dt: true, atom.Center: true, atom.Address: true}

// silent hold no words.
var silent = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Head: true, atom.Title: true, atom.Noscript: true, atom.Template: true, atom.Svg: true, atom.Math: true, atom.Iframe: true, atom.Object: true,
	atom.Textarea: true, atom.Select: true, atom.Xmp: true, atom.Noembed: true, atom.Noframes: true}

// TextOf says an HTML text in lines. Quoted blocks get their marks, so that
// [Fold] finds them.
func TextOf(s string) string {
	z := html.NewTokenizer(strings.NewReader(s))
	z.SetMaxBuf(1 << 20)
	var lines []string
	var line strings.Builder
	mute, pre := 0, 0
	quotes := 0
	var muted atom.Atom
	flush := func(force bool) {
		t := strings.TrimRight(line.String(), " \t")
		line.Reset()
		if t == "" && !force {
			return
		}
		if t == "" && len(lines) > 0 && strings.Trim(lines[len(lines)-1], "> ") == "" {
			return
		}
		if quotes > 0 {
			t = strings.Repeat(">", min(quotes, 20)) + " " + t
		}
		lines = append(lines, t)
	}
	for len(lines) < 50_000 {
		switch z.Next() {
		case html.ErrorToken:
			flush(false)
			return strings.TrimSpace(strings.Join(lines, "\n"))
		case html.TextToken:
			if mute > 0 {
				continue
			}
			t := string(z.Text())
			t = html.UnescapeString(t)
			if pre > 0 {
				for i, l := range strings.Split(t, "\n") {
					if i > 0 {
						flush(true)
					}
					line.WriteString(l)
				}
				continue
			}
			t = strings.ReplaceAll(t, "\u00a0", " ")
			lead := strings.HasPrefix(t, " ") || strings.HasPrefix(t, "\n") || strings.HasPrefix(t, "\t")
			words := strings.Join(strings.Fields(t), " ")
			if lead && line.Len() > 0 && !strings.HasSuffix(line.String(), " ") {
				line.WriteByte(' ')
			}
			line.WriteString(words)
			if words != "" && strings.TrimRight(t, " \t\r\n") != t {
				line.WriteByte(' ')
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			n, attr := z.TagName()
			a := atom.Lookup(n)
			raw := z.Raw()
			closed := len(raw) > 1 && raw[len(raw)-2] == '/'
			switch {
			case mute > 0:
				if a == muted && !closed {
					mute++
				}
			case silent[a] && !closed:
				mute, muted = 1, a
			case a == atom.Body:
				mute = 0
			case a == atom.Br:
				flush(true)
			case a == atom.Pre:
				flush(false)
				pre++
			case a == atom.Blockquote:
				flush(false)
				quotes++
			case a == atom.Td || a == atom.Th:
				if line.Len() > 0 {
					line.WriteString("  ")
				}
			case a == atom.Li:
				flush(false)
				line.WriteString("- ")
			case a == atom.Hr:
				flush(false)
				line.WriteString("----------")
				flush(false)
			case a == atom.P:
				flush(false)
				if len(lines) > 0 {
					flush(true)
				}
			case blocks[a]:
				flush(false)
			case a == atom.Img && attr:
				for attr {
					var k, v []byte
					k, v, attr = z.TagAttr()
					if string(k) == "alt" && len(v) < 100 {
						line.WriteString(OneLine(string(v)))
					}
				}
			}
		case html.EndTagToken:
			n, _ := z.TagName()
			a := atom.Lookup(n)
			switch {
			case mute > 0:
				if a == muted || a == atom.Head || a == atom.Html {
					mute--
				}
			case a == atom.Pre:
				flush(false)
				pre = max(0, pre-1)
			case a == atom.Blockquote:
				flush(false)
				quotes = max(0, quotes-1)
			case a == atom.P:
				flush(false)
				flush(true)
			case blocks[a]:
				flush(false)
			}
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// Pictures says where the pictures of a text come from.
type Pictures struct {
	Inline func(contentID string) string // address of a picture that came with the mail, "" for none
	Remote func(address string) string   // address under which a picture of the web is shown; nil: not at all
}

var (
	colour  = regexp.MustCompile(`(?i)^(#[0-9a-f]{3,8}|rgba?\([0-9., %]{1,40}\)|[a-z]{3,20})$`)
	length  = regexp.MustCompile(`(?i)^(-?[0-9.]{1,8}(px|pt|em|rem|%|cm|mm|in)?|auto|normal|none|thin|medium|thick|inherit)( +-?[0-9.]{1,8}(px|pt|em|rem|%)?){0,3}$`)
	wordy   = regexp.MustCompile(`(?i)^[a-z0-9 ,'"\p{Han}-]{1,200}$`)
	numeric = regexp.MustCompile(`^[0-9]{1,5}%?$`)
)

// Safe returns s as what may be shown: no script, no form, no frame, no style
// that leaves its place, links that tell nobody where they were followed from.
// blocked reports how many pictures of the web are not shown.
func Safe(s string, p Pictures) (out string, blocked int) {
	b := bluemonday.NewPolicy()
	b.AllowElements("p", "div", "span", "br", "hr", "b", "strong", "i", "em", "u", "s", "strike", "del", "ins", "sub", "sup", "small", "big", "blockquote", "pre", "code", "tt", "h1", "h2", "h3", "h4", "h5", "h6",
		"ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup", "col", "font", "center", "address", "cite", "q", "mark", "figure", "figcaption", "section", "article")
	b.AllowAttrs("align", "valign").Matching(regexp.MustCompile(`(?i)^[a-z]{1,10}$`)).Globally()
	b.AllowAttrs("dir").Matching(regexp.MustCompile(`(?i)^(ltr|rtl)$`)).Globally()
	b.AllowAttrs("width", "height", "border", "cellpadding", "cellspacing", "colspan", "rowspan", "start", "size").Matching(numeric).Globally()
	b.AllowAttrs("bgcolor", "color").Matching(colour).Globally()
	b.AllowAttrs("face").Matching(wordy).OnElements("font")
	b.AllowAttrs("alt", "title").Globally()
	b.AllowAttrs("href").OnElements("a")
	b.AllowAttrs("src").OnElements("img")
	b.AllowStyles("color", "background-color").Matching(colour).Globally()
	b.AllowStyles("font-size", "line-height", "text-indent", "letter-spacing", "padding", "padding-left", "padding-right", "padding-top", "padding-bottom", "margin", "margin-left", "margin-right", "margin-top", "margin-bottom",
		"width", "max-width", "height", "border-width", "border-spacing").Matching(length).Globally()
	b.AllowStyles("font-family", "font-weight", "font-style", "text-align", "text-decoration", "vertical-align", "white-space", "word-break", "word-wrap", "border-style", "border-collapse", "list-style-type").Matching(wordy).Globally()
	b.AllowURLSchemes("http", "https", "mailto", "tel", "cid")
	b.RequireParseableURLs(true)
	b.AllowRelativeURLs(false)
	b.RequireNoReferrerOnLinks(true)
	b.RequireNoFollowOnLinks(true)
	b.AddTargetBlankToFullyQualifiedLinks(true)
	b.SkipElementsContent("script", "style", "title", "head", "noscript", "template", "svg", "math", "iframe", "object", "embed", "applet", "form", "select", "textarea", "button", "xmp", "noembed", "noframes", "audio", "video", "frameset", "base", "link", "meta")
	b.AllowElementsContent("form")
	b.RewriteSrc(func(u *url.URL) {
		to := ""
		switch u.Scheme {
		case "cid":
			id := u.Opaque
			if x, err := url.PathUnescape(id); err == nil {
				id = x
			}
			if p.Inline != nil {
				to = p.Inline(id)
			}
		case "http", "https":
			if p.Remote != nil {
				to = p.Remote(u.String())
			}
			if to == "" {
				blocked++
			}
		}
		*u = url.URL{}
		if to != "" {
			if x, err := url.Parse(to); err == nil {
				*u = *x
			}
		}
	})
	if len(s) > maxText {
		s = s[:maxText]
	}
	return b.Sanitize(s), blocked
}
