package ticketui

import (
	"context"
	"net/http"
	"strings"

	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

func (p *pages) tagRoutes(rt *web.Router) {
	rt.Handle("GET  /tickets/tags", ticket.PermView, p.suggestTags, web.JSON())
	rt.Handle("POST /tickets/{number}/tags", ticket.PermEdit, p.setTags)
}

// chips are the tags of t as they are drawn; a ticket without any costs nothing,
// and their list is held.
func (p *pages) chips(ctx context.Context, g ticket.Tags) ([]ticket.Tag, error) {
	return ticket.TagsOf(ctx, p.Tickets.DB().Read(), g)
}

func (p *pages) tagOptions(r *web.Request) (out []ui.Option, err error) {
	all, err := ticket.TagList(r.Context(), p.Tickets.DB().Read())
	for _, t := range all {
		out = append(out, ui.Option{Value: id(t.ID), Label: t.Name})
	}
	return out, err
}

// suggestTags answers the field in which a tag is typed.
func (p *pages) suggestTags(w http.ResponseWriter, r *web.Request) error {
	found, err := p.Tickets.FindTags(r.Context(), r.URL.Query().Get("q"), 20)
	if err != nil {
		return err
	}
	type suggestion struct {
		ID    int64  `json:"id"`
		Label string `json:"label"`
		Note  string `json:"note"`
	}
	out := []suggestion{}
	for _, t := range found {
		out = append(out, suggestion{t.ID, t.Name, ""})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// setTags takes a tag off, or adds the one that was chosen or typed; whoever
// keeps the list adds to it what it does not have yet.
func (p *pages) setTags(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	f := r.Input()
	tag, off, typed := f.ID("tag"), f.ID("remove"), f.String("tag_text")
	if err := f.Err(); err != nil {
		return err
	}
	switch {
	case off != 0:
		_, err = p.Tickets.Tag(r.Context(), r.Actor, t.ID, nil, []int64{off})
	case tag != 0:
		_, err = p.Tickets.Tag(r.Context(), r.Actor, t.ID, []int64{tag}, nil)
	case typed != "":
		_, err = p.Tickets.TagByName(r.Context(), r.Actor, t.ID, typed)
	default:
		return fault.New(fault.Invalid, "ticket.tag.choose")
	}
	if fe, ok := fault.As(err); ok && fe.Key == "ticket.nothing_changed" {
		err = nil
	}
	if err != nil {
		return err
	}
	return p.changed(w, r, t, whole)
}

// labels are the tags of a row as it keeps them.
func (p *pages) labels(r *web.Request, g ticket.Tags) (string, error) {
	tags, err := p.chips(r.Context(), g)
	var b strings.Builder
	for _, t := range tags {
		b.WriteString(t.Colour + "\x00" + t.Name + "\x00")
	}
	return b.String(), err
}
