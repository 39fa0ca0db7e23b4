package customer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
)

// lead answers for every department; nobody is away.
type lead int64

func (l lead) SupervisorOf(context.Context, db.Querier, int64) (int64, error) { return int64(l), nil }
func (l lead) StandIn(_ context.Context, _ db.Querier, user int64) (int64, error) {
	return user, nil
}

func (w *world) write(f func(ctx context.Context, tx *db.Tx) error) {
	w.t.Helper()
	if err := w.d.Write(w.ctx, f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sweep() {
	w.t.Helper()
	if err := w.s.CareSweep(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(id int64) customer.Customer {
	w.t.Helper()
	c, err := w.s.Get(w.ctx, customer.View(authz.System("test")), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// CUS-12
func TestStagesByHand(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.create(w.agent, company("广州南粤医疗器械有限公司", "13812345678"))
		if c.Stage != customer.Potential || !c.StageAt.Equal(c.CreatedAt) {
			t.Fatalf("begins as %s since %s", c.Stage, c.StageAt)
		}
		_, last := w.events(0)
		for _, x := range []struct {
			by                authz.Actor
			to, cause, reason string
			want              string
		}{
			{w.agent, customer.Dormant, "", "", "stage:stage.refused"},
			{w.agent, "rich", "", "", "stage:stage.unknown"},
			{w.agent, customer.Lost, "", "", "cause:lost.required"},
			{w.agent, customer.Lost, "other", " ", "reason:lost.words"},
			{w.auditor, customer.Active, "", "", "forbidden"},
			{w.stranger, customer.Active, "", "", "not found"},
			{w.agent, customer.Interested, "price", "问过报价", ""},
			{w.agent, customer.Active, "", "", ""},
			{w.agent, customer.Lost, "price", "", ""},
			{w.agent, customer.Dormant, "", "", "stage:stage.refused"},
			{w.agent, customer.Active, "", "重新签约", ""},
		} {
			err := w.s.MoveStage(w.ctx, x.by, c.ID, x.to, x.cause, x.reason)
			got := ""
			switch {
			case fault.Is(err, fault.Forbidden):
				got = "forbidden"
			case fault.Is(err, fault.NotFound):
				got = "not found"
			case err != nil:
				got = fields(err)
			}
			if got != x.want {
				t.Errorf("to %s %s: %q, want %q", x.to, x.cause, got, x.want)
			}
		}
		if kinds, _ := w.events(last); kinds != strings.TrimSpace(strings.Repeat("customer.stage_changed ", 4)) {
			t.Errorf("facts: %s", kinds)
		}
		life, err := w.s.StageHistory(w.ctx, customer.View(w.agent), c.ID)
		if err != nil || len(life) != 4 {
			t.Fatalf("history: %v %v", life, err)
		}
		if l := life[1]; l.From != customer.Active || l.To != customer.Lost || l.Cause != "price" || l.ByRule || l.Actor != "林晓雯" {
			t.Errorf("third step: %+v", l)
		}
		if life[3].Cause != "" {
			t.Error("a cause of losing was kept for somebody who was not lost")
		}
		if _, err := w.s.StageHistory(w.ctx, customer.View(w.stranger), c.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a stranger reads the life: %v", err)
		}
	})
}

// CUS-12: dormant after a year without business and without plan; woken by any contact.
func TestDormancy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ids := map[string]int64{}
		for i, name := range []string{"quiet", "busy", "planned", "open", "lost", "gone", "keen"} {
			ids[name] = w.create(w.agent, person("客户"+name, fmt.Sprintf("1381234560%d", i))).ID
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.s.MoveStage(w.ctx, w.agent, ids["quiet"], customer.Active, "", ""))
		must(w.s.MoveStage(w.ctx, w.agent, ids["lost"], customer.Lost, "price", ""))
		must(w.s.MoveStage(w.ctx, w.agent, ids["keen"], customer.Interested, "", ""))
		w.exec(`UPDATE customers SET gone = 1 WHERE id = $1`, ids["gone"])
		_, err := w.s.AddFollowUp(w.ctx, w.agent, ids["planned"], "电话约定明年初复谈采购计划", journal.Record{Method: "phone", NextPlan: "复谈", NextAt: w.clock.Now().AddDate(0, 14, 0)})
		must(err)
		w.write(func(ctx context.Context, tx *db.Tx) error { return customer.AddTicket(ctx, tx, ids["open"], 1, 1) })
		w.clock.Advance(364 * 24 * time.Hour)
		w.write(func(ctx context.Context, tx *db.Tx) error { return customer.Touch(ctx, tx, ids["busy"], tx.Now) })
		_, last := w.events(0)
		w.sweep()
		if kinds, _ := w.events(last); strings.Contains(kinds, "stage_changed") {
			t.Fatalf("asleep before the year is over: %s", kinds)
		}
		w.clock.Advance(36 * time.Hour)
		w.sweep()
		w.sweep()
		want := map[string]string{"quiet": customer.Dormant, "keen": customer.Dormant, "busy": customer.Potential, "planned": customer.Potential, "open": customer.Potential, "lost": customer.Lost}
		for name, stage := range want {
			if got := w.get(ids[name]).Stage; got != stage {
				t.Errorf("%s is %s, want %s", name, got, stage)
			}
		}
		kinds, last := w.events(last)
		if n := strings.Count(kinds, "customer.stage_changed"); n != 2 {
			t.Errorf("%d fell asleep by their facts, want 2: %s", n, kinds)
		}
		// Any contact wakes them, back to where they were.
		w.clock.Advance(time.Hour)
		w.write(func(ctx context.Context, tx *db.Tx) error { return customer.Touch(ctx, tx, ids["quiet"], tx.Now) })
		_, err = w.s.AddFollowUp(w.ctx, w.agent, ids["keen"], "电话回访，客户重新询价 3 台设备", journal.Record{Method: "phone"})
		must(err)
		if got := w.get(ids["quiet"]).Stage; got != customer.Active {
			t.Errorf("woken to %s, want active", got)
		}
		if got := w.get(ids["keen"]).Stage; got != customer.Interested {
			t.Errorf("woken to %s, want interested", got)
		}
		if kinds, _ := w.events(last); kinds != "customer.stage_changed customer.stage_changed customer.follow_up_added" {
			t.Errorf("facts of waking: %s", kinds)
		}
		life, err := w.s.StageHistory(w.ctx, customer.View(w.agent), ids["quiet"])
		must(err)
		if len(life) != 3 || life[0].Cause != "contact" || life[1].Cause != "silence" || !life[0].ByRule {
			t.Errorf("life: %+v", life)
		}
		w.sweep()
		if got := w.get(ids["quiet"]).Stage; got != customer.Active {
			t.Errorf("asleep again at once: %s", got)
		}
		// The plan passes without business: then he sleeps too.
		w.clock.Advance(100 * 24 * time.Hour)
		w.sweep()
		if got := w.get(ids["planned"]).Stage; got != customer.Dormant {
			t.Errorf("after his plan has passed he is %s", got)
		}
	})
}

// CUS-12: what is planned follows the follow-up records.
func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.create(w.agent, person("周小姐", "13812345678"))
		now := w.clock.Now()
		day := func(n int) time.Time { return now.AddDate(0, 0, n) }
		for i, x := range []struct {
			at, next int // days; next 0: nothing planned
			want     int
		}{
			{0, 0, 0}, {0, 10, 10}, {1, 20, 10}, {2, 5, 5}, {3, 0, 5}, {6, 0, 10}, {11, 30, 20}, {21, 0, 30}, {31, 0, 0},
		} {
			w.clock.Set(day(x.at).Add(time.Minute))
			r := journal.Record{Method: "phone"}
			if x.next != 0 {
				r.NextPlan, r.NextAt = "再联系", day(x.next)
			}
			if _, err := w.s.AddFollowUp(w.ctx, w.agent, c.ID, fmt.Sprintf("第 %d 次联系，确认 3 台设备运行正常", i), r); err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if x.want != 0 {
				want = day(x.want)
			}
			if got := w.get(c.ID).PlannedAt; !got.Equal(want) {
				t.Errorf("step %d: planned for %s, want %s", i, got, want)
			}
		}
	})
}

// CUS-6, CUS-12: facts of tickets reach grade and stage.
func TestCareFacts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.create(w.agent, company("广州南粤医疗器械有限公司", "13812345678"))
		l := w.s.CareFacts()
		feed := func(e event.Stored) {
			t.Helper()
			if !l.Wants(e) {
				t.Fatalf("does not want %s", e.Kind)
			}
			w.write(func(ctx context.Context, tx *db.Tx) error { return l.Handle(ctx, tx, []event.Stored{e, e}) })
		}
		feed(event.Stored{Kind: customer.Created, Subject: customer.Subject(c.ID)})
		sg, ok, err := w.s.Suggestion(w.ctx, customer.View(w.agent), c.ID)
		if err != nil || !ok || sg.Grade != "c" || !sg.Differs {
			t.Fatalf("suggestion %+v %v %v", sg, ok, err)
		}
		done := event.Stored{Kind: "ticket.confirmed", Subject: event.Subject{Type: "ticket", ID: 1}, Data: []byte(fmt.Sprintf(`{"customer":%d,"from":"awaiting_confirmation","to":"completed"}`, c.ID))}
		feed(done)
		feed(done)
		if got := w.get(c.ID).Stage; got != customer.Active {
			t.Errorf("after the first completed ticket he is %s", got)
		}
		life, _ := w.s.StageHistory(w.ctx, customer.View(w.agent), c.ID)
		if len(life) != 1 || life[0].Cause != "business" {
			t.Errorf("life %+v", life)
		}
		for _, e := range []event.Stored{
			{Kind: "ticket.assigned", Subject: event.Subject{Type: "ticket", ID: 1}, Data: []byte(`{"customer":1,"from":"pending","to":"pending"}`)},
			{Kind: customer.FieldRevealed, Subject: customer.Subject(c.ID)}, {Kind: customer.ImportedKind, Subject: customer.Subject(c.ID)},
		} {
			if l.Wants(e) {
				t.Errorf("wants %s", e.Kind)
			}
		}
	})
}

type counter map[int64]int

func (c counter) TicketsSince(context.Context, db.Querier, []int64, time.Time) (map[int64]int, error) {
	return c, nil
}

// CUS-6
func TestSuggestedGrades(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := company("广州南粤医疗器械有限公司", "13812345601")
		in.Level, in.OwnerID = customer.Strategic, w.agent.ID
		in.Need = customer.NeedInput{Product: "监护仪", Budget: "约 50 万元", Urgency: "urgent"}
		big := w.create(w.agent, in)
		small := w.create(w.agent, person("孙先生", "13812345602"))
		far := w.create(w.stranger, person("外部门", "13812345603"))
		w.s.CountBusiness(counter{big.ID: 8})
		w.clock.Advance(time.Hour)
		w.sweep()
		sg, ok, err := w.s.Suggestion(w.ctx, customer.View(w.agent), big.ID)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if sg.Grade != "a" || sg.Score != 25+20+15+10+10 {
			t.Errorf("suggested %s with %d: %s", sg.Grade, sg.Score, sg.Say(i18n.ZhCN))
		}
		if said := sg.Say(i18n.ZhCN); !strings.Contains(said, "近 12 个月 8 张工单 +25") || !strings.Contains(said, "需求预算最高 50万元 +20") || !strings.Contains(said, "客户等级 战略 +15") {
			t.Errorf("reasons: %s", said)
		}
		list := func(a authz.Actor, f customer.SuggestionFilter) (out []int64) {
			t.Helper()
			rows, _, err := w.s.Suggestions(w.ctx, authz.For(a, customer.PermEdit), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				out = append(out, r.ID)
			}
			return out
		}
		if got := list(w.agent, customer.SuggestionFilter{}); !slices.Equal(got, []int64{big.ID, small.ID}) {
			t.Errorf("agent sees %v", got)
		}
		if got := list(w.stranger, customer.SuggestionFilter{}); !slices.Equal(got, []int64{far.ID}) {
			t.Errorf("stranger sees %v", got)
		}
		if got := list(w.auditor, customer.SuggestionFilter{}); got != nil {
			t.Errorf("an auditor, who edits nothing, sees %v", got)
		}
		if got := list(authz.System("x"), customer.SuggestionFilter{Grade: "c"}); !slices.Equal(got, []int64{far.ID, small.ID}) {
			t.Errorf("of grade c: %v", got)
		}
		rows, next, err := w.s.Suggestions(w.ctx, authz.For(w.agent, customer.PermEdit), customer.SuggestionFilter{Limit: 1})
		if err != nil || len(rows) != 1 || next == "" {
			t.Fatalf("page: %v %q %v", rows, next, err)
		}
		if got := list(w.agent, customer.SuggestionFilter{After: next}); !slices.Equal(got, []int64{small.ID}) {
			t.Errorf("second page: %v", got)
		}
		// By hand, with a reason; then the rules keep silent until they change their mind.
		if err := w.s.SetGrade(w.ctx, w.agent, small.ID, "b", " "); fields(err) != "reason:grade.reason" {
			t.Errorf("without reason: %v", err)
		}
		if err := w.s.SetGrade(w.ctx, w.agent, small.ID, "z", "看好"); fields(err) != "grade:grade.unknown" {
			t.Errorf("unknown grade: %v", err)
		}
		if err := w.s.SetGrade(w.ctx, w.stranger, small.ID, "b", "看好"); !fault.Is(err, fault.NotFound) {
			t.Errorf("stranger: %v", err)
		}
		_, last := w.events(0)
		if err := w.s.SetGrade(w.ctx, w.agent, small.ID, "b", "朋友很多，会带来客户"); err != nil {
			t.Fatal(err)
		}
		if kinds, _ := w.events(last); kinds != "customer.changed" {
			t.Errorf("facts: %s", kinds)
		}
		w.clock.Advance(24 * time.Hour)
		w.sweep()
		if got := list(w.agent, customer.SuggestionFilter{}); !slices.Equal(got, []int64{big.ID}) {
			t.Errorf("the rules nag: %v", got)
		}
		// Accepted: strangers' are passed over.
		_, last = w.events(0)
		n, err := w.s.AcceptGrades(w.ctx, w.agent, []int64{big.ID, far.ID, small.ID}, false)
		if err != nil || n != 1 || w.get(big.ID).Grade != "a" {
			t.Errorf("accepted %d (%v), grade %q", n, err, w.get(big.ID).Grade)
		}
		evs, err := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 1})
		if err != nil || evs[0].Kind != customer.Changed || !strings.Contains(evs[0].Reason, "8 张工单 +25") {
			t.Errorf("fact %+v", evs)
		}
		if n, err := w.s.AcceptGrades(w.ctx, w.stranger, []int64{far.ID}, true); err != nil || n != 1 || w.get(far.ID).Grade != "" {
			t.Errorf("kept %d (%v)", n, err)
		}
		if kinds, _ := w.events(last); kinds != "customer.changed customer.grade_kept" {
			t.Errorf("facts: %s", kinds)
		}
		if got := list(authz.System("x"), customer.SuggestionFilter{}); got != nil {
			t.Errorf("still differ: %v", got)
		}
		// Other rules: computed anew, without waiting for the night.
		care, err := w.s.Care(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		care.GradeA, care.GradeB = 99, 90
		if err := w.s.SetCare(w.ctx, w.admin(), care); err != nil {
			t.Fatal(err)
		}
		w.sweep()
		if got := list(w.agent, customer.SuggestionFilter{}); !slices.Equal(got, []int64{big.ID}) {
			t.Errorf("after the rules changed: %v", got)
		}
	})
}

func (w *world) admin() authz.Actor {
	a := w.head
	a.Levels = map[authz.Permission]authz.Level{}
	for _, def := range authz.Defs() {
		a.Levels[def.Permission] = authz.All
	}
	return a
}

// CUS-6, CUS-13
func TestCareSettings(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, err := w.s.Care(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.s.SetCare(w.ctx, w.agent, c); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent: %v", err)
		}
		_, last := w.events(0)
		if err := w.s.SetCare(w.ctx, w.admin(), c); err != nil {
			t.Error(err)
		}
		if kinds, _ := w.events(last); kinds != "" {
			t.Errorf("nothing changed, but %s", kinds)
		}
		bad := customer.DefaultCare()
		bad.Levels[customer.VIP] = customer.LevelCare{Naming: customer.Naming{Name: strings.Repeat("长", 13), Colour: "plaid"}, VerifyMonths: 99}
		bad.GradeA, bad.GradeB, bad.DormantDays = 20, 30, -1
		for i := range bad.Factors {
			bad.Factors[i].Weight = 0
		}
		bad.Factors[0].Full = 0
		want := "level.vip.name:care.name.long level.vip.colour:care.colour.bad level.vip.months:care.between factor.size.full:care.between factor.size.weight:care.weights grade_b:care.thresholds dormant_days:care.between"
		if got := fields(w.s.SetCare(w.ctx, w.admin(), bad)); got != want {
			t.Errorf("complaints:\n%s\nwant\n%s", got, want)
		}
		c.Levels[customer.VIP] = customer.LevelCare{Naming: customer.Naming{Name: "金牌", English: "Gold", Colour: "amber"}, VerifyMonths: 2}
		c.Factors[0].Weight = 40
		if err := w.s.SetCare(w.ctx, w.admin(), c); err != nil {
			t.Fatal(err)
		}
		now, err := w.s.Care(w.ctx)
		if err != nil || now.Levels[customer.VIP] != c.Levels[customer.VIP] || now.Factors[0].Weight != 40 || now.Levels[customer.Normal].VerifyMonths != 6 {
			t.Errorf("stored %+v %v", now, err)
		}
		if kinds, _ := w.events(last); kinds != "customer.settings_changed" {
			t.Errorf("facts %s", kinds)
		}
	})
}

// CUS-13
func TestVerification(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.s.AskLeads(lead(w.head.ID))
		in := company("广州南粤医疗器械有限公司", "13812345678")
		in.OwnerID, in.Level, in.Region = w.agent.ID, customer.VIP, "广东 广州"
		c := w.create(w.agent, in)
		if want := "2027-02"; c.VerifyAt.In(zone).Format("2006-01") != want && c.VerifyAt.IsZero() {
			t.Fatalf("to be verified at %s", c.VerifyAt)
		}
		if got, want := c.VerifyAt, midnight(w.clock.Now().AddDate(0, 3, 0)); !got.Equal(want) {
			t.Fatalf("to be verified at %s, want %s", got, want)
		}
		nobody := w.create(w.agent, person("无主", "13912345678")) // half a year, for his department's supervisor
		waiting := func(a authz.Actor, f customer.VerificationFilter) (out []int64) {
			t.Helper()
			rows, _, err := w.s.Verifications(w.ctx, a, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				out = append(out, r.ID)
			}
			n, err := w.s.VerificationsWaiting(w.ctx, a, f, 100)
			if err != nil || n != len(out) {
				t.Errorf("counted %d (%v), listed %v", n, err, out)
			}
			return out
		}
		mine, late := customer.VerificationFilter{Mine: true}, customer.VerificationFilter{Overdue: true}
		if got := waiting(w.agent, mine); got != nil {
			t.Errorf("due at once: %v", got)
		}
		w.clock.Set(c.VerifyAt.Add(-24 * time.Hour))
		if got := waiting(w.agent, mine); !slices.Equal(got, []int64{c.ID}) {
			t.Errorf("a day before: %v", got)
		}
		if got := waiting(w.head, late); got != nil {
			t.Errorf("overdue before its day: %v", got)
		}
		w.clock.Set(c.VerifyAt.Add(9 * time.Hour))
		if got := waiting(w.head, late); !slices.Equal(got, []int64{c.ID}) {
			t.Errorf("overdue: %v", got)
		}
		for name, a := range map[string]authz.Actor{"stranger": w.stranger, "auditor": w.auditor} {
			if got := waiting(a, late); got != nil {
				t.Errorf("%s sees %v", name, got)
			}
		}
		// Reminded once, however often it is looked.
		_, last := w.events(0)
		for range 3 {
			w.sweep()
		}
		w.clock.Advance(24 * time.Hour)
		w.sweep()
		kinds, now := w.events(last)
		if kinds != "customer.verification_due" {
			t.Errorf("told: %s", kinds)
		}
		evs, _ := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 1, Kind: customer.VerificationDue})
		var told customer.NoticeData
		if err := evs[0].Decode(&told); err != nil || !slices.Equal(told.Tell, []int64{w.agent.ID}) || told.Link != "/customers/verifications" {
			t.Errorf("told %+v", told)
		}
		w.clock.Advance(7 * 24 * time.Hour)
		w.sweep()
		w.sweep()
		if kinds, _ := w.events(now); kinds != "customer.verification_overdue" {
			t.Errorf("after a week: %s", kinds)
		}
		evs, _ = event.List(w.ctx, w.d.Read(), event.Filter{Limit: 1, Kind: customer.VerificationOverdue})
		if err := evs[0].Decode(&told); err != nil || !slices.Equal(told.Tell, []int64{w.head.ID}) {
			t.Errorf("told %+v", told)
		}

		// Field by field.
		c = w.get(c.ID)
		v := customer.VerifyInput{Version: c.Version, Answers: map[string]string{}, Values: map[string]string{}}
		fs := customer.VerifyFields(c)
		if len(fs) != 10 {
			t.Fatalf("%d fields: %+v", len(fs), fs)
		}
		if _, err := w.s.Verify(w.ctx, w.agent, c.ID, v); strings.Count(fields(err), "verify.answer") != len(fs) {
			t.Errorf("without answers: %v", fields(err))
		}
		for _, f := range fs {
			v.Answers[f.Input] = customer.Confirmed
		}
		v.Answers["contacts.0.phone"], v.Values["contacts.0.phone"] = customer.Corrected, ""
		if _, err := w.s.Verify(w.ctx, w.agent, c.ID, v); fields(err) != "contacts.0.phone:verify.value" {
			t.Errorf("empty correction: %v", fields(err))
		}
		v.Values["contacts.0.phone"] = "12"
		if _, err := w.s.Verify(w.ctx, w.agent, c.ID, v); fields(err) != "contacts.0.phone:phone.invalid" {
			t.Errorf("wrong number: %v", fields(err))
		}
		v.Values["contacts.0.phone"] = "13700001111"
		v.Answers["region"], v.Values["region"] = customer.Corrected, "广东 深圳"
		v.Answers["contacts.0.email"] = customer.Unknown
		for name, a := range map[string]authz.Actor{"stranger": w.stranger, "auditor": w.auditor} {
			if _, err := w.s.Verify(w.ctx, a, c.ID, v); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
		stale := v
		stale.Version--
		if _, err := w.s.Verify(w.ctx, w.agent, c.ID, stale); !fault.Is(err, fault.Conflict) {
			t.Errorf("stale: %v", err)
		}
		_, last = w.events(0)
		result, err := w.s.Verify(w.ctx, w.agent, c.ID, v)
		if err != nil || result != customer.Corrected {
			t.Fatalf("%s %v", result, err)
		}
		if kinds, _ := w.events(last); kinds != "customer.changed customer.verified" {
			t.Errorf("facts: %s", kinds)
		}
		c = w.get(c.ID)
		if c.Region != "广东 深圳" || c.Primary().Phone != "137****1111" || !c.VerifiedAt.Equal(w.clock.Now().UTC()) || !c.VerifyAt.Equal(midnight(w.clock.Now().AddDate(0, 3, 0))) {
			t.Errorf("after: %s %s %s %s", c.Region, c.Primary().Phone, c.VerifiedAt, c.VerifyAt)
		}
		h, err := w.s.VerificationHistory(w.ctx, customer.View(w.agent), c.ID)
		if err != nil || len(h) != 1 || h[0].Result != customer.Corrected || h[0].Count(customer.Unknown) != 1 || h[0].Count(customer.Corrected) != 2 || h[0].By != "林晓雯" {
			t.Errorf("history %+v %v", h, err)
		}
		evs, _ = event.List(w.ctx, w.d.Read(), event.Filter{Limit: 5})
		for _, e := range evs {
			if strings.Contains(string(e.Data), "13700001111") {
				t.Errorf("a clear number in %s", e.Data)
			}
		}
		if got := waiting(w.agent, mine); got != nil {
			t.Errorf("still waiting: %v", got)
		}
		// A customer nobody looks after is his department's supervisor's.
		w.clock.Set(w.get(nobody.ID).VerifyAt.Add(9 * time.Hour))
		if got := waiting(w.head, mine); !slices.Equal(got, []int64{nobody.ID}) {
			t.Errorf("for the supervisor: %v", got)
		}
		// Another level, another rhythm; never in the past.
		change := customer.InputOf(c)
		change.Level = customer.Strategic
		if c, err = w.s.Update(w.ctx, w.agent, c.ID, c.Version, change, "签了年框"); err != nil {
			t.Fatal(err)
		}
		if !c.VerifyAt.After(w.clock.Now()) || c.VerifyAt.After(w.clock.Now().AddDate(0, 1, 7)) {
			t.Errorf("strategic: %s", c.VerifyAt)
		}
	})
}

// CUS-13: old customers without a date are spread, and a new rhythm reaches everybody.
func TestVerificationDates(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []int64
		for i := range 40 {
			ids = append(ids, w.create(w.agent, person(fmt.Sprintf("客户%d", i), fmt.Sprintf("138123456%02d", i))).ID)
		}
		old := w.clock.Now().AddDate(-3, 0, 0)
		w.exec(`UPDATE customers SET verify_at = 0, created_at = $1`, db.Micros(old))
		w.exec(`UPDATE customers SET verify_at = 0, created_at = $1 WHERE id = $2`, db.Micros(w.clock.Now()), ids[0])
		w.sweep()
		days := map[string]bool{}
		for _, id := range ids[1:] {
			at := w.get(id).VerifyAt
			if !at.After(w.clock.Now()) || at.After(w.clock.Now().AddDate(0, 7, 0)) {
				t.Fatalf("due %s", at)
			}
			days[at.Format(time.DateOnly)] = true
		}
		if len(days) < 30 {
			t.Errorf("39 customers are due on %d days", len(days))
		}
		if got := w.get(ids[0]).VerifyAt; !got.Equal(midnight(w.clock.Now().AddDate(0, 6, 0))) {
			t.Errorf("the new one: %s", got)
		}
		care := customer.DefaultCare()
		care.Levels[customer.Normal] = customer.LevelCare{VerifyMonths: 12}
		if err := w.s.SetCare(w.ctx, w.admin(), care); err != nil {
			t.Fatal(err)
		}
		w.sweep()
		if got := w.get(ids[0]).VerifyAt; !got.Equal(midnight(w.clock.Now().AddDate(0, 12, 0))) {
			t.Errorf("by the new rhythm: %s", got)
		}
		care.Levels[customer.Normal] = customer.LevelCare{}
		if err := w.s.SetCare(w.ctx, w.admin(), care); err != nil {
			t.Fatal(err)
		}
		w.sweep()
		if got := w.get(ids[0]).VerifyAt; !got.IsZero() {
			t.Errorf("never, but %s", got)
		}
	})
}

var zone = time.FixedZone("", 8*3600)

func midnight(t time.Time) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// CUS-20
func TestGroups(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := map[string]int64{}
		make := func(by authz.Actor, name string, i int) {
			id[name] = w.create(by, company(name+"有限公司", fmt.Sprintf("138123456%02d", i))).ID
		}
		make(w.agent, "华东", 1)
		make(w.agent, "上海", 2)
		make(w.agent, "苏州", 3)
		make(w.stranger, "集团", 4)
		make(w.stranger, "华南", 5)
		man := w.create(w.agent, person("孙先生", "13812345699")).ID
		all := w.admin()
		must := func(by authz.Actor, child, parent string) {
			t.Helper()
			if err := w.s.SetParent(w.ctx, by, id[child], id[parent], "工商变更"); err != nil {
				t.Fatalf("%s under %s: %v", child, parent, fields(err))
			}
		}
		must(w.agent, "上海", "华东")
		must(w.agent, "苏州", "上海")
		must(all, "华东", "集团")
		must(all, "华南", "集团")
		for _, x := range []struct {
			by            authz.Actor
			child, parent int64
			want          string
		}{
			{w.agent, id["华东"], id["苏州"], "parent:parent.circle"}, {w.agent, id["华东"], id["华东"], "parent:parent.circle"},
			{w.agent, man, id["华东"], "parent:parent.person"}, {w.agent, id["华东"], man, "parent:parent.person"},
			{w.agent, id["苏州"], id["华南"], "parent:parent.unknown"}, {w.agent, id["苏州"], id["上海"], "parent:parent.same"},
		} {
			if got := fields(w.s.SetParent(w.ctx, x.by, x.child, x.parent, "")); got != x.want {
				t.Errorf("%d under %d: %q, want %q", x.child, x.parent, got, x.want)
			}
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			return customer.AddTicket(ctx, tx, id["苏州"], 2, 3)
		})
		w.write(func(ctx context.Context, tx *db.Tx) error {
			return customer.AddTicket(ctx, tx, id["华南"], 1, 1)
		})
		tree := func(a authz.Actor, of string) string {
			t.Helper()
			g, err := w.s.Group(w.ctx, customer.View(a), id[of])
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, n := range g.Nodes {
				name := strings.TrimSuffix(n.Name, "有限公司")
				if n.Hidden {
					name = "?"
				}
				if n.Self {
					name += "*"
				}
				fmt.Fprintf(&b, "%s%s ", strings.Repeat(".", n.Depth), name)
			}
			return b.String() + fmt.Sprint(g.Open, "/", g.Total)
		}
		if got := tree(all, "上海"); got != "集团 .华东 ..上海* ...苏州 .华南 3/4" {
			t.Errorf("all: %s", got)
		}
		if got := tree(w.agent, "上海"); got != "华东 .上海* ..苏州 2/3" {
			t.Errorf("agent: %s", got)
		}
		if got := tree(w.stranger, "集团"); got != "集团* .华南 1/1" {
			t.Errorf("stranger: %s", got)
		}
		if _, err := w.s.Group(w.ctx, customer.View(w.stranger), id["上海"]); !fault.Is(err, fault.NotFound) {
			t.Errorf("a stranger's look: %v", err)
		}
	})
}

// CUS-20: whatever is tried, there is never a circle.
func TestGroupsHaveNoCircles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []int64
		for i := range 8 {
			ids = append(ids, w.create(w.agent, company(fmt.Sprintf("第%c公司", '甲'+i), fmt.Sprintf("1381234567%d", i))).ID)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		refused := 0
		for range 120 {
			a, b := ids[rnd.IntN(len(ids))], ids[rnd.IntN(len(ids))]
			if rnd.IntN(5) == 0 {
				b = 0
			}
			if err := w.s.SetParent(w.ctx, w.agent, a, b, ""); err != nil {
				if !fault.Is(err, fault.Invalid) {
					t.Fatal(err)
				}
				refused++
			}
			for _, id := range ids {
				n := 0
				for at := id; at != 0; n++ {
					if n > len(ids) {
						t.Fatalf("%d is its own ancestor", id)
					}
					at = w.get(at).ParentID
				}
			}
		}
		if refused == 0 || refused == 120 {
			t.Errorf("%d of 120 refused", refused)
		}
	})
}

// CUS-20
func TestRelations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := w.create(w.agent, company("甲方有限公司", "13812345671")).ID
		b := w.create(w.agent, company("乙方有限公司", "13812345672")).ID
		far := w.create(w.stranger, company("远方有限公司", "13812345673")).ID
		for _, x := range []struct {
			by       authz.Actor
			from, to int64
			kind     string
			want     string
		}{
			{w.agent, a, a, "partner", "other:relation.self"}, {w.agent, a, far, "partner", "other:relation.who"}, {w.agent, a, b, "enemy", "kind:relation.unknown"}, {w.agent, a, 0, "partner", "other:relation.who"},
		} {
			if got := fields(w.s.Relate(w.ctx, x.by, x.from, x.to, x.kind, "")); got != x.want {
				t.Errorf("%s: %q, want %q", x.kind, got, x.want)
			}
		}
		_, last := w.events(0)
		for _, x := range []struct {
			from, to int64
			kind     string
		}{{b, a, "partner"}, {a, b, "supplier"}} {
			if err := w.s.Relate(w.ctx, w.agent, x.from, x.to, x.kind, "长期合作"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.s.Relate(w.ctx, w.agent, a, b, "partner", ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		if err := w.s.Relate(w.ctx, w.admin(), far, a, "referrer", ""); err != nil {
			t.Fatal(err)
		}
		if kinds, _ := w.events(last); kinds != strings.TrimSpace(strings.Repeat("customer.relation_added ", 6)) {
			t.Errorf("facts: %s", kinds)
		}
		said := func(by authz.Actor, of int64) string {
			t.Helper()
			rs, err := w.s.Relations(w.ctx, customer.View(by), of)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, r := range rs {
				out = append(out, i18n.T(i18n.ZhCN, r.Key())+" "+r.Other.Name)
			}
			return strings.Join(out, "; ")
		}
		if got := said(w.agent, a); got != "合作伙伴 乙方有限公司; 是其供应商 乙方有限公司" {
			t.Errorf("a: %s", got)
		}
		if got := said(w.agent, b); got != "合作伙伴 甲方有限公司; 供应商 甲方有限公司" {
			t.Errorf("b: %s", got)
		}
		if got := said(w.admin(), a); !strings.Contains(got, "推荐人 远方有限公司") {
			t.Errorf("all: %s", got)
		}
		rs, _ := w.s.Relations(w.ctx, customer.View(w.agent), b)
		if err := w.s.Unrelate(w.ctx, w.agent, far, rs[0].ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("of a stranger: %v", err)
		}
		if err := w.s.Unrelate(w.ctx, w.auditor, b, rs[0].ID); !fault.Is(err, fault.Forbidden) {
			t.Errorf("by an auditor: %v", err)
		}
		if err := w.s.Unrelate(w.ctx, w.agent, b, rs[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := said(w.agent, a); got != "是其供应商 乙方有限公司" {
			t.Errorf("after: %s", got)
		}
	})
}

// CUS-20: contacts with roles, the key contact, who leaves and who moves.
func TestContactsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := company("旧公司有限公司", "13812345678")
		in.Contacts[0].Email, in.Contacts[0].Role = "li@example.com", "decision"
		in.Contacts = append(in.Contacts, customer.ContactInput{Name: "赵工", Phone: "13912345678", Role: "technical"}, customer.ContactInput{Name: "钱会计", Phone: "13712345678"})
		c := w.create(w.agent, in)
		to := w.create(w.agent, company("新公司有限公司", "13612345678"))
		far := w.create(w.stranger, company("远方有限公司", "13512345678"))
		li, zhao, qian := c.Contacts[0], c.Contacts[1], c.Contacts[2]
		if li.Role != "decision" || zhao.Role != "technical" {
			t.Fatalf("roles: %+v", c.Contacts)
		}
		// A role is changed and taken away; a form that does not know of it leaves it.
		edit := customer.InputOf(c)
		edit.Contacts[1].Role, edit.Contacts[2].Role, edit.Contacts[0].Role = customer.RoleNone, "finance", ""
		c, err := w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, "")
		if err != nil || c.Contacts[0].Role != "decision" || c.Contacts[1].Role != "" || c.Contacts[2].Role != "finance" {
			t.Fatalf("roles: %+v %v", c.Contacts, err)
		}
		edit.Contacts[0].Role = "boss"
		if got := fields(func() error { _, err := w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, ""); return err }()); got != "contacts.0.role:role.unknown" {
			t.Errorf("unknown role: %s", got)
		}
		// Another key contact.
		edit = customer.InputOf(c)
		edit.Contacts[0].Primary, edit.Contacts[1].Primary = false, true
		if c, err = w.s.Update(w.ctx, w.agent, c.ID, c.Version, edit, ""); err != nil || c.Primary().ID != zhao.ID {
			t.Fatalf("key: %v %v", c.Primary(), err)
		}
		evs, _ := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 1})
		var d customer.ChangedData
		if err := evs[0].Decode(&d); err != nil || len(d.Changes) != 1 || d.Changes[0].Field != "contact.primary" || d.Changes[0].Old != "黎**" || d.Changes[0].New != "赵*" {
			t.Errorf("recorded %s", evs[0].Data)
		}
		// He goes to another company with all his numbers.
		for _, x := range []struct {
			by   authz.Actor
			to   int64
			want string
		}{{w.agent, c.ID, "to:contact.move.same"}, {w.agent, far.ID, "to:contact.move.who"}, {w.agent, 0, "to:contact.move.who"}} {
			if _, err := w.s.MoveContact(w.ctx, x.by, c.ID, li.ID, x.to, "", ""); fields(err) != x.want {
				t.Errorf("to %d: %s, want %s", x.to, fields(err), x.want)
			}
		}
		if _, err := w.s.MoveContact(w.ctx, w.stranger, c.ID, li.ID, far.ID, "", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("stranger: %v", err)
		}
		_, last := w.events(0)
		moved, err := w.s.MoveContact(w.ctx, w.agent, c.ID, li.ID, to.ID, "总经理", "跳槽")
		if err != nil {
			t.Fatal(err)
		}
		if kinds, _ := w.events(last); kinds != "customer.changed customer.changed" {
			t.Errorf("facts: %s", kinds)
		}
		for f, want := range map[customer.Field]string{customer.Phone: "138 1234 5678", customer.Email: "li@example.com"} {
			got, err := w.s.Reveal(w.ctx, w.agent, moved, f, "核对")
			if err != nil || strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("%s there: %q %v", f, got, err)
			}
		}
		there := w.get(to.ID)
		if len(there.Contacts) != 2 || there.Contacts[1].Name != "黎嘉敏" || there.Contacts[1].Position != "总经理" || there.Contacts[1].Role != "decision" || there.Contacts[1].Primary {
			t.Errorf("there: %+v", there.Contacts)
		}
		found, err := w.s.FindContacts(w.ctx, w.d.Read(), "13812345678", "")
		if err != nil || len(found) != 1 || found[0].CustomerID != to.ID {
			t.Errorf("found by his number: %+v %v", found, err)
		}
		former, err := w.s.FormerContacts(w.ctx, customer.View(w.agent), c.ID)
		if err != nil || len(former) != 1 || former[0].ID != li.ID || former[0].To.ID != to.ID || former[0].Reason != "跳槽" || !former[0].LeftAt.Equal(w.clock.Now().UTC()) {
			t.Errorf("former: %+v %v", former, err)
		}
		// The key contact leaves: another takes his place.
		w.clock.Advance(time.Minute)
		if err := w.s.LetContactGo(w.ctx, w.agent, c.ID, zhao.ID, "退休"); err != nil {
			t.Fatal(err)
		}
		if c = w.get(c.ID); c.Primary().ID != qian.ID || len(c.Contacts) != 1 {
			t.Errorf("left: %+v", c.Contacts)
		}
		if err := w.s.LetContactGo(w.ctx, w.agent, c.ID, zhao.ID, ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("twice: %v", err)
		}
		if err := w.s.LetContactGo(w.ctx, w.agent, c.ID, qian.ID, ""); err != nil {
			t.Errorf("the last one: %v", err)
		}
		history := func(by authz.Actor, of int64) string {
			t.Helper()
			ls, err := w.s.ContactHistory(w.ctx, customer.View(by), of)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, l := range ls {
				s := l.Kind + " " + l.Name
				if l.Before != "" {
					s += "<" + l.Before
				}
				if l.Other.Name != "" {
					s += "@" + l.Other.Name
				}
				out = append(out, s)
			}
			slices.Reverse(out)
			return strings.Join(out, "; ")
		}
		if got := history(w.agent, c.ID); got != "key 赵工<黎嘉敏; moved 黎嘉敏@新公司有限公司; left 赵工; key 钱会计<赵工; left 钱会计; key <钱会计" {
			t.Errorf("history: %s", got)
		}
		if got := history(w.agent, to.ID); got != "came 黎嘉敏@旧公司有限公司" {
			t.Errorf("history there: %s", got)
		}
		if got := w.get(c.ID); len(got.Contacts) != 0 {
			t.Errorf("left over: %+v", got.Contacts)
		}
	})
}
