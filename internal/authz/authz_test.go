package authz

import (
	"testing"

	"bihuan/internal/db"
)

// ORG-3: what a scope matches in SQL and in memory, level by level.
func TestScope(t *testing.T) {
	t.Parallel()
	actor := func(l Level) Actor {
		return Actor{Kind: User, ID: 7, DepartmentID: 2, Teams: []int64{2, 9}, Under: []int64{2, 3}, Levels: map[Permission]Level{"x.view": l}}
	}
	for _, c := range []struct {
		name  string
		scope Scope
		where string
		args  int
		own   bool // what is mine elsewhere
		dept  bool // of my department
		team  bool
		below bool
		other bool
	}{
		{"zero", Scope{}, "1 = 0", 0, false, false, false, false, false},
		{"no permission", For(actor(None), "x.view"), "1 = 0", 0, false, false, false, false, false},
		{"own", For(actor(Own), "x.view"), "(t.owner = $1)", 1, true, false, false, false, false},
		{"department", For(actor(Department), "x.view"), "(t.dept IN ($1,$2) OR t.owner = $3)", 3, true, true, true, false, false},
		{"below", For(actor(Below), "x.view"), "(t.dept IN ($1,$2,$3) OR t.owner = $4)", 4, true, true, true, true, false},
		{"all", For(actor(All), "x.view"), "1 = 1", 0, true, true, true, true, true},
		{"a customer", For(Actor{Kind: Customer, ID: 7, Levels: map[Permission]Level{"x.view": All}}, "x.view"), "1 = 0", 0, false, false, false, false, false},
		{"the program", For(System("timer"), "x.view"), "1 = 1", 0, true, true, true, true, true},
	} {
		var a db.Args
		if got := c.scope.Where(&a, Columns{Owners: []string{"t.owner"}, Department: "t.dept"}); got != c.where || len(a.Values) != c.args {
			t.Errorf("%s: %s with %d arguments, want %s with %d", c.name, got, len(a.Values), c.where, c.args)
		}
		for _, m := range []struct {
			what   string
			owners []int64
			dept   int64
			want   bool
		}{{"mine", []int64{7}, 50, c.own}, {"my department's", []int64{1}, 2, c.dept}, {"my team's", nil, 9, c.team}, {"below", nil, 3, c.below}, {"another's", []int64{0, 1}, 50, c.other}} {
			if got := c.scope.Matches(m.owners, m.dept); got != m.want {
				t.Errorf("%s matches %s: %v", c.name, m.what, got)
			}
		}
	}
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	a := Actor{Kind: User, ID: 1, Levels: map[Permission]Level{"x.view": All, "x.edit": Own}}
	b := a.Restrict(func(p Permission) bool { return p == "x.view" })
	if !b.Can("x.view") || b.Can("x.edit") || !a.Can("x.edit") {
		t.Errorf("restricted %v, before %v", b.Levels, a.Levels)
	}
	if (Actor{}).Can("x.view") {
		t.Error("the zero actor may something")
	}
}
