package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"

	"github.com/chromedp/chromedp"
)

// Every page can be read and operated by everybody (axe finds nothing, in both
// themes), fits a phone, says nothing in English to a Chinese reader, and has
// no trouble in its console (GOV-8, GOV-9). The pages are found by following
// links from every route without a parameter, one example for each route.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	furnish(t, h)
	cookie := h.Cookie(authz.RoleAdmin)
	paths := pages(t, h, cookie)
	base := h.Serve() // from here on jobs run beside
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := b.tab(base, cookie), b.tab(base, nil)
	for _, path := range paths {
		p := inside
		if public(path) {
			p = outside
		}
		p.t = t
		t.Run(path, func(t *testing.T) {
			p.t = t
			p.size(1440, 900)
			p.dark(false)
			p.open(path)
			name := strings.Trim(strings.ReplaceAll(path, "/", "-"), "-")
			p.keep(name + "-1440")
			for _, w := range english(p) {
				if path == "/admin/parts" {
					break // shows the components by the names they have in the code
				}
				t.Errorf("English in a Chinese screen: %s", w)
			}
			p.check(string(axe), "1440 px, light")
			p.dark(true)
			p.check(string(axe), "1440 px, dark", colours...)
			p.keep(name + "-1440-dark")
			p.size(390, 844)
			p.check(string(axe), "390 px, dark", colours...)
			p.dark(false)
			p.check(string(axe), "390 px, light")
			p.keep(name + "-390")
			if over := call(p, chromedp.Evaluate[string](overflow)); over != "" {
				t.Errorf("390 px: scrolls sideways because of %s", over)
			}
			for _, m := range p.took() {
				t.Errorf("console: %s", m)
			}
		})
	}
}

// public reports whether the page is for people without an account.
func public(path string) bool {
	return strings.HasPrefix(path, "/sign-in") || strings.HasPrefix(path, "/portal") || strings.HasPrefix(path, "/c/") || path == "/help" || strings.HasPrefix(path, "/help/")
}

var (
	href     = regexp.MustCompile(`href="(/[^"#?]*)["#?]`)
	wildcard = regexp.MustCompile(`\{[^}]*\}`)
)

// pages finds one address for each route that shows a whole page.
func pages(t *testing.T, h *apptest.House, cookie *http.Cookie) []string {
	t.Helper()
	type pattern struct {
		route string
		re    *regexp.Regexp
	}
	var patterns []pattern
	var queue []string
	for _, r := range h.Router.Routes() {
		if r.Method != http.MethodGet || strings.HasPrefix(r.Path, "/api/") || strings.HasPrefix(r.Path, "/static/") || r.Path == "/live" {
			continue
		}
		exact := strings.TrimSuffix(r.Path, "{$}")
		patterns = append(patterns, pattern{r.Path, regexp.MustCompile("^" + wildcard.ReplaceAllString(exact, `[^/]+`) + "$")})
		if !strings.Contains(exact, "{") {
			queue = append(queue, exact)
		}
	}
	// Literal paths before those with parameters: /customers/new is no customer.
	sort.SliceStable(patterns, func(i, j int) bool {
		return !strings.Contains(patterns[i].route, "{") && strings.Contains(patterns[j].route, "{")
	})
	done := map[string]bool{}
	var out []string
	for _, path := range examples(t, h) {
		i := slices.IndexFunc(patterns, func(p pattern) bool { return p.re.MatchString(path) })
		if i < 0 {
			t.Errorf("%s is no route", path)
			continue
		}
		by := any(cookie)
		if public(path) {
			by = nil
		}
		w := h.Call(http.MethodGet, path, "", by)
		if w.Code >= 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
		done[patterns[i].route] = true
		if w.Code == http.StatusOK && strings.Contains(w.Body.String(), "</html>") { // else a part, a download, the way to another page
			out = append(out, path)
		}
	}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		i := slices.IndexFunc(patterns, func(p pattern) bool { return p.re.MatchString(path) })
		if i < 0 || done[patterns[i].route] {
			continue
		}
		by := any(cookie)
		if public(path) {
			by = nil
		}
		w := h.Call(http.MethodGet, path, "", by)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			if w.Code >= 500 {
				t.Errorf("%s: %d", path, w.Code)
			}
			continue
		}
		for _, m := range href.FindAllStringSubmatch(body, -1) {
			queue = append(queue, m[1])
		}
		if !strings.Contains(body, "</html>") {
			continue // a fragment
		}
		done[patterns[i].route] = true
		out = append(out, path)
	}
	for _, p := range patterns {
		if !done[p.route] && strings.Contains(p.route, "{") {
			t.Logf("no example found for %s", p.route)
		}
	}
	return out
}

// colours are the rules that a theme can break.
var colours = []string{"color-contrast", "link-in-text-block"}

// check runs axe on the page as it is.
func (p *tab) check(axe, situation string, rules ...string) {
	p.t.Helper()
	if !call(p, chromedp.Evaluate[bool](`'axe' in window`)) {
		call(p, chromedp.Evaluate[chromedp.Void](axe+"\n;void 0"))
	}
	options := `{resultTypes: ['violations']}`
	if len(rules) > 0 {
		r, _ := json.Marshal(rules)
		options = `{resultTypes: ['violations'], runOnly: {type: 'rule', values: ` + string(r) + `}}`
	}
	type finding struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	found := call(p, chromedp.Evaluate[[]finding](`axe.run(document, `+options+`).then(r => r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => ({html: n.html.slice(0, 200), failureSummary: n.failureSummary}))})))`, chromedp.EvalAwaitPromise))
	for _, f := range found {
		for _, n := range f.Nodes {
			p.t.Errorf("%s: %s: %s\n  %s\n  %s", situation, f.ID, f.Help, n.HTML, strings.ReplaceAll(n.Summary, "\n", " "))
		}
	}
}

// overflow names the first element that makes the page wider than the screen.
const overflow = `(() => {
	const w = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= w) return '';
	const scrolls = e => { for (; e && e !== document.body; e = e.parentElement) { const o = getComputedStyle(e).overflowX; if (o !== 'visible') return true } return false };
	for (const e of document.body.querySelectorAll('*')) {
		if (e.getBoundingClientRect().right > w + 1 && !scrolls(e.parentElement)) return e.outerHTML.slice(0, 160) + ' (' + Math.round(e.getBoundingClientRect().right) + ' px)';
	}
	return 'something (' + document.documentElement.scrollWidth + ' px)';
})()`

// latin are the Latin words that are Chinese usage: names of things that have
// no other name, units, and marks of this product.
var latin = []string{
	"VIP", "SLA", "ISO", "Excel", "CSV", "ID", "URL", "API", "IP", "App", "Enter", "Esc", "Ctrl", "Tab", "Shift",
	"Bihuan", "English", "MB", "KB", "GB", "PDF", "PNG", "JPG", "xlsx", "csv", "GBK", "UTF", "TLS", "min", "px",
	"PostgreSQL", "SQLite", "Chromium", "Chrome", "Edge", "Firefox", "Safari", "Windows", "Linux", "macOS", "iPhone", "Android",
	"SMTP", "IMAP", "OAuth", "SSL", "STARTTLS", "AccessKey", "SecretId", "SdkAppId", "Open", "Signature",
	"Alt", "GHz", "MAC", "QQ", "REST", "OpenAPI", "JSON", "Token", "SHA", "HTTP", "HTTPS", "Webhook", "CPU", "OK", "Wi", "Fi", "WiFi", "POS", "SN", "Outlook", "fahuo",
}

// data is what people typed or the program numbered: it may be in any script.
var data = regexp.MustCompile(`[\w.+-]+@[\w.-]+|https?://\S+|[A-Z]{1,4}-?[0-9][0-9A-Z-]*|bht_\w+|\b[0-9A-Z]{8,}\b|\b[0-9a-f]{8,}\b|\b[a-z]+:(?:read|write)\b|\b[\w-]+(?:\.[\w-]+)+\b|[A-Z]*(?:\{\w+\})+|\*+\w*|\w*\*+\w*|/[a-z/{}.-]+|\.[a-z]{3,4}\b`)

var word = regexp.MustCompile(`[A-Za-z][A-Za-z']+`)

// english returns the English words a Chinese reader meets, in texts and in
// what helps him: titles, placeholders, labels for the ear.
func english(p *tab) []string {
	texts := call(p, chromedp.Evaluate[[]string](`(() => {
		const out = [], skip = 'script, style, code, kbd, pre, [lang=en], [data-as-typed]';
		const visible = e => e.checkVisibility({visibilityProperty: true}) || e.closest('option, .sr-only');
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (walk.nextNode()) { const n = walk.currentNode, e = n.parentElement; if (n.data.trim() && !e.closest(skip) && visible(e)) out.push(n.data.trim()) }
		for (const e of document.body.querySelectorAll('*')) for (const a of ['title', 'placeholder', 'aria-label', 'alt', 'data-confirm', 'hx-confirm']) { const v = e.getAttribute(a); if (v && !e.closest('[lang=en], [data-as-typed]')) out.push(a + '：' + v) }
		out.push(document.title);
		return out;
	})()`))
	var out []string
	for _, s := range texts {
		name, v, ok := strings.Cut(s, "：")
		if ok && slices.Contains([]string{"title", "placeholder", "aria-label", "alt", "data-confirm", "hx-confirm"}, name) {
			s = v
		}
		for _, w := range word.FindAllString(data.ReplaceAllString(s, " "), -1) {
			if !slices.Contains(latin, w) && !slices.Contains(apptest.Logins, strings.ToLower(w)) && w != "root" {
				out = append(out, fmt.Sprintf("%q in %q", w, s))
			}
		}
	}
	return out
}
