package ticket

import (
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	PermView      authz.Permission = "ticket.view"
	PermCreate    authz.Permission = "ticket.create"
	PermHandle    authz.Permission = "ticket.handle"      // be assigned, take, work on what is one's own
	PermNote      authz.Permission = "ticket.note"        // notes and follow-up records on any ticket in view
	PermAssign    authz.Permission = "ticket.assign"      // dispatch
	PermPassOn    authz.Permission = "ticket.pass_on"     // reassign what is one's own
	PermConfirm   authz.Permission = "ticket.confirm"     // record the customer's word by phone
	PermSupervise authz.Permission = "ticket.supervise"   // cancel, reopen, withdraw, second handling
	PermMerge     authz.Permission = "ticket.merge"       // make one of two, and two of one again
	PermEdit      authz.Permission = "ticket.edit"        // title, class, urgency, priority
	PermExport    authz.Permission = "ticket.export"      // take a list of tickets out as a table
	PermTags      authz.Permission = "ticket.tags_manage" // the list of tags
	PermConfigure authz.Permission = "ticket.configure"   // categories, matrix, routes, times
)

func init() {
	all := func(l authz.Level, roles ...string) map[string]authz.Level {
		m := map[string]authz.Level{authz.RoleAdmin: authz.All}
		for _, r := range roles {
			m[r] = l
		}
		return m
	}
	with := func(m map[string]authz.Level, role string, l authz.Level) map[string]authz.Level {
		m[role] = l
		return m
	}
	lead := []string{authz.RoleHead, authz.RoleSupervisor}
	authz.Register(
		authz.Def{Permission: PermView, Area: "ticket", Scoped: true,
			Default: with(with(with(with(all(authz.Below, lead...), authz.RoleAgent, authz.Department), authz.RoleEngineer, authz.Department), authz.RoleSales, authz.Own), authz.RoleAuditor, authz.All)},
		authz.Def{Permission: PermCreate, Area: "ticket", Default: all(authz.All, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer, authz.RoleSales)},
		authz.Def{Permission: PermHandle, Area: "ticket", Default: all(authz.All, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer)},
		authz.Def{Permission: PermNote, Area: "ticket", Default: all(authz.All, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer, authz.RoleSales)},
		authz.Def{Permission: PermAssign, Area: "ticket", Scoped: true, Default: all(authz.Below, lead...)},
		authz.Def{Permission: PermPassOn, Area: "ticket", Default: all(authz.All, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent)},
		authz.Def{Permission: PermConfirm, Area: "ticket", Default: all(authz.All, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer)},
		authz.Def{Permission: PermSupervise, Area: "ticket", Scoped: true, Default: all(authz.Below, lead...)},
		authz.Def{Permission: PermMerge, Area: "ticket", Scoped: true, Default: with(all(authz.Below, lead...), authz.RoleAgent, authz.Department)},
		authz.Def{Permission: PermEdit, Area: "ticket", Scoped: true, Default: with(all(authz.Below, lead...), authz.RoleAgent, authz.Department)},
		authz.Def{Permission: PermExport, Area: "ticket", Scoped: true, Default: all(authz.Below, lead...)},
		authz.Def{Permission: PermTags, Area: "ticket", Default: all(authz.All, lead...)},
		authz.Def{Permission: PermConfigure, Area: "ticket", Default: all(authz.None)},
	)
	// Whoever registers a request names its customer, or makes him in the same step (TKT-1).
	org.TokenScope("tickets:read", PermView)
	org.TokenScope("tickets:write", PermView, PermCreate, PermHandle, PermNote, PermAssign, PermPassOn, PermConfirm, PermSupervise, PermEdit, PermMerge, customer.PermView, customer.PermCreate)
	org.TokenScope("tickets:export", PermView, PermExport)
	org.TokenScope("tickets:configure", PermView, PermConfigure, customer.PermView)
	org.TokenScope("follow_ups:write", PermView, PermNote)
	org.TokenScope("search", PermView)
}
