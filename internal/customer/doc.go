// Package customer knows whom the company serves: persons and companies, the
// people to speak to there, what they first asked for, and how they came. It
// finds them by whatever an agent has at hand (a number, a name or its pinyin, the last
// four digits of a telephone), and keeps one profile for one customer.
//
// What always holds:
//
//   - Telephone numbers, e-mail and WeChat addresses and postal addresses are
//     stored encrypted, and leave this package masked. The one way to a clear
//     value is [Service.Reveal] and its kin, which record who looked (CUS-17).
//   - A second profile with the same credit code or telephone number needs a
//     reason in words (CUS-5).
//   - A customer out of the reader's data scope shows nowhere: not in lists,
//     search, duplicates or the timeline. The duplicate check names only the
//     department to ask.
//   - Every change of a profile is recorded field by field; for important
//     fields with a reason (CUS-11).
//   - Who is dormant wakes with any contact: [Touch] and [FollowedUp] see to it,
//     whichever room or channel the contact came by (CUS-12).
//   - A group of companies has no circle (CUS-20).
//
// A sealed value is bound to table, id and field of its row, so rows are
// inserted first and sealed in the same transaction.
//
// The room may import journal and what lies below; tickets tell it their counts
// through [AddTicket], [AddRating] and [Touch].
package customer
