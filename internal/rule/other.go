package rule

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/process"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
)

// Other is a kind of action that another room brings along (see
// [Service.AddAction]). It is called rule.do.<code>.
type Other struct {
	Code   string
	Icon   string
	Params []Param
	// Check says what is wrong with an action at its parameters; nil: nothing but
	// what the parameters themselves ask for.
	Check func(ctx context.Context, a *action.Action, act Act, bad func(param, key string, args ...any)) error
	// Do does it to t within the rule's transaction and returns the ticket as it
	// is then. A fault is written into the log as a refusal; [Unchanged] says that
	// there was nothing to do.
	Do func(ctx context.Context, a *action.Action, t ticket.Ticket, act Act, by Rule) (ticket.Ticket, error)
	// Would says what a dry run shows: that there is nothing to do, and a text; nil: neither.
	Would func(ctx context.Context, q db.Querier, t ticket.Ticket, act Act) (nothing bool, text string, err error)
	// Say is what it does, in words behind the name of the action; "" nothing.
	Say func(l i18n.Lang, act Act, names func(pick, id string) string) string
}

// Unchanged is what an action returns that had nothing to do.
var Unchanged error = same{}

// Param is something an action asks for; its label is rule.param.<name>.
type Param struct {
	Name    string
	Kind    string // choose, many, number, line, text
	Pick    string // choices that are records: user, process, ticket_tag
	Prefix  string // of the locale keys of Options
	Options []string
	When    string // shown only while: "who=user"
	Empty   string // locale key of the empty choice; "": ui.form.choose
	Max     int    // longest text
}

// AddAction brings a kind of action along, before the first rule is made.
func (s *Service) AddAction(o Other) { s.others = append(s.others, o) }

// Actions are the kinds of actions a rule can do, in the order they are offered.
func (s *Service) Actions() []string {
	out := slices.Clone(Actions)
	for _, o := range s.others {
		out = append(out, o.Code)
	}
	return out
}

// Other returns the kind of action of another room; ok is false for our own.
func (s *Service) Other(code string) (o Other, ok bool) {
	for _, o := range s.others {
		if o.Code == code {
			return o, true
		}
	}
	return o, false
}

// other does an action of another room.
func (d *doing) other(o Other) func(ctx context.Context, a *action.Action, act Act) (Result, error) {
	return func(ctx context.Context, a *action.Action, act Act) (Result, error) {
		t, err := o.Do(ctx, a, d.m.t, act, *d.r)
		d.own = d.own || o.Code != DoTag && o.Code != DoTask // nobody knows what another room fills in
		return Result{}, d.took(t, err)
	}
}

// Codes of the actions below.
const (
	DoTag     = "tag"
	DoTask    = "task"
	DoProcess = "process"
)

func idsIn(v string) (out []int64) {
	for x := range strings.SplitSeq(v, ",") {
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil && n > 0 && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// tagging puts tags on the ticket and takes others off.
func (s *Service) tagging() Other {
	return Other{Code: DoTag, Icon: "tags",
		Params: []Param{{Name: "add", Kind: "many", Pick: "ticket_tag"}, {Name: "remove", Kind: "many", Pick: "ticket_tag"}},
		Check: func(ctx context.Context, a *action.Action, act Act, bad func(param, key string, args ...any)) error {
			all, err := ticket.TagList(ctx, a)
			if err != nil {
				return err
			}
			some := false
			for _, name := range []string{"add", "remove"} {
				for _, id := range idsIn(act.Get(name)) {
					some = true
					if !slices.ContainsFunc(all, func(t ticket.Tag) bool { return t.ID == id }) {
						bad(name, "ticket.tag.unknown")
					}
				}
			}
			if !some {
				bad("add", "rule.act.tag_none")
			}
			return nil
		},
		Do: func(ctx context.Context, a *action.Action, t ticket.Ticket, act Act, _ Rule) (ticket.Ticket, error) {
			out, err := s.tick.TagIn(ctx, a, t.ID, idsIn(act.Get("add")), idsIn(act.Get("remove")))
			if f, ok := fault.As(err); ok && f.Key == "ticket.nothing_changed" {
				return t, Unchanged
			}
			return out, err
		},
		Would: func(_ context.Context, _ db.Querier, t ticket.Ticket, act Act) (bool, string, error) {
			return t.Tags.With(idsIn(act.Get("add")), idsIn(act.Get("remove"))) == t.Tags.With(nil, nil), "", nil
		},
		Say: func(_ i18n.Lang, act Act, names func(pick, id string) string) string {
			var out []string
			for _, w := range []struct{ sign, param string }{{"+", "add"}, {"−", "remove"}} {
				for _, id := range idsIn(act.Get(w.param)) {
					out = append(out, w.sign+names("ticket_tag", itoa(id)))
				}
			}
			return strings.Join(out, " ")
		},
	}
}

// taskOwners are for whom a rule can make a task; rule.param.who.<code>.
var taskOwners = []string{"assignee", "supervisor", "head", "user"}

// timeUnits of the time there is for a task, in minutes; rule.unit.<code>.
var timeUnits = []struct {
	code    string
	minutes int
}{{"minutes", 1}, {"hours", 60}, {"days", 1440}}

// maxTaskTime is how long there may be for a task, in minutes.
const maxTaskTime = 365 * 24 * 60

// lasting is how long there is for a task.
func lasting(act Act) time.Duration {
	n, _ := strconv.Atoi(act.Get("amount"))
	for _, u := range timeUnits {
		if u.code == act.Get("unit") && n > 0 && n <= maxTaskTime/u.minutes {
			return time.Duration(n*u.minutes) * time.Minute
		}
	}
	return 0
}

// todo makes a task for somebody about the ticket.
func (s *Service) todo() Other {
	units := make([]string, len(timeUnits))
	for i, u := range timeUnits {
		units[i] = u.code
	}
	owner := func(ctx context.Context, q db.Querier, t ticket.Ticket, act Act) (int64, error) {
		switch act.Get("who") {
		case "assignee":
			if t.AssigneeID != 0 {
				return t.AssigneeID, nil
			}
			return s.org.SupervisorOf(ctx, q, t.DepartmentID) // nobody's ticket is the supervisor's
		case "supervisor":
			return s.org.SupervisorOf(ctx, q, t.DepartmentID)
		case "head":
			return s.org.HeadOf(ctx, q, t.DepartmentID)
		}
		id, _ := strconv.ParseInt(act.Get("user"), 10, 64)
		return id, nil
	}
	return Other{Code: DoTask, Icon: "checklist",
		Params: []Param{{Name: "who", Kind: "choose", Prefix: "rule.tell.", Options: taskOwners}, {Name: "user", Kind: "choose", Pick: "user", When: "who=user"},
			{Name: "text", Kind: "line", Max: task.MaxTitle}, {Name: "amount", Kind: "number"}, {Name: "unit", Kind: "choose", Prefix: "rule.unit.", Options: units}},
		Check: func(ctx context.Context, a *action.Action, act Act, bad func(param, key string, args ...any)) error {
			if lasting(act) == 0 {
				bad("amount", "rule.act.task_time", maxTaskTime/1440)
			}
			if act.Get("who") != "user" {
				return nil
			}
			id, _ := strconv.ParseInt(act.Get("user"), 10, 64)
			ok, err := s.org.CanBeGiven(ctx, a, id, 0, task.PermUse)
			if err == nil && !ok {
				bad("user", "rule.act.person")
			}
			return err
		},
		Do: func(ctx context.Context, a *action.Action, t ticket.Ticket, act Act, _ Rule) (ticket.Ticket, error) {
			who, err := owner(ctx, a, t, act)
			if err != nil {
				return t, err
			}
			ok, err := s.org.CanBeGiven(ctx, a, who, 0, task.PermUse)
			if err != nil {
				return t, err
			}
			if !ok {
				return t, fault.New(fault.Conflict, "rule.act.nobody")
			}
			if given := s.tick.AsSubject().Given; given != nil && who != t.AssigneeID { // whoever is to do something about it sees it
				if err := given(ctx, a, t.ID, who); err != nil {
					return t, err
				}
			}
			title, err := s.fill(ctx, a, act.Get("text"), t, i18n.ZhCN)
			if err != nil {
				return t, err
			}
			if _, err := task.Add(ctx, a, task.Ask{Title: title, OwnerID: who, DueAt: a.Now.Add(lasting(act)), Subject: ticket.Subject(t.ID), Origin: task.ByAutomation}); err != nil {
				return t, err
			}
			return s.tick.In(ctx, a, t.ID, false) // its open tasks have been counted anew
		},
		Would: func(ctx context.Context, q db.Querier, t ticket.Ticket, act Act) (bool, string, error) {
			text, err := s.fill(ctx, q, act.Get("text"), t, i18n.ZhCN)
			if err != nil {
				return false, "", err
			}
			who, err := owner(ctx, q, t, act)
			if err != nil {
				return false, "", err
			}
			if p, ok, err := s.org.Person(ctx, q, who); err != nil {
				return false, "", err
			} else if ok {
				text = p.Name + ": " + text
			}
			return false, text, nil
		},
		Say: func(l i18n.Lang, act Act, names func(pick, id string) string) string {
			who := i18n.T(l, "rule.tell."+act.Get("who"))
			if act.Get("who") == "user" {
				who = names("user", act.Get("user"))
			}
			return i18n.T(l, "rule.say.task", who, "“"+clip(act.Get("text"))+"”", i18n.Duration(l, lasting(act)))
		},
	}
}

// procedure lets the ticket follow a process.
func (s *Service) procedure(p *process.Service) Other {
	inForce := func(ctx context.Context, q db.Querier, id int64) (name string, ok bool, err error) {
		all, err := p.InForceIn(ctx, q)
		for _, v := range all {
			if v.ProcessID == id {
				return v.Name, true, nil
			}
		}
		return "", false, err
	}
	return Other{Code: DoProcess, Icon: "sitemap",
		Params: []Param{{Name: "process", Kind: "choose", Pick: "process", Empty: "rule.param.process.own"}},
		Check: func(ctx context.Context, a *action.Action, act Act, bad func(param, key string, args ...any)) error {
			id, _ := strconv.ParseInt(act.Get("process"), 10, 64)
			if id == 0 {
				return nil
			}
			_, ok, err := inForce(ctx, a, id)
			if err == nil && !ok {
				bad("process", "rule.act.process_gone")
			}
			return err
		},
		Do: func(ctx context.Context, a *action.Action, t ticket.Ticket, act Act, _ Rule) (ticket.Ticket, error) {
			if t.ProcessVersion != 0 {
				return t, Unchanged
			}
			id, _ := strconv.ParseInt(act.Get("process"), 10, 64)
			return p.StartIn(ctx, a, t.ID, id)
		},
		Would: func(_ context.Context, _ db.Querier, t ticket.Ticket, _ Act) (bool, string, error) {
			return t.ProcessVersion != 0, "", nil
		},
		Say: func(l i18n.Lang, act Act, names func(pick, id string) string) string {
			if n := names("process", act.Get("process")); n != "" {
				return n
			}
			return i18n.T(l, "rule.param.process.own")
		},
	}
}

// Processes are those a rule can let a ticket follow.
func (s *Service) Processes(ctx context.Context) ([]process.Version, error) {
	if s.proc == nil {
		return nil, nil
	}
	return s.proc.InForce(ctx)
}

// checkOther says what is wrong with an action of another room.
func (s *Service) checkOther(ctx context.Context, a *action.Action, o Other, act Act, at func(string) string, e *fault.Error) error {
	bad := func(param, key string, args ...any) { e.Field(at(param), key, args...) }
	shown := func(p Param) bool {
		name, v, ok := strings.Cut(p.When, "=")
		return !ok || act.Get(name) == v
	}
	for _, p := range o.Params {
		if !shown(p) {
			continue
		}
		v := act.Get(p.Name)
		switch p.Kind {
		case "choose":
			if len(p.Options) > 0 && !slices.Contains(p.Options, v) {
				bad(p.Name, "rule.act.choose")
			}
		case "line", "text":
			switch n := len([]rune(v)); {
			case n == 0:
				bad(p.Name, "rule.act.text")
			case p.Max > 0 && n > p.Max:
				bad(p.Name, "rule.act.text_long", p.Max)
			}
			if w := unknownWord(v); w != "" {
				bad(p.Name, "rule.act.word", w, "{"+strings.Join(Words, "} {")+"}")
			}
		}
	}
	if o.Check == nil {
		return nil
	}
	if err := o.Check(ctx, a, act, bad); err != nil {
		return fmt.Errorf("rule: check %s: %w", o.Code, err)
	}
	return nil
}

// wouldOther is what a dry run shows of an action of another room.
func wouldOther(ctx context.Context, q db.Querier, o Other, t ticket.Ticket, w *Would) error {
	if o.Would == nil {
		return nil
	}
	nothing, text, err := o.Would(ctx, q, t, w.Act)
	if err != nil {
		return err
	}
	if w.Text = text; nothing {
		w.How = "same"
	}
	return nil
}
