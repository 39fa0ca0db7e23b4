package notifyui

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/notify"
	"bihuan/internal/org/orgui"
	"bihuan/internal/outbound/push"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type mineCell struct {
	Field, Label string
	On, Free     bool
}

type mineRow struct {
	Name, Class, Tone string
	Cells             []mineCell
}

type mineArea struct {
	Name string
	Rows []mineRow
}

type mineWay struct {
	Way, Name, Icon, Address string
	Field                    string // where his own address is typed; "": none
	Label, Hint, Type        string
	Reach                    bool
}

type mineView struct {
	Tabs    []tab
	Form    *web.Form
	Ways    []mineWay
	Heads   []string
	Areas   []mineArea
	Digests []ui.Option
	Rows    []logRow
	Tried   *triedView

	PushKey  string // "": no browser can be switched on
	Browsers []browserRow
}

type browserRow struct {
	notify.Browser
	Name string
}

var minePage = ui.NewPage[mineView](files, "mine.html", "tabs.html").Sample(mineView{Tabs: aTab, PushKey: "x", Browsers: []browserRow{{Browser: notify.Browser{ID: 1}, Name: "x"}}, Form: &web.Form{}, Heads: []string{"x"}, Tried: &triedView{OK: true, Sentence: "s", Answer: "a"}, Rows: []logRow{aLog},
	Ways:  []mineWay{{Way: "mail", Name: "x", Icon: "mail", Address: "a", Field: "to_mail", Label: "=x", Hint: "hint==y", Type: "type=email", Reach: true}, {Way: "mail", Name: "x", Icon: "mail"}},
	Areas: []mineArea{{"work", []mineRow{{Name: "n", Class: "c", Tone: "red", Cells: []mineCell{{"x", "l", true, true}, {"y", "l", false, false}}}}}}}, mineView{Form: &web.Form{}, Tried: &triedView{Error: "e"}})

func mineChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("notify.mine.tab"), Nav: "account", Assets: []string{"notify.css", "notify.js"}, Crumbs: []ui.Crumb{{Label: r.T("org.account.title"), Href: "/account"}, {Label: r.T("notify.mine.tab")}}}
}

func clockText(m int) string {
	if m < 0 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", m/60, m%60)
}

// minutes reads "22:00"; -1 for nothing.
func minutes(f *web.Form, name string) int {
	s := f.String(name)
	if s == "" {
		return -1
	}
	h, m, ok := strings.Cut(s, ":")
	a, err1 := strconv.Atoi(h)
	b, err2 := strconv.Atoi(strings.SplitN(m, ":", 2)[0])
	if !ok || err1 != nil || err2 != nil || a < 0 || a > 23 || b < 0 || b > 59 {
		f.Fail(name, "notify.mine.time")
		return -1
	}
	return a*60 + b
}

func (p *pages) mineView(r *web.Request, f *web.Form) (v mineView, err error) {
	m, t, err := p.s.Mine(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	v.Tabs = nil
	for _, x := range [][2]string{{"/account", "org.account.profile"}, {"/account/notices", "notify.mine.tab"}, {"/account/security", "org.account.security"}, {"/account/history", "org.account.history"}} {
		v.Tabs = append(v.Tabs, tab{x[0], r.T(x[1]), x[0] == "/account/notices"})
	}
	fresh := f == nil
	if fresh {
		f = r.Blank("quiet_from", clockText(m.QuietFrom), "quiet_to", clockText(m.QuietTo), "digest", m.Digest, "digest_at", clockText(m.DigestAt)).Set("version", m.Version)
		for _, w := range m.Ways {
			f.Set("to_"+w.Way, w.Own)
		}
	}
	v.Form = f
	for _, w := range m.Ways {
		x := mineWay{Way: w.Way, Name: r.T("notify.way." + w.Way), Icon: icons[w.Way], Address: w.Address, Reach: w.Reach}
		if w.Way != notify.Push {
			x.Field, x.Label, x.Type = "to_"+w.Way, "notify.to."+w.Way, "type=text"
			x.Hint = "hint=notify.to." + w.Way + ".hint"
			if w.Way == notify.Mail {
				x.Type = "type=email"
			}
		}
		v.Ways = append(v.Ways, x)
		v.Heads = append(v.Heads, x.Name)
	}
	for _, a := range notify.Areas {
		x := mineArea{Name: a}
		for _, l := range m.Lines {
			if l.Area != a || l.Off {
				continue
			}
			row := mineRow{Name: r.T("notify.event." + l.Kind), Class: r.T("notify.class." + string(l.Class)), Tone: classTone(l.Class)}
			for _, w := range m.Ways {
				on, free := m.Wants(t, l, w.Way)
				name := "e." + l.Kind + "." + w.Way
				if !fresh && free {
					on = f.Get(name) != ""
				}
				row.Cells = append(row.Cells, mineCell{name, row.Name + " · " + r.T("notify.way."+w.Way), on, free})
			}
			x.Rows = append(x.Rows, row)
		}
		v.Areas = append(v.Areas, x)
	}
	for _, d := range notify.Digests {
		v.Digests = append(v.Digests, ui.Option{Value: d, Label: r.T("notify.digest." + d)})
	}
	if v.PushKey, err = p.s.PushKey(r.Context()); err != nil {
		return v, err
	}
	bs, err := p.s.Browsers(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	for _, b := range bs {
		v.Browsers = append(v.Browsers, browserRow{b, orgui.Device(r, b.Device)})
	}
	ds, err := p.s.Log(r.Context(), r.Actor, notify.LogFilter{User: r.Actor.ID, Limit: 15})
	if err != nil {
		return v, err
	}
	v.Rows = p.logRows(r, ds)
	return v, nil
}

func (p *pages) mine(w http.ResponseWriter, r *web.Request) error {
	v, err := p.mineView(r, nil)
	if err != nil {
		return err
	}
	return minePage.Render(w, r, mineChrome(r), v)
}

func (p *pages) setMine(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	m, _, err := p.s.Mine(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	in := m.Choices
	in.QuietFrom, in.QuietTo, in.Digest, in.Version = minutes(f, "quiet_from"), minutes(f, "quiet_to"), f.Choice("digest", notify.Digests...), f.Int64("version")
	if in.DigestAt = minutes(f, "digest_at"); in.DigestAt < 0 {
		in.DigestAt = m.DigestAt
	}
	// What stands on the page is replaced; ways that are not set up now keep what was
	// chosen for them.
	picks, to := map[string]map[string]bool{}, map[string]string{}
	for kind, ways := range m.Picks {
		picks[kind] = map[string]bool{}
		for way, v := range ways {
			picks[kind][way] = v
		}
	}
	for way, a := range m.Addresses {
		to[way] = a
	}
	for _, way := range m.Ways {
		to[way.Way] = f.String("to_" + way.Way)
		for _, l := range m.Lines {
			if picks[l.Kind] == nil {
				picks[l.Kind] = map[string]bool{}
			}
			picks[l.Kind][way.Way] = f.Get("e."+l.Kind+"."+way.Way) != ""
		}
	}
	in.Picks, in.Addresses = picks, to
	if err = f.Err(); err == nil {
		err = p.s.SetMine(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.mineView(r, f)
		if verr != nil {
			return verr
		}
		return minePage.Invalid(w, r, err, f, mineChrome(r), v)
	}
	r.Flash(w, "green", "notify.saved")
	return r.SeeOther(w, "/account/notices")
}

func (p *pages) testMine(w http.ResponseWriter, r *web.Request) error {
	tried, terr := p.s.TestMine(r.Context(), r.Actor, r.FormValue("way"))
	f, said := fault.As(terr)
	if terr != nil && !said {
		return terr
	}
	v, err := p.mineView(r, nil)
	if err != nil {
		return err
	}
	if v.Tried = shown(r, tried); said {
		v.Tried = &triedView{Sentence: r.T(f.Key, f.Args...)}
	}
	return minePage.Render(w, r, mineChrome(r), v)
}

func (p *pages) subscribe(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	sub := push.Subscription{Endpoint: f.String("endpoint"), P256dh: f.String("p256dh"), Auth: f.String("auth")}
	if err := p.s.Subscribe(r.Context(), r.Actor, sub); err != nil {
		return err
	}
	r.Flash(w, "green", "notify.push.added")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (p *pages) unsubscribe(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.s.Unsubscribe(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "notify.push.removed")
	return r.SeeOther(w, "/account/notices")
}

// worker is the script that runs while no page is open. It lies at the root, for it
// concerns all pages, and is looked for anew: a browser keeps it for long.
func worker(w http.ResponseWriter, _ *http.Request) {
	raw, err := files.ReadFile("sw.js")
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(raw)
}

// open leads from a link in a message to what it is about.
func (p *pages) open(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	link, err := p.s.Open(r.Context(), r.Actor.ID, id)
	if err != nil {
		return err
	}
	return r.SeeOther(w, "%s", web.SafeNext(link, "/notifications"))
}
