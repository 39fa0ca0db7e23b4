package app

import (
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Explain says err in l: the sentence of a fault with its fields, or the text of
// any other error.
func Explain(l i18n.Lang, err error) string {
	f, ok := fault.As(err)
	if !ok {
		return err.Error()
	}
	parts := []string{i18n.T(l, f.Key, f.Args...)}
	for _, fe := range f.Fields {
		if s := i18n.T(l, fe.Key, fe.Args...); s != parts[0] {
			parts = append(parts, fe.Field+": "+s)
		}
	}
	return strings.Join(parts, "; ")
}
