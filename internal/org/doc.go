// Package org is the company itself: its departments, the people who work
// there, what each of them may do and see, and how they sign in.
//
// What always holds: departments form a tree; a user is deactivated, never
// deleted (ORG-7); there is always somebody who may administer the company; a
// password is stored only as an argon2id hash and a token only as a digest; a
// change of rights or of a password takes effect with the next request on this
// node and within seconds on the others.
//
// It stands on the works and imports no other room. A room that has work to
// hand over when somebody leaves registers it with [Service.AddWork].
package org
