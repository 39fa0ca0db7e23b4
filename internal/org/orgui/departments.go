package orgui

import (
	"net/http"

	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type departmentRow struct {
	org.Node
	Head, Supervisor string
	Indent           string
}

type departmentsView struct {
	Manage bool
	Rows   []departmentRow
}

type departmentView struct {
	Department org.Department // zero for a new one
	Form       *web.Form
	Action     string
	Parents    []ui.Option
	People     []ui.Option
}

var (
	departmentsPage = ui.NewPage[departmentsView](files, "departments.html").Sample(departmentsView{Manage: true,
		Rows: []departmentRow{{Node: org.Node{Department: org.Department{ID: 1, Name: "n", Active: true}, Members: 3}, Head: "h", Supervisor: "s"}, {Indent: "　"}}}, departmentsView{Rows: []departmentRow{{}}})
	departmentPage = ui.NewPage[departmentView](files, "department.html").Sample(departmentView{Department: org.Department{ID: 1, Active: true}}, departmentView{Department: org.Department{ID: 1}})
)

func (p *pages) departments(w http.ResponseWriter, r *web.Request) error {
	nodes, err := p.org.Tree(r.Context())
	if err != nil {
		return err
	}
	user, _, err := p.org.Names(r.Context())
	if err != nil {
		return err
	}
	v := departmentsView{Manage: r.Actor.Can(org.PermManage)}
	for _, n := range nodes {
		row := departmentRow{Node: n, Head: user(n.HeadID), Supervisor: user(n.SupervisorID)}
		for range n.Depth {
			row.Indent += "　"
		}
		v.Rows = append(v.Rows, row)
	}
	return departmentsPage.Render(w, r, adminChrome(r, "departments", ""), v)
}

func (p *pages) departmentForm(r *web.Request, d org.Department, f *web.Form) (v departmentView, err error) {
	v = departmentView{Department: d, Form: f, Action: "/admin/departments"}
	if d.ID != 0 {
		v.Action += "/" + id(d.ID)
	}
	if v.Parents, err = p.departmentOptions(r, d.ParentID); err != nil {
		return v, err
	}
	v.People, err = p.personOptions(r, d.HeadID, d.SupervisorID)
	return v, err
}

func readDepartment(f *web.Form) org.DepartmentInput {
	return org.DepartmentInput{Name: f.String("name"), ParentID: f.ID("parent"), HeadID: f.ID("head"), SupervisorID: f.ID("supervisor"), Position: f.Int64("position")}
}

func (p *pages) newDepartment(w http.ResponseWriter, r *web.Request) error {
	v, err := p.departmentForm(r, org.Department{}, r.Blank("parent", r.FormValue("parent")))
	if err != nil {
		return err
	}
	return departmentPage.Render(w, r, adminChrome(r, "departments", r.T("org.department.new")), v)
}

func (p *pages) createDepartment(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := readDepartment(f)
	err := f.Err()
	if err == nil {
		_, err = p.org.CreateDepartment(r.Context(), r.Actor, in)
	}
	if err != nil {
		v, verr := p.departmentForm(r, org.Department{}, f)
		if verr != nil {
			return verr
		}
		return departmentPage.Invalid(w, r, err, f, adminChrome(r, "departments", r.T("org.department.new")), v)
	}
	r.Flash(w, "green", "org.department.created", in.Name)
	return r.SeeOther(w, "/admin/departments")
}

// the department of the address; one that is not there is not found.
func (p *pages) pathDepartment(r *web.Request) (org.Department, error) {
	n, err := r.PathID("id")
	if err != nil {
		return org.Department{}, err
	}
	d, ok, err := p.org.Department(r.Context(), nil, n)
	if err == nil && !ok {
		err = ui.NoSuchPage()
	}
	return d, err
}

func (p *pages) department(w http.ResponseWriter, r *web.Request) error {
	d, err := p.pathDepartment(r)
	if err != nil {
		return err
	}
	v, err := p.departmentForm(r, d, r.Blank("name", d.Name, "parent", id(d.ParentID), "head", id(d.HeadID), "supervisor", id(d.SupervisorID)).
		Set("position", d.Position).Set("version", d.Version))
	if err != nil {
		return err
	}
	return departmentPage.Render(w, r, adminChrome(r, "departments", d.Name), v)
}

// departmentStep does something with the department of the form and shows the
// form again when it is refused.
func (p *pages) departmentStep(w http.ResponseWriter, r *web.Request, done string, do func(d org.Department, f *web.Form) error) error {
	d, err := p.pathDepartment(r)
	if err != nil {
		return err
	}
	f := r.Input()
	if err = do(d, f); err != nil {
		if !f.Has("name") { // a button beside the form: show what is stored
			f.Set("name", d.Name).Set("parent", id(d.ParentID)).Set("head", id(d.HeadID)).Set("supervisor", id(d.SupervisorID)).Set("position", d.Position)
		}
		v, verr := p.departmentForm(r, d, f)
		if verr != nil {
			return verr
		}
		return departmentPage.Invalid(w, r, err, f, adminChrome(r, "departments", d.Name), v)
	}
	r.Flash(w, "green", done)
	return r.SeeOther(w, "/admin/departments")
}

func (p *pages) editDepartment(w http.ResponseWriter, r *web.Request) error {
	return p.departmentStep(w, r, "org.saved", func(d org.Department, f *web.Form) error {
		in, version := readDepartment(f), f.Int64("version")
		if err := f.Err(); err != nil {
			return err
		}
		return p.org.EditDepartment(r.Context(), r.Actor, d.ID, version, in)
	})
}

func (p *pages) deactivateDepartment(w http.ResponseWriter, r *web.Request) error {
	return p.departmentStep(w, r, "org.department.deactivated", func(d org.Department, f *web.Form) error {
		return p.org.DeactivateDepartment(r.Context(), r.Actor, d.ID, f.Int64("version"))
	})
}

func (p *pages) reactivateDepartment(w http.ResponseWriter, r *web.Request) error {
	return p.departmentStep(w, r, "org.department.reactivated", func(d org.Department, f *web.Form) error {
		return p.org.ReactivateDepartment(r.Context(), r.Actor, d.ID, f.Int64("version"))
	})
}
