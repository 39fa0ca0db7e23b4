// Package web is the floor every page and every JSON answer stands on: it knows
// who asks, in which language, whether he may, and what to say when something
// goes wrong. It knows nothing of tickets or customers.
//
// What always holds: a route has a permission or says in words that it needs
// none ([Public], [SignedIn]); a state change from a foreign site is refused;
// every answer carries a reference number that is also in the log; an error
// that is not a fault shows a calm sentence and never its text; no answer
// allows inline script or style.
package web
