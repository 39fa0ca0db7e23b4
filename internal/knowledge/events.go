package knowledge

import "bihuan/internal/event"

// The facts this room records.
const (
	EventCreated    = "knowledge.article_created"
	EventEdited     = "knowledge.article_edited"
	EventSubmitted  = "knowledge.article_submitted"
	EventReturned   = "knowledge.article_returned"
	EventPublished  = "knowledge.article_published"
	EventWithdrawn  = "knowledge.article_withdrawn"
	EventExpired    = "knowledge.article_expired"
	EventVerified   = "knowledge.article_verified"
	EventDeleted    = "knowledge.article_deleted"
	EventReviewDue  = "knowledge.review_due"
	EventExpirySoon = "knowledge.expiry_near"
	EventComplained = "knowledge.article_unhelpful" // with a comment
	EventHandled    = "knowledge.feedback_handled"
	EventCategory   = "knowledge.category_saved"
	EventUncategory = "knowledge.category_removed"
	EventSynonyms   = "knowledge.synonyms_changed"
	EventSettings   = "knowledge.settings_changed"
	// These are about a ticket.
	EventLinked   = "ticket.article_linked"
	EventUnlinked = "ticket.article_unlinked"
)

// Fact is the data of this room's events.
type Fact struct {
	Args    []string       `json:"args,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
	Tell    []int64        `json:"tell,omitempty"` // who is told
	Link    string         `json:"link,omitempty"`
}

func changed(out []event.Change, field, before, now string) []event.Change {
	if before == now {
		return out
	}
	return append(out, event.Change{Field: "knowledge." + field, Old: before, New: now})
}
