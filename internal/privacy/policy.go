package privacy

import (
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	PermDelete   authz.Permission = "customer.delete_request"   // ask for a customer to be deleted
	PermDisclose authz.Permission = "customer.disclose_request" // ask for customer data to be given to others
	PermRegister authz.Permission = "privacy.register"          // take a person's request in, and see one's own
	PermView     authz.Permission = "privacy.view"              // the registers of deletions, disclosures and requests; at Own what one asked for
	PermManage   authz.Permission = "privacy.manage"            // find, export and erase persons; rules of retention
)

const area = "privacy"

func init() {
	all, below, dept, own := authz.All, authz.Below, authz.Department, authz.Own
	authz.Register(
		authz.Def{Permission: PermDelete, Area: "customer", Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: all, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: dept, authz.RoleSales: own}},
		authz.Def{Permission: PermDisclose, Area: "customer", Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: all, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleSales: own}},
		authz.Def{Permission: PermRegister, Area: area, Default: map[string]authz.Level{
			authz.RoleAdmin: all, authz.RoleHead: all, authz.RoleSupervisor: all, authz.RoleAgent: all}},
		authz.Def{Permission: PermView, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: all, authz.RoleAuditor: all, authz.RoleHead: below, authz.RoleSupervisor: below, authz.RoleAgent: own, authz.RoleSales: own}},
		authz.Def{Permission: PermManage, Area: area, Default: map[string]authz.Level{authz.RoleAdmin: all}},
	)
	org.TokenScope("privacy:read", PermView)
	org.TokenScope("privacy:write", PermView, PermRegister, PermDelete, customer.PermView)
	org.TokenScope("privacy:disclose", PermView, PermDisclose, customer.PermView)
	org.TokenScope("privacy:manage", PermView, PermRegister, PermManage, customer.PermView)
}
