package customerapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/approval"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/web"
)

// bulkRoutes adds changes of many customers.
func bulkRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "change-customers", Method: "POST", Path: "/customer-bulks", Tag: tag, Perm: customer.PermView, Scope: write, Status: 201,
		Example: `{"customers":["C202611210001","C202611210002"],"change":"owner","owner":"kefu","reason":"片区调整"}`,
		Summary: "Change many customers", Description: "The `customers` named, 500 at most, or all within the data scope that fulfil `filter`. Up to 200 are changed at once; more in the background: read the change at its `Location` until it is no longer `running`. " +
			"`tag` and `untag` need the permission to tag, `owner` and `level` that to edit and a `reason`; customers beyond it are left alone and stand among the results. Sent again under its key, the answer is the same change as it is by then."}, s.change)
	api.Handle(a, api.Op{ID: "get-customer-bulk", Method: "GET", Path: "/customer-bulks/{id}", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a change of many customers", Description: "How far it is and what has come of it; only whoever asked for it may. `results` are a page of those who were not simply changed, by `cursor`. It is kept for 30 days."}, s.bulk)
	api.Handle(a, api.Op{ID: "cancel-customer-bulk", Method: "POST", Path: "/customer-bulks/{id}/cancellation", Tag: tag, Perm: customer.PermView, Scope: write, Errors: []int{404, 409},
		Summary: "Stop a change of many customers", Description: "What is done stays done. One that is over is a 409."}, s.cancelBulk)
	api.Handle(a, api.Op{ID: "get-customer-level-changes", Method: "GET", Path: "/customer-level-changes/{id}", Tag: tag, Perm: approval.PermUse, Scope: read, Errors: []int{404},
		Summary: "Read a change of level of many customers that waits for approval, or did", Description: "What a bulk change or an import wanted is asked for by one request: `id` is its `subject_id` where `subject_type` is `customer_levels`. " +
			"For whoever sees the request. `customers` are a page of them, by `cursor`; persons' names are masked."}, s.levelChanges)
}

// LevelChanges is a change of level of many customers, asked for by one request.
type LevelChanges struct {
	ID         int64           `json:"id"`
	Source     string          `json:"source" enum:"bulk,import"`
	State      string          `json:"state" enum:"asked,settling,settled"`
	Approval   int64           `json:"approval" doc:"Id of the request"`
	Agreed     bool            `json:"agreed" doc:"Once settling or settled"`
	Reason     string          `json:"reason"`
	Total      int64           `json:"total"`
	Changed    int64           `json:"changed"`
	Skipped    int64           `json:"skipped" doc:"Those whose level was another one by then, or who were gone"`
	CreatedAt  *time.Time      `json:"created_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	Customers  []CustomerLevel `json:"customers"`
	Next       string          `json:"next,omitempty" doc:"Cursor of the next page of customers; absent at the end"`
}

// CustomerLevel is a customer with his old and new level.
type CustomerLevel struct {
	Number   string `json:"number"`
	Name     string `json:"name"`
	OldLevel string `json:"old_level" enum:"normal,vip,strategic"`
	NewLevel string `json:"new_level" enum:"normal,vip,strategic"`
	Outcome  string `json:"outcome,omitempty" enum:"changed,meanwhile,kept" doc:"Absent while nobody has decided"`
}

type levelChangesOutput struct{ Body LevelChanges }

func (s *service) levelChanges(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1" doc:"Its subject_id" example:"12"`
	api.Page
}) (*levelChangesOutput, error) {
	b, err := s.customers.Levels(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.Cursor, 10, 64)
	wishes, err := s.customers.LevelWishes(ctx, api.Actor(ctx), in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	v := LevelChanges{ID: b.ID, Source: b.Source, State: b.State, Approval: b.RequestID, Agreed: b.Agreed, Reason: b.Reason, Total: b.Total, Changed: b.Changed, Skipped: b.Skipped,
		CreatedAt: api.At(ctx, b.CreatedAt), FinishedAt: api.At(ctx, b.FinishedAt), Customers: []CustomerLevel{}}
	if len(wishes) > in.Limit {
		wishes = wishes[:in.Limit]
		v.Next = strconv.FormatInt(wishes[in.Limit-1].CustomerID, 10)
	}
	for _, w := range wishes {
		v.Customers = append(v.Customers, CustomerLevel{w.Number, w.Name, string(w.From), string(w.To), w.Outcome})
	}
	return &levelChangesOutput{v}, nil
}

// BulkPath names a change of many customers.
type BulkPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the change" example:"12"`
}

// NewBulk is a change of many customers.
type NewBulk struct {
	Customers []string        `json:"customers,omitempty" doc:"Their numbers; instead of filter" example:"C202611210001"`
	Filter    json.RawMessage `json:"filter,omitempty" doc:"Conditions, as the filter of the list of customers takes them; instead of customers. Without any condition ({\"all\":[]}) it is everybody in the data scope"`
	Change    string          `json:"change" enum:"tag,untag,owner,level" doc:"What is changed"`
	Tags      []string        `json:"tags,omitempty" doc:"Names from the managed list; of tag and untag"`
	Owner     string          `json:"owner,omitempty" doc:"Login, or none for nobody; of owner" example:"kefu"`
	Level     string          `json:"level,omitempty" enum:",normal,vip,strategic" doc:"Of level; where the company wants it, one request asks for all of them"`
	Reason    string          `json:"reason,omitempty" doc:"Needed for owner and level"`
}

// Bulk is a change of many customers, as far as it is.
type Bulk struct {
	ID         int64          `json:"id"`
	State      string         `json:"state" enum:"running,finished,failed,cancelled"`
	Change     string         `json:"change" enum:"tag,untag,owner,level"`
	Tags       []string       `json:"tags,omitempty" doc:"Names; those that were deleted since are left out"`
	Owner      *orgapi.Person `json:"owner,omitempty" doc:"Absent for nobody"`
	Level      string         `json:"level,omitempty" enum:"normal,vip,strategic"`
	Reason     string         `json:"reason,omitempty"`
	Total      int64          `json:"total" doc:"Customers, when it was asked for"`
	Done       int64          `json:"done" doc:"Those gone through so far"`
	Changed    int64          `json:"changed"`
	Same       int64          `json:"same" doc:"Those it would not have changed"`
	Asked      int64          `json:"asked" doc:"Those whose change waits for approval"`
	Forbidden  int64          `json:"forbidden" doc:"Those the caller may not change"`
	Failed     int64          `json:"failed"`
	CreatedAt  *time.Time     `json:"created_at"`
	FinishedAt *time.Time     `json:"finished_at,omitempty"`
	Results    []BulkResult   `json:"results" doc:"Customers who were not simply changed"`
	Next       string         `json:"next,omitempty" doc:"Cursor of the next page of results; absent at the end"`
}

// BulkResult is a customer who was not simply changed.
type BulkResult struct {
	Number  string `json:"number,omitempty" doc:"Absent for a customer beyond the caller's data scope"`
	Name    string `json:"name,omitempty"`
	Outcome string `json:"outcome" enum:"forbidden,hidden,asked,failed"`
	Reason  string `json:"reason,omitempty" doc:"In the language of the request"`
}

type bulkOutput struct{ Body Bulk }

type newBulkOutput struct {
	Location string `header:"Location" doc:"Address of the change"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has begun it"`
	Body     Bulk
}

// numbered returns the ids of customers in the caller's scope by their numbers;
// others are refused at the field, whether there are any or not.
func (s *service) numbered(ctx context.Context, field string, numbers []string) ([]int64, error) {
	byID, _, err := s.customers.Targets(ctx, s.run.DB().Read(), customer.View(api.Actor(ctx)), numbers, nil)
	if err != nil {
		return nil, err
	}
	e := fault.Invalidf("api.invalid")
	ids := make([]int64, 0, len(numbers))
	for i, n := range numbers {
		if len(byID[n]) == 0 {
			e.Field(fmt.Sprintf("%s.%d", field, i), "api.unknown_customer", n)
			continue
		}
		ids = append(ids, byID[n][0].ID)
	}
	return ids, e.OrNil()
}

// selection is which customers a change is for.
func (s *service) selection(ctx context.Context, b NewBulk) (sel customer.Selection, err error) {
	if string(b.Filter) == "null" { // that is nobody's condition, not everybody
		b.Filter = nil
	}
	if (len(b.Customers) > 0) == (len(b.Filter) > 0) {
		return sel, fault.Invalidf("api.invalid").Field("customers", "api.customers_or_filter")
	}
	if len(b.Filter) == 0 {
		sel.IDs, err = s.numbered(ctx, "customers", b.Customers)
		return sel, err
	}
	sel.Filter = &customer.Filter{}
	sel.Filter.Query, err = customer.ParseQuery(string(b.Filter))
	return sel, err
}

func (s *service) bulkChange(ctx context.Context, b NewBulk) (c customer.BulkChange, err error) {
	c.Reason = b.Reason
	e := fault.Invalidf("api.invalid")
	for _, m := range []struct {
		name          string
		given, wanted bool
	}{{"tags", len(b.Tags) > 0, b.Change == "tag" || b.Change == "untag"}, {"owner", b.Owner != "", b.Change == "owner"}, {"level", b.Level != "", b.Change == "level"}} {
		switch {
		case m.given && !m.wanted:
			e.Field(m.name, "api.pick_change", b.Change)
		case m.wanted && !m.given:
			e.Field(m.name, "api.need_member", m.name)
		}
	}
	if err := e.OrNil(); err != nil {
		return c, err
	}
	switch b.Change {
	case "tag":
		c.AddTags, err = s.tags(ctx, "tags", b.Tags)
	case "untag":
		c.RemoveTags, err = s.tags(ctx, "tags", b.Tags)
	case "level":
		c.Level = customer.Level(b.Level)
	case "owner":
		c.SetOwner = true
		if b.Owner != "none" {
			c.OwnerID, err = s.people.PersonID(ctx, "owner", b.Owner)
		}
	default:
		err = fault.Invalidf("api.invalid").Field("change", "api.bad_parameter", "change")
	}
	return c, err
}

func (s *service) change(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewBulk]
}) (*newBulkOutput, error) {
	b := in.Body.Value()
	c, err := s.bulkChange(ctx, b)
	if err != nil {
		return nil, err
	}
	sel, err := s.selection(ctx, b)
	if err != nil {
		return nil, err
	}
	actor := api.Actor(ctx)
	id, replayed, err := api.Once(ctx, s.run, in.Key, "customer.bulk", b, func(ctx context.Context, a *action.Action) (int64, error) {
		x, err := s.customers.ChangeIn(ctx, a, sel, c)
		return x.ID, err
	})
	if err != nil {
		return nil, err
	}
	x, err := s.customers.Bulk(ctx, actor, id)
	if err == nil && replayed == "" {
		x, err = s.customers.CarryOut(ctx, actor, x)
	}
	if err != nil {
		return nil, err
	}
	v, err := s.bulkView(ctx, x, 0, api.FirstPage)
	if err != nil {
		return nil, err
	}
	return &newBulkOutput{fmt.Sprintf("%s/customer-bulks/%d", api.Prefix, id), replayed, v}, nil
}

func (s *service) bulkView(ctx context.Context, b customer.Bulk, after int64, limit int) (Bulk, error) {
	c, n := b.Change, b.Counts
	v := Bulk{ID: b.ID, State: b.State, Change: c.Kind(), Level: string(c.Level), Reason: c.Reason, Total: b.Total, Done: n.Done, Changed: n.Changed, Same: n.Same, Asked: n.Asked,
		Forbidden: n.Forbidden, Failed: n.Failed, CreatedAt: api.At(ctx, b.CreatedAt), FinishedAt: api.At(ctx, b.FinishedAt), Results: []BulkResult{}}
	if c.SetOwner {
		v.Owner = s.people.Person(ctx, nil, c.OwnerID)
	}
	if ids := append(append([]int64{}, c.AddTags...), c.RemoveTags...); len(ids) > 0 {
		all, err := s.customers.TagList(ctx)
		if err != nil {
			return v, err
		}
		for _, id := range ids {
			for _, t := range all {
				if t.ID == id {
					v.Tags = append(v.Tags, t.Name)
				}
			}
		}
	}
	lines, err := s.customers.BulkLines(ctx, api.Actor(ctx), b.ID, after, limit+1)
	if err != nil {
		return v, err
	}
	if len(lines) > limit {
		lines = lines[:limit]
		v.Next = strconv.FormatInt(lines[limit-1].CustomerID, 10)
	}
	for _, l := range lines {
		v.Results = append(v.Results, BulkResult{l.Number, l.Name, l.Outcome, l.Say(web.From(ctx).Lang)})
	}
	return v, nil
}

func (s *service) bulk(ctx context.Context, in *struct {
	BulkPath
	api.Page
}) (*bulkOutput, error) {
	b, err := s.customers.Bulk(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.Cursor, 10, 64)
	v, err := s.bulkView(ctx, b, after, in.Limit)
	return &bulkOutput{v}, err
}

func (s *service) cancelBulk(ctx context.Context, in *struct{ BulkPath }) (*bulkOutput, error) {
	if err := s.customers.CancelBulk(ctx, api.Actor(ctx), in.ID); err != nil {
		return nil, err
	}
	b, err := s.customers.Bulk(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.bulkView(ctx, b, 0, api.FirstPage)
	return &bulkOutput{v}, err
}
