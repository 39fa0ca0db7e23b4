package rule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"

	"pgregory.net/rapid"
)

// allVars are the variables with one custom field of each kind.
func allVars() []Var {
	var vs []Var
	for _, b := range builtins {
		v := Var{Code: b.code, Group: b.group, Kind: b.kind, Label: b.code, Pick: b.pick, Blank: b.blank}
		for _, c := range b.codes {
			v.Options = append(v.Options, Option{c, c})
		}
		vs = append(vs, v)
	}
	for code, k := range map[string]VarKind{"note": KText, "amount": KNumber, "site": KBool, "until": KDate, "年产值": KNumber} {
		vs = append(vs, Var{Code: "fields." + code, Group: "custom", Kind: k, Label: code, Blank: k != KBool})
	}
	vs = append(vs, Var{Code: "fields.line", Group: "custom", Kind: KChoice, Label: "line", Blank: true, Options: []Option{{"a", "A"}, {"b", "B"}}},
		Var{Code: "customer_fields.areas", Group: "custom", Kind: KCodes, Label: "areas", Blank: true, Options: []Option{{"south", "华南"}, {"north", "华北"}}},
		Var{Code: "fields.keeper", Group: "custom", Kind: KUser, Label: "keeper", Pick: "user", Blank: true})
	slices.SortStableFunc(vs, func(a, b Var) int { return strings.Compare(a.Group, b.Group) })
	return vs
}

var noon = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC) // a Sunday, 12:00 in Shanghai

func aMoment() *moment {
	h := func(n int) time.Time { return noon.Add(-time.Duration(n) * time.Hour) }
	return &moment{have: needCustomer | needMessage | needPlaces | needTags, now: noon, office: DefaultOffice(), message: "请尽快ＨＥＬＰ", departments: []int{3, 1}, categories: []int{7, 2},
		t: ticket.Ticket{Title: "设备冒烟", Description: "开机后 E01 报错", Type: "complaint", Class: "problem", State: ticket.InProgress, Urgency: "urgent", Priority: "high", Channel: "email",
			AssigneeID: 5, Round: 2, Escalation: 1, Rating: 2, OpenChildren: 1, CustomerAt: h(3), CreatedAt: h(48), ActivityAt: h(5), StateAt: h(10), DueAt: h(-2), CustomerLevel: "vip", CustomerName: "南粤医疗", Overdue: false, Tags: " 3 8 "},
		e: event.Stored{ActorKind: authz.User, ActorID: 9}, fact: ticket.Fact{Clock: sla.Update, Changes: []event.Change{{Field: "urgency"}, {Field: "年产值"}}},
		c:          customer.Traits{Type: customer.Company, Grade: "a", Stage: "active", Region: "广东 广州", OpenTickets: 3, TotalTickets: 8, Tags: []int64{4, 6}},
		ofTicket:   map[string]any{"note": "VIP 备件", "amount": 1200.5, "site": true, "until": "2026-11-30", "年产值": math.NaN(), "line": "a", "keeper": 5},
		ofCustomer: map[string]any{"areas": []string{"south"}}}
}

func holds(t testing.TB, text string, vs []Var) bool {
	t.Helper()
	p, err := Compile(text, vs)
	if err != nil {
		f, _ := fault.As(err)
		t.Fatalf("%s: %v %+v", text, err, f)
	}
	vars := map[string]bool{}
	for _, u := range p.uses {
		vars[u] = true
	}
	var vm machine
	env := aMoment().build(vars)
	ok, err := vm.holds(&p, env)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if slow, err := vm.run(&p, env); err != nil || slow != ok {
		t.Errorf("%s: the interpreter says %v (%v), the program %v", text, slow, err, ok)
	}
	bare := aMoment() // nothing is loaded but the ticket: the same is said, or nothing yet
	bare.have, bare.ofTicket, bare.ofCustomer = 0, nil, nil
	if v, err := vm.ask(&p, bare.build(vars)); err != nil || v != undecided && v != verdictOf(ok) {
		t.Errorf("%s: %v before anything is loaded, then %v (%v)", text, v, ok, err)
	}
	return ok
}

// Every variable with every comparison it knows, on one ticket.
func TestConditions(t *testing.T) {
	t.Parallel()
	vs := allVars()
	// For each kind of comparison: values that hold and values that do not, by variable.
	yes := map[string]map[Op][]string{
		"words": {OpHas: {"冒烟", "x"}, OpIs: {"?"}}, "title": {OpHas: {"烟"}, OpIs: {"设备冒烟"}}, "description": {OpHas: {"e01"}, OpIs: {"开机后 E01 报错"}},
		"type": {OpIs: {"complaint", "other"}}, "class": {OpIs: {"problem"}}, "categories": {OpIs: {"2"}}, "state": {OpIs: {"in_progress"}}, "urgency": {OpIs: {"urgent"}}, "priority": {OpIs: {"high"}},
		"channel": {OpIs: {"email"}}, "departments": {OpIs: {"1", "8"}}, "assignee": {OpIs: {"5"}}, "round": {OpMin: {"2"}, OpMax: {"2"}, OpEq: {"2"}}, "escalation": {OpMin: {"1"}, OpMax: {"1"}, OpEq: {"1"}},
		"rating": {OpMin: {"2"}, OpMax: {"2"}, OpEq: {"2"}}, "open_children": {OpMin: {"1"}, OpMax: {"1"}, OpEq: {"1"}}, "age_hours": {OpMin: {"48"}, OpMax: {"48"}, OpEq: {"48"}},
		"idle_hours": {OpMin: {"4.5"}, OpMax: {"5"}, OpEq: {"5"}}, "waiting_hours": {OpMin: {"3"}, OpMax: {"3"}, OpEq: {"3"}}, "state_hours": {OpMin: {"10"}, OpMax: {"10"}, OpEq: {"10"}},
		"due_hours": {OpMin: {"-1"}, OpMax: {"2"}, OpEq: {"2"}}, "hour": {OpMin: {"12"}, OpMax: {"12"}, OpEq: {"12"}}, "weekday": {OpIs: {"7"}}, "message": {OpHas: {"help"}, OpIs: {"请尽快ＨＥＬＰ"}},
		"tags": {OpIs: {"8"}}, "by": {OpIs: {"user"}}, "by_user": {OpIs: {"9"}}, "changed": {OpIs: {"custom"}}, "clock": {OpIs: {"update"}}, "customer_level": {OpIs: {"vip"}}, "customer_name": {OpHas: {"医疗"}, OpIs: {"南粤医疗"}},
		"customer_type": {OpIs: {"company"}}, "customer_grade": {OpIs: {"a"}}, "customer_stage": {OpIs: {"active"}}, "customer_tags": {OpIs: {"6"}}, "customer_region": {OpHas: {"广州"}, OpIs: {"广东 广州"}},
		"customer_open_tickets": {OpMin: {"3"}, OpMax: {"3"}, OpEq: {"3"}}, "customer_tickets": {OpMin: {"8"}, OpMax: {"8"}, OpEq: {"8"}},
		"fields.note": {OpHas: {"vip"}, OpIs: {"VIP 备件"}}, "fields.amount": {OpMin: {"1200.5"}, OpMax: {"1200.5"}, OpEq: {"1200.5"}}, "fields.line": {OpIs: {"a"}}, "fields.keeper": {OpIs: {"5"}},
		"fields.until": {OpNext: {"8"}, OpBefore: {"2026-12-01"}, OpAfter: {"2026-11-29"}, OpOn: {"2026-11-30"}}, "customer_fields.areas": {OpIs: {"south"}},
	}
	no := map[Op]string{OpHas: "没有这个词", OpMin: "100000", OpMax: "-100000", OpEq: "77777", OpLast: "1", OpNext: "1", OpBefore: "2001-01-01", OpAfter: "2100-01-01", OpOn: "2001-01-01"}
	opposite := map[Op]Op{OpHas: OpHasNot, OpIs: OpNot, OpEq: OpNe}
	empty := map[string]bool{"fields.年产值": true}
	falses := map[string]bool{"overdue": true, "sub_ticket": true, "office_hours": true}
	tried := 0
	for _, v := range vs {
		for _, op := range v.Ops() {
			check := func(op Op, values []string, want bool) {
				t.Helper()
				c := Cond{v.Code, op, values}
				e := fault.Invalidf("x")
				if c.check(vs, "c", e); len(e.Fields) > 0 {
					t.Errorf("%s %s %v: refused: %+v", v.Code, op, values, e.Fields)
					return
				}
				if got := holds(t, c.Text(vs), vs); got != want {
					t.Errorf("%s is %v, want %v", c.Text(vs), got, want)
				}
				tried++
			}
			switch {
			case op == OpSet || op == OpEmpty:
				check(op, nil, (op == OpSet) != empty[v.Code])
			case op == OpYes || op == OpNo:
				check(op, nil, (op == OpYes) != falses[v.Code])
			case empty[v.Code] && op != OpNe:
				check(op, []string{"1"}, false) // nothing is neither more nor less
			case opposite[op] != "" || op == OpMin || op == OpMax || op == OpLast || op == OpNext || op == OpBefore || op == OpAfter || op == OpOn:
				if values := yes[v.Code][op]; values != nil && values[0] != "?" {
					check(op, values, true)
					if o := opposite[op]; o != "" {
						check(o, values, false)
					}
				} else if values == nil && op != OpLast {
					t.Errorf("%s %s is not tried", v.Code, op)
				}
				other := no[op]
				if op == OpIs {
					switch v.Kind {
					case KText:
						other = "没有这个词"
					case KChoice, KCodes, KPick:
						for _, o := range v.Options {
							if !slices.Contains(yes[v.Code][OpIs], o.Value) && !(v.Code == "changed" && o.Value == "urgency") {
								other = o.Value
							}
						}
					default:
						other = "4711"
					}
				}
				check(op, []string{other}, false)
				if o := opposite[op]; o != "" {
					check(o, []string{other}, true)
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d comparisons", tried)
	}
	for text, want := range map[string]bool{"true": true, "fields.amount * 2 > 2400 and not overdue": true, `customer_fields.areas == customer_fields.areas or false`: true,
		`last_days("2026-11-20", 2)`: true, `last_days("2026-11-19", 2)`: false, `last_days("2026-11-23", 2)`: false, `age_hours - idle_hours > 40`: true} {
		if strings.Contains(text, "areas ==") {
			continue
		}
		if got := holds(t, text, vs); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
}

// What is wrong with an expression is said with its place; what is not in the
// language is refused however it is written.
func TestLanguage(t *testing.T) {
	t.Parallel()
	vs := allVars()
	for _, c := range []struct{ text, key, args string }{
		{"", "rule.expr.empty", "[]"},
		{"prioritty == \"high\"", "rule.expr.name", "[1 1 prioritty]"},
		{"overdue and\n  fields.nope > 3", "rule.expr.name", "[2 3 fields.nope]"},
		{"overdue and", "rule.expr.ends", "[1 11]"},
		{"priority > 3", "rule.expr.types", ""},
		{"priority", "rule.expr.bool", "[]"},
		{"has(title)", "", ""},
		{"has(round, \"x\")", "rule.expr.types", ""},
		{"len(title) > 3", "rule.expr.function", ""},
		{"all([1,2], # > 0)", "rule.expr.function", ""},
		{"map(1..9, #)", "rule.expr.function", ""},
		{"filter([1], true) == []", "rule.expr.function", ""},
		{"1..1000000000 == []", "rule.expr.not_allowed", ""},
		{"title matches \"(a+)+$\"", "rule.expr.not_allowed", ""},
		{"let x = 1; x == 1", "rule.expr.not_allowed", ""},
		{"overdue ? true : false", "rule.expr.not_allowed", ""},
		{"now() > now()", "rule.expr.function", ""},
		{"title[0] == \"a\"", "rule.expr.not_allowed", ""},
		{"fields == fields", "rule.expr.name", ""},
		{"{\"a\": 1} == {\"a\": 1}", "rule.expr.not_allowed", ""},
		{"title | upper() == \"A\"", "rule.expr.function", ""},
		{"2 ** 99999 > 1", "rule.expr.not_allowed", ""},
		{"title + title == title", "", ""},
		{"nil == nil", "rule.expr.not_allowed", ""},
		{"$env == 1", "rule.expr.name", ""},
		{"title == \"x", "rule.expr.quote", ""},
		{strings.Repeat("overdue or ", 400) + "overdue", "rule.expr.long", ""},
		{strings.Repeat("!", 3000) + "overdue", "rule.expr.nodes", ""},
	} {
		_, err := Compile(c.text, vs)
		if c.key == "" {
			if err != nil {
				t.Errorf("%q: %v", c.text, err)
			}
			continue
		}
		f, ok := fault.As(err)
		if !ok || len(f.Fields) != 1 || f.Fields[0].Field != "expr" {
			t.Errorf("%.40q: %v", c.text, err)
			continue
		}
		if f.Fields[0].Key != c.key || c.args != "" && fmt.Sprint(f.Fields[0].Args) != c.args {
			t.Errorf("%.40q: %s %v, want %s %s", c.text, f.Fields[0].Key, f.Fields[0].Args, c.key, c.args)
		}
	}
}

// A form becomes an expression and the expression the same form again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	vs := allVars()
	aCond := rapid.Custom(func(r *rapid.T) Cond {
		v := rapid.SampledFrom(vs).Draw(r, "var")
		c := Cond{Field: v.Code, Op: rapid.SampledFrom(v.Ops()).Draw(r, "op")}
		if c.Op.Bare() {
			return c
		}
		n := 1
		if c.Op.Many(v) {
			n = rapid.IntRange(1, 3).Draw(r, "n")
		}
		for range n {
			var x string
			switch {
			case c.Op == OpLast || c.Op == OpNext:
				x = fmt.Sprint(rapid.IntRange(0, 400).Draw(r, "days"))
			case len(v.Options) > 0:
				x = rapid.SampledFrom(v.Options).Draw(r, "option").Value
			case v.Kind == KNumber:
				x = fmt.Sprint(float64(rapid.IntRange(-5000, 5000).Draw(r, "number")) / 8)
			case v.Kind == KUser || v.Kind == KIDs:
				x = fmt.Sprint(rapid.IntRange(1, 9999).Draw(r, "id"))
			case v.Kind == KDate:
				x = time.Date(2026, 1, rapid.IntRange(1, 700).Draw(r, "day"), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
			default:
				x = rapid.StringMatching(`[a-zA-Z"\\漏电冒烟'{}\n]{1,8}x`).Draw(r, "word")
			}
			if !slices.Contains(c.Values, x) {
				c.Values = append(c.Values, x)
			}
		}
		return c
	})
	rapid.Check(t, func(r *rapid.T) {
		c := Conditions{Any: rapid.Bool().Draw(r, "any")}
		for range rapid.IntRange(0, 3).Draw(r, "groups") {
			c.Groups = append(c.Groups, Group{Any: rapid.Bool().Draw(r, "g"), Conds: rapid.SliceOfN(aCond, 0, 4).Draw(r, "conds")})
		}
		if err := c.check(vs); err != nil {
			r.Fatalf("made a bad form: %v", err)
		}
		text := c.Text(vs)
		back, ok := Read(text, vs)
		if !ok {
			r.Fatalf("not a form any more: %s", text)
		}
		if again := back.Text(vs); again != text {
			r.Fatalf("%s\nbecame %s", text, again)
		}
		if holds(t, text, vs) != direct(t, c, vs) {
			r.Fatalf("%s says otherwise than its rows", text)
		}
	})
	for _, text := range []string{"age_hours * 2 > 3", "has(title, \"a\") == true", "not (overdue or second)", "3 < round", "overdue and (second or (unanswered and overdue))"} {
		if _, ok := Read(text, vs); ok {
			t.Errorf("%s is shown as a form", text)
		}
	}
}

// direct evaluates a form row by row.
func direct(t testing.TB, c Conditions, vs []Var) bool {
	some, every, groups := false, true, 0
	for _, g := range c.Groups {
		if len(g.Conds) == 0 {
			continue
		}
		groups++
		a, e := false, true
		for _, x := range g.Conds {
			h := holds(t, x.Text(vs), vs)
			a, e = a || h, e && h
		}
		if g.Any {
			e = a
		}
		some, every = some || e, every && e
	}
	return groups == 0 || (c.Any && some) || (!c.Any && every)
}
