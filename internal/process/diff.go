package process

import (
	"slices"
	"strings"

	"bihuan/internal/i18n"
)

// Words are what a definition is told with.
type Words struct {
	Lang       i18n.Lang
	Department func(id int64) string
	Field      func(code string) string // label of a field of the company's own
}

// Requirement is the name of something a stage asks for.
func (w Words) Requirement(r string) string {
	if code, ok := own(r); ok {
		if l := w.Field(code); l != "" {
			return l
		}
		return code
	}
	return i18n.T(w.Lang, requirementKey(r))
}

// requirementKey names what is not a field of the company's own.
func requirementKey(r string) string {
	switch r {
	case "record", "reply", "attachment":
		return "process.require." + r
	}
	if step, ok := recordOf(r); ok {
		return "process.record." + string(step)
	}
	return "ticket.field." + r
}

// Join makes one text of several words.
func (w Words) Join(parts []string) string {
	return strings.Join(parts, i18n.T(w.Lang, "process.comma"))
}

// Requirements are the names of several.
func (w Words) Requirements(rs []string) string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = w.Requirement(r)
	}
	return w.Join(out)
}

func codes[C ~string](w Words, prefix string, cs []C) string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = i18n.T(w.Lang, prefix+string(c))
	}
	return w.Join(out)
}

func (w Words) yes(b bool) string {
	if b {
		return i18n.T(w.Lang, "process.yes")
	}
	return ""
}

// fact is one property of a stage or step in words; "" when there is nothing to
// say.
type fact struct{ key, text string }

func (w Words) stage(s Stage) []fact {
	limit, dep := "", ""
	if s.Minutes > 0 {
		limit = i18n.Duration(w.Lang, s.Limit())
	}
	if s.Department != 0 {
		dep = w.Department(s.Department)
	}
	return []fact{{"name", s.Name}, {"name_en", s.NameEn}, {"hint", s.Hint}, {"department", dep}, {"limit", limit}, {"required", w.Requirements(s.Required)},
		{"states", codes(w, "ticket.state.", s.States)}, {"verbs", codes(w, "ticket.verb.", s.Verbs)}, {"final", w.yes(s.Final)}}
}

func (w Words) move(d *Definition, m Move) []fact {
	name := func(code string) string {
		if s, ok := d.Stage(code); ok {
			return s.Name
		}
		return code
	}
	return []fact{{"button", m.Name}, {"name_en", m.NameEn}, {"from", name(m.From)}, {"to", name(m.To)}, {"who", codes(w, "process.who.", m.Who)},
		{"reason", w.yes(m.Reason)}, {"free", w.yes(m.Free)}}
}

func (w Words) tell(fs []fact) string {
	var out []string
	for _, f := range fs {
		if f.text != "" {
			out = append(out, i18n.T(w.Lang, "process.pair", i18n.T(w.Lang, "process.field."+f.key), f.text))
		}
	}
	return strings.Join(out, i18n.T(w.Lang, "process.semicolon"))
}

// Difference is one thing that differs between two definitions. Old or New is ""
// for what was added or removed.
type Difference struct {
	What     string // stage, move, order, start, again
	Name     string // of the stage or step
	Field    string // process.field.<field>; "" the whole of it
	Old, New string
}

// Diff says in words what leads from old to d.
func (d *Definition) Diff(old Definition, w Words) (out []Difference) {
	compare := func(what, name string, a, b []fact) {
		for i := range a {
			if a[i].text != b[i].text {
				out = append(out, Difference{what, name, a[i].key, a[i].text, b[i].text})
			}
		}
	}
	for _, s := range old.Stages {
		if n, ok := d.Stage(s.Code); ok {
			compare("stage", n.Name, w.stage(s), w.stage(n))
		} else {
			out = append(out, Difference{"stage", s.Name, "", w.tell(w.stage(s)), ""})
		}
	}
	for _, s := range d.Stages {
		if _, ok := old.Stage(s.Code); !ok {
			out = append(out, Difference{"stage", s.Name, "", "", w.tell(w.stage(s))})
		}
	}
	for _, m := range old.Moves {
		if n, ok := d.Move(m.Code); ok {
			compare("move", n.Name, w.move(&old, m), w.move(d, n))
		} else {
			out = append(out, Difference{"move", m.Name, "", w.tell(w.move(&old, m)), ""})
		}
	}
	for _, m := range d.Moves {
		if _, ok := old.Move(m.Code); !ok {
			out = append(out, Difference{"move", m.Name, "", "", w.tell(w.move(d, m))})
		}
	}
	order := func(x *Definition) []string {
		var names []string
		for _, s := range x.Stages {
			_, a := d.Stage(s.Code)
			_, b := old.Stage(s.Code)
			if a && b {
				names = append(names, s.Code)
			}
		}
		return names
	}
	if a, b := order(&old), order(d); !slices.Equal(a, b) {
		out = append(out, Difference{"order", "", "", w.names(&old, a), w.names(d, b)})
	}
	one := func(what, a, b string) {
		if a != b {
			out = append(out, Difference{what, "", "", w.names(&old, []string{a}), w.names(d, []string{b})})
		}
	}
	one("start", old.Start, d.Start)
	one("again", old.Again, d.Again)
	return out
}

func (w Words) names(d *Definition, codes []string) string {
	var out []string
	for _, c := range codes {
		if s, ok := d.Stage(c); ok {
			out = append(out, s.Name)
		}
	}
	return w.Join(out)
}
