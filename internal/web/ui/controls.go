package ui

import (
	"html/template"
	"strings"

	"bihuan/internal/web"
)

// Control is an input a program makes at run time, where a template cannot name
// it: the fields of the company's own.
type Control struct {
	Name     string
	Label    string // in the reader's language
	Hint     string
	Kind     string // text, area, number, money, date, datetime, choice, multi, user, bool, link
	Options  []Option
	Required bool
	Look     string // address of [parts.pick] for user
	Shown    string // name of the user the form begins with
	When     string // "type=company": shown only then, see data-when
	Bare     bool   // it stands beside its name, ready to be typed into
}

func (p parts) control(f *web.Form, c Control) template.HTML {
	label, opts := "="+c.Label, []string{""}
	if c.Required {
		opts = append(opts, "required")
	}
	if c.Hint != "" {
		opts = append(opts, "hint=="+c.Hint)
	}
	if c.Bare {
		opts = append(opts, "nolabel", "autofocus")
	}
	var out template.HTML
	switch c.Kind {
	case "number", "money":
		out = p.field(f, c.Name, label, append(opts, "inputmode=decimal", "autocomplete=off", "maxlength=40")...)
	case "area":
		out = p.area(f, c.Name, label, append(opts, "wide", "rows=3", "maxlength=4000")...)
	case "datetime":
		out = p.field(f, c.Name, label, append(opts, "type=datetime-local")...)
	case "date":
		out = p.field(f, c.Name, label, append(opts, "type=date")...)
	case "choice", "bool":
		out = p.choose(f, c.Name, label, c.Options, append(opts, "empty=ui.form.choose")...)
	case "multi":
		if len(c.Options) > 6 {
			opts = append(opts, "wide")
		}
		// Nothing ticked must be told from a field that was not shown.
		out = template.HTML(`<input type="hidden" name="`+esc(c.Name)+`" value="">`) + p.checks(f, c.Name, label, c.Options, opts...)
	case "user":
		out = p.pick(f, c.Name, label, c.Look, c.Shown, opts...)
	case "link":
		out = p.field(f, c.Name, label, append(opts, "inputmode=url", "maxlength=1000", "placeholder==https://")...)
	default:
		out = p.field(f, c.Name, label, append(opts, "maxlength=500")...)
	}
	if c.When == "" {
		return out
	}
	return `<div class="when" data-when="` + template.HTML(esc(c.When)) + `">` + out + `</div>`
}

// Fact is a name and a value on a page; Link makes the value lead somewhere.
type Fact struct{ Label, Text, Link string }

// facts are rows of a dl.kv.
func facts(fs []Fact) template.HTML {
	var b strings.Builder
	for _, f := range fs {
		v := esc(f.Text)
		if f.Link != "" {
			v = `<a href="` + esc(f.Link) + `" target="_blank" rel="noopener noreferrer">` + v + `</a>`
		}
		b.WriteString(`<div><dt>` + esc(f.Label) + `</dt><dd>` + v + `</dd></div>`)
	}
	return template.HTML(b.String())
}
