package ticket_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

var (
	randomSteps = flag.Int("random-steps", 400, "how many steps TestRandom takes in each run")
	randomRuns  = flag.Int("random-runs", 1, "how many runs TestRandom makes")
	randomSeed  = flag.Uint64("random-seed", 2, "seed of the first run of TestRandom")
)

// Random people do what they may and what they may not, time passes in jumps,
// the program is down for days and starts again: what always holds holds after
// all of it. A failure names the seed; go test -run TestRandom -random-runs 50
// -random-steps 2000 looks further.
func TestRandom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		for run := range *randomRuns {
			seed := *randomSeed + uint64(run)
			r := &random{House: h, r: rand.New(rand.NewPCG(seed, 7)), seed: seed}
			for r.step = range *randomSteps {
				r.one()
				if r.step%40 == 39 {
					r.check()
				}
				if t.Failed() {
					t.Fatalf("seed %d, step %d, last: %s", seed, r.step, r.what)
				}
			}
			h.Sweep()
			r.check()
		}
		var done []string
		rows, err := h.D.Read().Query(h.Ctx, `SELECT kind FROM events WHERE kind LIKE 'ticket.%' GROUP BY kind HAVING COUNT(*) > 0 ORDER BY kind`)
		h.OK(err)
		defer rows.Close()
		for rows.Next() {
			var k string
			h.OK(rows.Scan(&k))
			done = append(done, k)
		}
		if *randomSteps >= 400 && len(done) < 25 {
			t.Errorf("the walk reached only %d kinds of events: %v", len(done), done)
		}
	})
}

type random struct {
	*tickettest.House
	r    *rand.Rand
	seed uint64
	step int
	what string // the newest step, for the report
	ids  []int64
}

func (r *random) check() {
	r.T.Helper()
	r.Invariants()
	var n int
	r.OK(r.D.Read().QueryRow(r.Ctx, `SELECT COALESCE(MAX(id), 0) FROM tickets`).Scan(&n))
	r.ids = r.ids[:0]
	for id := range n {
		r.ids = append(r.ids, int64(id+1))
	}
}

func pick[T any](r *random, from ...T) T { return from[r.r.IntN(len(from))] }

func (r *random) login() string { return tickettest.People[r.r.IntN(len(tickettest.People))].Login }

// words are sometimes missing.
func (r *random) words() string {
	return pick(r, "", "已联系客户，约定明早 9 点上门检测", "更换主板后恢复", " ")
}

// some returns a ticket, rather a young one; ok is false when there is none.
func (r *random) some() (t ticket.Ticket, ok bool) {
	if len(r.ids) == 0 {
		return t, false
	}
	at := r.r.IntN(len(r.ids))
	if r.r.IntN(3) > 0 {
		at = max(0, len(r.ids)-1-r.r.IntN(8))
	}
	t, err := r.Get(r.Ctx, authz.For(authz.System("test"), ticket.PermView), r.ids[at])
	if fault.Is(err, fault.NotFound) { // a number given back by a refused registration
		return t, false
	}
	r.OK(err)
	return t, true
}

// fine ends the test unless err is a refusal in words.
func (r *random) fine(err error) {
	r.T.Helper()
	switch fault.KindOf(err) {
	case "", fault.Invalid, fault.NotFound, fault.Forbidden, fault.Conflict:
	default:
		r.T.Fatalf("seed %d, step %d, %s: %v", r.seed, r.step, r.what, err)
	}
}

func (r *random) one() {
	t, ok := r.some()
	switch n := r.r.IntN(100); {
	case n < 12 || !ok:
		r.register()
	case n < 62:
		r.move(t)
	case n < 68:
		r.what = "reply"
		_, err := r.Reply(r.Ctx, r.owner(t), t.ID, r.words(), nil)
		r.fine(err)
	case n < 70:
		r.what = "note"
		_, err := r.Note(r.Ctx, r.owner(t), t.ID, r.words(), nil, nil)
		r.fine(err)
	case n < 75:
		r.what = "follow up"
		_, err := r.FollowUp(r.Ctx, r.owner(t), t.ID, r.words(), journal.Record{Method: "phone"}, nil)
		r.fine(err)
	case n < 80:
		r.what = "customer writes"
		got, err := r.CustomerWrites(r.Ctx, r.The(t), t.ID, r.words(), nil)
		r.fine(err)
		if err == nil && got.ID != t.ID {
			r.ids = append(r.ids, got.ID)
		}
	case n < 85:
		r.what = "rate"
		by := r.The(t)
		if r.r.IntN(3) == 0 {
			by = r.owner(t)
		}
		_, err := r.Rate(r.Ctx, by, t.ID, *r.rating())
		r.fine(err)
	case n < 88:
		r.what = "edit"
		_, err := r.House.Edit(r.Ctx, r.owner(t), t.ID, ticket.Edit{Title: t.Title, Type: pick(r, ticket.Types...), Urgency: pick(r, ticket.Urgencies...)})
		r.fine(err)
	case n < 96:
		d := pick(r, 10*time.Minute, 45*time.Minute, 3*time.Hour, 25*time.Hour, 5*24*time.Hour)
		r.what = fmt.Sprint("wait ", d)
		r.Clock.Advance(d)
		if r.r.IntN(3) > 0 { // else the program was down: what comes next comes before the clocks
			r.Sweep()
			if n := r.Sweep(); n > 0 {
				r.T.Errorf("%d steps were left by a sweep", n)
			}
		}
	case n < 97 && r.r.IntN(2) == 0:
		r.what = "defer"
		_, err := r.Defer(r.Ctx, r.owner(t), t.ID, ticket.DeferralInput{Due: r.Clock.Now().Add(pick(r, time.Hour, 50*time.Hour, 200*time.Hour)), Reason: r.words()})
		r.fine(err)
		if t, err = r.Get(r.Ctx, authz.For(authz.System("test"), ticket.PermView), t.ID); err == nil && t.DeferralID != 0 && r.r.IntN(3) > 0 {
			r.what = "decide"
			_, err = r.Approvals.Decide(r.Ctx, r.As(pick(r, "zhuguan", "jizhu", "zongjian", "guanli")), t.DeferralID, approval.Decision{Approve: r.r.IntN(3) > 0, Comment: "按约定"})
			r.fine(err)
		}
	case n < 97:
		r.what = "archive"
		_, err := r.Archive(r.Ctx, 10)
		r.fine(err)
	case n < 98:
		r.what = "restart"
		r.Restart()
	default:
		r.what = "availability"
		by := r.As(r.login())
		r.OK(r.Org.SetPresence(r.Ctx, by, by.ID, org.Presence{Availability: pick(r, org.Online, org.Online, org.Busy)}))
		r.Clock.Advance(6 * time.Second)
	}
}

// owner is who it concerns, now and then anybody.
func (r *random) owner(t ticket.Ticket) authz.Actor {
	if r.r.IntN(4) > 0 {
		for _, id := range []int64{t.AssigneeID, t.SupervisorID} {
			if id != 0 {
				a, err := r.Org.Actor(r.Ctx, id)
				r.OK(err)
				return a
			}
		}
	}
	return r.As(r.login())
}

func (r *random) register() {
	in := r.Input()
	in.Type, in.Urgency, in.Channel = pick(r, ticket.Types...), pick(r, ticket.Urgencies...), pick(r, ticket.Channels...)
	in.Description = r.words()
	switch r.r.IntN(4) {
	case 0:
		in.DepartmentID = r.Dept[pick(r, "客服部", "技术支持部", "物流部", "销售部")]
	case 1:
		in.AssigneeID = r.User[r.login()]
	}
	by := r.As(r.login())
	if r.r.IntN(4) == 0 {
		by = r.The(ticket.Ticket{CustomerID: r.Cust.ID, CustomerName: r.Cust.Name})
	}
	r.what = fmt.Sprintf("register by %s", by.Name)
	t, err := r.Service.Register(r.Ctx, by, in)
	r.fine(err)
	if err == nil {
		r.ids = append(r.ids, t.ID)
	}
}

func (r *random) rating() *ticket.Rating {
	return &ticket.Rating{Stars: r.r.IntN(6), Solved: r.r.IntN(3) > 0, Comment: r.words()}
}

// move tries a verb: two times of three one that somebody may use.
func (r *random) move(t ticket.Ticket) {
	by, v := r.As(r.login()), pick(r, ticket.Verbs...)
	switch r.r.IntN(8) {
	case 0:
		by = r.The(t)
	case 1:
		by = authz.System("test")
	}
	if r.r.IntN(3) > 0 {
		a := r.owner(t)
		if t.State == ticket.AwaitingConfirmation && r.r.IntN(2) == 0 {
			a = r.The(t)
		}
		vs := r.Allowed(r.Ctx, a, &t)
		if r.r.IntN(12) > 0 { // or nothing would live long
			vs = slices.DeleteFunc(vs, func(v ticket.Verb) bool {
				return v == ticket.Cancel || v == ticket.Withdraw || v == ticket.Close || v == ticket.Merge
			})
		}
		if len(vs) > 0 {
			by, v = a, pick(r, vs...)
		}
	}
	in := ticket.Input{Reason: r.words(), Body: r.words(), Solution: pick(r, "", "已更换主板", "已更换主板", "更换了电源"), Cause: "元件老化", Corrective: "增加巡检"}
	if r.r.IntN(5) > 0 {
		in.Reason, in.Body = "按约定处理", "请提供设备编号"
	}
	in.DelayReason = pick(r, "", "等待备件", "等待备件")
	in.Code = pick(r, append([]string{""}, ticket.CancelReasons...)...)
	if r.r.IntN(3) > 0 {
		in.Version = t.Version
	}
	if in.DepartmentID = r.Dept[pick(r, "客服部", "技术支持部", "物流部")]; v != ticket.RequestHelp && r.r.IntN(2) == 0 {
		in.DepartmentID, in.AssigneeID = 0, r.User[r.login()]
	}
	if v == ticket.Confirm || v == ticket.Dispute {
		in.Rating = r.rating()
	}
	if o, ok := r.some(); ok && (v == ticket.Merge || r.r.IntN(3) == 0) {
		in.Duplicate, in.OtherToo = o.Number, r.r.IntN(2) == 0
	}
	r.what = fmt.Sprintf("%s of %s (%s) by %s", v, t.Number, t.State, by.Name)
	got, err := r.Do(r.Ctx, by, t.ID, v, in)
	r.fine(err)
	after, gerr := r.Get(r.Ctx, authz.For(authz.System("test"), ticket.PermView), t.ID)
	r.OK(gerr)
	switch {
	case err != nil && after.Version != t.Version:
		r.T.Errorf("%s was refused (%v) and changed version %d to %d", r.what, err, t.Version, after.Version)
	case err == nil && (got.Version != after.Version || after.Version <= t.Version || got.State != after.State):
		r.T.Errorf("%s returned %s version %d, stored is %s version %d", r.what, got.State, got.Version, after.State, after.Version)
	}
}
