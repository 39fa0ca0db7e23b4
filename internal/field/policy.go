package field

import "bihuan/internal/authz"

// PermManage adds and changes fields.
const PermManage authz.Permission = "field.manage"

func init() {
	authz.Register(authz.Def{Permission: PermManage, Area: "settings", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}})
}
