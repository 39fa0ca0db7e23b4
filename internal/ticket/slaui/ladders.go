package slaui

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// rehangTime is how long the request that changes running clocks may take.
const rehangTime = 10 * time.Minute

type (
	laddersView struct {
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

	previewView struct {
		Form        *web.Form
		Types       []ui.Option
		Urgencies   []ui.Option
		Departments []ui.Option
		Policy      string
		Start       time.Time
		Clocks      []previewClock
		Ahead       []aheadRow
	}
	previewClock struct {
		Kind   sla.Kind
		Target time.Duration
		Due    time.Time
		Href   string
	}
	aheadRow struct {
		At    time.Time
		Kind  sla.Kind
		Name  string // of the step: sla.step.<name>
		When  string
		Whom  string
		Names string // who that is now
		How   string
	}
)

var (
	aRung       = rung{N: "1", Label: "l", Whos: []tick{{"tell.1", "assignee", "l", true}}, Percent: "percent.1", Minutes: "minutes.1", Role: "role.1", User: "user.1", Class: "class.1", Every: "every.1", Times: "times.1", Desk: "desk.1"}
	laddersPage = ui.NewPage[laddersView](files, "ladders.html").Sample(laddersView{Kinds: []ladderRow{
		{Kind: sla.Update, Href: "/x", Steps: []sayStep{{"w", "x", "h"}, {"w", "", ""}}}, {Kind: sla.Update, Policy: "p", Own: true, By: "b", CreatedAt: time.Unix(1, 0)}}})
	ladderPage = ui.NewPage[ladderView](files, "ladder.html").Sample(ladderView{Kind: sla.Update, Form: &web.Form{}, Rungs: []rung{aRung}, Own: true, Policy: "p", Action: "/x", Before: "/x"},
		ladderView{Kind: sla.Update, Form: &web.Form{}, Policies: []ui.Option{{Value: "p", Label: "p"}}})
	previewPage = ui.NewPage[previewView](files, "preview.html").Sample(previewView{Form: &web.Form{}, Policy: "p", Start: time.Unix(1, 0),
		Clocks: []previewClock{{sla.Update, time.Hour, time.Unix(1, 0), "/x"}}, Ahead: []aheadRow{{time.Unix(1, 0), sla.Update, "warn", "w", "x", "n", "h"}, {Name: "miss", Kind: sla.Update}}},
		previewView{Form: &web.Form{}})
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
	var v laddersView
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

// preview says what would happen when to a ticket that nobody touches.
func (p *pages) preview(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	for name, code := range map[string]string{"type": ticket.Types[0], "urgency": ticket.Urgencies[0], "start": r.Now().In(r.Location()).Format("2006-01-02T15:04")} {
		if f.String(name) == "" {
			f.Set(name, code)
		}
	}
	v := previewView{Form: f}
	for _, x := range ticket.Types {
		v.Types = append(v.Types, ui.Option{Value: x, Label: r.T("ticket.type." + x)})
	}
	for _, x := range ticket.Urgencies {
		v.Urgencies = append(v.Urgencies, ui.Option{Value: x, Label: r.T("ticket.urgency." + x)})
	}
	var err error
	if v.Departments, err = p.departments(r, func(int64) bool { return true }); err != nil {
		return err
	}
	if f.ID("department") == 0 && len(v.Departments) > 0 {
		f.Set("department", v.Departments[min(1, len(v.Departments)-1)].Value)
	}
	v.Start = f.DateTime("start")
	department := f.ID("department")
	c := p.ladderChrome(r, sla.Update)
	c.Title = r.T("sla.preview.title")
	c.Crumbs[2].Label = c.Title
	if err := f.Err(); err != nil {
		return previewPage.Invalid(w, r, err, f, c, v)
	}
	if err := p.lookAhead(r, &v, department); err != nil {
		return err
	}
	return previewPage.Render(w, r, c, v)
}

func (p *pages) lookAhead(r *web.Request, v *previewView, department int64) error {
	ctx, q := r.Context(), p.tickets.DB().Read()
	policy, err := sla.Choose(ctx, q, v.Form.String("type"), v.Form.String("urgency"))
	if err != nil {
		return err
	}
	v.Policy = policy.Name
	names, err := p.names(r)
	if err != nil {
		return err
	}
	for _, k := range sla.Kinds {
		target := policy.Target(k)
		if target == 0 {
			continue
		}
		l, err := sla.LadderFor(ctx, q, k, policy.Name)
		if err != nil {
			return err
		}
		clock := sla.Preview(l, target, v.Start)
		v.Clocks = append(v.Clocks, previewClock{k, target, clock.DueAt, address("/admin/ladders/"+string(k), "policy", l.Policy)})
		for _, a := range clock.Ahead() {
			told, err := p.tickets.Reach(ctx, department, 0, a.Step)
			if err != nil {
				return err
			}
			var now []string
			for _, u := range told.Users {
				now = append(now, names("user", u))
			}
			v.Ahead = append(v.Ahead, aheadRow{a.At, k, a.Step.Name, a.Step.When(r.Lang), a.Step.Whom(r.Lang, names), strings.Join(now, r.T("ticket.list.comma")), a.Step.How(r.Lang)})
		}
	}
	slices.SortStableFunc(v.Ahead, func(a, b aheadRow) int { return a.At.Compare(b.At) })
	return nil
}
