package rule

import (
	"context"
	"strconv"
	"strings"

	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Names returns a function that says the names behind ids: of users, departments,
// categories, tags and roles.
func (s *Service) Names(ctx context.Context) (func(pick, id string) string, error) {
	user, department, err := s.org.Names(ctx)
	if err != nil {
		return nil, err
	}
	categories, _, err := ticket.AllCategories(ctx, s.db().Read())
	if err != nil {
		return nil, err
	}
	tags, err := s.cust.TagList(ctx)
	if err != nil {
		return nil, err
	}
	own, err := ticket.TagList(ctx, s.db().Read())
	if err != nil {
		return nil, err
	}
	inForce, err := s.Processes(ctx)
	if err != nil {
		return nil, err
	}
	procs := map[string]string{}
	for _, v := range inForce {
		procs[itoa(v.ProcessID)] = v.Name
	}
	roles, err := s.org.Roles(ctx)
	if err != nil {
		return nil, err
	}
	return func(pick, id string) string {
		n, _ := strconv.ParseInt(id, 10, 64)
		switch pick {
		case "user":
			return user(n)
		case "department":
			return department(n)
		case "category":
			for _, c := range categories {
				if c.ID == n {
					return c.Name
				}
			}
		case "tag":
			for _, t := range tags {
				if t.ID == n {
					return t.Name
				}
			}
		case "process":
			return procs[id]
		case "ticket_tag":
			for _, t := range own {
				if t.ID == n {
					return t.Name
				}
			}
		case "role":
			for _, r := range roles {
				if r.ID == n {
					return r.Name
				}
			}
		}
		return ""
	}, nil
}

// Say is the occasion in words.
func (w When) Say(l i18n.Lang) string {
	if t := w.Time; t != nil {
		since := i18n.T(l, "rule.since."+t.Since)
		if t.Since == "state" {
			since = i18n.T(l, "rule.since.in", i18n.Key("ticket.state."+string(t.State)))
		}
		return i18n.T(l, "rule.when.after", since, i18n.Duration(l, t.Length()))
	}
	var out []string
	for _, c := range w.Events {
		out = append(out, i18n.T(l, "rule.on."+c))
	}
	return strings.Join(out, i18n.T(l, "rule.or_sign"))
}

// Say is the action in words.
func (s *Service) Say(a Act, l i18n.Lang, vs []Var, names func(pick, id string) string) string {
	what := i18n.T(l, "rule.do."+a.Do)
	v := ""
	if o, ok := s.Other(a.Do); ok {
		if o.Say != nil {
			v = o.Say(l, a, names)
		}
		if v == "" {
			return what
		}
		return i18n.T(l, "rule.say.act", what, v)
	}
	switch a.Do {
	case DoAssign:
		if v = i18n.T(l, "rule.assign."+a.Get("to")); a.Get("to") != "routing" {
			v = names(a.Get("to"), a.Get(a.Get("to")))
		}
	case DoSet:
		f, val := a.Get("field"), a.Get("value")
		label := FieldLabel(l, vs, f)
		switch x, ok := find(vs, f); {
		case f == "category":
			val = names("category", val)
		case ok && x.Kind == KBool:
			val = i18n.T(l, map[bool]string{true: "rule.op.yes", false: "rule.op.no"}[val == "1"])
		case ok:
			val = x.Shown(val, names)
		}
		return i18n.T(l, "rule.say.set", label, val)
	case DoReply, DoNote:
		v = "“" + clip(strings.ReplaceAll(a.Get("text"), "\n", " ")) + "”"
	case DoNotify:
		who := a.Get("who")
		if v = i18n.T(l, "rule.tell."+who); who == "user" || who == "role" {
			v = names(who, a.Get(who))
		}
	case DoWebhook:
		v = hostOf(a.Get("url"))
	case DoEscalate:
		return what
	}
	if v == "" {
		v = "?"
	}
	return i18n.T(l, "rule.say.act", what, v)
}

// FieldLabel is the name of a field that rules set.
func FieldLabel(l i18n.Lang, vs []Var, f string) string {
	if f == "category" {
		return i18n.T(l, "rule.changed.category")
	}
	if v, ok := find(vs, f); ok {
		return v.Label
	}
	return f
}

// OccasionName says an occasion of the log.
func OccasionName(l i18n.Lang, occasion string) string {
	if c, ok := strings.CutPrefix(occasion, "since."); ok {
		return i18n.T(l, "rule.since."+c)
	}
	for _, o := range Occasions {
		if len(o.Kinds) == 1 && o.Kinds[0] == occasion {
			return i18n.T(l, "rule.on."+o.Code)
		}
	}
	return strings.TrimSpace(i18n.T(l, "event."+occasion, "", "", ""))
}
