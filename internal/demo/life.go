package demo

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/number"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// life plays what happened between start and end, one step after another.
type life struct {
	Rooms
	size       Size
	start, end time.Time
	rnd        *rand.Rand
	agenda     agenda
	n          int
	crew       *crew
	customers  []int64 // in the order they came
	owned      map[int64]int64
	tags       []int64
	fields     map[string]int64 // the company's own, by object and code
	asked      int              // requests so far
	recent     int              // requests of the last days so far, see fates
	skipped    int
}

func newLife(r Rooms, size Size, end time.Time) *life {
	return &life{Rooms: r, size: size, start: end.Add(-time.Duration(size.Days) * 24 * time.Hour), end: end,
		rnd: rand.New(rand.NewPCG(20261119, 7)), owned: map[int64]int64{}}
}

// agenda is what is going to happen, the earliest first.
type agenda []entry

type entry struct {
	at time.Time
	n  int
	do func(ctx context.Context) error
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

func (l *life) at(t time.Time, do func(ctx context.Context) error) {
	l.n++
	heap.Push(&l.agenda, entry{t, l.n, do})
}

func pick[T any](l *life, of []T) T { return of[l.rnd.IntN(len(of))] }

// chance is true in p of 100 cases.
func (l *life) chance(p int) bool { return l.rnd.IntN(100) < p }

// between is a time span, short ones more often.
func (l *life) between(from, to time.Duration) time.Duration {
	u := l.rnd.Float64()
	return from + time.Duration(u*u*float64(to-from))
}

// awake moves t into the hours in which people work.
func (l *life) awake(t time.Time) time.Time {
	local := t.In(number.Zone)
	minutes := local.Hour()*60 + local.Minute()
	day := time.Date(local.Year(), local.Month(), local.Day(), 8, 30, 0, 0, number.Zone)
	switch {
	case minutes < 8*60+30:
		t = day.Add(time.Duration(l.rnd.IntN(90*60)) * time.Second)
	case minutes > 20*60+30:
		t = day.Add(24*time.Hour + time.Duration(l.rnd.IntN(90*60))*time.Second)
	}
	return t.UTC()
}

// after plans something for when d has passed, or the next morning.
func (l *life) after(d time.Duration, do func(ctx context.Context) error) {
	l.at(l.awake(l.Clock.Now().Add(d)), do)
}

func (l *life) every(d time.Duration, from time.Time, do func(ctx context.Context) error) {
	l.at(from, func(ctx context.Context) error {
		l.every(d, from.Add(d), do)
		return do(ctx)
	})
}

func (l *life) play(ctx context.Context, hash string) (err error) {
	if l.crew, err = l.hire(ctx, hash); err != nil {
		return err
	}
	l.Clock.Advance(time.Minute)
	if err := l.makeTags(ctx); err != nil {
		return err
	}
	if err := l.welcome(ctx, l.size.Customers*7/10, true); err != nil {
		return err
	}
	span := float64(l.end.Sub(l.start) - 2*time.Hour)
	for range l.size.Customers - l.size.Customers*7/10 {
		t := l.awake(l.start.Add(time.Hour + time.Duration(l.rnd.Float64()*(span-float64(24*time.Hour)))))
		l.at(t, func(ctx context.Context) error { return l.welcome(ctx, 1, false) })
	}
	for range l.size.Tickets {
		// The company grows: more requests towards the end.
		age := time.Duration(math.Pow(l.rnd.Float64(), 1.7) * span)
		t := l.awake(l.end.Add(-age - 10*time.Minute))
		if !t.Before(l.end) { // the next morning would be tomorrow
			t = l.end.Add(-l.between(10*time.Minute, 14*time.Hour))
		}
		l.at(t, func(ctx context.Context) error { return l.request(ctx) })
	}
	for range l.size.Customers / 3 {
		t := l.awake(l.start.Add(time.Duration(l.rnd.Float64() * span)))
		l.at(t, func(ctx context.Context) error { return l.care(ctx) })
	}
	l.every(24*time.Hour, l.start.Add(18*time.Hour), func(ctx context.Context) error {
		_, err := l.Tickets.Archive(ctx, 200)
		return err
	})
	l.approvals()
	l.togethers()
	l.standings()
	l.twins()
	l.rights()
	l.tasks()
	l.at(l.end.Add(-3*time.Hour), l.repairs)
	l.at(l.end.Add(-30*time.Hour), l.automate)
	l.at(l.end.Add(-90*time.Minute), l.route)
	l.at(l.end.Add(-80*time.Minute), l.markTickets)
	l.every(3*time.Hour, l.start.Add(3*time.Hour), l.Follower.Drain)
	if l.Notify != nil { // yesterday's notices have been read
		l.at(l.end.Add(-10*time.Hour), func(ctx context.Context) error {
			if err := l.Follower.Drain(ctx); err != nil {
				return err
			}
			for _, id := range l.crew.id {
				if err := l.Notify.MarkRead(ctx, id, 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for len(l.agenda) > 0 && l.agenda[0].at.Before(l.end) {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := heap.Pop(&l.agenda).(entry)
		if err := l.timersUntil(ctx, e.at); err != nil {
			return err
		}
		if l.Clock.Now().Before(e.at) {
			l.Clock.Set(e.at)
		}
		if err := e.do(ctx); err != nil {
			// A company with rules of its own refuses some steps; the story goes on.
			if _, refused := fault.As(err); !refused {
				return fmt.Errorf("demo: at %s: %w", e.at.Format(time.DateTime), err)
			}
			l.skipped++
		}
		l.Clock.Advance(time.Second) // no two steps at one instant
	}
	if err := l.timersUntil(ctx, l.end); err != nil {
		return err
	}
	l.Clock.Set(l.end)
	return l.Follower.Drain(ctx)
}

// timersUntil lets the clocks fire at their time.
func (l *life) timersUntil(ctx context.Context, until time.Time) error {
	for {
		next, ok, err := l.Clocks.NextFiring(ctx)
		if err != nil || !ok || next.After(until) {
			return err
		}
		if next.After(l.Clock.Now()) {
			l.Clock.Set(next)
		}
		if n, err := l.Clocks.Sweep(ctx); err != nil || n == 0 { // 0: one that cannot be fired now
			return err
		}
	}
}

func (l *life) user(ctx context.Context, id int64) (authz.Actor, error) { return l.Org.Actor(ctx, id) }

func (l *life) makeTags(ctx context.Context) error {
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return err
	}
	for _, t := range tagNames {
		if _, err := l.Customers.SaveTag(ctx, admin, 0, t.name, t.colour); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	if err := l.defineFields(ctx, admin); err != nil {
		return err
	}
	if err := l.keepLists(ctx, admin); err != nil {
		return err
	}
	tags, err := l.Customers.TagList(ctx)
	for _, t := range tags {
		for _, n := range tagNames {
			if t.Name == n.name {
				l.tags = append(l.tags, t.ID)
			}
		}
	}
	return err
}

// welcome registers n customers; old ones have been customers for long.
func (l *life) welcome(ctx context.Context, n int, old bool) error {
	rows := make([]customer.ImportRow, n)
	owners := make([]int64, n)
	for i := range rows {
		rows[i], owners[i] = l.newCustomer(len(l.customers)+i, old)
	}
	by, err := l.user(ctx, pick(l, l.crew.agents))
	if err != nil {
		return err
	}
	return l.Run.Do(ctx, by, "customer.import", func(ctx context.Context, a *action.Action) error {
		out, err := l.Customers.Import(ctx, a, rows)
		if err != nil {
			return err
		}
		for i, o := range out {
			if o.Err != nil {
				l.skipped++
				continue
			}
			l.customers = append(l.customers, o.ID)
			l.owned[o.ID] = owners[i]
		}
		return nil
	})
}

func (l *life) personName() string { return string(pick(l, surnames)) + pick(l, given) }

func (l *life) newCustomer(n int, old bool) (r customer.ImportRow, owner int64) {
	in := customer.Input{Demo: true, Level: customer.Normal, DepartmentID: l.crew.dept["客服部"], Source: pick(l, customer.Sources)}
	city := pick(l, cities)
	in.Region = city.region
	in.Address = fmt.Sprintf("%s%s%d号%d栋%d室", city.region, pick(l, streets), 1+l.rnd.IntN(300), 1+l.rnd.IntN(12), 101+l.rnd.IntN(900))
	contact := func(i int) customer.ContactInput {
		c := customer.ContactInput{Name: l.personName(), Phone: cnid.SamplePhone((n*10 + i) * 7919), Position: pick(l, positions), Gender: pick(l, customer.Genders)}
		if l.chance(60) {
			c.Email = fmt.Sprintf("kh%04d.%d@example.com", n, i)
		}
		if l.chance(40) {
			c.Wechat = fmt.Sprintf("wx_kh%04d_%d", n, i)
		}
		return c
	}
	if n%3 != 2 {
		t := trades[n%len(trades)]
		in.Type = customer.Company
		in.Name = city.name + brands[(n/3)%len(brands)] + brands[(n/7+5)%len(brands)] + t.name + "有限公司"
		in.Industry = t.industry
		in.USCC = cnid.SampleUSCC(1000 + n*37)
		in.Contacts = []customer.ContactInput{contact(0)}
		if l.chance(40) {
			in.Contacts = append(in.Contacts, contact(1))
		}
		if l.chance(45) {
			owner = pick(l, l.crew.sales)
			in.DepartmentID = l.crew.dept["销售部"]
		}
		in.Website = fmt.Sprintf("https://kh%04d.example.com", n)
	} else {
		in.Type = customer.Person
		in.Name = l.personName()
		c := contact(0)
		c.Name, c.Position = in.Name, ""
		in.Contacts = []customer.ContactInput{c}
	}
	in.Contacts[0].Primary = true
	l.ownOfCustomer(n, &in)
	switch x := l.rnd.IntN(100); {
	case x < 6:
		in.Level = customer.Strategic
	case x < 24:
		in.Level = customer.VIP
	}
	for range l.rnd.IntN(3) {
		if len(l.tags) > 0 {
			in.TagIDs = append(in.TagIDs, pick(l, l.tags))
		}
	}
	if l.chance(35) {
		in.Need = customer.NeedInput{Product: pick(l, products), Description: pick(l, needs), Period: pick(l, []string{"本月内", "下个季度", "年底前"}),
			Budget: pick(l, []string{"5 万元以内", "10–20 万元", "待定", "50 万元", "约 30 万元"}), Urgency: pick(l, []string{"normal", "low", "urgent"})}
	}
	in.OwnerID = owner
	in.CreatedAt = l.Clock.Now().Add(-time.Minute)
	if old {
		in.CreatedAt = l.awake(l.start.Add(-24*time.Hour - time.Duration(l.rnd.IntN(500*24))*time.Hour))
	}
	r = customer.ImportRow{Input: in, CreatedBy: pick(l, l.crew.agents)}
	for _, s := range l.crew.logins {
		if l.crew.id[strings.TrimPrefix(s.Login, prefix)] == r.CreatedBy {
			r.CreatedByName = s.Name
		}
	}
	if old && l.chance(15) {
		r.History = "历史服务记录：" + pick(l, careRecord)
	}
	return r, owner
}

// care is a word with a customer without a request.
func (l *life) care(ctx context.Context) error {
	id := pick(l, l.customers)
	who := l.owned[id]
	if who == 0 {
		who = pick(l, l.crew.agents)
	}
	by, err := l.user(ctx, who)
	if err != nil {
		return err
	}
	r := journal.Record{Method: pick(l, []string{"phone", "visit", "email", "chat"}), Reaction: pick(l, reactions), Agreement: pick(l, agreements), Done: l.chance(60)}
	if !r.Done {
		r.NextPlan, r.NextAt = pick(l, nextPlans), l.Clock.Now().Add(l.between(24*time.Hour, 240*time.Hour))
	}
	_, err = l.Customers.AddFollowUp(ctx, by, id, pick(l, careRecord), r)
	if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.NotFound) {
		return nil // of another department
	}
	return err
}

// fate is how far a request of the last days has come when the curtain rises,
// so that every state and every warning can be seen.
type fate struct {
	name        string
	age, oldest time.Duration // requests at least and at most so old
}

var fates = []fate{
	{"", 0, 0}, {"work", 0, 0}, {"waiting", 2 * time.Hour, 60 * time.Hour}, {"confirm", 4 * time.Hour, 60 * time.Hour}, {"unseen", time.Minute, 20 * time.Hour},
	{"overdue", 60 * time.Hour, 0}, {"", 0, 0}, {"second", 24 * time.Hour, 0}, {"help", 2 * time.Hour, 0}, {"declined", time.Hour, 30 * time.Hour},
	{"work", 0, 0}, {"second_work", 40 * time.Hour, 0}, {"reopened", 30 * time.Hour, 0}, {"waiting", 2 * time.Hour, 60 * time.Hour}, {"escalated", 3 * time.Hour, 40 * time.Hour},
}

// story is one request on its way.
type story struct {
	topic
	id      int64
	fate    string
	slow    bool
	cancel  bool
	asked   bool
	helped  bool
	passed  bool
	child   bool
	records int
	want    int // records before it is solved
	vars    *strings.Replacer
}

func (l *life) request(ctx context.Context) error {
	now := l.Clock.Now()
	s := &story{topic: pick(l, topics), slow: l.chance(7), cancel: l.chance(4), want: 1 + l.rnd.IntN(2)}
	if age := l.end.Sub(now); age < 6*24*time.Hour {
		f := fates[l.recent%len(fates)]
		l.recent++
		if f.name != "" && age >= f.age && (f.oldest == 0 || age <= f.oldest) {
			s.fate, s.cancel, s.slow = f.name, false, false
		}
	}
	for s.fate == "waiting" && s.ask == "" || s.fate == "help" && (s.helpDept == "" || s.class == "") {
		s.topic = pick(l, topics)
	}
	s.vars = strings.NewReplacer("{p}", pick(l, products), "{o}", fmt.Sprintf("SO%s%04d", now.In(number.Zone).Format("0601"), 1+l.rnd.IntN(9000)),
		"{n}", fmt.Sprint(2+l.rnd.IntN(7)), "{k}", string(pick(l, surnames))+pick(l, []string{"经理", "主任", "工", "女士", "先生"}))
	// Few customers come often.
	u := l.rnd.Float64()
	cust := l.customers[int(u*u*float64(len(l.customers)))]
	in := ticket.RegisterInput{Title: s.vars.Replace(s.title), Description: s.vars.Replace(s.desc), Type: s.typ, Class: s.class, CustomerID: cust, Demo: true,
		Urgency: "normal", Channel: s.channel}
	if l.chance(s.urgent) || s.fate == "escalated" {
		in.Urgency = "urgent"
	} else if s.urgent == 0 && l.chance(20) {
		in.Urgency = "low"
	}
	if s.typ == "consultation" && s.class == "problem" && l.chance(75) {
		in.DepartmentID = l.crew.dept["技术支持部"] // the agent hears at once that it is broken
	}
	if in.Channel == "" {
		in.Channel = pick(l, []string{"phone", "phone", "phone", "chat", "chat", "email", "website", "social", "walk_in", "paper"})
	}
	by, err := l.user(ctx, pick(l, l.crew.agents))
	if err != nil {
		return err
	}
	if in.Channel == "website" {
		c, err := l.Customers.Brief(ctx, l.Run.DB().Read(), cust, 0)
		if err != nil {
			return err
		}
		by = authz.Actor{Kind: authz.Customer, ID: c.ContactID, CustomerID: c.ID, Name: c.Name}
	}
	l.asked++
	in.Fields = l.ownOfTicket(l.asked, in.Type, now)
	if l.Complaints != nil && in.Type == "complaint" && in.Channel != "website" {
		in.Then = l.Complaints.Registered(l.wish(l.asked))
	}
	t, err := l.Tickets.Register(ctx, by, in)
	if err != nil {
		return err
	}
	s.id = t.ID
	l.next(s, t.State)
	return nil
}

// next plans the next step of s.
func (l *life) next(s *story, state ticket.State) {
	var d time.Duration
	switch state {
	case ticket.Pending:
		d = l.between(3*time.Minute, 50*time.Minute)
		if s.slow {
			d = l.between(90*time.Minute, 6*time.Hour)
		}
	case ticket.InProgress:
		d = l.between(20*time.Minute, 7*time.Hour)
		if s.slow {
			d = l.between(20*time.Hour, 50*time.Hour)
		}
	case ticket.WaitingCustomer:
		d = l.between(40*time.Minute, 30*time.Hour)
	case ticket.AwaitingConfirmation:
		d = l.between(30*time.Minute, 40*time.Hour)
		if l.chance(12) && s.fate == "" && !s.child {
			return // silence: it lapses
		}
	default:
		return
	}
	switch s.fate { // what is to be seen today has to get there in time
	case "second", "second_work", "reopened", "declined", "help":
		d = min(d, 2*time.Hour)
	case "waiting", "confirm", "work":
		d = min(d, 40*time.Minute)
	}
	l.after(d, func(ctx context.Context) error { return l.step(ctx, s) })
}

func (l *life) step(ctx context.Context, s *story) error {
	t, err := l.Tickets.Get(ctx, authz.For(authz.System(actorName), ticket.PermView), s.id)
	if err != nil {
		return err
	}
	switch t.State {
	case ticket.Pending:
		err = l.pending(ctx, s, &t)
	case ticket.InProgress:
		err = l.working(ctx, s, &t)
	case ticket.WaitingCustomer:
		err = l.waiting(ctx, s, &t)
	case ticket.AwaitingConfirmation:
		err = l.confirming(ctx, s, &t)
	case ticket.Completed:
		if s.fate == "reopened" && !s.child {
			_, by, lerr := l.Tickets.ByLink(ctx, l.Tickets.Link(t))
			if lerr != nil {
				return lerr
			}
			s.fate = "second"
			_, err = l.Tickets.CustomerWrites(ctx, by, s.id, pick(l, reopenWhy), nil)
		}
	}
	return err
}

// do makes a move in the name of user, 0: the supervisor of the department.
func (l *life) do(ctx context.Context, s *story, t *ticket.Ticket, user int64, v ticket.Verb, in ticket.Input) error {
	if user == 0 {
		user = l.crew.boss[t.DepartmentID]
	}
	by, err := l.user(ctx, user)
	if err != nil {
		return err
	}
	got, err := l.Tickets.Do(ctx, by, s.id, v, in)
	if err != nil {
		return err
	}
	l.next(s, got.State)
	return nil
}

func (l *life) pending(ctx context.Context, s *story, t *ticket.Ticket) error {
	switch {
	case s.fate == "unseen" || s.fate == "escalated" || s.fate == "second" && t.Round > 1:
		return nil // so it lies
	case s.cancel:
		return l.do(ctx, s, t, 0, ticket.Cancel, ticket.Input{Code: pick(l, []string{"withdrawn", "spam", "mistake"}), Reason: "客户来电撤回"})
	case t.AssigneeID == 0:
		if t.Round > 1 {
			if err := l.record(ctx, s, l.crew.boss[t.DepartmentID]); err != nil {
				return err
			}
			l.Clock.Advance(time.Minute)
		} else if s.fate == "declined" {
			return nil
		}
		who := pick(l, l.crew.in[t.DepartmentID])
		return l.do(ctx, s, t, 0, ticket.Assign, ticket.Input{AssigneeID: who})
	case s.fate == "declined" || !s.child && s.fate == "" && l.chance(3):
		return l.do(ctx, s, t, t.AssigneeID, ticket.Decline, ticket.Input{Reason: pick(l, declineWhy)})
	}
	return l.do(ctx, s, t, t.AssigneeID, ticket.Acknowledge, ticket.Input{})
}

func (l *life) working(ctx context.Context, s *story, t *ticket.Ticket) error {
	again := func() { l.next(s, t.State) }
	if err := l.handle(ctx, s, t, false); err != nil {
		return err
	}
	switch {
	case s.child && s.records > 0 && s.fate == "work":
		return nil
	case s.child && s.records > 0:
		return l.do(ctx, s, t, t.AssigneeID, ticket.RequestConfirmation, ticket.Input{Solution: "已按要求处理完成，结果见跟进记录。", DelayReason: l.delay(ctx, t)})
	case s.ask != "" && !s.asked && !s.child && (s.fate == "waiting" || l.chance(45)):
		s.asked = true
		return l.do(ctx, s, t, t.AssigneeID, ticket.Ask, ticket.Input{Body: s.vars.Replace(s.ask)})
	case s.helpDept != "" && !s.helped && !s.child && l.crew.dept[s.helpDept] != t.DepartmentID && (s.fate == "help" || l.chance(40)):
		s.helped = true
		return l.help(ctx, s, t)
	case !s.passed && !s.child && s.fate == "" && l.chance(4):
		s.passed = true
		return l.do(ctx, s, t, 0, ticket.Reassign, ticket.Input{AssigneeID: pick(l, l.crew.in[t.DepartmentID]), Reason: pick(l, passOnWhy)})
	case s.fate == "overdue" && s.records > 0, s.fate == "work" && s.records > 0, s.fate == "second_work" && t.Round > 1 && s.records > s.want:
		return nil
	case s.records < s.want || s.child:
		if err := l.record(ctx, s, t.AssigneeID); err != nil {
			return err
		}
		if len(s.note) > 0 && l.chance(25) {
			by, err := l.user(ctx, t.AssigneeID)
			if err != nil {
				return err
			}
			var mention []int64
			if l.chance(50) {
				mention = []int64{l.crew.boss[t.DepartmentID]}
			}
			if _, err := l.Tickets.Note(ctx, by, s.id, pick(l, s.note), mention, nil); err != nil {
				return err
			}
		} else if !s.child && l.chance(30) {
			by, err := l.user(ctx, t.AssigneeID)
			if err != nil {
				return err
			}
			l.Clock.Advance(2 * time.Minute)
			if _, err := l.Tickets.Reply(ctx, by, s.id, "您好，您反映的“"+t.Title+"”正在处理中，有进展会第一时间通知您。", nil); err != nil {
				return err
			}
		}
		again()
		return nil
	case t.OpenChildren > 0:
		if s.fate != "help" {
			again()
		}
		return nil
	}
	in := ticket.Input{Solution: s.vars.Replace(s.solution), DelayReason: l.delay(ctx, t)}
	if t.Type == "complaint" {
		in.Cause, in.Corrective = s.cause, s.prevent
		if err := l.handle(ctx, s, t, true); err != nil {
			return err
		}
		in.DelayReason = l.delay(ctx, t)
	}
	return l.do(ctx, s, t, t.AssigneeID, ticket.RequestConfirmation, in)
}

// delay explains a missed deadline, "" when there is none to explain.
func (l *life) delay(ctx context.Context, t *ticket.Ticket) string {
	if late, err := sla.MissedPromise(ctx, l.Run.DB().Read(), t.ID, l.Clock.Now()); err == nil && late {
		return pick(l, delayWhy)
	}
	return ""
}

func (l *life) help(ctx context.Context, s *story, t *ticket.Ticket) error {
	err := l.do(ctx, s, t, t.AssigneeID, ticket.RequestHelp, ticket.Input{DepartmentID: l.crew.dept[s.helpDept], Body: s.vars.Replace(s.helpBy), Title: "协助：" + t.Title})
	if err != nil {
		return err
	}
	parts, err := l.Tickets.Children(ctx, s.id)
	if err != nil || len(parts) == 0 {
		return err
	}
	part := &story{topic: topic{typ: s.typ, follow: []string{"已接到协助请求，正在安排，预计今天完成。", "协助事项已办理，相关单号和照片已回填。"}}, id: parts[len(parts)-1].ID, child: true, vars: s.vars}
	if s.fate == "help" {
		part.fate = "work"
	}
	l.next(part, ticket.Pending)
	return nil
}

// record writes a follow-up record of what was done.
func (l *life) record(ctx context.Context, s *story, user int64) error {
	by, err := l.user(ctx, user)
	if err != nil {
		return err
	}
	now := l.Clock.Now()
	text := s.follow[min(s.records, len(s.follow)-1)]
	r := journal.Record{At: now.Add(-time.Duration(l.rnd.IntN(20)) * time.Minute), Method: pick(l, []string{"phone", "phone", "chat", "visit", "email"}),
		Reaction: pick(l, reactions), Agreement: pick(l, agreements), Done: l.chance(40)}
	if !r.Done {
		r.NextPlan, r.NextAt, r.NextOwnerID = pick(l, nextPlans), now.Add(l.between(2*time.Hour, 60*time.Hour)), user
	}
	if user == l.crew.boss[by.DepartmentID] {
		text = "已与客户通话，了解不满意的原因并致歉，安排专人重新处理，约定明天 17:00 前回复结果。"
	}
	s.records++
	_, err = l.Tickets.FollowUp(ctx, by, s.id, s.vars.Replace(text), r, nil)
	return err
}

func (l *life) waiting(ctx context.Context, s *story, t *ticket.Ticket) error {
	if s.fate == "waiting" {
		return nil
	}
	if s.answer == "" || l.chance(8) {
		return l.do(ctx, s, t, t.AssigneeID, ticket.Resume, ticket.Input{Reason: "客户暂未提供，先按现有信息继续处理"})
	}
	if l.chance(55) {
		_, by, err := l.Tickets.ByLink(ctx, l.Tickets.Link(*t))
		if err != nil {
			return err
		}
		got, err := l.Tickets.CustomerWrites(ctx, by, s.id, s.vars.Replace(s.answer), nil)
		if err != nil {
			return err
		}
		l.next(s, got.State)
		return nil
	}
	return l.do(ctx, s, t, t.AssigneeID, ticket.Answer, ticket.Input{Body: "客户来电答复：" + s.vars.Replace(s.answer)})
}

func (l *life) confirming(ctx context.Context, s *story, t *ticket.Ticket) error {
	if s.fate == "confirm" {
		return nil
	}
	if s.child {
		main, err := l.Tickets.Get(ctx, authz.For(authz.System(actorName), ticket.PermView), t.ParentID)
		if err != nil {
			return err
		}
		if main.AssigneeID == 0 {
			l.next(s, t.State)
			return nil
		}
		return l.do(ctx, s, t, main.AssigneeID, ticket.Confirm, ticket.Input{})
	}
	bad := t.Round == 1 && ((s.fate == "second" || s.fate == "second_work") || s.fate == "" && l.chance(9))
	r := ticket.Rating{Stars: 4 + l.rnd.IntN(2), Solved: true, Comment: pick(l, praise), Suggestion: pick(l, suggestion)}
	if l.chance(10) {
		r.Stars = 4
	}
	if bad {
		r = ticket.Rating{Stars: 1 + l.rnd.IntN(3), Solved: l.chance(40), Comment: pick(l, grumble)}
	}
	if l.chance(60) {
		r.Speed, r.Quality, r.Attitude = max(1, r.Stars-l.rnd.IntN(2)), r.Stars, min(5, r.Stars+l.rnd.IntN(2))
	}
	if t.Type == "complaint" {
		r.Handling = min(5, r.Stars+l.rnd.IntN(2))
	}
	_, by, err := l.Tickets.ByLink(ctx, l.Tickets.Link(*t))
	if err == nil && l.chance(40) {
		by, err = l.user(ctx, t.AssigneeID)
	}
	if err != nil {
		return err
	}
	got, err := l.Tickets.Rate(ctx, by, s.id, r)
	if err != nil {
		return err
	}
	l.lookBack(s, got)
	if got.State == ticket.Pending {
		s.records, s.want = 0, 1
		l.next(s, got.State)
	} else if s.fate == "reopened" {
		l.after(l.between(20*time.Minute, 3*time.Hour), func(ctx context.Context) error { return l.step(ctx, s) })
	}
	return nil
}
