package importer

import "bihuan/internal/authz"

// Perm lets somebody import tables and see the imports of his departments.
const Perm authz.Permission = "importer.import"

func init() {
	authz.Register(authz.Def{Permission: Perm, Area: "importer", Scoped: true, Default: map[string]authz.Level{
		authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}})
}

var scopeColumns = authz.Columns{Owners: []string{"i.created_by"}, Department: "i.department_id"}
