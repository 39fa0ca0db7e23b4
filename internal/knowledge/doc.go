// Package knowledge keeps what has been found out once, so that nobody need find
// it out again (KNB-1 to KNB-5): articles in a tree of categories, written by one
// and published by another, found by whoever may read them, in a ticket, on the
// customer's pages and by programs.
//
// What always holds:
//
//   - Readers see what was published, as it was published; what is being changed is
//     seen by those who may change it.
//   - An article out of a reader's reach does not exist for him: in no list, number,
//     search, suggestion, file or answer of the API.
//   - Where review is asked for, nobody publishes what he wrote himself.
//   - Every saved text is kept as a version.
package knowledge
