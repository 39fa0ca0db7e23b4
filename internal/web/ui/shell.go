package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Nav is an entry of the navigation, of the command palette, or of the keys
// behind g.
type Nav struct {
	Key      string // the chrome of a page names the entry it belongs to
	Href     string
	Icon     string
	LabelKey string
	Perm     authz.Permission // "" or web.SignedIn: everybody signed in
	Letter   string           // g and this letter lead there
	Menu     bool             // not on the rail but in the palette and the person's menu
	Group    string           // locale key: entries of a group share one place on the rail, or with Menu in the menu, and are tabs of each other
	// Count returns how much waits there for the reader, at most 100; it is shown
	// on the rail and drawn again when a live message of topic Live comes. May be nil.
	Count func(ctx context.Context, a authz.Actor) int
	Live  string
}

// Shell is what all pages of a running product share. Fill it before the first
// request.
type Shell struct {
	Nav      []Nav
	Actions  []Nav                                                               // offered by the palette only: "new ticket"
	Home     string                                                              // "/" when empty
	SignOut  string                                                              // where a POST signs out; "/sign-out" when empty
	Company  func(ctx context.Context) string                                    // the company's name; the product's when nil
	Unread   func(ctx context.Context, a authz.Actor) int                        // notifications not yet read
	SetLang  func(ctx context.Context, a authz.Actor, l i18n.Lang) error         // keeps the language with the person
	SetKeys  func(ctx context.Context, a authz.Actor, on bool) error             // keeps whether the person wants single-letter keys
	Jump     string                                                              // address that finds records for the palette: [{id, label, note, href}] for ?q=
	Visitors []string                                                            // first parts of the addresses that customers visit; the first of them is where they begin
	Banner   func(ctx context.Context, a authz.Actor, l i18n.Lang) (text string) // a sentence on top of all pages: read-only, trial data
}

// Layout is the frame a page stands in.
type Layout int

// Staff pages have the rail; public ones the company's name on top; bare ones
// nothing but a card in the middle (signing in).
const (
	Staff Layout = iota
	PublicPage
	Bare
)

// Crumb is one step of the way to a page.
type Crumb struct{ Label, Href string }

// Chrome is what a page says about its frame.
type Chrome struct {
	Title  string // in the reader's language
	Nav    string // key of the entry that is lit
	Crumbs []Crumb
	Layout Layout
	Class  string   // of <main>: "page" when empty; "ws" fills the window
	Assets []string // further .css and .js files of the room
}

type frameView struct {
	Chrome
	Lang, Other   string
	OtherName     string
	Theme         string
	Company, Home string
	SignOut       string
	Rail, More    []navView
	Tabs          []navView // of the group the page belongs to
	Name, Dept    string
	ActorID       int64
	Now           int64 // unix seconds: browsers with a wrong clock still count down rightly
	SignedIn      bool
	Unread        string
	Flash         *flashView
	Banner        string
	KeysOff       bool
	Jump          string
	Words         string
	Palette       string
	CSS, JS       []string
	Path          string
	Body          template.HTML
}

type navView struct {
	Href, Label, Letter string
	Icon                template.HTML
	Current             bool
	Key, Live, Count    string // Live: drawn again at this topic; Count: what waits there
}

type flashView struct{ Tone, Text string }

var (
	layouts = map[Layout]*Page[frameView]{
		Staff:      NewPage[frameView](files, "templates/layout.html", "templates/head.html"),
		PublicPage: NewPage[frameView](files, "templates/public.html", "templates/head.html"),
		Bare:       NewPage[frameView](files, "templates/bare.html", "templates/head.html"),
	}
	errorPage = NewPage[web.ErrorView](files, "templates/error.html").Sample(
		web.ErrorView{Status: 404, Title: "404", Message: "m", Ref: "ABCD-EFGH"},
		web.ErrorView{Status: 401, Title: "401", Message: "m", Ref: "ABCD-EFGH", SignIn: "/sign-in"},
		web.ErrorView{Status: 503, Title: "503", Message: "m", Ref: "ABCD-EFGH", Away: &web.AwayView{Look: "/tickets"}},
		web.ErrorView{Status: 503, Title: "503", Message: "m", Ref: "ABCD-EFGH", Away: &web.AwayView{}},
		web.ErrorView{Status: 503, Title: "503", Message: "m", Ref: "ABCD-EFGH", Away: &web.AwayView{Send: "/tickets", Files: true, Typed: []web.TypedView{{Name: "title", Value: "a b"}}}})
)

var noShell Shell

func shellOf(r *web.Request) *Shell {
	if s, ok := r.Shell().(*Shell); ok && s != nil {
		return s
	}
	return &noShell
}

// Routes adds the static files, the choice of language and, for those with
// partsPerm, the page of parts.
func (s *Shell) Routes(rt *web.Router, partsPerm authz.Permission) {
	rt.Handle("GET /static/{file}", web.Public, serveAsset, web.NoActor())
	rt.Handle("GET /favicon.ico", web.Public, func(w http.ResponseWriter, r *web.Request) error {
		http.Redirect(w, r.Request, Asset("favicon.svg"), http.StatusFound)
		return nil
	}, web.NoActor())
	rt.Handle("POST /language", web.Public, s.setLanguage)
	rt.Handle("POST /keys", web.SignedIn, s.setKeys)
	rt.Handle("GET /notifications/bell", web.SignedIn, s.bell)
	rt.Handle("GET /navigation/{key}", web.SignedIn, s.entry)
	rt.Handle("GET /admin/parts", partsPerm, showParts)
	rt.Handle("POST /admin/parts", partsPerm, tryParts)
}

func (s *Shell) setLanguage(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	l := i18n.Lang(f.Choice("lang", string(i18n.ZhCN), string(i18n.En)))
	if err := f.Err(); err != nil {
		return err
	}
	r.SetLang(w, l)
	if s.SetLang != nil && r.Actor.Kind == authz.User {
		if err := s.SetLang(r.Context(), r.Actor, l); err != nil {
			return err
		}
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("next"), "/"))
}

// setKeys keeps whether the person wants single-letter keys.
func (s *Shell) setKeys(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	if s.SetKeys != nil {
		if err := s.SetKeys(r.Context(), r.Actor, f.Bool("on")); err != nil {
			return err
		}
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("next"), "/"))
}

// bell draws the bell again when a notification has come.
func (s *Shell) bell(w http.ResponseWriter, r *web.Request) error {
	b := getBuffer()
	defer putBuffer(b)
	if err := layouts[Staff].set(r.Lang).ExecuteTemplate(b, "bell", s.unread(r)); err != nil {
		return err
	}
	headers(w)
	_, _ = w.Write(b.Bytes())
	return nil
}

// entry draws an entry of the rail again when what waits there has changed.
func (s *Shell) entry(w http.ResponseWriter, r *web.Request) error {
	i := slices.IndexFunc(s.Nav, func(n Nav) bool { return n.Key == r.PathValue("key") && n.Count != nil && n.may(r.Actor) })
	if i < 0 {
		return NoSuchPage()
	}
	n := s.Nav[i]
	v := n.view(r)
	if u := r.CurrentURL(); u != nil {
		v.Current = u.Path == n.Href || strings.HasPrefix(u.Path, n.Href+"/")
	}
	b := getBuffer()
	defer putBuffer(b)
	if err := layouts[Staff].set(r.Lang).ExecuteTemplate(b, "railitem", v); err != nil {
		return err
	}
	headers(w)
	_, _ = w.Write(b.Bytes())
	return nil
}

func (n Nav) view(r *web.Request) navView {
	v := navView{Key: n.Key, Href: n.Href, Label: r.T(n.LabelKey), Letter: n.Letter, Icon: Icon(n.Icon)}
	if n.Count != nil {
		v.Live, v.Count = n.Live, atMost99(n.Count(r.Context(), r.Actor))
	}
	return v
}

func (s *Shell) unread(r *web.Request) string {
	if s.Unread == nil {
		return ""
	}
	return atMost99(s.Unread(r.Context(), r.Actor))
}

// atMost99 is a count as it is shown in small; "" for none.
func atMost99(n int) string {
	switch {
	case n > 99:
		return "99+"
	case n > 0:
		return num(n)
	}
	return ""
}

// RenderError draws the error as a page, or as a toast when htmx asked for a
// fragment: what the reader has on the screen stays there.
func (s *Shell) RenderError(w http.ResponseWriter, r *web.Request, e web.ErrorView) {
	if e.Away != nil && r.Header.Get("HX-Live") == "true" {
		// Nobody asked for this look; the next one will do.
		w.Header().Set("HX-Retarget", "#toasts")
		w.Header().Set("HX-Reswap", "none")
		headers(w)
		w.WriteHeader(e.Status)
		return
	}
	if r.IsFragment() {
		b := getBuffer()
		defer putBuffer(b)
		if err := errorPage.set(r.Lang).ExecuteTemplate(b, "toast", e); err == nil {
			w.Header().Set("HX-Retarget", "#toasts")
			w.Header().Set("HX-Reswap", "beforeend")
			w.Header().Set("HX-Push-Url", "false")
			headers(w)
			w.WriteHeader(e.Status)
			_, _ = w.Write(b.Bytes())
			return
		}
	}
	c := Chrome{Title: e.Title, Layout: Bare}
	switch {
	case r.Actor.Kind == authz.User && !r.Actor.MustChange:
		c.Layout = Staff
	case slices.ContainsFunc(s.Visitors, func(v string) bool { return strings.HasPrefix(r.URL.Path+"/", v) }):
		c.Layout, e.Home = PublicPage, strings.TrimSuffix(s.Visitors[0], "/")
	}
	if err := errorPage.render(w, r, e.Status, c, e); err != nil {
		http.Error(w, e.Message+"\n"+e.Ref, e.Status)
	}
}

// may reports whether the entry is for this reader.
func (n Nav) may(a authz.Actor) bool {
	return n.Perm == "" || n.Perm == web.SignedIn || n.Perm == web.Public || a.Can(n.Perm)
}

// frame draws the layout with a mark where the body goes.
func (c Chrome) frame(w http.ResponseWriter, r *web.Request, b *bytes.Buffer) error {
	s := shellOf(r)
	if c.Class == "" {
		c.Class = "page"
	}
	v := frameView{Chrome: c, Lang: string(r.Lang), Home: s.Home, SignOut: s.SignOut, Body: template.HTML(bodyMark),
		Name: r.Actor.Name, ActorID: r.Actor.ID, Now: r.Now().Unix(), SignedIn: r.Actor.Kind == authz.User, Path: r.URL.RequestURI(), Words: words[r.Lang]}
	if r.Method != http.MethodGet && c.Layout != PublicPage { // public forms fail at addresses that can be asked for
		v.Path = "/"
	}
	if v.Home == "" {
		v.Home = "/"
	}
	if v.SignOut == "" {
		v.SignOut = "/sign-out"
	}
	v.Other, v.OtherName = string(i18n.En), "English"
	if r.Lang == i18n.En {
		v.Other, v.OtherName = string(i18n.ZhCN), "中文"
	}
	if k, err := r.Cookie("theme"); err == nil && (k.Value == "dark" || k.Value == "light") {
		v.Theme = k.Value
	}
	v.Company = r.T("ui.product")
	if s.Company != nil {
		if name := s.Company(r.Context()); name != "" {
			v.Company = name
		}
	}
	if f, ok := r.TakeFlash(w); ok {
		args := make([]any, len(f.Args))
		for i, a := range f.Args {
			args[i] = a
		}
		v.Flash = &flashView{Tone: f.Tone, Text: r.T(f.Key, args...)}
	}
	for _, a := range c.Assets {
		if len(a) > 4 && a[len(a)-4:] == ".css" {
			v.CSS = append(v.CSS, Asset(a))
		} else {
			v.JS = append(v.JS, Asset(a))
		}
	}
	if c.Layout == Staff && v.SignedIn {
		s.staff(r, c, &v)
	}
	p := layouts[c.Layout]
	return p.set(r.Lang).ExecuteTemplate(b, p.body, v)
}

func (s *Shell) staff(r *web.Request, c Chrome, v *frameView) {
	type entry struct {
		Label  string `json:"l"`
		Href   string `json:"h"`
		Letter string `json:"k,omitempty"`
	}
	var palette []entry
	var groups []string
	members, rare := map[string][]navView{}, map[string]bool{}
	for _, n := range s.Actions {
		if n.may(r.Actor) {
			palette = append(palette, entry{r.T(n.LabelKey), n.Href, n.Letter})
		}
	}
	for _, n := range s.Nav {
		if !n.may(r.Actor) {
			continue
		}
		nv := n.view(r)
		nv.Current = n.Key == c.Nav
		palette = append(palette, entry{nv.Label, n.Href, n.Letter})
		switch {
		case n.Group != "":
			if !slices.Contains(groups, n.Group) {
				groups = append(groups, n.Group)
				rare[n.Group] = n.Menu
			}
			members[n.Group] = append(members[n.Group], nv)
		case n.Menu:
			v.More = append(v.More, nv)
		default:
			v.Rail = append(v.Rail, nv)
		}
	}
	for _, g := range groups {
		ms := members[g]
		here := slices.ContainsFunc(ms, func(m navView) bool { return m.Current })
		if rare[g] {
			v.More = append(v.More, navView{Href: ms[0].Href, Label: r.T(g), Icon: ms[0].Icon, Current: here})
		} else {
			v.Rail = append(v.Rail, navView{Href: ms[0].Href, Label: r.T(g), Icon: Icon("settings"), Current: here})
		}
		if here {
			v.Tabs = ms
		}
	}
	b, _ := json.Marshal(palette)
	v.Palette = string(b)
	v.Unread, v.KeysOff, v.Jump = s.unread(r), r.Actor.KeysOff, s.Jump
	if s.Banner != nil {
		v.Banner = s.Banner(r.Context(), r.Actor, r.Lang)
	}
}

// words are the sentences the script says, as JSON by language.
var words = func() map[i18n.Lang]string {
	m := map[i18n.Lang]string{}
	for _, l := range i18n.Langs {
		w := map[string]string{}
		for _, k := range []string{"over", "days", "lost", "back", "leave", "copied", "uploading", "uploaded", "upload_failed", "remove",
			"typing", "viewing", "idle", "saved", "draft", "failed", "none", "no_match", "confirm"} {
			w[k] = i18n.T(l, "ui.js."+k)
		}
		w["cancel"], w["t_min"], w["t_hour"] = i18n.T(l, "ui.cancel"), i18n.T(l, "ui.time.ago.minutes"), i18n.T(l, "ui.time.ago.hours")
		b, _ := json.Marshal(w)
		m[l] = string(b)
	}
	return m
}()

// NoSuchPage is the fault of a page that shows nothing for what was asked.
func NoSuchPage() error { return fault.New(fault.NotFound, "ui.error.not_found") }
