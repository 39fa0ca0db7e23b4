package customer

import (
	"context"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/field"
)

// Type tells persons (个人客户) from companies (企业客户).
type Type string

const (
	Person  Type = "person"
	Company Type = "company"
)

// Types in the order they are offered.
var Types = []Type{Company, Person}

// Level is the service level (CUS-6).
type Level string

const (
	Normal    Level = "normal"
	VIP       Level = "vip"
	Strategic Level = "strategic"
)

// Levels in rising order.
var Levels = []Level{Normal, VIP, Strategic}

// Sources says how a customer came (CUS-8), in the order they are offered; the
// name is the locale key customer.source.<code>.
var Sources = []string{"phone", "chat", "email", "social", "referral", "exhibition", "campaign", "website", "offline"}

// Genders of a contact, as he is addressed: 先生, 女士, or unknown.
var Genders = []string{"", "male", "female"}

// Customer is a profile as it may be shown: nothing in it is a clear value.
type Customer struct {
	ID             int64
	Number         string
	Type           Type
	Name           string
	USCC           string
	Industry       string // code of GB/T 4754
	Level          Level
	Grade          string // a, b, c; "" not graded
	Stage          string // potential, interested, active, dormant, lost
	StageAt        time.Time
	ParentID       int64 // the company it belongs to; 0 none
	Source         string
	Region         string
	Address        string // masked
	Website        string
	Remark         string
	OwnerID        int64
	OwnerName      string
	DepartmentID   int64
	DepartmentName string
	FirstContactAt time.Time
	CreatedBy      int64
	CreatedByName  string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ActivityAt     time.Time
	PlannedAt      time.Time // the next follow-up; zero: none is planned
	VerifiedAt     time.Time // zero: never
	VerifyAt       time.Time // when the profile is to be confirmed next; zero: not set
	OpenTickets    int64
	TotalTickets   int64
	Ratings        int64
	RatingSum      int64
	// DuplicateReason is why a second profile was allowed; empty for the first.
	DuplicateReason string
	Demo            bool
	Version         int64

	Contacts []Contact // the primary one first; former ones are left out
	Needs    []Need    // the newest first
	Tags     []Tag
	Fields   map[int64]field.Value // custom fields; only filled by [Service.AddFields]
}

// Rating is the mean of all ratings, 0 when there are none.
func (c Customer) Rating() float64 {
	if c.Ratings == 0 {
		return 0
	}
	return float64(c.RatingSum) / float64(c.Ratings)
}

// Primary returns the contact to speak to first; the zero Contact when there is
// none.
func (c Customer) Primary() Contact {
	if len(c.Contacts) == 0 {
		return Contact{}
	}
	return c.Contacts[0]
}

// Contact is somebody to speak to. Phone, Email and Wechat are masked.
type Contact struct {
	ID         int64
	CustomerID int64
	Name       string
	Gender     string
	Position   string
	Role       string // decision, business, technical, finance, user; "" unknown
	Phone      string
	Email      string
	Wechat     string
	Primary    bool
	Active     bool
	Fields     map[int64]field.Value // custom fields; only filled by [Service.AddFields]
}

// Need is what a customer asked for at first (CUS-2).
type Need struct {
	ID          int64
	Product     string
	Description string
	Period      string
	Budget      string
	Delivery    string
	Special     string
	Urgency     string // urgent, normal, low, or empty
	CreatedBy   int64
	CreatedAt   time.Time
}

// Urgencies of a need, and of a ticket; "" is unknown.
var Urgencies = []string{"", "urgent", "normal", "low"}

// Tag is an entry of the managed list (CUS-7).
type Tag struct {
	ID     int64
	Name   string
	Colour string
	Uses   int64 // only filled by [Service.Tags]
}

// Colours a tag may have; they are tones of the look.
var Colours = []string{"gray", "red", "orange", "amber", "green", "teal", "cyan", "blue", "violet", "pink"}

// NumberTemplate and its setting (CUS-3).
const (
	NumberSetting  = "customer.number_template"
	NumberTemplate = "C{yyyyMMdd}{4}"
)

// RevealReasonSetting is a JSON boolean: whether revealing a value asks why.
const RevealReasonSetting = "customer.reveal_reason"

// Service is the room.
type Service struct {
	run      *action.Runner
	keys     *crypt.Keeper
	fields   *field.Service
	tickets  Tickets       // nil until ShowTickets
	levels   LevelApproval // nil: changes of level are done at once
	lists    lists         // what long lists need: see Equip
	counted  counted       // of views, for a moment
	business TicketCounter // nil until CountBusiness
	leads    Leads         // nil until AskLeads
	vague    func(ctx context.Context, q db.Querier) (refuse bool, err error)
}

// New returns the room on the runner's store. keys seal the sensitive fields.
func New(run *action.Runner, keys *crypt.Keeper) *Service {
	return &Service{run: run, keys: keys, fields: field.New(run)}
}

// Fields returns the room of custom fields, which all rooms share.
func (s *Service) Fields() *field.Service { return s.fields }

func (s *Service) db() *db.DB { return s.run.DB() }
