package portal

import (
	"net/http"
	"strconv"

	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type settingsView struct {
	Form    *web.Form
	Address string // of the portal, to be given to customers
}

var settingsPage = ui.NewPage[settingsView](files, "settings.html").Sample(settingsView{Form: &web.Form{}, Address: "https://example.cn/portal"})

// SettingsNav is the entry of the portal's settings.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "portal-settings", Href: "/admin/portal", Icon: "world", LabelKey: "portal.settings.title", Perm: org.PermSettings, Group: "org.admin"}
}

func settingsChrome(r *web.Request) ui.Chrome {
	title := r.T("portal.settings.title")
	return ui.Chrome{Title: title, Nav: "portal-settings", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: title}}}
}

func (p *pages) settingsView(r *web.Request, f *web.Form) settingsView {
	scheme := "http"
	if r.Secure() {
		scheme = "https"
	}
	return settingsView{Form: f, Address: scheme + "://" + r.Host + "/portal"}
}

func (p *pages) settings(w http.ResponseWriter, r *web.Request) error {
	st, err := p.Settings(r.Context())
	if err != nil {
		return err
	}
	on := map[bool]string{true: "1"}
	f := r.Blank("closed", on[st.Closed], "contact", st.Contact, "retention_months", strconv.Itoa(st.RetentionMonths), "show_names", on[st.ShowNames])
	return settingsPage.Render(w, r, settingsChrome(r), p.settingsView(r, f))
}

func (p *pages) setSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st := Settings{Closed: f.Bool("closed"), Contact: f.String("contact"), RetentionMonths: f.Int("retention_months"), ShowNames: f.Bool("show_names")}
	err := f.Err()
	if err == nil {
		err = p.SetSettings(r.Context(), r.Actor, st)
	}
	if err != nil {
		return settingsPage.Invalid(w, r, err, f, settingsChrome(r), p.settingsView(r, f))
	}
	r.Flash(w, "green", "portal.settings.saved")
	return r.SeeOther(w, "/admin/portal")
}
