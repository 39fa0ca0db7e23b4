package ticketapi

import (
	"context"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/ticket"
)

func (s *service) tagRoutes(a *api.API) {
	api.Handle(a, api.Op{ID: "list-ticket-tags", Method: "GET", Path: "/ticket-tags", Tag: tag, Perm: ticket.PermView, Scope: read,
		Summary: "List the tags of tickets", Description: "The whole list that the company keeps, by name."}, s.listTags)
	api.Handle(a, api.Op{ID: "create-ticket-tag", Method: "POST", Path: "/ticket-tags", Tag: tag, Perm: ticket.PermTags, Scope: write, Status: 201, Errors: []int{409},
		Example: `{"name":"夜间","colour":"violet"}`,
		Summary: "Add a tag to the list", Description: "Only tags of the list can be put on tickets."}, s.createTag)
	api.Handle(a, api.Op{ID: "update-ticket-tag", Method: "PATCH", Path: "/ticket-tags/{id}", Tag: tag, Perm: ticket.PermTags, Scope: write, Errors: []int{404, 409},
		Example: `{"name":"夜间来电"}`,
		Summary: "Change a tag", Description: "Members that are left out stay as they are."}, s.updateTag)
	api.Handle(a, api.Op{ID: "delete-ticket-tag", Method: "DELETE", Path: "/ticket-tags/{id}", Tag: tag, Perm: ticket.PermTags, Scope: write, Status: 204, Errors: []int{404},
		Summary: "Delete a tag", Description: "It is taken off all tickets; what their history says stays."}, s.deleteTag)
	api.Handle(a, api.Op{ID: "tag-ticket", Method: "POST", Path: "/tickets/{number}/tags", Tag: tag, Perm: ticket.PermEdit, Scope: write, Errors: []int{404},
		Example: `{"add":["夜间"],"remove":[]}`,
		Summary: "Add tags to a ticket, or take some off", Description: "The others stay. A ticket that has them so already is a 422."}, s.tagTicket)
}

// TagView is a tag of the list.
type TagView struct {
	ID     int64  `json:"id" example:"3"`
	Name   string `json:"name" example:"夜间"`
	Colour string `json:"colour" enum:"gray,red,orange,amber,green,teal,cyan,blue,violet,pink"`
}

type tagsOutput struct {
	Body struct {
		Items []TagView `json:"items"`
	}
}

func (s *service) listTags(ctx context.Context, _ *struct{}) (*tagsOutput, error) {
	all, err := ticket.TagList(ctx, s.tickets.DB().Read())
	if err != nil {
		return nil, err
	}
	var out tagsOutput
	out.Body.Items = []TagView{}
	for _, t := range all {
		out.Body.Items = append(out.Body.Items, TagView{t.ID, t.Name, t.Colour})
	}
	return &out, nil
}

// NewTag is a tag to be added.
type NewTag struct {
	Name   string `json:"name" doc:"At most 20 characters" example:"夜间"`
	Colour string `json:"colour,omitempty" enum:"gray,red,orange,amber,green,teal,cyan,blue,violet,pink" doc:"gray when left out"`
}

type tagOutput struct{ Body TagView }

type newTagInput struct{ Body api.JSON[NewTag] }

func (s *service) createTag(ctx context.Context, in *newTagInput) (*tagOutput, error) {
	n := in.Body.Value()
	if n.Colour == "" {
		n.Colour = "gray"
	}
	return s.saveTag(ctx, 0, n.Name, n.Colour)
}

func (s *service) saveTag(ctx context.Context, id int64, name, colour string) (*tagOutput, error) {
	id, err := s.tickets.SaveTag(ctx, api.Actor(ctx), id, name, colour)
	if err != nil {
		return nil, err
	}
	t, _, err := s.tag(ctx, id)
	return &tagOutput{t}, err
}

func (s *service) tag(ctx context.Context, id int64) (v TagView, ok bool, err error) {
	all, err := ticket.TagList(ctx, s.tickets.DB().Read())
	for _, t := range all {
		if t.ID == id {
			return TagView{t.ID, t.Name, t.Colour}, true, nil
		}
	}
	return v, false, err
}

// TagEdit is a change of a tag; nil members stay as they are.
type TagEdit struct {
	Name   *string `json:"name,omitempty"`
	Colour *string `json:"colour,omitempty" enum:"gray,red,orange,amber,green,teal,cyan,blue,violet,pink"`
}

// TagPath names a tag.
type TagPath struct {
	ID int64 `path:"id" doc:"Id of the tag"`
}

type tagEditInput struct {
	TagPath
	Body api.JSON[TagEdit]
}

func (s *service) updateTag(ctx context.Context, in *tagEditInput) (*tagOutput, error) {
	old, _, err := s.tag(ctx, in.ID) // one that is not there is refused when it is saved
	if err != nil {
		return nil, err
	}
	e := in.Body.Value()
	if old.Colour == "" {
		old.Colour, old.Name = "gray", "?"
	}
	return s.saveTag(ctx, in.ID, api.Some(e.Name, old.Name), api.Some(e.Colour, old.Colour))
}

func (s *service) deleteTag(ctx context.Context, in *TagPath) (*struct{}, error) {
	return nil, s.tickets.DeleteTag(ctx, api.Actor(ctx), in.ID)
}

// Tagging is a change of a ticket's tags.
type Tagging struct {
	Add    []string `json:"add,omitempty" doc:"Names"`
	Remove []string `json:"remove,omitempty" doc:"Names"`
}

type taggingInput struct {
	Path
	api.Idempotency
	Body api.JSON[Tagging]
}

func (s *service) tagTicket(ctx context.Context, in *taggingInput) (*output, error) {
	n := in.Body.Value()
	return s.change(ctx, in.Number, in.Key, "ticket.tag", n, func(ctx context.Context, a *action.Action, id int64) (t ticket.Ticket, err error) {
		add, err := ticket.TagIDs(ctx, a, "add", n.Add)
		if err != nil {
			return t, err
		}
		remove, err := ticket.TagIDs(ctx, a, "remove", n.Remove)
		if err != nil {
			return t, err
		}
		return s.tickets.TagIn(ctx, a, id, add, remove)
	})
}

// tagName is the name of a tag; "" of none, and of one that is gone.
func (s *service) tagName(ctx context.Context, id int64) (string, error) {
	if id == 0 {
		return "", nil
	}
	t, _, err := s.tag(ctx, id)
	return t.Name, err
}
