package orgui

import (
	"net/http"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type userRow struct {
	org.User
	Department string
	Roles      []string
	Locked     bool
	Away       bool
}

type usersView struct {
	Manage      bool
	Filter      *web.Form
	Departments []ui.Option
	Roles       []ui.Option
	States      []ui.Option
	Rows        []userRow
	Pager       ui.Pager
}

type userView struct {
	User           org.User // zero for a new one
	Manage         bool
	Self           bool
	Locked         bool
	Department     string
	Teams          []string
	RoleNames      []string
	Form           *web.Form
	Action         string
	Departments    []ui.Option
	AllTeams       []ui.Option
	AllSkills      []ui.Option
	Skills         []string
	Roles          []ui.Option
	Langs          []ui.Option
	Presence       *web.Form
	Availabilities []ui.Option
	People         []ui.Option
	Leave          *web.Form
	Work           []org.OpenWork
	HandOver       []org.OpenWork // while he is away
	Moments        []moment
}

type secretView struct {
	Name, Login, Password string
	Heading               string
	User                  int64
}

var (
	usersPage = ui.NewPage[usersView](files, "users.html").Sample(usersView{Manage: true, Rows: []userRow{
		{User: org.User{ID: 1, Name: "n", Login: "l", Active: true, Availability: org.Online}, Department: "d", Roles: []string{"r"}, Locked: true, Away: true}, {}}, Pager: ui.Pager{Next: "/x", Prev: "/y"}})
	userPage = ui.NewPage[userView](files, "user.html", "moments.html").Sample(
		userView{Manage: true, User: org.User{ID: 1, Active: true}, Locked: true, Work: []org.OpenWork{{Name: "common.yes", Count: 3}}, HandOver: []org.OpenWork{{Name: "common.yes", Count: 3, Page: "/x"}}, Moments: []moment{aMoment}},
		userView{Manage: true, User: org.User{ID: 1}}, userView{User: org.User{ID: 1, Active: true}, Self: true, Teams: []string{"t"}, Skills: []string{"k"}, RoleNames: []string{"r"}}, userView{Manage: true})
	secretPage = ui.NewPage[secretView](files, "secret.html").Sample(secretView{Name: "n", Login: "l", Password: "p", Heading: "h", User: 1})
)

func (p *pages) users(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	q := org.UserFilter{Text: f.String("q"), DepartmentID: f.ID("department"), RoleID: f.ID("role"), After: org.Cursor{Initials: f.Get("after"), ID: f.ID("after_id")}}
	switch f.Get("state") {
	case "inactive":
		q.Inactive = true
	case "locked":
		q.Locked = true
	}
	if err := f.Err(); err != nil {
		return err
	}
	page, err := p.org.Users(r.Context(), authz.For(r.Actor, org.PermView), q)
	if err != nil {
		return err
	}
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return err
	}
	v := usersView{Manage: r.Actor.Can(org.PermManage), Filter: f, States: []ui.Option{
		{Value: "inactive", Label: r.T("org.inactive")}, {Value: "locked", Label: r.T("org.locked")}}}
	if v.Departments, err = p.departmentOptions(r, q.DepartmentID); err != nil {
		return err
	}
	titles := map[int64]string{}
	for _, role := range roles {
		titles[role.ID] = role.Title(r.Lang)
		v.Roles = append(v.Roles, ui.Option{Value: id(role.ID), Label: titles[role.ID]})
	}
	_, department, err := p.org.Names(r.Context())
	if err != nil {
		return err
	}
	for _, u := range page.Users {
		row := userRow{User: u, Department: department(u.DepartmentID), Locked: u.Locked(r.Now()), Away: u.Away(r.Now())}
		for _, x := range u.RoleIDs {
			row.Roles = append(row.Roles, titles[x])
		}
		v.Rows = append(v.Rows, row)
	}
	link := func(after org.Cursor) string {
		q := r.URL.Query()
		q.Del("after")
		q.Del("after_id")
		if after.ID != 0 {
			q.Set("after", after.Initials)
			q.Set("after_id", id(after.ID))
		}
		return "/admin/users?" + q.Encode()
	}
	if q.After.ID != 0 {
		v.Pager.Prev = link(org.Cursor{})
	}
	if page.Next.ID != 0 {
		v.Pager.Next = link(page.Next)
	}
	if r.IsFragment() && r.Target() == "rows" {
		return usersPage.Fragment(w, r, "rows", v)
	}
	return usersPage.Render(w, r, adminChrome(r, "users", ""), v)
}

// userView fills what the page of a user shows; u is zero for a new one.
func (p *pages) userView(r *web.Request, u org.User, f *web.Form) (v userView, err error) {
	v = userView{User: u, Manage: r.Actor.Can(org.PermManage), Self: u.ID == r.Actor.ID, Locked: u.Locked(r.Now()), Form: f, Langs: langOptions(),
		Availabilities: availabilityOptions(r), Presence: presenceForm(r, u), Leave: r.Blank(), Action: "/admin/users"}
	if u.ID != 0 {
		v.Action += "/" + id(u.ID)
		v.Department = p.org.DepartmentName(r.Context(), u.DepartmentID)
		for _, t := range u.Teams {
			v.Teams = append(v.Teams, p.org.DepartmentName(r.Context(), t))
		}
		if v.RoleNames, err = p.roleNames(r, u.RoleIDs); err != nil {
			return v, err
		}
		evs, err := p.org.HistoryOf(r.Context(), authz.For(r.Actor, org.PermView), u.ID, 0, 20)
		if err != nil {
			return v, err
		}
		v.Moments = moments(r, p.org, read(evs))
	}
	skills, err := p.org.Skills(r.Context(), nil)
	if err != nil {
		return v, err
	}
	for _, k := range skills {
		v.AllSkills = append(v.AllSkills, ui.Option{Value: id(k.ID), Label: k.Name})
		if slices.Contains(u.Skills, k.ID) {
			v.Skills = append(v.Skills, k.Name)
		}
	}
	if !v.Manage {
		return v, nil
	}
	if v.Departments, err = p.departmentOptions(r, u.DepartmentID); err != nil {
		return v, err
	}
	if v.AllTeams, err = p.departmentOptions(r, u.Teams...); err != nil {
		return v, err
	}
	for i := range v.AllTeams { // boxes stand side by side: the indent means nothing there
		v.AllTeams[i].Label = trimIndent(v.AllTeams[i].Label)
	}
	roles, err := p.org.Roles(r.Context())
	if err != nil {
		return v, err
	}
	for _, role := range roles {
		v.Roles = append(v.Roles, ui.Option{Value: id(role.ID), Label: role.Title(r.Lang)})
	}
	people, err := p.personOptions(r, u.DelegateID)
	if err != nil {
		return v, err
	}
	for _, o := range people {
		if o.Value != id(u.ID) {
			v.People = append(v.People, o)
		}
	}
	if u.Active {
		if v.HandOver, err = p.org.Transferable(r.Context(), r.Actor, u); err != nil {
			return v, err
		}
		v.Work, err = p.org.OpenWorkOf(r.Context(), nil, u.ID)
	}
	return v, err
}

func trimIndent(s string) string {
	for len(s) >= len("　") && s[:len("　")] == "　" {
		s = s[len("　"):]
	}
	return s
}

func readUser(f *web.Form) org.UserInput {
	return org.UserInput{Login: f.String("login"), Name: f.String("name"), Email: f.String("email"), Phone: f.String("phone"), DepartmentID: f.ID("department"),
		Teams: f.IDs("teams"), RoleIDs: f.IDs("roles"), Skills: f.IDs("skills"), Capacity: f.Int64("capacity"), Lang: i18n.Lang(f.Get("lang"))}
}

func (p *pages) newUser(w http.ResponseWriter, r *web.Request) error {
	v, err := p.userView(r, org.User{}, r.Blank("lang", string(i18n.ZhCN), "department", r.FormValue("department")).Set("capacity", org.DefaultCapacity))
	if err != nil {
		return err
	}
	return userPage.Render(w, r, adminChrome(r, "users", r.T("org.user.new")), v)
}

func (p *pages) createUser(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := readUser(f)
	err := f.Err()
	var user int64
	var password string
	if err == nil {
		user, password, err = p.org.CreateUser(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.userView(r, org.User{}, f)
		if verr != nil {
			return verr
		}
		return userPage.Invalid(w, r, err, f, adminChrome(r, "users", r.T("org.user.new")), v)
	}
	return p.secret(w, r, user, password, "org.user.created")
}

// secret shows a one-time password: in this answer and nowhere again.
func (p *pages) secret(w http.ResponseWriter, r *web.Request, user int64, password, heading string) error {
	q, _, err := p.org.Person(r.Context(), nil, user)
	if err != nil {
		return err
	}
	return secretPage.Render(w, r, adminChrome(r, "users", q.Name), secretView{Name: q.Name, Login: q.Login, Password: password, Heading: r.T(heading, q.Name), User: user})
}

func (p *pages) pathUser(r *web.Request) (org.User, error) {
	n, err := r.PathID("id")
	if err != nil {
		return org.User{}, err
	}
	return p.org.User(r.Context(), authz.For(r.Actor, org.PermView), n)
}

func userForm(r *web.Request, u org.User) *web.Form {
	f := r.Blank("login", u.Login, "name", u.Name, "email", u.Email, "phone", u.Phone, "department", id(u.DepartmentID), "lang", string(u.Lang)).
		Set("capacity", u.Capacity).Set("version", u.Version)
	for _, t := range u.Teams {
		f.Values.Add("teams", id(t))
	}
	for _, x := range u.RoleIDs {
		f.Values.Add("roles", id(x))
	}
	for _, x := range u.Skills {
		f.Values.Add("skills", id(x))
	}
	return f
}

func (p *pages) user(w http.ResponseWriter, r *web.Request) error {
	u, err := p.pathUser(r)
	if err != nil {
		return err
	}
	v, err := p.userView(r, u, userForm(r, u))
	if err != nil {
		return err
	}
	return userPage.Render(w, r, adminChrome(r, "users", u.Name), v)
}

// userStep does something with a user and shows his page again when it is
// refused, with the message in the form that put names.
func (p *pages) userStep(w http.ResponseWriter, r *web.Request, done string, put func(v *userView, f *web.Form), do func(u org.User, f *web.Form) error) error {
	u, err := p.pathUser(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if err = do(u, f); err != nil {
		v, verr := p.userView(r, u, userForm(r, u))
		if verr != nil {
			return verr
		}
		put(&v, f)
		return userPage.Invalid(w, r, err, f, adminChrome(r, "users", u.Name), v)
	}
	r.Flash(w, "green", done, u.Name)
	return r.SeeOther(w, "/admin/users/%d", u.ID)
}

func inForm(v *userView, f *web.Form)     { v.Form = f }
func inPresence(v *userView, f *web.Form) { v.Presence = f }
func inLeave(v *userView, f *web.Form)    { v.Leave = f }

func (p *pages) editUser(w http.ResponseWriter, r *web.Request) error {
	return p.userStep(w, r, "org.saved", inForm, func(u org.User, f *web.Form) error {
		in, version := readUser(f), f.Int64("version")
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.EditUser(r.Context(), r.Actor, u.ID, version, in)
	})
}

func (p *pages) setUserPresence(w http.ResponseWriter, r *web.Request) error {
	return p.userStep(w, r, "org.saved", inPresence, func(u org.User, f *web.Form) error {
		in := readPresence(f)
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.SetPresence(r.Context(), r.Actor, u.ID, in)
	})
}

func (p *pages) unlockUser(w http.ResponseWriter, r *web.Request) error {
	return p.userStep(w, r, "org.user.unlocked", inLeave, func(u org.User, f *web.Form) error {
		return p.org.UnlockUser(r.Context(), r.Actor, u.ID)
	})
}

func (p *pages) deactivateUser(w http.ResponseWriter, r *web.Request) error {
	return p.userStep(w, r, "org.user.deactivated", inLeave, func(u org.User, f *web.Form) error {
		to, version := f.ID("to"), f.Int64("version")
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.DeactivateUser(r.Context(), r.Actor, u.ID, version, to)
	})
}

func (p *pages) resetPassword(w http.ResponseWriter, r *web.Request) error {
	u, err := p.pathUser(r)
	if err != nil {
		return err
	}
	password, err := p.org.ResetPassword(r.Context(), r.Actor, u.ID)
	if err != nil {
		return err
	}
	return p.secret(w, r, u.ID, password, "org.user.password_reset")
}

func (p *pages) reactivateUser(w http.ResponseWriter, r *web.Request) error {
	u, err := p.pathUser(r)
	if err != nil {
		return err
	}
	f := r.Input()
	password, err := p.org.ReactivateUser(r.Context(), r.Actor, u.ID, f.Int64("version"))
	if err != nil {
		v, verr := p.userView(r, u, userForm(r, u))
		if verr != nil {
			return verr
		}
		v.Leave = f
		return userPage.Invalid(w, r, err, f, adminChrome(r, "users", u.Name), v)
	}
	return p.secret(w, r, u.ID, password, "org.user.reactivated")
}
