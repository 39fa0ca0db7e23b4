package ui

import (
	"fmt"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

var esc = template.HTMLEscapeString

// parts draws the components whose words are fixed, in one language.
type parts struct{ lang i18n.Lang }

func (p parts) t(key string, args ...any) string { return i18n.T(p.lang, key, args...) }

// text is the sentence behind key; a key that begins with "=" is the sentence.
func (p parts) text(key string) string {
	if s, ok := strings.CutPrefix(key, "="); ok {
		return s
	}
	return i18n.T(p.lang, key)
}

var icons = loadIcons()

func loadIcons() map[string]template.HTML {
	b, err := files.ReadFile("assets/icons.svg")
	if err != nil {
		panic(err)
	}
	m := map[string]template.HTML{}
	for _, id := range regexp.MustCompile(`<symbol id="([a-z0-9-]+)"`).FindAllSubmatch(b, -1) {
		name := string(id[1])
		m[name] = template.HTML(`<svg class="icon" aria-hidden="true"><use href="` + Asset("icons.svg") + `#` + name + `"/></svg>`)
	}
	return m
}

// Icon draws an icon of the sprite; a name that is not there becomes a question
// mark, which the tests find.
func Icon(name string) template.HTML {
	if s, ok := icons[name]; ok {
		return s
	}
	return icons["help"]
}

// HasIcon reports whether the sprite holds name.
func HasIcon(name string) bool { _, ok := icons[name]; return ok }

func badge(colour string, text string) template.HTML {
	return template.HTML(`<span class="badge" data-t="` + esc(colour) + `">` + esc(text) + `</span>`)
}

// state is a word with a coloured dot before it.
func state(colour string, text string) template.HTML {
	return template.HTML(`<span class="st" data-t="` + esc(colour) + `">` + esc(text) + `</span>`)
}

// level is a word with a small diamond before it: customer levels.
func level(colour string, text string) template.HTML {
	return template.HTML(`<span class="lvl" data-t="` + esc(colour) + `">` + esc(text) + `</span>`)
}

// avatar shows the initial of a name; class may be "lg", "sm" or "guest".
func avatar(name string, class ...string) template.HTML {
	c := ""
	if len(class) > 0 {
		c = " " + esc(strings.Join(class, " "))
	}
	return template.HTML(`<span class="avatar` + c + `" aria-hidden="true">` + esc(Initial(name)) + `</span>`)
}

// timer counts down to due in the browser; total is the whole time there was,
// name what runs out then. Nothing for the zero time.
func timer(due time.Time, total time.Duration, name ...string) template.HTML {
	if due.IsZero() {
		return ""
	}
	unix, secs := strconv.FormatInt(due.Unix(), 10), strconv.FormatInt(int64(total/time.Second), 10)
	m := mark('c', due)
	class := strings.TrimSuffix(m, "\uE001") + ":" + secs + "\uE001"
	title := mark('t', due)
	if len(name) > 0 {
		title = esc(name[0]) + " · " + title
	}
	return template.HTML(`<sla-timer data-due="` + unix + `" data-total="` + secs + `" class="` + class + `" title="` + title + `">` + mark('n', due) + `</sla-timer>`)
}

func (p parts) paused(left time.Duration) template.HTML {
	return template.HTML(`<span class="paused" title="` + esc(p.t("ui.timer.paused")) + `">` + string(Icon("pause")) + esc(Countdown(p.lang, left)) + `</span>`)
}

// meter shows how much of something is used up, in percent, with its name.
func meter(percent int, label string) template.HTML {
	return template.HTML(`<meter min="0" max="100" low="75" high="90" optimum="0" value="` + strconv.Itoa(percent) + `" aria-label="` + esc(label) + `"></meter>`)
}

// kv is one line of a list of facts; nothing when the value is empty.
func (p parts) kv(label string, value any) template.HTML {
	var v string
	switch x := value.(type) {
	case template.HTML:
		v = string(x)
	case string:
		v = esc(x)
	default:
		v = esc(fmt.Sprint(x))
	}
	if v == "" {
		return ""
	}
	return template.HTML(`<div><dt>` + esc(p.text(label)) + `</dt><dd>` + v + `</dd></div>`)
}

// empty says that there is nothing, and what to do next: icon, sentence, and
// optionally the address and the words of a link.
func (p parts) empty(icon, key string, link ...string) template.HTML {
	var b strings.Builder
	b.WriteString(`<div class="empty">` + string(Icon(icon)) + `<p>` + esc(p.text(key)) + `</p>`)
	if len(link) >= 2 {
		b.WriteString(`<a class="btn" href="` + esc(link[0]) + `">` + esc(p.text(link[1])) + `</a>`)
	}
	b.WriteString(`</div>`)
	return template.HTML(b.String())
}

// Pager leads to the neighbours of a page of a list. An empty address means
// there is none.
type Pager struct {
	Prev, Next string
	Note       string // e.g. "第 21–40 条", in the reader's language
}

func (p parts) pager(pg Pager) template.HTML {
	if pg.Prev == "" && pg.Next == "" && pg.Note == "" {
		return ""
	}
	link := func(href, rel, icon, key string) string {
		word := esc(p.t(key))
		if rel == "prev" {
			word = string(Icon(icon)) + word
		} else {
			word += string(Icon(icon))
		}
		if href == "" {
			return `<span class="btn" aria-disabled="true">` + word + `</span>`
		}
		return `<a class="btn" rel="` + rel + `" href="` + esc(href) + `">` + word + `</a>`
	}
	return template.HTML(`<nav class="pager" aria-label="` + esc(p.t("ui.pager")) + `"><span class="note">` + esc(pg.Note) + `</span>` +
		link(pg.Prev, "prev", "left", "ui.pager.prev") + link(pg.Next, "next", "right", "ui.pager.next") + `</nav>`)
}

func (p parts) starsShown(n any) template.HTML {
	v, _ := strconv.ParseFloat(fmt.Sprint(n), 64)
	full := int(v + 0.5)
	if full < 1 || full > 5 {
		return ""
	}
	return template.HTML(`<span class="stars" role="img" aria-label="` + esc(p.t("ui.stars.of", num(v))) + `">` +
		strings.Repeat("★", full) + `<i>` + strings.Repeat("★", 5-full) + `</i></span>`)
}

// Option is one choice of a list. Options with the same Group stand together.
type Option struct {
	Value, Label string
	Group        string
	Hint         string // a second line, for radios and checks
	Disabled     bool
}

// attrs are what a template adds to a control: "required", "type=tel",
// "hint=key", "placeholder=key", "wide", and any other name=value, which becomes
// an attribute. hint and placeholder are locale keys, or sentences after "=".
type attrs struct {
	required, wide, plain    bool
	kind, hint, empty, value string
	id                       string
	hasValue                 bool
	rest                     string
}

var attrName = regexp.MustCompile(`^[a-z][a-z0-9:-]*$`)

func (p parts) attrs(opts []string) attrs {
	var a attrs
	var b strings.Builder
	for _, o := range opts {
		k, v, has := strings.Cut(o, "=")
		switch k {
		case "":
		case "required":
			a.required = true
			b.WriteString(" required")
		case "wide":
			a.wide = true
		case "nolabel":
			a.plain = true
		case "type":
			a.kind = v
		case "id": // when two forms of a page have a field of this name
			a.id = v
		case "hint":
			a.hint = p.text(v)
		case "empty":
			a.empty = p.text(v)
		case "value":
			a.value, a.hasValue = v, true
		case "placeholder":
			b.WriteString(` placeholder="` + esc(p.text(v)) + `"`)
		case "style", "onclick", "onchange", "oninput":
			panic("ui: attribute " + k + " is not allowed")
		default:
			if !attrName.MatchString(k) || strings.HasPrefix(k, "on") {
				panic("ui: bad attribute " + strconv.Quote(o))
			}
			b.WriteString(" " + k)
			if has {
				b.WriteString(`="` + esc(v) + `"`)
			}
		}
	}
	a.rest = b.String()
	return a
}

func (a attrs) ident(name string) string {
	if a.id != "" {
		return esc(a.id)
	}
	return "f-" + esc(name)
}

// frame draws label, hint and message around a control. The control's text gets
// the attributes that tie them to it.
func (p parts) frame(f *web.Form, name, label string, a attrs, control func(id, tie string) string) template.HTML {
	id, msg := a.ident(name), f.Error(name)
	var b strings.Builder
	b.WriteString(`<div class="field`)
	if a.wide {
		b.WriteString(` wide`)
	}
	b.WriteString(`">`)
	if a.plain {
		b.WriteString(`<label class="vh" for="` + id + `">` + esc(p.text(label)) + `</label>`)
	} else {
		b.WriteString(`<label for="` + id + `">` + esc(p.text(label)) + p.mark(a) + `</label>`)
	}
	b.WriteString(control(id, p.tie(id, msg, a)))
	b.WriteString(p.notes(id, msg, a))
	b.WriteString(`</div>`)
	return template.HTML(b.String())
}

func (p parts) mark(a attrs) string {
	if !a.required {
		return ""
	}
	return `<span class="req" aria-hidden="true">*</span>`
}

func (p parts) tie(id, msg string, a attrs) string {
	var by []string
	tie := ""
	if a.hint != "" {
		by = append(by, id+"-hint")
	}
	if msg != "" {
		by = append(by, id+"-err")
		tie = ` aria-invalid="true"`
	}
	if len(by) > 0 {
		tie += ` aria-describedby="` + strings.Join(by, " ") + `"`
	}
	return tie
}

func (p parts) notes(id, msg string, a attrs) string {
	s := ""
	if a.hint != "" {
		s = `<p class="hint" id="` + id + `-hint">` + esc(a.hint) + `</p>`
	}
	if msg != "" {
		s += `<p class="err" id="` + id + `-err">` + string(Icon("alert")) + esc(msg) + `</p>`
	}
	return s
}

func (p parts) value(f *web.Form, name string, a attrs) string {
	if !f.Has(name) && a.hasValue {
		return a.value
	}
	return f.Get(name)
}

func (p parts) field(f *web.Form, name, label string, opts ...string) template.HTML {
	a := p.attrs(opts)
	return p.frame(f, name, label, a, func(id, tie string) string {
		kind := a.kind
		if kind == "" {
			kind = "text"
		}
		v := ` value="` + esc(p.value(f, name, a)) + `"`
		if kind == "password" || kind == "file" {
			v = ""
		}
		return `<input id="` + id + `" name="` + esc(name) + `" type="` + esc(kind) + `"` + v + a.rest + tie + `>`
	})
}

func (p parts) area(f *web.Form, name, label string, opts ...string) template.HTML {
	a := p.attrs(opts)
	return p.frame(f, name, label, a, func(id, tie string) string {
		// the line break after the tag is dropped by browsers and keeps one typed first
		return `<textarea id="` + id + `" name="` + esc(name) + `"` + a.rest + tie + ">\n" + esc(p.value(f, name, a)) + `</textarea>`
	})
}

func (p parts) choose(f *web.Form, name, label string, options []Option, opts ...string) template.HTML {
	a := p.attrs(opts)
	return p.frame(f, name, label, a, func(id, tie string) string {
		var b strings.Builder
		b.WriteString(`<select id="` + id + `" name="` + esc(name) + `"` + a.rest + tie + `>`)
		chosen := p.chosen(f, name, a)
		if a.empty != "" || a.required && !strings.Contains(a.rest, " multiple") {
			if a.empty == "" {
				a.empty = p.t("ui.form.choose")
			}
			b.WriteString(`<option value="">` + esc(a.empty) + `</option>`)
		}
		group := ""
		for _, o := range options {
			if o.Group != group {
				if group != "" {
					b.WriteString(`</optgroup>`)
				}
				if o.Group != "" {
					b.WriteString(`<optgroup label="` + esc(o.Group) + `">`)
				}
				group = o.Group
			}
			b.WriteString(`<option value="` + esc(o.Value) + `"`)
			if chosen[o.Value] {
				b.WriteString(` selected`)
			}
			if o.Disabled {
				b.WriteString(` disabled`)
			}
			b.WriteString(`>` + esc(o.Label) + `</option>`)
		}
		if group != "" {
			b.WriteString(`</optgroup>`)
		}
		b.WriteString(`</select>`)
		return b.String()
	})
}

func (p parts) chosen(f *web.Form, name string, a attrs) map[string]bool {
	m := map[string]bool{}
	if f.Has(name) {
		for _, v := range f.Values[name] {
			m[v] = true
		}
	} else if a.hasValue {
		m[a.value] = true
	}
	return m
}

// radios are a few choices seen at once; "seg" draws them as one bar.
func (p parts) radios(f *web.Form, name, label string, options []Option, opts ...string) template.HTML {
	return p.many(f, name, label, "radio", options, opts)
}

// checks are boxes of which any number may be ticked.
func (p parts) checks(f *web.Form, name, label string, options []Option, opts ...string) template.HTML {
	return p.many(f, name, label, "checkbox", options, opts)
}

// hidden takes a legend out of sight where its words stand beside it.
func hidden(a attrs) string {
	if a.plain {
		return ` class="vh"`
	}
	return ""
}

func (p parts) many(f *web.Form, name, label, kind string, options []Option, opts []string) template.HTML {
	seg := false
	for i, o := range opts {
		if o == "seg" {
			seg = true
			opts = append(append([]string(nil), opts[:i]...), opts[i+1:]...)
			break
		}
	}
	a := p.attrs(opts)
	id, msg, chosen := a.ident(name), f.Error(name), p.chosen(f, name, a)
	var b strings.Builder
	b.WriteString(`<fieldset class="field many`)
	if a.wide {
		b.WriteString(` wide`)
	}
	b.WriteString(`" id="` + id + `"` + strings.Replace(p.tie(id, msg, a), ` aria-invalid="true"`, "", 1) + `><legend` + hidden(a) + `>` + esc(p.text(label)) + p.mark(a) + `</legend>`)
	if seg {
		b.WriteString(`<div class="seg">`)
	} else {
		b.WriteString(`<div class="boxes">`)
	}
	rest := a.rest
	if kind == "checkbox" {
		rest = strings.Replace(rest, " required", "", 1) // would mean: every one of them
	}
	for i, o := range options {
		if i == 1 {
			rest = strings.Replace(rest, " autofocus", "", 1) // one of them is enough
		}
		b.WriteString(`<label><input type="` + kind + `" name="` + esc(name) + `" value="` + esc(o.Value) + `"` + rest)
		if chosen[o.Value] {
			b.WriteString(` checked`)
		}
		if o.Disabled {
			b.WriteString(` disabled`)
		}
		b.WriteString(`><span>` + esc(o.Label))
		if o.Hint != "" {
			b.WriteString(`<small>` + esc(o.Hint) + `</small>`)
		}
		b.WriteString(`</span></label>`)
	}
	b.WriteString(`</div>` + p.notes(id, msg, a) + `</fieldset>`)
	return template.HTML(b.String())
}

// check is one box with its sentence; ticked it sends "1".
func (p parts) check(f *web.Form, name, label string, opts ...string) template.HTML {
	a := p.attrs(opts)
	id, msg := a.ident(name), f.Error(name)
	checked := ""
	if f.Bool(name) || !f.Has(name) && a.value == "1" {
		checked = " checked"
	}
	class := "field"
	if a.wide {
		class += " wide"
	}
	return template.HTML(`<div class="` + class + `"><label class="tick"><input type="checkbox" id="` + id + `" name="` + esc(name) + `" value="1"` +
		checked + a.rest + p.tie(id, msg, a) + `><span>` + esc(p.text(label)) + p.mark(a) + `</span></label>` + p.notes(id, msg, a) + `</div>`)
}

// rating asks for one to five stars: five radios, large enough for a thumb.
func (p parts) rating(f *web.Form, name, label string, opts ...string) template.HTML {
	a := p.attrs(opts)
	id, msg, now := a.ident(name), f.Error(name), p.value(f, name, a)
	var b strings.Builder
	b.WriteString(`<fieldset class="field rating" id="` + id + `"` + strings.Replace(p.tie(id, msg, a), ` aria-invalid="true"`, "", 1) + `><legend` + hidden(a) + `>` + esc(p.text(label)) + p.mark(a) + `</legend><div class="row5">`)
	for i := 1; i <= 5; i++ {
		n := strconv.Itoa(i)
		b.WriteString(`<label><input type="radio" name="` + esc(name) + `" value="` + n + `"` + a.rest)
		if now == n {
			b.WriteString(` checked`)
		}
		b.WriteString(`><span class="star" aria-hidden="true">★</span><span class="word">` + esc(p.t("ui.stars."+n)) + `</span></label>`)
	}
	b.WriteString(`</div>` + p.notes(id, msg, a) + `</fieldset>`)
	return template.HTML(b.String())
}

// upload takes files, by button, drop or paste. With "data-upload-url=/files"
// the script sends each at once and keeps its id; without it, or before the
// script is there, the form sends them.
func (p parts) upload(f *web.Form, name, label string, opts ...string) template.HTML {
	a := p.attrs(opts)
	return p.frame(f, name, label, a, func(id, tie string) string {
		return `<div class="drop">` + string(Icon("upload")) + `<p>` + esc(p.t("ui.upload.drop")) + `</p><input type="file" id="` + id + `" name="` + esc(name) + `"` + a.rest + tie + `><ul class="uploads" aria-live="polite"></ul></div>`
	})
}

// problems says at the head of a form what is wrong with it, and leads to the
// fields.
func (p parts) problems(f *web.Form) template.HTML {
	if f == nil || f.Summary == "" && len(f.Errors) == 0 {
		return ""
	}
	s := f.Summary
	if s == "" {
		s = p.t("ui.form.invalid")
	}
	return template.HTML(`<div class="note-box" data-t="red" role="alert">` + string(Icon("alert")) + `<p>` + esc(s) + `</p></div>`)
}

// submit is the row of buttons at the end of a form: the words of the main one
// and where cancelling leads ("" for nowhere).
func (p parts) submit(key, cancel string) template.HTML {
	s := `<div class="buttons"><button class="btn primary" type="submit">` + esc(p.text(key)) + `</button>`
	if cancel != "" {
		s += `<a class="btn" href="` + esc(cancel) + `">` + esc(p.t("ui.cancel")) + `</a>`
	}
	return template.HTML(s + `</div>`)
}

// pick is a text field that looks for a record while one types, at an address
// that answers [{"id", "label", "note"}] for ?q=. The form sends name (the id) and
// name_text (what stands in the field). shown is the label of the id the form
// begins with.
func (p parts) pick(f *web.Form, name, label, url, shown string, opts ...string) template.HTML {
	a := p.attrs(opts)
	if f.Has(name + "_text") {
		shown = f.Get(name + "_text")
	}
	return p.frame(f, name, label, a, func(id, tie string) string {
		return `<div class="pick" data-pick="` + esc(url) + `"><input type="hidden" name="` + esc(name) + `" value="` + esc(p.value(f, name, a)) + `"><input id="` + id + `" name="` + esc(name) + `_text" type="text" value="` + esc(shown) +
			`" role="combobox" aria-autocomplete="list" aria-expanded="false" aria-controls="` + id + `-list" autocomplete="off"` + a.rest + tie + `><ul id="` + id + `-list" role="listbox" aria-label="` + esc(p.text(label)) + `" hidden></ul></div>`
	})
}
