package privacy

import "bihuan/internal/event"

// The facts this room records. They hold numbers and masks, never values.
const (
	DeletionAsked     = "privacy.deletion_asked"
	DeletionEnded     = "privacy.deletion_ended" // refused, withdrawn or lapsed
	DeletionApproved  = "privacy.deletion_approved"
	ErasureDone       = "privacy.erased"
	DisclosureAsked   = "privacy.disclosure_asked"
	DisclosureEnded   = "privacy.disclosure_ended"
	DisclosureMade    = "privacy.disclosure_made"
	DisclosureFetched = "privacy.disclosure_fetched"
	DisclosureExpired = "privacy.disclosure_expired"
	RequestRegistered = "privacy.request_registered"
	RequestChecked    = "privacy.request_checked" // who asks is who he says
	RequestSearched   = "privacy.request_searched"
	RequestExported   = "privacy.request_exported"
	RequestFetched    = "privacy.request_fetched"
	RequestClosed     = "privacy.request_closed"
	RequestRefused    = "privacy.request_refused"
	ErasureBegun      = "privacy.erasure_begun"
	Restricted        = "privacy.restricted"
	RestrictionLifted = "privacy.restriction_lifted"
	RetentionChanged  = "privacy.retention_changed"
	RetentionApplied  = "privacy.retention_applied"
)

// Kinds lists the facts of this room.
var Kinds = []string{DeletionAsked, DeletionEnded, DeletionApproved, ErasureDone, DisclosureAsked, DisclosureEnded, DisclosureMade, DisclosureFetched, DisclosureExpired,
	RequestRegistered, RequestChecked, RequestSearched, RequestExported, RequestFetched, RequestClosed, RequestRefused, ErasureBegun, Restricted, RestrictionLifted, RetentionChanged, RetentionApplied}

// What the facts are about.
const (
	subjectDisclosure = "disclosure"
	subjectRequest    = "person_request"
	subjectErasure    = "erasure"
)

func aboutDisclosure(id int64) event.Subject { return event.Subject{Type: subjectDisclosure, ID: id} }
func aboutRequest(id int64) event.Subject    { return event.Subject{Type: subjectRequest, ID: id} }
func aboutErasure(id int64) event.Subject    { return event.Subject{Type: subjectErasure, ID: id} }

// Fact is the data of this room's events. Args fill the sentence; who is named in
// Tell gets a notice that leads to Link.
type Fact struct {
	Number  string         `json:"number,omitempty"`
	Title   string         `json:"title,omitempty"`
	Args    []string       `json:"args,omitempty"`
	Link    string         `json:"link,omitempty"`
	Tell    []int64        `json:"tell,omitempty"`
	Count   int            `json:"count,omitempty"`
	Fields  []string       `json:"fields,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}
