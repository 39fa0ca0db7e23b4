// Package settingsui lets an administrator change how tickets are handled:
// priorities, routes, promised times, categories and the numbers behind the
// loop (GOV-5). It holds no rules; they are in package ticket.
package settingsui

import (
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html
var files embed.FS

type (
	cell struct {
		Name    string // urgency.level
		Level   string
		Options []choice
	}
	choice struct {
		Code   string
		Chosen bool
	}
	matrixRow struct {
		Urgency string
		Cells   []cell
	}
	categoryRow struct {
		ID     int64
		Name   string
		Child  bool
		Active bool
	}
	overview struct {
		Matrix     []matrixRow
		Levels     []string
		Categories []categoryRow
		Parents    []ui.Option
		Category   *web.Form
		Config     *web.Form
		Templates  *web.Form
		Purposes   []kind
	}
	kind struct{ Name, Label string }
)

var (
	overviewPage = ui.NewPage[overview](files, "overview.html").Sample(overview{
		Matrix: []matrixRow{{"urgent", []cell{{"urgent.vip", "vip", []choice{{"urgent", true}}}}}}, Levels: []string{"vip"},
		Category: &web.Form{}, Config: &web.Form{}, Templates: &web.Form{}, Purposes: []kind{{"reply", "ticket.purpose.reply"}},
		Categories: []categoryRow{{ID: 1, Name: "A", Active: true}, {ID: 2, Name: "B", Child: true}},
	})
)

// Explain draws a decision of routing, as the tickets' pages do.
type Explain func(r *web.Request, d ticket.Decision) (template.HTML, error)

type pages struct {
	tickets *ticket.Service
	org     *org.Service
	explain Explain
}

// Routes of the settings.
func Routes(rt *web.Router, t *ticket.Service, o *org.Service, e Explain) {
	p := &pages{t, o, e}
	rt.Handle("GET  /admin/tickets", ticket.PermConfigure, p.overview)
	rt.Handle("POST /admin/tickets/matrix", ticket.PermConfigure, p.setMatrix)
	rt.Handle("GET  /admin/tickets/routing", ticket.PermConfigure, p.routing)
	rt.Handle("GET  /admin/tickets/routing/rules/{id}", ticket.PermConfigure, p.rule)
	rt.Handle("POST /admin/tickets/routing/rules/{id}", ticket.PermConfigure, p.saveRule)
	rt.Handle("POST /admin/tickets/routing/rules/{id}/position", ticket.PermConfigure, p.moveRule)
	rt.Handle("POST /admin/tickets/routing/rules/{id}/removal", ticket.PermConfigure, p.removeRule)
	rt.Handle("GET  /admin/tickets/routing/departments/{id}", ticket.PermConfigure, p.chain)
	rt.Handle("POST /admin/tickets/routing/departments/{id}", ticket.PermConfigure, p.setChain)
	rt.Handle("GET  /admin/tickets/routing/skills/{id}", ticket.PermConfigure, p.skill)
	rt.Handle("POST /admin/tickets/routing/skills/{id}", ticket.PermConfigure, p.saveSkill)
	rt.Handle("POST /admin/tickets/routing/skills/{id}/removal", ticket.PermConfigure, p.removeSkill)
	rt.Handle("GET  /admin/ticket-tags", ticket.PermTags, p.showTags)
	rt.Handle("POST /admin/ticket-tags", ticket.PermTags, p.saveTag)
	rt.Handle("POST /admin/ticket-tags/{id}", ticket.PermTags, p.saveTag)
	rt.Handle("POST /admin/ticket-tags/{id}/deletion", ticket.PermTags, p.deleteTag)
	rt.Handle("POST /admin/tickets/categories", ticket.PermConfigure, p.addCategory)
	rt.Handle("POST /admin/tickets/categories/{id}", ticket.PermConfigure, p.setCategory)
	rt.Handle("POST /admin/tickets/config", ticket.PermConfigure, p.setConfig)
	rt.Handle("POST /admin/tickets/templates", ticket.PermConfigure, p.setTemplates)
	rt.Handle("GET  /admin/tickets/policies", ticket.PermConfigure, p.policies)
	rt.Handle("GET  /admin/tickets/policies/new", ticket.PermConfigure, p.newPolicy)
	rt.Handle("POST /admin/tickets/policies/{id}/position", ticket.PermConfigure, p.movePolicy)
	rt.Handle("GET  /admin/tickets/policies/{id}", ticket.PermConfigure, p.policy)
	rt.Handle("POST /admin/tickets/policies/{id}", ticket.PermConfigure, p.setPolicy)
	rt.Handle("POST /admin/tickets/policies/{id}/removal", ticket.PermConfigure, p.removePolicy)
}

// Nav is the entry of the settings.
func Nav() ui.Nav {
	return ui.Nav{Key: "ticket-settings", Href: "/admin/tickets", Icon: "settings", LabelKey: "ticketsettings.title", Perm: ticket.PermConfigure, Group: "org.admin"}
}

func chrome(r *web.Request, sub string) ui.Chrome {
	c := ui.Chrome{Title: r.T("ticketsettings.title"), Nav: "ticket-settings", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("ticketsettings.title"), Href: "/admin/tickets"}}}
	if sub != "" {
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	return c
}

func options(r *web.Request, prefix string, codes []string) []ui.Option {
	out := make([]ui.Option, len(codes))
	for i, c := range codes {
		out[i] = ui.Option{Value: c, Label: r.T(prefix + c)}
	}
	return out
}

// view loads the page; the forms given keep what was typed.
func (p *pages) view(r *web.Request, category, config, templates *web.Form) (v overview, err error) {
	ctx, q := r.Context(), p.tickets.DB().Read()
	m, err := ticket.PriorityMatrix(ctx, q)
	if err != nil {
		return v, err
	}
	v.Levels = ticket.Levels
	for _, u := range ticket.Urgencies {
		row := matrixRow{Urgency: u}
		for _, l := range ticket.Levels {
			c := cell{Name: u + "." + l, Level: l}
			for _, pr := range ticket.Priorities {
				c.Options = append(c.Options, choice{pr, pr == m[u][l]})
			}
			row.Cells = append(row.Cells, c)
		}
		v.Matrix = append(v.Matrix, row)
	}
	cs, active, err := ticket.AllCategories(ctx, q)
	if err != nil {
		return v, err
	}
	for _, c := range cs {
		v.Categories = append(v.Categories, categoryRow{c.ID, c.Name, c.ParentID != 0, active[c.ID]})
		if c.ParentID == 0 {
			v.Parents = append(v.Parents, ui.Option{Value: strconv.FormatInt(c.ID, 10), Label: c.Name})
		}
	}
	if v.Category = category; category == nil {
		v.Category = r.Blank()
	}
	if v.Config = config; config == nil {
		c, err := p.tickets.Config(ctx)
		if err != nil {
			return v, err
		}
		v.Config = r.Blank("number_template", c.NumberTemplate, "bad_stars", strconv.Itoa(c.BadStars), "reopen_hours", strconv.Itoa(int(c.ReopenWindow/time.Hour)),
			"change_hours", strconv.Itoa(int(c.RatingChange/time.Hour)), "refuse_vague", map[bool]string{true: "1"}[c.RefuseVague])
	}
	for _, x := range ticket.TemplatePurposes {
		v.Purposes = append(v.Purposes, kind{x, "ticket.purpose." + x})
	}
	if v.Templates = templates; templates == nil {
		ts, err := ticket.MessageTemplates(ctx, q, r.Lang)
		if err != nil {
			return v, err
		}
		v.Templates = r.Blank()
		for x, text := range ts {
			v.Templates.Set(x, text)
		}
	}
	return v, nil
}

func (p *pages) setTemplates(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	ts := ticket.Templates{}
	for _, x := range ticket.TemplatePurposes {
		ts[x] = f.String(x)
	}
	if err := p.tickets.SetTemplates(r.Context(), r.Actor, ts); err != nil {
		v, verr := p.view(r, nil, nil, f)
		if verr != nil {
			return verr
		}
		return overviewPage.Invalid(w, r, err, f, chrome(r, ""), v)
	}
	return p.done(w, r)
}

func (p *pages) overview(w http.ResponseWriter, r *web.Request) error {
	v, err := p.view(r, nil, nil, nil)
	if err != nil {
		return err
	}
	return overviewPage.Render(w, r, chrome(r, ""), v)
}

func (p *pages) done(w http.ResponseWriter, r *web.Request) error {
	r.Flash(w, "green", "ticketsettings.saved")
	return r.SeeOther(w, "/admin/tickets")
}

func (p *pages) setMatrix(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	m := ticket.Matrix{}
	for _, u := range ticket.Urgencies {
		m[u] = map[string]string{}
		for _, l := range ticket.Levels {
			m[u][l] = f.String(u + "." + l)
		}
	}
	if err := p.tickets.SetMatrix(r.Context(), r.Actor, m); err != nil {
		return err
	}
	return p.done(w, r)
}

func (p *pages) addCategory(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	err := p.tickets.SetCategory(r.Context(), r.Actor, ticket.Category{ParentID: f.ID("parent"), Name: f.String("name")}, true)
	if err != nil {
		v, verr := p.view(r, f, nil, nil)
		if verr != nil {
			return verr
		}
		return overviewPage.Invalid(w, r, err, f, chrome(r, ""), v)
	}
	return p.done(w, r)
}

func (p *pages) setCategory(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	if err := p.tickets.SetCategory(r.Context(), r.Actor, ticket.Category{ID: id, Name: f.String("name")}, f.Bool("active")); err != nil {
		return err
	}
	return p.done(w, r)
}

func (p *pages) setConfig(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	c := ticket.Config{NumberTemplate: f.String("number_template"), BadStars: f.Int("bad_stars"), ReopenWindow: time.Duration(f.Int("reopen_hours")) * time.Hour,
		RatingChange: time.Duration(f.Int("change_hours")) * time.Hour, RefuseVague: f.Bool("refuse_vague")}
	err := f.Err()
	if err == nil {
		err = p.tickets.SetConfig(r.Context(), r.Actor, c)
	}
	if err != nil {
		v, verr := p.view(r, nil, f, nil)
		if verr != nil {
			return verr
		}
		return overviewPage.Invalid(w, r, err, f, chrome(r, ""), v)
	}
	return p.done(w, r)
}
