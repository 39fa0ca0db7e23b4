package org

import "bihuan/internal/authz"

// Permissions of this room.
const (
	// PermView shows departments and the records of colleagues in scope.
	PermView authz.Permission = "org.view"
	// PermManage changes departments, users and roles.
	PermManage authz.Permission = "org.manage"
	// PermDirectory finds any colleague by name, to assign, mention or call him.
	PermDirectory authz.Permission = "org.directory"
	// PermAudit reads, checks and exports the audit log (GOV-1).
	PermAudit authz.Permission = "audit.view"
	// PermSettings changes the settings of the product.
	PermSettings authz.Permission = "settings.manage"
	// PermAccount is each person's right to his own account. Everybody who may
	// sign in has it, whatever his roles; an API token never does.
	PermAccount authz.Permission = "org.own_account"
)

// everyone is held without a role and not shown in the role matrix.
var everyone = map[authz.Permission]authz.Level{PermAccount: authz.Own}

func init() {
	all := map[string]authz.Level{}
	for _, r := range authz.Roles {
		all[r] = authz.All
	}
	own := map[string]authz.Level{}
	for _, r := range authz.Roles {
		own[r] = authz.Own
	}
	authz.Register(
		authz.Def{Permission: PermView, Area: "org", Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleAuditor: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}},
		authz.Def{Permission: PermManage, Area: "org", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}},
		authz.Def{Permission: PermDirectory, Area: "org", Default: all},
		authz.Def{Permission: PermAudit, Area: "audit", Default: map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleAuditor: authz.All}},
		authz.Def{Permission: PermSettings, Area: "settings", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}},
		authz.Def{Permission: PermAccount, Area: "org", Scoped: true, Default: own},
	)
	TokenScope("org:read", PermView, PermDirectory)
	TokenScope("org:write", PermView, PermDirectory, PermManage)
	TokenScope("audit:read", PermAudit)
}
