package rule

import (
	"bihuan/internal/authz"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	// PermView shows the rules, and what they did to tickets in view.
	PermView authz.Permission = "rule.view"
	// PermManage makes and changes rules: they may do what any colleague may.
	PermManage authz.Permission = "rule.manage"
)

func init() {
	authz.Register(
		authz.Def{Permission: PermView, Area: "rule", Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleHead: authz.All, authz.RoleSupervisor: authz.All, authz.RoleAuditor: authz.All}},
		authz.Def{Permission: PermManage, Area: "rule", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}},
	)
	org.TokenScope("rules:read", PermView)
	org.TokenScope("rules:write", PermView, PermManage)
}
