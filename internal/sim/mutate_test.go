package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mutate     = flag.Bool("mutate", false, "build the product with all mutations and expect each to be found")
	mutant     = flag.String("mutant", "", "only the mutation of this name")
	mutantMost = flag.Int("mutant-seeds", 24, "how many seeds a mutation may survive")
)

// mutation is one mistake somebody could make. In new, mutant("name") reports
// whether it is the one being tried: all of them are built into one program.
type mutation struct{ name, file, old, new string }

// is makes a mutation of a condition.
func is(name, file, old, new string) mutation {
	return mutation{name, file, old, strings.ReplaceAll(new, "MUTANT", `mutant("`+name+`")`)}
}

var mutations = []mutation{
	// Guards.
	is("guard: open sub-tickets", "ticket/flow.go", "if t.OpenChildren > 0 {", "if t.OpenChildren > 0 && !MUTANT {"),
	is("guard: solution", "ticket/flow.go", "if blank(in.Solution) && blank(t.Solution) {", "if blank(in.Solution) && blank(t.Solution) && !MUTANT {"),
	is("guard: reason of the delay", "ticket/flow.go", "if f.missedPromise && blank", "if f.missedPromise && !MUTANT && blank"),
	is("guard: reason", "ticket/flow.go", "if blank(in.Reason) && !in.wordsOfCustomer {", "if blank(in.Reason) && !in.wordsOfCustomer && !MUTANT {"),
	is("guard: somebody else's", "ticket/flow.go", "if t.AssigneeID != 0 && t.AssigneeID != in.actor {", "if t.AssigneeID != 0 && t.AssigneeID != in.actor && !MUTANT {"),
	is("guard: bad rating confirms", "ticket/flow.go", "	if in.Rating.Bad(f.badStars) {\n		return fault.New(fault.Conflict", "	if in.Rating.Bad(f.badStars) && !MUTANT {\n		return fault.New(fault.Conflict"),
	is("guard: window of reopening", "ticket/flow.go", "if !f.withinWindow {", "if !f.withinWindow && !MUTANT {"),
	is("guard: only the assignee", "ticket/move.go", "if m.Who&byAssignee != 0 && t.AssigneeID == actor.ID && actor.Can(PermHandle) {", "if m.Who&byAssignee != 0 && (t.AssigneeID == actor.ID || MUTANT) && actor.Can(PermHandle) {"),
	is("guard: sub-ticket behind an answer", "ticket/flow.go", "if !f.parentWorking {", "if !f.parentWorking && !MUTANT {"),

	// What is true together with a move.
	is("decline: back to the supervisor", "ticket/move.go", `time.Time{}, sup
	e.fact.Tell = tell(sup)
	p, err`, `time.Time{}, sup
	if e.fact.Tell = tell(sup); MUTANT {
		e.t.SupervisorID = 0
	}
	p, err`),
	is("reassign: a new acknowledge clock", "ticket/move.go", "	return sla.Arm(ctx, e.a, e.t.ID, sla.Acknowledge, e.t.Round, p.For(sla.Acknowledge), why)", "	if MUTANT {\n		return nil\n	}\n	return sla.Arm(ctx, e.a, e.t.ID, sla.Acknowledge, e.t.Round, p.For(sla.Acknowledge), why)"),
	is("acknowledge: meets its clocks", "ticket/move.go", "	if err := meet(ctx, e.a, e.t, why, sla.Acknowledge, sla.Urgent); err != nil {", "	if err := meet(ctx, e.a, e.t, why, map[bool][]sla.Kind{false: {sla.Acknowledge, sla.Urgent}, true: {sla.Acknowledge}}[MUTANT]...); err != nil {"),
	is("ask: pauses the resolution", "ticket/move.go", "	if p.PauseWhenWaiting {", "	if p.PauseWhenWaiting && !MUTANT {"),
	is("answer: resumes the resolution", "ticket/move.go", "	if err := sla.Resume(ctx, e.a, e.t.ID, why, sla.Resolution); err != nil {", "	if MUTANT {\n		return e.s.armUpdate(ctx, e.a, *e.t, why)\n	}\n	if err := sla.Resume(ctx, e.a, e.t.ID, why, sla.Resolution); err != nil {"),
	is("reply: restarts the clock of progress", "ticket/records.go", "	if t.State == InProgress {\n		return s.armUpdate", "	if t.State == InProgress && !MUTANT {\n		return s.armUpdate"),
	is("reply: the first answer", "ticket/move.go", "	return meet(ctx, a, t, \"responded\", sla.FirstResponse)", "	if MUTANT {\n		return nil\n	}\n	return meet(ctx, a, t, \"responded\", sla.FirstResponse)"),
	is("dispute: the supervisor's clock", "ticket/move.go", "		if followUp {", "		if followUp && !MUTANT {"),
	is("dispute: the supervisor's task", "ticket/tasks.go", "if (v == Dispute || v == Reopen && in.badRating) && t.SupervisorID != 0 {", "if (v == Dispute && !MUTANT || v == Reopen && in.badRating) && t.SupervisorID != 0 {"),
	is("dispute: another round", "ticket/move.go", "	e.t.Round++\n", "	if !MUTANT {\n		e.t.Round++\n	}\n"),
	is("late bad rating: reopens", "ticket/records.go", "		if r.Bad(cfg.BadStars) {\n			why := r.Comment", "		if r.Bad(cfg.BadStars) && !MUTANT {\n			why := r.Comment"),
	is("lapse: the outcome", "ticket/move.go", "		e.t.Outcome = OutcomeSilence\n", "		if e.t.Outcome = OutcomeSilence; MUTANT {\n			e.t.Outcome = OutcomeConfirmed + OutcomePhone\n		}\n"),
	is("withdraw: the resolution goes on", "ticket/move.go", "		if err := sla.Revive(ctx, e.a, e.t.ID, sla.Resolution, e.t.Round, \"withdrawn\"); err != nil {", "		if err := error(nil); MUTANT {\n		} else if err = sla.Revive(ctx, e.a, e.t.ID, sla.Resolution, e.t.Round, \"withdrawn\"); err != nil {"),
	is("merge: stops the clocks", "ticket/merge_tickets.go", "	if err := sla.Stop(ctx, a, e.old.ID, \"merged\"); err != nil {", "	if err := error(nil); MUTANT {\n	} else if err = sla.Stop(ctx, a, e.old.ID, \"merged\"); err != nil {"),
	is("part ended: the main ticket counts", "ticket/move.go", "		p.OpenChildren--\n", "		if !MUTANT {\n			p.OpenChildren--\n		}\n"),
	is("question: a delivery", "ticket/move.go", "	if t.ParentID != 0 {\n		return nil\n	}\n	err := a.Later(ctx, `INSERT INTO deliveries", "	if t.ParentID != 0 || purpose == \"question\" && MUTANT {\n		return nil\n	}\n	err := a.Later(ctx, `INSERT INTO deliveries"),
	is("archive: waits for the window", "ticket/records.go", "before := s.DB().Clock().Now().Add(-cfg.ReopenWindow)", "before := s.DB().Clock().Now().Add(-cfg.ReopenWindow)\n	if MUTANT {\n		before = before.Add(24 * time.Hour)\n	}"),

	// Routing.
	is("routing: who is away", "ticket/routing_pick.go", "case m.Away:", "case m.Away && !MUTANT:"),
	is("routing: who is full", "ticket/routing_pick.go", "case c.Open >= m.Capacity:", "case c.Open >= m.Capacity && !MUTANT:"),
	is("routing: an empty pool", "ticket/register.go", "		if t.SupervisorID, err = s.supervisor(ctx, a, t.DepartmentID); err != nil {\n			return t, err\n		}\n		if way", "		if t.SupervisorID, err = s.supervisor(ctx, a, t.DepartmentID); err != nil {\n			return t, err\n		}\n		if MUTANT {\n			t.SupervisorID = 0\n		}\n		if way"),

	// Clocks and ladders.
	is("clock: the time used before a pause", "sla/sla.go", "	c.DueAt = c.hours.Due(now, c.Target-c.Used)\n	c.NextAt", "	if c.DueAt = c.hours.Due(now, c.Target-c.Used); MUTANT {\n		c.DueAt = c.hours.Due(now, c.Target)\n	}\n	c.NextAt"),
	is("clock: another policy keeps the time used", "sla/sla.go", "			c.DueAt = hours.Due(a.Now, c.Target-used)\n", "			if c.DueAt = hours.Due(a.Now, c.Target-used); MUTANT {\n				c.DueAt = hours.Due(a.Now, c.Target)\n			}\n"),
	is("clock: an ended one fires no more", "sla/sla.go", "UPDATE clocks SET state = $1, used = $2, segment_at = 0, next_at = 0,", "UPDATE clocks SET state = $1, used = $2, segment_at = 0, next_at = \x60+map[bool]string{false: \"0\", true: \"next_at\"}[MUTANT]+\x60,"),
	is("clock: late is missed", "sla/sla.go", "missed := c.Missed || c.State == Running && a.Now.After(c.DueAt)", "missed := c.Missed || c.State == Running && a.Now.After(c.DueAt) && !MUTANT"),
	is("clock: its working hours", "sla/sla.go", "	return b.Of(id), nil", "	if MUTANT {\n		return calendar.Always, nil\n	}\n	return b.Of(id), nil"),
	is("deferral: the steps speak again", "sla/extend.go", "		c.rewind(used)\n", "		if !MUTANT {\n			c.rewind(used)\n		}\n"),
	is("ladder: one rung after another", "sla/ladder.go", "after.Step, after.Repeats = c.Step+1, 0", "after.Step, after.Repeats = c.Step+1, 0\n		if MUTANT && after.Step < len(c.steps())-1 {\n			after.Step++\n		}"),
	is("ladder: fires once", "sla/ladder.go", "after.Step, after.Repeats = c.Step+1, 0", "after.Step, after.Repeats = c.Step+1, 0\n		if MUTANT && c.Fired == 0 {\n			after.Step = c.Step\n		}"),
	is("ladder: the supervisor is told", "ticket/escalate.go", "	case sla.Supervisor:\n		return one(s.supervisor", "	case sla.Supervisor:\n		if MUTANT {\n			return nil, nil\n		}\n		return one(s.supervisor"),
	is("ladder: who is on leave", "ticket/escalate.go", "	by, err := s.org.StandIn(ctx, q, id)\n	if err != nil {\n		return err\n	}\n", "	by, err := s.org.StandIn(ctx, q, id)\n	if err != nil {\n		return err\n	}\n	if MUTANT {\n		by = id\n	}\n"),
	is("ladder: the supervisor's desk", "ticket/escalate.go", "		if step.Desk {", "		if step.Desk && !MUTANT {"),
	is("sweep: a store that was away blames no clock", "sla/sweep.go", "if fault.Is(err, fault.Unavailable) {", "if fault.Is(err, fault.Unavailable) && !MUTANT {"),

	// Listeners, jobs, messages.
	is("notify: everybody who is named", "notify/notify.go", "		for _, user := range x.p.Tell {", "		for i, user := range x.p.Tell {\n			if i > 0 && MUTANT {\n				continue\n			}"),
	is("notify: who stands in", "ticket/service.go", "		} else if now != user {", "		} else if now != user && !MUTANT {"),
	is("notify: sent is sent", "notify/deliver.go", "if err := s.mark(ctx, tx, p, \"sent\", \"\",", "if err := s.mark(ctx, tx, p, map[bool]string{false: \"sent\", true: \"waiting\"}[MUTANT && p.attempt == 0], \"\","),
	is("follower: the cursor is written with the work", "event/follow.go", "				if err := l.Handle(ctx, tx, mine); err != nil {", "				if MUTANT {\n					f.at[l.Name] = to\n				}\n				if err := l.Handle(ctx, tx, mine); err != nil {"),
	is("follower: no event is passed over", "event/follow.go", "		to := evs[len(evs)-1].Seq\n		evs = slices", "		to := evs[len(evs)-1].Seq\n		if MUTANT && len(evs) > 3 {\n			evs = evs[1:]\n		}\n		evs = slices"),
	is("job: whose worker died is taken up again", "job/queue.go", "`state = 'running' AND lease_until <= $1`", "map[bool]string{false: `state = 'running' AND lease_until <= $1`, true: `state = 'running' AND lease_until <= $1 AND id < 0`}[MUTANT]"),
	is("index: new tickets are found", "ticket/link.go", "			ids = append(ids, e.Subject.ID)", "			if e.Kind != past[Register] || !MUTANT {\n				ids = append(ids, e.Subject.ID)\n			}"),
	is("chain: each fact follows the one before", "event/event.go", "		s.Seq, s.PrevHash = seq, prev\n", "		if s.Seq, s.PrevHash = seq, prev; MUTANT && len(prev) > 0 {\n			s.PrevHash = prev[:len(prev)-1]\n		}\n"),
	is("figures: the load of people", "ticket/service.go", "	steps := [2]step{{from, -1}, {to, 1}}", "	steps := [2]step{{from, -1}, {to, 1}}\n	if MUTANT {\n		steps[0].user = 0\n	}"),
}

// TestMutations builds the product with every mutation in it, each asleep until
// it is named, and walks through seeds with one of them awake at a time: a
// mutation that no seed finds is a hole in what the simulation looks at.
func TestMutations(t *testing.T) {
	// Whether they still fit the product is looked at each time.
	files := map[string]string{}
	dirs := map[string]bool{}
	for _, m := range mutations {
		path := filepath.Join("..", filepath.FromSlash(m.file))
		if files[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path] = string(b)
		}
		if n := strings.Count(files[path], m.old); n == 0 {
			t.Errorf("%s: the text is no longer in %s:\n%s", m.name, m.file, m.old)
		}
		files[path] = strings.ReplaceAll(files[path], m.old, m.new)
		dirs[filepath.Dir(path)] = true
	}
	if !*mutate || t.Failed() {
		return
	}
	tmp := t.TempDir()
	overlay := map[string]string{}
	put := func(path, text string) {
		to := filepath.Join(tmp, fmt.Sprintf("%d.go", len(overlay)))
		must(os.WriteFile(to, []byte(text), 0o600))
		abs, err := filepath.Abs(path)
		must(err)
		overlay[abs] = to
	}
	for path, text := range files {
		put(path, text)
	}
	for dir := range dirs {
		put(filepath.Join(dir, "mutant.go"), "package "+filepath.Base(dir)+"\n\nimport \"os\"\n\nvar awake = os.Getenv(\"BIHUAN_MUTANT\")\n\nfunc mutant(name string) bool { return awake == name }\n")
	}
	raw, err := json.Marshal(map[string]any{"Replace": overlay})
	must(err)
	list := filepath.Join(tmp, "overlay.json")
	must(os.WriteFile(list, raw, 0o600))
	program := filepath.Join(tmp, "sim.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", list, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	broken := regexp.MustCompile(`seed (\d+), step \d+, .*\n(.*)\n`)
	run := func(name string) (string, bool) {
		c := exec.Command(program, "-test.run", "^TestSeeds$", "-seeds", fmt.Sprint(*mutantMost), "-failures", "1")
		c.Env = append(slices.Clone(os.Environ()), "BIHUAN_MUTANT="+name, "BIHUAN_TEST_POSTGRES=")
		out, err := c.CombinedOutput()
		if m := broken.FindSubmatch(out); m != nil {
			return "seed " + string(m[1]) + ": " + strings.TrimSpace(string(m[2])), true
		}
		if err != nil {
			return firstOf(string(out)), true
		}
		return "", false
	}
	if what, bad := run("nobody"); bad {
		t.Fatalf("without a mutation: %s", what)
	}
	found := 0
	for _, m := range mutations {
		if *mutant != "" && m.name != *mutant {
			continue
		}
		what, bad := run(m.name)
		if !bad {
			t.Errorf("%-45s survives %d seeds", m.name, *mutantMost)
			continue
		}
		found++
		t.Logf("%-45s %s", m.name, what)
	}
	t.Logf("%d mutations found", found)
}

func firstOf(s string) string {
	if len(s) > 300 {
		s = s[:300]
	}
	return strings.ReplaceAll(s, "\n", " ")
}
