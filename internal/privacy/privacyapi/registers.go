package privacyapi

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/privacy"

	"github.com/danielgtaylor/huma/v2"
)

func deletionRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-deletions", Method: "GET", Path: "/deletions", Tag: tag, Perm: privacy.PermView, Scope: read,
		Summary: "List deletions", Description: "Requests to delete customers and what became of them, the newest first: those within the caller's data scope."}, s.deletions)
	api.Handle(a, api.Op{ID: "request-deletion", Method: "POST", Path: "/deletions", Tag: tag, Perm: privacy.PermDelete, Scope: write, Status: 201, Errors: []int{404, 409},
		Example: `{"customer":"C202611210001","reason":"误登记的测试客户，无任何业务"}`,
		Summary: "Ask for a customer to be deleted", Description: "It waits for approval (`approval` is the request among `/approvals`); once approved he is erased in the background, his tickets stay without him. Open tickets of his, or a request that is under way, are a 409."}, s.askDeletion)
	api.Handle(a, api.Op{ID: "get-deletion", Method: "GET", Path: "/deletions/{id}", Tag: tag, Perm: privacy.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a deletion", Description: "The record stays when the customer is gone."}, s.deletion)
}

// NewDeletion asks for a customer to be deleted.
type NewDeletion struct {
	Customer string `json:"customer" doc:"His number" example:"C202611210001"`
	Reason   string `json:"reason" doc:"5 to 500 characters"`
}

// Deletion is a request to delete a customer, and what is left of him.
type Deletion struct {
	ID         int64          `json:"id"`
	State      string         `json:"state" enum:"waiting,running,done,refused,withdrawn,lapsed"`
	Customer   string         `json:"customer" doc:"His number" example:"C202611210001"`
	Type       string         `json:"type" enum:"company,person"`
	Name       string         `json:"name" doc:"Masked" example:"张*"`
	Department string         `json:"department,omitempty"`
	Reason     string         `json:"reason"`
	Tickets    int64          `json:"tickets" doc:"That stay"`
	Approval   int64          `json:"approval" doc:"Id of the approval request"`
	AskedBy    *orgapi.Person `json:"asked_by,omitempty"`
	AskedAt    *time.Time     `json:"asked_at"`
	DecidedBy  string         `json:"decided_by,omitempty" doc:"Names, in the order of the steps"`
	DecidedAt  *time.Time     `json:"decided_at,omitempty"`
	ExecutedAt *time.Time     `json:"executed_at,omitempty"`
}

// Deletions is a page of deletions.
type Deletions struct {
	Items []Deletion `json:"items"`
	Next  string     `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

func (s *service) deletionView(ctx context.Context, q db.Querier, d privacy.Deletion) Deletion {
	return Deletion{ID: d.ID, State: d.State, Customer: d.Number, Type: string(d.Type), Name: d.Name, Department: s.people.Department(ctx, q, d.DepartmentID), Reason: d.Reason, Tickets: d.Tickets,
		Approval: d.ApprovalID, AskedBy: s.people.Person(ctx, q, d.AskedBy), AskedAt: api.At(ctx, d.AskedAt), DecidedBy: d.DecidedBy, DecidedAt: api.At(ctx, d.DecidedAt), ExecutedAt: api.At(ctx, d.ExecutedAt)}
}

func (s *service) deletions(ctx context.Context, in *struct {
	State string `query:"state" enum:"waiting,running,done,refused,withdrawn,lapsed" doc:"Only in this state"`
	api.Page
}) (*struct{ Body Deletions }, error) {
	list, err := s.privacy.Deletions(ctx, api.Actor(ctx), in.State, before(in.Cursor), in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Deletions }{Deletions{Items: []Deletion{}}}
	list, out.Body.Next = cut(list, in.Limit, func(d privacy.Deletion) int64 { return d.ID })
	for _, d := range list {
		out.Body.Items = append(out.Body.Items, s.deletionView(ctx, nil, d))
	}
	return out, nil
}

type newDeletionOutput struct {
	Location string `header:"Location" doc:"Address of the record"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Deletion
}

func (s *service) askDeletion(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewDeletion]
}) (*newDeletionOutput, error) {
	b := in.Body.Value()
	c, err := s.customers.ByNumber(ctx, customer.View(api.Actor(ctx)), b.Customer)
	if err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "privacy.ask_deletion", b, func(ctx context.Context, a *action.Action) (Deletion, error) {
		d, err := s.privacy.AskDeletionIn(ctx, a, c.ID, b.Reason)
		if err != nil {
			return Deletion{}, err
		}
		return s.deletionView(ctx, a, d), nil
	})
	if err != nil {
		return nil, err
	}
	return &newDeletionOutput{located("deletions", v.ID), replayed, v}, nil
}

func (s *service) deletion(ctx context.Context, in *struct{ Path }) (*struct{ Body Deletion }, error) {
	d, err := s.privacy.Deletion(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Deletion }{s.deletionView(ctx, nil, d)}, nil
}

func disclosureRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-disclosures", Method: "GET", Path: "/disclosures", Tag: tag, Perm: privacy.PermView, Scope: read,
		Summary: "List disclosures", Description: "Requests to give customer data to others, the newest first: those within the caller's data scope."}, s.disclosures)
	api.Handle(a, api.Op{ID: "request-disclosure", Method: "POST", Path: "/disclosures", Tag: tag, Perm: privacy.PermDisclose, Scope: disclose, Status: 201, Errors: []int{404, 409},
		Example: `{"purpose":"委托第三方进行满意度回访","recipient":"广州明测调研有限公司","fields":["number","name","contact","phone"],"customers":["C202611210001"],"days":7}`,
		Summary: "Ask to give customer data to others", Description: "It waits for approval (`approval` is the request among `/approvals`); once approved the file is made in the background. Customers whose data must not be used are refused."}, s.askDisclosure)
	api.Handle(a, api.Op{ID: "get-disclosure", Method: "GET", Path: "/disclosures/{id}", Tag: tag, Perm: privacy.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a disclosure", Description: "With who fetched its file."}, s.disclosure)
	api.Handle(a, api.Op{ID: "fetch-disclosure", Method: "GET", Path: "/disclosures/{id}/file", Tag: tag, Perm: privacy.PermView, Scope: disclose, Errors: []int{404, 409},
		File: "application/octet-stream", Summary: "Fetch the file of a disclosure", Description: "A workbook, by whoever asked for it; each time is recorded. One that is not ready, or no longer there, is a 409."}, s.fetchDisclosure)
}

// NewDisclosure asks to give customer data to others.
type NewDisclosure struct {
	Purpose   string   `json:"purpose" doc:"5 to 500 characters"`
	Recipient string   `json:"recipient" doc:"Who gets it, 2 to 200 characters"`
	Fields    []string `json:"fields" doc:"What of each customer; those with _clear are not masked" enum:"number,name,type,uscc,industry,level,source,region,address,address_clear,website,owner,department,created,contact,gender,position,phone,phone_clear,email,email_clear,wechat,wechat_clear"`
	Customers []string `json:"customers,omitempty" doc:"Their numbers; instead of segment" example:"C202611210001"`
	Segment   string   `json:"segment,omitempty" doc:"Name of a segment: all of it that the caller may disclose; who has restricted the use of his data is left out" example:"重点回访"`
	Days      int      `json:"days,omitempty" doc:"How long the file can be fetched, 1 to 30; 7 when left out"`
}

// Disclosure is a request to give customer data to others.
type Disclosure struct {
	ID        int64          `json:"id"`
	Number    string         `json:"number" example:"PL20261121001"`
	State     string         `json:"state" enum:"waiting,running,ready,expired,refused,withdrawn,lapsed,failed"`
	Purpose   string         `json:"purpose"`
	Recipient string         `json:"recipient"`
	Fields    []string       `json:"fields" example:"name"`
	Customers int64          `json:"customers" doc:"How many"`
	Days      int            `json:"days" doc:"How long the file can be fetched"`
	Approval  int64          `json:"approval" doc:"Id of the approval request"`
	AskedBy   *orgapi.Person `json:"asked_by,omitempty"`
	AskedAt   *time.Time     `json:"asked_at"`
	DecidedBy string         `json:"decided_by,omitempty" doc:"Names, in the order of the steps"`
	DecidedAt *time.Time     `json:"decided_at,omitempty"`
	MadeAt    *time.Time     `json:"made_at,omitempty"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty"`
	SHA256    string         `json:"sha256,omitempty" doc:"Of the file"`
	Downloads []Download     `json:"downloads,omitempty" doc:"The newest first; only when a single disclosure is read"`
}

// Download is one time a file was fetched.
type Download struct {
	By string     `json:"by" doc:"Name"`
	IP string     `json:"ip"`
	At *time.Time `json:"at"`
}

// Disclosures is a page of disclosures.
type Disclosures struct {
	Items []Disclosure `json:"items"`
	Next  string       `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

func (s *service) disclosureView(ctx context.Context, q db.Querier, d privacy.Disclosure) Disclosure {
	v := Disclosure{ID: d.ID, Number: d.Number, State: d.State, Purpose: d.Purpose, Recipient: d.Recipient, Fields: d.Fields, Customers: d.Customers, Days: d.Days, Approval: d.ApprovalID,
		AskedBy: s.people.Person(ctx, q, d.AskedBy), AskedAt: api.At(ctx, d.AskedAt), DecidedBy: d.DecidedBy, DecidedAt: api.At(ctx, d.DecidedAt), MadeAt: api.At(ctx, d.MadeAt),
		ExpiresAt: api.At(ctx, d.ExpiresAt), SHA256: d.SHA256}
	if v.Fields == nil {
		v.Fields = []string{}
	}
	return v
}

func (s *service) disclosures(ctx context.Context, in *struct {
	State string `query:"state" enum:"waiting,running,ready,expired,refused,withdrawn,lapsed,failed" doc:"Only in this state"`
	api.Page
}) (*struct{ Body Disclosures }, error) {
	list, err := s.privacy.Disclosures(ctx, api.Actor(ctx), in.State, before(in.Cursor), in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Disclosures }{Disclosures{Items: []Disclosure{}}}
	list, out.Body.Next = cut(list, in.Limit, func(d privacy.Disclosure) int64 { return d.ID })
	for _, d := range list {
		out.Body.Items = append(out.Body.Items, s.disclosureView(ctx, nil, d))
	}
	return out, nil
}

type newDisclosureOutput struct {
	Location string `header:"Location" doc:"Address of the disclosure"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Disclosure
}

// disclosed are the customers a disclosure is about.
func (s *service) disclosed(ctx context.Context, b NewDisclosure) ([]int64, error) {
	if b.Segment == "" {
		return s.numbered(ctx, "customers", b.Customers)
	}
	if len(b.Customers) > 0 {
		return nil, fault.Invalidf("api.invalid").Field("customers", "api.customers_or_segment")
	}
	list, err := s.customers.Segments(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(g customer.Segment) bool { return g.Name == b.Segment })
	if i < 0 {
		return nil, fault.Invalidf("api.invalid").Field("segment", "customer.segment.not_found")
	}
	ids, _, err := s.privacy.OfSegment(ctx, api.Actor(ctx), list[i].ID)
	return ids, err
}

func (s *service) askDisclosure(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewDisclosure]
}) (*newDisclosureOutput, error) {
	b := in.Body.Value()
	ids, err := s.disclosed(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, f := range b.Fields { // the room passes over what it does not know
		if !slices.Contains(customer.DisclosureFields, f) {
			return nil, fault.Invalidf("api.invalid").Field("fields", "api.bad_parameter", "fields")
		}
	}
	di := privacy.DisclosureInput{Purpose: b.Purpose, Recipient: b.Recipient, Fields: b.Fields, Customers: ids, Days: b.Days}
	if di.Days == 0 {
		di.Days = privacy.DefaultDays
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "privacy.ask_disclosure", b, func(ctx context.Context, a *action.Action) (Disclosure, error) {
		d, err := s.privacy.AskDisclosureIn(ctx, a, di)
		if err != nil {
			return Disclosure{}, err
		}
		return s.disclosureView(ctx, a, d), nil
	})
	if err != nil {
		return nil, err
	}
	return &newDisclosureOutput{located("disclosures", v.ID), replayed, v}, nil
}

func (s *service) disclosure(ctx context.Context, in *struct{ Path }) (*struct{ Body Disclosure }, error) {
	d, err := s.privacy.Disclosure(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	v := s.disclosureView(ctx, nil, d)
	list, err := s.privacy.Downloads(ctx, privacy.OfDisclosure, in.ID)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		v.Downloads = append(v.Downloads, Download{x.UserName, x.IP, api.At(ctx, x.At)})
	}
	return &struct{ Body Disclosure }{v}, nil
}

func (s *service) fetchDisclosure(ctx context.Context, in *struct{ Path }) (*huma.StreamResponse, error) {
	f, content, err := s.privacy.FetchDisclosure(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return api.Send(f, content), nil
}
