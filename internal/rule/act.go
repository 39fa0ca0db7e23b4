package rule

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// Codes of actions, in the order they are offered; rule.do.<code>.
const (
	DoAssign   = "assign"
	DoSet      = "set"
	DoReply    = "reply"
	DoNote     = "note"
	DoNotify   = "notify"
	DoEscalate = "escalate"
	DoWebhook  = "webhook"
)

// Actions that a rule can do.
var Actions = []string{DoAssign, DoSet, DoReply, DoNote, DoNotify, DoEscalate, DoWebhook}

// Targets of an assignment; rule.assign.<code>.
var Targets = []string{"routing", "department", "user"}

// Tellable is who a rule can notify; rule.tell.<code>.
var Tellable = []string{"assignee", "supervisor", "head", "watchers", "user", "role"}

// Settable are the fields of a ticket a rule can set, the company's own apart;
// rule.var.<code> or rule.changed.<code> says their names.
var Settable = []string{"priority", "urgency", "type", "class", "category"}

// Words that may stand in braces in texts a rule writes; rule.word.<word>.
var Words = []string{"customer", "number", "title", "assignee", "department", "state", "first_response", "resolution", "code", "company"}

const maxTextAct = 2000

// settable returns what codes a field of a ticket takes; nil: an id.
func settable(f string) []string {
	switch f {
	case "priority":
		return ticket.Priorities
	case "urgency":
		return ticket.Urgencies
	case "type":
		return ticket.Types
	case "class":
		return ticket.Classes
	}
	return nil
}

// checkAct says what is wrong with an action, at its fields "a.<n>.<name>".
func (s *Service) checkAct(ctx context.Context, a *action.Action, i int, act Act, e *fault.Error) error {
	at := func(name string) string { return fmt.Sprintf("a.%d.%s", i, name) }
	person := func(name string, perm authz.Permission) error {
		id, _ := strconv.ParseInt(act.Get(name), 10, 64)
		p, ok, err := s.org.Person(ctx, a, id)
		if err != nil {
			return err
		}
		if !ok || !p.Active {
			e.Field(at(name), "rule.act.person")
			return nil
		}
		if ok, err = s.org.CanBeGiven(ctx, a, id, 0, perm); err == nil && !ok {
			e.Field(at(name), "rule.act.no_right", p.Name)
		}
		return err
	}
	text := func(name string) {
		t := act.Get(name)
		switch n := utf8.RuneCountInString(t); {
		case n == 0:
			e.Field(at(name), "rule.act.text")
		case n > maxTextAct:
			e.Field(at(name), "rule.act.text_long", maxTextAct)
		}
		if w := unknownWord(t); w != "" {
			e.Field(at(name), "rule.act.word", w, "{"+strings.Join(Words, "} {")+"}")
		}
	}
	switch act.Do {
	case DoAssign:
		switch act.Get("to") {
		case "routing":
		case "department":
			id, _ := strconv.ParseInt(act.Get("department"), 10, 64)
			if d, ok, err := s.org.Department(ctx, a, id); err != nil {
				return err
			} else if !ok || !d.Active {
				e.Field(at("department"), "rule.act.department")
			}
		case "user":
			return person("user", ticket.PermHandle)
		default:
			e.Field(at("to"), "rule.act.choose")
		}
	case DoSet:
		return s.checkSet(ctx, a, act, at, e)
	case DoReply, DoNote:
		text("text")
	case DoNotify:
		text("text")
		switch who := act.Get("who"); who {
		case "user":
			return person("user", ticket.PermView)
		case "role":
			id, _ := strconv.ParseInt(act.Get("role"), 10, 64)
			if _, ok, err := s.org.WithRole(ctx, a, id); err != nil {
				return err
			} else if !ok {
				e.Field(at("role"), "rule.act.role")
			}
		default:
			if !slices.Contains(Tellable, who) {
				e.Field(at("who"), "rule.act.choose")
			}
		}
	case DoEscalate:
	case DoWebhook:
		// Where it leads has been looked at before the transaction: see reach.
		if _, err := s.secret(ctx, a); fault.Is(err, fault.Conflict) {
			e.Field(at("url"), "rule.hook.no_secret")
		} else if err != nil {
			return err
		}
	default:
		if o, ok := s.Other(act.Do); ok {
			return s.checkOther(ctx, a, o, act, at, e)
		}
		e.Field(at("do"), "rule.act.unknown")
	}
	return nil
}

func (s *Service) checkSet(ctx context.Context, a *action.Action, act Act, at func(string) string, e *fault.Error) error {
	f, v := act.Get("field"), act.Get("value")
	switch {
	case f == "category":
		id, _ := strconv.ParseInt(v, 10, 64)
		all, active, err := ticket.AllCategories(ctx, a)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(c ticket.Category) bool { return c.ID == id && active[c.ID] }) {
			e.Field(at("value"), "rule.act.choose")
		}
	case slices.Contains(Settable, f):
		if !slices.Contains(settable(f), v) {
			e.Field(at("value"), "rule.act.choose")
		}
	default:
		code, ok := strings.CutPrefix(f, ticketFields+".")
		if !ok {
			e.Field(at("field"), "rule.act.choose")
			return nil
		}
		d, ok, err := s.cust.Fields().Def(ctx, a, i18n.ZhCN, field.Ticket, code)
		if err != nil {
			return err
		}
		if !ok {
			e.Field(at("field"), "rule.act.choose")
			return nil
		}
		_, err = s.cust.Fields().Check(ctx, a, []field.Def{d}, "", field.Input{d.ID: valuesOf(d, v)}, field.Mode{Lax: true})
		if fe, is := fault.As(err); is && len(fe.Fields) > 0 {
			e.Field(at("value"), fe.Fields[0].Key, fe.Fields[0].Args...)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// valuesOf is a value as it was typed, split for a multiple choice.
func valuesOf(d field.Def, v string) []string {
	if d.Kind != field.Multi {
		return []string{v}
	}
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == '，' || r == '、' })
}

// unknownWord returns the first word in braces that is none; "" when all are.
func unknownWord(t string) string {
	for {
		i := strings.IndexByte(t, '{')
		if i < 0 {
			return ""
		}
		w, rest, ok := strings.Cut(t[i+1:], "}")
		if !ok || !slices.Contains(Words, w) {
			return "{" + clip(w)
		}
		t = rest
	}
}

// Result is what came of an action, as the log keeps it. The sentence is
// Key with Args when it was refused.
type Result struct {
	Act  Act      `json:"act"`
	How  string   `json:"how"` // done, same, queued, refused, failed, would; rule.how.<how>
	Key  string   `json:"key,omitempty"`
	Args []string `json:"args,omitempty"`
	Job  int64    `json:"job,omitempty"`
}

// same says that there was nothing to do.
type same struct{}

func (same) Error() string { return "rule: nothing to do" }

// doing is an action under way.
type doing struct {
	s     *Service
	r     *Rule
	m     *moment
	chain []int64
	res   []Result
	dirty bool // the ticket has changed
	own   bool // and perhaps fields of the company's own
}

// all does the actions of a rule in their order; fields that are set become one
// change. What is refused is written down and does not keep the others from being
// done; any other error is returned with the actions so far.
func (d *doing) all(ctx context.Context, tx *db.Tx) error {
	var sets []Act
	flush := func() error {
		if len(sets) == 0 {
			return nil
		}
		todo := sets
		sets = nil
		return d.one(ctx, tx, todo, func(ctx context.Context, a *action.Action) (Result, error) { return Result{}, d.set(ctx, a, todo) })
	}
	for _, act := range d.r.Then {
		if act.Do == DoSet {
			sets = append(sets, act)
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		do := map[string]func(context.Context, *action.Action, Act) (Result, error){DoAssign: d.assign, DoReply: d.reply, DoNote: d.note, DoNotify: d.notify,
			DoEscalate: d.escalate, DoWebhook: d.webhook}[act.Do]
		if o, ok := d.s.Other(act.Do); ok {
			do = d.other(o)
		}
		if do == nil {
			d.res = append(d.res, Result{Act: act, How: "failed", Key: "rule.act.unknown"})
			continue
		}
		if err := d.one(ctx, tx, []Act{act}, func(ctx context.Context, a *action.Action) (Result, error) { return do(ctx, a, act) }); err != nil {
			return err
		}
	}
	return flush()
}

func (d *doing) one(ctx context.Context, tx *db.Tx, acts []Act, do func(ctx context.Context, a *action.Action) (Result, error)) error {
	var r Result
	err := tx.Try(ctx, func(ctx context.Context) error {
		return action.Within(ctx, tx, d.r.actor(d.chain), "rule.act", func(ctx context.Context, a *action.Action) (err error) {
			r, err = do(ctx, a)
			return err
		})
	})
	switch f, refused := fault.As(err); {
	case err == nil:
		if r.How == "" {
			r.How = "done"
		}
	case err == same{}:
		r = Result{How: "same"}
	case refused && f.Kind != fault.Internal && f.Kind != fault.Unavailable:
		r = Result{How: "refused", Key: f.Key, Args: argTexts(f.Args)}
		if len(f.Fields) > 0 { // the field says more than the form as a whole
			r.Key, r.Args = f.Fields[0].Key, argTexts(f.Fields[0].Args)
		}
	default:
		return err
	}
	for _, act := range acts {
		x := r
		x.Act = act
		d.res = append(d.res, x)
	}
	return nil
}

// argTexts keeps the arguments of a sentence; locale keys with "@" before them.
func argTexts(args []any) []string {
	var out []string
	for _, a := range args {
		if k, ok := a.(i18n.Key); ok {
			out = append(out, "@"+string(k))
		} else {
			out = append(out, fmt.Sprint(a))
		}
	}
	return out
}

// Why says in l what the result's key says.
func (r Result) Why(l i18n.Lang) string {
	if r.Key == "" {
		return ""
	}
	vs := make([]any, len(r.Args))
	for i, s := range r.Args {
		if key, ok := strings.CutPrefix(s, "@"); ok {
			vs[i] = i18n.Key(key)
		} else {
			vs[i] = s
		}
	}
	return i18n.T(l, r.Key, vs...)
}

func (d *doing) took(t ticket.Ticket, err error) error {
	if err == nil {
		d.m.t, d.dirty = t, true
	}
	return err
}

func (d *doing) assign(ctx context.Context, a *action.Action, act Act) (Result, error) {
	var in ticket.Input
	switch act.Get("to") {
	case "user":
		in.AssigneeID, _ = strconv.ParseInt(act.Get("user"), 10, 64)
		if in.AssigneeID == d.m.t.AssigneeID {
			return Result{}, same{}
		}
	case "department":
		in.DepartmentID, _ = strconv.ParseInt(act.Get("department"), 10, 64)
		if in.DepartmentID == d.m.t.DepartmentID {
			return Result{}, same{}
		}
	default:
		if d.m.t.AssigneeID != 0 {
			return Result{}, same{}
		}
	}
	in.Reason = i18n.T(i18n.ZhCN, "rule.by_rule", d.r.Name)
	t, err := d.s.tick.DoIn(ctx, a, d.m.t.ID, ticket.Assign, in)
	return Result{}, d.took(t, err)
}

func (d *doing) set(ctx context.Context, a *action.Action, acts []Act) error {
	t := d.m.t
	p := ticket.Patch{Fields: field.Input{}}
	have, err := d.s.tick.FieldValues(ctx, a, t.ID)
	if err != nil {
		return err
	}
	differs := false
	put := func(to **string, was, is string) {
		*to = &is
		differs = differs || was != is
	}
	for _, act := range acts {
		v := act.Get("value")
		switch f := act.Get("field"); f {
		case "priority":
			why := i18n.T(i18n.ZhCN, "rule.by_rule", d.r.Name)
			put(&p.Priority, t.Priority, v)
			p.PriorityReason = &why
		case "urgency":
			put(&p.Urgency, t.Urgency, v)
		case "type":
			put(&p.Type, t.Type, v)
		case "class":
			put(&p.Class, t.Class, v)
		case "category":
			id, _ := strconv.ParseInt(v, 10, 64)
			p.CategoryID = &id
			differs = differs || id != t.CategoryID
		default:
			def, ok, err := d.s.cust.Fields().Def(ctx, a, i18n.ZhCN, field.Ticket, strings.TrimPrefix(f, ticketFields+"."))
			if err != nil {
				return err
			}
			if !ok {
				return fault.New(fault.Conflict, "rule.act.field_gone", f)
			}
			if old, ok := have[def.ID]; !ok || old.Raw() != v {
				differs = true
			}
			p.Fields[def.ID] = valuesOf(def, v)
		}
	}
	if !differs {
		return same{}
	}
	d.own = d.own || len(p.Fields) > 0
	t, err = d.s.tick.PatchIn(ctx, a, t.ID, p)
	if f, ok := fault.As(err); ok && f.Key == "ticket.nothing_changed" {
		return same{}
	}
	return d.took(t, err)
}

func (d *doing) reply(ctx context.Context, a *action.Action, act Act) (Result, error) {
	text, err := d.s.fill(ctx, a, act.Get("text"), d.m.t, i18n.ZhCN)
	if err != nil {
		return Result{}, err
	}
	t, err := d.s.tick.SayIn(ctx, a, d.m.t.ID, text)
	return Result{}, d.took(t, err)
}

func (d *doing) note(ctx context.Context, a *action.Action, act Act) (Result, error) {
	text, err := d.s.fill(ctx, a, act.Get("text"), d.m.t, i18n.ZhCN)
	if err != nil {
		return Result{}, err
	}
	t, err := d.s.tick.NoteIn(ctx, a, d.m.t.ID, text, nil, nil)
	return Result{}, d.took(t, err)
}

// notify tells colleagues; those who may not see the ticket are left out, for the
// notice carries its title.
func (d *doing) notify(ctx context.Context, a *action.Action, act Act) (Result, error) {
	t := d.m.t
	var who []int64
	var err error
	one := func(id int64, e error) { who, err = append(who, id), e }
	switch act.Get("who") {
	case "assignee":
		one(t.AssigneeID, nil)
	case "supervisor":
		one(d.s.org.SupervisorOf(ctx, a, t.DepartmentID))
	case "head":
		one(d.s.org.HeadOf(ctx, a, t.DepartmentID))
	case "watchers":
		who, err = d.s.tick.WatchersIn(ctx, a, t.ID)
	case "user":
		id, _ := strconv.ParseInt(act.Get("user"), 10, 64)
		one(id, nil)
	case "role":
		id, _ := strconv.ParseInt(act.Get("role"), 10, 64)
		who, _, err = d.s.org.WithRole(ctx, a, id)
	}
	if err != nil {
		return Result{}, err
	}
	watchers, err := d.s.tick.WatchersIn(ctx, a, t.ID)
	if err != nil {
		return Result{}, err
	}
	var told []int64
	for _, id := range who {
		if id == 0 || slices.Contains(told, id) {
			continue
		}
		actor, err := d.s.org.ActorIn(ctx, a, id)
		if fault.Is(err, fault.Unauthenticated) {
			continue // has left
		}
		if err != nil {
			return Result{}, err
		}
		if t.InScope(ticket.View(actor)) || actor.Can(ticket.PermView) && slices.Contains(watchers, id) {
			told = append(told, id)
		}
	}
	if len(told) == 0 {
		return Result{}, fault.New(fault.Conflict, "rule.act.nobody")
	}
	text, err := d.s.fill(ctx, a, act.Get("text"), t, i18n.ZhCN)
	if err != nil {
		return Result{}, err
	}
	a.Record(event.Event{Kind: Notified, Subject: ticket.Subject(t.ID), Data: Facts{Number: t.Number, Title: t.Title, Args: []string{text, d.r.Name}, Tell: told}})
	return Result{}, nil
}

func (d *doing) escalate(ctx context.Context, a *action.Action, _ Act) (Result, error) {
	t, err := d.s.tick.EscalateIn(ctx, a, d.m.t.ID)
	return Result{}, d.took(t, err)
}

func (d *doing) webhook(ctx context.Context, a *action.Action, act Act) (Result, error) {
	id, err := d.s.jobs.Enqueue(ctx, a.Tx, webhookJob, hookCall{URL: act.Get("url"), Rule: d.r.ID, Delivery: newDelivery(), Body: d.s.payload(d.r, d.m)}, job.Opts{MaxAttempts: hookAttempts})
	if err != nil {
		return Result{}, err
	}
	a.Record(event.Event{Kind: Called, Subject: ticket.Subject(d.m.t.ID), Data: Facts{Number: d.m.t.Number, Title: d.m.t.Title, Args: []string{hostOf(act.Get("url")), d.r.Name}}})
	return Result{How: "queued", Job: id}, nil
}

// fill replaces the words in braces.
func (s *Service) fill(ctx context.Context, q db.Querier, text string, t ticket.Ticket, l i18n.Lang) (string, error) {
	if !strings.Contains(text, "{") {
		return text, nil
	}
	var first, solved sla.Clock
	var err error
	if strings.Contains(text, "{first_response}") || strings.Contains(text, "{resolution}") {
		if first, solved, err = s.tick.Promised(ctx, q, t.ID); err != nil {
			return "", err
		}
	}
	var dep org.Department
	if strings.Contains(text, "{department}") {
		if dep, _, err = s.org.Department(ctx, q, t.DepartmentID); err != nil {
			return "", err
		}
	}
	var company org.Company
	if strings.Contains(text, "{company}") {
		if company, err = s.org.CompanyIn(ctx, q); err != nil {
			return "", err
		}
	}
	return fillWords(text, l, t, first.DueAt, solved.DueAt, dep.Name, company.Name, s.tick.LookupCode(t)), nil
}

func fillWords(text string, l i18n.Lang, t ticket.Ticket, first, solved time.Time, department, company, code string) string {
	or := func(v string) string {
		if v == "" {
			return i18n.T(l, "rule.word.none")
		}
		return v
	}
	return strings.NewReplacer("{customer}", t.CustomerName, "{number}", t.Number, "{title}", t.Title, "{assignee}", or(t.AssigneeName), "{department}", or(department),
		"{state}", i18n.T(l, "ticket.state."+string(t.State)), "{first_response}", or(instant(l, first)), "{resolution}", or(instant(l, solved)), "{code}", code, "{company}", or(company)).Replace(text)
}

// instant is an instant in words: 11月22日 18:00.
func instant(l i18n.Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(web.Shanghai)
	if l == i18n.En {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("1月2日 15:04")
}
