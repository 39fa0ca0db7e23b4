// Package field lets administrators give customers, contacts and tickets fields
// of their own: the product number of a dealer, the end of a warranty, the shop
// a complaint is about (CUS-19).
//
// What always holds:
//
//   - A field is never deleted. Switched off, it shows nowhere and its values
//     stay; so do options that are no longer offered.
//   - Its code never changes, nor does its kind once a value exists: exports,
//     imports and programs rely on both.
//   - Values are typed and indexed: a filter is a range of an index, and a list
//     loads the columns it shows, however many fields there are.
//   - Values are written in the transaction of the record they belong to, by the
//     room of that record, which also records what changed.
//
// The room knows nothing of what a customer or a ticket is: a record is an
// object and an id, and whoever asks for values has checked that the reader may
// see the record. Values are not encrypted; what must be, has a field of its own.
package field
