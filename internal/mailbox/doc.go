// Package mailbox takes requests in by e-mail and sends the answers back (CHN-1):
// it fetches the company's mailboxes, keeps every mail as it was sent, and makes
// of it a ticket, a message in a ticket, or a mail in quarantine with its reason.
//
// What always holds:
//
//   - The source of a mail is stored before anything is made of it, and before it
//     is marked on the server. What cannot be read is kept and shown.
//   - One mail has one effect, however often it comes: twice in a mailbox, in two
//     mailboxes, after the numbers of a folder have changed, after a crash. What was
//     discarded does not come back.
//   - A mail that fails does not hold up the next one.
//   - A mail joins a ticket only with a signature of ours, or when its sender takes
//     part in that ticket. A number in a subject proves nothing.
//   - Programs are not answered: holiday notices, lists, bounces, other help desks.
//   - What a stranger wrote is shown as text; his HTML only cleaned, in a frame that
//     may do nothing, without pictures from the web until somebody asks for them.
//
// It may import the rooms up to ticket.
package mailbox
