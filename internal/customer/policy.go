package customer

import (
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	PermView       authz.Permission = "customer.view"
	PermCreate     authz.Permission = "customer.create"
	PermEdit       authz.Permission = "customer.edit"
	PermReveal     authz.Permission = "customer.reveal"
	PermFollowUp   authz.Permission = "customer.follow_up"
	PermTag        authz.Permission = "customer.tag"
	PermTagsManage authz.Permission = "customer.tags_manage"
	PermSettings   authz.Permission = "customer.settings"
)

const area = "customer"

func init() {
	level := authz.All
	below, dept, own := authz.Below, authz.Department, authz.Own
	authz.Register(
		authz.Def{Permission: PermView, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept,
			authz.RoleEngineer: own, authz.RoleSales: own, authz.RoleAuditor: level}},
		// Whoever makes the contact makes the entry (谁接触谁录入, CUS-8).
		authz.Def{Permission: PermCreate, Area: area, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: level, authz.RoleSupervisor: level, authz.RoleAgent: level,
			authz.RoleEngineer: level, authz.RoleSales: level}},
		authz.Def{Permission: PermEdit, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept, authz.RoleSales: own}},
		// An engineer calls the customer of his ticket; see [Service.RevealVia].
		authz.Def{Permission: PermReveal, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept,
			authz.RoleEngineer: own, authz.RoleSales: own}},
		authz.Def{Permission: PermFollowUp, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept,
			authz.RoleEngineer: own, authz.RoleSales: own}},
		authz.Def{Permission: PermTag, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept, authz.RoleSales: own}},
		authz.Def{Permission: PermTagsManage, Area: area, Default: map[string]authz.Level{
			authz.RoleAdmin: level, authz.RoleHead: level, authz.RoleSupervisor: level}},
		authz.Def{Permission: PermSettings, Area: area, Default: map[string]authz.Level{authz.RoleAdmin: level}},
	)
	org.TokenScope("customers:read", PermView)
	org.TokenScope("customers:write", PermView, PermCreate, PermEdit, PermFollowUp, PermTag, PermShareViews, PermSegments)
	org.TokenScope("customers:reveal", PermView, PermReveal)
	org.TokenScope("customers:merge", PermView, PermMerge)
	org.TokenScope("customers:export", PermView, PermExport)
	org.TokenScope("search", PermView)
}

// scopeColumns says whose a customer is.
var scopeColumns = authz.Columns{Owners: []string{"c.owner_id", "c.created_by"}, Department: "c.department_id"}

// View returns the scope in which actor sees customers.
func View(actor authz.Actor) authz.Scope { return authz.For(actor, PermView) }

// within is the SQL condition on customers c that sc covers them. Who was deleted
// or erased is in nobody's scope: what is left of him stands for old tickets.
func within(sc authz.Scope, a *db.Args) string {
	return "(" + sc.Where(a, scopeColumns) + ") AND c.gone = 0"
}
