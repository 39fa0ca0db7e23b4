package canned

// The facts this room records. Texts of one's own are nobody else's business, but
// that they were changed, and by whom, is on record as everything is.
const (
	EventReplyAdded   = "canned.reply_added"
	EventReplyChanged = "canned.reply_changed"
	EventReplyDeleted = "canned.reply_deleted"
	EventMacroAdded   = "canned.macro_added"
	EventMacroChanged = "canned.macro_changed"
	EventMacroDeleted = "canned.macro_deleted"
	// EventMacroRan is about a ticket, whose facts of the steps follow it.
	EventMacroRan = "ticket.macro_ran"
)
