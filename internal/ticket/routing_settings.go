package ticket

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Bounds of the routing table.
const (
	maxRules    = 200
	maxKeywords = 50
	maxKeyword  = 30
	maxChain    = 4
)

// Routing is the table as an administrator reads it.
type Routing struct {
	Rules  []Rule // in order; the one for the rest last
	Chains map[int64][]Strategy
	Skills []Skill
}

// Chain is the department's, or the one it has without having set any.
func (r Routing) Chain(department int64) []Strategy {
	if c := r.Chains[department]; len(c) > 0 {
		return c
	}
	return defaultChain
}

// Rule returns the rule with that id.
func (r Routing) Rule(id int64) (Rule, bool) {
	i := slices.IndexFunc(r.Rules, func(x Rule) bool { return x.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return r.Rules[i], true
}

// Routing returns the routing in force.
func (s *Service) Routing(ctx context.Context) (Routing, error) {
	tb, err := s.tableOf(ctx, s.DB().Read(), "")
	if err != nil {
		return Routing{}, err
	}
	out := Routing{Rules: slices.Clone(tb.rules), Chains: tb.chains}
	known, err := s.org.Skills(ctx, nil)
	if err != nil {
		return out, err
	}
	for _, k := range known {
		x := tb.serves[k.ID]
		out.Skills = append(out.Skills, Skill{k.ID, k.Name, k.People, x.Types, x.Categories})
	}
	return out, nil
}

// changeRouting is configure for what routing follows; old is the table before.
func (s *Service) changeRouting(ctx context.Context, actor authz.Actor, name string, id int64, fn func(ctx context.Context, a *action.Action, old *table) ([]event.Change, error)) error {
	return s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error { return s.changeRoutingIn(ctx, a, id, fn) })
}

func (s *Service) changeRoutingIn(ctx context.Context, a *action.Action, id int64, fn func(ctx context.Context, a *action.Action, old *table) ([]event.Change, error)) error {
	return configureIn(ctx, a, "ticket.route_changed", id, func(ctx context.Context, a *action.Action) ([]event.Change, error) {
		if err := s.touchRouting(ctx, a); err != nil {
			return nil, err
		}
		old, err := loadTable(ctx, a, version{})
		if err != nil {
			return nil, err
		}
		return fn(ctx, a, old)
	})
}

// described says a rule in the audit trail: its codes, and where it leads.
func (s *Service) described(ctx context.Context, a *action.Action, r Rule) (string, error) {
	if r.DepartmentID == 0 {
		return "", nil
	}
	dep, err := s.departmentName(ctx, a, r.DepartmentID)
	if err != nil {
		return "", err
	}
	c := r.Conditions
	var parts []string
	for _, l := range [][]string{c.Types, c.Classes, c.Channels, c.Levels, c.Keywords} {
		if len(l) > 0 {
			parts = append(parts, strings.Join(l, "/"))
		}
	}
	if len(c.Categories) > 0 {
		parts = append(parts, "#"+joinIDs(c.Categories))
	}
	if r.Rest() {
		parts = append(parts, "*")
	}
	off := ""
	if !r.Active {
		off = " (off)"
	}
	return strings.TrimSpace(r.Name+" "+strings.Join(parts, " · ")) + " → " + dep + off, nil
}

func (c *Conditions) clean(e *fault.Error) {
	for _, f := range []struct {
		name  string
		of    *[]string
		codes []string
	}{{"types", &c.Types, Types}, {"classes", &c.Classes, Classes}, {"channels", &c.Channels, Channels}, {"levels", &c.Levels, Levels}} {
		for _, x := range *f.of {
			if !slices.Contains(f.codes, x) {
				e.Field(f.name, "ticket.need_choice")
			}
		}
		if len(*f.of) == len(f.codes) { // all of them is any
			*f.of = nil
		}
	}
	var words []string
	for _, w := range c.Keywords {
		if w = strings.Join(strings.Fields(w), " "); w == "" || slices.Contains(words, w) {
			continue
		}
		if len([]rune(w)) > maxKeyword {
			e.Field("keywords", "routing.keyword_long", w, maxKeyword)
		}
		words = append(words, w)
	}
	if c.Keywords = words; len(words) > maxKeywords {
		e.Field("keywords", "routing.keywords_many", maxKeywords)
	}
	slices.Sort(c.Categories)
	c.Categories = slices.Compact(c.Categories)
}

// SaveRule adds a rule before the one for the rest (ID 0), or changes one; the
// one for the rest keeps no conditions and is always there.
func (s *Service) SaveRule(ctx context.Context, actor authz.Actor, r Rule) (id int64, err error) {
	err = s.run.Do(ctx, actor, "ticket.save_rule", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveRuleIn(ctx, a, r)
		return err
	})
	return id, err
}

// SaveRuleIn is SaveRule within an action.
func (s *Service) SaveRuleIn(ctx context.Context, a *action.Action, r Rule) (id int64, err error) {
	err = s.changeRoutingIn(ctx, a, r.ID, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		var old Rule
		last := 0
		for _, o := range tb.rules {
			if o.ID == r.ID {
				old = o
			}
			last++
		}
		if r.ID != 0 && old.ID == 0 {
			return nil, notFound()
		}
		e := fault.Invalidf("ticket.invalid")
		if r.Name = strings.Join(strings.Fields(r.Name), " "); len([]rune(r.Name)) > 40 {
			e.Field("name", "ticket.too_long", 40)
		}
		r.Conditions.clean(e)
		for _, c := range r.Conditions.Categories {
			if _, ok := tb.parents[c]; !ok {
				e.Field("categories", "ticket.need_choice")
			}
		}
		rest := old.ID != 0 && old.Rest() || old.ID == 0 && !slices.ContainsFunc(tb.rules, Rule.Rest) && r.Rest()
		switch {
		case rest && !r.Rest():
			e.Field("types", "routing.rest_no_conditions")
		case !rest && r.Rest():
			e.Field("types", "routing.need_condition")
		}
		if rest {
			r.Active = true
		}
		d, ok, err := s.org.Department(ctx, a, r.DepartmentID)
		if err != nil {
			return nil, err
		}
		if !ok || !d.Active {
			e.Field("department", "ticket.need_department_route")
		}
		if r.ID == 0 && last >= maxRules {
			return nil, fault.New(fault.Limited, "routing.rules_many", maxRules)
		}
		if err := e.OrNil(); err != nil {
			return nil, err
		}
		raw, err := json.Marshal(r.Conditions)
		if err != nil {
			return nil, err
		}
		on := int64(0)
		if r.Active {
			on = 1
		}
		if id = r.ID; id == 0 {
			err = a.QueryRow(ctx, `INSERT INTO routing_rules (position, name, conditions, department_id, active)
				VALUES ((SELECT COALESCE(MAX(position), 0) + 1 FROM routing_rules), $1, $2, $3, $4) RETURNING id`, r.Name, string(raw), r.DepartmentID, on).Scan(&id)
		} else {
			var n int64
			res, uerr := a.Exec(ctx, `UPDATE routing_rules SET name = $1, conditions = $2, department_id = $3, active = $4, version = version + 1 WHERE id = $5 AND version = $6`,
				r.Name, string(raw), r.DepartmentID, on, r.ID, r.Version)
			if err = uerr; err == nil {
				if n, err = res.RowsAffected(); err == nil && n == 0 {
					return nil, fault.New(fault.Conflict, "ticket.settings_stale")
				}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("ticket: rule: %w", err)
		}
		was, err := s.described(ctx, a, old)
		if err != nil {
			return nil, err
		}
		now, err := s.described(ctx, a, r)
		if err != nil || was == now {
			return nil, err
		}
		return []event.Change{{Field: "routing_rule", Old: was, New: now}}, nil
	})
	return id, err
}

// RemoveRule deletes a rule; the one for the rest stays.
func (s *Service) RemoveRule(ctx context.Context, actor authz.Actor, id int64) error {
	return s.changeRouting(ctx, actor, "ticket.remove_rule", id, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		old, ok := Routing{Rules: tb.rules}.Rule(id)
		if !ok {
			return nil, notFound()
		}
		if old.Rest() {
			return nil, fault.New(fault.Conflict, "ticket.route_last")
		}
		if _, err := a.Exec(ctx, `DELETE FROM routing_rules WHERE id = $1`, id); err != nil {
			return nil, fmt.Errorf("ticket: remove rule %d: %w", id, err)
		}
		was, err := s.described(ctx, a, old)
		return []event.Change{{Field: "routing_rule", Old: was}}, err
	})
}

// MoveRule puts a rule by places further down, or up when by is negative; as far
// as there is place before the one for the rest.
func (s *Service) MoveRule(ctx context.Context, actor authz.Actor, id int64, by int) error {
	return s.changeRouting(ctx, actor, "ticket.move_rule", id, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		rules := slices.Clone(tb.rules)
		at := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
		if at < 0 || rules[at].Rest() {
			return nil, notFound()
		}
		end := len(rules) - 1
		if rules[end].Rest() {
			end--
		}
		to := min(max(at+by, 0), end)
		if to == at {
			return nil, nil
		}
		r := rules[at]
		rules = slices.Insert(slices.Delete(rules, at, at+1), to, r)
		for i, x := range rules {
			if _, err := a.Exec(ctx, `UPDATE routing_rules SET position = $1 WHERE id = $2`, i+1, x.ID); err != nil {
				return nil, fmt.Errorf("ticket: move rule %d: %w", id, err)
			}
		}
		what, err := s.described(ctx, a, r)
		return []event.Change{{Field: "routing_order", Old: strconv.Itoa(at+1) + " " + what, New: strconv.Itoa(to + 1)}}, err
	})
}

// SetChain says how a department gives work to its people: up to four
// strategies, asked in order until one has an answer.
func (s *Service) SetChain(ctx context.Context, actor authz.Actor, department int64, chain []Strategy) error {
	return s.changeRouting(ctx, actor, "ticket.set_chain", department, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		d, ok, err := s.org.Department(ctx, a, department)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, notFound()
		}
		var words []string
		for i, x := range chain {
			switch {
			case !slices.Contains(Strategies, x):
				return nil, fault.Invalidf("ticket.invalid").Field("chain", "ticket.need_choice")
			case slices.Contains(chain[:i], x):
				return nil, fault.Invalidf("ticket.invalid").Field("chain", "routing.chain_twice")
			case i < len(chain)-1 && x.ends():
				return nil, fault.Invalidf("ticket.invalid").Field("chain", "routing.chain_ends")
			}
			words = append(words, string(x))
		}
		if len(chain) == 0 || len(chain) > maxChain {
			return nil, fault.Invalidf("ticket.invalid").Field("chain", "ticket.need_choice")
		}
		now := strings.Join(words, ",")
		var was []string
		for _, x := range tb.chain(department) {
			was = append(was, string(x))
		}
		if _, err := a.Exec(ctx, `INSERT INTO routing_chains (department_id, chain) VALUES ($1, $2) ON CONFLICT (department_id) DO UPDATE SET chain = excluded.chain`, department, now); err != nil {
			return nil, fmt.Errorf("ticket: chain: %w", err)
		}
		if now == strings.Join(was, ",") {
			return nil, nil
		}
		return []event.Change{{Field: "routing_chain", Old: d.Name + ": " + strings.Join(was, " > "), New: strings.Join(words, " > ")}}, nil
	})
}

// SaveSkill adds a skill (ID 0) or changes one: its name and what it serves.
func (s *Service) SaveSkill(ctx context.Context, actor authz.Actor, k Skill, demo bool) (id int64, err error) {
	err = s.run.Do(ctx, actor, "ticket.save_skill", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.SaveSkillIn(ctx, a, k, demo)
		return err
	})
	return id, err
}

// SaveSkillIn is SaveSkill within an action.
func (s *Service) SaveSkillIn(ctx context.Context, a *action.Action, k Skill, demo bool) (id int64, err error) {
	err = s.changeRoutingIn(ctx, a, k.ID, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		e := fault.Invalidf("ticket.invalid")
		for _, x := range k.Types {
			if !slices.Contains(Types, x) {
				e.Field("types", "ticket.need_choice")
			}
		}
		for _, c := range k.Categories {
			if _, ok := tb.parents[c]; !ok {
				e.Field("categories", "ticket.need_choice")
			}
		}
		if len(k.Types)+len(k.Categories) == 0 {
			e.Field("types", "routing.skill_serves")
		}
		if err := e.OrNil(); err != nil {
			return nil, err
		}
		known, err := s.org.Skills(ctx, a)
		if err != nil {
			return nil, err
		}
		was := ""
		for _, x := range known {
			if x.ID == k.ID {
				o := tb.serves[k.ID]
				was = x.Name + " " + strings.Join(o.Types, "/") + " #" + joinIDs(o.Categories)
			}
		}
		if k.ID != 0 && was == "" {
			return nil, notFound()
		}
		if id, err = s.org.SaveSkill(ctx, a, k.ID, k.Name, demo); err != nil {
			return nil, err
		}
		if _, err := a.Exec(ctx, `INSERT INTO routing_skills (skill_id, types, categories) VALUES ($1, $2, $3) ON CONFLICT (skill_id) DO UPDATE SET types = excluded.types, categories = excluded.categories`,
			id, strings.Join(k.Types, ","), joinIDs(k.Categories)); err != nil {
			return nil, fmt.Errorf("ticket: skill: %w", err)
		}
		now := k.Name + " " + strings.Join(k.Types, "/") + " #" + joinIDs(k.Categories)
		if was == now {
			return nil, nil
		}
		return []event.Change{{Field: "skill", Old: was, New: now}}, nil
	})
	return id, err
}

// RemoveSkill deletes a skill and takes it from everybody.
func (s *Service) RemoveSkill(ctx context.Context, actor authz.Actor, id int64) error {
	return s.changeRouting(ctx, actor, "ticket.remove_skill", id, func(ctx context.Context, a *action.Action, tb *table) ([]event.Change, error) {
		known, err := s.org.Skills(ctx, a)
		if err != nil {
			return nil, err
		}
		for _, x := range known {
			if x.ID != id {
				continue
			}
			if _, err := a.Exec(ctx, `DELETE FROM routing_skills WHERE skill_id = $1`, id); err != nil {
				return nil, fmt.Errorf("ticket: remove skill %d: %w", id, err)
			}
			return []event.Change{{Field: "skill", Old: x.Name}}, s.org.RemoveSkill(ctx, a, id)
		}
		return nil, notFound()
	})
}

// RemoveDemoRouting takes the sample skills away, and the way of giving out work
// of departments, inside an action under way.
func (s *Service) RemoveDemoRouting(ctx context.Context, a *action.Action, departments []int64) error {
	ids, err := idsOf(ctx, a, `SELECT id FROM skills WHERE demo = 1 ORDER BY id`)
	if err != nil || len(ids)+len(departments) == 0 {
		return err
	}
	if err := s.touchRouting(ctx, a); err != nil {
		return err
	}
	for _, d := range departments {
		if _, err := a.Exec(ctx, `DELETE FROM routing_chains WHERE department_id = $1`, d); err != nil {
			return fmt.Errorf("ticket: remove sample routing: %w", err)
		}
	}
	for _, id := range ids {
		if _, err := a.Exec(ctx, `DELETE FROM routing_skills WHERE skill_id = $1`, id); err != nil {
			return fmt.Errorf("ticket: remove sample skills: %w", err)
		}
		if err := s.org.RemoveSkill(ctx, a, id); err != nil {
			return err
		}
	}
	return nil
}

// Given is how a ticket came to a department and person, or away from one: one
// of its moves.
type Given struct {
	event.Stored
	Fact
}

// givenKinds are the facts that change who is responsible for a ticket.
var givenKinds = []string{past[Register], past[Assign], past[Reassign], past[Take], past[Decline], past[Dispute], past[Reopen], EventHandedOver, EventImported}

// Given returns how the ticket came to whom, the newest first; the caller has
// checked that it may be seen.
func (s *Service) Given(ctx context.Context, id int64) ([]Given, error) {
	evs, err := event.OfKinds(ctx, s.DB().Read(), Subject(id), givenKinds, 30)
	if err != nil {
		return nil, err
	}
	var out []Given
	for _, e := range evs {
		g := Given{Stored: e}
		if err := e.Decode(&g.Fact); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}
