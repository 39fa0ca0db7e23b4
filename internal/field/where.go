package field

import (
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Op is how a filter compares.
type Op string

const (
	Is      Op = "is"      // equal; of several values with commas between, any
	Not     Op = "not"     // has no such value; records without any are included
	Has     Op = "has"     // text contains; a multiple choice has any of the options
	Empty   Op = "empty"   // no value
	Set     Op = "set"     // any value
	Less    Op = "lt"      // below, before
	Greater Op = "gt"      // above, after
	Between Op = "between" // "from..to", both included; one side may be open
)

// Ops are the comparisons the field knows, in the order they are offered.
func (d Def) Ops() []Op {
	switch d.Kind {
	case Text, Link:
		return []Op{Has, Is, Not, Set, Empty}
	case Number, Money, Date:
		return []Op{Is, Not, Less, Greater, Between, Set, Empty}
	case Multi:
		return []Op{Has, Not, Set, Empty}
	}
	return []Op{Is, Not, Set, Empty}
}

// Where returns the SQL condition that the record behind recordExpr ("c.id")
// fulfils the comparison; value is written as [Value.Raw] says. It probes an
// index for each record it is asked about, so a list in another order than this
// field's pays for the rows it looks at. See [Match] for the other way round.
func Where(a *db.Args, d Def, recordExpr string, op Op, value string) (cond string, err error) {
	test, negative, err := d.test(op, value, true)
	if err != nil {
		return "", err
	}
	exists := `EXISTS (SELECT 1 FROM field_values fv WHERE fv.object = ` + literal(d.Object) + ` AND fv.record_id = ` + recordExpr + ` AND fv.field_id = ` + a.Add(d.ID) + test(a) + `)`
	if negative {
		return "NOT " + exists, nil
	}
	return exists, nil
}

// Match returns a SELECT of the ids of all records that fulfil the comparison, a
// range of an index: for counting up to a limit, and for filters that leave few.
// ok is false for comparisons that only exclude ([Not], [Empty]).
func Match(a *db.Args, d Def, op Op, value string) (query string, ok bool, err error) {
	test, negative, err := d.test(op, value, false)
	if err != nil || negative {
		return "", false, err
	}
	column := "fv.fold"
	if d.Kind.Numeric() {
		column = "fv.num"
	}
	return `SELECT fv.record_id FROM field_values fv WHERE fv.field_id = ` + a.Add(d.ID) + ` AND ` + column + ` IS NOT NULL` + test(a), true, nil
}

// literal: the objects are constants of this package.
func literal(o Object) string { return "'" + string(o) + "'" }

// test returns the condition on a row fv of the field, and whether it must hold
// for none. probing: the record is given, so that the index over values must not
// be preferred to the key.
func (d Def) test(op Op, value string, probing bool) (test func(a *db.Args) string, negative bool, err error) {
	bad := func() error {
		return fault.Invalidf("field.filter.op", d.Label).Field("value", "field.filter.op", d.Label)
	}
	if !slices.Contains(d.Ops(), op) {
		return nil, false, bad()
	}
	num, fold := "fv.num", "fv.fold"
	if probing {
		num, fold = "(fv.num + 0)", "COALESCE(fv.fold, '')"
	}
	switch op {
	case Set, Empty:
		return func(*db.Args) string { return "" }, op == Empty, nil
	case Less, Greater:
		n, err := d.number(value)
		if err != nil {
			return nil, false, err
		}
		sign := map[Op]string{Less: " < ", Greater: " > "}[op]
		return func(a *db.Args) string { return " AND " + num + sign + a.Add(n) }, false, nil
	case Between:
		from, to, _ := strings.Cut(value, "..")
		var low, high *int64
		for _, side := range []struct {
			text string
			to   **int64
		}{{from, &low}, {to, &high}} {
			if strings.TrimSpace(side.text) == "" {
				continue
			}
			n, err := d.number(side.text)
			if err != nil {
				return nil, false, err
			}
			*side.to = &n
		}
		if low == nil && high == nil {
			return nil, false, d.missing()
		}
		return func(a *db.Args) string {
			cond := ""
			if low != nil {
				cond += " AND " + num + " >= " + a.Add(*low)
			}
			if high != nil {
				cond += " AND " + num + " <= " + a.Add(*high)
			}
			return cond
		}, false, nil
	}
	// Is, Not, Has
	negative = op == Not
	switch {
	case d.Kind == Text || d.Kind == Link:
		want := Fold(value)
		if want == "" {
			return nil, false, d.missing()
		}
		if op == Has {
			return func(a *db.Args) string {
				return " AND fv.fold LIKE " + a.Add("%"+likeEscape.Replace(want)+"%") + ` ESCAPE '\'`
			}, false, nil
		}
		if d.Kind == Link && !strings.Contains(want, "://") {
			want = "https://" + want
		}
		return func(a *db.Args) string { return " AND " + fold + " = " + a.Add(want) }, negative, nil
	case d.Kind.Chosen():
		var codes []string
		for _, t := range strings.Split(value, ",") {
			if t = line(t); t == "" {
				continue
			}
			o, ok := d.field.choose(t)
			if !ok {
				return nil, false, fault.Invalidf("field.option", t).Field("value", "field.option", t)
			}
			codes = append(codes, o.Code)
		}
		if len(codes) == 0 {
			return nil, false, d.missing()
		}
		return func(a *db.Args) string {
			in := make([]string, len(codes))
			for i, c := range codes {
				in[i] = a.Add(c)
			}
			return " AND " + fold + " IN (" + strings.Join(in, ",") + ")"
		}, negative, nil
	}
	var ns []int64
	for _, t := range strings.Split(value, ",") {
		if d.Kind == Number || d.Kind == Money {
			t = value // a comma groups digits there
		}
		if strings.TrimSpace(t) == "" {
			continue
		}
		n, err := d.number(t)
		if err != nil {
			return nil, false, err
		}
		if ns = append(ns, n); t == value {
			break
		}
	}
	if len(ns) == 0 {
		return nil, false, d.missing()
	}
	return func(a *db.Args) string { return " AND " + num + " IN (" + a.AddInts(ns) + ")" }, negative, nil
}

var likeEscape = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

func (d Def) missing() error {
	return fault.Invalidf("field.filter.value", d.Label).Field("value", "field.filter.value", d.Label)
}

// number reads the other side of a comparison.
func (d Def) number(text string) (int64, error) {
	if d.Kind == User {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return 0, d.missing()
		}
		return n, nil
	}
	v, err := d.field.parse([]string{text}, Value{})
	if w, ok := err.(*wrong); ok {
		return 0, fault.Invalidf("field.filter.value", d.Label).Field("value", w.key, w.args...)
	}
	if err != nil {
		return 0, err
	}
	if !v.set {
		return 0, d.missing()
	}
	return v.Num, nil
}
