package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// List returns all rules in their order.
func (s *Service) List(ctx context.Context, actor authz.Actor) ([]Rule, error) {
	if err := actor.Check(PermView); err != nil {
		return nil, err
	}
	return list(ctx, s.db().Read(), `ORDER BY position, id`)
}

// Get returns one rule.
func (s *Service) Get(ctx context.Context, actor authz.Actor, id int64) (Rule, error) {
	if err := actor.Check(PermView); err != nil {
		return Rule{}, err
	}
	return get(ctx, s.db().Read(), id, "")
}

func (s *Service) change(ctx context.Context, actor authz.Actor, name string, fn func(ctx context.Context, a *action.Action) error) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, name, fn)
}

// reach says which of the web addresses of r may not be called. It asks the
// network, so it stands before the transaction.
func (s *Service) reach(ctx context.Context, r *Rule) error {
	e := fault.Invalidf("rule.invalid")
	for i, act := range r.Then {
		if act.Do != DoWebhook {
			continue
		}
		err := s.net.Check(ctx, act.Get("url"), s.allowed(ctx, s.db().Read()))
		if f, ok := fault.As(err); ok {
			e.Field(fmt.Sprintf("a.%d.url", i), f.Key, f.Args...)
		} else if err != nil {
			return err
		}
	}
	return e.OrNil()
}

// Check makes r ready to be evaluated and says all that is wrong with it.
func (s *Service) check(ctx context.Context, a *action.Action, r *Rule) error {
	e := fault.Invalidf("rule.invalid")
	r.Name, r.Note = strings.Join(strings.Fields(r.Name), " "), strings.TrimSpace(r.Note)
	switch n := utf8.RuneCountInString(r.Name); {
	case n == 0:
		e.Field("name", "rule.name.empty")
	case n > maxName:
		e.Field("name", "rule.name.long", maxName)
	}
	if utf8.RuneCountInString(r.Note) > maxNote {
		e.Field("note", "rule.act.text_long", maxNote)
	}
	checkWhen(r.When, e)
	if err := s.checkIf(ctx, a, r); err != nil {
		f, ok := fault.As(err)
		if !ok {
			return err
		}
		e.Fields = append(e.Fields, f.Fields...)
	}
	switch {
	case len(r.Then) == 0:
		e.Field("actions", "rule.act.none")
	case len(r.Then) > maxActs:
		e.Field("actions", "rule.act.many", maxActs)
	}
	for i, act := range r.Then {
		if err := s.checkAct(ctx, a, i, act, e); err != nil {
			return err
		}
	}
	return e.OrNil()
}

func checkWhen(w When, e *fault.Error) {
	for _, c := range w.Events {
		if !slices.ContainsFunc(Occasions, func(o Occasion) bool { return o.Code == c }) {
			e.Field("events", "rule.act.choose")
		}
	}
	t := w.Time
	switch {
	case len(w.Events) == 0 && t == nil:
		e.Field("events", "rule.when.none")
	case t == nil:
		return
	case len(w.Events) > 0:
		e.Field("events", "rule.when.both")
	}
	if t == nil {
		return
	}
	if !slices.Contains(Sinces, t.Since) {
		e.Field("since", "rule.act.choose")
	}
	if t.Since == "state" && !slices.Contains(ticket.States, t.State) {
		e.Field("since_state", "rule.act.choose")
	}
	if t.Minutes < 1 || t.Minutes > maxTiming {
		e.Field("amount", "rule.when.length")
	}
	if !slices.Contains(Onces, t.Once) {
		e.Field("once", "rule.act.choose")
	}
}

// checkIf checks the conditions and writes down what is evaluated.
func (s *Service) checkIf(ctx context.Context, q db.Querier, r *Rule) error {
	vs, err := s.Vars(ctx, q, i18n.ZhCN)
	if err != nil {
		return err
	}
	if !r.Expert {
		if err := r.If.check(vs); err != nil {
			return err
		}
		r.If = r.If.tidy()
		r.Expr = r.If.Text(vs)
	} else {
		r.Expr = strings.TrimSpace(strings.ReplaceAll(r.Expr, "\r\n", "\n"))
		r.If = Conditions{}
	}
	_, err = Compile(r.Expr, vs)
	return err
}

// Save adds a rule (ID 0), switched off unless it says otherwise, or changes one.
func (s *Service) Save(ctx context.Context, actor authz.Actor, r Rule) (id int64, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, err
	}
	reach := s.reach(ctx, &r)
	if _, ok := fault.As(reach); reach != nil && !ok {
		return 0, reach
	}
	err = s.change(ctx, actor, "rule.save", func(ctx context.Context, a *action.Action) error {
		x := r
		if err := s.check(ctx, a, &x); err != nil || reach != nil {
			if f, ok := fault.As(err); err != nil && !ok {
				return err
			} else if ok && reach != nil {
				if g, ok := fault.As(reach); ok {
					f.Fields = append(f.Fields, g.Fields...)
				}
				return f
			} else if ok {
				return f
			}
			return reach
		}
		var same int64
		if err := a.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM rules WHERE name = $1`, x.Name).Scan(&same); err != nil {
			return fmt.Errorf("rule: save: %w", err)
		}
		if same != 0 && same != x.ID {
			return fault.Invalidf("rule.invalid").Field("name", "rule.name.taken", x.Name)
		}
		if x.ID == 0 {
			var n int
			if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM rules`).Scan(&n); err != nil {
				return fmt.Errorf("rule: save: %w", err)
			}
			if n >= maxRules {
				return fault.New(fault.Limited, "rule.many", maxRules)
			}
			if err := insert(ctx, a, &x); err != nil {
				return err
			}
			id = x.ID
			a.Record(event.Event{Kind: Created, Subject: Subject(id), Data: Facts{Number: x.Name, Args: []string{x.Name}, Version: 1, Changes: s.differences(Rule{}, x)}})
			return s.changed(ctx, a)
		}
		old, err := get(ctx, a, x.ID, a.ForUpdate())
		if err != nil {
			return err
		}
		id = x.ID
		changes := s.differences(old, x)
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		if err := update(ctx, a, x, x.Version); err != nil {
			return err
		}
		a.Record(event.Event{Kind: Changed, Subject: Subject(id), Data: Facts{Number: x.Name, Args: []string{x.Name}, Version: x.Version + 1, Changes: changes}})
		return s.changed(ctx, a)
	})
	return id, err
}

// differences is what an auditor reads: the rule before and after.
func (s *Service) differences(old, now Rule) (out []event.Change) {
	diff := func(f, was, is string) {
		if was != is {
			out = append(out, event.Change{Field: f, Old: was, New: is})
		}
	}
	oldWhen, _, oldActs, _ := old.texts()
	when, _, acts, _ := now.texts()
	if old.ID == 0 && old.Name == "" {
		oldWhen, oldActs = "", ""
	}
	diff("rule.name", old.Name, now.Name)
	diff("rule.note", old.Note, now.Note)
	diff("rule.occasion", oldWhen, when)
	diff("rule.conditions", old.Expr, now.Expr)
	diff("rule.actions", oldActs, acts)
	diff("rule.stop_after", yesNo(old.StopAfter), yesNo(now.StopAfter))
	diff("rule.enabled", yesNo(old.Enabled), yesNo(now.Enabled))
	return out
}

// SetEnabled switches a rule on or off. A rule that is switched on has to be
// right as things are now.
func (s *Service) SetEnabled(ctx context.Context, actor authz.Actor, id int64, on bool) (Rule, error) {
	if err := actor.Check(PermManage); err != nil {
		return Rule{}, err
	}
	r, err := get(ctx, s.db().Read(), id, "")
	if err != nil {
		return r, err
	}
	if on {
		if err := s.reach(ctx, &r); err != nil {
			return r, wrong(err)
		}
	}
	err = s.change(ctx, actor, "rule.enable", func(ctx context.Context, a *action.Action) error {
		if r, err = get(ctx, a, id, a.ForUpdate()); err != nil {
			return err
		}
		if r.Enabled == on {
			a.Nothing()
			return nil
		}
		if on {
			if err := s.check(ctx, a, &r); err != nil {
				return wrong(err)
			}
		}
		if _, err := a.Exec(ctx, `UPDATE rules SET enabled = $1, off_reason = '', failures = 0, version = version + 1, updated_at = $2 WHERE id = $3`, db.Bool(on), a.NowMicros(), id); err != nil {
			return fmt.Errorf("rule: enable %d: %w", id, err)
		}
		kind := Disabled
		if on {
			kind = Enabled
		}
		r.Enabled = on
		a.Record(event.Event{Kind: kind, Subject: Subject(id), Data: Facts{Number: r.Name, Args: []string{r.Name}, Version: r.Version + 1}})
		return s.changed(ctx, a)
	})
	return r, err
}

// wrong says, where there is no form, what is wrong with a rule.
func wrong(err error) error {
	if f, ok := fault.As(err); ok && len(f.Fields) > 0 {
		return fault.New(fault.Conflict, f.Fields[0].Key, f.Fields[0].Args...)
	}
	return err
}

// Shift moves a rule one place up or down.
func (s *Service) Shift(ctx context.Context, actor authz.Actor, id int64, up bool) error {
	return s.change(ctx, actor, "rule.move", func(ctx context.Context, a *action.Action) error {
		all, err := list(ctx, a, `ORDER BY position, id`)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r Rule) bool { return r.ID == id })
		if i < 0 {
			return notFound()
		}
		j := i + 1
		if up {
			j = i - 1
		}
		if j < 0 || j >= len(all) {
			a.Nothing()
			return nil
		}
		name := all[i].Name
		all[i], all[j] = all[j], all[i]
		for n, r := range all { // positions are gathered anew: two may have been made at once
			if r.Position == int64(n+1) {
				continue
			}
			if _, err := a.Exec(ctx, `UPDATE rules SET position = $1 WHERE id = $2`, n+1, r.ID); err != nil {
				return fmt.Errorf("rule: move %d: %w", id, err)
			}
		}
		a.Record(event.Event{Kind: Moved, Subject: Subject(id), Data: Facts{Number: name, Args: []string{name, itoa(int64(j + 1))}}})
		return s.changed(ctx, a)
	})
}

// Remove deletes a rule; what it did stays in the log and the audit trail.
func (s *Service) Remove(ctx context.Context, actor authz.Actor, id int64) (name string, err error) {
	err = s.change(ctx, actor, "rule.remove", func(ctx context.Context, a *action.Action) error {
		r, err := get(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		name = r.Name
		for _, stmt := range []string{`DELETE FROM rules WHERE id = $1`, `DELETE FROM rule_occasions WHERE rule_id = $1`} {
			if _, err := a.Exec(ctx, stmt, id); err != nil {
				return fmt.Errorf("rule: remove %d: %w", id, err)
			}
		}
		a.Record(event.Event{Kind: Removed, Subject: Subject(id), Data: Facts{Number: name, Args: []string{name}, Changes: s.differences(r, Rule{})}})
		return s.changed(ctx, a)
	})
	return name, err
}

// RemoveDemo takes the rules of the sample data away, and what is written of
// sample tickets in the log; before those go.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action) error {
	const sample = `(SELECT id FROM tickets WHERE demo = 1 OR parent_id IN (SELECT p.id FROM tickets p WHERE p.demo = 1))`
	for _, stmt := range []string{`DELETE FROM rule_firings WHERE ticket_id IN ` + sample, `DELETE FROM rule_occasions WHERE ticket_id IN ` + sample,
		`DELETE FROM rule_occasions WHERE rule_id IN (SELECT id FROM rules WHERE demo = 1)`} {
		if _, err := a.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("rule: sample data: %w", err)
		}
	}
	res, err := a.Exec(ctx, `DELETE FROM rules WHERE demo = 1`)
	if err != nil {
		return fmt.Errorf("rule: sample data: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return s.changed(ctx, a)
}

// errDry ends the check of a draft without a change.
var errDry = errors.New("rule: only looked")

// Examine says all that is wrong with a draft and fills in what is evaluated;
// nothing is written.
func (s *Service) Examine(ctx context.Context, actor authz.Actor, r *Rule) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	x := *r
	err := s.run.Do(ctx, actor, "rule.examine", func(ctx context.Context, a *action.Action) error {
		if err := s.check(ctx, a, &x); err != nil {
			return err
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		*r = x
		return nil
	}
	return err
}
