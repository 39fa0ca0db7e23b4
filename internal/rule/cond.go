package rule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Op compares a variable with values; rule.op.<op>.
type Op string

const (
	OpHas    Op = "has" // any of the words
	OpHasNot Op = "has_not"
	OpIs     Op = "is" // any of the values
	OpNot    Op = "not"
	OpMin    Op = "min"
	OpMax    Op = "max"
	OpEq     Op = "eq"
	OpNe     Op = "ne"
	OpYes    Op = "yes"
	OpNo     Op = "no"
	OpLast   Op = "last" // within so many days until today
	OpNext   Op = "next"
	OpBefore Op = "before"
	OpAfter  Op = "after"
	OpOn     Op = "on"
	OpSet    Op = "set"
	OpEmpty  Op = "empty"
)

// Ops are the comparisons v knows, in the order they are offered.
func (v Var) Ops() []Op {
	var out []Op
	switch v.Kind {
	case KText:
		out = []Op{OpHas, OpHasNot, OpIs, OpNot}
	case KChoice, KUser, KPick, KIDs, KCodes:
		out = []Op{OpIs, OpNot}
	case KNumber:
		out = []Op{OpMin, OpMax, OpEq, OpNe}
	case KBool:
		return []Op{OpYes, OpNo}
	case KDate:
		out = []Op{OpLast, OpNext, OpBefore, OpAfter, OpOn}
	}
	if v.Blank {
		out = append(out, OpSet, OpEmpty)
	}
	return out
}

// Bare reports whether o takes no value.
func (o Op) Bare() bool { return o == OpYes || o == OpNo || o == OpSet || o == OpEmpty }

// Many reports whether o takes several values for v.
func (o Op) Many(v Var) bool {
	return (o == OpIs || o == OpNot) || v.Kind == KText && (o == OpHas || o == OpHasNot)
}

// Cond is a row of the form.
type Cond struct {
	Field  string   `json:"field"`
	Op     Op       `json:"op"`
	Values []string `json:"values,omitempty"`
}

// Group are rows of which all, or any, must hold.
type Group struct {
	Any   bool   `json:"any,omitempty"`
	Conds []Cond `json:"conds"`
}

// Conditions are groups of which all, or any, must hold; none: always.
type Conditions struct {
	Any    bool    `json:"any,omitempty"`
	Groups []Group `json:"groups,omitempty"`
}

// Empty reports whether nothing is asked.
func (c Conditions) Empty() bool {
	return !slices.ContainsFunc(c.Groups, func(g Group) bool { return len(g.Conds) > 0 })
}

// Limits of the form.
const (
	maxGroups = 10
	maxConds  = 30
	maxValues = 50
	maxValue  = 200
	maxExpr   = 4000
)

// tidy leaves out what is empty, and gathers what needs no group of its own: the
// form that comes back from its expression.
func (c Conditions) tidy() Conditions {
	out := Conditions{Any: c.Any}
	var groups []Group
	for _, g := range c.Groups {
		if len(g.Conds) > 0 {
			groups = append(groups, g)
		}
	}
	if len(groups) == 1 {
		out.Any = groups[0].Any
		if len(groups[0].Conds) == 1 {
			out.Any, groups[0].Any = false, false
		}
	}
	loose := Group{Any: out.Any}
	for _, g := range groups {
		if len(g.Conds) == 1 || g.Any == out.Any {
			loose.Conds = append(loose.Conds, g.Conds...)
		} else {
			out.Groups = append(out.Groups, g)
		}
	}
	if len(loose.Conds) > 0 {
		out.Groups = append([]Group{loose}, out.Groups...)
	}
	return out
}

// check says what is wrong with a row, at its field "c.<group>.<row>".
func (c Cond) check(vs []Var, at string, e *fault.Error) {
	v, ok := find(vs, c.Field)
	switch {
	case !ok:
		e.Field(at, "rule.cond.field")
		return
	case !slices.Contains(v.Ops(), c.Op):
		e.Field(at, "rule.cond.op", v.Label)
		return
	case c.Op.Bare():
		return
	case len(c.Values) == 0:
		e.Field(at, "rule.cond.value", v.Label)
		return
	case len(c.Values) > maxValues || !c.Op.Many(v) && len(c.Values) > 1:
		e.Field(at, "rule.cond.many", v.Label)
		return
	}
	for _, x := range c.Values {
		if n := utf8.RuneCountInString(x); n > maxValue || strings.TrimSpace(x) == "" {
			e.Field(at, "rule.cond.value", v.Label)
			return
		}
		bad := false
		switch {
		case c.Op == OpLast || c.Op == OpNext:
			n, err := strconv.Atoi(x)
			bad = err != nil || n < 0 || n > 36500
		case v.Kind == KNumber:
			_, err := number(x)
			bad = err != nil
		case v.Kind == KDate:
			_, err := time.Parse(time.DateOnly, x)
			bad = err != nil
		case v.Kind == KUser || v.Kind == KIDs || v.Kind == KPick:
			n, err := strconv.Atoi(x)
			bad = err != nil || n <= 0
		}
		if (v.Kind == KChoice || v.Kind == KPick || v.Kind == KCodes) && !bad {
			bad = !slices.ContainsFunc(v.Options, func(o Option) bool { return o.Value == x })
		}
		if bad {
			e.Field(at, "rule.cond.bad", v.Label, x)
			return
		}
	}
}

func number(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || math.Abs(f) > 1e12 {
		return 0, fmt.Errorf("rule: %q is no number", s)
	}
	return f, nil
}

// check says what is wrong with the form.
func (c Conditions) check(vs []Var) error {
	e := fault.Invalidf("rule.invalid")
	if len(c.Groups) > maxGroups {
		e.Field("conditions", "rule.cond.groups", maxGroups)
	}
	for i, g := range c.Groups {
		if len(g.Conds) > maxConds {
			e.Field("conditions", "rule.cond.rows", maxConds)
		}
		for j, x := range g.Conds {
			x.check(vs, fmt.Sprintf("c.%d.%d", i, j), e)
		}
	}
	return e.OrNil()
}

// Text returns the conditions as an expression; "true" when nothing is asked.
// They have been checked.
func (c Conditions) Text(vs []Var) string {
	c = c.tidy()
	if len(c.Groups) == 0 {
		return "true"
	}
	parts := make([]string, 0, len(c.Groups))
	for i, g := range c.Groups {
		rows := make([]string, len(g.Conds))
		for j, x := range g.Conds {
			rows[j] = x.Text(vs)
		}
		text := strings.Join(rows, word(g.Any))
		if len(rows) > 1 && i+len(c.Groups) > 1 && g.Any != c.Any {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, word(c.Any))
}

func word(any bool) string {
	if any {
		return " or "
	}
	return " and "
}

// Text returns the row as an expression.
func (c Cond) Text(vs []Var) string {
	v, _ := find(vs, c.Field)
	name := ident(c.Field)
	values := make([]string, len(c.Values))
	for i, x := range c.Values {
		switch {
		case c.Op == OpLast || c.Op == OpNext || v.Kind == KUser || v.Kind == KPick || v.Kind == KIDs:
			values[i] = x
		case v.Kind == KNumber:
			f, _ := number(x)
			values[i] = strconv.FormatFloat(f, 'f', -1, 64)
		default:
			values[i] = strconv.Quote(x)
		}
	}
	list := strings.Join(values, ", ")
	call := func(f string, neg bool) string {
		s := f + "(" + name
		if list != "" {
			s += ", " + list
		}
		if s += ")"; neg {
			s = "not " + s
		}
		return s
	}
	several := v.Kind == KIDs || v.Kind == KCodes
	switch c.Op {
	case OpHas, OpHasNot:
		return call("has", c.Op == OpHasNot)
	case OpIs, OpNot:
		if several {
			return call("any_of", c.Op == OpNot)
		}
		if c.Op == OpNot {
			return name + " not in [" + list + "]"
		}
		return name + " in [" + list + "]"
	case OpMin:
		return name + " >= " + list
	case OpMax:
		return name + " <= " + list
	case OpEq:
		return name + " == " + list
	case OpNe:
		return name + " != " + list
	case OpYes:
		return name
	case OpNo:
		return "not " + name
	case OpLast:
		return call("last_days", false)
	case OpNext:
		return call("next_days", false)
	case OpBefore:
		return call("before", false)
	case OpAfter:
		return call("after", false)
	case OpOn:
		return name + " == " + list
	case OpEmpty:
		return call("isset", true)
	}
	return call("isset", false)
}

// ident writes a variable: fields.site, or fields["年产值"] where the code is no
// word of the language.
func ident(code string) string {
	obj, own, ok := strings.Cut(code, ".")
	if !ok {
		return code
	}
	for i, r := range own {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return obj + "[" + strconv.Quote(own) + "]"
		}
	}
	return code
}

// Read is the way back from an expression to the form; ok is false when the form
// cannot show it.
func Read(text string, vs []Var) (c Conditions, ok bool) {
	if strings.TrimSpace(text) == "" || strings.TrimSpace(text) == "true" {
		return c, true
	}
	if len(text) > maxExpr*4 {
		return c, false
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return c, false
	}
	top := joined(tree.Node)
	c.Any = top == "or"
	loose := Group{Any: c.Any}
	for _, n := range members(tree.Node, top) {
		if w := joined(n); w != "" {
			g := Group{Any: w == "or"}
			for _, m := range members(n, w) {
				x, ok := row(m, vs)
				if !ok {
					return Conditions{}, false
				}
				g.Conds = append(g.Conds, x)
			}
			c.Groups = append(c.Groups, g)
			continue
		}
		x, ok := row(n, vs)
		if !ok {
			return Conditions{}, false
		}
		loose.Conds = append(loose.Conds, x)
	}
	if len(loose.Conds) > 0 {
		c.Groups = append([]Group{loose}, c.Groups...)
	}
	return c.tidy(), c.check(vs) == nil
}

// joined is the word n joins its parts with: and, or; "" when it does not.
func joined(n ast.Node) string {
	if b, ok := n.(*ast.BinaryNode); ok {
		switch b.Operator {
		case "and", "&&":
			return "and"
		case "or", "||":
			return "or"
		}
	}
	return ""
}

func members(n ast.Node, w string) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && w != "" && joined(n) == w {
		return append(members(b.Left, w), members(b.Right, w)...)
	}
	return []ast.Node{n}
}

// named is the variable n names.
func named(n ast.Node) (code string, ok bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value, true
	case *ast.MemberNode:
		obj, isName := n.Node.(*ast.IdentifierNode)
		own, isText := n.Property.(*ast.StringNode)
		if isName && isText {
			return obj.Value + "." + own.Value, true
		}
	}
	return "", false
}

// literal is a value as the form writes it.
func literal(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return strconv.Itoa(n.Value), true
	case *ast.FloatNode:
		return strconv.FormatFloat(n.Value, 'f', -1, 64), true
	case *ast.UnaryNode:
		if n.Operator == "-" {
			if s, ok := literal(n.Node); ok && !strings.HasPrefix(s, "-") {
				return "-" + s, true
			}
		}
	}
	return "", false
}

func literals(ns []ast.Node) (out []string, ok bool) {
	for _, n := range ns {
		s, ok := literal(n)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// row is one condition of the form.
func row(n ast.Node, vs []Var) (c Cond, ok bool) {
	neg := false
	if u, is := n.(*ast.UnaryNode); is && (u.Operator == "not" || u.Operator == "!") {
		neg, n = true, u.Node
	}
	pick := func(yes, no Op) bool {
		c.Op = yes
		if neg {
			c.Op = no
		}
		return c.Op != ""
	}
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode:
		if c.Field, ok = named(n); !ok {
			return c, false
		}
		ok = pick(OpYes, OpNo)
	case *ast.CallNode:
		f, is := n.Callee.(*ast.IdentifierNode)
		if !is || len(n.Arguments) == 0 {
			return c, false
		}
		if c.Field, ok = named(n.Arguments[0]); !ok {
			return c, false
		}
		if c.Values, ok = literals(n.Arguments[1:]); !ok {
			return c, false
		}
		switch f.Value {
		case "has":
			ok = pick(OpHas, OpHasNot)
		case "any_of":
			ok = pick(OpIs, OpNot)
		case "isset":
			ok = pick(OpSet, OpEmpty)
		case "last_days":
			ok = pick(OpLast, "")
		case "next_days":
			ok = pick(OpNext, "")
		case "before":
			ok = pick(OpBefore, "")
		case "after":
			ok = pick(OpAfter, "")
		default:
			return c, false
		}
	case *ast.BinaryNode:
		if c.Field, ok = named(n.Left); !ok {
			return c, false
		}
		if n.Operator == "in" {
			list, is := n.Right.(*ast.ArrayNode)
			if !is {
				return c, false
			}
			if c.Values, ok = literals(list.Nodes); !ok {
				return c, false
			}
			ok = pick(OpIs, OpNot)
			break
		}
		if neg {
			return c, false
		}
		x, is := literal(n.Right)
		if !is {
			return c, false
		}
		c.Values = []string{x}
		v, _ := find(vs, c.Field)
		switch n.Operator {
		case ">=":
			c.Op = OpMin
		case "<=":
			c.Op = OpMax
		case "==":
			switch v.Kind {
			case KDate:
				c.Op = OpOn
			case KNumber:
				c.Op = OpEq
			default:
				c.Op = OpIs
			}
		case "!=":
			if c.Op = OpNot; v.Kind == KNumber {
				c.Op = OpNe
			}
		default:
			return c, false
		}
	default:
		return c, false
	}
	if !ok {
		return c, false
	}
	v, known := find(vs, c.Field)
	return c, known && slices.Contains(v.Ops(), c.Op)
}

// Say is the row in words; names says records by their id.
func (c Cond) Say(l i18n.Lang, vs []Var, names func(pick, id string) string) string {
	v, ok := find(vs, c.Field)
	if !ok {
		return c.Field
	}
	shown := make([]string, len(c.Values))
	for i, x := range c.Values {
		shown[i] = v.Shown(x, names)
	}
	unit := ""
	if c.Op == OpLast || c.Op == OpNext {
		unit = " " + i18n.T(l, "rule.days")
	}
	return strings.TrimSpace(v.Label + " " + i18n.T(l, "rule.op."+string(c.Op)) + " " + strings.Join(shown, i18n.T(l, "rule.or_sign")) + unit)
}

// Shown is a value of v by its name.
func (v Var) Shown(x string, names func(pick, id string) string) string {
	for _, o := range v.Options {
		if o.Value == x {
			return o.Label
		}
	}
	if v.Pick != "" && names != nil {
		if n := names(v.Pick, x); n != "" {
			return n
		}
	}
	return x
}

// Say is the whole in words.
func (c Conditions) Say(l i18n.Lang, vs []Var, names func(pick, id string) string) string {
	c = c.tidy()
	if c.Empty() {
		return i18n.T(l, "rule.always")
	}
	and := func(any bool) string {
		if any {
			return i18n.T(l, "rule.word.or")
		}
		return i18n.T(l, "rule.word.and")
	}
	var groups []string
	for _, g := range c.Groups {
		var rows []string
		for _, x := range g.Conds {
			rows = append(rows, x.Say(l, vs, names))
		}
		text := strings.Join(rows, and(g.Any))
		if len(rows) > 1 && len(c.Groups) > 1 && g.Any != c.Any {
			text = i18n.T(l, "rule.brackets", text)
		}
		groups = append(groups, text)
	}
	return strings.Join(groups, and(c.Any))
}

// Check says what is wrong with the form, at its rows.
func (c Conditions) Check(vs []Var) error { return c.check(vs) }
