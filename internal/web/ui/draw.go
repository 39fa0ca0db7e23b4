package ui

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/template/parse"
	"time"
)

// drawer draws the templates of a set. html/template parses them and decides
// what is escaped how; what it decided is compiled here, because text/template
// looks up every field, method and function by name and calls each escaper
// through reflection, which was most of what a page costs. A template that uses
// what is not known here is drawn by the library, and what is not plain text is
// escaped by it; the tests draw every page both ways.
type drawer struct {
	set   *template.Template
	funcs template.FuncMap
	plain bool       // the library draws everything: what the tests compare with
	mu    sync.Mutex // guards compiling and the escaping of set
	known sync.Map   // name → *compiled
}

// compiled is a template made ready. The library draws it when steps is nil.
type compiled struct {
	name  string
	steps []step
	slots int // variables, the first is $
}

// frame is one template being drawn.
type frame struct {
	b     *bytes.Buffer
	vars  []reflect.Value
	depth int
}

type (
	step func(f *frame, dot reflect.Value) error
	expr func(f *frame, dot reflect.Value) (reflect.Value, error)
)

var (
	errUnknown = errors.New("not known to the drawer")
	errBreak   = errors.New("break")
	errNext    = errors.New("continue")
)

// deepest bounds templates that call themselves.
const deepest = 1000

// ExecuteTemplate draws the template name from v.
func (d *drawer) ExecuteTemplate(b *bytes.Buffer, name string, v any) (err error) {
	c := d.template(name)
	if c.steps == nil {
		return d.set.ExecuteTemplate(b, name, v)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("template %s: %v", name, p)
		}
	}()
	if err := c.draw(b, reflect.ValueOf(v), 0); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	return nil
}

func (c *compiled) draw(b *bytes.Buffer, dot reflect.Value, depth int) error {
	if depth > deepest {
		return errors.New("calls itself without end")
	}
	f := frame{b: b, vars: make([]reflect.Value, c.slots), depth: depth}
	f.vars[0] = dot
	return run(c.steps, &f, dot)
}

func run(steps []step, f *frame, dot reflect.Value) error {
	for _, s := range steps {
		if err := s(f, dot); err != nil {
			return err
		}
	}
	return nil
}

// template returns name made ready, on the first call by compiling it.
func (d *drawer) template(name string) *compiled {
	if c, ok := d.known.Load(name); ok {
		return c.(*compiled)
	}
	if d.plain {
		return &compiled{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.known.Load(name); ok {
		return c.(*compiled)
	}
	made := map[string]*compiled{}
	// The library escapes a template when it is first executed; it may stop at once.
	var bad *template.Error
	err := d.set.ExecuteTemplate(full{}, name, nil)
	if !errors.As(err, &bad) {
		if err := d.compile(name, made); err == nil {
			for n, c := range made {
				d.known.LoadOrStore(n, c)
			}
			return made[name]
		}
	}
	c := &compiled{name: name}
	d.known.Store(name, c)
	return c
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// compile makes the escaped template name and all it calls.
func (d *drawer) compile(name string, made map[string]*compiled) error {
	if _, ok := made[name]; ok {
		return nil
	}
	t := d.set.Lookup(name)
	if t == nil || t.Tree == nil {
		return errUnknown // escaped for a place other than text: a copy only the library has
	}
	c := &compiled{name: name}
	made[name] = c
	m := maker{d: d, made: made, names: []string{"$"}, most: 1}
	steps, err := m.list(t.Tree.Root)
	if err != nil {
		return err
	}
	if steps == nil {
		steps = []step{}
	}
	c.steps, c.slots = steps, m.most
	return nil
}

// maker compiles one template.
type maker struct {
	d     *drawer
	made  map[string]*compiled
	names []string // variables in scope, by slot
	most  int
}

func (m *maker) declare(name string) int {
	m.names = append(m.names, name)
	m.most = max(m.most, len(m.names))
	return len(m.names) - 1
}

func (m *maker) slot(name string) (int, error) {
	for i := len(m.names) - 1; i >= 0; i-- {
		if m.names[i] == name {
			return i, nil
		}
	}
	return 0, errUnknown
}

func (m *maker) list(ln *parse.ListNode) (out []step, err error) {
	if ln == nil {
		return nil, nil
	}
	for _, n := range ln.Nodes {
		var s step
		switch n := n.(type) {
		case *parse.TextNode:
			text := string(n.Text)
			s = func(f *frame, _ reflect.Value) error { f.b.WriteString(text); return nil }
		case *parse.CommentNode:
			continue
		case *parse.ActionNode:
			s, err = m.action(n.Pipe)
		case *parse.IfNode:
			s, err = m.branch(&n.BranchNode, false)
		case *parse.WithNode:
			s, err = m.branch(&n.BranchNode, true)
		case *parse.RangeNode:
			s, err = m.loop(&n.BranchNode)
		case *parse.TemplateNode:
			s, err = m.call(n)
		case *parse.BreakNode:
			s = func(*frame, reflect.Value) error { return errBreak }
		case *parse.ContinueNode:
			s = func(*frame, reflect.Value) error { return errNext }
		default:
			err = errUnknown
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

const escaper = "_html_template_"

func (m *maker) action(p *parse.PipeNode) (step, error) {
	if len(p.Decl) > 0 {
		return m.assign(p)
	}
	cmds := p.Cmds
	var how []string
	for len(cmds) > 0 {
		last := cmds[len(cmds)-1]
		id, ok := last.Args[0].(*parse.IdentifierNode)
		if !ok || len(last.Args) != 1 || !strings.HasPrefix(id.Ident, escaper) {
			break
		}
		how = append([]string{strings.TrimPrefix(id.Ident, escaper)}, how...)
		cmds = cmds[:len(cmds)-1]
	}
	e, err := m.cmds(cmds)
	if err != nil {
		return nil, err
	}
	write, ok := sinks[strings.Join(how, "|")]
	if !ok {
		return nil, errUnknown
	}
	return func(f *frame, dot reflect.Value) error {
		v, err := e(f, dot)
		if err != nil {
			return err
		}
		return write(f.b, v)
	}, nil
}

func (m *maker) assign(p *parse.PipeNode) (step, error) {
	e, err := m.cmds(p.Cmds)
	if err != nil || len(p.Decl) != 1 {
		return nil, errUnknown
	}
	i, err := m.target(p, p.Decl[0])
	return func(f *frame, dot reflect.Value) error {
		v, err := e(f, dot)
		f.vars[i] = v
		return err
	}, err
}

func (m *maker) target(p *parse.PipeNode, v *parse.VariableNode) (int, error) {
	if p.IsAssign {
		return m.slot(v.Ident[0])
	}
	return m.declare(v.Ident[0]), nil
}

// pipe compiles the pipe of a branch, which may declare one variable.
func (m *maker) pipe(p *parse.PipeNode) (expr, error) {
	e, err := m.cmds(p.Cmds)
	if err != nil || len(p.Decl) == 0 {
		return e, err
	}
	if len(p.Decl) != 1 {
		return nil, errUnknown
	}
	i, err := m.target(p, p.Decl[0])
	return func(f *frame, dot reflect.Value) (reflect.Value, error) {
		v, err := e(f, dot)
		f.vars[i] = v
		return v, err
	}, err
}

func (m *maker) branch(n *parse.BranchNode, with bool) (step, error) {
	scope := len(m.names)
	defer func() { m.names = m.names[:scope] }()
	e, err := m.pipe(n.Pipe)
	if err != nil {
		return nil, err
	}
	inner := len(m.names)
	yes, err := m.list(n.List)
	if err != nil {
		return nil, err
	}
	m.names = m.names[:inner]
	no, err := m.list(n.ElseList)
	return func(f *frame, dot reflect.Value) error {
		v, err := e(f, dot)
		if err != nil {
			return err
		}
		switch {
		case !truth(v):
			return run(no, f, dot)
		case with:
			return run(yes, f, v)
		}
		return run(yes, f, dot)
	}, err
}

func (m *maker) loop(n *parse.BranchNode) (step, error) {
	scope := len(m.names)
	defer func() { m.names = m.names[:scope] }()
	e, err := m.cmds(n.Pipe.Cmds)
	if err != nil {
		return nil, err
	}
	index, elem := -1, -1
	for i, v := range n.Pipe.Decl {
		at, err := m.target(n.Pipe, v)
		if err != nil {
			return nil, err
		}
		if i == len(n.Pipe.Decl)-1 {
			elem = at
		} else {
			index = at
		}
	}
	inner := len(m.names)
	body, err := m.list(n.List)
	if err != nil {
		return nil, err
	}
	m.names = m.names[:inner]
	none, err := m.list(n.ElseList)
	if err != nil {
		return nil, err
	}
	return func(f *frame, dot reflect.Value) error {
		v, err := e(f, dot)
		if err != nil {
			return err
		}
		v, _ = indirect(v)
		size, keys := 0, []reflect.Value(nil)
		switch v.Kind() {
		case reflect.Invalid:
		case reflect.Slice, reflect.Array:
			size = v.Len()
		case reflect.Int, reflect.Int64:
			size = int(v.Int())
		case reflect.Map:
			size, keys = v.Len(), v.MapKeys()
			slices.SortFunc(keys, func(a, b reflect.Value) int {
				c, _ := compare([]reflect.Value{a, b})
				return c
			})
		default:
			return fmt.Errorf("cannot range over %s", v.Type())
		}
		if size <= 0 {
			return run(none, f, dot)
		}
		for i := range size {
			n := reflect.ValueOf(i)
			x := n
			switch {
			case keys != nil:
				n, x = keys[i], v.MapIndex(keys[i])
			case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
				x = v.Index(i)
			}
			if elem >= 0 {
				f.vars[elem] = x
			}
			if index >= 0 {
				f.vars[index] = n
			}
			switch err := run(body, f, x); err {
			case nil, errNext:
			case errBreak:
				return nil
			default:
				return err
			}
		}
		return nil
	}, nil
}

func (m *maker) call(n *parse.TemplateNode) (step, error) {
	if err := m.d.compile(n.Name, m.made); err != nil {
		return nil, err
	}
	c := m.made[n.Name]
	e := expr(func(*frame, reflect.Value) (reflect.Value, error) { return reflect.Value{}, nil })
	if n.Pipe != nil {
		var err error
		if e, err = m.cmds(n.Pipe.Cmds); err != nil || len(n.Pipe.Decl) > 0 {
			return nil, errUnknown
		}
	}
	return func(f *frame, dot reflect.Value) error {
		v, err := e(f, dot)
		if err != nil {
			return err
		}
		return c.draw(f.b, v, f.depth+1)
	}, nil
}

// cmds compiles a pipeline: each command takes what the one before it gave as
// its last argument.
func (m *maker) cmds(cmds []*parse.CommandNode) (e expr, err error) {
	if len(cmds) == 0 {
		return nil, errUnknown
	}
	for _, c := range cmds {
		if e, err = m.command(c, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (m *maker) command(c *parse.CommandNode, last expr) (expr, error) {
	args := c.Args[1:]
	switch n := c.Args[0].(type) {
	case *parse.FieldNode:
		return m.chain(dotOf, n.Ident, args, last)
	case *parse.VariableNode:
		i, err := m.slot(n.Ident[0])
		if err != nil {
			return nil, err
		}
		return m.chain(func(f *frame, _ reflect.Value) (reflect.Value, error) { return f.vars[i], nil }, n.Ident[1:], args, last)
	case *parse.ChainNode:
		of, err := m.arg(n.Node)
		if err != nil {
			return nil, err
		}
		return m.chain(of, n.Field, args, last)
	case *parse.IdentifierNode:
		return m.function(n.Ident, args, last)
	}
	if len(args) > 0 || last != nil {
		return nil, errUnknown
	}
	return m.arg(c.Args[0])
}

func dotOf(_ *frame, dot reflect.Value) (reflect.Value, error) { return dot, nil }

// arg compiles one operand.
func (m *maker) arg(n parse.Node) (expr, error) {
	fixed := func(v any) (expr, error) {
		r := reflect.ValueOf(v)
		return func(*frame, reflect.Value) (reflect.Value, error) { return r, nil }, nil
	}
	switch n := n.(type) {
	case *parse.DotNode:
		return dotOf, nil
	case *parse.NilNode:
		return func(*frame, reflect.Value) (reflect.Value, error) { return reflect.Value{}, nil }, nil
	case *parse.BoolNode:
		return fixed(n.True)
	case *parse.StringNode:
		return fixed(n.Text)
	case *parse.NumberNode:
		switch {
		case n.IsFloat && strings.ContainsAny(n.Text, ".eEpP") && !strings.HasPrefix(n.Text, "'"):
			return fixed(n.Float64)
		case n.IsInt:
			return fixed(int(n.Int64))
		}
		return nil, errUnknown
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return nil, errUnknown
		}
		return m.cmds(n.Cmds)
	case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode, *parse.IdentifierNode:
		return m.command(&parse.CommandNode{Args: []parse.Node{n}}, nil)
	}
	return nil, errUnknown
}

func (m *maker) args(nodes []parse.Node, last expr) (out []expr, err error) {
	for _, n := range nodes {
		e, err := m.arg(n)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if last != nil {
		out = append(out, last)
	}
	return out, nil
}

// chain compiles .A.B.C; the arguments are those of the last one.
func (m *maker) chain(of expr, names []string, nodes []parse.Node, last expr) (expr, error) {
	args, err := m.args(nodes, last)
	if err != nil || len(names) == 0 && len(args) > 0 {
		return nil, errUnknown
	}
	e := of
	for i, name := range names {
		g := &getter{name: name}
		from := e
		if i < len(names)-1 || len(args) == 0 {
			e = func(f *frame, dot reflect.Value) (reflect.Value, error) {
				v, err := from(f, dot)
				if err != nil {
					return v, err
				}
				return g.get(v, nil)
			}
			continue
		}
		e = func(f *frame, dot reflect.Value) (reflect.Value, error) {
			v, err := from(f, dot)
			if err != nil {
				return v, err
			}
			in, err := values(f, dot, args)
			if err != nil {
				return v, err
			}
			return g.get(v, in)
		}
	}
	return e, nil
}

func values(f *frame, dot reflect.Value, args []expr) ([]reflect.Value, error) {
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		v, err := a(f, dot)
		if err != nil {
			return nil, err
		}
		in[i] = v
	}
	return in, nil
}

// getter finds a field or method by name and remembers where it was.
type getter struct {
	name string
	last atomic.Pointer[place]
}

// place is where a name is found in values of one type.
type place struct {
	typ    reflect.Type
	addr   bool // the value can be addressed: methods of its pointer count
	field  []int
	method int // -1: none
	keyed  bool
}

var timeType = reflect.TypeFor[time.Time]()

func (g *getter) get(v reflect.Value, args []reflect.Value) (reflect.Value, error) {
	if !v.IsValid() {
		return v, nil
	}
	v, isNil := indirect(v)
	if isNil {
		if m := v.MethodByName(g.name); v.Kind() == reflect.Pointer && m.IsValid() { // forms answer for none
			return apply(m, args)
		}
		return v, fmt.Errorf("nil pointer evaluating %s.%s", v.Type(), g.name)
	}
	if g.name == "IsZero" && v.Type() == timeType {
		return reflect.ValueOf(v.Interface().(time.Time).IsZero()), nil
	}
	p := g.last.Load()
	if p == nil || p.typ != v.Type() || p.addr != v.CanAddr() {
		if p = g.find(v); p == nil {
			return v, fmt.Errorf("%s has no %s", v.Type(), g.name)
		}
		g.last.Store(p)
	}
	switch {
	case p.method >= 0:
		if p.addr {
			v = v.Addr()
		}
		return apply(v.Method(p.method), args)
	case len(args) > 0:
		return v, fmt.Errorf("%s has arguments but is no method", g.name)
	case p.keyed:
		return dig(v.MapIndex(reflect.ValueOf(g.name).Convert(p.typ.Key()))), nil
	case len(p.field) == 1:
		return dig(v.Field(p.field[0])), nil
	}
	f, err := v.FieldByIndexErr(p.field)
	return dig(f), err
}

func (g *getter) find(v reflect.Value) *place {
	p := &place{typ: v.Type(), addr: v.CanAddr(), method: -1}
	t := p.typ
	if p.addr {
		t = reflect.PointerTo(t)
	}
	if mt, ok := t.MethodByName(g.name); ok {
		p.method = mt.Index
		return p
	}
	switch p.typ.Kind() {
	case reflect.Struct:
		if f, ok := p.typ.FieldByName(g.name); ok && f.IsExported() {
			p.field = f.Index
			return p
		}
	case reflect.Map:
		if p.typ.Key().Kind() == reflect.String {
			p.keyed = true
			return p
		}
	}
	return nil
}

// indirect follows pointers and interfaces to what they hold.
func indirect(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return v, true
		}
		v = v.Elem()
	}
	return v, false
}

// dig takes what an interface holds.
func dig(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

func truth(v reflect.Value) bool {
	v = dig(v)
	switch v.Kind() {
	case reflect.Invalid:
		return false
	case reflect.Bool:
		return v.Bool()
	case reflect.String, reflect.Slice, reflect.Map, reflect.Array:
		return v.Len() > 0
	case reflect.Pointer, reflect.Func, reflect.Chan:
		return !v.IsNil()
	case reflect.Struct:
		return true
	}
	return !v.IsZero()
}

// apply calls fn, turning args into what it takes.
func apply(fn reflect.Value, args []reflect.Value) (reflect.Value, error) {
	t := fn.Type()
	fixed := t.NumIn()
	if t.IsVariadic() {
		fixed--
	}
	if len(args) < fixed || len(args) > fixed && !t.IsVariadic() {
		return reflect.Value{}, fmt.Errorf("%d arguments for %s", len(args), t)
	}
	for i, v := range args {
		want := reflect.Type(nil)
		if i < fixed {
			want = t.In(i)
		} else {
			want = t.In(fixed).Elem()
		}
		var err error
		if args[i], err = fit(v, want); err != nil {
			return reflect.Value{}, err
		}
	}
	out := fn.Call(args)
	if len(out) == 2 && !out[1].IsNil() {
		return reflect.Value{}, out[1].Interface().(error)
	}
	return dig(out[0]), nil
}

// fit makes v of type t.
func fit(v reflect.Value, t reflect.Type) (reflect.Value, error) {
	if !v.IsValid() {
		switch t.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Map, reflect.Func, reflect.Chan:
			return reflect.Zero(t), nil
		}
		return v, fmt.Errorf("nothing where %s is wanted", t)
	}
	switch vt := v.Type(); {
	case vt.AssignableTo(t):
		return v, nil
	case vt.Kind() == reflect.Interface && !v.IsNil():
		return fit(v.Elem(), t)
	case vt.Kind() == reflect.Pointer && vt.Elem().AssignableTo(t):
		if v.IsNil() {
			return v, fmt.Errorf("nil where %s is wanted", t)
		}
		return v.Elem(), nil
	case v.CanAddr() && reflect.PointerTo(vt).AssignableTo(t):
		return v.Addr(), nil
	case vt == intType && t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64: // a number written in the template
		return v.Convert(t), nil
	}
	return v, fmt.Errorf("%s where %s is wanted", v.Type(), t)
}

var (
	intType    = reflect.TypeFor[int]()
	stringType = reflect.TypeFor[string]()
)

// function compiles the call of a word of the templates.
func (m *maker) function(name string, nodes []parse.Node, last expr) (expr, error) {
	args, err := m.args(nodes, last)
	if err != nil {
		return nil, err
	}
	if name == "and" || name == "or" {
		stop := name == "or"
		return func(f *frame, dot reflect.Value) (v reflect.Value, err error) {
			for _, a := range args {
				if v, err = a(f, dot); err != nil || truth(v) == stop {
					return v, err
				}
			}
			return v, nil
		}, nil
	}
	word, ok := builtins[name]
	if own := m.d.funcs[name]; own != nil {
		return ownWord(own, args), nil
	}
	if !ok || len(args) == 0 {
		return nil, errUnknown
	}
	return func(f *frame, dot reflect.Value) (reflect.Value, error) {
		var few [4]reflect.Value
		in := few[:0]
		for _, a := range args {
			v, err := a(f, dot)
			if err != nil {
				return v, err
			}
			in = append(in, dig(v))
		}
		v, err := word(in)
		return reflect.ValueOf(v), err
	}, nil
}

// ownWord calls one of [funcs]; those called most without reflection.
func ownWord(fn any, args []expr) expr {
	slow := reflect.ValueOf(fn)
	text := func(f *frame, dot reflect.Value, i int) (string, bool, error) {
		v, err := args[i](f, dot)
		if err != nil || !v.IsValid() || v.Type() != stringType {
			return "", false, err
		}
		return v.String(), true, nil
	}
	general := func(f *frame, dot reflect.Value) (reflect.Value, error) {
		in, err := values(f, dot, args)
		if err != nil {
			return reflect.Value{}, err
		}
		return apply(slow, in)
	}
	switch fn := fn.(type) {
	case func(string) template.HTML:
		if len(args) == 1 {
			return func(f *frame, dot reflect.Value) (reflect.Value, error) {
				s, ok, err := text(f, dot, 0)
				if !ok {
					return orGeneral(err, general, f, dot)
				}
				return reflect.ValueOf(fn(s)), nil
			}
		}
	case func(string, string) template.HTML:
		if len(args) == 2 {
			return func(f *frame, dot reflect.Value) (reflect.Value, error) {
				s, ok, err := text(f, dot, 0)
				if !ok {
					return orGeneral(err, general, f, dot)
				}
				t, ok, err := text(f, dot, 1)
				if !ok {
					return orGeneral(err, general, f, dot)
				}
				return reflect.ValueOf(fn(s, t)), nil
			}
		}
	case func(string, any) string:
		if len(args) == 2 {
			return func(f *frame, dot reflect.Value) (reflect.Value, error) {
				s, ok, err := text(f, dot, 0)
				if !ok {
					return orGeneral(err, general, f, dot)
				}
				v, err := args[1](f, dot)
				if err != nil || !v.IsValid() || !v.CanInterface() {
					return orGeneral(err, general, f, dot)
				}
				return reflect.ValueOf(fn(s, v.Interface())), nil
			}
		}
	case func(any) string:
		if len(args) == 1 {
			return func(f *frame, dot reflect.Value) (reflect.Value, error) {
				v, err := args[0](f, dot)
				if err != nil || !v.IsValid() || !v.CanInterface() {
					return orGeneral(err, general, f, dot)
				}
				return reflect.ValueOf(fn(v.Interface())), nil
			}
		}
	case func(string, any) (template.HTML, error):
		if len(args) == 2 {
			return func(f *frame, dot reflect.Value) (reflect.Value, error) {
				s, ok, err := text(f, dot, 0)
				if !ok {
					return orGeneral(err, general, f, dot)
				}
				v, err := args[1](f, dot)
				if err != nil || !v.IsValid() || !v.CanInterface() {
					return orGeneral(err, general, f, dot)
				}
				h, err := fn(s, v.Interface())
				return reflect.ValueOf(h), err
			}
		}
	case func(...any) (map[string]any, error):
		return func(f *frame, dot reflect.Value) (reflect.Value, error) {
			in := make([]any, len(args))
			for i, a := range args {
				v, err := a(f, dot)
				if err != nil {
					return v, err
				}
				if v.IsValid() {
					in[i] = v.Interface()
				}
			}
			d, err := fn(in...)
			return reflect.ValueOf(d), err
		}
	}
	return general
}

func orGeneral(err error, general expr, f *frame, dot reflect.Value) (reflect.Value, error) {
	if err != nil {
		return reflect.Value{}, err
	}
	return general(f, dot)
}

// builtins are those of the library that are known here.
var builtins = map[string]func(in []reflect.Value) (any, error){
	"not": func(in []reflect.Value) (any, error) { return !truth(in[0]), nil },
	"len": func(in []reflect.Value) (any, error) {
		v, isNil := indirect(in[0])
		if isNil || !v.IsValid() {
			return 0, errors.New("len of nil")
		}
		return v.Len(), nil
	},
	"index": func(in []reflect.Value) (any, error) {
		v, _ := indirect(in[0])
		for _, i := range in[1:] {
			switch v.Kind() {
			case reflect.Slice, reflect.Array, reflect.String:
				if !i.CanInt() || i.Int() < 0 || i.Int() >= int64(v.Len()) {
					return nil, errors.New("index out of range")
				}
				v = v.Index(int(i.Int()))
			case reflect.Map:
				k, err := fit(i, v.Type().Key())
				if err != nil {
					return nil, err
				}
				t := v.Type().Elem()
				if v = v.MapIndex(k); !v.IsValid() {
					v = reflect.Zero(t)
				}
			default:
				return nil, errors.New("nothing to index")
			}
			v, _ = indirect(v)
		}
		if !v.IsValid() || v.Kind() == reflect.Interface {
			return nil, nil
		}
		return v.Interface(), nil
	},
	"eq": func(in []reflect.Value) (any, error) {
		for _, b := range in[1:] {
			if ok, err := equal(in[0], b); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	},
	"ne": func(in []reflect.Value) (any, error) {
		if len(in) != 2 {
			return nil, errors.New("ne compares two")
		}
		ok, err := equal(in[0], in[1])
		return !ok, err
	},
	"lt":      func(in []reflect.Value) (any, error) { c, err := compare(in); return c < 0, err },
	"le":      func(in []reflect.Value) (any, error) { c, err := compare(in); return c <= 0, err },
	"gt":      func(in []reflect.Value) (any, error) { c, err := compare(in); return c > 0, err },
	"ge":      func(in []reflect.Value) (any, error) { c, err := compare(in); return c >= 0, err },
	"print":   func(in []reflect.Value) (any, error) { return fmt.Sprint(anys(in)...), nil },
	"println": func(in []reflect.Value) (any, error) { return fmt.Sprintln(anys(in)...), nil },
	"printf": func(in []reflect.Value) (any, error) {
		if in[0].Kind() != reflect.String {
			return nil, errors.New("printf without a format")
		}
		return fmt.Sprintf(in[0].String(), anys(in[1:])...), nil
	},
}

func anys(in []reflect.Value) []any {
	out := make([]any, len(in))
	for i, v := range in {
		if v.IsValid() {
			out[i] = v.Interface()
		}
	}
	return out
}

func equal(a, b reflect.Value) (bool, error) {
	switch {
	case !a.IsValid() || !b.IsValid():
		return a.IsValid() == b.IsValid(), nil
	case a.Kind() == reflect.String && b.Kind() == reflect.String:
		return a.String() == b.String(), nil
	case a.CanInt() && b.CanInt():
		return a.Int() == b.Int(), nil
	case a.Kind() == reflect.Bool && b.Kind() == reflect.Bool:
		return a.Bool() == b.Bool(), nil
	case a.CanUint() && b.CanUint():
		return a.Uint() == b.Uint(), nil
	case a.CanFloat() && b.CanFloat():
		return a.Float() == b.Float(), nil
	case a.Type() == b.Type() && a.Comparable():
		return a.Equal(b), nil
	}
	return false, fmt.Errorf("%s and %s cannot be compared", a.Type(), b.Type())
}

func compare(in []reflect.Value) (int, error) {
	if len(in) != 2 {
		return 0, errors.New("two are compared")
	}
	a, b := in[0], in[1]
	switch {
	case a.CanInt() && b.CanInt():
		return cmp.Compare(a.Int(), b.Int()), nil
	case a.CanUint() && b.CanUint():
		return cmp.Compare(a.Uint(), b.Uint()), nil
	case a.CanFloat() && b.CanFloat():
		return cmp.Compare(a.Float(), b.Float()), nil
	case a.Kind() == reflect.String && b.Kind() == reflect.String:
		return strings.Compare(a.String(), b.String()), nil
	}
	return 0, errors.New("incomparable values")
}

// sink writes a value the way its place in the page asks for.
type sink func(b *bytes.Buffer, v reflect.Value) error

// sinks, by the escapers the library has put behind an action.
var sinks = map[string]sink{
	"htmlescaper":                         inText,
	"rcdataescaper":                       escaping(plain, library("<textarea>", "</textarea>")),
	"attrescaper":                         escaping(plain, library(`<p title="`, `">`)),
	"urlnormalizer|attrescaper":           escaping(address, library(`<a href="/`, `">`)),
	"urlfilter|urlnormalizer|attrescaper": escaping(address, library(`<a href="`, `">`)),
	"htmlnamefilter":                      attribute,
	"urlescaper|attrescaper":              escaping(word, library(`<a href="/?`, `">`)),
}

var inText = func() sink {
	lib := library("<p>", "</p>")
	return func(b *bytes.Buffer, v reflect.Value) error {
		if v = dig(v); v.IsValid() && v.Type() == htmlType {
			b.WriteString(v.String())
			return nil
		}
		if s, ok := textOf(v); ok {
			return plain(b, s)
		}
		return lib(b, v)
	}
}()

// attribute writes whole attributes that Go code has made.
var attribute = func() sink {
	lib := library("<p ", ">")
	return func(b *bytes.Buffer, v reflect.Value) error {
		if v = dig(v); v.IsValid() && v.Type() == attrType {
			b.WriteString(v.String())
			return nil
		}
		return lib(b, v)
	}
}()

var attrType = reflect.TypeFor[template.HTMLAttr]()

var htmlType = reflect.TypeFor[template.HTML]()

// errOdd says that the library has to escape a text.
var errOdd = errors.New("odd")

// escaping writes texts by way and leaves to lib what is none, and what way
// finds odd.
func escaping(way func(b *bytes.Buffer, s string) error, lib sink) sink {
	return func(b *bytes.Buffer, v reflect.Value) error {
		v = dig(v)
		if s, ok := textOf(v); ok {
			if err := way(b, s); err != errOdd {
				return err
			}
		}
		return lib(b, v)
	}
}

// library returns the sink that has the library escape a value between before
// and after, which put it into the right place of a page.
func library(before, after string) sink {
	t := template.Must(template.New("").Parse(before + "{{.}}" + after))
	return func(b *bytes.Buffer, v reflect.Value) error {
		var x any
		if v.IsValid() {
			x = v.Interface()
		}
		at := b.Len()
		if err := t.Execute(b, x); err != nil {
			return err
		}
		got := b.Bytes()[at:]
		n := copy(got, got[len(before):len(got)-len(after)])
		b.Truncate(at + n)
		return nil
	}
}

// kinds of types, as far as escaping goes
var textual sync.Map // reflect.Type → bool: its values are text without meaning of their own

// textOf returns what v says, when it is a text or a whole number and not
// marked as anything else.
func textOf(v reflect.Value) (string, bool) {
	if !v.IsValid() {
		return "", false
	}
	t := v.Type()
	switch {
	case t == stringType:
		return v.String(), true
	case v.Kind() != reflect.String && !v.CanInt():
		return "", false
	}
	ok, known := textual.Load(t)
	if !known {
		own := t.PkgPath() != "html/template" && !t.Implements(stringerType) && !t.Implements(errorType)
		textual.Store(t, own)
		ok = own
	}
	if !ok.(bool) {
		return "", false
	}
	if v.CanInt() {
		return strconv.FormatInt(v.Int(), 10), true
	}
	return v.String(), true
}

var (
	stringerType = reflect.TypeFor[fmt.Stringer]()
	errorType    = reflect.TypeFor[error]()
)

// plain writes s as the library escapes text.
func plain(b *bytes.Buffer, s string) error {
	from := 0
	for i := 0; i < len(s); i++ {
		var by string
		switch s[i] {
		case 0:
			by = "\uFFFD"
		case '"':
			by = "&#34;"
		case '&':
			by = "&amp;"
		case '\'':
			by = "&#39;"
		case '+':
			by = "&#43;"
		case '<':
			by = "&lt;"
		case '>':
			by = "&gt;"
		default:
			continue
		}
		b.WriteString(s[from:i])
		b.WriteString(by)
		from = i + 1
	}
	b.WriteString(s[from:])
	return nil
}

// address writes an address, or a part of one, that needs no care; one that may
// name a scheme is odd.
func address(b *bytes.Buffer, s string) error { return careless(b, s, "/?=&") }

// word writes a part of a query.
func word(b *bytes.Buffer, s string) error { return careless(b, s, "") }

func careless(b *bytes.Buffer, s, also string) error {
	amp := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
		case c == '&' && also != "":
			amp = true
		case strings.IndexByte(also, c) < 0:
			return errOdd
		}
	}
	if !amp {
		b.WriteString(s)
		return nil
	}
	return plain(b, s)
}
