package ruleui

import (
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/rule"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// The editor is a form that comes back from the server with each step, so that
// it works without a script; nothing is stored before it is saved.

type editView struct {
	Form       *web.Form
	ID         int64
	Version    int64
	Manage     bool
	Off        string
	Events     []ui.Option
	Kinds      []ui.Option
	Sinces     []ui.Option
	States     []ui.Option
	Units      []ui.Option
	Onces      []ui.Option
	Modes      []ui.Option
	Ways       []ui.Option
	Groups     []group
	Expert     bool
	TooComplex bool // the text cannot be shown as a form
	Expr       string
	Vars       []varGroup
	Acts       []act
	NewActs    []ui.Option
	Fired      int64
	FiredAt    time.Time
}

type group struct {
	N     int
	Mode  string
	Conds []cond
	Only  bool
}

// cond is a row being made.
type cond struct {
	Path    string
	What    string // names of its fields
	How     string
	Value   string
	Add     string
	Fields  []ui.Option
	Ops     []ui.Option
	Input   string // none, text, number, days, date, many
	First   string
	Options []ui.Option
	Chosen  []ui.Option
	Error   string
}

type act struct {
	N       int
	Do      string
	Name    string // "a.0."
	Label   string
	Icon    string
	Who     []ui.Option
	Users   []ui.Option
	Deps    []ui.Option
	Roles   []ui.Option
	Fields  []ui.Option
	Options []ui.Option
	Input   string // of a value that is set: choose, text, date, number
	First   bool
	Last    bool
	Preview string
	Params  []param // of an action of another room
}

// param is something an action of another room asks for.
type param struct {
	rule.Param
	Field   string // name of its control
	Label   string
	Shown   string // while the control has which value: "a.0.who=user"; "" always
	Choices []ui.Option
}

type varGroup struct {
	Label string
	Vars  []varLine
}

type varLine struct{ Code, Label, Kind, Values string }

var editPage = ui.NewPage[editView](files, "edit.html").Sample(
	editView{Form: &web.Form{}, ID: 3, Version: 1, Manage: true, Off: "o", Fired: 2, FiredAt: time.Unix(1, 0), Groups: []group{{N: 0, Mode: "c.m.0", Conds: sampleConds()}, {N: 1, Mode: "c.m.1", Only: true}},
		Acts: []act{{N: 0, Do: "assign", Name: "a.0.", Label: "l", Icon: "bolt", First: true}, {N: 1, Do: "set", Name: "a.1.", Label: "l", Icon: "bolt", Input: "choose"}, {N: 2, Do: "reply", Name: "a.2.", Label: "l", Icon: "bolt", Preview: "p"}, {N: 3, Do: "notify", Name: "a.3.", Label: "l", Icon: "bolt"},
			{N: 4, Do: "webhook", Name: "a.4.", Label: "l", Icon: "bolt"}, {N: 5, Do: "escalate", Name: "a.5.", Label: "l", Icon: "bolt", Last: true}, {N: 6, Do: "set", Name: "a.6.", Label: "l", Icon: "bolt", Input: "date"}, {N: 7, Do: "other", Name: "a.7.", Label: "l", Icon: "bolt", Params: sampleParams()}}},
	editView{Form: &web.Form{}, Manage: true, Expert: true, TooComplex: true, Expr: "true", Vars: []varGroup{{"g", []varLine{{"a", "l", "k", "v"}}}}})

func sampleParams() (out []param) {
	for _, k := range []string{"choose", "many", "number", "line", "text"} {
		out = append(out, param{Param: rule.Param{Name: k, Kind: k, Empty: "ui.form.choose", Max: 9}, Field: "a.7." + k, Label: "x", Shown: "a.7.choose=1", Choices: []ui.Option{{Value: "1", Label: "x"}}}, param{Param: rule.Param{Kind: k, Empty: "ui.form.choose"}, Field: "a.8." + k, Label: "x"})
	}
	return out
}

func sampleConds() (out []cond) {
	for i, in := range []string{"none", "text", "number", "days", "date", "many", ""} {
		path := "0." + strconv.Itoa(i)
		out = append(out, cond{Path: path, What: "c.f." + path, How: "c.o." + path, Value: "c.v." + path, Add: "c.w." + path, Input: in, First: "1", Error: "x", Ops: []ui.Option{{Value: "is", Label: "x"}}, Options: []ui.Option{{Value: "1", Label: "x"}}, Chosen: []ui.Option{{Value: "2", Label: "y"}}})
	}
	return out
}

var icons = map[string]string{rule.DoAssign: "transfer", rule.DoSet: "edit", rule.DoReply: "reply", rule.DoNote: "note", rule.DoNotify: "bell", rule.DoEscalate: "escalate", rule.DoWebhook: "plug"}

// units of the time of a rule, in minutes.
var units = []struct {
	code string
	min  int
}{{"days", 1440}, {"hours", 60}, {"minutes", 1}}

func (p *pages) showNew(w http.ResponseWriter, r *web.Request) error {
	x := rule.Rule{If: rule.Conditions{Groups: []rule.Group{{Conds: []rule.Cond{{}}}}}, When: rule.When{Events: []string{"registered"}}}
	v, err := p.editor(r, x, nil)
	if err != nil {
		return err
	}
	return editPage.Render(w, r, chrome(r, r.T("rule.new")), v)
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.s.Get(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v, err := p.editor(r, x, nil)
	if err != nil {
		return err
	}
	return editPage.Render(w, r, chrome(r, x.Name), v)
}

// read makes a rule of the form, unfinished rows included.
func (p *pages) read(f *web.Form) (x rule.Rule) {
	x = rule.Rule{ID: f.ID("id"), Version: f.Int64("version"), Name: f.String("name"), Note: f.Text("note"), StopAfter: f.Bool("stop_after"), Enabled: f.Bool("enabled"), Expert: f.Get("way") == "expert", Expr: f.Text("expr")}
	if f.Get("kind") == "time" {
		t := rule.Timing{Since: f.Get("since"), State: ticket.State(f.Get("since_state")), Once: f.Get("once")}
		n, _ := strconv.Atoi(f.String("amount"))
		for _, u := range units {
			if u.code == f.Get("unit") {
				t.Minutes = max(0, min(n, 1<<20)) * u.min
			}
		}
		if t.Since != "state" {
			t.State = ""
		}
		x.When.Time = &t
	} else {
		x.When.Events = f.Strings("events")
	}
	x.If = conditions(f)
	x.Then = p.chosen(f)
	return x
}

// numbers returns the n of the fields "<prefix><n>…", in order.
func numbers(f *web.Form, prefix string) (out []int) {
	for name := range f.Values {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			head, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(head); err == nil && n >= 0 && n < 100 && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out
}

func conditions(f *web.Form) (c rule.Conditions) {
	c.Any = f.Get("c.m") == "any"
	for _, i := range numbers(f, "c.m.") {
		g := rule.Group{Any: f.Get(fmt.Sprintf("c.m.%d", i)) == "any"}
		for _, j := range numbers(f, fmt.Sprintf("c.f.%d.", i)) {
			path := fmt.Sprintf("%d.%d", i, j)
			x := rule.Cond{Field: f.String("c.f." + path), Op: rule.Op(f.String("c.o." + path))}
			for _, v := range append(f.Strings("c.v."+path), f.String("c.w."+path)) {
				if v != "" && !slices.Contains(x.Values, v) {
					x.Values = append(x.Values, v)
				}
			}
			g.Conds = append(g.Conds, x)
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

// parameters of actions, as the form has them.
var parameters = []string{"to", "user", "department", "role", "who", "field", "value", "text", "url"}

// chosen are the actions of the form.
func (p *pages) chosen(f *web.Form) (out []rule.Act) {
	for _, i := range numbers(f, "a.") {
		a := rule.Act{Do: f.Get(fmt.Sprintf("a.%d.do", i)), Values: map[string]string{}}
		if a.Do == "" {
			continue
		}
		names := parameters
		other, _ := p.s.Other(a.Do)
		for _, o := range other.Params {
			names = append(slices.Clip(names), o.Name)
		}
		for _, name := range names {
			if v := strings.Join(f.Strings(fmt.Sprintf("a.%d.%s", i, name)), ","); v != "" {
				if name == "text" && other.Code == "" {
					v = f.Text(fmt.Sprintf("a.%d.text", i))
				}
				a.Values[name] = v
			}
		}
		out = append(out, a)
	}
	return out
}

// finish splits what was typed as several words, and leaves out rows for which
// nothing was chosen.
func finish(x rule.Rule, vs []rule.Var) rule.Rule {
	x.If.Groups = slices.Clone(x.If.Groups)
	for i, g := range x.If.Groups {
		var keep []rule.Cond
		for _, c := range g.Conds {
			if c.Field == "" {
				continue
			}
			keep = append(keep, split(c, vs))
		}
		x.If.Groups[i].Conds = keep
	}
	return x
}

func split(c rule.Cond, vs []rule.Var) rule.Cond {
	k := slices.IndexFunc(vs, func(v rule.Var) bool { return v.Code == c.Field })
	if k < 0 {
		return c
	}
	if c.Op.Bare() {
		c.Values = nil
		return c
	}
	if vs[k].Kind != rule.KText {
		if !c.Op.Many(vs[k]) && len(c.Values) > 1 {
			c.Values = c.Values[:1]
		}
		return c
	}
	var out []string
	for _, v := range c.Values {
		for _, w := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",，、;；\n", r) }) {
			if w = strings.TrimSpace(w); w != "" && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	c.Values = out
	return c
}

// step does a step of the form: row.<g>, unrow.<g>.<c>, group, ungroup.<g>,
// act (of the kind chosen), unact.<n>, up.<n>, down.<n>, expert, form.
func (p *pages) step(x rule.Rule, f *web.Form, vs []rule.Var) (rule.Rule, error) {
	word, rest, _ := strings.Cut(f.Get("do"), ".")
	a, b, _ := strings.Cut(rest, ".")
	i, erri := strconv.Atoi(a)
	j, errj := strconv.Atoi(b)
	inGroup := erri == nil && i >= 0 && i < len(x.If.Groups)
	inActs := erri == nil && i >= 0 && i < len(x.Then)
	switch {
	case word == "row" && inGroup:
		x.If.Groups[i].Conds = append(x.If.Groups[i].Conds, rule.Cond{})
	case word == "unrow" && inGroup && errj == nil && j >= 0 && j < len(x.If.Groups[i].Conds):
		x.If.Groups[i].Conds = slices.Delete(x.If.Groups[i].Conds, j, j+1)
	case word == "group":
		x.If.Groups = append(x.If.Groups, rule.Group{Conds: []rule.Cond{{}}})
	case word == "ungroup" && inGroup:
		x.If.Groups = slices.Delete(x.If.Groups, i, i+1)
	case word == "act" && slices.Contains(p.s.Actions(), f.Get("new_act")):
		x.Then = append(x.Then, rule.Act{Do: f.Get("new_act"), Values: map[string]string{}})
	case word == "unact" && inActs:
		x.Then = slices.Delete(x.Then, i, i+1)
	case word == "up" && inActs && i > 0:
		x.Then[i], x.Then[i-1] = x.Then[i-1], x.Then[i]
	case word == "down" && inActs && i < len(x.Then)-1:
		x.Then[i], x.Then[i+1] = x.Then[i+1], x.Then[i]
	case word == "expert":
		if !x.Expert {
			done := finish(x, vs)
			if err := done.If.Check(vs); err != nil {
				return x, err
			}
			x.Expr, x.Expert = done.If.Text(vs), true
		}
	case word == "form":
		c, ok := rule.Read(x.Expr, vs)
		if !ok {
			return x, fault.Invalidf("rule.invalid").Field("expr", "rule.expr.no_form")
		}
		x.If, x.Expert = c, false
	}
	if len(x.If.Groups) == 0 {
		x.If.Groups = []rule.Group{{Conds: []rule.Cond{{}}}}
	}
	return x, nil
}

func (p *pages) draft(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	vs, err := p.s.Vars(r.Context(), nil, r.Lang)
	if err != nil {
		return err
	}
	x, serr := p.step(p.read(f), f, vs)
	v, err := p.editor(r, x, f)
	if err != nil {
		return err
	}
	c := chrome(r, title(r, x))
	if serr != nil {
		if r.IsFragment() {
			return editPage.InvalidFragment(w, r, serr, v.Form, "editor", v)
		}
		return editPage.Invalid(w, r, serr, v.Form, c, v)
	}
	if r.IsFragment() {
		return editPage.Fragment(w, r, "editor", v)
	}
	return editPage.Render(w, r, c, v)
}

func title(r *web.Request, x rule.Rule) string {
	if x.ID == 0 {
		return r.T("rule.new")
	}
	return x.Name
}

func (p *pages) save(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	vs, err := p.s.Vars(r.Context(), nil, r.Lang)
	if err != nil {
		return err
	}
	x := finish(p.read(f), vs)
	if id := r.PathValue("id"); id != "" {
		if x.ID, err = r.PathID("id"); err != nil {
			return err
		}
	} else {
		x.ID = 0
	}
	if err = f.Err(); err == nil {
		_, err = p.s.Save(r.Context(), r.Actor, x)
	}
	if err != nil {
		v, verr := p.editor(r, x, f)
		if verr != nil {
			return verr
		}
		return editPage.Invalid(w, r, err, v.Form, chrome(r, title(r, x)), v)
	}
	r.Flash(w, "green", "rule.saved", x.Name)
	return r.SeeOther(w, "/admin/rules")
}

// editor draws x; f is what was typed, for the fields the rule does not keep.
func (p *pages) editor(r *web.Request, x rule.Rule, f *web.Form) (v editView, err error) {
	vs, err := p.s.Vars(r.Context(), nil, r.Lang)
	if err != nil {
		return v, err
	}
	ch, err := p.choices(r)
	if err != nil {
		return v, err
	}
	names, err := p.s.Names(r.Context())
	if err != nil {
		return v, err
	}
	form := r.Blank("name", x.Name, "note", x.Note, "stop_after", flag(x.StopAfter), "enabled", flag(x.Enabled), "way", "form", "kind", "event", "once", "state", "unit", "hours", "amount", "24", "since", "created")
	v = editView{Form: form, ID: x.ID, Version: x.Version, Manage: r.Actor.Can(rule.PermManage), Expert: x.Expert, Fired: x.Fired, FiredAt: x.FiredAt}
	if x.OffReason != "" {
		v.Off = r.T(x.OffReason)
	}
	opts := func(prefix string, codes ...string) (out []ui.Option) {
		for _, c := range codes {
			out = append(out, ui.Option{Value: c, Label: r.T(prefix + c)})
		}
		return out
	}
	for _, o := range rule.Occasions {
		v.Events = append(v.Events, ui.Option{Value: o.Code, Label: r.T("rule.on." + o.Code)})
	}
	v.Kinds, v.Sinces, v.Onces = opts("rule.kind.", "event", "time"), opts("rule.since.", rule.Sinces...), opts("rule.once.", rule.Onces...)
	v.Units, v.Modes = opts("rule.unit.", "minutes", "hours", "days"), opts("rule.mode.", "all", "any")
	for _, s := range ticket.States {
		if s != ticket.Closed && s != ticket.Cancelled {
			v.States = append(v.States, ui.Option{Value: string(s), Label: r.T("ticket.state." + string(s))})
		}
	}
	form.Values["events"] = x.When.Events
	if t := x.When.Time; t != nil {
		form.Set("kind", "time").Set("since", t.Since).Set("since_state", string(t.State)).Set("once", t.Once)
		for _, u := range units {
			if t.Minutes%u.min == 0 && t.Minutes > 0 {
				form.Set("unit", u.code).Set("amount", t.Minutes/u.min)
				break
			}
		}
		if f != nil && f.Has("amount") {
			form.Set("unit", f.Get("unit")).Set("amount", f.Get("amount"))
		}
	}
	if x.Expert {
		form.Set("way", "expert")
	}
	form.Set("expr", x.Expr)
	v.Expr = x.Expr
	if x.Expert {
		_, ok := rule.Read(x.Expr, vs)
		v.TooComplex = !ok
		v.Vars = p.help(r, vs)
	}
	p.conditions(r, &v, x, vs, ch, names)
	p.actions(r, &v, x, vs, ch)
	for _, a := range p.s.Actions() {
		v.NewActs = append(v.NewActs, ui.Option{Value: a, Label: r.T("rule.do." + a)})
	}
	return v, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

func (p *pages) conditions(r *web.Request, v *editView, x rule.Rule, vs []rule.Var, ch choices, names func(pick, id string) string) {
	form := v.Form
	mode := func(name string, any bool) {
		form.Set(name, map[bool]string{true: "any", false: "all"}[any])
	}
	var fields []ui.Option
	for _, x := range vs {
		fields = append(fields, ui.Option{Value: x.Code, Label: x.Label, Group: r.T("rule.group." + x.Group)})
	}
	mode("c.m", x.If.Any)
	groups := x.If.Groups
	if len(groups) == 0 {
		groups = []rule.Group{{}}
	}
	for i, g := range groups {
		gv := group{N: i, Mode: fmt.Sprintf("c.m.%d", i), Only: len(groups) == 1}
		mode(gv.Mode, g.Any)
		for j, c := range g.Conds {
			path := fmt.Sprintf("%d.%d", i, j)
			cv := cond{Path: path, What: "c.f." + path, How: "c.o." + path, Value: "c.v." + path, Add: "c.w." + path, Fields: fields}
			form.Set(cv.What, c.Field)
			if k := slices.IndexFunc(vs, func(a rule.Var) bool { return a.Code == c.Field }); k >= 0 {
				a := vs[k]
				ops := a.Ops()
				if !slices.Contains(ops, c.Op) {
					c.Op, c.Values = ops[0], nil
				}
				form.Set(cv.How, string(c.Op))
				for _, o := range ops {
					cv.Ops = append(cv.Ops, ui.Option{Value: string(o), Label: r.T("rule.op." + string(o))})
				}
				input(&cv, a, c, ch, names)
			}
			gv.Conds = append(gv.Conds, cv)
		}
		v.Groups = append(v.Groups, gv)
	}
}

// input says how the value of a row is asked for.
func input(cv *cond, a rule.Var, c rule.Cond, ch choices, names func(pick, id string) string) {
	if len(c.Values) > 0 {
		cv.First = c.Values[0]
	}
	switch {
	case c.Op.Bare():
		cv.Input = "none"
		return
	case c.Op == rule.OpLast || c.Op == rule.OpNext:
		cv.Input = "days"
		return
	case a.Kind == rule.KText:
		cv.Input, cv.First = "text", strings.Join(c.Values, "、")
		return
	case a.Kind == rule.KNumber:
		cv.Input = "number"
		return
	case a.Kind == rule.KDate:
		cv.Input = "date"
		return
	}
	cv.Input = "many"
	for _, o := range a.Options {
		cv.Options = append(cv.Options, ui.Option{Value: o.Value, Label: o.Label})
	}
	cv.Options = append(cv.Options, ch.of(a.Pick)...)
	for _, x := range c.Values {
		cv.Chosen = append(cv.Chosen, ui.Option{Value: x, Label: strings.TrimSpace(a.Shown(x, names))})
	}
	cv.Options = slices.DeleteFunc(slices.Clone(cv.Options), func(o ui.Option) bool { return slices.Contains(c.Values, o.Value) })
}

func (p *pages) actions(r *web.Request, v *editView, x rule.Rule, vs []rule.Var, ch choices) {
	for i, a := range x.Then {
		other, isOther := p.s.Other(a.Do)
		at := fmt.Sprintf("a.%d.", i)
		y := act{N: i, Do: a.Do, Name: at, Label: r.T("rule.do." + a.Do), Icon: icons[a.Do], First: i == 0, Last: i == len(x.Then)-1}
		for k, val := range a.Values {
			v.Form.Set(at+k, val)
		}
		v.Form.Set(at+"do", a.Do)
		if isOther {
			y.Icon, y.Params = other.Icon, p.params(r, v.Form, at, a, other, ch)
		}
		switch a.Do {
		case rule.DoAssign:
			for _, t := range rule.Targets {
				y.Who = append(y.Who, ui.Option{Value: t, Label: r.T("rule.assign." + t)})
			}
			y.Users, y.Deps = ch.users, ch.departments
		case rule.DoNotify:
			for _, t := range rule.Tellable {
				y.Who = append(y.Who, ui.Option{Value: t, Label: r.T("rule.tell." + t)})
			}
			y.Users, y.Roles = ch.users, ch.roles
		case rule.DoSet:
			for _, f := range rule.Settable {
				y.Fields = append(y.Fields, ui.Option{Value: f, Label: rule.FieldLabel(r.Lang, vs, f)})
			}
			for _, z := range vs {
				if strings.HasPrefix(z.Code, "fields.") {
					y.Fields = append(y.Fields, ui.Option{Value: z.Code, Label: z.Label, Group: r.T("rule.group.custom")})
				}
			}
			valueInput(r, &y, a.Get("field"), vs, ch)
		case rule.DoReply, rule.DoNote:
			if t := a.Get("text"); t != "" {
				y.Preview, _ = p.s.Preview(r.Context(), t, "zh_in")
			}
		}
		v.Acts = append(v.Acts, y)
	}
}

// params are the controls of an action of another room.
func (p *pages) params(r *web.Request, f *web.Form, at string, a rule.Act, o rule.Other, ch choices) (out []param) {
	for _, x := range o.Params {
		y := param{Param: x, Field: at + x.Name, Label: r.T("rule.param." + o.Code + "." + x.Name)}
		if x.When != "" {
			y.Shown = at + x.When
		}
		for _, c := range x.Options {
			y.Choices = append(y.Choices, ui.Option{Value: c, Label: r.T(x.Prefix + c)})
		}
		y.Choices = append(y.Choices, ch.of(x.Pick)...)
		if y.Empty == "" {
			y.Empty = "ui.form.choose"
		}
		if x.Kind == "many" {
			f.Values[y.Field] = strings.FieldsFunc(a.Get(x.Name), func(r rune) bool { return r == ',' })
		}
		out = append(out, y)
	}
	return out
}

// valueInput says how the value of a field that is set is asked for.
func valueInput(r *web.Request, y *act, f string, vs []rule.Var, ch choices) {
	y.Input = "text"
	if f == "" {
		y.Input = ""
		return
	}
	if f == "category" {
		y.Input, y.Options = "choose", ch.categories
		return
	}
	k := slices.IndexFunc(vs, func(v rule.Var) bool { return v.Code == f })
	if k < 0 {
		return
	}
	switch a := vs[k]; a.Kind {
	case rule.KChoice, rule.KCodes:
		y.Input = "choose"
		for _, o := range a.Options {
			y.Options = append(y.Options, ui.Option{Value: o.Value, Label: o.Label})
		}
	case rule.KUser:
		y.Input, y.Options = "choose", ch.users
	case rule.KBool:
		y.Input, y.Options = "choose", []ui.Option{{Value: "1", Label: r.T("rule.op.yes")}, {Value: "0", Label: r.T("rule.op.no")}}
	case rule.KDate:
		y.Input = "date"
	case rule.KNumber:
		y.Input = "number"
	}
}

// help lists what may be written in an expression.
func (p *pages) help(r *web.Request, vs []rule.Var) (out []varGroup) {
	for _, x := range vs {
		label := r.T("rule.group." + x.Group)
		if len(out) == 0 || out[len(out)-1].Label != label {
			out = append(out, varGroup{Label: label})
		}
		var values []string
		for _, o := range x.Options {
			values = append(values, o.Value+" "+o.Label)
		}
		g := &out[len(out)-1]
		g.Vars = append(g.Vars, varLine{Code: x.Code, Label: x.Label, Kind: r.T("rule.type." + string(x.Kind)), Values: strings.Join(values, r.T("rule.or_sign"))})
	}
	return out
}

type trialView struct {
	Form    *web.Form
	Hidden  [][2]string
	Days    []ui.Option
	Name    string
	Trial   rule.Trial
	Hits    []hitLine
	Back    string
	IsTime  bool
	When    string
	If      string
	Expert  bool
	Skipped int
}

type hitLine struct {
	Number, Title, State, Occasion, By string
	At                                 time.Time
	Held                               []string
	Acts                               []actLine
}

var trialPage = ui.NewPage[trialView](files, "trial.html").Sample(
	trialView{Form: &web.Form{}, Hidden: [][2]string{{"a", "b"}}, Name: "x", Trial: rule.Trial{Looked: 9, More: true, Tickets: 1, Failed: 1}, When: "w", If: "i", Skipped: 3, Hits: []hitLine{{Number: "T1", Title: "t", State: "pending", Occasion: "o", By: "b", At: time.Unix(1, 0), Held: []string{"h"}, Acts: []actLine{{"a", "would", "text"}}}}},
	trialView{Form: &web.Form{}, IsTime: true})

// shownHits bounds the page of a test run.
const shownHits = 200

func (p *pages) trial(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	vs, err := p.s.Vars(r.Context(), nil, r.Lang)
	if err != nil {
		return err
	}
	days := 30
	if n, err := strconv.Atoi(f.String("days")); err == nil {
		days = n
	}
	x := finish(p.read(f), vs)
	names, err := p.s.Names(r.Context())
	if err != nil {
		return err
	}
	err = p.s.Examine(r.Context(), r.Actor, &x)
	var out rule.Trial
	if err == nil {
		out, err = p.s.Try(r.Context(), r.Actor, x, days)
	}
	if err != nil {
		x := finish(p.read(f), vs)
		v, verr := p.editor(r, x, f)
		if verr != nil {
			return verr
		}
		return editPage.Invalid(w, r, err, v.Form, chrome(r, title(r, x)), v)
	}
	v := trialView{Form: r.Blank().Set("days", days), Name: x.Name, Trial: out, IsTime: x.When.Time != nil, When: x.When.Say(r.Lang), If: x.Expr, Expert: x.Expert}
	if !x.Expert {
		v.If = x.If.Say(r.Lang, vs, names)
	}
	for _, d := range []int{7, 30, 90} {
		v.Days = append(v.Days, ui.Option{Value: strconv.Itoa(d), Label: r.T("rule.try.last", d)})
	}
	for name, values := range f.Values {
		if name == "do" || name == "days" {
			continue
		}
		for _, val := range values {
			v.Hidden = append(v.Hidden, [2]string{name, val})
		}
	}
	sort.Slice(v.Hidden, func(i, j int) bool { return v.Hidden[i][0] < v.Hidden[j][0] })
	for i, h := range out.Hits {
		if i == shownHits {
			v.Skipped = len(out.Hits) - shownHits
			break
		}
		line := hitLine{Number: h.Ticket.Number, Title: h.Ticket.Title, State: string(h.Ticket.State), Occasion: rule.OccasionName(r.Lang, h.Kind), By: h.By, At: h.At}
		for _, c := range h.Held {
			line.Held = append(line.Held, c.Say(r.Lang, vs, names))
		}
		for _, a := range h.Would {
			line.Acts = append(line.Acts, actLine{p.s.Say(a.Act, r.Lang, vs, names), a.How, a.Text})
		}
		v.Hits = append(v.Hits, line)
	}
	return trialPage.Render(w, r, chrome(r, r.T("rule.try.title")), v)
}
