package rule

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// verdict is whether the conditions of a rule hold. Undecided: nobody has asked, or
// something the answer depends on has not been loaded.
type verdict int8

const (
	undecided verdict = iota
	met
	unmet
)

func verdictOf(b bool) verdict {
	if b {
		return met
	}
	return unmet
}

// test is a condition in the program's own code, for the shapes the form writes:
// hundreds of rules are asked about each event, and an interpreter costs ten times
// as much. It is undecided while a value that decides is not loaded.
type test func(env map[string]any) verdict

// native turns an expression that has been checked into a test; nil when it has a
// part only the interpreter understands, such as arithmetic.
func native(n ast.Node, vs []Var) test {
	switch n := n.(type) {
	case *ast.BoolNode:
		v := verdictOf(n.Value)
		return func(map[string]any) verdict { return v }
	case *ast.IdentifierNode, *ast.MemberNode:
		code, ok := named(n)
		if !ok {
			return nil
		}
		return of(code, func(b bool) bool { return b })
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" {
			return nil
		}
		inner := native(n.Node, vs)
		if inner == nil {
			return nil
		}
		return func(env map[string]any) verdict {
			switch inner(env) {
			case met:
				return unmet
			case unmet:
				return met
			}
			return undecided
		}
	case *ast.BinaryNode:
		if w := joined(n); w != "" {
			return both(native(n.Left, vs), native(n.Right, vs), w == "or")
		}
		return comparison(n, vs)
	case *ast.CallNode:
		return function(n)
	}
	return nil
}

// both joins two tests with "and" or "or": one of them may settle it alone.
func both(left, right test, or bool) test {
	if left == nil || right == nil {
		return nil
	}
	settles, otherwise := unmet, met
	if or {
		settles, otherwise = met, unmet
	}
	return func(env map[string]any) verdict {
		l := left(env)
		if l == settles {
			return settles
		}
		switch r := right(env); {
		case r == settles:
			return settles
		case l == undecided || r == undecided:
			return undecided
		}
		return otherwise
	}
}

// of tests a variable whose values are Ts.
func of[T any](code string, holds func(T) bool) test {
	obj, own, nested := strings.Cut(code, ".")
	return func(env map[string]any) verdict {
		at := env
		if nested {
			at, _ = env[obj].(map[string]any)
		}
		name := code
		if nested {
			name = own
		}
		v, ok := at[name].(T)
		if !ok {
			return undecided
		}
		return verdictOf(holds(v))
	}
}

// comparison is a variable compared with a literal or a list of them.
func comparison(n *ast.BinaryNode, vs []Var) test {
	code, ok := named(n.Left)
	if !ok {
		return nil
	}
	v, ok := find(vs, code)
	if !ok {
		return nil
	}
	nodes, op := []ast.Node{n.Right}, n.Operator
	if list, is := n.Right.(*ast.ArrayNode); is && op == "in" {
		nodes, op = list.Nodes, "=="
	} else if op == "in" {
		return nil
	}
	switch typeOf[v.Kind] {
	case typeOf[KText]:
		if words, ok := literalsOf[string](nodes); ok {
			switch op {
			case "==":
				return of(code, func(s string) bool { return slices.Contains(words, s) })
			case "!=":
				return of(code, func(s string) bool { return s != words[0] })
			}
		}
	case typeOf[KUser]:
		if ids, ok := literalsOf[int](nodes); ok {
			switch op {
			case "==":
				return of(code, func(i int) bool { return slices.Contains(ids, i) })
			case "!=":
				return of(code, func(i int) bool { return i != ids[0] })
			}
		}
	case typeOf[KNumber]:
		if n.Operator == "in" {
			return nil
		}
		x, ok := numeral(n.Right)
		if !ok {
			return nil
		}
		switch op {
		case "==":
			return of(code, func(f float64) bool { return f == x })
		case "!=":
			return of(code, func(f float64) bool { return f != x })
		case ">=":
			return of(code, func(f float64) bool { return f >= x })
		case "<=":
			return of(code, func(f float64) bool { return f <= x })
		case ">":
			return of(code, func(f float64) bool { return f > x })
		case "<":
			return of(code, func(f float64) bool { return f < x })
		}
	}
	return nil
}

// function is a call with a variable and literals.
func function(n *ast.CallNode) test {
	f, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) == 0 {
		return nil
	}
	code, ok := named(n.Arguments[0])
	if !ok {
		return nil
	}
	rest := n.Arguments[1:]
	words, areWords := literalsOf[string](rest)
	ids, areIDs := literalsOf[int](rest)
	switch {
	case f.Value == "has" && areWords:
		looked := make([]foldedWord, len(words))
		for i, w := range words {
			looked[i] = newWord(w)
		}
		return of(code, func(s string) bool { return slices.ContainsFunc(looked, folded(s).has) })
	case f.Value == "any_of" && len(rest) > 0 && areIDs:
		return of(code, func(have []int) bool {
			return slices.ContainsFunc(ids, func(id int) bool { return slices.Contains(have, id) })
		})
	case f.Value == "any_of" && len(rest) > 0 && areWords:
		return of(code, func(have []string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(have, w) })
		})
	case f.Value == "before" && len(rest) == 1 && areWords:
		return of(code, func(d string) bool { return d != "" && d < words[0] })
	case f.Value == "after" && len(rest) == 1 && areWords:
		return of(code, func(d string) bool { return d != "" && d > words[0] })
	case f.Value == "isset" && len(rest) == 0:
		tests := []test{of(code, func(s string) bool { return s != "" }), of(code, func(f float64) bool { return !math.IsNaN(f) }), of(code, func(i int) bool { return i != 0 }),
			of(code, func(bool) bool { return true }), of(code, func(ids []int) bool { return len(ids) > 0 }), of(code, func(cs []string) bool { return len(cs) > 0 })}
		return func(env map[string]any) verdict {
			for _, t := range tests {
				if v := t(env); v != undecided {
					return v
				}
			}
			return undecided
		}
	case (f.Value == "last_days" || f.Value == "next_days") && len(rest) == 1 && areIDs:
		day := func(env map[string]any) func(string, int) bool {
			within, _ := env[f.Value].(func(string, int) bool)
			return within
		}
		return func(env map[string]any) verdict {
			within := day(env)
			if within == nil {
				return undecided
			}
			return of(code, func(d string) bool { return within(d, ids[0]) })(env)
		}
	}
	return nil
}

// literalsOf are the values of literals of one type; ok is false when one is not.
func literalsOf[T string | int](nodes []ast.Node) (out []T, ok bool) {
	for _, n := range nodes {
		var v any
		switch n := n.(type) {
		case *ast.StringNode:
			v = n.Value
		case *ast.IntegerNode:
			v = n.Value
		}
		x, ok := v.(T)
		if !ok {
			return nil, false
		}
		out = append(out, x)
	}
	return out, true
}

// numeral is a number as it is written, with its sign.
func numeral(n ast.Node) (float64, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return float64(n.Value), true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.UnaryNode:
		if x, ok := numeral(n.Node); ok && n.Operator == "-" {
			return -x, true
		}
	}
	return 0, false
}

// loaded reports whether everything p reads is in env.
func (p *program) loaded(env map[string]any) bool {
	return !slices.ContainsFunc(p.uses, func(code string) bool {
		at := env
		if obj, own, nested := strings.Cut(code, "."); nested {
			at, _ = env[obj].(map[string]any)
			code = own
		}
		_, ok := at[code]
		return !ok
	})
}

// ask says whether p is true of env, as far as env tells.
func (m *machine) ask(p *program, env map[string]any) (verdict, error) {
	if p.test != nil {
		return p.test(env), nil
	}
	for _, g := range p.only {
		if v, ok := env[g.code].(string); ok && !slices.Contains(g.is, v) {
			return unmet, nil
		}
	}
	if !p.loaded(env) {
		return undecided, nil
	}
	ok, err := m.run(p, env)
	return verdictOf(ok), err
}

// holds reports whether p is true of env, which has everything p reads.
func (m *machine) holds(p *program, env map[string]any) (bool, error) {
	v, err := m.ask(p, env)
	if err == nil && v == undecided {
		return m.run(p, env)
	}
	return v == met, err
}

// run lets the interpreter say it.
func (m *machine) run(p *program, env map[string]any) (bool, error) {
	m.vm.MemoryBudget = memoryBudget
	out, err := m.vm.Run(p.code, env)
	if err != nil {
		return false, err
	}
	b, _ := out.(bool)
	return b, nil
}

// with is a copy of have with more; have may be in use elsewhere.
func with(have, more map[string]any) map[string]any {
	out := make(map[string]any, len(have)+len(more))
	maps.Copy(out, have)
	maps.Copy(out, more)
	return out
}
