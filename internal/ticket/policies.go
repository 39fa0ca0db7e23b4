package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
)

// policyCodes are the values a condition of a policy may name.
var policyCodes = map[string][]string{"type": Types, "class": Classes, "urgency": Urgencies, "priority": Priorities, "level": Levels, "channel": Channels}

// maxCustomers are named by one policy.
const maxCustomers = 500

// checkPolicy says what is wrong with a policy as it was entered.
func (s *Service) checkPolicy(ctx context.Context, q db.Querier, p *sla.Policy) error {
	e := fault.Invalidf("ticket.invalid")
	p.Name = strings.TrimSpace(p.Name)
	if n := utf8.RuneCountInString(p.Name); n == 0 || n > 40 {
		e.Field("name", "ticket.policy_name")
	}
	for _, k := range sla.Kinds {
		if d := p.Target(k); d < 0 || d > maxTarget {
			e.Field(string(k), "ticket.target_range")
		}
	}
	// Without these no ticket of the kind would have a clock in every state.
	for _, k := range []sla.Kind{sla.Acknowledge, sla.Update, sla.CustomerReply, sla.Confirmation} {
		if p.Targets[k] == 0 {
			e.Field(string(k), "ticket.target_needed")
		}
	}
	book, err := calendar.Load(ctx, q)
	if err != nil {
		return err
	}
	for k, id := range p.Calendars {
		if _, ok := book.Get(id); !ok && id != 0 {
			e.Field("calendar."+string(k), "ticket.need_choice")
		}
	}
	for f, vs := range p.When {
		switch f {
		case "department", "customer":
			table := f + "s"
			for _, v := range vs {
				id, _ := strconv.ParseInt(v, 10, 64)
				if ok, err := exists(ctx, q, table, id); err != nil {
					return err
				} else if !ok {
					e.Field(f, "ticket.need_choice")
					break
				}
			}
			if len(vs) > maxCustomers {
				e.Field(f, "ticket.policy_customers", maxCustomers)
			}
		default:
			if slices.ContainsFunc(vs, func(v string) bool { return !slices.Contains(policyCodes[f], v) }) {
				e.Field(f, "ticket.need_choice")
			}
		}
	}
	return e.OrNil()
}

// SetPolicy stores promised times and for which tickets they are; ID 0 adds one.
// Each change is a new version. With apply, tickets under way get the promises
// of the policy they fall under now, keeping the time used; without, clocks that
// run keep theirs and the next one follows (SLA-1, SLA-4).
func (s *Service) SetPolicy(ctx context.Context, actor authz.Actor, p sla.Policy, apply bool) (id int64, err error) {
	err = s.configure(ctx, actor, "sla.set_policy", "sla.policy_changed", p.ID, func(ctx context.Context, a *action.Action) ([]event.Change, error) {
		all, err := sla.Policies(ctx, a)
		if err != nil {
			return nil, err
		}
		var old sla.Policy
		for _, o := range all {
			if o.ID == p.ID {
				old = o
			}
		}
		if p.ID != 0 && old.ID == 0 {
			return nil, notFound()
		}
		if p.Rest = old.Rest; p.Rest {
			p.When, p.Active = nil, true
		}
		if err := s.checkPolicy(ctx, a, &p); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o sla.Policy) bool { return o.ID != p.ID && o.Name == p.Name }) {
			return nil, fault.Invalidf("ticket.policy_twice", p.Name).Field("name", "ticket.policy_twice", p.Name)
		}
		changes := policyChanges(old, p)
		if len(changes) == 0 && !apply {
			id = p.ID
			return nil, nil
		}
		if err := sla.RenamePolicy(ctx, a.Tx, old.Name, p.Name); err != nil {
			return nil, err
		}
		if id, err = sla.Save(ctx, a, p, apply); err != nil {
			return nil, err
		}
		if id == 0 {
			return nil, fault.New(fault.Conflict, "ticket.settings_stale")
		}
		if apply {
			changes = append(changes, event.Change{Field: "applied", New: "true"})
			if err := s.AskRecount(ctx, a, Recount{Policies: true}); err != nil {
				return nil, err
			}
		}
		return changes, nil
	})
	return id, err
}

func policyChanges(old, p sla.Policy) (out []event.Change) {
	add := func(field, a, b string) {
		if a != b {
			out = append(out, event.Change{Field: field, Old: a, New: b})
		}
	}
	add("name", old.Name, p.Name)
	for _, f := range sla.Fields {
		add("when_"+f, strings.Join(old.When[f], " "), strings.Join(p.When[f], " "))
	}
	for _, k := range sla.Kinds {
		if o, n := old.Target(k), p.Target(k); o != n {
			out = append(out, event.Change{Field: p.Name + " " + string(k), Old: o.String(), New: n.String()})
		}
	}
	add("calendars", fmt.Sprint(old.Calendars), fmt.Sprint(p.Calendars))
	add("pause_when_waiting", fmt.Sprint(old.PauseWhenWaiting), fmt.Sprint(p.PauseWhenWaiting))
	if old.ID != 0 {
		add("active", fmt.Sprint(old.Active), fmt.Sprint(p.Active))
	}
	return out
}

// MovePolicy changes the order in which policies are tried.
func (s *Service) MovePolicy(ctx context.Context, actor authz.Actor, id int64, by int) error {
	return s.configure(ctx, actor, "sla.move_policy", "sla.policy_changed", id, func(ctx context.Context, a *action.Action) ([]event.Change, error) {
		moved, err := sla.Move(ctx, a, id, by)
		if err != nil || !moved {
			return nil, err
		}
		return []event.Change{{Field: "position", New: strconv.Itoa(by)}}, nil
	})
}

// DeletePolicy removes a policy; the one for whatever is left stays, so that
// every ticket has one.
func (s *Service) DeletePolicy(ctx context.Context, actor authz.Actor, id int64) error {
	return s.configure(ctx, actor, "sla.delete_policy", "sla.policy_changed", id, func(ctx context.Context, a *action.Action) ([]event.Change, error) {
		name, ok, err := sla.RemovePolicy(ctx, a, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, notFound()
		}
		return []event.Change{{Field: "name", Old: name}}, nil
	})
}

// CustomersByNumber finds the customers a policy names; unknown is the first
// number that is nobody's.
func (s *Service) CustomersByNumber(ctx context.Context, numbers []string) (ids []int64, unknown string, err error) {
	for _, n := range numbers {
		var id int64
		switch err := s.DB().Read().QueryRow(ctx, `SELECT id FROM customers WHERE number = $1`, n).Scan(&id); {
		case errors.Is(err, sql.ErrNoRows):
			return nil, n, nil
		case err != nil:
			return nil, "", fmt.Errorf("ticket: customers of a policy: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, "", nil
}

// CustomerNumber is the number of a customer a policy names; "" when he is gone.
func (s *Service) CustomerNumber(ctx context.Context, id int64) (number string) {
	if err := s.DB().Read().QueryRow(ctx, `SELECT number FROM customers WHERE id = $1`, id).Scan(&number); err != nil {
		return ""
	}
	return number
}
