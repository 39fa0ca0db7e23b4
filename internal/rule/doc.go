// Package rule does what an administrator has decided shall happen by itself
// (自动化规则, AUT-1, AUT-2): when something happens to a ticket, or some time has
// passed, if conditions hold, then do this. And it answers a request on receipt.
//
// What always holds:
//
//   - A rule acts after the fact, as the program under the rule's name, through
//     the same moves as people; never inside somebody else's transaction.
//   - Each event is looked at once: what a rule does is committed with the place
//     in the chain of facts it has read to. A matter of time, and an automatic
//     answer, happens once by a unique row.
//   - What a rule causes carries the rules that led to it. No rule fires twice in
//     one such chain, no chain is longer than [maxDepth], and a ticket that is
//     fired upon too often is left alone. A rule that keeps failing, or goes
//     round in circles, is switched off and the administrators are told.
//   - Conditions are a language without loops: a short list of names, operators
//     and functions, with a budget (lang.go).
//   - Every firing is written down with the conditions that held and what came of
//     each action.
//   - A web address is called only if it is outside of the company's network, or
//     was allowed by name; this is decided when it is saved and again for the
//     address that is connected to (outbound.go).
package rule
