package notifyui

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/notify"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type tab struct {
	Href, Label string
	Current     bool
}

func tabs(r *web.Request, current string) (out []tab) {
	for _, t := range [][2]string{{"/admin/notices", "notify.tab.events"}, {"/admin/notices/channels", "notify.tab.channels"}, {"/admin/notices/log", "notify.tab.log"}} {
		out = append(out, tab{t[0], r.T(t[1]), t[0] == current})
	}
	return out
}

// SettingsNav is the entry of the administration.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "notices", Href: "/admin/notices", Icon: "bell", LabelKey: "notify.nav", Perm: notify.PermManage, Group: "org.admin"}
}

func adminChrome(r *web.Request, sub string) ui.Chrome {
	title := r.T("notify.nav")
	c := ui.Chrome{Title: title, Nav: "notices", Assets: []string{"notify.css"}, Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: title}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = []ui.Crumb{{Label: r.T("org.admin")}, {Label: title, Href: "/admin/notices"}, {Label: sub}}
	}
	return c
}

func classTone(c notify.Class) string {
	return map[notify.Class]string{notify.Normal: "gray", notify.Urgent: "amber", notify.Insist: "red"}[c]
}

type lineRow struct {
	Kind, Name, Who, Class, Tone string
	Off, Changed                 bool
	Modes                        []modeCell
}

type modeCell struct{ Way, Mode, Tone string }

type area struct {
	Name string
	Rows []lineRow
}

type eventsView struct {
	Tabs   []tab
	Ways   []string // names of those set up
	Areas  []area
	Form   *web.Form
	Ticks  []ui.Option
	NoBase bool
	None   bool // no way is switched on
}

type eventView struct {
	Kind, Name, Who string
	Fixed           bool
	Form            *web.Form
	Classes         []ui.Option
	Ways            []wayChoice
	Modes           []ui.Option
	Also            []ui.Option // of what happens to tickets; none of other events
	Roles, People   []ui.Option
	Tried           []triedView
}

type wayChoice struct{ Field, Label string }

type channelRow struct {
	ID        int64
	Name, For string
	Enabled   bool
	Paused    bool
	Until     string
	Trouble   string
}

type wayCard struct {
	Way, Icon string
	Rows      []channelRow
	More      bool // another can be added
}

type channelsView struct {
	Tabs []tab
	Ways []wayCard
}

type formField struct {
	Name, Label, Input, Type, Hint, Need, When string
	Options                                    []ui.Option
}

type channelView struct {
	ID          int64
	Way, Title  string
	Action      string
	Form        *web.Form
	Fields      []formField
	Robot       bool
	Departments []ui.Option
	Tried       *triedView
	Trouble     string
}

type triedView struct {
	OK              bool
	To, Answer      string
	Sentence, Error string
}

type logRow struct {
	notify.Delivery
	WayName, Event, StateName, Tone, Note string
	Retry                                 bool
}

type logView struct {
	Tabs   []tab
	Filter *web.Form
	People []ui.Option
	Ways   []ui.Option
	States []ui.Option
	Rows   []logRow
	Pager  ui.Pager
}

var (
	aTab       = []tab{{"/admin/notices", "x", true}, {"/x", "y", false}}
	aLog       = logRow{Delivery: notify.Delivery{ID: 1, User: "x", Number: "T1", Attempt: 2, Doubtful: true, LastError: "e", Answer: "a"}, WayName: "w", Event: "e", StateName: "s", Tone: "red", Note: "n", Retry: true}
	eventsPage = ui.NewPage[eventsView](files, "events.html", "tabs.html").Sample(eventsView{Tabs: aTab, Ways: []string{"x"}, Form: &web.Form{}, Ticks: []ui.Option{{Value: "mail", Label: "x"}}, NoBase: true, None: true,
		Areas: []area{{"work", []lineRow{{Kind: "x", Name: "n", Who: "w", Class: "c", Tone: "red", Changed: true, Modes: []modeCell{{"x", "m", "gray"}}}, {Off: true}}}}})
	eventPage    = ui.NewPage[eventView](files, "event.html").Sample(eventView{Kind: "x", Form: &web.Form{}, Ways: []wayChoice{{"way_mail", "=x"}}, Modes: []ui.Option{{Value: "on", Label: "x"}}}, eventView{Fixed: true, Form: &web.Form{}, Also: []ui.Option{{Value: "duty", Label: "x"}}, Tried: []triedView{{OK: true, Sentence: "s"}, {Sentence: "s", Error: "e"}}})
	channelsPage = ui.NewPage[channelsView](files, "channels.html", "tabs.html").Sample(channelsView{Tabs: aTab, Ways: []wayCard{{Way: "mail", Icon: "mail", More: true}, {Way: "mail", Icon: "mail", Rows: []channelRow{{ID: 1, Name: "n", For: "f", Enabled: true, Paused: true, Until: "1", Trouble: "t"}, {ID: 2}, {ID: 3, Enabled: true}}}}})
	channelPage  = ui.NewPage[channelView](files, "channel.html").Sample(
		channelView{ID: 1, Way: "mail", Form: &web.Form{}, Robot: true, Trouble: "t", Tried: &triedView{OK: true, To: "x", Answer: "y", Sentence: "s"}, Departments: []ui.Option{{Value: "1", Label: "x"}},
			Fields: []formField{{Name: "a", Label: "=x", Input: "text", Type: "type=text"}, {Name: "b", Label: "=x", Input: "choice", Options: []ui.Option{{Value: "1", Label: "x"}}}, {Name: "c", Label: "=x", Input: "check"}, {Name: "d", Label: "=x", Input: "text", When: "b=1"}}},
		channelView{Way: "mail", Form: &web.Form{}, Tried: &triedView{Error: "e", Sentence: "s"}})
	logPage = ui.NewPage[logView](files, "log.html", "tabs.html").Sample(logView{Tabs: aTab, Filter: &web.Form{}, Rows: []logRow{aLog, {}}, Pager: ui.Pager{Next: "/x"}})
)

var icons = map[string]string{notify.Mail: "mail", notify.Push: "device", notify.WeCom: "robot", notify.DingTalk: "robot", notify.Feishu: "robot", notify.SMS: "message", notify.Webhook: "plug"}

func text(r *web.Request, keys ...string) string {
	for _, k := range keys {
		if i18n.Has(k) {
			return r.T(k)
		}
	}
	return r.T(keys[len(keys)-1])
}

func (p *pages) eventsView(r *web.Request, f *web.Form, t notify.Table) (v eventsView, err error) {
	v = eventsView{Tabs: tabs(r, "/admin/notices"), Form: f, NoBase: p.s.Base(t) == "", None: true}
	cs, err := p.s.Channels(r.Context(), r.Actor)
	if err != nil {
		return v, err
	}
	var shown []string
	for _, w := range notify.Ways {
		if slices.ContainsFunc(cs, func(c notify.Channel) bool { return c.Kind == w }) {
			shown = append(shown, w)
			v.Ways = append(v.Ways, r.T("notify.way."+w))
		}
		if w != notify.Webhook {
			v.Ticks = append(v.Ticks, ui.Option{Value: w, Label: r.T("notify.way." + w)})
		}
	}
	v.None = !slices.ContainsFunc(cs, func(c notify.Channel) bool { return c.Enabled })
	tones := map[notify.Mode]string{notify.Never: "red", notify.May: "gray", notify.On: "blue", notify.Must: "green"}
	for _, a := range notify.Areas {
		x := area{Name: a}
		for _, l := range t.Lines() {
			if l.Area != a {
				continue
			}
			row := lineRow{Kind: l.Kind, Name: r.T("notify.event." + l.Kind), Who: p.who(r, l), Class: r.T("notify.class." + string(l.Class)), Tone: classTone(l.Class), Off: l.Off, Changed: l.Changed}
			for _, w := range shown {
				row.Modes = append(row.Modes, modeCell{r.T("notify.way." + w), r.T("notify.mode." + string(l.Modes[w])), tones[l.Modes[w]]})
			}
			x.Rows = append(x.Rows, row)
		}
		v.Areas = append(v.Areas, x)
	}
	return v, nil
}

func (p *pages) events(w http.ResponseWriter, r *web.Request) error {
	t, err := p.s.Table(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("base_url", t.BaseURL).Set("version", t.Version).Set("chase_after", t.ChaseAfter).Set("repeat", t.Repeat).Set("repeats", t.Repeats)
	f.Values["instant"] = t.Instant
	v, err := p.eventsView(r, f, t)
	if err != nil {
		return err
	}
	return eventsPage.Render(w, r, adminChrome(r, ""), v)
}

func (p *pages) setGeneral(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := notify.Table{BaseURL: f.String("base_url"), Instant: f.Strings("instant"), ChaseAfter: f.Int("chase_after"), Repeat: f.Int("repeat"), Repeats: f.Int("repeats"), Version: f.Int64("version")}
	err := f.Err()
	if err == nil {
		err = p.s.SetGeneral(r.Context(), r.Actor, in)
	}
	if err != nil {
		t, terr := p.s.Table(r.Context())
		if terr != nil {
			return terr
		}
		v, verr := p.eventsView(r, f, t)
		if verr != nil {
			return verr
		}
		return eventsPage.Invalid(w, r, err, f, adminChrome(r, ""), v)
	}
	r.Flash(w, "green", "notify.saved")
	return r.SeeOther(w, "/admin/notices")
}

func (p *pages) eventView(r *web.Request, f *web.Form, l notify.Line) (eventView, error) {
	v := eventView{Kind: l.Kind, Name: r.T("notify.event." + l.Kind), Who: r.T("notify.who." + l.Who), Fixed: l.Fixed, Form: f}
	for _, c := range notify.Classes {
		v.Classes = append(v.Classes, ui.Option{Value: string(c), Label: r.T("notify.class." + string(c)), Hint: r.T("notify.class." + string(c) + ".hint")})
	}
	for _, m := range notify.Modes {
		v.Modes = append(v.Modes, ui.Option{Value: string(m), Label: r.T("notify.mode." + string(m))})
	}
	for _, w := range notify.Ways {
		v.Ways = append(v.Ways, wayChoice{"way_" + w, "=" + r.T("notify.way."+w)})
	}
	if strings.HasPrefix(l.Kind, "ticket.") {
		for _, w := range notify.AlsoWhos {
			v.Also = append(v.Also, ui.Option{Value: w, Label: r.T("sla.who." + w)})
		}
	}
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return v, err
	}
	for _, x := range roles {
		v.Roles = append(v.Roles, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Title(r.Lang)})
	}
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, "", 0)
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name, Group: x.Department})
	}
	slices.SortStableFunc(v.People, func(a, b ui.Option) int { return strings.Compare(a.Group, b.Group) })
	return v, err
}

func (p *pages) line(r *web.Request) (notify.Line, notify.Table, error) {
	t, err := p.s.Table(r.Context())
	if err != nil {
		return notify.Line{}, t, err
	}
	l := t.Line(r.PathValue("kind"))
	if l.Kind != r.PathValue("kind") {
		return l, t, notify.NoEvent()
	}
	return l, t, nil
}

func (p *pages) event(w http.ResponseWriter, r *web.Request) error {
	l, t, err := p.line(r)
	if err != nil {
		return err
	}
	return p.showEvent(w, r, l, t, nil)
}

func (p *pages) showEvent(w http.ResponseWriter, r *web.Request, l notify.Line, t notify.Table, tried []triedView) error {
	f := r.Blank("class", string(l.Class), "off", flag(l.Off), "proposed", flag(!l.Only)).Set("version", t.Version)
	for _, way := range notify.Ways {
		f.Set("way_"+way, string(l.Modes[way]))
	}
	for _, who := range l.Also {
		if what, id, ok := strings.Cut(who, ":"); ok {
			f.Set(what, id)
		} else {
			f.Values.Add("also", who)
		}
	}
	v, err := p.eventView(r, f, l)
	if err != nil {
		return err
	}
	v.Tried = tried
	return eventPage.Render(w, r, adminChrome(r, v.Name), v)
}

// testEvent sends the administrator what such a notice would be, by every way it
// would take to him.
func (p *pages) testEvent(w http.ResponseWriter, r *web.Request) error {
	l, t, err := p.line(r)
	if err != nil {
		return err
	}
	outs, err := p.s.TestEvent(r.Context(), r.Actor, l.Kind)
	if err != nil {
		return err
	}
	tried := []triedView{{OK: true, Sentence: r.T("notify.test_event.in_product")}}
	for _, x := range outs {
		v := *shown(r, x)
		v.Sentence = r.T("notify.way."+x.Way) + "：" + v.Sentence
		tried = append(tried, v)
	}
	return p.showEvent(w, r, l, t, tried)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

func (p *pages) setEvent(w http.ResponseWriter, r *web.Request) error {
	l, _, err := p.line(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := notify.Rule{}
	if f.Get("do") != "reset" {
		in = notify.Rule{Off: f.Bool("off"), Class: notify.Class(f.Get("class")), Ways: map[string]notify.Mode{}, Also: f.Strings("also"), Only: !l.Fixed && !f.Bool("proposed")}
		for _, what := range []string{"role", "user"} {
			if id := f.ID(what); id != 0 {
				in.Also = append(in.Also, what+":"+strconv.FormatInt(id, 10))
			}
		}
		for _, way := range notify.Ways {
			if m := f.Get("way_" + way); m != "" {
				in.Ways[way] = notify.Mode(m)
			}
		}
	}
	version := f.Int64("version")
	if err = f.Err(); err == nil {
		err = p.s.SetRule(r.Context(), r.Actor, l.Kind, in, version)
	}
	if err != nil {
		v, verr := p.eventView(r, f, l)
		if verr != nil {
			return verr
		}
		return eventPage.Invalid(w, r, err, f, adminChrome(r, v.Name), v)
	}
	r.Flash(w, "green", "notify.saved")
	return r.SeeOther(w, "/admin/notices")
}

func (p *pages) channels(w http.ResponseWriter, r *web.Request) error {
	cs, err := p.s.Channels(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v := channelsView{Tabs: tabs(r, "/admin/notices/channels")}
	for _, way := range notify.Ways {
		card := wayCard{Way: way, Icon: icons[way], More: true}
		for _, c := range cs {
			if c.Kind != way {
				continue
			}
			row := channelRow{ID: c.ID, Name: c.Name, Enabled: c.Enabled, Trouble: c.Trouble}
			if c.PausedUntil.After(r.Now()) {
				row.Paused, row.Until = true, c.PausedUntil.In(r.Location()).Format("15:04:05")
			}
			if notify.Robot(way) {
				row.For = r.T("notify.channel.everybody")
				if c.DepartmentID != 0 {
					row.For = p.org.DepartmentName(r.Context(), c.DepartmentID)
				}
			}
			card.Rows = append(card.Rows, row)
			card.More = notify.Robot(way)
		}
		v.Ways = append(v.Ways, card)
	}
	return channelsPage.Render(w, r, adminChrome(r, ""), v)
}

func (p *pages) channelView(r *web.Request, f *web.Form, c notify.Channel) (v channelView, err error) {
	v = channelView{ID: c.ID, Way: c.Kind, Title: r.T("notify.way." + c.Kind), Form: f, Robot: notify.Robot(c.Kind), Action: "/admin/notices/channels", Trouble: c.Trouble}
	if c.ID != 0 {
		v.Action += "/" + strconv.FormatInt(c.ID, 10)
	}
	for _, x := range notify.Fields(c.Kind) {
		ff := formField{Name: x.Name, Label: "=" + text(r, "notify.f."+c.Kind+"."+x.Name, "notify.f."+x.Name), Input: x.Input, Type: "type=text", When: x.When}
		for _, k := range []string{"notify.f." + c.Kind + "." + x.Name + ".hint", "notify.f." + x.Name + ".hint"} {
			if i18n.Has(k) && ff.Hint == "" {
				ff.Hint = "hint=" + k
			}
		}
		if x.Required {
			ff.Need = "required"
		}
		switch x.Input {
		case "secret":
			ff.Input, ff.Type = "text", "type=password"
			if c.Has[x.Name] {
				ff.Need, ff.Hint = "", "hint=notify.secret_kept"
			}
		case "number", "email", "url":
			ff.Input, ff.Type = "text", "type="+x.Input
		case "choice":
			for _, o := range x.Options {
				ff.Options = append(ff.Options, ui.Option{Value: o, Label: r.T("notify.f." + c.Kind + "." + x.Name + "." + o)})
			}
		}
		v.Fields = append(v.Fields, ff)
	}
	if v.Robot {
		ds, err := p.org.Tree(r.Context())
		if err != nil {
			return v, err
		}
		for _, d := range ds {
			v.Departments = append(v.Departments, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: strings.Repeat("　", d.Depth) + d.Name})
		}
	}
	return v, nil
}

func (p *pages) channelForm(r *web.Request, c notify.Channel) *web.Form {
	f := r.Blank("enabled", flag(c.Enabled), "name", c.Name, "kind", c.Kind).Set("version", c.Version)
	if c.DepartmentID != 0 {
		f.Set("department", c.DepartmentID)
	}
	for _, x := range notify.Fields(c.Kind) {
		if !x.Secret() {
			f.Set(x.Name, c.Get(x.Name))
		}
	}
	return f
}

func (p *pages) showChannel(w http.ResponseWriter, r *web.Request, c notify.Channel, tried *triedView) error {
	v, err := p.channelView(r, p.channelForm(r, c), c)
	if err != nil {
		return err
	}
	v.Tried = tried
	return channelPage.Render(w, r, channelChrome(r, v), v)
}

func channelChrome(r *web.Request, v channelView) ui.Chrome {
	c := adminChrome(r, v.Title)
	c.Crumbs[1].Href = "/admin/notices/channels"
	return c
}

func (p *pages) newChannel(w http.ResponseWriter, r *web.Request) error {
	way := r.FormValue("kind")
	if !slices.Contains(notify.Ways, way) {
		return notify.NoChannel()
	}
	return p.showChannel(w, r, notify.Channel{Kind: way, Enabled: true}, nil)
}

func (p *pages) channel(w http.ResponseWriter, r *web.Request) error {
	c, err := p.channelOf(r)
	if err != nil {
		return err
	}
	return p.showChannel(w, r, c, nil)
}

func (p *pages) channelOf(r *web.Request) (notify.Channel, error) {
	id, err := r.PathID("id")
	if err != nil {
		return notify.Channel{}, err
	}
	return p.s.Channel(r.Context(), r.Actor, id)
}

func (p *pages) saveChannel(w http.ResponseWriter, r *web.Request) (err error) {
	c := notify.Channel{}
	if r.PathValue("id") != "" {
		if c, err = p.channelOf(r); err != nil {
			return err
		}
	}
	f := r.Input()
	if c.ID == 0 {
		if c.Kind = f.Get("kind"); !slices.Contains(notify.Ways, c.Kind) {
			return notify.NoChannel()
		}
	}
	in := notify.Channel{ID: c.ID, Kind: c.Kind, Name: f.Limited("name", 60), DepartmentID: f.ID("department"), Enabled: f.Bool("enabled"), Version: f.Int64("version"), Settings: map[string]string{}}
	secrets := map[string]string{}
	for _, x := range notify.Fields(c.Kind) {
		if x.Secret() {
			secrets[x.Name] = f.String(x.Name)
		} else {
			in.Settings[x.Name] = f.String(x.Name)
		}
	}
	id := c.ID
	if err = f.Err(); err == nil {
		id, err = p.s.SaveChannel(r.Context(), r.Actor, in, secrets)
	}
	if err != nil {
		v, verr := p.channelView(r, f, c)
		if verr != nil {
			return verr
		}
		return channelPage.Invalid(w, r, err, f, channelChrome(r, v), v)
	}
	r.Flash(w, "green", "notify.channel.saved")
	return r.SeeOther(w, "/admin/notices/channels/%d", id)
}

func (p *pages) removeChannel(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.s.RemoveChannel(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "notify.channel.removed")
	return r.SeeOther(w, "/admin/notices/channels")
}

func (p *pages) testChannel(w http.ResponseWriter, r *web.Request) error {
	c, err := p.channelOf(r)
	if err != nil {
		return err
	}
	tried, err := p.s.Test(r.Context(), r.Actor, c.ID)
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict { // nowhere to send it to
		return p.showChannel(w, r, c, &triedView{Sentence: r.T(f.Key, f.Args...)})
	}
	if err != nil {
		return err
	}
	if c, err = p.channelOf(r); err != nil {
		return err
	}
	return p.showChannel(w, r, c, shown(r, tried))
}

func shown(r *web.Request, t notify.Tried) *triedView {
	v := &triedView{OK: t.OK, To: t.To, Answer: t.Answer, Error: t.Error, Sentence: r.T("notify.tried.ok")}
	if !t.OK {
		v.Sentence = r.T("notify.tried." + string(t.Kind))
	}
	return v
}

const logSize = 50

func (p *pages) logRows(r *web.Request, ds []notify.Delivery) (out []logRow) {
	tones := map[string]string{"waiting": "blue", "sending": "blue", "sent": "green", "failed": "red", "uncertain": "amber", "skipped": "gray"}
	for _, d := range ds {
		row := logRow{Delivery: d, WayName: r.T("notify.way." + d.Way), Event: r.T("notify.log.test"), StateName: r.T("notify.state." + d.State), Tone: tones[d.State],
			Retry: d.Kind != "" && (d.State == "failed" || d.State == "uncertain" || d.State == "skipped")}
		if d.Kind != "" {
			row.Event = text(r, "notify.event."+d.Kind, "notify.event."+notify.Other)
		}
		if d.Why != "" {
			row.Note = r.T("notify.why." + d.Why)
		}
		out = append(out, row)
	}
	return out
}

func (p *pages) log(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	before := f.ID("before")
	filter := notify.LogFilter{User: f.ID("user"), Way: f.Get("way"), State: f.Get("state"), Before: before, Limit: logSize + 1}
	if err := f.Err(); err != nil {
		return err
	}
	ds, err := p.s.Log(r.Context(), r.Actor, filter)
	if err != nil {
		return err
	}
	v := logView{Tabs: tabs(r, "/admin/notices/log"), Filter: f}
	q := url.Values{}
	for _, k := range []string{"user", "way", "state"} {
		if x := f.Get(k); x != "" {
			q.Set(k, x)
		}
	}
	if before != 0 {
		v.Pager.Prev = "/admin/notices/log?" + q.Encode()
	}
	if len(ds) > logSize {
		ds = ds[:logSize]
		q.Set("before", strconv.FormatInt(ds[logSize-1].ID, 10))
		v.Pager.Next = "/admin/notices/log?" + q.Encode()
	}
	v.Rows = p.logRows(r, ds)
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, "", 500)
	if err != nil {
		return err
	}
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name, Group: x.Department})
	}
	for _, x := range notify.Ways {
		v.Ways = append(v.Ways, ui.Option{Value: x, Label: r.T("notify.way." + x)})
	}
	for _, x := range notify.States {
		v.States = append(v.States, ui.Option{Value: x, Label: r.T("notify.state." + x)})
	}
	return logPage.Render(w, r, adminChrome(r, ""), v)
}

func (p *pages) retry(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.s.Retry(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "notify.retried")
	return r.SeeOther(w, "%s", web.SafeNext(r.FormValue("next"), "/admin/notices/log"))
}

// who says in words who is told of a line.
func (p *pages) who(r *web.Request, l notify.Line) string {
	var out []string
	if !l.Only {
		out = append(out, r.T("notify.who."+l.Who))
	}
	for _, w := range l.Also {
		what, id, named := strings.Cut(w, ":")
		n, _ := strconv.ParseInt(id, 10, 64)
		switch {
		case !named:
			out = append(out, r.T("sla.who."+w))
		case what == "user":
			if user, _, err := p.org.Names(r.Context()); err == nil {
				out = append(out, user(n))
			}
		default:
			if roles, err := p.org.Roles(r.Context()); err == nil {
				for _, x := range roles {
					if x.ID == n {
						out = append(out, x.Title(r.Lang))
					}
				}
			}
		}
	}
	return strings.Join(out, r.T("ticket.list.comma"))
}
