// Package api is what all operations of the JSON API under /api/v1 share: how
// they are declared and documented, who may call them and how often, how a body
// is read, what an error looks like, and how a request that is sent twice has
// its effect once.
//
// What always holds: an operation is called with an API token that holds its
// scope, by a person who holds its permission, or not at all; a browser's
// session is not accepted, so no other site can use one. Unknown members and
// parameters are refused by name. The OpenAPI document describes exactly the
// operations there are. Rules are the rooms': this package knows only shapes.
package api
