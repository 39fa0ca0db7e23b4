package settingsui

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	routingView struct {
		Rules  []ruleRow
		Chains []chainRow
		Skills []skillRow
		Trial  trialView
	}
	ruleRow struct {
		ID          int64
		N           int
		Name        string
		Says        []said
		Department  string
		Off, Rest   bool
		First, Last bool // of those that can be moved
	}
	// said is one condition in words.
	said     struct{ Field, Values string }
	chainRow struct {
		ID         int64
		Department string
		Strategies []string
		Own        bool
		People     int
	}
	skillRow struct {
		ID     int64
		Name   string
		People int
		Says   []said
	}
	// trialView is a request tried out, and what would become of it.
	trialView struct {
		Form                                        *web.Form
		Types, Classes, Categories, Channels, Level []ui.Option
		Asked                                       bool
		Rules                                       []tried
		Decision                                    template.HTML
	}
	tried struct {
		N      int
		Says   string
		Missed string
	}
	ruleView struct {
		Form                                         *web.Form
		ID                                           int64
		New, Rest                                    bool
		Types, Classes, Categories, Channels, Levels []ui.Option
		Departments                                  []ui.Option
	}
	chainView struct {
		Form       *web.Form
		ID         int64
		Department string
		Steps      []chainStep
	}
	chainStep struct {
		Name    string
		Label   string
		Options []ui.Option
		First   bool
	}
	skillView struct {
		Form              *web.Form
		ID                int64
		New               bool
		Types, Categories []ui.Option
	}
)

var (
	routingPage = ui.NewPage[routingView](files, "routing.html").Sample(routingView{
		Rules:  []ruleRow{{ID: 1, N: 1, Name: "n", Says: []said{{"type", "v"}, {"keyword", "w"}}, Department: "d", Off: true, First: true}, {ID: 2, N: 2, Department: "d", Last: true}, {ID: 3, N: 3, Rest: true, Department: "d"}},
		Chains: []chainRow{{1, "d", []string{"owner", "pull"}, true, 3}}, Skills: []skillRow{{1, "n", 2, []said{{"type", "v"}}}},
		Trial: trialView{Form: &web.Form{}, Asked: true, Rules: []tried{{1, "s", "type"}, {2, "s", ""}}, Decision: "<p>x</p>"}}, routingView{Trial: trialView{Form: &web.Form{}}})
	rulePage  = ui.NewPage[ruleView](files, "rule.html").Sample(ruleView{Form: &web.Form{}, ID: 1}, ruleView{Form: &web.Form{}, New: true}, ruleView{Form: &web.Form{}, Rest: true})
	chainPage = ui.NewPage[chainView](files, "chain.html").Sample(chainView{Form: &web.Form{}, ID: 1, Department: "d", Steps: []chainStep{{"s0", "routing.chain.first", nil, true}, {"s1", "routing.chain.then", nil, false}}})
	skillPage = ui.NewPage[skillView](files, "skill.html").Sample(skillView{Form: &web.Form{}, ID: 1}, skillView{Form: &web.Form{}, New: true})
)

const routingHref = "/admin/tickets/routing"

func routingChrome(r *web.Request, sub string) ui.Chrome {
	c := chrome(r, r.T("routing.title"))
	if sub != "" {
		c.Crumbs[len(c.Crumbs)-1].Href = routingHref
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	c.Assets = []string{"ticketui.css"}
	return c
}

func num(n int64) string { return strconv.FormatInt(n, 10) }

// categoryOptions are all categories in use, those below with their parents' names.
func (p *pages) categoryOptions(r *web.Request) ([]ui.Option, map[int64]string, error) {
	cs, active, err := ticket.AllCategories(r.Context(), p.tickets.DB().Read())
	if err != nil {
		return nil, nil, err
	}
	names := map[int64]string{}
	var out []ui.Option
	for _, c := range cs {
		names[c.ID] = c.Name
		if c.ParentID != 0 {
			names[c.ID] = names[c.ParentID] + " / " + c.Name
		}
		if active[c.ID] {
			out = append(out, ui.Option{Value: num(c.ID), Label: names[c.ID]})
		}
	}
	return out, names, nil
}

func words(r *web.Request, prefix string, codes []string) string {
	var out []string
	for _, c := range codes {
		out = append(out, r.T(prefix+c))
	}
	return strings.Join(out, r.T("routing.or"))
}

func says(r *web.Request, c ticket.Conditions, names map[int64]string) (out []said) {
	add := func(field, text string) {
		if text != "" {
			out = append(out, said{field, text})
		}
	}
	var cats []string
	for _, id := range c.Categories {
		cats = append(cats, names[id])
	}
	add("type", words(r, "ticket.type.", c.Types))
	add("class", words(r, "ticket.class.", c.Classes))
	add("category", strings.Join(cats, r.T("routing.or")))
	add("channel", words(r, "ticket.channel.", c.Channels))
	add("level", words(r, "ticket.level.", c.Levels))
	add("keyword", strings.Join(c.Keywords, r.T("routing.or")))
	return out
}

func (p *pages) routing(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	rt, err := p.tickets.Routing(ctx)
	if err != nil {
		return err
	}
	categories, names, err := p.categoryOptions(r)
	if err != nil {
		return err
	}
	var v routingView
	n := len(rt.Rules)
	movable := n
	if n > 0 && rt.Rules[n-1].Rest() {
		movable--
	}
	numbers := map[int64]int{}
	for i, x := range rt.Rules {
		numbers[x.ID] = i + 1
		v.Rules = append(v.Rules, ruleRow{ID: x.ID, N: i + 1, Name: x.Name, Says: says(r, x.Conditions, names), Department: p.org.DepartmentName(ctx, x.DepartmentID),
			Off: !x.Active, Rest: x.Rest(), First: i == 0, Last: i == movable-1})
	}
	nodes, err := p.org.Tree(ctx)
	if err != nil {
		return err
	}
	for _, d := range nodes {
		if !d.Active {
			continue
		}
		row := chainRow{ID: d.ID, Department: d.Path, Own: len(rt.Chains[d.ID]) > 0, People: d.Members}
		for _, s := range rt.Chain(d.ID) {
			row.Strategies = append(row.Strategies, string(s))
		}
		v.Chains = append(v.Chains, row)
	}
	for _, k := range rt.Skills {
		v.Skills = append(v.Skills, skillRow{k.ID, k.Name, k.People, says(r, ticket.Conditions{Types: k.Types, Categories: k.Categories}, names)})
	}
	f := r.Input()
	v.Trial = trialView{Form: f, Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes), Categories: categories,
		Channels: options(r, "ticket.channel.", ticket.Channels), Level: options(r, "ticket.level.", ticket.Levels), Asked: f.Has("type")}
	if v.Trial.Asked {
		t, err := p.tickets.TryRouting(ctx, ticket.Request{Type: f.String("type"), Class: f.String("class"), CategoryID: f.ID("category"), Channel: f.String("channel"), Level: f.String("level"), Text: f.Limited("text", 2000)})
		if err != nil {
			return err
		}
		for _, c := range t.Rules {
			name := c.Name
			if name == "" {
				var parts []string
				for _, s := range says(r, c.Conditions, names) {
					parts = append(parts, r.T("routing.cond."+s.Field, s.Values))
				}
				if name = strings.Join(parts, r.T("routing.and")); name == "" {
					name = r.T("routing.rest")
				}
			}
			v.Trial.Rules = append(v.Trial.Rules, tried{numbers[c.ID], name, c.Missed})
		}
		if v.Trial.Decision, err = p.explain(r, t.Decision); err != nil {
			return err
		}
	} else {
		f.Set("type", "consultation").Set("channel", "phone").Set("level", "normal")
	}
	if r.IsFragment() && r.Target() == "trial" {
		return routingPage.Fragment(w, r, "outcome", v)
	}
	return routingPage.Render(w, r, routingChrome(r, ""), v)
}

// pathOrNew is the id of the address, 0 for a new one.
func pathOrNew(r *web.Request) (int64, error) {
	if r.PathValue("id") == "new" {
		return 0, nil
	}
	return r.PathID("id")
}

func (p *pages) ruleView(r *web.Request, id int64, rest bool, f *web.Form) (v ruleView, err error) {
	v = ruleView{Form: f, ID: id, New: id == 0, Rest: rest, Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes),
		Channels: options(r, "ticket.channel.", ticket.Channels), Levels: options(r, "ticket.level.", ticket.Levels)}
	if v.Categories, _, err = p.categoryOptions(r); err != nil {
		return v, err
	}
	nodes, err := p.org.Tree(r.Context())
	for _, n := range nodes {
		if n.Active {
			v.Departments = append(v.Departments, ui.Option{Value: num(n.ID), Label: n.Path})
		}
	}
	return v, err
}

func ruleTitle(r *web.Request, v ruleView) string {
	switch {
	case v.New:
		return r.T("routing.rule.new")
	case v.Rest:
		return r.T("routing.rest")
	}
	return r.T("routing.rule.edit")
}

func (p *pages) rule(w http.ResponseWriter, r *web.Request) error {
	id, err := pathOrNew(r)
	if err != nil {
		return err
	}
	f, rest := r.Blank("active", "1"), false
	if id != 0 {
		rt, err := p.tickets.Routing(r.Context())
		if err != nil {
			return err
		}
		x, ok := rt.Rule(id)
		if !ok {
			return ui.NoSuchPage()
		}
		rest = x.Rest()
		f = r.Blank("name", x.Name, "department", num(x.DepartmentID), "keywords", strings.Join(x.Conditions.Keywords, "\n"), "version", num(x.Version), "active", map[bool]string{true: "1"}[x.Active])
		c := x.Conditions
		for name, list := range map[string][]string{"types": c.Types, "classes": c.Classes, "channels": c.Channels, "levels": c.Levels} {
			f.Values[name] = slices.Clone(list)
		}
		for _, k := range c.Categories {
			f.Values.Add("categories", num(k))
		}
	}
	v, err := p.ruleView(r, id, rest, f)
	if err != nil {
		return err
	}
	return rulePage.Render(w, r, routingChrome(r, ruleTitle(r, v)), v)
}

// keywords are written one a line, or with the commas of either language.
func keywords(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("\n\r,，、;；", c) })
}

func (p *pages) saveRule(w http.ResponseWriter, r *web.Request) error {
	id, err := pathOrNew(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.Rule{ID: id, Name: f.String("name"), DepartmentID: f.ID("department"), Active: f.Bool("active"), Version: f.Int64("version"),
		Conditions: ticket.Conditions{Types: f.Strings("types"), Classes: f.Strings("classes"), Categories: f.IDs("categories"), Channels: f.Strings("channels"), Levels: f.Strings("levels"), Keywords: keywords(f.Limited("keywords", 3000))}}
	if err = f.Err(); err == nil {
		_, err = p.tickets.SaveRule(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.ruleView(r, id, f.Bool("rest"), f)
		if verr != nil {
			return verr
		}
		return rulePage.Invalid(w, r, err, f, routingChrome(r, ruleTitle(r, v)), v)
	}
	return p.toRouting(w, r)
}

func (p *pages) toRouting(w http.ResponseWriter, r *web.Request) error {
	r.Flash(w, "green", "ticketsettings.saved")
	return r.SeeOther(w, routingHref)
}

func (p *pages) moveRule(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	by := f.IntIn("by", -200, 200)
	if err := f.Err(); err != nil {
		return err
	}
	if err := p.tickets.MoveRule(r.Context(), r.Actor, id, by); err != nil {
		return err
	}
	return r.SeeOther(w, routingHref+"#rule-%d", id)
}

func (p *pages) removeRule(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.tickets.RemoveRule(r.Context(), r.Actor, id); err != nil {
		return err
	}
	return p.toRouting(w, r)
}

func (p *pages) chainView(r *web.Request, id int64, f *web.Form) chainView {
	v := chainView{Form: f, ID: id, Department: p.org.DepartmentName(r.Context(), id)}
	for i := range 4 {
		s := chainStep{Name: "s" + strconv.Itoa(i), Label: "routing.chain.then", First: i == 0}
		if i == 0 {
			s.Label = "routing.chain.first"
		}
		for _, x := range ticket.Strategies {
			s.Options = append(s.Options, ui.Option{Value: string(x), Label: r.T("routing.strategy." + string(x))})
		}
		v.Steps = append(v.Steps, s)
	}
	return v
}

func (p *pages) chain(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if _, ok, err := p.org.Department(r.Context(), nil, id); err != nil || !ok {
		if err == nil {
			err = ui.NoSuchPage()
		}
		return err
	}
	rt, err := p.tickets.Routing(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank()
	for i, s := range rt.Chain(id) {
		f.Set("s"+strconv.Itoa(i), string(s))
	}
	v := p.chainView(r, id, f)
	return chainPage.Render(w, r, routingChrome(r, v.Department), v)
}

func (p *pages) setChain(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	var chain []ticket.Strategy
	for i := range 4 {
		if s := f.String("s" + strconv.Itoa(i)); s != "" {
			chain = append(chain, ticket.Strategy(s))
		}
	}
	if err = f.Err(); err == nil {
		err = p.tickets.SetChain(r.Context(), r.Actor, id, chain)
	}
	if err != nil {
		v := p.chainView(r, id, f)
		return chainPage.Invalid(w, r, err, f, routingChrome(r, v.Department), v)
	}
	return p.toRouting(w, r)
}

func (p *pages) skillView(r *web.Request, id int64, f *web.Form) (v skillView, err error) {
	v = skillView{Form: f, ID: id, New: id == 0, Types: options(r, "ticket.type.", ticket.Types)}
	v.Categories, _, err = p.categoryOptions(r)
	return v, err
}

func skillTitle(r *web.Request, id int64) string {
	if id == 0 {
		return r.T("routing.skill.new")
	}
	return r.T("routing.skill.edit")
}

func (p *pages) skill(w http.ResponseWriter, r *web.Request) error {
	id, err := pathOrNew(r)
	if err != nil {
		return err
	}
	f := r.Blank()
	if id != 0 {
		rt, err := p.tickets.Routing(r.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rt.Skills, func(k ticket.Skill) bool { return k.ID == id })
		if i < 0 {
			return ui.NoSuchPage()
		}
		k := rt.Skills[i]
		f.Set("name", k.Name)
		f.Values["types"] = slices.Clone(k.Types)
		for _, c := range k.Categories {
			f.Values.Add("categories", num(c))
		}
	}
	v, err := p.skillView(r, id, f)
	if err != nil {
		return err
	}
	return skillPage.Render(w, r, routingChrome(r, skillTitle(r, id)), v)
}

func (p *pages) saveSkill(w http.ResponseWriter, r *web.Request) error {
	id, err := pathOrNew(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := ticket.Skill{ID: id, Name: f.String("name"), Types: f.Strings("types"), Categories: f.IDs("categories")}
	if err = f.Err(); err == nil {
		_, err = p.tickets.SaveSkill(r.Context(), r.Actor, in, false)
	}
	if err != nil {
		v, verr := p.skillView(r, id, f)
		if verr != nil {
			return verr
		}
		return skillPage.Invalid(w, r, err, f, routingChrome(r, skillTitle(r, id)), v)
	}
	return p.toRouting(w, r)
}

func (p *pages) removeSkill(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.tickets.RemoveSkill(r.Context(), r.Actor, id); err != nil {
		return err
	}
	return p.toRouting(w, r)
}
