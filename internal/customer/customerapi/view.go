package customerapi

import (
	"context"
	"time"

	"bihuan/internal/api"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/field/fieldapi"
	"bihuan/internal/journal"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/web"
)

// Customer is a profile as it is sent.
type Customer struct {
	Number         string          `json:"number" doc:"The customer's number" example:"C202611210001"`
	Type           string          `json:"type" enum:"company,person"`
	Name           string          `json:"name" example:"广州南粤医疗器械股份有限公司"`
	USCC           string          `json:"uscc,omitempty" doc:"Unified social credit code (GB 32100), companies only" example:"91350100M000100Y43"`
	Industry       string          `json:"industry,omitempty" doc:"Code of GB/T 4754" example:"C35"`
	IndustryName   string          `json:"industry_name,omitempty" example:"专用设备制造业"`
	Level          string          `json:"level" enum:"normal,vip,strategic"`
	Grade          string          `json:"grade,omitempty" enum:"a,b,c" doc:"Value for the company; absent when not graded"`
	Stage          string          `json:"stage" enum:"potential,interested,active,dormant,lost"`
	StageAt        *time.Time      `json:"stage_at,omitempty" doc:"Since when"`
	Source         string          `json:"source,omitempty" doc:"How the customer came" example:"phone"`
	Region         string          `json:"region,omitempty" example:"广东 广州"`
	Address        string          `json:"address,omitempty" doc:"Masked, unless asked for in clear" example:"广东省广州市****"`
	Website        string          `json:"website,omitempty" format:"uri"`
	Remark         string          `json:"remark,omitempty"`
	Tags           []string        `json:"tags,omitempty" doc:"Names from the managed list"`
	Owner          *orgapi.Person  `json:"owner,omitempty" doc:"Who looks after the customer"`
	Department     string          `json:"department" example:"客服部"`
	FirstContactAt *time.Time      `json:"first_contact_at,omitempty"`
	Contacts       []Contact       `json:"contacts" doc:"The primary one first; in lists only that one"`
	Needs          []Need          `json:"needs,omitempty" doc:"What was asked for, newest first; not in lists"`
	OpenTickets    int64           `json:"open_tickets"`
	TotalTickets   int64           `json:"total_tickets"`
	Rating         float64         `json:"rating,omitempty" doc:"Mean of all ratings, 1 to 5; absent without any" example:"4.6"`
	CreatedBy      string          `json:"created_by" doc:"Name of who registered the customer"`
	CreatedAt      *time.Time      `json:"created_at"`
	UpdatedAt      *time.Time      `json:"updated_at"`
	ActivityAt     *time.Time      `json:"activity_at" doc:"Last business with the customer"`
	PlannedAt      *time.Time      `json:"planned_at,omitempty" doc:"The next follow-up that is planned"`
	VerifiedAt     *time.Time      `json:"verified_at,omitempty" doc:"When the profile was last confirmed"`
	VerifyAt       *time.Time      `json:"verify_at,omitempty" doc:"When it is to be confirmed next"`
	Fields         fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code, see list-fields"`
	Version        int64           `json:"version" doc:"Send it back with a change" example:"3"`
}

// Contact is somebody to speak to.
type Contact struct {
	ID       int64           `json:"id" doc:"Names the contact in changes"`
	Name     string          `json:"name" example:"黎嘉敏"`
	Gender   string          `json:"gender,omitempty" enum:",male,female"`
	Position string          `json:"position,omitempty" example:"采购经理"`
	Role     string          `json:"role,omitempty" enum:"decision,business,technical,finance,user" doc:"What he is asked for"`
	Phone    string          `json:"phone,omitempty" doc:"Masked, unless asked for in clear" example:"138****5678"`
	Email    string          `json:"email,omitempty" doc:"Masked, unless asked for in clear" example:"l***@example.com"`
	Wechat   string          `json:"wechat,omitempty" doc:"Masked, unless asked for in clear"`
	Primary  bool            `json:"primary"`
	Fields   fieldapi.Values `json:"fields,omitempty" doc:"The company's own fields by code"`
}

// Need is what a customer asked for.
type Need struct {
	Product     string     `json:"product,omitempty"`
	Description string     `json:"description,omitempty"`
	Period      string     `json:"period,omitempty"`
	Budget      string     `json:"budget,omitempty"`
	Delivery    string     `json:"delivery,omitempty"`
	Special     string     `json:"special,omitempty"`
	Urgency     string     `json:"urgency,omitempty" enum:",urgent,normal,low"`
	CreatedAt   *time.Time `json:"created_at,omitempty"`
}

// ContactOf returns c as it is sent.
func ContactOf(c customer.Contact) Contact {
	return Contact{ID: c.ID, Name: c.Name, Gender: c.Gender, Position: c.Position, Role: c.Role, Phone: c.Phone, Email: c.Email, Wechat: c.Wechat, Primary: c.Primary, Fields: fieldapi.Out(c.Fields)}
}

func (s *service) view(ctx context.Context, q db.Querier, c customer.Customer) Customer {
	v := Customer{
		Number: c.Number, Type: string(c.Type), Name: c.Name, USCC: c.USCC, Industry: c.Industry, Level: string(c.Level), Source: c.Source,
		Grade: c.Grade, Stage: c.Stage, StageAt: api.At(ctx, c.StageAt), PlannedAt: api.At(ctx, c.PlannedAt), VerifiedAt: api.At(ctx, c.VerifiedAt), VerifyAt: api.At(ctx, c.VerifyAt),
		Region: c.Region, Address: c.Address, Website: c.Website, Remark: c.Remark, Owner: s.people.Person(ctx, q, c.OwnerID), Department: c.DepartmentName,
		FirstContactAt: api.At(ctx, c.FirstContactAt), Contacts: make([]Contact, 0, len(c.Contacts)), OpenTickets: c.OpenTickets, TotalTickets: c.TotalTickets,
		Rating: c.Rating(), CreatedBy: c.CreatedByName, CreatedAt: api.At(ctx, c.CreatedAt), UpdatedAt: api.At(ctx, c.UpdatedAt), ActivityAt: api.At(ctx, c.ActivityAt), Version: c.Version,
	}
	if i, ok := cnid.IndustryByCode(c.Industry); ok {
		v.IndustryName = i.Name
	}
	v.Fields = fieldapi.Out(c.Fields)
	for _, t := range c.Tags {
		v.Tags = append(v.Tags, t.Name)
	}
	for _, x := range c.Contacts {
		v.Contacts = append(v.Contacts, ContactOf(x))
	}
	for _, n := range c.Needs {
		v.Needs = append(v.Needs, Need{n.Product, n.Description, n.Period, n.Budget, n.Delivery, n.Special, n.Urgency, api.At(ctx, n.CreatedAt)})
	}
	return v
}

// Entry is a line of a timeline.
type Entry struct {
	ID       int64      `json:"id,omitempty" doc:"Of an entry of the journal; absent for changes of the profile"`
	At       *time.Time `json:"at"`
	Kind     string     `json:"kind" enum:"customer,reply,question,note,follow_up,move,system,change" doc:"customer, reply and question are what the customer sees; note and follow_up are among colleagues; move and system are steps of a ticket; change is one of the profile"`
	Author   string     `json:"author" doc:"Name of the person, or of the timer that acted" example:"林晓雯"`
	ByUs     bool       `json:"by_us" doc:"Whether the author is a member of the staff"`
	Text     string     `json:"text,omitempty" doc:"What was written"`
	Event    string     `json:"event,omitempty" doc:"Stable name of what happened" example:"ticket.acknowledged"`
	Sentence string     `json:"sentence,omitempty" doc:"What happened, in the language of the request"`
	Reason   string     `json:"reason,omitempty"`
	Ticket   string     `json:"ticket,omitempty" doc:"Number of the ticket it is about" example:"TASK20261121001"`
	FollowUp *FollowUp  `json:"follow_up,omitempty"`
	Changes  []Change   `json:"changes,omitempty"`
}

// FollowUp is the detail of a follow-up record.
type FollowUp struct {
	At        *time.Time `json:"at" doc:"When it took place"`
	Method    string     `json:"method" enum:"phone,chat,email,visit,sms,meeting,social,system"`
	Contact   string     `json:"contact,omitempty"`
	Reaction  string     `json:"reaction,omitempty"`
	Agreement string     `json:"agreement,omitempty"`
	NextPlan  string     `json:"next_plan,omitempty"`
	NextOwner string     `json:"next_owner,omitempty" doc:"Name"`
	NextAt    *time.Time `json:"next_at,omitempty"`
	Done      bool       `json:"done" doc:"Whether the matter is settled"`
}

// Change is one field before and after.
type Change struct {
	Field string `json:"field" example:"level"`
	Old   string `json:"old"`
	New   string `json:"new"`
	Of    string `json:"of,omitempty" doc:"Contact concerned"`
}

// EntryOf returns a line of the journal as it is sent.
func EntryOf(ctx context.Context, e journal.Entry, ticket string) Entry {
	v := Entry{ID: e.ID, At: api.At(ctx, e.CreatedAt), Kind: string(e.Kind), Author: e.AuthorName, ByUs: e.AuthorKind == "user", Text: e.Body, Ticket: ticket}
	switch e.Kind {
	case journal.Move, journal.System:
		m := e.Moved()
		v.Event, v.Sentence, v.Reason = m.Event, m.Say(web.From(ctx).Lang), m.Reason
	case journal.FollowUp:
		r := e.Record()
		v.FollowUp = &FollowUp{api.At(ctx, r.At), r.Method, r.Contact, r.Reaction, r.Agreement, r.NextPlan, r.NextOwnerName, api.At(ctx, r.NextAt), r.Done}
	}
	return v
}

func item(ctx context.Context, i customer.Item) Entry {
	if i.Entry != nil {
		return EntryOf(ctx, *i.Entry, i.Ticket.Number)
	}
	return fact(ctx, i, *i.Event)
}

func fact(ctx context.Context, i customer.Item, e event.Stored) Entry {
	v := Entry{At: api.At(ctx, i.At), Kind: "change", Author: e.ActorName, ByUs: e.ActorKind == "user", Event: e.Kind, Sentence: e.Sentence(web.From(ctx).Lang), Reason: e.Reason}
	for _, c := range i.Changes() {
		v.Changes = append(v.Changes, Change{c.Field, c.Old, c.New, c.Of})
	}
	tags := i.Tags()
	for _, t := range tags.Added {
		v.Changes = append(v.Changes, Change{Field: "tag", New: t})
	}
	for _, t := range tags.Removed {
		v.Changes = append(v.Changes, Change{Field: "tag", Old: t})
	}
	return v
}
