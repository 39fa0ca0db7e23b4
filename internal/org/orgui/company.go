package orgui

import (
	"net/http"

	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type companyView struct {
	Form *web.Form
}

var companyPage = ui.NewPage[companyView](files, "company.html").Sample(companyView{Form: &web.Form{}})

func (p *pages) company(w http.ResponseWriter, r *web.Request) error {
	c, err := p.org.Company(r.Context())
	if err != nil {
		return err
	}
	return companyPage.Render(w, r, adminChrome(r, "company", ""), companyView{r.Blank("name", c.Name, "phone", c.Phone)})
}

func (p *pages) setCompany(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := p.org.SetCompany(r.Context(), r.Actor, org.Company{Name: f.String("name"), Phone: f.String("phone")}); err != nil {
		return companyPage.Invalid(w, r, err, f, adminChrome(r, "company", ""), companyView{f})
	}
	r.Flash(w, "green", "org.saved")
	return r.SeeOther(w, "/admin/company")
}
