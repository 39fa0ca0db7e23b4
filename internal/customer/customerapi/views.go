package customerapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
)

// viewRoutes adds saved views and segments.
func viewRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-customer-views", Method: "GET", Path: "/customer-views", Tag: tag, Perm: customer.PermView, Scope: read,
		Summary: "List saved views", Description: "The caller's own, then the shared ones."}, s.views)
	api.Handle(a, api.Op{ID: "save-customer-view", Method: "POST", Path: "/customer-views", Tag: tag, Perm: customer.PermView, Scope: write, Status: 201,
		Example: `{"name":"华南重点客户","filter":{"all":[{"field":"level","op":"is","values":["vip"]}]},"columns":["number","name","owner"],"sort":"activity"}`,
		Summary: "Save a view", Description: "Sharing it needs the permission to share views."}, s.saveView)
	api.Handle(a, api.Op{ID: "update-customer-view", Method: "PUT", Path: "/customer-views/{id}", Tag: tag, Perm: customer.PermView, Scope: write, Errors: []int{404, 409},
		Summary: "Change a saved view", Description: "As a whole, from the `version` that was read: one's own, or a shared one with the permission to share."}, s.updateView)
	api.Handle(a, api.Op{ID: "delete-customer-view", Method: "DELETE", Path: "/customer-views/{id}", Tag: tag, Perm: customer.PermView, Scope: write, Errors: []int{404},
		Summary: "Delete a saved view", Description: "For everybody who has it."}, s.deleteView)
	api.Handle(a, api.Op{ID: "list-customer-segments", Method: "GET", Path: "/customer-segments", Tag: tag, Perm: customer.PermView, Scope: read,
		Summary: "List segments", Description: "Conditions on customers that are kept under a name. Who belongs to one is asked with `segment` in the list of customers."}, s.segments)
	api.Handle(a, api.Op{ID: "create-customer-segment", Method: "POST", Path: "/customer-segments", Tag: tag, Perm: customer.PermSegments, Scope: write, Status: 201, Errors: []int{409},
		Example: `{"name":"重点回访","note":"每月一次","filter":{"all":[{"field":"level","op":"is","values":["vip"]}]}}`,
		Summary: "Make a segment", Description: "A name there is already is a 409. It speaks neither of other segments nor of “me”."}, s.createSegment)
	api.Handle(a, api.Op{ID: "update-customer-segment", Method: "PUT", Path: "/customer-segments/{id}", Tag: tag, Perm: customer.PermSegments, Scope: write, Errors: []int{404, 409},
		Summary: "Change a segment", Description: "As a whole, from the `version` that was read."}, s.updateSegment)
	api.Handle(a, api.Op{ID: "delete-customer-segment", Method: "DELETE", Path: "/customer-segments/{id}", Tag: tag, Perm: customer.PermSegments, Scope: write, Errors: []int{404, 409},
		Summary: "Delete a segment", Description: "The customers stay."}, s.deleteSegment)
}

// NewView is a way of looking at the customers to be kept.
type NewView struct {
	Name    string          `json:"name" doc:"At most 40 characters" example:"华南重点客户"`
	Filter  json.RawMessage `json:"filter,omitempty" doc:"Conditions, as the filter of the list of customers takes them; everybody when left out"`
	Columns []string        `json:"columns,omitempty" doc:"As of an export; the reader's own when left out" example:"number"`
	Sort    string          `json:"sort,omitempty" enum:"activity,idle,created,oldest,name,verify,planned"`
	Shared  bool            `json:"shared,omitempty" doc:"Whether everybody who sees customers has it"`
	Version int64           `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// View is a saved view.
type View struct {
	ID int64 `json:"id"`
	NewView
	Owner string `json:"owner,omitempty" doc:"Name of whose it is"`
	Own   bool   `json:"own" doc:"Whether it is the caller's"`
}

// Views are the views the caller has.
type Views struct {
	Items []View `json:"items"`
}

func viewOf(ctx context.Context, v customer.SavedView) View {
	return View{ID: v.ID, NewView: NewView{v.Name, rawQuery(v.Query), v.Columns, v.Sort, v.Shared, v.Version}, Owner: v.Owner, Own: v.OwnerID == api.Actor(ctx).ID}
}

// rawQuery is q as it is sent: nil for everybody.
func rawQuery(q customer.Query) json.RawMessage {
	if s := q.String(); s != "" {
		return json.RawMessage(s)
	}
	return nil
}

func (s *service) views(ctx context.Context, _ *struct{}) (*struct{ Body Views }, error) {
	list, err := s.customers.Views(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Views }{Views{Items: make([]View, 0, len(list))}}
	for _, v := range list {
		out.Body.Items = append(out.Body.Items, viewOf(ctx, v))
	}
	return out, nil
}

func (n NewView) input(id int64) (v customer.SavedView, err error) {
	v = customer.SavedView{ID: id, Name: n.Name, Columns: n.Columns, Sort: n.Sort, Shared: n.Shared, Version: n.Version}
	v.Query, err = customer.ParseQuery(string(n.Filter))
	return v, err
}

type viewOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     View
}

func (s *service) viewNow(ctx context.Context, id int64, replayed string, err error) (*viewOutput, error) {
	if err != nil {
		return nil, err
	}
	v, err := s.customers.View(ctx, api.Actor(ctx), fmt.Sprint(id))
	if err != nil {
		return nil, err
	}
	return &viewOutput{replayed, viewOf(ctx, v)}, nil
}

func (s *service) saveView(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewView]
}) (*viewOutput, error) {
	n := in.Body.Value()
	v, err := n.input(0)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "customer.save_view", n, func(ctx context.Context, a *action.Action) (int64, error) { return s.customers.SaveViewIn(ctx, a, v) })
	return s.viewNow(ctx, id, replayed, err)
}

// ViewPath names a view or a segment.
type ViewPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the view or segment" example:"4"`
}

func (s *service) updateView(ctx context.Context, in *struct {
	ViewPath
	Body api.JSON[NewView]
}) (*viewOutput, error) {
	n := in.Body.Value()
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	v, err := n.input(in.ID)
	if err == nil {
		_, err = s.customers.SaveView(ctx, api.Actor(ctx), v)
	}
	return s.viewNow(ctx, in.ID, "", err)
}

func (s *service) deleteView(ctx context.Context, in *struct{ ViewPath }) (*struct{}, error) {
	return nil, s.customers.DeleteView(ctx, api.Actor(ctx), in.ID)
}

// NewSegment is a segment to be written.
type NewSegment struct {
	Name    string          `json:"name" doc:"At most 40 characters" example:"重点回访"`
	Note    string          `json:"note,omitempty" doc:"What it is for, at most 200 characters"`
	Filter  json.RawMessage `json:"filter" doc:"Its conditions, as the filter of the list of customers takes them"`
	Version int64           `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// Segment is a condition on customers that is kept under a name.
type Segment struct {
	ID int64 `json:"id"`
	NewSegment
	Count     int        `json:"count" doc:"How many customers within the caller's data scope belong to it now; 1000 means that many and more, -1 that counting took too long"`
	UpdatedAt *time.Time `json:"updated_at"`
}

// Segments is the list of segments.
type Segments struct {
	Items []Segment `json:"items"`
}

func (s *service) segmentViews(ctx context.Context, list []customer.Segment) ([]Segment, error) {
	fs := make([]customer.Filter, len(list))
	for i, g := range list {
		fs[i].SegmentID = g.ID
	}
	counts, err := s.customers.Counts(ctx, api.Actor(ctx), fs)
	if err != nil {
		return nil, err
	}
	out := make([]Segment, 0, len(list))
	for i, g := range list {
		out = append(out, Segment{g.ID, NewSegment{g.Name, g.Note, rawQuery(g.Query), g.Version}, counts[i], api.At(ctx, g.UpdatedAt)})
	}
	return out, nil
}

func (s *service) segments(ctx context.Context, _ *struct{}) (*struct{ Body Segments }, error) {
	list, err := s.customers.Segments(ctx)
	if err != nil {
		return nil, err
	}
	items, err := s.segmentViews(ctx, list)
	return &struct{ Body Segments }{Segments{items}}, err
}

type segmentOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Segment
}

func (s *service) segmentNow(ctx context.Context, id int64, replayed string, err error) (*segmentOutput, error) {
	if err != nil {
		return nil, err
	}
	g, err := s.customers.Segment(ctx, id)
	if err != nil {
		return nil, err
	}
	items, err := s.segmentViews(ctx, []customer.Segment{g})
	if err != nil {
		return nil, err
	}
	return &segmentOutput{replayed, items[0]}, nil
}

func (n NewSegment) input(id int64) (g customer.Segment, err error) {
	if len(n.Filter) == 0 {
		return g, fault.Invalidf("api.invalid").Field("filter", "api.need_member", "filter")
	}
	g = customer.Segment{ID: id, Name: n.Name, Note: n.Note, Version: n.Version}
	g.Query, err = customer.ParseQuery(string(n.Filter))
	return g, err
}

func (s *service) createSegment(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewSegment]
}) (*segmentOutput, error) {
	n := in.Body.Value()
	g, err := n.input(0)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "customer.save_segment", n, func(ctx context.Context, a *action.Action) (int64, error) {
		return s.customers.SaveSegmentIn(ctx, a, g)
	})
	return s.segmentNow(ctx, id, replayed, err)
}

func (s *service) updateSegment(ctx context.Context, in *struct {
	ViewPath
	Body api.JSON[NewSegment]
}) (*segmentOutput, error) {
	n := in.Body.Value()
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	g, err := n.input(in.ID)
	if err == nil {
		_, err = s.customers.SaveSegment(ctx, api.Actor(ctx), g)
	}
	return s.segmentNow(ctx, in.ID, "", err)
}

func (s *service) deleteSegment(ctx context.Context, in *struct{ ViewPath }) (*struct{}, error) {
	return nil, s.customers.DeleteSegment(ctx, api.Actor(ctx), in.ID)
}
