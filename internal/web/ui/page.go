package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"sync"
	"text/template/parse"

	"bihuan/internal/i18n"
	"bihuan/internal/web"
)

// Page draws views of type V. It is made when the program starts, parsed in a
// language when it is first drawn in it, and is safe for concurrent use.
type Page[V any] struct {
	name    string
	body    string // name of the template that is the body
	files   []string
	sets    map[i18n.Lang]func() *drawer
	sources []string
	samples []V
}

// NewPage makes a page of files. The first file is the body of the page; its
// {{define}} blocks, and those of the other files, are fragments. Hundreds of
// pages are never drawn, or in one language only: parsing waits for the first
// use, and the tests parse them all.
func NewPage[V any](fsys fs.FS, files ...string) *Page[V] {
	p := &Page[V]{body: path.Base(files[0]), files: files, sets: map[i18n.Lang]func() *drawer{}}
	p.name = fmt.Sprintf("%s (%T)", files[0], *new(V))
	for _, f := range files {
		b, err := fs.ReadFile(fsys, f)
		if err != nil {
			panic(fmt.Sprintf("ui: %v", err))
		}
		p.sources = append(p.sources, string(b))
	}
	for _, l := range i18n.Langs {
		p.sets[l] = sync.OnceValue(func() *drawer { return p.drawer(l) })
	}
	register(p)
	return p
}

// Sample adds a view that the tests render, and returns p. Give one for each
// branch worth seeing; the empty view is always rendered.
func (p *Page[V]) Sample(v ...V) *Page[V] {
	p.samples = append(p.samples, v...)
	return p
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func getBuffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// putBuffer gives a buffer back unless one huge page has made it huge.
func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= 1<<20 {
		buffers.Put(b)
	}
}

func (p *Page[V]) set(l i18n.Lang) *drawer {
	if t := p.sets[l]; t != nil {
		return t()
	}
	return p.sets[i18n.ZhCN]()
}

// Render answers with the whole page, or with its body alone when htmx asks for
// a part.
func (p *Page[V]) Render(w http.ResponseWriter, r *web.Request, c Chrome, v V) error {
	return p.render(w, r, http.StatusOK, c, v)
}

// Invalid shows a form again with what err says at its fields. v must hold f,
// which is where the messages go. An error nobody could correct in the form is
// returned as it is. Use it for the page as a whole:
//
//	if err != nil { return page.Invalid(w, r, err, f, chrome, view{Form: f}) }
func (p *Page[V]) Invalid(w http.ResponseWriter, r *web.Request, err error, f *web.Form, c Chrome, v V) error {
	if !f.Explain(err) {
		return err
	}
	return p.render(w, r, web.Status(err), c, v)
}

// InvalidFragment is Invalid for one fragment.
func (p *Page[V]) InvalidFragment(w http.ResponseWriter, r *web.Request, err error, f *web.Form, name string, v V) error {
	if !f.Explain(err) {
		return err
	}
	return p.fragment(w, r, web.Status(err), name, v, nil)
}

func (p *Page[V]) render(w http.ResponseWriter, r *web.Request, status int, c Chrome, v V) error {
	body := getBuffer()
	defer putBuffer(body)
	if r.IsFragment() {
		if r.Target() == "main" {
			fmt.Fprintf(body, "<title>%s</title>", template.HTMLEscapeString(c.Title))
		}
		if err := p.set(r.Lang).ExecuteTemplate(body, p.body, v); err != nil {
			return fmt.Errorf("ui: page %s: %w", p.name, err)
		}
		headers(w)
		w.WriteHeader(status)
		return expand(w, r, body.Bytes())
	}
	if err := p.set(r.Lang).ExecuteTemplate(body, p.body, v); err != nil {
		return fmt.Errorf("ui: page %s: %w", p.name, err)
	}
	frame := getBuffer()
	defer putBuffer(frame)
	if err := c.frame(w, r, frame); err != nil {
		return err
	}
	before, after, ok := bytes.Cut(frame.Bytes(), bodyMark)
	if !ok {
		return fmt.Errorf("ui: layout %d has no place for the body", c.Layout)
	}
	headers(w)
	w.WriteHeader(status)
	for _, part := range [][]byte{before, body.Bytes(), after} {
		if err := expand(w, r, part); err != nil {
			return nil // the reader has gone
		}
	}
	return nil
}

// Part is a further fragment in an answer, put where it belongs by htmx.
type Part struct {
	Template string // name of the fragment
	Target   string // CSS selector
	Swap     string // "innerHTML" when empty; lists want "innerMorph"
}

// Into returns a Part.
func Into(templateName, target, swap string) Part { return Part{templateName, target, swap} }

// Fragment answers with one named template of the page, for the element that
// asked, and with further parts for other places of the same page.
func (p *Page[V]) Fragment(w http.ResponseWriter, r *web.Request, name string, v V, more ...Part) error {
	return p.fragment(w, r, http.StatusOK, name, v, more)
}

// Parts answers with parts alone: the element that asked stays as it is.
func (p *Page[V]) Parts(w http.ResponseWriter, r *web.Request, v V, parts ...Part) error {
	return p.fragment(w, r, http.StatusOK, "", v, parts)
}

func (p *Page[V]) fragment(w http.ResponseWriter, r *web.Request, status int, name string, v V, more []Part) error {
	b := getBuffer()
	defer putBuffer(b)
	set := p.set(r.Lang)
	if name != "" {
		if err := set.ExecuteTemplate(b, name, v); err != nil {
			return fmt.Errorf("ui: fragment %s of %s: %w", name, p.name, err)
		}
	}
	for _, m := range more {
		swap := m.Swap
		if swap == "" {
			swap = "innerHTML"
		}
		b.WriteString(`<hx-partial hx-target="` + template.HTMLEscapeString(m.Target) + `" hx-swap="` + template.HTMLEscapeString(swap) + `">`)
		if err := set.ExecuteTemplate(b, m.Template, v); err != nil {
			return fmt.Errorf("ui: part %s of %s: %w", m.Template, p.name, err)
		}
		b.WriteString(`</hx-partial>`)
	}
	headers(w)
	w.WriteHeader(status)
	_ = expand(w, r, b.Bytes())
	return nil
}

// String returns one fragment as text, for mails and prints.
func (p *Page[V]) String(r *web.Request, name string, v V) (string, error) {
	b, out := getBuffer(), getBuffer()
	defer putBuffer(b)
	defer putBuffer(out)
	if err := p.set(r.Lang).ExecuteTemplate(b, name, v); err != nil {
		return "", err
	}
	_ = expand(out, r, b.Bytes())
	return out.String(), nil
}

func headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // personal data stays out of caches, also of shared machines
	h.Add("Vary", "HX-Request")
}

// translate replaces {{t "key"}} by its text, {{icon "name"}} by its drawing, and
// (t "key") as an argument by a string, so that what is fixed costs nothing when
// a page is drawn. It returns the keys that have no text.
func translate(n parse.Node, l i18n.Lang) (missing []string) {
	look := func(cmd *parse.CommandNode) (string, bool) {
		if len(cmd.Args) != 2 {
			return "", false
		}
		id, ok := cmd.Args[0].(*parse.IdentifierNode)
		if !ok || id.Ident != "t" {
			return "", false
		}
		key, ok := cmd.Args[1].(*parse.StringNode)
		if !ok {
			return "", false
		}
		if !i18n.Has(key.Text) {
			missing = append(missing, key.Text)
		}
		return i18n.T(l, key.Text), true
	}
	var list func(*parse.ListNode)
	var pipe func(*parse.PipeNode)
	pipe = func(p *parse.PipeNode) {
		if p == nil {
			return
		}
		for _, cmd := range p.Cmds {
			for i, a := range cmd.Args {
				inner, ok := a.(*parse.PipeNode)
				if !ok {
					continue
				}
				if len(inner.Cmds) == 1 && len(inner.Decl) == 0 {
					if text, ok := look(inner.Cmds[0]); ok {
						cmd.Args[i] = &parse.StringNode{NodeType: parse.NodeString, Pos: inner.Pos, Quoted: strconv.Quote(text), Text: text}
						continue
					}
				}
				pipe(inner)
			}
		}
	}
	list = func(ln *parse.ListNode) {
		if ln == nil {
			return
		}
		for i, n := range ln.Nodes {
			switch n := n.(type) {
			case *parse.ActionNode:
				if len(n.Pipe.Cmds) == 1 && len(n.Pipe.Decl) == 0 {
					if text, ok := look(n.Pipe.Cmds[0]); ok {
						ln.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(template.HTMLEscapeString(text))}
						continue
					}
					if name, ok := fixedIcon(n.Pipe.Cmds[0]); ok {
						ln.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(Icon(name))}
						continue
					}
				}
				pipe(n.Pipe)
			case *parse.IfNode:
				pipe(n.Pipe)
				list(n.List)
				list(n.ElseList)
			case *parse.RangeNode:
				pipe(n.Pipe)
				list(n.List)
				list(n.ElseList)
			case *parse.WithNode:
				pipe(n.Pipe)
				list(n.List)
				list(n.ElseList)
			case *parse.TemplateNode:
				pipe(n.Pipe)
			}
		}
	}
	if ln, ok := n.(*parse.ListNode); ok {
		list(ln)
	}
	return missing
}

func fixedIcon(cmd *parse.CommandNode) (string, bool) {
	if len(cmd.Args) != 2 {
		return "", false
	}
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok || id.Ident != "icon" {
		return "", false
	}
	name, ok := cmd.Args[1].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return name.Text, true
}

// Checked is a page as the tests see it.
type Checked interface {
	Name() string
	Sources() []string
	Template(l i18n.Lang) *template.Template
	Zero() any
	Problems() []string                         // locale keys without text
	Draw(w io.Writer, l i18n.Lang) (int, error) // the empty view and all samples; returns how many
	Compare(l i18n.Lang) (differ, byLibrary []string)
}

var (
	pagesMu sync.Mutex
	pages   []Checked
)

func register(p Checked) {
	pagesMu.Lock()
	defer pagesMu.Unlock()
	pages = append(pages, p)
}

// Pages returns every page of the program.
func Pages() []Checked {
	pagesMu.Lock()
	defer pagesMu.Unlock()
	return append([]Checked(nil), pages...)
}

// Name says which page it is.
func (p *Page[V]) Name() string { return p.name }

// Sources returns the text of its files.
func (p *Page[V]) Sources() []string { return p.sources }

// drawer returns what draws the page in l: with its fixed words filled in.
func (p *Page[V]) drawer(l i18n.Lang) *drawer {
	d := p.parse(l)
	for _, t := range d.set.Templates() {
		if t.Tree != nil {
			translate(t.Tree.Root, l)
		}
	}
	return d
}

// Template returns a fresh copy of the parsed set, which has not been executed.
func (p *Page[V]) Template(l i18n.Lang) *template.Template { return p.parse(l).set }

func (p *Page[V]) parse(l i18n.Lang) *drawer {
	d := &drawer{funcs: funcs(l)}
	d.funcs["once"] = once(func() *drawer { return d })
	set := template.New(p.body).Funcs(d.funcs)
	for i, src := range p.sources {
		t := set
		if i > 0 {
			t = set.New(path.Base(p.files[i]))
		}
		if _, err := t.Parse(src); err != nil {
			panic(fmt.Sprintf("ui: %s: %v", p.files[i], err))
		}
	}
	d.set = set
	return d
}

// Compare draws each template of the page from the empty view and all samples,
// as it is shown and as the library alone does, and returns where they differ.
// Of byLibrary the library draws every time.
func (p *Page[V]) Compare(l i18n.Lang) (differ, byLibrary []string) {
	own, lib := p.drawer(l), p.drawer(l)
	lib.plain = true
	for _, t := range lib.set.Templates() {
		if t.Tree == nil {
			continue
		}
		for i, v := range append([]V{*new(V)}, p.samples...) {
			var a, b bytes.Buffer
			aerr, berr := own.ExecuteTemplate(&a, t.Name(), v), lib.ExecuteTemplate(&b, t.Name(), v)
			if (aerr == nil) != (berr == nil) || aerr == nil && !bytes.Equal(a.Bytes(), b.Bytes()) {
				differ = append(differ, fmt.Sprintf("%s, view %d: %v and %v:\n%s\n%s", t.Name(), i, aerr, berr, a.Bytes(), b.Bytes()))
			}
		}
		if own.template(t.Name()).steps == nil {
			byLibrary = append(byLibrary, t.Name())
		}
	}
	return differ, byLibrary
}

// Zero returns the empty view.
func (p *Page[V]) Zero() any { return *new(V) }

// Problems returns the keys in the templates that have no text.
func (p *Page[V]) Problems() (missing []string) {
	for _, l := range i18n.Langs {
		for _, t := range p.Template(l).Templates() {
			if t.Tree != nil {
				missing = append(missing, translate(t.Tree.Root, l)...)
			}
		}
	}
	return missing
}

// Draw writes the empty view and all samples.
func (p *Page[V]) Draw(w io.Writer, l i18n.Lang) (int, error) {
	views := append([]V{*new(V)}, p.samples...)
	b := getBuffer()
	defer putBuffer(b)
	for i, v := range views {
		if err := p.set(l).ExecuteTemplate(b, p.body, v); err != nil {
			return i, fmt.Errorf("view %d: %w", i, err)
		}
	}
	_, err := w.Write(b.Bytes())
	return len(views), err
}
