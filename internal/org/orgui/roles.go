package orgui

import (
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type roleRow struct {
	org.Role
	Title string
}

type rolesView struct {
	Rows []roleRow
	Form *web.Form
	Like []ui.Option
}

type grantRow struct {
	Permission, Label string
	Scoped            bool
	Level             string
	Fixed             bool // cannot be taken away
}

type area struct {
	Title  string
	Grants []grantRow
}

type roleView struct {
	Role    org.Role
	Title   string
	Form    *web.Form
	Areas   []area
	Levels  []ui.Option
	Holders int
}

var (
	rolesPage = ui.NewPage[rolesView](files, "roles.html").Sample(rolesView{Rows: []roleRow{{Role: org.Role{ID: 1, Builtin: true, Users: 2}, Title: "t"}, {}}})
	rolePage  = ui.NewPage[roleView](files, "role.html").Sample(roleView{Role: org.Role{ID: 1}, Title: "t", Levels: []ui.Option{{Value: "own", Label: "own"}, {Value: "all", Label: "all"}},
		Areas: []area{{Title: "a", Grants: []grantRow{{Permission: "a.b", Label: "l", Scoped: true, Level: "own"}, {Permission: "a.c", Label: "l", Level: "all", Fixed: true}, {Permission: "a.d", Label: "l"}}}}},
		roleView{Role: org.Role{ID: 1, Builtin: true}, Holders: 3})
)

func (p *pages) rolesView(r *web.Request, f *web.Form) (rolesView, error) {
	v := rolesView{Form: f}
	roles, err := p.org.Roles(r.Context())
	for _, role := range roles {
		v.Rows = append(v.Rows, roleRow{role, role.Title(r.Lang)})
		v.Like = append(v.Like, ui.Option{Value: id(role.ID), Label: role.Title(r.Lang)})
	}
	return v, err
}

func (p *pages) roles(w http.ResponseWriter, r *web.Request) error {
	v, err := p.rolesView(r, r.Blank())
	if err != nil {
		return err
	}
	return rolesPage.Render(w, r, adminChrome(r, "roles", ""), v)
}

func (p *pages) createRole(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	like := f.ID("like")
	err := f.Err()
	var role int64
	if err == nil {
		role, err = p.org.CreateRole(r.Context(), r.Actor, f.String("name"), like)
	}
	if err != nil {
		v, verr := p.rolesView(r, f)
		if verr != nil {
			return verr
		}
		return rolesPage.Invalid(w, r, err, f, adminChrome(r, "roles", ""), v)
	}
	r.Flash(w, "green", "org.role.created", f.String("name"))
	return r.SeeOther(w, "/admin/roles/%d", role)
}

func (p *pages) roleView(r *web.Request, f *web.Form) (v roleView, err error) {
	n, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	role, levels, err := p.org.Grants(r.Context(), n)
	if err != nil {
		return v, err
	}
	v = roleView{Role: role, Title: role.Title(r.Lang), Form: f}
	if f == nil {
		v.Form = r.Blank("name", role.Name).Set("version", role.Version)
	}
	for _, l := range []authz.Level{authz.None, authz.Own, authz.Department, authz.Below, authz.All} {
		v.Levels = append(v.Levels, ui.Option{Value: l.String(), Label: r.T("org.level." + l.String())})
	}
	for _, d := range org.Grantable() {
		title := d.Area
		if k := "perm.area." + d.Area; i18n.Has(k) {
			title = r.T(k)
		}
		if len(v.Areas) == 0 || v.Areas[len(v.Areas)-1].Title != title {
			v.Areas = append(v.Areas, area{Title: title})
		}
		a := &v.Areas[len(v.Areas)-1]
		g := grantRow{Permission: string(d.Permission), Label: r.T("perm." + string(d.Permission)), Scoped: d.Scoped, Level: levels[d.Permission].String(),
			Fixed: role.Code == authz.RoleAdmin && d.Permission == org.PermManage}
		if f != nil && !g.Fixed { // what was just chosen, not what is stored
			g.Level = readLevel(f, d).String()
		}
		a.Grants = append(a.Grants, g)
	}
	roles, err := p.org.Roles(r.Context())
	for _, x := range roles {
		if x.ID == role.ID {
			v.Holders = x.Users
		}
	}
	return v, err
}

// readLevel reads one line of the matrix: a box for permissions without a scope,
// a list for the others.
func readLevel(f *web.Form, d authz.Def) authz.Level {
	v := f.Get("p:" + string(d.Permission))
	if !d.Scoped && v != "" {
		return authz.All
	}
	return authz.ParseLevel(v)
}

func (p *pages) role(w http.ResponseWriter, r *web.Request) error {
	v, err := p.roleView(r, nil)
	if err != nil {
		return err
	}
	return rolePage.Render(w, r, adminChrome(r, "roles", v.Title), v)
}

func (p *pages) roleStep(w http.ResponseWriter, r *web.Request, do func(role int64, f *web.Form) error) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	if err = f.Err(); err == nil {
		err = do(n, f)
	}
	if err != nil {
		keep := f
		if !f.Has("matrix") { // the button that deletes
			keep = nil
		}
		v, verr := p.roleView(r, keep)
		if verr != nil {
			return verr
		}
		return rolePage.Invalid(w, r, err, v.Form, adminChrome(r, "roles", v.Title), v)
	}
	return r.SeeOther(w, "/admin/roles")
}

func (p *pages) editRole(w http.ResponseWriter, r *web.Request) error {
	return p.roleStep(w, r, func(role int64, f *web.Form) error {
		levels := map[authz.Permission]authz.Level{}
		for _, d := range org.Grantable() {
			levels[d.Permission] = readLevel(f, d)
		}
		if err := p.org.SetGrants(r.Context(), r.Actor, role, f.Int64("version"), f.String("name"), levels); err != nil {
			return err
		}
		r.Flash(w, "green", "org.saved")
		return nil
	})
}

func (p *pages) deleteRole(w http.ResponseWriter, r *web.Request) error {
	return p.roleStep(w, r, func(role int64, f *web.Form) error {
		if err := p.org.DeleteRole(r.Context(), r.Actor, role, f.Int64("version")); err != nil {
			return err
		}
		r.Flash(w, "green", "org.role.deleted")
		return nil
	})
}
