package rule

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"bihuan/internal/fault"
	"bihuan/internal/field"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"golang.org/x/text/width"
)

// The language of conditions is a small part of expr: names from the list of
// variables, literals, and, or, not, comparisons, "in" a written list, arithmetic,
// and the functions below. There are no loops, no variables, no further functions,
// and the size of a program and the memory it takes are bounded.

const (
	maxNodes     = 600
	memoryBudget = 20_000 // values an evaluation may make
)

// functions of the language; rule.fn.<name> says what each does.
var functions = []string{"has", "isset", "any_of", "last_days", "next_days", "before", "after"}

// operators of the language.
var operators = []string{"and", "&&", "or", "||", "not", "!", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/"}

var options = []expr.Option{
	expr.AsBool(), expr.DisableAllBuiltins(), expr.MaxNodes(maxNodes),
	expr.Function("has", func(p ...any) (any, error) {
		text := folded(p[0].(string))
		return slices.ContainsFunc(p[1:], func(w any) bool { return text.has(newWord(w.(string))) }), nil
	}, new(func(string, ...string) bool)),
	expr.Function("isset", func(p ...any) (any, error) {
		switch v := p[0].(type) {
		case string:
			return v != "", nil
		case float64:
			return !math.IsNaN(v), nil
		case int:
			return v != 0, nil
		case bool:
			return true, nil
		case []int:
			return len(v) > 0, nil
		case []string:
			return len(v) > 0, nil
		}
		return false, nil
	}, new(func(string) bool), new(func(float64) bool), new(func(int) bool), new(func(bool) bool), new(func([]int) bool), new(func([]string) bool)),
	expr.Function("any_of", func(p ...any) (any, error) {
		switch v := p[0].(type) {
		case []int:
			return slices.ContainsFunc(p[1:], func(x any) bool { n, ok := x.(int); return ok && slices.Contains(v, n) }), nil
		case []string:
			return slices.ContainsFunc(p[1:], func(x any) bool { n, ok := x.(string); return ok && slices.Contains(v, n) }), nil
		}
		return false, nil
	}, new(func([]int, ...int) bool), new(func([]string, ...string) bool)),
	expr.Function("before", func(p ...any) (any, error) { return p[0].(string) != "" && p[0].(string) < p[1].(string), nil }, new(func(string, string) bool)),
	expr.Function("after", func(p ...any) (any, error) { return p[0].(string) != "" && p[0].(string) > p[1].(string), nil }, new(func(string, string) bool)),
}

// folds remembers the comparable form of the long texts that were asked for
// last: hundreds of rules look for words in one description.
var folds struct {
	sync.Mutex
	ring [8]struct {
		of string
		is *foldedText
	}
	next int
}

// foldedText is a text in its comparable form, with the characters it has: most
// words have one that is not in it, which is quicker to see than to search for.
type foldedText struct {
	text string
	seen [64]uint64 // by the low bits of each character
}

// folded returns the comparable form of s.
func folded(s string) *foldedText {
	folds.Lock()
	defer folds.Unlock()
	for i := range folds.ring {
		// The same text, not an equal one: comparing would cost what folding does.
		if f := &folds.ring[i]; f.is != nil && len(f.of) == len(s) && unsafe.StringData(f.of) == unsafe.StringData(s) {
			return f.is
		}
	}
	f := &folds.ring[folds.next]
	folds.next = (folds.next + 1) % len(folds.ring)
	f.of, f.is = s, &foldedText{text: fold(s)}
	for _, r := range f.is.text {
		f.is.seen[r>>6&63] |= 1 << (r & 63)
	}
	return f.is
}

// foldedWord is a word somebody looks for.
type foldedWord struct {
	text  string
	runes []rune
}

func newWord(s string) foldedWord {
	w := foldedWord{text: fold(s)}
	w.runes = []rune(w.text)
	return w
}

// has reports whether w is in f; nothing is in no text.
func (f *foldedText) has(w foldedWord) bool {
	for _, r := range w.runes {
		if f.seen[r>>6&63]&(1<<(r&63)) == 0 {
			return false
		}
	}
	return w.text != "" && strings.Contains(f.text, w.text)
}

// fold makes two spellings the same: full width and capitals do not count.
func fold(s string) string {
	if plain(s) {
		return s
	}
	return strings.ToLower(width.Fold.String(s))
}

// plain reports whether s surely has one spelling only, as most words of
// conditions have: Chinese characters, digits, small letters.
func plain(s string) bool {
	for _, r := range s {
		if r >= 0x80 && !(r >= 0x4e00 && r <= 0x9fff) || r >= 'A' && r <= 'Z' {
			return false
		}
	}
	return true
}

// names of the language in the eyes of its checker.
func environment(vs []Var) types.Map {
	env := types.Map{"last_days": types.TypeOf(func(string, int) bool { return false }), "next_days": types.TypeOf(func(string, int) bool { return false })}
	own := map[string]types.Map{ticketFields: {}, customerFields: {}}
	for _, v := range vs {
		if obj, code, ok := strings.Cut(v.Code, "."); ok {
			own[obj][code] = typeOf[v.Kind]
		} else {
			env[v.Code] = typeOf[v.Kind]
		}
	}
	for name, m := range own {
		env[name] = m
	}
	return env
}

// program is a compiled condition with what it reads.
type program struct {
	text string
	code *vm.Program
	uses []string // codes of variables
	only []guard  // what must hold for the whole to hold; asked first
	test test     // the same in the program's own code; nil: only the interpreter understands it
}

// guard is a condition on a code of the ticket that stands in the outermost "and".
type guard struct {
	code string
	is   []string
}

// guards are the conditions of the outermost "and" that compare a code with codes.
func guards(n ast.Node) (out []guard) {
	for _, m := range members(n, map[bool]string{true: "and"}[joined(n) == "and"]) {
		b, ok := m.(*ast.BinaryNode)
		if !ok {
			continue
		}
		name, ok := b.Left.(*ast.IdentifierNode)
		if !ok {
			continue
		}
		var nodes []ast.Node
		switch right := b.Right.(type) {
		case *ast.ArrayNode:
			if b.Operator == "in" {
				nodes = right.Nodes
			}
		case *ast.StringNode:
			if b.Operator == "==" {
				nodes = []ast.Node{right}
			}
		}
		g := guard{code: name.Value}
		for _, x := range nodes {
			s, ok := x.(*ast.StringNode)
			if !ok {
				g.is = nil
				break
			}
			g.is = append(g.is, s.Value)
		}
		if len(g.is) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// Compile checks and compiles an expression. What is wrong is a fault at the
// field "expr" that says where and names the remedy.
func Compile(text string, vs []Var) (p program, err error) {
	return compile(text, vs, expr.Env(environment(vs)))
}

func compile(text string, vs []Var, env expr.Option) (p program, err error) {
	p.text = text
	if n := utf8.RuneCountInString(text); n > maxExpr {
		return p, bad("rule.expr.long", maxExpr, n)
	}
	if strings.TrimSpace(text) == "" {
		return p, bad("rule.expr.empty")
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return p, explained(text, err)
	}
	w := walker{text: text, vs: vs}
	w.walk(tree.Node)
	if w.err != nil {
		return p, w.err
	}
	p.uses, p.only = w.uses, guards(tree.Node)
	if p.code, err = expr.Compile(text, append([]expr.Option{env}, options...)...); err != nil {
		return p, explained(text, err)
	}
	p.test = native(tree.Node, vs)
	return p, nil
}

func bad(key string, args ...any) error {
	return fault.Invalidf("rule.invalid").Field("expr", key, args...)
}

// place is line and column, counted from 1, of a character.
func place(text string, at int) (line, column int) {
	line, column = 1, 1
	for i, r := range []rune(text) {
		if i >= at {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// explained says in the reader's words what the compiler found.
func explained(text string, err error) error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		if strings.Contains(err.Error(), "expected bool") {
			return bad("rule.expr.bool")
		}
		return bad("rule.expr.wrong", 1, 1, "")
	}
	line, column := place(text, fe.From)
	runes := []rune(text)
	from := max(0, min(fe.From, len(runes)))
	near := string(runes[from:min(len(runes), from+12)])
	m := fe.Message
	switch {
	case strings.Contains(m, "unknown name"), strings.Contains(m, "unknown field"):
		name := m[strings.LastIndexByte(m, ' ')+1:]
		return bad("rule.expr.name", line, column, name)
	case strings.Contains(m, "literal not terminated"):
		return bad("rule.expr.quote", line, column)
	case strings.Contains(m, "EOF"), near == "":
		return bad("rule.expr.ends", line, column)
	case strings.Contains(m, "mismatched type"), strings.Contains(m, "cannot use"), strings.Contains(m, "invalid argument"):
		return bad("rule.expr.types", line, column, near)
	case strings.Contains(m, "not enough arguments"), strings.Contains(m, "too many arguments"):
		return bad("rule.expr.arguments", line, column, near)
	case strings.Contains(m, "maximum allowed nodes"):
		return bad("rule.expr.nodes", maxNodes)
	}
	return bad("rule.expr.wrong", line, column, near)
}

// walker lets through what the language is made of.
type walker struct {
	text string
	vs   []Var
	uses []string
	err  error
}

func (w *walker) refuse(n ast.Node, key string, args ...any) {
	if w.err == nil {
		line, column := place(w.text, n.Location().From)
		w.err = bad(key, append([]any{line, column}, args...)...)
	}
}

func (w *walker) use(n ast.Node, code string) {
	if _, ok := find(w.vs, code); !ok {
		w.refuse(n, "rule.expr.name", code)
		return
	}
	if !slices.Contains(w.uses, code) {
		w.uses = append(w.uses, code)
	}
}

func (w *walker) walk(n ast.Node) {
	if w.err != nil {
		return
	}
	switch n := n.(type) {
	case *ast.IdentifierNode:
		w.use(n, n.Value)
	case *ast.MemberNode:
		if code, ok := named(n); ok && !n.Optional {
			w.use(n.Node, code)
		} else {
			w.refuse(n, "rule.expr.not_allowed", clip(n.String()))
		}
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
	case *ast.UnaryNode:
		if !slices.Contains(operators, n.Operator) {
			w.refuse(n, "rule.expr.not_allowed", n.Operator)
		}
		w.walk(n.Node)
	case *ast.BinaryNode:
		if !slices.Contains(operators, n.Operator) {
			w.refuse(n, "rule.expr.not_allowed", n.Operator)
		}
		w.walk(n.Left)
		w.walk(n.Right)
	case *ast.ArrayNode:
		for _, x := range n.Nodes {
			w.walk(x)
		}
	case *ast.CallNode:
		f, ok := n.Callee.(*ast.IdentifierNode)
		if !ok || !slices.Contains(functions, f.Value) {
			w.refuse(n, "rule.expr.function", clip(n.Callee.String()), strings.Join(functions, ", "))
			return
		}
		for _, x := range n.Arguments {
			w.walk(x)
		}
	case *ast.BuiltinNode:
		w.refuse(n, "rule.expr.function", n.Name, strings.Join(functions, ", "))
	default:
		w.refuse(n, "rule.expr.not_allowed", clip(n.String()))
	}
}

func clip(s string) string {
	if r := []rune(s); len(r) > 30 {
		s = string(r[:30])
		if open := strings.LastIndexByte(s, '{'); open > strings.LastIndexByte(s, '}') {
			s = s[:open] // no half of a name
		}
		return s + "…"
	}
	return s
}

// needs says what has to be loaded for p.
func (p program) needs(ids map[string]fieldRef) (w wants) {
	w.add(wants{})
	for _, code := range p.uses {
		w.vars[code] = true
		if ref, ok := ids[code]; ok {
			w.add(wants{own: map[field.Object][]fieldRef{ref.obj: {ref}}})
			continue
		}
		for _, b := range builtins {
			if b.code == code {
				w.need |= b.need
			}
		}
	}
	return w
}

// fieldRef is a custom field behind a variable.
type fieldRef struct {
	obj  field.Object
	id   int64
	code string
	kind VarKind
}

// machine evaluates programs one after the other.
type machine struct{ vm vm.VM }
