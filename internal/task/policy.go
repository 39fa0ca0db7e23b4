package task

import (
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/org"
)

// Permissions of this room.
const (
	// PermView shows tasks: one's own, those one has given, and within the data
	// scope those of others.
	PermView authz.Permission = "task.view"
	// PermUse lets a person have tasks, write them down and give them to colleagues.
	PermUse authz.Permission = "task.use"
	// PermManage lets him change those of others.
	PermManage authz.Permission = "task.manage"
)

const area = "task"

func init() {
	use, view := map[string]authz.Level{}, map[string]authz.Level{}
	for _, r := range authz.Roles {
		use[r], view[r] = authz.All, authz.Own
	}
	delete(use, authz.RoleAuditor)
	leads := map[string]authz.Level{authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}
	for r, l := range leads {
		view[r] = l
	}
	view[authz.RoleAuditor] = authz.All
	authz.Register(
		authz.Def{Permission: PermView, Area: area, Scoped: true, Default: view},
		authz.Def{Permission: PermUse, Area: area, Default: use},
		authz.Def{Permission: PermManage, Area: area, Scoped: true, Default: leads},
	)
	org.TokenScope("tasks:read", PermView)
	org.TokenScope("tasks:write", PermView, PermUse, PermManage)
}

// View is the scope in which actor sees tasks.
func View(actor authz.Actor) authz.Scope { return authz.For(actor, PermView) }

// where is the scope as a condition on t. A task belongs to the department its
// owner works in now.
func where(sc authz.Scope, a *db.Args) string {
	if sc.Empty() {
		return "1 = 0"
	}
	if sc.Everything() {
		return "1 = 1"
	}
	cond := "(t.owner_id = " + a.Add(sc.User()) + " OR t.created_by = " + a.Add(sc.User())
	if ds := sc.Departments(); len(ds) > 0 {
		cond += " OR t.owner_id IN (SELECT u.id FROM users u WHERE u.department_id IN (" + a.AddInts(ds) + "))"
	}
	return cond + ")"
}

// team is the condition that a task belongs to somebody else within the scope.
func team(sc authz.Scope, a *db.Args) string {
	switch {
	case sc.Everything():
		return "t.owner_id <> " + a.Add(sc.User())
	case len(sc.Departments()) == 0:
		return "1 = 0"
	}
	return "t.owner_id IN (SELECT u.id FROM users u WHERE u.department_id IN (" + a.AddInts(sc.Departments()) + ") AND u.id <> " + a.Add(sc.User()) + ")"
}
