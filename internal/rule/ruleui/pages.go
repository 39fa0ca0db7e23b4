// Package ruleui shows what happens by itself: the rules in their order, the
// form they are made with, a test run before they are let loose, the log of what
// they did, the automatic answer and the settings of webhooks.
package ruleui

import (
	"embed"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/rule"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html rule.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "rule.css")
	_ = []struct{}{ui.SetTone("rule.done", "green"), ui.SetTone("rule.partly", "amber"), ui.SetTone("rule.refused", "red"), ui.SetTone("rule.failed", "red"),
		ui.SetTone("rule.loop", "gray"), ui.SetTone("rule.limited", "gray"), ui.SetTone("rule.same", "gray"), ui.SetTone("rule.queued", "blue"), ui.SetTone("rule.would", "blue")}
)

type pages struct {
	s         *rule.Service
	org       *org.Service
	tickets   *ticket.Service
	customers *customer.Service
}

// Rooms are what the pages need.
type Rooms struct {
	Rules     *rule.Service
	Org       *org.Service
	Tickets   *ticket.Service
	Customers *customer.Service
}

// Nav is the entry among the settings.
func Nav() ui.Nav {
	return ui.Nav{Key: "rules", Href: "/admin/rules", Icon: "bolt", LabelKey: "rule.nav", Perm: rule.PermView, Group: "org.admin"}
}

// Routes of the rules.
func Routes(rt *web.Router, r Rooms) {
	p := &pages{r.Rules, r.Org, r.Tickets, r.Customers}
	rt.Handle("GET  /admin/rules", rule.PermView, p.list)
	rt.Handle("GET  /admin/rules/log", rule.PermView, p.log)
	rt.Handle("GET  /admin/rules/new", rule.PermManage, p.showNew)
	rt.Handle("POST /admin/rules", rule.PermManage, p.save)
	rt.Handle("POST /admin/rules/draft", rule.PermManage, p.draft)
	rt.Handle("POST /admin/rules/trial", rule.PermManage, p.trial, web.Slow(30*time.Second))
	rt.Handle("GET  /admin/rules/replies", rule.PermManage, p.reply)
	rt.Handle("POST /admin/rules/replies", rule.PermManage, p.setReply)
	rt.Handle("GET  /admin/rules/webhooks", rule.PermManage, p.hooks)
	rt.Handle("POST /admin/rules/webhooks", rule.PermManage, p.setHooks)
	rt.Handle("POST /admin/rules/webhooks/secret", rule.PermManage, p.makeSecret)
	rt.Handle("GET  /admin/rules/{id}", rule.PermView, p.show)
	rt.Handle("POST /admin/rules/{id}", rule.PermManage, p.save)
	rt.Handle("POST /admin/rules/{id}/state", rule.PermManage, p.setState)
	rt.Handle("POST /admin/rules/{id}/position", rule.PermManage, p.shift)
	rt.Handle("POST /admin/rules/{id}/removal", rule.PermManage, p.remove)
}

type tab struct {
	Href, Label string
	Current     bool
}

func tabs(r *web.Request, at string) (out []tab) {
	for _, t := range []struct{ key, href string }{{"list", "/admin/rules"}, {"log", "/admin/rules/log"}, {"replies", "/admin/rules/replies"}, {"webhooks", "/admin/rules/webhooks"}} {
		if (t.key == "replies" || t.key == "webhooks") && !r.Actor.Can(rule.PermManage) {
			continue
		}
		out = append(out, tab{t.href, r.T("rule.tab." + t.key), t.key == at})
	}
	return out
}

func chrome(r *web.Request, sub string) ui.Chrome {
	c := ui.Chrome{Title: r.T("rule.nav"), Nav: "rules", Assets: []string{"rule.css"}, Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("rule.nav"), Href: "/admin/rules"}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

type listRow struct {
	rule.Rule
	When, If   string
	Then       []string
	Off        string
	Up, Down   bool
	OnlyExpert bool
}

type listView struct {
	Tabs   []tab
	Rows   []listRow
	Manage bool
	Reply  bool // the automatic answer is on
}

type logLine struct {
	rule.Firing
	Occasion string
	Rule     string
	Held     []string
	Acts     []actLine
}

type actLine struct{ Text, How, Why string }

type logView struct {
	Tabs     []tab
	Lines    []logLine
	Filter   *web.Form
	Rules    []ui.Option
	Outcomes []ui.Option
	Pager    ui.Pager
}

var (
	aRule    = rule.Rule{ID: 3, Name: "x", Note: "n", Enabled: true, StopAfter: true, Fired: 2, FiredAt: time.Unix(1, 0)}
	listPage = ui.NewPage[listView](files, "list.html").Sample(
		listView{Tabs: []tab{{"/a", "l", true}}, Rows: []listRow{{Rule: aRule, When: "w", If: "i", Then: []string{"a", "b"}, Up: true, Down: true}, {Rule: rule.Rule{ID: 4, Name: "y"}, Off: "o"}}, Manage: true, Reply: true})
	logPage = ui.NewPage[logView](files, "log.html").Sample(
		logView{Filter: &web.Form{}, Rules: []ui.Option{{Value: "1", Label: "x"}}, Pager: ui.Pager{Next: "/x"}, Lines: []logLine{
			{Firing: rule.Firing{ID: 1, RuleID: 1, Number: "T1", Title: "t", Outcome: rule.Done, At: time.Unix(1, 0)}, Rule: "r", Occasion: "o", Held: []string{"h"}, Acts: []actLine{{"a", "done", ""}, {"b", "refused", "w"}}},
			{Firing: rule.Firing{ID: 2, Outcome: rule.Loop}, Rule: "r"}}})
)

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	all, err := p.s.List(ctx, r.Actor)
	if err != nil {
		return err
	}
	vs, names, err := p.words(r)
	if err != nil {
		return err
	}
	reply, err := p.s.Reply(ctx)
	if err != nil {
		return err
	}
	v := listView{Tabs: tabs(r, "list"), Manage: r.Actor.Can(rule.PermManage), Reply: reply.On}
	for i, x := range all {
		row := listRow{Rule: x, When: x.When.Say(r.Lang), If: x.Expr, Up: i > 0, Down: i < len(all)-1, OnlyExpert: x.Expert}
		if !x.Expert {
			row.If = x.If.Say(r.Lang, vs, names)
		}
		for _, a := range x.Then {
			row.Then = append(row.Then, p.s.Say(a, r.Lang, vs, names))
		}
		if x.OffReason != "" {
			row.Off = r.T(x.OffReason)
		}
		v.Rows = append(v.Rows, row)
	}
	if r.IsFragment() && r.Target() == "rules" {
		return listPage.Fragment(w, r, "rules", v)
	}
	return listPage.Render(w, r, chrome(r, ""), v)
}

func (p *pages) words(r *web.Request) ([]rule.Var, func(pick, id string) string, error) {
	vs, err := p.s.Vars(r.Context(), nil, r.Lang)
	if err != nil {
		return nil, nil, err
	}
	names, err := p.s.Names(r.Context())
	return vs, names, err
}

func (p *pages) setState(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	on := r.Input().Bool("on")
	x, err := p.s.SetEnabled(r.Context(), r.Actor, id, on)
	if f, ok := fault.As(err); ok && f.Kind == fault.Conflict {
		r.Flash(w, "red", "rule.cannot_enable", x.Name, r.T(f.Key, f.Args...))
		return r.SeeOther(w, "/admin/rules/%d", id)
	}
	if err != nil {
		return err
	}
	if on {
		r.Flash(w, "green", "rule.enabled", x.Name)
	} else {
		r.Flash(w, "amber", "rule.disabled", x.Name)
	}
	return r.SeeOther(w, "/admin/rules")
}

func (p *pages) shift(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.s.Shift(r.Context(), r.Actor, id, r.Input().Get("to") == "up"); err != nil {
		return err
	}
	return r.SeeOther(w, "/admin/rules#r%d", id)
}

func (p *pages) remove(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	name, err := p.s.Remove(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash(w, "amber", "rule.removed", name)
	return r.SeeOther(w, "/admin/rules")
}

func (p *pages) log(w http.ResponseWriter, r *web.Request) error {
	q := r.URL.Query()
	f := rule.LogFilter{Outcome: q.Get("outcome")}
	f.Rule, _ = strconv.ParseInt(q.Get("rule"), 10, 64)
	f.Before, _ = strconv.ParseInt(q.Get("from"), 10, 64)
	lines, next, err := p.s.Log(r.Context(), r.Actor, f)
	if err != nil {
		return err
	}
	v := logView{Tabs: tabs(r, "log"), Filter: r.Blank("rule", q.Get("rule"), "outcome", q.Get("outcome"))}
	all, err := p.s.List(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v.Rules = append(v.Rules, ui.Option{Value: "-1", Label: r.T("rule.reply.title")})
	for _, x := range all {
		v.Rules = append(v.Rules, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name})
	}
	for _, o := range rule.Outcomes {
		v.Outcomes = append(v.Outcomes, ui.Option{Value: o, Label: r.T("rule.outcome." + o)})
	}
	if v.Lines, err = p.logLines(r, lines); err != nil {
		return err
	}
	q.Del("from")
	if f.Before != 0 {
		v.Pager.Prev = "/admin/rules/log?" + q.Encode()
	}
	if next != 0 {
		q.Set("from", strconv.FormatInt(next, 10))
		v.Pager.Next = "/admin/rules/log?" + q.Encode()
	}
	if r.IsFragment() && r.Target() == "lines" {
		return logPage.Fragment(w, r, "lines", v)
	}
	return logPage.Render(w, r, chrome(r, r.T("rule.tab.log")), v)
}

func (p *pages) logLines(r *web.Request, lines []rule.Firing) (out []logLine, err error) {
	vs, names, err := p.words(r)
	if err != nil {
		return nil, err
	}
	calls, err := p.s.Calls(r.Context(), lines)
	if err != nil {
		return nil, err
	}
	for _, f := range lines {
		x := logLine{Firing: f, Rule: f.RuleName, Occasion: rule.OccasionName(r.Lang, f.Occasion)}
		switch {
		case f.RuleID == 0:
			x.Rule = r.T("rule.reply.title")
		case x.Rule == "":
			x.Rule = r.T("rule.gone", f.RuleID)
		}
		for _, c := range f.Detail.Held {
			x.Held = append(x.Held, c.Say(r.Lang, vs, names))
		}
		for _, d := range f.Detail.Done {
			a := actLine{Text: p.s.Say(d.Act, r.Lang, vs, names), How: d.How, Why: d.Why(r.Lang)}
			if f.RuleID == 0 {
				a.Text = r.T("rule.reply.text." + d.Act.Get("text"))
			}
			if j, ok := calls[d.Job]; ok {
				a.Why = i18n.T(r.Lang, string(j.StateKey()))
				if j.LastError != "" {
					a.Why += r.T("rule.colon") + j.LastError
				}
			}
			x.Acts = append(x.Acts, a)
		}
		out = append(out, x)
	}
	return out, nil
}

// choices are the records that conditions and actions name.
type choices struct {
	users, departments, categories, tags, roles, own, processes []ui.Option
}

func (p *pages) choices(r *web.Request) (c choices, err error) {
	ctx := r.Context()
	people, err := p.org.Colleagues(ctx, r.Actor, "", 0, "", 0)
	if err != nil {
		return c, err
	}
	for _, x := range people {
		c.users = append(c.users, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name + " · " + x.Department})
	}
	tree, err := p.org.Tree(ctx)
	if err != nil {
		return c, err
	}
	for _, d := range tree {
		if d.Active {
			c.departments = append(c.departments, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: strings.Repeat("　", d.Depth) + d.Name})
		}
	}
	cats, active, err := ticket.AllCategories(ctx, p.tickets.DB().Read())
	if err != nil {
		return c, err
	}
	for _, x := range cats {
		if !active[x.ID] {
			continue
		}
		label := x.Name
		if x.ParentID != 0 {
			label = "　" + label
		}
		c.categories = append(c.categories, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: label})
	}
	tags, err := p.customers.TagList(ctx)
	if err != nil {
		return c, err
	}
	for _, t := range tags {
		c.tags = append(c.tags, ui.Option{Value: strconv.FormatInt(t.ID, 10), Label: t.Name})
	}
	own, err := ticket.TagList(ctx, p.tickets.DB().Read())
	if err != nil {
		return c, err
	}
	for _, t := range own {
		c.own = append(c.own, ui.Option{Value: strconv.FormatInt(t.ID, 10), Label: t.Name})
	}
	procs, err := p.s.Processes(ctx)
	if err != nil {
		return c, err
	}
	for _, v := range procs {
		c.processes = append(c.processes, ui.Option{Value: strconv.FormatInt(v.ProcessID, 10), Label: v.Name})
	}
	roles, err := p.org.Roles(ctx)
	if err != nil {
		return c, err
	}
	for _, x := range roles {
		c.roles = append(c.roles, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name})
	}
	return c, nil
}

func (c choices) of(pick string) []ui.Option {
	switch pick {
	case "user":
		return c.users
	case "department":
		return c.departments
	case "category":
		return c.categories
	case "tag":
		return c.tags
	case "ticket_tag":
		return c.own
	case "process":
		return c.processes
	case "role":
		return c.roles
	}
	return nil
}
