package approval

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/setting"
)

// maxSteps bounds the way of a request.
const maxSteps = 6

func ruleSetting(k Kind) string { return "approval.rule." + string(k) }

// Rule returns the way requests of the kind take from now on.
func (s *Service) Rule(ctx context.Context, q db.Querier, k Kind) (Rule, error) {
	d, ok := s.kinds[k]
	if !ok {
		return Rule{}, notFound()
	}
	r := s.defaults(d)
	err := setting.Read(ctx, q, ruleSetting(k), &r)
	return r, err
}

func (s *Service) defaults(d Definition) Rule {
	r := Rule{RemindHours: DefaultRemindHours, EscalateHours: DefaultEscalateHours, LapseDays: DefaultLapseDays}
	for _, k := range d.Steps {
		r.Steps = append(r.Steps, Step{Kind: k})
	}
	return r
}

// Rules returns the rules of all kinds, in the order of Registered.
func (s *Service) Rules(ctx context.Context, actor authz.Actor) (map[Kind]Rule, error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return nil, err
	}
	out := map[Kind]Rule{}
	for _, k := range s.order {
		r, err := s.Rule(ctx, s.run.DB().Read(), k)
		if err != nil {
			return nil, err
		}
		out[k] = r
	}
	return out, nil
}

// SetRule changes the way of requests to come; those under way keep theirs.
func (s *Service) SetRule(ctx context.Context, actor authz.Actor, k Kind, in Rule) error {
	if err := actor.Check(org.PermSettings); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "approval.set_rule", func(ctx context.Context, a *action.Action) error {
		old, err := s.Rule(ctx, a, k)
		if err != nil {
			return err
		}
		f := fault.Invalidf("approval.invalid")
		if len(in.Steps) == 0 {
			f.Field("step1", "approval.rule.no_steps")
		} else if len(in.Steps) > maxSteps {
			f.Field("step1", "approval.rule.many_steps", maxSteps)
		}
		for i := range in.Steps {
			st, field := &in.Steps[i], "step"+strconv.Itoa(i+1)
			if !slices.Contains(StepKinds, st.Kind) {
				f.Field(field, "approval.rule.unknown_step")
			}
			if st.Kind != Person {
				st.UserID = 0
				continue
			}
			if p, ok, err := s.org.Person(ctx, a, st.UserID); err != nil {
				return err
			} else if !ok || !p.Active {
				f.Field("user"+strconv.Itoa(i+1), "approval.rule.who")
			}
		}
		between := func(field string, n, lo, hi int) {
			if n < lo || n > hi {
				f.Field(field, "approval.rule.between", lo, hi)
			}
		}
		between("remind_hours", in.RemindHours, 0, 24*30)
		between("escalate_hours", in.EscalateHours, 0, 24*30)
		between("lapse_days", in.LapseDays, 1, 365)
		if err := f.OrNil(); err != nil {
			return err
		}
		var changes []event.Change
		add := func(field, from, to string) {
			if from != to {
				changes = append(changes, event.Change{Field: "approval." + field, Old: from, New: to})
			}
		}
		from, err := s.way(ctx, a, old)
		if err != nil {
			return err
		}
		to, err := s.way(ctx, a, in)
		if err != nil {
			return err
		}
		add("steps", from, to)
		add("remind_hours", strconv.Itoa(old.RemindHours), strconv.Itoa(in.RemindHours))
		add("escalate_hours", strconv.Itoa(old.EscalateHours), strconv.Itoa(in.EscalateHours))
		add("lapse_days", strconv.Itoa(old.LapseDays), strconv.Itoa(in.LapseDays))
		add("same_person", strconv.FormatBool(old.SamePerson), strconv.FormatBool(in.SamePerson))
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		if err := setting.Write(ctx, a.Tx, ruleSetting(k), in); err != nil {
			return err
		}
		a.Record(event.Event{Kind: RuleChanged, Subject: event.Subject{Type: org.SubjectSetting}, Data: Facts{Args: []string{"@" + k.Key()}, Kind: k, Changes: changes}})
		return nil
	})
}

// way says the steps of a rule for the audit trail: "head → person:4 王芳".
func (s *Service) way(ctx context.Context, q db.Querier, r Rule) (string, error) {
	var out []string
	for _, st := range r.Steps {
		w := string(st.Kind)
		if st.Kind == Person {
			p, _, err := s.org.Person(ctx, q, st.UserID)
			if err != nil {
				return "", err
			}
			w = fmt.Sprintf("%s:%d %s", st.Kind, st.UserID, p.Name)
		}
		out = append(out, w)
	}
	return strings.Join(out, " → "), nil
}
