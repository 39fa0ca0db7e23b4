package approval

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"

	"pgregory.net/rapid"
)

// A company takes a tenth of a second; -rapid.checks 1000 looks further.
func init() { _ = flag.Lookup("rapid.checks").Value.Set("25") }

// Whatever the company looks like, whoever asks, stands in, leaves or presses
// the button: a request is never decided by its requester, nor twice by one
// person, nor by somebody it did not wait for; and it always has ended, waits
// for somebody, or says that there is nobody.
func TestRandom(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, fresh func() (*db.DB, *clock.Fake)) {
		rapid.Check(t, func(rt *rapid.T) {
			d, c := fresh()
			defer d.Close()
			newOffice(rt, d, c).round(rt)
		})
	}
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); run(t, func() (*db.DB, *clock.Fake) { return dbtest.New(t) }) })
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			run(t, func() (*db.DB, *clock.Fake) { return dbtest.NewPostgres(t, server) })
		})
	}
}

func (o *office) round(rt *rapid.T) {
	// A tree of departments, each with a head or none.
	deps := []int64{o.top}
	for i := range rapid.IntRange(1, 4).Draw(rt, "departments") {
		id, err := o.org.CreateDepartment(o.ctx, authz.System("test"), org.DepartmentInput{Name: fmt.Sprintf("d%d", i), ParentID: rapid.SampledFrom(deps).Draw(rt, "parent")})
		o.ok(err)
		deps = append(deps, id)
	}
	var people []string
	for i := range rapid.IntRange(2, 5).Draw(rt, "people") {
		login := fmt.Sprintf("p%d", i)
		role := rapid.SampledFrom([]string{authz.RoleAgent, authz.RoleHead, authz.RoleAdmin}).Draw(rt, "role")
		o.add(login, rapid.SampledFrom(deps).Draw(rt, "department"), role)
		people = append(people, login)
	}
	all := append([]string{"chen", "root", "root2"}, people...)
	who := rapid.SampledFrom(all)
	for _, d := range deps[1:] {
		o.lead(d, rapid.SampledFrom(append([]string{""}, all...)).Draw(rt, "head"), rapid.SampledFrom(append([]string{""}, all...)).Draw(rt, "supervisor"))
	}
	rule := Rule{RemindHours: rapid.SampledFrom([]int{0, 5}).Draw(rt, "remind"), EscalateHours: rapid.SampledFrom([]int{0, 7}).Draw(rt, "escalate"), LapseDays: 3,
		SamePerson: rapid.Bool().Draw(rt, "same")}
	for range rapid.IntRange(1, 3).Draw(rt, "steps") {
		st := Step{Kind: rapid.SampledFrom(StepKinds).Draw(rt, "step")}
		if st.Kind == Person {
			st.UserID = o.user[who.Draw(rt, "named")]
		}
		rule.Steps = append(rule.Steps, st)
	}
	o.ok(o.s.SetRule(o.ctx, authz.System("test"), testKind, rule))
	gone := map[string]bool{}
	var r Request
	asker := who.Draw(rt, "asker")
	o.ok(o.run.Do(o.ctx, o.actor(asker), "test.ask", func(ctx context.Context, a *action.Action) (err error) {
		r, err = o.s.Ask(ctx, a, New{Kind: testKind, Subject: event.Subject{Type: "customer", ID: 1}, Title: "x", DepartmentID: rapid.SampledFrom(deps).Draw(rt, "of"), Reason: "因为"})
		return err
	}))
	for range rapid.IntRange(3, 14).Draw(rt, "moves") {
		switch rapid.IntRange(0, 7).Draw(rt, "move") {
		case 0:
			p, q := who.Draw(rt, "away"), who.Draw(rt, "delegate")
			if !gone[p] && !gone[q] && p != q {
				o.away(p, q, 0, time.Duration(rapid.IntRange(1, 40).Draw(rt, "hours"))*time.Hour)
			}
		case 1:
			if p := rapid.SampledFrom(people).Draw(rt, "leaves"); !gone[p] {
				o.leave(p)
				gone[p] = true
			}
		case 2:
			o.clock.Advance(time.Duration(rapid.IntRange(1, 20).Draw(rt, "later")) * time.Hour)
			o.sweep()
		case 3:
			o.lead(rapid.SampledFrom(deps[1:]).Draw(rt, "of"), rapid.SampledFrom(o.staying(all, gone)).Draw(rt, "head"), "")
			o.drain()
		default:
			p := who.Draw(rt, "decider")
			if gone[p] {
				continue
			}
			before := o.get(r.ID)
			_, can := before.MayDecide(o.actor(p))
			onDesk := slices.Contains(o.desk(p), r.ID)
			_, err := o.s.Decide(o.ctx, o.actor(p), r.ID, Decision{Approve: rapid.IntRange(0, 4).Draw(rt, "yes") > 0, Comment: "看过了"})
			switch {
			case err == nil && !can:
				rt.Fatalf("%s decided although it waited for %+v", p, before.Waiting)
			case err != nil && can:
				rt.Fatalf("%s could not decide although it waited for %+v: %v", p, before.Waiting, err)
			case onDesk != can:
				rt.Fatalf("%s: on the desk %v, may decide %v", p, onDesk, can)
			case err != nil && fault.KindOf(err) == fault.Internal:
				rt.Fatal(err)
			}
		}
		o.holds(rt, r)
	}
}

func (o *office) staying(all []string, gone map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(all), func(p string) bool { return gone[p] })
}

// holds checks what always has to be true of a request.
func (o *office) holds(rt *rapid.T, asked Request) {
	r := o.get(asked.ID)
	seen := map[int64]bool{}
	for _, e := range r.Decisions() {
		if e.ByID == r.RequestedBy || e.ForID == r.RequestedBy || e.ByID == 0 {
			rt.Fatalf("decided by its requester: %+v", e)
		}
		if !r.Rule.SamePerson && (seen[e.ByID] || e.ForID != 0 && seen[e.ForID]) {
			rt.Fatalf("decided twice by one person: %+v", r.Decisions())
		}
		seen[e.ByID] = true
		if e.ForID != 0 {
			seen[e.ForID] = true
		}
	}
	for _, w := range r.Waiting {
		if w.UserID == r.RequestedBy || w.StandIn == r.RequestedBy {
			rt.Fatalf("waits for its requester: %+v", w)
		}
		if p, _, err := o.org.Person(o.ctx, o.d.Read(), w.UserID); err != nil || !p.Active {
			rt.Fatalf("waits for somebody who has left: %+v %v", w, err)
		}
	}
	last := r.History[len(r.History)-1]
	switch {
	case r.State != Pending && len(r.Waiting) > 0:
		rt.Fatalf("%s and still waits for %+v", r.State, r.Waiting)
	case r.State == Pending && len(r.Waiting) == 0 && last.What != DidStick:
		rt.Fatalf("waits for nobody and does not say so: %+v", last)
	case r.State == Pending && o.clock.Now().After(r.LapseAt.Add(24*time.Hour)):
		rt.Fatal("should have lapsed")
	case r.State == Approved && len(r.Decisions()) != len(r.Rule.Steps):
		rt.Fatalf("approved after %d of %d steps", len(r.Decisions()), len(r.Rule.Steps))
	}
}
