package ticketapi

import (
	"context"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/ticket"
)

// workspaceRoutes adds what belongs to the caller's own desk: open tickets, what
// he has put off, his views; and the checklist of a ticket.
func (s *service) workspaceRoutes(a *api.API) {
	api.Handle(a, api.Op{ID: "list-tabs", Method: "GET", Path: "/tabs", Tag: tag, Perm: ticket.PermView, Scope: read,
		Summary: "List the tickets the caller has open", Description: "The tabs of his workspace, in the order he opened them."}, s.tabs)
	api.Handle(a, api.Op{ID: "open-tab", Method: "PUT", Path: "/tabs/{number}", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Open a ticket in the caller's workspace", Description: "Or say that he has looked at it now. Of more than 12 the one not looked at for longest makes room."}, s.openTab)
	api.Handle(a, api.Op{ID: "close-tab", Method: "DELETE", Path: "/tabs/{number}", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Close a tab of the caller's workspace", Description: "Answers with those that stay open."}, s.closeTab)
	api.Handle(a, api.Op{ID: "snooze-ticket", Method: "PUT", Path: "/tickets/{number}/snooze", Tag: tag, Perm: ticket.PermView, Scope: write, Errors: []int{404, 409},
		Example: `{"until":"2026-11-25T09:00:00+08:00"}`,
		Summary: "Put a ticket off", Description: "It leaves the views of the caller's own work until then, or until the customer writes; for others, and for its clocks, nothing changes. 90 days at most; a finished ticket is a 409."}, s.snooze)
	api.Handle(a, api.Op{ID: "get-ticket-snooze", Method: "GET", Path: "/tickets/{number}/snooze", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Read until when the caller has put a ticket off", Description: "Without `until` he has not, or it is over."}, s.snoozed)
	api.Handle(a, api.Op{ID: "wake-ticket", Method: "DELETE", Path: "/tickets/{number}/snooze", Tag: tag, Perm: ticket.PermView, Scope: write, Errors: []int{404},
		Summary: "Take putting off back", Description: "The ticket stands among the caller's work again."}, s.wake)
	api.Handle(a, api.Op{ID: "list-checks", Method: "GET", Path: "/tickets/{number}/checks", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Read the checklist of a ticket", Description: "In the order the items were written down."}, s.checks)
	api.Handle(a, api.Op{ID: "add-checks", Method: "POST", Path: "/tickets/{number}/checks", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"items":["核对序列号","拍照存档"]}`,
		Summary: "Add to the checklist of a ticket", Description: "50 items at most, of 200 characters."}, s.addChecks)
	api.Handle(a, api.Op{ID: "tick-check", Method: "PATCH", Path: "/tickets/{number}/checks/{id}", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Example: `{"done":true}`,
		Summary: "Tick an item of the checklist", Description: "What is so already stays."}, s.tick)
	api.Handle(a, api.Op{ID: "drop-check", Method: "DELETE", Path: "/tickets/{number}/checks/{id}", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Summary: "Take an item off the checklist", Description: "Answers with what is left of it."}, s.dropCheck)
	api.Handle(a, api.Op{ID: "list-ticket-views", Method: "GET", Path: "/ticket-views", Tag: tag, Perm: ticket.PermView, Scope: read,
		Summary: "List saved views", Description: "The caller's own, then those shared with him. `filter` is what the list of tickets takes as parameters."}, s.views)
	api.Handle(a, api.Op{ID: "save-ticket-view", Method: "POST", Path: "/ticket-views", Tag: tag, Perm: ticket.PermView, Scope: write, Status: 201,
		Example: `{"name":"本周紧急投诉","filter":{"view":"complaints","priority":"urgent"}}`,
		Summary: "Save a view", Description: "Sharing it needs the permission to supervise."}, s.saveView)
	api.Handle(a, api.Op{ID: "update-ticket-view", Method: "PUT", Path: "/ticket-views/{id}", Tag: tag, Perm: ticket.PermView, Scope: write, Errors: []int{404, 409},
		Summary: "Change a saved view", Description: "As a whole: the caller's own, or a shared one by who configures tickets."}, s.updateView)
	api.Handle(a, api.Op{ID: "delete-ticket-view", Method: "DELETE", Path: "/ticket-views/{id}", Tag: tag, Perm: ticket.PermView, Scope: write, Errors: []int{404},
		Summary: "Delete a view of the caller's own", Description: "Also for those he shared it with; somebody else's is a 404."}, s.deleteView)
}

// Tab is a ticket the caller has open.
type Tab struct {
	Number   string `json:"number" example:"TASK20261121001"`
	Title    string `json:"title"`
	State    string `json:"state" enum:"pending,in_progress,waiting_customer,awaiting_confirmation,completed,closed,cancelled"`
	Priority string `json:"priority" enum:"urgent,high,medium,low"`
	Fresh    bool   `json:"fresh" doc:"Whether something has happened since he looked"`
}

// Tabs are the tickets the caller has open.
type Tabs struct {
	Items []Tab `json:"items"`
}

type tabsOutput struct{ Body Tabs }

func (s *service) tabs(ctx context.Context, _ *struct{}) (*tabsOutput, error) {
	list, err := s.tickets.Tabs(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &tabsOutput{Tabs{Items: make([]Tab, 0, len(list))}}
	for _, t := range list {
		out.Body.Items = append(out.Body.Items, Tab{t.Number, t.Title, string(t.State), t.Priority, t.Fresh})
	}
	return out, nil
}

func (s *service) openTab(ctx context.Context, in *struct{ Path }) (*tabsOutput, error) {
	return s.turnTab(ctx, in.Number, func(id int64) error { return s.tickets.OpenTab(ctx, api.Actor(ctx), id, 0) })
}

func (s *service) closeTab(ctx context.Context, in *struct{ Path }) (*tabsOutput, error) {
	return s.turnTab(ctx, in.Number, func(id int64) error { return s.tickets.CloseTab(ctx, api.Actor(ctx), id) })
}

func (s *service) turnTab(ctx context.Context, number string, fn func(id int64) error) (*tabsOutput, error) {
	t, err := s.find(ctx, number)
	if err != nil {
		return nil, err
	}
	if err := fn(t.ID); err != nil {
		return nil, err
	}
	return s.tabs(ctx, nil)
}

// Snooze is until when a ticket is put off.
type Snooze struct {
	Until *time.Time `json:"until,omitempty" example:"2026-11-25T09:00:00+08:00"`
}

type snoozeOutput struct{ Body Snooze }

func (s *service) snooze(ctx context.Context, in *struct {
	Path
	Body api.JSON[Snooze]
}) (*snoozeOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	// The zero time would wake it; the room refuses what has passed.
	until := api.Some(in.Body.Value().Until, time.Unix(0, 0))
	if err := s.tickets.Snooze(ctx, api.Actor(ctx), t.ID, until); err != nil {
		return nil, err
	}
	return &snoozeOutput{Snooze{api.At(ctx, until)}}, nil
}

func (s *service) snoozed(ctx context.Context, in *struct{ Path }) (*snoozeOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	zs, err := s.tickets.Snoozes(ctx, api.Actor(ctx), ticket.Row{ID: t.ID, CustomerAt: t.CustomerAt})
	out := &snoozeOutput{}
	if z, ok := zs[t.ID]; ok && !z.Over {
		out.Body.Until = api.At(ctx, z.Until)
	}
	return out, err
}

func (s *service) wake(ctx context.Context, in *struct{ Path }) (*snoozeOutput, error) {
	t, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	return &snoozeOutput{}, s.tickets.Snooze(ctx, api.Actor(ctx), t.ID, time.Time{})
}

// Check is one thing to be done on a ticket.
type Check struct {
	ID     int64      `json:"id"`
	Body   string     `json:"body" example:"核对序列号"`
	Done   bool       `json:"done"`
	DoneAt *time.Time `json:"done_at,omitempty"`
	DoneBy string     `json:"done_by,omitempty" doc:"Name"`
}

// Checks is the checklist of a ticket.
type Checks struct {
	Items []Check `json:"items"`
}

type checksOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Checks
}

func (s *service) checks(ctx context.Context, in *struct{ Path }) (*checksOutput, error) {
	return s.checking(ctx, in.Number, func(int64) (string, error) { return "", nil })
}

// checking changes the checklist of a ticket and answers with it.
func (s *service) checking(ctx context.Context, number string, fn func(id int64) (replayed string, err error)) (*checksOutput, error) {
	t, err := s.find(ctx, number)
	if err != nil {
		return nil, err
	}
	out := &checksOutput{Body: Checks{Items: []Check{}}}
	if out.Replayed, err = fn(t.ID); err != nil {
		return nil, err
	}
	list, err := ticket.Checks(ctx, s.tickets.DB().Read(), t.ID)
	for _, c := range list {
		out.Body.Items = append(out.Body.Items, Check{c.ID, c.Body, !c.DoneAt.IsZero(), api.At(ctx, c.DoneAt), c.DoneBy})
	}
	return out, err
}

// NewChecks are items to be added to a checklist.
type NewChecks struct {
	Items []string `json:"items"`
}

func (s *service) addChecks(ctx context.Context, in *struct {
	Path
	api.Idempotency
	Body api.JSON[NewChecks]
}) (*checksOutput, error) {
	n := in.Body.Value()
	return s.checking(ctx, in.Number, func(id int64) (string, error) {
		_, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.check", n, func(ctx context.Context, a *action.Action) (bool, error) {
			return true, s.tickets.AddChecksIn(ctx, a, id, strings.Join(n.Items, "\n"))
		})
		return replayed, err
	})
}

// CheckPath names an item of a checklist.
type CheckPath struct {
	Path
	ID int64 `path:"id" minimum:"1" doc:"Id of the item" example:"5"`
}

// Tick says whether an item is done.
type Tick struct {
	Done bool `json:"done"`
}

func (s *service) tick(ctx context.Context, in *struct {
	CheckPath
	Body api.JSON[Tick]
}) (*checksOutput, error) {
	return s.checking(ctx, in.Number, func(id int64) (string, error) {
		return "", s.tickets.TickCheck(ctx, api.Actor(ctx), id, in.ID, in.Body.Value().Done)
	})
}

func (s *service) dropCheck(ctx context.Context, in *struct{ CheckPath }) (*checksOutput, error) {
	return s.checking(ctx, in.Number, func(id int64) (string, error) {
		return "", s.tickets.DropCheck(ctx, api.Actor(ctx), id, in.ID)
	})
}

// NewView is a view to be saved.
type NewView struct {
	Name       string `json:"name" doc:"At most 40 characters" example:"本周紧急投诉"`
	Filter     Filter `json:"filter"`
	SharedWith string `json:"shared_with,omitempty" doc:"everybody, or the name of one of the caller's departments; nobody when left out" example:"everybody"`
}

// View is a saved view.
type View struct {
	ID int64 `json:"id"`
	NewView
	Own bool `json:"own" doc:"Whether it is the caller's"`
}

// Views are the views the caller has.
type Views struct {
	Items []View `json:"items"`
}

const everybody = "everybody"

func (s *service) views(ctx context.Context, _ *struct{}) (*struct{ Body Views }, error) {
	list, err := s.tickets.SavedViews(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Views }{Views{Items: make([]View, 0, len(list))}}
	for _, v := range list {
		x, err := s.viewOf(ctx, v)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, x)
	}
	return out, nil
}

func (s *service) viewOf(ctx context.Context, v ticket.SavedView) (out View, err error) {
	out = View{ID: v.ID, NewView: NewView{Name: v.Name}, Own: v.Owner == api.Actor(ctx).ID}
	switch {
	case v.Shared == ticket.SharedEverybody:
		out.SharedWith = everybody
	case v.Shared > 0:
		out.SharedWith = s.people.Department(ctx, nil, v.Shared)
	}
	out.Filter, err = s.filterOf(ctx, v.Filter)
	return out, err
}

type newViewOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the answer to an earlier request"`
	Body     View
}

func (s *service) saveView(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewView]
}) (*newViewOutput, error) {
	n, actor := in.Body.Value(), api.Actor(ctx)
	v, err := s.viewInput(ctx, 0, n)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.save_view", n, func(ctx context.Context, a *action.Action) (int64, error) {
		return s.tickets.SaveViewIn(ctx, a, v.Name, v.Filter, v.Shared)
	})
	if err != nil {
		return nil, err
	}
	v.ID, v.Owner = id, actor.ID
	out, err := s.viewOf(ctx, v)
	return &newViewOutput{replayed, out}, err
}

func (s *service) viewInput(ctx context.Context, id int64, n NewView) (v ticket.SavedView, err error) {
	v = ticket.SavedView{ID: id, Name: strings.TrimSpace(n.Name)}
	if v.Filter, err = s.filter(ctx, n.Filter); err == nil {
		err = s.tickets.CheckQuery(ctx, api.Actor(ctx), v.Filter.Query)
	}
	if err != nil {
		return v, api.Prefixed(err, "filter")
	}
	if v.Shared = ticket.SharedEverybody; n.SharedWith != everybody {
		v.Shared, err = s.people.DepartmentID(ctx, "shared_with", n.SharedWith)
	}
	return v, err
}

// ViewPath names a saved view.
type ViewPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the view" example:"4"`
}

func (s *service) updateView(ctx context.Context, in *struct {
	ViewPath
	Body api.JSON[NewView]
}) (*newViewOutput, error) {
	actor := api.Actor(ctx)
	v, err := s.viewInput(ctx, in.ID, in.Body.Value())
	if err == nil {
		err = s.tickets.EditView(ctx, actor, v)
	}
	if err == nil {
		v, err = s.tickets.SavedView(ctx, actor, in.ID)
	}
	if err != nil {
		return nil, err
	}
	out, err := s.viewOf(ctx, v)
	return &newViewOutput{"", out}, err
}

func (s *service) deleteView(ctx context.Context, in *struct{ ViewPath }) (*struct{}, error) {
	return nil, s.tickets.DeleteView(ctx, api.Actor(ctx), in.ID)
}
