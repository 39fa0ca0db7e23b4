package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"sync"
	"testing"
)

type thing struct {
	Name string
	list []int
}

func (t thing) Key() any {
	if len(t.list) > 0 {
		return nil
	}
	return t.Name
}

func TestOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	set := &drawer{}
	set.funcs = template.FuncMap{
		"once": once(func() *drawer { return set }),
		"seen": func() string { calls++; return "" },
	}
	set.set = template.Must(template.New("x").Funcs(set.funcs).Parse(`{{range .}}{{once "one" .}}{{end}}{{define "one"}}<b title="{{.Name}}">{{seen}}{{.Name}}</b>{{end}}`))
	draw := func(v ...thing) string {
		var b bytes.Buffer
		if err := set.ExecuteTemplate(&b, "x", v); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got, want := draw(thing{Name: `<a">`}, thing{Name: "b"}, thing{Name: "b"}), `<b title="&lt;a&#34;&gt;">&lt;a&#34;&gt;</b><b title="b">b</b><b title="b">b</b>`; got != want || calls != 2 {
		t.Errorf("%s, drawn %d times", got, calls)
	}
	draw(thing{Name: "b"}, thing{Name: "c", list: []int{1}}, thing{Name: "c", list: []int{1}})
	if calls != 4 {
		t.Errorf("drawn %d times, want 4: what has no key is drawn anew", calls)
	}
	d := &drawn{}
	big := template.HTML(strings.Repeat("x", 1<<20))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { d.put(drawing{"one", fmt.Sprint(i), 0}, big); d.get(drawing{"one", "0", 0}) })
	}
	wg.Wait()
	if len(d.now)+len(d.old) > 10 {
		t.Errorf("%d MiB kept", len(d.now)+len(d.old))
	}
	if err := set.ExecuteTemplate(&bytes.Buffer{}, "x", []any{struct{ Name []string }{}}); err == nil {
		t.Error("a value that cannot be compared is taken for its own key")
	}
}
