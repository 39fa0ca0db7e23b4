package customerapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/web"
)

const merging = "customers:merge"

// mergeRoutes adds suspected duplicates and merges.
func mergeRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-customer-pairs", Method: "GET", Path: "/customer-pairs", Tag: tag, Perm: customer.PermMerge, Scope: merging,
		Summary: "List suspected duplicates", Description: "Two customers who may be one, the surest first; only those of whom the caller sees both. Customers are compared in the background, some minutes after they changed."}, s.pairs)
	api.Handle(a, api.Op{ID: "tell-customers-apart", Method: "POST", Path: "/customer-pairs/{id}/difference", Tag: tag, Perm: customer.PermMerge, Scope: merging, Errors: []int{404, 409},
		Example: `{"note":"同名，但不是一家公司"}`, Summary: "Say that two customers are not the same", Description: "The pair does not come back, unless something decisive is found that was not known. A pair that was decided about is a 409."}, s.tellApart)
	api.Handle(a, api.Op{ID: "reopen-customer-pair", Method: "DELETE", Path: "/customer-pairs/{id}/difference", Tag: tag, Perm: customer.PermMerge, Scope: merging, Errors: []int{404, 409},
		Summary: "Suspect two customers again", Description: "Takes back that they are not the same."}, s.reopen)
	api.Handle(a, api.Op{ID: "plan-customer-merge", Method: "GET", Path: "/customers/{number}/merge", Tag: tag, Perm: customer.PermMerge, Scope: merging, Errors: []int{404},
		Summary: "Plan a merge", Description: "What merging the `other` customer into the one of the address would make of each field, and what would move. Nothing is changed."}, s.planMerge)
	api.Handle(a, api.Op{ID: "merge-customers", Method: "POST", Path: "/customers/{number}/merge", Tag: tag, Perm: customer.PermMerge, Scope: merging, Status: 201, Errors: []int{404, 409},
		Example: `{"other":"C202611210002","choices":{"name":"keep","remark":"both"},"reason":"同一家公司"}`,
		Summary: "Merge two customers", Description: "The `other` goes: all that belongs to him moves to the customer of the address, and his number leads there. It can be undone for 30 days. With `version` and `other_version` it is a 409 when somebody changed one of them since the plan was read."}, s.merge)
	api.Handle(a, api.Op{ID: "list-customer-merges", Method: "GET", Path: "/customer-merges", Tag: tag, Perm: customer.PermMerge, Scope: merging, Errors: []int{404},
		Summary: "List merges", Description: "Those whose customer the caller sees, the newest first."}, s.merges)
	api.Handle(a, api.Op{ID: "undo-customer-merge", Method: "POST", Path: "/customer-merges/{id}/undoing", Tag: tag, Perm: customer.PermMerge, Scope: merging, Errors: []int{404, 409},
		Summary: "Undo a merge", Description: "Both customers are as they were. What came since stays with the one who was kept; fields that were changed since stay as they are and are in `kept`. What can no longer be undone, or not before a later merge, is a 409."}, s.undoMerge)
}

// PairPath names a pair.
type PairPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the pair" example:"12"`
}

type pairsInput struct {
	State      string `query:"state" enum:"open,distinct" default:"open" doc:"Those to be decided about, or those told apart"`
	Sureness   string `query:"sureness" enum:"surely,likely,possibly" doc:"Only as sure as this"`
	Reason     string `query:"reason" enum:"uscc,phone,email,wechat,name,core_name,sound,similar_name,last_eight,same_contact" doc:"Only those who have this in common"`
	Type       string `query:"type" enum:"company,person" doc:"Only where both are of this type"`
	Department string `query:"department" doc:"Name of the department of one of them"`
	api.Page
}

// Pair is two customers who may be one.
type Pair struct {
	ID        int64      `json:"id"`
	State     string     `json:"state" enum:"open,merged,distinct"`
	Score     int        `json:"score" doc:"How surely they are one, in percent"`
	Sureness  string     `json:"sureness" enum:"surely,likely,possibly"`
	Reasons   []string   `json:"reasons" doc:"What they have in common" example:"phone"`
	A         Customer   `json:"a"`
	B         Customer   `json:"b"`
	Note      string     `json:"note,omitempty" doc:"Why they are not the same"`
	DecidedBy string     `json:"decided_by,omitempty" doc:"Name"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	FoundAt   *time.Time `json:"found_at"`
}

// Pairs is a page of pairs.
type Pairs struct {
	Items []Pair `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type pairsOutput struct{ Body Pairs }

type pairOutput struct{ Body Pair }

func (s *service) pairView(ctx context.Context, p customer.Pair) Pair {
	v := Pair{ID: p.ID, State: p.State, Score: p.Score, Sureness: p.Sure(), Reasons: p.Reasons, A: s.view(ctx, nil, p.A.Customer), B: s.view(ctx, nil, p.B.Customer),
		Note: p.Note, DecidedBy: p.DecidedBy, DecidedAt: api.At(ctx, p.DecidedAt), FoundAt: api.At(ctx, p.FoundAt)}
	if v.Reasons == nil {
		v.Reasons = []string{}
	}
	return v
}

// mostPairs is how many the room returns at once.
const mostPairs = 100

func (s *service) pairs(ctx context.Context, in *pairsInput) (*pairsOutput, error) {
	f := customer.PairFilter{State: in.State, Sure: in.Sureness, Reason: in.Reason, Type: customer.Type(in.Type), After: in.Cursor, Limit: min(in.Limit, mostPairs)}
	var err error
	if f.DepartmentID, err = s.people.DepartmentID(ctx, "department", in.Department); err != nil {
		return nil, err
	}
	page, err := s.customers.Pairs(ctx, api.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	out := &pairsOutput{Pairs{Items: make([]Pair, 0, len(page.Rows)), Next: page.Next}}
	for _, p := range page.Rows {
		out.Body.Items = append(out.Body.Items, s.pairView(ctx, p))
	}
	return out, nil
}

// Difference says why two customers are not the same.
type Difference struct {
	Note string `json:"note" doc:"At least two characters" example:"同名，但不是一家公司"`
}

func (s *service) tellApart(ctx context.Context, in *struct {
	PairPath
	Body api.JSON[Difference]
}) (*pairOutput, error) {
	return s.decided(ctx, in.ID, s.customers.TellApart(ctx, api.Actor(ctx), in.ID, in.Body.Value().Note))
}

func (s *service) reopen(ctx context.Context, in *struct{ PairPath }) (*pairOutput, error) {
	return s.decided(ctx, in.ID, s.customers.Reopen(ctx, api.Actor(ctx), in.ID))
}

func (s *service) decided(ctx context.Context, id int64, err error) (*pairOutput, error) {
	if fault.Is(err, fault.NotFound) { // one pair is as unknown as the other
		err = fault.New(fault.NotFound, "merge.pair.not_found")
	}
	if err != nil {
		return nil, err
	}
	p, err := s.customers.GetPair(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &pairOutput{s.pairView(ctx, p)}, nil
}

// MergeField is a value two customers may differ in.
type MergeField struct {
	Name   string   `json:"name" doc:"Names the field in choices; those of contacts contact.<id>.<field>, of own fields field.<code>" example:"region"`
	Kept   string   `json:"kept" doc:"Of the customer who stays; owner by login, department by name, parent by number; sensitive values masked"`
	Merged string   `json:"merged" doc:"Of the one who goes"`
	Choice string   `json:"choice" enum:"keep,drop,both" doc:"Which the merged customer gets when nothing is chosen"`
	May    []string `json:"may" doc:"What can be chosen" example:"keep"`
}

// MergePlan is what a merge would do.
type MergePlan struct {
	Number       string         `json:"number" doc:"Of the customer who stays"`
	Version      int64          `json:"version"`
	Other        string         `json:"other" doc:"Number of the one who goes"`
	OtherVersion int64          `json:"other_version"`
	Fields       []MergeField   `json:"fields" doc:"All of the profile, and those of contacts who are in both"`
	Moving       []Contact      `json:"moving" doc:"Contacts of the other who are new to the one who stays"`
	Rows         map[string]int `json:"rows" doc:"How many records of which kind would move"`
}

type planInput struct {
	Path
	Other string `query:"other" required:"true" maxLength:"60" doc:"Number of the customer who would go" example:"C202611210002"`
}

type planOutput struct{ Body MergePlan }

// two are the customer who stays and the one who goes, if the caller sees both.
func (s *service) two(ctx context.Context, number, other string) (keep, drop customer.Customer, err error) {
	if keep, err = s.find(ctx, number); err == nil {
		drop, err = s.find(ctx, other)
	}
	return keep, drop, err
}

func (s *service) planMerge(ctx context.Context, in *planInput) (*planOutput, error) {
	keep, drop, err := s.two(ctx, in.Number, in.Other)
	if err != nil {
		return nil, err
	}
	p, err := s.customers.PlanMerge(ctx, api.Actor(ctx), web.From(ctx).Lang, keep.ID, drop.ID, nil)
	if err != nil {
		return nil, err
	}
	parents, err := customer.Numbers(ctx, s.run.DB().Read(), []int64{keep.ParentID, drop.ParentID})
	if err != nil {
		return nil, err
	}
	said := func(name, v string) string {
		id, _ := strconv.ParseInt(v, 10, 64)
		switch name {
		case "owner":
			if who := s.people.Person(ctx, nil, id); who != nil {
				return who.Login
			}
			return ""
		case "department":
			return s.people.Department(ctx, nil, id)
		case "parent":
			return parents[id]
		}
		return v
	}
	v := MergePlan{Number: p.Keep.Number, Version: p.Keep.Version, Other: p.Drop.Number, OtherVersion: p.Drop.Version, Fields: []MergeField{}, Moving: []Contact{}, Rows: p.Rows}
	for _, f := range mergeFields(p) {
		v.Fields = append(v.Fields, MergeField{f.Name, said(f.Name, f.Kept), said(f.Name, f.Merged), f.Choice, choicesOf(f)})
	}
	for _, c := range p.Moving {
		v.Moving = append(v.Moving, ContactOf(c))
	}
	return &planOutput{v}, nil
}

func mergeFields(p customer.MergePlan) []customer.MergeField {
	all := slices.Clone(p.Fields)
	for _, c := range p.United {
		all = append(all, c.Fields...)
	}
	return all
}

func choicesOf(f customer.MergeField) []string {
	may := []string{customer.OfKept, customer.OfMerged}
	if f.Both {
		may = append(may, customer.OfBoth)
	}
	return may
}

// Merging says how two customers become one.
type Merging struct {
	Other        string            `json:"other" doc:"Number of the customer who goes" example:"C202611210002"`
	Choices      map[string]string `json:"choices,omitempty" doc:"By name of the field, see plan-customer-merge: keep, drop or both; what is left out is chosen as the plan says"`
	Reason       string            `json:"reason,omitempty" doc:"Stands in both histories"`
	Version      int64             `json:"version,omitempty" doc:"Of the customer who stays, as the plan said"`
	OtherVersion int64             `json:"other_version,omitempty" doc:"Of the one who goes"`
}

// Merge is the record of a merge.
type Merge struct {
	ID        int64      `json:"id"`
	Number    string     `json:"number" doc:"Of the customer who went"`
	Name      string     `json:"name,omitempty" doc:"His name; absent once he was erased"`
	Into      string     `json:"into" doc:"Number of the customer he lives on in"`
	Reason    string     `json:"reason,omitempty"`
	MergedBy  string     `json:"merged_by" doc:"Name"`
	MergedAt  *time.Time `json:"merged_at"`
	UndoUntil *time.Time `json:"undo_until,omitempty" doc:"Until when it can be undone; absent when it cannot be any more"`
	UndoneBy  string     `json:"undone_by,omitempty" doc:"Name"`
	UndoneAt  *time.Time `json:"undone_at,omitempty"`
}

func mergeView(ctx context.Context, m customer.Merge, into string) Merge {
	return Merge{m.ID, m.Number, m.Name, into, m.Reason, m.By, api.At(ctx, m.At), api.At(ctx, m.UndoUntil), m.UndoneBy, api.At(ctx, m.UndoneAt)}
}

type mergeOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Merge
}

func (s *service) merge(ctx context.Context, in *struct {
	Path
	api.Idempotency
	Body api.JSON[Merging]
}) (*mergeOutput, error) {
	b := in.Body.Value()
	keep, drop, err := s.two(ctx, in.Number, b.Other)
	if err != nil {
		return nil, err
	}
	// Asked again under its key, the other's number leads to the first already.
	if len(b.Choices) > 0 && keep.ID != drop.ID {
		if err := s.checkChoices(ctx, keep.ID, drop.ID, b.Choices); err != nil {
			return nil, err
		}
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "customer.merge", b, func(ctx context.Context, a *action.Action) (Merge, error) {
		id, err := s.customers.MergeIn(ctx, a, customer.MergeInput{Keep: keep.ID, Drop: drop.ID, KeepVersion: b.Version, DropVersion: b.OtherVersion, Choices: b.Choices, Reason: b.Reason})
		return mergeView(ctx, customer.Merge{ID: id, Number: drop.Number, Name: drop.Name, Reason: b.Reason, By: a.Actor.Name, At: a.Now, UndoUntil: a.Now.Add(customer.UndoFor)}, keep.Number), err
	})
	if err != nil {
		return nil, err
	}
	return &mergeOutput{replayed, v}, nil
}

func (s *service) checkChoices(ctx context.Context, keep, drop int64, choices map[string]string) error {
	p, err := s.customers.PlanMerge(ctx, api.Actor(ctx), web.From(ctx).Lang, keep, drop, nil)
	if err != nil {
		return err
	}
	fields := mergeFields(p)
	e := fault.Invalidf("api.invalid")
	for name, choice := range choices {
		if !slices.ContainsFunc(fields, func(f customer.MergeField) bool { return f.Name == name && slices.Contains(choicesOf(f), choice) }) {
			e.Field("choices."+name, "api.unknown_choice", name)
		}
	}
	return e.OrNil()
}

type mergesInput struct {
	Customer string `query:"customer" maxLength:"60" doc:"Number of a customer: only merges into him" example:"C202611210001"`
	api.Page
}

// Merges is a page of merges.
type Merges struct {
	Items []Merge `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type mergesOutput struct{ Body Merges }

func (s *service) merges(ctx context.Context, in *mergesInput) (*mergesOutput, error) {
	var of int64
	if in.Customer != "" {
		c, err := s.find(ctx, in.Customer)
		if err != nil {
			return nil, err
		}
		of = c.ID
	}
	page, err := s.customers.Merges(ctx, api.Actor(ctx), of, in.Cursor, min(in.Limit, mostPairs))
	if err != nil {
		return nil, err
	}
	out := &mergesOutput{Merges{Items: make([]Merge, 0, len(page.Rows)), Next: page.Next}}
	for _, m := range page.Rows {
		out.Body.Items = append(out.Body.Items, mergeView(ctx, m, m.Into.Number))
	}
	return out, nil
}

// Undone is a merge that was taken back.
type Undone struct {
	Merge
	Kept []string `json:"kept" doc:"Fields of the customer who was kept that were changed since the merge and stay as they are" example:"region"`
}

type undoneOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Undone
}

func (s *service) undoMerge(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the merge" example:"12"`
	api.Idempotency
}) (*undoneOutput, error) {
	v, replayed, err := api.Once(ctx, s.run, in.Key, "customer.unmerge", nil, func(ctx context.Context, a *action.Action) (Undone, error) {
		u, err := s.customers.UnmergeIn(ctx, a, in.ID)
		if err != nil {
			return Undone{}, err
		}
		into, err := numberOf(ctx, a, u.Survivor)
		v := Undone{mergeView(ctx, u.Merge, into), u.Kept}
		v.UndoUntil = nil
		if v.Kept == nil {
			v.Kept = []string{}
		}
		return v, err
	})
	if err != nil {
		return nil, err
	}
	return &undoneOutput{replayed, v}, nil
}

func numberOf(ctx context.Context, q db.Querier, id int64) (string, error) {
	ns, err := customer.Numbers(ctx, q, []int64{id})
	return ns[id], err
}
