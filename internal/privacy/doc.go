// Package privacy answers for the personal data the product keeps: it deletes
// customers after approval (CUS-15), gives their data to others only after
// approval, with a watermark and an end (CUS-16), serves the rights of persons
// to see, correct, restrict and erase what is kept about them, and forgets by
// itself what has been kept long enough (GOV-4).
//
// What always holds:
//
//   - Whoever asks for a deletion or a disclosure does not decide it.
//   - After an erasure, none of the person's values is found in clear in a table,
//     a file, the search index, or the files of the database; the erasure looks
//     itself and says so in a signed record. What stays are tombstones, masked.
//   - The audit trail can be verified before and after.
//   - A person's values are stored here only sealed, and only until the request
//     they belong to has ended.
//
// Erasing does not trust that each room remembers where it wrote what: it reads
// the engine's own catalog and goes through every text of every table, so that a
// table somebody adds next year is looked through as well. A value that others
// bear too (the number of a switchboard, a name of two characters) is taken out
// only where the record is the person's own.
//
// The room stands right of all others and may import them; what channels and
// listeners keep beside tables and files they take away as a [Holder].
package privacy
