package canned

// The facts this room records. Texts of one's own are nobody else's business, but
// that they were changed, and by whom, is on record as everything is.
const (
	EventReplyAdded   = "canned.reply_added"
	EventReplyChanged = "canned.reply_changed"
	EventReplyDeleted = "canned.reply_deleted"
)
