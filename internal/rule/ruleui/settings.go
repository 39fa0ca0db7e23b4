package ruleui

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/rule"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type replyView struct {
	Tabs     []tab
	Form     *web.Form
	Channels []ui.Option
	Texts    []replyText
	Days     []day
	Words    []word
}

type replyText struct {
	Code, Label, Preview string
	Lang                 string // of the text
}

type day struct{ Name, Label string }

type word struct{ Code, Label string }

type hooksView struct {
	Tabs   []tab
	Form   *web.Form
	Secret time.Time
	Plain  string
}

var (
	replyPage = ui.NewPage[replyView](files, "reply.html").Sample(replyView{Form: &web.Form{}, Channels: []ui.Option{{Value: "email", Label: "x"}}, Texts: []replyText{{"zh_in", "rule.reply.text.zh_in", "p", "zh-CN"}}, Days: []day{{"day1", "rule.weekday.1"}}, Words: []word{{"{number}", "l"}}})
	hooksPage = ui.NewPage[hooksView](files, "webhooks.html").Sample(hooksView{Form: &web.Form{}, Secret: time.Unix(1, 0), Plain: "x"}, hooksView{Form: &web.Form{}})
)

func (p *pages) replyView(r *web.Request, f *web.Form) (v replyView, err error) {
	v = replyView{Tabs: tabs(r, "replies"), Form: f}
	for _, c := range ticket.Channels {
		v.Channels = append(v.Channels, ui.Option{Value: c, Label: r.T("ticket.channel." + c)})
	}
	for _, code := range rule.ReplyTexts {
		text := f.Text(code)
		if strings.TrimSpace(text) == "" {
			text = (rule.AutoReply{}).Text(code)
		}
		shown, err := p.s.Preview(r.Context(), text, code)
		if err != nil {
			return v, err
		}
		v.Texts = append(v.Texts, replyText{code, "rule.reply.text." + code, shown, map[bool]string{true: "en", false: "zh-CN"}[strings.HasPrefix(code, "en")]})
	}
	for i := range 7 {
		n := strconv.Itoa(i + 1)
		v.Days = append(v.Days, day{"day" + n, "rule.weekday." + n})
	}
	for _, w := range rule.Words {
		v.Words = append(v.Words, word{"{" + w + "}", r.T("rule.word." + w)})
	}
	return v, nil
}

func (p *pages) reply(w http.ResponseWriter, r *web.Request) error {
	x, err := p.s.Reply(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("on", flag(x.On), "staff", flag(x.Staff)).Set("version", x.Version)
	f.Values["channels"] = x.Channels
	for _, code := range rule.ReplyTexts {
		f.Set(code, x.Text(code))
	}
	for i := range x.Office {
		f.Set("day"+strconv.Itoa(i+1), x.Office.DayText(i))
	}
	v, err := p.replyView(r, f)
	if err != nil {
		return err
	}
	return replyPage.Render(w, r, chrome(r, r.T("rule.reply.title")), v)
}

func (p *pages) setReply(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := rule.AutoReply{On: f.Bool("on"), Staff: f.Bool("staff"), Channels: f.Strings("channels"), Texts: map[string]string{}, Version: f.Int64("version")}
	for _, code := range rule.ReplyTexts {
		in.Texts[code] = f.Text(code)
	}
	for i := range in.Office {
		name := "day" + strconv.Itoa(i+1)
		spans, err := rule.ParseDay(f.String(name))
		if err != nil {
			f.Fail(name, "rule.office.bad")
		}
		in.Office[i] = spans
	}
	err := f.Err()
	if err == nil && f.Get("do") != "preview" {
		err = p.s.SetReply(r.Context(), r.Actor, in)
	}
	if err != nil || f.Get("do") == "preview" {
		v, verr := p.replyView(r, f)
		if verr != nil {
			return verr
		}
		if err == nil {
			return replyPage.Render(w, r, chrome(r, r.T("rule.reply.title")), v)
		}
		return replyPage.Invalid(w, r, err, f, chrome(r, r.T("rule.reply.title")), v)
	}
	r.Flash(w, "green", "rule.reply.saved")
	return r.SeeOther(w, "/admin/rules/replies")
}

func (p *pages) hooks(w http.ResponseWriter, r *web.Request) error {
	h, at, err := p.s.Hooks(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("allow", strings.Join(h.Allow, "\n")).Set("version", h.Version)
	return hooksPage.Render(w, r, chrome(r, r.T("rule.tab.webhooks")), hooksView{Tabs: tabs(r, "webhooks"), Form: f, Secret: at})
}

func (p *pages) setHooks(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	h := rule.Hooks{Version: f.Int64("version")}
	h.Allow = strings.FieldsFunc(f.Text("allow"), func(c rune) bool { return strings.ContainsRune(", ，、\n\r\t", c) })
	err := f.Err()
	if err == nil {
		err = p.s.SetAllow(r.Context(), r.Actor, h)
	}
	if err != nil {
		_, at, herr := p.s.Hooks(r.Context())
		if herr != nil {
			return herr
		}
		return hooksPage.Invalid(w, r, err, f, chrome(r, r.T("rule.tab.webhooks")), hooksView{Tabs: tabs(r, "webhooks"), Form: f, Secret: at})
	}
	r.Flash(w, "green", "rule.hook.saved")
	return r.SeeOther(w, "/admin/rules/webhooks")
}

// makeSecret shows the new secret on the page itself: it is kept nowhere a flash
// or an address would leave it.
func (p *pages) makeSecret(w http.ResponseWriter, r *web.Request) error {
	plain, err := p.s.MakeSecret(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	h, at, err := p.s.Hooks(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	f := r.Blank("allow", strings.Join(h.Allow, "\n")).Set("version", h.Version)
	return hooksPage.Render(w, r, chrome(r, r.T("rule.tab.webhooks")), hooksView{Tabs: tabs(r, "webhooks"), Form: f, Secret: at, Plain: plain})
}
