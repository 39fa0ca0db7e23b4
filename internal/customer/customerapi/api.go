// Package customerapi is the customers' part of the JSON API.
package customerapi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/web"
)

type service struct {
	run       *action.Runner
	customers *customer.Service
	people    orgapi.Directory
}

const (
	tag     = "Customers"
	read    = "customers:read"
	write   = "customers:write"
	inClear = "customers:reveal"
)

// Routes adds the operations on customers.
func Routes(a *api.API, run *action.Runner, customers *customer.Service, o *org.Service) {
	s := &service{run, customers, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-customers", Method: "GET", Path: "/customers", Tag: tag, Perm: customer.PermView, Scope: read,
		Summary: "List customers", Description: "Customers within the caller's data scope, the latest business first. A `filter` that makes no sense is a 422 that names the condition, like `filter.0.1`."}, s.list)
	viewRoutes(a, s)
	api.Handle(a, api.Op{ID: "create-customer", Method: "POST", Path: "/customers", Tag: tag, Perm: customer.PermCreate, Scope: write, Status: 201, Errors: []int{409},
		Example: newExample, Conflict: reflect.TypeFor[DuplicateProblem](),
		Summary: "Register a customer", Description: "A customer with the same credit code or telephone number is a 409 with `candidates`: those in the caller's scope by number, others only by the department to ask. To register him nevertheless, say why in `duplicate_reason`."}, s.create)
	api.Handle(a, api.Op{ID: "get-customer", Method: "GET", Path: "/customers/{number}", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Get a customer", Description: "Telephone numbers, addresses, e-mail and WeChat are masked. With `clear=true` they come in clear, if the token has the scope `customers:reveal` and its owner the permission; each value is recorded in the audit trail as looked at."}, s.get)
	api.Handle(a, api.Op{ID: "update-customer", Method: "PATCH", Path: "/customers/{number}", Tag: tag, Perm: customer.PermEdit, Scope: write, Errors: []int{404, 409},
		Summary: "Change a customer", Description: "Members that are left out stay as they are; an empty string empties a field. Contacts are named by `id`; one without is added. Name, credit code, level and owner need a `reason`. Where the company wants it, a new level waits for approval: the answer has the old one, and a request is among `GET /approvals?list=mine`."}, s.update)
	api.Handle(a, api.Op{ID: "get-customer-timeline", Method: "GET", Path: "/customers/{number}/timeline", Tag: tag, Perm: customer.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a customer's timeline", Description: "Everything said and done about the customer and on those of his tickets the caller may see, newest first."}, s.timeline)
	careRoutes(a, s)
	qualityRoutes(a, s)
	mergeRoutes(a, s)
	bulkRoutes(a, s)
	exportRoutes(a, s)
}

// Path names a customer.
type Path struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the customer" example:"C202611210001"`
}

type listInput struct {
	Type       string `query:"type" enum:"company,person"`
	Level      string `query:"level" enum:"normal,vip,strategic"`
	Source     string `query:"source" enum:"phone,chat,email,social,referral,exhibition,campaign,website,offline"`
	Industry   string `query:"industry" maxLength:"3" doc:"Code of GB/T 4754; a section letter selects its divisions too" example:"C35"`
	Tag        string `query:"tag" doc:"Name of a tag"`
	Owner      string `query:"owner" doc:"Login of who looks after them; none for those without anybody"`
	Department string `query:"department" doc:"Name of the department"`
	Segment    string `query:"segment" maxLength:"40" doc:"Name of a segment" example:"重点回访"`
	Filter     string `query:"filter" maxLength:"16384" doc:"Conditions of any kind as JSON: a group {\"all\":[…]} or {\"any\":[…]} of groups and conditions {\"field\",\"op\",\"values\"}. Fields of your own are named fields.<code>" example:"{\"v\":1,\"all\":[{\"field\":\"level\",\"op\":\"is\",\"values\":[\"vip\",\"strategic\"]},{\"any\":[{\"field\":\"owner\",\"op\":\"empty\"},{\"field\":\"activity\",\"op\":\"older\",\"values\":[\"90\"]}]}]}"`
	Sort       string `query:"sort" enum:"activity,idle,created,oldest,name,verify,planned" doc:"Latest business first (activity, the default), longest without business, latest or first registered, by name, next verification, next follow-up; the last two leave out who has no such date"`
	api.Page
}

// List is a page of customers.
type List struct {
	Items []Customer `json:"items"`
	Next  string     `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

type listOutput struct{ Body List }

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := customer.Filter{Type: customer.Type(in.Type), Level: customer.Level(in.Level), Source: in.Source, Industry: in.Industry, Sort: in.Sort, After: in.Cursor, Limit: in.Limit}
	var err error
	if in.Owner == "none" {
		f.OwnerID = -1
	} else if f.OwnerID, err = s.people.PersonID(ctx, "owner", in.Owner); err != nil {
		return nil, err
	}
	if f.DepartmentID, err = s.people.DepartmentID(ctx, "department", in.Department); err != nil {
		return nil, err
	}
	if in.Tag != "" {
		ids, err := s.tags(ctx, "tag", []string{in.Tag})
		if err != nil {
			return nil, err
		}
		f.TagID = ids[0]
	}
	if in.Segment != "" {
		list, err := s.customers.Segments(ctx)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(g customer.Segment) bool { return g.Name == in.Segment })
		if i < 0 {
			return nil, fault.Invalidf("api.invalid").Field("segment", "customer.segment.not_found")
		}
		f.SegmentID = list[i].ID
	}
	if f.Query, err = customer.ParseQuery(in.Filter); err != nil {
		return nil, err
	}
	page, err := s.customers.List(ctx, customer.View(api.Actor(ctx)), f)
	if err != nil {
		return nil, err
	}
	rows := make([]*customer.Customer, len(page.Rows))
	for i := range page.Rows {
		rows[i] = &page.Rows[i].Customer
	}
	if err := s.customers.AddFields(ctx, s.run.DB().Read(), rows...); err != nil {
		return nil, err
	}
	out := &listOutput{List{Items: make([]Customer, 0, len(page.Rows)), Next: page.Next}}
	for _, r := range page.Rows {
		out.Body.Items = append(out.Body.Items, s.view(ctx, nil, r.Customer))
	}
	return out, nil
}

// New is a customer to be registered.
type New struct {
	Type            string          `json:"type" enum:"company,person"`
	Name            string          `json:"name" doc:"Full name of the company, or of the person" example:"广州南粤医疗器械股份有限公司"`
	USCC            string          `json:"uscc,omitempty" doc:"Unified social credit code, companies only; its check digit is verified" example:"91350100M000100Y43"`
	Industry        string          `json:"industry,omitempty" doc:"Code or Chinese name of GB/T 4754" example:"C35"`
	Level           string          `json:"level,omitempty" enum:"normal,vip,strategic" doc:"normal when left out"`
	Source          string          `json:"source,omitempty" enum:"phone,chat,email,social,referral,exhibition,campaign,website,offline"`
	Region          string          `json:"region,omitempty" example:"广东 广州"`
	Address         string          `json:"address,omitempty"`
	Website         string          `json:"website,omitempty"`
	Remark          string          `json:"remark,omitempty"`
	Tags            []string        `json:"tags,omitempty" doc:"Names from the managed list"`
	Owner           string          `json:"owner,omitempty" doc:"Login of who looks after the customer"`
	Department      string          `json:"department,omitempty" doc:"Name; the caller's own when left out" example:"客服部"`
	FirstContactAt  *time.Time      `json:"first_contact_at,omitempty" doc:"Now when left out"`
	Contacts        []NewContact    `json:"contacts,omitempty" doc:"At least one with a telephone number; of a person his own"`
	Need            *NewNeed        `json:"need,omitempty" doc:"What he asks for at first"`
	Fields          fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code, see list-fields"`
	DuplicateReason string          `json:"duplicate_reason,omitempty" doc:"Why a second profile with the same credit code or telephone number is right" example:"母公司与子公司共用总机"`
}

// NewContact is a contact of a customer to be registered.
type NewContact struct {
	Name     string          `json:"name,omitempty" doc:"May be left out for a person" example:"黎嘉敏"`
	Gender   string          `json:"gender,omitempty" enum:",male,female"`
	Position string          `json:"position,omitempty" example:"采购经理"`
	Role     string          `json:"role,omitempty" enum:",decision,business,technical,finance,user" doc:"What he is asked for"`
	Phone    string          `json:"phone,omitempty" doc:"In any usual spelling" example:"13812345678"`
	Email    string          `json:"email,omitempty" example:"li@example.com"`
	Wechat   string          `json:"wechat,omitempty"`
	Primary  bool            `json:"primary,omitempty" doc:"The first one when nobody is"`
	Fields   fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code"`
}

// NewNeed is what a customer asks for at first.
type NewNeed struct {
	Product     string `json:"product,omitempty"`
	Description string `json:"description,omitempty"`
	Period      string `json:"period,omitempty"`
	Budget      string `json:"budget,omitempty"`
	Delivery    string `json:"delivery,omitempty"`
	Special     string `json:"special,omitempty"`
	Urgency     string `json:"urgency,omitempty" enum:",urgent,normal,low"`
}

// Input looks up the names n uses and returns it as the room takes it.
func (n New) Input(ctx context.Context, customers *customer.Service, people orgapi.Directory) (in customer.Input, err error) {
	s := &service{customers: customers, people: people}
	in = customer.Input{Type: customer.Type(n.Type), Name: n.Name, USCC: n.USCC, Industry: n.Industry, Level: customer.Level(n.Level), Source: n.Source,
		Region: n.Region, Address: n.Address, Website: n.Website, Remark: n.Remark, DuplicateReason: n.DuplicateReason}
	if n.FirstContactAt != nil {
		in.FirstContactAt = *n.FirstContactAt
	}
	if in.OwnerID, err = people.PersonID(ctx, "owner", n.Owner); err != nil {
		return in, err
	}
	if in.DepartmentID, err = people.DepartmentID(ctx, "department", n.Department); err != nil {
		return in, err
	}
	if in.TagIDs, err = s.tags(ctx, "tags", n.Tags); err != nil {
		return in, err
	}
	var bad error
	in.Fields, bad = fieldapi.In(ctx, customers.Fields(), field.Customer, n.Fields, "")
	for i, c := range n.Contacts {
		own, err := fieldapi.In(ctx, customers.Fields(), field.Contact, c.Fields, fmt.Sprintf("contacts.%d.", i))
		bad = fault.Both(bad, err)
		in.Contacts = append(in.Contacts, customer.ContactInput{Name: c.Name, Gender: c.Gender, Position: c.Position, Role: c.Role, Phone: c.Phone, Email: c.Email, Wechat: c.Wechat, Primary: c.Primary, Fields: own})
	}
	if bad != nil {
		return in, bad
	}
	if n.Need != nil {
		in.Need = customer.NeedInput(*n.Need)
	}
	return in, nil
}

func (s *service) tags(ctx context.Context, field string, names []string) ([]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	all, err := s.customers.TagList(ctx)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, n := range names {
		i := slices.IndexFunc(all, func(t customer.Tag) bool { return t.Name == n })
		if i < 0 {
			return nil, fault.Invalidf("api.invalid").Field(field, "api.unknown_tag", n)
		}
		ids = append(ids, all[i].ID)
	}
	return ids, nil
}

type createInput struct {
	api.Idempotency
	Body api.JSON[New]
}

type createOutput struct {
	Location string `header:"Location" doc:"Address of the new customer"`
	ETag     string `header:"ETag"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request"`
	Body     Customer
}

func (s *service) create(ctx context.Context, in *createInput) (*createOutput, error) {
	n := in.Body.Value()
	ci, err := n.Input(ctx, s.customers, s.people)
	if err != nil {
		return nil, err
	}
	v, replayed, err := api.Once(ctx, s.run, in.Key, "customer.create", n, func(ctx context.Context, a *action.Action) (Customer, error) {
		c, err := s.customers.CreateIn(ctx, a, ci)
		if err != nil {
			return Customer{}, err
		}
		if err := s.customers.AddFields(ctx, a, &c); err != nil {
			return Customer{}, err
		}
		return s.view(ctx, a, c), nil
	})
	if err != nil {
		return nil, Duplicates(err)
	}
	return &createOutput{api.Prefix + "/customers/" + v.Number, api.Tag(v.Version), replayed, v}, nil
}

// Duplicates makes the candidates of a refused registration part of the answer.
func Duplicates(err error) error {
	var d *customer.DuplicateError
	if errors.As(err, &d) {
		return duplicate{d}
	}
	return err
}

// DuplicateProblem is the 409 of a registration.
type DuplicateProblem struct {
	web.Problem
	Candidates []Candidate `json:"candidates,omitempty" doc:"Who may be the same customer, the surest first; only of code customer.duplicate"`
}

const newExample = `{"type":"company","name":"广州南粤医疗器械股份有限公司","level":"vip","source":"phone","contacts":[{"name":"黎嘉敏","phone":"13812345678","position":"采购经理","primary":true}]}`

type duplicate struct{ *customer.DuplicateError }

// Unwrap keeps the fault in sight.
func (d duplicate) Unwrap() error { return d.DuplicateError }

// Candidate is a customer who may be the one to be registered.
type Candidate struct {
	Number     string   `json:"number,omitempty" doc:"Absent for a customer beyond the caller's scope"`
	Name       string   `json:"name,omitempty"`
	Department string   `json:"department" doc:"Whom to ask"`
	MatchedBy  []string `json:"matched_by" doc:"uscc, phone, email, name"`
	Reasons    []string `json:"reasons" doc:"The same in the language of the request"`
}

// Problem is asked for by web when it answers with the error.
func (d duplicate) Problem(r *web.Request) map[string]any {
	var cs []Candidate
	for _, m := range d.Matches {
		c := Candidate{Number: m.Customer.Number, Name: m.Customer.Name, Department: m.Department, MatchedBy: m.Matched}
		for _, by := range m.Matched {
			c.Reasons = append(c.Reasons, i18n.T(r.Lang, "customer.match."+by))
		}
		cs = append(cs, c)
	}
	return map[string]any{"candidates": cs}
}

type getInput struct {
	Path
	Clear  bool   `query:"clear" doc:"Show telephone numbers and addresses in clear, which is recorded"`
	Reason string `query:"reason" maxLength:"200" doc:"Why; needed when the administrator wants to know"`
}

type output struct {
	ETag string `header:"ETag"`
	Body Customer
}

func (s *service) get(ctx context.Context, in *getInput) (*output, error) {
	c, err := s.customers.ByNumber(ctx, customer.View(api.Actor(ctx)), in.Number)
	if err != nil {
		return nil, err
	}
	if in.Clear {
		if !api.HasScope(ctx, inClear) {
			return nil, fault.New(fault.Forbidden, "api.scope", inClear)
		}
		if err := s.reveal(ctx, &c, in.Reason); err != nil {
			return nil, err
		}
	}
	if c, err = s.customers.WithFields(ctx, c); err != nil {
		return nil, err
	}
	return &output{api.Tag(c.Version), s.view(ctx, nil, c)}, nil
}

// reveal replaces the masked values by clear ones; each is recorded.
func (s *service) reveal(ctx context.Context, c *customer.Customer, reason string) (err error) {
	actor := api.Actor(ctx)
	if c.Address != "" {
		if c.Address, err = s.customers.RevealAddress(ctx, actor, c.ID, reason); err != nil {
			return err
		}
	}
	for i := range c.Contacts {
		x := &c.Contacts[i]
		for f, v := range map[customer.Field]*string{customer.Phone: &x.Phone, customer.Email: &x.Email, customer.Wechat: &x.Wechat} {
			if *v == "" {
				continue
			}
			if *v, err = s.customers.Reveal(ctx, actor, x.ID, f, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// Edit is a change of a profile; nil members stay as they are.
type Edit struct {
	Version         *int64          `json:"version,omitempty" doc:"The version that was read; or send If-Match"`
	Reason          string          `json:"reason,omitempty" doc:"Why; needed for name, uscc, level and owner" example:"客户更名"`
	Name            *string         `json:"name,omitempty"`
	USCC            *string         `json:"uscc,omitempty"`
	Industry        *string         `json:"industry,omitempty"`
	Level           *string         `json:"level,omitempty" enum:"normal,vip,strategic"`
	Source          *string         `json:"source,omitempty"`
	Region          *string         `json:"region,omitempty"`
	Address         *string         `json:"address,omitempty"`
	Website         *string         `json:"website,omitempty"`
	Remark          *string         `json:"remark,omitempty"`
	Owner           *string         `json:"owner,omitempty" doc:"Login; empty for nobody"`
	Department      *string         `json:"department,omitempty" doc:"Name"`
	FirstContactAt  *time.Time      `json:"first_contact_at,omitempty"`
	Fields          fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields to be changed, by code; null empties one"`
	Contacts        []EditContact   `json:"contacts,omitempty" doc:"Contacts to be added or changed; others stay"`
	DuplicateReason string          `json:"duplicate_reason,omitempty"`
}

// EditContact is a change of one contact.
type EditContact struct {
	ID       int64           `json:"id,omitempty" doc:"Absent for a new one"`
	Name     *string         `json:"name,omitempty"`
	Gender   *string         `json:"gender,omitempty" enum:",male,female"`
	Position *string         `json:"position,omitempty"`
	Role     *string         `json:"role,omitempty" enum:",decision,business,technical,finance,user"`
	Phone    *string         `json:"phone,omitempty"`
	Email    *string         `json:"email,omitempty"`
	Wechat   *string         `json:"wechat,omitempty"`
	Primary  *bool           `json:"primary,omitempty"`
	Remove   bool            `json:"remove,omitempty" doc:"No longer to be spoken to"`
	Fields   fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code"`
}

type updateInput struct {
	Path
	IfMatch string `header:"If-Match" doc:"The ETag that was read" example:"\"3\""`
	Body    api.JSON[Edit]
}

func (s *service) update(ctx context.Context, in *updateInput) (*output, error) {
	actor, e := api.Actor(ctx), in.Body.Value()
	c, err := s.customers.ByNumber(ctx, customer.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	version, err := api.Version(in.IfMatch, e.Version, c.Version)
	if err != nil {
		return nil, err
	}
	ci := customer.Input{Type: c.Type, Name: api.Some(e.Name, c.Name), USCC: api.Some(e.USCC, c.USCC), Industry: api.Some(e.Industry, c.Industry),
		Level: customer.Level(api.Some(e.Level, string(c.Level))), Source: api.Some(e.Source, c.Source), Region: api.Some(e.Region, c.Region),
		Address: api.Some(e.Address, ""), ClearAddress: e.Address != nil && *e.Address == "", Website: api.Some(e.Website, c.Website), Remark: api.Some(e.Remark, c.Remark),
		OwnerID: c.OwnerID, DepartmentID: c.DepartmentID, FirstContactAt: api.Some(e.FirstContactAt, c.FirstContactAt), DuplicateReason: e.DuplicateReason}
	if e.Owner != nil {
		if ci.OwnerID, err = s.people.PersonID(ctx, "owner", *e.Owner); err != nil {
			return nil, err
		}
	}
	if e.Department != nil {
		if ci.DepartmentID, err = s.people.DepartmentID(ctx, "department", *e.Department); err != nil {
			return nil, err
		}
	}
	var bad error
	ci.Fields, bad = fieldapi.In(ctx, s.customers.Fields(), field.Customer, e.Fields, "")
	for i, x := range e.Contacts {
		own, err := fieldapi.In(ctx, s.customers.Fields(), field.Contact, x.Fields, fmt.Sprintf("contacts.%d.", i))
		bad = fault.Both(bad, err)
		var was customer.Contact
		if k := slices.IndexFunc(c.Contacts, func(o customer.Contact) bool { return o.ID == x.ID }); k >= 0 {
			was = c.Contacts[k]
		} else if x.ID != 0 {
			return nil, fault.Invalidf("api.invalid").Field(fmt.Sprintf("contacts.%d.id", i), "customer.contact.unknown")
		}
		ci.Contacts = append(ci.Contacts, customer.ContactInput{ID: x.ID, Name: api.Some(x.Name, was.Name), Gender: api.Some(x.Gender, was.Gender), Position: api.Some(x.Position, was.Position), Role: role(x.Role),
			Phone: api.Some(x.Phone, ""), Email: api.Some(x.Email, ""), Wechat: api.Some(x.Wechat, ""), Primary: api.Some(x.Primary, was.Primary), Remove: x.Remove,
			ClearEmail: x.Email != nil && *x.Email == "", ClearWechat: x.Wechat != nil && *x.Wechat == "", Fields: own})
	}
	if bad != nil {
		return nil, bad
	}
	if c, err = s.customers.Update(ctx, actor, c.ID, version, ci, e.Reason); err != nil {
		return nil, Duplicates(err)
	}
	if c, err = s.customers.WithFields(ctx, c); err != nil {
		return nil, err
	}
	return &output{api.Tag(c.Version), s.view(ctx, nil, c)}, nil
}

// role is a contact's role as the room takes it: none, unless it is sent.
func role(sent *string) string {
	switch {
	case sent == nil:
		return ""
	case *sent == "":
		return customer.RoleNone
	}
	return *sent
}

type timelineInput struct {
	Path
	Only string `query:"only" enum:"message,follow_up,note,ticket,change" doc:"Narrow it to messages, follow-up records, notes, moves of tickets, or changes of the profile"`
	api.Page
}

// Timeline is a stretch of a timeline, newest first.
type Timeline struct {
	Items []Entry `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of what is older; absent at the end"`
}

type timelineOutput struct{ Body Timeline }

func (s *service) timeline(ctx context.Context, in *timelineInput) (*timelineOutput, error) {
	actor := api.Actor(ctx)
	c, err := s.customers.ByNumber(ctx, customer.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	items, next, err := s.customers.Timeline(ctx, actor, c.ID, in.Cursor, in.Only, min(in.Limit, 100))
	if err != nil {
		return nil, err
	}
	out := &timelineOutput{Timeline{Items: make([]Entry, 0, len(items)), Next: next}}
	for _, i := range items {
		out.Body.Items = append(out.Body.Items, item(ctx, i))
	}
	return out, nil
}

// Brief returns what a search shows of a customer.
func Brief(ctx context.Context, people orgapi.Directory, c customer.Customer) Customer {
	return (&service{people: people}).view(ctx, nil, c)
}
