package event

import (
	"strings"

	"bihuan/internal/i18n"
)

// Say returns the sentence of an event kind in l (locale key event.<kind>). An
// argument "@key" is a locale key itself; what is missing is left out.
func Say(l i18n.Lang, kind string, args []string) string {
	vs := make([]any, len(args), len(args)+3)
	for i, s := range args {
		if key, ok := strings.CutPrefix(s, "@"); ok {
			vs[i] = i18n.Key(key)
		} else {
			vs[i] = s
		}
	}
	for len(vs) < 3 {
		vs = append(vs, "")
	}
	s := i18n.T(l, "event."+kind, vs...)
	return strings.TrimSpace(strings.NewReplacer("（）", "", " ()", "").Replace(s))
}

// Sentence says the event in l, with the arguments it keeps under "args".
func (s Stored) Sentence(l i18n.Lang) string {
	var d struct {
		Args []string `json:"args"`
	}
	_ = s.Decode(&d) // no arguments, or the room keeps something else under this name
	return Say(l, s.Kind, d.Args)
}
