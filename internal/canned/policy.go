package canned

import (
	"bihuan/internal/authz"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Permissions of this room.
const (
	// PermUse lets a person use what is there and keep texts and macros of his own.
	PermUse authz.Permission = "canned.use"
	// PermManage keeps those of departments, and with the whole company as its
	// scope those of everybody.
	PermManage authz.Permission = "canned.manage"
)

func init() {
	use := map[string]authz.Level{}
	for _, r := range []string{authz.RoleAdmin, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer, authz.RoleSales} {
		use[r] = authz.All
	}
	authz.Register(
		authz.Def{Permission: PermUse, Area: "ticket", Default: use},
		authz.Def{Permission: PermManage, Area: "ticket", Scoped: true, Default: map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}},
	)
	org.TokenScope("canned:read", PermUse, ticket.PermView)
	org.TokenScope("canned:write", PermUse, PermManage, ticket.PermView, ticket.PermHandle, ticket.PermNote, ticket.PermAssign, ticket.PermPassOn, ticket.PermSupervise, ticket.PermEdit)
}
