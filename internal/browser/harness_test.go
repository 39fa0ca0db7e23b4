package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"bihuan/internal/app/apptest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds every wait for something that happens in the browser.
const patience = 20 * time.Second

// chromium is the browser's program. Without one the test is skipped; CI may
// skip nothing.
func chromium(t testing.TB) string {
	t.Helper()
	path := os.Getenv("BIHUAN_TEST_CHROMIUM")
	if path == "" {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if p, err := exec.LookPath(name); err == nil {
				path = p
				break
			}
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium: scripts/setup.sh installs one")
		}
		t.Skip("no Chromium on this machine (scripts/setup.sh installs one); set BIHUAN_TEST_CHROMIUM to its program")
	}
	return path
}

// browser is one Chromium; each of its persons has cookies of his own.
type browser struct {
	t   testing.TB
	ctx context.Context
}

func launch(t testing.TB) *browser {
	t.Helper()
	path := chromium(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("lang", "zh-CN"),
		chromedp.Flag("accept-lang", "zh-CN"),
		chromedp.Env("LANGUAGE=zh_CN:zh", "LANG=zh_CN.UTF-8"), // what the browser itself says, e.g. in fields for dates
		chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("hide-scrollbars", false),
	)
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox does not start as root
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(func() { cancel(); stop() })
	return &browser{t, ctx}
}

// tab is a page with the troubles it had.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string
	keys int // keys pressed

	mu       sync.Mutex
	troubles []string
}

// tab opens a page for a person (nil cookie: a stranger) with cookies of its
// own. Scripts that fail, resources that are missing and violations of the
// content security policy are its troubles.
func (b *browser) tab(base string, signIn *http.Cookie) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.t.Cleanup(cancel)
	p := &tab{t: b.t, ctx: ctx, base: base}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" && m.Source == "security" {
				p.mu.Lock()
				p.troubles = append(p.troubles, strings.TrimSpace(m.String()+" "+m.URL))
				p.mu.Unlock()
			}
		}
	}()
	p.size(1440, 900)
	if signIn != nil {
		p.cookie(signIn.Name, signIn.Value)
	}
	return p
}

// call runs one command or fails the test.
func call[T any](p *tab, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		where, _ := chromedp.Run(p.ctx, chromedp.Location())
		p.keep("failed")
		p.t.Fatalf("%v (at %s)", err, where)
	}
	return v
}

func (p *tab) cookie(name, value string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: p.base}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) size(w, h int64) {
	p.t.Helper()
	var opts []chromedp.EmulateViewportOption
	if w < 600 {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	call(p, chromedp.EmulateViewport(w, h, opts...))
}

func (p *tab) dark(on bool) {
	p.t.Helper()
	v := "light"
	if on {
		v = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: v}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	if err != nil {
		p.t.Fatal(err)
	}
}

// open goes to a page and waits until its script has started.
func (p *tab) open(path string) {
	p.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.base + path
	}
	call(p, chromedp.Navigate(path))
	p.until(`document.readyState === 'complete'`)
}

// until waits for a JavaScript condition.
func (p *tab) until(js string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		// Asked anew each time: the page may be another one by now.
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!(`+js+`)`))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			where, _ := chromedp.Run(p.ctx, chromedp.Location())
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 1500)`))
			p.keep("failed")
			p.t.Fatalf("not within %v: %s\nat %s\n%s", patience, js, where, text)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// sees waits until the page shows all the texts.
func (p *tab) sees(texts ...string) {
	p.t.Helper()
	for _, s := range texts {
		q, _ := json.Marshal(s)
		p.until(`document.body.innerText.includes(` + string(q) + `)`)
	}
}

// path is where the page is, without the host.
func (p *tab) path() string {
	p.t.Helper()
	u, err := url.Parse(call(p, chromedp.Location()))
	if err != nil {
		p.t.Fatal(err)
	}
	return u.RequestURI()
}

// press presses keys: letters, or those of package kb. Each goes down with its
// character, as on a real keyboard, so that a page which handles the key can
// keep the character out of what it has focused.
func (p *tab) press(keys string, mods ...chromedp.Modifier) {
	p.t.Helper()
	var m int64
	for _, mod := range mods {
		m |= int64(mod)
	}
	for _, r := range keys {
		p.keys++
		text := ""
		for _, k := range kb.Encode(r) {
			if k.Type == kb.KeyChar && m&^int64(chromedp.ModifierShift) == 0 {
				text = k.Text
			}
		}
		for _, k := range kb.Encode(r) {
			switch k.Type {
			case kb.KeyChar:
				continue
			case kb.KeyDown, kb.KeyRawDown:
				k.Type, k.Text, k.UnmodifiedText = kb.KeyDown, text, text
				if text == "" {
					k.Type = kb.KeyRawDown
				}
			}
			k.Modifiers |= m
			if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, *k); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// write types text into what has the focus. Chinese comes from an input method:
// about as many keys as the text has letters in Pinyin, counted as two a
// character, which is what the common phrase methods need.
func (p *tab) write(text string) {
	p.t.Helper()
	for _, r := range text {
		if p.keys++; r > 0x2e80 {
			p.keys++
		}
	}
	if _, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		p.t.Fatal(err)
	}
}

// tabTo presses Tab until the focus is on what matches sel; it fails when the
// focus has gone round.
func (p *tab) tabTo(sel string) {
	p.t.Helper()
	q, _ := json.Marshal(sel)
	js := `document.activeElement && document.activeElement.matches(` + string(q) + `)`
	for range 80 {
		if call(p, chromedp.Evaluate[bool](js)) {
			return
		}
		p.press(kb.Tab)
	}
	p.keep("failed")
	p.t.Fatalf("%s cannot be reached with the Tab key", sel)
}

// click clicks what matches sel, as a finger or a mouse would.
func (p *tab) click(sel string) {
	p.t.Helper()
	call(p, chromedp.Click(chromedp.CSS(sel), chromedp.NodeVisible))
}

// fill writes into the field that matches sel.
func (p *tab) fill(sel, text string) {
	p.t.Helper()
	call(p, chromedp.Focus(chromedp.CSS(sel)))
	p.write(text)
}

// keep saves a picture of the page where BIHUAN_SHOTS says.
func (p *tab) keep(name string) {
	dir := os.Getenv("BIHUAN_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return
	}
	_ = os.MkdirAll(dir, 0o755)
	file := regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(p.t.Name()+"-"+name, "-")
	_ = os.WriteFile(filepath.Join(dir, file+".png"), png, 0o644)
}

// took returns the troubles since it was last asked.
func (p *tab) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.troubles
	p.troubles = nil
	return out
}

// person opens a tab for somebody of the house.
func (b *browser) person(h *apptest.House, base, login string) *tab {
	b.t.Helper()
	return b.tab(base, h.Cookie(login))
}
