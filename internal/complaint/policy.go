package complaint

import (
	"bihuan/internal/authz"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Permissions of this room. Which complaints they reach is said by who may see
// the ticket.
const (
	PermRecord authz.Permission = "complaint.record" // steps, mood and wish, upgrades
	PermList   authz.Permission = "complaint.list"   // the overview of complaints
	PermExport authz.Permission = "complaint.export" // for the management review
)

const area = "complaint"

func init() {
	to := func(roles ...string) map[string]authz.Level {
		m := map[string]authz.Level{}
		for _, r := range roles {
			m[r] = authz.All
		}
		return m
	}
	authz.Register(
		authz.Def{Permission: PermRecord, Area: area, Default: to(authz.RoleAdmin, authz.RoleHead, authz.RoleSupervisor, authz.RoleAgent, authz.RoleEngineer)},
		authz.Def{Permission: PermList, Area: area, Default: to(authz.RoleAdmin, authz.RoleHead, authz.RoleSupervisor, authz.RoleAuditor)},
		authz.Def{Permission: PermExport, Area: area, Default: to(authz.RoleAdmin, authz.RoleHead)},
	)
	org.TokenScope("complaints:read", ticket.PermView, PermList)
	org.TokenScope("complaints:write", ticket.PermView, PermRecord)
}
