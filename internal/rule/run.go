package rule

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"

	"github.com/expr-lang/expr"
)

// compiled is a rule ready to be asked.
type compiled struct {
	Rule
	prog program
	want wants

	once sync.Once
	rows []rowProgram // of the form, for the log
}

type rowProgram struct {
	cond Cond
	prog program
}

// snapshot is all rules that are on, compiled once; never changed once made.
type snapshot struct {
	generation int64
	checked    time.Time
	defs       string // of the custom fields it was compiled with
	byKind     map[string][]*compiled
	wants      map[string]wants // of all rules of a kind
	timed      []*compiled
	broken     []Rule // on, but no longer compile
	reply      AutoReply
	office     Office
	vars       []Var
}

// generationSetting grows with every change of a rule.
const generationSetting = "rule.generation"

// trust is how long a snapshot is believed without asking the database whether
// another node has changed it.
const trust = 5 * time.Second

// changed makes every node compile the rules again.
func (s *Service) changed(ctx context.Context, a *action.Action) error {
	var n int64
	if err := setting.Read(ctx, a, generationSetting, &n); err != nil {
		return err
	}
	if err := setting.Write(ctx, a.Tx, generationSetting, n+1); err != nil {
		return err
	}
	a.AfterCommit(func() { s.snap.Store(nil) })
	return nil
}

// current returns the rules that are on.
func (s *Service) current(ctx context.Context, q db.Querier) (*snapshot, error) {
	now := s.db().Clock().Now()
	if o := s.snap.Load(); o != nil {
		if age := now.Sub(o.checked); age >= 0 && age < trust {
			return o, nil
		}
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	var generation int64
	if err := setting.Read(ctx, q, generationSetting, &generation); err != nil {
		return nil, err
	}
	vars, err := s.Vars(ctx, q, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	defs := signature(vars)
	if o := s.snap.Load(); o != nil && o.generation == generation && o.defs == defs {
		fresh := *o
		fresh.checked = now
		s.snap.Store(&fresh)
		return &fresh, nil
	}
	o := &snapshot{generation: generation, checked: now, defs: defs, byKind: map[string][]*compiled{}, wants: map[string]wants{}, vars: vars}
	if o.reply, err = readReply(ctx, q); err != nil {
		return nil, err
	}
	o.office = o.reply.Office
	refs, err := s.fieldRefs(ctx, q)
	if err != nil {
		return nil, err
	}
	rules, err := list(ctx, q, `WHERE enabled = 1 ORDER BY position, id`)
	if err != nil {
		return nil, err
	}
	env := expr.Env(environment(vars))
	for _, r := range rules {
		p, err := compile(r.Expr, vars, env)
		if err != nil {
			o.broken = append(o.broken, r)
			continue
		}
		c := &compiled{Rule: r, prog: p, want: p.needs(refs)}
		for _, k := range r.When.kinds() {
			o.byKind[k] = append(o.byKind[k], c)
			w := o.wants[k]
			w.add(c.want)
			o.wants[k] = w
		}
		if r.When.Time != nil {
			o.timed = append(o.timed, c)
		}
	}
	if !db.InWrite(ctx) { // what a transaction sees may never be committed
		s.snap.Store(o)
	}
	return o, nil
}

// signature tells whether conditions have to be compiled anew.
func signature(vs []Var) string {
	var b strings.Builder
	for _, v := range vs {
		if v.Group == "custom" {
			b.WriteString(v.Code + ":" + string(v.Kind) + " ")
		}
	}
	return b.String()
}

func (s *Service) fieldRefs(ctx context.Context, q db.Querier) (map[string]fieldRef, error) {
	out := map[string]fieldRef{}
	for _, o := range customObjects {
		defs, err := s.cust.Fields().DefsIn(ctx, q, i18n.ZhCN, o.obj)
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			out[o.name+"."+d.Code] = fieldRef{o.obj, d.ID, d.Code, kindOf(d.Kind)}
		}
	}
	return out, nil
}

// listenerName is the rules' place in the chain of facts.
const listenerName = "rules"

// listenBatch keeps the transactions of the rules short: one writer waits for
// them on SQLite.
const listenBatch = 8

// Listener lets rules follow the facts.
func (s *Service) Listener() event.Listener {
	var kinds []string
	for _, o := range Occasions {
		for _, k := range o.Kinds {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	return event.Listener{Name: listenerName, Kinds: kinds, Batch: listenBatch, Wants: s.wanted, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
		clear(s.pending)
		for _, e := range evs {
			if err := s.follow(ctx, tx, e); err != nil {
				return fmt.Errorf("rule: event %d: %w", e.ID, err)
			}
		}
		clear(s.judged)
		return nil
	}}
}

// wanted looks, without writing, whether a rule would fire: an event no rule is
// interested in costs no transaction. In doubt it is looked at again inside one.
// A ticket that will be changed by an earlier event of the batch is in doubt.
func (s *Service) wanted(e event.Stored) bool {
	ctx := context.Background()
	q := s.db().Read()
	o, err := s.current(ctx, q)
	if err != nil || len(o.broken) > 0 {
		return true
	}
	if len(o.byKind[e.Kind]) == 0 && !(e.Kind == "ticket.registered" && o.reply.On) {
		return false
	}
	if s.pending[e.Subject.ID] {
		return true
	}
	yes := true
	if m, err := s.moment(ctx, q, o, e, false); err == nil && m == nil {
		yes = false
	} else if err == nil {
		if says, err := s.look(ctx, q, o, m); err == nil {
			yes = says
		}
	}
	if yes {
		s.pending[e.Subject.ID] = true
	}
	return yes
}

// judged is what the rules of an event were found to say of it, before the
// transaction in which they act.
type judged struct {
	o  *snapshot
	m  *moment
	vs []verdict
}

// maxJudged is how many events are remembered between the look and the
// transaction.
const maxJudged = 8 * listenBatch

// look asks all rules of an event, remembers what they say, and reports whether
// anything is to be done.
func (s *Service) look(ctx context.Context, q db.Querier, o *snapshot, m *moment) (bool, error) {
	rules := o.byKind[m.e.Kind]
	j := judged{o: o, m: m, vs: make([]verdict, len(rules))}
	var vm machine
	if err := s.judge(ctx, q, o, &vm, m, rules, j.vs); err != nil {
		return true, err
	}
	// A condition that ends in an error stays undecided: it is asked again, and the
	// rule is switched off.
	yes := s.answers(o, m) || slices.Contains(j.vs, met) || slices.Contains(j.vs, undecided)
	if yes && len(s.judged) < maxJudged {
		s.judged[m.e.ID] = j
	}
	return yes, nil
}

// judge asks those rules that are undecided. What they look at beside the ticket
// is loaded only when one of them cannot say without it: first the words of the
// message, then everything.
func (s *Service) judge(ctx context.Context, q db.Querier, o *snapshot, vm *machine, m *moment, rules []*compiled, vs []verdict) error {
	all := o.wants[m.e.Kind]
	for _, next := range []wants{{need: all.need & needMessage}, all, {}} {
		open := false
		for i, c := range rules {
			if vs[i] == undecided {
				if v, err := vm.ask(&c.prog, m.env); err == nil {
					vs[i], open = v, open || v == undecided
				}
			}
		}
		if !open {
			return nil
		}
		if err := s.load(ctx, q, m, next); err != nil {
			return err
		}
	}
	return nil
}

// recall returns what is known of an event in its transaction: the ticket as it
// is now, locked, and what the rules were found to say if nothing they looked at
// can have changed since. m is nil when the ticket is gone.
func (s *Service) recall(ctx context.Context, tx *db.Tx, o *snapshot, e event.Stored) (m *moment, vs []verdict, err error) {
	j, ok := s.judged[e.ID]
	if !ok || j.o.generation != o.generation || j.o.defs != o.defs || tx.Now.Sub(j.m.now) > trust || tx.Now.Before(j.m.now) {
		m, err = s.moment(ctx, tx, o, e, true)
		return m, make([]verdict, len(o.byKind[e.Kind])), err
	}
	t, err := s.tick.In(ctx, tx, e.Subject.ID, true)
	if fault.Is(err, fault.NotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if t.Version != j.m.t.Version {
		m, err = s.moment(ctx, tx, o, e, true)
		return m, make([]verdict, len(o.byKind[e.Kind])), err
	}
	again := *j.m // the transaction may run twice
	again.t = t
	return &again, slices.Clone(j.vs), nil
}

// differing are the variables that have another value in now than in was, or are
// not known any more.
func differing(was, now map[string]any) map[string]bool {
	out := map[string]bool{}
	for code, v := range was {
		switch code {
		case "last_days", "next_days": // functions of the day
		case ticketFields, customerFields:
			is, _ := now[code].(map[string]any)
			for own, x := range v.(map[string]any) {
				if !alike(x, is[own]) {
					out[code+"."+own] = true
				}
			}
		default:
			if !alike(v, now[code]) {
				out[code] = true
			}
		}
	}
	return out
}

func alike(a, b any) bool {
	switch x := a.(type) {
	case []int:
		y, ok := b.([]int)
		return ok && slices.Equal(x, y)
	case []string:
		y, ok := b.([]string)
		return ok && slices.Equal(x, y)
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	}
	return a == b
}

// moment is a ticket and what has happened to it, before anything else that rules
// look at is loaded; nil when the ticket is gone.
func (s *Service) moment(ctx context.Context, q db.Querier, o *snapshot, e event.Stored, lock bool) (*moment, error) {
	m := &moment{e: e, now: s.db().Clock().Now(), office: o.office}
	if err := e.Decode(&m.fact); err != nil {
		return nil, err
	}
	var err error
	if m.t, err = s.tick.In(ctx, q, e.Subject.ID, lock); fault.Is(err, fault.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	m.vars = o.wants[e.Kind].vars
	m.env = m.build(m.vars)
	return m, nil
}

// chainMark begins the session of what a rule does: the rules that led to it.
const chainMark = "rule:"

func chainText(chain []int64) string {
	parts := make([]string, len(chain))
	for i, id := range chain {
		parts[i] = itoa(id)
	}
	return chainMark + strings.Join(parts, ",")
}

// chainOf returns the rules that led to an event, the first one first.
func chainOf(e event.Stored) (chain []int64) {
	rest, ok := strings.CutPrefix(e.Session, chainMark)
	if !ok || e.ActorKind != authz.Worker {
		return nil
	}
	for p := range strings.SplitSeq(rest, ",") {
		if id, err := strconv.ParseInt(p, 10, 64); err == nil {
			chain = append(chain, id)
		}
	}
	return chain
}

// follow asks the rules about one event, in their order.
func (s *Service) follow(ctx context.Context, tx *db.Tx, e event.Stored) error {
	o, err := s.current(ctx, tx)
	if err != nil {
		return err
	}
	for _, r := range o.broken {
		if err := s.switchOff(ctx, tx, r, "rule.off.broken"); err != nil {
			return err
		}
	}
	m, vs, err := s.recall(ctx, tx, o, e)
	if err != nil || m == nil {
		return err
	}
	if e.Kind == "ticket.registered" {
		was := m.t.Version
		if err := s.answer(ctx, tx, o, m); err != nil {
			return err
		}
		if m.t.Version != was {
			m.env = m.build(m.vars)
			vs = make([]verdict, len(vs))
		}
	}
	var vm machine
	rules := o.byKind[e.Kind]
	for i, c := range rules {
		if vs[i] == undecided {
			if err := s.judge(ctx, tx, o, &vm, m, rules[i:], vs[i:]); err != nil {
				return err
			}
		}
		if vs[i] == undecided {
			ok, err := vm.holds(&c.prog, m.env)
			if err != nil {
				if err := s.broke(ctx, tx, c, err); err != nil {
					return err
				}
				continue
			}
			vs[i] = verdictOf(ok)
		}
		if vs[i] != met {
			continue
		}
		if err := s.load(ctx, tx, m, c.want); err != nil { // the log says all that held
			return err
		}
		env := m.env
		fired, err := s.fire(ctx, tx, o, &vm, c, m, chainOf(e), e.Kind)
		if err != nil {
			return err
		}
		if fired && c.StopAfter {
			break
		}
		// What it has changed decides which of the others have to be asked again.
		if changed := differing(env, m.env); len(changed) > 0 {
			for k := i + 1; k < len(rules); k++ {
				if slices.ContainsFunc(rules[k].prog.uses, func(code string) bool { return changed[code] }) {
					vs[k] = undecided
				}
			}
		}
	}
	return nil
}

// broke switches off a rule whose condition ends in an error.
func (s *Service) broke(ctx context.Context, tx *db.Tx, c *compiled, err error) error {
	slog.Warn("rule: condition", "rule", c.ID, "err", err)
	return s.switchOff(ctx, tx, c.Rule, "rule.off.condition")
}

// ask evaluates one rule and lets it fire.
func (s *Service) ask(ctx context.Context, tx *db.Tx, o *snapshot, vm *machine, c *compiled, m *moment, chain []int64, occasion string) (fired bool, err error) {
	ok, err := vm.holds(&c.prog, m.env)
	if err != nil {
		return false, s.broke(ctx, tx, c, err)
	}
	if !ok {
		return false, nil
	}
	return s.fire(ctx, tx, o, vm, c, m, chain, occasion)
}

// fire does what a rule says whose conditions hold, within its limits.
func (s *Service) fire(ctx context.Context, tx *db.Tx, o *snapshot, vm *machine, c *compiled, m *moment, chain []int64, occasion string) (fired bool, err error) {
	// A rule may have been switched off meanwhile, also by this very batch.
	var on, all, own, said int
	hour := db.Micros(tx.Now.Add(-time.Hour))
	err = tx.QueryRow(ctx, `
		SELECT (SELECT COALESCE(MAX(enabled), 0) FROM rules WHERE id = $1), COALESCE(SUM(CASE WHEN outcome <> 'limited' THEN 1 ELSE 0 END), 0),
		       COALESCE(SUM(CASE WHEN outcome <> 'limited' AND rule_id = $2 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN outcome = 'limited' THEN 1 ELSE 0 END), 0)
		FROM   rule_firings WHERE ticket_id = $3 AND at > $4`, c.ID, c.ID, m.t.ID, hour).Scan(&on, &all, &own, &said)
	if err != nil {
		return false, fmt.Errorf("rule: limits: %w", err)
	}
	if on == 0 {
		return false, nil
	}
	f := Firing{RuleID: c.ID, Version: c.Version, TicketID: m.t.ID, EventID: m.e.ID, Occasion: occasion}
	f.Detail.Held = s.held(vm, c, o, m)
	if len(chain) >= maxDepth || slices.Contains(chain, c.ID) {
		f.Outcome = Loop
		return false, writeFiring(ctx, tx, f)
	}
	switch {
	case own >= maxSameHour:
		return false, s.switchOff(ctx, tx, c.Rule, "rule.off.circles")
	case all >= maxTicketHour:
		if f.Outcome = Limited; said > 0 {
			return false, nil
		}
		return false, writeFiring(ctx, tx, f)
	}
	if c.Fired >= maxRuleHour { // else it cannot have been so many
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM rule_firings WHERE rule_id = $1 AND at > $2 LIMIT `+strconv.Itoa(maxRuleHour)+`) x`, c.ID, hour).Scan(&n); err != nil {
			return false, fmt.Errorf("rule: limits: %w", err)
		}
		if n >= maxRuleHour {
			return false, s.switchOff(ctx, tx, c.Rule, "rule.off.often")
		}
	}
	d := doing{s: s, r: &c.Rule, m: m, chain: append(slices.Clip(chain), c.ID)}
	before := m.t
	try := [2]int64{m.e.ID, c.ID}
	if err := d.all(ctx, tx); err != nil {
		// Not a refusal but a fault of ours, or of the engine: it is tried again, and
		// at last left out so that it does not hold up everything behind it.
		if m.e.ID == 0 {
			return false, fmt.Errorf("rule %d: %w", c.ID, err)
		}
		if s.tries[try]++; s.tries[try] < internalRetries {
			return false, fmt.Errorf("rule %d: %w", c.ID, err)
		}
		slog.Error("rule: given up", "rule", c.ID, "event", m.e.ID, "err", err)
		delete(s.tries, try)
		f.Outcome, f.Detail.Done = Failed, d.res
		if err := writeFiring(ctx, tx, f); err != nil {
			return false, err
		}
		return false, s.switchOff(ctx, tx, c.Rule, "rule.off.error")
	}
	if m.e.ID != 0 {
		delete(s.tries, try)
	}
	f.Detail.Done, f.Outcome = d.res, outcome(d.res)
	if err := writeFiring(ctx, tx, f); err != nil {
		return false, err
	}
	if err := s.counted(ctx, tx, c, f.Outcome); err != nil {
		return true, err
	}
	if d.dirty { // what the next rules look at
		m.changedFrom(before, d.own)
	}
	return true, nil
}

// counted keeps how often a rule fired, and switches it off when it can do
// nothing time after time.
func (s *Service) counted(ctx context.Context, tx *db.Tx, c *compiled, outcome string) error {
	if outcome != Refused {
		if err := tx.Later(ctx, `UPDATE rules SET fired = fired + 1, fired_at = $1, failures = 0 WHERE id = $2`, tx.NowMicros(), c.ID); err != nil {
			return fmt.Errorf("rule: count: %w", err)
		}
		return nil
	}
	var n int
	if err := tx.QueryRow(ctx, `UPDATE rules SET fired = fired + 1, fired_at = $1, failures = failures + 1 WHERE id = $2 RETURNING failures`, tx.NowMicros(), c.ID).Scan(&n); err != nil {
		return fmt.Errorf("rule: count: %w", err)
	}
	if n >= maxFailures {
		return s.switchOff(ctx, tx, c.Rule, "rule.off.refused")
	}
	return nil
}

// held lists the rows of the form that are true.
func (s *Service) held(vm *machine, c *compiled, o *snapshot, m *moment) (out []Cond) {
	if c.Expert {
		return nil
	}
	c.once.Do(func() {
		env := expr.Env(environment(o.vars))
		for _, g := range c.If.Groups {
			for _, x := range g.Conds {
				if p, err := compile(x.Text(o.vars), o.vars, env); err == nil {
					c.rows = append(c.rows, rowProgram{x, p})
				}
			}
		}
	})
	for i := range c.rows {
		if ok, err := vm.holds(&c.rows[i].prog, m.env); err == nil && ok {
			out = append(out, c.rows[i].cond)
		}
	}
	return out
}

func outcome(rs []Result) string {
	refused := 0
	for _, r := range rs {
		if r.How == "refused" || r.How == "failed" {
			refused++
		}
	}
	switch {
	case refused == 0:
		return Done
	case refused == len(rs):
		return Refused
	}
	return Partly
}

// switchOff turns a rule off and tells the administrators.
func (s *Service) switchOff(ctx context.Context, tx *db.Tx, r Rule, why string) error {
	res, err := tx.Exec(ctx, `UPDATE rules SET enabled = 0, off_reason = $1, version = version + 1, updated_at = $2 WHERE id = $3 AND enabled = 1`, why, tx.NowMicros(), r.ID)
	if err != nil {
		return fmt.Errorf("rule: switch off %d: %w", r.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return action.Within(ctx, tx, authz.System("rules"), "rule.switch_off", func(ctx context.Context, a *action.Action) error {
		admins, err := s.org.Holders(ctx, a, PermManage)
		if err != nil {
			return err
		}
		a.Record(event.Event{Kind: SwitchedOff, Subject: Subject(r.ID), Data: Facts{Number: r.Name, Title: r.Name, Args: []string{r.Name, "@" + why}, Link: "/admin/rules/" + itoa(r.ID), Tell: admins}})
		return s.changed(ctx, a)
	})
}
