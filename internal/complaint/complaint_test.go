package complaint_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// house is a company with its complaints.
type house struct {
	*tickettest.House
	c *complaint.Service
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		th := tickettest.New(t, d, c)
		h := &house{House: th, c: complaint.New(th.Run, th.Org, th.Service, th.Customers, th.Files)}
		th.Follower.Listen(h.c.Follow())
		f(t, h)
	})
}

func asComplaint(in *ticket.RegisterInput) { in.Type = "complaint" }

// values pass in every step; change what a test is about.
func (h *house) values(s complaint.Step) complaint.Values {
	now := h.Clock.Now().UTC().Format(time.RFC3339)
	switch s {
	case complaint.Receive:
		return complaint.Values{"product": "监护仪 BM-200", "wish": "replacement", "wish_note": "换一台新的", "people": "送货员老李", "department": "物流部", "branch": "广州网点", "action": "已安排备用机", "informed": "duration,progress", "language": "zh"}
	case complaint.Calm:
		return complaint.Values{"at": now, "means": "phone", "said": "致歉并说明处理时间", "mood": "unhappy"}
	case complaint.Classify:
		return complaint.Values{"severity": "high", "complexity": "moderate", "impact": "single", "safety": "possible", "safety_note": "漏电风险待查", "immediate": "possible", "immediate_note": "停用该设备"}
	case complaint.Investigate:
		return complaint.Values{"facts": "运输途中碰撞", "sources": "site,product", "justified": "justified"}
	case complaint.Propose:
		return complaint.Values{"remedies": "replacement,apology", "offer": "三日内更换新机", "prevent": "改用加固包装", "at_once": "no", "later_why": "缺货", "later_when": "2026-12-01"}
	case complaint.Resolve:
		return complaint.Values{"done": "新机已送达并验收", "done_at": now, "cause": "包装强度不足", "corrective": "更换包装供应商"}
	case complaint.Respond:
		return complaint.Values{"decision": "更换新机，承担运费", "to": "黎嘉敏", "at": now, "means": "phone", "answer": "accepted"}
	case complaint.Review:
		return complaint.Values{"outcome": "accepted", "analysis": "recurring", "analysis_note": "本季第三起", "satisfaction": "4", "lesson": "发货前复检"}
	case complaint.Track:
		return complaint.Values{"at": now, "means": "phone", "said": "新机已发出"}
	}
	return nil
}

func (h *house) record(login string, id int64, s complaint.Step) complaint.Complaint {
	h.T.Helper()
	c, err := h.c.Record(h.Ctx, h.As(login), id, complaint.Entry{Step: s, Values: h.values(s)})
	h.OK(err)
	return c
}

func (h *house) get(t ticket.Ticket) (ticket.Ticket, complaint.Complaint) {
	h.T.Helper()
	t, c, err := h.c.Get(h.Ctx, ticket.View(authz.System("test")), t.Number)
	h.OK(err)
	return t, c
}

func kind(err error) fault.Kind { return fault.KindOf(err) }

func key(err error) string {
	if e, ok := fault.As(err); ok {
		return e.Key
	}
	return fmt.Sprint(err)
}

func TestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		tk := h.To(ticket.InProgress, asComplaint)
		h.Events()
		for i, s := range complaint.Steps {
			_, c := h.get(tk)
			if c.Due() != s || c.Step != s {
				t.Fatalf("due is %s, row says %s, want %s", c.Due(), c.Step, s)
			}
			for _, later := range complaint.Steps[i+1:] {
				_, err := h.c.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: later, Values: h.values(later)})
				if s != complaint.Respond || later != complaint.Review { // the only ones behind the required
					if kind(err) != fault.Conflict || key(err) != "complaint.order" {
						t.Errorf("%s before %s: %v", later, s, err)
					}
				}
			}
			h.record("kefu", tk.ID, s)
			_, err := h.c.Record(h.Ctx, h.As("gong"), tk.ID, complaint.Entry{Step: s, Values: h.values(s)})
			if kind(err) != fault.NotFound { // not his department's
				t.Errorf("%s by a stranger: %v", s, err)
			}
			_, err = h.c.Record(h.Ctx, h.As("kefu2"), tk.ID, complaint.Entry{Step: s, Values: h.values(s)})
			if kind(err) != fault.Conflict || key(err) != "complaint.recorded_meanwhile" {
				t.Errorf("%s twice: %v", s, err)
			}
		}
		if got, want := h.Events(), strings.TrimSpace(strings.Repeat("complaint.recorded ", len(complaint.Steps))); got != want {
			t.Errorf("facts %s", got)
		}
		tk, c := h.get(tk)
		if c.Due() != "" || c.Step != "" || !c.Reviewed || c.Severity != "high" || c.Mood != "unhappy" || c.Wish != "replacement" || c.Answer != "accepted" {
			t.Errorf("at the end: %+v", c)
		}
		if tk.Cause != "包装强度不足" || tk.Corrective != "更换包装供应商" || tk.RespondedAt.IsZero() {
			t.Errorf("the ticket does not follow: %q %q %s", tk.Cause, tk.Corrective, tk.RespondedAt)
		}
		h.Invariants()
	})
}

func TestWhatAStepNeeds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		tk := h.To(ticket.InProgress, asComplaint)
		with := func(s complaint.Step, pairs ...string) complaint.Values {
			v := h.values(s)
			for i := 0; i < len(pairs); i += 2 {
				if v[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
					delete(v, pairs[i])
				}
			}
			return v
		}
		bad := func(s complaint.Step, v complaint.Values, want string) {
			t.Helper()
			_, err := h.c.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: s, Values: v})
			var fields []string
			if e, ok := fault.As(err); ok {
				for _, f := range e.Fields {
					fields = append(fields, f.Field)
				}
			}
			if kind(err) != fault.Invalid || strings.Join(fields, " ") != want {
				t.Errorf("%s %v: %v, want %s", s, v, err, want)
			}
		}
		bad(complaint.Receive, complaint.Values{}, "product wish")
		bad(complaint.Receive, with(complaint.Receive, "wish", "money"), "wish")
		bad(complaint.Receive, with(complaint.Receive, "informed", "progress,weather"), "informed")
		bad(complaint.Receive, with(complaint.Receive, "colour", "red"), "colour")
		bad(complaint.Receive, with(complaint.Receive, "product", strings.Repeat("长", 501)), "product")
		h.record("kefu", tk.ID, complaint.Receive)
		bad(complaint.Calm, with(complaint.Calm, "at", h.Clock.Now().Add(time.Hour).Format(time.RFC3339)), "at")
		bad(complaint.Calm, with(complaint.Calm, "at", "yesterday", "said", "  "), "at said")
		h.record("kefu", tk.ID, complaint.Calm)
		bad(complaint.Classify, with(complaint.Classify, "safety_note", ""), "safety_note")
		_, err := h.c.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: complaint.Classify, Values: with(complaint.Classify, "safety", "none")}) // the note concerns nothing then
		h.OK(err)
		_, c := h.get(tk)
		if r, _ := c.Last(complaint.Classify); r.Values["safety_note"] != "" {
			t.Error("what was not asked for was kept")
		}
		h.record("kefu", tk.ID, complaint.Investigate)
		bad(complaint.Propose, with(complaint.Propose, "later_why", "", "later_when", "soon"), "later_why later_when")
		h.record("kefu", tk.ID, complaint.Propose)
		bad(complaint.Resolve, with(complaint.Resolve, "cause", "", "corrective", ""), "cause corrective")
		h.record("kefu", tk.ID, complaint.Resolve)
		bad(complaint.Respond, with(complaint.Respond, "answer", "rejected"), "recourse")
		h.record("kefu", tk.ID, complaint.Respond)
		bad(complaint.Review, with(complaint.Review, "analysis_note", "", "satisfaction", "6"), "analysis_note satisfaction")
		if _, err := h.c.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: "sleep"}); kind(err) != fault.NotFound {
			t.Errorf("an unknown step: %v", err)
		}
		plain := h.Register()
		if _, err := h.c.Record(h.Ctx, h.As("kefu"), plain.ID, complaint.Entry{Step: complaint.Receive, Values: h.values(complaint.Receive)}); kind(err) != fault.NotFound {
			t.Errorf("a step of what is no complaint: %v", err)
		}
		if _, err := h.c.Record(h.Ctx, h.As("xiaoshou"), tk.ID, complaint.Entry{Step: complaint.Track, Values: h.values(complaint.Track)}); kind(err) != fault.Forbidden {
			t.Errorf("without the right: %v", err)
		}
	})
}

func TestGate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		tk := h.To(ticket.InProgress, asComplaint)
		in := ticket.Input{Solution: "已更换", Cause: "包装", Corrective: "换供应商"}
		ask := func() error {
			_, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.RequestConfirmation, in)
			return err
		}
		for _, s := range complaint.DefaultSettings().Required {
			err := ask()
			e, ok := fault.As(err)
			if !ok || e.Key != "complaint.missing" || !strings.Contains(fmt.Sprint(e.Args...), complaint.Names(h.As("kefu").Lang, []complaint.Step{s})) {
				t.Fatalf("before %s: %v", s, err)
			}
			h.record("kefu", tk.ID, s)
		}
		h.Events()
		h.OK(ask())
		if got := h.Events(); got != "ticket.confirmation_requested" {
			t.Errorf("facts %s", got)
		}
		_, c := h.get(tk)
		if r, ok := c.Last(complaint.Respond); !ok || !r.Auto() || r.Values["decision"] != "已更换" || r.Values["to"] != h.Cust.Name || r.Values["means"] != "email" || c.Due() != complaint.Review {
			t.Errorf("the decision is not recorded as told: %+v", r)
		}
		// The customer rejects it: everything from the investigation on is taken anew.
		rejected, err := h.Do(h.Ctx, h.The(tk), tk.ID, ticket.Dispute, ticket.Input{Rating: &ticket.Rating{Stars: 1, Comment: "没有解决"}})
		h.OK(err)
		_, c = h.get(tk)
		if c.Answer != "rejected" || c.Due() != complaint.Investigate || c.Done(complaint.Respond) || !c.Done(complaint.Classify) || len(c.Records) != 7 || c.Round != 2 {
			t.Errorf("second handling: %+v", c)
		}
		h.Move("zhuguan", rejected, ticket.Assign, ticket.Input{AssigneeID: h.User["kefu"]})
		h.Move("kefu", rejected, ticket.Acknowledge, ticket.Input{})
		if key(ask()) != "complaint.missing" {
			t.Error("the records of the first round opened the gate of the second")
		}
		for _, s := range []complaint.Step{complaint.Investigate, complaint.Propose, complaint.Resolve} {
			h.record("kefu", tk.ID, s)
		}
		h.OK(ask())
		h.Move("kefu", rejected, ticket.Confirm, ticket.Input{Rating: &ticket.Rating{Stars: 5, Solved: true}})
		now, c := h.get(tk)
		if c.Answer != "accepted" {
			t.Errorf("answer %q", c.Answer)
		}
		// Nobody has looked back yet: neither a person nor time archives it, and it
		// holds up nothing else.
		if _, err := h.Do(h.Ctx, h.As("kefu"), tk.ID, ticket.Close, ticket.Input{}); key(err) != "complaint.review_first" {
			t.Errorf("closed without a review: %v", err)
		}
		plain := h.To(ticket.Completed)
		h.Clock.Advance(30 * 24 * time.Hour)
		if n, err := h.Archive(h.Ctx, 1); err != nil || n != 1 {
			t.Errorf("archived %d: %v", n, err)
		}
		if n, err := h.Archive(h.Ctx, 10); err != nil || n != 0 {
			t.Errorf("archived %d without a review: %v", n, err)
		}
		if x, err := h.Get(h.Ctx, ticket.View(authz.System("test")), plain.ID); err != nil || x.State != ticket.Closed {
			t.Errorf("the other one is %s: %v", x.State, err)
		}
		st := complaint.DefaultSettings()
		st.Review = false
		h.OK(h.c.SetSettings(h.Ctx, h.As("guanli"), st))
		closed := h.Move("kefu", now, ticket.Close, ticket.Input{})
		_, c = h.get(tk)
		// Of what is archived only the review is written.
		if _, err := h.c.Record(h.Ctx, h.As("kefu"), tk.ID, complaint.Entry{Step: complaint.Track, Values: h.values(complaint.Track)}); kind(err) != fault.Conflict {
			t.Errorf("a record in the archive: %v", err)
		}
		h.record("kefu", closed.ID, complaint.Review)
		// One that has been looked back on goes as others do.
		h.OK(h.c.SetSettings(h.Ctx, h.As("guanli"), complaint.DefaultSettings()))
		next := h.To(ticket.InProgress, asComplaint)
		for _, s := range complaint.DefaultSettings().Required {
			h.record("kefu", next.ID, s)
		}
		next, _ = h.get(next)
		next = h.Move("kefu", next, ticket.RequestConfirmation, ticket.Input{Solution: "已处理", Cause: "a", Corrective: "b"})
		next = h.Move("kefu", next, ticket.Confirm, ticket.Input{Rating: &ticket.Rating{Stars: 5, Handling: 4, Solved: true}})
		h.record("kefu", next.ID, complaint.Review)
		next, _ = h.get(next)
		h.Move("kefu", next, ticket.Close, ticket.Input{})
		if rs, err := ticket.Ratings(h.Ctx, h.D.Read(), next.ID); err != nil || len(rs) != 1 || rs[0].Handling != 4 {
			t.Errorf("ratings %+v: %v", rs, err)
		}
		h.Invariants()
	})
}

func TestRequiredIsConfigured(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		st := complaint.DefaultSettings()
		st.Required = []complaint.Step{complaint.Receive}
		if err := h.c.SetSettings(h.Ctx, h.As("zhuguan"), st); kind(err) != fault.Forbidden {
			t.Errorf("a supervisor sets it: %v", err)
		}
		h.OK(h.c.SetSettings(h.Ctx, h.As("guanli"), st))
		if err := h.c.SetSettings(h.Ctx, h.As("guanli"), complaint.Settings{Required: []complaint.Step{complaint.Review}}); kind(err) != fault.Invalid {
			t.Errorf("the review before the answer: %v", err)
		}
		tk := h.To(ticket.InProgress, asComplaint)
		h.record("kefu", tk.ID, complaint.Receive)
		h.record("kefu", tk.ID, complaint.Propose) // the steps between are passed over
		h.Move("kefu", tk, ticket.RequestConfirmation, ticket.Input{Solution: "已处理", Cause: "a", Corrective: "b"})
	})
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		tk := h.To(ticket.InProgress, asComplaint)
		if _, err := h.c.Upgrade(h.Ctx, h.As("kefu"), tk.ID, 0, " "); kind(err) != fault.Invalid {
			t.Errorf("without a reason: %v", err)
		}
		for _, step := range []struct {
			level int
			who   string
		}{{complaint.LevelSupervisor, "zhuguan"}, {complaint.LevelHead, "zongjian"}, {complaint.LevelManagement, "zongjian"}} {
			h.Events()
			c, err := h.c.Upgrade(h.Ctx, h.As("kefu"), tk.ID, 0, "客户要求上级处理")
			h.OK(err)
			now, _ := h.get(tk)
			if c.Level != step.level || c.LevelUser != h.User[step.who] || now.SupervisorID != h.User[step.who] || now.Escalation != step.level-1 {
				t.Errorf("level %d of %d, desk of %d", c.Level, c.LevelUser, now.SupervisorID)
			}
			if got := h.Events(); got != "complaint.upgraded" {
				t.Errorf("facts %s", got)
			}
			evs, err := event.Of(h.Ctx, h.D.Read(), ticket.Subject(tk.ID), 0, 1)
			h.OK(err)
			var f ticket.Fact
			h.OK(evs[0].Decode(&f))
			if !slices.Contains(f.Tell, h.User[step.who]) || f.From != "" || evs[0].Reason != "客户要求上级处理" {
				t.Errorf("told %v", f.Tell)
			}
		}
		for _, level := range []int{0, 1, 4, 9} {
			if _, err := h.c.Upgrade(h.Ctx, h.As("kefu"), tk.ID, level, "再升"); kind(err) != fault.Conflict {
				t.Errorf("to level %d: %v", level, err)
			}
		}
		_, c := h.get(tk)
		if len(c.Records) != 3 || c.Records[2].Values["name"] != "黎嘉敏" || c.Records[2].Reason != "客户要求上级处理" {
			t.Errorf("records %+v", c.Records)
		}
		// It may be passed over a level; who is responsible sees the ticket of another department.
		other := h.To(ticket.InProgress, asComplaint)
		_, err := h.c.Upgrade(h.Ctx, h.As("kefu"), other.ID, complaint.LevelHead, "重大投诉")
		h.OK(err)
		if _, _, err := h.c.Get(h.Ctx, ticket.View(h.As("zongjian")), other.Number); err != nil {
			t.Error(err)
		}
		// Nobody there: refused with the remedy.
		h.OK(h.Run.Do(h.Ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			if _, err := a.Exec(ctx, `UPDATE departments SET head_id = 0`); err != nil {
				return err
			}
			_, err := a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = 'org.generation'`)
			return err
		}))
		h.Clock.Advance(6 * time.Second)
		third := h.To(ticket.InProgress, asComplaint)
		if _, err := h.c.Upgrade(h.Ctx, h.As("kefu"), third.ID, complaint.LevelManagement, "x"); key(err) != "complaint.nobody" {
			t.Errorf("to nobody: %v", err)
		}
		h.Invariants()
	})
}

// What has been recorded is never rewritten: every amendment is a further row.
func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		tk := h.To(ticket.InProgress, asComplaint)
		h.record("kefu", tk.ID, complaint.Receive)
		raw := func() string {
			rows, err := h.D.Read().Query(h.Ctx, `SELECT id, step, round, amends_id, data, reason, by_id, by_name, at FROM complaint_records WHERE ticket_id = $1 ORDER BY id`, tk.ID)
			h.OK(err)
			defer rows.Close()
			var b strings.Builder
			for rows.Next() {
				var id, round, amends, by, at int64
				var step, data, reason, name string
				h.OK(rows.Scan(&id, &step, &round, &amends, &data, &reason, &by, &name, &at))
				fmt.Fprintln(&b, id, step, round, amends, data, reason, by, name, at)
			}
			return b.String()
		}
		before := raw()
		_, c := h.get(tk)
		first := c.Records[0]
		v := h.values(complaint.Receive)
		v["product"] = "监护仪 BM-300"
		amend := func(id int64, reason string) error {
			_, err := h.c.Record(h.Ctx, h.As("kefu2"), tk.ID, complaint.Entry{Step: complaint.Receive, Values: v, Amends: id, Reason: reason})
			return err
		}
		if err := amend(first.ID, ""); kind(err) != fault.Invalid {
			t.Errorf("without a reason: %v", err)
		}
		h.Events()
		h.OK(amend(first.ID, "型号写错"))
		if got := h.Events(); got != "complaint.amended" {
			t.Errorf("facts %s", got)
		}
		if err := amend(first.ID, "又错"); key(err) != "complaint.amended_meanwhile" {
			t.Errorf("an amendment of what is no longer in force: %v", err)
		}
		if err := amend(first.ID+100, "x"); kind(err) != fault.NotFound {
			t.Errorf("an amendment of nothing: %v", err)
		}
		if now := raw(); !strings.HasPrefix(now, before) || now == before {
			t.Errorf("rewritten:\n%s\nwas\n%s", now, before)
		}
		_, c = h.get(tk)
		r, _ := c.Last(complaint.Receive)
		if len(c.InForce(complaint.Receive)) != 1 || r.Values["product"] != "监护仪 BM-300" || r.ByName != "周敏" || r.Amends != first.ID || r.Reason != "型号写错" {
			t.Errorf("in force: %+v", r)
		}
		// Mood and wish leave their traces too.
		h.OK(ignore(h.c.Describe(h.Ctx, h.As("kefu"), tk.ID, complaint.Wish{Mood: "angry", Remedy: "refund", Note: "全额"})))
		h.OK(ignore(h.c.Describe(h.Ctx, h.As("kefu"), tk.ID, complaint.Wish{Mood: "calm", Remedy: "refund"})))
		if _, err := h.c.Describe(h.Ctx, h.As("kefu"), tk.ID, complaint.Wish{Mood: "green"}); kind(err) != fault.Invalid {
			t.Errorf("a mood nobody knows: %v", err)
		}
		_, c = h.get(tk)
		if c.Mood != "calm" || c.Wish != "refund" || len(c.Records) != 4 {
			t.Errorf("%+v", c)
		}
	})
}

func ignore(_ complaint.Complaint, err error) error { return err }

func TestRegisteredWithWish(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		w := complaint.Wish{Mood: "angry", Remedy: "refund", Note: "1280 元"}
		tk := h.Register(asComplaint, func(in *ticket.RegisterInput) { in.Then = h.c.Registered(w) })
		_, c := h.get(tk)
		if c.Mood != "angry" || c.Wish != "refund" || c.WishNote != "1280 元" || c.Step != complaint.Receive {
			t.Errorf("%+v", c)
		}
		in := h.Input()
		in.Type, in.Then = "complaint", h.c.Registered(complaint.Wish{Mood: "x"})
		if _, err := h.Service.Register(h.Ctx, h.As("kefu"), in); kind(err) != fault.Invalid {
			t.Errorf("a mood nobody knows: %v", err)
		}
		// One that becomes a complaint later.
		plain := h.Register()
		_, err := h.Edit(h.Ctx, h.As("kefu"), plain.ID, ticket.Edit{Title: plain.Title, Type: "complaint", Class: plain.Class, Urgency: plain.Urgency})
		h.OK(err)
		h.OK(h.Follower.Drain(h.Ctx))
		p, err := h.c.List(h.Ctx, h.As("zhuguan"), ticket.View(h.As("zhuguan")), complaint.Filter{})
		h.OK(err)
		if len(p.Rows) != 2 {
			t.Errorf("%d in the list", len(p.Rows))
		}
	})
}

func TestListAndScope(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		var numbers []string
		for i := range 7 {
			tk := h.To(ticket.InProgress, asComplaint)
			numbers = append(numbers, tk.Number)
			h.record("kefu", tk.ID, complaint.Receive)
			if i%2 == 0 {
				h.record("kefu", tk.ID, complaint.Calm)
				h.record("kefu", tk.ID, complaint.Classify)
			}
			if i == 3 {
				h.OK(ignore(h.c.Upgrade(h.Ctx, h.As("kefu"), tk.ID, 0, "x")))
			}
		}
		boss := h.As("zhuguan")
		list := func(a authz.Actor, f complaint.Filter) (out []string) {
			t.Helper()
			for {
				p, err := h.c.List(h.Ctx, a, ticket.View(a), f)
				h.OK(err)
				for _, r := range p.Rows {
					out = append(out, r.Number)
				}
				if f.After = p.Next; p.Next == "" {
					return out
				}
			}
		}
		want := append([]string{numbers[3]}, append(slices.Clone(numbers[:3]), numbers[4:]...)...)
		if got := list(boss, complaint.Filter{Limit: 2}); !slices.Equal(got, want) {
			t.Errorf("open: %v, want %v", got, want)
		}
		back := slices.Clone(numbers)
		slices.Reverse(back)
		if got := list(boss, complaint.Filter{View: complaint.ViewAll, Limit: 3}); !slices.Equal(got, back) {
			t.Errorf("all: %v", got)
		}
		for _, f := range []struct {
			f complaint.Filter
			n int
		}{{complaint.Filter{Step: complaint.Calm}, 3}, {complaint.Filter{Severity: "high"}, 4}, {complaint.Filter{Severity: "serious"}, 4}, {complaint.Filter{Severity: "none"}, 3}, {complaint.Filter{Level: 2}, 1},
			{complaint.Filter{Raised: true}, 1}, {complaint.Filter{Overdue: true}, 0}, {complaint.Filter{View: complaint.ViewReview}, 0}, {complaint.Filter{Department: h.Dept["物流部"]}, 0}} {
			if got := list(boss, f.f); len(got) != f.n {
				t.Errorf("%+v: %d, want %d", f.f, len(got), f.n)
			}
		}
		n, err := h.c.Count(h.Ctx, boss, ticket.View(boss))
		h.OK(err)
		if n.Open != 7 || n.Step[complaint.Calm] != 3 || n.Step[complaint.Investigate] != 4 || n.Level[2] != 1 || n.Serious != 4 {
			t.Errorf("counts %+v", n)
		}
		// Out of scope nothing of it exists.
		stranger := h.As("jizhu")
		if got := list(stranger, complaint.Filter{View: complaint.ViewAll}); len(got) != 0 {
			t.Errorf("a stranger sees %v", got)
		}
		if _, _, err := h.c.Get(h.Ctx, ticket.View(stranger), numbers[0]); kind(err) != fault.NotFound {
			t.Errorf("get: %v", err)
		}
		if _, err := h.c.File(h.Ctx, ticket.View(stranger), numbers[0]); kind(err) != fault.NotFound {
			t.Errorf("file: %v", err)
		}
		if _, err := h.c.List(h.Ctx, h.As("kefu"), ticket.View(h.As("kefu")), complaint.Filter{}); kind(err) != fault.Forbidden {
			t.Errorf("an agent: %v", err)
		}
	})
}

// Random people do random things for a while; what must always hold does.
func TestRandom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		rnd := rand.New(rand.NewPCG(7, uint64(len(t.Name()))))
		tk := h.To(ticket.InProgress, asComplaint)
		var seen []string
		level := 1
		for range 120 {
			h.Clock.Advance(time.Duration(rnd.IntN(90)) * time.Minute)
			who := []string{"kefu", "kefu2", "zhuguan", "zongjian", "gong"}[rnd.IntN(5)]
			s := complaint.Forms[rnd.IntN(len(complaint.Forms))]
			_, c := h.get(tk)
			var err error
			switch rnd.IntN(6) {
			case 0:
				_, err = h.c.Upgrade(h.Ctx, h.As(who), tk.ID, rnd.IntN(6), []string{"", "原因"}[rnd.IntN(2)])
			case 1:
				if len(c.Records) > 0 {
					r := c.Records[rnd.IntN(len(c.Records))]
					_, err = h.c.Record(h.Ctx, h.As(who), tk.ID, complaint.Entry{Step: r.Step, Values: h.values(r.Step), Amends: r.ID, Reason: "更正"})
				}
			case 2:
				verb := []ticket.Verb{ticket.RequestConfirmation, ticket.Dispute, ticket.Confirm, ticket.Assign, ticket.Acknowledge, ticket.Reopen}[rnd.IntN(6)]
				in := ticket.Input{Solution: "s", Cause: "c", Corrective: "d", DelayReason: "e", Reason: "r", AssigneeID: h.User["kefu"]}
				if verb == ticket.Dispute {
					in.Rating = &ticket.Rating{Stars: 1}
				}
				_, err = h.Do(h.Ctx, h.As(who), tk.ID, verb, in)
			default:
				_, err = h.c.Record(h.Ctx, h.As(who), tk.ID, complaint.Entry{Step: s, Values: h.values(s)})
			}
			if err != nil {
				if _, ok := fault.As(err); !ok {
					t.Fatal(err)
				}
			}
			now, after := h.get(tk)
			if after.Level < level {
				t.Fatalf("the level sank from %d to %d", level, after.Level)
			}
			level = after.Level
			if after.Step != after.Due() {
				t.Fatalf("the row says %q, the records %q", after.Step, after.Due())
			}
			if now.State == ticket.AwaitingConfirmation && len(after.Missing(complaint.DefaultSettings().Required)) > 0 {
				t.Fatalf("the customer was asked while %v was missing", after.Missing(complaint.DefaultSettings().Required))
			}
			for i, r := range after.Records {
				raw, err := json.Marshal(r)
				h.OK(err)
				if i < len(seen) && seen[i] != string(raw) {
					t.Fatalf("record %d was rewritten:\n%s\n%s", i, seen[i], raw)
				}
				if i >= len(seen) {
					seen = append(seen, string(raw))
				}
			}
			if len(after.Records) < len(seen) {
				t.Fatal("a record is gone")
			}
		}
		if len(seen) < 12 {
			t.Errorf("only %d records: the test says little", len(seen))
		}
		h.Invariants()
	})
}

// The list is read from its index, however many complaints have ended.
func TestListUsesItsIndex(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.New(t)
	for order, index := range map[string]string{
		"c.is_open = 1 ORDER BY c.level DESC, c.ticket_id":                     "complaints_open",
		"c.is_open = 0 AND c.reviewed = 0 ORDER BY c.ticket_id":                "complaints_review",
		"c.created_at >= 1 AND c.created_at < 9 ORDER BY c.created_at LIMIT 3": "complaints_created",
	} {
		rows, err := d.Read().Query(context.Background(), "EXPLAIN QUERY PLAN SELECT t.id FROM complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND t.type = 'complaint' AND "+order)
		if err != nil {
			t.Fatal(err)
		}
		var plan string
		for rows.Next() {
			var a, b, c int
			var line string
			if err := rows.Scan(&a, &b, &c, &line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		rows.Close()
		if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s:\n%s", order, plan)
		}
	}
}
