package settingsui

import (
	"net/http"
	"strconv"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// tagsView is the list of tags that tickets may have.
type tagsView struct {
	Tags    []ticket.Tag
	Form    *web.Form // of a new tag, or of Editing
	Editing int64
	Colours []ui.Option
}

var tagsPage = ui.NewPage[tagsView](files, "tags.html").Sample(
	tagsView{Form: &web.Form{}, Tags: []ticket.Tag{{ID: 1, Name: "x", Colour: "red", Uses: 3}}, Editing: 1, Colours: []ui.Option{{Value: "red", Label: "x"}}}, tagsView{Form: &web.Form{}})

// TagsNav is the entry of the list of tags.
func TagsNav() ui.Nav {
	return ui.Nav{Key: "ticket-tags", Href: "/admin/ticket-tags", Icon: "tags", LabelKey: "ticket.tags.title", Perm: ticket.PermTags, Group: "org.admin"}
}

func (p *pages) tagsView(r *web.Request, f *web.Form, editing int64) (v tagsView, c ui.Chrome, err error) {
	c = ui.Chrome{Title: r.T("ticket.tags.title"), Nav: "ticket-tags", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("ticket.tags.title")}}}
	v = tagsView{Form: f, Editing: editing, Colours: options(r, "customer.colour.", customer.Colours)}
	v.Tags, err = p.tickets.Tags(r.Context(), r.Actor)
	return v, c, err
}

func (p *pages) showTags(w http.ResponseWriter, r *web.Request) error {
	f := r.Blank("colour", "blue")
	editing, _ := strconv.ParseInt(r.URL.Query().Get("edit"), 10, 64)
	v, c, err := p.tagsView(r, f, 0)
	if err != nil {
		return err
	}
	for _, t := range v.Tags {
		if t.ID == editing {
			v.Editing = editing
			f.Set("name", t.Name).Set("colour", t.Colour)
		}
	}
	return tagsPage.Render(w, r, c, v)
}

func (p *pages) saveTag(w http.ResponseWriter, r *web.Request) error {
	var n int64
	if r.PathValue("id") != "" {
		var err error
		if n, err = r.PathID("id"); err != nil {
			return err
		}
	}
	f := r.Input()
	_, err := p.tickets.SaveTag(r.Context(), r.Actor, n, f.String("name"), f.String("colour"))
	if k := fault.KindOf(err); err != nil && (k == fault.Invalid || k == fault.Conflict || k == fault.Limited) {
		v, c, viewErr := p.tagsView(r, f, n)
		if viewErr != nil {
			return viewErr
		}
		return tagsPage.Invalid(w, r, err, f, c, v)
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.tag.saved", f.String("name"))
	return r.SeeOther(w, "/admin/ticket-tags")
}

func (p *pages) deleteTag(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.tickets.DeleteTag(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "ticket.tag.deleted")
	return r.SeeOther(w, "/admin/ticket-tags")
}
