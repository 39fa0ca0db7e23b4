package privacyapi

import (
	"context"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/db"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/privacy"

	"github.com/danielgtaylor/huma/v2"
)

func requestRoutes(a *api.API, s *service) {
	api.Handle(a, api.Op{ID: "list-privacy-requests", Method: "GET", Path: "/privacy-requests", Tag: tag, Perm: privacy.PermView, Scope: read,
		Summary: "List requests of persons", Description: "Requests about one's own data, the newest first: all for whoever serves them or sees the whole register, else those the caller took in."}, s.requests)
	api.Handle(a, api.Op{ID: "register-privacy-request", Method: "POST", Path: "/privacy-requests", Tag: tag, Perm: privacy.PermRegister, Scope: write, Status: 201,
		Example: `{"kind":"access","came_by":"email","names":["张伟"],"phones":["13812345678"],"words":"请提供贵司保存的我的全部个人信息"}`,
		Summary: "Take a request in", Description: "What the person is found by is kept sealed and not read again; the request names him masked. The deadline counts in working days."}, s.register)
	api.Handle(a, api.Op{ID: "get-privacy-request", Method: "GET", Path: "/privacy-requests/{id}", Tag: tag, Perm: privacy.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a request", Description: "What a search has found is there for tokens with the scope `privacy:manage` and owners with the permission."}, s.request)
	api.Handle(a, api.Op{ID: "identify-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/identity", Tag: tag, Perm: privacy.PermRegister, Scope: write, Errors: []int{404, 409},
		Example: `{"identity":"回拨登记号码，核对身份证后四位"}`,
		Summary: "Note that the person is who he says", Description: "Without it nothing is handed over, restricted or erased."}, s.identify)
	api.Handle(a, api.Op{ID: "search-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/search", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Summary: "Search for the person", Description: "Everywhere, in the background: read the request until it is no longer `working`."}, s.search)
	api.Handle(a, api.Op{ID: "copy-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/copy", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Example: `{"customers":["C202611210001"]}`, Summary: "Make a copy of the person's data", Description: "Of the records chosen among those found, in the background: read the request until it is no longer `working`, then fetch the copy."}, s.makeCopy)
	api.Handle(a, api.Op{ID: "fetch-privacy-request-copy", Method: "GET", Path: "/privacy-requests/{id}/copy", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		File: "application/octet-stream", Summary: "Fetch the copy of the person's data", Description: "A ZIP archive. Each time is recorded. A copy that is not there yet, or no longer, is a 409."}, s.fetchCopy)
	api.Handle(a, api.Op{ID: "erase-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/erasure", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Example: `{"customers":["C202611210001"],"outcome":"已清除全部个人信息"}`,
		Summary: "Erase the person", Description: "In the records chosen among those found, and everywhere else by what he is known by; in the background. It cannot be taken back. Only of a request of kind `erase`; open tickets of his are a 409."}, s.erase)
	api.Handle(a, api.Op{ID: "restrict-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/restriction", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Example: `{"customers":["C202611210001"],"outcome":"已停止使用其个人信息"}`,
		Summary: "Restrict the use of the person's data", Description: "The customers chosen among those found are not given to others any more, and their page says so; the request is done. Only of kinds `restrict` and `withdraw`."}, s.restrict)
	api.Handle(a, api.Op{ID: "close-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/outcome", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Example: `{"outcome":"已更正地址并回复客户"}`, Summary: "Close a request", Description: "It is done: handed over, corrected. What is kept to find the person by goes. One to erase is closed by the erasure."}, s.close)
	api.Handle(a, api.Op{ID: "refuse-privacy-request", Method: "POST", Path: "/privacy-requests/{id}/refusal", Tag: tag, Perm: privacy.PermManage, Scope: manage, Errors: []int{404, 409},
		Example: `{"outcome":"无法核实身份，已告知本人"}`, Summary: "Refuse a request", Description: "`outcome` is the reason the person is told."}, s.refuse)
}

// NewRequest is a request of a person about his own data. At least one name,
// telephone number, address or customer number says who he is.
type NewRequest struct {
	Kind      string   `json:"kind" enum:"access,correct,erase,restrict,withdraw" doc:"See and have a copy, have corrected, be forgotten, not be used any further, take consent back"`
	CameBy    string   `json:"came_by" enum:"phone,email,letter,visit,portal,authority"`
	Words     string   `json:"words,omitempty" doc:"What he asks for, in his words; what he is known by is blackened"`
	Names     []string `json:"names,omitempty" example:"张伟"`
	Phones    []string `json:"phones,omitempty" example:"13812345678"`
	Emails    []string `json:"emails,omitempty" example:"zhang@example.com"`
	Handles   []string `json:"handles,omitempty" doc:"WeChat and the like"`
	Addresses []string `json:"addresses,omitempty"`
	Others    []string `json:"others,omitempty" doc:"Anything else he may be named by, like the number of his identity card"`
	Customers []string `json:"customers,omitempty" doc:"Numbers of customers he may be" example:"C202611210001"`
	Identity  string   `json:"identity,omitempty" doc:"How it was made sure that it is he; may follow"`
}

// Request is a person's request about his own data.
type Request struct {
	ID         int64          `json:"id"`
	Number     string         `json:"number" example:"GR20261121001"`
	Kind       string         `json:"kind" enum:"access,correct,erase,restrict,withdraw"`
	State      string         `json:"state" enum:"open,running,done,refused"`
	Person     string         `json:"person" doc:"Masked" example:"张* 138****5678"`
	CameBy     string         `json:"came_by" enum:"phone,email,letter,visit,portal,authority"`
	Words      string         `json:"words,omitempty"`
	Identity   string         `json:"identity,omitempty" doc:"How it was made sure that it is he"`
	IdentityAt *time.Time     `json:"identity_at,omitempty"`
	DueAt      *time.Time     `json:"due_at"`
	Working    string         `json:"working,omitempty" enum:"find,export,erase" doc:"What goes on in the background; absent when nothing does"`
	Failed     bool           `json:"failed,omitempty" doc:"Whether what went on last failed"`
	Found      *Found         `json:"found,omitempty" doc:"What the search brought up; only when a single request is read"`
	CopyUntil  *time.Time     `json:"copy_until,omitempty" doc:"Until when the copy can be fetched; absent without one"`
	Erasure    *Erasure       `json:"erasure,omitempty" doc:"Only when a single request is read"`
	Holds      []Restriction  `json:"restrictions,omitempty" doc:"What it has brought and still holds; only when a single request is read"`
	Outcome    string         `json:"outcome,omitempty"`
	CreatedBy  *orgapi.Person `json:"created_by,omitempty" doc:"Who took it in"`
	CreatedAt  *time.Time     `json:"created_at"`
	ClosedBy   string         `json:"closed_by,omitempty" doc:"Name"`
	ClosedAt   *time.Time     `json:"closed_at,omitempty"`
	Version    int64          `json:"version"`
}

// Found is what a search for a person has brought up.
type Found struct {
	At     *time.Time `json:"at"`
	People []Hit      `json:"people" doc:"Records that may be his"`
	Places []Place    `json:"places" doc:"Texts that name him"`
	Files  []File     `json:"files" doc:"Files that hold something of him, or belong to his records"`
	Events int        `json:"events" doc:"Entries of the audit trail that name him"`
	Rows   int64      `json:"rows" doc:"How many were looked at"`
	Shared int        `json:"shared,omitempty" doc:"How many values others bear too"`
}

// Hit is a record that may be the person's.
type Hit struct {
	Customer string   `json:"customer" doc:"Number; names the customer in copy, erasure and restriction" example:"C202611210001"`
	Contact  int64    `json:"contact,omitempty" doc:"Id, when it is a contact of the customer; names him in contacts"`
	Name     string   `json:"name" doc:"Masked"`
	Phone    string   `json:"phone,omitempty" doc:"Masked"`
	Tickets  int64    `json:"tickets"`
	By       []string `json:"by" doc:"What matched" example:"phone"`
	Chosen   bool     `json:"chosen" doc:"Whether the search, or somebody, holds it for his"`
}

// Place is where texts name the person.
type Place struct {
	Name string `json:"name" doc:"Kind of record" example:"ticket_entries"`
	Rows int    `json:"rows"`
}

// File is one that holds something of the person.
type File struct {
	Name  string `json:"name" doc:"Without what he is known by"`
	Owner string `json:"owner" doc:"Kind of record it belongs to" example:"ticket"`
}

// Erasure is how far the erasure of a person is.
type Erasure struct {
	Number  string     `json:"number"`
	Phase   string     `json:"phase" example:"done"`
	BegunAt *time.Time `json:"begun_at"`
	DoneAt  *time.Time `json:"done_at,omitempty"`
	SHA256  string     `json:"sha256,omitempty" doc:"Of the signed report"`
}

// Requests is a page of requests.
type Requests struct {
	Items []Request `json:"items"`
	Next  string    `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type requestsOutput struct{ Body Requests }

type requestOutput struct{ Body Request }

func (s *service) requestView(ctx context.Context, q db.Querier, r privacy.Request) Request {
	v := Request{ID: r.ID, Number: r.Number, Kind: r.Kind, State: r.State, Person: r.Person, CameBy: r.CameBy, Words: r.Words, Identity: r.IdentityBy, IdentityAt: api.At(ctx, r.IdentityAt),
		DueAt: api.At(ctx, r.DueAt), Working: r.Working, Failed: r.Failure != "", Outcome: r.Outcome, CreatedBy: s.people.Person(ctx, q, r.CreatedBy), CreatedAt: api.At(ctx, r.CreatedAt),
		ClosedBy: r.ClosedByName, ClosedAt: api.At(ctx, r.ClosedAt), Version: r.Version}
	if r.FileID != 0 {
		v.CopyUntil = api.At(ctx, r.ExpiresAt)
	}
	return v
}

func (s *service) requests(ctx context.Context, in *struct {
	State string `query:"state" enum:"open,running,done,refused" doc:"Only in this state"`
	api.Page
}) (*requestsOutput, error) {
	list, err := s.privacy.Requests(ctx, api.Actor(ctx), in.State, before(in.Cursor), in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &requestsOutput{Requests{Items: []Request{}}}
	list, out.Body.Next = cut(list, in.Limit, func(r privacy.Request) int64 { return r.ID })
	for _, r := range list {
		out.Body.Items = append(out.Body.Items, s.requestView(ctx, nil, r))
	}
	return out, nil
}

type newRequestOutput struct {
	Location string `header:"Location" doc:"Address of the request"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Request
}

func (s *service) register(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewRequest]
}) (*newRequestOutput, error) {
	b := in.Body.Value()
	lines := func(l []string) string { return strings.Join(l, "\n") }
	ri := privacy.RequestInput{Kind: b.Kind, CameBy: b.CameBy, Words: b.Words, Names: lines(b.Names), Phones: lines(b.Phones), Emails: lines(b.Emails), Handles: lines(b.Handles),
		Addresses: lines(b.Addresses), Others: lines(b.Others), Numbers: lines(b.Customers), Identity: b.Identity}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "privacy.register_request", b, func(ctx context.Context, a *action.Action) (Request, error) {
		r, err := s.privacy.RegisterIn(ctx, a, ri)
		if err != nil {
			return Request{}, err
		}
		return s.requestView(ctx, a, r), nil
	})
	if err != nil {
		return nil, err
	}
	return &newRequestOutput{located("privacy-requests", v.ID), replayed, v}, nil
}

func (s *service) request(ctx context.Context, in *struct{ Path }) (*requestOutput, error) {
	return s.again(ctx, in.ID, nil)
}

// again answers a step with the request as it is now.
func (s *service) again(ctx context.Context, id int64, err error) (*requestOutput, error) {
	if err != nil {
		return nil, err
	}
	actor := api.Actor(ctx)
	r, err := s.privacy.Request(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	v := s.requestView(ctx, nil, r)
	if r.ErasureID != 0 {
		e, err := s.privacy.Erasure(ctx, r.ErasureID)
		if err != nil {
			return nil, err
		}
		v.Erasure = &Erasure{e.Number, e.Phase, api.At(ctx, e.BegunAt), api.At(ctx, e.DoneAt), e.Hash}
	}
	if r.Found != nil && actor.Can(privacy.PermManage) {
		v.Found = found(ctx, r)
	}
	if v.Holds, err = s.restrictions(ctx, r.ID); err != nil {
		return nil, err
	}
	return &requestOutput{v}, nil
}

func found(ctx context.Context, r privacy.Request) *Found {
	f := &Found{At: api.At(ctx, r.Found.At), People: []Hit{}, Places: []Place{}, Files: []File{}, Events: r.Found.Events, Rows: r.Found.Rows, Shared: r.Found.Shared}
	for _, h := range r.Found.People {
		x := Hit{Customer: h.Customer.Number, Contact: h.ContactID, Name: h.Customer.Name, Phone: h.Phone, Tickets: h.Tickets, By: h.By, Chosen: has(r.Customers, h.Customer.ID)}
		if h.ContactID != 0 {
			x.Name, x.Chosen = h.ContactName, has(r.Contacts, h.ContactID)
		}
		f.People = append(f.People, x)
	}
	for _, p := range r.Found.Places {
		f.Places = append(f.Places, Place{p.Name, p.Rows})
	}
	for _, x := range r.Found.Files {
		f.Files = append(f.Files, File{x.Name, x.Owner})
	}
	return f
}

func has(ids []int64, id int64) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// Identity says how it was made sure that a person is who he says.
type Identity struct {
	Identity string `json:"identity" doc:"4 to 500 characters" example:"回拨登记号码，核对身份证后四位"`
}

func (s *service) identify(ctx context.Context, in *struct {
	Path
	Body api.JSON[Identity]
}) (*requestOutput, error) {
	return s.again(ctx, in.ID, s.privacy.Identify(ctx, api.Actor(ctx), in.ID, in.Body.Value().Identity))
}

func (s *service) search(ctx context.Context, in *struct{ Path }) (*requestOutput, error) {
	return s.again(ctx, in.ID, s.privacy.Search(ctx, api.Actor(ctx), in.ID))
}

// Choice is which of the records found are the person's.
type Choice struct {
	Customers []string `json:"customers,omitempty" doc:"Numbers, as found" example:"C202611210001"`
	Contacts  []int64  `json:"contacts,omitempty" doc:"Ids, as found"`
}

// chosen returns the ids of customers that the search of a request has found;
// for others there is -1, which the room does not know.
func (s *service) chosen(ctx context.Context, id int64, numbers []string) ([]int64, error) {
	r, err := s.privacy.Request(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(numbers))
	for i, n := range numbers {
		ids[i] = -1
		if r.Found == nil {
			continue
		}
		for _, h := range r.Found.People {
			if h.ContactID == 0 && h.Customer.Number == n {
				ids[i] = h.Customer.ID
			}
		}
	}
	return ids, nil
}

func (s *service) makeCopy(ctx context.Context, in *struct {
	Path
	Body api.JSON[Choice]
}) (*requestOutput, error) {
	b := in.Body.Value()
	customers, err := s.chosen(ctx, in.ID, b.Customers)
	if err != nil {
		return nil, err
	}
	return s.again(ctx, in.ID, s.privacy.Export(ctx, api.Actor(ctx), in.ID, customers, b.Contacts))
}

func (s *service) fetchCopy(ctx context.Context, in *struct{ Path }) (*huma.StreamResponse, error) {
	f, content, err := s.privacy.FetchRequest(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return api.Send(f, content), nil
}

// Erasing says which records go with the person.
type Erasing struct {
	Choice
	Outcome string `json:"outcome,omitempty" doc:"What the person is told"`
}

func (s *service) erase(ctx context.Context, in *struct {
	Path
	Body api.JSON[Erasing]
}) (*requestOutput, error) {
	b := in.Body.Value()
	customers, err := s.chosen(ctx, in.ID, b.Customers)
	if err != nil {
		return nil, err
	}
	return s.again(ctx, in.ID, s.privacy.Erase(ctx, api.Actor(ctx), in.ID, customers, b.Contacts, b.Outcome))
}

// Restricting says whose data is not used any further.
type Restricting struct {
	Customers []string `json:"customers" doc:"Numbers, as found" example:"C202611210001"`
	Outcome   string   `json:"outcome" doc:"What the person is told, 4 to 1000 characters"`
}

func (s *service) restrict(ctx context.Context, in *struct {
	Path
	Body api.JSON[Restricting]
}) (*requestOutput, error) {
	b := in.Body.Value()
	customers, err := s.chosen(ctx, in.ID, b.Customers)
	if err != nil {
		return nil, err
	}
	return s.again(ctx, in.ID, s.privacy.Restrict(ctx, api.Actor(ctx), in.ID, customers, b.Outcome))
}

// Outcome ends a request.
type Outcome struct {
	Outcome string `json:"outcome" doc:"What the person is told, 4 to 1000 characters; what he is known by is blackened"`
}

type outcomeInput struct {
	Path
	Body api.JSON[Outcome]
}

func (s *service) close(ctx context.Context, in *outcomeInput) (*requestOutput, error) {
	return s.again(ctx, in.ID, s.privacy.Close(ctx, api.Actor(ctx), in.ID, in.Body.Value().Outcome))
}

func (s *service) refuse(ctx context.Context, in *outcomeInput) (*requestOutput, error) {
	return s.again(ctx, in.ID, s.privacy.Refuse(ctx, api.Actor(ctx), in.ID, in.Body.Value().Outcome))
}
