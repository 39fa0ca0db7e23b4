package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// model is what the simulation believes of the product's tickets, from the
// events alone and its own rules.
type model struct {
	tickets map[int64]*tick
	order   []int64
	clocks  map[int64]*timer // by id, also those that have ended
	event   int64            // the newest event read
	notice  int64            // the newest notice read
	expect  map[[2]int64]string
}

// tick is a ticket.
type tick struct {
	id, parent, customer, dep, assignee, sup, completed int64
	number, typ, urgency, level, channel, state, saved  string
	round, children                                     int
	solution, delay                                     bool
	want                                                map[string]*timer // open clocks
	kept                                                map[string]*timer // of before a merge
	reminders                                           int               // to the customer
	row                                                 row
}

// timer is a clock as it should be.
type timer struct {
	id, ticket       int64
	kind             string
	round            int
	running          bool
	started          int64
	used, seg        int64
	target           int64
	office           bool
	next             int // rung
	seen             int // firings
	missed, deferred bool
	met              bool  // how it ended
	ended            int64 // 0: it has not
	lastDue          int64
	changed          int64 // when its promise became another
}

func (c *timer) at(now int64) int64 {
	if c.running {
		return c.used + elapsed(c.office, c.seg, now)
	}
	return c.used
}

// over reports whether the deadline has passed. One that falls on the end of a
// working day has passed in the evening although no time has been used since.
func (c *timer) over(now int64) bool {
	switch {
	case !c.running:
		return false
	case c.deferred && c.lastDue != 0:
		return now > c.lastDue
	}
	return now > due(c.office, c.seg, c.target-c.used)
}

// offset is the used time at which rung i speaks.
func (c *timer) offset(i int) int64 { return c.target * ladders[c.kind][i].percent / 100 }

// speaks is when the next rung is due; 0 when nothing is.
func (c *timer) speaks() int64 {
	if !c.running || c.next >= len(ladders[c.kind]) {
		return 0
	}
	return due(c.office, c.seg, c.offset(c.next)-c.used)
}

// fact is an event as it is stored.
type fact struct {
	id, at, subject, actor                             int64
	kind, about, by, action, reason                    string
	Number                                             string
	From, To, Clock, Step                              string
	Assignee, Department, Supervisor, Parent, Customer int64
	Round, Stars                                       int
	Entry                                              int64
	Tell                                               []int64
	Route                                              *struct{ Chosen int64 }
	Changes                                            []struct{ Field, Old, New string }
	Args                                               []string
}

// row is a ticket as it is stored.
type row struct {
	id, parent, customer, dep, assignee, sup, due, completed, deferral, open, escalation, overdue int64
	number, typ, urgency, level, channel, state, outcome, reason, solution, delay, cause          string
	round, children, rating                                                                       int
}

const rowColumns = `id, COALESCE(parent_id, 0), customer_id, department_id, assignee_id, supervisor_id, due_at, completed_at, deferral_id, is_open, escalation, overdue, number, type, urgency, customer_level, channel, state, outcome, cancel_reason, solution, delay_reason, cause, round, open_children, rating`

func scanRow(s func(...any)) (x row) {
	s(&x.id, &x.parent, &x.customer, &x.dep, &x.assignee, &x.sup, &x.due, &x.completed, &x.deferral, &x.open, &x.escalation, &x.overdue, &x.number, &x.typ, &x.urgency, &x.level, &x.channel, &x.state, &x.outcome, &x.reason, &x.solution, &x.delay, &x.cause, &x.round, &x.children, &x.rating)
	return x
}

// look reads what has happened since the last look and checks it.
func (w *world) look() {
	var facts []fact
	w.rows(`SELECT id, at, kind, subject_type, subject_id, actor_kind, actor_id, action, reason, data FROM events WHERE id > $1 ORDER BY id`, func(s func(...any)) {
		var f fact
		var raw string
		s(&f.id, &f.at, &f.kind, &f.about, &f.subject, &f.by, &f.actor, &f.action, &f.reason, &raw)
		if strings.HasPrefix(f.kind, "ticket.") || strings.Contains(raw, `"tell"`) {
			if err := json.Unmarshal([]byte(raw), &f); err != nil && f.about == "ticket" {
				w.broke("4: events", "event %d %s: %v", f.id, f.kind, err)
			}
		}
		facts = append(facts, f)
	}, w.event)
	touched := map[int64]bool{}
	fired := false
	for _, f := range facts {
		w.event = max(w.event, f.id)
		w.mark(fmt.Sprint(f.kind, f.at, f.subject, f.actor))
		if strings.HasPrefix(f.kind, "org.") {
			w.presence()
		}
		for _, u := range f.Tell {
			if p := w.people[u]; p != nil && p.active && !(f.by == "user" && f.actor == u) {
				w.expect[[2]int64{f.id, u}] = f.kind
			}
		}
		if f.about == "ticket" && f.subject != 0 {
			touched[f.subject] = true
			fired = fired || strings.HasPrefix(f.kind, "ticket.clock_") || f.kind == "ticket.lapsed"
		}
	}
	if len(touched) > 0 {
		ids := slices.Sorted(maps.Keys(touched))
		rows := map[int64]row{}
		w.rows(`SELECT `+rowColumns+` FROM tickets WHERE id IN (`+inList(ids)+`)`, func(s func(...any)) { x := scanRow(s); rows[x.id] = x })
		for i, f := range facts {
			if f.about == "ticket" && f.subject != 0 {
				w.follow(f, facts[i+1:], rows)
			}
		}
		w.compare(ids, rows, fired)
	}
	w.overdueFirings()
	w.notices()
}

// follow takes an event into the model.
func (w *world) follow(f fact, later []fact, rows map[int64]row) {
	t := w.tickets[f.subject]
	st, isMove := steps[f.kind]
	if f.kind == "ticket.registered" {
		x := rows[f.subject]
		t = &tick{id: x.id, parent: x.parent, customer: x.customer, dep: f.Department, number: x.number, typ: x.typ, urgency: x.urgency, level: x.level, channel: x.channel,
			round: 1, assignee: f.Assignee, sup: f.Supervisor, want: map[string]*timer{}}
		w.tickets[t.id] = t
		w.order = append(w.order, t.id)
		w.fig.tickets++
		if t.parent != 0 {
			w.tickets[t.parent].children++
		}
	}
	if t == nil {
		w.broke("7: replay", "event %d %s of ticket %d that was never registered", f.id, f.kind, f.subject)
	}
	if isMove {
		w.moved(t, f, st)
	}
	now := f.at
	switch f.kind {
	case "ticket.registered":
		w.arm(t, now, acknowledge, resolution)
		if t.parent == 0 {
			if !(f.by == "user" && (t.channel == "phone" || t.channel == "walk_in")) {
				w.arm(t, now, firstResponse)
			}
			w.arm(t, now, urgentClock)
		}
		w.routed(t, f)
	case "ticket.assigned", "ticket.reassigned":
		w.end(t, now, false, update)
		w.arm(t, now, acknowledge)
		w.routed(t, f)
	case "ticket.declined":
		w.arm(t, now, acknowledge)
	case "ticket.taken", "ticket.acknowledged":
		w.end(t, now, true, acknowledge, urgentClock)
		w.arm(t, now, update)
	case "ticket.asked":
		w.answered(t, f)
		w.end(t, now, false, update)
		w.pause(t, now)
		w.arm(t, now, customerReply)
	case "ticket.answered":
		w.end(t, now, true, customerReply)
		w.resume(t, now)
		w.arm(t, now, update)
	case "ticket.resumed":
		w.end(t, now, false, customerReply)
		w.resume(t, now)
		w.arm(t, now, update)
	case "ticket.confirmation_requested":
		w.answered(t, f)
		w.end(t, now, true, resolution)
		w.end(t, now, false, update)
		w.arm(t, now, confirmation)
	case "ticket.confirmed":
		w.end(t, now, true, confirmation)
		w.endAll(t, now)
	case "ticket.lapsed", "ticket.cancelled", "ticket.closed":
		w.endAll(t, now)
	case "ticket.merged":
		t.kept = map[string]*timer{}
		for _, k := range kindsOf(t.want) {
			c := t.want[k]
			ran := c.running
			w.end(t, now, false, k)
			x := *c
			x.running = ran
			t.kept[k] = &x
		}
	case "ticket.unmerged":
		for k, c := range t.kept {
			if c.running {
				c.seg = now
			}
			c.ended, c.met = 0, false
			t.want[k] = c
			if c.id != 0 {
				w.clocks[c.id] = c
			}
		}
		t.kept = nil
	case "ticket.disputed", "ticket.reopened":
		w.end(t, now, true, confirmation)
		w.endAll(t, now)
		t.delay, t.solution = false, false
		w.arm(t, now, acknowledge, resolution)
		if t.parent == 0 {
			w.arm(t, now, firstResponse, urgentClock)
			if f.kind == "ticket.disputed" || f.action == "ticket.rate" {
				w.arm(t, now, followUp)
			}
		}
	case "ticket.withdrawn":
		w.end(t, now, false, confirmation)
		for _, c := range w.byID() {
			if c.ticket == t.id && c.kind == resolution && c.round == t.round && c.met && t.want[resolution] == nil {
				c.ended, c.met, c.running, c.seg = 0, false, true, now
				t.want[resolution] = c
			}
		}
		w.arm(t, now, update)
	case "ticket.replied":
		w.answered(t, f)
		if t.state == working {
			w.arm(t, now, update)
		}
	case "ticket.followed_up":
		w.answered(t, f) // the simulation's people only note what they said
		if p := w.people[f.actor]; t.round > 1 && (f.actor == t.sup || w.supervises(p, t.dep)) {
			w.end(t, now, true, followUp)
		}
		if t.state == working {
			w.arm(t, now, update)
		}
	case "ticket.customer_wrote":
		if t.state == awaiting {
			w.arm(t, now, confirmation)
		}
		w.mustTell(f, or(t.assignee, t.sup))
	case "ticket.edited":
		w.edited(t, f)
	case "ticket.deferred":
		w.deferred(t, f)
	case "ticket.child_ended":
		t.children--
	case "ticket.child_reopened":
		t.children++
	case "ticket.parent_changed":
		was := t.parent
		t.parent = rows[t.id].parent
		if open(t.state) {
			w.tickets[was].children--
			w.tickets[t.parent].children++
		}
	case "ticket.clock_warned", "ticket.clock_reminded", "ticket.clock_missed", "ticket.clock_escalated", "ticket.clock_waited":
		if f.Clock == acknowledge && f.Step == "miss" {
			t.sup = w.bossOf(t.dep)
		}
		w.told(t, f)
	case "ticket.rated":
		if again := func(l fact) bool { return l.kind == "ticket.reopened" && l.subject == t.id && l.at == f.at }; f.Stars > 0 && f.Stars <= 3 && !slices.ContainsFunc(later, again) {
			w.broke("6: bad ratings", "%s was rated %d after completion and not reopened", t.number, f.Stars)
		}
	}
	// The facts say who has it.
	t.assignee, t.dep = f.Assignee, f.Department
	if f.Supervisor != t.sup && !isMove && !strings.HasPrefix(f.kind, "ticket.clock_") {
		w.broke("1: responsible", "%s: %s says supervisor %d, it was %d", t.number, f.kind, f.Supervisor, t.sup)
	}
	t.sup = f.Supervisor
	if f.To != "" && f.To != t.state {
		w.broke("7: replay", "%s: event %d %s says %s, its moves say %s", t.number, f.id, f.kind, f.To, t.state)
	}
	if f.Round != t.round {
		w.broke("7: replay", "%s: event %d %s says round %d, its moves say %d", t.number, f.id, f.kind, f.Round, t.round)
	}
}

func or(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}

// moved holds a move against the table.
func (w *world) moved(t *tick, f fact, st step) {
	w.fig.moves++
	if st.from != nil && !slices.Contains(st.from, t.state) {
		w.broke("guards", "%s: %s from %s", t.number, f.kind, t.state)
	}
	if w.people[f.actor] == nil && f.by == "user" {
		w.broke("guards", "%s: %s by nobody known (%d)", t.number, f.kind, f.actor)
	}
	p := w.people[f.actor]
	user := f.by == "user"
	lead := int64(0)
	if t.parent != 0 {
		lead = or(w.tickets[t.parent].assignee, w.tickets[t.parent].sup)
	}
	ok := true
	switch st.by {
	case assignee:
		ok = user && f.actor == t.assignee
	case member:
		ok = user && (t.assignee == 0 || t.assignee == f.actor) && f.Assignee == f.actor && (p.dep == t.dep)
	case system:
		ok = f.by == "system" || f.by == "worker"
	case boss:
		ok = !user || w.supervises(p, t.dep)
	case mayCancel:
		ok = user && w.supervises(p, t.dep)
	case mayPass:
		ok = user && (w.supervises(p, t.dep) || f.actor == t.assignee && p.role == "agent")
	case mayBack:
		ok = user && (w.supervises(p, t.dep) || f.actor == t.assignee)
	case mayReopen:
		ok = f.by == "customer" && t.parent == 0 || user && (w.supervises(p, t.dep) || f.action == "ticket.rate" || f.actor == lead)
	case outside:
		ok = f.by == "customer" && t.parent == 0 || user && (t.parent == 0 || f.actor == lead)
	}
	if !ok {
		w.broke("guards", "%s (%s, of %d): %s by %s %d, who may not", t.number, t.state, t.assignee, f.kind, f.by, f.actor)
	}
	if slices.Contains(needReason, f.kind) && strings.TrimSpace(f.reason) == "" && f.by == "user" {
		w.broke("guards", "%s: %s without a reason", t.number, f.kind)
	}
	switch f.kind {
	case "ticket.asked":
		if f.Entry == 0 {
			w.broke("guards", "%s: asked nothing", t.number)
		}
	case "ticket.help_requested":
		if t.parent != 0 {
			w.broke("guards", "%s: a sub-ticket has asked for help", t.number)
		}
	case "ticket.confirmation_requested":
		if t.children > 0 {
			w.broke("8: sub-tickets", "%s was answered with %d sub-tickets open", t.number, t.children)
		}
		for _, c := range f.Changes {
			switch c.Field {
			case "solution":
				t.solution = c.New != ""
			case "delay_reason":
				t.delay = c.New != ""
			}
		}
		if !t.solution {
			w.broke("guards", "%s was answered without a solution", t.number)
		}
		if w.late(t, f.at) && !t.delay {
			w.broke("guards", "%s was answered late without a reason", t.number)
		}
	case "ticket.confirmed":
		if f.Stars > 0 && f.Stars <= 3 {
			w.broke("6: bad ratings", "%s was confirmed with %d stars", t.number, f.Stars)
		}
	case "ticket.disputed":
		if f.Stars > 3 && f.action != "ticket.rate" && f.reason == "solved" {
			w.broke("guards", "%s was disputed with %d stars", t.number, f.Stars)
		}
		w.mustTell(f, w.bossOf(t.dep))
	case "ticket.lapsed":
		c := t.want[confirmation]
		if c == nil || c.at(f.at) < c.target {
			w.broke("5: outcome", "%s lapsed before its time", t.number)
		}
	case "ticket.reopened":
		if f.at-t.completed > 7*day {
			w.broke("guards", "%s was reopened after its window", t.number)
		}
	case "ticket.closed":
		if f.by != "user" && f.at-t.completed < 7*day {
			w.broke("guards", "%s was archived before its window ended", t.number)
		}
	case "ticket.cancelled", "ticket.merged":
		if t.children > 0 && f.kind == "ticket.cancelled" {
			w.broke("8: sub-tickets", "%s was cancelled with %d sub-tickets open", t.number, t.children)
		}
	case "ticket.declined":
		w.mustTell(f, w.bossOf(t.dep))
	case "ticket.answered":
		w.mustTell(f, t.assignee)
	}
	if f.kind == "ticket.merged" {
		t.saved = t.state
	}
	t.state = st.to
	switch f.kind {
	case "ticket.unmerged":
		t.state = t.saved
	case "ticket.disputed", "ticket.reopened":
		t.round++
	case "ticket.confirmed", "ticket.lapsed":
		t.completed = f.at
	}
}

// routed checks who was given the ticket.
func (w *world) routed(t *tick, f fact) {
	if f.Assignee == 0 {
		if f.Supervisor != w.bossOf(f.Department) {
			w.broke("1: responsible", "%s waits in the queue of %d on the desk of %d, not of its supervisor %d", f.Number, f.Department, f.Supervisor, w.bossOf(f.Department))
		}
		w.mustTell(f, f.Supervisor)
		return
	}
	w.mustTell(f, f.Assignee)
	p := w.people[f.Assignee]
	if p == nil || !w.fits(p, f.Department, f.at) {
		w.broke("routing", "%s was given to %v, who cannot take it: department %d", f.Number, p, f.Department)
	}
	load := int64(0)
	for _, o := range w.tickets {
		if o.id != t.id && o.assignee == p.id && open(o.state) {
			load++
		}
	}
	if load >= p.capacity {
		w.broke("routing", "%s was given to %s, who has %d of %d", f.Number, p.login, load, p.capacity)
	}
}

// mustTell expects that user is told, or caused it.
func (w *world) mustTell(f fact, user int64) {
	if user == 0 || f.by == "user" && f.actor == user {
		return
	}
	if !slices.Contains(f.Tell, user) {
		w.broke("notices", "%s: %s does not tell %d but %v", f.Number, f.kind, user, f.Tell)
	}
	if by := w.standIn(user, f.at); !slices.Contains(f.Tell, by) {
		w.broke("notices", "%s: %s does not tell %d, who stands in for %d", f.Number, f.kind, by, user)
	}
}

// told checks whom a clock has told.
func (w *world) told(t *tick, f fact) {
	var who string
	for _, r := range ladders[f.Clock] {
		if r.name == f.Step {
			who = r.tell
			break
		}
	}
	want := map[int64]bool{}
	add := func(id int64) {
		if id != 0 {
			want[w.hears(id, t.dep, f.at)] = true
		}
	}
	for _, c := range who {
		switch c {
		case 'a':
			add(or(t.assignee, t.sup))
		case 's':
			add(w.bossOf(t.dep))
		case 'h':
			add(w.headOf(t.dep))
		case 'c':
			if t.parent != 0 {
				m := w.tickets[t.parent]
				add(or(m.assignee, m.sup))
			} else {
				t.reminders++
			}
		}
	}
	got := map[int64]bool{}
	for _, id := range f.Tell {
		got[id] = true
	}
	if !maps.Equal(want, got) {
		w.broke("3: firings", "%s: %s of %s told %v, not %v", t.number, f.Step, f.Clock, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// arm begins clocks anew.
func (w *world) arm(t *tick, now int64, kinds ...string) {
	p := policyOf(t.urgency, t.level)
	for _, k := range kinds {
		w.end(t, now, false, k)
		if n := target(p, k); n > 0 {
			t.want[k] = &timer{ticket: t.id, kind: k, round: t.round, running: true, started: now, seg: now, target: n, office: p == "vip"}
		}
	}
}

func (w *world) end(t *tick, now int64, met bool, kinds ...string) {
	for _, k := range kinds {
		c := t.want[k]
		if c == nil {
			continue
		}
		used := c.at(now)
		if c.over(now) {
			c.missed = true
		}
		c.used, c.running, c.ended, c.met = used, false, now, met
		delete(t.want, k)
	}
}

func (w *world) endAll(t *tick, now int64) {
	w.end(t, now, false, slices.Sorted(maps.Keys(t.want))...)
}

func (w *world) pause(t *tick, now int64) {
	if c := t.want[resolution]; c != nil && c.running {
		if c.over(now) {
			c.missed = true
		}
		c.used, c.running = c.at(now), false
	}
}

func (w *world) resume(t *tick, now int64) {
	if c := t.want[resolution]; c != nil && !c.running {
		c.running, c.seg = true, now
	}
}

// answered ends the wait for the first word of a person.
func (w *world) answered(t *tick, f fact) {
	if f.by == "user" {
		w.end(t, f.at, true, firstResponse)
	}
}

// edited gives the clocks the times of another policy, keeping what was used.
func (w *world) edited(t *tick, f fact) {
	was := t.urgency
	for _, c := range f.Changes {
		switch c.Field {
		case "urgency":
			t.urgency = c.New
		case "type":
			t.typ = c.New
		}
	}
	old, p := policyOf(was, t.level), policyOf(t.urgency, t.level)
	if old == p {
		return
	}
	for _, k := range []string{firstResponse, acknowledge, urgentClock, resolution, update} {
		c := t.want[k]
		if c == nil || k == resolution && c.deferred {
			continue
		}
		n := target(p, k)
		if n == 0 {
			w.end(t, f.at, false, k)
			continue
		}
		if office := p == "vip"; office != c.office {
			if c.running {
				c.used, c.seg = c.at(f.at), f.at
			}
			c.office = office
		}
		c.target, c.changed = n, f.at
	}
	if t.urgency == "urgent" && t.state == pending && t.parent == 0 {
		w.arm(t, f.at, urgentClock)
	}
}

// deferred moves the deadline of the resolution.
func (w *world) deferred(t *tick, f fact) {
	var old, to int64
	w.rows(`SELECT old_due, new_due FROM deferrals WHERE ticket_id = $1 AND state = 'approved' ORDER BY id DESC LIMIT 1`, func(s func(...any)) { s(&old, &to) }, t.id)
	c := t.want[resolution]
	if c == nil {
		w.broke("clocks", "%s was deferred without a deadline", t.number)
	}
	used := c.at(f.at)
	c.deferred = true
	if c.running {
		old = c.lastDue
	}
	if to <= old {
		return
	}
	c.target += elapsed(c.office, old, to)
	c.missed = used > c.target
	for i := range c.next {
		if c.offset(i) > used {
			c.next = i
			break
		}
	}
}

// late reports whether a promise of ours in this round was missed.
func (w *world) late(t *tick, now int64) bool {
	for _, c := range w.clocks {
		if c.ticket == t.id && c.round == t.round && ours(c.kind) && (c.missed || c.over(now)) {
			return true
		}
	}
	return false
}

// clockRow is a clock as it is stored.
type clockRow struct {
	id, ticket, target, started, due, used, seg, next, missed, ended, calendar int64
	kind, state                                                                string
	round, step, fired                                                         int
}

func (w *world) byID() []*timer {
	ids := slices.Sorted(maps.Keys(w.clocks))
	out := make([]*timer, len(ids))
	for i, id := range ids {
		out[i] = w.clocks[id]
	}
	return out
}

// compare holds tickets and their clocks against the model.
func (w *world) compare(ids []int64, rows map[int64]row, fired bool) {
	stored := map[int64][]clockRow{}
	w.rows(`SELECT id, ticket_id, kind, round, state, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, calendar_id, fired FROM clocks WHERE ticket_id IN (`+inList(ids)+`) ORDER BY id`, func(s func(...any)) {
		var c clockRow
		s(&c.id, &c.ticket, &c.kind, &c.round, &c.state, &c.target, &c.started, &c.due, &c.used, &c.seg, &c.step, &c.next, &c.missed, &c.ended, &c.calendar, &c.fired)
		stored[c.ticket] = append(stored[c.ticket], c)
	})
	for _, id := range ids {
		t := w.tickets[id]
		for _, c := range stored[id] { // acquaint ourselves
			if w.clocks[c.id] == nil && c.ended == 0 {
				if x := t.want[c.kind]; x != nil && x.id == 0 && x.round == c.round && x.started == c.started {
					x.id = c.id
					w.clocks[c.id] = x
				}
			}
		}
	}
	if fired {
		w.firings(ids)
	}
	for _, id := range ids {
		w.compareTicket(w.tickets[id], rows[id])
		w.compareClocks(w.tickets[id], stored[id])
	}
}

func (w *world) compareTicket(t *tick, x row) {
	t.row = x
	if x.state != t.state || x.round != t.round || x.assignee != t.assignee || x.dep != t.dep || x.sup != t.sup || x.urgency != t.urgency || x.parent != t.parent {
		w.broke("7: replay", "%s is stored as %s round %d assignee %d department %d supervisor %d %s parent %d; its events say %s %d %d %d %d %s %d", t.number, x.state, x.round, x.assignee, x.dep, x.sup, x.urgency, x.parent, t.state, t.round, t.assignee, t.dep, t.sup, t.urgency, t.parent)
	}
	if x.children != t.children {
		w.broke("8: sub-tickets", "%s counts %d open sub-tickets, there are %d", t.number, x.children, t.children)
	}
	if open(t.state) != (x.open == 1) {
		w.broke("7: replay", "%s is %s and open is %d", t.number, t.state, x.open)
	}
	if open(t.state) {
		if x.assignee == 0 && x.sup == 0 {
			w.broke("1: responsible", "%s belongs to nobody", t.number)
		}
		for _, id := range []int64{x.assignee, x.sup} {
			if id != 0 && (w.people[id] == nil || !w.people[id].active) {
				w.broke("1: responsible", "%s belongs to %d, who is not here", t.number, id)
			}
		}
		if len(t.want) == 0 {
			w.broke("2: clocks", "%s has no clock", t.number)
		}
	}
	if t.parent != 0 && open(t.state) {
		if m := w.tickets[t.parent]; !slices.Contains([]string{pending, working, waiting}, m.state) {
			w.broke("8: sub-tickets", "%s is %s while its part %s is open", m.number, m.state, t.number)
		}
	}
	switch t.state {
	case done, closed:
		if !slices.Contains([]string{"confirmed", "phone", "silence"}, x.outcome) {
			w.broke("5: outcome", "%s is %s with outcome %q", t.number, t.state, x.outcome)
		}
	case gone:
		if x.outcome != "cancelled" || x.reason == "" {
			w.broke("5: outcome", "%s is cancelled with outcome %q, reason %q", t.number, x.outcome, x.reason)
		}
	case awaiting:
		if strings.TrimSpace(x.solution) == "" || t.typ == "complaint" && t.parent == 0 && strings.TrimSpace(x.cause) == "" {
			w.broke("guards", "%s was answered with solution %q, cause %q", t.number, x.solution, x.cause)
		}
	}
}

func (w *world) compareClocks(t *tick, stored []clockRow) {
	seen := map[string]bool{}
	nearest := int64(0)
	for _, c := range stored {
		live := c.state == "running" || c.state == "paused"
		m := w.clocks[c.id]
		if !live {
			if c.next != 0 || c.seg != 0 {
				w.broke("clocks", "%s: clock %d (%s) has ended and would fire at %d", t.number, c.id, c.kind, c.next)
			}
			if m == nil {
				continue // began and ended within one step
			}
			if m.ended == 0 {
				w.broke("2: clocks", "%s (%s): the %s clock %d has ended as %s, it should run", t.number, t.state, c.kind, c.id, c.state)
			}
			if m.met != (c.state == "met") && c.kind != update {
				w.broke("clocks", "%s (%s): the %s clock %d ended as %s, met should be %v", t.number, t.state, c.kind, c.id, c.state, m.met)
			}
			if c.ended != m.ended {
				w.broke("clocks", "%s: the %s clock %d ended at %d, not %d", t.number, c.kind, c.id, c.ended, m.ended)
			}
			if c.used != m.used {
				w.broke("clocks", "%s: the %s clock %d has used %d µs, it should be %d", t.number, c.kind, c.id, c.used, m.used)
			}
			if (c.missed == 1) != m.missed {
				w.broke("clocks", "%s: the %s clock %d missed %d, it should be %v (used %d of %d)", t.number, c.kind, c.id, c.missed, m.missed, m.used, m.target)
			}
			continue
		}
		x := t.want[c.kind]
		switch {
		case seen[c.kind]:
			w.broke("2: clocks", "%s has two %s clocks", t.number, c.kind)
		case x == nil:
			w.broke("2: clocks", "%s (%s) has a %s clock it should not have", t.number, t.state, c.kind)
		case x.id != c.id:
			w.broke("2: clocks", "%s (%s): the %s clock is %d of round %d from %d; it should be %d of round %d from %d", t.number, t.state, c.kind, c.id, c.round, c.started, x.id, x.round, x.started)
		case x.running != (c.state == "running"):
			w.broke("clocks", "%s (%s): the %s clock is %s", t.number, t.state, c.kind, c.state)
		case x.target != c.target || x.round != c.round || x.started != c.started || x.office != (c.calendar != 0):
			w.broke("clocks", "%s (%s, %s): the %s clock has %d µs from %d in round %d, calendar %d; it should have %d from %d in %d, office hours %v", t.number, t.urgency, t.level, c.kind, c.target, c.started, c.round, c.calendar, x.target, x.started, x.round, x.office)
		case x.running && x.used+elapsed(x.office, x.seg, c.due) != x.target:
			w.broke("clocks", "%s: the %s clock is due at %d: that is %d of %d µs", t.number, c.kind, c.due, x.used+elapsed(x.office, x.seg, c.due), x.target)
		case x.used != c.used && !(x.running && c.seg == x.seg && x.used == c.used):
			w.broke("clocks", "%s: the %s clock has used %d µs, it should be %d", t.number, c.kind, c.used, x.used)
		case (c.missed == 1) != x.missed:
			w.broke("clocks", "%s: the %s clock missed %d, it should be %v", t.number, c.kind, c.missed, x.missed)
		case x.running && x.next < len(ladders[c.kind]) && c.next == 0:
			w.broke("2: clocks", "%s: the %s clock will not fire", t.number, c.kind)
		}
		seen[c.kind] = true
		if x.running {
			x.lastDue = c.due
			if nearest == 0 || c.due < nearest {
				nearest = c.due
			}
		}
	}
	for k := range t.want {
		if !seen[k] {
			w.broke("2: clocks", "%s (%s) has no %s clock", t.number, t.state, k)
		}
	}
	if open(t.state) && nearest != t.row.due {
		w.broke("clocks", "%s is shown as due at %d, its nearest clock at %d", t.number, t.row.due, nearest)
	}
}

// lateness is what a firing may be late while the product runs.
const lateness = 5 * second

// firings holds the new firings of tickets against the ladders.
func (w *world) firings(ids []int64) {
	type firing struct {
		clock, due, at int64
		step, rung     int
		name           string
	}
	var all []firing
	w.rows(`SELECT f.clock_id, f.step, f.due_at, f.fired_at, f.rung, f.name FROM clock_firings f JOIN clocks c ON c.id = f.clock_id WHERE c.ticket_id IN (`+inList(ids)+`) ORDER BY f.clock_id, f.step`, func(s func(...any)) {
		var f firing
		s(&f.clock, &f.step, &f.due, &f.at, &f.rung, &f.name)
		all = append(all, f)
	})
	for _, f := range all {
		c := w.clocks[f.clock]
		if c == nil {
			w.broke("3: firings", "clock %d has fired that should not be there", f.clock)
		}
		if f.step < c.seen {
			continue
		}
		t := w.tickets[c.ticket]
		if c.seen++; f.step != c.seen-1 {
			w.broke("3: firings", "%s: firing %d of the %s clock %d, %d was expected", t.number, f.step, c.kind, c.id, c.seen-1)
		}
		if c.next >= len(ladders[c.kind]) || f.rung != c.next || f.name != ladders[c.kind][c.next].name {
			w.broke("3: firings", "%s: the %s clock %d fired %s (rung %d), rung %d was next", t.number, c.kind, c.id, f.name, f.rung, c.next)
		}
		c.next++
		w.fig.fired++
		x := *c
		if !x.running { // it ended with this firing
			if x.ended == 0 {
				w.broke("3: firings", "%s: the %s clock %d fired while paused", t.number, c.kind, c.id)
			}
			x.running = true
			x.used = 0
			if got := elapsed(x.office, x.started, f.due); x.kind == confirmation && got != x.offset(f.rung) {
				w.broke("3: firings", "%s: %s of the %s clock %d was due at %d µs, not %d", t.number, f.name, c.kind, c.id, got, x.offset(f.rung))
			}
		} else if got := x.used + elapsed(x.office, x.seg, f.due); got != x.offset(f.rung) {
			w.broke("3: firings", "%s: %s of the %s clock %d was due at %d µs of use, it should be at %d", t.number, f.name, c.kind, c.id, got, x.offset(f.rung))
		}
		if f.at < f.due {
			w.broke("3: firings", "%s: the %s clock %d fired %d µs before its time", t.number, c.kind, c.id, f.due-f.at)
		}
		since := max(f.due, w.unblocked, c.changed)
		if w.blocked() {
			since = f.at
		}
		if late := f.at - since; late > lateness {
			w.broke("3: firings", "%s: %s of the %s clock %d fired %d s late", t.number, f.name, c.kind, c.id, late/second)
		} else if f.at-f.due > lateness {
			w.fig.late++
		}
		if f.name == "miss" || ladders[c.kind][f.rung].percent >= 100 {
			c.missed = true
		}
	}
}

// blocked reports whether clocks cannot fire now, by a fault.
func (w *world) blocked() bool {
	return w.refuse || w.dead || w.flaky > 0 || w.stopped["sweep"]
}

// overdueFirings finds clocks that should have spoken.
func (w *world) overdueFirings() {
	if w.blocked() || !w.swept {
		return
	}
	now := w.sweptAt
	for _, id := range w.order {
		t := w.tickets[id]
		for _, k := range kindsOf(t.want) {
			c := t.want[k]
			if at := c.speaks(); at != 0 && at+lateness < now && c.at(now) >= c.offset(c.next) {
				w.broke("3: firings", "%s: %s of the %s clock %d was due %d s ago and has not fired", t.number, ladders[k][c.next].name, k, c.id, (now-at)/second)
			}
		}
	}
}

func kindsOf(m map[string]*timer) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

// notices holds what people were told against what the events say.
func (w *world) notices() {
	w.rows(`SELECT n.id, COALESCE(e.id, 0), n.user_id, n.kind FROM notifications n LEFT JOIN events e ON e.seq = n.event_seq WHERE n.id > $1 ORDER BY n.id`, func(s func(...any)) {
		var id, ev, user int64
		var kind string
		s(&id, &ev, &user, &kind)
		w.notice = id
		w.fig.notices++
		if k, ok := w.expect[[2]int64{ev, user}]; !ok || k != kind {
			w.broke("notices", "user %d was told of event %d (%s) twice or without reason", user, ev, kind)
		}
		delete(w.expect, [2]int64{ev, user})
	}, w.notice)
	if len(w.expect) > 0 && w.drained && !w.stopped["follower"] && !w.refuse && !w.dead && w.flaky == 0 {
		for k, kind := range w.expect {
			w.broke("notices", "user %d was not told of event %d (%s); %d are missing", k[1], k[0], kind, len(w.expect))
		}
	}
}
