// Package fieldui shows the fields of the company's own: the pages on which an
// administrator keeps them, and their inputs and values for the pages of the
// records they belong to.
package fieldui

import (
	"slices"
	"strings"

	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// Look is where inputs for colleagues look for them.
const Look = "/fields/colleagues"

// Inputs are the controls of a form for the fields, in their order. prefix stands
// before their names ("contacts.0."); of a record that is there already typ and
// values are given. typeField names the input of the form that says the type of a
// new one, so that each field shows only where it applies.
func Inputs(r *web.Request, defs []field.Def, prefix, typ, typeField string, values map[int64]field.Value) []ui.Control {
	var out []ui.Control
	for _, d := range defs {
		if !d.Applies(typ) {
			continue
		}
		v := values[d.ID]
		c := ui.Control{Name: prefix + d.Name(), Label: d.Label, Hint: d.Help, Kind: string(d.Kind), Required: d.Required}
		switch d.Kind {
		case field.User:
			c.Look, c.Shown = Look, v.Text(r.Lang)
		case field.Bool:
			c.Options = []ui.Option{{Value: "1", Label: r.T("field.yes")}, {Value: "0", Label: r.T("field.no")}}
		default:
			for _, o := range d.Options {
				if !o.Off || v.Str == o.Code || slices.Contains(v.Codes, o.Code) {
					c.Options = append(c.Options, ui.Option{Value: o.Code, Label: o.Label})
				}
			}
		}
		if typeField != "" && len(d.Types) > 0 {
			c.When = typeField + "=" + strings.Join(d.Types, ",")
		}
		out = append(out, c)
	}
	return out
}

// Begin puts the defaults into the form of a new record, as far as nothing is
// there.
func Begin(f *web.Form, defs []field.Def, prefix string) {
	for _, d := range defs {
		if name := prefix + d.Name(); d.Default != "" && !f.Has(name) {
			put(f, name, d.Kind, d.Default)
		}
	}
}

// Fill puts stored values into a form.
func Fill(f *web.Form, defs []field.Def, prefix string, values map[int64]field.Value) {
	for _, d := range defs {
		if v := values[d.ID]; !v.Empty() {
			put(f, prefix+d.Name(), d.Kind, v.Raw())
		}
	}
}

func put(f *web.Form, name string, k field.Kind, raw string) {
	if k == field.Multi {
		f.Values[name] = strings.Split(raw, ",")
		return
	}
	f.Values.Set(name, raw)
}

// Read takes what was typed out of a form. It is never nil: somebody was asked.
func Read(f *web.Form, defs []field.Def, prefix string) field.Input {
	in := field.Input{}
	for _, d := range defs {
		name := prefix + d.Name()
		switch {
		case d.Kind == field.User && f.Has(name+"_text"):
			// The id stands behind the name; without script only the name was typed.
			text := f.String(name + "_text")
			if text != "" && f.Get(name) != "" {
				text = f.Get(name)
			}
			in[d.ID] = []string{text}
		case f.Has(name):
			in[d.ID] = f.Values[name]
		}
	}
	return in
}

// Untouched reports whether nothing was typed beside the defaults.
func Untouched(defs []field.Def, in field.Input) bool {
	for _, d := range defs {
		if text := strings.Trim(strings.Join(in[d.ID], ","), ","); text != "" && text != d.Default {
			return false
		}
	}
	return true
}

// Facts are the values of a record for its page, in the order of the fields;
// those that are empty are left out.
func Facts(l i18n.Lang, defs []field.Def, values map[int64]field.Value) []ui.Fact {
	var out []ui.Fact
	for _, d := range defs {
		v := values[d.ID]
		if v.Empty() {
			continue
		}
		fact := ui.Fact{Label: d.Label, Text: v.Text(l)}
		if d.Kind == field.Link {
			fact.Link = v.Str
		}
		out = append(out, fact)
	}
	return out
}
