package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// run walks through the days of a seed.
func (w *world) run(days int) {
	w.r = rand.New(rand.NewPCG(w.seed, 0x6269687561))
	w.stopped = map[string]bool{}
	w.mail.notice = map[string]int{}
	w.tickets, w.clocks, w.expect = map[int64]*tick{}, map[int64]*timer{}, map[[2]int64]string{}
	w.open()
	w.meet()
	begin := w.now()
	end := begin + int64(days)*day
	w.tick, w.human, w.fail = begin, begin+minute, begin+int64(w.r.ExpFloat64()*float64(3*day))
	w.unblocked = begin
	full := begin + day
	for w.now() < end {
		w.step++
		w.fig.steps++
		w.troubled, w.swept, w.drained = false, false, false
		at := w.next(end)
		if at > w.now() {
			w.clk.Set(time.UnixMicro(at))
		}
		now := w.now()
		for i := 0; i < len(w.ends); i++ { // faults end
			if e := w.ends[i]; e.at <= now {
				w.ends = slices.Delete(w.ends, i, i+1)
				i--
				e.do()
			}
		}
		switch {
		case now >= w.fail:
			w.fault()
			w.fail = w.now() + int64(w.r.ExpFloat64()*float64(3*day))
		case now >= w.human:
			w.act()
			w.human = w.now() + w.lull()
			w.look()
			if w.in(3) { // the program is somewhat behind
				break
			}
			w.pulse(false)
		case now >= w.tick:
			w.pulse(true)
			w.tick = w.now() + day
		default:
			w.clk.Advance(time.Duration(w.r.IntN(900)) * time.Millisecond)
			w.pulse(false)
		}
		w.revive()
		w.look()
		if now >= full {
			w.whole()
			full = now + day
		}
	}
	w.rest()
	w.fig.micros = w.now() - begin
}

// lull is how long until somebody acts: minutes in working hours, hours at
// night and on days off, when only customers and a few others are there.
func (w *world) lull() int64 {
	mean := float64(140 * minute)
	t := w.clk.Now().In(zone)
	if h := t.Hour(); h < 8 || h > 18 || !works(t) {
		mean = float64(7 * hour)
	}
	return minute/6 + int64(w.r.ExpFloat64()*mean)
}

// next is when something happens: an action, a fault or its end, a deadline, a
// job, the duties.
func (w *world) next(end int64) int64 {
	at := min(end, w.human, w.fail)
	for _, e := range w.ends {
		at = min(at, e.at)
	}
	if w.stopped["sweep"] && w.stopped["jobs"] && w.stopped["follower"] {
		return at // the machine sleeps
	}
	if !w.stopped["jobs"] && !w.refuse && w.flaky == 0 {
		at = min(at, w.tick)
		if n := w.count(`SELECT COALESCE(MIN(scheduled_at), 0) FROM jobs WHERE state = 'available'`); n > 1 {
			at = min(at, max(n, w.now()+second))
		}
	}
	if w.refuse && !w.stopped["sweep"] {
		at = min(at, w.now()+4*minute) // the program goes on trying
	}
	if !w.blocked() {
		for _, t := range w.tickets {
			for _, c := range t.want {
				if n := c.speaks(); n != 0 {
					at = min(at, n)
				}
			}
		}
	}
	return at
}

// pulse lets the program do what it does by itself.
func (w *world) pulse(duties bool) {
	if !w.stopped["sweep"] {
		w.sweptAt = w.now()
		_, err := w.app.Clocks.Sweep(w.ctx)
		w.fine("sweep", err)
		w.swept = err == nil
	}
	w.drain()
	if !w.stopped["jobs"] {
		_, err := w.app.Queue.RunDue(w.ctx)
		w.fine("jobs", err)
		if duties && !w.dead {
			w.fine("duties", w.app.Duties.Tick(w.ctx))
			_, err := w.app.Rules.Sweep(w.ctx)
			w.fine("rules", err)
			_, err = w.app.Queue.RunDue(w.ctx)
			w.fine("jobs", err)
		}
		w.drain()
	}
}

func (w *world) drain() {
	if !w.stopped["follower"] {
		err := w.app.Follower.Drain(w.ctx)
		w.fine("listeners", err)
		w.drained = err == nil
	}
}

// revive starts the program again when it has died.
func (w *world) revive() {
	if w.dead {
		w.note("the program dies and starts again")
		w.restart()
		w.unblocked = w.now()
		w.pulse(false)
	}
}

// fine ends the run unless err comes from a fault of the simulation.
func (w *world) fine(what string, err error) {
	if err != nil && !w.troubled {
		w.broke("works", "%s: %v", what, err)
	}
}

// until ends a fault after some time.
func (w *world) until(d time.Duration, do func()) {
	w.ends = append(w.ends, ending{w.now() + d.Microseconds(), do})
}

func (w *world) for_(low, high time.Duration) time.Duration {
	return low + time.Duration(w.r.Int64N(int64(high-low)))
}

// fault makes something go wrong.
func (w *world) fault() {
	if len(w.ends) > 0 && w.in(2) { // mostly one at a time
		return
	}
	w.fig.faults++
	store := !w.refuse && w.flaky == 0 && !w.mail.slow && !w.mail.crash
	back := func() { w.unblocked = w.now() }
	switch w.r.IntN(11) {
	case 0:
		if store {
			d := w.for_(time.Minute, 90*time.Minute)
			w.note("the store refuses writes for %v", d)
			w.refuse = true
			w.until(d, func() { w.refuse = false; back(); w.note("the store writes again"); w.pulse(false) })
		}
	case 1:
		if store {
			d := w.for_(10*time.Minute, 3*time.Hour)
			w.note("the store loses writes and answers for %v", d)
			w.flaky = 0.2
			w.until(d, func() { w.flaky = 0; back(); w.note("the store is well again"); w.pulse(false) })
		}
	case 2, 3:
		what := w.some("follower", "jobs", "sweep")
		if !w.stopped[what] {
			d := w.for_(10*time.Minute, 12*time.Hour)
			w.note("%s stands still for %v", what, d)
			w.stopped[what] = true
			w.until(d, func() { w.stopped[what] = false; back(); w.note("%s goes on", what); w.pulse(false) })
		}
	case 4:
		if !w.stopped["sweep"] && !w.stopped["jobs"] && !w.stopped["follower"] && store {
			d := w.for_(time.Hour, 60*time.Hour)
			w.note("the machine stands still for %v", d)
			w.clk.Advance(d)
			w.human = max(w.human, w.now()+minute)
			back()
			w.pulse(false)
		}
	case 5, 6:
		w.note("the program is started anew")
		w.restart()
	case 7:
		if store {
			w.note("the program will die while it sends a mail")
			w.mail.crash = true
			w.until(w.for_(time.Hour, 12*time.Hour), func() { w.mail.crash = false })
		}
	case 8:
		if store {
			d := w.for_(time.Hour, 8*time.Hour)
			w.note("mail is slow for %v", d)
			w.mail.slow = true
			w.until(d, func() { w.mail.slow = false; w.note("mail is quick again") })
		}
	case 9:
		if w.mail.mode == "" {
			w.mail.mode = w.some("down", "later", "unsure", "address")
			d := w.for_(10*time.Minute, 10*time.Hour)
			w.note("mail is %s for %v", w.mail.mode, d)
			w.until(d, func() { w.mail.mode = ""; w.note("mail goes out again") })
		}
	default:
		d := w.for_(time.Second, 2*time.Minute)
		w.note("the clock is set back by %v", d)
		w.clk.Advance(-d)
		w.unblocked = w.now() + d.Microseconds()
	}
}

// did notes what became of an action. A legal one must not be refused.
func (w *world) did(legal bool, err error, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	switch kind := fault.KindOf(err); {
	case err == nil:
		w.note("%s", what)
	case errors.Is(err, errRefused) || w.troubled && kind == fault.Unavailable:
		w.note("%s: the store refused", what)
	case kind == fault.Invalid || kind == fault.Conflict || kind == fault.Forbidden || kind == fault.NotFound:
		w.fig.refused++
		f, _ := fault.As(err)
		w.note("%s: refused, %s %v", what, f.Key, f.Fields)
		if legal {
			w.broke("guards", "%s: refused with %s %v %v", what, f.Key, f.Args, f.Fields)
		}
	default:
		w.broke("works", "%s: %v", what, err)
	}
}

func (w *world) any() *person { return w.people[w.ids[w.r.IntN(len(w.ids))]] }

func (w *world) of(id int64) client {
	for _, c := range w.client {
		if c.id == id {
			return c
		}
	}
	panic("sim: no customer")
}

// pick chooses a ticket, rather an open one.
func (w *world) pick() *tick {
	var live []*tick
	for _, id := range w.order {
		if t := w.tickets[id]; open(t.state) {
			live = append(live, t)
		}
	}
	if len(live) > 0 && !w.in(7) {
		return live[w.r.IntN(len(live))]
	}
	if len(w.order) == 0 {
		return nil
	}
	return w.tickets[w.order[max(0, len(w.order)-1-w.r.IntN(20))]]
}

// act lets somebody do something.
func (w *world) act() {
	t := w.pick()
	live := 0
	for _, o := range w.tickets {
		if open(o.state) {
			live++
		}
	}
	switch n := w.r.IntN(100); {
	case t == nil || n < 12 && live < 11 || live < 3:
		w.register()
	case n < 20:
		w.mischief(t)
	case n < 25:
		w.come()
	case n < 27:
		w.decide()
	case n < 29:
		u := w.any()
		err := w.app.Notify.MarkRead(w.ctx, u.id, 0)
		w.did(true, err, "%s reads his notices", u.login)
	default:
		w.work(t)
	}
}

var words = []string{"请提供设备编号", "已联系客户，约定明早 9 点上门检测", "更换主板后恢复正常", "客户反映仍有异响，需要复查"}

func (w *world) say() string { return words[w.r.IntN(len(words))] }

func (w *world) register() {
	c := w.client[w.r.IntN(len(w.client))]
	in := ticket.RegisterInput{Title: "设备无法开机 " + w.say(), Type: w.some(ticket.Types...), Class: w.some("", "", "problem", "support"), Urgency: w.some("urgent", "normal", "normal", "normal", "low"),
		Channel: w.some("phone", "website", "email", "chat", "walk_in"), Description: w.say(), CustomerID: c.id}
	if w.in(3) {
		in.Channel = "website"
		t, err := w.app.Tickets.Register(w.ctx, c.actor(), in)
		w.did(true, err, "%s registers %s %s %s (%s)", c.name[:6], in.Type, in.Urgency, t.Number, c.level)
		return
	}
	p := w.people[w.byLogin(w.some("k1", "k2", "k3", "g1", "zg", "s2"))]
	legal := true
	switch w.r.IntN(6) {
	case 0:
		in.DepartmentID = w.deps[w.some("客服部", "技术支持部", "售后部", "物流部")]
	case 1:
		in.AssigneeID, legal = w.any().id, false
	}
	t, err := w.app.Tickets.Register(w.ctx, w.actor(p.id), in)
	w.did(legal, err, "%s registers %s %s by %s for %s, %s (%s)", p.login, in.Type, in.Urgency, in.Channel, c.name[:6], t.Number, c.level)
}

func (w *world) byLogin(login string) int64 {
	for id, p := range w.people {
		if p.login == login {
			return id
		}
	}
	panic("sim: nobody is called " + login)
}

// do makes a move.
func (w *world) do(legal bool, by authz.Actor, t *tick, v ticket.Verb, in ticket.Input) {
	was := t.state
	_, err := w.app.Tickets.Do(w.ctx, by, t.id, v, in)
	w.did(legal, err, "%s: %s %s (%s)", by.Name, v, t.number, was)
}

// work lets those whom a ticket concerns do what comes next.
func (w *world) work(t *tick) {
	n := w.r.IntN(100)
	var me authz.Actor
	if t.assignee != 0 {
		me = w.actor(t.assignee)
	}
	bossID := w.bossOf(t.dep)
	boss := w.actor(bossID)
	the := w.of(t.customer).actor()
	main := t.parent == 0
	switch t.state {
	case pending:
		switch {
		case n < 8:
			w.assign(t, boss)
		case n < 12:
			w.do(t.children == 0, boss, t, ticket.Cancel, ticket.Input{Code: w.some("withdrawn", "spam", "mistake"), Reason: "客户撤回"})
		case n < 16:
			w.merge(t, boss)
		case n < 20 && main:
			w.write(t, the)
		case n < 24:
			w.edit(t, boss)
		case n < 30 && t.round > 1:
			w.follow_(t, boss)
		case t.assignee == 0:
			for _, id := range w.ids {
				if p := w.people[id]; p.dep == t.dep && p.role != authz.RoleAdmin && !p.away(w.now()) && w.in(2) {
					w.do(true, w.actor(id), t, ticket.Take, ticket.Input{})
					return
				}
			}
			w.assign(t, boss)
		case n < 34: // somebody who would rather do it himself
			for _, id := range w.ids {
				if p := w.people[id]; p.dep == t.dep && id != t.assignee && w.in(2) {
					w.do(false, w.actor(id), t, ticket.Take, ticket.Input{})
					return
				}
			}
		case n < 40:
			w.do(true, me, t, ticket.Decline, ticket.Input{Reason: "不属于我的产品线"})
		default:
			w.do(true, me, t, ticket.Acknowledge, ticket.Input{})
		}
	case working:
		switch {
		case n < 14:
			w.do(true, me, t, ticket.Ask, ticket.Input{Body: w.say()})
		case n < 24:
			_, err := w.app.Tickets.Reply(w.ctx, me, t.id, w.say(), nil)
			w.did(true, err, "%s replies on %s", me.Name, t.number)
		case n < 36:
			w.follow_(t, me)
		case n < 40:
			_, err := w.app.Tickets.Note(w.ctx, me, t.id, w.say(), nil, nil)
			w.did(true, err, "%s notes on %s", me.Name, t.number)
		case n < 46 && main:
			dep := w.deps[w.some("技术支持部", "售后部", "物流部")]
			w.do(true, me, t, ticket.RequestHelp, ticket.Input{DepartmentID: dep, Body: "请协助检测"})
		case n < 50:
			w.assign(t, boss)
		case n < 56:
			w.deferral(t, me)
		case n < 59:
			w.edit(t, boss)
		case n < 62:
			w.merge(t, boss)
		case n < 64:
			w.do(t.children == 0, boss, t, ticket.Cancel, ticket.Input{Code: "withdrawn"})
		case n < 68 && main:
			w.write(t, the)
		case n < 72 && t.round > 1:
			w.follow_(t, boss)
		default:
			in := ticket.Input{Solution: "已更换主板", Cause: "元件老化", Corrective: "增加巡检", Body: "已修好，请确认"}
			legal := t.children == 0
			if w.in(6) {
				in.Solution, legal = "", false
			}
			if w.late(t, w.now()) && !w.in(4) {
				in.DelayReason = "等待备件"
			} else if w.late(t, w.now()) && !t.delay {
				legal = false
			}
			w.do(legal, me, t, ticket.RequestConfirmation, in)
		}
	case waiting:
		switch {
		case n < 50 && main:
			w.write(t, the)
		case n < 60:
			w.do(true, me, t, ticket.Answer, ticket.Input{Body: "客户来电告知编号"})
		case n < 72:
			w.do(true, me, t, ticket.Resume, ticket.Input{Reason: "自行查到编号"})
		case n < 78:
			w.deferral(t, me)
		case n < 82:
			w.merge(t, boss)
		}
	case awaiting:
		r := &ticket.Rating{Stars: 1 + w.r.IntN(5), Solved: !w.in(6), Comment: w.say()}
		bad := !r.Solved || r.Stars <= 3
		staff := boss
		if t.parent != 0 {
			m := w.tickets[t.parent]
			staff = w.actor(or(m.assignee, m.sup))
			if n < 40 {
				w.do(true, staff, t, ticket.Confirm, ticket.Input{})
				return
			}
		}
		switch {
		case n < 30 && main:
			_, err := w.app.Tickets.Rate(w.ctx, the, t.id, *r)
			w.did(true, err, "the customer rates %s with %d, solved %v", t.number, r.Stars, r.Solved)
		case n < 40:
			v, legal := ticket.Confirm, !bad
			if bad != w.in(5) {
				v, legal = ticket.Dispute, bad
			}
			w.do(legal, staff, t, v, ticket.Input{Rating: r})
		case n < 46:
			w.do(true, staff, t, ticket.Confirm, ticket.Input{})
		case n < 56 && main:
			w.write(t, the)
		case n < 62:
			w.do(true, me, t, ticket.Withdraw, ticket.Input{Reason: "方案有误"})
		}
	case done:
		in := w.now()-t.completed <= 7*day
		switch {
		case n < 25 && main:
			w.write(t, the)
		case n < 55 && main:
			_, err := w.app.Tickets.Rate(w.ctx, the, t.id, ticket.Rating{Stars: 1 + w.r.IntN(5), Solved: true, Comment: w.say()})
			w.did(false, err, "the customer rates %s after completion", t.number)
		case n < 65:
			w.do(in && main, boss, t, ticket.Reopen, ticket.Input{Reason: "客户来电反映未解决"})
		case n < 75:
			w.do(true, boss, t, ticket.Close, ticket.Input{})
		}
	case closed:
		if main {
			w.write(t, the)
		}
	case gone:
		if n < 40 && t.kept != nil {
			w.do(false, boss, t, ticket.Unmerge, ticket.Input{Reason: "不是同一问题"})
		} else if main {
			w.write(t, the)
		}
	}
}

func (w *world) write(t *tick, the authz.Actor) {
	_, err := w.app.Tickets.CustomerWrites(w.ctx, the, t.id, w.say(), nil)
	w.did(true, err, "the customer writes to %s (%s)", t.number, t.state)
}

func (w *world) follow_(t *tick, by authz.Actor) {
	_, err := w.app.Tickets.FollowUp(w.ctx, by, t.id, w.say(), journal.Record{At: w.clk.Now(), Method: "phone", Reaction: "满意", Done: true}, nil)
	w.did(true, err, "%s follows up on %s", by.Name, t.number)
}

// assign gives a ticket to somebody, fit or not, or to a department's routing.
func (w *world) assign(t *tick, by authz.Actor) {
	v := ticket.Assign
	if t.state == working {
		v = ticket.Reassign
	}
	in := ticket.Input{Reason: "调整分工"}
	if w.in(3) {
		in.DepartmentID = w.deps[w.some("客服部", "技术支持部", "售后部", "物流部")]
	} else {
		in.AssigneeID = w.any().id
	}
	w.do(false, by, t, v, in)
}

func (w *world) merge(t *tick, by authz.Actor) {
	if o := w.pick(); o != nil && o.id != t.id {
		w.do(false, by, t, ticket.Merge, ticket.Input{Duplicate: o.number, OtherToo: w.in(2), Reason: "同一问题"})
	}
}

func (w *world) edit(t *tick, by authz.Actor) {
	_, err := w.app.Tickets.Edit(w.ctx, by, t.id, ticket.Edit{Title: "设备无法开机", Type: t.typ, Urgency: w.some("urgent", "normal", "low")})
	w.did(false, err, "%s edits %s", by.Name, t.number)
}

func (w *world) deferral(t *tick, by authz.Actor) {
	_, err := w.app.Tickets.Defer(w.ctx, by, t.id, ticket.DeferralInput{Due: w.clk.Now().Add(w.for_(20*time.Hour, 200*time.Hour)).Truncate(time.Minute), Reason: "等待备件到货"})
	w.did(false, err, "%s asks for a later deadline of %s", by.Name, t.number)
}

// decide answers a request that waits.
func (w *world) decide() {
	id := w.count(`SELECT COALESCE(MIN(id), 0) FROM approvals WHERE state = 'pending'`)
	if id == 0 {
		return
	}
	p := w.people[w.byLogin(w.some("zg", "jz", "zj"))]
	_, err := w.app.Approvals.Decide(w.ctx, w.actor(p.id), id, approval.Decision{Approve: !w.in(3), Comment: "按约定"})
	w.did(false, err, "%s decides request %d", p.login, id)
}

// come lets somebody come, go, or go on leave.
func (w *world) come() {
	p := w.any()
	in := org.Presence{Availability: org.Online}
	if p.leads() {
		in.Availability = org.Busy
	}
	switch w.r.IntN(5) {
	case 0:
		in.Availability = org.Busy
	case 1:
		in.Availability = org.Offline
	case 2:
		in.AwayUntil = w.clk.Now().Add(w.for_(10*time.Hour, 80*time.Hour)).Truncate(time.Second)
		if w.in(2) {
			if d := w.any(); d.id != p.id {
				in.DelegateID = d.id
			}
		}
	}
	err := w.app.Org.SetPresence(w.ctx, w.actor(p.id), p.id, in)
	w.did(true, err, "%s is %s, away until %v, %d stands in", p.login, in.Availability, in.AwayUntil.In(zone).Format("01-02 15:04"), in.DelegateID)
	w.presence()
}

// mischief tries what people should not do.
func (w *world) mischief(t *tick) {
	by := w.actor(w.any().id)
	switch w.r.IntN(6) {
	case 0:
		by = w.client[w.r.IntN(len(w.client))].actor()
	case 1:
		if t.assignee != 0 {
			by = w.actor(t.assignee)
		}
	case 2, 3:
		by = w.actor(w.bossOf(t.dep))
	}
	v := ticket.Verbs[w.r.IntN(len(ticket.Verbs))]
	empty := func(s string) string { return w.some("", s) }
	in := ticket.Input{Reason: empty("理由"), Body: empty("内容"), Solution: empty("方案"), Cause: empty("原因"), Corrective: empty("措施"), DelayReason: empty("等待"), Code: empty("withdrawn")}
	if w.in(2) {
		in.DepartmentID = w.deps[w.some("客服部", "技术支持部", "物流部")]
	} else {
		in.AssigneeID = w.any().id
	}
	if v == ticket.Confirm || v == ticket.Dispute {
		in.Rating = &ticket.Rating{Stars: 1 + w.r.IntN(5), Solved: w.in(2)}
	}
	if o := w.pick(); v == ticket.Merge {
		in.Duplicate, in.OtherToo = o.number, w.in(2)
	}
	w.do(false, by, t, v, in)
}
