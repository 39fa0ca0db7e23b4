// Package authz answers two questions with one set of rules: may this actor do
// this, and which records does he see. Rooms declare their permissions here;
// roles (package org) hand them out, each with a data scope (ORG-2, ORG-3).
//
// What always holds: the zero Actor may nothing, and the zero Scope matches
// nothing.
package authz

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Permission is a right, named area.verb ("ticket.handle").
type Permission string

// Level is how far a permission reaches (数据范围).
type Level int

const (
	None       Level = iota
	Own              // records the person is responsible for or registered
	Department       // those of his department and teams as well
	Below            // and of all departments below it
	All
)

var levelNames = []string{"none", "own", "department", "below", "all"}

// String returns the stored name.
func (l Level) String() string { return levelNames[l] }

// ParseLevel is the inverse of String; an unknown name is None.
func ParseLevel(s string) Level { return Level(max(0, slices.Index(levelNames, s))) }

// Role codes of the built-in roles.
const (
	RoleAdmin      = "admin"
	RoleHead       = "head"
	RoleSupervisor = "supervisor"
	RoleAgent      = "agent"
	RoleEngineer   = "engineer"
	RoleSales      = "sales"
	RoleEditor     = "editor"
	RoleAuditor    = "auditor"
)

// Roles lists the built-in roles in the order they are shown.
var Roles = []string{RoleAdmin, RoleHead, RoleSupervisor, RoleAgent, RoleEngineer, RoleSales, RoleEditor, RoleAuditor}

// Def declares a permission. Its name on screen is the locale key
// "perm.<permission>".
type Def struct {
	Permission Permission
	Area       string           // groups the permissions on the role page
	Scoped     bool             // whether the data scope matters; else a holder has All
	Default    map[string]Level // built-in role -> level on a fresh install
}

var defs = map[Permission]Def{}

// Register declares permissions; each room calls it once, from its policy.go.
func Register(ds ...Def) {
	for _, d := range ds {
		if _, twice := defs[d.Permission]; twice {
			panic(fmt.Sprintf("authz: permission %s declared twice", d.Permission))
		}
		defs[d.Permission] = d
	}
}

// Defs returns all declared permissions, by area and name.
func Defs() []Def {
	out := make([]Def, 0, len(defs))
	for _, d := range defs {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Area != out[j].Area {
			return out[i].Area < out[j].Area
		}
		return out[i].Permission < out[j].Permission
	})
	return out
}

// Find returns the declaration of p.
func Find(p Permission) (Def, bool) { d, ok := defs[p]; return d, ok }

// Kind says who acts.
type Kind string

const (
	User     Kind = "user"     // a member of the staff
	Customer Kind = "customer" // through a signed link or the public form
	Worker   Kind = "system"   // the program itself: a timer, a job, the command line
)

// Actor is who does something. Kind Worker may everything: what the program
// does by itself has been decided by an administrator.
type Actor struct {
	Kind         Kind
	ID           int64 // user, or contact of a customer
	Name         string
	DepartmentID int64
	CustomerID   int64 // Kind Customer: whose records he may touch
	Lang         i18n.Lang
	KeysOff      bool // no single-letter keys on his pages
	MustChange   bool // the password has to be changed before anything else
	Roles        []string

	IP        string
	UserAgent string
	Session   string
	Scopes    []string // of the API token he came with; nil: no token

	Levels map[Permission]Level
	Teams  []int64 // own department and further ones
	Under  []int64 // own department and all below it
}

// System is the program acting under a name that the audit trail shows.
func System(name string) Actor { return Actor{Kind: Worker, Name: name, Lang: i18n.ZhCN} }

// SystemName says in l which part of the program acted under name; its locale
// key is "actor.<name>" with _ for blanks. A name from an older version that
// has none is said as it is. "rule: 名称" is the part "rule" with what it acted for.
func SystemName(l i18n.Lang, name string) string {
	if part, of, ok := strings.Cut(name, ": "); ok {
		if key := "actor." + strings.ReplaceAll(part, " ", "_"); i18n.Has(key) {
			return i18n.T(l, key, of)
		}
	}
	if key := "actor." + strings.ReplaceAll(name, " ", "_"); i18n.Has(key) {
		return i18n.T(l, key)
	}
	return name
}

// Level returns how far p reaches for a.
func (a Actor) Level(p Permission) Level {
	if a.Kind == Worker {
		return All
	}
	return a.Levels[p]
}

// Can reports whether a holds p, whatever the scope.
func (a Actor) Can(p Permission) bool { return a.Level(p) > None }

// Check returns Forbidden, naming the permission, unless a holds p.
func (a Actor) Check(p Permission) error {
	if a.Can(p) {
		return nil
	}
	return Denied(p)
}

// Denied is the refusal for a missing permission.
func Denied(p Permission) error {
	return fault.New(fault.Forbidden, "authz.denied", i18n.Key("perm."+string(p)))
}

// Restrict returns a with only the permissions that keep allows: an API token
// with scopes.
func (a Actor) Restrict(keep func(Permission) bool) Actor {
	m := make(map[Permission]Level, len(a.Levels))
	for p, l := range a.Levels {
		if keep(p) {
			m[p] = l
		}
	}
	a.Levels = m
	return a
}

// Scope is the set of records an actor sees under one permission.
type Scope struct {
	level Level
	user  int64
	depts []int64
}

// For makes the scope of p for a.
func For(a Actor, p Permission) Scope {
	s := Scope{level: a.Level(p), user: a.ID}
	switch {
	case a.Kind == Customer:
		return Scope{} // customers read through their link, never through a list
	case s.level == Department:
		s.depts = a.Teams
		if len(s.depts) == 0 && a.DepartmentID != 0 {
			s.depts = []int64{a.DepartmentID}
		}
	case s.level == Below:
		s.depts = a.Under
		for _, t := range a.Teams {
			if !slices.Contains(s.depts, t) {
				s.depts = append(slices.Clip(s.depts), t)
			}
		}
		if len(s.depts) == 0 && a.DepartmentID != 0 {
			s.depts = []int64{a.DepartmentID}
		}
	}
	return s
}

// Columns names where a table keeps what scopes compare.
type Columns struct {
	Owners     []string // user ids: assignee, creator …
	Department string
	Extra      func(a *db.Args, user int64) string // a further way to be concerned, e.g. watchers; may be nil
}

// Empty reports whether the scope matches nothing at all.
func (s Scope) Empty() bool { return s.level == None }

// Everything reports whether the scope matches all records.
func (s Scope) Everything() bool { return s.level == All }

// Level returns how far the scope reaches.
func (s Scope) Level() Level { return s.level }

// Departments returns the departments the scope covers whole (nil for Own).
func (s Scope) Departments() []int64 { return s.depts }

// User is whose scope it is.
func (s Scope) User() int64 { return s.user }

// Where returns the scope as a condition; its arguments are added to a.
func (s Scope) Where(a *db.Args, c Columns) string {
	switch s.level {
	case None:
		return "1 = 0"
	case All:
		return "1 = 1"
	}
	var or []string
	if len(s.depts) > 0 && c.Department != "" {
		or = append(or, c.Department+" IN ("+a.AddInts(s.depts)+")")
	}
	if s.user != 0 {
		for _, o := range c.Owners {
			or = append(or, o+" = "+a.Add(s.user))
		}
		if c.Extra != nil {
			or = append(or, c.Extra(a, s.user))
		}
	}
	if len(or) == 0 {
		return "1 = 0"
	}
	return "(" + strings.Join(or, " OR ") + ")"
}

// Matches is Where for a record in memory: live messages, caches.
func (s Scope) Matches(owners []int64, department int64) bool {
	switch s.level {
	case None:
		return false
	case All:
		return true
	}
	return s.user != 0 && slices.Contains(owners, s.user) || slices.Contains(s.depts, department)
}
