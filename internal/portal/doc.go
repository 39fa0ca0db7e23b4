// Package portal is the customer's side: he asks for help, follows what becomes
// of it, answers questions, confirms and rates; with a telephone in his hand,
// without an account, without a script if need be (CHN-2, SAT-1).
//
// What always holds:
//
//   - Whoever holds the signed link of a request sees that request and nothing
//     else: what the customer and we said to each other, with its files. Internal
//     notes, names of staff and the customer's profile are not on these pages.
//   - No answer tells whether a number, an address or a customer exists.
//   - Opening a page changes nothing: mail scanners open links too. What waits for
//     the customer counts as told when he acts, or when a script saw him there.
//   - One form makes one request, however often it is sent.
//   - Personal data is taken with consent only, and which text was agreed to is on
//     record (PIPL 14, 17).
//
// It may import the rooms up to ticket.
package portal
