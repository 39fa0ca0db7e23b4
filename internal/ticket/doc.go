// Package ticket is the life of a request: registered, taken up, handled,
// followed up, confirmed by the customer, rated, closed. The whole life is one
// table of moves (flow.go); pages, API, timers and channels all go through it.
//
// What always holds:
//
//  1. every open ticket has one responsible party: an assignee, or a department
//     queue with its supervisor;
//  2. every open ticket has a running clock;
//  3. no state changes without its event, its journal line and its version;
//  4. no message to a customer without a delivery record;
//  5. no ticket is completed without an outcome;
//  6. every bad rating starts a second handling with a task for the supervisor;
//  7. the events of a ticket, replayed, give its stored state;
//  8. a main ticket is never further than its open sub-tickets.
//
// It may import the works and the rooms org, journal, customer and sla.
package ticket
