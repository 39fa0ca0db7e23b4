// Package uitest looks at every page of a program the way no person has the
// patience to: each template against its view, drawn empty and with its samples
// in both languages.
package uitest

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"bihuan/internal/i18n"
	"bihuan/internal/web/ui"

	"github.com/jba/templatecheck"
)

var (
	comment   = regexp.MustCompile(`(?s)\{\{-?\s*/\*.*?\*/\s*-?\}\}`)
	han       = regexp.MustCompile(`\p{Han}[^<{]*`)
	inline    = regexp.MustCompile(`(?i)\s(style|on[a-z]+)\s*=\s*["']|<style|javascript:`)
	script    = regexp.MustCompile(`(?i)<script(\s[^>]*)?>`)
	jsInHx    = regexp.MustCompile(`hx-(vals|headers|confirm|config)[^=]*=["']js:|hx-on|hx-trigger="[^"]*\[`)
	fromFind  = regexp.MustCompile(`from:(find|closest|next|previous) `)
	iconName  = regexp.MustCompile(`\{\{-?\s*icon "([^"]+)"`)
	missing   = regexp.MustCompile(`⟦[^⟧]*⟧`)
	emptyArgs = regexp.MustCompile(`%!\w?\(`)
)

// Pages checks all pages that the test's program knows.
func Pages(t *testing.T) {
	t.Helper()
	for _, p := range ui.Pages() {
		t.Run(p.Name(), func(t *testing.T) {
			for _, src := range p.Sources() {
				src = comment.ReplaceAllString(src, "")
				if m := han.FindString(src); m != "" {
					t.Errorf("a sentence in the template instead of the locale files: %q", m)
				}
				if m := jsInHx.FindString(src); m != "" {
					t.Errorf("the content policy forbids %q", m)
				}
				if m := fromFind.FindString(src); m != "" {
					t.Errorf("htmx 4 reads %q up to the blank and never fires; use target:#id", m)
				}
				for _, m := range iconName.FindAllStringSubmatch(src, -1) {
					if !ui.HasIcon(m[1]) {
						t.Errorf("no icon %q in the sprite", m[1])
					}
				}
			}
			for _, key := range p.Problems() {
				t.Errorf("key %s has no text", key)
			}
			if err := templatecheck.CheckHTML(p.Template(i18n.ZhCN), p.Zero()); err != nil {
				t.Errorf("templatecheck: %v", err)
			}
			for _, l := range i18n.Langs {
				differ, byLibrary := p.Compare(l)
				for _, d := range differ {
					t.Errorf("%s: drawn otherwise than by the library: %s", l, d)
				}
				for _, n := range byLibrary {
					t.Errorf("%s: the template %s is not known to the drawer", l, n)
				}
				var b bytes.Buffer
				if n, err := p.Draw(&b, l); err != nil {
					t.Errorf("%s: after %d views: %v", l, n, err)
					continue
				}
				html := b.String()
				if m := missing.FindString(html); m != "" {
					t.Errorf("%s: no text for %s", l, m)
				}
				if m := inline.FindString(html); m != "" {
					t.Errorf("%s: the content policy forbids %q", l, m)
				}
				for _, m := range script.FindAllString(html, -1) {
					if !strings.Contains(m, "src=") {
						t.Errorf("%s: inline script", l)
					}
				}
				if m := emptyArgs.FindString(html); m != "" {
					t.Errorf("%s: bad formatting %q", l, m)
				}
			}
		})
	}
}
