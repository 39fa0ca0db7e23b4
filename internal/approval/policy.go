package approval

import (
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	// PermUse lets a person ask, and decide when it is his turn. Whoever has it
	// not is passed over.
	PermUse authz.Permission = "approval.use"
	// PermView shows the requests of others.
	PermView authz.Permission = "approval.view_all"
	// PermAdmin makes a person one of the administrators whom the last step asks.
	PermAdmin authz.Permission = "approval.decide_admin"
)

const area = "approval"

func init() {
	all := map[string]authz.Level{}
	for _, r := range authz.Roles {
		all[r] = authz.All
	}
	authz.Register(
		authz.Def{Permission: PermUse, Area: area, Default: all},
		authz.Def{Permission: PermView, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleAuditor: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}},
		authz.Def{Permission: PermAdmin, Area: area, Default: map[string]authz.Level{authz.RoleAdmin: authz.All}},
	)
	org.TokenScope("approvals:read", PermUse, PermView)
	org.TokenScope("approvals:write", PermUse, PermView, PermAdmin)
}

var scopeColumns = authz.Columns{Owners: []string{"a.requested_by"}, Department: "a.department_id"}

func where(sc authz.Scope, a *db.Args) string { return sc.Where(a, scopeColumns) }
