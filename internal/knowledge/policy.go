package knowledge

import (
	"bihuan/internal/authz"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Permissions of this room.
const (
	PermRead authz.Permission = "knowledge.read"
	// PermWrite lets a person write articles, and change those in its scope.
	PermWrite authz.Permission = "knowledge.write"
	// PermPublish publishes, returns and withdraws those in its scope.
	PermPublish authz.Permission = "knowledge.publish"
	// PermManage keeps categories, synonyms and settings, and reads the report.
	PermManage authz.Permission = "knowledge.manage"
)

func init() {
	read := map[string]authz.Level{}
	for _, r := range authz.Roles {
		read[r] = authz.All
	}
	authz.Register(
		authz.Def{Permission: PermRead, Area: "knowledge", Default: read},
		authz.Def{Permission: PermWrite, Area: "knowledge", Scoped: true, Default: map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleEditor: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below,
			authz.RoleAgent: authz.Own, authz.RoleEngineer: authz.Own, authz.RoleSales: authz.Own}},
		authz.Def{Permission: PermPublish, Area: "knowledge", Scoped: true, Default: map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleEditor: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}},
		authz.Def{Permission: PermManage, Area: "knowledge", Default: map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleEditor: authz.All, authz.RoleHead: authz.All}},
	)
	org.TokenScope("knowledge:read", PermRead, ticket.PermView)
	org.TokenScope("knowledge:write", PermRead, PermWrite, PermPublish, ticket.PermView, ticket.PermNote)
}

// columns names where articles keep what scopes compare.
func columns(alias string) authz.Columns {
	return authz.Columns{Owners: []string{alias + ".owner_id", alias + ".created_by"}, Department: alias + ".department_id"}
}
