// Package process lets an administrator lay a process (流程) over the states of a
// kind of ticket: stages with the department whose turn it is, a time limit, what
// has to be filled in, and the steps from one stage to the next (TKT-22).
//
// What always holds:
//
//   - A process never adds a state and never allows a move that the ticket's own
//     table refuses: it only narrows.
//   - A published version never changes. A ticket follows the version it began
//     with to its end, whatever is published meanwhile.
//   - What is published has been checked: a ticket can reach every stage, leave
//     each of them and come to an end.
//   - How a ticket goes through its stages is decided by pure functions over the
//     definition; the trial on the screen and the real run call the same ones.
//   - A ticket without a process costs no query.
//   - A process of complaints carries their records: its stages say where each of
//     the steps ISO 10002 asks for is written down. What the company requires of
//     every complaint holds whatever a process says.
//
// It may import the works and the rooms up to ticket.
package process
