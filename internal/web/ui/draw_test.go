package ui

import (
	"bytes"
	"errors"
	"html/template"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type uttered string

type spoken struct{ s string }

func (s spoken) String() string { return "<" + s.s + ">" }

type person struct {
	Name   string
	Age    int
	Size   int64
	Part   float64
	Word   uttered
	Spoken spoken
	Any    any
	Next   *person
	List   []string
	Few    []person
	Map    map[string]any
	Nums   map[int]string
	Born   time.Time
	Yes    bool
	HTML   template.HTML
	URL    template.URL
	Attr   template.HTMLAttr
}

func (p person) Hello(to string) string { return p.Name + " greets " + to }
func (p *person) Known() bool           { return p != nil && p.Name != "" }
func (p person) Fails() (string, error) { return "", errors.New("no") }

// both draws a template of v as it is shown and as the library does.
func both(t interface{ Fatal(...any) }, text string, v any) (own, lib string, known bool, err error) {
	words := template.FuncMap{"dict": dict, "up": strings.ToUpper, "raw": func(s string) template.HTML { return template.HTML(s) }, "two": func(a, b string) template.HTML { return template.HTML(a + b) },
		"many": func(a string, more ...any) string { return a + strings.Repeat("!", len(more)) }, "at": func(i int64) int64 { return i + 1 }, "boom": func() string { panic("boom") }}
	make := func(plain bool) *drawer {
		d := &drawer{funcs: words, plain: plain}
		set, err := template.New("x").Funcs(words).Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		d.set = set
		return d
	}
	var a, b bytes.Buffer
	d := make(false)
	aerr := d.ExecuteTemplate(&a, "x", v)
	berr := make(true).ExecuteTemplate(&b, "x", v)
	if (aerr == nil) != (berr == nil) {
		t.Fatal(text, aerr, berr)
	}
	if aerr != nil {
		return "", "", d.template("x").steps != nil, aerr
	}
	return a.String(), b.String(), d.template("x").steps != nil, nil
}

// What templates may say is said as the library says it.
func TestDrawing(t *testing.T) {
	t.Parallel()
	p := person{Name: `Bo "<&'+>`, Age: 7, Size: 9, Part: 1.5, Word: "w<", Spoken: spoken{"s"}, Any: 3, Next: &person{Name: "n"}, List: []string{"a", "b<"}, Few: []person{{Name: "f"}, {}},
		Map: map[string]any{"k": "v<", "n": nil}, Nums: map[int]string{2: "two", 11: "x", -1: "m"}, Born: noon, Yes: true, HTML: "<b>x</b>", URL: "/a?b=c&d", Attr: `x="y"`}
	for _, text := range []string{
		`<p>{{.Name}} {{.Age}} {{.Size}} {{.Part}} {{.Word}} {{.Spoken}} {{.Any}} {{.Yes}} {{.HTML}} {{.URL}} {{.Born}} {{.List}}`,
		`<p title="{{.Name}} {{.Age}} {{.Word}} {{.Spoken}} {{.HTML}} {{.Any}}"><textarea>{{.Name}}{{.HTML}}{{.Age}}</textarea><p {{.Attr}}>`,
		`<a href="{{.Name}}"><a href="/x/{{.Name}}/{{.Age}}?a={{.Name}}&b={{.Word}}{{.URL}}"><a href="{{.URL}}"><a href="{{.Word}}"><form action="{{.Spoken}}">`,
		`{{if .Yes}}y{{else}}n{{end}}{{if .Next}}{{.Next.Name}}{{end}}{{if .Next.Next}}x{{else if .Age}}a{{else}}b{{end}}{{with .Next}}{{.Name}}{{$.Name}}{{end}}{{with .Next.Next}}x{{else}}none{{end}}`,
		`{{with $x := .Age}}{{$x}}{{end}}{{$n := .Name}}{{range $i, $v := .List}}{{$i}}{{$v}}{{$n}}{{end}}{{range .Few}}{{.Name}}{{else}}none{{end}}{{range .Next.List}}x{{else}}none{{end}}`,
		`{{range .List}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{break}}{{end}}{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}`,
		`{{$a := 1}}{{if .Yes}}{{$a = 2}}{{end}}{{$a}}{{$b := .Next.Name}}{{range .List}}{{$b = .}}{{end}}{{$b}}`,
		`{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}{{range .Nums}}{{.}}{{end}}`,
		`{{define "in"}}[{{.}}]{{end}}{{template "in" .Name}}{{template "in"}}{{template "in" (dict "a" 1)}}`,
		`{{define "tree"}}{{.Name}}{{with .Next}}({{template "tree" .}}){{end}}{{end}}{{template "tree" .}}`,
		`{{eq .Age 7}}{{ne .Name "x"}}{{eq .Word "w<" "z"}}{{gt .Size 3}}{{lt .Part 2.0}}{{le .Age 7}}{{ge .Age 8}}{{and .Yes .Age}}{{or .Next.Age .Name}}{{not .Yes}}{{len .List}}{{len .Name}}`,
		`{{index .List 1}}{{index .Map "k"}}{{index .Map "none"}}{{index .Nums 2}}{{.Map.k}}{{.Map.none}}{{.Map.n}}{{print .Age "x" .Name}}{{printf "%d-%s" .Age .Name}}{{.Name | up | printf "%s."}}`,
		`{{.Hello "you"}}{{.Hello .Name}}{{.Next.Hello "me"}}{{.Next.Known}}{{.Next.Next.Known}}{{.Born.IsZero}}{{(index .Few 0).Name}}{{.Born.Format "2006"}}`,
		`{{raw "<i>"}}{{two "a" .Name}}{{many "a"}}{{many "a" 1 .Next.Next .Any}}{{at 4}}{{at .Size}}{{up "x"}}{{.Any}}{{up (.Hello "z")}}`,
		`{{.Next.Next.Name}}`, `{{.Nothing}}`, `{{index .List 9}}`, `{{.Fails}}`, `{{boom}}`, `{{up .Age}}`, `{{lt .Name 3}}`, `{{eq .Name 3}}`, `{{.Map.k.z}}`,
	} {
		own, lib, known, err := both(t, text, p)
		if own != lib {
			t.Errorf("%s\n own %s\n lib %s", text, own, lib)
		}
		if !known && err == nil {
			t.Errorf("%s is left to the library", text)
		}
	}
	for _, text := range []string{`<script>var x = {{.Name}}</script>`, `<p style="color: {{.Name}}">`, `{{html .Name}}`, `{{define "in"}}{{.}}{{end}}<p title="{{template "in" .Name}}">`} {
		if own, lib, known, err := both(t, text, p); own != lib || known || err != nil {
			t.Errorf("%s: %s, %s, %v, %v: not left to the library", text, own, lib, known, err)
		}
	}
	if _, _, _, err := both(t, `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, nil); err == nil {
		t.Error("a template that calls itself without end is drawn")
	}
}

// Every text is escaped as the library escapes it, wherever it stands.
func TestEscapedAsByTheLibrary(t *testing.T) {
	t.Parallel()
	const text = `<p title="{{.}}" class=x>{{.}}<textarea>{{.}}</textarea><a href="{{.}}">a</a><a href="/x/{{.}}">b</a><a href="/x?y={{.}}&amp;z={{.}}#{{.}}">c</a><img src="{{.}}"><button hx-get="/t/{{.}}?q={{.}}" data-x='{{.}}'></button>`
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ab:/?&=#%+ \t\n\x00\"'<>`javscript中;.~-_{}[]()\\@!$*,|^\u2028\ufeff\ud7ff"))), rapid.StringMatching(`(javascript|JAVASCRIPT|data|http|https|mailto|tel)?:?(//)?[a-z%0-9/?&=+"<]{0,12}`),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) })).Draw(rt, "s")
		for _, v := range []any{s, uttered(s), template.HTML(s), template.URL(s), &s} {
			own, lib, known, err := both(rt, text, v)
			if own != lib || !known || err != nil {
				rt.Fatalf("%T %q (%v, %v)\n own %s\n lib %s", v, s, known, err, own, lib)
			}
		}
	})
}
