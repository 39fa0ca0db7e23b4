package customerui

import (
	"net/http"

	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// tagsView is the managed list of tags.
type tagsView struct {
	Tags    []customer.Tag
	Form    *web.Form // of a new tag, or of Editing when it failed
	Editing int64
	Colours []ui.Option
}

var tagsPage = ui.NewPage[tagsView](files, "tags.html").Sample(
	tagsView{Tags: []customer.Tag{{ID: 1, Name: "x", Colour: "red", Uses: 3}}, Editing: 1, Colours: []ui.Option{{Value: "red", Label: "x"}}})

func (p *pages) tagsPage(r *web.Request, f *web.Form, editing int64) (tagsView, ui.Chrome, error) {
	tags, err := p.Customers.Tags(r.Context())
	v := tagsView{Tags: tags, Form: f, Editing: editing, Colours: options(r, "customer.colour.", customer.Colours)}
	return v, chrome(r, r.T("customer.tags.title")), err
}

func (p *pages) showTags(w http.ResponseWriter, r *web.Request) error {
	f := r.Blank("colour", "blue")
	editing := number(r.URL.Query().Get("edit"))
	v, c, err := p.tagsPage(r, f, editing)
	if err != nil {
		return err
	}
	for _, t := range v.Tags {
		if t.ID == editing {
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
	_, err := p.Customers.SaveTag(r.Context(), r.Actor, n, f.String("name"), f.Get("colour"))
	if k := fault.KindOf(err); k == fault.Invalid || k == fault.Conflict || k == fault.Limited {
		v, c, viewErr := p.tagsPage(r, f, n)
		if viewErr != nil {
			return viewErr
		}
		return tagsPage.Invalid(w, r, err, f, c, v)
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", "customer.tag.saved", f.String("name"))
	return r.SeeOther(w, "/admin/tags")
}

func (p *pages) deleteTag(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.DeleteTag(r.Context(), r.Actor, n); err != nil {
		return err
	}
	r.Flash(w, "green", "customer.tag.deleted")
	return r.SeeOther(w, "/admin/tags")
}
