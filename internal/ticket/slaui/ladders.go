package slaui

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/calendar/calendarui"
	"bihuan/internal/sla"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// rehangTime is how long the request that changes running clocks may take.
const rehangTime = 10 * time.Minute

type (
	laddersView struct {
		Setup []calendarui.Tab
		Kinds []ladderRow
	}
	ladderRow struct {
		Kind      sla.Kind
		Policy    string
		Own       bool // made by somebody
		By        string
		CreatedAt time.Time
		Href      string
		Steps     []sayStep
	}
	sayStep struct{ When, Whom, How string }

	ladderView struct {
		Kind     sla.Kind
		Policy   string
		Form     *web.Form
		Rungs    []rung
		Policies []ui.Option // it can be made for alone
		Roles    []ui.Option
		People   []ui.Option
		Classes  []ui.Option
		Own      bool
		Action   string
		Before   string // address of the preview
	}
	rung struct {
		N                                                       string
		Whos                                                    []tick
		Percent, Minutes, Role, User, Class, Every, Times, Desk string // names of the fields
		Label                                                   string
	}
	tick struct {
		Name, Value, Label string
		On                 bool
	}
)

var (
	aRung       = rung{N: "1", Label: "l", Whos: []tick{{"tell.1", "assignee", "l", true}}, Percent: "percent.1", Minutes: "minutes.1", Role: "role.1", User: "user.1", Class: "class.1", Every: "every.1", Times: "times.1", Desk: "desk.1"}
	laddersPage = ui.NewPage[laddersView](files, "ladders.html").Sample(laddersView{Setup: []calendarui.Tab{{Href: "/x", Label: "x", Current: true}}, Kinds: []ladderRow{
		{Kind: sla.Update, Href: "/x", Steps: []sayStep{{"w", "x", "h"}, {"w", "", ""}}}, {Kind: sla.Update, Policy: "p", Own: true, By: "b", CreatedAt: time.Unix(1, 0)}}})
	ladderPage = ui.NewPage[ladderView](files, "ladder.html").Sample(ladderView{Kind: sla.Update, Form: &web.Form{}, Rungs: []rung{aRung}, Own: true, Policy: "p", Action: "/x", Before: "/x"},
		ladderView{Kind: sla.Update, Form: &web.Form{}, Policies: []ui.Option{{Value: "p", Label: "p"}}})
)

// names says the name of a role or a person.
func (p *pages) names(r *web.Request) (func(what string, id int64) string, error) {
	user, _, err := p.org.Names(r.Context())
	if err != nil {
		return nil, err
	}
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return nil, err
	}
	return func(what string, n int64) string {
		if what == "user" {
			return cmp.Or(user(n), r.T("sla.who.gone"))
		}
		for _, x := range roles {
			if x.ID == n {
				return x.Title(r.Lang)
			}
		}
		return r.T("sla.who.gone")
	}, nil
}

func (p *pages) ladders(w http.ResponseWriter, r *web.Request) error {
	all, err := sla.CurrentLadders(r.Context(), p.tickets.DB().Read())
	if err != nil {
		return err
	}
	names, err := p.names(r)
	if err != nil {
		return err
	}
	v := laddersView{Setup: calendarui.Setup(r, "/admin/ladders")}
	for _, l := range all {
		row := ladderRow{Kind: l.Kind, Policy: l.Policy, Own: l.ID != 0, By: l.By, CreatedAt: l.CreatedAt, Href: address("/admin/ladders/"+string(l.Kind), "policy", l.Policy)}
		for _, s := range l.Steps {
			row.Steps = append(row.Steps, sayStep{s.When(r.Lang), s.Whom(r.Lang, names), s.How(r.Lang)})
		}
		v.Kinds = append(v.Kinds, row)
	}
	c := chrome(r, "ladders", r.T("sla.ladder.title"))
	c.Crumbs = []ui.Crumb{{Label: r.T("org.admin")}, {Label: c.Title}}
	return laddersPage.Render(w, r, c, v)
}

func (p *pages) ladderChrome(r *web.Request, k sla.Kind) ui.Chrome {
	c := chrome(r, "ladders", r.T("sla.clock."+string(k)))
	c.Crumbs = []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("sla.ladder.title"), Href: "/admin/ladders"}, {Label: c.Title}}
	return c
}

// spare rows are offered behind the steps there are.
const spare, maxRungs = 2, 12

func pathKind(r *web.Request) (sla.Kind, error) {
	k := sla.Kind(r.PathValue("kind"))
	if !slices.Contains(sla.Laddered, k) {
		return "", ui.NoSuchPage()
	}
	return k, nil
}

func (p *pages) ladder(w http.ResponseWriter, r *web.Request) error {
	k, err := pathKind(r)
	if err != nil {
		return err
	}
	policy := r.URL.Query().Get("policy")
	l, err := sla.LadderFor(r.Context(), p.tickets.DB().Read(), k, policy)
	if err != nil {
		return err
	}
	f := r.Blank("policy", policy)
	for i, s := range l.Steps {
		n := strconv.Itoa(i + 1)
		f.Set("percent."+n, s.Percent).Set("minutes."+n, s.Minutes).Set("class."+n, string(s.Class)).Set("every."+n, s.Every).Set("times."+n, s.Times)
		if s.Desk {
			f.Set("desk."+n, "1")
		}
		for _, who := range s.Tell {
			switch what, x, _ := who.Named(); what {
			case "role":
				f.Set("role."+n, x)
			case "user":
				f.Set("user."+n, x)
			default:
				f.Values.Add("tell."+n, string(who))
			}
		}
	}
	v, err := p.ladderView(r, k, f, len(l.Steps), l.ID != 0 && l.Policy == policy)
	if err != nil {
		return err
	}
	return ladderPage.Render(w, r, p.ladderChrome(r, k), v)
}

func (p *pages) ladderView(r *web.Request, k sla.Kind, f *web.Form, steps int, own bool) (v ladderView, err error) {
	v = ladderView{Kind: k, Policy: f.String("policy"), Form: f, Own: own, Action: "/admin/ladders/" + string(k), Before: "/admin/ladders/preview"}
	if v.Policies, err = p.policies(r); err != nil {
		return v, err
	}
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return v, err
	}
	for _, x := range roles {
		v.Roles = append(v.Roles, ui.Option{Value: id(x.ID), Label: x.Title(r.Lang)})
	}
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, "", 0)
	if err != nil {
		return v, err
	}
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: id(x.ID), Label: x.Name, Group: x.Department})
	}
	slices.SortStableFunc(v.People, func(a, b ui.Option) int { return cmp.Compare(a.Group, b.Group) })
	for _, c := range sla.Classes {
		v.Classes = append(v.Classes, ui.Option{Value: string(c), Label: r.T("sla.class." + cmp.Or(string(c), "normal"))})
	}
	for i := range min(steps+spare, maxRungs) {
		n := strconv.Itoa(i + 1)
		x := rung{N: n, Label: r.T("sla.ladder.step", n), Percent: "percent." + n, Minutes: "minutes." + n, Role: "role." + n, User: "user." + n, Class: "class." + n, Every: "every." + n, Times: "times." + n, Desk: "desk." + n}
		if i >= steps {
			x.Label = r.T("sla.ladder.spare")
		}
		on := f.Strings("tell." + n)
		for _, who := range sla.Whos {
			x.Whos = append(x.Whos, tick{"tell." + n, string(who), r.T("sla.who." + string(who)), slices.Contains(on, string(who))})
		}
		v.Rungs = append(v.Rungs, x)
	}
	return v, nil
}

func (p *pages) policies(r *web.Request) (out []ui.Option, err error) {
	names, err := p.clocks.PolicyNames(r.Context())
	for _, n := range names {
		out = append(out, ui.Option{Value: n, Label: n})
	}
	return out, err
}

// readSteps reads the rows that say when; a row without is left out, and those
// behind it move up. They are put into order.
func readSteps(f *web.Form) (steps []sla.Step) {
	for i := range maxRungs {
		n := strconv.Itoa(i + 1)
		if f.String("percent."+n) == "" {
			continue
		}
		s := sla.Step{Percent: f.Int("percent." + n), Minutes: f.Int("minutes." + n), Class: sla.Class(f.String("class." + n)), Every: f.Int("every." + n), Times: f.Int("times." + n), Desk: f.Bool("desk." + n)}
		for _, x := range f.Strings("tell." + n) {
			s.Tell = append(s.Tell, sla.Who(x))
		}
		if x := f.ID("role." + n); x != 0 {
			s.Tell = append(s.Tell, sla.RoleWho(x))
		}
		if x := f.ID("user." + n); x != 0 {
			s.Tell = append(s.Tell, sla.UserWho(x))
		}
		steps = append(steps, s)
	}
	return steps
}

func (p *pages) setLadder(w http.ResponseWriter, r *web.Request) error {
	k, err := pathKind(r)
	if err != nil {
		return err
	}
	f := r.Input()
	l := sla.Ladder{Kind: k, Policy: f.String("policy"), Steps: readSteps(f)}
	if err = f.Err(); err == nil {
		_, err = p.clocks.SetLadder(r.Context(), r.Actor, l)
	}
	if err != nil {
		v, verr := p.ladderView(r, k, f, maxRungs-spare, false)
		if verr != nil {
			return verr
		}
		return ladderPage.Invalid(w, r, err, f, p.ladderChrome(r, k), v)
	}
	r.Flash(w, "green", "sla.ladder.saved", r.T("sla.clock."+string(k)))
	return r.SeeOther(w, "%s", address("/admin/ladders/"+string(k), "policy", l.Policy))
}

func (p *pages) removeLadder(w http.ResponseWriter, r *web.Request) error {
	k, err := pathKind(r)
	if err != nil {
		return err
	}
	if err := p.clocks.RemoveLadder(r.Context(), r.Actor, k, r.Input().String("policy")); err != nil {
		return err
	}
	r.Flash(w, "green", "sla.ladder.removed", r.T("sla.clock."+string(k)))
	return r.SeeOther(w, "/admin/ladders")
}

// rehang makes the clocks that run climb the ladders in force.
func (p *pages) rehang(w http.ResponseWriter, r *web.Request) error {
	k, err := pathKind(r)
	if err != nil {
		return err
	}
	total := 0
	for {
		n, err := p.clocks.Rehang(r.Context(), r.Actor, k, 200)
		if err != nil {
			return err
		}
		if total += n; n == 0 {
			break
		}
	}
	r.Flash(w, "green", "sla.ladder.rehung", total)
	return r.SeeOther(w, "%s", address("/admin/ladders/"+string(k), "policy", r.Input().String("policy")))
}
