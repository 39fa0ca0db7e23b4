package customer

import "bihuan/internal/event"

// The facts this room records. Sensitive values in them are masked, and names
// of persons too: the chain outlives a person's wish to be forgotten (GOV-4).
const (
	Created       = "customer.created"
	ImportedKind  = "customer.imported" // Data as of Created
	Changed       = "customer.changed"
	LevelAsked    = "customer.level_asked"    // waits for approval
	LevelKept     = "customer.level_kept"     // approval was refused, withdrawn or never came
	LevelsSettled = "customer.levels_settled" // of many, all of them
	FieldRevealed = "customer.field_revealed"
	TagsChanged   = "customer.tags_changed"
	NeedAdded     = "customer.need_added"
	FollowUpAdded = "customer.follow_up_added"
	EntryFixed    = "customer.entry_corrected"
	TagCreated    = "customer.tag_created"
	TagEdited     = "customer.tag_edited"
	TagDeleted    = "customer.tag_deleted"
	StageChanged  = "customer.stage_changed"
	GradeKept     = "customer.grade_kept" // decided against a suggestion
	VerifiedKind  = "customer.verified"
	RelationMade  = "customer.relation_added"
	RelationEnded = "customer.relation_removed"

	// These tell somebody something; they are about the person who is told.
	VerificationDue     = "customer.verification_due"
	VerificationOverdue = "customer.verification_overdue"

	subjectType    = "customer"
	tagSubjectType = "tag"
)

// Kinds lists the facts of this room.
var Kinds = []string{Created, ImportedKind, Changed, LevelAsked, LevelKept, LevelsSettled, FieldRevealed, TagsChanged, NeedAdded, FollowUpAdded, EntryFixed, TagCreated, TagEdited, TagDeleted, StageChanged, GradeKept, VerifiedKind, RelationMade, RelationEnded,
	VerificationDue, VerificationOverdue}

// Subject is the customer id as the subject of an event.
func Subject(id int64) event.Subject { return event.Subject{Type: subjectType, ID: id} }

// CreatedData is the data of Created.
type CreatedData struct {
	Number          string `json:"number"`
	Type            Type   `json:"type"`
	Level           Level  `json:"level"`
	Source          string `json:"source,omitempty"`
	OwnerID         int64  `json:"owner_id,omitempty"`
	DepartmentID    int64  `json:"department_id"`
	Contacts        int    `json:"contacts"`
	DuplicateReason string `json:"duplicate_reason,omitempty"`
}

// Change is one field before and after. Of names the contact for fields of
// contacts.
type Change struct {
	event.Change
	Of string `json:"of,omitempty"`
}

// ChangedData is the data of Changed.
type ChangedData struct {
	Changes []Change `json:"changes"`
}

// RevealedData is the data of FieldRevealed.
type RevealedData struct {
	Field     string         `json:"field"`
	ContactID int64          `json:"contact_id,omitempty"`
	Masked    string         `json:"masked"`
	Via       *event.Subject `json:"via,omitempty"` // the ticket it was looked up for
}

// TagsData is the data of TagsChanged.
type TagsData struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// EntryData is the data of FollowUpAdded and NeedAdded.
type EntryData struct {
	ID int64 `json:"id"`
}
