// Package complaint is what a complaint (投诉, TKT-20) has beside its ticket:
// its own steps in their order, receive, calm, classify, investigate, propose,
// resolve, respond, review, with the records ISO 10002 (GB/T 19012) asks of
// each; the complainant's mood and the remedy he asks for; and levels of
// escalation from the person at the desk to the management.
//
// What always holds:
//
//  1. a step is recorded when those that must come before it have been;
//  2. a record is a fact with who and when: it is never changed, an amendment
//     is a further record that names the one it corrects and says why;
//  3. the level of a complaint only rises, and whoever is responsible at it has
//     been told and may open the ticket;
//  4. the customer is not asked to confirm before the steps the company requires
//     have been recorded, cause and corrective action among them;
//  5. it is not archived before somebody has looked back on it, unless the
//     company says otherwise;
//  6. a second handling begins anew with the investigation; what was recorded of
//     the first stays.
//
// The life of the ticket itself, its states, clocks and rounds, is the ticket
// room's; this room takes part in it through hooks. It may import the works and
// the rooms org, journal, customer and ticket.
package complaint
